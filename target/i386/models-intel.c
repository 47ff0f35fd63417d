/* SPDX-License-Identifier: MIT */
/* Processors of Intel, as -cpu names them. */
#include "target/i386/models.h"

/* clang-format off */
X86_MODEL(i486_v1, "486-v1", "",
    .vendor = X86_VENDOR_INTEL, .model_id = "",
    .level = 1, .xlevel = 0, .family = 4, .model = 8, .stepping = 0, .caches = &x86_caches_intel_legacy,
    .features = "+fpu +pse")
X86_ALIAS(i486, "486", "(alias configured by machine type)", i486_v1)
X86_MODEL(pentium_v1, "pentium-v1", "",
    .vendor = X86_VENDOR_INTEL, .model_id = "",
    .level = 1, .xlevel = 0, .family = 5, .model = 4, .stepping = 3, .caches = &x86_caches_intel_legacy,
    .features = "+apic +cx8 +de +fpu +mce +mmx +msr +pse +tsc")
X86_ALIAS(pentium, "pentium", "(alias configured by machine type)", pentium_v1)
X86_MODEL(pentium2_v1, "pentium2-v1", "",
    .vendor = X86_VENDOR_INTEL, .model_id = "",
    .level = 2, .xlevel = 0, .family = 6, .model = 5, .stepping = 2, .caches = &x86_caches_intel_legacy, .base = &pentium_v1,
    .features = "+cmov +fxsr +mca +mtrr +pae +pat +pge +pse36 +sep")
X86_ALIAS(pentium2, "pentium2", "(alias configured by machine type)", pentium2_v1)
X86_MODEL(pentium3_v1, "pentium3-v1", "",
    .vendor = X86_VENDOR_INTEL, .model_id = "",
    .level = 3, .xlevel = 0, .family = 6, .model = 7, .stepping = 3, .caches = &x86_caches_intel_legacy, .base = &pentium2_v1,
    .features = "+sse")
X86_ALIAS(pentium3, "pentium3", "(alias configured by machine type)", pentium3_v1)
X86_MODEL(coreduo_v1, "coreduo-v1", "Genuine Intel(R) CPU           T2600  @ 2.16GHz",
    .vendor = X86_VENDOR_INTEL, .model_id = "Genuine Intel(R) CPU           T2600  @ 2.16GHz",
    .level = 0xa, .xlevel = 0x80000008, .family = 6, .model = 14, .stepping = 8, .caches = &x86_caches_intel_legacy, .base = &pentium3_v1,
    .features = "+acpi +clflush +monitor +nx +pni +ss +sse2 -pse36")
X86_ALIAS(coreduo, "coreduo", "(alias configured by machine type)", coreduo_v1)
X86_MODEL(n270_v1, "n270-v1", "Intel(R) Atom(TM) CPU N270   @ 1.60GHz",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel(R) Atom(TM) CPU N270   @ 1.60GHz",
    .level = 0xa, .xlevel = 0x80000008, .family = 6, .model = 28, .stepping = 2, .caches = &x86_caches_intel_legacy, .base = &coreduo_v1,
    .features = "+lahf-lm +movbe +ssse3")
X86_ALIAS(n270, "n270", "(alias configured by machine type)", n270_v1)
X86_MODEL(core2duo_v1, "core2duo-v1", "Intel(R) Core(TM)2 Duo CPU     T7700  @ 2.40GHz",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel(R) Core(TM)2 Duo CPU     T7700  @ 2.40GHz",
    .level = 0xa, .xlevel = 0x80000008, .family = 6, .model = 15, .stepping = 11, .caches = &x86_caches_intel_legacy, .base = &n270_v1,
    .features = "+cx16 +lm +pse36 +syscall -movbe")
X86_ALIAS(core2duo, "core2duo", "(alias configured by machine type)", core2duo_v1)
X86_MODEL(conroe_v1, "Conroe-v1", "Intel Celeron_4x0 (Conroe/Merom Class Core 2)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Celeron_4x0 (Conroe/Merom Class Core 2)",
    .level = 0xa, .xlevel = 0x80000008, .family = 6, .model = 15, .stepping = 3, .caches = &x86_caches_intel_legacy, .base = &core2duo_v1,
    .features = "-acpi -cx16 -monitor -ss")
X86_ALIAS(conroe, "Conroe", "(alias configured by machine type)", conroe_v1)
X86_MODEL(penryn_v1, "Penryn-v1", "Intel Core 2 Duo P9xxx (Penryn Class Core 2)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Core 2 Duo P9xxx (Penryn Class Core 2)",
    .level = 0xa, .xlevel = 0x80000008, .family = 6, .model = 23, .stepping = 3, .caches = &x86_caches_intel_legacy, .base = &conroe_v1,
    .features = "+cx16 +sse4.1")
X86_ALIAS(penryn, "Penryn", "(alias configured by machine type)", penryn_v1)
X86_MODEL(nehalem_v1, "Nehalem-v1", "Intel Core i7 9xx (Nehalem Class Core i7)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Core i7 9xx (Nehalem Class Core i7)",
    .level = 0xb, .xlevel = 0x80000008, .family = 6, .model = 26, .stepping = 3, .caches = &x86_caches_intel_legacy, .base = &penryn_v1,
    .features = "+popcnt +sse4.2")
X86_MODEL(nehalem_v2, "Nehalem-v2", "Intel Core i7 9xx (Nehalem Core i7, IBRS update)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Core i7 9xx (Nehalem Core i7, IBRS update)",
    .level = 0xb, .xlevel = 0x80000008, .family = 6, .model = 26, .stepping = 3, .caches = &x86_caches_intel_legacy, .base = &nehalem_v1,
    .features = "+spec-ctrl")
X86_ALIAS(nehalem_ibrs, "Nehalem-IBRS", "(alias of Nehalem-v2)", nehalem_v2)
X86_ALIAS(nehalem, "Nehalem", "(alias configured by machine type)", nehalem_v1)
X86_MODEL(westmere_v1, "Westmere-v1", "Westmere E56xx/L56xx/X56xx (Nehalem-C)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Westmere E56xx/L56xx/X56xx (Nehalem-C)",
    .level = 0xb, .xlevel = 0x80000008, .family = 6, .model = 44, .stepping = 1, .caches = &x86_caches_intel_legacy, .base = &nehalem_v1,
    .features = "+aes +arat +pclmulqdq")
X86_MODEL(westmere_v2, "Westmere-v2", "Westmere E56xx/L56xx/X56xx (IBRS update)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Westmere E56xx/L56xx/X56xx (IBRS update)",
    .level = 0xb, .xlevel = 0x80000008, .family = 6, .model = 44, .stepping = 1, .caches = &x86_caches_intel_legacy, .base = &westmere_v1,
    .features = "+spec-ctrl")
X86_ALIAS(westmere_ibrs, "Westmere-IBRS", "(alias of Westmere-v2)", westmere_v2)
X86_ALIAS(westmere, "Westmere", "(alias configured by machine type)", westmere_v1)
X86_MODEL(sandybridge_v1, "SandyBridge-v1", "Intel Xeon E312xx (Sandy Bridge)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon E312xx (Sandy Bridge)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 42, .stepping = 1, .caches = &x86_caches_intel_legacy, .base = &westmere_v1,
    .features = "+avx +rdtscp +tsc-deadline +x2apic +xsave +xsaveopt")
X86_MODEL(sandybridge_v2, "SandyBridge-v2", "Intel Xeon E312xx (Sandy Bridge, IBRS update)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon E312xx (Sandy Bridge, IBRS update)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 42, .stepping = 1, .caches = &x86_caches_intel_legacy, .base = &sandybridge_v1,
    .features = "+spec-ctrl")
X86_ALIAS(sandybridge_ibrs, "SandyBridge-IBRS", "(alias of SandyBridge-v2)", sandybridge_v2)
X86_ALIAS(sandybridge, "SandyBridge", "(alias configured by machine type)", sandybridge_v1)
X86_MODEL(ivybridge_v1, "IvyBridge-v1", "Intel Xeon E3-12xx v2 (Ivy Bridge)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon E3-12xx v2 (Ivy Bridge)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 58, .stepping = 9, .caches = &x86_caches_intel_legacy, .base = &sandybridge_v1,
    .features = "+erms +f16c +fsgsbase +rdrand +smep")
X86_MODEL(ivybridge_v2, "IvyBridge-v2", "Intel Xeon E3-12xx v2 (Ivy Bridge, IBRS)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon E3-12xx v2 (Ivy Bridge, IBRS)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 58, .stepping = 9, .caches = &x86_caches_intel_legacy, .base = &ivybridge_v1,
    .features = "+spec-ctrl")
X86_ALIAS(ivybridge_ibrs, "IvyBridge-IBRS", "(alias of IvyBridge-v2)", ivybridge_v2)
X86_ALIAS(ivybridge, "IvyBridge", "(alias configured by machine type)", ivybridge_v1)
X86_MODEL(haswell_v1, "Haswell-v1", "Intel Core Processor (Haswell)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Core Processor (Haswell)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 60, .stepping = 4, .caches = &x86_caches_intel_legacy, .base = &ivybridge_v1,
    .features = "+abm +avx2 +bmi1 +bmi2 +fma +hle +invpcid +movbe +pcid +rtm")
X86_MODEL(haswell_v2, "Haswell-v2", "Intel Core Processor (Haswell, no TSX)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Core Processor (Haswell, no TSX)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 60, .stepping = 1, .caches = &x86_caches_intel_legacy, .base = &haswell_v1,
    .features = "-hle -rtm")
X86_MODEL(haswell_v3, "Haswell-v3", "Intel Core Processor (Haswell, IBRS)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Core Processor (Haswell, IBRS)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 60, .stepping = 4, .caches = &x86_caches_intel_legacy, .base = &haswell_v1,
    .features = "+spec-ctrl")
X86_MODEL(haswell_v4, "Haswell-v4", "Intel Core Processor (Haswell, no TSX, IBRS)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Core Processor (Haswell, no TSX, IBRS)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 60, .stepping = 1, .caches = &x86_caches_intel_legacy, .base = &haswell_v2,
    .features = "+spec-ctrl")
X86_ALIAS(haswell_notsx_ibrs, "Haswell-noTSX-IBRS", "(alias of Haswell-v4)", haswell_v4)
X86_ALIAS(haswell_notsx, "Haswell-noTSX", "(alias of Haswell-v2)", haswell_v2)
X86_ALIAS(haswell_ibrs, "Haswell-IBRS", "(alias of Haswell-v3)", haswell_v3)
X86_ALIAS(haswell, "Haswell", "(alias configured by machine type)", haswell_v1)
X86_MODEL(broadwell_v1, "Broadwell-v1", "Intel Core Processor (Broadwell)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Core Processor (Broadwell)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 61, .stepping = 2, .caches = &x86_caches_intel_legacy, .base = &haswell_v1,
    .features = "+3dnowprefetch +adx +rdseed +smap")
X86_MODEL(broadwell_v2, "Broadwell-v2", "Intel Core Processor (Broadwell, no TSX)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Core Processor (Broadwell, no TSX)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 61, .stepping = 2, .caches = &x86_caches_intel_legacy, .base = &broadwell_v1,
    .features = "-hle -rtm")
X86_MODEL(broadwell_v3, "Broadwell-v3", "Intel Core Processor (Broadwell, IBRS)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Core Processor (Broadwell, IBRS)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 61, .stepping = 2, .caches = &x86_caches_intel_legacy, .base = &broadwell_v1,
    .features = "+spec-ctrl")
X86_MODEL(broadwell_v4, "Broadwell-v4", "Intel Core Processor (Broadwell, no TSX, IBRS)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Core Processor (Broadwell, no TSX, IBRS)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 61, .stepping = 2, .caches = &x86_caches_intel_legacy, .base = &broadwell_v2,
    .features = "+spec-ctrl")
X86_ALIAS(broadwell_notsx_ibrs, "Broadwell-noTSX-IBRS", "(alias of Broadwell-v4)", broadwell_v4)
X86_ALIAS(broadwell_notsx, "Broadwell-noTSX", "(alias of Broadwell-v2)", broadwell_v2)
X86_ALIAS(broadwell_ibrs, "Broadwell-IBRS", "(alias of Broadwell-v3)", broadwell_v3)
X86_ALIAS(broadwell, "Broadwell", "(alias configured by machine type)", broadwell_v1)
X86_MODEL(skylake_client_v1, "Skylake-Client-v1", "Intel Core Processor (Skylake)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Core Processor (Skylake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 94, .stepping = 3, .caches = &x86_caches_intel_legacy, .base = &broadwell_v1,
    .features = "+xgetbv1 +xsavec")
X86_MODEL(skylake_client_v2, "Skylake-Client-v2", "Intel Core Processor (Skylake, IBRS)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Core Processor (Skylake, IBRS)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 94, .stepping = 3, .caches = &x86_caches_intel_legacy, .base = &skylake_client_v1,
    .features = "+spec-ctrl")
X86_MODEL(skylake_client_v3, "Skylake-Client-v3", "Intel Core Processor (Skylake, IBRS, no TSX)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Core Processor (Skylake, IBRS, no TSX)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 94, .stepping = 3, .caches = &x86_caches_intel_legacy, .base = &skylake_client_v2,
    .features = "-hle -rtm")
X86_MODEL(skylake_client_v4, "Skylake-Client-v4", "Intel Core Processor (Skylake, IBRS, no TSX) [IBRS, XSAVES, no TSX]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Core Processor (Skylake, IBRS, no TSX)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 94, .stepping = 3, .caches = &x86_caches_intel_legacy, .base = &skylake_client_v3,
    .features = "+xsaves")
X86_ALIAS(skylake_client_notsx_ibrs, "Skylake-Client-noTSX-IBRS", "(alias of Skylake-Client-v3)", skylake_client_v3)
X86_ALIAS(skylake_client_ibrs, "Skylake-Client-IBRS", "(alias of Skylake-Client-v2)", skylake_client_v2)
X86_ALIAS(skylake_client, "Skylake-Client", "(alias configured by machine type)", skylake_client_v1)
X86_MODEL(skylake_server_v1, "Skylake-Server-v1", "Intel Xeon Processor (Skylake)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Skylake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 85, .stepping = 4, .caches = &x86_caches_intel_legacy, .base = &skylake_client_v1,
    .features = "+avx512bw +avx512cd +avx512dq +avx512f +avx512vl +clflushopt +clwb +pdpe1gb +pku")
X86_MODEL(skylake_server_v2, "Skylake-Server-v2", "Intel Xeon Processor (Skylake, IBRS)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Skylake, IBRS)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 85, .stepping = 4, .caches = &x86_caches_intel_legacy, .base = &skylake_server_v1,
    .features = "+spec-ctrl -clflushopt")
X86_MODEL(skylake_server_v3, "Skylake-Server-v3", "Intel Xeon Processor (Skylake, IBRS, no TSX)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Skylake, IBRS, no TSX)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 85, .stepping = 4, .caches = &x86_caches_intel_legacy, .base = &skylake_server_v2,
    .features = "-hle -rtm")
X86_MODEL(skylake_server_v4, "Skylake-Server-v4", "Intel Xeon Processor (Skylake, IBRS, no TSX) [IBRS, EPT switching, no TSX]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Skylake, IBRS, no TSX)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 85, .stepping = 4, .caches = &x86_caches_intel_legacy, .base = &skylake_server_v3,
    .features = "")
X86_MODEL(skylake_server_v5, "Skylake-Server-v5", "Intel Xeon Processor (Skylake, IBRS, no TSX) [IBRS, XSAVES, EPT switching, no TSX]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Skylake, IBRS, no TSX)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 85, .stepping = 4, .caches = &x86_caches_intel_legacy, .base = &skylake_server_v4,
    .features = "+xsaves")
X86_MODEL(skylake_server_v6, "Skylake-Server-v6", "Intel Xeon Processor (Skylake, IBRS, no TSX) [with MBEC enabled]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Skylake, IBRS, no TSX)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 85, .stepping = 4, .caches = &x86_caches_intel_legacy, .base = &skylake_server_v5,
    .features = "")
X86_ALIAS(skylake_server_notsx_ibrs, "Skylake-Server-noTSX-IBRS", "(alias of Skylake-Server-v3)", skylake_server_v3)
X86_ALIAS(skylake_server_ibrs, "Skylake-Server-IBRS", "(alias of Skylake-Server-v2)", skylake_server_v2)
X86_ALIAS(skylake_server, "Skylake-Server", "(alias configured by machine type)", skylake_server_v1)
X86_MODEL(cascadelake_server_v1, "Cascadelake-Server-v1", "Intel Xeon Processor (Cascadelake)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Cascadelake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 85, .stepping = 6, .caches = &x86_caches_intel_legacy, .base = &skylake_server_v2,
    .features = "+avx512vnni +clflushopt +ssbd")
X86_MODEL(cascadelake_server_v2, "Cascadelake-Server-v2", "Intel Xeon Processor (Cascadelake) [ARCH_CAPABILITIES]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Cascadelake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 85, .stepping = 6, .caches = &x86_caches_intel_legacy, .base = &cascadelake_server_v1,
    .features = "+arch-capabilities")
X86_MODEL(cascadelake_server_v3, "Cascadelake-Server-v3", "Intel Xeon Processor (Cascadelake) [ARCH_CAPABILITIES, no TSX]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Cascadelake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 85, .stepping = 6, .caches = &x86_caches_intel_legacy, .base = &cascadelake_server_v2,
    .features = "-hle -rtm")
X86_MODEL(cascadelake_server_v4, "Cascadelake-Server-v4", "Intel Xeon Processor (Cascadelake) [ARCH_CAPABILITIES, EPT switching, no TSX]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Cascadelake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 85, .stepping = 6, .caches = &x86_caches_intel_legacy, .base = &cascadelake_server_v3,
    .features = "")
X86_MODEL(cascadelake_server_v5, "Cascadelake-Server-v5", "Intel Xeon Processor (Cascadelake) [ARCH_CAPABILITIES, EPT switching, XSAVES, no TSX]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Cascadelake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 85, .stepping = 6, .caches = &x86_caches_intel_legacy, .base = &cascadelake_server_v4,
    .features = "+xsaves")
X86_MODEL(cascadelake_server_v6, "Cascadelake-Server-v6", "Intel Xeon Processor (Cascadelake) [with MMIO/GDS/RFDS mitigation status]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Cascadelake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 85, .stepping = 6, .caches = &x86_caches_intel_legacy, .base = &cascadelake_server_v5,
    .features = "")
X86_MODEL(cascadelake_server_v7, "Cascadelake-Server-v7", "Intel Xeon Processor (Cascadelake) [with MBEC enabled]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Cascadelake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 85, .stepping = 6, .caches = &x86_caches_intel_legacy, .base = &cascadelake_server_v6,
    .features = "")
X86_ALIAS(cascadelake_server_notsx, "Cascadelake-Server-noTSX", "(alias of Cascadelake-Server-v3)", cascadelake_server_v3)
X86_ALIAS(cascadelake_server, "Cascadelake-Server", "(alias configured by machine type)", cascadelake_server_v1)
X86_MODEL(cooperlake_v1, "Cooperlake-v1", "Intel Xeon Processor (Cooperlake)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Cooperlake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 85, .stepping = 10, .caches = &x86_caches_intel_legacy, .base = &cascadelake_server_v2,
    .features = "+avx512-bf16 +stibp")
X86_MODEL(cooperlake_v2, "Cooperlake-v2", "Intel Xeon Processor (Cooperlake) [XSAVES]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Cooperlake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 85, .stepping = 10, .caches = &x86_caches_intel_legacy, .base = &cooperlake_v1,
    .features = "+xsaves")
X86_ALIAS(cooperlake, "Cooperlake", "(alias configured by machine type)", cooperlake_v1)
X86_MODEL(icelake_server_v1, "Icelake-Server-v1", "Intel Xeon Processor (Icelake)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Icelake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 134, .stepping = 0, .caches = &x86_caches_intel_legacy, .base = &cascadelake_server_v1,
    .features = "+avx512-vpopcntdq +avx512bitalg +avx512vbmi +avx512vbmi2 +gfni +la57 +umip +vaes +vpclmulqdq "
                "+wbnoinvd")
X86_MODEL(icelake_server_v2, "Icelake-Server-v2", "Intel Xeon Processor (Icelake) [no TSX]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Icelake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 134, .stepping = 0, .caches = &x86_caches_intel_legacy, .base = &icelake_server_v1,
    .features = "-hle -rtm")
X86_MODEL(icelake_server_v3, "Icelake-Server-v3", "Intel Xeon Processor (Icelake)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Icelake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 134, .stepping = 0, .caches = &x86_caches_intel_legacy, .base = &icelake_server_v2,
    .features = "+arch-capabilities")
X86_MODEL(icelake_server_v4, "Icelake-Server-v4", "Intel Xeon Processor (Icelake)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Icelake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 106, .stepping = 0, .caches = &x86_caches_intel_legacy, .base = &icelake_server_v3,
    .features = "+avx512ifma +fsrm +rdpid +sha-ni")
X86_MODEL(icelake_server_v5, "Icelake-Server-v5", "Intel Xeon Processor (Icelake) [XSAVES]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Icelake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 106, .stepping = 0, .caches = &x86_caches_intel_legacy, .base = &icelake_server_v4,
    .features = "+xsaves")
X86_MODEL(icelake_server_v6, "Icelake-Server-v6", "Intel Xeon Processor (Icelake) [5-level EPT]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Icelake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 106, .stepping = 0, .caches = &x86_caches_intel_legacy, .base = &icelake_server_v5,
    .features = "")
X86_MODEL(icelake_server_v7, "Icelake-Server-v7", "Intel Xeon Processor (Icelake) [TSX, taa-no]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Icelake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 106, .stepping = 0, .caches = &x86_caches_intel_legacy, .base = &icelake_server_v6,
    .features = "+hle +rtm")
X86_MODEL(icelake_server_v8, "Icelake-Server-v8", "Intel Xeon Processor (Icelake) [with MMIO/GDS/RFDS mitigation status]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Icelake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 106, .stepping = 0, .caches = &x86_caches_intel_legacy, .base = &icelake_server_v7,
    .features = "")
X86_MODEL(icelake_server_v9, "Icelake-Server-v9", "Intel Xeon Processor (Icelake) [with MBEC enabled]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (Icelake)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 106, .stepping = 0, .caches = &x86_caches_intel_legacy, .base = &icelake_server_v8,
    .features = "")
X86_ALIAS(icelake_server_notsx, "Icelake-Server-noTSX", "(alias of Icelake-Server-v2)", icelake_server_v2)
X86_ALIAS(icelake_server, "Icelake-Server", "(alias configured by machine type)", icelake_server_v1)
X86_MODEL(sapphirerapids_v1, "SapphireRapids-v1", "Intel Xeon Processor (SapphireRapids)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (SapphireRapids)",
    .level = 0x20, .xlevel = 0x80000008, .family = 6, .model = 143, .stepping = 4, .caches = &x86_caches_intel_legacy, .base = &icelake_server_v9,
    .features = "+amx-bf16 +amx-int8 +amx-tile +avx-vnni +avx512-bf16 +avx512-fp16 +bus-lock-detect +fsrc +fsrs +fzrm "
                "+serialize +tsx-ldtrk +xfd")
X86_MODEL(sapphirerapids_v2, "SapphireRapids-v2", "Intel Xeon Processor (SapphireRapids)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (SapphireRapids)",
    .level = 0x20, .xlevel = 0x80000008, .family = 6, .model = 143, .stepping = 4, .caches = &x86_caches_intel_legacy, .base = &sapphirerapids_v1,
    .features = "")
X86_MODEL(sapphirerapids_v3, "SapphireRapids-v3", "Intel Xeon Processor (SapphireRapids)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (SapphireRapids)",
    .level = 0x20, .xlevel = 0x80000008, .family = 6, .model = 143, .stepping = 4, .caches = &x86_caches_intel_legacy, .base = &sapphirerapids_v2,
    .features = "+cldemote +movdir64b +movdiri +ss +tsc-adjust")
X86_MODEL(sapphirerapids_v4, "SapphireRapids-v4", "Intel Xeon Processor (SapphireRapids) [with spr-sp cache model and 0x1f leaf]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (SapphireRapids)",
    .level = 0x20, .xlevel = 0x80000008, .family = 6, .model = 143, .stepping = 4, .caches = &x86_caches_sapphirerapids, .base = &sapphirerapids_v3, .leaf_1f = true,
    .features = "")
X86_MODEL(sapphirerapids_v5, "SapphireRapids-v5", "Intel Xeon Processor (SapphireRapids) [with cet-ss and cet-ibt]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (SapphireRapids)",
    .level = 0x20, .xlevel = 0x80000008, .family = 6, .model = 143, .stepping = 4, .caches = &x86_caches_sapphirerapids, .base = &sapphirerapids_v4, .leaf_1f = true,
    .features = "+cet-ibt +cet-ss")
X86_MODEL(sapphirerapids_v6, "SapphireRapids-v6", "Intel Xeon Processor (SapphireRapids) [with its-no]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (SapphireRapids)",
    .level = 0x20, .xlevel = 0x80000008, .family = 6, .model = 143, .stepping = 4, .caches = &x86_caches_sapphirerapids, .base = &sapphirerapids_v5, .leaf_1f = true,
    .features = "")
X86_MODEL(sapphirerapids_v7, "SapphireRapids-v7", "Intel Xeon Processor (SapphireRapids) [with GDS and RFDS mitigation status]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (SapphireRapids)",
    .level = 0x20, .xlevel = 0x80000008, .family = 6, .model = 143, .stepping = 4, .caches = &x86_caches_sapphirerapids, .base = &sapphirerapids_v6, .leaf_1f = true,
    .features = "")
X86_MODEL(sapphirerapids_v8, "SapphireRapids-v8", "Intel Xeon Processor (SapphireRapids) [with MBEC enabled]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (SapphireRapids)",
    .level = 0x20, .xlevel = 0x80000008, .family = 6, .model = 143, .stepping = 4, .caches = &x86_caches_sapphirerapids, .base = &sapphirerapids_v7, .leaf_1f = true,
    .features = "")
X86_ALIAS(sapphirerapids, "SapphireRapids", "(alias configured by machine type)", sapphirerapids_v1)
X86_MODEL(graniterapids_v1, "GraniteRapids-v1", "Intel Xeon Processor (GraniteRapids)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (GraniteRapids)",
    .level = 0x20, .xlevel = 0x80000008, .family = 6, .model = 173, .stepping = 0, .caches = &x86_caches_intel_legacy, .base = &sapphirerapids_v2,
    .features = "+amx-fp16 +mcdt-no +prefetchiti")
X86_MODEL(graniterapids_v2, "GraniteRapids-v2", "Intel Xeon Processor (GraniteRapids)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (GraniteRapids)",
    .level = 0x24, .xlevel = 0x80000008, .family = 6, .model = 173, .stepping = 1, .caches = &x86_caches_intel_legacy, .base = &graniterapids_v1,
    .features = "+avx10 +avx10-128 +avx10-256 +avx10-512 +cldemote +movdir64b +movdiri +ss +tsc-adjust")
X86_MODEL(graniterapids_v3, "GraniteRapids-v3", "Intel Xeon Processor (GraniteRapids) [with gnr-sp cache model and 0x1f leaf]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (GraniteRapids)",
    .level = 0x24, .xlevel = 0x80000008, .family = 6, .model = 173, .stepping = 1, .caches = &x86_caches_graniterapids, .base = &graniterapids_v2, .leaf_1f = true,
    .features = "")
X86_MODEL(graniterapids_v4, "GraniteRapids-v4", "Intel Xeon Processor (GraniteRapids) [with cet-ss and cet-ibt]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (GraniteRapids)",
    .level = 0x24, .xlevel = 0x80000008, .family = 6, .model = 173, .stepping = 1, .caches = &x86_caches_graniterapids, .base = &graniterapids_v3, .leaf_1f = true,
    .features = "+cet-ibt +cet-ss")
X86_MODEL(graniterapids_v5, "GraniteRapids-v5", "Intel Xeon Processor (GraniteRapids) [with its-no]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (GraniteRapids)",
    .level = 0x24, .xlevel = 0x80000008, .family = 6, .model = 173, .stepping = 1, .caches = &x86_caches_graniterapids, .base = &graniterapids_v4, .leaf_1f = true,
    .features = "")
X86_MODEL(graniterapids_v6, "GraniteRapids-v6", "Intel Xeon Processor (GraniteRapids) [with GDS and RFDS mitigation status]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (GraniteRapids)",
    .level = 0x24, .xlevel = 0x80000008, .family = 6, .model = 173, .stepping = 1, .caches = &x86_caches_graniterapids, .base = &graniterapids_v5, .leaf_1f = true,
    .features = "")
X86_MODEL(graniterapids_v7, "GraniteRapids-v7", "Intel Xeon Processor (GraniteRapids) [with MBEC enabled]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (GraniteRapids)",
    .level = 0x24, .xlevel = 0x80000008, .family = 6, .model = 173, .stepping = 1, .caches = &x86_caches_graniterapids, .base = &graniterapids_v6, .leaf_1f = true,
    .features = "")
X86_ALIAS(graniterapids, "GraniteRapids", "(alias configured by machine type)", graniterapids_v1)
X86_MODEL(diamondrapids_v1, "DiamondRapids-v1", "Intel Xeon Processor (DiamondRapids)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (DiamondRapids)",
    .level = 0x29, .xlevel = 0x80000008, .family = 19, .model = 1, .stepping = 0, .caches = &x86_caches_intel_legacy, .base = &graniterapids_v7, .leaf_1f = true,
    .features = "+amx-avx512 +amx-complex +amx-fp8 +amx-movrs +amx-tf32 +apx-nci-ndd-nf +apxf +avx-ifma "
                "+avx-ne-convert +avx-vnni-int8 +avx10-vnni-int +bhi-ctrl +cmpccxadd +ddpd-u +fdp-excptn-only "
                "+flush-l1d +fred +intel-psfd +ipred-ctrl +lam +lkgs +md-clear +movrs +rrsba-ctrl +stibp +wrmsrns "
                "+zero-fcs-fds")
X86_MODEL(diamondrapids_v2, "DiamondRapids-v2", "Intel Xeon Processor (DiamondRapids) [with MBEC enabled]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (DiamondRapids)",
    .level = 0x29, .xlevel = 0x80000008, .family = 19, .model = 1, .stepping = 0, .caches = &x86_caches_intel_legacy, .base = &diamondrapids_v1, .leaf_1f = true,
    .features = "")
X86_ALIAS(diamondrapids, "DiamondRapids", "(alias configured by machine type)", diamondrapids_v1)
X86_MODEL(knightsmill_v1, "KnightsMill-v1", "Intel Xeon Phi Processor (Knights Mill)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Phi Processor (Knights Mill)",
    .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 133, .stepping = 0, .caches = &x86_caches_intel_legacy, .base = &broadwell_v2,
    .features = "+avx512-4fmaps +avx512-4vnniw +avx512-vpopcntdq +avx512cd +avx512er +avx512f +avx512pf +pdpe1gb +ss "
                "-invpcid -pcid -smap")
X86_ALIAS(knightsmill, "KnightsMill", "(alias configured by machine type)", knightsmill_v1)
X86_MODEL(denverton_v1, "Denverton-v1", "Intel Atom Processor (Denverton)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Atom Processor (Denverton)",
    .level = 0x15, .xlevel = 0x80000008, .family = 6, .model = 95, .stepping = 1, .caches = &x86_caches_intel_legacy, .base = &ivybridge_v2,
    .features = "+3dnowprefetch +arch-capabilities +clflushopt +monitor +movbe +mpx +pdpe1gb +rdseed +sha-ni +smap "
                "+ssbd +xgetbv1 +xsavec -avx -f16c")
X86_MODEL(denverton_v2, "Denverton-v2", "Intel Atom Processor (Denverton) [no MPX, no MONITOR]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Atom Processor (Denverton)",
    .level = 0x15, .xlevel = 0x80000008, .family = 6, .model = 95, .stepping = 1, .caches = &x86_caches_intel_legacy, .base = &denverton_v1,
    .features = "-monitor -mpx")
X86_MODEL(denverton_v3, "Denverton-v3", "Intel Atom Processor (Denverton) [XSAVES, no MPX, no MONITOR]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Atom Processor (Denverton)",
    .level = 0x15, .xlevel = 0x80000008, .family = 6, .model = 95, .stepping = 1, .caches = &x86_caches_intel_legacy, .base = &denverton_v2,
    .features = "+xsaves")
X86_ALIAS(denverton, "Denverton", "(alias configured by machine type)", denverton_v1)
X86_MODEL(snowridge_v1, "Snowridge-v1", "Intel Atom Processor (SnowRidge)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Atom Processor (SnowRidge)",
    .level = 0x1b, .xlevel = 0x80000008, .family = 6, .model = 134, .stepping = 1, .caches = &x86_caches_intel_legacy, .base = &denverton_v1,
    .features = "+cldemote +clwb +core-capability +gfni +movdir64b +movdiri +umip")
X86_MODEL(snowridge_v2, "Snowridge-v2", "Intel Atom Processor (Snowridge, no MPX)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Atom Processor (Snowridge, no MPX)",
    .level = 0x1b, .xlevel = 0x80000008, .family = 6, .model = 134, .stepping = 1, .caches = &x86_caches_intel_legacy, .base = &snowridge_v1,
    .features = "-mpx")
X86_MODEL(snowridge_v3, "Snowridge-v3", "Intel Atom Processor (Snowridge, no MPX) [XSAVES, no MPX]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Atom Processor (Snowridge, no MPX)",
    .level = 0x1b, .xlevel = 0x80000008, .family = 6, .model = 134, .stepping = 1, .caches = &x86_caches_intel_legacy, .base = &snowridge_v2,
    .features = "+xsaves")
X86_MODEL(snowridge_v4, "Snowridge-v4", "Intel Atom Processor (Snowridge, no MPX) [no split lock detect, no core-capability]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Atom Processor (Snowridge, no MPX)",
    .level = 0x1b, .xlevel = 0x80000008, .family = 6, .model = 134, .stepping = 1, .caches = &x86_caches_intel_legacy, .base = &snowridge_v3,
    .features = "-core-capability")
X86_ALIAS(snowridge, "Snowridge", "(alias configured by machine type)", snowridge_v1)
X86_MODEL(sierraforest_v1, "SierraForest-v1", "Intel Xeon Processor (SierraForest)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (SierraForest)",
    .level = 0x23, .xlevel = 0x80000008, .family = 6, .model = 175, .stepping = 0, .caches = &x86_caches_intel_legacy, .base = &icelake_server_v6,
    .features = "+avx-ifma +avx-ne-convert +avx-vnni +avx-vnni-int8 +bus-lock-detect +cmpccxadd +fsrs +mcdt-no "
                "+serialize -avx512-vpopcntdq -avx512bitalg -avx512bw -avx512cd -avx512dq -avx512f -avx512ifma "
                "-avx512vbmi -avx512vbmi2 -avx512vl -avx512vnni -la57")
X86_MODEL(sierraforest_v2, "SierraForest-v2", "Intel Xeon Processor (SierraForest)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (SierraForest)",
    .level = 0x23, .xlevel = 0x80000008, .family = 6, .model = 175, .stepping = 3, .caches = &x86_caches_intel_legacy, .base = &sierraforest_v1,
    .features = "+bhi-ctrl +cldemote +intel-psfd +ipred-ctrl +lam +movdir64b +movdiri +rrsba-ctrl +ss +tsc-adjust")
X86_MODEL(sierraforest_v3, "SierraForest-v3", "Intel Xeon Processor (SierraForest) [with srf-sp cache model and 0x1f leaf]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (SierraForest)",
    .level = 0x23, .xlevel = 0x80000008, .family = 6, .model = 175, .stepping = 3, .caches = &x86_caches_sierraforest, .base = &sierraforest_v2, .leaf_1f = true,
    .features = "")
X86_MODEL(sierraforest_v4, "SierraForest-v4", "Intel Xeon Processor (SierraForest) [with cet-ss and cet-ibt]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (SierraForest)",
    .level = 0x23, .xlevel = 0x80000008, .family = 6, .model = 175, .stepping = 3, .caches = &x86_caches_sierraforest, .base = &sierraforest_v3, .leaf_1f = true,
    .features = "+cet-ibt +cet-ss")
X86_MODEL(sierraforest_v5, "SierraForest-v5", "Intel Xeon Processor (SierraForest) [with its-no]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (SierraForest)",
    .level = 0x23, .xlevel = 0x80000008, .family = 6, .model = 175, .stepping = 3, .caches = &x86_caches_sierraforest, .base = &sierraforest_v4, .leaf_1f = true,
    .features = "")
X86_MODEL(sierraforest_v6, "SierraForest-v6", "Intel Xeon Processor (SierraForest) [with MBEC enabled]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (SierraForest)",
    .level = 0x23, .xlevel = 0x80000008, .family = 6, .model = 175, .stepping = 3, .caches = &x86_caches_sierraforest, .base = &sierraforest_v5, .leaf_1f = true,
    .features = "")
X86_ALIAS(sierraforest, "SierraForest", "(alias configured by machine type)", sierraforest_v1)
X86_MODEL(clearwaterforest_v1, "ClearwaterForest-v1", "Intel Xeon Processor (ClearwaterForest)",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (ClearwaterForest)",
    .level = 0x23, .xlevel = 0x80000008, .family = 6, .model = 221, .stepping = 0, .caches = &x86_caches_intel_legacy, .base = &sierraforest_v3,
    .features = "+avx-vnni-int16 +ddpd-u +prefetchiti +sha512 +sm3 +sm4")
X86_MODEL(clearwaterforest_v2, "ClearwaterForest-v2", "Intel Xeon Processor (ClearwaterForest) [with cet-ss and cet-ibt]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (ClearwaterForest)",
    .level = 0x23, .xlevel = 0x80000008, .family = 6, .model = 221, .stepping = 0, .caches = &x86_caches_intel_legacy, .base = &clearwaterforest_v1,
    .features = "+cet-ibt +cet-ss")
X86_MODEL(clearwaterforest_v3, "ClearwaterForest-v3", "Intel Xeon Processor (ClearwaterForest) [with its-no, cwf-ap cache model and 0x1f leaf]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (ClearwaterForest)",
    .level = 0x23, .xlevel = 0x80000008, .family = 6, .model = 221, .stepping = 0, .caches = &x86_caches_clearwaterforest, .base = &clearwaterforest_v2, .leaf_1f = true,
    .features = "")
X86_MODEL(clearwaterforest_v4, "ClearwaterForest-v4", "Intel Xeon Processor (ClearwaterForest) [with MBEC enabled]",
    .vendor = X86_VENDOR_INTEL, .model_id = "Intel Xeon Processor (ClearwaterForest)",
    .level = 0x23, .xlevel = 0x80000008, .family = 6, .model = 221, .stepping = 0, .caches = &x86_caches_clearwaterforest, .base = &clearwaterforest_v3, .leaf_1f = true,
    .features = "")
X86_ALIAS(clearwaterforest, "ClearwaterForest", "(alias configured by machine type)", clearwaterforest_v1)
