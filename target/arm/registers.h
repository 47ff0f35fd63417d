/* SPDX-License-Identifier: MIT */
/* An Arm processor's registers and state as tables; see the source. */
#ifndef TARGET_ARM_REGISTERS_H
#define TARGET_ARM_REGISTERS_H

#include "target/arm/cpu.h"

extern const RegisterFields arm_register_fields[];
extern const TargetRegister arm_registers[];
extern const StateField arm_state[];
/* After registers or state were set from outside. */
void arm_state_loaded(Vcpu *vcpu);

#endif
