/* SPDX-License-Identifier: MIT */
/* Namespaces of an NVMe controller: that of its drive=, and those of `-device nvme-ns`. */
#include <string.h>

#include "base/error.h"
#include "hw/nvme/nvme.h"
#include "machine/machine.h"

enum { BLOCK_MIN = 512, BLOCK_MAX = 4096, FIRST_FREE = 0 };

NvmeNamespace *nvme_namespace(const Nvme *n, uint32_t id)
{
    return id && id <= NVME_NAMESPACES ? n->namespaces[id - 1] : NULL;
}

static bool choose_blocks(Disk *disk, GError **error)
{
    if (!disk->logical_block_size) {
        disk->logical_block_size = block_logical_sector(disk->drive);
    }
    if (!disk->physical_block_size) {
        disk->physical_block_size = disk->logical_block_size;
    }
    if (!is_power_of_two(disk->logical_block_size) || disk->logical_block_size < BLOCK_MIN ||
        disk->logical_block_size > BLOCK_MAX || !is_power_of_two(disk->physical_block_size) ||
        disk->physical_block_size < disk->logical_block_size ||
        disk->physical_block_size > disk->logical_block_size << 15) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "logical_block_size=%u,physical_block_size=%u: both must be powers of "
                          "two, the logical one from 512 to 4096 and not the larger",
                          disk->logical_block_size, disk->physical_block_size);
    }
    if (disk->min_io_size > disk->logical_block_size << 15 ||
        disk->opt_io_size > disk->logical_block_size << 15) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "min_io_size=%u,opt_io_size=%u: a namespace tells at most 32768 blocks",
                          disk->min_io_size, disk->opt_io_size);
    }
    return true;
}

static bool choose_id(const Nvme *n, NvmeNamespace *ns, GError **error)
{
    for (uint32_t id = 1; ns->id == FIRST_FREE && id <= NVME_NAMESPACES; id++) {
        ns->id = nvme_namespace(n, id) ? FIRST_FREE : id;
    }
    if (ns->id == FIRST_FREE || ns->id > NVME_NAMESPACES) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "a controller has namespaces 1 to %u, all different", NVME_NAMESPACES);
    }
    if (nvme_namespace(n, ns->id)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "nsid=%u: that controller has such a namespace already", ns->id);
    }
    return true;
}

static bool check_uuid(NvmeNamespace *ns, GError **error)
{
    if (ns->uuid && strcmp(ns->uuid, "auto") == 0) {
        g_free(ns->uuid);
        ns->uuid = g_uuid_string_random();
    }
    return !ns->uuid || g_uuid_string_is_valid(ns->uuid) ||
           error_fail(error, KASO_ERROR_INVALID,
                      "uuid=%s is not of the form 01234567-89ab-cdef-0123-456789abcdef", ns->uuid);
}

bool nvme_namespace_add(Nvme *n, NvmeNamespace *ns, Device *device, GError **error)
{
    ns->device = device;
    if (!check_uuid(ns, error) || !choose_blocks(&ns->disk, error) || !choose_id(n, ns, error) ||
        !disk_claim(&ns->disk, device, block_read_only(ns->disk.drive), error)) {
        return false;
    }
    ns->nvme = n;
    ns->format = (uint8_t)(__builtin_ctz(ns->disk.logical_block_size) - NVME_BLOCK_BITS);
    ns->original_write_cache = block_write_cache(ns->disk.drive);
    n->namespaces[ns->id - 1] = ns;
    n->namespace_end = MAX(n->namespace_end, ns->id);
    return true;
}

void nvme_namespace_remove(NvmeNamespace *ns)
{
    if (ns->nvme) {
        ns->nvme->namespaces[ns->id - 1] = NULL;
        ns->nvme = NULL;
    }
    disk_disclaim(&ns->disk);
}

/* The device. */

typedef struct {
    Device device; /* first */
    NvmeNamespace ns;
    uint32_t id;
} NvmeNs;

static NvmeNs *nvme_ns(Device *device)
{
    return container_of(device, NvmeNs, device);
}

static void boot_path(const Device *device, GString *out)
{
    g_string_append_printf(out, "/namespace@%x,0", container_of(device, NvmeNs, device)->ns.id);
}

const BusType nvme_bus_type = { .name = "nvme-bus", .boot_path = boot_path };

static bool realize(Device *device, GError **error)
{
    NvmeNs *s = nvme_ns(device);
    Nvme *n = nvme_of(device->bus->parent);

    if (!s->ns.disk.drive) {
        return error_fail(error, KASO_ERROR_INVALID, "nvme-ns needs drive=ID");
    }
    s->ns.id = s->id;
    return nvme_namespace_add(n, &s->ns, device, error);
}

static void unrealize(Device *device)
{
    nvme_namespace_remove(&nvme_ns(device)->ns);
}

static const Property properties[] = {
    DISK_MEDIUM_PROPERTIES(NvmeNs, ns.disk),
    DISK_ERROR_PROPERTIES(NvmeNs, ns.disk),
    { "nsid", PROPERTY_U32, offsetof(NvmeNs, id), "number of the namespace; 0: the first free",
      "0" },
    { "uuid", PROPERTY_STRING, offsetof(NvmeNs, ns.uuid), "UUID, or auto for a new one" },
    { "eui64", PROPERTY_U64, offsetof(NvmeNs, ns.eui64), "IEEE identifier; 0: none", "0" },
    { "bootindex", PROPERTY_I32, offsetof(NvmeNs, ns.disk.bootindex),
      "place in the firmware's boot order", "-1" },
    { 0 },
};

static bool state_check(Device *device, GError **error)
{
    return nvme_ns(device)->ns.format < NVME_FORMATS ||
           error_fail(error, KASO_ERROR_INVALID,
                      "the state of device 'nvme-ns' has a format that cannot be");
}

static const StateField state[] = { STATE_KEPT_SINCE(NVME_VERSION, NvmeNs, ns.format), { 0 } };

static const DeviceType nvme_ns_type = {
    .name = "nvme-ns",
    .summary = "Namespace of an NVMe controller",
    .bus = "nvme-bus",
    .category = "storage",
    .fixed = true,
    .instance_size = sizeof(NvmeNs),
    .properties = properties,
    .state = state,
    .state_version = NVME_VERSION,
    .state_check = state_check,
    .realize = realize,
    .unrealize = unrealize,
};
DEVICE_TYPE(nvme_ns_type);
