/* SPDX-License-Identifier: MIT */
/* Between virtio-serial, which owns the queues, and its ports, which own chardevs. */
#ifndef HW_VIRTIO_VIRTIO_SERIAL_H
#define HW_VIRTIO_VIRTIO_SERIAL_H

#include "hw/virtio/virtio.h"
#include "machine/chardev.h"

typedef struct VirtioSerial VirtioSerial;

typedef struct {
    Device device;
    VirtioSerial *serial;
    bool is_console;
    bool attached;            /* as front end of its chardev */
    uint8_t host_connected, guest_connected;
    VirtioElement *blocked;   /* taken from the transmit queue, not yet written out */
    uint64_t blocked_offset;
    /* Properties. */
    uint32_t number;          /* UINT32_MAX: the first free one */
    Chardev *chardev;
    char *name;
} VirtioSerialPort;

/* For ports. */
bool virtio_serial_add_port(VirtioSerial *serial, VirtioSerialPort *port, GError **error);
void virtio_serial_remove_port(VirtioSerial *serial, VirtioSerialPort *port);
/* How many bytes the guest has given room for; 0 when it does not listen. */
size_t virtio_serial_room(VirtioSerialPort *port);
void virtio_serial_receive(VirtioSerialPort *port, const uint8_t *data, size_t size);
void virtio_serial_host_open(VirtioSerialPort *port, bool open);
void virtio_serial_transmit(VirtioSerialPort *port);
/* The terminal behind a port has another size. */
void virtio_serial_resized(VirtioSerialPort *port);
/* Somebody in the guest has opened the port, or nobody has it open any more. */
void virtio_serial_set_guest_open(VirtioSerialPort *port, bool open);
VirtioSerial *virtio_serial_of_bus(Bus *bus);

/* For virtio-serial. */
size_t virtio_serial_port_write(VirtioSerialPort *port, const uint8_t *data, size_t size);
void virtio_serial_port_accept(VirtioSerialPort *port);

#endif
