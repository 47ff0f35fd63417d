/* SPDX-License-Identifier: MIT */
/*
 * What the kernel keeps of a guest that moves to another process: at each `ready` the machine is to be stopped for two seconds and moved. Timers of the local APIC (by
 * time stamp, where there is one, and by count) must run out afterwards although they would have done so while it stood; KVM's clock goes on
 * from where it was, and what is switched on by MSRs stays so.
 */
#include "tests/kvm/bare.h"
#include "tests/kvm/kvmclock.h"

enum {
    VECTOR = 60,
    NEXT_VECTOR = 61,
    LVT_DEADLINE = 2 << 17,
    MSR_DEADLINE = 0x6e0,
    HAS_DEADLINE = 1 << 24,
    SECOND_NS = 1000000000,
};

static volatile uint32_t *const apic = (uint32_t *)0xfee00000u;
static uint32_t features;

/* Interrupts are switched off: it waits at the APIC. */
static int is_pending(unsigned vector)
{
    return apic[(0x200 + vector / 32 * 16) / 4] >> vector % 32 & 1;
}

void take(Frame *frame)
{
    show("vector", frame->vector);
    out8(EXIT_PORT, 0x11);
}

static void wait_for_timer(const char *name, unsigned vector)
{
    uint64_t before = features & HAS_CLOCK ? clock_ns() : 0, passed;

    print("ready\n");
    while (!is_pending(vector)) {
    }
    passed = features & HAS_CLOCK ? clock_ns() - before : 0;
    print(name);
    print(passed <= 60ull * SECOND_NS ? " came\n" : " came, and the clock jumped\n");
}

static void check(const char *name, uint32_t msr, uint32_t feature, uint32_t page)
{
    if (features & feature && read_msr(msr) != (page | 1)) {
        print(name);
        print(" is switched off\n");
    }
}

void main(void)
{
    uint32_t out[4], has_deadline;

    set_idt();
    cpuid(1, 0, out);
    has_deadline = out[2] & HAS_DEADLINE;
    cpuid(FEATURES, 0, out);
    features = out[0];
    if (features & HAS_CLOCK) {
        write_msr(MSR_CLOCK, CLOCK_PAGE | 1);
    }
    if (features & HAS_STEAL) {
        write_msr(MSR_STEAL, STEAL_PAGE | 1);
    }
    if (features & HAS_EOI) {
        write_msr(MSR_EOI, EOI_PAGE | 1);
    }
    apic[0xf0 / 4] = 0x1ff;
    if (has_deadline) {
        apic[0x320 / 4] = VECTOR | LVT_DEADLINE;
        write_msr(MSR_DEADLINE, ticks() + (1ull << 31));
        wait_for_timer("deadline", VECTOR);
    } else {
        print("ready\ndeadline came\n");
    }
    apic[0x3e0 / 4] = 0xb;
    apic[0x320 / 4] = NEXT_VECTOR;
    apic[0x380 / 4] = SECOND_NS;
    wait_for_timer("count", NEXT_VECTOR);
    check("clock", MSR_CLOCK, HAS_CLOCK, CLOCK_PAGE);
    check("steal time", MSR_STEAL, HAS_STEAL, STEAL_PAGE);
    check("ends", MSR_EOI, HAS_EOI, EOI_PAGE);
    end_program();
}
