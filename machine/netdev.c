/* SPDX-License-Identifier: MIT */
/* The generic half of network back ends: pairing and the bounded backlog. */
#include "machine/netdev.h"

#include "base/error.h"
#include "machine/machine.h"

enum { BACKLOG_FRAMES = 256 }; /* what one NIC may leave waiting before frames are dropped */

static void clear_backlog(Netdev *netdev)
{
    g_queue_clear_full(&netdev->backlog, (GDestroyNotify)g_bytes_unref);
}

static void show(Netdev *netdev, bool from_nic, const struct iovec *iov, unsigned count)
{
    for (GSList *it = netdev->watchers; it; it = it->next) {
        NetdevWatcher *watcher = it->data;

        watcher->frame(watcher, from_nic, iov, count, netdev->header);
    }
}

static void show_received(Netdev *netdev, const uint8_t *frame, size_t size)
{
    struct iovec iov = { (uint8_t *)(uintptr_t)frame, size };

    show(netdev, false, &iov, 1);
}

bool netdev_watch(Netdev *netdev, NetdevWatcher *watcher, GError **error)
{
    if (netdev->held) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "frames of netdev '%s' pass through the kernel (vhost=on) and cannot be "
                          "seen; give it vhost=off",
                          netdev->id);
    }
    watcher->netdev = netdev;
    netdev->watchers = g_slist_append(netdev->watchers, watcher);
    return true;
}

void netdev_unwatch(NetdevWatcher *watcher)
{
    if (watcher->netdev) {
        watcher->netdev->watchers = g_slist_remove(watcher->netdev->watchers, watcher);
        watcher->netdev = NULL;
    }
}

void netdev_free(Netdev *netdev)
{
    while (netdev->watchers) {
        netdev_unwatch(netdev->watchers->data);
    }
    if (netdev->type->close) {
        netdev->type->close(netdev);
    }
    clear_backlog(netdev);
    properties_free(netdev->type->properties, netdev);
    g_free(netdev->id);
    g_free(netdev);
}

bool netdev_attach(Netdev *netdev, const NetClient *client, void *opaque, GError **error)
{
    if (netdev->client) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s' is already in use by another network device", netdev->id);
    }
    netdev->client = client;
    netdev->client_opaque = opaque;
    return true;
}

void netdev_detach(Netdev *netdev)
{
    netdev->client = NULL;
    netdev->client_opaque = NULL;
    clear_backlog(netdev);
    netdev_set_offloads(netdev, 0, 0);
    netdev_set_queues(netdev, netdev_queues(netdev));
}

void netdev_transmit_on(Netdev *netdev, unsigned queue, const struct iovec *iov, unsigned count)
{
    if (netdev && netdev->link_up && netdev->type->transmit) {
        show(netdev, true, iov, count);
        netdev->type->transmit(netdev, MIN(queue, netdev_queues(netdev) - 1), iov, count);
    }
}

void netdev_transmit(Netdev *netdev, const struct iovec *iov, unsigned count)
{
    netdev_transmit_on(netdev, 0, iov, count);
}

static bool client_has_room(Netdev *netdev, unsigned queue)
{
    const NetClient *client = netdev->client;

    if (client->has_room) {
        return client->has_room(netdev->client_opaque, queue);
    }
    return !client->can_receive || client->can_receive(netdev->client_opaque);
}

static bool give(Netdev *netdev, unsigned queue, const uint8_t *frame, size_t size)
{
    if (netdev->client->take) {
        return netdev->client->take(netdev->client_opaque, queue, frame, size);
    }
    netdev->client->receive(netdev->client_opaque, frame, size);
    return true;
}

void netdev_receive(Netdev *netdev, const uint8_t *frame, size_t size)
{
    bool locked = machine_lock_held(netdev->machine);

    if (!locked) {
        machine_lock(netdev->machine);
    }
    if (netdev->client && netdev->link_up) {
        show_received(netdev, frame, size);
    }
    if (netdev->client && netdev->link_up &&
        !(g_queue_is_empty(&netdev->backlog) && client_has_room(netdev, 0) &&
          give(netdev, 0, frame, size)) &&
        netdev->backlog.length < BACKLOG_FRAMES) {
        g_queue_push_tail(&netdev->backlog, g_bytes_new(frame, size));
    }
    if (!locked) {
        machine_unlock(netdev->machine);
    }
}

bool netdev_has_room(Netdev *netdev, unsigned queue)
{
    /* What nobody takes is dropped. */
    return !netdev->client || !netdev->link_up ||
           (machine_running(netdev->machine) && client_has_room(netdev, queue));
}

bool netdev_offer(Netdev *netdev, unsigned queue, const uint8_t *frame, size_t size)
{
    if (!netdev->client || !netdev->link_up) {
        return true;
    }
    if (!give(netdev, queue, frame, size)) {
        return false;
    }
    show_received(netdev, frame, size);
    return true;
}

void netdev_flush(Netdev *netdev)
{
    while (netdev->client && !g_queue_is_empty(&netdev->backlog) && client_has_room(netdev, 0)) {
        GBytes *frame = g_queue_peek_head(&netdev->backlog);
        size_t size;
        const uint8_t *data = g_bytes_get_data(frame, &size);

        if (!give(netdev, 0, data, size)) {
            return;
        }
        g_bytes_unref(g_queue_pop_head(&netdev->backlog));
    }
    if (g_queue_is_empty(&netdev->backlog) && netdev->type->flush) {
        netdev->type->flush(netdev);
    }
}

void netdev_set_offloads(Netdev *netdev, unsigned header, unsigned offloads)
{
    if (netdev->type->set_offloads &&
        (netdev->header != header || netdev->taken_offloads != offloads)) {
        netdev->header = header;
        netdev->taken_offloads = offloads;
        netdev->type->set_offloads(netdev);
    }
}

unsigned netdev_queues(const Netdev *netdev)
{
    return MAX(netdev->queues, 1);
}

void netdev_set_queues(Netdev *netdev, unsigned active)
{
    if (netdev->type->set_queues) {
        netdev->type->set_queues(netdev, active);
    }
}

bool netdev_kernel_path(Netdev *netdev, unsigned queue, NetdevKernelPath *path)
{
    return !netdev->watchers && netdev->type->kernel_path &&
           netdev->type->kernel_path(netdev, queue, path);
}

void netdev_set_held(Netdev *netdev, bool held)
{
    netdev->held = held;
    if (netdev->type->set_held) {
        netdev->type->set_held(netdev, held);
    }
}

static void count_nic(Device *device, void *opaque)
{
    unsigned *count = opaque;

    *count += device->realized && !g_strcmp0(device->type->category, "network");
}

void netdev_choose_mac(Device *device, uint8_t *mac)
{
    enum { SIZE = 6 };
    static const uint8_t base[SIZE] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 }, unset[SIZE];
    unsigned nics = 0;

    if (memcmp(mac, unset, SIZE) == 0) {
        memcpy(mac, base, SIZE);
        device_foreach(device->machine->root, count_nic, &nics);
        mac[SIZE - 1] += nics;
    }
}

void netdev_set_link(Netdev *netdev, bool up)
{
    if (netdev->link_up == up) {
        return;
    }
    netdev->link_up = up;
    if (!up) {
        clear_backlog(netdev);
    }
    if (netdev->client && netdev->client->link_changed) {
        netdev->client->link_changed(netdev->client_opaque, up);
    }
    netdev_flush(netdev);
}
