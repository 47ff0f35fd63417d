/* SPDX-License-Identifier: MIT */
/* The generic half of network back ends: pairing and the bounded backlog. */
#include "machine/netdev.h"

#include <string.h>

#include "base/error.h"
#include "machine/machine.h"
#include "machine/object.h"

enum { BACKLOG_FRAMES = 256 }; /* what one NIC may leave waiting before frames are dropped */

static void clear_backlog(Netdev *netdev)
{
    g_queue_clear_full(&netdev->backlog, (GDestroyNotify)g_bytes_unref);
}

bool netdev_filter_attach(Netdev *netdev, NetdevFilter *filter, NetdevFilter *neighbour,
                          bool behind, GError **error)
{
    GList *beside = g_list_find(netdev->filters, neighbour);

    if (netdev->held) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "frames of netdev '%s' pass through the kernel (vhost=on) and cannot be "
                          "seen; give it vhost=off",
                          netdev->id);
    }
    filter->netdev = netdev;
    if (beside && behind) {
        beside = beside->next;
    }
    netdev->filters = g_list_insert_before(netdev->filters, beside, filter);
    return true;
}

void netdev_filter_detach(NetdevFilter *filter)
{
    if (filter->netdev) {
        filter->netdev->filters = g_list_remove(filter->netdev->filters, filter);
        filter->netdev = NULL;
    }
}

/* Whether a frame comes through the filters from `it` on. */
static bool pass_filters(const Netdev *netdev, GList *it, bool from_nic, const struct iovec *iov,
                         unsigned count)
{
    while (it) {
        NetdevFilter *filter = it->data;

        it = from_nic ? it->prev : it->next;
        if (!filter->frame(filter, from_nic, iov, count, netdev->header)) {
            return false;
        }
    }
    return true;
}

static bool pass_all_filters(const Netdev *netdev, bool from_nic, const struct iovec *iov,
                             unsigned count)
{
    GList *first = from_nic ? g_list_last(netdev->filters) : netdev->filters;

    return pass_filters(netdev, first, from_nic, iov, count);
}

static bool pass_received(const Netdev *netdev, const uint8_t *frame, size_t size)
{
    struct iovec iov = { (uint8_t *)(uintptr_t)frame, size };

    return pass_all_filters(netdev, false, &iov, 1);
}

/* What a NIC has whose back end is gone. */
static const NetdevType gone_type = { .name = "none", .instance_size = sizeof(Netdev) };

static void close_back_end(Netdev *netdev)
{
    while (netdev->filters) {
        NetdevFilter *filter = netdev->filters->data;

        netdev_filter_detach(filter);
        if (filter->owner) {
            machine_remove_object(netdev->machine, filter->owner);
            object_free(filter->owner);
        }
    }
    if (netdev->type->close) {
        netdev->type->close(netdev);
    }
    clear_backlog(netdev);
    properties_free(netdev->type->properties, netdev);
    netdev->type = &gone_type;
}

void netdev_free(Netdev *netdev)
{
    if (!netdev->orphan) {
        netdev_set_link(netdev, netdev->link_up && !netdev->client);
        close_back_end(netdev);
    }
    netdev->orphan = true;
    if (!netdev->client) {
        g_free(netdev->id);
        g_free(netdev);
    }
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
    if (netdev->orphan) {
        netdev_free(netdev);
    }
}

static void transmit(Netdev *netdev, unsigned queue, const struct iovec *iov, unsigned count)
{
    if (netdev->link_up && netdev->type->transmit) {
        netdev->type->transmit(netdev, MIN(queue, netdev_queues(netdev) - 1), iov, count);
    }
}

void netdev_transmit_on(Netdev *netdev, unsigned queue, const struct iovec *iov, unsigned count)
{
    if (netdev && netdev->link_up && pass_all_filters(netdev, true, iov, count)) {
        transmit(netdev, queue, iov, count);
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

/* What has come through the filters, to the NIC or into the backlog. */
static void deliver(Netdev *netdev, unsigned queue, const uint8_t *frame, size_t size)
{
    if (!netdev->client || !netdev->link_up) {
        return;
    }
    if (!(g_queue_is_empty(&netdev->backlog) && client_has_room(netdev, queue) &&
          give(netdev, queue, frame, size)) &&
        netdev->backlog.length < BACKLOG_FRAMES) {
        g_queue_push_tail(&netdev->backlog, g_bytes_new(frame, size));
    }
}

void netdev_receive(Netdev *netdev, const uint8_t *frame, size_t size)
{
    bool locked = machine_lock_held(netdev->machine);

    if (!locked) {
        machine_lock(netdev->machine);
    }
    if (netdev->client && netdev->link_up && pass_received(netdev, frame, size)) {
        deliver(netdev, 0, frame, size);
    }
    if (!locked) {
        machine_unlock(netdev->machine);
    }
}

bool netdev_has_room(Netdev *netdev, unsigned queue)
{
    /* What nobody takes is dropped. */
    return !netdev->client || !netdev->link_up ||
           (machine_running(netdev->machine) && g_queue_is_empty(&netdev->backlog) &&
            client_has_room(netdev, queue));
}

/* A frame goes through filters once only: what the NIC does not take after that waits in the backlog. */
bool netdev_offer(Netdev *netdev, unsigned queue, const uint8_t *frame, size_t size)
{
    if (!netdev->client || !netdev->link_up) {
        return true;
    }
    if (!netdev->filters) {
        return give(netdev, queue, frame, size);
    }
    if (pass_received(netdev, frame, size)) {
        deliver(netdev, queue, frame, size);
    }
    return true;
}

void netdev_filter_pass(NetdevFilter *filter, bool from_nic, const uint8_t *header,
                        size_t header_size, const uint8_t *frame, size_t size)
{
    Netdev *netdev = filter->netdev;
    GList *place = g_list_find(netdev->filters, filter);
    size_t total = netdev->header + size;
    g_autofree uint8_t *data = g_malloc0(total + 1);
    struct iovec iov = { data, total };

    if (header_size) {
        memcpy(data, header, MIN(header_size, netdev->header));
    }
    memcpy(data + netdev->header, frame, size);
    if (!pass_filters(netdev, from_nic ? place->prev : place->next, from_nic, &iov, 1)) {
        return;
    }
    if (from_nic) {
        transmit(netdev, 0, &iov, 1);
    } else {
        deliver(netdev, 0, data, total);
    }
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
        clear_backlog(netdev); /* frames with the other header */
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
    return !netdev->filters && netdev->type->kernel_path &&
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
