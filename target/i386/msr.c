/* SPDX-License-Identifier: MIT */
/*
 * Model-specific registers (Intel SDM 4; AMD APM 2, appendix A). Those of the local APIC belong to its device. Others
 * are a table: where they are stored, which bits may be set, on which feature they depend.
 */
#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "target/i386/mmu.h"
#include "target/i386/svm.h"
#include "base/log.h"

#define SYSCFG_MTRR_FIX_DRAM_MOD (UINT64_C(1) << 19)
#define HWCR_MC_STATUS_WRITABLE  (UINT64_C(1) << 18)
/* Fast strings, thermal control, SpeedStep, MONITOR, few CPUID leaves, no TPR messages, no NX: kept, without an effect. */
#define MISC_ENABLE_WRITABLE UINT64_C(0x400c50009)
/* Bits that no processor of Intel's has (SDM 4, tables of MSRs); those of some other model are ignored. */
#define MISC_ENABLE_RESERVED UINT64_C(0xffffff1bfe22c020)
/* Neither branch traces nor samples of events are stored. */
#define MISC_ENABLE_ABSENT UINT64_C(0x1800)
/* The time-stamp counter counts at the nominal frequency. */
#define HWCR_TSC_FREQUENCY (UINT64_C(1) << 24)
#define HWCR_SMM_LOCK      UINT64_C(1)
/* Caches, FERR#, MONITOR, SMM cycles, machine checks, I/O configuration, TSC, boost, counters: kept, without an effect but for the one above. */
#define HWCR_WRITABLE UINT64_C(0x6e366799)

typedef bool MsrWrite(X86Cpu *cpu, uint64_t value);
typedef uint64_t MsrRead(X86Cpu *cpu);
typedef bool MsrCheck(const X86Cpu *cpu, unsigned n,
                      uint64_t value); /* n: which of the consecutive ones */

typedef struct {
    uint32_t first, count; /* indices; consecutive ones are consecutive uint64_t */
    size_t offset;         /* in X86Cpu, 0: none */
    X86Feature feature;    /* needed, or X86_FEATURE_NONE */
    uint64_t reset;
    uint64_t writable; /* bits that may be set: others #GP, unless ignored */
    bool ignore;       /* other bits are ignored */
    MsrRead *read;
    MsrWrite *write;
    MsrCheck *check; /* false: #GP. NULL: any value */
} Msr;

static uint64_t read_tsc(X86Cpu *cpu)
{
    return x86_read_tsc(cpu);
}

uint64_t x86_tsc_at(const X86Cpu *cpu, int64_t virtual_ns)
{
    return cpu->tsc_hz == X86_TSC_HZ
               ? (uint64_t)virtual_ns
               : (uint64_t)((unsigned __int128)(uint64_t)virtual_ns * cpu->tsc_hz / X86_TSC_HZ);
}

uint64_t x86_read_tsc(X86Cpu *cpu)
{
    return x86_tsc_at(cpu, clock_now_ns(cpu->vcpu.machine)) + cpu->tsc_offset +
           (cpu->svm.guest ? cpu->svm.tsc_offset : 0);
}

int64_t x86_timestamp_to_clock(const Vcpu *vcpu, uint64_t timestamp)
{
    const X86Cpu *cpu = container_of(vcpu, X86Cpu, vcpu);
    int64_t now_ns = clock_now_ns(vcpu->machine);
    uint64_t now = x86_tsc_at(cpu, now_ns) + cpu->tsc_offset;
    unsigned __int128 ahead_ns;

    if (timestamp <= now) {
        return now_ns;
    }
    ahead_ns = ((unsigned __int128)(timestamp - now) * X86_TSC_HZ + cpu->tsc_hz - 1) / cpu->tsc_hz;
    return now_ns + (int64_t)MIN(ahead_ns, (unsigned __int128)(INT64_MAX - now_ns));
}

/* A local APIC's timer that waits for the counter waits for another time. */
static void retime_deadline(X86Cpu *cpu)
{
    const ExternalRegister *external;
    uint64_t deadline;
    void *apic;

    external = machine_find_external_register(cpu->vcpu.machine, X86_REGISTER_TSC_DEADLINE, &apic);
    if (external && external->read(apic, &cpu->vcpu, X86_REGISTER_TSC_DEADLINE, &deadline) &&
        deadline) {
        external->write(apic, &cpu->vcpu, X86_REGISTER_TSC_DEADLINE, deadline);
    }
}

static bool write_tsc(X86Cpu *cpu, uint64_t value)
{
    cpu->tsc_offset = value - x86_tsc_at(cpu, clock_now_ns(cpu->vcpu.machine));
    retime_deadline(cpu);
    return true;
}

static uint64_t read_tsc_adjust(X86Cpu *cpu)
{
    return cpu->tsc_adjust;
}

static bool write_tsc_adjust(X86Cpu *cpu, uint64_t value)
{
    cpu->tsc_offset += value - cpu->tsc_adjust;
    cpu->tsc_adjust = value;
    retime_deadline(cpu);
    return true;
}

uint64_t x86_efer_mask(const X86Cpu *cpu)
{
    uint64_t mask = 0;

    mask |= x86_has(cpu, X86_FEATURE_SYSCALL) ? EFER_SCE : 0;
    mask |= x86_has(cpu, X86_FEATURE_LM) ? EFER_LME | EFER_LMA : 0;
    mask |= x86_has(cpu, X86_FEATURE_NX) ? EFER_NXE : 0;
    mask |= x86_has(cpu, X86_FEATURE_FXSR_OPT) ? EFER_FFXSR : 0;
    mask |= x86_has(cpu, X86_FEATURE_SVM) ? EFER_SVME : 0;
    return mask;
}

static bool write_efer(X86Cpu *cpu, uint64_t value)
{
    bool disabled = (value & EFER_SVME) && (cpu->svm.vm_cr & VM_CR_SVMDIS);

    if (disabled || (value & ~x86_efer_mask(cpu)) ||
        ((cpu->cr0 & CR0_PG) && ((value ^ cpu->efer) & EFER_LME))) {
        return false;
    }
    if ((value ^ cpu->efer) & EFER_NXE) {
        x86_flush_translations(cpu, true);
    }
    cpu->efer = (value & ~EFER_LMA) | (cpu->efer & EFER_LMA);
    x86_update_context(cpu);
    return true;
}

/* Memory types, a bit each (SDM 3, tables 12-8 and 12-10): UC, WC, WT, WP and WB; the PAT has UC- as well. */
enum { MTRR_TYPES = 0x73, PAT_TYPES = 0xf3 };

static bool is_type(uint64_t value, unsigned types)
{
    return value < 8 && (types >> value & 1);
}

static bool are_types(uint64_t value, unsigned types)
{
    for (unsigned i = 0; i < 64; i += 8) {
        if (!is_type(value >> i & 255, types)) {
            return false;
        }
    }
    return true;
}

bool x86_is_pat(uint64_t value)
{
    return are_types(value, PAT_TYPES);
}

static bool check_pat(const X86Cpu *cpu, unsigned n, uint64_t value)
{
    return x86_is_pat(value);
}

/* AMD's have two bits beside each type that say whether DRAM answers, once SYSCFG lets them be set (APM 2, 7.9.1). */
static bool check_mtrr_fixed(const X86Cpu *cpu, unsigned n, uint64_t value)
{
    const uint64_t in_dram = UINT64_C(0x1818181818181818);
    bool has_dram_bits = x86_vendor_is_amd(cpu) && (cpu->syscfg & SYSCFG_MTRR_FIX_DRAM_MOD);

    return are_types(value & ~(has_dram_bits ? in_dram : 0), MTRR_TYPES);
}

/* Software that finds no leaf 0x80000008 takes addresses to have 36 bits. */
static bool check_mtrr_variable(const X86Cpu *cpu, unsigned n, uint64_t value)
{
    const uint64_t above = ~bits_mask(MAX(cpu->phys_bits, 36u));
    bool is_base = n % 2 == 0;

    return !(value & (above | (is_base ? 0xf00 : 0x7ff))) &&
           (!is_base || is_type(value & 255, MTRR_TYPES));
}

static bool check_mtrr_default(const X86Cpu *cpu, unsigned n, uint64_t value)
{
    return is_type(value & 255, MTRR_TYPES);
}

/* What a machine check has left can only be cleared (SDM 3, 16.3; AMD lets it be set by HWCR.McStatusWrEn, APM 2, 9.3.2). */
static bool check_mcg_status(const X86Cpu *cpu, unsigned n, uint64_t value)
{
    return value == 0 || x86_vendor_is_amd(cpu);
}

/* Intel's controls are all errors or none (SDM 3, 16.3.2.1). Addresses and details can be written, as in most virtual machines. */
static bool check_mc_bank(const X86Cpu *cpu, unsigned n, uint64_t value)
{
    enum { CONTROL, STATUS };

    switch (n % 4) {
    case CONTROL:
        return value == 0 || value == UINT64_MAX || x86_vendor_is_amd(cpu);
    case STATUS:
        return value == 0 || (x86_vendor_is_amd(cpu) && (cpu->hwcr & HWCR_MC_STATUS_WRITABLE));
    default:
        return true;
    }
}

/* Last branches and BTF; AMD's have the four pins of performance counters. */
static bool check_debugctl(const X86Cpu *cpu, unsigned n, uint64_t value)
{
    return !(value & ~UINT64_C(3)) || (x86_vendor_is_amd(cpu) && !(value & ~UINT64_C(0x3f)));
}

static bool check_misc_enable(const X86Cpu *cpu, unsigned n, uint64_t value)
{
    return !(value & MISC_ENABLE_RESERVED) || !x86_vendor_is_intel(cpu);
}

static uint64_t read_misc_enable(X86Cpu *cpu)
{
    return cpu->misc_enable | (x86_vendor_is_intel(cpu) ? MISC_ENABLE_ABSENT : 0);
}

static uint64_t read_hwcr(X86Cpu *cpu)
{
    return cpu->hwcr | HWCR_TSC_FREQUENCY;
}

/* The lock stays. */
static bool write_hwcr(X86Cpu *cpu, uint64_t value)
{
    cpu->hwcr = value | (cpu->hwcr & HWCR_SMM_LOCK);
    return true;
}

static bool write_debugctl(X86Cpu *cpu, uint64_t value)
{
    cpu->debugctl = value;
    x86_update_mode(cpu);
    return true;
}

/* TSC_AUX, SFMASK: the upper half is reserved; AMD ignores it. */
static bool check_upper_half(const X86Cpu *cpu, unsigned n, uint64_t value)
{
    return !(value >> 32) || x86_vendor_is_amd(cpu);
}

static bool write_tsc_aux(X86Cpu *cpu, uint64_t value)
{
    cpu->tsc_aux = (uint32_t)value;
    return true;
}

/* Addresses must be canonical. */
#define CANONICAL(field)                                                                           \
    static bool write_##field(X86Cpu *cpu, uint64_t value)                                         \
    {                                                                                              \
        if (!x86_is_canonical_base(cpu, value)) {                                                  \
            return false;                                                                          \
        }                                                                                          \
        cpu->field = value;                                                                        \
        return true;                                                                               \
    }
CANONICAL(lstar)
CANONICAL(cstar)
CANONICAL(sysenter_esp)
CANONICAL(sysenter_eip)
CANONICAL(kernel_gs_base)

static bool write_pkrs(X86Cpu *cpu, uint64_t value)
{
    if (cpu->pkrs != value) {
        cpu->pkrs = value;
        x86_flush_translations(cpu, true);
    }
    return true;
}

static bool set_base(X86Cpu *cpu, X86SegmentName name, uint64_t value)
{
    if (!x86_is_canonical_base(cpu, value)) {
        return false;
    }
    cpu->seg[name].base = value;
    x86_update_mode(cpu);
    return true;
}

static uint64_t read_fs_base(X86Cpu *cpu)
{
    return cpu->seg[X86_FS].base;
}

static bool write_fs_base(X86Cpu *cpu, uint64_t value)
{
    return set_base(cpu, X86_FS, value);
}

static uint64_t read_gs_base(X86Cpu *cpu)
{
    return cpu->seg[X86_GS].base;
}

static bool write_gs_base(X86Cpu *cpu, uint64_t value)
{
    return set_base(cpu, X86_GS, value);
}

static uint64_t read_mtrr_cap(X86Cpu *cpu)
{
    return G_N_ELEMENTS(cpu->mtrr_variable) / 2 | 1 << 8 |
           1 << 10; /* fixed ranges, write combining */
}

static uint64_t read_mcg_cap(X86Cpu *cpu)
{
    return 10 | 1 << 8; /* banks, MCG_CTL */
}

/* Nominal frequency ratio: what Linux multiplies with 100 MHz when CPUID does not say. */
static uint64_t read_platform_info(X86Cpu *cpu)
{
    return (uint64_t)(X86_TSC_HZ / 100000000) << 8;
}

/* Latched: no VMX. */
static uint64_t read_feature_control(X86Cpu *cpu)
{
    return 1;
}

static uint64_t read_zero(X86Cpu *cpu)
{
    return 0;
}

/* What is above the threads of a package is its cores. */
static uint64_t read_core_count(X86Cpu *cpu)
{
    const X86Topology *t = &cpu->topology;

    return t->threads_of_package | (uint64_t)(t->threads_of_package / t->threads_of_core) << 16;
}

/* A revision that guests take for recent. Intel's is in the upper half. */
static uint64_t read_microcode_revision(X86Cpu *cpu)
{
    return x86_vendor_is_amd(cpu) ? 0x01000065 : UINT64_C(1) << 32;
}

/* 1 GHz in some units of the bus, and the ratio to it at most. */
static uint64_t read_perf_status(X86Cpu *cpu)
{
    return 1000 | UINT64_C(4) << 40;
}

static bool write_nothing(X86Cpu *cpu, uint64_t value)
{
    return true;
}

/* Locked, LOCK and SVMDIS stay. What is for debuggers of hardware and for INIT does nothing. */
static bool write_vm_cr(X86Cpu *cpu, uint64_t value)
{
    const uint64_t kept = VM_CR_LOCK | VM_CR_SVMDIS;

    if (cpu->svm.vm_cr & VM_CR_LOCK) {
        value = (value & ~kept) | (cpu->svm.vm_cr & kept);
    }
    value &= VM_CR_DIS_A20M | kept;
    if ((value & VM_CR_SVMDIS) && (cpu->efer & EFER_SVME)) {
        return false;
    }
    cpu->svm.vm_cr = value;
    return true;
}

static bool write_vm_hsave(X86Cpu *cpu, uint64_t value)
{
    if (value & (0xfff | ~bits_mask(cpu->phys_bits))) {
        return false;
    }
    cpu->svm.hsave = value;
    return true;
}

#define AT(field) offsetof(X86Cpu, field)
#define ALL       UINT64_MAX
#define NONE      X86_FEATURE_NONE
/* In order of their indices, each once: they are searched by halves. */
/* clang-format off */
static const Msr msrs[] = {
    { 0x00000000, 2, 0, NONE, 0, ALL, false, read_zero, write_nothing }, /* machine-check address, type: P5 */
    { 0x00000010, 1, 0, X86_FEATURE_TSC, 0, ALL, false, read_tsc, write_tsc },
    { 0x00000017, 1, 0, NONE, 0, 0, false, read_zero, NULL },            /* platform id */
    { 0x0000002a, 1, 0, NONE, 0, 0, true, read_zero, write_nothing },    /* EBL_CR_POWERON */
    { 0x00000034, 1, 0, NONE, 0, 0, false, read_zero, NULL },            /* SMI count */
    { 0x00000035, 1, 0, NONE, 0, 0, false, read_core_count, NULL },
    { 0x0000003a, 1, 0, NONE, 0, 0, false, read_feature_control, NULL },
    { 0x0000003b, 1, 0, X86_FEATURE_TSC_ADJUST, 0, ALL, false, read_tsc_adjust, write_tsc_adjust },
    { 0x00000048, 1, AT(spec_ctrl), X86_FEATURE_SPEC_CTRL, 0, 7, false, NULL, NULL },
    { 0x00000049, 1, 0, NONE, 0, 1, false, NULL, write_nothing },        /* PRED_CMD */
    { 0x00000079, 1, 0, NONE, 0, ALL, false, NULL, write_nothing },      /* microcode update */
    { 0x0000008b, 1, 0, NONE, 0, 0, true, read_microcode_revision, write_nothing },
    { 0x000000ce, 1, 0, NONE, 0, 0, false, read_platform_info, NULL },
    { 0x000000e7, 2, 0, NONE, 0, ALL, false, read_zero, write_nothing }, /* MPERF, APERF */
    { 0x000000fe, 1, 0, X86_FEATURE_MTRR, 0, 0, false, read_mtrr_cap, NULL },
    { 0x00000174, 1, AT(sysenter_cs), X86_FEATURE_SEP, 0, 0xffff, true, NULL, NULL },
    { 0x00000175, 1, AT(sysenter_esp), X86_FEATURE_SEP, 0, ALL, false, NULL, write_sysenter_esp },
    { 0x00000176, 1, AT(sysenter_eip), X86_FEATURE_SEP, 0, ALL, false, NULL, write_sysenter_eip },
    { 0x00000179, 1, 0, X86_FEATURE_MCA, 0, 0, false, read_mcg_cap, NULL },
    { 0x0000017a, 1, AT(mcg_status), X86_FEATURE_MCA, 0, ALL, false, NULL, NULL, check_mcg_status },
    { 0x0000017b, 1, AT(mcg_control), X86_FEATURE_MCA, ALL, ALL, false, NULL, NULL },
    { 0x00000186, 2, 0, NONE, 0, ALL, true, read_zero, write_nothing },  /* PERFEVTSEL */
    { 0x00000198, 1, 0, NONE, 0, 0, false, read_perf_status, NULL },
    { 0x00000199, 1, 0, NONE, 0, ALL, true, read_zero, write_nothing },  /* PERF_CTL */
    { 0x0000019a, 1, 0, NONE, 0, ALL, true, read_zero, write_nothing },  /* CLOCK_MODULATION */
    { 0x0000019b, 2, 0, NONE, 0, ALL, true, read_zero, write_nothing },  /* thermal */
    { 0x000001a0, 1, AT(misc_enable), NONE, 1, MISC_ENABLE_WRITABLE, true, read_misc_enable, NULL, check_misc_enable },
    { 0x000001d9, 1, AT(debugctl), NONE, 0, 3, true, NULL, write_debugctl, check_debugctl },
    { 0x000001db, 4, AT(last_branch[0]), NONE, 0, ALL, false, NULL, write_nothing },
    { 0x00000200, 16, AT(mtrr_variable), X86_FEATURE_MTRR, 0, ALL, false, NULL, NULL, check_mtrr_variable },
    { 0x00000250, 1, AT(mtrr_fixed[0]), X86_FEATURE_MTRR, 0, ALL, false, NULL, NULL, check_mtrr_fixed },
    { 0x00000258, 2, AT(mtrr_fixed[1]), X86_FEATURE_MTRR, 0, ALL, false, NULL, NULL, check_mtrr_fixed },
    { 0x00000268, 8, AT(mtrr_fixed[3]), X86_FEATURE_MTRR, 0, ALL, false, NULL, NULL, check_mtrr_fixed },
    { 0x00000277, 1, AT(pat), X86_FEATURE_PAT, UINT64_C(0x0007040600070406), ALL, false, NULL, NULL, check_pat },
    { 0x000002ff, 1, AT(mtrr_default), X86_FEATURE_MTRR, 0, 0xcff, false, NULL, NULL, check_mtrr_default },
    { 0x00000400, 40, AT(mc_banks), X86_FEATURE_MCA, 0, ALL, false, NULL, NULL, check_mc_bank },
    { 0x000006e1, 1, AT(pkrs), X86_FEATURE_PKS, 0, 0xffffffff, false, NULL, write_pkrs },
    { 0x00000da0, 1, AT(xss), X86_FEATURE_XSAVES, 0, 0, false, NULL, NULL },
    { 0xc0000080, 1, AT(efer), NONE, 0, ALL, false, NULL, write_efer },
    { 0xc0000081, 1, AT(star), X86_FEATURE_SYSCALL, 0, ALL, false, NULL, NULL },
    { 0xc0000082, 1, AT(lstar), X86_FEATURE_LM, 0, ALL, false, NULL, write_lstar },
    { 0xc0000083, 1, AT(cstar), X86_FEATURE_LM, 0, ALL, false, NULL, write_cstar },
    { 0xc0000084, 1, AT(sfmask), X86_FEATURE_SYSCALL, 0, 0xffffffff, true, NULL, NULL, check_upper_half },
    { 0xc0000100, 1, 0, X86_FEATURE_LM, 0, ALL, false, read_fs_base, write_fs_base },
    { 0xc0000101, 1, 0, X86_FEATURE_LM, 0, ALL, false, read_gs_base, write_gs_base },
    { 0xc0000102, 1, AT(kernel_gs_base), X86_FEATURE_LM, 0, ALL, false, NULL, write_kernel_gs_base },
    { 0xc0000103, 1, AT(tsc_aux), X86_FEATURE_RDTSCP, 0, ALL, false, NULL, write_tsc_aux, check_upper_half },
    { 0xc0010000, 8, 0, NONE, 0, ALL, true, read_zero, write_nothing },  /* PERFEVTSEL, PERFCTR (K7) */
    { 0xc0010010, 1, AT(syscfg), NONE, 0, ALL, true, NULL, NULL },
    { 0xc0010015, 1, AT(hwcr), NONE, 0, HWCR_WRITABLE, true, read_hwcr, write_hwcr },
    { 0xc001001a, 1, 0, NONE, 0, ALL, true, read_zero, write_nothing },  /* TOP_MEM */
    { 0xc001001d, 1, 0, NONE, 0, ALL, true, read_zero, write_nothing },  /* TOP_MEM2 */
    { 0xc001001f, 1, 0, NONE, 0, ALL, true, read_zero, write_nothing },  /* NB_CFG */
    { 0xc0010055, 1, 0, NONE, 0, ALL, true, read_zero, write_nothing },  /* interrupt pending message */
    { 0xc0010112, 2, 0, NONE, 0, ALL, true, read_zero, write_nothing },  /* SMM address, mask */
    { 0xc0010114, 1, AT(svm.vm_cr), X86_FEATURE_SVM, 0, 0x1f, false, NULL, write_vm_cr },
    { 0xc0010117, 1, AT(svm.hsave), X86_FEATURE_SVM, 0, ALL, false, NULL, write_vm_hsave },
    { 0xc0010140, 2, 0, X86_FEATURE_OSVW, 0, ALL, true, read_zero, write_nothing },
    { 0xc0011020, 16, 0, NONE, 0, ALL, true, read_zero, write_nothing }, /* LS_CFG, IC_CFG, DE_CFG … */
};
/* clang-format on */

/* Those of AMD's range that no feature stands for. */
static bool is_of_another_maker(const X86Cpu *cpu, const Msr *m)
{
    return m->first >= 0xc0010000 && m->feature == NONE && !x86_vendor_is_amd(cpu);
}

/* The last that begins at or before the index; the first, where none does. */
static const Msr *last_before(uint32_t index)
{
    unsigned first = 0, count = G_N_ELEMENTS(msrs);

    while (count > 1) {
        unsigned half = count / 2;

        first += msrs[first + half].first <= index ? half : 0;
        count -= half;
    }
    return &msrs[first];
}

static const Msr *find(const X86Cpu *cpu, uint32_t index)
{
    const Msr *m = last_before(index);

    return index - m->first < m->count && (m->feature == NONE || x86_has(cpu, m->feature)) &&
                   !is_of_another_maker(cpu, m)
               ? m
               : NULL;
}

static uint64_t *place(X86Cpu *cpu, const Msr *m, uint32_t index)
{
    return (uint64_t *)(void *)((char *)cpu + m->offset) + (index - m->first);
}

/* The local APIC's. CR8 is among its registers, under a number that is no MSR's. */
static const ExternalRegister *find_external(const X86Cpu *cpu, uint32_t index, void **opaque)
{
    return index == X86_REGISTER_CR8
               ? NULL
               : machine_find_external_register(cpu->vcpu.machine, index, opaque);
}

/* What the local APIC cannot know of its processor. */
static bool check_apic_base(const X86Cpu *cpu, uint64_t value)
{
    enum { X2APIC = 1 << 10 };

    return !(value & ~bits_mask(MAX(cpu->phys_bits, 36u))) &&
           (!(value & X2APIC) || x86_has(cpu, X86_FEATURE_X2APIC));
}

bool x86_read_msr(X86Cpu *cpu, uint32_t index, uint64_t *value)
{
    const Msr *m = find(cpu, index);
    const ExternalRegister *external;
    void *opaque;

    if (m) {
        *value = m->read ? m->read(cpu) : m->offset ? *place(cpu, m, index) : 0;
        return m->read || m->offset;
    }
    external = find_external(cpu, index, &opaque);
    if (external && external->read) {
        return external->read(opaque, &cpu->vcpu, index, value);
    }
    if (log_enabled(LOG_GUEST_ERRORS)) {
        log_printf("cpu%u: RDMSR of %#x, which does not exist\n", cpu->vcpu.index, index);
    }
    return false;
}

bool x86_write_msr(X86Cpu *cpu, uint32_t index, uint64_t value)
{
    const Msr *m = find(cpu, index);
    const ExternalRegister *external;
    void *opaque;

    if (m) {
        if (m->check && !m->check(cpu, index - m->first, value)) {
            return false;
        }
        if (value & ~m->writable) {
            if (!m->ignore) {
                return false;
            }
            value &= m->writable;
        }
        if (m->write) {
            return m->write(cpu, value);
        }
        if (m->offset) {
            *place(cpu, m, index) = value;
            return true;
        }
        return false;
    }
    external = find_external(cpu, index, &opaque);
    if (index == X86_REGISTER_APIC_BASE && !check_apic_base(cpu, value)) {
        return false;
    }
    if (external && external->write) {
        return external->write(opaque, &cpu->vcpu, index, value);
    }
    if (log_enabled(LOG_GUEST_ERRORS)) {
        log_printf("cpu%u: WRMSR of %#x, which does not exist\n", cpu->vcpu.index, index);
    }
    return false;
}

void x86_msrs_reset(X86Cpu *cpu)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(msrs); i++) {
        g_assert(i == 0 || msrs[i - 1].first + msrs[i - 1].count <= msrs[i].first);
        for (uint32_t n = 0; msrs[i].offset && n < msrs[i].count; n++) {
            *place(cpu, &msrs[i], msrs[i].first + n) = msrs[i].reset;
        }
    }
}
