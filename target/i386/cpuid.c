/* SPDX-License-Identifier: MIT */
/* CPUID (Intel SDM 2, CPUID; AMD APM 3, appendix E). Caches are in caches.c. */
#include "machine/accelerator.h"
#include "machine/arch/x86.h"
#include "target/i386/control.h"
#include "target/i386/models.h"
#include "target/i386/xsave.h"

enum {
    HYPERVISOR_FIRST = 0x40000000,
    HYPERVISOR_SECOND = 0x40000100,
    HYPERVISOR_LAST = 0x400001ff,
    APIC = 1 << 9,          /* leaves 1 and 80000001, EDX */
    HTT = 1 << 28,          /* leaf 1, EDX: more than one thread in a package */
    CMP_LEGACY = 1 << 1,    /* leaf 80000001, ECX: those are cores */
    OSXSAVE = 1 << 27,      /* leaf 1, ECX */
    OSPKE = 1 << 4,         /* leaf 7, ECX */
    CLFLUSH_LINE = 8 << 8,  /* leaf 1, EBX: in 8 bytes */
    SYSCALL = 1 << 11,      /* leaf 80000001, EDX */
    CLOCK_OF_OLD = 1 << 0,  /* leaf 40000001, EAX: kvmclock by its first MSRs */
    LEVEL_THREADS = 1 << 8, /* leaf B, ECX */
    LEVEL_CORES = 2 << 8,
    LEVEL_MODULES = 3 << 8,
    LEVEL_DIES = 5 << 8,
};

static bool has_long_mode(const X86Cpu *cpu)
{
    return x86_has(cpu, X86_FEATURE_LM);
}

bool x86_vendor_is_amd(const X86Cpu *cpu)
{
    return strcmp(cpu->vendor, X86_VENDOR_AMD) == 0 || strcmp(cpu->vendor, X86_VENDOR_HYGON) == 0;
}

bool x86_vendor_is_intel(const X86Cpu *cpu)
{
    return strcmp(cpu->vendor, X86_VENDOR_INTEL) == 0;
}

static uint32_t family_word(const X86Cpu *cpu)
{
    uint32_t family = cpu->family, model = cpu->model_number;
    uint32_t word = cpu->stepping | (model & 15) << 4 | (model >> 4) << 16;

    return word | (family > 15 ? 0xf00 | (family - 15) << 20 : family << 8);
}

static void brand_string(const X86Cpu *cpu, uint32_t leaf, uint32_t out[4])
{
    char text[48] = { 0 };

    memcpy(text, cpu->model_id, MIN(strlen(cpu->model_id), sizeof text));
    memcpy(out, text + 16 * (leaf - 0x80000002), 16);
}

static void vendor(const X86Cpu *cpu, uint32_t out[4])
{
    char text[12] = { 0 };

    memcpy(text, cpu->vendor, MIN(strlen(cpu->vendor), sizeof text));
    memcpy(&out[1], text, 4);
    memcpy(&out[3], text + 4, 4);
    memcpy(&out[2], text + 8, 4);
}

static void leaf_1(const X86Cpu *cpu, uint32_t out[4])
{
    const X86Topology *t = &cpu->topology;
    unsigned threads;

    out[0] = family_word(cpu);
    out[1] = t->apic_id << 24 | CLFLUSH_LINE;
    out[2] = cpu->features[X86_WORD_1_ECX] | (cpu->cr4 & CR4_OSXSAVE ? OSXSAVE : 0);
    out[3] = cpu->features[X86_WORD_1_EDX];
    if (t->threads_of_package > 1) {
        /* AMD counts them; to others this is how many APIC ids are set aside. */
        threads = x86_vendor_is_amd(cpu) ? t->threads_of_package : 1u << t->package_shift;
        out[1] |= MIN(threads, 255u) << 16;
        out[3] |= HTT;
    }
}

/* Leaves B and 1F. Each level tells how far an APIC id is shifted for the next one, and of how many CPUs. */
static void put_topology(unsigned type, uint8_t shift, unsigned threads, uint32_t out[4])
{
    out[0] = shift;
    out[1] = threads;
    out[2] |= type;
}

/* Leaf B: to it, all that is in a package is cores. */
static void leaf_b(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    const X86Topology *t = &cpu->topology;

    out[2] = subleaf & 0xff;
    out[3] = t->apic_id;
    if (subleaf == 0) {
        put_topology(LEVEL_THREADS, t->core_shift, t->threads_of_core, out);
    } else if (subleaf == 1) {
        put_topology(LEVEL_CORES, t->package_shift, t->threads_of_package, out);
    }
}

/* Leaf 1F: modules and dies, where a package has several. */
static void leaf_1f(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    const X86Topology *t = &cpu->topology;
    const struct {
        unsigned type;
        uint8_t shift;
        unsigned threads;
        bool there;
    } levels[] = {
        { LEVEL_THREADS, t->core_shift, t->threads_of_core, true },
        { LEVEL_CORES, t->module_shift, t->threads_of_module, true },
        { LEVEL_MODULES, t->die_shift, t->threads_of_die,
          t->threads_of_die > t->threads_of_module },
        { LEVEL_DIES, t->package_shift, t->threads_of_package,
          t->threads_of_package > t->threads_of_die },
    };
    unsigned n = 0;

    out[2] = subleaf & 0xff;
    out[3] = t->apic_id;
    for (unsigned i = 0; i < G_N_ELEMENTS(levels); i++) {
        if (levels[i].there && n++ == subleaf) {
            put_topology(levels[i].type, levels[i].shift, levels[i].threads, out);
        }
    }
}

static bool ask_host(const X86Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    Machine *machine = cpu->vcpu.machine;

    return cpu->on_host && machine->accelerator->cpuid(machine, leaf, subleaf, out);
}

/* Components of XSAVE that there are. */
static uint64_t state_components(const X86Cpu *cpu)
{
    uint64_t all = x86_xcr0_mask(cpu);
    uint32_t out[4];

    return ask_host(cpu, 0xd, 0, out) ? all & out[0] : all;
}

/* Bytes of an area in the standard form; a host's components are where its processor has them. */
static uint32_t area_bytes(const X86Cpu *cpu, uint64_t components)
{
    uint32_t end = x86_xsave_bytes(components, false), out[4];

    for (uint32_t i = 2; i < 32; i++) {
        if (components >> i & 1 && ask_host(cpu, 0xd, i, out)) {
            end = MAX(end, out[1] + out[0]);
        }
    }
    return end;
}

static void leaf_d(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    uint64_t all = state_components(cpu);

    if (!x86_has(cpu, X86_FEATURE_XSAVE)) {
        return;
    }
    if (subleaf == 0) {
        out[0] = (uint32_t)all;
        out[1] = area_bytes(cpu, cpu->xcr0);
        out[2] = area_bytes(cpu, all);
        out[3] = (uint32_t)(all >> 32);
    } else if (subleaf == 1) {
        out[0] = cpu->features[X86_WORD_D_1_EAX];
        out[1] = x86_xsave_bytes(cpu->xcr0 | cpu->xss, true);
    } else if (cpu->on_host && subleaf < 32 && (all >> subleaf & 1)) {
        ask_host(cpu, 0xd, subleaf, out);
    } else if (subleaf < X86_STATE_COMPONENTS && (all >> subleaf & 1)) {
        out[0] = x86_state_components[subleaf].bytes;
        out[1] = x86_state_components[subleaf].offset;
        out[2] = x86_state_components[subleaf].aligned ? 2 : 0;
    }
}

static void leaf_7(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    if (subleaf == 0) {
        out[0] = cpu->features[X86_WORD_7_1_EAX] != 0; /* the highest subleaf */
        out[1] = cpu->features[X86_WORD_7_0_EBX];
        out[2] = cpu->features[X86_WORD_7_0_ECX] | (cpu->cr4 & CR4_PKE ? OSPKE : 0);
        out[3] = cpu->features[X86_WORD_7_0_EDX];
    } else if (subleaf == 1) {
        out[0] = cpu->features[X86_WORD_7_1_EAX];
    }
}

static void basic_leaf(const X86Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    switch (leaf) {
    case 0:
        out[0] = cpu->level;
        vendor(cpu, out);
        break;
    case 1:
        leaf_1(cpu, out);
        break;
    case 2:
    case 4:
        x86_cpuid_caches(cpu, leaf, subleaf, out);
        break;
    case 5:
        out[2] = 3; /* MWAIT tells of interrupts, and can break on masked ones */
        if (cpu->on_host && x86_has(cpu, X86_FEATURE_MONITOR)) {
            cpu->vcpu.machine->accelerator->cpuid(cpu->vcpu.machine, leaf, 0, out);
        }
        break;
    case 6:
        out[0] = cpu->features[X86_WORD_6_EAX];
        break;
    case 7:
        leaf_7(cpu, subleaf, out);
        break;
    case 0xb:
        if (cpu->cpuid_0xb) {
            leaf_b(cpu, subleaf, out);
        }
        break;
    case 0xd:
        leaf_d(cpu, subleaf, out);
        break;
    case 0x1f:
        if (cpu->cpuid_1f) {
            leaf_1f(cpu, subleaf, out);
        }
        break;
    }
}

static void leaf_80000001(const X86Cpu *cpu, uint32_t out[4])
{
    out[0] = family_word(cpu);
    out[2] = cpu->features[X86_WORD_8000_0001_ECX];
    out[3] = cpu->features[X86_WORD_8000_0001_EDX];
    if (x86_vendor_is_amd(cpu)) {
        out[3] |= cpu->features[X86_WORD_1_EDX] & X86_REPEATED_OF_LEAF_1;
    }
    if (x86_vendor_is_intel(cpu) && !x86_long_mode(cpu)) {
        out[3] &= ~(uint32_t)SYSCALL; /* there in 64-bit mode only */
    }
    if (cpu->topology.threads_of_package > 1 && !x86_vendor_is_intel(cpu) &&
        strcmp(cpu->vendor, X86_VENDOR_CENTAUR) != 0) {
        out[2] |= CMP_LEGACY;
    }
}

static void leaf_80000008(const X86Cpu *cpu, uint32_t out[4])
{
    const X86Topology *t = &cpu->topology;

    out[0] = cpu->phys_bits | (has_long_mode(cpu) ? (uint32_t)cpu->virt_bits << 8 : 0) |
             (uint32_t)cpu->x86_model->guest_phys_bits << 16;
    out[1] = cpu->features[X86_WORD_8000_0008_EBX];
    if (t->threads_of_package > 1 && x86_vendor_is_amd(cpu)) {
        out[2] = (uint32_t)t->package_shift << 12 | (t->threads_of_package - 1);
    }
}

static void leaf_8000001e(const X86Cpu *cpu, uint32_t out[4])
{
    const X86Topology *t = &cpu->topology;

    if (t->core <= 255) {
        out[0] = t->apic_id;
        out[1] = (t->threads_of_core - 1) << 8 | t->core;
        out[2] = t->package & 255;
    }
}

static void extended_leaf(const X86Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    switch (leaf) {
    case 0x80000000:
        out[0] = cpu->xlevel;
        if (x86_vendor_is_amd(cpu)) {
            vendor(cpu, out);
        }
        break;
    case 0x80000001:
        leaf_80000001(cpu, out);
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        brand_string(cpu, leaf, out);
        break;
    case 0x80000005:
    case 0x80000006:
    case 0x8000001d:
        x86_cpuid_caches(cpu, leaf, subleaf, out);
        break;
    case 0x80000007:
        out[3] = cpu->features[X86_WORD_8000_0007_EDX];
        break;
    case 0x80000008:
        leaf_80000008(cpu, out);
        break;
    case 0x8000000a:
        if (x86_has(cpu, X86_FEATURE_SVM)) {
            out[0] = 1;    /* revision */
            out[1] = 0x10; /* address space identifiers */
            out[3] = cpu->features[X86_WORD_8000_000A_EDX];
        }
        break;
    case 0x8000001e:
        leaf_8000001e(cpu, out);
        break;
    case 0x80000021:
        out[0] = cpu->features[X86_WORD_8000_0021_EAX];
        break;
    }
}

/* The signatures by which guests know who runs them: KVM, or a hypervisor that translates. base: where its leaves begin. */
static void own_hypervisor_leaf(const X86Cpu *cpu, uint32_t base, uint32_t leaf, uint32_t out[4])
{
    if (!(cpu->on_host ? cpu->shows_kvm : cpu->tcg_cpuid)) {
        return;
    }
    if (leaf == base) {
        out[0] = base + 1;
        memcpy(&out[1], cpu->on_host ? "KVMKVMKVM\0\0\0" : "TCGTCGTCGTCG", 12);
    } else if (leaf == base + 1) {
        out[0] = cpu->features[X86_WORD_4000_0001_EAX];
        out[0] |= x86_has(cpu, X86_FEATURE_KVMCLOCK) ? CLOCK_OF_OLD : 0;
        out[3] = cpu->features[X86_WORD_4000_0001_EDX];
    }
}

/* Hyper-V's, which guests look for in one place only, come before. */
static void hypervisor_leaf(const X86Cpu *cpu, uint32_t leaf, uint32_t out[4])
{
    bool hyperv = x86_hyperv_active(cpu);

    if (hyperv && leaf < HYPERVISOR_SECOND) {
        x86_hyperv_cpuid(cpu, leaf, out);
    } else {
        own_hypervisor_leaf(cpu, hyperv ? HYPERVISOR_SECOND : HYPERVISOR_FIRST, leaf, out);
    }
}

/* A local APIC that is off by its base register is not there (SDM 3, 11.4.3; APM 2, 16.3.1). */
static bool apic_is_off(X86Cpu *cpu)
{
    enum { ENABLE = 1 << 11 };
    void *opaque;
    const ExternalRegister *base =
        machine_find_external_register(cpu->vcpu.machine, X86_REGISTER_APIC_BASE, &opaque);
    uint64_t value;

    return base && base->read(opaque, &cpu->vcpu, base->encoding, &value) && !(value & ENABLE);
}

void x86_cpuid(X86Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    memset(out, 0, 16);
    if (leaf >= HYPERVISOR_FIRST && leaf <= HYPERVISOR_LAST) {
        hypervisor_leaf(cpu, leaf, out);
    } else if (leaf >= 0x80000000 && leaf <= cpu->xlevel) {
        extended_leaf(cpu, leaf, subleaf, out);
    } else {
        /* Leaves that are not there are the highest basic one (SDM 2, CPUID, "INPUT EAX"). */
        leaf = MIN(leaf, cpu->level);
        basic_leaf(cpu, leaf, subleaf, out);
    }
    if ((leaf == 1 || leaf == 0x80000001) && apic_is_off(cpu)) {
        out[3] &= ~(uint32_t)APIC;
    }
}
