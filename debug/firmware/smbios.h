/* SPDX-License-Identifier: MIT */
/* SMBIOS structures in guest memory (DSP0134 3.6). Machine lock held, vCPUs parked. Memory may lie: all is bounded. */
#ifndef DEBUG_FIRMWARE_SMBIOS_H
#define DEBUG_FIRMWARE_SMBIOS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/machine.h"

enum { SMBIOS_STRUCTURES_MAX = 1024, SMBIOS_BYTES_MAX = 1 << 20 };

typedef struct {
    uint8_t type;
    uint16_t handle;
    const char *name;   /* "System"; NULL: of a type that is not known */
    GPtrArray *lines;   /* char *: "manufacturer: …" */
} SmbiosStructure;

typedef struct {
    uint64_t address, table; /* of the entry point, and of the structures */
    unsigned major, minor;
    uint32_t bytes;          /* of the structures, at most */
    bool checksum_good;
    GArray *structures;      /* SmbiosStructure */
} SmbiosInfo;

/* NULL: there is no entry point. smbios_info_free. */
SmbiosInfo *smbios_info_find(Machine *machine);
void smbios_info_free(SmbiosInfo *info);

#endif
