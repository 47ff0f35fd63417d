/* SPDX-License-Identifier: MIT */
/* Objects: creation by name, and the random source that devices draw from. */
#include "machine/object.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/error.h"
#include "machine/machine.h"

const ObjectType *object_type_find(const char *name)
{
    const ObjectType *const *it;

    REGISTRY_FOREACH(object_types, it) {
        if (strcmp((*it)->name, name) == 0) {
            return *it;
        }
    }
    return NULL;
}

static bool unknown_type(const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const ObjectType *const *it;
    const char *nearest;

    REGISTRY_FOREACH(object_types, it) {
        g_ptr_array_add(names, (void *)(*it)->name);
    }
    g_ptr_array_add(names, NULL);
    nearest = error_nearest(name, (const char *const *)names->pdata);
    return error_fail(error, KASO_ERROR_NOT_FOUND,
                      "'%s' is not a valid object type%s%s%s (-object help lists them)", name,
                      nearest ? "; did you mean '" : "", nearest ? nearest : "",
                      nearest ? "'?" : "");
}

Object *object_new(Machine *machine, const char *type_name, const char *id, GHashTable *options,
                   GError **error)
{
    const ObjectType *type = object_type_find(type_name);
    g_autofree char *who = g_strdup_printf("object '%s'", id);
    Object *object;

    if (!type) {
        unknown_type(type_name, error);
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
    properties_free(object->type->properties, object);
    g_free(object->id);
    g_free(object);
}

int64_t object_random(Object *object, void *buffer, size_t size)
{
    ssize_t got;

    if (object && object->type->random) {
        return object->type->random(object, buffer, size);
    }
    got = getrandom(buffer, size, GRND_NONBLOCK);
    return got < 0 ? -errno : got;
}
