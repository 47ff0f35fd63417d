/* SPDX-License-Identifier: MIT */
/*
 * The monitor: how people (HMP, a command line) and programs (QMP, JSON) look into and steer a
 * machine. Any number of them may exist; each lives until its machine is freed.
 */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include "machine/chardev.h"
#include "machine/machine.h"

/* mode: "readline" (HMP) or "control" (QMP). pretty: QMP indents its JSON. */
bool monitor_create(Machine *machine, const char *mode, Chardev *chardev, bool pretty,
                    GError **error);

/* Runs one HMP line without a session, with its printed result in *output (caller frees). */
/* With that CPU as the current one, if there is one. */
bool monitor_run_line_on(Machine *machine, unsigned vcpu, const char *line, char **output,
                         GError **error);
bool monitor_run_line(Machine *machine, const char *line, char **output, GError **error);

/*
 * Has the machine's gdb stub listen on a device as -gdb spells it: a short form of a chardev ("tcp::1234" is a port to
 * connect to) or "chardev:ID"; "none": it ends. One that was there before ends.
 */
bool monitor_gdb_server(Machine *machine, const char *device, GError **error);

#endif
