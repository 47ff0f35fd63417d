/* SPDX-License-Identifier: MIT */
/* Far jumps, calls and returns, interrupt returns, fast system calls (Intel SDM 2; SDM 3, chapters 5 and 6). */
#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "target/i386/mmu.h"
#include "target/i386/segment.h"

enum {
    TYPE_TSS16 = 1,
    TYPE_CALL16 = 4,
    TYPE_TASK_GATE = 5,
    TYPE_TSS32 = 9,
    TYPE_CALL32 = 12,
};

static unsigned type_of(uint32_t flags)
{
    return flags >> X86_SEG_TYPE_SHIFT & 15;
}

static bool is_conforming(uint32_t flags)
{
    return flags & X86_SEG_DOWN;
}

static uint64_t cut(uint64_t value, unsigned bytes)
{
    return bytes == 8 ? value : value & bits_mask(8 * bytes);
}

static _Noreturn void selector_fault(X86Cpu *cpu, X86Vector vector, uint16_t selector)
{
    x86_fault(cpu, vector, selector & 0xfffc);
}

/* The descriptor has been marked: that may fault, and comes before RSP, SS or CPL change. */
static void load_code(X86Cpu *cpu, uint16_t selector, const X86Descriptor *d, unsigned cpl)
{
    cpu->cpl = (uint8_t)cpl;
    x86_set_segment(cpu, X86_CS, (uint16_t)((selector & ~3) | cpl), d->base, d->limit,
                    d->flags | X86_SEG_ACCESSED);
}

static bool is_bad_length(const X86Cpu *cpu, const X86Descriptor *d)
{
    return x86_long_mode(cpu) && (d->flags & (X86_SEG_L | X86_SEG_B)) == (X86_SEG_L | X86_SEG_B);
}

/* The target of a jump or call through a code segment must lie in it. */
static void check_target(X86Cpu *cpu, const X86Descriptor *d, uint64_t eip)
{
    bool wide = x86_long_mode(cpu) && (d->flags & X86_SEG_L);

    if (wide ? !x86_is_canonical(cpu, eip) : eip > d->limit) {
        x86_fault(cpu, X86_GP, 0);
    }
}

static void finish(X86Cpu *cpu, uint64_t eip)
{
    x86_update_context(cpu);
    x86_set_eip(cpu, eip);
}

static void real_far(X86Cpu *cpu, uint16_t selector, uint64_t offset)
{
    uint32_t limit = cpu->eflags & EFLAGS_VM ? 0xffff : cpu->seg[X86_CS].limit;

    if (offset > limit) {
        x86_fault(cpu, X86_GP, 0);
    }
    x86_set_segment(cpu, X86_CS, selector, (uint64_t)selector << 4, limit, cpu->seg[X86_CS].flags);
    finish(cpu, offset);
}

static void read_target(X86Cpu *cpu, uint16_t selector, X86Descriptor *d)
{
    if ((selector & 0xfffc) == 0) {
        x86_fault(cpu, X86_GP, 0);
    }
    if (!x86_read_descriptor(cpu, selector, d)) {
        selector_fault(cpu, X86_GP, selector);
    }
}

static void check_code(X86Cpu *cpu, uint16_t selector, const X86Descriptor *d)
{
    unsigned dpl = x86_dpl(d->flags), rpl = selector & 3;

    if (is_conforming(d->flags) ? dpl > cpu->cpl : dpl != cpu->cpl || rpl > cpu->cpl) {
        selector_fault(cpu, X86_GP, selector);
    }
    if (is_bad_length(cpu, d)) {
        selector_fault(cpu, X86_GP, selector);
    }
    if (!(d->flags & X86_SEG_P)) {
        selector_fault(cpu, X86_NP, selector);
    }
}

/* A call gate: where to, how many parameters. */
typedef struct {
    uint16_t selector;
    uint64_t offset;
    unsigned parameters, bytes;
    X86Descriptor code;
} CallGate;

static void check_gate_rights(X86Cpu *cpu, uint16_t selector, const X86Descriptor *d)
{
    if (x86_dpl(d->flags) < MAX((unsigned)cpu->cpl, (unsigned)(selector & 3))) {
        selector_fault(cpu, X86_GP, selector);
    }
    if (!(d->flags & X86_SEG_P)) {
        selector_fault(cpu, X86_NP, selector);
    }
}

static void read_call_gate(X86Cpu *cpu, uint16_t selector, const X86Descriptor *d, bool call,
                           CallGate *gate)
{
    unsigned dpl;
    uint64_t upper;

    check_gate_rights(cpu, selector, d);
    gate->selector = (uint16_t)(d->raw >> 16);
    gate->offset = (d->raw & 0xffff) | (d->raw >> 32 & 0xffff0000);
    gate->parameters = (unsigned)(d->raw >> 32) & 31;
    gate->bytes = x86_long_mode(cpu) ? 8 : type_of(d->flags) == TYPE_CALL32 ? 4 : 2;
    if (gate->bytes == 8) {
        X86Descriptor whole = *d;

        /* The upper half must not look like a descriptor of its own: its type is 0 (SDM 3, 5.8.3.1). */
        if (!x86_read_system_descriptor(cpu, selector, &whole, &upper) || upper >> 40 & 0x1f) {
            selector_fault(cpu, X86_GP, selector);
        }
        gate->offset |= upper << 32;
    } else {
        gate->offset = cut(gate->offset, gate->bytes);
    }
    read_target(cpu, gate->selector, &gate->code);
    dpl = x86_dpl(gate->code.flags);
    if (!x86_is_code(gate->code.flags) || dpl > cpu->cpl ||
        (!call && !is_conforming(gate->code.flags) && dpl != cpu->cpl) ||
        (gate->bytes == 8 && (gate->code.flags & (X86_SEG_L | X86_SEG_B)) != X86_SEG_L)) {
        selector_fault(cpu, X86_GP, gate->selector);
    }
    if (!(gate->code.flags & X86_SEG_P)) {
        selector_fault(cpu, X86_NP, gate->selector);
    }
}

/* Task gates and TSSes; true when it was one of them. */
static bool try_task(X86Cpu *cpu, uint16_t selector, const X86Descriptor *d, X86TaskCause cause,
                     uint64_t next_eip)
{
    unsigned type = type_of(d->flags);

    if (x86_long_mode(cpu)) {
        return false;
    }
    if (type == TYPE_TASK_GATE) {
        check_gate_rights(cpu, selector, d);
        x86_task_switch(cpu, (uint16_t)(d->raw >> 16), cause, next_eip, x86_get_eflags(cpu), false,
                        0);
        return true;
    }
    if (type == TYPE_TSS16 || type == TYPE_TSS32) {
        if (x86_dpl(d->flags) < MAX((unsigned)cpu->cpl, (unsigned)(selector & 3))) {
            selector_fault(cpu, X86_GP, selector);
        }
        x86_task_switch(cpu, selector, cause, next_eip, x86_get_eflags(cpu), false, 0);
        return true;
    }
    return false;
}

static bool is_call_gate(const X86Cpu *cpu, const X86Descriptor *d)
{
    unsigned type = type_of(d->flags);

    return type == TYPE_CALL32 || (type == TYPE_CALL16 && !x86_long_mode(cpu));
}

void x86_far_jump(X86Cpu *cpu, uint16_t selector, uint64_t offset, unsigned bytes,
                  uint64_t next_eip)
{
    X86Descriptor d;
    CallGate gate;

    offset = cut(offset, bytes);
    if (!x86_protected(cpu)) {
        real_far(cpu, selector, offset);
        return;
    }
    read_target(cpu, selector, &d);
    if (x86_is_code(d.flags)) {
        check_code(cpu, selector, &d);
        check_target(cpu, &d, offset);
        x86_mark_accessed(cpu, &d);
        load_code(cpu, selector, &d, cpu->cpl);
        finish(cpu, offset);
    } else if ((d.flags & X86_SEG_S) == 0 && is_call_gate(cpu, &d)) {
        read_call_gate(cpu, selector, &d, false, &gate);
        check_target(cpu, &gate.code, gate.offset);
        x86_mark_accessed(cpu, &gate.code);
        load_code(cpu, gate.selector, &gate.code, cpu->cpl);
        finish(cpu, gate.offset);
    } else if ((d.flags & X86_SEG_S) || !try_task(cpu, selector, &d, X86_TASK_JUMP, next_eip)) {
        selector_fault(cpu, X86_GP, selector);
    }
}

static void push_return(X86Stack *stack, unsigned bytes, uint64_t next_eip)
{
    x86_stack_push(stack, bytes, stack->cpu->seg[X86_CS].selector);
    x86_stack_push(stack, bytes, next_eip);
}

/* A call to more privileged code in 64-bit mode. */
static void call_inner64(X86Cpu *cpu, const CallGate *gate, unsigned dpl, uint64_t next_eip)
{
    uint64_t sp = x86_tss64_stack(cpu, dpl, 0), old_sp = cpu->gpr[X86_RSP];
    const uint64_t frame[] = { cpu->seg[X86_SS].selector, old_sp, cpu->seg[X86_CS].selector,
                               next_eip };

    if (!x86_is_canonical(cpu, sp)) {
        x86_fault(cpu, X86_SS_FAULT, 0);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(frame); i++) {
        sp -= 8;
        x86_store_at_privilege(cpu, sp, frame[i], 8, dpl);
    }
    x86_mark_accessed(cpu, &gate->code);
    x86_set_segment(cpu, X86_SS, (uint16_t)dpl, 0, 0xffffffff,
                    X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_B | X86_SEG_G |
                        dpl << X86_SEG_DPL_SHIFT);
    cpu->gpr[X86_RSP] = sp;
}

static void call_inner32(X86Cpu *cpu, const CallGate *gate, unsigned dpl, uint64_t next_eip)
{
    uint64_t parameters[32];
    X86InnerStack inner;
    X86Stack old, stack;

    x86_read_inner_stack(cpu, dpl, 0, &inner);
    x86_stack_begin(&old, cpu);
    for (unsigned i = 0; i < gate->parameters; i++) {
        parameters[i] = x86_stack_peek(&old, old.sp + (uint64_t)i * gate->bytes, gate->bytes);
    }
    x86_stack_begin_inner(&stack, cpu, &inner);
    x86_stack_push(&stack, gate->bytes, cpu->seg[X86_SS].selector);
    x86_stack_push(&stack, gate->bytes, old.sp);
    for (unsigned i = gate->parameters; i-- > 0;) {
        x86_stack_push(&stack, gate->bytes, parameters[i]);
    }
    push_return(&stack, gate->bytes, next_eip);
    x86_mark_accessed(cpu, &gate->code);
    x86_mark_accessed(cpu, &inner.segment);
    x86_set_segment(cpu, X86_SS, inner.selector, inner.segment.base, inner.segment.limit,
                    inner.segment.flags | X86_SEG_ACCESSED);
    x86_stack_end(&stack);
}

static void call_through_gate(X86Cpu *cpu, const CallGate *gate, uint64_t next_eip)
{
    unsigned dpl = x86_dpl(gate->code.flags);
    bool inner = !is_conforming(gate->code.flags) && dpl < cpu->cpl;
    X86Stack stack;

    check_target(cpu, &gate->code, gate->offset);
    if (!inner) {
        x86_stack_begin(&stack, cpu);
        push_return(&stack, gate->bytes, next_eip);
        x86_mark_accessed(cpu, &gate->code);
        x86_stack_end(&stack);
        load_code(cpu, gate->selector, &gate->code, cpu->cpl);
    } else {
        if (gate->bytes == 8) {
            call_inner64(cpu, gate, dpl, next_eip);
        } else {
            call_inner32(cpu, gate, dpl, next_eip);
        }
        load_code(cpu, gate->selector, &gate->code, dpl);
    }
    finish(cpu, gate->offset);
}

void x86_far_call(X86Cpu *cpu, uint16_t selector, uint64_t offset, unsigned bytes,
                  uint64_t next_eip)
{
    X86Descriptor d;
    CallGate gate;
    X86Stack stack;

    offset = cut(offset, bytes);
    x86_stack_begin(&stack, cpu);
    if (!x86_protected(cpu)) {
        push_return(&stack, bytes, next_eip);
        if (offset > cpu->seg[X86_CS].limit) {
            x86_fault(cpu, X86_GP, 0);
        }
        x86_stack_end(&stack);
        real_far(cpu, selector, offset);
        return;
    }
    read_target(cpu, selector, &d);
    if (x86_is_code(d.flags)) {
        check_code(cpu, selector, &d);
        push_return(&stack, bytes, next_eip);
        check_target(cpu, &d, offset);
        x86_mark_accessed(cpu, &d);
        x86_stack_end(&stack);
        load_code(cpu, selector, &d, cpu->cpl);
        finish(cpu, offset);
    } else if ((d.flags & X86_SEG_S) == 0 && is_call_gate(cpu, &d)) {
        read_call_gate(cpu, selector, &d, true, &gate);
        call_through_gate(cpu, &gate, next_eip);
    } else if ((d.flags & X86_SEG_S) || !try_task(cpu, selector, &d, X86_TASK_CALL, next_eip)) {
        selector_fault(cpu, X86_GP, selector);
    }
}

/* Returns. */

/* Data segments that the outer level may not have become null, and so do null selectors with an RPL. */
static void drop_inner_segments(X86Cpu *cpu)
{
    static const uint8_t names[] = { X86_ES, X86_DS, X86_FS, X86_GS };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        const X86Segment *s = &cpu->seg[names[i]];
        bool conforming = (s->flags & X86_SEG_CODE) && is_conforming(s->flags);

        if ((s->selector || (s->flags & X86_SEG_P)) && !conforming &&
            x86_dpl(s->flags) < cpu->cpl) {
            x86_set_segment(cpu, (X86SegmentName)names[i], 0, s->base, 0, 0);
        }
    }
}

/* The code segment of a return: RPL is the new CPL. */
static void read_return_code(X86Cpu *cpu, uint16_t selector, X86Descriptor *d)
{
    unsigned rpl = selector & 3, dpl;

    read_target(cpu, selector, d);
    dpl = x86_dpl(d->flags);
    if (!x86_is_code(d->flags) || rpl < cpu->cpl ||
        (is_conforming(d->flags) ? dpl > rpl : dpl != rpl) || is_bad_length(cpu, d)) {
        selector_fault(cpu, X86_GP, selector);
    }
    if (!(d->flags & X86_SEG_P)) {
        selector_fault(cpu, X86_NP, selector);
    }
}

/* The stack segment of a return to an outer level, or of any IRET in 64-bit mode. false: null, and allowed. */
static bool read_return_stack(X86Cpu *cpu, uint16_t selector, const X86Descriptor *code,
                              unsigned cpl, X86Descriptor *d)
{
    bool to64 = x86_long_mode(cpu) && (code->flags & X86_SEG_L);

    if ((selector & 0xfffc) == 0) {
        if (!to64 || cpl == 3 || (selector & 3) != cpl) {
            x86_fault(cpu, X86_GP, 0);
        }
        return false;
    }
    if (!x86_read_descriptor(cpu, selector, d) || (selector & 3) != cpl ||
        !(d->flags & X86_SEG_S) || (d->flags & X86_SEG_CODE) || !(d->flags & X86_SEG_WRITE) ||
        x86_dpl(d->flags) != cpl) {
        selector_fault(cpu, X86_GP, selector);
    }
    if (!(d->flags & X86_SEG_P)) {
        selector_fault(cpu, X86_SS_FAULT, selector);
    }
    return true;
}

static void load_stack(X86Cpu *cpu, uint16_t selector, const X86Descriptor *d, bool null,
                       unsigned cpl)
{
    if (null) {
        x86_set_segment(cpu, X86_SS, selector, 0, 0xffffffff,
                        X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_B | X86_SEG_G |
                            cpl << X86_SEG_DPL_SHIFT);
    } else {
        x86_set_segment(cpu, X86_SS, selector, d->base, d->limit, d->flags | X86_SEG_ACCESSED);
    }
}

static void set_sp(X86Cpu *cpu, uint64_t sp)
{
    bool stack32 = cpu->seg[X86_SS].flags & X86_SEG_B;

    if (x86_code64(cpu)) {
        cpu->gpr[X86_RSP] = sp;
    } else if (stack32) {
        cpu->gpr[X86_RSP] = (uint32_t)sp;
    } else {
        cpu->gpr[X86_RSP] = (cpu->gpr[X86_RSP] & ~UINT64_C(0xffff)) | (uint16_t)sp;
    }
}

/* What a far return pops. */
typedef struct {
    uint64_t eip, sp, eflags;
    uint16_t cs, ss;
} Frame;

static void return_to(X86Cpu *cpu, const Frame *f, const X86Descriptor *code, bool outer,
                      unsigned release)
{
    unsigned cpl = f->cs & 3;
    X86Descriptor stack;
    bool null = false;

    if (outer) {
        null = !read_return_stack(cpu, f->ss, code, cpl, &stack);
    }
    check_target(cpu, code, f->eip);
    if (outer) {
        unsigned old_cpl = cpu->cpl;

        x86_mark_accessed(cpu, code);
        if (!null) {
            x86_mark_accessed(cpu, &stack);
        }
        load_code(cpu, f->cs, code, cpl);
        load_stack(cpu, f->ss, &stack, null, cpl);
        set_sp(cpu, f->sp + release);
        if (cpl != old_cpl) {
            drop_inner_segments(cpu);
        }
    } else {
        load_code(cpu, f->cs, code, cpl);
    }
}

void x86_far_return(X86Cpu *cpu, unsigned bytes, unsigned release)
{
    X86Descriptor code;
    X86Stack stack;
    Frame f = { 0 };
    bool outer;

    x86_stack_begin(&stack, cpu);
    f.eip = x86_stack_pop(&stack, bytes);
    f.cs = (uint16_t)x86_stack_pop(&stack, bytes);
    if (!x86_protected(cpu)) {
        if (f.eip > cpu->seg[X86_CS].limit) {
            x86_fault(cpu, X86_GP, 0);
        }
        stack.sp = (stack.sp & ~stack.mask) | ((stack.sp + release) & stack.mask);
        x86_stack_end(&stack);
        real_far(cpu, f.cs, f.eip);
        return;
    }
    read_return_code(cpu, f.cs, &code);
    stack.sp = (stack.sp & ~stack.mask) | ((stack.sp + release) & stack.mask);
    outer = (f.cs & 3) > cpu->cpl;
    if (outer) {
        f.sp = x86_stack_pop(&stack, bytes);
        f.ss = (uint16_t)x86_stack_pop(&stack, bytes);
    } else {
        check_target(cpu, &code, f.eip);
        x86_mark_accessed(cpu, &code);
        x86_stack_end(&stack);
    }
    return_to(cpu, &f, &code, outer, release);
    finish(cpu, f.eip);
}

/* Which flags IRET may change. */
static uint64_t iret_mask(const X86Cpu *cpu, unsigned bytes)
{
    uint64_t mask = EFLAGS_STATUS | EFLAGS_TF | EFLAGS_DF | EFLAGS_NT;
    unsigned iopl = (unsigned)(cpu->eflags & EFLAGS_IOPL) >> EFLAGS_IOPL_SHIFT;

    if (bytes != 2) {
        mask |= EFLAGS_RF | EFLAGS_AC | EFLAGS_ID;
    }
    if (cpu->cpl <= iopl || !x86_protected(cpu)) {
        mask |= EFLAGS_IF;
    }
    if (cpu->cpl == 0) {
        mask |= EFLAGS_IOPL | (bytes != 2 ? EFLAGS_VIF | EFLAGS_VIP : 0);
    }
    return mask;
}

static void iret_real(X86Cpu *cpu, unsigned bytes)
{
    bool vm86 = cpu->eflags & EFLAGS_VM;
    uint64_t mask, eflags, eip;
    X86Stack stack;
    uint16_t cs;

    if (vm86 && (cpu->eflags & EFLAGS_IOPL) != EFLAGS_IOPL &&
        !((cpu->cr4 & CR4_VME) && bytes == 2)) {
        x86_fault(cpu, X86_GP, 0);
    }
    x86_stack_begin(&stack, cpu);
    eip = x86_stack_pop(&stack, bytes);
    cs = (uint16_t)x86_stack_pop(&stack, bytes);
    eflags = x86_stack_pop(&stack, bytes);
    mask = iret_mask(cpu, bytes) & ~(uint64_t)(EFLAGS_VIF | EFLAGS_VIP);
    if (vm86) {
        mask &= ~(uint64_t)EFLAGS_IOPL;
        if ((cpu->eflags & EFLAGS_IOPL) != EFLAGS_IOPL) {
            if ((eflags & EFLAGS_TF) || ((eflags & EFLAGS_IF) && (cpu->eflags & EFLAGS_VIP))) {
                x86_fault(cpu, X86_GP, 0);
            }
            eflags = (eflags & ~(uint64_t)EFLAGS_VIF) | (eflags & EFLAGS_IF ? EFLAGS_VIF : 0);
            mask = (mask & ~(uint64_t)EFLAGS_IF) | EFLAGS_VIF;
        }
    }
    if (eip > cpu->seg[X86_CS].limit) {
        x86_fault(cpu, X86_GP, 0);
    }
    x86_stack_end(&stack);
    x86_set_eflags(cpu, eflags, mask);
    real_far(cpu, cs, eip);
}

/* From CPL 0 to virtual-8086 mode: all segments come from the stack. */
static void iret_to_vm86(X86Cpu *cpu, X86Stack *stack, const Frame *f)
{
    static const uint8_t order[] = { X86_ES, X86_DS, X86_FS, X86_GS };
    uint16_t selectors[4], ss;
    uint64_t sp;

    sp = x86_stack_pop(stack, 4);
    ss = (uint16_t)x86_stack_pop(stack, 4);
    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        selectors[i] = (uint16_t)x86_stack_pop(stack, 4);
    }
    if (f->eip > 0xffff) {
        x86_fault(cpu, X86_GP, 0);
    }
    x86_set_eflags(cpu, f->eflags | EFLAGS_VM,
                   EFLAGS_STATUS | EFLAGS_TF | EFLAGS_IF | EFLAGS_DF | EFLAGS_IOPL | EFLAGS_NT |
                       EFLAGS_RF | EFLAGS_VM | EFLAGS_AC | EFLAGS_VIF | EFLAGS_VIP | EFLAGS_ID);
    cpu->cpl = 3;
    x86_load_segment(cpu, X86_CS, f->cs);
    x86_load_segment(cpu, X86_SS, ss);
    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        x86_load_segment(cpu, (X86SegmentName)order[i], selectors[i]);
    }
    cpu->gpr[X86_RSP] = (uint32_t)sp;
    finish(cpu, f->eip);
}

static void iret_protected(X86Cpu *cpu, unsigned bytes)
{
    bool from64 = x86_code64(cpu), outer;
    X86Descriptor code;
    uint64_t mask;
    X86Stack stack;
    Frame f = { 0 };

    x86_stack_begin(&stack, cpu);
    f.eip = x86_stack_pop(&stack, bytes);
    f.cs = (uint16_t)x86_stack_pop(&stack, bytes);
    f.eflags = x86_stack_pop(&stack, bytes);
    if (bytes == 4 && (f.eflags & EFLAGS_VM) && cpu->cpl == 0 && !x86_long_mode(cpu)) {
        iret_to_vm86(cpu, &stack, &f);
        return;
    }
    read_return_code(cpu, f.cs, &code);
    outer = (f.cs & 3) > cpu->cpl || from64;
    if (outer) {
        f.sp = x86_stack_pop(&stack, bytes);
        f.ss = (uint16_t)x86_stack_pop(&stack, bytes);
    } else {
        check_target(cpu, &code, f.eip);
        x86_mark_accessed(cpu, &code);
        x86_stack_end(&stack);
    }
    mask = iret_mask(cpu, bytes);
    return_to(cpu, &f, &code, outer, 0);
    x86_set_eflags(cpu, f.eflags, mask);
    finish(cpu, f.eip);
}

void x86_interrupt_return(X86Cpu *cpu, unsigned bytes, uint64_t next_eip)
{
    bool alone = cpu->mode & TCG_MODE_ONE;

    /* Even if the instruction faults (SDM 3, 6.7.1). */
    if (cpu->nmi_blocked) {
        cpu->nmi_blocked = false;
        x86_release_nmi(cpu);
    }
    if (!(cpu->cr0 & CR0_PE) || (cpu->eflags & EFLAGS_VM)) {
        iret_real(cpu, bytes);
    } else if (cpu->eflags & EFLAGS_NT) {
        if (x86_long_mode(cpu)) {
            x86_fault(cpu, X86_GP, 0);
        }
        x86_task_switch(cpu, (uint16_t)x86_load_system(cpu, cpu->tr.base, 2), X86_TASK_IRET,
                        next_eip, x86_get_eflags(cpu), false, 0);
    } else {
        iret_protected(cpu, bytes);
    }
    /* Of other units nobody asks, and RF makes the next instruction one that is executed alone. */
    cpu->resume_loaded = alone && (cpu->eflags & EFLAGS_RF);
    x86_check_interrupts(cpu);
}

/* Fast system calls: flat segments by definition. SYSCALL and SYSRET trap by the TF that they have set. */

static void flat_code(X86Cpu *cpu, uint16_t selector, unsigned cpl, bool wide)
{
    cpu->cpl = (uint8_t)cpl;
    x86_set_segment(cpu, X86_CS, (uint16_t)((selector & 0xfffc) | cpl), 0, 0xffffffff,
                    X86_SEG_P | X86_SEG_S | X86_SEG_CODE | X86_SEG_WRITE | X86_SEG_ACCESSED |
                        X86_SEG_G | (wide ? X86_SEG_L : X86_SEG_B) | cpl << X86_SEG_DPL_SHIFT);
}

static void flat_stack(X86Cpu *cpu, uint16_t selector, unsigned cpl)
{
    x86_set_segment(cpu, X86_SS, (uint16_t)((selector & 0xfffc) | cpl), 0, 0xffffffff,
                    X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_ACCESSED | X86_SEG_G |
                        X86_SEG_B | cpl << X86_SEG_DPL_SHIFT);
}

void x86_syscall(X86Cpu *cpu, unsigned length)
{
    uint16_t selector = (uint16_t)(cpu->star >> 32);
    uint64_t next = x86_eip(cpu) + length, target;
    bool code64 = x86_code64(cpu), stepped = cpu->eflags & EFLAGS_TF;

    if (!(cpu->efer & EFER_SCE) || !(cpu->cr0 & CR0_PE)) {
        x86_fault(cpu, X86_UD, 0);
    }
    if (x86_long_mode(cpu)) {
        cpu->gpr[X86_RCX] = next;
        cpu->gpr[11] = x86_get_eflags(cpu) & ~(uint64_t)EFLAGS_RF;
        target = code64 ? cpu->lstar : cpu->cstar;
        flat_code(cpu, selector, 0, true);
        flat_stack(cpu, (uint16_t)(selector + 8), 0);
        x86_set_eflags(cpu, 0, cpu->sfmask | EFLAGS_RF);
    } else {
        cpu->gpr[X86_RCX] = (uint32_t)next;
        target = (uint32_t)cpu->star;
        flat_code(cpu, selector, 0, false);
        flat_stack(cpu, (uint16_t)(selector + 8), 0);
        x86_set_eflags(cpu, 0, EFLAGS_IF | EFLAGS_RF | EFLAGS_VM);
    }
    finish(cpu, target);
    cpu->step_settled = stepped && !(cpu->eflags & EFLAGS_TF);
}

void x86_sysret(X86Cpu *cpu, unsigned bytes)
{
    uint16_t selector = (uint16_t)(cpu->star >> 48);
    uint64_t target = cpu->gpr[X86_RCX], eflags = cpu->gpr[11];
    bool stepped = cpu->eflags & EFLAGS_TF;

    if (!(cpu->efer & EFER_SCE)) {
        x86_fault(cpu, X86_UD, 0);
    }
    /* AMD's processors find out in user mode, at the target. */
    if (!(cpu->cr0 & CR0_PE) || cpu->cpl != 0 ||
        (bytes == 8 && !x86_is_canonical(cpu, target) && !x86_vendor_is_amd(cpu))) {
        x86_fault(cpu, X86_GP, 0);
    }
    if (x86_long_mode(cpu)) {
        if (bytes == 8) {
            flat_code(cpu, (uint16_t)(selector + 16), 3, true);
        } else {
            flat_code(cpu, selector, 3, false);
            target = (uint32_t)target;
        }
        flat_stack(cpu, (uint16_t)(selector + 8), 3);
        x86_set_eflags(cpu, eflags, 0x3c7fd7 & ~(uint64_t)(EFLAGS_RF | EFLAGS_VM));
    } else {
        flat_code(cpu, selector, 3, false);
        flat_stack(cpu, (uint16_t)(selector + 8), 3);
        x86_set_eflags(cpu, EFLAGS_IF, EFLAGS_IF);
        target = (uint32_t)target;
    }
    finish(cpu, target);
    x86_check_interrupts(cpu);
    if (cpu->eflags & EFLAGS_TF) {
        x86_debug_trap(cpu, DR6_BS);
    }
    cpu->step_settled = stepped;
}

void x86_sysenter(X86Cpu *cpu)
{
    uint16_t selector = (uint16_t)(cpu->sysenter_cs & 0xfffc);
    bool wide = x86_long_mode(cpu);

    if (!(cpu->cr0 & CR0_PE) || selector == 0) {
        x86_fault(cpu, X86_GP, 0);
    }
    x86_set_eflags(cpu, 0, EFLAGS_VM | EFLAGS_IF | EFLAGS_RF);
    flat_code(cpu, selector, 0, wide);
    flat_stack(cpu, (uint16_t)(selector + 8), 0);
    cpu->gpr[X86_RSP] = wide ? cpu->sysenter_esp : (uint32_t)cpu->sysenter_esp;
    finish(cpu, wide ? cpu->sysenter_eip : (uint32_t)cpu->sysenter_eip);
}

void x86_sysexit(X86Cpu *cpu, unsigned bytes)
{
    uint16_t selector = (uint16_t)(cpu->sysenter_cs & 0xfffc);
    bool wide = bytes == 8;
    uint64_t eip = cpu->gpr[X86_RDX], sp = cpu->gpr[X86_RCX];

    if (!(cpu->cr0 & CR0_PE) || selector == 0 ||
        (wide && (!x86_is_canonical(cpu, eip) || !x86_is_canonical(cpu, sp)))) {
        x86_fault(cpu, X86_GP, 0);
    }
    flat_code(cpu, (uint16_t)(selector + (wide ? 32 : 16)), 3, wide);
    flat_stack(cpu, (uint16_t)(selector + (wide ? 40 : 24)), 3);
    cpu->gpr[X86_RSP] = wide ? sp : (uint32_t)sp;
    finish(cpu, wide ? eip : (uint32_t)eip);
    x86_check_interrupts(cpu);
}
