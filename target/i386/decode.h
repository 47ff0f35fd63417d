/* SPDX-License-Identifier: MIT */
/*
 * Decoding of x86 instructions. Each encoding is an X86 line above its translator:
 *
 *     X86(add, "01 /r", "Ev Gv", "LOCK")
 *     X86(add, "83 /0", "Ev Ibs", "LOCK")
 *     void x86_add(X86Translator *t)
 *
 * The second string is the encoding in the notation of the manuals: an optional prefix that belongs to the
 * instruction (NP: none of 66, F3, F2; 66; F3; F2; nothing: prefixes have their usual meaning), the opcode bytes
 * (0F, 0F 38, 0F 3A maps), and then /r (a ModRM byte), /0 to /7 (a ModRM byte with that reg field), `mem` or `reg`
 * (its mod field says memory, or a register), `rm=N` (its rm field), `vsib` (memory with a SIB byte
 * whose index is a vector register), or +r (the low three bits of the opcode are a register). VEX encodings begin with
 * "VEX.128.66.0F38.W0": LIG or nothing for any length, WIG or nothing for any W.
 *
 * The third string names the operands (AMD APM volume 3, appendix A): a letter for where it is, and one or two for
 * its size.
 *     E  ModRM.rm: general register or memory    R  the same, register only    M  memory only
 *     G  ModRM.reg: general register             B  VEX.vvvv: general register  Z  the opcode's register
 *     I  immediate (Ibs: a byte, sign extended)  J  branch displacement        A  far pointer  O  memory offset
 *     S  segment register in ModRM.reg           C  control register           D  debug register
 *     V  vector register in ModRM.reg            W  ModRM.rm: vector register or memory  U  register only
 *     H  VEX.vvvv: vector register               L  in the top bits of an immediate byte
 *     P  MMX register in ModRM.reg               Q  ModRM.rm: MMX register or memory     N  register only
 *     AL CL DX AX rAX 1 ES CS SS DS FS GS XMM0   fixed ones
 * Sizes: b w d q dq (16) qq (32) t (10 bytes); v the operand size; z the same, at most 4; y 4, or 8 with W; x the
 * vector length; h half of it; p a far pointer in memory (operand size plus 2); s none.
 *
 * The fourth string holds flags: LOCK (allowed with a memory destination), i64 (invalid in 64-bit mode), o64 (only
 * there), d64 (64-bit operands by default there), f64 (always), PROT (undefined in real and virtual-8086 mode), MOD3
 * (ModRM.rm is a register whatever ModRM.mod is), and the
 * CPUID feature without which it is undefined, by its identifier in cpu-features.h; with PLAIN, without the feature the
 * prefix is ignored, and the opcode is what it is without it.
 *
 * scripts/generate-x86-decoder makes the tables, and refuses encodings that cannot be told apart.
 */
#ifndef TARGET_I386_DECODE_H
#define TARGET_I386_DECODE_H

#include "target/i386/cpu.h"

typedef struct X86Translator X86Translator;
typedef void X86Translate(X86Translator *t);

#define X86(name, ...) X86Translate x86_##name;

typedef enum {
    X86_OPERAND_NONE,
    X86_OPERAND_E, X86_OPERAND_R, X86_OPERAND_M, X86_OPERAND_G, X86_OPERAND_B, X86_OPERAND_Z,
    X86_OPERAND_I, X86_OPERAND_J, X86_OPERAND_A, X86_OPERAND_O, X86_OPERAND_S, X86_OPERAND_C, X86_OPERAND_D,
    X86_OPERAND_V, X86_OPERAND_W, X86_OPERAND_U, X86_OPERAND_H, X86_OPERAND_L,
    X86_OPERAND_P, X86_OPERAND_Q, X86_OPERAND_N,
    X86_OPERAND_GPR,           /* a fixed general register: X86OperandSpec.fixed */
    X86_OPERAND_SEGMENT,       /* a fixed segment register */
    X86_OPERAND_ONE,           /* the constant 1 */
    X86_OPERAND_XMM,           /* a fixed vector register */
} X86OperandKind;

typedef enum {
    X86_SIZE_NONE, X86_SIZE_B, X86_SIZE_BS, X86_SIZE_W, X86_SIZE_D, X86_SIZE_Q, X86_SIZE_DQ, X86_SIZE_QQ, X86_SIZE_T,
    X86_SIZE_V, X86_SIZE_Z, X86_SIZE_Y, X86_SIZE_X, X86_SIZE_H, X86_SIZE_P,
} X86SizeKind;

typedef struct { uint8_t kind, size, fixed; } X86OperandSpec;

enum { X86_ANY = 0xff };
enum { X86_PREFIX_NONE, X86_PREFIX_66, X86_PREFIX_F3, X86_PREFIX_F2, X86_PREFIX_ANY };
enum { X86_MOD_ANY, X86_MOD_MEM, X86_MOD_REG };
enum { /* X86Encoding.flags */
    X86_LOCK = 1, X86_I64 = 2, X86_O64 = 4, X86_D64 = 8, X86_F64 = 16, X86_PROT = 32, X86_MODRM = 64, X86_VEX = 128,
    X86_PLAIN = 256, X86_VSIB = 512, X86_MOD3 = 1024,
};

/* One X86 line. */
typedef struct {
    X86Translate *translate;
    const char *name, *text;   /* text: the encoding as written */
    uint8_t prefix;            /* X86_PREFIX_* */
    uint8_t reg;               /* ModRM.reg, or X86_ANY */
    uint8_t mod;               /* X86_MOD_* */
    uint8_t rm;                /* ModRM.rm, or X86_ANY */
    uint8_t vex_l, vex_w;      /* or X86_ANY */
    uint16_t flags;
    uint16_t feature;          /* X86Feature */
    X86OperandSpec operands[4];
    const struct X86Simd *vector; /* of a SIMD line (vector.h) */
} X86Encoding;

/* Generated. The encodings of an opcode: [first[map][opcode], first[map][opcode + 1]), the most special ones first. */
enum { X86_MAP_1, X86_MAP_0F, X86_MAP_0F38, X86_MAP_0F3A, X86_MAPS };
extern const X86Encoding x86_encodings[];
extern const unsigned x86_encoding_count;
extern const uint16_t x86_first_encoding[X86_MAPS][257];

typedef struct {
    uint8_t kind;              /* X86OperandKind */
    uint8_t bytes;             /* its size; 0: none */
    uint8_t reg;               /* number of the register */
    bool memory;               /* E, W, Q: ModRM says memory */
    bool high;                 /* a byte register: AH, CH, DH, BH, of register reg - 4 (reg has been reduced) */
    int64_t imm;               /* I, J (displacement), A (offset) */
} X86Operand;

typedef struct {
    const X86Encoding *encoding; /* NULL: undefined */
    uint8_t length;            /* bytes */
    uint8_t opcode, map;
    bool lock, prefix_66, prefix_67;
    uint8_t rep;               /* 0, 0xf3, 0xf2: the last one */
    int8_t segment;            /* override: X86SegmentName; -1: none */
    uint8_t rex;               /* 0x40 to 0x4f; 0: none */
    uint8_t operand_bytes, address_bytes; /* 2, 4, 8 */
    bool vex;
    uint8_t vex_l, vex_w, vex_register;
    bool has_modrm;
    uint8_t mod, reg, rm;      /* as encoded, without REX */
    /* Memory operand: base + (index << scale) + displacement; base or index -1: none. */
    int8_t base, index;
    uint8_t scale;
    bool rip_relative;
    int32_t displacement;      /* and O's offset in operand.imm */
    uint8_t operand_count;
    X86Operand operands[4];
    uint16_t far_selector;     /* A */
} X86Insn;

enum { X86_MAX_INSN = 15 };

typedef enum {
    X86_DECODED,
    X86_DECODE_UNDEFINED,      /* #UD; length is what was looked at */
    X86_DECODE_TOO_LONG,       /* #GP(0) */
    X86_DECODE_NEEDS_NEXT,     /* more bytes than code has: tcg_code_has has been asked */
} X86DecodeResult;

/* Decodes at a page offset. cpu: for its features; mode: X86_MODE_*. */
X86DecodeResult x86_decode(X86Insn *insn, const X86Cpu *cpu, TcgCode *code, unsigned offset, uint64_t mode);

#endif
