/* SPDX-License-Identifier: MIT */
/*
 * Pure helpers that the host has instructions for: SHA-1 and SHA-256 (SHA extensions), shifts of lanes
 * by different counts (AVX2).
 */
#include "accel/tcg/host/x86_64/vector.h"

enum {
    OP_SHA1RNDS4 = OP(PP_NONE, MAP_0F3A, 0xcc),
    OP_SHA256RNDS2 = OP(PP_NONE, MAP_0F38, 0xcb), /* reads xmm0 */
    OP_SHA256MSG1 = OP(PP_NONE, MAP_0F38, 0xcc),
    OP_SHA256MSG2 = OP(PP_NONE, MAP_0F38, 0xcd),
    OP_PADDD = V66(0xfe),
    OP_PSUBD = V66(0xfa),
    REVERSED = 0x1b, /* PSHUFD: words in reverse order */
};

/* The host wants A in the highest word, the first word plus E there, too, and adds the constant. */
static void emit_sha1_rounds(Emitter *e, const int *args, int to, unsigned function)
{
    static const uint32_t constants[] = { 0x5a827999, 0x6ed9eba1, 0x8f1bbcdc };

    vec_shift(e, 7, 3, VTMP2, args[1], 12); /* pslldq */
    vec2_imm(e, OP_PSHUFD, VTMP1, args[2], REVERSED);
    vec3(e, OP_PADDD, VTMP1, VTMP1, VTMP2);
    vec_const(e, VTMP2, constants[function] * UINT64_C(0x100000001));
    vec3(e, OP_PSUBD, VTMP1, VTMP1, VTMP2);
    vec2_imm(e, OP_PSHUFD, VTMP0, args[0], REVERSED);
    asm_rr(&e->a, OP_SHA1RNDS4, false, VTMP0, VTMP1);
    asm_u8(&e->a, function);
    vec2_imm(e, OP_PSHUFD, to, VTMP0, REVERSED);
}

/* The host's state is ABEF and CDGH, highest word first; two rounds make the one the other. */
static void emit_sha256_rounds(Emitter *e, int abcd, int efgh, int schedule, int to, bool second)
{
    enum { LOW = 0x11, HIGH = 0xbb }; /* SHUFPS: two low, two high words of each, reversed */

    vec3_imm(e, OP_SHUFPS, VTMP1, efgh, abcd, LOW);
    vec3_imm(e, OP_SHUFPS, VTMP0, efgh, abcd, HIGH);
    asm_vector_mov(e, VTMP2, XMM0);
    asm_vector_mov(e, XMM0, schedule);
    asm_rr(&e->a, OP_SHA256RNDS2, false, VTMP0, VTMP1);
    vec2_imm(e, OP_PSHUFD, XMM0, XMM0, 0xee);
    asm_rr(&e->a, OP_SHA256RNDS2, false, VTMP1, VTMP0);
    asm_vector_mov(e, XMM0, VTMP2);
    vec3_imm(e, OP_SHUFPS, to, VTMP1, VTMP0, second ? LOW : HIGH);
}

static void emit_sha256_schedule(Emitter *e, const int *args, int to, bool second)
{
    if (second) {
        vec3_imm(e, OP_PALIGNR, VTMP0, args[2], args[1], 4);
        vec3(e, OP_PADDD, VTMP0, VTMP0, args[0]);
        asm_rr(&e->a, OP_SHA256MSG2, false, VTMP0, args[2]);
    } else {
        asm_vector_mov(e, VTMP0, args[0]);
        asm_rr(&e->a, OP_SHA256MSG1, false, VTMP0, args[1]);
    }
    asm_vector_mov(e, to, VTMP0);
}

static void shift_each(Emitter *e, unsigned opcode, bool wide, int to, int value, int counts)
{
    asm_vex_rr(&e->a, V6638(opcode), wide, false, to, value, counts);
}

/*
 * Both directions are tried: a count is a byte, and the host shifts by the unsigned count, giving
 * zeros when it is large, which a count is for the direction it does not mean.
 */
static void emit_shift_lanes(Emitter *e, int value, int counts, int to, bool wide, bool is_signed)
{
    enum { SHIFT_LEFT = 0x47, SHIFT_RIGHT = 0x45 };
    uint32_t subtract = wide ? V66(0xfb) : OP_PSUBD;
    int flipped;

    vec_const(e, VTMP2, wide ? 0xff : UINT64_C(0xff000000ff));
    vec3(e, OP_PXOR, VTMP1, VTMP1, VTMP1);
    vec3(e, subtract, VTMP1, VTMP1, counts);
    vec3(e, OP_PAND, VTMP1, VTMP1, VTMP2);
    vec3(e, OP_PAND, VTMP0, counts, VTMP2);
    shift_each(e, SHIFT_LEFT, wide, VTMP0, value, VTMP0);
    if (!is_signed) {
        shift_each(e, SHIFT_RIGHT, wide, VTMP1, value, VTMP1);
        vec3(e, OP_POR, to, VTMP0, VTMP1);
        return;
    }
    /* Arithmetic: the complement of a negative number is shifted, and complemented again. */
    vec3(e, OP_PXOR, VTMP2, VTMP2, VTMP2);
    vec3(e, wide ? OP_PCMPGTQ : OP_PCMPGTD, VTMP2, VTMP2, value);
    flipped = emitter_scratch_vector(e);
    vec3(e, OP_PXOR, flipped, value, VTMP2);
    shift_each(e, SHIFT_RIGHT, wide, flipped, flipped, VTMP1);
    vec3(e, OP_PXOR, VTMP1, flipped, VTMP2);
    /* The sign of the count selects. */
    vec_shift(e, 6, wide ? 3 : 2, VTMP2, counts, wide ? 56 : 24);
    vec3_imm(e, wide ? V663A(0x4b) : V663A(0x4a), to, VTMP0, VTMP1, (unsigned)(VTMP2 - XMM0) << 4);
}

static bool is_available(const Emitter *e, unsigned kind)
{
    return kind >= IR_INTRINSIC_USHL_S ? e->has->avx2 : kind != IR_INTRINSIC_NONE && e->has->sha;
}

bool emit_intrinsic(Emitter *e, const IrOp *op)
{
    unsigned kind = op->helper->intrinsic;
    int args[3], to;

    if (!is_available(e, kind)) {
        return false;
    }
    for (unsigned k = 0; k < 3 && op->args[k]; k++) {
        args[k] = emitter_use(e, op->args[k]);
    }
    emitter_advance(e);
    to = emitter_result(e, NO_REG, 0);
    switch (kind) {
    case IR_INTRINSIC_SHA256H:
        emit_sha256_rounds(e, args[0], args[1], args[2], to, false);
        break;
    case IR_INTRINSIC_SHA256H2:
        emit_sha256_rounds(e, args[1], args[0], args[2], to, true);
        break;
    case IR_INTRINSIC_SHA256SU0:
    case IR_INTRINSIC_SHA256SU1:
        emit_sha256_schedule(e, args, to, kind == IR_INTRINSIC_SHA256SU1);
        break;
    case IR_INTRINSIC_USHL_S:
    case IR_INTRINSIC_USHL_D:
    case IR_INTRINSIC_SSHL_S:
    case IR_INTRINSIC_SSHL_D:
        emit_shift_lanes(e, args[0], args[1], to,
                         kind == IR_INTRINSIC_USHL_D || kind == IR_INTRINSIC_SSHL_D,
                         kind >= IR_INTRINSIC_SSHL_S);
        break;
    default:
        emit_sha1_rounds(e, args, to, kind - IR_INTRINSIC_SHA1C);
        break;
    }
    emitter_finish(e, to);
    return true;
}
