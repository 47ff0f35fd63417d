/* SPDX-License-Identifier: MIT */
/*
 * IEEE 754 binary arithmetic on integers: exact, independent of the host's FPU and its modes.
 *
 * Values are bit patterns in the low bits of a uint64_t, described by a FloatFormat. Operations work
 * on FloatParts, which have room for a 64-bit significand, so that a format which does not fit into
 * 64 bits (x87 extended) needs only its own unpacking and packing. How architectures differ (NaN
 * propagation, tininess, flushing of denormals, default NaN) is in FloatStatus.
 */
#ifndef BASE_SOFTFLOAT_H
#define BASE_SOFTFLOAT_H

#include <stdbool.h>
#include <stdint.h>

typedef unsigned __int128 FloatSig;

typedef struct {
    uint8_t exp_bits;
    uint8_t frac_bits;          /* without the implied bit */
    bool no_specials;           /* Arm's alternative half precision: no infinities, no NaNs */
    bool is_half;               /* flushed by the _half fields of FloatStatus */
} FloatFormat;

extern const FloatFormat float_f16, float_f16_alt, float_bf16, float_f32, float_f64;

/* The first four are Arm's RMode encoding. */
typedef enum {
    FLOAT_ROUND_NEAREST, FLOAT_ROUND_UP, FLOAT_ROUND_DOWN, FLOAT_ROUND_ZERO, FLOAT_ROUND_AWAY,
    FLOAT_ROUND_ODD,            /* von Neumann; overflow gives the largest number */
    FLOAT_ROUND_ODD_INFINITY,   /* the same; overflow gives infinity */
} FloatRounding;

/* Exception flags, at the places of Arm's FPSR. */
enum {
    FLOAT_INVALID = 1 << 0,
    FLOAT_DIVIDE_BY_ZERO = 1 << 1,
    FLOAT_OVERFLOW = 1 << 2,
    FLOAT_UNDERFLOW = 1 << 3,
    FLOAT_INEXACT = 1 << 4,
    FLOAT_DENORMAL_USED = 1 << 6,    /* an operand was denormal and was not flushed (x86's DE) */
    FLOAT_DENORMAL_FLUSHED = 1 << 7, /* an operand was denormal and was flushed (Arm's IDC) */
};

typedef enum {
    FLOAT_NAN_ARM,  /* a signalling NaN before a quiet one, then the first operand */
    FLOAT_NAN_SSE,  /* the first operand that is a NaN */
    FLOAT_NAN_X87,  /* the larger significand */
} FloatNanRule;

typedef struct {
    uint8_t rounding;           /* FloatRounding */
    uint8_t flags;              /* sticky: operations only set bits */
    uint8_t nan_rule;           /* FloatNanRule */
    bool default_nan;           /* every NaN result is the default NaN */
    bool default_nan_negative;
    bool tininess_before;       /* underflow is judged before rounding (Arm), else after (x86) */
    bool flush_inputs, flush_outputs;
    bool flush_inputs_half, flush_outputs_half;
    /*
     * FLOAT_OVERFLOW, FLOAT_UNDERFLOW: these will be taken, so they are judged as IEEE 754 (7.4, 7.5) says for that: tiny numbers
     * underflow also when exact, and inexact is what would be so without bounds of the exponent. The result is then any.
     */
    uint8_t trapped;
} FloatStatus;

typedef enum { FLOAT_ZERO, FLOAT_NORMAL, FLOAT_INF, FLOAT_QNAN, FLOAT_SNAN } FloatClass;

/*
 * An unpacked number: (-1)^sign * sig / 2^126 * 2^exp. FLOAT_NORMAL (which includes denormal numbers)
 * has bit 126 of sig as its leading one; a NaN has its fraction left-aligned at bit 125.
 */
typedef struct {
    FloatClass class;
    bool sign;
    int32_t exp;
    FloatSig sig;
} FloatParts;

enum { FLOAT_SIG_TOP = 126 };

static inline bool float_class_is_nan(FloatClass class)
{
    return class >= FLOAT_QNAN;
}

/* softfloat.c: unpacking, rounding, packing, NaNs */
FloatParts float_unpack(const FloatFormat *f, uint64_t value, FloatStatus *s);
uint64_t float_round_pack(const FloatFormat *f, FloatParts p, FloatStatus *s);
FloatSig float_sig_shift_jam(FloatSig sig, int count);
/* sig / 2^drop to an integer; *inexact tells whether bits were lost. drop 0 and more. */
FloatSig float_sig_round(FloatSig sig, int drop, bool sign, FloatRounding rounding, bool *inexact);
FloatParts float_parts_default_nan(const FloatStatus *s);
/* The NaN result of an operation on these operands, of which at least one is a NaN. */
FloatParts float_parts_pick_nan(FloatParts a, FloatParts b, FloatStatus *s);
FloatParts float_parts_pick_nan3(FloatParts a, FloatParts b, FloatParts c, FloatStatus *s);
/* An invalid operation: sets the flag, returns the default NaN. */
FloatParts float_parts_invalid(FloatStatus *s);
uint64_t float_default_nan(const FloatFormat *f, const FloatStatus *s);
uint64_t float_infinity(const FloatFormat *f, bool sign);
uint64_t float_zero(const FloatFormat *f, bool sign);
uint64_t float_largest(const FloatFormat *f, bool sign);

/* softfloat-arithmetic.c */
FloatParts float_parts_add(FloatParts a, FloatParts b, FloatStatus *s);
FloatParts float_parts_mul(FloatParts a, FloatParts b, FloatStatus *s);
FloatParts float_parts_div(FloatParts a, FloatParts b, FloatStatus *s);
FloatParts float_parts_sqrt(FloatParts a, FloatStatus *s);
uint64_t float_add(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s);
uint64_t float_sub(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s);
uint64_t float_mul(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s);
uint64_t float_div(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s);
uint64_t float_sqrt(const FloatFormat *f, uint64_t a, FloatStatus *s);
/* a * b + c, rounded once; Arm's rule takes c's NaN before those of a and b. */
uint64_t float_muladd(const FloatFormat *f, uint64_t a, uint64_t b, uint64_t c, FloatStatus *s);
/* a * b + c with a and b of a narrower format. */
uint64_t float_muladd_widen(const FloatFormat *f, const FloatFormat *narrow, uint64_t a, uint64_t b,
                            uint64_t c, FloatStatus *s);
/* The product, but infinity times zero is 2 with the product's sign (FMULX). */
uint64_t float_mulx(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s);

/* softfloat-compare.c */
typedef enum { FLOAT_LESS, FLOAT_EQUAL, FLOAT_GREATER, FLOAT_UNORDERED } FloatOrder;
/* signalling: a quiet NaN is an invalid operation, too. */
FloatOrder float_compare(const FloatFormat *f, uint64_t a, uint64_t b, bool signalling,
                         FloatStatus *s);
/* A NaN propagates; -0 is less than +0. */
uint64_t float_min(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s);
uint64_t float_max(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s);
/* IEEE 754-2008 minNum and maxNum: a quiet NaN loses to a number. */
uint64_t float_minnum(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s);
uint64_t float_maxnum(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s);

/* softfloat-convert.c */
uint64_t float_convert(const FloatFormat *to, const FloatFormat *from, uint64_t a, FloatStatus *s);
/* To an integral number of the same format; exact: raises inexact. */
uint64_t float_round_to_integral(const FloatFormat *f, uint64_t a, FloatRounding rounding,
                                 bool exact, FloatStatus *s);
/* The same, but what does not fit into a signed integer of `bits` is -2^(bits-1), invalid (FRINT32X …). */
uint64_t float_round_to_integral_bits(const FloatFormat *f, uint64_t a, FloatRounding rounding,
                                      unsigned bits, FloatStatus *s);
/*
 * a * 2^scale to an integer of `bits` (1 to 64), saturating; NaN gives 0. The result is zero extended
 * from `bits`. A result that does not fit and a NaN set only the invalid flag.
 */
uint64_t float_to_int(const FloatFormat *f, uint64_t a, unsigned bits, bool is_signed, int scale,
                      FloatRounding rounding, FloatStatus *s);
/* Integer / 2^scale, rounded as the status says. */
uint64_t float_from_int64(const FloatFormat *f, int64_t value, int scale, FloatStatus *s);
uint64_t float_from_uint64(const FloatFormat *f, uint64_t value, int scale, FloatStatus *s);
/* ECMAScript's ToInt32 of an f64; *exact: in range, no fraction, not -0 (FJCVTZS). */
uint32_t float_to_int32_modular(uint64_t a, bool *exact, FloatStatus *s);

/* softfloat-estimate.c: Arm's reciprocal estimates and Newton steps */
uint64_t float_recip_estimate(const FloatFormat *f, uint64_t a, FloatStatus *s);
uint64_t float_rsqrt_estimate(const FloatFormat *f, uint64_t a, FloatStatus *s);
uint64_t float_recip_exponent(const FloatFormat *f, uint64_t a, FloatStatus *s);
/* 2 - a * b and (3 - a * b) / 2, rounded once */
uint64_t float_recip_step(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s);
uint64_t float_rsqrt_step(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s);
uint32_t float_recip_estimate_u32(uint32_t a);
uint32_t float_rsqrt_estimate_u32(uint32_t a);

#endif
