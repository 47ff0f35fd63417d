/* SPDX-License-Identifier: MIT */
/*
 * Memory that comes and goes: the first CPU switches the firmware's place between ROM, RAM and RAM that is read only, thousands of times, while the
 * others run the code that is there. All three have the same bytes, so nobody may notice.
 */
#include "tests/kvm/bare.h"

enum { CPUS_MOST = 8, SWITCHES = 100, PLACE = 0xf0000, BYTES = 0x10000 };

static struct {
    volatile uint32_t count[CPUS_MOST];
    volatile uint32_t wrong, end, here;
} *const state = (void *)0xa000;

void take(Frame *frame)
{
    print("an exception\n");
    out8(EXIT_PORT, 0x11);
}

/* The 440FX's register for 0xf0000: 0x00 ROM, 0x10 RAM to read, 0x30 RAM. */
static void set_place(uint8_t value)
{
    out32(0xcf8, 0x80000058);
    out8(0xcfd, value);
}

static uint32_t sum(void)
{
    const volatile uint32_t *words = (uint32_t *)PLACE;
    uint32_t total = 0;

    for (unsigned i = 0; i < 64; i++) {
        total += words[i];
    }
    return total;
}

static void others(unsigned cpu, uint32_t wanted)
{
    __atomic_add_fetch(&state->here, 1, __ATOMIC_SEQ_CST);
    while (!state->end) {
        if (sum() != wanted) {
            state->wrong++;
        }
        state->count[cpu]++;
    }
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

/* What runs here must not be here meanwhile: mov $0x30, %al; mov $0xcfd, %dx; out %al, %dx; rep movsl; ret. */
static void copy_to_ram(void)
{
    static const uint8_t code[] = { 0xb0, 0x30, 0x66, 0xba, 0xfd, 0x0c, 0xee, 0xf3, 0xa5, 0xc3 };
    uint32_t *words = (uint32_t *)0x20000, *to = (uint32_t *)PLACE, count = BYTES / 4;
    uint8_t *elsewhere = (uint8_t *)0x40000;

    for (unsigned i = 0; i < count; i++) {
        words[i] = ((volatile uint32_t *)PLACE)[i];
    }
    for (unsigned i = 0; i < sizeof code; i++) {
        elsewhere[i] = code[i];
    }
    out32(0xcf8, 0x80000058);
    __asm__ volatile("call *%%ebx"
                     : "+S"(words), "+D"(to), "+c"(count)
                     : "b"(elsewhere)
                     : "eax", "edx", "memory");
}

static void start_others(void)
{
    volatile uint32_t *apic = (uint32_t *)0xfee00000u;

    apic[0xf0 / 4] = 0x1ff;
    apic[0x300 / 4] = 0xc4500; /* INIT to all others */
    for (unsigned i = 0; i < 2; i++) {
        for (volatile unsigned wait = 0; wait < 1000; wait++) {
        }
        apic[0x300 / 4] = 0xc4600 | PLACE >> 12; /* start-up */
    }
}

void main(unsigned cpu)
{
    static const uint8_t places[] = { 0x30, 0x10, 0x00, 0x10 };
    uint32_t wanted = sum();

    if (cpu) {
        others(cpu < CPUS_MOST ? cpu : 0, wanted);
    }
    copy_to_ram();
    start_others();
    while (!state->here) { /* who runs the test has a limit of time */
        out8(0x80, 0);
    }
    for (unsigned i = 0; i < SWITCHES; i++) {
        set_place(places[i % sizeof places]);
        state->wrong += sum() != wanted;
    }
    state->end = 1;
    print(state->wrong ? "others saw wrong bytes\n" : "others ran, and saw nothing\n");
    out8(EXIT_PORT, 0x10);
}
