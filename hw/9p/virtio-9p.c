/* SPDX-License-Identifier: MIT */
/*
 * 9P over virtio (device 9): each chain of the one queue is a message and the room for its
 * answer. Files are the Fsdev's, and so are the threads on which messages are answered.
 *
 * A guest that has the folder mounted cannot be saved: what its fids stand for is open here.
 */
#include <string.h>

#include "base/error.h"
#include "hw/9p/9p.h"
#include "hw/virtio/virtio.h"
#include "machine/machine.h"
#include "machine/saved-state.h"

enum {
    F_MOUNT_TAG = 0,
    QUEUE_SIZE = 128,
    CONFIG_TAG = 2, /* behind the tag's length */
    TAG_MOST = 31,
};

typedef struct {
    VirtioDevice virtio;
    Fsdev *fsdev;
    NinepSession *session; /* the client's last Tversion began it */
    GQueue requests;       /* Message *: those that the threads have */
    unsigned burials;
    /* Properties. */
    char *fsdev_id, *tag;
} Virtio9p;

typedef struct {
    FsdevJob job;
    NinepRequest request;
    Virtio9p *device;
    VirtioElement *element;
    GSList *flushes; /* Message *: answered behind this one */
} Message;

static Virtio9p *virtio_9p(VirtioDevice *virtio)
{
    return container_of(virtio, Virtio9p, virtio);
}

/* Returns a message with what was written; 0 bytes: it has no answer. */
static void message_return(Message *message, uint32_t written)
{
    VirtQueue *queue = message->element->queue;

    virtqueue_push(message->element, written);
    virtqueue_notify(queue);
    ninep_request_end(&message->request);
    g_slist_free(message->flushes);
    g_free(message);
}

/* Answered, and all that waited for it. */
static void message_end(Message *message, uint32_t written)
{
    GSList *flushes = g_steal_pointer(&message->flushes);

    message_return(message, written);
    for (GSList *it = flushes; it; it = it->next) {
        Message *flush = it->data;

        ninep_answer(&flush->request, 0);
        message_return(flush, flush->request.written);
    }
    g_slist_free(flushes);
}

static void message_run(FsdevJob *job)
{
    Message *message = container_of(job, Message, job);

    ninep_run(&message->request);
    ninep_session_unref(g_steal_pointer(&message->request.session));
}

static void message_done(FsdevJob *job)
{
    Message *message = container_of(job, Message, job);

    g_queue_remove(&message->device->requests, message);
    message_end(message, message->request.written);
}

/* The end of a session closes files, which may take its time. */
typedef struct {
    FsdevJob job;
    NinepSession *session;
    Virtio9p *device;
} Burial;

static void burial_run(FsdevJob *job)
{
    ninep_session_unref(container_of(job, Burial, job)->session);
}

static void burial_done(FsdevJob *job)
{
    Burial *burial = container_of(job, Burial, job);

    burial->device->burials--;
    g_free(burial);
}

static void begin_session(Virtio9p *device, NinepSession *session)
{
    if (device->session) {
        Burial *burial = g_new(Burial, 1);

        *burial = (Burial){ { burial_run, burial_done }, device->session, device };
        device->burials++;
        fsdev_submit(device->fsdev, &burial->job);
    }
    device->session = session;
}

/* Before a flush is answered, what it flushes is: either it has not begun and never will, or its answer comes first. */
static void flush(Virtio9p *device, Message *message)
{
    uint16_t tag = ninep_get16(&message->request);

    for (GList *it = device->requests.head; it; it = it->next) {
        Message *other = it->data;

        if (other->request.tag != tag ||
            other->element->generation != message->element->generation) {
            continue;
        }
        if (!fsdev_cancel(device->fsdev, &other->job)) {
            other->flushes = g_slist_append(other->flushes, message);
            return;
        }
        g_queue_delete_link(&device->requests, it);
        ninep_session_unref(other->request.session);
        message_end(other, 0);
        break;
    }
    ninep_answer(&message->request, 0);
    message_return(message, message->request.written);
}

static bool take(VirtQueue *queue, VirtioElement *element)
{
    Virtio9p *device = virtio_9p(queue->virtio);
    Message *message = g_new0(Message, 1);
    NinepRequest *r = &message->request;

    *message =
        (Message){ .job = { message_run, message_done }, .device = device, .element = element };
    r->out = element->out;
    r->out_count = element->out_count;
    r->room = element->in;
    r->room_count = element->in_count;
    r->room_bytes = element->in_bytes;
    if (element->in_bytes < NINEP_HEADER || !ninep_request_begin(r, element->out_bytes)) {
        virtio_fail(queue->virtio, "a message of %llu bytes with room for %llu",
                    (unsigned long long)element->out_bytes, (unsigned long long)element->in_bytes);
        virtqueue_free_element(element);
        g_free(message);
        return false;
    }
    trace("virtio-9p", "message %u, tag %u, %u bytes", r->type, r->tag, r->size);
    if (r->type == NINEP_TVERSION) {
        begin_session(device, ninep_version(r, device->fsdev));
        message_end(message, r->written);
    } else if (r->type == NINEP_TFLUSH) {
        flush(device, message);
    } else {
        r->session = ninep_session_ref(device->session);
        g_queue_push_tail(&device->requests, message);
        fsdev_submit(device->fsdev, &message->job);
    }
    return true;
}

static void virtio_9p_kick(VirtQueue *queue)
{
    virtqueue_process(queue, take);
}

/* Life. */

static void virtio_9p_drain(VirtioDevice *virtio)
{
    Virtio9p *device = virtio_9p(virtio);

    while (device->requests.length || device->burials) {
        fsdev_wait(device->fsdev);
    }
}

static void run_state_changed(void *opaque, bool running)
{
    if (!running) {
        virtio_9p_drain(opaque);
    }
}

static bool may_save(void *opaque, GError **error)
{
    const Virtio9p *device = opaque;

    return !ninep_session_used(device->session) ||
           error_fail(error, KASO_ERROR_GENERIC,
                      "the guest has the shared folder '%s' mounted, which cannot go with its "
                      "state; unmount it there first",
                      device->tag);
}

/* What the threads are at goes on in its old session. */
static void virtio_9p_reset(VirtioDevice *virtio)
{
    Virtio9p *device = virtio_9p(virtio);

    if (device->session->dialect == NINEP_NO_DIALECT) {
        return; /* nothing was said in it */
    }
    begin_session(device, ninep_session_new(device->fsdev, NINEP_NO_DIALECT, NINEP_MSIZE_LEAST));
}

static uint64_t virtio_9p_features(VirtioDevice *virtio)
{
    return BIT(F_MOUNT_TAG);
}

static bool virtio_9p_realize(VirtioDevice *virtio, GError **error)
{
    Virtio9p *device = virtio_9p(virtio);
    size_t length = device->tag ? strlen(device->tag) : 0;

    device->fsdev = device->fsdev_id ? fsdev_find(virtio_machine(virtio), device->fsdev_id) : NULL;
    if (!device->fsdev) {
        return error_fail(error, KASO_ERROR_NOT_FOUND,
                          "%s: there is no fsdev '%s'; -fsdev local,id=%s,path=FOLDER,… makes it",
                          virtio_name(virtio), device->fsdev_id ? device->fsdev_id : "",
                          device->fsdev_id ? device->fsdev_id : "ID");
    }
    if (!length || length > TAG_MOST) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%s: mount_tag='%s': give 1 to %d bytes, by which the guest mounts it",
                          virtio_name(virtio), device->tag ? device->tag : "", TAG_MOST);
    }
    store_le16(virtio->config, (uint16_t)length);
    memcpy(virtio->config + CONFIG_TAG, device->tag, length);
    virtio_add_queue(virtio, QUEUE_SIZE, virtio_9p_kick);
    device->session = ninep_session_new(device->fsdev, NINEP_NO_DIALECT, NINEP_MSIZE_LEAST);
    machine_on_run_state(virtio_machine(virtio), run_state_changed, virtio);
    machine_ask_before_save(virtio_machine(virtio), may_save, device);
    return true;
}

static void virtio_9p_unrealize(VirtioDevice *virtio)
{
    Virtio9p *device = virtio_9p(virtio);

    machine_forget_run_state(virtio_machine(virtio), virtio);
    machine_forget_before_save(virtio_machine(virtio), device);
    g_clear_pointer(&device->session, ninep_session_unref);
}

static const VirtioBitName virtio_9p_names[] = {
    { F_MOUNT_TAG, "VIRTIO_9P_F_MOUNT_TAG", "tells its tag" },
    { 0 },
};

static const VirtioType virtio_9p_type = {
    .name = "virtio-9p",
    .virtio_id = 9,
    .feature_names = virtio_9p_names,
    .transitional_pci_id = 0x1009,
    .pci_class = 0x000200,
    .config_size = CONFIG_TAG + TAG_MOST,
    .realize = virtio_9p_realize,
    .unrealize = virtio_9p_unrealize,
    .features = virtio_9p_features,
    .reset = virtio_9p_reset,
    .drain = virtio_9p_drain,
};

static const Property virtio_9p_properties[] = {
    { "fsdev", PROPERTY_STRING, offsetof(Virtio9p, fsdev_id), "id of the -fsdev that is shared" },
    { "mount_tag", PROPERTY_STRING, offsetof(Virtio9p, tag), "name by which the guest mounts it" },
    { 0 },
};

static const StateField virtio_9p_state[] = {
    VIRTIO_STATE,
    STATE_DERIVED(Virtio9p, session),
    { 0 },
};

VIRTIO_DEVICE_TYPES(virtio_9p, "virtio-9p", Virtio9p, "Folder shared with the guest (9P)", "misc");
