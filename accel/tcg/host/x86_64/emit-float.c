/* SPDX-License-Identifier: MIT */
/* Floating point: every op calls its helper, which knows the guest's rules. */
#include "accel/tcg/host/x86_64/vector.h"

static void store_arguments(Emitter *e, const IrOp *op, const int8_t *regs)
{
    unsigned ints = 0, vectors = 0;

    for (unsigned k = 0; k < 4 && op->args[k]; k++) {
        if (regs[k] >= XMM0) {
            asm_vector_store(e, 4, mem(RSP, FRAME_VECTOR_ARGS + 16 * (int)vectors++), regs[k]);
        } else {
            asm_store(&e->a, true, mem(RSP, FRAME_INT_ARGS + 8 * (int)ints++), regs[k]);
        }
    }
    asm_store_imm(&e->a, 3, mem(RSP, FRAME_INT_ARGS + 8 * (int)ints), (int32_t)op->imm);
}

bool emit_float_op(Emitter *e, const IrOp *op)
{
    int8_t regs[4];
    int result, function;
    bool flags = op->opcode == IR_OP_fcmp;

    if (op->opcode != IR_OP_fop && !flags) {
        return false;
    }
    emitter_clobber_flags(e);
    for (unsigned k = 0; k < 4 && op->args[k]; k++) {
        regs[k] = (int8_t)emitter_use(e, op->args[k]);
        if (e->upper_garbage[op->args[k]]) {
            int clean = emitter_scratch(e);

            asm_mov(&e->a, false, clean, regs[k]);
            regs[k] = (int8_t)clean;
        }
    }
    function = emitter_scratch(e);
    emitter_advance(e);
    result = flags ? emitter_scratch(e) : emitter_result(e, NO_REG, 0);
    store_arguments(e, op, regs);
    asm_mov_imm(&e->a, function, (uintptr_t)op->helper->function);
    asm_store(&e->a, true, mem(RSP, FRAME_FUNCTION), function);
    asm_call_to(&e->a, e->b->cold[COLD_HELPER][1]);
    if (result >= XMM0) {
        asm_vector_load(e, 4, result, mem(RSP, FRAME_VECTOR_RESULT));
    } else {
        asm_load(&e->a, op->type == IR_I64 && !flags, result, mem(RSP, FRAME_RESULT));
    }
    emitter_finish(e, result);
    return true;
}

void emit_helper_stub(Emitter *e, ColdStub *stub)
{
    (void)stub;
    e->failed = true;
}
