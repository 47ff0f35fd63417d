/* SPDX-License-Identifier: MIT */
/* Target.describe and Target.describe_mappings. */
#ifndef TARGET_I386_DESCRIBE_H
#define TARGET_I386_DESCRIBE_H

#include "target/i386/cpu.h"

void x86_describe(Vcpu *vcpu, bool all, GString *out);
void x86_describe_mappings(Vcpu *vcpu, bool ranges, GString *out);

#endif
