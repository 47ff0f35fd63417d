/* SPDX-License-Identifier: MIT */
/* What the parts of the back ends "tap" and "bridge" share. */
#ifndef BACKENDS_NET_TAP_H
#define BACKENDS_NET_TAP_H

#include <linux/if.h>

#include "machine/netdev.h"

#define TAP_SCRIPT_UP      "/etc/qemu-ifup"
#define TAP_SCRIPT_DOWN    "/etc/qemu-ifdown"
#define TAP_BRIDGE_HELPER  "/usr/lib/qemu/qemu-bridge-helper"
#define TAP_BRIDGE_DEFAULT "br0"

enum { TAP_FRAME_MAX = 65536 + 64, TAP_HEADER_MAX = 12 };

typedef struct TapNetdev TapNetdev;

/* One descriptor: a pair of queues of the device. */
typedef struct {
    TapNetdev *tap;
    unsigned index;
    int fd, vhost;   /* -1: none */
    guint watch;     /* 0: the NIC has no room, or somebody else carries the frames */
    bool detached;   /* the NIC does not use it */
    size_t waiting;  /* bytes in buffer that the NIC had no room for */
    uint8_t *buffer; /* TAP_FRAME_MAX */
} TapQueue;

struct TapNetdev {
    Netdev netdev;
    /* Properties. */
    char *fd, *fds, *ifname, *script, *downscript, *bridge, *helper, *vhost_fd, *vhost_fds;
    uint32_t queues_wanted, poll_us;
    uint64_t sndbuf;
    bool vnet_hdr, vhost_force;
    int vhost; /* OnOffAuto */

    TapQueue queue[NETDEV_MAX_QUEUES];
    unsigned count;
    unsigned header;     /* bytes that the device has before each frame */
    bool held;           /* vhost carries the frames */
    char name[IFNAMSIZ]; /* of the device */
    bool ours;           /* opened by name: the script for the end is ours to run */
    uint64_t dropped;    /* frames that the device did not take */
};

static inline TapNetdev *tap_of(Netdev *netdev)
{
    return (TapNetdev *)netdev;
}

/* tap-queue.c */
/* A descriptor becomes the next queue, when it is one of a TAP device. Stays the caller's when that fails. */
bool tap_add_queue(TapNetdev *t, int fd, GError **error);
void tap_start(TapNetdev *t); /* frames come from now on */
void tap_close_queues(TapNetdev *t);
void tap_transmit(Netdev *netdev, unsigned queue, const struct iovec *iov, unsigned count);
void tap_flush(Netdev *netdev);
void tap_set_offloads(Netdev *netdev);
void tap_set_queues(Netdev *netdev, unsigned active);
void tap_set_held(Netdev *netdev, bool held);

/* tap-open.c */
/* The device by its name, with all its queues. */
bool tap_open_device(TapNetdev *t, GError **error);
/* fd= or fds=. */
bool tap_open_given(TapNetdev *t, GError **error);
bool tap_open_by_helper(TapNetdev *t, GError **error);
/* last: the device goes, and nobody waits for the script for long. */
bool tap_run_script(const TapNetdev *t, const char *script, bool last, GError **error);
/* The kernel's vhost-net for each queue, where it is wanted and to be had. */
bool tap_open_vhost(TapNetdev *t, GError **error);

#endif
