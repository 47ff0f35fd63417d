/* SPDX-License-Identifier: MIT */
/*
 * x87 instructions as nearly all programs use them, all exceptions masked and no register empty or full: the host does the
 * instruction itself on registers in memory. What is not so is left to x87.c.
 */
#include "target/i386/x87-host.h"

static bool is_quick(const X86Cpu *cpu)
{
    return (cpu->x87.control & EXCEPTIONS) == EXCEPTIONS && !x87_is_empty(cpu, 0);
}

static void noted(X86Cpu *cpu, uint16_t status, uint16_t conditions)
{
    cpu->x87.status =
        (cpu->x87.status & (uint16_t)~conditions) | (status & (EXCEPTIONS | conditions));
}

/* By halves: what the host's FSTP has just written is not had from its store buffer in one piece. */
static void copy(X87Register *to, const X87Register *from)
{
    to->significand = from->significand;
    to->sign_exponent = from->sign_exponent;
}

static X87Register *push(X86Cpu *cpu)
{
    cpu->x87.top = (cpu->x87.top - 1) & 7;
    cpu->x87.valid |= (uint8_t)(1u << cpu->x87.top);
    return x87_st(cpu, 0);
}

#define PAIR(code)                                                                                 \
    __asm__ volatile(LOAD("%2") LOAD("%0") code "; fnstsw %1; " STORE("%0") "fstp %%st(0)"         \
                     : "+m"(*to), "=&a"(status)                                                    \
                     : "m"(*y))
#define WITH_MEMORY(code)                                                                          \
    __asm__ volatile(LOAD("%0") code " %2; fnstsw %1; " STORE("%0")                                \
                     : "+m"(*x), "=&a"(status)                                                     \
                     : "m"(*operand))
#define COMPARED(code)                                                                             \
    __asm__ volatile(LOAD("%1") code " %2; fnstsw %0; fstp %%st(0)"                                \
                     : "=&a"(status)                                                               \
                     : "m"(*x), "m"(*operand))
#define COMPARED_REGISTERS(code)                                                                   \
    __asm__ volatile(LOAD("%2") LOAD("%1") code "; fnstsw %0" : "=&a"(status) : "m"(*x), "m"(*y))

/* to = to op y */
static void arithmetic(X86Cpu *cpu, X87Operation op, X87Register *to, const X87Register *y)
{
    uint16_t control = begin_host(cpu), status;

    switch (op) {
    case X87_ADD:
        PAIR("fadd %%st(1), %%st");
        break;
    case X87_MUL:
        PAIR("fmul %%st(1), %%st");
        break;
    case X87_SUB:
        PAIR("fsub %%st(1), %%st");
        break;
    case X87_SUBR:
        PAIR("fsubr %%st(1), %%st");
        break;
    case X87_DIV:
        PAIR("fdiv %%st(1), %%st");
        break;
    default:
        PAIR("fdivr %%st(1), %%st");
    }
    end_host(control, status);
    noted(cpu, status, C1);
}

static uint16_t compare(X86Cpu *cpu, const X87Register *y, bool quiet)
{
    uint16_t control = begin_host(cpu), status;
    const X87Register *x = x87_st(cpu, 0);

    if (quiet) {
        COMPARED_REGISTERS("fucompp");
    } else {
        COMPARED_REGISTERS("fcompp");
    }
    end_host(control, status);
    return status;
}

/* ST(0) = ST(0) op a value in memory, or compares it. */
#define MEMORY_OPERATION(name, prefix, suffix, type)                                               \
    static uint16_t name(X87Operation op, X87Register *x, const void *bytes)                       \
    {                                                                                              \
        const type *operand = bytes;                                                               \
        uint16_t status;                                                                           \
                                                                                                   \
        switch (op) {                                                                              \
        case X87_ADD:                                                                              \
            WITH_MEMORY(prefix "add" suffix);                                                      \
            break;                                                                                 \
        case X87_MUL:                                                                              \
            WITH_MEMORY(prefix "mul" suffix);                                                      \
            break;                                                                                 \
        case X87_COM:                                                                              \
        case X87_COMP:                                                                             \
            COMPARED(prefix "com" suffix);                                                         \
            break;                                                                                 \
        case X87_SUB:                                                                              \
            WITH_MEMORY(prefix "sub" suffix);                                                      \
            break;                                                                                 \
        case X87_SUBR:                                                                             \
            WITH_MEMORY(prefix "subr" suffix);                                                     \
            break;                                                                                 \
        case X87_DIV:                                                                              \
            WITH_MEMORY(prefix "div" suffix);                                                      \
            break;                                                                                 \
        default:                                                                                   \
            WITH_MEMORY(prefix "divr" suffix);                                                     \
        }                                                                                          \
        return status;                                                                             \
    }

MEMORY_OPERATION(with_f32, "f", "s", uint32_t)
MEMORY_OPERATION(with_f64, "f", "l", uint64_t)
MEMORY_OPERATION(with_i32, "fi", "l", uint32_t)
MEMORY_OPERATION(with_i16, "fi", "s", uint16_t)

bool x87_quick_memory(X86Cpu *cpu, X87Operation op, X87Format format, const void *bytes)
{
    X87Register *x = x87_st(cpu, 0);
    uint16_t control, status;

    if (!is_quick(cpu)) {
        return false;
    }
    control = begin_host(cpu);
    switch (format) {
    case X87_F32:
        status = with_f32(op, x, bytes);
        break;
    case X87_F64:
        status = with_f64(op, x, bytes);
        break;
    case X87_I32:
        status = with_i32(op, x, bytes);
        break;
    default:
        status = with_i16(op, x, bytes);
    }
    end_host(control, status);
    if (op == X87_COM || op == X87_COMP) {
        noted(cpu, status, CONDITIONS);
        if (op == X87_COMP) {
            x87_pop(cpu);
        }
    } else {
        noted(cpu, status, C1);
    }
    return true;
}

bool x87_quick_load(X86Cpu *cpu, X87Format format, const void *bytes)
{
    uint16_t control, status = 0;
    X87Register *to;

    if ((cpu->x87.control & EXCEPTIONS) != EXCEPTIONS || !x87_is_empty(cpu, 7) ||
        format == X87_BCD) {
        return false;
    }
    to = push(cpu);
    if (format == X87_F80) {
        memcpy(&to->significand, bytes, 8);
        memcpy(&to->sign_exponent, (const uint8_t *)bytes + 8, 2);
        noted(cpu, 0, C1);
        return true;
    }
    control = begin_host(cpu);
#define LOADED(code, type)                                                                         \
    __asm__ volatile(code " %2; fnstsw %1; " STORE("%0")                                           \
                     : "=m"(*to), "=&a"(status)                                                    \
                     : "m"(*(const type *)bytes))
    switch (format) {
    case X87_F32:
        LOADED("flds", uint32_t);
        break;
    case X87_F64:
        LOADED("fldl", uint64_t);
        break;
    case X87_I16:
        LOADED("filds", uint16_t);
        break;
    case X87_I32:
        LOADED("fildl", uint32_t);
        break;
    default:
        LOADED("fildll", uint64_t);
    }
    end_host(control, status);
    noted(cpu, status & (uint16_t)~C1, C1);
    return true;
}

bool x87_quick_store(X86Cpu *cpu, X87Format format, bool truncate, void *bytes)
{
    const X87Register *x = x87_st(cpu, 0);
    uint16_t control, status;

    if (!is_quick(cpu) || truncate || format == X87_BCD || format == X87_F80) {
        return false;
    }
    control = begin_host(cpu);
#define STORED(code, type)                                                                         \
    __asm__ volatile(LOAD("%2") code " %0; fnstsw %1"                                              \
                     : "=m"(*(type *)bytes), "=&a"(status)                                         \
                     : "m"(*x))
    switch (format) {
    case X87_F32:
        STORED("fstps", uint32_t);
        break;
    case X87_F64:
        STORED("fstpl", uint64_t);
        break;
    case X87_I16:
        STORED("fistps", uint16_t);
        break;
    case X87_I32:
        STORED("fistpl", uint32_t);
        break;
    default:
        STORED("fistpll", uint64_t);
    }
    end_host(control, status);
    noted(cpu, status, C1);
    return true;
}

static bool quick_compare(X86Cpu *cpu, unsigned i, bool quiet, unsigned pops)
{
    noted(cpu, compare(cpu, x87_st(cpu, i), quiet), CONDITIONS);
    for (unsigned k = 0; k < pops; k++) {
        x87_pop(cpu);
    }
    return true;
}

/* DC and DE: to ST(i), and what subtracts and divides is reversed in the encoding. */
static bool to_register(X86Cpu *cpu, X87Operation op, unsigned i, bool pop)
{
    if (op == X87_COM || op == X87_COMP) {
        return false;
    }
    arithmetic(cpu, op >= X87_SUB ? op ^ 1 : op, x87_st(cpu, i), x87_st(cpu, 0));
    if (pop) {
        x87_pop(cpu);
    }
    return true;
}

static bool exchange(X86Cpu *cpu, unsigned i)
{
    X87Register *x = x87_st(cpu, 0), *y = x87_st(cpu, i), held;

    copy(&held, x);
    copy(x, y);
    copy(y, &held);
    noted(cpu, 0, C1);
    return true;
}

/* D9, E0 and above: signs and the square root. */
static bool alone(X86Cpu *cpu, unsigned modrm)
{
    X87Register *x = x87_st(cpu, 0);
    uint16_t control, status = 0;

    switch (modrm) {
    case 0xe0:
        x->sign_exponent ^= 0x8000;
        break;
    case 0xe1:
        x->sign_exponent &= 0x7fff;
        break;
    case 0xfa:
        control = begin_host(cpu);
        __asm__ volatile(LOAD("%0") "fsqrt; fnstsw %1; " STORE("%0") : "+m"(*x), "=&a"(status));
        end_host(control, status);
        break;
    default:
        return false;
    }
    noted(cpu, status, C1);
    return true;
}

static bool load_constant(X86Cpu *cpu, unsigned modrm)
{
    static const X87Register one = { .significand = UINT64_C(1) << 63, .sign_exponent = 0x3fff };
    static const X87Register zero;

    if (!x87_is_empty(cpu, 7) || (modrm != 0xe8 && modrm != 0xee)) {
        return false;
    }
    copy(push(cpu), modrm == 0xe8 ? &one : &zero);
    noted(cpu, 0, C1);
    return true;
}

static bool d9_register(X86Cpu *cpu, unsigned modrm)
{
    const X87Register *from = x87_st(cpu, modrm & 7);

    switch (modrm >> 3 & 7) {
    case 0:
        if (!x87_is_empty(cpu, 7)) {
            return false;
        }
        copy(push(cpu), from);
        noted(cpu, 0, C1);
        return true;
    case 1:
        return exchange(cpu, modrm & 7);
    case 4:
    case 7:
        return alone(cpu, modrm);
    default:
        return false;
    }
}

/* DD: FST and FUCOM. FST may be to an empty register. */
static bool dd_register(X86Cpu *cpu, unsigned op, unsigned i)
{
    switch (op) {
    case 2:
    case 3:
        x87_put(cpu, i, *x87_st(cpu, 0));
        noted(cpu, 0, C1);
        if (op == 3) {
            x87_pop(cpu);
        }
        return true;
    case 4:
    case 5:
        return quick_compare(cpu, i, true, op == 5);
    default:
        return false;
    }
}

bool x87_quick_register(X86Cpu *cpu, unsigned escape, unsigned modrm)
{
    unsigned i = modrm & 7, op = modrm >> 3 & 7;

    if (escape == 1 && op == 5) {
        return load_constant(cpu, modrm);
    }
    if (!is_quick(cpu) || (x87_is_empty(cpu, i) && escape != 5 && !(escape == 1 && op >= 4)) ||
        (escape == 5 && op >= 4 && x87_is_empty(cpu, i))) {
        return false;
    }
    switch (escape) {
    case 0:
        if (op == X87_COM || op == X87_COMP) {
            return quick_compare(cpu, i, false, op == X87_COMP);
        }
        arithmetic(cpu, (X87Operation)op, x87_st(cpu, 0), x87_st(cpu, i));
        return true;
    case 1:
        return d9_register(cpu, modrm);
    case 4:
    case 6:
        return to_register(cpu, (X87Operation)op, i, escape == 6);
    case 5:
        return dd_register(cpu, op, i);
    default:
        return false;
    }
}

bool x87_quick_flags(X86Cpu *cpu, unsigned i, bool quiet, bool pop, uint16_t *conditions)
{
    if (!is_quick(cpu) || x87_is_empty(cpu, i)) {
        return false;
    }
    *conditions = compare(cpu, x87_st(cpu, i), quiet);
    noted(cpu, *conditions, 0);
    if (pop) {
        x87_pop(cpu);
    }
    return true;
}
