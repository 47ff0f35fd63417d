/* SPDX-License-Identifier: MIT */
/*
 * What a guest is doing, for whoever wonders why nothing happens: where each CPU is, what it waits for or goes round in, which device
 * registers it polls, what it touched that does not exist, how often it was reset, and what its kernel says. Machine lock held.
 */
#ifndef DEBUG_DIAGNOSIS_H
#define DEBUG_DIAGNOSIS_H

#include <glib.h>

#include "machine/machine.h"

typedef enum { CPU_OFF, CPU_WAITS, CPU_LOOPS, CPU_RUNS, CPU_STORM, CPU_STOPPED } CpuActivity;

typedef struct {
    unsigned index;
    CpuActivity activity;
    uint64_t pc;
    char *mode;   /* "EL1, MMU on", "real mode" */
    char *where;  /* symbol, or what kind of memory the pc is in */
    char *task;   /* of its kernel: "1 (init)"; NULL: not known */
    char *detail; /* what wakes it, what it loops in, which exception; NULL: nothing to say */
} CpuDiagnosis;

typedef struct {
    char *name; /* "pl011.UARTFR", "nothing" */
    uint64_t address;
    unsigned count;
    bool write, missing, port;
} TouchedPlace;

typedef struct {
    GPtrArray *cpus; /* CpuDiagnosis */
    GPtrArray
        *polled; /* TouchedPlace, the most first: device registers while the CPUs were watched */
    GPtrArray *missing; /* TouchedPlace: since the machine started, or was first asked about */
    GPtrArray *hints;   /* char *: what is probably wrong, or what to do, as sentences */
    char *last_output;  /* line of a console; NULL */
    char *kernel;       /* banner of a Linux kernel; NULL */
    char *kernel_log;   /* its last line; NULL */
    unsigned resets;    /* by the guest */
    const char *reset_reason; /* of the last; NULL */
    char *triple_fault; /* a sentence; NULL: there was none */
} Diagnosis;

enum { DIAGNOSIS_WATCH_MS = 60 };

/* From now on: what is touched that does not exist is remembered, and the last line of consoles. */
void diagnosis_prepare(Machine *machine);
/*
 * Watches the guest for DIAGNOSIS_WATCH_MS when it runs; gives the lock up meanwhile. In the main loop. diagnosis_free.
 */
Diagnosis *diagnosis_make(Machine *machine);
void diagnosis_free(Diagnosis *diagnosis);
/* One paragraph, without a line end. Caller frees. */
char *diagnosis_text(const Diagnosis *diagnosis);
const char *cpu_activity_name(CpuActivity activity);

#endif
