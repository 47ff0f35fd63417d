/* SPDX-License-Identifier: MIT */
/* Conditions as values, and selects by them. */
#include "accel/tcg/host/x86_64/emitter.h"

/* The op that puts the current one's value into the lowest byte of another, and is all that uses it; or 0. */
static IrRef find_byte_insert(const Emitter *e)
{
    unsigned i = emitter_next_op(e);
    const IrOp *op = &e->unit->ops[i];

    return i && op->opcode == IR_OP_bfi && op->imm == 0 && op->aux == 8 &&
                   e->values[op->args[1]].root == e->at && e->values[op->args[0]].root != e->at &&
                   e->values[e->at].next_use == i && !e->values[i].use_next[1] &&
                   op->args[0] < e->at
               ? (IrRef)i
               : 0;
}

/* A condition as the lowest byte of a register. */
static void emit_set_byte(Emitter *e, HostCondition c, IrRef insert)
{
    int old, result;

    e->values[e->at].next_use = 0;
    e->values[insert].skip = SKIP_FUSED;
    e->at = insert;
    old = emitter_use(e, e->unit->ops[insert].args[0]);
    emitter_advance(e);
    result = emitter_result(e, old, 0);
    emitter_copy(e, result, old);
    asm_setcc(&e->a, c.cc, result);
    emitter_finish(e, result);
}

static void emit_cset(Emitter *e, const IrOp *op)
{
    HostCondition c = emitter_condition(e, op->args[0], op->cond);
    IrRef insert = c.parity == PARITY_NONE ? find_byte_insert(e) : 0;
    Assembler *a = &e->a;
    int result;

    if (insert) {
        IrRef flags = e->values[op->args[0]].root;

        emitter_advance(e);
        emit_set_byte(e, c, insert);
        emitter_release(e, flags);
        return;
    }

    emitter_advance(e);
    result = emitter_result(e, NO_REG, 0);
    if (c.parity == PARITY_NONE) {
        asm_setcc(a, c.cc, result);
        asm_movzx8(a, result, result);
    } else {
        uint8_t *unordered;

        asm_mov_imm(a, result, c.parity == PARITY_OR_SET);
        unordered = asm_jcc_short(a, CC_P);
        asm_setcc(a, c.cc, result);
        asm_patch_short(a, unordered);
    }
    emitter_finish(e, result);
}

/* Jumps over what follows when the condition fails; returns the number of jumps to patch. */
unsigned emit_skip_unless(Emitter *e, HostCondition c, uint8_t *jumps[2])
{
    Assembler *a = &e->a;
    unsigned count = 0;

    if (c.parity == PARITY_AND_CLEAR) {
        jumps[count++] = asm_jcc_short(a, CC_P);
        jumps[count++] = asm_jcc_short(a, c.cc ^ 1u);
    } else if (c.parity == PARITY_OR_SET) {
        uint8_t *unordered = asm_jcc_short(a, CC_P);

        jumps[count++] = asm_jcc_short(a, c.cc ^ 1u);
        asm_patch_short(a, unordered);
    } else {
        jumps[count++] = asm_jcc_short(a, c.cc ^ 1u);
    }
    return count;
}

static void emit_sel_vector(Emitter *e, const IrOp *op)
{
    HostCondition c = emitter_condition(e, op->args[0], op->cond);
    int yes = emitter_use(e, op->args[1]), no = emitter_use(e, op->args[2]), result;
    uint8_t *jumps[2];
    unsigned count;

    emitter_advance(e);
    result = emitter_result(e, no, yes == no ? 0 : 1u << yes);
    emitter_copy(e, result, no);
    count = emit_skip_unless(e, c, jumps);
    emitter_copy(e, result, yes);
    while (count) {
        asm_patch_short(&e->a, jumps[--count]);
    }
    emitter_finish(e, result);
}

static void emit_cmov(Emitter *e, HostCondition c, bool w, int result, int yes)
{
    Assembler *a = &e->a;

    if (c.parity == PARITY_AND_CLEAR) {
        uint8_t *unordered = asm_jcc_short(a, CC_P);

        asm_rr(a, OP(PP_NONE, MAP_0F, 0x40 | c.cc), w, result, yes);
        asm_patch_short(a, unordered);
        return;
    }
    asm_rr(a, OP(PP_NONE, MAP_0F, 0x40 | c.cc), w, result, yes);
    if (c.parity == PARITY_OR_SET) {
        asm_rr(a, OP(PP_NONE, MAP_0F, 0x40 | CC_P), w, result, yes);
    }
}

static void emit_sel(Emitter *e, const IrOp *op)
{
    HostCondition c;
    bool w = op->type == IR_I64;
    int yes, no, result;

    if (op->type == IR_V128) {
        emit_sel_vector(e, op);
        return;
    }
    c = emitter_condition(e, op->args[0], op->cond);
    yes = emitter_use(e, op->args[1]);
    no = emitter_use(e, op->args[2]);
    emitter_advance(e);
    result = emitter_result(e, no, yes == no ? 0 : 1u << yes);
    if (result != no || !w) {
        asm_mov(&e->a, w, result, no);
    }
    emit_cmov(e, c, w, result, yes);
    emitter_finish(e, result);
}

/* Both flags values in registers, then as a select. */
static void emit_fsel(Emitter *e, const IrOp *op)
{
    HostCondition c;
    IrRef chooser = e->values[op->args[0]].root;
    int yes, no, result;

    /* Values to choose from must be in registers or memory, not in EFLAGS. */
    if (e->eflags && !emitter_flags_are_backed(e, e->eflags) && emitter_needed(e, e->eflags) &&
        (e->eflags != chooser || e->values[op->args[1]].root == chooser ||
         e->values[op->args[2]].root == chooser)) {
        emitter_flags_to_rax(e);
    }
    c = emitter_condition(e, op->args[0], op->cond);
    yes = emitter_use(e, op->args[1]);
    no = emitter_use(e, op->args[2]);
    if (e->eflags == chooser) {
        c = emitter_condition(e, op->args[0],
                              op->cond); /* a copy may have changed the sense of CF */
    }
    emitter_advance(e);
    result = emitter_scratch(e);
    asm_mov(&e->a, false, result, no);
    emit_cmov(e, c, false, result, yes);
    emitter_finish(e, result);
}

bool emit_select(Emitter *e, const IrOp *op)
{
    switch (op->opcode) {
    case IR_OP_cset:
        emit_cset(e, op);
        break;
    case IR_OP_sel:
        emit_sel(e, op);
        break;
    case IR_OP_fsel:
        emit_fsel(e, op);
        break;
    default:
        return false;
    }
    return true;
}
