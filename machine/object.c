/* SPDX-License-Identifier: MIT */
/* Objects: creation by name, and the random source that devices draw from. */
#include "machine/object.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/names.h"
#include "machine/machine.h"
#include "machine/random.h"

static const NotYet object_types_not_yet[] = {
    { "acpi-generic-initiator acpi-generic-port arm-rme-guest can-bus can-host-socketcan "
      "colo-compare cryptodev-backend "
      "cryptodev-backend-builtin cryptodev-backend-lkcf cryptodev-vhost-user dbus-vmstate "
      "filter-replay filter-rewriter monitor-hmp monitor-qmp "
      "igvm-cfg input-barrier input-linux iommufd main-loop memory-backend-epc memory-backend-shm "
      "pr-manager-helper qtest s390-pv-guest secret_keyring sev-guest sev-snp-guest spdm-responder "
      "tdx-guest pef-guest thread-context tls-cipher-suites tls-creds-anon vfio-user-server "
      "x-remote-object "
      "x-vfio-user-server" },
    { "rng-egd", "use rng-random or rng-builtin" },
    { 0 },
};
static const NameKind object_kind = { "object", "-object help", object_types_not_yet };

const ObjectType *object_type_find(const char *name)
{
    return object_type_get(name, NULL);
}

const ObjectType *object_type_get(const char *name, GError **error)
{
    return REGISTRY_FIND(object_types, &object_kind, name, error);
}

Object *object_new(Machine *machine, const char *type_name, const char *id, GHashTable *options,
                   GError **error)
{
    const ObjectType *type = object_type_get(type_name, error);
    g_autofree char *who = g_strdup_printf("object '%s'", id);
    Object *object;

    if (!type) {
        return NULL;
    }
    object = g_malloc0(type->instance_size);
    object->type = type;
    object->machine = machine;
    object->id = g_strdup(id);
    properties_init(type->properties, object);
    if (properties_set_all(machine, type->properties, object, who, options, error) &&
        (!type->complete || type->complete(object, error))) {
        return object;
    }
    properties_free(type->properties, object);
    g_free(object->id);
    g_free(object);
    return NULL;
}

void object_free(Object *object)
{
    if (object->type->free) {
        object->type->free(object);
    }
    if (!object->type->add) {
        properties_free(object->type->properties, object);
    }
    g_free(object->id);
    g_free(object);
}

void object_read_at_use(void *instance)
{
}

bool object_set(Object *object, const char *property, const char *value, GError **error)
{
    const Property *found = property_find(object->type->properties, property);
    g_autofree char *who = g_strdup_printf("object '%s'", object->id);

    if (found && object->type->set) {
        return object->type->set(object->machine, object->id, found, value, error);
    }
    if (found && !found->changed) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%s: property '%s' can only be set before the object is in use", who,
                          property);
    }
    if (!property_set(object->machine, object->type->properties, object, who, property, value,
                      error)) {
        return false;
    }
    found->changed(object);
    return true;
}

char *object_get(Object *object, const char *property, GError **error)
{
    const Property *found = property_find(object->type->properties, property);

    if (!found) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "object '%s' has no property '%s'", object->id,
                   property);
        return NULL;
    }
    if (object->type->get) {
        return object->type->get(object->machine, object->id, found, error);
    }
    if (object->type->add) {
        error_fail(error, KASO_ERROR_UNSUPPORTED, "object '%s': property '%s' cannot be read",
                   object->id, property);
        return NULL;
    }
    return found->kind == PROPERTY_DRIVE
               ? machine_drive_name(object->machine, property_pointer(found, object))
               : property_get(found, object);
}

bool object_id_check(const char *id, GError **error)
{
    static const char known[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";

    return (g_ascii_isalpha(id[0]) && !id[strspn(id, known)]) ||
           error_fail(error, KASO_ERROR_INVALID, "Parameter 'id' expects an identifier, not '%s'",
                      id);
}

/* Members NAME.0, NAME.1 … of a list (as JSON has them) are one value of NAME, in lines. */
static void join_lists(const KeyValues *list, const ObjectType *type, GHashTable *options)
{
    for (unsigned i = 0; i < list->pairs->len; i++) {
        const KeyValue *pair = &g_array_index(list->pairs, KeyValue, i);
        const char *dot = strrchr(pair->key, '.');
        g_autofree char *name = dot ? g_strndup(pair->key, dot - pair->key) : NULL;
        const char *old;

        if (!dot || !property_find(type->properties, name)) {
            continue;
        }
        old = g_hash_table_lookup(options, name);
        g_hash_table_replace(options, g_strdup(name),
                             old ? g_strjoin("\n", old, pair->value, NULL) : g_strdup(pair->value));
        g_hash_table_remove(options, pair->key);
    }
}

/* What another part keeps has its place among the objects all the same. */
static Object *add_kept(Machine *machine, const ObjectType *type, const char *id,
                        GHashTable *options, GError **error)
{
    Object *object;

    if (!type->add(machine, options, error)) {
        return NULL;
    }
    object = g_new0(Object, 1);
    object->type = type;
    object->machine = machine;
    object->id = g_strdup(id);
    return object;
}

bool object_add(Machine *machine, const KeyValues *list, GError **error)
{
    const char *type_name = key_values_get(list, "qom-type"), *id = key_values_get(list, "id");
    g_autoptr(GHashTable) options = NULL;
    const ObjectType *type;
    Object *object;

    if (!type_name || !id) {
        return error_fail(error, KASO_ERROR_INVALID, "it needs a type and id=NAME");
    }
    type = object_type_get(type_name, error);
    if (!type) {
        return false;
    }
    if (!object_id_check(id, error)) {
        return false;
    }
    if (machine_find_object(machine, id)) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "attempt to add duplicate property '%s' to object (type 'container')",
                          id);
    }
    options = properties_table(type->properties, list);
    if (type->add) {
        object = add_kept(machine, type, id, options, error);
    } else {
        g_hash_table_remove(options, "qom-type");
        g_hash_table_remove(options, "id");
        join_lists(list, type, options);
        object = object_new(machine, type_name, id, options, error);
    }
    if (object) {
        machine_add_object(machine, object);
    }
    return object != NULL;
}

bool object_remove(Machine *machine, const char *id, GError **error)
{
    Object *object = machine_find_object(machine, id);

    if (!object) {
        return error_fail(error, KASO_ERROR_GENERIC, "object '%s' not found", id);
    }
    if (object->users || (object->type->in_use && object->type->in_use(object))) {
        return error_fail(error, KASO_ERROR_GENERIC, "object '%s' is in use, can not be deleted",
                          id);
    }
    if (object->type->remove && !object->type->remove(machine, id, error)) {
        return false;
    }
    machine_remove_object(machine, object);
    object_free(object);
    return true;
}

int64_t object_random(Machine *machine, Object *object, void *buffer, size_t size)
{
    if (object && object->type->random) {
        return object->type->random(object, buffer, size);
    }
    return machine_random(machine, buffer, size) ? (int64_t)size : -EAGAIN;
}
