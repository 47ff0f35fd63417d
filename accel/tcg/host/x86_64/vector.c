/* SPDX-License-Identifier: MIT */
/* Vector instructions with or without VEX. */
#include "accel/tcg/host/x86_64/vector.h"

void vec3(Emitter *e, uint32_t op, int to, int a, int b)
{
    if (e->has->avx) {
        asm_vex_rr(&e->a, op, false, false, to, a, b);
        return;
    }
    if (to == b && to != a) {
        asm_vector_mov(e, VTMP2, b);
        b = VTMP2;
    }
    asm_vector_mov(e, to, a);
    asm_rr(&e->a, op, false, to, b);
}

void vec3_imm(Emitter *e, uint32_t op, int to, int a, int b, unsigned imm)
{
    vec3(e, op, to, a, b);
    asm_u8(&e->a, imm);
}

void vec2(Emitter *e, uint32_t op, int to, int a)
{
    if (e->has->avx) {
        asm_vex_rr(&e->a, op, false, false, to, 0, a);
    } else {
        asm_rr(&e->a, op, false, to, a);
    }
}

void vec2_imm(Emitter *e, uint32_t op, int to, int a, unsigned imm)
{
    vec2(e, op, to, a);
    asm_u8(&e->a, imm);
}

void vec_shift(Emitter *e, unsigned digit, unsigned esz, int to, int a, unsigned count)
{
    uint32_t op = V66(0x70 | esz);

    if (e->has->avx) {
        asm_vex_rr(&e->a, op, false, false, (int)digit, to, a);
    } else {
        asm_vector_mov(e, to, a);
        asm_rr(&e->a, op, false, (int)digit, to);
    }
    asm_u8(&e->a, count);
}

void vec_const(Emitter *e, int to, uint64_t each)
{
    asm_vector_const(e, to, each, each);
}

void vec_from_int(Emitter *e, bool w, int to, int from)
{
    if (e->has->avx) {
        asm_vex_rr(&e->a, V66(0x6e), w, false, to, 0, from);
    } else {
        asm_rr(&e->a, V66(0x6e), w, to, from);
    }
}

void vec_to_int(Emitter *e, bool w, int to, int from)
{
    if (e->has->avx) {
        asm_vex_rr(&e->a, V66(0x7e), w, false, from, 0, to);
    } else {
        asm_rr(&e->a, V66(0x7e), w, from, to);
    }
}

void asm_vector_mov(Emitter *e, int to, int from)
{
    if (to != from) {
        vec2(e, OP(PP_NONE, MAP_0F, 0x28), to, from); /* movaps */
    }
}

static void vector_rm(Emitter *e, uint32_t op, int reg, int vvvv, Mem m)
{
    if (e->has->avx) {
        asm_vex_rm(&e->a, op, false, false, reg, vvvv, m);
    } else {
        asm_rm(&e->a, op, false, reg, m);
    }
}

void asm_vector_load(Emitter *e, unsigned size_log2, int to, Mem m)
{
    static const uint32_t ops[] = {
        [0] = V663A(0x20),               /* pinsrb */
        [1] = V66(0xc4),                 /* pinsrw */
        [2] = V66(0x6e),                 /* movd */
        [3] = OP(PP_F3, MAP_0F, 0x7e),   /* movq */
        [4] = OP(PP_NONE, MAP_0F, 0x10), /* movups */
    };

    if (size_log2 >= 2) {
        vector_rm(e, ops[size_log2], to, 0, m);
        return;
    }
    vec3(e, OP_PXOR, to, to, to);
    vector_rm(e, ops[size_log2], to, to, m);
    asm_u8(&e->a, 0);
}

void asm_vector_store(Emitter *e, unsigned size_log2, Mem m, int from)
{
    static const uint32_t ops[] = {
        [0] = V663A(0x14),               /* pextrb */
        [1] = V663A(0x15),               /* pextrw */
        [2] = V66(0x7e),                 /* movd */
        [3] = V66(0xd6),                 /* movq */
        [4] = OP(PP_NONE, MAP_0F, 0x11), /* movups */
    };

    vector_rm(e, ops[size_log2], from, 0, m);
    if (size_log2 < 2) {
        asm_u8(&e->a, 0);
    }
}

void asm_vector_const(Emitter *e, int to, uint64_t low, uint64_t high)
{
    if (low == 0 && high == 0) {
        vec3(e, OP_PXOR, to, to, to);
        return;
    }
    if (low == UINT64_MAX && high == UINT64_MAX) {
        vec3(e, OP_PCMPEQD, to, to, to);
        return;
    }
    vec2_const(e, OP(PP_NONE, MAP_0F, 0x28), to, low, high);
}

/* The constant behind the unit that the instruction just emitted refers to. */
static void note_constant(Emitter *e, uint64_t low, uint64_t high)
{
    if (e->constant_count == MAX_CONSTANTS) {
        e->failed = true;
        return;
    }
    e->constants[e->constant_count].at = e->a.p - 4;
    e->constants[e->constant_count].low = low;
    e->constants[e->constant_count].high = high;
    e->constant_count++;
}

void vec2_const(Emitter *e, uint32_t op, int to, uint64_t low, uint64_t high)
{
    vector_rm(e, op, to, 0, mem(RIP_BASE, 0));
    note_constant(e, low, high);
}

void vec3_const(Emitter *e, uint32_t op, int to, int a, uint64_t low, uint64_t high)
{
    if (!e->has->avx) {
        asm_vector_mov(e, to, a);
    }
    vector_rm(e, op, to, a, mem(RIP_BASE, 0));
    note_constant(e, low, high);
}
