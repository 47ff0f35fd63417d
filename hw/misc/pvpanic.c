/* SPDX-License-Identifier: MIT */
/*
 * Panic notification port, as Linux's and Windows' pvpanic drivers use it: reading tells the events that
 * are understood, writing one reports it.
 */
#include "base/error.h"
#include "hw/isa/isa.h"
#include "machine/machine.h"

enum { PANICKED = 1 << 0, CRASH_LOADED = 1 << 1, SHUTDOWN = 1 << 2 };

typedef struct {
    Device device;
    uint32_t ioport;
    uint32_t events;
} Pvpanic;

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
    return container_of(device, Pvpanic, device)->events & 0xff;
}

static void write_event(Device *device, unsigned index, uint64_t value)
{
    Pvpanic *p = container_of(device, Pvpanic, device);
    uint64_t event = value & p->events;

    if (value & ~(uint64_t)p->events) {
        log_guest_error(device->id, "reports unknown events %#x", (unsigned)value);
    }
    if (event & PANICKED) {
        machine_request_stop(device->machine, STOP_GUEST_PANIC, "pvpanic");
    } else if (event & CRASH_LOADED) {
        machine_defer(device->machine, tell_crash, device->machine);
    } else if (event & SHUTDOWN) {
        machine_defer(device->machine, tell_shutdown, device->machine);
        machine_request_stop(device->machine, STOP_GUEST_POWEROFF, NULL);
    }
}

static const Register registers[] = {
    { "EVENT", 0, 1, REGISTER_RW, .field = REGISTER_NO_FIELD, .read = read_events,
      .write = write_event, .summary = "bit 0: panicked, 1: crash kernel loaded, 2: shut down" },
    { 0 },
};

static bool realize(Device *device, GError **error)
{
    Pvpanic *p = container_of(device, Pvpanic, device);

    if (p->ioport > UINT16_MAX || p->events & ~7u) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "pvpanic: ioport %#x and events %#x are not up to 0xffff and 7",
                          p->ioport, p->events);
    }
    isa_map_io(device, 0, (uint16_t)p->ioport);
    return true;
}

static const DeviceType pvpanic_type = {
    .name = "pvpanic",
    .summary = "Port by which a guest reports its panic",
    .bus = "isa",
    .category = "misc",
    .instance_size = sizeof(Pvpanic),
    .properties =
        (const Property[]){ { "ioport", PROPERTY_U32, offsetof(Pvpanic, ioport), "port", "0x505" },
                            { "events", PROPERTY_U32, offsetof(Pvpanic, events),
                              "events that are understood", "7" },
                            { 0 } },
    .banks =
        (const RegisterBank[]){
            { .name = "pvpanic", .size = 1, .registers = registers, .ports = true }, { 0 } },
    .realize = realize,
};
DEVICE_TYPE(pvpanic_type);
