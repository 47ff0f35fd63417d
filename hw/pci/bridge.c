/* SPDX-License-Identifier: MIT */
/*
 * What PCI-to-PCI bridges share: a type 1 header (PCI-to-PCI Bridge 1.2, 3.2), a bus named after the bridge's id, and windows that
 * the guest programs and that are mapped into the bus above.
 */
#include "hw/pci/bridge.h"

#include "base/error.h"
#include "machine/machine.h"

enum {
    PRIMARY_BUS = 0x18,
    SUBORDINATE_BUS = 0x1a,
    IO_BASE = 0x1c,
    IO_LIMIT = 0x1d,
    MEMORY_BASE = 0x20,
    MEMORY_LIMIT = 0x22,
    PREFETCH_BASE = 0x24,
    PREFETCH_LIMIT = 0x26,
    PREFETCH_BASE_UPPER = 0x28,
    PREFETCH_LIMIT_UPPER = 0x2c,
    IO_BASE_UPPER = 0x30,
    BRIDGE_CONTROL = 0x3e,

    WINDOW_KIND_BITS = 0xf, /* low bits of base and limit: address width */
    WINDOW_64_BIT = 1,
    BRIDGE_CONTROL_WRITABLE = 0x005f,
};

enum { WINDOW_IO, WINDOW_MEMORY, WINDOW_PREFETCH, WINDOW_COUNT };

static PciBridge *pci_bridge(PciDevice *pci)
{
    return container_of(pci, PciBridge, pci);
}

/* A window that decodes [base, limit]; an empty one has base > limit. */
static void window_range(const PciDevice *pci, unsigned window, uint64_t *base, uint64_t *limit)
{
    const uint8_t *config = pci->config;

    if (window == WINDOW_IO) {
        *base = (uint64_t)(config[IO_BASE] & 0xf0) << 8;
        *limit = (uint64_t)(config[IO_LIMIT] & 0xf0) << 8 | 0xfff;
    } else if (window == WINDOW_MEMORY) {
        *base = (uint64_t)(load_le16(config + MEMORY_BASE) & 0xfff0) << 16;
        *limit = (uint64_t)(load_le16(config + MEMORY_LIMIT) & 0xfff0) << 16 | 0xfffff;
    } else {
        *base = (uint64_t)load_le32(config + PREFETCH_BASE_UPPER) << 32 |
                (uint64_t)(load_le16(config + PREFETCH_BASE) & 0xfff0) << 16;
        *limit = (uint64_t)load_le32(config + PREFETCH_LIMIT_UPPER) << 32 |
                 (uint64_t)(load_le16(config + PREFETCH_LIMIT) & 0xfff0) << 16 | 0xfffff;
    }
}

static void windows_update(PciBridge *bridge)
{
    PciDevice *pci = &bridge->pci;
    uint16_t command = load_le16(pci->config + PCI_COMMAND);

    memory_transaction_begin(pci->device.machine);
    for (unsigned i = 0; i < WINDOW_COUNT; i++) {
        bool is_io = i == WINDOW_IO;
        uint64_t base, limit;

        window_range(pci, i, &base, &limit);
        if (bridge->mapped[i]) {
            memory_region_remove(&bridge->windows[i]);
            bridge->mapped[i] = false;
        }
        if (!(command & (is_io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)) || base > limit ||
            limit == UINT64_MAX) {
            continue;
        }
        memory_region_init_alias(&bridge->windows[i], pci->device.machine, "pci-bridge-window",
                                 is_io ? &bridge->io : &bridge->memory, base, limit - base + 1);
        memory_region_add(is_io ? pci->bus->io : pci->bus->memory, base, &bridge->windows[i], 1);
        bridge->mapped[i] = true;
    }
    memory_transaction_end(pci->device.machine);
}

void pci_bridge_config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    if (offset < PCI_STATUS || (offset + size > IO_BASE && offset < IO_BASE_UPPER)) {
        windows_update(pci_bridge(pci));
    }
}

static const PciDeviceOps pci_bridge_ops = {
    .config_written = pci_bridge_config_written,
};

bool pci_bridge_realize(PciBridge *bridge, const PciBridgeKind *kind, GError **error)
{
    static const uint8_t writable_bytes[] = { PRIMARY_BUS, PRIMARY_BUS + 1, SUBORDINATE_BUS };
    PciDevice *pci = &bridge->pci;
    Device *device = &pci->device;

    pci_set_identity(pci, kind->vendor, kind->device, 0x060400, kind->revision);
    pci->config[PCI_HEADER_TYPE] |= PCI_HEADER_TYPE_BRIDGE;
    if (pci->rom_known) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "a bridge has no expansion ROM");
    }
    pci->is_bridge = true;
    pci_set_interrupt_pin(pci, kind->interrupts);
    for (unsigned i = 0; i < ARRAY_SIZE(writable_bytes); i++) {
        pci->writable[writable_bytes[i]] = 0xff;
    }
    pci->writable[IO_BASE] = pci->writable[IO_LIMIT] = 0xf0;
    for (unsigned offset = MEMORY_BASE; offset <= PREFETCH_LIMIT; offset += 2) {
        store_le16(pci->writable + offset, 0xfff0);
    }
    store_le16(pci->config + PREFETCH_BASE, WINDOW_64_BIT);
    store_le16(pci->config + PREFETCH_LIMIT, WINDOW_64_BIT);
    store_le32(pci->writable + PREFETCH_BASE_UPPER, UINT32_MAX);
    store_le32(pci->writable + PREFETCH_LIMIT_UPPER, UINT32_MAX);
    store_le16(pci->writable + BRIDGE_CONTROL, BRIDGE_CONTROL_WRITABLE);
    pci->ops = &pci_bridge_ops;

    memory_region_init_container(&bridge->memory, device->machine, "pci-bridge-memory", UINT64_MAX);
    memory_region_init_container(&bridge->io, device->machine, "pci-bridge-io", 0x10000);
    pci_bus_init(&bridge->secondary, device, device->id, pci, &bridge->memory, &bridge->io);
    bridge->secondary.slots = kind->slots;
    bridge->secondary.bus.max_devices = kind->slots * 8;
    return true;
}

void pci_bridge_reset(Device *device)
{
    PciDevice *pci = pci_device(device);

    pci_reset(pci);
    windows_update(pci_bridge(pci));
}

void pci_bridge_state_loaded(Device *device)
{
    pci_state_loaded(pci_device(device));
    windows_update(pci_bridge(pci_device(device)));
}

void pci_bridge_describe(const PciDevice *pci, PciBridgeInfo *info)
{
    PciRange *ranges[WINDOW_COUNT] = { &info->io, &info->memory, &info->prefetchable };

    info->primary = pci->config[PRIMARY_BUS];
    info->secondary = pci->config[PRIMARY_BUS + 1];
    info->subordinate = pci->config[SUBORDINATE_BUS];
    for (unsigned i = 0; i < WINDOW_COUNT; i++) {
        window_range(pci, i, &ranges[i]->base, &ranges[i]->limit);
    }
}
