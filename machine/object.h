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

/* Where a part of guest memory shall come from. */
typedef struct {
    uint64_t size;
    int fd;          /* a file with that many bytes from `offset`; -1: any memory will do */
    uint64_t offset;
    bool private_copy; /* of the file: writes do not reach it */
    bool populate;   /* all of it shall be taken from the host at once */
    bool no_dump;    /* the host's core files shall not have it */
    bool no_merge;   /* the host shall not share equal pages */
    bool no_reserve; /* huge pages are not set aside before they are used */
    int policy;      /* of memory_policies: on which of the host's nodes */
    const unsigned long *host_nodes; /* bits; HOST_NODES_MOST of them */
} ObjectMemory;
enum { HOST_NODES_MOST = 128 };
extern const char *const memory_policies[]; /* NULL-terminated; their places are the host's MPOL_ numbers */

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
     * the options, "qom-type" and "id" among them, and forget what they made. Their properties are no fields of the
     * instance, which is a bare Object; get and set (with one of them) may be NULL: there is nothing to see or change.
     */
    bool (*add)(Machine *machine, GHashTable *options, GError **error);
    bool (*remove)(Machine *machine, const char *id, GError **error);
    char *(*get)(Machine *machine, const char *id, const Property *property, GError **error);
    bool (*set)(Machine *machine, const char *id, const Property *property, const char *value,
                GError **error);
    /* Memory back ends: what they hold. */
    void (*memory)(const Object *object, ObjectMemory *memory);
} ObjectType;
/* A letter, then letters, digits, '-', '.' and '_': what users may call objects, devices and back ends. false, with an error: it is not such a name. */
bool object_id_check(const char *id, GError **error);

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
/* The memory back end of that id, and what it holds. */
Object *machine_find_memory(Machine *machine, const char *id, ObjectMemory *memory, GError **error);
/* Creates and completes; the caller registers it with machine_add_object, which then owns it. */
Object *object_new(Machine *machine, const char *type, const char *id, GHashTable *options,
                   GError **error);
void object_free(Object *object);
/* Of an object that is in use: only properties with `changed` can be set. */
bool object_set(Object *object, const char *property, const char *value, GError **error);
/* `changed` of what is looked at whenever it matters. */
void object_read_at_use(void *instance);
/* As text; the caller frees. */
char *object_get(Object *object, const char *property, GError **error);

/*
 * Random bytes from a source, or from the host's generator when it is NULL. Returns how many bytes
 * (at least 1 for a non-zero size unless the source has none now), or -errno.
 */
int64_t object_random(Machine *machine, Object *object, void *buffer, size_t size);

#endif
