/* SPDX-License-Identifier: MIT */
/*
 * What leaving the guest costs: time-stamp ticks of one, of each kind, on port 0xe9 (scripts/bench-kvm). The best of many
 * short rounds, since the host has other things to do. Needs two processors, and a virtio-rng-pci with I/O ports at 00:05.0.
 */
#include "tests/kvm/bare.h"

enum { ROUNDS = 40, IPI = 50, TIMER = 51, OTHERS = 52 };
enum {
    APIC_ID_OTHER = 1,
    ICR_LEVEL = 1 << 14,
    ICR_INIT = 5 << 8,
    ICR_START = 6 << 8,
    STARTS = 0xf0 /* the page of start.S */
};
/* Of PCI, and of virtio's ports as they were before version 1. */
enum {
    RNG = 0x80002800u,
    COMMAND = 4,
    BAR_0 = 0x10,
    PORTS = 0xc000,
    QUEUE_PAGE = 8, /* where its first queue is, in pages */
    RING = 0x40,
    NOTIFY = 0x10,
    STATUS = 0x12,
    DRIVER_OK = 7
};

static struct {
    volatile unsigned interrupts[VECTORS];
    volatile unsigned second_is_there, second_waits;
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

static void write_config(uint32_t reg, uint32_t value)
{
    out32(0xcf8, RNG | reg);
    out32(0xcfc, value);
}

/* From here on kicks may be the kernel's. */
static void start_device(void)
{
    write_config(BAR_0, PORTS);
    write_config(COMMAND, 1);
    out32(PORTS + QUEUE_PAGE, RING);
    out8(PORTS + STATUS, DRIVER_OK);
}

static void kick(void)
{
    __asm__ volatile("outw %0, %1" : : "a"((uint16_t)0), "d"((uint16_t)(PORTS + NOTIFY)));
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

/* To the other processor, which may wait in HLT, and answers in memory. */
static void ipi_other(void)
{
    unsigned before = state->interrupts[OTHERS];

    apic[0x310 / 4] = APIC_ID_OTHER << 24;
    apic[0x300 / 4] = ICR_LEVEL | OTHERS;
    while (state->interrupts[OTHERS] == before) {
    }
}

static void send_start(uint32_t what)
{
    apic[0x310 / 4] = APIC_ID_OTHER << 24;
    apic[0x300 / 4] = ICR_LEVEL | what;
}

static void second(void)
{
    set_idt();
    apic[0xf0 / 4] = 0x1ff;
    state->second_is_there = 1;
    __asm__ volatile("sti");
    while (!state->second_waits) {
        __asm__ volatile("pause");
    }
    for (;;) {
        __asm__ volatile("hlt");
    }
}

/* A timer that runs out at once. */
static void timer(void)
{
    unsigned before = state->interrupts[TIMER];

    apic[0x380 / 4] = 1;
    while (state->interrupts[TIMER] == before) {
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

void main(uint32_t cpu)
{
    if (cpu) {
        second();
    }
    measure("cpuid", leaf, 100);
    measure("pio", pio, 50);
    measure("pio-device", pio_device, 50);
    measure("mmio", mmio, 50);
    start_device();
    measure("kick", kick, 100);
    set_idt();
    apic[0xf0 / 4] = 0x1ff;
    apic[0x3e0 / 4] = 0xb;
    apic[0x320 / 4] = TIMER;
    __asm__ volatile("sti");
    measure("ipi", ipi, 100);
    measure("timer", timer, 50);
    measure("halt", halt, 10);
    send_start(ICR_INIT);
    send_start(ICR_START | STARTS);
    while (!state->second_is_there) {
    }
    measure("ipi-other", ipi_other, 2);
    state->second_waits = 1;
    measure("ipi-halted", ipi_other, 10);
    end_program();
}
