/* SPDX-License-Identifier: MIT */
/*
 * What nobody will see: sets of variables that are set again before anything can observe them
 * (faults, exits and helpers that read variables can), and values without a use.
 */
#include "accel/tcg/opt/passes.h"

static bool observes_variables(const IrOp *op)
{
    if (op->opcode == IR_OP_call) {
        return op->helper->flags & (HELPER_READS | HELPER_WRITES | HELPER_FAULTS | HELPER_NORETURN);
    }
    return ir_op_info[op->opcode].effects & (IR_FAULTS | IR_CONTROL);
}

void opt_dead_sets(IrUnit *unit)
{
    uint64_t set_again[2] = { 0 };

    for (unsigned i = unit->count; i-- > 0;) {
        IrOp *op = &unit->ops[i];
        unsigned word = op->var / 64;
        uint64_t bit = UINT64_C(1) << op->var % 64;

        if (op->opcode == IR_OP_set) {
            if (set_again[word] & bit) {
                opt_remove(op);
            } else {
                set_again[word] |= bit;
            }
        } else if (op->opcode == IR_OP_get) {
            set_again[word] &= ~bit;
        } else if (observes_variables(op)) {
            set_again[0] = set_again[1] = 0;
        }
    }
}

void opt_dead_values(IrUnit *unit)
{
    bool used[IR_MAX_OPS];

    memset(used, 0, unit->count);
    for (unsigned i = unit->count; i-- > 0;) {
        IrOp *op = &unit->ops[i];

        if (op->opcode == IR_OP_nop) {
            continue;
        }
        if (!used[i] && !ir_op_has_effect(op)) {
            opt_remove(op);
            continue;
        }
        for (unsigned k = 0; k < 4; k++) {
            used[op->args[k]] = true;
        }
    }
}
