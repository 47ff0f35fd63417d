/* SPDX-License-Identifier: MIT */
/*
 * The translator's intermediate representation.
 *
 * A unit is an extended block: a straight list of ops with one entry at the top and any number of
 * side exits. Values are SSA: an op that has a result is that result, and is named by its index.
 * Guest registers are variables (`get`, `set`), not memory; condition flags are values of their own
 * type. There are no internal labels: what looks like control flow inside one guest instruction is
 * a select, a fused op, or a helper call.
 *
 * Guest pcs in a unit are relative to the start of the 4 KiB guest page that the unit lies in, which
 * keeps units independent of where the page is mapped. An instruction that runs into the next page is a
 * unit of its own.
 *
 * Integer ops have type i32 or i64; an i32 value used as i64 must go through zext/sext. Operands that
 * are `const` ops are folded into instructions by back ends: there are no separate immediate forms.
 */
#ifndef ACCEL_TCG_IR_IR_H
#define ACCEL_TCG_IR_IR_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/registry.h"

/* V256 is reserved: it has a name in texts, but no op or variable may have it yet. */
typedef enum { IR_VOID, IR_I32, IR_I64, IR_V128, IR_FLAGS, IR_V256 } IrType;

/* The index of the op that defines a value; 0 is none (op 0 is always `nop`). */
typedef uint16_t IrRef;

typedef uint64_t V128 __attribute__((vector_size(16)));

/*
 * Conditions on flags: N(egative) Z(ero) C(arry) V (overflow) P(arity) A(uxiliary carry), see flags.h. C
 * after a subtraction is "no borrow", or "borrow" with IR_BORROW: HI and LS are unsigned comparisons in
 * the first case, A and BE in the second; the others mean the same in both. There is no "never".
 */
typedef enum {
    IR_EQ, IR_NE, IR_CS, IR_CC, IR_MI, IR_PL, IR_VS, IR_VC,
    IR_HI, IR_LS, IR_GE, IR_LT, IR_GT, IR_LE,
    IR_BE, IR_A,  /* C or Z; neither */
    IR_PE, IR_PO, /* P; not P */
    IR_COND_COUNT,
} IrCond;
#define ir_cond_invert(cond) ((IrCond)((cond) ^ 1))

/*
 * `sub` of integer ops and of the flags ops that go with them.
 *
 * Ops on 8 and 16 bits. A flags op says its width by esz: 0 and 1 with operands of either type, whose
 * upper bits do not count, 2 with i32, 3 with i64. A value op with IR_MERGE8 or IR_MERGE16 computes in
 * 8 or 16 bits: its result is a with the low 8 or 16 bits replaced. Shift counts are then modulo 32.
 */
enum {
    IR_BORROW = 1,       /* subf, sbcf, sbc: C is "borrow", both read and written */
    IR_MERGE8 = 2,
    IR_MERGE16 = 4,
    IR_UNSIGNED = 8,     /* mulf */
};

/* `sub` of fconst, fpack, funpack and fcmp: flags in the x86 layout (EFLAGS) or sense (UCOMISS). */
enum { IR_X86 = 1 };

/*
 * `sub` of memory ops. Addresses of 32 or 16 bits: a + imm is meant modulo 2^32 or 2^16. Nothing needs to be
 * masked before: contexts of code with such addresses map none beyond, so that a sum outside is a miss, and the
 * slow path wraps it. Such code needs context keys of its own.
 */
enum {
    IR_MEM_SIGNED = 1,   /* integer load: sign extension (otherwise zero) to the op's type */
    IR_MEM_OTHER = 2,    /* in the other context: unprivileged at EL1 (LDTR), implicit supervisor accesses */
    IR_MEM_BE = 4,       /* big-endian data; vectors always travel in memory order */
    IR_MEM_ALIGNED = 8,  /* an unaligned address (v128, too) is an alignment fault */
    IR_MEM_SC = 16,      /* store: a later load may not pass it (STLR) */
    IR_MEM_PAIR = 32,    /* ldchk, st2: devices ask for the alignment of one half only */
    IR_MEM_ZERO = 64,    /* mzero (implied): devices refuse it with an alignment fault */
    IR_MEM_WRAP32 = 128,
    IR_MEM_WRAP16 = 256,
    IR_MEM_FOR_WRITE = 512, /* ld, ldchk: the location will be written: checked, and faults, as a write.
                             * cas, amo, stx: faults are a write's, not a read's */
    IR_MEM_STACK = 1024, /* through the stack: for the target, when it describes a fault */
    IR_MEM_ONLY_STORED = 2048, /* ldchk with FOR_WRITE: nothing is read. Where storing takes more than a store by the host, the
                                * cookie is env->bounce_address, and whoever asked stores by tcg_store, which cannot fault then */
};

static inline uint64_t ir_mem_wrap(uint64_t address, unsigned flags)
{
    return flags & IR_MEM_WRAP32 ? (uint32_t)address : flags & IR_MEM_WRAP16 ? (uint16_t)address : address;
}

/* `sub` of fop: what to compute; args as listed. FP status and rounding are the guest's. */
typedef enum {
    IR_FADD, IR_FSUB, IR_FMUL, IR_FDIV,      /* a, b */
    IR_FSQRT,                                /* a */
    IR_FMA,                                  /* a * b + c, fused */
    IR_FMIN, IR_FMAX,                        /* a, b: NaN propagates, -0 < +0 */
    IR_FMINNM, IR_FMAXNM,                    /* a, b: IEEE minNum/maxNum */
    IR_FCMPEQ, IR_FCMPGT, IR_FCMPGE,         /* a, b: all-ones mask; GT and GE signal on any NaN */
    IR_FCVT_F,                               /* a: esz to the format imm (1 h, 2 s, 3 d); vectors:
                                              * from the low half or to it, the rest zero */
    IR_FROM_S, IR_FROM_U,                    /* scalar: integer arg a (i32/i64) to float */
    IR_FTO_S, IR_FTO_U,                      /* scalar: to integer of op type, rounding imm, saturating */
    IR_FROUND,                               /* to integral; imm: rounding | IR_ROUND_EXACT */
    IR_FVFROM_S, IR_FVFROM_U, IR_FVTO_S, IR_FVTO_U, /* vector, lanes of esz; imm as above */
    IR_FOP_COUNT,
} IrFop;

/* Rounding: Arm's RMode encoding; CURRENT is what FPCR says. */
enum {
    IR_ROUND_NEAREST, IR_ROUND_UP, IR_ROUND_DOWN, IR_ROUND_ZERO, IR_ROUND_AWAY, IR_ROUND_CURRENT,
    IR_ROUND_EXACT = 8, /* may signal inexact */
};

/* `sub` of goto_ind. */
enum { IR_JUMP, IR_CALL, IR_RETURN };

/*
 * X(opcode, argument count, result, effects, what it computes)
 * result: V void, T the op's type, L i64, I i32, F flags, Q v128. Element size of vector ops: esz
 * (0 byte … 3 doubleword), lanes fill 128 bits. a b c d are the arguments.
 */
enum {
    IR_PURE = 0,
    IR_READ_VAR = 1,     /* depends on guest variables */
    IR_WRITE_VAR = 2,
    IR_FAULTS = 4,       /* may leave the unit with an exception: guest state must be exact here */
    IR_MEMORY = 8,       /* reads or writes guest memory: keeps its order among such ops */
    IR_CONTROL = 16,     /* leaves the unit, always or on a condition */
    IR_EFFECT = 32,      /* other side effect: never removed */
};

#define IR_OPS(X)                                                                                  \
    X(nop, 0, V, IR_PURE, "nothing")                                                               \
    X(insn, 0, V, IR_EFFECT, "a guest instruction starts: imm page offset, aux raw bits")          \
    X(const, 0, T, IR_PURE, "imm (v128: both halves imm)")                                         \
    X(vconst, 0, Q, IR_PURE, "low half imm, high half aux")                                        \
    X(get, 0, T, IR_READ_VAR, "variable `var`")                                                    \
    X(set, 1, V, IR_WRITE_VAR, "variable `var` = a")                                               \
    X(pc, 0, L, IR_PURE, "start of the current page (virtual) + imm")                              \
    /* integers: shifts take the count modulo the width */                                         \
    X(add, 2, T, IR_PURE, "a + b")                                                                 \
    X(sub, 2, T, IR_PURE, "a - b")                                                                 \
    X(mul, 2, T, IR_PURE, "a * b, low half")                                                       \
    X(mulhs, 2, T, IR_PURE, "high half of the signed product")                                     \
    X(mulhu, 2, T, IR_PURE, "high half of the unsigned product")                                   \
    X(divs, 2, T, IR_PURE, "signed a / b; b = 0: 0; overflow: a")                                  \
    X(divu, 2, T, IR_PURE, "unsigned a / b; b = 0: 0")                                             \
    X(and, 2, T, IR_PURE, "a & b")                                                                 \
    X(or, 2, T, IR_PURE, "a | b")                                                                  \
    X(xor, 2, T, IR_PURE, "a ^ b")                                                                 \
    X(andn, 2, T, IR_PURE, "a & ~b")                                                               \
    X(not, 1, T, IR_PURE, "~a")                                                                    \
    X(neg, 1, T, IR_PURE, "-a")                                                                    \
    X(shl, 2, T, IR_PURE, "a << b")                                                                \
    X(shr, 2, T, IR_PURE, "a >> b, zeros in")                                                      \
    X(sar, 2, T, IR_PURE, "a >> b, sign in")                                                       \
    X(ror, 2, T, IR_PURE, "a rotated right by b")                                                  \
    X(rol, 2, T, IR_PURE, "a rotated left by b")                                                   \
    X(rcl, 3, T, IR_PURE, "a with c.C above it, rotated left by b (8 and 16 bits: modulo 9, 17)")  \
    X(rcr, 3, T, IR_PURE, "the same, rotated right")                                               \
    X(shld, 3, T, IR_PURE, "a << c, filled from the top of b; not of 8 bits; c > 16 of 16 unspecified") \
    X(shrd, 3, T, IR_PURE, "a >> c, filled from the bottom of b; the same")                        \
    X(extr, 2, T, IR_PURE, "(a:b) >> imm, low half; imm < width")                                  \
    X(clz, 1, T, IR_PURE, "leading zeros; width for 0")                                            \
    X(ctz, 1, T, IR_PURE, "trailing zeros; width for 0")                                           \
    X(cls, 1, T, IR_PURE, "leading sign bits less one")                                            \
    X(rbit, 1, T, IR_PURE, "bits reversed")                                                        \
    X(bswap, 1, T, IR_PURE, "bytes reversed within each group of 1 << esz bytes (esz 1..3)")       \
    X(popcnt, 1, T, IR_PURE, "one bits")                                                           \
    X(zext, 1, T, IR_PURE, "low 8 << esz bits of a (i32 or i64)")                                  \
    X(sext, 1, T, IR_PURE, "low 8 << esz bits of a, sign extended")                                \
    X(trunc, 1, I, IR_PURE, "low 32 bits of an i64")                                               \
    X(ubfx, 1, T, IR_PURE, "bits [imm, imm + aux) of a")                                           \
    X(sbfx, 1, T, IR_PURE, "the same, sign extended")                                              \
    X(bfi, 2, T, IR_PURE, "a with bits [imm, imm + aux) from the low bits of b")                   \
    /* flags */                                                                                    \
    X(addf, 2, F, IR_PURE, "of a + b; T is the operands' type (type field), esz the width")        \
    X(subf, 2, F, IR_PURE, "of a - b")                                                             \
    X(andf, 2, F, IR_PURE, "N Z P of a & b, C = V = A = 0")                                        \
    X(negf, 1, F, IR_PURE, "of 0 - a, C is borrow")                                                \
    X(adcf, 3, F, IR_PURE, "of a + b + c.C")                                                       \
    X(sbcf, 3, F, IR_PURE, "of a + ~b + c.C (IR_BORROW: a - b - c.C)")                             \
    X(adc, 3, T, IR_PURE, "a + b + c.C")                                                           \
    X(sbc, 3, T, IR_PURE, "a + ~b + c.C (IR_BORROW: a - b - c.C)")                                 \
    /*                                                                                             \
     * Of shifts and rotates, with the old flags as an optional last argument: a count of 0 keeps  \
     * them all, rotates keep N Z P A; without it those are unspecified. V is specified for        \
     * counts of 1, A never: they are what hosts make of them.                                     \
     */                                                                                            \
    X(shlf, 3, F, IR_PURE, "of a << b, old flags c; C the last bit out")                           \
    X(shrf, 3, F, IR_PURE, "of a >> b, zeros in, old flags c")                                     \
    X(sarf, 3, F, IR_PURE, "of a >> b, sign in, old flags c")                                      \
    X(rolf, 3, F, IR_PURE, "C V of rol, old flags c")                                              \
    X(rorf, 3, F, IR_PURE, "C V of ror, old flags c")                                              \
    X(rclf, 3, F, IR_PURE, "C V of rcl, old flags c (not optional)")                               \
    X(rcrf, 3, F, IR_PURE, "C V of rcr, old flags c (not optional)")                               \
    X(shldf, 4, F, IR_PURE, "of shld, old flags d; esz 1..3")                                      \
    X(shrdf, 4, F, IR_PURE, "of shrd, old flags d; esz 1..3")                                      \
    /* Only the flags named are specified; the others come by fmerge. */                           \
    X(mulf, 2, F, IR_PURE, "C = V = the signed (IR_UNSIGNED: unsigned) product a * b does not fit") \
    X(btf, 2, F, IR_PURE, "C = bit b (modulo the width) of a; esz 1..3")                           \
    X(lzcntf, 1, F, IR_PURE, "C = a is 0; Z = its top bit is set; esz 1..3")                       \
    X(tzcntf, 1, F, IR_PURE, "C = a is 0; Z = its lowest bit is set; esz 1..3")                    \
    X(popcntf, 1, F, IR_PURE, "Z = a is 0; all others 0 (and specified); esz 1..3")                \
    X(fmerge, 2, F, IR_PURE, "flags a, with those in imm (TCG_FLAG_*) from b")                     \
    X(fconst, 0, F, IR_PURE, "imm: NZCV in bits 3..0, P = A = 0; IR_X86: EFLAGS")                  \
    X(fpack, 1, F, IR_PURE, "from an i32 with NZCV in bits 31..28, P = A = 0; IR_X86: from EFLAGS") \
    X(funpack, 1, I, IR_PURE, "an i32 with NZCV in bits 31..28, rest 0; IR_X86: with all six as in EFLAGS") \
    X(cset, 1, T, IR_PURE, "1 when cond holds on flags a, else 0")                                 \
    X(sel, 3, T, IR_PURE, "cond on flags a: b, else c (int, v128)")                                \
    X(fsel, 3, F, IR_PURE, "cond on flags a: flags b, else flags c")                               \
    X(fcmp, 2, F, IR_EFFECT, "compare scalar floats of esz; imm 1: signal on quiet NaN too; helper. " \
                             "a<b N; a==b ZC; a>b C; unordered CV. IR_X86: a<b C; a==b Z; a>b none; unordered ZPC")                                \
    /* guest memory: address a + imm; esz log2 of bytes (v128: 0..4, zero-extended) */             \
    X(ld, 1, T, IR_FAULTS | IR_MEMORY, "load")                                                     \
    X(st, 2, V, IR_FAULTS | IR_MEMORY, "store b")                                                  \
    X(ldchk, 1, L, IR_FAULTS | IR_MEMORY, "checks aux bytes at a + imm for reading: a cookie; esz is of IR_MEM_ALIGNED") \
    X(ldraw, 1, T, IR_MEMORY, "load at cookie a + imm; directly follows its ldchk and siblings")   \
    X(st2, 3, V, IR_FAULTS | IR_MEMORY, "store b, then c right behind it; both of esz, one check, aligned as one") \
    X(mzero, 1, V, IR_FAULTS | IR_MEMORY, "zero imm bytes (a power of two, 16..2048) at a, aligned down") \
    X(cas, 3, T, IR_FAULTS | IR_MEMORY, "atomic: old = [a]; if old == b then [a] = c; old")        \
    X(amo, 2, T, IR_FAULTS | IR_MEMORY, "atomic: old = [a]; [a] = old (aux: IrAmo) b; old")        \
    X(stx, 4, I, IR_FAULTS | IR_MEMORY, "store-exclusive of b at a: 0 done, 1 failed. Fails without "\
          "access when a != c (monitored address); else compare-and-swap against d (monitored value)") \
    X(fence, 0, V, IR_MEMORY | IR_EFFECT, "full barrier")                                          \
    /* vectors */                                                                                  \
    X(vadd, 2, Q, IR_PURE, "a + b")                                                                \
    X(vsub, 2, Q, IR_PURE, "a - b")                                                                \
    X(vmul, 2, Q, IR_PURE, "a * b, low; esz 0..3")                                                 \
    X(vmull, 2, Q, IR_PURE, "low-half lanes of esz widened (imm 1: signed) and multiplied")        \
    X(vneg, 1, Q, IR_PURE, "-a")                                                                   \
    X(vabs, 1, Q, IR_PURE, "|a|, wrapping")                                                        \
    X(vand, 2, Q, IR_PURE, "a & b")                                                                \
    X(vor, 2, Q, IR_PURE, "a | b")                                                                 \
    X(vxor, 2, Q, IR_PURE, "a ^ b")                                                                \
    X(vandn, 2, Q, IR_PURE, "a & ~b")                                                              \
    X(vnot, 1, Q, IR_PURE, "~a")                                                                   \
    X(vbsl, 3, Q, IR_PURE, "(a & b) | (~a & c)")                                                   \
    X(vshl, 1, Q, IR_PURE, "a << imm; imm < lane width")                                           \
    X(vshr, 1, Q, IR_PURE, "a >> imm, zeros in; imm <= width")                                     \
    X(vsar, 1, Q, IR_PURE, "a >> imm, sign in; imm <= width")                                      \
    X(vcmpeq, 2, Q, IR_PURE, "mask a == b")                                                        \
    X(vcmpgts, 2, Q, IR_PURE, "mask a > b, signed")                                                \
    X(vcmpgtu, 2, Q, IR_PURE, "mask a > b, unsigned")                                              \
    X(vmins, 2, Q, IR_PURE, "signed minimum")                                                      \
    X(vminu, 2, Q, IR_PURE, "unsigned minimum")                                                    \
    X(vmaxs, 2, Q, IR_PURE, "signed maximum")                                                      \
    X(vmaxu, 2, Q, IR_PURE, "unsigned maximum")                                                    \
    X(vqadds, 2, Q, IR_PURE, "signed saturating a + b")                                            \
    X(vqaddu, 2, Q, IR_PURE, "unsigned saturating a + b")                                          \
    X(vqsubs, 2, Q, IR_PURE, "signed saturating a - b")                                            \
    X(vqsubu, 2, Q, IR_PURE, "unsigned saturating a - b")                                          \
    X(vwidens, 1, Q, IR_PURE, "low-half lanes of esz, sign extended to esz + 1")                   \
    X(vwidenu, 1, Q, IR_PURE, "low-half lanes of esz, zero extended to esz + 1")                   \
    X(vnarrow, 2, Q, IR_PURE, "low part of each lane of esz + 1 (1..3) of a, then of b: lanes of esz") \
    X(vaddp, 2, Q, IR_PURE, "pairwise sums of the lanes of a, then of b")                          \
    X(vzip1, 2, Q, IR_PURE, "interleave low halves")                                               \
    X(vzip2, 2, Q, IR_PURE, "interleave high halves")                                              \
    X(vuzp1, 2, Q, IR_PURE, "even lanes of a, then of b")                                          \
    X(vuzp2, 2, Q, IR_PURE, "odd lanes of a, then of b")                                           \
    X(vtrn1, 2, Q, IR_PURE, "even lanes of a and b, alternating")                                  \
    X(vtrn2, 2, Q, IR_PURE, "odd lanes of a and b, alternating")                                   \
    X(vext, 2, Q, IR_PURE, "bytes of b:a from byte imm (0..15)")                                   \
    X(vrev, 1, Q, IR_PURE, "lanes of esz reversed within groups of 1 << imm bytes")                \
    X(vdup, 1, Q, IR_PURE, "integer a in all lanes of esz")                                        \
    X(vduplane, 1, Q, IR_PURE, "lane imm of a in all lanes")                                       \
    X(vins, 2, Q, IR_PURE, "a with lane imm = integer b")                                          \
    X(vinslane, 2, Q, IR_PURE, "a with lane imm = lane aux of b")                                  \
    X(vlane, 1, T, IR_PURE, "lane imm as an integer, zero extended")                               \
    X(vtbl, 2, Q, IR_PURE, "bytes of a indexed by bytes of b; 0 where b >= 16")                    \
    X(vpopcnt, 1, Q, IR_PURE, "one bits of each byte")                                             \
    X(vzext, 1, Q, IR_PURE, "low 8 << esz bits (esz 0..3), rest zero")                             \
    X(vhigh, 1, Q, IR_PURE, "high half moved to the low half, high half zero")                     \
    X(vcombine, 2, Q, IR_PURE, "low half of a, low half of b above it")                            \
    X(vfromint, 1, Q, IR_PURE, "integer a (i32/i64) in the low lane, rest zero")                   \
    X(aese, 2, Q, IR_PURE, "AES SubBytes(ShiftRows(a ^ b))")                                       \
    X(aesd, 2, Q, IR_PURE, "AES InvSubBytes(InvShiftRows(a ^ b))")                                 \
    X(aesmc, 1, Q, IR_PURE, "AES MixColumns")                                                      \
    X(aesimc, 1, Q, IR_PURE, "AES InvMixColumns")                                                  \
    X(pmull, 2, Q, IR_PURE, "carry-less product of the low doublewords")                           \
    X(crc32c, 2, I, IR_PURE, "CRC-32C step: a accumulator (i32), b data of esz bytes")             \
    /*                                                                                             \
     * Floating point (sub: IrFop). `helper` computes the same exactly and is called by            \
     * interpreters and, in back ends, from a cold stub when the fast path's result is a NaN or    \
     * otherwise not the guest's. scalar: flag in `var`: lane 0 only, the other lanes of the       \
     * result are those of a (two-operand forms) or zero (conversions). flush: `cond` is 1:        \
     * denormal operands and results are zeros, which the helper sees to. Helper signature: V128   \
     * or uint64_t f(env, args…, uint64_t imm).                                                    \
     */                                                                                            \
    X(fop, 3, T, IR_EFFECT, "floating-point operation `sub` on lanes of esz")                      \
    /* control: page-relative targets in imm */                                                    \
    X(exit_if, 1, V, IR_CONTROL, "cond on flags a: leave to pc imm")                               \
    X(goto, 0, V, IR_CONTROL, "leave to pc imm; may be linked directly")                           \
    X(goto_ind, 1, V, IR_CONTROL, "leave to the virtual pc a; sub: kind; aux: jump-cache class; imm: for TcgTarget.check_jump")   \
    X(push_return, 0, V, IR_EFFECT, "predict that a return to pc imm will follow")                 \
    X(dispatch, 0, V, IR_CONTROL, "leave to pc imm by way of the dispatcher: mode may have changed") \
    X(dispatch_env, 0, V, IR_CONTROL, "leave to env's pc, which a helper has set")                 \
    X(call, 4, T, IR_EFFECT, "helper(env?, a, b, c, d); effects by the helper's flags")            \
    X(call_if, 4, V, IR_FAULTS | IR_EFFECT, "when cond holds on flags a: helper(env?, b, c, d) of "\
          "integers, which changes no variables unless it unwinds")

typedef enum {
#define X(name, args, result, effects, text) IR_OP_##name,
    IR_OPS(X)
#undef X
    IR_OP_COUNT
} IrOpcode;

typedef enum { IR_AMO_ADD, IR_AMO_CLR, IR_AMO_EOR, IR_AMO_SET, IR_AMO_SMAX, IR_AMO_SMIN,
               IR_AMO_UMAX, IR_AMO_UMIN, IR_AMO_SWP } IrAmo; /* CLR: old & ~b */

typedef struct {
    const char *name;
    uint8_t args;
    char result;
    uint8_t effects;
    const char *text;
} IrOpInfo;
extern const IrOpInfo ir_op_info[IR_OP_COUNT];

/* C functions that ops call. Arguments: integers in order and vectors in order (System V). */
enum {
    HELPER_ENV = 1,        /* the first integer argument is the TcgState */
    HELPER_READS = 2,      /* reads guest variables: they are written back before */
    HELPER_WRITES = 4,     /* writes guest variables: they are forgotten after */
    HELPER_FAULTS = 8,     /* may call tcg_unwind(); implies READS, and the pc is exact */
    HELPER_NORETURN = 16,  /* always unwinds */
    HELPER_EFFECT = 32,    /* has effects beyond its result: never removed */
    HELPER_IMM = 64,       /* the op's imm is one more integer argument, the last */
};
/* What a pure helper computes, for back ends that have an instruction for it. */
typedef enum {
    IR_INTRINSIC_NONE,
    /* Arguments as the A64 instructions have them: d, n, m. SHA-1 rounds: m includes the constant. */
    IR_INTRINSIC_SHA1C, IR_INTRINSIC_SHA1P, IR_INTRINSIC_SHA1M,
    IR_INTRINSIC_SHA256H, IR_INTRINSIC_SHA256H2, IR_INTRINSIC_SHA256SU0, IR_INTRINSIC_SHA256SU1,
    /* USHL and SSHL of words and doublewords: by the low byte of each lane, negative ones right */
    IR_INTRINSIC_USHL_S, IR_INTRINSIC_USHL_D, IR_INTRINSIC_SSHL_S, IR_INTRINSIC_SSHL_D,
} IrIntrinsic;

typedef struct {
    const char *name;
    void *function;        /* integer types: uint64_t/uint32_t; vectors: V128 */
    uint8_t result;        /* IrType */
    uint8_t flags;
    uint8_t arg_types[4];  /* IrType; IR_VOID ends */
    uint8_t intrinsic;     /* IrIntrinsic */
    const struct IrHostCode *host; /* the instruction that computes it (host-code.h), or NULL */
} TcgHelper;
#define TCG_HELPER(object) REGISTRY_ADD(tcg_helpers, object)
REGISTRY_DECLARE(tcg_helpers, TcgHelper);

typedef struct {
    uint8_t opcode;        /* IrOpcode */
    uint8_t type;          /* IrType of the result, or of the operands where the result is flags/void */
    uint8_t esz;
    uint8_t cond;          /* IrCond; fop, fcmp: 1 = flush-to-zero */
    uint8_t var;           /* variable index; fop: 1 = scalar */
    uint16_t sub;          /* by opcode: IR_MEM_*, IrFop … */
    IrRef args[4];
    int64_t imm;
    union {
        int64_t aux;
        const TcgHelper *helper; /* call, fop */
    };
} IrOp;

/* A guest variable: a register of the guest as generated code knows it. */
typedef struct {
    const char *name;
    IrType type;
    int32_t offset;        /* bytes from the TcgState; flags: a uint16_t in the format of flags.h */
} IrVar;

enum { IR_MAX_OPS = 4096, IR_MAX_VARS = 96 };

typedef struct {
    const IrVar *vars;
    unsigned var_count;
    uint64_t mode;         /* the target's mode key */
    uint64_t next_page;    /* what TcgFetchEntry.host_page must be for the page behind, which the unit's one
                            * instruction runs into; 0: the unit lies in one page */
    uint16_t start;        /* page offset of the first guest instruction */
    uint16_t end;          /* page offset behind the last; beyond the page with next_page */
    unsigned insn_count;
    /*
     * What the run time wants at each instruction: a helper to be called before it, and a variable that counts
     * instructions exactly wherever it can be seen (its value before the unit). 0: neither.
     */
    const TcgHelper *check_insn;
    uint8_t count_var;
    /* A bit for each page offset: before instructions there check_break is called; NULL: nowhere. */
    const uint64_t *breaks;
    const TcgHelper *check_break;
    IrRef count_base;
    unsigned begun;        /* instructions that ir_begin_insn has begun */
    unsigned rounds;       /* of a loop, besides the first (ir_goes_round) */
    unsigned count;        /* ops in use */
    bool full;             /* an op did not fit: the translation must be redone with fewer instructions */
    IrOp ops[IR_MAX_OPS];
} IrUnit;

void ir_unit_init(IrUnit *unit, const IrVar *vars, unsigned var_count);
/* Appends; returns the ref. On overflow sets full and returns a harmless ref. */
IrRef ir_emit(IrUnit *unit, IrOp op);

/* Text form, one op a line: `%12 = add.i64 %3, %7`. Caller frees. */
char *ir_print(const IrUnit *unit);
bool ir_parse(IrUnit *unit, const char *text, GError **error);
/* Types, order of definition, argument counts, terminator, ldraw placement. */
bool ir_verify(const IrUnit *unit, GError **error);

/*
 * Types of an op's arguments, a letter each: T the op's type, otherwise as in IrOpInfo.result; * is any
 * integer, . anything.
 */
const char *ir_argument_types(const IrOp *op);
/* The type of an op's result; IR_VOID when it has none. */
IrType ir_result_type(const IrOp *op);
/* Whether an op must stay though its result is unused. */
bool ir_op_has_effect(const IrOp *op);
/* Whether nothing in a unit may follow this op. */
bool ir_op_ends_unit(const IrOp *op);

#endif
