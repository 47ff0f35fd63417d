/* SPDX-License-Identifier: MIT */
/*
 * Software floating point: conversions between formats, to and from integers, and to integral
 * numbers (IEEE 754-2008 sections 5.4.1, 5.4.2 and 5.9).
 */
#include "base/softfloat.h"

#include "base/bits.h"

uint64_t float_convert(const FloatFormat *to, const FloatFormat *from, uint64_t a, FloatStatus *s)
{
    /* Conversions never flush half precision (Arm ARM, FPUnpackCV and FPRoundCV). */
    bool flush_inputs = s->flush_inputs_half, flush_outputs = s->flush_outputs_half;
    FloatParts p;
    uint64_t result;

    s->flush_inputs_half = s->flush_outputs_half = false;
    p = float_unpack(from, a, s);
    if (float_class_is_nan(p.class)) {
        p = float_parts_pick_nan(p, p, s);
        if (to->no_specials) {
            s->flags |= FLOAT_INVALID;
            /* The sign survives even where a default NaN would be asked for. */
            p = (FloatParts){ .class = FLOAT_ZERO,
                              .sign = a >> (from->exp_bits + from->frac_bits) & 1 };
        }
        result = float_round_pack(to, p, s);
    } else if (p.class == FLOAT_INF && to->no_specials) {
        s->flags |= FLOAT_INVALID;
        result = float_largest(to, p.sign);
    } else {
        result = float_round_pack(to, p, s);
    }
    s->flush_inputs_half = flush_inputs;
    s->flush_outputs_half = flush_outputs;
    return result;
}

/* |p| * 2^scale to an integer. Numbers of 2^65 and more give 2^65 (and are not inexact). */
static FloatSig magnitude(FloatParts p, int scale, FloatRounding rounding, bool *inexact)
{
    *inexact = false;
    if (p.class == FLOAT_ZERO) {
        return 0;
    }
    if (p.class != FLOAT_NORMAL || p.exp + scale >= 65) {
        return (FloatSig)1 << 65;
    }
    return float_sig_round(p.sig, FLOAT_SIG_TOP - p.exp - scale, p.sign, rounding, inexact);
}

/* The integral number with this magnitude; exact. */
static FloatParts integral_parts(FloatSig value, bool sign)
{
    FloatParts p = { .class = FLOAT_ZERO, .sign = sign };

    if (value) {
        int top = value >> 64 ? 127 - __builtin_clzll((uint64_t)(value >> 64))
                              : 63 - __builtin_clzll((uint64_t)value);

        p.class = FLOAT_NORMAL;
        p.exp = top;
        p.sig = value << (FLOAT_SIG_TOP - top);
    }
    return p;
}

uint64_t float_round_to_integral(const FloatFormat *f, uint64_t a, FloatRounding rounding,
                                 bool exact, FloatStatus *s)
{
    FloatParts p = float_unpack(f, a, s);
    FloatSig value;
    bool inexact;

    if (float_class_is_nan(p.class)) {
        return float_round_pack(f, float_parts_pick_nan(p, p, s), s);
    }
    if (p.class == FLOAT_ZERO) {
        return float_zero(f, p.sign);
    }
    if (p.class == FLOAT_INF || p.exp >= f->frac_bits) {
        return a;
    }
    value = magnitude(p, 0, rounding, &inexact);
    if (inexact && exact) {
        s->flags |= FLOAT_INEXACT;
    }
    return float_round_pack(f, integral_parts(value, p.sign), s);
}

uint64_t float_round_to_integral_bits(const FloatFormat *f, uint64_t a, FloatRounding rounding,
                                      unsigned bits, FloatStatus *s)
{
    FloatParts p = float_unpack(f, a, s);
    FloatSig limit = (FloatSig)1 << (bits - 1);
    FloatSig value = magnitude(p, 0, rounding, &(bool){ false });

    if (p.class >= FLOAT_INF || value > limit - !p.sign) {
        s->flags |= FLOAT_INVALID;
        return float_round_pack(f, integral_parts(limit, true), s);
    }
    return float_round_to_integral(f, a, rounding, true, s);
}

uint64_t float_to_int(const FloatFormat *f, uint64_t a, unsigned bits, bool is_signed, int scale,
                      FloatRounding rounding, FloatStatus *s)
{
    FloatParts p = float_unpack(f, a, s);
    FloatSig value, limit;
    bool inexact;

    if (float_class_is_nan(p.class)) {
        s->flags |= FLOAT_INVALID;
        return 0;
    }
    value = magnitude(p, scale, rounding, &inexact);
    if (is_signed) {
        limit = ((FloatSig)1 << (bits - 1)) - !p.sign;
    } else {
        limit = p.sign ? 0 : ((FloatSig)1 << bits) - 1;
    }
    if (value > limit) {
        value = limit;
        s->flags |= FLOAT_INVALID;
    } else if (inexact) {
        s->flags |= FLOAT_INEXACT;
    }
    return (p.sign ? -(uint64_t)value : (uint64_t)value) & bits_mask(bits);
}

uint64_t float_from_uint64(const FloatFormat *f, uint64_t value, int scale, FloatStatus *s)
{
    FloatParts p = integral_parts(value, false);

    p.exp -= scale;
    return float_round_pack(f, p, s);
}

uint64_t float_from_int64(const FloatFormat *f, int64_t value, int scale, FloatStatus *s)
{
    bool sign = value < 0;
    FloatParts p = integral_parts(sign ? -(uint64_t)value : (uint64_t)value, sign);

    p.exp -= scale;
    return float_round_pack(f, p, s);
}

uint32_t float_to_int32_modular(uint64_t a, bool *exact, FloatStatus *s)
{
    FloatParts p = float_unpack(&float_f64, a, s);
    bool inexact = false;
    uint32_t result;
    FloatSig value;

    *exact = false;
    if (p.class == FLOAT_ZERO) {
        *exact = a == 0; /* neither -0 nor a flushed denormal */
        return 0;
    }
    if (p.class != FLOAT_NORMAL || p.exp >= 84) {
        /* 2^84 and more are multiples of 2^32. */
        s->flags |= FLOAT_INVALID;
        return 0;
    }
    value = float_sig_round(p.sig, FLOAT_SIG_TOP - p.exp, p.sign, FLOAT_ROUND_ZERO, &inexact);
    result = (uint32_t)(p.sign ? -(uint64_t)value : (uint64_t)value);
    if (value > ((FloatSig)1 << 31) - !p.sign) {
        s->flags |= FLOAT_INVALID;
    } else if (inexact) {
        s->flags |= FLOAT_INEXACT;
    } else {
        *exact = true;
    }
    return result;
}
