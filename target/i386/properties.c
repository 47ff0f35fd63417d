/* SPDX-License-Identifier: MIT */
/* What -cpu NAME,… takes besides the name. */
#include "target/i386/models.h"

/* clang-format off */
#define SWITCH(text, feature)                                                                      \
    { text, PROPERTY_ON_OFF_AUTO, offsetof(X86Cpu, switches) + sizeof(int) * (feature), .fallback = "auto" },
#define FEATURE(identifier, word, bit, text) SWITCH(text, X86_FEATURE_##identifier)
#define OTHER(number, text) SWITCH(text, X86_WORD_OTHER_0 * 32 + (number))
#define NUMBER(text, field, text_summary)                                                          \
    { text, PROPERTY_U32, offsetof(X86Cpu, field), text_summary, .fallback = "0xffffffff" }
#define U32(text, field, text_summary) { text, PROPERTY_U32, offsetof(X86Cpu, field), text_summary, .fallback = "0" }
#define BOOL(text, field, initial, text_summary)                                                   \
    { text, PROPERTY_BOOL, offsetof(X86Cpu, field), text_summary, .fallback = initial }
/* Values that only other accelerators or other versions make something of: here they change nothing. */
#define IGNORED(text, index, initial) BOOL(text, ignored[index], initial, "changes nothing here")
#define HV_NUMBER(text, index) NUMBER(text, hv_numbers[index], "of Hyper-V's interfaces (-accel kvm)")

#define NOT_YET(text, summary) { text, PROPERTY_NOT_YET, 0, summary }

const Property x86_properties[] = {
    X86_FEATURES(FEATURE)
    X86_OTHER_FEATURES(OTHER)
    /* Names that features have had. */
    SWITCH("sse3", X86_FEATURE_SSE3)
    SWITCH("pclmuldq", X86_FEATURE_PCLMULQDQ)
    SWITCH("sse4-1", X86_FEATURE_SSE4_1)
    SWITCH("sse4-2", X86_FEATURE_SSE4_2)
    SWITCH("xd", X86_FEATURE_NX)
    SWITCH("ffxsr", X86_FEATURE_FXSR_OPT)
    SWITCH("i64", X86_FEATURE_LM)
    { "vendor", PROPERTY_STRING, offsetof(X86Cpu, vendor), "12 characters; default: the model's" },
    { "model-id", PROPERTY_STRING, offsetof(X86Cpu, model_id), "the processor's name; default: the model's" },
    NUMBER("family", family, "default: the model's"),
    NUMBER("model", model_number, "default: the model's"),
    NUMBER("stepping", stepping, "default: the model's"),
    NUMBER("level", level, "highest CPUID leaf; default: what the features need"),
    NUMBER("xlevel", xlevel, "highest extended CPUID leaf; default: what the features need"),
    U32("min-level", min_level, "highest CPUID leaf, at least"),
    U32("min-xlevel", min_xlevel, "highest extended CPUID leaf, at least"),
    U32("phys-bits", wanted_phys_bits, "width of physical addresses; 0: 40 with long mode, else 36 or 32"),
    { "host-phys-bits", PROPERTY_ON_OFF_AUTO, offsetof(X86Cpu, host_phys_bits), "phys-bits as the host's processor", .fallback = "auto" },
    U32("host-phys-bits-limit", host_phys_bits_limit, "and no more than these; 0: no limit"),
    { "tsc-frequency", PROPERTY_U64, offsetof(X86Cpu, tsc_hz), "Hz of the time-stamp counter", .fallback = "1000000000" },
    BOOL("check", check, "on", "warn of features that are not there"),
    BOOL("enforce", enforce, "off", "do not start without them"),
    BOOL("l3-cache", l3_cache, "on", "CPUID tells of a third cache"),
    BOOL("host-cache-info", host_cache_info, "off", "with KVM: CPUID tells of the host's caches"),
    BOOL("legacy-cache", legacy_cache, "off", "CPUID tells of the vendor's oldest caches, not the model's"),
    BOOL("cpuid-0xb", cpuid_0xb, "on", "CPUID has leaf 11"),
    BOOL("tcg-cpuid", tcg_cpuid, "on", "CPUID has the translator's signature in leaf 0x40000000"),
    BOOL("migratable", migratable, "on", "with KVM: what would not survive a move to another host is left out"),
    BOOL("kvm", shows_kvm, "on", "with KVM: CPUID says so, and tells its paravirtual interfaces"),
    IGNORED("pmu", 0, "off"),
    IGNORED("vmware-cpuid-freq", 1, "on"),
    HV_NUMBER("hv-spinlocks", 0),
    HV_NUMBER("hv-version-id-build", 1),
    HV_NUMBER("hv-version-id-major", 2),
    HV_NUMBER("hv-version-id-minor", 3),
    HV_NUMBER("hv-version-id-spack", 4),
    HV_NUMBER("hv-version-id-sbranch", 5),
    HV_NUMBER("hv-version-id-snumber", 6),
    { "hv-no-nonarch-coresharing", PROPERTY_ON_OFF_AUTO, offsetof(X86Cpu, hv_no_coresharing),
      "the guest is told that CPUs share cores only as its topology says; auto: as the host is", .fallback = "off" },
    NOT_YET("lbr-fmt", "last branch records"),
    NOT_YET("avx10-version", "AVX10"),
    NOT_YET("x-force-features", "features beyond those that the processor can do"),
    NOT_YET("min-xlevel2", "CPUID leaves from 0xC0000000"),
    NOT_YET("start-powered-off", "processors that are off at reset"),
    { "hv-vendor-id", PROPERTY_STRING, offsetof(X86Cpu, hv_vendor_id),
      "who Hyper-V's interfaces say they are of (-accel kvm); default: Microsoft Hv" },
    { 0 },
};
/* clang-format on */
