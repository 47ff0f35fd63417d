/* SPDX-License-Identifier: MIT */
/* Bit tests, scans, counts, and BMI1, BMI2. */
#include "accel/tcg/ir/flags.h"
#include "target/i386/translate.h"

enum { BT_TEST, BT_SET, BT_RESET, BT_COMPLEMENT };

/* The bit within the operand as a mask of the operand's type, and its number. */
static IrRef bit_mask(X86Translator *t, unsigned bytes, IrRef number)
{
    IrType type = x86_type(bytes);

    return ir_op2(t->unit, IR_OP_shl, type, x86_const(t, bytes, 1), number);
}

static IrRef changed(X86Translator *t, unsigned what, unsigned bytes, IrRef value, IrRef mask)
{
    static const uint8_t opcodes[] = { IR_OP_nop, IR_OP_or, IR_OP_andn, IR_OP_xor };

    if (what == BT_RESET && bytes == 2) {
        mask = ir_op1(t->unit, IR_OP_not, IR_I64, mask);
        return ir_op2(t->unit, IR_OP_and, IR_I64, value, mask);
    }
    return ir_op2(t->unit, (IrOpcode)opcodes[what], x86_type(bytes), value, mask);
}

/* With a bit offset in a register, memory is a string of bits around the address: moves it there. */
static void move_address(X86Translator *t, unsigned bytes, IrRef offset)
{
    X86SegmentName segment = x86_segment(t);
    IrRef address = x86_effective_address(t);
    IrRef words =
        ir_op2i(t->unit, IR_OP_sar, IR_I64, x86_sext(t, bytes, offset), x86_log2(bytes) + 3);

    address = ir_op2(t->unit, IR_OP_add, IR_I64, address,
                     ir_op2i(t->unit, IR_OP_shl, IR_I64, words, x86_log2(bytes)));
    if (t->insn.address_bytes != 8) {
        address = x86_zext(t, t->insn.address_bytes, address);
    }
    t->address_imm = 0;
    t->address = x86_linear(t, segment, address, &t->address_imm, bytes, true);
    t->has_address = true;
}

static IrRef locked_bit(X86Translator *t, unsigned what, unsigned bytes, IrRef mask)
{
    static const uint8_t amos[] = { 0, IR_AMO_SET, IR_AMO_CLR, IR_AMO_EOR };

    return ir_emit(t->unit, (IrOp){ .opcode = IR_OP_amo,
                                    .type = (uint8_t)x86_type(bytes),
                                    .esz = (uint8_t)x86_log2(bytes),
                                    .sub = (uint16_t)x86_update_flags(t),
                                    .args = { x86_address(t, bytes, true), mask },
                                    .imm = t->address_imm,
                                    .aux = amos[what] });
}

static void bit_test(X86Translator *t, unsigned what)
{
    unsigned bytes = x86_bytes(t, 0), size = x86_log2(bytes);
    IrType type = x86_type(bytes);
    IrRef offset = x86_read(t, 1), number, value, flags, mask, old = x86_get_flags(t);

    number = ir_op2i(t->unit, IR_OP_and, type, offset, 8 * (int64_t)bytes - 1);
    if (t->insn.operands[0].memory && t->insn.operands[1].kind != X86_OPERAND_I) {
        move_address(t, bytes, offset);
    }
    mask = what == BT_TEST ? 0 : bit_mask(t, bytes, number);
    if (t->insn.lock) {
        value = locked_bit(t, what, bytes, mask);
    } else {
        value = what == BT_TEST ? x86_read(t, 0) : x86_begin_update(t);
    }
    flags = ir_flags(t->unit, IR_OP_btf, type, size, 0, value, number, 0);
    if (what != BT_TEST && !t->insn.lock) {
        x86_end_update(t, changed(t, what, bytes, value, mask));
    }
    x86_set_flags(t, ir_fmerge(t->unit, old, flags, TCG_FLAG_C));
}

X86(bt, "0F A3 /r", "Ev Gv")
X86(bt, "0F BA /4", "Ev Ib")
void x86_bt(X86Translator *t)
{
    bit_test(t, BT_TEST);
}

X86(bts, "0F AB /r", "Ev Gv", "LOCK")
X86(bts, "0F BA /5", "Ev Ib", "LOCK")
void x86_bts(X86Translator *t)
{
    bit_test(t, BT_SET);
}

X86(btr, "0F B3 /r", "Ev Gv", "LOCK")
X86(btr, "0F BA /6", "Ev Ib", "LOCK")
void x86_btr(X86Translator *t)
{
    bit_test(t, BT_RESET);
}

X86(btc, "0F BB /r", "Ev Gv", "LOCK")
X86(btc, "0F BA /7", "Ev Ib", "LOCK")
void x86_btc(X86Translator *t)
{
    bit_test(t, BT_COMPLEMENT);
}

/* The source with what lies above it cleared. */
static IrRef read_whole(X86Translator *t, unsigned n)
{
    unsigned bytes = x86_bytes(t, n);

    return bytes < 4 ? x86_read_zext(t, n) : x86_read(t, n);
}

/* BSF and BSR leave the destination as it is when the source is 0. Only ZF is defined, the others are kept. */
static void scan(X86Translator *t, bool reverse)
{
    unsigned bytes = x86_bytes(t, 0), size = x86_log2(bytes);
    IrType type = x86_type(bytes);
    IrRef source = read_whole(t, 1), old = x86_get_flags(t);
    IrRef whole = x86_get_reg64(t, t->insn.operands[0].reg);
    IrRef test = ir_flags(t->unit, IR_OP_andf, type, size, 0, source, source, 0), result;

    if (reverse) {
        result = ir_op1(t->unit, IR_OP_clz, type, source);
        result =
            ir_op2(t->unit, IR_OP_xor, type, result, x86_const(t, bytes, bytes == 4 ? 31 : 63));
    } else {
        result = ir_op1(t->unit, IR_OP_ctz, type, source);
    }
    result = bytes < 4 ? ir_bitfield(t->unit, IR_OP_bfi, IR_I64, whole, result, 0, 16)
                       : x86_zext(t, bytes, result);
    x86_set_reg64(t, t->insn.operands[0].reg, ir_sel(t->unit, IR_I64, IR_EQ, test, whole, result));
    x86_set_flags(t, ir_fmerge(t->unit, old, test, TCG_FLAG_Z));
}

X86(bsf, "0F BC /r", "Gv Ev")
void x86_bsf(X86Translator *t)
{
    scan(t, false);
}

X86(bsr, "0F BD /r", "Gv Ev")
void x86_bsr(X86Translator *t)
{
    scan(t, true);
}

/* A count of a 16-bit operand is that of the zero-extended one, less what is above. */
static void count(X86Translator *t, IrOpcode opcode, IrOpcode flags_opcode, unsigned mask)
{
    unsigned bytes = x86_bytes(t, 0), size = x86_log2(bytes);
    IrType type = x86_type(bytes);
    IrRef source = read_whole(t, 1), old = x86_get_flags(t);
    IrRef flags = ir_flags(t->unit, flags_opcode, type, size, 0, source, 0, 0), result;

    if (bytes == 2 && opcode == IR_OP_ctz) {
        result = ir_op2i(t->unit, IR_OP_or, IR_I64, source, 0x10000);
        result = ir_op1(t->unit, opcode, type, result);
    } else {
        result = ir_op1(t->unit, opcode, type, source);
        if (bytes == 2 && opcode == IR_OP_clz) {
            result = ir_op2i(t->unit, IR_OP_sub, IR_I64, result, 48);
        }
    }
    x86_write(t, 0, result);
    x86_set_flags(t, mask == TCG_FLAGS_ALL ? flags : ir_fmerge(t->unit, old, flags, mask));
}

X86(lzcnt, "F3 0F BD /r", "Gv Ev", "ABM PLAIN")
void x86_lzcnt(X86Translator *t)
{
    count(t, IR_OP_clz, IR_OP_lzcntf, TCG_FLAG_C | TCG_FLAG_Z);
}

X86(tzcnt, "F3 0F BC /r", "Gv Ev", "BMI1 PLAIN")
void x86_tzcnt(X86Translator *t)
{
    count(t, IR_OP_ctz, IR_OP_tzcntf, TCG_FLAG_C | TCG_FLAG_Z);
}

X86(popcnt, "F3 0F B8 /r", "Gv Ev", "POPCNT")
void x86_popcnt(X86Translator *t)
{
    count(t, IR_OP_popcnt, IR_OP_popcntf, TCG_FLAGS_ALL);
}

/* BMI1: flags of the result, CF as each says. */

X86(andn, "VEX.LZ.0F38 F2 /r", "Gy By Ey", "BMI1")
void x86_andn(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 0);
    IrRef a = x86_read(t, 1), b = x86_read(t, 2);
    IrRef result = ir_op2(t->unit, IR_OP_andn, x86_type(bytes), b, a);

    x86_write(t, 0, result);
    x86_set_flags(
        t, ir_flags(t->unit, IR_OP_andf, x86_type(bytes), x86_log2(bytes), 0, result, result, 0));
}

enum { BLS_RESET, BLS_MASK, BLS_ISOLATE };

/* CF: the source is 0 (BLSI: is not), which is the borrow of a comparison with 1 or of 0 - source. */
static void lowest_set_bit(X86Translator *t, unsigned what)
{
    unsigned bytes = x86_bytes(t, 0), size = x86_log2(bytes);
    IrType type = x86_type(bytes);
    IrRef source = x86_read(t, 1), less = ir_op2i(t->unit, IR_OP_sub, type, source, 1);
    IrRef result, flags, carry;

    if (what == BLS_ISOLATE) {
        result = ir_op2(t->unit, IR_OP_and, type, source, ir_op1(t->unit, IR_OP_neg, type, source));
        carry = ir_flags(t->unit, IR_OP_negf, type, size, 0, source, 0, 0);
    } else {
        result = ir_op2(t->unit, what == BLS_RESET ? IR_OP_and : IR_OP_xor, type, source, less);
        carry =
            ir_flags(t->unit, IR_OP_subf, type, size, IR_BORROW, source, x86_const(t, bytes, 1), 0);
    }
    x86_write(t, 0, result);
    flags = ir_flags(t->unit, IR_OP_andf, type, size, 0, result, result, 0);
    x86_set_flags(t, ir_fmerge(t->unit, flags, carry, TCG_FLAG_C));
}

X86(blsr, "VEX.LZ.0F38 F3 /1", "By Ey", "BMI1")
void x86_blsr(X86Translator *t)
{
    lowest_set_bit(t, BLS_RESET);
}

X86(blsmsk, "VEX.LZ.0F38 F3 /2", "By Ey", "BMI1")
void x86_blsmsk(X86Translator *t)
{
    lowest_set_bit(t, BLS_MASK);
}

X86(blsi, "VEX.LZ.0F38 F3 /3", "By Ey", "BMI1")
void x86_blsi(X86Translator *t)
{
    lowest_set_bit(t, BLS_ISOLATE);
}

/* A mask of the lowest n bits, all when n (i64, below 256) is the width or more. */
static IrRef low_mask(X86Translator *t, IrRef n)
{
    IrRef wide =
        ir_flags(t->unit, IR_OP_subf, IR_I64, 3, IR_BORROW, n, ir_const(t->unit, IR_I64, 63), 0);
    IrRef ones = ir_const(t->unit, IR_I64, -1);
    IrRef mask = ir_op1(t->unit, IR_OP_not, IR_I64, ir_op2(t->unit, IR_OP_shl, IR_I64, ones, n));

    return ir_sel(t->unit, IR_I64, IR_A, wide, ones, mask);
}

X86(bzhi, "VEX.LZ.0F38 F5 /r", "Gy Ey By", "BMI2")
void x86_bzhi(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 0), size = x86_log2(bytes);
    IrType type = x86_type(bytes);
    IrRef source = x86_read_zext(t, 1);
    IrRef n = ir_op2i(t->unit, IR_OP_and, IR_I64, x86_read_zext(t, 2), 255);
    IrRef result = x86_from64(t, bytes, ir_op2(t->unit, IR_OP_and, IR_I64, source, low_mask(t, n)));
    IrRef carry = ir_flags(t->unit, IR_OP_subf, IR_I64, 3, IR_BORROW,
                           ir_const(t->unit, IR_I64, 8 * (int64_t)bytes - 1), n, 0);
    IrRef flags = ir_flags(t->unit, IR_OP_andf, type, size, 0, result, result, 0);

    x86_write(t, 0, result);
    x86_set_flags(t, ir_fmerge(t->unit, flags, carry, TCG_FLAG_C));
}

X86(bextr, "VEX.LZ.0F38 F7 /r", "Gy Ey By", "BMI1")
void x86_bextr(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 0), size = x86_log2(bytes);
    IrRef source = x86_read_zext(t, 1), control = x86_read_zext(t, 2);
    IrRef start = ir_op2i(t->unit, IR_OP_and, IR_I64, control, 255);
    IrRef length = ir_bitfield(t->unit, IR_OP_ubfx, IR_I64, control, 0, 8, 8);
    IrRef beyond = ir_flags(t->unit, IR_OP_subf, IR_I64, 3, IR_BORROW, start,
                            ir_const(t->unit, IR_I64, 63), 0);
    IrRef moved = ir_op2(t->unit, IR_OP_shr, IR_I64, source, start), result;

    moved = ir_sel(t->unit, IR_I64, IR_A, beyond, ir_const(t->unit, IR_I64, 0), moved);
    result = x86_from64(t, bytes, ir_op2(t->unit, IR_OP_and, IR_I64, moved, low_mask(t, length)));
    x86_write(t, 0, result);
    x86_set_flags(t, ir_flags(t->unit, IR_OP_andf, x86_type(bytes), size, 0, result, result, 0));
}

static uint64_t helper_pdep(uint64_t value, uint64_t mask)
{
    uint64_t result = 0;

    for (; mask; mask &= mask - 1, value >>= 1) {
        if (value & 1) {
            result |= mask & -mask;
        }
    }
    return result;
}
X86_HELPER(pdep, IR_I64, 0, IR_I64, IR_I64);

static uint64_t helper_pext(uint64_t value, uint64_t mask)
{
    uint64_t result = 0;

    for (unsigned i = 0; mask; mask &= mask - 1, i++) {
        if (value & mask & -mask) {
            result |= UINT64_C(1) << i;
        }
    }
    return result;
}
X86_HELPER(pext, IR_I64, 0, IR_I64, IR_I64);

static void deposit_or_extract(X86Translator *t, const TcgHelper *helper)
{
    IrRef value = x86_read_zext(t, 1), mask = x86_read_zext(t, 2);

    x86_write(t, 0, x86_from64(t, x86_bytes(t, 0), x86_call(t, helper, value, mask, 0, 0)));
}

X86(pdep, "VEX.LZ.F2.0F38 F5 /r", "Gy By Ey", "BMI2")
void x86_pdep(X86Translator *t)
{
    deposit_or_extract(t, &call_pdep);
}

X86(pext, "VEX.LZ.F3.0F38 F5 /r", "Gy By Ey", "BMI2")
void x86_pext(X86Translator *t)
{
    deposit_or_extract(t, &call_pext);
}

/* ADX: additions with one flag for carry. */
static void add_with(X86Translator *t, unsigned flag, IrCond cond)
{
    unsigned bytes = x86_bytes(t, 0), size = x86_log2(bytes);
    IrType type = x86_type(bytes);
    IrRef a = x86_read(t, 0), b = x86_read(t, 1), old = x86_get_flags(t), in = old, carry, result;

    if (flag == TCG_FLAG_V) {
        /* Its flag is moved to where adc looks, and the carry back. */
        in = ir_flags(t->unit, IR_OP_subf, IR_I32, 2, IR_BORROW, x86_const(t, 4, 0),
                      ir_cset(t->unit, IR_I32, cond, old), 0);
    }
    carry = ir_flags(t->unit, IR_OP_adcf, type, size, 0, a, b, in);
    result = ir_sized(t->unit, IR_OP_adc, type, size, 0, a, b, in);
    if (flag == TCG_FLAG_V) {
        /* 0x80000000 - carry overflows when there is one. */
        carry = ir_flags(t->unit, IR_OP_subf, IR_I32, 2, IR_BORROW, x86_const(t, 4, INT32_MIN),
                         ir_cset(t->unit, IR_I32, IR_CS, carry), 0);
    }
    x86_write(t, 0, result);
    x86_set_flags(t, ir_fmerge(t->unit, old, carry, flag));
}

X86(adcx, "66 0F 38 F6 /r", "Gy Ey", "ADX")
void x86_adcx(X86Translator *t)
{
    add_with(t, TCG_FLAG_C, IR_CS);
}

X86(adox, "F3 0F 38 F6 /r", "Gy Ey", "ADX")
void x86_adox(X86Translator *t)
{
    add_with(t, TCG_FLAG_V, IR_VS);
}
