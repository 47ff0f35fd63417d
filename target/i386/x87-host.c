/* SPDX-License-Identifier: MIT */
/*
 * Between operations the host's x87 has no values, the control word that the ABI wants, and noted nothing but PE. To set it up anew
 * for each operation would take several times as long as the operation does: FNCLEX 20 ns, FNINIT 34 ns, an addition 9 ns.
 */
#include "target/i386/x87-host.h"

enum { ES = 0x80, USUAL_CONTROL = 0x37f, CHOPPED = 0xc00 };

static void set_control(uint16_t control)
{
    __asm__ volatile("fldcw %0" : : "m"(control));
}

/* A PE that is left of an earlier operation says nothing new only while the guest's is set. */
static uint16_t begin(const X86Cpu *cpu, uint16_t more_control)
{
    uint16_t control = cpu->x87.control | IE | DE | ZE | PE | more_control, status;

    if (!(cpu->x87.status & PE)) {
        __asm__ volatile("fnstsw %0" : "=a"(status));
        if (status & PE) {
            __asm__ volatile("fnclex");
        }
    }
    if (control != USUAL_CONTROL) {
        set_control(control);
    }
    return control;
}

/* ES: an exception was not masked, and values may be left. */
static uint16_t end(uint16_t control, uint16_t status)
{
    if (status & ES) {
        __asm__ volatile("fninit");
        return status;
    }
    if (status & (EXCEPTIONS | SF) & ~PE) {
        __asm__ volatile("fnclex");
    }
    if (control != USUAL_CONTROL) {
        set_control(USUAL_CONTROL);
    }
    return status;
}

#define LOAD(value)  "fldt " value "; "
#define STORE(value) "fstpt " value "; "
#define DROP         "fstp %%st(0)"
/* The status to %1. No waiting instruction may follow before FNCLEX when ES is set. */
#define NOTED "fnstsw %1; testb $0x80, %b1; jz 1f; fnclex; 1: "

#define REGISTERS(code)                                                                            \
    __asm__ volatile(LOAD("%3") LOAD("%2") code " %%st(1), %%st; " NOTED STORE("%0") DROP          \
                     : "=m"(*result), "=&a"(status)                                                \
                     : "m"(*x), "m"(*y)                                                            \
                     : "cc")
#define WITH_MEMORY(code)                                                                          \
    __asm__ volatile(LOAD("%2") code " %3; " NOTED STORE("%0")                                     \
                     : "=m"(*result), "=&a"(status)                                                \
                     : "m"(*x), "m"(*operand)                                                      \
                     : "cc")
/* DO(prefix OPERATION suffix) by op. */
#define ARITHMETIC(DO, prefix, suffix)                                                             \
    switch (op) {                                                                                  \
    case X87_ADD:                                                                                  \
        DO(prefix "add" suffix);                                                                   \
        break;                                                                                     \
    case X87_MUL:                                                                                  \
        DO(prefix "mul" suffix);                                                                   \
        break;                                                                                     \
    case X87_SUB:                                                                                  \
        DO(prefix "sub" suffix);                                                                   \
        break;                                                                                     \
    case X87_SUBR:                                                                                 \
        DO(prefix "subr" suffix);                                                                  \
        break;                                                                                     \
    case X87_DIV:                                                                                  \
        DO(prefix "div" suffix);                                                                   \
        break;                                                                                     \
    default:                                                                                       \
        DO(prefix "divr" suffix);                                                                  \
    }
/* DO(prefix, suffix) by format, whose value is *operand. */
#define BY_FORMAT(DO)                                                                              \
    switch (format) {                                                                              \
    case X87_F32: {                                                                                \
        const uint32_t *operand = bytes;                                                           \
        DO("f", "s");                                                                              \
        break;                                                                                     \
    }                                                                                              \
    case X87_F64: {                                                                                \
        const uint64_t *operand = bytes;                                                           \
        DO("f", "l");                                                                              \
        break;                                                                                     \
    }                                                                                              \
    case X87_I16: {                                                                                \
        const uint16_t *operand = bytes;                                                           \
        DO("fi", "s");                                                                             \
        break;                                                                                     \
    }                                                                                              \
    default: {                                                                                     \
        const uint32_t *operand = bytes;                                                           \
        DO("fi", "l");                                                                             \
    }                                                                                              \
    }

uint16_t x87_host_arithmetic(const X86Cpu *cpu, X87Operation op, X87Register *result,
                             const X87Register *x, const X87Register *y)
{
    uint16_t control = begin(cpu, 0), status;

    ARITHMETIC(REGISTERS, "f", "")
    return end(control, status);
}

uint16_t x87_host_arithmetic_memory(const X86Cpu *cpu, X87Operation op, X87Register *result,
                                    const X87Register *x, X87Format format, const void *bytes)
{
    uint16_t control = begin(cpu, 0), status;

#define ARITHMETIC_WITH(prefix, suffix) ARITHMETIC(WITH_MEMORY, prefix, suffix)
    BY_FORMAT(ARITHMETIC_WITH)
    return end(control, status);
}

uint16_t x87_host_compare(const X86Cpu *cpu, const X87Register *x, const X87Register *y, bool quiet)
{
    uint16_t control = begin(cpu, 0), status;

#define COMPARE(code)                                                                              \
    __asm__ volatile(LOAD("%2") LOAD("%1") code "; fnstsw %0" : "=&a"(status) : "m"(*x), "m"(*y))
    if (quiet) {
        COMPARE("fucompp");
    } else {
        COMPARE("fcompp");
    }
    return end(control, status);
}

uint16_t x87_host_compare_memory(const X86Cpu *cpu, const X87Register *x, X87Format format,
                                 const void *bytes)
{
    uint16_t control = begin(cpu, 0), status;

#define COMPARE_WITH(prefix, suffix)                                                               \
    __asm__ volatile(LOAD("%1") prefix "comp" suffix " %2; fnstsw %0"                              \
                     : "=&a"(status)                                                               \
                     : "m"(*x), "m"(*operand))
    BY_FORMAT(COMPARE_WITH)
    return end(control, status);
}

uint16_t x87_host_examine(const X87Register *x)
{
    uint16_t status;

    __asm__ volatile(LOAD("%1") "fxam; fnstsw %0; " DROP : "=&a"(status) : "m"(*x));
    return status;
}

uint16_t x87_host_unary(const X86Cpu *cpu, X87Unary op, X87Register *result, const X87Register *x)
{
    uint16_t control = begin(cpu, 0), status;

#define UNARY(code)                                                                                \
    __asm__ volatile(LOAD("%2") code "; " NOTED STORE("%0")                                        \
                     : "=m"(*result), "=&a"(status)                                                \
                     : "m"(*x)                                                                     \
                     : "cc")
    switch (op) {
    case X87_F2XM1:
        UNARY("f2xm1");
        break;
    case X87_SQRT:
        UNARY("fsqrt");
        break;
    case X87_RNDINT:
        UNARY("frndint");
        break;
    case X87_SIN:
        UNARY("fsin");
        break;
    default:
        UNARY("fcos");
    }
    return end(control, status);
}

uint16_t x87_host_binary(const X86Cpu *cpu, X87Binary op, X87Register *result, const X87Register *x,
                         const X87Register *y)
{
    uint16_t control = begin(cpu, 0), status;

#define BINARY(code, rest)                                                                         \
    __asm__ volatile(LOAD("%3") LOAD("%2") code "; " NOTED STORE("%0") rest                        \
                     : "=m"(*result), "=&a"(status)                                                \
                     : "m"(*x), "m"(*y)                                                            \
                     : "cc")
    switch (op) {
    case X87_YL2X:
        BINARY("fyl2x", "");
        break;
    case X87_ATAN:
        BINARY("fpatan", "");
        break;
    case X87_YL2XP1:
        BINARY("fyl2xp1", "");
        break;
    case X87_PREM:
        BINARY("fprem", DROP);
        break;
    case X87_PREM1:
        BINARY("fprem1", DROP);
        break;
    default:
        BINARY("fscale", DROP);
    }
    return end(control, status);
}

uint16_t x87_host_pushing(const X86Cpu *cpu, X87Pushing op, X87Register *high, X87Register *low,
                          const X87Register *x)
{
    uint16_t control = begin(cpu, 0), status;

#define PUSHING(code)                                                                              \
    __asm__ volatile(LOAD("%2") code "; " NOTED STORE("%0")                                        \
                     : "=m"(*high), "=&a"(status)                                                  \
                     : "m"(*x)                                                                     \
                     : "cc")
    switch (op) {
    case X87_TAN:
        PUSHING("fptan");
        break;
    case X87_SINCOS:
        PUSHING("fsincos");
        break;
    default:
        PUSHING("fxtract");
    }
    if (!(status & X87_C2) || op == X87_XTRACT) {
        __asm__ volatile(STORE("%0") : "=m"(*low));
    }
    return end(control, status);
}

void x87_host_constant(const X86Cpu *cpu, unsigned n, X87Register *result)
{
    uint16_t control = begin(cpu, 0);

#define CONSTANT(code) __asm__ volatile(code "; " STORE("%0") : "=m"(*result))
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
    end(control, 0);
}

typedef struct {
    uint8_t digits[10];
} Packed;

uint16_t x87_host_load(const X86Cpu *cpu, X87Format format, X87Register *result, const void *bytes)
{
    uint16_t control = begin(cpu, 0), status;

#define LOAD_AS(code, type)                                                                        \
    __asm__ volatile(code " %2; fnstsw %1; " STORE("%0")                                           \
                     : "=m"(*result), "=&a"(status)                                                \
                     : "m"(*(const type *)bytes))
    switch (format) {
    case X87_F32:
        LOAD_AS("flds", uint32_t);
        break;
    case X87_F64:
        LOAD_AS("fldl", uint64_t);
        break;
    case X87_I16:
        LOAD_AS("filds", uint16_t);
        break;
    case X87_I32:
        LOAD_AS("fildl", uint32_t);
        break;
    case X87_I64:
        LOAD_AS("fildll", uint64_t);
        break;
    default:
        LOAD_AS("fbld", Packed);
    }
    return end(control, status);
}

uint16_t x87_host_store(const X86Cpu *cpu, X87Format format, bool truncate, const X87Register *x,
                        void *bytes)
{
    uint16_t control = begin(cpu, truncate ? CHOPPED : 0), status;

#define STORE_AS(code, type)                                                                       \
    __asm__ volatile(LOAD("%2") code " %0; fnstsw %1"                                              \
                     : "=m"(*(type *)bytes), "=&a"(status)                                         \
                     : "m"(*x))
    switch (format) {
    case X87_F32:
        STORE_AS("fstps", uint32_t);
        break;
    case X87_F64:
        STORE_AS("fstpl", uint64_t);
        break;
    case X87_I16:
        STORE_AS("fistps", uint16_t);
        break;
    case X87_I32:
        STORE_AS("fistpl", uint32_t);
        break;
    case X87_I64:
        STORE_AS("fistpll", uint64_t);
        break;
    default:
        STORE_AS("fbstp", Packed);
    }
    return end(control, status);
}
