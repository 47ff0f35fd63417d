/* SPDX-License-Identifier: MIT */
/* The command line's options as the monitor tells of them: the door between main/ and monitor/. */
#ifndef MACHINE_OPTION_INFO_H
#define MACHINE_OPTION_INFO_H

typedef struct OptionInfo {
    const char *group;     /* what tools look for, which is not always the option's name; NULL ends a table */
    const char *arguments; /* as the option's help has them: "[cpus=]N[,sockets=N]…" */
    const char *more;      /* what is not in the help, in the same form; or NULL */
} OptionInfo;

#endif
