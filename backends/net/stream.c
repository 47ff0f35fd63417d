/* SPDX-License-Identifier: MIT */
/*
 * Network back end "stream": frames over a TCP or UNIX stream, as client or server, or over one that another program has made.
 * A server takes the next peer when one has gone; a client connects again with reconnect-ms=. QMP is told of peers.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/lock.h"
#include "backends/net/frame-link.h"
#include "backends/socket-address.h"
#include "base/bits.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "base/watch.h"
#include "machine/machine.h"

enum { ADDRESS_NONE, ADDRESS_INET, ADDRESS_UNIX, ADDRESS_FD };

typedef struct {
    Netdev netdev;
    FrameLink link;
    /* Properties. */
    int type, ipv4, ipv6;
    char *host, *port, *path, *fd_text;
    bool server, abstract, tight, numeric, keep_alive;
    uint32_t to, reconnect_s, reconnect_ms;

    SocketAddress address;
    guint watch;    /* of a connect that is under way */
    int connecting; /* its socket; -1: none */
    guint timer;    /* until the next try to connect */
} StreamNetdev;

static void stream_later(StreamNetdev *s);

/* --- events --- */

/* The peer's address as QMP's SocketAddress. */
static json_t *stream_peer(StreamNetdev *s)
{
    g_autofree char *text = socket_address_of(s->link.fd, true), *host = NULL, *port = NULL;

    if (g_str_has_prefix(text, "tcp:") && socket_address_split(text + 4, &host, &port)) {
        return json_pack("{s:s, s:s, s:s}", "type", "inet", "host", host, "port", port);
    }
    if (s->type == ADDRESS_FD) {
        return json_pack("{s:s, s:s}", "type", "fd", "str", s->fd_text);
    }
    return json_pack("{s:s, s:s}", "type", "unix", "path", s->path ? s->path : "");
}

/* address: taken; NULL for none */
static void stream_tell(StreamNetdev *s, const char *event, json_t *address)
{
    json_t *data = json_object();
    char *text;

    json_object_set_new(data, "netdev-id", json_string(s->netdev.id));
    if (address) {
        json_object_set_new(data, "addr", address);
    }
    text = json_dumps(data, JSON_COMPACT);
    machine_event(s->netdev.machine, event, text);
    free(text);
    json_decref(data);
}

static void stream_came(FrameLink *link)
{
    StreamNetdev *s = container_of(link, StreamNetdev, link);
    int on = s->keep_alive;

    if (on) {
        setsockopt(link->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    stream_tell(s, "NETDEV_STREAM_CONNECTED", stream_peer(s));
}

static void stream_connected(StreamNetdev *s, int fd)
{
    frame_link_start(&s->link, fd, false);
    stream_came(&s->link);
}

static void stream_lost(FrameLink *link)
{
    StreamNetdev *s = container_of(link, StreamNetdev, link);

    stream_tell(s, "NETDEV_STREAM_DISCONNECTED", NULL);
    stream_later(s);
}

static const FrameLinkEvents stream_events = { stream_came, stream_lost };

/* --- client --- */

/* A connect that did not wait has ended. */
static gboolean stream_connect_done(gint fd, GIOCondition condition, gpointer opaque)
{
    StreamNetdev *s = opaque;
    bool taken = backend_lock(s->netdev.machine);
    socklen_t size = sizeof(int);
    int result = 0;

    if (!backend_source_removed()) {
        s->watch = 0;
        s->connecting = -1;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &size) == 0 && result == 0) {
            stream_connected(s, fd);
        } else {
            close(fd);
            stream_later(s);
        }
    }
    backend_unlock(s->netdev.machine, taken);
    return G_SOURCE_REMOVE;
}

static void stream_try(StreamNetdev *s)
{
    s->connecting = socket_address_connect(&s->address, false, s->netdev.id, NULL);
    if (s->connecting >= 0) {
        s->watch =
            watch_descriptor(s->connecting, G_IO_OUT | G_IO_ERR | G_IO_HUP, stream_connect_done, s);
    } else {
        stream_later(s);
    }
}

static gboolean stream_retry(gpointer opaque)
{
    StreamNetdev *s = opaque;
    bool taken = backend_lock(s->netdev.machine);

    if (!backend_source_removed()) {
        s->timer = 0;
        stream_try(s);
    }
    backend_unlock(s->netdev.machine, taken);
    return G_SOURCE_REMOVE;
}

/* There is no peer: a client may try again. */
static void stream_later(StreamNetdev *s)
{
    if (s->reconnect_ms) {
        s->timer = g_timeout_add(s->reconnect_ms, stream_retry, s);
    }
}

/* --- life --- */

static bool stream_adopt(StreamNetdev *s, const char *who, GError **error)
{
    int fd = descriptors_take(s->fd_text, error);

    if (fd < 0) {
        g_prefix_error(error, "%s: addr.str=", who);
        return false;
    }
    if (socket_address_passed(fd) != (s->server ? PASSED_LISTENER : SOCK_STREAM)) {
        close(fd);
        return error_fail(
            error, KASO_ERROR_INVALID,
            "%s: addr.str=%s is no stream socket that %s; server=%s is for one that %s", who,
            s->fd_text, s->server ? "listens" : "is connected", s->server ? "off" : "on",
            s->server ? "is connected" : "listens");
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (s->server) {
        frame_link_listen(&s->link, fd);
    } else {
        stream_connected(s, fd);
    }
    return true;
}

static bool stream_check(StreamNetdev *s, const char *who, GError **error)
{
    static const char *const wanted[] = { "addr.type=inet|unix|fd",
                                          "addr.host= and addr.port=", "addr.path=", "addr.str=" };
    bool there[] = { false, s->port != NULL, s->path != NULL, s->fd_text != NULL };

    if (!there[s->type]) {
        return error_fail(error, KASO_ERROR_INVALID, "%s: it needs %s", who, wanted[s->type]);
    }
    if ((s->reconnect_ms || s->reconnect_s) && (s->server || s->type == ADDRESS_FD)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%s: reconnect-ms= is for clients with an address; a server always takes "
                          "the next peer",
                          who);
    }
    s->reconnect_ms = s->reconnect_ms ? s->reconnect_ms : s->reconnect_s * 1000;
    return true;
}

static void stream_fill_address(StreamNetdev *s)
{
    bool any = !s->host || !*s->host;

    s->address = (SocketAddress){
        .path = s->type == ADDRESS_UNIX ? s->path : NULL,
        .abstract = s->abstract,
        .host = any ? NULL : s->host,
        .port = s->port,
        .port_last = s->to,
        .ipv4_only =
            s->ipv4 == ON_OFF_AUTO_ON ? s->ipv6 != ON_OFF_AUTO_ON : s->ipv6 == ON_OFF_AUTO_OFF,
        .ipv6_only =
            s->ipv6 == ON_OFF_AUTO_ON ? s->ipv4 != ON_OFF_AUTO_ON : s->ipv4 == ON_OFF_AUTO_OFF,
    };
}

static bool stream_begin(StreamNetdev *s, const char *who, GError **error)
{
    int fd;

    if (s->type == ADDRESS_FD) {
        return stream_adopt(s, who, error);
    }
    stream_fill_address(s);
    if (s->server) {
        fd = socket_address_listen(&s->address, who, error);
        if (fd >= 0) {
            frame_link_listen(&s->link, fd);
        }
        return fd >= 0;
    }
    if (s->reconnect_ms) {
        stream_try(s);
        return true;
    }
    fd = socket_address_connect(&s->address, true, who, error);
    if (fd >= 0) {
        stream_connected(s, fd);
    }
    return fd >= 0;
}

static void stream_close(Netdev *netdev)
{
    StreamNetdev *s = (StreamNetdev *)netdev;
    bool listens = s->link.listen_fd >= 0;

    g_clear_handle_id(&s->watch, g_source_remove);
    g_clear_handle_id(&s->timer, g_source_remove);
    frame_link_free(&s->link);
    if (s->connecting >= 0) {
        close(s->connecting);
    }
    if (listens && s->type == ADDRESS_UNIX && !s->abstract) {
        unlink(s->path);
    }
}

static bool stream_open(Netdev *netdev, GError **error)
{
    StreamNetdev *s = (StreamNetdev *)netdev;
    g_autofree char *who = g_strdup_printf("netdev '%s'", netdev->id);

    s->connecting = -1;
    if (!stream_check(s, who, error)) {
        return false;
    }
    frame_link_init(&s->link, netdev, &stream_events);
    if (!stream_begin(s, who, error)) {
        stream_close(netdev);
        return false;
    }
    return true;
}

static void stream_transmit(Netdev *netdev, unsigned queue, const struct iovec *iov, unsigned count)
{
    frame_link_transmit(&((StreamNetdev *)netdev)->link, iov, count);
}

static char *stream_describe(Netdev *netdev)
{
    StreamNetdev *s = (StreamNetdev *)netdev;
    g_autofree char *address = s->link.fd >= 0 ? socket_address_of(s->link.fd, true)
                               : s->link.listen_fd >= 0
                                   ? socket_address_of(s->link.listen_fd, false)
                                   : socket_address_text(&s->address);

    return g_strdup_printf("%s %s",
                           s->link.fd >= 0          ? "connected to"
                           : s->link.listen_fd >= 0 ? "listening on"
                                                    : "not connected to",
                           address);
}

static const char *const address_types[] = { "none", "inet", "unix", "fd", NULL };

#define STREAM_PROPERTY(name, kind, field, ...)                                                    \
    {                                                                                              \
        name, PROPERTY_##kind, offsetof(StreamNetdev, field), __VA_ARGS__                          \
    }
/* clang-format off */
static const Property stream_properties[] = {
    STREAM_PROPERTY("server", BOOL, server, "listen instead of connecting"),
    STREAM_PROPERTY("addr.type", ENUM, type, "kind of address", .values = address_types),
    STREAM_PROPERTY("addr.host", STRING, host, "inet: host name or address"),
    STREAM_PROPERTY("addr.port", STRING, port, "inet: port"),
    STREAM_PROPERTY("addr.to", U32, to, "inet: last port to try when listening"),
    STREAM_PROPERTY("addr.ipv4", ON_OFF_AUTO, ipv4, "inet: use IPv4"),
    STREAM_PROPERTY("addr.ipv6", ON_OFF_AUTO, ipv6, "inet: use IPv6"),
    STREAM_PROPERTY("addr.numeric", BOOL, numeric, "inet: accepted; names are looked up anyway"),
    STREAM_PROPERTY("addr.keep-alive", BOOL, keep_alive, "inet: notice peers that are silently gone"),
    STREAM_PROPERTY("addr.path", STRING, path, "unix: path of the socket"),
    STREAM_PROPERTY("addr.abstract", BOOL, abstract, "unix: path is an abstract name"),
    STREAM_PROPERTY("addr.tight", BOOL, tight, "unix: abstract names end with their last character", "on"),
    STREAM_PROPERTY("addr.str", STRING, fd_text, "fd: number or name of a socket"),
    STREAM_PROPERTY("reconnect-ms", U32, reconnect_ms, "milliseconds between tries to connect; 0: one try"),
    STREAM_PROPERTY("reconnect", U32, reconnect_s, "the same in seconds"),
    { NULL },
};
/* clang-format on */

static const NetdevType stream_type = {
    .name = "stream",
    .summary = "Frames over a TCP or UNIX stream, to another emulator or passt",
    .instance_size = sizeof(StreamNetdev),
    .properties = stream_properties,
    .open = stream_open,
    .close = stream_close,
    .transmit = stream_transmit,
    .describe = stream_describe,
};
NETDEV_TYPE(stream_type);
