/* SPDX-License-Identifier: MIT */
/*
 * Lists of options as the command line spells them: "value,key=value,flag", where a doubled comma is a
 * comma, or a JSON object, whose nested members become keys with dots.
 */
#ifndef BASE_KEY_VALUES_H
#define BASE_KEY_VALUES_H

#include <glib.h>
#include <stdbool.h>

typedef struct {
    char *key, *value; /* a flag without a value has "on" */
} KeyValue;

typedef struct {
    GArray *pairs; /* KeyValue, in order */
} KeyValues;

/*
 * implied_key: what a first value without a key is for, or NULL. A text that begins with '{' is JSON. Of a list
 * the first id counts, as in QEMU's options; of all other keys the last value does.
 */
KeyValues *key_values_parse(const char *text, const char *implied_key, GError **error);
KeyValues *key_values_parse_list(const char *text, const char *implied_key, GError **error);
/* As parse, but of id, too, the last value counts: so it is with some options. */
KeyValues *key_values_parse_last(const char *text, const char *implied_key, GError **error);
/* Strings may be in single quotes. */
KeyValues *key_values_parse_json(const char *text, GError **error);
/* The text up to the next single comma, doubled ones halved; *text moves past it. The caller frees. */
char *key_values_take_item(const char **text);
KeyValues *key_values_new(void);
void key_values_free(KeyValues *list);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KeyValues, key_values_free)

void key_values_add(KeyValues *list, const char *key, const char *value);
void key_values_append(KeyValues *list, const KeyValues *more);
/* The last value of a key or NULL. */
const char *key_values_get(const KeyValues *list, const char *key);
/* Whether the pair at index is the last of its key: what came before it is not even judged. */
bool key_values_counts(const KeyValues *list, unsigned index);
/* As get, and removes all of that key; the caller frees. */
char *key_values_take(KeyValues *list, const char *key);
/* What is left as a table; of a repeated key the last value. */
GHashTable *key_values_table(const KeyValues *list);
/* Fails when a key is not among the names (NULL-terminated). */
bool key_values_check(const KeyValues *list, const char *const *names, const char *what,
                      GError **error);

/* The values of on, off, yes, no … for options that are not properties. */
bool parse_switch(const char *what, const char *text, bool *value, GError **error);

#endif
