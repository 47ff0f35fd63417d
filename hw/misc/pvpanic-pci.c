/* SPDX-License-Identifier: MIT */
/*
 * pvpanic on PCI: how a paravirtual guest says that it has crashed. One byte of a memory BAR: reading tells
 * the events that are understood, writing sends one.
 */
#include "base/error.h"
#include "hw/pci/pci.h"
#include "machine/machine.h"

enum {
    VENDOR = 0x1b36,
    DEVICE = 0x0011,
    CLASS = 0x088000, /* system peripheral, other */

    BAR_SIZE = 16, /* the least that PCI has; the register is its first byte */

    EVENT_PANICKED = 1 << 0,
    EVENT_CRASH_LOADED = 1 << 1, /* a crash kernel takes over: nothing to be done here */
    EVENT_SHUTDOWN = 1 << 2,
    EVENTS = EVENT_PANICKED | EVENT_CRASH_LOADED | EVENT_SHUTDOWN,
};

typedef struct {
    PciDevice pci;
    uint8_t events; /* property */
} PvpanicPci;

static PvpanicPci *pvpanic(Device *device)
{
    return container_of(pci_device(device), PvpanicPci, pci);
}

static void tell_crash(void *opaque)
{
    machine_event(opaque, "GUEST_CRASHLOADED", "{\"action\": \"run\"}");
}

static void tell_shutdown(void *opaque)
{
    machine_event(opaque, "GUEST_PVSHUTDOWN", NULL);
}

static uint64_t read_events(Device *device, unsigned index)
{
    return pvpanic(device)->events;
}

static void write_event(Device *device, unsigned index, uint64_t value)
{
    if (value & ~(uint64_t)pvpanic(device)->events) {
        log_guest_error(device->id, "event %#x is not understood", (unsigned)value);
    }
    value &= pvpanic(device)->events;
    if (value & EVENT_PANICKED) {
        machine_request_stop(device->machine, STOP_GUEST_PANIC, NULL);
    } else if (value & EVENT_CRASH_LOADED) {
        machine_defer(device->machine, tell_crash, device->machine);
    } else if (value & EVENT_SHUTDOWN) {
        machine_defer(device->machine, tell_shutdown, device->machine);
        machine_request_stop(device->machine, STOP_GUEST_POWEROFF, "pvpanic");
    }
}

static bool pvpanic_pci_realize(Device *device, GError **error)
{
    PciDevice *pci = pci_device(device);

    if (pvpanic(device)->events & ~EVENTS) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "events=%u: 1 (panicked), 2 (crash kernel) and 4 (shutdown) exist",
                          pvpanic(device)->events);
    }
    pci_set_identity(pci, VENDOR, DEVICE, CLASS, 1);
    pci_add_bar(pci, 0, PCI_BAR_MEMORY32, false, device_mmio(device, 0));
    return true;
}

static void pvpanic_pci_reset(Device *device)
{
    pci_reset(pci_device(device));
}

static void pvpanic_pci_state_loaded(Device *device)
{
    pci_state_loaded(pci_device(device));
}

static const Register pvpanic_registers[] = {
    { "EVENTS", 0, 1, REGISTER_RW, .field = REGISTER_NO_FIELD, .read = read_events,
      .write = write_event },
    { 0 },
};

static const DeviceType pvpanic_pci = {
    .name = "pvpanic-pci",
    .summary = "Tells the host when the guest panics",
    .bus = "pci",
    .category = "misc",
    .instance_size = sizeof(PvpanicPci),
    .properties =
        (const Property[]){
            { "events", PROPERTY_U8, offsetof(PvpanicPci, events),
              "events that are understood: 1 panicked, 2 crash kernel, 4 shutdown", "7" },
            { 0 },
        },
    .bus_properties = (const Property[]){ PCI_PROPERTIES(PvpanicPci, pci), { 0 } },
    .state = (const StateField[]){ PCI_STATE(PvpanicPci, pci), { 0 } },
    .banks = (const RegisterBank[]){ { "pvpanic", BAR_SIZE, pvpanic_registers }, { 0 } },
    .realize = pvpanic_pci_realize,
    .reset = pvpanic_pci_reset,
    .state_loaded = pvpanic_pci_state_loaded,
};
DEVICE_TYPE(pvpanic_pci);
