/* SPDX-License-Identifier: MIT */
/* A vCPU's registers as a kernel's debugger needs them. The vCPU is parked and synchronized. */
#ifndef DEBUG_LINUX_REGISTERS_H
#define DEBUG_LINUX_REGISTERS_H

#include "debug/linux/linux.h"

/* false: no architecture that we know kernels of. */
bool linux_arch_of(Machine *machine, LinuxArch *arch);
/* By the target's name for it; 0 when there is none. */
uint64_t linux_register(Vcpu *vcpu, const char *name);
/* The tables that map the upper half as a kernel of its architecture has them: sets root (guest physical) and their shape. */
void linux_vcpu_paging(Vcpu *vcpu, LinuxKernel *kernel);

#endif
