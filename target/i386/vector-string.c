/* SPDX-License-Identifier: MIT */
/* PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM and CRC32 (SSE4.2). */
#include "target/i386/vector-rows.h"

enum { WORDS = 1, SIGNED = 2, LAST = 64, MASK_EXPANDED = 64 }; /* of the immediate */
enum { EQUAL_ANY, RANGES, EQUAL_EACH, EQUAL_ORDERED };

typedef struct {
    Lanes a, b;
    unsigned count; /* of elements: 8 or 16 */
    unsigned valid_a, valid_b;
    unsigned imm;
} Strings;

static int64_t element(const Strings *s, const Lanes *from, unsigned i)
{
    if (s->imm & WORDS) {
        return s->imm & SIGNED ? (int16_t)from->w[i] : from->w[i];
    }
    return s->imm & SIGNED ? (int8_t)from->b[i] : from->b[i];
}

static bool is_in_range(const Strings *s, unsigned j)
{
    int64_t value = element(s, &s->b, j);

    for (unsigned i = 0; i + 1 < s->valid_a; i += 2) {
        if (element(s, &s->a, i) <= value && value <= element(s, &s->a, i + 1)) {
            return true;
        }
    }
    return false;
}

static bool is_any(const Strings *s, unsigned j)
{
    for (unsigned i = 0; i < s->valid_a; i++) {
        if (element(s, &s->a, i) == element(s, &s->b, j)) {
            return true;
        }
    }
    return false;
}

/* Beyond both ends is equal, beyond one is not. */
static bool is_each(const Strings *s, unsigned j)
{
    if (j >= s->valid_a || j >= s->valid_b) {
        return j >= s->valid_a && j >= s->valid_b;
    }
    return element(s, &s->a, j) == element(s, &s->b, j);
}

/* Whether a begins at element j of b, as far as b's register reaches. */
static bool is_ordered(const Strings *s, unsigned j)
{
    for (unsigned i = 0; i < s->valid_a && i + j < s->count; i++) {
        if (i + j >= s->valid_b || element(s, &s->a, i) != element(s, &s->b, i + j)) {
            return false;
        }
    }
    return true;
}

static bool matches(const Strings *s, unsigned j)
{
    switch (s->imm >> 2 & 3) {
    case EQUAL_ANY:
        return j < s->valid_b && is_any(s, j);
    case RANGES:
        return j < s->valid_b && is_in_range(s, j);
    case EQUAL_EACH:
        return is_each(s, j);
    default:
        return is_ordered(s, j);
    }
}

static unsigned result_bits(const Strings *s)
{
    unsigned bits = 0, polarity = s->imm >> 4 & 3;

    for (unsigned j = 0; j < s->count; j++) {
        bits |= matches(s, j) ? 1u << j : 0;
    }
    if (polarity == 1) {
        bits ^= (1u << s->count) - 1;
    } else if (polarity == 3) {
        bits ^= (1u << s->valid_b) - 1;
    }
    return bits;
}

static unsigned implicit_length(const Strings *s, const Lanes *from)
{
    unsigned n = 0;

    while (n < s->count && (s->imm & WORDS ? from->w[n] : from->b[n])) {
        n++;
    }
    return n;
}

static Strings implicit_strings(V128 a, V128 b, uint64_t imm)
{
    Strings s = { .a = { a }, .b = { b }, .count = imm & WORDS ? 8 : 16, .imm = (unsigned)imm };

    s.valid_a = implicit_length(&s, &s.a);
    s.valid_b = implicit_length(&s, &s.b);
    return s;
}

static unsigned explicit_length(int64_t length, unsigned count)
{
    uint64_t size = length < 0 ? -(uint64_t)length : (uint64_t)length;

    return size > count ? count : (unsigned)size;
}

static Strings explicit_strings(V128 a, V128 b, int64_t length_a, int64_t length_b, uint64_t imm)
{
    Strings s = { .a = { a }, .b = { b }, .count = imm & WORDS ? 8 : 16, .imm = (unsigned)imm };

    s.valid_a = explicit_length(length_a, s.count);
    s.valid_b = explicit_length(length_b, s.count);
    return s;
}

static uint32_t index_of(const Strings *s)
{
    unsigned bits = result_bits(s);

    if (!bits) {
        return s->count;
    }
    return s->imm & LAST ? 31u - (unsigned)__builtin_clz(bits) : (unsigned)__builtin_ctz(bits);
}

static V128 mask_of(const Strings *s)
{
    unsigned bits = result_bits(s);
    Lanes result = { { bits, 0 } };

    for (unsigned i = 0; (s->imm & MASK_EXPANDED) && i < s->count; i++) {
        uint16_t lane = bits >> i & 1 ? 0xffff : 0;

        if (s->imm & WORDS) {
            result.w[i] = lane;
        } else {
            result.b[i] = (uint8_t)lane;
        }
    }
    return result.v;
}

static uint16_t flags_of(const Strings *s)
{
    unsigned bits = result_bits(s);

    return (uint16_t)((bits ? TCG_FLAG_C : 0) | (s->valid_b < s->count ? TCG_FLAG_Z : 0) |
                      (s->valid_a < s->count ? TCG_FLAG_N : 0) | (bits & 1 ? TCG_FLAG_V : 0));
}

/* The index, the mask and the flags are results of their own; the host computes each with the same instruction. */
#define IMPLICIT(name, type, result, code)                                                         \
    static type string_i_##name(V128 a, V128 b, uint64_t imm)                                      \
    {                                                                                              \
        Strings s = implicit_strings(a, b, imm);                                                   \
                                                                                                   \
        return name(&s);                                                                           \
    }                                                                                              \
    X86_VECTOR_HELPER(string_i_##name, string_i_##name, result, HELPER_IMM, 0, code, IR_V128,      \
                      IR_V128);
#define EXPLICIT(name, type, result, code)                                                         \
    static type string_e_##name(V128 a, V128 b, uint32_t x, uint32_t y, uint64_t imm)              \
    {                                                                                              \
        Strings s = explicit_strings(a, b, (int32_t)x, (int32_t)y, imm);                           \
                                                                                                   \
        return name(&s);                                                                           \
    }                                                                                              \
    static type string_e_##name##_wide(V128 a, V128 b, uint64_t x, uint64_t y, uint64_t imm)       \
    {                                                                                              \
        Strings s = explicit_strings(a, b, (int64_t)x, (int64_t)y, imm);                           \
                                                                                                   \
        return name(&s);                                                                           \
    }                                                                                              \
    X86_VECTOR_HELPER(string_e_##name, string_e_##name, result, HELPER_IMM, 0, code, IR_V128,      \
                      IR_V128, IR_I32, IR_I32);                                                    \
    X86_VECTOR_HELPER(string_e_##name##_wide, string_e_##name##_wide, result, HELPER_IMM, 1, code, \
                      IR_V128, IR_V128, IR_I64, IR_I64);

/* SIMD lines only for their encodings on the host: flags come with the result. */
#define STRING_ROW(name) const X86Simd x86_vector_##name = { .flags = X86_VECTOR_STRING };
SIMD(pcmpestrm, "66 0F 3A 60 /r", "Vdq Wdq Ib", "SSE4_2 v0:AVX form:STRING", STRING_ROW)
SIMD(pcmpestri, "66 0F 3A 61 /r", "Vdq Wdq Ib", "SSE4_2 v0:AVX form:STRING", STRING_ROW)
SIMD(pcmpistrm, "66 0F 3A 62 /r", "Vdq Wdq Ib", "SSE4_2 v0:AVX form:STRING", STRING_ROW)
SIMD(pcmpistri, "66 0F 3A 63 /r", "Vdq Wdq Ib", "SSE4_2 v0:AVX form:STRING", STRING_ROW)

IMPLICIT(index_of, uint32_t, IR_I32, pcmpistri)
IMPLICIT(mask_of, V128, IR_V128, pcmpistrm)
IMPLICIT(flags_of, uint16_t, IR_FLAGS, pcmpistri)
EXPLICIT(index_of, uint32_t, IR_I32, pcmpestri)
EXPLICIT(mask_of, V128, IR_V128, pcmpestrm)
EXPLICIT(flags_of, uint16_t, IR_FLAGS, pcmpestri)

static IrRef string_op(X86Translator *t, const TcgHelper *helper, const IrRef args[4], int64_t imm)
{
    return ir_emit(t->unit, (IrOp){ .opcode = IR_OP_call,
                                    .type = helper->result,
                                    .args = { args[0], args[1], args[2], args[3] },
                                    .imm = imm,
                                    .helper = helper });
}

void x86_compare_strings(X86Translator *t)
{
    static const TcgHelper *const helpers[3][3] = {
        { &call_string_i_index_of, &call_string_i_mask_of, &call_string_i_flags_of },
        { &call_string_e_index_of, &call_string_e_mask_of, &call_string_e_flags_of },
        { &call_string_e_index_of_wide, &call_string_e_mask_of_wide, &call_string_e_flags_of_wide },
    };
    bool is_explicit = !(t->insn.opcode & 2), index = t->insn.opcode & 1;
    unsigned bytes = t->insn.rex & 8 ? 8 : 4;
    const TcgHelper *const *row = helpers[is_explicit ? (bytes == 8 ? 2 : 1) : 0];
    int64_t imm = t->insn.operands[2].imm & 0x7f;
    IrRef args[4] = { x86_read_vector(t, 0, 0, false), x86_read_vector(t, 1, 0, false) }, result;

    if (is_explicit) {
        args[2] = x86_get_reg(t, X86_RAX, bytes);
        args[3] = x86_get_reg(t, X86_RDX, bytes);
    }
    result = string_op(t, row[index ? 0 : 1], args, imm);
    x86_set_flags(t, string_op(t, row[2], args, imm));
    if (index) {
        x86_set_reg(t, X86_RCX, 4, result);
    } else {
        x86_write_low(t, 0, result);
    }
}

/* CRC-32C of data of 1, 2, 4 or 8 bytes; bits go in from the lowest. */

static uint32_t crc(uint32_t value, uint64_t data, unsigned bits)
{
    const uint32_t polynomial = 0x82f63b78; /* 11EDC6F41h, reflected */

    for (unsigned i = 0; i < bits; i++, data >>= 1) {
        bool carry = (value ^ data) & 1;

        value = value >> 1 ^ (carry ? polynomial : 0);
    }
    return value;
}

#define CRC(bits, type, ir_type, opcode_, prefix_, flags_)                                         \
    static uint32_t crc32_##bits(uint32_t value, type data)                                        \
    {                                                                                              \
        return crc(value, data, bits);                                                             \
    }                                                                                              \
    static const IrHostCode host_crc32_##bits = {                                                  \
        prefix_, 2, opcode_, IR_HOST_BINARY, IR_HOST_NO_VEX | (flags_), IR_HOST_V2, 0              \
    };                                                                                             \
    static const TcgHelper call_crc32_##bits = { .name = "crc32_" #bits,                           \
                                                 .function = (void *)crc32_##bits,                 \
                                                 .result = IR_I32,                                 \
                                                 .arg_types = { IR_I32, ir_type },                 \
                                                 .host = &host_crc32_##bits };                     \
    TCG_HELPER(call_crc32_##bits);
CRC(32, uint32_t, IR_I32, 0xf1, 0xf2, 0)
CRC(64, uint64_t, IR_I64, 0xf1, 0xf2, IR_HOST_W)

static uint32_t crc32_8(uint32_t value, uint32_t data)
{
    return crc(value, data, 8);
}
static const TcgHelper call_crc32_8 = { .name = "crc32_8",
                                        .function = (void *)crc32_8,
                                        .result = IR_I32,
                                        .arg_types = { IR_I32, IR_I32 } };
TCG_HELPER(call_crc32_8);

static uint32_t crc32_16(uint32_t value, uint32_t data)
{
    return crc(value, data, 16);
}
static const TcgHelper call_crc32_16 = { .name = "crc32_16",
                                         .function = (void *)crc32_16,
                                         .result = IR_I32,
                                         .arg_types = { IR_I32, IR_I32 } };
TCG_HELPER(call_crc32_16);

X86(crc32, "F2 0F 38 F0 /r", "Gy Eb", "SSE4_2")
X86(crc32, "F2 0F 38 F1 /r", "Gy Ev", "SSE4_2")
void x86_crc32(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 1);
    const TcgHelper *helper = bytes == 1   ? &call_crc32_8
                              : bytes == 2 ? &call_crc32_16
                              : bytes == 4 ? &call_crc32_32
                                           : &call_crc32_64;
    IrRef data = x86_read(t, 1), value = x86_get_reg(t, t->insn.operands[0].reg, 4);

    if (bytes < 4) {
        data = ir_op1(t->unit, IR_OP_trunc, IR_I32, data);
    }
    x86_set_reg(t, t->insn.operands[0].reg, 4, x86_call(t, helper, value, data, 0, 0));
}
