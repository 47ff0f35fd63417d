/* SPDX-License-Identifier: MIT */
/*
 * Power management of the Intel 82371AB (PIIX4 data sheet, 290562, chapter 7) with what PCs of this kind
 * add for ACPI: general purpose events and the registers of PCI and CPU hot plug.
 *
 *   io 0    0xb2: APM control and status                io 1   0xafe0: GPE0 status and enable
 *   io 2    0xae00: PCI hot plug                        io 3   0xaf00: CPU hot plug
 *   inputs  PC_PM_POWER_BUTTON; PC_PM_GPE + n: event n happened
 *   irq 0   SCI, a level                                irq 1  SMI, a pulse
 *
 * The PM registers and SMBus are where configuration space says. On the SMBus are eight EEPROMs of zeros.
 * Not modelled: device monitors, throttling, general purpose I/O.
 */
#include "base/error.h"
#include "hw/isa/acpi-pm.h"
#include "hw/isa/smbus-host.h"
#include "hw/pci/pci.h"
#include "machine/machine.h"

enum { PM_SIZE = 64, SMBUS_SIZE = 64, PCI_SLOTS = 32 };
enum {
    CONFIG_PM_BASE = 0x40,
    CONFIG_DEVACTB_APMC = 0x5b, /* bit 1: writes to 0xb2 raise SMI */
    CONFIG_PARALLEL = 0x5f,
    CONFIG_PORTS = 0x63,
    CONFIG_SERIAL = 0x67,
    CONFIG_PM_ENABLE = 0x80,
    CONFIG_SMBUS_BASE = 0x90,
    CONFIG_SMBUS_HOST = 0xd2,
    APMC_ENABLE = 1 << 1,
    BASE_MASK = 0xffc0,
};
enum { APM_ACPI_ENABLE = 0xf1, APM_ACPI_DISABLE = 0xf0 };
enum { STATUS_DEFAULT = 0x0280 };

typedef struct {
    PciDevice pci;
    IrqLine sci, smi;
    MemoryRegion block;
    AcpiPm pm;
    SmbusHost smbus;
    uint8_t apm_control, apm_status;
    uint32_t pci_up, pci_down;
    uint32_t
        wanted; /* slots that the monitor wants to have back: pci_down, whatever becomes of that */
    uint32_t ejected; /* slots that the guest has let go, until the main loop empties them */
    uint32_t cpu_selector, bus_selector;
    /* Properties. */
    bool smm, root_hotplug;
} Piix4Pm;

static Piix4Pm *piix4_pm(Device *device)
{
    return container_of(device, Piix4Pm, pci.device);
}

static void sci_changed(Device *device)
{
    Piix4Pm *p = piix4_pm(device);

    irq_set(&p->sci, p->pm.sci);
}

static void piix4_pm_input(void *opaque, int number, int level)
{
    if (level) {
        acpi_pm_input(&piix4_pm(opaque)->pm, number);
    }
}

/* --- APM control: SMI, and how firmware and ACPI hand the machine to each other --- */

static void write_apm_control(Device *device, unsigned index, uint64_t value)
{
    Piix4Pm *p = piix4_pm(device);

    p->apm_control = (uint8_t)value;
    if (value == APM_ACPI_ENABLE || value == APM_ACPI_DISABLE) {
        acpi_pm_hand_over(&p->pm, value == APM_ACPI_ENABLE);
    }
    if (p->smm && p->pci.config[CONFIG_DEVACTB_APMC] & APMC_ENABLE) {
        irq_pulse(&p->smi);
    }
}

/* --- general purpose events --- */

static void write_gpe_status(Device *device, unsigned index, uint64_t value)
{
    acpi_pm_write_gpe_status(&piix4_pm(device)->pm, (uint16_t)value);
}

static void write_gpe_enable(Device *device, unsigned index, uint64_t value)
{
    acpi_pm_write_gpe_enable(&piix4_pm(device)->pm, (uint16_t)value);
}

/* --- PCI hot plug: bits are slots of the selected bus, of which there is but the one with selector 0 --- */

static uint64_t read_pci_up(Device *device, unsigned index)
{
    Piix4Pm *p = piix4_pm(device);
    uint32_t up = p->pci_up;

    if (p->bus_selector) {
        return 0;
    }
    p->pci_up = 0;
    return up;
}

static uint64_t read_pci_down(Device *device, unsigned index)
{
    const Piix4Pm *p = piix4_pm(device);

    return p->bus_selector ? 0 : p->pci_down;
}

/* Which slots have nothing that must stay. */
static uint32_t removable(const Piix4Pm *p)
{
    const PciBus *bus = p->pci.bus;
    uint32_t slots = UINT32_MAX;

    for (unsigned devfn = 0; devfn < ARRAY_SIZE(bus->functions); devfn++) {
        const PciDevice *pci = bus->functions[devfn];

        if (pci && !pci_can_be_plugged(pci)) {
            slots &= ~(1u << (devfn >> 3));
        }
    }
    return slots;
}

static uint64_t read_pci_removable(Device *device, unsigned index)
{
    const Piix4Pm *p = piix4_pm(device);

    return p->bus_selector ? 0 : removable(p);
}

/* In the main loop, where drives can be waited for. */
static void empty_slots(void *opaque)
{
    Piix4Pm *p = opaque;

    for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
        if (p->ejected >> slot & 1) {
            pci_bus_clear_slot(p->pci.bus, slot);
        }
    }
    p->ejected = 0;
}

static uint32_t ejectable(const Piix4Pm *p)
{
    return p->root_hotplug ? removable(p) : 0;
}

static void eject(Piix4Pm *p, uint32_t slots)
{
    slots &= ejectable(p);
    p->pci_down &= ~slots;
    p->wanted &= ~slots;
    if (slots) {
        p->ejected |= slots;
        machine_defer(p->pci.device.machine, empty_slots, p);
    }
}

static void write_pci_eject(Device *device, unsigned index, uint64_t value)
{
    if (!piix4_pm(device)->bus_selector) {
        eject(piix4_pm(device), (uint32_t)value);
    }
}

static void tell_hotplug(Piix4Pm *p)
{
    acpi_pm_input(&p->pm, PC_PM_GPE + PC_GPE_PCI_HOTPLUG);
}

static bool may_plug(void *opaque, PciDevice *pci, GError **error)
{
    return true;
}

/* A slot is told of when its first function is there. */
static void plugged(void *opaque, PciDevice *pci)
{
    Piix4Pm *p = opaque;

    if (pci->devfn % 8 == 0) {
        p->pci_up |= 1u << (pci->devfn >> 3);
        tell_hotplug(p);
    }
}

static bool unplug(void *opaque, PciDevice *pci, GError **error)
{
    Piix4Pm *p = opaque;
    uint32_t slot = 1u << (pci->devfn >> 3);

    if ((p->wanted | p->ejected) & slot) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Device %s is already in the process of unplug", pci->device.id);
    }
    p->pci_down |= slot;
    p->wanted |= slot;
    tell_hotplug(p);
    return true;
}

static const PciHotplug hotplug = { .may_plug = may_plug, .plugged = plugged, .unplug = unplug };

/* --- CPU hot plug: all CPUs are there from the start --- */

static uint64_t read_cpu_flags(Device *device, unsigned index)
{
    return piix4_pm(device)->cpu_selector < device->machine->vcpus->len;
}

/* clang-format off */
static const Register apm_registers[] = {
    { "APMC", 0, 1, REGISTER_RW, .field = offsetof(Piix4Pm, apm_control), .write = write_apm_control },
    { "APMS", 1, 1, REGISTER_RW, .field = offsetof(Piix4Pm, apm_status) },
    { 0 },
};

static const Register gpe_registers[] = {
    { "GPE0_STS", 0, 2, REGISTER_RW, .field = offsetof(Piix4Pm, pm.gpe_status), .write = write_gpe_status },
    { "GPE0_EN", 2, 2, REGISTER_RW, .field = offsetof(Piix4Pm, pm.gpe_enable), .write = write_gpe_enable },
    { 0 },
};

static const Register pci_hotplug_registers[] = {
    { "PCIU", 0x00, 4, REGISTER_R | REGISTER_QUIET, .field = REGISTER_NO_FIELD, .read = read_pci_up,
      .summary = "slots with a new device" },
    { "PCID", 0x04, 4, REGISTER_R | REGISTER_QUIET, .field = REGISTER_NO_FIELD, .read = read_pci_down,
      .summary = "slots whose device shall go" },
    { "B0EJ", 0x08, 4, REGISTER_RW, .field = REGISTER_NO_FIELD, .write = write_pci_eject },
    { "RMV", 0x0c, 4, REGISTER_R | REGISTER_QUIET, .field = REGISTER_NO_FIELD, .read = read_pci_removable },
    { "BSEL", 0x10, 4, REGISTER_RW, .field = offsetof(Piix4Pm, bus_selector),
      .summary = "bus that the others are about: 0 is the only one" },
    { "PIDX", 0x14, 4, REGISTER_RW | REGISTER_QUIET, .field = REGISTER_NO_FIELD, .summary = "acpi-index" },
    { 0 },
};

static const Register cpu_hotplug_registers[] = {
    { "SELECTOR", 0x0, 4, REGISTER_RW, .field = offsetof(Piix4Pm, cpu_selector) },
    { "FLAGS", 0x4, 1, REGISTER_RW | REGISTER_QUIET, .field = REGISTER_NO_FIELD, .read = read_cpu_flags,
      .summary = "bit 0: the selected CPU is there" },
    { "COMMAND", 0x5, 1, REGISTER_W | REGISTER_QUIET, .field = REGISTER_NO_FIELD },
    { "DATA", 0x8, 4, REGISTER_RW | REGISTER_QUIET, .field = REGISTER_NO_FIELD },
    { 0 },
};

/* Of configuration space, beyond the header. */
static const PciConfigByte config_defaults[] = {
    { 0x40, 0x01, 0xc0 }, { 0x41, 0x00, 0xff },                      /* PM base; bit 0: I/O space */
    { 0x58, 0x00, 0xff }, { 0x59, 0x00, 0xff }, { 0x5a, 0x00, 0xff }, { 0x5b, 0x00, 0xff },
    { 0x5f, 0x10, 0xff }, { 0x63, 0x60, 0xff }, { 0x67, 0x00, 0xff }, /* which ports decode: see set_ports */
    { 0x80, 0x00, 0xff },
    { 0x90, 0x01, 0xf0 }, { 0x91, 0x00, 0xff },
    { 0xd2, 0x09, 0xff },
};
/* clang-format on */

/* --- PCI --- */

static void place(Piix4Pm *p, MemoryRegion *region, unsigned base_offset, bool on)
{
    uint16_t base = load_le16(p->pci.config + base_offset) & BASE_MASK;

    memory_region_place(p->pci.bus->io, base, region, 0, on && base);
}

static void update_places(Piix4Pm *p)
{
    place(p, &p->block, CONFIG_PM_BASE, p->pci.config[CONFIG_PM_ENABLE] & 1);
    place(p, &p->smbus.ports, CONFIG_SMBUS_BASE, p->pci.config[CONFIG_SMBUS_HOST] & 1);
}

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    update_places(container_of(pci, Piix4Pm, pci));
}

static const PciDeviceOps piix4_pm_ops = { .config_written = config_written };

static bool piix4_pm_realize(Device *device, GError **error)
{
    Piix4Pm *p = piix4_pm(device);

    pci_set_identity(&p->pci, 0x8086, 0x7113, 0x068000, 3);
    pci_set_interrupt_pin(&p->pci, 1);
    store_le16(p->pci.config + PCI_STATUS, STATUS_DEFAULT);
    pci_set_config(&p->pci, config_defaults, ARRAY_SIZE(config_defaults));
    p->pci.ops = &piix4_pm_ops;
    if (p->root_hotplug) {
        p->pci.bus->hotplug = &hotplug;
        p->pci.bus->hotplug_opaque = p;
    }
    memory_region_init_container(&p->block, device->machine, "piix4-pm", PM_SIZE);
    acpi_pm_init(&p->pm, device, &p->block, sci_changed);
    smbus_host_init(&p->smbus, device, SMBUS_SIZE);
    device_add_io(device, &p->block);
    device_add_io(device, &p->smbus.ports);
    device_add_irq(device, &p->sci);
    device_add_irq(device, &p->smi);
    return true;
}

static void piix4_pm_unrealize(Device *device)
{
    Piix4Pm *p = piix4_pm(device);

    p->pci.bus->hotplug = NULL;
    acpi_pm_remove(&p->pm);
}

/* Which of the classic ports this machine has, as configuration space tells ACPI tables. */
static void set_ports(Piix4Pm *p)
{
    AddressSpace *io = &p->pci.device.machine->io_space;
    uint8_t *config = p->pci.config;

    config[CONFIG_PARALLEL] = (address_space_find(io, 0x378) ? 0x80 : 0) | 0x10;
    config[CONFIG_PORTS] = 0x60;
    config[CONFIG_SERIAL] =
        (address_space_find(io, 0x3f8) ? 0x08 : 0) | (address_space_find(io, 0x2f8) ? 0x90 : 0);
}

static void piix4_pm_reset(Device *device)
{
    Piix4Pm *p = piix4_pm(device);

    pci_reset(&p->pci);
    if (!p->smm) {
        /* As if firmware had set its handler up already: it does not wait for an SMI that never comes. */
        p->pci.config[CONFIG_DEVACTB_APMC] |= APMC_ENABLE;
    }
    smbus_host_reset(&p->smbus);
    acpi_pm_reset(&p->pm);
    /* What the guest was asked to let go goes now. */
    eject(p, p->wanted);
    p->pci_up = p->pci_down = p->bus_selector = 0;
    set_ports(p);
    update_places(p);
}

static void piix4_pm_state_loaded(Device *device)
{
    Piix4Pm *p = piix4_pm(device);

    pci_state_loaded(&p->pci);
    p->wanted = p->pci_down;
    update_places(p);
    acpi_pm_update(&p->pm);
    p->ejected &= ejectable(p);
    if (p->ejected) {
        machine_defer(device->machine, empty_slots, p);
    }
}

/* Of the state: since when it is known what was ejected but is still there, which bus is selected, and what EEPROMs hold. */
enum { EJECTED_VERSION = 1, SELECTED_VERSION = 2, EEPROMS_VERSION = 3 };

static const DeviceType piix4_pm_type = {
    .name = "PIIX4_PM",
    .summary = "Intel PIIX4 power management and ACPI events",
    .bus = "pci",
    .category = "bridge",
    .instance_size = sizeof(Piix4Pm),
    .properties =
        (const Property[]){
            ACPI_PM_PROPERTIES(Piix4Pm, pm),
            { "acpi-root-pci-hotplug", PROPERTY_BOOL, offsetof(Piix4Pm, root_hotplug),
              "devices of the root bus may come and go", "on" },
            { "acpi-pci-hotplug-with-bridge-support", PROPERTY_NOT_YET, 0,
              "hot plug behind bridges" },
            { "memory-hotplug-support", PROPERTY_NOT_YET, 0, "memory that is plugged" },
            { "smm-enabled", PROPERTY_BOOL, offsetof(Piix4Pm, smm),
              "writes to port 0xb2 may raise SMI", "on" },
            { 0 } },
    .bus_properties = (const Property[]){ PCI_PROPERTIES(Piix4Pm, pci), { 0 } },
    .state_version = EEPROMS_VERSION,
    .state = (const StateField[]){ PCI_STATE(Piix4Pm, pci),
                                   ACPI_PM_STATE(Piix4Pm, pm),
                                   SMBUS_HOST_STATE(Piix4Pm, smbus, EEPROMS_VERSION),
                                   STATE(Piix4Pm, apm_control),
                                   STATE(Piix4Pm, apm_status),
                                   STATE(Piix4Pm, pci_up),
                                   STATE(Piix4Pm, pci_down),
                                   STATE(Piix4Pm, cpu_selector),
                                   STATE_DERIVED(Piix4Pm, block),
                                   STATE_DERIVED(Piix4Pm, wanted),
                                   STATE_KEPT_SINCE(EJECTED_VERSION, Piix4Pm, ejected),
                                   STATE_SINCE(SELECTED_VERSION, Piix4Pm, bus_selector),
                                   { 0 } },
    .banks =
        (const RegisterBank[]){
            { .name = "apm-io", .size = 2, .registers = apm_registers, .ports = true },
            { .name = "acpi-gpe0", .size = 4, .registers = gpe_registers, .ports = true },
            { .name = "acpi-pci-hotplug",
              .size = 0x18,
              .registers = pci_hotplug_registers,
              .ports = true },
            { .name = "acpi-cpu-hotplug",
              .size = 0xc,
              .registers = cpu_hotplug_registers,
              .ports = true },
            { 0 } },
    .board_only = true,
    .input = piix4_pm_input,
    .realize = piix4_pm_realize,
    .unrealize = piix4_pm_unrealize,
    .reset = piix4_pm_reset,
    .state_loaded = piix4_pm_state_loaded,
};
DEVICE_TYPE(piix4_pm_type);
