/* SPDX-License-Identifier: MIT */
/* Option tables: parsing, taking, nesting. */
#include "block/graph/options.h"

#include "base/error.h"
#include "base/names.h"
#include "base/key-values.h"
#include "block/block.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

GHashTable *options_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

void options_set(GHashTable *options, const char *key, const char *value)
{
    g_hash_table_replace(options, g_strdup(key), g_strdup(value));
}

void options_merge(GHashTable *to, GHashTable *from)
{
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, from);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        if (!g_hash_table_contains(to, key)) {
            options_set(to, key, value);
        }
    }
}

GHashTable *options_copy(GHashTable *options)
{
    GHashTable *copy = options_new();

    if (options) {
        options_merge(copy, options);
    }
    return copy;
}

const char *options_get(GHashTable *options, const char *key)
{
    return g_hash_table_lookup(options, key);
}

char *options_take(GHashTable *options, const char *key)
{
    gpointer stolen_key, value;

    if (!g_hash_table_steal_extended(options, key, &stolen_key, &value)) {
        return NULL;
    }
    g_free(stolen_key);
    return value;
}

bool options_take_bool(GHashTable *options, const char *key, bool *value, GError **error)
{
    g_autofree char *text = options_take(options, key);

    if (!text) {
        return true;
    }
    if (!strcmp(text, "on") || !strcmp(text, "true") || !strcmp(text, "yes") ||
        !strcmp(text, "y")) {
        *value = true;
    } else if (!strcmp(text, "off") || !strcmp(text, "false") || !strcmp(text, "no") ||
               !strcmp(text, "n")) {
        *value = false;
    } else {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Parameter '%s' expects 'on' or 'off', not '%s'", key, text);
    }
    return true;
}

bool parse_size(const char *text, uint64_t *size, GError **error)
{
    static const char suffixes[] = "bkmgtpe";
    char *end;
    uint64_t multiplier = 1;
    double fraction;

    errno = 0;
    if (!g_ascii_isdigit(*text)) {
        goto bad;
    }
    *size = strtoull(text, &end, text[0] == '0' && (text[1] | 0x20) == 'x' ? 16 : 10);
    if (errno) {
        goto bad;
    }
    fraction = 0;
    if (*end == '.') {
        char *dot = end;

        fraction = g_ascii_strtod(dot, &end);
        if (end == dot + 1) {
            goto bad;
        }
    }
    if (*end) {
        const char *suffix = strchr(suffixes, g_ascii_tolower(*end));

        if (!suffix || end[1]) {
            goto bad;
        }
        multiplier = UINT64_C(1) << (10 * (suffix - suffixes));
    }
    if (__builtin_mul_overflow(*size, multiplier, size) || (multiplier == 1 && fraction != 0)) {
        goto bad;
    }
    *size += (uint64_t)(fraction * (double)multiplier);
    return true;
bad:
    return error_fail(
        error, KASO_ERROR_INVALID,
        "'%s' is not a size: give a number with an optional suffix k, M, G, T, P or E", text);
}

bool options_take_size(GHashTable *options, const char *key, uint64_t *value, GError **error)
{
    g_autofree char *text = options_take(options, key);

    if (text && !parse_size(text, value, error)) {
        g_prefix_error(error, "Parameter '%s': ", key);
        return false;
    }
    return true;
}

bool options_take_number(GHashTable *options, const char *key, uint64_t *value, GError **error)
{
    g_autofree char *text = options_take(options, key);
    char *end;

    if (!text) {
        return true;
    }
    errno = 0;
    *value = strtoull(text, &end, 0);
    if (errno || end == text || *end || text[0] == '-') {
        return error_fail(error, KASO_ERROR_INVALID, "Parameter '%s' expects a number, not '%s'",
                          key, text);
    }
    return true;
}

bool options_take_enum(GHashTable *options, const char *key, const char *const *names, int *value,
                       GError **error)
{
    g_autofree char *text = options_take(options, key);
    g_autofree char *list = NULL;

    if (!text) {
        return true;
    }
    for (int i = 0; names[i]; i++) {
        if (!strcmp(names[i], text)) {
            *value = i;
            return true;
        }
    }
    list = g_strjoinv(", ", (char **)names);
    return error_fail(error, KASO_ERROR_INVALID, "Invalid parameter '%s=%s': choose one of %s", key,
                      text, list);
}

GHashTable *options_take_nested(GHashTable *options, const char *prefix)
{
    GHashTable *nested = options_new();
    size_t length = strlen(prefix);
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, options);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const char *name = key;

        if (!strncmp(name, prefix, length) && name[length] == '.') {
            options_set(nested, name + length + 1, value);
            g_hash_table_iter_remove(&iter);
        }
    }
    return nested;
}

bool options_has_nested(GHashTable *options, const char *prefix)
{
    size_t length = strlen(prefix);
    GHashTableIter iter;
    gpointer key;

    g_hash_table_iter_init(&iter, options);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        if (!strncmp(key, prefix, length) && ((char *)key)[length] == '.') {
            return true;
        }
    }
    return false;
}

bool options_check_empty(GHashTable *options, const char *of_what, const BlockOption *known,
                         GError **error)
{
    static const char *const common[] = {
        "driver",      "format", "file",    "node-name",     "read-only", "readonly", "cache",
        "force-share", "aio",    "discard", "detect-zeroes", "snapshot",  "werror",   "rerror",
    };
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    GHashTableIter iter;
    gpointer key;
    g_autofree char *suggestion = NULL;

    g_hash_table_iter_init(&iter, options);
    if (!g_hash_table_iter_next(&iter, &key, NULL)) {
        return true;
    }
    for (; known && known->name; known++) {
        g_ptr_array_add(names, (gpointer)known->name);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(common); i++) {
        g_ptr_array_add(names, (gpointer)common[i]);
    }
    g_ptr_array_add(names, NULL);
    suggestion = names_suggest(key, (const char *const *)names->pdata);
    return error_fail(error, KASO_ERROR_NOT_FOUND, "%s does not support the option '%s'%s", of_what,
                      (char *)key, suggestion);
}

/* Takes list, which may be NULL; the last value of a key counts. */
static GHashTable *options_of_list(KeyValues *list)
{
    GHashTable *options;

    if (!list) {
        return NULL;
    }
    options = options_new();
    for (unsigned i = 0; i < list->pairs->len; i++) {
        const KeyValue *pair = &g_array_index(list->pairs, KeyValue, i);

        options_set(options, pair->key, pair->value);
    }
    key_values_free(list);
    return options;
}

GHashTable *options_parse(const char *text, const char *first_key, GError **error)
{
    return options_of_list(key_values_parse_list(text, first_key, error));
}

GHashTable *options_parse_json(const char *text, GError **error)
{
    return options_of_list(key_values_parse_json(text, error));
}

GHashTable *block_options_from_json(const char *json, GError **error)
{
    return options_parse_json(json, error);
}

char *options_to_json(GHashTable *options)
{
    json_t *root = json_object();
    GHashTableIter iter;
    gpointer key, value;
    char *text, *result;

    g_hash_table_iter_init(&iter, options);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        g_auto(GStrv) path = g_strsplit(key, ".", -1);
        json_t *object = root;
        int i;

        for (i = 0; path[i] && path[i + 1]; i++) {
            json_t *child = json_object_get(object, path[i]);

            if (!json_is_object(child)) {
                child = json_object();
                json_object_set_new(object, path[i], child);
            }
            object = child;
        }
        json_object_set_new(object, path[i] ? path[i] : "", json_string(value));
    }
    text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    result = g_strdup(text);
    free(text);
    json_decref(root);
    return result;
}
