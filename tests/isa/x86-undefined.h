/* SPDX-License-Identifier: MIT */
/* What comparisons of x86 instructions with processors and other emulators leave out. */
#ifndef TESTS_ISA_X86_UNDEFINED_H
#define TESTS_ISA_X86_UNDEFINED_H

#include "target/i386/cpu.h"
#include "target/i386/decode.h"

/* EFLAGS that an instruction leaves undefined (SDM 2, each instruction's "Flags Affected"). */
uint32_t x86_undefined_flags(const X86Insn *insn);

#endif
