/* SPDX-License-Identifier: MIT */
/* Switches AVX-512 on, says whether there is any, and waits for a debugger to look at its registers. */
#include "tests/kvm/bare.h"

enum { OSFXSR = 1 << 9, OSXSAVE = 1 << 18, AVX512F = 1 << 16, ALL = 0xe7 };

void take(Frame *frame)
{
    show("vector", frame->vector);
    show("eip", frame->eip);
    out8(EXIT_PORT, 0x11);
}

void main(void)
{
    uint32_t out[4], cr4;

    set_idt();
    cpuid(7, 0, out);
    if (!(out[1] & AVX512F)) {
        print("none\n");
        end_program();
    }
    __asm__ volatile("mov %%cr4, %0; or %1, %0; mov %0, %%cr4"
                     : "=&r"(cr4)
                     : "i"(OSFXSR | OSXSAVE));
    __asm__ volatile("xsetbv" : : "c"(0), "a"(ALL), "d"(0));
    print("ready\n");
    for (;;) {
    }
}
