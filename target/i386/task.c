/* SPDX-License-Identifier: MIT */
/* Hardware task switches (Intel SDM 3, chapter 8). */
#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "target/i386/mmu.h"
#include "target/i386/segment.h"
#include "target/i386/svm.h"

enum { TSS_BUSY = 2 << X86_SEG_TYPE_SHIFT, TSS_32 = 8 << X86_SEG_TYPE_SHIFT };

/* What a TSS holds, of either width. */
typedef struct {
    uint64_t cr3, eip, eflags;
    uint32_t gpr[8];
    uint16_t seg[X86_SEGMENTS], ldt;
    bool trap;
} Task;

static bool is_wide(uint32_t flags)
{
    return flags & TSS_32;
}

static void read_tss(X86Cpu *cpu, const X86Descriptor *d, Task *task)
{
    bool wide = is_wide(d->flags);
    uint64_t base = d->base;
    unsigned bytes = wide ? 4 : 2;
    uint64_t eip = base + (wide ? 0x20 : 0x0e), registers = eip + 2 * bytes;
    uint64_t segments = registers + 8 * bytes;

    *task = (Task){ 0 };
    task->cr3 = wide ? x86_load_system(cpu, base + 0x1c, 4) : 0;
    task->eip = x86_load_system(cpu, eip, bytes);
    task->eflags = x86_load_system(cpu, eip + bytes, bytes);
    for (unsigned i = 0; i < 8; i++) {
        task->gpr[i] = (uint32_t)x86_load_system(cpu, registers + i * bytes, bytes);
    }
    for (unsigned i = 0; i < (wide ? 6 : 4); i++) {
        task->seg[i] = (uint16_t)x86_load_system(cpu, segments + i * bytes, 2);
    }
    task->ldt = (uint16_t)x86_load_system(cpu, segments + (wide ? 6 : 4) * bytes, 2);
    task->trap = wide && (x86_load_system(cpu, base + 0x64, 2) & 1);
}

static uint64_t type_byte(const X86Cpu *cpu, uint16_t selector)
{
    return cpu->gdtr.base + (selector & 0xfff8) + 5;
}

/* All that a switch writes: once it has begun, nothing of the old task faults any more (SDM 3, 8.3). */
static void check_writes(X86Cpu *cpu, uint16_t selector, const X86Descriptor *d, bool nested,
                         bool marks_busy)
{
    enum { SAVED_32 = 0x20, SAVED_32_BYTES = 0x40, SAVED_16 = 0x0e, SAVED_16_BYTES = 0x1c };
    bool wide = is_wide(cpu->tr.flags);

    x86_check_store_system(cpu, cpu->tr.base + (wide ? SAVED_32 : SAVED_16),
                           wide ? SAVED_32_BYTES : SAVED_16_BYTES);
    if (nested) {
        x86_check_store_system(cpu, d->base, 2);
    } else {
        x86_check_store_system(cpu, type_byte(cpu, cpu->tr.selector), 1);
    }
    if (marks_busy) {
        x86_check_store_system(cpu, type_byte(cpu, selector), 1);
    }
}

static void save_task(X86Cpu *cpu, uint64_t next_eip, uint64_t eflags)
{
    bool wide = is_wide(cpu->tr.flags);
    uint64_t base = cpu->tr.base;
    unsigned bytes = wide ? 4 : 2;
    uint64_t eip = base + (wide ? 0x20 : 0x0e), registers = eip + 2 * bytes;
    uint64_t segments = registers + 8 * bytes;

    x86_store_system(cpu, eip, next_eip, bytes);
    x86_store_system(cpu, eip + bytes, eflags, bytes);
    for (unsigned i = 0; i < 8; i++) {
        x86_store_system(cpu, registers + i * bytes, cpu->gpr[i], bytes);
    }
    for (unsigned i = 0; i < (wide ? 6 : 4); i++) {
        x86_store_system(cpu, segments + i * bytes, cpu->seg[i].selector, 2);
    }
}

static void set_busy(X86Cpu *cpu, uint16_t selector, bool busy)
{
    uint64_t at = type_byte(cpu, selector);
    uint64_t byte = x86_load_system(cpu, at, 1);

    x86_store_system(cpu, at, busy ? byte | 2 : byte & ~UINT64_C(2), 1);
}

static void check_tss(X86Cpu *cpu, uint16_t selector, X86TaskCause cause, X86Descriptor *d)
{
    X86Vector vector = cause == X86_TASK_IRET ? X86_TS : X86_GP;
    uint32_t error = selector & 0xfffc;
    unsigned type;
    bool busy;

    if ((selector & 4) || !x86_read_descriptor(cpu, selector, d)) {
        x86_fault(cpu, vector, error);
    }
    type = d->flags >> X86_SEG_TYPE_SHIFT & 15;
    busy = d->flags & TSS_BUSY;
    if ((d->flags & X86_SEG_S) || (type & 5) != 1 || busy != (cause == X86_TASK_IRET)) {
        x86_fault(cpu, vector, error);
    }
    if (!(d->flags & X86_SEG_P)) {
        x86_fault(cpu, X86_NP, error);
    }
    if (d->limit < (is_wide(d->flags) ? 0x67u : 0x2bu)) {
        x86_fault(cpu, X86_TS, error);
    }
}

/* Segments of the new task: faults from here on are the new task's. */

static _Noreturn void bad_segment(X86Cpu *cpu, X86Vector vector, uint16_t selector)
{
    x86_fault(cpu, vector, selector & 0xfffc);
}

static void load_task_ldt(X86Cpu *cpu, uint16_t selector)
{
    X86Descriptor d;

    cpu->ldtr = (X86Segment){ .selector = selector };
    if ((selector & 0xfffc) == 0) {
        return;
    }
    if ((selector & 4) || !x86_read_descriptor(cpu, selector, &d) || (d.flags & X86_SEG_S) ||
        (d.flags >> X86_SEG_TYPE_SHIFT & 15) != 2 || !(d.flags & X86_SEG_P)) {
        bad_segment(cpu, X86_TS, selector);
    }
    cpu->ldtr =
        (X86Segment){ .selector = selector, .base = d.base, .limit = d.limit, .flags = d.flags };
}

static void load_task_code(X86Cpu *cpu, uint16_t selector)
{
    unsigned dpl, rpl = selector & 3;
    X86Descriptor d;

    if ((selector & 0xfffc) == 0 || !x86_read_descriptor(cpu, selector, &d) ||
        !x86_is_code(d.flags)) {
        bad_segment(cpu, X86_TS, selector);
    }
    dpl = x86_dpl(d.flags);
    if ((d.flags & X86_SEG_DOWN) ? dpl > rpl : dpl != rpl) {
        bad_segment(cpu, X86_TS, selector);
    }
    if (!(d.flags & X86_SEG_P)) {
        bad_segment(cpu, X86_NP, selector);
    }
    x86_mark_accessed(cpu, &d);
    x86_set_segment(cpu, X86_CS, selector, d.base, d.limit, d.flags | X86_SEG_ACCESSED);
}

static void load_task_data(X86Cpu *cpu, X86SegmentName name, uint16_t selector)
{
    unsigned rpl = selector & 3;
    bool stack = name == X86_SS, code, readable;
    X86Descriptor d;

    if ((selector & 0xfffc) == 0) {
        if (stack) {
            bad_segment(cpu, X86_TS, selector);
        }
        x86_set_segment(cpu, name, selector, 0, 0, 0);
        return;
    }
    if (!x86_read_descriptor(cpu, selector, &d) || !(d.flags & X86_SEG_S)) {
        bad_segment(cpu, X86_TS, selector);
    }
    code = d.flags & X86_SEG_CODE;
    readable = !code || (d.flags & X86_SEG_WRITE);
    if (stack
            ? code || !(d.flags & X86_SEG_WRITE) || x86_dpl(d.flags) != cpu->cpl || rpl != cpu->cpl
            : !readable || (!(code && (d.flags & X86_SEG_DOWN)) &&
                            x86_dpl(d.flags) < MAX((unsigned)cpu->cpl, rpl))) {
        bad_segment(cpu, X86_TS, selector);
    }
    if (!(d.flags & X86_SEG_P)) {
        bad_segment(cpu, stack ? X86_SS_FAULT : X86_NP, selector);
    }
    x86_mark_accessed(cpu, &d);
    x86_set_segment(cpu, name, selector, d.base, d.limit, d.flags | X86_SEG_ACCESSED);
}

static void load_segments(X86Cpu *cpu, const Task *task)
{
    static const uint8_t data[] = { X86_SS, X86_ES, X86_DS, X86_FS, X86_GS };

    for (unsigned i = 0; i < X86_SEGMENTS; i++) {
        x86_set_segment(cpu, (X86SegmentName)i, task->seg[i], 0, 0, 0);
    }
    load_task_ldt(cpu, task->ldt);
    if (task->eflags & EFLAGS_VM) {
        cpu->cpl = 3;
        for (unsigned i = 0; i < X86_SEGMENTS; i++) {
            x86_load_segment(cpu, (X86SegmentName)i, task->seg[i]);
        }
        return;
    }
    cpu->cpl = task->seg[X86_CS] & 3;
    load_task_code(cpu, task->seg[X86_CS]);
    for (unsigned i = 0; i < G_N_ELEMENTS(data); i++) {
        load_task_data(cpu, (X86SegmentName)data[i], task->seg[data[i]]);
    }
}

static void load_registers(X86Cpu *cpu, const Task *task, bool wide, uint64_t eflags)
{
    if (wide && (cpu->cr0 & CR0_PG) && task->cr3 != cpu->cr3) {
        x86_put_cr3(cpu, task->cr3);
        if ((cpu->cr4 & CR4_PAE) && !x86_load_pdptes(cpu, task->cr3)) {
            x86_fault(cpu, X86_GP, 0);
        }
    }
    for (unsigned i = 0; i < 8; i++) {
        cpu->gpr[i] = wide ? task->gpr[i] : (cpu->gpr[i] & 0xffff0000) | task->gpr[i];
    }
    /* A task of 16 bits has the upper half clear, and so no virtual-8086 mode. */
    x86_set_eflags(cpu, eflags | EFLAGS_ONE, 0x3f7fd7);
}

static void push_error_code(X86Cpu *cpu, bool wide, uint32_t error_code)
{
    X86Stack stack;

    x86_stack_begin(&stack, cpu);
    x86_stack_push(&stack, wide ? 4 : 2, error_code);
    x86_stack_end(&stack);
}

/* EXITINFO2 of an intercepted switch (APM 2, 15.14.1). */
static uint64_t svm_info(X86TaskCause cause, bool has_error_code, uint32_t error_code)
{
    enum { BY_IRET = 36, BY_JUMP = 38, HAS_ERROR_CODE = 44 };

    return error_code | (cause == X86_TASK_IRET ? UINT64_C(1) << BY_IRET : 0) |
           (cause == X86_TASK_JUMP ? UINT64_C(1) << BY_JUMP : 0) |
           (has_error_code ? UINT64_C(1) << HAS_ERROR_CODE : 0);
}

void x86_task_switch(X86Cpu *cpu, uint16_t selector, X86TaskCause cause, uint64_t next_eip,
                     uint64_t old_flags, bool has_error_code, uint32_t error_code)
{
    bool nested = cause == X86_TASK_CALL || cause == X86_TASK_INTERRUPT;
    uint64_t new_flags;
    uint16_t old_tr = cpu->tr.selector;
    X86Descriptor d;
    bool wide;
    Task task;

    if (x86_svm_intercepts(cpu, SVM_EXIT_TASK_SWITCH)) {
        x86_svm_leave(cpu, SVM_EXIT_TASK_SWITCH, selector,
                      svm_info(cause, has_error_code, error_code), 0);
    }
    check_tss(cpu, selector, cause, &d);
    wide = is_wide(d.flags);
    read_tss(cpu, &d, &task);
    check_writes(cpu, selector, &d, nested, cause != X86_TASK_IRET);
    if (cause == X86_TASK_IRET) {
        old_flags &= ~(uint64_t)EFLAGS_NT;
    }
    save_task(cpu, next_eip, old_flags);
    if (!nested) {
        set_busy(cpu, old_tr, false);
    }
    new_flags = task.eflags;
    if (nested) {
        x86_store_system(cpu, d.base, old_tr, 2);
        new_flags |= EFLAGS_NT;
    }
    if (cause != X86_TASK_IRET) {
        set_busy(cpu, selector, true);
    }
    cpu->tr = (X86Segment){
        .selector = selector, .base = d.base, .limit = d.limit, .flags = d.flags | TSS_BUSY
    };
    cpu->cr0 |= CR0_TS;
    cpu->dr[7] &= ~UINT64_C(0x155);
    task.eflags = new_flags;
    /* From here on the new task runs: a fault is at its first instruction. */
    cpu->seg[X86_CS].base = 0;
    x86_set_eip(cpu, task.eip);
    load_registers(cpu, &task, wide, new_flags);
    load_segments(cpu, &task);
    x86_update_context(cpu);
    x86_set_eip(cpu, task.eip);
    if (has_error_code) {
        push_error_code(cpu, wide, error_code);
    }
    if (task.eip > cpu->seg[X86_CS].limit) {
        x86_fault(cpu, X86_GP, 0);
    }
    if (task.trap) {
        cpu->dr[6] |= DR6_BT;
        x86_fault(cpu, X86_DB, 0);
    }
    x86_check_interrupts(cpu);
}
