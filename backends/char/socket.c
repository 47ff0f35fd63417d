/* SPDX-License-Identifier: MIT */
/*
 * Character back end "socket": a TCP or UNIX stream, as server (one client at a time; others wait
 * in the listen queue) or client, plain or Telnet.
 *
 * Not modelled: TLS, websocket, tn3270.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/char/fd-stream.h"
#include "backends/char/telnet.h"
#include "backends/lock.h"
#include "backends/socket-address.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "base/watch.h"

typedef struct {
    Chardev chardev;
    FdStream stream;
    /* Properties. */
    char *host, *port, *path, *fd_text;
    uint32_t to, reconnect_s, reconnect_ms;
    int ipv4, ipv6, wait, delay; /* 0 auto, 1 on, 2 off */
    bool abstract, tight, server, telnet, nodelay;

    SocketAddress address;
    char *address_text;
    Telnet protocol;
    int listen_fd, fd;  /* -1: none */
    guint listen_watch; /* accept, or a connect that is under way */
    guint timer;        /* until the next try to connect */
} SocketChardev;

enum { SOCKET_AUTO, SOCKET_ON, SOCKET_OFF };

static void socket_wait_for_peer(SocketChardev *s);

static size_t socket_filter(FdStream *stream, uint8_t *data, size_t size)
{
    SocketChardev *s = container_of(stream, SocketChardev, stream);
    GByteArray *reply = g_byte_array_new();

    size = telnet_filter(&s->protocol, data, size, reply);
    if (reply->len) {
        fd_stream_write(stream, reply->data, reply->len);
    }
    g_byte_array_unref(reply);
    if (s->protocol.got_break) {
        s->protocol.got_break = false;
        chardev_event(&s->chardev, CHARDEV_BREAK);
    }
    return size;
}

static void socket_drop_peer(SocketChardev *s, int wait_ms)
{
    fd_stream_stop(&s->stream, wait_ms);
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
}

static void socket_hangup(FdStream *stream)
{
    SocketChardev *s = container_of(stream, SocketChardev, stream);

    socket_drop_peer(s, 0);
    chardev_event(&s->chardev, CHARDEV_CLOSED);
    socket_wait_for_peer(s);
}

/* fd: a connected socket, ours from now on. */
static void socket_connected(SocketChardev *s, int fd)
{
    int one = 1;

    s->fd = fd;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (!s->path && s->nodelay && s->delay != SOCKET_ON) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    s->stream.hangup = socket_hangup;
    fd_stream_start(&s->stream, &s->chardev, fd, fd);
    if (s->telnet && s->server) {
        GByteArray *opening = g_byte_array_new();

        s->stream.filter = socket_filter;
        telnet_start(&s->protocol, opening);
        fd_stream_write(&s->stream, opening->data, opening->len);
        g_byte_array_unref(opening);
    }
    chardev_event(&s->chardev, CHARDEV_OPENED);
    if (s->fd == fd) {
        fd_stream_accept_input(&s->stream);
    }
}

static gboolean socket_acceptable(gint listen_fd, GIOCondition condition, gpointer opaque)
{
    SocketChardev *s = opaque;
    Machine *machine = s->chardev.machine;
    bool taken = backend_lock(machine);
    gboolean again = G_SOURCE_REMOVE;

    if (!backend_source_removed()) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

        again = fd < 0;
        if (fd >= 0) {
            s->listen_watch = 0;
            socket_connected(s, fd);
        }
    }
    backend_unlock(machine, taken);
    return again;
}

static void socket_retry_later(SocketChardev *s);

/* A non-blocking connect has ended. */
static gboolean socket_connect_done(gint fd, GIOCondition condition, gpointer opaque)
{
    SocketChardev *s = opaque;
    Machine *machine = s->chardev.machine;
    bool taken = backend_lock(machine);
    int result = 0;
    socklen_t size = sizeof result;

    if (!backend_source_removed()) {
        s->listen_watch = 0;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &size);
        if (result == 0) {
            socket_connected(s, fd);
        } else {
            close(fd);
            s->fd = -1;
            socket_retry_later(s);
        }
    }
    backend_unlock(machine, taken);
    return G_SOURCE_REMOVE;
}

static gboolean socket_retry(gpointer opaque)
{
    SocketChardev *s = opaque;
    Machine *machine = s->chardev.machine;
    bool taken = backend_lock(machine);

    if (!backend_source_removed()) {
        s->timer = 0;
        s->fd = socket_address_connect(&s->address, false, s->chardev.id, NULL);
        if (s->fd >= 0) {
            s->listen_watch =
                watch_descriptor(s->fd, G_IO_OUT | G_IO_ERR | G_IO_HUP, socket_connect_done, s);
        } else {
            socket_retry_later(s);
        }
    }
    backend_unlock(machine, taken);
    return G_SOURCE_REMOVE;
}

static void socket_retry_later(SocketChardev *s)
{
    if (s->reconnect_ms) {
        s->timer = g_timeout_add(s->reconnect_ms, socket_retry, s);
    }
}

static void socket_wait_for_peer(SocketChardev *s)
{
    if (s->listen_fd >= 0) {
        s->listen_watch = watch_descriptor(s->listen_fd, G_IO_IN, socket_acceptable, s);
    } else if (!s->server) {
        socket_retry_later(s);
    }
}

/* Holds the start until somebody connects (wait=on). */
static bool socket_wait_for_client(SocketChardev *s, GError **error)
{
    struct pollfd waiter = { .fd = s->listen_fd, .events = POLLIN };
    char *where = socket_address_of(s->listen_fd, false);
    sigset_t open_signals;
    int fd;

    fprintf(stderr, "kaso: chardev '%s' waits for a connection on %s (wait=off starts at once)\n",
            s->chardev.id, where);
    g_free(where);
    /* Signals that the main loop would take must work while it does not run yet. */
    pthread_sigmask(SIG_SETMASK, NULL, &open_signals);
    sigdelset(&open_signals, SIGINT);
    sigdelset(&open_signals, SIGTERM);
    sigdelset(&open_signals, SIGHUP);
    do {
        while (ppoll(&waiter, 1, NULL, &open_signals) < 0 && errno == EINTR) {
        }
        fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return error_fail_errno(error, errno, "chardev '%s': cannot accept a connection",
                                s->chardev.id);
    }
    socket_connected(s, fd);
    return true;
}

/* fd=N: a socket that whoever started us has made. */
static bool socket_adopt(SocketChardev *s, GError **error)
{
    int fd = descriptors_take(s->fd_text, error), listening = 0;
    socklen_t size = sizeof listening;

    if (fd < 0) {
        g_prefix_error(error, "chardev '%s': fd=", s->chardev.id);
        return false;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "chardev '%s': fd=%s is not an open socket of this process",
                          s->chardev.id, s->fd_text);
    }
    if (listening != s->server) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "chardev '%s': the socket fd=%s %s; use server=%s", s->chardev.id,
                          s->fd_text, listening ? "listens" : "is connected",
                          listening ? "on" : "off");
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (listening) {
        s->listen_fd = fd;
    } else {
        socket_connected(s, fd);
    }
    return true;
}

static bool socket_check(SocketChardev *s, GError **error)
{
    const char *id = s->chardev.id;

    if (!!s->path + !!s->port + !!s->fd_text != 1) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "chardev '%s': give exactly one of port=PORT, path=SOCKET and fd=NUMBER",
                          id);
    }
    if (!s->server && s->wait == SOCKET_ON) {
        return error_fail(error, KASO_ERROR_INVALID, "chardev '%s': wait=on needs server=on", id);
    }
    if (s->server && (s->reconnect_s || s->reconnect_ms)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "chardev '%s': reconnect is for clients; a server (server=on) always "
                          "takes the next connection",
                          id);
    }
    return true;
}

static void socket_fill_address(SocketChardev *s)
{
    s->reconnect_ms = s->reconnect_ms ? s->reconnect_ms : s->reconnect_s * 1000;
    s->address = (SocketAddress){
        .path = s->path,
        .abstract = s->abstract,
        .host = s->host     ? s->host
                : s->server ? NULL
                            : "localhost",
        .port = s->port,
        .port_last = s->to,
        .ipv4_only = s->ipv4 == SOCKET_ON ? s->ipv6 != SOCKET_ON : s->ipv6 == SOCKET_OFF,
        .ipv6_only = s->ipv6 == SOCKET_ON ? s->ipv4 != SOCKET_ON : s->ipv4 == SOCKET_OFF,
    };
    s->address_text =
        s->fd_text ? g_strdup_printf("fd:%s", s->fd_text) : socket_address_text(&s->address);
}

static bool socket_open_server(SocketChardev *s, const char *who, GError **error)
{
    if (!s->fd_text) {
        s->listen_fd = socket_address_listen(&s->address, who, error);
        if (s->listen_fd < 0) {
            return false;
        }
    }
    if (s->wait != SOCKET_OFF) {
        return socket_wait_for_client(s, error);
    }
    socket_wait_for_peer(s);
    return true;
}

static bool socket_open_client(SocketChardev *s, const char *who, GError **error)
{
    GError *failure = NULL;
    int fd;

    if (s->fd_text) {
        return true;
    }
    fd = socket_address_connect(&s->address, true, who, &failure);
    if (fd >= 0) {
        socket_connected(s, fd);
        return true;
    }
    if (!s->reconnect_ms) {
        g_propagate_error(error, failure);
        return false;
    }
    g_error_free(failure);
    socket_retry_later(s);
    return true;
}

static void socket_close(Chardev *chardev)
{
    SocketChardev *s = (SocketChardev *)chardev;

    g_clear_handle_id(&s->listen_watch, g_source_remove);
    g_clear_handle_id(&s->timer, g_source_remove);
    socket_drop_peer(s, 100);
    if (s->listen_fd >= 0) {
        close(s->listen_fd);
        if (s->path && !s->abstract) {
            unlink(s->path);
        }
    }
    g_free(s->address_text);
}

static bool socket_open(Chardev *chardev, GError **error)
{
    SocketChardev *s = (SocketChardev *)chardev;
    char *who;
    bool ok;

    s->fd = s->listen_fd = -1;
    if (!socket_check(s, error)) {
        return false;
    }
    socket_fill_address(s);
    who = g_strdup_printf("chardev '%s'", chardev->id);
    ok = (!s->fd_text || socket_adopt(s, error)) &&
         (s->server ? socket_open_server(s, who, error) : socket_open_client(s, who, error));
    g_free(who);
    if (!ok) {
        socket_close(chardev);
    }
    return ok;
}

static size_t socket_write(Chardev *chardev, const uint8_t *data, size_t size)
{
    SocketChardev *s = (SocketChardev *)chardev;
    GByteArray *quoted;

    if (!chardev->open) {
        return size;
    }
    if (!s->stream.filter) {
        return fd_stream_write(&s->stream, data, size);
    }
    size = MIN(size, (FD_STREAM_PENDING_MAX - s->stream.pending->len) / 2);
    quoted = g_byte_array_new();
    telnet_quote(data, size, quoted);
    fd_stream_write(&s->stream, quoted->data, quoted->len);
    g_byte_array_unref(quoted);
    return size;
}

static void socket_accept_input(Chardev *chardev)
{
    if (chardev->open) {
        fd_stream_accept_input(&((SocketChardev *)chardev)->stream);
    }
}

static void socket_yank(Chardev *chardev)
{
    SocketChardev *s = (SocketChardev *)chardev;

    if (s->fd >= 0) {
        shutdown(s->fd, SHUT_RDWR); /* the rest is as if the peer had gone */
    }
}

static char *socket_describe(Chardev *chardev)
{
    SocketChardev *s = (SocketChardev *)chardev;
    const char *server = s->server ? ",server=on" : "";
    char *ours, *peer, *text;

    if (!chardev->open) {
        ours =
            s->listen_fd >= 0 ? socket_address_of(s->listen_fd, false) : g_strdup(s->address_text);
        text = g_strdup_printf("disconnected:%s%s", ours, server);
        g_free(ours);
        return text;
    }
    if (s->path) {
        return g_strdup_printf("%s%s", s->address_text, server);
    }
    ours = socket_address_of(s->fd, false);
    if (!g_str_has_prefix(ours, "tcp:")) { /* a descriptor that was given to us */
        text = g_strdup_printf("%s%s", ours, server);
        g_free(ours);
        return text;
    }
    peer = socket_address_of(s->fd, true);
    text = g_strdup_printf("%s%s%s <-> %s", s->telnet ? "telnet:" : "tcp:", ours + 4, server,
                           g_str_has_prefix(peer, "tcp:") ? peer + 4 : peer);
    g_free(ours);
    g_free(peer);
    return text;
}

#define SOCKET_PROPERTY(name, kind, field, ...)                                                    \
    {                                                                                              \
        name, PROPERTY_##kind, offsetof(SocketChardev, field), __VA_ARGS__                         \
    }
static const Property socket_properties[] = {
    SOCKET_PROPERTY("host", STRING, host, "TCP host name or address"),
    SOCKET_PROPERTY("port", STRING, port, "TCP port"),
    SOCKET_PROPERTY("to", U32, to, "last port to try when listening"),
    SOCKET_PROPERTY("ipv4", ON_OFF_AUTO, ipv4, "use IPv4"),
    SOCKET_PROPERTY("ipv6", ON_OFF_AUTO, ipv6, "use IPv6"),
    SOCKET_PROPERTY("path", STRING, path, "UNIX socket"),
    SOCKET_PROPERTY("abstract", BOOL, abstract, "path is an abstract socket name"),
    SOCKET_PROPERTY("tight", BOOL, tight, "abstract names end with their last character", "on"),
    SOCKET_PROPERTY("fd", STRING, fd_text, "number of an inherited socket"),
    SOCKET_PROPERTY("server", BOOL, server, "listen instead of connecting"),
    SOCKET_PROPERTY("wait", ON_OFF_AUTO, wait, "a server holds the start until somebody connects"),
    SOCKET_PROPERTY("telnet", BOOL, telnet, "speak Telnet (server)"),
    { "tn3270", PROPERTY_NOT_YET, 0, "the TN3270 protocol" },
    { "websocket", PROPERTY_NOT_YET, 0, "the WebSocket protocol" },
    { "tls-creds", PROPERTY_NOT_YET, 0, "TLS" },
    { "tls-authz", PROPERTY_NOT_YET, 0, "TLS" },
    SOCKET_PROPERTY("reconnect", U32, reconnect_s, "seconds between tries to connect; 0: one try"),
    SOCKET_PROPERTY("reconnect-ms", U32, reconnect_ms, "the same in milliseconds"),
    SOCKET_PROPERTY("nodelay", BOOL, nodelay, "send small packets at once", "on"),
    SOCKET_PROPERTY("delay", ON_OFF_AUTO, delay, "gather small packets"),
    { NULL },
};

static const ChardevType socket_type = {
    .name = "socket",
    .summary = "TCP or UNIX stream socket",
    .instance_size = sizeof(SocketChardev),
    .properties = socket_properties,
    .open = socket_open,
    .close = socket_close,
    .write = socket_write,
    .accept_input = socket_accept_input,
    .yank = socket_yank,
    .describe = socket_describe,
};
CHARDEV_TYPE(socket_type);
