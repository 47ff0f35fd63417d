/* SPDX-License-Identifier: MIT */
/* Cryptographic instructions (Arm ARM DDI 0487, C4.1.96). */
#include "target/arm/a64/simd.h"
#include "target/arm/crypto-helpers.h"

/* AESE, AESD, AESMC, AESIMC */
INSTRUCTION(aes, "01001110 00 10100 001 opcode:2 10 rn:5 rd:5")
static bool translate_aes(A64Translator *t, const A64Fields *f)
{
    static const uint8_t ops[4] = { IR_OP_aese, IR_OP_aesd, IR_OP_aesmc, IR_OP_aesimc };
    IrOpcode op = (IrOpcode)ops[f->opcode];
    IrRef n;

    if (!a64_has(t, FEAT_AES)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    n = a64_get_v(t, f->rn);
    a64_set_v(t, f->rd,
              f->opcode < 2 ? a64_vop2(t, op, 0, a64_get_v(t, f->rd), n)
                            : a64_vop1(t, op, 0, n, 0));
    return true;
}

static bool call2(A64Translator *t, const A64Fields *f, ArmFeature feature, const TcgHelper *helper)
{
    if (!a64_has(t, feature)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v(t, f->rd, a64_call(t, helper, a64_get_v(t, f->rd), a64_get_v(t, f->rn), 0, 0));
    return true;
}

static IrRef rotate_left(A64Translator *t, unsigned esz, IrRef value, unsigned count)
{
    if (count == 0) {
        return value;
    }
    return a64_vop2(t, IR_OP_vor, 0, a64_vop1(t, IR_OP_vshl, esz, value, count),
                    a64_vop1(t, IR_OP_vshr, esz, value, (8u << esz) - count));
}

INSTRUCTION(sha_three, "01011110 000 rm:5 0 opcode:3 00 rn:5 rd:5", "opcode != 7 && opcode != 3")
static bool translate_sha_three(A64Translator *t, const A64Fields *f)
{
    static const TcgHelper *const helpers[7] = {
        &arm_sha1c_helper,   &arm_sha1p_helper,    &arm_sha1m_helper,     NULL,
        &arm_sha256h_helper, &arm_sha256h2_helper, &arm_sha256su1_helper,
    };

    return a64_simd_call3(t, f, f->opcode < 4 ? FEAT_SHA1 : FEAT_SHA256, helpers[f->opcode]);
}

INSTRUCTION(sha1h, "01011110 00 10100 00000 10 rn:5 rd:5")
static bool translate_sha1h(A64Translator *t, const A64Fields *f)
{
    if (!a64_has(t, FEAT_SHA1)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v_low(t, f->rd, 2, rotate_left(t, 2, a64_get_v(t, f->rn), 30));
    return true;
}

INSTRUCTION(sha1su0, "01011110 000 rm:5 0 011 00 rn:5 rd:5")
static bool translate_sha1su0(A64Translator *t, const A64Fields *f)
{
    IrRef d, middle;

    if (!a64_has(t, FEAT_SHA1)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    d = a64_get_v(t, f->rd);
    middle = a64_vop2i(t, IR_OP_vext, 0, d, a64_get_v(t, f->rn), 8);
    d = a64_vop2(t, IR_OP_vxor, 0, d, a64_get_v(t, f->rm));
    a64_set_v(t, f->rd, a64_vop2(t, IR_OP_vxor, 0, d, middle));
    return true;
}

INSTRUCTION(sha1su1, "01011110 00 10100 00001 10 rn:5 rd:5")
static bool translate_sha1su1(A64Translator *t, const A64Fields *f)
{
    IrRef zero, mixed, last;

    if (!a64_has(t, FEAT_SHA1)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    zero = a64_vzero(t);
    mixed = a64_vop2i(t, IR_OP_vext, 0, a64_get_v(t, f->rn), zero, 4);
    mixed = a64_vop2(t, IR_OP_vxor, 0, a64_get_v(t, f->rd), mixed);
    /* The last word depends on the first new one, rotated once more. */
    last = a64_vop2i(t, IR_OP_vext, 0, zero, rotate_left(t, 2, mixed, 2), 4);
    a64_set_v(t, f->rd, a64_vop2(t, IR_OP_vxor, 0, rotate_left(t, 2, mixed, 1), last));
    return true;
}

INSTRUCTION(sha256su0, "01011110 00 10100 00010 10 rn:5 rd:5")
static bool translate_sha256su0(A64Translator *t, const A64Fields *f)
{
    return call2(t, f, FEAT_SHA256, &arm_sha256su0_helper);
}

INSTRUCTION(sha512_three, "11001110 011 rm:5 1000 opcode:2 rn:5 rd:5", "opcode != 3")
static bool translate_sha512_three(A64Translator *t, const A64Fields *f)
{
    static const TcgHelper *const helpers[3] = { &arm_sha512h_helper, &arm_sha512h2_helper,
                                                 &arm_sha512su1_helper };

    return a64_simd_call3(t, f, FEAT_SHA512, helpers[f->opcode]);
}

INSTRUCTION(sha512su0, "11001110 110 00000 1000 00 rn:5 rd:5")
static bool translate_sha512su0(A64Translator *t, const A64Fields *f)
{
    return call2(t, f, FEAT_SHA512, &arm_sha512su0_helper);
}

INSTRUCTION(rax1, "11001110 011 rm:5 1000 11 rn:5 rd:5")
static bool translate_rax1(A64Translator *t, const A64Fields *f)
{
    if (!a64_has(t, FEAT_SHA3)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v(
        t, f->rd,
        a64_vop2(t, IR_OP_vxor, 0, a64_get_v(t, f->rn), rotate_left(t, 3, a64_get_v(t, f->rm), 1)));
    return true;
}

INSTRUCTION(xar, "11001110 100 rm:5 imm6:6 rn:5 rd:5")
static bool translate_xar(A64Translator *t, const A64Fields *f)
{
    IrRef value;

    if (!a64_has(t, FEAT_SHA3)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    value = a64_vop2(t, IR_OP_vxor, 0, a64_get_v(t, f->rn), a64_get_v(t, f->rm));
    a64_set_v(t, f->rd, rotate_left(t, 3, value, (64 - f->imm6) % 64));
    return true;
}

/* EOR3 and BCAX: n ^ m ^ a, n ^ (m & ~a) */
INSTRUCTION(sha3_four, "11001110 00 clear rm:5 0 ra:5 rn:5 rd:5")
static bool translate_sha3_four(A64Translator *t, const A64Fields *f)
{
    IrRef value;

    if (!a64_has(t, FEAT_SHA3)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    value = a64_vop2(t, f->clear ? IR_OP_vandn : IR_OP_vxor, 0, a64_get_v(t, f->rm),
                     a64_get_v(t, f->ra));
    a64_set_v(t, f->rd, a64_vop2(t, IR_OP_vxor, 0, a64_get_v(t, f->rn), value));
    return true;
}

INSTRUCTION(sm3ss1, "11001110 010 rm:5 0 ra:5 rn:5 rd:5")
static bool translate_sm3ss1(A64Translator *t, const A64Fields *f)
{
    if (!a64_has(t, FEAT_SM3)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v(t, f->rd,
              a64_call(t, &arm_sm3ss1_helper, a64_get_v(t, f->rn), a64_get_v(t, f->rm),
                       a64_get_v(t, f->ra), 0));
    return true;
}

INSTRUCTION(sm3tt, "11001110 010 rm:5 10 imm2:2 opcode:2 rn:5 rd:5")
static bool translate_sm3tt(A64Translator *t, const A64Fields *f)
{
    if (!a64_has(t, FEAT_SM3)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v(t, f->rd,
              a64_call(t, &arm_sm3tt_helper, a64_get_v(t, f->rd), a64_get_v(t, f->rn),
                       a64_get_v(t, f->rm), a64_const(t, IR_I64, f->imm2 | f->opcode << 2)));
    return true;
}

INSTRUCTION(sm3partw, "11001110 011 rm:5 11000 second rn:5 rd:5")
static bool translate_sm3partw(A64Translator *t, const A64Fields *f)
{
    return a64_simd_call3(t, f, FEAT_SM3,
                          f->second ? &arm_sm3partw2_helper : &arm_sm3partw1_helper);
}

INSTRUCTION(sm4e, "11001110 110 00000 1000 01 rn:5 rd:5")
static bool translate_sm4e(A64Translator *t, const A64Fields *f)
{
    return call2(t, f, FEAT_SM4, &arm_sm4e_helper);
}

INSTRUCTION(sm4ekey, "11001110 011 rm:5 110010 rn:5 rd:5")
static bool translate_sm4ekey(A64Translator *t, const A64Fields *f)
{
    if (!a64_has(t, FEAT_SM4)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v(t, f->rd,
              a64_call(t, &arm_sm4ekey_helper, a64_get_v(t, f->rn), a64_get_v(t, f->rm), 0, 0));
    return true;
}
