/* SPDX-License-Identifier: MIT */
/*
 * What is typed at a monitor (FUZZ_MODE "readline": HMP, "control": QMP) of the board virt, which does not run. With FUZZ_EVENTS each line is what stands behind a
 * verb of the debugger: locations, events, conditions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/chardev-open.h"
#include "main/setup.h"
#include "monitor/monitor.h"
#include "tests/fuzz/fuzz.h"

enum { ITERATIONS = 100 };

/* A character device that the input comes from; what is answered is thrown away. */
static bool null_open(Chardev *chardev, GError **error)
{
    chardev->open = true;
    return true;
}

static size_t null_write(Chardev *chardev, const uint8_t *data, size_t size)
{
    return size;
}

static const ChardevType input_type = {
    .name = "fuzz-input",
    .summary = "the fuzzer",
    .instance_size = sizeof(Chardev),
    .open = null_open,
    .write = null_write,
};
CHARDEV_TYPE(input_type);

static Setup *new_setup(void)
{
    static const char *const arguments[] = {
        "kaso-system-aarch64", "-M",       "virt", "-nodefaults", "-S", "-m", "16M", "-accel",
        "tcg,interp=on",       "-display", "none", NULL
    };
    Setup *setup = setup_new("kaso-system-aarch64");
    GError *error = NULL;

    setup->target = target_find("aarch64");
    if (!setup_parse(setup, G_N_ELEMENTS(arguments) - 1, (char **)arguments, &error) ||
        !setup_choose(setup, &error) || !setup_build(setup, &error)) {
        g_error("%s", error->message);
    }
    return setup;
}

/* The lines, each behind another verb in turn, and what has the events judged. */
static char *with_verbs(const char *text)
{
    static const char *const verbs[] = { "break on ", "trace on ",       "tbreak on ",  "break ",
                                         "watch ",    "coverage start ", "condition 1 " };
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    GString *typed = g_string_new(NULL);

    for (unsigned i = 0; lines[i]; i++) {
        g_string_append_printf(typed, "%s%s\n", verbs[i % G_N_ELEMENTS(verbs)], lines[i]);
    }
    g_string_append(typed, "info breakpoints\nsystem_reset\ncoverage stop\ndelete\n");
    return g_string_free(typed, FALSE);
}

/* Behind verbs only "do" runs commands, and only "picture" names files: regular expressions may have any slashes. */
static bool is_unsafe(const char *text)
{
    return FUZZ_EVENTS ? strstr(text, "do") || strstr(text, "pic") : fuzz_is_unsafe(text);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_enter_folder();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char negotiation[] = "{\"execute\":\"qmp_capabilities\"}\n";
    g_autofree char *text = g_strndup((const char *)data, size), *typed = NULL;
    g_autoptr(GHashTable) options = NULL;
    GError *error = NULL;
    Chardev *chardev;
    Setup *setup;

    if (is_unsafe(text)) {
        return 0;
    }
    options = g_hash_table_new(g_str_hash, g_str_equal);
    setup = new_setup();
    machine_lock(setup->machine);
    machine_reset(setup->machine);
    chardev = chardev_open(setup->machine, "fuzz", "fuzz-input", options, &error);
    g_assert_no_error(error);
    g_assert_true(monitor_create(setup->machine, FUZZ_MODE, chardev, false, &error));
    if (strcmp(FUZZ_MODE, "control") == 0) {
        chardev_receive(chardev, (const uint8_t *)negotiation, sizeof negotiation - 1);
    }
    if (FUZZ_EVENTS) {
        typed = with_verbs(text);
        chardev_receive(chardev, (const uint8_t *)typed, strlen(typed));
    } else {
        chardev_receive(chardev, data, size);
    }
    chardev_receive(chardev, (const uint8_t *)"\n", 1);
    machine_unlock(setup->machine);
    for (unsigned i = 0; i < ITERATIONS && g_main_context_iteration(NULL, false); i++) {
    }
    process_end_signals(setup);
    machine_free(setup->machine);
    setup_free(setup);
    return 0;
}
