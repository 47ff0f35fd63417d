/* SPDX-License-Identifier: MIT */
/*
 * Exceptions and interrupts (Intel SDM 3, chapter 6): delivery by the real-mode vector table, the IDT in 32 and 64 bits,
 * task gates, double and triple faults, debug traps.
 */
#include "target/i386/exception.h"

#include <setjmp.h>

#include "base/log.h"
#include "machine/debug.h"
#include "machine/event-names.h"
#include "target/i386/control.h"
#include "target/i386/mmu.h"
#include "target/i386/segment.h"
#include "target/i386/svm.h"

/* How an event came about. */
typedef enum { BY_EXCEPTION, BY_INT_N, BY_INT3_INTO, BY_INT1, BY_HARDWARE } Cause;

typedef struct {
    X86Cpu *cpu;
    unsigned vector;
    Cause cause;
    bool has_error_code;
    uint32_t error_code;
    uint64_t eip; /* to be pushed */
} Event;

static bool pushes_error_code(unsigned vector)
{
    return vector == X86_DF || (vector >= X86_TS && vector <= X86_PF) || vector == X86_AC;
}

static bool is_software(const Event *e)
{
    return e->cause == BY_INT_N || e->cause == BY_INT3_INTO;
}

/* Bit 0 of error codes says that the event came from outside. Exceptions of the program do for Intel, not for AMD. */
static uint32_t external(const Event *e)
{
    return e->cause == BY_HARDWARE || (!is_software(e) && !x86_vendor_is_amd(e->cpu)) ? 1 : 0;
}

static uint32_t idt_error(const Event *e)
{
    return e->vector * 8 + 2 + external(e);
}

/* A gate of the IDT. */
typedef struct {
    uint16_t selector;
    uint64_t offset;
    unsigned type, dpl, ist;
    bool present;
} Gate;

enum {
    GATE_TASK = 5,
    GATE_INTERRUPT16 = 6,
    GATE_TRAP16 = 7,
    GATE_INTERRUPT32 = 14,
    GATE_TRAP32 = 15
};

static Gate read_gate(const Event *e)
{
    X86Cpu *cpu = e->cpu;
    bool wide = x86_long_mode(cpu);
    uint32_t size = wide ? 16 : 8;
    uint64_t low, high = 0;
    Gate gate;

    if (e->vector * size + size - 1 > cpu->idtr.limit) {
        x86_fault(cpu, X86_GP, idt_error(e));
    }
    low = x86_load_system(cpu, cpu->idtr.base + e->vector * size, 8);
    if (wide) {
        high = x86_load_system(cpu, cpu->idtr.base + e->vector * size + 8, 8);
    }
    gate = (Gate){ .selector = (uint16_t)(low >> 16),
                   .offset = (low & 0xffff) | (low >> 32 & 0xffff0000) |
                             (uint32_t)high * (UINT64_C(1) << 32),
                   .type = low >> 40 & 31,
                   .dpl = low >> 45 & 3,
                   .ist = wide ? low >> 32 & 7 : 0,
                   .present = low >> 47 & 1 };
    return gate;
}

static void check_gate(const Event *e, const Gate *gate)
{
    X86Cpu *cpu = e->cpu;
    bool wide = x86_long_mode(cpu);
    bool known = gate->type == GATE_INTERRUPT32 || gate->type == GATE_TRAP32 ||
                 (!wide && (gate->type == GATE_TASK || gate->type == GATE_INTERRUPT16 ||
                            gate->type == GATE_TRAP16));

    if (!known || (is_software(e) && gate->dpl < cpu->cpl)) {
        x86_fault(cpu, X86_GP, idt_error(e));
    }
    if (!gate->present) {
        x86_fault(cpu, X86_NP, idt_error(e));
    }
}

/*
 * EFLAGS as they are pushed (SDM 3, 18.3.1.1): RF is set by faults, so that an instruction breakpoint does not hit again, and
 * clear for instructions that interrupt, which are over.
 */
static uint64_t pushed_eflags(const Event *e)
{
    uint64_t eflags = x86_get_eflags(e->cpu);
    bool trap = e->vector == X86_BP || e->vector == X86_OF || e->vector == X86_DB;

    if (is_software(e) || e->cause == BY_INT1) {
        return eflags & ~(uint64_t)EFLAGS_RF;
    }
    return e->cause == BY_EXCEPTION && !trap ? eflags | EFLAGS_RF : eflags;
}

/* The handler's flags. */
static void enter_handler(const Event *e, const Gate *gate)
{
    uint64_t clear = EFLAGS_TF | EFLAGS_VM | EFLAGS_RF | EFLAGS_NT;

    if (gate->type == GATE_INTERRUPT16 || gate->type == GATE_INTERRUPT32) {
        clear |= EFLAGS_IF;
    }
    x86_set_eflags(e->cpu, 0, clear);
}

/* Real mode: CS and IP from the table at IDTR. */
static void deliver_real(const Event *e)
{
    X86Cpu *cpu = e->cpu;
    uint32_t vector;
    X86Stack stack;

    if (e->vector * 4 + 3 > cpu->idtr.limit) {
        x86_fault(cpu, X86_GP, idt_error(e));
    }
    vector = (uint32_t)x86_load_system(cpu, cpu->idtr.base + e->vector * 4, 4);
    x86_stack_begin(&stack, cpu);
    x86_stack_push(&stack, 2, x86_get_eflags(cpu));
    x86_stack_push(&stack, 2, cpu->seg[X86_CS].selector);
    x86_stack_push(&stack, 2, e->eip);
    x86_stack_end(&stack);
    x86_set_segment(cpu, X86_CS, (uint16_t)(vector >> 16), (uint64_t)(vector >> 16) << 4,
                    cpu->seg[X86_CS].limit, cpu->seg[X86_CS].flags);
    x86_set_eflags(cpu, 0, EFLAGS_IF | EFLAGS_TF | EFLAGS_AC | EFLAGS_RF);
    x86_set_eip(cpu, (uint16_t)vector);
}

/* The code segment of a gate, and the privilege that it is entered with. */
static void read_handler_segment(const Event *e, const Gate *gate, X86Descriptor *code,
                                 unsigned *cpl)
{
    X86Cpu *cpu = e->cpu;
    uint32_t error = (gate->selector & 0xfffc) | external(e);

    if ((gate->selector & 0xfffc) == 0) {
        x86_fault(cpu, X86_GP, external(e));
    }
    if (!x86_read_descriptor(cpu, gate->selector, code) || !x86_is_code(code->flags) ||
        x86_dpl(code->flags) > cpu->cpl ||
        (x86_long_mode(cpu) && (code->flags & (X86_SEG_L | X86_SEG_B)) != X86_SEG_L)) {
        x86_fault(cpu, X86_GP, error);
    }
    if (!(code->flags & X86_SEG_P)) {
        x86_fault(cpu, X86_NP, error);
    }
    *cpl = code->flags & X86_SEG_DOWN ? cpu->cpl : x86_dpl(code->flags);
    if ((cpu->eflags & EFLAGS_VM) && *cpl != 0) {
        x86_fault(cpu, X86_GP, error);
    }
}

/* The handler's first instruction must lie in its segment. Returns where it is. */
static uint64_t handler_eip(const Event *e, const Gate *gate, const X86Descriptor *code)
{
    bool wide = x86_long_mode(e->cpu), short_gate = gate->type < GATE_INTERRUPT32;
    uint64_t eip = wide         ? gate->offset
                   : short_gate ? (uint16_t)gate->offset
                                : (uint32_t)gate->offset;

    if (wide ? !x86_is_canonical(e->cpu, eip) : eip > code->limit) {
        x86_fault(e->cpu, X86_GP, external(e));
    }
    return eip;
}

/* The descriptor has been marked: that may fault, and comes before anything changes. */
static void set_code_segment(X86Cpu *cpu, const Gate *gate, const X86Descriptor *code, unsigned cpl)
{
    cpu->cpl = (uint8_t)cpl;
    x86_set_segment(cpu, X86_CS, (uint16_t)((gate->selector & ~3) | cpl), code->base, code->limit,
                    code->flags | X86_SEG_ACCESSED);
}

/* 64-bit delivery: always SS:RSP, aligned, from the TSS when privilege or IST say so. */
static void deliver64(const Event *e, const Gate *gate)
{
    X86Cpu *cpu = e->cpu;
    uint64_t old_sp = cpu->gpr[X86_RSP], sp = old_sp, eflags = pushed_eflags(e), eip;
    uint16_t old_ss = cpu->seg[X86_SS].selector, old_cs = cpu->seg[X86_CS].selector;
    X86Descriptor code;
    unsigned cpl, old_cpl = cpu->cpl;
    uint64_t frame[6];
    unsigned count = 0;

    read_handler_segment(e, gate, &code, &cpl);
    if (gate->ist || cpl < old_cpl) {
        sp = x86_tss64_stack(cpu, gate->ist ? 3 + gate->ist : cpl, external(e));
    }
    if (!x86_is_canonical(cpu, sp)) {
        x86_fault(cpu, X86_SS_FAULT, external(e));
    }
    eip = handler_eip(e, gate, &code);
    sp &= ~UINT64_C(15);
    frame[count++] = old_ss;
    frame[count++] = old_sp;
    frame[count++] = eflags;
    frame[count++] = old_cs;
    frame[count++] = e->eip;
    if (e->has_error_code) {
        frame[count++] = e->error_code;
    }
    for (unsigned i = 0; i < count; i++) {
        sp -= 8;
        x86_store_at_privilege(cpu, sp, frame[i], 8, cpl);
    }
    x86_mark_accessed(cpu, &code);
    if (cpl < old_cpl) {
        /* SS is a null selector with the new RPL. */
        x86_set_segment(cpu, X86_SS, (uint16_t)cpl, 0, 0xffffffff,
                        X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_B | X86_SEG_G |
                            cpl << X86_SEG_DPL_SHIFT);
    }
    set_code_segment(cpu, gate, &code, cpl);
    cpu->gpr[X86_RSP] = sp;
    enter_handler(e, gate);
    x86_set_eip(cpu, eip);
}

static void push_virtual_segments(X86Stack *stack, unsigned bytes)
{
    static const uint8_t order[] = { X86_GS, X86_FS, X86_DS, X86_ES };

    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        x86_stack_push(stack, bytes, stack->cpu->seg[order[i]].selector);
    }
}

static void clear_virtual_segments(X86Cpu *cpu)
{
    static const uint8_t names[] = { X86_GS, X86_FS, X86_DS, X86_ES };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        x86_set_segment(cpu, (X86SegmentName)names[i], 0, 0, 0, 0);
    }
}

static void deliver32(const Event *e, const Gate *gate)
{
    X86Cpu *cpu = e->cpu;
    unsigned bytes = gate->type >= GATE_INTERRUPT32 ? 4 : 2, cpl;
    bool vm86 = cpu->eflags & EFLAGS_VM, inner;
    uint64_t eflags = pushed_eflags(e), old_sp = cpu->gpr[X86_RSP], eip;
    uint16_t old_ss = cpu->seg[X86_SS].selector, old_cs = cpu->seg[X86_CS].selector;
    X86Descriptor code;
    X86InnerStack inner_stack;
    X86Stack stack;

    read_handler_segment(e, gate, &code, &cpl);
    inner = cpl < cpu->cpl;
    if (inner) {
        x86_read_inner_stack(cpu, cpl, external(e), &inner_stack);
        eip = handler_eip(e, gate, &code);
        x86_stack_begin_inner(&stack, cpu, &inner_stack);
        if (vm86) {
            push_virtual_segments(&stack, bytes);
        }
        x86_stack_push(&stack, bytes, old_ss);
        x86_stack_push(&stack, bytes, old_sp);
    } else {
        eip = handler_eip(e, gate, &code);
        x86_stack_begin(&stack, cpu);
    }
    x86_stack_push(&stack, bytes, eflags);
    x86_stack_push(&stack, bytes, old_cs);
    x86_stack_push(&stack, bytes, e->eip);
    if (e->has_error_code) {
        x86_stack_push(&stack, bytes, e->error_code);
    }
    x86_mark_accessed(cpu, &code);
    if (inner) {
        x86_mark_accessed(cpu, &inner_stack.segment);
        x86_set_segment(cpu, X86_SS, inner_stack.selector, inner_stack.segment.base,
                        inner_stack.segment.limit, inner_stack.segment.flags | X86_SEG_ACCESSED);
        if (vm86) {
            cpu->eflags &= ~(uint64_t)EFLAGS_VM;
            clear_virtual_segments(cpu);
        }
    }
    x86_stack_end(&stack);
    set_code_segment(cpu, gate, &code, cpl);
    enter_handler(e, gate);
    x86_set_eip(cpu, eip);
}

/*
 * INT n in virtual-8086 mode with VME: by the program's own table when the redirection map says so (SDM 3, 20.3; APM 3, INT).
 * INT3 and INTO are not subject to that, nor to IOPL.
 */

enum { TSS_PORTS = 0x66, REDIRECTION_BYTES = 32 };

/* The redirection map lies below the map of ports; a task state that ends before has none, which is a fault. */
static bool is_redirected(const Event *e)
{
    X86Cpu *cpu = e->cpu;
    uint32_t at;

    if (!(cpu->cr4 & CR4_VME)) {
        return false;
    }
    if (cpu->tr.limit < TSS_PORTS + 1) {
        x86_fault(cpu, X86_GP, 0);
    }
    at = (uint32_t)x86_load_system(cpu, cpu->tr.base + TSS_PORTS, 2) - REDIRECTION_BYTES +
         e->vector / 8;
    if (at > cpu->tr.limit) {
        x86_fault(cpu, X86_GP, 0);
    }
    return !(x86_load_system(cpu, cpu->tr.base + at, 1) >> (e->vector & 7) & 1);
}

/* By the program's own table, in real mode's way. */
static void deliver_redirected(const Event *e)
{
    X86Cpu *cpu = e->cpu;
    bool iopl3 = (cpu->eflags & EFLAGS_IOPL) == EFLAGS_IOPL;
    uint64_t eflags = x86_get_eflags(cpu);
    uint32_t vector;
    X86Stack stack;

    if (!iopl3) {
        eflags =
            (eflags & ~(uint64_t)EFLAGS_IF) | EFLAGS_IOPL | (eflags & EFLAGS_VIF ? EFLAGS_IF : 0);
    }
    vector = (uint32_t)x86_load_system(cpu, e->vector * 4, 4);
    x86_stack_begin(&stack, cpu);
    x86_stack_push(&stack, 2, eflags);
    x86_stack_push(&stack, 2, cpu->seg[X86_CS].selector);
    x86_stack_push(&stack, 2, e->eip);
    x86_stack_end(&stack);
    x86_set_segment(cpu, X86_CS, (uint16_t)(vector >> 16), (uint64_t)(vector >> 16) << 4,
                    cpu->seg[X86_CS].limit, cpu->seg[X86_CS].flags);
    x86_set_eflags(cpu, 0, (iopl3 ? EFLAGS_IF : EFLAGS_VIF) | EFLAGS_TF);
    x86_set_eip(cpu, (uint16_t)vector);
}

/* true: that was all. */
static bool deliver_virtual(const Event *e)
{
    X86Cpu *cpu = e->cpu;

    if (e->cause != BY_INT_N || !(cpu->eflags & EFLAGS_VM)) {
        return false;
    }
    if (is_redirected(e)) {
        deliver_redirected(e);
        return true;
    }
    if ((cpu->eflags & EFLAGS_IOPL) != EFLAGS_IOPL) {
        x86_fault(cpu, X86_GP, 0);
    }
    return false;
}

static void deliver(const Event *e)
{
    X86Cpu *cpu = e->cpu;
    Gate gate;

    if (log_enabled(LOG_INT)) {
        log_printf("cpu%u: vector %02x error %x at %04x:%" PRIx64 " cpl %u\n", cpu->vcpu.index,
                   e->vector, e->error_code, cpu->seg[X86_CS].selector, e->eip, cpu->cpl);
    }
    if (!(cpu->cr0 & CR0_PE)) {
        deliver_real(e);
        return;
    }
    if (deliver_virtual(e)) {
        return;
    }
    gate = read_gate(e);
    check_gate(e, &gate);
    if (gate.type == GATE_TASK) {
        x86_task_switch(cpu, gate.selector, X86_TASK_INTERRUPT, e->eip, pushed_eflags(e),
                        e->has_error_code, e->error_code);
    } else if (x86_long_mode(cpu)) {
        deliver64(e, &gate);
    } else {
        deliver32(e, &gate);
    }
}

/* Recording of transfers of control (APM 2, 13.1.6): an event's, and before it the branch that came last. */
static void record_event(const Event *e)
{
    X86Cpu *cpu = e->cpu;

    if (cpu->debugctl & DEBUGCTL_LBR) {
        cpu->last_branch[2] = cpu->last_branch[0];
        cpu->last_branch[3] = cpu->last_branch[1];
        cpu->last_branch[0] = e->eip;
        cpu->last_branch[1] = x86_eip(cpu);
    }
}

/*
 * A fault while an event is being delivered takes the event's place: it is delivered in here, deeper, and then unwinds
 * to the outer delivery, which is over with that. State changes only when nothing can fault any more.
 */
static void deliver_or_unwind(const Event *e)
{
    jmp_buf unwind;

    e->cpu->tcg.unwind = &unwind;
    if (setjmp(unwind) == 0) {
        deliver(e);
        record_event(e);
    }
}

/* The event as EXITINTINFO has it. INT3 and INTO are exceptions there. */
static uint64_t svm_event(const Event *e)
{
    uint64_t type = e->cause == BY_INT_N      ? SVM_EVENT_SOFTWARE
                    : e->cause != BY_HARDWARE ? SVM_EVENT_EXCEPTION
                    : e->vector == X86_NMI    ? SVM_EVENT_NMI
                                              : SVM_EVENT_INTR;

    return e->vector | type << SVM_EVENT_TYPE_SHIFT | SVM_EVENT_VALID |
           (e->has_error_code
                ? SVM_EVENT_HAS_ERROR | (uint64_t)e->error_code << SVM_EVENT_ERROR_SHIFT
                : 0);
}

static const char *const vector_names[32] = {
    [X86_DE] = "de", [X86_DB] = "db",       [X86_NMI] = "nmi", [X86_BP] = "bp", [X86_OF] = "of",
    [X86_BR] = "br", [X86_UD] = "ud",       [X86_NM] = "nm",   [X86_DF] = "df", [X86_TS] = "ts",
    [X86_NP] = "np", [X86_SS_FAULT] = "ss", [X86_GP] = "gp",   [X86_PF] = "pf", [X86_MF] = "mf",
    [X86_AC] = "ac", [X86_XM] = "xm",
};

static const char *exception_name(unsigned index)
{
    return index >= ARRAY_SIZE(vector_names) ? NULL
           : vector_names[index]             ? vector_names[index]
                                             : "";
}

static const char *interrupt_name(unsigned index)
{
    return index ? NULL : vector_names[X86_NMI];
}

static const EventNames exception_names = {
    DEBUG_EXCEPTION, { "x86_64", "i386" }, exception_name, 256
};
EVENT_NAMES(exception_names);
static const EventNames interrupt_names = {
    DEBUG_INTERRUPT, { "x86_64", "i386" }, interrupt_name, 256
};
EVENT_NAMES(interrupt_names);

/* With the pc of the handler, or of what the delivery ended in; from: where it was taken, linear. */
static void report_event(const Event *e, uint64_t from)
{
    bool interrupt = e->cause == BY_HARDWARE;
    DebugEventKind kind = interrupt ? DEBUG_INTERRUPT : DEBUG_EXCEPTION;

    if (debug_wants(e->cpu->vcpu.machine, kind)) {
        debug_report(e->cpu->vcpu.machine, &e->cpu->vcpu,
                     &(DebugEvent){ .kind = kind,
                                    .name = e->vector < 32 && (!interrupt || e->vector == X86_NMI)
                                                ? vector_names[e->vector]
                                                : NULL,
                                    .number = e->vector,
                                    .value = e->has_error_code ? e->error_code : 0,
                                    .from = from,
                                    .address = e->vector == X86_PF ? e->cpu->cr2 : 0 });
    }
}

static void take_event_now(const Event *e)
{
    X86Cpu *cpu = e->cpu;
    jmp_buf *outer = cpu->tcg.unwind;
    bool was_delivering = cpu->delivering;
    uint64_t from = cpu->seg[X86_CS].base + e->eip;

    if (!was_delivering) {
        cpu->svm.event = svm_event(e);
    }
    cpu->delivering = true;
    cpu->delivering_vector = e->cause == BY_EXCEPTION ? (uint8_t)e->vector : 0xff;
    cpu->delivering_external = external(e);
    deliver_or_unwind(e);
    cpu->tcg.unwind = outer;
    cpu->delivering = false;
    if (!was_delivering) {
        x86_update_context(cpu);
        x86_check_interrupts(cpu);
    }
    report_event(e, from);
}

static void take(X86Cpu *cpu, unsigned vector, Cause cause, uint32_t error_code, uint64_t eip)
{
    bool has_error_code = cause == BY_EXCEPTION && pushes_error_code(vector);
    const Event e = { .cpu = cpu,
                      .vector = vector,
                      .cause = cause,
                      .has_error_code = has_error_code && (cpu->cr0 & CR0_PE),
                      .error_code = error_code,
                      .eip = eip };

    if (vector == X86_DB && cause != BY_INT_N) {
        cpu->debugctl &= ~(DEBUGCTL_BTF | DEBUGCTL_LBR);
    }
    take_event_now(&e);
}

void x86_inject_event(X86Cpu *cpu, uint64_t event, uint64_t next_eip)
{
    unsigned type = event >> SVM_EVENT_TYPE_SHIFT & 7, vector = event & 0xff;
    bool traps = type == SVM_EVENT_EXCEPTION && (vector == X86_BP || vector == X86_OF);
    bool soft = type == SVM_EVENT_SOFTWARE || traps;
    const Event e = { .cpu = cpu,
                      .vector = type == SVM_EVENT_NMI ? X86_NMI : vector,
                      .cause = traps                         ? BY_INT3_INTO
                               : soft                        ? BY_INT_N
                               : type == SVM_EVENT_EXCEPTION ? BY_EXCEPTION
                                                             : BY_HARDWARE,
                      .has_error_code = (event & SVM_EVENT_HAS_ERROR) && (cpu->cr0 & CR0_PE),
                      .error_code = (uint32_t)(event >> SVM_EVENT_ERROR_SHIFT),
                      .eip =
                          soft && x86_has(cpu, X86_FEATURE_NRIP_SAVE) ? next_eip : x86_eip(cpu) };

    if (type == SVM_EVENT_NMI) {
        cpu->nmi_blocked = true;
    }
    take_event_now(&e);
}

/* Faults that make a double fault of another one that comes while they are delivered (SDM 3, table 6-5). */
static bool contributes(unsigned vector)
{
    return vector == X86_DE || (vector >= X86_TS && vector <= X86_GP);
}

void x86_shut_down(X86Cpu *cpu, const char *reason)
{
    machine_request_reset(cpu->vcpu.machine, reason);
    cpu->vcpu.halt_deadline_ns = -1;
    atomic_store(&cpu->vcpu.halted, true);
    cpu->shut_down = true;
    x86_request_exit(cpu);
}

static void take_triple_fault(X86Cpu *cpu)
{
    if (x86_svm_intercepts(cpu, SVM_EXIT_SHUTDOWN)) {
        x86_svm_exit(cpu, SVM_EXIT_SHUTDOWN, 0, 0, 0);
        return;
    }
    cpu->delivering = false;
    x86_describe_triple_fault(cpu);
    if (debug_wants(cpu->vcpu.machine, DEBUG_TRIPLE_FAULT)) {
        unsigned first = cpu->svm.event & 0xff;

        debug_report(cpu->vcpu.machine, &cpu->vcpu,
                     &(DebugEvent){ .kind = DEBUG_TRIPLE_FAULT,
                                    .name = first < 32 ? vector_names[first] : NULL,
                                    .number = first,
                                    .from = tcg_pc(&cpu->tcg),
                                    .address = cpu->cr2 });
    }
    x86_shut_down(cpu, "triple fault");
}

void x86_take_fault(X86Cpu *cpu, X86Vector vector, uint32_t error_code)
{
    if (x86_svm_exception(cpu, vector, pushes_error_code(vector), error_code)) {
        return;
    }
    if (vector == X86_PF) {
        /* Of the last one, even if a double or triple fault comes of it. */
        cpu->cr2 = cpu->fault.address;
    }
    if (cpu->delivering) {
        unsigned first = cpu->delivering_vector;
        bool page = first == X86_PF;

        if (first == X86_DF) {
            take_triple_fault(cpu);
            return;
        }
        if ((contributes(first) && contributes(vector)) ||
            (page && (contributes(vector) || vector == X86_PF))) {
            vector = X86_DF;
            error_code = 0;
            if (x86_svm_exception(cpu, X86_DF, true, 0)) {
                return;
            }
        } else if (pushes_error_code(vector) && vector != X86_PF && vector != X86_DF &&
                   vector != X86_AC) {
            error_code |= cpu->delivering_external;
        }
    }
    /* What the instruction has hit so far, it will hit again. */
    cpu->pending_debug = 0;
    cpu->alone = cpu->step_settled = cpu->resume_loaded = false;
    cpu->shadow = 0;
    take(cpu, vector, BY_EXCEPTION, error_code, x86_eip(cpu));
}

_Noreturn void x86_fault(X86Cpu *cpu, X86Vector vector, uint32_t error_code)
{
    x86_take_fault(cpu, vector, error_code);
    tcg_unwind(&cpu->tcg);
}

void x86_software_interrupt(X86Cpu *cpu, unsigned vector, uint64_t next_eip, X86SoftwareKind kind)
{
    static const uint8_t causes[] = { BY_INT_N, BY_INT3_INTO, BY_INT1 };
    bool stepped = cpu->eflags & EFLAGS_TF;

    take(cpu, vector, (Cause)causes[kind], 0, next_eip);
    /* TF waits on the handler's stack. */
    cpu->step_settled = stepped;
    if (kind == X86_INT1) {
        /* One #DB is for both: a second one would be upon the first one's stack. */
        cpu->dr[6] |= cpu->pending_debug & 0xf;
        cpu->pending_debug = 0;
    }
}

void x86_hardware_interrupt(X86Cpu *cpu, unsigned vector)
{
    take(cpu, vector, BY_HARDWARE, 0, x86_eip(cpu));
}

void x86_debug_trap(X86Cpu *cpu, uint64_t dr6)
{
    cpu->dr[6] = (cpu->dr[6] & ~UINT64_C(0xf)) | dr6;
    cpu->pending_debug = 0;
    atomic_store(&cpu->vcpu.halted, false);
    if (x86_svm_exception(cpu, X86_DB, false, 0)) {
        return;
    }
    take(cpu, X86_DB, BY_EXCEPTION, 0, x86_eip(cpu));
}

void x86_raise_fault(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    if (cpu->fault.nested != X86_NOT_NESTED) {
        x86_svm_nested_fault(cpu);
        return;
    }
    if (cpu->fault.again) {
        cpu->alone = true;
        x86_update_mode(cpu);
        return;
    }
    x86_take_fault(cpu, (X86Vector)cpu->fault.vector, cpu->fault.error_code);
}

/* Nothing answers at the address: code there reads as ones, which are no instruction. */
void x86_raise_bus_error(TcgState *env, uint64_t guest_virt, TcgAccess access)
{
    x86_take_fault(x86_cpu_of_env(env), access == TCG_FETCH ? X86_UD : X86_GP, 0);
}

void x86_check_indirect(TcgState *env, uint64_t guest_virt, int64_t origin)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    if (x86_code64(cpu) && !x86_is_canonical(cpu, guest_virt)) {
        cpu->gpr[X86_RSP] -= (uint64_t)(origin >> X86_ORIGIN_SHIFT);
        env->pc_offset = origin & ((1 << X86_ORIGIN_SHIFT) - 1);
        x86_fault(cpu, X86_GP, 0);
    }
}

bool x86_prepare_pc(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint64_t pc = tcg_pc(env), eip;

    if (x86_code64(cpu)) {
        if (!x86_is_canonical(cpu, pc)) {
            x86_take_fault(cpu, X86_GP, 0);
            return false;
        }
        return true;
    }
    if (pc >> 32) {
        tcg_set_pc(env, (uint32_t)pc);
    }
    eip = x86_eip(cpu);
    if (eip > cpu->seg[X86_CS].limit) {
        x86_take_fault(cpu, X86_GP, 0);
        return false;
    }
    return true;
}

/* Whether the instruction has led elsewhere. A conditional branch to what follows it, and one to itself, are not told apart. */
static bool has_branched(const X86Cpu *cpu)
{
    uint64_t pc = tcg_pc(&cpu->tcg);

    return pc != cpu->step_next && pc != cpu->step_from;
}

/* With BTF, TF traps behind branches (SDM 3, 18.4.3; APM 2, 13.1.1). */
static bool is_step(const X86Cpu *cpu)
{
    return !(cpu->debugctl & DEBUGCTL_BTF) || has_branched(cpu);
}

static void record_branch(X86Cpu *cpu)
{
    if ((cpu->debugctl & DEBUGCTL_LBR) && has_branched(cpu)) {
        cpu->last_branch[0] = cpu->step_from - cpu->seg[X86_CS].base;
        cpu->last_branch[1] = x86_eip(cpu);
    }
}

void x86_insn_done(TcgState *env, uint64_t mode)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint64_t traps = cpu->pending_debug & 0xf;
    bool step = (mode & X86_MODE_TF) && !cpu->step_settled && is_step(cpu);

    if (mode & X86_MODE_RECORDS) {
        record_branch(cpu);
    }
    cpu->step_settled = false;
    if (cpu->alone) {
        cpu->alone = false;
        x86_update_mode(cpu);
    }
    /* One that this instruction has begun is the next one's. */
    if (cpu->shadow && (mode & X86_MODE_SHADOW)) {
        cpu->shadow = 0;
        x86_update_mode(cpu);
        x86_check_interrupts(cpu);
    }
    if ((cpu->eflags & EFLAGS_RF) && !cpu->resume_loaded) {
        cpu->eflags &= ~(uint64_t)EFLAGS_RF;
        x86_update_mode(cpu);
    }
    cpu->resume_loaded = false;
    if ((step || traps) && cpu->shadow != X86_SHADOW_STACK) {
        x86_debug_trap(cpu, traps | (step ? DR6_BS : 0));
    }
}

bool x86_check_insn(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint64_t pc = tcg_pc(env), hits = 0;

    for (unsigned i = 0; i < 4; i++) {
        if ((cpu->dr[7] >> (2 * i) & 3) && (cpu->dr[7] >> (16 + 4 * i) & 3) == 0 &&
            cpu->dr[i] == pc) {
            hits |= UINT64_C(1) << i;
        }
    }
    if (!hits || (cpu->eflags & EFLAGS_RF) || cpu->shadow == X86_SHADOW_STACK) {
        return false;
    }
    x86_debug_trap(cpu, hits);
    return true;
}
