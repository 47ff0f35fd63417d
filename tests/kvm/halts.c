/* SPDX-License-Identifier: MIT */
/*
 * Nothing that ends a HLT is lost: two CPUs that halt wake each other, and each itself by the local APIC's timer, with nothing else that would wake them. The times are
 * of all lengths, so that some run out while a CPU is about to fall asleep. A wake that is lost leaves both asleep. The machine may be stopped, saved and
 * loaded meanwhile; a timer in Linux's KVM that has run out does so once more when it is loaded. Before that, an INIT takes the priority of a CPU that runs.
 */
#include "tests/kvm/bare.h"

enum {
    ROUNDS = 6000,
    SHOWN = 1000,  /* rounds from one word about them to the next */
    MESSAGE = 0x30,
    TIMER = 0x31,
    STARTS = 0xf0, /* the page of start.S */
    ICR_LEVEL = 1 << 14,
    ICR_INIT = 5 << 8,
    ICR_START = 6 << 8,
    SHORTEST_NS = 1000,
    LONGER_BITS = 18, /* at most so much longer */
};

static volatile uint32_t *const apic = (uint32_t *)0xfee00000u;
static volatile uint32_t *const messages = (uint32_t *)0x9100u; /* for each CPU */
static volatile uint32_t *const timers = (uint32_t *)0x9108u;

static volatile uint32_t *const ready = (uint32_t *)0x9110u;

static uint32_t self(void)
{
    return apic[0x20 / 4] >> 24;
}

void take(Frame *frame)
{
    if (frame->vector != MESSAGE && frame->vector != TIMER) {
        show("vector", frame->vector);
        out8(EXIT_PORT, 0x11);
    }
    ++(frame->vector == MESSAGE ? messages : timers)[self()];
    apic[0xb0 / 4] = 0;
}

static void send(uint32_t to, uint32_t what)
{
    apic[0x310 / 4] = to << 24;
    apic[0x300 / 4] = ICR_LEVEL | what;
}

static void halt_until(volatile uint32_t *counter, uint32_t value)
{
    while (*counter < value) {
        __asm__ volatile("sti; hlt; cli" ::: "memory");
    }
}

/* Returns the next seed. */
static uint32_t wait_for_timer(uint32_t seed)
{
    timers[self()] = 0;
    seed = seed * 1103515245 + 12345;
    apic[0x380 / 4] = SHORTEST_NS + (seed >> 8 & ((1 << LONGER_BITS) - 1)) / (1 + (seed >> 28));
    halt_until(&timers[self()], 1);
    return seed;
}

static void enable(void)
{
    set_idt();
    apic[0xf0 / 4] = 0x1ff;
    apic[0x3e0 / 4] = 0xb; /* counts at the rate of the bus */
    apic[0x320 / 4] = TIMER;
}

static void wake_each_other(uint32_t cpu)
{
    uint32_t seed = 1 + cpu;

    for (uint32_t round = 1; round <= ROUNDS; round++) {
        if (cpu == 0) {
            send(1, MESSAGE);
        }
        halt_until(&messages[cpu], round);
        if (cpu == 1) {
            send(0, MESSAGE);
        } else if (round % SHOWN == 0) {
            show("round", round);
            end_line();
        }
        seed = wait_for_timer(seed);
    }
}

static void start_second(void)
{
    send(1, ICR_INIT);
    send(1, ICR_START | STARTS);
}

/* Another CPU's INIT ends this. */
static void run_with_priority(void)
{
    apic[0x80 / 4] = 0x40;
    *ready = 1;
    for (;;) {
        __asm__ volatile("pause");
    }
}

/* CPU 1 starts twice, and is 1 and then 2 here. */
void main(uint32_t starts)
{
    if (starts == 1) {
        run_with_priority();
    }
    if (starts == 2) {
        show("priority", apic[0x80 / 4]);
        end_line();
        apic[0x80 / 4] = 0;
        enable();
        send(0, MESSAGE);
        wake_each_other(1);
        return;
    }
    enable();
    start_second();
    while (!*ready) {
    }
    start_second();
    halt_until(&messages[0], 1);
    messages[0] = 0;
    wake_each_other(0);
    end_program();
}
