/* SPDX-License-Identifier: MIT */
/*
 * Reciprocal and reciprocal square root estimates with 8 bits of precision, and the fused steps that
 * refine them, as the Arm Architecture Reference Manual defines them (DDI 0487, shared pseudocode:
 * FPRecipEstimate, FPRSqrtEstimate, FPRecpX, FPRecipStepFused, FPRSqrtStepFused,
 * UnsignedRecipEstimate, UnsignedRSqrtEstimate).
 */
#include "base/softfloat.h"

#include "base/bits.h"

/* a: 1.8 fixed point in [0.5, 1) as 256 to 511; result 256 to 511 for [1, 2). */
static unsigned recip_table(unsigned a)
{
    return ((1u << 19) / (2 * a + 1) + 1) / 2;
}

/* a: 128 to 511 for [0.25, 1); result 256 to 511 for [1, 2). */
static unsigned rsqrt_table(unsigned a)
{
    unsigned b = 512;

    /* Twice the middle of the interval of numbers that a stands for. */
    a = a < 256 ? 2 * a + 1 : 2 * (a | 1);
    while (a * (b + 1) * (b + 1) < 1u << 28) {
        b++;
    }
    return (b + 1) / 2;
}

uint32_t float_recip_estimate_u32(uint32_t a)
{
    return a >> 31 ? recip_table(a >> 23) << 23 : UINT32_MAX;
}

uint32_t float_rsqrt_estimate_u32(uint32_t a)
{
    return a >> 30 ? rsqrt_table(a >> 23) << 23 : UINT32_MAX;
}

static int bias_of(const FloatFormat *f)
{
    return (1 << (f->exp_bits - 1)) - 1;
}

/* The eight bits below the leading one. */
static unsigned top_fraction(FloatParts p)
{
    return (unsigned)(p.sig >> (FLOAT_SIG_TOP - 8)) & 0xff;
}

static uint64_t recip_overflow(const FloatFormat *f, bool sign, FloatStatus *s)
{
    bool to_infinity = s->rounding == FLOAT_ROUND_NEAREST ||
                       s->rounding == (sign ? FLOAT_ROUND_DOWN : FLOAT_ROUND_UP);

    s->flags |= FLOAT_OVERFLOW | FLOAT_INEXACT;
    return to_infinity ? float_infinity(f, sign) : float_largest(f, sign);
}

uint64_t float_recip_estimate(const FloatFormat *f, uint64_t a, FloatStatus *s)
{
    FloatParts p = float_unpack(f, a, s);
    int bias = bias_of(f), exp;
    uint64_t fraction;

    if (float_class_is_nan(p.class)) {
        return float_round_pack(f, float_parts_pick_nan(p, p, s), s);
    }
    if (p.class == FLOAT_INF) {
        return float_zero(f, p.sign);
    }
    if (p.class == FLOAT_ZERO) {
        s->flags |= FLOAT_DIVIDE_BY_ZERO;
        return float_infinity(f, p.sign);
    }
    if (p.exp < -bias - 1) {
        return recip_overflow(f, p.sign, s);
    }
    if ((f->is_half ? s->flush_outputs_half : s->flush_outputs) && p.exp >= bias - 1) {
        s->flags |= FLOAT_UNDERFLOW;
        return float_zero(f, p.sign);
    }
    /* Biased exponent of a reciprocal in [1, 2) * 2^(-exp - 1). */
    exp = bias - 1 - p.exp;
    fraction = (uint64_t)(recip_table(256 | top_fraction(p)) & 0xff) << (f->frac_bits - 8);
    if (exp <= 0) {
        fraction = (BIT(f->frac_bits) | fraction) >> (1 - exp);
        exp = 0;
    }
    return float_zero(f, p.sign) | (uint64_t)exp << f->frac_bits | fraction;
}

uint64_t float_rsqrt_estimate(const FloatFormat *f, uint64_t a, FloatStatus *s)
{
    FloatParts p = float_unpack(f, a, s);
    int bias = bias_of(f), biased;
    unsigned scaled;

    if (float_class_is_nan(p.class)) {
        return float_round_pack(f, float_parts_pick_nan(p, p, s), s);
    }
    if (p.class == FLOAT_ZERO) {
        s->flags |= FLOAT_DIVIDE_BY_ZERO;
        return float_infinity(f, p.sign);
    }
    if (p.sign) {
        return float_round_pack(f, float_parts_invalid(s), s);
    }
    if (p.class == FLOAT_INF) {
        return float_zero(f, false);
    }
    /* An even biased exponent stands for [0.5, 1) times a power of four, an odd one for [0.25, 0.5). */
    biased = p.exp + bias;
    scaled = 256 | top_fraction(p);
    scaled = biased & 1 ? scaled >> 1 : scaled;
    biased = (3 * bias - 1 - biased) >> 1;
    return (uint64_t)biased << f->frac_bits | (uint64_t)(rsqrt_table(scaled) & 0xff)
                                                  << (f->frac_bits - 8);
}

uint64_t float_recip_exponent(const FloatFormat *f, uint64_t a, FloatStatus *s)
{
    FloatParts p = float_unpack(f, a, s);
    uint64_t max = bits_mask(f->exp_bits);
    uint64_t exp = a >> f->frac_bits & max;

    if (float_class_is_nan(p.class)) {
        return float_round_pack(f, float_parts_pick_nan(p, p, s), s);
    }
    exp = exp == 0 ? max - 1 : exp ^ max;
    return float_zero(f, p.sign) | exp << f->frac_bits;
}

/* (constant - a * b) * 2^scale, rounded once; infinity times zero counts as zero. */
static uint64_t fused_step(const FloatFormat *f, uint64_t a, uint64_t b, FloatParts constant,
                           int scale, FloatStatus *s)
{
    FloatParts pa = float_unpack(f, a, s), pb = float_unpack(f, b, s), result;

    pa.sign = !pa.sign;
    if (float_class_is_nan(pa.class) || float_class_is_nan(pb.class)) {
        return float_round_pack(f, float_parts_pick_nan(pa, pb, s), s);
    }
    if ((pa.class == FLOAT_INF && pb.class == FLOAT_ZERO) ||
        (pa.class == FLOAT_ZERO && pb.class == FLOAT_INF)) {
        result = constant;
    } else {
        result = float_parts_add(float_parts_mul(pa, pb, s), constant, s);
    }
    result.exp += scale;
    return float_round_pack(f, result, s);
}

uint64_t float_recip_step(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s)
{
    FloatParts two = { .class = FLOAT_NORMAL, .exp = 1, .sig = (FloatSig)1 << FLOAT_SIG_TOP };

    return fused_step(f, a, b, two, 0, s);
}

uint64_t float_rsqrt_step(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s)
{
    FloatParts three = { .class = FLOAT_NORMAL,
                         .exp = 1,
                         .sig = (FloatSig)3 << (FLOAT_SIG_TOP - 1) };

    return fused_step(f, a, b, three, -1, s);
}
