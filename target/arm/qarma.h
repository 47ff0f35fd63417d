/* SPDX-License-Identifier: MIT */
/* The QARMA-64 tweakable block cipher as pointer authentication uses it. */
#ifndef TARGET_ARM_QARMA_H
#define TARGET_ARM_QARMA_H

#include <stdint.h>

/* rounds: up to 5. sigma: the substitution box, 1 or 2. QARMA5 has sigma 2, QARMA3 sigma 1. */
uint64_t arm_qarma(uint64_t data, uint64_t tweak, uint64_t whitening_key, uint64_t core_key,
                   unsigned rounds, unsigned sigma);

#endif
