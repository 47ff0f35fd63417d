/* SPDX-License-Identifier: MIT */
/* Sums with a scaled index: the addresses of arrays' elements. */
#include "accel/tcg/host/x86_64/emitter.h"

/* The addition right behind op that nothing but it takes part in, or 0. *other: its other operand. */
static IrRef find_sum(const Emitter *e, const IrOp *op, IrRef *other)
{
    IrRef at = (IrRef)e->at, sum = e->values[at].next_use;
    const IrOp *add = &e->unit->ops[sum];
    unsigned k;

    if (!sum || add->opcode != IR_OP_add || add->type != op->type || ir_op_size(add) < 2 ||
        e->values[sum].skip) {
        return 0;
    }
    for (unsigned i = at + 1u; i < sum; i++) {
        if (e->unit->ops[i].opcode != IR_OP_insn && e->unit->ops[i].opcode != IR_OP_const &&
            !e->values[i].skip) {
            return 0;
        }
    }
    k = e->values[add->args[0]].root != at;
    *other = e->values[add->args[!k]].root;
    return *other != at && *other < at && !e->values[sum].use_next[k] &&
                   e->unit->ops[sum + 1u].opcode != IR_OP_addf
               ? sum
               : 0;
}

bool emit_scaled_sum(Emitter *e, const IrOp *op, unsigned count)
{
    IrRef other, sum = count >= 1 && count <= 3 ? find_sum(e, op, &other) : 0;
    int index, base, result;

    if (!sum) {
        return false;
    }
    index = emitter_use(e, op->args[0]);
    base = emitter_use(e, other);
    emitter_advance(e);
    e->at = sum;
    emitter_advance(e);
    result = emitter_result(e, emitter_is_temporary(e, index) ? index : base, 0);
    asm_lea(&e->a, op->type == IR_I64, result, mem_index(base, index, count, 0));
    e->values[sum].skip = SKIP_FUSED;
    emitter_finish(e, result);
    emitter_release(e, e->values[op->args[0]].root);
    return true;
}
