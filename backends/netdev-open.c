/* SPDX-License-Identifier: MIT */
/* Makes network back ends from options; see the header. */
#include "backends/netdev-open.h"

#include <string.h>

#include "base/error.h"
#include "base/key-values.h"
#include "base/names.h"
#include "machine/machine.h"
#include "machine/object.h"

static const NotYet netdev_types_not_yet[] = {
    { "af-xdp l2tpv3 netmap passt vde vhost-user vhost-vdpa "
      "vmnet-bridged vmnet-host vmnet-shared",
      "use user, tap, stream or dgram" },
    { 0 },
};

static const NameKind netdev_kind = { "network back end", "-netdev help", netdev_types_not_yet };

const NetdevType *netdev_type_find(const char *name, GError **error)
{
    return REGISTRY_FIND(netdev_types, &netdev_kind, name, error);
}

static bool netdev_set_options(Netdev *netdev, GHashTable *options, GError **error)
{
    char *who = g_strdup_printf("netdev '%s' (%s)", netdev->id, netdev->type->name);
    GHashTableIter it;
    gpointer key, value;
    bool ok = true;

    g_hash_table_iter_init(&it, options);
    while (ok && g_hash_table_iter_next(&it, &key, &value)) {
        if (strcmp(key, "id") && strcmp(key, "type")) {
            ok = property_set(netdev->machine, netdev->type->properties, netdev, who, key,
                              value ? value : "on", error);
        }
    }
    g_free(who);
    return ok;
}

/* The option that "hostfwd.0.str" or "hostfwd.0" is a value of, as JSON's lists come; NULL: it is none's. Caller frees. */
static char *listed_option(const NetdevType *type, const char *key)
{
    const char *dot = strchr(key, '.'), *rest = dot ? dot + 1 + strspn(dot + 1, "0123456789") : "";
    g_autofree char *stem = dot ? g_strndup(key, (gsize)(dot - key)) : NULL;

    return dot && rest > dot + 1 && (!*rest || !strcmp(rest, ".str")) &&
                   property_find(type->properties, stem)
               ? g_steal_pointer(&stem)
               : NULL;
}

/* By length first: the tenth of a list comes behind the ninth. */
static gint compare_keys(gconstpointer a, gconstpointer b)
{
    size_t first = strlen(a), second = strlen(b);

    return first != second ? (first < second ? -1 : 1) : strcmp(a, b);
}

/* The options with lists joined as those of repeated options are. NULL of NULL. */
static GHashTable *join_lists(const NetdevType *type, GHashTable *options)
{
    GHashTable *joined =
        options ? g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free) : NULL;
    GList *keys = options ? g_list_sort(g_hash_table_get_keys(options), compare_keys) : NULL;

    for (GList *key = keys; key; key = key->next) {
        const char *value = g_hash_table_lookup(options, key->data);
        char *stem = listed_option(type, key->data);
        const char *old = stem ? g_hash_table_lookup(joined, stem) : NULL;

        g_hash_table_replace(joined, stem ? stem : g_strdup(key->data),
                             old ? g_strconcat(old, "\n", value, NULL) : g_strdup(value));
    }
    g_list_free(keys);
    return joined;
}

Netdev *netdev_open(Machine *machine, const char *id, const char *type_name, GHashTable *options,
                    GError **error)
{
    const NetdevType *type = netdev_type_find(type_name, error);
    g_autoptr(GHashTable) joined = NULL;
    Netdev *netdev;

    if (!type) {
        return NULL;
    }
    if (!id || !*id) {
        error_fail(error, KASO_ERROR_INVALID, "network back end '%s' needs id=NAME", type_name);
        return NULL;
    }
    if (id[0] != '#' && !object_id_check(id, error)) { /* #net0 and its like are our own */
        return NULL;
    }
    if (machine_find_netdev(machine, id)) {
        error_fail(error, KASO_ERROR_INVALID, "there is already a netdev '%s'; choose another id",
                   id);
        return NULL;
    }
    netdev = g_malloc0(type->instance_size);
    netdev->type = type;
    netdev->machine = machine;
    netdev->id = g_strdup(id);
    netdev->link_up = true;
    g_queue_init(&netdev->backlog);
    properties_init(type->properties, netdev);
    joined = join_lists(type, options);
    if ((joined && !netdev_set_options(netdev, joined, error)) || !type->open(netdev, error)) {
        properties_free(type->properties, netdev);
        g_free(netdev->id);
        g_free(netdev);
        return NULL;
    }
    machine_add_netdev(machine, id, netdev);
    return netdev;
}

static bool netdev_option_is_nics(const char *name)
{
    static const char *const names[] = { "model", "macaddr", "addr", "vectors", "name", "mac" };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!strcmp(name, names[i])) {
            return true;
        }
    }
    return false;
}

Netdev *netdev_open_text(Machine *machine, const char *text, const char *id, GHashTable *rest,
                         GError **error)
{
    g_autoptr(GHashTable) options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(KeyValues) list = key_values_parse_list(text, "type", error);
    const NetdevType *known;
    const char *type;

    if (!list) {
        return NULL;
    }
    type = key_values_get(list, "type");
    known = type ? netdev_type_find(type, NULL) : NULL;
    for (unsigned i = 0; i < list->pairs->len; i++) {
        const KeyValue *pair = &g_array_index(list->pairs, KeyValue, i);

        properties_table_add(known ? known->properties : NULL,
                             rest && netdev_option_is_nics(pair->key) ? rest : options, pair);
    }
    if (g_hash_table_contains(options, "id")) {
        id = g_hash_table_lookup(options, "id");
    }
    return netdev_open(machine, id, type ? type : "", options, error);
}
