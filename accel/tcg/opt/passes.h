/* SPDX-License-Identifier: MIT */
/* The passes of opt.c. Each is one or two walks over the ops; a removed op becomes a nop. */
#ifndef ACCEL_TCG_OPT_PASSES_H
#define ACCEL_TCG_OPT_PASSES_H

#include <string.h>

#include "accel/tcg/ir/ir.h"

void opt_forward_variables(IrUnit *unit);
void opt_fold(IrUnit *unit);
void opt_dead_sets(IrUnit *unit);
void opt_dead_flags(IrUnit *unit);
void opt_dead_values(IrUnit *unit);
void opt_compact(IrUnit *unit);

static inline void opt_remove(IrOp *op)
{
    *op = (IrOp){ .opcode = IR_OP_nop };
}

/* Lets an op name the values that took the place of its arguments. */
static inline void opt_replace_args(IrOp *op, const IrRef *replacement)
{
    for (unsigned k = 0; k < 4; k++) {
        op->args[k] = replacement[op->args[k]];
    }
}

#endif
