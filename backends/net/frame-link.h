/* SPDX-License-Identifier: MIT */
/*
 * Frames over a socket: on a stream each follows its length as four big-endian bytes, a datagram is one. For the back ends
 * socket, stream and dgram. Under the machine lock.
 */
#ifndef BACKENDS_NET_FRAME_LINK_H
#define BACKENDS_NET_FRAME_LINK_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "machine/netdev.h"

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
} FrameLinkName;

typedef struct FrameLink FrameLink;

/* All may be NULL. */
typedef struct {
    void (*came)(FrameLink *link); /* a peer has been accepted; the link is up already */
    void (*lost)(FrameLink *link); /* the peer of a stream has gone; the link is down already */
} FrameLinkEvents;

struct FrameLink {
    Netdev *netdev;
    const FrameLinkEvents *events;
    int fd;        /* -1: down */
    int listen_fd; /* -1: peers are not waited for */
    bool datagram;
    FrameLinkName peer; /* datagram */
    socklen_t peer_size; /* 0: the socket is connected */
    guint in_watch, out_watch, accept_watch;
    GByteArray *incoming; /* stream: what is no whole frame so far */
    GByteArray *outgoing; /* stream: what the socket would not take; whole frames but the first */
};

void frame_link_init(FrameLink *link, Netdev *netdev, const FrameLinkEvents *events);
/* Takes a listening socket: one peer after the other is accepted. */
void frame_link_listen(FrameLink *link, int fd);
/* Takes a connected stream, or a bound datagram socket. */
void frame_link_start(FrameLink *link, int fd, bool datagram);
void frame_link_stop(FrameLink *link);
void frame_link_free(FrameLink *link);
void frame_link_transmit(FrameLink *link, const struct iovec *iov, unsigned count);

socklen_t frame_link_name_size(const FrameLinkName *name);
/* family: AF_UNSPEC for any. what: for messages. */
bool frame_link_resolve(const char *host, const char *port, int family, const char *what,
                        FrameLinkName *name, GError **error);
bool frame_link_is_multicast(const FrameLinkName *name);
/* Binds to a multicast group and joins it; local: of the interface (IPv4 only), or NULL. */
bool frame_link_join(int fd, const FrameLinkName *group, const struct in_addr *local);

#endif
