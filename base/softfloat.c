/* SPDX-License-Identifier: MIT */
/*
 * Software floating point: formats, unpacking, rounding and packing, and the choice of NaNs
 * (IEEE 754-2008 sections 3.4, 4, 6 and 7).
 */
#include "base/softfloat.h"

#include "base/bits.h"

const FloatFormat float_f16 = { .exp_bits = 5, .frac_bits = 10, .is_half = true };
const FloatFormat float_f16_alt = {
    .exp_bits = 5, .frac_bits = 10, .is_half = true, .no_specials = true
};
const FloatFormat float_bf16 = { .exp_bits = 8, .frac_bits = 7 };
const FloatFormat float_f32 = { .exp_bits = 8, .frac_bits = 23 };
const FloatFormat float_f64 = { .exp_bits = 11, .frac_bits = 52 };

static int format_exp_max(const FloatFormat *f)
{
    return (1 << f->exp_bits) - 1;
}

static int format_bias(const FloatFormat *f)
{
    return (1 << (f->exp_bits - 1)) - 1;
}

uint64_t float_zero(const FloatFormat *f, bool sign)
{
    return (uint64_t)sign << (f->exp_bits + f->frac_bits);
}

uint64_t float_infinity(const FloatFormat *f, bool sign)
{
    return float_zero(f, sign) | (uint64_t)format_exp_max(f) << f->frac_bits;
}

uint64_t float_largest(const FloatFormat *f, bool sign)
{
    if (f->no_specials) {
        return float_zero(f, sign) | bits_mask(f->exp_bits + f->frac_bits);
    }
    return float_infinity(f, sign) - 1;
}

uint64_t float_default_nan(const FloatFormat *f, const FloatStatus *s)
{
    return float_infinity(f, s->default_nan_negative) | BIT(f->frac_bits - 1);
}

FloatSig float_sig_shift_jam(FloatSig sig, int count)
{
    if (count <= 0) {
        return sig;
    }
    if (count >= 128) {
        return sig != 0;
    }
    return sig >> count | (sig << (128 - count) != 0);
}

static FloatParts unpack_denormal(const FloatFormat *f, FloatParts p, uint64_t frac, FloatStatus *s)
{
    int top = 63 - __builtin_clzll(frac);

    if (f->is_half ? s->flush_inputs_half : s->flush_inputs) {
        if (!f->is_half) {
            s->flags |= FLOAT_DENORMAL_FLUSHED;
        }
        p.class = FLOAT_ZERO;
        return p;
    }
    s->flags |= FLOAT_DENORMAL_USED;
    p.class = FLOAT_NORMAL;
    p.exp = top + 1 - format_bias(f) - f->frac_bits;
    p.sig = (FloatSig)frac << (FLOAT_SIG_TOP - top);
    return p;
}

FloatParts float_unpack(const FloatFormat *f, uint64_t value, FloatStatus *s)
{
    uint64_t frac = value & bits_mask(f->frac_bits);
    int biased = (int)(value >> f->frac_bits) & format_exp_max(f);
    FloatParts p = { .sign = value >> (f->exp_bits + f->frac_bits) & 1 };

    if (biased == format_exp_max(f) && !f->no_specials) {
        p.class = frac == 0 ? FLOAT_INF : frac >> (f->frac_bits - 1) ? FLOAT_QNAN : FLOAT_SNAN;
        p.sig = (FloatSig)frac << (FLOAT_SIG_TOP - f->frac_bits);
    } else if (biased == 0) {
        if (frac) {
            return unpack_denormal(f, p, frac, s);
        }
        p.class = FLOAT_ZERO;
    } else {
        p.class = FLOAT_NORMAL;
        p.exp = biased - format_bias(f);
        p.sig = (FloatSig)(frac | BIT(f->frac_bits)) << (FLOAT_SIG_TOP - f->frac_bits);
    }
    return p;
}

FloatSig float_sig_round(FloatSig sig, int drop, bool sign, FloatRounding rounding, bool *inexact)
{
    FloatSig kept, rest, half;
    bool up = false;

    if (drop == 0) {
        *inexact = false;
        return sig;
    }
    if (drop > 127) {
        sig = float_sig_shift_jam(sig, drop - 127);
        drop = 127;
    }
    kept = sig >> drop;
    rest = sig & (((FloatSig)1 << drop) - 1);
    half = (FloatSig)1 << (drop - 1);
    *inexact = rest != 0;
    switch (rounding) {
    case FLOAT_ROUND_NEAREST:
        up = rest > half || (rest == half && (kept & 1));
        break;
    case FLOAT_ROUND_AWAY:
        up = rest >= half;
        break;
    case FLOAT_ROUND_UP:
        up = rest && !sign;
        break;
    case FLOAT_ROUND_DOWN:
        up = rest && sign;
        break;
    case FLOAT_ROUND_ZERO:
        break;
    case FLOAT_ROUND_ODD:
    case FLOAT_ROUND_ODD_INFINITY:
        up = rest && !(kept & 1);
        break;
    }
    return kept + up;
}

static uint64_t overflow(const FloatFormat *f, bool sign, FloatStatus *s)
{
    bool to_infinity = true;

    if (f->no_specials) {
        s->flags |= FLOAT_INVALID;
        return float_largest(f, sign);
    }
    s->flags |= FLOAT_OVERFLOW | FLOAT_INEXACT;
    switch ((FloatRounding)s->rounding) {
    case FLOAT_ROUND_NEAREST:
    case FLOAT_ROUND_AWAY:
    case FLOAT_ROUND_ODD_INFINITY:
        break;
    case FLOAT_ROUND_UP:
        to_infinity = !sign;
        break;
    case FLOAT_ROUND_DOWN:
        to_infinity = sign;
        break;
    case FLOAT_ROUND_ZERO:
    case FLOAT_ROUND_ODD:
        to_infinity = false;
        break;
    }
    return to_infinity ? float_infinity(f, sign) : float_largest(f, sign);
}

/* Whether a number with biased exponent below 1 counts as tiny. */
static bool is_tiny(const FloatFormat *f, FloatParts p, int biased, const FloatStatus *s)
{
    bool inexact;
    int drop = FLOAT_SIG_TOP - f->frac_bits;

    if (s->tininess_before || biased < 0) {
        return true;
    }
    /* Rounded as if the exponent had no lower bound, it may reach the smallest normal number. */
    return float_sig_round(p.sig, drop, p.sign, s->rounding, &inexact) >> (f->frac_bits + 1) == 0;
}

/* The result will not be seen: see FloatStatus.trapped. */
static uint64_t trap(const FloatFormat *f, FloatParts p, unsigned exception, FloatStatus *s)
{
    bool inexact;

    float_sig_round(p.sig, FLOAT_SIG_TOP - f->frac_bits, p.sign, s->rounding, &inexact);
    s->flags |= exception | (inexact ? FLOAT_INEXACT : 0u);
    return float_zero(f, p.sign);
}

static uint64_t round_pack_normal(const FloatFormat *f, FloatParts p, FloatStatus *s)
{
    uint64_t sign = float_zero(f, p.sign);
    int biased = p.exp + format_bias(f);
    int drop = FLOAT_SIG_TOP - f->frac_bits;
    bool tiny = false, inexact;
    uint64_t kept, limit;

    if (biased < 1) {
        tiny = is_tiny(f, p, biased, s);
        if (tiny && s->trapped & FLOAT_UNDERFLOW) {
            return trap(f, p, FLOAT_UNDERFLOW, s);
        }
        if (tiny && (f->is_half ? s->flush_outputs_half : s->flush_outputs)) {
            s->flags |= FLOAT_UNDERFLOW | (s->tininess_before ? 0 : FLOAT_INEXACT);
            return sign;
        }
        drop += 1 - biased;
    }
    kept = (uint64_t)float_sig_round(p.sig, drop, p.sign, s->rounding, &inexact);
    if (biased >= 1) {
        limit = (uint64_t)format_exp_max(f) + f->no_specials;
        /* The leading one of kept adds one to the exponent; a carry out of it adds another. */
        if ((uint64_t)biased - 1 + (kept >> f->frac_bits) >= limit) {
            return s->trapped & FLOAT_OVERFLOW ? trap(f, p, FLOAT_OVERFLOW, s)
                                               : overflow(f, p.sign, s);
        }
        kept += (uint64_t)(biased - 1) << f->frac_bits;
    }
    if (inexact) {
        s->flags |= FLOAT_INEXACT | (tiny ? FLOAT_UNDERFLOW : 0);
    }
    return sign | kept;
}

uint64_t float_round_pack(const FloatFormat *f, FloatParts p, FloatStatus *s)
{
    switch (p.class) {
    case FLOAT_ZERO:
        break;
    case FLOAT_NORMAL:
        return round_pack_normal(f, p, s);
    case FLOAT_INF:
        return float_infinity(f, p.sign);
    case FLOAT_QNAN:
    case FLOAT_SNAN:
        return float_infinity(f, p.sign) | BIT(f->frac_bits - 1) |
               (uint64_t)(p.sig >> (FLOAT_SIG_TOP - f->frac_bits));
    }
    return float_zero(f, p.sign);
}

FloatParts float_parts_default_nan(const FloatStatus *s)
{
    return (FloatParts){ .class = FLOAT_QNAN,
                         .sign = s->default_nan_negative,
                         .sig = (FloatSig)1 << (FLOAT_SIG_TOP - 1) };
}

FloatParts float_parts_invalid(FloatStatus *s)
{
    s->flags |= FLOAT_INVALID;
    return float_parts_default_nan(s);
}

static FloatParts quieted(FloatParts p)
{
    p.class = FLOAT_QNAN;
    p.sig |= (FloatSig)1 << (FLOAT_SIG_TOP - 1);
    return p;
}

/* x87: the larger significand; of equal ones, the positive operand. A number counts as smallest. */
static FloatParts pick_nan_x87(FloatParts a, FloatParts b)
{
    if (!float_class_is_nan(b.class)) {
        return a;
    }
    if (!float_class_is_nan(a.class)) {
        return b;
    }
    if (a.class != b.class) {
        return a.class == FLOAT_QNAN ? a : b;
    }
    if (a.sig != b.sig) {
        return a.sig > b.sig ? a : b;
    }
    return a.sign ? b : a;
}

FloatParts float_parts_pick_nan(FloatParts a, FloatParts b, FloatStatus *s)
{
    if (a.class == FLOAT_SNAN || b.class == FLOAT_SNAN) {
        s->flags |= FLOAT_INVALID;
    }
    if (s->default_nan) {
        return float_parts_default_nan(s);
    }
    if (s->nan_rule == FLOAT_NAN_X87) {
        return quieted(pick_nan_x87(a, b));
    }
    if (s->nan_rule == FLOAT_NAN_ARM) {
        if (a.class == FLOAT_SNAN) {
            return quieted(a);
        }
        if (b.class == FLOAT_SNAN) {
            return quieted(b);
        }
    }
    return quieted(float_class_is_nan(a.class) ? a : b);
}

FloatParts float_parts_pick_nan3(FloatParts a, FloatParts b, FloatParts c, FloatStatus *s)
{
    FloatParts order[3] = { a, b, c };

    for (int i = 0; i < 3; i++) {
        if (order[i].class == FLOAT_SNAN) {
            s->flags |= FLOAT_INVALID;
        }
    }
    if (s->default_nan) {
        return float_parts_default_nan(s);
    }
    if (s->nan_rule == FLOAT_NAN_ARM) {
        for (int i = 0; i < 3; i++) {
            if (order[i].class == FLOAT_SNAN) {
                return quieted(order[i]);
            }
        }
    }
    for (int i = 0; i < 2; i++) {
        if (float_class_is_nan(order[i].class)) {
            return quieted(order[i]);
        }
    }
    return quieted(c);
}
