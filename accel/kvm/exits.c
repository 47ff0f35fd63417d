/* SPDX-License-Identifier: MIT */
/* Why KVM_RUN returns, and what follows: a table by the reason's number. */
#include <inttypes.h>
#include <string.h>

#include "accel/kvm/kvm.h"
#include "base/bits.h"
#include "base/log.h"
#include "machine/debug.h"

static MemoryAttributes attributes(const KvmVcpu *kv)
{
    return (MemoryAttributes){ .vcpu = (int16_t)kv->vcpu->index,
                               .secure = (kv->run->flags & KVM_RUN_X86_SMM) != 0 };
}

static uint64_t load_bytes(const uint8_t *from, unsigned bytes)
{
    uint64_t value = 0;

    memcpy(&value, from, bytes);
    return value;
}

static void port_read(KvmVcpu *kv, uint16_t port, uint8_t *data, unsigned bytes)
{
    uint64_t value = UINT64_MAX;

    if (address_space_read(&kv->vcpu->machine->io_space, port, &value, bytes, attributes(kv)) !=
        MEMORY_OK) {
        value = UINT64_MAX;
    }
    memcpy(data, &value, bytes);
}

static void tell_of_port(KvmVcpu *kv, bool write, uint64_t value)
{
    Machine *machine = kv->vcpu->machine;

    if (debug_wants(machine, DEBUG_PORT)) {
        debug_report(
            machine, kv->vcpu,
            &(DebugEvent){
                .kind = DEBUG_PORT, .write = write, .number = kv->run->io.port, .value = value });
    }
}

/* String instructions come with several values, for one port. */
static void handle_io(KvmVcpu *kv)
{
    const struct kvm_run *run = kv->run;
    unsigned bytes = run->io.size;
    uint64_t offset = MIN(run->io.data_offset, kv->kvm->run_bytes);
    uint64_t room = kv->kvm->run_bytes - offset;
    uint8_t *data = (uint8_t *)kv->run + offset;

    if (bytes != 1 && bytes != 2 && bytes != 4) {
        return;
    }
    kv->in_access = true;
    for (uint32_t i = 0; i < run->io.count && room >= bytes; i++, room -= bytes, data += bytes) {
        if (run->io.direction == KVM_EXIT_IO_IN) {
            port_read(kv, run->io.port, data, bytes);
            tell_of_port(kv, false, load_bytes(data, bytes));
        } else {
            tell_of_port(kv, true, load_bytes(data, bytes));
            address_space_write(&kv->vcpu->machine->io_space, run->io.port, load_bytes(data, bytes),
                                bytes, attributes(kv));
        }
    }
    kv->in_access = false;
    kv->unfinished = true;
}

static void handle_mmio(KvmVcpu *kv)
{
    struct kvm_run *run = kv->run;
    MemoryAttributes a = attributes(kv);
    AddressSpace *space = kv->vcpu->views[a.secure];
    unsigned bytes = MIN(run->mmio.len, sizeof run->mmio.data);
    uint64_t value = UINT64_MAX;

    if (bytes == 0) {
        return;
    }
    kv->in_access = true;
    if (run->mmio.is_write) {
        address_space_write_bytes(space, run->mmio.phys_addr, run->mmio.data, bytes, a);
    } else if ((bytes & (bytes - 1)) == 0 &&
               address_space_read(space, run->mmio.phys_addr, &value, bytes, a) == MEMORY_OK) {
        memcpy(run->mmio.data, &value, bytes);
    } else if (address_space_read_bytes(space, run->mmio.phys_addr, run->mmio.data, bytes, a) !=
               MEMORY_OK) {
        memset(run->mmio.data, 0xff, bytes);
    }
    kv->in_access = false;
    kv->unfinished = true;
}

/* Without interrupt controllers in the kernel the wait is ours. */
static void handle_halt(KvmVcpu *kv)
{
    if (kv->kvm->irqchip == KVM_IRQCHIP_OFF) {
        atomic_store(&kv->vcpu->halted, true);
    }
}

/* A triple fault resets a PC. */
static void handle_shutdown(KvmVcpu *kv)
{
    Machine *machine = kv->vcpu->machine;

    if (debug_wants(machine, DEBUG_TRIPLE_FAULT)) {
        debug_report(machine, kv->vcpu, &(DebugEvent){ .kind = DEBUG_TRIPLE_FAULT });
    }
    machine_request_reset(machine, "a triple fault");
}

static void handle_entry_failure(KvmVcpu *kv)
{
    kvm_fail(
        kv->kvm, kv, KVM_STATUS_ENTRY_FAILED,
        g_strdup_printf("the processor does not enter the guest on CPU %u: hardware reason "
                        "%#llx",
                        kv->vcpu->index,
                        (unsigned long long)kv->run->fail_entry.hardware_entry_failure_reason));
}

static void handle_unknown(KvmVcpu *kv)
{
    kvm_fail(kv->kvm, kv, KVM_STATUS_ENTRY_FAILED,
             g_strdup_printf("KVM does not know why CPU %u left the guest: hardware reason %#llx",
                             kv->vcpu->index,
                             (unsigned long long)kv->run->hw.hardware_exit_reason));
}

static const char *internal_error(uint32_t suberror)
{
    static const char *const names[] = { NULL, "an instruction that KVM does not emulate",
                                         "a fault while another was being delivered",
                                         "an exit while an event was being delivered",
                                         "an exit that KVM did not expect" };

    return suberror < G_N_ELEMENTS(names) && names[suberror] ? names[suberror] : "unknown";
}

static void handle_internal_error(KvmVcpu *kv)
{
    GString *text = g_string_new(NULL);
    const struct kvm_run *run = kv->run;

    g_string_append_printf(text, "KVM's internal error %u on CPU %u (%s)", run->internal.suberror,
                           kv->vcpu->index, internal_error(run->internal.suberror));
    for (uint32_t i = 0; i < run->internal.ndata && i < G_N_ELEMENTS(run->internal.data); i++) {
        g_string_append_printf(text, "%s%#llx", i ? " " : ", data ",
                               (unsigned long long)run->internal.data[i]);
    }
    kvm_fail(kv->kvm, kv, KVM_STATUS_INTERNAL_ERROR, g_string_free(text, FALSE));
}

/* The guest may go on unless its state is lost. */
static void handle_notify(KvmVcpu *kv)
{
    bool lost = kv->run->notify.flags & KVM_NOTIFY_CONTEXT_INVALID;

    if (lost || kv->kvm->notify == KVM_NOTIFY_INTERNAL_ERROR) {
        kvm_fail(kv->kvm, kv, KVM_STATUS_INTERNAL_ERROR,
                 g_strdup_printf("CPU %u lets no event through (notify-vmexit)%s", kv->vcpu->index,
                                 lost ? ", and its state is lost" : ""));
    } else if (!kv->kvm->notify_said) {
        kv->kvm->notify_said = true;
        log_printf("kaso: warning: CPU %u lets no event through for longer than notify-window=%u; "
                   "it goes on\n",
                   kv->vcpu->index, kv->kvm->notify_window);
    }
}

static void handle_system_event(KvmVcpu *kv)
{
    Machine *machine = kv->vcpu->machine;

    switch (kv->run->system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
        machine_request_stop(machine, STOP_GUEST_POWEROFF, NULL);
        break;
    case KVM_SYSTEM_EVENT_RESET:
        machine_request_reset(machine, "guest");
        break;
    default:
        machine_request_stop(machine, STOP_GUEST_PANIC, "KVM_EXIT_SYSTEM_EVENT");
        break;
    }
}

static void handle_eoi(KvmVcpu *kv)
{
    irqchip_end(kv, kv->run->eoi.vector);
}

static void handle_nothing(KvmVcpu *kv)
{
}

static const struct {
    const char *name;
    void (*handle)(KvmVcpu *kv); /* NULL: refused */
} reasons[KVM_EXIT_REASONS] = {
    [KVM_EXIT_UNKNOWN] = { "unknown", handle_unknown },
    [KVM_EXIT_EXCEPTION] = { "exception", NULL },
    [KVM_EXIT_IO] = { "io", handle_io },
    [KVM_EXIT_HYPERCALL] = { "hypercall", NULL },
    [KVM_EXIT_DEBUG] = { "debug", debug_exit },
    [KVM_EXIT_HLT] = { "hlt", handle_halt },
    [KVM_EXIT_MMIO] = { "mmio", handle_mmio },
    [KVM_EXIT_IRQ_WINDOW_OPEN] = { "irq-window", handle_nothing },
    [KVM_EXIT_SHUTDOWN] = { "shutdown", handle_shutdown },
    [KVM_EXIT_FAIL_ENTRY] = { "fail-entry", handle_entry_failure },
    [KVM_EXIT_INTR] = { "intr", handle_nothing },
    [KVM_EXIT_SET_TPR] = { "set-tpr", handle_nothing },
    [KVM_EXIT_TPR_ACCESS] = { "tpr-access", NULL },
    [KVM_EXIT_NMI] = { "nmi", handle_nothing },
    [KVM_EXIT_INTERNAL_ERROR] = { "internal-error", handle_internal_error },
    [KVM_EXIT_WATCHDOG] = { "watchdog", NULL },
    [KVM_EXIT_SYSTEM_EVENT] = { "system-event", handle_system_event },
    [KVM_EXIT_IOAPIC_EOI] = { "ioapic-eoi", handle_eoi },
    [KVM_EXIT_HYPERV] = { "hyperv", hyperv_exit },
    [KVM_EXIT_X86_RDMSR] = { "rdmsr", NULL },
    [KVM_EXIT_X86_WRMSR] = { "wrmsr", NULL },
    [KVM_EXIT_DIRTY_RING_FULL] = { "dirty-ring-full", dirty_ring_full },
    [KVM_EXIT_X86_BUS_LOCK] = { "bus-lock", handle_nothing },
    [KVM_EXIT_NOTIFY] = { "notify", handle_notify },
};

const char *exit_name(unsigned reason)
{
    return reason < KVM_EXIT_REASONS ? reasons[reason].name : NULL;
}

void exit_handle(KvmVcpu *kv)
{
    uint32_t reason = kv->run->exit_reason;

    if (reason < KVM_EXIT_REASONS) {
        kv->exits[reason]++;
    }
    if (reason < KVM_EXIT_REASONS && reasons[reason].handle) {
        reasons[reason].handle(kv);
        return;
    }
    kvm_fail(kv->kvm, kv, KVM_STATUS_INTERNAL_ERROR,
             g_strdup_printf("CPU %u left the guest for reason %u (%s), which is not asked for; "
                             "use -accel tcg",
                             kv->vcpu->index, reason,
                             exit_name(reason) ? exit_name(reason) : "not known"));
}
