/* SPDX-License-Identifier: MIT */
/*
 * virtio-net through the kernel's vhost-net: which pairs of queues it carries, and when. It runs while the driver is up, the link is
 * up and the machine runs; at all other times, and when something fails, the queues are this program's, so nothing is lost but speed.
 */
#include "base/error.h"
#include "hw/virtio/vhost.h"
#include "hw/virtio/virtio-net.h"
#include "machine/machine.h"

enum {
    NET_HEADER_BY_VHOST = 27 /* VHOST_NET_F_VIRTIO_NET_HDR; of legacy drivers another feature */
};

struct VirtioNetVhost {
    VirtioNet *net;
    Vhost *pair[NETDEV_MAX_QUEUES]; /* as many as the device has */
    int tap[NETDEV_MAX_QUEUES];
    unsigned running; /* pairs */
    bool failed;      /* not tried again before a reset */
};

static void give_up(VirtioNetVhost *v, const GError *error)
{
    v->failed = true;
    g_printerr("kaso: warning: %s; it goes on without vhost\n", error->message);
}

static void stop(VirtioNetVhost *v)
{
    VirtioNet *net = v->net;
    unsigned pairs = v->running;

    v->running = 0;
    for (unsigned i = 0; i < pairs; i++) {
        vhost_stop(v->pair[i]);
        /* Kicks may have come to the kernel that it has not looked at. */
        virtqueue_defer(&net->virtio.queues[2 * i]);
        virtqueue_defer(&net->virtio.queues[2 * i + 1]);
    }
    netdev_set_held(net->netdev, false);
}

static uint64_t features(const VirtioNet *net)
{
    uint64_t accepted = net->virtio.accepted & ~BIT(NET_HEADER_BY_VHOST);

    return net->netdev->header ? accepted : accepted | BIT(NET_HEADER_BY_VHOST);
}

static bool start_pair(VirtioNetVhost *v, unsigned i, GError **error)
{
    return vhost_start(v->pair[i], features(v->net), error) &&
           vhost_net_set_backend(v->pair[i], 0, v->tap[i], error) &&
           vhost_net_set_backend(v->pair[i], 1, v->tap[i], error);
}

static void start(VirtioNetVhost *v)
{
    g_autoptr(GError) error = NULL;

    netdev_set_held(v->net->netdev, true);
    while (v->running < v->net->pairs_used) {
        unsigned i = v->running++;

        if (!start_pair(v, i, &error)) {
            give_up(v, error);
            stop(v);
            return;
        }
        /* What the driver asked for before. */
        vhost_kick(v->pair[i], 2 * i);
        vhost_kick(v->pair[i], 2 * i + 1);
    }
}

/* A driver that resets one queue is served by us until the queue is back. */
static bool queues_enabled(const VirtioNet *net)
{
    for (unsigned i = 0; i < 2U * net->pairs_used; i++) {
        if (!net->virtio.queues[i].state->enabled) {
            return false;
        }
    }
    return true;
}

void virtio_net_vhost_update(VirtioNet *net)
{
    VirtioNetVhost *v = net->vhost;
    unsigned wanted = v && net->up && virtio_running(&net->virtio) && net->link_up && !v->failed &&
                              queues_enabled(net) && machine_running(virtio_machine(&net->virtio))
                          ? net->pairs_used
                          : 0;

    if (!v || v->running == wanted) {
        return;
    }
    if (v->running) {
        stop(v);
    }
    if (wanted) {
        start(v);
    }
}

bool virtio_net_vhost_kick(VirtioNet *net, unsigned queue)
{
    VirtioNetVhost *v = net->vhost;

    if (!v || queue / 2 >= v->running || !vhost_has_queue(v->pair[queue / 2], queue)) {
        return false;
    }
    vhost_kick(v->pair[queue / 2], queue);
    return true;
}

void virtio_net_vhost_reset(VirtioNet *net)
{
    if (net->vhost) {
        if (net->vhost->running) {
            stop(net->vhost);
        }
        net->vhost->failed = false;
    }
}

static void memory_changed(void *opaque, AddressSpace *space)
{
    VirtioNetVhost *v = opaque;
    g_autoptr(GError) error = NULL;

    if (space != &virtio_machine(&v->net->virtio)->memory_space) {
        return;
    }
    for (unsigned i = 0; i < v->running; i++) {
        if (!vhost_memory_changed(v->pair[i], &error)) {
            give_up(v, error);
            stop(v);
            return;
        }
    }
}

bool virtio_net_vhost_realize(VirtioNet *net, GError **error)
{
    VirtioNetVhost *v;
    NetdevKernelPath path;
    bool ok = true;

    if (!net->netdev || !netdev_kernel_path(net->netdev, 0, &path)) {
        return true;
    }
    v = g_new0(VirtioNetVhost, 1);
    v->net = net;
    net->vhost = v;
    for (unsigned i = 0; i < net->pairs && ok; i++) {
        ok = netdev_kernel_path(net->netdev, i, &path) ||
             error_fail(error, KASO_ERROR_INVALID, "netdev '%s' has vhost for %u of %u queues",
                        net->netdev->id, i, net->pairs);
        v->tap[i] = path.tap;
        v->pair[i] = ok ? vhost_new(&net->virtio, path.vhost, 2 * i, 2, error) : NULL;
        ok = v->pair[i];
    }
    memory_add_listener(virtio_machine(&net->virtio), memory_changed, v);
    return ok;
}

void virtio_net_vhost_unrealize(VirtioNet *net)
{
    VirtioNetVhost *v = net->vhost;

    if (!v) {
        return;
    }
    virtio_net_vhost_reset(net);
    memory_remove_listener(virtio_machine(&net->virtio), v);
    for (unsigned i = 0; i < net->pairs; i++) {
        vhost_free(v->pair[i]);
    }
    g_clear_pointer(&net->vhost, g_free);
}

struct Vhost *virtio_net_vhost_of(VirtioDevice *virtio, unsigned queue)
{
    const VirtioNet *net = virtio_net(virtio);

    return net->vhost && queue / 2 < net->vhost->running ? net->vhost->pair[queue / 2] : NULL;
}
