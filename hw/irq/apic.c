/* SPDX-License-Identifier: MIT */
/*
 * Local APIC (Intel SDM volume 3, chapter 11; xAPIC and x2APIC), one for each CPU.
 *
 * Its registers, acknowledge cycles and external registers do not need the machine lock. Not modelled: CMCI, the
 * suppression of EOI messages, the focus processor.
 */
#include "hw/irq/apic.h"

#include "base/error.h"
#include "machine/irq-chain.h"
#include "machine/arch/x86-chips.h"

static Apic *apic(Device *device)
{
    return container_of(device, Apic, device);
}

static void write_page(Apic *apic, uint64_t offset, uint64_t value)
{
    if (!apic_write_register(apic, (uint32_t)offset, value)) {
        log_guest_error("apic", "cpu%u: write of %#" PRIx64 " to offset %#" PRIx64, apic->cpu,
                        value, offset);
        g_mutex_lock(&apic->bus->lock);
        apic_error_locked(apic, APIC_ERROR_REGISTER);
        g_mutex_unlock(&apic->bus->lock);
    }
}

static uint64_t read_page(Apic *apic, uint64_t offset)
{
    uint32_t value;

    if (!apic_read_register(apic, (uint32_t)offset, &value)) {
        log_guest_error("apic", "cpu%u: read of offset %#" PRIx64, apic->cpu, offset);
        g_mutex_lock(&apic->bus->lock);
        apic_error_locked(apic, APIC_ERROR_REGISTER);
        g_mutex_unlock(&apic->bus->lock);
    }
    return value;
}

static MemoryResult page_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                              MemoryAttributes attributes)
{
    *value = read_page(opaque, offset);
    return MEMORY_OK;
}

static MemoryResult page_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    write_page(opaque, offset, value);
    return MEMORY_OK;
}

static const MemoryOps page_ops = {
    .read = page_read,
    .write = page_write,
    .size_min = 4,
    .size_max = 4,
    .lock_free = true,
    .at_once = true,
};

/* Whose page a CPU means by an address that is not in its own view. */
static Apic *page_owner(const ApicBus *bus, uint64_t offset, MemoryAttributes attributes)
{
    Apic *owner =
        attributes.vcpu >= 0 && attributes.vcpu < APIC_BUS_MAX ? bus->apic[attributes.vcpu] : NULL;

    return owner && offset < APIC_PAGE_BYTES && apic_enabled(owner) && !apic_is_x2apic(owner) &&
                   (owner->base & ~UINT64_C(0xfff)) == PC_APIC_ADDRESS
               ? owner
               : NULL;
}

static MemoryResult messages_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                  MemoryAttributes attributes)
{
    Apic *owner = page_owner(opaque, offset, attributes);

    *value = owner ? read_page(owner, offset) : UINT32_MAX;
    return MEMORY_OK;
}

static MemoryResult messages_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                   MemoryAttributes attributes)
{
    ApicBus *bus = opaque;
    Apic *owner = page_owner(bus, offset, attributes);

    if (bus->machine->kernel_chips) {
        bus->machine->kernel_chips->send_msi(bus->machine, (uint32_t)offset, (uint32_t)value);
    } else if (owner) {
        write_page(owner, offset, value);
    } else {
        apic_bus_write_msi(bus, (uint32_t)offset, (uint32_t)value);
    }
    return MEMORY_OK;
}

static const MemoryOps messages_ops = {
    .read = messages_read,
    .write = messages_write,
    .size_min = 4,
    .size_max = 4,
    .lock_free = true,
    .at_once = true,
};

static void apic_input(void *opaque, int number, int level)
{
    Apic *a = apic(opaque);

    if (a->kernel) {
        /* The PIC, when that is ours, is heard by the first CPU alone. */
        if (number == APIC_INPUT_LINT0 && a->cpu == 0 && !a->kernel->all) {
            vcpu_set_interrupt(a->vcpu, X86_LINE_INTR, level);
        }
        return;
    }
    if (number >= 0 && number < APIC_INPUT_COUNT) {
        g_mutex_lock(&a->bus->lock);
        apic_set_lint_locked(a, (unsigned)number, level);
        g_mutex_unlock(&a->bus->lock);
    }
}

static int apic_acknowledge(void *opaque)
{
    Apic *a = apic(opaque);
    bool watched;
    int vector;

    if (a->kernel) {
        return irq_acknowledge(&a->pic);
    }
    g_mutex_lock(&a->bus->lock);
    vector = apic_take_locked(a);
    watched = vector >= 0 && apic_test_bit(a->bus->watched, (unsigned)vector);
    if (vector == APIC_ASK_PIC) {
        a->external = 0;
    }
    g_mutex_unlock(&a->bus->lock);
    if (watched) {
        apic_bus_tell_taken(a->bus, (uint8_t)vector);
    }
    if (vector != APIC_ASK_PIC) {
        return vector;
    }
    vector = irq_acknowledge(&a->pic);
    g_mutex_lock(&a->bus->lock);
    apic_update_locked(a);
    g_mutex_unlock(&a->bus->lock);
    return vector;
}

static bool apic_realize(Device *device, GError **error)
{
    Apic *a = apic(device);
    Machine *machine = device->machine;

    if (!machine->vcpus || a->cpu >= machine->vcpus->len || a->cpu >= APIC_BUS_MAX) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "cpu=%u: an APIC needs a CPU, and the machine has no such", a->cpu);
    }
    a->bus = apic_bus_get(machine);
    if (a->bus->apic[a->cpu]) {
        return error_fail(error, KASO_ERROR_INVALID, "cpu=%u has an APIC already", a->cpu);
    }
    a->vcpu = machine->vcpus->pdata[a->cpu];
    a->kernel = machine->kernel_chips;
    timer_init(&a->timer, machine, apic_timer_expire, a);
    memory_region_init_io(&a->page, machine, "apic", APIC_PAGE_BYTES, &page_ops, a);
    if (a->bus->count == 0) {
        memory_region_init_io(&a->messages, machine, "apic-msi", MIB(1), &messages_ops, a->bus);
        device_add_mmio(device, &a->messages);
    }
    device_add_irq(device, &a->eoi);
    device_add_acknowledge(device, &a->pic);
    a->bus->apic[a->cpu] = a;
    if (a->kernel && a->bus->count == 0) {
        a->kernel->connect_eoi(machine, &a->eoi);
    }
    if (a->kernel) {
        machine_on_run_state(machine, apic_kernel_run_state_changed, a);
    }
    a->bus->count = MAX(a->bus->count, a->cpu + 1);
    return true;
}

static void apic_unrealize(Device *device)
{
    Apic *a = apic(device);

    machine_forget_run_state(device->machine, a);
    apic_free_views(a);
    timer_cancel(&a->timer);
    if (a->bus && a->bus->apic[a->cpu] == a) {
        g_mutex_lock(&a->bus->lock);
        a->bus->apic[a->cpu] = NULL;
        g_mutex_unlock(&a->bus->lock);
    }
}

static void apic_reset(Device *device)
{
    Apic *a = apic(device);

    g_mutex_lock(&a->bus->lock);
    apic_reset_locked(a, false);
    g_mutex_unlock(&a->bus->lock);
    if (a->kernel) {
        apic_to_kernel(a);
    }
    apic_place_page(a);
}

static void apic_state_saving(Device *device)
{
    if (apic(device)->kernel) {
        apic_from_kernel(apic(device));
    }
}

static void apic_state_loaded(Device *device)
{
    Apic *a = apic(device);

    if (a->kernel) {
        apic_to_kernel(a);
        a->left_holds = true;
        return;
    }
    g_mutex_lock(&a->bus->lock);
    apic_timer_loaded_locked(a);
    apic_update_locked(a);
    g_mutex_unlock(&a->bus->lock);
    apic_place_page(a);
}

static void apic_explain_interrupt(Device *device, unsigned number, IrqChain *chain)
{
    Apic *a = apic(device);

    if (chain->of_cpus) {
        apic_state_saving(device);
        g_mutex_lock(&a->bus->lock);
        apic_explain_locked(a, chain);
        g_mutex_unlock(&a->bus->lock);
    }
}

static void apic_describe_interrupts(Device *device, const Vcpu *vcpu, GString *out)
{
    Apic *a = apic(device);

    if (vcpu == a->vcpu) {
        apic_state_saving(device);
        g_mutex_lock(&a->bus->lock);
        apic_describe(a, out);
        g_mutex_unlock(&a->bus->lock);
    }
}

static const StateField apic_state[] = {
    STATE(Apic, base),
    STATE(Apic, id),
    STATE(Apic, tpr),
    STATE(Apic, ldr),
    STATE(Apic, dfr),
    STATE(Apic, svr),
    STATE(Apic, esr),
    STATE(Apic, errors),
    STATE(Apic, icr),
    STATE(Apic, icr_high),
    STATE(Apic, lvt),
    STATE(Apic, isr),
    STATE(Apic, tmr),
    STATE(Apic, irr),
    STATE(Apic, initial_count),
    STATE(Apic, divide),
    STATE(Apic, lint),
    STATE(Apic, external),
    STATE(Apic, count_start_ns),
    STATE(Apic, expiry_ns),
    STATE(Apic, ticks_owed),
    STATE(Apic, ticks_in_a_row),
    STATE(Apic, tsc_deadline),
    STATE(Apic, turn),
    STATE_DERIVED(Apic, left),
    STATE_DERIVED(Apic, left_holds),
    STATE_TIMER(Apic, timer),
    { 0 },
};

static const DeviceType apic_type = {
    .name = "apic",
    .summary = "Local APIC of an x86 CPU",
    .board_only = true,
    .instance_size = sizeof(Apic),
    .properties = (const Property[]){ { "cpu", PROPERTY_U32, offsetof(Apic, cpu),
                                        "index of the CPU; also the APIC's ID", "0" },
                                      { "x2apic", PROPERTY_BOOL, offsetof(Apic, offers_x2apic),
                                        "whether the CPU can switch it to x2APIC mode", "on" },
                                      { 0 } },
    .state = apic_state,
    .input = apic_input,
    .acknowledge = apic_acknowledge,
    .describe_interrupts = apic_describe_interrupts,
    .explain_interrupt = apic_explain_interrupt,
    .realize = apic_realize,
    .unrealize = apic_unrealize,
    .reset = apic_reset,
    .state_saving = apic_state_saving,
    .state_loaded = apic_state_loaded,
};
DEVICE_TYPE(apic_type);
