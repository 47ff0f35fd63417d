/* SPDX-License-Identifier: MIT */
/* Segment registers, descriptors, limit checks, the stack (Intel SDM 3, chapters 3 and 5). */
#include "target/i386/segment.h"

#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "target/i386/mmu.h"
#include "target/i386/x87.h"

enum { TYPE_LDT = 2, TYPE_TSS16 = 1, TYPE_TSS16_BUSY = 3, TYPE_TSS32 = 9, TYPE_TSS32_BUSY = 11 };

static unsigned type_of(uint32_t flags)
{
    return flags >> X86_SEG_TYPE_SHIFT & 15;
}

static void parse_descriptor(X86Descriptor *d, uint64_t raw)
{
    uint32_t low = (uint32_t)raw, high = (uint32_t)(raw >> 32);

    d->raw = raw;
    d->base = (low >> 16) | (high & 0xff) << 16 | (high & 0xff000000);
    d->flags = high & 0xf0ff00;
    d->limit = (low & 0xffff) | (high & 0xf0000);
    if (d->flags & X86_SEG_G) {
        d->limit = d->limit << 12 | 0xfff;
    }
}

bool x86_read_descriptor(X86Cpu *cpu, uint16_t selector, X86Descriptor *d)
{
    uint32_t index = selector & 0xfff8, limit;
    uint64_t base;
    bool ldt = selector & 4;

    if ((selector & 0xfffc) == 0 || (ldt && !(cpu->ldtr.flags & X86_SEG_P))) {
        return false;
    }
    base = ldt ? cpu->ldtr.base : cpu->gdtr.base;
    limit = ldt ? cpu->ldtr.limit : cpu->gdtr.limit;
    if (index + 7 > limit) {
        return false;
    }
    d->address = base + index;
    parse_descriptor(d, x86_load_system(cpu, d->address, 8));
    return true;
}

bool x86_read_system_descriptor(X86Cpu *cpu, uint16_t selector, X86Descriptor *d, uint64_t *upper)
{
    uint32_t limit = selector & 4 ? cpu->ldtr.limit : cpu->gdtr.limit;

    *upper = 0;
    if (!x86_long_mode(cpu)) {
        return true;
    }
    if ((selector & 0xfff8u) + 15 > limit) {
        return false;
    }
    *upper = x86_load_system(cpu, d->address + 8, 8);
    d->base |= *upper << 32;
    return true;
}

void x86_mark_accessed(X86Cpu *cpu, const X86Descriptor *d)
{
    if (!(d->flags & X86_SEG_ACCESSED)) {
        x86_store_system(cpu, d->address + 5, (d->raw >> 40 & 0xff) | 1, 1);
    }
}

/* What generated code may take for granted: see X86Segment.fast_limit. */
static uint64_t fast_limit_of(const X86Cpu *cpu, X86SegmentName name, const X86Segment *s)
{
    bool usable = s->flags & X86_SEG_P, code = s->flags & X86_SEG_CODE;

    if (name == X86_CS) {
        return s->limit;
    }
    if (!(cpu->cr0 & CR0_PE) || (cpu->eflags & EFLAGS_VM)) {
        return s->limit;
    }
    if (!usable || code || !(s->flags & X86_SEG_WRITE) || (s->flags & X86_SEG_DOWN)) {
        return 0;
    }
    return s->limit;
}

void x86_set_segment(X86Cpu *cpu, X86SegmentName name, uint16_t selector, uint64_t base,
                     uint32_t limit, uint32_t flags)
{
    X86Segment *s = &cpu->seg[name];

    x87_settle_pointers(cpu);
    *s = (X86Segment){ .selector = selector, .base = base, .limit = limit, .flags = flags };
    s->fast_limit = fast_limit_of(cpu, name, s);
}

/* Offsets that an expand-down segment does not have, or an expand-up one has. */
static bool is_within(const X86Segment *s, uint64_t offset, unsigned bytes)
{
    uint64_t last = offset + bytes - 1;

    if ((s->flags & (X86_SEG_CODE | X86_SEG_DOWN)) == X86_SEG_DOWN && (s->flags & X86_SEG_S)) {
        return offset > s->limit && last <= (s->flags & X86_SEG_B ? 0xffffffff : 0xffff);
    }
    return last <= s->limit;
}

static bool may_access(const X86Cpu *cpu, X86SegmentName name, const X86Segment *s, bool write)
{
    if (!x86_protected(cpu)) {
        return true;
    }
    if (!(s->flags & X86_SEG_P)) {
        return false;
    }
    if (s->flags & X86_SEG_CODE) {
        return !write && (s->flags & X86_SEG_WRITE);
    }
    return !write || (s->flags & X86_SEG_WRITE);
}

void x86_check_segment(X86Cpu *cpu, X86SegmentName name, uint64_t offset, unsigned bytes,
                       bool write)
{
    const X86Segment *s = &cpu->seg[name];

    if (!may_access(cpu, name, s, write) || !is_within(s, offset, bytes)) {
        x86_fault(cpu, name == X86_SS ? X86_SS_FAULT : X86_GP, 0);
    }
}

/* Loads of segment registers. */

static void load_real(X86Cpu *cpu, X86SegmentName name, uint16_t selector)
{
    X86Segment *s = &cpu->seg[name];
    uint32_t limit = s->limit, flags = s->flags;

    /* Virtual-8086 mode has fixed limits and rights; real mode keeps what protected mode has left. */
    if (cpu->eflags & EFLAGS_VM) {
        limit = 0xffff;
        flags = X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_ACCESSED | X86_SEG_DPL;
    }
    x86_set_segment(cpu, name, selector, (uint64_t)selector << 4, limit, flags);
}

static void load_null(X86Cpu *cpu, X86SegmentName name, uint16_t selector)
{
    bool clears = !x86_vendor_is_amd(cpu) || x86_has(cpu, X86_FEATURE_NULL_SEL_CLR_BASE);
    bool stack64 = name == X86_SS && x86_code64(cpu) && cpu->cpl != 3 && (selector & 3) == cpu->cpl;

    if (name == X86_SS && !stack64) {
        x86_fault(cpu, X86_GP, 0);
    }
    /* Of AMD's processors only the later ones clear the base; SS must remain usable in 64-bit mode. */
    x86_set_segment(cpu, name, selector, clears ? 0 : cpu->seg[name].base, stack64 ? 0xffffffff : 0,
                    stack64 ? X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_B |
                                  (uint32_t)cpu->cpl << X86_SEG_DPL_SHIFT
                            : 0);
}

static void check_stack_segment(X86Cpu *cpu, uint16_t selector, const X86Descriptor *d)
{
    uint32_t error = selector & 0xfffc;

    if ((selector & 3) != cpu->cpl || !(d->flags & X86_SEG_S) || (d->flags & X86_SEG_CODE) ||
        !(d->flags & X86_SEG_WRITE) || x86_dpl(d->flags) != cpu->cpl) {
        x86_fault(cpu, X86_GP, error);
    }
    if (!(d->flags & X86_SEG_P)) {
        x86_fault(cpu, X86_SS_FAULT, error);
    }
}

static void check_data_segment(X86Cpu *cpu, uint16_t selector, const X86Descriptor *d)
{
    uint32_t error = selector & 0xfffc;
    bool code = d->flags & X86_SEG_CODE;
    bool conforming = code && (d->flags & X86_SEG_DOWN);

    if (!(d->flags & X86_SEG_S) || (code && !(d->flags & X86_SEG_WRITE)) ||
        (!conforming && x86_dpl(d->flags) < MAX((unsigned)(selector & 3), (unsigned)cpu->cpl))) {
        x86_fault(cpu, X86_GP, error);
    }
    if (!(d->flags & X86_SEG_P)) {
        x86_fault(cpu, X86_NP, error);
    }
}

void x86_load_segment(X86Cpu *cpu, X86SegmentName name, uint16_t selector)
{
    X86Descriptor d;

    if (!x86_protected(cpu)) {
        load_real(cpu, name, selector);
        x86_update_mode(cpu);
        return;
    }
    if ((selector & 0xfffc) == 0) {
        load_null(cpu, name, selector);
        x86_update_mode(cpu);
        return;
    }
    if (!x86_read_descriptor(cpu, selector, &d)) {
        x86_fault(cpu, X86_GP, selector & 0xfffc);
    }
    if (name == X86_SS) {
        check_stack_segment(cpu, selector, &d);
    } else {
        check_data_segment(cpu, selector, &d);
    }
    x86_mark_accessed(cpu, &d);
    x86_set_segment(cpu, name, selector, d.base, d.limit, d.flags | X86_SEG_ACCESSED);
    x86_update_mode(cpu);
}

static void set_system_segment(X86Segment *s, uint16_t selector, const X86Descriptor *d)
{
    *s =
        (X86Segment){ .selector = selector, .base = d->base, .limit = d->limit, .flags = d->flags };
}

/* The base of a system segment, of which the descriptor's type and presence are right. */
static void complete_system_segment(X86Cpu *cpu, uint16_t selector, X86Descriptor *d)
{
    uint64_t upper;

    if (!x86_read_system_descriptor(cpu, selector, d, &upper) ||
        (x86_long_mode(cpu) && !x86_is_canonical_base(cpu, d->base))) {
        x86_fault(cpu, X86_GP, selector & 0xfffc);
    }
}

void x86_load_ldtr(X86Cpu *cpu, uint16_t selector)
{
    X86Descriptor d;

    if ((selector & 0xfffc) == 0) {
        cpu->ldtr = (X86Segment){ .selector = selector, .base = cpu->ldtr.base };
        return;
    }
    if ((selector & 4) || !x86_read_descriptor(cpu, selector, &d) || (d.flags & X86_SEG_S) ||
        type_of(d.flags) != TYPE_LDT) {
        x86_fault(cpu, X86_GP, selector & 0xfffc);
    }
    if (!(d.flags & X86_SEG_P)) {
        x86_fault(cpu, X86_NP, selector & 0xfffc);
    }
    complete_system_segment(cpu, selector, &d);
    set_system_segment(&cpu->ldtr, selector, &d);
}

void x86_load_tr(X86Cpu *cpu, uint16_t selector)
{
    X86Descriptor d;
    unsigned type;

    if ((selector & 4) || !x86_read_descriptor(cpu, selector, &d)) {
        x86_fault(cpu, X86_GP, selector & 0xfffc);
    }
    type = type_of(d.flags);
    if ((d.flags & X86_SEG_S) ||
        !(type == TYPE_TSS32 || (type == TYPE_TSS16 && !x86_long_mode(cpu)))) {
        x86_fault(cpu, X86_GP, selector & 0xfffc);
    }
    if (!(d.flags & X86_SEG_P)) {
        x86_fault(cpu, X86_NP, selector & 0xfffc);
    }
    complete_system_segment(cpu, selector, &d);
    x86_store_system(cpu, d.address + 5, (d.raw >> 40 & 0xff) | 2, 1);
    d.flags |= 2 << X86_SEG_TYPE_SHIFT;
    set_system_segment(&cpu->tr, selector, &d);
}

/* LAR, LSL, VERR, VERW */

static bool is_visible(const X86Cpu *cpu, uint16_t selector, const X86Descriptor *d)
{
    if (x86_is_code(d->flags) && (d->flags & X86_SEG_DOWN)) {
        return true;
    }
    return x86_dpl(d->flags) >= MAX((unsigned)cpu->cpl, (unsigned)(selector & 3));
}

/* Types of system segments that LAR and LSL tell about: a bit for each. */
static bool has_answer(const X86Cpu *cpu, const X86Descriptor *d, bool limit)
{
    uint32_t types = limit ? 0x0a0e : 0x1a3e;

    if (d->flags & X86_SEG_S) {
        return true;
    }
    if (x86_long_mode(cpu)) {
        types = limit ? 0x0a04 : 0x1a04;
    }
    return types >> type_of(d->flags) & 1;
}

bool x86_lar(X86Cpu *cpu, uint16_t selector, uint32_t *rights)
{
    X86Descriptor d;

    if (!x86_read_descriptor(cpu, selector, &d) || !has_answer(cpu, &d, false) ||
        !is_visible(cpu, selector, &d)) {
        return false;
    }
    *rights = (uint32_t)(d.raw >> 32) & 0xffff00;
    return true;
}

bool x86_lsl(X86Cpu *cpu, uint16_t selector, uint32_t *limit)
{
    X86Descriptor d;

    if (!x86_read_descriptor(cpu, selector, &d) || !has_answer(cpu, &d, true) ||
        !is_visible(cpu, selector, &d)) {
        return false;
    }
    *limit = d.limit;
    return true;
}

bool x86_verify(X86Cpu *cpu, uint16_t selector, bool write)
{
    X86Descriptor d;
    bool code;

    if (!x86_read_descriptor(cpu, selector, &d) || !(d.flags & X86_SEG_S) ||
        !is_visible(cpu, selector, &d)) {
        return false;
    }
    code = d.flags & X86_SEG_CODE;
    return write ? !code && (d.flags & X86_SEG_WRITE) : !code || (d.flags & X86_SEG_WRITE);
}

/* I/O permission bitmap of the TSS (SDM 1, 19.5.2). */
void x86_check_io_permission(X86Cpu *cpu, uint16_t port, unsigned bytes)
{
    unsigned type = type_of(cpu->tr.flags);
    uint32_t map, bits;

    if (!(cpu->tr.flags & X86_SEG_P) || (type != TYPE_TSS32 && type != TYPE_TSS32_BUSY) ||
        cpu->tr.limit < 0x67) {
        x86_fault(cpu, X86_GP, 0);
    }
    map = (uint32_t)x86_load_system(cpu, cpu->tr.base + 0x66, 2) + port / 8;
    if (map + 1 > cpu->tr.limit) {
        x86_fault(cpu, X86_GP, 0);
    }
    bits = (uint32_t)x86_load_system(cpu, cpu->tr.base + map, 2) >> (port & 7);
    if (bits & ((1u << bytes) - 1)) {
        x86_fault(cpu, X86_GP, 0);
    }
}

/* The stack. */

static uint64_t stack_mask(const X86Cpu *cpu, const X86Segment *ss)
{
    return x86_code64(cpu) ? UINT64_MAX : ss->flags & X86_SEG_B ? 0xffffffff : 0xffff;
}

void x86_stack_begin(X86Stack *stack, X86Cpu *cpu)
{
    *stack =
        (X86Stack){ .cpu = cpu,
                    .sp = cpu->gpr[X86_RSP],
                    .mask = stack_mask(cpu, &cpu->seg[X86_SS]),
                    .segment = cpu->seg[X86_SS],
                    .flags = IR_MEM_STACK | (x86_long_mode(cpu) ? 0 : (unsigned)IR_MEM_WRAP32) };
}

/*
 * Pushes to another privilege level's stack are made with its rights. From user mode they are implicit supervisor accesses;
 * supervisor mode's are explicit, so that EFLAGS.AC counts (SDM 3, 4.6.1).
 */
static unsigned inner_access(const X86Cpu *cpu)
{
    return cpu->cpl == 3 ? IR_MEM_OTHER : 0;
}

void x86_stack_begin_inner(X86Stack *stack, X86Cpu *cpu, const X86InnerStack *inner)
{
    *stack = (X86Stack){ .cpu = cpu,
                         .sp = inner->sp,
                         .segment = { .selector = inner->selector,
                                      .base = inner->segment.base,
                                      .limit = inner->segment.limit,
                                      .flags = inner->segment.flags },
                         .error = inner->selector & 0xfffc,
                         .flags = IR_MEM_WRAP32 | IR_MEM_STACK | inner_access(cpu) };
    stack->mask = inner->segment.flags & X86_SEG_B ? 0xffffffff : 0xffff;
}

static uint64_t stack_address(X86Stack *stack, uint64_t sp, unsigned bytes)
{
    X86Cpu *cpu = stack->cpu;
    uint64_t offset = sp & stack->mask;

    if (x86_code64(cpu)) {
        return offset;
    }
    if (!is_within(&stack->segment, offset, bytes)) {
        x86_fault(cpu, X86_SS_FAULT, stack->error);
    }
    return (uint32_t)(stack->segment.base + offset);
}

static void move_sp(X86Stack *stack, int64_t by)
{
    stack->sp = (stack->sp & ~stack->mask) | ((stack->sp + (uint64_t)by) & stack->mask);
}

void x86_stack_push(X86Stack *stack, unsigned bytes, uint64_t value)
{
    move_sp(stack, -(int64_t)bytes);
    tcg_store(&stack->cpu->tcg, stack_address(stack, stack->sp, bytes), value, bytes, stack->flags);
}

uint64_t x86_stack_peek(X86Stack *stack, uint64_t sp, unsigned bytes)
{
    return tcg_load(&stack->cpu->tcg, stack_address(stack, sp, bytes), bytes, stack->flags);
}

uint64_t x86_stack_pop(X86Stack *stack, unsigned bytes)
{
    uint64_t value = x86_stack_peek(stack, stack->sp, bytes);

    move_sp(stack, bytes);
    return value;
}

void x86_stack_probe(X86Stack *stack, unsigned bytes)
{
    tcg_check_store(&stack->cpu->tcg, stack_address(stack, stack->sp, bytes), bytes, stack->flags);
}

void x86_stack_end(X86Stack *stack)
{
    uint64_t *rsp = &stack->cpu->gpr[X86_RSP];

    *rsp = (*rsp & ~stack->mask) | (stack->sp & stack->mask);
    if (stack->mask == 0xffffffff) {
        *rsp = (uint32_t)*rsp;
    }
}

/* Stacks in the TSS. */

uint64_t x86_tss64_stack(X86Cpu *cpu, unsigned index, uint32_t external)
{
    uint32_t at = 4 + 8 * index;

    if (at + 7 > cpu->tr.limit) {
        x86_fault(cpu, X86_TS, (cpu->tr.selector & 0xfffc) | external);
    }
    return x86_load_system(cpu, cpu->tr.base + at, 8);
}

void x86_read_inner_stack(X86Cpu *cpu, unsigned cpl, uint32_t external, X86InnerStack *stack)
{
    bool wide = type_of(cpu->tr.flags) >= TYPE_TSS32;
    unsigned bytes = wide ? 4 : 2;
    uint32_t at = wide ? 4 + 8 * cpl : 2 + 4 * cpl, error;
    X86Descriptor *d = &stack->segment;

    if (at + 2 * bytes - 1 > cpu->tr.limit) {
        x86_fault(cpu, X86_TS, (cpu->tr.selector & 0xfffc) | external);
    }
    stack->sp = x86_load_system(cpu, cpu->tr.base + at, bytes);
    stack->selector = (uint16_t)x86_load_system(cpu, cpu->tr.base + at + bytes, 2);
    error = (stack->selector & 0xfffc) | external;
    if ((stack->selector & 0xfffc) == 0 || !x86_read_descriptor(cpu, stack->selector, d) ||
        (stack->selector & 3) != cpl || x86_dpl(d->flags) != cpl || !(d->flags & X86_SEG_S) ||
        (d->flags & X86_SEG_CODE) || !(d->flags & X86_SEG_WRITE)) {
        x86_fault(cpu, X86_TS, error);
    }
    if (!(d->flags & X86_SEG_P)) {
        x86_fault(cpu, X86_SS_FAULT, error);
    }
}

void x86_store_at_privilege(X86Cpu *cpu, uint64_t address, uint64_t value, unsigned bytes,
                            unsigned cpl)
{
    tcg_store(&cpu->tcg, address, value, bytes,
              IR_MEM_STACK | (cpl < 3 ? inner_access(cpu) : 0) |
                  (x86_long_mode(cpu) ? 0 : IR_MEM_WRAP32));
}
