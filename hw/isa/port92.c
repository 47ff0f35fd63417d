/* SPDX-License-Identifier: MIT */
/* System control port A (IBM PS/2 technical reference): fast A20 gate and fast reset at port 0x92. */
#include "base/bits.h"
#include "machine/arch/x86.h"
#include "machine/machine.h"

enum { FAST_RESET = 1 << 0, FAST_A20 = 1 << 1 };

typedef struct {
    Device device;
    uint8_t control;
} Port92;

static void write_control(Device *device, unsigned index, uint64_t value)
{
    Port92 *p = container_of(device, Port92, device);
    uint8_t before = p->control;

    p->control = value & FAST_A20;
    x86_set_a20(device->machine->vcpus, value & FAST_A20);
    /* A reset is asked for by the bit's rise. */
    if (value & ~before & FAST_RESET) {
        machine_request_reset(device->machine, "guest");
    }
}

static const Register registers[] = {
    { "CONTROL", 0, 1, REGISTER_RW, .field = offsetof(Port92, control), .write = write_control,
      .summary = "bit 1: A20 gate open, bit 0: reset" },
    { 0 },
};

static const DeviceType port92_type = {
    .name = "port92",
    .summary = "System control port A: fast A20 gate and reset",
    .category = "misc",
    .board_only = true,
    .instance_size = sizeof(Port92),
    .state = (const StateField[]){ STATE(Port92, control), { 0 } },
    .banks =
        (const RegisterBank[]){
            { .name = "port92", .size = 1, .registers = registers, .ports = true }, { 0 } },
};
DEVICE_TYPE(port92_type);
