/* SPDX-License-Identifier: MIT */
/* What x87 instructions compute (x87.c), for their translators. ST(i) are relative to the top. */
#ifndef TARGET_I386_X87_OPS_H
#define TARGET_I386_X87_OPS_H

#include "target/i386/x87.h"

/* By ModRM.reg of D8; 2 and 3 compare. */
typedef enum {
    X87_ADD,
    X87_MUL,
    X87_COM,
    X87_COMP,
    X87_SUB,
    X87_SUBR,
    X87_DIV,
    X87_DIVR
} X87Operation;
typedef enum { X87_F2XM1, X87_SQRT, X87_RNDINT, X87_SIN, X87_COS } X87Unary;
typedef enum { X87_YL2X, X87_ATAN, X87_PREM1, X87_PREM, X87_YL2XP1, X87_SCALE } X87Binary;
typedef enum { X87_TAN, X87_XTRACT, X87_SINCOS } X87Pushing;
typedef enum { X87_F32, X87_F64, X87_I16, X87_I32, X87_I64, X87_BCD, X87_F80 } X87Format;
enum { X87_C0 = 0x100, X87_C1 = 0x200, X87_C2 = 0x400, X87_C3 = 0x4000 };

static inline X87Register *x87_st(X86Cpu *cpu, unsigned i)
{
    return &cpu->x87.st[(cpu->x87.top + i) & 7];
}

static inline bool x87_is_empty(const X86Cpu *cpu, unsigned i)
{
    return !(cpu->x87.valid >> ((cpu->x87.top + i) & 7) & 1);
}

/* By halves: what the host's x87 has just stored is not had from its store buffer in one piece. */
static inline void x87_copy(X87Register *to, const X87Register *from)
{
    to->significand = from->significand;
    to->sign_exponent = from->sign_exponent;
}

static inline void x87_put(X86Cpu *cpu, unsigned i, const X87Register *value)
{
    x87_copy(x87_st(cpu, i), value);
    cpu->x87.valid |= (uint8_t)(1u << ((cpu->x87.top + i) & 7));
}

static inline void x87_pop(X86Cpu *cpu)
{
    cpu->x87.valid &= (uint8_t) ~(1u << cpu->x87.top);
    cpu->x87.top = (cpu->x87.top + 1) & 7;
}

/* false: it was not pushed. */
bool x87_push(X86Cpu *cpu, const X87Register *value);

/* ST(to) = ST(to) op ST(with); ST(0) = ST(0) op a value in memory. */
void x87_arithmetic(X86Cpu *cpu, X87Operation op, unsigned to, unsigned with);
void x87_arithmetic_memory(X86Cpu *cpu, X87Operation op, X87Format format, const void *bytes);
/* C3 C2 C0 of comparing ST(0). quiet: a quiet NaN is no invalid operation. test: with zero. */
uint16_t x87_compare(X86Cpu *cpu, unsigned with, bool quiet);
uint16_t x87_compare_memory(X86Cpu *cpu, X87Format format, const void *bytes);
uint16_t x87_test(X86Cpu *cpu);
/* FCHS, and FABS. */
void x87_change_sign(X86Cpu *cpu, bool clear);
void x87_unary(X86Cpu *cpu, X87Unary op);
void x87_binary(X86Cpu *cpu, X87Binary op);
void x87_pushing(X86Cpu *cpu, X87Pushing op);
void x87_examine(X86Cpu *cpu);
void x87_push_constant(X86Cpu *cpu, unsigned n);
/* bytes: as in the guest's memory, of the format's size. */
void x87_load(X86Cpu *cpu, X87Format format, const void *bytes);
bool x87_store(X86Cpu *cpu, X87Format format, bool truncate, void *bytes);
bool x87_note(X86Cpu *cpu, uint16_t status);

#endif
