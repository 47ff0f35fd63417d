/* SPDX-License-Identifier: MIT */
/* A VNC server: its options, its password, and what it looks at. */
#include <string.h>

#include "base/names.h"
#include "block/block.h"
#include "ui/viewer.h"
#include "ui/vnc/sasl.h"
#include "ui/vnc/vnc.h"

enum { WORKERS = 2, CONNECTIONS = 32 };

static void stop_watching(VncServer *server)
{
    if (server->watching) {
        server->watching = false;
        display_remove_listener(server->display, &server->listener);
    }
}

/* Somebody who may look is there. */
static bool is_wanted(const VncServer *server)
{
    for (guint i = 0; i < server->clients->len; i++) {
        if (((const VncClient *)server->clients->pdata[i])->authenticated) {
            return true;
        }
    }
    return false;
}

void vnc_server_update_watch(VncServer *server)
{
    if (!server->display || !is_wanted(server)) {
        stop_watching(server);
    } else if (!server->watching) {
        server->watching = true;
        display_add_listener(server->display, &server->listener);
        display_refresh(server->display);
        vnc_screen_take(server);
    }
}

void vnc_server_select(VncServer *server, Display *display)
{
    if (display == server->display) {
        return;
    }
    stop_watching(server);
    seat_set_display(&server->seat, display);
    server->display = display;
    server->cursor_known = false;
    for (guint i = 0; i < server->clients->len; i++) {
        VncClient *client = server->clients->pdata[i];

        client->send_name = client->send_cursor = true;
        g_hash_table_remove_all(client->keysyms);
        client->buttons = 0;
    }
    vnc_server_update_watch(server);
}

/* Passwords. */

void vnc_server_set_password(VncServer *server, const char *password)
{
    g_free(server->password);
    server->password = g_strdup(password);
}

bool vnc_server_password_is_valid(const VncServer *server)
{
    return server->password && g_get_real_time() / G_USEC_PER_SEC < server->expires_s;
}

VncSecurity vnc_server_security(const VncServer *server)
{
    return server->sasl              ? VNC_SECURITY_SASL
           : server->password_wanted ? VNC_SECURITY_PASSWORD
                                     : VNC_SECURITY_NONE;
}

bool vnc_server_uses_vencrypt(const VncServer *server)
{
    return server->credentials != NULL;
}

const char *vnc_server_vencrypt_name(const VncServer *server)
{
    bool certificate = tls_credentials_have_certificate(server->credentials);

    switch (vnc_server_security(server)) {
    case VNC_SECURITY_SASL:
        return certificate ? "x509-sasl" : "tls-sasl";
    case VNC_SECURITY_PASSWORD:
        return certificate ? "x509-vnc" : "tls-vnc";
    default:
        return certificate ? "x509-none" : "tls-none";
    }
}

const char *vnc_server_auth_name(const VncServer *server, bool vencrypt)
{
    if (vencrypt && server->credentials) {
        return "vencrypt";
    }
    return server->sasl ? "sasl" : server->password_wanted ? "vnc" : "none";
}

/* Freed by whom it is given to. */
static TlsCredentials *load_credentials(VncServer *server, GError **error)
{
    BlockGraph *graph = server->machine->block_graph;
    TlsCredentials *fresh = tls_credentials_load(graph, server->credentials_id, true, error);

    if (fresh && !tls_credentials_set_authz(fresh, graph, server->tls_authz, error)) {
        g_clear_pointer(&fresh, tls_credentials_free);
    }
    return fresh;
}

bool vnc_server_reload_credentials(VncServer *server, GError **error)
{
    TlsCredentials *fresh;

    if (!server->credentials_id) {
        return error_fail(error, KASO_ERROR_INVALID, "VNC server '%s' has no TLS", server->id);
    }
    fresh = load_credentials(server, error);
    if (fresh) {
        /* Sessions that exist go on with what they have been given. */
        g_ptr_array_add(server->old_credentials, server->credentials);
        server->credentials = fresh;
    }
    return fresh != NULL;
}

/* Options. */

static bool take_switch(const KeyValues *options, const char *name, bool *value, GError **error)
{
    const char *text = key_values_get(options, name);

    return !text || parse_switch(name, text, value, error);
}

static bool take_number(const KeyValues *options, const char *name, unsigned *value, GError **error)
{
    const char *text = key_values_get(options, name);
    guint64 number;

    if (text && !g_ascii_string_to_unsigned(text, 10, 0, UINT16_MAX, &number, NULL)) {
        return error_fail(error, KASO_ERROR_INVALID, "%s=%s: it is a number", name, text);
    }
    *value = text ? (unsigned)number : *value;
    return true;
}

static bool take_share(VncServer *server, const char *text, GError **error)
{
    static const char *const names[] = { "allow-exclusive", "force-shared", "ignore", NULL };
    static const NameKind kind = { "share policy" };

    for (int i = 0; text && names[i]; i++) {
        if (strcmp(names[i], text) == 0) {
            server->share = (VncShare)i;
            return true;
        }
    }
    return !text || names_fail(&kind, text, names, error);
}

static bool take_secret(VncServer *server, const char *id, GError **error)
{
    const char *password;

    if (id && server->password_wanted) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "password=on and password-secret=%s: the secret is the password; leave "
                          "password=on out",
                          id);
    }
    password = id ? block_secret(server->machine->block_graph, id, error) : NULL;
    if (id && password) {
        server->password_wanted = true;
        vnc_server_set_password(server, password);
    }
    return !id || password;
}

static bool take_credentials(VncServer *server, const KeyValues *options, GError **error)
{
    server->credentials_id = g_strdup(key_values_get(options, "tls-creds"));
    server->tls_authz = g_strdup(key_values_get(options, "tls-authz"));
    if (server->tls_authz && !server->credentials_id) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "tls-authz=%s: whom TLS has proved; it takes tls-creds=, too",
                          server->tls_authz);
    }
    server->credentials = server->credentials_id ? load_credentials(server, error) : NULL;
    return !server->credentials_id || server->credentials;
}

static bool take_sasl(VncServer *server, const KeyValues *options, GError **error)
{
    server->sasl_authz = g_strdup(key_values_get(options, "sasl-authz"));
    if (!take_switch(options, "sasl", &server->sasl, error)) {
        return false;
    }
    if (server->sasl_authz && !server->sasl) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "sasl-authz=%s: whom SASL has proved; it takes sasl=on, too",
                          server->sasl_authz);
    }
    if (server->sasl && server->password_wanted) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "sasl=on and a VNC password: a client shows one of them; leave the other");
    }
    return !server->sasl ||
           (vnc_sasl_init(error) &&
            (!server->sasl_authz ||
             block_authz_exists(server->machine->block_graph, server->sasl_authz, error)));
}

static bool take_display(VncServer *server, const KeyValues *options, GError **error)
{
    const char *device = key_values_get(options, "display");

    if (!device) {
        vnc_server_select(server, seat_console(server->machine, 0));
        return true;
    }
    server->fixed_display = true;
    server->display = display_find(server->machine, device, server->head, error);
    server->seat.display = server->display;
    return server->display != NULL;
}

static const char *const option_names[] = { "vnc",
                                            "id",
                                            "to",
                                            "reverse",
                                            "websocket",
                                            "password",
                                            "password-secret",
                                            "tls-creds",
                                            "lossy",
                                            "non-adaptive",
                                            "share",
                                            "key-delay-ms",
                                            "lock-key-sync",
                                            "display",
                                            "head",
                                            "connections",
                                            "power-control",
                                            "ipv4",
                                            "ipv6",
                                            "tls-authz",
                                            "sasl",
                                            "sasl-authz",
                                            "acl",
                                            "audiodev",
                                            NULL };

/* Deprecated since there are tls-authz and sasl-authz. */
static bool refuse_acl(const KeyValues *options, GError **error)
{
    const char *text = key_values_get(options, "acl");

    return !text || strcmp(text, "off") == 0 ||
           error_fail(error, KASO_ERROR_UNSUPPORTED,
                      "acl=%s: use -object authz-list,id=a,... with tls-authz=a or sasl-authz=a",
                      text);
}

/* Viewers hear nothing yet, but a name that is wrong is wrong. */
static bool take_audiodev(const VncServer *server, const char *id, GError **error)
{
    return !id || machine_find_audiodev(server->machine, id) ||
           error_fail(error, KASO_ERROR_INVALID, "audiodev=%s: there is no -audiodev with this id",
                      id);
}

static bool take_options(VncServer *server, const KeyValues *options, GError **error)
{
    unsigned delay;

    return refuse_acl(options, error) &&
           take_switch(options, "password", &server->password_wanted, error) &&
           take_switch(options, "lossy", &server->lossy, error) &&
           take_switch(options, "power-control", &server->power_control, error) &&
           take_switch(options, "lock-key-sync", &server->lock_key_sync, error) &&
           take_audiodev(server, key_values_get(options, "audiodev"), error) &&
           take_number(options, "head", &server->head, error) &&
           take_number(options, "connections", &server->connections, error) &&
           take_number(options, "key-delay-ms", &delay, error) &&
           take_share(server, key_values_get(options, "share"), error) &&
           take_secret(server, key_values_get(options, "password-secret"), error) &&
           take_credentials(server, options, error) && take_sasl(server, options, error) &&
           take_display(server, options, error);
}

void vnc_server_free(void *opaque)
{
    VncServer *server = opaque;
    Machine *machine = server->machine;
    bool taken = !machine_lock_held(machine);

    if (taken) {
        machine_lock(machine);
    }
    vnc_listen_nowhere(server);
    while (server->clients->len) {
        VncClient *client = server->clients->pdata[0];

        client->connected = false; /* nobody is there any more to be told */
        vnc_client_close(client, "the machine ends");
    }
    stop_watching(server);
    clipboard_remove_peer(machine, &server->clipboard);
    if (taken) {
        machine_unlock(machine);
    }
    if (server->workers) {
        g_thread_pool_free(server->workers, false, true);
    }
    vnc_updates_end(server);
    g_ptr_array_unref(server->listeners);
    g_ptr_array_unref(server->clients);
    g_clear_pointer(&server->keyboard, vnc_keyboard_free);
    g_clear_pointer(&server->credentials, tls_credentials_free);
    g_ptr_array_unref(server->old_credentials);
    pixman_region32_fini(&server->changed);
    g_clear_pointer(&server->screen, pixman_image_unref);
    g_clear_pointer(&server->strip, pixman_image_unref);
    vnc_sums_free(&server->sums);
    g_free(server->password);
    g_free(server->token);
    g_free(server->session);
    g_free(server->credentials_id);
    g_free(server->tls_authz);
    g_free(server->sasl_authz);
    g_free(server->id);
    g_free(server);
}

/* Those of a machine. */

static void free_servers(void *servers)
{
    g_ptr_array_unref(servers);
}

GPtrArray *vnc_servers(Machine *machine)
{
    GPtrArray *servers = machine_get_data(machine, "vnc");

    if (!servers) {
        servers = g_ptr_array_new_with_free_func(vnc_server_free);
        machine_set_data(machine, "vnc", servers);
        machine_on_free(machine, free_servers, servers);
    }
    return servers;
}

VncServer *vnc_server_find(Machine *machine, const char *id, GError **error)
{
    GPtrArray *servers = vnc_servers(machine);

    for (guint i = 0; i < servers->len; i++) {
        VncServer *server = servers->pdata[i];

        if (!id || strcmp(server->id, id) == 0) {
            return server;
        }
    }
    if (id) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "there is no VNC server '%s'", id);
    } else {
        error_fail(error, KASO_ERROR_NOT_ACTIVE, "no VNC server runs; -vnc starts one");
    }
    return NULL;
}

VncServer *vnc_server_new(Machine *machine, const char *id, const char *layout, GError **error)
{
    VncServer *server;

    if (vnc_server_find(machine, id, NULL)) {
        error_fail(error, KASO_ERROR_INVALID, "there is already a VNC server '%s'", id);
        return NULL;
    }
    server = g_new0(VncServer, 1);
    server->machine = machine;
    server->id = g_strdup(id);
    server->listeners = g_ptr_array_new_with_free_func(vnc_listener_free);
    server->clients = g_ptr_array_new();
    server->old_credentials = g_ptr_array_new_with_free_func((GDestroyNotify)tls_credentials_free);
    server->connections = CONNECTIONS;
    server->lock_key_sync = true;
    server->expires_s = G_MAXINT64;
    server->listener = vnc_display_listener;
    server->screen = pixman_image_create_bits(PIXMAN_x8r8g8b8, 640, 480, NULL, 0);
    server->done = g_async_queue_new();
    pixman_region32_init(&server->changed);
    seat_init(&server->seat, machine);
    server->clipboard.changed = vnc_clipboard_changed;
    clipboard_add_peer(machine, &server->clipboard);
    server->keyboard = vnc_keyboard_new(layout ? layout : "en-us", error);
    server->workers = g_thread_pool_new(vnc_update_encode, server, WORKERS, false, NULL);
    if (!server->keyboard) {
        vnc_server_free(server);
        return NULL;
    }
    return server;
}

/* What listens, for people. */
static char *describe(const VncServer *server)
{
    GString *text = g_string_new("VNC on ");

    for (guint i = 0; i < server->listeners->len; i++) {
        const VncListener *listener = server->listeners->pdata[i];

        g_string_append_printf(text, "%s%s%s", i ? " and " : "", listener->text,
                               listener->transport != VNC_PLAIN ? " (websocket)" : "");
    }
    return g_string_free(text, server->listeners->len == 0);
}

static bool start(Machine *machine, const KeyValues *options, const ViewerChoices *choices,
                  char **line, GError **error)
{
    const char *id = key_values_get(options, "id"), *address = key_values_get(options, "vnc");
    GPtrArray *servers = vnc_servers(machine);
    g_autofree char *name = id             ? g_strdup(id)
                            : servers->len ? g_strdup_printf("vnc%u", servers->len)
                                           : g_strdup("default");
    VncServer *server;

    if (!address) {
        return error_fail(error, KASO_ERROR_INVALID, "VNC needs an address: vnc=HOST:DISPLAY");
    }
    server = vnc_server_new(machine, name, choices->keyboard, error);
    if (!server) {
        return false;
    }
    if (!take_options(server, options, error) || !vnc_listen(server, address, options, error)) {
        vnc_server_free(server);
        return false;
    }
    g_ptr_array_add(servers, server);
    *line = describe(server);
    return true;
}

static const Viewer vnc_viewer = {
    .name = "vnc",
    .summary = "a server for VNC viewers: vnc=HOST:DISPLAY",
    .options = option_names,
    .start = start,
};
VIEWER(vnc_viewer);
