/* SPDX-License-Identifier: MIT */
/* What waits to be delivered between instructions: interrupt lines, NMI, SMI, INIT, start-up messages, A20. */
#include "target/i386/exception.h"
#include "target/i386/control.h"
#include "target/i386/mmu.h"
#include "target/i386/segment.h"
#include "target/i386/svm.h"

void x86_check_interrupts(X86Cpu *cpu)
{
    if (atomic_load(&cpu->vcpu.interrupts) || atomic_load(&cpu->vcpu.events) ||
        x86_svm_virtual_interrupt(cpu) >= 0) {
        x86_request_exit(cpu);
    }
}

void x86_release_nmi(X86Cpu *cpu)
{
    vcpu_limit_events(&cpu->vcpu, X86_EVENT_NMI, 1);
}

void x86_take_init(X86Cpu *cpu)
{
    x86_init_reset(cpu);
    cpu->wait_for_sipi = cpu->vcpu.index != 0;
    if (cpu->wait_for_sipi) {
        cpu->vcpu.halt_deadline_ns = -1;
        atomic_store(&cpu->vcpu.halted, true);
    }
}

void x86_start_up(X86Cpu *cpu, uint32_t vector)
{
    if (!cpu->wait_for_sipi) {
        return;
    }
    cpu->wait_for_sipi = false;
    atomic_store(&cpu->vcpu.halted, false);
    x86_set_segment(cpu, X86_CS, (uint16_t)(vector << 8), (uint64_t)vector << 12, 0xffff,
                    cpu->seg[X86_CS].flags);
    x86_update_context(cpu);
    x86_set_eip(cpu, 0);
}

static void take_a20(X86Cpu *cpu, bool open)
{
    if (cpu->a20 != open) {
        cpu->a20 = open;
        x86_flush_translations(cpu, true);
        x86_update_context(cpu);
    }
}

bool x86_wake(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    VcpuEvent event;

    while (vcpu_take_event(&cpu->vcpu, 1u << X86_EVENT_A20, &event)) {
        take_a20(cpu, event.data);
    }
    return cpu->vcpu.target->has_work(&cpu->vcpu);
}

uint32_t x86_allowed_events(const X86Cpu *cpu)
{
    uint32_t allowed = 1u << X86_EVENT_A20;

    if (!cpu->svm.gif) {
        return allowed;
    }
    if (atomic_load(&cpu->vcpu.events) & 1u << X86_EVENT_VECTOR) {
        return allowed | 1u << X86_EVENT_VECTOR; /* it was begun before all others */
    }
    if (!cpu->smm) {
        allowed |= 1u << X86_EVENT_INIT;
    }
    if (cpu->wait_for_sipi) {
        allowed |= 1u << X86_EVENT_SIPI;
    } else {
        allowed |= (cpu->smm ? 0 : 1u << X86_EVENT_SMI) | 1u << X86_EVENT_SIPI |
                   (cpu->nmi_blocked ? 0 : 1u << X86_EVENT_NMI);
    }
    return allowed;
}

/* Events that a guest is left for go on waiting, for the host. */
static bool leave_for_event(X86Cpu *cpu, uint32_t allowed)
{
    static const struct {
        uint8_t kind, code;
    } exits[] = {
        { X86_EVENT_INIT, SVM_EXIT_INIT },
        { X86_EVENT_SMI, SVM_EXIT_SMI },
        { X86_EVENT_NMI, SVM_EXIT_NMI },
    };
    uint32_t waiting = atomic_load(&cpu->vcpu.events) & allowed;

    for (unsigned i = 0; i < G_N_ELEMENTS(exits); i++) {
        if ((waiting & 1u << exits[i].kind) && x86_svm_intercepts(cpu, exits[i].code)) {
            x86_svm_exit(cpu, exits[i].code, 0, 0, 0);
            return true;
        }
    }
    return false;
}

/* Events that the state allows, the strongest first. */
static bool take_event(X86Cpu *cpu)
{
    uint32_t allowed = x86_allowed_events(cpu);
    VcpuEvent event;

    if (leave_for_event(cpu, allowed)) {
        return true;
    }
    if (!vcpu_take_event(&cpu->vcpu, allowed, &event)) {
        return false;
    }
    switch (event.kind) {
    case X86_EVENT_INIT:
        x86_take_init(cpu);
        break;
    case X86_EVENT_SIPI:
        x86_start_up(cpu, event.data);
        break;
    case X86_EVENT_SMI:
        x86_enter_smm(cpu);
        break;
    case X86_EVENT_VECTOR:
        x86_hardware_interrupt(cpu, event.data & UINT8_MAX);
        break;
    case X86_EVENT_NMI:
        cpu->nmi_blocked = true;
        x86_hardware_interrupt(cpu, X86_NMI);
        break;
    case X86_EVENT_A20:
        take_a20(cpu, event.data);
        break;
    }
    return true;
}

/* The virtual interrupt of a guest, by its own EFLAGS.IF. */
static void take_virtual_interrupt(X86Cpu *cpu)
{
    int vector = x86_svm_virtual_interrupt(cpu);

    if (vector < 0) {
        return;
    }
    if (!(cpu->eflags & EFLAGS_IF)) {
        cpu->irq_waiting = 1;
    } else if (x86_svm_intercepts(cpu, SVM_EXIT_VINTR)) {
        x86_svm_exit(cpu, SVM_EXIT_VINTR, 0, 0, 0);
    } else {
        x86_svm_virtual_interrupt_taken(cpu);
        x86_hardware_interrupt(cpu, (unsigned)vector);
    }
}

static void take_interrupt_line(X86Cpu *cpu)
{
    int vector;

    if (!x86_svm_takes_interrupts(cpu)) {
        cpu->irq_waiting = 1;
        return;
    }
    if (x86_svm_intercepts(cpu, SVM_EXIT_INTR)) {
        x86_svm_exit(cpu, SVM_EXIT_INTR, 0, 0, 0);
        return;
    }
    vector = vcpu_acknowledge(&cpu->vcpu);
    if (vector != IRQ_NO_VECTOR) {
        x86_hardware_interrupt(cpu, (unsigned)vector);
    }
}

void x86_take_interrupt(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    cpu->irq_waiting = 0;
    if (cpu->shadow) {
        /* The unit of one instruction that clears it asks again. */
        return;
    }
    while (atomic_load(&cpu->vcpu.events) && take_event(cpu)) {
    }
    if (cpu->wait_for_sipi || cpu->shut_down) {
        return;
    }
    if (atomic_load(&cpu->vcpu.interrupts) & 1u << X86_LINE_INTR) {
        take_interrupt_line(cpu);
    }
    take_virtual_interrupt(cpu);
}
