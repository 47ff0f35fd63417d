/* SPDX-License-Identifier: MIT */
/*
 * A machine as a stream: what it is, its pages, its devices, and whether it ran. Who saves it in one go, and who sends pages while it runs, write the
 * same sections.
 */
#ifndef MIGRATION_MACHINE_STATE_H
#define MIGRATION_MACHINE_STATE_H

#include "machine/machine.h"
#include "migration/ram.h"
#include "migration/stream.h"

/*
 * Stops the machine with a reason of its own, with nothing left that it has asked for. *before: the reason that it has when it is not to
 * run again; *ran: it is. false: the run has ended. [main loop, lock]
 */
bool machine_state_hold(Machine *machine, StopReason now, StopReason *before, bool *ran);
void machine_state_go_on(Machine *machine, StopReason before, bool run);

/*
 * The sections around the pages. The lock is held; vCPUs are parked for the second. answer: who reads it shall answer; running: who loads
 * it goes on.
 */
bool machine_state_write_head(Machine *machine, StreamWriter *writer, bool answer, GError **error);
bool machine_state_write_devices(Machine *machine, StreamWriter *writer, bool running,
                                 GError **error);

/* What has been read and waits for machine_state_load. */
typedef struct {
    GArray *pieces;            /* of ram_match */
    GByteArray *devices, *run; /* NULL: not there */
} MachineState;
void machine_state_clear(MachineState *state);

/* The beginning of a stream, which stays in the reader. May wait for long: on any thread, without the lock where it is not the main loop's. */
bool machine_state_read_head(StreamReader *reader, GError **error);
/*
 * That beginning: an error when it is not of a machine like this one. Nothing has changed then.
 * *answer: an answer is waited for. [lock]
 */
bool machine_state_match(Machine *machine, const StreamReader *reader, MachineState *state,
                         bool *answer, GError **error);
/*
 * The rest, up to its end: pages go where they belong, all else into *state. vCPUs are parked; on any thread, without the lock where
 * it is not the main loop's. After a failure the machine must not run without a reset.
 */
bool machine_state_read(Machine *machine, StreamReader *reader, MachineState *state,
                        GError **error);
/*
 * The devices and the clock; *running: whether the machine ran, or would have. After a failure the machine must not run without a reset.
 * [main loop, lock]
 */
bool machine_state_load(Machine *machine, const MachineState *state, bool *running, GError **error);

#endif
