/* SPDX-License-Identifier: MIT */
/*
 * The interval timer goes on through stops and snapshots: a hundred interrupts a second, counted; each tenth is printed. It ends when the
 * clock's memory says so, or after a thousand.
 */
#include "tests/kvm/bare.h"

enum { FIRST_IRQ = 32, HZ = 100, PIT_HZ = 1193182, MOST = 1000 };

static volatile unsigned *const ticks_seen = (unsigned *)0x11000;

void take(Frame *frame)
{
    if (frame->vector == FIRST_IRQ) {
        ++*ticks_seen;
    }
    out8(0x20, 0x20);
}

static void start_timer(void)
{
    out8(0x20, 0x11);
    out8(0x21, FIRST_IRQ);
    out8(0x21, 4);
    out8(0x21, 1);
    out8(0x21, 0xfe);
    out8(0x43, 0x34);
    out8(0x40, (uint8_t)(PIT_HZ / HZ));
    out8(0x40, (uint8_t)(PIT_HZ / HZ >> 8));
}

void main(void)
{
    unsigned printed = 0;

    *ticks_seen = 0;
    set_idt();
    start_timer();
    while (*ticks_seen < MOST) {
        __asm__ volatile("sti; hlt; cli");
        if (*ticks_seen / 10 > printed) {
            printed = *ticks_seen / 10;
            print_hex(printed, 2);
            print(" ");
        }
    }
    end_program();
}
