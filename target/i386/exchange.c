/* SPDX-License-Identifier: MIT */
/* CMPXCHG8B and CMPXCHG16B: always atomic. */
#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "target/i386/translate.h"

static void helper_cmpxchg8b(TcgState *env, uint64_t address, uint32_t flags)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint64_t expected = (uint32_t)cpu->gpr[X86_RAX] | cpu->gpr[X86_RDX] << 32;
    uint64_t wanted = (uint32_t)cpu->gpr[X86_RBX] | cpu->gpr[X86_RCX] << 32;
    void *place = tcg_atomic_begin(env, address, 8, flags);
    uint64_t old = x86_compare_and_swap(place, 8, expected, wanted);

    tcg_atomic_end(env);

    x86_set_zf(cpu, old == expected);
    if (old != expected) {
        cpu->gpr[X86_RAX] = (uint32_t)old;
        cpu->gpr[X86_RDX] = old >> 32;
    }
}
X86_HELPER(cmpxchg8b, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I32);

/* The compilers' own needs an option for the whole file, or a library. */
static unsigned __int128 x86_compare_and_swap16(void *place, unsigned __int128 expected,
                                                unsigned __int128 wanted)
{
    uint64_t low = (uint64_t)expected, high = (uint64_t)(expected >> 64);

    __asm__ __volatile__("lock cmpxchg16b %[place]"
                         : [place] "+m"(*(unsigned __int128 *)place), "+a"(low), "+d"(high)
                         : "b"((uint64_t)wanted), "c"((uint64_t)(wanted >> 64))
                         : "memory", "cc");
    return (unsigned __int128)high << 64 | low;
}

static void helper_cmpxchg16b(TcgState *env, uint64_t address, uint32_t flags)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    unsigned __int128 expected = (unsigned __int128)cpu->gpr[X86_RDX] << 64 | cpu->gpr[X86_RAX];
    unsigned __int128 wanted = (unsigned __int128)cpu->gpr[X86_RCX] << 64 | cpu->gpr[X86_RBX];
    unsigned __int128 old;
    void *place;

    if (address & 15) {
        x86_fault(cpu, X86_GP, 0);
    }
    place = tcg_atomic_begin(env, address, 16, flags);
    old = x86_compare_and_swap16(place, expected, wanted);
    tcg_atomic_end(env);
    x86_set_zf(cpu, old == expected);
    if (old != expected) {
        cpu->gpr[X86_RAX] = (uint64_t)old;
        cpu->gpr[X86_RDX] = (uint64_t)(old >> 64);
    }
}
X86_HELPER(cmpxchg16b, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I32);

static void compare_exchange(X86Translator *t, const TcgHelper *helper, unsigned bytes)
{
    IrRef address = x86_address(t, bytes, true);

    if (t->address_imm) {
        address = ir_op2i(t->unit, IR_OP_add, IR_I64, address, t->address_imm);
    }
    x86_call(t, helper, address, x86_const(t, 4, x86_update_flags(t)), 0, 0);
}

X86(cmpxchg8b, "0F C7 /1 mem", "Mq", "LOCK CX8")
void x86_cmpxchg8b(X86Translator *t)
{
    if (t->insn.rex & 8) {
        if (x86_has(t->cpu, X86_FEATURE_CX16)) {
            compare_exchange(t, &call_cmpxchg16b, 16);
        } else {
            x86_undefined(t);
        }
    } else {
        compare_exchange(t, &call_cmpxchg8b, 8);
    }
}
