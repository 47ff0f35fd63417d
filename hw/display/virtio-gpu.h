/* SPDX-License-Identifier: MIT */
/*
 * Virtio GPU (Virtio 1.2, 5.7), two-dimensional: what its files share. Commands are in virtio-gpu-commands.c, images and their
 * backing in virtio-gpu-resources.c, saved resources in virtio-gpu-saved.c. Under the machine lock.
 */
#ifndef HW_DISPLAY_VIRTIO_GPU_H
#define HW_DISPLAY_VIRTIO_GPU_H

#include "hw/virtio/virtio.h"
#include "machine/display.h"

enum {
    GPU_SCANOUTS = 16,
    GPU_RESOURCES_MAX = 16384,
    GPU_BACKING_MAX = 16384, /* pieces of guest memory behind one resource */
    GPU_EDGE_MAX = 16384,
    GPU_CONFIG_SIZE = 16,
    GPU_SAVED_MAX = 1 << 30,
};

typedef struct {
    uint32_t x, y, width, height;
} GpuRect;

typedef struct {
    uint64_t address;
    uint32_t length;
} GpuPiece;

/* An image in host memory, and the guest memory that its contents come from. */
typedef struct {
    uint32_t id, format, width, height;
    pixman_image_t *image;
    uint64_t bytes;
    GpuPiece *pieces; /* as the driver gave them */
    struct iovec *backing;
    uint32_t piece_count, backing_count;
    uint32_t scanouts; /* that show it, as bits */
} GpuResource;

typedef struct VirtioGpu VirtioGpu;

typedef struct {
    VirtioGpu *gpu;
    Display *display;
    uint32_t resource; /* 0: off */
    GpuRect rect;
    /* The pointer. */
    uint32_t cursor_resource, cursor_x, cursor_y, cursor_hot_x, cursor_hot_y;
    /* What the viewer would like. */
    uint32_t width, height, x, y;
    uint8_t enabled;
} GpuScanout;

struct VirtioGpu {
    VirtioDevice virtio; /* first */
    Display *
        primary; /* of the device that this one is a part of, for scanout 0; NULL: it has its own */
    GHashTable *resources; /* by id: GpuResource * */
    uint64_t bytes;        /* of all resources */
    GpuScanout scanouts[GPU_SCANOUTS];
    uint32_t events;
    uint8_t *saved; /* while a state is saved and loaded */
    uint32_t saved_size;
    /* Properties. */
    uint32_t max_outputs, xres, yres, refresh_rate;
    uint64_t max_hostmem;
    bool edid;
};

static inline VirtioGpu *virtio_gpu(VirtioDevice *virtio)
{
    return container_of(virtio, VirtioGpu, virtio);
}

/* virtio-gpu.c */
bool virtio_gpu_realize(VirtioDevice *virtio, GError **error);
void virtio_gpu_unrealize(VirtioDevice *virtio);
extern const VirtioBitName virtio_gpu_names[];
uint64_t virtio_gpu_features(VirtioDevice *virtio);
void virtio_gpu_reset(VirtioDevice *virtio);
void virtio_gpu_config_read(VirtioDevice *virtio);
void virtio_gpu_config_written(VirtioDevice *virtio, unsigned offset, unsigned size);
/* For the display of a scanout: DisplayOps. */
void virtio_gpu_update(GpuScanout *scanout, bool whole);
void virtio_gpu_wish(GpuScanout *scanout, const DisplayInfo *info);
extern const StateField virtio_gpu_scanout_state[];

/* virtio-gpu-commands.c */
void virtio_gpu_kick_control(VirtQueue *queue);
void virtio_gpu_kick_cursor(VirtQueue *queue);
/* The pointer as the scanout's fields say. */
void virtio_gpu_show_cursor(GpuScanout *scanout);

/* virtio-gpu-resources.c */
GpuResource *virtio_gpu_find(VirtioGpu *gpu, uint32_t id);
bool virtio_gpu_format_known(uint32_t format);
/* NULL: there is no memory for it, or too many are there. */
GpuResource *virtio_gpu_create(VirtioGpu *gpu, uint32_t id, uint32_t format, uint32_t width,
                               uint32_t height);
/* Scanouts that show it go off. */
void virtio_gpu_destroy(VirtioGpu *gpu, GpuResource *resource);
void virtio_gpu_destroy_all(VirtioGpu *gpu);
/* Takes pieces (from g_new). false: some of it is no memory. */
bool virtio_gpu_attach(VirtioGpu *gpu, GpuResource *resource, GpuPiece *pieces, uint32_t count);
void virtio_gpu_detach(GpuResource *resource);
/* Copies a rectangle, which is within the resource, from the backing at `offset` on. false: the backing is too short. */
bool virtio_gpu_transfer(GpuResource *resource, const GpuRect *rect, uint64_t offset);
bool virtio_gpu_contains(const GpuResource *resource, const GpuRect *rect);
/* resource NULL: off. The rectangle is within it. */
void virtio_gpu_set_scanout(GpuScanout *scanout, GpuResource *resource, const GpuRect *rect);

/* virtio-gpu-saved.c */
void virtio_gpu_state_saving(VirtioDevice *virtio);
bool virtio_gpu_state_check(VirtioDevice *virtio, GError **error);
void virtio_gpu_state_loaded(VirtioDevice *virtio);

#define VIRTIO_GPU_TYPE(name_, class_, rom_)                                                       \
    {                                                                                              \
        .name = name_, .virtio_id = 16, .pci_class = class_, .rom = rom_,                          \
        .feature_names = virtio_gpu_names, .config_size = GPU_CONFIG_SIZE, .realize = virtio_gpu_realize,                             \
        .unrealize = virtio_gpu_unrealize, .features = virtio_gpu_features,                        \
        .reset = virtio_gpu_reset, .config_read = virtio_gpu_config_read,                          \
        .config_written = virtio_gpu_config_written, .state_saving = virtio_gpu_state_saving,      \
        .state_check = virtio_gpu_state_check, .state_loaded = virtio_gpu_state_loaded             \
    }

#define VIRTIO_GPU_PROPERTIES                                                                      \
    { "max_outputs", PROPERTY_U32, offsetof(VirtioGpu, max_outputs), "heads, 1 to 16", "1" },      \
        { "xres", PROPERTY_U32, offsetof(VirtioGpu, xres), "preferred width of the first head",    \
          "1280" },                                                                                \
        { "yres", PROPERTY_U32, offsetof(VirtioGpu, yres), "preferred height of the first head",   \
          "800" },                                                                                 \
        { "refresh_rate", PROPERTY_U32, offsetof(VirtioGpu, refresh_rate),                         \
          "frames in 1000 seconds, 0: 60000", "0" },                                               \
        { "edid", PROPERTY_BOOL, offsetof(VirtioGpu, edid), "the monitors say what they can",      \
          "on" },                                                                                  \
        { "max_hostmem", PROPERTY_SIZE, offsetof(VirtioGpu, max_hostmem), "memory for images",     \
          "256M" },                                                                                \
    {                                                                                              \
        "blob", PROPERTY_NOT_YET, 0, "images in guest memory"                                      \
    }

#define VIRTIO_GPU_STATE                                                                           \
    VIRTIO_STATE, STATE_STRUCTS(VirtioGpu, scanouts, virtio_gpu_scanout_state),                    \
        STATE(VirtioGpu, events), STATE_BUFFER(VirtioGpu, saved, saved_size, GPU_SAVED_MAX),       \
        STATE_DERIVED(VirtioGpu, saved_size), STATE_DERIVED(VirtioGpu, bytes)

#endif
