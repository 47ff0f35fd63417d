/* SPDX-License-Identifier: MIT */
/* Virtio GPU: what the driver asks for (5.7.6). Each command is read once into a buffer of our own and checked there. */
#include <string.h>

#include "hw/display/vga.h"
#include "hw/display/virtio-gpu.h"
#include "machine/machine.h"

enum {
    GET_DISPLAY_INFO = 0x0100,
    RESOURCE_CREATE_2D,
    RESOURCE_UNREF,
    SET_SCANOUT,
    RESOURCE_FLUSH,
    TRANSFER_TO_HOST_2D,
    RESOURCE_ATTACH_BACKING,
    RESOURCE_DETACH_BACKING,
    GET_CAPSET_INFO,
    GET_CAPSET,
    GET_EDID,
    UPDATE_CURSOR = 0x0300,
    MOVE_CURSOR,

    OK_NODATA = 0x1100,
    OK_DISPLAY_INFO,
    OK_EDID = 0x1104,
    ERROR_UNSPEC = 0x1200,
    ERROR_OUT_OF_MEMORY,
    ERROR_SCANOUT,
    ERROR_RESOURCE,
    ERROR_CONTEXT,
    ERROR_PARAMETER,

    HEADER = 24,
    HEADER_FLAGS = 4,
    HEADER_FENCE_ID = 8,
    HEADER_CONTEXT = 16,
    FLAG_FENCE = 1,
    COMMAND_MAX = 64,   /* bytes of a command, before what follows it */
    DISPLAY_BYTES = 24, /* of each head in the display information */
    EDID_ROOM = 1024,
    EDID_SIZE = 128,
    ANSWER_MAX = HEADER + 8 + EDID_ROOM,
    PIECE = 16,
    CURSOR_EDGE = DISPLAY_CURSOR_MAX,
};

typedef struct {
    VirtioGpu *gpu;
    VirtioElement *element;
    uint8_t in[COMMAND_MAX];
    uint8_t out[ANSWER_MAX];
    uint32_t out_size;
} Command;

static uint32_t word(const Command *c, unsigned offset)
{
    return load_le32(c->in + offset);
}

static GpuRect read_rect(const Command *c)
{
    return (GpuRect){ word(c, HEADER), word(c, HEADER + 4), word(c, HEADER + 8),
                      word(c, HEADER + 12) };
}

static GpuScanout *scanout_of(VirtioGpu *gpu, uint32_t number)
{
    return number < gpu->max_outputs ? &gpu->scanouts[number] : NULL;
}

/* Commands: each returns the type of the answer. */

static uint32_t get_display_info(Command *c)
{
    for (unsigned i = 0; i < c->gpu->max_outputs; i++) {
        const GpuScanout *s = &c->gpu->scanouts[i];
        uint8_t *out = c->out + HEADER + i * DISPLAY_BYTES;

        store_le32(out, s->x);
        store_le32(out + 4, s->y);
        store_le32(out + 8, s->width);
        store_le32(out + 12, s->height);
        store_le32(out + 16, s->enabled);
    }
    c->out_size = HEADER + GPU_SCANOUTS * DISPLAY_BYTES;
    return OK_DISPLAY_INFO;
}

static uint32_t get_edid(Command *c)
{
    const GpuScanout *s = scanout_of(c->gpu, word(c, HEADER));
    uint32_t width, height;

    if (!s) {
        return ERROR_PARAMETER;
    }
    width = CLAMP(s->width, 64, 4095);
    height = CLAMP(s->height, 64, 4095);
    store_le32(c->out + HEADER, EDID_SIZE);
    edid_make(c->out + HEADER + 8, width, height, MAX(width, 1920), MAX(height, 1200),
              c->gpu->refresh_rate ? c->gpu->refresh_rate : 60000);
    c->out_size = HEADER + 8 + EDID_ROOM;
    return OK_EDID;
}

static uint32_t resource_create(Command *c)
{
    uint32_t id = word(c, HEADER), format = word(c, HEADER + 4), width = word(c, HEADER + 8),
             height = word(c, HEADER + 12);

    if (!id || virtio_gpu_find(c->gpu, id)) {
        return ERROR_RESOURCE;
    }
    if (!virtio_gpu_format_known(format) || !width || !height || width > GPU_EDGE_MAX ||
        height > GPU_EDGE_MAX) {
        return ERROR_PARAMETER;
    }
    return virtio_gpu_create(c->gpu, id, format, width, height) ? OK_NODATA : ERROR_OUT_OF_MEMORY;
}

static uint32_t resource_unref(Command *c)
{
    GpuResource *resource = virtio_gpu_find(c->gpu, word(c, HEADER));

    if (!resource) {
        return ERROR_RESOURCE;
    }
    virtio_gpu_destroy(c->gpu, resource);
    return OK_NODATA;
}

static uint32_t set_scanout(Command *c)
{
    GpuScanout *scanout = scanout_of(c->gpu, word(c, HEADER + 16));
    uint32_t id = word(c, HEADER + 20);
    GpuRect rect = read_rect(c);
    GpuResource *resource = virtio_gpu_find(c->gpu, id);

    if (!scanout) {
        return ERROR_SCANOUT;
    }
    if (!id) {
        virtio_gpu_set_scanout(scanout, NULL, NULL);
        return OK_NODATA;
    }
    if (!resource) {
        return ERROR_RESOURCE;
    }
    if (!virtio_gpu_contains(resource, &rect)) {
        return ERROR_PARAMETER;
    }
    virtio_gpu_set_scanout(scanout, resource, &rect);
    return OK_NODATA;
}

/* What of the rectangle a scanout shows, in its own coordinates. */
static void damage(GpuScanout *scanout, const GpuRect *rect)
{
    const GpuRect *shown = &scanout->rect;
    uint32_t left = MAX(rect->x, shown->x), top = MAX(rect->y, shown->y);
    uint32_t right = MIN(rect->x + rect->width, shown->x + shown->width);
    uint32_t bottom = MIN(rect->y + rect->height, shown->y + shown->height);

    if (left < right && top < bottom) {
        display_damage(scanout->display, (int)(left - shown->x), (int)(top - shown->y),
                       (int)(right - left), (int)(bottom - top));
    }
}

static uint32_t resource_flush(Command *c)
{
    GpuResource *resource = virtio_gpu_find(c->gpu, word(c, HEADER + 16));
    GpuRect rect = read_rect(c);

    if (!resource) {
        return ERROR_RESOURCE;
    }
    if (!virtio_gpu_contains(resource, &rect)) {
        return ERROR_PARAMETER;
    }
    for (unsigned i = 0; i < c->gpu->max_outputs; i++) {
        if (resource->scanouts >> i & 1) {
            damage(&c->gpu->scanouts[i], &rect);
        }
    }
    return OK_NODATA;
}

static uint32_t transfer(Command *c)
{
    GpuResource *resource = virtio_gpu_find(c->gpu, word(c, HEADER + 24));
    GpuRect rect = read_rect(c);
    uint64_t offset = load_le64(c->in + HEADER + 16);

    if (!resource || !resource->backing) {
        return ERROR_RESOURCE;
    }
    if (!virtio_gpu_contains(resource, &rect) || !virtio_gpu_transfer(resource, &rect, offset)) {
        return ERROR_PARAMETER;
    }
    return OK_NODATA;
}

static uint32_t attach_backing(Command *c)
{
    GpuResource *resource = virtio_gpu_find(c->gpu, word(c, HEADER));
    uint32_t count = word(c, HEADER + 4);
    GpuPiece *pieces;

    if (!resource) {
        return ERROR_RESOURCE;
    }
    if (resource->pieces || !count || count > GPU_BACKING_MAX ||
        c->element->out_bytes < HEADER + 8 + (uint64_t)count * PIECE) {
        return ERROR_UNSPEC;
    }
    pieces = g_new(GpuPiece, count);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t piece[PIECE];

        iovec_to_buffer(c->element->out, c->element->out_count, HEADER + 8 + (size_t)i * PIECE,
                        piece, sizeof piece);
        pieces[i] = (GpuPiece){ load_le64(piece), load_le32(piece + 8) };
    }
    return virtio_gpu_attach(c->gpu, resource, pieces, count) ? OK_NODATA : ERROR_UNSPEC;
}

static uint32_t detach_backing(Command *c)
{
    GpuResource *resource = virtio_gpu_find(c->gpu, word(c, HEADER));

    if (!resource || !resource->pieces) {
        return ERROR_RESOURCE;
    }
    virtio_gpu_detach(resource);
    return OK_NODATA;
}

/* The pointer. */

static pixman_image_t *cursor_image(const GpuResource *resource)
{
    int width = (int)MIN(resource->width, CURSOR_EDGE),
        height = (int)MIN(resource->height, CURSOR_EDGE);
    pixman_image_t *image = pixman_image_create_bits(PIXMAN_a8r8g8b8, width, height, NULL, 0);

    if (image) {
        pixman_image_composite32(PIXMAN_OP_SRC, resource->image, NULL, image, 0, 0, 0, 0, 0, 0,
                                 width, height);
    }
    return image;
}

static void move_cursor(GpuScanout *s)
{
    display_move_cursor(s->display, (int)(s->cursor_x + s->cursor_hot_x),
                        (int)(s->cursor_y + s->cursor_hot_y), s->cursor_resource != 0);
}

void virtio_gpu_show_cursor(GpuScanout *s)
{
    const GpuResource *resource =
        s->cursor_resource ? virtio_gpu_find(s->gpu, s->cursor_resource) : NULL;

    display_set_cursor(s->display, resource ? cursor_image(resource) : NULL, (int)s->cursor_hot_x,
                       (int)s->cursor_hot_y);
    move_cursor(s);
}

/* Both commands have the place; the first one also image and hot spot. */
static uint32_t change_cursor(Command *c)
{
    enum { FARTHEST = 1 << 20 };
    GpuScanout *s = scanout_of(c->gpu, word(c, HEADER));
    uint32_t id = word(c, HEADER + 16);

    if (!s) {
        return ERROR_SCANOUT;
    }
    s->cursor_x = (uint32_t)CLAMP((int32_t)word(c, HEADER + 4), -FARTHEST, FARTHEST);
    s->cursor_y = (uint32_t)CLAMP((int32_t)word(c, HEADER + 8), -FARTHEST, FARTHEST);
    if (word(c, 0) == MOVE_CURSOR) {
        move_cursor(s);
        return OK_NODATA;
    }
    if (id && !virtio_gpu_find(c->gpu, id)) {
        return ERROR_RESOURCE;
    }
    s->cursor_resource = id;
    s->cursor_hot_x = MIN(word(c, HEADER + 20), CURSOR_EDGE);
    s->cursor_hot_y = MIN(word(c, HEADER + 24), CURSOR_EDGE);
    virtio_gpu_show_cursor(s);
    return OK_NODATA;
}

/* Queues. */

static const struct {
    uint16_t type;
    uint8_t size; /* of the command */
    bool of_cursor;
    uint32_t (*run)(Command *command);
} commands[] = {
    { GET_DISPLAY_INFO, HEADER, false, get_display_info },
    { RESOURCE_CREATE_2D, HEADER + 16, false, resource_create },
    { RESOURCE_UNREF, HEADER + 8, false, resource_unref },
    { SET_SCANOUT, HEADER + 24, false, set_scanout },
    { RESOURCE_FLUSH, HEADER + 24, false, resource_flush },
    { TRANSFER_TO_HOST_2D, HEADER + 32, false, transfer },
    { RESOURCE_ATTACH_BACKING, HEADER + 8, false, attach_backing },
    { RESOURCE_DETACH_BACKING, HEADER + 8, false, detach_backing },
    { GET_EDID, HEADER + 8, false, get_edid },
    { UPDATE_CURSOR, HEADER + 32, true, change_cursor },
    { MOVE_CURSOR, HEADER + 32, true, change_cursor },
};

static uint32_t run(Command *c, bool of_cursor)
{
    size_t size = MIN(c->element->out_bytes, sizeof c->in);

    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (commands[i].type == word(c, 0) && commands[i].of_cursor == of_cursor) {
            return size < commands[i].size ? (uint32_t)ERROR_PARAMETER : commands[i].run(c);
        }
    }
    return ERROR_UNSPEC;
}

static bool take(VirtQueue *queue, VirtioElement *element, bool of_cursor)
{
    Command c = { .gpu = virtio_gpu(queue->virtio), .element = element, .out_size = HEADER };
    uint32_t answer;

    iovec_to_buffer(element->out, element->out_count, 0, c.in, sizeof c.in);
    answer = run(&c, of_cursor);
    if (answer >= ERROR_UNSPEC) {
        log_guest_error(virtio_name(queue->virtio), "command %#x fails with %#x", word(&c, 0),
                        answer);
        c.out_size = HEADER;
    }
    store_le32(c.out, answer);
    if (word(&c, HEADER_FLAGS) & FLAG_FENCE) {
        store_le32(c.out + HEADER_FLAGS, FLAG_FENCE);
        memcpy(c.out + HEADER_FENCE_ID, c.in + HEADER_FENCE_ID, 8);
        memcpy(c.out + HEADER_CONTEXT, c.in + HEADER_CONTEXT, 4);
    }
    virtqueue_push(
        element, (uint32_t)iovec_from_buffer(element->in, element->in_count, 0, c.out, c.out_size));
    return true;
}

static bool take_control(VirtQueue *queue, VirtioElement *element)
{
    return take(queue, element, false);
}

static bool take_cursor(VirtQueue *queue, VirtioElement *element)
{
    return take(queue, element, true);
}

void virtio_gpu_kick_control(VirtQueue *queue)
{
    virtqueue_process(queue, take_control);
}

void virtio_gpu_kick_cursor(VirtQueue *queue)
{
    virtqueue_process(queue, take_cursor);
}
