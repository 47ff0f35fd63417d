/* SPDX-License-Identifier: MIT */
/* Kernels with a PVH entry point (Xen, docs/misc/pvh.markdown): ELF with a note that names a 32-bit entry. */
#include <elf.h>
#include <string.h>

#include "base/error.h"
#include "hw/board/pc-kernel.h"
#include "hw/nvram/fw_cfg.h"

enum {
    NOTE_PHYS32_ENTRY = 18,
    NOTE_HEADER = 12,
    /* struct hvm_start_info, version 1 */
    START_VERSION = 4,
    START_MODULES = 12,
    START_MODULE_LIST = 16,
    START_COMMAND_LINE = 24,
    START_MAP = 40,
    START_MAP_ENTRIES = 48,
    START_BYTES = 56,
    /* struct hvm_modlist_entry */
    MODULE_AT = 64,
    MODULE_BYTES = 32,
    MAP_AT = MODULE_AT + MODULE_BYTES,
    INFO_BYTES = MAP_AT + PC_KERNEL_MAP_ENTRIES * PC_KERNEL_MAP_STRIDE,
};
#define START_MAGIC UINT32_C(0x336ec578)

/* The value of Xen's note of that type among `size` bytes of notes, or 0. */
static uint64_t find_note(const uint8_t *notes, uint64_t size)
{
    uint64_t at = 0;

    while (size - at >= NOTE_HEADER) {
        uint64_t name = load_le32(notes + at), description = load_le32(notes + at + 4);
        uint32_t type = load_le32(notes + at + 8);
        uint64_t value = at + NOTE_HEADER + align_up(name, 4);

        if (value > size || description > size - value) {
            return 0;
        }
        if (type == NOTE_PHYS32_ENTRY && name == 4 && description >= 4 &&
            memcmp(notes + at + NOTE_HEADER, "Xen", 4) == 0) {
            return load_le32(notes + value);
        }
        at = value + align_up(description, 4);
        if (at > size) {
            return 0;
        }
    }
    return 0;
}

/* Program headers of type PT_NOTE, in either width of ELF. */
static uint64_t pvh_entry(const PcKernel *kernel)
{
    const uint8_t *data = kernel->data;
    bool wide = kernel->size > sizeof(Elf64_Ehdr) && data[EI_CLASS] == ELFCLASS64;
    uint64_t header, count, stride, entry = 0;

    if (kernel->size <= sizeof(Elf64_Ehdr) || memcmp(data, ELFMAG, SELFMAG) != 0) {
        return 0;
    }
    header = wide ? load_le64(data + offsetof(Elf64_Ehdr, e_phoff))
                  : load_le32(data + offsetof(Elf32_Ehdr, e_phoff));
    count =
        load_le16(data + (wide ? offsetof(Elf64_Ehdr, e_phnum) : offsetof(Elf32_Ehdr, e_phnum)));
    stride = wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    for (uint64_t i = 0; i < count && !entry; i++, header += stride) {
        uint64_t offset, size;

        if (header > kernel->size || kernel->size - header < stride) {
            return 0;
        }
        if (load_le32(data + header) != PT_NOTE) {
            continue;
        }
        offset = wide ? load_le64(data + header + offsetof(Elf64_Phdr, p_offset))
                      : load_le32(data + header + offsetof(Elf32_Phdr, p_offset));
        size = wide ? load_le64(data + header + offsetof(Elf64_Phdr, p_filesz))
                    : load_le32(data + header + offsetof(Elf32_Phdr, p_filesz));
        if (offset <= kernel->size && size <= kernel->size - offset) {
            entry = find_note(data + offset, size);
        }
    }
    return entry;
}

bool pc_pvh_recognise(const PcKernel *kernel)
{
    return pvh_entry(kernel) != 0;
}

static bool add_initrd(PcKernel *kernel, uint8_t *info, uint64_t after, GError **error)
{
    const char *path = kernel->pc->machine->config.initrd;
    uint64_t most = kernel->pc->machine->config.ram_bytes;
    GBytes *content = path ? pc_read_file("initrd", path, most, error) : NULL;
    uint64_t size, address;

    if (!content) {
        return !path;
    }
    size = g_bytes_get_size(content);
    address = pc_kernel_place_high(kernel, size, UINT32_MAX);
    if (address < after) {
        g_bytes_unref(content);
        return error_fail(error, KASO_ERROR_INVALID,
                          "the initrd '%s' does not fit into RAM behind the kernel; give more with "
                          "-m",
                          path);
    }
    store_le32(info + START_MODULES, 1);
    store_le64(info + START_MODULE_LIST, PC_KERNEL_INFO + MODULE_AT);
    store_le64(info + MODULE_AT, address);
    store_le64(info + MODULE_AT + 8, size);
    pc_kernel_add(kernel, content, address, FW_CFG_INITRD_DATA, FW_CFG_INITRD_SIZE,
                  FW_CFG_INITRD_ADDR);
    return true;
}

bool pc_pvh_load(PcKernel *kernel, GError **error)
{
    const char *text = pc_kernel_command_line(kernel);
    g_autofree uint8_t *info = g_malloc0(INFO_BYTES);
    uint64_t address, elf_entry;
    GBytes *image = pc_kernel_read_elf(kernel, &address, &elf_entry, error);

    if (!image) {
        return false;
    }
    pc_kernel_add(kernel, image, address, FW_CFG_KERNEL_DATA, FW_CFG_KERNEL_SIZE,
                  FW_CFG_KERNEL_ADDR);
    if (strlen(text) >= PC_KERNEL_COMMAND_LINE_END - PC_KERNEL_COMMAND_LINE) {
        return error_fail(error, KASO_ERROR_INVALID, "-append has %zu characters, more than %d",
                          strlen(text), PC_KERNEL_COMMAND_LINE_END - PC_KERNEL_COMMAND_LINE - 1);
    }
    if (!add_initrd(kernel, info, address + g_bytes_get_size(image), error)) {
        return false;
    }
    store_le32(info, START_MAGIC);
    store_le32(info + START_VERSION, 1);
    store_le64(info + START_COMMAND_LINE, PC_KERNEL_COMMAND_LINE);
    store_le64(info + START_MAP, PC_KERNEL_INFO + MAP_AT);
    pc_kernel_add(kernel, g_bytes_new(text, strlen(text) + 1), PC_KERNEL_COMMAND_LINE,
                  FW_CFG_CMDLINE_DATA, FW_CFG_CMDLINE_SIZE, FW_CFG_CMDLINE_ADDR);
    pc_kernel_add(kernel, g_bytes_new(info, INFO_BYTES), PC_KERNEL_INFO, FW_CFG_SETUP_DATA, 0, 0);
    kernel->protected_mode = true;
    kernel->entry = (uint32_t)pvh_entry(kernel);
    kernel->stack = PC_KERNEL_INFO;
    kernel->ebx = PC_KERNEL_INFO;
    kernel->map = PC_KERNEL_INFO + MAP_AT;
    kernel->map_count = PC_KERNEL_INFO + START_MAP_ENTRIES;
    kernel->map_unit = 1;
    return true;
}
