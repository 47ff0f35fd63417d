/* SPDX-License-Identifier: MIT */
/* Architecture extensions that a CPU model may have and -cpu NAME,feature=on|off switches. */
#ifndef TARGET_ARM_CPU_FEATURES_H
#define TARGET_ARM_CPU_FEATURES_H

/* X(identifier, name for -cpu, what it is) */
#define ARM_FEATURES(X)                                                                            \
    X(AES, "aes", "AESE, AESD, AESMC, AESIMC")                                                     \
    X(PMULL, "pmull", "64-bit polynomial multiply")                                                \
    X(SHA1, "sha1", "SHA-1 instructions")                                                          \
    X(SHA256, "sha256", "SHA-256 instructions")                                                    \
    X(SHA512, "sha512", "SHA-512 instructions")                                                    \
    X(SHA3, "sha3", "EOR3, RAX1, XAR, BCAX")                                                       \
    X(SM3, "sm3", "SM3 instructions")                                                              \
    X(SM4, "sm4", "SM4 instructions")                                                              \
    X(CRC32, "crc32", "CRC32 and CRC32C")                                                          \
    X(LSE, "lse", "atomic memory operations")                                                      \
    X(RDM, "rdm", "SQRDMLAH, SQRDMLSH")                                                            \
    X(PAN, "pan", "privileged access never")                                                       \
    X(PAN2, "pan2", "AT S1E1RP, AT S1E1WP")                                                        \
    X(UAO, "uao", "user access override")                                                          \
    X(DPB, "dpb", "DC CVAP")                                                                       \
    X(DPB2, "dpb2", "DC CVADP")                                                                    \
    X(LRCPC, "lrcpc", "LDAPR")                                                                     \
    X(LRCPC2, "lrcpc2", "LDAPUR, STLUR")                                                           \
    X(FP16, "fp16", "half-precision arithmetic")                                                   \
    X(DOTPROD, "dotprod", "SDOT, UDOT")                                                            \
    X(FCMA, "fcma", "FCADD, FCMLA")                                                                \
    X(JSCVT, "jscvt", "FJCVTZS")                                                                   \
    X(FHM, "fhm", "FMLAL, FMLSL")                                                                  \
    X(FLAGM, "flagm", "CFINV, RMIF, SETF8, SETF16")                                                \
    X(FLAGM2, "flagm2", "AXFLAG, XAFLAG")                                                          \
    X(FRINTTS, "frintts", "FRINT32Z …")                                                            \
    X(SB, "sb", "speculation barrier")                                                             \
    X(SSBS, "ssbs", "speculative store bypass control")                                            \
    X(SSBS2, "ssbs2", "MSR and MRS of SSBS")                                                       \
    X(SPECRES, "specres", "CFP, DVP, CPP")                                                         \
    X(BTI, "bti", "branch target identification")                                                  \
    X(PAUTH, "pauth", "pointer authentication")                                                    \
    X(PAUTH_IMPDEF, "pauth-impdef", "the fast implementation-defined algorithm")                   \
    X(PAUTH_QARMA3, "pauth-qarma3", "the QARMA3 algorithm; without both, QARMA5")                  \
    X(I8MM, "i8mm", "8-bit integer matrix multiply")                                               \
    X(BF16, "bf16", "BFloat16")                                                                    \
    X(RNG, "rng", "RNDR, RNDRRS")                                                                  \
    X(MOPS, "mops", "memory copy and set")                                                         \
    X(WFXT, "wfxt", "WFET, WFIT")                                                                  \
    X(TTL, "ttl", "TLBI level hint")                                                               \
    X(TLBIOS, "tlbios", "outer shareable TLBI")                                                    \
    X(TLBIRANGE, "tlbirange", "TLBI by range")                                                     \
    X(TTCNP, "ttcnp", "common not private translations")                                           \
    X(E0PD, "e0pd", "no EL0 access to half of the address space")                                  \
    X(HAFDBS, "hafdbs", "hardware access flag and dirty state")                                    \
    X(HPDS, "hpds", "hierarchical permission disables")                                            \
    X(ST, "ttst", "small translation tables")                                                      \
    X(PMU, "pmu", "performance monitors")

typedef enum {
#define X(identifier, name, summary) FEAT_##identifier,
    ARM_FEATURES(X)
#undef X
    ARM_FEATURE_COUNT
} ArmFeature;

#endif
