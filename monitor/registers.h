/* SPDX-License-Identifier: MIT */
/* A vCPU's registers by the target's table. The functions park the vCPUs meanwhile. */
#ifndef MONITOR_REGISTERS_H
#define MONITOR_REGISTERS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/target.h"
#include "machine/vcpu.h"

/* By the target's name for it, or "sp", "fp" and "lr" where there is such a one; NULL. */
const TargetRegister *registers_find(const Target *target, const char *name);
/* The same, and "pc"; "pid" and "tid" of a guest's Linux, -1 for none. Wider registers give their low 64 bits. */
bool registers_read_number(Vcpu *vcpu, const char *name, uint64_t *value, GError **error);
/* The low 64 bits; the others become 0. */
bool registers_write_number(Vcpu *vcpu, const char *name, uint64_t value, GError **error);

#endif
