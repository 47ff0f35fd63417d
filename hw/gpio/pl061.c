/* SPDX-License-Identifier: MIT */
/*
 * ARM PrimeCell GPIO PL061 (ARM DDI 0190B): eight pins with level and edge interrupts.
 * Inputs 0 to 7 are the pins; output 0 is GPIOINTR, outputs 1 to 8 are the pins that are driven.
 *
 * Not modelled: hardware control of pins (GPIOAFSEL is kept, without effect).
 */
#include "machine/device.h"

enum { PINS = 8 };

typedef struct {
    Device device;
    IrqLine intr, pins[PINS];
    uint32_t data;  /* the output latch */
    uint32_t input; /* levels that the outside drives */
    uint32_t dir, is, ibe, iev, ie, afsel;
    uint32_t edges; /* GPIORIS of the edge-sensitive pins */
} Pl061;

static Pl061 *pl061(Device *device)
{
    return container_of(device, Pl061, device);
}

static uint32_t pin_levels(const Pl061 *g)
{
    return (g->data & g->dir) | (g->input & ~g->dir & 0xff);
}

static uint32_t raw_status(const Pl061 *g)
{
    return (g->edges & ~g->is) | (~(pin_levels(g) ^ g->iev) & g->is & 0xff);
}

static void pl061_update_irq(Pl061 *g)
{
    irq_set(&g->intr, (raw_status(g) & g->ie) != 0);
}

/* After a change of what drives the pins; before: the levels until now. */
static void pl061_pins_changed(Pl061 *g, uint32_t before)
{
    uint32_t now = pin_levels(g), changed = before ^ now;

    g->edges |= changed & ~g->is & (g->ibe | ~(now ^ g->iev)) & 0xff;
    for (unsigned pin = 0; pin < PINS; pin++) {
        if (g->dir >> pin & 1 && changed >> pin & 1) {
            irq_set(&g->pins[pin], now >> pin & 1);
        }
    }
    pl061_update_irq(g);
}

/* Address bits 9:2 of an access to GPIODATA select the pins that it reaches. */
static uint64_t data_read(Device *device, unsigned index)
{
    return pin_levels(pl061(device)) & index;
}

static void data_write(Device *device, unsigned index, uint64_t value)
{
    Pl061 *g = pl061(device);
    uint32_t before = pin_levels(g), mask = g->dir & index;

    g->data = (g->data & ~mask) | ((uint32_t)value & mask);
    pl061_pins_changed(g, before);
}

static void dir_write(Device *device, unsigned index, uint64_t value)
{
    Pl061 *g = pl061(device);
    uint32_t before = pin_levels(g);

    g->dir = value & 0xff;
    pl061_pins_changed(g, before);
}

#define PLAIN_WRITE(field)                                                                         \
    static void field##_write(Device *device, unsigned index, uint64_t value)                      \
    {                                                                                              \
        pl061(device)->field = value & 0xff;                                                       \
        pl061_update_irq(pl061(device));                                                           \
    }
PLAIN_WRITE(is)
PLAIN_WRITE(iev)
PLAIN_WRITE(ie)
#undef PLAIN_WRITE

static uint64_t ris_read(Device *device, unsigned index)
{
    return raw_status(pl061(device));
}

static uint64_t mis_read(Device *device, unsigned index)
{
    return raw_status(pl061(device)) & pl061(device)->ie;
}

static void ic_write(Device *device, unsigned index, uint64_t value)
{
    pl061(device)->edges &= ~(uint32_t)value;
    pl061_update_irq(pl061(device));
}

/* PeriphID0 to 3, PCellID0 to 3. */
static const uint8_t pl061_ids[8] = { 0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };

static const Register pl061_registers[] = {
    { .name = "GPIODATA",
      .offset = 0x000,
      .width = 4,
      .access = REGISTER_RW,
      .count = 256,
      .field = REGISTER_NO_FIELD,
      .read = data_read,
      .write = data_write },
    { .name = "GPIODIR",
      .offset = 0x400,
      .width = 4,
      .access = REGISTER_RW,
      .field = offsetof(Pl061, dir),
      .write = dir_write },
    { .name = "GPIOIS",
      .offset = 0x404,
      .width = 4,
      .access = REGISTER_RW,
      .field = offsetof(Pl061, is),
      .write = is_write },
    { .name = "GPIOIBE",
      .offset = 0x408,
      .width = 4,
      .access = REGISTER_RW,
      .writable = 0xff,
      .field = offsetof(Pl061, ibe) },
    { .name = "GPIOIEV",
      .offset = 0x40c,
      .width = 4,
      .access = REGISTER_RW,
      .field = offsetof(Pl061, iev),
      .write = iev_write },
    { .name = "GPIOIE",
      .offset = 0x410,
      .width = 4,
      .access = REGISTER_RW,
      .field = offsetof(Pl061, ie),
      .write = ie_write },
    { .name = "GPIORIS",
      .offset = 0x414,
      .width = 4,
      .access = REGISTER_R,
      .field = REGISTER_NO_FIELD,
      .read = ris_read },
    { .name = "GPIOMIS",
      .offset = 0x418,
      .width = 4,
      .access = REGISTER_R,
      .field = REGISTER_NO_FIELD,
      .read = mis_read },
    { .name = "GPIOIC",
      .offset = 0x41c,
      .width = 4,
      .access = REGISTER_W,
      .field = REGISTER_NO_FIELD,
      .write = ic_write },
    { .name = "GPIOAFSEL",
      .offset = 0x420,
      .width = 4,
      .access = REGISTER_RW,
      .writable = 0xff,
      .field = offsetof(Pl061, afsel) },
    { .name = "GPIOID",
      .offset = 0xfe0,
      .width = 4,
      .access = REGISTER_R,
      .count = 8,
      .field = REGISTER_NO_FIELD,
      .constants = pl061_ids },
    { 0 },
};

static void pl061_input(void *opaque, int number, int level)
{
    Pl061 *g = opaque;
    uint32_t before = pin_levels(g);

    if (number >= 0 && number < PINS) {
        g->input = (uint32_t)bits_deposit(g->input, (unsigned)number, 1, level != 0);
        pl061_pins_changed(g, before);
    }
}

static bool pl061_realize(Device *device, GError **error)
{
    Pl061 *g = pl061(device);

    device_add_irq(device, &g->intr);
    for (unsigned pin = 0; pin < PINS; pin++) {
        device_add_irq(device, &g->pins[pin]);
    }
    return true;
}

static void pl061_reset(Device *device)
{
    Pl061 *g = pl061(device);

    g->data = g->input = g->edges = 0;
    pl061_update_irq(g);
}

static const DeviceType pl061_type = {
    .name = "pl061",
    .summary = "ARM PrimeCell GPIO",
    .board_only = true,
    .instance_size = sizeof(Pl061),
    .state = (const StateField[]){ STATE(Pl061, data),
                                   STATE(Pl061, input),
                                   STATE(Pl061, dir),
                                   STATE(Pl061, is),
                                   STATE(Pl061, ibe),
                                   STATE(Pl061, iev),
                                   STATE(Pl061, ie),
                                   STATE(Pl061, afsel),
                                   STATE(Pl061, edges),
                                   { 0 } },
    .banks =
        (const RegisterBank[]){
            { .name = "pl061", .size = 0x1000, .registers = pl061_registers, .size_max = 4 },
            { 0 } },
    .input = pl061_input,
    .realize = pl061_realize,
    .reset = pl061_reset,
};
DEVICE_TYPE(pl061_type);
