/* SPDX-License-Identifier: MIT */
/*
 * The CPU models. Identification values are those of the processors' Technical Reference Manuals;
 * AArch32 and EL2 and EL3, which the processors have, are not there and not announced.
 */
#include "target/arm/models.h"

/* clang-format off */
#define HAS(feature) (UINT64_C(1) << FEAT_##feature)
#define FEATURES_V8_0                                                                              \
    (HAS(AES) | HAS(PMULL) | HAS(SHA1) | HAS(SHA256) | HAS(CRC32) | HAS(PMU))
#define FEATURES_V8_2                                                                              \
    (FEATURES_V8_0 | HAS(LSE) | HAS(RDM) | HAS(PAN) | HAS(PAN2) | HAS(UAO) | HAS(DPB) | HAS(LRCPC) |  \
     HAS(FP16) | HAS(DOTPROD) | HAS(HAFDBS) | HAS(HPDS) | HAS(TTCNP) | HAS(SSBS))
#define FEATURES_MAX (((UINT64_C(1) << ARM_FEATURE_COUNT) - 1) & ~HAS(ST) & ~HAS(PAUTH_QARMA3))

static const ArmModel cortex_a35 = {
    .midr = 0x411fd040, .ctr = 0x84448004, .clidr = 0x0a200023,
    .ccsidr = { 0x700fe01a, 0x201fe00a, 0x703fe03a }, .features = FEATURES_V8_0,
    .physical_range = 2, .granule_16k = true,
};

static const ArmModel cortex_a53 = {
    .midr = 0x410fd034, .ctr = 0x84448004, .clidr = 0x0a200023,
    .ccsidr = { 0x700fe01a, 0x201fe00a, 0x707fe07a }, .features = FEATURES_V8_0,
    .physical_range = 2,
};

static const ArmModel cortex_a57 = {
    .midr = 0x411fd070, .ctr = 0x8444c004, .clidr = 0x0a200023,
    .ccsidr = { 0x701fe00a, 0x201fe012, 0x70ffe07a }, .features = FEATURES_V8_0,
    .physical_range = 4,
};

static const ArmModel cortex_a72 = {
    .midr = 0x410fd083, .ctr = 0x8444c004, .clidr = 0x0a200023,
    .ccsidr = { 0x701fe00a, 0x201fe012, 0x707fe07a }, .features = FEATURES_V8_0,
    .physical_range = 4,
};

static const ArmModel cortex_a55 = {
    .midr = 0x412fd050, .ctr = 0x84448004, .clidr = 0x82000023,
    .ccsidr = { 0x700fe01a, 0x200fe01a, 0x703fe07a }, .features = FEATURES_V8_2,
    .physical_range = 2, .granule_16k = true,
};

static const ArmModel cortex_a76 = {
    .midr = 0x414fd0b1, .ctr = 0x8444c004, .clidr = 0x82000023,
    .ccsidr = { 0x701fe01a, 0x201fe01a, 0x707fe03a }, .features = FEATURES_V8_2,
    .physical_range = 2, .granule_16k = true, .csv = true,
};

static const ArmModel neoverse_n1 = {
    .midr = 0x414fd0c1, .ctr = 0x8444c004, .clidr = 0x82000023,
    .ccsidr = { 0x701fe01a, 0x201fe01a, 0x70ffe03a }, .features = FEATURES_V8_2 | HAS(SSBS2),
    .physical_range = 5, .granule_16k = true, .csv = true,
};

/* Implementer 0 is "reserved for software use"; data caches need no cleaning for code (IDC). */
static const ArmModel max = {
    .midr = 0x000f0510, .ctr = 0x9444c004, .clidr = 0x0a200023,
    .ccsidr = { 0x701fe00a, 0x201fe012, 0x707fe07a }, .features = FEATURES_MAX,
    .physical_range = 5, .granule_16k = true, .csv = true, .ecbhb = true,
};

static const CpuModel model_cortex_a35 = { "cortex-a35", "Arm Cortex-A35 r1p0", &arm_target,
                                           &cortex_a35 };
CPU_MODEL(model_cortex_a35);
static const CpuModel model_cortex_a53 = { "cortex-a53", "Arm Cortex-A53 r0p4", &arm_target,
                                           &cortex_a53 };
CPU_MODEL(model_cortex_a53);
static const CpuModel model_cortex_a57 = { "cortex-a57", "Arm Cortex-A57 r1p0", &arm_target,
                                           &cortex_a57 };
CPU_MODEL(model_cortex_a57);
static const CpuModel model_cortex_a72 = { "cortex-a72", "Arm Cortex-A72 r0p3", &arm_target,
                                           &cortex_a72 };
CPU_MODEL(model_cortex_a72);
static const CpuModel model_cortex_a55 = { "cortex-a55", "Arm Cortex-A55 r2p0", &arm_target,
                                           &cortex_a55 };
CPU_MODEL(model_cortex_a55);
static const CpuModel model_cortex_a76 = { "cortex-a76", "Arm Cortex-A76 r4p1", &arm_target,
                                           &cortex_a76 };
CPU_MODEL(model_cortex_a76);
static const CpuModel model_neoverse_n1 = { "neoverse-n1", "Arm Neoverse N1 r4p1", &arm_target,
                                            &neoverse_n1 };
CPU_MODEL(model_neoverse_n1);
static const CpuModel model_max = { "max", "every extension that Kaso has", &arm_target, &max };
CPU_MODEL(model_max);

const NotYet arm_models_not_yet[] = {
    { "host", "it needs KVM; use -cpu max" },
    { "a64fx neoverse-v1", "it needs SVE; the nearest is -cpu neoverse-n1" },
    { "neoverse-n2 neoverse-n3 neoverse-v2 neoverse-v3", "it needs SVE2; the nearest is -cpu neoverse-n1" },
    { "cortex-a510 cortex-a520", "it needs SVE2; the nearest is -cpu cortex-a55" },
    { "cortex-a710 cortex-a715 cortex-a720 cortex-x2 cortex-x3 cortex-x4",
      "it needs SVE2; the nearest is -cpu cortex-a76" },
    { "cortex-a65 cortex-a65ae", "the nearest is -cpu cortex-a55" },
    { "cortex-a73 cortex-a75", "the nearest is -cpu cortex-a72" },
    { "cortex-a76ae cortex-a77 cortex-a78 cortex-a78ae cortex-a78c cortex-x1 cortex-x1c",
      "the nearest is -cpu cortex-a76" },
    { "neoverse-e1", "the nearest is -cpu cortex-a55" },
    { "arm1026 arm1136 arm1136-r2 arm1176 arm11mpcore arm926 arm946 cortex-a15 cortex-a7 cortex-a8 "
      "cortex-a9 cortex-m0 cortex-m3 cortex-m33 cortex-m4 cortex-m55 cortex-m7 cortex-r5 cortex-r5f "
      "cortex-r52 pxa250 pxa255 pxa260 pxa261 pxa262 pxa270-a0 pxa270-a1 pxa270 pxa270-b0 pxa270-b1 "
      "pxa270-c0 pxa270-c5 sa1100 sa1110 ti925t",
      "it runs 32-bit code only; the smallest of 64 bits is -cpu cortex-a53" },
    { 0 },
};
/* clang-format on */
