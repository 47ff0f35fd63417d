/* SPDX-License-Identifier: MIT */
/*
 * Pointer authentication (DDI 0487 D8.10): FEAT_PAuth2 (a failed authentication leaves a pointer that
 * faults when it is used), without FEAT_FPAC. Where the field of the code lies depends on TCR_EL1; its
 * masks are guest variables, so that units do not depend on it.
 *
 * The algorithm is implementation defined: two multiplications with the halves of the key and the
 * modifier between them, made for a few host instructions. It keeps guests honest, not secrets. With
 * pauth-impdef=off it is QARMA5 or QARMA3.
 */
#include "base/bits.h"
#include "target/arm/exception.h"
#include "target/arm/qarma.h"
#include "target/arm/sysregs.h"
#include "target/arm/translate.h"

enum { KEY_IA, KEY_IB, KEY_DA, KEY_DB, KEY_GA };

/* Odd, with about half of their bits set. */
#define MULTIPLIER_ADDRESS  INT64_C(-0x604de39ae16720db)
#define MULTIPLIER_MODIFIER INT64_C(-0x2917014799a6026d)

static bool ignores_top_byte(const ArmCpu *cpu, bool high, bool data)
{
    return cpu->tcr_el1 >> (37 + high) & 1 && (data || !(cpu->tcr_el1 >> (51 + high) & 1));
}

/* The bits of a pointer of one half that its code takes: above the address, but for bit 55. */
static uint64_t code_mask(const ArmCpu *cpu, bool high, bool data)
{
    unsigned size = (unsigned)bits_extract(cpu->tcr_el1, high ? 16 : 0, 6);
    unsigned bottom = 64 - CLAMP(size, 16u, arm_has(cpu, FEAT_ST) ? 48u : 39u);
    uint64_t mask = bits_mask(55) & ~bits_mask(bottom);

    return ignores_top_byte(cpu, high, data) ? mask : mask | UINT64_C(0xff) << 56;
}

uint32_t arm_update_pac_layout(ArmCpu *cpu)
{
    uint32_t mode = 0;

    for (unsigned data = 0; data < 2; data++) {
        uint64_t low = code_mask(cpu, false, data), high = code_mask(cpu, true, data);

        cpu->pac_masks[data][0] = low;
        cpu->pac_masks[data][1] = low ^ high;
        if (ignores_top_byte(cpu, false, data) || ignores_top_byte(cpu, true, data)) {
            mode |= data ? ARM_MODE_PAC_DATA_55 : ARM_MODE_PAC_INSN_55;
        }
    }
    return mode;
}

static uint64_t helper_qarma5(uint64_t data, uint64_t modifier, uint64_t high, uint64_t low)
{
    return arm_qarma(data, modifier, high, low, 5, 2);
}

static uint64_t helper_qarma3(uint64_t data, uint64_t modifier, uint64_t high, uint64_t low)
{
    return arm_qarma(data, modifier, high, low, 3, 1);
}

static const TcgHelper qarma5_helper = {
    .name = "qarma5",
    .function = (void *)helper_qarma5,
    .result = IR_I64,
    .arg_types = { IR_I64, IR_I64, IR_I64, IR_I64 },
};
TCG_HELPER(qarma5_helper);

static const TcgHelper qarma3_helper = {
    .name = "qarma3",
    .function = (void *)helper_qarma3,
    .result = IR_I64,
    .arg_types = { IR_I64, IR_I64, IR_I64, IR_I64 },
};
TCG_HELPER(qarma3_helper);

static IrRef get_mask(A64Translator *t, bool data, bool difference)
{
    return a64_get_var(t, ARM_VAR_PAC_MASKS + 2 * data + difference, IR_I64);
}

static IrRef emit_xor(A64Translator *t, IrRef a, IrRef b)
{
    return a64_op2(t, IR_OP_xor, IR_I64, a, b);
}

static IrRef emit_and(A64Translator *t, IrRef a, IrRef b)
{
    return a64_op2(t, IR_OP_and, IR_I64, a, b);
}

/* The code of 64 bits. Pointers come with the bits of their code cleared. */
static IrRef emit_code(A64Translator *t, unsigned key, IrRef data, IrRef modifier)
{
    IrRef low = a64_get_var(t, ARM_VAR_PAC_KEYS + 2 * key, IR_I64);
    IrRef high = a64_get_var(t, ARM_VAR_PAC_KEYS + 2 * key + 1, IR_I64);
    IrRef hash;

    if (!a64_has(t, FEAT_PAUTH_IMPDEF)) {
        return a64_call(t, a64_has(t, FEAT_PAUTH_QARMA3) ? &qarma3_helper : &qarma5_helper, data,
                        modifier, high, low);
    }
    hash = a64_op2i(t, IR_OP_mul, IR_I64, emit_xor(t, data, low), MULTIPLIER_ADDRESS);
    hash = emit_xor(t, a64_op2i(t, IR_OP_ror, IR_I64, hash, 32), modifier);
    hash = a64_op2(t, IR_OP_add, IR_I64, hash, high);
    return a64_op2i(t, IR_OP_mul, IR_I64, hash, MULTIPLIER_MODIFIER);
}

/* Bit 55 in all bits, and the mask of the code in such a pointer. */
static IrRef emit_mask(A64Translator *t, bool data, IrRef half)
{
    return emit_xor(t, emit_and(t, half, get_mask(t, data, true)), get_mask(t, data, false));
}

/* Signs or authenticates, when the key is enabled: the code is exclusive-ored in. */
static IrRef emit_pac(A64Translator *t, bool auth, unsigned key, IrRef pointer, IrRef modifier)
{
    static const uint32_t enables[] = { ARM_MODE_PAC_IA, ARM_MODE_PAC_IB, ARM_MODE_PAC_DA,
                                        ARM_MODE_PAC_DB };
    bool is_data = key >= KEY_DA;
    IrRef half, mask, data;

    if (!(t->mode & enables[key])) {
        return pointer;
    }
    if (auth || t->mode & (is_data ? ARM_MODE_PAC_DATA_55 : ARM_MODE_PAC_INSN_55)) {
        half = a64_bitfield(t, IR_OP_sbfx, IR_I64, pointer, 0, 55, 1);
    } else {
        /* No top byte is ignored: bit 63 says which half, and is kept in bit 55. */
        half = a64_op2i(t, IR_OP_sar, IR_I64, pointer, 63);
        pointer = a64_bitfield(t, IR_OP_bfi, IR_I64, pointer, half, 55, 1);
    }
    mask = emit_mask(t, is_data, half);
    data = a64_op2(t, IR_OP_andn, IR_I64, pointer, mask);
    if (!a64_has(t, FEAT_PAUTH_IMPDEF)) {
        data = a64_op2(t, IR_OP_or, IR_I64, data, emit_and(t, half, mask));
    }
    return emit_xor(t, pointer, emit_and(t, emit_code(t, key, data, modifier), mask));
}

/* The pointer without its code. */
static IrRef emit_strip(A64Translator *t, IrRef pointer, bool data)
{
    IrRef half = a64_bitfield(t, IR_OP_sbfx, IR_I64, pointer, 0, 55, 1);

    return emit_xor(t, pointer, emit_and(t, emit_xor(t, pointer, half), emit_mask(t, data, half)));
}

/* Hint space: without the extension these are NOPs. */

INSTRUCTION(pac_1716, "110101010000001100100001 auth key 0 11111")
static bool translate_pac_1716(A64Translator *t, const A64Fields *f)
{
    if (a64_has(t, FEAT_PAUTH)) {
        a64_set_x(t, 17, emit_pac(t, f->auth, f->key, a64_get_x(t, 17), a64_get_x(t, 16)));
    }
    return true;
}

/* PACIAZ, PACIASP and their like, on the link register. */
INSTRUCTION(pac_lr, "110101010000001100100011 auth key sp 11111")
static bool translate_pac_lr(A64Translator *t, const A64Fields *f)
{
    if (a64_has(t, FEAT_PAUTH)) {
        IrRef modifier = f->sp ? a64_get_sp(t, true, 31) : a64_const(t, IR_I64, 0);

        a64_set_x(t, 30, emit_pac(t, f->auth, f->key, a64_get_x(t, 30), modifier));
    }
    return true;
}

INSTRUCTION(xpaclri, "110101010000001100100000 111 11111")
static bool translate_xpaclri(A64Translator *t, const A64Fields *f)
{
    if (a64_has(t, FEAT_PAUTH)) {
        a64_set_x(t, 30, emit_strip(t, a64_get_x(t, 30), false));
    }
    return true;
}

/* Data processing. */

INSTRUCTION(pac, "1101101011000001 00 z auth key:2 rn:5 rd:5", "z == 0 || rn == 31")
static bool translate_pac(A64Translator *t, const A64Fields *f)
{
    IrRef modifier;

    if (!a64_has(t, FEAT_PAUTH)) {
        return false;
    }
    modifier = f->z ? a64_const(t, IR_I64, 0) : a64_get_sp(t, true, f->rn);
    a64_set_x(t, f->rd, emit_pac(t, f->auth, f->key, a64_get_x(t, f->rd), modifier));
    return true;
}

INSTRUCTION(xpac, "1101101011000001 01000 d 11111 rd:5")
static bool translate_xpac(A64Translator *t, const A64Fields *f)
{
    if (!a64_has(t, FEAT_PAUTH)) {
        return false;
    }
    a64_set_x(t, f->rd, emit_strip(t, a64_get_x(t, f->rd), f->d));
    return true;
}

INSTRUCTION(pacga, "10011010110 rm:5 001100 rn:5 rd:5")
static bool translate_pacga(A64Translator *t, const A64Fields *f)
{
    if (!a64_has(t, FEAT_PAUTH)) {
        return false;
    }
    a64_set_x(t, f->rd,
              a64_op2i(t, IR_OP_and, IR_I64,
                       emit_code(t, KEY_GA, a64_get_x(t, f->rn), a64_get_sp(t, true, f->rm)),
                       -(INT64_C(1) << 32)));
    return true;
}

/* Branches. */

static IrRef authenticated(A64Translator *t, unsigned rn, bool with_modifier, unsigned rm,
                           bool key_b)
{
    IrRef modifier = with_modifier ? a64_get_sp(t, true, rm) : a64_const(t, IR_I64, 0);

    return emit_pac(t, true, key_b, a64_get_x(t, rn), modifier);
}

INSTRUCTION(bra, "1101011 z 000 11111 00001 m rn:5 rm:5", "z == 1 || rm == 31")
static bool translate_bra(A64Translator *t, const A64Fields *f)
{
    if (!a64_has(t, FEAT_PAUTH)) {
        return false;
    }
    a64_emit_br(t, f->rn, authenticated(t, f->rn, f->z, f->rm, f->m));
    return true;
}

INSTRUCTION(blra, "1101011 z 001 11111 00001 m rn:5 rm:5", "z == 1 || rm == 31")
static bool translate_blra(A64Translator *t, const A64Fields *f)
{
    if (!a64_has(t, FEAT_PAUTH)) {
        return false;
    }
    a64_emit_blr(t, authenticated(t, f->rn, f->z, f->rm, f->m));
    return true;
}

INSTRUCTION(reta, "11010110010 11111 00001 m 11111 11111")
static bool translate_reta(A64Translator *t, const A64Fields *f)
{
    if (!a64_has(t, FEAT_PAUTH)) {
        return false;
    }
    a64_goto_indirect(t, authenticated(t, 30, true, 31, f->m), IR_RETURN, 0);
    return true;
}

INSTRUCTION(ereta, "11010110100 11111 00001 m 11111 11111")
static bool translate_ereta(A64Translator *t, const A64Fields *f)
{
    IrRef elr;

    if (!a64_has(t, FEAT_PAUTH) || !(t->mode & ARM_MODE_EL1)) {
        return false;
    }
    elr = a64_get_var(t, ARM_VAR_ELR_EL1, IR_I64);
    a64_emit_eret(t, emit_pac(t, true, f->m, elr, a64_get_sp(t, true, 31)));
    return true;
}

/* LDRAA, LDRAB: modifier 0. */
INSTRUCTION(ldra, "11111000 m imm10:s1 1 imm10:s9 w 1 rn:5 rt:5")
static bool translate_ldra(A64Translator *t, const A64Fields *f)
{
    IrRef base, value;

    if (!a64_has(t, FEAT_PAUTH)) {
        return false;
    }
    base = emit_pac(t, true, KEY_DA + f->m, a64_get_base(t, f->rn), a64_const(t, IR_I64, 0));
    value = a64_load(t, IR_I64, 3, 0, base, (int64_t)f->imm10 * 8);
    if (f->w) {
        a64_write_back(t, f->rn, base, (int64_t)f->imm10 * 8);
    }
    a64_set_x(t, f->rt, value);
    return true;
}
