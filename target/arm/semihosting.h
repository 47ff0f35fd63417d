/* SPDX-License-Identifier: MIT */
/* Arm's semihosting calls (ARM IHI 0100), for HLT #0xF000. */
#ifndef TARGET_ARM_SEMIHOSTING_H
#define TARGET_ARM_SEMIHOSTING_H

#include "target/arm/cpu.h"

typedef enum {
    SEMIHOSTING_REFUSED, /* it is off, or not for this exception level: the instruction is undefined */
    SEMIHOSTING_DONE,
    SEMIHOSTING_AGAIN, /* nothing was typed yet: the instruction comes once more */
} SemihostingAnswer;

/* The operation in w0 with what x1 says; the result goes to x0. Takes the machine lock. */
SemihostingAnswer arm_semihosting_call(ArmCpu *cpu, bool privileged);

#endif
