/* SPDX-License-Identifier: MIT */
/* Lanes of 128-bit vectors, for helpers. esz: 0 bytes, 1 halfwords, 2 words, 3 doublewords. */
#ifndef TARGET_ARM_LANES_H
#define TARGET_ARM_LANES_H

#include "accel/tcg/ir/ir.h"
#include "base/bits.h"

typedef union {
    V128 v;
    uint8_t b[16];
    uint16_t h[8];
    uint32_t s[4];
    uint64_t d[2];
} Lanes;

static inline unsigned lane_count(unsigned esz)
{
    return 16u >> esz;
}

static inline uint64_t lane_get(const Lanes *lanes, unsigned esz, unsigned i)
{
    switch (esz) {
    case 0:
        return lanes->b[i];
    case 1:
        return lanes->h[i];
    case 2:
        return lanes->s[i];
    default:
        return lanes->d[i];
    }
}

static inline int64_t lane_get_signed(const Lanes *lanes, unsigned esz, unsigned i)
{
    return bits_sign_extend(lane_get(lanes, esz, i), 8u << esz);
}

static inline void lane_set(Lanes *lanes, unsigned esz, unsigned i, uint64_t value)
{
    switch (esz) {
    case 0:
        lanes->b[i] = (uint8_t)value;
        break;
    case 1:
        lanes->h[i] = (uint16_t)value;
        break;
    case 2:
        lanes->s[i] = (uint32_t)value;
        break;
    default:
        lanes->d[i] = value;
        break;
    }
}

#endif
