/* SPDX-License-Identifier: MIT */
/*
 * The IDE function of the 82371SB (PIIX3; Intel 290550-002, 2.3): two channels at the ports of the PC/AT, with
 * bus master DMA. Buses "ide.0" and "ide.1".
 *
 * The timing registers (0x40 to 0x44) are kept and have no effect; in particular the channels answer at their ports
 * whether or not firmware has set IDETIM's decode bits and the function's I/O enable.
 */
#include "hw/ide/bus-master.h"
#include "machine/machine.h"

enum {
    CHANNELS = 2,
    BAR = 4,
    BAR_SIZE = 16,
    TIMING = 0x40,
    TIMING_SIZE = 5,
    STATUS_FAST_BACK_TO_BACK = 1 << 7,
    STATUS_DEVSEL_MEDIUM = 1 << 9,
    CLASS = 0x010180, /* compatibility mode only, bus master */
};

typedef struct {
    PciDevice pci;
    BusMaster masters[CHANNELS];
    MemoryRegion bar;
} Piix3Ide;

static Piix3Ide *piix3_ide(Device *device)
{
    return container_of(pci_device(device), Piix3Ide, pci);
}

static bool piix3_ide_realize(Device *device, GError **error)
{
    static const struct {
        const char *name;
        uint16_t command, control;
    } channels[CHANNELS] = { { "ide.0", 0x1f0, 0x3f6 }, { "ide.1", 0x170, 0x376 } };
    Piix3Ide *ide = piix3_ide(device);

    pci_set_identity(&ide->pci, 0x8086, 0x7010, CLASS, 0);
    store_le16(ide->pci.config + PCI_STATUS, STATUS_FAST_BACK_TO_BACK | STATUS_DEVSEL_MEDIUM);
    memset(ide->pci.writable + TIMING, 0xff, TIMING_SIZE);
    memory_region_init_container(&ide->bar, device->machine, "piix3-ide", BAR_SIZE);
    for (unsigned i = 0; i < CHANNELS; i++) {
        bus_master_init(&ide->masters[i], &ide->pci, i, channels[i].name, channels[i].command,
                        channels[i].control);
        memory_region_add(&ide->bar, i * BAR_SIZE / CHANNELS, &ide->masters[i].region, 0);
    }
    pci_add_bar(&ide->pci, BAR, PCI_BAR_IO, false, &ide->bar);
    return true;
}

static void piix3_ide_unrealize(Device *device)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        bus_master_remove(&piix3_ide(device)->masters[i]);
    }
}

static void piix3_ide_reset(Device *device)
{
    Piix3Ide *ide = piix3_ide(device);
    uint8_t timing[TIMING_SIZE];

    for (unsigned i = 0; i < CHANNELS; i++) {
        bus_master_reset(&ide->masters[i]);
    }
    /* SeaBIOS enables the channels once, and not on the way back from sleep: Linux then takes a disabled one for empty. */
    memcpy(timing, ide->pci.config + TIMING, sizeof timing);
    pci_reset(&ide->pci);
    if (machine_wake_reason(device->machine)) {
        memcpy(ide->pci.config + TIMING, timing, sizeof timing);
    }
}

static void piix3_ide_state_loaded(Device *device)
{
    Piix3Ide *ide = piix3_ide(device);

    pci_state_loaded(&ide->pci);
    for (unsigned i = 0; i < CHANNELS; i++) {
        bus_master_state_loaded(&ide->masters[i]);
    }
}

static const Property piix3_ide_bus_properties[] = { PCI_PROPERTIES(Piix3Ide, pci), { 0 } };

static const StateField piix3_ide_state[] = {
    PCI_STATE(Piix3Ide, pci),
    BUS_MASTER_STATE(Piix3Ide, masters[0]),
    BUS_MASTER_STATE(Piix3Ide, masters[1]),
    { 0 },
};

static const DeviceType piix3_ide_type = {
    .name = "piix3-ide",
    .summary = "PIIX3 IDE controller: two channels with bus master DMA",
    .bus = "pci",
    .fixed = true,
    .category = "storage",
    .instance_size = sizeof(Piix3Ide),
    .bus_properties = piix3_ide_bus_properties,
    .state = piix3_ide_state,
    .realize = piix3_ide_realize,
    .unrealize = piix3_ide_unrealize,
    .reset = piix3_ide_reset,
    .state_loaded = piix3_ide_state_loaded,
};
DEVICE_TYPE(piix3_ide_type);
