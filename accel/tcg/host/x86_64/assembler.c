/* SPDX-License-Identifier: MIT */
/* The x86-64 assembler: encodings of Intel SDM volume 2, chapter 2. */
#include "accel/tcg/host/x86_64/assembler.h"

static const uint8_t legacy_prefix[4] = { 0, 0x66, 0xf3, 0xf2 };

static void put_rel32(uint8_t *at, const uint8_t *target)
{
    int32_t rel = (int32_t)(target - (at + 4));

    memcpy(at, &rel, 4);
}

static uint8_t *put_opcode(uint8_t *p, uint32_t op)
{
    unsigned map = OP_MAP(op);

    if (map != MAP_NONE) {
        *p++ = 0x0f;
        if (map == MAP_0F38) {
            *p++ = 0x38;
        } else if (map == MAP_0F3A) {
            *p++ = 0x3a;
        }
    }
    *p++ = op & 0xff;
    return p;
}

static uint8_t *put_modrm_mem(uint8_t *p, int reg, Mem m)
{
    unsigned r = (unsigned)(reg & 7) << 3;
    bool sib = m.index != NO_REG || (m.base & 7) == RSP;
    unsigned mod = m.disp == 0 && (m.base & 7) != RBP ? 0x00 : asm_fits8(m.disp) ? 0x40 : 0x80;

    if (m.base == RIP_BASE) {
        *p++ = (uint8_t)(r | 5);
        return asm_put_u32(p, (uint32_t)m.disp);
    }
    *p++ = (uint8_t)(mod | r | (sib ? 4u : (unsigned)(m.base & 7)));
    if (sib) {
        unsigned index = m.index == NO_REG ? 4u : (unsigned)(m.index & 7);

        *p++ = (uint8_t)((unsigned)m.scale_log2 << 6 | index << 3 | (unsigned)(m.base & 7));
    }
    if (mod == 0x40) {
        *p++ = (uint8_t)m.disp;
    } else if (mod == 0x80) {
        p = asm_put_u32(p, (uint32_t)m.disp);
    }
    return p;
}

static bool is_uncommon_byte(int reg)
{
    return (reg & 15) >= RSP && (reg & 15) <= RDI;
}

static uint8_t *put_rr(uint8_t *p, uint32_t op, bool w, int reg, int rm)
{
    unsigned rex = (unsigned)w << 3 | (unsigned)(reg >> 3 & 1) << 2 | (unsigned)(rm >> 3 & 1);
    bool force = ((op & OP_BYTE_REG) && is_uncommon_byte(reg)) ||
                 ((op & OP_BYTE_RM) && is_uncommon_byte(rm));

    if (OP_PP(op)) {
        *p++ = legacy_prefix[OP_PP(op)];
    }
    if (rex || force) {
        *p++ = (uint8_t)(0x40 | rex);
    }
    p = put_opcode(p, op);
    *p++ = (uint8_t)(0xc0 | (unsigned)(reg & 7) << 3 | (unsigned)(rm & 7));
    return p;
}

void asm_rr(Assembler *a, uint32_t op, bool w, int reg, int rm)
{
    asm_end(a, put_rr(asm_begin(a), op, w, reg, rm));
}

static uint8_t *put_rm(uint8_t *p, uint32_t op, bool w, int reg, Mem m)
{
    unsigned rex = (unsigned)w << 3 | (unsigned)(reg >> 3 & 1) << 2 |
                   (m.index == NO_REG ? 0u : (unsigned)(m.index >> 3 & 1) << 1) |
                   (unsigned)(m.base >> 3 & 1);

    if (OP_PP(op)) {
        *p++ = legacy_prefix[OP_PP(op)];
    }
    if (rex || ((op & OP_BYTE_REG) && is_uncommon_byte(reg))) {
        *p++ = (uint8_t)(0x40 | rex);
    }
    return put_modrm_mem(put_opcode(p, op), reg, m);
}

void asm_rm(Assembler *a, uint32_t op, bool w, int reg, Mem m)
{
    asm_end(a, put_rm(asm_begin(a), op, w, reg, m));
}

void asm_rm_imm8(Assembler *a, uint32_t op, bool w, int reg, Mem m, unsigned imm)
{
    uint8_t *p = put_rm(asm_begin(a), op, w, reg, m);

    *p++ = (uint8_t)imm;
    asm_end(a, p);
}

static uint8_t *put_vex(uint8_t *p, uint32_t op, bool w, bool l, int reg, int vvvv, int index,
                        int base)
{
    unsigned r = ~(unsigned)reg >> 3 & 1, x = ~(unsigned)index >> 3 & 1;
    unsigned b = ~(unsigned)base >> 3 & 1;
    unsigned last = (~(unsigned)vvvv & 15) << 3 | (unsigned)l << 2 | OP_PP(op);

    if (x && b && !w && OP_MAP(op) == MAP_0F) {
        *p++ = 0xc5;
        *p++ = (uint8_t)(r << 7 | last);
    } else {
        *p++ = 0xc4;
        *p++ = (uint8_t)(r << 7 | x << 6 | b << 5 | OP_MAP(op));
        *p++ = (uint8_t)((unsigned)w << 7 | last);
    }
    *p++ = op & 0xff;
    return p;
}

void asm_vex_rr(Assembler *a, uint32_t op, bool w, bool l, int reg, int vvvv, int rm)
{
    uint8_t *p = put_vex(asm_begin(a), op, w, l, reg, vvvv, 0, rm);

    *p++ = (uint8_t)(0xc0 | (unsigned)(reg & 7) << 3 | (unsigned)(rm & 7));
    asm_end(a, p);
}

void asm_vex_rm(Assembler *a, uint32_t op, bool w, bool l, int reg, int vvvv, Mem m)
{
    int index = m.index == NO_REG ? 0 : m.index;

    asm_end(a, put_modrm_mem(put_vex(asm_begin(a), op, w, l, reg, vvvv, index, m.base), reg, m));
}

void asm_mov(Assembler *a, bool w, int to, int from)
{
    asm_rr(a, OP_MOV, w, to, from);
}

void asm_mov_imm(Assembler *a, int to, uint64_t value)
{
    unsigned rex = (unsigned)(to >> 3 & 1);
    uint8_t *p = asm_begin(a);

    if (value <= UINT32_MAX) {
        if (rex) {
            *p++ = 0x41;
        }
        *p++ = (uint8_t)(0xb8 | (to & 7));
        p = asm_put_u32(p, (uint32_t)value);
    } else if (asm_fits32((int64_t)value)) {
        *p++ = (uint8_t)(0x48 | rex);
        *p++ = 0xc7;
        *p++ = (uint8_t)(0xc0 | (to & 7));
        p = asm_put_u32(p, (uint32_t)value);
    } else {
        *p++ = (uint8_t)(0x48 | rex);
        *p++ = (uint8_t)(0xb8 | (to & 7));
        memcpy(p, &value, 8);
        p += 8;
    }
    asm_end(a, p);
}

void asm_load(Assembler *a, bool w, int to, Mem m)
{
    asm_rm(a, OP_MOV, w, to, m);
}

void asm_store(Assembler *a, bool w, Mem m, int from)
{
    asm_rm(a, OP_MOV_STORE, w, from, m);
}

void asm_store_sized(Assembler *a, unsigned size_log2, Mem m, int from)
{
    switch (size_log2) {
    case 0:
        asm_rm(a, OP_BYTE_REG | 0x88, false, from, m);
        break;
    case 1:
        asm_rm(a, OP(PP_66, MAP_NONE, OP_MOV_STORE), false, from, m);
        break;
    default:
        asm_rm(a, OP_MOV_STORE, size_log2 == 3, from, m);
    }
}

void asm_store_imm(Assembler *a, unsigned size_log2, Mem m, int32_t value)
{
    uint8_t *p = asm_begin(a);

    switch (size_log2) {
    case 0:
        p = put_rm(p, 0xc6, false, 0, m);
        *p++ = (uint8_t)value;
        break;
    case 1:
        p = put_rm(p, OP(PP_66, MAP_NONE, 0xc7), false, 0, m);
        *p++ = (uint8_t)value;
        *p++ = (uint8_t)(value >> 8);
        break;
    default:
        p = asm_put_u32(put_rm(p, 0xc7, size_log2 == 3, 0, m), (uint32_t)value);
    }
    asm_end(a, p);
}

void asm_lea(Assembler *a, bool w, int to, Mem m)
{
    asm_rm(a, OP_LEA, w, to, m);
}

void asm_lea_code(Assembler *a, int to, const uint8_t *target)
{
    asm_rm(a, OP_LEA, true, to, mem(RIP_BASE, 0));
    if (!a->full) {
        put_rel32(a->p - 4, target);
    }
}

void asm_address(Assembler *a, int to, const void *target)
{
    int64_t rel = (int64_t)((uintptr_t)target - (uintptr_t)a->p);

    if (asm_fits32(rel + INT16_MIN) && asm_fits32(rel + INT16_MAX)) {
        asm_lea_code(a, to, target);
    } else {
        asm_mov_imm(a, to, (uintptr_t)target);
    }
}

/* An immediate of a byte or, if it does not fit, four. */
static uint8_t *put_imm(uint8_t *p, int32_t imm)
{
    if (asm_fits8(imm)) {
        *p++ = (uint8_t)imm;
        return p;
    }
    return asm_put_u32(p, (uint32_t)imm);
}

void asm_group1_imm(Assembler *a, bool w, unsigned digit, int rm, int32_t imm)
{
    uint8_t *p = put_rr(asm_begin(a), asm_fits8(imm) ? 0x83 : 0x81, w, (int)digit, rm);

    asm_end(a, put_imm(p, imm));
}

void asm_group1_mem_imm(Assembler *a, bool w, unsigned digit, Mem m, int32_t imm)
{
    uint8_t *p = put_rm(asm_begin(a), asm_fits8(imm) ? 0x83 : 0x81, w, (int)digit, m);

    asm_end(a, put_imm(p, imm));
}

void asm_test_imm(Assembler *a, bool w, int rm, int32_t imm)
{
    uint8_t *p = asm_begin(a);

    if (imm >= 0 && imm <= 0x7f) {
        p = put_rr(p, OP_BYTE_RM | 0xf6, false, 0, rm);
        *p++ = (uint8_t)imm;
    } else {
        p = asm_put_u32(put_rr(p, 0xf7, w && imm < 0, 0, rm), (uint32_t)imm);
    }
    asm_end(a, p);
}

void asm_test_mem8_imm(Assembler *a, Mem m, unsigned imm)
{
    asm_rm_imm8(a, 0xf6, false, 0, m, imm);
}

void asm_shift_imm(Assembler *a, bool w, unsigned digit, int rm, unsigned count)
{
    if (count == 1) {
        asm_rr(a, 0xd1, w, (int)digit, rm);
    } else {
        asm_rr(a, 0xc1, w, (int)digit, rm);
        asm_u8(a, count);
    }
}

void asm_shift_cl(Assembler *a, bool w, unsigned digit, int rm)
{
    asm_rr(a, 0xd3, w, (int)digit, rm);
}

void asm_unary(Assembler *a, bool w, unsigned digit, int rm)
{
    asm_rr(a, 0xf7, w, (int)digit, rm);
}

static uint32_t sized(uint32_t op, unsigned size_log2, uint32_t bytes)
{
    return size_log2 == 0 ? (op - 1) | bytes : size_log2 == 1 ? op | OP(PP_66, 0, 0) : op;
}

void asm_rr_sized(Assembler *a, uint32_t op, unsigned size_log2, int reg, int rm)
{
    asm_rr(a, sized(op, size_log2, OP_BYTE_REG | OP_BYTE_RM), size_log2 == 3, reg, rm);
}

void asm_rm_sized(Assembler *a, uint32_t op, unsigned size_log2, int reg, Mem m)
{
    asm_rm(a, sized(op, size_log2, OP_BYTE_REG), size_log2 == 3, reg, m);
}

void asm_digit_sized(Assembler *a, uint32_t op, unsigned size_log2, unsigned digit, int rm)
{
    asm_rr(a, sized(op, size_log2, OP_BYTE_RM), size_log2 == 3, (int)digit, rm);
}

static void emit_imm_sized(Assembler *a, unsigned size_log2, int32_t imm)
{
    asm_u8(a, (uint8_t)imm);
    if (size_log2 == 1) {
        asm_u8(a, (uint8_t)(imm >> 8));
    }
}

void asm_group1_imm_sized(Assembler *a, unsigned size_log2, unsigned digit, int rm, int32_t imm)
{
    if (size_log2 >= 2) {
        asm_group1_imm(a, size_log2 == 3, digit, rm, imm);
    } else if (size_log2 == 1 && asm_fits8((int16_t)imm)) {
        asm_rr(a, OP(PP_66, MAP_NONE, 0x83), false, (int)digit, rm);
        asm_u8(a, (uint8_t)imm);
    } else {
        asm_digit_sized(a, 0x81, size_log2, digit, rm);
        emit_imm_sized(a, size_log2, imm);
    }
}

void asm_group1_mem_imm_sized(Assembler *a, unsigned size_log2, unsigned digit, Mem m, int32_t imm)
{
    if (size_log2 >= 2) {
        asm_group1_mem_imm(a, size_log2 == 3, digit, m, imm);
    } else if (size_log2 == 1 && asm_fits8((int16_t)imm)) {
        asm_rm_imm8(a, OP(PP_66, MAP_NONE, 0x83), false, (int)digit, m, (uint8_t)imm);
    } else {
        asm_rm(a, size_log2 ? OP(PP_66, MAP_NONE, 0x81) : 0x80, false, (int)digit, m);
        emit_imm_sized(a, size_log2, imm);
    }
}

void asm_test_imm_sized(Assembler *a, unsigned size_log2, int rm, int32_t imm)
{
    if (size_log2 >= 2) {
        asm_test_imm(a, size_log2 == 3, rm, imm);
    } else {
        asm_digit_sized(a, 0xf7, size_log2, 0, rm);
        emit_imm_sized(a, size_log2, imm);
    }
}

void asm_shift_imm_sized(Assembler *a, unsigned size_log2, unsigned digit, int rm, unsigned count)
{
    asm_digit_sized(a, count == 1 ? 0xd1 : 0xc1, size_log2, digit, rm);
    if (count != 1) {
        asm_u8(a, count);
    }
}

void asm_bswap(Assembler *a, bool w, int reg)
{
    unsigned rex = (unsigned)w << 3 | (unsigned)(reg >> 3 & 1);

    if (rex) {
        asm_u8(a, 0x40 | rex);
    }
    asm_u8(a, 0x0f);
    asm_u8(a, 0xc8 | (unsigned)(reg & 7));
}

void asm_setcc(Assembler *a, unsigned cc, int reg)
{
    asm_rr(a, OP_BYTE_RM | OP(PP_NONE, MAP_0F, 0x90 | cc), false, 0, reg);
}

void asm_movzx8(Assembler *a, int to, int from)
{
    asm_rr(a, OP_BYTE_RM | OP(PP_NONE, MAP_0F, 0xb6), false, to, from);
}

uint8_t *asm_jcc_short(Assembler *a, unsigned cc)
{
    uint8_t *p = asm_begin(a);

    *p++ = (uint8_t)(0x70 | cc);
    asm_end(a, p + 1);
    return a->p - 1;
}

uint8_t *asm_jmp_short(Assembler *a)
{
    uint8_t *p = asm_begin(a);

    *p++ = 0xeb;
    asm_end(a, p + 1);
    return a->p - 1;
}

void asm_patch_short(Assembler *a, uint8_t *at)
{
    if (!a->full) {
        *at = (uint8_t)(a->p - (at + 1));
    }
}

uint8_t *asm_jcc(Assembler *a, unsigned cc)
{
    uint8_t *p = asm_begin(a);

    *p++ = 0x0f;
    *p++ = (uint8_t)(0x80 | cc);
    asm_end(a, p + 4);
    return a->p - 4;
}

uint8_t *asm_jmp(Assembler *a)
{
    uint8_t *p = asm_begin(a);

    *p++ = 0xe9;
    asm_end(a, p + 4);
    return a->p - 4;
}

void asm_patch(Assembler *a, uint8_t *at)
{
    if (!a->full) {
        put_rel32(at, a->p);
    }
}

void asm_patch_to(Assembler *a, uint8_t *at, const uint8_t *target)
{
    if (!a->full) {
        put_rel32(at, target);
    }
}

void asm_jcc_to(Assembler *a, unsigned cc, const uint8_t *target)
{
    uint8_t *at = asm_jcc(a, cc);

    if (!a->full) {
        put_rel32(at, target);
    }
}

void asm_jmp_to(Assembler *a, const uint8_t *target)
{
    uint8_t *at = asm_jmp(a);

    if (!a->full) {
        put_rel32(at, target);
    }
}

void asm_call_to(Assembler *a, const void *target)
{
    int64_t rel = (int64_t)((uintptr_t)target - ((uintptr_t)a->p + 5));

    if (asm_fits32(rel)) {
        asm_u8(a, 0xe8);
        asm_u32(a, (uint32_t)rel);
    } else {
        asm_mov_imm(a, RAX, (uintptr_t)target);
        asm_rr(a, 0xff, false, 2, RAX);
    }
}

void asm_jmp_reg(Assembler *a, int reg)
{
    asm_rr(a, 0xff, false, 4, reg);
}

void asm_jmp_mem(Assembler *a, Mem m)
{
    asm_rm(a, 0xff, false, 4, m);
}

void asm_call_mem(Assembler *a, Mem m)
{
    asm_rm(a, 0xff, false, 2, m);
}

void asm_push_mem(Assembler *a, Mem m)
{
    asm_rm(a, 0xff, false, 6, m);
}

void asm_pop_mem(Assembler *a, Mem m)
{
    asm_rm(a, 0x8f, false, 0, m);
}

/* Recommended multi-byte no-ops, SDM volume 2, NOP. */
void asm_nops(Assembler *a, size_t count)
{
    static const uint8_t nop[8][8] = {
        { 0x90 },
        { 0x66, 0x90 },
        { 0x0f, 0x1f, 0x00 },
        { 0x0f, 0x1f, 0x40, 0x00 },
        { 0x0f, 0x1f, 0x44, 0x00, 0x00 },
        { 0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00 },
        { 0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00 },
        { 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00 },
    };

    while (count) {
        size_t n = count < 8 ? count : 8;
        uint8_t *p = asm_begin(a);

        memcpy(p, nop[n - 1], 8);
        asm_end(a, p + n);
        count -= n;
    }
}
