/* SPDX-License-Identifier: MIT */
/* one-insn-per-tb: translated blocks of one instruction, so that logs of blocks tell of each. */
#include <string.h>

#include "base/error.h"
#include "machine/accelerator.h"
#include "monitor/command.h"

static json_t *one_insn_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const char *wanted = monitor_get_string(arguments, "option");

    if (!machine->accelerator || !machine->accelerator->set_one_insn) {
        error_fail(error, KASO_ERROR_INVALID,
                   "one-insn-per-tb is of the translator (-accel tcg), which does not run here");
        return NULL;
    }
    machine_exclusive_begin(machine);
    machine->accelerator->set_one_insn(machine, !wanted || strcmp(wanted, "on") == 0);
    machine_exclusive_end(machine);
    return NULL;
}

static const MonitorArgument one_insn_arguments[] = {
    { "option", ARGUMENT_STRING, true, "on or off (on)",
      .values = (const char *const[]){ "on", "off", NULL } },
    { NULL },
};

static const MonitorCommand one_insn_command = {
    .hmp = "one-insn-per-tb",
    .summary = "translated blocks of one instruction, for logs",
    .arguments = one_insn_arguments,
    .run = one_insn_run,
};
MONITOR_COMMAND(one_insn_command);
