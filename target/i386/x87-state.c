/* SPDX-License-Identifier: MIT */
/* The x87's state as a whole: words, tags, pending exceptions. */
#include "target/i386/x87.h"

#include "target/i386/control.h"
#include "target/i386/exception.h"

enum { STATUS_ERROR = 0x80, STATUS_BUSY = 0x8000, STATUS_TOP_SHIFT = 11, EXCEPTIONS = 0x3f };
enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

void x87_init(X86Cpu *cpu)
{
    X87State *x87 = &cpu->x87;

    x87->control = 0x37f;
    x87->status = 0;
    x87->top = 0;
    x87->valid = 0;
    x87->opcode = 0;
    x87->cs = x87->ds = 0;
    x87->fip = x87->fdp = 0;
    cpu->x87_noted = (X87Noted){ 0 };
}

/* ES and B say that an unmasked exception is pending. */
static uint16_t summarized(const X87State *x87)
{
    uint16_t status = x87->status & (uint16_t) ~(STATUS_ERROR | STATUS_BUSY);

    return status & ~x87->control & EXCEPTIONS ? status | STATUS_ERROR | STATUS_BUSY : status;
}

uint16_t x87_status_word(const X86Cpu *cpu)
{
    return (uint16_t)(summarized(&cpu->x87) | cpu->x87.top << STATUS_TOP_SHIFT);
}

void x87_set_status_word(X86Cpu *cpu, uint16_t value)
{
    cpu->x87.top = value >> STATUS_TOP_SHIFT & 7;
    cpu->x87.status = value & (uint16_t) ~(7 << STATUS_TOP_SHIFT);
    cpu->x87.status = summarized(&cpu->x87);
}

void x87_set_control_word(X86Cpu *cpu, uint16_t value)
{
    unsigned changed = (value ^ cpu->x87.control) & EXCEPTIONS;

    /* Bit 6 reads as one; bits 7 and 13 to 15 as zeros. */
    cpu->x87.control = (value & 0x1f3f) | 0x40;
    cpu->x87.status = summarized(&cpu->x87);
    if (changed) {
        x86_update_mode(cpu);
    }
}

static unsigned tag_of(const X87Register *r)
{
    unsigned exponent = r->sign_exponent & 0x7fff;

    if (exponent == 0 && r->significand == 0) {
        return TAG_ZERO;
    }
    return exponent == 0 || exponent == 0x7fff || !(r->significand >> 63) ? TAG_SPECIAL : TAG_VALID;
}

uint16_t x87_full_tag_word(const X86Cpu *cpu)
{
    unsigned word = 0;

    for (unsigned i = 0; i < 8; i++) {
        unsigned tag = cpu->x87.valid >> i & 1 ? tag_of(&cpu->x87.st[i]) : TAG_EMPTY;

        word |= tag << 2 * i;
    }
    return (uint16_t)word;
}

void x87_set_full_tag_word(X86Cpu *cpu, uint16_t value)
{
    cpu->x87.valid = 0;
    for (unsigned i = 0; i < 8; i++) {
        cpu->x87.valid |= (value >> 2 * i & 3) != TAG_EMPTY ? (uint8_t)(1 << i) : 0;
    }
}

void x87_raise_pending(X86Cpu *cpu)
{
    if (cpu->cr0 & CR0_NE) {
        x86_fault(cpu, X86_MF, 0);
    }
    x87_signal_ferr(cpu);
}

/*
 * FERR#: once for an exception. Hardware then waits for the interrupt, whose handler lets it go on by IGNNE#; here
 * the instruction is tried once more after the interrupt had its chance, and then done.
 */
void x87_signal_ferr(X86Cpu *cpu)
{
    if (cpu->ferr_raised) {
        return;
    }
    cpu->ferr_raised = true;
    irq_set(&cpu->ferr, 1);
    x86_request_exit(cpu);
    tcg_unwind(&cpu->tcg);
}

void x87_update_ferr(X86Cpu *cpu)
{
    if (cpu->ferr_raised && !(cpu->x87.status & ~cpu->x87.control & EXCEPTIONS)) {
        cpu->ferr_raised = false;
        irq_set(&cpu->ferr, 0);
    }
}
