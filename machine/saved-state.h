/* SPDX-License-Identifier: MIT */
/*
 * The state of a whole machine but its RAM and disks, as bytes: the clock, and by path each device and CPU with
 * its tables (machine/state.h), its lines' levels and, for CPUs, the target's registers by name. A snapshot and a
 * migration carry it; what reads them back need not be the accelerator that wrote them.
 */
#ifndef MACHINE_SAVED_STATE_H
#define MACHINE_SAVED_STATE_H

#include <glib.h>

#include "machine/machine.h"
#include "machine/state.h"

/* Both with the machine stopped and the lock held. */
GByteArray *machine_save_state(Machine *machine);
/*
 * Into a machine that was built by the same command line. After a failure the machine must not run without a reset:
 * part of the state has been loaded.
 */
bool machine_load_state(Machine *machine, const uint8_t *data, size_t size, GError **error);
/* Whether it would be taken as far as tables tell, which is all but what devices themselves check of values together. Nothing changes. */
bool machine_state_fits(Machine *machine, const uint8_t *data, size_t size, GError **error);

/*
 * What may be in the way of saving, asked before it begins and when it is done: fn says why not. Such are things outside of the
 * machine that its guest holds on to.
 */
typedef bool MaySave(void *opaque, GError **error);
void machine_ask_before_save(Machine *machine, MaySave *fn, void *opaque);
void machine_forget_before_save(Machine *machine, const void *opaque);
bool machine_may_save(Machine *machine, GError **error);

/* A part of the state that is no device's. */
typedef struct {
    const char *name;
    const StateField *fields;
    void (*loaded)(void *instance); /* when all is; may be NULL */
} SavedPart;

/* Once a machine and part; both live as long as the machine. */
void machine_save_part(Machine *machine, const SavedPart *part, void *instance);

/*
 * What only an accelerator of the same name can take, such as a virtual machine that the guest runs: `there` is asked at each save, when
 * all else is saved, and a machine that has it is refused elsewhere with an error that says `what` it has.
 */
typedef bool BoundState(const Machine *machine);
void machine_save_bound(Machine *machine, const char *what, BoundState *there);

/* One device (or CPU) of it, for tests: fields, hooks and checks, without the device's place. */
void device_save_state(Device *device, GByteArray *out);
bool device_load_state(Device *device, unsigned version, const uint8_t *data, size_t size,
                       GError **error);

#endif
