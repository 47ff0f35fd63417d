/* SPDX-License-Identifier: MIT */
/* Arithmetic and logic of general registers and memory (APM 3, chapter 3). */
#include "accel/tcg/ir/flags.h"
#include "target/i386/translate.h"

/* An operation with two operands: its value op, its flags op, what else it needs. */
typedef struct {
    IrOpcode value, flags;
    bool carry; /* takes CF */
    uint8_t sub;
    uint8_t amo; /* for LOCK: IrAmo, or NO_AMO */
} Arithmetic;
enum { NO_AMO = 0xff };

static IrRef flags_of(X86Translator *t, const Arithmetic *op, unsigned bytes, IrRef a, IrRef b,
                      IrRef old)
{
    return ir_flags(t->unit, op->flags, x86_type(bytes), x86_log2(bytes), op->sub, a, b, old);
}

static IrRef value_of(X86Translator *t, const Arithmetic *op, unsigned bytes, IrRef a, IrRef b,
                      IrRef old)
{
    /* Only with carry does the value depend on the sense of C. */
    return ir_sized(t->unit, op->value, x86_type(bytes), x86_log2(bytes), op->carry ? op->sub : 0,
                    a, b, old);
}

/* The logical operations' flags come from their result. */
static bool is_logical(const Arithmetic *op)
{
    return op->flags == IR_OP_andf;
}

static IrRef flags_after(X86Translator *t, const Arithmetic *op, unsigned bytes, IrRef a, IrRef b,
                         IrRef old, IrRef value)
{
    if (is_logical(op) && op->value != IR_OP_and) {
        return flags_of(t, op, bytes, value, value, 0);
    }
    return flags_of(t, op, bytes, a, b, old);
}

static IrRef emit_amo(X86Translator *t, unsigned amo, unsigned bytes, IrRef value)
{
    return ir_emit(t->unit, (IrOp){ .opcode = IR_OP_amo,
                                    .type = (uint8_t)x86_type(bytes),
                                    .esz = (uint8_t)x86_log2(bytes),
                                    .sub = (uint16_t)x86_update_flags(t),
                                    .args = { x86_address(t, bytes, true), value },
                                    .imm = t->address_imm,
                                    .aux = amo });
}

/* Operations for which hosts have no atomic form: a compare-and-swap loop. */
enum { LOCK_ADC, LOCK_SBB, LOCK_NEG, LOCK_NOT, LOCK_BTS, LOCK_BTR, LOCK_BTC };

static uint64_t lock_compute(unsigned what, uint64_t old, uint64_t operand)
{
    switch (what) {
    case LOCK_ADC:
        return old + operand;
    case LOCK_SBB:
        return old - operand;
    case LOCK_NEG:
        return -old;
    case LOCK_NOT:
        return ~old;
    case LOCK_BTS:
        return old | operand;
    case LOCK_BTR:
        return old & ~operand;
    default:
        return old ^ operand;
    }
}

uint64_t x86_compare_and_swap(void *place, unsigned size, uint64_t expected, uint64_t wanted)
{
    uint8_t expected8 = (uint8_t)expected;
    uint16_t expected16 = (uint16_t)expected;
    uint32_t expected32 = (uint32_t)expected;

#define SWAP(type, variable)                                                                       \
    (__atomic_compare_exchange_n((type *)place, &(variable), (type)wanted, false,                  \
                                 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST),                              \
     (variable))
    switch (size) {
    case 1:
        return SWAP(uint8_t, expected8);
    case 2:
        return SWAP(uint16_t, expected16);
    case 4:
        return SWAP(uint32_t, expected32);
    default:
        return SWAP(uint64_t, expected);
    }
#undef SWAP
}

/* what: operation | log2 of bytes << 8 | IR_MEM_* << 16. Returns the old value. */
static uint64_t helper_lock(TcgState *env, uint64_t address, uint64_t operand, uint32_t what)
{
    unsigned size = 1u << (what >> 8 & 3);
    void *place = tcg_atomic_begin(env, address, size, what >> 16);
    uint64_t old = 0, wanted, seen;

    memcpy(&old, place, size);
    while (wanted = lock_compute(what & 0xff, old, operand),
           seen = x86_compare_and_swap(place, size, old, wanted), seen != old) {
        old = seen;
    }
    tcg_atomic_end(env);
    return old;
}
X86_HELPER(lock, IR_I64, X86_HELPER_FAULTING, IR_I64, IR_I64, IR_I32);

static IrRef emit_lock(X86Translator *t, unsigned what, unsigned bytes, IrRef operand)
{
    IrRef address = x86_address(t, bytes, true);
    unsigned code = what | x86_log2(bytes) << 8 | x86_update_flags(t) << 16;

    if (t->address_imm) {
        address = ir_op2i(t->unit, IR_OP_add, IR_I64, address, t->address_imm);
    }
    return x86_from64(
        t, bytes,
        x86_call(t, &call_lock, address, x86_zext(t, bytes, operand), x86_const(t, 4, code), 0));
}

static IrRef emit_locked(X86Translator *t, const Arithmetic *op, unsigned bytes, IrRef b, IrRef old)
{
    IrRef operand = b;

    if (op->carry) {
        operand = ir_op2(t->unit, IR_OP_add, x86_type(bytes), b,
                         ir_cset(t->unit, x86_type(bytes), IR_CS, old));
        return emit_lock(t, op->sub & IR_BORROW ? LOCK_SBB : LOCK_ADC, bytes, operand);
    }
    if (op->value == IR_OP_sub) {
        operand = ir_op1(t->unit, IR_OP_neg, x86_type(bytes), b);
    } else if (op->value == IR_OP_and) {
        operand = ir_op1(t->unit, IR_OP_not, x86_type(bytes), b);
    }
    return emit_amo(t, op->amo, bytes, operand);
}

static void arithmetic(X86Translator *t, const Arithmetic *op)
{
    unsigned bytes = x86_bytes(t, 0);
    IrRef old = op->carry ? x86_get_flags(t) : 0;
    IrRef a, b = x86_read(t, 1), value, flags;

    if (t->insn.lock) {
        a = emit_locked(t, op, bytes, b, old);
        value = value_of(t, op, bytes, a, b, old);
        x86_set_flags(t, flags_after(t, op, bytes, a, b, old, value));
        return;
    }
    a = x86_begin_update(t);
    value = value_of(t, op, bytes, a, b, old);
    flags = flags_after(t, op, bytes, a, b, old, value);
    x86_end_update(t, value);
    x86_set_flags(t, flags);
}

/* An idiom for 0, whatever the register held. */
static bool is_zeroing(X86Translator *t)
{
    const X86Operand *o = t->insn.operands;

    return !o[0].memory && !o[1].memory && o[1].kind != X86_OPERAND_I && o[0].reg == o[1].reg &&
           o[0].bytes >= 4;
}

static bool zeroing(X86Translator *t)
{
    if (!is_zeroing(t)) {
        return false;
    }
    x86_set_reg64(t, t->insn.operands[0].reg, ir_const(t->unit, IR_I64, 0));
    x86_set_flags(t, ir_fconst_x86(t->unit, EFLAGS_ZF | EFLAGS_PF));
    return true;
}

X86(add, "00 /r", "Eb Gb", "LOCK")
X86(add, "01 /r", "Ev Gv", "LOCK")
X86(add, "02 /r", "Gb Eb")
X86(add, "03 /r", "Gv Ev")
X86(add, "04", "AL Ib")
X86(add, "05", "rAX Iz")
X86(add, "80 /0", "Eb Ib", "LOCK")
X86(add, "81 /0", "Ev Iz", "LOCK")
X86(add, "82 /0", "Eb Ib", "LOCK i64")
X86(add, "83 /0", "Ev Ibs", "LOCK")
void x86_add(X86Translator *t)
{
    arithmetic(t, &(Arithmetic){ IR_OP_add, IR_OP_addf, false, 0, IR_AMO_ADD });
}

X86(or, "08 /r", "Eb Gb", "LOCK")
X86(or, "09 /r", "Ev Gv", "LOCK")
X86(or, "0A /r", "Gb Eb")
X86(or, "0B /r", "Gv Ev")
X86(or, "0C", "AL Ib")
X86(or, "0D", "rAX Iz")
X86(or, "80 /1", "Eb Ib", "LOCK")
X86(or, "81 /1", "Ev Iz", "LOCK")
X86(or, "82 /1", "Eb Ib", "LOCK i64")
X86(or, "83 /1", "Ev Ibs", "LOCK")
void x86_or(X86Translator *t)
{
    arithmetic(t, &(Arithmetic){ IR_OP_or, IR_OP_andf, false, 0, IR_AMO_SET });
}

X86(adc, "10 /r", "Eb Gb", "LOCK")
X86(adc, "11 /r", "Ev Gv", "LOCK")
X86(adc, "12 /r", "Gb Eb")
X86(adc, "13 /r", "Gv Ev")
X86(adc, "14", "AL Ib")
X86(adc, "15", "rAX Iz")
X86(adc, "80 /2", "Eb Ib", "LOCK")
X86(adc, "81 /2", "Ev Iz", "LOCK")
X86(adc, "82 /2", "Eb Ib", "LOCK i64")
X86(adc, "83 /2", "Ev Ibs", "LOCK")
void x86_adc(X86Translator *t)
{
    arithmetic(t, &(Arithmetic){ IR_OP_adc, IR_OP_adcf, true, 0, NO_AMO });
}

X86(sbb, "18 /r", "Eb Gb", "LOCK")
X86(sbb, "19 /r", "Ev Gv", "LOCK")
X86(sbb, "1A /r", "Gb Eb")
X86(sbb, "1B /r", "Gv Ev")
X86(sbb, "1C", "AL Ib")
X86(sbb, "1D", "rAX Iz")
X86(sbb, "80 /3", "Eb Ib", "LOCK")
X86(sbb, "81 /3", "Ev Iz", "LOCK")
X86(sbb, "82 /3", "Eb Ib", "LOCK i64")
X86(sbb, "83 /3", "Ev Ibs", "LOCK")
void x86_sbb(X86Translator *t)
{
    arithmetic(t, &(Arithmetic){ IR_OP_sbc, IR_OP_sbcf, true, IR_BORROW, NO_AMO });
}

X86(and, "20 /r", "Eb Gb", "LOCK")
X86(and, "21 /r", "Ev Gv", "LOCK")
X86(and, "22 /r", "Gb Eb")
X86(and, "23 /r", "Gv Ev")
X86(and, "24", "AL Ib")
X86(and, "25", "rAX Iz")
X86(and, "80 /4", "Eb Ib", "LOCK")
X86(and, "81 /4", "Ev Iz", "LOCK")
X86(and, "82 /4", "Eb Ib", "LOCK i64")
X86(and, "83 /4", "Ev Ibs", "LOCK")
void x86_and(X86Translator *t)
{
    arithmetic(t, &(Arithmetic){ IR_OP_and, IR_OP_andf, false, 0, IR_AMO_CLR });
}

X86(sub, "28 /r", "Eb Gb", "LOCK")
X86(sub, "29 /r", "Ev Gv", "LOCK")
X86(sub, "2A /r", "Gb Eb")
X86(sub, "2B /r", "Gv Ev")
X86(sub, "2C", "AL Ib")
X86(sub, "2D", "rAX Iz")
X86(sub, "80 /5", "Eb Ib", "LOCK")
X86(sub, "81 /5", "Ev Iz", "LOCK")
X86(sub, "82 /5", "Eb Ib", "LOCK i64")
X86(sub, "83 /5", "Ev Ibs", "LOCK")
void x86_sub(X86Translator *t)
{
    if (!zeroing(t)) {
        arithmetic(t, &(Arithmetic){ IR_OP_sub, IR_OP_subf, false, IR_BORROW, IR_AMO_ADD });
    }
}

X86(xor, "30 /r", "Eb Gb", "LOCK")
X86(xor, "31 /r", "Ev Gv", "LOCK")
X86(xor, "32 /r", "Gb Eb")
X86(xor, "33 /r", "Gv Ev")
X86(xor, "34", "AL Ib")
X86(xor, "35", "rAX Iz")
X86(xor, "80 /6", "Eb Ib", "LOCK")
X86(xor, "81 /6", "Ev Iz", "LOCK")
X86(xor, "82 /6", "Eb Ib", "LOCK i64")
X86(xor, "83 /6", "Ev Ibs", "LOCK")
void x86_xor(X86Translator *t)
{
    if (!zeroing(t)) {
        arithmetic(t, &(Arithmetic){ IR_OP_xor, IR_OP_andf, false, 0, IR_AMO_EOR });
    }
}

static void compare(X86Translator *t, IrOpcode opcode, unsigned sub)
{
    unsigned bytes = x86_bytes(t, 0);
    IrRef a = x86_read(t, 0), b = x86_read(t, 1);

    x86_set_flags(t, ir_flags(t->unit, opcode, x86_type(bytes), x86_log2(bytes), sub, a, b, 0));
}

X86(cmp, "38 /r", "Eb Gb")
X86(cmp, "39 /r", "Ev Gv")
X86(cmp, "3A /r", "Gb Eb")
X86(cmp, "3B /r", "Gv Ev")
X86(cmp, "3C", "AL Ib")
X86(cmp, "3D", "rAX Iz")
X86(cmp, "80 /7", "Eb Ib")
X86(cmp, "81 /7", "Ev Iz")
X86(cmp, "82 /7", "Eb Ib", "i64")
X86(cmp, "83 /7", "Ev Ibs")
void x86_cmp(X86Translator *t)
{
    compare(t, IR_OP_subf, IR_BORROW);
}

X86(test, "84 /r", "Eb Gb")
X86(test, "85 /r", "Ev Gv")
X86(test, "A8", "AL Ib")
X86(test, "A9", "rAX Iz")
X86(test, "F6 /0", "Eb Ib")
X86(test, "F6 /1", "Eb Ib")
X86(test, "F7 /0", "Ev Iz")
X86(test, "F7 /1", "Ev Iz")
void x86_test(X86Translator *t)
{
    compare(t, IR_OP_andf, 0);
}

/* INC and DEC keep CF. */
static void step(X86Translator *t, IrOpcode value, IrOpcode flags, unsigned sub, int64_t by)
{
    unsigned bytes = x86_bytes(t, 0), size = x86_log2(bytes);
    IrType type = x86_type(bytes);
    IrRef one = x86_const(t, bytes, 1), old = x86_get_flags(t), a, f;

    if (t->insn.lock) {
        a = emit_amo(t, IR_AMO_ADD, bytes, x86_const(t, bytes, by));
        f = ir_flags(t->unit, flags, type, size, sub, a, one, 0);
    } else {
        a = x86_begin_update(t);
        f = ir_flags(t->unit, flags, type, size, sub, a, one, 0);
        x86_end_update(t, ir_sized(t->unit, value, type, size, 0, a, one, 0));
    }
    x86_set_flags(t, ir_fmerge(t->unit, old, f, TCG_FLAGS_ALL & ~TCG_FLAG_C));
}

X86(inc, "40 +r", "Zv", "i64")
X86(inc, "FE /0", "Eb", "LOCK")
X86(inc, "FF /0", "Ev", "LOCK")
void x86_inc(X86Translator *t)
{
    step(t, IR_OP_add, IR_OP_addf, 0, 1);
}

X86(dec, "48 +r", "Zv", "i64")
X86(dec, "FE /1", "Eb", "LOCK")
X86(dec, "FF /1", "Ev", "LOCK")
void x86_dec(X86Translator *t)
{
    step(t, IR_OP_sub, IR_OP_subf, IR_BORROW, -1);
}

X86(neg, "F6 /3", "Eb", "LOCK")
X86(neg, "F7 /3", "Ev", "LOCK")
void x86_neg(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 0), size = x86_log2(bytes);
    IrType type = x86_type(bytes);
    IrRef a =
        t->insn.lock ? emit_lock(t, LOCK_NEG, bytes, x86_const(t, bytes, 0)) : x86_begin_update(t);
    IrRef flags = ir_flags(t->unit, IR_OP_negf, type, size, 0, a, 0, 0);

    if (!t->insn.lock) {
        x86_end_update(t, ir_sized(t->unit, IR_OP_neg, type, size, 0, a, 0, 0));
    }
    x86_set_flags(t, flags);
}

X86(not, "F6 /2", "Eb", "LOCK")
X86(not, "F7 /2", "Ev", "LOCK")
void x86_not(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 0);

    if (t->insn.lock) {
        emit_lock(t, LOCK_NOT, bytes, x86_const(t, bytes, 0));
        return;
    }
    x86_end_update(t, ir_sized(t->unit, IR_OP_not, x86_type(bytes), x86_log2(bytes), 0,
                               x86_begin_update(t), 0, 0));
}

X86(xadd, "0F C0 /r", "Eb Gb", "LOCK")
X86(xadd, "0F C1 /r", "Ev Gv", "LOCK")
void x86_xadd(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 0), size = x86_log2(bytes);
    IrType type = x86_type(bytes);
    IrRef b = x86_read(t, 1);
    IrRef a = t->insn.lock ? emit_amo(t, IR_AMO_ADD, bytes, b) : x86_begin_update(t);
    IrRef flags = ir_flags(t->unit, IR_OP_addf, type, size, 0, a, b, 0);
    IrRef sum = ir_sized(t->unit, IR_OP_add, type, size, 0, a, b, 0);

    /* The source is written first: XADD r, r of one register leaves the sum. */
    if (t->insn.operands[0].memory) {
        if (!t->insn.lock) {
            x86_write(t, 0, sum);
        }
        x86_write(t, 1, a);
    } else {
        x86_write(t, 1, a);
        x86_write(t, 0, sum);
    }
    x86_set_flags(t, flags);
}

X86(xchg, "86 /r", "Eb Gb", "LOCK")
X86(xchg, "87 /r", "Ev Gv", "LOCK")
void x86_xchg(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 0);
    IrRef b = x86_read(t, 1);

    if (t->insn.operands[0].memory) {
        x86_write(t, 1, emit_amo(t, IR_AMO_SWP, bytes, b));
    } else {
        IrRef a = x86_read(t, 0);

        x86_write(t, 0, b);
        x86_write(t, 1, a);
    }
}

static void exchange_rax(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 0);
    IrRef a = x86_read(t, 0), b = x86_get_reg(t, X86_RAX, bytes);

    x86_write(t, 0, b);
    x86_set_reg(t, X86_RAX, bytes, a);
}

X86(xchg_rax, "90 +r", "Zv")
void x86_xchg_rax(X86Translator *t)
{
    /* 90 is NOP, and so keeps the upper half; 41 90 is XCHG r8. PAUSE is F3 90. */
    if (t->insn.operands[0].reg == X86_RAX) {
        if (t->insn.rep == 0xf3) {
            x86_pause(t);
        }
        return;
    }
    exchange_rax(t);
}

X86(cmpxchg, "0F B0 /r", "Eb Gb", "LOCK")
X86(cmpxchg, "0F B1 /r", "Ev Gv", "LOCK")
void x86_cmpxchg(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 0), size = x86_log2(bytes);
    IrType type = x86_type(bytes);
    IrRef accumulator = x86_get_reg(t, X86_RAX, bytes), source = x86_read(t, 1), old, flags;

    if (t->insn.operands[0].memory) {
        /* Without LOCK, too: nobody can tell. */
        old = ir_emit(t->unit, (IrOp){ .opcode = IR_OP_cas,
                                       .type = (uint8_t)type,
                                       .esz = (uint8_t)size,
                                       .sub = (uint16_t)x86_update_flags(t),
                                       .args = { x86_address(t, bytes, true), accumulator, source },
                                       .imm = t->address_imm });
        flags = ir_flags(t->unit, IR_OP_subf, type, size, IR_BORROW, accumulator, old, 0);
    } else {
        old = x86_read(t, 0);
        flags = ir_flags(t->unit, IR_OP_subf, type, size, IR_BORROW, accumulator, old, 0);
        if (bytes >= 4) {
            /* Without a match, the upper half of the register stays, too. */
            unsigned reg = t->insn.operands[0].reg;

            x86_set_reg64(t, reg,
                          ir_sel(t->unit, IR_I64, IR_EQ, flags, x86_zext(t, bytes, source),
                                 x86_get_reg64(t, reg)));
        } else {
            x86_write(t, 0, ir_sel(t->unit, type, IR_EQ, flags, source, old));
        }
    }
    /* The accumulator is written only when it differs: a 32-bit one keeps its upper half. */
    x86_set_reg64(t, X86_RAX,
                  ir_sel(t->unit, IR_I64, IR_EQ, flags, x86_get_reg64(t, X86_RAX),
                         bytes >= 4 ? x86_zext(t, bytes, old)
                                    : ir_bitfield(t->unit, IR_OP_bfi, IR_I64,
                                                  x86_get_reg64(t, X86_RAX), old, 0, 8 * bytes)));
    x86_set_flags(t, flags);
}
