/* SPDX-License-Identifier: MIT */
/* Ends the run with a status that the guest chooses: a value v written to the port gives 2 * v + 1. */
#include "base/error.h"
#include "hw/isa/isa.h"
#include "machine/machine.h"

typedef struct {
    Device device;
    MemoryRegion port;
    uint32_t iobase, iosize;
} IsaDebugExit;

static MemoryResult exit_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                              MemoryAttributes attributes)
{
    *value = 0;
    return MEMORY_OK;
}

static MemoryResult exit_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    IsaDebugExit *e = opaque;

    machine_request_end(e->device.machine, STOP_GUEST_POWEROFF, NULL,
                        (int)((value << 1 | 1) & 0xff));
    return MEMORY_OK;
}

static const MemoryOps exit_ops = {
    .read = exit_read, .write = exit_write, .size_max = 4, .unaligned = true
};

static bool realize(Device *device, GError **error)
{
    IsaDebugExit *e = container_of(device, IsaDebugExit, device);

    if (e->iosize < 1 || e->iosize > 4 || e->iobase + e->iosize > 0x10000) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "isa-debug-exit: iobase=%#x,iosize=%u are not 1 to 4 ports up to 0xffff",
                          e->iobase, e->iosize);
    }
    memory_region_init_io(&e->port, device->machine, "isa-debug-exit", e->iosize, &exit_ops, e);
    device_add_io(device, &e->port);
    isa_map_io(device, 0, (uint16_t)e->iobase);
    return true;
}

static const DeviceType isa_debug_exit_type = {
    .name = "isa-debug-exit",
    .summary = "Port that ends the run with a status of the guest's choice",
    .bus = "isa",
    .category = "misc",
    .instance_size = sizeof(IsaDebugExit),
    .properties =
        (const Property[]){
            { "iobase", PROPERTY_U32, offsetof(IsaDebugExit, iobase), "first port", "0x501" },
            { "iosize", PROPERTY_U32, offsetof(IsaDebugExit, iosize), "number of ports", "2" },
            { 0 } },
    .realize = realize,
};
DEVICE_TYPE(isa_debug_exit_type);
