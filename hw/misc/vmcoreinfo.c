/* SPDX-License-Identifier: MIT */
/*
 * Takes from the guest where its crash notes are (Linux: VMCOREINFO), for who makes a dump of its memory: the file etc/vmcoreinfo of
 * the firmware configuration device, 16 bytes: the host's format and the guest's (16 bits each), size (32), address (64).
 */
#include <string.h>

#include "base/error.h"
#include "hw/misc/guest-tables.h"
#include "hw/nvram/fw_cfg.h"
#include "machine/machine.h"

enum { INFO_BYTES = MACHINE_VMCOREINFO_BYTES, FORMAT_ELF = 1 };

typedef struct {
    Device device;
    uint8_t info[INFO_BYTES];
} Vmcoreinfo;

static Vmcoreinfo *vmcoreinfo(Device *device)
{
    return container_of(device, Vmcoreinfo, device);
}

static bool realize(Device *device, GError **error)
{
    if (device_find_by_type(device->machine, device->type->name)) {
        return error_fail(error, KASO_ERROR_INVALID, "a machine has one vmcoreinfo at most");
    }
    machine_set_data(device->machine, MACHINE_VMCOREINFO, vmcoreinfo(device)->info);
    return true;
}

/* What the host can read. */
static void reset(Device *device)
{
    Vmcoreinfo *v = vmcoreinfo(device);

    memset(v->info, 0, sizeof v->info);
    store_le16(v->info, FORMAT_ELF);
}

static void written(void *opaque)
{
    const Vmcoreinfo *v = opaque;

    trace("vmcoreinfo", "format %u, %u bytes at %#" PRIx64, load_le16(v->info + 2),
          load_le32(v->info + 4), load_le64(v->info + 8));
}

bool vmcoreinfo_offer(Device *device, Device *fw_cfg, GError **error)
{
    Vmcoreinfo *v = vmcoreinfo(device);

    return fw_cfg_add_writable_file(fw_cfg, "etc/vmcoreinfo", v->info, sizeof v->info, written, v,
                                    error);
}

static const DeviceType vmcoreinfo_type = {
    .name = "vmcoreinfo",
    .summary = "Takes the place of the guest's crash notes",
    .category = "misc",
    .fixed = true,
    .instance_size = sizeof(Vmcoreinfo),
    .state = (const StateField[]){ STATE(Vmcoreinfo, info), { 0 } },
    .realize = realize,
    .reset = reset,
};
DEVICE_TYPE(vmcoreinfo_type);
