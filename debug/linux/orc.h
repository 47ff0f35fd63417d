/* SPDX-License-Identifier: MIT */
/* One step up a kernel's stack on x86 by its ORC tables (Documentation/arch/x86/orc-unwinder.rst). */
#ifndef DEBUG_LINUX_ORC_H
#define DEBUG_LINUX_ORC_H

#include "debug/linux/linux.h"

typedef struct {
    uint64_t ip, sp, bp;
    bool exact; /* ip was interrupted; else it is a return address */
    bool
        has_regs; /* those below are known: of the innermost frame, or of one that was interrupted */
    uint64_t r10, r13, di, dx;
} OrcState;

typedef enum { ORC_STEP, ORC_END, ORC_UNKNOWN } OrcResult;

/* ORC_UNKNOWN: there is no table for this address, or it does not say; state is as before. */
OrcResult orc_step(LinuxKernel *kernel, OrcState *state);

#endif
