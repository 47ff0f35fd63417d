/* SPDX-License-Identifier: MIT */
/* The text of source files, where the host has them. They may be anything: what is read is bounded, and printable. */
#ifndef MONITOR_SOURCE_H
#define MONITOR_SOURCE_H

#include <jansson.h>

#include "debug/symbols/symbols.h"

/* Where a source is looked for: by the rules below, else where it was compiled. Caller frees. */
char *source_path(Machine *machine, const SourceLine *line);
/* Lines first to last, as far as there are any; NULL with an error when the file cannot be read. Caller frees with g_strfreev. */
char **source_read(Machine *machine, const SourceLine *line, unsigned first, unsigned last,
                   GError **error);
/* One line; NULL: there is none. Caller frees. */
char *source_text(Machine *machine, const SourceLine *line);

/* Paths that begin with `from` (by whole names) begin with `to` here; to NULL: the rule goes. The newest that fits counts. */
void source_substitute(Machine *machine, const char *from, const char *to);
/* {from, to} of each. */
json_t *source_substitutions(Machine *machine);

/* Puts source, line, and where it is not the same the folder, into an object. */
void source_put(json_t *object, const SourceLine *line);
/* " at init/main.c:938" for an object with these; nothing without. */
void source_print(json_t *object, GString *out);

#endif
