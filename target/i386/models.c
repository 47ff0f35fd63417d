/* SPDX-License-Identifier: MIT */
/* CPU models. */
#include "target/i386/models.h"

#define F(word, identifier) (1u << (X86_FEATURE_##identifier % 32))

const uint32_t x86_supported_features[X86_FEATURE_WORDS] = {
    [X86_WORD_1_EDX] = 0x000bfbff,
    [X86_WORD_1_ECX] = F(, SSE3) | F(, CX16) | F(, POPCNT) | F(, MOVBE) | F(, PCID) | F(, X2APIC) |
                       F(, TSC_DEADLINE) | F(, RDRAND) | F(, HYPERVISOR) | F(, MONITOR),
    [X86_WORD_7_0_EBX] = F(, FSGSBASE) | F(, BMI1) | F(, BMI2) | F(, SMEP) | F(, SMAP) | F(, ERMS) |
                         F(, INVPCID) | F(, ADX) | F(, RDSEED) | F(, CLFLUSHOPT) | F(, CLWB),
    [X86_WORD_7_0_ECX] = F(, UMIP) | F(, LA57) | F(, RDPID) | F(, MOVDIRI),
    [X86_WORD_7_0_EDX] = F(, FSRM),
    [X86_WORD_6_EAX] = F(, ARAT),
    [X86_WORD_8000_0001_EDX] = F(, SYSCALL) | F(, NX) | F(, PDPE1GB) | F(, RDTSCP) | F(, LM),
    [X86_WORD_8000_0001_ECX] = F(, LAHF_LM) | F(, ABM) | F(, CR8LEGACY) | F(, 3DNOWPREFETCH),
    [X86_WORD_8000_0008_EBX] = F(, CLZERO),
};

bool x86_select_features(X86Cpu *cpu, GError **error)
{
    memcpy(cpu->features, x86_supported_features, sizeof cpu->features);
    return true;
}

static const X86Model max = {
    .vendor = "AuthenticAMD",
    .model_id = "Kaso Virtual CPU",
    .level = 0xd,
    .xlevel = 0x80000021,
    .family = 6,
    .model = 6,
    .stepping = 3,
};
static const CpuModel x86_max = {
    .name = "max", .summary = "all that the translator has", .target = &x86_64_target, .data = &max
};
CPU_MODEL(x86_max);
static const CpuModel x86_qemu64 = {
    .name = "qemu64", .summary = "a common 64-bit processor", .target = &x86_64_target, .data = &max
};
CPU_MODEL(x86_qemu64);
