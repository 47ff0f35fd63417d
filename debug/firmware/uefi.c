/* SPDX-License-Identifier: MIT */
/* UEFI in guest memory (UEFI 2.10, sections 4.3, 4.6, 9.1 and 18.4), 64 bit; firmware maps memory to itself. */
#include "debug/firmware/uefi.h"

#include <string.h>

#include "base/bits.h"
#include "debug/firmware/uefi-private.h"
#include "debug/memory.h"
#include "debug/symbols/file.h"
#include "debug/symbols/pe.h"

enum {
    SYSTEM_TABLE_BYTES = 120,
    LOADED_IMAGE_BYTES = 96,
    IMAGE_INFO_NORMAL = 1,
    IMAGE_BYTES_MAX = 256 << 20,
    VENDOR_MAX_CHARS = 100,
    TRIES_MAX = 64, /* signatures that may be of a system table */
};
#define DEBUG_IMAGE_INFO "49152e77-1ada-4764-b7a2-7afefed95e8b"

static const struct {
    const char *guid, *name;
} known_tables[] = {
    { DEBUG_IMAGE_INFO, "debug image info" },
    { "8868e871-e4f1-11d3-bc22-0080c73c8881", "ACPI 2.0" },
    { "eb9d2d30-2d88-11d3-9a16-0090273fc14d", "ACPI 1.0" },
    { "eb9d2d31-2d88-11d3-9a16-0090273fc14d", "SMBIOS" },
    { "f2fd1544-9794-4a2c-992e-e5bbcf20e394", "SMBIOS 3" },
    { "b1b621d5-f19c-41a5-830b-d9152c69aae0", "device tree" },
    { "05ad34ba-6f02-4214-952e-4da0398e2bb9", "DXE services" },
    { "7739f24c-93d7-11d4-9a3a-0090273fc14d", "HOB list" },
    { "dcfa911d-26eb-469f-a220-38b7dc461220", "memory attributes" },
};

static bool read_word(Machine *machine, uint64_t address, uint64_t *value)
{
    return debug_memory_read(machine, address, value, 8);
}

static bool read_tables(Machine *machine, UefiInfo *info, uint64_t address, uint64_t count)
{
    for (uint64_t i = 0; i < MIN(count, UEFI_TABLES_MAX); i++) {
        UefiTable table = { .name = NULL };
        uint8_t entry[24];

        if (!debug_memory_read(machine, address + i * sizeof entry, entry, sizeof entry)) {
            return false;
        }
        uefi_format_guid(entry, table.guid);
        table.address = load_le64(entry + 16);
        for (unsigned k = 0; k < G_N_ELEMENTS(known_tables); k++) {
            if (!strcmp(known_tables[k].guid, table.guid)) {
                table.name = known_tables[k].name;
            }
        }
        g_array_append_val(info->tables, table);
    }
    return count <= UEFI_TABLES_MAX;
}

typedef struct {
    Machine *machine;
    uint64_t base;
} ImageMemory;

static bool read_image_memory(void *opaque, uint64_t offset, void *buffer, size_t size)
{
    const ImageMemory *memory = opaque;

    return offset < IMAGE_BYTES_MAX &&
           debug_memory_read(memory->machine, memory->base + offset, buffer, size);
}

/* By the debug file's path, which release builds leave out; else by what was loaded. */
static void name_image(Machine *machine, UefiImage *image, uint64_t path, GHashTable **files)
{
    ImageMemory memory = { machine, image->base };
    PeImage pe;

    if (pe_parse(&pe, read_image_memory, &memory, true)) {
        image->name = pe_name(&pe);
        image->pdb = *pe.pdb && g_utf8_validate(pe.pdb, -1, NULL) ? g_strdup(pe.pdb) : NULL;
    }
    if (!image->name) {
        *files = *files ? *files : uefi_file_names(machine);
        image->name = uefi_path_name(machine, path, *files);
    }
}

static void add_image(Machine *machine, UefiInfo *info, uint64_t entry, GHashTable **files)
{
    uint8_t record[24], loaded[LOADED_IMAGE_BYTES];
    UefiImage image = { 0 };

    if (!entry || !debug_memory_read(machine, entry, record, sizeof record) ||
        load_le32(record) != IMAGE_INFO_NORMAL ||
        !debug_memory_read(machine, load_le64(record + 8), loaded, sizeof loaded)) {
        return;
    }
    image.base = load_le64(loaded + 64);
    image.size = load_le64(loaded + 72);
    if (!image.size || image.size > IMAGE_BYTES_MAX) {
        return;
    }
    name_image(machine, &image, load_le64(loaded + 32), files);
    g_array_append_val(info->images, image);
}

static void read_images(Machine *machine, UefiInfo *info, uint64_t table)
{
    uint8_t header[16];
    GHashTable *files = NULL;
    uint64_t entry;

    if (!debug_memory_read(machine, table, header, sizeof header)) {
        return;
    }
    for (uint32_t i = 0; i < MIN(load_le32(header + 4), UEFI_IMAGES_MAX) &&
                         read_word(machine, load_le64(header + 8) + 8 * (uint64_t)i, &entry);
         i++) {
        add_image(machine, info, entry, &files);
    }
    g_clear_pointer(&files, g_hash_table_unref);
}

static void free_image(void *opaque)
{
    UefiImage *image = opaque;

    g_free(image->name);
    g_free(image->pdb);
}

void uefi_info_free(UefiInfo *info)
{
    g_array_unref(info->tables);
    g_array_unref(info->images);
    g_free(info->vendor);
    g_free(info);
}

typedef struct {
    Machine *machine;
    UefiInfo *info;
    unsigned tries;
} Search;

/* For each signature in memory: the one that names what is loaded is the system table. */
static bool consider(void *opaque, uint64_t guest_phys)
{
    Search *search = opaque;
    uint8_t table[SYSTEM_TABLE_BYTES];
    UefiInfo *info;

    if (guest_phys & 7 || !debug_memory_read(search->machine, guest_phys, table, sizeof table) ||
        load_le32(table + 12) < SYSTEM_TABLE_BYTES || load_le32(table + 12) > 4096) {
        return false;
    }
    info = g_new0(UefiInfo, 1);
    info->address = guest_phys;
    info->revision = load_le32(table + 8);
    info->firmware_revision = load_le32(table + 32);
    info->vendor = uefi_read_text(search->machine, load_le64(table + 24), VENDOR_MAX_CHARS);
    info->tables = g_array_new(FALSE, FALSE, sizeof(UefiTable));
    info->images = g_array_new(FALSE, FALSE, sizeof(UefiImage));
    g_array_set_clear_func(info->images, free_image);
    if (!read_tables(search->machine, info, load_le64(table + 112), load_le64(table + 104))) {
        uefi_info_free(info);
        return ++search->tries >= TRIES_MAX;
    }
    for (guint i = 0; i < info->tables->len; i++) {
        const UefiTable *one = &g_array_index(info->tables, UefiTable, i);

        if (!strcmp(one->guid, DEBUG_IMAGE_INFO)) {
            read_images(search->machine, info, one->address);
        }
    }
    if (search->info) {
        uefi_info_free(search->info);
    }
    search->info = info;
    return info->images->len || ++search->tries >= TRIES_MAX;
}

UefiInfo *uefi_info_find(Machine *machine)
{
    static const char signature[] = "IBI SYST";
    Search search = { machine };

    debug_memory_search(machine, &(DebugSearch){ signature, sizeof signature - 1, 8,
                                                 DEBUG_SEARCH_MOST, consider, &search });
    return search.info;
}
