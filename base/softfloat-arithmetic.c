/* SPDX-License-Identifier: MIT */
/* Software floating point: sums, products, quotients, square roots (IEEE 754-2008 section 5.4). */
#include "base/softfloat.h"

static const FloatSig top_bit = (FloatSig)1 << FLOAT_SIG_TOP;

/* Leading zeros above the normal place of the leading one; sig is not 0. */
static int sig_excess_zeros(FloatSig sig)
{
    uint64_t high = (uint64_t)(sig >> 64);

    return (high ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)sig)) - 1;
}

static FloatParts exact_zero(bool sign)
{
    return (FloatParts){ .class = FLOAT_ZERO, .sign = sign };
}

/* The sign of an exact zero sum of numbers with different signs. */
static bool zero_sum_sign(const FloatStatus *s)
{
    return s->rounding == FLOAT_ROUND_DOWN;
}

static FloatParts add_normals(FloatParts a, FloatParts b, FloatStatus *s)
{
    if (a.exp < b.exp || (a.exp == b.exp && a.sig < b.sig)) {
        FloatParts swap = a;

        a = b;
        b = swap;
    }
    b.sig = float_sig_shift_jam(b.sig, a.exp - b.exp);
    if (a.sign == b.sign) {
        a.sig += b.sig;
        if (a.sig >> (FLOAT_SIG_TOP + 1)) {
            a.sig = float_sig_shift_jam(a.sig, 1);
            a.exp++;
        }
        return a;
    }
    a.sig -= b.sig;
    if (a.sig == 0) {
        return exact_zero(zero_sum_sign(s));
    }
    int shift = sig_excess_zeros(a.sig);

    a.sig <<= shift;
    a.exp -= shift;
    return a;
}

FloatParts float_parts_add(FloatParts a, FloatParts b, FloatStatus *s)
{
    if (float_class_is_nan(a.class) || float_class_is_nan(b.class)) {
        return float_parts_pick_nan(a, b, s);
    }
    if (a.class == FLOAT_INF) {
        return b.class == FLOAT_INF && a.sign != b.sign ? float_parts_invalid(s) : a;
    }
    if (b.class == FLOAT_INF) {
        return b;
    }
    if (a.class == FLOAT_ZERO && b.class == FLOAT_ZERO) {
        return exact_zero(a.sign == b.sign ? a.sign : zero_sum_sign(s));
    }
    if (a.class == FLOAT_ZERO) {
        return b;
    }
    if (b.class == FLOAT_ZERO) {
        return a;
    }
    return add_normals(a, b, s);
}

static FloatParts mul_numbers(FloatParts a, FloatParts b)
{
    a.sign ^= b.sign;
    if (a.class == FLOAT_ZERO || b.class == FLOAT_ZERO) {
        return exact_zero(a.sign);
    }
    if (a.class == FLOAT_INF || b.class == FLOAT_INF) {
        a.class = FLOAT_INF;
        return a;
    }
    a.exp += b.exp;
    a.sig = (FloatSig)(uint64_t)(a.sig >> 63) * (uint64_t)(b.sig >> 63);
    if (a.sig >> (FLOAT_SIG_TOP + 1)) {
        a.sig = float_sig_shift_jam(a.sig, 1);
        a.exp++;
    }
    return a;
}

static bool is_zero_times_inf(FloatParts a, FloatParts b)
{
    return (a.class == FLOAT_ZERO && b.class == FLOAT_INF) ||
           (a.class == FLOAT_INF && b.class == FLOAT_ZERO);
}

FloatParts float_parts_mul(FloatParts a, FloatParts b, FloatStatus *s)
{
    if (float_class_is_nan(a.class) || float_class_is_nan(b.class)) {
        return float_parts_pick_nan(a, b, s);
    }
    return is_zero_times_inf(a, b) ? float_parts_invalid(s) : mul_numbers(a, b);
}

FloatParts float_parts_div(FloatParts a, FloatParts b, FloatStatus *s)
{
    FloatSig high, low, rest;
    uint64_t divisor;

    if (float_class_is_nan(a.class) || float_class_is_nan(b.class)) {
        return float_parts_pick_nan(a, b, s);
    }
    if (a.class == b.class && a.class != FLOAT_NORMAL) {
        return float_parts_invalid(s); /* 0 / 0, infinity / infinity */
    }
    a.sign ^= b.sign;
    if (a.class == FLOAT_INF || a.class == FLOAT_ZERO) {
        return a;
    }
    if (b.class == FLOAT_INF) {
        return exact_zero(a.sign);
    }
    if (b.class == FLOAT_ZERO) {
        s->flags |= FLOAT_DIVIDE_BY_ZERO;
        a.class = FLOAT_INF;
        return a;
    }
    /* Both significands have 64 bits with the top one set: two digits of 63 bits of quotient. */
    divisor = (uint64_t)(b.sig >> 63);
    high = a.sig / divisor;
    rest = a.sig % divisor << 63;
    low = rest / divisor;
    a.sig = (high << 63) + low;
    a.sig |= rest % divisor != 0;
    a.exp -= b.exp;
    if (a.sig < top_bit) {
        a.sig <<= 1;
        a.exp--;
    }
    return a;
}

FloatParts float_parts_sqrt(FloatParts a, FloatStatus *s)
{
    /* Fixed point with 120 fraction bits; `rest` is the remainder times two for each digit. */
    FloatSig root = 0, rest, trial;
    enum { FRACTION = 120, DIGITS = 67 };

    if (float_class_is_nan(a.class)) {
        return float_parts_pick_nan(a, a, s);
    }
    if (a.class == FLOAT_ZERO) {
        return a;
    }
    if (a.sign) {
        return float_parts_invalid(s);
    }
    if (a.class == FLOAT_INF) {
        return a;
    }
    rest = a.sig >> (FLOAT_SIG_TOP - FRACTION);
    if (a.exp & 1) {
        rest <<= 1;
    }
    a.exp >>= 1;
    for (int i = 0; i < DIGITS && rest; i++) {
        FloatSig digit = (FloatSig)1 << (FRACTION - i);

        trial = 2 * root + digit;
        if (rest >= trial) {
            rest -= trial;
            root += digit;
        }
        rest <<= 1;
    }
    a.sig = root << (FLOAT_SIG_TOP - FRACTION) | (rest != 0);
    return a;
}

uint64_t float_add(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s)
{
    FloatParts pa = float_unpack(f, a, s), pb = float_unpack(f, b, s);

    return float_round_pack(f, float_parts_add(pa, pb, s), s);
}

uint64_t float_sub(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s)
{
    FloatParts pa = float_unpack(f, a, s), pb = float_unpack(f, b, s);

    if (!float_class_is_nan(pb.class)) {
        pb.sign = !pb.sign;
    }
    return float_round_pack(f, float_parts_add(pa, pb, s), s);
}

uint64_t float_mul(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s)
{
    FloatParts pa = float_unpack(f, a, s), pb = float_unpack(f, b, s);

    return float_round_pack(f, float_parts_mul(pa, pb, s), s);
}

uint64_t float_div(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s)
{
    FloatParts pa = float_unpack(f, a, s), pb = float_unpack(f, b, s);

    return float_round_pack(f, float_parts_div(pa, pb, s), s);
}

uint64_t float_sqrt(const FloatFormat *f, uint64_t a, FloatStatus *s)
{
    return float_round_pack(f, float_parts_sqrt(float_unpack(f, a, s), s), s);
}

static FloatParts parts_muladd(FloatParts a, FloatParts b, FloatParts c, FloatStatus *s)
{
    bool invalid = is_zero_times_inf(a, b);

    if (float_class_is_nan(a.class) || float_class_is_nan(b.class) || float_class_is_nan(c.class)) {
        if (s->nan_rule != FLOAT_NAN_ARM) {
            return float_parts_pick_nan3(a, b, c, s);
        }
        if (invalid && c.class == FLOAT_QNAN) {
            return float_parts_invalid(s);
        }
        return float_parts_pick_nan3(c, a, b, s);
    }
    return invalid ? float_parts_invalid(s) : float_parts_add(mul_numbers(a, b), c, s);
}

uint64_t float_muladd(const FloatFormat *f, uint64_t a, uint64_t b, uint64_t c, FloatStatus *s)
{
    return float_muladd_widen(f, f, a, b, c, s);
}

uint64_t float_muladd_widen(const FloatFormat *f, const FloatFormat *narrow, uint64_t a, uint64_t b,
                            uint64_t c, FloatStatus *s)
{
    FloatParts pc = float_unpack(f, c, s);
    FloatParts pa = float_unpack(narrow, a, s), pb = float_unpack(narrow, b, s);

    return float_round_pack(f, parts_muladd(pa, pb, pc, s), s);
}

uint64_t float_mulx(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s)
{
    FloatParts pa = float_unpack(f, a, s), pb = float_unpack(f, b, s);

    if (is_zero_times_inf(pa, pb)) {
        pa = (FloatParts){
            .class = FLOAT_NORMAL, .sign = pa.sign ^ pb.sign, .exp = 1, .sig = top_bit
        };
        return float_round_pack(f, pa, s);
    }
    return float_round_pack(f, float_parts_mul(pa, pb, s), s);
}
