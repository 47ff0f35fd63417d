/* SPDX-License-Identifier: MIT */
/*
 * Objects that -object creates: helpers that devices and the machine refer to by id (random number
 * sources, memory back ends, I/O threads).
 */
#ifndef MACHINE_OBJECT_H
#define MACHINE_OBJECT_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/key-values.h"
#include "base/registry.h"
#include "machine/property.h"

typedef struct Machine Machine;
typedef struct Object Object;

typedef struct {
    const char *name; /* as -object spells it */
    const char *summary;
    size_t instance_size; /* first member an Object */
    const Property *properties;
    bool on_netdev; /* it works on a network back end: -object makes it after those */
    /* All properties have been set; acquires what the object stands for. May be NULL. */
    bool (*complete)(Object *object, GError **error);
    void (*free)(Object *object); /* may be NULL */
    /* Whether it serves somebody beside those whose properties refer to it. May be NULL. */
    bool (*in_use)(Object *object);
    /* Random sources: fills the buffer without blocking; returns how many bytes, or -errno. */
    int64_t (*random)(Object *object, void *buffer, size_t size);
    /*
     * Kinds that another part of the program keeps (the block layer's secrets), instead of all hooks above: take
     * the options, "qom-type" and "id" among them, and forget what they made.
     */
    bool (*add)(Machine *machine, GHashTable *options, GError **error);
    bool (*remove)(Machine *machine, const char *id, GError **error);
    /*
     * Memory back ends: a file descriptor that holds `*size` bytes from offset 0; -1: any memory will do, and with *populate
     * all of it shall be taken from the host at once.
     */
    int (*memory)(Object *object, uint64_t *size, bool *populate);
} ObjectType;
#define OBJECT_TYPE(object) REGISTRY_ADD(object_types, object)
REGISTRY_DECLARE(object_types, ObjectType);

struct Object {
    const ObjectType *type;
    Machine *machine;
    char *id;
    unsigned users; /* properties and others that hold it: it cannot be removed */
};

const ObjectType *object_type_find(const char *name);
/* As find, and says why there is none. */
const ObjectType *object_type_get(const char *name, GError **error);
/* The one door for -object and object-add: options are "qom-type", "id", and the type's. */
bool object_add(Machine *machine, const KeyValues *options, GError **error);
bool object_remove(Machine *machine, const char *id, GError **error);
/* Creates and completes; the caller registers it with machine_add_object, which then owns it. */
Object *object_new(Machine *machine, const char *type, const char *id, GHashTable *options,
                   GError **error);
void object_free(Object *object);

/*
 * Random bytes from a source, or from the host's generator when it is NULL. Returns how many bytes
 * (at least 1 for a non-zero size unless the source has none now), or -errno.
 */
int64_t object_random(Object *object, void *buffer, size_t size);

#endif
