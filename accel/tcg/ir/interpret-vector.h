/* SPDX-License-Identifier: MIT */
/* Vector ops of the reference interpreter. */
#ifndef ACCEL_TCG_IR_INTERPRET_VECTOR_H
#define ACCEL_TCG_IR_INTERPRET_VECTOR_H

#include "accel/tcg/ir/abi.h"
#include "base/bits.h"

/* Computes a vector op (or an integer one that reads a lane); false: not a vector op. */
bool ir_interpret_vector(const IrOp *op, const IrValue *arg[4], IrValue *result);

#endif
