/* SPDX-License-Identifier: MIT */
/*
 * Names of firmware files (UEFI Platform Initialization 1.7, volume 3: firmware volumes, files, sections): each file has a GUID, by which a loaded
 * image's device path tells where it is from, and for people a section with a name. Volumes are looked for in RAM, where they are unpacked.
 */
#include "debug/firmware/uefi.h"

#include <string.h>

#include "base/bits.h"
#include "debug/firmware/uefi-private.h"
#include "debug/memory.h"

enum {
    VOLUME_SIGNATURE = 40, /* within its header */
    VOLUME_HEADER = 56,
    VOLUME_BYTES_MAX = 256 << 20,
    VOLUME_ALIGN = 8,
    FILE_HEADER = 24,
    FILE_LARGE = 1, /* the attribute: its size is behind the header, in 64 bits */
    SECTION_ALIGN = 4,
    SECTION_NAME = 0x15,
    NAME_MAX_CHARS = 64,
    STEPS_MAX = 1 << 16, /* headers that are looked at, all in all */
    MEDIA = 4,           /* device path nodes */
    MEDIA_FILE_PATH = 4,
    MEDIA_FIRMWARE_FILE = 6,
    NODES_MAX = 32,
    PATH_CHARS_MAX = 256,
};

typedef struct {
    Machine *machine;
    GHashTable *names; /* GUID as text -> name */
    unsigned steps;
} Search;

static uint32_t load_le24(const uint8_t *bytes)
{
    return load_le16(bytes) | (uint32_t)bytes[2] << 16;
}

void uefi_format_guid(const uint8_t *b, char text[UEFI_GUID_CHARS])
{
    g_snprintf(text, UEFI_GUID_CHARS, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
               load_le32(b), load_le16(b + 4), load_le16(b + 6), b[8], b[9], b[10], b[11], b[12],
               b[13], b[14], b[15]);
}

char *uefi_read_text(Machine *machine, uint64_t address, unsigned max)
{
    GString *text = g_string_new(NULL);
    uint16_t c;

    while (text->len < max && debug_memory_read(machine, address, &c, 2) && c >= ' ' && c < 127) {
        g_string_append_c(text, (char)c);
        address += 2;
    }
    return g_string_free(text, FALSE);
}

static void read_file(Search *search, const uint8_t *header, uint64_t at, uint64_t end)
{
    uint8_t section[4];

    while (end - at > sizeof section && search->steps++ < STEPS_MAX &&
           debug_memory_read(search->machine, at, section, sizeof section)) {
        uint32_t size = load_le24(section);

        if (section[3] == SECTION_NAME) {
            char guid[UEFI_GUID_CHARS], *name;

            uefi_format_guid(header, guid);
            name = uefi_read_text(search->machine, at + sizeof section, NAME_MAX_CHARS);
            if (*name && !g_hash_table_contains(search->names, guid)) {
                g_hash_table_insert(search->names, g_strdup(guid), g_steal_pointer(&name));
            }
            g_free(name);
            return;
        }
        size = align_up(size, SECTION_ALIGN);
        if (size < sizeof section || size > end - at) {
            return;
        }
        at += size;
    }
}

static void read_volume(Search *search, uint64_t at, uint64_t end)
{
    uint8_t header[FILE_HEADER + 8];

    while (end - at > sizeof header && search->steps++ < STEPS_MAX &&
           debug_memory_read(search->machine, at, header, sizeof header)) {
        bool large = header[19] & FILE_LARGE;
        uint64_t size = large ? load_le64(header + FILE_HEADER) : load_le24(header + 20),
                 first = large ? sizeof header : FILE_HEADER;

        if (size < first || size > end - at) {
            return;
        }
        read_file(search, header, at + first, at + size);
        size = align_up(size, VOLUME_ALIGN);
        if (size > end - at) {
            return;
        }
        at += size;
    }
}

static bool consider(void *opaque, uint64_t guest_phys)
{
    Search *search = opaque;
    uint64_t start = guest_phys - VOLUME_SIGNATURE, length, first;
    uint8_t header[VOLUME_HEADER], size[4];

    if (guest_phys < VOLUME_SIGNATURE ||
        !debug_memory_read(search->machine, start, header, sizeof header)) {
        return false;
    }
    length = load_le64(header + 32);
    first = load_le16(header + 48);
    if (load_le16(header + 52)) { /* files begin behind the extended header */
        first = load_le16(header + 52);
        if (!debug_memory_read(search->machine, start + first + 16, size, sizeof size)) {
            return false;
        }
        first = align_up(first + load_le32(size), VOLUME_ALIGN);
    }
    if (length <= VOLUME_BYTES_MAX && first >= sizeof header && first < length) {
        read_volume(search, start + first, start + length);
    }
    return search->steps >= STEPS_MAX;
}

GHashTable *uefi_file_names(Machine *machine)
{
    static const char signature[] = "_FVH";
    Search search = { machine, g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free) };

    debug_memory_search(machine, &(DebugSearch){ signature, sizeof signature - 1, VOLUME_ALIGN,
                                                 DEBUG_SEARCH_MOST, consider, &search });
    return search.names;
}

/* What a file is called without its folders and its suffix. */
static char *short_name(char *path)
{
    char *name = strrchr(g_strdelimit(path, "/", '\\'), '\\');
    char *dot;

    name = g_strdup(name ? name + 1 : path);
    dot = strrchr(name, '.');
    if (dot && dot > name) {
        *dot = '\0';
    }
    return name;
}

char *uefi_path_name(Machine *machine, uint64_t path, GHashTable *names)
{
    for (unsigned i = 0; path && i < NODES_MAX; i++) {
        uint8_t node[4 + 16];
        char guid[UEFI_GUID_CHARS];

        if (!debug_memory_read(machine, path, node, sizeof node) || load_le16(node + 2) < 4) {
            break;
        }
        if (node[0] == MEDIA && node[1] == MEDIA_FIRMWARE_FILE) {
            uefi_format_guid(node + 4, guid);
            return g_strdup(g_hash_table_lookup(names, guid) ?: guid);
        }
        if (node[0] == MEDIA && node[1] == MEDIA_FILE_PATH) {
            g_autofree char *text = uefi_read_text(machine, path + 4, PATH_CHARS_MAX);

            return *text ? short_name(text) : NULL;
        }
        path += load_le16(node + 2);
    }
    return NULL;
}
