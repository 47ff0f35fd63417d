/* SPDX-License-Identifier: MIT */
/*
 * Software floating point against the host's SSE unit (x86 rules: results, NaNs and all flags), and
 * formats that the host lacks against exact detours through wider ones.
 */
#include <glib.h>
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "base/softfloat.h"

enum { ROUNDS = 60000 };

static uint64_t random_state = 88172645463325252ull;

static uint64_t random64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Special values, values near each other and near the limits are as likely as random ones. */
static uint64_t random_operand(const FloatFormat *f)
{
    uint64_t sign = float_zero(f, random64() & 1);
    uint64_t exp_max = bits_mask(f->exp_bits), frac_mask = bits_mask(f->frac_bits);
    uint64_t exp = random64() & exp_max, frac = random64() & frac_mask;

    switch (random64() % 8) {
    case 0:
        exp = random64() & 1 ? 0 : exp_max;
        frac = random64() & 1 ? frac : random64() & 3;
        break;
    case 1:
        exp = (exp_max >> 1) + random64() % 5 - 2;
        frac = random64() & 1 ? frac & (frac << 9) & frac_mask : frac_mask - (random64() & 3);
        break;
    case 2:
        exp = (exp_max >> 1) + random64() % (f->frac_bits + 4);
        break;
    case 3:
        exp = random64() % 3;
        break;
    case 4:
        exp = exp_max - random64() % 3;
        break;
    case 5:
        frac = random64() & 1 ? 0 : frac_mask;
        break;
    default:
        break;
    }
    return sign | exp << f->frac_bits | frac;
}

static FloatStatus sse_status(unsigned rounding)
{
    return (FloatStatus){ .rounding = rounding,
                          .nan_rule = FLOAT_NAN_SSE,
                          .default_nan_negative = true };
}

/* MXCSR's rounding field for an Arm rounding mode, all exceptions masked. */
static void host_begin(unsigned rounding)
{
    static const unsigned rc[4] = { 0, 2, 1, 3 };

    _mm_setcsr(0x1f80 | rc[rounding] << 13);
}

static unsigned host_flags(void)
{
    unsigned csr = _mm_getcsr();

    _mm_setcsr(0x1f80);
    return (csr & 1 ? FLOAT_INVALID : 0) | (csr & 2 ? FLOAT_DENORMAL_USED : 0) |
           (csr & 4 ? FLOAT_DIVIDE_BY_ZERO : 0) | (csr & 8 ? FLOAT_OVERFLOW : 0) |
           (csr & 16 ? FLOAT_UNDERFLOW : 0) | (csr & 32 ? FLOAT_INEXACT : 0);
}

typedef uint64_t Binary(const FloatFormat *, uint64_t, uint64_t, FloatStatus *);

static uint64_t host_f64(int op, uint64_t x, uint64_t y)
{
    __m128d a = _mm_castsi128_pd(_mm_set_epi64x(0, (int64_t)x));
    __m128d b = _mm_castsi128_pd(_mm_set_epi64x(0, (int64_t)y));

    switch (op) {
    case 0:
        __asm__ volatile("addsd %1, %0" : "+x"(a) : "x"(b));
        break;
    case 1:
        __asm__ volatile("subsd %1, %0" : "+x"(a) : "x"(b));
        break;
    case 2:
        __asm__ volatile("mulsd %1, %0" : "+x"(a) : "x"(b));
        break;
    case 3:
        __asm__ volatile("divsd %1, %0" : "+x"(a) : "x"(b));
        break;
    default:
        __asm__ volatile("sqrtsd %1, %0" : "+x"(a) : "x"(b));
        break;
    }
    return (uint64_t)_mm_cvtsi128_si64(_mm_castpd_si128(a));
}

static uint64_t host_f32(int op, uint64_t x, uint64_t y)
{
    __m128 a = _mm_castsi128_ps(_mm_set_epi32(0, 0, 0, (int)x));
    __m128 b = _mm_castsi128_ps(_mm_set_epi32(0, 0, 0, (int)y));

    switch (op) {
    case 0:
        __asm__ volatile("addss %1, %0" : "+x"(a) : "x"(b));
        break;
    case 1:
        __asm__ volatile("subss %1, %0" : "+x"(a) : "x"(b));
        break;
    case 2:
        __asm__ volatile("mulss %1, %0" : "+x"(a) : "x"(b));
        break;
    case 3:
        __asm__ volatile("divss %1, %0" : "+x"(a) : "x"(b));
        break;
    default:
        __asm__ volatile("sqrtss %1, %0" : "+x"(a) : "x"(b));
        break;
    }
    return (uint32_t)_mm_cvtsi128_si32(_mm_castps_si128(a));
}

static uint64_t soft_sqrt2(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s)
{
    return float_sqrt(f, b, s);
}

/*
 * The host judges the invalid and zero-divide conditions before it looks for denormals, and then
 * does not report those: the denormal flag is compared only without them, and not for operands
 * that come with a NaN.
 */
static unsigned comparable(unsigned flags, bool nan)
{
    if (nan || flags & (FLOAT_INVALID | FLOAT_DIVIDE_BY_ZERO)) {
        flags &= ~(unsigned)FLOAT_DENORMAL_USED;
    }
    return flags;
}

static void test_binary(void)
{
    static Binary *const soft[] = { float_add, float_sub, float_mul, float_div, soft_sqrt2 };
    const FloatFormat *formats[] = { &float_f32, &float_f64 };

    for (int i = 0; i < ROUNDS * 40; i++) {
        int op = i % 5, rounding = i / 5 % 4, wide = i / 20 % 2;
        uint64_t a = random_operand(formats[wide]), b = random_operand(formats[wide]);
        FloatStatus s = sse_status(rounding);
        uint64_t got = soft[op](formats[wide], a, b, &s), want;
        unsigned flags;

        host_begin(rounding);
        want = wide ? host_f64(op, a, b) : host_f32(op, a, b);
        flags = host_flags();
        bool nan = float_class_is_nan(float_unpack(formats[wide], want, &(FloatStatus){ 0 }).class);

        if (got != want || comparable(s.flags, nan) != comparable(flags, nan)) {
            g_error("op %d wide %d rounding %d: %#lx, %#lx: %#lx flags %#x, host %#lx %#x", op,
                    wide, rounding, a, b, got, s.flags, want, flags);
        }
    }
}

__attribute__((target("fma"))) static uint64_t host_fma(bool wide, uint64_t x, uint64_t y,
                                                        uint64_t z)
{
    /* The second operand of the 213 form is the first factor, where NaNs are concerned. */
    __m128i b = _mm_set_epi64x(0, (int64_t)x), a = _mm_set_epi64x(0, (int64_t)y);
    __m128i c = _mm_set_epi64x(0, (int64_t)z);

    if (wide) {
        __asm__ volatile("vfmadd213sd %2, %1, %0" : "+x"(a) : "x"(b), "x"(c));
        return (uint64_t)_mm_cvtsi128_si64(a);
    }
    __asm__ volatile("vfmadd213ss %2, %1, %0" : "+x"(a) : "x"(b), "x"(c));
    return (uint32_t)_mm_cvtsi128_si32(a);
}

static void test_muladd(void)
{
    if (!__builtin_cpu_supports("fma")) {
        g_test_skip("the host has no FMA");
        return;
    }
    for (int i = 0; i < ROUNDS * 10; i++) {
        int rounding = i % 4, wide = i / 4 % 2;
        const FloatFormat *f = wide ? &float_f64 : &float_f32;
        uint64_t a = random_operand(f), b = random_operand(f), c = random_operand(f), want, got;
        FloatStatus s = sse_status(rounding);
        unsigned flags;

        if (i / 8 % 2) { /* an addend near the product: cancellation */
            c = float_mul(f, a, b, &(FloatStatus){ 0 }) ^ float_zero(f, 1) ^ (random64() & 3);
        }
        got = float_muladd(f, a, b, c, &s);
        host_begin(rounding);
        want = host_fma(wide, a, b, c);
        flags = host_flags();
        bool nan = float_class_is_nan(float_unpack(f, want, &(FloatStatus){ 0 }).class);

        if (got != want || comparable(s.flags, nan) != comparable(flags, nan)) {
            g_error("fma wide %d rounding %d: %#lx, %#lx, %#lx: %#lx flags %#x, host %#lx %#x",
                    wide, rounding, a, b, c, got, s.flags, want, flags);
        }
    }
}

static void test_f32_f64(void)
{
    for (int i = 0; i < ROUNDS * 4; i++) {
        int rounding = i % 4;
        FloatStatus s = sse_status(rounding);
        uint64_t d = random_operand(&float_f64), got;
        uint32_t f = (uint32_t)random_operand(&float_f32);
        __m128i x = _mm_set_epi64x(0, (int64_t)d), y = _mm_set_epi32(0, 0, 0, (int)f);
        unsigned flags;

        host_begin(rounding);
        __asm__ volatile("cvtsd2ss %0, %0" : "+x"(x));
        flags = host_flags();
        got = float_convert(&float_f32, &float_f64, d, &s);
        g_assert_cmphex(got, ==, (uint32_t)_mm_cvtsi128_si32(x));
        bool nan = float_class_is_nan(float_unpack(&float_f32, got, &(FloatStatus){ 0 }).class);
        g_assert_cmphex(comparable(s.flags, nan), ==, comparable(flags, nan));

        __asm__ volatile("cvtss2sd %0, %0" : "+x"(y));
        got = float_convert(&float_f64, &float_f32, f, &s);
        g_assert_cmphex(got, ==, (uint64_t)_mm_cvtsi128_si64(y));
    }
}

static void test_integers(void)
{
    for (int i = 0; i < ROUNDS * 4; i++) {
        int rounding = i % 4;
        FloatStatus s = sse_status(rounding);
        uint64_t d = random_operand(&float_f64), got;
        int64_t n = (int64_t)(random64() >> (random64() % 64)), want;
        __m128i x = _mm_set_epi64x(0, (int64_t)d), y = _mm_setzero_si128();
        unsigned flags;

        host_begin(rounding);
        __asm__ volatile("cvtsd2siq %1, %0" : "=r"(want) : "x"(x));
        flags = host_flags();
        got = float_to_int(&float_f64, d, 64, true, 0, rounding, &s);
        if (s.flags & FLOAT_INVALID) {
            g_assert_cmphex((uint64_t)want, ==, BIT(63));
        } else {
            g_assert_cmphex(got, ==, (uint64_t)want);
        }
        g_assert_cmphex(s.flags & ~FLOAT_DENORMAL_USED, ==, flags & ~FLOAT_DENORMAL_USED);

        s.flags = 0;
        host_begin(rounding);
        __asm__ volatile("cvtsi2ssq %1, %0" : "+x"(y) : "r"(n));
        flags = host_flags();
        g_assert_cmphex(float_from_int64(&float_f32, n, 0, &s), ==, (uint32_t)_mm_cvtsi128_si32(y));
        g_assert_cmphex(s.flags, ==, flags);
        host_begin(rounding);
        __asm__ volatile("cvtsi2sdq %1, %0" : "+x"(y) : "r"(n));
        flags = host_flags();
        g_assert_cmphex(float_from_int64(&float_f64, n, 0, &s), ==, (uint64_t)_mm_cvtsi128_si64(y));
    }
}

/* a half-precision operation is the exact double-precision one, rounded once */
static void test_half(void)
{
    for (int i = 0; i < ROUNDS * 4; i++) {
        FloatStatus s = sse_status(i % 4), exact = sse_status(i % 4), rounded = sse_status(i % 4);
        uint64_t a = random_operand(&float_f16), b = random_operand(&float_f16);
        uint64_t wide_a = float_convert(&float_f64, &float_f16, a, &(FloatStatus){ 0 });
        uint64_t wide_b = float_convert(&float_f64, &float_f16, b, &(FloatStatus){ 0 });
        bool product = i / 4 % 2;
        uint64_t got = (product ? float_mul : float_add)(&float_f16, a, b, &s);
        uint64_t want = (product ? float_mul : float_add)(&float_f64, wide_a, wide_b, &exact);

        want = float_convert(&float_f16, &float_f64, want, &rounded);
        if (!float_class_is_nan(float_unpack(&float_f16, got, &exact).class)) {
            g_assert_cmphex(got, ==, want);
            g_assert_cmphex(s.flags & ~FLOAT_DENORMAL_USED, ==,
                            rounded.flags & ~FLOAT_DENORMAL_USED);
        }
    }
}

static void test_compare(void)
{
    for (int i = 0; i < ROUNDS * 4; i++) {
        uint64_t a = random_operand(&float_f64), b = i & 1 ? a : random_operand(&float_f64);
        FloatOrder got = float_compare(&float_f64, a, b, false, &(FloatStatus){ 0 });
        double x, y;

        memcpy(&x, &a, 8);
        memcpy(&y, &b, 8);
        g_assert_cmpint(got, ==,
                        x < y    ? FLOAT_LESS
                        : x > y  ? FLOAT_GREATER
                        : x == y ? FLOAT_EQUAL
                                 : FLOAT_UNORDERED);
        if (got == FLOAT_LESS) {
            g_assert_cmphex(float_min(&float_f64, a, b, &(FloatStatus){ 0 }), ==, a);
            g_assert_cmphex(float_maxnum(&float_f64, a, b, &(FloatStatus){ 0 }), ==, b);
        }
    }
    g_assert_cmphex(float_min(&float_f32, 0, 0x80000000, &(FloatStatus){ 0 }), ==, 0x80000000);
    g_assert_cmphex(float_max(&float_f32, 0x80000000, 0, &(FloatStatus){ 0 }), ==, 0);
    g_assert_cmphex(float_minnum(&float_f32, 0x7fc00000, 0x3f800000, &(FloatStatus){ 0 }), ==,
                    0x3f800000);
}

static void test_integral(void)
{
    for (int i = 0; i < ROUNDS * 4; i++) {
        uint64_t a = random_operand(&float_f64), want;
        FloatStatus s = sse_status(0);
        double x;

        memcpy(&x, &a, 8);
        if (isnan(x)) {
            continue;
        }
        x = i % 3 == 0 ? floor(x) : i % 3 == 1 ? ceil(x) : round(x);
        memcpy(&want, &x, 8);
        g_assert_cmphex(float_round_to_integral(&float_f64, a,
                                                i % 3 == 0   ? FLOAT_ROUND_DOWN
                                                : i % 3 == 1 ? FLOAT_ROUND_UP
                                                             : FLOAT_ROUND_AWAY,
                                                false, &s),
                        ==, want);
    }
}

static void test_arm_rules(void)
{
    FloatStatus s = { .tininess_before = true };

    /* A signalling NaN comes before a quiet one, and is quieted. */
    g_assert_cmphex(float_add(&float_f32, 0x7fc00001, 0x7f800002, &s), ==, 0x7fc00002);
    g_assert_cmphex(s.flags, ==, FLOAT_INVALID);
    /* The product rounds up to the smallest normal number: tiny before rounding only. */
    s.flags = 0;
    g_assert_cmphex(float_mul(&float_f32, 0x007fffff, 0x3f800001, &s), ==, 0x00800000);
    g_assert_cmphex(s.flags & ~FLOAT_DENORMAL_USED, ==, FLOAT_UNDERFLOW | FLOAT_INEXACT);
    s = (FloatStatus){ .tininess_before = true, .flush_inputs = true, .flush_outputs = true };
    g_assert_cmphex(float_mul(&float_f32, 0x80800000, 0x3f000000, &s), ==, 0x80000000);
    g_assert_cmphex(s.flags, ==, FLOAT_UNDERFLOW);
    s.flags = 0;
    g_assert_cmphex(float_add(&float_f32, 0x00000001, 0x3f800000, &s), ==, 0x3f800000);
    g_assert_cmphex(s.flags, ==, FLOAT_DENORMAL_FLUSHED);
    s = (FloatStatus){ .tininess_before = true };
    g_assert_cmphex(float_mulx(&float_f64, float_infinity(&float_f64, true), 0, &s), ==,
                    UINT64_C(0xc000000000000000));
    /* Alternative half precision: no infinity; too large is invalid only. */
    g_assert_cmphex(float_convert(&float_f16_alt, &float_f32, 0x7f800000, &s), ==, 0x7fff);
    g_assert_cmphex(s.flags, ==, FLOAT_INVALID);
    g_assert_cmphex(float_convert(&float_f16_alt, &float_f32, 0x47800000, &s), ==, 0x7c00);
    g_assert_cmphex(float_recip_estimate(&float_f32, 0x3f800000, &s), ==, 0x3f7f8000);
    g_assert_cmphex(float_rsqrt_estimate(&float_f32, 0x40800000, &s), ==, 0x3eff8000);
    g_assert_cmphex(float_recip_estimate_u32(0x80000000), ==, 0xff800000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/softfloat/binary", test_binary);
    g_test_add_func("/softfloat/muladd", test_muladd);
    g_test_add_func("/softfloat/f32-f64", test_f32_f64);
    g_test_add_func("/softfloat/integers", test_integers);
    g_test_add_func("/softfloat/half", test_half);
    g_test_add_func("/softfloat/compare", test_compare);
    g_test_add_func("/softfloat/integral", test_integral);
    g_test_add_func("/softfloat/arm-rules", test_arm_rules);
    return g_test_run();
}
