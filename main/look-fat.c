/* SPDX-License-Identifier: MIT */
/* FAT file systems (Microsoft's "FAT32 File System Specification"): what is in EFI/BOOT (UEFI, 3.5.1.1). */
#include <string.h>

#include "base/bits.h"
#include "main/look.h"

enum {
    ENTRY = 32,
    NAME = 11,
    ATTRIBUTE_FOLDER = 0x10,
    CLUSTERS_MAX = 4096,
    END_OF_CHAIN = 0x0ffffff8
};

typedef struct {
    Reader *reader;
    uint64_t start, data; /* of the file system and its first cluster */
    uint32_t cluster_bytes, fat_start, clusters;
    unsigned bits; /* of an entry in the FAT: 12, 16 or 32 */
    uint64_t root; /* FAT12 and 16 */
    uint32_t root_bytes, root_cluster;
} Fat;

static bool open_fat(Fat *fat, Reader *reader, uint64_t start)
{
    uint8_t boot[512];
    uint32_t sector, sectors, fat_sectors, root_entries;
    uint64_t used;

    if (!reader_read(reader, start, boot, sizeof(boot)) || boot[510] != 0x55 || boot[511] != 0xaa) {
        return false;
    }
    sector = load_le16(boot + 11);
    sectors = load_le16(boot + 19) ? load_le16(boot + 19) : load_le32(boot + 32);
    fat_sectors = load_le16(boot + 22) ? load_le16(boot + 22) : load_le32(boot + 36);
    root_entries = load_le16(boot + 17);
    if (!is_power_of_two(sector) || sector < 512 || sector > 4096 || !is_power_of_two(boot[13]) ||
        !boot[13] || !fat_sectors || boot[16] > 4) {
        return false;
    }
    *fat = (Fat){ .reader = reader, .start = start, .cluster_bytes = sector * boot[13] };
    fat->fat_start = load_le16(boot + 14) * sector;
    fat->root = start + fat->fat_start + (uint64_t)boot[16] * fat_sectors * sector;
    fat->root_bytes = root_entries * ENTRY;
    fat->data = fat->root + fat->root_bytes;
    used = fat->data - start;
    fat->clusters = (uint64_t)sectors * sector > used
                        ? (uint32_t)(((uint64_t)sectors * sector - used) / fat->cluster_bytes)
                        : 0;
    fat->bits = fat->clusters < 4085 ? 12 : fat->clusters < 65525 ? 16 : 32;
    fat->root_cluster = fat->bits == 32 ? load_le32(boot + 44) : 0;
    return true;
}

static uint32_t next_cluster(const Fat *fat, uint32_t cluster)
{
    uint64_t at = fat->start + fat->fat_start + (uint64_t)cluster * fat->bits / 8;
    uint8_t bytes[4] = { 0 };
    uint32_t value;

    if (!reader_read(fat->reader, at, bytes, fat->bits == 32 ? 4 : 2)) {
        return END_OF_CHAIN;
    }
    value = fat->bits == 32 ? load_le32(bytes) & 0x0fffffff : load_le16(bytes);
    if (fat->bits == 12) {
        value = cluster & 1 ? value >> 4 : value & 0xfff;
    }
    return value < 2 || value >= fat->clusters + 2 ? END_OF_CHAIN : value;
}

/* Calls fn for each entry until it returns true. */
typedef bool EntryFunction(const uint8_t *entry, void *opaque);

static bool scan(const Fat *fat, uint64_t at, size_t size, EntryFunction *fn, void *opaque)
{
    uint8_t entry[ENTRY];

    for (size_t i = 0; i + ENTRY <= size; i += ENTRY) {
        if (!reader_read(fat->reader, at + i, entry, ENTRY) || entry[0] == 0 ||
            (entry[0] != 0xe5 && (entry[11] & 0x0f) != 0x0f && fn(entry, opaque))) {
            return true;
        }
    }
    return false;
}

/* cluster 0: the root. */
static void scan_folder(const Fat *fat, uint32_t cluster, EntryFunction *fn, void *opaque)
{
    if (!cluster && fat->bits != 32) {
        scan(fat, fat->root, fat->root_bytes, fn, opaque);
        return;
    }
    cluster = cluster ? cluster : fat->root_cluster;
    for (unsigned i = 0; i < CLUSTERS_MAX && cluster >= 2 && cluster < fat->clusters + 2; i++) {
        if (scan(fat, fat->data + (uint64_t)(cluster - 2) * fat->cluster_bytes, fat->cluster_bytes,
                 fn, opaque)) {
            return;
        }
        cluster = next_cluster(fat, cluster);
    }
}

typedef struct {
    const char *name; /* as entries spell it */
    uint32_t cluster;
} FolderSearch;

static bool match_folder(const uint8_t *entry, void *opaque)
{
    FolderSearch *search = opaque;

    if (entry[11] & ATTRIBUTE_FOLDER && memcmp(entry, search->name, NAME) == 0) {
        search->cluster = load_le16(entry + 26) | (uint32_t)load_le16(entry + 20) << 16;
        return true;
    }
    return false;
}

static uint32_t find_folder(const Fat *fat, uint32_t in, const char *name)
{
    FolderSearch search = { name, 0 };

    scan_folder(fat, in, match_folder, &search);
    return search.cluster;
}

static bool match_program(const uint8_t *entry, void *opaque)
{
    static const struct {
        const char *name;
        unsigned processor;
    } programs[] = {
        { "BOOTX64 EFI", LOOK_X86_64 },
        { "BOOTIA32EFI", LOOK_I386 },
        { "BOOTAA64EFI", LOOK_AARCH64 },
        { "BOOTARM EFI", LOOK_ARM },
    };

    for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
        if (memcmp(entry, programs[i].name, NAME) == 0) {
            *(unsigned *)opaque |= programs[i].processor;
        }
    }
    return false;
}

unsigned look_for_efi_programs(Reader *reader, uint64_t start)
{
    Fat fat;
    uint32_t efi, boot;
    unsigned processors = 0;

    if (!open_fat(&fat, reader, start)) {
        return 0;
    }
    efi = find_folder(&fat, 0, "EFI        ");
    boot = efi ? find_folder(&fat, efi, "BOOT       ") : 0;
    if (boot) {
        scan_folder(&fat, boot, match_program, &processors);
    }
    return processors;
}
