/* SPDX-License-Identifier: MIT */
/*
 * Shapes of SIMD lines (vector.h): C functions that are one instruction of the host's baseline, and rows for functions
 * that are written out (vector_NAME). The optional last argument of a shape is X86_VECTOR_*.
 */
#ifndef TARGET_I386_VECTOR_ROWS_H
#define TARGET_I386_VECTOR_ROWS_H

#include "target/i386/vector.h"

#define VECTOR_FLAGS(...) (__VA_ARGS__ + 0)

#define ROW_WITH(name, set) const X86Simd x86_vector_##name = { .helper = &call_##name, .flags = set };
#define ROW_OF(name, ...) ROW_WITH(name, VECTOR_FLAGS(__VA_ARGS__))

/* V = f(V, V), integers */
#define BINARY(name, ...)                                                                          \
    static V128 vector_##name(V128 a, V128 b)                                                      \
    {                                                                                              \
        __asm__(#name " %1, %0" : "+x"(a) : "x"(b));                                               \
        return a;                                                                                  \
    }                                                                                              \
    BINARY_C(name, ##__VA_ARGS__)
#define BINARY_C(name, ...)                                                                        \
    X86_VECTOR_HELPER(name, vector_##name, IR_V128, 0, 0, name, IR_V128, IR_V128);                 \
    ROW_OF(name, ##__VA_ARGS__)
/* V = f(V) */
#define UNARY(name, ...)                                                                           \
    static V128 vector_##name(V128 a)                                                              \
    {                                                                                              \
        V128 result;                                                                               \
        __asm__(#name " %1, %0" : "=x"(result) : "x"(a));                                          \
        return result;                                                                             \
    }                                                                                              \
    UNARY_C(name, ##__VA_ARGS__)
#define UNARY_C(name, ...)                                                                         \
    X86_VECTOR_HELPER(name, vector_##name, IR_V128, 0, 0, name, IR_V128);                          \
    ROW_OF(name, ##__VA_ARGS__)
/* With an immediate: vector_NAME(V128 a, V128 b, uint64_t imm), (V128 a, uint64_t imm) */
#define BINARY_IMM(name, ...)                                                                      \
    X86_VECTOR_HELPER(name, vector_##name, IR_V128, HELPER_IMM, 0, name, IR_V128, IR_V128);        \
    ROW_OF(name, ##__VA_ARGS__)
#define UNARY_IMM(name, ...)                                                                       \
    X86_VECTOR_HELPER(name, vector_##name, IR_V128, HELPER_IMM, 0, name, IR_V128);                 \
    ROW_OF(name, ##__VA_ARGS__)
/* The immediate of the upper half is above that of the lower one. */
#define BINARY_IMM_HALVES(name, bits)                                                              \
    X86_VECTOR_HELPER(name, vector_##name, IR_V128, HELPER_IMM, 0, name, IR_V128, IR_V128);        \
    const X86Simd x86_vector_##name = { .helper = &call_##name, .upper_shift = bits };
#define UNARY_IMM_HALVES(name, bits)                                                               \
    X86_VECTOR_HELPER(name, vector_##name, IR_V128, HELPER_IMM, 0, name, IR_V128);                 \
    const X86Simd x86_vector_##name = { .helper = &call_##name, .upper_shift = bits };
/* Shifts by an immediate are shifts by a vector's low half. */
#define SHIFT(name, by, ...)                                                                       \
    static V128 vector_##name(V128 a, uint64_t imm)                                                \
    {                                                                                              \
        V128 count = { imm, 0 };                                                                   \
        __asm__(#by " %1, %0" : "+x"(a) : "x"(count));                                             \
        return a;                                                                                  \
    }                                                                                              \
    UNARY_IMM(name, ##__VA_ARGS__)
/* V = f(V, V, mask); the instruction has the mask in XMM0 */
#define BLEND(name, ...)                                                                           \
    static V128 vector_##name(V128 a, V128 b, V128 mask)                                           \
    {                                                                                              \
        register V128 xmm0 __asm__("xmm0") = mask;                                                 \
        __asm__(#name " %2, %1, %0" : "+x"(a) : "x"(b), "x"(xmm0));                                \
        return a;                                                                                  \
    }                                                                                              \
    TERNARY_C(name, ##__VA_ARGS__)
#define TERNARY_C(name, ...)                                                                       \
    X86_VECTOR_HELPER(name, vector_##name, IR_V128, 0, 0, name, IR_V128, IR_V128, IR_V128);        \
    ROW_OF(name, ##__VA_ARGS__)

/* Floating point: exceptions are noted. */
#define FLOAT_ROW(name, ...) ROW_WITH(name, VECTOR_FLAGS(__VA_ARGS__) | X86_VECTOR_FP)
#define FLOAT_BINARY(name, ...)                                                                    \
    static V128 vector_##name(V128 a, V128 b)                                                      \
    {                                                                                              \
        __asm__ volatile(#name " %1, %0" : "+x"(a) : "x"(b));                                      \
        return a;                                                                                  \
    }                                                                                              \
    X86_VECTOR_HELPER(name, vector_##name, IR_V128, HELPER_EFFECT, 0, name, IR_V128, IR_V128);     \
    FLOAT_ROW(name, ##__VA_ARGS__)
#define FLOAT_UNARY(name, ...)                                                                     \
    static V128 vector_##name(V128 a)                                                              \
    {                                                                                              \
        V128 result;                                                                               \
        __asm__ volatile(#name " %1, %0" : "=x"(result) : "x"(a));                                 \
        return result;                                                                             \
    }                                                                                              \
    FLOAT_UNARY_C(name, ##__VA_ARGS__)
#define FLOAT_UNARY_C(name, ...)                                                                   \
    X86_VECTOR_HELPER(name, vector_##name, IR_V128, HELPER_EFFECT, 0, name, IR_V128);              \
    FLOAT_ROW(name, ##__VA_ARGS__)
#define FLOAT_BINARY_IMM(name, ...)                                                                \
    X86_VECTOR_HELPER(name, vector_##name, IR_V128, HELPER_EFFECT | HELPER_IMM, 0, name, IR_V128,  \
                      IR_V128);                                                                    \
    FLOAT_ROW(name, ##__VA_ARGS__)
#define FLOAT_UNARY_IMM(name, ...)                                                                 \
    X86_VECTOR_HELPER(name, vector_##name, IR_V128, HELPER_EFFECT | HELPER_IMM, 0, name, IR_V128); \
    FLOAT_ROW(name, ##__VA_ARGS__)
/* flags = f(V, V): Z, P and C */
#define FLOAT_COMPARE(name)                                                                        \
    static uint16_t vector_##name(V128 a, V128 b)                                                  \
    {                                                                                              \
        bool z, p, c;                                                                              \
        __asm__ volatile(#name " %4, %3" : "=@ccz"(z), "=@ccp"(p), "=@ccc"(c) : "x"(a), "x"(b));   \
        return (uint16_t)((z ? TCG_FLAG_Z : 0) | (p ? TCG_FLAG_P : 0) | (c ? TCG_FLAG_C : 0));     \
    }                                                                                              \
    X86_VECTOR_HELPER(name, vector_##name, IR_FLAGS, HELPER_EFFECT, 0, name, IR_V128, IR_V128);    \
    FLOAT_ROW(name)
/* To and from general registers of 32 and of 64 bits. */
#define WIDE_ROW(name, ...)                                                                        \
    const X86Simd x86_vector_##name = { .helper = &call_##name, .wide = &call_##name##_wide,     \
                                          .flags = VECTOR_FLAGS(__VA_ARGS__) };
#define FLOAT_FROM_INT(name)                                                                       \
    static V128 vector_##name(V128 a, uint32_t b)                                                  \
    {                                                                                              \
        __asm__ volatile(#name "l %1, %0" : "+x"(a) : "r"(b));                                     \
        return a;                                                                                  \
    }                                                                                              \
    static V128 vector_##name##_wide(V128 a, uint64_t b)                                           \
    {                                                                                              \
        __asm__ volatile(#name "q %1, %0" : "+x"(a) : "r"(b));                                     \
        return a;                                                                                  \
    }                                                                                              \
    X86_VECTOR_HELPER(name, vector_##name, IR_V128, HELPER_EFFECT, 0, name, IR_V128, IR_I32);      \
    X86_VECTOR_HELPER(name##_wide, vector_##name##_wide, IR_V128, HELPER_EFFECT, 1, name, IR_V128, \
                      IR_I64);                                                                     \
    WIDE_ROW(name, X86_VECTOR_FP)
#define FLOAT_TO_INT(name)                                                                         \
    static uint32_t vector_##name(V128 a)                                                          \
    {                                                                                              \
        uint32_t result;                                                                           \
        __asm__ volatile(#name " %1, %0" : "=r"(result) : "x"(a));                                 \
        return result;                                                                             \
    }                                                                                              \
    static uint64_t vector_##name##_wide(V128 a)                                                   \
    {                                                                                              \
        uint64_t result;                                                                           \
        __asm__ volatile(#name " %1, %0" : "=r"(result) : "x"(a));                                 \
        return result;                                                                             \
    }                                                                                              \
    X86_VECTOR_HELPER(name, vector_##name, IR_I32, HELPER_EFFECT, 0, name, IR_V128);               \
    X86_VECTOR_HELPER(name##_wide, vector_##name##_wide, IR_I64, HELPER_EFFECT, 1, name, IR_V128); \
    WIDE_ROW(name, X86_VECTOR_FP)
/* i32 = the sign bits of so many lanes */
#define SIGNS(name, count)                                                                         \
    static uint32_t vector_##name(V128 a)                                                          \
    {                                                                                              \
        uint32_t result;                                                                           \
        __asm__(#name " %1, %0" : "=r"(result) : "x"(a));                                          \
        return result;                                                                             \
    }                                                                                              \
    X86_VECTOR_HELPER(name, vector_##name, IR_I32, 0, 0, name, IR_V128);                           \
    const X86Simd x86_vector_##name = { .helper = &call_##name, .flags = X86_VECTOR_MASK,        \
                                          .lanes = count };
typedef union {
    V128 v;
    uint8_t b[16];
    uint16_t w[8];
    uint32_t d[4];
    uint64_t q[2];
} Lanes;

/* Logic: an op of the IR, which sees through it. reversed: of its second argument and the first. */
#define LOGIC(name, op, swapped)                                                                   \
    const X86Simd x86_vector_##name = { .opcode = op, .reversed = swapped };

/* Immediates must be constants: an asm statement for each. CASE(n) is defined where they are used. */
#define CASES4(n)   CASE(n) CASE((n) + 1) CASE((n) + 2) CASE((n) + 3)
#define CASES16(n)  CASES4(n) CASES4((n) + 4) CASES4((n) + 8) CASES4((n) + 12)
#define CASES128(n) CASES16(n) CASES16((n) + 16) CASES16((n) + 32) CASES16((n) + 48) CASES16((n) + 64) \
                    CASES16((n) + 80) CASES16((n) + 96) CASES16((n) + 112)

#endif
