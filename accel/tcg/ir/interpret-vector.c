/* SPDX-License-Identifier: MIT */
/* Vector ops of the reference interpreter, a lane at a time. */
#include "accel/tcg/ir/interpret-vector.h"

#include <string.h>

#include "accel/tcg/ir/interpret-aes.h"

static uint64_t lane(V128 v, unsigned esz, unsigned index)
{
    uint64_t value = 0;

    memcpy(&value, (const uint8_t *)&v + (index << esz), 1u << esz);
    return value;
}

static void set_lane(V128 *v, unsigned esz, unsigned index, uint64_t value)
{
    memcpy((uint8_t *)v + (index << esz), &value, 1u << esz);
}

static uint64_t saturate(const IrOp *op, uint64_t a, uint64_t b, unsigned width)
{
    __int128 x = a, y = b, low = 0, high = (__int128)bits_mask(width), result;

    if (op->opcode == IR_OP_vqadds || op->opcode == IR_OP_vqsubs) {
        x = bits_sign_extend(a, width);
        y = bits_sign_extend(b, width);
        low = -((__int128)1 << (width - 1));
        high = ((__int128)1 << (width - 1)) - 1;
    }
    result = op->opcode == IR_OP_vqadds || op->opcode == IR_OP_vqaddu ? x + y : x - y;
    return (uint64_t)(result < low ? low : result > high ? high : result);
}

/* Ops that work on each lane alone. */
static bool lane_op(const IrOp *op, uint64_t a, uint64_t b, uint64_t *r)
{
    unsigned width = 8u << op->esz, shift = (unsigned)op->imm;
    int64_t sa = bits_sign_extend(a, width), sb = bits_sign_extend(b, width);

    switch (op->opcode) {
    case IR_OP_vadd:
        *r = a + b;
        return true;
    case IR_OP_vsub:
        *r = a - b;
        return true;
    case IR_OP_vmul:
        *r = a * b;
        return true;
    case IR_OP_vneg:
        *r = 0 - a;
        return true;
    case IR_OP_vabs:
        *r = sa < 0 ? 0 - a : a;
        return true;
    case IR_OP_vshl:
        *r = a << shift;
        return true;
    case IR_OP_vshr:
        *r = shift >= width ? 0 : a >> shift;
        return true;
    case IR_OP_vsar:
        *r = (uint64_t)(sa >> (shift >= width ? width - 1 : shift));
        return true;
    case IR_OP_vcmpeq:
        *r = a == b ? UINT64_MAX : 0;
        return true;
    case IR_OP_vcmpgts:
        *r = sa > sb ? UINT64_MAX : 0;
        return true;
    case IR_OP_vcmpgtu:
        *r = a > b ? UINT64_MAX : 0;
        return true;
    case IR_OP_vmins:
        *r = sa < sb ? a : b;
        return true;
    case IR_OP_vminu:
        *r = a < b ? a : b;
        return true;
    case IR_OP_vmaxs:
        *r = sa > sb ? a : b;
        return true;
    case IR_OP_vmaxu:
        *r = a > b ? a : b;
        return true;
    case IR_OP_vqadds:
    case IR_OP_vqaddu:
    case IR_OP_vqsubs:
    case IR_OP_vqsubu:
        *r = saturate(op, a, b, width);
        return true;
    case IR_OP_vpopcnt:
        *r = (unsigned)__builtin_popcountll(a);
        return true;
    }
    return false;
}

/* Ops that move lanes: the source lane of result lane i, counted over a then b; -1: none. */
static int moved_lane(const IrOp *op, unsigned i, unsigned count)
{
    switch (op->opcode) {
    case IR_OP_vzip1:
        return (int)(i / 2 + (i & 1 ? count : 0));
    case IR_OP_vzip2:
        return (int)(i / 2 + count / 2 + (i & 1 ? count : 0));
    case IR_OP_vuzp1:
        return (int)(2 * i);
    case IR_OP_vuzp2:
        return (int)(2 * i + 1);
    case IR_OP_vtrn1:
        return (int)((i & ~1u) + (i & 1 ? count : 0));
    case IR_OP_vtrn2:
        return (int)((i | 1) + (i & 1 ? count : 0));
    case IR_OP_vext:
        return (int)(i + (unsigned)op->imm);
    case IR_OP_vrev:
        return (int)(i ^ ((1u << ((unsigned)op->imm - op->esz)) - 1));
    case IR_OP_vduplane:
        return (int)op->imm;
    }
    return -1;
}

static V128 widen(const IrOp *op, V128 a)
{
    V128 r = { 0 };

    for (unsigned i = 0; i < 8u >> op->esz; i++) {
        uint64_t x = lane(a, op->esz, i);

        set_lane(&r, op->esz + 1u, i,
                 op->opcode == IR_OP_vwidens ? (uint64_t)bits_sign_extend(x, 8u << op->esz) : x);
    }
    return r;
}

static V128 multiply_long(const IrOp *op, V128 a, V128 b)
{
    unsigned width = 8u << op->esz;
    V128 r = { 0 };

    for (unsigned i = 0; i < 8u >> op->esz; i++) {
        uint64_t x = lane(a, op->esz, i), y = lane(b, op->esz, i);

        set_lane(&r, op->esz + 1u, i,
                 op->imm ? (uint64_t)(bits_sign_extend(x, width) * bits_sign_extend(y, width))
                         : x * y);
    }
    return r;
}

static V128 narrow_or_pair(const IrOp *op, V128 a, V128 b)
{
    unsigned count = 16u >> op->esz;
    V128 r = { 0 };

    for (unsigned i = 0; i < count; i++) {
        unsigned half = i & (count / 2 - 1);
        V128 from = i < count / 2 ? a : b;

        set_lane(&r, op->esz, i,
                 op->opcode == IR_OP_vnarrow
                     ? lane(from, op->esz + 1u, half)
                     : lane(from, op->esz, 2 * half) + lane(from, op->esz, 2 * half + 1));
    }
    return r;
}

static V128 table_lookup(V128 a, V128 b)
{
    V128 r = { 0 };

    for (unsigned i = 0; i < 16; i++) {
        uint64_t index = lane(b, 0, i);

        set_lane(&r, 0, i, index < 16 ? lane(a, 0, (unsigned)index) : 0);
    }
    return r;
}

static V128 carryless_multiply(uint64_t a, uint64_t b)
{
    V128 r = { 0 };

    for (unsigned i = 0; i < 64; i++) {
        if (b >> i & 1) {
            r[0] ^= a << i;
            r[1] ^= i ? a >> (64 - i) : 0;
        }
    }
    return r;
}

static bool whole_op(const IrOp *op, const IrValue *arg[4], V128 *r)
{
    V128 a = arg[0]->v, b = arg[1]->v;

    switch (op->opcode) {
    case IR_OP_vand:
        *r = a & b;
        return true;
    case IR_OP_vor:
        *r = a | b;
        return true;
    case IR_OP_vxor:
        *r = a ^ b;
        return true;
    case IR_OP_vandn:
        *r = a & ~b;
        return true;
    case IR_OP_vnot:
        *r = ~a;
        return true;
    case IR_OP_vbsl:
        *r = (a & b) | (~a & arg[2]->v);
        return true;
    case IR_OP_vwidens:
    case IR_OP_vwidenu:
        *r = widen(op, a);
        return true;
    case IR_OP_vmull:
        *r = multiply_long(op, a, b);
        return true;
    case IR_OP_vnarrow:
    case IR_OP_vaddp:
        *r = narrow_or_pair(op, a, b);
        return true;
    case IR_OP_vdup:
        for (unsigned i = 0; i < 16u >> op->esz; i++) {
            set_lane(r, op->esz, i, arg[0]->i);
        }
        return true;
    case IR_OP_vins:
        *r = a;
        set_lane(r, op->esz, (unsigned)op->imm, arg[1]->i);
        return true;
    case IR_OP_vinslane:
        *r = a;
        set_lane(r, op->esz, (unsigned)op->imm, lane(b, op->esz, (unsigned)op->aux));
        return true;
    case IR_OP_vtbl:
        *r = table_lookup(a, b);
        return true;
    case IR_OP_vzext:
        *r = (V128){ a[0] & bits_mask(8u << op->esz), 0 };
        return true;
    case IR_OP_vhigh:
        *r = (V128){ a[1], 0 };
        return true;
    case IR_OP_vcombine:
        *r = (V128){ a[0], b[0] };
        return true;
    case IR_OP_vfromint:
        *r = (V128){ arg[0]->i, 0 };
        return true;
    case IR_OP_aese:
        *r = ir_aes_encrypt_round(a ^ b);
        return true;
    case IR_OP_aesd:
        *r = ir_aes_decrypt_round(a ^ b);
        return true;
    case IR_OP_aesmc:
        *r = ir_aes_mix_columns(a, false);
        return true;
    case IR_OP_aesimc:
        *r = ir_aes_mix_columns(a, true);
        return true;
    case IR_OP_pmull:
        *r = carryless_multiply(a[0], b[0]);
        return true;
    }
    return false;
}

bool ir_interpret_vector(const IrOp *op, const IrValue *arg[4], IrValue *result)
{
    unsigned esz = op->opcode == IR_OP_vext ? 0 : op->esz, count = 16u >> (esz & 3);
    uint64_t r;

    if (op->opcode == IR_OP_vlane) {
        result->i = lane(arg[0]->v, esz, (unsigned)op->imm);
        return true;
    }
    if (ir_op_info[op->opcode].result != 'Q' || op->opcode == IR_OP_vconst) {
        return false;
    }
    result->v = (V128){ 0 };
    if (whole_op(op, arg, &result->v)) {
        return true;
    }
    for (unsigned i = 0; i < count; i++) {
        int from = moved_lane(op, i, count);

        if (from >= 0) {
            r = lane((unsigned)from < count ? arg[0]->v : arg[1]->v, esz,
                     (unsigned)from & (count - 1));
        } else if (!lane_op(op, lane(arg[0]->v, esz, i), lane(arg[1]->v, esz, i), &r)) {
            return false;
        }
        set_lane(&result->v, esz, i, r);
    }
    return true;
}
