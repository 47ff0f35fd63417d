/* SPDX-License-Identifier: MIT */
/*
 * Network back end "hubport": a port of a hub, where each frame goes to all other ports. On a port is a NIC, or with netdev=
 * another back end. A hub is the ports of one number.
 */
#include "base/bits.h"
#include "base/error.h"
#include "machine/machine.h"
#include "machine/netdev.h"

typedef struct {
    Netdev netdev;
    uint32_t hub; /* properties */
    char *other_id;
    bool attached;
} HubPort;

static bool is_port(const Netdev *netdev);

static Netdev *other_netdev(HubPort *port)
{
    return port->other_id ? machine_find_netdev(port->netdev.machine, port->other_id) : NULL;
}

/* Out of the hub: to the port's NIC, or to its back end. */
static void leave(HubPort *port, const struct iovec *iov, unsigned count)
{
    Netdev *other = other_netdev(port);
    g_autoptr(GByteArray) frame = NULL;

    if (!port->netdev.link_up) {
        return;
    }
    if (other) {
        netdev_transmit(other, iov, count);
        return;
    }
    frame = g_byte_array_new();
    for (unsigned i = 0; i < count; i++) {
        g_byte_array_append(frame, iov[i].iov_base, iov[i].iov_len);
    }
    netdev_receive(&port->netdev, frame->data, frame->len);
}

static void enter(HubPort *from, const struct iovec *iov, unsigned count)
{
    GPtrArray *netdevs = machine_netdevs(from->netdev.machine);

    for (unsigned i = 0; i < netdevs->len; i++) {
        Netdev *netdev = netdevs->pdata[i];
        HubPort *port = container_of(netdev, HubPort, netdev);

        if (is_port(netdev) && port != from && port->hub == from->hub) {
            leave(port, iov, count);
        }
    }
}

/* From the NIC. */
static void hubport_transmit(Netdev *netdev, unsigned queue, const struct iovec *iov,
                             unsigned count)
{
    enter(container_of(netdev, HubPort, netdev), iov, count);
}

/* From the other back end, whose NIC we are. */
static void receive(void *opaque, const uint8_t *frame, size_t size)
{
    struct iovec iov = { (uint8_t *)(uintptr_t)frame, size };

    enter(opaque, &iov, 1);
}

static const NetClient client = { .receive = receive };

static void hubport_close(Netdev *netdev)
{
    HubPort *port = container_of(netdev, HubPort, netdev);
    Netdev *other = port->attached ? other_netdev(port) : NULL;

    if (other) {
        netdev_detach(other);
    }
}

static bool hubport_open(Netdev *netdev, GError **error)
{
    HubPort *port = container_of(netdev, HubPort, netdev);
    Netdev *other = other_netdev(port);

    if (port->other_id && (!other || is_port(other))) {
        return error_fail(
            error, KASO_ERROR_NOT_FOUND,
            other ? "netdev '%s': netdev=%s is a port of a hub itself"
                  : "netdev '%s': netdev=%s: there is no such back end; define it before",
            netdev->id, port->other_id);
    }
    port->attached = other && netdev_attach(other, &client, port, error);
    return !other || port->attached;
}

static char *hubport_describe(Netdev *netdev)
{
    const HubPort *port = container_of(netdev, HubPort, netdev);

    return g_strdup_printf("hub=%u%s%s", port->hub, port->other_id ? ",netdev=" : "",
                           port->other_id ? port->other_id : "");
}

static const Property hubport_properties[] = {
    { "hubid", PROPERTY_U32, offsetof(HubPort, hub), "number of the hub" },
    { "netdev", PROPERTY_STRING, offsetof(HubPort, other_id),
      "back end that is on this port; without: a NIC" },
    { NULL },
};

static const NetdevType hubport_type = {
    .name = "hubport",
    .summary = "A port of a hub that joins several NICs and back ends",
    .instance_size = sizeof(HubPort),
    .properties = hubport_properties,
    .open = hubport_open,
    .close = hubport_close,
    .transmit = hubport_transmit,
    .describe = hubport_describe,
};
NETDEV_TYPE(hubport_type);

static bool is_port(const Netdev *netdev)
{
    return netdev->type == &hubport_type;
}
