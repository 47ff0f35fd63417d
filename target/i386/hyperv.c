/* SPDX-License-Identifier: MIT */
/*
 * Hyper-V's interfaces to its guests (Microsoft's Hypervisor Top-Level Functional Specification, 2 and appendix), which the
 * accelerator's kernel has: what of them CPUID says.
 */
#include "base/error.h"
#include "machine/accelerator.h"
#include "target/i386/models.h"

enum {
    SIGNATURE = 0x40000000,
    INTERFACE = 0x40000001,
    VERSION = 0x40000002,
    FEATURES = 0x40000003,
    HINTS = 0x40000004,
    LIMITS = 0x40000005,

    RIGHT_HYPERCALLS = 1 << 5,
    FEATURE_PARTITIONING = 1 << 3, /* processors may come */
    /* No core is shared by processors that the topology does not show as its threads. */
    HINT_NO_CORESHARING = 1 << 18,
    HINT_WIDE_SETS = 1 << 11, /* more than 64 processors in a call's set */

    VENDOR_LENGTH = 12,
    PROCESSORS_LEAST = 64,
};

/* hv_numbers. */
enum { SPINLOCKS, BUILD, MAJOR, MINOR, SERVICE_PACK, SERVICE_BRANCH, SERVICE_NUMBER };

#define FEATURE(identifier) X86_FEATURE_HV_##identifier

typedef struct {
    uint16_t feature;
    uint32_t rights;   /* leaf 40000003, EAX */
    uint32_t features; /* leaf 40000003, EDX */
    uint32_t hints;    /* leaf 40000004, EAX */
    uint16_t needs[2]; /* 0: none */
} Interface;

static const Interface interfaces[] = {
    { FEATURE(RELAXED), .hints = 1 << 5 },
    { FEATURE(VAPIC), .rights = 1 << 4, .hints = 1 << 3 },
    { FEATURE(TIME), .rights = 1 << 1 | 1 << 9 },
    { FEATURE(CRASH), .features = 1 << 10 },
    { FEATURE(RESET), .rights = 1 << 7 },
    { FEATURE(VPINDEX), .rights = 1 << 6 },
    { FEATURE(RUNTIME), .rights = 1 << 0 },
    { FEATURE(SYNIC), .rights = 1 << 2, .needs = { FEATURE(VPINDEX) } },
    { FEATURE(STIMER), .rights = 1 << 3, .needs = { FEATURE(SYNIC), FEATURE(TIME) } },
    { FEATURE(STIMER_DIRECT), .features = 1 << 19, .needs = { FEATURE(STIMER) } },
    { FEATURE(FREQUENCIES), .rights = 1 << 11, .features = 1 << 8 },
    { FEATURE(REENLIGHTENMENT), .rights = 1 << 13 },
    { FEATURE(TLBFLUSH), .hints = 1 << 2 | HINT_WIDE_SETS, .needs = { FEATURE(VPINDEX) } },
    { FEATURE(TLBFLUSH_EXT), .features = 1 << 14, .needs = { FEATURE(TLBFLUSH) } },
    { FEATURE(IPI), .hints = 1 << 10 | HINT_WIDE_SETS, .needs = { FEATURE(VPINDEX) } },
    { FEATURE(XMM_INPUT), .features = 1 << 4 },
    { FEATURE(AVIC), .hints = 1 << 9 },
    { FEATURE(APICV), .hints = 1 << 9 },
};

static uint32_t bit_of(unsigned feature)
{
    return 1u << feature % 32;
}

static bool asks_host(Machine *machine, uint32_t leaf, uint32_t out[4])
{
    const Accelerator *accelerator = machine ? machine->accelerator : NULL;

    return accelerator && accelerator->hyperv && accelerator->hyperv(machine, leaf, out);
}

uint32_t x86_hyperv_supported(Machine *machine)
{
    uint32_t features[4], hints[4], word = 0;

    if (!asks_host(machine, FEATURES, features) || !asks_host(machine, HINTS, hints)) {
        return 0;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(interfaces); i++) {
        const Interface *f = &interfaces[i];

        if (!(f->rights & ~features[0]) && !(f->features & ~features[3]) &&
            !(f->hints & ~hints[0])) {
            word |= bit_of(f->feature);
        }
    }
    return word | bit_of(FEATURE(PASSTHROUGH));
}

bool x86_hyperv_wants_spinlocks(const X86Cpu *cpu)
{
    return cpu->hv_numbers[SPINLOCKS] != X86_UNSET;
}

bool x86_hyperv_active(const X86Cpu *cpu)
{
    return cpu->features[X86_WORD_HYPERV] || (cpu->has_hyperv && x86_hyperv_wants_spinlocks(cpu));
}

/* wanted is what was asked for: what of that the host lacks takes with it what needs it. */
bool x86_hyperv_select(X86Cpu *cpu, const uint32_t *wanted, uint32_t supported, GError **error)
{
    uint32_t *word = &cpu->features[X86_WORD_HYPERV], before;

    cpu->has_hyperv = supported != 0;
    if (*word & bit_of(FEATURE(PASSTHROUGH))) {
        *word = supported;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(interfaces); i++) {
        for (unsigned n = 0; n < 2 && interfaces[i].needs[n]; n++) {
            unsigned feature = interfaces[i].feature, needed = interfaces[i].needs[n];
            uint32_t all = wanted[X86_WORD_HYPERV] | *word;

            if (all & bit_of(feature) && !(all & bit_of(needed))) {
                return error_fail(
                    error, KASO_ERROR_INVALID, "CPU '%s': %s=on does not go without %s=on",
                    cpu->vcpu.model->name, x86_feature_name(feature), x86_feature_name(needed));
            }
        }
    }
    do {
        before = *word;
        for (size_t i = 0; i < G_N_ELEMENTS(interfaces); i++) {
            for (unsigned n = 0; n < 2 && interfaces[i].needs[n]; n++) {
                *word &= *word & bit_of(interfaces[i].needs[n]) ? UINT32_MAX
                                                                : ~bit_of(interfaces[i].feature);
            }
        }
    } while (*word != before);
    if (cpu->hv_vendor_id && strlen(cpu->hv_vendor_id) > VENDOR_LENGTH) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "hv-vendor-id=%s: it has %d characters at most", cpu->hv_vendor_id,
                          VENDOR_LENGTH);
    }
    return true;
}

static uint32_t number(const X86Cpu *cpu, unsigned index, uint32_t fallback)
{
    return cpu->hv_numbers[index] == X86_UNSET ? fallback : cpu->hv_numbers[index];
}

static void signature(const X86Cpu *cpu, uint32_t out[4])
{
    const char *vendor = cpu->hv_vendor_id ? cpu->hv_vendor_id : "Microsoft Hv";
    char text[VENDOR_LENGTH] = { 0 };

    memcpy(text, vendor, MIN(strlen(vendor), sizeof text));
    out[0] = LIMITS;
    memcpy(&out[1], text, sizeof text);
}

static bool shares_no_cores(const X86Cpu *cpu)
{
    uint32_t host[4] = { 0 };

    if (cpu->hv_no_coresharing != ON_OFF_AUTO_AUTO) {
        return cpu->hv_no_coresharing == ON_OFF_AUTO_ON;
    }
    return asks_host(cpu->vcpu.machine, HINTS, host) && host[0] & HINT_NO_CORESHARING;
}

static void enabled(const X86Cpu *cpu, uint32_t leaf, uint32_t out[4])
{
    for (size_t i = 0; i < G_N_ELEMENTS(interfaces); i++) {
        const Interface *f = &interfaces[i];

        if (cpu->features[X86_WORD_HYPERV] & bit_of(f->feature)) {
            out[0] |= leaf == FEATURES ? f->rights : f->hints;
            out[3] |= leaf == FEATURES ? f->features : 0;
        }
    }
    if (leaf == FEATURES) {
        out[0] |= RIGHT_HYPERCALLS;
        out[3] |= FEATURE_PARTITIONING;
    } else {
        out[0] |= shares_no_cores(cpu) ? HINT_NO_CORESHARING : 0;
        out[1] = cpu->hv_numbers[SPINLOCKS]; /* all ones: never tell */
    }
}

void x86_hyperv_cpuid(const X86Cpu *cpu, uint32_t leaf, uint32_t out[4])
{
    switch (leaf) {
    case SIGNATURE:
        signature(cpu, out);
        break;
    case INTERFACE:
        memcpy(out, "Hv#1", 4);
        break;
    case VERSION: /* of Windows Server 2016, when nobody says another */
        out[0] = number(cpu, BUILD, 14393);
        out[1] = number(cpu, MAJOR, 10) << 16 | number(cpu, MINOR, 0);
        out[2] = number(cpu, SERVICE_PACK, 0);
        out[3] = number(cpu, SERVICE_BRANCH, 0) << 24 | number(cpu, SERVICE_NUMBER, 0);
        break;
    case FEATURES:
    case HINTS:
        enabled(cpu, leaf, out);
        break;
    case LIMITS:
        out[0] = MAX(cpu->vcpu.machine->config.vcpus, PROCESSORS_LEAST);
        break;
    }
}
