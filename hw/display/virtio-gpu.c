/* SPDX-License-Identifier: MIT */
/*
 * Virtio GPU (Virtio 1.2, 5.7): images that the driver fills and shows on up to 16 heads, with a pointer on each. Viewers that would like
 * another size have the driver told (events, EDID).
 *
 * Not offered: three dimensions, blobs, contexts.
 */
#include "hw/display/virtio-gpu.h"

#include "base/error.h"
#include "machine/machine.h"

enum {
    F_EDID = 1,
    CONTROL_QUEUE_SIZE = 256,
    CURSOR_QUEUE_SIZE = 16,
    CONFIG_EVENTS_READ = 0,
    CONFIG_EVENTS_CLEAR = 4,
    CONFIG_SCANOUTS = 8,
    EVENT_DISPLAY = 1,
    EDGE_MIN = 16,
};

/* Displays. */

void virtio_gpu_update(GpuScanout *scanout, bool whole)
{
    if (whole && scanout->resource) {
        display_damage(scanout->display, 0, 0, (int)scanout->rect.width, (int)scanout->rect.height);
    }
}

/* The first head is on always; others are when somebody looks at them. */
void virtio_gpu_wish(GpuScanout *scanout, const DisplayInfo *info)
{
    VirtioGpu *gpu = scanout->gpu;
    bool looks = info->width > 0 && info->height > 0;
    uint32_t width = looks ? (uint32_t)CLAMP(info->width, EDGE_MIN, GPU_EDGE_MAX) : scanout->width;
    uint32_t height =
        looks ? (uint32_t)CLAMP(info->height, EDGE_MIN, GPU_EDGE_MAX) : scanout->height;
    uint32_t x = (uint32_t)CLAMP(info->x, 0, GPU_EDGE_MAX),
             y = (uint32_t)CLAMP(info->y, 0, GPU_EDGE_MAX);
    bool enabled = looks || scanout == gpu->scanouts;

    if (scanout->width == width && scanout->height == height && scanout->enabled == enabled &&
        scanout->x == x && scanout->y == y) {
        return;
    }
    scanout->width = width;
    scanout->height = height;
    scanout->x = x;
    scanout->y = y;
    scanout->enabled = enabled;
    gpu->events |= EVENT_DISPLAY;
    virtio_config_changed(&gpu->virtio);
}

static void update(void *opaque, bool whole)
{
    virtio_gpu_update(opaque, whole);
}

static void wish(void *opaque, const DisplayInfo *info)
{
    virtio_gpu_wish(opaque, info);
}

static const DisplayOps display_ops = { .update = update, .wish = wish };

/* Configuration. */

void virtio_gpu_config_read(VirtioDevice *virtio)
{
    store_le32(virtio->config + CONFIG_EVENTS_READ, virtio_gpu(virtio)->events);
    store_le32(virtio->config + CONFIG_EVENTS_CLEAR, 0);
    store_le32(virtio->config + CONFIG_SCANOUTS, virtio_gpu(virtio)->max_outputs);
    store_le32(virtio->config + CONFIG_SCANOUTS + 4, 0);
}

void virtio_gpu_config_written(VirtioDevice *virtio, unsigned offset, unsigned size)
{
    if (offset == CONFIG_EVENTS_CLEAR && size == 4) {
        virtio_gpu(virtio)->events &= ~load_le32(virtio->config + CONFIG_EVENTS_CLEAR);
    }
}

uint64_t virtio_gpu_features(VirtioDevice *virtio)
{
    return virtio_gpu(virtio)->edid ? BIT(F_EDID) : 0;
}

/* Life. */

void virtio_gpu_reset(VirtioDevice *virtio)
{
    VirtioGpu *gpu = virtio_gpu(virtio);

    virtio_gpu_destroy_all(gpu);
    g_clear_pointer(&gpu->saved, g_free);
    gpu->saved_size = 0;
    gpu->events = 0;
    for (unsigned i = 0; i < GPU_SCANOUTS; i++) {
        GpuScanout *s = &gpu->scanouts[i];

        *s = (GpuScanout){ .gpu = gpu,
                           .display = s->display,
                           .width = s->width ? s->width : gpu->xres,
                           .height = s->height ? s->height : gpu->yres,
                           .x = s->x,
                           .y = s->y,
                           .enabled = i == 0 || s->enabled };
        if (s->display) {
            virtio_gpu_show_cursor(s);
        }
    }
}

bool virtio_gpu_realize(VirtioDevice *virtio, GError **error)
{
    VirtioGpu *gpu = virtio_gpu(virtio);

    if (gpu->max_outputs < 1 || gpu->max_outputs > GPU_SCANOUTS) {
        return error_fail(error, KASO_ERROR_INVALID, "%s: max_outputs=%u: a GPU has 1 to %d",
                          virtio_name(virtio), gpu->max_outputs, GPU_SCANOUTS);
    }
    if (gpu->xres < EDGE_MIN || gpu->xres > GPU_EDGE_MAX || gpu->yres < EDGE_MIN ||
        gpu->yres > GPU_EDGE_MAX || (gpu->refresh_rate && gpu->refresh_rate < 10000) ||
        gpu->refresh_rate > 250000) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "%s: xres=%u,yres=%u,refresh_rate=%u: %d to %d pixels, 10000 to 250000 mHz",
            virtio_name(virtio), gpu->xres, gpu->yres, gpu->refresh_rate, EDGE_MIN, GPU_EDGE_MAX);
    }
    if (gpu->max_hostmem > GPU_SAVED_MAX / 2) {
        return error_fail(error, KASO_ERROR_INVALID, "%s: max_hostmem: up to 512M are possible",
                          virtio_name(virtio));
    }
    gpu->resources = g_hash_table_new(NULL, NULL);
    virtio_add_queue(virtio, CONTROL_QUEUE_SIZE, virtio_gpu_kick_control);
    virtio_add_queue(virtio, CURSOR_QUEUE_SIZE, virtio_gpu_kick_cursor);
    for (unsigned i = 0; i < gpu->max_outputs; i++) {
        GpuScanout *s = &gpu->scanouts[i];

        s->gpu = gpu;
        s->display = i == 0 && gpu->primary ? gpu->primary
                                            : display_new(&virtio->pci.device, i, &display_ops, s);
        if (i) {
            display_set_surface(s->display, NULL); /* off until the guest uses it */
        }
    }
    return true;
}

void virtio_gpu_unrealize(VirtioDevice *virtio)
{
    VirtioGpu *gpu = virtio_gpu(virtio);

    virtio_gpu_destroy_all(gpu);
    g_hash_table_destroy(gpu->resources);
    g_clear_pointer(&gpu->saved, g_free);
    for (unsigned i = 0; i < gpu->max_outputs; i++) {
        if (gpu->scanouts[i].display != gpu->primary) {
            display_free(gpu->scanouts[i].display);
        }
    }
}

static const StateField rect_state[] = {
    STATE_MOST(GpuRect, x, GPU_EDGE_MAX),
    STATE_MOST(GpuRect, y, GPU_EDGE_MAX),
    STATE_MOST(GpuRect, width, GPU_EDGE_MAX),
    STATE_MOST(GpuRect, height, GPU_EDGE_MAX),
    { 0 },
};

/* What viewers would like is theirs: it is kept over a reset, and a loaded state has it from the viewers of before. */
const StateField virtio_gpu_scanout_state[] = {
    STATE_DERIVED(GpuScanout, gpu),
    STATE_DERIVED(GpuScanout, display),
    STATE(GpuScanout, resource),
    STATE_STRUCT(GpuScanout, rect, rect_state),
    STATE(GpuScanout, cursor_resource),
    STATE(GpuScanout, cursor_x),
    STATE(GpuScanout, cursor_y),
    STATE(GpuScanout, cursor_hot_x),
    STATE(GpuScanout, cursor_hot_y),
    STATE_KEPT(GpuScanout, width),
    STATE_KEPT(GpuScanout, height),
    STATE_KEPT(GpuScanout, x),
    STATE_KEPT(GpuScanout, y),
    STATE_KEPT(GpuScanout, enabled),
    { 0 },
};

const VirtioBitName virtio_gpu_names[] = {
    { F_EDID, "VIRTIO_GPU_F_EDID", "tells what its screens can show" },
    { 0 },
};

static const VirtioType virtio_gpu_type = VIRTIO_GPU_TYPE("virtio-gpu", 0x038000, NULL);
static const Property virtio_gpu_properties[] = { VIRTIO_GPU_PROPERTIES, { 0 } };
static const StateField virtio_gpu_state[] = { VIRTIO_GPU_STATE, { 0 } };

VIRTIO_MODERN_DEVICE_TYPES(virtio_gpu, "virtio-gpu", VirtioGpu, "Virtio graphics", "display");
