/* SPDX-License-Identifier: MIT */
/*
 * Puts a kernel or RAM disk of a guest's guest into memory at each reset, and tells a hypervisor of it by a module node of
 * the device tree (docs/misc/arm/device-tree/booting.txt of Xen).
 */
#include <libfdt.h>
#include <string.h>

#include "base/error.h"
#include "hw/misc/guest-tables.h"
#include "hw/misc/loader-file.h"
#include "machine/machine.h"

enum { NODE_ROOM = 512 }; /* for a node and its names, beside the arguments */

typedef struct {
    Device device;
    LoaderFile contents;
    bool resets;
    /* Properties. */
    uint64_t address;
    char *kernel, *initrd, *bootargs;
} GuestLoader;

static GuestLoader *guest_loader(Device *device)
{
    return container_of(device, GuestLoader, device);
}

/* The device tree. */

static int add_node(const GuestLoader *g, void *fdt, int chosen)
{
    static const char kernel[] = "multiboot,module\0multiboot,kernel";
    static const char ramdisk[] = "multiboot,module\0multiboot,ramdisk";
    const LoaderPart *part = &g_array_index(g->contents.parts, LoaderPart, 0);
    g_autofree char *name = g_strdup_printf("module@%" PRIx64, g->address);
    int node = fdt_add_subnode(fdt, chosen, name), status;

    if (node < 0) {
        return node;
    }
    status = g->kernel ? fdt_setprop(fdt, node, "compatible", kernel, sizeof kernel)
                       : fdt_setprop(fdt, node, "compatible", ramdisk, sizeof ramdisk);
    status = status ? status : fdt_setprop_u64(fdt, node, "reg", g->address);
    status = status ? status : fdt_appendprop_u64(fdt, node, "reg", part->memory_bytes);
    return status || !g->bootargs ? status : fdt_setprop_string(fdt, node, "bootargs", g->bootargs);
}

static int amend(const GuestLoader *g, void **fdt)
{
    size_t size = fdt_totalsize(*fdt) + NODE_ROOM + (g->bootargs ? strlen(g->bootargs) : 0);
    int chosen, status;

    *fdt = g_realloc(*fdt, size);
    status = fdt_open_into(*fdt, *fdt, (int)size);
    chosen = fdt_path_offset(*fdt, "/chosen");
    if (!status && chosen == -FDT_ERR_NOTFOUND) {
        chosen = fdt_add_subnode(*fdt, 0, "chosen");
    }
    status = status ? status : chosen < 0 ? chosen : 0;
    status = status ? status : fdt_setprop_u32(*fdt, chosen, "#address-cells", 2);
    status = status ? status : fdt_setprop_u32(*fdt, chosen, "#size-cells", 2);
    return status ? status : add_node(g, *fdt, chosen);
}

typedef struct {
    void **fdt;
    int status;
} Telling;

static void tell(Device *device, void *opaque)
{
    Telling *telling = opaque;

    if (strcmp(device->type->name, "guest-loader") == 0 && !telling->status) {
        telling->status = amend(guest_loader(device), telling->fdt);
    }
}

bool guest_loaders_tell(Machine *machine, void **fdt, GError **error)
{
    Telling telling = { fdt, 0 };

    device_foreach(machine->root, tell, &telling);
    return !telling.status || error_fail(error, KASO_ERROR_INVALID,
                                         "cannot write the node of a guest-loader into the device "
                                         "tree (two at one address?): %s",
                                         fdt_strerror(telling.status));
}

/* Life */

static void on_reset(void *opaque)
{
    const GuestLoader *g = opaque;

    if (machine_wake_reason(g->device.machine) == WAKE_NONE) {
        loader_file_write(g->device.machine, &g->contents);
    }
}

static bool realize(Device *device, GError **error)
{
    GuestLoader *g = guest_loader(device);

    if (!g->kernel == !g->initrd) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "device 'guest-loader' needs one of kernel= and initrd=; a loader each");
    }
    if (g->bootargs && !g->kernel) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "device 'guest-loader': bootargs= goes with kernel=");
    }
    if (!loader_file_read(&g->contents, g->kernel ? g->kernel : g->initrd, g->address, true,
                          device->machine->config.ram_bytes, error) ||
        !loader_file_check(device->machine, &g->contents, error)) {
        return false;
    }
    g->resets = true;
    machine_on_reset(device->machine, on_reset, g);
    return true;
}

static void unrealize(Device *device)
{
    GuestLoader *g = guest_loader(device);

    if (g->resets) {
        machine_forget_on_reset(device->machine, g);
        g->resets = false;
    }
    loader_file_clear(&g->contents);
}

static const Property properties[] = {
    { "addr", PROPERTY_U64, offsetof(GuestLoader, address), "where it is loaded", "0" },
    { "kernel", PROPERTY_STRING, offsetof(GuestLoader, kernel), "file of a kernel" },
    { "initrd", PROPERTY_STRING, offsetof(GuestLoader, initrd), "file of a RAM disk" },
    { "bootargs", PROPERTY_STRING, offsetof(GuestLoader, bootargs), "the kernel's command line" },
    { 0 },
};

static const DeviceType guest_loader_type = {
    .name = "guest-loader",
    .summary = "Loads a kernel or RAM disk for a hypervisor, and says so in the device tree",
    .category = "misc",
    .instance_size = sizeof(GuestLoader),
    .fixed = true,
    .properties = properties,
    .realize = realize,
    .unrealize = unrealize,
};
DEVICE_TYPE(guest_loader_type);
