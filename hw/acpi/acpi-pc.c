/* SPDX-License-Identifier: MIT */
/* The tables of a PC (ACPI 6.5, 5.2; IA-PC HPET specification 1.0a, 3.2.4; Microsoft's WAET). */
#include "hw/acpi/acpi-pc-dsdt.h"

#include <string.h>

enum {
    LAPIC_ADDRESS = 0xfee00000,
    IO_APIC_ADDRESS = 0xfec00000,
    HPET_ADDRESS = 0xfed00000,
    HPET_ID = 0x8086a201,
    FACS_BYTES = 64,
    FADT_FACS = 36, /* offsets of pointers */
    FADT_DSDT = 40,
    FADT_DSDT_64 = 140,
    FADT_I8042 = 1 << 1, /* in the boot flags */
    FADT_RESET = 1 << 10,
    RESET_PORT = 0xcf9,
    RESET_VALUE = 0x0f,
    SPACE_IO = 1,
    FADT_CENTURY = 0x32, /* in the real-time clock's memory */
    FADT_NO_C2 = 0xfff,
    FADT_WBINVD = 1 << 0,
    FADT_C1 = 1 << 2,
    FADT_SLEEP_BUTTON = 1 << 5, /* is not a fixed one: there is none */
    FADT_RTC_S4 = 1 << 7,
    FADT_PLATFORM_CLOCK = 1 << 15,
    FADT_APIC_CLUSTER = 1 << 18,
    FLAT_CPUS_MOST = 8, /* more CPUs need cluster addresses */
    MADT_PCAT = 1,      /* there are 8259s too */
    MADT_LAPIC = 0,
    MADT_IO_APIC = 1,
    MADT_OVERRIDE = 2,
    MADT_LAPIC_NMI = 4,
    MADT_X2APIC = 9,
    MADT_X2APIC_NMI = 10,
    MADT_ENABLED = 1,
    MADT_LEVEL_HIGH = 0xd,
    XAPIC_ID_MOST = 254,
    WAET_PM_TIMER_GOOD = 2, /* one read is enough */
};

static void put_zeros(AcpiFiles *files, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        acpi_put(files, 0, 1);
    }
}

/* FACS has no checksum and no header like the others'. */
static uint32_t build_facs(AcpiFiles *files)
{
    uint32_t facs;

    acpi_align(files, FACS_BYTES);
    facs = files->tables->len;
    g_byte_array_append(files->tables, (const uint8_t *)"FACS", 4);
    acpi_put(files, FACS_BYTES, 4);
    put_zeros(files, FACS_BYTES - 8);
    return facs;
}

/* A generic address: a block of I/O ports, or none. */
static void put_ports(AcpiFiles *files, uint16_t port, unsigned bytes)
{
    acpi_put(files, port ? SPACE_IO : 0, 1);
    acpi_put(files, port ? bytes * 8 : 0, 1);
    acpi_put(files, 0, 2); /* bit offset, access width */
    acpi_put(files, port, 8);
}

/* What revision 3 has beyond revision 1. */
static void build_fadt_3(AcpiFiles *files, const AcpiPc *pc, uint32_t fadt, uint32_t dsdt)
{
    put_ports(files, RESET_PORT, 1);
    acpi_put(files, RESET_VALUE, 1);
    put_zeros(files,
              3 + 8); /* flags of other processors; the other pointer to FACS: there is one */
    acpi_put(files, 0, 8);
    put_ports(files, pc->pm_base, 4);
    put_ports(files, 0, 0);
    put_ports(files, pc->pm_base + 4u, 2);
    put_ports(files, 0, 0);
    put_ports(files, 0, 0);
    put_ports(files, pc->pm_base + 8u, 4);
    put_ports(files, pc->gpe0, pc->gpe0_bytes);
    put_ports(files, 0, 0);
    acpi_add_pointer(files, fadt + FADT_DSDT_64, dsdt);
}

/* Revision 1, 116 bytes; 3 with an ICH9, which a register of ports resets. */
static void build_fadt(AcpiFiles *files, const AcpiPc *pc, uint32_t facs, uint32_t dsdt)
{
    uint32_t fadt = acpi_begin_table(files, "FACP", pc->ich9 ? 3 : 1, true);
    uint32_t flags = FADT_WBINVD | FADT_C1 | FADT_SLEEP_BUTTON | FADT_RTC_S4;

    flags |= pc->hpet ? FADT_PLATFORM_CLOCK : 0;
    flags |= pc->cpus > FLAT_CPUS_MOST ? FADT_APIC_CLUSTER : 0;
    acpi_put(files, 0, 4); /* FACS */
    acpi_put(files, 0, 4); /* DSDT */
    acpi_put(files, 1, 1); /* interrupt model: APICs */
    acpi_put(files, 0, 1);
    acpi_put(files, ISA_IRQ_ACPI, 2);
    acpi_put(files, pc->smi_port, 4);
    acpi_put(files, pc->smi_port ? pc->acpi_enable : 0, 1);
    acpi_put(files, pc->smi_port ? pc->acpi_disable : 0, 1);
    acpi_put(files, 0, 2); /* S4BIOS_REQ, PSTATE_CNT */
    acpi_put(files, pc->pm_base, 4);
    acpi_put(files, 0, 4);
    acpi_put(files, pc->pm_base + 4u, 4);
    acpi_put(files, 0, 8); /* PM1b_CNT, PM2_CNT */
    acpi_put(files, pc->pm_base + 8u, 4);
    acpi_put(files, pc->gpe0, 4);
    acpi_put(files, 0, 4);
    /* Lengths of the blocks of events, control, control 2, timer, GPE0, GPE1. */
    acpi_put(files, 4, 1);
    acpi_put(files, 2, 1);
    acpi_put(files, 0, 1);
    acpi_put(files, 4, 1);
    acpi_put(files, pc->gpe0_bytes, 1);
    acpi_put(files, 0, 3); /* GPE1, its base, _CST */
    acpi_put(files, FADT_NO_C2, 2);
    acpi_put(files, FADT_NO_C2, 2);
    acpi_put(files, 0, 8); /* flush size and stride, duty, alarms */
    acpi_put(files, FADT_CENTURY, 1);
    acpi_put(files, pc->ich9 && pc->keyboard ? FADT_I8042 : 0, 2);
    acpi_put(files, 0, 1);
    acpi_put(files, flags | (pc->ich9 ? FADT_RESET : 0), 4);
    if (pc->ich9) {
        build_fadt_3(files, pc, fadt, dsdt);
    }
    acpi_add_pointer(files, fadt + FADT_FACS, facs);
    acpi_add_pointer(files, fadt + FADT_DSDT, dsdt);
    acpi_end_table(files, fadt);
}

static void put_cpu(AcpiFiles *files, unsigned uid, uint32_t apic_id)
{
    if (apic_id <= XAPIC_ID_MOST) {
        acpi_put(files, MADT_LAPIC, 1);
        acpi_put(files, 8, 1);
        acpi_put(files, uid, 1);
        acpi_put(files, apic_id, 1);
        acpi_put(files, MADT_ENABLED, 4);
    } else {
        acpi_put(files, MADT_X2APIC, 1);
        acpi_put(files, 16, 1);
        acpi_put(files, 0, 2);
        acpi_put(files, apic_id, 4);
        acpi_put(files, MADT_ENABLED, 4);
        acpi_put(files, uid, 4);
    }
}

static void put_override(AcpiFiles *files, unsigned irq, unsigned input, unsigned flags)
{
    acpi_put(files, MADT_OVERRIDE, 1);
    acpi_put(files, 10, 1);
    acpi_put(files, 0, 1); /* ISA */
    acpi_put(files, irq, 1);
    acpi_put(files, input, 4);
    acpi_put(files, flags, 2);
}

/* NMI is LINT1 of all. */
static void put_nmi(AcpiFiles *files, bool x2apic)
{
    if (x2apic) {
        acpi_put(files, MADT_X2APIC_NMI, 1);
        acpi_put(files, 12, 1);
        acpi_put(files, 0, 2);
        acpi_put(files, UINT32_MAX, 4);
        acpi_put(files, 1, 1);
        acpi_put(files, 0, 3);
    } else {
        acpi_put(files, MADT_LAPIC_NMI, 1);
        acpi_put(files, 6, 1);
        acpi_put(files, 0xff, 1);
        acpi_put(files, 0, 2);
        acpi_put(files, 1, 1);
    }
}

static void build_madt(AcpiFiles *files, const AcpiPc *pc)
{
    static const uint8_t level[] = { 5, 9, 10, 11 }; /* those of PCI and of ACPI */
    uint32_t madt = acpi_begin_table(files, "APIC", 3, true), apic_id = 0;

    acpi_put(files, LAPIC_ADDRESS, 4);
    acpi_put(files, MADT_PCAT, 4);
    for (unsigned i = 0; i < pc->cpus; i++) {
        apic_id = x86_topology(i, pc->layout).apic_id;
        put_cpu(files, i, apic_id);
    }
    if (pc->io_apic) {
        acpi_put(files, MADT_IO_APIC, 1);
        acpi_put(files, 12, 1);
        acpi_put(files, 0, 2); /* id */
        acpi_put(files, IO_APIC_ADDRESS, 4);
        acpi_put(files, 0, 4);
        put_override(files, ISA_IRQ_PIT, 2, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(level); i++) {
            put_override(files, level[i], level[i], MADT_LEVEL_HIGH);
        }
    }
    put_nmi(files, apic_id > XAPIC_ID_MOST);
    acpi_end_table(files, madt);
}

static void build_hpet(AcpiFiles *files)
{
    uint32_t hpet = acpi_begin_table(files, "HPET", 1, true);

    acpi_put(files, HPET_ID, 4);
    acpi_put(files, 0, 4); /* in memory */
    acpi_put(files, HPET_ADDRESS, 8);
    acpi_put(files, 0, 4); /* number, least tick, protection */
    acpi_end_table(files, hpet);
}

static void build_waet(AcpiFiles *files)
{
    uint32_t waet = acpi_begin_table(files, "WAET", 1, true);

    acpi_put(files, WAET_PM_TIMER_GOOD, 4);
    acpi_end_table(files, waet);
}

void acpi_build_pc(AcpiFiles *files, const AcpiPc *pc)
{
    uint32_t facs, dsdt;

    acpi_init(files, pc->oem_id, pc->oem_table_id);
    facs = build_facs(files);
    dsdt = acpi_begin_table(files, "DSDT", 1, false);
    acpi_pc_dsdt(files->tables, pc);
    acpi_end_table(files, dsdt);
    acpi_use_licence_oem(files, pc->given);
    build_fadt(files, pc, facs, dsdt);
    acpi_set_oem(files, pc->oem_id, pc->oem_table_id);
    build_madt(files, pc);
    if (pc->hpet) {
        build_hpet(files);
    }
    if (pc->ecam_bytes) {
        acpi_add_mcfg(files, pc);
    }
    if (pc->numa) {
        acpi_pc_add_numa(files, pc);
    }
    build_waet(files);
    if (pc->vmgenid) {
        acpi_add_vmgenid(files);
    }
    acpi_add_given_tables(files, pc->given);
    acpi_use_licence_oem(files, pc->given);
    acpi_finish(files);
}
