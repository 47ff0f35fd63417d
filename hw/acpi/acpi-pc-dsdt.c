/* SPDX-License-Identifier: MIT */
/* The DSDT of a PC: the PCI host with its windows, the HPET, processors, sleep states; other files have the rest. */
#include "hw/acpi/acpi-pc-dsdt.h"

enum {
    HPET_ADDRESS = 0xfed00000,
    HPET_BYTES = 0x400,
    HPET_PERIOD_MOST = 100000000, /* femtoseconds */
    GPE_PCI = 1,
    PNP_FW_CFG_BYTES = 12,
};

void acpi_constant_method(GByteArray *out, const char *name, uint64_t value)
{
    size_t method = aml_method(out, name, 0, false);

    aml_op(out, AML_RETURN);
    aml_integer(out, value);
    aml_end(out, method);
}

void acpi_identity(GByteArray *out, const char *id, unsigned uid)
{
    aml_name(out, "_HID");
    aml_eisa_id(out, id);
    if (uid) {
        aml_name_integer(out, "_UID", uid);
    }
}

void acpi_reserved_ports(GByteArray *out, const char *name, const char *uid, uint16_t port,
                         uint8_t bytes)
{
    GByteArray *resources = g_byte_array_new();
    size_t device = aml_device(out, name);

    aml_name(out, "_HID");
    aml_eisa_id(out, "PNP0A06");
    aml_name_string(out, "_UID", uid);
    aml_name_integer(out, "_STA", ACPI_STA_HIDDEN);
    aml_io(resources, port, port, 1, bytes);
    aml_name(out, "_CRS");
    aml_resources(out, resources);
    aml_end(out, device);
}

/* The PCI host. */

/* What there is below 4 GiB without configuration space in its midst. */
static void low_windows(GByteArray *resources, const AcpiPc *pc)
{
    uint64_t first = pc->hole_first, end = (uint64_t)pc->hole_last + 1;
    uint64_t ecam = pc->ecam_base, ecam_end = ecam + pc->ecam_bytes;

    if (!pc->ecam_bytes || ecam >= end || ecam_end <= first) {
        ecam = ecam_end = end;
    }
    if (first < ecam) {
        aml_memory_window(resources, (uint32_t)first, (uint32_t)(ecam - 1), false);
    }
    if (ecam_end < end) {
        aml_memory_window(resources, (uint32_t)ecam_end, (uint32_t)(end - 1), false);
    }
}

static void host_windows(GByteArray *out, const AcpiPc *pc)
{
    GByteArray *resources = g_byte_array_new();

    aml_bus_range(resources, 0, 0xff);
    aml_io(resources, 0xcf8, 0xcf8, 1, 8);
    aml_io_window(resources, 0, 0xcf7);
    aml_io_window(resources, 0xd00, 0xffff);
    aml_memory_window(resources, 0xa0000, 0xbffff, true);
    low_windows(resources, pc);
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
    aml_name_integer(out, "_STA", ACPI_STA_HIDDEN);
    aml_io(resources, pc->fw_cfg, pc->fw_cfg, 1, pc->fw_cfg_dma ? PNP_FW_CFG_BYTES : 2);
    aml_name(out, "_CRS");
    aml_resources(out, resources);
    aml_end(out, device);
}

static void pci_host(GByteArray *out, const AcpiPc *pc)
{
    size_t scope = aml_scope(out, "\\_SB"), device = aml_device(out, "PCI0");

    acpi_identity(out, pc->ich9 ? "PNP0A08" : "PNP0A03", 0);
    aml_name_integer(out, "_UID", 0);
    if (pc->ich9) {
        aml_name(out, "_CID");
        aml_eisa_id(out, "PNP0A03");
        acpi_osc_method(out);
    }
    host_windows(out, pc);
    acpi_routing(out, pc);
    acpi_isa_bridge(out, pc);
    acpi_slots(out, pc);
    if (pc->gpe0 && !pc->ich9) {
        acpi_reserved_ports(out, "GPER", "GPE0 resources", pc->gpe0, 4);
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
    aml_integer(out, ACPI_STA_PRESENT);
    aml_end(out, method);
}

static void hpet_device(GByteArray *out)
{
    GByteArray *resources = g_byte_array_new();
    size_t scope = aml_scope(out, "\\_SB"), device = aml_device(out, "HPET"), field;

    acpi_identity(out, "PNP0103", 0);
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
    if (acpi_has_pluggable_slots(pc)) {
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
    acpi_ecam_device(out, pc);
    acpi_interrupt_links(out, pc);
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
