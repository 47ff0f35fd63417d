/* SPDX-License-Identifier: MIT */
/* The ISA bridge in a PC's DSDT, with the devices behind it. */
#include "hw/acpi/acpi-pc-dsdt.h"

enum {
    PIIX3_SLOT = 1,
    ICH9_SLOT = 31,
    FLOPPY_ABSENT_TAPE = 2, /* _FDE: no tape drive is known of */
};

static void serial_device(GByteArray *out, unsigned n, uint16_t port, unsigned irq)
{
    GByteArray *resources = g_byte_array_new();
    g_autofree char *name = g_strdup_printf("COM%u", n);
    size_t device = aml_device(out, name);

    acpi_identity(out, "PNP0501", n);
    aml_name_integer(out, "_STA", ACPI_STA_PRESENT);
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

    acpi_identity(out, "PNP0700", 0);
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

    acpi_identity(out, id, 0);
    aml_name_integer(out, "_STA", ACPI_STA_PRESENT);
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
    aml_name_integer(out, "_STA", ACPI_STA_PRESENT);
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

void acpi_isa_bridge(GByteArray *out, const AcpiPc *pc)
{
    static const uint8_t irqs[] = { ISA_IRQ_SERIAL_1, ISA_IRQ_SERIAL_2, ISA_IRQ_SERIAL_1,
                                    ISA_IRQ_SERIAL_2 };
    size_t device = aml_device(out, "ISA");
    GByteArray *clock = g_byte_array_new();

    aml_name_integer(out, "_ADR", (pc->ich9 ? ICH9_SLOT : PIIX3_SLOT) << 16);
    acpi_link_registers(out, pc);
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
