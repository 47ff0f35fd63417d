/* SPDX-License-Identifier: MIT */
/*
 * Frames of TAP devices (Linux, Documentation/networking/tuntap.rst). They stay in the device while the NIC has no room, so that who sends
 * them feels it.
 *
 * Frames may have a header for offloads before them (IFF_VNET_HDR). It is the NIC's, or, for a NIC without, empty in both
 * directions; then no offload is allowed.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backends/lock.h"
#include "backends/net/tap.h"
#include "base/error.h"
#include "base/watch.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum { TAP_BURST = 64 };

/* --- frames --- */

void tap_transmit(Netdev *netdev, unsigned queue, const struct iovec *iov, unsigned count)
{
    enum { PIECES_MOST = 1023 };
    static const uint8_t none[TAP_HEADER_MAX];
    TapNetdev *t = tap_of(netdev);
    struct iovec all[PIECES_MOST + 1];
    ssize_t done;

    if (queue >= t->count) {
        return;
    }
    if (t->header != netdev->header && count <= PIECES_MOST) {
        all[0] = (struct iovec){ (void *)none, t->header };
        memcpy(all + 1, iov, count * sizeof *iov);
        iov = all;
        count++;
    }
    do {
        done = writev(t->queue[queue].fd, iov, (int)count);
    } while (done < 0 && errno == EINTR);
    t->dropped += done < 0;
}

static bool offer(TapQueue *q)
{
    TapNetdev *t = q->tap;
    size_t skip = t->header - t->netdev.header;

    return q->waiting <= skip ||
           netdev_offer(&t->netdev, q->index, q->buffer + skip, q->waiting - skip);
}

/* Reads what has come. false: no more for now. */
static bool read_frames(TapQueue *q)
{
    for (unsigned i = 0; i < TAP_BURST; i++) {
        ssize_t size;

        if (!netdev_has_room(&q->tap->netdev, q->index)) {
            return false;
        }
        if (!q->waiting) {
            size = read(q->fd, q->buffer, TAP_FRAME_MAX);
            if (size < 0) {
                return errno == EAGAIN || errno == EINTR ||
                       errno == EIO; /* EIO: the interface is down */
            }
            q->waiting = (size_t)size;
        }
        if (!offer(q)) {
            return false;
        }
        q->waiting = 0;
    }
    return true;
}

static gboolean tap_readable(gint fd, GIOCondition condition, gpointer opaque)
{
    TapQueue *q = opaque;
    Machine *machine = q->tap->netdev.machine;
    bool locked = backend_lock(machine), again = false;

    if (!backend_source_removed()) {
        again = read_frames(q);
        /* What goes on below may have taken the source away already. */
        again = again && !backend_source_removed();
        if (!again && !backend_source_removed()) {
            q->watch = 0;
        }
    }
    backend_unlock(machine, locked);
    return again ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static void watch(TapQueue *q)
{
    TapNetdev *t = q->tap;

    if (!q->watch && !q->detached && !t->held && netdev_has_room(&t->netdev, q->index)) {
        q->watch = watch_descriptor(q->fd, G_IO_IN | G_IO_ERR | G_IO_HUP, tap_readable, q);
    }
}

static void unwatch(TapQueue *q)
{
    g_clear_handle_id(&q->watch, g_source_remove);
}

/* What waited goes first, so that it is seen even where nothing more comes. */
void tap_flush(Netdev *netdev)
{
    TapNetdev *t = tap_of(netdev);

    for (unsigned i = 0; i < t->count; i++) {
        TapQueue *q = &t->queue[i];

        if (q->waiting && !q->detached && !t->held && netdev_has_room(netdev, i)) {
            q->waiting = offer(q) ? 0 : q->waiting;
        }
        if (!q->waiting) {
            watch(q);
        }
    }
}

static void run_state_changed(void *opaque, bool running)
{
    TapNetdev *t = opaque;

    for (unsigned i = 0; i < t->count && !running; i++) {
        unwatch(&t->queue[i]);
    }
    if (running) {
        tap_flush(&t->netdev);
    }
}

/* --- what the NIC chooses --- */

void tap_set_offloads(Netdev *netdev)
{
    static const struct {
        unsigned offload, flag;
    } flags[] = {
        { NET_OFFLOAD_CHECKSUM, TUN_F_CSUM }, { NET_OFFLOAD_TSO4, TUN_F_TSO4 },
        { NET_OFFLOAD_TSO6, TUN_F_TSO6 },     { NET_OFFLOAD_ECN, TUN_F_TSO_ECN },
        { NET_OFFLOAD_UFO, TUN_F_UFO },       { NET_OFFLOAD_USO, TUN_F_USO4 | TUN_F_USO6 },
    };
    TapNetdev *t = tap_of(netdev);
    int size = netdev->header ? (int)netdev->header : TAP_HEADER_MAX;
    unsigned wanted = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++) {
        wanted |= netdev->taken_offloads & flags[i].offload ? flags[i].flag : 0;
    }
    for (unsigned i = 0; i < t->count; i++) {
        ioctl(t->queue[i].fd, TUNSETVNETHDRSZ, &size);
        ioctl(t->queue[i].fd, TUNSETOFFLOAD, wanted);
        t->queue[i].waiting = 0; /* its header is of the other size */
    }
    t->header = (unsigned)size;
}

void tap_set_queues(Netdev *netdev, unsigned active)
{
    TapNetdev *t = tap_of(netdev);

    for (unsigned i = 1; i < t->count; i++) {
        TapQueue *q = &t->queue[i];
        struct ifreq request = { .ifr_flags = i < active ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

        if (q->detached == (i >= active)) {
            continue;
        }
        /* Without CAP_NET_ADMIN or the device's owner: its frames are dropped as those of a NIC that does not listen. */
        if (ioctl(q->fd, TUNSETQUEUE, &request) == 0 || i < active) {
            q->detached = i >= active;
        }
        q->waiting = 0;
        if (q->detached) {
            unwatch(q);
        }
    }
    tap_flush(netdev);
}

void tap_set_held(Netdev *netdev, bool held)
{
    TapNetdev *t = tap_of(netdev);

    t->held = held;
    for (unsigned i = 0; i < t->count && held; i++) {
        unwatch(&t->queue[i]);
        t->queue[i].waiting = 0;
    }
    if (!held) {
        tap_flush(netdev);
    }
}

/* --- descriptors --- */

/* What the device can leave to the NIC: asked of the kernel, which refuses what it does not know. */
static unsigned possible_offloads(int fd)
{
    const unsigned usual = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    unsigned offloads = 0;

    if (ioctl(fd, TUNSETOFFLOAD, usual) == 0) {
        offloads = NET_OFFLOAD_CHECKSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 | NET_OFFLOAD_ECN;
        offloads |= ioctl(fd, TUNSETOFFLOAD, usual | TUN_F_UFO) == 0 ? NET_OFFLOAD_UFO : 0;
        offloads |=
            ioctl(fd, TUNSETOFFLOAD, usual | TUN_F_USO4 | TUN_F_USO6) == 0 ? NET_OFFLOAD_USO : 0;
    }
    /* Nothing is chosen yet; else what the host leaves undone is too large, and dropped. */
    ioctl(fd, TUNSETOFFLOAD, 0);
    return offloads;
}

static bool set_up_header(TapNetdev *t, int fd, bool header, GError **error)
{
    int size = TAP_HEADER_MAX;

    if (t->count && header != (t->header > 0)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': descriptor %d: all queues must be opened alike, with "
                          "IFF_VNET_HDR or without",
                          t->netdev.id, fd);
    }
    if (!header) {
        return true;
    }
    if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0) {
        return error_fail_errno(error, errno, "netdev '%s': TUNSETVNETHDRSZ failed", t->netdev.id);
    }
    t->header = TAP_HEADER_MAX;
    t->netdev.offloads = possible_offloads(fd);
    return true;
}

bool tap_add_queue(TapNetdev *t, int fd, GError **error)
{
    struct ifreq request = { 0 };
    TapQueue *q = &t->queue[t->count];

    if (ioctl(fd, TUNGETIFF, &request) < 0) {
        return error_fail_errno(error, errno, "netdev '%s': descriptor %d is no TAP device",
                                t->netdev.id, fd);
    }
    if (!(request.ifr_flags & IFF_TAP)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': descriptor %d is of a TUN device; a TAP device is needed",
                          t->netdev.id, fd);
    }
    if (!set_up_header(t, fd, request.ifr_flags & IFF_VNET_HDR, error)) {
        return false;
    }
    g_strlcpy(t->name, request.ifr_name, sizeof t->name);
    g_unix_set_fd_nonblocking(fd, true, NULL);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    *q = (TapQueue){ .tap = t, .index = t->count, .fd = fd, .vhost = -1 };
    q->buffer = g_malloc(TAP_FRAME_MAX);
    t->count++;
    t->netdev.queues = t->count;
    return true;
}

void tap_start(TapNetdev *t)
{
    machine_on_run_state(t->netdev.machine, run_state_changed, t);
    tap_flush(&t->netdev);
}

void tap_close_queues(TapNetdev *t)
{
    machine_forget_run_state(t->netdev.machine, t);
    while (t->count) {
        TapQueue *q = &t->queue[--t->count];

        unwatch(q);
        if (q->fd >= 0) {
            close(q->fd);
        }
        if (q->vhost >= 0) {
            close(q->vhost);
        }
        g_free(q->buffer);
    }
}
