/* SPDX-License-Identifier: MIT */
/*
 * Kicks that reach the device by descriptor (ioeventfd): the accelerator turns a guest's write to a doorbell into a signal, so that the
 * CPU goes on at once and the main loop does the work.
 */
#include "hw/virtio/virtio-doorbells.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/watch.h"
#include "machine/machine.h"

enum { PLACES = 2, KICK_BYTES = 2 };

typedef struct {
    VirtioDevice *virtio;
    unsigned queue;
    int fd;
    guint watch; /* 0: it is lent */
    MemoryDoorbell place[PLACES];
    bool used[PLACES];
} Bell;

struct VirtioDoorbells {
    unsigned count;
    Bell *bell[VIRTIO_MAX_QUEUES];
};

static gboolean rung(gint fd, GIOCondition condition, gpointer opaque)
{
    Bell *bell = opaque;
    Machine *machine = virtio_machine(bell->virtio);
    GSource *source = g_main_current_source();
    bool held = machine_lock_held(machine);
    uint64_t times;

    if (!held) {
        machine_lock(machine);
    }
    if (!g_source_is_destroyed(source) && read(fd, &times, sizeof times) == sizeof times) {
        virtio_kick(bell->virtio, bell->queue);
    }
    if (!held) {
        machine_unlock(machine);
    }
    return G_SOURCE_CONTINUE;
}

/* A saved machine has the kicks that nobody has heard yet as work that was put off. */
static void run_state_changed(void *opaque, bool running)
{
    const VirtioDoorbells *bells = opaque;
    uint64_t times;

    for (unsigned i = 0; !running && i < bells->count; i++) {
        const Bell *bell = bells->bell[i];

        if (bell->watch && read(bell->fd, &times, sizeof times) == sizeof times) {
            virtqueue_defer(&bell->virtio->queues[bell->queue]);
        }
    }
}

static void remove_bell(Bell *bell)
{
    for (unsigned i = 0; i < PLACES; i++) {
        if (bell->used[i]) {
            memory_remove_doorbell(&bell->place[i]);
        }
    }
    close(bell->fd);
    if (bell->watch) {
        g_source_remove(bell->watch);
    }
    g_atomic_rc_box_release(bell);
}

/* The watch has a reference: it may be ringing right now. */
static void watch_bell(Bell *bell)
{
    bell->watch = watch_descriptor_full(bell->fd, G_IO_IN, rung, g_atomic_rc_box_acquire(bell),
                                        g_atomic_rc_box_release);
}

static void add_place(Bell *bell, unsigned i, MemoryDoorbell place)
{
    if (place.region) {
        bell->place[i] = place;
        bell->used[i] = memory_add_doorbell(&bell->place[i]);
    }
}

/* NULL: nobody would ring it. */
static Bell *add_bell(VirtioDevice *virtio, unsigned queue, const VirtioKickPlaces *places)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    Bell *bell;

    if (fd < 0) {
        return NULL;
    }
    bell = g_atomic_rc_box_new0(Bell);
    *bell = (Bell){ .virtio = virtio, .queue = queue, .fd = fd };
    add_place(bell, 0,
              (MemoryDoorbell){ .region = places->modern,
                                .offset = places->modern_offset + places->stride * queue,
                                .size = KICK_BYTES,
                                .fd = fd });
    add_place(bell, 1,
              (MemoryDoorbell){ .region = places->legacy,
                                .offset = places->legacy_offset,
                                .size = KICK_BYTES,
                                .match = true,
                                .value = queue,
                                .fd = fd });
    if (!bell->used[0] && !bell->used[1]) {
        close(fd);
        g_atomic_rc_box_release(bell);
        return NULL;
    }
    watch_bell(bell);
    return bell;
}

void virtio_doorbells_start(VirtioDevice *virtio, const VirtioKickPlaces *places)
{
    VirtioDoorbells *bells;

    if (virtio->doorbells) {
        return;
    }
    bells = g_new0(VirtioDoorbells, 1);
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        Bell *bell = virtio->queues[i].state->enabled ? add_bell(virtio, i, places) : NULL;

        if (bell) {
            bells->bell[bells->count++] = bell;
        }
    }
    virtio->doorbells = bells;
    machine_on_run_state(virtio_machine(virtio), run_state_changed, bells);
}

void virtio_doorbells_stop(VirtioDevice *virtio)
{
    VirtioDoorbells *bells = virtio->doorbells;

    if (!bells) {
        return;
    }
    virtio->doorbells = NULL;
    machine_forget_run_state(virtio_machine(virtio), bells);
    for (unsigned i = 0; i < bells->count; i++) {
        remove_bell(bells->bell[i]);
    }
    g_free(bells);
}

static Bell *find_bell(VirtioDevice *virtio, unsigned queue)
{
    VirtioDoorbells *bells = virtio->doorbells;

    for (unsigned i = 0; bells && i < bells->count; i++) {
        if (bells->bell[i]->queue == queue) {
            return bells->bell[i];
        }
    }
    return NULL;
}

int virtio_doorbell_lend(VirtioDevice *virtio, unsigned queue)
{
    Bell *bell = find_bell(virtio, queue);

    if (!bell) {
        return -1;
    }
    g_clear_handle_id(&bell->watch, g_source_remove);
    return bell->fd;
}

void virtio_doorbell_return(VirtioDevice *virtio, unsigned queue)
{
    Bell *bell = find_bell(virtio, queue);

    if (bell && !bell->watch) {
        watch_bell(bell);
    }
}
