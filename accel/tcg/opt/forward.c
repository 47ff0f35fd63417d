/* SPDX-License-Identifier: MIT */
/* Variables: a get gives the value that the last set or get saw; sets of what is there already go. */
#include "accel/tcg/opt/passes.h"

static bool is_same(const IrUnit *unit, IrRef a, IrRef b)
{
    const IrOp *x = &unit->ops[a], *y = &unit->ops[b];

    return a == b ||
           ((x->opcode == IR_OP_const || x->opcode == IR_OP_vconst) && x->opcode == y->opcode &&
            x->type == y->type && x->imm == y->imm && x->aux == y->aux);
}

void opt_forward_variables(IrUnit *unit)
{
    IrRef replacement[IR_MAX_OPS];
    IrRef current[IR_MAX_VARS] = { 0 };

    for (unsigned i = 0; i < unit->count; i++) {
        IrOp *op = &unit->ops[i];

        replacement[i] = (IrRef)i;
        opt_replace_args(op, replacement);
        switch (op->opcode) {
        case IR_OP_get:
            if (current[op->var]) {
                replacement[i] = current[op->var];
                opt_remove(op);
            } else {
                current[op->var] = (IrRef)i;
            }
            break;
        case IR_OP_set:
            if (current[op->var] && is_same(unit, current[op->var], op->args[0])) {
                opt_remove(op);
            } else {
                current[op->var] = op->args[0];
            }
            break;
        case IR_OP_call:
            if (op->helper->flags & HELPER_WRITES) {
                memset(current, 0, sizeof current);
            }
            break;
        }
    }
}
