/* SPDX-License-Identifier: MIT */
/* Hints that compare what a boot asks for with what the machine has: disks, drivers, processors. */
#include <inttypes.h>
#include <string.h>

#include "debug/diagnosis-private.h"
#include "debug/firmware/device-tree.h"
#include "debug/linux/linux.h"
#include "debug/symbols/symbols.h"

/* A function that a kernel with the driver of such a device has. */
static const struct {
    const char *type, *function, *driver;
} drivers[] = {
    { "virtio-blk", "virtblk_probe", "virtio_blk" },
    { "virtio-scsi", "virtscsi_probe", "virtio_scsi" },
    { "nvme", "nvme_probe", "nvme" },
    { "ide-", "piix_init_one", "ata_piix" },
    { "ich9-ahci", "ahci_init_one", "ahci" },
    { "usb-storage", "storage_probe", "usb-storage" },
    { "scsi-hd", "sd_probe", "sd_mod" },
};

typedef struct {
    Machine *machine;
    bool of_linux;
    GString *disks, *missing;
} Disks;

static bool has_drive(Device *device)
{
    for (const Property *p = device->type->properties; p && p->name; p++) {
        if (p->kind == PROPERTY_DRIVE) {
            g_autofree char *value = device_get(device, p->name, NULL);

            return value && *value;
        }
    }
    return false;
}

/* Disks and the controllers that they need. */
static void look_at_disk(Device *device, void *opaque)
{
    Disks *disks = opaque;
    const char *type = device->type->name;
    bool disk = !g_strcmp0(device->type->category, "storage") && has_drive(device);

    if (disk && !strstr(type, "-cd") && !strstr(type, "floppy")) {
        g_string_append_printf(disks->disks, "%s%s", disks->disks->len ? ", " : "", type);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(drivers) && disks->of_linux; i++) {
        Symbol found;

        if (g_str_has_prefix(type, drivers[i].type) &&
            (disk || !strncmp(type, "virtio-scsi", 11)) &&
            !strstr(disks->missing->str, drivers[i].driver) &&
            !symbols_find(disks->machine, NULL, drivers[i].function, &found, 1)) {
            g_string_append_printf(disks->missing, "%s%s (for %s)", disks->missing->len ? ", " : "",
                                   drivers[i].driver, type);
        }
    }
}

/* The hint that is there already, by its beginning. */
static bool has_hint(const Diagnosis *diagnosis, const char *part)
{
    for (guint i = 0; i < diagnosis->hints->len; i++) {
        if (strstr(diagnosis->hints->pdata[i], part)) {
            return true;
        }
    }
    return false;
}

typedef struct {
    Machine *machine;
    Diagnosis *diagnosis;
} TreeCheck;

/* What the tree has somewhere must be there. What answers for a window of PCI where no function is has a name with that end. */
static void check_address(void *opaque, const char *name, uint64_t address)
{
    const TreeCheck *check = opaque;
    const MemoryRange *range = address_space_find(&check->machine->memory_space, address);

    if (!range || g_str_has_suffix(range->region->name, "-abort")) {
        diagnosis_add_hint(
            check->diagnosis,
            "The device tree has %s at %#" PRIx64
            ", where this board has nothing: -dtb is that of another board (info fdt)",
            name, address);
    }
}

/* A tree of the user's own: does it describe this board? */
static void check_device_tree(Machine *machine, Diagnosis *diagnosis)
{
    TreeCheck check = { machine, diagnosis };
    g_autoptr(GArray) trees = NULL;

    if (!machine->config.dtb) {
        return;
    }
    trees = device_trees_find(machine);
    if (trees->len) {
        device_tree_each_address(&g_array_index(trees, DeviceTree, 0), check_address, &check);
    }
}

void diagnosis_add_boot_hints(Machine *machine, Diagnosis *diagnosis)
{
    bool no_root = has_hint(diagnosis, "no root file system") ||
                   has_hint(diagnosis, "The root device of -append") ||
                   has_hint(diagnosis, "waits for the root device");
    bool nothing = has_hint(diagnosis, "found nothing to boot") ||
                   has_hint(diagnosis, "found nothing else to boot") ||
                   has_hint(diagnosis, "it found nothing to boot") ||
                   has_hint(diagnosis, "can load none");
    Disks disks = { machine, no_root && linux_kernel_known(machine), NULL, NULL };

    check_device_tree(machine, diagnosis);
    if (!no_root && !nothing) {
        return;
    }
    disks.disks = g_string_new(NULL);
    disks.missing = g_string_new(NULL);
    device_foreach(machine->root, look_at_disk, &disks);
    if (!disks.disks->len) {
        diagnosis_add_hint(diagnosis, "The machine has no disk: give a -drive");
    } else if (disks.missing->len) {
        diagnosis_add_hint(diagnosis,
                           "The machine has the disk %s, but this kernel lacks the driver %s: it "
                           "is a module, and -initrd "
                           "has to bring it",
                           disks.disks->str, disks.missing->str);
    } else {
        diagnosis_add_hint(diagnosis, "Of disks the machine has: %s", disks.disks->str);
    }
    g_string_free(disks.disks, TRUE);
    g_string_free(disks.missing, TRUE);
}
