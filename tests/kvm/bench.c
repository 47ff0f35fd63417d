/* SPDX-License-Identifier: MIT */
/*
 * What leaving the guest costs: time-stamp ticks of one, of each kind, on port 0xe9 (scripts/bench-kvm). The best of several
 * rounds, since the host has other things to do.
 */
#include <stdint.h>

enum { DEBUG_PORT = 0xe9, EXIT_PORT = 0x501, ROUNDS = 5, FIRST_IRQ = 32, IPI = 50, TIMER = 51 };

typedef struct {
    uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax, vector, error, eip, cs, eflags;
} Frame;

extern const uint32_t entries[64];

static struct {
    uint32_t idt[64][2];
    volatile unsigned interrupts[64];
} *const state = (void *)0x10000;

static volatile uint32_t *const apic = (uint32_t *)0xfee00000u;

static inline void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint64_t ticks(void)
{
    uint64_t value;

    __asm__ volatile("rdtsc" : "=A"(value));
    return value;
}

static void print(const char *text)
{
    while (*text) {
        out8(DEBUG_PORT, (uint8_t)*text++);
    }
}

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

static void set_idt(void)
{
    struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) pointer = { sizeof state->idt - 1, (uint32_t)state->idt };

    for (unsigned i = 0; i < 64; i++) {
        state->idt[i][0] = (8 << 16) | (entries[i] & 0xffff);
        state->idt[i][1] = (entries[i] & 0xffff0000) | 0x8e00;
    }
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

static void pio(void)
{
    out8(0x80, 0);
}

static void pio_device(void)
{
    uint8_t value;

    __asm__ volatile("outb %1, $0x70; inb $0x71, %0" : "=a"(value) : "a"((uint8_t)0x0d));
}

static void mmio(void)
{
    (void)*(volatile uint32_t *)0xfed00000u;
}

static void cpuid(void)
{
    uint32_t a = 0, b, c, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
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
    measure("cpuid", cpuid, 500);
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
    print("end\n");
    out8(EXIT_PORT, 0x10);
}
