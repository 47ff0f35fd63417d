/* SPDX-License-Identifier: MIT */
/* SMBIOS structures in guest memory; see the header. */
#include "debug/firmware/smbios.h"

#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "debug/firmware/acpi-private.h"
#include "debug/firmware/uefi.h"
#include "debug/memory.h"

enum {
    BIOS_START = 0xf0000,
    BIOS_END = 0x100000,
    ENTRY2_BYTES = 31,
    ENTRY3_BYTES = 24,
    END_OF_TABLE = 127,
    TRIES_MAX = 256
};

typedef enum { FIELD_STRING, FIELD_NUMBER, FIELD_UUID, FIELD_MEGABYTES } FieldKind;

typedef struct {
    uint8_t type, offset, bytes;
    FieldKind kind;
    const char *name;
} Field;

static const Field fields[] = {
    { 0, 0x04, 1, FIELD_STRING, "vendor" },        { 0, 0x05, 1, FIELD_STRING, "version" },
    { 0, 0x08, 1, FIELD_STRING, "date" },          { 1, 0x04, 1, FIELD_STRING, "manufacturer" },
    { 1, 0x05, 1, FIELD_STRING, "product" },       { 1, 0x06, 1, FIELD_STRING, "version" },
    { 1, 0x07, 1, FIELD_STRING, "serial number" }, { 1, 0x08, 16, FIELD_UUID, "UUID" },
    { 1, 0x19, 1, FIELD_STRING, "SKU" },           { 1, 0x1a, 1, FIELD_STRING, "family" },
    { 2, 0x04, 1, FIELD_STRING, "manufacturer" },  { 2, 0x05, 1, FIELD_STRING, "product" },
    { 3, 0x04, 1, FIELD_STRING, "manufacturer" },  { 3, 0x07, 1, FIELD_STRING, "serial number" },
    { 4, 0x04, 1, FIELD_STRING, "socket" },        { 4, 0x07, 1, FIELD_STRING, "manufacturer" },
    { 4, 0x10, 1, FIELD_STRING, "version" },       { 4, 0x14, 2, FIELD_NUMBER, "maximum MHz" },
    { 4, 0x23, 1, FIELD_NUMBER, "cores" },         { 4, 0x25, 1, FIELD_NUMBER, "threads" },
    { 16, 0x0d, 2, FIELD_NUMBER, "devices" },      { 17, 0x0c, 2, FIELD_MEGABYTES, "size" },
    { 17, 0x10, 1, FIELD_STRING, "locator" },      { 17, 0x17, 1, FIELD_STRING, "manufacturer" },
    { 19, 0x04, 4, FIELD_NUMBER, "first KiB" },    { 19, 0x08, 4, FIELD_NUMBER, "last KiB" },
};

static const struct {
    uint8_t type;
    const char *name;
} names[] = { { 0, "BIOS" },           { 1, "System" },
              { 2, "Baseboard" },      { 3, "Chassis" },
              { 4, "Processor" },      { 7, "Cache" },
              { 8, "Port" },           { 9, "Slot" },
              { 11, "OEM strings" },   { 16, "Memory array" },
              { 17, "Memory device" }, { 19, "Memory range" },
              { 32, "Boot" },          { 41, "Onboard device" },
              { END_OF_TABLE, "End" } };

static void clear_structure(void *opaque)
{
    g_ptr_array_unref(((SmbiosStructure *)opaque)->lines);
}

void smbios_info_free(SmbiosInfo *info)
{
    g_array_unref(info->structures);
    g_free(info);
}

/* The n-th string (from 1) behind a structure; "" for none. */
static const char *string_of(const char *strings, const char *end, unsigned n)
{
    while (n > 1 && strings < end && *strings) {
        strings += strlen(strings) + 1;
        n--;
    }
    return n && strings < end ? strings : "";
}

static char *format_field(const Field *field, const uint8_t *at, const char *strings,
                          const char *end)
{
    uint64_t number = 0;

    memcpy(&number, at, MIN(field->bytes, 8));
    switch (field->kind) {
    case FIELD_STRING: {
        const char *text = string_of(strings, end, *at);

        return *text ? g_strdup_printf("%s: %s", field->name, text) : NULL;
    }
    case FIELD_UUID:
        return g_strdup_printf("%s: %08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", field->name,
                               load_le32(at), load_le16(at + 4), load_le16(at + 6), at[8], at[9],
                               at[10], at[11], at[12], at[13], at[14], at[15]);
    case FIELD_MEGABYTES:
        return g_strdup_printf("%s: %" PRIu64 " %s", field->name, number & 0x7fff,
                               number >> 15 ? "KiB" : "MiB");
    default:
        return g_strdup_printf("%s: %" PRIu64, field->name, number);
    }
}

/* length: of the formatted part, which is all there. */
static void add_structure(SmbiosInfo *info, const uint8_t *bytes, unsigned length,
                          const char *strings, const char *end)
{
    SmbiosStructure structure = { .type = bytes[0], .handle = load_le16(bytes + 2) };

    structure.lines = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        structure.name = names[i].type == structure.type ? names[i].name : structure.name;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        const Field *field = &fields[i];

        if (field->type == structure.type && field->offset + field->bytes <= (int)length) {
            char *line = format_field(field, bytes + field->offset, strings, end);

            if (line) {
                g_ptr_array_add(structure.lines, line);
            }
        }
    }
    for (unsigned n = 1; structure.type == 11 && n < 64 && *string_of(strings, end, n); n++) {
        g_ptr_array_add(structure.lines, g_strdup(string_of(strings, end, n)));
    }
    g_array_append_val(info->structures, structure);
}

/* size: with a NUL of our own behind it. */
static void read_structures(SmbiosInfo *info, const uint8_t *bytes, size_t size)
{
    size_t at = 0;

    while (size - at >= 4 && info->structures->len < SMBIOS_STRUCTURES_MAX) {
        unsigned length = bytes[at + 1];
        size_t strings = at + length, end = strings;

        if (length < 4 || length > size - at) {
            return;
        }
        /* Strings end with two NULs. */
        while (end + 2 <= size && (bytes[end] || bytes[end + 1])) {
            end++;
        }
        add_structure(info, bytes + at, length, (const char *)bytes + strings,
                      (const char *)bytes + end);
        if (bytes[at] == END_OF_TABLE || end + 2 > size) {
            return;
        }
        at = end + 2;
    }
}

typedef struct {
    Machine *machine;
    SmbiosInfo *info;
    unsigned tries; /* entry points that lead to nothing */
} Search;

static bool consider(void *opaque, uint64_t guest_phys)
{
    Search *search = opaque;
    uint8_t entry[32] = { 0 };
    SmbiosInfo found = { .address = guest_phys };
    g_autofree uint8_t *bytes = NULL;

    if (guest_phys & 15 || !debug_memory_read(search->machine, guest_phys, entry, sizeof entry)) {
        return false;
    }
    if (!memcmp(entry, "_SM3_", 5)) {
        found.checksum_good = acpi_sum_is_zero(entry, ENTRY3_BYTES);
        found.major = entry[7];
        found.minor = entry[8];
        found.bytes = load_le32(entry + 12);
        found.table = load_le64(entry + 16);
    } else if (!memcmp(entry, "_SM_", 4) && !memcmp(entry + 16, "_DMI_", 5)) {
        found.checksum_good = acpi_sum_is_zero(entry, ENTRY2_BYTES);
        found.major = entry[6];
        found.minor = entry[7];
        found.bytes = load_le16(entry + 22);
        found.table = load_le32(entry + 24);
    } else {
        return false;
    }
    if (found.bytes < 4 || found.bytes > SMBIOS_BYTES_MAX) {
        return false;
    }
    bytes = g_malloc0(found.bytes + 1);
    if (!debug_memory_read(search->machine, found.table, bytes, found.bytes)) {
        return ++search->tries >= TRIES_MAX;
    }
    search->info = g_memdup2(&found, sizeof found);
    search->info->structures = g_array_new(FALSE, TRUE, sizeof(SmbiosStructure));
    g_array_set_clear_func(search->info->structures, clear_structure);
    read_structures(search->info, bytes, found.bytes);
    return true;
}

SmbiosInfo *smbios_info_find(Machine *machine)
{
    Search search = { machine };
    UefiInfo *uefi;

    for (uint64_t at = BIOS_START; at < BIOS_END && !search.info; at += 16) {
        consider(&search, at);
    }
    uefi = search.info ? NULL : uefi_info_find(machine);
    for (guint i = 0; uefi && i < uefi->tables->len && !search.info; i++) {
        const UefiTable *table = &g_array_index(uefi->tables, UefiTable, i);

        if (table->name && g_str_has_prefix(table->name, "SMBIOS")) {
            consider(&search, table->address);
        }
    }
    g_clear_pointer(&uefi, uefi_info_free);
    if (!search.info) {
        debug_memory_search(machine,
                            &(DebugSearch){ "_SM3_", 5, 16, DEBUG_SEARCH_MOST, consider, &search });
    }
    return search.info;
}
