/* SPDX-License-Identifier: MIT */
/* UUIDs as options spell them (RFC 9562), and as bytes. */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

enum { UUID_BYTES = 16 };

/* The bytes in the order of the text; false: it is none. */
bool uuid_parse(const char *text, uint8_t uuid[UUID_BYTES]);
/* To or from the order of SMBIOS and ACPI: the first three parts are little-endian. */
void uuid_swap(uint8_t uuid[UUID_BYTES]);

#endif
