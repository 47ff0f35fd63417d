/* SPDX-License-Identifier: MIT */
/* Optimisation of units. */
#ifndef ACCEL_TCG_OPT_OPT_H
#define ACCEL_TCG_OPT_OPT_H

#include "accel/tcg/ir/ir.h"

/* Runs all passes in place; dead ops become nop. */
void opt_run(IrUnit *unit);

#endif
