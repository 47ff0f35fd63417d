/* SPDX-License-Identifier: MIT */
/*
 * A64 loads and stores of general and of single SIMD&FP registers (DDI 0487 C4.1, "Loads and Stores"),
 * except exclusives and atomics, and SIMD structures.
 */
#include "target/arm/translate.h"

#include "target/arm/exception.h"

void a64_write_back(A64Translator *t, unsigned n, IrRef base, int64_t imm)
{
    bool aligned = t->sp_aligned && imm % 16 == 0;

    a64_set_sp(t, true, n, a64_op2i(t, IR_OP_add, IR_I64, base, imm));
    if (n == 31) {
        t->sp_aligned = aligned;
    }
}

IrRef a64_register_offset(A64Translator *t, IrRef base, unsigned rm, unsigned option,
                          unsigned shift)
{
    IrRef offset = a64_get_x(t, rm);

    if (!(option & 1)) {
        offset = a64_extend(t, option & 4 ? IR_OP_sext : IR_OP_zext, IR_I64, 2, offset);
    }
    if (shift) {
        offset = a64_op2i(t, IR_OP_shl, IR_I64, offset, shift);
    }
    return a64_op2(t, IR_OP_add, IR_I64, base, offset);
}

/* General registers. opc 0 stores, 1 loads zero-extended, 2 sign-extended to 64 bits, 3 to 32. */

static bool is_allocated(unsigned size, unsigned opc)
{
    return opc < 2 || (opc == 2 && size < 3) || size < 2;
}

static void transfer(A64Translator *t, unsigned size, unsigned opc, unsigned rt, unsigned flags,
                     IrRef address, int64_t imm)
{
    switch (opc) {
    case 0:
        a64_store(t, IR_I64, size, flags, address, imm, a64_get_x(t, rt));
        break;
    case 1:
        a64_set_x(t, rt, a64_load(t, IR_I64, size, flags, address, imm));
        break;
    case 2:
        a64_set_x(t, rt, a64_load(t, IR_I64, size, flags | IR_MEM_SIGNED, address, imm));
        break;
    default:
        a64_set_w(t, rt, a64_load(t, IR_I32, size, flags | IR_MEM_SIGNED, address, imm));
        break;
    }
}

/*
 * Post- and pre-indexed. The base changes after the access, which may fault; a loaded register that
 * is also the base (constrained unpredictable) keeps the loaded value.
 */
static void transfer_indexed(A64Translator *t, const A64Fields *f, bool pre)
{
    IrRef base = a64_get_base(t, f->rn);
    int64_t imm = pre ? f->imm9 : 0;

    if (f->opc == 0) {
        transfer(t, f->size, 0, f->rt, 0, base, imm);
        a64_write_back(t, f->rn, base, f->imm9);
    } else {
        IrType type = f->opc == 3 ? IR_I32 : IR_I64;
        IrRef value = a64_load(t, type, f->size, f->opc >= 2 ? IR_MEM_SIGNED : 0, base, imm);

        a64_write_back(t, f->rn, base, f->imm9);
        if (f->opc == 3) {
            a64_set_w(t, f->rt, value);
        } else {
            a64_set_x(t, f->rt, value);
        }
    }
}

INSTRUCTION(ldst_post, "size:2 111000 opc:2 0 imm9:s9 01 rn:5 rt:5")
static bool translate_ldst_post(A64Translator *t, const A64Fields *f)
{
    if (!is_allocated(f->size, f->opc)) {
        return false;
    }
    transfer_indexed(t, f, false);
    return true;
}

INSTRUCTION(ldst_pre, "size:2 111000 opc:2 0 imm9:s9 11 rn:5 rt:5")
static bool translate_ldst_pre(A64Translator *t, const A64Fields *f)
{
    if (!is_allocated(f->size, f->opc)) {
        return false;
    }
    transfer_indexed(t, f, true);
    return true;
}

INSTRUCTION(ldst_unscaled, "size:2 111000 opc:2 0 imm9:s9 00 rn:5 rt:5")
static bool translate_ldst_unscaled(A64Translator *t, const A64Fields *f)
{
    if (f->size == 3 && f->opc == 2) {
        return true; /* PRFUM */
    }
    if (!is_allocated(f->size, f->opc)) {
        return false;
    }
    transfer(t, f->size, f->opc, f->rt, 0, a64_get_base(t, f->rn), f->imm9);
    return true;
}

/* LDTR and STTR: as EL0 when at EL1, unless PSTATE.UAO says otherwise. */
INSTRUCTION(ldst_unpriv, "size:2 111000 opc:2 0 imm9:s9 10 rn:5 rt:5")
static bool translate_ldst_unpriv(A64Translator *t, const A64Fields *f)
{
    bool unpriv = t->mode & ARM_MODE_EL1 && !(t->mode & ARM_MODE_UAO);

    if (!is_allocated(f->size, f->opc)) {
        return false;
    }
    transfer(t, f->size, f->opc, f->rt, unpriv ? IR_MEM_OTHER : 0, a64_get_base(t, f->rn), f->imm9);
    return true;
}

INSTRUCTION(ldst_unsigned, "size:2 111001 opc:2 imm12:12 rn:5 rt:5")
static bool translate_ldst_unsigned(A64Translator *t, const A64Fields *f)
{
    if (f->size == 3 && f->opc == 2) {
        return true; /* PRFM */
    }
    if (!is_allocated(f->size, f->opc)) {
        return false;
    }
    transfer(t, f->size, f->opc, f->rt, 0, a64_get_base(t, f->rn), (int64_t)f->imm12 << f->size);
    return true;
}

INSTRUCTION(ldst_register, "size:2 111000 opc:2 1 rm:5 option:3 s 10 rn:5 rt:5",
            "(option & 2) != 0")
static bool translate_ldst_register(A64Translator *t, const A64Fields *f)
{
    IrRef address;

    if (f->size == 3 && f->opc == 2) {
        return true; /* PRFM */
    }
    if (!is_allocated(f->size, f->opc)) {
        return false;
    }
    address = a64_register_offset(t, a64_get_base(t, f->rn), f->rm, f->option, f->s ? f->size : 0);
    transfer(t, f->size, f->opc, f->rt, 0, address, 0);
    return true;
}

/* LDR W, LDR X, LDRSW, PRFM. */
INSTRUCTION(ld_literal, "opc:2 011000 imm19:s19 rt:5")
static bool translate_ld_literal(A64Translator *t, const A64Fields *f)
{
    IrRef address;

    if (f->opc == 3) {
        return true;
    }
    address = a64_op(
        t, (IrOp){ .opcode = IR_OP_pc, .type = IR_I64, .imm = t->offset + (int64_t)f->imm19 * 4 });
    transfer(t, f->opc == 1 ? 3 : 2, f->opc == 2 ? 2 : 1, f->rt, 0, address, 0);
    return true;
}

/* LDAPUR and STLUR: x86 keeps the order of loads; the store must also stay before later loads. */
INSTRUCTION(ldst_rcpc_unscaled, "size:2 011001 opc:2 0 imm9:s9 00 rn:5 rt:5")
static bool translate_ldst_rcpc_unscaled(A64Translator *t, const A64Fields *f)
{
    if (!a64_has(t, FEAT_LRCPC2) || !is_allocated(f->size, f->opc)) {
        return false;
    }
    transfer(t, f->size, f->opc, f->rt, IR_MEM_ALIGNED | (f->opc == 0 ? IR_MEM_SC : 0),
             a64_get_base(t, f->rn), f->imm9);
    return true;
}

/* Pairs. */

/* Where pre-indexed and post-indexed forms access and what they add to the base. */
typedef struct {
    int64_t offset, write_back;
    bool writes_back;
} PairIndex;

static PairIndex pair_index(unsigned index, int64_t imm)
{
    /* 0 no allocate hint, 1 post, 2 offset, 3 pre */
    return (
        PairIndex){ .offset = index == 1 ? 0 : imm, .write_back = imm, .writes_back = index & 1 };
}

/* Loads both of 1 << esz bytes after one check; alignment is that of an element. */
static void load_pair(A64Translator *t, IrType type, unsigned esz, unsigned sign, IrRef base,
                      int64_t imm, IrRef out[2])
{
    unsigned flags = a64_memory_flags(t);
    IrRef cookie;

    if (flags & IR_MEM_ALIGNED) {
        out[0] = a64_load(t, type, esz, sign, base, imm);
        out[1] = a64_load(t, type, esz, sign, base, imm + (1 << esz));
        return;
    }
    cookie = a64_op(t, (IrOp){ .opcode = IR_OP_ldchk,
                               .type = IR_I64,
                               .esz = (uint8_t)esz,
                               .sub = (uint8_t)(flags | IR_MEM_PAIR),
                               .args = { base },
                               .imm = imm,
                               .aux = 2 << esz });
    for (unsigned i = 0; i < 2; i++) {
        out[i] = a64_op(t, (IrOp){ .opcode = IR_OP_ldraw,
                                   .type = (uint8_t)type,
                                   .esz = (uint8_t)esz,
                                   .sub = (uint8_t)(flags | sign),
                                   .args = { cookie },
                                   .imm = (int64_t)i << esz });
        out[i] = a64_swap_vector(t, type, esz, out[i]);
    }
}

static void store_pair(A64Translator *t, IrType type, unsigned esz, IrRef base, int64_t imm,
                       IrRef first, IrRef second)
{
    unsigned flags = a64_memory_flags(t);

    if (flags & IR_MEM_ALIGNED) {
        a64_store(t, type, esz, 0, base, imm, first);
        a64_store(t, type, esz, 0, base, imm + (1 << esz), second);
        return;
    }
    first = a64_swap_vector(t, type, esz, first);
    second = a64_swap_vector(t, type, esz, second);
    a64_op(t, (IrOp){ .opcode = IR_OP_st2,
                      .type = (uint8_t)type,
                      .esz = (uint8_t)esz,
                      .sub = (uint8_t)(flags | IR_MEM_PAIR),
                      .args = { base, first, second },
                      .imm = imm });
}

/* opc 0: W; 1: LDPSW; 2: X. */
INSTRUCTION(ldst_pair, "opc:2 101 0 0 index:2 l imm7:s7 rt2:5 rn:5 rt:5",
            "opc != 3 && (opc != 1 || (l == 1 && index != 0))")
static bool translate_ldst_pair(A64Translator *t, const A64Fields *f)
{
    unsigned esz = f->opc == 2 ? 3 : 2;
    PairIndex index = pair_index(f->index, (int64_t)f->imm7 * (1 << esz));
    IrRef base = a64_get_base(t, f->rn);

    if (f->l) {
        IrRef value[2];

        load_pair(t, IR_I64, esz, f->opc == 1 ? IR_MEM_SIGNED : 0, base, index.offset, value);
        if (index.writes_back) {
            a64_write_back(t, f->rn, base, index.write_back);
        }
        a64_set_x(t, f->rt, value[0]);
        a64_set_x(t, f->rt2, value[1]);
    } else {
        store_pair(t, IR_I64, esz, base, index.offset, a64_get_x(t, f->rt), a64_get_x(t, f->rt2));
        if (index.writes_back) {
            a64_write_back(t, f->rn, base, index.write_back);
        }
    }
    return true;
}

/* SIMD&FP registers: scale is log2 of the bytes, 0 to 4. */

static void transfer_vector(A64Translator *t, unsigned scale, bool load, unsigned rt, IrRef address,
                            int64_t imm)
{
    if (load) {
        a64_set_v(t, rt, a64_load(t, IR_V128, scale, 0, address, imm));
    } else {
        a64_store(t, IR_V128, scale, 0, address, imm, a64_get_v(t, rt));
    }
}

/* opc:1 is the scale's bit 2: only size 0 may have it. */
#define VECTOR_SCALE(f) ((f)->o1 << 2 | (f)->size)

INSTRUCTION(ldst_vector_post, "size:2 111100 o1 l 0 imm9:s9 01 rn:5 rt:5", "o1 == 0 || size == 0")
static bool translate_ldst_vector_post(A64Translator *t, const A64Fields *f)
{
    IrRef base;

    if (!a64_fp_access(t)) {
        return true;
    }
    base = a64_get_base(t, f->rn);
    transfer_vector(t, VECTOR_SCALE(f), f->l, f->rt, base, 0);
    a64_write_back(t, f->rn, base, f->imm9);
    return true;
}

INSTRUCTION(ldst_vector_pre, "size:2 111100 o1 l 0 imm9:s9 11 rn:5 rt:5", "o1 == 0 || size == 0")
static bool translate_ldst_vector_pre(A64Translator *t, const A64Fields *f)
{
    IrRef base;

    if (!a64_fp_access(t)) {
        return true;
    }
    base = a64_get_base(t, f->rn);
    transfer_vector(t, VECTOR_SCALE(f), f->l, f->rt, base, f->imm9);
    a64_write_back(t, f->rn, base, f->imm9);
    return true;
}

INSTRUCTION(ldst_vector_unscaled, "size:2 111100 o1 l 0 imm9:s9 00 rn:5 rt:5",
            "o1 == 0 || size == 0")
static bool translate_ldst_vector_unscaled(A64Translator *t, const A64Fields *f)
{
    if (a64_fp_access(t)) {
        transfer_vector(t, VECTOR_SCALE(f), f->l, f->rt, a64_get_base(t, f->rn), f->imm9);
    }
    return true;
}

INSTRUCTION(ldst_vector_unsigned, "size:2 111101 o1 l imm12:12 rn:5 rt:5", "o1 == 0 || size == 0")
static bool translate_ldst_vector_unsigned(A64Translator *t, const A64Fields *f)
{
    if (a64_fp_access(t)) {
        transfer_vector(t, VECTOR_SCALE(f), f->l, f->rt, a64_get_base(t, f->rn),
                        (int64_t)f->imm12 << VECTOR_SCALE(f));
    }
    return true;
}

INSTRUCTION(ldst_vector_register, "size:2 111100 o1 l 1 rm:5 option:3 s 10 rn:5 rt:5",
            "(o1 == 0 || size == 0) && (option & 2) != 0")
static bool translate_ldst_vector_register(A64Translator *t, const A64Fields *f)
{
    if (a64_fp_access(t)) {
        IrRef address = a64_register_offset(t, a64_get_base(t, f->rn), f->rm, f->option,
                                            f->s ? VECTOR_SCALE(f) : 0);

        transfer_vector(t, VECTOR_SCALE(f), f->l, f->rt, address, 0);
    }
    return true;
}

INSTRUCTION(ld_vector_literal, "opc:2 011100 imm19:s19 rt:5", "opc != 3")
static bool translate_ld_vector_literal(A64Translator *t, const A64Fields *f)
{
    if (a64_fp_access(t)) {
        IrRef address = a64_op(
            t,
            (IrOp){ .opcode = IR_OP_pc, .type = IR_I64, .imm = t->offset + (int64_t)f->imm19 * 4 });

        transfer_vector(t, 2 + f->opc, true, f->rt, address, 0);
    }
    return true;
}

INSTRUCTION(ldst_vector_pair, "opc:2 101 1 0 index:2 l imm7:s7 rt2:5 rn:5 rt:5", "opc != 3")
static bool translate_ldst_vector_pair(A64Translator *t, const A64Fields *f)
{
    unsigned scale = 2 + f->opc;
    PairIndex index = pair_index(f->index, (int64_t)f->imm7 * (1 << scale));
    IrRef base;

    if (!a64_fp_access(t)) {
        return true;
    }
    base = a64_get_base(t, f->rn);
    if (f->l) {
        IrRef value[2];

        load_pair(t, IR_V128, scale, 0, base, index.offset, value);
        a64_set_v(t, f->rt, value[0]);
        a64_set_v(t, f->rt2, value[1]);
    } else {
        store_pair(t, IR_V128, scale, base, index.offset, a64_get_v(t, f->rt),
                   a64_get_v(t, f->rt2));
    }
    if (index.writes_back) {
        a64_write_back(t, f->rn, base, index.write_back);
    }
    return true;
}
