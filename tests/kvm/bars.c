/* SPDX-License-Identifier: MIT */
/*
 * A screen's memory is moved about (its BAR) while all CPUs write to it where it is and where it was; what each wrote last through the
 * right place is there afterwards. Needs -vga std.
 */
#include "tests/kvm/bare.h"

enum {
    VGA = 0x80001000, /* 00:02.0 */
    COMMAND = 4,
    BAR_0 = 0x10,
    MOVES = 40,
    CPUS_MOST = 8,
    AREA = 0x10000, /* of each CPU */
    APIC = 0xfee00000,
};

static const uint32_t places[] = { 0xe0000000u, 0xe4000000u, 0xe9000000u };

static struct {
    volatile uint32_t here, end, count[CPUS_MOST];
} *const state = (void *)0x11000;

void take(Frame *frame)
{
    show("vector", frame->vector);
    show("eip", frame->eip);
    out8(EXIT_PORT, 0x11);
}

static void write_config(uint32_t reg, uint32_t value)
{
    out32(0xcf8, VGA | reg);
    out32(0xcfc, value);
}

static volatile uint32_t *word(unsigned place, unsigned cpu, unsigned n)
{
    return (volatile uint32_t *)(places[place % 3] + cpu * AREA + 4096 * (n % 16) + 4 * cpu);
}

static void others(unsigned cpu)
{
    __atomic_add_fetch(&state->here, 1, __ATOMIC_SEQ_CST);
    while (!state->end) {
        for (unsigned n = 0; n < 16; n++) {
            *word(state->count[cpu], cpu, n) = state->count[cpu];
        }
        state->count[cpu]++;
    }
    __atomic_sub_fetch(&state->here, 1, __ATOMIC_SEQ_CST);
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

static void start_others(void)
{
    volatile uint32_t *apic = (uint32_t *)APIC;

    apic[0xf0 / 4] = 0x1ff;
    apic[0x300 / 4] = 0xc4500; /* INIT to all others */
    for (unsigned i = 0; i < 2; i++) {
        for (volatile unsigned wait = 0; wait < 1000; wait++) {
        }
        apic[0x300 / 4] = 0xc46f0; /* start-up at 0xf0000 */
    }
}

void main(unsigned cpu)
{
    unsigned wrong = 0;

    if (cpu) {
        others(cpu < CPUS_MOST ? cpu : 0);
    }
    set_idt();
    write_config(BAR_0, places[0]);
    write_config(COMMAND, 2);
    start_others();
    while (!state->here) { /* who runs the test has a limit of time */
        out8(0x80, 0);
    }
    for (unsigned i = 0; i < MOVES; i++) {
        write_config(BAR_0, places[i % 3]);
        for (unsigned n = 0; n < 16; n++) {
            wrong += i > 0 && *word(i, 0, n) != i - 1; /* it came along */
            *word(i, 0, n) = i;
            wrong += *word(i + 1, 0, n) != 0xffffffffu; /* nothing is there */
        }
    }
    state->end = 1;
    while (state->here) {
        out8(0x80, 0);
    }
    show("wrong", wrong);
    end_line();
    end_program();
}
