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

typedef struct {
    /* Whether receive would take a frame now. */
    bool (*can_receive)(void *opaque);
    void (*receive)(void *opaque, const uint8_t *frame, size_t size);
    void (*link_changed)(void *opaque, bool up); /* may be NULL */
} NetClient;

typedef struct {
    const char *name; /* as -netdev spells it */
    const char *summary;
    size_t instance_size; /* first member a Netdev */
    const Property *properties;
    bool (*open)(Netdev *netdev, GError **error);
    void (*close)(Netdev *netdev);
    /* A frame from the NIC. Never blocks; drops when it must. */
    void (*transmit)(Netdev *netdev, const struct iovec *iov, unsigned count);
    /* The NIC has room again. */
    void (*flush)(Netdev *netdev);
    char *(*describe)(Netdev *netdev); /* for `info network` */
    /* Only a type that translates addresses (user); NULL elsewhere. For `info usernet`; caller frees. */
    char *(*describe_connections)(Netdev *netdev);
    /* A rule as hostfwd= spells it; to remove, without the guest's side. */
    bool (*host_forward)(Netdev *netdev, const char *rule, bool remove, GError **error);
} NetdevType;
#define NETDEV_TYPE(object) REGISTRY_ADD(netdev_types, object)
REGISTRY_DECLARE(netdev_types, NetdevType);

struct Netdev {
    const NetdevType *type;
    Machine *machine;
    char *id;
    const NetClient *client;
    void *client_opaque;
    bool link_up;
    GQueue backlog; /* frames that wait for the NIC, bounded */
};

void netdev_set_link(Netdev *netdev, bool up);

bool netdev_attach(Netdev *netdev, const NetClient *client, void *opaque, GError **error);
void netdev_detach(Netdev *netdev);
/* NIC to back end. netdev may be NULL. */
void netdev_transmit(Netdev *netdev, const struct iovec *iov, unsigned count);
/* Back end to NIC: delivers, or queues (bounded, then drops) when the NIC has no room. */
void netdev_receive(Netdev *netdev, const uint8_t *frame, size_t size);
/* Closes the back end and frees it. Its NIC must have been detached. */
void netdev_free(Netdev *netdev);
/* For realize of a NIC: where its address (6 bytes) is unset, 52:54:00:12:34:56 for the first, then counting up. */
void netdev_choose_mac(Device *device, uint8_t *mac);
/* The NIC says it has room. */
void netdev_flush(Netdev *netdev);

#endif
