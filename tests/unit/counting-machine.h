/* SPDX-License-Identifier: MIT */
/* A machine for tests of the core: CPUs that count their rounds, an accelerator that runs them, RAM and nothing else. */
#ifndef TESTS_UNIT_COUNTING_MACHINE_H
#define TESTS_UNIT_COUNTING_MACHINE_H

#include "machine/accelerator.h"
#include "machine/private.h"

typedef struct {
    Vcpu vcpu;
    atomic_uint rounds;
    atomic_bool exit_flag;
    bool feature;
} CountingCpu;

typedef struct {
    Device device;
    bool option;
} CountingBoard;

extern const Accelerator counting_accelerator;

/* Built and reset, not started; to be freed by machine_free. */
Machine *counting_machine(unsigned vcpus);
/* How often a CPU has been round its loop. */
unsigned counting_rounds(Machine *machine, unsigned index);

#endif
