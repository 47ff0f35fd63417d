/* SPDX-License-Identifier: MIT */
/*
 * How PCI's interrupts of a PC are routed: links for the registers of the south bridge, and with an ICH9 others for the pins of the I/O APIC
 * that PIRQA to PIRQH are always on; the system says by _PIC which of them it wants.
 */
#include "hw/acpi/acpi-pc-dsdt.h"

#include "machine/arch/ich9.h"

enum {
    PIRQ_REGISTERS = 0x60,
    PIIX3_SLOT = 1,
    PIIX3_PIRQS = 4,
    ICH9_PIRQ_BYTES = 12, /* A to D, four others, E to H */
    ICH9_BRIDGE_SLOT = 30,
    PIRQ_OFF = 0x80,
    SCI_LINK = 4,         /* LNKS: interrupt 9, which PIIX4's power management has */
    INTERRUPT_OFFSET = 5, /* of the number in an interrupt descriptor */
};

static const char *const piix_links[] = { "LNKA", "LNKB", "LNKC", "LNKD", "LNKS" };
static const char *const piix_pirqs[] = { "PRQ0", "PRQ1", "PRQ2", "PRQ3" };

static const char *const ich9_links[] = { "LNKA", "LNKB", "LNKC", "LNKD",
                                          "LNKE", "LNKF", "LNKG", "LNKH" };
static const char *const ich9_pirqs[] = { "PRQA", "PRQB", "PRQC", "PRQD",
                                          "PRQE", "PRQF", "PRQG", "PRQH" };
static const char *const ich9_apic_links[] = { "GSIA", "GSIB", "GSIC", "GSID",
                                               "GSIE", "GSIF", "GSIG", "GSIH" };

/* --- which pin is on which link --- */

static void route(GByteArray *out, unsigned slot, unsigned pin, const char *link)
{
    size_t entry = aml_package(out, 4);

    aml_integer(out, slot << 16 | 0xffff);
    aml_integer(out, pin);
    aml_path(out, link);
    aml_integer(out, 0);
    aml_end(out, entry);
}

/* Pin P of slot S is PIRQ (S + P - 1) mod 4; only the first pin of the bridge's own slot is the SCI. */
static const char *piix_link(unsigned slot, unsigned pin)
{
    return slot == PIIX3_SLOT && pin == 0
               ? piix_links[SCI_LINK]
               : piix_links[(slot + pin + ACPI_PCI_PINS - 1) % ACPI_PCI_PINS];
}

/* As the registers of the chip's own slots are after a reset. */
static unsigned ich9_pirq(unsigned slot, unsigned pin)
{
    return slot < ICH9_OWN_SLOT       ? ICH9_PIRQ_E + ich9_wire(slot, pin)
           : slot == ICH9_BRIDGE_SLOT ? ICH9_PIRQ_E + pin
                                      : pin;
}

static void routing_table(GByteArray *out, const char *name, const char *const *ich9)
{
    size_t table;

    aml_name(out, name);
    table = aml_package(out, ACPI_PCI_SLOTS * ACPI_PCI_PINS);
    for (unsigned slot = 0; slot < ACPI_PCI_SLOTS; slot++) {
        for (unsigned pin = 0; pin < ACPI_PCI_PINS; pin++) {
            route(out, slot, pin, ich9 ? ich9[ich9_pirq(slot, pin)] : piix_link(slot, pin));
        }
    }
    aml_end(out, table);
}

void acpi_routing(GByteArray *out, const AcpiPc *pc)
{
    size_t method, test;

    if (!pc->ich9) {
        routing_table(out, "_PRT", NULL);
        return;
    }
    routing_table(out, "PRTP", ich9_links);
    routing_table(out, "PRTA", ich9_apic_links);
    method = aml_method(out, "_PRT", 0, false);
    test = aml_if(out);
    aml_op(out, AML_EQUAL);
    aml_path(out, "\\PICF");
    aml_op(out, AML_ZERO);
    aml_op(out, AML_RETURN);
    aml_path(out, "PRTP");
    aml_end(out, test);
    aml_op(out, AML_RETURN);
    aml_path(out, "PRTA");
    aml_end(out, method);
}

/* --- links --- */

void acpi_link_registers(GByteArray *out, const AcpiPc *pc)
{
    aml_region(out, "P40C", AML_PCI_CONFIG, PIRQ_REGISTERS,
               pc->ich9 ? ICH9_PIRQ_BYTES : PIIX3_PIRQS);
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
    aml_integer(out, ACPI_STA_DISABLED);
    aml_end(out, test);
    aml_op(out, AML_RETURN);
    aml_integer(out, ACPI_STA_HIDDEN);
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

static void link_device(GByteArray *out, const char *name, const char *pirq, unsigned uid)
{
    static const uint32_t choices[] = { 5, 10, 11 };
    GByteArray *resources = g_byte_array_new();
    size_t device = aml_device(out, name), method;

    acpi_identity(out, "PNP0C0F", uid);
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

/* One whose interrupt is where it is. */
static void fixed_link(GByteArray *out, const char *name, unsigned uid, uint32_t irq)
{
    size_t device = aml_device(out, name), method;
    static const char *const names[] = { "_PRS", "_CRS" };

    acpi_identity(out, "PNP0C0F", uid);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        GByteArray *resources = g_byte_array_new();

        aml_name(out, names[i]);
        aml_interrupts(resources, &irq, 1);
        aml_resources(out, resources);
    }
    acpi_constant_method(out, "_STA", ACPI_STA_HIDDEN);
    method = aml_method(out, "_DIS", 0, false);
    aml_end(out, method);
    method = aml_method(out, "_SRS", 1, false);
    aml_end(out, method);
    aml_end(out, device);
}

/* Names for the bridge's registers, by the region in its device; four others are between D and E. */
static void register_names(GByteArray *out, const char *const *pirqs, unsigned count)
{
    size_t field = aml_field(out, "\\_SB.PCI0.ISA.P40C", 1, true);

    for (unsigned i = 0; i < count; i++) {
        if (i == ICH9_PIRQ_E) {
            aml_field_skip(out, 4 * 8);
        }
        aml_field_unit(out, pirqs[i], 8);
    }
    aml_end(out, field);
}

/* _PIC (model): 0 for the 8259s, 1 for I/O APICs. */
static void interrupt_model(GByteArray *out)
{
    size_t method;

    aml_name_integer(out, "\\PICF", 0);
    method = aml_method(out, "\\_PIC", 1, false);
    aml_op(out, AML_STORE);
    aml_op(out, AML_ARG0);
    aml_path(out, "\\PICF");
    aml_end(out, method);
}

void acpi_interrupt_links(GByteArray *out, const AcpiPc *pc)
{
    const char *const *links = pc->ich9 ? ich9_links : piix_links;
    const char *const *pirqs = pc->ich9 ? ich9_pirqs : piix_pirqs;
    unsigned count = pc->ich9 ? ICH9_PIRQS : PIIX3_PIRQS;
    size_t scope;

    if (pc->ich9) {
        interrupt_model(out);
    }
    scope = aml_scope(out, "\\_SB");
    register_names(out, pirqs, count);
    status_method(out);
    current_resources_method(out);
    for (unsigned i = 0; i < count; i++) {
        link_device(out, links[i], pirqs[i], i + 1);
    }
    if (!pc->ich9) {
        fixed_link(out, piix_links[SCI_LINK], SCI_LINK + 1, ISA_IRQ_ACPI);
    }
    for (unsigned i = 0; pc->ich9 && i < ICH9_PIRQS; i++) {
        fixed_link(out, ich9_apic_links[i], ICH9_FIRST_GSI + i, ICH9_FIRST_GSI + i);
    }
    aml_end(out, scope);
}
