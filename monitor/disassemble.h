/* SPDX-License-Identifier: MIT */
/* Guest code as text, with symbols. */
#ifndef MONITOR_DISASSEMBLE_H
#define MONITOR_DISASSEMBLE_H

#include <jansson.h>

#include "machine/vcpu.h"

/* Reads up to `size` bytes of the guest; returns how many there were. */
typedef size_t DisassembleRead(void *opaque, uint64_t address, uint8_t *buffer, size_t size);

/*
 * A list of at most `count` instructions, each with address, bytes, text, and where known symbol ("schedule+0x10"), target (what an operand
 * is the address of), source and line. *truncated: memory ended before. vCPUs parked. NULL with an error.
 */
json_t *disassemble(Vcpu *vcpu, DisassembleRead *read, void *opaque, uint64_t address,
                    unsigned count, bool *truncated, GError **error);
/* mark: the address that gets an arrow. */
void disassemble_print(json_t *list, const uint64_t *mark, GString *out);

#endif
