/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration space, BARs, INTx and buses (PCI Local Bus 3.0 chapter 6, PCI-to-PCI Bridge 1.2).
 *
 * Not modelled: parity and system errors, power management, extended capabilities that software writes.
 */
#include "hw/pci/pci.h"

#include "base/error.h"
#include "machine/machine.h"

enum {
    BAR_IO = 1,
    BAR_MEMORY_64 = 2 << 1,
    BAR_PREFETCHABLE = 1 << 3,
    BAR_IO_FLAGS = 3,
    BAR_MEMORY_FLAGS = 0xf,
    PCI_SECONDARY_BUS = 0x19,
    PCI_SUBORDINATE_BUS = 0x1a,
    CLASS_PCI_BRIDGE = 0x060400,
    /* What drivers know a virtual machine by, unless a device says otherwise. */
    SUBSYSTEM_VENDOR = 0x1af4,
    SUBSYSTEM = 0x1100,
};

static unsigned bar_offset(unsigned index)
{
    return PCI_BASE_ADDRESS_0 + 4 * index;
}

void pci_set_identity(PciDevice *pci, uint16_t vendor, uint16_t device, uint32_t class_code,
                      uint8_t revision)
{
    store_le16(pci->config + PCI_VENDOR_ID, vendor);
    store_le16(pci->config + PCI_DEVICE_ID, device);
    store_le32(pci->config + PCI_REVISION_ID, class_code << 8 | revision);
    if (class_code != CLASS_PCI_BRIDGE) { /* whose header has no such registers */
        pci_set_subsystem(pci, SUBSYSTEM_VENDOR, SUBSYSTEM);
    }
}

void pci_set_subsystem(PciDevice *pci, uint16_t vendor, uint16_t device)
{
    store_le16(pci->config + PCI_SUBSYSTEM_VENDOR_ID, vendor);
    store_le16(pci->config + PCI_SUBSYSTEM_ID, device);
}

void pci_set_config(PciDevice *pci, const PciConfigByte *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        pci->config[bytes[i].offset] = bytes[i].value;
        pci->writable[bytes[i].offset] = bytes[i].writable;
    }
}

void pci_set_interrupt_pin(PciDevice *pci, unsigned pin)
{
    pci->config[PCI_INTERRUPT_PIN] = pin;
}

void pci_add_bar(PciDevice *pci, unsigned index, PciBarKind kind, bool prefetchable,
                 MemoryRegion *region)
{
    unsigned offset = bar_offset(index);
    uint64_t mask = ~(region->size - 1);
    uint32_t flags = prefetchable ? BAR_PREFETCHABLE : 0;

    g_assert(is_power_of_two(region->size) && region->size >= (kind == PCI_BAR_IO ? 4 : 16));
    g_assert(index < PCI_BAR_COUNT && pci->bars[index].kind == PCI_BAR_NONE);
    pci->bars[index] = (PciBar){ .kind = kind, .region = region };
    if (kind == PCI_BAR_IO) {
        flags = BAR_IO;
    } else if (kind == PCI_BAR_MEMORY64) {
        flags |= BAR_MEMORY_64;
        g_assert(index + 1 < PCI_BAR_COUNT);
        store_le32(pci->writable + offset + 4, mask >> 32);
    }
    store_le32(pci->config + offset, flags);
    store_le32(pci->writable + offset,
               mask & ~(uint32_t)(kind == PCI_BAR_IO ? BAR_IO_FLAGS : BAR_MEMORY_FLAGS));
}

MemoryRegion *pci_bar_region(PciDevice *pci, unsigned bar)
{
    return bar < PCI_BAR_COUNT ? pci->bars[bar].region : NULL;
}

unsigned pci_add_capability(PciDevice *pci, uint8_t id, unsigned size)
{
    unsigned offset = pci->next_free;

    g_assert(offset + size <= PCI_CONFIG_SIZE);
    pci->config[offset] = id;
    if (pci->last_capability) {
        pci->config[pci->last_capability + 1] = offset;
    } else {
        pci->config[PCI_CAPABILITIES] = offset;
        pci->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
    }
    pci->last_capability = offset;
    pci->next_free = align_up(offset + size, 4);
    return offset;
}

unsigned pci_add_express_capability(PciDevice *pci, unsigned type)
{
    enum { SIZE = 0x3c, DEVICE_CAPABILITIES = 4, DEVICE_CONTROL = 8, LINK_CAPABILITIES = 0xc };
    enum { LINK_STATUS = 0x12, VERSION = 2, ROLE_BASED_ERRORS = 1 << 15, SPEED_2_5_X1 = 0x11 };
    unsigned offset = pci_add_capability(pci, PCI_CAPABILITY_EXPRESS, SIZE);

    store_le16(pci->config + offset + 2, VERSION | type << 4);
    store_le32(pci->config + offset + DEVICE_CAPABILITIES, ROLE_BASED_ERRORS);
    store_le16(pci->writable + offset + DEVICE_CONTROL, 0x78ff);
    if (type != PCIE_TYPE_ROOT_COMPLEX_ENDPOINT) {
        store_le32(pci->config + offset + LINK_CAPABILITIES, SPEED_2_5_X1);
        store_le16(pci->config + offset + LINK_STATUS, SPEED_2_5_X1);
    }
    return offset;
}

void pci_add_serial_number(PciDevice *pci, uint64_t number)
{
    enum { VERSION = 1 << 16, NUMBER = 4 };

    store_le32(pci->extended, PCI_EXTENDED_SERIAL_NUMBER | VERSION);
    store_le64(pci->extended + NUMBER, number);
}

/* Where the BAR decodes now; false when it does not. */
static bool bar_decoded(PciDevice *pci, unsigned index, uint64_t *address)
{
    const PciBar *bar = &pci->bars[index];
    uint16_t command = load_le16(pci->config + PCI_COMMAND);
    uint64_t base = load_le32(pci->config + bar_offset(index));
    uint64_t limit = UINT32_MAX;

    if (!(command & (bar->kind == PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY))) {
        return false;
    }
    if (bar->kind == PCI_BAR_IO) {
        base &= ~(uint64_t)BAR_IO_FLAGS;
        limit = UINT16_MAX;
    } else {
        base &= ~(uint64_t)BAR_MEMORY_FLAGS;
    }
    if (bar->kind == PCI_BAR_MEMORY64) {
        base |= (uint64_t)load_le32(pci->config + bar_offset(index + 1)) << 32;
        limit = INT64_MAX;
    }
    *address = base;
    /* All ones during sizing must not cover whatever ends the address space. */
    return base + bar->region->size - 1 <= limit && base + bar->region->size - 1 != UINT32_MAX;
}

static void bar_update(PciDevice *pci, unsigned index, bool allowed)
{
    PciBar *bar = &pci->bars[index];
    uint64_t address = 0;
    bool mapped = allowed && bar_decoded(pci, index, &address);

    if (mapped == bar->mapped && (!mapped || address == bar->address)) {
        return;
    }
    memory_region_place(bar->kind == PCI_BAR_IO ? pci->bus->io : pci->bus->memory, address,
                        bar->region, 1, mapped);
    trace(pci->device.type->name, "BAR %u %s at %#llx", index, mapped ? "mapped" : "unmapped",
          (unsigned long long)address);
    bar->mapped = mapped;
    bar->address = address;
}

static void rom_update(PciDevice *pci, bool allowed)
{
    uint64_t address = 0;
    bool mapped = allowed && pci_rom_decoded(pci, &address);

    memory_region_place(pci->bus->memory, address, &pci->rom, 1, mapped);
    pci->rom_mapped = mapped;
}

static void bars_update(PciDevice *pci, bool allowed)
{
    memory_transaction_begin(pci->device.machine);
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        if (pci->bars[i].kind != PCI_BAR_NONE) {
            bar_update(pci, i, allowed);
        }
    }
    rom_update(pci, allowed);
    memory_transaction_end(pci->device.machine);
}

/* Interrupt pins. */

static void drive_intx(PciDevice *pci, bool level)
{
    PciBus *bus = pci->bus;
    unsigned pin = pci->config[PCI_INTERRUPT_PIN], slot = pci->devfn >> 3, wire;

    if (level == pci->intx_driven || pin < 1 || pin > 4) {
        return;
    }
    pci->intx_driven = level;
    pin--;
    while (bus->bridge) {
        pin = (pin + slot) % 4;
        slot = bus->bridge->devfn >> 3;
        bus = bus->bridge->bus;
    }
    wire = bus->intx_wire ? bus->intx_wire(slot, pin) : (slot + pin) % 4;
    bus->intx_count[wire] += level ? 1 : -1;
    if (bus->set_intx) {
        bus->set_intx(bus->opaque, wire, bus->intx_count[wire] > 0);
    }
}

static void update_intx(PciDevice *pci)
{
    uint16_t command = load_le16(pci->config + PCI_COMMAND);

    pci->config[PCI_STATUS] &= ~PCI_STATUS_INTERRUPT;
    if (pci->intx_wanted) {
        pci->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
    }
    drive_intx(pci, pci->intx_wanted && !(command & PCI_COMMAND_INTX_DISABLE));
}

void pci_set_irq(PciDevice *pci, bool level)
{
    pci->intx_wanted = level;
    update_intx(pci);
}

/* Configuration accesses. */

uint32_t pci_config_read(PciDevice *pci, unsigned offset, unsigned size)
{
    uint32_t value = 0;

    if (offset >= PCI_CONFIG_SIZE) {
        offset -= PCI_CONFIG_SIZE;
        if (offset + size <= PCI_EXTENDED_SIZE) {
            memcpy(&value, pci->extended + offset, size);
        }
        return value;
    }
    if (offset + size > PCI_CONFIG_SIZE) {
        return 0;
    }
    if (pci->ops && pci->ops->config_read) {
        pci->ops->config_read(pci, offset, size);
    }
    memcpy(&value, pci->config + offset, size);
    return value;
}

void pci_config_write(PciDevice *pci, unsigned offset, uint32_t value, unsigned size)
{
    if (offset + size > PCI_CONFIG_SIZE) {
        return;
    }
    for (unsigned i = 0; i < size; i++, value >>= 8) {
        uint8_t mask = pci->writable[offset + i];

        pci->config[offset + i] = (pci->config[offset + i] & ~mask) | (value & mask);
    }
    if (offset < PCI_INTERRUPT_LINE) {
        bars_update(pci, true);
    }
    if (offset < PCI_STATUS) {
        update_intx(pci);
    }
    if (pci->msix.vectors) {
        pci_msix_config_written(pci);
    }
    if (pci->ops && pci->ops->config_written) {
        pci->ops->config_written(pci, offset, size);
    }
}

/* The function at a bus number and devfn; walks down through bridges whose range has the number. */
static PciDevice *find_function(PciBus *bus, unsigned number, unsigned devfn)
{
    while (pci_bus_number(bus) != number) {
        PciBus *next = NULL;

        for (unsigned i = 0; i < bus->bus.devices->len && !next; i++) {
            PciDevice *pci = pci_device(g_ptr_array_index(bus->bus.devices, i));

            if (pci->is_bridge && pci->device.buses && pci->device.buses->len &&
                pci->config[PCI_SECONDARY_BUS] > pci_bus_number(bus) &&
                pci->config[PCI_SECONDARY_BUS] <= number &&
                pci->config[PCI_SUBORDINATE_BUS] >= number) {
                next = container_of(g_ptr_array_index(pci->device.buses, 0), PciBus, bus);
            }
        }
        if (!next) {
            return NULL;
        }
        bus = next;
    }
    return bus->functions[devfn & 0xff];
}

uint32_t pci_host_config_read(PciBus *root, unsigned bus, unsigned devfn, unsigned offset,
                              unsigned size)
{
    PciDevice *pci = find_function(root, bus, devfn);

    return pci ? pci_config_read(pci, offset, size) : (uint32_t)bits_mask(size * 8);
}

void pci_host_config_write(PciBus *root, unsigned bus, unsigned devfn, unsigned offset,
                           uint32_t value, unsigned size)
{
    PciDevice *pci = find_function(root, bus, devfn);

    if (pci) {
        pci_config_write(pci, offset, value, size);
    }
}

void pci_reset(PciDevice *pci)
{
    pci_set_irq(pci, false);
    bars_update(pci, false);
    if (pci->have_reset_config) {
        memcpy(pci->config, pci->reset_config, PCI_CONFIG_SIZE);
    } else {
        memcpy(pci->reset_config, pci->config, PCI_CONFIG_SIZE);
        pci->have_reset_config = true;
    }
    pci_msix_reset(pci);
}

/* What software cannot write is as realize made it, whatever was loaded. */
void pci_state_loaded(PciDevice *pci)
{
    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++) {
        pci->config[i] =
            (pci->config[i] & pci->writable[i]) | (pci->reset_config[i] & ~pci->writable[i]);
    }
    bars_update(pci, true);
    update_intx(pci);
    pci_msix_follow(pci);
}

MemoryAttributes pci_dma_attributes(const PciDevice *pci)
{
    return (MemoryAttributes){
        .requester = pci_bus_number(pci->bus) << 8 | pci->devfn,
        .vcpu = -1,
        .device = &pci->device,
    };
}

/* Buses. */

static MemoryResult abort_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                               MemoryAttributes attributes)
{
    *value = bits_mask(size * 8);
    return MEMORY_OK;
}

static MemoryResult abort_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                MemoryAttributes attributes)
{
    return MEMORY_OK;
}

const MemoryOps pci_abort_ops = { .read = abort_read, .write = abort_write, .lock_free = true };

bool pci_bus_is_slot(const PciBus *bus)
{
    return bus->slots == 1;
}

bool pci_can_be_plugged(const PciDevice *pci)
{
    const DeviceType *type = pci->device.type;

    return !type->board_only && !type->fixed && !pci->is_bridge;
}

unsigned pci_bus_number(const PciBus *bus)
{
    return bus->bridge ? bus->bridge->config[PCI_SECONDARY_BUS] : 0;
}

PciBus *pci_bus_root(PciBus *bus)
{
    while (bus->bridge) {
        bus = bus->bridge->bus;
    }
    return bus;
}

static bool slot_is_free(const PciBus *bus, unsigned slot)
{
    for (unsigned function = 0; function < 8; function++) {
        if (bus->functions[slot << 3 | function]) {
            return false;
        }
    }
    return true;
}

static int choose_address(PciBus *bus, PciDevice *pci, GError **error)
{
    if (pci->address < 0) {
        for (unsigned slot = 0; slot < bus->slots; slot++) {
            if (slot_is_free(bus, slot)) {
                return slot << 3;
            }
        }
        error_fail(error, KASO_ERROR_GENERIC, "PCI bus '%s' has no free slot for '%s'",
                   bus->bus.name, pci->device.type->name);
        return -1;
    }
    if ((unsigned)pci->address >= bus->slots << 3) {
        error_fail(error, KASO_ERROR_INVALID, "PCI bus '%s' has no slot %02x (slots 0 to %x)",
                   bus->bus.name, pci->address >> 3, bus->slots - 1);
        return -1;
    }
    if (bus->functions[pci->address]) {
        error_fail(error, KASO_ERROR_INVALID, "PCI slot %02x.%x on bus '%s' is taken by '%s'",
                   pci->address >> 3, pci->address & 7, bus->bus.name,
                   bus->functions[pci->address]->device.id);
        return -1;
    }
    return pci->address;
}

static bool check_multifunction(PciBus *bus, PciDevice *pci, unsigned devfn, GError **error)
{
    enum { AUTO, ON, OFF };
    PciDevice *first = bus->functions[devfn & ~7u];

    if ((devfn & 7) && first && !(first->config[PCI_HEADER_TYPE] & PCI_HEADER_MULTIFUNCTION)) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "PCI slot %02x on bus '%s' is taken by '%s', which needs multifunction=on "
            "to share it",
            devfn >> 3, bus->bus.name, first->device.id);
    }
    if (pci->multifunction == ON) {
        pci->config[PCI_HEADER_TYPE] |= PCI_HEADER_MULTIFUNCTION;
    }
    return true;
}

static void pci_bus_detach(Bus *generic, Device *device);

static bool pci_bus_attach(Bus *generic, Device *device, GError **error)
{
    enum {
        COMMAND_WRITABLE = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER |
                           PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE
    };
    PciBus *bus = container_of(generic, PciBus, bus);
    PciDevice *pci = pci_device(device);
    int devfn = choose_address(bus, pci, error);

    if (devfn < 0 || !check_multifunction(bus, pci, devfn, error)) {
        return false;
    }
    pci->bus = bus;
    pci->devfn = devfn;
    pci->address = devfn;
    pci->next_free = 0x40;
    bus->functions[devfn] = pci;
    store_le16(pci->writable + PCI_COMMAND, COMMAND_WRITABLE);
    pci->writable[PCI_CACHE_LINE_SIZE] = 0xff;
    pci->writable[PCI_INTERRUPT_LINE] = 0xff;
    /* A device's own realize adds its usual one; here is what the user names for any device. */
    if (!pci_add_rom(pci, NULL, error)) {
        pci_bus_detach(generic, device);
        return false;
    }
    return true;
}

static void pci_bus_detach(Bus *generic, Device *device)
{
    PciBus *bus = container_of(generic, PciBus, bus);
    PciDevice *pci = pci_device(device);

    if (pci->bus != bus || bus->functions[pci->devfn] != pci) {
        return;
    }
    pci_set_irq(pci, false);
    bars_update(pci, false);
    bus->functions[pci->devfn] = NULL;
}

static bool pci_bus_may_plug(Bus *generic, Device *device, GError **error)
{
    PciBus *bus = container_of(generic, PciBus, bus);

    if (!bus->hotplug) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "not yet: bus '%s' does not support hotplugging; give -device %s at the "
                          "start",
                          generic->name, device->type->name);
    }
    return bus->hotplug->may_plug(bus->hotplug_opaque, pci_device(device), error);
}

static void pci_bus_plugged(Bus *generic, Device *device)
{
    PciBus *bus = container_of(generic, PciBus, bus);

    bus->hotplug->plugged(bus->hotplug_opaque, pci_device(device));
}

static bool pci_bus_unplug(Bus *generic, Device *device, GError **error)
{
    PciBus *bus = container_of(generic, PciBus, bus);

    if (!bus->hotplug || !pci_can_be_plugged(pci_device(device))) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "%s '%s' does not support hotplugging",
                          bus->hotplug ? "Device" : "Bus",
                          bus->hotplug ? device->type->name : generic->name);
    }
    return bus->hotplug->unplug(bus->hotplug_opaque, pci_device(device), error);
}

void pci_bus_clear_slot(PciBus *bus, unsigned slot)
{
    for (unsigned i = 8; i > 0; i--) {
        PciDevice *pci = bus->functions[slot << 3 | (i - 1)];

        if (pci) {
            device_unplugged(&pci->device);
        }
    }
}

static void pci_bus_describe(Device *device, GString *out)
{
    const PciDevice *pci = pci_device(device);
    const uint8_t *config = pci->config;

    g_string_append_printf(out, "addr %02x:%02x.%x, class %06x, pci id %04x:%04x (sub %04x:%04x)\n",
                           pci_bus_number(pci->bus), pci->devfn >> 3, pci->devfn & 7,
                           load_le32(config + PCI_REVISION_ID) >> 8,
                           load_le16(config + PCI_VENDOR_ID), load_le16(config + PCI_DEVICE_ID),
                           load_le16(config + PCI_SUBSYSTEM_VENDOR_ID),
                           load_le16(config + PCI_SUBSYSTEM_ID));
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        const PciBar *bar = &pci->bars[i];

        if (bar->mapped) {
            g_string_append_printf(out, "bar %u: %s at 0x%llx [0x%llx]\n", i,
                                   bar->kind == PCI_BAR_IO ? "i/o" : "mem",
                                   (unsigned long long)bar->address,
                                   (unsigned long long)(bar->address + bar->region->size - 1));
        }
    }
}

static void pci_function_examine(const Device *device, PciFunctionInfo *info)
{
    const PciDevice *pci = container_of(device, PciDevice, device);
    const uint8_t *config = pci->config;
    uint64_t address;

    info->bus = pci_bus_number(pci->bus);
    info->slot = pci->devfn >> 3;
    info->function = pci->devfn & 7;
    info->vendor = load_le16(config + PCI_VENDOR_ID);
    info->device = load_le16(config + PCI_DEVICE_ID);
    info->class_code = load_le32(config + PCI_REVISION_ID) >> 16;
    info->irq_pin = config[PCI_INTERRUPT_PIN];
    info->irq_line = config[PCI_INTERRUPT_LINE];
    info->is_bridge = pci->is_bridge;
    if (pci->is_bridge) {
        pci_bridge_describe(pci, &info->bridge);
    } else {
        info->subsystem_vendor = load_le16(config + PCI_SUBSYSTEM_VENDOR_ID);
        info->subsystem = load_le16(config + PCI_SUBSYSTEM_ID);
    }
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        const PciBar *bar = &pci->bars[i];

        if (bar->kind != PCI_BAR_NONE) {
            info->regions[info->region_count++] = (PciRegionInfo){
                .bar = i,
                .is_io = bar->kind == PCI_BAR_IO,
                .wide = bar->kind == PCI_BAR_MEMORY64,
                .prefetch = bar->kind != PCI_BAR_IO && config[PCI_BASE_ADDRESS_0 + i * 4] & 8,
                .mapped = bar->mapped,
                .address = bar->address,
                .size = bar->region->size,
            };
        }
    }
    if (pci->rom.size) {
        PciRegionInfo rom = { .bar = PCI_BAR_COUNT, .size = pci->rom.size };

        rom.mapped = pci_rom_decoded(pci, &address);
        rom.address = rom.mapped ? address : 0;
        info->regions[info->region_count++] = rom;
    }
}

const BusType pci_bus_type = {
    .name = "pci",
    .attach = pci_bus_attach,
    .detach = pci_bus_detach,
    .may_plug = pci_bus_may_plug,
    .plugged = pci_bus_plugged,
    .unplug = pci_bus_unplug,
    .describe = pci_bus_describe,
    .pci_function = pci_function_examine,
};

void pci_bus_init(PciBus *bus, Device *parent, const char *name, PciDevice *bridge,
                  MemoryRegion *memory, MemoryRegion *io)
{
    bus_init(&bus->bus, &pci_bus_type, parent, name);
    bus->slots = 32;
    bus->bus.max_devices = 256;
    bus->bridge = bridge;
    bus->memory = memory;
    bus->io = io;
}
