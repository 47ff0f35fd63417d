/* SPDX-License-Identifier: MIT */
/* What is typed at a monitor (FUZZ_MODE "readline": HMP, "control": QMP) of the board virt, which does not run. */
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

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_enter_folder();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char negotiation[] = "{\"execute\":\"qmp_capabilities\"}\n";
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GHashTable) options = NULL;
    GError *error = NULL;
    Chardev *chardev;
    Setup *setup;

    if (fuzz_is_unsafe(text)) {
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
    chardev_receive(chardev, data, size);
    chardev_receive(chardev, (const uint8_t *)"\n", 1);
    machine_unlock(setup->machine);
    for (unsigned i = 0; i < ITERATIONS && g_main_context_iteration(NULL, false); i++) {
    }
    machine_free(setup->machine);
    setup_free(setup);
    return 0;
}
