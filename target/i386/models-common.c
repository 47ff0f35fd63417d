/* SPDX-License-Identifier: MIT */
/* Models that are no processor one could buy. */
#include "target/i386/models.h"

/* clang-format off */
X86_MODEL(max, "max", "Enables all features supported by the accelerator in the current host",
    .vendor = X86_VENDOR_AMD, .model_id = "QEMU TCG CPU version 2.5+",
    .level = 0xd, .xlevel = 0x80000021, .family = 6, .model = 6, .stepping = 3, .caches = &x86_caches_amd_legacy,
    .everything = true, .features = "-3dnow -3dnowext")
X86_MODEL(host, "host", "the host's processor (with KVM)",
    .vendor = X86_VENDOR_AMD, .model_id = "", .level = 0xd, .xlevel = 0x80000008, .family = 6, .model = 6, .stepping = 3,
    .caches = &x86_caches_amd_legacy, .everything = true, .of_host = true, .features = "")
X86_MODEL(base, "base", "base CPU model type with no features enabled",
    .vendor = "", .model_id = "", .caches = &x86_caches_intel_legacy, .features = "")
/* clang-format on */

const NotYet x86_models_not_yet[] = {
    { 0 },
};
