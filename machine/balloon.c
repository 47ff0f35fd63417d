/* SPDX-License-Identifier: MIT */
/* Which device is the balloon. */
#include "machine/balloon.h"

#include "machine/private.h"

bool machine_set_balloon(Machine *machine, const BalloonOps *ops, void *opaque)
{
    if (machine->private->balloon) {
        return false;
    }
    machine->private->balloon = ops;
    machine->private->balloon_opaque = opaque;
    return true;
}

void machine_forget_balloon(Machine *machine, const void *opaque)
{
    if (machine->private->balloon_opaque == opaque) {
        machine->private->balloon = NULL;
        machine->private->balloon_opaque = NULL;
    }
}

const BalloonOps *machine_balloon(Machine *machine, void **opaque)
{
    *opaque = machine->private->balloon_opaque;
    return machine->private->balloon;
}
