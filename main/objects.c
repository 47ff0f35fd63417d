/* SPDX-License-Identifier: MIT */
/* -object. */
#include "machine/object.h"

#include <string.h>

#include "base/error.h"
#include "block/block.h"
#include "main/handlers.h"

/* Objects that belong to the block layer: passphrases and TLS credentials of images. */
static const char *const block_objects[] = { "secret", "tls-creds-x509", "tls-creds-psk",
                                             "throttle-group", NULL };

static bool add_block_object(Setup *setup, const char *type, const char *id, const KeyValues *list,
                             GError **error)
{
    g_autoptr(GHashTable) options = key_values_table(list);

    g_hash_table_replace(options, g_strdup("qom-type"), g_strdup(type));
    g_hash_table_replace(options, g_strdup("id"), g_strdup(id));
    return block_secret_add(setup->graph, options, error);
}

bool option_object(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = key_values_parse(argument, "qom-type", error);
    g_autoptr(GHashTable) options = NULL;
    g_autofree char *type = NULL, *id = NULL;
    Object *object;

    if (!list) {
        return false;
    }
    type = key_values_take(list, "qom-type");
    id = key_values_take(list, "id");
    if (!type || !id) {
        return error_fail(error, KASO_ERROR_INVALID, "it needs a type and id=NAME");
    }
    if (g_strv_contains(block_objects, type)) {
        return add_block_object(setup, type, id, list, error);
    }
    if (machine_find_object(setup->machine, id)) {
        return error_fail(error, KASO_ERROR_INVALID, "there is already an object '%s'", id);
    }
    options = key_values_table(list);
    object = object_new(setup->machine, type, id, options, error);
    if (object) {
        machine_add_object(setup->machine, object);
    }
    return object != NULL;
}
