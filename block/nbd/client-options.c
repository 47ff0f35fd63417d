/* SPDX-License-Identifier: MIT */
/* How an NBD server and its export are named. */
#include "base/error.h"
#include "block/nbd/client.h"

#include <string.h>

/* nbd://host:port/export, nbd+unix:///export?socket=path */
static bool parse_uri(const char *filename, GHashTable *options, GError **error)
{
    g_autoptr(GUri) uri = g_uri_parse(filename, G_URI_FLAGS_NONE, error);
    g_autoptr(GHashTable) query = NULL;
    const char *path, *socket;

    if (!uri) {
        g_prefix_error(error, "Invalid NBD URI '%s': ", filename);
        return false;
    }
    query = g_uri_get_query(uri)
                ? g_uri_parse_params(g_uri_get_query(uri), -1, "&", G_URI_PARAMS_NONE, error)
                : g_hash_table_new(g_str_hash, g_str_equal);
    if (!query) {
        return false;
    }
    path = g_uri_get_path(uri);
    if (path[0] == '/') {
        path++;
    }
    if (path[0]) {
        options_set(options, "export", path);
    }
    socket = g_hash_table_lookup(query, "socket");
    if (!strcmp(g_uri_get_scheme(uri), "nbd+unix")) {
        if (!socket || g_hash_table_size(query) != 1) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "The URI '%s' needs ?socket=PATH and nothing else", filename);
        }
        options_set(options, "server.type", "unix");
        options_set(options, "server.path", socket);
        return true;
    }
    if (g_hash_table_size(query) || !g_uri_get_host(uri) || !g_uri_get_host(uri)[0]) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "The URI '%s' must be nbd://HOST[:PORT][/EXPORT]", filename);
    }
    options_set(options, "server.type", "inet");
    options_set(options, "server.host", g_uri_get_host(uri));
    if (g_uri_get_port(uri) > 0) {
        g_autofree char *port = g_strdup_printf("%d", g_uri_get_port(uri));

        options_set(options, "server.port", port);
    }
    return true;
}

/* nbd:host:port[:exportname=NAME], nbd:unix:path[:exportname=NAME] */
static bool parse_legacy(const char *filename, GHashTable *options, GError **error)
{
    g_autofree char *text = g_strdup(filename + strlen("nbd:"));
    char *export = strstr(text, ":exportname="), *colon, *host = text;

    if (export) {
        *export = 0;
        options_set(options, "export", export + strlen(":exportname="));
    }
    if (g_str_has_prefix(text, "unix:")) {
        options_set(options, "server.type", "unix");
        options_set(options, "server.path", text + strlen("unix:"));
        return true;
    }
    colon = strrchr(text, ':');
    if (!colon || !colon[1]) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "'%s' must be nbd:HOST:PORT[:exportname=NAME] or nbd:unix:PATH",
                          filename);
    }
    *colon = 0;
    if (host[0] == '[' && colon[-1] == ']') {
        colon[-1] = 0;
        host++;
    }
    options_set(options, "server.type", "inet");
    options_set(options, "server.host", host);
    options_set(options, "server.port", colon + 1);
    return true;
}

bool nbd_client_parse_filename(const char *filename, GHashTable *options, GError **error)
{
    return strstr(filename, "://") ? parse_uri(filename, options, error)
                                   : parse_legacy(filename, options, error);
}

static bool take_address(NbdClient *client, GHashTable *options, GError **error)
{
    static const char *const short_names[] = { "host", "port", "path" };
    char **fields[] = { &client->address.host, &client->address.port, &client->address.path };
    g_autofree char *type = options_take(options, "server.type");

    for (unsigned i = 0; i < 3; i++) {
        g_autofree char *full = g_strconcat("server.", short_names[i], NULL);

        *fields[i] = options_take(options, full);
        if (!*fields[i]) {
            *fields[i] = options_take(options, short_names[i]);
        }
    }
    if (!client->address.host == !client->address.path ||
        (type && strcmp(type, client->address.path ? "unix" : "inet"))) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "An NBD server needs server.type=inet with server.host and server.port, or "
            "server.type=unix with server.path");
    }
    if (!client->address.port) {
        client->address.port = g_strdup_printf("%d", NBD_DEFAULT_PORT);
    }
    return true;
}

bool nbd_client_take_options(NbdClient *client, GHashTable *options, GError **error)
{
    g_autofree char *filename = options_take(options, "filename");

    if ((filename && !nbd_client_parse_filename(filename, options, error)) ||
        !take_address(client, options, error) ||
        !options_take_number(options, "reconnect-delay", &client->reconnect_delay_s, error) ||
        !options_take_number(options, "open-timeout", &client->open_timeout_s, error)) {
        return false;
    }
    client->info.name = options_take(options, "export");
    if (!client->info.name) {
        client->info.name = g_strdup("");
    }
    client->info.context = options_take(options, "x-dirty-bitmap");
    client->tls_id = options_take(options, "tls-creds");
    client->tls_host = options_take(options, "tls-hostname");
    if (client->tls_id) {
        client->credentials = tls_credentials_load(client->graph, client->tls_id, false, error);
    }
    return !client->tls_id || client->credentials;
}
