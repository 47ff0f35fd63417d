/* SPDX-License-Identifier: MIT */
/* Option lists; see the header. */
#include "base/key-values.h"

#include <jansson.h>
#include <string.h>

#include "base/error.h"
#include "base/names.h"

static void clear_pair(void *data)
{
    KeyValue *pair = data;

    g_free(pair->key);
    g_free(pair->value);
}

KeyValues *key_values_new(void)
{
    KeyValues *list = g_new(KeyValues, 1);

    list->pairs = g_array_new(false, false, sizeof(KeyValue));
    g_array_set_clear_func(list->pairs, clear_pair);
    return list;
}

void key_values_free(KeyValues *list)
{
    g_array_unref(list->pairs);
    g_free(list);
}

void key_values_add(KeyValues *list, const char *key, const char *value)
{
    KeyValue pair = { g_strdup(key), g_strdup(value) };

    g_array_append_val(list->pairs, pair);
}

void key_values_append(KeyValues *list, const KeyValues *more)
{
    for (unsigned i = 0; i < more->pairs->len; i++) {
        const KeyValue *pair = &g_array_index(more->pairs, KeyValue, i);

        key_values_add(list, pair->key, pair->value);
    }
}

static void add_json(KeyValues *list, const char *key, json_t *value)
{
    g_autofree char *number = NULL;
    const char *name;
    json_t *member;
    size_t index;

    switch (json_typeof(value)) {
    case JSON_OBJECT:
        json_object_foreach(value, name, member)
        {
            g_autofree char *nested = key ? g_strconcat(key, ".", name, NULL) : g_strdup(name);

            add_json(list, nested, member);
        }
        return;
    case JSON_ARRAY:
        json_array_foreach(value, index, member)
        {
            g_autofree char *nested = g_strdup_printf("%s.%zu", key, index);

            add_json(list, nested, member);
        }
        return;
    case JSON_STRING:
        key_values_add(list, key, json_string_value(value));
        return;
    case JSON_INTEGER:
        number = g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
        key_values_add(list, key, number);
        return;
    case JSON_REAL:
        number = g_strdup_printf("%.17g", json_real_value(value));
        key_values_add(list, key, number);
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        key_values_add(list, key, json_is_true(value) ? "on" : "off");
        return;
    case JSON_NULL:
        key_values_add(list, key, "");
        return;
    }
}

/* Strings in single quotes, which shell scripts prefer, as JSON's own. The caller frees. */
static char *double_quotes(const char *text)
{
    GString *result = g_string_new(NULL);
    char quote = 0; /* what ends the string that c is in */

    for (const char *c = text; *c; c++) {
        if (quote && *c == '\\' && c[1]) {
            c++;
            g_string_append_printf(result, *c == '\'' ? "%c" : "\\%c", *c);
        } else if (quote && *c == '"' && quote != '"') {
            g_string_append(result, "\\\"");
        } else if (quote ? *c == quote : *c == '"' || *c == '\'') {
            quote = quote ? 0 : *c;
            g_string_append_c(result, '"');
        } else {
            g_string_append_c(result, *c);
        }
    }
    return g_string_free(result, false);
}

KeyValues *key_values_parse_json(const char *text, GError **error)
{
    g_autofree char *json = double_quotes(text);
    json_error_t where;
    json_t *object = json_loads(json, JSON_REJECT_DUPLICATES, &where);
    KeyValues *list;

    if (!json_is_object(object)) {
        error_fail(error, KASO_ERROR_INVALID, "the JSON object does not parse: %s (column %d)",
                   object ? "it is no object" : where.text, where.column);
        json_decref(object);
        return NULL;
    }
    list = key_values_new();
    add_json(list, NULL, object);
    json_decref(object);
    return list;
}

char *key_values_take_item(const char **text)
{
    GString *item = g_string_new(NULL);
    const char *c = *text;

    while (*c && !(*c == ',' && c[1] != ',')) {
        g_string_append_c(item, *c);
        c += *c == ',' ? 2 : 1;
    }
    *text = *c ? c + 1 : c;
    return g_string_free(item, false);
}

static KeyValues *parse_list(const char *text, const char *implied_key, bool first_id,
                             GError **error)
{
    KeyValues *list = key_values_new();
    bool first = true;

    while (*text) {
        g_autofree char *item = key_values_take_item(&text);
        char *equals = strchr(item, '=');

        if (first && implied_key && !equals) {
            key_values_add(list, implied_key, item);
        } else if (equals == item) {
            error_fail(error, KASO_ERROR_INVALID, "'%s' lacks a name before '='", item);
            key_values_free(list);
            return NULL;
        } else if (equals) {
            *equals = '\0';
            if (!first_id || strcmp(item, "id") != 0 || !key_values_get(list, "id")) {
                key_values_add(list, item, equals + 1);
            }
        } else if (*item) {
            key_values_add(list, item, "on");
        }
        first = false;
    }
    return list;
}

KeyValues *key_values_parse_list(const char *text, const char *implied_key, GError **error)
{
    return parse_list(text, implied_key, true, error);
}

KeyValues *key_values_parse_last(const char *text, const char *implied_key, GError **error)
{
    return text[0] == '{' ? key_values_parse_json(text, error)
                          : parse_list(text, implied_key, false, error);
}

KeyValues *key_values_parse(const char *text, const char *implied_key, GError **error)
{
    return text[0] == '{' ? key_values_parse_json(text, error)
                          : key_values_parse_list(text, implied_key, error);
}

const char *key_values_get(const KeyValues *list, const char *key)
{
    const char *value = NULL;

    for (unsigned i = 0; i < list->pairs->len; i++) {
        const KeyValue *pair = &g_array_index(list->pairs, KeyValue, i);

        if (strcmp(pair->key, key) == 0) {
            value = pair->value;
        }
    }
    return value;
}

bool key_values_counts(const KeyValues *list, unsigned index)
{
    const KeyValue *pair = &g_array_index(list->pairs, KeyValue, index);

    return key_values_get(list, pair->key) == pair->value;
}

char *key_values_take(KeyValues *list, const char *key)
{
    char *value = g_strdup(key_values_get(list, key));

    for (unsigned i = list->pairs->len; i-- > 0;) {
        if (strcmp(g_array_index(list->pairs, KeyValue, i).key, key) == 0) {
            g_array_remove_index(list->pairs, i);
        }
    }
    return value;
}

GHashTable *key_values_table(const KeyValues *list)
{
    GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    for (unsigned i = 0; i < list->pairs->len; i++) {
        const KeyValue *pair = &g_array_index(list->pairs, KeyValue, i);

        g_hash_table_replace(table, g_strdup(pair->key), g_strdup(pair->value));
    }
    return table;
}

bool key_values_check(const KeyValues *list, const char *const *names, const char *what,
                      GError **error)
{
    for (unsigned i = 0; i < list->pairs->len; i++) {
        const KeyValue *pair = &g_array_index(list->pairs, KeyValue, i);

        if (!g_strv_contains(names, pair->key)) {
            g_autofree char *suggestion = names_suggest(pair->key, names);

            return error_fail(error, KASO_ERROR_NOT_FOUND, "%s has no option '%s'%s", what,
                              pair->key, suggestion);
        }
    }
    return true;
}

bool parse_switch(const char *what, const char *text, bool *value, GError **error)
{
    static const char *const words[] = { "off", "on", "no", "yes", "false", "true", "n", "y" };

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            *value = i & 1;
            return true;
        }
    }
    return error_fail(error, KASO_ERROR_INVALID, "'%s' is no value for %s; give on or off", text,
                      what);
}
