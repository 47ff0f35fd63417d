/* SPDX-License-Identifier: MIT */
/* The reference interpreter: the meaning of the IR, and the fallback without a host back end. */
#ifndef ACCEL_TCG_IR_INTERPRET_H
#define ACCEL_TCG_IR_INTERPRET_H

#include "accel/tcg/ir/runtime.h"

typedef enum {
    IR_LEFT_DIRECT,   /* goto or exit_if: the pc is set */
    IR_LEFT_INDIRECT, /* goto_ind: the pc is set; env's jump_class is its class */
    IR_LEFT_DISPATCH, /* dispatch, dispatch_env */
} IrLeft;

/*
 * Runs a unit to one of its ends, with the variables in env's memory before and after. Faults leave
 * through tcg_unwind (env->unwind must be set). runtime: only the memory callbacks are used.
 */
IrLeft ir_interpret(const IrUnit *unit, TcgState *env, const HostRuntime *runtime);

#endif
