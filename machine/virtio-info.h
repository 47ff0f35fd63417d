/* SPDX-License-Identifier: MIT */
/*
 * What there is to tell of a virtio device: the door between hw/virtio and the monitor. Looking changes nothing: rings and descriptors are
 * read from the guest's memory as they are. Under the machine lock.
 */
#ifndef MACHINE_VIRTIO_INFO_H
#define MACHINE_VIRTIO_INFO_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/registry.h"

typedef struct Device Device;

/* A bit of features or of the status, as Linux's headers call it. */
typedef struct {
    uint8_t bit;
    const char *name; /* NULL ends a table */
    const char *summary;
} VirtioBitName;

typedef struct {
    const char *name; /* "virtio-blk" */
    uint16_t id;
    uint8_t status, isr;
    uint64_t offered, accepted;
    const VirtioBitName *features; /* of this kind of device; NULL: it has none */
    const VirtioBitName *transport_features, *statuses;
    unsigned queues, queue_select;
    bool broken, started, vhost;
    bool use_started, disable_legacy_check; /* as the user has set them */
} VirtioInfo;

typedef struct {
    unsigned size, maximum, in_flight, alignment;
    uint64_t descriptors, available, used;
    uint16_t last_available, available_index, used_index, signalled_used;
    bool signalled_valid;
    bool vhost; /* somebody else works on it: the indices are not known */
} VirtioQueueInfo;

enum { VIRTIO_INFO_DESCRIPTORS = 1024 };

typedef struct {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
} VirtioDescriptor;

enum {
    VIRTIO_DESCRIPTOR_NEXT = 1,
    VIRTIO_DESCRIPTOR_WRITE = 2,
    VIRTIO_DESCRIPTOR_INDIRECT = 4,
};

typedef struct {
    uint16_t head;
    uint16_t available_flags, available_index, available_entry;
    uint16_t used_flags, used_index;
    unsigned count;
    VirtioDescriptor chain[VIRTIO_INFO_DESCRIPTORS]; /* a table in place of the one that points to it */
} VirtioElementInfo;

typedef struct {
    int kick, call; /* descriptors of this process */
    unsigned size;
    uint64_t descriptors, descriptors_bytes, available, available_bytes, used, used_bytes;
} VirtioVhostQueueInfo;

/* All but `has` are for devices that it has; each fails for a queue that the device does not have. */
typedef struct {
    bool (*has)(const Device *device); /* it is a virtio device */
    void (*device)(Device *device, VirtioInfo *info);
    bool (*queue)(Device *device, unsigned index, VirtioQueueInfo *info, GError **error);
    /* The chain at that place of the available ring, which goes round; -1: the one that the device takes next. */
    bool (*element)(Device *device, unsigned index, int64_t place, VirtioElementInfo *info,
                    GError **error);
    bool (*vhost_queue)(Device *device, unsigned index, VirtioVhostQueueInfo *info, GError **error);
} VirtioInspection;
#define VIRTIO_INSPECTION(object) REGISTRY_ADD(virtio_inspections, object)
REGISTRY_DECLARE(virtio_inspections, VirtioInspection);

/* The one for a device; NULL: it is no virtio device. */
static inline const VirtioInspection *virtio_inspection_of(const Device *device)
{
    const VirtioInspection *const *it;

    REGISTRY_FOREACH(virtio_inspections, it) {
        if ((*it)->has(device)) {
            return *it;
        }
    }
    return NULL;
}

#endif
