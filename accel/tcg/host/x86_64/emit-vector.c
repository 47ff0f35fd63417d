/* SPDX-License-Identifier: MIT */
/* Vector integer ops, crypto steps, and moves between lanes. */
#include "accel/tcg/host/x86_64/vector.h"

#include "base/bits.h"

/* Ops with an instruction of their own: per element size, 0 where there is none. */
static const uint32_t simple[IR_OP_COUNT][4] = {
    [IR_OP_vadd] = { V66(0xfc), V66(0xfd), V66(0xfe), V66(0xd4) },
    [IR_OP_vsub] = { V66(0xf8), V66(0xf9), V66(0xfa), V66(0xfb) },
    [IR_OP_vmul] = { 0, V66(0xd5), V6638(0x40), 0 },
    [IR_OP_vand] = { OP_PAND, OP_PAND, OP_PAND, OP_PAND },
    [IR_OP_vor] = { OP_POR, OP_POR, OP_POR, OP_POR },
    [IR_OP_vxor] = { OP_PXOR, OP_PXOR, OP_PXOR, OP_PXOR },
    [IR_OP_vcmpeq] = { V66(0x74), V66(0x75), V66(0x76), V6638(0x29) },
    [IR_OP_vcmpgts] = { V66(0x64), V66(0x65), V66(0x66), OP_PCMPGTQ },
    [IR_OP_vmins] = { V6638(0x38), V66(0xea), V6638(0x39), 0 },
    [IR_OP_vminu] = { V66(0xda), V6638(0x3a), V6638(0x3b), 0 },
    [IR_OP_vmaxs] = { V6638(0x3c), V66(0xee), V6638(0x3d), 0 },
    [IR_OP_vmaxu] = { V66(0xde), V6638(0x3e), V6638(0x3f), 0 },
    [IR_OP_vqadds] = { V66(0xec), V66(0xed), 0, 0 },
    [IR_OP_vqaddu] = { V66(0xdc), V66(0xdd), 0, 0 },
    [IR_OP_vqsubs] = { V66(0xe8), V66(0xe9), 0, 0 },
    [IR_OP_vqsubu] = { V66(0xd8), V66(0xd9), 0, 0 },
    [IR_OP_vzip1] = { V66(0x60), V66(0x61), V66(0x62), OP_PUNPCKLQDQ },
    [IR_OP_vzip2] = { V66(0x68), V66(0x69), V66(0x6a), OP_PUNPCKHQDQ },
    [IR_OP_vaddp] = { 0, V6638(0x01), V6638(0x02), 0 },
    [IR_OP_vuzp1] = { 0, 0, 0, OP_PUNPCKLQDQ },
    [IR_OP_vuzp2] = { 0, 0, 0, OP_PUNPCKHQDQ },
    [IR_OP_vtrn1] = { 0, 0, 0, OP_PUNPCKLQDQ },
    [IR_OP_vtrn2] = { 0, 0, 0, OP_PUNPCKHQDQ },
    [IR_OP_vcombine] = { OP_PUNPCKLQDQ, OP_PUNPCKLQDQ, OP_PUNPCKLQDQ, OP_PUNPCKLQDQ },
};

static const uint32_t simple_unary[IR_OP_COUNT][4] = {
    [IR_OP_vabs] = { V6638(0x1c), V6638(0x1d), V6638(0x1e), 0 },
    [IR_OP_vwidens] = { V6638(0x20), V6638(0x23), V6638(0x25), 0 },
    [IR_OP_vwidenu] = { V6638(0x30), V6638(0x33), V6638(0x35), 0 },
    [IR_OP_aesimc] = { V6638(0xdb), V6638(0xdb), V6638(0xdb), V6638(0xdb) },
};

static void cmpgt_unsigned(Emitter *e, unsigned esz, int to, int a, int b)
{
    if (esz == 3) {
        vec_const(e, VTMP0, UINT64_C(1) << 63);
        vec3(e, OP_PXOR, VTMP1, b, VTMP0);
        vec3(e, OP_PXOR, VTMP0, a, VTMP0);
        vec3(e, OP_PCMPGTQ, to, VTMP0, VTMP1);
        return;
    }
    vec3(e, simple[IR_OP_vmaxu][esz], VTMP0, a, b);
    vec3(e, simple[IR_OP_vcmpeq][esz], VTMP0, VTMP0, b);
    vec3(e, OP_PCMPEQD, VTMP1, VTMP1, VTMP1);
    vec3(e, OP_PXOR, to, VTMP0, VTMP1);
}

/* to = mask ? yes : no; destroys VTMP1 and mask. */
static void choose(Emitter *e, int to, int mask, int yes, int no)
{
    vec3(e, OP_PANDN, VTMP1, mask, no);
    vec3(e, OP_PAND, mask, mask, yes);
    vec3(e, OP_POR, to, mask, VTMP1);
}

static void min_max_64(Emitter *e, const IrOp *op, int to, int a, int b)
{
    bool max = op->opcode == IR_OP_vmaxs || op->opcode == IR_OP_vmaxu;

    if (op->opcode == IR_OP_vmins || op->opcode == IR_OP_vmaxs) {
        vec3(e, OP_PCMPGTQ, VTMP0, a, b);
    } else {
        cmpgt_unsigned(e, 3, VTMP0, a, b);
    }
    choose(e, to, VTMP0, max ? a : b, max ? b : a);
}

static void multiply_bytes(Emitter *e, int to, int a, int b)
{
    vec_shift(e, 2, 1, VTMP0, a, 8);
    vec_const(e, VTMP1, UINT64_C(0xff00ff00ff00ff00));
    vec3(e, OP_PAND, VTMP1, VTMP1, b);
    vec3(e, simple[IR_OP_vmul][1], VTMP0, VTMP0, VTMP1); /* odd lanes, in place */
    vec3(e, simple[IR_OP_vmul][1], VTMP1, a, b);
    vec_shift(e, 6, 1, VTMP1, VTMP1, 8);
    vec_shift(e, 2, 1, VTMP1, VTMP1, 8);
    vec3(e, OP_POR, to, VTMP0, VTMP1);
}

static void multiply_64(Emitter *e, int to, int a, int b)
{
    vec_shift(e, 2, 3, VTMP0, a, 32);
    vec3(e, OP_PMULUDQ, VTMP0, VTMP0, b);
    vec_shift(e, 2, 3, VTMP1, b, 32);
    vec3(e, OP_PMULUDQ, VTMP1, VTMP1, a);
    vec3(e, simple[IR_OP_vadd][3], VTMP0, VTMP0, VTMP1);
    vec_shift(e, 6, 3, VTMP0, VTMP0, 32);
    vec3(e, OP_PMULUDQ, VTMP1, a, b);
    vec3(e, simple[IR_OP_vadd][3], to, VTMP0, VTMP1);
}

static void multiply_long(Emitter *e, const IrOp *op, int to, int a, int b)
{
    unsigned widen = op->imm ? IR_OP_vwidens : IR_OP_vwidenu;

    if (op->esz == 2) {
        vec2_imm(e, OP_PSHUFD, VTMP0, a, 0x50);
        vec2_imm(e, OP_PSHUFD, VTMP1, b, 0x50);
        vec3(e, op->imm ? V6638(0x28) : OP_PMULUDQ, to, VTMP0, VTMP1);
    } else {
        vec2(e, simple_unary[widen][op->esz], VTMP0, a);
        vec2(e, simple_unary[widen][op->esz], VTMP1, b);
        vec3(e, simple[IR_OP_vmul][op->esz + 1], to, VTMP0, VTMP1);
    }
}

/* Saturation of 32- and 64-bit lanes: overflow shows in the sign bits. */
static void saturate_signed(Emitter *e, const IrOp *op, int to, int a, int b)
{
    bool add = op->opcode == IR_OP_vqadds;
    uint32_t cmpgt = op->esz == 2 ? OP_PCMPGTD : OP_PCMPGTQ;
    int sum = emitter_scratch_vector(e), mask = emitter_scratch_vector(e);

    vec3(e, simple[add ? IR_OP_vadd : IR_OP_vsub][op->esz], sum, a, b);
    vec3(e, OP_PXOR, VTMP0, a, b);
    vec3(e, OP_PXOR, VTMP1, a, sum);
    vec3(e, add ? OP_PANDN : OP_PAND, VTMP0, VTMP0, VTMP1);
    vec3(e, OP_PXOR, VTMP1, VTMP1, VTMP1);
    vec3(e, cmpgt, mask, VTMP1, VTMP0);
    vec3(e, cmpgt, VTMP0, VTMP1, a);
    vec_const(e, VTMP1, op->esz == 2 ? UINT64_C(0x7fffffff7fffffff) : INT64_MAX);
    vec3(e, OP_PXOR, VTMP0, VTMP0, VTMP1);
    choose(e, to, mask, VTMP0, sum);
}

static void saturate_unsigned(Emitter *e, const IrOp *op, int to, int a, int b)
{
    bool add = op->opcode == IR_OP_vqaddu;

    if (op->esz == 2 && add) {
        vec3(e, OP_PCMPEQD, VTMP0, VTMP0, VTMP0);
        vec3(e, OP_PXOR, VTMP0, VTMP0, b);
        vec3(e, simple[IR_OP_vminu][2], VTMP0, VTMP0, a);
        vec3(e, simple[IR_OP_vadd][2], to, VTMP0, b);
    } else if (op->esz == 2) {
        vec3(e, simple[IR_OP_vmaxu][2], VTMP0, a, b);
        vec3(e, simple[IR_OP_vsub][2], to, VTMP0, b);
    } else if (add) {
        int sum = emitter_scratch_vector(e);

        vec3(e, simple[IR_OP_vadd][3], sum, a, b);
        cmpgt_unsigned(e, 3, VTMP0, a, sum);
        vec3(e, OP_POR, to, VTMP0, sum);
    } else {
        cmpgt_unsigned(e, 3, VTMP0, a, b);
        vec3(e, simple[IR_OP_vsub][3], VTMP1, a, b);
        vec3(e, OP_PAND, to, VTMP0, VTMP1);
    }
}

/* Low or (odd) high halves of the double-size lanes of a, then b. */
static void narrow(Emitter *e, unsigned esz, bool odd, int to, int a, int b)
{
    if (esz == 2) {
        vec3_imm(e, OP_SHUFPS, to, a, b, odd ? 0xdd : 0x88);
        return;
    }
    if (odd) {
        vec_shift(e, 2, esz + 1, VTMP0, a, 8u << esz);
        vec_shift(e, 2, esz + 1, VTMP1, b, 8u << esz);
    } else {
        vec_const(e, VTMP1, esz == 0 ? UINT64_C(0x00ff00ff00ff00ff) : UINT64_C(0x0000ffff0000ffff));
        vec3(e, OP_PAND, VTMP0, a, VTMP1);
        vec3(e, OP_PAND, VTMP1, b, VTMP1);
    }
    vec3(e, esz == 0 ? OP_PACKUSWB : OP_PACKUSDW, to, VTMP0, VTMP1);
}

static void transpose(Emitter *e, const IrOp *op, int to, int a, int b)
{
    static const uint64_t even[] = { UINT64_C(0x00ff00ff00ff00ff), UINT64_C(0x0000ffff0000ffff),
                                     UINT64_C(0x00000000ffffffff) };
    bool first = op->opcode == IR_OP_vtrn1;
    int shifted = first ? b : a, masked = first ? a : b;

    vec_const(e, VTMP0, first ? even[op->esz] : ~even[op->esz]);
    vec3(e, OP_PAND, VTMP0, VTMP0, masked);
    vec_shift(e, first ? 6 : 2, op->esz + 1u, VTMP1, shifted, 8u << op->esz);
    vec3(e, OP_POR, to, VTMP0, VTMP1);
}

static void add_pairs(Emitter *e, unsigned esz, int to, int a, int b)
{
    if (esz == 3) {
        vec3(e, OP_PUNPCKLQDQ, VTMP0, a, b);
        vec3(e, OP_PUNPCKHQDQ, VTMP1, a, b);
        vec3(e, simple[IR_OP_vadd][3], to, VTMP0, VTMP1);
    } else {
        int odd = emitter_scratch_vector(e);

        narrow(e, 0, true, odd, a, b);
        narrow(e, 0, false, VTMP0, a, b);
        vec3(e, simple[IR_OP_vadd][0], to, VTMP0, odd);
    }
}

/* Two-operand ops that take several instructions. */
static bool binary_sequence(Emitter *e, const IrOp *op, int to, int a, int b)
{
    switch (op->opcode) {
    case IR_OP_vandn:
        vec3(e, OP_PANDN, to, b, a);
        return true;
    case IR_OP_vmul:
        (op->esz == 0 ? multiply_bytes : multiply_64)(e, to, a, b);
        return true;
    case IR_OP_vmull:
        multiply_long(e, op, to, a, b);
        return true;
    case IR_OP_vcmpgtu:
        cmpgt_unsigned(e, op->esz, to, a, b);
        return true;
    case IR_OP_vmins:
    case IR_OP_vminu:
    case IR_OP_vmaxs:
    case IR_OP_vmaxu:
        min_max_64(e, op, to, a, b);
        return true;
    case IR_OP_vqadds:
    case IR_OP_vqsubs:
        saturate_signed(e, op, to, a, b);
        return true;
    case IR_OP_vqaddu:
    case IR_OP_vqsubu:
        saturate_unsigned(e, op, to, a, b);
        return true;
    case IR_OP_vnarrow:
    case IR_OP_vuzp1:
        narrow(e, op->esz, false, to, a, b);
        return true;
    case IR_OP_vuzp2:
        narrow(e, op->esz, true, to, a, b);
        return true;
    case IR_OP_vaddp:
        add_pairs(e, op->esz, to, a, b);
        return true;
    case IR_OP_vtrn1:
    case IR_OP_vtrn2:
        transpose(e, op, to, a, b);
        return true;
    case IR_OP_vext:
        vec3_imm(e, OP_PALIGNR, to, b, a, (unsigned)op->imm);
        return true;
    case IR_OP_vtbl:
        vec_const(e, VTMP0, UINT64_C(0x7070707070707070));
        vec3(e, V66(0xdc), VTMP0, VTMP0, b); /* paddusb: bit 7 where b >= 16 */
        vec3(e, OP_PSHUFB, to, a, VTMP0);
        return true;
    case IR_OP_aese:
    case IR_OP_aesd:
        vec3(e, OP_PXOR, VTMP0, a, b);
        vec3(e, OP_PXOR, VTMP1, VTMP1, VTMP1);
        vec3(e, V6638(op->opcode == IR_OP_aese ? 0xdd : 0xdf), to, VTMP0, VTMP1);
        return true;
    case IR_OP_pmull:
        vec3_imm(e, V663A(0x44), to, a, b, 0);
        return true;
    }
    return false;
}

static void shift_bytes(Emitter *e, const IrOp *op, int to, int a, unsigned count)
{
    uint64_t ones = UINT64_C(0x0101010101010101);

    if (op->opcode == IR_OP_vshl) {
        vec_shift(e, 6, 1, VTMP0, a, count);
        vec_const(e, VTMP1, ones * (uint8_t)(0xff << count));
        vec3(e, OP_PAND, to, VTMP0, VTMP1);
        return;
    }
    vec_shift(e, 2, 1, VTMP0, a, count);
    vec_const(e, VTMP1, ones * (0xffu >> count));
    if (op->opcode == IR_OP_vshr) {
        vec3(e, OP_PAND, to, VTMP0, VTMP1);
        return;
    }
    vec3(e, OP_PAND, VTMP0, VTMP0, VTMP1);
    vec_const(e, VTMP1, ones * (0x80u >> count));
    vec3(e, OP_PXOR, VTMP0, VTMP0, VTMP1);
    vec3(e, simple[IR_OP_vsub][0], to, VTMP0, VTMP1);
}

static void shift(Emitter *e, const IrOp *op, int to, int a)
{
    unsigned count = (unsigned)op->imm, width = 8u << op->esz;

    if (op->opcode == IR_OP_vsar && count >= width) {
        count = width - 1;
    }
    if (count == 0) {
        asm_vector_mov(e, to, a);
    } else if (count >= width) {
        asm_vector_const(e, to, 0, 0);
    } else if (op->esz == 0) {
        shift_bytes(e, op, to, a, count);
    } else if (op->opcode == IR_OP_vsar && op->esz == 3) {
        vec3(e, OP_PXOR, VTMP1, VTMP1, VTMP1);
        vec3(e, OP_PCMPGTQ, VTMP0, VTMP1, a);
        vec3(e, OP_PXOR, VTMP1, a, VTMP0);
        vec_shift(e, 2, 3, VTMP1, VTMP1, count);
        vec3(e, OP_PXOR, to, VTMP1, VTMP0);
    } else {
        vec_shift(e,
                  op->opcode == IR_OP_vshl   ? 6
                  : op->opcode == IR_OP_vshr ? 2
                                             : 4,
                  op->esz, to, a, count);
    }
}

/* A byte shuffle with a constant pattern. */
static void shuffle(Emitter *e, int to, int a, const uint8_t pattern[16])
{
    uint64_t half[2];

    memcpy(half, pattern, 16);
    asm_vector_const(e, VTMP0, half[0], half[1]);
    vec3(e, OP_PSHUFB, to, a, VTMP0);
}

static void reverse_lanes(Emitter *e, const IrOp *op, int to, int a)
{
    uint8_t pattern[16];
    unsigned flip = (1u << op->imm) - (1u << op->esz);

    for (unsigned i = 0; i < 16; i++) {
        pattern[i] = (uint8_t)(i ^ flip);
    }
    shuffle(e, to, a, pattern);
}

static void duplicate_lane(Emitter *e, unsigned esz, unsigned lane, int to, int a)
{
    if (esz == 3) {
        vec2_imm(e, OP_PSHUFD, to, a, lane ? 0xee : 0x44);
    } else if (esz == 2) {
        vec2_imm(e, OP_PSHUFD, to, a, lane * 0x55);
    } else {
        uint8_t pattern[16];

        for (unsigned i = 0; i < 16; i++) {
            pattern[i] = (uint8_t)((lane << esz) + (i & ((1u << esz) - 1)));
        }
        shuffle(e, to, a, pattern);
    }
}

static void count_bits(Emitter *e, int to, int a)
{
    int table = emitter_scratch_vector(e), nibbles = emitter_scratch_vector(e);

    asm_vector_const(e, table, UINT64_C(0x0302020102010100), UINT64_C(0x0403030203020201));
    vec_const(e, nibbles, UINT64_C(0x0f0f0f0f0f0f0f0f));
    vec3(e, OP_PAND, VTMP0, a, nibbles);
    vec3(e, OP_PSHUFB, VTMP0, table, VTMP0);
    vec_shift(e, 2, 1, VTMP1, a, 4);
    vec3(e, OP_PAND, VTMP1, VTMP1, nibbles);
    vec3(e, OP_PSHUFB, VTMP1, table, VTMP1);
    vec3(e, simple[IR_OP_vadd][0], to, VTMP0, VTMP1);
}

static bool unary_sequence(Emitter *e, const IrOp *op, int to, int a)
{
    switch (op->opcode) {
    case IR_OP_vneg:
        vec3(e, OP_PXOR, VTMP0, VTMP0, VTMP0);
        vec3(e, simple[IR_OP_vsub][op->esz], to, VTMP0, a);
        return true;
    case IR_OP_vabs:
        vec3(e, OP_PXOR, VTMP1, VTMP1, VTMP1);
        vec3(e, OP_PCMPGTQ, VTMP0, VTMP1, a);
        vec3(e, OP_PXOR, VTMP1, a, VTMP0);
        vec3(e, simple[IR_OP_vsub][3], to, VTMP1, VTMP0);
        return true;
    case IR_OP_vnot:
        vec3(e, OP_PCMPEQD, VTMP0, VTMP0, VTMP0);
        vec3(e, OP_PXOR, to, a, VTMP0);
        return true;
    case IR_OP_vshl:
    case IR_OP_vshr:
    case IR_OP_vsar:
        shift(e, op, to, a);
        return true;
    case IR_OP_vrev:
        reverse_lanes(e, op, to, a);
        return true;
    case IR_OP_vduplane:
        duplicate_lane(e, op->esz, (unsigned)op->imm, to, a);
        return true;
    case IR_OP_vpopcnt:
        count_bits(e, to, a);
        return true;
    case IR_OP_vzext:
        if (op->esz == 3) {
            vec2(e, OP(PP_F3, MAP_0F, 0x7e), to, a);
        } else {
            asm_vector_const(e, VTMP0, bits_mask(8u << op->esz), 0);
            vec3(e, OP_PAND, to, a, VTMP0);
        }
        return true;
    case IR_OP_vhigh:
        vec_shift(e, 3, 3, to, a, 8); /* psrldq */
        return true;
    case IR_OP_aesmc:
        vec3(e, OP_PXOR, VTMP1, VTMP1, VTMP1);
        vec3(e, V6638(0xdf), VTMP0, a, VTMP1);
        vec3(e, V6638(0xdc), to, VTMP0, VTMP1);
        return true;
    }
    return false;
}

static void emit_binary(Emitter *e, const IrOp *op)
{
    uint32_t instruction = simple[op->opcode][op->esz & 3];
    int a = emitter_use(e, op->args[0]), b = emitter_use(e, op->args[1]), to;

    if (instruction) {
        emitter_advance(e);
        to = emitter_result(e, a, 0);
        vec3(e, instruction, to, a, b);
        emitter_finish(e, to);
        return;
    }
    /* Sequences write the result last. */
    emitter_advance(e);
    to = emitter_result(e, a, 0);
    e->failed |= !binary_sequence(e, op, to, a, b);
    emitter_finish(e, to);
}

static void emit_unary(Emitter *e, const IrOp *op)
{
    uint32_t instruction = simple_unary[op->opcode][op->esz & 3];
    int a = emitter_use(e, op->args[0]), to;

    emitter_advance(e);
    to = emitter_result(e, a, 0);
    if (instruction) {
        vec2(e, instruction, to, a);
    } else if (!unary_sequence(e, op, to, a)) {
        e->failed = true;
    }
    emitter_finish(e, to);
}

static void emit_select_bits(Emitter *e, const IrOp *op)
{
    int a = emitter_use(e, op->args[0]), b = emitter_use(e, op->args[1]);
    int c = emitter_use(e, op->args[2]), to;

    emitter_advance(e);
    to = emitter_result(e, a, 0);
    vec3(e, OP_PAND, VTMP0, a, b);
    vec3(e, OP_PANDN, VTMP1, a, c);
    vec3(e, OP_POR, to, VTMP0, VTMP1);
    emitter_finish(e, to);
}

static void emit_duplicate(Emitter *e, const IrOp *op)
{
    static const uint32_t broadcast[] = { V6638(0x78), V6638(0x79), V6638(0x58), V6638(0x59) };
    int a = emitter_use(e, op->args[0]), to;

    emitter_advance(e);
    to = emitter_result(e, NO_REG, 0);
    vec_from_int(e, op->esz == 3, to, a);
    if (e->has->avx2) {
        vec2(e, broadcast[op->esz], to, to);
    } else {
        duplicate_lane(e, op->esz, 0, to, to);
    }
    emitter_finish(e, to);
}

static void emit_from_int(Emitter *e, const IrOp *op)
{
    int a = emitter_use(e, op->args[0]), to;

    emitter_advance(e);
    to = emitter_result(e, NO_REG, 0);
    vec_from_int(e, ir_result_type(&e->unit->ops[op->args[0]]) == IR_I64, to, a);
    emitter_finish(e, to);
}

/* An instruction with vector, integer and immediate operands. */
static void lane_instruction(Emitter *e, uint32_t op, bool w, int vector, int vvvv, int integer,
                             unsigned lane)
{
    if (e->has->avx) {
        asm_vex_rr(&e->a, op, w, false, vector, vvvv, integer);
    } else {
        asm_rr(&e->a, op, w, vector, integer);
    }
    asm_u8(&e->a, lane);
}

static const uint32_t insert_ops[] = { V663A(0x20), V66(0xc4), V663A(0x22), V663A(0x22) };
static const uint32_t extract_ops[] = { V663A(0x14), V663A(0x15), V663A(0x16), V663A(0x16) };

static void insert_lane(Emitter *e, unsigned esz, unsigned lane, int to, int a, int value)
{
    if (e->has->avx) {
        lane_instruction(e, insert_ops[esz], esz == 3, to, a, value, lane);
    } else {
        asm_vector_mov(e, to, a);
        lane_instruction(e, insert_ops[esz], esz == 3, to, 0, value, lane);
    }
}

static void emit_insert(Emitter *e, const IrOp *op)
{
    int a = emitter_use(e, op->args[0]), b = emitter_use(e, op->args[1]), to;

    emitter_advance(e);
    to = emitter_result(e, a, 0);
    insert_lane(e, op->esz, (unsigned)op->imm, to, a, b);
    emitter_finish(e, to);
}

/* The lane's own place, or another one of two: an instruction each. */
static bool insert_directly(Emitter *e, unsigned esz, unsigned lane, unsigned from, int to, int a,
                            int b)
{
    if (esz == 2) {
        vec3_imm(e, OP_INSERTPS, to, a, b, from << 6 | lane << 4);
    } else if (lane == from) {
        vec3_imm(e, OP_PBLENDW, to, a, b, ((1u << (1u << (esz - 1))) - 1) << (lane << (esz - 1)));
    } else if (esz == 3 && lane) {
        vec3(e, OP_PUNPCKLQDQ, to, a, b);
    } else if (esz == 3) {
        vec3(e, OP_PUNPCKHQDQ, to, b, a);
    } else {
        return false;
    }
    return true;
}

static void emit_insert_lane(Emitter *e, const IrOp *op)
{
    unsigned lane = (unsigned)op->imm, from = (unsigned)op->aux;
    int a = emitter_use(e, op->args[0]), b = emitter_use(e, op->args[1]), to, value = NO_REG;

    if (op->esz == 0) {
        value = emitter_scratch(e);
    }
    emitter_advance(e);
    to = emitter_result(e, a, 0);
    if (op->esz == 0) {
        lane_instruction(e, extract_ops[0], false, b, 0, value, from);
        insert_lane(e, 0, lane, to, a, value);
    } else if (!insert_directly(e, op->esz, lane, from, to, a, b)) {
        duplicate_lane(e, op->esz, from, VTMP1, b);
        vec3_imm(e, OP_PBLENDW, to, a, VTMP1, 1u << lane);
    }
    emitter_finish(e, to);
}

static void emit_extract_lane(Emitter *e, const IrOp *op)
{
    int a = emitter_use(e, op->args[0]), to;

    emitter_advance(e);
    to = emitter_result(e, NO_REG, 0);
    if (op->imm == 0 && op->esz >= 2) {
        vec_to_int(e, op->esz == 3, to, a);
    } else {
        lane_instruction(e, extract_ops[op->esz], op->esz == 3, a, 0, to, (unsigned)op->imm);
    }
    emitter_finish(e, to);
}

static void emit_by_function(Emitter *e, const IrOp *op, const void *function)
{
    int8_t regs[3];
    int to;

    emitter_clobber_flags(e);
    for (unsigned k = 0; k < 3 && op->args[k]; k++) {
        regs[k] = (int8_t)emitter_use(e, op->args[k]);
    }
    emitter_advance(e);
    to = emitter_result(e, NO_REG, 0);
    emit_cold_call(e, op, function, regs);
    asm_vector_load(e, 4, to, mem(RSP, FRAME_VECTOR_RESULT));
    emitter_finish(e, to);
}

bool emit_vector_op(Emitter *e, const IrOp *op)
{
    const void *function = emit_crypto_function(e, op);

    if (function) {
        emit_by_function(e, op, function);
        return true;
    }
    switch (op->opcode) {
    case IR_OP_vbsl:
        emit_select_bits(e, op);
        return true;
    case IR_OP_vdup:
        emit_duplicate(e, op);
        return true;
    case IR_OP_vfromint:
        emit_from_int(e, op);
        return true;
    case IR_OP_vins:
        emit_insert(e, op);
        return true;
    case IR_OP_vinslane:
        emit_insert_lane(e, op);
        return true;
    case IR_OP_vlane:
        emit_extract_lane(e, op);
        return true;
    }
    if (ir_op_info[op->opcode].result != 'Q') {
        return false;
    }
    if (ir_op_info[op->opcode].args == 1) {
        emit_unary(e, op);
    } else {
        emit_binary(e, op);
    }
    return true;
}
