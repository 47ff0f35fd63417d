/* SPDX-License-Identifier: MIT */
/*
 * Interrupt controllers in a state that the monitor then shows (info pic, info lapic, info irq): nothing is taken, because interrupts stay
 * switched off.
 */
#include "tests/kvm/bare.h"

enum {
    COM1 = 0x3f8,
    COM2 = 0x2f8,
    UART_IER = 1,
    UART_MCR = 4,
    MASTER = 0x20,
    SLAVE = 0xa0,
    ELCR = 0x4d0,
    EDGE_VECTOR = 0x61,
    LEVEL_VECTOR = 0x62,
    SELF_VECTOR = 0x45,
    IO_LEVEL = 1 << 15,
    IO_MASKED = 1 << 16,
};

static volatile uint32_t *const apic = (uint32_t *)0xfee00000u;
static volatile uint32_t *const ioapic = (uint32_t *)0xfec00000u;

void take(Frame *frame)
{
    show("vector", frame->vector);
    out8(EXIT_PORT, 0x11);
}

static void initialize_pic(uint16_t port, uint8_t base, uint8_t cascade, uint8_t mask)
{
    out8(port, 0x11);
    out8(port + 1, base);
    out8(port + 1, cascade);
    out8(port + 1, 1);
    out8(port + 1, mask);
}

static void set_pin(unsigned pin, uint32_t low)
{
    ioapic[0] = 0x11 + 2 * pin;
    ioapic[4] = 0;
    ioapic[0] = 0x10 + 2 * pin;
    ioapic[4] = low;
}

/* Asks for an interrupt, as its transmitter is empty. */
static void raise(uint16_t uart)
{
    out8(uart + UART_MCR, 8);
    out8(uart + UART_IER, 2);
}

void main(void)
{
    set_idt();
    initialize_pic(MASTER, 0x30, 4, 0xe3);
    initialize_pic(SLAVE, 0x38, 2, 0xff);
    out8(ELCR + 1, 0x0c);
    apic[0xf0 / 4] = 0x1ff;
    apic[0x80 / 4] = 0x20;
    apic[0xd0 / 4] = 0x02000000;
    apic[0x320 / 4] = 0x20033;
    apic[0x3e0 / 4] = 0xb;
    set_pin(3, EDGE_VECTOR);
    set_pin(4, LEVEL_VECTOR | IO_LEVEL);
    set_pin(10, 0x63 | IO_LEVEL | IO_MASKED);
    raise(COM1);
    raise(COM2);
    apic[0x310 / 4] = 0;
    apic[0x300 / 4] = 0x4000 | SELF_VECTOR;
    print("ready\n");
    for (;;) {
    }
}
