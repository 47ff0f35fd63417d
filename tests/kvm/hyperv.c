/* SPDX-License-Identifier: MIT */
/*
 * Hyper-V's interfaces, as a guest without an operating system sees them (hv-*): what CPUID says, clocks, a call, an interrupt by its
 * interrupt controller's timer, and a reset, after which it ends.
 */
#include "tests/kvm/bare.h"

enum {
    MSR_OS = 0x40000000,
    MSR_HYPERCALL = 0x40000001,
    MSR_INDEX = 0x40000002,
    MSR_RESET = 0x40000003,
    MSR_RUNTIME = 0x40000010,
    MSR_TIME = 0x40000020,
    MSR_TSC_HZ = 0x40000022,
    MSR_APIC_HZ = 0x40000023,
    MSR_EOI = 0x40000070,
    MSR_CONTROL = 0x40000080,
    MSR_MESSAGES = 0x40000083,
    MSR_SOURCE_2 = 0x40000092,
    MSR_TIMER_CONFIG = 0x400000b0,
    MSR_TIMER_COUNT = 0x400000b1,

    CALL_PAGE = 0x30000,
    MESSAGE_PAGE = 0x31000,
    VECTOR = 60,
    POST_MESSAGE = 0x5c,
    CMOS_MARK = 0x50,
};

static volatile unsigned *const interrupts = (unsigned *)0x11000;

void take(Frame *frame)
{
    if (frame->vector != VECTOR) {
        show("vector", frame->vector);
        show("eip", frame->eip);
        out8(EXIT_PORT, 0x11);
    }
    ++*interrupts;
    write_msr(MSR_EOI, 0);
}

static void print_cpuid(uint32_t leaf)
{
    uint32_t out[5] = { 0 };

    cpuid(leaf, 0, out);
    show("leaf", leaf);
    show("eax", out[0]);
    if ((leaf & 0xff) == 0) {
        print((const char *)&(uint32_t[4]){ out[1], out[2], out[3], 0 });
    } else {
        show("ebx", out[1]);
        show("ecx", out[2]);
        show("edx", out[3]);
    }
    end_line();
}

static uint32_t call(uint32_t code)
{
    const uint32_t page = CALL_PAGE;
    uint32_t status = code;

    __asm__ volatile("call *%1"
                     : "+a"(status)
                     : "m"(page), "d"(0), "b"(0), "c"(0), "D"(0), "S"(0)
                     : "memory");
    return status & 0xffff;
}

static void clocks(void)
{
    uint64_t time = read_msr(MSR_TIME), run = read_msr(MSR_RUNTIME);

    while (read_msr(MSR_TIME) < time + 20000 || read_msr(MSR_RUNTIME) == run) {
    }
    print(read_msr(MSR_TSC_HZ) > 1000000 ? "tsc " : "no tsc ");
    print(read_msr(MSR_APIC_HZ) > 1000000 ? "apic " : "no apic ");
    show("index", (uint32_t)read_msr(MSR_INDEX));
    end_line();
}

static void timer(void)
{
    *(volatile uint32_t *)0xfee000f0u = 0x1ff;
    *interrupts = 0;
    write_msr(MSR_CONTROL, 1);
    write_msr(MSR_MESSAGES, MESSAGE_PAGE | 1);
    write_msr(MSR_SOURCE_2, VECTOR);
    write_msr(MSR_TIMER_CONFIG, 2 << 16 | 8); /* to source 2, on when the count is set */
    write_msr(MSR_TIMER_COUNT, read_msr(MSR_TIME) + 10000);
    while (!*interrupts) {
        __asm__ volatile("sti; hlt; cli");
    }
    show("message", *(volatile uint32_t *)(MESSAGE_PAGE + 2 * 256));
    end_line();
}

void main(void)
{
    out8(0x70, CMOS_MARK);
    if (in8(0x71) == 1) {
        print("reset ");
        end_program();
    }
    set_idt();
    for (uint32_t leaf = 0x40000000; leaf <= 0x40000005; leaf++) {
        print_cpuid(leaf);
    }
    print_cpuid(0x40000100);
    write_msr(MSR_OS, 0x123456789abc);
    write_msr(MSR_HYPERCALL, CALL_PAGE | 1);
    show("call", call(POST_MESSAGE));
    show("no call", call(0x7ffe));
    end_line();
    clocks();
    timer();
    out8(0x70, CMOS_MARK);
    out8(0x71, 1);
    write_msr(MSR_RESET, 1);
    print("no reset\n");
}
