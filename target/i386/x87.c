/* SPDX-License-Identifier: MIT */
/*
 * x87 arithmetic: the host's own x87 computes, on values in memory, with the guest's control word and all exceptions
 * masked; what it noted is merged into the guest's status. An exception that the guest does not mask is pending
 * for its next waiting instruction; whether a result is then stored follows SDM 1, 8.5.
 */
#include "target/i386/x87-ops.h"

#include "target/i386/exception.h"
#include "target/i386/x87-host.h"

static const X87Register indefinite = { .significand = UINT64_C(0xc000000000000000),
                                        .sign_exponent = 0xffff };

/* Notes exceptions; true when one of them keeps the result from being stored. */
static bool note(X86Cpu *cpu, unsigned status)
{
    unsigned unmasked = status & ~cpu->x87.control & EXCEPTIONS;

    /* What is seen before computing prevents it. */
    if (unmasked & (IE | DE | ZE)) {
        status &= IE | DE | ZE | SF;
    }
    cpu->x87.status |= status & (EXCEPTIONS | SF);
    if (unmasked) {
        x87_set_control_word(cpu, cpu->x87.control);
    }
    return unmasked & (IE | DE | ZE);
}

/* An empty register is used, or one that is not empty is pushed upon (C1). true: the result is not stored. */
static bool stack_fault(X86Cpu *cpu, bool overflow)
{
    cpu->x87.status &= (uint16_t)~C1;
    cpu->x87.status |= overflow ? C1 : 0;
    return note(cpu, IE | SF);
}

/* false: it was not pushed. */
bool x87_push(X86Cpu *cpu, X87Register value)
{
    unsigned top = (cpu->x87.top - 1) & 7;

    if (cpu->x87.valid >> top & 1) {
        if (stack_fault(cpu, true)) {
            return false;
        }
        value = indefinite;
    }
    cpu->x87.top = (uint8_t)top;
    x87_put(cpu, 0, value);
    return true;
}

/* The status to %1, and the store may wait. */
#define NOTED(store) "fnstsw %1; testb $0x80, %b1; jz 1f; fnclex; 1: " store
#define BINARY(code)                                                                               \
    __asm__ volatile(LOAD("%3") LOAD("%2") code "; " NOTED(STORE("%0")) "fstp %%st(0)"             \
                     : "=m"(result), "=&a"(status)                                                 \
                     : "m"(x), "m"(y)                                                              \
                     : "cc")

/* x op y, where y is on top: FADD and so on. */
static X87Register arithmetic(X87Operation op, X87Register x, X87Register y, uint16_t *status_out)
{
    X87Register result = { 0 };
    uint16_t status = 0;

    /* ST(1) = y, ST(0) = x. */
    switch (op) {
    case X87_ADD:
        BINARY("fadd %%st(1), %%st");
        break;
    case X87_MUL:
        BINARY("fmul %%st(1), %%st");
        break;
    case X87_SUB:
        BINARY("fsub %%st(1), %%st");
        break;
    case X87_SUBR:
        BINARY("fsubr %%st(1), %%st");
        break;
    case X87_DIV:
        BINARY("fdiv %%st(1), %%st");
        break;
    default:
        BINARY("fdivr %%st(1), %%st");
    }
    *status_out = status;
    return result;
}

static void finish(X86Cpu *cpu, uint16_t status, unsigned to, X87Register result)
{
    cpu->x87.status &= (uint16_t)~C1;
    if (!note(cpu, status & EXCEPTIONS)) {
        cpu->x87.status |= status & C1;
        x87_put(cpu, to, result);
    }
}

static bool is_nan(const X87Register *r)
{
    return (r->sign_exponent & 0x7fff) == 0x7fff && r->significand << 1;
}

/* Of a denormal operand in memory only where nothing is said by a NaN or an invalid operation. */
static uint16_t also_noted(X86Cpu *cpu, uint16_t noted, uint16_t status)
{
    if ((status & ZE) || ((status | noted) & IE) || is_nan(x87_st(cpu, 0))) {
        return noted & IE;
    }
    return noted & (IE | DE);
}

/* ST(to) = ST(to) op y. noted: exceptions of reading y from memory. */
void x87_arithmetic(X86Cpu *cpu, X87Operation op, unsigned to, X87Register y, bool y_empty,
                    uint16_t noted)
{
    uint16_t status, control;
    X87Register result;

    if (x87_is_empty(cpu, to) || y_empty) {
        if (!stack_fault(cpu, false)) {
            x87_put(cpu, to, indefinite);
        }
        return;
    }
    control = begin_host(cpu);
    result = arithmetic(op, *x87_st(cpu, to), y, &status);
    end_host(control, status);
    finish(cpu, status | also_noted(cpu, noted, status), to, result);
}

/* Compares ST(0) with y; quiet: a quiet NaN is no invalid operation. Conditions in status. */
uint16_t x87_compare(X86Cpu *cpu, X87Register y, bool y_empty, bool quiet, uint16_t noted)
{
    X87Register x = *x87_st(cpu, 0);
    uint16_t status, control;

    if (x87_is_empty(cpu, 0) || y_empty) {
        stack_fault(cpu, false);
        return X87_C3 | X87_C2 | X87_C0;
    }
    control = begin_host(cpu);
    if (quiet) {
        __asm__ volatile(LOAD("%2") LOAD("%1") "fucompp; fnstsw %0"
                         : "=&a"(status)
                         : "m"(x), "m"(y));
    } else {
        __asm__ volatile(LOAD("%2") LOAD("%1") "fcompp; fnstsw %0"
                         : "=&a"(status)
                         : "m"(x), "m"(y));
    }
    end_host(control, status);
    status |= also_noted(cpu, noted, status);
    cpu->x87.status &= (uint16_t)~C1;
    note(cpu, status & EXCEPTIONS);
    return status & (X87_C3 | X87_C2 | X87_C0);
}

#define ONE(code)                                                                                  \
    __asm__ volatile(LOAD("%2") code "; " NOTED(STORE("%0"))                                       \
                     : "=m"(result), "=&a"(status)                                                 \
                     : "m"(x)                                                                      \
                     : "cc")

/* ST(0) = f(ST(0)) */
static X87Register unary(X87Unary op, X87Register x, uint16_t *status_out)
{
    X87Register result = { 0 };
    uint16_t status = 0;

    switch (op) {
    case X87_CHS:
        ONE("fchs");
        break;
    case X87_ABS:
        ONE("fabs");
        break;
    case X87_F2XM1:
        ONE("f2xm1");
        break;
    case X87_SQRT:
        ONE("fsqrt");
        break;
    case X87_RNDINT:
        ONE("frndint");
        break;
    case X87_SIN:
        ONE("fsin");
        break;
    default:
        ONE("fcos");
    }
    *status_out = status;
    return result;
}

void x87_unary(X86Cpu *cpu, X87Unary op)
{
    uint16_t status, control;
    X87Register result;

    if (op == X87_SIN || op == X87_COS) {
        cpu->x87.status &= (uint16_t)~X87_C2;
    }
    if (x87_is_empty(cpu, 0)) {
        if (!stack_fault(cpu, false)) {
            x87_put(cpu, 0, indefinite);
        }
        return;
    }
    control = begin_host(cpu);
    result = unary(op, *x87_st(cpu, 0), &status);
    end_host(control, status);
    if (op == X87_SIN || op == X87_COS) {
        cpu->x87.status = (cpu->x87.status & (uint16_t)~X87_C2) | (status & X87_C2);
    }
    finish(cpu, status, 0, result);
}

/* x is ST(0), y is ST(1). The result is on top; `pops`: in y's place. */
#define TWO(code)                                                                                  \
    __asm__ volatile(LOAD("%3") LOAD("%2") code "; " NOTED(STORE("%0")) "fninit"                   \
                     : "=m"(result), "=&a"(status)                                                 \
                     : "m"(x), "m"(y)                                                              \
                     : "cc")

void x87_binary(X86Cpu *cpu, X87Binary op)
{
    bool pops = op == X87_YL2X || op == X87_ATAN || op == X87_YL2XP1;
    X87Register result = { 0 }, x = *x87_st(cpu, 0), y = *x87_st(cpu, 1);
    uint16_t status = 0, control;

    if (op == X87_PREM || op == X87_PREM1) {
        cpu->x87.status &= (uint16_t)~X87_C2;
    }
    if (x87_is_empty(cpu, 0) || x87_is_empty(cpu, 1)) {
        if (!stack_fault(cpu, false)) {
            x87_put(cpu, pops, indefinite);
            if (pops) {
                x87_pop(cpu);
            }
        }
        return;
    }
    control = begin_host(cpu);
    switch (op) {
    case X87_YL2X:
        TWO("fyl2x");
        break;
    case X87_ATAN:
        TWO("fpatan");
        break;
    case X87_YL2XP1:
        TWO("fyl2xp1");
        break;
    case X87_PREM:
        TWO("fprem");
        break;
    case X87_PREM1:
        TWO("fprem1");
        break;
    default:
        TWO("fscale");
    }
    end_host(control, status);
    cpu->x87.status &= (uint16_t)~C1;
    if ((op == X87_PREM || op == X87_PREM1) && !is_nan(&result) &&
        !(status & ~cpu->x87.control & DE)) {
        cpu->x87.status = (cpu->x87.status & (uint16_t)~CONDITIONS) | (status & CONDITIONS);
    }
    if (!note(cpu, status & EXCEPTIONS)) {
        cpu->x87.status |= status & C1;
        x87_put(cpu, pops, result);
        if (pops) {
            x87_pop(cpu);
        }
    }
}

/* FPTAN, FSINCOS, FXTRACT: a second result is pushed. */
void x87_pushing(X86Cpu *cpu, X87Pushing op)
{
    X87Register x = *x87_st(cpu, 0), low = { 0 }, high = { 0 };
    bool full = !x87_is_empty(cpu, 7);
    uint16_t status = 0, control;

    if (op != X87_XTRACT) {
        cpu->x87.status &= (uint16_t)~X87_C2;
    }
    if (x87_is_empty(cpu, 0) || full) {
        if (!stack_fault(cpu, full && !x87_is_empty(cpu, 0))) {
            x87_put(cpu, 0, indefinite);
            cpu->x87.top = (cpu->x87.top - 1) & 7;
            x87_put(cpu, 0, indefinite);
        }
        return;
    }
    control = begin_host(cpu);
    switch (op) {
    case X87_TAN:
        __asm__ volatile(LOAD("%1") "fptan; fnstsw %0; fnclex" : "=m"(status) : "m"(x));
        break;
    case X87_SINCOS:
        __asm__ volatile(LOAD("%1") "fsincos; fnstsw %0; fnclex" : "=m"(status) : "m"(x));
        break;
    default:
        __asm__ volatile(LOAD("%1") "fxtract; fnstsw %0; fnclex" : "=m"(status) : "m"(x));
    }
    __asm__ volatile(STORE("%0") : "=m"(high));
    if (!(status & X87_C2) || op == X87_XTRACT) {
        __asm__ volatile(STORE("%0") : "=m"(low));
    }
    end_host(control, status);
    cpu->x87.status &= (uint16_t)~C1;
    if (op != X87_XTRACT) {
        cpu->x87.status = (cpu->x87.status & (uint16_t)~X87_C2) | (status & X87_C2);
        if (status & X87_C2) {
            return;
        }
    }
    if (!note(cpu, status & EXCEPTIONS)) {
        cpu->x87.status |= status & C1;
        x87_put(cpu, 0, low);
        cpu->x87.top = (cpu->x87.top - 1) & 7;
        x87_put(cpu, 0, high);
    }
}

/* FXAM: C3 C2 C0 by class, C1 the sign. */
void x87_examine(X86Cpu *cpu)
{
    X87Register x = *x87_st(cpu, 0);
    uint16_t status;

    __asm__ volatile(LOAD("%1") "fxam; fnstsw %0; fstp %%st(0)" : "=&a"(status) : "m"(x));
    if (x87_is_empty(cpu, 0)) {
        status = (status & C1) | X87_C3 | X87_C0;
    }
    cpu->x87.status = (cpu->x87.status & (uint16_t)~CONDITIONS) | (status & CONDITIONS);
}

/* Constants are rounded as the control word says. */
X87Register x87_constant(X86Cpu *cpu, unsigned n)
{
    X87Register result = { 0 };
    uint16_t control = begin_host(cpu);

#define CONSTANT(code) __asm__ volatile(code "; " STORE("%0") : "=m"(result))
    switch (n) {
    case 0:
        CONSTANT("fld1");
        break;
    case 1:
        CONSTANT("fldl2t");
        break;
    case 2:
        CONSTANT("fldl2e");
        break;
    case 3:
        CONSTANT("fldpi");
        break;
    case 4:
        CONSTANT("fldlg2");
        break;
    case 5:
        CONSTANT("fldln2");
        break;
    default:
        CONSTANT("fldz");
    }
    end_host(control, 0);
    return result;
}

/* Memory operands to registers: exact, but what signals must be noted. */
X87Register x87_from_memory(X86Cpu *cpu, X87Format format, uint64_t value, uint16_t *status)
{
    X87Register result = { 0 };
    uint16_t control = begin_host(cpu);

#define FROM(code)                                                                                 \
    __asm__ volatile(code " %2; fnstsw %1; " STORE("%0")                                           \
                     : "=m"(result), "=&a"(*status)                                                \
                     : "m"(value))
    switch (format) {
    case X87_F32:
        FROM("flds");
        break;
    case X87_F64:
        FROM("fldl");
        break;
    case X87_I16:
        FROM("filds");
        break;
    case X87_I32:
        FROM("fildl");
        break;
    default:
        FROM("fildll");
    }
    end_host(control, *status);
    return result;
}

/* FBLD */
X87Register x87_from_bcd(X86Cpu *cpu, const void *bytes)
{
    X87Register result = { 0 };
    struct {
        uint8_t bytes[10];
    } packed;
    uint16_t control;

    memcpy(&packed, bytes, sizeof packed);
    control = begin_host(cpu);
    __asm__ volatile("fbld %1; " STORE("%0") : "=m"(result) : "m"(packed));
    end_host(control, EXCEPTIONS);
    return result;
}

/* ST(0) in a format for memory; false: an unmasked exception keeps it from being stored. */
bool x87_to_memory(X86Cpu *cpu, X87Format format, bool truncate, uint8_t bytes[10])
{
    X87Register x = *x87_st(cpu, 0);
    struct {
        uint8_t bytes[16];
    } out = { { 0 } };
    uint16_t status = 0, control;
    unsigned unmasked;

    if (x87_is_empty(cpu, 0)) {
        x = indefinite;
        if (stack_fault(cpu, false)) {
            return false;
        }
    }
    control = begin_host(cpu);
    if (truncate) {
        control |= 0xc00;
        set_host_control(control);
    }
#define TO(code)                                                                                   \
    __asm__ volatile(LOAD("%2") code " %0; fnstsw %1" : "=m"(out), "=&a"(status) : "m"(x))
    switch (format) {
    case X87_F32:
        TO("fstps");
        break;
    case X87_F64:
        TO("fstpl");
        break;
    case X87_I16:
        TO("fistps");
        break;
    case X87_I32:
        TO("fistpl");
        break;
    case X87_I64:
        TO("fistpll");
        break;
    default:
        TO("fbstp");
    }
    end_host(control, status);
    memcpy(bytes, out.bytes, 10);
    if (x87_is_empty(cpu, 0)) {
        return true;
    }
    cpu->x87.status = (cpu->x87.status & (uint16_t)~C1) | (status & C1);
    unmasked = status & ~cpu->x87.control & EXCEPTIONS;
    note(cpu, status & EXCEPTIONS);
    return !(unmasked & (IE | DE | ZE | OE | UE));
}

/* Merges what a load from memory noted; true: the operation does not take place. */
bool x87_note(X86Cpu *cpu, uint16_t status)
{
    return note(cpu, status & EXCEPTIONS);
}
