/* SPDX-License-Identifier: MIT */
/* Shifts and rotates. Counts are modulo 32, or 64 with 64-bit operands; a count of 0 changes nothing, not even flags. */
#include "target/i386/translate.h"

typedef struct {
    IrOpcode value, flags;
    bool carry;  /* rotates through CF */
    bool rotate; /* keeps SF ZF AF PF */
} Shift;

/* A constant count after masking, or -1. */
static int constant_count(const X86Translator *t, unsigned n)
{
    const X86Operand *o = &t->insn.operands[n];
    bool constant = o->kind == X86_OPERAND_I || o->kind == X86_OPERAND_ONE;

    return constant ? (int)(o->imm & (x86_bytes(t, 0) == 8 ? 63 : 31)) : -1;
}

/* The count as the type of the first operand, masked. */
static IrRef count_value(X86Translator *t, unsigned n)
{
    unsigned bytes = x86_bytes(t, 0);
    IrRef count = x86_get_reg64(t, X86_RCX);

    if (constant_count(t, n) >= 0) {
        return x86_const(t, bytes, constant_count(t, n));
    }
    count = ir_op2i(t->unit, IR_OP_and, IR_I64, count, bytes == 8 ? 63 : 31);
    return x86_from64(t, bytes, count);
}

static void shift(X86Translator *t, const Shift *op)
{
    unsigned bytes = x86_bytes(t, 0), size = x86_log2(bytes);
    IrType type = x86_type(bytes);
    int constant = constant_count(t, 1);
    bool needs_old = constant < 0 || op->carry || op->rotate;
    IrRef a, count, value, flags, old;

    a = x86_begin_update(t);
    if (constant == 0) {
        x86_end_update(t, a);
        return;
    }
    count = count_value(t, 1);
    old = needs_old ? x86_get_flags(t) : 0;
    flags = ir_flags(t->unit, op->flags, type, size, 0, a, count, old);
    value = ir_sized(t->unit, op->value, type, size, 0, a, count, op->carry ? old : 0);
    x86_end_update(t, value);
    x86_set_flags(t, flags);
}

X86(rol, "C0 /0", "Eb Ib")
X86(rol, "C1 /0", "Ev Ib")
X86(rol, "D0 /0", "Eb 1")
X86(rol, "D1 /0", "Ev 1")
X86(rol, "D2 /0", "Eb CL")
X86(rol, "D3 /0", "Ev CL")
void x86_rol(X86Translator *t)
{
    shift(t, &(Shift){ IR_OP_rol, IR_OP_rolf, false, true });
}

X86(ror, "C0 /1", "Eb Ib")
X86(ror, "C1 /1", "Ev Ib")
X86(ror, "D0 /1", "Eb 1")
X86(ror, "D1 /1", "Ev 1")
X86(ror, "D2 /1", "Eb CL")
X86(ror, "D3 /1", "Ev CL")
void x86_ror(X86Translator *t)
{
    shift(t, &(Shift){ IR_OP_ror, IR_OP_rorf, false, true });
}

X86(rcl, "C0 /2", "Eb Ib")
X86(rcl, "C1 /2", "Ev Ib")
X86(rcl, "D0 /2", "Eb 1")
X86(rcl, "D1 /2", "Ev 1")
X86(rcl, "D2 /2", "Eb CL")
X86(rcl, "D3 /2", "Ev CL")
void x86_rcl(X86Translator *t)
{
    shift(t, &(Shift){ IR_OP_rcl, IR_OP_rclf, true, true });
}

X86(rcr, "C0 /3", "Eb Ib")
X86(rcr, "C1 /3", "Ev Ib")
X86(rcr, "D0 /3", "Eb 1")
X86(rcr, "D1 /3", "Ev 1")
X86(rcr, "D2 /3", "Eb CL")
X86(rcr, "D3 /3", "Ev CL")
void x86_rcr(X86Translator *t)
{
    shift(t, &(Shift){ IR_OP_rcr, IR_OP_rcrf, true, true });
}

X86(shl, "C0 /4", "Eb Ib")
X86(shl, "C1 /4", "Ev Ib")
X86(shl, "D0 /4", "Eb 1")
X86(shl, "D1 /4", "Ev 1")
X86(shl, "D2 /4", "Eb CL")
X86(shl, "D3 /4", "Ev CL")
X86(shl, "C0 /6", "Eb Ib")
X86(shl, "C1 /6", "Ev Ib")
X86(shl, "D0 /6", "Eb 1")
X86(shl, "D1 /6", "Ev 1")
X86(shl, "D2 /6", "Eb CL")
X86(shl, "D3 /6", "Ev CL")
void x86_shl(X86Translator *t)
{
    shift(t, &(Shift){ IR_OP_shl, IR_OP_shlf, false, false });
}

X86(shr, "C0 /5", "Eb Ib")
X86(shr, "C1 /5", "Ev Ib")
X86(shr, "D0 /5", "Eb 1")
X86(shr, "D1 /5", "Ev 1")
X86(shr, "D2 /5", "Eb CL")
X86(shr, "D3 /5", "Ev CL")
void x86_shr(X86Translator *t)
{
    shift(t, &(Shift){ IR_OP_shr, IR_OP_shrf, false, false });
}

X86(sar, "C0 /7", "Eb Ib")
X86(sar, "C1 /7", "Ev Ib")
X86(sar, "D0 /7", "Eb 1")
X86(sar, "D1 /7", "Ev 1")
X86(sar, "D2 /7", "Eb CL")
X86(sar, "D3 /7", "Ev CL")
void x86_sar(X86Translator *t)
{
    shift(t, &(Shift){ IR_OP_sar, IR_OP_sarf, false, false });
}

/* Counts above 16 of 16-bit operands are undefined: what the host does is done. */
static void double_shift(X86Translator *t, IrOpcode value, IrOpcode flags_opcode)
{
    unsigned bytes = x86_bytes(t, 0), size = x86_log2(bytes);
    IrType type = x86_type(bytes);
    int constant = constant_count(t, 2);
    IrRef a = x86_begin_update(t), b, count, flags, result;

    if (constant == 0) {
        x86_end_update(t, a);
        return;
    }
    b = x86_read(t, 1);
    count = count_value(t, 2);
    flags = ir_double_shift_flags(t->unit, flags_opcode, type, size, a, b, count,
                                  constant < 0 ? x86_get_flags(t) : 0);
    result = ir_sized(t->unit, value, type, size, 0, a, b, count);
    x86_end_update(t, result);
    x86_set_flags(t, flags);
}

X86(shld, "0F A4 /r", "Ev Gv Ib")
X86(shld, "0F A5 /r", "Ev Gv CL")
void x86_shld(X86Translator *t)
{
    double_shift(t, IR_OP_shld, IR_OP_shldf);
}

X86(shrd, "0F AC /r", "Ev Gv Ib")
X86(shrd, "0F AD /r", "Ev Gv CL")
void x86_shrd(X86Translator *t)
{
    double_shift(t, IR_OP_shrd, IR_OP_shrdf);
}

/* BMI2: no flags. */
static void shift_without_flags(X86Translator *t, IrOpcode opcode)
{
    unsigned bytes = x86_bytes(t, 0);
    IrRef a = x86_read(t, 1), count = x86_read(t, 2);

    x86_write(t, 0, ir_op2(t->unit, opcode, x86_type(bytes), a, count));
}

X86(shlx, "VEX.LZ.66.0F38 F7 /r", "Gy Ey By", "BMI2")
void x86_shlx(X86Translator *t)
{
    shift_without_flags(t, IR_OP_shl);
}

X86(shrx, "VEX.LZ.F2.0F38 F7 /r", "Gy Ey By", "BMI2")
void x86_shrx(X86Translator *t)
{
    shift_without_flags(t, IR_OP_shr);
}

X86(sarx, "VEX.LZ.F3.0F38 F7 /r", "Gy Ey By", "BMI2")
void x86_sarx(X86Translator *t)
{
    shift_without_flags(t, IR_OP_sar);
}

X86(rorx, "VEX.LZ.F2.0F3A F0 /r", "Gy Ey Ib", "BMI2")
void x86_rorx(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 0);
    int64_t count = t->insn.operands[2].imm & (8 * (int64_t)bytes - 1);

    x86_write(t, 0, ir_op2i(t->unit, IR_OP_ror, x86_type(bytes), x86_read(t, 1), count));
}
