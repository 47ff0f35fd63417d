/* SPDX-License-Identifier: MIT */
/* Stream sockets by the addresses that options give; see the header. */
#include "backends/socket-address.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/port.h"

bool socket_address_split(const char *text, char **host, char **port)
{
    const char *colon = strrchr(text, ':');

    if (text[0] == '[') {
        const char *end = strchr(text, ']');

        if (!end || end[1] != ':' || !end[2]) {
            return false;
        }
        *host = g_strndup(text + 1, end - text - 1);
        *port = g_strdup(end + 2);
        return true;
    }
    if (!colon || !colon[1]) {
        return false;
    }
    *host = g_strndup(text, colon - text);
    *port = g_strdup(colon + 1);
    return true;
}

char *socket_address_text(const SocketAddress *address)
{
    if (address->path) {
        return g_strdup_printf("unix:%s%s", address->abstract ? "@" : "", address->path);
    }
    return g_strdup_printf(address->host && strchr(address->host, ':') ? "tcp:[%s]:%s"
                                                                       : "tcp:%s:%s",
                           address->host ? address->host : "", address->port);
}

static char *socket_address_unix_text(const struct sockaddr_un *name, socklen_t length)
{
    size_t path = length > offsetof(struct sockaddr_un, sun_path)
                      ? length - offsetof(struct sockaddr_un, sun_path)
                      : 0;

    if (path && !name->sun_path[0]) {
        return g_strdup_printf("unix:@%.*s", (int)path - 1, name->sun_path + 1);
    }
    return g_strdup_printf("unix:%.*s", (int)path, name->sun_path);
}

char *socket_address_of(int fd, bool peer)
{
    struct sockaddr_storage name = { 0 };
    socklen_t length = sizeof name;
    char host[NI_MAXHOST], port[NI_MAXSERV];

    if ((peer ? getpeername : getsockname)(fd, (struct sockaddr *)&name, &length) < 0) {
        return g_strdup("unknown");
    }
    if (name.ss_family == AF_UNIX) {
        return socket_address_unix_text((struct sockaddr_un *)&name, length);
    }
    if (getnameinfo((struct sockaddr *)&name, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV)) {
        return g_strdup("unknown");
    }
    return g_strdup_printf(strchr(host, ':') ? "tcp:[%s]:%s" : "tcp:%s:%s", host, port);
}

static bool socket_address_fill_unix(const SocketAddress *address, struct sockaddr_un *name,
                                     socklen_t *length, const char *who, GError **error)
{
    size_t size = strlen(address->path), skip = address->abstract ? 1 : 0;

    memset(name, 0, sizeof *name);
    name->sun_family = AF_UNIX;
    if (size + skip >= sizeof name->sun_path) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%s: socket path '%s' is longer than the %zu bytes the host allows", who,
                          address->path, sizeof name->sun_path - 1);
    }
    memcpy(name->sun_path + skip, address->path, size);
    *length = offsetof(struct sockaddr_un, sun_path) + skip + size + !skip;
    return true;
}

int socket_address_passed(int fd)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof(int), name_size = sizeof name;
    int type = 0, listens = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0) {
        return PASSED_OTHER;
    }
    if (type == SOCK_STREAM && listens) {
        return PASSED_LISTENER;
    }
    return type == SOCK_DGRAM || (type == SOCK_STREAM &&
                                  getpeername(fd, (struct sockaddr *)&name, &name_size) == 0)
               ? type
               : PASSED_OTHER;
}

/* Connecting to a socket file that nobody has open is refused; all else (a full queue, another kind, another peer) is an owner's. */
static bool is_in_use(const struct sockaddr_un *name, int type)
{
    int probe = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool in_use = probe >= 0 && (connect(probe, (const struct sockaddr *)name, sizeof *name) == 0 ||
                                 errno != ECONNREFUSED);

    if (probe >= 0) {
        close(probe);
    }
    return in_use;
}

bool socket_address_make_way(const struct sockaddr_un *name, int type, const char *who,
                             GError **error)
{
    const char *path = name->sun_path;
    struct stat status;

    if (lstat(path, &status) < 0) {
        return true; /* bind() reports what is wrong, if anything */
    }
    if (S_ISREG(status.st_mode) && !status.st_size) {
        unlink(path);
        return true;
    }
    if (!S_ISSOCK(status.st_mode)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%s: '%s' exists and is not a socket; remove it or choose another path",
                          who, path);
    }
    if (is_in_use(name, type)) {
        return error_fail(error, KASO_ERROR_IO,
                          "%s: another program listens on '%s'; stop it or choose another path",
                          who, path);
    }
    unlink(path);
    return true;
}

static int socket_address_listen_unix(const SocketAddress *address, const char *who, GError **error)
{
    struct sockaddr_un name;
    socklen_t length;
    int fd;

    if (!socket_address_fill_unix(address, &name, &length, who, error) ||
        (!address->abstract && !socket_address_make_way(&name, SOCK_STREAM, who, error))) {
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&name, length) < 0 || listen(fd, 1) < 0) {
        error_fail_errno(error, errno, "%s: cannot listen on socket '%s'", who, address->path);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

static struct addrinfo *socket_address_resolve(const SocketAddress *address, bool passive,
                                               const char *who, GError **error)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
    int result;

    if (!address->port) {
        error_fail(error, KASO_ERROR_INVALID, "%s: give port=PORT (or path=SOCKET)", who);
        return NULL;
    }
    if (!port_check(address->port, error)) {
        g_prefix_error(error, "%s: ", who);
        return NULL;
    }
    hints.ai_flags = passive ? AI_PASSIVE : 0;
    hints.ai_family = address->ipv4_only ? AF_INET : address->ipv6_only ? AF_INET6 : AF_UNSPEC;
    result = getaddrinfo(address->host && *address->host ? address->host : NULL, address->port,
                         &hints, &list);
    if (result) {
        error_fail(error, KASO_ERROR_IO, "%s: cannot resolve host '%s' port '%s': %s", who,
                   address->host ? address->host : "", address->port, gai_strerror(result));
        return NULL;
    }
    return list;
}

static int socket_address_bind(const struct addrinfo *info, unsigned port)
{
    struct sockaddr_storage name = { 0 };
    int one = 1, fd;

    memcpy(&name, info->ai_addr, info->ai_addrlen);
    if (info->ai_family == AF_INET) {
        ((struct sockaddr_in *)&name)->sin_port = htons(port);
    } else {
        ((struct sockaddr_in6 *)&name)->sin6_port = htons(port);
    }
    fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&name, info->ai_addrlen) < 0 || listen(fd, 1) < 0) {
        int saved = errno;

        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static unsigned socket_address_port(const struct addrinfo *info)
{
    return ntohs(info->ai_family == AF_INET ? ((struct sockaddr_in *)info->ai_addr)->sin_port
                                            : ((struct sockaddr_in6 *)info->ai_addr)->sin6_port);
}

static int socket_address_listen_tcp(const SocketAddress *address, const char *who, GError **error)
{
    struct addrinfo *list = socket_address_resolve(address, true, who, error);
    int fd = -1, failure = 0;

    if (!list) {
        return -1;
    }
    for (const struct addrinfo *info = list; info && fd < 0; info = info->ai_next) {
        unsigned first = socket_address_port(info), last = MAX(first, address->port_last);

        for (unsigned port = first; port <= last && fd < 0; port++) {
            fd = socket_address_bind(info, port);
            failure = errno;
        }
    }
    freeaddrinfo(list);
    if (fd < 0) {
        error_fail_errno(error, failure, "%s: cannot listen on host '%s' port '%s'%s", who,
                         address->host ? address->host : "", address->port,
                         failure == EADDRINUSE ? " (stop who has it, or choose another port)" : "");
    }
    return fd;
}

int socket_address_listen(const SocketAddress *address, const char *who, GError **error)
{
    return address->path ? socket_address_listen_unix(address, who, error)
                         : socket_address_listen_tcp(address, who, error);
}

static int socket_address_connect_one(int family, const struct sockaddr *name, socklen_t length,
                                      bool wait)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | (wait ? 0 : SOCK_NONBLOCK), 0);

    if (fd < 0) {
        return -1;
    }
    if (connect(fd, name, length) < 0 && (wait || errno != EINPROGRESS)) {
        int saved = errno;

        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static int socket_address_connect_unix(const SocketAddress *address, bool wait, const char *who,
                                       GError **error)
{
    struct sockaddr_un name;
    socklen_t length;
    int fd;

    if (!socket_address_fill_unix(address, &name, &length, who, error)) {
        return -1;
    }
    fd = socket_address_connect_one(AF_UNIX, (struct sockaddr *)&name, length, wait);
    if (fd < 0) {
        error_fail_errno(error, errno, "%s: cannot connect to socket '%s' (is its server running?)",
                         who, address->path);
    }
    return fd;
}

int socket_address_connect(const SocketAddress *address, bool wait, const char *who, GError **error)
{
    struct addrinfo *list;
    int fd = -1, failure = 0;

    if (address->path) {
        return socket_address_connect_unix(address, wait, who, error);
    }
    list = socket_address_resolve(address, false, who, error);
    if (!list) {
        return -1;
    }
    for (const struct addrinfo *info = list; info && fd < 0; info = info->ai_next) {
        fd = socket_address_connect_one(info->ai_family, info->ai_addr, info->ai_addrlen, wait);
        failure = errno;
    }
    freeaddrinfo(list);
    if (fd < 0) {
        error_fail_errno(error, failure, "%s: cannot connect to host '%s' port '%s'", who,
                         address->host ? address->host : "", address->port);
    }
    return fd;
}
