/* SPDX-License-Identifier: MIT */
/* Control and debug registers, EFLAGS, the mode key (Intel SDM 3, chapters 2 and 17). */
#include "target/i386/control.h"

#include "accel/tcg/ir/flags.h"
#include "machine/debug.h"
#include "machine/event-names.h"
#include "target/i386/exception.h"
#include "target/i386/mmu.h"
#include "target/i386/svm.h"

/* EFLAGS live in three places: status flags, DF, and the others. */

uint64_t x86_get_eflags(const X86Cpu *cpu)
{
    return cpu->eflags | tcg_flags_to_eflags(cpu->flags) | (cpu->df < 0 ? EFLAGS_DF : 0) |
           EFLAGS_ONE;
}

/* What depends on flags that have changed. AC of supervisors is in the context's key, and not in the mode. */
static void follow_eflags(X86Cpu *cpu, uint64_t changed)
{
    const uint64_t of_mode = EFLAGS_IOPL | EFLAGS_TF | EFLAGS_RF;

    if ((changed & EFLAGS_VM) ||
        ((changed & EFLAGS_AC) && ((changed & of_mode) || cpu->cpl == 3))) {
        x86_update_context(cpu);
    } else if (changed & EFLAGS_AC) {
        x86_set_contexts(cpu);
    } else if (changed & of_mode) {
        x86_update_mode(cpu);
    }
}

void x86_set_eflags(X86Cpu *cpu, uint64_t value, uint64_t mask)
{
    const uint64_t apart = EFLAGS_STATUS | EFLAGS_DF;
    uint64_t old = cpu->eflags;

    if (mask & EFLAGS_STATUS) {
        uint32_t status = tcg_flags_to_eflags(cpu->flags);

        status = (uint32_t)((status & ~mask) | (value & mask));
        cpu->flags = tcg_flags_from_eflags(status);
    }
    if (mask & EFLAGS_DF) {
        cpu->df = value & EFLAGS_DF ? -1 : 1;
    }
    mask &= ~apart;
    cpu->eflags = (old & ~mask) | (value & mask) | EFLAGS_ONE;
    if (cpu->eflags != old) {
        follow_eflags(cpu, cpu->eflags ^ old);
        if (cpu->eflags & ~old & EFLAGS_IF) {
            x86_check_interrupts(cpu);
        }
    }
}

/* The mode key. */

static bool is_flat(const X86Segment *s)
{
    return s->base == 0 && s->fast_limit == 0xffffffff;
}

static uint64_t segment_mode(const X86Cpu *cpu)
{
    const X86Segment *seg = cpu->seg;
    uint64_t mode;

    if (x86_code64(cpu)) {
        return 3 | X86_MODE_STACK32 | X86_MODE_FLAT_CS | X86_MODE_FLAT_DATA | X86_MODE_FS_FLAT |
               X86_MODE_GS_FLAT;
    }
    mode = seg[X86_CS].flags & X86_SEG_B ? 2 : 1;
    mode |= seg[X86_SS].flags & X86_SEG_B ? X86_MODE_STACK32 : 0;
    mode |= is_flat(&seg[X86_CS]) ? X86_MODE_FLAT_CS : 0;
    mode |= is_flat(&seg[X86_DS]) && is_flat(&seg[X86_ES]) && is_flat(&seg[X86_SS])
                ? X86_MODE_FLAT_DATA
                : 0;
    mode |= seg[X86_FS].fast_limit == 0xffffffff ? X86_MODE_FS_FLAT : 0;
    mode |= seg[X86_GS].fast_limit == 0xffffffff ? X86_MODE_GS_FLAT : 0;
    return mode;
}

static uint64_t if_set(uint64_t bits, uint64_t mode)
{
    return bits ? mode : 0;
}

static uint64_t control_mode(const X86Cpu *cpu)
{
    const uint64_t avx = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    bool osxsave = cpu->cr4 & CR4_OSXSAVE;

    return if_set(cpu->cr0 & CR0_EM, X86_MODE_EM) | if_set(cpu->cr0 & CR0_TS, X86_MODE_TS) |
           if_set(cpu->cr0 & CR0_MP, X86_MODE_MP) | if_set(cpu->cr4 & CR4_OSFXSR, X86_MODE_OSFXSR) |
           if_set(osxsave, X86_MODE_OSXSAVE) |
           if_set(osxsave && (cpu->xcr0 & avx) == avx, X86_MODE_AVX) |
           if_set(cpu->cr4 & CR4_TSD, X86_MODE_TSD) | if_set(cpu->cr4 & CR4_UMIP, X86_MODE_UMIP) |
           if_set(cpu->cr4 & CR4_PCE, X86_MODE_PCE) |
           if_set(cpu->cr4 & CR4_FSGSBASE, X86_MODE_FSGSBASE) |
           if_set(cpu->cr4 & CR4_VME, X86_MODE_VME) | if_set(cpu->cr4 & CR4_PVI, X86_MODE_PVI) |
           if_set(cpu->smm, X86_MODE_SMM) |
           if_set((cpu->mxcsr & 0x1f80) != 0x1f80, X86_MODE_SSE_TRAPS) |
           if_set(cpu->mxcsr & MXCSR_MM, X86_MODE_MISALIGNED) |
           if_set((cpu->x87.control & 0x3f) != 0x3f, X86_MODE_X87_TRAPS);
}

enum { REAL, PROTECTED, V86, COMPATIBILITY, LONG };
static const char *const modes[] = { "real", "protected", "v86", "compatibility", "long" };

static const char *nth_mode(unsigned index)
{
    return index < ARRAY_SIZE(modes) ? modes[index] : NULL;
}

static const EventNames mode_names = { DEBUG_MODE, { "x86_64", "i386" }, nth_mode, 1 };
EVENT_NAMES(mode_names);

static const char *mode_name(uint64_t mode)
{
    return modes[mode & X86_MODE_VM86               ? V86
                 : !(mode & X86_MODE_PROTECTED)     ? REAL
                 : !(mode & X86_MODE_LONG)          ? PROTECTED
                 : (mode & X86_MODE_CODE_BITS) == 3 ? LONG
                                                    : COMPATIBILITY];
}

static void report_mode(X86Cpu *cpu, uint64_t old)
{
    const char *name = mode_name(cpu->mode);

    if (name != mode_name(old)) {
        debug_report(cpu->vcpu.machine, &cpu->vcpu,
                     &(DebugEvent){ .kind = DEBUG_MODE, .name = name });
    }
}

void x86_update_mode(X86Cpu *cpu)
{
    unsigned iopl = (unsigned)(cpu->eflags & EFLAGS_IOPL) >> EFLAGS_IOPL_SHIFT;
    uint64_t old = cpu->mode;
    uint64_t mode = segment_mode(cpu) | control_mode(cpu);

    mode |= (uint64_t)cpu->cpl << X86_MODE_CPL_SHIFT;
    mode |= if_set(x86_protected(cpu), X86_MODE_PROTECTED);
    mode |= if_set(cpu->eflags & EFLAGS_VM, X86_MODE_VM86);
    mode |= if_set(x86_long_mode(cpu), X86_MODE_LONG);
    mode |= if_set(cpu->cpl <= iopl, X86_MODE_IOPL);
    mode |= if_set(cpu->eflags & EFLAGS_TF, X86_MODE_TF);
    mode |= if_set(cpu->shadow, X86_MODE_SHADOW);
    mode |= if_set(cpu->debugctl & DEBUGCTL_LBR, X86_MODE_RECORDS);
    mode |= if_set(cpu->svm.guest, X86_MODE_SVM_GUEST);
    mode |=
        if_set((cpu->cr0 & CR0_AM) && (cpu->eflags & EFLAGS_AC) && cpu->cpl == 3, X86_MODE_ALIGN);
    if (cpu->shadow || (cpu->eflags & (EFLAGS_TF | EFLAGS_RF)) || cpu->pending_debug ||
        cpu->alone || (cpu->debugctl & DEBUGCTL_LBR)) {
        mode |= TCG_MODE_ONE;
    }
    if (x86_instruction_breaks(cpu) && !(cpu->eflags & EFLAGS_RF)) {
        mode |= TCG_MODE_CHECK;
    }
    cpu->mode = mode;
    if (debug_wants(cpu->vcpu.machine, DEBUG_MODE)) {
        report_mode(cpu, old);
    }
}

void x86_update_context(X86Cpu *cpu)
{
    x86_update_mode(cpu);
    x86_set_contexts(cpu);
}

/* Control registers. */

static const ExternalRegister *external(X86Cpu *cpu, uint32_t encoding, void **opaque)
{
    return machine_find_external_register(cpu->vcpu.machine, encoding, opaque);
}

uint64_t x86_get_cr(X86Cpu *cpu, unsigned n)
{
    const ExternalRegister *cr8;
    uint64_t value = 0;
    void *opaque;

    switch (n) {
    case 0:
        return cpu->cr0;
    case 2:
        return cpu->cr2;
    case 3:
        return cpu->cr3;
    case 4:
        return cpu->cr4;
    default:
        if (x86_svm_has_own_tpr(cpu)) {
            return x86_svm_tpr(cpu);
        }
        cr8 = external(cpu, X86_REGISTER_CR8, &opaque);
        if (cr8) {
            cr8->read(opaque, &cpu->vcpu, X86_REGISTER_CR8, &value);
        }
        return value;
    }
}

/* What may not be changed without the translations going. */
static const uint64_t cr0_flushes = CR0_PG | CR0_PE | CR0_WP;
static const uint64_t cr4_flushes =
    CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP | CR4_SMAP | CR4_LA57 | CR4_PCIDE | CR4_PKS;

/* EFER.LMA follows CR0.PG and EFER.LME. */
static void update_long_mode(X86Cpu *cpu)
{
    bool active = (cpu->efer & EFER_LME) && (cpu->cr0 & CR0_PG);

    cpu->efer = (cpu->efer & ~EFER_LMA) | (active ? EFER_LMA : 0);
}

/* Limits of real mode's segments are looked at otherwise than protected mode's. */
static void refresh_segments(X86Cpu *cpu)
{
    for (unsigned i = 0; i < X86_SEGMENTS; i++) {
        X86Segment s = cpu->seg[i];

        x86_set_segment(cpu, (X86SegmentName)i, s.selector, s.base, s.limit, s.flags);
    }
}

void x86_put_cr0(X86Cpu *cpu, uint64_t value)
{
    uint64_t changed = cpu->cr0 ^ value;

    cpu->cr0 = value | CR0_ET;
    update_long_mode(cpu);
    if (changed & CR0_PE) {
        cpu->cpl = value & CR0_PE ? cpu->cpl : 0;
        refresh_segments(cpu);
    }
    if (changed & cr0_flushes) {
        x86_flush_translations(cpu, true);
    }
    x86_update_context(cpu);
}

static void set_cr0(X86Cpu *cpu, uint64_t value)
{
    bool enable = (value & CR0_PG) && !(cpu->cr0 & CR0_PG);
    bool disable = !(value & CR0_PG) && (cpu->cr0 & CR0_PG);

    if (value >> 32 || ((value & CR0_PG) && !(value & CR0_PE)) ||
        ((value & CR0_NW) && !(value & CR0_CD))) {
        x86_fault(cpu, X86_GP, 0);
    }
    if (enable && (cpu->efer & EFER_LME)) {
        /* A task state of 16 bits has no place in long mode. */
        bool short_task = (cpu->tr.flags >> X86_SEG_TYPE_SHIFT & 13) == 1;

        if (!(cpu->cr4 & CR4_PAE) || (cpu->seg[X86_CS].flags & X86_SEG_L) || short_task) {
            x86_fault(cpu, X86_GP, 0);
        }
    } else if ((value & CR0_PG) && (cpu->cr4 & CR4_PAE) && !(cpu->efer & EFER_LME) &&
               ((value ^ cpu->cr0) & (CR0_PG | CR0_CD | CR0_NW)) &&
               !x86_load_pdptes(cpu, cpu->cr3)) {
        x86_fault(cpu, X86_GP, 0);
    }
    if (disable && (x86_code64(cpu) || (cpu->cr4 & CR4_PCIDE))) {
        x86_fault(cpu, X86_GP, 0);
    }
    x86_put_cr0(cpu, (value & UINT64_C(0xe005003f)) | CR0_ET);
}

void x86_put_cr3(X86Cpu *cpu, uint64_t value)
{
    bool keep = (cpu->cr4 & CR4_PCIDE) && value >> 63;

    cpu->cr3 = value & ~(UINT64_C(1) << 63);
    if (!keep) {
        x86_flush_translations(cpu, false);
    }
    x86_set_contexts(cpu);
}

static void set_cr3(X86Cpu *cpu, uint64_t value)
{
    uint64_t address = value & ~(cpu->cr4 & CR4_PCIDE ? UINT64_C(1) << 63 : 0);

    if (x86_long_mode(cpu)) {
        if (address & ~bits_mask(cpu->phys_bits)) {
            x86_fault(cpu, X86_GP, 0);
        }
    } else {
        value = (uint32_t)value;
        if ((cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_PAE) && !x86_load_pdptes(cpu, value)) {
            x86_fault(cpu, X86_GP, 0);
        }
    }
    x86_put_cr3(cpu, value);
}

uint64_t x86_cr4_mask(const X86Cpu *cpu)
{
    static const struct {
        uint64_t bit;
        X86Feature feature;
    } needs[] = {
        { CR4_VME | CR4_PVI, X86_FEATURE_VME },
        { CR4_TSD, X86_FEATURE_TSC },
        { CR4_DE, X86_FEATURE_DE },
        { CR4_PSE, X86_FEATURE_PSE },
        { CR4_PAE, X86_FEATURE_PAE },
        { CR4_MCE, X86_FEATURE_MCE },
        { CR4_PGE, X86_FEATURE_PGE },
        { CR4_OSFXSR, X86_FEATURE_FXSR },
        { CR4_OSXMMEXCPT, X86_FEATURE_SSE },
        { CR4_UMIP, X86_FEATURE_UMIP },
        { CR4_LA57, X86_FEATURE_LA57 },
        { CR4_FSGSBASE, X86_FEATURE_FSGSBASE },
        { CR4_PCIDE, X86_FEATURE_PCID },
        { CR4_OSXSAVE, X86_FEATURE_XSAVE },
        { CR4_SMEP, X86_FEATURE_SMEP },
        { CR4_SMAP, X86_FEATURE_SMAP },
        { CR4_PKE, X86_FEATURE_PKU },
        { CR4_PKS, X86_FEATURE_PKS },
    };
    uint64_t mask = CR4_PCE;

    for (unsigned i = 0; i < G_N_ELEMENTS(needs); i++) {
        mask |= x86_has(cpu, needs[i].feature) ? needs[i].bit : 0;
    }
    return mask;
}

void x86_put_cr4(X86Cpu *cpu, uint64_t value)
{
    uint64_t changed = cpu->cr4 ^ value;

    cpu->cr4 = value;
    if (changed & cr4_flushes) {
        x86_flush_translations(cpu, true);
    }
    x86_update_context(cpu);
}

static void set_cr4(X86Cpu *cpu, uint64_t value)
{
    bool long_mode = x86_long_mode(cpu);

    if ((value & ~x86_cr4_mask(cpu)) ||
        (long_mode && (!(value & CR4_PAE) || ((value ^ cpu->cr4) & CR4_LA57))) ||
        ((value & ~cpu->cr4 & CR4_PCIDE) && (!long_mode || (cpu->cr3 & 0xfff)))) {
        x86_fault(cpu, X86_GP, 0);
    }
    if ((cpu->cr0 & CR0_PG) && !long_mode && (value & CR4_PAE) &&
        ((value ^ cpu->cr4) & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) &&
        !x86_load_pdptes(cpu, cpu->cr3)) {
        x86_fault(cpu, X86_GP, 0);
    }
    x86_put_cr4(cpu, value);
}

static void set_cr8(X86Cpu *cpu, uint64_t value)
{
    const ExternalRegister *cr8;
    void *opaque;

    if (value >> 4) {
        x86_fault(cpu, X86_GP, 0);
    }
    if (x86_svm_has_own_tpr(cpu)) {
        x86_svm_set_tpr(cpu, value);
        x86_check_interrupts(cpu);
        return;
    }
    cr8 = external(cpu, X86_REGISTER_CR8, &opaque);
    if (cr8) {
        cr8->write(opaque, &cpu->vcpu, X86_REGISTER_CR8, value);
    }
    x86_check_interrupts(cpu);
}

void x86_set_cr(X86Cpu *cpu, unsigned n, uint64_t value)
{
    switch (n) {
    case 0:
        set_cr0(cpu, value);
        break;
    case 2:
        cpu->cr2 = value;
        break;
    case 3:
        set_cr3(cpu, value);
        break;
    case 4:
        set_cr4(cpu, value);
        break;
    default:
        set_cr8(cpu, value);
    }
}

/* Debug registers. */

bool x86_instruction_breaks(const X86Cpu *cpu)
{
    if (!(cpu->dr[7] & 0xff)) {
        return false;
    }
    for (unsigned i = 0; i < 4; i++) {
        if ((cpu->dr[7] >> (2 * i) & 3) && (cpu->dr[7] >> (16 + 4 * i) & 3) == 0) {
            return true;
        }
    }
    return false;
}

static bool watches_data(const X86Cpu *cpu)
{
    enum { EXECUTION = 0, PORTS = 2 };

    for (unsigned i = 0; i < 4; i++) {
        unsigned kind = cpu->dr[7] >> (16 + 4 * i) & 3;

        if ((cpu->dr[7] >> (2 * i) & 3) && kind != EXECUTION && kind != PORTS) {
            return true;
        }
    }
    return false;
}

void x86_set_dr(X86Cpu *cpu, unsigned n, uint64_t value)
{
    uint64_t before = cpu->dr[n];

    if (n >= 6) {
        if (value >> 32) {
            x86_fault(cpu, X86_GP, 0);
        }
        value = n == 6 ? (value & 0xe00f) | DR6_FIXED : (value & 0xffff2bff) | DR7_FIXED;
    }
    /* Addresses need not be canonical (SDM 3, 18.2.6). */
    cpu->dr[n] = value;
    if (n != 6 && value != before && watches_data(cpu)) {
        /* Watched pages must miss. */
        x86_flush_translations(cpu, true);
    }
    x86_update_mode(cpu);
}
