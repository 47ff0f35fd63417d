/* SPDX-License-Identifier: MIT */
/* The processor of docs/howto/add-a-target.md. */
#ifndef TESTS_ISA_TOY_H
#define TESTS_ISA_TOY_H

#include "accel/tcg/ir/services.h"
#include "machine/machine.h"

typedef struct {
    Vcpu vcpu;
    uint64_t reg[4], sp;
    bool interrupts_enabled;
    uint16_t flags;
    TcgState tcg;
} ToyCpu;

extern const Target toy_target;

#endif
