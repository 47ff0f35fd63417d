/* SPDX-License-Identifier: MIT */
/* PSCI firmware calls (DEN0022), carried out for HVC or SMC as the board says. */
#ifndef TARGET_ARM_PSCI_H
#define TARGET_ARM_PSCI_H

#include "target/arm/cpu.h"

/* The call in x0 to x3; the result goes to x0. The pc is that of the next instruction. */
void arm_psci_call(ArmCpu *cpu);

#endif
