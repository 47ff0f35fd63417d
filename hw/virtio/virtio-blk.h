/* SPDX-License-Identifier: MIT */
/* Virtio block device: what its requests (virtio-blk-requests.c) and its configuration and life (virtio-blk.c) share. */
#ifndef HW_VIRTIO_VIRTIO_BLK_H
#define HW_VIRTIO_VIRTIO_BLK_H

#include "hw/block/disk.h"
#include "hw/virtio/virtio.h"
#include "machine/iothread.h"

enum { VIRTIO_BLK_SECTOR = 512 };

typedef struct VirtioBlk VirtioBlk;
typedef struct VirtioBlkRequest VirtioBlkRequest;

struct VirtioBlkRequest {
    VirtioBlk *blk;
    VirtioElement *element;
    VirtioBlkRequest *next;
    uint8_t *status; /* in guest memory */
    uint32_t type;
    uint64_t sector;
    uint64_t offset, bytes;
    unsigned flags;
};

struct VirtioBlk {
    VirtioDevice virtio;    /* first */
    VirtioBlkRequest *held; /* failed under werror=stop: tried again when the machine resumes */
    unsigned in_flight;
    IoThreadEvent *event; /* NULL: requests are taken where the kick is */
    uint64_t kicked;      /* bit n: the thread shall look at queue n */
    bool in_thread;       /* the thread is taking requests: they go to batch */
    VirtioBlkRequest *batch, **batch_tail;
    uint8_t writeback; /* set by the driver through CONFIG_WCE, or by what it negotiates */
    bool original_writeback;
    bool listening;
    Disk disk;
    /* Properties. */
    char *iothread;
    uint16_t num_queues, queue_size;
    uint32_t max_discard_sectors, max_write_zeroes_sectors;
    bool scsi, config_wce, discard, write_zeroes, request_merging, seg_max_adjust;
    bool report_discard_granularity;
};

static inline VirtioBlk *virtio_blk(VirtioDevice *virtio)
{
    return container_of(virtio, VirtioBlk, virtio);
}

VirtQueueHandler virtio_blk_kick;
void virtio_blk_retake(VirtQueue *queue, VirtioElement *element);
/* Of the I/O thread. */
void virtio_blk_run_in_thread(IoThreadEvent *event, void *opaque);
/* The machine's: what is held goes on. */
void virtio_blk_on_event(void *opaque, const char *event, const char *json_data);
/* queue NULL: of all queues. */
void virtio_blk_forget_held(VirtioBlk *blk, const VirtQueue *queue);

#endif
