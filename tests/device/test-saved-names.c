/* SPDX-License-Identifier: MIT */
/*
 * What saved states name must stay known: a snapshot of today loads in the programs of later. All fields of all devices' tables are
 * compared with a list of them. One that has gone or changed breaks snapshots: STATE_AS gives a field that has moved the name it had. One that
 * is new needs STATE_SINCE, and a state_version of its type that is greater than before, unless the whole type is new. Then the list is made
 * anew:
 *
 *   test-saved-names LIST --write
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/device.h"
#include "machine/private.h"
#include "machine/state.h"

static GHashTable *type_names(const GPtrArray *lines)
{
    GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < lines->len; i++) {
        const char *line = lines->pdata[i];

        g_hash_table_add(names, g_strndup(line, strcspn(line, ".")));
    }
    return names;
}

/* "TYPE.FIELD[.FIELD…] BYTES SINCE", a line each. Lengths that depend on a device's properties are 0. */
static void list_fields(GPtrArray *lines, const char *prefix, const StateField *fields)
{
    for (const StateField *field = fields; field && field->name; field++) {
        g_autofree char *path = g_strdup_printf("%s.%s", prefix, field->name);
        bool sized = field->kind == STATE_KIND_INTEGERS && !field->allocated;

        if (field->kind == STATE_KIND_DERIVED) {
            continue;
        }
        g_ptr_array_add(lines,
                        g_strdup_printf("%s %zu %u", path, sized ? field->size : 0, field->since));
        list_fields(lines, path, field->fields);
    }
}

static gint compare_lines(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *list_all(void)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    const DeviceType *const *it;

    REGISTRY_FOREACH(device_types, it) {
        list_fields(lines, (*it)->name, (*it)->state);
    }
    g_ptr_array_sort(lines, compare_lines);
    return lines;
}

static GPtrArray *read_list(const char *path)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *text = NULL;
    g_auto(GStrv) split = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        fprintf(stderr, "cannot read '%s'\n", path);
        exit(1);
    }
    split = g_strsplit(text, "\n", -1);
    for (char **line = split; *line; line++) {
        if (**line) {
            g_ptr_array_add(lines, g_strdup(*line));
        }
    }
    return lines;
}

static bool write_list(const char *path, const GPtrArray *lines)
{
    GString *text = g_string_new(NULL);
    bool ok;

    for (guint i = 0; i < lines->len; i++) {
        g_string_append_printf(text, "%s\n", (const char *)lines->pdata[i]);
    }
    ok = g_file_set_contents(path, text->str, (gssize)text->len, NULL);
    g_string_free(text, TRUE);
    return ok;
}

static bool has(const GPtrArray *lines, const char *line)
{
    return bsearch(&line, lines->pdata, lines->len, sizeof line, compare_lines) != NULL;
}

static unsigned compare(const GPtrArray *known, const GPtrArray *present)
{
    g_autoptr(GHashTable) types = type_names(known);
    unsigned wrong = 0;

    for (guint i = 0; i < known->len; i++) {
        if (!has(present, known->pdata[i])) {
            fprintf(stderr, "%s: has gone or changed\n", (const char *)known->pdata[i]);
            wrong++;
        }
    }
    for (guint i = 0; i < present->len; i++) {
        const char *line = present->pdata[i];
        g_autofree char *type = g_strndup(line, strcspn(line, "."));

        if (!has(known, line)) {
            fprintf(stderr, "%s: is not in the list%s\n", line,
                    g_str_has_suffix(line, " 0") && g_hash_table_contains(types, type)
                        ? ", and states of before that have it not will not load"
                        : "");
            wrong++;
        }
    }
    return wrong;
}

int main(int argc, char **argv)
{
    g_autoptr(GPtrArray) present = list_all(), known = NULL;

    if (argc == 3 && strcmp(argv[2], "--write") == 0) {
        return !write_list(argv[1], present);
    }
    known = read_list(argv[1]);
    return compare(known, present) != 0;
}
