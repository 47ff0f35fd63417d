/* SPDX-License-Identifier: MIT */
/*
 * Boot loader of ARM boards (Linux, Documentation/arch/arm64/booting.rst): kernel near the start of
 * RAM, then initrd, then the device tree in a 2 MiB block of its own; x0 = tree, x1 to x3 = 0. Programs
 * that are no Linux come as ELF files and look for the tree at the start of RAM: it is there if they leave room.
 */
#include "hw/board/arm-boot.h"

#include <inttypes.h>
#include <libfdt.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/file.h"
#include "machine/numa.h"
#include "machine/semihosting.h"
#include "hw/board/arm-image.h"

/* Linux maps at most this much for the tree. */
#define DTB_MAX_BYTES MIB(2)

typedef struct {
    const char *what;
    uint64_t address, memory_bytes;
    GBytes *content;
    bool mapped; /* content is a mapping of a file */
} ArmBootImage;

static void free_image(void *opaque)
{
    ArmBootImage *image = opaque;

    g_bytes_unref(image->content);
    g_free(image);
}

static void run_state_changed(void *opaque, bool running)
{
    ArmBoot *boot = opaque;

    boot->has_run = true;
}

void arm_boot_init(ArmBoot *boot, Machine *machine, uint64_t ram_base)
{
    *boot = (ArmBoot){
        .machine = machine,
        .ram_base = ram_base,
        .ram_bytes = machine->config.ram_bytes,
        .images = g_ptr_array_new_with_free_func(free_image),
        .kernel_start = ram_base,
        .kernel_end = ram_base,
    };
    machine_on_run_state(machine, run_state_changed, boot);
}

void arm_boot_free(ArmBoot *boot)
{
    g_clear_pointer(&boot->images, g_ptr_array_unref);
    loader_file_clear(&boot->other);
}

/* --- files --- */

GBytes *arm_boot_read_file(const char *what, const char *path, uint64_t limit, GError **error)
{
    GBytes *bytes = file_map(path, limit, error);

    if (!bytes) {
        g_prefix_error(error, "%s: ", what);
    } else if (g_bytes_get_size(bytes) == 0) {
        error_fail(error, KASO_ERROR_INVALID, "%s '%s' is empty", what, path);
        g_clear_pointer(&bytes, g_bytes_unref);
    }
    return bytes;
}

GBytes *arm_boot_read_kernel(const char *path, uint64_t limit, GError **error)
{
    g_autoptr(GBytes) file = arm_boot_read_file("kernel", path, limit, error);

    return file ? arm_image_unpack(path, file, false, limit, error) : NULL;
}

void *arm_boot_read_dtb(const char *path, int spare, GError **error)
{
    g_autoptr(GBytes) file = arm_boot_read_file("device tree", path, DTB_MAX_BYTES, error);
    gsize size;
    const void *data;
    void *fdt;

    if (!file) {
        return NULL;
    }
    data = g_bytes_get_data(file, &size);
    if (size < sizeof(struct fdt_header) || fdt_check_full(data, size) != 0) {
        int status =
            size < sizeof(struct fdt_header) ? -FDT_ERR_TRUNCATED : fdt_check_full(data, size);

        error_fail(error, KASO_ERROR_INVALID,
                   "device tree '%s' (%" G_GSIZE_FORMAT " bytes) is not a valid blob: %s", path,
                   size, fdt_strerror(status));
        return NULL;
    }
    fdt = g_malloc0(size + (size_t)spare);
    if (fdt_open_into(data, fdt, (int)size + spare) != 0) {
        error_fail(error, KASO_ERROR_INVALID, "device tree '%s' cannot be extended", path);
        g_clear_pointer(&fdt, g_free);
    }
    return fdt;
}

/* --- placement --- */

static bool in_ram(const ArmBoot *boot, uint64_t address, uint64_t bytes)
{
    return address >= boot->ram_base && bytes <= boot->ram_bytes &&
           address - boot->ram_base <= boot->ram_bytes - bytes;
}

/* Whether arm_boot_read_file maps it. */
static bool is_regular(const char *path)
{
    return g_file_test(path, G_FILE_TEST_IS_REGULAR);
}

static void add_image(ArmBoot *boot, const char *what, uint64_t address, GBytes *content,
                      uint64_t memory_bytes, bool mapped)
{
    ArmBootImage *image = g_new0(ArmBootImage, 1);

    *image = (ArmBootImage){ what, address, memory_bytes, g_bytes_ref(content), mapped };
    g_ptr_array_add(boot->images, image);
}

/*
 * ELF files may have parts for other memories (notes, a boot monitor's data): what lies in RAM is loaded.
 * Returns how much of the segment is left; its start has moved up to RAM's when it began below.
 */
static uint64_t clip_segment(const ArmBoot *boot, ArmImageSegment *s)
{
    uint64_t below = s->address < boot->ram_base ? boot->ram_base - s->address : 0;
    uint64_t file_bytes = g_bytes_get_size(s->content), start, room;
    GBytes *content;

    if (below >= s->memory_bytes || s->address + below - boot->ram_base >= boot->ram_bytes) {
        return 0;
    }
    start = s->address + below;
    room = MIN(s->memory_bytes - below, boot->ram_base + boot->ram_bytes - start);
    content = g_bytes_new_from_bytes(s->content, MIN(below, file_bytes),
                                     MIN(file_bytes - MIN(below, file_bytes), room));
    g_bytes_unref(s->content);
    *s = (ArmImageSegment){ start, content, room };
    return room;
}

/* RAM or flash, which belongs to programs that are linked for it. */
static bool in_any_memory(const ArmBoot *boot, const ArmImageSegment *s)
{
    const LoaderPart part = { s->address, s->content, s->memory_bytes };

    return loader_part_check(boot->machine, &part, NULL);
}

static void add_kernel_segment(ArmBoot *boot, const char *path, const ArmImageSegment *s,
                               bool mapped)
{
    ArmImageSegment part = { s->address, g_bytes_ref(s->content), s->memory_bytes };
    uint64_t loaded = clip_segment(boot, &part);

    if (!loaded && in_any_memory(boot, s)) {
        loader_file_add(&boot->other, s->address, g_bytes_ref(s->content), s->memory_bytes);
    } else if (loaded != s->memory_bytes) {
        log_printf("kernel '%s': %sthe segment at %#" PRIx64 " (%" PRIu64
                   " bytes) is left out: it is not in RAM (%#" PRIx64 " to %#" PRIx64 ")\n",
                   path, loaded ? "part of " : "", s->address, s->memory_bytes, boot->ram_base,
                   boot->ram_base + boot->ram_bytes);
    }
    if (loaded) {
        add_image(boot, "kernel", part.address, part.content, part.memory_bytes, mapped);
        boot->kernel_start = MIN(boot->kernel_start, part.address);
        boot->kernel_end = MAX(boot->kernel_end, part.address + part.memory_bytes);
    }
    g_bytes_unref(part.content);
}

/* Whether the kernel can run with what is loaded: all of an Image; the entry of an ELF file. */
static bool check_placement(const ArmBoot *boot, const char *path, const ArmImage *image,
                            GError **error)
{
    for (unsigned i = 0; i < image->segments->len; i++) {
        const ArmImageSegment *s = &g_array_index(image->segments, ArmImageSegment, i);
        bool has_entry = image->entry - s->address < s->memory_bytes;

        if (has_entry && image->is_elf && in_any_memory(boot, s)) {
            return true;
        }
        if (!in_ram(boot, s->address, s->memory_bytes) &&
            (!image->is_elf || (has_entry && !in_ram(boot, image->entry, 4)))) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "too little RAM: kernel '%s' wants %#" PRIx64 " to %#" PRIx64
                              ", RAM is %#" PRIx64 " to %#" PRIx64 "; give more with -m",
                              path, s->address, s->address + s->memory_bytes, boot->ram_base,
                              boot->ram_base + boot->ram_bytes);
        }
    }
    if (!in_ram(boot, image->entry, 4)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "kernel '%s' starts at %#" PRIx64 ", which is not in RAM (%#" PRIx64
                          " to %#" PRIx64 ")",
                          path, image->entry, boot->ram_base, boot->ram_base + boot->ram_bytes);
    }
    return true;
}

/* Linux's COMMAND_LINE_SIZE; it would not say that it lost the rest. */
static bool check_command_line(const ArmBoot *boot, const ArmImage *image, GError **error)
{
    enum { LINUX_MOST = 2047 };
    const MachineConfig *config = &boot->machine->config;
    size_t length = config->append ? strlen(config->append) : 0;

    return !image->is_linux || length <= LINUX_MOST ||
           error_fail(error, KASO_ERROR_INVALID,
                      "-append has %zu characters; the kernel '%s' takes %d", length,
                      config->kernel, LINUX_MOST);
}

static bool load_kernel(ArmBoot *boot, GError **error)
{
    const char *path = boot->machine->config.kernel;
    g_autoptr(GBytes) file = arm_boot_read_file("kernel", path, GIB(1), error);
    g_autoptr(GBytes) content = NULL;
    ArmImage image = { 0 };
    bool ok;

    if (!file) {
        return false;
    }
    content = arm_image_unpack(path, file, true, boot->ram_bytes, error);
    ok = content &&
         arm_image_parse(&image, path, content, boot->ram_base, boot->ram_bytes, error) &&
         check_placement(boot, path, &image, error) && check_command_line(boot, &image, error);
    boot->kernel_start = image.is_elf ? UINT64_MAX : boot->ram_base;
    for (unsigned i = 0; ok && i < image.segments->len; i++) {
        add_kernel_segment(boot, path, &g_array_index(image.segments, ArmImageSegment, i),
                           content == file && is_regular(path));
    }
    boot->entry = image.entry;
    boot->has_kernel = ok;
    if (ok) {
        semihosting_set_free_memory(boot->machine, align_up(boot->kernel_end, 4096),
                                    boot->ram_base + boot->ram_bytes);
    }
    arm_image_clear(&image);
    return ok;
}

/*
 * The initrd goes to half of RAM, at most 128 MiB from its start, where the unpacking kernel does not
 * reach; with little RAM, right behind the kernel. The tree follows it, or lies below an ELF file.
 */
static bool place(ArmBoot *boot, uint64_t initrd_bytes, uint64_t dtb_bytes, GError **error)
{
    const MachineConfig *config = &boot->machine->config;
    uint64_t ram_end = boot->ram_base + boot->ram_bytes;
    uint64_t start = MAX(boot->kernel_end, boot->ram_base + MIN(boot->ram_bytes / 2, MIB(128)));
    bool below = boot->kernel_start - boot->ram_base >= dtb_bytes;
    uint64_t block = below ? 1 : DTB_MAX_BYTES, behind = below ? 0 : dtb_bytes;

    start = align_up(start, 4096);
    if (align_up(start + initrd_bytes, block) + behind > ram_end) {
        start = align_up(boot->kernel_end, 4096);
    }
    boot->initrd_start = start;
    boot->initrd_end = start + initrd_bytes;
    boot->dtb_address = below ? boot->ram_base : align_up(boot->initrd_end, block);
    return align_up(boot->initrd_end, block) + behind <= ram_end ||
           error_fail(error, KASO_ERROR_INVALID,
                      "too little RAM: kernel '%s' ends %" PRIu64 " KiB into it, initrd '%s' "
                      "has %" PRIu64 " KiB, the device tree %" PRIu64 " KiB, and -m gives %" PRIu64
                      " MiB",
                      config->kernel, (boot->kernel_end - boot->ram_base) >> 10,
                      config->initrd ? config->initrd : "(none)", initrd_bytes >> 10,
                      dtb_bytes >> 10, boot->ram_bytes >> 20);
}

bool arm_boot_load(ArmBoot *boot, uint64_t dtb_bytes, GError **error)
{
    const MachineConfig *config = &boot->machine->config;
    g_autoptr(GBytes) initrd = NULL;
    uint64_t bytes = 0;

    if (!load_kernel(boot, error)) {
        g_prefix_error(error, "could not load kernel '%s': ", config->kernel);
        return false;
    }
    if (config->initrd) {
        initrd = arm_boot_read_file("initrd", config->initrd, GIB(4), error);
        if (!initrd) {
            return false;
        }
        bytes = g_bytes_get_size(initrd);
    }
    if (!place(boot, bytes, dtb_bytes, error)) {
        return false;
    }
    if (initrd) {
        add_image(boot, "initrd", boot->initrd_start, initrd, bytes, is_regular(config->initrd));
    }
    return true;
}

void arm_boot_place_dtb_for_firmware(ArmBoot *boot)
{
    boot->dtb_address = boot->ram_base;
}

/* --- device tree --- */

/* A node below the root, made when it is missing. */
static int root_node(void *fdt, const char *name)
{
    int node = fdt_subnode_offset(fdt, 0, name);

    return node == -FDT_ERR_NOTFOUND ? fdt_add_subnode(fdt, 0, name) : node;
}

static int set_address_or_size(void *fdt, int node, int cells, bool append, uint64_t value)
{
    if (append) {
        return cells == 2 ? fdt_appendprop_u64(fdt, node, "reg", value)
                          : fdt_appendprop_u32(fdt, node, "reg", (uint32_t)value);
    }
    return cells == 2 ? fdt_setprop_u64(fdt, node, "reg", value)
                      : fdt_setprop_u32(fdt, node, "reg", (uint32_t)value);
}

static int add_memory(void *fdt, uint64_t base, uint64_t bytes, int numa_node)
{
    g_autofree char *name = g_strdup_printf("memory@%" PRIx64, base);
    int node = fdt_add_subnode(fdt, 0, name);
    int status = node < 0 ? node : fdt_setprop_string(fdt, node, "device_type", "memory");

    if (status == 0) {
        status = set_address_or_size(fdt, node, fdt_address_cells(fdt, 0), false, base);
    }
    if (status == 0) {
        status = set_address_or_size(fdt, node, fdt_size_cells(fdt, 0), true, bytes);
    }
    if (status == 0 && numa_node >= 0) {
        status = fdt_setprop_u32(fdt, node, "numa-node-id", (uint32_t)numa_node);
    }
    return status;
}

static int amend_memory(const ArmBoot *boot, void *fdt)
{
    const Numa *numa = boot->machine->numa;
    int status = 0, node;

    /* One of the board's address may be there; those of another map would be wrong. */
    while ((node = fdt_node_offset_by_prop_value(fdt, -1, "device_type", "memory", 7)) >= 0) {
        if ((status = fdt_del_node(fdt, node)) != 0) {
            return status;
        }
    }
    if (!numa) {
        return add_memory(fdt, boot->ram_base, boot->ram_bytes, -1);
    }
    /* Each is put before the others, so that the first node's comes first. */
    for (unsigned i = numa->count; i-- > 0 && status == 0;) {
        if (numa->nodes[i].bytes) {
            status = add_memory(fdt, boot->ram_base + numa_node_start(numa, i),
                                numa->nodes[i].bytes, (int)i);
        }
    }
    return status;
}

static int amend_chosen(const ArmBoot *boot, void *fdt)
{
    const MachineConfig *config = &boot->machine->config;
    int node = root_node(fdt, "chosen"), status = node < 0 ? node : 0;

    if (status == 0 && config->append && *config->append) {
        status = fdt_setprop_string(fdt, node, "bootargs", config->append);
    }
    if (status == 0 && boot->initrd_end > boot->initrd_start) {
        status = fdt_setprop_u64(fdt, node, "linux,initrd-start", boot->initrd_start);
        if (status == 0) {
            status = fdt_setprop_u64(fdt, node, "linux,initrd-end", boot->initrd_end);
        }
    }
    return status;
}

bool arm_boot_amend_dtb(const ArmBoot *boot, void *fdt, GError **error)
{
    int status = amend_memory(boot, fdt);

    if (status == 0) {
        status = amend_chosen(boot, fdt);
    }
    if (status != 0) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "cannot write /chosen and /memory into the device tree: %s",
                          fdt_strerror(status));
    }
    return true;
}

/* --- reset --- */

static void write_zeroes(AddressSpace *space, uint64_t address, uint64_t bytes)
{
    static const uint8_t zeroes[4096];

    for (uint64_t done = 0, part; done < bytes; done += part) {
        part = MIN(bytes - done, sizeof zeroes);
        address_space_write_bytes(space, address + done, zeroes, part, MEMORY_ATTRIBUTES_DMA);
    }
}

static void write_image(const ArmBoot *boot, const ArmBootImage *image)
{
    AddressSpace *space = &boot->machine->memory_space;
    gsize size;
    const uint8_t *data = g_bytes_get_data(image->content, &size);

    /* In chunks, so that the file's pages need not all be resident; they stay in the page cache. */
    for (gsize done = 0, part; done < size; done += part) {
        part = MIN(size - done, MIB(1));
        address_space_write_bytes(space, image->address + done, data + done, part,
                                  MEMORY_ATTRIBUTES_DMA);
        if (image->mapped) {
            uintptr_t start = align_up((uintptr_t)data + done, 4096);
            uintptr_t end = align_down((uintptr_t)data + done + part, 4096);

            if (start < end) {
                madvise((void *)start, end - start, MADV_DONTNEED);
            }
        }
    }
    if (boot->has_run) {
        write_zeroes(space, image->address + size, image->memory_bytes - size);
    }
}

static void set_register(Vcpu *vcpu, const char *name, uint64_t value)
{
    const TargetRegister *reg = target_register_find(vcpu->target, name);
    uint8_t bytes[8];

    store_le64(bytes, value);
    if (reg) {
        target_register_write(vcpu, reg, bytes);
    }
}

void arm_boot_reset(ArmBoot *boot, const void *fdt)
{
    Machine *machine = boot->machine;

    for (unsigned i = 0; i < boot->images->len; i++) {
        write_image(boot, boot->images->pdata[i]);
    }
    loader_file_write(machine, &boot->other);
    if (fdt) {
        address_space_write_bytes(&machine->memory_space, boot->dtb_address, fdt,
                                  fdt_totalsize(fdt), MEMORY_ATTRIBUTES_DMA);
    }
    if (boot->has_kernel && machine->vcpus && machine->vcpus->len) {
        Vcpu *vcpu = machine->vcpus->pdata[0];

        vcpu->target->set_pc(vcpu, boot->entry);
        set_register(vcpu, "x0", boot->dtb_address);
    }
}
