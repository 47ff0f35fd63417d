/* SPDX-License-Identifier: MIT */
/*
 * A64 exclusives, ordered accesses and atomic memory operations (DDI 0487 C4.1).
 *
 * The exclusive monitor is the address and the value of the last load-exclusive: a store-exclusive
 * is a compare-and-swap against that value. x86 hosts order loads and stores as acquire and release
 * ask, but for a store-release before a later load-acquire, which IR_MEM_SC says.
 */
#include "target/arm/translate.h"

#include "target/arm/exception.h"
#include "target/arm/mmu.h"

/* LDXR, LDAXR. */
INSTRUCTION(ldxr, "size:2 001000 010 xxxxx o0 xxxxx rn:5 rt:5")
static bool translate_ldxr(A64Translator *t, const A64Fields *f)
{
    IrRef address = a64_get_base(t, f->rn);
    IrRef value = a64_load(t, IR_I64, f->size, IR_MEM_ALIGNED, address, 0);

    a64_set_var(t, ARM_VAR_EXCLUSIVE_ADDRESS, IR_I64, address);
    a64_set_var(t, ARM_VAR_EXCLUSIVE_LOW, IR_I64, value);
    a64_set_x(t, f->rt, value);
    return true;
}

static void clear_exclusive(A64Translator *t)
{
    a64_set_var(t, ARM_VAR_EXCLUSIVE_ADDRESS, IR_I64,
                a64_const(t, IR_I64, (int64_t)ARM_NO_EXCLUSIVE));
}

static IrRef store_exclusive(A64Translator *t, unsigned esz, IrRef address, IrRef value)
{
    IrRef monitored = a64_get_var(t, ARM_VAR_EXCLUSIVE_ADDRESS, IR_I64);
    IrRef expected = a64_get_var(t, ARM_VAR_EXCLUSIVE_LOW, IR_I64);

    return a64_op(t, (IrOp){ .opcode = IR_OP_stx,
                             .type = IR_I64,
                             .esz = (uint8_t)esz,
                             .sub = (uint8_t)(a64_memory_flags(t) | IR_MEM_ALIGNED),
                             .args = { address, value, monitored, expected } });
}

/* STXR, STLXR. */
INSTRUCTION(stxr, "size:2 001000 000 rs:5 o0 xxxxx rn:5 rt:5")
static bool translate_stxr(A64Translator *t, const A64Fields *f)
{
    IrRef status = store_exclusive(t, f->size, a64_get_base(t, f->rn), a64_get_x(t, f->rt));

    clear_exclusive(t);
    a64_set_w(t, f->rs, status);
    return true;
}

/* Two words as they lie in memory, and back. */
static IrRef join_words(A64Translator *t, IrRef first, IrRef second)
{
    bool big = t->mode & ARM_MODE_BE;

    return a64_bitfield(t, IR_OP_bfi, IR_I64, big ? second : first, big ? first : second, 32, 32);
}

static void split_words(A64Translator *t, IrRef joined, unsigned rt, unsigned rt2)
{
    bool big = t->mode & ARM_MODE_BE;

    a64_set_x(t, big ? rt2 : rt, a64_extend(t, IR_OP_zext, IR_I64, 2, joined));
    a64_set_x(t, big ? rt : rt2, a64_op2i(t, IR_OP_shr, IR_I64, joined, 32));
}

/* LDXP, LDAXP. */
INSTRUCTION(ldxp, "1 sz 001000 011 xxxxx o0 rt2:5 rn:5 rt:5")
static bool translate_ldxp(A64Translator *t, const A64Fields *f)
{
    IrRef address = a64_get_base(t, f->rn), whole, first, second;
    bool big = t->mode & ARM_MODE_BE;

    if (!f->sz) {
        whole = a64_load(t, IR_I64, 3, IR_MEM_ALIGNED, address, 0);
        a64_set_var(t, ARM_VAR_EXCLUSIVE_ADDRESS, IR_I64, address);
        a64_set_var(t, ARM_VAR_EXCLUSIVE_LOW, IR_I64, whole);
        split_words(t, whole, f->rt, f->rt2);
        return true;
    }
    whole = a64_load(t, IR_V128, 4, IR_MEM_ALIGNED, address, 0);
    first = a64_op(
        t,
        (IrOp){ .opcode = IR_OP_vlane, .type = IR_I64, .esz = 3, .args = { whole }, .imm = big });
    second = a64_op(
        t,
        (IrOp){ .opcode = IR_OP_vlane, .type = IR_I64, .esz = 3, .args = { whole }, .imm = !big });
    a64_set_var(t, ARM_VAR_EXCLUSIVE_ADDRESS, IR_I64, address);
    a64_set_var(t, ARM_VAR_EXCLUSIVE_LOW, IR_I64, first);
    a64_set_var(t, ARM_VAR_EXCLUSIVE_HIGH, IR_I64, second);
    a64_set_x(t, f->rt, first);
    a64_set_x(t, f->rt2, second);
    return true;
}

typedef unsigned __int128 Pair128;

/* Atomically: old = *host; if old == *expected then *host = desired; *expected = old. */
static bool compare_exchange_16(void *host, uint64_t expected[2], const uint64_t desired[2])
{
#if defined(__x86_64__)
    bool equal;

    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@cce"(equal), "+m"(*(Pair128 *)host), "+a"(expected[0]), "+d"(expected[1])
                     : "b"(desired[0]), "c"(desired[1])
                     : "memory");
    return equal;
#else
    Pair128 from, to;

    memcpy(&from, expected, sizeof from);
    memcpy(&to, desired, sizeof to);
    if (__atomic_compare_exchange_n((Pair128 *)host, &from, to, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST)) {
        return true;
    }
    memcpy(expected, &from, sizeof from);
    return false;
#endif
}

static unsigned helper_memory_flags(const ArmCpu *cpu)
{
    return IR_MEM_ALIGNED | (cpu->mode & ARM_MODE_BE ? IR_MEM_BE : 0);
}

/* Compare-and-swap of two doublewords in register order. Devices have no exclusive access. */
static bool compare_exchange_pair(ArmCpu *cpu, uint64_t address, uint64_t expected[2],
                                  const uint64_t desired[2])
{
    void *host = tcg_probe(&cpu->tcg, address, 16, true, helper_memory_flags(cpu));
    bool big = cpu->mode & ARM_MODE_BE, done;
    uint64_t from[2], to[2];

    if (!host) {
        arm_take_abort(cpu,
                       arm_esr(cpu->el1 ? ARM_EC_DATA_ABORT : ARM_EC_DATA_ABORT_LOWER,
                               ARM_FSC_UNSUPPORTED_EXCLUSIVE | 1 << 6),
                       address);
        tcg_unwind(&cpu->tcg);
    }
    for (unsigned i = 0; i < 2; i++) {
        from[i] = big ? __builtin_bswap64(expected[i]) : expected[i];
        to[i] = big ? __builtin_bswap64(desired[i]) : desired[i];
    }
    done = compare_exchange_16(host, from, to);
    for (unsigned i = 0; i < 2; i++) {
        expected[i] = big ? __builtin_bswap64(from[i]) : from[i];
    }
    return done;
}

static uint32_t helper_stxp(TcgState *env, uint64_t address, uint64_t low, uint64_t high)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    uint64_t expected[2] = { cpu->exclusive_low, cpu->exclusive_high };
    uint64_t desired[2] = { low, high };

    return cpu->exclusive_address != address ||
           !compare_exchange_pair(cpu, address, expected, desired);
}

static const TcgHelper stxp_helper = {
    .name = "stxp",
    .function = (void *)helper_stxp,
    .result = IR_I32,
    .flags = HELPER_ENV | HELPER_READS | HELPER_FAULTS | HELPER_EFFECT,
    .arg_types = { IR_I64, IR_I64, IR_I64 },
};
TCG_HELPER(stxp_helper);

/* STXP, STLXP. */
INSTRUCTION(stxp, "1 sz 001000 001 rs:5 o0 rt2:5 rn:5 rt:5")
static bool translate_stxp(A64Translator *t, const A64Fields *f)
{
    IrRef address = a64_get_base(t, f->rn), status;

    if (f->sz) {
        status = a64_call(t, &stxp_helper, address, a64_get_x(t, f->rt), a64_get_x(t, f->rt2), 0);
    } else {
        status = store_exclusive(t, 3, address,
                                 join_words(t, a64_get_x(t, f->rt), a64_get_x(t, f->rt2)));
    }
    clear_exclusive(t);
    a64_set_w(t, f->rs, status);
    return true;
}

INSTRUCTION(ldar, "size:2 001000 110 xxxxx 1 xxxxx rn:5 rt:5")
static bool translate_ldar(A64Translator *t, const A64Fields *f)
{
    a64_set_x(t, f->rt, a64_load(t, IR_I64, f->size, IR_MEM_ALIGNED, a64_get_base(t, f->rn), 0));
    return true;
}

INSTRUCTION(stlr, "size:2 001000 100 xxxxx 1 xxxxx rn:5 rt:5")
static bool translate_stlr(A64Translator *t, const A64Fields *f)
{
    a64_store(t, IR_I64, f->size, IR_MEM_ALIGNED | IR_MEM_SC, a64_get_base(t, f->rn), 0,
              a64_get_x(t, f->rt));
    return true;
}

INSTRUCTION(ldapr, "size:2 111000 101 11111 1100 00 rn:5 rt:5")
static bool translate_ldapr(A64Translator *t, const A64Fields *f)
{
    if (!a64_has(t, FEAT_LRCPC)) {
        return false;
    }
    a64_set_x(t, f->rt, a64_load(t, IR_I64, f->size, IR_MEM_ALIGNED, a64_get_base(t, f->rn), 0));
    return true;
}

/* CAS, CASA, CASL, CASAL. */
INSTRUCTION(cas, "size:2 001000 1 a 1 rs:5 o0 11111 rn:5 rt:5")
static bool translate_cas(A64Translator *t, const A64Fields *f)
{
    IrRef address, old;

    if (!a64_has(t, FEAT_LSE)) {
        return false;
    }
    address = a64_get_base(t, f->rn);
    old = a64_op(t, (IrOp){ .opcode = IR_OP_cas,
                            .type = IR_I64,
                            .esz = (uint8_t)f->size,
                            .sub = (uint8_t)(a64_memory_flags(t) | IR_MEM_ALIGNED),
                            .args = { address, a64_get_x(t, f->rs), a64_get_x(t, f->rt) } });
    a64_set_x(t, f->rs, old);
    return true;
}

/* registers: Rs | Rt << 8 */
static void helper_casp(TcgState *env, uint64_t address, uint32_t registers)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    unsigned rs = registers & 0xff, rt = registers >> 8;
    uint64_t expected[2], desired[2];

    for (unsigned i = 0; i < 2; i++) {
        expected[i] = rs + i == 31 ? 0 : cpu->x[rs + i];
        desired[i] = rt + i == 31 ? 0 : cpu->x[rt + i];
    }
    compare_exchange_pair(cpu, address, expected, desired);
    cpu->x[rs] = expected[0];
    if (rs + 1 != 31) {
        cpu->x[rs + 1] = expected[1];
    }
}

static const TcgHelper casp_helper = {
    .name = "casp",
    .function = (void *)helper_casp,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_WRITES | HELPER_FAULTS | HELPER_EFFECT,
    .arg_types = { IR_I64, IR_I32 },
};
TCG_HELPER(casp_helper);

/* CASP, CASPA, CASPL, CASPAL. */
INSTRUCTION(casp, "0 sz 001000 0 a 1 rs:5 o0 11111 rn:5 rt:5", "(rs & 1) == 0 && (rt & 1) == 0")
static bool translate_casp(A64Translator *t, const A64Fields *f)
{
    IrRef address, expected, desired, old;

    if (!a64_has(t, FEAT_LSE)) {
        return false;
    }
    address = a64_get_base(t, f->rn);
    if (f->sz) {
        a64_call(t, &casp_helper, address, a64_const(t, IR_I32, (int32_t)(f->rs | f->rt << 8)), 0,
                 0);
        return true;
    }
    expected = join_words(t, a64_get_x(t, f->rs), a64_get_x(t, f->rs + 1));
    desired = join_words(t, a64_get_x(t, f->rt), a64_get_x(t, f->rt + 1));
    old = a64_op(t, (IrOp){ .opcode = IR_OP_cas,
                            .type = IR_I64,
                            .esz = 3,
                            .sub = (uint8_t)(a64_memory_flags(t) | IR_MEM_ALIGNED),
                            .args = { address, expected, desired } });
    split_words(t, old, f->rs, f->rs + 1);
    return true;
}

static bool emit_amo(A64Translator *t, const A64Fields *f, IrAmo kind)
{
    IrRef address, old;

    if (!a64_has(t, FEAT_LSE)) {
        return false;
    }
    address = a64_get_base(t, f->rn);
    old = a64_op(t, (IrOp){ .opcode = IR_OP_amo,
                            .type = IR_I64,
                            .esz = (uint8_t)f->size,
                            .sub = (uint8_t)(a64_memory_flags(t) | IR_MEM_ALIGNED),
                            .args = { address, a64_get_x(t, f->rs) },
                            .aux = kind });
    a64_set_x(t, f->rt, old);
    return true;
}

/* LDADD, LDCLR, LDEOR, LDSET, LDSMAX, LDSMIN, LDUMAX, LDUMIN: opc is the IrAmo. */
INSTRUCTION(ld_amo, "size:2 111000 a r 1 rs:5 0 opc:3 00 rn:5 rt:5")
static bool translate_ld_amo(A64Translator *t, const A64Fields *f)
{
    return emit_amo(t, f, (IrAmo)f->opc);
}

INSTRUCTION(swp, "size:2 111000 a r 1 rs:5 1 000 00 rn:5 rt:5")
static bool translate_swp(A64Translator *t, const A64Fields *f)
{
    return emit_amo(t, f, IR_AMO_SWP);
}
