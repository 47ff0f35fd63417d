/* SPDX-License-Identifier: MIT */
/*
 * Virtio GPU: resources in saved states, one after the other: id, format, width, height and the number of pieces (32 bits each), the
 * pieces (address 64, length 32), the pixels. Scanouts and pointers are made again from the fields.
 */
#include <string.h>

#include "base/error.h"
#include "hw/display/virtio-gpu.h"
#include "machine/machine.h"

enum { HEAD = 20, PIECE = 12 };

static void append(GByteArray *out, const GpuResource *resource)
{
    const uint32_t head[] = { resource->id, resource->format, resource->width, resource->height,
                              resource->piece_count };

    for (size_t i = 0; i < ARRAY_SIZE(head); i++) {
        uint8_t bytes[4];

        store_le32(bytes, head[i]);
        g_byte_array_append(out, bytes, sizeof bytes);
    }
    for (uint32_t i = 0; i < resource->piece_count; i++) {
        uint8_t piece[PIECE];

        store_le64(piece, resource->pieces[i].address);
        store_le32(piece + 8, resource->pieces[i].length);
        g_byte_array_append(out, piece, sizeof piece);
    }
    g_byte_array_append(out, (const uint8_t *)pixman_image_get_data(resource->image),
                        (guint)resource->bytes);
}

static int compare_ids(gconstpointer a, gconstpointer b)
{
    uint32_t left = GPOINTER_TO_UINT(a), right = GPOINTER_TO_UINT(b);

    return left < right ? -1 : left > right;
}

void virtio_gpu_state_saving(VirtioDevice *virtio)
{
    VirtioGpu *gpu = virtio_gpu(virtio);
    GByteArray *out = g_byte_array_new();
    GList *ids = g_list_sort(g_hash_table_get_keys(gpu->resources), compare_ids);

    for (GList *id = ids; id; id = id->next) {
        append(out, virtio_gpu_find(gpu, GPOINTER_TO_UINT(id->data)));
    }
    g_list_free(ids);
    g_free(gpu->saved);
    gpu->saved_size = out->len;
    gpu->saved = g_byte_array_free(out, FALSE);
}

typedef struct {
    uint32_t id, format, width, height, pieces;
    const uint8_t *piece, *pixels;
} Saved;

/* The resource at *at, which moves on; false at the end and for what is none (bad). */
static bool next(const VirtioGpu *gpu, uint32_t *at, Saved *saved, bool *bad)
{
    const uint8_t *head;
    uint32_t left = gpu->saved_size - *at;
    uint64_t size;

    *bad = false;
    if (!left) {
        return false;
    }
    *bad = true;
    if (left < HEAD) {
        return false;
    }
    head = gpu->saved + *at;
    *saved = (Saved){ load_le32(head),
                      load_le32(head + 4),
                      load_le32(head + 8),
                      load_le32(head + 12),
                      load_le32(head + 16),
                      head + HEAD,
                      NULL };
    if (!saved->id || !virtio_gpu_format_known(saved->format) || !saved->width || !saved->height ||
        saved->width > GPU_EDGE_MAX || saved->height > GPU_EDGE_MAX ||
        saved->pieces > GPU_BACKING_MAX) {
        return false;
    }
    size = HEAD + (uint64_t)saved->pieces * PIECE + 4 * (uint64_t)saved->width * saved->height;
    if (size > left) {
        return false;
    }
    saved->pixels = saved->piece + (size_t)saved->pieces * PIECE;
    *at += (uint32_t)size;
    *bad = false;
    return true;
}

bool virtio_gpu_state_check(VirtioDevice *virtio, GError **error)
{
    VirtioGpu *gpu = virtio_gpu(virtio);
    uint32_t at = 0;
    Saved saved;
    bool bad;

    while (next(gpu, &at, &saved, &bad)) {
    }
    return !bad || error_fail(error, KASO_ERROR_INVALID,
                              "the saved state of %s does not fit: an image at %u of %u bytes",
                              virtio_name(virtio), at, gpu->saved_size);
}

/* false: there is no room for it, or its backing is no memory any more. */
static void restore(VirtioGpu *gpu, const Saved *saved)
{
    GpuResource *resource =
        virtio_gpu_find(gpu, saved->id)
            ? NULL
            : virtio_gpu_create(gpu, saved->id, saved->format, saved->width, saved->height);
    GpuPiece *pieces;

    if (!resource) {
        return;
    }
    memcpy(pixman_image_get_data(resource->image), saved->pixels, resource->bytes);
    if (!saved->pieces) {
        return;
    }
    pieces = g_new(GpuPiece, saved->pieces);
    for (uint32_t i = 0; i < saved->pieces; i++) {
        pieces[i] = (GpuPiece){ load_le64(saved->piece + (size_t)i * PIECE),
                                load_le32(saved->piece + (size_t)i * PIECE + 8) };
    }
    virtio_gpu_attach(gpu, resource, pieces, saved->pieces);
}

static void restore_scanout(GpuScanout *scanout)
{
    GpuResource *resource = virtio_gpu_find(scanout->gpu, scanout->resource);
    GpuRect rect = scanout->rect;

    if (resource && virtio_gpu_contains(resource, &rect)) {
        virtio_gpu_set_scanout(scanout, resource, &rect);
    } else if (scanout->resource || !scanout->gpu->primary) {
        scanout->resource = 0;
        virtio_gpu_set_scanout(scanout, NULL, NULL);
    }
    virtio_gpu_show_cursor(scanout);
}

void virtio_gpu_state_loaded(VirtioDevice *virtio)
{
    VirtioGpu *gpu = virtio_gpu(virtio);
    GpuScanout scanouts[GPU_SCANOUTS];
    uint32_t at = 0;
    Saved saved;
    bool bad;

    memcpy(scanouts, gpu->scanouts, sizeof scanouts);
    virtio_gpu_destroy_all(gpu); /* turns scanouts off */
    memcpy(gpu->scanouts, scanouts, sizeof scanouts);
    while (next(gpu, &at, &saved, &bad)) {
        restore(gpu, &saved);
    }
    g_clear_pointer(&gpu->saved, g_free);
    gpu->saved_size = 0;
    for (unsigned i = 0; i < gpu->max_outputs; i++) {
        restore_scanout(&gpu->scanouts[i]);
    }
}
