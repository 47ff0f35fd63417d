/* SPDX-License-Identifier: MIT */
/* The program: options, registries, run. Knows no device. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "main/setup.h"
#include "migration/migration.h"
#include "migration/snapshot.h"

/* One line, whatever characters a value had that the message repeats; a sentence more, as a hint is, has its own. */
static char *in_one_line(const char *text)
{
    GString *line = g_string_new(NULL);

    for (; *text; text++) {
        if (g_ascii_iscntrl(*text) && (*text != '\n' || !g_ascii_isupper(text[1]))) {
            g_string_append_printf(line, "\\x%02x", (uint8_t)*text);
        } else {
            g_string_append_c(line, *text);
        }
    }
    return g_string_free(line, FALSE);
}

/* Prints an error and the name of the program, as -msg wants it. */
static int fail(const Setup *setup, const GError *error)
{
    const char *guest = setup->message_guest_name ? setup->config.name : NULL;
    g_autofree char *stamp = NULL, *line = in_one_line(error->message);

    if (setup->message_timestamp) {
        g_autoptr(GDateTime) now = g_date_time_new_now_utc();

        stamp = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%fZ ");
    }
    fprintf(stderr, "%s%s%s%s: %s\n", stamp ? stamp : "", guest ? guest : "", guest ? " " : "",
            setup->program, line);
    return 1;
}

/* kaso-system-NAME chooses the target NAME, and so does a link called qemu-system-NAME; plain kaso leaves it to the board. */
static const Target *target_of_program(const char *program)
{
    static const char infix[] = "-system-";
    const char *found = strstr(program, infix);

    return found ? target_find(found + strlen(infix)) : NULL;
}

/* `-device help` and the like need no machine, so they are answered before one is asked for. */
static bool answer_help(Setup *setup, GError **error)
{
    for (unsigned i = 0; i < setup->given->len; i++) {
        const GivenOption *given = &g_array_index(setup->given, GivenOption, i);
        const char *name = given->option->name;
        g_autoptr(KeyValues) list = NULL;

        if (strcmp(name, "drive") == 0 && is_help(given->argument)) {
            help_drive();
            return true;
        }
        if (strcmp(name, "drive") == 0) {
            list = key_values_parse(given->argument, "file", NULL);
            if (list && key_values_get(list, "format") && is_help(key_values_get(list, "format"))) {
                help_formats();
                return true;
            }
            continue;
        }
        if (strcmp(name, "device") != 0 && strcmp(name, "object") != 0 &&
            strcmp(name, "chardev") != 0 && strcmp(name, "netdev") != 0 &&
            strcmp(name, "audiodev") != 0 && strcmp(name, "fsdev") != 0) {
            continue;
        }
        if (is_help(given->argument)) {
            help_list(name);
            return true;
        }
        list = key_values_parse(given->argument, "driver", NULL);
        if (list && key_values_get(list, "driver") &&
            (key_values_get(list, "help") || key_values_get(list, "?"))) {
            return help_type(name, key_values_get(list, "driver"), error);
        }
    }
    return false;
}

/* Where it begins: anew, with a saved state, or with one that is to come. */
static bool begin(Setup *setup, GError **error)
{
    const SnapshotDisks all_disks = { 0 };
    Machine *machine = setup->machine;
    bool ok = true, opened = true;

    machine_lock(machine);
    machine_reset(machine); /* with all devices, now */
    if (setup->incoming) {
        ok = migration_wait(machine, setup->incoming, error);
    } else if (setup->loadvm) {
        ok = snapshot_load(machine, setup->loadvm, &all_disks, error);
    }
    if (ok && !machine->config.start_paused) {
        /* Disks of active=off; those of a machine that is to come wait for it. */
        opened = setup->incoming || block_activate(machine->block_graph, error);
        if (opened) {
            machine_start(machine);
        }
    }
    machine_unlock(machine);
    if (!ok) {
        g_prefix_error(error, setup->incoming ? "-incoming %s: " : "-loadvm %s: ",
                       setup->incoming ? setup->incoming : setup->loadvm);
    }
    return ok && opened;
}

static int run(Setup *setup)
{
    GError *error = NULL;

    banner_print(setup);
    if (!setup->incoming && !setup->loadvm) {
        banner_watch_consoles(setup); /* others may have said all long ago */
    }
    if (!begin(setup, &error)) {
        machine_request_stop(setup->machine, STOP_ERROR, error->message);
        g_error_free(error);
    }
    process_signals_running(setup);
    return machine_run(setup->machine);
}

/* A start fills the first piece of the heap in any case, and a fault for each of its pages costs more than to have them at once. */
static void populate_heap(void)
{
    enum { FIRST_BYTES = 128 * 1024 };
    uintptr_t end = (uintptr_t)sbrk(0), start = end - FIRST_BYTES;

    madvise((void *)start, FIRST_BYTES, MADV_POPULATE_WRITE);
}

int main(int argc, char **argv)
{
    g_autofree char *program = g_path_get_basename(argc > 0 ? argv[0] : "kaso");
    g_autoptr(GError) error = NULL;
    Setup *setup = setup_new(program);
    int status;

    populate_heap();
    setup->target = target_of_program(program);
    signal(SIGPIPE, SIG_IGN);
    if (!setup_parse(setup, argc, argv, &error)) {
        return fail(setup, error);
    }
    if (answer_help(setup, &error)) {
        return 0;
    }
    if (error || !one_argument_choose(setup, &error) || !setup_choose(setup, &error) ||
        (setup->daemonize && !process_daemonize(setup, &error))) {
        return fail(setup, error);
    }
    if (!setup_build(setup, &error) ||
        (setup->pid_file && !process_write_pid_file(setup, &error)) ||
        !process_settle(setup, &error)) {
        status = process_failed_by_signal(setup);
        if (status < 0) {
            status = fail(setup, error);
        }
    } else {
        status = run(setup);
    }
    process_signals_ending(setup);
    if (setup->machine) {
        machine_free(setup->machine);
    }
    process_end_signals(setup);
    process_remove_pid_file(setup);
    setup_free(setup);
    return status;
}
