/* SPDX-License-Identifier: MIT */
/* AES steps and carry-less products in C, for hosts without AES-NI or PCLMULQDQ. */
#include "accel/tcg/host/x86_64/emitter.h"

#include "accel/tcg/ir/interpret-aes.h"

static V128 aese(TcgState *env, uint64_t imm, V128 a, V128 b)
{
    return ir_aes_encrypt_round(a ^ b);
}

static V128 aesd(TcgState *env, uint64_t imm, V128 a, V128 b)
{
    return ir_aes_decrypt_round(a ^ b);
}

static V128 aesmc(TcgState *env, uint64_t imm, V128 a)
{
    return ir_aes_mix_columns(a, false);
}

static V128 aesimc(TcgState *env, uint64_t imm, V128 a)
{
    return ir_aes_mix_columns(a, true);
}

static V128 pmull(TcgState *env, uint64_t imm, V128 a, V128 b)
{
    V128 r = { 0 };

    for (unsigned i = 0; i < 64; i++) {
        if (b[0] >> i & 1) {
            r[0] ^= a[0] << i;
            r[1] ^= i ? a[0] >> (64 - i) : 0;
        }
    }
    return r;
}

const void *emit_crypto_function(const Emitter *e, const IrOp *op)
{
    switch (op->opcode) {
    case IR_OP_aese:
        return e->has->aes ? NULL : (const void *)aese;
    case IR_OP_aesd:
        return e->has->aes ? NULL : (const void *)aesd;
    case IR_OP_aesmc:
        return e->has->aes ? NULL : (const void *)aesmc;
    case IR_OP_aesimc:
        return e->has->aes ? NULL : (const void *)aesimc;
    case IR_OP_pmull:
        return e->has->pclmul ? NULL : (const void *)pmull;
    default:
        return NULL;
    }
}
