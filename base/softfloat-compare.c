/* SPDX-License-Identifier: MIT */
/* Software floating point: order, minima and maxima (IEEE 754-2008 sections 5.3.1 and 5.11). */
#include "base/softfloat.h"

/* Order of two values that are not NaNs; the signs of zeros do not count. */
static FloatOrder order(FloatParts a, FloatParts b)
{
    bool greater;

    if (a.class == FLOAT_ZERO && b.class == FLOAT_ZERO) {
        return FLOAT_EQUAL;
    }
    if (a.class == FLOAT_ZERO) {
        return b.sign ? FLOAT_GREATER : FLOAT_LESS;
    }
    if (b.class == FLOAT_ZERO || a.sign != b.sign) {
        return a.sign ? FLOAT_LESS : FLOAT_GREATER;
    }
    if (a.class != b.class) {
        greater = a.class == FLOAT_INF;
    } else if (a.class == FLOAT_INF || (a.exp == b.exp && a.sig == b.sig)) {
        return FLOAT_EQUAL;
    } else {
        greater = a.exp != b.exp ? a.exp > b.exp : a.sig > b.sig;
    }
    return greater != a.sign ? FLOAT_GREATER : FLOAT_LESS;
}

FloatOrder float_compare(const FloatFormat *f, uint64_t a, uint64_t b, bool signalling,
                         FloatStatus *s)
{
    FloatParts pa = float_unpack(f, a, s), pb = float_unpack(f, b, s);

    if (float_class_is_nan(pa.class) || float_class_is_nan(pb.class)) {
        if (signalling || pa.class == FLOAT_SNAN || pb.class == FLOAT_SNAN) {
            s->flags |= FLOAT_INVALID;
        }
        return FLOAT_UNORDERED;
    }
    return order(pa, pb);
}

static uint64_t select_extreme(const FloatFormat *f, uint64_t a, uint64_t b, bool maximum,
                               bool ignore_quiet, FloatStatus *s)
{
    FloatParts pa = float_unpack(f, a, s), pb = float_unpack(f, b, s);
    bool first;

    if (ignore_quiet && pa.class == FLOAT_QNAN && !float_class_is_nan(pb.class)) {
        return pb.class == FLOAT_ZERO ? float_zero(f, pb.sign) : b;
    }
    if (ignore_quiet && pb.class == FLOAT_QNAN && !float_class_is_nan(pa.class)) {
        return pa.class == FLOAT_ZERO ? float_zero(f, pa.sign) : a;
    }
    if (float_class_is_nan(pa.class) || float_class_is_nan(pb.class)) {
        return float_round_pack(f, float_parts_pick_nan(pa, pb, s), s);
    }
    switch (order(pa, pb)) {
    case FLOAT_GREATER:
        first = maximum;
        break;
    case FLOAT_LESS:
        first = !maximum;
        break;
    default:
        first = pa.sign != maximum; /* for zeros; equal numbers are the same anyway */
        break;
    }
    /* A flushed operand counts as the zero that it became. */
    pa = first ? pa : pb;
    return pa.class == FLOAT_ZERO ? float_zero(f, pa.sign) : first ? a : b;
}

uint64_t float_min(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s)
{
    return select_extreme(f, a, b, false, false, s);
}

uint64_t float_max(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s)
{
    return select_extreme(f, a, b, true, false, s);
}

uint64_t float_minnum(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s)
{
    return select_extreme(f, a, b, false, true, s);
}

uint64_t float_maxnum(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s)
{
    return select_extreme(f, a, b, true, true, s);
}
