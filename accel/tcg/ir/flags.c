/* SPDX-License-Identifier: MIT */
/* What the flags of each operation are. */
#include "accel/tcg/ir/flags.h"

#include "base/bits.h"

/* The value op that each flags op goes with; nop: none. */
static const uint8_t value_ops[IR_OP_COUNT] = {
    [IR_OP_addf] = IR_OP_add,       [IR_OP_subf] = IR_OP_sub,   [IR_OP_andf] = IR_OP_and,
    [IR_OP_negf] = IR_OP_neg,       [IR_OP_adcf] = IR_OP_adc,   [IR_OP_sbcf] = IR_OP_sbc,
    [IR_OP_shlf] = IR_OP_shl,       [IR_OP_shrf] = IR_OP_shr,   [IR_OP_sarf] = IR_OP_sar,
    [IR_OP_rolf] = IR_OP_rol,       [IR_OP_rorf] = IR_OP_ror,   [IR_OP_rclf] = IR_OP_rcl,
    [IR_OP_rcrf] = IR_OP_rcr,       [IR_OP_shldf] = IR_OP_shld, [IR_OP_shrdf] = IR_OP_shrd,
    [IR_OP_mulf] = IR_OP_mul,       [IR_OP_lzcntf] = IR_OP_clz, [IR_OP_tzcntf] = IR_OP_ctz,
    [IR_OP_popcntf] = IR_OP_popcnt,
};

bool ir_is_flags_producer(unsigned opcode)
{
    return value_ops[opcode] || opcode == IR_OP_btf;
}

IrOpcode ir_value_of_flags(unsigned opcode)
{
    return (IrOpcode)value_ops[opcode];
}

unsigned ir_op_size(const IrOp *op)
{
    if (ir_is_flags_producer(op->opcode)) {
        return op->esz;
    }
    return op->sub & IR_MERGE8 ? 0 : op->sub & IR_MERGE16 ? 1 : op->type == IR_I32 ? 2 : 3;
}

uint16_t ir_const_flags(const IrOp *op)
{
    return op->sub & IR_X86 ? tcg_flags_from_eflags((uint32_t)op->imm)
                            : tcg_flags_from_nzcv((uint32_t)op->imm << 28);
}

bool ir_cond_holds(IrCond cond, uint64_t flags)
{
    bool n = flags & TCG_FLAG_N, z = flags & TCG_FLAG_Z, c = flags & TCG_FLAG_C,
         v = flags & TCG_FLAG_V;
    bool result = false;

    switch (cond & ~1u) {
    case IR_EQ:
        result = z;
        break;
    case IR_CS:
        result = c;
        break;
    case IR_MI:
        result = n;
        break;
    case IR_VS:
        result = v;
        break;
    case IR_HI:
        result = c && !z;
        break;
    case IR_GE:
        result = n == v;
        break;
    case IR_GT:
        result = n == v && !z;
        break;
    case IR_BE:
        result = c || z;
        break;
    case IR_PE:
        result = flags & TCG_FLAG_P;
        break;
    }
    return result != (cond & 1);
}

static unsigned result_flags(uint64_t result, unsigned width)
{
    result &= bits_mask(width);
    return (result >> (width - 1) ? TCG_FLAG_N : 0u) | (result == 0 ? TCG_FLAG_Z : 0u) |
           (__builtin_parity((uint8_t)result) ? 0u : TCG_FLAG_P);
}

static unsigned carry_flags(bool c, bool v)
{
    return (c ? TCG_FLAG_C : 0u) | (v ? TCG_FLAG_V : 0u);
}

static unsigned add_flags(uint64_t a, uint64_t b, bool carry, unsigned width)
{
    unsigned __int128 wide = (unsigned __int128)a + b + carry;
    uint64_t sum = (uint64_t)wide & bits_mask(width);

    return result_flags(sum, width) | ((a ^ b ^ sum) & 16 ? TCG_FLAG_A : 0u) |
           carry_flags(wide >> width & 1, ((a ^ sum) & (b ^ sum)) >> (width - 1) & 1);
}

static unsigned subtract_flags(uint64_t a, uint64_t b, bool borrow, unsigned width, unsigned sub)
{
    uint64_t difference = (a - b - borrow) & bits_mask(width);
    bool borrows = a < b || (borrow && a == b);

    return result_flags(difference, width) | ((a ^ b ^ difference) & 16 ? TCG_FLAG_A : 0u) |
           carry_flags(sub & IR_BORROW ? borrows : !borrows,
                       ((a ^ b) & (a ^ difference)) >> (width - 1) & 1);
}

/* V by the result of a shift or rotate to the right: whether its top two bits differ. */
static bool right_overflow(uint64_t result, unsigned width)
{
    return (result >> (width - 1) ^ result >> (width - 2)) & 1;
}

static unsigned shift_flags(unsigned opcode, uint64_t a, unsigned count, unsigned width)
{
    int64_t value = opcode == IR_OP_sarf ? bits_sign_extend(a, width) : (int64_t)a;
    uint64_t result;
    bool carry, overflow;

    if (opcode == IR_OP_shlf) {
        result = count < width ? a << count & bits_mask(width) : 0;
        carry = count <= width && (a >> (width - count) & 1);
        overflow = carry != (result >> (width - 1));
    } else if (opcode == IR_OP_shrf) {
        result = count < width ? a >> count : 0;
        carry = count <= width && (a >> (count - 1) & 1);
        overflow = right_overflow(result, width);
    } else {
        result = (uint64_t)(value >> count) & bits_mask(width);
        carry = value >> (count - 1) & 1;
        overflow = false;
    }
    return result_flags(result, width) | TCG_FLAG_A | carry_flags(carry, overflow);
}

static unsigned double_shift_flags(unsigned opcode, uint64_t a, uint64_t b, unsigned count,
                                   unsigned width)
{
    unsigned rest = count < width ? width - count : 0;
    bool left = opcode == IR_OP_shldf, carry;
    uint64_t result;

    if (left) {
        result = (a << count | b >> rest) & bits_mask(width);
        carry = a >> rest & 1;
    } else {
        result = (a >> count | b << rest) & bits_mask(width);
        carry = a >> (count - 1) & 1;
    }
    return result_flags(result, width) | TCG_FLAG_A |
           carry_flags(carry,
                       left ? carry != (result >> (width - 1)) : right_overflow(result, width));
}

static unsigned rotate_flags(unsigned opcode, uint64_t a, unsigned count, unsigned width)
{
    bool left = opcode == IR_OP_rolf;
    unsigned n = (left ? count : width - count % width) % width;
    uint64_t result = n ? (a << n | a >> (width - n)) & bits_mask(width) : a;
    bool carry = left ? result & 1 : result >> (width - 1) & 1;

    return carry_flags(carry,
                       left ? carry != (result >> (width - 1)) : right_overflow(result, width));
}

static unsigned carry_rotate_flags(unsigned opcode, uint64_t a, unsigned count, unsigned width,
                                   bool carry)
{
    bool left = opcode == IR_OP_rclf;

    for (unsigned i = 0; i < count % (width + 1); i++) {
        bool out = left ? a >> (width - 1) & 1 : a & 1;

        a = left ? (a << 1 | carry) & bits_mask(width) : a >> 1 | (uint64_t)carry << (width - 1);
        carry = out;
    }
    return carry_flags(carry, left ? carry != (a >> (width - 1)) : right_overflow(a, width));
}

/* Shifts and rotates, for counts that are not 0; old: the flags that rotates keep. */
static unsigned moved_flags(unsigned opcode, unsigned width, const uint64_t args[4], unsigned count)
{
    enum { WRITTEN = TCG_FLAG_C | TCG_FLAG_V };
    unsigned old = (unsigned)args[2] & TCG_FLAGS_ALL & ~(unsigned)WRITTEN;

    switch (opcode) {
    case IR_OP_rolf:
    case IR_OP_rorf:
        return old | rotate_flags(opcode, args[0], count, width);
    case IR_OP_rclf:
    case IR_OP_rcrf:
        return old | carry_rotate_flags(opcode, args[0], count, width, args[2] & TCG_FLAG_C);
    case IR_OP_shldf:
    case IR_OP_shrdf:
        return double_shift_flags(opcode, args[0], args[1], count, width);
    default:
        return shift_flags(opcode, args[0], count, width);
    }
}

static unsigned multiply_flags(uint64_t a, uint64_t b, unsigned width, bool is_signed)
{
    __int128 product = (__int128)bits_sign_extend(a, width) * bits_sign_extend(b, width);
    bool overflow = is_signed
                        ? product != bits_sign_extend((uint64_t)product & bits_mask(width), width)
                        : ((unsigned __int128)a * b) >> width != 0;

    return carry_flags(overflow, overflow);
}

/* Bit counts and tests. */
static unsigned bit_flags(unsigned opcode, uint64_t a, uint64_t b, unsigned width)
{
    unsigned none = a == 0 ? TCG_FLAG_C : 0u;

    switch (opcode) {
    case IR_OP_btf:
        return carry_flags(a >> (b & (width - 1)) & 1, false);
    case IR_OP_lzcntf:
        return none | (a >> (width - 1) & 1 ? TCG_FLAG_Z : 0u);
    case IR_OP_tzcntf:
        return none | (a & 1 ? TCG_FLAG_Z : 0u);
    default:
        return a == 0 ? TCG_FLAG_Z : 0u;
    }
}

static bool is_double_shift(unsigned opcode)
{
    return opcode == IR_OP_shldf || opcode == IR_OP_shrdf;
}

uint16_t ir_compute_flags(unsigned opcode, unsigned esz, unsigned sub, const uint64_t args[4])
{
    unsigned width = 8u << esz, last = is_double_shift(opcode) ? 3 : 2, count;
    uint64_t mask = bits_mask(width);
    const uint64_t in[4] = { args[0] & mask, args[1] & mask, args[2], args[3] };
    bool carry = args[2] & TCG_FLAG_C;

    switch (opcode) {
    case IR_OP_addf:
        return (uint16_t)add_flags(in[0], in[1], false, width);
    case IR_OP_adcf:
        return (uint16_t)add_flags(in[0], in[1], carry, width);
    case IR_OP_subf:
        return (uint16_t)subtract_flags(in[0], in[1], false, width, sub);
    case IR_OP_sbcf:
        return (uint16_t)subtract_flags(in[0], in[1], sub & IR_BORROW ? carry : !carry, width, sub);
    case IR_OP_negf:
        return (uint16_t)subtract_flags(0, in[0], false, width, IR_BORROW);
    case IR_OP_andf:
        return (uint16_t)result_flags(in[0] & in[1], width);
    case IR_OP_mulf:
        return (uint16_t)multiply_flags(in[0], in[1], width, !(sub & IR_UNSIGNED));
    case IR_OP_btf:
    case IR_OP_lzcntf:
    case IR_OP_tzcntf:
    case IR_OP_popcntf:
        return (uint16_t)bit_flags(opcode, in[0], args[1], width);
    }
    count = args[last - 1] & (esz == 3 ? 63 : 31);
    return (uint16_t)(count ? moved_flags(opcode, width, in, count) : args[last] & TCG_FLAGS_ALL);
}

uint16_t ir_specified_flags(const IrOp *op, int64_t count)
{
    enum { SHIFT = TCG_FLAG_N | TCG_FLAG_Z | TCG_FLAG_P | TCG_FLAG_C };
    unsigned overflow = count == 1 ? TCG_FLAG_V : 0,
             old = op->args[is_double_shift(op->opcode) ? 3 : 2];

    if (count == 0 && old) {
        return TCG_FLAGS_ALL;
    }
    switch (op->opcode) {
    case IR_OP_shlf:
    case IR_OP_shrf:
    case IR_OP_sarf:
    case IR_OP_shldf:
    case IR_OP_shrdf:
        return (uint16_t)((count > 0 || old ? SHIFT : 0) | overflow);
    case IR_OP_rolf:
    case IR_OP_rorf:
    case IR_OP_rclf:
    case IR_OP_rcrf:
        return (uint16_t)((count > 0 || old ? TCG_FLAG_C : 0) | overflow |
                          (old ? TCG_FLAGS_ALL & ~(TCG_FLAG_C | TCG_FLAG_V) : 0));
    case IR_OP_mulf:
        return TCG_FLAG_C | TCG_FLAG_V;
    case IR_OP_btf:
        return TCG_FLAG_C;
    case IR_OP_lzcntf:
    case IR_OP_tzcntf:
        return TCG_FLAG_C | TCG_FLAG_Z;
    default:
        return TCG_FLAGS_ALL;
    }
}
