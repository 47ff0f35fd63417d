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
    X86_FEATURE_WORDS,
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
    X(AUTO_IBRS, 8000_0021_EAX, 8, "auto-ibrs")

typedef enum {
#define X(identifier, word, bit, name) X86_FEATURE_##identifier = X86_WORD_##word * 32 + (bit),
    X86_FEATURES(X)
#undef X
    X86_FEATURE_COUNT = X86_FEATURE_WORDS * 32,
    X86_FEATURE_NONE = X86_FEATURE_COUNT,
} X86Feature;

#endif
