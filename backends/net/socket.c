/* SPDX-License-Identifier: MIT */
/*
 * Network back end "socket": carries frames to other emulators, over a TCP stream (listen=, connect=), UDP (mcast=, udp=), or a
 * socket that another program has made (fd=).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/net/frame-link.h"
#include "backends/socket-address.h"
#include "base/bits.h"
#include "base/descriptors.h"
#include "base/error.h"

typedef struct {
    Netdev netdev;
    FrameLink link;
    char *listen, *connect, *mcast, *udp, *localaddr, *fd_text; /* properties */
} SocketNetdev;

static void socket_transmit(Netdev *netdev, unsigned queue, const struct iovec *iov, unsigned count)
{
    frame_link_transmit(&((SocketNetdev *)netdev)->link, iov, count);
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
                           FrameLinkName *address, GError **error)
{
    g_autofree char *what = g_strdup_printf("netdev '%s': %s=%s", s->netdev.id, option, text);
    g_autofree char *host = NULL, *port = NULL;

    return socket_parse_address(s, option, text, &host, &port, error) &&
           frame_link_resolve(host, port, family, what, address, error);
}

static bool socket_open_stream(SocketNetdev *s, GError **error)
{
    const char *option = s->listen ? "listen" : "connect";
    g_autofree char *who = g_strdup_printf("netdev '%s'", s->netdev.id);
    g_autofree char *host = NULL, *port = NULL;
    SocketAddress address = { 0 };
    int fd;

    if (!socket_parse_address(s, option, s->listen ? s->listen : s->connect, &host, &port, error)) {
        return false;
    }
    address.host = host;
    address.port = port;
    if (s->listen) {
        fd = socket_address_listen(&address, who, error);
        if (fd >= 0) {
            frame_link_listen(&s->link, fd);
        }
        return fd >= 0;
    }
    fd = socket_address_connect(&address, true, who, error);
    if (fd >= 0) {
        frame_link_start(&s->link, fd, false);
    }
    return fd >= 0;
}

static bool socket_join_group(SocketNetdev *s, int fd, GError **error)
{
    const FrameLinkName *peer = &s->link.peer;
    struct in_addr local = { 0 };

    if (!frame_link_is_multicast(peer)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': mcast=%s is not a multicast address (224.0.0.0 to "
                          "239.255.255.255, or ff00::/8 in brackets)",
                          s->netdev.id, s->mcast);
    }
    if (s->localaddr && (peer->any.sa_family == AF_INET6 || !inet_aton(s->localaddr, &local))) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': localaddr=%s is not an IPv4 address", s->netdev.id,
                          s->localaddr);
    }
    return frame_link_join(fd, peer, s->localaddr ? &local : NULL) ||
           error_fail_errno(error, errno, "netdev '%s': cannot join multicast group '%s'",
                            s->netdev.id, s->mcast);
}

static bool socket_bind(SocketNetdev *s, int fd, GError **error)
{
    FrameLinkName local = { 0 };

    if (s->mcast) {
        return socket_join_group(s, fd, error);
    }
    return socket_resolve(s, "localaddr", s->localaddr, s->link.peer.any.sa_family, &local,
                          error) &&
           (bind(fd, &local.any, frame_link_name_size(&local)) == 0 ||
            error_fail_errno(error, errno, "netdev '%s': cannot receive at localaddr=%s",
                             s->netdev.id, s->localaddr));
}

static bool socket_open_datagram(SocketNetdev *s, GError **error)
{
    const char *text = s->mcast ? s->mcast : s->udp;
    int fd;

    if (!socket_resolve(s, s->mcast ? "mcast" : "udp", text, text[0] == '[' ? AF_INET6 : AF_INET,
                        &s->link.peer, error)) {
        return false;
    }
    s->link.peer_size = frame_link_name_size(&s->link.peer);
    if (s->udp && !s->localaddr) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': udp= needs localaddr=[HOST]:PORT to receive at",
                          s->netdev.id);
    }
    fd = socket(s->link.peer.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return error_fail_errno(error, errno, "netdev '%s': cannot make a socket", s->netdev.id);
    }
    if (!socket_bind(s, fd, error)) {
        close(fd);
        return false;
    }
    frame_link_start(&s->link, fd, true);
    return true;
}

/* fd=: a connected stream, or a datagram socket that is connected. */
static bool socket_adopt(SocketNetdev *s, GError **error)
{
    int fd = descriptors_take(s->fd_text, error), type;

    if (fd < 0) {
        g_prefix_error(error, "netdev '%s': fd=", s->netdev.id);
        return false;
    }
    type = socket_address_passed(fd);
    if (type < 0) {
        close(fd);
        return error_fail(
            error, KASO_ERROR_INVALID,
            "netdev '%s': fd=%s is no datagram socket and no stream that is connected",
            s->netdev.id, s->fd_text);
    }
    frame_link_start(&s->link, fd, type == SOCK_DGRAM);
    return true;
}

static void socket_close(Netdev *netdev)
{
    SocketNetdev *s = (SocketNetdev *)netdev;

    frame_link_free(&s->link);
}

static const FrameLinkEvents silent = { 0 };

static bool socket_open(Netdev *netdev, GError **error)
{
    SocketNetdev *s = (SocketNetdev *)netdev;
    bool ok;

    if (!!s->listen + !!s->connect + !!s->mcast + !!s->udp + !!s->fd_text != 1) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "netdev '%s': give exactly one of listen=, connect=, mcast=, udp= and fd=", netdev->id);
    }
    frame_link_init(&s->link, netdev, &silent);
    ok = s->fd_text           ? socket_adopt(s, error)
         : s->mcast || s->udp ? socket_open_datagram(s, error)
                              : socket_open_stream(s, error);
    if (!ok) {
        socket_close(netdev);
    }
    return ok;
}

static char *socket_describe(Netdev *netdev)
{
    SocketNetdev *s = (SocketNetdev *)netdev;
    g_autofree char *peer = NULL;

    if (s->fd_text) {
        return g_strdup_printf("socket: fd=%s%s", s->fd_text,
                               s->link.fd < 0 ? ", connection lost" : "");
    }
    if (s->link.datagram) {
        return g_strdup_printf("socket: %s=%s", s->mcast ? "mcast" : "udp",
                               s->mcast ? s->mcast : s->udp);
    }
    if (s->link.fd < 0) {
        return g_strdup_printf("socket: wait from %s", s->listen ? s->listen : "nobody");
    }
    peer = socket_address_of(s->link.fd, true);
    return g_strdup_printf("socket: %s %s", s->listen ? "connection from" : "connect to", peer + 4);
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
    SOCKET_PROPERTY("fd", fd_text, "number or name of a connected socket"),
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
