/* SPDX-License-Identifier: MIT */
/*
 * An x86-64 assembler (Intel SDM volume 2): writes instructions into a buffer.
 *
 * An instruction is named by its encoding, OP(prefix, map, opcode); the functions add REX or VEX as
 * the operands need. Registers 0..15 are integer, 16..31 vector registers. Callers make sure of room
 * (assembler_room) before each IR op; what does not fit is dropped and leaves `full` set.
 */
#ifndef ACCEL_TCG_HOST_X86_64_ASSEMBLER_H
#define ACCEL_TCG_HOST_X86_64_ASSEMBLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    RAX,
    RCX,
    RDX,
    RBX,
    RSP,
    RBP,
    RSI,
    RDI,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
    XMM0 = 16,
    NO_REG = -1,
    RIP_BASE = 0x45 /* as a base: the displacement is patched later */
};

/* x86 condition codes. */
enum {
    CC_O,
    CC_NO,
    CC_B,
    CC_AE,
    CC_E,
    CC_NE,
    CC_BE,
    CC_A,
    CC_S,
    CC_NS,
    CC_P,
    CC_NP,
    CC_L,
    CC_GE,
    CC_LE,
    CC_G
};

/* Mandatory prefixes and opcode maps, numbered as in VEX. */
enum { PP_NONE, PP_66, PP_F3, PP_F2 };
enum { MAP_NONE, MAP_0F, MAP_0F38, MAP_0F3A };
#define OP(pp, map, opcode) ((uint32_t)(pp) << 16 | (uint32_t)(map) << 8 | (opcode))
#define OP_PP(op)           ((op) >> 16 & 3)
#define OP_MAP(op)          ((op) >> 8 & 3)
#define OP_BYTE_REG         (1u << 24) /* the reg operand is a byte register */
#define OP_BYTE_RM          (1u << 25) /* the rm operand is a byte register */

/* Integer instructions that several files use. */
enum {
    OP_ADD = 0x03,
    OP_OR = 0x0b,
    OP_ADC = 0x13,
    OP_SBB = 0x1b,
    OP_AND = 0x23,
    OP_SUB = 0x2b,
    OP_XOR = 0x33,
    OP_CMP = 0x3b,
    OP_MOV = 0x8b,
    OP_LEA = 0x8d,
    OP_MOV_STORE = 0x89,
    OP_TEST = 0x85,
    OP_XCHG = 0x87,
    OP_MOVSXD = 0x63,
};
/* The /digit of group 1 (80, 81, 83), by the same names. */
enum { G1_ADD, G1_OR, G1_ADC, G1_SBB, G1_AND, G1_SUB, G1_XOR, G1_CMP };
/* The /digit of the shift group (C1, D3). */
enum { SHIFT_ROL, SHIFT_ROR, SHIFT_RCL, SHIFT_RCR, SHIFT_SHL, SHIFT_SHR, SHIFT_SAR = 7 };
/* Single bytes. */
enum { BYTE_POP = 0x58, BYTE_CMC = 0xf5, BYTE_CLC = 0xf8, BYTE_STC = 0xf9 };

typedef struct {
    uint8_t *p;
    uint8_t *end;
    bool full;
    uint8_t lost[16];
} Assembler;

/* base + index * scale + disp; index NO_REG: none. */
typedef struct {
    int8_t base, index;
    uint8_t scale_log2;
    int32_t disp;
} Mem;

static inline Mem mem(int base, int64_t disp)
{
    return (Mem){ .base = (int8_t)base, .index = NO_REG, .disp = (int32_t)disp };
}

static inline Mem mem_index(int base, int index, unsigned scale_log2, int64_t disp)
{
    return (Mem){ .base = (int8_t)base,
                  .index = (int8_t)index,
                  .scale_log2 = (uint8_t)scale_log2,
                  .disp = (int32_t)disp };
}

/*
 * Bytes are written through a pointer that stays in a register: asm_begin gives it, with room for one
 * instruction behind it, and asm_end takes the end of what was written. Without room what is written is lost.
 */
enum { ASM_MAX_INSN = 16 };

static inline uint8_t *asm_begin(Assembler *a)
{
    if (a->end - a->p >= ASM_MAX_INSN) {
        return a->p;
    }
    a->full = true;
    return a->lost;
}

static inline void asm_end(Assembler *a, uint8_t *p)
{
    if (!a->full) {
        a->p = p;
    }
}

static inline uint8_t *asm_put_u32(uint8_t *p, uint32_t value)
{
    memcpy(p, &value, 4);
    return p + 4;
}

static inline void asm_u8(Assembler *a, unsigned value)
{
    uint8_t *p = asm_begin(a);

    *p++ = (uint8_t)value;
    asm_end(a, p);
}

static inline void asm_u32(Assembler *a, uint32_t value)
{
    asm_end(a, asm_put_u32(asm_begin(a), value));
}

static inline void asm_bytes(Assembler *a, const void *bytes, size_t size)
{
    if ((size_t)(a->end - a->p) < size) {
        a->full = true;
    } else {
        memcpy(a->p, bytes, size);
        a->p += size;
    }
}

static inline void asm_u64(Assembler *a, uint64_t value)
{
    uint8_t *p = asm_begin(a);

    memcpy(p, &value, 8);
    asm_end(a, p + 8);
}

static inline bool asm_fits8(int64_t value)
{
    return value == (int8_t)value;
}

static inline bool asm_fits32(int64_t value)
{
    return value == (int32_t)value;
}

/* The generic forms. w: 64-bit operands. */
void asm_rr(Assembler *a, uint32_t op, bool w, int reg, int rm);
void asm_rm(Assembler *a, uint32_t op, bool w, int reg, Mem m);
void asm_rm_imm8(Assembler *a, uint32_t op, bool w, int reg, Mem m, unsigned imm);
void asm_vex_rr(Assembler *a, uint32_t op, bool w, bool l, int reg, int vvvv, int rm);
void asm_vex_rm(Assembler *a, uint32_t op, bool w, bool l, int reg, int vvvv, Mem m);

/* Integer moves and arithmetic. */
void asm_mov(Assembler *a, bool w, int to, int from);
void asm_mov_imm(Assembler *a, int to, uint64_t value); /* leaves the flags alone */
void asm_load(Assembler *a, bool w, int to, Mem m);
void asm_store(Assembler *a, bool w, Mem m, int from);
void asm_store_sized(Assembler *a, unsigned size_log2, Mem m, int from);
void asm_store_imm(Assembler *a, unsigned size_log2, Mem m, int32_t value);
void asm_lea(Assembler *a, bool w, int to, Mem m);
void asm_lea_code(Assembler *a, int to, const uint8_t *target);
void asm_address(Assembler *a, int to, const void *target); /* the shortest way to have an address */
void asm_group1_imm(Assembler *a, bool w, unsigned digit, int rm, int32_t imm);
void asm_group1_mem_imm(Assembler *a, bool w, unsigned digit, Mem m, int32_t imm);
void asm_test_imm(Assembler *a, bool w, int rm, int32_t imm);
void asm_test_mem8_imm(Assembler *a, Mem m, unsigned imm);
void asm_shift_imm(Assembler *a, bool w, unsigned digit, int rm, unsigned count);
void asm_shift_cl(Assembler *a, bool w, unsigned digit, int rm);
void asm_unary(Assembler *a, bool w, unsigned digit,
               int rm); /* F7: 2 not 3 neg 4 mul 6 div 7 idiv */
void asm_bswap(Assembler *a, bool w, int reg);
/*
 * The same by operand size (log2 of bytes). op: the 32-bit form; the 8-bit form's opcode is one less. The
 * 8- and 16-bit forms leave the upper bits of the destination.
 */
void asm_rr_sized(Assembler *a, uint32_t op, unsigned size_log2, int reg, int rm);
void asm_rm_sized(Assembler *a, uint32_t op, unsigned size_log2, int reg, Mem m);
void asm_digit_sized(Assembler *a, uint32_t op, unsigned size_log2, unsigned digit, int rm);
void asm_group1_imm_sized(Assembler *a, unsigned size_log2, unsigned digit, int rm, int32_t imm);
void asm_group1_mem_imm_sized(Assembler *a, unsigned size_log2, unsigned digit, Mem m, int32_t imm);
void asm_test_imm_sized(Assembler *a, unsigned size_log2, int rm, int32_t imm);
void asm_shift_imm_sized(Assembler *a, unsigned size_log2, unsigned digit, int rm, unsigned count);
void asm_setcc(Assembler *a, unsigned cc, int reg);
void asm_movzx8(Assembler *a, int to, int from);

/* Control. Jumps forward return the place of their displacement, for asm_patch. */
uint8_t *asm_jcc_short(Assembler *a, unsigned cc);
uint8_t *asm_jmp_short(Assembler *a);
void asm_patch_short(Assembler *a, uint8_t *at);
uint8_t *asm_jcc(Assembler *a, unsigned cc);
uint8_t *asm_jmp(Assembler *a);
void asm_patch(Assembler *a, uint8_t *at); /* to here */
void asm_patch_to(Assembler *a, uint8_t *at, const uint8_t *target);
void asm_jcc_to(Assembler *a, unsigned cc, const uint8_t *target);
void asm_jmp_to(Assembler *a, const uint8_t *target);
void asm_call_to(Assembler *a, const void *target); /* clobbers rax when out of reach */
void asm_jmp_reg(Assembler *a, int reg);
void asm_jmp_mem(Assembler *a, Mem m);
void asm_call_mem(Assembler *a, Mem m);
void asm_push_mem(Assembler *a, Mem m);
void asm_pop_mem(Assembler *a, Mem m); /* an address by rsp is that after the pop */
void asm_nops(Assembler *a, size_t count);

#endif
