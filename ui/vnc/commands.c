/* SPDX-License-Identifier: MIT */
/* Commands about VNC: who is there, and passwords. */
#include <fcntl.h>
#include <string.h>

#include "base/descriptors.h"
#include "monitor/command.h"
#include "ui/vnc/vnc.h"

static json_t *list_clients(const VncServer *server)
{
    json_t *list = json_array();

    for (guint i = 0; i < server->clients->len; i++) {
        const VncClient *client = server->clients->pdata[i];

        if (client->ready) {
            json_array_append_new(list, vnc_client_json(client));
        }
    }
    return list;
}

static json_t *listener_json(const VncListener *listener)
{
    return vnc_address_json(listener->host, listener->service, listener->family,
                            listener->transport != VNC_PLAIN);
}

/* query-vnc, the first server alone. */

static json_t *query_vnc_run(Monitor *monitor, json_t *arguments, GError **error)
{
    GPtrArray *servers = vnc_servers(monitor_machine(monitor));
    const VncServer *server = servers->len ? servers->pdata[0] : NULL;
    json_t *result = json_object();

    monitor_put(result, "enabled", json_boolean(server && server->listeners->len));
    if (server && server->listeners->len) {
        const VncListener *listener = server->listeners->pdata[0];

        monitor_put(result, "host", json_string(listener->host));
        monitor_put(result, "service", json_string(listener->service));
        monitor_put(result, "family", json_string(listener->family));
        monitor_put(result, "auth", json_string(vnc_server_auth_name(server, true)));
    }
    monitor_put(result, "clients", server ? list_clients(server) : json_array());
    return result;
}

static const MonitorCommand query_vnc_command = {
    .name = "query-vnc",
    .summary = "tells where the first VNC server listens and who looks",
    .run = query_vnc_run,
    .returns = "VncInfo",
};
MONITOR_COMMAND(query_vnc_command);

static void put_auth(json_t *object, const VncServer *server, bool websocket)
{
    bool vencrypt = vnc_server_uses_vencrypt(server) && !websocket;

    monitor_put(object, "auth", json_string(vnc_server_auth_name(server, !websocket)));
    if (vencrypt) {
        monitor_put(object, "vencrypt", json_string(vnc_server_vencrypt_name(server)));
    }
}

static json_t *server_json(const VncServer *server)
{
    json_t *result = json_object(), *list = json_array();

    for (guint i = 0; i < server->listeners->len; i++) {
        const VncListener *listener = server->listeners->pdata[i];
        json_t *address = listener_json(listener);

        put_auth(address, server, listener->transport != VNC_PLAIN);
        json_array_append_new(list, address);
    }
    monitor_put(result, "id", json_string(server->id));
    monitor_put(result, "server", list);
    monitor_put(result, "clients", list_clients(server));
    put_auth(result, server, false);
    if (server->display && display_device(server->display)) {
        monitor_put(result, "display", json_string(display_device(server->display)->id));
    }
    return result;
}

static json_t *query_vnc_servers_run(Monitor *monitor, json_t *arguments, GError **error)
{
    GPtrArray *servers = vnc_servers(monitor_machine(monitor));
    json_t *list = json_array();

    for (guint i = 0; i < servers->len; i++) {
        json_array_append_new(list, server_json(servers->pdata[i]));
    }
    return list;
}

static void print_address(json_t *address, const char *what, GString *out)
{
    g_string_append_printf(out, "  %s: %s:%s (%s%s)\n", what, monitor_get_string(address, "host"),
                           monitor_get_string(address, "service"),
                           monitor_get_string(address, "family"),
                           monitor_get_bool(address, "websocket") ? ", websocket" : "");
}

static void query_vnc_servers_print(Monitor *monitor, json_t *result, GString *out)
{
    json_t *server, *address;
    size_t i, j;

    if (!json_array_size(result)) {
        g_string_append(out, "None\n");
    }
    json_array_foreach(result, i, server)
    {
        g_string_append_printf(out, "%s:\n", monitor_get_string(server, "id"));
        json_array_foreach(json_object_get(server, "server"), j, address)
        {
            print_address(address, "Server", out);
            g_string_append_printf(out, "    Auth: %s\n", monitor_get_string(address, "auth"));
        }
        json_array_foreach(json_object_get(server, "clients"), j, address)
        {
            print_address(address, "Client", out);
        }
        if (!json_array_size(json_object_get(server, "clients"))) {
            g_string_append(out, "  Client: none\n");
        }
    }
}

static const MonitorCommand query_vnc_servers_command = {
    .name = "query-vnc-servers",
    .hmp = "info vnc",
    .summary = "shows VNC servers and who looks",
    .run = query_vnc_servers_run,
    .print = query_vnc_servers_print,
    .returns = "[VncInfo2]",
};
MONITOR_COMMAND(query_vnc_servers_command);

/* Passwords. */

static VncServer *find_server(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *protocol =
        monitor_has(arguments, "protocol") ? monitor_get_string(arguments, "protocol") : "vnc";

    if (strcmp(protocol, "vnc") != 0) {
        error_fail(error, KASO_ERROR_UNSUPPORTED, "protocol '%s': vnc alone is built", protocol);
        return NULL;
    }
    return vnc_server_find(
        monitor_machine(monitor),
        monitor_has(arguments, "display") ? monitor_get_string(arguments, "display") : NULL, error);
}

static bool set_password(VncServer *server, const char *password, GError **error)
{
    if (!server->password_wanted) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "VNC server '%s' asks for no password; start it with password=on",
                          server->id);
    }
    vnc_server_set_password(server, password);
    return true;
}

static json_t *set_password_run(Monitor *monitor, json_t *arguments, GError **error)
{
    VncServer *server = find_server(monitor, arguments, error);

    if (server && monitor_has(arguments, "connected") &&
        strcmp(monitor_get_string(arguments, "connected"), "keep") != 0) {
        error_fail(error, KASO_ERROR_INVALID,
                   "parameter 'connected' must be 'keep' when 'protocol' is 'vnc'");
    } else if (server) {
        set_password(server, monitor_get_string(arguments, "password"), error);
    }
    return NULL;
}

static const char *const connected_values[] = { "fail", "disconnect", "keep", NULL };

static const MonitorArgument set_password_arguments[] = {
    { "protocol", ARGUMENT_STRING, .summary = "vnc" },
    { "password", ARGUMENT_STRING, .summary = "up to 8 characters count" },
    { "display", ARGUMENT_STRING, true, "which server, by its id", 'd' },
    { "connected", ARGUMENT_STRING, true, "what becomes of those who are there: keep", 0, NULL,
      connected_values },
    { NULL },
};

static const MonitorCommand set_password_command = {
    .name = "set_password",
    .hmp = "set_password",
    .summary = "sets the password of a VNC server",
    .arguments = set_password_arguments,
    .run = set_password_run,
};
MONITOR_COMMAND(set_password_command);

/* "now", "never", "+SECONDS" or seconds since 1970. */
static bool parse_expiry(const char *text, gint64 *expires_s, GError **error)
{
    gint64 now = g_get_real_time() / G_USEC_PER_SEC, seconds;

    if (strcmp(text, "now") == 0) {
        *expires_s = 0;
    } else if (strcmp(text, "never") == 0) {
        *expires_s = G_MAXINT64;
    } else if (!g_ascii_string_to_signed(text + (text[0] == '+'), 10, 0, G_MAXINT64 / 2, &seconds,
                                         NULL)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "time '%s': it is now, never, +SECONDS or seconds since 1970", text);
    } else {
        *expires_s = text[0] == '+' ? now + seconds : seconds;
    }
    return true;
}

static json_t *expire_password_run(Monitor *monitor, json_t *arguments, GError **error)
{
    VncServer *server = find_server(monitor, arguments, error);

    if (server) {
        parse_expiry(monitor_get_string(arguments, "time"), &server->expires_s, error);
    }
    return NULL;
}

static const MonitorArgument expire_password_arguments[] = {
    { "protocol", ARGUMENT_STRING, .summary = "vnc" },
    { "time", ARGUMENT_STRING, .summary = "now, never, +SECONDS or seconds since 1970" },
    { "display", ARGUMENT_STRING, true, "which server, by its id", 'd' },
    { NULL },
};

static const MonitorCommand expire_password_command = {
    .name = "expire_password",
    .hmp = "expire_password",
    .summary = "says until when the password of a VNC server is good",
    .arguments = expire_password_arguments,
    .run = expire_password_run,
};
MONITOR_COMMAND(expire_password_command);

static json_t *change_password_run(Monitor *monitor, json_t *arguments, GError **error)
{
    VncServer *server = find_server(monitor, arguments, error);

    if (server) {
        set_password(server, monitor_get_string(arguments, "password"), error);
    }
    return NULL;
}

static const MonitorArgument change_password_arguments[] = {
    { "password", ARGUMENT_STRING, .summary = "up to 8 characters count" },
    { NULL },
};

static const MonitorCommand change_password_command = {
    .name = "change-vnc-password",
    .summary = "sets the password of the first VNC server",
    .arguments = change_password_arguments,
    .run = change_password_run,
};
MONITOR_COMMAND(change_password_command);

/* display-reload, display-update */

static bool is_vnc(json_t *arguments, GError **error)
{
    const char *type = monitor_get_string(arguments, "type");

    return strcmp(type, "vnc") == 0 ||
           error_fail(error, KASO_ERROR_INVALID, "type '%s': there is vnc alone", type);
}

static json_t *display_reload_run(Monitor *monitor, json_t *arguments, GError **error)
{
    VncServer *server = is_vnc(arguments, error) ? find_server(monitor, arguments, error) : NULL;

    if (server && monitor_get_bool(arguments, "tls-certs")) {
        vnc_server_reload_credentials(server, error);
    }
    return NULL;
}

static const MonitorArgument display_reload_arguments[] = {
    { "type", ARGUMENT_STRING, .summary = "vnc" },
    { "tls-certs", ARGUMENT_BOOL, true, "read the files of tls-creds= again" },
    { NULL },
};

static const MonitorCommand display_reload_command = {
    .name = "display-reload",
    .summary = "reads again what a display has read from files",
    .arguments = display_reload_arguments,
    .run = display_reload_run,
};
MONITOR_COMMAND(display_reload_command);

/* "HOST:DISPLAY" or "unix:PATH" of an address as QMP spells them. */
static char *address_text(json_t *address, GError **error)
{
    const char *type = json_string_value(json_object_get(address, "type"));
    const char *host = json_string_value(json_object_get(address, "host"));
    const char *port = json_string_value(json_object_get(address, "port"));
    const char *path = json_string_value(json_object_get(address, "path"));
    guint64 number;

    if (type && strcmp(type, "unix") == 0 && path) {
        return g_strdup_printf("unix:%s", path);
    }
    if (type && strcmp(type, "inet") == 0 && host && port &&
        g_ascii_string_to_unsigned(port, 10, VNC_PORT_BASE, 65535, &number, NULL)) {
        return g_strdup_printf(strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
                               (unsigned)number - VNC_PORT_BASE);
    }
    error_fail(error, KASO_ERROR_INVALID,
               "an address is {type: inet, host:, port: %d to 65535} or {type: unix, path:}",
               VNC_PORT_BASE);
    return NULL;
}

static bool listen_on_all(VncServer *server, json_t *addresses, GError **error)
{
    g_autoptr(KeyValues) no_options = key_values_new();
    json_t *address;
    size_t i;

    vnc_listen_nowhere(server);
    json_array_foreach(addresses, i, address)
    {
        g_autofree char *text = address_text(address, error);

        if (!text || !vnc_listen(server, text, no_options, error)) {
            return false;
        }
    }
    return true;
}

static json_t *display_update_run(Monitor *monitor, json_t *arguments, GError **error)
{
    VncServer *server = is_vnc(arguments, error) ? find_server(monitor, arguments, error) : NULL;
    json_t *addresses = json_object_get(arguments, "addresses");

    if (server && addresses) {
        listen_on_all(server, addresses, error);
    }
    return NULL;
}

static const MonitorArgument display_update_arguments[] = {
    { "type", ARGUMENT_STRING, .summary = "vnc" },
    { "addresses", ARGUMENT_ANY, true, "where to listen from now on; those who are there stay" },
    { NULL },
};

static const MonitorCommand display_update_command = {
    .name = "display-update",
    .summary = "changes where a display listens",
    .arguments = display_update_arguments,
    .run = display_update_run,
};
MONITOR_COMMAND(display_update_command);

/* Managers bring viewers of their own: a connected socket that getfd has named. */
static json_t *add_client_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *protocol = monitor_get_string(arguments, "protocol");
    GPtrArray *servers = vnc_servers(monitor_machine(monitor));
    int fd;

    if (strcmp(protocol, "vnc")) {
        error_fail(error, KASO_ERROR_UNSUPPORTED,
                   "protocol '%s': not yet: only clients of VNC can be brought", protocol);
        return NULL;
    }
    if (!servers->len) {
        error_fail(error, KASO_ERROR_NOT_ACTIVE, "there is no VNC server; start one with -vnc");
        return NULL;
    }
    fd = descriptors_take(monitor_get_string(arguments, "fdname"), error);
    if (fd >= 0) {
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        vnc_client_new(servers->pdata[0], fd, VNC_PLAIN, monitor_get_bool(arguments, "skipauth"));
    }
    return NULL;
}

static const MonitorArgument add_client_arguments[] = {
    { "protocol", ARGUMENT_STRING, .summary = "vnc" },
    { "fdname", ARGUMENT_STRING, .summary = "name of the socket, as getfd gave it" },
    { "skipauth", ARGUMENT_BOOL, true, "no password is asked for" },
    { "tls", ARGUMENT_BOOL, true, "accepted; the server's options decide" },
    { NULL },
};

static const MonitorCommand add_client_command = {
    .name = "add_client",
    .summary = "lets a viewer in by a socket that is connected to it",
    .arguments = add_client_arguments,
    .run = add_client_run,
};
MONITOR_COMMAND(add_client_command);
