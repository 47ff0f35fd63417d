/* SPDX-License-Identifier: MIT */
/* The inputs of a device for interrupts, and who listens there. */
#ifndef MACHINE_IRQ_TAP_H
#define MACHINE_IRQ_TAP_H

#include "machine/device.h"

/* An IrqHandler: sets input `number` of a device. */
void device_input(void *device, int number, int level);
/* heard is told of all levels that reach the device, after it has got them. One device of a machine at a time. */
void device_tap_inputs(Device *device, IrqHandler *heard, void *opaque);

#endif
