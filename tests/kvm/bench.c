/* SPDX-License-Identifier: MIT */
/*
 * What leaving the guest costs: time-stamp ticks of one, of each kind, on port 0xe9 (scripts/bench-kvm). The best of several
 * rounds, since the host has other things to do.
 */
#include "tests/kvm/bare.h"

enum { ROUNDS = 5, IPI = 50, TIMER = 51 };

static struct {
    volatile unsigned interrupts[VECTORS];
} *const state = (void *)0x11000;

static volatile uint32_t *const apic = (uint32_t *)0xfee00000u;

static void print_number(uint32_t value)
{
    char digits[12];
    int n = 0;

    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (n) {
        out8(DEBUG_PORT, (uint8_t)digits[--n]);
    }
}

void take(Frame *frame)
{
    state->interrupts[frame->vector & 63]++;
    apic[0xb0 / 4] = 0;
}

static void pio(void)
{
    out8(0x80, 0);
}

static void pio_device(void)
{
    out8(0x70, 0x0d);
    in8(0x71);
}

static void mmio(void)
{
    (void)*(volatile uint32_t *)0xfed00000u;
}

static void leaf(void)
{
    uint32_t out[4];

    cpuid(0, 0, out);
}

static void ipi(void)
{
    unsigned before = state->interrupts[IPI];

    apic[0x300 / 4] = 0x44000 | IPI; /* to itself */
    while (state->interrupts[IPI] == before) {
    }
}

/* A timer that runs out while the processor waits. */
static void halt(void)
{
    unsigned before = state->interrupts[TIMER];

    __asm__ volatile("cli");
    apic[0x380 / 4] = 20000;
    while (state->interrupts[TIMER] == before) {
        __asm__ volatile("sti; hlt; cli");
    }
    __asm__ volatile("sti");
}

static void measure(const char *name, void (*what)(void), uint32_t count)
{
    uint32_t best = UINT32_MAX;

    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t start = ticks();
        uint32_t passed;

        for (uint32_t i = 0; i < count; i++) {
            what();
        }
        passed = (uint32_t)(ticks() - start) / count;
        best = passed < best ? passed : best;
    }
    print(name);
    print(" ");
    print_number(best);
    print("\n");
}

void main(void)
{
    measure("cpuid", leaf, 500);
    measure("pio", pio, 500);
    measure("pio-device", pio_device, 500);
    measure("mmio", mmio, 500);
    set_idt();
    apic[0xf0 / 4] = 0x1ff;
    apic[0x3e0 / 4] = 0xb;
    apic[0x320 / 4] = TIMER;
    __asm__ volatile("sti");
    measure("ipi", ipi, 200);
    measure("halt", halt, 50);
    end_program();
}
