/* SPDX-License-Identifier: MIT */
/*
 * System registers of control and memory, and the system instructions for caches, TLBs and address
 * translation (DDI 0487 D19.2, C5.3 to C5.5).
 */
#include "target/arm/exception.h"
#include "target/arm/mmu.h"
#include "target/arm/sysregs.h"

#include "base/bits.h"
#include "machine/debug.h"

enum { CACHE_LINE_BYTES = 64 };

static void write_control(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    *(uint64_t *)(void *)((char *)cpu + reg->field) = value;
    arm_update_controls(cpu);
    arm_update_context(cpu);
}

static void report_paging(ArmCpu *cpu, const ArmSysreg *reg, uint64_t tables)
{
    if (debug_wants(cpu->vcpu.machine, DEBUG_PAGING)) {
        debug_report(cpu->vcpu.machine, &cpu->vcpu,
                     &(DebugEvent){ .kind = DEBUG_PAGING, .name = reg->name, .value = tables });
    }
}

/* Bits of extensions that are absent are RES0. */
static void write_sctlr(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    uint64_t old = cpu->sctlr_el1, keys = SCTLR_ENIA | SCTLR_ENIB | SCTLR_ENDA | SCTLR_ENDB;

    value &= ~(arm_has(cpu, FEAT_PAUTH) ? 0 : keys) &
             ~(arm_has(cpu, FEAT_BTI) ? 0 : SCTLR_BT0 | SCTLR_BT1) &
             ~(arm_has(cpu, FEAT_MOPS) ? 0 : SCTLR_MSCEN) &
             ~(arm_has(cpu, FEAT_SSBS) ? 0 : UINT64_C(1) << SCTLR_DSSBS_SHIFT) &
             ~SCTLR_EPAN; /* no PAN3 */
    value |= arm_has(cpu, FEAT_PAN) ? 0 : SCTLR_SPAN;
    write_control(cpu, reg, value);
    /* Landing pads that jump caches have accepted may no longer be. */
    if ((old ^ value) & (SCTLR_BT0 | SCTLR_BT1)) {
        tcg_invalidate_contexts(&cpu->tcg, NULL, 0);
    }
    if ((old ^ value) & SCTLR_M) {
        report_paging(cpu, reg, cpu->ttbr1_el1 & bits_mask(48));
    }
}

static void write_translation(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    *(uint64_t *)(void *)((char *)cpu + reg->field) = value;
    arm_update_context(cpu);
    report_paging(cpu, reg, value & bits_mask(48));
}

/* TLB invalidation: how the operation's name reads in its encoding. */

static bool match_asid(uint64_t key, uint64_t asid)
{
    return arm_key_asid(key) == asid;
}

static bool is_broadcast(const ArmSysreg *reg)
{
    unsigned crm = reg->encoding >> 3 & 15;

    return crm == 1 || crm == 2 || crm == 3 || crm == 5;
}

static void invalidate_contexts(ArmCpu *cpu, const ArmSysreg *reg, TcgContextMatch *match,
                                uint64_t arg)
{
    if (is_broadcast(reg)) {
        tcg_broadcast_invalidate_contexts(&cpu->tcg, match, arg);
        cpu->invalidations_pending = true;
    } else {
        tcg_invalidate_contexts(&cpu->tcg, match, arg);
    }
}

static void invalidate_page(ArmCpu *cpu, const ArmSysreg *reg, uint64_t address, bool all_asids,
                            uint64_t asid)
{
    TcgContextMatch *match = all_asids ? NULL : match_asid;

    if (is_broadcast(reg)) {
        tcg_broadcast_invalidate_page(&cpu->tcg, address, match, asid);
        cpu->invalidations_pending = true;
    } else {
        tcg_invalidate_page(&cpu->tcg, address, match, asid);
    }
}

static void tlbi_all(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    invalidate_contexts(cpu, reg, NULL, 0);
}

static uint64_t effective_asid(const ArmCpu *cpu, uint64_t value)
{
    return value >> 48 & (cpu->tcr_el1 >> 36 & 1 ? 0xffff : 0xff);
}

static void tlbi_asid(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    invalidate_contexts(cpu, reg, match_asid, effective_asid(cpu, value));
}

/* index 1: for all ASIDs */
static void tlbi_va(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    uint64_t address = (uint64_t)bits_sign_extend(bits_extract(value, 0, 44), 44) << 12;

    invalidate_page(cpu, reg, address, reg->index, effective_asid(cpu, value));
}

/* TG, SCALE, NUM and BaseADDR; more pages than it pays to visit drop whole contexts. */
static void tlbi_range(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    enum { MAX_PAGES = 512 };
    unsigned tg = (unsigned)bits_extract(value, 46, 2);
    unsigned granule = tg == 1 ? 12 : tg == 2 ? 14 : 16;
    unsigned scale = (unsigned)bits_extract(value, 44, 2);
    uint64_t pages = (bits_extract(value, 39, 5) + 1) << (5 * scale + 1);
    uint64_t address = (uint64_t)bits_sign_extend(value, 37) << granule;
    uint64_t small = pages << (granule - 12);

    if (tg == 0) {
        return;
    }
    if (small > MAX_PAGES) {
        invalidate_contexts(cpu, reg, NULL, 0);
        return;
    }
    for (uint64_t i = 0; i < small; i++) {
        invalidate_page(cpu, reg, address + (i << 12), reg->index, effective_asid(cpu, value));
    }
}

/* Caches: data is coherent, so that only the checks are left. index 1: needs write permission. */
static void dc_by_address(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    cpu->fault.cache_maintenance = true;
    tcg_probe(&cpu->tcg, value, 1, reg->index && cpu->el1, 0);
    cpu->fault.cache_maintenance = false;
}

static void ic_ivau(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    dc_by_address(cpu, reg, value);
    tcg_invalidate_code(&cpu->tcg, value & ~(uint64_t)(CACHE_LINE_BYTES - 1), CACHE_LINE_BYTES);
}

static void ic_all(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    tcg_invalidate_all_code(&cpu->tcg);
}

void arm_synchronize_uncached_code(ArmCpu *cpu)
{
    /* A unit that another CPU is making now is marked first and inserted under the invalidation's lock. */
    if (atomic_exchange(&arm_first_cpu(cpu)->icache_off_units, false)) {
        tcg_invalidate_all_code(&cpu->tcg);
    }
}

/* index: bit 0 write, bit 1 as EL0, bit 2 with PSTATE.PAN */
static void address_translate(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    arm_address_translate(cpu, value,
                          (ArmWalkRequest){ .access = reg->index & 1 ? TCG_WRITE : TCG_READ,
                                            .el0 = reg->index & 2,
                                            .pan = reg->index & 4 && cpu->pan,
                                            .probe = true });
}

/* clang-format off */
#define FIELD(name) offsetof(ArmCpu, name)
#define NEEDS(feature) (FEAT_##feature + 1)
#define CONTROL(op1, crn, crm, op2, name, hook)                                                    \
    { ARM_SYSREG(3, op1, crn, crm, op2), #name, ARM_EL1_RW | ARM_SYSREG_MODE,                      \
      .field = FIELD(name), .write = hook }
#define PLAIN(op1, crn, crm, op2, name)                                                            \
    { ARM_SYSREG(3, op1, crn, crm, op2), #name, ARM_EL1_RW, .field = FIELD(name) }
#define VARIABLE(op1, crn, crm, op2, name, rights, variable)                                       \
    { ARM_SYSREG(3, op1, crn, crm, op2), #name, rights, .var = variable, .field = FIELD(name) }
#define TLBI(crm, op2, text, hook, all, needs)                                                     \
    { ARM_SYSREG(1, 0, 8, crm, op2), "tlbi " text, ARM_EL1_W, .write = hook, .index = all,         \
      .feature = needs }
#define TLBI_GROUP(crm, suffix, needs)                                                             \
    TLBI(crm, 0, "vmalle1" suffix, tlbi_all, 1, needs),                                            \
    TLBI(crm, 1, "vae1" suffix, tlbi_va, 0, needs),                                                \
    TLBI(crm, 2, "aside1" suffix, tlbi_asid, 0, needs),                                            \
    TLBI(crm, 3, "vaae1" suffix, tlbi_va, 1, needs),                                               \
    TLBI(crm, 5, "vale1" suffix, tlbi_va, 0, needs),                                               \
    TLBI(crm, 7, "vaale1" suffix, tlbi_va, 1, needs)
#define TLBI_RANGE_GROUP(crm, suffix)                                                              \
    TLBI(crm, 1, "rvae1" suffix, tlbi_range, 0, NEEDS(TLBIRANGE)),                                 \
    TLBI(crm, 3, "rvaae1" suffix, tlbi_range, 1, NEEDS(TLBIRANGE)),                                \
    TLBI(crm, 5, "rvale1" suffix, tlbi_range, 0, NEEDS(TLBIRANGE)),                                \
    TLBI(crm, 7, "rvaale1" suffix, tlbi_range, 1, NEEDS(TLBIRANGE))
/* Cache maintenance by address from EL0 is allowed by SCTLR_EL1.UCI. */
#define CACHE_VA(op1, crm, op2, text, rights, hook, writes, needs)                                 \
    { ARM_SYSREG(1, op1, 7, crm, op2), text, rights | ARM_SYSREG_FAULTS, .write = hook,            \
      .index = writes, .feature = needs, .el0_mode = ARM_MODE_UCI }
#define KEY(crm, op2, name, number, half)                                                          \
    { ARM_SYSREG(3, 0, 2, crm, op2), name, ARM_EL1_RW, .field = FIELD(pac_keys[number][half]),     \
      .var = ARM_VAR_PAC_KEYS + 2 * number + half, .feature = NEEDS(PAUTH) }

const ArmSysreg arm_sysregs_memory[] = {
    { ARM_SYSREG(3, 0, 1, 0, 0), "sctlr_el1", ARM_EL1_RW | ARM_SYSREG_MODE,
      .field = FIELD(sctlr_el1), .reset = 0x00c50838, .write = write_sctlr },
    PLAIN(0, 1, 0, 1, actlr_el1),
    CONTROL(0, 1, 0, 2, cpacr_el1, write_control),
    CONTROL(0, 2, 0, 0, ttbr0_el1, write_translation),
    CONTROL(0, 2, 0, 1, ttbr1_el1, write_translation),
    CONTROL(0, 2, 0, 2, tcr_el1, write_control),
    PLAIN(0, 10, 2, 0, mair_el1),
    PLAIN(0, 10, 3, 0, amair_el1),
    PLAIN(0, 13, 0, 1, contextidr_el1),
    PLAIN(0, 12, 0, 0, vbar_el1),
    PLAIN(0, 7, 4, 0, par_el1),
    PLAIN(0, 5, 1, 0, afsr0_el1),
    PLAIN(0, 5, 1, 1, afsr1_el1),
    VARIABLE(0, 5, 2, 0, esr_el1, ARM_EL1_RW, ARM_VAR_ESR_EL1),
    VARIABLE(0, 6, 0, 0, far_el1, ARM_EL1_RW, ARM_VAR_FAR_EL1),
    VARIABLE(0, 4, 0, 0, spsr_el1, ARM_EL1_RW, ARM_VAR_SPSR_EL1),
    VARIABLE(0, 4, 0, 1, elr_el1, ARM_EL1_RW, ARM_VAR_ELR_EL1),
    VARIABLE(3, 13, 0, 2, tpidr_el0, ARM_ALL_RW, ARM_VAR_TPIDR_EL0),
    VARIABLE(3, 13, 0, 3, tpidrro_el0, ARM_EL0_R | ARM_EL1_RW, ARM_VAR_TPIDRRO_EL0),
    VARIABLE(0, 13, 0, 4, tpidr_el1, ARM_EL1_RW, ARM_VAR_TPIDR_EL1),
    KEY(1, 0, "apiakeylo_el1", 0, 0), KEY(1, 1, "apiakeyhi_el1", 0, 1),
    KEY(1, 2, "apibkeylo_el1", 1, 0), KEY(1, 3, "apibkeyhi_el1", 1, 1),
    KEY(2, 0, "apdakeylo_el1", 2, 0), KEY(2, 1, "apdakeyhi_el1", 2, 1),
    KEY(2, 2, "apdbkeylo_el1", 3, 0), KEY(2, 3, "apdbkeyhi_el1", 3, 1),
    KEY(3, 0, "apgakeylo_el1", 4, 0), KEY(3, 1, "apgakeyhi_el1", 4, 1),

    TLBI_GROUP(7, "", 0), TLBI_GROUP(3, "is", 0), TLBI_GROUP(1, "os", NEEDS(TLBIOS)),
    TLBI_RANGE_GROUP(6, ""), TLBI_RANGE_GROUP(2, "is"), TLBI_RANGE_GROUP(5, "os"),

    { ARM_SYSREG(1, 0, 7, 1, 0), "ic ialluis", ARM_EL1_W, .write = ic_all },
    { ARM_SYSREG(1, 0, 7, 5, 0), "ic iallu", ARM_EL1_W, .write = ic_all },
    CACHE_VA(3, 5, 1, "ic ivau", ARM_EL0_W | ARM_EL1_W, ic_ivau, 0, 0),
    CACHE_VA(0, 6, 1, "dc ivac", ARM_EL1_W, dc_by_address, 1, 0),
    CACHE_VA(3, 10, 1, "dc cvac", ARM_EL0_W | ARM_EL1_W, dc_by_address, 0, 0),
    CACHE_VA(3, 11, 1, "dc cvau", ARM_EL0_W | ARM_EL1_W, dc_by_address, 0, 0),
    CACHE_VA(3, 12, 1, "dc cvap", ARM_EL0_W | ARM_EL1_W, dc_by_address, 0, NEEDS(DPB)),
    CACHE_VA(3, 13, 1, "dc cvadp", ARM_EL0_W | ARM_EL1_W, dc_by_address, 0, NEEDS(DPB2)),
    CACHE_VA(3, 14, 1, "dc civac", ARM_EL0_W | ARM_EL1_W, dc_by_address, 0, 0),
    { ARM_SYSREG(1, 0, 7, 6, 2), "dc isw", ARM_EL1_W },
    { ARM_SYSREG(1, 0, 7, 10, 2), "dc csw", ARM_EL1_W },
    { ARM_SYSREG(1, 0, 7, 14, 2), "dc cisw", ARM_EL1_W },

    { ARM_SYSREG(1, 3, 7, 3, 4), "cfp rctx", ARM_EL1_W, .feature = NEEDS(SPECRES) },
    { ARM_SYSREG(1, 3, 7, 3, 5), "dvp rctx", ARM_EL1_W, .feature = NEEDS(SPECRES) },
    { ARM_SYSREG(1, 3, 7, 3, 7), "cpp rctx", ARM_EL1_W, .feature = NEEDS(SPECRES) },

    { ARM_SYSREG(1, 0, 7, 8, 0), "at s1e1r", ARM_EL1_W, .write = address_translate, .index = 0 },
    { ARM_SYSREG(1, 0, 7, 8, 1), "at s1e1w", ARM_EL1_W, .write = address_translate, .index = 1 },
    { ARM_SYSREG(1, 0, 7, 8, 2), "at s1e0r", ARM_EL1_W, .write = address_translate, .index = 2 },
    { ARM_SYSREG(1, 0, 7, 8, 3), "at s1e0w", ARM_EL1_W, .write = address_translate, .index = 3 },
    { ARM_SYSREG(1, 0, 7, 9, 0), "at s1e1rp", ARM_EL1_W, .write = address_translate, .index = 4,
      .feature = NEEDS(PAN2) },
    { ARM_SYSREG(1, 0, 7, 9, 1), "at s1e1wp", ARM_EL1_W, .write = address_translate, .index = 5,
      .feature = NEEDS(PAN2) },
    { 0 },
};
/* clang-format on */
