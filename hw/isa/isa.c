/* SPDX-License-Identifier: MIT */
/* The ISA bus: placing of devices and shared interrupt lines. */
#include "hw/isa/isa.h"

#include <string.h>

#include "base/error.h"
#include "machine/machine.h"

enum { DRIVER_SHIFT = 8, DRIVERS_MAX = 32 };

/* By where its ports begin, used or not: "/fdc@03f0" of isa-fdc. */
static void isa_boot_path(const Device *device, GString *out)
{
    const char *name = device->type->name;
    const Property *property = property_find(device->type->properties, "iobase");
    uint32_t iobase = 0;

    if (property && property->kind == PROPERTY_U32) {
        memcpy(&iobase, (const char *)device + property->offset, sizeof iobase);
    }
    g_string_append_printf(out, "/%s@%04x", g_str_has_prefix(name, "isa-") ? name + 4 : name,
                           iobase);
}

const BusType isa_bus_type = { .name = "isa", .boot_path = isa_boot_path };

void isa_bus_init(IsaBus *bus, Device *parent, const char *name, MemoryRegion *io,
                  MemoryRegion *memory)
{
    bus_init(&bus->bus, &isa_bus_type, parent, name);
    bus->io = io;
    bus->memory = memory;
}

void isa_bus_reset(IsaBus *bus)
{
    for (unsigned irq = 0; irq < ISA_IRQ_COUNT; irq++) {
        irq_set(&bus->lines[irq], bus->drivers[irq] != 0);
    }
}

int isa_bus_new_driver(IsaBus *bus, unsigned irq)
{
    /* Beyond 32 on one line, which no PC has, they share the last bit. */
    unsigned driver = MIN(bus->connections[irq], DRIVERS_MAX - 1);

    bus->connections[irq]++;
    return (int)(driver << DRIVER_SHIFT | irq);
}

void isa_bus_set_irq(void *opaque, int number, int level)
{
    IsaBus *bus = opaque;
    unsigned irq = (unsigned)number & (ISA_IRQ_COUNT - 1);
    uint32_t bit = UINT32_C(1) << (number >> DRIVER_SHIFT);

    if (level) {
        bus->drivers[irq] |= bit;
    } else {
        bus->drivers[irq] &= ~bit;
    }
    irq_set(&bus->lines[irq], bus->drivers[irq] != 0);
}

IrqAnswer isa_bus_query(void *opaque, int number, IrqWatch *watch)
{
    const IsaBus *bus = opaque;

    return irq_query(&bus->lines[(unsigned)number & (ISA_IRQ_COUNT - 1)], watch);
}

static IsaBus *isa_bus(const Device *device)
{
    return container_of(device->bus, IsaBus, bus);
}

void isa_map_io(Device *device, unsigned index, uint16_t port)
{
    memory_region_add(isa_bus(device)->io, port, device_io(device, index), 0);
}

bool isa_connect_irq(Device *device, unsigned output, unsigned irq, GError **error)
{
    IsaBus *bus = isa_bus(device);

    if (irq >= ISA_IRQ_COUNT) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "device '%s': irq %u does not exist; ISA has 0 to %d", device->type->name,
                          irq, ISA_IRQ_COUNT - 1);
    }
    device_connect_irq_query(device, output, isa_bus_set_irq, isa_bus_query, bus,
                             isa_bus_new_driver(bus, irq));
    return true;
}

bool isa_place(Device *device, uint32_t iobase, uint32_t irq, GError **error)
{
    uint64_t size = device_io(device, 0)->size;

    if (iobase + size > 0x10000) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "device '%s': iobase %#x is beyond the last port, 0xffff",
                          device->type->name, iobase);
    }
    if (!isa_connect_irq(device, 0, irq, error)) {
        return false;
    }
    isa_map_io(device, 0, (uint16_t)iobase);
    return true;
}

unsigned isa_count_of_type(const Device *device)
{
    unsigned count = 0;

    for (unsigned i = 0; i < device->bus->devices->len; i++) {
        const Device *other = device->bus->devices->pdata[i];

        count += other->type == device->type && other->realized;
    }
    return count;
}
