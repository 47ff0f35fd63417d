/* SPDX-License-Identifier: MIT */
/* SMBIOS structures (DSP0134 3.6, chapter 7) by tables of fields, and what -smbios changes in them. */
#include "hw/acpi/smbios.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/file.h"
#include "base/uuid.h"
#include "base/key-values.h"
#include "machine/pci-function.h"

typedef enum {
    FIELD_STRING, /* a string number at `offset` */
    FIELD_U8,
    FIELD_U16,
    FIELD_U64,
    FIELD_RELEASE, /* MAJOR.MINOR in two bytes */
    FIELD_UUID,
    FIELD_UEFI,  /* bit 3 of a byte */
    FIELD_VALUE, /* one more string of those counted at `offset`; may be repeated */
    FIELD_PATH,  /* the same, from a file */
    FIELD_KIND,  /* of an on-board device, beside the bit that it is on */
    FIELD_PLACE, /* where a PCI device is: segment, bus, slot and function in four bytes */
    FIELD_IGNORED,
} FieldKind;

typedef struct {
    const char *name;
    FieldKind kind;
    uint8_t offset;
} Field;

enum {
    HEADER_BYTES = 4,
    STRINGS_MOST = 255,
    TYPES = 256,
    RAM_AREAS = 2,
    UUID_OFFSET = 8,
    DEVICE_ON = 1 << 7,        /* beside the kind of an on-board device */
    DIMM_BYTES_LARGE = 0x7fff, /* MiB; more is in a field of its own */
};
#define DIMM_MOST (UINT64_C(2047) << 40) /* what the field of 31 bits of MiB has room for */

/* Kinds of on-board devices, from 1 (7.42.2). */
static const char *const device_kinds[] = { "other",    "unknown",   "video", "scsi",
                                            "ethernet", "tokenring", "sound", "pata",
                                            "sata",     "sas",       NULL };

/* clang-format off */
static const Field bios_fields[] = {
    { "vendor", FIELD_STRING, 4 }, { "version", FIELD_STRING, 5 }, { "date", FIELD_STRING, 8 },
    { "release", FIELD_RELEASE, 0x14 }, { "uefi", FIELD_UEFI, 0x13 }, { "vm", FIELD_IGNORED, 0 }, { 0 },
};
static const Field system_fields[] = {
    { "manufacturer", FIELD_STRING, 4 }, { "product", FIELD_STRING, 5 }, { "version", FIELD_STRING, 6 },
    { "serial", FIELD_STRING, 7 }, { "uuid", FIELD_UUID, UUID_OFFSET }, { "sku", FIELD_STRING, 0x19 },
    { "family", FIELD_STRING, 0x1a }, { 0 },
};
static const Field baseboard_fields[] = {
    { "manufacturer", FIELD_STRING, 4 }, { "product", FIELD_STRING, 5 }, { "version", FIELD_STRING, 6 },
    { "serial", FIELD_STRING, 7 }, { "asset", FIELD_STRING, 8 }, { "location", FIELD_STRING, 0xa }, { 0 },
};
static const Field chassis_fields[] = {
    { "manufacturer", FIELD_STRING, 4 }, { "version", FIELD_STRING, 6 }, { "serial", FIELD_STRING, 7 },
    { "asset", FIELD_STRING, 8 }, { "sku", FIELD_STRING, 0x15 }, { 0 },
};
static const Field processor_fields[] = {
    { "sock_pfx", FIELD_IGNORED, 0 }, { "manufacturer", FIELD_STRING, 7 }, { "processor-id", FIELD_U64, 8 },
    { "version", FIELD_STRING, 0x10 }, { "max-speed", FIELD_U16, 0x14 }, { "current-speed", FIELD_U16, 0x16 },
    { "serial", FIELD_STRING, 0x20 }, { "asset", FIELD_STRING, 0x21 }, { "part", FIELD_STRING, 0x22 },
    { "processor-family", FIELD_U16, 0x28 }, { 0 },
};
static const Field port_fields[] = {
    { "internal_reference", FIELD_STRING, 4 }, { "external_reference", FIELD_STRING, 6 },
    { "connector_type", FIELD_U8, 7 }, { "port_type", FIELD_U8, 8 }, { 0 },
};
static const Field oem_string_fields[] = {
    { "value", FIELD_VALUE, 4 }, { "path", FIELD_PATH, 4 }, { 0 },
};
static const Field memory_device_fields[] = {
    { "loc_pfx", FIELD_IGNORED, 0 }, { "bank", FIELD_STRING, 0x11 },
    { "speed", FIELD_U16, 0x15 }, { "speed", FIELD_U16, 0x20 }, /* the fastest, and the one that is set */
    { "manufacturer", FIELD_STRING, 0x17 }, { "serial", FIELD_STRING, 0x18 }, { "asset", FIELD_STRING, 0x19 },
    { "part", FIELD_STRING, 0x1a }, { 0 },
};
static const Field onboard_fields[] = {
    { "designation", FIELD_STRING, 4 }, { "kind", FIELD_KIND, 5 }, { "instance", FIELD_U8, 6 },
    { "pcidev", FIELD_PLACE, 7 }, { 0 },
};
static const Field slot_fields[] = {
    { "slot_designation", FIELD_STRING, 4 }, { "slot_type", FIELD_U8, 5 }, { "slot_data_bus_width", FIELD_U8, 6 },
    { "current_usage", FIELD_U8, 7 }, { "slot_length", FIELD_U8, 8 }, { "slot_id", FIELD_U16, 9 },
    { "slot_characteristics1", FIELD_U8, 0xb }, { "slot_characteristics2", FIELD_U8, 0xc },
    { "pci_device", FIELD_PLACE, 0xd }, { 0 },
};
static const Field no_fields[] = { { 0 } };

/* What -smbios type=N takes. Those that may be given again make a structure each. */
static const struct {
    uint8_t type;
    const Field *fields;
    bool each;
} types[] = {
    { 0, bios_fields, false }, { 1, system_fields, false }, { 2, baseboard_fields, false },
    { 3, chassis_fields, false }, { 4, processor_fields, false }, { 8, port_fields, true }, { 9, slot_fields, true },
    { 11, oem_string_fields, false }, { 16, no_fields, false }, { 17, memory_device_fields, false },
    { 19, no_fields, false }, { 32, no_fields, false }, { 41, onboard_fields, true }, { 127, no_fields, false },
};
/* clang-format on */

/* Options. */

static int find_type(const KeyValues *option, GError **error)
{
    const char *text = key_values_get(option, "type");
    char *end = NULL;
    unsigned long type = text ? strtoul(text, &end, 0) : 0;

    for (size_t i = 0; text && *text && !*end && i < G_N_ELEMENTS(types); i++) {
        if (types[i].type == type) {
            return (int)i;
        }
    }
    if (!text) {
        error_fail(error, KASO_ERROR_INVALID, "give type=N,field=value,… or file=PATH");
    } else {
        error_fail(error, KASO_ERROR_INVALID,
                   "fields can be given for the types 0, 1, 2, 3, 4, 8, 9, 11, 17 and 41; others "
                   "come with "
                   "file=");
    }
    return -1;
}

static const Field *find_field(const Field *fields, const char *name)
{
    for (; fields->name; fields++) {
        if (strcmp(fields->name, name) == 0) {
            return fields;
        }
    }
    return NULL;
}

static bool parse_number(const char *text, unsigned bytes, uint64_t *value)
{
    char *end;

    errno = 0;
    *value = g_ascii_strtoull(text, &end, 0);
    return *text && !*end && !errno && *text != '-' && (bytes == 8 || *value >> (8 * bytes) == 0);
}

static bool parse_release(const char *text, uint8_t release[2])
{
    g_auto(GStrv) parts = g_strsplit(text, ".", 3);
    uint64_t major, minor;

    if (g_strv_length(parts) != 2 || !parse_number(parts[0], 1, &major) ||
        !parse_number(parts[1], 1, &minor)) {
        return false;
    }
    release[0] = (uint8_t)major;
    release[1] = (uint8_t)minor;
    return true;
}

/* The first three parts are little-endian (7.2.1). */
static bool parse_uuid(const char *text, uint8_t out[UUID_BYTES])
{
    if (!uuid_parse(text, out)) {
        return false;
    }
    uuid_swap(out);
    return true;
}

static bool check_value(const Field *field, const char *value, GError **error)
{
    uint8_t bytes[16];
    uint64_t number;
    bool on, ok = true;

    switch (field->kind) {
    case FIELD_U8:
        ok = parse_number(value, 1, &number);
        break;
    case FIELD_U16:
        ok = parse_number(value, 2, &number);
        break;
    case FIELD_U64:
        ok = parse_number(value, 8, &number);
        break;
    case FIELD_RELEASE:
        ok = parse_release(value, bytes);
        break;
    case FIELD_UUID:
        ok = parse_uuid(value, bytes);
        break;
    case FIELD_UEFI:
        return parse_switch("uefi", value, &on, error);
    case FIELD_KIND:
        ok = g_strv_contains(device_kinds, value);
        break;
    default:
        break;
    }
    return ok || error_fail(error, KASO_ERROR_INVALID, "'%s' is no value for %s%s", value,
                            field->name, field->kind == FIELD_RELEASE ? "; give MAJOR.MINOR" : "");
}

bool smbios_check_option(const char *text, GError **error)
{
    g_autoptr(KeyValues) option = key_values_parse(text, NULL, error);
    int type;

    if (!option) {
        return false;
    }
    if (key_values_get(option, "file")) {
        return true;
    }
    type = find_type(option, error);
    if (type < 0) {
        return false;
    }
    for (unsigned i = 0; i < option->pairs->len; i++) {
        const KeyValue *pair = &g_array_index(option->pairs, KeyValue, i);
        const Field *field = find_field(types[type].fields, pair->key);

        if (strcmp(pair->key, "type") != 0 && !field) {
            return error_fail(error, KASO_ERROR_INVALID, "type %u has no field '%s'",
                              types[type].type, pair->key);
        }
        if (field && key_values_counts(option, i) && !check_value(field, pair->value, error)) {
            return false;
        }
    }
    return true;
}

/* Structures. */

typedef struct {
    const SmbiosConfig *config;
    GPtrArray *options; /* KeyValues *, those with a type */
    GByteArray *tables;
    unsigned count, longest;
    bool given[TYPES]; /* by a file: not made here */
    /* The structure that grows. */
    unsigned start, strings;
    GByteArray *text;
} Builder;

static uint8_t *place(Builder *b, unsigned offset)
{
    return b->tables->data + b->start + offset;
}

static void begin(Builder *b, uint8_t type, uint16_t handle, uint8_t length)
{
    b->start = b->tables->len;
    b->strings = 0;
    g_byte_array_set_size(b->text, 0);
    g_byte_array_set_size(b->tables, b->start + length);
    memset(place(b, 0), 0, length);
    *place(b, 0) = type;
    *place(b, 1) = length;
    store_le16(place(b, 2), handle);
}

/* Strings follow the structure, numbered from 1; two zeros end them. */
static void end(Builder *b)
{
    static const uint8_t zeros[2];

    g_byte_array_append(b->tables, b->text->data, b->text->len);
    g_byte_array_append(b->tables, zeros, b->strings ? 1 : 2);
    b->count++;
    b->longest = MAX(b->longest, b->tables->len - b->start);
}

static unsigned add_string(Builder *b, const char *text, size_t length)
{
    if (!length || b->strings == STRINGS_MOST) {
        return 0;
    }
    g_byte_array_append(b->text, (const uint8_t *)text, (unsigned)length);
    g_byte_array_append(b->text, (const uint8_t *)"", 1);
    return ++b->strings;
}

static void set_string(Builder *b, unsigned offset, const char *text)
{
    *place(b, offset) = (uint8_t)(text ? add_string(b, text, strlen(text)) : 0);
}

static const KeyValues *option_at(const Builder *b, unsigned i)
{
    return b->options->pdata[i];
}

static bool is_of_type(const KeyValues *option, unsigned type)
{
    return strtoul(key_values_get(option, "type"), NULL, 0) == type;
}

/* The last value that was given for a field of a type, or NULL. */
static const char *option_value(const Builder *b, unsigned type, const char *name)
{
    for (unsigned i = b->options->len; i; i--) {
        const char *value = key_values_get(option_at(b, i - 1), name);

        if (value && is_of_type(option_at(b, i - 1), type)) {
            return value;
        }
    }
    return NULL;
}

static bool has_option(const Builder *b, unsigned type)
{
    for (unsigned i = 0; i < b->options->len; i++) {
        if (is_of_type(option_at(b, i), type)) {
            return true;
        }
    }
    return false;
}

static unsigned find_kind(const char *name)
{
    unsigned i = 0;

    while (strcmp(device_kinds[i], name) != 0) {
        i++;
    }
    return i + 1;
}

static void set_field(Builder *b, const Field *field, const char *value)
{
    uint64_t number = 0;
    bool on = false;

    switch (field->kind) {
    case FIELD_STRING:
        set_string(b, field->offset, value);
        break;
    case FIELD_U8:
        parse_number(value, 1, &number);
        *place(b, field->offset) = (uint8_t)number;
        break;
    case FIELD_U16:
        parse_number(value, 2, &number);
        store_le16(place(b, field->offset), (uint16_t)number);
        break;
    case FIELD_U64:
        parse_number(value, 8, &number);
        store_le64(place(b, field->offset), number);
        break;
    case FIELD_RELEASE:
        parse_release(value, place(b, field->offset));
        break;
    case FIELD_UUID:
        parse_uuid(value, place(b, field->offset));
        break;
    case FIELD_UEFI:
        parse_switch("uefi", value, &on, NULL);
        *place(b, field->offset) |= on ? 1 << 3 : 0;
        break;
    case FIELD_KIND:
        *place(b, field->offset) = (uint8_t)(DEVICE_ON | find_kind(value));
        break;
    default:
        break;
    }
}

/* What was given for a type, or else what its fields have in the machine (pairs of name and text, NULL at the end). */
static void set_fields(Builder *b, unsigned type, const Field *fields, const char *const *machine)
{
    for (; fields->name; fields++) {
        const char *value = option_value(b, type, fields->name);

        for (const char *const *pair = machine; pair && *pair && !value; pair += 2) {
            if (strcmp(*pair, fields->name) == 0) {
                value = pair[1];
            }
        }
        if (value) {
            set_field(b, fields, value);
        }
    }
}

/* The structures, in order of their types. */

static void build_bios(Builder *b)
{
    if (!has_option(b, 0)) {
        return; /* the firmware's own */
    }
    begin(b, 0, 0, 0x18);
    store_le16(place(b, 6), 0xe800);
    store_le64(place(b, 0xa), 1 << 3);        /* "characteristics not supported" */
    *place(b, 0x13) = 1 << 2 | 1 << 4;        /* targeted content, virtual machine */
    *place(b, 0x16) = *place(b, 0x17) = 0xff; /* no embedded controller */
    set_fields(b, 0, bios_fields, NULL);
    end(b);
}

static void build_system(Builder *b)
{
    const SmbiosConfig *c = b->config;
    const char *const machine[] = { "manufacturer", c->manufacturer, "product", c->product,
                                    "version",      c->version,      NULL };

    begin(b, 1, 0x100, 0x1b);
    *place(b, 0x18) = 6; /* wake-up by the power switch */
    if (c->uuid) {
        parse_uuid(c->uuid, place(b, UUID_OFFSET));
    }
    set_fields(b, 1, system_fields, machine);
    if (c->uuid_in_order) {
        uuid_swap(place(b, UUID_OFFSET));
    }
    end(b);
}

static void build_baseboard(Builder *b)
{
    const SmbiosConfig *c = b->config;
    const char *const machine[] = { "manufacturer", c->manufacturer, "product", c->product,
                                    "version",      c->version,      NULL };

    if (has_option(b, 2)) {
        begin(b, 2, 0x200, 0xf);
        *place(b, 9) = 1;                 /* a hosting board */
        store_le16(place(b, 0xb), 0x300); /* in the chassis */
        *place(b, 0xd) = 0xa;             /* motherboard */
        set_fields(b, 2, baseboard_fields, machine);
        end(b);
    }
}

static void build_chassis(Builder *b)
{
    const char *const machine[] = { "manufacturer", b->config->manufacturer, "version",
                                    b->config->version, NULL };

    begin(b, 3, 0x300, 0x16);
    *place(b, 5) = 1;                                   /* other */
    *place(b, 9) = *place(b, 0xa) = *place(b, 0xb) = 3; /* safe */
    *place(b, 0xc) = 2;                                 /* security unknown */
    set_fields(b, 3, chassis_fields, machine);
    end(b);
}

static void build_processor(Builder *b, unsigned n)
{
    const SmbiosConfig *c = b->config;
    const char *prefix = option_value(b, 4, "sock_pfx");
    g_autofree char *socket = g_strdup_printf("%s %u", prefix ? prefix : "CPU", n);
    const char *const machine[] = { "manufacturer", c->manufacturer, "version", c->version, NULL };
    unsigned threads = c->cores * c->threads;

    begin(b, 4, (uint16_t)(0x400 + n), c->v3 ? 0x30 : 0x2a);
    set_string(b, 4, socket);
    *place(b, 5) = 3;    /* central processor */
    *place(b, 6) = 0xfe; /* the field of 16 bits says it */
    store_le32(place(b, 8), c->cpu_id[0]);
    store_le32(place(b, 0xc), c->cpu_id[1]);
    store_le16(place(b, 0x14), 2000);
    store_le16(place(b, 0x16), 2000);
    *place(b, 0x18) = 0x41; /* populated, enabled */
    *place(b, 0x19) = 1;
    memset(place(b, 0x1a), 0xff, 6); /* no handles of caches */
    *place(b, 0x23) = *place(b, 0x24) = (uint8_t)MIN(c->cores, 255u);
    *place(b, 0x25) = (uint8_t)MIN(threads, 255u);
    store_le16(place(b, 0x26), 2); /* unknown */
    store_le16(place(b, 0x28), 1); /* other */
    if (c->v3) {
        store_le16(place(b, 0x2a), (uint16_t)c->cores);
        store_le16(place(b, 0x2c), (uint16_t)c->cores);
        store_le16(place(b, 0x2e), (uint16_t)threads);
    }
    set_fields(b, 4, processor_fields, machine);
    end(b);
}

static bool is_pci_function(const Device *device)
{
    return device && device->bus && device->bus->type->pci_function;
}

/* Only the first bus has its number before firmware gives them. */
static bool set_place(Builder *b, unsigned offset, const char *id, GError **error)
{
    const Device *device = b->config->machine ? device_find(b->config->machine, id) : NULL;
    PciFunctionInfo info = { 0 };

    if (!is_pci_function(device)) {
        return error_fail(error, KASO_ERROR_INVALID, "-smbios: there is no PCI device '%s'", id);
    }
    if (is_pci_function(device->bus->parent)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "-smbios: device '%s' is not on the first PCI bus", id);
    }
    device->bus->type->pci_function(device, &info);
    memset(place(b, offset), 0, 3);
    *place(b, offset + 3) = (uint8_t)(info.slot << 3 | info.function);
    return true;
}

static void set_defaults(Builder *b, uint8_t type)
{
    if (type == 9) {
        store_le16(place(b, 0xd), 0xff); /* no PCI device */
        *place(b, 0xf) = *place(b, 0x10) = 0xff;
    } else if (type == 41) {
        *place(b, 5) = DEVICE_ON | 1; /* other */
        *place(b, 6) = 1;
    }
}

/* A structure for each time that the option was given. */
static bool build_each(Builder *b, uint8_t type, const Field *fields, uint8_t length,
                       GError **error)
{
    unsigned n = 0;

    for (unsigned i = 0; i < b->options->len; i++) {
        if (!is_of_type(option_at(b, i), type)) {
            continue;
        }
        begin(b, type, (uint16_t)(type << 8 | n++), length);
        set_defaults(b, type);
        for (const Field *field = fields; field->name; field++) {
            const char *value = key_values_get(option_at(b, i), field->name);

            if (value && field->kind == FIELD_PLACE) {
                if (!set_place(b, field->offset, value, error)) {
                    return false;
                }
            } else if (value) {
                set_field(b, field, value);
            }
        }
        end(b);
    }
    return true;
}

static bool build_oem_strings(Builder *b, GError **error)
{
    if (!has_option(b, 11)) {
        return true;
    }
    begin(b, 11, 0xe00, 5);
    for (unsigned i = 0; i < b->options->len; i++) {
        const GArray *pairs = option_at(b, i)->pairs;

        for (unsigned n = 0; is_of_type(option_at(b, i), 11) && n < pairs->len; n++) {
            const KeyValue *pair = &g_array_index(pairs, KeyValue, n);
            g_autofree char *content = NULL;
            gsize length;

            if (strcmp(pair->key, "value") == 0) {
                add_string(b, pair->value, strlen(pair->value));
            } else if (strcmp(pair->key, "path") == 0) {
                if (!file_read(pair->value, FILE_TEXT_MOST, &content, &length, error)) {
                    g_prefix_error(error, "-smbios type=11: ");
                    return false;
                }
                add_string(b, content, strnlen(content, length));
            }
        }
    }
    *place(b, 4) = (uint8_t)b->strings;
    end(b);
    return true;
}

static void build_memory_device(Builder *b, unsigned n, uint64_t bytes)
{
    const char *prefix = option_value(b, 17, "loc_pfx");
    g_autofree char *locator = g_strdup_printf("%s %u", prefix ? prefix : "DIMM", n);
    const char *const machine[] = { "manufacturer", b->config->manufacturer, NULL };
    uint64_t mib = bytes >> 20;

    begin(b, 17, (uint16_t)(0x1100 + n), 0x28);
    store_le16(place(b, 4), 0x1000);
    store_le16(place(b, 6), 0xfffe); /* no error information */
    store_le16(place(b, 8), 0xffff);
    store_le16(place(b, 0xa), 0xffff);
    store_le16(place(b, 0xc), (uint16_t)MIN(mib, (uint64_t)DIMM_BYTES_LARGE));
    if (mib >= DIMM_BYTES_LARGE) {
        store_le32(place(b, 0x1c), (uint32_t)mib);
    }
    *place(b, 0xe) = 9; /* DIMM */
    set_string(b, 0x10, locator);
    *place(b, 0x12) = 7;           /* RAM */
    store_le16(place(b, 0x13), 2); /* other */
    set_fields(b, 17, memory_device_fields, machine);
    end(b);
}

static void build_memory(Builder *b)
{
    const SmbiosConfig *c = b->config;
    const uint64_t areas[RAM_AREAS][2] = { { c->ram_start, c->ram_below_4g },
                                           { GIB(4), c->ram_above_4g } };
    uint64_t all = c->ram_below_4g + c->ram_above_4g;
    uint64_t most = c->dimm_most ? c->dimm_most : DIMM_MOST;
    unsigned dimms = (unsigned)MAX((all + most - 1) / most, UINT64_C(1));

    if (!b->given[16]) {
        begin(b, 16, 0x1000, 0x17);
        *place(b, 4) = 1; /* other */
        *place(b, 5) = 3; /* system memory */
        *place(b, 6) = 6; /* multi-bit ECC */
        if (all >> 10 < 0x80000000) {
            store_le32(place(b, 7), (uint32_t)(all >> 10));
        } else {
            store_le32(place(b, 7), 0x80000000);
            store_le64(place(b, 0xf), all);
        }
        store_le16(place(b, 0xb), 0xfffe);
        store_le16(place(b, 0xd), (uint16_t)dimms);
        end(b);
    }
    for (unsigned i = 0; i < dimms && !b->given[17]; i++) {
        build_memory_device(b, i, MIN(all - i * most, most));
    }
    for (unsigned i = 0, n = 0; i < RAM_AREAS && !b->given[19]; i++) {
        uint64_t first = areas[i][0], end_kib = (first + areas[i][1]) >> 10;

        if (!areas[i][1]) {
            continue;
        }
        begin(b, 19, (uint16_t)(0x1300 + n++), 0x1f);
        if (end_kib - 1 < UINT32_MAX) {
            store_le32(place(b, 4), (uint32_t)(first >> 10));
            store_le32(place(b, 8), (uint32_t)(end_kib - 1));
        } else {
            store_le32(place(b, 4), UINT32_MAX);
            store_le32(place(b, 8), UINT32_MAX);
            store_le64(place(b, 0xf), first);
            store_le64(place(b, 0x17), first + areas[i][1] - 1);
        }
        store_le16(place(b, 0xc), 0x1000);
        *place(b, 0xe) = 1;
        end(b);
    }
}

/* Structures of a file, as they are. */
static bool add_file(Builder *b, const char *path, GError **error)
{
    g_autofree char *content = NULL;
    gsize size, at = 0;

    if (!file_read(path, FILE_TEXT_MOST, &content, &size, error)) {
        g_prefix_error(error, "-smbios: ");
        return false;
    }
    while (at < size) {
        const uint8_t *s = (const uint8_t *)content + at;
        gsize length = size - at < HEADER_BYTES ? 0 : s[1];

        if (length < HEADER_BYTES || length + 2 > size - at) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "-smbios file=%s: at byte %zu there is no SMBIOS structure", path,
                              at);
        }
        while (length + 2 <= size - at && (s[length] || s[length + 1])) {
            length++;
        }
        if (length + 2 > size - at) {
            return error_fail(
                error, KASO_ERROR_INVALID,
                "-smbios file=%s: the strings of the structure at byte %zu do not end", path, at);
        }
        length += 2;
        b->given[s[0]] = true;
        b->count++;
        b->longest = MAX(b->longest, (unsigned)length);
        g_byte_array_append(b->tables, s, (unsigned)length);
        at += length;
    }
    return true;
}

static bool take_options(Builder *b, GError **error)
{
    for (unsigned i = 0; b->config->options && i < b->config->options->len; i++) {
        const char *text = b->config->options->pdata[i];
        KeyValues *option;
        bool ok = true;

        if (!smbios_check_option(text, error)) {
            g_prefix_error(error, "-smbios %s: ", text);
            return false;
        }
        option = key_values_parse(text, NULL, NULL);
        if (key_values_get(option, "file")) {
            ok = add_file(b, key_values_get(option, "file"), error);
            key_values_free(option);
        } else {
            g_ptr_array_add(b->options, option);
        }
        if (!ok) {
            return false;
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        if (b->given[types[i].type] && has_option(b, types[i].type)) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "-smbios type=%u: a file gives this structure; its fields cannot be "
                              "given too",
                              types[i].type);
        }
    }
    return true;
}

static bool build_all(Builder *b, GError **error)
{
    static void (*const single[])(Builder *) = { build_bios, build_system, build_baseboard,
                                                 build_chassis };

    for (unsigned type = 0; type < G_N_ELEMENTS(single); type++) {
        if (!b->given[type]) {
            single[type](b);
        }
    }
    for (unsigned i = 0; i < b->config->sockets && !b->given[4]; i++) {
        build_processor(b, i);
    }
    if (!build_each(b, 8, port_fields, 9, error) || !build_each(b, 9, slot_fields, 0x11, error)) {
        return false;
    }
    if (!b->given[11] && !build_oem_strings(b, error)) {
        return false;
    }
    build_memory(b);
    if (!b->given[32]) {
        begin(b, 32, 0x2000, 0xb);
        end(b);
    }
    if (!build_each(b, 41, onboard_fields, 0xb, error)) {
        return false;
    }
    if (!b->given[127]) {
        begin(b, 127, 0x7f00, 4);
        end(b);
    }
    return true;
}

static GBytes *build_anchor(const Builder *b)
{
    uint8_t v3[0x18] = "_SM3_", v2[0x1f] = "_SM_";

    if (b->config->v3) {
        v3[6] = sizeof v3;
        v3[7] = 3;
        v3[0xa] = 1;
        store_le32(v3 + 0xc, b->tables->len);
        return g_bytes_new(v3, sizeof v3);
    }
    v2[5] = sizeof v2;
    v2[6] = 2;
    v2[7] = 8;
    store_le16(v2 + 8, (uint16_t)b->longest);
    memcpy(v2 + 0x10, "_DMI_", 5);
    store_le16(v2 + 0x16, (uint16_t)b->tables->len);
    store_le16(v2 + 0x1c, (uint16_t)b->count);
    v2[0x1e] = 0x28;
    return g_bytes_new(v2, sizeof v2);
}

bool smbios_build(const SmbiosConfig *config, GBytes **tables, GBytes **anchor, GError **error)
{
    Builder b = { .config = config,
                  .options = g_ptr_array_new_with_free_func((GDestroyNotify)key_values_free),
                  .tables = g_byte_array_new(),
                  .text = g_byte_array_new() };
    bool ok = take_options(&b, error) && build_all(&b, error);

    if (ok && !config->v3 && b.tables->len > UINT16_MAX) {
        ok = error_fail(error, KASO_ERROR_INVALID,
                        "-smbios: the tables have %u bytes; more than %u need "
                        "-machine smbios-entry-point-type=64",
                        b.tables->len, UINT16_MAX);
    }
    if (ok) {
        *anchor = build_anchor(&b);
        *tables = g_bytes_new(b.tables->data, b.tables->len);
    }
    g_byte_array_unref(b.tables);
    g_byte_array_unref(b.text);
    g_ptr_array_unref(b.options);
    return ok;
}
