/* SPDX-License-Identifier: MIT */
/* Tables that the user adds: -acpitable (headers by ACPI 6.5, 5.2.6). */
#include "hw/acpi/acpi.h"

#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/file.h"
#include "base/key-values.h"

enum {
    HEADER_BYTES = 36,
    HEADER_LENGTH = 4,
    HEADER_REVISION = 8,
    HEADER_CHECKSUM = 9,
    HEADER_OEM_ID = 10,
    HEADER_OEM_TABLE_ID = 16,
    HEADER_OEM_REVISION = 24,
    HEADER_CREATOR = 28,
    HEADER_CREATOR_REVISION = 32,
    TABLE_MOST = 16 << 20, /* more than any firmware has place for */
};

/* A field of the header: text is cut and filled up with zeros, a number little-endian. */
typedef struct {
    const char *name;
    uint8_t offset, bytes;
    bool number;
} HeaderField;

static const HeaderField header_fields[] = {
    { "sig", 0, 4, false },
    { "rev", HEADER_REVISION, 1, true },
    { "oem_id", HEADER_OEM_ID, 6, false },
    { "oem_table_id", HEADER_OEM_TABLE_ID, 8, false },
    { "oem_rev", HEADER_OEM_REVISION, 4, true },
    { "asl_compiler_id", HEADER_CREATOR, 4, false },
    { "asl_compiler_rev", HEADER_CREATOR_REVISION, 4, true },
};

/* The files' contents one after the other; their names are separated by colons. */
static bool read_files(GByteArray *table, const char *names, GError **error)
{
    g_auto(GStrv) paths = g_strsplit(names, ":", -1);

    for (char **path = paths; *path; path++) {
        g_autofree char *content = NULL;
        size_t size;

        if (!file_read(*path, TABLE_MOST, &content, &size, error)) {
            return false;
        }
        if (size > TABLE_MOST - table->len) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "'%s': a table is at most %u MiB, not %zu bytes", *path,
                              TABLE_MOST >> 20, table->len + size);
        }
        g_byte_array_append(table, (const uint8_t *)content, (guint)size);
    }
    return true;
}

static bool set_field(uint8_t *header, const HeaderField *field, const char *text, GError **error)
{
    uint64_t most = field->bytes == 1 ? UINT8_MAX : UINT32_MAX, value;
    uint8_t *place = header + field->offset;
    char *end;

    if (!field->number) {
        memset(place, 0, field->bytes);
        memcpy(place, text, MIN(strlen(text), field->bytes));
        return true;
    }
    value = g_ascii_strtoull(text, &end, 0);
    if (!g_ascii_isdigit(*text) || *end || value > most) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%s=%s: give a number from 0 to %" G_GUINT64_FORMAT, field->name, text,
                          most);
    }
    if (field->bytes == 1) {
        *place = (uint8_t)value;
    } else {
        store_le32(place, (uint32_t)value);
    }
    return true;
}

static void usual_header(GByteArray *table)
{
    uint8_t header[HEADER_BYTES] = { 0 };

    memcpy(header, "QEMU", 4);
    header[HEADER_REVISION] = 1;
    memcpy(header + HEADER_OEM_ID, "QEMUQE", 6);
    memcpy(header + HEADER_OEM_TABLE_ID, "QEMUQEMU", 8);
    store_le32(header + HEADER_OEM_REVISION, 1);
    memcpy(header + HEADER_CREATOR, "QEMU", 4);
    store_le32(header + HEADER_CREATOR_REVISION, 1);
    g_byte_array_append(table, header, sizeof(header));
}

static void set_length_and_checksum(GByteArray *table)
{
    uint8_t sum = 0;

    store_le32(table->data + HEADER_LENGTH, table->len);
    table->data[HEADER_CHECKSUM] = 0;
    for (guint i = 0; i < table->len; i++) {
        sum += table->data[i];
    }
    table->data[HEADER_CHECKSUM] = -sum;
}

GBytes *acpi_given_table(const char *option, GError **error)
{
    static const char *const names[] = {
        "sig",  "rev",  "oem_id",          "oem_table_id",     "oem_rev",
        "file", "data", "asl_compiler_id", "asl_compiler_rev", NULL
    };
    g_autoptr(KeyValues) list = key_values_parse(option, NULL, error);
    g_autoptr(GByteArray) table = g_byte_array_new();
    const char *whole, *body;

    if (!list || !key_values_check(list, names, "-acpitable", error)) {
        return NULL;
    }
    whole = key_values_get(list, "file");
    body = key_values_get(list, "data");
    if (!whole == !body) {
        error_fail(error, KASO_ERROR_INVALID,
                   "give either file= (a table with its header) or data= (what follows a header)");
        return NULL;
    }
    if (body) {
        usual_header(table);
    }
    if (!read_files(table, whole ? whole : body, error)) {
        return NULL;
    }
    if (table->len < HEADER_BYTES) {
        error_fail(error, KASO_ERROR_INVALID,
                   "'%s': a table begins with a header of %u bytes, and there are %u; data= makes "
                   "a header",
                   whole, HEADER_BYTES, table->len);
        return NULL;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(header_fields); i++) {
        const char *text = key_values_get(list, header_fields[i].name);

        if (text && !set_field(table->data, &header_fields[i], text, error)) {
            return NULL;
        }
    }
    set_length_and_checksum(table);
    return g_byte_array_free_to_bytes(g_steal_pointer(&table));
}

void acpi_add_given_tables(AcpiFiles *files, const GPtrArray *given)
{
    for (guint i = 0; given && i < given->len; i++) {
        size_t size;
        const uint8_t *table = g_bytes_get_data(given->pdata[i], &size);
        uint32_t offset = files->tables->len;

        g_array_append_val(files->offsets, offset);
        g_byte_array_append(files->tables, table, (guint)size);
    }
}

/* Windows asks that the RSDT, which licences are checked by, and the FADT name the maker that a licence table names. */
bool acpi_use_licence_oem(AcpiFiles *files, const GPtrArray *given)
{
    for (guint i = 0; given && i < given->len; i++) {
        const uint8_t *table = g_bytes_get_data(given->pdata[i], NULL);

        if (memcmp(table, "SLIC", 4) == 0) {
            memcpy(files->oem_id, table + HEADER_OEM_ID, 6);
            memcpy(files->oem_table_id, table + HEADER_OEM_TABLE_ID, 8);
            return true;
        }
    }
    return false;
}
