/* SPDX-License-Identifier: MIT */
/*
 * The first line: what runs, on what, and how to leave; only for people: standard error is a terminal. And a line
 * for whoever waits for the output of a guest that says nothing.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "debug/diagnosis.h"
#include "debug/symbols/symbols.h"
#include "machine/accelerator.h"
#include "machine/console.h"
#include "main/setup.h"

void banner_print(Setup *setup)
{
    const MachineConfig *config = &setup->machine->config;
    GString *line;

    if (setup->daemonize || !isatty(STDERR_FILENO)) {
        return;
    }
    line = g_string_new(NULL);
    g_string_append_printf(line, "kaso: %s, %u × %s on %s, %" G_GUINT64_FORMAT " MiB",
                           config->board->name, config->vcpus, config->cpu_model->name,
                           setup->machine->accelerator->name, config->ram_bytes >> 20);
    for (unsigned i = 0; i < setup->lines->len; i++) {
        g_string_append_printf(line, "; %s", (const char *)setup->lines->pdata[i]);
    }
    if (setup->stdio_mux) {
        int escape = config->escape_character ? config->escape_character : 1;

        if (escape < 27) {
            g_string_append_printf(line, "; quit: Ctrl-%c X", 'A' + escape - 1);
        } else {
            g_string_append_printf(line, "; quit: escape character (code %d) X", escape);
        }
    } else {
        g_string_append(line, "; quit: Ctrl-C");
    }
    if (config->start_paused) {
        g_string_append(line, "; paused (-S)");
    }
    fprintf(stderr, "%s\n", line->str);
    g_string_free(line, true);
}

/* What the guest does instead. It watches for a while, which a timer's handler must not. */
static void tell_diagnosis(void *opaque)
{
    Machine *machine = opaque;
    bool first = symbols_generation(machine) == 0;
    Diagnosis *diagnosis = diagnosis_make(machine);
    g_autofree char *text = diagnosis_text(diagnosis);

    fprintf(stderr,
            "kaso: %s (explain in the monitor tells it anew; -boot-diagnosis off: no such text)\n",
            text);
    diagnosis_free(diagnosis);
    /* Nobody else has asked for the kernel's symbols, and perhaps nobody will. */
    if (first) {
        symbols_forget(machine);
    }
}

static void tell_silence(Machine *machine, void *opaque)
{
    const Setup *setup = opaque;
    const MachineConfig *config = &machine->config;
    const char *console = config->board->serial_console;

    if (config->kernel && console) {
        fprintf(
            stderr,
            "kaso: the guest runs, but has written nothing to its console yet. Does -append have "
            "console=%s (or console=hvc0 for virtconsole)? (-action silence=off: no such line)\n",
            console);
    } else {
        fprintf(stderr,
                "kaso: the guest runs, but has written nothing to its console yet. Does %s use the "
                "serial port%s%s? (-action silence=off: no such line)\n",
                config->bios ? "the firmware of -bios" : "it",
                console ? ", with Linux console=" : "", console ? console : "");
    }
    if (!setup->no_boot_diagnosis) {
        machine_defer(machine, tell_diagnosis, machine);
    }
}

/* One may still come by chardev-add. */
static void tell_absent_consoles(Machine *machine)
{
    const GPtrArray *matches = machine->config.console_matches;

    for (guint i = 0; matches && i < matches->len; i++) {
        const ConsoleMatch *match = matches->pdata[i];

        if (match->chardev && !machine_find_chardev(machine, match->chardev)) {
            fprintf(
                stderr,
                "kaso: warning: -action console-match=%s,chardev=%s: there is no such character "
                "device (`info chardev` lists them)\n",
                match->pattern, match->chardev);
        }
    }
}

/* Only where output would be seen, and where something runs that could write. */
void banner_watch_consoles(Setup *setup)
{
    Machine *machine = setup->machine;
    Chardev *serial = machine_serial(machine, 0);
    const char *kind = serial ? serial->type->name : "null";

    tell_absent_consoles(machine);
    if (setup->silence_s && strcmp(kind, "null") != 0 && strcmp(kind, "vc") != 0 &&
        machine->vcpus->len && machine->accelerator->vcpu_run) {
        console_watch_silence(machine, setup->silence_s, tell_silence, setup);
        if (!setup->no_boot_diagnosis) {
            diagnosis_prepare(machine);
        }
    }
}
