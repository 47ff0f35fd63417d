/* SPDX-License-Identifier: MIT */
/* Target.registers and Target.state. */
#ifndef TARGET_I386_REGISTERS_H
#define TARGET_I386_REGISTERS_H

#include "machine/state.h"
#include "target/i386/cpu.h"

/* In the order of gdb's descriptions of the two targets. */
extern const TargetRegister x86_64_registers[], x86_i386_registers[];
extern const RegisterFields x86_register_fields[];
extern const StateField x86_state[];
enum { X86_STATE_VERSION = 0 };
/* Target.state_loaded */
void x86_state_loaded(Vcpu *vcpu);

#endif
