/* SPDX-License-Identifier: MIT */
/*
 * Self-hosted debug (DDI 0487 D2): software step, hardware breakpoints and watchpoints, and the
 * registers around them. Context-linked breakpoints compare CONTEXTIDR_EL1; there is no external
 * debugger, and the debug communication channel is always empty.
 */
#include "base/bits.h"
#include "target/arm/exception.h"
#include "target/arm/mmu.h"
#include "target/arm/sysregs.h"

enum {
    OSLSR_OSLK = 1 << 1,
    OSLSR_OSLM = 1 << 3,
    CONTROL_ENABLE = 1,
    BCR_WRITABLE = 0x00ffe1e7 & ~0x1e0,
};
#define WCR_WRITABLE UINT64_C(0x1f1fffff)

bool arm_debug_exceptions_enabled(const ArmCpu *cpu, bool el1, bool d)
{
    if (cpu->oslsr_el1 & OSLSR_OSLK) {
        return false;
    }
    return !el1 || (cpu->mdscr_el1 & MDSCR_KDE && !d);
}

static bool enabled_here(const ArmCpu *cpu)
{
    return arm_debug_exceptions_enabled(cpu, cpu->el1, cpu->daif & SPSR_D);
}

/* An exception has cleared PSTATE.SS by now; an exception return has set it for its target. */
void arm_insn_done(TcgState *env, uint64_t mode)
{
    ArmCpu *cpu = arm_cpu_of_env(env);

    if ((mode & ARM_MODE_STEP) && cpu->ss && !cpu->eret_stepped) {
        cpu->ss = false;
        arm_update_mode(cpu);
        arm_request_exit(cpu);
    }
    cpu->eret_stepped = false;
}

bool arm_take_pending_step(ArmCpu *cpu)
{
    uint32_t insn, iss = ARM_FSC_DEBUG | 1u << 24;

    if (!(cpu->mdscr_el1 & MDSCR_SS) || cpu->ss || !enabled_here(cpu)) {
        return false;
    }
    /* EX: a load-exclusive was stepped. */
    if (arm_read_code(cpu, tcg_pc(&cpu->tcg) - 4, &insn) && (insn & 0x3fc00000) == 0x08400000) {
        iss |= 1u << 6;
    }
    arm_take_synchronous(cpu, arm_esr(cpu->el1 ? ARM_EC_STEP : ARM_EC_STEP_LOWER, iss));
    return true;
}

/* PMC and PAC with HMC and SSC 0: bit 0 EL1, bit 1 EL0. */
static bool level_matches(uint64_t control, bool el1)
{
    return control >> (el1 ? 1 : 2) & 1;
}

static bool context_matches(const ArmCpu *cpu, unsigned n)
{
    return n < ARM_MAX_BREAKPOINTS && (cpu->dbgbcr[n] >> 20 & 14) == 2 &&
           cpu->dbgbcr[n] & CONTROL_ENABLE &&
           (uint32_t)cpu->dbgbvr[n] == (uint32_t)cpu->contextidr_el1;
}

static bool breakpoint_matches(const ArmCpu *cpu, unsigned n, uint64_t pc)
{
    uint64_t control = cpu->dbgbcr[n];
    unsigned type = control >> 20 & 15;

    if (!(control & CONTROL_ENABLE) || !level_matches(control, cpu->el1)) {
        return false;
    }
    if (type == 2) {
        return context_matches(cpu, n);
    }
    return type < 2 && bits_extract(cpu->dbgbvr[n] ^ pc, 2, 47) == 0 &&
           (type == 0 || context_matches(cpu, control >> 16 & 15));
}

bool arm_check_insn(TcgState *env)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    uint64_t pc = tcg_pc(env);

    if (!(cpu->mdscr_el1 & MDSCR_MDE) || !enabled_here(cpu)) {
        return false;
    }
    for (unsigned i = 0; i < ARM_MAX_BREAKPOINTS; i++) {
        if (breakpoint_matches(cpu, i, pc)) {
            arm_take_synchronous(
                cpu,
                arm_esr(cpu->el1 ? ARM_EC_BREAKPOINT : ARM_EC_BREAKPOINT_LOWER, ARM_FSC_DEBUG));
            return true;
        }
    }
    return false;
}

/* The watched bytes: [*start, *start + *size). */
static void watched_range(const ArmCpu *cpu, unsigned n, uint64_t *start, uint64_t *size)
{
    unsigned mask = cpu->dbgwcr[n] >> 24 & 31, bas = cpu->dbgwcr[n] >> 5 & 0xff;
    uint64_t base = (uint64_t)bits_sign_extend(cpu->dbgwvr[n] & ~UINT64_C(3), 49);

    if (mask > 2) {
        *size = UINT64_C(1) << mask;
        *start = base & ~(*size - 1);
    } else if (bas) {
        unsigned first = (unsigned)__builtin_ctz(bas);

        /* Bytes that are not contiguous are unpredictable: the run from the lowest counts. */
        *start = base + first;
        *size = (unsigned)__builtin_ctz(~(bas >> first));
    } else {
        *start = base;
        *size = 0;
    }
}

static bool overlaps(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return b_size && a_size && (b - a < a_size || a - b < b_size);
}

bool arm_page_watched(ArmCpu *cpu, uint64_t guest_virt)
{
    uint64_t page = (uint64_t)bits_sign_extend(guest_virt, 56) & TCG_PAGE_MASK;

    for (unsigned i = 0; i < ARM_MAX_WATCHPOINTS; i++) {
        uint64_t start, size;

        watched_range(cpu, i, &start, &size);
        if (cpu->dbgwcr[i] & CONTROL_ENABLE && overlaps(page, TCG_PAGE_SIZE, start, size)) {
            return true;
        }
    }
    return false;
}

bool arm_watchpoint_hit(ArmCpu *cpu, uint64_t guest_virt, unsigned size, bool write, bool unpriv)
{
    uint64_t address = (uint64_t)bits_sign_extend(guest_virt, 56);

    if (!(cpu->mdscr_el1 & MDSCR_MDE) || !enabled_here(cpu)) {
        return false;
    }
    for (unsigned i = 0; i < ARM_MAX_WATCHPOINTS; i++) {
        uint64_t control = cpu->dbgwcr[i], start, length;

        watched_range(cpu, i, &start, &length);
        if (control & CONTROL_ENABLE && level_matches(control, !unpriv) &&
            control >> (write ? 4 : 3) & 1 && overlaps(address, size, start, length) &&
            (!(control >> 20 & 1) || context_matches(cpu, control >> 16 & 15))) {
            return true;
        }
    }
    return false;
}

static bool any_enabled(const uint64_t *control, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (control[i] & CONTROL_ENABLE) {
            return true;
        }
    }
    return false;
}

void arm_update_debug(ArmCpu *cpu)
{
    bool mde = cpu->mdscr_el1 & MDSCR_MDE && !(cpu->oslsr_el1 & OSLSR_OSLK);
    bool watched = cpu->watch_armed;

    cpu->watch_armed = mde && any_enabled(cpu->dbgwcr, ARM_MAX_WATCHPOINTS);
    cpu->break_armed = mde && any_enabled(cpu->dbgbcr, ARM_MAX_BREAKPOINTS);
    cpu->debug_armed = cpu->break_armed || cpu->watch_armed || cpu->mdscr_el1 & MDSCR_SS;
    if (watched || cpu->watch_armed) {
        /* Pages that are watched must not stay in TLBs. */
        tcg_invalidate_contexts(&cpu->tcg, NULL, 0);
    }
    arm_update_mode(cpu);
}

static void write_debug(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    *(uint64_t *)(void *)((char *)cpu + reg->field) = value;
    arm_update_debug(cpu);
}

static void write_oslar(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    cpu->oslsr_el1 = OSLSR_OSLM | (value & 1 ? OSLSR_OSLK : 0);
    arm_update_debug(cpu);
}

static uint64_t read_claim(ArmCpu *cpu, const ArmSysreg *reg)
{
    return reg->index ? cpu->dbgclaim : 0xff;
}

static void write_claim(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    if (reg->index) {
        cpu->dbgclaim &= ~value;
    } else {
        cpu->dbgclaim |= value & 0xff;
    }
}

static bool channel_allowed(ArmCpu *cpu, const ArmSysreg *reg, bool write)
{
    return !(cpu->mdscr_el1 & MDSCR_TDCC);
}

/* clang-format off */
#define MODE_FIELD(op1, crn, crm, op2, name, fixed, initial)                                       \
    { ARM_SYSREG(2, op1, crn, crm, op2), #name, ARM_EL1_RW | ARM_SYSREG_MODE,                      \
      .field = offsetof(ArmCpu, name), .read_only = fixed, .reset = initial, .write = write_debug }
#define PLAIN(op1, crn, crm, op2, name)                                                            \
    { ARM_SYSREG(2, op1, crn, crm, op2), #name, ARM_EL1_RW, .field = offsetof(ArmCpu, name) }
#define BREAKPOINT(n)                                                                              \
    { ARM_SYSREG(2, 0, 0, n, 4), "dbgbvr" #n "_el1", ARM_EL1_RW | ARM_SYSREG_MODE,                 \
      .field = offsetof(ArmCpu, dbgbvr[n]), .read_only = 3, .write = write_debug },                \
    { ARM_SYSREG(2, 0, 0, n, 5), "dbgbcr" #n "_el1", ARM_EL1_RW | ARM_SYSREG_MODE,                 \
      .field = offsetof(ArmCpu, dbgbcr[n]), .read_only = ~(uint64_t)BCR_WRITABLE,                  \
      .reset = 0x1e0, .write = write_debug }
#define WATCHPOINT(n)                                                                              \
    { ARM_SYSREG(2, 0, 0, n, 6), "dbgwvr" #n "_el1", ARM_EL1_RW | ARM_SYSREG_MODE,                 \
      .field = offsetof(ArmCpu, dbgwvr[n]), .read_only = 3, .write = write_debug },                \
    { ARM_SYSREG(2, 0, 0, n, 7), "dbgwcr" #n "_el1", ARM_EL1_RW | ARM_SYSREG_MODE,                 \
      .field = offsetof(ArmCpu, dbgwcr[n]), .read_only = ~WCR_WRITABLE, .write = write_debug }

const ArmSysreg arm_sysregs_debug[] = {
    MODE_FIELD(0, 0, 2, 2, mdscr_el1, ~UINT64_C(0x74a9f041), 0),
    PLAIN(0, 0, 2, 0, mdccint_el1),
    PLAIN(0, 0, 0, 2, osdtrrx_el1),
    PLAIN(0, 0, 3, 2, osdtrtx_el1),
    PLAIN(0, 0, 6, 2, oseccr_el1),
    PLAIN(0, 1, 3, 4, osdlr_el1),
    { ARM_SYSREG(2, 0, 1, 0, 4), "oslar_el1", ARM_EL1_W | ARM_SYSREG_MODE, .write = write_oslar },
    { ARM_SYSREG(2, 0, 1, 1, 4), "oslsr_el1", ARM_EL1_R, .field = offsetof(ArmCpu, oslsr_el1),
      .reset = OSLSR_OSLM | OSLSR_OSLK },
    { ARM_SYSREG(2, 0, 1, 4, 4), "dbgprcr_el1", ARM_EL1_RW },
    { ARM_SYSREG(2, 0, 1, 0, 0), "mdrar_el1", ARM_EL1_R },
    { ARM_SYSREG(2, 0, 7, 8, 6), "dbgclaimset_el1", ARM_EL1_RW, .read = read_claim,
      .write = write_claim, .index = 0 },
    { ARM_SYSREG(2, 0, 7, 9, 6), "dbgclaimclr_el1", ARM_EL1_RW, .read = read_claim,
      .write = write_claim, .index = 1 },
    { ARM_SYSREG(2, 0, 7, 14, 6), "dbgauthstatus_el1", ARM_EL1_R },
    { ARM_SYSREG(2, 3, 0, 1, 0), "mdccsr_el0", ARM_ALL_R, .el0_allowed = channel_allowed },
    { ARM_SYSREG(2, 3, 0, 4, 0), "dbgdtr_el0", ARM_ALL_RW, .el0_allowed = channel_allowed },
    { ARM_SYSREG(2, 3, 0, 5, 0), "dbgdtrrx_el0", ARM_ALL_RW, .el0_allowed = channel_allowed },
    BREAKPOINT(0), BREAKPOINT(1), BREAKPOINT(2), BREAKPOINT(3), BREAKPOINT(4), BREAKPOINT(5),
    WATCHPOINT(0), WATCHPOINT(1), WATCHPOINT(2), WATCHPOINT(3),
    { 0 },
};
/* clang-format on */
