/* SPDX-License-Identifier: MIT */
/*
 * SMBIOS tables (DMTF DSP0134) for firmware: the files etc/smbios/smbios-tables and etc/smbios/smbios-anchor of the firmware
 * configuration device. Addresses and checksums of the anchor are the firmware's to set.
 */
#ifndef HW_ACPI_SMBIOS_H
#define HW_ACPI_SMBIOS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/machine.h"

#define SMBIOS_TABLES_FILE "etc/smbios/smbios-tables"
#define SMBIOS_ANCHOR_FILE "etc/smbios/smbios-anchor"

typedef struct {
    const char *manufacturer, *product, *version; /* of the board, where options do not say otherwise */
    const char *uuid;          /* NULL: "not settable" */
    bool uuid_in_order;        /* its bytes in the order of the text, as it was before SMBIOS 2.6 */
    uint32_t cpu_id[2];        /* EAX and EDX of CPUID 1 */
    unsigned sockets, cores, threads;
    uint64_t ram_start;        /* of what is called below 4 GiB, though it may reach beyond */
    uint64_t ram_below_4g, ram_above_4g; /* bytes, from ram_start and from 4 GiB */
    bool v3;                   /* a 64-bit entry point, version 3.0, else 2.8 */
    uint64_t dimm_most;        /* bytes of the largest memory module; 0: as large as can be said */
    Machine *machine;          /* whose PCI devices options name; NULL: none */
    const GPtrArray *options;  /* char *, of -smbios; NULL: none */
} SmbiosConfig;

/* Whether an argument of -smbios is right: "type=N,field=value,…" or "file=PATH". */
bool smbios_check_option(const char *option, GError **error);
/* The two files; the caller frees. false: an option is wrong or a file cannot be read. */
bool smbios_build(const SmbiosConfig *config, GBytes **tables, GBytes **anchor, GError **error);

#endif
