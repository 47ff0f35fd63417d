/* SPDX-License-Identifier: MIT */
/*
 * x87 arithmetic: the host's x87 computes (x87-host.c), and what it noted is merged into the guest's status. An exception
 * that the guest does not mask is pending for its next waiting instruction; whether a result is then stored follows SDM 1, 8.5.
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
bool x87_push(X86Cpu *cpu, const X87Register *value)
{
    unsigned top = (cpu->x87.top - 1) & 7;

    if (cpu->x87.valid >> top & 1) {
        if (stack_fault(cpu, true)) {
            return false;
        }
        value = &indefinite;
    }
    cpu->x87.top = (uint8_t)top;
    x87_put(cpu, 0, value);
    return true;
}

static void finish(X86Cpu *cpu, uint16_t status, unsigned to, const X87Register *result)
{
    cpu->x87.status &= (uint16_t)~C1;
    if (!note(cpu, status & EXCEPTIONS)) {
        cpu->x87.status |= status & C1;
        x87_put(cpu, to, result);
    }
}

/* Instead of a result where an operand is empty. */
static void put_underflow(X86Cpu *cpu, unsigned to)
{
    if (!stack_fault(cpu, false)) {
        x87_put(cpu, to, &indefinite);
    }
}

static bool is_nan(const X87Register *r)
{
    return (r->sign_exponent & 0x7fff) == 0x7fff && r->significand << 1;
}

void x87_arithmetic(X86Cpu *cpu, X87Operation op, unsigned to, unsigned with)
{
    X87Register result = { 0 };
    uint16_t status;

    if (x87_is_empty(cpu, to) || x87_is_empty(cpu, with)) {
        put_underflow(cpu, to);
        return;
    }
    status = x87_host_arithmetic(cpu, op, &result, x87_st(cpu, to), x87_st(cpu, with));
    finish(cpu, status, to, &result);
}

void x87_arithmetic_memory(X86Cpu *cpu, X87Operation op, X87Format format, const void *bytes)
{
    X87Register result = { 0 };
    uint16_t status;

    if (x87_is_empty(cpu, 0)) {
        put_underflow(cpu, 0);
        return;
    }
    status = x87_host_arithmetic_memory(cpu, op, &result, x87_st(cpu, 0), format, bytes);
    finish(cpu, status, 0, &result);
}

static uint16_t unordered(X86Cpu *cpu)
{
    stack_fault(cpu, false);
    return X87_C3 | X87_C2 | X87_C0;
}

static uint16_t compared(X86Cpu *cpu, uint16_t status)
{
    cpu->x87.status &= (uint16_t)~C1;
    note(cpu, status & EXCEPTIONS);
    return status & (X87_C3 | X87_C2 | X87_C0);
}

uint16_t x87_compare(X86Cpu *cpu, unsigned with, bool quiet)
{
    if (x87_is_empty(cpu, 0) || x87_is_empty(cpu, with)) {
        return unordered(cpu);
    }
    return compared(cpu, x87_host_compare(cpu, x87_st(cpu, 0), x87_st(cpu, with), quiet));
}

uint16_t x87_compare_memory(X86Cpu *cpu, X87Format format, const void *bytes)
{
    if (x87_is_empty(cpu, 0)) {
        return unordered(cpu);
    }
    return compared(cpu, x87_host_compare_memory(cpu, x87_st(cpu, 0), format, bytes));
}

uint16_t x87_test(X86Cpu *cpu)
{
    static const X87Register zero;

    if (x87_is_empty(cpu, 0)) {
        return unordered(cpu);
    }
    return compared(cpu, x87_host_compare(cpu, x87_st(cpu, 0), &zero, false));
}

void x87_change_sign(X86Cpu *cpu, bool clear)
{
    X87Register *x = x87_st(cpu, 0);

    if (x87_is_empty(cpu, 0)) {
        put_underflow(cpu, 0);
        return;
    }
    x->sign_exponent = clear ? x->sign_exponent & 0x7fff : x->sign_exponent ^ 0x8000;
    cpu->x87.status &= (uint16_t)~C1;
}

void x87_unary(X86Cpu *cpu, X87Unary op)
{
    X87Register result = { 0 };
    uint16_t status;

    if (op == X87_SIN || op == X87_COS) {
        cpu->x87.status &= (uint16_t)~X87_C2;
    }
    if (x87_is_empty(cpu, 0)) {
        put_underflow(cpu, 0);
        return;
    }
    status = x87_host_unary(cpu, op, &result, x87_st(cpu, 0));
    if (op == X87_SIN || op == X87_COS) {
        cpu->x87.status |= status & X87_C2;
    }
    finish(cpu, status, 0, &result);
}

/* x is ST(0), y is ST(1). The result is on top; `pops`: in y's place. */
void x87_binary(X86Cpu *cpu, X87Binary op)
{
    bool pops = op == X87_YL2X || op == X87_ATAN || op == X87_YL2XP1;
    X87Register result = { 0 };
    uint16_t status;

    if (op == X87_PREM || op == X87_PREM1) {
        cpu->x87.status &= (uint16_t)~X87_C2;
    }
    if (x87_is_empty(cpu, 0) || x87_is_empty(cpu, 1)) {
        if (!stack_fault(cpu, false)) {
            x87_put(cpu, pops, &indefinite);
            if (pops) {
                x87_pop(cpu);
            }
        }
        return;
    }
    status = x87_host_binary(cpu, op, &result, x87_st(cpu, 0), x87_st(cpu, 1));
    cpu->x87.status &= (uint16_t)~C1;
    if ((op == X87_PREM || op == X87_PREM1) && !is_nan(&result) &&
        !(status & ~cpu->x87.control & DE)) {
        cpu->x87.status = (cpu->x87.status & (uint16_t)~CONDITIONS) | (status & CONDITIONS);
    }
    if (!note(cpu, status & EXCEPTIONS)) {
        cpu->x87.status |= status & C1;
        x87_put(cpu, pops, &result);
        if (pops) {
            x87_pop(cpu);
        }
    }
}

/* FPTAN, FSINCOS, FXTRACT: a second result is pushed. */
void x87_pushing(X86Cpu *cpu, X87Pushing op)
{
    X87Register low = { 0 }, high = { 0 };
    bool full = !x87_is_empty(cpu, 7);
    uint16_t status;

    if (op != X87_XTRACT) {
        cpu->x87.status &= (uint16_t)~X87_C2;
    }
    if (x87_is_empty(cpu, 0) || full) {
        if (!stack_fault(cpu, full && !x87_is_empty(cpu, 0))) {
            x87_put(cpu, 0, &indefinite);
            cpu->x87.top = (cpu->x87.top - 1) & 7;
            x87_put(cpu, 0, &indefinite);
        }
        return;
    }
    status = x87_host_pushing(cpu, op, &high, &low, x87_st(cpu, 0));
    cpu->x87.status &= (uint16_t)~C1;
    if (op != X87_XTRACT) {
        cpu->x87.status = (cpu->x87.status & (uint16_t)~X87_C2) | (status & X87_C2);
        if (status & X87_C2) {
            return;
        }
    }
    if (!note(cpu, status & EXCEPTIONS)) {
        cpu->x87.status |= status & C1;
        x87_put(cpu, 0, &low);
        cpu->x87.top = (cpu->x87.top - 1) & 7;
        x87_put(cpu, 0, &high);
    }
}

/* FXAM: C3 C2 C0 by class, C1 the sign. */
void x87_examine(X86Cpu *cpu)
{
    uint16_t status = x87_host_examine(x87_st(cpu, 0));

    if (x87_is_empty(cpu, 0)) {
        status = (status & C1) | X87_C3 | X87_C0;
    }
    cpu->x87.status = (cpu->x87.status & (uint16_t)~CONDITIONS) | (status & CONDITIONS);
}

void x87_push_constant(X86Cpu *cpu, unsigned n)
{
    X87Register result = { 0 };

    x87_host_constant(cpu, n, &result);
    cpu->x87.status &= (uint16_t)~C1;
    x87_push(cpu, &result);
}

/* A value in memory is pushed: exact, but what signals is noted. A denormal is an exception that does not keep it from being loaded. */
void x87_load(X86Cpu *cpu, X87Format format, const void *bytes)
{
    X87Register result = { 0 };
    uint16_t status = 0;

    if (format == X87_F80) {
        memcpy(&result, bytes, 10);
    } else {
        status = x87_host_load(cpu, format, &result, bytes);
    }
    cpu->x87.status &= (uint16_t)~C1;
    if (!x87_is_empty(cpu, 7) || !note(cpu, status & EXCEPTIONS) || !(status & IE)) {
        x87_push(cpu, &result);
    }
}

/* ST(0) in a format for memory; false: an unmasked exception keeps it from being stored. */
bool x87_store(X86Cpu *cpu, X87Format format, bool truncate, void *bytes)
{
    bool empty = x87_is_empty(cpu, 0);
    const X87Register *x = empty ? &indefinite : x87_st(cpu, 0);
    uint16_t status;
    unsigned unmasked;

    if (empty && stack_fault(cpu, false)) {
        return false;
    }
    if (format == X87_F80) {
        memcpy(bytes, x, 10);
        status = 0;
    } else {
        status = x87_host_store(cpu, format, truncate, x, bytes);
    }
    if (empty) {
        return true;
    }
    cpu->x87.status = (cpu->x87.status & (uint16_t)~C1) | (status & C1);
    unmasked = status & ~cpu->x87.control & EXCEPTIONS;
    note(cpu, status & EXCEPTIONS);
    return !(unmasked & (IE | DE | ZE | OE | UE));
}

/* Merges exceptions; true: the operation does not take place. */
bool x87_note(X86Cpu *cpu, uint16_t status)
{
    return note(cpu, status & EXCEPTIONS);
}
