/* SPDX-License-Identifier: MIT */
/*
 * Advanced SIMD: integer operations with operands and results of different widths ("three
 * different"), and operations with one lane of a register ("by element") (Arm ARM DDI 0487, C4.1.96).
 */
#include "target/arm/a64/simd.h"

/* low: size of the whole (wide) result; n and m: already the halves that the operation reads. */
typedef struct {
    A64Translator *t;
    bool u;
    unsigned esz, low, rd;
} Long;

typedef IrRef LongEmit(const Long *s, IrRef n, IrRef m);

static IrRef wide_op(const Long *s, IrOpcode opcode, IrRef a, IrRef b)
{
    return a64_vop2(s->t, opcode, s->esz + 1, a, b);
}

static IrRef widen(const Long *s, IrRef n)
{
    return a64_vwiden(s->t, !s->u, s->esz, false, n);
}

static IrRef accumulator(const Long *s)
{
    return a64_get_v(s->t, s->rd);
}

static IrRef emit_addl(const Long *s, IrRef n, IrRef m)
{
    return wide_op(s, IR_OP_vadd, widen(s, n), widen(s, m));
}

static IrRef emit_subl(const Long *s, IrRef n, IrRef m)
{
    return wide_op(s, IR_OP_vsub, widen(s, n), widen(s, m));
}

static IrRef emit_abdl(const Long *s, IrRef n, IrRef m)
{
    IrRef max = a64_vop2(s->t, s->u ? IR_OP_vmaxu : IR_OP_vmaxs, s->esz, n, m);
    IrRef min = a64_vop2(s->t, s->u ? IR_OP_vminu : IR_OP_vmins, s->esz, n, m);

    return a64_vwiden(s->t, false, s->esz, false, a64_vop2(s->t, IR_OP_vsub, s->esz, max, min));
}

static IrRef emit_abal(const Long *s, IrRef n, IrRef m)
{
    return wide_op(s, IR_OP_vadd, accumulator(s), emit_abdl(s, n, m));
}

static IrRef emit_mull(const Long *s, IrRef n, IrRef m)
{
    return a64_vop2i(s->t, IR_OP_vmull, s->esz, n, m, !s->u);
}

static IrRef emit_mlal(const Long *s, IrRef n, IrRef m)
{
    return wide_op(s, IR_OP_vadd, accumulator(s), emit_mull(s, n, m));
}

static IrRef emit_mlsl(const Long *s, IrRef n, IrRef m)
{
    return wide_op(s, IR_OP_vsub, accumulator(s), emit_mull(s, n, m));
}

static IrRef saturating(const Long *s, IrOpcode exact, IrOpcode saturated, IrRef a, IrRef b)
{
    IrRef result = wide_op(s, saturated, a, b);

    a64_note_saturation(s->t, s->low, result, wide_op(s, exact, a, b));
    return result;
}

static IrRef emit_qdmull(const Long *s, IrRef n, IrRef m)
{
    IrRef product = a64_vop2i(s->t, IR_OP_vmull, s->esz, n, m, 1);

    return saturating(s, IR_OP_vadd, IR_OP_vqadds, product, product);
}

static IrRef emit_qdmlal(const Long *s, IrRef n, IrRef m)
{
    return saturating(s, IR_OP_vadd, IR_OP_vqadds, accumulator(s), emit_qdmull(s, n, m));
}

static IrRef emit_qdmlsl(const Long *s, IrRef n, IrRef m)
{
    return saturating(s, IR_OP_vsub, IR_OP_vqsubs, accumulator(s), emit_qdmull(s, n, m));
}

enum { B = 1, H = 2, S = 4, BHS = B | H | S };

static const struct {
    LongEmit *emit;
    uint8_t sizes[2], scalar;
} three_different[16] = {
    [0x0] = { emit_addl, { BHS, BHS }, 0 }, [0x2] = { emit_subl, { BHS, BHS }, 0 },
    [0x5] = { emit_abal, { BHS, BHS }, 0 }, [0x7] = { emit_abdl, { BHS, BHS }, 0 },
    [0x8] = { emit_mlal, { BHS, BHS }, 0 }, [0x9] = { emit_qdmlal, { H | S, 0 }, H | S },
    [0xa] = { emit_mlsl, { BHS, BHS }, 0 }, [0xb] = { emit_qdmlsl, { H | S, 0 }, H | S },
    [0xc] = { emit_mull, { BHS, BHS }, 0 }, [0xd] = { emit_qdmull, { H | S, 0 }, H | S },
};

INSTRUCTION(simd_three_different, "0 q u 01110 size:2 1 rm:5 opcode:4 00 rn:5 rd:5")
static bool translate_simd_three_different(A64Translator *t, const A64Fields *f)
{
    Long s = { t, f->u, f->size, 4, f->rd };
    IrRef n, m;

    if (!(three_different[f->opcode].sizes[f->u] & 1 << f->size)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    n = a64_vhalf(t, f->q, a64_get_v(t, f->rn));
    m = a64_vhalf(t, f->q, a64_get_v(t, f->rm));
    a64_set_v(t, f->rd, three_different[f->opcode].emit(&s, n, m));
    return true;
}

INSTRUCTION(simd_three_different_scalar, "01 0 11110 size:2 1 rm:5 opcode:4 00 rn:5 rd:5")
static bool translate_simd_three_different_scalar(A64Translator *t, const A64Fields *f)
{
    Long s = { t, false, f->size, f->size + 1, f->rd };

    if (!(three_different[f->opcode].scalar & 1 << f->size)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v_low(t, f->rd, s.low,
                  three_different[f->opcode].emit(&s, a64_get_v(t, f->rn), a64_get_v(t, f->rm)));
    return true;
}

/* SADDW, UADDW, SSUBW, USUBW */
INSTRUCTION(simd_wide, "0 q u 01110 size:2 1 rm:5 00 sub 1 00 rn:5 rd:5", "size != 3")
static bool translate_simd_wide(A64Translator *t, const A64Fields *f)
{
    IrRef m;

    if (!a64_fp_access(t)) {
        return true;
    }
    m = a64_vwiden(t, !f->u, f->size, f->q, a64_get_v(t, f->rm));
    a64_set_v(t, f->rd,
              a64_vop2(t, f->sub ? IR_OP_vsub : IR_OP_vadd, f->size + 1, a64_get_v(t, f->rn), m));
    return true;
}

/* ADDHN, SUBHN and, rounding, RADDHN, RSUBHN: the high halves of the wide results */
INSTRUCTION(simd_high_narrow, "0 q u 01110 size:2 1 rm:5 01 sub 0 00 rn:5 rd:5", "size != 3")
static bool translate_simd_high_narrow(A64Translator *t, const A64Fields *f)
{
    unsigned wide = f->size + 1;
    IrRef sum;

    if (!a64_fp_access(t)) {
        return true;
    }
    sum = a64_vop2(t, f->sub ? IR_OP_vsub : IR_OP_vadd, wide, a64_get_v(t, f->rn),
                   a64_get_v(t, f->rm));
    if (f->u) {
        sum = a64_vop2(t, IR_OP_vadd, wide, sum, a64_vsplat(t, wide, BIT((8u << f->size) - 1)));
    }
    a64_set_vhalf(t, f->rd, f->q, a64_vop2(t, IR_OP_vuzp2, f->size, sum, sum));
    return true;
}

INSTRUCTION(simd_pmull, "0 q 0 01110 size:2 1 rm:5 1110 00 rn:5 rd:5", "size == 0 || size == 3")
static bool translate_simd_pmull(A64Translator *t, const A64Fields *f)
{
    IrRef n, m, result;

    if (f->size == 3 && !a64_has(t, FEAT_PMULL)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    n = a64_vhalf(t, f->q, a64_get_v(t, f->rn));
    m = a64_vhalf(t, f->q, a64_get_v(t, f->rm));
    result = f->size == 3 ? a64_vop2(t, IR_OP_pmull, 0, n, m)
                          : a64_call(t, &arm_pmull8_helper, n, m, 0, 0);
    a64_set_v(t, f->rd, result);
    return true;
}

/* The lane of Vm that a by-element instruction multiplies with, in all lanes. */
static IrRef element(A64Translator *t, const A64Fields *f, unsigned esz)
{
    unsigned rm = esz == 1 ? f->rm4 : f->m << 4 | f->rm4;
    unsigned index = esz == 1 ? f->h << 2 | f->l << 1 | f->m : f->h << 1 | f->l;

    return a64_vop1(t, IR_OP_vduplane, esz, a64_get_v(t, rm), index);
}

/* MLA, MLS (u = 1), MUL (u = 0) */
INSTRUCTION(simd_mul_element, "0 q u 01111 size:2 l m rm4:4 opcode:4 h 0 rn:5 rd:5",
            "((u == 1 && (opcode == 0 || opcode == 4)) || (u == 0 && opcode == 8)) && "
            "(size == 1 || size == 2)")
static bool translate_simd_mul_element(A64Translator *t, const A64Fields *f)
{
    IrRef product;

    if (!a64_fp_access(t)) {
        return true;
    }
    product = a64_vop2(t, IR_OP_vmul, f->size, a64_get_v(t, f->rn), element(t, f, f->size));
    if (f->u) {
        product =
            a64_vop2(t, f->opcode ? IR_OP_vsub : IR_OP_vadd, f->size, a64_get_v(t, f->rd), product);
    }
    a64_set_vq(t, f->rd, f->q, product);
    return true;
}

/* SMLAL …: the opcodes of the long forms, as three_different has them */
static LongEmit *long_element(unsigned u, unsigned opcode, bool scalar)
{
    static LongEmit *const plain[16] = { [2] = emit_mlal, [6] = emit_mlsl, [10] = emit_mull };
    static LongEmit *const saturated[16] = {
        [3] = emit_qdmlal, [7] = emit_qdmlsl, [11] = emit_qdmull
    };

    if (u == 0 && saturated[opcode]) {
        return saturated[opcode];
    }
    return scalar ? NULL : plain[opcode];
}

INSTRUCTION(simd_long_element, "0 q u 01111 size:2 l m rm4:4 opcode:4 h 0 rn:5 rd:5",
            "(opcode == 2 || opcode == 6 || opcode == 10 || "
            "(u == 0 && (opcode == 3 || opcode == 7 || opcode == 11))) && (size == 1 || size == 2)")
static bool translate_simd_long_element(A64Translator *t, const A64Fields *f)
{
    Long s = { t, f->u, f->size, 4, f->rd };
    IrRef n;

    if (!a64_fp_access(t)) {
        return true;
    }
    n = a64_vhalf(t, f->q, a64_get_v(t, f->rn));
    a64_set_v(t, f->rd, long_element(f->u, f->opcode, false)(&s, n, element(t, f, f->size)));
    return true;
}

INSTRUCTION(simd_long_element_scalar, "01 0 11111 size:2 l m rm4:4 opcode:4 h 0 rn:5 rd:5",
            "(opcode == 3 || opcode == 7 || opcode == 11) && (size == 1 || size == 2)")
static bool translate_simd_long_element_scalar(A64Translator *t, const A64Fields *f)
{
    Long s = { t, false, f->size, f->size + 1, f->rd };

    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v_low(
        t, f->rd, s.low,
        long_element(0, f->opcode, true)(&s, a64_get_v(t, f->rn), element(t, f, f->size)));
    return true;
}

static void emit_qdmulh_element(A64Translator *t, const A64Fields *f, unsigned low)
{
    ArmSimd op = f->rounding ? ARM_SIMD_sqrdmulh : ARM_SIMD_sqdmulh;
    IrRef n = a64_get_v(t, f->rn), m = element(t, f, f->size);

    a64_note_saturation_mask(t, low, a64_call(t, arm_simd_helper(op, f->size, true), n, m, 0, 0));
    a64_set_v_low(t, f->rd, low, a64_call(t, arm_simd_helper(op, f->size, false), n, m, 0, 0));
}

INSTRUCTION(simd_qdmulh_element, "0 q 0 01111 size:2 l m rm4:4 110 rounding h 0 rn:5 rd:5",
            "size == 1 || size == 2")
static bool translate_simd_qdmulh_element(A64Translator *t, const A64Fields *f)
{
    if (!a64_fp_access(t)) {
        return true;
    }
    emit_qdmulh_element(t, f, f->q ? 4 : 3);
    return true;
}

INSTRUCTION(simd_qdmulh_element_scalar, "01 0 11111 size:2 l m rm4:4 110 rounding h 0 rn:5 rd:5",
            "size == 1 || size == 2")
static bool translate_simd_qdmulh_element_scalar(A64Translator *t, const A64Fields *f)
{
    if (!a64_fp_access(t)) {
        return true;
    }
    emit_qdmulh_element(t, f, f->size);
    return true;
}

static bool rdmla_element(A64Translator *t, const A64Fields *f, unsigned low)
{
    ArmSimd op = f->sub ? ARM_SIMD_sqrdmlsh : ARM_SIMD_sqrdmlah;
    IrRef d, n, m;

    if (!a64_has(t, FEAT_RDM)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    d = a64_get_v(t, f->rd);
    n = a64_get_v(t, f->rn);
    m = element(t, f, f->size);
    a64_note_saturation_mask(t, low, a64_call(t, arm_simd_helper(op, f->size, true), d, n, m, 0));
    a64_set_v_low(t, f->rd, low, a64_call(t, arm_simd_helper(op, f->size, false), d, n, m, 0));
    return true;
}

INSTRUCTION(simd_rdmla_element, "0 q 1 01111 size:2 l m rm4:4 11 sub 1 h 0 rn:5 rd:5",
            "size == 1 || size == 2")
static bool translate_simd_rdmla_element(A64Translator *t, const A64Fields *f)
{
    return rdmla_element(t, f, f->q ? 4 : 3);
}

INSTRUCTION(simd_rdmla_element_scalar, "01 1 11111 size:2 l m rm4:4 11 sub 1 h 0 rn:5 rd:5",
            "size == 1 || size == 2")
static bool translate_simd_rdmla_element_scalar(A64Translator *t, const A64Fields *f)
{
    return rdmla_element(t, f, f->size);
}

static bool dot_element(A64Translator *t, const A64Fields *f, ArmFeature feature, bool n_signed,
                        bool m_signed)
{
    if (!a64_has(t, feature)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_vq(t, f->rd, f->q,
               a64_simd_dot(t, a64_get_v(t, f->rd), a64_get_v(t, f->rn), n_signed, element(t, f, 2),
                            m_signed));
    return true;
}

INSTRUCTION(dot_element, "0 q u 01111 10 l m rm4:4 1110 h 0 rn:5 rd:5")
static bool translate_dot_element(A64Translator *t, const A64Fields *f)
{
    return dot_element(t, f, FEAT_DOTPROD, !f->u, !f->u);
}

/* SUDOT (unsigned_first = 0) and USDOT */
INSTRUCTION(usdot_element, "0 q 0 01111 unsigned_first 0 l m rm4:4 1111 h 0 rn:5 rd:5")
static bool translate_usdot_element(A64Translator *t, const A64Fields *f)
{
    return dot_element(t, f, FEAT_I8MM, !f->unsigned_first, f->unsigned_first);
}
