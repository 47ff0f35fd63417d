/* SPDX-License-Identifier: MIT */
/*
 * Interrupts and events from this program's own controllers (kernel-irqchip=off), and events that are always ours: NMI
 * and SMI. The APIC's TPR and base address are the guest's CR8 and MSR, which KVM_RUN takes and gives.
 */
#include <errno.h>

#include "accel/kvm/kvm.h"
#include "base/log.h"

static const ExternalRegister *external(KvmVcpu *kv, uint32_t encoding, void **opaque)
{
    return machine_find_external_register(kv->vcpu->machine, encoding, opaque);
}

static uint64_t read_external(KvmVcpu *kv, uint32_t encoding)
{
    void *opaque;
    const ExternalRegister *reg = external(kv, encoding, &opaque);
    uint64_t value = 0;

    if (reg) {
        reg->read(opaque, kv->vcpu, encoding, &value);
    }
    return value;
}

static void write_external(KvmVcpu *kv, uint32_t encoding, uint64_t value)
{
    void *opaque;
    const ExternalRegister *reg = external(kv, encoding, &opaque);

    if (reg && read_external(kv, encoding) != value) {
        reg->write(opaque, kv->vcpu, encoding, value);
    }
}

/* INIT and start-up messages change the registers; the kernel takes them from there. */
static void take_start_events(KvmVcpu *kv)
{
    const uint32_t kinds = 1u << X86_EVENT_INIT | 1u << X86_EVENT_SIPI;
    VcpuEvent event;

    while (vcpu_take_event(kv->vcpu, kinds, &event)) {
        registers_sync(kv->vcpu, VCPU_SYNC_FROM_ACCELERATOR);
        kv->x86->take_event(kv->vcpu, &event);
        if (event.kind == X86_EVENT_INIT) {
            registers_forget_events(kv);
            /* The kernel may have told of the one before since the APIC took the INIT. */
            write_external(kv, X86_REGISTER_CR8, 0);
        }
        registers_sync(kv->vcpu, VCPU_SYNC_TO_ACCELERATOR);
    }
}

static void send(KvmVcpu *kv, unsigned long request, const char *what)
{
    int result = kvm_ioctl(kv->fd, request, NULL);

    if (result < 0) {
        log_printf("cpu%u: KVM does not take an %s: %s\n", kv->vcpu->index, what,
                   g_strerror(-result));
    }
}

static void take_events(KvmVcpu *kv)
{
    VcpuEvent event;

    take_start_events(kv);
    if (vcpu_take_event(kv->vcpu, 1u << X86_EVENT_VECTOR, &event)) {
        registers_give_vector(kv, (uint8_t)event.data);
    }
    while (vcpu_take_event(kv->vcpu, 1u << X86_EVENT_NMI, &event)) {
        send(kv, KVM_NMI, "NMI");
        atomic_store(&kv->vcpu->halted, false);
    }
    while (vcpu_take_event(kv->vcpu, 1u << X86_EVENT_SMI, &event)) {
        send(kv, KVM_SMI, "SMI");
        atomic_store(&kv->vcpu->halted, false);
    }
    /* Address bit 20 is always let through here, as on PCs of today. */
    while (vcpu_take_event(kv->vcpu, 1u << X86_EVENT_A20, &event)) {
    }
}

/*
 * With local APICs in the kernel, what KVM_INTERRUPT gives waits where nothing can be read from until the guest is entered: a machine that
 * stops before would lose it.
 */
static void give_vector(KvmVcpu *kv, uint8_t vector)
{
    struct kvm_interrupt interrupt = { vector };

    if (kv->kvm->irqchip == KVM_IRQCHIP_SPLIT) {
        registers_give_vector(kv, vector);
    } else {
        kvm_ioctl(kv->fd, KVM_INTERRUPT, &interrupt);
    }
}

static void inject(KvmVcpu *kv)
{
    struct kvm_run *run = kv->run;
    uint32_t line = 1u << X86_LINE_INTR;

    if (atomic_load(&kv->vcpu->interrupts) & line && run->ready_for_interrupt_injection &&
        run->if_flag) {
        int vector = vcpu_acknowledge(kv->vcpu);

        if (vector != IRQ_NO_VECTOR) {
            give_vector(kv, (uint8_t)vector);
        }
    }
    run->request_interrupt_window = (atomic_load(&kv->vcpu->interrupts) & line) != 0;
}

/* Registers are not fetched for this, and the CPU structure may be of another time: the kernel tells of IF at each exit. */
bool interrupts_wake(const Vcpu *vcpu)
{
    const KvmVcpu *kv = kvm_vcpu(vcpu);

    if (atomic_load(&vcpu->events)) {
        return true;
    }
    return kv->fetched || kv->changed
               ? vcpu->target->has_work(vcpu)
               : atomic_load(&vcpu->interrupts) & 1u << X86_LINE_INTR && kv->run->if_flag;
}

bool interrupts_before(KvmVcpu *kv)
{
    Vcpu *vcpu = kv->vcpu;

    if (atomic_load(&vcpu->events)) {
        if (kv->unfinished) {
            kvm_vcpu_settle(vcpu);
            return false;
        }
        take_events(kv);
    }
    if (kv->kvm->irqchip == KVM_IRQCHIP_ON) {
        return true;
    }
    if (kv->kvm->irqchip == KVM_IRQCHIP_OFF && atomic_load(&vcpu->halted)) {
        if (!interrupts_wake(vcpu)) {
            vcpu_wait(vcpu, -1);
            return false;
        }
        atomic_store(&vcpu->halted, false);
    }
    if ((kv->changed || kv->given) && atomic_load(&vcpu->interrupts) & 1u << X86_LINE_INTR) {
        /* What the kernel has told of IF is of other registers; one that waits in HLT would not even leave when IF allows it. */
        kvm_vcpu_refresh(vcpu);
        return false;
    }
    inject(kv);
    return true;
}

/* The kernel takes the priority at each entry, also one that only finishes an instruction: that may have written it. */
void interrupts_entering(KvmVcpu *kv)
{
    if (kv->kvm->irqchip == KVM_IRQCHIP_OFF) {
        kv->run->cr8 = read_external(kv, X86_REGISTER_CR8);
    }
}

void interrupts_after(KvmVcpu *kv)
{
    if (kv->kvm->irqchip == KVM_IRQCHIP_OFF) {
        write_external(kv, X86_REGISTER_CR8, kv->run->cr8);
        write_external(kv, X86_REGISTER_APIC_BASE, kv->run->apic_base);
    }
}
