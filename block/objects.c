/* SPDX-License-Identifier: MIT */
/* -object secret: passphrases by id; -object tls-creds-x509, tls-creds-psk and authz-*. */
#include "block/graph/node.h"

#include "base/error.h"
#include "base/file.h"
#include "block/graph/authz.h"
#include "block/graph/throttle-group.h"
#include "block/nbd/channel.h"
#include "block/nbd/tls.h"

#include <nettle/aes.h>
#include <nettle/cbc.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE = AES256_KEY_SIZE, BLOCK_SIZE = AES_BLOCK_SIZE };

static bool exists(BlockGraph *graph, const char *id)
{
    return g_hash_table_contains(block_graph_secrets(graph), id) ||
           g_hash_table_contains(block_graph_tls(graph), id) ||
           g_hash_table_contains(block_graph_authz(graph), id);
}

bool block_object_remove(BlockGraph *graph, const char *id, GError **error)
{
    if (throttle_group_find(graph, id)) {
        return throttle_group_remove_object(graph, id, error);
    }
    return g_hash_table_remove(block_graph_secrets(graph), id) ||
           g_hash_table_remove(block_graph_tls(graph), id) ||
           g_hash_table_remove(block_graph_authz(graph), id) ||
           error_fail(error, KASO_ERROR_GENERIC, "object '%s' not found", id);
}

static GBytes *find_secret(BlockGraph *graph, const char *id, GError **error)
{
    GBytes *secret = g_hash_table_lookup(block_graph_secrets(graph), id);

    if (!secret) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "No secret with id '%s'", id);
    }
    return secret;
}

static bool decode_base64(char *text, size_t *size, const char *what, GError **error)
{
    char *end = text;

    for (const char *from = text; *from; from++) { /* lines, as they are in files */
        if (*from != '\r' && *from != '\n') {
            *end++ = *from;
        }
    }
    *end = '\0';
    if (text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")] ||
        strlen(text) % 4) {
        return error_fail(error, KASO_ERROR_INVALID, "%s is no base64", what);
    }
    *size = 0;
    if (text[0]) {
        g_base64_decode_inplace(text, size);
    }
    text[*size] = '\0';
    return true;
}

/* AES-256 in CBC mode, padded as PKCS #7 (RFC 5652, 6.3) says. */
static bool decrypt(GBytes *key, char *iv, char *data, size_t *size, GError **error)
{
    struct aes256_ctx cipher;
    size_t iv_size;
    uint8_t padding;

    if (!iv) {
        return error_fail(error, KASO_ERROR_INVALID, "A secret with keyid= needs iv=, too");
    }
    if (!decode_base64(iv, &iv_size, "iv", error)) {
        return false;
    }
    if (g_bytes_get_size(key) != KEY_SIZE || iv_size != BLOCK_SIZE) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "The key has %zu bytes and the iv %zu; they must have %d and %d",
                          g_bytes_get_size(key), iv_size, KEY_SIZE, BLOCK_SIZE);
    }
    if (!*size || *size % BLOCK_SIZE) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "An encrypted secret of %zu bytes is no multiple of %d", *size,
                          BLOCK_SIZE);
    }
    aes256_set_decrypt_key(&cipher, g_bytes_get_data(key, NULL));
    cbc_decrypt(&cipher, (nettle_cipher_func *)aes256_decrypt, BLOCK_SIZE, (uint8_t *)iv, *size,
                (uint8_t *)data, (uint8_t *)data);
    padding = (uint8_t)data[*size - 1];
    if (!padding || padding > BLOCK_SIZE) {
        return error_fail(error, KASO_ERROR_INVALID, "The secret was not encrypted with this key");
    }
    *size -= padding;
    data[*size] = '\0';
    return true;
}

void block_secret_set(BlockGraph *graph, const char *id, char *data, size_t size)
{
    g_hash_table_replace(block_graph_secrets(graph), g_strdup(id), g_bytes_new_take(data, size));
}

/* data or file, base64 if format says so, encrypted if there is a keyid. */
static bool add_secret(BlockGraph *graph, const char *id, GHashTable *options, GError **error)
{
    static const char *const formats[] = { "raw", "base64", NULL };
    g_autofree char *data = options_take(options, "data");
    g_autofree char *file = options_take(options, "file");
    g_autofree char *key_id = options_take(options, "keyid");
    g_autofree char *iv = options_take(options, "iv");
    GBytes *key = NULL;
    int format = 0;
    gsize size;

    if (!id || !data == !file) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "A secret needs 'id' and either 'data' or 'file'");
    }
    if (!options_take_enum(options, "format", formats, &format, error) ||
        !options_check_empty(options, "secret", NULL, error)) {
        return false;
    }
    if (file && !file_read(file, FILE_TEXT_MOST, &data, &size, error)) {
        g_prefix_error(error, "Unable to read secret '%s': ", id);
        return false;
    }
    size = file ? size : strlen(data);
    key = key_id ? find_secret(graph, key_id, error) : NULL;
    if ((format == 1 && !decode_base64(data, &size, "the secret", error)) ||
        (key_id && (!key || !decrypt(key, iv, data, &size, error)))) {
        g_prefix_error(error, "Secret '%s': ", id);
        return false;
    }
    block_secret_set(graph, id, g_steal_pointer(&data), size);
    return true;
}

/* They are read anew by each client and server; what cannot be read is told at once. */
static bool add_tls(BlockGraph *graph, const char *type, const char *id, GHashTable *options,
                    GError **error)
{
    const char *endpoint = options_get(options, "endpoint");
    TlsCredentials *credentials;

    if (strcmp(type, "tls-creds-anon") && !options_get(options, "dir")) {
        return error_fail(error, KASO_ERROR_INVALID, "%s '%s' needs dir=FOLDER", type, id);
    }
    g_hash_table_replace(block_graph_tls(graph), g_strdup(id), g_hash_table_ref(options));
    credentials = tls_credentials_load(graph, id, !g_strcmp0(endpoint, "server"), error);
    if (!credentials) {
        g_hash_table_remove(block_graph_tls(graph), id);
        return false;
    }
    tls_credentials_free(credentials);
    return true;
}

static bool add_authz(BlockGraph *graph, const char *type, const char *id, GHashTable *options,
                      GError **error)
{
    Authz *authz;

    if (!id) {
        return error_fail(error, KASO_ERROR_INVALID, "%s needs id=", type);
    }
    authz = authz_new(type, options, error);
    if (authz) {
        g_hash_table_replace(block_graph_authz(graph), g_strdup(id), authz);
    }
    return authz != NULL;
}

bool block_secret_add(BlockGraph *graph, GHashTable *given, GError **error)
{
    g_autoptr(GHashTable) options = options_copy(given);
    g_autofree char *type = options_take(options, "qom-type");
    g_autofree char *id = options_take(options, "id");

    if (id && exists(graph, id)) {
        return error_fail(error, KASO_ERROR_INVALID, "there is already an object '%s'", id);
    }
    if (type && g_str_has_prefix(type, "tls-creds-")) {
        if (!id) {
            return error_fail(error, KASO_ERROR_INVALID, "TLS credentials need 'id'");
        }
        options_set(options, "qom-type", type);
        if (options_get(options, "file")) {
            return error_fail(error, KASO_ERROR_INVALID, "TLS credentials take dir=, not file=");
        }
        return add_tls(graph, type, id, options, error);
    }
    if (type && authz_is_type(type)) {
        return add_authz(graph, type, id, options, error);
    }
    if (type && !strcmp(type, "throttle-group")) {
        return throttle_group_add_object(graph, id, options, error);
    }
    if (type && strcmp(type, "secret")) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "Invalid object type: %s", type);
    }
    return add_secret(graph, id, options, error);
}

const char *block_secret(BlockGraph *graph, const char *id, GError **error)
{
    GBytes *secret = find_secret(graph, id, error);
    const char *text = secret ? g_bytes_get_data(secret, NULL) : NULL;

    if (secret && strlen(text) != g_bytes_get_size(secret)) {
        error_fail(
            error, KASO_ERROR_INVALID,
            "Secret '%s' has a zero byte in it: it may be a key of other secrets (keyid=), but "
            "no passphrase",
            id);
        return NULL;
    }
    return text;
}

GHashTable *block_tls_creds(BlockGraph *graph, const char *id, GError **error)
{
    GHashTable *options = g_hash_table_lookup(block_graph_tls(graph), id);

    if (!options) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "No TLS credentials with id '%s'", id);
    }
    return options;
}

static Authz *find_authz(BlockGraph *graph, const char *id, GError **error)
{
    Authz *authz = g_hash_table_lookup(block_graph_authz(graph), id);

    if (!authz) {
        error_fail(error, KASO_ERROR_NOT_FOUND,
                   "No authorization with id '%s'; -object authz-list,id=%s,... makes one", id, id);
    }
    return authz;
}

bool block_authz_exists(BlockGraph *graph, const char *id, GError **error)
{
    return find_authz(graph, id, error) != NULL;
}

bool block_authz_allows(BlockGraph *graph, const char *id, const char *identity, GError **error)
{
    Authz *authz = find_authz(graph, id, error);

    return authz && authz_allows(authz, identity, error);
}

/* Limits of a running throttle group. */

typedef struct {
    BlockGraph *graph;
    const char *id;
    GHashTable *options; /* NULL: it is only looked at */
    char *text;
    GError **error;
} LimitsCall;

static void limits_entry(void *opaque)
{
    LimitsCall *call = opaque;
    ThrottleGroup *group = throttle_group_find(call->graph, call->id);
    ThrottleConfig config = *throttle_group_config(group);
    json_t *limits;
    char *text;

    if (call->options) {
        if (!throttle_config_take(call->options, &config, call->error) ||
            !options_check_empty(call->options, "limits", NULL, call->error)) {
            return;
        }
        throttle_group_configure(group, &config);
    }
    limits = throttle_config_to_limits(&config);
    text = json_dumps(limits, JSON_COMPACT);
    call->text = g_strdup(text);
    free(text);
    json_decref(limits);
}

char *block_throttle_group_limits(BlockGraph *graph, const char *id, const char *json,
                                  GError **error)
{
    g_autoptr(GHashTable) options = json ? block_options_from_json(json, error) : NULL;
    LimitsCall call = { .graph = graph, .id = id, .options = options, .error = error };

    if (!json || options) {
        async_run_sync(block_graph_context(graph), limits_entry, &call);
    }
    return call.text;
}
