/* SPDX-License-Identifier: MIT */
/*
 * The aarch64 target: what the machine, the monitor and the translator know of an Arm processor.
 */
#include "target/arm/cpu.h"

#include <capstone/capstone.h>
#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "machine/debug.h"
#include "target/arm/core-dump.h"
#include "target/arm/exception.h"
#include "target/arm/mmu.h"
#include "target/arm/models.h"
#include "target/arm/registers.h"
#include "target/arm/sysregs.h"
#include "target/arm/system-tables.h"

/* Guest variables. */

/* clang-format off */
#define OFFSET(member) ((int32_t)((intptr_t)offsetof(ArmCpu, member) - \
                                  (intptr_t)offsetof(ArmCpu, tcg)))
#define X(n) [ARM_VAR_X0 + n] = { "x" #n, IR_I64, OFFSET(x[n]) }
#define V(n) [ARM_VAR_V0 + n] = { "v" #n, IR_V128, OFFSET(v[n]) }
#define VAR(index, field) [index] = { #field, IR_I64, OFFSET(field) }
#define KEY(n, name)                                                                               \
    [ARM_VAR_PAC_KEYS + 2 * n] = { "key_" name "_low", IR_I64, OFFSET(pac_keys[n][0]) },           \
    [ARM_VAR_PAC_KEYS + 2 * n + 1] = { "key_" name "_high", IR_I64, OFFSET(pac_keys[n][1]) }
#define MASKS(n, name)                                                                             \
    [ARM_VAR_PAC_MASKS + 2 * n] = { "pac_" name, IR_I64, OFFSET(pac_masks[n][0]) },                \
    [ARM_VAR_PAC_MASKS + 2 * n + 1] = { "pac_" name "_diff", IR_I64, OFFSET(pac_masks[n][1]) }

static const IrVar variables[ARM_VAR_COUNT] = {
    X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7), X(8), X(9), X(10), X(11), X(12), X(13), X(14),
    X(15), X(16), X(17), X(18), X(19), X(20), X(21), X(22), X(23), X(24), X(25), X(26), X(27),
    X(28), X(29), X(30),
    [ARM_VAR_SP] = { "sp", IR_I64, OFFSET(x[31]) },
    [ARM_VAR_FLAGS] = { "nzcv", IR_FLAGS, OFFSET(flags) },
    V(0), V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9), V(10), V(11), V(12), V(13), V(14),
    V(15), V(16), V(17), V(18), V(19), V(20), V(21), V(22), V(23), V(24), V(25), V(26), V(27),
    V(28), V(29), V(30), V(31),
    [ARM_VAR_QC] = { "qc", IR_V128, OFFSET(qc) },
    VAR(ARM_VAR_EXCLUSIVE_ADDRESS, exclusive_address),
    VAR(ARM_VAR_EXCLUSIVE_LOW, exclusive_low),
    VAR(ARM_VAR_EXCLUSIVE_HIGH, exclusive_high),
    VAR(ARM_VAR_DAIF, daif),
    VAR(ARM_VAR_TPIDR_EL0, tpidr_el0),
    VAR(ARM_VAR_TPIDRRO_EL0, tpidrro_el0),
    VAR(ARM_VAR_TPIDR_EL1, tpidr_el1),
    VAR(ARM_VAR_SP_EL0, sp_el0),
    VAR(ARM_VAR_ELR_EL1, elr_el1),
    VAR(ARM_VAR_SPSR_EL1, spsr_el1),
    VAR(ARM_VAR_ESR_EL1, esr_el1),
    VAR(ARM_VAR_FAR_EL1, far_el1),
    VAR(ARM_VAR_FPCR, fpcr),
    KEY(0, "ia"), KEY(1, "ib"), KEY(2, "da"), KEY(3, "db"), KEY(4, "ga"),
    MASKS(0, "insn"), MASKS(1, "data"),
    [ARM_VAR_INSTRUCTIONS] = { "instructions", IR_I64, OFFSET(tcg.insn_count) },
};
G_STATIC_ASSERT((int)ARM_VAR_COUNT <= (int)IR_MAX_VARS);
#undef X
#undef V
/* clang-format on */

/* By how often compilers use them in hot code. */
/* clang-format off */
static const uint8_t pinned_ints[] = { 0, 1, 2, 3, ARM_VAR_SP, 19, 20, 4, 5, 21, 8, 22, 6, 30, 29,
                                       7, 9, 10, 0xff };
static const uint8_t pinned_vectors[] = {
    ARM_VAR_V0, ARM_VAR_V0 + 1, ARM_VAR_V0 + 2, ARM_VAR_V0 + 3, ARM_VAR_V0 + 4, ARM_VAR_V0 + 5,
    ARM_VAR_V0 + 6, ARM_VAR_V0 + 7, ARM_VAR_V0 + 8, ARM_VAR_V0 + 16, ARM_VAR_V0 + 17,
    ARM_VAR_V0 + 18, 0xff };
/* clang-format on */

/* The mode key. */

uint64_t arm_mode(TcgState *env)
{
    return arm_cpu_of_env(env)->mode;
}

static uint32_t if_set(uint64_t bits, uint32_t mode)
{
    return bits ? mode : 0;
}

/* What both exception levels share. */
static uint32_t common_controls(ArmCpu *cpu)
{
    uint64_t sctlr = cpu->sctlr_el1;
    uint32_t mode = arm_fpcr_mode((uint32_t)cpu->fpcr) | arm_update_pac_layout(cpu);

    /* Translation off: data is device memory, where unaligned accesses fault. */
    mode |= if_set(sctlr & SCTLR_A || !(sctlr & SCTLR_M), ARM_MODE_ALIGN);
    mode |= if_set(!(sctlr & SCTLR_I), ARM_MODE_ICACHE_OFF);
    mode |=
        if_set(sctlr & SCTLR_ENIA, ARM_MODE_PAC_IA) | if_set(sctlr & SCTLR_ENIB, ARM_MODE_PAC_IB) |
        if_set(sctlr & SCTLR_ENDA, ARM_MODE_PAC_DA) | if_set(sctlr & SCTLR_ENDB, ARM_MODE_PAC_DB);
    return mode | if_set(debug_wants(cpu->vcpu.machine, DEBUG_REGISTER), ARM_MODE_TELL);
}

static uint32_t el0_controls(const ArmCpu *cpu)
{
    uint64_t sctlr = cpu->sctlr_el1;

    return if_set((cpu->cpacr_el1 >> 20 & 3) == 3, ARM_MODE_FP) |
           if_set(sctlr & SCTLR_E0E, ARM_MODE_BE) | if_set(sctlr & SCTLR_SA0, ARM_MODE_SP_ALIGN) |
           if_set(sctlr & SCTLR_UCI, ARM_MODE_UCI) | if_set(sctlr & SCTLR_UCT, ARM_MODE_UCT) |
           if_set(sctlr & SCTLR_DZE, ARM_MODE_DZE) | if_set(sctlr & SCTLR_UMA, ARM_MODE_UMA) |
           if_set(sctlr & SCTLR_NTWI, ARM_MODE_WFI) | if_set(sctlr & SCTLR_NTWE, ARM_MODE_WFE) |
           if_set(cpu->cntkctl_el1 & 2, ARM_MODE_CNTVCT) |
           if_set(cpu->cntkctl_el1 & 1, ARM_MODE_CNTPCT) |
           if_set(sctlr & SCTLR_MSCEN, ARM_MODE_MOPS);
}

static uint32_t el1_controls(const ArmCpu *cpu)
{
    return ARM_MODE_EL1 | if_set(cpu->cpacr_el1 >> 20 & 1, ARM_MODE_FP) |
           if_set(cpu->sctlr_el1 & SCTLR_EE, ARM_MODE_BE) |
           if_set(cpu->sctlr_el1 & SCTLR_SA, ARM_MODE_SP_ALIGN) | ARM_MODE_UCI | ARM_MODE_UCT |
           ARM_MODE_DZE | ARM_MODE_UMA | ARM_MODE_WFI | ARM_MODE_WFE | ARM_MODE_CNTVCT |
           ARM_MODE_CNTPCT | ARM_MODE_MOPS;
}

void arm_update_controls(ArmCpu *cpu)
{
    uint32_t common = common_controls(cpu);

    cpu->mode_base[0] = common | el0_controls(cpu);
    cpu->mode_base[1] = common | el1_controls(cpu);
    arm_update_mode(cpu);
}

void arm_update_mode(ArmCpu *cpu)
{
    uint64_t mode = cpu->mode_base[cpu->el1];

    mode |= (cpu->spsel ? ARM_MODE_SPSEL : 0) | (cpu->uao ? ARM_MODE_UAO : 0);
    mode |= cpu->pmu.counts_instructions[cpu->el1] ? TCG_MODE_COUNT : 0;
    if (cpu->debug_armed && arm_debug_exceptions_enabled(cpu, cpu->el1, cpu->daif & SPSR_D)) {
        mode |= cpu->break_armed ? TCG_MODE_CHECK : 0;
        mode |= cpu->mdscr_el1 & MDSCR_SS && cpu->ss ? ARM_MODE_STEP | TCG_MODE_ONE : 0;
    }
    cpu->mode = mode;
}

static void debug_wants_changed(Vcpu *vcpu)
{
    arm_update_controls(arm_cpu(vcpu));
}

/* Realize and reset. */

static bool check_switches(const ArmCpu *cpu, const char *name, GError **error)
{
    if (cpu->aarch64_switch == 2) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "CPU '%s': aarch64=off asks for AArch32, which does not exist yet", name);
    }
    if (cpu->switches[FEAT_PAUTH_IMPDEF] == 1 && cpu->switches[FEAT_PAUTH_QARMA3] == 1) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "CPU '%s': pauth-impdef=on and pauth-qarma3=on exclude each other", name);
    }
    if (cpu->vfp_switch == 2 || cpu->neon_switch == 2) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "CPU '%s': %s=off: floating point and SIMD cannot be switched off yet",
                          name, cpu->vfp_switch == 2 ? "vfp" : "neon");
    }
    if (g_strcmp0(cpu->psci_conduit, "hvc") && g_strcmp0(cpu->psci_conduit, "smc") &&
        g_strcmp0(cpu->psci_conduit, "none")) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "CPU '%s': psci-conduit '%s' is none of hvc, smc, none", name,
                          cpu->psci_conduit ? cpu->psci_conduit : "");
    }
    return true;
}

/* Features without which another cannot be. */
static const struct {
    ArmFeature feature, needs;
} dependencies[] = {
    { FEAT_PMULL, FEAT_AES },          { FEAT_SHA256, FEAT_SHA1 },
    { FEAT_SHA512, FEAT_SHA256 },      { FEAT_PAN2, FEAT_PAN },
    { FEAT_DPB2, FEAT_DPB },           { FEAT_LRCPC2, FEAT_LRCPC },
    { FEAT_FLAGM2, FEAT_FLAGM },       { FEAT_FHM, FEAT_FP16 },
    { FEAT_PAUTH_IMPDEF, FEAT_PAUTH }, { FEAT_TLBIRANGE, FEAT_TLBIOS },
    { FEAT_PAUTH_QARMA3, FEAT_PAUTH }, { FEAT_SSBS2, FEAT_SSBS },
};

/* One tick is a whole number of nanoseconds. */
static bool choose_counter(ArmCpu *cpu, const char *name, GError **error)
{
    enum { FAST_HZ = 1000000000 };
    uint64_t hz = cpu->counter_hz                             ? cpu->counter_hz
                  : cpu->backcompat_cntfrq == ON_OFF_AUTO_OFF ? FAST_HZ
                                                              : ARM_COUNTER_HZ;

    if (hz > FAST_HZ || FAST_HZ % hz) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "CPU '%s': cntfrq=%" PRIu64 " does not divide %d", name, hz, FAST_HZ);
    }
    cpu->tick_ns = FAST_HZ / (int64_t)hz;
    return true;
}

static void select_features(ArmCpu *cpu)
{
    cpu->features = cpu->arm_model->features;
    for (unsigned i = 0; i < ARM_FEATURE_COUNT; i++) {
        if (cpu->switches[i]) {
            cpu->features = bits_deposit(cpu->features, i, 1, cpu->switches[i] == 1);
        }
    }
    if (cpu->switches[FEAT_PAUTH_QARMA3] == 1) {
        cpu->features = bits_deposit(cpu->features, FEAT_PAUTH_IMPDEF, 1, 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(dependencies); i++) {
        if (!arm_has(cpu, dependencies[i].needs)) {
            cpu->features = bits_deposit(cpu->features, dependencies[i].feature, 1, 0);
        }
    }
}

static bool realize(Vcpu *vcpu, GError **error)
{
    ArmCpu *cpu = arm_cpu(vcpu);

    if (!check_switches(cpu, vcpu->model->name, error) ||
        !choose_counter(cpu, vcpu->model->name, error)) {
        return false;
    }
    cpu->arm_model = vcpu->model->data;
    select_features(cpu);
    cpu->tcg.vcpu = vcpu;
    cpu->dczva_bytes = 64;
    /* Bit 31 is RES1. */
    cpu->mpidr = arm_vcpu_affinity(vcpu->index) | UINT64_C(0x80000000);
    arm_id_registers_init(cpu);
    arm_pmu_realize(cpu);
    return arm_timers_realize(cpu, error);
}

static void unrealize(Vcpu *vcpu)
{
    ArmCpu *cpu = arm_cpu(vcpu);

    for (unsigned i = 0; i < ARM_TIMER_COUNT; i++) {
        timer_cancel(&cpu->timers[i].timer);
    }
    timer_cancel(&cpu->pmu.timer);
}

static void reset(Vcpu *vcpu)
{
    ArmCpu *cpu = arm_cpu(vcpu);

    memset(cpu->x, 0, sizeof cpu->x);
    memset(cpu->v, 0, sizeof cpu->v);
    cpu->qc = (V128){ 0 };
    cpu->flags = 0;
    arm_sysregs_reset(cpu);
    cpu->cntfrq_el0 = (uint64_t)(1000000000 / cpu->tick_ns);
    cpu->sp_el0 = cpu->sp_el1 = 0;
    cpu->el1 = cpu->spsel = true;
    cpu->pan = cpu->uao = cpu->il = cpu->ss = cpu->ssbs = false;
    cpu->daif = SPSR_D | SPSR_A | SPSR_I | SPSR_F;
    atomic_store(&cpu->event, false);
    cpu->waits_for_event = cpu->invalidations_pending = false;
    cpu->debug_armed = cpu->watch_armed = cpu->break_armed = false;
    cpu->exclusive_address = ARM_NO_EXCLUSIVE;
    cpu->fault = (ArmFault){ 0 };
    cpu->tcg.jump_class = 0;
    vcpu->halt_deadline_ns = -1;
    atomic_store(&vcpu->halted, false);
    atomic_store(&cpu->on_pending, false);
    arm_set_fpcr(cpu, 0);
    arm_set_fpsr(cpu, 0);
    arm_timers_reset(cpu);
    arm_pmu_reset(cpu);
    tcg_set_pc(&cpu->tcg, 0);
    arm_update_controls(cpu);
    arm_update_context(cpu);
}

static uint64_t get_pc(const Vcpu *vcpu)
{
    return tcg_pc(&container_of(vcpu, ArmCpu, vcpu)->tcg);
}

static void set_pc(Vcpu *vcpu, uint64_t pc)
{
    tcg_set_pc(&arm_cpu(vcpu)->tcg, pc);
}

static bool has_work(const Vcpu *vcpu)
{
    const ArmCpu *cpu = container_of(vcpu, ArmCpu, vcpu);

    return atomic_load(&vcpu->interrupts) || (cpu->waits_for_event && atomic_load(&cpu->event)) ||
           (vcpu->halt_deadline_ns >= 0 && clock_now_ns(vcpu->machine) >= vcpu->halt_deadline_ns);
}

/* Monitor. */

static void describe(Vcpu *vcpu, bool all, GString *out)
{
    const ArmCpu *cpu = arm_cpu(vcpu);
    uint32_t pstate = arm_get_pstate(cpu);

    g_string_append_printf(out, " PC=%016" PRIx64, tcg_pc(&cpu->tcg));
    for (unsigned i = 0; i < 31; i++) {
        g_string_append_printf(out, "%sX%02u=%016" PRIx64, i % 4 == 3 ? "\n" : " ", i, cpu->x[i]);
    }
    g_string_append_printf(out, "  SP=%016" PRIx64 "\nPSTATE=%08x %c%c%c%c EL%d%c%s\n", cpu->x[31],
                           pstate, pstate >> 31 & 1 ? 'N' : '-', pstate >> 30 & 1 ? 'Z' : '-',
                           pstate >> 29 & 1 ? 'C' : '-', pstate >> 28 & 1 ? 'V' : '-', cpu->el1,
                           cpu->spsel ? 'h' : 't', atomic_load(&vcpu->halted) ? " halted" : "");
    if (all) {
        for (unsigned i = 0; i < 32; i++) {
            g_string_append_printf(out, "Q%02u=%016" PRIx64 ":%016" PRIx64 "%c", i, cpu->v[i][1],
                                   cpu->v[i][0], i & 1 ? '\n' : ' ');
        }
        g_string_append_printf(out, "FPCR=%08x FPSR=%08x\n", arm_get_fpcr(arm_cpu(vcpu)),
                               arm_get_fpsr(arm_cpu(vcpu)));
    }
    g_string_append_printf(out,
                           "SCTLR=%016" PRIx64 " TCR=%016" PRIx64 " VBAR=%016" PRIx64
                           "\nTTBR0=%016" PRIx64 " TTBR1=%016" PRIx64 " ELR=%016" PRIx64
                           "\nSPSR=%016" PRIx64 " ESR=%016" PRIx64 " FAR=%016" PRIx64 "\n",
                           cpu->sctlr_el1, cpu->tcr_el1, cpu->vbar_el1, cpu->ttbr0_el1,
                           cpu->ttbr1_el1, cpu->elr_el1, cpu->spsr_el1, cpu->esr_el1, cpu->far_el1);
}

/* Properties. */

/* clang-format off */
#define X_FEATURE(identifier, text, summary_text)                                                  \
    { text, PROPERTY_ON_OFF_AUTO, offsetof(ArmCpu, switches[FEAT_##identifier]), summary_text,     \
      .fallback = "auto" },
#define SWITCH(text, field, summary_text)                                                          \
    { text, PROPERTY_ON_OFF_AUTO, offsetof(ArmCpu, field), summary_text, .fallback = "auto" }

#define NOT_YET(text, summary_text) { text, PROPERTY_NOT_YET, 0, summary_text }
#define NOT_YET_SVE(bits) NOT_YET("sve" #bits, "scalable vectors"),
#define NOT_YET_SME(bits) NOT_YET("sme" #bits, "scalable matrices"),
#define SME_LENGTHS(X) X(128) X(256) X(512) X(1024) X(2048)
#define SVE_LENGTHS(X)                                                                             \
    SME_LENGTHS(X) X(384) X(640) X(768) X(896) X(1152) X(1280) X(1408) X(1536) X(1664) X(1792) X(1920)

static const Property properties[] = {
    ARM_FEATURES(X_FEATURE)
    SWITCH("aarch64", aarch64_switch, "AArch64 state (cannot be switched off)"),
    SWITCH("vfp", vfp_switch, "floating point (cannot be switched off)"),
    SWITCH("neon", neon_switch, "SIMD (cannot be switched off)"),
    NOT_YET("sve", "scalable vectors"),
    NOT_YET("sve-max-vq", "scalable vectors"),
    SVE_LENGTHS(NOT_YET_SVE)
    NOT_YET("sme", "scalable matrices"),
    NOT_YET("sme_fa64", "scalable matrices"),
    SME_LENGTHS(NOT_YET_SME)
    NOT_YET("lpa2", "52-bit addresses with pages of 4 and 16 KiB"),
    NOT_YET("mte", "memory tagging"),
    NOT_YET("x-rme", "the realm management extension"),
    NOT_YET("x-rme-l0gptsz", "the realm management extension"),
    NOT_YET("x-l0gptsz", "the realm management extension"),
    NOT_YET("has_el2", "hypervisor mode"),
    NOT_YET("has_el3", "secure monitor mode"),
    NOT_YET("cfgend", "big-endian exceptions from reset on"),
    NOT_YET("reset-hivecs", "AArch32 state"),
    NOT_YET("pauth-qarma5", "pointers signed by QARMA5"),
    NOT_YET("backcompat-pauth-default-use-qarma5", "pointers signed by QARMA5"),
    NOT_YET("has_gcie", "the GICv5's processor interface"),
    NOT_YET("rvbar", "another reset address"),
    NOT_YET("midr", "another identification; choose another -cpu"),
    NOT_YET("mp-affinity", "another affinity"),
    NOT_YET("core-count", "another number of cores in L2CTLR_EL1"),
    NOT_YET("start-powered-off", "processors that are off at reset"),
    NOT_YET("kvm-no-adjvtime", "KVM for Arm guests"),
    NOT_YET("kvm-steal-time", "KVM for Arm guests"),
    { "cntfrq", PROPERTY_U64, offsetof(ArmCpu, counter_hz),
      "Hz of the system counter, a divisor of 1000000000; 0: as backcompat-cntfrq says", .fallback = "0" },
    SWITCH("backcompat-cntfrq", backcompat_cntfrq,
           "off: the system counter runs at 1 GHz, else at 62.5 MHz"),
    { "psci-conduit", PROPERTY_STRING, offsetof(ArmCpu, psci_conduit),
      "instruction that calls PSCI firmware: hvc, smc or none", .fallback = "hvc" },
    { "reset-cbar", PROPERTY_U64, offsetof(ArmCpu, reset_cbar),
      "base address of the private peripherals" },
    { 0 },
};
/* clang-format on */

static char **resolve(Vcpu *vcpu)
{
    ArmCpu *cpu = arm_cpu(vcpu);
    const ArmModel *model = vcpu->model->data;

    for (unsigned i = 0; i < ARM_FEATURE_COUNT; i++) {
        cpu->switches[i] = model->features >> i & 1 ? ON_OFF_AUTO_ON : ON_OFF_AUTO_OFF;
    }
    return g_new0(char *, 1);
}

static unsigned physical_bits(const CpuModel *model)
{
    static const uint8_t bits[] = { 32, 36, 40, 42, 44, 48 };

    return bits[((const ArmModel *)model->data)->physical_range];
}

/* CNTVCT_EL0, the same on all CPUs. */
static uint64_t counter_at(Machine *machine, int64_t virtual_ns)
{
    return (uint64_t)virtual_ns / (uint64_t)arm_cpu(machine->vcpus->pdata[0])->tick_ns;
}

static const TcgTarget tcg_target = {
    .vars = variables,
    .var_count = ARM_VAR_COUNT,
    .pinned_ints = pinned_ints,
    .pinned_vectors = pinned_vectors,
    .state_offset = offsetof(ArmCpu, tcg),
    .key_global_mask = 0xffff,
    .env_bias = -96,
    .insn_align = 4,
    .jump_shift = 2,
    .jump_classes = 4,
    .insn_count_var = ARM_VAR_INSTRUCTIONS,
    .mode = arm_mode,
    .translate = arm_a64_translate,
    .walk = arm_walk,
    .raise_fault = arm_raise_fault,
    .raise_bus_error = arm_raise_bus_error,
    .take_interrupt = arm_take_interrupt,
    .prepare_pc = arm_prepare_pc,
    .check_landing = arm_check_landing,
    .insn_done = arm_insn_done,
    .check_insn = arm_check_insn,
};

const Target arm_target = {
    .name = "aarch64",
    .summary = "Arm, 64 bit (A64, EL0 and EL1)",
    .default_machine = "virt",
    .default_cpu = "cortex-a57",
    .models_not_yet = arm_models_not_yet,
    .cpu_size = sizeof(ArmCpu),
    .properties = properties,
    .resolve = resolve,
    .physical_bits = physical_bits,
    .counter = COUNTER_ARM_VIRTUAL,
    .counter_at = counter_at,
    .registers = arm_registers,
    .register_fields = arm_register_fields,
    .gdb_architecture = "aarch64",
    .core_machine = EM_AARCH64,
    .core_notes = arm_core_notes,
    .watch_before = true,
    .state = arm_state,
    .state_loaded = arm_state_loaded,
    .tcg = &tcg_target,
    .capstone_arch = CS_ARCH_ARM64,
    .capstone_mode = CS_MODE_ARM,
    .realize = realize,
    .unrealize = unrealize,
    .reset = reset,
    .get_pc = get_pc,
    .set_pc = set_pc,
    .has_work = has_work,
    .translate_debug = arm_translate_debug,
    .debug_wants_changed = debug_wants_changed,
    .walk_page = arm_walk_page,
    .describe_mappings = arm_describe_mappings,
    .tables = arm_system_tables,
    .read_table = arm_read_table,
    .explain_interrupt = arm_explain_interrupt,
    .describe = describe,
};
TARGET(arm_target);
