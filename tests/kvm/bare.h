/* SPDX-License-Identifier: MIT */
/* What bare-metal programs (start.S) have in common: ports, text on port 0xe9, MSRs, an IDT whose entries come to take(). */
#ifndef TESTS_KVM_BARE_H
#define TESTS_KVM_BARE_H

#include <stdint.h>

enum { DEBUG_PORT = 0xe9, EXIT_PORT = 0x501, IDT = 0x10000, VECTORS = 64 };

typedef struct {
    uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax, vector, error, eip, cs, eflags;
} Frame;

extern const uint32_t entries[VECTORS]; /* start.S */
void take(Frame *frame);

static inline void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint32_t in32(uint16_t port)
{
    uint32_t value;

    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint64_t read_msr(uint32_t index)
{
    uint64_t value;

    __asm__ volatile("rdmsr" : "=A"(value) : "c"(index));
    return value;
}

static inline void write_msr(uint32_t index, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "A"(value), "c"(index) : "memory");
}

static inline uint64_t ticks(void)
{
    uint64_t value;

    __asm__ volatile("rdtsc" : "=A"(value));
    return value;
}

static inline void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                     : "a"(leaf), "c"(subleaf));
}

static inline void print(const char *text)
{
    while (*text) {
        out8(DEBUG_PORT, (uint8_t)*text++);
    }
}

static inline void print_hex(uint32_t value, int digits)
{
    while (digits-- > 0) {
        out8(DEBUG_PORT, (uint8_t) "0123456789abcdef"[value >> 4 * digits & 15]);
    }
}

static inline void show(const char *name, uint32_t value)
{
    print(name);
    print("=");
    print_hex(value, 8);
    print(" ");
}

static inline void end_line(void)
{
    print("\n");
}

static inline void set_idt(void)
{
    uint32_t(*idt)[2] = (uint32_t(*)[2])IDT;
    struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) pointer = { 8 * VECTORS - 1, IDT };

    for (unsigned i = 0; i < VECTORS; i++) {
        idt[i][0] = (8 << 16) | (entries[i] & 0xffff);
        idt[i][1] = (entries[i] & 0xffff0000) | 0x8e00;
    }
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

static inline void end_program(void)
{
    print("end\n");
    out8(EXIT_PORT, 0x10);
}

#endif
