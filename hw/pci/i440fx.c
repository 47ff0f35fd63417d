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
 * Not modelled: DRAM timing and size registers, error reporting, AGP of the later chips.
 */
#include "base/error.h"
#include "hw/pci/conf1.h"
#include "hw/pci/legacy-memory.h"
#include "machine/machine.h"

enum {
    CONFIG_RAM_SIZE = 0x57, /* in units of 8 MiB, as coreboot looks for it */
    CONFIG_PAM = 0x59,
    CONFIG_SMRAM = 0x72,
};

typedef struct {
    Device device;
    PciBus bus;
    PciConf1 conf1;
    MemoryRegion memory, memory_abort, overlay, smm;
    LegacyMemory legacy;
    IrqLine intx[4];
    Device *function;
    uint64_t pci_hole64_size;
} I440fxHost;

/* --- PAM and SMRAM --- */

static void update_map(I440fxHost *host)
{
    const PciDevice *pci = pci_device(host->function);

    legacy_memory_update(&host->legacy, pci->config + CONFIG_PAM, pci->config[CONFIG_SMRAM]);
}

/* --- the host --- */

static I440fxHost *i440fx_host(Device *device)
{
    return container_of(device, I440fxHost, device);
}

static void set_intx(void *opaque, unsigned pin, int level)
{
    I440fxHost *host = opaque;

    irq_set(&host->intx[pin], level);
}

static bool host_realize(Device *device, GError **error)
{
    I440fxHost *host = i440fx_host(device);
    Machine *machine = device->machine;

    if (machine->ram.size < MIB(1)) {
        return error_fail(error, KASO_ERROR_INVALID, "i440FX-pcihost needs at least 1 MiB of RAM");
    }
    memory_region_init_container(&host->memory, machine, "pci", UINT64_MAX);
    memory_region_init_io(&host->memory_abort, machine, "pci-abort", UINT64_MAX, &pci_abort_ops,
                          host);
    memory_region_add(&host->memory, 0, &host->memory_abort, -1);
    memory_region_init_container(&host->overlay, machine, "pam", MIB(1));
    memory_region_init_container(&host->smm, machine, "smram", MIB(1));
    legacy_memory_init(&host->legacy, machine, &host->overlay, &host->memory, &host->smm);
    pci_conf1_init(&host->conf1, device, &host->bus);
    device_add_mmio(device, &host->memory);
    device_add_mmio(device, &host->overlay);
    device_add_mmio(device, &host->smm);
    for (unsigned i = 0; i < ARRAY_SIZE(host->intx); i++) {
        device_add_irq(device, &host->intx[i]);
    }
    pci_bus_init(&host->bus, device, "pci.0", NULL, &host->memory, machine->system_io);
    host->bus.set_intx = set_intx;
    host->bus.opaque = host;
    host->bus.msi = true;
    host->bus.unit = "i0cf8";
    host->function = device_create(machine, device, "i440FX", &host->bus.bus, NULL, error);
    return host->function && device_realize(host->function, error);
}

static void host_reset(Device *device)
{
    I440fxHost *host = i440fx_host(device);

    host->conf1.address = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(host->intx); i++) {
        irq_set(&host->intx[i], host->bus.intx_count[i] > 0);
    }
}

static const DeviceType i440fx_pcihost_type = {
    .name = "i440FX-pcihost",
    .summary = "Intel 440FX host bridge",
    .category = "bridge",
    .instance_size = sizeof(I440fxHost),
    .board_only = true,
    .properties = (const Property[]){ { "pci-hole64-size", PROPERTY_SIZE,
                                        offsetof(I440fxHost, pci_hole64_size),
                                        "least bytes of the PCI window above RAM", "2G" },
                                      { 0 } },
    .state = (const StateField[]){ STATE(I440fxHost, conf1.address),
                                   STATE_DERIVED(I440fxHost, legacy),
                                   { 0 } },
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
    uint8_t *smram = &pci->config[CONFIG_SMRAM];

    if (offset + size <= CONFIG_PAM || offset > CONFIG_SMRAM) {
        return;
    }
    if (*smram & SMRAM_LOCK) {
        /* Only a reset unlocks, and what is locked stays closed. */
        *smram &= (uint8_t)~SMRAM_OPEN;
        pci->writable[CONFIG_SMRAM] = SMRAM_CLOSE;
    }
    update_map(i440fx_host(pci->device.bus->parent));
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
    pci->writable[CONFIG_SMRAM] = SMRAM_UNLOCKED;
    update_map(i440fx_host(device->bus->parent));
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
