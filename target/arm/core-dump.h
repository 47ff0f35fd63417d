/* SPDX-License-Identifier: MIT */
/* Target.core_notes. */
#ifndef TARGET_ARM_CORE_DUMP_H
#define TARGET_ARM_CORE_DUMP_H

#include "target/arm/cpu.h"

void arm_core_notes(Vcpu *vcpu, GByteArray *notes);

#endif
