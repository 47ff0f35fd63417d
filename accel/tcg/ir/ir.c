/* SPDX-License-Identifier: MIT */
/* Building units. */
#include "accel/tcg/ir/ir.h"

const IrOpInfo ir_op_info[IR_OP_COUNT] = {
#define X(name, args, result, effects, text) { #name, args, #result[0], effects, text },
    IR_OPS(X)
#undef X
};

void ir_unit_init(IrUnit *unit, const IrVar *vars, unsigned var_count)
{
    unit->vars = vars;
    unit->var_count = var_count;
    unit->mode = 0;
    unit->check_insn = NULL;
    unit->breaks = NULL;
    unit->count_var = 0;
    unit->count_base = 0;
    unit->begun = unit->rounds = 0;
    unit->start = unit->end = 0;
    unit->insn_count = 0;
    unit->count = 1;
    unit->full = false;
    unit->ops[0] = (IrOp){ .opcode = IR_OP_nop };
}

IrRef ir_emit(IrUnit *unit, IrOp op)
{
    if (unit->count >= IR_MAX_OPS) {
        unit->full = true;
        return IR_MAX_OPS - 1;
    }
    unit->ops[unit->count] = op;
    return (IrRef)unit->count++;
}

IrType ir_result_type(const IrOp *op)
{
    switch (ir_op_info[op->opcode].result) {
    case 'T':
        return op->type;
    case 'L':
        return IR_I64;
    case 'I':
        return IR_I32;
    case 'F':
        return IR_FLAGS;
    case 'Q':
        return IR_V128;
    default:
        return IR_VOID;
    }
}

bool ir_op_has_effect(const IrOp *op)
{
    if (op->opcode == IR_OP_call) {
        return op->type == IR_VOID || (op->helper->flags & (HELPER_WRITES | HELPER_FAULTS |
                                                            HELPER_NORETURN | HELPER_EFFECT));
    }
    return ir_op_info[op->opcode].effects &
           (IR_WRITE_VAR | IR_FAULTS | IR_MEMORY | IR_CONTROL | IR_EFFECT);
}

bool ir_op_ends_unit(const IrOp *op)
{
    switch (op->opcode) {
    case IR_OP_goto:
    case IR_OP_goto_ind:
    case IR_OP_dispatch:
    case IR_OP_dispatch_env:
        return true;
    case IR_OP_call:
        return op->helper->flags & HELPER_NORETURN;
    default:
        return false;
    }
}
