/* SPDX-License-Identifier: MIT */
/* Hints that compare what a boot asks for with what the machine has: disks, drivers, processors. */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
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

static bool is_nothing_at(Machine *machine, uint64_t address)
{
    const MemoryRange *range = address_space_find(&machine->memory_space, address);

    return !range || diagnosis_is_nothing(range->region);
}

typedef struct {
    Machine *machine;
    Diagnosis *diagnosis;
} TreeCheck;

/* What the tree has somewhere must be there. */
static void check_address(void *opaque, const char *name, uint64_t address, uint64_t size)
{
    const TreeCheck *check = opaque;

    if (is_nothing_at(check->machine, address)) {
        diagnosis_add_hint(
            check->diagnosis,
            "The device tree has %s at %#" PRIx64
            ", where this board has nothing: -dtb is that of another board (info fdt)",
            name, address);
    } else if (g_str_has_prefix(name, "memory") && size &&
               is_nothing_at(check->machine, address + size - 1)) {
        diagnosis_add_hint(check->diagnosis,
                           "The device tree tells of memory up to %#" PRIx64
                           ", where this board has none: -dtb was made for another -m (info fdt)",
                           address + size);
    }
}

/* A tree of the user's own: does it describe this board? */
static void check_device_tree(Machine *machine, const DeviceTree *tree, Diagnosis *diagnosis)
{
    TreeCheck check = { machine, diagnosis };

    if (machine->config.dtb) {
        device_tree_each_address(tree, check_address, &check);
    }
}

/* The initial RAM disk, where the tree says it is, and the kernel must not share memory. */
static void check_initrd(Machine *machine, const DeviceTree *tree, Diagnosis *diagnosis)
{
    const LinuxKernel *kernel = linux_kernel_known(machine);
    uint64_t start, end, from, to;

    if (!kernel || !device_tree_initrd(tree, &start, &end)) {
        return;
    }
    from = kernel->start + kernel->to_physical;
    to = kernel->end + kernel->to_physical;
    if (start < to && end > from) {
        diagnosis_add_hint(diagnosis,
                           "The initial RAM disk lies from %#" PRIx64 " to %#" PRIx64
                           " (/chosen of the device tree), over the kernel, which is from %#" PRIx64
                           " to %#" PRIx64 ": one has overwritten the other",
                           start, end, from, to);
    }
}

static void check_trees(Machine *machine, Diagnosis *diagnosis)
{
    g_autoptr(GArray) trees = NULL;

    if (machine->config.kernel && !strcmp(machine->config.target->name, "aarch64")) {
        trees = device_trees_find(machine);
        if (trees->len) {
            const DeviceTree *tree = &g_array_index(trees, DeviceTree, 0);

            check_device_tree(machine, tree, diagnosis);
            check_initrd(machine, tree, diagnosis);
        }
    }
}

/* earlycon=NAME,[mmio|mmio32|…,]ADDRESS[,…]: the kernel writes there at once, and waits for it. */
static void check_earlycon(Machine *machine, Diagnosis *diagnosis)
{
    const char *at = machine->config.append ? strstr(machine->config.append, "earlycon=") : NULL;
    size_t length = at ? strcspn(at, " ") : 0;

    for (const char *comma = at; length && (comma = memchr(comma, ',', at + length - comma));) {
        uint64_t address;

        comma++;
        address = g_str_has_prefix(comma, "0x") ? g_ascii_strtoull(comma, NULL, 16) : 0;
        if (address && !g_str_has_prefix(comma - strlen("io,"), "io,") &&
            is_nothing_at(machine, address)) {
            diagnosis_add_hint(diagnosis,
                               "-append has %.*s, but this board has nothing at %#" PRIx64
                               ": the kernel waits for a serial port that is not there; earlycon "
                               "alone takes the board's own",
                               (int)length, at, address);
        }
    }
}

/* What a bzImage says of itself (Documentation/arch/x86/boot.rst of Linux). */
typedef struct {
    bool linux_image, wide;
} KernelFile;

static KernelFile look_at_kernel_file(const Machine *machine)
{
    enum { MAGIC = 0x202, VERSION = 0x206, LOAD_FLAGS = 0x236, HEADER_END = 0x238 };
    uint8_t header[HEADER_END];
    KernelFile result = { 0 };
    int file = machine->config.kernel ? open(machine->config.kernel, O_RDONLY | O_CLOEXEC) : -1;

    if (file >= 0) {
        if (pread(file, header, sizeof header, 0) == (ssize_t)sizeof header &&
            !memcmp(header + MAGIC, "HdrS", 4)) {
            result.linux_image = true;
            result.wide = load_le16(header + VERSION) >= 0x20c && header[LOAD_FLAGS] & 1;
        }
        close(file);
    }
    return result;
}

/* A bzImage that has not come to its kernel: in its code of real mode, or in the one that unpacks it. */
static void check_unpacking(Machine *machine, Diagnosis *diagnosis)
{
    const CpuDiagnosis *cpu = diagnosis->cpus->len ? diagnosis->cpus->pdata[0] : NULL;
    KernelFile file;

    if (!cpu || linux_kernel_known(machine) || !strcmp(machine->config.target->name, "aarch64")) {
        return;
    }
    file = look_at_kernel_file(machine);
    if (!file.linux_image || has_hint(diagnosis, "The kernel is for processors")) {
        return;
    }
    if (g_str_has_prefix(cpu->mode, "real mode")) {
        diagnosis_add_hint(diagnosis,
                           "The first code of -kernel is still in real mode%s: there it stops when "
                           "the processor lacks what it needs, and says so on the screen alone",
                           file.wide ? ", and the kernel is for x86-64 (has -cpu long mode?)" : "");
    } else if (cpu->activity == CPU_WAITS) {
        diagnosis_add_hint(diagnosis,
                           "The code that unpacks -kernel has given up: the file is damaged, "
                           "or -m too small for it (it says why on the screen)");
    } else {
        diagnosis_add_hint(diagnosis,
                           "The kernel itself has not begun: the code of -kernel that unpacks "
                           "it is at work");
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

    check_trees(machine, diagnosis);
    check_earlycon(machine, diagnosis);
    check_unpacking(machine, diagnosis);
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
