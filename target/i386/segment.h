/* SPDX-License-Identifier: MIT */
/*
 * Segmentation: loads of segment registers, far transfers, returns, gates, task switches (Intel SDM 3, chapters 3, 5, 7).
 * All work on the current instruction, whose pc is exact, and unwind with a fault when the architecture says so.
 */
#ifndef TARGET_I386_SEGMENT_H
#define TARGET_I386_SEGMENT_H

#include "target/i386/cpu.h"

/* MOV, POP, LDS … : data and stack segments. */
void x86_load_segment(X86Cpu *cpu, X86SegmentName name, uint16_t selector);
void x86_load_ldtr(X86Cpu *cpu, uint16_t selector);
void x86_load_tr(X86Cpu *cpu, uint16_t selector);

/* JMP and CALL far; bytes: operand size; next_eip: what CALL pushes. Set the pc. */
void x86_far_jump(X86Cpu *cpu, uint16_t selector, uint64_t offset, unsigned bytes, uint64_t next_eip);
void x86_far_call(X86Cpu *cpu, uint16_t selector, uint64_t offset, unsigned bytes, uint64_t next_eip);
/* RETF and IRET. */
void x86_far_return(X86Cpu *cpu, unsigned bytes, unsigned release);
void x86_interrupt_return(X86Cpu *cpu, unsigned bytes, uint64_t next_eip);

typedef enum { X86_TASK_JUMP, X86_TASK_CALL, X86_TASK_IRET, X86_TASK_INTERRUPT } X86TaskCause;
/* selector: of the new TSS, whose descriptor is checked here. next_eip goes to the old one. */
void x86_task_switch(X86Cpu *cpu, uint16_t selector, X86TaskCause cause, uint64_t next_eip, uint64_t old_flags,
                     bool has_error_code, uint32_t error_code);

/* SYSCALL … SYSEXIT; bytes: operand size. Set the pc. */
void x86_syscall(X86Cpu *cpu, unsigned length);
void x86_sysret(X86Cpu *cpu, unsigned bytes);
void x86_sysenter(X86Cpu *cpu);
void x86_sysexit(X86Cpu *cpu, unsigned bytes);

/* Descriptors of code, data and system segments. */
typedef struct {
    uint64_t address;          /* linear, of the descriptor */
    uint64_t base;             /* x86_read_system_descriptor: 64 bits in long mode */
    uint32_t limit, flags;     /* flags as X86Segment has them */
    uint64_t raw;
} X86Descriptor;
/* false: null, or beyond the table. Faults of the table's pages unwind. */
bool x86_read_descriptor(X86Cpu *cpu, uint16_t selector, X86Descriptor *descriptor);
/*
 * The rest of an LDT's, a TSS's or a call gate's descriptor that x86_read_descriptor has read: in long mode they have 16 bytes.
 * false: that lies beyond the table. upper: bytes 8 to 15, or 0.
 */
bool x86_read_system_descriptor(X86Cpu *cpu, uint16_t selector, X86Descriptor *descriptor, uint64_t *upper);
static inline bool x86_is_code(uint32_t flags)
{
    return (flags & (X86_SEG_S | X86_SEG_CODE)) == (X86_SEG_S | X86_SEG_CODE);
}
static inline unsigned x86_dpl(uint32_t flags)
{
    return (flags & X86_SEG_DPL) >> X86_SEG_DPL_SHIFT;
}
/* Sets the accessed bit in memory. */
void x86_mark_accessed(X86Cpu *cpu, const X86Descriptor *descriptor);

/* The stack that a more privileged handler gets. external: for error codes. */
typedef struct {
    uint16_t selector;
    uint64_t sp;
    X86Descriptor segment;
} X86InnerStack;
void x86_read_inner_stack(X86Cpu *cpu, unsigned cpl, uint32_t external, X86InnerStack *stack);
/* RSP0 to RSP2 (0 to 2) and IST1 to IST7 (4 to 10) of the 64-bit TSS. */
uint64_t x86_tss64_stack(X86Cpu *cpu, unsigned index, uint32_t external);
/* A store with the rights of another privilege level, for pushes to its stack. */
void x86_store_at_privilege(X86Cpu *cpu, uint64_t address, uint64_t value, unsigned bytes, unsigned cpl);

/* An access at `offset` of a segment that the fast check refused: raises #GP or #SS, or returns. */
void x86_check_segment(X86Cpu *cpu, X86SegmentName name, uint64_t offset, unsigned bytes, bool write);

/* LAR, LSL, VERR, VERW: false: ZF is cleared. */
bool x86_lar(X86Cpu *cpu, uint16_t selector, uint32_t *rights);
bool x86_lsl(X86Cpu *cpu, uint16_t selector, uint32_t *limit);
bool x86_verify(X86Cpu *cpu, uint16_t selector, bool write);

/* Whether ports [port, port + bytes) may be accessed when CPL > IOPL or in virtual-8086 mode; else #GP(0). */
void x86_check_io_permission(X86Cpu *cpu, uint16_t port, unsigned bytes);

/*
 * The stack of the current mode, for helpers: pushes and pops with all checks. The stack pointer is written by
 * x86_stack_end, so that a fault leaves it as it was.
 */
typedef struct {
    X86Cpu *cpu;
    uint64_t sp;               /* the whole register as it will be */
    uint64_t mask;             /* which bits of it are the stack pointer: 16, 32 or 64 */
    X86Segment segment;
    unsigned flags;            /* for accesses: IR_MEM_* */
    uint32_t error;            /* of #SS beyond the limit: the selector that is not loaded yet, or 0 */
} X86Stack;
/* On a more privileged stack, before SS has been loaded. */
void x86_stack_begin_inner(X86Stack *stack, X86Cpu *cpu, const X86InnerStack *inner);
void x86_stack_begin(X86Stack *stack, X86Cpu *cpu);
void x86_stack_push(X86Stack *stack, unsigned bytes, uint64_t value);
uint64_t x86_stack_pop(X86Stack *stack, unsigned bytes);
/* Reads at a stack pointer of its own; checks the top for writing. */
uint64_t x86_stack_peek(X86Stack *stack, uint64_t sp, unsigned bytes);
void x86_stack_probe(X86Stack *stack, unsigned bytes);
void x86_stack_end(X86Stack *stack);

#endif
