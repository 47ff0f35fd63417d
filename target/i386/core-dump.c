/* SPDX-License-Identifier: MIT */
/*
 * A CPU in a core file: the registers as Linux's struct user_regs_struct has them, and the note "QEMU", whose control and table
 * registers tell the tool crash where the kernel is.
 */
#include "machine/core-notes.h"
#include "target/i386/cpu.h"
#include "target/i386/core-dump.h"

enum { STATE_VERSION = 1, GENERAL = 16, USER_REGISTERS = 27 };

typedef struct {
    uint32_t selector, limit, flags, pad;
    uint64_t base;
} StateSegment;

/* cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt. */
typedef struct {
    uint32_t version, size;
    uint64_t general[GENERAL]; /* rax rbx rcx rdx rsi rdi rsp rbp r8 … r15 */
    uint64_t rip, rflags;
    StateSegment segments[10];
    uint64_t control[5];
    uint64_t kernel_gs_base;
} StateNote;

static const uint8_t state_order[GENERAL] = {
    X86_RAX, X86_RBX, X86_RCX, X86_RDX, X86_RSI, X86_RDI, X86_RSP, X86_RBP,
    8,       9,       10,      11,      12,      13,      14,      15,
};

static StateSegment note_segment(const X86Segment *segment)
{
    return (StateSegment){ .selector = segment->selector,
                           .limit = segment->limit,
                           .flags = segment->flags,
                           .base = segment->base };
}

static void add_state(X86Cpu *cpu, GByteArray *notes)
{
    static const uint8_t order[] = { X86_CS, X86_DS, X86_ES, X86_FS, X86_GS, X86_SS };
    StateNote note = { .version = STATE_VERSION,
                       .size = sizeof note,
                       .rip = x86_eip(cpu),
                       .rflags = x86_get_eflags(cpu),
                       .control = { cpu->cr0, 0, cpu->cr2, cpu->cr3, cpu->cr4 },
                       .kernel_gs_base = cpu->kernel_gs_base };

    for (unsigned i = 0; i < GENERAL; i++) {
        note.general[i] = cpu->gpr[state_order[i]];
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        note.segments[i] = note_segment(&cpu->seg[order[i]]);
    }
    note.segments[6] = note_segment(&cpu->ldtr);
    note.segments[7] = note_segment(&cpu->tr);
    note.segments[8] = (StateSegment){ .limit = cpu->gdtr.limit, .base = cpu->gdtr.base };
    note.segments[9] = (StateSegment){ .limit = cpu->idtr.limit, .base = cpu->idtr.base };
    core_note_add(notes, "QEMU", 0, &note, sizeof note);
}

void x86_core_notes(Vcpu *vcpu, GByteArray *notes)
{
    X86Cpu *cpu = x86_cpu(vcpu);
    const uint64_t *gpr = cpu->gpr;
    const X86Segment *segments = cpu->seg;
    const uint64_t registers[USER_REGISTERS] = {
        gpr[15],
        gpr[14],
        gpr[13],
        gpr[12],
        gpr[X86_RBP],
        gpr[X86_RBX],
        gpr[11],
        gpr[10],
        gpr[9],
        gpr[8],
        gpr[X86_RAX],
        gpr[X86_RCX],
        gpr[X86_RDX],
        gpr[X86_RSI],
        gpr[X86_RDI],
        gpr[X86_RAX],
        x86_eip(cpu),
        segments[X86_CS].selector,
        x86_get_eflags(cpu),
        gpr[X86_RSP],
        segments[X86_SS].selector,
        segments[X86_FS].base,
        segments[X86_GS].base,
        segments[X86_DS].selector,
        segments[X86_ES].selector,
        segments[X86_FS].selector,
        segments[X86_GS].selector,
    };

    core_note_add_prstatus(notes, vcpu->index, registers, USER_REGISTERS);
    add_state(cpu, notes);
}
