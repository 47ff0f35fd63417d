/* SPDX-License-Identifier: MIT */
/*
 * The ISA bridge of the Intel 82371SB (PIIX3 data sheet, 290550): routing of PCI interrupts and the
 * reset control register. Its bus is "isa.0".
 *
 *   io 0      0xcf9, reset control
 *   inputs    PIRQA to PIRQD
 *   irq 0-15  ISA interrupt lines
 *
 * Not modelled: what its other registers switch (decoding of ROM, timings, power management).
 */
#include "hw/isa/isa.h"
#include "hw/pci/pci.h"
#include "machine/machine.h"

enum { CONFIG_PIRQ = 0x60, PIRQ_COUNT = 4, PIRQ_OFF = 0x80 };
enum { RESET_HARD = 1 << 1, RESET_CPU = 1 << 2 };
enum { STATUS_MEDIUM_DEVSEL = 0x0200 };

typedef struct {
    PciDevice pci;
    IsaBus isa;
    int driver[ISA_IRQ_COUNT]; /* our numbers at the bus */
    uint8_t pirq_levels;       /* bit per PIRQ */
    uint8_t reset_control;
} Piix3;

static Piix3 *piix3(Device *device)
{
    return container_of(device, Piix3, pci.device);
}

/* PIRQs are low-active wires; their levels here are "asserted". */
static void update_routes(Piix3 *p)
{
    uint16_t high = 0;

    for (unsigned i = 0; i < PIRQ_COUNT; i++) {
        uint8_t route = p->pci.config[CONFIG_PIRQ + i];

        if (p->pirq_levels >> i & 1 && !(route & PIRQ_OFF)) {
            high |= (uint16_t)(1u << (route & 0xf));
        }
    }
    for (unsigned irq = 0; irq < ISA_IRQ_COUNT; irq++) {
        bool was = p->isa.drivers[irq] >> (p->driver[irq] >> 8) & 1;

        if (was != (high >> irq & 1)) {
            isa_bus_set_irq(&p->isa, p->driver[irq], high >> irq & 1);
        }
    }
}

static void piix3_input(void *opaque, int number, int level)
{
    Piix3 *p = piix3(opaque);
    uint8_t bit = (uint8_t)(1u << (number & (PIRQ_COUNT - 1)));

    p->pirq_levels = level ? p->pirq_levels | bit : p->pirq_levels & (uint8_t)~bit;
    update_routes(p);
}

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    if (offset + size > CONFIG_PIRQ && offset < CONFIG_PIRQ + PIRQ_COUNT) {
        update_routes(container_of(pci, Piix3, pci));
    }
}

static const PciDeviceOps piix3_ops = { .config_written = config_written };

static void write_reset_control(Device *device, unsigned index, uint64_t value)
{
    piix3(device)->reset_control = value & RESET_HARD;
    if (value & RESET_CPU) {
        machine_request_reset(device->machine, "guest");
    }
}

static const Register registers[] = {
    { "RCR", 0, 1, REGISTER_RW, .field = offsetof(Piix3, reset_control),
      .write = write_reset_control, .summary = "bit 2: reset, bit 1: of everything" },
    { 0 },
};

/* clang-format off */
static const PciConfigByte config_defaults[] = {
    { 0x4c, 0x4d, 0xff }, { 0x4e, 0x03, 0xff },                                             /* I/O recovery, chip selects */
    { 0x60, 0x80, 0xff }, { 0x61, 0x80, 0xff }, { 0x62, 0x80, 0xff }, { 0x63, 0x80, 0xff }, /* PIRQs */
    { 0x69, 0x02, 0xff },                                                                   /* top of memory */
    { 0x70, 0x80, 0xff }, { 0x76, 0x0c, 0xff }, { 0x77, 0x0c, 0xff }, { 0x78, 0x02, 0xff }, /* motherboard devices */
    { 0x82, 0x00, 0xff }, { 0xa0, 0x08, 0xff }, { 0xa8, 0x0f, 0xff },                       /* latency, SMI, clocks */
};
/* clang-format on */

static bool piix3_realize(Device *device, GError **error)
{
    Piix3 *p = piix3(device);

    pci_set_identity(&p->pci, 0x8086, 0x7000, 0x060100, 0);
    store_le16(p->pci.config + PCI_STATUS, STATUS_MEDIUM_DEVSEL);
    p->pci.config[PCI_HEADER_TYPE] |= PCI_HEADER_MULTIFUNCTION;
    pci_set_config(&p->pci, config_defaults, ARRAY_SIZE(config_defaults));
    p->pci.ops = &piix3_ops;
    isa_bus_init(&p->isa, device, "isa.0", device->machine->system_io, p->pci.bus->memory);
    for (unsigned irq = 0; irq < ISA_IRQ_COUNT; irq++) {
        device_add_irq(device, &p->isa.lines[irq]);
        p->driver[irq] = isa_bus_new_driver(&p->isa, irq);
    }
    return true;
}

static void piix3_reset(Device *device)
{
    Piix3 *p = piix3(device);

    pci_reset(&p->pci);
    p->pirq_levels = 0;
    update_routes(p);
    isa_bus_reset(&p->isa);
}

static void piix3_state_loaded(Device *device)
{
    pci_state_loaded(pci_device(device));
    update_routes(piix3(device));
}

static const DeviceType piix3_type = {
    .name = "PIIX3",
    .summary = "Intel PIIX3 ISA bridge",
    .bus = "pci",
    .category = "bridge",
    .instance_size = sizeof(Piix3),
    .bus_properties = (const Property[]){ PCI_PROPERTIES(Piix3, pci), { 0 } },
    .state =
        (const StateField[]){
            PCI_STATE(Piix3, pci), STATE(Piix3, pirq_levels), STATE(Piix3, reset_control), { 0 } },
    .banks =
        (const RegisterBank[]){
            { .name = "PIIX3", .size = 1, .registers = registers, .ports = true }, { 0 } },
    .board_only = true,
    .input = piix3_input,
    .realize = piix3_realize,
    .reset = piix3_reset,
    .state_loaded = piix3_state_loaded,
};
DEVICE_TYPE(piix3_type);
