/* SPDX-License-Identifier: MIT */
/*
 * What this host's processor rightly does otherwise than AMD's, which our target follows: for tests that have the host
 * as their judge. On AMD's processors nothing here is ever true.
 */
#ifndef TESTS_ISA_HOST_X86_H
#define TESTS_ISA_HOST_X86_H

#include "target/i386/decode.h"

typedef struct {
    bool intel;
    /* SDM vol. 1, 8.1.8: the x87's data pointer is of instructions with an exception that is not masked. */
    bool fdp_of_exceptions;
    /* The same: selectors of the x87's pointers are saved as 0. */
    bool no_selectors;
} X86Host;

X86Host x86_host(void);

bool x86_has_memory(const X86Insn *insn);

/*
 * SHA instructions want memory operands aligned to 16 bytes, like other legacy ones (SDM vol. 2, exceptions of type 4);
 * with AMD they lie anywhere.
 */
bool x86_host_wants_aligned(const X86Host *host, const X86Insn *insn);

/*
 * SDM vol. 3, 6.9: page faults, x87 and SIMD exceptions of one instruction are of the same class, whose order depends on
 * the processor. Intel's convert before they store: VCVTPS2PH sets MXCSR's flags, or raises #XM, in spite of a page
 * fault; and an x87 store that finds an exception which is not masked does not touch memory.
 */
bool x86_host_converts_first(const X86Host *host, const X86Insn *insn);
bool x86_host_may_skip_store(const X86Host *host, const X86Insn *insn);

/*
 * VCVTPS2PH of denormal numbers whose underflow is not masked is inexact, also where IEEE 754 (7.5, 7.6) and Intel's own VCVTPD2PS
 * say that it is not: no manual tells.
 */
bool x86_host_calls_denormals_inexact(const X86Host *host, const X86Insn *insn);

/* An MMX store that faults has set TOP to 0, and not yet the tags: no manual tells, and done again it is no matter. */
bool x86_host_clears_top(const X86Host *host, const X86Insn *insn);

/*
 * Masked moves fault because of the selected elements (SDM vol. 2, VMASKMOV); of which of them in a page CR2 is, is not said.
 * The first byte in the page with AMD.
 */
bool x86_host_faults_at_any_element(const X86Host *host, const X86Insn *insn);

#endif
