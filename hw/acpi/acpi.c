/* SPDX-License-Identifier: MIT */
/* Tables, RSDT, RSDP (ACPI 6.5, 5.2) and the table loader's commands (the firmware configuration device's specification). */
#include "hw/acpi/acpi.h"

#include <string.h>

#include "base/bits.h"

/*
 * Firmware has the files' sizes from the time before it placed devices, and what it places changes the tables: so that they still fit,
 * sizes are multiples of these.
 */
enum { TABLES_UNIT = 0x10000, LOADER_UNIT = 0x1000 };

enum {
    HEADER_BYTES = 36,
    HEADER_LENGTH = 4,   /* offset of the length, */
    HEADER_CHECKSUM = 9, /* and of the checksum */
    RSDP_BYTES = 20,
    RSDP_CHECKSUM = 8,
    RSDP_RSDT = 16,
    COMMAND_BYTES = 128,
    FILE_NAME_BYTES = 56,
    COMMAND_ALLOCATE = 1,
    COMMAND_ADD_POINTER = 2,
    COMMAND_ADD_CHECKSUM = 3,
    COMMAND_WRITE_POINTER = 4,
    ZONE_HIGH = 1,
    ZONE_FSEG = 2,         /* 0xf0000 to 0xfffff, where RSDP is searched */
    TABLES_ALIGNMENT = 64, /* the FACS's */
    OEM_REVISION = 1,
};

static void put_text(GByteArray *out, const char *text, unsigned bytes)
{
    char padded[FILE_NAME_BYTES] = { 0 };

    memcpy(padded, text, MIN(strlen(text), bytes));
    g_byte_array_append(out, (const uint8_t *)padded, bytes);
}

static void put_le(GByteArray *out, uint64_t value, unsigned bytes)
{
    uint8_t data[8];

    store_le64(data, value);
    g_byte_array_append(out, data, bytes);
}

/* OEM identifiers are filled up with spaces. */
static void set_oem(char *field, const char *text, unsigned bytes)
{
    memset(field, ' ', bytes);
    memcpy(field, text, MIN(strlen(text), bytes));
    field[bytes] = '\0';
}

/* Commands have one size. */
static void end_command(AcpiFiles *files, unsigned start)
{
    unsigned used = files->loader->len - start;

    g_byte_array_set_size(files->loader, start + COMMAND_BYTES);
    memset(files->loader->data + start + used, 0, COMMAND_BYTES - used);
}

static void command_allocate(AcpiFiles *files, const char *file, uint32_t alignment, uint8_t zone)
{
    unsigned start = files->loader->len;

    put_le(files->loader, COMMAND_ALLOCATE, 4);
    put_text(files->loader, file, FILE_NAME_BYTES);
    put_le(files->loader, alignment, 4);
    put_le(files->loader, zone, 1);
    end_command(files, start);
}

static void command_add_pointer(AcpiFiles *files, const char *in, uint32_t offset, const char *to)
{
    unsigned start = files->loader->len;

    put_le(files->loader, COMMAND_ADD_POINTER, 4);
    put_text(files->loader, in, FILE_NAME_BYTES);
    put_text(files->loader, to, FILE_NAME_BYTES);
    put_le(files->loader, offset, 4);
    put_le(files->loader, 4, 1);
    end_command(files, start);
}

static void command_add_checksum(AcpiFiles *files, const char *file, uint32_t offset,
                                 uint32_t first, uint32_t length)
{
    unsigned start = files->loader->len;

    put_le(files->loader, COMMAND_ADD_CHECKSUM, 4);
    put_text(files->loader, file, FILE_NAME_BYTES);
    put_le(files->loader, offset, 4);
    put_le(files->loader, first, 4);
    put_le(files->loader, length, 4);
    end_command(files, start);
}

void acpi_set_oem(AcpiFiles *files, const char *oem_id, const char *oem_table_id)
{
    set_oem(files->oem_id, oem_id ? oem_id : "BOCHS", 6);
    set_oem(files->oem_table_id, oem_table_id ? oem_table_id : "BXPC", 8);
}

void acpi_init(AcpiFiles *files, const char *oem_id, const char *oem_table_id)
{
    *files = (AcpiFiles){
        .tables = g_byte_array_new(),
        .rsdp = g_byte_array_new(),
        .loader = g_byte_array_new(),
        .offsets = g_array_new(false, false, sizeof(uint32_t)),
    };
    acpi_set_oem(files, oem_id, oem_table_id);
    /* Files are placed before anything refers to them. */
    command_allocate(files, ACPI_RSDP_FILE, 16, ZONE_FSEG);
    command_allocate(files, ACPI_TABLES_FILE, TABLES_ALIGNMENT, ZONE_HIGH);
}

void acpi_free(AcpiFiles *files)
{
    g_byte_array_unref(files->tables);
    g_byte_array_unref(files->rsdp);
    g_byte_array_unref(files->loader);
    g_array_unref(files->offsets);
    *files = (AcpiFiles){ 0 };
}

void acpi_put(AcpiFiles *files, uint64_t value, unsigned bytes)
{
    put_le(files->tables, value, bytes);
}

void acpi_align(AcpiFiles *files, unsigned alignment)
{
    while (files->tables->len % alignment) {
        acpi_put(files, 0, 1);
    }
}

uint32_t acpi_begin_table(AcpiFiles *files, const char signature[4], uint8_t revision, bool listed)
{
    uint32_t table = files->tables->len;

    if (listed) {
        g_array_append_val(files->offsets, table);
    }
    g_byte_array_append(files->tables, (const uint8_t *)signature, 4);
    acpi_put(files, 0, 4); /* length */
    acpi_put(files, revision, 1);
    acpi_put(files, 0, 1); /* checksum */
    g_byte_array_append(files->tables, (const uint8_t *)files->oem_id, 6);
    g_byte_array_append(files->tables, (const uint8_t *)files->oem_table_id, 8);
    acpi_put(files, OEM_REVISION, 4);
    g_byte_array_append(files->tables, (const uint8_t *)"BXPC", 4); /* creator */
    acpi_put(files, 1, 4);
    return table;
}

void acpi_end_table(AcpiFiles *files, uint32_t table)
{
    uint32_t length = files->tables->len - table;

    store_le32(files->tables->data + table + HEADER_LENGTH, length);
    command_add_checksum(files, ACPI_TABLES_FILE, table + HEADER_CHECKSUM, table, length);
}

void acpi_add_pointer(AcpiFiles *files, uint32_t offset, uint32_t target)
{
    store_le32(files->tables->data + offset, target);
    command_add_pointer(files, ACPI_TABLES_FILE, offset, ACPI_TABLES_FILE);
}

void acpi_place_file(AcpiFiles *files, const char *file, uint32_t alignment)
{
    command_allocate(files, file, alignment, ZONE_HIGH);
}

void acpi_add_file_pointer(AcpiFiles *files, uint32_t offset, const char *file)
{
    command_add_pointer(files, ACPI_TABLES_FILE, offset, file);
}

void acpi_write_pointer(AcpiFiles *files, const char *address_file, const char *file,
                        uint32_t file_offset)
{
    unsigned start = files->loader->len;

    put_le(files->loader, COMMAND_WRITE_POINTER, 4);
    put_text(files->loader, address_file, FILE_NAME_BYTES);
    put_text(files->loader, file, FILE_NAME_BYTES);
    put_le(files->loader, 0, 4);
    put_le(files->loader, file_offset, 4);
    put_le(files->loader, 8, 1);
    end_command(files, start);
}

/* With zeros: no table, and no command. */
static void pad(GByteArray *bytes, guint unit)
{
    guint before = bytes->len;

    g_byte_array_set_size(bytes, (before + unit - 1) / unit * unit);
    memset(bytes->data + before, 0, bytes->len - before);
}

void acpi_finish(AcpiFiles *files)
{
    uint32_t rsdt = acpi_begin_table(files, "RSDT", 1, false);

    for (unsigned i = 0; i < files->offsets->len; i++) {
        acpi_put(files, 0, 4);
        acpi_add_pointer(files, rsdt + HEADER_BYTES + 4 * i,
                         g_array_index(files->offsets, uint32_t, i));
    }
    acpi_end_table(files, rsdt);
    put_text(files->rsdp, "RSD PTR ", 8);
    put_le(files->rsdp, 0, 1); /* checksum */
    g_byte_array_append(files->rsdp, (const uint8_t *)files->oem_id, 6);
    put_le(files->rsdp, 0, 1); /* ACPI 1.0 */
    put_le(files->rsdp, rsdt, 4);
    command_add_pointer(files, ACPI_RSDP_FILE, RSDP_RSDT, ACPI_TABLES_FILE);
    command_add_checksum(files, ACPI_RSDP_FILE, RSDP_CHECKSUM, 0, RSDP_BYTES);
    pad(files->tables, TABLES_UNIT);
    pad(files->loader, LOADER_UNIT);
}
