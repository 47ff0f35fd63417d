/* SPDX-License-Identifier: MIT */
/*
 * Interrupt controllers in the kernel: all of them (kernel-irqchip=on), or the local APICs (split), which our I/O APIC and our PIC
 * then feed by messages and by injection.
 *
 * Global interrupts (GSI) of the kernel: 0 to 15 are ISA lines, at PIC and I/O APIC; 2 and 16 to 23 are pins of the I/O APIC. With split
 * the first 24 are messages that our I/O APIC has sent for levels: their vectors' ends are told (KVM_EXIT_IOAPIC_EOI).
 */
#include <errno.h>
#include <string.h>

#include "accel/kvm/kvm.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/log.h"

enum { PIC_PINS = 8, TIMER_PIN = 2, ELCR_MASTER = 0xf8, ELCR_SLAVE = 0xde };

static Kvm *kvm_of(Machine *machine)
{
    return machine->accel_state;
}

/* --- routes --- */

static void add_route(struct kvm_irq_routing *table, uint32_t gsi, uint32_t chip, uint32_t pin)
{
    table->entries[table->nr++] = (struct kvm_irq_routing_entry){ .gsi = gsi,
                                                                  .type = KVM_IRQ_ROUTING_IRQCHIP,
                                                                  .u.irqchip = { chip, pin } };
}

static void add_lines(struct kvm_irq_routing *table)
{
    for (uint32_t gsi = 0; gsi < PC_GSI_COUNT; gsi++) {
        if (gsi < ISA_IRQ_COUNT && gsi != ISA_IRQ_CASCADE) {
            add_route(table, gsi, gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
                      gsi % PIC_PINS);
        }
        add_route(table, gsi, KVM_IRQCHIP_IOAPIC, gsi == ISA_IRQ_PIT ? TIMER_PIN : gsi);
    }
}

bool irqchip_give_routes(Kvm *kvm, GError **error)
{
    g_autofree struct kvm_irq_routing *table =
        g_malloc0(sizeof *table + (2 * PC_GSI_COUNT + kvm->routes->len) * sizeof table->entries[0]);

    if (kvm->irqchip == KVM_IRQCHIP_ON) {
        add_lines(table);
    }
    for (unsigned i = 0; i < kvm->routes->len; i++) {
        const KvmRoute *route = &g_array_index(kvm->routes, KvmRoute, i);

        if (route->used) {
            table->entries[table->nr++] = (struct kvm_irq_routing_entry){
                .gsi = route->gsi,
                .type = KVM_IRQ_ROUTING_MSI,
                .u.msi = { .address_lo = (uint32_t)route->address,
                           .address_hi = (uint32_t)(route->address >> 32),
                           .data = route->data },
            };
        }
    }
    return KVM_DO(kvm->vm, KVM_SET_GSI_ROUTING, table, error);
}

static void give_routes_or_fail(Kvm *kvm)
{
    g_autoptr(GError) error = NULL;

    if (!irqchip_give_routes(kvm, &error)) {
        kvm_fail(kvm, NULL, KVM_STATUS_HOST, g_strdup(error->message));
    }
}

/*
 * A level-triggered message of our I/O APIC: the kernel learns of it before it is sent, so that its end will be told. Old ones
 * make room; an end that is told needlessly does no harm.
 */
static void learn_level(Kvm *kvm, uint64_t address, uint32_t data)
{
    KvmRoute *route;

    g_mutex_lock(&kvm->routes_lock);
    for (unsigned i = 0; i < PC_GSI_COUNT; i++) {
        route = &g_array_index(kvm->routes, KvmRoute, i);
        if (route->used && route->address == address && route->data == data) {
            g_mutex_unlock(&kvm->routes_lock);
            return;
        }
    }
    route = &g_array_index(kvm->routes, KvmRoute, kvm->next_level);
    kvm->next_level = (kvm->next_level + 1) % PC_GSI_COUNT;
    route->used = true;
    route->address = address;
    route->data = data;
    give_routes_or_fail(kvm);
    g_mutex_unlock(&kvm->routes_lock);
}

/* --- inputs --- */

static void set_gsi(Machine *machine, unsigned gsi, int level)
{
    struct kvm_irq_level line = { .irq = gsi, .level = level != 0 };

    kvm_ioctl(kvm_of(machine)->vm, KVM_IRQ_LINE, &line);
}

/* The I/O APIC hears of ISA lines together with the PIC. */
static void set_pin(Machine *machine, unsigned pin, int level)
{
    if (pin == TIMER_PIN || pin >= ISA_IRQ_COUNT) {
        set_gsi(machine, pin, level);
    }
}

static void send_msi(Machine *machine, uint32_t offset, uint32_t data)
{
    enum { LEVEL = 1 << 15 };
    Kvm *kvm = kvm_of(machine);
    struct kvm_msi msi = { .address_lo = PC_APIC_ADDRESS | offset, .data = data };

    if (data & LEVEL && kvm->irqchip == KVM_IRQCHIP_SPLIT) {
        learn_level(kvm, msi.address_lo, data);
    }
    kvm_ioctl(kvm->vm, KVM_SIGNAL_MSI, &msi);
}

static void connect_eoi(Machine *machine, IrqLine *eoi)
{
    kvm_of(machine)->eoi = eoi;
}

void irqchip_end(KvmVcpu *kv, uint8_t vector)
{
    if (kv->kvm->eoi) {
        irq_set(kv->kvm->eoi, vector);
    }
}

/* --- local APICs --- */

static bool short_ids(const Kvm *kvm, uint64_t base)
{
    enum { X2APIC = 1 << 10 };

    return base & X2APIC && !kvm_has(kvm, KVM_HAS_X2APIC_API);
}

static void get_apic(Vcpu *vcpu, X86ApicState *state)
{
    enum { ID = 0x20 };
    KvmVcpu *kv = kvm_vcpu(vcpu);

    registers_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    if (!kv->lapic_changed) {
        kvm_ioctl(kv->fd, KVM_GET_LAPIC, &kv->lapic);
    }
    state->base = kv->sregs.apic_base;
    state->tsc_deadline = msrs_get_deadline(kv);
    memcpy(state->registers, kv->lapic.regs, sizeof state->registers);
    if (short_ids(kv->kvm, state->base)) {
        store_le32(state->registers + ID, load_le32(state->registers + ID) >> 24);
    }
}

static void set_apic(Vcpu *vcpu, const X86ApicState *state)
{
    enum { ID = 0x20 };
    KvmVcpu *kv = kvm_vcpu(vcpu);

    registers_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    kv->apic_base = state->base;
    msrs_set_deadline(kv, state->tsc_deadline);
    memcpy(kv->lapic.regs, state->registers, sizeof state->registers);
    if (short_ids(kv->kvm, state->base)) {
        store_le32((uint8_t *)kv->lapic.regs + ID, load_le32(state->registers + ID) << 24);
    }
    kv->lapic_changed = kv->changed = true;
}

/* --- the others --- */

static void get_chip(Machine *machine, uint32_t id, struct kvm_irqchip *chip)
{
    *chip = (struct kvm_irqchip){ .chip_id = id };
    kvm_ioctl(kvm_of(machine)->vm, KVM_GET_IRQCHIP, chip);
}

static void set_chip(Machine *machine, const struct kvm_irqchip *chip)
{
    g_autoptr(GError) error = NULL;

    if (!KVM_DO(kvm_of(machine)->vm, KVM_SET_IRQCHIP, chip, &error)) {
        kvm_fail(kvm_of(machine), NULL, KVM_STATUS_HOST, g_strdup(error->message));
    }
}

static void get_ioapic(Machine *machine, X86IoApicState *state)
{
    struct kvm_irqchip chip;

    get_chip(machine, KVM_IRQCHIP_IOAPIC, &chip);
    state->id = chip.chip.ioapic.id;
    state->select = chip.chip.ioapic.ioregsel;
    state->lines = chip.chip.ioapic.irr;
    for (unsigned i = 0; i < PC_GSI_COUNT; i++) {
        state->entry[i] = chip.chip.ioapic.redirtbl[i].bits;
    }
}

static void set_ioapic(Machine *machine, const X86IoApicState *state)
{
    struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

    chip.chip.ioapic.base_address = PC_IOAPIC_ADDRESS;
    chip.chip.ioapic.id = state->id;
    chip.chip.ioapic.ioregsel = state->select;
    chip.chip.ioapic.irr = state->lines;
    for (unsigned i = 0; i < PC_GSI_COUNT; i++) {
        chip.chip.ioapic.redirtbl[i].bits = state->entry[i];
    }
    set_chip(machine, &chip);
}

static void get_pic(Machine *machine, unsigned n, X86PicState *state)
{
    struct kvm_irqchip chip;
    const struct kvm_pic_state *p = &chip.chip.pic;

    get_chip(machine, n ? KVM_IRQCHIP_PIC_SLAVE : KVM_IRQCHIP_PIC_MASTER, &chip);
    *state = (X86PicState){ .lines = p->last_irr,
                            .edges = p->irr,
                            .imr = p->imr,
                            .isr = p->isr,
                            .elcr = p->elcr,
                            .elcr_writable = p->elcr_mask,
                            .base = p->irq_base,
                            .highest = p->priority_add & 7,
                            .expect = p->init_state & 3,
                            .read_isr = p->read_reg_select,
                            .poll = p->poll,
                            .special_mask = p->special_mask,
                            .rotate = p->rotate_on_auto_eoi,
                            .auto_eoi = p->auto_eoi,
                            .fully_nested = p->special_fully_nested_mode,
                            .needs_icw4 = p->init4 };
}

static void set_pic(Machine *machine, unsigned n, const X86PicState *state)
{
    struct kvm_irqchip chip = { .chip_id = n ? KVM_IRQCHIP_PIC_SLAVE : KVM_IRQCHIP_PIC_MASTER };

    chip.chip.pic = (struct kvm_pic_state){ .last_irr = state->lines,
                                            .irr = state->edges,
                                            .imr = state->imr,
                                            .isr = state->isr,
                                            .elcr = state->elcr,
                                            .elcr_mask = n ? ELCR_SLAVE : ELCR_MASTER,
                                            .irq_base = state->base,
                                            .priority_add = state->highest,
                                            .init_state = state->expect,
                                            .read_reg_select = state->read_isr,
                                            .poll = state->poll,
                                            .special_mask = state->special_mask,
                                            .rotate_on_auto_eoi = state->rotate,
                                            .auto_eoi = state->auto_eoi,
                                            .special_fully_nested_mode = state->fully_nested,
                                            .init4 = state->needs_icw4 };
    set_chip(machine, &chip);
}

/* --- creation --- */

static const X86KernelChips local_apics = {
    .send_msi = send_msi,
    .connect_eoi = connect_eoi,
    .get_apic = get_apic,
    .set_apic = set_apic,
};

static const X86KernelChips all_chips = {
    .all = true,
    .set_isa = set_gsi,
    .set_pin = set_pin,
    .send_msi = send_msi,
    .connect_eoi = connect_eoi,
    .get_apic = get_apic,
    .set_apic = set_apic,
    .get_ioapic = get_ioapic,
    .set_ioapic = set_ioapic,
    .get_pic = get_pic,
    .set_pic = set_pic,
    .take_pit = pit_take,
    .get_pit = pit_get,
    .set_pit = pit_set,
    .replace_pit = pit_replace,
};

static bool check_capabilities(const Kvm *kvm, GError **error)
{
    bool able = kvm_has(kvm, KVM_HAS_IRQCHIP) && kvm_has(kvm, KVM_HAS_SIGNAL_MSI) &&
                kvm_has(kvm, KVM_HAS_IRQ_ROUTING);

    if (kvm->irqchip == KVM_IRQCHIP_SPLIT) {
        able = able && kvm_has(kvm, KVM_HAS_SPLIT_IRQCHIP);
    }
    return able || error_fail(error, KASO_ERROR_UNSUPPORTED,
                              "-accel kvm: this kernel's KVM has no interrupt controllers for "
                              "kernel-irqchip=%s; use kernel-irqchip=off",
                              kvm->irqchip == KVM_IRQCHIP_ON ? "on" : "split");
}

static bool use_wide_ids(Kvm *kvm, GError **error)
{
    const struct kvm_enable_cap cap = {
        .cap = KVM_CAP_X2APIC_API,
        .args = { KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK },
    };

    return !kvm_has(kvm, KVM_HAS_X2APIC_API) || KVM_DO(kvm->vm, KVM_ENABLE_CAP, &cap, error);
}

bool irqchip_create(Kvm *kvm, GError **error)
{
    const struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { PC_GSI_COUNT } };

    g_mutex_init(&kvm->routes_lock);
    kvm->routes = g_array_new(false, true, sizeof(KvmRoute));
    if (kvm->irqchip == KVM_IRQCHIP_OFF) {
        return true;
    }
    for (uint32_t gsi = 0; gsi < PC_GSI_COUNT && kvm->irqchip == KVM_IRQCHIP_SPLIT; gsi++) {
        KvmRoute route = { .gsi = gsi };

        g_array_append_val(kvm->routes, route);
    }
    if (!check_capabilities(kvm, error) || !use_wide_ids(kvm, error) ||
        !(kvm->irqchip == KVM_IRQCHIP_ON ? KVM_DO(kvm->vm, KVM_CREATE_IRQCHIP, NULL, error)
                                         : KVM_DO(kvm->vm, KVM_ENABLE_CAP, &split, error)) ||
        !irqchip_give_routes(kvm, error)) {
        return false;
    }
    kvm->machine->kernel_chips = kvm->irqchip == KVM_IRQCHIP_ON ? &all_chips : &local_apics;
    irqfd_create(kvm);
    return true;
}

void irqchip_free(Kvm *kvm)
{
    if (kvm->routes) {
        irqfd_free(kvm);
        g_array_unref(kvm->routes);
        g_mutex_clear(&kvm->routes_lock);
        kvm->routes = NULL;
    }
}
