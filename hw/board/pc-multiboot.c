/* SPDX-License-Identifier: MIT */
/* Multiboot kernels (Multiboot Specification 0.6.96): ELF or with load addresses in their header, and modules. */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "hw/board/pc-kernel.h"
#include "hw/nvram/fw_cfg.h"

enum {
    SEARCH_BYTES = 8192,
    /* In the header */
    FLAGS = 4,
    CHECKSUM = 8,
    HEADER_ADDRESS = 12,
    LOAD_ADDRESS = 16,
    LOAD_END = 20,
    BSS_END = 24,
    ENTRY = 28,
    HEADER_BYTES = 32,
    FLAG_ADDRESSES = 1 << 16,
    /* What a loader must not know: flags among the first 16 that it does not */
    FLAGS_UNKNOWN = 0xfff8,
};
#define HEADER_MAGIC UINT32_C(0x1badb002)
#define LOADER_MAGIC UINT32_C(0x2badb002)

/* Offsets in the information structure, and what follows it in our image. */
enum {
    INFO_FLAGS = 0,
    INFO_MEM_LOWER = 4,
    INFO_MEM_UPPER = 8,
    INFO_BOOT_DEVICE = 12,
    INFO_COMMAND_LINE = 16,
    INFO_MODULE_COUNT = 20,
    INFO_MODULES = 24,
    INFO_MAP_LENGTH = 44,
    INFO_MAP = 48,
    INFO_LOADER_NAME = 64,
    INFO_BYTES = 120,
    HAS_MEMORY = 1 << 0,
    HAS_BOOT_DEVICE = 1 << 1,
    HAS_COMMAND_LINE = 1 << 2,
    HAS_MODULES = 1 << 3,
    HAS_MAP = 1 << 6,
    HAS_LOADER_NAME = 1 << 9,
    MODULE_BYTES = 16,
    MODULES_MAX = 64,
    /* A map entry: its size without this field, and what INT 15h gives. */
    MAP_ENTRY_SIZE = 20,
    MAP_AT = INFO_BYTES,
    MODULES_AT = MAP_AT + PC_KERNEL_MAP_ENTRIES * PC_KERNEL_MAP_STRIDE,
    STRINGS_AT = MODULES_AT + MODULES_MAX * MODULE_BYTES,
    INFO_MAX = 0xe000, /* the EBDA may begin above */
};

/* The offset of the header in the file, or SIZE_MAX. */
static size_t find_header(const PcKernel *kernel)
{
    size_t end = MIN(kernel->size, SEARCH_BYTES);

    for (size_t at = 0; at + CHECKSUM + 4 <= end; at += 4) {
        const uint8_t *header = kernel->data + at;

        if (load_le32(header) == HEADER_MAGIC &&
            load_le32(header) + load_le32(header + FLAGS) + load_le32(header + CHECKSUM) == 0) {
            return at;
        }
    }
    return SIZE_MAX;
}

bool pc_multiboot_recognise(const PcKernel *kernel)
{
    return find_header(kernel) != SIZE_MAX;
}

/* A kernel that is no ELF says in its header where it goes. */
static GBytes *read_by_header(const PcKernel *kernel, size_t at, uint64_t *address, uint64_t *entry,
                              GError **error)
{
    const uint8_t *header = kernel->data + at;
    uint32_t load = load_le32(header + LOAD_ADDRESS), place = load_le32(header + HEADER_ADDRESS);
    uint32_t load_end = load_le32(header + LOAD_END), bss_end = load_le32(header + BSS_END);
    uint64_t begin, bytes, memory;
    uint8_t *image;

    begin = at - (uint64_t)(place - load);
    bytes = begin < kernel->size ? kernel->size - begin : 0;
    bytes = load_end ? MIN(bytes, (uint64_t)load_end - load) : bytes;
    memory = bss_end ? MAX(bytes, (uint64_t)bss_end - load) : bytes;
    if (place < load || at < place - load || (load_end && load_end < load) ||
        (bss_end && bss_end < load) || bytes == 0 || load < 0x1000 ||
        load + memory > kernel->pc->ram_low) {
        error_fail(error, KASO_ERROR_INVALID,
                   "kernel '%s': the addresses in its multiboot header (%#x to %#x) are not in the "
                   "file or not in RAM",
                   kernel->pc->machine->config.kernel, load, bss_end ? bss_end : load_end);
        return NULL;
    }
    if (bss_end && bss_end < load + bytes) {
        error_fail(error, KASO_ERROR_INVALID,
                   "kernel '%s': in its multiboot header bss_end_addr (%#x) is before the end of "
                   "what is loaded (%#" PRIx64 "); the header must be mended",
                   kernel->pc->machine->config.kernel, bss_end, load + bytes);
        return NULL;
    }
    image = g_malloc0(memory);
    memcpy(image, kernel->data + begin, bytes);
    *address = load;
    *entry = load_le32(header + ENTRY);
    return g_bytes_new_take(image, memory);
}

/* --- modules and strings --- */

typedef struct {
    uint8_t info[INFO_MAX];
    uint32_t strings; /* offset of the next string in info */
    unsigned modules;
    GByteArray *module_bytes;
    uint64_t modules_address;
} Multiboot;

/* The guest's address of a copy; 0 with an error when there is no room. */
static uint32_t add_string(Multiboot *boot, const char *text, GError **error)
{
    size_t size = strlen(text) + 1;
    uint32_t at = boot->strings;

    if (size > INFO_MAX - at) {
        error_fail(error, KASO_ERROR_INVALID,
                   "the command lines of the kernel and its modules have more than %d bytes",
                   INFO_MAX - STRINGS_AT);
        return 0;
    }
    memcpy(boot->info + at, text, size);
    boot->strings += (uint32_t)size;
    return PC_KERNEL_INFO + at;
}

/* "FILE arguments": the module's command line is all of it. */
static bool add_module(Multiboot *boot, const char *text, GError **error)
{
    static const uint8_t padding[4096];
    const char *trimmed = text + strspn(text, " ");
    g_autofree char *path = g_strndup(trimmed, strcspn(trimmed, " "));
    g_autoptr(GBytes) content = NULL;
    uint8_t *entry = boot->info + MODULES_AT + boot->modules * MODULE_BYTES;
    gsize size;
    const void *data;
    uint32_t command_line;

    if (boot->modules == MODULES_MAX) {
        return error_fail(error, KASO_ERROR_INVALID, "-initrd: more than %d modules", MODULES_MAX);
    }
    content = pc_read_file("module", path, UINT32_MAX / 2, error);
    command_line = content ? add_string(boot, trimmed, error) : 0;
    if (!command_line) {
        return false;
    }
    data = g_bytes_get_data(content, &size);
    g_byte_array_append(
        boot->module_bytes, padding,
        (guint)(align_up(boot->module_bytes->len, sizeof padding) - boot->module_bytes->len));
    /* Addresses are within the image until its place is known. */
    store_le32(entry, boot->module_bytes->len);
    g_byte_array_append(boot->module_bytes, data, (guint)size);
    store_le32(entry + 4, boot->module_bytes->len);
    store_le32(entry + 8, command_line);
    boot->modules++;
    return true;
}

/* Modules are separated by commas; two are one of a module's text. */
static bool add_modules(Multiboot *boot, const char *list, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (const char *at = list; at; at++) {
        if (at[0] == ',' && at[1] == ',') {
            at++;
        } else if (*at == ',' || !*at) {
            if (!add_module(boot, text->str, error)) {
                return false;
            }
            g_string_truncate(text, 0);
            if (!*at) {
                break;
            }
            continue;
        }
        g_string_append_c(text, *at);
    }
    return true;
}

static void relocate_modules(Multiboot *boot, uint64_t address)
{
    for (unsigned i = 0; i < boot->modules; i++) {
        uint8_t *entry = boot->info + MODULES_AT + i * MODULE_BYTES;

        store_le32(entry, (uint32_t)(load_le32(entry) + address));
        store_le32(entry + 4, (uint32_t)(load_le32(entry + 4) + address));
    }
}

static bool fill_info(const PcKernel *kernel, Multiboot *boot, GError **error)
{
    const MachineConfig *config = &kernel->pc->machine->config;
    const char *append = pc_kernel_command_line(kernel);
    g_autofree char *text = g_strdup_printf("%s%s%s", config->kernel, *append ? " " : "", append);
    uint32_t command_line = add_string(boot, text, error);
    uint32_t name = command_line ? add_string(boot, "kaso", error) : 0;

    if (!name) {
        return false;
    }
    store_le32(boot->info + INFO_FLAGS, HAS_MEMORY | HAS_BOOT_DEVICE | HAS_COMMAND_LINE |
                                            HAS_MODULES | HAS_MAP | HAS_LOADER_NAME);
    store_le32(boot->info + INFO_MEM_LOWER, 639);
    store_le32(boot->info + INFO_BOOT_DEVICE, 0x8000ffff); /* the first disk */
    store_le32(boot->info + INFO_COMMAND_LINE, command_line);
    store_le32(boot->info + INFO_MODULE_COUNT, boot->modules);
    store_le32(boot->info + INFO_MODULES, PC_KERNEL_INFO + MODULES_AT);
    store_le32(boot->info + INFO_MAP, PC_KERNEL_INFO + MAP_AT);
    store_le32(boot->info + INFO_LOADER_NAME, name);
    for (unsigned i = 0; i < PC_KERNEL_MAP_ENTRIES; i++) {
        store_le32(boot->info + MAP_AT + i * PC_KERNEL_MAP_STRIDE, MAP_ENTRY_SIZE);
    }
    return true;
}

/* Modules lie behind the kernel, page by page; the option ROM writes the memory map. */
static bool add_images(PcKernel *kernel, Multiboot *boot, GBytes *image, uint64_t address,
                       GError **error)
{
    uint64_t after = align_up(address + g_bytes_get_size(image), 4096);

    after = MAX(after, MIB(1));
    if (after + boot->module_bytes->len > kernel->pc->ram_low) {
        g_bytes_unref(image);
        return error_fail(error, KASO_ERROR_INVALID,
                          "the modules (%u KiB) do not fit into RAM behind the kernel; give more "
                          "with -m",
                          boot->module_bytes->len >> 10);
    }
    relocate_modules(boot, after);
    pc_kernel_add(kernel, image, address, FW_CFG_KERNEL_DATA, FW_CFG_KERNEL_SIZE,
                  FW_CFG_KERNEL_ADDR);
    pc_kernel_add(kernel, g_bytes_new(boot->module_bytes->data, boot->module_bytes->len), after,
                  FW_CFG_INITRD_DATA, FW_CFG_INITRD_SIZE, FW_CFG_INITRD_ADDR);
    pc_kernel_add(kernel, g_bytes_new(boot->info, boot->strings), PC_KERNEL_INFO, FW_CFG_SETUP_DATA,
                  0, 0);
    return true;
}

bool pc_multiboot_load(PcKernel *kernel, GError **error)
{
    size_t at = find_header(kernel);
    uint32_t flags = load_le32(kernel->data + at + FLAGS);
    g_autofree Multiboot *boot = g_new0(Multiboot, 1);
    uint64_t address = 0, entry = 0;
    GBytes *image;
    bool ok;

    if (flags & FLAGS_UNKNOWN || (flags & FLAG_ADDRESSES && at + HEADER_BYTES > kernel->size)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "kernel '%s': its multiboot header asks for what is unknown (flags %#x)",
                          kernel->pc->machine->config.kernel, flags);
    }
    image = flags & FLAG_ADDRESSES ? read_by_header(kernel, at, &address, &entry, error)
                                   : pc_kernel_read_elf(kernel, &address, &entry, error);
    if (!image) {
        return false;
    }
    boot->strings = STRINGS_AT;
    boot->module_bytes = g_byte_array_new();
    ok = add_modules(boot, kernel->pc->machine->config.initrd, error) &&
         fill_info(kernel, boot, error);
    if (ok) {
        ok = add_images(kernel, boot, image, address, error);
    } else {
        g_bytes_unref(image);
    }
    g_byte_array_unref(boot->module_bytes);
    kernel->protected_mode = true;
    kernel->entry = (uint32_t)entry;
    kernel->stack = PC_KERNEL_INFO;
    kernel->eax = LOADER_MAGIC;
    kernel->ebx = PC_KERNEL_INFO;
    kernel->map = PC_KERNEL_INFO + MAP_AT + 4;
    kernel->map_count = PC_KERNEL_INFO + INFO_MAP_LENGTH;
    kernel->map_unit = PC_KERNEL_MAP_STRIDE;
    kernel->map_upper = PC_KERNEL_INFO + INFO_MEM_UPPER;
    return ok;
}
