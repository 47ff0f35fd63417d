/* SPDX-License-Identifier: MIT */
/* Virtio device core: status, features, configuration space, kicks (Virtio 1.2, chapters 2 and 3). */
#include "hw/virtio/virtio.h"

#include <stdarg.h>

#include "base/error.h"
#include "machine/machine.h"

VirtQueue *virtio_add_queue(VirtioDevice *virtio, unsigned size, VirtQueueHandler *handler)
{
    VirtQueue *queue = &virtio->queues[virtio->queue_count];

    g_assert(virtio->queue_count < VIRTIO_MAX_QUEUES && size <= VIRTIO_MAX_QUEUE_SIZE);
    *queue = (VirtQueue){
        .virtio = virtio,
        .state = &virtio->queue_states[virtio->queue_count],
        .index = virtio->queue_count,
        .maximum_size = size,
        .handler = handler,
    };
    virtio->queue_count++;
    return queue;
}

VirtQueue *virtio_queue(VirtioDevice *virtio, unsigned index)
{
    return index < virtio->queue_count ? &virtio->queues[index] : NULL;
}

void virtio_fail(VirtioDevice *virtio, const char *format, ...)
{
    if (log_enabled(LOG_GUEST_ERRORS)) {
        va_list arguments;
        char *text;

        va_start(arguments, format);
        text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        log_guest_error(virtio_name(virtio), "%s; the device needs a reset", text);
        g_free(text);
    }
    if (!virtio->broken) {
        virtio->broken = true;
        virtio->status |= VIRTIO_STATUS_NEEDS_RESET;
        if (virtio->status & VIRTIO_STATUS_DRIVER_OK) {
            virtio->transport->notify_config(virtio);
        }
        if (virtio->type->status_changed) {
            virtio->type->status_changed(virtio);
        }
    }
}

bool virtio_running(const VirtioDevice *virtio)
{
    return (virtio->status & VIRTIO_STATUS_DRIVER_OK) && !virtio->broken && virtio->dma_allowed;
}

void virtio_config_changed(VirtioDevice *virtio)
{
    virtio->config_generation++;
    if (virtio->status & VIRTIO_STATUS_DRIVER_OK) {
        virtio->transport->notify_config(virtio);
    }
}

static void run_handler(VirtQueue *queue)
{
    if (queue->running) {
        return;
    }
    queue->running = true;
    queue->handler(queue);
    queue->running = false;
}

/* Legacy drivers may use queues before they set DRIVER_OK (3.1.2). */
void virtio_kick(VirtioDevice *virtio, unsigned index)
{
    VirtQueue *queue = virtio_queue(virtio, index);
    bool modern = virtio_has_feature(virtio, VIRTIO_F_VERSION_1);

    if (!queue || !queue->state->enabled) {
        log_guest_error(virtio_name(virtio), "kick of queue %u, which is not ready", index);
        return;
    }
    if (!virtio->broken && virtio->dma_allowed &&
        ((virtio->status & VIRTIO_STATUS_DRIVER_OK) || !modern)) {
        run_handler(queue);
    }
}

static void run_all(VirtioDevice *virtio)
{
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        if (virtio->queues[i].state->enabled) {
            run_handler(&virtio->queues[i]);
        }
    }
}

void virtio_set_dma_allowed(VirtioDevice *virtio, bool allowed)
{
    if (allowed == virtio->dma_allowed) {
        return;
    }
    virtio->dma_allowed = allowed;
    if (virtio->type->status_changed) {
        virtio->type->status_changed(virtio);
    }
    if (virtio_running(virtio)) {
        run_all(virtio);
    }
}

void virtio_reset_queue(VirtQueue *queue)
{
    const VirtioType *type = queue->virtio->type;

    queue->state->enabled = false;
    virtqueue_orphan(queue);
    if (type->queue_reset) {
        type->queue_reset(queue);
    }
    virtqueue_reset(queue);
    virtqueue_vector_changed(queue);
}

bool virtio_queue_is_resetting(const VirtQueue *queue)
{
    return !queue->state->enabled && queue->orphans;
}

void virtio_write_queue_reset(VirtQueue *queue, uint32_t value)
{
    if (value != 1 || !virtio_has_feature(queue->virtio, VIRTIO_F_RING_RESET)) {
        log_guest_error(virtio_name(queue->virtio), "queue_reset of queue %u set to %u%s",
                        queue->index, value, value == 1 ? " without the feature" : "");
    } else if (queue->state->enabled) {
        virtio_reset_queue(queue);
    }
}

static bool has_orphans(const VirtioDevice *virtio)
{
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        if (virtio->queues[i].orphans) {
            return true;
        }
    }
    return false;
}

uint8_t virtio_read_status(const VirtioDevice *virtio)
{
    /* A reset is complete, and reads as such, when the requests it has cut off have ended. */
    if (!virtio->status && has_orphans(virtio)) {
        return VIRTIO_STATUS_NEEDS_RESET;
    }
    return virtio->status;
}

static bool features_acceptable(VirtioDevice *virtio)
{
    if (virtio->accepted & ~virtio_offered(virtio, false)) {
        log_guest_error(virtio_name(virtio), "features %#llx were not offered",
                        (unsigned long long)(virtio->accepted & ~virtio_offered(virtio, false)));
        return false;
    }
    return true;
}

void virtio_write_status(VirtioDevice *virtio, uint8_t status)
{
    uint8_t old = virtio->status;

    if (!status) {
        virtio_reset(virtio);
        return;
    }
    if ((status & VIRTIO_STATUS_FEATURES_OK) && !(old & VIRTIO_STATUS_FEATURES_OK) &&
        !features_acceptable(virtio)) {
        status &= ~VIRTIO_STATUS_FEATURES_OK;
    }
    virtio->status = status | (old & VIRTIO_STATUS_NEEDS_RESET);
    if ((status & VIRTIO_STATUS_DRIVER_OK) && !(old & VIRTIO_STATUS_DRIVER_OK) &&
        virtio->transport->driver_ok) {
        virtio->transport->driver_ok(virtio);
    }
    if (virtio->type->status_changed) {
        virtio->type->status_changed(virtio);
    }
    if (!(old & VIRTIO_STATUS_DRIVER_OK) && virtio_running(virtio)) {
        run_all(virtio);
    }
}

uint64_t virtio_offered(const VirtioDevice *virtio, bool legacy)
{
    const uint64_t modern =
        BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ACCESS_PLATFORM) | BIT(VIRTIO_F_RING_RESET);

    return virtio->offered & ~(legacy ? modern : BIT(VIRTIO_F_ANY_LAYOUT));
}

void virtio_write_features(VirtioDevice *virtio, uint32_t select, uint32_t value)
{
    if (select > 1) {
        return;
    }
    if (virtio->status & VIRTIO_STATUS_FEATURES_OK) {
        log_guest_error(virtio_name(virtio), "features written after FEATURES_OK");
        return;
    }
    virtio->accepted = bits_deposit(virtio->accepted, 32 * select, 32, value);
}

/* The device's own fields are what holds; `config` is made from them whenever somebody looks. */
static void refresh_config(VirtioDevice *virtio)
{
    if (virtio->type->config_read) {
        virtio->type->config_read(virtio);
    }
}

uint32_t virtio_read_config(VirtioDevice *virtio, unsigned offset, unsigned size)
{
    uint32_t value = 0;

    if (offset >= virtio->type->config_size) {
        return 0;
    }
    refresh_config(virtio);
    memcpy(&value, virtio->config + offset, MIN(size, virtio->type->config_size - offset));
    return value;
}

void virtio_write_config(VirtioDevice *virtio, unsigned offset, uint32_t value, unsigned size)
{
    uint8_t before[VIRTIO_MAX_CONFIG];

    if (offset + size > virtio->type->config_size || !virtio->type->config_written) {
        log_guest_error(virtio_name(virtio), "write to read-only configuration at %#x", offset);
        return;
    }
    /* The device takes what it wants; the rest of its configuration is not the driver's to change. */
    refresh_config(virtio);
    memcpy(before, virtio->config, sizeof before);
    memcpy(virtio->config + offset, &value, size);
    virtio->type->config_written(virtio, offset, size);
    memcpy(virtio->config, before, sizeof before);
}

static void choose_features(VirtioDevice *virtio)
{
    const VirtioOptions *options = &virtio->options;

    virtio->offered = virtio->type->features(virtio) | BIT(VIRTIO_F_VERSION_1);
    if (options->indirect_desc) {
        virtio->offered |= BIT(VIRTIO_F_INDIRECT_DESC);
    }
    if (options->event_idx) {
        virtio->offered |= BIT(VIRTIO_F_EVENT_IDX);
    }
    if (options->any_layout) {
        virtio->offered |= BIT(VIRTIO_F_ANY_LAYOUT);
    }
    if (options->iommu_platform) {
        virtio->offered |= BIT(VIRTIO_F_ACCESS_PLATFORM);
    }
    if (options->queue_reset) {
        virtio->offered |= BIT(VIRTIO_F_RING_RESET);
    }
}

bool virtio_realize(VirtioDevice *virtio, GError **error)
{
    virtio->type = virtio->pci.device.type->class_data;
    g_assert(virtio->type->config_size <= VIRTIO_MAX_CONFIG);
    if (!virtio->type->realize(virtio, error)) {
        return false;
    }
    choose_features(virtio);
    return true;
}

void virtio_unrealize(VirtioDevice *virtio)
{
    virtio_drain(virtio);
    virtio_forget_saved(virtio);
    if (virtio->type && virtio->type->unrealize) {
        virtio->type->unrealize(virtio);
    }
}

void virtio_drain(VirtioDevice *virtio)
{
    if (virtio->type && virtio->type->drain) {
        virtio->type->drain(virtio);
    }
}

void virtio_reset(VirtioDevice *virtio)
{
    virtio->status = 0;
    virtio->broken = false;
    virtio->accepted = 0;
    virtio->config_generation = 0;
    virtio->window_size = 0;
    virtio_forget_saved(virtio);
    memset(virtio->queue_states, 0, sizeof virtio->queue_states);
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        virtqueue_reset(&virtio->queues[i]);
    }
    for (unsigned i = virtio->queue_count; i < VIRTIO_MAX_QUEUES; i++) {
        virtio->queues[i].kick_deferred = false;
    }
    if (virtio->type->reset) {
        virtio->type->reset(virtio);
    }
}

bool virtio_state_check(Device *device, GError **error)
{
    VirtioDevice *virtio = virtio_device(device);

    for (unsigned i = 0; i < virtio->queue_count; i++) {
        unsigned size = virtio->queue_states[i].size;

        if (size > virtio->queues[i].maximum_size || (size && !is_power_of_two(size))) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "the saved state of %s does not fit: queue %u has %u entries",
                              virtio_name(virtio), i, size);
        }
    }
    if (virtio->accepted & ~virtio->offered) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "the saved state of %s does not fit: the driver uses features %#" PRIx64
                          " that it does not offer now",
                          virtio_name(virtio), virtio->accepted & ~virtio->offered);
    }
    return !virtio->type->state_check || virtio->type->state_check(virtio, error);
}

void virtio_state_loaded(VirtioDevice *virtio)
{
    virtio->window_size = 0;
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        VirtQueue *queue = &virtio->queues[i];
        bool kicked = queue->kick_deferred;

        /* What was in flight before belongs to another past: late completions are recognised. */
        virtqueue_orphan(queue);
        queue->mapped = queue->kick_deferred = false;
        if (kicked) {
            virtqueue_defer(queue);
        }
    }
    if (virtio->type->state_loaded) {
        virtio->type->state_loaded(virtio);
    }
}
