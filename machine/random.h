/* SPDX-License-Identifier: MIT */
/* Random numbers that a guest sees: of its devices, tables and processors. */
#ifndef MACHINE_RANDOM_H
#define MACHINE_RANDOM_H

#include "machine/vcpu.h"

/*
 * From now on they follow from the seed alone: a stream for devices and tables, and one for each vCPU, so that what one
 * draws does not change what another gets. Before the machine is built. Without it they come from the host.
 */
void machine_seed_random(Machine *machine, uint64_t seed);
/* [any] Fills the buffer or fails, while the host's generator has not begun. */
bool machine_random(Machine *machine, void *buffer, size_t size);
/* [vCPU] */
uint64_t vcpu_random(Vcpu *vcpu);

#endif
