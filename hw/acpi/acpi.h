/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables for firmware that places them itself: the files etc/acpi/tables, etc/acpi/rsdp and etc/table-loader of the firmware
 * configuration device. Tables refer to each other by offsets, which the loader's commands turn into addresses.
 */
#ifndef HW_ACPI_ACPI_H
#define HW_ACPI_ACPI_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/arch/x86.h"

#define ACPI_TABLES_FILE "etc/acpi/tables"
#define ACPI_RSDP_FILE   "etc/acpi/rsdp"
#define ACPI_LOADER_FILE "etc/table-loader"

/* A page that firmware places, with the generation identifier at an offset; and where firmware writes the identifier's address. */
#define VMGENID_GUID_FILE    "etc/vmgenid_guid"
#define VMGENID_ADDRESS_FILE "etc/vmgenid_addr"
enum { VMGENID_OFFSET = 40 };

/* What the three files hold, and what is the same in all headers. */
typedef struct {
    GByteArray *tables, *rsdp, *loader;
    GArray *offsets;           /* uint32_t: tables that the RSDT lists */
    char oem_id[7], oem_table_id[9];
} AcpiFiles;

/* oem_id and oem_table_id: up to 6 and 8 characters; NULL: the usual ones. */
void acpi_init(AcpiFiles *files, const char *oem_id, const char *oem_table_id);
void acpi_free(AcpiFiles *files);
/* The same names for the tables that follow. */
void acpi_set_oem(AcpiFiles *files, const char *oem_id, const char *oem_table_id);

/*
 * Begins a table: appends its header. acpi_end_table sets its length and has the loader set its checksum. listed: the RSDT
 * has it.
 */
uint32_t acpi_begin_table(AcpiFiles *files, const char signature[4], uint8_t revision, bool listed);
void acpi_end_table(AcpiFiles *files, uint32_t table);
/* The 4 bytes at `offset` of the tables are the address of what is at `target` of them. */
void acpi_add_pointer(AcpiFiles *files, uint32_t offset, uint32_t target);
/* Another file that firmware places; the 4 bytes at `offset` of the tables get its address; and 8 bytes of address_file, by DMA. */
void acpi_place_file(AcpiFiles *files, const char *file, uint32_t alignment);
void acpi_add_file_pointer(AcpiFiles *files, uint32_t offset, const char *file);
void acpi_write_pointer(AcpiFiles *files, const char *address_file, const char *file, uint32_t file_offset);
/* Zeros up to a multiple of `alignment`. */
void acpi_align(AcpiFiles *files, unsigned alignment);
/* Appends a little-endian integer to the tables. */
void acpi_put(AcpiFiles *files, uint64_t value, unsigned bytes);
/* RSDT and RSDP, when all tables are there. */
void acpi_finish(AcpiFiles *files);

/*
 * What -acpitable says, as a table with length and checksum; NULL: wrong. And all of them into the files, and into the
 * RSDT. acpi_use_licence_oem: the names of a licence table (SLIC) among them, if there is one, are those of the tables that begin.
 */
#define ACPI_GIVEN_TABLES "acpi-given-tables" /* of machine_set_data: a GPtrArray of them, or NULL */
GBytes *acpi_given_table(const char *option, GError **error);
void acpi_add_given_tables(AcpiFiles *files, const GPtrArray *given);
bool acpi_use_licence_oem(AcpiFiles *files, const GPtrArray *given);

/* A PC. Ports and addresses are as the board has them; 0 where something is absent. */
typedef struct AcpiPc {
    const char *oem_id, *oem_table_id; /* NULL: the usual ones */
    const GPtrArray *given;            /* GBytes *: the user's tables; NULL: none */
    bool ich9;                         /* the south bridge is an ICH9, and the root bus PCI Express; else a PIIX */
    unsigned cpus;
    X86Layout layout;                  /* of -smp; APIC ids by machine/arch/x86.h */
    bool io_apic, hpet, floppy, keyboard, fw_cfg_dma, vmgenid;
    unsigned floppies;                 /* drives */
    bool pm_suspend, pm_hibernate;     /* S3, S4 */
    uint16_t serial[4], parallel, pvpanic;
    uint16_t smi_port, pm_base, gpe0, fw_cfg;
    uint8_t acpi_enable, acpi_disable; /* to smi_port */
    uint8_t gpe0_bytes;
    uint64_t ecam_base, ecam_bytes;    /* configuration space in memory */
    uint16_t pci_hotplug;              /* base of the hot-plug registers */
    uint32_t fixed_slots;              /* bit per PCI slot: nothing is plugged there at run time */
    uint32_t hole_first, hole_last;    /* PCI memory below 4 GiB */
    uint64_t hole64_first, hole64_last; /* above; first 0: none */
    const struct Numa *numa;           /* machine/numa.h; NULL: none */
    uint64_t ram_low, ram_high;        /* below and from 4 GiB */
} AcpiPc;
/* All tables; acpi_free afterwards. */
void acpi_build_pc(AcpiFiles *files, const AcpiPc *pc);
/* For acpi_build_pc: the DSDT's body; and the SSDT of the generation identifier. (More of the DSDT: acpi-pc-dsdt.h.) */
void acpi_pc_dsdt(GByteArray *out, const AcpiPc *pc);
void acpi_add_vmgenid(AcpiFiles *files);
void acpi_pc_add_numa(AcpiFiles *files, const AcpiPc *pc);

#endif
