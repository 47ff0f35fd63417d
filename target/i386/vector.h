/* SPDX-License-Identifier: MIT */
/*
 * Vector instructions (SSE to AVX2, MMX). Most of them are one line each in vector-*.c:
 *
 *     SIMD(paddb, "66 0F FC /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
 *
 * The first strings are as in decode.h, for the VEX form (without H for the legacy form, where the first operand is
 * also the first source), and W0 or W1 at the end: of VEX forms. The next one lists the forms that exist: a feature, of
 * the legacy form; v:F, of VEX forms of any length; v:F/G, of those of 128 and of 256 bits; v0:F, v1:F, of one length
 * only; m:F, of the MMX form (m:F,d with 32 bits of memory); form:X, the IrHostForm where the operands do not tell it;
 * imm3, IR_HOST_IMM3. The last argument is the shape: what the C function looks like, and what the instruction needs.
 * SIMD_ALSO lines add encodings to an operation.
 *
 * On the host each is its own instruction (ir/host-code.h), so that results, NaNs and exceptions are right by
 * construction; the C function does the same for the interpreter. What the host's baseline (x86-64-v2) has is named in
 * it; what it may lack is computed.
 *
 * A 256-bit operation is two of 128 bits: registers are two variables each, xmm and the upper half of ymm.
 */
#ifndef TARGET_I386_VECTOR_H
#define TARGET_I386_VECTOR_H

#include "accel/tcg/ir/host-code.h"
#include "target/i386/translate.h"

enum { /* X86Simd.flags */
    X86_VECTOR_FP = 1,         /* notes exceptions in MXCSR */
    X86_VECTOR_UNALIGNED = 2,  /* 16 bytes of memory may lie anywhere in the legacy form, too */
    X86_VECTOR_IMM3 = 4,       /* the legacy form looks at three bits of the immediate */
    /* MMX: */
    X86_VECTOR_COMBINE = 8,    /* both sources are the halves of one operand of 128 bits (pack, horizontal) */
    X86_VECTOR_HIGH = 16,      /* the result is the high half of the one with 128 bits (unpack high) */
    X86_VECTOR_INDEX3 = 32,    /* bytes of the second source are indices of three bits (PSHUFB) */
    X86_VECTOR_LANE2 = 64,     /* two bits of the immediate are a lane */
    /* 256 bits: */
    X86_VECTOR_WIDEN = 128,    /* the result's lanes are wider than the source's */
    X86_VECTOR_NARROW = 256,   /* they are half as wide: the halves of the result are of 64 bits */
    X86_VECTOR_MASK = 512,     /* bits of lanes: those of the upper half go above the others */
    X86_VECTOR_ALIGN = 1024,   /* MMX: PALIGNR: the sources are halves, and shifted right */
    X86_VECTOR_STRING = 4096,  /* x86_compare_strings does it */
    X86_VECTOR_INSERTPS = 2048, /* of memory the first lane is meant, whatever the immediate says */
};

typedef struct X86Simd {
    const TcgHelper *helper;
    const TcgHelper *wide;     /* with a general register of 64 bits; NULL: none */
    uint16_t flags;
    uint8_t lanes;             /* MASK: of 128 bits */
    uint8_t opcode;            /* without a helper: an IrOpcode */
    uint8_t upper_shift;       /* of the immediate, for the upper half */
    bool reversed;             /* its arguments are the second source and the first */
} X86Simd;

typedef enum { X86_GATE_SSE, X86_GATE_AVX, X86_GATE_MMX } X86Gate;

/*
 * What comes before anything else of an instruction: raises #UD, #NM or a pending #MF, and is then true. Which state it
 * uses is said by its operands and encoding.
 */
bool x86_vector_refused(X86Translator *t);
bool x86_gate_refused(X86Translator *t, X86Gate gate);

/* SIMD lines' translator. */
void x86_vector_instruction(X86Translator *t);
/* The operation on values. imm: for those that have one. */
IrRef x86_vector_op(X86Translator *t, const TcgHelper *helper, IrRef a, IrRef b, IrRef c, int64_t imm);

/* Registers; half 1 is the upper one of ymm. */
IrRef x86_get_xmm(X86Translator *t, unsigned reg, unsigned half);
void x86_set_xmm(X86Translator *t, unsigned reg, unsigned half, IrRef value);
/* How many halves an instruction works on. */
unsigned x86_halves(const X86Translator *t);
/* The lower half; a VEX instruction clears the upper one. */
void x86_write_low(X86Translator *t, unsigned reg, IrRef value);
/* Vector operand n as v128: a half of a register, or memory, of which fewer bytes are zero-extended. aligned: 16 bytes
 * must be, or #GP. */
IrRef x86_read_vector(X86Translator *t, unsigned n, unsigned half, bool aligned);
/* Both halves; of an operand of 16 bytes and less that is it twice. */
void x86_read_halves(X86Translator *t, unsigned n, bool aligned, IrRef halves[2]);
/* All halves of operand n. */
void x86_write_vector(X86Translator *t, unsigned n, const IrRef values[2], bool aligned);
IrRef x86_zero_vector(X86Translator *t);
/* The address of the memory operand with its displacement. */
IrRef x86_memory_address(X86Translator *t, unsigned bytes, bool write);

/* PCMPxSTRx. */
void x86_compare_strings(X86Translator *t);

/* Around floating-point operations where MXCSR does not mask all exceptions; nothing otherwise. */
void x86_begin_float(X86Translator *t);
void x86_end_float(X86Translator *t);

/* MMX registers, as i64. Writing, like enter, makes the x87 registers MMX registers. */
IrRef x86_get_mmx(X86Translator *t, unsigned reg);
void x86_set_mmx(X86Translator *t, unsigned reg, IrRef value);
void x86_enter_mmx(X86Translator *t);

/* Rows. */
#define SIMD(name, encoding, operands, forms, shape, ...)                                          \
    extern const X86Simd x86_vector_##name;                                                      \
    extern const IrHostCode x86_host_##name[2];                                                    \
    shape(name, ##__VA_ARGS__)
#define SIMD_ALSO(name, ...) extern const X86Simd x86_vector_##name;

#define X86_VECTOR_HELPER(id, fn, helper_result, helper_flags, w, row, ...)                        \
    static const TcgHelper call_##id = { .name = #id, .function = (void *)fn,                      \
                                         .result = helper_result, .flags = helper_flags,           \
                                         .arg_types = { __VA_ARGS__ }, .host = &x86_host_##row[w] }; \
    TCG_HELPER(call_##id)

#endif
