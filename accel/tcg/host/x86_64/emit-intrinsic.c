/* SPDX-License-Identifier: MIT */
/* Pure helpers that the host has instructions for: SHA-1 and SHA-256 (SHA extensions). */
#include "accel/tcg/host/x86_64/vector.h"

enum {
    OP_SHA1RNDS4 = OP(PP_NONE, MAP_0F3A, 0xcc),
    OP_SHA256RNDS2 = OP(PP_NONE, MAP_0F38, 0xcb), /* reads xmm0 */
    OP_SHA256MSG1 = OP(PP_NONE, MAP_0F38, 0xcc),
    OP_SHA256MSG2 = OP(PP_NONE, MAP_0F38, 0xcd),
    OP_PADDD = V66(0xfe),
    OP_PSUBD = V66(0xfa),
    REVERSED = 0x1b,           /* PSHUFD: words in reverse order */
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

bool emit_intrinsic(Emitter *e, const IrOp *op)
{
    unsigned kind = op->helper->intrinsic;
    int args[3], to;

    if (kind == IR_INTRINSIC_NONE || !e->has->sha) {
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
    default:
        emit_sha1_rounds(e, args, to, kind - IR_INTRINSIC_SHA1C);
        break;
    }
    emitter_finish(e, to);
    return true;
}
