/* SPDX-License-Identifier: MIT */
#include "tests/isa/x86-undefined.h"

#include <string.h>

static const struct {
    const char *name;
    uint32_t flags;
} undefined[] = {
    { "bsf", EFLAGS_STATUS & ~EFLAGS_ZF },
    { "bsr", EFLAGS_STATUS & ~EFLAGS_ZF },
    { "bt", EFLAGS_STATUS & ~EFLAGS_CF },
    { "bts", EFLAGS_STATUS & ~EFLAGS_CF },
    { "btr", EFLAGS_STATUS & ~EFLAGS_CF },
    { "btc", EFLAGS_STATUS & ~EFLAGS_CF },
    { "mul", EFLAGS_SF | EFLAGS_ZF | EFLAGS_AF | EFLAGS_PF },
    { "imul", EFLAGS_SF | EFLAGS_ZF | EFLAGS_AF | EFLAGS_PF },
    { "imul_accumulator", EFLAGS_SF | EFLAGS_ZF | EFLAGS_AF | EFLAGS_PF },
    { "imul_immediate", EFLAGS_SF | EFLAGS_ZF | EFLAGS_AF | EFLAGS_PF },
    { "div", EFLAGS_STATUS },
    { "idiv", EFLAGS_STATUS },
    { "and", EFLAGS_AF },
    { "or", EFLAGS_AF },
    { "xor", EFLAGS_AF },
    { "test", EFLAGS_AF },
    { "shl", EFLAGS_AF | EFLAGS_OF | EFLAGS_CF },
    { "shr", EFLAGS_AF | EFLAGS_OF | EFLAGS_CF },
    { "sar", EFLAGS_AF | EFLAGS_OF | EFLAGS_CF },
    { "shld", EFLAGS_AF | EFLAGS_OF | EFLAGS_CF },
    { "shrd", EFLAGS_AF | EFLAGS_OF | EFLAGS_CF },
    { "rol", EFLAGS_OF },
    { "ror", EFLAGS_OF },
    { "rcl", EFLAGS_OF },
    { "rcr", EFLAGS_OF },
    { "lzcnt", EFLAGS_STATUS & ~(EFLAGS_ZF | EFLAGS_CF) },
    { "tzcnt", EFLAGS_STATUS & ~(EFLAGS_ZF | EFLAGS_CF) },
    { "andn", EFLAGS_AF | EFLAGS_PF },
    { "bextr", EFLAGS_AF | EFLAGS_PF | EFLAGS_SF },
    { "bzhi", EFLAGS_AF | EFLAGS_PF },
    { "blsi", EFLAGS_AF | EFLAGS_PF },
    { "blsr", EFLAGS_AF | EFLAGS_PF },
    { "blsmsk", EFLAGS_AF | EFLAGS_PF },
    { "daa", EFLAGS_OF },
    { "das", EFLAGS_OF },
    { "aaa", EFLAGS_OF | EFLAGS_SF | EFLAGS_ZF | EFLAGS_PF },
    { "aas", EFLAGS_OF | EFLAGS_SF | EFLAGS_ZF | EFLAGS_PF },
    { "aam", EFLAGS_OF | EFLAGS_AF | EFLAGS_CF },
    { "aad", EFLAGS_OF | EFLAGS_AF | EFLAGS_CF },
};

uint32_t x86_undefined_flags(const X86Insn *insn)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(undefined); i++) {
        if (strcmp(undefined[i].name, insn->encoding->name) == 0) {
            return undefined[i].flags;
        }
    }
    return 0;
}
