/* SPDX-License-Identifier: MIT */
/* The groups of options that tools ask for, by the names that they know. */
#include "machine/option-info.h"

#include <string.h>

#include "main/handlers.h"

/* What is not built is not here: who finds a group uses it. */
static const struct {
    const char *group, *option;
} groups[] = {
    { "accel", "accel" },     { "action", "action" },
    { "add-fd", "add-fd" },   { "boot-opts", "boot" },
    { "chardev", "chardev" }, { "device", "device" },
    { "drive", "drive" },     { "fsdev", "fsdev" },
    { "fw_cfg", "fw_cfg" },   { "global", "global" },
    { "machine", "machine" }, { "memory", "m" },
    { "mon", "mon" },         { "msg", "msg" },
    { "name", "name" },       { "net", "net" },
    { "netdev", "netdev" },   { "nic", "nic" },
    { "object", "object" },   { "overcommit", "overcommit" },
    { "rtc", "rtc" },         { "run-with", "run-with" },
    { "sandbox", "sandbox" }, { "smbios", "smbios" },
    { "smp-opts", "smp" },    { "trace", "trace" },
    { "virtfs", "virtfs" },   { "vnc", "vnc" },
};

const OptionInfo *option_groups(Setup *setup)
{
    OptionInfo *infos = setup->option_infos = g_new0(OptionInfo, G_N_ELEMENTS(groups) + 1);

    for (size_t i = 0; i < G_N_ELEMENTS(groups); i++) {
        infos[i].group = groups[i].group;
        for (const Option *option = option_table; option->name; option++) {
            if (strcmp(option->name, groups[i].option) == 0) {
                infos[i].arguments = option->argument;
            }
        }
    }
    return infos;
}
