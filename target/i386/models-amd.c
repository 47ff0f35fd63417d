/* SPDX-License-Identifier: MIT */
/* Processors that are nobody's, of AMD, and of Hygon and Zhaoxin. */
#include "target/i386/models.h"

/* clang-format off */
X86_MODEL(qemu32_v1, "qemu32-v1", "QEMU Virtual CPU version 2.5+",
    .vendor = X86_VENDOR_INTEL, .model_id = "QEMU Virtual CPU version 2.5+",
    .level = 4, .xlevel = 0x80000004, .family = 6, .model = 6, .stepping = 3, .caches = &x86_caches_intel_legacy,
    .features = "+apic +cmov +cx8 +de +fpu +fxsr +mce +mmx +msr +pae +pat +pge +pni +pse +sep +sse +sse2 +tsc")
X86_ALIAS(qemu32, "qemu32", "(alias configured by machine type)", qemu32_v1)
X86_MODEL(kvm32_v1, "kvm32-v1", "Common 32-bit KVM processor",
    .vendor = X86_VENDOR_INTEL, .model_id = "Common 32-bit KVM processor",
    .level = 5, .xlevel = 0x80000008, .family = 15, .model = 6, .stepping = 1, .caches = &x86_caches_intel_legacy, .base = &qemu32_v1,
    .features = "+clflush +mca +mtrr +pse36")
X86_ALIAS(kvm32, "kvm32", "(alias configured by machine type)", kvm32_v1)
X86_MODEL(qemu64_v1, "qemu64-v1", "QEMU Virtual CPU version 2.5+",
    .vendor = X86_VENDOR_AMD, .model_id = "QEMU Virtual CPU version 2.5+",
    .level = 0xd, .xlevel = 0x8000000a, .family = 15, .model = 107, .stepping = 1, .caches = &x86_caches_amd_legacy, .base = &kvm32_v1,
    .features = "+cx16 +lahf-lm +lm +nx +svm +syscall")
X86_ALIAS(qemu64, "qemu64", "(alias configured by machine type)", qemu64_v1)
X86_MODEL(kvm64_v1, "kvm64-v1", "Common KVM processor",
    .vendor = X86_VENDOR_INTEL, .model_id = "Common KVM processor",
    .level = 0xd, .xlevel = 0x80000008, .family = 15, .model = 6, .stepping = 1, .caches = &x86_caches_intel_legacy, .base = &qemu64_v1,
    .features = "-lahf-lm -svm")
X86_ALIAS(kvm64, "kvm64", "(alias configured by machine type)", kvm64_v1)
X86_MODEL(athlon_v1, "athlon-v1", "QEMU Virtual CPU version 2.5+",
    .vendor = X86_VENDOR_AMD, .model_id = "QEMU Virtual CPU version 2.5+",
    .level = 2, .xlevel = 0x80000008, .family = 6, .model = 2, .stepping = 3, .caches = &x86_caches_amd_legacy, .base = &kvm32_v1,
    .features = "+3dnow +3dnowext +mmxext -clflush -pni")
X86_ALIAS(athlon, "athlon", "(alias configured by machine type)", athlon_v1)
X86_MODEL(phenom_v1, "phenom-v1", "AMD Phenom(tm) 9550 Quad-Core Processor",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD Phenom(tm) 9550 Quad-Core Processor",
    .level = 5, .xlevel = 0x8000001a, .family = 16, .model = 2, .stepping = 3, .caches = &x86_caches_amd_legacy, .base = &qemu64_v1,
    .features = "+3dnow +3dnowext +abm +fxsr-opt +mmxext +monitor +npt +pdpe1gb +popcnt +rdtscp +sse4a")
X86_ALIAS(phenom, "phenom", "(alias configured by machine type)", phenom_v1)
X86_MODEL(opteron_g1_v1, "Opteron_G1-v1", "AMD Opteron 240 (Gen 1 Class Opteron)",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD Opteron 240 (Gen 1 Class Opteron)",
    .level = 5, .xlevel = 0x80000008, .family = 15, .model = 6, .stepping = 1, .caches = &x86_caches_amd_legacy, .base = &kvm64_v1,
    .features = "-cx16")
X86_ALIAS(opteron_g1, "Opteron_G1", "(alias configured by machine type)", opteron_g1_v1)
X86_MODEL(opteron_g2_v1, "Opteron_G2-v1", "AMD Opteron 22xx (Gen 2 Class Opteron)",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD Opteron 22xx (Gen 2 Class Opteron)",
    .level = 5, .xlevel = 0x8000000a, .family = 15, .model = 6, .stepping = 1, .caches = &x86_caches_amd_legacy, .base = &qemu64_v1,
    .features = "")
X86_ALIAS(opteron_g2, "Opteron_G2", "(alias configured by machine type)", opteron_g2_v1)
X86_MODEL(opteron_g3_v1, "Opteron_G3-v1", "AMD Opteron 23xx (Gen 3 Class Opteron)",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD Opteron 23xx (Gen 3 Class Opteron)",
    .level = 5, .xlevel = 0x8000000a, .family = 16, .model = 2, .stepping = 3, .caches = &x86_caches_amd_legacy, .base = &opteron_g2_v1,
    .features = "+abm +misalignsse +monitor +popcnt +rdtscp +sse4a")
X86_ALIAS(opteron_g3, "Opteron_G3", "(alias configured by machine type)", opteron_g3_v1)
X86_MODEL(opteron_g4_v1, "Opteron_G4-v1", "AMD Opteron 62xx class CPU",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD Opteron 62xx class CPU",
    .level = 0xd, .xlevel = 0x8000001a, .family = 21, .model = 1, .stepping = 2, .caches = &x86_caches_amd_legacy, .base = &opteron_g3_v1,
    .features = "+3dnowprefetch +aes +avx +fma4 +npt +nrip-save +pclmulqdq +pdpe1gb +sse4.1 +sse4.2 +ssse3 +xop "
                "+xsave -monitor")
X86_ALIAS(opteron_g4, "Opteron_G4", "(alias configured by machine type)", opteron_g4_v1)
X86_MODEL(opteron_g5_v1, "Opteron_G5-v1", "AMD Opteron 63xx class CPU",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD Opteron 63xx class CPU",
    .level = 0xd, .xlevel = 0x8000001a, .family = 21, .model = 2, .stepping = 0, .caches = &x86_caches_amd_legacy, .base = &opteron_g4_v1,
    .features = "+f16c +fma +tbm")
X86_ALIAS(opteron_g5, "Opteron_G5", "(alias configured by machine type)", opteron_g5_v1)
X86_MODEL(epyc_v1, "EPYC-v1", "AMD EPYC Processor",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD EPYC Processor",
    .level = 0xd, .xlevel = 0x8000001e, .family = 23, .model = 1, .stepping = 2, .caches = &x86_caches_epyc, .base = &opteron_g5_v1,
    .features = "+adx +arat +avx2 +bmi1 +bmi2 +clflushopt +cr8legacy +fsgsbase +fxsr-opt +mmxext +monitor +movbe "
                "+osvw +rdrand +rdseed +sha-ni +smap +smep +topoext +xgetbv1 +xsavec +xsaveopt -fma4 -tbm -xop")
X86_MODEL(epyc_v2, "EPYC-v2", "AMD EPYC Processor (with IBPB)",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD EPYC Processor (with IBPB)",
    .level = 0xd, .xlevel = 0x8000001e, .family = 23, .model = 1, .stepping = 2, .caches = &x86_caches_epyc, .base = &epyc_v1,
    .features = "+ibpb")
X86_MODEL(epyc_v3, "EPYC-v3", "AMD EPYC Processor",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD EPYC Processor",
    .level = 0xd, .xlevel = 0x8000001e, .family = 23, .model = 1, .stepping = 2, .caches = &x86_caches_epyc, .base = &epyc_v2,
    .features = "+clzero +perfctr-core +xsaveerptr +xsaves")
X86_MODEL(epyc_v4, "EPYC-v4", "AMD EPYC-v4 Processor",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD EPYC-v4 Processor",
    .level = 0xd, .xlevel = 0x8000001e, .family = 23, .model = 1, .stepping = 2, .caches = &x86_caches_epyc, .base = &epyc_v3,
    .features = "")
X86_MODEL(epyc_v5, "EPYC-v5", "AMD EPYC-v5 Processor",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD EPYC-v5 Processor",
    .level = 0xd, .xlevel = 0x8000001e, .family = 23, .model = 1, .stepping = 2, .caches = &x86_caches_epyc_v5, .base = &epyc_v4,
    .features = "+flushbyasid +lbrv +overflow-recov +pause-filter +pfthreshold +succor +tsc-scale +v-vmsave-vmload "
                "+vgif +vmcb-clean")
X86_ALIAS(epyc_ibpb, "EPYC-IBPB", "(alias of EPYC-v2)", epyc_v2)
X86_ALIAS(epyc, "EPYC", "(alias configured by machine type)", epyc_v1)
X86_MODEL(epyc_rome_v1, "EPYC-Rome-v1", "AMD EPYC-Rome Processor",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD EPYC-Rome Processor",
    .level = 0xd, .xlevel = 0x8000001e, .family = 23, .model = 49, .stepping = 0, .caches = &x86_caches_rome, .base = &epyc_v4,
    .features = "+amd-stibp +clwb +rdpid +umip +wbnoinvd")
X86_MODEL(epyc_rome_v2, "EPYC-Rome-v2", "AMD EPYC-Rome Processor",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD EPYC-Rome Processor",
    .level = 0xd, .xlevel = 0x8000001e, .family = 23, .model = 49, .stepping = 0, .caches = &x86_caches_rome, .base = &epyc_rome_v1,
    .features = "+amd-ssbd +ibrs")
X86_MODEL(epyc_rome_v3, "EPYC-Rome-v3", "AMD EPYC-Rome-v3 Processor",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD EPYC-Rome-v3 Processor",
    .level = 0xd, .xlevel = 0x8000001e, .family = 23, .model = 49, .stepping = 0, .caches = &x86_caches_rome, .base = &epyc_rome_v2,
    .features = "")
X86_MODEL(epyc_rome_v4, "EPYC-Rome-v4", "AMD EPYC-Rome-v4 Processor (no XSAVES)",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD EPYC-Rome-v4 Processor (no XSAVES)",
    .level = 0xd, .xlevel = 0x8000001e, .family = 23, .model = 49, .stepping = 0, .caches = &x86_caches_rome, .base = &epyc_rome_v3,
    .features = "-xsaves")
X86_MODEL(epyc_rome_v5, "EPYC-Rome-v5", "AMD EPYC-Rome-v5 Processor",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD EPYC-Rome-v5 Processor",
    .level = 0xd, .xlevel = 0x8000001e, .family = 23, .model = 49, .stepping = 0, .caches = &x86_caches_rome_v5, .base = &epyc_rome_v4,
    .features = "+flushbyasid +lbrv +overflow-recov +pause-filter +pfthreshold +succor +tsc-scale +v-vmsave-vmload "
                "+vgif +vmcb-clean")
X86_ALIAS(epyc_rome, "EPYC-Rome", "(alias configured by machine type)", epyc_rome_v1)
X86_MODEL(epyc_milan_v1, "EPYC-Milan-v1", "AMD EPYC-Milan Processor",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD EPYC-Milan Processor",
    .level = 0xd, .xlevel = 0x8000001e, .family = 25, .model = 1, .stepping = 1, .caches = &x86_caches_milan, .base = &epyc_rome_v3,
    .features = "+erms +fsrm +invpcid +pcid +pku +svme-addr-chk")
X86_MODEL(epyc_milan_v2, "EPYC-Milan-v2", "AMD EPYC-Milan-v2 Processor",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD EPYC-Milan-v2 Processor",
    .level = 0xd, .xlevel = 0x80000021, .family = 25, .model = 1, .stepping = 1, .caches = &x86_caches_milan, .base = &epyc_milan_v1,
    .features = "+amd-psfd +lfence-always-serializing +no-nested-data-bp +null-sel-clr-base +stibp-always-on +vaes "
                "+vpclmulqdq")
X86_MODEL(epyc_milan_v3, "EPYC-Milan-v3", "AMD EPYC-Milan-v3 Processor",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD EPYC-Milan-v3 Processor",
    .level = 0xd, .xlevel = 0x80000021, .family = 25, .model = 1, .stepping = 1, .caches = &x86_caches_milan_v3, .base = &epyc_milan_v2,
    .features = "+flushbyasid +lbrv +overflow-recov +pause-filter +pfthreshold +succor +tsc-scale +v-vmsave-vmload "
                "+vgif +vmcb-clean")
X86_MODEL(epyc_milan_v4, "EPYC-Milan-v4", "AMD EPYC-Milan-v4 Processor",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD EPYC-Milan-v4 Processor",
    .level = 0xd, .xlevel = 0x80000021, .family = 25, .model = 1, .stepping = 1, .caches = &x86_caches_milan_v3, .base = &epyc_milan_v3,
    .features = "+gmet")
X86_ALIAS(epyc_milan, "EPYC-Milan", "(alias configured by machine type)", epyc_milan_v1)
X86_MODEL(epyc_genoa_v1, "EPYC-Genoa-v1", "AMD EPYC-Genoa Processor",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD EPYC-Genoa Processor",
    .level = 0xd, .xlevel = 0x80000022, .family = 25, .model = 17, .stepping = 0, .caches = &x86_caches_genoa, .base = &epyc_milan_v2,
    .features = "+auto-ibrs +avx512-bf16 +avx512-vpopcntdq +avx512bitalg +avx512bw +avx512cd +avx512dq +avx512f "
                "+avx512ifma +avx512vbmi +avx512vbmi2 +avx512vl +avx512vnni +gfni +la57 +vnmi")
X86_MODEL(epyc_genoa_v2, "EPYC-Genoa-v2", "AMD EPYC-Genoa-v2 Processor",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD EPYC-Genoa-v2 Processor",
    .level = 0xd, .xlevel = 0x80000022, .family = 25, .model = 17, .stepping = 0, .caches = &x86_caches_genoa_v2, .base = &epyc_genoa_v1,
    .features = "+flushbyasid +fs-gs-base-ns +lbrv +overflow-recov +pause-filter +perfmon-v2 +pfthreshold +succor "
                "+tsc-scale +v-vmsave-vmload +vgif +vmcb-clean")
X86_MODEL(epyc_genoa_v3, "EPYC-Genoa-v3", "AMD EPYC-Genoa-v3 Processor",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD EPYC-Genoa-v3 Processor",
    .level = 0xd, .xlevel = 0x80000022, .family = 25, .model = 17, .stepping = 0, .caches = &x86_caches_genoa_v2, .base = &epyc_genoa_v2,
    .features = "+gmet")
X86_ALIAS(epyc_genoa, "EPYC-Genoa", "(alias configured by machine type)", epyc_genoa_v1)
X86_MODEL(epyc_turin_v1, "EPYC-Turin-v1", "AMD EPYC-Turin Processor",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD EPYC-Turin Processor",
    .level = 0xd, .xlevel = 0x80000022, .family = 26, .model = 0, .stepping = 0, .caches = &x86_caches_turin, .base = &epyc_genoa_v2,
    .features = "+avx-vnni +avx512-vp2intersect +ibpb-brtype +movdir64b +movdiri +prefetchi +sbpb "
                "+srso-user-kernel-no")
X86_MODEL(epyc_turin_v2, "EPYC-Turin-v2", "AMD EPYC-Turin-v2 Processor",
    .vendor = X86_VENDOR_AMD, .model_id = "AMD EPYC-Turin-v2 Processor",
    .level = 0xd, .xlevel = 0x80000022, .family = 26, .model = 0, .stepping = 0, .caches = &x86_caches_turin, .base = &epyc_turin_v1,
    .features = "+gmet")
X86_ALIAS(epyc_turin, "EPYC-Turin", "(alias configured by machine type)", epyc_turin_v1)
X86_MODEL(dhyana_v1, "Dhyana-v1", "Hygon Dhyana Processor",
    .vendor = X86_VENDOR_HYGON, .model_id = "Hygon Dhyana Processor",
    .level = 0xd, .xlevel = 0x8000001e, .family = 24, .model = 0, .stepping = 1, .caches = &x86_caches_dhyana, .base = &epyc_v2,
    .features = "-aes -pclmulqdq -sha-ni")
X86_MODEL(dhyana_v2, "Dhyana-v2", "Hygon Dhyana Processor [XSAVES]",
    .vendor = X86_VENDOR_HYGON, .model_id = "Hygon Dhyana Processor",
    .level = 0xd, .xlevel = 0x8000001e, .family = 24, .model = 0, .stepping = 1, .caches = &x86_caches_dhyana, .base = &dhyana_v1,
    .features = "+xsaves")
X86_ALIAS(dhyana, "Dhyana", "(alias configured by machine type)", dhyana_v1)
X86_MODEL(yongfeng_v1, "YongFeng-v1", "Zhaoxin YongFeng Processor",
    .vendor = X86_VENDOR_CENTAUR, .model_id = "Zhaoxin YongFeng Processor",
    .level = 0x1f, .xlevel = 0x80000008, .family = 7, .model = 11, .stepping = 3, .caches = &x86_caches_zhaoxin_legacy, .base = &epyc_v1,
    .features = "+ace2 +acpi +arch-capabilities +invpcid +invtsc +pcid +phe +phe-en +pku +pmm +pmm-en +rdpid "
                "+spec-ctrl +ss +tsc-deadline +umip +x2apic +xcrypt +xcrypt-en +xstore +xstore-en -arat -clflushopt "
                "-cr8legacy -fxsr-opt -misalignsse -mmxext -npt -nrip-save -osvw -sse4a -svm -topoext -xgetbv1 "
                "-xsavec")
X86_MODEL(yongfeng_v2, "YongFeng-v2", "Zhaoxin YongFeng Processor [with the correct model number]",
    .vendor = X86_VENDOR_CENTAUR, .model_id = "Zhaoxin YongFeng Processor",
    .level = 0x1f, .xlevel = 0x80000008, .family = 7, .model = 91, .stepping = 3, .caches = &x86_caches_zhaoxin_legacy, .base = &yongfeng_v1,
    .features = "")
X86_MODEL(yongfeng_v3, "YongFeng-v3", "Zhaoxin YongFeng Processor [with the cache model and 0x1f leaf]",
    .vendor = X86_VENDOR_CENTAUR, .model_id = "Zhaoxin YongFeng Processor",
    .level = 0x1f, .xlevel = 0x80000008, .family = 7, .model = 91, .stepping = 3, .caches = &x86_caches_yongfeng, .base = &yongfeng_v2, .leaf_1f = true,
    .features = "")
X86_ALIAS(yongfeng, "YongFeng", "(alias configured by machine type)", yongfeng_v1)
