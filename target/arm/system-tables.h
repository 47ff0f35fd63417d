/* SPDX-License-Identifier: MIT */
/* Target.tables, Target.read_table and Target.explain_interrupt. */
#ifndef TARGET_ARM_SYSTEM_TABLES_H
#define TARGET_ARM_SYSTEM_TABLES_H

#include "machine/irq-chain.h"
#include "machine/system-table.h"

extern const char *const arm_system_tables[];
void arm_read_table(Vcpu *vcpu, const char *name, SystemTable *table);
void arm_explain_interrupt(Vcpu *vcpu, IrqChain *chain);

#endif
