/* SPDX-License-Identifier: MIT */
/*
 * Standard parallel port (IEEE 1284 compatibility mode, as in the PC/AT): a printer that takes each
 * character at the strobe, is never busy and sends nothing: data of the other direction reads as ones.
 *
 * Not modelled: EPP and ECP; the EPP ports take and give nothing.
 */
#include "base/error.h"
#include "hw/isa/isa.h"
#include "machine/chardev.h"

#define UNSET UINT32_MAX

enum {
    STATUS_EPP_TIMEOUT = 1 << 0,
    STATUS_ERROR_N = 1 << 3,
    STATUS_SELECTED = 1 << 4,
    STATUS_ACK_N = 1 << 6,
    STATUS_BUSY_N = 1 << 7,
};
enum {
    CONTROL_STROBE = 1 << 0,
    CONTROL_INIT_N = 1 << 2,
    CONTROL_SELECT = 1 << 3,
    CONTROL_INTERRUPT = 1 << 4,
    CONTROL_INPUT = 1 << 5,
    CONTROL_ONES = 0xc0,
};

typedef struct {
    Device device;
    IrqLine irq;
    Chardev *chardev;
    uint32_t index, iobase, irq_number;
    uint8_t data, control;
} IsaParallel;

static const uint16_t places[] = { 0x378, 0x278, 0x3bc };

static uint64_t read_data(Device *device, unsigned index)
{
    const IsaParallel *p = container_of(device, IsaParallel, device);

    return p->control & CONTROL_INPUT ? 0xff : p->data;
}

static uint64_t read_status(Device *device, unsigned index)
{
    return STATUS_EPP_TIMEOUT | STATUS_ERROR_N | STATUS_SELECTED | STATUS_ACK_N | STATUS_BUSY_N;
}

static uint64_t read_control(Device *device, unsigned index)
{
    return container_of(device, IsaParallel, device)->control | CONTROL_ONES;
}

static void write_control(Device *device, unsigned index, uint64_t value)
{
    IsaParallel *p = container_of(device, IsaParallel, device);
    uint8_t before = p->control;

    p->control = value & 0x3f;
    if (!(value & CONTROL_INIT_N) || !(value & CONTROL_SELECT)) {
        return;
    }
    if (value & ~before & CONTROL_STROBE) {
        chardev_write(p->chardev, &p->data, 1);
    } else if (before & ~value & CONTROL_STROBE && value & CONTROL_INTERRUPT) {
        irq_pulse(&p->irq); /* the printer acknowledges */
    }
}

/* clang-format off */
static const Register registers[] = {
    { "DATA", 0, 1, REGISTER_RW, .field = offsetof(IsaParallel, data), .reset = 0xff, .read = read_data },
    { "STATUS", 1, 1, REGISTER_R | REGISTER_QUIET, .field = REGISTER_NO_FIELD, .read = read_status },
    { "CONTROL", 2, 1, REGISTER_RW, .field = offsetof(IsaParallel, control),
      .reset = CONTROL_INIT_N | CONTROL_SELECT, .read = read_control, .write = write_control },
    { 0 },
};
/* clang-format on */

static size_t can_receive(void *opaque)
{
    return 0;
}

static void receive(void *opaque, const uint8_t *data, size_t size)
{
}

static const ChardevFrontend frontend = { .can_receive = can_receive, .receive = receive };

static bool realize(Device *device, GError **error)
{
    IsaParallel *p = container_of(device, IsaParallel, device);

    if (p->index == UNSET) {
        p->index = isa_count_of_type(device);
    }
    if (p->iobase == UNSET) {
        if (p->index >= ARRAY_SIZE(places)) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "isa-parallel: a PC has %u parallel ports; give another one iobase=",
                              (unsigned)ARRAY_SIZE(places));
        }
        p->iobase = places[p->index];
    }
    device_add_irq(device, &p->irq);
    if (p->chardev && !chardev_attach(p->chardev, &frontend, p, error)) {
        return false;
    }
    if (!isa_place(device, p->iobase, p->irq_number, error)) {
        if (p->chardev) {
            chardev_detach(p->chardev, p);
        }
        return false;
    }
    return true;
}

static void unrealize(Device *device)
{
    IsaParallel *p = container_of(device, IsaParallel, device);

    if (p->chardev) {
        chardev_detach(p->chardev, p);
    }
}

static void reset(Device *device)
{
    irq_set(&container_of(device, IsaParallel, device)->irq, 0);
}

static const DeviceType isa_parallel_type = {
    .name = "isa-parallel",
    .summary = "Parallel port on the ISA bus",
    .bus = "isa",
    .category = "input",
    .instance_size = sizeof(IsaParallel),
    .properties =
        (const Property[]){
            { "index", PROPERTY_U32, offsetof(IsaParallel, index), "0 for LPT1 … 2 for LPT3",
              "0xffffffff" },
            { "iobase", PROPERTY_U32, offsetof(IsaParallel, iobase), "first port", "0xffffffff" },
            { "irq", PROPERTY_U32, offsetof(IsaParallel, irq_number), "interrupt line", "7" },
            { "chardev", PROPERTY_CHARDEV, offsetof(IsaParallel, chardev),
              "where printed characters go" },
            { 0 } },
    .state = (const StateField[]){ STATE(IsaParallel, data), STATE(IsaParallel, control), { 0 } },
    .banks =
        (const RegisterBank[]){
            { .name = "isa-parallel", .size = 8, .registers = registers, .ports = true }, { 0 } },
    .realize = realize,
    .unrealize = unrealize,
    .reset = reset,
};
DEVICE_TYPE(isa_parallel_type);
