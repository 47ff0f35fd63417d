/* SPDX-License-Identifier: MIT */
/*
 * 3DNow! by its definition, which is written down here once more: pairs of numbers in memory and in registers, also where MXCSR has
 * other wishes. What AMD added to MMX, and EFER.FFXSR.
 * usage: test-3dnow-x86 [-i]     (-i: on the interpreter)
 */
#include <math.h>

#include "base/bits.h"
#include "target/i386/control.h"
#include "tests/isa/rig-x86.h"

enum {
    CODE = 0x1000,
    CATCHER = 0x2000,
    STACK = 0x8000,
    FIRST = 0x100000,
    SECOND = 0x200000,
    RESULTS = 0x300000,
    PAIRS = 400
};

static bool interp;

typedef struct {
    uint32_t d[2];
} Pair;

/* A number's value, with denormals as zeros; and the other way round: rounded, too small ones zeros, too large ones the largest. */
static double value_of(uint32_t bits)
{
    double magnitude = ldexp((double)(bits & 0x7fffff) + 0x800000, (int)(bits >> 23 & 0xff) - 150);

    magnitude = bits >> 23 & 0xff ? magnitude : 0;
    return bits >> 31 ? -magnitude : magnitude;
}

static uint32_t bits_of(double value)
{
    uint32_t sign = signbit(value) ? 0x80000000 : 0;
    int exponent;
    double fraction = frexp(fabs(value), &exponent), scaled = nearbyint(ldexp(fraction, 24));

    if (value == 0) {
        return sign;
    }
    if (scaled == 0x1000000) {
        scaled /= 2;
        exponent++;
    }
    if (exponent + 126 > 254) {
        return sign | 0x7f7fffff;
    }
    return exponent + 126 < 1
               ? sign
               : sign | (uint32_t)(exponent + 126) << 23 | ((uint32_t)scaled & 0x7fffff);
}

static uint32_t integer_of(double value, double least, double most)
{
    return (uint32_t)(int32_t)(int64_t)trunc(fmin(fmax(value, least), most));
}

static uint32_t mask(bool condition)
{
    return condition ? UINT32_MAX : 0;
}

/* Of two numbers, of which a result that is zero is +0. */
static uint32_t chosen(double value)
{
    return value == 0 ? 0 : bits_of(value);
}

static uint32_t rounded_word(uint32_t a, uint32_t b)
{
    return (uint32_t)(((int16_t)a * (int16_t)b + 0x8000) >> 16) & 0xffff;
}

static uint32_t average(uint32_t a, uint32_t b)
{
    uint32_t result = 0;

    for (unsigned i = 0; i < 32; i += 8) {
        result |= ((a >> i & 0xff) + (b >> i & 0xff) + 1) / 2 << i;
    }
    return result;
}

/* An integer with what is beyond 24 bits cut off. */
static double cut(int32_t value)
{
    double unit = 1;

    while (fabs((double)value) / unit >= 0x1000000) {
        unit *= 2;
    }
    return trunc(value / unit) * unit;
}

static uint32_t expected_lane(uint8_t suffix, uint32_t a, uint32_t b)
{
    double x = value_of(a), y = value_of(b);

    switch (suffix) {
    case 0x0c:
        return bits_of((int16_t)b);
    case 0x0d:
        return bits_of(cut((int32_t)b));
    case 0x1c:
        return integer_of(y, INT16_MIN, INT16_MAX);
    case 0x1d:
        return integer_of(y, INT32_MIN, INT32_MAX);
    case 0x90:
        return mask(x >= y);
    case 0x94:
        return chosen(fmin(x, y));
    case 0x9a:
        return bits_of(x - y);
    case 0x9e:
        return bits_of(x + y);
    case 0xa0:
        return mask(x > y);
    case 0xa4:
        return chosen(fmax(x, y));
    case 0xaa:
        return bits_of(y - x);
    case 0xb0:
        return mask(x == y);
    case 0xb4:
        return bits_of(x * y);
    case 0xb7:
        return rounded_word(a, b) | rounded_word(a >> 16, b >> 16) << 16;
    case 0xbf:
        return average(a, b);
    default:
        g_assert_not_reached();
    }
}

static Pair expected(uint8_t suffix, Pair a, Pair b)
{
    double x[2] = { value_of(a.d[0]), value_of(a.d[1]) };
    double y[2] = { value_of(b.d[0]), value_of(b.d[1]) };

    switch (suffix) {
    case 0x8a:
        return (Pair){ { bits_of(x[0] - x[1]), bits_of(y[0] - y[1]) } };
    case 0x8e:
        return (Pair){ { bits_of(x[0] - x[1]), bits_of(y[0] + y[1]) } };
    case 0xae:
        return (Pair){ { bits_of(x[0] + x[1]), bits_of(y[0] + y[1]) } };
    case 0xbb:
        return (Pair){ { b.d[1], b.d[0] } };
    default:
        return (Pair){ { expected_lane(suffix, a.d[0], b.d[0]),
                         expected_lane(suffix, a.d[1], b.d[1]) } };
    }
}

/* Numbers of all sizes, also such as are near each other; no infinities and NaNs, of which nothing is said. */
static uint32_t random_number(GRand *rand)
{
    static const uint32_t special[] = { 0,          1,          0x7fffff,   0x800000,
                                        0x3f800000, 0x3f7fffff, 0x4b000001, 0x4f000000,
                                        0x4effffff, 0x46ffff00, 0x47000000, 0x7f7fffff };
    uint32_t number = g_rand_int(rand);

    switch (g_rand_int_range(rand, 0, 4)) {
    case 0:
        number = special[g_rand_int_range(rand, 0, G_N_ELEMENTS(special))] | (number & 0x80000000);
        break;
    case 1:
        number = (number & 0x83ffffff) | 0x3c000000;
        break;
    }
    return (number >> 23 & 0xff) == 0xff ? number ^ 0x40000000 : number;
}

static void prepare(X86Rig *rig, const char *cpu)
{
    if (!x86_rig_open(rig, cpu, interp)) {
        exit(77);
    }
    x86_rig_long_mode(rig);
    x86_rig_catch(rig, CATCHER);
    rig->cpu->gpr[X86_RSP] = STACK;
}

/* For each pair the operation on registers, and on memory. */
static void run_operation(X86Rig *rig, uint8_t suffix)
{
    const uint8_t code[] = {
        0x0f, 0x6f, 0x06,         /* movq mm0, [rsi] */
        0x0f, 0x6f, 0x0f,         /* movq mm1, [rdi] */
        0x0f, 0x0f, 0xc1, suffix, /* … mm0, mm1 */
        0x0f, 0x7f, 0x03,         /* movq [rbx], mm0 */
        0x0f, 0x6f, 0x16,         /* movq mm2, [rsi] */
        0x0f, 0x0f, 0x17, suffix, /* … mm2, [rdi] */
        0x0f, 0x7f, 0x53, 8,      /* movq [rbx + 8], mm2 */
        0x48, 0x83, 0xc6, 8,      /* add rsi, 8 */
        0x48, 0x83, 0xc7, 8,      /* add rdi, 8 */
        0x48, 0x83, 0xc3, 16,     /* add rbx, 16 */
        0xff, 0xc9,               /* dec ecx */
        0x75, 0xd6,               /* jnz */
        0x0f, 0x0e,               /* femms */
    };

    rig->cpu->gpr[X86_RSI] = FIRST;
    rig->cpu->gpr[X86_RDI] = SECOND;
    rig->cpu->gpr[X86_RBX] = RESULTS;
    rig->cpu->gpr[X86_RCX] = PAIRS;
    x86_rig_put_code(rig, CODE, code, sizeof code);
    memory_ram_written(rig->machine, CODE, sizeof code);
    x86_rig_run(rig, CODE);
    g_assert_cmphex(rig->end_value, ==, X86_RIG_DONE);
    g_assert_cmphex(rig->cpu->x87.valid, ==, 0);
}

static void check_results(X86Rig *rig, uint8_t suffix)
{
    for (unsigned i = 0; i < PAIRS; i++) {
        Pair a, b, result[2], right;

        memcpy(&a, rig->ram + FIRST + 8 * i, 8);
        memcpy(&b, rig->ram + SECOND + 8 * i, 8);
        memcpy(result, rig->ram + RESULTS + 16 * i, 16);
        right = expected(suffix, a, b);
        for (unsigned n = 0; n < 4; n++) {
            if (result[n / 2].d[n % 2] != right.d[n % 2]) {
                g_error("%02x of %08x %08x and %08x %08x: %08x in place of %08x", suffix, a.d[0],
                        a.d[1], b.d[0], b.d[1], result[n / 2].d[n % 2], right.d[n % 2]);
            }
        }
    }
}

static void test_operations(void)
{
    static const uint8_t suffixes[] = { 0x0c, 0x0d, 0x1c, 0x1d, 0x8a, 0x8e, 0x90, 0x94, 0x9a, 0x9e,
                                        0xa0, 0xa4, 0xaa, 0xae, 0xb0, 0xb4, 0xb7, 0xbb, 0xbf };
    /* As ever; rounded up, with denormals as zeros and with exceptions that are not masked. */
    static const uint32_t controls[] = { 0x1f80, 0xc040 };
    GRand *rand = g_rand_new_with_seed(1);
    X86Rig rig;

    prepare(&rig, "phenom");
    for (unsigned i = 0; i < 2 * PAIRS; i++) {
        store_le32(rig.ram + FIRST + 4 * i, random_number(rand));
        store_le32(rig.ram + SECOND + 4 * i,
                   i % 5 ? random_number(rand) : load_le32(rig.ram + FIRST + 4 * i));
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        for (unsigned k = 0; k < G_N_ELEMENTS(controls); k++) {
            x86_set_mxcsr(rig.cpu, controls[k]);
            run_operation(&rig, suffixes[i]);
            check_results(&rig, suffixes[i]);
            g_assert_cmphex(x86_get_mxcsr(rig.cpu), ==, controls[k]);
        }
    }
    g_rand_free(rand);
    x86_rig_close(&rig);
}

/* As programs use them: a reciprocal and that of a root, refined to all 24 bits. */
static void test_reciprocals(void)
{
    static const uint8_t code[] = {
        0x0f, 0x6f, 0x06,       /* 00 movq mm0, [rsi] */
        0x0f, 0x0f, 0xc8, 0x96, /* 03 pfrcp mm1, mm0 */
        0x0f, 0x0f, 0xc1, 0xa6, /* 07 pfrcpit1 mm0, mm1 */
        0x0f, 0x0f, 0xc1, 0xb6, /* 0b pfrcpit2 mm0, mm1 */
        0x0f, 0x7f, 0x03,       /* 0f movq [rbx], mm0 */
        0x0f, 0x6f, 0x06,       /* 12 movq mm0, [rsi] */
        0x0f, 0x0f, 0xc8, 0x97, /* 15 pfrsqrt mm1, mm0 */
        0x0f, 0x6f, 0xd1,       /* 19 movq mm2, mm1 */
        0x0f, 0x0f, 0xc9, 0xb4, /* 1c pfmul mm1, mm1 */
        0x0f, 0x0f, 0xc8, 0xa7, /* 20 pfrsqit1 mm1, mm0 */
        0x0f, 0x0f, 0xca, 0xb6, /* 24 pfrcpit2 mm1, mm2 */
        0x0f, 0x7f, 0x4b, 8,    /* 28 movq [rbx + 8], mm1 */
        0x48, 0x83, 0xc6, 8,    /* 2c add rsi, 8 */
        0x48, 0x83, 0xc3, 16,   /* 30 add rbx, 16 */
        0xff, 0xc9,             /* 34 dec ecx */
        0x75, 0xc8,             /* 36 jnz 00 */
    };
    GRand *rand = g_rand_new_with_seed(2);
    X86Rig rig;

    prepare(&rig, "athlon");
    for (unsigned i = 0; i < 2 * PAIRS; i++) {
        store_le32(rig.ram + FIRST + 4 * i, random_number(rand));
    }
    rig.cpu->gpr[X86_RSI] = FIRST;
    rig.cpu->gpr[X86_RBX] = RESULTS;
    rig.cpu->gpr[X86_RCX] = PAIRS;
    x86_rig_put_code(&rig, CODE, code, sizeof code);
    x86_rig_run(&rig, CODE);
    g_assert_cmphex(rig.end_value, ==, X86_RIG_DONE);
    for (unsigned i = 0; i < PAIRS; i++) {
        double value = value_of(load_le32(rig.ram + FIRST + 8 * i));
        uint32_t reciprocal = bits_of(value == 0 ? copysign(1e300, value) : 1 / value);
        uint32_t root =
            bits_of(value == 0 ? copysign(1e300, value) : copysign(1 / sqrt(fabs(value)), value));

        for (unsigned n = 0; n < 2; n++) {
            g_assert_cmphex(load_le32(rig.ram + RESULTS + 16 * i + 4 * n), ==, reciprocal);
            g_assert_cmphex(load_le32(rig.ram + RESULTS + 16 * i + 8 + 4 * n), ==, root);
        }
    }
    g_rand_free(rand);
    x86_rig_close(&rig);
}

/* Which instructions a model has: 3DNow!, its extensions, AMD's additions to MMX. */
static void test_models(void)
{
    static const struct {
        const char *cpu;
        uint8_t code[4];
        bool there;
    } cases[] = {
        { "phenom", { 0x0f, 0x0f, 0xc1, 0x9e }, true }, /* pfadd */
        { "phenom", { 0x0f, 0x0f, 0xc1, 0x9f }, false },
        { "phenom", { 0x0f, 0x0f, 0xc1, 0xbb }, true }, /* pswapd */
        { "max", { 0x0f, 0x0f, 0xc1, 0x9e }, false },
        { "Haswell", { 0x0f, 0x0f, 0xc1, 0x9e }, false },
        { "Haswell", { 0x0f, 0xe0, 0xc1, 0x90 }, true }, /* pavgb */
        { "athlon,sse=off", { 0x0f, 0xe0, 0xc1, 0x90 }, true },
        { "athlon,sse=off", { 0x0f, 0x70, 0xc1, 0x1b }, true },  /* pshufw */
        { "athlon,sse=off", { 0x0f, 0xf7, 0xc1, 0x90 }, true },  /* maskmovq */
        { "athlon,sse=off", { 0x0f, 0x58, 0xc1, 0x90 }, false }, /* addps */
        { "pentium2", { 0x0f, 0xe0, 0xc1, 0x90 }, false },
        { "pentium2", { 0x0f, 0xfc, 0xc1, 0x90 }, true }, /* paddb */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;

        prepare(&rig, cases[i].cpu);
        rig.cpu->gpr[X86_RDI] = RESULTS;
        x86_rig_put_code(&rig, CODE, cases[i].code, 4);
        x86_rig_run(&rig, CODE);
        g_test_message("%s %02x %02x", cases[i].cpu, cases[i].code[1], cases[i].code[3]);
        g_assert_cmphex(rig.end_value, ==, cases[i].there ? X86_RIG_DONE : X86_UD);
        x86_rig_close(&rig);
    }
}

/* With EFER.FFXSR a system's FXSAVE and FXRSTOR leave the vector registers alone; a user's do not. */
static void test_fast_fxsave(void)
{
    static const uint8_t code[] = { 0x0f, 0xae, 0x03,             /* fxsave [rbx] */
                                    0x66, 0x0f, 0xef, 0xc0,       /* pxor xmm0, xmm0 */
                                    0x0f, 0xae, 0x0b,             /* fxrstor [rbx] */
                                    0x66, 0x48, 0x0f, 0x7e, 0xc7, /* movq rdi, xmm0 */
                                    0x0f, 0x0b };                 /* ud2 */
    enum { XMM = 160, MXCSR = 24 };

    for (unsigned i = 0; i < 4; i++) {
        bool fast = i & 1, user = i & 2;
        X86Rig rig;

        prepare(&rig, "EPYC");
        rig.cpu->efer |= fast ? EFER_FFXSR : 0;
        if (user) {
            x86_rig_user_mode(&rig);
        }
        rig.cpu->xmm[0][0] = (V128){ 0x1122334455667788, 0x99aabbccddeeff00 };
        rig.cpu->gpr[X86_RBX] = RESULTS;
        memset(rig.ram + RESULTS, 0xee, 512);
        memcpy(rig.ram + CODE, code, sizeof code);
        x86_rig_run(&rig, CODE);
        g_assert_cmphex(rig.end_value, ==, X86_UD);
        g_assert_cmphex(load_le32(rig.ram + RESULTS + MXCSR), ==, 0x1f80);
        g_assert_cmphex(load_le64(rig.ram + RESULTS + XMM), ==,
                        fast && !user ? 0xeeeeeeeeeeeeeeee : 0x1122334455667788);
        g_assert_cmphex(rig.cpu->gpr[X86_RDI], ==, fast && !user ? 0 : 0x1122334455667788);
        x86_rig_close(&rig);
    }
}

/* MXCSR.MM: operands may lie anywhere, but for those of instructions that are about alignment. */
static void test_misaligned(void)
{
    static const struct {
        const char *cpu;
        uint32_t mxcsr;
        uint8_t code[4];
        X86Vector vector;
    } cases[] = {
        { "EPYC", 0x1f80, { 0x0f, 0x58, 0x03, 0x90 }, X86_GP }, /* addps xmm0, [rbx] */
        { "EPYC", 0x21f80, { 0x0f, 0x58, 0x03, 0x90 }, X86_UD },
        { "EPYC", 0x21f80, { 0x66, 0x0f, 0xfe, 0x03 }, X86_UD }, /* paddd xmm0, [rbx] */
        { "EPYC", 0x21f80, { 0x66, 0x0f, 0x2d, 0x03 }, X86_UD }, /* cvtpd2pi mm0, [rbx] */
        { "EPYC", 0x21f80, { 0x0f, 0x28, 0x03, 0x90 }, X86_GP }, /* movaps xmm0, [rbx] */
        { "EPYC", 0x21f80, { 0x0f, 0x2b, 0x03, 0x90 }, X86_GP }, /* movntps [rbx], xmm0 */
        { "EPYC",
          0x20f80,
          { 0x0f, 0x58, 0x03, 0x90 },
          X86_UD }, /* with an exception that is not masked */
        { "Haswell", 0x21f80, { 0x0f, 0x58, 0x03, 0x90 }, X86_DE }, /* LDMXCSR refuses it */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        const uint8_t load[] = {
            0x0f, 0xae, 0x16, 0x0f, 0xae, 0x1f
        }; /* ldmxcsr [rsi]; stmxcsr [rdi] */
        X86Rig rig;

        prepare(&rig, cases[i].cpu);
        rig.cpu->gpr[X86_RSI] = FIRST;
        rig.cpu->gpr[X86_RDI] = FIRST + 4;
        rig.cpu->gpr[X86_RBX] = RESULTS + 4;
        store_le32(rig.ram + FIRST, cases[i].mxcsr);
        memcpy(rig.ram + CODE, load, sizeof load);
        memcpy(rig.ram + CODE + sizeof load, cases[i].code, 4);
        memcpy(rig.ram + CODE + sizeof load + 4, (uint8_t[]){ 0x0f, 0x0b }, 2);
        x86_rig_run(&rig, CODE);
        g_test_message("case %u", i);
        if (cases[i].vector == X86_DE) {
            g_assert_cmphex(rig.end_value, ==, X86_GP);
            g_assert_cmphex(load_le64(x86_rig_frame(&rig, CATCHER) + 8), ==, CODE);
        } else {
            g_assert_cmphex(rig.end_value, ==, cases[i].vector);
            g_assert_cmphex(load_le32(rig.ram + FIRST + 4), ==, cases[i].mxcsr);
        }
        x86_rig_close(&rig);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    interp = argc > 1 && strcmp(argv[1], "-i") == 0;
    g_test_add_func("/3dnow-x86/operations", test_operations);
    g_test_add_func("/3dnow-x86/reciprocals", test_reciprocals);
    g_test_add_func("/3dnow-x86/models", test_models);
    g_test_add_func("/3dnow-x86/fast-fxsave", test_fast_fxsave);
    g_test_add_func("/3dnow-x86/misaligned", test_misaligned);
    return g_test_run();
}
