/* SPDX-License-Identifier: MIT */
/* Integer ops. i32 results always leave the upper half of their register zero. */
#include "accel/tcg/host/x86_64/emitter.h"

#include "base/bits.h"

static bool is_commutative(unsigned opcode)
{
    return opcode == IR_OP_add || opcode == IR_OP_and || opcode == IR_OP_or ||
           opcode == IR_OP_xor || opcode == IR_OP_mul;
}

static unsigned width_of(const IrOp *op)
{
    return op->type == IR_I64 ? 64 : 32;
}

typedef struct {
    uint8_t opcode; /* of the reg, rm form */
    uint8_t digit;  /* of group 1 */
} Alu;

static const Alu alu_table[IR_OP_COUNT] = {
    [IR_OP_add] = { OP_ADD, G1_ADD }, [IR_OP_sub] = { OP_SUB, G1_SUB },
    [IR_OP_and] = { OP_AND, G1_AND }, [IR_OP_or] = { OP_OR, G1_OR },
    [IR_OP_xor] = { OP_XOR, G1_XOR },
};

/* a op constant. */
static void emit_alu_imm(Emitter *e, const IrOp *op, IrRef a_ref, int32_t imm, IrRef flags)
{
    bool w = op->type == IR_I64;
    int a, result;

    a = emitter_use(e, a_ref);
    emitter_advance(e);
    result = emitter_result(e, a, 0);
    if (!flags && result != a &&
        (op->opcode == IR_OP_add || (op->opcode == IR_OP_sub && imm != INT32_MIN))) {
        asm_lea(&e->a, w, result, mem(a, op->opcode == IR_OP_add ? imm : -imm));
    } else if (!flags && op->opcode == IR_OP_and && (uint32_t)imm == 0xff) {
        asm_movzx8(&e->a, result, a);
    } else if (!flags && op->opcode == IR_OP_and && (uint32_t)imm == 0xffff) {
        asm_rr(&e->a, OP(PP_NONE, MAP_0F, 0xb7), false, result, a);
    } else {
        /* A non-negative mask needs only 32 bits; flags are of the full width. */
        bool wide = w && !(op->opcode == IR_OP_and && imm >= 0);

        if (result != a) {
            asm_mov(&e->a, wide, result, a);
        }
        asm_group1_imm(&e->a, wide, alu_table[op->opcode].digit, result, imm);
    }
    emitter_finish(e, result);
}

/* a - b when only b's register may be overwritten. */
static bool emit_reverse_sub(Emitter *e, bool w, int result, int a, int b, IrRef flags)
{
    if (result != b || result == a) {
        return false;
    }
    if (flags) {
        return false;
    }
    asm_unary(&e->a, w, 3, result);
    asm_rr(&e->a, OP_ADD, w, result, a);
    return true;
}

static void emit_alu_rr(Emitter *e, const IrOp *op, IrRef a_ref, IrRef b_ref, IrRef flags)
{
    const Alu *alu = &alu_table[op->opcode];
    bool w = op->type == IR_I64, lea = op->opcode == IR_OP_add && !flags;
    int a = emitter_use(e, a_ref), b = NO_REG, result;
    Mem m;

    if (emitter_use_memory(e, b_ref, &m)) {
        emitter_advance(e);
        result = emitter_result(e, a, 0);
        if (result != a) {
            asm_mov(&e->a, w, result, a);
        }
        asm_rm(&e->a, alu->opcode, w, result, m);
        emitter_finish(e, result);
        return;
    }
    b = emitter_use(e, b_ref);
    emitter_advance(e);
    if (lea || (op->opcode == IR_OP_sub && !flags && e->values[e->at].hint == b && a != b)) {
        result = emitter_result(e, a, 0);
    } else if (is_commutative(op->opcode)) {
        int swap = e->values[e->at].hint == b ||
                   (e->values[e->at].hint != a && emitter_is_temporary(e, b) &&
                    !emitter_needed(e, e->reg_value[b]));

        if (swap) {
            int other = a;

            a = b;
            b = other;
        }
        result = emitter_result(e, a, a == b ? 0 : 1u << b);
    } else {
        result = emitter_result(e, a, a == b ? 0 : 1u << b);
    }
    if (lea && result != a && result != b) {
        asm_lea(&e->a, w, result, mem_index(a, b, 0, 0));
    } else if (lea && result == b) {
        asm_rr(&e->a, OP_ADD, w, result, a);
    } else if (!emit_reverse_sub(e, w, result, a, b, flags)) {
        if (result != a) {
            asm_mov(&e->a, w, result, a);
        }
        asm_rr(&e->a, alu->opcode, w, result, b);
    }
    emitter_finish(e, result);
}

/* With live flags that must survive, addition can do without them. */
static bool emit_lea_add(Emitter *e, const IrOp *op)
{
    bool w = op->type == IR_I64;
    int32_t imm;
    int a, b, result;

    if (emitter_flags_are_free(e) ||
        (op->opcode != IR_OP_add &&
         !(op->opcode == IR_OP_sub && emitter_const32(e, op->args[1], w, &imm) &&
           imm != INT32_MIN))) {
        return false;
    }
    a = emitter_use(e, op->args[0]);
    if (emitter_const32(e, op->args[1], w, &imm)) {
        emitter_advance(e);
        result = emitter_result(e, a, 0);
        asm_lea(&e->a, w, result, mem(a, op->opcode == IR_OP_add ? imm : -(int64_t)imm));
    } else {
        b = emitter_use(e, op->args[1]);
        emitter_advance(e);
        result = emitter_result(e, a, 0);
        asm_lea(&e->a, w, result, mem_index(a, b, 0, 0));
    }
    emitter_finish(e, result);
    return true;
}

static void emit_alu(Emitter *e, const IrOp *op, IrRef flags)
{
    bool w = op->type == IR_I64;
    IrRef a = op->args[0], b = op->args[1];
    int32_t imm;
    uint64_t full;

    if (flags && emit_increment(e, op, flags)) {
        return;
    }
    if (ir_op_size(op) < 2) {
        emit_narrow_alu(e, op, flags);
        return;
    }
    if (!flags && emit_lea_add(e, op)) {
        return;
    }
    emitter_clobber_flags(e);
    if (flags) {
        emitter_plan_recipe(e, flags, (IrRef)e->at);
    }
    if (is_commutative(op->opcode) && emitter_const(e, a, &full)) {
        a = op->args[1];
        b = op->args[0];
    }
    if (emitter_const32(e, b, w, &imm)) {
        emit_alu_imm(e, op, a, imm, flags);
    } else {
        emit_alu_rr(e, op, a, b, flags);
    }
    if (flags) {
        emitter_set_eflags(e, flags, emitter_flags_kind(&e->unit->ops[flags]));
    }
}

void emit_arithmetic_with_flags(Emitter *e, const IrOp *op, IrRef flags)
{
    emit_alu(e, op, flags);
}

static void emit_alu_fusing(Emitter *e, const IrOp *op)
{
    IrRef flags = 0;

    switch (op->opcode) {
    case IR_OP_add:
        flags = emitter_fuse(e, IR_OP_addf);
        break;
    case IR_OP_sub:
        flags = emitter_fuse(e, IR_OP_subf);
        break;
    case IR_OP_and:
        flags = emitter_fuse(e, IR_OP_andf);
        flags = flags ? flags : emitter_fuse_test(e);
        break;
    case IR_OP_or:
    case IR_OP_xor:
        flags = emitter_fuse_test(e);
        break;
    }
    emit_alu(e, op, flags);
}

static void emit_not(Emitter *e, const IrOp *op)
{
    bool w = op->type == IR_I64;
    int a, result;

    if (op->opcode == IR_OP_neg && emitter_flags_are_free(e)) {
        emitter_clobber_flags(e);
    }
    a = emitter_use(e, op->args[0]);
    emitter_advance(e);
    result = emitter_result(e, a, 0);
    if (result != a) {
        asm_mov(&e->a, w, result, a);
    }
    if (op->opcode == IR_OP_neg && !e->eflags) {
        asm_unary(&e->a, w, 3, result);
    } else {
        asm_unary(&e->a, w, 2, result);
        if (op->opcode == IR_OP_neg) {
            asm_lea(&e->a, w, result, mem(result, 1));
        }
    }
    emitter_finish(e, result);
}

static void emit_andn(Emitter *e, const IrOp *op)
{
    bool w = op->type == IR_I64;
    int a, b, result;

    emitter_clobber_flags(e);
    a = emitter_use(e, op->args[0]);
    b = emitter_use(e, op->args[1]);
    emitter_advance(e);
    if (e->has->bmi1) {
        result = emitter_result(e, a, 0);
        asm_vex_rr(&e->a, OP(PP_NONE, MAP_0F38, 0xf2), w, false, result, b, a);
    } else {
        result = emitter_result(e, b, a == b ? 0 : 1u << a);
        if (result != b) {
            asm_mov(&e->a, w, result, b);
        }
        if (a == b) {
            asm_mov_imm(&e->a, result, 0);
        } else {
            asm_unary(&e->a, w, 2, result);
            asm_rr(&e->a, OP_AND, w, result, a);
        }
    }
    emitter_finish(e, result);
}

static unsigned shift_digit(unsigned opcode)
{
    return opcode == IR_OP_shl   ? SHIFT_SHL
           : opcode == IR_OP_shr ? SHIFT_SHR
           : opcode == IR_OP_sar ? SHIFT_SAR
                                 : SHIFT_ROR;
}

static void emit_rorx(Emitter *e, bool w, int result, int a, unsigned count)
{
    asm_vex_rr(&e->a, OP(PP_F2, MAP_0F3A, 0xf0), w, false, result, 0, a);
    asm_u8(&e->a, count);
}

void emit_rotate_const(Emitter *e, const IrOp *op, unsigned count)
{
    int a = emitter_use(e, op->args[0]), result;

    emitter_advance(e);
    result = emitter_result(e, a, 0);
    emit_rorx(e, op->type == IR_I64, result, a, count);
    emitter_finish(e, result);
}

static void emit_shift_const(Emitter *e, const IrOp *op, unsigned count)
{
    bool w = op->type == IR_I64;
    int a, result;

    if (op->opcode == IR_OP_shl && emit_scaled_sum(e, op, count)) {
        return;
    }
    if (op->opcode == IR_OP_ror && e->has->bmi2) {
        emit_rotate_const(e, op, count);
        return;
    }
    emitter_clobber_flags(e);
    a = emitter_use(e, op->args[0]);
    emitter_advance(e);
    result = emitter_result(e, a, 0);
    if (op->opcode == IR_OP_shl && count == 1 && result != a) {
        asm_lea(&e->a, w, result, mem_index(a, a, 0, 0));
        emitter_finish(e, result);
        return;
    }
    if (result != a || count == 0) {
        asm_mov(&e->a, w, result, a);
    }
    if (count) {
        asm_shift_imm(&e->a, w, shift_digit(op->opcode), result, count);
    }
    emitter_finish(e, result);
}

static void emit_shift(Emitter *e, const IrOp *op)
{
    static const uint8_t pp[IR_OP_COUNT] = {
        [IR_OP_shl] = PP_66,
        [IR_OP_shr] = PP_F2,
        [IR_OP_sar] = PP_F3,
    };
    bool w = op->type == IR_I64;
    uint64_t count;
    int a, result;

    if (emitter_const(e, op->args[1], &count)) {
        emit_shift_const(e, op, (unsigned)count & (width_of(op) - 1));
        return;
    }
    if (op->opcode != IR_OP_ror && e->has->bmi2) {
        int b;

        a = emitter_use(e, op->args[0]);
        b = emitter_use(e, op->args[1]);
        emitter_advance(e);
        result = emitter_result(e, a, 0);
        asm_vex_rr(&e->a, OP(pp[op->opcode], MAP_0F38, 0xf7), w, false, result, b, a);
        emitter_finish(e, result);
        return;
    }
    emitter_clobber_flags(e);
    emitter_use_in(e, op->args[1], RCX);
    a = emitter_use(e, op->args[0]);
    emitter_advance(e);
    result = emitter_result(e, a, 1u << RCX);
    if (result != a) {
        asm_mov(&e->a, w, result, a);
    }
    asm_shift_cl(&e->a, w, shift_digit(op->opcode), result);
    emitter_finish(e, result);
}

/* (a:b) >> imm */
static void emit_extr(Emitter *e, const IrOp *op)
{
    bool w = op->type == IR_I64;
    unsigned count = (unsigned)op->imm & (width_of(op) - 1);
    int a, b, result;

    if (count && e->has->bmi2 && e->values[op->args[0]].root == e->values[op->args[1]].root) {
        emit_rotate_const(e, op, count);
        return;
    }
    emitter_clobber_flags(e);
    a = emitter_use(e, op->args[0]);
    b = emitter_use(e, op->args[1]);
    emitter_advance(e);
    result = emitter_result(e, b, a == b ? 0 : 1u << a);
    if (result != b || !count) {
        asm_mov(&e->a, w, result, b);
    }
    if (count) {
        asm_rr(&e->a, OP(PP_NONE, MAP_0F, 0xac), w, a == b ? result : a, result);
        asm_u8(&e->a, count);
    }
    emitter_finish(e, result);
}

static void emit_count_zeros(Emitter *e, const IrOp *op)
{
    bool w = op->type == IR_I64, leading = op->opcode != IR_OP_ctz;
    unsigned width = width_of(op);
    Assembler *as = &e->a;
    int a, in, result;

    emitter_clobber_flags(e);
    in = a = emitter_use(e, op->args[0]);
    if (op->opcode == IR_OP_cls) {
        in = emitter_scratch(e);
        asm_mov(as, w, in, a);
        asm_shift_imm(as, w, SHIFT_SAR, in, 1);
        asm_rr(as, OP_XOR, w, in, a);
    }
    emitter_advance(e);
    result = emitter_result(e, NO_REG, 0);
    if (leading ? e->has->lzcnt : e->has->bmi1) {
        asm_rr(as, OP(PP_F3, MAP_0F, leading ? 0xbd : 0xbc), w, result, in);
    } else {
        uint8_t *some;
        int zero = leading ? (int)(2 * width - 1) : (int)width;

        asm_rr(as, OP(PP_NONE, MAP_0F, leading ? 0xbd : 0xbc), w, result, in);
        some = asm_jcc_short(as, CC_NE);
        asm_mov_imm(as, result, (unsigned)zero);
        asm_patch_short(as, some);
        if (leading) {
            asm_group1_imm(as, false, G1_XOR, result, (int)width - 1);
        }
    }
    if (op->opcode == IR_OP_cls) {
        asm_group1_imm(as, false, G1_SUB, result, 1);
    }
    emitter_finish(e, result);
}

/* Exchanges groups of `shift` bits; mask: the lower group of each pair. */
static void emit_swap_bits(Emitter *e, bool w, int value, int part, int mask_reg, unsigned shift,
                           uint64_t mask)
{
    Assembler *a = &e->a;

    if (!w) {
        mask &= UINT32_MAX;
    }
    asm_mov_imm(a, mask_reg, mask);
    asm_mov(a, w, part, value);
    asm_shift_imm(a, w, SHIFT_SHR, part, shift);
    asm_rr(a, OP_AND, w, part, mask_reg);
    asm_rr(a, OP_AND, w, value, mask_reg);
    asm_shift_imm(a, w, SHIFT_SHL, value, shift);
    asm_rr(a, OP_OR, w, value, part);
}

static void emit_reverse(Emitter *e, const IrOp *op)
{
    bool w = op->type == IR_I64;
    int a, part, mask_reg, result;

    if (op->opcode == IR_OP_bswap && (op->esz == 3 || (op->esz == 2 && !w))) {
        a = emitter_use(e, op->args[0]);
        emitter_advance(e);
        result = emitter_result(e, a, 0);
        if (result != a) {
            asm_mov(&e->a, w, result, a);
        }
        asm_bswap(&e->a, w, result);
        emitter_finish(e, result);
        return;
    }
    emitter_clobber_flags(e);
    a = emitter_use(e, op->args[0]);
    part = emitter_scratch(e);
    mask_reg = emitter_scratch(e);
    emitter_advance(e);
    result = emitter_result(e, a, 0);
    if (result != a) {
        asm_mov(&e->a, w, result, a);
    }
    if (op->opcode == IR_OP_rbit) {
        asm_bswap(&e->a, w, result);
        emit_swap_bits(e, w, result, part, mask_reg, 4, UINT64_C(0x0f0f0f0f0f0f0f0f));
        emit_swap_bits(e, w, result, part, mask_reg, 2, UINT64_C(0x3333333333333333));
        emit_swap_bits(e, w, result, part, mask_reg, 1, UINT64_C(0x5555555555555555));
    } else if (op->esz == 2) {
        asm_bswap(&e->a, true, result);
        asm_shift_imm(&e->a, true, SHIFT_ROR, result, 32);
    } else {
        emit_swap_bits(e, w, result, part, mask_reg, 8, UINT64_C(0x00ff00ff00ff00ff));
    }
    emitter_finish(e, result);
}

static void emit_popcnt(Emitter *e, const IrOp *op)
{
    int a, result;

    emitter_clobber_flags(e);
    a = emitter_use(e, op->args[0]);
    emitter_advance(e);
    result = emitter_result(e, a, 0);
    asm_rr(&e->a, OP(PP_F3, MAP_0F, 0xb8), op->type == IR_I64, result, a);
    emitter_finish(e, result);
}

void emit_extend_reg(Assembler *a, bool is_signed, bool w, unsigned size_log2, int to, int from)
{
    switch (size_log2) {
    case 0:
        asm_rr(a, OP_BYTE_RM | OP(PP_NONE, MAP_0F, is_signed ? 0xbe : 0xb6), is_signed && w, to,
               from);
        break;
    case 1:
        asm_rr(a, OP(PP_NONE, MAP_0F, is_signed ? 0xbf : 0xb7), is_signed && w, to, from);
        break;
    case 2:
        if (is_signed && w) {
            asm_rr(a, OP_MOVSXD, true, to, from);
        } else {
            asm_mov(a, false, to, from);
        }
        break;
    default:
        asm_mov(a, true, to, from);
    }
}

static void emit_extend(Emitter *e, const IrOp *op)
{
    int a = emitter_use(e, op->args[0]), result;

    emitter_advance(e);
    result = emitter_result(e, a, 0);
    emit_extend_reg(&e->a, op->opcode == IR_OP_sext, op->type == IR_I64,
                    op->opcode == IR_OP_trunc ? 2 : op->esz, result, a);
    emitter_finish(e, result);
}

static void emit_extract(Emitter *e, const IrOp *op)
{
    bool w = op->type == IR_I64, is_signed = op->opcode == IR_OP_sbfx;
    unsigned width = width_of(op), lsb = (unsigned)op->imm, bits = (unsigned)op->aux;
    unsigned size = bits == 8 ? 0 : bits == 16 ? 1 : bits == 32 ? 2 : 3;
    Assembler *as = &e->a;
    int a, result;

    if (lsb == 0 && (size < 3 || bits == width)) {
        a = emitter_use(e, op->args[0]);
        emitter_advance(e);
        result = emitter_result(e, a, 0);
        emit_extend_reg(as, is_signed, w, size == 3 && !w ? 2 : size, result, a);
        emitter_finish(e, result);
        return;
    }
    emitter_clobber_flags(e);
    a = emitter_use(e, op->args[0]);
    emitter_advance(e);
    result = emitter_result(e, a, 0);
    if (!is_signed && bits < 32 && e->has->bmi2 && lsb && result != a && lsb + bits != width) {
        emit_rorx(e, w, result, a, lsb);
        asm_group1_imm(as, false, G1_AND, result, (int32_t)bits_mask(bits));
        emitter_finish(e, result);
        return;
    }
    if (result != a) {
        asm_mov(as, w, result, a);
    }
    if (!is_signed && bits < 32) {
        if (lsb) {
            asm_shift_imm(as, w, SHIFT_SHR, result, lsb);
        }
        if (lsb + bits != width) {
            asm_group1_imm(as, false, G1_AND, result, (int32_t)bits_mask(bits));
        }
    } else {
        if (lsb + bits != width) {
            asm_shift_imm(as, w, SHIFT_SHL, result, width - lsb - bits);
        }
        if (bits != width) {
            asm_shift_imm(as, w, is_signed ? SHIFT_SAR : SHIFT_SHR, result, width - bits);
        }
    }
    emitter_finish(e, result);
}

/* A byte or word at the bottom: the host's own moves leave the rest. */
static void emit_insert_low(Emitter *e, const IrOp *op, unsigned size_log2)
{
    bool w = op->type == IR_I64;
    int a = emitter_use(e, op->args[0]), b = emitter_use(e, op->args[1]), result;

    emitter_advance(e);
    result = emitter_result(e, a, a == b ? 0 : 1u << b);
    if (result != a || (!w && e->values[op->args[0]].upper_garbage)) {
        asm_mov(&e->a, w, result, a);
    }
    asm_rr_sized(&e->a, OP_MOV, size_log2, result, b);
    emitter_finish(e, result);
}

/* Rotate the field to the bottom, shift the new bits in from above, rotate into place. */
static void emit_bfi(Emitter *e, const IrOp *op)
{
    bool w = op->type == IR_I64;
    unsigned width = width_of(op), lsb = (unsigned)op->imm, bits = (unsigned)op->aux;
    Assembler *as = &e->a;
    int a, b, result;

    if (lsb == 0 && (bits == 8 || bits == 16)) {
        emit_insert_low(e, op, bits == 16);
        return;
    }
    emitter_clobber_flags(e);
    a = emitter_use(e, op->args[0]);
    b = emitter_use(e, op->args[1]);
    emitter_advance(e);
    result = emitter_result(e, a, 1u << b);
    asm_mov(as, w, result, bits == width ? b : a);
    if (bits != width) {
        if (lsb) {
            asm_shift_imm(as, w, SHIFT_ROR, result, lsb);
        }
        asm_rr(as, OP(PP_NONE, MAP_0F, 0xac), w, b, result);
        asm_u8(as, bits);
        if ((lsb + bits) % width) {
            asm_shift_imm(as, w, SHIFT_ROL, result, (lsb + bits) % width);
        }
    }
    emitter_finish(e, result);
}

static void emit_crc32c(Emitter *e, const IrOp *op)
{
    Assembler *as = &e->a;
    int a = emitter_use(e, op->args[0]), b = emitter_use(e, op->args[1]), result;

    emitter_advance(e);
    result = emitter_result(e, a, a == b ? 0 : 1u << b);
    if (result != a) {
        asm_mov(as, false, result, a);
    }
    if (op->esz == 1) {
        asm_u8(as, 0x66);
    }
    asm_rr(as, (op->esz == 0 ? OP_BYTE_RM : 0) | OP(PP_F2, MAP_0F38, op->esz == 0 ? 0xf0 : 0xf1),
           op->esz == 3, result, b);
    asm_mov(as, false, result, result);
    emitter_finish(e, result);
}

/* Far away: those that fit an instruction are made where they are used. */
static void emit_pc(Emitter *e, const IrOp *op)
{
    int result, imm;

    emitter_advance(e);
    result = emitter_result(e, NO_REG, 0);
    imm = emitter_scratch(e);
    asm_load(&e->a, true, result, ENV(e, pc_page));
    asm_mov_imm(&e->a, imm, (uint64_t)op->imm);
    asm_lea(&e->a, true, result, mem_index(result, imm, 0, 0));
    emitter_finish(e, result);
}

static void (*const emitters[IR_OP_COUNT])(Emitter *e, const IrOp *op) = {
    [IR_OP_add] = emit_alu_fusing,
    [IR_OP_sub] = emit_alu_fusing,
    [IR_OP_and] = emit_alu_fusing,
    [IR_OP_or] = emit_alu_fusing,
    [IR_OP_xor] = emit_alu_fusing,
    [IR_OP_mul] = emit_product,
    [IR_OP_mulhs] = emit_product_high,
    [IR_OP_mulhu] = emit_product_high,
    [IR_OP_divs] = emit_quotient,
    [IR_OP_divu] = emit_quotient,
    [IR_OP_andn] = emit_andn,
    [IR_OP_not] = emit_not,
    [IR_OP_neg] = emit_not,
    [IR_OP_shl] = emit_shift,
    [IR_OP_shr] = emit_shift,
    [IR_OP_sar] = emit_shift,
    [IR_OP_ror] = emit_shift,
    [IR_OP_extr] = emit_extr,
    [IR_OP_clz] = emit_count_zeros,
    [IR_OP_ctz] = emit_count_zeros,
    [IR_OP_cls] = emit_count_zeros,
    [IR_OP_rbit] = emit_reverse,
    [IR_OP_bswap] = emit_reverse,
    [IR_OP_popcnt] = emit_popcnt,
    [IR_OP_zext] = emit_extend,
    [IR_OP_sext] = emit_extend,
    [IR_OP_trunc] = emit_extend,
    [IR_OP_ubfx] = emit_extract,
    [IR_OP_sbfx] = emit_extract,
    [IR_OP_bfi] = emit_bfi,
    [IR_OP_crc32c] = emit_crc32c,
    [IR_OP_pc] = emit_pc,
};

void emit_integer_op(Emitter *e, const IrOp *op)
{
    if (emitters[op->opcode]) {
        emitters[op->opcode](e, op);
    } else {
        e->failed = true;
    }
}
