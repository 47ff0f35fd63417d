/* SPDX-License-Identifier: MIT */
/*
 * The host's x87, which computes for the guest's on values in memory, by the guest's control word but for the exceptions that the
 * guest's next waiting instruction raises. Each operation returns the host's status: exceptions, of which PE may be an old one that the
 * guest's status has, too, C1 and conditions. Overflow and underflow are masked only if the guest does: the result is another one.
 */
#ifndef TARGET_I386_X87_HOST_H
#define TARGET_I386_X87_HOST_H

#include "target/i386/x87-ops.h"

enum { IE = 1, DE = 2, ZE = 4, OE = 8, UE = 16, PE = 32, SF = 64, EXCEPTIONS = 63, C1 = X87_C1 };
enum { CONDITIONS = X87_C0 | X87_C1 | X87_C2 | X87_C3 };

/* x op y. ADD, MUL, SUB, SUBR, DIV and DIVR. */
uint16_t x87_host_arithmetic(const X86Cpu *cpu, X87Operation op, X87Register *result,
                             const X87Register *x, const X87Register *y);
/* The same with a value in memory, F32, F64, I16 or I32: NaNs and denormals are judged before it is widened. */
uint16_t x87_host_arithmetic_memory(const X86Cpu *cpu, X87Operation op, X87Register *result,
                                    const X87Register *x, X87Format format, const void *bytes);
/* Conditions. quiet: a quiet NaN is no invalid operation. */
uint16_t x87_host_compare(const X86Cpu *cpu, const X87Register *x, const X87Register *y,
                          bool quiet);
uint16_t x87_host_compare_memory(const X86Cpu *cpu, const X87Register *x, X87Format format,
                                 const void *bytes);
uint16_t x87_host_examine(const X87Register *x);
/* F2XM1 and what follows it. */
uint16_t x87_host_unary(const X86Cpu *cpu, X87Unary op, X87Register *result, const X87Register *x);
/* x is ST(0), y is ST(1). */
uint16_t x87_host_binary(const X86Cpu *cpu, X87Binary op, X87Register *result, const X87Register *x,
                         const X87Register *y);
/* high is on top of low; with C2, which is not for XTRACT, it is what x was. */
uint16_t x87_host_pushing(const X86Cpu *cpu, X87Pushing op, X87Register *high, X87Register *low,
                          const X87Register *x);
/* FLD1 and the six that follow it. */
void x87_host_constant(const X86Cpu *cpu, unsigned n, X87Register *result);
uint16_t x87_host_load(const X86Cpu *cpu, X87Format format, X87Register *result, const void *bytes);
uint16_t x87_host_store(const X86Cpu *cpu, X87Format format, bool truncate, const X87Register *x,
                        void *bytes);

#endif
