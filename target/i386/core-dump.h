/* SPDX-License-Identifier: MIT */
/* Target.core_notes. */
#ifndef TARGET_I386_CORE_DUMP_H
#define TARGET_I386_CORE_DUMP_H

#include "target/i386/cpu.h"

void x86_core_notes(Vcpu *vcpu, GByteArray *notes);

#endif
