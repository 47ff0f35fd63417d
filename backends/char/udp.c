/* SPDX-License-Identifier: MIT */
/* Character back end "udp": output in datagrams to HOST:PORT, input from datagrams to the local address. */
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/lock.h"
#include "base/error.h"
#include "base/watch.h"
#include "machine/chardev.h"
#include "machine/machine.h"

enum { UDP_LARGEST = 65507 }; /* what one datagram of IPv4 carries */

typedef struct {
    Chardev chardev;
    char *host, *port, *local_host, *local_port; /* properties */
    bool ipv4, ipv6;
    int fd;
    guint watch;
    GByteArray *input; /* the last datagram's bytes that the front end had no room for */
} UdpChardev;

static struct addrinfo *udp_resolve(const UdpChardev *u, const char *host, const char *port,
                                    int family, bool passive, GError **error)
{
    struct addrinfo hints = { .ai_family = family,
                              .ai_socktype = SOCK_DGRAM,
                              .ai_flags = passive ? AI_PASSIVE : 0 };
    struct addrinfo *list;
    int result = getaddrinfo(host && *host ? host : NULL, port ? port : "0", &hints, &list);

    if (result) {
        error_fail(error, KASO_ERROR_INVALID, "chardev '%s': udp address '%s:%s': %s",
                   u->chardev.id, host ? host : "", port ? port : "", gai_strerror(result));
        return NULL;
    }
    return list;
}

static bool udp_connect(UdpChardev *u, const struct addrinfo *peer, const struct addrinfo *local,
                        GError **error)
{
    u->fd = socket(peer->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (u->fd >= 0 && bind(u->fd, local->ai_addr, local->ai_addrlen) == 0 &&
        connect(u->fd, peer->ai_addr, peer->ai_addrlen) == 0) {
        return true;
    }
    error_fail_errno(error, errno, "chardev '%s': no UDP socket from '%s:%s' to '%s:%s'",
                     u->chardev.id, u->local_host ? u->local_host : "",
                     u->local_port ? u->local_port : "0", u->host ? u->host : "localhost", u->port);
    if (u->fd >= 0) {
        close(u->fd);
    }
    return false;
}

static void udp_accept_input(Chardev *chardev);

static bool udp_open(Chardev *chardev, GError **error)
{
    UdpChardev *u = (UdpChardev *)chardev;
    int family = u->ipv4 == u->ipv6 ? AF_UNSPEC : u->ipv4 ? AF_INET : AF_INET6;
    struct addrinfo *peer, *local;
    bool ok;

    if (!u->port) {
        return error_fail(error, KASO_ERROR_INVALID, "chardev '%s': give port=PORT", chardev->id);
    }
    peer = udp_resolve(u, u->host, u->port, family, false, error);
    if (!peer) {
        return false;
    }
    local = udp_resolve(u, u->local_host, u->local_port, peer->ai_family, true, error);
    ok = local && udp_connect(u, peer, local, error);
    freeaddrinfo(peer);
    if (local) {
        freeaddrinfo(local);
    }
    if (ok) {
        u->input = g_byte_array_new();
        chardev->open = true;
        udp_accept_input(chardev);
    }
    return ok;
}

static void udp_close(Chardev *chardev)
{
    UdpChardev *u = (UdpChardev *)chardev;

    g_clear_handle_id(&u->watch, g_source_remove);
    g_byte_array_unref(u->input);
    close(u->fd);
}

/* As the network does: what cannot be sent now, or has nobody who listens, is lost. */
static size_t udp_write(Chardev *chardev, const uint8_t *data, size_t size)
{
    UdpChardev *u = (UdpChardev *)chardev;

    for (size_t at = 0; at < size;) {
        size_t part = MIN(size - at, (size_t)UDP_LARGEST);

        if (send(u->fd, data + at, part, MSG_NOSIGNAL) < 0 && errno == EINTR) {
            continue;
        }
        at += part;
    }
    return size;
}

static void udp_deliver(UdpChardev *u)
{
    size_t room;

    while (u->input->len && (room = chardev_can_receive(&u->chardev))) {
        g_autoptr(GByteArray) part = g_byte_array_new();
        guint size = (guint)MIN(room, u->input->len);

        g_byte_array_append(part, u->input->data, size);
        g_byte_array_remove_range(u->input, 0, size);
        chardev_receive(&u->chardev, part->data, part->len);
    }
}

static gboolean udp_readable(gint fd, GIOCondition condition, gpointer opaque)
{
    UdpChardev *u = opaque;
    Machine *machine = u->chardev.machine;
    bool taken = backend_lock(machine), again = false;
    ssize_t size;

    if (!backend_source_removed()) {
        g_byte_array_set_size(u->input, UDP_LARGEST);
        size = recv(fd, u->input->data, UDP_LARGEST, 0);
        g_byte_array_set_size(u->input, (guint)MAX(size, 0)); /* an error: nobody listened there */
        udp_deliver(u);
        again = !backend_source_removed() && !u->input->len && chardev_can_receive(&u->chardev);
        if (!again && !backend_source_removed()) {
            u->watch = 0;
        }
    }
    backend_unlock(machine, taken);
    return again ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static void udp_accept_input(Chardev *chardev)
{
    UdpChardev *u = (UdpChardev *)chardev;

    udp_deliver(u);
    if (!u->watch && !u->input->len && chardev_can_receive(chardev)) {
        u->watch = watch_descriptor(u->fd, G_IO_IN, udp_readable, u);
    }
}

static char *udp_describe(Chardev *chardev)
{
    UdpChardev *u = (UdpChardev *)chardev;

    return g_strdup_printf("udp:%s:%s", u->host ? u->host : "", u->port);
}

static const Property udp_properties[] = {
    { "host", PROPERTY_STRING, offsetof(UdpChardev, host), "where to; the loopback when unset" },
    { "port", PROPERTY_STRING, offsetof(UdpChardev, port), "its port" },
    { "localaddr", PROPERTY_STRING, offsetof(UdpChardev, local_host), "address to receive on" },
    { "localport", PROPERTY_STRING, offsetof(UdpChardev, local_port),
      "port to receive on; any when unset" },
    { "ipv4", PROPERTY_BOOL, offsetof(UdpChardev, ipv4), "only IPv4" },
    { "ipv6", PROPERTY_BOOL, offsetof(UdpChardev, ipv6), "only IPv6" },
    { NULL },
};

static const ChardevType udp_type = {
    .name = "udp",
    .summary = "Datagrams of UDP",
    .instance_size = sizeof(UdpChardev),
    .properties = udp_properties,
    .open = udp_open,
    .close = udp_close,
    .write = udp_write,
    .accept_input = udp_accept_input,
    .describe = udp_describe,
};
CHARDEV_TYPE(udp_type);
