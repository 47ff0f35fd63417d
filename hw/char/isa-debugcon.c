/* SPDX-License-Identifier: MIT */
/*
 * Debug console: each byte written to one port goes to a character device, and the port reads as a value by
 * which firmware (SeaBIOS, OVMF: port 0x402) and Bochs-aware programs (port 0xe9) find it.
 */
#include "base/error.h"
#include "hw/isa/isa.h"
#include "machine/console.h"

typedef struct {
    Device device;
    Chardev *chardev;
    uint32_t iobase, readback;
} IsaDebugcon;

static uint64_t read_data(Device *device, unsigned index)
{
    return container_of(device, IsaDebugcon, device)->readback & 0xff;
}

static void write_data(Device *device, unsigned index, uint64_t value)
{
    uint8_t byte = (uint8_t)value;

    console_write(container_of(device, IsaDebugcon, device)->chardev, &byte, 1);
}

static const Register registers[] = {
    { "DATA", 0, 1, REGISTER_RW | REGISTER_REPEAT, .field = REGISTER_NO_FIELD, .read = read_data,
      .write = write_data, .summary = "reads as the readback value" },
    { 0 },
};

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
    IsaDebugcon *d = container_of(device, IsaDebugcon, device);

    if (!d->chardev) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "isa-debugcon has nowhere to write to: give chardev=ID of a -chardev");
    }
    if (d->iobase > UINT16_MAX) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "isa-debugcon: iobase %#x is beyond the last port, 0xffff", d->iobase);
    }
    if (!chardev_attach(d->chardev, &frontend, d, error)) {
        return false;
    }
    isa_map_io(device, 0, (uint16_t)d->iobase);
    return true;
}

static void unrealize(Device *device)
{
    chardev_detach(container_of(device, IsaDebugcon, device)->chardev,
                   container_of(device, IsaDebugcon, device));
}

static const DeviceType isa_debugcon_type = {
    .name = "isa-debugcon",
    .summary = "Port whose bytes go to a character device",
    .bus = "isa",
    .category = "misc",
    .instance_size = sizeof(IsaDebugcon),
    .properties =
        (const Property[]){
            { "iobase", PROPERTY_U32, offsetof(IsaDebugcon, iobase), "port", "0xe9" },
            { "chardev", PROPERTY_CHARDEV, offsetof(IsaDebugcon, chardev), "where the bytes go" },
            { "readback", PROPERTY_U32, offsetof(IsaDebugcon, readback), "what the port reads as",
              "0xe9" },
            { 0 } },
    .banks =
        (const RegisterBank[]){
            { .name = "isa-debugcon", .size = 1, .registers = registers, .ports = true }, { 0 } },
    .realize = realize,
    .unrealize = unrealize,
};
DEVICE_TYPE(isa_debugcon_type);
