/* SPDX-License-Identifier: MIT */
/* Products and quotients. */
#include "accel/tcg/host/x86_64/emitter.h"

void emit_product(Emitter *e, const IrOp *op)
{
    bool w = op->type == IR_I64;
    int32_t imm;
    int a, b, result;

    emitter_clobber_flags(e);
    a = emitter_use(e, op->args[0]);
    if (emitter_const32(e, op->args[1], w, &imm)) {
        emitter_advance(e);
        result = emitter_result(e, a, 0);
        asm_rr(&e->a, asm_fits8(imm) ? 0x6b : 0x69, w, result, a);
        if (asm_fits8(imm)) {
            asm_u8(&e->a, (uint8_t)imm);
        } else {
            asm_u32(&e->a, (uint32_t)imm);
        }
    } else {
        b = emitter_use(e, op->args[1]);
        emitter_advance(e);
        if (e->values[e->at].hint == b) {
            int other = a;

            a = b;
            b = other;
        }
        result = emitter_result(e, a, a == b ? 0 : 1u << b);
        if (result != a) {
            asm_mov(&e->a, w, result, a);
        }
        asm_rr(&e->a, OP(PP_NONE, MAP_0F, 0xaf), w, result, b);
    }
    emitter_finish(e, result);
}

void emit_product_high(Emitter *e, const IrOp *op)
{
    bool w = op->type == IR_I64;
    int b;

    emitter_clobber_flags(e);
    emitter_take(e, RDX);
    emitter_use_in(e, op->args[0], RAX);
    b = emitter_use(e, op->args[1]);
    emitter_advance(e);
    emitter_unbind(e, RAX);
    asm_unary(&e->a, w, op->opcode == IR_OP_mulhs ? 5 : 4, b);
    emitter_finish_from(e, RDX);
}

/* Which operand of an op a value is; 4: none. */
static unsigned operand_index(const Emitter *e, const IrOp *op, IrRef root)
{
    unsigned k = 0;

    while (k < 4 && !(op->args[k] && e->values[op->args[k]].root == root)) {
        k++;
    }
    return k;
}

static bool is_plain(const Emitter *e, IrRef at, unsigned opcode, unsigned type)
{
    const IrOp *op = &e->unit->ops[at];

    return op->opcode == opcode && op->type == type && !op->sub && !e->values[at].skip;
}

/* The product of the quotient at hand and the divisor, when all that it is for is a subtraction from the dividend; or 0. */
static IrRef find_product(const Emitter *e, const IrOp *op, IrRef dividend, IrRef divisor)
{
    IrRef use = e->values[e->at].next_use;

    while (use) {
        const IrOp *user = &e->unit->ops[use];
        unsigned k = operand_index(e, user, (IrRef)e->at);

        if (is_plain(e, use, IR_OP_mul, op->type) && k < 2 &&
            e->values[user->args[1 - k]].root == divisor) {
            IrRef sub = e->values[use].next_use;
            const IrOp *difference = &e->unit->ops[sub];

            return sub && is_plain(e, sub, IR_OP_sub, op->type) &&
                           e->values[difference->args[0]].root == dividend &&
                           e->values[difference->args[1]].root == use && !e->values[sub].use_next[1]
                       ? use
                       : 0;
        }
        use = k < 4 ? e->values[use].use_next[k] : 0;
    }
    return 0;
}

/* The op that computes the remainder of the division at hand, or 0. It is done with it: the host's instruction tells both. */
static IrRef take_remainder(Emitter *e, const IrOp *op)
{
    IrRef dividend = e->values[op->args[0]].root, divisor = e->values[op->args[1]].root;
    IrRef product = dividend == divisor ? 0 : find_product(e, op, dividend, divisor);
    IrRef sub = e->values[product].next_use;
    const IrOp *multiply = &e->unit->ops[product];

    if (!product) {
        return 0;
    }
    for (unsigned k = 0; k < 2; k++) {
        emitter_drop_use(e, e->values[multiply->args[k]].root, product,
                         e->values[product].use_next[k]);
    }
    emitter_drop_use(e, dividend, sub, e->values[sub].use_next[0]);
    e->values[product].skip = e->values[sub].skip = SKIP_FUSED;
    return sub;
}

/* By zero: the quotient is 0, the remainder the dividend. By -1: its negative (the least value's is itself) and 0. */
void emit_quotient(Emitter *e, const IrOp *op)
{
    bool w = op->type == IR_I64, is_signed = op->opcode == IR_OP_divs;
    IrRef remainder = take_remainder(e, op);
    Assembler *a = &e->a;
    uint8_t *zero, *minus = NULL, *done, *done2 = NULL;
    int b;

    emitter_clobber_flags(e);
    emitter_take(e, RDX);
    emitter_use_in(e, op->args[0], RAX);
    if (e->values[op->args[1]].root == e->values[op->args[0]].root) {
        b = emitter_scratch(e);
        asm_mov(a, true, b, RAX);
    } else {
        b = emitter_use(e, op->args[1]);
    }
    emitter_advance(e);
    emitter_unbind(e, RAX);
    asm_rr(a, OP_TEST, w, b, b);
    zero = asm_jcc_short(a, CC_E);
    if (is_signed) {
        asm_group1_imm(a, w, G1_CMP, b, -1);
        minus = asm_jcc_short(a, CC_E);
        if (w) {
            asm_u8(a, 0x48);
        }
        asm_u8(a, 0x99); /* cdq, cqo */
    } else {
        asm_rr(a, OP_XOR, false, RDX, RDX);
    }
    asm_unary(a, w, is_signed ? 7 : 6, b);
    done = asm_jmp_short(a);
    if (is_signed) {
        asm_patch_short(a, minus);
        asm_unary(a, w, 3, RAX);
        if (remainder) {
            asm_rr(a, OP_XOR, false, RDX, RDX);
        }
        done2 = asm_jmp_short(a);
    }
    asm_patch_short(a, zero);
    if (remainder) {
        asm_mov(a, w, RDX, RAX);
    }
    asm_rr(a, OP_XOR, false, RAX, RAX);
    asm_patch_short(a, done);
    if (done2) {
        asm_patch_short(a, done2);
    }
    if (remainder) {
        emitter_bind(e, remainder, RDX);
    }
    emitter_finish_from(e, RAX);
}
