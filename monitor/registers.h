/* SPDX-License-Identifier: MIT */
/* A vCPU's registers by the target's table. The functions park the vCPUs while they read. */
#ifndef MONITOR_REGISTERS_H
#define MONITOR_REGISTERS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/target.h"
#include "machine/vcpu.h"

enum { REGISTERS_BYTES_MAX = 512 };

/* The little-endian value of one register; the vCPUs must be parked. value: REGISTERS_BYTES_MAX
 * bytes. */
void registers_read(Vcpu *vcpu, const TargetRegister *reg, uint8_t *value);
/* "pc" is always known; wider registers give their low 64 bits. */
bool registers_read_number(Vcpu *vcpu, const char *name, uint64_t *value, GError **error);

#endif
