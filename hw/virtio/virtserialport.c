/* SPDX-License-Identifier: MIT */
/* The ports of a virtio-serial device: virtserialport (a named pipe to the guest) and virtconsole. */
#include "base/error.h"
#include "hw/virtio/virtio-serial.h"
#include "machine/console.h"
#include "machine/machine.h"

static VirtioSerialPort *virtserialport(Device *device)
{
    return container_of(device, VirtioSerialPort, device);
}

size_t virtio_serial_port_write(VirtioSerialPort *port, const uint8_t *data, size_t size)
{
    /* Without a peer the bytes vanish, as on a serial cable that is not plugged in. */
    if (port->chardev && !port->host_connected) {
        return size;
    }
    return port->is_console ? console_write(port->chardev, data, size)
                            : chardev_write(port->chardev, data, size);
}

void virtio_serial_port_accept(VirtioSerialPort *port)
{
    if (port->chardev) {
        chardev_accept_input(port->chardev);
    }
}

static size_t port_can_receive(void *opaque)
{
    return virtio_serial_room(opaque);
}

static void port_receive(void *opaque, const uint8_t *data, size_t size)
{
    virtio_serial_receive(opaque, data, size);
}

static void port_can_write(void *opaque)
{
    virtio_serial_transmit(opaque);
}

static void port_event(void *opaque, ChardevEvent event)
{
    VirtioSerialPort *port = opaque;

    if (event == CHARDEV_OPENED || event == CHARDEV_CLOSED) {
        virtio_serial_host_open(port, event == CHARDEV_OPENED);
        if (port->blocked) {
            virtio_serial_transmit(port);
        }
    } else if (event == CHARDEV_RESIZED && port->is_console) {
        virtio_serial_resized(port);
    }
}

static void port_changed(void *opaque, Chardev *chardev)
{
    ((VirtioSerialPort *)opaque)->chardev = chardev;
}

static const ChardevFrontend port_frontend = {
    .can_receive = port_can_receive,
    .receive = port_receive,
    .event = port_event,
    .can_write = port_can_write,
    .changed = port_changed,
};

static bool realize(VirtioSerialPort *port, bool is_console, GError **error)
{
    port->is_console = is_console;
    if (!virtio_serial_add_port(virtio_serial_of_bus(port->device.bus), port, error)) {
        return false;
    }
    /* A console shows something even when nobody is there; it is always plugged in. */
    port->host_connected = is_console || (port->chardev && port->chardev->open);
    if (port->chardev && !chardev_attach(port->chardev, &port_frontend, port, error)) {
        virtio_serial_remove_port(port->serial, port);
        return false;
    }
    port->attached = port->chardev != NULL;
    if (!is_console) {
        chardev_guest_opened(port->chardev, false);
    }
    return true;
}

static bool virtserialport_realize(Device *device, GError **error)
{
    return realize(virtserialport(device), false, error);
}

static bool virtconsole_realize(Device *device, GError **error)
{
    return realize(virtserialport(device), true, error);
}

static void virtserialport_unrealize(Device *device)
{
    VirtioSerialPort *port = virtserialport(device);

    if (port->attached) {
        chardev_detach(port->chardev, port);
        port->attached = false;
    }
    if (port->serial) {
        virtio_serial_remove_port(port->serial, port);
    }
}

static void virtserialport_reset(Device *device)
{
    VirtioSerialPort *port = virtserialport(device);

    virtio_serial_set_guest_open(port, false);
}

static const Property virtserialport_properties[] = {
    { "chardev", PROPERTY_CHARDEV, offsetof(VirtioSerialPort, chardev), "id of a -chardev" },
    { "name", PROPERTY_STRING, offsetof(VirtioSerialPort, name), "what the guest calls it" },
    { "nr", PROPERTY_U32, offsetof(VirtioSerialPort, number), "port number; unset: the first free",
      "4294967295" },
    { 0 },
};

static const StateField virtserialport_state[] = {
    STATE(VirtioSerialPort, guest_connected),
    { 0 },
};

static const DeviceType virtserialport_type = {
    .name = "virtserialport",
    .summary = "Port of a virtio-serial device",
    .bus = "virtio-serial-bus",
    .category = "input",
    .instance_size = sizeof(VirtioSerialPort),
    .properties = virtserialport_properties,
    .state = virtserialport_state,
    .realize = virtserialport_realize,
    .unrealize = virtserialport_unrealize,
    .reset = virtserialport_reset,
};
DEVICE_TYPE(virtserialport_type);

static const DeviceType virtconsole_type = {
    .name = "virtconsole",
    .summary = "Console port of a virtio-serial device",
    .bus = "virtio-serial-bus",
    .category = "input",
    .instance_size = sizeof(VirtioSerialPort),
    .properties = virtserialport_properties,
    .state = virtserialport_state,
    .realize = virtconsole_realize,
    .unrealize = virtserialport_unrealize,
    .reset = virtserialport_reset,
};
DEVICE_TYPE(virtconsole_type);
