/* SPDX-License-Identifier: MIT */
/*
 * What may be lost when the machine is stopped, looked at and continued at any moment: the local APIC's priority, NMIs and interrupts from one CPU to
 * the other, each sent when the one before has come. Ends after `ROUNDS` of each.
 */
#include "tests/kvm/bare.h"

enum {
    ROUNDS = 1000,
    PRIORITIES = 30000,
    VECTOR = 0x30,
    STARTS = 0xf0, /* the page of start.S */
    ICR_LEVEL = 1 << 14,
    ICR_NMI = 4 << 8,
    ICR_INIT = 5 << 8,
    ICR_START = 6 << 8,
    PATIENCE_TICKS_LOG = 36, /* half a minute or so of time stamps, stops of the machine included */
};

static volatile uint32_t *const apic = (uint32_t *)0xfee00000u;
static volatile uint32_t *const nmis = (uint32_t *)0x9100u;
static volatile uint32_t *const vectors = (uint32_t *)0x9104u;
static volatile uint32_t *const ready = (uint32_t *)0x9108u;

void take(Frame *frame)
{
    if (frame->vector == 2) {
        ++*nmis;
    } else if (frame->vector == VECTOR) {
        ++*vectors;
        apic[0xb0 / 4] = 0;
    } else {
        show("vector", frame->vector);
        out8(EXIT_PORT, 0x11);
    }
}

static void send(uint32_t what)
{
    apic[0x310 / 4] = 1 << 24;
    apic[0x300 / 4] = ICR_LEVEL | what;
}

static void wait_for(volatile uint32_t *counter, uint32_t value, const char *name)
{
    uint64_t since = ticks();

    while (*counter != value) {
        if (ticks() - since > 1ull << PATIENCE_TICKS_LOG) {
            print("lost: ");
            show(name, value);
            out8(EXIT_PORT, 0x12);
        }
    }
}

static void check_priority(void)
{
    uint32_t wrong = 0;

    for (uint32_t i = 0; i < PRIORITIES; i++) {
        apic[0x80 / 4] = (i & 15) << 4;
        wrong += apic[0x80 / 4] != (i & 15) << 4;
    }
    apic[0x80 / 4] = 0;
    show("priorities lost", wrong);
    end_line();
}

static void second(void)
{
    set_idt();
    apic[0xf0 / 4] = 0x1ff;
    *ready = 1;
    for (;;) {
        __asm__ volatile("sti; hlt");
    }
}

void main(uint32_t cpu)
{
    if (cpu) {
        second();
    }
    set_idt();
    apic[0xf0 / 4] = 0x1ff;
    print("ready\n");
    check_priority();
    send(ICR_INIT);
    send(ICR_START | STARTS);
    wait_for(ready, 1, "start");
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        send(ICR_NMI);
        wait_for(nmis, i, "nmi");
        send(VECTOR);
        wait_for(vectors, i, "vector");
    }
    end_program();
}
