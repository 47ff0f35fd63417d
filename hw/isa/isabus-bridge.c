/* SPDX-License-Identifier: MIT */
/* What provides the ISA bus of a machine without PCI. irq 0-15: its interrupt lines. */
#include "hw/isa/isa.h"
#include "machine/machine.h"

typedef struct {
    Device device;
    IsaBus isa;
} IsabusBridge;

static bool realize(Device *device, GError **error)
{
    IsabusBridge *b = container_of(device, IsabusBridge, device);

    isa_bus_init(&b->isa, device, "isa.0", device->machine->system_io,
                 device->machine->system_memory);
    for (unsigned irq = 0; irq < ISA_IRQ_COUNT; irq++) {
        device_add_irq(device, &b->isa.lines[irq]);
    }
    return true;
}

static void reset(Device *device)
{
    isa_bus_reset(&container_of(device, IsabusBridge, device)->isa);
}

static const DeviceType isabus_bridge_type = {
    .name = "isabus-bridge",
    .summary = "ISA bus of a machine without PCI",
    .category = "bridge",
    .board_only = true,
    .instance_size = sizeof(IsabusBridge),
    .realize = realize,
    .reset = reset,
};
DEVICE_TYPE(isabus_bridge_type);
