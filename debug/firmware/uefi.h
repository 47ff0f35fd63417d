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

enum { UEFI_TABLES_MAX = 256, UEFI_IMAGES_MAX = 4096 };

typedef struct {
    char guid[37];
    const char *name; /* of the tables that everybody knows; NULL */
    uint64_t address;
} UefiTable;

typedef struct {
    uint64_t base, size;
    char *name, *pdb; /* NULL: the image does not tell */
} UefiImage;

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

#endif
