/* SPDX-License-Identifier: MIT */
/* Which names and numbers the events of a target may have: who looks out for another would look out for ever. */
#ifndef MACHINE_EVENT_NAMES_H
#define MACHINE_EVENT_NAMES_H

#include "base/registry.h"
#include "machine/debug.h"

enum { EVENT_TARGETS_MAX = 2 };

/* Of a kind there may be several; one for which a target has none does not come there. */
typedef struct {
    DebugEventKind kind;
    const char *targets[EVENT_TARGETS_MAX]; /* by their names */
    const char *(*name)(unsigned index);    /* "": none has that index; NULL: nor those behind it. May be NULL */
    uint64_t numbers;                       /* from 0 on so many; 0: any */
} EventNames;
#define EVENT_NAMES(object) REGISTRY_ADD(event_names, object)
REGISTRY_DECLARE(event_names, EventNames);

/* The name of a register that a device adds to CPUs (machine/target.h); NULL behind the last. */
const char *machine_external_register_name(Machine *machine, unsigned index);

#endif
