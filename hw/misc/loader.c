/* SPDX-License-Identifier: MIT */
/*
 * Puts a file or a number into memory at each reset, behind what the board has loaded, or has a CPU start at an address.
 * The guest sees no device. To wake from sleep is no reset for it: the guest's memory is as it was left.
 */
#include "base/error.h"
#include "hw/misc/loader-file.h"
#include "machine/machine.h"
#include "machine/target.h"

enum { MOST_DATA = 8 };
#define NO_CPU UINT32_MAX

typedef struct {
    Device device;
    LoaderFile contents; /* parts NULL: nothing to load */
    bool sets_pc, resets;
    uint64_t pc;
    /* Properties. */
    uint64_t address, data;
    uint32_t cpu;
    uint8_t data_bytes;
    bool big_endian, raw;
    char *file;
} Loader;

static Loader *loader(Device *device)
{
    return container_of(device, Loader, device);
}

static void on_reset(void *opaque)
{
    Loader *l = opaque;
    Machine *machine = l->device.machine;

    if (machine_wake_reason(machine) != WAKE_NONE) {
        return;
    }
    loader_file_write(machine, &l->contents);
    if (l->sets_pc) {
        Vcpu *vcpu = machine->vcpus->pdata[l->cpu];

        vcpu->target->set_pc(vcpu, l->pc);
    }
}

/* What the properties ask for. */

static bool take_data(Loader *l, GError **error)
{
    uint8_t bytes[MOST_DATA];

    if (l->file || l->raw) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "device 'loader': file= and data= do not go together; use two loaders");
    }
    if (l->data_bytes > MOST_DATA) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "device 'loader': data-len=%u is more than the %u bytes of data=",
                          l->data_bytes, MOST_DATA);
    }
    for (unsigned i = 0; i < l->data_bytes; i++) {
        unsigned place = l->big_endian ? l->data_bytes - 1u - i : i;

        bytes[place] = (uint8_t)(l->data >> (8 * i));
    }
    loader_file_add(&l->contents, l->address, g_bytes_new(bytes, l->data_bytes), l->data_bytes);
    return true;
}

static bool take_file(Loader *l, GError **error)
{
    if (l->data || l->big_endian) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "device 'loader': file= and data= do not go together; use two loaders");
    }
    l->sets_pc = l->cpu != NO_CPU;
    return loader_file_read(&l->contents, l->file, l->address, l->raw,
                            l->device.machine->config.ram_bytes, error);
}

static bool take_start(Loader *l, GError **error)
{
    if (l->raw || l->big_endian || l->data || l->cpu == NO_CPU) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "device 'loader' needs file=, or data= with data-len= (1 to %u), or "
                          "cpu-num= with the addr= where that CPU starts",
                          MOST_DATA);
    }
    l->sets_pc = true;
    return true;
}

static bool realize(Device *device, GError **error)
{
    Loader *l = loader(device);

    if (l->cpu != NO_CPU && l->cpu >= device->machine->vcpus->len) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "device 'loader': cpu-num=%u: this machine has %u CPUs, from 0 on",
                          l->cpu, device->machine->vcpus->len);
    }
    if (!(l->data_bytes ? take_data(l, error)
          : l->file     ? take_file(l, error)
                        : take_start(l, error)) ||
        !loader_file_check(device->machine, &l->contents, error)) {
        return false;
    }
    l->pc = l->file ? l->contents.entry : l->address;
    l->resets = true;
    machine_on_reset(device->machine, on_reset, l);
    return true;
}

static void unrealize(Device *device)
{
    Loader *l = loader(device);

    if (l->resets) {
        machine_forget_on_reset(device->machine, l);
        l->resets = false;
    }
    loader_file_clear(&l->contents);
}

static const Property properties[] = {
    { "file", PROPERTY_STRING, offsetof(Loader, file),
      "what is loaded: ELF, uImage, Intel HEX, or anything else as it is" },
    { "addr", PROPERTY_U64, offsetof(Loader, address),
      "where: of data=, and of files that do not say it themselves; or where the CPU starts", "0" },
    { "force-raw", PROPERTY_BOOL, offsetof(Loader, raw), "do not look at the file's format",
      "off" },
    { "data", PROPERTY_U64, offsetof(Loader, data), "a number to store instead of a file", "0" },
    { "data-len", PROPERTY_U8, offsetof(Loader, data_bytes), "its bytes, 1 to 8", "0" },
    { "data-be", PROPERTY_BOOL, offsetof(Loader, big_endian), "its first byte is the highest",
      "off" },
    { "cpu-num", PROPERTY_U32, offsetof(Loader, cpu),
      "the CPU that starts at the file's entry, or at addr=", "4294967295" },
    { 0 },
};

static const DeviceType loader_type = {
    .name = "loader",
    .summary = "Loads a file or a number into memory at each reset, or sets where a CPU starts",
    .category = "misc",
    .instance_size = sizeof(Loader),
    .anywhere = true,
    .fixed = true,
    .properties = properties,
    .realize = realize,
    .unrealize = unrealize,
};
DEVICE_TYPE(loader_type);
