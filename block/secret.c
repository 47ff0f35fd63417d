/* SPDX-License-Identifier: MIT */
/* -object secret: passphrases by id; -object tls-creds-x509 and tls-creds-psk. */
#include "block/node.h"

#include "base/error.h"
#include "block/nbd-channel.h"
#include "block/throttle-group.h"

#include <string.h>

static bool exists(BlockGraph *graph, const char *id)
{
    return g_hash_table_contains(block_graph_secrets(graph), id) ||
           g_hash_table_contains(block_graph_tls(graph), id);
}

bool block_object_remove(BlockGraph *graph, const char *id, GError **error)
{
    return g_hash_table_remove(block_graph_secrets(graph), id) ||
           g_hash_table_remove(block_graph_tls(graph), id) ||
           error_fail(error, KASO_ERROR_GENERIC, "object '%s' not found", id);
}

bool block_object_add_line(BlockGraph *graph, const char *line, GError **error)
{
    g_autoptr(GHashTable) options = options_parse(line, "qom-type", error);

    return options && block_secret_add(graph, options, error);
}

bool block_secret_add(BlockGraph *graph, GHashTable *given, GError **error)
{
    g_autoptr(GHashTable) options = options_copy(given);
    g_autofree char *type = options_take(options, "qom-type");
    g_autofree char *id = options_take(options, "id");
    g_autofree char *data = options_take(options, "data");
    g_autofree char *file = options_take(options, "file");
    g_autofree char *format = options_take(options, "format");
    gsize size;

    if (id && exists(graph, id)) {
        return error_fail(error, KASO_ERROR_INVALID, "there is already an object '%s'", id);
    }
    if (type && g_str_has_prefix(type, "tls-creds-")) {
        if (!id) {
            return error_fail(error, KASO_ERROR_INVALID, "TLS credentials need 'id'");
        }
        options_set(options, "qom-type", type);
        if (file) {
            return error_fail(error, KASO_ERROR_INVALID, "TLS credentials take dir=, not file=");
        }
        g_hash_table_replace(block_graph_tls(graph), g_steal_pointer(&id),
                             g_hash_table_ref(options));
        return true;
    }
    if (type && !strcmp(type, "throttle-group")) {
        return throttle_group_add_object(graph, id, options, error);
    }
    if (type && strcmp(type, "secret")) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "Invalid object type: %s", type);
    }
    if (!id || !data == !file) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "A secret needs 'id' and either 'data' or 'file'");
    }
    if (!options_check_empty(options, "secret", NULL, error)) {
        return false;
    }
    if (file && !g_file_get_contents(file, &data, &size, error)) {
        g_prefix_error(error, "Unable to read secret '%s': ", id);
        return false;
    }
    if (format && !strcmp(format, "base64")) {
        g_autofree char *decoded = g_malloc0(strlen(data) + 1);
        g_autofree guchar *bytes = g_base64_decode(data, &size);

        memcpy(decoded, bytes, MIN(size, strlen(data)));
        g_free(data);
        data = g_steal_pointer(&decoded);
    }
    g_hash_table_replace(block_graph_secrets(graph), g_steal_pointer(&id), g_steal_pointer(&data));
    return true;
}

const char *block_secret(BlockGraph *graph, const char *id, GError **error)
{
    const char *secret = g_hash_table_lookup(block_graph_secrets(graph), id);

    if (!secret) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "No secret with id '%s'", id);
    }
    return secret;
}

GHashTable *block_tls_creds(BlockGraph *graph, const char *id, GError **error)
{
    GHashTable *options = g_hash_table_lookup(block_graph_tls(graph), id);

    if (!options) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "No TLS credentials with id '%s'", id);
    }
    return options;
}
