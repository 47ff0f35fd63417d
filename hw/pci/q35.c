/* SPDX-License-Identifier: MIT */
/*
 * The host bridge of Intel's 3 series (82Q35 MCH; data sheet 316966): configuration by mechanism #1 and in memory, the attributes of
 * memory between 640 KiB and 1 MiB (PAM), system management memory (SMRAM at 0xa0000 and its high twin, TSEG). Its bus is "pcie.0".
 *
 *   io 0     0xcf8, CONFIG_ADDRESS             io 1    0xcfc, CONFIG_DATA
 *   mmio 0   memory space of the bus, for the board to show where no RAM is
 *   mmio 1   what the bridge itself decodes, over RAM
 *   mmio 2   what system management mode sees over everything
 *   irq 0-31 wires of machine/arch/ich9.h
 *
 * Not modelled: DRAM and its timing, graphics, remapping (the board has RAM above 4 GiB where it wants it), MCHBAR, DMIBAR, EPBAR,
 * error reporting.
 */
#include "base/error.h"
#include "hw/pci/ecam.h"
#include "hw/pci/pc-host.h"
#include "machine/arch/ich9.h"
#include "machine/machine.h"

enum {
    /* Of virtual machines: MiB of the fourth size of TSEG. Firmware writes ones, which only stay where there is none. */
    CONFIG_EXT_TSEG = 0x50,
    CONFIG_PCIEXBAR = 0x60,
    CONFIG_PAM = 0x90,
    CONFIG_SMRAM = 0x9d,
    CONFIG_ESMRAMC = 0x9e,
    /* TOM to TOLUD: firmware keeps there what it has found, TSEG's base too; nothing moves by it. */
    CONFIG_MEMORY_MAP = 0xa0,
    MEMORY_MAP_BYTES = 0x12,

    PCIEXBAR_ENABLE = 1 << 0,
    PCIEXBAR_LENGTH_SHIFT = 1,
    ESMRAMC_TSEG = 1 << 0,
    ESMRAMC_SIZE_SHIFT = 1,
    ESMRAMC_HIGH = 1 << 7,
    ESMRAMC_FIXED = 0x38, /* caching is as it is */
    ESMRAMC_UNLOCKED = ESMRAMC_TSEG | 3 << ESMRAMC_SIZE_SHIFT | ESMRAMC_HIGH,
    TSEG_SIZES = 4,
    TSEG_EXTENDED = 3,
};
#define PCIEXBAR_DEFAULT   UINT64_C(0xb0000000)
#define HIGH_SMRAM_ADDRESS 0xfeda0000u

typedef struct {
    PcHost host;
    MemoryRegion ecam;
    bool in_ecam;                   /* a write through it is being carried out */
    MemoryRegion high_smram;        /* SMRAM once more, for system management mode */
    MemoryRegion tseg, tseg_hidden; /* for that mode, and for the others */
    IrqLine wires[ICH9_WIRES];
    uint64_t ram_below_4g;
} Q35Host;

typedef struct {
    PciDevice pci;
    uint16_t extended_tseg_mib;
} Mch;

static Q35Host *q35_host(Device *device)
{
    return container_of(device, Q35Host, host.device);
}

static Mch *mch(Device *device)
{
    return container_of(pci_device(device), Mch, pci);
}

/* --- what the registers show and hide --- */

static MemoryResult write_ecam(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    Q35Host *host = container_of(opaque, Q35Host, host.bus);
    MemoryResult result;

    host->in_ecam = true;
    result = pci_ecam_write(opaque, offset, value, size, attributes);
    host->in_ecam = false;
    return result;
}

static const MemoryOps ecam_ops = {
    .read = pci_ecam_read,
    .write = write_ecam,
    .size_min = 1,
    .size_max = 4,
};

/*
 * 256, 128 or 64 buses. Who closes the window through itself could not open it again; SeaBIOS does so when it resumes, and goes on there. So
 * it stays where it was, until another write to the bridge.
 */
static void update_ecam(Q35Host *host, const uint8_t *config)
{
    static const uint64_t sizes[] = { MIB(256), MIB(128), MIB(64), 0 };
    uint64_t value = load_le64(config + CONFIG_PCIEXBAR);
    uint64_t size = sizes[value >> PCIEXBAR_LENGTH_SHIFT & 3];
    uint64_t base = size ? value & UINT64_C(0xfffffffff) & ~(size - 1) : 0;
    bool on = value & PCIEXBAR_ENABLE && size;

    if (!on && host->in_ecam) {
        return;
    }
    if (on && host->ecam.size != size) {
        memory_region_place(&host->host.overlay, 0, &host->ecam, 2, false);
        memory_region_init_io(&host->ecam, host->host.device.machine, "pcie-ecam", size, &ecam_ops,
                              &host->host.bus);
    }
    memory_region_place(&host->host.overlay, base, &host->ecam, 2, on);
}

static uint64_t tseg_bytes(const Mch *mch)
{
    static const uint8_t mib[TSEG_SIZES] = { 1, 2, 8, 0 };
    unsigned size = mch->pci.config[CONFIG_ESMRAMC] >> ESMRAMC_SIZE_SHIFT & 3;

    if (size == TSEG_EXTENDED && mch->extended_tseg_mib) {
        return MIB(load_le16(mch->pci.config + CONFIG_EXT_TSEG));
    }
    return MIB(mib[size]);
}

static void show_tseg(Q35Host *host, uint64_t base, bool shown)
{
    memory_region_place(&host->host.smm, base, &host->tseg, 0, shown);
    memory_region_place(&host->host.overlay, base, &host->tseg_hidden, 1, shown);
}

/* TSEG is the last RAM below 4 GiB; other modes find nobody there. */
static void update_tseg(Q35Host *host, const Mch *mch)
{
    const uint8_t *config = mch->pci.config;
    Machine *machine = host->host.device.machine;
    uint64_t size = tseg_bytes(mch), base = host->ram_below_4g - size;
    bool on = config[CONFIG_SMRAM] & SMRAM_ENABLE && config[CONFIG_ESMRAMC] & ESMRAMC_TSEG &&
              size && size < host->ram_below_4g;

    if (on && host->tseg.size != size) {
        show_tseg(host, base, false);
        memory_region_init_alias(&host->tseg, machine, "tseg", &machine->ram, base, size);
        memory_region_init_io(&host->tseg_hidden, machine, "tseg-hidden", size, &pci_abort_ops,
                              host);
    }
    show_tseg(host, base, on);
}

static void update_map(Q35Host *host)
{
    const Mch *function = mch(host->host.function);
    const uint8_t *config = function->pci.config;

    memory_transaction_begin(host->host.device.machine);
    legacy_memory_update(&host->host.legacy, config + CONFIG_PAM, config[CONFIG_SMRAM]);
    memory_region_set_enabled(&host->high_smram, config[CONFIG_SMRAM] & SMRAM_ENABLE &&
                                                     config[CONFIG_ESMRAMC] & ESMRAMC_HIGH);
    update_ecam(host, config);
    update_tseg(host, function);
    memory_transaction_end(host->host.device.machine);
}

/* --- the host --- */

static bool may_plug(void *opaque, PciDevice *pci, GError **error)
{
    return error_fail(error, KASO_ERROR_UNSUPPORTED,
                      "Bus 'pcie.0' does not support hotplugging: plug %s into a pcie-root-port",
                      pci->device.type->name);
}

static bool unplug(void *opaque, PciDevice *pci, GError **error)
{
    return error_fail(error, KASO_ERROR_UNSUPPORTED, "Bus 'pcie.0' does not support hotplugging");
}

/* What sits on the root bus is a part of the chip. */
static const PciHotplug no_hotplug = { .may_plug = may_plug, .unplug = unplug };

static unsigned intx_wire(unsigned slot, unsigned pin)
{
    return ich9_wire(slot, pin);
}

static const PcHostShape shape = { .bus = "pcie.0",
                                   .function = "mch",
                                   .overlay = "mch",
                                   .overlay_bytes = UINT64_MAX,
                                   .smm_bytes = GIB(4),
                                   .intx_wire = intx_wire };

static bool host_realize(Device *device, GError **error)
{
    Q35Host *q35 = q35_host(device);
    PcHost *host = &q35->host;
    Machine *machine = device->machine;

    host->wires = q35->wires;
    host->wire_count = ARRAY_SIZE(q35->wires);
    if (!pc_host_init(host, &shape, error)) {
        return false;
    }
    if (!q35->ram_below_4g) {
        q35->ram_below_4g = MIN(machine->ram.size, GIB(2));
    }
    memory_region_init_alias(&q35->high_smram, machine, "smram-high", &machine->ram, SMRAM_ADDRESS,
                             SMRAM_SIZE);
    memory_region_add(&host->smm, HIGH_SMRAM_ADDRESS, &q35->high_smram, 0);
    host->bus.hotplug = &no_hotplug;
    return pc_host_add_function(host, &shape, error);
}

static void host_reset(Device *device)
{
    pc_host_reset(&q35_host(device)->host);
}

static const DeviceType q35_pcihost_type = {
    .name = "q35-pcihost",
    .summary = "Intel Q35 host bridge",
    .category = "bridge",
    .instance_size = sizeof(Q35Host),
    .board_only = true,
    .properties =
        (const Property[]){ { "below-4g-mem-size", PROPERTY_SIZE, offsetof(Q35Host, ram_below_4g),
                              "bytes of RAM below 4 GiB; 0: all, or 2 GiB" },
                            { "pci-hole64-size", PROPERTY_SIZE,
                              offsetof(Q35Host, host.pci_hole64_size),
                              "least bytes of the PCI window above RAM", "32G" },
                            { 0 } },
    .state = (const StateField[]){ PC_HOST_STATE(Q35Host, host),
                                   STATE_DERIVED(Q35Host, ecam),
                                   STATE_DERIVED(Q35Host, in_ecam),
                                   STATE_DERIVED(Q35Host, high_smram),
                                   STATE_DERIVED(Q35Host, tseg),
                                   STATE_DERIVED(Q35Host, tseg_hidden),
                                   { 0 } },
    .realize = host_realize,
    .reset = host_reset,
};
DEVICE_TYPE(q35_pcihost_type);

/* --- its function 00.0 --- */

static void update_lock(PciDevice *pci)
{
    bool locked = smram_update_lock(pci->config + CONFIG_SMRAM, pci->writable + CONFIG_SMRAM);

    pci->writable[CONFIG_ESMRAMC] = locked ? 0 : ESMRAMC_UNLOCKED;
}

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    if (offset + size > CONFIG_PCIEXBAR && offset <= CONFIG_ESMRAMC) {
        update_lock(pci);
        update_map(q35_host(pci->device.bus->parent));
    }
}

static const PciDeviceOps mch_ops = { .config_written = config_written };

static bool mch_realize(Device *device, GError **error)
{
    PciDevice *pci = pci_device(device);
    uint16_t tseg_mib = mch(device)->extended_tseg_mib;

    if (device->bus->parent->type != &q35_pcihost_type) {
        return error_fail(error, KASO_ERROR_INVALID, "mch belongs to a q35-pcihost");
    }
    pci_set_identity(pci, 0x8086, 0x29c0, 0x060000, 0);
    store_le16(pci->config + CONFIG_EXT_TSEG, tseg_mib);
    store_le16(pci->writable + CONFIG_EXT_TSEG, tseg_mib ? 0 : UINT16_MAX);
    store_le64(pci->config + CONFIG_PCIEXBAR, PCIEXBAR_DEFAULT);
    store_le64(pci->writable + CONFIG_PCIEXBAR, UINT64_C(0xffc000007));
    memset(pci->writable + CONFIG_PAM, PAM_WRITABLE, PAM_REGISTERS);
    memset(pci->writable + CONFIG_MEMORY_MAP, UINT8_MAX, MEMORY_MAP_BYTES);
    pci->config[CONFIG_SMRAM] = SMRAM_BASE;
    pci->config[CONFIG_ESMRAMC] = ESMRAMC_FIXED;
    pci->ops = &mch_ops;
    return true;
}

static void mch_reset(Device *device)
{
    PciDevice *pci = pci_device(device);
    uint8_t pam[PAM_REGISTERS], ecam[8];

    /* A resume starts in the firmware's shadow, where it has left word, and reaches configuration space as it last did. */
    memcpy(pam, pci->config + CONFIG_PAM, sizeof pam);
    memcpy(ecam, pci->config + CONFIG_PCIEXBAR, sizeof ecam);
    pci_reset(pci);
    if (machine_wake_reason(device->machine)) {
        memcpy(pci->config + CONFIG_PAM, pam, sizeof pam);
        memcpy(pci->config + CONFIG_PCIEXBAR, ecam, sizeof ecam);
    }
    update_lock(pci);
    update_map(q35_host(device->bus->parent));
}

static void mch_state_loaded(Device *device)
{
    PciDevice *pci = pci_device(device);

    /* The guest goes by the size that it was told, whatever this board would tell. */
    if (mch(device)->extended_tseg_mib) {
        memcpy(pci->reset_config + CONFIG_EXT_TSEG, pci->config + CONFIG_EXT_TSEG,
               sizeof(uint16_t));
    }
    /* A locked register is as it was loaded, not as after a reset. */
    pci->writable[CONFIG_SMRAM] = SMRAM_UNLOCKED;
    pci->writable[CONFIG_ESMRAMC] = ESMRAMC_UNLOCKED;
    pci_state_loaded(pci);
    update_lock(pci);
    update_map(q35_host(device->bus->parent));
}

static const DeviceType mch_type = {
    .name = "mch",
    .summary = "Function of the Intel Q35 host bridge",
    .bus = "pci",
    .category = "bridge",
    .instance_size = sizeof(Mch),
    .properties =
        (const Property[]){ { "extended-tseg-mbytes", PROPERTY_U16,
                              offsetof(Mch, extended_tseg_mib),
                              "MiB of the fourth size of TSEG; 0: there are three", "64" },
                            { 0 } },
    .bus_properties = (const Property[]){ PCI_PROPERTIES(Mch, pci), { 0 } },
    .state = (const StateField[]){ PCI_STATE(Mch, pci), { 0 } },
    .board_only = true,
    .realize = mch_realize,
    .reset = mch_reset,
    .state_loaded = mch_state_loaded,
};
DEVICE_TYPE(mch_type);
