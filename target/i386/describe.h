/* SPDX-License-Identifier: MIT */
/* Target.describe and Target.describe_mappings. */
#ifndef TARGET_I386_DESCRIBE_H
#define TARGET_I386_DESCRIBE_H

#include "machine/irq-chain.h"
#include "machine/system-table.h"
#include "target/i386/cpu.h"

void x86_describe(Vcpu *vcpu, bool all, GString *out);
/* Target.tables, Target.read_table and Target.explain_interrupt. */
extern const char *const x86_system_tables[];
void x86_read_table(Vcpu *vcpu, const char *name, SystemTable *table);
void x86_explain_interrupt(Vcpu *vcpu, IrqChain *chain);
void x86_describe_mappings(Vcpu *vcpu, bool ranges, GString *out);

#endif
