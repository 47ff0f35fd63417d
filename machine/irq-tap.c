/* SPDX-License-Identifier: MIT */
/* The inputs of devices; see the header. */
#include "machine/irq-tap.h"

#include "machine/private.h"

void device_input(void *opaque, int number, int level)
{
    Device *device = opaque;
    const MachinePrivate *private = device->machine->private;

    device->type->input(device, number, level);
    if (private->tapped == device) {
        private->tap(private->tap_opaque, number, level);
    }
}

void device_tap_inputs(Device *device, IrqHandler *heard, void *opaque)
{
    MachinePrivate *private = device->machine->private;

    private->tapped = device;
    private->tap = heard;
    private->tap_opaque = opaque;
}
