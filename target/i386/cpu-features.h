/* SPDX-License-Identifier: MIT */
/*
 * CPUID feature bits (Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E), by the names that -cpu NAME,feature=on
 * takes. X(identifier, word, bit, name)
 */
#ifndef TARGET_I386_CPU_FEATURES_H
#define TARGET_I386_CPU_FEATURES_H

#include <stdint.h>

typedef enum {
    X86_WORD_1_EDX, /* CPUID 1, EDX */
    X86_WORD_1_ECX, /* CPUID 1, ECX */
    X86_WORD_7_0_EBX, /* CPUID 7.0, EBX */
    X86_WORD_7_0_ECX, /* CPUID 7.0, ECX */
    X86_WORD_7_0_EDX, /* CPUID 7.0, EDX */
    X86_WORD_7_1_EAX, /* CPUID 7.1, EAX */
    X86_WORD_D_1_EAX, /* CPUID D.1, EAX */
    X86_WORD_6_EAX, /* CPUID 6, EAX */
    X86_WORD_8000_0001_EDX, /* CPUID 80000001, EDX, as far as it does not repeat leaf 1 */
    X86_WORD_8000_0001_ECX, /* CPUID 80000001, ECX */
    X86_WORD_8000_0007_EDX, /* CPUID 80000007, EDX */
    X86_WORD_8000_0008_EBX, /* CPUID 80000008, EBX */
    X86_WORD_8000_000A_EDX, /* CPUID 8000000A, EDX (SVM) */
    X86_WORD_8000_0021_EAX, /* CPUID 80000021, EAX */
    X86_WORD_4000_0001_EAX, /* CPUID 40000001, EAX: KVM's paravirtual interfaces */
    X86_WORD_4000_0001_EDX, /* CPUID 40000001, EDX: what KVM's guests are promised */
    X86_WORD_HYPERV, /* Hyper-V's interfaces, in no register's order: hyperv.c */
    X86_WORD_OTHER_0, /* by name only: X86_OTHER_FEATURES */
    X86_FEATURE_WORDS = X86_WORD_OTHER_0 + 8,
} X86FeatureWord;

#define X86_FEATURES(X) \
    X(FPU, 1_EDX, 0, "fpu")                                                                        \
    X(VME, 1_EDX, 1, "vme")                                                                        \
    X(DE, 1_EDX, 2, "de")                                                                          \
    X(PSE, 1_EDX, 3, "pse")                                                                        \
    X(TSC, 1_EDX, 4, "tsc")                                                                        \
    X(MSR, 1_EDX, 5, "msr")                                                                        \
    X(PAE, 1_EDX, 6, "pae")                                                                        \
    X(MCE, 1_EDX, 7, "mce")                                                                        \
    X(CX8, 1_EDX, 8, "cx8")                                                                        \
    X(APIC, 1_EDX, 9, "apic")                                                                      \
    X(SEP, 1_EDX, 11, "sep")                                                                       \
    X(MTRR, 1_EDX, 12, "mtrr")                                                                     \
    X(PGE, 1_EDX, 13, "pge")                                                                       \
    X(MCA, 1_EDX, 14, "mca")                                                                       \
    X(CMOV, 1_EDX, 15, "cmov")                                                                     \
    X(PAT, 1_EDX, 16, "pat")                                                                       \
    X(PSE36, 1_EDX, 17, "pse36")                                                                   \
    X(PN, 1_EDX, 18, "pn")                                                                         \
    X(CLFLUSH, 1_EDX, 19, "clflush")                                                               \
    X(DS, 1_EDX, 21, "ds")                                                                         \
    X(ACPI, 1_EDX, 22, "acpi")                                                                     \
    X(MMX, 1_EDX, 23, "mmx")                                                                       \
    X(FXSR, 1_EDX, 24, "fxsr")                                                                     \
    X(SSE, 1_EDX, 25, "sse")                                                                       \
    X(SSE2, 1_EDX, 26, "sse2")                                                                     \
    X(SS, 1_EDX, 27, "ss")                                                                         \
    X(HT, 1_EDX, 28, "ht")                                                                         \
    X(TM, 1_EDX, 29, "tm")                                                                         \
    X(IA64, 1_EDX, 30, "ia64")                                                                     \
    X(PBE, 1_EDX, 31, "pbe")                                                                       \
    X(SSE3, 1_ECX, 0, "pni")                                                                       \
    X(PCLMULQDQ, 1_ECX, 1, "pclmulqdq")                                                            \
    X(DTES64, 1_ECX, 2, "dtes64")                                                                  \
    X(MONITOR, 1_ECX, 3, "monitor")                                                                \
    X(DS_CPL, 1_ECX, 4, "ds-cpl")                                                                  \
    X(VMX, 1_ECX, 5, "vmx")                                                                        \
    X(SMX, 1_ECX, 6, "smx")                                                                        \
    X(EST, 1_ECX, 7, "est")                                                                        \
    X(TM2, 1_ECX, 8, "tm2")                                                                        \
    X(SSSE3, 1_ECX, 9, "ssse3")                                                                    \
    X(CID, 1_ECX, 10, "cid")                                                                       \
    X(FMA, 1_ECX, 12, "fma")                                                                       \
    X(CX16, 1_ECX, 13, "cx16")                                                                     \
    X(XTPR, 1_ECX, 14, "xtpr")                                                                     \
    X(PDCM, 1_ECX, 15, "pdcm")                                                                     \
    X(PCID, 1_ECX, 17, "pcid")                                                                     \
    X(DCA, 1_ECX, 18, "dca")                                                                       \
    X(SSE4_1, 1_ECX, 19, "sse4.1")                                                                 \
    X(SSE4_2, 1_ECX, 20, "sse4.2")                                                                 \
    X(X2APIC, 1_ECX, 21, "x2apic")                                                                 \
    X(MOVBE, 1_ECX, 22, "movbe")                                                                   \
    X(POPCNT, 1_ECX, 23, "popcnt")                                                                 \
    X(TSC_DEADLINE, 1_ECX, 24, "tsc-deadline")                                                     \
    X(AES, 1_ECX, 25, "aes")                                                                       \
    X(XSAVE, 1_ECX, 26, "xsave")                                                                   \
    X(OSXSAVE, 1_ECX, 27, "osxsave")                                                               \
    X(AVX, 1_ECX, 28, "avx")                                                                       \
    X(F16C, 1_ECX, 29, "f16c")                                                                     \
    X(RDRAND, 1_ECX, 30, "rdrand")                                                                 \
    X(HYPERVISOR, 1_ECX, 31, "hypervisor")                                                         \
    X(FSGSBASE, 7_0_EBX, 0, "fsgsbase")                                                            \
    X(TSC_ADJUST, 7_0_EBX, 1, "tsc-adjust")                                                        \
    X(SGX, 7_0_EBX, 2, "sgx")                                                                      \
    X(BMI1, 7_0_EBX, 3, "bmi1")                                                                    \
    X(HLE, 7_0_EBX, 4, "hle")                                                                      \
    X(AVX2, 7_0_EBX, 5, "avx2")                                                                    \
    X(FDP_EXCPTN_ONLY, 7_0_EBX, 6, "fdp-excptn-only")                                              \
    X(SMEP, 7_0_EBX, 7, "smep")                                                                    \
    X(BMI2, 7_0_EBX, 8, "bmi2")                                                                    \
    X(ERMS, 7_0_EBX, 9, "erms")                                                                    \
    X(INVPCID, 7_0_EBX, 10, "invpcid")                                                             \
    X(RTM, 7_0_EBX, 11, "rtm")                                                                     \
    X(ZERO_FCS_FDS, 7_0_EBX, 13, "zero-fcs-fds")                                                   \
    X(MPX, 7_0_EBX, 14, "mpx")                                                                     \
    X(AVX512F, 7_0_EBX, 16, "avx512f")                                                             \
    X(AVX512DQ, 7_0_EBX, 17, "avx512dq")                                                           \
    X(RDSEED, 7_0_EBX, 18, "rdseed")                                                               \
    X(ADX, 7_0_EBX, 19, "adx")                                                                     \
    X(SMAP, 7_0_EBX, 20, "smap")                                                                   \
    X(AVX512IFMA, 7_0_EBX, 21, "avx512ifma")                                                       \
    X(PCOMMIT, 7_0_EBX, 22, "pcommit")                                                             \
    X(CLFLUSHOPT, 7_0_EBX, 23, "clflushopt")                                                       \
    X(CLWB, 7_0_EBX, 24, "clwb")                                                                   \
    X(INTEL_PT, 7_0_EBX, 25, "intel-pt")                                                           \
    X(AVX512PF, 7_0_EBX, 26, "avx512pf")                                                           \
    X(AVX512ER, 7_0_EBX, 27, "avx512er")                                                           \
    X(AVX512CD, 7_0_EBX, 28, "avx512cd")                                                           \
    X(SHA_NI, 7_0_EBX, 29, "sha-ni")                                                               \
    X(AVX512BW, 7_0_EBX, 30, "avx512bw")                                                           \
    X(AVX512VL, 7_0_EBX, 31, "avx512vl")                                                           \
    X(AVX512VBMI, 7_0_ECX, 1, "avx512vbmi")                                                        \
    X(UMIP, 7_0_ECX, 2, "umip")                                                                    \
    X(PKU, 7_0_ECX, 3, "pku")                                                                      \
    X(OSPKE, 7_0_ECX, 4, "ospke")                                                                  \
    X(WAITPKG, 7_0_ECX, 5, "waitpkg")                                                              \
    X(AVX512VBMI2, 7_0_ECX, 6, "avx512vbmi2")                                                      \
    X(CET_SS, 7_0_ECX, 7, "cet-ss")                                                                \
    X(GFNI, 7_0_ECX, 8, "gfni")                                                                    \
    X(VAES, 7_0_ECX, 9, "vaes")                                                                    \
    X(VPCLMULQDQ, 7_0_ECX, 10, "vpclmulqdq")                                                       \
    X(AVX512VNNI, 7_0_ECX, 11, "avx512vnni")                                                       \
    X(AVX512BITALG, 7_0_ECX, 12, "avx512bitalg")                                                   \
    X(AVX512_VPOPCNTDQ, 7_0_ECX, 14, "avx512-vpopcntdq")                                           \
    X(LA57, 7_0_ECX, 16, "la57")                                                                   \
    X(RDPID, 7_0_ECX, 22, "rdpid")                                                                 \
    X(BUS_LOCK_DETECT, 7_0_ECX, 24, "bus-lock-detect")                                             \
    X(CLDEMOTE, 7_0_ECX, 25, "cldemote")                                                           \
    X(MOVDIRI, 7_0_ECX, 27, "movdiri")                                                             \
    X(MOVDIR64B, 7_0_ECX, 28, "movdir64b")                                                         \
    X(SGXLC, 7_0_ECX, 30, "sgxlc")                                                                 \
    X(PKS, 7_0_ECX, 31, "pks")                                                                     \
    X(AVX512_4VNNIW, 7_0_EDX, 2, "avx512-4vnniw")                                                  \
    X(AVX512_4FMAPS, 7_0_EDX, 3, "avx512-4fmaps")                                                  \
    X(FSRM, 7_0_EDX, 4, "fsrm")                                                                    \
    X(AVX512_VP2INTERSECT, 7_0_EDX, 8, "avx512-vp2intersect")                                      \
    X(MD_CLEAR, 7_0_EDX, 10, "md-clear")                                                           \
    X(SERIALIZE, 7_0_EDX, 14, "serialize")                                                         \
    X(TSX_LDTRK, 7_0_EDX, 16, "tsx-ldtrk")                                                         \
    X(ARCH_LBR, 7_0_EDX, 19, "arch-lbr")                                                           \
    X(CET_IBT, 7_0_EDX, 20, "cet-ibt")                                                             \
    X(AMX_BF16, 7_0_EDX, 22, "amx-bf16")                                                           \
    X(AVX512_FP16, 7_0_EDX, 23, "avx512-fp16")                                                     \
    X(AMX_TILE, 7_0_EDX, 24, "amx-tile")                                                           \
    X(AMX_INT8, 7_0_EDX, 25, "amx-int8")                                                           \
    X(SPEC_CTRL, 7_0_EDX, 26, "spec-ctrl")                                                         \
    X(STIBP, 7_0_EDX, 27, "stibp")                                                                 \
    X(FLUSH_L1D, 7_0_EDX, 28, "flush-l1d")                                                         \
    X(ARCH_CAPABILITIES, 7_0_EDX, 29, "arch-capabilities")                                         \
    X(CORE_CAPABILITY, 7_0_EDX, 30, "core-capability")                                             \
    X(SSBD, 7_0_EDX, 31, "ssbd")                                                                   \
    X(SHA512, 7_1_EAX, 0, "sha512")                                                                \
    X(SM3, 7_1_EAX, 1, "sm3")                                                                      \
    X(SM4, 7_1_EAX, 2, "sm4")                                                                      \
    X(AVX_VNNI, 7_1_EAX, 4, "avx-vnni")                                                            \
    X(AVX512_BF16, 7_1_EAX, 5, "avx512-bf16")                                                      \
    X(CMPCCXADD, 7_1_EAX, 7, "cmpccxadd")                                                          \
    X(FZRM, 7_1_EAX, 10, "fzrm")                                                                   \
    X(FSRS, 7_1_EAX, 11, "fsrs")                                                                   \
    X(FSRC, 7_1_EAX, 12, "fsrc")                                                                   \
    X(AMX_FP16, 7_1_EAX, 21, "amx-fp16")                                                           \
    X(AVX_IFMA, 7_1_EAX, 23, "avx-ifma")                                                           \
    X(LAM, 7_1_EAX, 26, "lam")                                                                     \
    X(XSAVEOPT, D_1_EAX, 0, "xsaveopt")                                                            \
    X(XSAVEC, D_1_EAX, 1, "xsavec")                                                                \
    X(XGETBV1, D_1_EAX, 2, "xgetbv1")                                                              \
    X(XSAVES, D_1_EAX, 3, "xsaves")                                                                \
    X(XFD, D_1_EAX, 4, "xfd")                                                                      \
    X(ARAT, 6_EAX, 2, "arat")                                                                      \
    X(SYSCALL, 8000_0001_EDX, 11, "syscall")                                                       \
    X(MP, 8000_0001_EDX, 19, "mp")                                                                 \
    X(NX, 8000_0001_EDX, 20, "nx")                                                                 \
    X(MMXEXT, 8000_0001_EDX, 22, "mmxext")                                                         \
    X(FXSR_OPT, 8000_0001_EDX, 25, "fxsr-opt")                                                     \
    X(PDPE1GB, 8000_0001_EDX, 26, "pdpe1gb")                                                       \
    X(RDTSCP, 8000_0001_EDX, 27, "rdtscp")                                                         \
    X(LM, 8000_0001_EDX, 29, "lm")                                                                 \
    X(3DNOWEXT, 8000_0001_EDX, 30, "3dnowext")                                                     \
    X(3DNOW, 8000_0001_EDX, 31, "3dnow")                                                           \
    X(LAHF_LM, 8000_0001_ECX, 0, "lahf-lm")                                                        \
    X(CMP_LEGACY, 8000_0001_ECX, 1, "cmp-legacy")                                                  \
    X(SVM, 8000_0001_ECX, 2, "svm")                                                                \
    X(EXTAPIC, 8000_0001_ECX, 3, "extapic")                                                        \
    X(CR8LEGACY, 8000_0001_ECX, 4, "cr8legacy")                                                    \
    X(ABM, 8000_0001_ECX, 5, "abm")                                                                \
    X(SSE4A, 8000_0001_ECX, 6, "sse4a")                                                            \
    X(MISALIGNSSE, 8000_0001_ECX, 7, "misalignsse")                                                \
    X(3DNOWPREFETCH, 8000_0001_ECX, 8, "3dnowprefetch")                                            \
    X(OSVW, 8000_0001_ECX, 9, "osvw")                                                              \
    X(IBS, 8000_0001_ECX, 10, "ibs")                                                               \
    X(XOP, 8000_0001_ECX, 11, "xop")                                                               \
    X(SKINIT, 8000_0001_ECX, 12, "skinit")                                                         \
    X(WDT, 8000_0001_ECX, 13, "wdt")                                                               \
    X(LWP, 8000_0001_ECX, 15, "lwp")                                                               \
    X(FMA4, 8000_0001_ECX, 16, "fma4")                                                             \
    X(TCE, 8000_0001_ECX, 17, "tce")                                                               \
    X(NODEID_MSR, 8000_0001_ECX, 19, "nodeid-msr")                                                 \
    X(TBM, 8000_0001_ECX, 21, "tbm")                                                               \
    X(TOPOEXT, 8000_0001_ECX, 22, "topoext")                                                       \
    X(PERFCTR_CORE, 8000_0001_ECX, 23, "perfctr-core")                                             \
    X(PERFCTR_NB, 8000_0001_ECX, 24, "perfctr-nb")                                                 \
    X(INVTSC, 8000_0007_EDX, 8, "invtsc")                                                          \
    X(CLZERO, 8000_0008_EBX, 0, "clzero")                                                          \
    X(XSAVEERPTR, 8000_0008_EBX, 2, "xsaveerptr")                                                  \
    X(WBNOINVD, 8000_0008_EBX, 9, "wbnoinvd")                                                      \
    X(IBPB, 8000_0008_EBX, 12, "ibpb")                                                             \
    X(IBRS, 8000_0008_EBX, 14, "ibrs")                                                             \
    X(AMD_STIBP, 8000_0008_EBX, 15, "amd-stibp")                                                   \
    X(STIBP_ALWAYS_ON, 8000_0008_EBX, 17, "stibp-always-on")                                       \
    X(AMD_SSBD, 8000_0008_EBX, 24, "amd-ssbd")                                                     \
    X(VIRT_SSBD, 8000_0008_EBX, 25, "virt-ssbd")                                                   \
    X(AMD_NO_SSB, 8000_0008_EBX, 26, "amd-no-ssb")                                                 \
    X(AMD_PSFD, 8000_0008_EBX, 28, "amd-psfd")                                                     \
    X(NPT, 8000_000A_EDX, 0, "npt")                                                                \
    X(LBRV, 8000_000A_EDX, 1, "lbrv")                                                              \
    X(SVM_LOCK, 8000_000A_EDX, 2, "svm-lock")                                                      \
    X(NRIP_SAVE, 8000_000A_EDX, 3, "nrip-save")                                                    \
    X(TSC_SCALE, 8000_000A_EDX, 4, "tsc-scale")                                                    \
    X(VMCB_CLEAN, 8000_000A_EDX, 5, "vmcb-clean")                                                  \
    X(FLUSHBYASID, 8000_000A_EDX, 6, "flushbyasid")                                                \
    X(DECODEASSISTS, 8000_000A_EDX, 7, "decodeassists")                                            \
    X(PAUSE_FILTER, 8000_000A_EDX, 10, "pause-filter")                                             \
    X(PFTHRESHOLD, 8000_000A_EDX, 12, "pfthreshold")                                               \
    X(AVIC, 8000_000A_EDX, 13, "avic")                                                             \
    X(V_VMSAVE_VMLOAD, 8000_000A_EDX, 15, "v-vmsave-vmload")                                       \
    X(VGIF, 8000_000A_EDX, 16, "vgif")                                                             \
    X(VNMI, 8000_000A_EDX, 25, "vnmi")                                                             \
    X(SVME_ADDR_CHK, 8000_000A_EDX, 28, "svme-addr-chk")                                           \
    X(NO_NESTED_DATA_BP, 8000_0021_EAX, 0, "no-nested-data-bp")                                    \
    X(LFENCE_ALWAYS_SERIALIZING, 8000_0021_EAX, 2, "lfence-always-serializing")                    \
    X(NULL_SEL_CLR_BASE, 8000_0021_EAX, 6, "null-sel-clr-base")                                    \
    X(AUTO_IBRS, 8000_0021_EAX, 8, "auto-ibrs") \
    X(KVM_NOPIODELAY, 4000_0001_EAX, 1, "kvm-nopiodelay")                                          \
    X(KVM_MMU, 4000_0001_EAX, 2, "kvm-mmu")                                                        \
    X(KVMCLOCK, 4000_0001_EAX, 3, "kvmclock")                                                      \
    X(KVM_ASYNCPF, 4000_0001_EAX, 4, "kvm-asyncpf")                                                \
    X(KVM_STEAL_TIME, 4000_0001_EAX, 5, "kvm-steal-time")                                          \
    X(KVM_PV_EOI, 4000_0001_EAX, 6, "kvm-pv-eoi")                                                  \
    X(KVM_PV_UNHALT, 4000_0001_EAX, 7, "kvm-pv-unhalt")                                            \
    X(KVM_PV_TLB_FLUSH, 4000_0001_EAX, 9, "kvm-pv-tlb-flush")                                      \
    X(KVM_ASYNCPF_VMEXIT, 4000_0001_EAX, 10, "kvm-asyncpf-vmexit")                                 \
    X(KVM_PV_IPI, 4000_0001_EAX, 11, "kvm-pv-ipi")                                                 \
    X(KVM_POLL_CONTROL, 4000_0001_EAX, 12, "kvm-poll-control")                                     \
    X(KVM_PV_SCHED_YIELD, 4000_0001_EAX, 13, "kvm-pv-sched-yield")                                 \
    X(KVM_ASYNCPF_INT, 4000_0001_EAX, 14, "kvm-asyncpf-int")                                       \
    X(KVM_MSI_EXT_DEST_ID, 4000_0001_EAX, 15, "kvm-msi-ext-dest-id")                               \
    X(KVMCLOCK_STABLE_BIT, 4000_0001_EAX, 24, "kvmclock-stable-bit") \
    X(KVM_HINT_DEDICATED, 4000_0001_EDX, 0, "kvm-hint-dedicated") \
    X(HV_RELAXED, HYPERV, 0, "hv-relaxed") \
    X(HV_VAPIC, HYPERV, 1, "hv-vapic") \
    X(HV_TIME, HYPERV, 2, "hv-time") \
    X(HV_CRASH, HYPERV, 3, "hv-crash") \
    X(HV_RESET, HYPERV, 4, "hv-reset") \
    X(HV_VPINDEX, HYPERV, 5, "hv-vpindex") \
    X(HV_RUNTIME, HYPERV, 6, "hv-runtime") \
    X(HV_SYNIC, HYPERV, 7, "hv-synic") \
    X(HV_STIMER, HYPERV, 8, "hv-stimer") \
    X(HV_STIMER_DIRECT, HYPERV, 9, "hv-stimer-direct") \
    X(HV_FREQUENCIES, HYPERV, 10, "hv-frequencies") \
    X(HV_REENLIGHTENMENT, HYPERV, 11, "hv-reenlightenment") \
    X(HV_TLBFLUSH, HYPERV, 12, "hv-tlbflush") \
    X(HV_TLBFLUSH_EXT, HYPERV, 13, "hv-tlbflush-ext") \
    X(HV_IPI, HYPERV, 14, "hv-ipi") \
    X(HV_XMM_INPUT, HYPERV, 15, "hv-xmm-input") \
    X(HV_AVIC, HYPERV, 16, "hv-avic") \
    X(HV_APICV, HYPERV, 17, "hv-apicv") \
    X(HV_PASSTHROUGH, HYPERV, 18, "hv-passthrough")

/*
 * Features that nothing here has and whose bits are in no word above (VMX and IA32_ARCH_CAPABILITIES MSRs, leaves that
 * only they need, interfaces of hypervisors): known by name. X(number, name)
 */
#define X86_OTHER_FEATURES(X) \
    X(0, "ace2") X(1, "ace2-en") X(2, "amx-avx512") X(3, "amx-bf16-alias") X(4, "amx-complex") \
    X(5, "amx-complex-alias") X(6, "amx-fp16-alias") X(7, "amx-fp8") X(8, "amx-int8-alias")    \
    X(9, "amx-movrs") X(10, "amx-tf32") X(11, "apx-nci-ndd-nf") X(12, "apxf")                  \
    X(13, "avx-ne-convert") X(14, "avx-vnni-int16") X(15, "avx-vnni-int8") X(16, "avx10")      \
    X(17, "avx10-128") X(18, "avx10-256") X(19, "avx10-512") X(20, "avx10-vnni-int")           \
    X(21, "bhi-ctrl") X(22, "bhi-no") X(23, "ddpd-u") X(24, "eraps") X(25, "fb-clear")         \
    X(26, "fbsdp-no") X(27, "fred") X(28, "fs-gs-base-ns") X(29, "full-width-write")           \
    X(30, "gds-no") X(31, "gmet") X(32, "ibpb-brtype") X(33, "ibrs-all") X(34, "intel-psfd")   \
    X(35, "intel-pt-lip") X(36, "ipred-ctrl") X(37, "its-no") X(38, "lkgs") X(39, "mcdt-no")   \
    X(40, "mds-no") X(41, "movrs") X(42, "msr-imm") X(43, "overflow-recov") X(44, "pbrsb-no")  \
    X(45, "perfmon-v2") X(46, "phe") X(47, "phe-en") X(48, "pmm") X(49, "pmm-en")              \
    X(50, "prefetchi") X(51, "prefetchiti") X(52, "pschange-mc-no") X(53, "psdp-no")           \
    X(54, "rdctl-no") X(55, "rfds-clear") X(56, "rfds-no") X(57, "rrsba-ctrl") X(58, "rsba")   \
    X(59, "sbdr-ssdp-no") X(60, "sbpb") X(61, "sgx-aex-notify") X(62, "sgx-debug")             \
    X(63, "sgx-edeccssa") X(64, "sgx-exinfo") X(65, "sgx-kss") X(66, "sgx-mode64")             \
    X(67, "sgx-provisionkey") X(68, "sgx-tokenkey") X(69, "sgx1") X(70, "sgx2")                \
    X(71, "skip-l1dfl-vmentry") X(72, "split-lock-detect") X(73, "srso-no")                    \
    X(74, "srso-user-kernel-no") X(75, "ssb-no") X(76, "succor") X(77, "taa-no")               \
    X(78, "tsa-l1-no") X(79, "tsa-sq-no") X(80, "tsx-ctrl") X(81, "verw-clear")                \
    X(82, "vmx-activity-hlt") X(83, "vmx-activity-shutdown") X(84, "vmx-activity-wait-sipi")   \
    X(85, "vmx-any-errcode") X(86, "vmx-apicv-register") X(87, "vmx-apicv-vid")                \
    X(88, "vmx-apicv-x2apic") X(89, "vmx-apicv-xapic") X(90, "vmx-cr3-load-noexit")            \
    X(91, "vmx-cr3-store-noexit") X(92, "vmx-cr8-load-exit") X(93, "vmx-cr8-store-exit")       \
    X(94, "vmx-desc-exit") X(95, "vmx-enable-user-wait-pause") X(96, "vmx-encls-exit")         \
    X(97, "vmx-entry-ia32e-mode") X(98, "vmx-entry-load-bndcfgs") X(99, "vmx-entry-load-cet")  \
    X(100, "vmx-entry-load-efer") X(101, "vmx-entry-load-fred") X(102, "vmx-entry-load-pat")   \
    X(103, "vmx-entry-load-perf-global-ctrl") X(104, "vmx-entry-load-pkrs")                    \
    X(105, "vmx-entry-load-rtit-ctl") X(106, "vmx-entry-noload-debugctl") X(107, "vmx-ept")    \
    X(108, "vmx-ept-1gb") X(109, "vmx-ept-2mb") X(110, "vmx-ept-advanced-exitinfo")            \
    X(111, "vmx-ept-execonly") X(112, "vmx-eptad") X(113, "vmx-eptp-switching")                \
    X(114, "vmx-exit-ack-intr") X(115, "vmx-exit-clear-bndcfgs")                               \
    X(116, "vmx-exit-clear-rtit-ctl") X(117, "vmx-exit-load-efer") X(118, "vmx-exit-load-pat") \
    X(119, "vmx-exit-load-perf-global-ctrl") X(120, "vmx-exit-load-pkrs")                      \
    X(121, "vmx-exit-nosave-debugctl") X(122, "vmx-exit-save-cet")                             \
    X(123, "vmx-exit-save-efer") X(124, "vmx-exit-save-pat")                                   \
    X(125, "vmx-exit-save-preemption-timer") X(126, "vmx-exit-secondary-ctls")                 \
    X(127, "vmx-flexpriority") X(128, "vmx-hlt-exit") X(129, "vmx-ins-outs")                   \
    X(130, "vmx-intr-exit") X(131, "vmx-invept") X(132, "vmx-invept-all-context")              \
    X(133, "vmx-invept-single-context") X(134, "vmx-invept-single-context-noglobals")          \
    X(135, "vmx-invlpg-exit") X(136, "vmx-invpcid-exit") X(137, "vmx-invvpid")                 \
    X(138, "vmx-invvpid-all-context") X(139, "vmx-invvpid-single-addr")                        \
    X(140, "vmx-io-bitmap") X(141, "vmx-io-exit") X(142, "vmx-mbec")                           \
    X(143, "vmx-monitor-exit") X(144, "vmx-movdr-exit") X(145, "vmx-msr-bitmap")               \
    X(146, "vmx-mtf") X(147, "vmx-mwait-exit") X(148, "vmx-nested-exception")                  \
    X(149, "vmx-nmi-exit") X(150, "vmx-page-walk-4") X(151, "vmx-page-walk-5")                 \
    X(152, "vmx-pause-exit") X(153, "vmx-ple") X(154, "vmx-pml") X(155, "vmx-posted-intr")     \
    X(156, "vmx-preemption-timer") X(157, "vmx-rdpmc-exit") X(158, "vmx-rdrand-exit")          \
    X(159, "vmx-rdseed-exit") X(160, "vmx-rdtsc-exit") X(161, "vmx-rdtscp-exit")               \
    X(162, "vmx-secondary-ctls") X(163, "vmx-shadow-vmcs") X(164, "vmx-store-lma")             \
    X(165, "vmx-true-ctls") X(166, "vmx-tsc-offset") X(167, "vmx-tsc-scaling")                 \
    X(168, "vmx-unrestricted-guest") X(169, "vmx-vintr-pending") X(170, "vmx-vmfunc")          \
    X(171, "vmx-vmwrite-vmexit-fields") X(172, "vmx-vnmi") X(173, "vmx-vnmi-pending")          \
    X(174, "vmx-vpid") X(175, "vmx-wbinvd-exit") X(176, "vmx-xsaves")                          \
    X(177, "vmx-zero-len-inject") X(178, "wrmsrns") X(179, "xcrypt") X(180, "xcrypt-en")       \
    X(181, "xstore") X(182, "xstore-en") X(202, "hv-emsr-bitmap") \
    X(203, "hv-enforce-cpuid") X(204, "hv-evmcs") X(214, "hv-syndbg")                          \
    X(218, "hv-tlbflush-direct") X(223, "kvm-pv-enforce-cpuid") X(224, "xen-vapic")

/* CPUID 80000001, EDX: what AMD repeats there of leaf 1. */
enum { X86_REPEATED_OF_LEAF_1 = 0x0183f3ff };

typedef enum {
#define X(identifier, word, bit, name) X86_FEATURE_##identifier = X86_WORD_##word * 32 + (bit),
    X86_FEATURES(X)
#undef X
    X86_FEATURE_COUNT = X86_FEATURE_WORDS * 32,
    X86_FEATURE_NONE = X86_FEATURE_COUNT,
} X86Feature;

#endif
