/* SPDX-License-Identifier: MIT */
/* Instruction bytes to an X86Insn: prefixes, opcode, ModRM, SIB, displacement, immediates (Intel SDM 2, chapter 2). */
#include "target/i386/decode.h"

#include <string.h>

typedef struct {
    X86Insn *insn;
    const X86Cpu *cpu;
    TcgCode *code;
    unsigned offset; /* of the instruction in its page */
    uint64_t mode;
    X86DecodeResult result; /* of what has been read so far */
    uint8_t mandatory;      /* X86_PREFIX_*: what an opcode with a prefix of its own sees */
} Decoder;

static bool is_code64(const Decoder *d)
{
    return (d->mode & X86_MODE_CODE_BITS) == 3;
}

static uint8_t fetch(Decoder *d)
{
    unsigned at = d->offset + d->insn->length;

    if (d->result != X86_DECODED) {
        return 0;
    }
    if (d->insn->length == X86_MAX_INSN) {
        d->result = X86_DECODE_TOO_LONG;
        return 0;
    }
    if (!tcg_code_has(d->code, at + 1)) {
        d->result = X86_DECODE_NEEDS_NEXT;
        return 0;
    }
    d->insn->length++;
    return tcg_code_byte(d->code, at);
}

static uint64_t fetch_value(Decoder *d, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)fetch(d) << (8 * i);
    }
    return value;
}

static int64_t fetch_signed(Decoder *d, unsigned bytes)
{
    return bits_sign_extend(fetch_value(d, bytes), 8 * bytes);
}

/* Legacy prefixes; returns the first byte that is none. */
static uint8_t decode_prefixes(Decoder *d)
{
    X86Insn *insn = d->insn;

    for (;;) {
        uint8_t byte = fetch(d);

        switch (byte) {
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
            /* 64-bit mode ignores these four. */
            if (!is_code64(d)) {
                insn->segment = (int8_t)(byte >> 3 & 3);
            }
            break;
        case 0x64:
        case 0x65:
            insn->segment = (int8_t)(byte - 0x60);
            break;
        case 0x66:
            insn->prefix_66 = true;
            break;
        case 0x67:
            insn->prefix_67 = true;
            break;
        case 0xf0:
            insn->lock = true;
            break;
        case 0xf2:
        case 0xf3:
            insn->rep = byte;
            break;
        default:
            if (is_code64(d) && (byte & 0xf0) == 0x40) {
                insn->rex = byte;
                continue;
            }
            return byte;
        }
        /* REX counts only directly before the opcode. */
        insn->rex = 0;
        if (d->result != X86_DECODED) {
            return 0;
        }
    }
}

static void decode_sizes(Decoder *d)
{
    X86Insn *insn = d->insn;
    unsigned bits = (unsigned)(d->mode & X86_MODE_CODE_BITS);

    if (bits == 3) {
        insn->operand_bytes = insn->rex & 8 ? 8 : insn->prefix_66 ? 2 : 4;
        insn->address_bytes = insn->prefix_67 ? 4 : 8;
    } else {
        insn->operand_bytes = (bits == 2) != insn->prefix_66 ? 4 : 2;
        insn->address_bytes = (bits == 2) != insn->prefix_67 ? 4 : 2;
    }
    d->mandatory = insn->rep == 0xf3   ? X86_PREFIX_F3
                   : insn->rep == 0xf2 ? X86_PREFIX_F2
                   : insn->prefix_66   ? X86_PREFIX_66
                                       : X86_PREFIX_NONE;
}

/* C4 and C5 are LES and LDS outside 64-bit mode when what follows looks like a memory operand. */
static bool is_vex(Decoder *d, uint8_t byte)
{
    unsigned next = d->offset + d->insn->length;

    if ((byte != 0xc4 && byte != 0xc5) || !(d->mode & X86_MODE_PROTECTED)) {
        return false;
    }
    if (is_code64(d)) {
        return true;
    }
    if (!tcg_code_has(d->code, next + 1)) {
        d->result = X86_DECODE_NEEDS_NEXT;
        return false;
    }
    return (tcg_code_byte(d->code, next) & 0xc0) == 0xc0;
}

static void decode_vex(Decoder *d, uint8_t first)
{
    static const uint8_t prefixes[] = { X86_PREFIX_NONE, X86_PREFIX_66, X86_PREFIX_F3,
                                        X86_PREFIX_F2 };
    X86Insn *insn = d->insn;
    uint8_t byte = fetch(d), rex = 0x40 | (~byte >> 5 & 4), map = 1;
    bool bad = insn->rex || insn->lock || insn->rep || insn->prefix_66;

    if (first == 0xc4) {
        rex = 0x40 | (~byte >> 5 & 7);
        map = byte & 0x1f;
        byte = fetch(d);
        insn->vex_w = byte >> 7;
    }
    insn->vex = true;
    insn->rex = is_code64(d) ? rex | (insn->vex_w ? 8 : 0) : 0x40;
    insn->vex_register = (~byte >> 3 & 15) & (is_code64(d) ? 15 : 7);
    insn->vex_l = byte >> 2 & 1;
    d->mandatory = prefixes[byte & 3];
    insn->map = map;
    insn->opcode = fetch(d);
    if (bad || map == 0 || map > 3) {
        insn->map = X86_MAPS;
    }
}

static void decode_opcode(Decoder *d)
{
    X86Insn *insn = d->insn;
    uint8_t byte = decode_prefixes(d);

    decode_sizes(d);
    if (is_vex(d, byte)) {
        decode_vex(d, byte);
        return;
    }
    insn->map = X86_MAP_1;
    if (byte == 0x0f) {
        insn->map = X86_MAP_0F;
        byte = fetch(d);
        if (byte == 0x38 || byte == 0x3a) {
            insn->map = byte == 0x38 ? X86_MAP_0F38 : X86_MAP_0F3A;
            byte = fetch(d);
        }
    }
    insn->opcode = byte;
}

/* ModRM with 16-bit addresses (SDM 2, table 2-1). */
static void decode_address16(Decoder *d)
{
    static const int8_t bases[] = { X86_RBX, X86_RBX, X86_RBP, X86_RBP,
                                    X86_RSI, X86_RDI, X86_RBP, X86_RBX };
    static const int8_t indices[] = { X86_RSI, X86_RDI, X86_RSI, X86_RDI, -1, -1, -1, -1 };
    X86Insn *insn = d->insn;

    insn->base = bases[insn->rm];
    insn->index = indices[insn->rm];
    if (insn->mod == 0 && insn->rm == 6) {
        insn->base = -1;
        insn->displacement = (int32_t)fetch_signed(d, 2);
    } else if (insn->mod) {
        insn->displacement = (int32_t)fetch_signed(d, insn->mod == 1 ? 1 : 2);
    }
}

static void decode_sib(Decoder *d)
{
    X86Insn *insn = d->insn;
    uint8_t sib = fetch(d);
    unsigned index = (sib >> 3 & 7) | (insn->rex & 2 ? 8 : 0);

    insn->scale = sib >> 6;
    insn->index = index == X86_RSP && !(insn->encoding->flags & X86_VSIB) ? -1 : (int8_t)index;
    insn->base = (int8_t)((sib & 7) | (insn->rex & 1 ? 8 : 0));
    if ((sib & 7) == X86_RBP && insn->mod == 0) {
        insn->base = -1;
    }
}

static void decode_address32(Decoder *d)
{
    X86Insn *insn = d->insn;

    if (insn->rm == X86_RSP) {
        decode_sib(d);
    } else if (insn->mod == 0 && insn->rm == X86_RBP) {
        insn->rip_relative = is_code64(d);
    } else {
        insn->base = (int8_t)(insn->rm | (insn->rex & 1 ? 8 : 0));
    }
    if (insn->mod == 1) {
        insn->displacement = (int32_t)fetch_signed(d, 1);
    } else if (insn->mod == 2 || insn->base < 0) {
        insn->displacement = (int32_t)fetch_signed(d, 4);
    }
}

/* Looks at the byte behind the opcode without taking it. */
static uint8_t peek_modrm(Decoder *d)
{
    uint8_t byte = fetch(d);

    d->insn->length -= d->result == X86_DECODED;
    return byte;
}

/* AMD's additions to MMX are a part of SSE. */
static bool has_feature(const Decoder *d, const X86Encoding *e)
{
    return e->feature == X86_FEATURE_NONE || x86_has(d->cpu, (X86Feature)e->feature) ||
           (e->feature == X86_FEATURE_MMXEXT && x86_has(d->cpu, X86_FEATURE_SSE));
}

static bool matches(const Decoder *d, const X86Encoding *e, uint8_t modrm)
{
    const X86Insn *insn = d->insn;

    return (e->prefix == X86_PREFIX_ANY || e->prefix == d->mandatory) &&
           (e->reg == X86_ANY || e->reg == (modrm >> 3 & 7)) &&
           (e->mod == X86_MOD_ANY || (e->mod == X86_MOD_REG) == (modrm >= 0xc0)) &&
           (e->rm == X86_ANY || e->rm == (modrm & 7)) && !(e->flags & X86_VEX) == !insn->vex &&
           (e->vex_l == X86_ANY || e->vex_l == insn->vex_l) &&
           (e->vex_w == X86_ANY || e->vex_w == insn->vex_w) &&
           !(e->flags & (is_code64(d) ? X86_I64 : X86_O64)) &&
           !((e->flags & X86_PLAIN) && !has_feature(d, e));
}

static const X86Encoding *find(Decoder *d)
{
    const X86Insn *insn = d->insn;
    unsigned first, end;
    bool modrm = false;
    uint8_t byte;

    if (insn->map >= X86_MAPS) {
        return NULL;
    }
    first = x86_first_encoding[insn->map][insn->opcode];
    end = x86_first_encoding[insn->map][insn->opcode + 1];
    for (unsigned i = first; i < end; i++) {
        modrm |= (x86_encodings[i].flags & X86_MODRM) != 0;
    }
    byte = modrm ? peek_modrm(d) : 0;
    for (unsigned i = first; i < end && d->result == X86_DECODED; i++) {
        if (matches(d, &x86_encodings[i], byte)) {
            return &x86_encodings[i];
        }
    }
    return NULL;
}

static unsigned size_of(const Decoder *d, unsigned kind)
{
    const X86Insn *insn = d->insn;

    switch (kind) {
    case X86_SIZE_B:
    case X86_SIZE_BS:
        return 1;
    case X86_SIZE_W:
        return 2;
    case X86_SIZE_D:
        return 4;
    case X86_SIZE_Q:
        return 8;
    case X86_SIZE_DQ:
        return 16;
    case X86_SIZE_QQ:
        return 32;
    case X86_SIZE_T:
        return 10;
    case X86_SIZE_V:
        return insn->operand_bytes;
    case X86_SIZE_Z:
        return MIN(insn->operand_bytes, 4);
    case X86_SIZE_Y:
        return insn->rex & 8 ? 8 : 4;
    case X86_SIZE_X:
        return insn->vex_l ? 32 : 16;
    case X86_SIZE_H:
        return insn->vex_l ? 16 : 8;
    case X86_SIZE_P:
        return insn->operand_bytes + 2;
    }
    return 0;
}

static void set_gpr(const Decoder *d, X86Operand *o, unsigned reg)
{
    o->reg = (uint8_t)reg;
    if (o->bytes == 1 && !d->insn->rex && reg >= 4 && reg < 8) {
        o->high = true;
        o->reg -= 4;
    }
}

static void decode_immediate(Decoder *d, X86Operand *o, unsigned size)
{
    X86Insn *insn = d->insn;

    switch (o->kind) {
    case X86_OPERAND_J:
        o->imm = fetch_signed(d, o->bytes);
        break;
    case X86_OPERAND_A:
        o->imm = (int64_t)fetch_value(d, o->bytes - 2);
        insn->far_selector = (uint16_t)fetch_value(d, 2);
        break;
    case X86_OPERAND_O:
        o->imm = (int64_t)fetch_value(d, insn->address_bytes);
        o->memory = true;
        break;
    case X86_OPERAND_L:
        o->reg = (uint8_t)(fetch(d) >> 4) & (is_code64(d) ? 15 : 7);
        break;
    default:
        o->imm = size == X86_SIZE_B ? fetch(d) : fetch_signed(d, o->bytes);
    }
}

static void decode_operand(Decoder *d, X86Operand *o, const X86OperandSpec *spec)
{
    X86Insn *insn = d->insn;
    unsigned reg = insn->reg | (insn->rex & 4 ? 8 : 0), rm = insn->rm | (insn->rex & 1 ? 8 : 0);

    o->kind = spec->kind;
    o->bytes = (uint8_t)size_of(d, spec->size);
    switch (o->kind) {
    case X86_OPERAND_E:
    case X86_OPERAND_R:
    case X86_OPERAND_M:
        o->memory = insn->mod != 3;
        set_gpr(d, o, rm);
        break;
    case X86_OPERAND_G:
        set_gpr(d, o, reg);
        break;
    case X86_OPERAND_Z:
        set_gpr(d, o, (insn->opcode & 7) | (insn->rex & 1 ? 8 : 0));
        break;
    case X86_OPERAND_W:
    case X86_OPERAND_U:
        o->memory = insn->mod != 3;
        o->reg = (uint8_t)rm;
        break;
    case X86_OPERAND_V:
    case X86_OPERAND_C:
    case X86_OPERAND_D:
        o->reg = (uint8_t)reg;
        break;
    case X86_OPERAND_Q:
    case X86_OPERAND_N:
        o->memory = insn->mod != 3;
        o->reg = insn->rm;
        break;
    case X86_OPERAND_P:
    case X86_OPERAND_S:
        o->reg = insn->reg;
        break;
    case X86_OPERAND_B:
    case X86_OPERAND_H:
        o->reg = insn->vex_register;
        break;
    case X86_OPERAND_I:
    case X86_OPERAND_J:
    case X86_OPERAND_A:
    case X86_OPERAND_O:
    case X86_OPERAND_L:
        decode_immediate(d, o, spec->size);
        break;
    case X86_OPERAND_ONE:
        o->imm = 1;
        break;
    default:
        o->reg = spec->fixed;
    }
}

static void decode_operands(Decoder *d)
{
    X86Insn *insn = d->insn;
    const X86Encoding *e = insn->encoding;

    if (is_code64(d) && ((e->flags & X86_F64) || ((e->flags & X86_D64) && !insn->prefix_66))) {
        insn->operand_bytes = 8;
    }
    if (e->flags & X86_MODRM) {
        uint8_t modrm = fetch(d);

        insn->has_modrm = true;
        insn->mod = e->flags & X86_MOD3 ? 3 : modrm >> 6;
        insn->reg = modrm >> 3 & 7;
        insn->rm = modrm & 7;
        if (insn->mod != 3) {
            if (insn->address_bytes == 2) {
                decode_address16(d);
            } else {
                decode_address32(d);
            }
        }
    }
    for (unsigned i = 0; i < 4 && e->operands[i].kind != X86_OPERAND_NONE; i++) {
        decode_operand(d, &insn->operands[i], &e->operands[i]);
        insn->operand_count = (uint8_t)(i + 1);
    }
}

/*
 * VEX.vvvv says nothing without an operand there. The index, the mask and the destination of a gather are three
 * registers, and its address has a SIB byte.
 */
static bool vex_is_allowed(const X86Insn *insn)
{
    const X86Operand *o = insn->operands;
    bool has_vvvv = false;

    for (unsigned i = 0; i < insn->operand_count; i++) {
        has_vvvv |= o[i].kind == X86_OPERAND_H || o[i].kind == X86_OPERAND_B;
    }
    if (insn->encoding->flags & X86_VSIB) {
        unsigned to = o[0].reg, index = (unsigned)insn->index, mask = insn->vex_register;

        return insn->address_bytes != 2 && to != index && to != mask && index != mask;
    }
    return has_vvvv || insn->vex_register == 0;
}

/*
 * A register where memory must be, the other way round, a LOCK that is not allowed, a feature that is not there. MOV CR alone may have LOCK
 * without memory.
 */
static bool is_allowed(const Decoder *d)
{
    const X86Insn *insn = d->insn;
    const X86Encoding *e = insn->encoding;

    for (unsigned i = 0; i < insn->operand_count; i++) {
        const X86Operand *o = &insn->operands[i];

        if ((o->kind == X86_OPERAND_M && !o->memory) ||
            ((o->kind == X86_OPERAND_R || o->kind == X86_OPERAND_U || o->kind == X86_OPERAND_N) &&
             o->memory) ||
            (o->kind == X86_OPERAND_S && o->reg >= X86_SEGMENTS)) {
            return false;
        }
    }
    return (!insn->vex || vex_is_allowed(insn)) &&
           (!insn->lock ||
            ((e->flags & X86_LOCK) && (insn->operands[0].memory || (e->flags & X86_MOD3)))) &&
           (!(e->flags & X86_PROT) || (d->mode & X86_MODE_PROTECTED)) && has_feature(d, e);
}

X86DecodeResult x86_decode(X86Insn *insn, const X86Cpu *cpu, TcgCode *code, unsigned offset,
                           uint64_t mode)
{
    Decoder d = { .insn = insn, .cpu = cpu, .code = code, .offset = offset, .mode = mode };

    memset(insn, 0, sizeof *insn);
    insn->segment = insn->base = insn->index = -1;
    decode_opcode(&d);
    if (d.result == X86_DECODED) {
        insn->encoding = find(&d);
    }
    if (d.result == X86_DECODED && insn->encoding) {
        decode_operands(&d);
    }
    if (d.result != X86_DECODED) {
        return d.result;
    }
    if (!insn->encoding || !is_allowed(&d)) {
        insn->encoding = NULL;
        return X86_DECODE_UNDEFINED;
    }
    return X86_DECODED;
}
