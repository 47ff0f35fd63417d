/* SPDX-License-Identifier: MIT */
/* Bit fields, sign extension, alignment and unaligned little- and big-endian access. */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

#define BIT(n) (UINT64_C(1) << (n))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#ifndef container_of
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
#endif

/* A mask of the low `length` bits; length 0 to 64. */
static inline uint64_t bits_mask(unsigned length)
{
    return length >= 64 ? UINT64_MAX : BIT(length) - 1;
}

/* Bits [start, start + length) of value, at bit 0. length 1 to 64. */
static inline uint64_t bits_extract(uint64_t value, unsigned start, unsigned length)
{
    return (value >> start) & bits_mask(length);
}

/* value with bits [start, start + length) replaced by field. */
static inline uint64_t bits_deposit(uint64_t value, unsigned start, unsigned length, uint64_t field)
{
    uint64_t mask = bits_mask(length) << start;

    return (value & ~mask) | ((field << start) & mask);
}

/* The low `length` bits of value as a signed number; length 1 to 64. */
static inline int64_t bits_sign_extend(uint64_t value, unsigned length)
{
    return (int64_t)(value << (64 - length)) >> (64 - length);
}

static inline uint64_t align_down(uint64_t value, uint64_t power_of_two)
{
    return value & ~(power_of_two - 1);
}

static inline uint64_t align_up(uint64_t value, uint64_t power_of_two)
{
    return (value + power_of_two - 1) & ~(power_of_two - 1);
}

static inline bool is_power_of_two(uint64_t value)
{
    return value && !(value & (value - 1));
}

/* Unaligned loads and stores; the suffix is the byte order in memory. Hosts are little-endian. */
#define BITS_DEFINE_ACCESS(width, swap)                                                            \
    static inline uint##width##_t load_le##width(const void *p)                                    \
    {                                                                                              \
        uint##width##_t v;                                                                         \
        memcpy(&v, p, sizeof v);                                                                   \
        return v;                                                                                  \
    }                                                                                              \
    static inline void store_le##width(void *p, uint##width##_t v)                                 \
    {                                                                                              \
        memcpy(p, &v, sizeof v);                                                                   \
    }                                                                                              \
    static inline uint##width##_t load_be##width(const void *p)                                    \
    {                                                                                              \
        return swap(load_le##width(p));                                                            \
    }                                                                                              \
    static inline void store_be##width(void *p, uint##width##_t v)                                 \
    {                                                                                              \
        store_le##width(p, swap(v));                                                               \
    }
BITS_DEFINE_ACCESS(16, __builtin_bswap16)
BITS_DEFINE_ACCESS(32, __builtin_bswap32)
BITS_DEFINE_ACCESS(64, __builtin_bswap64)
#undef BITS_DEFINE_ACCESS

#endif
