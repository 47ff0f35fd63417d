/* SPDX-License-Identifier: MIT */
/*
 * Network back ends: a pair of a NIC (device) and a Netdev (user, socket …) that exchange Ethernet
 * frames. Under the machine lock.
 */
#ifndef MACHINE_NETDEV_H
#define MACHINE_NETDEV_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/registry.h"
#include "machine/property.h"

typedef struct Device Device;
typedef struct Netdev Netdev;
typedef struct Object Object;

/*
 * What one side may leave to the other of a frame's making. Then each frame has virtio's network header (Virtio 1.2, 5.1.6; 10 or 12
 * bytes) before it, which says what is left.
 */
enum {
    NET_OFFLOAD_CHECKSUM = 1,
    NET_OFFLOAD_TSO4 = 2,
    NET_OFFLOAD_TSO6 = 4,
    NET_OFFLOAD_ECN = 8, /* segmentation of TCP with ECN */
    NET_OFFLOAD_UFO = 16,
    NET_OFFLOAD_USO = 32,
};

enum { NETDEV_MAX_QUEUES = 31 };

/* What of the frames for it a NIC lets through. */
typedef enum { NET_FILTER_NORMAL, NET_FILTER_NONE, NET_FILTER_ALL } NetFilterMode;

typedef struct {
    const uint8_t (*addresses)[6];
    unsigned count;
    bool overflow; /* there are more than it can hold, and all pass */
} NetFilterTable;

typedef struct {
    bool promiscuous, broadcast;
    NetFilterMode unicast, multicast, vlan;
    const uint8_t *main_mac, *vlans; /* a bit for each VLAN */
    NetFilterTable unicast_table, multicast_table;
} NetFilterInfo;

typedef struct {
    /* Whether receive would take a frame now. */
    bool (*can_receive)(void *opaque);
    void (*receive)(void *opaque, const uint8_t *frame, size_t size);
    void (*link_changed)(void *opaque, bool up); /* may be NULL */
    /*
     * In place of can_receive and receive, for NICs with several queues or offloads: the frame has netdev->header bytes before it.
     * take returns false when it has no room for this one now; it is offered again after netdev_flush.
     */
    bool (*has_room)(void *opaque, unsigned queue);
    bool (*take)(void *opaque, unsigned queue, const uint8_t *frame, size_t size);
    /*
     * Its filter, for the monitor. Whoever asked is told of the next change, once, by NIC_RX_FILTER_CHANGED. NULL: it does not tell.
     */
    void (*describe_filter)(void *opaque, NetFilterInfo *info);
} NetClient;

/* What a kernel needs to carry a queue's frames itself (vhost-net). */
typedef struct {
    int vhost, tap; /* descriptors, which stay the back end's */
    bool insist;    /* the user wants no other way */
} NetdevKernelPath;

typedef struct {
    const char *name; /* as -netdev spells it */
    const char *summary;
    size_t instance_size; /* first member a Netdev */
    const Property *properties;
    bool (*open)(Netdev *netdev, GError **error);
    void (*close)(Netdev *netdev);
    /* A frame from the NIC, with netdev->header bytes before it. Never blocks; drops when it must. */
    void (*transmit)(Netdev *netdev, unsigned queue, const struct iovec *iov, unsigned count);
    /* The NIC has room again. */
    void (*flush)(Netdev *netdev);
    char *(*describe)(Netdev *netdev); /* for `info network` */
    /* Only a type that translates addresses (user); NULL elsewhere. For `info usernet`; caller frees. */
    char *(*describe_connections)(Netdev *netdev);
    /* A rule as hostfwd= spells it; to remove, without the guest's side. */
    bool (*host_forward)(Netdev *netdev, const char *rule, bool remove, GError **error);
    /* These are NULL where there are no offloads, one queue, and no way through the kernel. */
    void (*set_offloads)(Netdev *netdev);
    void (*set_queues)(Netdev *netdev, unsigned active);
    bool (*kernel_path)(Netdev *netdev, unsigned queue, NetdevKernelPath *path);
    /* While it is held, somebody else carries the frames. */
    void (*set_held)(Netdev *netdev, bool held);
} NetdevType;
#define NETDEV_TYPE(object) REGISTRY_ADD(netdev_types, object)
REGISTRY_DECLARE(netdev_types, NetdevType);

/* Somebody through whom the frames of a netdev pass, in both directions. */
typedef struct NetdevFilter NetdevFilter;
/*
 * from_nic: on its way to the back end. `skip` bytes are virtio's header, the frame is behind them. False: the filter keeps
 * the frame, and may send it on later by netdev_filter_pass.
 */
typedef bool NetdevFilterFrame(NetdevFilter *filter, bool from_nic, const struct iovec *iov,
                               unsigned count, size_t skip);

struct NetdevFilter {
    Netdev *netdev; /* NULL before netdev_filter_attach, and once the netdev is gone */
    Object *owner;  /* goes when the netdev goes; NULL: nobody does */
    NetdevFilterFrame *frame;
};

struct Netdev {
    const NetdevType *type;
    Machine *machine;
    char *id;
    const NetClient *client;
    void *client_opaque;
    bool link_up;
    GQueue backlog; /* frames that wait for the NIC, bounded */
    GList *filters; /* NetdevFilter, the one beside the back end first */
    bool held;        /* somebody else carries the frames */
    bool orphan;      /* the back end is gone, the NIC is not */
    /* The back end's `open` says what it can. */
    unsigned queues;         /* pairs; 0: one */
    unsigned offloads;       /* NET_OFFLOAD_*; 0: frames never have a header */
    /* What the NIC chose, both ways; changed by netdev_set_offloads. */
    unsigned header;         /* bytes before each frame */
    unsigned taken_offloads; /* what the NIC accepts to be left to it */
};

void netdev_set_link(Netdev *netdev, bool up);

bool netdev_attach(Netdev *netdev, const NetClient *client, void *opaque, GError **error);
void netdev_detach(Netdev *netdev);
/* NIC to back end, on the first queue. netdev may be NULL. */
void netdev_transmit(Netdev *netdev, const struct iovec *iov, unsigned count);
void netdev_transmit_on(Netdev *netdev, unsigned queue, const struct iovec *iov, unsigned count);
/* Back end to NIC: delivers, or queues (bounded, then drops) when the NIC has no room. */
void netdev_receive(Netdev *netdev, const uint8_t *frame, size_t size);
/*
 * For back ends whose frames can wait where they are. has_room: whether it is worth looking for one; not so while the machine is stopped.
 * offer: false when the NIC has no room after all: offer the same again after `flush`. With the machine lock.
 */
bool netdev_has_room(Netdev *netdev, unsigned queue);
bool netdev_offer(Netdev *netdev, unsigned queue, const uint8_t *frame, size_t size);
/* The NIC's choice (0, 0: none). Only where netdev->offloads. */
void netdev_set_offloads(Netdev *netdev, unsigned header, unsigned offloads);
/* The NIC uses its first `active` queues. */
void netdev_set_queues(Netdev *netdev, unsigned active);
/* Pairs of queues that the back end has. */
unsigned netdev_queues(const Netdev *netdev);
bool netdev_kernel_path(Netdev *netdev, unsigned queue, NetdevKernelPath *path);
void netdev_set_held(Netdev *netdev, bool held);
/*
 * Frames pass through the filter from now on, never past it through the kernel; fails while they do. It comes beside
 * `neighbour`, on the NIC's side (behind) or the back end's; NULL: at the end of the row.
 */
bool netdev_filter_attach(Netdev *netdev, NetdevFilter *filter, NetdevFilter *neighbour, bool behind,
                          GError **error);
void netdev_filter_detach(NetdevFilter *filter);
/* A frame that the filter kept, or another, to whom comes next; `header` is the virtio header that it had, if any. */
void netdev_filter_pass(NetdevFilter *filter, bool from_nic, const uint8_t *header,
                        size_t header_size, const uint8_t *frame, size_t size);
/*
 * Closes the back end and frees it, and the objects that filter its frames. A NIC that it still has is left with a link that is
 * down, and what remains goes when that is detached.
 */
void netdev_free(Netdev *netdev);
/* For realize of a NIC: where its address (6 bytes) is unset, 52:54:00:12:34:56 for the first, then counting up. */
void netdev_choose_mac(Device *device, uint8_t *mac);
/* The NIC says it has room. */
void netdev_flush(Netdev *netdev);

#endif
