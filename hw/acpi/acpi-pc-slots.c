/* SPDX-License-Identifier: MIT */
/* Slots of a PC's root bus in which devices come and go, as PIIX4_PM tells of them. */
#include "hw/acpi/acpi-pc-dsdt.h"

enum {
    HOTPLUG_UP = 0, /* offsets of the hot-plug registers */
    HOTPLUG_EJECT = 8,
    HOTPLUG_BUS = 0x10,
    HOTPLUG_BYTES = 0x18,
    NOTIFY_CHECK = 1,
    NOTIFY_EJECT = 3,
};

static char *slot_name(unsigned slot)
{
    return g_strdup_printf("S%02X", slot << 3);
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

bool acpi_has_pluggable_slots(const AcpiPc *pc)
{
    return pc->pci_hotplug && (pc->fixed_slots | 1) != UINT32_MAX;
}

/* DVNT (slots, event): tells those slots. */
static void notify_method(GByteArray *out, const AcpiPc *pc)
{
    size_t method = aml_method(out, "DVNT", 2, false);

    for (unsigned slot = 1; slot < ACPI_PCI_SLOTS; slot++) {
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

void acpi_slots(GByteArray *out, const AcpiPc *pc)
{
    if (!acpi_has_pluggable_slots(pc)) {
        return;
    }
    hotplug_registers(out, pc->pci_hotplug);
    eject_method(out);
    for (unsigned slot = 1; slot < ACPI_PCI_SLOTS; slot++) {
        if (is_pluggable(pc, slot)) {
            slot_device(out, slot);
        }
    }
    notify_method(out, pc);
    events_method(out);
    acpi_reserved_ports(out, "PHPR", "PCI Hotplug resources", pc->pci_hotplug, HOTPLUG_BYTES);
}
