/* SPDX-License-Identifier: MIT */
#include "hw/pci/pc-host.h"

#include "base/error.h"
#include "machine/machine.h"

/*
 * Firmware and kernels clear a screen of text that nobody has: stores without effect need not leave the guest one by
 * one.
 */
static const MemoryPlace screen_window[] = { { 0xa0000, 0x20000 }, { 0 } };

static void set_intx(void *opaque, unsigned wire, int level)
{
    PcHost *host = opaque;

    irq_set(&host->wires[wire], level);
}

bool pc_host_init(PcHost *host, const PcHostShape *shape, GError **error)
{
    Device *device = &host->device;
    Machine *machine = device->machine;

    if (machine->ram.size < MIB(1)) {
        return error_fail(error, KASO_ERROR_INVALID, "%s needs at least 1 MiB of RAM",
                          device->type->name);
    }
    memory_region_init_container(&host->memory, machine, "pci", UINT64_MAX);
    host->abort_ops = pci_abort_ops;
    host->abort_ops.late = screen_window;
    memory_region_init_io(&host->memory_abort, machine, "pci-abort", UINT64_MAX, &host->abort_ops,
                          host);
    memory_region_add(&host->memory, 0, &host->memory_abort, -1);
    memory_region_init_container(&host->overlay, machine, shape->overlay, shape->overlay_bytes);
    memory_region_init_container(&host->smm, machine, "smram", shape->smm_bytes);
    legacy_memory_init(&host->legacy, machine, &host->overlay, &host->memory, &host->smm);
    pci_conf1_init(&host->conf1, device, &host->bus);
    device_add_mmio(device, &host->memory);
    device_add_mmio(device, &host->overlay);
    device_add_mmio(device, &host->smm);
    for (unsigned i = 0; i < host->wire_count; i++) {
        device_add_irq(device, &host->wires[i]);
    }
    pci_bus_init(&host->bus, device, shape->bus, NULL, &host->memory, machine->system_io);
    if (shape->intx_wire) {
        host->bus.intx_wire = shape->intx_wire;
    }
    host->bus.set_intx = set_intx;
    host->bus.opaque = host;
    host->bus.msi = true;
    host->bus.unit = "i0cf8";
    return true;
}

bool pc_host_add_function(PcHost *host, const PcHostShape *shape, GError **error)
{
    host->function = device_create(host->device.machine, &host->device, shape->function,
                                   &host->bus.bus, NULL, error);
    return host->function && device_realize(host->function, error);
}

void pc_host_reset(PcHost *host)
{
    host->conf1.address = 0;
    for (unsigned i = 0; i < host->wire_count; i++) {
        irq_set(&host->wires[i], host->bus.intx_count[i] > 0);
    }
}
