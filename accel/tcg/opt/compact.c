/* SPDX-License-Identifier: MIT */
/* What is left moves together: most of what targets emit goes, and back ends look at every op several times. */
#include "accel/tcg/opt/passes.h"

void opt_compact(IrUnit *unit)
{
    IrRef place[IR_MAX_OPS];
    unsigned count = 1;

    place[0] = 0;
    for (unsigned i = 1; i < unit->count; i++) {
        if (unit->ops[i].opcode == IR_OP_nop) {
            continue;
        }
        unit->ops[count] = unit->ops[i];
        opt_replace_args(&unit->ops[count], place);
        place[i] = (IrRef)count++;
    }
    unit->count = count;
}
