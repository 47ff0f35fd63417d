/* SPDX-License-Identifier: MIT */
/* Virtio GPU: images, the guest memory behind them, and which scanout shows which. */
#include <string.h>

#include "hw/display/virtio-gpu.h"
#include "machine/machine.h"

enum { PIXEL = 4 };

/* Formats are named by their bytes in memory (5.7.6.8); what scanouts show has no alpha. */
static const struct {
    uint32_t format;
    pixman_format_code_t image, screen;
} formats[] = {
    { 1, PIXMAN_a8r8g8b8, PIXMAN_x8r8g8b8 },   /* B8G8R8A8 */
    { 2, PIXMAN_x8r8g8b8, PIXMAN_x8r8g8b8 },   /* B8G8R8X8 */
    { 3, PIXMAN_b8g8r8a8, PIXMAN_b8g8r8x8 },   /* A8R8G8B8 */
    { 4, PIXMAN_b8g8r8x8, PIXMAN_b8g8r8x8 },   /* X8R8G8B8 */
    { 67, PIXMAN_a8b8g8r8, PIXMAN_x8b8g8r8 },  /* R8G8B8A8 */
    { 68, PIXMAN_r8g8b8x8, PIXMAN_r8g8b8x8 },  /* X8B8G8R8 */
    { 121, PIXMAN_r8g8b8a8, PIXMAN_r8g8b8x8 }, /* A8B8G8R8 */
    { 134, PIXMAN_x8b8g8r8, PIXMAN_x8b8g8r8 }, /* R8G8B8X8 */
};

static size_t format_index(uint32_t format)
{
    size_t i = 0;

    while (i < ARRAY_SIZE(formats) && formats[i].format != format) {
        i++;
    }
    return i;
}

bool virtio_gpu_format_known(uint32_t format)
{
    return format_index(format) < ARRAY_SIZE(formats);
}

GpuResource *virtio_gpu_find(VirtioGpu *gpu, uint32_t id)
{
    return g_hash_table_lookup(gpu->resources, GUINT_TO_POINTER(id));
}

GpuResource *virtio_gpu_create(VirtioGpu *gpu, uint32_t id, uint32_t format, uint32_t width,
                               uint32_t height)
{
    uint64_t bytes = (uint64_t)width * height * PIXEL;
    GpuResource *resource;
    pixman_image_t *image;

    if (bytes > gpu->max_hostmem - MIN(gpu->bytes, gpu->max_hostmem) ||
        g_hash_table_size(gpu->resources) >= GPU_RESOURCES_MAX) {
        return NULL;
    }
    image = pixman_image_create_bits(formats[format_index(format)].image, (int)width, (int)height,
                                     NULL, (int)(width * PIXEL));
    if (!image) {
        return NULL;
    }
    resource = g_new0(GpuResource, 1);
    *resource = (GpuResource){
        .id = id, .format = format, .width = width, .height = height, .image = image, .bytes = bytes
    };
    gpu->bytes += bytes;
    g_hash_table_insert(gpu->resources, GUINT_TO_POINTER(id), resource);
    return resource;
}

void virtio_gpu_detach(GpuResource *resource)
{
    g_clear_pointer(&resource->pieces, g_free);
    g_clear_pointer(&resource->backing, g_free);
    resource->piece_count = resource->backing_count = 0;
}

void virtio_gpu_destroy(VirtioGpu *gpu, GpuResource *resource)
{
    for (unsigned i = 0; i < gpu->max_outputs; i++) {
        if (resource->scanouts >> i & 1) {
            virtio_gpu_set_scanout(&gpu->scanouts[i], NULL, NULL);
        }
    }
    gpu->bytes -= resource->bytes;
    g_hash_table_remove(gpu->resources, GUINT_TO_POINTER(resource->id));
    virtio_gpu_detach(resource);
    pixman_image_unref(resource->image);
    g_free(resource);
}

void virtio_gpu_destroy_all(VirtioGpu *gpu)
{
    GHashTableIter iterator;
    gpointer resource;

    for (;;) {
        g_hash_table_iter_init(&iterator, gpu->resources);
        if (!g_hash_table_iter_next(&iterator, NULL, &resource)) {
            break;
        }
        virtio_gpu_destroy(gpu, resource);
    }
}

/* Host addresses are good as long as the machine: its RAM never moves. */
bool virtio_gpu_attach(VirtioGpu *gpu, GpuResource *resource, GpuPiece *pieces, uint32_t count)
{
    AddressSpace *memory = &virtio_machine(&gpu->virtio)->memory_space;
    GArray *backing = g_array_new(FALSE, FALSE, sizeof(struct iovec));
    bool whole = true;

    for (uint32_t i = 0; i < count && whole; i++) {
        uint64_t address = pieces[i].address, left = pieces[i].length;

        while (left && whole) {
            uint64_t size = left;
            struct iovec piece = { address_space_map(memory, address, &size, false), 0 };

            piece.iov_len = MIN(size, left);
            whole = piece.iov_base && piece.iov_len && backing->len < 2 * GPU_BACKING_MAX;
            if (whole) {
                g_array_append_val(backing, piece);
                address += piece.iov_len;
                left -= piece.iov_len;
            }
        }
    }
    if (!whole) {
        g_array_free(backing, TRUE);
        g_free(pieces);
        return false;
    }
    resource->pieces = pieces;
    resource->piece_count = count;
    resource->backing_count = backing->len;
    resource->backing = (struct iovec *)g_array_free(backing, FALSE);
    return true;
}

bool virtio_gpu_contains(const GpuResource *resource, const GpuRect *rect)
{
    return rect->width && rect->height && rect->x < resource->width && rect->y < resource->height &&
           rect->width <= resource->width - rect->x && rect->height <= resource->height - rect->y;
}

/* Where one reads in the backing; rows come one after the other, so it only goes on. */
typedef struct {
    const struct iovec *at;
    unsigned left;
    uint64_t start; /* of `at`, in the backing */
} Cursor;

static bool copy_row(Cursor *cursor, uint64_t offset, uint8_t *out, uint32_t bytes)
{
    while (bytes) {
        uint64_t skip;
        uint32_t part;

        while (cursor->left && offset - cursor->start >= cursor->at->iov_len) {
            cursor->start += cursor->at->iov_len;
            cursor->at++;
            cursor->left--;
        }
        if (!cursor->left) {
            return false;
        }
        skip = offset - cursor->start;
        part = (uint32_t)MIN(cursor->at->iov_len - skip, bytes);
        memcpy(out, (const uint8_t *)cursor->at->iov_base + skip, part);
        out += part;
        offset += part;
        bytes -= part;
    }
    return true;
}

bool virtio_gpu_transfer(GpuResource *resource, const GpuRect *rect, uint64_t offset)
{
    uint64_t stride = (uint64_t)resource->width * PIXEL;
    uint8_t *out = (uint8_t *)pixman_image_get_data(resource->image) + rect->y * stride +
                   (uint64_t)rect->x * PIXEL;
    Cursor cursor = { resource->backing, resource->backing_count, 0 };

    if (offset > UINT64_MAX / 2) {
        return false;
    }
    for (uint32_t row = 0; row < rect->height; row++) {
        if (!copy_row(&cursor, offset + row * stride, out + row * stride, rect->width * PIXEL)) {
            return false;
        }
    }
    return true;
}

/* Scanouts. */

static void drop_image(pixman_image_t *surface, void *image)
{
    pixman_image_unref(image);
}

/* A part of the image, which lives as long as somebody looks at the part. */
static pixman_image_t *make_surface(const GpuResource *resource, const GpuRect *rect)
{
    uint32_t stride = resource->width * PIXEL;
    uint8_t *bits = (uint8_t *)pixman_image_get_data(resource->image) + (uint64_t)rect->y * stride +
                    (uint64_t)rect->x * PIXEL;
    pixman_image_t *surface = pixman_image_create_bits_no_clear(
        formats[format_index(resource->format)].screen, (int)rect->width, (int)rect->height,
        (uint32_t *)(void *)bits, (int)stride);

    if (surface) {
        pixman_image_set_destroy_function(surface, drop_image, pixman_image_ref(resource->image));
    }
    return surface;
}

void virtio_gpu_set_scanout(GpuScanout *scanout, GpuResource *resource, const GpuRect *rect)
{
    VirtioGpu *gpu = scanout->gpu;
    uint32_t bit = 1u << (scanout - gpu->scanouts);
    GpuResource *old = scanout->resource ? virtio_gpu_find(gpu, scanout->resource) : NULL;

    if (old) {
        old->scanouts &= ~bit;
    }
    scanout->resource = resource ? resource->id : 0;
    scanout->rect = resource ? *rect : (GpuRect){ 0 };
    if (resource) {
        resource->scanouts |= bit;
    }
    display_set_surface(scanout->display, resource ? make_surface(resource, rect) : NULL);
}
