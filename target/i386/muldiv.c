/* SPDX-License-Identifier: MIT */
/* Multiplication, division, and the decimal instructions. */
#include "accel/tcg/ir/flags.h"
#include "target/i386/exception.h"
#include "target/i386/translate.h"

static void set_multiply_flags(X86Translator *t, unsigned bytes, unsigned sub, IrRef a, IrRef b)
{
    IrRef flags = ir_flags(t->unit, IR_OP_mulf, x86_type(bytes), x86_log2(bytes), sub, a, b, 0);

    x86_set_flags(t, ir_fmerge(t->unit, x86_get_flags(t), flags, TCG_FLAG_C | TCG_FLAG_V));
}

/* rAX times the operand to rDX:rAX (AX for bytes). */
static void multiply_accumulator(X86Translator *t, bool is_signed)
{
    unsigned bytes = x86_bytes(t, 0);
    IrRef b = x86_read(t, 0), a = x86_get_reg(t, X86_RAX, bytes), product, high;

    set_multiply_flags(t, bytes, is_signed ? 0 : IR_UNSIGNED, a, b);
    if (bytes == 8) {
        high = ir_op2(t->unit, is_signed ? IR_OP_mulhs : IR_OP_mulhu, IR_I64, a, b);
        product = ir_op2(t->unit, IR_OP_mul, IR_I64, a, b);
        x86_set_reg64(t, X86_RAX, product);
        x86_set_reg64(t, X86_RDX, high);
        return;
    }
    a = is_signed ? x86_sext(t, bytes, a) : x86_zext(t, bytes, a);
    b = is_signed ? x86_sext(t, bytes, b) : x86_zext(t, bytes, b);
    product = ir_op2(t->unit, IR_OP_mul, IR_I64, a, b);
    if (bytes == 1) {
        x86_set_reg(t, X86_RAX, 2, product);
        return;
    }
    high = ir_op2i(t->unit, IR_OP_shr, IR_I64, product, 8 * (int64_t)bytes);
    x86_set_reg(t, X86_RAX, bytes, x86_from64(t, bytes, product));
    x86_set_reg(t, X86_RDX, bytes, x86_from64(t, bytes, high));
}

X86(mul, "F6 /4", "Eb")
X86(mul, "F7 /4", "Ev")
void x86_mul(X86Translator *t)
{
    multiply_accumulator(t, false);
}

X86(imul_accumulator, "F6 /5", "Eb")
X86(imul_accumulator, "F7 /5", "Ev")
void x86_imul_accumulator(X86Translator *t)
{
    multiply_accumulator(t, true);
}

static void multiply(X86Translator *t, IrRef a, IrRef b)
{
    unsigned bytes = x86_bytes(t, 0);

    set_multiply_flags(t, bytes, 0, a, b);
    x86_write(t, 0, ir_op2(t->unit, IR_OP_mul, x86_type(bytes), a, b));
}

X86(imul, "0F AF /r", "Gv Ev")
void x86_imul(X86Translator *t)
{
    multiply(t, x86_read(t, 0), x86_read(t, 1));
}

X86(imul_immediate, "69 /r", "Gv Ev Iz")
X86(imul_immediate, "6B /r", "Gv Ev Ibs")
void x86_imul_immediate(X86Translator *t)
{
    IrRef a = x86_read(t, 1);

    multiply(t, a, x86_const(t, x86_bytes(t, 0), t->insn.operands[2].imm));
}

X86(mulx, "VEX.LZ.F2.0F38 F6 /r", "Gy By Ey", "BMI2")
void x86_mulx(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 0);
    IrRef b = x86_read_zext(t, 2), a = x86_zext(t, bytes, x86_get_reg(t, X86_RDX, bytes));
    IrRef low = ir_op2(t->unit, IR_OP_mul, IR_I64, a, b);
    IrRef high = bytes == 8 ? ir_op2(t->unit, IR_OP_mulhu, IR_I64, a, b)
                            : ir_op2i(t->unit, IR_OP_shr, IR_I64, low, 32);

    /* The high half wins when both go to one register. */
    x86_write(t, 1, x86_from64(t, bytes, low));
    x86_write(t, 0, x86_from64(t, bytes, high));
}

/* Division. */

static void helper_divide_error(TcgState *env, uint64_t a, uint64_t b)
{
    x86_fault(x86_cpu_of_env(env), X86_DE, 0);
}
X86_HELPER(divide_error, IR_VOID, X86_HELPER_FAULTING, IR_I64, IR_I64);

static void raise_if(X86Translator *t, IrCond cond, IrRef flags)
{
    IrRef zero = ir_const(t->unit, IR_I64, 0);

    x86_call_if(t, cond, flags, &call_divide_error, zero, zero);
}

/* The 128-bit dividends of 64-bit divisions. */
static void divide_unsigned(X86Cpu *cpu, uint64_t divisor)
{
    unsigned __int128 dividend = (unsigned __int128)cpu->gpr[X86_RDX] << 64 | cpu->gpr[X86_RAX];

    if (cpu->gpr[X86_RDX] >= divisor) {
        x86_fault(cpu, X86_DE, 0);
    }
    cpu->gpr[X86_RAX] = (uint64_t)(dividend / divisor);
    cpu->gpr[X86_RDX] = (uint64_t)(dividend % divisor);
}

static void divide_signed(X86Cpu *cpu, uint64_t divisor)
{
    __int128 dividend = (__int128)((unsigned __int128)cpu->gpr[X86_RDX] << 64 | cpu->gpr[X86_RAX]);
    __int128 least = (__int128)((unsigned __int128)1 << 127), quotient;

    if (divisor == 0 || (divisor == UINT64_MAX && dividend == least)) {
        x86_fault(cpu, X86_DE, 0);
    }
    quotient = dividend / (int64_t)divisor;
    if (quotient != (int64_t)quotient) {
        x86_fault(cpu, X86_DE, 0);
    }
    cpu->gpr[X86_RAX] = (uint64_t)quotient;
    cpu->gpr[X86_RDX] = (uint64_t)(dividend % (int64_t)divisor);
}

/* The whole of a division that is not simple, or its fault; leaves the unit. what: length | WIDE_SIGNED */
enum { WIDE_SIGNED = 16 };

static void helper_divide_wide(TcgState *env, uint64_t divisor, uint32_t what)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    if (what & WIDE_SIGNED) {
        divide_signed(cpu, divisor);
    } else {
        divide_unsigned(cpu, divisor);
    }
    x86_set_eip(cpu, x86_eip(cpu) + (what & 15));
    tcg_insn_done(env);
    tcg_unwind(env);
}
X86_HELPER(divide_wide, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I32);

/* RDX is nearly always the extension of RAX: then the division is one of 64 bits. */
static void divide64(X86Translator *t, bool is_signed)
{
    IrRef d = x86_read(t, 0), low = x86_get_reg64(t, X86_RAX), high = x86_get_reg64(t, X86_RDX);
    IrRef extension =
        is_signed ? ir_op2i(t->unit, IR_OP_sar, IR_I64, low, 63) : ir_const(t->unit, IR_I64, 0);
    IrRef what = x86_const(t, 4, t->insn.length | (is_signed ? WIDE_SIGNED : 0)), quotient;

    x86_call_if(t, IR_NE, ir_flags(t->unit, IR_OP_subf, IR_I64, 3, IR_BORROW, high, extension, 0),
                &call_divide_wide, d, what);
    x86_call_if(t, IR_EQ, ir_flags(t->unit, IR_OP_andf, IR_I64, 3, 0, d, d, 0), &call_divide_wide,
                d, what);
    if (is_signed) {
        /* The least value by -1 */
        x86_call_if(t, IR_EQ,
                    ir_flags(t->unit, IR_OP_subf, IR_I64, 3, IR_BORROW, d,
                             ir_const(t->unit, IR_I64, -1), 0),
                    &call_divide_wide, d, what);
    }
    quotient = ir_op2(t->unit, is_signed ? IR_OP_divs : IR_OP_divu, IR_I64, low, d);
    x86_set_reg64(t, X86_RAX, quotient);
    x86_set_reg64(
        t, X86_RDX,
        ir_op2(t->unit, IR_OP_sub, IR_I64, low, ir_op2(t->unit, IR_OP_mul, IR_I64, quotient, d)));
}

/* rDX:rAX as i64, of an operand of up to 4 bytes. */
static IrRef dividend_of(X86Translator *t, unsigned bytes, bool is_signed)
{
    IrRef low = x86_get_reg64(t, X86_RAX), high = x86_get_reg64(t, X86_RDX), both;

    if (bytes == 1) {
        return is_signed ? x86_sext(t, 2, low) : x86_zext(t, 2, low);
    }
    both = ir_bitfield(t->unit, IR_OP_bfi, IR_I64, low, high, 8 * bytes, 64 - 8 * bytes);
    if (bytes == 2) {
        return ir_extend(t->unit, is_signed ? IR_OP_sext : IR_OP_zext, IR_I64, 2, both);
    }
    return both;
}

static void divide(X86Translator *t, bool is_signed)
{
    unsigned bytes = x86_bytes(t, 0);
    IrRef d, n, quotient, remainder, test;

    if (bytes == 8) {
        divide64(t, is_signed);
        return;
    }
    d = is_signed ? x86_read_sext(t, 0) : x86_read_zext(t, 0);
    n = dividend_of(t, bytes, is_signed);
    raise_if(t, IR_EQ, ir_flags(t->unit, IR_OP_andf, IR_I64, 3, 0, d, d, 0));
    quotient = ir_op2(t->unit, is_signed ? IR_OP_divs : IR_OP_divu, IR_I64, n, d);
    test = is_signed ? x86_sext(t, bytes, x86_from64(t, bytes, quotient))
                     : x86_zext(t, bytes, x86_from64(t, bytes, quotient));
    raise_if(t, IR_NE, ir_flags(t->unit, IR_OP_subf, IR_I64, 3, IR_BORROW, quotient, test, 0));
    remainder =
        ir_op2(t->unit, IR_OP_sub, IR_I64, n, ir_op2(t->unit, IR_OP_mul, IR_I64, quotient, d));
    if (bytes == 1) {
        x86_set_reg(t, X86_RAX, 2,
                    ir_bitfield(t->unit, IR_OP_bfi, IR_I64, quotient, remainder, 8, 8));
        return;
    }
    x86_set_reg(t, X86_RAX, bytes, x86_from64(t, bytes, quotient));
    x86_set_reg(t, X86_RDX, bytes, x86_from64(t, bytes, remainder));
}

X86(div, "F6 /6", "Eb")
X86(div, "F7 /6", "Ev")
void x86_div(X86Translator *t)
{
    divide(t, false);
}

X86(idiv, "F6 /7", "Eb")
X86(idiv, "F7 /7", "Ev")
void x86_idiv(X86Translator *t)
{
    divide(t, true);
}

/* Decimal adjustment (SDM 2, DAA, DAS, AAA, AAS, AAM, AAD). Undefined flags are those of the last addition. */
enum { DECIMAL_DAA, DECIMAL_DAS, DECIMAL_AAA, DECIMAL_AAS, DECIMAL_AAM, DECIMAL_AAD };

static uint32_t logic_flags(uint8_t result)
{
    uint64_t args[4] = { result, result };

    return tcg_flags_to_eflags(ir_compute_flags(IR_OP_andf, 0, 0, args));
}

static uint8_t adjust_packed(uint8_t al, uint32_t *flags, bool subtract)
{
    uint32_t carry = *flags & EFLAGS_CF, out = 0;
    uint8_t correction = 0;

    if ((al & 15) > 9 || (*flags & EFLAGS_AF)) {
        correction = 6;
        out |= EFLAGS_AF;
        out |= carry | (subtract && al < 6 ? EFLAGS_CF : 0);
    }
    if (al > 0x99 || carry) {
        correction += 0x60;
        out |= EFLAGS_CF;
    }
    al = subtract ? al - correction : al + correction;
    *flags = out | logic_flags(al);
    return al;
}

static uint16_t adjust_unpacked(uint16_t ax, uint32_t *flags, bool subtract)
{
    uint32_t out = 0;

    if ((ax & 15) > 9 || (*flags & EFLAGS_AF)) {
        ax = subtract ? ax - 0x106 : ax + 0x106;
        out = EFLAGS_AF | EFLAGS_CF;
    }
    ax &= 0xff0f;
    *flags = out | logic_flags((uint8_t)ax);
    return ax;
}

static void helper_decimal(TcgState *env, uint32_t what, uint32_t base)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint32_t flags = tcg_flags_to_eflags(cpu->flags);
    uint16_t ax = (uint16_t)cpu->gpr[X86_RAX];
    uint8_t al = (uint8_t)ax, ah = (uint8_t)(ax >> 8);

    switch (what) {
    case DECIMAL_DAA:
    case DECIMAL_DAS:
        ax = (uint16_t)(ah << 8 | adjust_packed(al, &flags, what == DECIMAL_DAS));
        break;
    case DECIMAL_AAA:
    case DECIMAL_AAS:
        ax = adjust_unpacked(ax, &flags, what == DECIMAL_AAS);
        break;
    case DECIMAL_AAM:
        if (base == 0) {
            x86_fault(cpu, X86_DE, 0);
        }
        ax = (uint16_t)(al / base << 8 | al % base);
        flags = logic_flags((uint8_t)ax);
        break;
    default:
        ax = (uint8_t)(al + ah * base);
        flags = logic_flags((uint8_t)ax);
    }
    cpu->gpr[X86_RAX] = (cpu->gpr[X86_RAX] & ~UINT64_C(0xffff)) | ax;
    cpu->flags = tcg_flags_from_eflags(flags);
}
X86_HELPER(decimal, IR_VOID, X86_HELPER_SYSTEM, IR_I32, IR_I32);

static void decimal(X86Translator *t, unsigned what, int64_t base)
{
    x86_call(t, &call_decimal, x86_const(t, 4, what), x86_const(t, 4, base), 0, 0);
}

X86(daa, "27", "", "i64")
void x86_daa(X86Translator *t)
{
    decimal(t, DECIMAL_DAA, 0);
}

X86(das, "2F", "", "i64")
void x86_das(X86Translator *t)
{
    decimal(t, DECIMAL_DAS, 0);
}

X86(aaa, "37", "", "i64")
void x86_aaa(X86Translator *t)
{
    decimal(t, DECIMAL_AAA, 0);
}

X86(aas, "3F", "", "i64")
void x86_aas(X86Translator *t)
{
    decimal(t, DECIMAL_AAS, 0);
}

X86(aam, "D4", "Ib", "i64")
void x86_aam(X86Translator *t)
{
    decimal(t, DECIMAL_AAM, t->insn.operands[0].imm);
}

X86(aad, "D5", "Ib", "i64")
void x86_aad(X86Translator *t)
{
    decimal(t, DECIMAL_AAD, t->insn.operands[0].imm);
}
