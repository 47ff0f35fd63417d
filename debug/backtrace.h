/* SPDX-License-Identifier: MIT */
/*
 * Who called whom, from a vCPU's registers or those of a task that waits. Linux's own tables (ORC) and compilers' frame information where
 * they are, frame records and frame pointers elsewhere, and for x86 code that keeps none a guess by what looks like return addresses. Machine lock held, vCPUs parked and
 * synchronized. Stacks may lie: what is read is bounded, and a stack never goes back.
 */
#ifndef DEBUG_BACKTRACE_H
#define DEBUG_BACKTRACE_H

#include "debug/dwarf/dwarf.h"
#include "debug/linux/linux.h"
#include "debug/linux/tasks.h"

enum { BACKTRACE_MAX = 256 };

typedef enum {
    FRAME_REGISTERS, /* the vCPU's or the task's own pc */
    FRAME_LINK,      /* by the link register */
    FRAME_POINTER,   /* by a frame pointer or frame record */
    FRAME_ORC,       /* by the kernel's unwind table */
    FRAME_INFORMATION, /* by what compilers wrote of frames: .debug_frame, .eh_frame */
    FRAME_GUESS,     /* a word of the stack that looks like it */
} FrameKind;

typedef struct {
    uint64_t pc, sp, fp;
    FrameKind kind;
    bool exact; /* pc is where it goes on, not what a call returns to: interrupted there */
    unsigned elf;             /* the machine (EM_*) whose DWARF numbers the registers have; 0: none are known */
    DwarfRegisters registers; /* as far as they are known in this frame */
} Frame;

/* Frame of each, innermost first, at most `max`; caller unrefs. */
GArray *backtrace_vcpu(Machine *machine, Vcpu *vcpu, unsigned max);
GArray *backtrace_task(LinuxKernel *kernel, const LinuxTask *task, unsigned max);
const char *frame_kind_name(FrameKind kind);
/* The address to look a frame's symbol up by: within the call, not behind it. */
static inline uint64_t frame_address(const Frame *frame)
{
    return frame->exact || !frame->pc ? frame->pc : frame->pc - 1;
}

#endif
