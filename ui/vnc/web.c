/* SPDX-License-Identifier: MIT */
/*
 * -display web: the screen in a browser. A web server of its own gives it Debian's noVNC, whose websocket is a VNC client
 * like others. Who has the URL, which is printed once, comes in once: the browser then has a cookie, and the token in the URL is worth
 * nothing any more.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <nettle/memops.h>

#include "ui/viewer.h"
#include "base/file.h"
#include "ui/vnc/vnc.h"

enum { PORT = 5800, PORT_LAST = 5899, SECRET_BYTES = 18, FILE_MAX = 8 << 20 };

static const char folder[] = "/usr/share/novnc";
static const char page[] = "/vnc.html?autoconnect=true&resize=remote&path=websockify";

static char *new_secret(void)
{
    uint8_t bytes[SECRET_BYTES];
    char *text;

    if (getentropy(bytes, sizeof(bytes)) < 0) {
        return NULL;
    }
    text = g_base64_encode(bytes, sizeof(bytes));
    /* As URLs and cookies may have them. */
    return g_strdelimit(g_strdelimit(text, "+", '-'), "/", '_');
}

static bool same_secret(const char *secret, const char *given, size_t size)
{
    return secret && size == strlen(secret) && memeql_sec(secret, given, size);
}

static void answer_with(VncClient *client, const char *status, const char *type, const char *extra,
                        const void *body, size_t size)
{
    g_autofree char *head = g_strdup_printf(
        "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: "
        "no-referrer\r\n%s\r\n",
        status, type, size, extra);

    vnc_client_write(client, head, strlen(head));
    vnc_client_write(client, body, size);
}

static void refuse(VncClient *client, const char *status, const char *why)
{
    answer_with(client, status, "text/plain; charset=utf-8", "", why, strlen(why));
}

/* Whether the request has the cookie of our session. */
static bool has_session(const VncServer *server, const HttpRequest *request)
{
    static const char name[] = "kaso=";
    const char *field = http_request_field(request, "Cookie");
    g_auto(GStrv) cookies = g_strsplit(field ? field : "", ";", -1);

    for (char **cookie = cookies; *cookie; cookie++) {
        const char *text = g_strstrip(*cookie);

        if (g_str_has_prefix(text, name) &&
            same_secret(server->session, text + strlen(name), strlen(text + strlen(name)))) {
            return true;
        }
    }
    return false;
}

/* A page of another server has no business here, even in a browser that has the cookie. */
static bool is_own_page(const HttpRequest *request)
{
    const char *origin = http_request_field(request, "Origin");
    const char *host = http_request_field(request, "Host");
    const char *name = origin ? strstr(origin, "://") : NULL;

    return !origin || (name && host && strcmp(name + strlen("://"), host) == 0);
}

static void take_token(VncClient *client, const char *token)
{
    VncServer *server = client->server;
    g_autofree char *extra = NULL;

    if (!same_secret(server->token, token, strcspn(token, "&"))) {
        refuse(client, "403 Forbidden",
               "This address has been used, or was never one. Kaso prints it when it starts; it is "
               "good once.\n");
        return;
    }
    g_clear_pointer(&server->token, g_free);
    g_free(server->session);
    server->session = new_secret();
    extra = g_strdup_printf(
        "Location: %s\r\nSet-Cookie: kaso=%s; Path=/; HttpOnly; SameSite=Strict\r\n", page,
        server->session ? server->session : "");
    answer_with(client, "302 Found", "text/plain", extra, "", 0);
}

static const char *type_of(const char *path)
{
    static const struct {
        const char *end, *type;
    } types[] = {
        { ".html", "text/html; charset=utf-8" },
        { ".js", "text/javascript; charset=utf-8" },
        { ".css", "text/css; charset=utf-8" },
        { ".json", "application/json" },
        { ".svg", "image/svg+xml" },
        { ".png", "image/png" },
        { ".ico", "image/x-icon" },
        { ".ttf", "font/ttf" },
        { ".woff", "font/woff" },
        { ".oga", "audio/ogg" },
        { ".mp3", "audio/mpeg" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        if (g_str_has_suffix(path, types[i].end)) {
            return types[i].type;
        }
    }
    return "application/octet-stream";
}

static void send_file(VncClient *client, const char *path)
{
    g_autofree char *name = g_build_filename(folder, path, NULL), *content = NULL;
    gsize size;

    /* noVNC's names have nothing that would have to be decoded. */
    if (strstr(path, "..") || strchr(path, '%') || !g_file_test(name, G_FILE_TEST_IS_REGULAR) ||
        !file_read(name, FILE_MAX, &content, &size, NULL)) {
        refuse(client, "404 Not Found", "noVNC has no such file.\n");
        return;
    }
    answer_with(client, "200 OK", type_of(path), "", content, size);
}

bool vnc_web_answer(VncClient *client, const HttpRequest *request, char **answer)
{
    VncServer *server = client->server;
    bool session = has_session(server, request) && is_own_page(request);

    if (strcmp(request->method, "GET") != 0) {
        refuse(client, "405 Method Not Allowed", "Only GET.\n");
    } else if (strcmp(request->path, "/") == 0 && g_str_has_prefix(request->query, "token=")) {
        take_token(client, request->query + strlen("token="));
    } else if (!session) {
        refuse(client, "403 Forbidden", "Open the address that Kaso printed when it started.\n");
    } else if (websocket_accept(request, answer)) {
        return true;
    } else {
        send_file(client, request->path);
    }
    return false;
}

/* "web", "web=HOST:PORT", "web=:PORT" or "web=HOST". */
static bool listen_web(VncServer *server, const char *text, GError **error)
{
    g_autofree char *host = NULL, *port = NULL;
    SocketAddress address = { .host = "127.0.0.1", .port = "5800", .port_last = PORT_LAST };

    G_STATIC_ASSERT(PORT == 5800);
    if (strcmp(text, "web") != 0) {
        if (socket_address_split(text, &host, &port)) {
            address.port = port;
            address.port_last = 0;
        } else {
            host = g_strdup(text);
        }
        address.host = *host ? host : address.host;
    }
    return vnc_listen_on(server, &address, VNC_WEB, error);
}

static void print_url(const VncServer *server)
{
    const VncListener *listener = server->listeners->pdata[0];
    bool v6 = strcmp(listener->family, "ipv6") == 0;

    g_printerr("kaso: the screen is at http://%s%s%s:%s/?token=%s (good once)\n", v6 ? "[" : "",
               listener->host, v6 ? "]" : "", listener->service, server->token);
    if (!g_str_has_prefix(listener->host, "127.") && strcmp(listener->host, "::1") != 0) {
        g_printerr("kaso: warning: who can listen to this network sees what is typed and shown: "
                   "there is no TLS\n");
    }
}

static bool start(Machine *machine, const KeyValues *options, const ViewerChoices *choices,
                  char **line, GError **error)
{
    VncServer *server;

    if (!g_file_test("/usr/share/novnc/vnc.html", G_FILE_TEST_EXISTS)) {
        return error_fail(error, KASO_ERROR_NOT_FOUND,
                          "%s has no vnc.html: install Debian's package novnc", folder);
    }
    server = vnc_server_new(machine, "web", choices->keyboard, error);
    if (!server) {
        return false;
    }
    server->token = new_secret();
    vnc_server_select(server, seat_console(machine, 0));
    if (!server->token || !listen_web(server, key_values_get(options, "web"), error)) {
        vnc_server_free(server);
        return false;
    }
    g_ptr_array_add(vnc_servers(machine), server);
    print_url(server);
    return true;
}

static const char *const option_names[] = { "web", NULL };

static const Viewer web_viewer = {
    .name = "web",
    .summary = "in a browser: web, or web=HOST:PORT; prints the address",
    .options = option_names,
    .start = start,
};
VIEWER(web_viewer);
