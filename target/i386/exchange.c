/* SPDX-License-Identifier: MIT */
/* CMPXCHG8B, CMPXCHG16B and CMPccXADD: always atomic. */
#include <string.h>

#include "base/bits.h"
#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "target/i386/translate.h"
#include "target/i386/vector.h"

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

/* A condition code of the comparison of two values. */
static bool holds(unsigned condition, uint64_t a, uint64_t b, unsigned bits)
{
    uint64_t result = (a - b) & bits_mask(bits);
    bool below = a < b, zero = a == b, sign = result >> (bits - 1);
    bool overflow = ((a ^ b) & (a ^ result)) >> (bits - 1) & 1;
    const bool of_pairs[] = { overflow,
                              below,
                              zero,
                              below || zero,
                              sign,
                              !(__builtin_popcountll(result & 0xff) & 1),
                              sign != overflow,
                              zero || sign != overflow };

    return of_pairs[condition / 2] != (condition & 1);
}

/* what: condition | log2 of bytes << 8 | IR_MEM_* << 16. Returns the old value. */
static uint64_t helper_cmpccxadd(TcgState *env, uint64_t address, uint64_t compared, uint64_t added,
                                 uint32_t what)
{
    unsigned size = 1u << (what >> 8 & 3);
    uint64_t old = 0, wanted, seen;
    void *place;

    if (address & (size - 1)) {
        x86_fault(x86_cpu_of_env(env), X86_GP, 0);
    }
    place = tcg_atomic_begin(env, address, size, what >> 16);
    memcpy(&old, place, size);
    while (wanted = holds(what & 15, old, compared, 8 * size) ? (old + added) & bits_mask(8 * size)
                                                              : old,
           seen = x86_compare_and_swap(place, size, old, wanted), seen != old) {
        old = seen;
    }
    tcg_atomic_end(env);
    return old;
}
X86_HELPER(cmpccxadd, IR_I64, X86_HELPER_FAULTING, IR_I64, IR_I64, IR_I64, IR_I32);

X86(cmpccxadd, "VEX.128.66.0F38 E0 +r /r mem", "My Gy By", "o64 CMPCCXADD")
X86(cmpccxadd, "VEX.128.66.0F38 E8 +r /r mem", "My Gy By", "o64 CMPCCXADD")
void x86_cmpccxadd(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 0), size = x86_log2(bytes);
    IrRef address = x86_memory_address(t, bytes, true), compared = x86_read(t, 1), old;
    uint32_t what = t->insn.opcode % 16u | size << 8 | x86_update_flags(t) << 16;

    old = x86_call(t, &call_cmpccxadd, address, x86_zext(t, bytes, compared),
                   x86_zext(t, bytes, x86_read(t, 2)), x86_const(t, 4, what));
    old = bytes == 8 ? old : ir_op1(t->unit, IR_OP_trunc, IR_I32, old);
    x86_write(t, 1, old);
    x86_set_flags(
        t, ir_flags(t->unit, IR_OP_subf, x86_type(bytes), size, IR_BORROW, old, compared, 0));
}
