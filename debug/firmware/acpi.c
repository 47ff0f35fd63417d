/* SPDX-License-Identifier: MIT */
/* ACPI tables in guest memory; see the header. What is in the tables that matter for a boot is in acpi-decode.c. */
#include "debug/firmware/acpi.h"

#include <string.h>

#include "base/bits.h"
#include "debug/firmware/acpi-private.h"
#include "debug/firmware/uefi.h"
#include "debug/memory.h"

enum {
    RSDP_BYTES = 20,
    RSDP2_BYTES = 36,
    HEADER_BYTES = 36,
    BIOS_START = 0xe0000,
    BIOS_END = 0x100000,
    EBDA_POINTER = 0x40e,
    EBDA_BYTES = 1024,
    TRIES_MAX = 256, /* root pointers that lead to nothing */
};

static const char rsdp_signature[] = "RSD PTR ";

bool acpi_sum_is_zero(const uint8_t *bytes, size_t size)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < size; i++) {
        sum += bytes[i];
    }
    return !sum;
}

/* What may not be text, as text. */
static void copy_text(char *to, const uint8_t *from, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        to[i] = g_ascii_isprint(from[i]) ? (char)from[i] : from[i] ? '?' : '\0';
    }
    to[size] = '\0';
    g_strchomp(to);
}

static void clear_table(void *opaque)
{
    AcpiTable *table = opaque;

    g_ptr_array_unref(table->lines);
}

void acpi_info_free(AcpiInfo *info)
{
    g_array_unref(info->tables);
    g_free(info);
}

static bool is_known(const AcpiInfo *info, uint64_t address)
{
    for (guint i = 0; i < info->tables->len; i++) {
        if (g_array_index(info->tables, AcpiTable, i).address == address) {
            return true;
        }
    }
    return false;
}

/* The table with its body; NULL: there is none. Caller frees. */
static uint8_t *read_table(Machine *machine, uint64_t address, uint32_t *length)
{
    uint8_t header[HEADER_BYTES], *body;

    if (!address || !debug_memory_read(machine, address, header, 8)) {
        return NULL;
    }
    *length = load_le32(header + 4);
    /* The FACS has a header of its own. */
    if (*length < HEADER_BYTES || *length > ACPI_TABLE_BYTES_MAX) {
        return NULL;
    }
    body = g_malloc(*length);
    if (!debug_memory_read(machine, address, body, *length)) {
        g_clear_pointer(&body, g_free);
    }
    return body;
}

static void add_table(Machine *machine, AcpiInfo *info, uint64_t address)
{
    AcpiTable table = { .address = address };
    g_autofree uint8_t *body = NULL;

    if (info->tables->len >= ACPI_TABLES_MAX || is_known(info, address)) {
        return;
    }
    body = read_table(machine, address, &table.length);
    table.lines = g_ptr_array_new_with_free_func(g_free);
    if (!body) {
        g_strlcpy(table.signature, "?", sizeof table.signature);
        g_ptr_array_add(table.lines,
                        g_strdup("no table is there: no memory, or a length that cannot be"));
        g_array_append_val(info->tables, table);
        return;
    }
    copy_text(table.signature, body, 4);
    table.revision = body[8];
    copy_text(table.oem, body + 10, 6);
    copy_text(table.oem_table, body + 16, 8);
    table.checksum_good = !strcmp(table.signature, "FACS") || acpi_sum_is_zero(body, table.length);
    acpi_decode(table.signature, body, table.length, table.lines);
    g_array_append_val(info->tables, table);
    if (!strcmp(table.signature, "FACP")) {
        uint64_t dsdt = acpi_fadt_dsdt(body, table.length);

        if (dsdt) {
            add_table(machine, info, dsdt);
        }
    }
}

/* RSDT (entries of 4 bytes) or XSDT (8). */
static void add_root(Machine *machine, AcpiInfo *info, uint64_t address, unsigned bytes)
{
    uint32_t length;
    g_autofree uint8_t *body = read_table(machine, address, &length);

    add_table(machine, info, address);
    for (uint32_t at = HEADER_BYTES; body && at + bytes <= length; at += bytes) {
        add_table(machine, info, bytes == 4 ? load_le32(body + at) : load_le64(body + at));
    }
}

typedef struct {
    Machine *machine;
    AcpiInfo *info;
    unsigned tries;
} Search;

/* Whether a root pointer is there; then all that it leads to. */
static bool consider(void *opaque, uint64_t guest_phys)
{
    Search *search = opaque;
    uint8_t rsdp[RSDP2_BYTES] = { 0 };
    AcpiInfo *info;

    if (guest_phys & 15 || !debug_memory_read(search->machine, guest_phys, rsdp, sizeof rsdp) ||
        memcmp(rsdp, rsdp_signature, 8) || !acpi_sum_is_zero(rsdp, RSDP_BYTES)) {
        return false;
    }
    info = g_new0(AcpiInfo, 1);
    info->address = guest_phys;
    info->revision = rsdp[15];
    info->checksum_good = rsdp[15] < 2 || acpi_sum_is_zero(rsdp, RSDP2_BYTES);
    copy_text(info->oem, rsdp + 9, 6);
    info->tables = g_array_new(FALSE, TRUE, sizeof(AcpiTable));
    g_array_set_clear_func(info->tables, clear_table);
    if (info->revision >= 2 && load_le64(rsdp + 24)) {
        add_root(search->machine, info, load_le64(rsdp + 24), 8);
    } else {
        add_root(search->machine, info, load_le32(rsdp + 16), 4);
    }
    /* A pointer that nothing hangs on is left over, or on its way somewhere else. */
    if (info->tables->len < 2) {
        acpi_info_free(info);
        return ++search->tries >= TRIES_MAX;
    }
    search->info = info;
    return true;
}

static bool consider_uefi(Search *search)
{
    UefiInfo *uefi = uefi_info_find(search->machine);

    for (guint i = 0; uefi && i < uefi->tables->len && !search->info; i++) {
        const UefiTable *table = &g_array_index(uefi->tables, UefiTable, i);

        if (table->name && g_str_has_prefix(table->name, "ACPI")) {
            consider(search, table->address);
        }
    }
    g_clear_pointer(&uefi, uefi_info_free);
    return search->info;
}

static bool consider_range(Search *search, uint64_t start, uint64_t end)
{
    for (uint64_t at = start; at < end && !search->info; at += 16) {
        consider(search, at);
    }
    return search->info;
}

/* Where a PC's operating system looks, then where UEFI says, then everywhere. */
AcpiInfo *acpi_info_find(Machine *machine)
{
    Search search = { machine };
    uint8_t word[2];

    if (debug_memory_read(machine, EBDA_POINTER, word, 2) && load_le16(word) >= 0x400) {
        uint64_t ebda = (uint64_t)load_le16(word) << 4;

        consider_range(&search, ebda, ebda + EBDA_BYTES);
    }
    if (search.info || consider_range(&search, BIOS_START, BIOS_END) || consider_uefi(&search)) {
        return search.info;
    }
    debug_memory_search(
        machine, &(DebugSearch){ rsdp_signature, 8, 16, DEBUG_SEARCH_MOST, consider, &search });
    return search.info;
}
