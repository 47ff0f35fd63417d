/* SPDX-License-Identifier: MIT */
/* The format of condition flags, and what the flags of each operation are. */
#ifndef ACCEL_TCG_IR_FLAGS_H
#define ACCEL_TCG_IR_FLAGS_H

#include "accel/tcg/ir/ir.h"

/*
 * Flags in memory and in integer registers: as LAHF and SETO leave them in AX. The other bits are
 * anything. C after subtractions is in the sense that the op says.
 */
enum {
    TCG_FLAG_N = 1 << 15, /* negative: the result's top bit */
    TCG_FLAG_Z = 1 << 14, /* zero */
    TCG_FLAG_A = 1 << 12, /* auxiliary: carry out of bit 3, or borrow into it */
    TCG_FLAG_P = 1 << 10, /* parity: the result's low byte has an even number of ones */
    TCG_FLAG_C = 1 << 8,  /* carry */
    TCG_FLAG_V = 1 << 0,  /* signed overflow */
    TCG_FLAGS_ALL = TCG_FLAG_N | TCG_FLAG_Z | TCG_FLAG_A | TCG_FLAG_P | TCG_FLAG_C | TCG_FLAG_V,
};

/* NZCV in bits 31..28, as in A64's PSTATE. P and A are 0. */
static inline uint32_t tcg_flags_to_nzcv(uint16_t flags)
{
    return (uint32_t)(flags >> 15 & 1) << 31 | (uint32_t)(flags >> 14 & 1) << 30 |
           (uint32_t)(flags >> 8 & 1) << 29 | (uint32_t)(flags & 1) << 28;
}

static inline uint16_t tcg_flags_from_nzcv(uint32_t nzcv)
{
    return (uint16_t)((nzcv >> 31 & 1) << 15 | (nzcv >> 30 & 1) << 14 | (nzcv >> 29 & 1) << 8 |
                      (nzcv >> 28 & 1));
}

/* CF, PF, AF, ZF, SF and OF at their places in EFLAGS, the other bits 0. */
enum { TCG_EFLAGS_MASK = 0x8d5 };

static inline uint32_t tcg_flags_to_eflags(uint16_t flags)
{
    return (flags >> 8 & 0xd5) | (uint32_t)(flags & TCG_FLAG_V) << 11;
}

static inline uint16_t tcg_flags_from_eflags(uint32_t eflags)
{
    return (uint16_t)((eflags & 0xd5) << 8 | (eflags >> 11 & TCG_FLAG_V));
}

/* The flags that an fconst stands for. */
uint16_t ir_const_flags(const IrOp *op);
bool ir_cond_holds(IrCond cond, uint64_t flags);

/*
 * The flags of addf … popcntf (IrOpcode) for arguments as the op has them, flags among them in the
 * format above. Bits of arguments above the width do not count. An argument that is left out is 0.
 * This is what interpreters, helpers of targets and debuggers use; hosts agree in all flags that
 * ir_specified_flags names.
 */
uint16_t ir_compute_flags(unsigned opcode, unsigned esz, unsigned sub, const uint64_t args[4]);
/* Which flags of such an op are specified. count: of a shift or rotate, when it is known; else -1. */
uint16_t ir_specified_flags(const IrOp *op, int64_t count);

/* Whether an op is one of them, and the value op that computes the result they belong to; or nop. */
bool ir_is_flags_producer(unsigned opcode);
IrOpcode ir_value_of_flags(unsigned opcode);
/* log2 of the bytes that a flags producer or an integer value op computes in. */
unsigned ir_op_size(const IrOp *op);

#endif
