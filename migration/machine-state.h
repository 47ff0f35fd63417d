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

/* How it is sent. */
typedef struct {
    bool answer;       /* both sides speak (private.h) */
    unsigned lanes;    /* channels beside the first, and … */
    uint64_t lanes_id; /* … what they say to belong to it */
} MachineHead;

/*
 * The sections around the pages. The lock is held; vCPUs are parked for the second. running: who loads it
 * goes on.
 */
bool machine_state_write_head(Machine *machine, StreamWriter *writer, const MachineHead *head,
                              GError **error);
bool machine_state_write_devices(Machine *machine, StreamWriter *writer, bool running,
                                 GError **error);

/* What has been read and waits for machine_state_load. */
typedef struct {
    GArray *pieces;            /* of ram_match */
    GByteArray *devices, *run, *bitmaps; /* NULL: not there */
    bool (*sync)(void *opaque, GError **error); /* at STREAM_SYNC; NULL: there must be none */
    void *opaque;
} MachineState;
void machine_state_clear(MachineState *state);

/* The beginning of a stream, which stays in the reader. May wait for long: on any thread, without the lock where it is not the main loop's. */
bool machine_state_read_head(StreamReader *reader, GError **error);
/*
 * That beginning: an error when it is not of a machine like this one. Nothing has changed then. [lock]
 */
bool machine_state_match(Machine *machine, const StreamReader *reader, MachineState *state,
                         MachineHead *head, GError **error);
/*
 * The rest, up to its end: pages go where they belong, into memory that was cleared (ram_clear), all else into *state. vCPUs are parked; on any thread, without the lock where
 * it is not the main loop's. After a failure the machine must not run without a reset.
 */
bool machine_state_read(Machine *machine, StreamReader *reader, MachineState *state,
                        GError **error);
/* Reads a whole stream and says whether the machine would take it; nothing changes. [main loop, lock] */
bool machine_state_check(Machine *machine, StreamReader *reader, GError **error);
/*
 * The devices and the clock; *running: whether the machine ran, or would have. After a failure the machine must not run without a reset.
 * [main loop, lock]
 */
bool machine_state_load(Machine *machine, const MachineState *state, bool *running, GError **error);

#endif
