/* SPDX-License-Identifier: MIT */
/*
 * Network back end "socket": carries frames to other emulators. Over a TCP stream (listen=,
 * connect=) each frame follows its length as four big-endian bytes; over UDP (mcast=, udp=) each is
 * one packet.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/lock.h"
#include "backends/socket-address.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/port.h"
#include "machine/netdev.h"

enum { SOCKET_FRAME_MAX = 65536 + 4096, SOCKET_BACKLOG_MAX = 4 << 20 };

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} SocketName;

static socklen_t socket_name_size(const SocketName *name)
{
    return name->any.sa_family == AF_INET6 ? sizeof name->v6 : sizeof name->v4;
}

typedef struct {
    Netdev netdev;
    char *listen, *connect, *mcast, *udp, *localaddr; /* properties */

    int listen_fd, fd; /* -1: none */
    guint listen_watch, in_watch, out_watch;
    bool datagram;
    SocketName peer;      /* datagram */
    GByteArray *incoming; /* stream: what is not yet a whole frame */
    GByteArray *outgoing; /* stream: what the socket would not take; whole frames but the first */
} SocketNetdev;

static void socket_watch_input(SocketNetdev *s);

static void socket_disconnect(SocketNetdev *s)
{
    g_clear_handle_id(&s->in_watch, g_source_remove);
    g_clear_handle_id(&s->out_watch, g_source_remove);
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
    g_byte_array_set_size(s->incoming, 0);
    g_byte_array_set_size(s->outgoing, 0);
}

static gboolean socket_acceptable(gint fd, GIOCondition condition, gpointer opaque)
{
    SocketNetdev *s = opaque;
    bool taken = backend_lock(s->netdev.machine);
    gboolean again = G_SOURCE_REMOVE;

    if (!backend_source_removed()) {
        s->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        again = s->fd < 0;
        if (!again) {
            s->listen_watch = 0;
            socket_watch_input(s);
        }
    }
    backend_unlock(s->netdev.machine, taken);
    return again;
}

static void socket_lost(SocketNetdev *s)
{
    s->in_watch = 0;
    socket_disconnect(s);
    if (s->listen_fd >= 0) {
        s->listen_watch = g_unix_fd_add(s->listen_fd, G_IO_IN, socket_acceptable, s);
    }
}

/* Delivers the whole frames in the buffer; false when the peer does not speak our protocol. */
static bool socket_take_frames(SocketNetdev *s)
{
    size_t done = 0;

    while (s->incoming->len - done >= 4) {
        uint32_t size = load_be32(s->incoming->data + done);

        if (size > SOCKET_FRAME_MAX) {
            return false;
        }
        if (s->incoming->len - done - 4 < size) {
            break;
        }
        netdev_receive(&s->netdev, s->incoming->data + done + 4, size);
        done += 4 + size;
    }
    g_byte_array_remove_range(s->incoming, 0, done);
    return true;
}

/* Reads once; false when the connection is over. */
static bool socket_read(SocketNetdev *s)
{
    uint8_t buffer[SOCKET_FRAME_MAX];
    ssize_t n = recv(s->fd, buffer, sizeof buffer, MSG_DONTWAIT);

    if (n < 0) {
        /* A datagram's error is about one we sent earlier; the socket stays usable. */
        return errno == EAGAIN || errno == EINTR || s->datagram;
    }
    if (s->datagram) {
        netdev_receive(&s->netdev, buffer, n);
        return true;
    }
    g_byte_array_append(s->incoming, buffer, n);
    return n > 0 && socket_take_frames(s);
}

static gboolean socket_readable(gint fd, GIOCondition condition, gpointer opaque)
{
    SocketNetdev *s = opaque;
    bool taken = backend_lock(s->netdev.machine);
    gboolean again = G_SOURCE_REMOVE;

    if (!backend_source_removed()) {
        again = socket_read(s);
        if (!again) {
            socket_lost(s);
        }
    }
    backend_unlock(s->netdev.machine, taken);
    return again;
}

static void socket_watch_input(SocketNetdev *s)
{
    s->in_watch = g_unix_fd_add(s->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, socket_readable, s);
}

/* Sends what waits; false when the connection is over. */
static bool socket_drain(SocketNetdev *s)
{
    while (s->outgoing->len) {
        ssize_t n = send(s->fd, s->outgoing->data, s->outgoing->len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        g_byte_array_remove_range(s->outgoing, 0, n);
    }
    return true;
}

static gboolean socket_writable(gint fd, GIOCondition condition, gpointer opaque)
{
    SocketNetdev *s = opaque;
    bool taken = backend_lock(s->netdev.machine);
    gboolean again = G_SOURCE_REMOVE;

    if (!backend_source_removed()) {
        again = socket_drain(s) && s->outgoing->len;
        if (!again) {
            /* A lost connection shows up as the end of its input. */
            g_byte_array_set_size(s->outgoing, 0);
            s->out_watch = 0;
        }
    }
    backend_unlock(s->netdev.machine, taken);
    return again;
}

static void socket_transmit_stream(SocketNetdev *s, const struct iovec *iov, unsigned count,
                                   size_t size)
{
    uint8_t length[4];

    if (s->outgoing->len > SOCKET_BACKLOG_MAX) {
        return;
    }
    store_be32(length, size);
    g_byte_array_append(s->outgoing, length, sizeof length);
    for (unsigned i = 0; i < count; i++) {
        g_byte_array_append(s->outgoing, iov[i].iov_base, iov[i].iov_len);
    }
    if (s->out_watch) {
        return;
    }
    if (!socket_drain(s)) {
        g_byte_array_set_size(s->outgoing, 0);
    } else if (s->outgoing->len) {
        s->out_watch = g_unix_fd_add(s->fd, G_IO_OUT | G_IO_ERR | G_IO_HUP, socket_writable, s);
    }
}

static void socket_transmit(Netdev *netdev, unsigned queue, const struct iovec *iov, unsigned count)
{
    SocketNetdev *s = (SocketNetdev *)netdev;
    size_t size = 0;

    for (unsigned i = 0; i < count; i++) {
        size += iov[i].iov_len;
    }
    if (s->fd < 0 || size > SOCKET_FRAME_MAX) {
        return;
    }
    if (s->datagram) {
        struct msghdr message = { .msg_name = &s->peer,
                                  .msg_namelen = socket_name_size(&s->peer),
                                  .msg_iov = (struct iovec *)iov,
                                  .msg_iovlen = count };

        sendmsg(s->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } else {
        socket_transmit_stream(s, iov, count, size);
    }
}

/* An empty host is any (to listen) or loopback. */
static bool socket_parse_address(SocketNetdev *s, const char *option, const char *text, char **host,
                                 char **port, GError **error)
{
    if (!socket_address_split(text, host, port)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': %s=%s is not HOST:PORT or [ADDRESS]:PORT", s->netdev.id,
                          option, text);
    }
    if (!**host) {
        g_clear_pointer(host, g_free);
    }
    return true;
}

/* family: AF_UNSPEC for any. */
static bool socket_resolve(SocketNetdev *s, const char *option, const char *text, int family,
                           SocketName *address, GError **error)
{
    struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_DGRAM }, *list;
    char *host, *port;
    int result;

    if (!socket_parse_address(s, option, text, &host, &port, error)) {
        return false;
    }
    if (!port_check(port, error)) {
        g_prefix_error(error, "netdev '%s': %s=%s: ", s->netdev.id, option, text);
        g_free(host);
        g_free(port);
        return false;
    }
    result = getaddrinfo(host, port, &hints, &list);
    if (result) {
        error_fail(error, KASO_ERROR_IO, "netdev '%s': cannot resolve %s=%s: %s", s->netdev.id,
                   option, text, gai_strerror(result));
    } else {
        memcpy(address, list->ai_addr, list->ai_addrlen);
        freeaddrinfo(list);
    }
    g_free(host);
    g_free(port);
    return result == 0;
}

static bool socket_open_stream(SocketNetdev *s, GError **error)
{
    const char *option = s->listen ? "listen" : "connect";
    char *who = g_strdup_printf("netdev '%s'", s->netdev.id);
    SocketAddress address = { 0 };
    char *host = NULL, *port = NULL;
    bool ok =
        socket_parse_address(s, option, s->listen ? s->listen : s->connect, &host, &port, error);

    if (ok) {
        address.host = host;
        address.port = port;
        if (s->listen) {
            s->listen_fd = socket_address_listen(&address, who, error);
            ok = s->listen_fd >= 0;
        } else {
            s->fd = socket_address_connect(&address, true, who, error);
            ok = s->fd >= 0;
        }
    }
    if (ok && s->listen) {
        s->listen_watch = g_unix_fd_add(s->listen_fd, G_IO_IN, socket_acceptable, s);
    } else if (ok) {
        int one = 1;

        fcntl(s->fd, F_SETFL, O_NONBLOCK);
        setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        socket_watch_input(s);
    }
    g_free(who);
    g_free(host);
    g_free(port);
    return ok;
}

static bool socket_join_ipv6(SocketNetdev *s)
{
    struct ipv6_mreq group = { .ipv6mr_multiaddr = s->peer.v6.sin6_addr,
                               .ipv6mr_interface = s->peer.v6.sin6_scope_id };
    int one = 1;

    return setsockopt(s->fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group, sizeof group) == 0 &&
           setsockopt(s->fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &one, sizeof one) == 0;
}

/* local: the interface's address, or that of any. */
static bool socket_join_ipv4(SocketNetdev *s, struct in_addr local)
{
    struct ip_mreqn group = { .imr_multiaddr = s->peer.v4.sin_addr, .imr_address = local };
    int one = 1;

    return setsockopt(s->fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group) == 0 &&
           setsockopt(s->fd, IPPROTO_IP, IP_MULTICAST_LOOP, &one, sizeof one) == 0 &&
           (!s->localaddr ||
            setsockopt(s->fd, IPPROTO_IP, IP_MULTICAST_IF, &local, sizeof local) == 0);
}

static bool socket_join_group(SocketNetdev *s, GError **error)
{
    bool v6 = s->peer.any.sa_family == AF_INET6;
    struct in_addr local = { 0 };
    int one = 1;

    if (v6 ? !IN6_IS_ADDR_MULTICAST(&s->peer.v6.sin6_addr)
           : !IN_MULTICAST(ntohl(s->peer.v4.sin_addr.s_addr))) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': mcast=%s is not a multicast address (224.0.0.0 to "
                          "239.255.255.255, or ff00::/8 in brackets)",
                          s->netdev.id, s->mcast);
    }
    if (s->localaddr && (v6 || !inet_aton(s->localaddr, &local))) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': localaddr=%s is not an IPv4 address", s->netdev.id,
                          s->localaddr);
    }
    if (setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(s->fd, &s->peer.any, socket_name_size(&s->peer)) < 0 ||
        !(v6 ? socket_join_ipv6(s) : socket_join_ipv4(s, local))) {
        return error_fail_errno(error, errno, "netdev '%s': cannot join multicast group '%s'",
                                s->netdev.id, s->mcast);
    }
    return true;
}

static bool socket_open_datagram(SocketNetdev *s, GError **error)
{
    const char *text = s->mcast ? s->mcast : s->udp;
    SocketName local = { 0 };

    s->datagram = true;
    if (!socket_resolve(s, s->mcast ? "mcast" : "udp", text, text[0] == '[' ? AF_INET6 : AF_INET,
                        &s->peer, error)) {
        return false;
    }
    if (s->udp && !s->localaddr) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': udp= needs localaddr=[HOST]:PORT to receive at",
                          s->netdev.id);
    }
    s->fd = socket(s->peer.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0) {
        return error_fail_errno(error, errno, "netdev '%s': cannot make a socket", s->netdev.id);
    }
    if (s->mcast) {
        if (!socket_join_group(s, error)) {
            return false;
        }
    } else if (!socket_resolve(s, "localaddr", s->localaddr, s->peer.any.sa_family, &local,
                               error)) {
        return false;
    } else if (bind(s->fd, &local.any, socket_name_size(&local)) < 0) {
        return error_fail_errno(error, errno, "netdev '%s': cannot receive at localaddr=%s",
                                s->netdev.id, s->localaddr);
    }
    socket_watch_input(s);
    return true;
}

static void socket_close(Netdev *netdev)
{
    SocketNetdev *s = (SocketNetdev *)netdev;

    g_clear_handle_id(&s->listen_watch, g_source_remove);
    socket_disconnect(s);
    if (s->listen_fd >= 0) {
        close(s->listen_fd);
    }
    g_byte_array_unref(s->incoming);
    g_byte_array_unref(s->outgoing);
}

static bool socket_open(Netdev *netdev, GError **error)
{
    SocketNetdev *s = (SocketNetdev *)netdev;
    bool ok;

    s->fd = s->listen_fd = -1;
    if (!!s->listen + !!s->connect + !!s->mcast + !!s->udp != 1) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "netdev '%s': give exactly one of listen=, connect=, mcast= and udp=", netdev->id);
    }
    s->incoming = g_byte_array_new();
    s->outgoing = g_byte_array_new();
    ok = s->mcast || s->udp ? socket_open_datagram(s, error) : socket_open_stream(s, error);
    if (!ok) {
        socket_close(netdev);
    }
    return ok;
}

static char *socket_describe(Netdev *netdev)
{
    SocketNetdev *s = (SocketNetdev *)netdev;
    char *peer, *text;

    if (s->datagram) {
        return g_strdup_printf("socket: %s=%s", s->mcast ? "mcast" : "udp",
                               s->mcast ? s->mcast : s->udp);
    }
    if (s->fd < 0) {
        return g_strdup_printf("socket: wait from %s", s->listen ? s->listen : "nobody");
    }
    peer = socket_address_of(s->fd, true);
    text = g_strdup_printf("socket: %s %s", s->listen ? "connection from" : "connect to", peer + 4);
    g_free(peer);
    return text;
}

#define SOCKET_PROPERTY(name, field, summary)                                                      \
    {                                                                                              \
        name, PROPERTY_STRING, offsetof(SocketNetdev, field), summary                              \
    }
static const Property socket_properties[] = {
    SOCKET_PROPERTY("listen", listen, "[HOST]:PORT to wait for the peer at"),
    SOCKET_PROPERTY("connect", connect, "HOST:PORT of the peer"),
    SOCKET_PROPERTY("mcast", mcast, "GROUP:PORT shared by many"),
    SOCKET_PROPERTY("udp", udp, "HOST:PORT of the peer, by UDP"),
    SOCKET_PROPERTY("localaddr", localaddr, "address to send from (mcast) or to receive at (udp)"),
    { NULL },
};

static const NetdevType socket_type = {
    .name = "socket",
    .summary = "Frames to other emulators over TCP, UDP or multicast",
    .instance_size = sizeof(SocketNetdev),
    .properties = socket_properties,
    .open = socket_open,
    .close = socket_close,
    .transmit = socket_transmit,
    .describe = socket_describe,
};
NETDEV_TYPE(socket_type);
