/* SPDX-License-Identifier: MIT */
/*
 * Network back end "dgram": each frame is a datagram, by UDP to one peer or a multicast group, between two UNIX sockets, or over
 * a socket that another program has made.
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

enum { ADDRESS_NONE, ADDRESS_INET, ADDRESS_UNIX, ADDRESS_FD };

/* local. or remote. */
typedef struct {
    int type;
    char *host, *port, *path, *fd_text;
} DgramAddress;

typedef struct {
    Netdev netdev;
    FrameLink link;
    DgramAddress local, remote; /* properties */
    bool bound;                 /* local.path is a file of ours */
} DgramNetdev;

/* family: what the other address has. */
static bool dgram_name(const DgramAddress *address, const char *what, int family,
                       FrameLinkName *name, GError **error)
{
    size_t size;

    if (address->type == ADDRESS_INET) {
        bool v6 = address->host && strchr(address->host, ':');

        if (!address->port) {
            return error_fail(error, KASO_ERROR_INVALID, "%s: it needs host= and port=", what);
        }
        return frame_link_resolve(address->host && *address->host ? address->host : NULL,
                                  address->port,
                                  v6                  ? AF_INET6
                                  : family != AF_UNIX ? family
                                                      : AF_INET,
                                  what, name, error);
    }
    size = address->path ? strlen(address->path) : 0;
    if (!size || size >= sizeof name->local.sun_path) {
        return error_fail(error, KASO_ERROR_INVALID, "%s: it needs path=, of up to %zu bytes", what,
                          sizeof name->local.sun_path - 1);
    }
    *name = (FrameLinkName){ .local = { .sun_family = AF_UNIX } };
    memcpy(name->local.sun_path, address->path, size);
    return true;
}

static bool dgram_adopt(DgramNetdev *s, const char *who, GError **error)
{
    int fd;

    if (!s->local.fd_text) {
        return error_fail(error, KASO_ERROR_INVALID, "%s: local.type=fd needs local.str=", who);
    }
    fd = descriptors_take(s->local.fd_text, error);
    if (fd < 0) {
        g_prefix_error(error, "%s: local.str=", who);
        return false;
    }
    if (socket_address_passed(fd) != SOCK_DGRAM) {
        close(fd);
        return error_fail(error, KASO_ERROR_INVALID, "%s: local.str=%s is no datagram socket", who,
                          s->local.fd_text);
    }
    frame_link_start(&s->link, fd, true);
    return true;
}

static bool dgram_bind(DgramNetdev *s, int fd, const FrameLinkName *local, const char *what,
                       GError **error)
{
    if (s->local.type == ADDRESS_UNIX &&
        !socket_address_make_way(&local->local, SOCK_DGRAM, what, error)) {
        return false;
    }
    s->bound = bind(fd, &local->any, frame_link_name_size(local)) == 0;
    return s->bound || error_fail_errno(error, errno, "%s: cannot receive there", what);
}

static bool dgram_join(DgramNetdev *s, int fd, const char *who, GError **error)
{
    struct in_addr interface = { 0 };
    bool local = s->local.host && *s->local.host;

    if (local && !inet_aton(s->local.host, &interface)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%s: local.host=%s is not the IPv4 address of an interface", who,
                          s->local.host);
    }
    return frame_link_join(fd, &s->link.peer, local ? &interface : NULL) ||
           error_fail_errno(error, errno, "%s: cannot join the multicast group '%s'", who,
                            s->remote.host);
}

static bool dgram_prepare(DgramNetdev *s, int fd, const char *who, GError **error)
{
    g_autofree char *what = g_strdup_printf("%s: local", who);
    FrameLinkName local;

    if (frame_link_is_multicast(&s->link.peer)) {
        return dgram_join(s, fd, who, error);
    }
    return dgram_name(&s->local, what, s->link.peer.any.sa_family, &local, error) &&
           dgram_bind(s, fd, &local, what, error);
}

static bool dgram_connect(DgramNetdev *s, const char *who, GError **error)
{
    g_autofree char *what = g_strdup_printf("%s: remote", who);
    int fd, family = s->local.host && strchr(s->local.host, ':') ? AF_INET6 : AF_INET;

    if (!dgram_name(&s->remote, what, family, &s->link.peer, error)) {
        return false;
    }
    if (!frame_link_is_multicast(&s->link.peer) && s->local.type != s->remote.type) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%s: it needs local.type=%s, and where to receive", who,
                          s->remote.type == ADDRESS_UNIX ? "unix" : "inet");
    }
    s->link.peer_size = frame_link_name_size(&s->link.peer);
    fd = socket(s->link.peer.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return error_fail_errno(error, errno, "%s: cannot make a socket", who);
    }
    if (!dgram_prepare(s, fd, who, error)) {
        close(fd);
        return false;
    }
    frame_link_start(&s->link, fd, true);
    return true;
}

static void dgram_close(Netdev *netdev)
{
    DgramNetdev *s = (DgramNetdev *)netdev;

    frame_link_free(&s->link);
    if (s->bound && s->local.type == ADDRESS_UNIX) {
        unlink(s->local.path);
    }
}

static const FrameLinkEvents silent = { 0 };

static bool dgram_open(Netdev *netdev, GError **error)
{
    DgramNetdev *s = (DgramNetdev *)netdev;
    g_autofree char *who = g_strdup_printf("netdev '%s'", netdev->id);
    bool ok;

    if (s->local.type != ADDRESS_FD &&
        (s->remote.type == ADDRESS_NONE || s->remote.type == ADDRESS_FD)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%s: it needs remote.type=inet|unix, or local.type=fd", who);
    }
    frame_link_init(&s->link, netdev, &silent);
    ok = s->local.type == ADDRESS_FD ? dgram_adopt(s, who, error) : dgram_connect(s, who, error);
    if (!ok) {
        dgram_close(netdev);
    }
    return ok;
}

static void dgram_transmit(Netdev *netdev, unsigned queue, const struct iovec *iov, unsigned count)
{
    frame_link_transmit(&((DgramNetdev *)netdev)->link, iov, count);
}

static char *dgram_text(const DgramAddress *address)
{
    return address->type == ADDRESS_FD     ? g_strdup_printf("fd=%s", address->fd_text)
           : address->type == ADDRESS_UNIX ? g_strdup(address->path)
           : address->type == ADDRESS_INET
               ? g_strdup_printf("%s:%s", address->host ? address->host : "", address->port)
               : g_strdup("any");
}

static char *dgram_describe(Netdev *netdev)
{
    DgramNetdev *s = (DgramNetdev *)netdev;
    g_autofree char *local = dgram_text(&s->local), *remote = dgram_text(&s->remote);

    return s->local.type == ADDRESS_FD ? g_steal_pointer(&local)
                                       : g_strdup_printf("from %s to %s", local, remote);
}

static const char *const address_types[] = { "none", "inet", "unix", "fd", NULL };

/* clang-format off */
#define DGRAM_ADDRESS(side, what) \
    { #side ".type", PROPERTY_ENUM, offsetof(DgramNetdev, side.type), "kind of " what, .values = address_types }, \
    { #side ".host", PROPERTY_STRING, offsetof(DgramNetdev, side.host), "inet: host name or address" }, \
    { #side ".port", PROPERTY_STRING, offsetof(DgramNetdev, side.port), "inet: port" }, \
    { #side ".path", PROPERTY_STRING, offsetof(DgramNetdev, side.path), "unix: path of the socket" }
static const Property dgram_properties[] = {
    DGRAM_ADDRESS(local, "address to receive at; with multicast, of the interface"),
    { "local.str", PROPERTY_STRING, offsetof(DgramNetdev, local.fd_text), "fd: number or name of a socket" },
    DGRAM_ADDRESS(remote, "address of the peer, or of a multicast group"),
    { NULL },
};
/* clang-format on */

static const NetdevType dgram_type = {
    .name = "dgram",
    .summary = "Frames as UDP or UNIX datagrams",
    .instance_size = sizeof(DgramNetdev),
    .properties = dgram_properties,
    .open = dgram_open,
    .close = dgram_close,
    .transmit = dgram_transmit,
    .describe = dgram_describe,
};
NETDEV_TYPE(dgram_type);
