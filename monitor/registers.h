/* SPDX-License-Identifier: MIT */
/* A vCPU's registers by the target's table. The functions park the vCPUs while they read. */
#ifndef MONITOR_REGISTERS_H
#define MONITOR_REGISTERS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/target.h"
#include "machine/vcpu.h"

/* "pc" is always known; wider registers give their low 64 bits. */
bool registers_read_number(Vcpu *vcpu, const char *name, uint64_t *value, GError **error);

#endif
