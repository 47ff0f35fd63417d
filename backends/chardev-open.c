/* SPDX-License-Identifier: MIT */
/* Makes character back ends from options; see the header. */
#include "backends/chardev-open.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/error.h"
#include "base/names.h"
#include "machine/machine.h"

static const NotYet chardev_types_not_yet[] = {
    { "braille console dbus hub msmouse parallel parport spiceport spicevmc wctablet",
      "use stdio, pty, socket or file" },
    { 0 },
};

/* Other spellings of a type. */
static const char *const chardev_type_aliases[][2] = { { "tty", "serial" },
                                                       { "memory", "ringbuf" } };

static const NameKind chardev_kind = { "chardev type", "-chardev help", chardev_types_not_yet };

const ChardevType *chardev_type_find(const char *name, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(chardev_type_aliases); i++) {
        if (!strcmp(name, chardev_type_aliases[i][0])) {
            name = chardev_type_aliases[i][1];
        }
    }
    return REGISTRY_FIND(chardev_types, &chardev_kind, name, error);
}

static bool chardev_option_is_true(const char *value)
{
    return !value || !strcmp(value, "on") || !strcmp(value, "yes") || !strcmp(value, "true") ||
           !strcmp(value, "1");
}

/* "nowait" is an old spelling of "wait=off"; sets *name and *value to what is meant. */
static void chardev_resolve_negation(const Property *table, const char **name, const char **value)
{
    const Property *property;

    if (!*value) {
        *value = "on";
    }
    if (!table || property_find(table, *name) || strncmp(*name, "no", 2)) {
        return;
    }
    property = property_find(table, *name + 2);
    if (property && (property->kind == PROPERTY_BOOL || property->kind == PROPERTY_ON_OFF_AUTO)) {
        *name += 2;
        *value = chardev_option_is_true(*value) ? "off" : "on";
    }
}

/* Options that all types have, which are not properties of the type. */
static bool chardev_option_is_ours(const char *name)
{
    static const char *const names[] = { "mux",     "id",        "backend",
                                         "logfile", "logappend", "logtimestamp" };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!strcmp(name, names[i])) {
            return true;
        }
    }
    return false;
}

/* Given, and not as off. */
static bool chardev_option_is_on(GHashTable *options, const char *name)
{
    gpointer value;

    return g_hash_table_lookup_extended(options, name, NULL, &value) &&
           chardev_option_is_true(value);
}

static bool chardev_open_log(Chardev *chardev, GHashTable *options, GError **error)
{
    const char *path = options ? g_hash_table_lookup(options, "logfile") : NULL;
    bool keep = path && chardev_option_is_on(options, "logappend");
    int fd;

    if (!path) {
        return true;
    }
    fd = descriptors_open(path, O_WRONLY | O_CREAT | (keep ? O_APPEND : O_TRUNC), 0666);
    if (fd < 0) {
        return error_fail_errno(error, errno, "chardev '%s': cannot write logfile '%s'",
                                chardev->id, path);
    }
    chardev->log_fd = fd;
    chardev->log_stamps = chardev_option_is_on(options, "logtimestamp");
    return true;
}

static bool chardev_set_options(Chardev *chardev, GHashTable *options, GError **error)
{
    static const Property no_properties[] = { { NULL } };
    const Property *table = chardev->type->properties ? chardev->type->properties : no_properties;
    char *who = g_strdup_printf("chardev '%s' (%s)", chardev->id, chardev->type->name);
    GHashTableIter it;
    gpointer key, data;
    bool ok = true;

    g_hash_table_iter_init(&it, options);
    while (ok && g_hash_table_iter_next(&it, &key, &data)) {
        const char *name = key, *value = data;

        if (chardev_option_is_ours(name)) {
            continue;
        }
        chardev_resolve_negation(table, &name, &value);
        ok = property_set(chardev->machine, table, chardev, who, name, value, error);
    }
    g_free(who);
    return ok;
}

static bool chardev_id_valid(const char *id)
{
    if (!id || !g_ascii_isalpha(id[0])) {
        return false;
    }
    for (const char *c = id; *c; c++) {
        if (!g_ascii_isalnum(*c) && !strchr("-._", *c)) {
            return false;
        }
    }
    return true;
}

/* One back end without mux=. */
static Chardev *chardev_open_one(Machine *machine, const char *id, const ChardevType *type,
                                 GHashTable *options, GError **error)
{
    Chardev *chardev;

    if (machine_find_chardev(machine, id)) {
        error_fail(error, KASO_ERROR_INVALID, "there is already a chardev '%s'; choose another id",
                   id);
        return NULL;
    }
    chardev = g_malloc0(type->instance_size);
    chardev->type = type;
    chardev->machine = machine;
    chardev->id = g_strdup(id);
    if (type->properties) {
        properties_init(type->properties, chardev);
    }
    if ((options && !chardev_set_options(chardev, options, error)) ||
        !chardev_open_log(chardev, options, error) || (type->open && !type->open(chardev, error))) {
        if (chardev->log_fd) {
            close(chardev->log_fd);
        }
        if (type->properties) {
            properties_free(type->properties, chardev);
        }
        g_free(chardev->id);
        g_free(chardev);
        return NULL;
    }
    machine_add_chardev(machine, id, chardev);
    return chardev;
}

static Chardev *chardev_open_mux(Machine *machine, const char *id, const ChardevType *type,
                                 GHashTable *options, GError **error)
{
    char *base_id = g_strdup_printf("%s-base", id);
    Chardev *base = NULL, *mux = NULL;
    const ChardevType *mux_type = chardev_type_find("mux", error);
    GHashTable *mux_options = g_hash_table_new(g_str_hash, g_str_equal);

    if (machine_find_chardev(machine, id)) {
        error_fail(error, KASO_ERROR_INVALID, "there is already a chardev '%s'; choose another id",
                   id);
    } else if (mux_type) {
        base = chardev_open_one(machine, base_id, type, options, error);
    }
    if (base) {
        g_hash_table_insert(mux_options, (gpointer) "chardev", base_id);
        mux = chardev_open_one(machine, id, mux_type, mux_options, error);
        if (!mux) {
            machine_remove_chardev(machine, base);
            chardev_free(base);
        }
    }
    g_hash_table_unref(mux_options);
    g_free(base_id);
    return mux;
}

Chardev *chardev_open(Machine *machine, const char *id, const char *type_name, GHashTable *options,
                      GError **error)
{
    const ChardevType *type;
    gpointer value;

    if (!chardev_id_valid(id)) {
        error_fail(error, KASO_ERROR_INVALID,
                   "chardev id '%s' must start with a letter and have only letters, digits, "
                   "'-', '.' and '_'",
                   id ? id : "");
        return NULL;
    }
    type = chardev_type_find(type_name, error);
    if (!type) {
        return NULL;
    }
    if (options && g_hash_table_lookup_extended(options, "mux", NULL, &value) &&
        chardev_option_is_true(value)) {
        return chardev_open_mux(machine, id, type, options, error);
    }
    return chardev_open_one(machine, id, type, options, error);
}

bool chardev_open_short(Machine *machine, const char *id, const char *form, Chardev **chardev,
                        bool *monitor, GError **error)
{
    GHashTable *options;
    char *type;
    bool ok = true;

    *chardev = NULL;
    if (!chardev_parse_short(form, &type, &options, monitor, error)) {
        return false;
    }
    if (type) {
        *chardev = chardev_open(machine, id, type, options, error);
        ok = *chardev != NULL;
    } else if (g_hash_table_contains(options, "chardev")) {
        const char *name = g_hash_table_lookup(options, "chardev");

        *chardev = machine_find_chardev(machine, name);
        if (!*chardev) {
            ok = error_fail(error, KASO_ERROR_NOT_FOUND,
                            "there is no chardev '%s'; define it with -chardev TYPE,id=%s", name,
                            name);
        }
    }
    g_free(type);
    g_hash_table_unref(options);
    return ok;
}
