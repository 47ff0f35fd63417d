/* SPDX-License-Identifier: MIT */
/* Linux kernels for x86 by their boot protocol, 2.00 on (Linux, Documentation/arch/x86/boot.rst). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "hw/board/pc-kernel.h"
#include "hw/nvram/fw_cfg.h"

/* Offsets in the setup header. */
enum {
    SETUP_SECTS = 0x1f1,
    PARAGRAPHS = 0x1f4, /* of what is behind the setup; 16 bits before 2.04 */
    VIDEO_MODE = 0x1fa,
    HEADER_MAGIC = 0x202,
    PROTOCOL = 0x206,
    LOADER_TYPE = 0x210,
    LOAD_FLAGS = 0x211,
    SETUP_MOVE_SIZE = 0x212,
    RAMDISK_ADDRESS = 0x218,
    RAMDISK_SIZE = 0x21c,
    HEAP_END = 0x224,
    COMMAND_LINE = 0x228,
    INITRD_MOST = 0x22c,
    EXTRA_LOAD_FLAGS = 0x236,
    COMMAND_LINE_SIZE = 0x238,
    SETUP_DATA = 0x250,
    PREFERRED_ADDRESS = 0x258,
    INIT_SIZE = 0x260,
    HEADER_END = 0x264,
    /* Older than 2.02: how the command line is found in the setup's segment. */
    OLD_COMMAND_LINE_MAGIC = 0x20,
    OLD_COMMAND_LINE_OFFSET = 0x22,
};
enum {
    LOADED_HIGH = 1 << 0,
    CAN_USE_HEAP = 1 << 7,
    XLF_ABOVE_4G = 1 << 1,
    LOADER_QEMU = 0xb0, /* the number that guests know for emulators that load them */
    OLD_MAGIC = 0xa33f,
    SECTOR = 512,
    OLD_SETUP = 0x90000,
    OLD_COMMAND_LINE = 0x9a000,
    HEAP_SIZE_NEW = 0xe000,
    HEAP_SIZE_OLD = 0x9800,
    SETUP_DATA_DTB = 2,
};
#define MAGIC           UINT32_C(0x53726448) /* "HdrS" */
#define OLD_INITRD_MOST UINT32_C(0x37ffffff)

bool pc_linux_recognise(const PcKernel *kernel)
{
    return kernel->size > HEADER_END && load_le32(kernel->data + HEADER_MAGIC) == MAGIC;
}

/* vga= is for boot loaders. */
static bool set_video_mode(const PcKernel *kernel, uint8_t *setup, GError **error)
{
    static const struct {
        const char *name;
        uint16_t mode;
    } names[] = { { "normal", 0xffff }, { "ext", 0xfffe }, { "ask", 0xfffd } };
    g_auto(GStrv) words = g_strsplit(pc_kernel_command_line(kernel), " ", -1);

    for (char **word = words; *word; word++) {
        const char *value = *word + strlen("vga=");
        long mode = -1;
        char *end;

        if (!g_str_has_prefix(*word, "vga=")) {
            continue;
        }
        for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
            mode = strcmp(value, names[i].name) == 0 ? names[i].mode : mode;
        }
        if (mode < 0) {
            mode = strtol(value, &end, 0);
            if (!*value || *end || mode < 0 || mode > 0xffff) {
                return error_fail(error, KASO_ERROR_INVALID,
                                  "-append: %s: give a mode's number, normal, ext or ask", *word);
            }
        }
        store_le16(setup + VIDEO_MODE, (uint16_t)mode);
    }
    return true;
}

/* Everything that follows from the protocol's version. */
typedef struct {
    unsigned protocol;
    uint8_t *setup;
    uint64_t setup_size, setup_address, command_line_address;
    uint64_t kernel_address, kernel_size;
} LinuxImage;

static bool set_command_line(PcKernel *kernel, LinuxImage *image, GError **error)
{
    const char *text = pc_kernel_command_line(kernel);
    uint64_t size = strlen(text) + 1;
    uint64_t most = image->protocol >= 0x206 ? load_le32(image->setup + COMMAND_LINE_SIZE) : 255;

    if (size - 1 > most || size > PC_KERNEL_COMMAND_LINE_END - PC_KERNEL_COMMAND_LINE) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "-append has %" PRIu64 " characters; the kernel '%s' takes %" PRIu64,
                          size - 1, kernel->pc->machine->config.kernel, most);
    }
    if (image->protocol >= 0x202) {
        store_le32(image->setup + COMMAND_LINE, (uint32_t)image->command_line_address);
    } else {
        store_le16(image->setup + OLD_COMMAND_LINE_MAGIC, OLD_MAGIC);
        store_le16(image->setup + OLD_COMMAND_LINE_OFFSET,
                   (uint16_t)(image->command_line_address - image->setup_address));
    }
    pc_kernel_add(kernel, g_bytes_new(text, size), image->command_line_address, FW_CFG_CMDLINE_DATA,
                  FW_CFG_CMDLINE_SIZE, FW_CFG_CMDLINE_ADDR);
    return true;
}

static uint64_t initrd_limit(const LinuxImage *image)
{
    if (image->protocol >= 0x20c && load_le16(image->setup + EXTRA_LOAD_FLAGS) & XLF_ABOVE_4G) {
        return UINT32_MAX;
    }
    return image->protocol >= 0x203 ? (uint64_t)load_le32(image->setup + INITRD_MOST) + 1
                                    : OLD_INITRD_MOST;
}

/* The end of what the kernel needs while it unpacks itself. */
static uint64_t kernel_end(const LinuxImage *image)
{
    uint64_t end = image->kernel_address + image->kernel_size;

    if (image->protocol >= 0x20a) {
        end = MAX(end, load_le64(image->setup + PREFERRED_ADDRESS) +
                           load_le32(image->setup + INIT_SIZE));
    }
    return end;
}

static bool add_initrd(PcKernel *kernel, LinuxImage *image, GError **error)
{
    const char *path = kernel->pc->machine->config.initrd;
    uint64_t most = kernel->pc->machine->config.ram_bytes;
    GBytes *content = path ? pc_read_file("initrd", path, most, error) : NULL;
    uint64_t size, address;

    if (!content) {
        return !path;
    }
    size = g_bytes_get_size(content);
    address = pc_kernel_place_high(kernel, size, initrd_limit(image));
    if (address < kernel_end(image)) {
        g_bytes_unref(content);
        return error_fail(error, KASO_ERROR_INVALID,
                          "the initrd '%s' (%" PRIu64 " KiB) does not fit into RAM behind the "
                          "kernel, which needs %" PRIu64 " KiB; give more with -m",
                          path, size >> 10, kernel_end(image) >> 10);
    }
    store_le32(image->setup + RAMDISK_ADDRESS, (uint32_t)address);
    store_le32(image->setup + RAMDISK_SIZE, (uint32_t)size);
    pc_kernel_add(kernel, content, address, FW_CFG_INITRD_DATA, FW_CFG_INITRD_SIZE,
                  FW_CFG_INITRD_ADDR);
    return true;
}

/* The kernel behind its setup, and behind that a device tree as "setup data". */
static GBytes *kernel_content(PcKernel *kernel, LinuxImage *image, GError **error)
{
    enum { SETUP_DATA_HEADER = 16 };
    const char *path = kernel->pc->machine->config.dtb;
    g_autoptr(GByteArray) content = g_byte_array_new();
    g_autoptr(GBytes) tree = path ? pc_read_file("device tree", path, MIB(2), error) : NULL;
    uint8_t header[SETUP_DATA_HEADER] = { 0 };
    static const uint8_t padding[16];
    gsize size;
    const void *data;

    if (path && !tree) {
        return NULL;
    }
    if (tree && image->protocol < 0x209) {
        error_fail(error, KASO_ERROR_INVALID, "-dtb: the kernel '%s' is too old for a device tree",
                   kernel->pc->machine->config.kernel);
        return NULL;
    }
    g_byte_array_append(content, kernel->data + image->setup_size, (guint)image->kernel_size);
    if (tree) {
        data = g_bytes_get_data(tree, &size);
        g_byte_array_append(content, padding,
                            (guint)(align_up(content->len, sizeof padding) - content->len));
        store_le64(image->setup + SETUP_DATA, image->kernel_address + content->len);
        store_le32(header + 8, SETUP_DATA_DTB);
        store_le32(header + 12, (uint32_t)size);
        g_byte_array_append(content, header, sizeof header);
        g_byte_array_append(content, data, (guint)size);
    }
    return g_byte_array_free_to_bytes(g_steal_pointer(&content));
}

static void set_header(LinuxImage *image)
{
    uint8_t *setup = image->setup;

    setup[LOADER_TYPE] = LOADER_QEMU;
    if (image->protocol >= 0x201) {
        setup[LOAD_FLAGS] |= CAN_USE_HEAP;
        store_le16(setup + HEAP_END,
                   (uint16_t)((image->protocol >= 0x202 ? HEAP_SIZE_NEW : HEAP_SIZE_OLD) - SECTOR));
    }
    if (image->protocol < 0x202) {
        store_le16(setup + SETUP_MOVE_SIZE, (uint16_t)(OLD_COMMAND_LINE - OLD_SETUP));
    }
}

/* It would unpack itself to the end of what is there, and stop without a word on a serial console. */
static void warn_if_cut_off(const PcKernel *kernel, const LinuxImage *image)
{
    uint64_t said = image->protocol >= 0x204 ? load_le32(kernel->data + PARAGRAPHS)
                                             : load_le16(kernel->data + PARAGRAPHS);

    if (said << 4 > align_up(image->kernel_size, 16)) {
        g_printerr("kaso: warning: kernel '%s' is cut off: of %" PRIu64 " bytes %" PRIu64
                   " are there; it will hardly start\n",
                   kernel->pc->machine->config.kernel, image->setup_size + (said << 4),
                   kernel->size);
    }
}

/* Where all goes: a zImage below its setup, what is older than 2.02 where that code expects itself. */
static bool measure(PcKernel *kernel, LinuxImage *image, GError **error)
{
    const char *path = kernel->pc->machine->config.kernel;
    unsigned sectors = kernel->data[SETUP_SECTS] ? kernel->data[SETUP_SECTS] : 4;
    bool high = kernel->data[LOAD_FLAGS] & LOADED_HIGH;

    image->protocol = load_le16(kernel->data + PROTOCOL);
    image->setup_size = (uint64_t)(sectors + 1) * SECTOR;
    if (image->protocol < 0x200 || image->setup_size >= kernel->size) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "kernel '%s': it speaks boot protocol %x.%02x, or is cut off", path,
                          image->protocol >> 8, image->protocol & 0xff);
    }
    image->kernel_size = kernel->size - image->setup_size;
    image->kernel_address = high ? MIB(1) : PC_KERNEL_SETUP;
    if (image->protocol >= 0x202 && high) {
        image->setup_address = PC_KERNEL_SETUP;
        image->command_line_address = PC_KERNEL_COMMAND_LINE;
    } else {
        image->setup_address = OLD_SETUP;
        image->command_line_address = OLD_COMMAND_LINE;
    }
    if (high ? kernel_end(&(LinuxImage){ .kernel_address = image->kernel_address,
                                         .kernel_size = image->kernel_size }) > kernel->pc->ram_low
             : image->kernel_size > OLD_SETUP - PC_KERNEL_SETUP) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "kernel '%s' does not fit into %" PRIu64 " MiB of RAM", path,
                          kernel->pc->ram_low >> 20);
    }
    return true;
}

bool pc_linux_load(PcKernel *kernel, GError **error)
{
    LinuxImage image = { 0 };
    GBytes *content;
    bool ok;

    if (!measure(kernel, &image, error)) {
        return false;
    }
    warn_if_cut_off(kernel, &image);
    image.setup = g_memdup2(kernel->data, image.setup_size);
    set_header(&image);
    ok = set_video_mode(kernel, image.setup, error) && set_command_line(kernel, &image, error) &&
         add_initrd(kernel, &image, error);
    content = ok ? kernel_content(kernel, &image, error) : NULL;
    if (!content) {
        g_free(image.setup);
        return false;
    }
    pc_kernel_add(kernel, content, image.kernel_address, FW_CFG_KERNEL_DATA, FW_CFG_KERNEL_SIZE,
                  FW_CFG_KERNEL_ADDR);
    pc_kernel_add(kernel, g_bytes_new_take(image.setup, image.setup_size), image.setup_address,
                  FW_CFG_SETUP_DATA, FW_CFG_SETUP_SIZE, FW_CFG_SETUP_ADDR);
    /* The code is at the second sector; the stack and heap end where the protocol says. */
    kernel->entry = (uint32_t)((image.setup_address >> 4) + (SECTOR >> 4)) << 16;
    kernel->stack = (uint32_t)(image.setup_address >> 4) << 16 |
                    (image.protocol >= 0x202 ? HEAP_SIZE_NEW : HEAP_SIZE_OLD);
    return true;
}
