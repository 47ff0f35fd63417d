/* SPDX-License-Identifier: MIT */
/* Virtio SCSI host: what its commands (virtio-scsi.c) and its control and event queues (virtio-scsi-control.c) share. */
#ifndef HW_VIRTIO_VIRTIO_SCSI_H
#define HW_VIRTIO_VIRTIO_SCSI_H

#include "hw/scsi/scsi-bus.h"
#include "hw/virtio/virtio.h"

/* Virtio 1.2, 5.6.2, 5.6.3 and 5.6.6. */
enum {
    VIRTIO_SCSI_CONTROL_QUEUE = 0,
    VIRTIO_SCSI_EVENT_QUEUE = 1,
    VIRTIO_SCSI_REQUEST_QUEUES = 2,

    VIRTIO_SCSI_F_HOTPLUG = 1,
    VIRTIO_SCSI_F_CHANGE = 2,

    VIRTIO_SCSI_S_OK = 0,
    VIRTIO_SCSI_S_BAD_TARGET = 3,

    VIRTIO_SCSI_EVENT_SIZE = 16,
};

typedef struct VirtioScsiFunction VirtioScsiFunction;

typedef struct {
    VirtioDevice virtio; /* first */
    ScsiBus bus;
    VirtioScsiFunction *functions; /* task management that waits for requests which it has ended early */
    /* State. */
    uint32_t sense_size, cdb_size; /* as the driver has set them */
    bool events_missed;
    /* Properties. */
    uint32_t num_queues, queue_size, max_sectors, cmd_per_lun;
    bool hotplug, param_change, seg_max_adjust;
} VirtioScsi;

static inline VirtioScsi *virtio_scsi(VirtioDevice *virtio)
{
    return container_of(virtio, VirtioScsi, virtio);
}

/* Units (5.6.6.1): one byte 1, the target, and a number in single level format. False: it is written otherwise. */
bool virtio_scsi_get_unit(const uint8_t *address, unsigned *target, unsigned *lun);
void virtio_scsi_return(VirtioElement *element, uint32_t written);

VirtQueueHandler virtio_scsi_kick_control, virtio_scsi_kick_event;
/* A chain of the control queue; false: the device needs a reset. */
bool virtio_scsi_take_control(VirtQueue *queue, VirtioElement *element);
/* A request has ended early: answers the functions that waited for it alone. */
void virtio_scsi_settle(VirtioScsi *scsi);
/* Their queue is another one now, or the machine another. */
void virtio_scsi_forget_functions(VirtioScsi *scsi);
/* Tells the driver of units, by an event. */
void virtio_scsi_unit_changed(ScsiBus *bus, ScsiDrive *drive, ScsiChange change);

#endif
