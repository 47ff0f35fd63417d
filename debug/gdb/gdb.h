/* SPDX-License-Identifier: MIT */
/*
 * The gdb stub: gdb's remote serial protocol on a character device. A CPU is a thread, the machine process 1. It serves one
 * debugger at a time, and the next when that has gone.
 */
#ifndef DEBUG_GDB_GDB_H
#define DEBUG_GDB_GDB_H

#include "machine/chardev.h"
#include "machine/machine.h"

typedef struct GdbStub GdbStub;

/* What `monitor TEXT` does: runs a line with that CPU as the current one; *output is the caller's to free. */
typedef bool GdbMonitor(Machine *machine, unsigned vcpu, const char *line, char **output, GError **error);

/*
 * Takes the chardev's front end. The stub lasts until gdb_stop, or the machine is freed. monitor may be NULL. In the main
 * loop, with the machine lock.
 */
GdbStub *gdb_start(Machine *machine, Chardev *chardev, GdbMonitor *monitor, GError **error);
/* Lets go of the chardev, which stays the caller's. */
void gdb_stop(GdbStub *stub);
Chardev *gdb_chardev(const GdbStub *stub);

#endif
