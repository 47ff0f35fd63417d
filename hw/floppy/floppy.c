/* SPDX-License-Identifier: MIT */
/* A floppy drive. Its medium is a raw image, whose size says how it is written. */
#include "base/error.h"
#include "hw/floppy/fdc.h"
#include "machine/machine.h"

enum { RATE_500K = 0, RATE_300K = 1, RATE_250K = 2, RATE_1M = 3, LAST_CYLINDER = 83 };

/* The first that fits decides where sizes are equal; it is also what the drive is made for. */
static const FloppyFormat formats[] = {
    { 80, 2, 18, RATE_500K, FLOPPY_144 }, { 80, 2, 36, RATE_1M, FLOPPY_288 },
    { 80, 2, 15, RATE_500K, FLOPPY_120 }, { 80, 2, 9, RATE_250K, FLOPPY_144 },
    { 40, 2, 9, RATE_300K, FLOPPY_120 },  { 40, 1, 9, RATE_300K, FLOPPY_120 },
    { 40, 2, 8, RATE_300K, FLOPPY_120 },  { 40, 1, 8, RATE_300K, FLOPPY_120 },
    { 80, 2, 20, RATE_500K, FLOPPY_144 }, { 80, 2, 21, RATE_500K, FLOPPY_144 },
    { 82, 2, 21, RATE_500K, FLOPPY_144 }, { 83, 2, 21, RATE_500K, FLOPPY_144 },
    { 80, 2, 22, RATE_500K, FLOPPY_144 }, { 80, 2, 23, RATE_500K, FLOPPY_144 },
    { 80, 2, 24, RATE_500K, FLOPPY_144 }, { 80, 2, 39, RATE_1M, FLOPPY_288 },
    { 80, 2, 40, RATE_1M, FLOPPY_288 },   { 80, 2, 44, RATE_1M, FLOPPY_288 },
    { 80, 2, 48, RATE_1M, FLOPPY_288 },   { 80, 2, 18, RATE_500K, FLOPPY_120 },
    { 82, 2, 18, RATE_500K, FLOPPY_120 }, { 83, 2, 18, RATE_500K, FLOPPY_120 },
    { 80, 2, 20, RATE_500K, FLOPPY_120 }, { 80, 2, 10, RATE_250K, FLOPPY_144 },
    { 82, 2, 10, RATE_250K, FLOPPY_144 }, { 83, 2, 10, RATE_250K, FLOPPY_144 },
    { 80, 2, 13, RATE_250K, FLOPPY_144 }, { 80, 2, 14, RATE_250K, FLOPPY_144 },
    { 80, 2, 9, RATE_300K, FLOPPY_120 },  { 80, 1, 9, RATE_300K, FLOPPY_120 },
};

static Floppy *floppy(Device *device)
{
    return container_of(device, Floppy, device);
}

static uint64_t format_bytes(const FloppyFormat *format)
{
    return (uint64_t)format->cylinders * format->heads * format->sectors * FLOPPY_SECTOR;
}

/* A drive for more reads what a lesser one does. */
static bool fits(const FloppyFormat *format, int type)
{
    return type == FLOPPY_AUTO || format->type == type ||
           (type == FLOPPY_288 && format->type == FLOPPY_144);
}

/*
 * An image of no format's size is the beginning of a usual floppy, as makers of boot floppies leave it: what is not in it reads
 * as zeros. One that is larger is taken for the largest format that it can hold.
 */
static const FloppyFormat *find_format(uint64_t bytes, int type)
{
    const FloppyFormat *best = NULL;

    for (unsigned i = 0; i < ARRAY_SIZE(formats) && bytes; i++) {
        uint64_t size = format_bytes(&formats[i]);

        if (!fits(&formats[i], type)) {
            continue;
        }
        if (size == bytes) {
            return &formats[i];
        }
        if (!best || (size <= bytes && size > format_bytes(best))) {
            best = &formats[i];
        }
    }
    return best;
}

bool floppy_present(const Floppy *floppy)
{
    return floppy && floppy->format;
}

void floppy_step_to(Floppy *floppy, unsigned cylinder)
{
    cylinder = MIN(cylinder, LAST_CYLINDER);
    /* A step pulse clears the line; heads that are there already get none. */
    if (floppy->format && cylinder != floppy->cylinder) {
        floppy->changed = false;
    }
    floppy->cylinder = cylinder;
}

void floppy_place(Floppy *floppy, unsigned cylinder)
{
    floppy->cylinder = MIN(cylinder, LAST_CYLINDER);
}

/* The bus */

static bool floppy_attach(Bus *generic, Device *device, GError **error)
{
    FloppyBus *bus = container_of(generic, FloppyBus, bus);
    Floppy *f = floppy(device);

    if (f->unit == UINT32_MAX) {
        f->unit = bus->drives[0] ? 1 : 0;
    }
    if (f->unit >= FLOPPY_DRIVES) {
        return error_fail(error, KASO_ERROR_INVALID, "unit=%u: bus '%s' has the units 0 and 1",
                          f->unit, generic->name);
    }
    if (bus->drives[f->unit]) {
        return error_fail(error, KASO_ERROR_INVALID, "unit %u of bus '%s' is taken by '%s'",
                          f->unit, generic->name, bus->drives[f->unit]->device.id);
    }
    bus->drives[f->unit] = f;
    f->type = f->type == FLOPPY_AUTO ? bus->type[f->unit] : f->type;
    f->disk.bootindex = f->disk.bootindex < 0 ? bus->bootindex[f->unit] : f->disk.bootindex;
    return true;
}

static void floppy_detach(Bus *generic, Device *device)
{
    FloppyBus *bus = container_of(generic, FloppyBus, bus);
    Floppy *f = floppy(device);

    if (f->unit < FLOPPY_DRIVES && bus->drives[f->unit] == f) {
        bus->drives[f->unit] = NULL;
    }
}

static void floppy_boot_path(const Device *device, GString *out)
{
    g_string_append_printf(out, "/floppy@%x", container_of(device, Floppy, device)->unit);
}

const BusType floppy_bus_type = {
    .name = "floppy-bus",
    .attach = floppy_attach,
    .detach = floppy_detach,
    .boot_path = floppy_boot_path,
};

/* Life */

static bool floppy_realize(Device *device, GError **error)
{
    Floppy *f = floppy(device);
    bool read_only = f->disk.drive && block_read_only(f->disk.drive);

    disk_make_removable(&f->disk, device);
    if (!disk_claim(&f->disk, device, read_only, error)) {
        return false;
    }
    f->format = find_format(disk_bytes(&f->disk), f->type);
    if (f->type == FLOPPY_AUTO) {
        f->type = f->format ? f->format->type : container_of(device->bus, FloppyBus, bus)->fallback;
    }
    return true;
}

static void floppy_unrealize(Device *device)
{
    disk_disclaim(&floppy(device)->disk);
}

static void floppy_reset(Device *device)
{
    floppy(device)->cylinder = 0;
    floppy(device)->changed = true;
}

static void query_medium(const Device *device, MediumState *state)
{
    *state = (MediumState){ 0 };
}

/* Drives have no tray; a disk is pulled out. */
static void move_tray(Device *device, bool open)
{
}

/* A drive of this type may not know how the new disk is written. */
static void changed(Device *device)
{
    Floppy *f = floppy(device);

    f->format = find_format(disk_bytes(&f->disk), f->type);
    f->changed = true;
}

static const MediumOps floppy_medium = { .query = query_medium,
                                         .move_tray = move_tray,
                                         .changed = changed };

const char *const floppy_type_names[] = { "auto", "144", "288", "120", "none", NULL };

static const Property floppy_properties[] = {
    { "unit", PROPERTY_U32, offsetof(Floppy, unit), "0: A, 1: B; unset: the first free",
      "4294967295" },
    { "drive-type", PROPERTY_ENUM, offsetof(Floppy, type),
      "what the drive is built for; auto: as the image; without one as the controller's fallback",
      "auto", floppy_type_names },
    DISK_PROPERTIES(Floppy, disk),
    { 0 },
};

static const StateField floppy_state[] = {
    STATE_MOST(Floppy, cylinder, LAST_CYLINDER),
    STATE(Floppy, changed),
    { 0 },
};

static const DeviceType floppy_type = {
    .name = "floppy",
    .summary = "Floppy drive",
    .bus = "floppy-bus",
    .category = "storage",
    .instance_size = sizeof(Floppy),
    .properties = floppy_properties,
    .state = floppy_state,
    .realize = floppy_realize,
    .unrealize = floppy_unrealize,
    .medium = &floppy_medium,
    .reset = floppy_reset,
};
DEVICE_TYPE(floppy_type);
