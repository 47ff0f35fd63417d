/* SPDX-License-Identifier: MIT */
/* What bits of a register are called, of a processor's or a device's. */
#ifndef MACHINE_REGISTER_FIELD_H
#define MACHINE_REGISTER_FIELD_H

#include <glib.h>
#include <stdint.h>

/* A table ends with a NULL name, lowest bits first. */
typedef struct {
    const char *name;
    uint8_t low, high;
} RegisterField;

/*
 * "PE|PG|IOPL=3": bits that are set, and wider fields that are not 0; other bits that are set follow as a number. "0": none is.
 * A field of more than 32 bits is an address, and shown with its bits in place.
 */
void register_fields_describe(const RegisterField *fields, uint64_t value, GString *out);

#endif
