/* SPDX-License-Identifier: MIT */
/*
 * A Linux kernel's own symbol table in an image of its memory (scripts/kallsyms.c of Linux 4.6 to 6.16 makes it): names
 * compressed by a table of 256 tokens, a marker for each 256th name, addresses relative to a base or absolute.
 *
 * Nothing outside the bytes given is read, and each table is checked against the others: what is found is either whole, or not
 * found.
 */
#ifndef DEBUG_LINUX_KALLSYMS_H
#define DEBUG_LINUX_KALLSYMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KALLSYMS_TOKENS = 256,
    KALLSYMS_COUNT_MIN = 1000,
    KALLSYMS_COUNT_MAX = 2 << 20,
    KALLSYMS_NAME_MAX = 1024,
    KALLSYMS_NEEDLE_SIZE = 20,
    KALLSYMS_WORK_MAX = 16 << 20,
};

typedef enum { KALLSYMS_ABSOLUTE, KALLSYMS_RELATIVE, KALLSYMS_RELATIVE_PERCPU } KallsymsKind;

typedef struct {
    const uint8_t *image; /* the caller's bytes */
    size_t size;
    /* Offsets in the image. */
    size_t token_table, token_index, names, addresses, base;
    uint32_t count;
    unsigned word;   /* bytes of a pointer; tables begin at multiples of it */
    bool long_names; /* lengths may take two bytes */
    KallsymsKind kind;
    uint64_t work;          /* names that were looked at; with KALLSYMS_WORK_MAX it ends: memory may be made to waste time */
    uint64_t relative_base; /* as it stands there; 0: the kernel has not relocated itself yet */
} Kallsyms;

/* What stands in every token table: "0", "1" … "9", each with its NUL. */
extern const char kallsyms_needle[KALLSYMS_NEEDLE_SIZE];
/* needle: the offset of that in the image. word: bytes of the kernel's pointers, 4 or 8. */
bool kallsyms_parse(Kallsyms *tables, const uint8_t *image, size_t size, size_t needle, unsigned word);
/* Calls fn for each symbol in the table's order; type: nm's letter. relative_base may be changed before. */
void kallsyms_foreach(const Kallsyms *tables,
                      void (*fn)(void *opaque, const char *name, size_t length, char type,
                                 uint64_t address),
                      void *opaque);

#endif
