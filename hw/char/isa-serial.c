/* SPDX-License-Identifier: MIT */
/* A 16550A on the ISA bus, at COM1 to COM4's places unless told otherwise. */
#include "base/error.h"
#include "hw/char/serial.h"
#include "hw/isa/isa.h"

#define UNSET UINT32_MAX

typedef struct {
    Serial serial;
    uint32_t index, iobase, irq;
    bool wakeup;
} IsaSerial;

static const struct {
    uint16_t iobase;
    uint8_t irq;
} places[] = { { 0x3f8, ISA_IRQ_SERIAL_1 },
               { 0x2f8, ISA_IRQ_SERIAL_2 },
               { 0x3e8, ISA_IRQ_SERIAL_1 },
               { 0x2e8, ISA_IRQ_SERIAL_2 } };

static IsaSerial *isa_serial(Device *device)
{
    return container_of(device, IsaSerial, serial.device);
}

static bool realize(Device *device, GError **error)
{
    IsaSerial *s = isa_serial(device);

    if (s->index == UNSET) {
        s->index = isa_count_of_type(device);
    }
    if (s->index >= ARRAY_SIZE(places) && (s->iobase == UNSET || s->irq == UNSET)) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "isa-serial: a PC has %u serial ports; give one beyond them iobase= and irq=",
            (unsigned)ARRAY_SIZE(places));
    }
    if (s->iobase == UNSET) {
        s->iobase = places[s->index].iobase;
    }
    if (s->irq == UNSET) {
        s->irq = places[s->index].irq;
    }
    if (!serial_realize(&s->serial, error)) {
        return false;
    }
    if (!isa_place(device, s->iobase, s->irq, error)) {
        serial_unrealize(&s->serial);
        return false;
    }
    return true;
}

static void unrealize(Device *device)
{
    serial_unrealize(&isa_serial(device)->serial);
}

static void reset(Device *device)
{
    serial_reset(&isa_serial(device)->serial);
}

static void state_loaded(Device *device)
{
    serial_state_loaded(&isa_serial(device)->serial);
}

static const DeviceType isa_serial_type = {
    .name = "isa-serial",
    .summary = "16550A serial port on the ISA bus",
    .bus = "isa",
    .category = "input",
    .instance_size = sizeof(IsaSerial),
    .properties =
        (const Property[]){
            { "index", PROPERTY_U32, offsetof(IsaSerial, index), "0 for COM1 … 3 for COM4",
              "0xffffffff" },
            { "iobase", PROPERTY_U32, offsetof(IsaSerial, iobase), "first port", "0xffffffff" },
            { "irq", PROPERTY_U32, offsetof(IsaSerial, irq), "interrupt line", "0xffffffff" },
            { "chardev", PROPERTY_CHARDEV, offsetof(IsaSerial, serial.chardev),
              "the serial line's other end" },
            { "wakeup", PROPERTY_BOOL, offsetof(IsaSerial, wakeup), "accepted; has no effect" },
            { 0 } },
    .state_version = SERIAL_TIMEOUT_VERSION,
    .state = (const StateField[]){ SERIAL_STATE(IsaSerial, serial), { 0 } },
    .banks = (const RegisterBank[]){ { .name = "isa-serial",
                                       .size = SERIAL_PORTS,
                                       .registers = serial_registers,
                                       .ports = true },
                                     { 0 } },
    .realize = realize,
    .unrealize = unrealize,
    .reset = reset,
    .state_loaded = state_loaded,
};
DEVICE_TYPE(isa_serial_type);
