/* SPDX-License-Identifier: MIT */
/* What the files of the ACPI tables share. */
#ifndef DEBUG_FIRMWARE_ACPI_PRIVATE_H
#define DEBUG_FIRMWARE_ACPI_PRIVATE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

bool acpi_sum_is_zero(const uint8_t *bytes, size_t size);
/* Adds what a table says, as lines; its header's 36 bytes are there. */
void acpi_decode(const char *signature, const uint8_t *table, uint32_t length, GPtrArray *lines);
/* The DSDT that a FADT names; 0: none. */
uint64_t acpi_fadt_dsdt(const uint8_t *table, uint32_t length);

#endif
