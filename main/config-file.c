/* SPDX-License-Identifier: MIT */
/*
 * -readconfig: a file of sections, each one option: [device "id"] or [machine], then lines of
 * key = "value". '#' begins a comment.
 */
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "main/setup.h"

/* Sections whose option has another name. */
static const struct {
    const char *section, *option;
} renamed[] = {
    { "memory", "m" },
    { "smp-opts", "smp" },
    { "boot-opts", "boot" },
    { "machine", "machine" },
};

static const char *option_of(const char *section)
{
    for (size_t i = 0; i < G_N_ELEMENTS(renamed); i++) {
        if (strcmp(renamed[i].section, section) == 0) {
            return renamed[i].option;
        }
    }
    return section;
}

static void append_item(GString *argument, const char *key, const char *value)
{
    g_string_append_printf(argument, "%s%s=", argument->len ? "," : "", key);
    for (; *value; value++) {
        g_string_append(argument, *value == ',' ? ",," : "");
        if (*value != ',') {
            g_string_append_c(argument, *value);
        }
    }
}

static bool end_section(Setup *setup, char **section, GString *argument, GError **error)
{
    bool ok = !*section || setup_add_option(setup, option_of(*section), argument->str, error);

    g_clear_pointer(section, g_free);
    g_string_truncate(argument, 0);
    return ok;
}

/* [name] or [name "id"]. */
static bool begin_section(const char *line, char **section, GString *argument)
{
    const char *end = strchr(line, ']'), *quote = strchr(line, '"'), *close;

    if (!end || end[1]) {
        return false;
    }
    if (quote) {
        g_autofree char *id = NULL;

        close = strchr(quote + 1, '"');
        if (!close || close > end) {
            return false;
        }
        id = g_strndup(quote + 1, close - quote - 1);
        append_item(argument, "id", id);
        end = quote;
    }
    *section = g_strndup(line + 1, end - line - 1);
    g_strstrip(*section);
    return **section != '\0';
}

static bool add_assignment(char *line, GString *argument)
{
    char *equals = strchr(line, '='), *value;
    size_t length;

    if (!equals) {
        return false;
    }
    *equals = '\0';
    value = g_strstrip(equals + 1);
    length = strlen(value);
    if (length >= 2 && value[0] == '"' && value[length - 1] == '"') {
        value[length - 1] = '\0';
        value++;
    }
    append_item(argument, g_strstrip(line), value);
    return true;
}

bool config_file_read(Setup *setup, const char *path, GError **error)
{
    g_autofree char *content = NULL, *section = NULL;
    g_auto(GStrv) lines = NULL;
    GString *argument = g_string_new(NULL);
    bool ok = file_read(path, FILE_TEXT_MOST, &content, NULL, error);

    lines = g_strsplit(ok ? content : "", "\n", -1);
    for (unsigned i = 0; ok && lines[i]; i++) {
        char *line = g_strstrip(lines[i]);

        if (*line == '\0' || *line == '#') {
            continue;
        }
        if (*line == '[') {
            ok = end_section(setup, &section, argument, error) &&
                 (begin_section(line, &section, argument) ||
                  error_fail(error, KASO_ERROR_INVALID,
                             "line %u: write [option] or [option \"id\"]", i + 1));
        } else {
            ok = (section && add_assignment(line, argument)) ||
                 error_fail(error, KASO_ERROR_INVALID,
                            "line %u: write key = \"value\" below a [section]", i + 1);
        }
    }
    ok = ok && end_section(setup, &section, argument, error);
    g_string_free(argument, true);
    return ok;
}
