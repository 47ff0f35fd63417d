/* SPDX-License-Identifier: MIT */
/*
 * Options of nodes: flat tables of strings whose keys name nested values with dots
 * ("file.filename"), as -drive, -blockdev and json: file names give them. Code takes the options
 * it knows out of the table; what is left is unknown to everybody.
 */
#ifndef BLOCK_GRAPH_OPTIONS_H
#define BLOCK_GRAPH_OPTIONS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Documentation of an option of a driver: help and "did you mean". */
typedef struct {
    const char *name;
    const char *summary;
} BlockOption;

GHashTable *options_new(void);
GHashTable *options_copy(GHashTable *options);
void options_set(GHashTable *options, const char *key, const char *value);
/* NULL when absent; the caller frees. */
char *options_take(GHashTable *options, const char *key);
const char *options_get(GHashTable *options, const char *key);
/* Each returns false with an error when the value does not parse; *value is the default before. */
bool options_take_bool(GHashTable *options, const char *key, bool *value, GError **error);
bool options_take_size(GHashTable *options, const char *key, uint64_t *value, GError **error);
bool options_take_number(GHashTable *options, const char *key, uint64_t *value, GError **error);
/* One of the NULL-terminated names; *value is the index. */
bool options_take_enum(GHashTable *options, const char *key, const char *const *names, int *value,
                       GError **error);
/* What begins with "prefix.", without it; empty when nothing does. */
GHashTable *options_take_nested(GHashTable *options, const char *prefix);
bool options_has_nested(GHashTable *options, const char *prefix);
/* Adds what is in `from` and not yet in `to`. */
void options_merge(GHashTable *to, GHashTable *from);
/* Fails naming the first key that is left. known: ends with a NULL name, may be NULL. */
bool options_check_empty(GHashTable *options, const char *of_what, const BlockOption *known,
                         GError **error);

/* "a=b,c=d": a doubled comma is a comma; "key" alone is "key=on". first_key: may be NULL. */
GHashTable *options_parse(const char *text, const char *first_key, GError **error);
/* A JSON object. */
GHashTable *options_parse_json(const char *text, GError **error);
/* The reverse: a nested object as text, for json: file names. The caller frees. */
char *options_to_json(GHashTable *options);

/* "10G", "1.5M", "0x200", "512": bytes. Suffixes b k M G T P E; a bare number is bytes. */
bool parse_size(const char *text, uint64_t *size, GError **error);

#endif
