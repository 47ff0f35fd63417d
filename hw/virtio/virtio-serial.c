/* SPDX-License-Identifier: MIT */
/*
 * Virtio console device (Virtio 1.2, 5.3) with several ports. Ports are devices of their own on its
 * bus: virtconsole and virtserialport.
 */
#include "hw/virtio/virtio-serial.h"

#include "base/error.h"
#include "machine/machine.h"

enum {
    F_SIZE = 0,
    F_MULTIPORT = 1,
    F_EMERG_WRITE = 2,

    CONFIG_COLUMNS = 0,
    CONFIG_ROWS = 2,
    CONFIG_MAX_PORTS = 4,
    CONFIG_EMERG_WR = 8,
    CONFIG_SIZE = 12,

    MAX_PORTS = 31,
    QUEUE_CONTROL_RX = 2,
    QUEUE_CONTROL_TX = 3,
    QUEUE_SIZE = 128,
    CONTROL_QUEUE_SIZE = 32,
    /* Control messages that wait for the driver's buffers; a driver can cause no more. */
    MAX_PENDING = 512,
    /* Bytes of one port's output before others get the machine lock. */
    TRANSMIT_BUDGET = 256 << 10,
    TRANSMIT_CHUNK = 16 << 10,

    CONTROL_SIZE = 8,
    DEVICE_READY = 0,
    PORT_ADD = 1,
    PORT_REMOVE = 2,
    PORT_READY = 3,
    CONSOLE_PORT = 4,
    RESIZE = 5,
    PORT_OPEN = 6,
    PORT_NAME = 7,
};

struct VirtioSerial {
    VirtioDevice virtio;
    Bus bus;
    VirtioSerialPort *ports[MAX_PORTS];
    GQueue pending; /* GBytes: control messages to the driver */
    bool ready;     /* the driver has been told of the ports */
    /* Properties. */
    uint32_t max_ports;
    bool emergency_write, console_size;
};

static VirtioSerial *virtio_serial(VirtioDevice *virtio)
{
    return container_of(virtio, VirtioSerial, virtio);
}

VirtioSerial *virtio_serial_of_bus(Bus *bus)
{
    return container_of(bus, VirtioSerial, bus);
}

static unsigned rx_queue_of(unsigned port)
{
    return port ? 2 * port + 2 : 0;
}

static VirtioSerialPort *port_of_queue(VirtQueue *queue)
{
    unsigned pair = queue->index / 2;

    return virtio_serial(queue->virtio)->ports[pair ? pair - 1 : 0];
}

static VirtQueue *port_queue(VirtioSerialPort *port, bool transmit)
{
    return &port->serial->virtio.queues[rx_queue_of(port->number) + transmit];
}

/* Control messages. */

static void flush_pending(VirtioSerial *serial)
{
    VirtQueue *queue = &serial->virtio.queues[QUEUE_CONTROL_RX];
    GBytes *message;

    if (!virtio_running(&serial->virtio)) {
        return;
    }
    while ((message = g_queue_peek_head(&serial->pending))) {
        VirtioElement *e = virtqueue_pop(queue);
        size_t size;
        const void *data = g_bytes_get_data(message, &size);

        if (!e) {
            virtqueue_want_kicks(queue, true);
            if (virtqueue_empty(queue)) {
                break;
            }
            continue;
        }
        virtqueue_push(e, iovec_from_buffer(e->in, e->in_count, 0, data, size));
        g_bytes_unref(g_queue_pop_head(&serial->pending));
    }
    virtqueue_notify(queue);
}

static void send_control(VirtioSerial *serial, unsigned port, unsigned event, unsigned value,
                         const void *text, size_t text_size)
{
    uint8_t *message;

    if (!virtio_has_feature(&serial->virtio, F_MULTIPORT)) {
        return;
    }
    if (serial->pending.length >= MAX_PENDING) {
        log_guest_error(virtio_name(&serial->virtio), "driver takes no control messages");
        return;
    }
    message = g_malloc(CONTROL_SIZE + text_size);
    store_le32(message, port);
    store_le16(message + 4, event);
    store_le16(message + 6, value);
    if (text_size) {
        memcpy(message + CONTROL_SIZE, text, text_size);
    }
    g_queue_push_tail(&serial->pending, g_bytes_new_take(message, CONTROL_SIZE + text_size));
    flush_pending(serial);
}

/* Virtio 1.2, 5.3.6.2. Older Linux takes the two for each other. */
static void send_size(VirtioSerialPort *port)
{
    uint8_t size[4];

    if (port->is_console && port->chardev && port->chardev->columns) {
        store_le16(size, port->chardev->columns);
        store_le16(size + 2, port->chardev->rows);
        send_control(port->serial, port->number, RESIZE, 0, size, sizeof size);
    }
}

/* The configuration space has the size of the console of port 0, for drivers that know only one port. */
static void fill_config(VirtioSerial *serial)
{
    const VirtioSerialPort *port = serial->ports[0];
    uint8_t *config = serial->virtio.config;

    memset(config, 0, CONFIG_SIZE);
    if (port && port->chardev) {
        store_le16(config + CONFIG_COLUMNS, port->chardev->columns);
        store_le16(config + CONFIG_ROWS, port->chardev->rows);
    }
    store_le32(config + CONFIG_MAX_PORTS, serial->max_ports);
}

void virtio_serial_resized(VirtioSerialPort *port)
{
    fill_config(port->serial);
    send_size(port);
    if (port->number == 0) {
        virtio_config_changed(&port->serial->virtio);
    }
}

static void port_ready(VirtioSerial *serial, VirtioSerialPort *port)
{
    if (port->is_console) {
        send_control(serial, port->number, CONSOLE_PORT, 1, NULL, 0);
        send_size(port);
    }
    if (port->name) {
        send_control(serial, port->number, PORT_NAME, 1, port->name, strlen(port->name));
    }
    if (port->host_connected) {
        send_control(serial, port->number, PORT_OPEN, 1, NULL, 0);
    }
    virtio_serial_port_accept(port);
}

void virtio_serial_set_guest_open(VirtioSerialPort *port, bool open)
{
    bool changed = port->guest_connected != open;

    port->guest_connected = open;
    if (!port->is_console) {
        chardev_guest_opened(port->chardev, open);
    }
    if (changed && port->device.from_user && port->device.anonymous < 0) {
        machine_event_soon(port->device.machine, "VSERPORT_CHANGE",
                           g_strdup_printf("{\"id\": \"%s\", \"open\": %s}", port->device.id,
                                           open ? "true" : "false"));
    }
}

static void handle_control(VirtioSerial *serial, const uint8_t *message)
{
    uint32_t number = load_le32(message);
    unsigned event = load_le16(message + 4), value = load_le16(message + 6);
    VirtioSerialPort *port = number < serial->max_ports ? serial->ports[number] : NULL;

    if (event == DEVICE_READY) {
        serial->ready = value != 0;
        for (unsigned i = 0; value && i < serial->max_ports; i++) {
            if (serial->ports[i]) {
                send_control(serial, i, PORT_ADD, 1, NULL, 0);
            }
        }
        return;
    }
    if (!port) {
        log_guest_error(virtio_name(&serial->virtio),
                        "control event %u for port %u, which is not there", event, number);
    } else if (event == PORT_READY && value) {
        port_ready(serial, port);
    } else if (event == PORT_OPEN) {
        virtio_serial_set_guest_open(port, value != 0);
        virtio_serial_port_accept(port);
    }
}

static bool take_control(VirtQueue *queue, VirtioElement *e)
{
    uint8_t message[CONTROL_SIZE];

    if (iovec_to_buffer(e->out, e->out_count, 0, message, sizeof message) == sizeof message) {
        handle_control(virtio_serial(queue->virtio), message);
    } else {
        log_guest_error(virtio_name(queue->virtio), "control message of %llu bytes",
                        (unsigned long long)e->out_bytes);
    }
    virtqueue_push(e, 0);
    return true;
}

static void kick_control_tx(VirtQueue *queue)
{
    virtqueue_process(queue, take_control);
}

static void kick_control_rx(VirtQueue *queue)
{
    flush_pending(virtio_serial(queue->virtio));
}

/* Guest to host. */

static bool guest_talks(const VirtioSerialPort *port)
{
    /* A console, and any port of a driver without MULTIPORT, is open from the start. */
    return port->guest_connected || port->is_console ||
           !virtio_has_feature(&port->serial->virtio, F_MULTIPORT);
}

/* Writes what the chain still holds; false when the back end would block or the budget is used up. */
static bool write_out(VirtioSerialPort *port, VirtioElement *e, size_t *budget)
{
    uint8_t chunk[TRANSMIT_CHUNK];

    while (port->blocked_offset < e->out_bytes) {
        size_t size = iovec_to_buffer(e->out, e->out_count, port->blocked_offset, chunk,
                                      MIN(sizeof chunk, *budget));
        size_t taken = size ? virtio_serial_port_write(port, chunk, size) : 0;

        port->blocked_offset += taken;
        *budget -= taken;
        if (!taken) {
            return false;
        }
    }
    return true;
}

static void transmit(VirtioSerialPort *port, VirtQueue *queue)
{
    size_t budget = TRANSMIT_BUDGET;
    bool blocked = false;

    while (!blocked && budget) {
        VirtioElement *e = port->blocked ? port->blocked : virtqueue_pop(queue);

        if (!e) {
            virtqueue_want_kicks(queue, true);
            if (virtqueue_empty(queue)) {
                break;
            }
            continue;
        }
        port->blocked = NULL;
        if (guest_talks(port) && !write_out(port, e, &budget)) {
            port->blocked = e;
            blocked = true;
        } else {
            port->blocked_offset = 0;
            virtqueue_push(e, 0);
        }
    }
    virtqueue_notify(queue);
    if (!budget) {
        virtqueue_defer(queue);
    }
}

static bool discard_chain(VirtQueue *queue, VirtioElement *e)
{
    virtqueue_push(e, 0);
    return true;
}

static void kick_tx(VirtQueue *queue)
{
    VirtioSerialPort *port = port_of_queue(queue);

    if (port) {
        transmit(port, queue);
    } else {
        virtqueue_process(queue, discard_chain);
    }
}

void virtio_serial_transmit(VirtioSerialPort *port)
{
    if (virtio_running(&port->serial->virtio)) {
        virtio_kick(&port->serial->virtio, port_queue(port, true)->index);
    }
}

/* Host to guest. */

size_t virtio_serial_room(VirtioSerialPort *port)
{
    enum { ROOM = 4096 };
    VirtQueue *queue = port_queue(port, false);

    if (!virtio_running(&port->serial->virtio) || !guest_talks(port)) {
        return 0;
    }
    if (virtqueue_empty(queue)) {
        virtqueue_want_kicks(queue, true);
        return virtqueue_empty(queue) ? 0 : ROOM;
    }
    return ROOM;
}

void virtio_serial_receive(VirtioSerialPort *port, const uint8_t *data, size_t size)
{
    VirtQueue *queue = port_queue(port, false);
    size_t done = 0;

    while (done < size) {
        VirtioElement *e = virtqueue_pop(queue);
        size_t part;

        if (!e) {
            trace(virtio_name(&port->serial->virtio), "%zu bytes of input lost", size - done);
            break;
        }
        part = iovec_from_buffer(e->in, e->in_count, 0, data + done, size - done);
        if (!part) {
            virtio_fail(&port->serial->virtio, "receive buffer of 0 bytes");
        }
        done += part;
        virtqueue_push(e, part);
    }
    virtqueue_notify(queue);
}

static void kick_rx(VirtQueue *queue)
{
    VirtioSerialPort *port = port_of_queue(queue);

    virtqueue_want_kicks(queue, virtqueue_empty(queue));
    if (port) {
        virtio_serial_port_accept(port);
    }
}

void virtio_serial_host_open(VirtioSerialPort *port, bool open)
{
    if (port->host_connected != open) {
        port->host_connected = open;
        send_control(port->serial, port->number, PORT_OPEN, open, NULL, 0);
    }
}

/* Ports. */

bool virtio_serial_add_port(VirtioSerial *serial, VirtioSerialPort *port, GError **error)
{
    if (port->number == UINT32_MAX) {
        /* Port 0 is the console of drivers that know only one port. */
        port->number = port->is_console ? 0 : 1;
        while (port->number < serial->max_ports && serial->ports[port->number]) {
            port->number++;
        }
    }
    if (port->number >= serial->max_ports) {
        return error_fail(error, KASO_ERROR_INVALID, "%s: port number %u; '%s' has max_ports=%u",
                          port->device.type->name, port->number, serial->virtio.pci.device.id,
                          serial->max_ports);
    }
    if (serial->ports[port->number]) {
        return error_fail(error, KASO_ERROR_INVALID, "%s: nr=%u is taken by '%s'",
                          port->device.type->name, port->number,
                          serial->ports[port->number]->device.id);
    }
    if (!port->is_console && !port->number) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "virtserialport: nr=0 is reserved for virtconsole");
    }
    port->serial = serial;
    serial->ports[port->number] = port;
    fill_config(serial);
    return true;
}

void virtio_serial_remove_port(VirtioSerial *serial, VirtioSerialPort *port)
{
    if (port->blocked) {
        virtqueue_free_element(port->blocked);
        port->blocked = NULL;
    }
    serial->ports[port->number] = NULL;
    send_control(serial, port->number, PORT_REMOVE, 1, NULL, 0);
}

/* A driver that knows several ports hears of those that come and go. */
static bool may_plug(Bus *bus, Device *device, GError **error)
{
    return virtio_serial_of_bus(bus)->max_ports > 1 ||
           error_fail(error, KASO_ERROR_UNSUPPORTED,
                      "Bus '%s' does not support hotplugging: its device has max_ports=1",
                      bus->name);
}

static void plugged(Bus *bus, Device *device)
{
    VirtioSerial *serial = virtio_serial_of_bus(bus);

    for (unsigned i = 0; serial->ready && i < serial->max_ports; i++) {
        if (serial->ports[i] && &serial->ports[i]->device == device) {
            send_control(serial, i, PORT_ADD, 1, NULL, 0);
        }
    }
}

static bool unplug(Bus *bus, Device *device, GError **error)
{
    if (!may_plug(bus, device, error)) {
        return false;
    }
    device_unplugged(device);
    return true;
}

static const BusType virtio_serial_bus_type = {
    .name = "virtio-serial-bus", .may_plug = may_plug, .plugged = plugged, .unplug = unplug
};

static void add_bus(VirtioSerial *serial)
{
    Device *device = &serial->virtio.pci.device;
    /* Generated ids begin with the type's name. */
    bool named = !g_str_has_prefix(device->id, device->type->name);
    char *name = g_strdup_printf("%s.0", named ? device->id : "virtio-serial-bus");

    bus_init(&serial->bus, &virtio_serial_bus_type, device, name);
    serial->bus.max_devices = serial->max_ports;
    g_free(name);
}

static bool virtio_serial_realize(VirtioDevice *virtio, GError **error)
{
    VirtioSerial *serial = virtio_serial(virtio);

    if (!serial->max_ports || serial->max_ports > MAX_PORTS) {
        return error_fail(error, KASO_ERROR_INVALID, "max_ports=%u is not between 1 and %u",
                          serial->max_ports, MAX_PORTS);
    }
    g_queue_init(&serial->pending);
    fill_config(serial);
    virtio_add_queue(virtio, QUEUE_SIZE, kick_rx);
    virtio_add_queue(virtio, QUEUE_SIZE, kick_tx);
    virtio_add_queue(virtio, CONTROL_QUEUE_SIZE, kick_control_rx);
    virtio_add_queue(virtio, CONTROL_QUEUE_SIZE, kick_control_tx);
    for (unsigned i = 1; i < serial->max_ports; i++) {
        virtio_add_queue(virtio, QUEUE_SIZE, kick_rx);
        virtio_add_queue(virtio, QUEUE_SIZE, kick_tx);
    }
    add_bus(serial);
    return true;
}

static void drop_pending(VirtioSerial *serial)
{
    GBytes *message;

    while ((message = g_queue_pop_head(&serial->pending))) {
        g_bytes_unref(message);
    }
}

static void virtio_serial_unrealize(VirtioDevice *virtio)
{
    drop_pending(virtio_serial(virtio));
}

static void drop_blocked(VirtioSerialPort *port)
{
    port->blocked_offset = 0;
    if (port->blocked) {
        virtqueue_free_element(port->blocked);
        port->blocked = NULL;
    }
}

static void virtio_serial_queue_reset(VirtQueue *queue)
{
    VirtioSerialPort *port = port_of_queue(queue);

    if (port && port->blocked && port->blocked->queue == queue) {
        drop_blocked(port);
    }
}

static void virtio_serial_reset(VirtioDevice *virtio)
{
    VirtioSerial *serial = virtio_serial(virtio);

    drop_pending(serial);
    serial->ready = false;
    for (unsigned i = 0; i < serial->max_ports; i++) {
        VirtioSerialPort *port = serial->ports[i];

        if (!port) {
            continue;
        }
        virtio_serial_set_guest_open(port, false);
        drop_blocked(port);
    }
}

/* Emergency write: one character to the console without any queue. */
static void virtio_serial_config_written(VirtioDevice *virtio, unsigned offset, unsigned size)
{
    VirtioSerial *serial = virtio_serial(virtio);

    if (offset == CONFIG_EMERG_WR && serial->emergency_write && serial->ports[0]) {
        virtio_serial_port_write(serial->ports[0], virtio->config + CONFIG_EMERG_WR, 1);
    }
}

static uint64_t virtio_serial_features(VirtioDevice *virtio)
{
    VirtioSerial *serial = virtio_serial(virtio);

    return (serial->max_ports > 1 ? BIT(F_MULTIPORT) : 0) |
           (serial->emergency_write ? BIT(F_EMERG_WRITE) : 0) |
           (serial->console_size ? BIT(F_SIZE) : 0);
}

static const VirtioBitName virtio_serial_names[] = {
    { F_SIZE, "VIRTIO_CONSOLE_F_SIZE", "tells the size of the console" },
    { F_MULTIPORT, "VIRTIO_CONSOLE_F_MULTIPORT", "several ports" },
    { F_EMERG_WRITE, "VIRTIO_CONSOLE_F_EMERG_WRITE", "takes single characters without a queue" },
    { 0 },
};

static const VirtioType virtio_serial_type = {
    .name = "virtio-serial",
    .virtio_id = 3,
    .feature_names = virtio_serial_names,
    .transitional_pci_id = 0x1003,
    .pci_class = 0x078000,
    .config_size = CONFIG_SIZE,
    .realize = virtio_serial_realize,
    .unrealize = virtio_serial_unrealize,
    .features = virtio_serial_features,
    .reset = virtio_serial_reset,
    .queue_reset = virtio_serial_queue_reset,
    .config_written = virtio_serial_config_written,
};

static const Property virtio_serial_properties[] = {
    { "max_ports", PROPERTY_U32, offsetof(VirtioSerial, max_ports), "ports, up to 31", "31" },
    { "emergency-write", PROPERTY_BOOL, offsetof(VirtioSerial, emergency_write),
      "offer output without queues", "on" },
    { "console-size", PROPERTY_BOOL, offsetof(VirtioSerial, console_size),
      "tell the guest the size of the terminal behind a console", "on" },
    { 0 },
};

static const StateField virtio_serial_state[] = { VIRTIO_STATE, STATE(VirtioSerial, ready), { 0 } };

VIRTIO_DEVICE_TYPES(virtio_serial, "virtio-serial", VirtioSerial, "Virtio console device", "input");
