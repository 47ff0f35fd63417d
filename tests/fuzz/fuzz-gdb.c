/* SPDX-License-Identifier: MIT */
/*
 * What a gdb says to the stub of a machine. Each line of the input becomes a packet, framed and summed; a line that begins with '!' is
 * sent as it is, and "!!" hangs up and comes again.
 */
#include <stdio.h>
#include <string.h>

#include "backends/chardev-open.h"
#include "debug/gdb/gdb.h"
#include "main/setup.h"
#include "tests/fuzz/fuzz.h"

enum { ITERATIONS = 20 };

/* The stub's peer: what is answered is thrown away. */
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

static bool echo(Machine *machine, unsigned vcpu, const char *line, char **output, GError **error)
{
    *output = g_strdup(line);
    return true;
}

static Setup *new_setup(void)
{
    static const char *const arguments[] = {
        "kaso-system-aarch64", "-M",   "virt", "-nodefaults", "-S",   "-m", "16M", "-accel",
        "tcg,tb-size=4",       "-smp", "2",    "-display",    "none", NULL
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

static void send_packet(Chardev *chardev, const uint8_t *data, size_t size)
{
    uint8_t sum = 0;
    char end[4];

    for (size_t i = 0; i < size; i++) {
        sum = (uint8_t)(sum + data[i]);
    }
    snprintf(end, sizeof end, "#%02x", sum);
    chardev_receive(chardev, (const uint8_t *)"$", 1);
    chardev_receive(chardev, data, size);
    chardev_receive(chardev, (const uint8_t *)end, 3);
}

static void send_line(Chardev *chardev, const uint8_t *data, size_t size)
{
    if (size >= 2 && data[0] == '!' && data[1] == '!') {
        chardev_event(chardev, CHARDEV_CLOSED);
        chardev_event(chardev, CHARDEV_OPENED);
    } else if (size && data[0] == '!') {
        chardev_receive(chardev, data + 1, size - 1);
    } else {
        send_packet(chardev, data, size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GHashTable) options = g_hash_table_new(g_str_hash, g_str_equal);
    Setup *setup = new_setup();
    Machine *machine = setup->machine;
    GError *error = NULL;
    Chardev *chardev;

    machine_lock(machine);
    machine_reset(machine);
    chardev = chardev_open(machine, "fuzz", "fuzz-input", options, &error);
    g_assert_no_error(error);
    g_assert_nonnull(gdb_start(machine, chardev, echo, &error));
    while (size) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end ? (size_t)(end - data) : size;

        send_line(chardev, data, length);
        machine_unlock(machine);
        for (unsigned i = 0; i < ITERATIONS && g_main_context_iteration(NULL, false); i++) {
        }
        machine_lock(machine);
        length += end != NULL;
        data += length;
        size -= length;
    }
    machine_stop(machine, STOP_PAUSED);
    machine_unlock(machine);
    process_end_signals(setup);
    machine_free(machine);
    setup_free(setup);
    return 0;
}
