/* SPDX-License-Identifier: MIT */
/*
 * Instructions of x86-64 hosts, named in data: a pure helper (TcgHelper.host) that one such instruction computes
 * is emitted as that instruction instead of a call. One table row gives a target's vector instruction its C
 * function, for the interpreter and for hosts without it, and its encoding.
 *
 * Floating point is then the host's in every respect: NaNs, denormals, rounding and exceptions by TcgFpControl.
 * The helper needs HELPER_EFFECT, because it notes exceptions, and no other flag but HELPER_IMM.
 *
 * x87: a guest's instruction is one of the host's. Its imm is the escape opcode's low three bits and the ModRM byte behind them, and it
 * is executed on the host's x87, to which the guest's is lent where it is not there (TcgTarget.lend_x87): code that has such helpers
 * must depend on all exceptions being masked. The helper has HELPER_ENV, HELPER_EFFECT and HELPER_IMM, and computes the same on the
 * target's state where nothing is lent.
 *
 * MXCSR is the guest's while code runs, where the guest masks all exceptions, on which code with IR_HOST_STMXCSR or IR_HOST_LDMXCSR must
 * depend. Their helpers have HELPER_ENV and HELPER_EFFECT.
 */
#ifndef ACCEL_TCG_IR_HOST_CODE_H
#define ACCEL_TCG_IR_HOST_CODE_H

#include <stdint.h>

/*
 * Where the helper's arguments 0, 1, 2 and its result d go. Whether an operand is an integer or a vector register
 * is said by its type. An instruction's names for its operands: d is "reg" unless said otherwise.
 */
typedef enum {
    IR_HOST_UNARY,   /* d = op(0): 0 is r/m */
    IR_HOST_BINARY,  /* d = op(0, 1): 1 is r/m; without VEX, d is 0 before. What op does not write is 0's */
    IR_HOST_BLEND,   /* the same, with a mask 2: XMM0, or the VEX form of PBLENDVB, BLENDVPS, BLENDVPD */
    IR_HOST_TERNARY, /* d = op(0, 1, 2): d is 0 before; 1 is VEX.vvvv, 2 is r/m (FMA, the 231 forms) */
    IR_HOST_STORE,   /* d = op(0): 0 is reg, d is r/m (PEXTR, MOVD to an integer, VCVTPS2PH) */
    IR_HOST_SHIFT,   /* d = op(0): by imm; opcode /digit */
    IR_HOST_COMPARE, /* flags = op(0, 1): 1 is r/m (PTEST, COMISS) */
    IR_HOST_STRING,  /* PCMPISTRx, PCMPESTRx of 0 and 1, lengths 2 and 3: d is ECX, XMM0 or the flags, by its type */
    IR_HOST_X87,     /* no argument, or of an operand in memory its cookie (i64) or value (i32), or FCMOV's condition (i32). The result:
                      * none, flags (FCOMI), or an i32 (FNSTSW AX) */
    IR_HOST_STMXCSR, /* d = MXCSR (i32) */
    IR_HOST_LDMXCSR, /* MXCSR = 0 (i32), of which only the sticky flags may be others than before */
} IrHostForm;

/* `flags` of an encoding. */
enum {
    IR_HOST_W = 1,       /* REX.W or VEX.W */
    IR_HOST_IMM = 2,     /* the op's imm follows */
    IR_HOST_NO_VEX = 4,  /* there is no VEX form */
    IR_HOST_VEX = 8,     /* there is only a VEX form */
    IR_HOST_CLOBBERS = 16, /* overwrites EFLAGS, not as its result */
    IR_HOST_IMM3 = 32,   /* without VEX, of the immediate only three bits count: for larger ones there is only a VEX form */
};

/* What the host must have, beyond x86-64-v2. */
typedef enum {
    IR_HOST_V2, IR_HOST_AES, IR_HOST_PCLMUL, IR_HOST_SHA, IR_HOST_AVX, IR_HOST_AVX2, IR_HOST_FMA,
    IR_HOST_F16C, IR_HOST_BMI1, IR_HOST_BMI2, IR_HOST_LZCNT, IR_HOST_GFNI, IR_HOST_SSE4A,
} IrHostFeature;

typedef struct IrHostCode {
    uint8_t prefix;  /* 0, 0x66, 0xf3, 0xf2 */
    uint8_t map;     /* 1: 0F, 2: 0F38, 3: 0F3A */
    uint8_t opcode;
    uint8_t form;    /* IrHostForm */
    uint8_t flags;
    uint8_t feature; /* IrHostFeature */
    uint8_t digit;   /* IR_HOST_SHIFT */
} IrHostCode;

#endif
