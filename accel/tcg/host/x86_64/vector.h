/* SPDX-License-Identifier: MIT */
/*
 * Vector instructions for the emitters: VEX forms where the host has AVX, otherwise the two-operand
 * SSE forms with the moves they need. VTMP2 belongs to these functions.
 */
#ifndef ACCEL_TCG_HOST_X86_64_VECTOR_H
#define ACCEL_TCG_HOST_X86_64_VECTOR_H

#include "accel/tcg/host/x86_64/emitter.h"

#define V66(opcode)   OP(PP_66, MAP_0F, opcode)
#define V6638(opcode) OP(PP_66, MAP_0F38, opcode)
#define V663A(opcode) OP(PP_66, MAP_0F3A, opcode)

enum {
    OP_PAND = V66(0xdb),
    OP_PANDN = V66(0xdf),
    OP_POR = V66(0xeb),
    OP_PXOR = V66(0xef),
    OP_PSHUFB = V6638(0x00),
    OP_PSHUFD = V66(0x70),
    OP_INSERTPS = V663A(0x21),
    OP_PALIGNR = V663A(0x0f),
    OP_PBLENDW = V663A(0x0e),
    OP_PCMPGTQ = V6638(0x37),
    OP_PCMPGTD = V66(0x66),
    OP_PCMPEQD = V66(0x76),
    OP_PCMPEQQ = V6638(0x29),
    OP_PUNPCKLQDQ = V66(0x6c),
    OP_PUNPCKHQDQ = V66(0x6d),
    OP_PACKUSWB = V66(0x67),
    OP_PACKUSDW = V6638(0x2b),
    OP_PMULUDQ = V66(0xf4),
    OP_SHUFPS = OP(PP_NONE, MAP_0F, 0xc6),
    OP_PTEST = V6638(0x17),
};

/* to = a op b; vec3_imm: with an immediate byte. to may be any of them. */
void vec3(Emitter *e, uint32_t op, int to, int a, int b);
void vec3_imm(Emitter *e, uint32_t op, int to, int a, int b, unsigned imm);
/* to = op a */
void vec2(Emitter *e, uint32_t op, int to, int a);
void vec2_imm(Emitter *e, uint32_t op, int to, int a, unsigned imm);
/* to = a op constant: for instructions without an immediate byte */
void vec3_const(Emitter *e, uint32_t op, int to, int a, uint64_t low, uint64_t high);
/* to = op constant, or a comparison of `to` with the constant */
void vec2_const(Emitter *e, uint32_t op, int to, uint64_t low, uint64_t high);
/* Shift of lanes by a constant: digit 2 right, 4 arithmetic right, 6 left; esz 1..3. */
void vec_shift(Emitter *e, unsigned digit, unsigned esz, int to, int a, unsigned count);
void vec_const(Emitter *e, int to, uint64_t each);
/* Integer register to vector and back: w 64 bits. */
void vec_from_int(Emitter *e, bool w, int to, int from);
void vec_to_int(Emitter *e, bool w, int to, int from);

#endif
