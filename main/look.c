/* SPDX-License-Identifier: MIT */
/* See the header. Magic numbers are those of the formats' specifications. */
#include "main/look.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bits.h"
#include "base/error.h"
#include "block/block.h"

enum { SECTOR = 512, DISC_SECTOR = 2048, GPT_ENTRIES_MAX = 128 };

struct Reader {
    GMainContext *context;
    BlockGraph *graph;
    BlockBackend *image;
    uint64_t size;
};

typedef struct {
    bool done;
    int result;
} Waiting;

static void take_result(void *opaque, int result)
{
    *(Waiting *)opaque = (Waiting){ true, result };
}

bool reader_read(Reader *reader, uint64_t offset, void *buffer, size_t size)
{
    /* The block layer reads whole sectors. */
    uint64_t start = offset & ~UINT64_C(511);
    size_t bytes = (size_t)align_up(offset + size - start, SECTOR);
    g_autofree uint8_t *sectors = g_malloc(bytes);
    struct iovec vector = { sectors, bytes };
    Waiting waiting = { 0 };

    if (offset > reader->size || size > reader->size - offset || start + bytes > reader->size) {
        return false;
    }
    block_read(reader->image, start, &vector, 1, take_result, &waiting);
    while (!waiting.done) {
        g_main_context_iteration(reader->context, true);
    }
    if (waiting.result == 0) {
        memcpy(buffer, sectors + (offset - start), size);
    }
    return waiting.result == 0;
}

/* Disks. */

static const uint8_t guid_efi[16] = { 0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11,
                                      0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b };
static const uint8_t guid_bios_boot[16] = { 0x48, 0x61, 0x68, 0x21, 0x49, 0x64, 0x6f, 0x6e,
                                            0x74, 0x4e, 0x65, 0x65, 0x64, 0x45, 0x46, 0x49 };
static const uint8_t guid_linux[16] = { 0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47,
                                        0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4 };
/* Root partitions by processor: x86-64 and ARM64 (the Discoverable Partitions Specification). */
static const uint8_t guid_root_x86[16] = { 0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d,
                                           0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09 };
static const uint8_t guid_root_arm[16] = { 0x45, 0xb0, 0x21, 0xb9, 0xf0, 0x1d, 0xc3, 0x41,
                                           0xaf, 0x44, 0x4c, 0x6f, 0x28, 0x0d, 0x3f, 0xae };

static void look_at_gpt(Reader *reader, Look *look, bool *bios_partition)
{
    uint8_t header[SECTOR], entry[128];
    uint64_t table;
    uint32_t count, size;

    if (!reader_read(reader, SECTOR, header, sizeof(header)) ||
        memcmp(header, "EFI PART", 8) != 0) {
        return;
    }
    table = load_le64(header + 72);
    count = MIN(load_le32(header + 80), GPT_ENTRIES_MAX);
    size = load_le32(header + 84);
    if (size < sizeof(entry) || size > 4096 || table > reader->size / SECTOR) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!reader_read(reader, table * SECTOR + (uint64_t)i * size, entry, sizeof(entry))) {
            return;
        }
        if (memcmp(entry, guid_efi, 16) == 0 && load_le64(entry + 32) < reader->size / SECTOR) {
            look->efi |= look_for_efi_programs(reader, load_le64(entry + 32) * SECTOR);
        }
        *bios_partition |= memcmp(entry, guid_bios_boot, 16) == 0;
        look->linux_system |= memcmp(entry, guid_linux, 16) == 0 ||
                              memcmp(entry, guid_root_x86, 16) == 0 ||
                              memcmp(entry, guid_root_arm, 16) == 0;
    }
}

static void look_at_disk(Reader *reader, Look *look, const uint8_t *boot)
{
    enum { TYPE_GPT = 0xee, TYPE_EFI = 0xef, TYPE_LINUX = 0x83, TYPE_LVM = 0x8e };
    static const uint8_t nothing[64] = { 0 };
    bool gpt = false, bios_partition = false;

    look->kind = LOOK_DISK;
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *entry = boot + 446 + 16 * i;
        unsigned type = entry[4];

        gpt |= type == TYPE_GPT;
        look->linux_system |= type == TYPE_LINUX || type == TYPE_LVM;
        if (type == TYPE_EFI) {
            look->efi |= look_for_efi_programs(reader, (uint64_t)load_le32(entry + 8) * SECTOR);
        }
    }
    if (gpt) {
        look_at_gpt(reader, look, &bios_partition);
    } else {
        look->efi |= look_for_efi_programs(reader, 0); /* a file system without partitions */
    }
    /* Code of a boot loader; partitioning programs leave zeroes. */
    look->bios =
        memcmp(boot, nothing, sizeof(nothing)) != 0 && (!gpt || bios_partition || !look->efi);
    look->what = look->efi && look->bios ? "a disk that boots by BIOS and EFI"
                 : look->efi             ? "a disk that boots by EFI"
                 : look->bios            ? "a disk that boots by BIOS"
                                         : "a disk without a boot loader";
}

/* El Torito: the boot catalogue names an image for the BIOS and a FAT file system for EFI. */
static void look_at_disc(Reader *reader, Look *look)
{
    enum { PLATFORM_X86 = 0, PLATFORM_EFI = 0xef, BOOTABLE = 0x88 };
    uint8_t record[DISC_SECTOR], catalogue[DISC_SECTOR];
    unsigned platform;

    look->kind = LOOK_DISC;
    look->format = "raw";
    look->what = "a CD that boots nothing";
    if (!reader_read(reader, 17 * DISC_SECTOR, record, sizeof(record)) ||
        memcmp(record + 7, "EL TORITO SPECIFICATION", 23) != 0 ||
        !reader_read(reader, (uint64_t)load_le32(record + 71) * DISC_SECTOR, catalogue,
                     sizeof(catalogue)) ||
        catalogue[0] != 1) {
        return;
    }
    platform = catalogue[1];
    for (unsigned at = 32; at + 32 <= sizeof(catalogue); at += 32) {
        const uint8_t *entry = catalogue + at;

        if (entry[0] == 0x90 || entry[0] == 0x91) {
            platform = entry[1];
        } else if (entry[0] == BOOTABLE && platform == PLATFORM_EFI) {
            look->efi |=
                look_for_efi_programs(reader, (uint64_t)load_le32(entry + 8) * DISC_SECTOR);
        } else if (entry[0] == BOOTABLE && platform == PLATFORM_X86) {
            look->bios = true;
        }
    }
    look->what = look->efi && look->bios ? "a CD that boots by BIOS and EFI"
                 : look->efi             ? "a CD that boots by EFI"
                                         : "a CD that boots by BIOS";
}

/* Kernels, firmware and programs. */

static bool has(const uint8_t *data, size_t size, size_t offset, const char *bytes, size_t length)
{
    return size >= offset + length && memcmp(data + offset, bytes, length) == 0;
}

static unsigned elf_processor(const uint8_t *data, size_t size)
{
    unsigned machine = size >= 20 ? load_le16(data + 18) : 0;

    return machine == EM_X86_64    ? LOOK_X86_64
           : machine == EM_386     ? LOOK_I386
           : machine == EM_AARCH64 ? LOOK_AARCH64
           : machine == EM_ARM     ? LOOK_ARM
                                   : 0;
}

/* A program of an operating system: it names the loader that it wants there. */
static bool is_user_program(const uint8_t *data, size_t size)
{
    bool wide = size > EI_CLASS && data[EI_CLASS] == ELFCLASS64;
    uint64_t at, entry;

    if (size < sizeof(Elf64_Ehdr) || memcmp(data, ELFMAG, SELFMAG) != 0) {
        return false;
    }
    at = wide ? load_le64(data + offsetof(Elf64_Ehdr, e_phoff))
              : load_le32(data + offsetof(Elf32_Ehdr, e_phoff));
    entry = wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    for (unsigned i = load_le16(
             data + (wide ? offsetof(Elf64_Ehdr, e_phnum) : offsetof(Elf32_Ehdr, e_phnum)));
         i && at < size && size - at >= entry; i--, at += entry) {
        if (load_le32(data + at) == PT_INTERP) {
            return true;
        }
    }
    return false;
}

static unsigned pe_processor(const uint8_t *data, size_t size)
{
    uint32_t header = size >= 64 ? load_le32(data + 0x3c) : 0;
    unsigned machine;

    if (!has(data, size, 0, "MZ", 2) || header > size || size - header < 6 ||
        memcmp(data + header, "PE\0\0", 4) != 0) {
        return 0;
    }
    machine = load_le16(data + header + 4);
    return machine == 0x8664   ? LOOK_X86_64
           : machine == 0x14c  ? LOOK_I386
           : machine == 0xaa64 ? LOOK_AARCH64
           : machine == 0x1c2  ? LOOK_ARM
                               : 0;
}

/* It begins with a branch, and has its name and year somewhere. */
static unsigned uboot_processor(const uint8_t *data, size_t size)
{
    uint32_t first = size >= 4 ? load_le32(data) : 0;
    unsigned processor = first >> 26 == 5 ? LOOK_AARCH64 : first >> 24 == 0xea ? LOOK_ARM : 0;

    return processor && memmem(data, size, "U-Boot 20", 9) ? processor : 0;
}

static void set(Look *look, LookKind kind, unsigned processors, const char *what)
{
    look->kind = kind;
    look->processors = processors;
    look->what = what;
}

/* false: it is nothing of the kind. */
static bool look_at_code(const uint8_t *data, size_t size, Look *look)
{
    if (has(data, size, 0x38, "ARM\x64", 4)) {
        set(look, LOOK_KERNEL, LOOK_AARCH64, "a Linux kernel for 64-bit ARM");
    } else if (has(data, size, 0x202, "HdrS", 4)) {
        /* xloadflags: a 64-bit entry. */
        set(look, LOOK_KERNEL, size > 0x236 && data[0x236] & 1 ? LOOK_X86_64 : LOOK_I386,
            "a Linux kernel for x86");
    } else if (has(data, size, 0x24, "\x18\x28\x6f\x01", 4)) {
        set(look, LOOK_KERNEL, LOOK_ARM, "a Linux kernel for 32-bit ARM");
    } else if (has(data, size, 0, ELFMAG, SELFMAG) && elf_processor(data, size)) {
        set(look, LOOK_KERNEL, elf_processor(data, size), "a kernel in ELF");
    } else if (has(data, size, 4, "zimg", 4) && pe_processor(data, size)) {
        set(look, LOOK_KERNEL, pe_processor(data, size), "a packed Linux kernel");
    } else if (pe_processor(data, size)) {
        set(look, LOOK_PROGRAM, pe_processor(data, size), "an EFI program");
    } else if (uboot_processor(data, size)) {
        set(look, LOOK_FIRMWARE, uboot_processor(data, size), "U-Boot");
    } else {
        return false;
    }
    return true;
}

static BlockBackend *open_image(Reader *reader, const char *path, GError **error)
{
    g_autoptr(GHashTable) options = g_hash_table_new(g_str_hash, g_str_equal);

    g_hash_table_insert(options, (void *)"file", (void *)(uintptr_t)path);
    g_hash_table_insert(options, (void *)"readonly", (void *)"on");
    g_hash_table_insert(options, (void *)"file.locking", (void *)"off");
    return block_open(reader->graph, options, error);
}

static void look_at_image(Reader *reader, Look *look)
{
    uint8_t sector[DISC_SECTOR];

    look->format = block_driver_name(reader->image);
    if (reader_read(reader, 16 * DISC_SECTOR, sector, sizeof(sector)) &&
        memcmp(sector + 1, "CD001", 5) == 0) {
        look_at_disc(reader, look);
    } else if (reader_read(reader, 0, sector, SECTOR) &&
               ((sector[510] == 0x55 && sector[511] == 0xaa) || strcmp(look->format, "raw") != 0)) {
        look_at_disk(reader, look, sector);
    } else {
        look->kind = LOOK_UNKNOWN;
    }
}

bool look_at(const char *path, Look *look, GError **error)
{
    Reader reader = { 0 };
    g_autofree uint8_t *head = g_malloc(1 << 20);
    size_t size;
    struct stat st;
    FILE *file;

    *look = (Look){ 0 };
    if (stat(path, &st) == 0 && S_ISFIFO(st.st_mode)) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "'%s' is a pipe, which can be read only once; -kernel and -initrd take one", path);
    }
    file = fopen(path, "rb");
    if (!file) {
        return error_fail_errno(error, errno, "cannot read '%s'", path);
    }
    size = fread(head, 1, 1 << 20, file);
    fclose(file);
    if (g_file_test(path, G_FILE_TEST_IS_DIR)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "'%s' is a folder; -drive file=fat:%s,format=raw,if=virtio shows it to a "
                          "guest as a disk",
                          path, path);
    }
    if (is_user_program(head, size)) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "'%s' is a program for an operating system, no kernel: it runs in a guest", path);
    }
    if (look_at_code(head, size, look)) {
        return true;
    }
    reader.context = g_main_context_new();
    reader.graph = block_graph_new(reader.context);
    reader.image = open_image(&reader, path, error);
    if (reader.image) {
        reader.size = block_size(reader.image);
        look_at_image(&reader, look);
        block_close(reader.image);
    }
    block_graph_free(reader.graph);
    g_main_context_unref(reader.context);
    return look->kind != LOOK_UNKNOWN ||
           (error && *error
                ? false
                : error_fail(
                      error, KASO_ERROR_INVALID,
                      "'%s' is no disk, CD, kernel, EFI program or firmware that is known; name "
                      "machine and use: -M pc -hda, -cdrom, -kernel or -bios",
                      path));
}
