/* SPDX-License-Identifier: MIT */
/*
 * 3DNow!: pairs of single precision in MMX registers (AMD APM volume 5). Which operation it is says the byte behind the operands.
 *
 * Results are rounded to the nearest whatever MXCSR says, and no exceptions are noted. Denormal operands are zeros, and so are results that
 * would be denormal; those too large become the largest number. PFRCP and PFRSQRT give more bits than the 14 and 15 that are asked for, all that there are,
 * so that the steps which refine them (PFRCPIT1, PFRSQIT1, PFRCPIT2) have nothing to add: they hand on the approximation.
 */
#include <string.h>

#include "target/i386/vector-rows.h"

typedef struct {
    uint32_t d[2];
} Pair;

static float to_float(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t of_float(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return (bits & 0x7fffffff) == 0x7f800000 ? bits - 1 : bits;
}

#define FLOAT_OP(name, expression)                                                                 \
    static uint32_t name(uint32_t a_bits, uint32_t b_bits)                                         \
    {                                                                                              \
        const float a = to_float(a_bits), b = to_float(b_bits);                                    \
        return expression;                                                                         \
    }
FLOAT_OP(pfadd, of_float(a + b))
FLOAT_OP(pfsub, of_float(a - b))
FLOAT_OP(pfsubr, of_float(b - a))
FLOAT_OP(pfmul, of_float(a *b))
FLOAT_OP(pfcmpeq, a == b ? UINT32_MAX : 0)
FLOAT_OP(pfcmpge, a >= b ? UINT32_MAX : 0)
FLOAT_OP(pfcmpgt, a > b ? UINT32_MAX : 0)
/* A result that is no more than a zero is +0. */
FLOAT_OP(pfmax, a > b ? (a == 0 ? 0 : a_bits) : (b == 0 ? 0 : b_bits))
FLOAT_OP(pfmin, a < b ? (a == 0 ? 0 : a_bits) : (b == 0 ? 0 : b_bits))
#undef FLOAT_OP

/* Towards zero; what does not fit becomes the nearest that does. */
static int32_t to_integer(uint32_t bits, int32_t least, int32_t most)
{
    float value = to_float(bits);

    return value <= (float)least ? least : value >= (float)most ? most : (int32_t)value;
}

static uint32_t pf2id(uint32_t a, uint32_t b)
{
    return (uint32_t)to_integer(b, INT32_MIN, INT32_MAX);
}

static uint32_t pf2iw(uint32_t a, uint32_t b)
{
    return (uint32_t)to_integer(b, INT16_MIN, INT16_MAX);
}

/* What does not fit into 24 bits is cut off. */
static uint32_t pi2fd(uint32_t a, uint32_t b)
{
    uint32_t magnitude = b >> 31 ? 0 - b : b;
    unsigned bits = magnitude ? 32 - (unsigned)__builtin_clz(magnitude) : 0;
    uint32_t kept = bits > 24 ? magnitude & ~(uint32_t)0 << (bits - 24) : magnitude;

    return of_float((float)kept) | (b & 0x80000000);
}

static uint32_t pi2fw(uint32_t a, uint32_t b)
{
    return of_float((float)(int16_t)b);
}

static uint32_t pmulhrw(uint32_t a, uint32_t b)
{
    int32_t low = ((int16_t)a * (int16_t)b + 0x8000) >> 16;
    int32_t high = ((int16_t)(a >> 16) * (int16_t)(b >> 16) + 0x8000) >> 16;

    return (uint16_t)low | (uint32_t)high << 16;
}

static uint32_t pavgusb(uint32_t a, uint32_t b)
{
    /* The sum of what both have and of half of what one has, bytes by themselves; halves are rounded up. */
    return (a | b) - ((a ^ b) >> 1 & 0x7f7f7f7f);
}

static uint32_t hand_on(uint32_t a, uint32_t b)
{
    return b;
}

static Pair pfacc(Pair a, Pair b)
{
    return (Pair){ { pfadd(a.d[0], a.d[1]), pfadd(b.d[0], b.d[1]) } };
}

static Pair pfnacc(Pair a, Pair b)
{
    return (Pair){ { pfsub(a.d[0], a.d[1]), pfsub(b.d[0], b.d[1]) } };
}

static Pair pfpnacc(Pair a, Pair b)
{
    return (Pair){ { pfsub(a.d[0], a.d[1]), pfadd(b.d[0], b.d[1]) } };
}

static Pair pswapd(Pair a, Pair b)
{
    return (Pair){ { b.d[1], b.d[0] } };
}

static Pair pfrcp(Pair a, Pair b)
{
    uint32_t result = of_float(1 / to_float(b.d[0]));

    return (Pair){ { result, result } };
}

/* Of the magnitude, with the sign. */
static Pair pfrsqrt(Pair a, Pair b)
{
    float magnitude = to_float(b.d[0] & 0x7fffffff);
    uint32_t result = of_float((float)(1 / __builtin_sqrt((double)magnitude)));

    result |= b.d[0] & 0x80000000;
    return (Pair){ { result, result } };
}

typedef struct {
    uint8_t suffix;
    bool extended; /* of 3DNow!'s extensions */
    uint32_t (*lane)(uint32_t a, uint32_t b);
    Pair (*pair)(Pair a, Pair b);
} Operation;

static const Operation operations[] = {
    { 0x0c, true, pi2fw },          { 0x0d, false, pi2fd },
    { 0x1c, true, pf2iw },          { 0x1d, false, pf2id },
    { 0x8a, true, .pair = pfnacc }, { 0x8e, true, .pair = pfpnacc },
    { 0x90, false, pfcmpge },       { 0x94, false, pfmin },
    { 0x96, false, .pair = pfrcp }, { 0x97, false, .pair = pfrsqrt },
    { 0x9a, false, pfsub },         { 0x9e, false, pfadd },
    { 0xa0, false, pfcmpgt },       { 0xa4, false, pfmax },
    { 0xa6, false, hand_on },       { 0xa7, false, hand_on },
    { 0xaa, false, pfsubr },        { 0xae, false, .pair = pfacc },
    { 0xb0, false, pfcmpeq },       { 0xb4, false, pfmul },
    { 0xb6, false, hand_on },       { 0xb7, false, pmulhrw },
    { 0xbb, true, .pair = pswapd }, { 0xbf, false, pavgusb },
};

static const Operation *find(const X86Cpu *cpu, uint8_t suffix)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(operations); i++) {
        if (operations[i].suffix == suffix) {
            return !operations[i].extended || x86_has(cpu, X86_FEATURE_3DNOWEXT) ? &operations[i]
                                                                                 : NULL;
        }
    }
    return NULL;
}

static Pair operate(const Operation *operation, Pair a, Pair b)
{
    if (operation->pair) {
        return operation->pair(a, b);
    }
    return (Pair){ { operation->lane(a.d[0], b.d[0]), operation->lane(a.d[1], b.d[1]) } };
}

/* MXCSR is the guest's where code runs. */
static V128 helper_three_d_now(V128 a, V128 b, uint64_t index)
{
    const uint32_t quiet = 0x9fc0; /* all masked, to the nearest, no denormals */
    Lanes first = { a }, second = { b }, result = { { 0, 0 } };
    uint32_t before;
    Pair pair;

    __asm__ volatile("stmxcsr %0\n\tldmxcsr %1" : "=m"(before) : "m"(quiet) : "memory");
    pair = operate(&operations[index], (Pair){ { first.d[0], first.d[1] } },
                   (Pair){ { second.d[0], second.d[1] } });
    __asm__ volatile("ldmxcsr %1" : "+m"(pair) : "m"(before) : "memory");
    result.d[0] = pair.d[0];
    result.d[1] = pair.d[1];
    return result.v;
}
static const TcgHelper call_three_d_now = { .name = "three_d_now",
                                            .function = (void *)helper_three_d_now,
                                            .result = IR_V128,
                                            .flags = HELPER_IMM,
                                            .arg_types = { IR_V128, IR_V128 } };
TCG_HELPER(call_three_d_now);

X86(three_d_now, "0F 0F /r", "Pq Qq Ib", "3DNOW")
void x86_three_d_now(X86Translator *t)
{
    const Operation *operation = find(t->cpu, (uint8_t)t->insn.operands[2].imm);
    IrRef result;

    if (!operation) {
        x86_undefined(t);
        return;
    }
    if (x86_vector_refused(t)) {
        return;
    }
    result = x86_vector_op(t, &call_three_d_now, x86_read_vector(t, 0, 0, false),
                           x86_read_vector(t, 1, 0, false), 0, operation - operations);
    x86_write_vector(t, 0, (IrRef[]){ result, result }, false);
}
