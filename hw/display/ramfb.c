/* SPDX-License-Identifier: MIT */
/*
 * ramfb: a screen in the guest's RAM. Firmware writes to the file etc/ramfb where it is and what it looks like: address (64 bits), format as
 * DRM's four characters, flags, width, height and bytes of a line (32 bits each), all big-endian.
 */
#include "hw/display/ramfb.h"

#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/file.h"
#include "hw/nvram/fw_cfg.h"
#include "machine/display.h"
#include "machine/machine.h"

enum {
    CONFIG_BYTES = 28,
    CONFIG_FORMAT = 8,
    CONFIG_WIDTH = 16,
    CONFIG_HEIGHT = 20,
    CONFIG_STRIDE = 24,
    EDGE_MIN = 16,
    EDGE_MAX = 16000,
    PAGE_SHIFT = 12,
    VGA_BIOS_MOST = 16 << 20,
};

typedef struct {
    Device device;
    Display *display;
    uint8_t config[CONFIG_BYTES];
    /* What it says, as far as it can be shown. */
    uint64_t ram_offset;
    uint32_t bytes, width, height, stride; /* bytes 0: nothing is shown */
    bool watched;
    bool x_migrate, use_legacy_x86_rom;
} Ramfb;

static Ramfb *ramfb(Device *device)
{
    return container_of(device, Ramfb, device);
}

static const struct {
    const char name[5];
    pixman_format_code_t format;
    uint8_t bytes;
} formats[] = {
    { "XR24", PIXMAN_x8r8g8b8, 4 },
    { "AR24", PIXMAN_x8r8g8b8, 4 },
    { "RG24", PIXMAN_r8g8b8, 3 },
    { "RG16", PIXMAN_r5g6b5, 2 },
};

static void watch(Ramfb *r, bool on)
{
    if (!r->bytes || on == r->watched) {
        return;
    }
    r->watched = on;
    if (on) {
        memory_dirty_start(r->device.machine, DIRTY_DISPLAY, r->ram_offset, r->bytes);
    } else {
        memory_dirty_stop(r->device.machine, DIRTY_DISPLAY, r->ram_offset, r->bytes);
    }
}

static void turn_off(Ramfb *r)
{
    watch(r, false);
    r->bytes = 0;
    display_set_surface(r->display, NULL);
}

/* The RAM that the configuration names, when it is that from end to end. */
static uint8_t *find_ram(Ramfb *r, uint64_t address, uint64_t bytes)
{
    AddressSpace *memory = &r->device.machine->memory_space;
    uint64_t size = bytes;
    const MemoryRange *range;
    uint8_t *host = address_space_map(memory, address, &size, false);

    range = host && size >= bytes ? address_space_find(memory, address) : NULL;
    if (!range || range->region->kind != MEMORY_RAM) {
        return NULL;
    }
    r->ram_offset = range->region->ram_offset + range->offset + (address - range->start);
    return host;
}

static void show(Ramfb *r)
{
    const uint8_t *c = r->config;
    uint32_t width = load_be32(c + CONFIG_WIDTH), height = load_be32(c + CONFIG_HEIGHT);
    uint32_t stride = load_be32(c + CONFIG_STRIDE), format = load_be32(c + CONFIG_FORMAT);
    pixman_image_t *surface = NULL;
    uint8_t *host;
    size_t f = 0;

    turn_off(r);
    while (f < ARRAY_SIZE(formats) && load_le32((const uint8_t *)formats[f].name) != format) {
        f++;
    }
    if (f == ARRAY_SIZE(formats) || width < EDGE_MIN || width > EDGE_MAX || height < EDGE_MIN ||
        height > EDGE_MAX || stride > EDGE_MAX * 4u) {
        return;
    }
    stride = stride ? stride : width * formats[f].bytes;
    if (stride < width * formats[f].bytes || stride % 4 || load_be64(c) % 4) {
        return;
    }
    host = find_ram(r, load_be64(c), (uint64_t)stride * height);
    surface = host ? pixman_image_create_bits_no_clear(formats[f].format, (int)width, (int)height,
                                                       (uint32_t *)(void *)host, (int)stride)
                   : NULL;
    if (surface) {
        r->width = width;
        r->height = height;
        r->stride = stride;
        r->bytes = stride * height;
        display_set_surface(r->display, surface);
        watch(r, display_is_watched(r->display));
    }
}

static void written(void *opaque)
{
    show(opaque);
}

/* Lines on pages that were written to. */
static void update(void *opaque, bool whole)
{
    Ramfb *r = opaque;
    uint32_t into = (uint32_t)(r->ram_offset & ((1u << PAGE_SHIFT) - 1));
    unsigned pages = (into + r->bytes + (1u << PAGE_SHIFT) - 1) >> PAGE_SHIFT;
    g_autofree bool *dirty = NULL;

    if (!r->bytes) {
        return;
    }
    dirty = g_new0(bool, pages);
    if (r->watched) {
        memory_dirty_collect(r->device.machine, DIRTY_DISPLAY, r->ram_offset, r->bytes, dirty);
    }
    if (whole || !r->watched) {
        display_damage(r->display, 0, 0, (int)r->width, (int)r->height);
        return;
    }
    for (unsigned first = 0; first < pages; first++) {
        unsigned last = first;
        uint32_t top, bottom;

        if (!dirty[first]) {
            continue;
        }
        while (last + 1 < pages && dirty[last + 1]) {
            last++;
        }
        top = (uint32_t)MAX((int64_t)first << PAGE_SHIFT, into) - into;
        bottom = MIN(((last + 1) << PAGE_SHIFT) - into, r->bytes);
        top /= r->stride;
        bottom = (bottom + r->stride - 1) / r->stride;
        display_damage(r->display, 0, (int)top, (int)r->width, (int)(bottom - top));
        first = last;
    }
}

static void watched(void *opaque, bool begins)
{
    watch(opaque, begins);
}

static const DisplayOps display_ops = { .update = update, .watched = watched };

bool ramfb_offer(Device *device, Device *fw_cfg, GError **error)
{
    Ramfb *r = ramfb(device);

    return fw_cfg_add_writable_file(fw_cfg, "etc/ramfb", r->config, sizeof r->config, written, r,
                                    error);
}

/* SeaBIOS has no driver: it takes a VGA BIOS that knows the file. */
static void add_bios(Machine *machine)
{
    static const char *const name = "vgabios-ramfb.bin";
    g_autofree char *path = machine_find_firmware(machine, name, NULL), *bytes = NULL;
    gsize length;

    if (path && file_read(path, VGA_BIOS_MOST, &bytes, &length, NULL)) {
        machine_add_firmware_file(machine, "vgaroms/vgabios-ramfb.bin",
                                  g_bytes_new_take(g_steal_pointer(&bytes), length));
    }
}

static bool realize(Device *device, GError **error)
{
    Ramfb *r = ramfb(device);

    if (device_find_by_type(device->machine, device->type->name)) {
        return error_fail(error, KASO_ERROR_INVALID, "a machine has one ramfb at most");
    }
    r->display = display_new(device, 0, &display_ops, r);
    add_bios(device->machine);
    return true;
}

static void unrealize(Device *device)
{
    watch(ramfb(device), false);
    display_free(ramfb(device)->display);
}

static void reset(Device *device)
{
    memset(ramfb(device)->config, 0, CONFIG_BYTES);
    turn_off(ramfb(device));
}

static void state_loaded(Device *device)
{
    show(ramfb(device));
}

static const DeviceType ramfb_type = {
    .name = "ramfb",
    .summary = "A screen in RAM, for firmware",
    .category = "display",
    .fixed = true,
    .instance_size = sizeof(Ramfb),
    .properties = (const Property[]){ { "x-migrate", PROPERTY_BOOL, offsetof(Ramfb, x_migrate),
                                        "accepted; has no effect", "on" },
                                      { "use-legacy-x86-rom", PROPERTY_BOOL,
                                        offsetof(Ramfb, use_legacy_x86_rom),
                                        "accepted; has no effect", "off" },
                                      { 0 } },
    .state = (const StateField[]){ STATE(Ramfb, config),
                                   STATE_DERIVED(Ramfb, ram_offset),
                                   STATE_DERIVED(Ramfb, bytes),
                                   STATE_DERIVED(Ramfb, width),
                                   STATE_DERIVED(Ramfb, height),
                                   STATE_DERIVED(Ramfb, stride),
                                   STATE_DERIVED(Ramfb, watched),
                                   { 0 } },
    .realize = realize,
    .unrealize = unrealize,
    .reset = reset,
    .state_loaded = state_loaded,
};
DEVICE_TYPE(ramfb_type);
