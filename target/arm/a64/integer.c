/* SPDX-License-Identifier: MIT */
/*
 * A64 data processing on general registers (DDI 0487 C4.1, "Data Processing -- Immediate" and
 * "-- Register"), except pointer authentication.
 */
#include "target/arm/translate.h"

#include "base/bits.h"

/* Add and subtract. */

typedef struct {
    bool sf, subtract, set_flags;
} AddSub;

static void emit_add_sub(A64Translator *t, AddSub k, unsigned rd, IrRef a, IrRef b, bool rd_is_sp)
{
    IrType type = a64_type(k.sf);
    IrRef result = a64_op2(t, k.subtract ? IR_OP_sub : IR_OP_add, type, a, b);

    if (k.set_flags) {
        IrRef flags = a64_flags(t, k.subtract ? IR_OP_subf : IR_OP_addf, type, a, b, 0);

        a64_set(t, k.sf, rd, result);
        a64_set_flags(t, flags);
    } else if (rd_is_sp) {
        a64_set_sp(t, k.sf, rd, result);
    } else {
        a64_set(t, k.sf, rd, result);
    }
}

INSTRUCTION(add_sub_imm, "sf op s 100010 sh imm12:12 rn:5 rd:5")
static bool translate_add_sub_imm(A64Translator *t, const A64Fields *f)
{
    int64_t imm = (int64_t)f->imm12 << (f->sh ? 12 : 0);
    bool keeps_alignment = t->sp_aligned && f->rn == 31 && f->sf && imm % 16 == 0;
    IrRef a = a64_get_sp(t, f->sf, f->rn);

    if (imm == 0 && !f->s) {
        a64_set_sp(t, f->sf, f->rd, a);
    } else {
        emit_add_sub(t, (AddSub){ f->sf, f->op, f->s }, f->rd, a,
                     a64_const(t, a64_type(f->sf), imm), true);
    }
    if (f->rd == 31 && !f->s) {
        t->sp_aligned = keeps_alignment;
    }
    return true;
}

static IrRef shifted(A64Translator *t, bool sf, unsigned rm, unsigned kind, unsigned amount)
{
    static const uint8_t ops[] = { IR_OP_shl, IR_OP_shr, IR_OP_sar, IR_OP_ror };
    IrRef value = a64_get(t, sf, rm);

    return amount && rm != 31 ? a64_op2i(t, ops[kind], a64_type(sf), value, amount) : value;
}

INSTRUCTION(add_sub_shifted, "sf op s 01011 shift:2 0 rm:5 imm6:6 rn:5 rd:5",
            "shift != 3 && (sf == 1 || imm6 < 32)")
static bool translate_add_sub_shifted(A64Translator *t, const A64Fields *f)
{
    IrRef b = shifted(t, f->sf, f->rm, f->shift, f->imm6);

    if (f->op && !f->s && f->rn == 31) {
        a64_set(t, f->sf, f->rd, a64_op1(t, IR_OP_neg, a64_type(f->sf), b));
    } else {
        emit_add_sub(t, (AddSub){ f->sf, f->op, f->s }, f->rd, a64_get(t, f->sf, f->rn), b, false);
    }
    return true;
}

/* The extended register operand: option is UXTB … SXTX, then a left shift. */
static IrRef extended(A64Translator *t, bool sf, unsigned rm, unsigned option, unsigned shift)
{
    IrRef value = a64_get(t, sf, rm);
    unsigned esz = option & 3;
    IrType type = a64_type(sf);

    if (esz < (sf ? 3u : 2u)) {
        value = a64_extend(t, option & 4 ? IR_OP_sext : IR_OP_zext, type, esz, value);
    }
    return shift ? a64_op2i(t, IR_OP_shl, type, value, shift) : value;
}

INSTRUCTION(add_sub_extended, "sf op s 01011 00 1 rm:5 option:3 imm3:3 rn:5 rd:5", "imm3 <= 4")
static bool translate_add_sub_extended(A64Translator *t, const A64Fields *f)
{
    IrRef a = a64_get_sp(t, f->sf, f->rn);
    IrRef b = extended(t, f->sf, f->rm, f->option, f->imm3);

    emit_add_sub(t, (AddSub){ f->sf, f->op, f->s }, f->rd, a, b, true);
    return true;
}

INSTRUCTION(adc_sbc, "sf op s 11010000 rm:5 000000 rn:5 rd:5")
static bool translate_adc_sbc(A64Translator *t, const A64Fields *f)
{
    IrType type = a64_type(f->sf);
    IrRef a = a64_get(t, f->sf, f->rn), b = a64_get(t, f->sf, f->rm), c = a64_get_flags(t);
    IrRef result = a64_op3(t, f->op ? IR_OP_sbc : IR_OP_adc, type, a, b, c);

    if (f->s) {
        IrRef flags = a64_flags(t, f->op ? IR_OP_sbcf : IR_OP_adcf, type, a, b, c);

        a64_set_flags(t, flags);
    }
    a64_set(t, f->sf, f->rd, result);
    return true;
}

/* Conditional compare and select. */

static void emit_conditional_compare(A64Translator *t, const A64Fields *f, IrRef b)
{
    IrType type = a64_type(f->sf);
    IrRef a = a64_get(t, f->sf, f->rn);
    IrRef flags = a64_flags(t, f->op ? IR_OP_subf : IR_OP_addf, type, a, b, 0);

    if (f->cond < 14) {
        IrRef otherwise =
            a64_op(t, (IrOp){ .opcode = IR_OP_fconst, .type = IR_FLAGS, .imm = f->nzcv });

        flags = a64_op(t, (IrOp){ .opcode = IR_OP_fsel,
                                  .type = IR_FLAGS,
                                  .cond = (uint8_t)f->cond,
                                  .args = { a64_get_flags(t), flags, otherwise } });
    }
    a64_set_flags(t, flags);
}

INSTRUCTION(ccmp_reg, "sf op 111010010 rm:5 cond:4 00 rn:5 0 nzcv:4")
static bool translate_ccmp_reg(A64Translator *t, const A64Fields *f)
{
    emit_conditional_compare(t, f, a64_get(t, f->sf, f->rm));
    return true;
}

INSTRUCTION(ccmp_imm, "sf op 111010010 imm5:5 cond:4 10 rn:5 0 nzcv:4")
static bool translate_ccmp_imm(A64Translator *t, const A64Fields *f)
{
    emit_conditional_compare(t, f, a64_const(t, a64_type(f->sf), f->imm5));
    return true;
}

/* CSEL, CSINC, CSINV, CSNEG. */
INSTRUCTION(csel, "sf op 011010100 rm:5 cond:4 0 o2 rn:5 rd:5")
static bool translate_csel(A64Translator *t, const A64Fields *f)
{
    IrType type = a64_type(f->sf);
    IrRef a, b, flags;

    if (f->cond >= 14) {
        a64_set(t, f->sf, f->rd, a64_get(t, f->sf, f->rn));
        return true;
    }
    if (f->rn == 31 && f->rm == 31 && f->o2 != f->op) {
        /* CSET and CSETM */
        a = a64_op(t, (IrOp){ .opcode = IR_OP_cset,
                              .type = (uint8_t)type,
                              .cond = (uint8_t)ir_cond_invert(f->cond),
                              .args = { a64_get_flags(t) } });
        a64_set(t, f->sf, f->rd, f->op ? a64_op1(t, IR_OP_neg, type, a) : a);
        return true;
    }
    a = a64_get(t, f->sf, f->rn);
    b = a64_get(t, f->sf, f->rm);
    if (f->op) {
        b = a64_op1(t, f->o2 ? IR_OP_neg : IR_OP_not, type, b);
    } else if (f->o2) {
        b = a64_op2i(t, IR_OP_add, type, b, 1);
    }
    flags = a64_get_flags(t);
    a64_set(t, f->sf, f->rd,
            a64_op(t, (IrOp){ .opcode = IR_OP_sel,
                              .type = (uint8_t)type,
                              .cond = (uint8_t)f->cond,
                              .args = { flags, a, b } }));
    return true;
}

/* Logic. */

/* The immediate of logical instructions (DecodeBitMasks); false when it is reserved. */
static bool decode_bitmask(bool sf, unsigned n, unsigned imms, unsigned immr, uint64_t *out)
{
    unsigned selector = n << 6 | (~imms & 0x3f), length, size, ones, rotate;
    uint64_t element;

    if (selector < 2 || (n && !sf)) {
        return false;
    }
    length = 31 - (unsigned)__builtin_clz(selector);
    size = 1u << length;
    ones = (imms & (size - 1)) + 1;
    rotate = immr & (size - 1);
    if (ones == size) {
        return false;
    }
    element = bits_mask(ones);
    if (rotate) {
        element = (element >> rotate | element << (size - rotate)) & bits_mask(size);
    }
    for (; size < 64; size *= 2) {
        element |= element << size;
    }
    *out = element;
    return true;
}

/* opc: AND, ORR, EOR, ANDS. */
static void emit_logic(A64Translator *t, unsigned opc, bool sf, unsigned rd, bool rd_is_sp, IrRef a,
                       IrRef b)
{
    static const uint8_t ops[] = { IR_OP_and, IR_OP_or, IR_OP_xor, IR_OP_and };
    IrType type = a64_type(sf);
    IrRef result = a64_op2(t, ops[opc], type, a, b);

    if (opc == 3) {
        IrRef flags = a64_flags(t, IR_OP_andf, type, a, b, 0);

        a64_set(t, sf, rd, result);
        a64_set_flags(t, flags);
    } else if (rd_is_sp) {
        a64_set_sp(t, sf, rd, result);
    } else {
        a64_set(t, sf, rd, result);
    }
}

INSTRUCTION(logic_imm, "sf opc:2 100100 n immr:6 imms:6 rn:5 rd:5")
static bool translate_logic_imm(A64Translator *t, const A64Fields *f)
{
    IrType type = a64_type(f->sf);
    uint64_t imm;

    if (!decode_bitmask(f->sf, f->n, f->imms, f->immr, &imm)) {
        return false;
    }
    if (f->opc == 1 && f->rn == 31) {
        a64_set_sp(t, f->sf, f->rd, a64_const(t, type, (int64_t)imm));
    } else {
        emit_logic(t, f->opc, f->sf, f->rd, f->opc != 3, a64_get(t, f->sf, f->rn),
                   a64_const(t, type, (int64_t)imm));
    }
    return true;
}

INSTRUCTION(logic_shifted, "sf opc:2 01010 shift:2 n rm:5 imm6:6 rn:5 rd:5", "sf == 1 || imm6 < 32")
static bool translate_logic_shifted(A64Translator *t, const A64Fields *f)
{
    IrType type = a64_type(f->sf);
    IrRef a, b = shifted(t, f->sf, f->rm, f->shift, f->imm6);

    if (f->opc == 1 && f->rn == 31) {
        /* MOV and MVN */
        a64_set(t, f->sf, f->rd, f->n ? a64_op1(t, IR_OP_not, type, b) : b);
        return true;
    }
    a = a64_get(t, f->sf, f->rn);
    if (f->n && f->opc == 0) {
        a64_set(t, f->sf, f->rd, a64_op2(t, IR_OP_andn, type, a, b));
        return true;
    }
    if (f->n) {
        b = a64_op1(t, IR_OP_not, type, b);
    }
    emit_logic(t, f->opc, f->sf, f->rd, false, a, b);
    return true;
}

/* Moves of immediates, and addresses. */

INSTRUCTION(movn, "sf 00 100101 hw:2 imm16:16 rd:5", "sf == 1 || hw < 2")
static bool translate_movn(A64Translator *t, const A64Fields *f)
{
    a64_set(t, f->sf, f->rd,
            a64_const(t, a64_type(f->sf), (int64_t) ~((uint64_t)f->imm16 << 16 * f->hw)));
    return true;
}

INSTRUCTION(movz, "sf 10 100101 hw:2 imm16:16 rd:5", "sf == 1 || hw < 2")
static bool translate_movz(A64Translator *t, const A64Fields *f)
{
    a64_set(t, f->sf, f->rd,
            a64_const(t, a64_type(f->sf), (int64_t)((uint64_t)f->imm16 << 16 * f->hw)));
    return true;
}

INSTRUCTION(movk, "sf 11 100101 hw:2 imm16:16 rd:5", "sf == 1 || hw < 2")
static bool translate_movk(A64Translator *t, const A64Fields *f)
{
    IrType type = a64_type(f->sf);
    IrRef field = a64_const(t, type, f->imm16);

    a64_set(t, f->sf, f->rd,
            a64_bitfield(t, IR_OP_bfi, type, a64_get(t, f->sf, f->rd), field, 16 * f->hw, 16));
    return true;
}

INSTRUCTION(adr, "op immlo:2 10000 immhi:s19 rd:5")
static bool translate_adr(A64Translator *t, const A64Fields *f)
{
    int64_t imm = (int64_t)f->immhi * 4 + f->immlo;

    a64_set_x(t, f->rd,
              a64_op(t, (IrOp){ .opcode = IR_OP_pc,
                                .type = IR_I64,
                                .imm = f->op ? imm * 4096 : t->offset + imm }));
    return true;
}

/* Bit fields. */

INSTRUCTION(sbfm, "sf 00 100110 n immr:6 imms:6 rn:5 rd:5",
            "sf == n && (sf == 1 || (immr < 32 && imms < 32))")
static bool translate_sbfm(A64Translator *t, const A64Fields *f)
{
    unsigned width = f->sf ? 64 : 32;
    IrType type = a64_type(f->sf);
    IrRef a = a64_get(t, f->sf, f->rn);

    if (f->imms == width - 1) {
        a = f->immr ? a64_op2i(t, IR_OP_sar, type, a, f->immr) : a;
    } else if (f->imms >= f->immr) {
        unsigned length = f->imms - f->immr + 1;

        if (f->immr == 0 && (length == 8 || length == 16 || length == 32)) {
            a = a64_extend(t, IR_OP_sext, type, length == 8 ? 0 : length == 16 ? 1 : 2, a);
        } else {
            a = a64_bitfield(t, IR_OP_sbfx, type, a, 0, f->immr, length);
        }
    } else {
        a = a64_bitfield(t, IR_OP_sbfx, type, a, 0, 0, f->imms + 1);
        a = a64_op2i(t, IR_OP_shl, type, a, width - f->immr);
    }
    a64_set(t, f->sf, f->rd, a);
    return true;
}

INSTRUCTION(ubfm, "sf 10 100110 n immr:6 imms:6 rn:5 rd:5",
            "sf == n && (sf == 1 || (immr < 32 && imms < 32))")
static bool translate_ubfm(A64Translator *t, const A64Fields *f)
{
    unsigned width = f->sf ? 64 : 32;
    IrType type = a64_type(f->sf);
    IrRef a = a64_get(t, f->sf, f->rn);

    if (f->imms == width - 1) {
        a = f->immr ? a64_op2i(t, IR_OP_shr, type, a, f->immr) : a;
    } else if (f->imms >= f->immr) {
        unsigned length = f->imms - f->immr + 1;

        if (f->immr == 0 && (length == 8 || length == 16 || length == 32)) {
            a = a64_extend(t, IR_OP_zext, type, length == 8 ? 0 : length == 16 ? 1 : 2, a);
        } else {
            a = a64_bitfield(t, IR_OP_ubfx, type, a, 0, f->immr, length);
        }
    } else {
        /* What LSL shifts out need not be cut off first. */
        if (f->imms + 1 != f->immr) {
            a = a64_bitfield(t, IR_OP_ubfx, type, a, 0, 0, f->imms + 1);
        }
        a = a64_op2i(t, IR_OP_shl, type, a, width - f->immr);
    }
    a64_set(t, f->sf, f->rd, a);
    return true;
}

INSTRUCTION(bfm, "sf 01 100110 n immr:6 imms:6 rn:5 rd:5",
            "sf == n && (sf == 1 || (immr < 32 && imms < 32))")
static bool translate_bfm(A64Translator *t, const A64Fields *f)
{
    IrType type = a64_type(f->sf);
    IrRef from = a64_get(t, f->sf, f->rn), to = a64_get(t, f->sf, f->rd);
    unsigned start = 0, length = f->imms + 1;

    if (f->imms >= f->immr) {
        from = f->immr ? a64_op2i(t, IR_OP_shr, type, from, f->immr) : from;
        length -= f->immr;
    } else {
        start = (f->sf ? 64 : 32) - f->immr;
    }
    if (length == (f->sf ? 64u : 32u)) {
        a64_set(t, f->sf, f->rd, from);
    } else {
        a64_set(t, f->sf, f->rd, a64_bitfield(t, IR_OP_bfi, type, to, from, start, length));
    }
    return true;
}

INSTRUCTION(extr, "sf 00 100111 n 0 rm:5 imms:6 rn:5 rd:5", "sf == n && (sf == 1 || imms < 32)")
static bool translate_extr(A64Translator *t, const A64Fields *f)
{
    IrType type = a64_type(f->sf);
    IrRef low = a64_get(t, f->sf, f->rm);

    if (f->imms == 0) {
        a64_set(t, f->sf, f->rd, low);
    } else if (f->rn == f->rm) {
        a64_set(t, f->sf, f->rd, a64_op2i(t, IR_OP_ror, type, low, f->imms));
    } else {
        a64_set(t, f->sf, f->rd,
                a64_op(t, (IrOp){ .opcode = IR_OP_extr,
                                  .type = (uint8_t)type,
                                  .args = { a64_get(t, f->sf, f->rn), low },
                                  .imm = f->imms }));
    }
    return true;
}

/* Two sources. */

static bool emit_two_sources(A64Translator *t, const A64Fields *f, IrOpcode opcode)
{
    IrRef a = a64_get(t, f->sf, f->rn), b = a64_get(t, f->sf, f->rm);

    a64_set(t, f->sf, f->rd, a64_op2(t, opcode, a64_type(f->sf), a, b));
    return true;
}

INSTRUCTION(udiv, "sf 0011010110 rm:5 000010 rn:5 rd:5")
static bool translate_udiv(A64Translator *t, const A64Fields *f)
{
    return emit_two_sources(t, f, IR_OP_divu);
}

INSTRUCTION(sdiv, "sf 0011010110 rm:5 000011 rn:5 rd:5")
static bool translate_sdiv(A64Translator *t, const A64Fields *f)
{
    return emit_two_sources(t, f, IR_OP_divs);
}

/* LSLV, LSRV, ASRV, RORV. */
INSTRUCTION(shift_reg, "sf 0011010110 rm:5 0010 shift:2 rn:5 rd:5")
static bool translate_shift_reg(A64Translator *t, const A64Fields *f)
{
    static const uint8_t ops[] = { IR_OP_shl, IR_OP_shr, IR_OP_sar, IR_OP_ror };

    return emit_two_sources(t, f, ops[f->shift]);
}

/* One step of the CRC-32 of IEEE 802.3, bit-reversed, over size bytes. */
static uint32_t helper_crc32(uint32_t accumulator, uint64_t data, uint32_t bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        accumulator ^= data >> 8 * i & 0xff;
        for (unsigned bit = 0; bit < 8; bit++) {
            accumulator = accumulator >> 1 ^ (0xedb88320u & -(accumulator & 1));
        }
    }
    return accumulator;
}

static const TcgHelper crc32_helper = {
    .name = "crc32",
    .function = (void *)helper_crc32,
    .result = IR_I32,
    .arg_types = { IR_I32, IR_I64, IR_I32 },
};
TCG_HELPER(crc32_helper);

INSTRUCTION(crc32, "sf 0011010110 rm:5 010 c size:2 rn:5 rd:5",
            "(sf == 1 && size == 3) || (sf == 0 && size != 3)")
static bool translate_crc32(A64Translator *t, const A64Fields *f)
{
    IrRef accumulator, data, result;

    if (!a64_has(t, FEAT_CRC32)) {
        return false;
    }
    accumulator = a64_get_w(t, f->rn);
    if (f->c) {
        data = a64_get(t, f->sf, f->rm);
        result = a64_op(t, (IrOp){ .opcode = IR_OP_crc32c,
                                   .type = IR_I32,
                                   .esz = (uint8_t)f->size,
                                   .args = { accumulator, data } });
    } else {
        data = a64_get_x(t, f->rm);
        result =
            a64_call(t, &crc32_helper, accumulator, data, a64_const(t, IR_I32, 1 << f->size), 0);
    }
    a64_set_w(t, f->rd, result);
    return true;
}

/* One source. */

INSTRUCTION(rbit, "sf 101101011000000 000000 rn:5 rd:5")
static bool translate_rbit(A64Translator *t, const A64Fields *f)
{
    a64_set(t, f->sf, f->rd, a64_op1(t, IR_OP_rbit, a64_type(f->sf), a64_get(t, f->sf, f->rn)));
    return true;
}

/* REV16, REV32 and REV: opc is the log2 of the bytes in a group. */
INSTRUCTION(rev, "sf 101101011000000 0000 opc:2 rn:5 rd:5", "opc != 0 && (opc != 3 || sf == 1)")
static bool translate_rev(A64Translator *t, const A64Fields *f)
{
    a64_set(t, f->sf, f->rd,
            a64_extend(t, IR_OP_bswap, a64_type(f->sf), f->opc, a64_get(t, f->sf, f->rn)));
    return true;
}

INSTRUCTION(clz_cls, "sf 101101011000000 00010 op rn:5 rd:5")
static bool translate_clz_cls(A64Translator *t, const A64Fields *f)
{
    a64_set(t, f->sf, f->rd,
            a64_op1(t, f->op ? IR_OP_cls : IR_OP_clz, a64_type(f->sf), a64_get(t, f->sf, f->rn)));
    return true;
}

/* Three sources. */

INSTRUCTION(madd_msub, "sf 0011011000 rm:5 o0 ra:5 rn:5 rd:5")
static bool translate_madd_msub(A64Translator *t, const A64Fields *f)
{
    IrType type = a64_type(f->sf);
    IrRef product = a64_op2(t, IR_OP_mul, type, a64_get(t, f->sf, f->rn), a64_get(t, f->sf, f->rm));

    if (f->ra != 31) {
        product =
            a64_op2(t, f->o0 ? IR_OP_sub : IR_OP_add, type, a64_get(t, f->sf, f->ra), product);
    } else if (f->o0) {
        product = a64_op1(t, IR_OP_neg, type, product);
    }
    a64_set(t, f->sf, f->rd, product);
    return true;
}

/* SMADDL, SMSUBL, UMADDL, UMSUBL. */
INSTRUCTION(maddl, "10011011 u 01 rm:5 o0 ra:5 rn:5 rd:5")
static bool translate_maddl(A64Translator *t, const A64Fields *f)
{
    IrOpcode widen = f->u ? IR_OP_zext : IR_OP_sext;
    IrRef a = a64_extend(t, widen, IR_I64, 2, a64_get_x(t, f->rn));
    IrRef b = a64_extend(t, widen, IR_I64, 2, a64_get_x(t, f->rm));
    IrRef product = a64_op2(t, IR_OP_mul, IR_I64, a, b);

    if (f->ra != 31) {
        product = a64_op2(t, f->o0 ? IR_OP_sub : IR_OP_add, IR_I64, a64_get_x(t, f->ra), product);
    } else if (f->o0) {
        product = a64_op1(t, IR_OP_neg, IR_I64, product);
    }
    a64_set_x(t, f->rd, product);
    return true;
}

INSTRUCTION(mulh, "10011011 u 10 rm:5 0 xxxxx rn:5 rd:5")
static bool translate_mulh(A64Translator *t, const A64Fields *f)
{
    a64_set_x(t, f->rd,
              a64_op2(t, f->u ? IR_OP_mulhu : IR_OP_mulhs, IR_I64, a64_get_x(t, f->rn),
                      a64_get_x(t, f->rm)));
    return true;
}

/* Flag manipulation. */

static IrRef flags_as_integer(A64Translator *t)
{
    return a64_op1(t, IR_OP_funpack, IR_I32, a64_get_flags(t));
}

static void set_flags_from_integer(A64Translator *t, IrRef nzcv)
{
    a64_set_flags(t, a64_op1(t, IR_OP_fpack, IR_FLAGS, nzcv));
}

INSTRUCTION(rmif, "10111010000 imm6:6 00001 rn:5 0 mask:4")
static bool translate_rmif(A64Translator *t, const A64Fields *f)
{
    int32_t mask = (int32_t)(f->mask << 28);
    IrRef rotated, old;

    if (!a64_has(t, FEAT_FLAGM)) {
        return false;
    }
    rotated = a64_get_x(t, f->rn);
    if (f->imm6) {
        rotated = a64_op2i(t, IR_OP_ror, IR_I64, rotated, f->imm6);
    }
    rotated = a64_op2i(t, IR_OP_shl, IR_I32, a64_op1(t, IR_OP_trunc, IR_I32, rotated), 28);
    old = a64_op2i(t, IR_OP_and, IR_I32, flags_as_integer(t), ~mask);
    set_flags_from_integer(
        t, a64_op2(t, IR_OP_or, IR_I32, old, a64_op2i(t, IR_OP_and, IR_I32, rotated, mask)));
    return true;
}

/* N and Z of the low byte or halfword, V where bit and next differ, C kept. */
INSTRUCTION(setf, "00111010000 000000 sz 0010 rn:5 0 1101")
static bool translate_setf(A64Translator *t, const A64Fields *f)
{
    unsigned top = f->sz ? 15 : 7;
    IrRef value, moved, n, v, z, c;

    if (!a64_has(t, FEAT_FLAGM)) {
        return false;
    }
    value = a64_get_w(t, f->rn);
    moved = a64_op2i(t, IR_OP_shl, IR_I32, value, 31 - top);
    n = a64_op2i(t, IR_OP_and, IR_I32, moved, INT32_MIN);
    z = a64_op(t, (IrOp){ .opcode = IR_OP_cset,
                          .type = IR_I32,
                          .cond = IR_EQ,
                          .args = { a64_flags(t, IR_OP_andf, IR_I32, moved, moved, 0) } });
    v = a64_op2(t, IR_OP_xor, IR_I32, value, a64_op2i(t, IR_OP_shr, IR_I32, value, 1));
    v = a64_op2i(t, IR_OP_and, IR_I32, a64_op2i(t, IR_OP_shr, IR_I32, v, top), 1);
    c = a64_op2i(t, IR_OP_and, IR_I32, flags_as_integer(t), 1 << 29);
    z = a64_op2i(t, IR_OP_shl, IR_I32, z, 30);
    v = a64_op2i(t, IR_OP_shl, IR_I32, v, 28);
    set_flags_from_integer(t, a64_op2(t, IR_OP_or, IR_I32, a64_op2(t, IR_OP_or, IR_I32, n, z),
                                      a64_op2(t, IR_OP_or, IR_I32, c, v)));
    return true;
}

INSTRUCTION(cfinv, "1101010100000000010000000001 1111")
static bool translate_cfinv(A64Translator *t, const A64Fields *f)
{
    if (!a64_has(t, FEAT_FLAGM)) {
        return false;
    }
    set_flags_from_integer(t, a64_op2i(t, IR_OP_xor, IR_I32, flags_as_integer(t), 1 << 29));
    return true;
}

static IrRef flag_bit(A64Translator *t, IrRef nzcv, unsigned bit)
{
    return a64_bitfield(t, IR_OP_ubfx, IR_I32, nzcv, 0, bit, 1);
}

static IrRef pack_flags(A64Translator *t, IrRef n, IrRef z, IrRef c, IrRef v)
{
    IrRef high = a64_op2(t, IR_OP_or, IR_I32, a64_op2i(t, IR_OP_shl, IR_I32, n, 31),
                         a64_op2i(t, IR_OP_shl, IR_I32, z, 30));
    IrRef low = a64_op2(t, IR_OP_or, IR_I32, a64_op2i(t, IR_OP_shl, IR_I32, c, 29),
                        a64_op2i(t, IR_OP_shl, IR_I32, v, 28));

    return a64_op2(t, IR_OP_or, IR_I32, high, low);
}

/* N = !C & !Z, Z = Z & C, C = C | Z, V = !C & Z. */
INSTRUCTION(xaflag, "1101010100000000010000000011 1111")
static bool translate_xaflag(A64Translator *t, const A64Fields *f)
{
    IrRef nzcv, c, z;

    if (!a64_has(t, FEAT_FLAGM2)) {
        return false;
    }
    nzcv = flags_as_integer(t);
    c = flag_bit(t, nzcv, 29);
    z = flag_bit(t, nzcv, 30);
    set_flags_from_integer(
        t, pack_flags(t, a64_op2i(t, IR_OP_xor, IR_I32, a64_op2(t, IR_OP_or, IR_I32, c, z), 1),
                      a64_op2(t, IR_OP_and, IR_I32, z, c), a64_op2(t, IR_OP_or, IR_I32, c, z),
                      a64_op2(t, IR_OP_andn, IR_I32, z, c)));
    return true;
}

/* N = 0, Z = Z | V, C = C & !V, V = 0. */
INSTRUCTION(axflag, "1101010100000000010000000101 1111")
static bool translate_axflag(A64Translator *t, const A64Fields *f)
{
    IrRef nzcv, v, zero;

    if (!a64_has(t, FEAT_FLAGM2)) {
        return false;
    }
    nzcv = flags_as_integer(t);
    v = flag_bit(t, nzcv, 28);
    zero = a64_const(t, IR_I32, 0);
    set_flags_from_integer(
        t, pack_flags(t, zero, a64_op2(t, IR_OP_or, IR_I32, flag_bit(t, nzcv, 30), v),
                      a64_op2(t, IR_OP_andn, IR_I32, flag_bit(t, nzcv, 29), v), zero));
    return true;
}
