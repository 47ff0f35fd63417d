/* SPDX-License-Identifier: MIT */
/* Forwarding rules of the user network: host ports to the guest, guest connections to the host. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "backends/chardev-open.h"
#include "backends/lock.h"
#include "backends/net/user.h"
#include "base/error.h"

/* Takes "text" up to separator into field; false without one. *rest moves past it. */
static bool forward_take(const char **rest, char separator, char *field, size_t size)
{
    const char *end = strchr(*rest, separator);

    if (!end || (size_t)(end - *rest) >= size) {
        return false;
    }
    memcpy(field, *rest, end - *rest);
    field[end - *rest] = '\0';
    *rest = end + 1;
    return true;
}

static bool forward_parse_port(const char *text, int *port)
{
    char *end;
    long value = strtol(text, &end, 10);

    *port = value;
    return g_ascii_isdigit(*text) && !*end && value >= 0 && value <= 65535;
}

/* An address of either family; length 0: none was given. */
typedef struct {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } name;
    socklen_t length;
} ForwardAddress;

static void forward_set_family(ForwardAddress *address, int family)
{
    address->name.any.sa_family = family;
    address->length = family == AF_INET6 ? sizeof address->name.v6 : sizeof address->name.v4;
}

static void forward_set_port(ForwardAddress *address, int port)
{
    if (address->name.any.sa_family == AF_INET6) {
        address->name.v6.sin6_port = htons(port);
    } else {
        address->name.v4.sin_port = htons(port);
    }
}

/* Takes "ADDRESS:", "[V6]:" or ":" from the text. */
static bool forward_take_address(const char **rest, ForwardAddress *address)
{
    char field[64];

    if (**rest == '[') {
        ++*rest;
        forward_set_family(address, AF_INET6);
        return forward_take(rest, ']', field, sizeof field) && *(*rest)++ == ':' &&
               inet_pton(AF_INET6, field, &address->name.v6.sin6_addr) == 1;
    }
    if (!forward_take(rest, ':', field, sizeof field)) {
        return false;
    }
    if (*field) {
        forward_set_family(address, AF_INET);
    }
    return !*field || inet_aton(field, &address->name.v4.sin_addr);
}

static bool forward_parse_protocol(const char *text, bool *udp)
{
    *udp = !strcmp(text, "udp");
    return *udp || !*text || !strcmp(text, "tcp");
}

typedef struct {
    bool udp;
    ForwardAddress host, guest;
    int host_port, guest_port;
} ForwardRule;

static bool forward_parse_host_side(const char **rest, bool last, ForwardRule *rule)
{
    char field[64];

    if (!forward_take(rest, ':', field, sizeof field) ||
        !forward_parse_protocol(field, &rule->udp) || !forward_take_address(rest, &rule->host)) {
        return false;
    }
    if (forward_take(rest, '-', field, sizeof field)) {
        return forward_parse_port(field, &rule->host_port);
    }
    return last && forward_parse_port(*rest, &rule->host_port);
}

static bool forward_parse_guest_side(const char *rest, ForwardRule *rule)
{
    return forward_take_address(&rest, &rule->guest) &&
           forward_parse_port(rest, &rule->guest_port) && rule->guest_port;
}

/* Both sides are of one family; a side that was left out is of the other's, and IPv4 without both. */
static bool forward_complete(UserNetdev *user, const char *text, ForwardRule *rule, GError **error)
{
    int family = rule->host.length    ? rule->host.name.any.sa_family
                 : rule->guest.length ? rule->guest.name.any.sa_family
                                      : AF_INET;

    if (rule->guest.length && rule->guest.name.any.sa_family != family) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "netdev '%s': host forwarding rule '%s' mixes IPv4 and IPv6; give both sides "
            "addresses of one kind, or leave the guest's out",
            user->netdev.id, text);
    }
    if (family == AF_INET6 && !user->ipv6_enabled) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': host forwarding rule '%s' needs IPv6, which ipv6=off and "
                          "ipv4=on switch off",
                          user->netdev.id, text);
    }
    forward_set_family(&rule->host, family);
    forward_set_family(&rule->guest, family);
    forward_set_port(&rule->host, rule->host_port);
    forward_set_port(&rule->guest, rule->guest_port);
    return true;
}

/* Takes "PATH-" or, at the end of a rule that is to go, "PATH" into the address: the last dash ends it. */
static bool forward_take_path(const char **rest, bool last, ForwardAddress *address)
{
    const char *end = last ? *rest + strlen(*rest) : strrchr(*rest, '-');
    size_t length = end ? (size_t)(end - *rest) : 0;

    if (**rest != '/' || !length || length >= sizeof address->name.local.sun_path) {
        return false;
    }
    address->name.local.sun_family = AF_UNIX;
    memcpy(address->name.local.sun_path, *rest, length);
    address->length = sizeof address->name.local;
    *rest = end + !last;
    return true;
}

/* A socket that nobody needs any more is in the way; anything else is not ours to remove. */
static bool forward_clear_path(const char *path)
{
    struct stat st;

    if (lstat(path, &st) < 0) {
        return true;
    }
    if (!S_ISSOCK(st.st_mode)) {
        errno = EEXIST;
        return false;
    }
    return unlink(path) == 0;
}

/* unix:PATH-[GUESTADDRESS]:GUESTPORT, of IPv4 in the guest. */
static bool user_local_forward(UserNetdev *user, const char *text, bool remove, GError **error)
{
    ForwardRule rule = { 0 };
    const char *rest = text + strlen("unix:"), *path = rule.host.name.local.sun_path;

    if (!forward_take_path(&rest, remove, &rule.host) ||
        (!remove && (!forward_parse_guest_side(rest, &rule) ||
                     (rule.guest.length && rule.guest.name.any.sa_family != AF_INET)))) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': host forwarding rule '%s' is not unix:/PATH%s",
                          user->netdev.id, text,
                          remove ? "" : "-[GUESTADDRESS]:GUESTPORT, with an address of IPv4");
    }
    if (remove) {
        if (slirp_remove_hostxfwd(user->slirp, &rule.host.name.any, rule.host.length, 0) < 0) {
            return error_fail(error, KASO_ERROR_NOT_FOUND,
                              "netdev '%s': there is no host forwarding rule '%s'", user->netdev.id,
                              text);
        }
        unlink(path);
        return true;
    }
    forward_set_family(&rule.guest, AF_INET);
    forward_set_port(&rule.guest, rule.guest_port);
    if (!forward_clear_path(path) ||
        slirp_add_hostxfwd(user->slirp, &rule.host.name.any, rule.host.length, &rule.guest.name.any,
                           rule.guest.length, 0) < 0) {
        return error_fail_errno(error, errno, "netdev '%s': cannot listen on the socket '%s'",
                                user->netdev.id, path);
    }
    g_main_context_wakeup(NULL);
    return true;
}

bool user_host_forward(UserNetdev *user, const char *text, bool remove, GError **error)
{
    ForwardRule rule = { 0 };
    const char *rest = text;
    int flags;

    if (g_str_has_prefix(text, "unix:")) {
        return user_local_forward(user, text, remove, error);
    }
    if (!forward_parse_host_side(&rest, remove, &rule) ||
        (!remove && !forward_parse_guest_side(rest, &rule))) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': host forwarding rule '%s' is not "
                          "[tcp|udp]:[HOSTADDRESS]:HOSTPORT%s (an IPv6 address stands in brackets)",
                          user->netdev.id, text, remove ? "" : "-[GUESTADDRESS]:GUESTPORT");
    }
    if (!forward_complete(user, text, &rule, error)) {
        return false;
    }
    /* An IPv6 socket of any address leaves IPv4's port to another rule. */
    flags = (rule.udp ? SLIRP_HOSTFWD_UDP : 0) |
            (rule.host.name.any.sa_family == AF_INET6 ? SLIRP_HOSTFWD_V6ONLY : 0);
    if (remove) {
        if (slirp_remove_hostxfwd(user->slirp, &rule.host.name.any, rule.host.length, flags) < 0) {
            return error_fail(error, KASO_ERROR_NOT_FOUND,
                              "netdev '%s': there is no host forwarding rule '%s'", user->netdev.id,
                              text);
        }
        return true;
    }
    if (slirp_add_hostxfwd(user->slirp, &rule.host.name.any, rule.host.length, &rule.guest.name.any,
                           rule.guest.length, flags) < 0) {
        return error_fail_errno(error, errno,
                                "netdev '%s': cannot forward host port %d ('%s'); choose a free "
                                "port of the host",
                                user->netdev.id, rule.host_port, text);
    }
    g_main_context_wakeup(NULL);
    return true;
}

/* A connection of the guest that ends in a chardev. */
typedef struct {
    UserNetdev *user;
    Chardev *chardev;
    struct in_addr server;
    int port;
} GuestForward;

static size_t guest_forward_can_receive(void *opaque)
{
    GuestForward *f = opaque;

    return slirp_socket_can_recv(f->user->slirp, f->server, f->port);
}

static void guest_forward_receive(void *opaque, const uint8_t *data, size_t size)
{
    GuestForward *f = opaque;

    slirp_socket_recv(f->user->slirp, f->server, f->port, data, size);
}

static const ChardevFrontend guest_forward_frontend = {
    .can_receive = guest_forward_can_receive,
    .receive = guest_forward_receive,
};

static ssize_t guest_forward_write(const void *data, size_t size, void *opaque)
{
    GuestForward *f = opaque;
    size_t taken = chardev_write(f->chardev, data, size);

    /* The guest has something open: the other way may have become free. */
    chardev_accept_input(f->chardev);
    return taken;
}

static bool guest_forward_to_chardev(UserNetdev *user, struct in_addr server, int port,
                                     const char *form, const char *text, GError **error)
{
    GuestForward *f;
    Chardev *chardev = machine_find_chardev(user->netdev.machine, form);
    bool monitor;

    if (!chardev) {
        char *id = g_strdup_printf("guestfwd.%s.%d", user->netdev.id, port);
        bool ok = chardev_open_short(user->netdev.machine, id, form, &chardev, &monitor, error);

        g_free(id);
        if (!ok) {
            return false;
        }
    }
    f = g_new0(GuestForward, 1);
    *f = (GuestForward){ user, chardev, server, port };
    g_ptr_array_add(user->guest_forwards, f);
    if (slirp_add_guestfwd(user->slirp, guest_forward_write, f, &f->server, port) < 0) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': guest forwarding rule '%s': the address must be a free one "
                          "inside the guest's network",
                          user->netdev.id, text);
    }
    return !chardev || chardev_attach(chardev, &guest_forward_frontend, f, error);
}

bool user_guest_forward(UserNetdev *user, const char *text, GError **error)
{
    ForwardAddress address = { 0 };
    const char *rest = text;
    char field[64];
    struct in_addr server;
    bool udp;
    int port;

    if (!forward_take(&rest, ':', field, sizeof field) || !forward_parse_protocol(field, &udp) ||
        udp || !forward_take_address(&rest, &address) || !address.length ||
        !forward_take(&rest, '-', field, sizeof field) || !forward_parse_port(field, &port) ||
        !port || !*rest) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': guest forwarding rule '%s' is not "
                          "[tcp]:SERVERADDRESS:PORT-CHARDEV or …-cmd:COMMAND",
                          user->netdev.id, text);
    }
    if (address.name.any.sa_family == AF_INET6) {
        return error_fail(
            error, KASO_ERROR_UNSUPPORTED,
            "netdev '%s': guest forwarding rule '%s': not yet: only IPv4 addresses can be "
            "forwarded from the guest",
            user->netdev.id, text);
    }
    server = address.name.v4.sin_addr;
    if (g_str_has_prefix(rest, "cmd:")) {
        if (slirp_add_exec(user->slirp, rest + strlen("cmd:"), &server, port) < 0) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "netdev '%s': guest forwarding rule '%s': the address must be a free "
                              "one inside the guest's network",
                              user->netdev.id, text);
        }
        return true;
    }
    return guest_forward_to_chardev(user, server, port, rest, text, error);
}

void user_guest_forwards_free(UserNetdev *user)
{
    for (guint i = 0; i < user->guest_forwards->len; i++) {
        GuestForward *f = user->guest_forwards->pdata[i];

        if (f->chardev) {
            chardev_detach(f->chardev, f);
        }
        g_free(f);
    }
    g_ptr_array_unref(user->guest_forwards);
}
