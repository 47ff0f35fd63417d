/* SPDX-License-Identifier: MIT */
/*
 * Properties: what -device NAME,prop=value, -global, -machine, -cpu, -object and qom-set reach, as
 * const tables over fields of an instance.
 */
#ifndef MACHINE_PROPERTY_H
#define MACHINE_PROPERTY_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/key-values.h"

typedef struct Machine Machine;

typedef enum {
    PROPERTY_BOOL,     /* bool; on|off|yes|no|true|false|1|0 */
    PROPERTY_U8,
    PROPERTY_U16,
    PROPERTY_U32,
    PROPERTY_U64,
    PROPERTY_I32,
    PROPERTY_SIZE,     /* uint64_t; bytes with K M G T suffix */
    PROPERTY_SIZE32,   /* uint32_t; the same */
    PROPERTY_STRING,   /* char *, owned by the instance, NULL when unset */
    PROPERTY_ENUM,     /* int, index into values */
    PROPERTY_ON_OFF_AUTO, /* int: enum OnOffAuto */
    PROPERTY_MAC,      /* uint8_t[6] */
    PROPERTY_PCI_ADDR, /* int32_t devfn; "SLOT[.FN]" in hex; -1 unset */
    PROPERTY_CHARDEV,  /* Chardev *; by id */
    PROPERTY_NETDEV,   /* Netdev *; by id */
    PROPERTY_AUDIODEV, /* Audiodev *; by id */
    PROPERTY_DRIVE,    /* struct BlockBackend *; by drive id or node name */
    PROPERTY_OBJECT,   /* Object *; by id */
    PROPERTY_JSON,     /* no field: what `json` says of the instance; it cannot be set */
    PROPERTY_NOT_YET,  /* no field: known from other emulators, off (or auto) is all that it can be */
} PropertyKind;

enum OnOffAuto { ON_OFF_AUTO_AUTO, ON_OFF_AUTO_ON, ON_OFF_AUTO_OFF };

typedef struct {
    const char *name;          /* NULL ends a table */
    PropertyKind kind;
    size_t offset;             /* of the field in the instance */
    const char *summary;
    const char *fallback;      /* default in text form, NULL for zero/unset */
    const char *const *values; /* PROPERTY_ENUM: NULL-terminated names */
    bool deprecated;
    bool repeats; /* PROPERTY_STRING: given again, it has another line; of all others the last holds */
    void (*changed)(void *instance); /* it may be set while the instance is in use, and this is called then */
    char *(*json)(const void *instance); /* PROPERTY_JSON: a JSON value; the caller frees */
} Property;

/* A list as a table for property_set; table: NULL for none. */
GHashTable *properties_table(const Property *table, const KeyValues *list);
/* One more of the list for such a table. */
void properties_table_add(const Property *table, GHashTable *options, const KeyValue *pair);
/* Applies all fallbacks. */
void properties_init(const Property *table, void *instance);
const Property *property_find(const Property *table, const char *name);
/* `who` names the owner in messages ("device 'pl011'"). Unknown names fail with the nearest. */
bool property_set(Machine *machine, const Property *table, void *instance, const char *who,
                  const char *name, const char *value, GError **error);
/*
 * All of options (char * -> char *, or NULL); stops at the first that fails. A name may have underscores
 * where the property has dashes.
 */
bool properties_set_all(Machine *machine, const Property *table, void *instance, const char *who,
                        GHashTable *options, GError **error);
/* Fails, naming the nearest property of the tables (NULL-terminated). */
bool property_unknown(const Property *const tables[], const char *who, const char *name,
                      GError **error);
/* Bytes, or with suffix K M G T P E (powers of 1024). */
bool property_parse_size(const char *text, uint64_t *value);
/* The value as text; caller frees. */
char *property_get(const Property *property, const void *instance);
/* What a reference (PROPERTY_DRIVE and its like) points to. */
void *property_pointer(const Property *property, const void *instance);
const char *property_type_name(const Property *property);
/* Frees strings, and gives up objects. */
void properties_free(const Property *table, void *instance);

#endif
