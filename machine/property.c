/* SPDX-License-Identifier: MIT */
/* Properties: text to field and back, by kind. */
#include "machine/private.h"
#include "machine/property.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/names.h"
#include "machine/audio.h"
#include "machine/chardev.h"
#include "machine/machine.h"
#include "machine/netdev.h"
#include "machine/object.h"

/* clang-format off */
static const struct {
    const char *name;
    size_t size;
} kinds[] = {
    [PROPERTY_BOOL] = { "bool", sizeof(bool) },
    [PROPERTY_U8] = { "uint8", 1 },
    [PROPERTY_U16] = { "uint16", 2 },
    [PROPERTY_U32] = { "uint32", 4 },
    [PROPERTY_U64] = { "uint64", 8 },
    [PROPERTY_I32] = { "int32", 4 },
    [PROPERTY_SIZE] = { "size", 8 },
    [PROPERTY_SIZE32] = { "size", 4 },
    [PROPERTY_STRING] = { "str", sizeof(char *) },
    [PROPERTY_ENUM] = { "enum", sizeof(int) },
    [PROPERTY_ON_OFF_AUTO] = { "OnOffAuto", sizeof(int) },
    [PROPERTY_MAC] = { "mac address", 6 },
    [PROPERTY_PCI_ADDR] = { "pci slot", 4 },
    [PROPERTY_CHARDEV] = { "chardev id", sizeof(void *) },
    [PROPERTY_NETDEV] = { "netdev id", sizeof(void *) },
    [PROPERTY_AUDIODEV] = { "audiodev id", sizeof(void *) },
    [PROPERTY_DRIVE] = { "drive id", sizeof(void *) },
    [PROPERTY_OBJECT] = { "object id", sizeof(void *) },
    [PROPERTY_JSON] = { "json", 0 },
    [PROPERTY_NOT_YET] = { "not yet", 0 },
};
/* clang-format on */

static void *field_of(const Property *property, const void *instance)
{
    return (char *)instance + property->offset;
}

/* Whether a name is spelt, with underscores for dashes and dots: "kvm_pv_eoi", "sse4_1". */
static bool is_spelt(const char *name, const char *spelling)
{
    for (; *name && *spelling; name++, spelling++) {
        if (*name != *spelling && (*spelling != '_' || (*name != '-' && *name != '.'))) {
            return false;
        }
    }
    return *name == *spelling;
}

const Property *property_find(const Property *table, const char *name)
{
    const Property *spelt = NULL;

    for (; table && table->name; table++) {
        if (strcmp(table->name, name) == 0) {
            return table;
        }
        if (!spelt && is_spelt(table->name, name)) {
            spelt = table;
        }
    }
    return spelt;
}

const char *property_type_name(const Property *property)
{
    return kinds[property->kind].name;
}

static bool parse_bool(const char *text, bool *value)
{
    static const char *const yes[] = { "on", "yes", "true", "y", "1" };
    static const char *const no[] = { "off", "no", "false", "n", "0" };

    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        if (g_ascii_strcasecmp(text, yes[i]) == 0 || g_ascii_strcasecmp(text, no[i]) == 0) {
            *value = g_ascii_strcasecmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

bool property_parse_size(const char *text, uint64_t *value)
{
    static const char suffixes[] = "BKMGTPE";
    const char *suffix;
    char *end;
    uint64_t number;
    unsigned shift = 0;

    while (g_ascii_isspace(*text)) {
        text++;
    }
    if (!g_ascii_isdigit(*text)) {
        return false;
    }
    errno = 0;
    number = strtoull(text, &end, 0);
    if (errno) {
        return false;
    }
    if (*end == '.' && end > text) {
        /* A fraction, such as 1.5G. */
        char *fraction_end;
        double exact = g_ascii_strtod(text, &fraction_end);

        suffix = *fraction_end ? strchr(suffixes, g_ascii_toupper(*fraction_end)) : NULL;
        if (!suffix || fraction_end[1] || exact * (double)BIT(10 * (suffix - suffixes)) >= 0x1p63) {
            return false;
        }
        *value = exact * (double)BIT(10 * (suffix - suffixes));
        return true;
    }
    if (*end) {
        suffix = strchr(suffixes, g_ascii_toupper(*end));
        if (!suffix ||
            (end[1] && g_ascii_strcasecmp(end + 1, "iB") && g_ascii_strcasecmp(end + 1, "B"))) {
            return false;
        }
        shift = 10 * (suffix - suffixes);
    }
    if (shift && number >> (64 - shift)) {
        return false;
    }
    *value = number << shift;
    return true;
}

/* An unsigned number that fits `bits`. */
static bool parse_unsigned(const char *text, unsigned bits, uint64_t *value)
{
    char *end;

    if (!g_ascii_isdigit(*text)) {
        return false;
    }
    errno = 0;
    *value = strtoull(text, &end, 0);
    return errno == 0 && *end == '\0' && *value <= bits_mask(bits);
}

static bool parse_i32(const char *text, int32_t *value)
{
    char *end;
    long long number;

    errno = 0;
    number = strtoll(text, &end, 0);
    *value = number;
    return errno == 0 && end != text && *end == '\0' && number == *value;
}

static bool parse_mac(const char *text, uint8_t mac[6])
{
    unsigned bytes[6];
    int length = 0;

    if (sscanf(text, "%2x%*1[:-]%2x%*1[:-]%2x%*1[:-]%2x%*1[:-]%2x%*1[:-]%2x%n", &bytes[0],
               &bytes[1], &bytes[2], &bytes[3], &bytes[4], &bytes[5], &length) != 6 ||
        text[length]) {
        return false;
    }
    for (int i = 0; i < 6; i++) {
        mac[i] = bytes[i];
    }
    return true;
}

static bool parse_pci_addr(const char *text, int32_t *devfn)
{
    char *end;
    unsigned long slot = strtoul(text, &end, 16), function = 0;

    if (end == text) {
        return false;
    }
    if (*end == '.') {
        text = end + 1;
        function = strtoul(text, &end, 16);
        if (end == text) {
            return false;
        }
    }
    *devfn = slot << 3 | function;
    return *end == '\0' && slot < 32 && function < 8;
}

static bool bad_value(const Property *property, const char *who, const char *value,
                      const char *wanted, GError **error)
{
    return error_fail(error, KASO_ERROR_INVALID, "%s: '%s' is no value for property '%s'; give %s",
                      who, value, property->name, wanted);
}

static bool set_choice(const Property *property, int *field, const char *who, const char *value,
                       GError **error)
{
    static const char *const on_off_auto[] = { "auto", "on", "off", NULL };
    bool is_switch = property->kind == PROPERTY_ON_OFF_AUTO;
    const char *const *values = is_switch ? on_off_auto : property->values;
    g_autofree char *list = NULL, *wanted = NULL;
    bool on;

    for (int i = 0; values[i]; i++) {
        if (strcmp(values[i], value) == 0) {
            *field = i;
            return true;
        }
    }
    if (is_switch && parse_bool(value, &on)) {
        *field = on ? ON_OFF_AUTO_ON : ON_OFF_AUTO_OFF;
        return true;
    }
    list = g_strjoinv(", ", (char **)values);
    wanted = g_strdup_printf("one of %s", list);
    return bad_value(property, who, value, wanted, error);
}

/* A drive may be made on the way, so its failure has reasons of its own. */
static bool set_drive(Machine *machine, const Property *property, void **field, const char *who,
                      const char *value, GError **error)
{
    void *drive = machine ? machine_open_drive(machine, value, error) : NULL;

    if (!drive) {
        g_prefix_error(error, "%s: property '%s': ", who, property->name);
        return false;
    }
    machine_leave_drive(machine, *field);
    *field = drive;
    return true;
}

/* Objects count who refers to them. */
static void hold_object(Object **field, Object *object)
{
    if (*field) {
        (*field)->users--;
    }
    if (object) {
        object->users++;
    }
    *field = object;
}

static void *find_reference(Machine *machine, PropertyKind kind, const char *id)
{
    switch (kind) {
    case PROPERTY_CHARDEV:
        return machine_find_chardev(machine, id);
    case PROPERTY_NETDEV:
        return machine_find_netdev(machine, id);
    case PROPERTY_AUDIODEV:
        return machine_find_audiodev(machine, id);
    default:
        return machine_find_object(machine, id);
    }
}

static bool set_reference(Machine *machine, const Property *property, void **field, const char *who,
                          const char *value, GError **error)
{
    const char *what = property->kind == PROPERTY_CHARDEV    ? "chardev"
                       : property->kind == PROPERTY_NETDEV   ? "netdev"
                       : property->kind == PROPERTY_AUDIODEV ? "audiodev"
                                                             : "object";
    void *found = machine ? find_reference(machine, property->kind, value) : NULL;

    if (!found) {
        return error_fail(error, KASO_ERROR_NOT_FOUND,
                          "%s: property '%s': there is no %s '%s'; define it with -%s …,id=%s,…",
                          who, property->name, what, value, what, value);
    }
    if (property->kind == PROPERTY_OBJECT) {
        hold_object((Object **)field, found);
    } else {
        *field = found;
    }
    return true;
}

static bool set_number(const Property *property, void *field, const char *who, const char *value,
                       GError **error)
{
    unsigned bits = kinds[property->kind].size * 8;
    uint64_t number;
    g_autofree char *wanted = NULL;

    if (property->kind == PROPERTY_I32) {
        return parse_i32(value, field) ||
               bad_value(property, who, value, "a number of 32 bits", error);
    }
    if (property->kind == PROPERTY_SIZE || property->kind == PROPERTY_SIZE32) {
        if (!property_parse_size(value, &number)) {
            return bad_value(property, who, value, "a size in bytes, or with suffix K, M, G or T",
                             error);
        }
        if (number > bits_mask(bits)) {
            return bad_value(property, who, value, "a size below 4G", error);
        }
    } else if (!parse_unsigned(value, bits, &number)) {
        wanted = g_strdup_printf("a number from 0 to %" G_GUINT64_FORMAT, bits_mask(bits));
        return bad_value(property, who, value, wanted, error);
    }
    memcpy(field, &number, bits / 8); /* the host is little-endian */
    return true;
}

/* What is off is off here, too. */
static bool set_not_yet(const Property *property, const char *who, const char *value,
                        GError **error)
{
    bool on;

    return (parse_bool(value, &on) && !on) || strcmp(value, "auto") == 0 ||
           error_fail(error, KASO_ERROR_UNSUPPORTED, "%s: %s=%s: not yet: %s", who, property->name,
                      value, property->summary);
}

static bool set_field(Machine *machine, const Property *property, void *instance, const char *who,
                      const char *value, GError **error)
{
    void *field = field_of(property, instance);

    switch (property->kind) {
    case PROPERTY_BOOL:
        return parse_bool(value, field) || bad_value(property, who, value, "on or off", error);
    case PROPERTY_STRING:
        g_free(*(char **)field);
        *(char **)field = g_strdup(value);
        return true;
    case PROPERTY_ENUM:
    case PROPERTY_ON_OFF_AUTO:
        return set_choice(property, field, who, value, error);
    case PROPERTY_MAC:
        return parse_mac(value, field) ||
               bad_value(property, who, value, "six hexadecimal bytes such as 52:54:00:12:34:56",
                         error);
    case PROPERTY_PCI_ADDR: {
        int32_t devfn;

        if (!parse_pci_addr(value, &devfn)) {
            return bad_value(property, who, value,
                             "a PCI slot 0 to 1f in hexadecimal, with .FUNCTION 0 to 7 if needed",
                             error);
        }
        *(int32_t *)field = devfn;
        return true;
    }
    case PROPERTY_CHARDEV:
    case PROPERTY_NETDEV:
    case PROPERTY_AUDIODEV:
    case PROPERTY_OBJECT:
        return set_reference(machine, property, field, who, value, error);
    case PROPERTY_DRIVE:
        return set_drive(machine, property, field, who, value, error);
    case PROPERTY_JSON:
        return error_fail(error, KASO_ERROR_INVALID, "%s: property '%s' cannot be set", who,
                          property->name);
    case PROPERTY_NOT_YET:
        return set_not_yet(property, who, value, error);
    default:
        return set_number(property, field, who, value, error);
    }
}

void properties_init(const Property *table, void *instance)
{
    for (; table && table->name; table++) {
        if (table->fallback) {
            GError *error = NULL;

            if (!set_field(NULL, table, instance, "default", table->fallback, &error)) {
                g_error("%s", error->message); /* our own table is wrong */
            }
        } else if (table->kind == PROPERTY_PCI_ADDR) {
            *(int32_t *)field_of(table, instance) = -1;
        }
    }
}

bool property_unknown(const Property *const tables[], const char *who, const char *name,
                      GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *suggestion = NULL;
    const NotYet *known = not_yet_find(properties_not_yet, name);

    if (known) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "%s: not yet: property '%s' is not built; %s", who, name, known->instead);
    }
    for (; *tables; tables++) {
        for (const Property *property = *tables; property->name; property++) {
            if (property->kind != PROPERTY_NOT_YET) {
                g_ptr_array_add(names, (void *)property->name);
            }
        }
    }
    g_ptr_array_add(names, NULL);
    suggestion = names_suggest(name, (const char *const *)names->pdata);
    return error_fail(error, KASO_ERROR_NOT_FOUND, "%s has no property '%s'%s", who, name,
                      suggestion);
}

bool property_set(Machine *machine, const Property *table, void *instance, const char *who,
                  const char *name, const char *value, GError **error)
{
    const Property *property = property_find(table, name);

    if (!property) {
        return property_unknown((const Property *const[]){ table, NULL }, who, name, error);
    }
    return set_field(machine, property, instance, who, value, error);
}

void properties_table_add(const Property *table, GHashTable *options, const KeyValue *pair)
{
    const Property *property = table ? property_find(table, pair->key) : NULL;
    const char *old =
        property && property->repeats ? g_hash_table_lookup(options, pair->key) : NULL;

    g_hash_table_replace(options, g_strdup(pair->key),
                         old ? g_strjoin("\n", old, pair->value, NULL) : g_strdup(pair->value));
}

GHashTable *properties_table(const Property *table, const KeyValues *list)
{
    GHashTable *options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    for (unsigned i = 0; i < list->pairs->len; i++) {
        properties_table_add(table, options, &g_array_index(list->pairs, KeyValue, i));
    }
    return options;
}

bool properties_set_all(Machine *machine, const Property *table, void *instance, const char *who,
                        GHashTable *options, GError **error)
{
    GHashTableIter it;
    void *name, *value;

    if (!options) {
        return true;
    }
    g_hash_table_iter_init(&it, options);
    while (g_hash_table_iter_next(&it, &name, &value)) {
        const Property *property = property_find(table, name);

        if (!property_set(machine, table, instance, who, property ? property->name : name, value,
                          error)) {
            return false;
        }
    }
    return true;
}

static char *reference_id(const Property *property, const void *pointer)
{
    if (!pointer) {
        return g_strdup("");
    }
    switch (property->kind) {
    case PROPERTY_CHARDEV:
        return g_strdup(((const Chardev *)pointer)->id);
    case PROPERTY_NETDEV:
        return g_strdup(((const Netdev *)pointer)->id);
    case PROPERTY_AUDIODEV:
        return g_strdup(((const Audiodev *)pointer)->id);
    case PROPERTY_OBJECT:
        return g_strdup(((const Object *)pointer)->id);
    default:
        return g_strdup(""); /* the machine knows a drive's name: device_get */
    }
}

void *property_pointer(const Property *property, const void *instance)
{
    return *(void *const *)field_of(property, instance);
}

char *property_get(const Property *property, const void *instance)
{
    static const char *const on_off_auto[] = { "auto", "on", "off" };
    const void *field = field_of(property, instance);
    uint64_t number = 0;

    switch (property->kind) {
    case PROPERTY_BOOL:
        return g_strdup(*(const bool *)field ? "on" : "off");
    case PROPERTY_STRING:
        return g_strdup(*(char *const *)field ? *(char *const *)field : "");
    case PROPERTY_ENUM:
        return g_strdup(property->values[*(const int *)field]);
    case PROPERTY_ON_OFF_AUTO:
        return g_strdup(on_off_auto[*(const int *)field]);
    case PROPERTY_MAC: {
        const uint8_t *mac = field;

        return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
                               mac[4], mac[5]);
    }
    case PROPERTY_PCI_ADDR: {
        int32_t devfn = *(const int32_t *)field;

        return devfn < 0 ? g_strdup("") : g_strdup_printf("%02x.%x", devfn >> 3, devfn & 7);
    }
    case PROPERTY_I32:
        return g_strdup_printf("%d", *(const int32_t *)field);
    case PROPERTY_JSON:
        return property->json(instance);
    case PROPERTY_NOT_YET:
        return g_strdup("off");
    case PROPERTY_CHARDEV:
    case PROPERTY_NETDEV:
    case PROPERTY_AUDIODEV:
    case PROPERTY_DRIVE:
    case PROPERTY_OBJECT:
        return reference_id(property, *(void *const *)field);
    default:
        memcpy(&number, field, kinds[property->kind].size);
        return g_strdup_printf("%" G_GUINT64_FORMAT, number);
    }
}

void properties_free(const Property *table, void *instance)
{
    for (; table && table->name; table++) {
        if (table->kind == PROPERTY_STRING) {
            g_clear_pointer((char **)field_of(table, instance), g_free);
        } else if (table->kind == PROPERTY_OBJECT) {
            hold_object(field_of(table, instance), NULL);
        }
    }
}
