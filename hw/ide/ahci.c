/* SPDX-License-Identifier: MIT */
/*
 * AHCI host bus adapter of an ICH9: six ports, native command queuing, 64-bit addresses. Buses "ID.0" to "ID.5".
 *
 * Not modelled: port multipliers, command completion coalescing, staggered spin-up, hot plug of links.
 */
#include "hw/ide/ahci.h"

#include "machine/machine.h"

enum {
    /* Registers of the HBA (3.1). */
    HBA_CAP = 0x00,
    HBA_GHC = 0x04,
    HBA_IS = 0x08,
    HBA_PI = 0x0c,
    HBA_VS = 0x10,
    HBA_PORTS = 0x100,
    PORT_SIZE = 0x80,
    MEMORY_SIZE = 0x1000,

    /* Of the ICH9's configuration space (316972, 15.1.31): which SATA mode firmware chose. */
    CONFIG_MAP = 0x90,
    MAP_AHCI = 1 << 6,

    CAP_GEN1 = 1 << 20,
    CAP_AHCI_ONLY = 1 << 18,
    CAP_NCQ = 1 << 30,
    GHC_RESET = 1 << 0,
    GHC_INTERRUPTS = 1 << 1,
    VERSION_1_0 = 0x10000,

    /* The index and data pair behind a BAR of I/O ports (2.4). */
    PORTS_SIZE = 32,
    PORT_INDEX = 16,
    PORT_DATA = 20,

    CAPABILITY_SATA = 0x12,
    CLASS_SATA_AHCI = 0x010601,
};
#define CAP_64_BIT  (UINT32_C(1) << 31)
#define GHC_ENABLED (UINT32_C(1) << 31)

static Ahci *ahci_of(Device *device)
{
    return container_of(pci_device(device), Ahci, pci);
}

void ahci_update_irq(Ahci *ahci)
{
    bool level;

    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        if (ahci->ports[i].is & ahci->ports[i].ie) {
            ahci->is |= 1u << i;
        }
    }
    level = ahci->ghc & GHC_INTERRUPTS && ahci->is;
    if (level && !ahci->interrupted) {
        ahci->interrupted = true; /* before the message, which may reach these registers */
        pci_msi_notify(&ahci->pci);
    }
    ahci->interrupted = level;
    pci_set_irq(&ahci->pci, level && !pci_msi_enabled(&ahci->pci));
}

/* Registers */

static uint32_t read_register(Ahci *ahci, unsigned offset)
{
    switch (offset) {
    case HBA_CAP:
        return CAP_64_BIT | CAP_NCQ | CAP_GEN1 | CAP_AHCI_ONLY | (AHCI_SLOTS - 1) << 8 |
               (AHCI_PORTS - 1);
    case HBA_GHC:
        return ahci->ghc | GHC_ENABLED;
    case HBA_IS:
        return ahci->is;
    case HBA_PI:
        return (1 << AHCI_PORTS) - 1;
    case HBA_VS:
        return VERSION_1_0;
    default:
        return 0;
    }
}

static void reset_ports(Ahci *ahci)
{
    ahci->ghc = ahci->is = 0;
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        ahci_port_reset(&ahci->ports[i]);
    }
    ahci_update_irq(ahci);
}

static void write_register(Ahci *ahci, unsigned offset, uint32_t value)
{
    switch (offset) {
    case HBA_GHC:
        if (value & GHC_RESET) {
            reset_ports(ahci);
        } else {
            ahci->ghc = value & GHC_INTERRUPTS;
            ahci_update_irq(ahci);
        }
        break;
    case HBA_IS:
        ahci->is &= ~value;
        ahci->interrupted = ahci->interrupted && ahci->is;
        ahci_update_irq(ahci);
        break;
    default:
        log_guest_error("ahci", "write of %#x to read-only %#x", value, offset);
    }
}

static uint32_t read_word(Ahci *ahci, unsigned offset)
{
    unsigned port = (offset - HBA_PORTS) / PORT_SIZE;

    if (offset < HBA_PORTS) {
        return read_register(ahci, offset);
    }
    return port < AHCI_PORTS ? ahci_port_read(&ahci->ports[port], offset % PORT_SIZE) : 0;
}

static void write_word(Ahci *ahci, unsigned offset, uint32_t value)
{
    unsigned port = (offset - HBA_PORTS) / PORT_SIZE;

    if (offset < HBA_PORTS) {
        write_register(ahci, offset, value);
    } else if (port < AHCI_PORTS) {
        ahci_port_write(&ahci->ports[port], offset % PORT_SIZE, value);
    }
}

static MemoryResult read_memory(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                MemoryAttributes attributes)
{
    *value = read_word(opaque, (unsigned)offset);
    return MEMORY_OK;
}

static MemoryResult write_memory(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                 MemoryAttributes attributes)
{
    write_word(opaque, (unsigned)offset, (uint32_t)value);
    return MEMORY_OK;
}

static const MemoryOps memory_ops = {
    .read = read_memory, .write = write_memory, .size_min = 4, .size_max = 4
};

static MemoryResult read_ports(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                               MemoryAttributes attributes)
{
    Ahci *ahci = opaque;

    *value = offset == PORT_INDEX  ? ahci->index
             : offset == PORT_DATA ? read_word(ahci, ahci->index)
                                   : 0;
    return MEMORY_OK;
}

static MemoryResult write_ports(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                MemoryAttributes attributes)
{
    Ahci *ahci = opaque;

    if (offset == PORT_INDEX) {
        ahci->index = value & (MEMORY_SIZE - 4);
    } else if (offset == PORT_DATA) {
        write_word(ahci, ahci->index, (uint32_t)value);
    }
    return MEMORY_OK;
}

static const MemoryOps ports_ops = {
    .read = read_ports, .write = write_ports, .size_min = 4, .size_max = 4
};

/* Life */

/* Messages may have been switched on or off. */
static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    ahci_update_irq(container_of(pci, Ahci, pci));
}

static const PciDeviceOps pci_ops = { .config_written = config_written };

static void on_event(void *opaque, const char *event, const char *json_data)
{
    Ahci *ahci = opaque;
    Machine *machine = ahci->pci.device.machine;
    bool locked = machine_lock_held(machine);

    if (strcmp(event, "RESUME") != 0) {
        return;
    }
    if (!locked) {
        machine_lock(machine);
    }
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        ahci_ncq_resume(&ahci->ports[i]);
    }
    if (!locked) {
        machine_unlock(machine);
    }
}

static bool ahci_realize(Device *device, GError **error)
{
    Ahci *ahci = ahci_of(device);
    unsigned capability;

    pci_set_identity(&ahci->pci, 0x8086, 0x2922, CLASS_SATA_AHCI, 2);
    pci_set_interrupt_pin(&ahci->pci, 1);
    ahci->pci.config[CONFIG_MAP] = MAP_AHCI;
    ahci->pci.ops = &pci_ops;
    memory_region_init_io(&ahci->memory, device->machine, "ahci", MEMORY_SIZE, &memory_ops, ahci);
    memory_region_init_io(&ahci->ports_region, device->machine, "ahci-idp", PORTS_SIZE, &ports_ops,
                          ahci);
    pci_add_bar(&ahci->pci, 4, PCI_BAR_IO, false, &ahci->ports_region);
    pci_add_bar(&ahci->pci, 5, PCI_BAR_MEMORY32, false, &ahci->memory);
    pci_add_msi(&ahci->pci);
    capability = pci_add_capability(&ahci->pci, CAPABILITY_SATA, 8);
    store_le16(ahci->pci.config + capability + 2, 0x10);                    /* revision 1.0 */
    store_le32(ahci->pci.config + capability + 4, PORT_INDEX / 4 << 4 | 8); /* in BAR 4 */
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        ahci_port_init(&ahci->ports[i], ahci, i);
    }
    machine_add_event_listener(device->machine, on_event, ahci);
    return true;
}

static void ahci_unrealize(Device *device)
{
    machine_remove_event_listener(device->machine, on_event, ahci_of(device));
}

static void ahci_reset(Device *device)
{
    Ahci *ahci = ahci_of(device);

    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        ahci_ncq_drain(&ahci->ports[i]);
    }
    ahci->index = 0;
    reset_ports(ahci);
    pci_reset(&ahci->pci);
}

static void ahci_state_loaded(Device *device)
{
    Ahci *ahci = ahci_of(device);

    pci_state_loaded(&ahci->pci);
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        uint32_t ncq = ahci->ports[i].ncq;

        /* What is in flight belongs to another past; what the state had is made when the machine goes on. */
        ahci_ncq_forget(&ahci->ports[i]);
        ahci->ports[i].ncq = ncq;
    }
    pci_set_irq(&ahci->pci, ahci->interrupted && !pci_msi_enabled(&ahci->pci));
}

static const StateField port_state[] = { AHCI_PORT_STATE, { 0 } };

static const StateField ahci_state[] = {
    PCI_STATE(Ahci, pci),
    STATE(Ahci, ghc),
    STATE(Ahci, is),
    STATE(Ahci, index),
    STATE(Ahci, interrupted),
    STATE_STRUCTS(Ahci, ports, port_state),
    { 0 },
};

static const Property ahci_bus_properties[] = { PCI_PROPERTIES(Ahci, pci), { 0 } };

static const DeviceType ahci_type = {
    .name = "ich9-ahci",
    .alias = "ahci",
    .summary = "ICH9 AHCI: six Serial ATA ports",
    .bus = "pci",
    .category = "storage",
    .instance_size = sizeof(Ahci),
    .bus_properties = ahci_bus_properties,
    .state = ahci_state,
    .realize = ahci_realize,
    .unrealize = ahci_unrealize,
    .reset = ahci_reset,
    .state_loaded = ahci_state_loaded,
};
DEVICE_TYPE(ahci_type);
