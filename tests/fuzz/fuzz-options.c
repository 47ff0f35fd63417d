/* SPDX-License-Identifier: MIT */
/*
 * The command line: each line of the input is an argument. They are read and chosen from as for a run, which is not
 * begun; and each is taken for a list of options, for JSON, and for the short form of a character device.
 */
#include <stdio.h>
#include <string.h>

#include "backends/chardev-open.h"
#include "main/setup.h"
#include "tests/fuzz/fuzz.h"

enum { ARGUMENTS = 64 };

/* These end the program, as they are meant to. */
static bool ends_program(const char *argument)
{
    const char *name = argument + strspn(argument, "-");

    return strstr(argument, "help") || strchr(argument, '?') || strcmp(name, "h") == 0 ||
           strcmp(name, "version") == 0 || strcmp(name, "daemonize") == 0 || strcmp(name, "D") == 0;
}

static void read_lists(const char *text)
{
    g_autoptr(GError) error = NULL;
    KeyValues *list = key_values_parse(text, "driver", &error);
    GHashTable *options;
    char *type = NULL;
    bool monitor;

    g_assert_true(!list == !!error);
    g_clear_pointer(&list, key_values_free);
    g_clear_error(&error);
    list = key_values_parse_json(text, &error);
    g_assert_true(!list == !!error);
    g_clear_pointer(&list, key_values_free);
    g_clear_error(&error);
    if (chardev_parse_short(text, &type, &options, &monitor, &error)) {
        g_clear_pointer(&options, g_hash_table_unref);
        g_free(type);
    } else {
        g_assert_true(error && error->message[0]);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_enter_folder();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", ARGUMENTS);
    g_autoptr(GPtrArray) arguments = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    Setup *setup;

    g_ptr_array_add(arguments, (char *)"kaso-system-aarch64");
    for (char **line = lines; *line; line++) {
        read_lists(*line);
        if (ends_program(*line) || fuzz_is_unsafe(*line)) {
            return 0;
        }
        g_ptr_array_add(arguments, *line);
    }
    g_ptr_array_add(arguments, NULL);
    setup = setup_new("kaso-system-aarch64");
    setup->target = target_find("aarch64");
    if (!setup_parse(setup, (int)arguments->len - 1, (char **)arguments->pdata, &error) ||
        !setup_choose(setup, &error)) {
        g_assert_true(error && error->message[0]);
    }
    setup_free(setup);
    return 0;
}
