/* SPDX-License-Identifier: MIT */
/* I/O ports for helpers: the caller has checked the rights. Unwinds for a breakpoint. */
#ifndef TARGET_I386_IO_H
#define TARGET_I386_IO_H

#include "target/i386/cpu.h"

/* bytes: 1, 2, 4. A port that nobody has reads as ones. */
uint32_t x86_io_read(X86Cpu *cpu, uint16_t port, unsigned bytes);
void x86_io_write(X86Cpu *cpu, uint16_t port, uint32_t value, unsigned bytes);

#endif
