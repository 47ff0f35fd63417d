/* SPDX-License-Identifier: MIT */
/* KVM's paravirtual interfaces (Documentation/virt/kvm/x86/msr.rst), for bare-metal programs. */
#ifndef TESTS_KVM_KVMCLOCK_H
#define TESTS_KVM_KVMCLOCK_H

#include "tests/kvm/bare.h"

enum {
    FEATURES = 0x40000001,
    HAS_CLOCK = 1 << 3,
    HAS_STEAL = 1 << 5,
    HAS_EOI = 1 << 6,
    MSR_CLOCK = 0x4b564d01,
    MSR_STEAL = 0x4b564d03,
    MSR_EOI = 0x4b564d04,
    CLOCK_PAGE = 0x31000,
    STEAL_PAGE = 0x32000,
    EOI_PAGE = 0x33000,
};

typedef struct {
    uint32_t version, pad;
    uint64_t tsc, ns;
    uint32_t multiplier;
    int8_t shift;
    uint8_t flags;
} Clock;

/* By CLOCK_PAGE. */
static inline uint64_t clock_ns(void)
{
    const volatile Clock *c = (const volatile Clock *)CLOCK_PAGE;
    uint32_t version;
    uint64_t ns;

    do {
        uint64_t passed;

        version = c->version;
        __asm__ volatile("" ::: "memory");
        passed = ticks() - c->tsc;
        passed = c->shift < 0 ? passed >> -c->shift : passed << c->shift;
        /* passed * multiplier / 2^32 */
        ns = c->ns + (passed >> 32) * c->multiplier +
             ((uint64_t)(uint32_t)passed * c->multiplier >> 32);
        __asm__ volatile("" ::: "memory");
    } while (version & 1 || version != c->version);
    return ns;
}

#endif
