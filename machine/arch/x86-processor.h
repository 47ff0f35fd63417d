/* SPDX-License-Identifier: MIT */
/*
 * What an accelerator that keeps an x86 processor's registers itself needs of the target, beside the table of registers:
 * hidden parts, vectors, CPUID. The vCPU is parked, or it is its own thread that calls.
 */
#ifndef MACHINE_ARCH_X86_PROCESSOR_H
#define MACHINE_ARCH_X86_PROCESSOR_H

#include "machine/arch/x86.h"

enum { X86_HIDDEN_SEGMENTS = 8 };

/* A segment register. flags: bits 8 to 23 of a descriptor's second word, at their places; P clear: unusable. */
typedef struct {
    uint64_t base;
    uint32_t limit; /* in bytes */
    uint32_t flags;
    uint16_t selector;
} X86HiddenSegment;

typedef struct {
    uint64_t base;
    uint32_t limit;
} X86HiddenTable;

typedef struct {
    X86HiddenSegment segment[X86_HIDDEN_SEGMENTS]; /* ES CS SS DS FS GS LDTR TR */
    X86HiddenTable gdtr, idtr;
    uint64_t smbase;
    uint32_t pkru;
    bool smm, nmi_blocked;
    bool interrupt_shadow; /* interrupts are held back for an instruction */
    bool wait_for_sipi;    /* after INIT */
    bool shut_down;
} X86Hidden;

/* Least bytes of an XSAVE area in the standard form: up to the upper halves of the vectors of AVX. The header is not used. */
enum { X86_XSAVE_BYTES = 832, X86_XSAVE_HEADER = 512 };

typedef struct X86Processor {
    /* All of it, padding too, is determined by the registers. */
    void (*get_hidden)(Vcpu *vcpu, X86Hidden *hidden);
    /* The caller ends with Target.state_loaded. */
    void (*set_hidden)(Vcpu *vcpu, const X86Hidden *hidden);
    /* AVX-512 is where CPUID says; what the target does not know is left alone. */
    void (*get_xsave)(Vcpu *vcpu, uint8_t *area, size_t bytes);
    void (*set_xsave)(Vcpu *vcpu, const uint8_t *area, size_t bytes);
    /* What the guest sees, by the registers of now. out: EAX, EBX, ECX, EDX. */
    void (*cpuid)(Vcpu *vcpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
    /* INIT, or a start-up message, is carried out on the registers of the target; others are not for this. */
    void (*take_event)(Vcpu *vcpu, const VcpuEvent *event);
    /* The time-stamp counter's rate that the user asked for, 0: none; and what it is, when nobody did. */
    uint64_t (*wanted_tsc_hz)(const Vcpu *vcpu);
    void (*set_tsc_hz)(Vcpu *vcpu, uint64_t hz);
} X86Processor;

#endif
