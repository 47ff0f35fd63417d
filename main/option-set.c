/* SPDX-License-Identifier: MIT */
/* -set GROUP.ID.KEY=VALUE: changes an option that was given before, -device TYPE,id=ID above all, whoever wrote it (libvirt, a file). */
#include <string.h>

#include "base/error.h"
#include "main/handlers.h"

/* Options whose items have ids, by their groups, and what their first value is called. */
static const struct {
    const char *group, *first;
} groups[] = {
    { "device", "driver" },   { "drive", "file" },     { "chardev", "backend" },
    { "netdev", "type" },     { "nic", "type" },       { "net", "type" },
    { "object", "qom-type" }, { "fsdev", "fsdriver" }, { "audiodev", "driver" },
    { "blockdev", "driver" }, { "mon", "chardev" },
};

static const char *first_key(const char *group)
{
    for (size_t i = 0; i < G_N_ELEMENTS(groups); i++) {
        if (strcmp(groups[i].group, group) == 0) {
            return groups[i].first;
        }
    }
    return NULL;
}

static void append_doubled(GString *text, const char *value)
{
    for (; *value; value++) {
        g_string_append_c(text, *value);
        if (*value == ',') {
            g_string_append_c(text, ',');
        }
    }
}

/* As the command line has it: commas in values are doubled. */
static char *write_list(const KeyValues *list)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < list->pairs->len; i++) {
        const KeyValue *pair = &g_array_index(list->pairs, KeyValue, i);

        g_string_append_printf(text, "%s%s=", i ? "," : "", pair->key);
        append_doubled(text, pair->value);
    }
    return g_string_free(text, FALSE);
}

/* Whether the option has the id; then its argument is changed. */
static bool change(GivenOption *given, const char *first, const char *id, const char *key,
                   const char *value)
{
    g_autoptr(KeyValues) list = key_values_parse(given->argument, first, NULL);
    const char *name = list ? key_values_get(list, "id") : NULL;

    if (list && !name) {
        name = key_values_get(list, "node-name");
    }
    if (g_strcmp0(name, id) != 0) {
        return false;
    }
    g_free(key_values_take(list, key));
    key_values_add(list, key, value);
    g_free(given->argument);
    given->argument = write_list(list);
    return true;
}

bool option_set(Setup *setup, const char *argument, GError **error)
{
    const char *equals = strchr(argument, '=');
    g_autofree char *left = equals ? g_strndup(argument, equals - argument) : g_strdup("");
    g_auto(GStrv) parts = g_strsplit(left, ".", 3);
    const char *first;

    if (g_strv_length(parts) != 3 || !*parts[0] || !*parts[1] || !*parts[2]) {
        return error_fail(error, KASO_ERROR_INVALID, "write it as GROUP.ID.KEY=VALUE");
    }
    first = first_key(parts[0]);
    if (!first) {
        return error_fail(
            error, KASO_ERROR_NOT_FOUND,
            "'%s' is no group of options with ids; device, drive, netdev, chardev and "
            "object are some",
            parts[0]);
    }
    for (unsigned i = setup->given->len; i-- > 0;) {
        GivenOption *given = &g_array_index(setup->given, GivenOption, i);

        if (strcmp(given->option->name, parts[0]) == 0 &&
            change(given, first, parts[1], parts[2], equals + 1)) {
            return true;
        }
    }
    return error_fail(error, KASO_ERROR_NOT_FOUND,
                      "there is no -%s with id=%s before it on the command line", parts[0],
                      parts[1]);
}
