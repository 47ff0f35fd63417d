/* SPDX-License-Identifier: MIT */
/*
 * Exceptions while a guest is watched: a storm is the same one at the same place again and again, which a guest that makes progress
 * does not have. And the last triple fault: what began it, and why its handler was not entered.
 */
#ifndef DEBUG_DIAGNOSIS_EXCEPTIONS_H
#define DEBUG_DIAGNOSIS_EXCEPTIONS_H

#include "machine/debug.h"

enum { EXCEPTION_PLACES_MAX = 32, EXCEPTION_CPUS_MAX = 64 };

typedef struct {
    const char *name; /* NULL: it has none */
    uint64_t number, value, from, address;
    unsigned count;
} ExceptionPlace;

typedef struct {
    DebugClient client;
    GMutex lock;
    bool watching;
    /* Guarded by lock: of each CPU, the first places, and all exceptions. */
    struct {
        ExceptionPlace places[EXCEPTION_PLACES_MAX];
        unsigned count, all;
    } cpus[EXCEPTION_CPUS_MAX];
    bool triple_fault; /* there was one: */
    ExceptionPlace triple;
    uint64_t idt;
    uint32_t idt_limit;
} ExceptionWatch;

/* From now on triple faults are remembered. The watch lasts as long as the machine. */
void exception_watch_create(ExceptionWatch *watch, Machine *machine);
void exception_watch_destroy(ExceptionWatch *watch);
void exception_watch_begin(ExceptionWatch *watch);
void exception_watch_end(ExceptionWatch *watch);
/* What the CPU took while it was watched, when that was a storm; of *place, name is a literal. */
bool exception_watch_storm(ExceptionWatch *watch, const Vcpu *vcpu, ExceptionPlace *place);
/* A sentence about the last triple fault without its full stop; NULL: there was none. Caller frees. */
char *exception_watch_triple_fault(ExceptionWatch *watch);

#endif
