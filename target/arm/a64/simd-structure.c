/* SPDX-License-Identifier: MIT */
/* LD1 to LD4 and ST1 to ST4: multiple and single structures, replication (DDI 0487, C4.1.94). */
#include "target/arm/a64/simd.h"

/*
 * One value of 1 << esz bytes in little-endian order, zero-extended. Big-endian data are put right
 * by elements afterwards, or here where an element is all of it.
 */
static IrRef load(A64Translator *t, unsigned esz, unsigned flags, IrRef address, int64_t offset)
{
    IrRef value = a64_op(t, (IrOp){ .opcode = IR_OP_ld,
                                    .type = IR_V128,
                                    .esz = (uint8_t)esz,
                                    .sub = (uint8_t)(flags & ~(unsigned)IR_MEM_BE),
                                    .args = { address },
                                    .imm = offset });

    return flags & IR_MEM_BE && esz ? a64_vop1(t, IR_OP_vrev, 0, value, esz) : value;
}

static void store(A64Translator *t, unsigned esz, unsigned flags, IrRef address, int64_t offset,
                  IrRef value)
{
    if (flags & IR_MEM_BE && esz) {
        value = a64_vop1(t, IR_OP_vrev, 0, value, esz);
    }
    a64_op(t, (IrOp){ .opcode = IR_OP_st,
                      .type = IR_V128,
                      .esz = (uint8_t)esz,
                      .sub = (uint8_t)(flags & ~(unsigned)IR_MEM_BE),
                      .args = { address, value },
                      .imm = offset });
}

/* `count` values of 8 or 16 bytes next to each other, with one check. */
static void load_multiple(A64Translator *t, unsigned esz, IrRef base, unsigned count, IrRef *values)
{
    IrRef cookie;

    if (count == 1) {
        values[0] = load(t, esz, 0, base, 0);
        return;
    }
    cookie = a64_op(t, (IrOp){ .opcode = IR_OP_ldchk,
                               .type = IR_I64,
                               .esz = (uint8_t)esz,
                               .args = { base },
                               .aux = count << esz });
    for (unsigned i = 0; i < count; i++) {
        values[i] = a64_op(t, (IrOp){ .opcode = IR_OP_ldraw,
                                      .type = IR_V128,
                                      .esz = (uint8_t)esz,
                                      .args = { cookie },
                                      .imm = (int64_t)i << esz });
    }
}

/* Registers, structure elements and repetitions of the multiple forms, by opcode. */
typedef struct {
    uint8_t registers, elements;
} Shape;

static const Shape *multiple_shape(unsigned opcode)
{
    static const Shape shapes[16] = {
        [0] = { 4, 4 }, [2] = { 4, 1 }, [4] = { 3, 3 }, [6] = { 3, 1 },
        [7] = { 1, 1 }, [8] = { 2, 2 }, [10] = { 2, 1 }
    };

    return shapes[opcode].registers ? &shapes[opcode] : NULL;
}

/* Adds what a post-indexed form adds: a register, or the bytes transferred for register 31. */
static void write_back(A64Translator *t, const A64Fields *f, IrRef base, unsigned bytes)
{
    IrRef sum = f->rm == 31 ? a64_op2i(t, IR_OP_add, IR_I64, base, bytes)
                            : a64_op2(t, IR_OP_add, IR_I64, base, a64_get_x(t, f->rm));

    a64_set_sp(t, true, f->rn, sum);
}

/*
 * A 16-byte part of three interleaved or de-interleaved registers. index(i) tells for byte i of the
 * result which byte of the 48 (or 24) source bytes it is; sources hold 16 bytes each, or `chunk`.
 */
static IrRef gather3(A64Translator *t, const IrRef *sources, const uint8_t *index)
{
    IrRef result = 0;

    for (unsigned s = 0; s < 3; s++) {
        uint64_t mask[2] = { 0, 0 };
        bool used = false;

        for (unsigned i = 0; i < 16; i++) {
            bool here = index[i] / 16 == s;

            used |= here;
            mask[i / 8] |= (uint64_t)(here ? index[i] % 16 : 0xff) << (i % 8 * 8);
        }
        if (used) {
            IrRef part = a64_vop2(t, IR_OP_vtbl, 0, sources[s], a64_vconst(t, mask[0], mask[1]));

            result = result ? a64_vop2(t, IR_OP_vor, 0, result, part) : part;
        }
    }
    return result ? result : a64_vzero(t);
}

/* memory: 3 values of 16 bytes (8 where q is 0), in order of addresses; to registers */
static void deinterleave3(A64Translator *t, unsigned esz, bool q, const IrRef *memory, IrRef *regs)
{
    unsigned chunk = q ? 16 : 8;

    for (unsigned r = 0; r < 3; r++) {
        uint8_t index[16];

        for (unsigned i = 0; i < 16; i++) {
            unsigned byte = ((i >> esz) * 3 + r) * (1 << esz) + (i & ((1 << esz) - 1));

            index[i] = i < chunk ? (uint8_t)(byte / chunk * 16 + byte % chunk) : 0xff;
        }
        regs[r] = gather3(t, memory, index);
    }
}

static void interleave3(A64Translator *t, unsigned esz, bool q, const IrRef *regs, IrRef *memory)
{
    unsigned chunk = q ? 16 : 8;

    for (unsigned m = 0; m < 3; m++) {
        uint8_t index[16];

        for (unsigned i = 0; i < 16; i++) {
            unsigned byte = m * chunk + i, element = byte >> esz;

            index[i] =
                i < chunk
                    ? (uint8_t)(element % 3 * 16 + (element / 3 << esz) + (byte & ((1 << esz) - 1)))
                    : 0xff;
        }
        memory[m] = gather3(t, regs, index);
    }
}

/* For q = 0 two 8-byte values are handled as one of 16 bytes. */
static void deinterleave(A64Translator *t, unsigned esz, bool q, unsigned n, const IrRef *memory,
                         IrRef *regs)
{
    IrRef even[2], odd[2];

    if (n == 3) {
        deinterleave3(t, esz, q, memory, regs);
        return;
    }
    for (unsigned i = 0; i < n / 2; i++) {
        IrRef a = memory[2 * i], b = memory[2 * i + 1];

        if (!q) {
            a = b = a64_vop2(t, IR_OP_vcombine, 0, a, b);
        }
        even[i] = a64_vop2(t, IR_OP_vuzp1, esz, a, b);
        odd[i] = a64_vop2(t, IR_OP_vuzp2, esz, a, b);
    }
    if (n == 2) {
        regs[0] = even[0];
        regs[1] = odd[0];
        return;
    }
    if (!q) {
        even[0] = even[1] = a64_vop2(t, IR_OP_vcombine, 0, even[0], even[1]);
        odd[0] = odd[1] = a64_vop2(t, IR_OP_vcombine, 0, odd[0], odd[1]);
    }
    for (unsigned i = 0; i < 2; i++) {
        IrOpcode opcode = i ? IR_OP_vuzp2 : IR_OP_vuzp1;

        regs[2 * i] = a64_vop2(t, opcode, esz, even[0], even[1]);
        regs[2 * i + 1] = a64_vop2(t, opcode, esz, odd[0], odd[1]);
    }
}

static void interleave(A64Translator *t, unsigned esz, bool q, unsigned n, const IrRef *regs,
                       IrRef *memory)
{
    IrRef first[2], second[2];

    if (n == 3) {
        interleave3(t, esz, q, regs, memory);
        return;
    }
    if (n == 2) {
        first[0] = regs[0];
        second[0] = regs[1];
    } else {
        for (unsigned i = 0; i < 2; i++) {
            IrOpcode opcode = i ? IR_OP_vzip2 : IR_OP_vzip1;

            first[i] = a64_vop2(t, opcode, esz, regs[0], regs[2]);
            second[i] = a64_vop2(t, opcode, esz, regs[1], regs[3]);
        }
        if (!q) {
            first[1] = a64_vop1(t, IR_OP_vhigh, 0, first[0], 0);
            second[1] = a64_vop1(t, IR_OP_vhigh, 0, second[0], 0);
        }
    }
    for (unsigned i = 0; i < n / 2; i++) {
        IrRef low = a64_vop2(t, IR_OP_vzip1, esz, first[i], second[i]);

        memory[2 * i] = low;
        memory[2 * i + 1] = q ? a64_vop2(t, IR_OP_vzip2, esz, first[i], second[i])
                              : a64_vop1(t, IR_OP_vhigh, 0, low, 0);
    }
}

/* Bytes of each element reversed, for big-endian data. */
static void swap_elements(A64Translator *t, unsigned esz, unsigned count, IrRef *values)
{
    for (unsigned i = 0; i < count && esz; i++) {
        values[i] = a64_vop1(t, IR_OP_vrev, 0, values[i], esz);
    }
}

/*
 * With alignment checking, each element must be aligned, though accesses are wider: for loads, one
 * to the first element judges that for all; stores are made by elements.
 */
static void store_elements(A64Translator *t, unsigned esz, unsigned width, IrRef base,
                           int64_t offset, IrRef value)
{
    for (unsigned i = 0; i < 1u << (width - esz); i++) {
        store(t, esz, IR_MEM_ALIGNED, base, offset + ((int64_t)i << esz),
              a64_vop1(t, IR_OP_vduplane, esz, value, i));
    }
}

static bool multiple(A64Translator *t, const A64Fields *f, bool post)
{
    const Shape *shape = multiple_shape(f->opcode);
    unsigned width = f->q ? 4 : 3, flags;
    IrRef base, memory[4], regs[4];

    if (!shape || (f->size == 3 && !f->q && shape->elements > 1)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    base = a64_get_base(t, f->rn);
    flags = a64_memory_flags(t);
    if (f->l) {
        if (flags & IR_MEM_ALIGNED) {
            load(t, f->size, IR_MEM_ALIGNED, base, 0);
        }
        load_multiple(t, width, base, shape->registers, memory);
        if (flags & IR_MEM_BE) {
            swap_elements(t, f->size, shape->registers, memory);
        }
        if (shape->elements > 1) {
            deinterleave(t, f->size, f->q, shape->elements, memory, regs);
        }
        for (unsigned i = 0; i < shape->registers; i++) {
            a64_set_vq(t, (f->rt + i) % 32, f->q, shape->elements > 1 ? regs[i] : memory[i]);
        }
    } else {
        for (unsigned i = 0; i < shape->registers; i++) {
            memory[i] = regs[i] = a64_get_v(t, (f->rt + i) % 32);
        }
        if (shape->elements > 1) {
            interleave(t, f->size, f->q, shape->elements, regs, memory);
        }
        if (flags & IR_MEM_BE) {
            swap_elements(t, f->size, shape->registers, memory);
        }
        for (unsigned i = 0; i < shape->registers; i++) {
            if (flags & IR_MEM_ALIGNED) {
                store_elements(t, f->size, width, base, (int64_t)i << width, memory[i]);
            } else {
                store(t, width, 0, base, (int64_t)i << width, memory[i]);
            }
        }
    }
    if (post) {
        write_back(t, f, base, shape->registers << width);
    }
    return true;
}

INSTRUCTION(simd_ldst_multiple, "0 q 0011000 l 000000 opcode:4 size:2 rn:5 rt:5")
static bool translate_simd_ldst_multiple(A64Translator *t, const A64Fields *f)
{
    return multiple(t, f, false);
}

INSTRUCTION(simd_ldst_multiple_post, "0 q 0011001 l 0 rm:5 opcode:4 size:2 rn:5 rt:5")
static bool translate_simd_ldst_multiple_post(A64Translator *t, const A64Fields *f)
{
    return multiple(t, f, true);
}

/* What a single-structure form moves; false: not allocated. */
static bool single_shape(const A64Fields *f, unsigned *esz, unsigned *index)
{
    *esz = f->opcode >> 1;
    switch (*esz) {
    case 0:
        *index = f->q << 3 | f->s << 2 | f->size;
        return true;
    case 1:
        *index = f->q << 2 | f->s << 1 | f->size >> 1;
        return !(f->size & 1);
    case 2:
        if (f->size == 0) {
            *index = f->q << 1 | f->s;
            return true;
        }
        *esz = 3;
        *index = f->q;
        return f->size == 1 && !f->s;
    default: /* replication */
        *esz = f->size;
        *index = 0;
        return f->l && !f->s;
    }
}

static bool single(A64Translator *t, const A64Fields *f, bool post)
{
    unsigned elements = ((f->opcode & 1) << 1 | f->r) + 1, esz, index;
    bool replicate = f->opcode >> 1 == 3;
    unsigned flags = a64_memory_flags(t);
    IrRef base, values[4];

    if (!single_shape(f, &esz, &index)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    base = a64_get_base(t, f->rn);
    for (unsigned i = 0; i < elements; i++) {
        unsigned rt = (f->rt + i) % 32;
        int64_t offset = (int64_t)i << esz;

        if (f->l) {
            values[i] = load(t, esz, flags, base, offset);
        } else {
            IrRef lane = index ? a64_vop1(t, IR_OP_vduplane, esz, a64_get_v(t, rt), index)
                               : a64_get_v(t, rt);

            store(t, esz, flags, base, offset, lane);
        }
    }
    for (unsigned i = 0; i < elements && f->l; i++) {
        unsigned rt = (f->rt + i) % 32;

        if (replicate) {
            a64_set_vq(t, rt, f->q, a64_vop1(t, IR_OP_vduplane, esz, values[i], 0));
        } else {
            a64_set_v(t, rt, a64_vinslane(t, esz, a64_get_v(t, rt), index, values[i], 0));
        }
    }
    if (post) {
        write_back(t, f, base, elements << esz);
    }
    return true;
}

INSTRUCTION(simd_ldst_single, "0 q 0011010 l r 00000 opcode:3 s size:2 rn:5 rt:5")
static bool translate_simd_ldst_single(A64Translator *t, const A64Fields *f)
{
    return single(t, f, false);
}

INSTRUCTION(simd_ldst_single_post, "0 q 0011011 l r rm:5 opcode:3 s size:2 rn:5 rt:5")
static bool translate_simd_ldst_single_post(A64Translator *t, const A64Fields *f)
{
    return single(t, f, true);
}
