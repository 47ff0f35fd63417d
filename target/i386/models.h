/* SPDX-License-Identifier: MIT */
/* CPU models: what CPUID says of them. */
#ifndef TARGET_I386_MODELS_H
#define TARGET_I386_MODELS_H

#include "target/i386/cpu.h"

typedef struct X86Model {
    const char *vendor;        /* 12 characters */
    const char *model_id;      /* for leaves 80000002 to 80000004 */
    uint32_t level, xlevel;    /* highest leaves */
    uint16_t family, model, stepping;
    uint32_t features[X86_FEATURE_WORDS];
} X86Model;

/* What the translator can do at all, by feature words. */
extern const uint32_t x86_supported_features[X86_FEATURE_WORDS];

/* Chooses cpu->features by model and switches; false: `enforce` and something is missing. */
bool x86_select_features(X86Cpu *cpu, GError **error);

#endif
