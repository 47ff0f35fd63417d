/* SPDX-License-Identifier: MIT */
/* Kicks by descriptor, for transports. */
#ifndef HW_VIRTIO_VIRTIO_DOORBELLS_H
#define HW_VIRTIO_VIRTIO_DOORBELLS_H

#include "hw/virtio/virtio.h"

typedef struct VirtioDoorbells VirtioDoorbells;

/* Where drivers write to kick a queue. */
typedef struct {
    MemoryRegion *modern; /* a word for each queue; NULL: there is none */
    uint64_t modern_offset, stride;
    MemoryRegion *legacy; /* the queue's number is the value; NULL: there is none */
    uint64_t legacy_offset;
} VirtioKickPlaces;

/* When the driver is ready; where no accelerator rings, nothing happens. With the machine lock, as stop. */
void virtio_doorbells_start(VirtioDevice *virtio, const VirtioKickPlaces *places);
void virtio_doorbells_stop(VirtioDevice *virtio);
/* The descriptor of a queue's doorbell, for somebody else to hear until it is returned. -1: it has none. */
int virtio_doorbell_lend(VirtioDevice *virtio, unsigned queue);
void virtio_doorbell_return(VirtioDevice *virtio, unsigned queue);

#endif
