/* SPDX-License-Identifier: MIT */
/*
 * UEFI firmware in guest memory: its system table, the tables that it names, and the images that it has loaded, by its debug image info
 * table. Machine lock held, vCPUs parked. Memory may lie: all is bounded.
 */
#ifndef DEBUG_FIRMWARE_UEFI_H
#define DEBUG_FIRMWARE_UEFI_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/machine.h"

enum {
    UEFI_TABLES_MAX = 256,
    UEFI_IMAGES_MAX = 4096,
    UEFI_MEMORY_MAX = 4096,
    UEFI_VARIABLES_MAX = 4096,
    UEFI_DATA_SHOWN = 512,
};

typedef struct {
    char guid[37];
    const char *name; /* of the tables that everybody knows; NULL */
    uint64_t address;
} UefiTable;

typedef struct {
    uint64_t base, size;
    char *name, *pdb; /* NULL: the image does not tell */
} UefiImage;

/* A range of the firmware's own map of memory. */
typedef struct {
    uint32_t type;
    uint64_t start, end; /* of its last byte */
    uint64_t attributes;
} UefiMemory;
/* As the specification has it ("BootServicesData"); NULL: not one of its types. */
const char *uefi_memory_type(uint32_t type);

typedef struct {
    char *name, *guid;
    uint32_t attributes; /* 1 non-volatile, 2 boot services, 4 run time … */
    uint32_t size;
    GBytes *data;        /* as much of it as is shown: UEFI_DATA_SHOWN */
} UefiVariable;

typedef struct {
    uint64_t address;    /* of the system table, guest physical */
    uint32_t revision, firmware_revision;
    char *vendor;
    GArray *tables;      /* UefiTable */
    GArray *images;      /* UefiImage */
} UefiInfo;

/* NULL: there is no system table. uefi_info_free. */
UefiInfo *uefi_info_find(Machine *machine);
void uefi_info_free(UefiInfo *info);

/* UefiMemory of EDK2's DXE core by ascending address, which is gone when an operating system runs; empty: not found. Caller unrefs. */
GArray *uefi_memory_map(Machine *machine);
/* UefiVariable of EDK2's stores in memory, by name; caller unrefs. */
GArray *uefi_variables(Machine *machine);
/* What a boot option (Boot0001 …) is called; NULL: it is none, or damaged. Caller frees. */
char *uefi_boot_description(const UefiVariable *variable);

#endif
