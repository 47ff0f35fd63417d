/* SPDX-License-Identifier: MIT */
/* CPU models: what -cpu NAME stands for. */
#ifndef TARGET_ARM_MODELS_H
#define TARGET_ARM_MODELS_H

#include "target/arm/cpu.h"

typedef struct ArmModel {
    uint64_t midr, revidr, ctr, clidr;
    uint64_t ccsidr[4];         /* L1 data, L1 instruction, L2, none */
    uint64_t features;          /* bit per ArmFeature */
    uint8_t physical_range;     /* ID_AA64MMFR0_EL1.PARange */
    bool granule_16k;
    bool csv;                   /* immune to speculation across contexts: CSV2, CSV3 */
    bool ecbhb;                 /* branch history of EL0 does not reach EL1 */
} ArmModel;

/* Models that users of other emulators know. */
extern const NotYet arm_models_not_yet[];

#endif
