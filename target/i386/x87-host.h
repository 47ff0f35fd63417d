/* SPDX-License-Identifier: MIT */
/* The host's x87, which computes for the guest's (x87.c, x87-quick.c). */
#ifndef TARGET_I386_X87_HOST_H
#define TARGET_I386_X87_HOST_H

#include "target/i386/x87-ops.h"

enum { IE = 1, DE = 2, ZE = 4, OE = 8, UE = 16, PE = 32, SF = 64, EXCEPTIONS = 63, C1 = X87_C1 };
enum { ES = 0x80, CONDITIONS = X87_C0 | X87_C1 | X87_C2 | X87_C3 };

/*
 * The host's x87 has no values and the control word that the ABI wants before and after, and notes nothing but PE: to clear that
 * each time would cost more than what is computed, and it says nothing new while the guest's is set. Overflow and underflow are
 * masked only if the guest does: the result is another one. ES is set then, and no waiting instruction may follow before FNCLEX.
 */
enum { USUAL_CONTROL = 0x37f };

static inline void set_host_control(uint16_t control)
{
    __asm__ volatile("fldcw %0" : : "m"(control));
}

static inline uint16_t begin_host(const X86Cpu *cpu)
{
    uint16_t control = cpu->x87.control | IE | DE | ZE | PE;

    if (!(cpu->x87.status & PE)) {
        __asm__ volatile("fnclex");
    }
    if (control != USUAL_CONTROL) {
        set_host_control(control);
    }
    return control;
}

/* status: what was noted. */
static inline void end_host(uint16_t control, uint16_t status)
{
    if (status & ES) {
        __asm__ volatile("fninit");
    } else {
        if (status & (EXCEPTIONS | SF) & ~PE) {
            __asm__ volatile("fnclex");
        }
        if (control != USUAL_CONTROL) {
            set_host_control(USUAL_CONTROL);
        }
    }
}

/* In asm statements, of values in memory. */
#define LOAD(value)  "fldt " value "; "
#define STORE(value) "fstpt " value "; "

#endif
