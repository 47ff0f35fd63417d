/* SPDX-License-Identifier: MIT */
/*
 * KVM's clock, steal time and end of interrupts in memory (Documentation/virt/kvm/x86/msr.rst). At `ready` the machine is to be stopped for a
 * while: afterwards the clock has gone as far as the HPET, which stands still meanwhile.
 */
#include "tests/kvm/bare.h"
#include "tests/kvm/kvmclock.h"

enum {
    VECTOR = 60,
    HPET_HZ = 100000000,
    TRIES = 2000,
};

typedef struct {
    uint64_t ns, hpet;
} Sample;

static volatile unsigned *const taken = (unsigned *)0x11000;
static volatile uint32_t *const apic = (uint32_t *)0xfee00000u;
static volatile uint32_t *const hpet = (uint32_t *)0xfed00000u;

void take(Frame *frame)
{
    if (frame->vector != VECTOR) {
        show("vector", frame->vector);
        show("eip", frame->eip);
        out8(EXIT_PORT, 0x11);
    }
    ++*taken;
    /* Bit 0 of the word is set while the interrupt may be ended by clearing it. */
    if (*(volatile uint32_t *)EOI_PAGE & 1) {
        *(volatile uint32_t *)EOI_PAGE &= ~1u;
    } else {
        apic[0xb0 / 4] = 0;
    }
}

/* Both at the same time, as far as that goes: the closest of many. */
static Sample sample(void)
{
    Sample best = { 0 };
    uint64_t closest = UINT64_MAX;

    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t before = clock_ns();
        uint32_t count = hpet[0xf0 / 4];
        uint64_t after = clock_ns();

        if (after - before < closest) {
            closest = after - before;
            best = (Sample){ before, count };
        }
    }
    return best;
}

static void stand_still(void)
{
    Sample first, second;
    uint32_t ten_us, clock_us, hpet_us;

    write_msr(MSR_CLOCK, CLOCK_PAGE | 1);
    hpet[0x10 / 4] = 1;
    first = sample();
    print("ready\n");
    while (hpet[0xf0 / 4] - (uint32_t)first.hpet < HPET_HZ / 10) {
    }
    second = sample();
    clock_us = (uint32_t)(second.ns - first.ns) / 1000;
    hpet_us = (uint32_t)(second.hpet - first.hpet) / (HPET_HZ / 1000000);
    ten_us = (clock_us > hpet_us ? clock_us - hpet_us : hpet_us - clock_us) / 10;
    print(ten_us < 1000 ? "clock stands still\n" : "clock goes on\n");
    if (ten_us >= 1000) {
        show("clock", clock_us);
        show("hpet", hpet_us);
        end_line();
    }
}

static void steal_time(void)
{
    const volatile uint64_t *stolen = (const volatile uint64_t *)STEAL_PAGE;
    const volatile uint32_t *version = (const volatile uint32_t *)(STEAL_PAGE + 8);

    write_msr(MSR_STEAL, STEAL_PAGE | 1);
    for (uint32_t wait = 0; !*version && wait < 1000000; wait++) {
        out8(0x80, 0);
    }
    print(*version && !(*version & 1) ? "steal time\n" : "no steal time\n");
    (void)*stolen;
}

static void ends(void)
{
    *taken = 0;
    *(volatile uint32_t *)EOI_PAGE = 0;
    apic[0xf0 / 4] = 0x1ff;
    write_msr(MSR_EOI, EOI_PAGE | 1);
    for (unsigned i = 1; i <= 20; i++) {
        apic[0x310 / 4] = 0;
        apic[0x300 / 4] = 0x4000 | VECTOR;
        while (*taken < i) {
            __asm__ volatile("sti; hlt; cli");
        }
    }
    show("ended", *taken);
    end_line();
}

void main(void)
{
    uint32_t out[4];

    set_idt();
    cpuid(FEATURES, 0, out);
    if (out[0] & HAS_STEAL) {
        steal_time();
    }
    if (out[0] & HAS_EOI) {
        ends();
    }
    if (out[0] & HAS_CLOCK) {
        stand_still();
    }
    end_program();
}
