/* SPDX-License-Identifier: MIT */
/*
 * What breaks into a program: breakpoints and watchpoints of its own, single steps, NMI, messages of a PCI device (an HDA controller with a
 * codec in slot 5), and system management interrupts. What is printed is the processor's and the PC's alone.
 */
#include "tests/kvm/bare.h"

enum {
    WATCHED = 0x20000,
    DEBUG_VECTOR = 1,
    NMI_VECTOR = 2,
    SELF_VECTOR = 60,
    MSI_VECTOR = 61,
    TRAP_FLAG = 1 << 8,
    RESUME_FLAG = 1 << 16,

    HDA_SLOT = 5,
    HDA = 0xe1000000u,
    HDA_GCTL = 0x08,
    HDA_INTCTL = 0x20,
    HDA_CORB = 0x40,
    HDA_CORBWP = 0x48,
    HDA_CORBCTL = 0x4c,
    HDA_RIRB = 0x50,
    HDA_RINTCNT = 0x5a,
    HDA_RIRBCTL = 0x5c,
    HDA_RIRBSTS = 0x5d,
    CORB = 0x21000,
    RIRB = 0x22000,
    CAPABILITY_MSI = 5,

    SMI_PORT = 0xb2,
    SMI_HANDLER = 0x38000, /* of a processor that has not been told another place */
    SMI_COUNT = 0x23000,
    APMC = 0x5b, /* PIIX4's configuration: bit 1, writes to port 0xb2 are SMIs */
    PM_SLOT = 0x0b,
};

static struct {
    volatile unsigned taken[VECTORS];
    volatile uint32_t dr6, eip, steps;
    volatile unsigned in_nmi, nested;
} *const state = (void *)0x11000;

static volatile uint32_t *const apic = (uint32_t *)0xfee00000u;

static void set_dr7(uint32_t value)
{
    __asm__ volatile("mov %0, %%dr7" : : "r"(value));
}

static void set_dr6(uint32_t value)
{
    __asm__ volatile("mov %0, %%dr6" : : "r"(value));
}

static void nmi_to_self(void)
{
    apic[0x310 / 4] = 0;
    apic[0x300 / 4] = 0x4400;
}

static void take_debug(Frame *frame)
{
    __asm__ volatile("mov %%dr6, %0" : "=r"(*(uint32_t *)&state->dr6));
    set_dr6(0xffff0ff0);
    state->eip = frame->eip;
    if (state->dr6 & 1 << 14) {
        state->steps++;
        if (state->steps == 5) {
            frame->eflags &= ~(uint32_t)TRAP_FLAG;
        }
    } else {
        frame->eflags |= RESUME_FLAG; /* a breakpoint's instruction goes on */
    }
}

/* A second one waits until the first has been left. */
static void take_nmi(void)
{
    if (state->in_nmi) {
        state->nested++;
    }
    state->in_nmi = 1;
    if (state->taken[NMI_VECTOR] == 1) {
        nmi_to_self();
        for (volatile unsigned i = 0; i < 1000; i++) {
        }
    }
    state->in_nmi = 0;
}

void take(Frame *frame)
{
    state->taken[frame->vector]++;
    if (frame->vector == DEBUG_VECTOR) {
        take_debug(frame);
    } else if (frame->vector == NMI_VECTOR) {
        take_nmi();
    } else if (frame->vector >= 32) {
        apic[0xb0 / 4] = 0;
    } else {
        show("vector", frame->vector);
        show("eip", frame->eip);
        out8(EXIT_PORT, 0x11);
    }
}

static void show_debug(const char *name, uint32_t of)
{
    print(name);
    show(":", state->taken[DEBUG_VECTOR]);
    show("dr6", state->dr6);
    show("at", state->taken[DEBUG_VECTOR] ? state->eip - of : 0);
    end_line();
    state->taken[DEBUG_VECTOR] = 0;
}

/* DR0 watches words, bytes, reads, and an instruction. */
#define HIT(name, address, dr7, code)                                                              \
    do {                                                                                           \
        uint32_t of;                                                                               \
        __asm__ volatile("mov %0, %%dr0" : : "r"(address));                                        \
        set_dr7(dr7);                                                                              \
        __asm__ volatile("movl $1f, %0\n1:\t" code                                                 \
                         : "=&r"(of)                                                               \
                         : "b"(WATCHED)                                                            \
                         : "eax", "ecx", "esi", "edi", "memory");                                  \
        set_dr7(0x400);                                                                            \
        show_debug(name, of);                                                                      \
    } while (0)

static void breakpoints(void)
{
    static const uint32_t write4 = 0xd0402, access1 = 0x30402, write2 = 0x50402, execute = 0x402;
    extern const uint8_t here[];

    HIT("write", WATCHED, write4, "movl $1, (%%ebx); nop");
    HIT("write of a byte inside", WATCHED, write4, "movb $1, 3(%%ebx); nop");
    HIT("write beside", WATCHED, write4, "movl $1, 4(%%ebx); nop");
    HIT("write across", WATCHED, write4, "movl $1, -2(%%ebx); nop");
    HIT("read", WATCHED, access1, "movl (%%ebx), %%eax; nop");
    HIT("read of what is watched for writes", WATCHED, write4, "movl (%%ebx), %%eax; nop");
    HIT("read and write", WATCHED + 2, write2, "addw $1, 2(%%ebx); nop");
    HIT("string", WATCHED + 8, write4,
        "movl $0x20000, %%edi; movl $4, %%ecx; xorl %%eax, %%eax; cld; rep stosl; nop");
    HIT("instruction", here, execute, "nop; .globl here; here: nop; nop");
    HIT("off", WATCHED, 0x400, "movl $1, (%%ebx); nop");
}

static void single_steps(void)
{
    uint32_t of;

    state->steps = 0;
    __asm__ volatile("movl $1f, %0; pushfl; orl $0x100, (%%esp); popfl\n1:\tnop; movl $1, %%eax; "
                     "cpuid; nop; inb $0x71, %%al; nop; nop"
                     : "=&r"(of)
                     :
                     : "eax", "ebx", "ecx", "edx", "memory", "cc");
    show("steps", state->steps);
    show_debug("last step", of);
}

static void nmis(void)
{
    nmi_to_self();
    while (state->taken[NMI_VECTOR] < 2) {
    }
    show("nmi", state->taken[NMI_VECTOR]);
    show("nested", state->nested);
    end_line();
}

/* --- messages --- */

static uint32_t config(unsigned devfn, unsigned offset)
{
    out32(0xcf8, 0x80000000 | devfn << 8 | (offset & ~3u));
    return in32(0xcfc) >> (offset & 3) * 8;
}

static void set_config(unsigned devfn, unsigned offset, uint32_t value)
{
    out32(0xcf8, 0x80000000 | devfn << 8 | offset);
    out32(0xcfc, value);
}

static unsigned find_msi(unsigned devfn)
{
    unsigned at = config(devfn, 0x34) & 0xfc;

    while (at && (config(devfn, at) & 0xff) != CAPABILITY_MSI) {
        at = config(devfn, at + 1) & 0xfc;
    }
    return at;
}

static void hda_out(unsigned offset, unsigned bytes, uint32_t value)
{
    volatile void *place = (volatile uint8_t *)HDA + offset;

    if (bytes == 1) {
        *(volatile uint8_t *)place = (uint8_t)value;
    } else if (bytes == 2) {
        *(volatile uint16_t *)place = (uint16_t)value;
    } else {
        *(volatile uint32_t *)place = value;
    }
}

static void prepare_hda(void)
{
    unsigned devfn = HDA_SLOT << 3, msi = find_msi(devfn);
    uint32_t control = config(devfn, msi);

    set_config(devfn, 0x10, HDA);
    set_config(devfn, 0x04, 6);
    set_config(devfn, msi + 4, 0xfee00000);
    if (control >> 16 & 0x80) {
        set_config(devfn, msi + 8, 0);
    }
    set_config(devfn, msi + (control >> 16 & 0x80 ? 12 : 8), MSI_VECTOR);
    set_config(devfn, msi, control | 1 << 16);
    hda_out(HDA_GCTL, 4, 1);
    hda_out(HDA_INTCTL, 4, 0xc0000000);
    hda_out(HDA_CORB, 4, CORB);
    hda_out(HDA_RIRB, 4, RIRB);
    hda_out(HDA_RINTCNT, 2, 1);
    hda_out(HDA_RIRBCTL, 1, 3);
    hda_out(HDA_CORBCTL, 1, 2);
}

static void wait_for(unsigned vector, unsigned count)
{
    while (state->taken[vector] < count) {
        __asm__ volatile("sti; hlt; cli");
    }
}

/* Each verb's answer is an interrupt. */
static void messages(void)
{
    volatile uint32_t *corb = (uint32_t *)CORB;

    apic[0xf0 / 4] = 0x1ff;
    prepare_hda();
    for (unsigned i = 1; i <= 3; i++) {
        corb[i] = 0x000f0004; /* the root node's parameter 4: its nodes */
        hda_out(HDA_CORBWP, 2, i);
        wait_for(MSI_VECTOR, i);
        hda_out(HDA_RIRBSTS, 1, 1);
    }
    show("messages", state->taken[MSI_VECTOR]);
    show("answer", *(volatile uint32_t *)(RIRB + 8));
    end_line();
}

/* --- system management --- */

/* incl %cs:(SMI_COUNT as this mode sees it); rsm */
static const uint8_t handler[] = {
    0x66, 0x67, 0xff, 0x05, SMI_COUNT & 0xff, SMI_COUNT >> 8 & 0xff, SMI_COUNT >> 16, 0, 0x0f, 0xaa
};

static void system_management(void)
{
    volatile uint32_t *count = (uint32_t *)SMI_COUNT;

    for (unsigned i = 0; i < sizeof handler; i++) {
        ((volatile uint8_t *)SMI_HANDLER)[i] = handler[i];
    }
    *count = 0;
    set_config(PM_SLOT, APMC & ~3u, config(PM_SLOT, APMC & ~3u) | 2u << 24);
    for (unsigned i = 1; i <= 3; i++) {
        out8(SMI_PORT, (uint8_t)i);
        while (*count < i) {
        }
    }
    show("smi", *count);
    show("flags", ({
             uint32_t flags;
             __asm__ volatile("pushfl; popl %0" : "=r"(flags));
             flags & 0x300;
         }));
    end_line();
}

void main(void)
{
    set_idt();
    breakpoints();
    single_steps();
    nmis();
    messages();
    if (in8(0x80) != 0x55) {
        system_management();
    }
    end_program();
}
