/* SPDX-License-Identifier: MIT */
/* The parts of the user network back end: user.c, its main-loop source, its forwarding rules. */
#ifndef BACKENDS_NET_USER_H
#define BACKENDS_NET_USER_H

#include <glib.h>
#include <netinet/in.h>
#include <slirp/libslirp.h>

#include "machine/machine.h"
#include "machine/netdev.h"

typedef struct {
    Netdev netdev;
    /* Properties. */
    int ipv4, ipv6; /* 0 auto, 1 on, 2 off */
    bool restricted;
    bool ipv6_enabled; /* what ipv4= and ipv6= come to */
    char *net, *mask, *host, *dhcpstart, *dns, *hostname, *dnssearch, *domainname;
    char *ipv6_net, *ipv6_prefix, *ipv6_host, *ipv6_dns;
    uint32_t ipv6_prefixlen;
    char *tftp, *tftp_server_name, *bootfile;
    char *hostfwd, *guestfwd; /* rules joined by '\n' */

    Slirp *slirp;
    GSource *source;
    GPtrArray *guest_forwards;
    struct in_addr network, netmask; /* for `info network` */
} UserNetdev;

/* The GLib source that polls slirp's sockets; ends with g_source_destroy. */
GSource *user_source_new(UserNetdev *user);

/* hostfwd=[tcp|udp]:[HOST]:PORT-[GUEST]:PORT; to remove, up to the '-'. */
bool user_host_forward(UserNetdev *user, const char *rule, bool remove, GError **error);
/* guestfwd=[tcp]:SERVER:PORT-CHARDEV or …-cmd:COMMAND */
bool user_guest_forward(UserNetdev *user, const char *rule, GError **error);
void user_guest_forwards_free(UserNetdev *user);

#endif
