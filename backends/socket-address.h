/* SPDX-License-Identifier: MIT */
/* Stream sockets by the addresses that options give. All descriptors are close-on-exec. */
#ifndef BACKENDS_SOCKET_ADDRESS_H
#define BACKENDS_SOCKET_ADDRESS_H

#include <glib.h>
#include <stdbool.h>
#include <sys/un.h>

typedef struct {
    const char *path;   /* UNIX socket; NULL: TCP */
    bool abstract;      /* path is in Linux's abstract name space */
    const char *host;   /* NULL: any address to listen on, loopback to connect to */
    const char *port;   /* number or service name */
    unsigned port_last; /* listening tries the ports up to this one; 0: only port */
    bool ipv4_only, ipv6_only;
} SocketAddress;

/* The descriptor, or -1. who: names the owner in messages. */
int socket_address_listen(const SocketAddress *address, const char *who, GError **error);
/*
 * Before bind(): a socket file that nobody has open any more goes, as does an empty file, which mktemp makes; any other
 * is an error and stays. type: SOCK_STREAM or SOCK_DGRAM.
 */
bool socket_address_make_way(const struct sockaddr_un *name, int type, const char *who,
                             GError **error);
/*
 * wait: returns a connected socket. Else a non-blocking one whose connection may still be under
 * way: it becomes writable, then SO_ERROR tells.
 */
int socket_address_connect(const SocketAddress *address, bool wait, const char *who,
                           GError **error);
/* "tcp:127.0.0.1:4444", "unix:/run/x"; caller frees. peer: of the other end instead of ours. */
char *socket_address_of(int fd, bool peer);
/* The same from what the options say. */
char *socket_address_text(const SocketAddress *address);

/* What a descriptor that somebody passes is: SOCK_DGRAM, SOCK_STREAM, which is connected, or one of these. */
enum { PASSED_OTHER = -1, PASSED_LISTENER = -2 };
int socket_address_passed(int fd);

/*
 * "HOST:PORT", "[V6]:PORT" or ":PORT" into its parts, which the caller frees; host is "" when there is none.
 * false: it is no such thing.
 */
bool socket_address_split(const char *text, char **host, char **port);

#endif
