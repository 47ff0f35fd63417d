/* SPDX-License-Identifier: MIT */
/* What the parts of UEFI's recogniser have in common. Contracts as in uefi.h. */
#ifndef DEBUG_FIRMWARE_UEFI_PRIVATE_H
#define DEBUG_FIRMWARE_UEFI_PRIVATE_H

#include <glib.h>

#include "machine/machine.h"

enum { UEFI_GUID_CHARS = 37 };
void uefi_format_guid(const uint8_t *bytes, char text[UEFI_GUID_CHARS]);
/* A text of 16-bit characters up to what is not printable ASCII. Caller frees. */
char *uefi_read_text(Machine *machine, uint64_t address, unsigned max);

/* The names of all files in firmware volumes, by their GUIDs as text. Caller unrefs. */
GHashTable *uefi_file_names(Machine *machine);
/* What the file of a device path is called: by `names`, by its GUID, or its path's last part; NULL: the path has none. Caller frees. */
char *uefi_path_name(Machine *machine, uint64_t path, GHashTable *names);

#endif
