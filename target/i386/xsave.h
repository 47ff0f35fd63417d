/* SPDX-License-Identifier: MIT */
/* Layout of XSAVE areas, for CPUID. */
#ifndef TARGET_I386_XSAVE_H
#define TARGET_I386_XSAVE_H

#include "target/i386/cpu.h"

typedef struct {
    uint16_t offset, bytes;    /* in the standard form; bytes 0: no such component */
    bool aligned;              /* to 64 bytes in the compact form */
} X86StateComponent;

/* By number; those below 2 lie in the legacy region. */
enum { X86_STATE_COMPONENTS = 10 };
extern const X86StateComponent x86_state_components[X86_STATE_COMPONENTS];

/*
 * x87 state, MXCSR and vectors as the standard form has them, without its header, for who keeps them elsewhere. An area has
 * at least 832 bytes; set ends with Target.state_loaded.
 */
void x86_get_xsave(X86Cpu *cpu, uint8_t *area, size_t bytes);
void x86_set_xsave(X86Cpu *cpu, const uint8_t *area, size_t bytes);

/* Bytes of an area with these components. */
uint32_t x86_xsave_bytes(uint64_t components, bool compact);

#endif
