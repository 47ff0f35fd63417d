/* SPDX-License-Identifier: MIT */
/* How x, xp and print show values: "/4xw". */
#ifndef MONITOR_DUMP_FORMAT_H
#define MONITOR_DUMP_FORMAT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum { DUMP_COUNT_MAX = 65536 };

typedef struct {
    unsigned count;
    char letter;   /* x d u o t a c i s; 0: none was given */
    unsigned size; /* of an element: 1, 2, 4 or 8 bytes; 0: none was given */
} DumpFormat;

/* text: what follows the slash; NULL: nothing. The count is 1 unless it says otherwise. */
bool dump_format_parse(const char *text, DumpFormat *format, GError **error);
/* One value, with a space before it. */
void dump_format_append(GString *out, char format, unsigned size, uint64_t value);
/* One value of so many bits alone, as short as it can be. */
void dump_format_value(GString *out, char format, unsigned bits, uint64_t value);

#endif
