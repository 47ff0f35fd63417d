/* SPDX-License-Identifier: MIT */
/* The machine lock for callbacks of GLib sources, which may be dispatched with or without it. */
#ifndef BACKENDS_LOCK_H
#define BACKENDS_LOCK_H

#include "machine/machine.h"

/* Returns whether it took the lock, for backend_unlock. */
static inline bool backend_lock(Machine *machine)
{
    if (machine_lock_held(machine)) {
        return false;
    }
    machine_lock(machine);
    return true;
}

static inline void backend_unlock(Machine *machine, bool taken)
{
    if (taken) {
        machine_unlock(machine);
    }
}

/*
 * Whether the source that calls us was removed while its callback waited for the lock: what it
 * would touch may be gone.
 */
static inline bool backend_source_removed(void)
{
    GSource *source = g_main_current_source();

    return source && g_source_is_destroyed(source);
}

#endif
