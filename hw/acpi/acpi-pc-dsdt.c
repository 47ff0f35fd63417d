/* SPDX-License-Identifier: MIT */
/*
 * The DSDT of an i440fx PC: the PCI host with its windows and interrupt routing, the devices of the ISA bridge, sleep states,
 * processors, and slots in which devices are plugged at run time.
 */
#include "hw/acpi/acpi.h"
#include "hw/acpi/aml.h"
#include "machine/arch/x86.h"

enum {
    SLOTS = 32,
    PINS = 4,
    PIIX3_SLOT = 1,
    PIIX3_PIRQ = 0x60, /* PIRQRC registers, one a link */
    PIRQ_OFF = 0x80,
    STA_PRESENT = 0x0f,
    STA_DISABLED = 0x09, /* present, shown, not decoding */
    STA_HIDDEN = 0x0b,
    SCI_LINK = 4, /* LNKS: interrupt 9, which PIIX4's power management has */
    HPET_ADDRESS = 0xfed00000,
    HPET_BYTES = 0x400,
    HPET_PERIOD_MOST = 100000000, /* femtoseconds */
    INTERRUPT_OFFSET = 5,         /* of the number in an interrupt descriptor */
    HOTPLUG_UP = 0,               /* offsets of the hot-plug registers */
    HOTPLUG_EJECT = 8,
    HOTPLUG_BUS = 0x10,
    HOTPLUG_BYTES = 0x18,
    GPE_PCI = 1,
    NOTIFY_CHECK = 1,
    NOTIFY_EJECT = 3,
    PNP_FW_CFG_BYTES = 12,
    FLOPPY_ABSENT_TAPE = 2, /* _FDE: no tape drive is known of */
};

static const char *const links[] = { "LNKA", "LNKB", "LNKC", "LNKD", "LNKS" };
static const char *const pirqs[] = { "PRQ0", "PRQ1", "PRQ2", "PRQ3" };

/* Return (value) of a method without arguments. */
static void constant_method(GByteArray *out, const char *name, uint64_t value)
{
    size_t method = aml_method(out, name, 0, false);

    aml_op(out, AML_RETURN);
    aml_integer(out, value);
    aml_end(out, method);
}

static void identity(GByteArray *out, const char *id, unsigned uid)
{
    aml_name(out, "_HID");
    aml_eisa_id(out, id);
    if (uid) {
        aml_name_integer(out, "_UID", uid);
    }
}

/* PCI interrupts. */

/* _PRT: pin P of slot S is PIRQ (S + P - 1) mod 4; only the first pin of the bridge's own slot is the SCI. */
static void routing_table(GByteArray *out)
{
    size_t table;

    aml_name(out, "_PRT");
    table = aml_package(out, SLOTS * PINS);
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        for (unsigned pin = 0; pin < PINS; pin++) {
            size_t entry = aml_package(out, 4);
            bool sci = slot == PIIX3_SLOT && pin == 0;

            aml_integer(out, slot << 16 | 0xffff);
            aml_integer(out, pin);
            aml_path(out, links[sci ? SCI_LINK : (slot + pin + PINS - 1) % PINS]);
            aml_integer(out, 0);
            aml_end(out, entry);
        }
    }
    aml_end(out, table);
}

/* IQCR (register): the resources of a link that is routed so. */
static void current_resources_method(GByteArray *out)
{
    GByteArray *resources = g_byte_array_new();
    const uint32_t none = 0;
    size_t method, test;

    aml_name(out, "PRR0");
    aml_interrupts(resources, &none, 1);
    aml_resources(out, resources);
    method = aml_method(out, "IQCR", 1, true);
    aml_create_dword_field(out, 0, "PRR0", INTERRUPT_OFFSET, "PRRI");
    test = aml_if(out);
    aml_op(out, AML_LESS);
    aml_op(out, AML_ARG0);
    aml_integer(out, PIRQ_OFF);
    aml_op(out, AML_STORE);
    aml_op(out, AML_ARG0);
    aml_path(out, "PRRI");
    aml_end(out, test);
    aml_op(out, AML_RETURN);
    aml_path(out, "PRR0");
    aml_end(out, method);
}

/* IQST (register): the _STA of a link. */
static void status_method(GByteArray *out)
{
    size_t method = aml_method(out, "IQST", 1, false), test = aml_if(out);

    aml_op(out, AML_AND);
    aml_op(out, AML_ARG0);
    aml_integer(out, PIRQ_OFF);
    aml_op(out, AML_ZERO); /* no target */
    aml_op(out, AML_RETURN);
    aml_integer(out, STA_DISABLED);
    aml_end(out, test);
    aml_op(out, AML_RETURN);
    aml_integer(out, STA_HIDDEN);
    aml_end(out, method);
}

static void call_with_pirq(GByteArray *out, const char *name, const char *method, const char *pirq)
{
    size_t block = aml_method(out, name, 0, false);

    aml_op(out, AML_RETURN);
    aml_path(out, method);
    aml_path(out, pirq);
    aml_end(out, block);
}

static void link_device(GByteArray *out, unsigned n)
{
    static const uint32_t choices[] = { 5, 10, 11 };
    GByteArray *resources = g_byte_array_new();
    const char *pirq = pirqs[n];
    size_t device = aml_device(out, links[n]), method;

    identity(out, "PNP0C0F", n + 1);
    aml_name(out, "_PRS");
    aml_interrupts(resources, choices, G_N_ELEMENTS(choices));
    aml_resources(out, resources);
    call_with_pirq(out, "_STA", "IQST", pirq);
    call_with_pirq(out, "_CRS", "IQCR", pirq);
    method = aml_method(out, "_DIS", 0, false);
    aml_op(out, AML_OR);
    aml_path(out, pirq);
    aml_integer(out, PIRQ_OFF);
    aml_path(out, pirq);
    aml_end(out, method);
    method = aml_method(out, "_SRS", 1, false);
    aml_create_dword_field(out, AML_ARG0, NULL, INTERRUPT_OFFSET, "PRRI");
    aml_op(out, AML_STORE);
    aml_path(out, "PRRI");
    aml_path(out, pirq);
    aml_end(out, method);
    aml_end(out, device);
}

/* The power management's interrupt, which is where it is. */
static void sci_link(GByteArray *out)
{
    const uint32_t irq = ISA_IRQ_ACPI;
    size_t device = aml_device(out, links[SCI_LINK]), method;
    static const char *const names[] = { "_PRS", "_CRS" };

    identity(out, "PNP0C0F", SCI_LINK + 1);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        GByteArray *resources = g_byte_array_new();

        aml_name(out, names[i]);
        aml_interrupts(resources, &irq, 1);
        aml_resources(out, resources);
    }
    constant_method(out, "_STA", STA_HIDDEN);
    method = aml_method(out, "_DIS", 0, false);
    aml_end(out, method);
    method = aml_method(out, "_SRS", 1, false);
    aml_end(out, method);
    aml_end(out, device);
}

static void interrupt_links(GByteArray *out)
{
    size_t scope = aml_scope(out, "\\_SB"), field;

    /* The bridge's registers, by the region in its device. */
    field = aml_field(out, "\\_SB.PCI0.ISA.P40C", 1, true);
    for (size_t i = 0; i < G_N_ELEMENTS(pirqs); i++) {
        aml_field_unit(out, pirqs[i], 8);
    }
    aml_end(out, field);
    status_method(out);
    current_resources_method(out);
    for (unsigned i = 0; i < SCI_LINK; i++) {
        link_device(out, i);
    }
    sci_link(out);
    aml_end(out, scope);
}

/* ISA devices. */

static void serial_device(GByteArray *out, unsigned n, uint16_t port, unsigned irq)
{
    GByteArray *resources = g_byte_array_new();
    g_autofree char *name = g_strdup_printf("COM%u", n);
    size_t device = aml_device(out, name);

    identity(out, "PNP0501", n);
    aml_name_integer(out, "_STA", STA_PRESENT);
    aml_io(resources, port, port, 0, 8);
    aml_irq(resources, irq);
    aml_name(out, "_CRS");
    aml_resources(out, resources);
    aml_end(out, device);
}

static void floppy_device(GByteArray *out, unsigned drives)
{
    GByteArray *resources = g_byte_array_new();
    size_t device = aml_device(out, "FDC0");
    uint32_t there[5] = { drives > 0, drives > 1, 0, 0, FLOPPY_ABSENT_TAPE };

    identity(out, "PNP0700", 0);
    aml_io(resources, 0x3f2, 0x3f2, 0, 4);
    aml_io(resources, 0x3f7, 0x3f7, 0, 1);
    aml_irq(resources, ISA_IRQ_FLOPPY);
    aml_dma(resources, 2);
    aml_name(out, "_CRS");
    aml_resources(out, resources);
    aml_name(out, "_FDE");
    aml_buffer(out, there, sizeof there); /* little-endian, as the host is */
    aml_end(out, device);
}

static void simple_device(GByteArray *out, const char *name, const char *id, GByteArray *resources)
{
    size_t device = aml_device(out, name);

    identity(out, id, 0);
    aml_name_integer(out, "_STA", STA_PRESENT);
    aml_name(out, "_CRS");
    aml_resources(out, resources);
    aml_end(out, device);
}

static void keyboard_devices(GByteArray *out)
{
    GByteArray *keyboard = g_byte_array_new(), *mouse = g_byte_array_new();

    aml_io(keyboard, 0x60, 0x60, 1, 1);
    aml_io(keyboard, 0x64, 0x64, 1, 1);
    aml_irq(keyboard, ISA_IRQ_KEYBOARD);
    simple_device(out, "KBD", "PNP0303", keyboard);
    aml_irq(mouse, ISA_IRQ_MOUSE);
    simple_device(out, "MOU", "PNP0F13", mouse);
}

static void pvpanic_device(GByteArray *out, uint16_t port)
{
    GByteArray *resources = g_byte_array_new();
    size_t device = aml_device(out, "PEVT"), field, method;

    aml_name_string(out, "_HID", "QEMU0001");
    aml_io(resources, port, port, 1, 1);
    aml_name(out, "_CRS");
    aml_resources(out, resources);
    aml_region(out, "PEOR", AML_SYSTEM_IO, port, 1);
    field = aml_field(out, "PEOR", 1, true);
    aml_field_unit(out, "PEPT", 8);
    aml_end(out, field);
    aml_name_integer(out, "_STA", STA_PRESENT);
    method = aml_method(out, "RDPT", 0, false);
    aml_op(out, AML_RETURN);
    aml_path(out, "PEPT");
    aml_end(out, method);
    method = aml_method(out, "WRPT", 1, false);
    aml_op(out, AML_STORE);
    aml_op(out, AML_ARG0);
    aml_path(out, "PEPT");
    aml_end(out, method);
    aml_end(out, device);
}

static void isa_bridge(GByteArray *out, const AcpiPc *pc)
{
    static const uint8_t irqs[] = { ISA_IRQ_SERIAL_1, ISA_IRQ_SERIAL_2, ISA_IRQ_SERIAL_1,
                                    ISA_IRQ_SERIAL_2 };
    size_t device = aml_device(out, "ISA");
    GByteArray *clock = g_byte_array_new();

    aml_name_integer(out, "_ADR", PIIX3_SLOT << 16);
    aml_region(out, "P40C", AML_PCI_CONFIG, PIIX3_PIRQ, G_N_ELEMENTS(pirqs));
    aml_io(clock, 0x70, 0x70, 1, 8);
    aml_irq(clock, ISA_IRQ_RTC);
    simple_device(out, "RTC", "PNP0B00", clock);
    if (pc->keyboard) {
        keyboard_devices(out);
    }
    if (pc->floppy) {
        floppy_device(out, pc->floppies);
    }
    if (pc->parallel) {
        GByteArray *parallel = g_byte_array_new();

        aml_io(parallel, pc->parallel, pc->parallel, 8, 8);
        aml_irq(parallel, ISA_IRQ_PARALLEL);
        simple_device(out, "LPT1", "PNP0400", parallel);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(pc->serial); i++) {
        if (pc->serial[i]) {
            serial_device(out, i + 1, pc->serial[i], irqs[i]);
        }
    }
    if (pc->pvpanic) {
        pvpanic_device(out, pc->pvpanic);
    }
    aml_end(out, device);
}

/* Slots. */

static char *slot_name(unsigned slot)
{
    return g_strdup_printf("S%02X", slot << 3);
}

/* Ports that belong to no device that a system would know. */
static void reserved_ports(GByteArray *out, const char *name, const char *uid, uint16_t port,
                           uint8_t bytes)
{
    GByteArray *resources = g_byte_array_new();
    size_t device = aml_device(out, name);

    aml_name(out, "_HID");
    aml_eisa_id(out, "PNP0A06");
    aml_name_string(out, "_UID", uid);
    aml_name_integer(out, "_STA", STA_HIDDEN);
    aml_io(resources, port, port, 1, bytes);
    aml_name(out, "_CRS");
    aml_resources(out, resources);
    aml_end(out, device);
}

static void hotplug_registers(GByteArray *out, uint16_t base)
{
    size_t field;

    aml_region(out, "PCST", AML_SYSTEM_IO, base + HOTPLUG_UP, 8);
    field = aml_field(out, "PCST", 4, false);
    aml_field_unit(out, "PCIU", 32);
    aml_field_unit(out, "PCID", 32);
    aml_end(out, field);
    aml_region(out, "SEJ", AML_SYSTEM_IO, base + HOTPLUG_EJECT, 4);
    field = aml_field(out, "SEJ", 4, false);
    aml_field_unit(out, "B0EJ", 32);
    aml_end(out, field);
    aml_region(out, "BNMR", AML_SYSTEM_IO, base + HOTPLUG_BUS, 4);
    field = aml_field(out, "BNMR", 4, false);
    aml_field_unit(out, "BNUM", 32);
    aml_end(out, field);
    aml_mutex(out, "BLCK");
}

/* PCEJ (bus, slot): powers a slot down. */
static void eject_method(GByteArray *out)
{
    size_t method = aml_method(out, "PCEJ", 2, true);

    aml_acquire(out, "BLCK");
    aml_op(out, AML_STORE);
    aml_op(out, AML_ARG0);
    aml_path(out, "BNUM");
    aml_op(out, AML_SHIFT_LEFT);
    aml_op(out, AML_ONE);
    aml_op(out, AML_ARG0 + 1);
    aml_path(out, "B0EJ");
    aml_release(out, "BLCK");
    aml_op(out, AML_RETURN);
    aml_op(out, AML_ZERO);
    aml_end(out, method);
}

static bool is_pluggable(const AcpiPc *pc, unsigned slot)
{
    return pc->pci_hotplug && slot && !(pc->fixed_slots >> slot & 1);
}

static bool has_pluggable(const AcpiPc *pc)
{
    return pc->pci_hotplug && (pc->fixed_slots | 1) != UINT32_MAX;
}

/* DVNT (slots, event): tells those slots. */
static void notify_method(GByteArray *out, const AcpiPc *pc)
{
    size_t method = aml_method(out, "DVNT", 2, false);

    for (unsigned slot = 1; slot < SLOTS; slot++) {
        g_autofree char *name = slot_name(slot);
        size_t test;

        if (!is_pluggable(pc, slot)) {
            continue;
        }
        test = aml_if(out);
        aml_op(out, AML_AND);
        aml_op(out, AML_ARG0);
        aml_integer(out, UINT64_C(1) << slot);
        aml_op(out, AML_ZERO);
        aml_op(out, AML_NOTIFY);
        aml_path(out, name);
        aml_op(out, AML_ARG0 + 1);
        aml_end(out, test);
    }
    aml_end(out, method);
}

/* PCNT: tells slots in which something came, or from which something shall go. */
static void events_method(GByteArray *out)
{
    static const struct {
        const char *slots;
        unsigned event;
    } kinds[] = { { "PCIU", NOTIFY_CHECK }, { "PCID", NOTIFY_EJECT } };
    size_t method = aml_method(out, "PCNT", 0, false);

    aml_op(out, AML_STORE);
    aml_op(out, AML_ZERO);
    aml_path(out, "BNUM");
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        aml_path(out, "DVNT");
        aml_path(out, kinds[i].slots);
        aml_integer(out, kinds[i].event);
    }
    aml_end(out, method);
}

static void slot_device(GByteArray *out, unsigned slot)
{
    g_autofree char *name = slot_name(slot);
    size_t device = aml_device(out, name), method;

    aml_name_integer(out, "_ADR", (uint64_t)slot << 16);
    aml_name_integer(out, "_SUN", slot);
    method = aml_method(out, "_EJ0", 1, false);
    aml_path(out, "PCEJ");
    aml_integer(out, 0);
    aml_path(out, "_SUN");
    aml_end(out, method);
    aml_end(out, device);
}

static void slots(GByteArray *out, const AcpiPc *pc)
{
    if (!has_pluggable(pc)) {
        return;
    }
    hotplug_registers(out, pc->pci_hotplug);
    eject_method(out);
    for (unsigned slot = 1; slot < SLOTS; slot++) {
        if (is_pluggable(pc, slot)) {
            slot_device(out, slot);
        }
    }
    notify_method(out, pc);
    events_method(out);
    reserved_ports(out, "PHPR", "PCI Hotplug resources", pc->pci_hotplug, HOTPLUG_BYTES);
}

/* The PCI host. */

static void host_windows(GByteArray *out, const AcpiPc *pc)
{
    GByteArray *resources = g_byte_array_new();

    aml_bus_range(resources, 0, 0xff);
    aml_io(resources, 0xcf8, 0xcf8, 1, 8);
    aml_io_window(resources, 0, 0xcf7);
    aml_io_window(resources, 0xd00, 0xffff);
    aml_memory_window(resources, 0xa0000, 0xbffff, true);
    aml_memory_window(resources, pc->hole_first, pc->hole_last, false);
    if (pc->hole64_first) {
        aml_memory_window64(resources, pc->hole64_first, pc->hole64_last);
    }
    aml_name(out, "_CRS");
    aml_resources(out, resources);
}

static void fw_cfg_device(GByteArray *out, const AcpiPc *pc)
{
    GByteArray *resources = g_byte_array_new();
    size_t device = aml_device(out, "FWCF");

    aml_name_string(out, "_HID", "QEMU0002");
    aml_name_integer(out, "_STA", STA_HIDDEN);
    aml_io(resources, pc->fw_cfg, pc->fw_cfg, 1, pc->fw_cfg_dma ? PNP_FW_CFG_BYTES : 2);
    aml_name(out, "_CRS");
    aml_resources(out, resources);
    aml_end(out, device);
}

static void pci_host(GByteArray *out, const AcpiPc *pc)
{
    size_t scope = aml_scope(out, "\\_SB"), device = aml_device(out, "PCI0");

    identity(out, "PNP0A03", 0);
    aml_name_integer(out, "_UID", 0);
    host_windows(out, pc);
    routing_table(out);
    isa_bridge(out, pc);
    slots(out, pc);
    if (pc->gpe0) {
        reserved_ports(out, "GPER", "GPE0 resources", pc->gpe0, 4);
    }
    if (pc->fw_cfg) {
        fw_cfg_device(out, pc);
    }
    aml_end(out, device);
    aml_end(out, scope);
}

/* The rest. */

/* Whether the timer answers is seen from its identification and period. */
static void hpet_status(GByteArray *out)
{
    size_t method = aml_method(out, "_STA", 0, false), test;

    test = aml_if(out);
    aml_op(out, AML_LOR);
    aml_op(out, AML_EQUAL);
    aml_path(out, "VEND");
    aml_op(out, AML_ZERO);
    aml_op(out, AML_EQUAL);
    aml_path(out, "VEND");
    aml_integer(out, UINT32_MAX);
    aml_op(out, AML_RETURN);
    aml_op(out, AML_ZERO);
    aml_end(out, test);
    test = aml_if(out);
    aml_op(out, AML_LOR);
    aml_op(out, AML_EQUAL);
    aml_path(out, "PRD");
    aml_op(out, AML_ZERO);
    aml_op(out, AML_GREATER);
    aml_path(out, "PRD");
    aml_integer(out, HPET_PERIOD_MOST);
    aml_op(out, AML_RETURN);
    aml_op(out, AML_ZERO);
    aml_end(out, test);
    aml_op(out, AML_RETURN);
    aml_integer(out, STA_PRESENT);
    aml_end(out, method);
}

static void hpet_device(GByteArray *out)
{
    GByteArray *resources = g_byte_array_new();
    size_t scope = aml_scope(out, "\\_SB"), device = aml_device(out, "HPET"), field;

    identity(out, "PNP0103", 0);
    aml_name_integer(out, "_UID", 0);
    aml_region(out, "HPTM", AML_SYSTEM_MEMORY, HPET_ADDRESS, HPET_BYTES);
    field = aml_field(out, "HPTM", 4, true);
    aml_field_unit(out, "VEND", 32);
    aml_field_unit(out, "PRD", 32);
    aml_end(out, field);
    hpet_status(out);
    aml_memory32_fixed(resources, HPET_ADDRESS, HPET_BYTES, false);
    aml_name(out, "_CRS");
    aml_resources(out, resources);
    aml_end(out, device);
    aml_end(out, scope);
}

static void processors(GByteArray *out, const AcpiPc *pc)
{
    size_t scope = aml_scope(out, "\\_SB"), container = aml_device(out, "CPUS");

    aml_name_string(out, "_HID", "ACPI0010");
    aml_name(out, "_CID");
    aml_eisa_id(out, "PNP0A05");
    for (unsigned i = 0; i < pc->cpus; i++) {
        g_autofree char *name = g_strdup_printf("C%03X", i);
        size_t device = aml_device(out, name);

        aml_name_string(out, "_HID", "ACPI0007");
        aml_name_integer(out, "_UID", i);
        aml_end(out, device);
    }
    aml_end(out, container);
    aml_end(out, scope);
}

/* Values for SLP_TYP of PM1a and PM1b. */
static void sleep_state(GByteArray *out, const char *name, unsigned type)
{
    size_t package;

    aml_name(out, name);
    package = aml_package(out, 4);
    aml_integer(out, type);
    aml_integer(out, type);
    aml_integer(out, 0);
    aml_integer(out, 0);
    aml_end(out, package);
}

static void general_purpose_events(GByteArray *out, const AcpiPc *pc)
{
    size_t scope = aml_scope(out, "\\_GPE"), method;
    g_autofree char *name = g_strdup_printf("_E%02X", (unsigned)GPE_PCI);

    aml_name_string(out, "_HID", "ACPI0006");
    if (has_pluggable(pc)) {
        method = aml_method(out, name, 0, false);
        aml_acquire(out, "\\_SB.PCI0.BLCK");
        aml_path(out, "\\_SB.PCI0.PCNT");
        aml_release(out, "\\_SB.PCI0.BLCK");
        aml_end(out, method);
    }
    aml_end(out, scope);
}

void acpi_pc_dsdt(GByteArray *out, const AcpiPc *pc)
{
    pci_host(out, pc);
    interrupt_links(out);
    if (pc->hpet) {
        hpet_device(out);
    }
    processors(out, pc);
    if (pc->pm_suspend) {
        sleep_state(out, "\\_S3", 1);
    }
    if (pc->pm_hibernate) {
        sleep_state(out, "\\_S4", 2);
    }
    sleep_state(out, "\\_S5", 0);
    general_purpose_events(out, pc);
}
