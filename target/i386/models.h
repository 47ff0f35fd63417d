/* SPDX-License-Identifier: MIT */
/* CPU models: what CPUID says of them. */
#ifndef TARGET_I386_MODELS_H
#define TARGET_I386_MODELS_H

#include "target/i386/cpu.h"

typedef enum { X86_LEVEL_CORE, X86_LEVEL_MODULE, X86_LEVEL_DIE, X86_LEVEL_PACKAGE } X86Level;

typedef struct {
    uint8_t level, type;       /* 1 to 3; 1 data, 2 instructions, 3 both */
    uint8_t ways;
    uint8_t lines_per_tag;     /* as leaves 80000005 and 80000006 tell it */
    uint8_t flags;             /* EDX of leaves 4 and 8000001D */
    bool self_initializing;
    X86Level shared;           /* by whom */
    uint32_t sets;             /* lines are of 64 bytes */
} X86Cache;

/* L1 data, L1 instructions, L2, L3 (ways 0: none). */
typedef struct { X86Cache cache[4]; } X86Caches;

typedef struct X86Model {
    const char *vendor;        /* 12 characters */
    const char *model_id;      /* for leaves 80000002 to 80000004 */
    uint32_t level, xlevel;    /* highest leaves */
    uint16_t family, model, stepping;
    bool leaf_1f;              /* topology in leaf 1F too */
    bool everything;           /* all that there is */
    bool of_host;              /* exists on the host's processor only */
    uint8_t guest_phys_bits;   /* EAX 23:16 of leaf 80000008 */
    const X86Caches *caches;
    const struct X86Model *base;
    const char *features;      /* "+name -name": what base, or nothing at all, does not have or has */
} X86Model;

#define X86_VENDOR_INTEL "GenuineIntel"
#define X86_VENDOR_AMD "AuthenticAMD"
#define X86_VENDOR_HYGON "HygonGenuine"
#define X86_VENDOR_CENTAUR "CentaurHauls"

/* A model of both targets: identifier, name, summary, fields of X86Model. */
#define X86_MODEL(identifier, text, text_summary, ...)                                              \
    static const X86Model identifier = { __VA_ARGS__ };                                             \
    X86_ALIAS(identifier##_name, text, text_summary, identifier)
/* Another name of a model of the same file. */
#define X86_ALIAS(identifier, text, text_summary, model)                                            \
    static const CpuModel identifier##_x86_64 = { text, text_summary, &x86_64_target, &model };     \
    CPU_MODEL(identifier##_x86_64);                                                                 \
    static const CpuModel identifier##_i386 = { text, text_summary, &i386_target, &model };         \
    CPU_MODEL(identifier##_i386);

/* What the translator can do at all, by feature words. */
extern const uint32_t x86_supported_features[X86_FEATURE_WORDS];
/* What users of other emulators may ask for and cannot have. */
extern const NotYet x86_models_not_yet[];
/* -cpu NAME,property=value */
extern const Property x86_properties[];
/* Target.resolve. */
char **x86_resolve(Vcpu *vcpu);

/* As -cpu spells it. */
const char *x86_feature_name(unsigned feature);

/* hyperv.c: of X86_WORD_HYPERV, what the machine's accelerator has. */
uint32_t x86_hyperv_supported(Machine *machine);
/* After features are what of `wanted` is there. false: something was asked for without what it needs. */
bool x86_hyperv_select(X86Cpu *cpu, const uint32_t *wanted, uint32_t supported, GError **error);
bool x86_hyperv_wants_spinlocks(const X86Cpu *cpu);
/* Whether the guest is shown Hyper-V's leaves, at 40000000. */
bool x86_hyperv_active(const X86Cpu *cpu);
void x86_hyperv_cpuid(const X86Cpu *cpu, uint32_t leaf, uint32_t out[4]);

/* caches.c */
extern const X86Caches x86_caches_intel_legacy, x86_caches_amd_legacy, x86_caches_zhaoxin_legacy,
    x86_caches_yongfeng, x86_caches_epyc, x86_caches_epyc_v5, x86_caches_rome, x86_caches_rome_v5,
    x86_caches_milan, x86_caches_milan_v3, x86_caches_genoa, x86_caches_genoa_v2, x86_caches_turin,
    x86_caches_dhyana, x86_caches_sapphirerapids, x86_caches_graniterapids, x86_caches_sierraforest,
    x86_caches_clearwaterforest;
/* CPUID leaves 2, 4, 80000005, 80000006 and 8000001D. */
void x86_cpuid_caches(const X86Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/*
 * By model and properties: features, levels, address widths, frequency. What cannot be had is left out with a warning
 * (of the first processor, with `check`); false: `enforce` and something is missing, or a value is impossible.
 */
bool x86_select_features(X86Cpu *cpu, GError **error);

#endif
