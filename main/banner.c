/* SPDX-License-Identifier: MIT */
/* The first line: what runs, on what, and how to leave. Only for people: standard error is a terminal. */
#include <stdio.h>
#include <unistd.h>

#include "machine/accelerator.h"
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
