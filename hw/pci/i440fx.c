/* SPDX-License-Identifier: MIT */
/*
 * The Intel 440FX host bridge (82441FX PMC data sheet, 290549): configuration mechanism #1, the attributes of
 * memory between 640 KiB and 1 MiB (PAM) and system management memory (SMRAM). Its bus is "pci.0".
 *
 *   io 0    0xcf8, CONFIG_ADDRESS             io 1    0xcfc, CONFIG_DATA
 *   mmio 0  memory space of the bus, for the board to show where no RAM is
 *   mmio 1  1 MiB that goes over the first RAM: what PAM and SMRAM say is not RAM there
 *   mmio 2  SMRAM as system management mode sees it: 128 KiB at 0xa0000
 *   irq 0-3 INTA to INTD
 *
 * Not modelled: DRAM timing and size registers, error reporting, AGP of the later chips.
 */
#include "base/error.h"
#include "hw/pci/pci.h"
#include "machine/machine.h"

enum { CONFIG_ENABLE = 1u << 31 };
enum {
    CONFIG_RAM_SIZE = 0x57, /* in units of 8 MiB, as coreboot looks for it */
    CONFIG_PAM = 0x59,
    PAM_REGISTERS = 7,
    CONFIG_SMRAM = 0x72,
};
enum { PAM_READ = 1, PAM_WRITE = 2, PAM_ATTRIBUTES = 4, PAM_SEGMENTS = 13 };
enum {
    SMRAM_BASE = 0x02, /* the only base there is: 0xa0000 */
    SMRAM_ENABLE = 1 << 3,
    SMRAM_LOCK = 1 << 4,
    SMRAM_CLOSE = 1 << 5,
    SMRAM_OPEN = 1 << 6,
    SMRAM_UNLOCKED = SMRAM_ENABLE | SMRAM_LOCK | SMRAM_CLOSE | SMRAM_OPEN, /* what may be written */
};
enum { SMRAM_ADDRESS = 0xa0000, SMRAM_SIZE = 0x20000, PAM_ADDRESS = 0xc0000 };

/* One range of PAM, and what is over RAM there by its two bits (read: 1, write: 2). */
typedef struct {
    MemoryRegion from_pci; /* 0: neither */
    MemoryRegion shadow;   /* 1: RAM that cannot be written */
    MemoryRegion split;    /* 2: reads from the bus, writes to RAM */
} PamSegment;

typedef struct {
    Device device;
    PciBus bus;
    MemoryRegion memory, memory_abort, overlay, smram, smram_ram, vga_window;
    MemoryRegion config_address, config_data;
    PamSegment pam[PAM_SEGMENTS];
    IrqLine intx[4];
    Device *function;
    uint32_t address; /* CONFIG_ADDRESS */
    uint64_t pci_hole64_size;
} I440fxHost;

/* --- configuration mechanism #1 --- */

static MemoryResult address_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                 MemoryAttributes attributes)
{
    I440fxHost *host = opaque;

    *value = host->address >> offset * 8 & bits_mask(size * 8);
    return MEMORY_OK;
}

/* Only a doubleword is CONFIG_ADDRESS; what is narrower belongs to ordinary ports. */
static MemoryResult address_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                  MemoryAttributes attributes)
{
    I440fxHost *host = opaque;

    if (offset == 0 && size == 4) {
        host->address = (uint32_t)value;
    }
    return MEMORY_OK;
}

static const MemoryOps address_ops = {
    .read = address_read, .write = address_write, .size_max = 4, .whole = true
};

/*
 * Bits 1 and 0 of the address are reserved. Some programs that were never run on a chip put the byte's number there and use 0xcfc
 * for all; they are understood, and who follows the specification has zeros there.
 */
static unsigned register_of(uint32_t address, uint64_t offset, unsigned size)
{
    unsigned byte = (address & 3) | (unsigned)offset;

    return (address & 0xfc) + (byte + size <= 4 ? byte : (unsigned)offset);
}

static MemoryResult data_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                              MemoryAttributes attributes)
{
    I440fxHost *host = opaque;
    uint32_t address = host->address;

    *value = address & CONFIG_ENABLE
                 ? pci_host_config_read(&host->bus, address >> 16 & 0xff, address >> 8 & 0xff,
                                        register_of(address, offset, size), size)
                 : bits_mask(size * 8);
    return MEMORY_OK;
}

static MemoryResult data_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    I440fxHost *host = opaque;
    uint32_t address = host->address;

    if (address & CONFIG_ENABLE) {
        pci_host_config_write(&host->bus, address >> 16 & 0xff, address >> 8 & 0xff,
                              register_of(address, offset, size), (uint32_t)value, size);
    }
    return MEMORY_OK;
}

static const MemoryOps data_ops = { .read = data_read, .write = data_write, .size_max = 4 };

/* --- PAM and SMRAM --- */

/* Segment 0 is 0xf0000, in the high half of the first byte; then 16 KiB each from 0xc0000 on, low half first. */
static unsigned pam_attributes(const PciDevice *pci, unsigned segment)
{
    uint8_t byte = pci->config[CONFIG_PAM + (segment + 1) / 2];

    return (segment % 2 ? byte : byte >> PAM_ATTRIBUTES) & (PAM_READ | PAM_WRITE);
}

static void update_map(I440fxHost *host)
{
    const PciDevice *pci = pci_device(host->function);
    uint8_t smram = pci->config[CONFIG_SMRAM];
    bool enabled = smram & SMRAM_ENABLE;

    memory_transaction_begin(host->device.machine);
    for (unsigned i = 0; i < PAM_SEGMENTS; i++) {
        unsigned attributes = pam_attributes(pci, i);

        memory_region_set_enabled(&host->pam[i].from_pci, attributes == 0);
        memory_region_set_enabled(&host->pam[i].shadow, attributes == PAM_READ);
        memory_region_set_enabled(&host->pam[i].split, attributes == PAM_WRITE);
    }
    memory_region_set_enabled(&host->vga_window, !(enabled && smram & SMRAM_OPEN));
    memory_region_set_enabled(&host->smram_ram, enabled && !(smram & SMRAM_CLOSE));
    memory_transaction_end(host->device.machine);
}

static void init_pam(I440fxHost *host, PamSegment *segment, uint32_t address, uint32_t size)
{
    Machine *machine = host->device.machine;

    memory_region_init_alias(&segment->from_pci, machine, "pam-pci", &host->memory, address, size);
    memory_region_init_alias(&segment->shadow, machine, "pam-rom", &machine->ram, address, size);
    memory_region_set_readonly(&segment->shadow, true);
    memory_region_init_alias(&segment->split, machine, "pam-split", &host->memory, address, size);
    memory_region_set_written(&segment->split, &machine->ram, address);
    memory_region_add(&host->overlay, address, &segment->from_pci, 0);
    memory_region_add(&host->overlay, address, &segment->shadow, 0);
    memory_region_add(&host->overlay, address, &segment->split, 0);
}

static void init_legacy_memory(I440fxHost *host)
{
    Machine *machine = host->device.machine;

    memory_region_init_container(&host->overlay, machine, "pam", MIB(1));
    init_pam(host, &host->pam[0], 0xf0000, 0x10000);
    for (unsigned i = 1; i < PAM_SEGMENTS; i++) {
        init_pam(host, &host->pam[i], PAM_ADDRESS + (i - 1) * 0x4000, 0x4000);
    }
    memory_region_init_alias(&host->vga_window, machine, "smram-region", &host->memory,
                             SMRAM_ADDRESS, SMRAM_SIZE);
    memory_region_add(&host->overlay, SMRAM_ADDRESS, &host->vga_window, 0);
    memory_region_init_container(&host->smram, machine, "smram", SMRAM_SIZE);
    memory_region_init_alias(&host->smram_ram, machine, "smram-low", &machine->ram, SMRAM_ADDRESS,
                             SMRAM_SIZE);
    memory_region_add(&host->smram, 0, &host->smram_ram, 0);
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
    init_legacy_memory(host);
    memory_region_init_io(&host->config_address, machine, "pci-conf-idx", 4, &address_ops, host);
    memory_region_init_io(&host->config_data, machine, "pci-conf-data", 4, &data_ops, host);
    device_add_io(device, &host->config_address);
    device_add_io(device, &host->config_data);
    device_add_mmio(device, &host->memory);
    device_add_mmio(device, &host->overlay);
    device_add_mmio(device, &host->smram);
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

    host->address = 0;
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
    .state = (const StateField[]){ STATE(I440fxHost, address),
                                   STATE_DERIVED(I440fxHost, pam),
                                   STATE_DERIVED(I440fxHost, vga_window),
                                   STATE_DERIVED(I440fxHost, smram_ram),
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
    memset(pci->writable + CONFIG_PAM, 0x33, PAM_REGISTERS);
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
