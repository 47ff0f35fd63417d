/* SPDX-License-Identifier: MIT */
/*
 * Programs without an operating system whose output is the processor's and the PC's alone: it is the same whatever runs them. They print on
 * port 0xe9, and end by port 0x501.
 */
#include "tests/kvm/bare.h"

enum { TEST_PAGE = 0x20000, TABLES = 0x100000, FIRST_IRQ = 32, NO_VECTOR = -1 };

static struct {
    volatile int vector; /* of the last exception */
    volatile uint32_t error, dr6, cr2;
    volatile uint32_t resume; /* where an exception goes on; 0: where it came from */
    volatile unsigned interrupts[VECTORS], steps;
} *const state = (void *)0x11000;

void take(Frame *frame)
{
    if (frame->vector == 1 && !state->resume) {
        state->steps++;
        if (state->steps >= 3) {
            frame->eflags &= ~0x100u;
        }
        return;
    }
    if (frame->vector == 2 || frame->vector >= FIRST_IRQ) {
        state->interrupts[frame->vector]++;
        if (frame->vector >= FIRST_IRQ && frame->vector < FIRST_IRQ + 8) {
            out8(0x20, 0x20);
        }
        return;
    }
    state->vector = (int)frame->vector;
    state->error = frame->error;
    __asm__ volatile("mov %%cr2, %0" : "=r"(*(uint32_t *)&state->cr2));
    __asm__ volatile("mov %%dr6, %0" : "=r"(*(uint32_t *)&state->dr6));
    if (state->resume) {
        frame->eip = state->resume;
    }
}

/* Runs instructions that may fault; then says with what. */
#define TRY(name, code, ...)                                                                       \
    do {                                                                                           \
        state->vector = NO_VECTOR;                                                                 \
        state->error = 0;                                                                          \
        __asm__ volatile("movl $1f, %0\n" code "\n1:\tmovl $0, %0"                                 \
                         : "+m"(*(uint32_t *)&state->resume)__VA_ARGS__);                          \
        print(name);                                                                               \
        print(": ");                                                                               \
        show("vector", (uint32_t)state->vector);                                                   \
        show("error", state->error);                                                               \
        end_line();                                                                                \
    } while (0)

static void exceptions(void)
{
    TRY("divide", "xorl %%ecx, %%ecx; movl $1, %%eax; xorl %%edx, %%edx; divl %%ecx",
        :
        : "eax", "ecx", "edx");
    TRY("undefined", "ud2", : : "memory");
    TRY("breakpoint", "int3", : : "memory");
    TRY("null selector", "movl $0x1234, %%eax; movw %%ax, %%fs", : : "eax");
    TRY("into", "movb $0x7f, %%al; addb $1, %%al; into", : : "eax");
    TRY("bound", "movl $5, %%eax; boundl %%eax, 2f; jmp 3f; .balign 4; 2: .long 0, 3; 3:",
        :
        : "eax");
    TRY("int 63 gate", "int $63", : : "memory");
    TRY("none", "nop", : : "memory");
}

static void single_step(void)
{
    state->steps = 0;
    __asm__ volatile("pushfl; orl $0x100, (%%esp); popfl; nop; nop; nop; nop" : : : "memory", "cc");
    show("steps", state->steps);
    end_line();
}

static void string_io(void)
{
    char *buffer = (char *)TEST_PAGE;
    uint32_t count = 4;
    void *to = buffer;
    const void *from = buffer;

    __asm__ volatile("outw %0, %1" : : "a"((uint16_t)0), "Nd"((uint16_t)0x510));
    __asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"((uint16_t)0x511) : "memory");
    count = 4;
    __asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"((uint16_t)DEBUG_PORT) : "memory");
    show(" moved", (uint32_t)((const char *)from - buffer));
    end_line();
}

/* Reads of an I/O APIC's and a local APIC's registers, and of memory where nothing is, in all sizes. */
static void mmio(void)
{
    volatile uint32_t *ioapic = (uint32_t *)0xfec00000u;
    volatile uint8_t *nothing = (uint8_t *)0xe0000ffdu;
    uint64_t wide = 0x1122334455667788;

    ioapic[0] = 1;
    show("ioapic pins", ioapic[4] >> 16);
    show("apic version", *(volatile uint32_t *)0xfee00030u & 0xff);
    show("nothing 8", *nothing);
    show("nothing 16", *(volatile uint16_t *)nothing);
    show("nothing 32 over a page", *(volatile uint32_t *)nothing);
    *(volatile uint64_t *)0xa0000 = wide;
    __asm__ volatile("movq 0xe0000000, %%mm0; movq %%mm0, %0; emms" : "=m"(wide));
    show("nothing 64", (uint32_t)wide);
    end_line();
}

/* Writes to an index port may be gathered: each is done before the data port is, and the last of many counts. */
static void index_port(void)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < 8; i++) {
        out8(0x70, (uint8_t)(0x40 + i));
        out8(0x71, (uint8_t)(3 * i + 1));
    }
    for (unsigned i = 0; i < 8; i++) {
        out8(0x70, (uint8_t)(0x40 + i));
        sum = sum << 4 ^ in8(0x71);
    }
    show("cmos", sum);
    for (unsigned i = 0; i <= 1000; i++) {
        out8(0x70, (uint8_t)(0x40 + i % 8));
    }
    show("last", in8(0x71));
    end_line();
}

/* The ROM that runs is read, and RAM below it written (PAM, 10b); then RAM is there, with what was written and what was not. */
static void shadowing(void)
{
    volatile uint32_t *word = (uint32_t *)0xffe00;
    uint32_t *ram = (uint32_t *)TEST_PAGE, sum = 0;
    static const uint8_t modes[] = { 0x20, 0x30, 0x10, 0x00 };

    for (unsigned i = 0; i < 0x4000; i++) {
        ram[i] = ((volatile uint32_t *)0xf0000)[i];
    }
    out32(0xcf8, 0x80000058);
    out8(0xcfd, modes[0]);
    for (unsigned i = 0; i < 0x4000; i++) {
        ((volatile uint32_t *)0xf0000)[i] = ram[i];
    }
    for (unsigned i = 0; i < 32; i++) {
        word[i] = 0x1000 + i;
        sum += word[i];
    }
    show("rom", sum);
    for (unsigned n = 1; n < sizeof modes; n++) {
        out8(0xcfd, modes[n]);
        word[1] = 0x2000 + n;
        show("mode", modes[n]);
        show("word", word[1]);
    }
    end_line();
}

static void msrs(void)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0x277));
    show("pat", low);
    show("high", high);
    __asm__ volatile("wrmsr" : : "a"(0x806), "d"(0), "c"(0x2ff));
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0x2ff));
    show("mtrr", low);
    __asm__ volatile("wrmsr" : : "a"(0x12345), "d"(0), "c"(0x175));
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0x175));
    show("sysenter", low);
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0x1b));
    show("apic base", low);
    end_line();
    TRY("no such msr", "movl $0x12345678, %%ecx; rdmsr", : : "eax", "ecx", "edx");
}

/* Code that is changed runs as it is now: mov $imm, %eax; ret. */
static void changed_code(void)
{
    volatile uint8_t *code = (uint8_t *)TEST_PAGE + 0x100;
    uint32_t sum = 0;

    code[0] = 0xb8;
    code[2] = code[3] = code[4] = 0;
    code[5] = 0xc3;
    for (unsigned i = 0; i < 20; i++) {
        code[1] = (uint8_t)i;
        sum += ((uint32_t(*)(void))code)();
    }
    show("sum", sum);
    end_line();
}

/* 4 MiB of identity, then a page that is not there, one that cannot be written, and accessed and dirty bits. */
static void paging(void)
{
    uint32_t *directory = (uint32_t *)TABLES, *table = directory + 1024;
    uint32_t cr0;

    for (unsigned i = 0; i < 1024; i++) {
        directory[i] = 0;
        table[i] = i << 12 | 3;
    }
    directory[0] = (uint32_t)table | 3;
    directory[0xfee00000u >> 22] = 0xfec00083u; /* 4 MiB page */
    table[0x300] = 0;
    table[0x301] = 0x301001;
    __asm__ volatile("mov %%cr4, %0; or $0x10, %0; mov %0, %%cr4; mov %1, %%cr3"
                     : "=&r"(cr0)
                     : "r"(directory));
    __asm__ volatile("mov %%cr0, %0; or $0x80010000, %0; mov %0, %%cr0; jmp 1f; 1:" : "=&r"(cr0));
    TRY("not present", "movl 0x300010, %%eax", : : "eax");
    show("cr2", state->cr2);
    TRY("read only", "movl $1, 0x301020", : : "memory");
    show("cr2", state->cr2);
    TRY("allowed", "movl $1, 0x302020; movl 0x303000, %%eax", : : "eax", "memory");
    show("written", table[0x302] & 0x60);
    show("read", table[0x303] & 0x60);
    __asm__ volatile("mov %%cr0, %0; and $0x7fffffff, %0; mov %0, %%cr0" : "=&r"(cr0));
    end_line();
}

static void wait_for(unsigned vector)
{
    while (!state->interrupts[vector]) {
        __asm__ volatile("sti; hlt; cli");
    }
}

/* The interval timer by the PIC, the APIC's own timer, an interrupt to oneself, and an NMI to oneself. */
static void interrupts(void)
{
    volatile uint32_t *apic = (uint32_t *)0xfee00000u;

    out8(0x20, 0x11);
    out8(0x21, FIRST_IRQ);
    out8(0x21, 4);
    out8(0x21, 1);
    out8(0x21, 0xfe);
    out8(0x43, 0x30);
    out8(0x40, 0);
    out8(0x40, 4);
    wait_for(FIRST_IRQ);
    print("timer ");
    out8(0x21, 0xff);
    apic[0xf0 / 4] = 0x1ff;
    apic[0x310 / 4] = 0;
    apic[0x300 / 4] = 0x4000 | 50; /* fixed, to ID 0 */
    wait_for(50);
    apic[0xb0 / 4] = 0;
    print("ipi ");
    apic[0x300 / 4] = 0x4400; /* NMI */
    while (!state->interrupts[2]) {
    }
    print("nmi ");
    apic[0x3e0 / 4] = 0xb;
    apic[0x320 / 4] = 51;
    apic[0x380 / 4] = 10000;
    wait_for(51);
    apic[0xb0 / 4] = 0;
    print("apic-timer\n");
}

/* An I/O APIC's pin 2, where the interval timer is: edge, vector 52. */
static void ioapic_interrupt(void)
{
    volatile uint32_t *ioapic = (uint32_t *)0xfec00000u;

    ioapic[0] = 0x15;
    ioapic[4] = 0;
    ioapic[0] = 0x14;
    ioapic[4] = 52;
    out8(0x43, 0x30);
    out8(0x40, 0);
    out8(0x40, 4);
    wait_for(52);
    *(volatile uint32_t *)0xfee000b0u = 0;
    ioapic[0] = 0x14;
    show("ioapic entry", ioapic[4] & 0x1ffff);
    ioapic[4] = 0x10000;
    end_line();
}

static void floats(void)
{
    double root = 2.0;
    uint32_t bits[2];

    __asm__ volatile("fninit; fldl %0; fsqrt; fstpl %0" : "+m"(root));
    __builtin_memcpy(bits, &root, sizeof bits);
    show("sqrt low", bits[0]);
    show("high", bits[1]);
    end_line();
}

void main(void)
{
    static void (*const programs[])(
        void) = { exceptions, single_step,  string_io, mmio,   index_port, shadowing,
                  msrs,       changed_code, floats,    paging, interrupts, ioapic_interrupt };

    set_idt();
    for (unsigned i = 0; i < sizeof programs / sizeof *programs; i++) {
        programs[i]();
    }
    end_program();
}
