/* SPDX-License-Identifier: MIT */
/*
 * Generic PCI Express host bridge: configuration space by ECAM (PCI Express Base 7.2.2), as the device
 * tree calls "pci-host-ecam-generic". Its root bus is "pcie.0".
 *
 *   mmio 0  ECAM, 1 MiB per bus
 *   mmio 1  memory space of the bus, for the board to alias windows of
 *   mmio 2  I/O space of the bus
 *   irq 0-3 INTA to INTD
 */
#include "base/error.h"
#include "hw/pci/ecam.h"
#include "machine/machine.h"

enum {
    GPEX_IO_SIZE = 0x10000,
};

typedef struct {
    Device device;
    PciBus bus;
    MemoryRegion ecam, memory, io, memory_abort, io_abort;
    IrqLine intx[4];
    /* Properties. */
    uint64_t ecam_size;
    bool msi;
} GpexPcihost;

static void gpex_set_intx(void *opaque, unsigned pin, int level)
{
    GpexPcihost *host = opaque;

    irq_set(&host->intx[pin], level);
}

static bool gpex_pcihost_realize(Device *device, GError **error)
{
    GpexPcihost *host = container_of(device, GpexPcihost, device);
    Machine *machine = device->machine;
    uint64_t limit = 256 * PCI_ECAM_BUS_BYTES;
    Device *root;

    if (host->ecam_size < PCI_ECAM_BUS_BYTES || host->ecam_size > limit) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "gpex-pcihost: ecam-size %llu is not between 1 MiB and 256 MiB",
                          (unsigned long long)host->ecam_size);
    }
    pci_ecam_init(&host->ecam, machine, &host->bus, host->ecam_size);
    memory_region_init_container(&host->memory, machine, "pcie-mmio", UINT64_MAX);
    memory_region_init_container(&host->io, machine, "pcie-pio", GPEX_IO_SIZE);
    memory_region_init_io(&host->memory_abort, machine, "pcie-mmio-abort", UINT64_MAX,
                          &pci_abort_ops, host);
    memory_region_init_io(&host->io_abort, machine, "pcie-pio-abort", GPEX_IO_SIZE, &pci_abort_ops,
                          host);
    memory_region_add(&host->memory, 0, &host->memory_abort, 0);
    memory_region_add(&host->io, 0, &host->io_abort, 0);
    device_add_mmio(device, &host->ecam);
    device_add_mmio(device, &host->memory);
    device_add_mmio(device, &host->io);
    for (unsigned i = 0; i < ARRAY_SIZE(host->intx); i++) {
        device_add_irq(device, &host->intx[i]);
    }
    pci_bus_init(&host->bus, device, "pcie.0", NULL, &host->memory, &host->io);
    host->bus.set_intx = gpex_set_intx;
    host->bus.opaque = host;
    host->bus.msi = host->msi;
    root = device_create(machine, device, "gpex-root", &host->bus.bus, NULL, error);
    return root && device_realize(root, error);
}

static void gpex_pcihost_reset(Device *device)
{
    GpexPcihost *host = container_of(device, GpexPcihost, device);

    for (unsigned i = 0; i < ARRAY_SIZE(host->intx); i++) {
        irq_set(&host->intx[i], host->bus.intx_count[i] > 0);
    }
}

static const Property gpex_pcihost_properties[] = {
    { "ecam-size", PROPERTY_SIZE, offsetof(GpexPcihost, ecam_size),
      "bytes of configuration space, 1 MiB per bus", "256M" },
    { "msi", PROPERTY_BOOL, offsetof(GpexPcihost, msi),
      "the board takes message-signalled interrupts" },
    { 0 },
};

static const DeviceType gpex_pcihost_type = {
    .name = "gpex-pcihost",
    .summary = "Generic PCI Express host bridge",
    .category = "bridge",
    .instance_size = sizeof(GpexPcihost),
    .properties = gpex_pcihost_properties,
    .board_only = true,
    .realize = gpex_pcihost_realize,
    .reset = gpex_pcihost_reset,
};
DEVICE_TYPE(gpex_pcihost_type);

/* The host bridge as it appears on its own bus. */

static bool gpex_root_realize(Device *device, GError **error)
{
    pci_set_identity(pci_device(device), 0x1b36, 0x0008, 0x060000, 0);
    return true;
}

static void gpex_root_reset(Device *device)
{
    pci_reset(pci_device(device));
}

typedef struct {
    PciDevice pci;
} GpexRoot;

static const Property gpex_root_properties[] = { PCI_PROPERTIES(GpexRoot, pci), { 0 } };
static const StateField gpex_root_state[] = { PCI_STATE(GpexRoot, pci), { 0 } };

static const DeviceType gpex_root_type = {
    .name = "gpex-root",
    .summary = "Host bridge function of gpex-pcihost",
    .bus = "pci",
    .category = "bridge",
    .instance_size = sizeof(GpexRoot),
    .bus_properties = gpex_root_properties,
    .state = gpex_root_state,
    .board_only = true,
    .realize = gpex_root_realize,
    .reset = gpex_root_reset,
};
DEVICE_TYPE(gpex_root_type);
