/* SPDX-License-Identifier: MIT */
/*
 * The Intel 440FX host bridge (82441FX PMC data sheet, 290549): configuration mechanism #1, the attributes of
 * memory between 640 KiB and 1 MiB (PAM) and system management memory (SMRAM). Its bus is "pci.0".
 *
 *   io 0    0xcf8, CONFIG_ADDRESS             io 1    0xcfc, CONFIG_DATA
 *   mmio 0  memory space of the bus, for the board to show where no RAM is
 *   mmio 1  1 MiB that goes over the first RAM: what PAM and SMRAM say is not RAM there
 *   mmio 2  what system management mode sees over everything: SMRAM at 0xa0000
 *   irq 0-3 INTA to INTD
 *
 * Not modelled: what DRAM, latency and error registers do (they keep what is written), AGP of the later chips.
 */
#include "base/error.h"
#include "hw/pci/pc-host.h"
#include "machine/machine.h"

enum {
    CONFIG_RAM_SIZE = 0x57, /* in units of 8 MiB, as coreboot looks for it */
    CONFIG_PAM = 0x59,
    CONFIG_SMRAM = 0x72,
};

typedef struct {
    PcHost host;
    IrqLine intx[4];
} I440fxHost;

/* PMCCFG to DRAMT, DRB to FDHC, MTT and CLT, ERRCMD: nothing follows from them. */
static const struct {
    uint8_t first, count;
} kept[] = { { 0x50, 7 }, { 0x58, 1 }, { 0x60, 9 }, { 0x70, 2 }, { 0x90, 1 } };

static PcHost *pc_host(Device *device)
{
    return container_of(device, PcHost, device);
}

static void update_map(PcHost *host)
{
    const PciDevice *pci = pci_device(host->function);

    legacy_memory_update(&host->legacy, pci->config + CONFIG_PAM, pci->config[CONFIG_SMRAM]);
}

/* --- the host --- */

static const PcHostShape shape = { .bus = "pci.0",
                                   .function = "i440FX",
                                   .overlay = "pam",
                                   .overlay_bytes = MIB(1),
                                   .smm_bytes = MIB(1) };

static bool host_realize(Device *device, GError **error)
{
    PcHost *host = pc_host(device);
    I440fxHost *i440fx = container_of(host, I440fxHost, host);

    host->wires = i440fx->intx;
    host->wire_count = ARRAY_SIZE(i440fx->intx);
    return pc_host_init(host, &shape, error) && pc_host_add_function(host, &shape, error);
}

static void host_reset(Device *device)
{
    pc_host_reset(pc_host(device));
}

static const DeviceType i440fx_pcihost_type = {
    .name = "i440FX-pcihost",
    .summary = "Intel 440FX host bridge",
    .category = "bridge",
    .instance_size = sizeof(I440fxHost),
    .board_only = true,
    .properties = (const Property[]){ { "pci-hole64-size", PROPERTY_SIZE,
                                        offsetof(I440fxHost, host.pci_hole64_size),
                                        "least bytes of the PCI window above RAM", "2G" },
                                      { 0 } },
    .state = (const StateField[]){ PC_HOST_STATE(I440fxHost, host), { 0 } },
    .realize = host_realize,
    .reset = host_reset,
};
DEVICE_TYPE(i440fx_pcihost_type);

/* --- its function 00.0 --- */

typedef struct {
    PciDevice pci;
} I440fx;

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    if (offset + size > CONFIG_PAM && offset <= CONFIG_SMRAM) {
        smram_update_lock(pci->config + CONFIG_SMRAM, pci->writable + CONFIG_SMRAM);
        update_map(pc_host(pci->device.bus->parent));
    }
}

static const PciDeviceOps i440fx_ops = { .config_written = config_written };

static bool i440fx_realize(Device *device, GError **error)
{
    PciDevice *pci = pci_device(device);
    Machine *machine = device->machine;

    if (device->bus->parent->type != &i440fx_pcihost_type) {
        return error_fail(error, KASO_ERROR_INVALID, "i440FX belongs to an i440FX-pcihost");
    }
    pci_set_identity(pci, 0x8086, 0x1237, 0x060000, 2);
    pci->config[CONFIG_RAM_SIZE] = (uint8_t)MIN(machine->config.ram_bytes / MIB(8), 0xff);
    pci->config[CONFIG_SMRAM] = SMRAM_BASE;
    memset(pci->writable + CONFIG_PAM, PAM_WRITABLE, PAM_REGISTERS);
    for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
        memset(pci->writable + kept[i].first, 0xff, kept[i].count);
    }
    pci->ops = &i440fx_ops;
    return true;
}

static void i440fx_reset(Device *device)
{
    PciDevice *pci = pci_device(device);
    uint8_t pam[PAM_REGISTERS];

    /* A resume starts in the firmware's shadow, where it has left word. */
    memcpy(pam, pci->config + CONFIG_PAM, sizeof pam);
    pci_reset(pci);
    if (machine_wake_reason(device->machine)) {
        memcpy(pci->config + CONFIG_PAM, pam, sizeof pam);
    }
    config_written(pci, CONFIG_SMRAM, 1);
}

static void i440fx_state_loaded(Device *device)
{
    PciDevice *pci = pci_device(device);

    pci_state_loaded(pci);
    pci->writable[CONFIG_SMRAM] = SMRAM_UNLOCKED;
    config_written(pci, CONFIG_SMRAM, 1);
}

static const DeviceType i440fx_type = {
    .name = "i440FX",
    .summary = "Function of the Intel 440FX host bridge",
    .bus = "pci",
    .category = "bridge",
    .instance_size = sizeof(I440fx),
    .bus_properties = (const Property[]){ PCI_PROPERTIES(I440fx, pci), { 0 } },
    .state = (const StateField[]){ PCI_STATE(I440fx, pci), { 0 } },
    .board_only = true,
    .realize = i440fx_realize,
    .reset = i440fx_reset,
    .state_loaded = i440fx_state_loaded,
};
DEVICE_TYPE(i440fx_type);
