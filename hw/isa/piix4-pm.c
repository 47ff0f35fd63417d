/* SPDX-License-Identifier: MIT */
/*
 * Power management of the Intel 82371AB (PIIX4 data sheet, 290562, chapter 7) with what PCs of this kind
 * add for ACPI: general purpose events and the registers of PCI and CPU hot plug.
 *
 *   io 0    0xb2: APM control and status                io 1   0xafe0: GPE0 status and enable
 *   io 2    0xae00: PCI hot plug                        io 3   0xaf00: CPU hot plug
 *   inputs  PIIX4_PM_POWER_BUTTON; PIIX4_PM_GPE + n: event n happened
 *   irq 0   SCI, a level                                irq 1  SMI, a pulse
 *
 * The PM registers and SMBus are where configuration space says. On the SMBus are eight EEPROMs of zeros.
 * Not modelled: device monitors, throttling, general purpose I/O.
 */
#include "base/error.h"
#include "hw/pci/pci.h"
#include "machine/arch/pc-pm.h"
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
/* PMSTS and PMEN */
enum {
    PM_TIMER_OVERFLOW = 1 << 0,
    PM_GLOBAL = 1 << 5,
    PM_POWER_BUTTON = 1 << 8,
    PM_RTC = 1 << 10,
    PM_RESUME = 1 << 15,
    PM_EVENTS = PM_TIMER_OVERFLOW | PM_GLOBAL | PM_POWER_BUTTON | PM_RTC,
};
/* PMCNTRL */
enum { PM_SCI_ENABLE = 1 << 0, PM_SLEEP_TYPE_SHIFT = 10, PM_SLEEP_ENABLE = 1 << 13 };
/* What the DSDT's _S5 and _S4 give as sleep types. */
enum { SLEEP_S5 = 0, SLEEP_S3 = 1, SLEEP_S4 = 2 };
enum { APM_ACPI_ENABLE = 0xf1, APM_ACPI_DISABLE = 0xf0 };
enum { STATUS_DEFAULT = 0x0280 };

#define PM_TIMER_HZ UINT64_C(3579545)
enum { PM_TIMER_OFFSET = 8, PM_TIMER_SIZE = 4, PM_TIMER_MASK = 0xffffff, PM_TIMER_HALF = 0x800000 };

typedef struct {
    PciDevice pci;
    IrqLine sci, smi;
    Timer overflow;
    MemoryRegion pm, pm_words, pm_timer, smbus;
    uint64_t overflow_ticks; /* when bit 23 of the timer changes next */
    uint16_t status, enable, control;
    uint16_t gpe_status, gpe_enable;
    uint8_t apm_control, apm_status;
    uint32_t pci_up, pci_down;
    uint32_t
        wanted; /* slots that the monitor wants to have back: pci_down, whatever becomes of that */
    uint32_t ejected; /* slots that the guest has let go, until the main loop empties them */
    uint32_t cpu_selector;
    uint8_t smb_status, smb_control, smb_command, smb_address, smb_data0, smb_data1, smb_index;
    uint8_t smb_block[32];
    /* Properties. */
    bool disable_s3, disable_s4, smm, root_hotplug;
    uint8_t s4_val;
} Piix4Pm;

static Piix4Pm *piix4_pm(Device *device)
{
    return container_of(device, Piix4Pm, pci.device);
}

/* --- events and the timer --- */

static uint64_t ticks(const Piix4Pm *p)
{
    __extension__ typedef unsigned __int128 Wide;

    return (uint64_t)((Wide)(uint64_t)clock_now_ns(p->pci.device.machine) * PM_TIMER_HZ /
                      1000000000u);
}

static void update_overflow(Piix4Pm *p)
{
    uint64_t now = ticks(p);

    if (now >= p->overflow_ticks) {
        p->status |= PM_TIMER_OVERFLOW;
    }
}

static void update_sci(Piix4Pm *p)
{
    bool pm, waits;

    update_overflow(p);
    pm = p->control & PM_SCI_ENABLE && p->status & p->enable & PM_EVENTS;
    waits = p->enable & PM_TIMER_OVERFLOW && !(p->status & PM_TIMER_OVERFLOW);
    irq_set(&p->sci, pm || p->gpe_status & p->gpe_enable);
    if (waits) {
        __extension__ typedef unsigned __int128 Wide;

        timer_arm(&p->overflow, (int64_t)((Wide)p->overflow_ticks * 1000000000u / PM_TIMER_HZ) + 1);
    } else {
        timer_cancel(&p->overflow);
    }
}

static void overflow_expired(void *opaque)
{
    Piix4Pm *p = opaque;

    update_sci(p);
    machine_request_wakeup(p->pci.device.machine, WAKE_PM_TIMER);
}

static void piix4_pm_input(void *opaque, int number, int level)
{
    Piix4Pm *p = piix4_pm(opaque);

    if (!level) {
        return;
    }
    if (number == PIIX4_PM_POWER_BUTTON) {
        p->status |= PM_POWER_BUTTON;
    } else {
        p->gpe_status |= (uint16_t)(1u << ((unsigned)(number - PIIX4_PM_GPE) & 15));
    }
    update_sci(p);
}

/* --- PM registers --- */

static uint64_t read_status(Piix4Pm *p)
{
    update_overflow(p);
    return p->status;
}

static void write_status(Piix4Pm *p, uint16_t value)
{
    update_overflow(p);
    if (value & p->status & PM_TIMER_OVERFLOW) {
        p->overflow_ticks = (ticks(p) + PM_TIMER_HALF) & ~(uint64_t)(PM_TIMER_HALF - 1);
    }
    p->status &= (uint16_t)~value;
    update_sci(p);
}

/* What wakes a sleeping machine beside its user. */
static unsigned wakers(const Piix4Pm *p)
{
    return WAKE_OTHER | (p->enable & PM_RTC ? WAKE_RTC : 0) |
           (p->enable & PM_TIMER_OVERFLOW ? WAKE_PM_TIMER : 0);
}

static void tell_suspend_disk(void *opaque)
{
    machine_event(opaque, "SUSPEND_DISK", NULL);
}

static void enter_sleep(Piix4Pm *p, unsigned type)
{
    Machine *machine = p->pci.device.machine;

    if (type == SLEEP_S5) {
        machine_request_stop(machine, STOP_GUEST_POWEROFF, NULL);
    } else if (type == p->s4_val && !p->disable_s4) {
        machine_defer(machine, tell_suspend_disk, machine);
        machine_request_stop(machine, STOP_GUEST_POWEROFF, NULL);
    } else if (type == SLEEP_S3 && !p->disable_s3) {
        machine_request_suspend(machine, wakers(p));
    } else {
        log_guest_error(p->pci.device.id, "enters unknown sleep type %u", type);
    }
}

static void write_control(Piix4Pm *p, uint16_t value)
{
    p->control = value & (uint16_t)~PM_SLEEP_ENABLE;
    if (value & PM_SLEEP_ENABLE) {
        enter_sleep(p, value >> PM_SLEEP_TYPE_SHIFT & 7);
    }
    update_sci(p);
}

/* Registers of 16 bits at 0, 2 and 4; bytes and doublewords are parts of these. */
static uint64_t pm_word(Piix4Pm *p, unsigned offset)
{
    switch (offset) {
    case 0:
        return read_status(p);
    case 2:
        return p->enable;
    case 4:
        return p->control;
    default:
        return 0;
    }
}

static MemoryResult pm_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                            MemoryAttributes attributes)
{
    Piix4Pm *p = opaque;

    if (size == 1) {
        *value = pm_word(p, (unsigned)offset & ~1u) >> (offset & 1) * 8 & 0xff;
    } else {
        *value =
            pm_word(p, (unsigned)offset) | (size == 4 ? pm_word(p, (unsigned)offset + 2) << 16 : 0);
    }
    return MEMORY_OK;
}

static void pm_write_word(Piix4Pm *p, unsigned offset, uint16_t value)
{
    switch (offset) {
    case 0:
        write_status(p, value);
        break;
    case 2:
        p->enable = value;
        update_sci(p);
        break;
    case 4:
        write_control(p, value);
        break;
    default:
        break;
    }
}

static MemoryResult pm_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                             MemoryAttributes attributes)
{
    Piix4Pm *p = opaque;
    unsigned word = (unsigned)offset & ~1u, shift = (unsigned)(offset & 1) * 8;

    if (size == 1) {
        /* The other byte of a write-1-to-clear register must not clear anything. */
        uint16_t other = word == 0 ? 0 : (uint16_t)pm_word(p, word);

        pm_write_word(p, word, (uint16_t)((other & ~(0xffu << shift)) | (unsigned)value << shift));
        return MEMORY_OK;
    }
    pm_write_word(p, word, (uint16_t)value);
    if (size == 4) {
        pm_write_word(p, word + 2, (uint16_t)(value >> 16));
    }
    return MEMORY_OK;
}

static const MemoryOps pm_ops = { .read = pm_read, .write = pm_write, .size_max = 4 };

static MemoryResult pm_timer_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                  MemoryAttributes attributes)
{
    *value = ticks(opaque) & PM_TIMER_MASK;
    return MEMORY_OK;
}

static MemoryResult pm_timer_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                   MemoryAttributes attributes)
{
    return MEMORY_OK;
}

/* A guest's clock, which all its processors may read at once. */
static const MemoryOps pm_timer_ops = {
    .read = pm_timer_read,
    .write = pm_timer_write,
    .size_min = PM_TIMER_SIZE,
    .size_max = PM_TIMER_SIZE,
    .lock_free = true,
};

/* --- APM control: SMI, and how firmware and ACPI hand the machine to each other --- */

static void write_apm_control(Device *device, unsigned index, uint64_t value)
{
    Piix4Pm *p = piix4_pm(device);

    p->apm_control = (uint8_t)value;
    if (value == APM_ACPI_ENABLE) {
        p->control |= PM_SCI_ENABLE;
    } else if (value == APM_ACPI_DISABLE) {
        p->control &= (uint16_t)~PM_SCI_ENABLE;
    }
    update_sci(p);
    if (p->smm && p->pci.config[CONFIG_DEVACTB_APMC] & APMC_ENABLE) {
        irq_pulse(&p->smi);
    }
}

/* --- general purpose events --- */

static void write_gpe_status(Device *device, unsigned index, uint64_t value)
{
    Piix4Pm *p = piix4_pm(device);

    p->gpe_status &= (uint16_t)~value;
    update_sci(p);
}

static void write_gpe_enable(Device *device, unsigned index, uint64_t value)
{
    Piix4Pm *p = piix4_pm(device);

    p->gpe_enable = (uint16_t)value;
    update_sci(p);
}

/* --- PCI hot plug: bits are slots of bus 0 --- */

static uint64_t read_pci_up(Device *device, unsigned index)
{
    Piix4Pm *p = piix4_pm(device);
    uint32_t up = p->pci_up;

    p->pci_up = 0;
    return up;
}

/* Which slots have nothing that must stay. */
static uint64_t read_pci_removable(Device *device, unsigned index)
{
    const PciBus *bus = piix4_pm(device)->pci.bus;
    uint32_t slots = UINT32_MAX;

    for (unsigned devfn = 0; devfn < ARRAY_SIZE(bus->functions); devfn++) {
        const PciDevice *pci = bus->functions[devfn];

        if (pci && !pci_can_be_plugged(pci)) {
            slots &= ~(1u << (devfn >> 3));
        }
    }
    return slots;
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

static void eject(Piix4Pm *p, uint32_t slots)
{
    slots &= p->root_hotplug ? (uint32_t)read_pci_removable(&p->pci.device, 0) : 0;
    p->pci_down &= ~slots;
    p->wanted &= ~slots;
    if (slots) {
        p->ejected |= slots;
        machine_defer(p->pci.device.machine, empty_slots, p);
    }
}

static void write_pci_eject(Device *device, unsigned index, uint64_t value)
{
    eject(piix4_pm(device), (uint32_t)value);
}

static void tell_hotplug(Piix4Pm *p)
{
    piix4_pm_input(p, PIIX4_PM_GPE + PC_GPE_PCI_HOTPLUG, 1);
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

/* --- SMBus host controller --- */

enum {
    SMB_BUSY = 1 << 0,
    SMB_INTERRUPT = 1 << 1,
    SMB_DEVICE_ERROR = 1 << 2,
    SMB_STATUS_W1C = 0x1e,
    SMB_START = 1 << 6,
    SMB_KILL = 1 << 1,
    SMB_QUICK = 0,
    SMB_BYTE = 1,
    SMB_BYTE_DATA = 2,
    SMB_WORD_DATA = 3,
    SMB_BLOCK = 5,
    EEPROM_FIRST = 0x50,
    EEPROM_COUNT = 8,
};

/* EEPROMs acknowledge, read as zeros and take no writes. */
static void smb_transact(Piix4Pm *p)
{
    unsigned address = p->smb_address >> 1, protocol = p->smb_control >> 2 & 7;
    bool read = p->smb_address & 1;

    if (address < EEPROM_FIRST || address >= EEPROM_FIRST + EEPROM_COUNT ||
        (protocol > SMB_WORD_DATA && protocol != SMB_BLOCK)) {
        p->smb_status |= SMB_DEVICE_ERROR;
        return;
    }
    if (read && protocol != SMB_QUICK) {
        p->smb_data0 = p->smb_data1 = 0;
    }
    p->smb_status |= SMB_INTERRUPT;
}

static void write_smb_status(Device *device, unsigned index, uint64_t value)
{
    piix4_pm(device)->smb_status &= (uint8_t) ~(value & SMB_STATUS_W1C);
}

static void write_smb_control(Device *device, unsigned index, uint64_t value)
{
    Piix4Pm *p = piix4_pm(device);

    p->smb_control = value & (uint8_t)~SMB_START;
    if (value & SMB_START) {
        smb_transact(p);
    }
}

/* Reading the control register begins a block's data again (PIIX4 7.4.2.3). */
static uint64_t read_smb_control(Device *device, unsigned index)
{
    Piix4Pm *p = piix4_pm(device);

    p->smb_index = 0;
    return p->smb_control;
}

static uint64_t read_smb_block(Device *device, unsigned index)
{
    Piix4Pm *p = piix4_pm(device);

    return p->smb_block[p->smb_index++ % sizeof p->smb_block];
}

static void write_smb_block(Device *device, unsigned index, uint64_t value)
{
    Piix4Pm *p = piix4_pm(device);

    p->smb_block[p->smb_index++ % sizeof p->smb_block] = (uint8_t)value;
}

/* clang-format off */
static const Register apm_registers[] = {
    { "APMC", 0, 1, REGISTER_RW, .field = offsetof(Piix4Pm, apm_control), .write = write_apm_control },
    { "APMS", 1, 1, REGISTER_RW, .field = offsetof(Piix4Pm, apm_status) },
    { 0 },
};

static const Register gpe_registers[] = {
    { "GPE0_STS", 0, 2, REGISTER_RW, .field = offsetof(Piix4Pm, gpe_status), .write = write_gpe_status },
    { "GPE0_EN", 2, 2, REGISTER_RW, .field = offsetof(Piix4Pm, gpe_enable), .write = write_gpe_enable },
    { 0 },
};

static const Register pci_hotplug_registers[] = {
    { "PCIU", 0x00, 4, REGISTER_R | REGISTER_QUIET, .field = REGISTER_NO_FIELD, .read = read_pci_up,
      .summary = "slots with a new device" },
    { "PCID", 0x04, 4, REGISTER_R | REGISTER_QUIET, .field = offsetof(Piix4Pm, pci_down),
      .summary = "slots whose device shall go" },
    { "B0EJ", 0x08, 4, REGISTER_RW, .field = REGISTER_NO_FIELD, .write = write_pci_eject },
    { "RMV", 0x0c, 4, REGISTER_R | REGISTER_QUIET, .field = REGISTER_NO_FIELD, .read = read_pci_removable },
    { "BSEL", 0x10, 4, REGISTER_RW | REGISTER_QUIET, .field = REGISTER_NO_FIELD, .summary = "bus: 0 is all" },
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

static const Register smbus_registers[] = {
    { "SMBHSTSTS", 0x00, 1, REGISTER_RW, .field = offsetof(Piix4Pm, smb_status), .write = write_smb_status },
    { "SMBSLVSTS", 0x01, 1, REGISTER_RW | REGISTER_QUIET, .field = REGISTER_NO_FIELD },
    { "SMBHSTCNT", 0x02, 1, REGISTER_RW, .field = offsetof(Piix4Pm, smb_control), .read = read_smb_control,
      .write = write_smb_control },
    { "SMBHSTCMD", 0x03, 1, REGISTER_RW, .field = offsetof(Piix4Pm, smb_command) },
    { "SMBHSTADD", 0x04, 1, REGISTER_RW, .field = offsetof(Piix4Pm, smb_address) },
    { "SMBHSTDAT0", 0x05, 1, REGISTER_RW, .field = offsetof(Piix4Pm, smb_data0) },
    { "SMBHSTDAT1", 0x06, 1, REGISTER_RW, .field = offsetof(Piix4Pm, smb_data1) },
    { "SMBBLKDAT", 0x07, 1, REGISTER_RW, .field = REGISTER_NO_FIELD, .read = read_smb_block,
      .write = write_smb_block },
    { 0 },
};

/* Of configuration space, beyond the header. */
static const struct { uint8_t offset, value, writable; } config_defaults[] = {
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
    bool mapped = region->parent != NULL;

    on = on && base;
    if (mapped && (!on || region->address != base)) {
        memory_region_remove(region);
        mapped = false;
    }
    if (on && !mapped) {
        memory_region_add(p->pci.bus->io, base, region, 0);
    }
}

static void update_places(Piix4Pm *p)
{
    place(p, &p->pm, CONFIG_PM_BASE, p->pci.config[CONFIG_PM_ENABLE] & 1);
    place(p, &p->smbus, CONFIG_SMBUS_BASE, p->pci.config[CONFIG_SMBUS_HOST] & 1);
}

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    update_places(container_of(pci, Piix4Pm, pci));
}

static const PciDeviceOps piix4_pm_ops = { .config_written = config_written };

static const RegisterBank smbus_bank = {
    .name = "pm-smbus", .size = SMBUS_SIZE, .registers = smbus_registers, .ports = true
};

static bool piix4_pm_realize(Device *device, GError **error)
{
    Piix4Pm *p = piix4_pm(device);

    pci_set_identity(&p->pci, 0x8086, 0x7113, 0x068000, 3);
    pci_set_interrupt_pin(&p->pci, 1);
    store_le16(p->pci.config + PCI_STATUS, STATUS_DEFAULT);
    for (unsigned i = 0; i < ARRAY_SIZE(config_defaults); i++) {
        p->pci.config[config_defaults[i].offset] = config_defaults[i].value;
        p->pci.writable[config_defaults[i].offset] = config_defaults[i].writable;
    }
    p->pci.ops = &piix4_pm_ops;
    if (p->root_hotplug) {
        p->pci.bus->hotplug = &hotplug;
        p->pci.bus->hotplug_opaque = p;
    }
    memory_region_init_container(&p->pm, device->machine, "piix4-pm", PM_SIZE);
    memory_region_init_io(&p->pm_words, device->machine, "pm-registers", PM_SIZE, &pm_ops, p);
    memory_region_init_io(&p->pm_timer, device->machine, "pm-timer", PM_TIMER_SIZE, &pm_timer_ops,
                          p);
    memory_region_add(&p->pm, 0, &p->pm_words, 0);
    memory_region_add(&p->pm, PM_TIMER_OFFSET, &p->pm_timer, 1);
    register_bank_init(device, &p->smbus, &smbus_bank);
    device_add_io(device, &p->pm);
    device_add_io(device, &p->smbus);
    device_add_irq(device, &p->sci);
    device_add_irq(device, &p->smi);
    timer_init(&p->overflow, device->machine, overflow_expired, p);
    return true;
}

static void piix4_pm_unrealize(Device *device)
{
    Piix4Pm *p = piix4_pm(device);

    timer_cancel(&p->overflow);
    p->pci.bus->hotplug = NULL;
    memory_region_remove(&p->pm_timer);
    memory_region_remove(&p->pm_words);
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

/* PMSTS after a reset, which may end a sleep. */
static uint16_t wake_status(const Machine *machine)
{
    switch (machine_wake_reason(machine)) {
    case WAKE_RTC:
        return PM_RESUME | PM_RTC;
    case WAKE_PM_TIMER:
        return PM_RESUME | PM_TIMER_OVERFLOW;
    case WAKE_OTHER:
        return PM_RESUME | PM_POWER_BUTTON;
    default:
        return 0;
    }
}

static void piix4_pm_reset(Device *device)
{
    Piix4Pm *p = piix4_pm(device);

    pci_reset(&p->pci);
    if (!p->smm) {
        /* As if firmware had set its handler up already: it does not wait for an SMI that never comes. */
        p->pci.config[CONFIG_DEVACTB_APMC] |= APMC_ENABLE;
    }
    register_bank_reset(device, &smbus_bank);
    p->status = wake_status(device->machine);
    p->enable = p->control = 0;
    p->gpe_status = p->gpe_enable = 0;
    /* What the guest was asked to let go goes now. */
    eject(p, p->wanted);
    p->pci_up = p->pci_down = 0;
    p->smb_index = 0;
    memset(p->smb_block, 0, sizeof p->smb_block);
    p->overflow_ticks = (ticks(p) + PM_TIMER_HALF) & ~(uint64_t)(PM_TIMER_HALF - 1);
    set_ports(p);
    update_places(p);
    update_sci(p);
}

static void piix4_pm_state_loaded(Device *device)
{
    Piix4Pm *p = piix4_pm(device);

    pci_state_loaded(&p->pci);
    p->wanted = p->pci_down;
    update_places(p);
    update_sci(p);
}

static const DeviceType piix4_pm_type = {
    .name = "PIIX4_PM",
    .summary = "Intel PIIX4 power management and ACPI events",
    .bus = "pci",
    .category = "bridge",
    .instance_size = sizeof(Piix4Pm),
    .properties = (const Property[]){ { "disable_s3", PROPERTY_BOOL, offsetof(Piix4Pm, disable_s3),
                                        "suspend to RAM is not offered" },
                                      { "disable_s4", PROPERTY_BOOL, offsetof(Piix4Pm, disable_s4),
                                        "suspend to disk is not offered" },
                                      { "acpi-root-pci-hotplug", PROPERTY_BOOL,
                                        offsetof(Piix4Pm, root_hotplug),
                                        "devices of the root bus may come and go", "on" },
                                      { "s4_val", PROPERTY_U8, offsetof(Piix4Pm, s4_val),
                                        "sleep type of suspend to disk", "2" },
                                      { "smm-enabled", PROPERTY_BOOL, offsetof(Piix4Pm, smm),
                                        "writes to port 0xb2 may raise SMI", "on" },
                                      { 0 } },
    .bus_properties = (const Property[]){ PCI_PROPERTIES(Piix4Pm, pci), { 0 } },
    .state = (const StateField[]){ PCI_STATE(Piix4Pm, pci),          STATE(Piix4Pm, overflow_ticks),
                                   STATE(Piix4Pm, status),           STATE(Piix4Pm, enable),
                                   STATE(Piix4Pm, control),          STATE(Piix4Pm, gpe_status),
                                   STATE(Piix4Pm, gpe_enable),       STATE(Piix4Pm, apm_control),
                                   STATE(Piix4Pm, apm_status),       STATE(Piix4Pm, pci_up),
                                   STATE(Piix4Pm, pci_down),         STATE(Piix4Pm, cpu_selector),
                                   STATE(Piix4Pm, smb_status),       STATE(Piix4Pm, smb_control),
                                   STATE(Piix4Pm, smb_command),      STATE(Piix4Pm, smb_address),
                                   STATE(Piix4Pm, smb_data0),        STATE(Piix4Pm, smb_data1),
                                   STATE(Piix4Pm, smb_index),        STATE(Piix4Pm, smb_block),
                                   STATE_DERIVED(Piix4Pm, pm),       STATE_DERIVED(Piix4Pm, smbus),
                                   STATE_DERIVED(Piix4Pm, overflow), STATE_DERIVED(Piix4Pm, wanted),
                                   STATE_DERIVED(Piix4Pm, ejected),  { 0 } },
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
