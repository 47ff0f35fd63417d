/* SPDX-License-Identifier: MIT */
/*
 * Integer ops of 8 and 16 bits, which replace the low part of a register as the host's own do, and ops
 * that come in pairs of a value and its flags: shifts, rotates, products, bit counts. A pair is one
 * instruction; flags that it does not write are loaded into EFLAGS before.
 */
#include "accel/tcg/host/x86_64/emitter.h"

typedef struct {
    const IrOp *op; /* the flags op if flags are wanted, else the value op: it has all operands */
    IrRef value, flags; /* 0: not wanted */
    unsigned kind;      /* the value op's opcode, or btf */
    unsigned size;      /* log2 of bytes */
    bool may_keep;      /* the instruction may leave its register as it was */
} Producer;

/* The flags op of each value op. */
static const uint8_t flags_ops[IR_OP_COUNT] = {
    [IR_OP_neg] = IR_OP_negf,   [IR_OP_shl] = IR_OP_shlf,       [IR_OP_shr] = IR_OP_shrf,
    [IR_OP_sar] = IR_OP_sarf,   [IR_OP_rol] = IR_OP_rolf,       [IR_OP_ror] = IR_OP_rorf,
    [IR_OP_rcl] = IR_OP_rclf,   [IR_OP_rcr] = IR_OP_rcrf,       [IR_OP_shld] = IR_OP_shldf,
    [IR_OP_shrd] = IR_OP_shrdf, [IR_OP_mul] = IR_OP_mulf,       [IR_OP_clz] = IR_OP_lzcntf,
    [IR_OP_ctz] = IR_OP_tzcntf, [IR_OP_popcnt] = IR_OP_popcntf,
};

void emitter_copy_merged(Emitter *e, const IrOp *op, int to, int from)
{
    bool w = op->type == IR_I64;

    /* An i32 result may have nothing above it, which a narrow op would leave there. */
    if (to != from || (!w && ir_op_size(op) < 2 && e->values[op->args[0]].upper_garbage)) {
        asm_mov(&e->a, w, to, from);
    }
}

/* A register for the result, with a's value in it, once all operands are in place. */
static int result_of(Emitter *e, const Producer *p, int a, uint32_t avoid)
{
    bool w = p->op->type == IR_I64;
    int reuse = avoid >> a & 1 ? NO_REG : a, result;

    emitter_advance(e);
    if (p->value) {
        e->at = p->value;
        result = emitter_result(e, a, avoid);
    } else {
        result = emitter_result_no_pin(e, reuse);
    }
    if (result != a ||
        (!w && (p->size < 2 || p->may_keep) && e->values[p->op->args[0]].upper_garbage)) {
        asm_mov(&e->a, w, result, a);
    }
    return result;
}

/* Afterwards the op's flags are those in EFLAGS, its value is in result. */
static void finish(Emitter *e, const Producer *p, int result)
{
    if (p->flags) {
        emitter_set_eflags(e, p->flags, EFLAGS_DIRECT);
    }
    if (!p->value) {
        emitter_finish_void(e);
        return;
    }
    e->at = p->value;
    emitter_finish(e, result);
    for (unsigned k = 0; k < 4; k++) {
        if (p->op->args[k]) {
            emitter_release(e, e->values[p->op->args[k]].root);
        }
    }
}

/* Whether the count is a constant; otherwise it is in RCX afterwards. */
static bool use_count(Emitter *e, const Producer *p, IrRef ref, unsigned *count)
{
    uint64_t value;

    if (emitter_const(e, ref, &value)) {
        *count = (unsigned)value & (p->size == 3 ? 63 : 31);
        return true;
    }
    emitter_use_in(e, ref, RCX);
    return false;
}

/* A rotate to the left by a constant is one to the right, which leaves the flags alone. [BMI2] */
static bool emit_left_as_right(Emitter *e, const Producer *p)
{
    unsigned width = 8u << p->size;
    uint64_t count;

    if (p->kind != IR_OP_rol || p->flags || p->size < 2 || !e->has->bmi2 ||
        !emitter_const(e, p->op->args[1], &count)) {
        return false;
    }
    emit_rotate_const(e, p->op, (unsigned)-count & (width - 1));
    return true;
}

static void emit_shift(Emitter *e, const Producer *shift)
{
    static const uint8_t digits[IR_OP_COUNT] = {
        [IR_OP_shl] = SHIFT_SHL, [IR_OP_shr] = SHIFT_SHR, [IR_OP_sar] = SHIFT_SAR,
        [IR_OP_rol] = SHIFT_ROL, [IR_OP_ror] = SHIFT_ROR, [IR_OP_rcl] = SHIFT_RCL,
        [IR_OP_rcr] = SHIFT_RCR,
    };
    Producer producer = *shift, *p = &producer;
    IrRef old = p->op->args[2];
    unsigned count = 0;
    bool is_const;
    int a, result;

    if (emit_left_as_right(e, p)) {
        return;
    }
    if (!old) {
        emitter_clobber_flags(e);
    } else if (p->flags) {
        emitter_load_old_flags(e, old);
    } else {
        emitter_load_carry(e, old, EFLAGS_DIRECT);
    }
    if (p->flags) {
        emitter_plan_recipe(e, p->flags, p->value);
    }
    is_const = use_count(e, p, p->op->args[1], &count);
    a = emitter_use(e, p->op->args[0]);
    p->may_keep = !is_const || count == 0;
    result = result_of(e, p, a, is_const ? 0 : 1u << RCX);
    if (is_const) {
        asm_shift_imm_sized(&e->a, p->size, digits[p->kind], result, count);
    } else {
        asm_digit_sized(&e->a, 0xd3, p->size, digits[p->kind], result);
    }
    finish(e, p, result);
}

static void emit_double_shift(Emitter *e, const Producer *shift)
{
    Producer producer = *shift, *p = &producer;
    unsigned count = 0, opcode = p->kind == IR_OP_shld ? 0xa4 : 0xac;
    IrRef old = p->op->args[3];
    bool is_const;
    int a, b, result;

    if (old) {
        emitter_load_old_flags(e, old);
    } else {
        emitter_clobber_flags(e);
    }
    is_const = use_count(e, p, p->op->args[2], &count);
    a = emitter_use(e, p->op->args[0]);
    b = emitter_use(e, p->op->args[1]);
    p->may_keep = !is_const || count == 0;
    result = result_of(e, p, a, (a == b ? 0 : 1u << b) | (is_const ? 0 : 1u << RCX));
    if (is_const) {
        asm_rr_sized(&e->a, OP(PP_NONE, MAP_0F, opcode), p->size, b, result);
        asm_u8(&e->a, count);
    } else {
        asm_rr_sized(&e->a, OP(PP_NONE, MAP_0F, opcode + 1), p->size, b, result);
    }
    finish(e, p, result);
}

static void emit_negate(Emitter *e, const Producer *p)
{
    int a, result;

    if (p->kind == IR_OP_neg) {
        emitter_clobber_flags(e);
    }
    if (p->flags) {
        emitter_plan_recipe(e, p->flags, p->value);
    }
    a = emitter_use(e, p->op->args[0]);
    result = result_of(e, p, a, 0);
    asm_digit_sized(&e->a, 0xf7, p->size, p->kind == IR_OP_neg ? 3 : 2, result);
    finish(e, p, result);
}

/* Flags of a product of bytes: one of them is moved to the upper half of a word product's factor. */
static void emit_multiply_bytes(Emitter *e, const Producer *p)
{
    int a = emitter_use(e, p->op->args[0]), b = emitter_use(e, p->op->args[1]);
    int high = emitter_scratch(e), result;

    emitter_advance(e);
    result = emitter_scratch(e);
    emit_extend_reg(&e->a, true, false, 0, result, a);
    asm_mov(&e->a, false, high, b);
    asm_shift_imm(&e->a, false, SHIFT_SHL, high, 8);
    asm_rr_sized(&e->a, OP(PP_NONE, MAP_0F, 0xaf), 1, result, high);
    finish(e, p, result);
}

static void emit_multiply_unsigned(Emitter *e, const Producer *p)
{
    int b, result = RAX;

    if (p->size) {
        emitter_take(e, RDX);
    }
    emitter_use_in(e, p->op->args[0], RAX);
    b = emitter_use(e, p->op->args[1]);
    emitter_advance(e);
    emitter_unbind(e, RAX);
    asm_digit_sized(&e->a, 0xf7, p->size, 4, b);
    emitter_lock(e, RAX);
    if (p->value) {
        e->at = p->value;
        if (p->size == 1 && p->op->type == IR_I32) {
            asm_mov(&e->a, false, RAX, RAX);
        }
        if (e->values[e->at].hint != NO_REG) {
            result = emitter_result(e, NO_REG, 0);
            emitter_copy(e, result, RAX);
        }
    }
    finish(e, p, result);
}

static void emit_multiply(Emitter *e, const Producer *p)
{
    int a, b, result;

    emitter_clobber_flags(e);
    if (p->op->opcode == IR_OP_mulf && (p->op->sub & IR_UNSIGNED)) {
        emit_multiply_unsigned(e, p);
        return;
    }
    if (p->size == 0) {
        emit_multiply_bytes(e, p);
        return;
    }
    a = emitter_use(e, p->op->args[0]);
    b = emitter_use(e, p->op->args[1]);
    result = result_of(e, p, a, a == b ? 0 : 1u << b);
    asm_rr_sized(&e->a, OP(PP_NONE, MAP_0F, 0xaf), p->size, result, b);
    finish(e, p, result);
}

static void emit_bit_test(Emitter *e, const Producer *p)
{
    uint64_t bit;
    int a;

    emitter_clobber_flags(e);
    a = emitter_use(e, p->op->args[0]);
    if (emitter_const(e, p->op->args[1], &bit)) {
        asm_rr_sized(&e->a, OP(PP_NONE, MAP_0F, 0xba), p->size, 4, a);
        asm_u8(&e->a, (unsigned)bit & ((8u << p->size) - 1));
    } else {
        asm_rr_sized(&e->a, OP(PP_NONE, MAP_0F, 0xa3), p->size, emitter_use(e, p->op->args[1]), a);
    }
    emitter_advance(e);
    finish(e, p, NO_REG);
}

static bool has_count(const Emitter *e, unsigned kind)
{
    return kind == IR_OP_clz ? e->has->lzcnt : kind == IR_OP_ctz ? e->has->bmi1 : true;
}

/* Counts of zeros of 16 bits without LZCNT and TZCNT: a bit beyond makes sure that there is one. */
static void emit_count16(Emitter *e, const Producer *p, int a, int result)
{
    bool leading = p->kind == IR_OP_clz;
    int in = emitter_scratch(e);

    asm_mov(&e->a, false, in, a);
    if (leading) {
        asm_shift_imm(&e->a, false, SHIFT_SHL, in, 16);
    }
    asm_group1_imm(&e->a, false, G1_OR, in, leading ? 0x8000 : 0x10000);
    asm_rr(&e->a, OP(PP_NONE, MAP_0F, leading ? 0xbd : 0xbc), false, in, in);
    if (leading) {
        asm_group1_imm(&e->a, false, G1_XOR, in, 31);
    }
    asm_rr_sized(&e->a, OP_MOV, 1, result, in);
}

/* Flags of such counts: C from the value being 0, Z from its top or lowest bit. */
static void emit_count_flags(Emitter *e, const Producer *p)
{
    unsigned width = 8u << p->size;
    Assembler *as = &e->a;
    int a = emitter_use(e, p->op->args[0]), none = emitter_scratch(e), result;

    emitter_advance(e);
    result = emitter_scratch(e);
    asm_mov(as, true, result, a);
    if (p->kind == IR_OP_clz) {
        asm_shift_imm(as, p->size == 3, SHIFT_SHR, result, width - 1);
    }
    asm_group1_imm(as, false, G1_AND, result, 1);
    asm_shift_imm(as, false, SHIFT_SHL, result, 14);
    asm_rr_sized(as, OP_TEST, p->size, a, a);
    asm_setcc(as, CC_E, none);
    asm_movzx8(as, none, none);
    asm_shift_imm(as, false, SHIFT_SHL, none, 8);
    asm_rr(as, OP_OR, false, result, none);
    emitter_finish(e, result);
}

static void emit_count(Emitter *e, const Producer *p)
{
    static const uint8_t opcodes[IR_OP_COUNT] = {
        [IR_OP_clz] = 0xbd,
        [IR_OP_ctz] = 0xbc,
        [IR_OP_popcnt] = 0xb8,
    };
    int a, result;

    emitter_clobber_flags(e);
    if (!has_count(e, p->kind) && p->flags) {
        emit_count_flags(e, p);
        return;
    }
    a = emitter_use(e, p->op->args[0]);
    result = result_of(e, p, a, has_count(e, p->kind) ? 0 : 1u << a);
    if (!has_count(e, p->kind)) {
        emit_count16(e, p, a, result);
    } else {
        if (p->size == 1) {
            asm_u8(&e->a, 0x66);
        }
        asm_rr(&e->a, OP(PP_F3, MAP_0F, opcodes[p->kind]), p->size == 3, result, a);
    }
    finish(e, p, result);
}

/* add, sub, and, or, xor of 8 or 16 bits. */
void emit_narrow_alu(Emitter *e, const IrOp *op, IrRef flags)
{
    static const struct {
        uint8_t opcode, digit;
    } alu[IR_OP_COUNT] = {
        [IR_OP_add] = { OP_ADD, G1_ADD }, [IR_OP_sub] = { OP_SUB, G1_SUB },
        [IR_OP_and] = { OP_AND, G1_AND }, [IR_OP_or] = { OP_OR, G1_OR },
        [IR_OP_xor] = { OP_XOR, G1_XOR },
    };
    unsigned size = ir_op_size(op);
    uint64_t imm;
    int a, result;

    emitter_clobber_flags(e);
    if (flags) {
        emitter_plan_recipe(e, flags, (IrRef)e->at);
    }
    a = emitter_use(e, op->args[0]);
    if (emitter_const(e, op->args[1], &imm)) {
        emitter_advance(e);
        result = emitter_result(e, a, 0);
        emitter_copy_merged(e, op, result, a);
        asm_group1_imm_sized(&e->a, size, alu[op->opcode].digit, result, (int32_t)imm);
    } else {
        int b = emitter_use(e, op->args[1]);

        emitter_advance(e);
        result = emitter_result(e, a, a == b ? 0 : 1u << b);
        emitter_copy_merged(e, op, result, a);
        asm_rr_sized(&e->a, alu[op->opcode].opcode, size, result, b);
    }
    if (flags) {
        emitter_set_eflags(e, flags, emitter_flags_kind(&e->unit->ops[flags]));
    }
    emitter_finish(e, result);
}

/* The fmerge that puts the old C into flags which nothing else uses, or 0. */
static IrRef find_carry_keeper(const Emitter *e, IrRef flags)
{
    unsigned at = e->values[flags].next_use;
    const IrOp *op = &e->unit->ops[at];
    IrRef old = op->args[0];

    return at && op->opcode == IR_OP_fmerge && !e->values[at].skip &&
                   e->values[op->args[1]].root == flags &&
                   op->imm == (TCG_FLAGS_ALL & ~TCG_FLAG_C) && !e->values[at].use_next[1] &&
                   old < flags && old < e->at && e->values[e->values[old].root].next_use == at
               ? (IrRef)at
               : 0;
}

bool emit_increment(Emitter *e, const IrOp *op, IrRef flags)
{
    IrRef merged, old, value = (IrRef)e->at;
    uint64_t imm;
    int a, result;

    if ((op->opcode != IR_OP_add && op->opcode != IR_OP_sub) ||
        !emitter_const(e, op->args[1], &imm) || imm != 1 ||
        !(merged = find_carry_keeper(e, flags))) {
        return false;
    }
    old = e->values[e->unit->ops[merged].args[0]].root;
    e->at = merged;
    emitter_load_old_flags(e, old);
    e->at = value;
    e->values[old].next_use = e->values[merged].use_next[0];
    e->values[flags].next_use = 0;
    e->values[merged].skip = SKIP_FUSED;
    a = emitter_use(e, op->args[0]);
    emitter_advance(e);
    result = emitter_result(e, a, 0);
    emitter_copy_merged(e, op, result, a);
    asm_digit_sized(&e->a, 0xff, ir_op_size(op), op->opcode == IR_OP_sub, result);
    emitter_set_eflags(e, merged, EFLAGS_DIRECT);
    emitter_finish(e, result);
    emitter_release(e, old);
    return true;
}

static void (*const emitters[IR_OP_COUNT])(Emitter *e, const Producer *p) = {
    [IR_OP_neg] = emit_negate,        [IR_OP_not] = emit_negate,        [IR_OP_shl] = emit_shift,
    [IR_OP_shr] = emit_shift,         [IR_OP_sar] = emit_shift,         [IR_OP_ror] = emit_shift,
    [IR_OP_rol] = emit_shift,         [IR_OP_rcl] = emit_shift,         [IR_OP_rcr] = emit_shift,
    [IR_OP_shld] = emit_double_shift, [IR_OP_shrd] = emit_double_shift, [IR_OP_mul] = emit_multiply,
    [IR_OP_clz] = emit_count,         [IR_OP_ctz] = emit_count,         [IR_OP_popcnt] = emit_count,
    [IR_OP_btf] = emit_bit_test,
};

/* Whether a value op without flags is for this file. */
static bool is_narrow_or_new(const IrOp *op)
{
    switch (op->opcode) {
    case IR_OP_rol:
    case IR_OP_rcl:
    case IR_OP_rcr:
    case IR_OP_shld:
    case IR_OP_shrd:
        return true;
    default:
        return ir_op_size(op) < 2;
    }
}

bool emit_producer(Emitter *e, const IrOp *op)
{
    bool is_flags = ir_is_flags_producer(op->opcode);
    IrOpcode value_opcode = ir_value_of_flags(op->opcode);
    Producer p = { .kind = value_opcode ? value_opcode : op->opcode, .size = ir_op_size(op) };

    if (!emitters[p.kind]) {
        return false;
    }
    if (is_flags) {
        p.flags = (IrRef)e->at;
        if (value_opcode && has_count(e, p.kind)) {
            p.value = emitter_fuse(e, value_opcode);
        }
        if (p.value && p.value != p.flags + 1u) {
            e->values[p.value].hint = NO_REG;
        }
    } else {
        p.value = (IrRef)e->at;
        if (flags_ops[op->opcode] && has_count(e, p.kind)) {
            p.flags = emitter_fuse(e, flags_ops[op->opcode]);
        }
        if (!p.flags && !is_narrow_or_new(op)) {
            return false;
        }
    }
    e->at = p.flags ? p.flags : p.value;
    p.op = &e->unit->ops[e->at];
    emitters[p.kind](e, &p);
    return true;
}
