/* SPDX-License-Identifier: MIT */
/* The list of optimisation passes; the order matters. */
#include "accel/tcg/opt/opt.h"

#include "accel/tcg/opt/passes.h"

void opt_run(IrUnit *unit)
{
    opt_forward_variables(unit);
    opt_fold(unit);
    opt_dead_sets(unit);
    opt_dead_flags(unit);
    opt_dead_values(unit);
    opt_compact(unit);
}
