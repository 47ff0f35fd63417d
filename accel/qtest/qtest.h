/* SPDX-License-Identifier: MIT */
/*
 * A line protocol by which a test drives a machine in place of guest code: memory, ports, interrupt lines, the
 * clock (the protocol that QEMU documents as "qtest"). With the accelerator "qtest" no guest code runs and the
 * clock moves only when the test says so.
 */
#ifndef ACCEL_QTEST_QTEST_H
#define ACCEL_QTEST_QTEST_H

#include "machine/chardev.h"
#include "machine/machine.h"

/*
 * Serves the protocol on a char device until the machine is freed. log: the file that gets a copy of what is said, NULL
 * or "none" for none. With the machine lock.
 */
bool qtest_start(Machine *machine, Chardev *chardev, const char *log, GError **error);

#endif
