/* SPDX-License-Identifier: MIT */
/* PCI Express in a PC's tables: _OSC and configuration space in memory (PCI Firmware 3.3, 4.1 and 4.5). */
#include "hw/acpi/acpi-pc-dsdt.h"

enum {
    OSC_WRONG_UUID = 1 << 2, /* in the first doubleword of its capabilities buffer */
    OSC_WRONG_REVISION = 1 << 3,
    OSC_MASKED = 1 << 4,
    CONTROL_HOTPLUG = 1 << 0, /* in the third one: what a system may do itself */
    CONTROL_PME = 1 << 2,
    CONTROL_CAPABILITY = 1 << 4,
    CONTROL_ALL = CONTROL_HOTPLUG | CONTROL_PME | CONTROL_CAPABILITY,
    BUS_SHIFT = 20,
};

/* 33db4d5b-1ff7-401c-9657-7441c03dd766, of PCI host bridges. */
static const uint8_t osc_uuid[] = { 0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40,
                                    0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66 };

/* name |= bits */
static void set_bits(GByteArray *out, const char *name, unsigned bits)
{
    aml_op(out, AML_OR);
    aml_path(out, name);
    aml_integer(out, bits);
    aml_path(out, name);
}

/* The part of _OSC for its own UUID. */
static void osc_answer(GByteArray *out)
{
    size_t test;

    aml_create_dword_field(out, AML_ARG0 + 3, NULL, 8, "CDW3");
    aml_op(out, AML_AND);
    aml_path(out, "CDW3");
    aml_integer(out, CONTROL_ALL);
    aml_op(out, AML_LOCAL0);
    test = aml_if(out);
    aml_op(out, AML_LNOT);
    aml_op(out, AML_EQUAL);
    aml_op(out, AML_ARG0 + 1);
    aml_op(out, AML_ONE);
    set_bits(out, "CDW1", OSC_WRONG_REVISION);
    aml_end(out, test);
    test = aml_if(out);
    aml_op(out, AML_LNOT);
    aml_op(out, AML_EQUAL);
    aml_path(out, "CDW3");
    aml_op(out, AML_LOCAL0);
    set_bits(out, "CDW1", OSC_MASKED);
    aml_end(out, test);
    aml_op(out, AML_STORE);
    aml_op(out, AML_LOCAL0);
    aml_path(out, "CDW3");
}

void acpi_osc_method(GByteArray *out)
{
    size_t method = aml_method(out, "_OSC", 4, false), test;

    aml_create_dword_field(out, AML_ARG0 + 3, NULL, 0, "CDW1");
    test = aml_if(out);
    aml_op(out, AML_EQUAL);
    aml_op(out, AML_ARG0);
    aml_buffer(out, osc_uuid, sizeof osc_uuid);
    osc_answer(out);
    aml_end(out, test);
    test = aml_else(out);
    set_bits(out, "CDW1", OSC_WRONG_UUID);
    aml_end(out, test);
    aml_op(out, AML_RETURN);
    aml_op(out, AML_ARG0 + 3);
    aml_end(out, method);
}

void acpi_ecam_device(GByteArray *out, const AcpiPc *pc)
{
    size_t scope, device;
    GByteArray *resources;

    if (!pc->ecam_bytes || pc->ecam_base > UINT32_MAX) {
        return;
    }
    scope = aml_scope(out, "\\_SB");
    device = aml_device(out, "DRAC");
    acpi_identity(out, "PNP0C01", 0);
    resources = g_byte_array_new();
    aml_memory32_fixed(resources, (uint32_t)pc->ecam_base, (uint32_t)pc->ecam_bytes, true);
    aml_name(out, "_CRS");
    aml_resources(out, resources);
    aml_end(out, device);
    aml_end(out, scope);
}

void acpi_add_mcfg(AcpiFiles *files, const AcpiPc *pc)
{
    uint32_t mcfg = acpi_begin_table(files, "MCFG", 1, true);

    acpi_put(files, 0, 8);
    acpi_put(files, pc->ecam_base, 8);
    acpi_put(files, 0, 2); /* segment */
    acpi_put(files, 0, 1); /* buses */
    acpi_put(files, (pc->ecam_bytes >> BUS_SHIFT) - 1, 1);
    acpi_put(files, 0, 4);
    acpi_end_table(files, mcfg);
}
