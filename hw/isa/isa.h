/* SPDX-License-Identifier: MIT */
/*
 * The ISA bus: I/O ports, memory below 16 MiB and 16 interrupt lines that devices share. A device on it
 * says in its properties (iobase, irq) where it is, and asks for that in its realize. All of it runs under the
 * machine lock.
 */
#ifndef HW_ISA_ISA_H
#define HW_ISA_ISA_H

#include "machine/arch/x86.h"
#include "machine/device.h"

typedef struct {
    Bus bus;
    MemoryRegion *io, *memory;         /* what the bus decodes */
    /* One per line, to the interrupt controller; what devices drive is ORed. Boards connect them. */
    IrqLine lines[ISA_IRQ_COUNT];
    uint32_t drivers[ISA_IRQ_COUNT];   /* bit per connection that is high */
    unsigned connections[ISA_IRQ_COUNT];
} IsaBus;

extern const BusType isa_bus_type;

/* For bridges and boards. */
void isa_bus_init(IsaBus *bus, Device *parent, const char *name, MemoryRegion *io,
                  MemoryRegion *memory);
void isa_bus_reset(IsaBus *bus);
/* Drives line `irq` from something that is not on the bus: opaque of an IrqHandler is the bus. */
IrqHandler isa_bus_set_irq;
IrqQuery isa_bus_query;
/* A number for isa_bus_set_irq that is one more driver of the line. */
int isa_bus_new_driver(IsaBus *bus, unsigned irq);

/* For realize of a device on the bus. Maps an I/O region of the device (device_add_io) at a port. */
void isa_map_io(Device *device, unsigned index, uint16_t port);
/* Connects an output (device_add_irq) to a line. Fails when there is no such line. */
bool isa_connect_irq(Device *device, unsigned output, unsigned irq, GError **error);
/* For devices of one port region and one interrupt; iobase must lie in the I/O space. */
bool isa_place(Device *device, uint32_t iobase, uint32_t irq, GError **error);
/* What sits on the bus of a type and was realized before: the index of the next one (COM1, COM2 …). */
unsigned isa_count_of_type(const Device *device);

#endif
