/* SPDX-License-Identifier: MIT */
/* Where a server listens, or whom it calls (reverse=on); and the names of both ends. */
#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/watch.h"
#include "ui/vnc/vnc.h"

enum { BACKLOG = 64 };

void vnc_listener_free(void *opaque)
{
    VncListener *listener = opaque;

    g_clear_handle_id(&listener->watch, g_source_remove);
    if (listener->fd >= 0) {
        if (g_strcmp0(listener->family, "unix") == 0) {
            unlink(listener->service);
        }
        close(listener->fd);
    }
    g_free(listener->text);
    g_free(listener->host);
    g_free(listener->service);
    g_free(listener);
}

void vnc_listen_nowhere(VncServer *server)
{
    g_ptr_array_set_size(server->listeners, 0);
}

/* What monitors call an address. */
static const char *name_of(const struct sockaddr_storage *address, socklen_t length, char **host,
                           char **service)
{
    char host_text[NI_MAXHOST] = "", service_text[NI_MAXSERV] = "";

    if (address->ss_family == AF_UNIX) {
        const struct sockaddr_un *name = (const struct sockaddr_un *)address;
        bool named = length > offsetof(struct sockaddr_un, sun_path) && name->sun_path[0];

        *host = g_strdup("");
        *service = g_strdup(named ? name->sun_path : "");
        return "unix";
    }
    getnameinfo((const struct sockaddr *)address, length, host_text, sizeof(host_text),
                service_text, sizeof(service_text), NI_NUMERICHOST | NI_NUMERICSERV);
    *host = g_strdup(host_text);
    *service = g_strdup(service_text);
    return address->ss_family == AF_INET6 ? "ipv6" : "ipv4";
}

void vnc_client_name(VncClient *client, int fd)
{
    struct sockaddr_storage local = { 0 }, peer = { 0 };
    socklen_t local_size = sizeof(local), peer_size = sizeof(peer);

    getsockname(fd, (struct sockaddr *)&local, &local_size);
    getpeername(fd, (struct sockaddr *)&peer, &peer_size);
    client->family = name_of(&local, local_size, &client->local_host, &client->local_service);
    name_of(&peer, peer_size, &client->host, &client->service);
}

json_t *vnc_address_json(const char *host, const char *service, const char *family, bool websocket)
{
    json_t *address = json_object();

    json_object_set_new(address, "host", json_string(host));
    json_object_set_new(address, "service", json_string(service));
    json_object_set_new(address, "family", json_string(family));
    json_object_set_new(address, "websocket", json_boolean(websocket));
    return address;
}

static gboolean acceptable(gint listen_fd, GIOCondition condition, gpointer opaque)
{
    VncListener *listener = opaque;
    VncServer *server = listener->server;
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0) {
        machine_lock(server->machine);
        vnc_client_new(server, fd, listener->transport, false);
        machine_unlock(server->machine);
    }
    return G_SOURCE_CONTINUE;
}

static bool is_everybody(const struct sockaddr_storage *address)
{
    return (address->ss_family == AF_INET &&
            ((const struct sockaddr_in *)address)->sin_addr.s_addr == INADDR_ANY) ||
           (address->ss_family == AF_INET6 &&
            IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)address)->sin6_addr));
}

bool vnc_listen_on(VncServer *server, const SocketAddress *address, VncTransport transport,
                   GError **error)
{
    static const char *const names[] = { "VNC", "VNC websocket", "web display" };
    struct sockaddr_storage name = { 0 };
    socklen_t size = sizeof(name);
    VncListener *listener;
    int fd = socket_address_listen(address, names[transport], error);

    if (fd < 0) {
        return false;
    }
    listen(fd, BACKLOG);
    listener = g_new0(VncListener, 1);
    listener->server = server;
    listener->fd = fd;
    listener->transport = transport;
    getsockname(fd, (struct sockaddr *)&name, &size);
    listener->family = name_of(&name, size, &listener->host, &listener->service);
    listener->text = socket_address_of(fd, false);
    listener->watch = watch_descriptor(fd, G_IO_IN, acceptable, listener);
    g_ptr_array_add(server->listeners, listener);
    if (is_everybody(&name) && !server->password_wanted && !server->credentials &&
        transport != VNC_WEB) {
        g_printerr("kaso: warning: VNC on %s is open to everybody who can reach this host: use "
                   "127.0.0.1:DISPLAY, password=on or tls-creds=\n",
                   listener->text);
    }
    return true;
}

/* A display's number is a port from 5900 on; with to= the first that is free. */
static bool parse_display(const char *text, const char *last_text, unsigned base, char **port,
                          unsigned *last, GError **error)
{
    guint64 number, last_number = 0;

    if (!g_ascii_string_to_unsigned(text, 10, 0, 65535 - base, &number, NULL)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "VNC display '%s': it is a number from 0 to %u, and the port is %u more",
                          text, 65535 - base, base);
    }
    if (last_text &&
        !g_ascii_string_to_unsigned(last_text, 10, number, 65535 - base, &last_number, NULL)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "to=%s: it is the last display to try, %u or more", last_text,
                          (unsigned)number);
    }
    *port = g_strdup_printf("%u", (unsigned)number + base);
    *last = last_text ? (unsigned)last_number + base : 0;
    return true;
}

/* Under the machine lock. */
static bool call(VncServer *server, const SocketAddress *address, GError **error)
{
    int fd = socket_address_connect(address, true, "VNC", error);

    if (fd >= 0) {
        vnc_client_new(server, fd, VNC_PLAIN, false);
    }
    return fd >= 0;
}

/* websocket=on, PORT or HOST:PORT; *wanted says whether there is one at all. */
static bool parse_websocket(const char *text, const char *display, char **host, char **port,
                            bool *wanted, GError **error)
{
    unsigned unused;

    *wanted = true;
    if (strchr(text, ':')) {
        return socket_address_split(text, host, port) ||
               error_fail(error, KASO_ERROR_INVALID, "websocket=%s: it is on, PORT or HOST:PORT",
                          text);
    }
    if (g_ascii_isdigit(text[0])) {
        *port = g_strdup(text);
        return true;
    }
    return parse_switch("websocket", text, wanted, error) &&
           (!*wanted || parse_display(display, NULL, VNC_WEBSOCKET_BASE, port, &unused, error));
}

static bool listen_tcp(VncServer *server, const char *host, const char *display,
                       const KeyValues *options, GError **error)
{
    const char *websocket = key_values_get(options, "websocket");
    bool web_wanted = false, v4 = false, v6 = false;
    g_autofree char *port = NULL, *web_host = NULL, *web_port = NULL;
    SocketAddress address = { .host = host }, web = { 0 };

    if ((key_values_get(options, "ipv4") &&
         !parse_switch("ipv4", key_values_get(options, "ipv4"), &v4, error)) ||
        (key_values_get(options, "ipv6") &&
         !parse_switch("ipv6", key_values_get(options, "ipv6"), &v6, error)) ||
        (websocket &&
         !parse_websocket(websocket, display, &web_host, &web_port, &web_wanted, error)) ||
        !parse_display(display, key_values_get(options, "to"), VNC_PORT_BASE, &port,
                       &address.port_last, error)) {
        return false;
    }
    address.port = port;
    address.ipv4_only = web.ipv4_only = v4 && !v6;
    address.ipv6_only = web.ipv6_only = v6 && !v4;
    web.host = web_host ? web_host : host;
    web.port = web_port;
    return vnc_listen_on(server, &address, VNC_PLAIN, error) &&
           (!web_wanted || vnc_listen_on(server, &web, VNC_WEBSOCKET, error));
}

bool vnc_listen(VncServer *server, const char *address, const KeyValues *options, GError **error)
{
    const char *reverse_text = key_values_get(options, "reverse");
    g_autofree char *host = NULL, *display = NULL;
    SocketAddress peer = { 0 };
    bool reverse = false;

    if (reverse_text && !parse_switch("reverse", reverse_text, &reverse, error)) {
        return false;
    }
    if (strcmp(address, "none") == 0) {
        return true;
    }
    if (g_str_has_prefix(address, "unix:")) {
        peer.path = address + strlen("unix:");
        if (key_values_get(options, "to")) {
            return error_fail(error, KASO_ERROR_INVALID, "to=%s: %s has no number to count from",
                              key_values_get(options, "to"), address);
        }
    } else if (!socket_address_split(address, &host, &display)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "'%s': where VNC listens is HOST:DISPLAY, :DISPLAY, unix:PATH or none",
                          address);
    }
    if (reverse) {
        peer.host = host;
        peer.port = display; /* whom one calls has a port, no display */
        return call(server, &peer, error);
    }
    return peer.path ? vnc_listen_on(server, &peer, VNC_PLAIN, error)
                     : listen_tcp(server, host, display, options, error);
}
