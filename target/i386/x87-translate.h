/* SPDX-License-Identifier: MIT */
/*
 * What translators of x87 instructions share. In code where all exceptions are masked, most of them are the host's own instruction
 * (IR_HOST_X87), and the C function does the same for the interpreter; elsewhere (X86_MODE_X87_TRAPS) each is a helper.
 */
#ifndef TARGET_I386_X87_TRANSLATE_H
#define TARGET_I386_X87_TRANSLATE_H

#include "accel/tcg/ir/host-code.h"
#include "target/i386/translate.h"
#include "target/i386/x87-ops.h"

/* Escape opcode (3 bits), ModRM: what IR_HOST_X87 and helpers are told. */
#define X87_CODE(escape, modrm) ((escape) << 8 | (modrm))
enum {
    X87_FLDCW = X87_CODE(1, 5 << 3),
    X87_FNSTCW = X87_CODE(1, 7 << 3),
    X87_FNSTSW_AX = X87_CODE(7, 0xe0),
};

extern const IrHostCode x87_host_code;
/* Makes call_NAME of a function helper_NAME(env, argument if there is one, code). */
#define X87_HELPER(id, helper_result, argument)                                                    \
    static const TcgHelper call_##id = { .name = #id,                                              \
                                         .function = (void *)helper_##id,                          \
                                         .result = helper_result,                                  \
                                         .flags = HELPER_ENV | HELPER_EFFECT | HELPER_IMM,         \
                                         .arg_types = { argument },                                \
                                         .host = &x87_host_code };                                 \
    TCG_HELPER(call_##id)

static inline IrRef x87_call(X86Translator *t, const TcgHelper *helper, IrRef argument,
                             uint32_t code)
{
    return ir_emit(t->unit, (IrOp){ .opcode = IR_OP_call,
                                    .type = helper->result,
                                    .args = { argument },
                                    .imm = code,
                                    .helper = helper });
}

/* x87-insns.c: an instruction with an operand of `bytes` in memory, which it reads, or writes; helper: with its cookie. */
void x87_masked_memory(X86Translator *t, const TcgHelper *helper, IrRef address, uint32_t code,
                       unsigned bytes, bool write);

#endif
