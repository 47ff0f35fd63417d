/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables in guest memory, as an operating system finds them (ACPI 6.5, chapter 5). Machine lock held, vCPUs parked. Memory may lie:
 * all is bounded.
 */
#ifndef DEBUG_FIRMWARE_ACPI_H
#define DEBUG_FIRMWARE_ACPI_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/machine.h"

enum { ACPI_TABLES_MAX = 256, ACPI_TABLE_BYTES_MAX = 1 << 20 };

typedef struct {
    char signature[5], oem[7], oem_table[9];
    uint64_t address;
    uint32_t length;
    uint8_t revision;
    bool checksum_good;
    GPtrArray *lines; /* char *: what is in it, as far as it is decoded */
} AcpiTable;

typedef struct {
    uint64_t address; /* of the root pointer (RSDP) */
    uint8_t revision;
    bool checksum_good;
    char oem[7];
    GArray *tables;   /* AcpiTable */
} AcpiInfo;

/* NULL: there is no root pointer. acpi_info_free. */
AcpiInfo *acpi_info_find(Machine *machine);
void acpi_info_free(AcpiInfo *info);

#endif
