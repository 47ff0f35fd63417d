/* SPDX-License-Identifier: MIT */
/* The kernel's half of a virtio device; see the header. */
#include "hw/virtio/vhost.h"

#include <errno.h>
#include <linux/vhost.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/watch.h"
#include "hw/virtio/virtio-doorbells.h"
#include "machine/irq-signal.h"
#include "machine/machine.h"

enum { MOST_QUEUES = 2, MOST_REGIONS = 64, BROKEN_WATCH_BYTES = 8 };

/* What the kernel does itself for the driver: without its word these cannot be used. */
static const uint64_t kernels_features = BIT(15) /* mergeable buffers */ |
                                         BIT(VIRTIO_F_INDIRECT_DESC) | BIT(VIRTIO_F_EVENT_IDX) |
                                         BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ACCESS_PLATFORM);

typedef struct {
    Vhost *vhost;
    VirtQueue *queue;
    IrqSignal *call;
    int kick;    /* ours, for kicks that do not come by a doorbell */
    int bell;    /* the doorbell's, while it is the kernel's; -1: none */
    int trouble; /* the kernel says that it cannot go on with the queue */
    guint watch; /* of trouble */
    bool running;
    struct vhost_vring_addr address; /* as the kernel knows it */
} VhostQueue;

struct Vhost {
    VirtioDevice *virtio;
    int fd;
    uint64_t offered;
    unsigned count;
    bool running;
    struct vhost_memory *memory; /* as the kernel knows it */
    VhostQueue queue[MOST_QUEUES];
};

static bool tell(const Vhost *vhost, unsigned long request, const void *argument, const char *name,
                 GError **error)
{
    return ioctl(vhost->fd, request, argument) >= 0 ||
           error_fail_errno(error, errno, "%s: %s failed", virtio_name(vhost->virtio), name);
}
#define TELL(vhost, request, argument, error) tell(vhost, request, argument, #request, error)

/* --- signals --- */

static void called(void *opaque)
{
    VhostQueue *q = opaque;

    if (virtio_running(q->vhost->virtio)) {
        q->vhost->virtio->transport->notify_queue(q->vhost->virtio, q->queue);
    }
}

/* A ring or a chain that the kernel could not use. */
static gboolean in_trouble(gint fd, GIOCondition condition, gpointer opaque)
{
    VhostQueue *q = opaque;
    Machine *machine = virtio_machine(q->vhost->virtio);
    GSource *source = g_main_current_source();
    bool held = machine_lock_held(machine);
    uint64_t times;

    if (!held) {
        machine_lock(machine);
    }
    if (!g_source_is_destroyed(source) && read(fd, &times, sizeof times) == BROKEN_WATCH_BYTES &&
        q->running) {
        virtio_fail(q->vhost->virtio, "the kernel cannot go on with queue %u", q->queue->index);
    }
    if (!held) {
        machine_unlock(machine);
    }
    return G_SOURCE_CONTINUE;
}

void vhost_kick(Vhost *vhost, unsigned queue)
{
    const uint64_t once = 1;
    VhostQueue *q = &vhost->queue[queue - vhost->queue[0].queue->index];

    if (write(q->bell >= 0 ? q->bell : q->kick, &once, sizeof once) < 0) {
        trace(virtio_name(vhost->virtio), "queue %u: a kick is lost: %s", queue, g_strerror(errno));
    }
}

void vhost_queue_descriptors(const Vhost *vhost, unsigned queue, int *kick, int *call)
{
    const VhostQueue *q = &vhost->queue[queue - vhost->queue[0].queue->index];

    *kick = q->bell >= 0 ? q->bell : q->kick;
    *call = irq_signal_fd(q->call);
}

/* --- memory --- */

static void add_region(struct vhost_memory *table, const MemoryRange *range)
{
    struct vhost_memory_region *before = &table->regions[table->nregions - 1];
    struct vhost_memory_region region = {
        .guest_phys_addr = range->start,
        .memory_size = range->size,
        .userspace_addr = (uintptr_t)range->region->host + range->offset,
    };

    if (table->nregions &&
        before->guest_phys_addr + before->memory_size == region.guest_phys_addr &&
        before->userspace_addr + before->memory_size == region.userspace_addr) {
        before->memory_size += region.memory_size;
    } else {
        table->regions[table->nregions++] = region;
    }
}

static size_t table_size(const struct vhost_memory *table)
{
    return sizeof *table + table->nregions * sizeof table->regions[0];
}

/* What devices reach of memory. NULL with an error: it is in too many pieces. */
static struct vhost_memory *build_table(VirtioDevice *virtio, GError **error)
{
    const FlatView *view = atomic_load(&virtio_machine(virtio)->memory_space.view);
    g_autofree struct vhost_memory *table =
        g_malloc0(sizeof *table + (view->count + 1) * sizeof table->regions[0]);

    for (size_t i = 0; i < view->count; i++) {
        if (memory_range_direct(&view->ranges[i], true)) {
            add_region(table, &view->ranges[i]);
        }
    }
    if (table->nregions > MOST_REGIONS) {
        error_fail(error, KASO_ERROR_UNSUPPORTED, "%s: memory is in %u pieces; vhost takes %d",
                   virtio_name(virtio), table->nregions, MOST_REGIONS);
        return NULL;
    }
    return g_steal_pointer(&table);
}

static bool set_memory(Vhost *vhost, GError **error)
{
    struct vhost_memory *table = build_table(vhost->virtio, error);

    if (!table) {
        return false;
    }
    if (vhost->memory && table_size(table) == table_size(vhost->memory) &&
        memcmp(table, vhost->memory, table_size(table)) == 0) {
        g_free(table);
        return true;
    }
    g_free(vhost->memory);
    vhost->memory = table;
    return TELL(vhost, VHOST_SET_MEM_TABLE, table, error);
}

/* --- queues --- */

static bool set_eventfd(Vhost *vhost, unsigned index, unsigned long request, const char *name,
                        int fd, GError **error)
{
    const struct vhost_vring_file file = { .index = index, .fd = fd };

    return tell(vhost, request, &file, name, error);
}

static bool find_rings(VhostQueue *q, GError **error)
{
    VirtioRings rings;

    if (!virtqueue_rings(q->queue, &rings)) {
        return error_fail(error, KASO_ERROR_INVALID, "%s: the rings of queue %u are not in memory",
                          virtio_name(q->vhost->virtio), q->queue->index);
    }
    q->address = (struct vhost_vring_addr){
        .index = (unsigned)(q - q->vhost->queue),
        .desc_user_addr = (uintptr_t)rings.descriptors,
        .avail_user_addr = (uintptr_t)rings.available,
        .used_user_addr = (uintptr_t)rings.used,
    };
    return true;
}

static bool start_queue(VhostQueue *q, GError **error)
{
    Vhost *vhost = q->vhost;
    const VirtQueueState *s = q->queue->state;
    unsigned index = (unsigned)(q - vhost->queue);
    const struct vhost_vring_state size = { index, s->size }, base = { index, s->last_available };

    if (!find_rings(q, error) || !TELL(vhost, VHOST_SET_VRING_NUM, &size, error) ||
        !TELL(vhost, VHOST_SET_VRING_BASE, &base, error) ||
        !TELL(vhost, VHOST_SET_VRING_ADDR, &q->address, error)) {
        return false;
    }
    q->running = true;
    q->bell = virtio_doorbell_lend(vhost->virtio, q->queue->index);
    virtqueue_bind(q->queue, q->call);
    return set_eventfd(vhost, index, VHOST_SET_VRING_KICK, "VHOST_SET_VRING_KICK",
                       q->bell >= 0 ? q->bell : q->kick, error) &&
           set_eventfd(vhost, index, VHOST_SET_VRING_CALL, "VHOST_SET_VRING_CALL",
                       irq_signal_fd(q->call), error) &&
           set_eventfd(vhost, index, VHOST_SET_VRING_ERR, "VHOST_SET_VRING_ERR", q->trouble, error);
}

/* Takes the queue's state back. lost: the kernel has forgotten it. */
static void stop_queue(VhostQueue *q, bool lost)
{
    Vhost *vhost = q->vhost;
    VirtQueueState *s = q->queue->state;
    unsigned index = (unsigned)(q - vhost->queue);
    struct vhost_vring_state base = { .index = index };

    set_eventfd(vhost, index, VHOST_SET_VRING_KICK, "VHOST_SET_VRING_KICK", -1, NULL);
    lost = lost || !TELL(vhost, VHOST_GET_VRING_BASE, &base, NULL);
    s->last_available = lost ? s->last_available : (uint16_t)base.num;
    virtqueue_take_over(q->queue, lost);
    set_eventfd(vhost, index, VHOST_SET_VRING_CALL, "VHOST_SET_VRING_CALL", -1, NULL);
    virtqueue_bind(q->queue, NULL);
    irq_signal_hear(q->call);
    if (q->bell >= 0) {
        virtio_doorbell_return(vhost->virtio, q->queue->index);
        q->bell = -1;
    }
    q->running = false;
}

/* --- all together --- */

bool vhost_start(Vhost *vhost, uint64_t features, GError **error)
{
    uint64_t missing = features & kernels_features & ~vhost->offered;

    if (missing || features & BIT(VIRTIO_F_ACCESS_PLATFORM)) {
        return error_fail(
            error, KASO_ERROR_UNSUPPORTED,
            "%s: this kernel's vhost lacks features %#" PRIx64 " that the driver uses",
            virtio_name(vhost->virtio), missing | (features & BIT(VIRTIO_F_ACCESS_PLATFORM)));
    }
    features &= vhost->offered;
    vhost->running = true;
    g_clear_pointer(&vhost->memory, g_free);
    if (!TELL(vhost, VHOST_SET_FEATURES, &features, error) || !set_memory(vhost, error)) {
        vhost_stop(vhost);
        return false;
    }
    for (unsigned i = 0; i < vhost->count; i++) {
        if (vhost->queue[i].queue->state->enabled && !start_queue(&vhost->queue[i], error)) {
            vhost_stop(vhost);
            return false;
        }
    }
    return true;
}

/* Nobody else works on the queue from now on. false: that was to be had only by making the kernel forget all that it knew. */
static bool detach(Vhost *vhost, unsigned index)
{
    if (vhost_net_set_backend(vhost, index, -1, NULL)) {
        return true;
    }
    ioctl(vhost->fd, VHOST_RESET_OWNER, NULL);
    ioctl(vhost->fd, VHOST_SET_OWNER, NULL);
    return false;
}

void vhost_stop(Vhost *vhost)
{
    bool lost = false;

    for (unsigned i = 0; i < vhost->count && vhost->running; i++) {
        if (vhost->queue[i].running) {
            lost = !detach(vhost, i) || lost;
            stop_queue(&vhost->queue[i], lost);
        }
    }
    vhost->running = false;
}

bool vhost_is_running(const Vhost *vhost)
{
    return vhost->running;
}

bool vhost_has_queue(const Vhost *vhost, unsigned queue)
{
    unsigned index = queue - vhost->queue[0].queue->index;

    return index < vhost->count && vhost->queue[index].running;
}

bool vhost_net_set_backend(Vhost *vhost, unsigned index, int file, GError **error)
{
    const struct vhost_vring_file backend = { .index = index, .fd = file };

    return !vhost->queue[index].running || TELL(vhost, VHOST_NET_SET_BACKEND, &backend, error);
}

bool vhost_memory_changed(Vhost *vhost, GError **error)
{
    bool ok = vhost->running && set_memory(vhost, error);

    for (unsigned i = 0; ok && i < vhost->count; i++) {
        VhostQueue *q = &vhost->queue[i];
        struct vhost_vring_addr before = q->address;

        if (q->running) {
            ok = find_rings(q, error) && (memcmp(&before, &q->address, sizeof before) == 0 ||
                                          TELL(vhost, VHOST_SET_VRING_ADDR, &q->address, error));
        }
    }
    if (vhost->running && !ok) {
        vhost_stop(vhost);
    }
    return ok;
}

static bool make_queue(Vhost *vhost, unsigned index, unsigned number, GError **error)
{
    VhostQueue *q = &vhost->queue[index];

    *q = (VhostQueue){ .vhost = vhost,
                       .queue = virtio_queue(vhost->virtio, number),
                       .kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                       .trouble = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                       .bell = -1 };
    vhost->count++;
    if (q->kick < 0 || q->trouble < 0) {
        return error_fail_errno(error, errno, "%s: no descriptors for vhost",
                                virtio_name(vhost->virtio));
    }
    q->watch = watch_descriptor(q->trouble, G_IO_IN, in_trouble, q);
    q->call = irq_signal_new(virtio_machine(vhost->virtio), called, q, error);
    return q->call;
}

Vhost *vhost_new(VirtioDevice *virtio, int fd, unsigned first, unsigned count, GError **error)
{
    Vhost *vhost = g_new0(Vhost, 1);
    bool ok;

    g_assert(count <= MOST_QUEUES);
    vhost->virtio = virtio;
    vhost->fd = fd;
    /* EBUSY: this program owns it already, as after netdev and device parted. */
    ok = ioctl(fd, VHOST_SET_OWNER, NULL) >= 0 || errno == EBUSY ||
         error_fail_errno(error, errno, "%s: VHOST_SET_OWNER failed", virtio_name(virtio));
    ok = ok && TELL(vhost, VHOST_GET_FEATURES, &vhost->offered, error);
    for (unsigned i = 0; i < count; i++) {
        ok = make_queue(vhost, i, first + i, ok ? error : NULL) && ok;
    }
    if (!ok) {
        vhost_free(vhost);
        return NULL;
    }
    return vhost;
}

void vhost_free(Vhost *vhost)
{
    if (!vhost) {
        return;
    }
    vhost_stop(vhost);
    for (unsigned i = 0; i < vhost->count; i++) {
        VhostQueue *q = &vhost->queue[i];

        irq_signal_free(q->call);
        g_clear_handle_id(&q->watch, g_source_remove);
        if (q->kick >= 0) {
            close(q->kick);
        }
        if (q->trouble >= 0) {
            close(q->trouble);
        }
    }
    g_free(vhost->memory);
    g_free(vhost);
}
