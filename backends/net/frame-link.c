/* SPDX-License-Identifier: MIT */
#include "backends/net/frame-link.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "backends/lock.h"
#include "backends/net/frames.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/port.h"
#include "base/watch.h"

enum { BACKLOG_MAX = 4 << 20 };

void frame_link_init(FrameLink *link, Netdev *netdev, const FrameLinkEvents *events)
{
    *link = (FrameLink){ .netdev = netdev, .events = events, .fd = -1, .listen_fd = -1 };
    link->incoming = g_byte_array_new();
    link->outgoing = g_byte_array_new();
}

void frame_link_stop(FrameLink *link)
{
    g_clear_handle_id(&link->in_watch, g_source_remove);
    g_clear_handle_id(&link->out_watch, g_source_remove);
    if (link->fd >= 0) {
        close(link->fd);
        link->fd = -1;
    }
    g_byte_array_set_size(link->incoming, 0);
    g_byte_array_set_size(link->outgoing, 0);
}

void frame_link_free(FrameLink *link)
{
    if (link->incoming) {
        frame_link_stop(link);
        g_clear_handle_id(&link->accept_watch, g_source_remove);
        if (link->listen_fd >= 0) {
            close(link->listen_fd);
        }
        g_clear_pointer(&link->incoming, g_byte_array_unref);
        g_clear_pointer(&link->outgoing, g_byte_array_unref);
    }
}

/* --- peers --- */

static gboolean link_acceptable(gint fd, GIOCondition condition, gpointer opaque)
{
    FrameLink *link = opaque;
    Machine *machine = link->netdev->machine;
    bool taken = backend_lock(machine);
    gboolean again = G_SOURCE_REMOVE;

    if (!backend_source_removed()) {
        int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        again = peer < 0;
        if (!again) {
            link->accept_watch = 0;
            frame_link_start(link, peer, false);
            if (link->events->came) {
                link->events->came(link);
            }
        }
    }
    backend_unlock(machine, taken);
    return again;
}

static void wait_for_peer(FrameLink *link)
{
    link->accept_watch = watch_descriptor(link->listen_fd, G_IO_IN, link_acceptable, link);
}

void frame_link_listen(FrameLink *link, int fd)
{
    link->listen_fd = fd;
    wait_for_peer(link);
}

static void peer_is_gone(FrameLink *link)
{
    link->in_watch = 0;
    frame_link_stop(link);
    if (link->listen_fd >= 0) {
        wait_for_peer(link);
    }
    if (link->events->lost) {
        link->events->lost(link);
    }
}

/* --- in --- */

/* Delivers the whole frames in the buffer; false when the peer does not speak our protocol. */
static bool take_frames(FrameLink *link)
{
    const uint8_t *data = link->incoming->data;
    size_t done = 0;
    ssize_t used;

    while ((used = frame_find(data + done, link->incoming->len - done, FRAME_LENGTH_BYTES)) > 0) {
        netdev_receive(link->netdev, data + done + FRAME_LENGTH_BYTES,
                       (size_t)used - FRAME_LENGTH_BYTES);
        done += (size_t)used;
    }
    g_byte_array_remove_range(link->incoming, 0, (guint)done);
    return used == 0;
}

/* Reads once; false when the connection is over. */
static bool read_some(FrameLink *link)
{
    uint8_t buffer[FRAME_MOST];
    ssize_t n = recv(link->fd, buffer, sizeof buffer, MSG_DONTWAIT);

    if (n < 0) {
        /* A datagram's error is about one we sent earlier; the socket stays usable. */
        return errno == EAGAIN || errno == EINTR || link->datagram;
    }
    if (link->datagram) {
        netdev_receive(link->netdev, buffer, n);
        return true;
    }
    g_byte_array_append(link->incoming, buffer, n);
    return n > 0 && take_frames(link);
}

static gboolean link_readable(gint fd, GIOCondition condition, gpointer opaque)
{
    FrameLink *link = opaque;
    Machine *machine = link->netdev->machine;
    bool taken = backend_lock(machine);
    gboolean again = G_SOURCE_REMOVE;

    if (!backend_source_removed()) {
        again = read_some(link);
        if (!again) {
            peer_is_gone(link);
        }
    }
    backend_unlock(machine, taken);
    return again;
}

void frame_link_start(FrameLink *link, int fd, bool datagram)
{
    int one = 1;

    link->fd = fd;
    link->datagram = datagram;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (!datagram) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
                   sizeof one); /* fails on unix sockets, which need it not */
    }
    link->in_watch = watch_descriptor(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, link_readable, link);
}

/* --- out --- */

/* Sends what waits; false when the connection is over. */
static bool drain(FrameLink *link)
{
    while (link->outgoing->len) {
        ssize_t n =
            send(link->fd, link->outgoing->data, link->outgoing->len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        g_byte_array_remove_range(link->outgoing, 0, n);
    }
    return true;
}

static gboolean link_writable(gint fd, GIOCondition condition, gpointer opaque)
{
    FrameLink *link = opaque;
    Machine *machine = link->netdev->machine;
    bool taken = backend_lock(machine);
    gboolean again = G_SOURCE_REMOVE;

    if (!backend_source_removed()) {
        again = drain(link) && link->outgoing->len;
        if (!again) {
            /* A lost connection shows up as the end of its input. */
            g_byte_array_set_size(link->outgoing, 0);
            link->out_watch = 0;
        }
    }
    backend_unlock(machine, taken);
    return again;
}

static void transmit_stream(FrameLink *link, const struct iovec *iov, unsigned count, size_t size)
{
    uint8_t length[4];

    if (link->outgoing->len > BACKLOG_MAX) {
        return;
    }
    store_be32(length, size);
    g_byte_array_append(link->outgoing, length, sizeof length);
    for (unsigned i = 0; i < count; i++) {
        g_byte_array_append(link->outgoing, iov[i].iov_base, iov[i].iov_len);
    }
    if (link->out_watch) {
        return;
    }
    if (!drain(link)) {
        g_byte_array_set_size(link->outgoing, 0);
    } else if (link->outgoing->len) {
        link->out_watch =
            watch_descriptor(link->fd, G_IO_OUT | G_IO_ERR | G_IO_HUP, link_writable, link);
    }
}

void frame_link_transmit(FrameLink *link, const struct iovec *iov, unsigned count)
{
    size_t size = 0;

    for (unsigned i = 0; i < count; i++) {
        size += iov[i].iov_len;
    }
    if (link->fd < 0 || size > FRAME_MOST) {
        return;
    }
    if (link->datagram) {
        struct msghdr message = { .msg_name = link->peer_size ? &link->peer : NULL,
                                  .msg_namelen = link->peer_size,
                                  .msg_iov = (struct iovec *)iov,
                                  .msg_iovlen = count };

        sendmsg(link->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } else {
        transmit_stream(link, iov, count, size);
    }
}

/* --- names of datagram sockets --- */

socklen_t frame_link_name_size(const FrameLinkName *name)
{
    return name->any.sa_family == AF_INET6  ? sizeof name->v6
           : name->any.sa_family == AF_UNIX ? sizeof name->local
                                            : sizeof name->v4;
}

bool frame_link_resolve(const char *host, const char *port, int family, const char *what,
                        FrameLinkName *name, GError **error)
{
    struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_DGRAM }, *list;
    int result;

    if (!port_check(port, error)) {
        g_prefix_error(error, "%s: ", what);
        return false;
    }
    result = getaddrinfo(host, port, &hints, &list);
    if (result) {
        return error_fail(error, KASO_ERROR_IO, "%s: cannot be resolved: %s", what,
                          gai_strerror(result));
    }
    memcpy(name, list->ai_addr, list->ai_addrlen);
    freeaddrinfo(list);
    return true;
}

bool frame_link_is_multicast(const FrameLinkName *name)
{
    return name->any.sa_family == AF_INET6
               ? IN6_IS_ADDR_MULTICAST(&name->v6.sin6_addr)
               : name->any.sa_family == AF_INET && IN_MULTICAST(ntohl(name->v4.sin_addr.s_addr));
}

static bool join_ipv6(int fd, const FrameLinkName *name)
{
    struct ipv6_mreq group = { .ipv6mr_multiaddr = name->v6.sin6_addr,
                               .ipv6mr_interface = name->v6.sin6_scope_id };
    int one = 1;

    return setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group, sizeof group) == 0 &&
           setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &one, sizeof one) == 0;
}

static bool join_ipv4(int fd, const FrameLinkName *name, const struct in_addr *local)
{
    struct ip_mreqn group = { .imr_multiaddr = name->v4.sin_addr };
    int one = 1;

    if (local) {
        group.imr_address = *local;
    }
    return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group) == 0 &&
           setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &one, sizeof one) == 0 &&
           (!local || setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, local, sizeof *local) == 0);
}

bool frame_link_join(int fd, const FrameLinkName *group, const struct in_addr *local)
{
    int one = 1;

    return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
           bind(fd, &group->any, frame_link_name_size(group)) == 0 &&
           (group->any.sa_family == AF_INET6 ? join_ipv6(fd, group) : join_ipv4(fd, group, local));
}
