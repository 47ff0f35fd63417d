/* SPDX-License-Identifier: MIT */
/*
 * Floating point by SSE/AVX/FMA, with the guest's rounding in MXCSR. Where the host's answer may not
 * be the guest's (NaN results, conversions out of range) a stub calls the op's helper, which computes
 * everything again from the same operands. MXCSR's sticky bits are the guest's: nothing here may set
 * one that the guest's operation would not. Arm detects tininess before rounding, SSE after: what may
 * have been rounded up to the smallest normal number goes to the helper, too. Not modelled: a result
 * that is flushed to zero has set inexact before the helper was asked.
 */
#include "accel/tcg/host/x86_64/vector.h"

enum { CMP_EQ_OQ = 0, CMP_LT_OS = 1, CMP_LE_OS = 2, CMP_UNORD_Q = 3, CMP_EQ_UQ = 8 };
enum { ROUND_QUIET = 8, ROUND_MXCSR = 4 };

/* Operands of the op being emitted. */
typedef struct {
    const IrOp *op;
    bool scalar, is_double;
    bool flush; /* denormal operands and results go to the helper */
    int args[3];
    unsigned count;
    int result; /* where the op leaves its value */
    int to;     /* where it must end */
    ColdStub *stub;
} Float;

/* The prefix that makes a packed single instruction ss, sd, ps or pd. */
static uint32_t form(const Float *f, unsigned opcode)
{
    unsigned pp = f->scalar ? (f->is_double ? PP_F2 : PP_F3) : (f->is_double ? PP_66 : PP_NONE);

    return OP(pp, MAP_0F, opcode);
}

static uint32_t packed_form(const Float *f, unsigned opcode)
{
    return OP(f->is_double ? PP_66 : PP_NONE, MAP_0F, opcode);
}

static unsigned x86_rounding(int64_t imm)
{
    static const uint8_t modes[] = {
        [IR_ROUND_NEAREST] = 0,
        [IR_ROUND_UP] = 2,
        [IR_ROUND_DOWN] = 1,
        [IR_ROUND_ZERO] = 3,
        [IR_ROUND_CURRENT] = ROUND_MXCSR,
    };

    return modes[imm & 7];
}

static void use_operands(Emitter *e, Float *f)
{
    emitter_clobber_flags(e);
    for (f->count = 0; f->count < 3 && f->op->args[f->count]; f->count++) {
        f->args[f->count] = emitter_use(e, f->op->args[f->count]);
    }
}

static ColdStub *helper_stub(Emitter *e, const Float *f)
{
    ColdStub *stub = emitter_stub(e, STUB_HELPER);

    stub->address = (int8_t)(f->count > 0 ? f->args[0] : NO_REG);
    stub->value = (int8_t)(f->count > 1 ? f->args[1] : NO_REG);
    stub->value2 = (int8_t)(f->count > 2 ? f->args[2] : NO_REG);
    stub->result = (int8_t)f->to;
    return stub;
}

static void stub_if(Emitter *e, Float *f, unsigned cc)
{
    emitter_stub_jump(f->stub, asm_jcc(&e->a, cc));
}

/*
 * To the stub when a lane of value is tiny: |value| below the smallest normal number; with_smallest:
 * or equal to it; with_zero: including zero. Compares twice the number's bits, less one unless zero
 * counts, as unsigned numbers (by way of a bias). Uses VTMP1 and VTMP2.
 */
static void check_tiny(Emitter *e, Float *f, int value, bool with_smallest, bool with_zero)
{
    unsigned esz = f->is_double ? 3 : 2, bits = 8u << esz;
    uint64_t bias = UINT64_C(1) << (bits - 1);
    uint64_t smallest = UINT64_C(2) << (f->is_double ? 52 : 23);
    uint64_t addend = with_zero ? bias : bias - 1;
    uint64_t limit = bias + smallest - (with_smallest ? 0 : 2) + with_zero;
    uint64_t splat = f->is_double ? 1 : UINT64_C(0x100000001);

    vec_shift(e, 6, esz, VTMP1, value, 1);
    vec_const(e, VTMP2, addend * splat);
    vec3(e, f->is_double ? V66(0xd4) : V66(0xfe), VTMP1, VTMP1, VTMP2);
    if (f->scalar) {
        /* Nothing is less than the smallest integer: other lanes do not count. */
        uint64_t never = bias * splat;

        asm_vector_const(e, VTMP2, f->is_double ? limit : limit | bias << 32, never);
    } else {
        vec_const(e, VTMP2, limit * splat);
    }
    vec3(e, f->is_double ? OP_PCMPGTQ : OP_PCMPGTD, VTMP2, VTMP2, VTMP1);
    vec2(e, OP_PTEST, VTMP2, VTMP2);
    stub_if(e, f, CC_NE);
}

static void check_operands(Emitter *e, Float *f)
{
    for (unsigned i = 0; i < f->count && f->flush; i++) {
        check_tiny(e, f, f->args[i], false, false);
    }
}

/* Begins an op that has a stub only for operands to be flushed. */
static void begin(Emitter *e, Float *f)
{
    use_operands(e, f);
    emitter_advance(e);
    f->to = emitter_result(e, f->args[0], 0);
    f->stub = NULL;
    if (f->flush) {
        f->stub = helper_stub(e, f);
        check_operands(e, f);
    }
}

static void end(Emitter *e, Float *f)
{
    if (f->stub) {
        f->stub->join = e->a.p;
    }
    emitter_finish(e, f->to);
}

/* Begins an op with a stub: operands stay intact until the last check. */
static void begin_checked(Emitter *e, Float *f)
{
    use_operands(e, f);
    emitter_advance(e);
    f->to = emitter_result(e, f->args[0], 0);
    f->result = f->to;
    for (unsigned i = 0; i < f->count; i++) {
        if (f->args[i] == f->to) {
            f->result = VTMP0;
        }
    }
    f->stub = helper_stub(e, f);
    check_operands(e, f);
}

static void end_checked(Emitter *e, Float *f)
{
    asm_vector_mov(e, f->to, f->result);
    f->stub->join = e->a.p;
    emitter_finish(e, f->to);
}

static void emit_ucomis(Emitter *e, const Float *f, bool signalling, int a, int b)
{
    vec2(e, packed_form(f, signalling ? 0x2f : 0x2e), a, b);
}

/* To the stub when a or b (lane 0, or any lane) is a NaN. */
static void check_ordered(Emitter *e, Float *f, int a, int b)
{
    if (f->scalar) {
        emit_ucomis(e, f, false, a, b);
        stub_if(e, f, CC_P);
    } else {
        vec3_imm(e, packed_form(f, 0xc2), VTMP1, a, b, CMP_UNORD_Q);
        vec2(e, OP_PTEST, VTMP1, VTMP1);
        stub_if(e, f, CC_NE);
    }
}

/* The magnitudes of a value's lanes to VTMP1, and the smallest normal number. */
static uint64_t take_magnitude(Emitter *e, const Float *f, int value)
{
    uint64_t mask = f->is_double ? INT64_MAX : UINT64_C(0x7fffffff7fffffff);

    vec3_const(e, packed_form(f, 0x54), VTMP1, value, mask, mask);
    return f->is_double ? UINT64_C(1) << 52 : UINT64_C(0x0080000000800000);
}

/* To the stub when the result is a NaN or, of either sign, the smallest normal number. */
static void check_rounded(Emitter *e, Float *f, int value)
{
    uint64_t smallest;

    if (f->scalar) {
        smallest = take_magnitude(e, f, value);
        vec2_const(e, packed_form(f, 0x2e), VTMP1, smallest, smallest); /* unordered: ZF, too */
        stub_if(e, f, CC_E);
        return;
    }
    if (e->has->avx) {
        smallest = take_magnitude(e, f, value);
        vec_const(e, VTMP2, smallest);
        vec3_imm(e, packed_form(f, 0xc2), VTMP1, VTMP1, VTMP2, CMP_EQ_UQ);
    } else {
        smallest = take_magnitude(e, f, value);
        vec3_const(e, f->is_double ? OP_PCMPEQQ : OP_PCMPEQD, VTMP1, VTMP1, smallest, smallest);
        asm_vector_mov(e, VTMP2, value);
        asm_rr(&e->a, packed_form(f, 0xc2), false, VTMP2, value);
        asm_u8(&e->a, CMP_UNORD_Q);
        vec3(e, OP_POR, VTMP1, VTMP1, VTMP2);
    }
    vec2(e, OP_PTEST, VTMP1, VTMP1);
    stub_if(e, f, CC_NE);
}

static void emit_arithmetic(Emitter *e, Float *f)
{
    bool multiplies = f->op->sub == IR_FMUL || f->op->sub == IR_FDIV;
    static const uint8_t opcodes[] = {
        [IR_FADD] = 0x58, [IR_FSUB] = 0x5c, [IR_FMUL] = 0x59, [IR_FDIV] = 0x5e, [IR_FSQRT] = 0x51,
    };
    uint32_t op = form(f, opcodes[f->op->sub]);

    begin_checked(e, f);
    if (f->op->sub != IR_FSQRT) {
        vec3(e, op, f->result, f->args[0], f->args[1]);
    } else if (f->scalar) {
        vec3(e, op, f->result, f->args[0], f->args[0]);
    } else {
        vec2(e, op, f->result, f->args[0]);
    }
    /* Tiny sums and differences are exact. */
    if (multiplies && !f->flush) {
        check_rounded(e, f, f->result);
    } else {
        check_ordered(e, f, f->result, f->result);
    }
    if (f->flush && f->op->sub != IR_FSQRT) {
        check_tiny(e, f, f->result, true, multiplies);
    }
    end_checked(e, f);
}

static void emit_fma(Emitter *e, Float *f)
{
    uint32_t op = OP(PP_66, MAP_0F38, f->scalar ? 0x99 : 0x98); /* vfmadd132 */

    begin_checked(e, f);
    f->result = VTMP0;
    asm_vector_mov(e, VTMP0, f->args[0]);
    asm_vex_rr(&e->a, op, f->is_double, false, VTMP0, f->args[2], f->args[1]);
    if (f->flush) {
        check_ordered(e, f, VTMP0, VTMP0);
        check_tiny(e, f, VTMP0, true, true);
    } else {
        check_rounded(e, f, VTMP0);
    }
    end_checked(e, f);
}

/* MINPS gives its second operand for equal ones: -0 and +0 combine right over both orders. */
static void emit_min_max(Emitter *e, Float *f)
{
    bool max = f->op->sub == IR_FMAX || f->op->sub == IR_FMAXNM;
    uint32_t op = packed_form(f, max ? 0x5f : 0x5d);
    int a, b;

    begin_checked(e, f);
    a = f->args[0];
    b = f->args[1];
    check_ordered(e, f, a, b);
    if (f->scalar) {
        /* Other lanes may hold anything: they stay out of it, and are a's in the end. */
        op = form(f, max ? 0x5f : 0x5d);
        vec3(e, op, VTMP0, a, b);
        vec3(e, op, VTMP1, b, a);
        vec3(e, max ? OP_PAND : OP_POR, VTMP1, VTMP0, VTMP1);
        vec3_imm(e, OP_PBLENDW, f->to, a, VTMP1, f->is_double ? 0x0f : 0x03);
    } else {
        vec3(e, op, VTMP0, a, b);
        vec3(e, op, VTMP1, b, a);
        vec3(e, max ? OP_PAND : OP_POR, f->to, VTMP0, VTMP1);
    }
    f->result = f->to;
    end_checked(e, f);
}

static void emit_compare_mask(Emitter *e, Float *f)
{
    bool swap = f->op->sub != IR_FCMPEQ;
    unsigned predicate = f->op->sub == IR_FCMPEQ   ? CMP_EQ_OQ
                         : f->op->sub == IR_FCMPGT ? CMP_LT_OS
                                                   : CMP_LE_OS;
    int a, b, to;

    begin(e, f);
    a = f->args[0];
    b = f->args[1];
    to = f->to;
    if (!swap) {
        vec3_imm(e, form(f, 0xc2), to, a, b, predicate);
    } else if (!f->scalar) {
        vec3_imm(e, form(f, 0xc2), to, b, a, predicate);
    } else {
        vec3_imm(e, form(f, 0xc2), VTMP0, b, a, predicate);
        vec3_imm(e, OP_PBLENDW, to, a, VTMP0, f->is_double ? 0x0f : 0x03);
    }
    end(e, f);
}

static void emit_convert(Emitter *e, Float *f)
{
    bool narrows = f->is_double;

    begin(e, f);
    if (narrows && !f->stub) {
        f->stub = helper_stub(e, f);
    }
    if (!f->scalar) {
        vec2(e, packed_form(f, 0x5a), VTMP0, f->args[0]);
        f->is_double = false; /* the result */
        if (narrows) {
            check_rounded(e, f, VTMP0);
        }
        asm_vector_mov(e, f->to, VTMP0);
    } else if (f->op->imm == 1) {
        /* Only lane 0 is converted: the others become zeros first. */
        vec3_imm(e, V663A(0x21), VTMP0, f->args[0], f->args[0], 0x0e);
        asm_vex_rr(&e->a, V663A(0x1d), false, false, VTMP0, 0, f->to);
        asm_u8(&e->a, ROUND_MXCSR);
    } else {
        vec3(e, OP_PXOR, VTMP0, VTMP0, VTMP0);
        vec3(e, form(f, 0x5a), VTMP0, VTMP0, f->args[0]);
        f->is_double = false; /* the result */
        if (narrows && f->flush) {
            check_tiny(e, f, VTMP0, true, true);
        } else if (narrows) {
            check_rounded(e, f, VTMP0);
        }
        asm_vector_mov(e, f->to, VTMP0);
    }
    end(e, f);
}

/*
 * Lane 0 of the operand, rounded to nearest with ties away from zero, to VTMP0 (upper lanes zero):
 * what the truncated number lacks, doubled and truncated, is the correction. All of it is exact. What
 * has no fraction bits goes to the stub.
 */
static void round_away(Emitter *e, Float *f, int scratch)
{
    uint32_t round = V663A(f->is_double ? 0x0b : 0x0a);
    unsigned truncate = x86_rounding(IR_ROUND_ZERO) | ROUND_QUIET;
    int exponent_mask = f->is_double ? 0x7ff : 0xff;
    int limit = f->is_double ? 1023 + 52 : 127 + 23, x = f->args[0];

    vec_to_int(e, f->is_double, scratch, x);
    asm_shift_imm(&e->a, f->is_double, SHIFT_SHR, scratch, f->is_double ? 52 : 23);
    asm_group1_imm(&e->a, false, G1_AND, scratch, exponent_mask);
    asm_group1_imm(&e->a, false, G1_CMP, scratch, limit);
    stub_if(e, f, CC_AE);
    vec3(e, OP_PXOR, VTMP0, VTMP0, VTMP0);
    vec3_imm(e, round, VTMP0, VTMP0, x, truncate);
    vec3(e, form(f, 0x5c), VTMP1, x, VTMP0);
    vec3(e, form(f, 0x58), VTMP1, VTMP1, VTMP1);
    vec3_imm(e, round, VTMP1, VTMP1, VTMP1, truncate);
    vec3(e, form(f, 0x58), VTMP0, VTMP0, VTMP1);
    /* A zero takes the operand's sign. */
    asm_vector_const(e, VTMP1, f->is_double ? UINT64_C(1) << 63 : UINT64_C(1) << 31, 0);
    vec3(e, OP_PANDN, VTMP0, VTMP1, VTMP0);
    vec3(e, OP_PAND, VTMP1, VTMP1, x);
    vec3(e, OP_POR, VTMP0, VTMP0, VTMP1);
}

static void emit_round_away(Emitter *e, Float *f)
{
    int scratch;

    use_operands(e, f);
    scratch = emitter_scratch(e);
    emitter_advance(e);
    f->to = emitter_result(e, f->args[0], 0);
    f->stub = helper_stub(e, f);
    check_operands(e, f);
    round_away(e, f, scratch);
    if (f->op->imm & IR_ROUND_EXACT) {
        /* for the inexact flag */
        vec3_imm(e, V663A(f->is_double ? 0x0b : 0x0a), VTMP1, f->args[0], f->args[0],
                 x86_rounding(IR_ROUND_ZERO));
    }
    asm_vector_mov(e, f->to, VTMP0);
    f->stub->join = e->a.p;
    emitter_finish(e, f->to);
}

static void emit_round(Emitter *e, Float *f)
{
    unsigned quiet = f->op->imm & IR_ROUND_EXACT ? 0 : ROUND_QUIET, imm;

    if ((f->op->imm & 7) == IR_ROUND_AWAY) {
        emit_round_away(e, f);
        return;
    }
    imm = x86_rounding(f->op->imm) | quiet;
    begin(e, f);
    if (f->scalar) {
        vec3(e, OP_PXOR, VTMP0, VTMP0, VTMP0);
        vec3_imm(e, V663A(f->is_double ? 0x0b : 0x0a), VTMP0, VTMP0, f->args[0], imm);
        asm_vector_mov(e, f->to, VTMP0);
    } else {
        vec2_imm(e, V663A(f->is_double ? 0x09 : 0x08), f->to, f->args[0], imm);
    }
    end(e, f);
}

/* cvtsi2ss, cvtsi2sd into zeros. */
static void convert_from_int(Emitter *e, const Float *f, bool w, int to, int from)
{
    uint32_t op = OP(f->is_double ? PP_F2 : PP_F3, MAP_0F, 0x2a);

    vec3(e, OP_PXOR, to, to, to);
    if (e->has->avx) {
        asm_vex_rr(&e->a, op, w, false, to, to, from);
    } else {
        asm_rr(&e->a, op, w, to, from);
    }
}

static void emit_from_int(Emitter *e, Float *f)
{
    bool is_unsigned = f->op->sub == IR_FROM_U;
    bool wide = ir_result_type(&e->unit->ops[f->op->args[0]]) == IR_I64;

    use_operands(e, f);
    if (is_unsigned && !wide && e->values[f->op->args[0]].upper_garbage) {
        int clean = emitter_scratch(e);

        asm_mov(&e->a, false, clean, f->args[0]);
        f->args[0] = clean;
    }
    emitter_advance(e);
    f->to = emitter_result(e, NO_REG, 0);
    f->stub = NULL;
    if (is_unsigned && wide) {
        f->stub = helper_stub(e, f);
        asm_rr(&e->a, OP_TEST, true, f->args[0], f->args[0]);
        stub_if(e, f, CC_S);
    }
    convert_from_int(e, f, wide || is_unsigned, f->to, f->args[0]);
    if (f->stub) {
        f->stub->join = e->a.p;
    }
    emitter_finish(e, f->to);
}

/* To the stub unless 0 <= a < 2 to the power of bits (by sign and exponent). */
static void check_unsigned_range(Emitter *e, Float *f, int a, int scratch, unsigned bits)
{
    vec_to_int(e, f->is_double, scratch, a);
    asm_shift_imm(&e->a, f->is_double, SHIFT_SHR, scratch, f->is_double ? 52 : 23);
    asm_group1_imm(&e->a, false, G1_CMP, scratch, (int)((f->is_double ? 1023 : 127) + bits));
    stub_if(e, f, CC_AE);
}

static void truncate_to_int(Emitter *e, const Float *f, bool w, bool current, int to, int from)
{
    uint32_t op = OP(f->is_double ? PP_F2 : PP_F3, MAP_0F, current ? 0x2d : 0x2c);

    if (e->has->avx) {
        asm_vex_rr(&e->a, op, w, false, to, 0, from);
    } else {
        asm_rr(&e->a, op, w, to, from);
    }
}

/* a, rounded as the immediate says, to an integer register; checks included. */
static void emit_to_int_value(Emitter *e, Float *f, bool is_unsigned, bool wide, int to)
{
    unsigned rounding = (unsigned)f->op->imm & 7;
    bool away = rounding == IR_ROUND_AWAY;
    unsigned mode = x86_rounding(away ? IR_ROUND_ZERO : f->op->imm);
    bool explicit = rounding != IR_ROUND_ZERO && rounding != IR_ROUND_CURRENT;
    uint32_t round = V663A(f->is_double ? 0x0b : 0x0a);
    int from = f->args[0];

    if (is_unsigned) {
        /* Rounding must not reach the limit. */
        check_unsigned_range(e, f, from, to, wide ? 63 : rounding == IR_ROUND_ZERO ? 32 : 31);
    }
    if (away) {
        round_away(e, f, to);
        from = VTMP0;
    } else if (explicit) {
        vec3_imm(e, round, VTMP0, from, from, mode | ROUND_QUIET);
        from = VTMP0;
    }
    truncate_to_int(e, f, wide || is_unsigned, rounding == IR_ROUND_CURRENT, to, from);
    if (!is_unsigned) {
        asm_group1_imm(&e->a, wide, G1_CMP, to, 1); /* overflows for the indefinite integer only */
        stub_if(e, f, CC_O);
    }
    if (explicit) {
        /* Once more, for the inexact flag: a number out of range does not get it. */
        vec3_imm(e, round, VTMP0, f->args[0], f->args[0], mode);
    }
}

static void emit_to_int(Emitter *e, Float *f)
{
    use_operands(e, f);
    emitter_advance(e);
    f->to = emitter_result(e, NO_REG, 0);
    f->stub = helper_stub(e, f);
    check_operands(e, f);
    emit_to_int_value(e, f, f->op->sub == IR_FTO_U, f->op->type == IR_I64, f->to);
    f->stub->join = e->a.p;
    emitter_finish(e, f->to);
}

/* Scalar conversions between integer and float within a vector register. */
static void emit_lane_conversion(Emitter *e, Float *f)
{
    bool from_int = f->op->sub == IR_FVFROM_S || f->op->sub == IR_FVFROM_U;
    bool is_unsigned = f->op->sub == IR_FVFROM_U || f->op->sub == IR_FVTO_U;
    int value;

    use_operands(e, f);
    value = emitter_scratch(e);
    emitter_advance(e);
    f->to = emitter_result(e, f->args[0], 0);
    f->stub = helper_stub(e, f);
    if (from_int) {
        vec_to_int(e, f->is_double, value, f->args[0]);
        if (is_unsigned && f->is_double) {
            asm_rr(&e->a, OP_TEST, true, value, value);
            stub_if(e, f, CC_S);
        }
        convert_from_int(e, f, f->is_double || is_unsigned, f->to, value);
    } else {
        check_operands(e, f);
        emit_to_int_value(e, f, is_unsigned, f->is_double, value);
        vec_from_int(e, f->is_double, f->to, value);
    }
    f->stub->join = e->a.p;
    emitter_finish(e, f->to);
}

static void emit_vector_from_int(Emitter *e, Float *f)
{
    int to;

    use_operands(e, f);
    emitter_advance(e);
    to = emitter_result(e, f->args[0], 0);
    vec2(e, OP(PP_NONE, MAP_0F, 0x5b), to, f->args[0]); /* cvtdq2ps */
    emitter_finish(e, to);
}

static void emit_vector_to_int(Emitter *e, Float *f)
{
    bool current = (f->op->imm & 7) == IR_ROUND_CURRENT;

    begin_checked(e, f);
    vec2(e, current ? V66(0x5b) : OP(PP_F3, MAP_0F, 0x5b), VTMP0, f->args[0]);
    vec_const(e, VTMP1, UINT64_C(0x8000000080000000));
    vec3(e, OP_PCMPEQD, VTMP1, VTMP1, VTMP0);
    vec2(e, OP_PTEST, VTMP1, VTMP1);
    stub_if(e, f, CC_NE);
    f->result = VTMP0;
    end_checked(e, f);
}

static void emit_fcmp(Emitter *e, Float *f)
{
    use_operands(e, f);
    if (f->flush) {
        f->to = NO_REG;
        f->stub = helper_stub(e, f);
        check_operands(e, f);
    }
    emit_ucomis(e, f, f->op->imm & 1, f->args[0], f->args[1]);
    if (f->flush) {
        f->stub->join = e->a.p;
    }
    emitter_advance(e);
    emitter_finish_void(e);
    emitter_set_eflags(e, (IrRef)e->at, f->op->sub & IR_X86 ? EFLAGS_DIRECT : EFLAGS_FLOAT);
}

/* Arguments from registers to the frame, for the thunk. */
static void store_arguments(Emitter *e, const IrOp *op, const int8_t *regs)
{
    int ints = 0, vectors = 0;

    for (unsigned k = 0; k < 3 && op->args[k]; k++) {
        if (regs[k] >= XMM0) {
            asm_vector_store(e, 4, mem(RSP, FRAME_VECTOR_ARGS + 16 * vectors++), regs[k]);
        } else {
            asm_store(&e->a, true, mem(RSP, FRAME_INT_ARGS + 8 * ints++), regs[k]);
        }
    }
    asm_store_imm(&e->a, 3, mem(RSP, FRAME_INT_ARGS + 8 * ints), (int32_t)op->imm);
}

void emit_cold_call(Emitter *e, const IrOp *op, const void *target, const int8_t *regs)
{
    uintptr_t function = (uintptr_t)target;
    Mem m = mem(RSP, FRAME_FUNCTION);

    store_arguments(e, op, regs);
    asm_store_imm(&e->a, 2, m, (int32_t)function);
    m.disp += 4;
    asm_store_imm(&e->a, 2, m, (int32_t)((uint64_t)function >> 32));
    asm_call_to(&e->a, e->b->cold_helper);
}

static void load_result(Emitter *e, const IrOp *op, int to)
{
    if (to >= XMM0) {
        asm_vector_load(e, 4, to, mem(RSP, FRAME_VECTOR_RESULT));
    } else {
        asm_load(&e->a, op->type == IR_I64 && op->opcode != IR_OP_fcmp, to, mem(RSP, FRAME_RESULT));
    }
}

/* Ops that the host has no instructions for. */
static void emit_helper_call(Emitter *e, Float *f)
{
    int8_t regs[3];

    use_operands(e, f);
    for (unsigned k = 0; k < f->count; k++) {
        regs[k] = (int8_t)f->args[k];
        if (e->values[f->op->args[k]].upper_garbage) {
            regs[k] = (int8_t)emitter_scratch(e);
            asm_mov(&e->a, false, regs[k], f->args[k]);
        }
    }
    emitter_advance(e);
    f->to = f->op->opcode == IR_OP_fcmp ? emitter_scratch(e) : emitter_result(e, NO_REG, 0);
    emit_cold_call(e, f->op, f->op->helper->function, regs);
    load_result(e, f->op, f->to);
    emitter_finish(e, f->to);
}

/* The helper has raised the exceptions; the flags come from the host, with its denormals-are-zeros. */
static void compare_flushed(Emitter *e, const IrOp *op, const int8_t *regs)
{
    enum { MXCSR_DAZ = 0x40, LDMXCSR = 2, STMXCSR = 3, CONTROL = OP(PP_NONE, MAP_0F, 0xae) };
    Float f = { .op = op, .scalar = true, .is_double = op->esz == 3 };
    Mem saved = mem(RSP, FRAME_SCRATCH), flushing = mem(RSP, FRAME_SCRATCH + 4);

    asm_rm(&e->a, CONTROL, false, STMXCSR, saved);
    asm_rm(&e->a, CONTROL, false, STMXCSR, flushing);
    asm_group1_mem_imm(&e->a, false, G1_OR, flushing, MXCSR_DAZ);
    asm_rm(&e->a, CONTROL, false, LDMXCSR, flushing);
    emit_ucomis(e, &f, op->imm & 1, regs[0], regs[1]);
    asm_rm(&e->a, CONTROL, false, LDMXCSR, saved);
}

void emit_helper_stub(Emitter *e, ColdStub *stub)
{
    const IrOp *op = &e->unit->ops[stub->op];
    const int8_t regs[3] = { stub->address, stub->value, stub->value2 };

    emit_cold_call(e, op, op->helper->function, regs);
    if (op->opcode == IR_OP_fcmp) {
        compare_flushed(e, op, regs);
    } else {
        load_result(e, op, stub->result);
    }
    asm_jmp_to(&e->a, stub->join);
}

static bool is_native(const Emitter *e, const IrOp *op)
{
    unsigned rounding = (unsigned)op->imm & 7;

    if (op->esz < 2) {
        return false;
    }
    switch (op->sub) {
    case IR_FMA:
        return e->has->fma;
    case IR_FCVT_F:
        if (!op->var) {
            return op->imm == 5 - op->esz && !op->cond;
        }
        return op->imm == 5 - op->esz || (op->imm == 1 && op->esz == 2 && e->has->f16c);
    case IR_FTO_S:
    case IR_FTO_U:
        return true;
    case IR_FROUND:
        return op->var || rounding != IR_ROUND_AWAY;
    case IR_FVTO_S:
    case IR_FVTO_U:
        return op->var || (op->sub == IR_FVTO_S && op->esz == 2 &&
                           (rounding == IR_ROUND_ZERO || rounding == IR_ROUND_CURRENT));
    case IR_FVFROM_S:
        return op->var || op->esz == 2;
    case IR_FVFROM_U:
        return op->var;
    default:
        return true;
    }
}

static void (*const emitters[IR_FOP_COUNT])(Emitter *, Float *) = {
    [IR_FADD] = emit_arithmetic,      [IR_FSUB] = emit_arithmetic,
    [IR_FMUL] = emit_arithmetic,      [IR_FDIV] = emit_arithmetic,
    [IR_FSQRT] = emit_arithmetic,     [IR_FMA] = emit_fma,
    [IR_FMIN] = emit_min_max,         [IR_FMAX] = emit_min_max,
    [IR_FMINNM] = emit_min_max,       [IR_FMAXNM] = emit_min_max,
    [IR_FCMPEQ] = emit_compare_mask,  [IR_FCMPGT] = emit_compare_mask,
    [IR_FCMPGE] = emit_compare_mask,  [IR_FCVT_F] = emit_convert,
    [IR_FROM_S] = emit_from_int,      [IR_FROM_U] = emit_from_int,
    [IR_FTO_S] = emit_to_int,         [IR_FTO_U] = emit_to_int,
    [IR_FROUND] = emit_round,         [IR_FVFROM_S] = emit_vector_from_int,
    [IR_FVTO_S] = emit_vector_to_int,
};

bool emit_float_op(Emitter *e, const IrOp *op)
{
    Float f = {
        .op = op, .scalar = op->var == 1, .is_double = op->esz == 3, .flush = op->cond == 1
    };

    if (op->opcode == IR_OP_fcmp) {
        (op->esz >= 2 ? emit_fcmp : emit_helper_call)(e, &f);
        return true;
    }
    if (op->opcode != IR_OP_fop) {
        return false;
    }
    if (!is_native(e, op)) {
        emit_helper_call(e, &f);
    } else if (f.scalar && op->sub >= IR_FVFROM_S) {
        emit_lane_conversion(e, &f);
    } else {
        emitters[op->sub](e, &f);
    }
    return true;
}
