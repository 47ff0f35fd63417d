/* SPDX-License-Identifier: MIT */
/*
 * Virtual machine generation identifier (Microsoft, "Virtual Machine Generation ID"): a UUID in the guest's memory that changes
 * when a guest is run anew from an old state. Firmware places it, and writes back where.
 */
#include <string.h>

#include "base/error.h"
#include "base/uuid.h"
#include "hw/acpi/acpi.h"
#include "hw/misc/guest-tables.h"
#include "hw/nvram/fw_cfg.h"
#include "machine/machine.h"

enum { PAGE_BYTES = 4096 };

typedef struct {
    Device device;
    IrqLine changed;
    char *guid;
    uint8_t address[8]; /* little-endian, of the identifier; 0: firmware has not placed it */
} Vmgenid;

static Vmgenid *vmgenid(Device *device)
{
    return container_of(device, Vmgenid, device);
}

static void put_identifier(const Vmgenid *v, uint8_t out[UUID_BYTES])
{
    uuid_parse(v->guid, out);
    uuid_swap(out);
}

static bool realize(Device *device, GError **error)
{
    Vmgenid *v = vmgenid(device);

    if (device_find_by_type(device->machine, device->type->name)) {
        return error_fail(error, KASO_ERROR_INVALID, "a machine has one vmgenid at most");
    }
    if (strcmp(v->guid, "auto") == 0) {
        g_autofree char *random = g_uuid_string_random();

        if (!device_set(device, "guid", random, error)) {
            return false;
        }
    }
    if (!g_uuid_string_is_valid(v->guid)) {
        return error_fail(error, KASO_ERROR_INVALID, "vmgenid: guid=%s is neither a UUID nor auto",
                          v->guid);
    }
    device_add_irq(device, &v->changed);
    return true;
}

static void reset(Device *device)
{
    memset(vmgenid(device)->address, 0, sizeof vmgenid(device)->address);
}

static void placed(void *opaque)
{
}

bool vmgenid_offer(Device *device, Device *fw_cfg, GError **error)
{
    Vmgenid *v = vmgenid(device);
    uint8_t page[PAGE_BYTES] = { 0 };
    g_autoptr(GBytes) content = NULL;

    put_identifier(v, page + VMGENID_OFFSET);
    content = g_bytes_new(page, sizeof page);
    return fw_cfg_add_file(fw_cfg, VMGENID_GUID_FILE, content, error) &&
           fw_cfg_add_writable_file(fw_cfg, VMGENID_ADDRESS_FILE, v->address, sizeof v->address,
                                    placed, v, error);
}

/* The state is another run's: the guest is to see this run's identifier, and to be told. */
static void state_loaded(Device *device)
{
    Vmgenid *v = vmgenid(device);
    uint64_t address = load_le64(v->address);
    uint8_t identifier[UUID_BYTES];

    if (address) {
        put_identifier(v, identifier);
        address_space_write_bytes(&device->machine->memory_space, address, identifier,
                                  sizeof identifier, MEMORY_ATTRIBUTES_OF(device));
        irq_pulse(&v->changed);
    }
}

static const DeviceType vmgenid_type = {
    .name = "vmgenid",
    .summary = "Identifier that tells a guest that it runs again from an old state",
    .category = "misc",
    .fixed = true,
    .instance_size = sizeof(Vmgenid),
    .properties = (const Property[]){ { "guid", PROPERTY_STRING, offsetof(Vmgenid, guid),
                                        "identifier, or auto: a random one", "auto" },
                                      { 0 } },
    .state = (const StateField[]){ STATE(Vmgenid, address), { 0 } },
    .realize = realize,
    .reset = reset,
    .state_loaded = state_loaded,
};
DEVICE_TYPE(vmgenid_type);
