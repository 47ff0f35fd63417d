/* SPDX-License-Identifier: MIT */
/*
 * Pointer authentication (DDI 0487 D8.10, FEAT_PAuth) with an implementation-defined algorithm: two
 * rounds of multiply and fold, which take a few nanoseconds whatever the data. It keeps guests honest,
 * not secrets: it is no cryptographic function.
 */
#include "base/bits.h"
#include "target/arm/exception.h"
#include "target/arm/sysregs.h"
#include "target/arm/translate.h"

enum { KEY_IA, KEY_IB, KEY_DA, KEY_DB, KEY_GA };

/* What to do with a pointer, for helpers: key, and: */
enum { PAC_DATA = 8, PAC_KEY_MASK = 7 };

static uint64_t compute_pac(const ArmCpu *cpu, unsigned key, uint64_t data, uint64_t modifier)
{
    uint64_t h = (data ^ cpu->pac_keys[key][0]) * UINT64_C(0x9fb21c651e98df25);

    h = (h ^ h >> 29 ^ modifier) + cpu->pac_keys[key][1];
    h *= UINT64_C(0xd6e8feb86659fd93);
    h ^= h >> 32;
    h *= UINT64_C(0xa0761d6478bd642f);
    return h ^ h >> 31;
}

/* Top-byte-ignore of one half for data or instructions. */
static bool ignores_top_byte(const ArmCpu *cpu, bool high, bool data)
{
    return cpu->tcr_el1 >> (37 + high) & 1 && (data || !(cpu->tcr_el1 >> (51 + high) & 1));
}

/* Where the PAC field begins: the size of the half's addresses. */
static unsigned bottom_bit(const ArmCpu *cpu, bool high)
{
    unsigned size = (unsigned)bits_extract(cpu->tcr_el1, high ? 16 : 0, 6);

    return 64 - (size < 16 ? 16 : size > 39 ? 39 : size);
}

/* The pointer with its extension bits as bit 55 says. */
static uint64_t strip(const ArmCpu *cpu, uint64_t pointer, bool data)
{
    bool high = pointer >> 55 & 1, tbi = ignores_top_byte(cpu, high, data);
    unsigned bottom = bottom_bit(cpu, high), top = tbi ? 56 : 64;

    return bits_deposit(pointer, bottom, top - bottom, high ? UINT64_MAX : 0);
}

static uint64_t helper_pac(TcgState *env, uint64_t pointer, uint64_t modifier, uint32_t operation)
{
    const ArmCpu *cpu = arm_cpu_of_env(env);
    bool data = operation & PAC_DATA;
    bool any_tbi = ignores_top_byte(cpu, false, data) || ignores_top_byte(cpu, true, data);
    bool high = pointer >> (any_tbi ? 55 : 63) & 1, tbi = ignores_top_byte(cpu, high, data);
    unsigned bottom = bottom_bit(cpu, high), top = tbi ? 56 : 64;
    uint64_t field = bits_extract(pointer, bottom, top - bottom);
    uint64_t extended = bits_deposit(pointer, bottom, top - bottom, high ? UINT64_MAX : 0);
    uint64_t pac = compute_pac(cpu, operation & PAC_KEY_MASK, extended, modifier);

    /* A pointer that was not canonical gets a PAC that will not authenticate. */
    if (field != 0 && field != bits_mask(top - bottom)) {
        pac ^= UINT64_C(1) << (top - 2);
    }
    pointer = bits_deposit(pointer, bottom, top - bottom, pac >> bottom);
    return bits_deposit(pointer, 55, 1, high);
}

static const TcgHelper pac_helper = {
    .name = "pac",
    .function = (void *)helper_pac,
    .result = IR_I64,
    .flags = HELPER_ENV | HELPER_EFFECT,
    .arg_types = { IR_I64, IR_I64, IR_I32 },
};
TCG_HELPER(pac_helper);

static uint64_t helper_auth(TcgState *env, uint64_t pointer, uint64_t modifier, uint32_t operation)
{
    const ArmCpu *cpu = arm_cpu_of_env(env);
    bool data = operation & PAC_DATA, high = pointer >> 55 & 1;
    bool tbi = ignores_top_byte(cpu, high, data), key_b = operation & 1;
    unsigned bottom = bottom_bit(cpu, high);
    uint64_t original = strip(cpu, pointer, data);
    uint64_t pac = compute_pac(cpu, operation & PAC_KEY_MASK, original, modifier);
    uint64_t field = bits_mask(55) & ~bits_mask(bottom);

    if (!tbi) {
        field |= UINT64_C(0xff) << 56;
    }
    if (((pac ^ pointer) & field) == 0) {
        return original;
    }
    /* The error code makes the pointer fault when it is used. */
    return bits_deposit(original, tbi ? 53 : 61, 2, key_b ? 2 : 1);
}

static const TcgHelper auth_helper = {
    .name = "auth",
    .function = (void *)helper_auth,
    .result = IR_I64,
    .flags = HELPER_ENV | HELPER_EFFECT,
    .arg_types = { IR_I64, IR_I64, IR_I32 },
};
TCG_HELPER(auth_helper);

static uint64_t helper_strip(TcgState *env, uint64_t pointer, uint32_t data)
{
    return strip(arm_cpu_of_env(env), pointer, data);
}

static const TcgHelper strip_helper = {
    .name = "strip_pac",
    .function = (void *)helper_strip,
    .result = IR_I64,
    .flags = HELPER_ENV | HELPER_EFFECT,
    .arg_types = { IR_I64, IR_I32 },
};
TCG_HELPER(strip_helper);

static uint64_t helper_pacga(TcgState *env, uint64_t data, uint64_t modifier)
{
    return compute_pac(arm_cpu_of_env(env), KEY_GA, data, modifier) & ~UINT64_C(0xffffffff);
}

static const TcgHelper pacga_helper = {
    .name = "pacga",
    .function = (void *)helper_pacga,
    .result = IR_I64,
    .flags = HELPER_ENV | HELPER_EFFECT,
    .arg_types = { IR_I64, IR_I64 },
};
TCG_HELPER(pacga_helper);

/* Signs or authenticates, when the key is enabled. */
static IrRef emit_pac(A64Translator *t, bool auth, unsigned key, IrRef pointer, IrRef modifier)
{
    static const uint32_t enables[] = { ARM_MODE_PAC_IA, ARM_MODE_PAC_IB, ARM_MODE_PAC_DA,
                                        ARM_MODE_PAC_DB };
    uint32_t operation = key | (key >= KEY_DA ? PAC_DATA : 0);

    if (!(t->mode & enables[key])) {
        return pointer;
    }
    return a64_call(t, auth ? &auth_helper : &pac_helper, pointer, modifier,
                    a64_const(t, IR_I32, (int32_t)operation), 0);
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
        a64_set_x(t, 30,
                  a64_call(t, &strip_helper, a64_get_x(t, 30), a64_const(t, IR_I32, 0), 0, 0));
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
    a64_set_x(t, f->rd,
              a64_call(t, &strip_helper, a64_get_x(t, f->rd), a64_const(t, IR_I32, f->d), 0, 0));
    return true;
}

INSTRUCTION(pacga, "10011010110 rm:5 001100 rn:5 rd:5")
static bool translate_pacga(A64Translator *t, const A64Fields *f)
{
    if (!a64_has(t, FEAT_PAUTH)) {
        return false;
    }
    a64_set_x(t, f->rd,
              a64_call(t, &pacga_helper, a64_get_x(t, f->rn), a64_get_sp(t, true, f->rm), 0, 0));
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
