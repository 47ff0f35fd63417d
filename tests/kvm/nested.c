/* SPDX-License-Identifier: MIT */
/*
 * A virtual machine inside the virtual machine (SVM: AMD APM 2, chapter 15): it runs for some seconds, it calls, and a reset that it causes finds the
 * processor outside of it.
 */
#include "tests/kvm/bare.h"

enum {
    MSR_EFER = 0xc0000080,
    MSR_VM_HSAVE = 0xc0010117,
    EFER_SVME = 1 << 12,
    VMCB = 0x30000,
    HOST_SAVE = 0x31000,
    STACK = 0x33000,
    PAGES = 0x34000,
    INTERCEPT_3 = 0x0c,
    INTERCEPT_4 = 0x10,
    ASID = 0x58,
    EXIT_CODE = 0x70,
    EFER = 0x4d0,
    CR4 = 0x548,
    CR3 = 0x550,
    CR0 = 0x558,
    DR7 = 0x560,
    DR6 = 0x568,
    RFLAGS = 0x570,
    RIP = 0x578,
    RSP = 0x5d8,
    RAX = 0x5f8,
    PAT = 0x668,
    CODE = 0x0c9b,
    DATA = 0x0c93,
    CMOS_MARK = 0x50,
};

void take(Frame *frame)
{
    show("vector", frame->vector);
    show("eip", frame->eip);
    out8(EXIT_PORT, 0x11);
}

static void set(uint32_t offset, uint32_t value)
{
    *(volatile uint32_t *)(VMCB + offset) = value;
}

static uint32_t get(uint32_t offset)
{
    return *(volatile uint32_t *)(VMCB + offset);
}

static void set_segment(unsigned number, uint16_t selector, uint16_t attributes)
{
    set(0x400 + 16 * number, selector | (uint32_t)attributes << 16);
    set(0x404 + 16 * number, 0xffffffff);
}

/* Every address is its own, in pages of 4 MiB. */
static void enable_paging(void)
{
    uint32_t *directory = (uint32_t *)PAGES, cr;

    for (unsigned i = 0; i < 1024; i++) {
        directory[i] = i << 22 | 0x83;
    }
    __asm__ volatile("mov %%cr4, %0; or $0x10, %0; mov %0, %%cr4; mov %1, %%cr3"
                     : "=&r"(cr)
                     : "r"(directory));
    __asm__ volatile("mov %%cr0, %0; or $0x80000000, %0; mov %0, %%cr0" : "=&r"(cr));
}

/* Flat segments and the same pages, as here. */
static void prepare(void (*entry)(void))
{
    uint32_t cr0;

    for (unsigned i = 0; i < 4096; i += 4) {
        set(i, 0);
    }
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    set(INTERCEPT_3, 1u << 31); /* shutdown */
    set(INTERCEPT_4, 3);        /* VMRUN, VMMCALL */
    set(ASID, 1);
    for (unsigned i = 0; i < 6; i++) {
        set_segment(i, i == 1 ? 8 : 16, i == 1 ? CODE : DATA);
    }
    set(EFER, EFER_SVME);
    set(CR0, cr0);
    set(CR4, 0x10);
    set(CR3, PAGES);
    set(DR7, 0x400);
    set(DR6, 0xffff0ff0);
    set(RFLAGS, 2);
    set(RIP, (uint32_t)entry);
    set(RSP, STACK);
    set(PAT, 0x00070406);
    set(PAT + 4, 0x00070406);
}

static void run(void)
{
    __asm__ volatile("clgi; vmload; vmrun; stgi"
                     :
                     : "a"(VMCB)
                     : "ebx", "ecx", "edx", "esi", "edi", "memory", "cc");
}

/* Long enough to be moved to another process. */
static void wait_seconds(unsigned count)
{
    uint8_t last = 0;

    while (count) {
        out8(0x70, 0);
        if (in8(0x71) != last) {
            last = in8(0x71);
            count--;
        }
    }
}

static void calls(void)
{
    print("ready\n");
    wait_seconds(5);
    __asm__ volatile("movl $0x1234, %%eax; vmmcall" : : : "eax");
}

static void resets(void)
{
    out8(0x64, 0xfe);
    for (;;) {
    }
}

void main(void)
{
    out8(0x70, CMOS_MARK);
    if (in8(0x71) == 1) {
        show("efer", (uint32_t)read_msr(MSR_EFER));
        end_program();
    }
    set_idt();
    enable_paging();
    write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_SVME);
    write_msr(MSR_VM_HSAVE, HOST_SAVE);
    prepare(calls);
    run();
    show("exit", get(EXIT_CODE));
    show("eax", get(RAX));
    end_line();
    out8(0x70, CMOS_MARK);
    out8(0x71, 1);
    prepare(resets);
    run();
    show("no reset", get(EXIT_CODE));
    end_line();
}
