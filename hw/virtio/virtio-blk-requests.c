/* SPDX-License-Identifier: MIT */
/*
 * Requests of the virtio block device (Virtio 1.2, 5.2.6). They go to the block layer as they are taken from the ring, with
 * the guest's own memory as buffers; completions come back on the main loop. With iothread= a kick only wakes that
 * thread: it takes what is in the rings under the machine lock, submits it without, and completes in batches under the
 * lock. Secure erase and zones are not modelled.
 */
#include <string.h>

#include "hw/virtio/virtio-blk.h"
#include "machine/machine.h"

enum {
    T_IN = 0,
    T_OUT = 1,
    T_FLUSH = 4,
    T_GET_ID = 8,
    T_DISCARD = 11,
    T_WRITE_ZEROES = 13,

    S_OK = 0,
    S_IOERR = 1,
    S_UNSUPP = 2,

    HEADER_SIZE = 16,
    ID_SIZE = 20,
    RANGE_SIZE = 16,
    RANGE_UNMAP = 1,
};

static void finish(VirtioBlkRequest *request, uint8_t status)
{
    VirtQueue *queue = request->element->queue;
    bool current = request->element->generation == queue->generation;

    if (current) {
        *request->status = status;
        /* The status is the last byte: the used length says that all before it may have changed. */
        virtqueue_push(request->element, request->element->in_bytes);
        virtqueue_notify(queue);
    } else {
        virtqueue_free_element(request->element);
    }
    g_free(request);
}

static void fail(VirtioBlkRequest *request, int error)
{
    VirtioBlk *blk = request->blk;

    if (request->element->generation != request->element->queue->generation) {
        finish(request, S_IOERR);
        return;
    }
    switch (disk_failed(&blk->disk, &blk->virtio.pci.device, request->type != T_IN, error)) {
    case DISK_IGNORE:
        finish(request, S_OK);
        break;
    case DISK_REPORT:
        finish(request, S_IOERR);
        break;
    case DISK_HOLD:
        request->next = blk->held;
        blk->held = request;
        break;
    }
}

static void complete(void *opaque, int result)
{
    VirtioBlkRequest *request = opaque;
    VirtioBlk *blk = request->blk;
    Machine *machine = virtio_machine(&blk->virtio);
    bool locked = machine_lock_held(machine);

    if (!locked) {
        machine_lock(machine);
    }
    blk->in_flight--;
    if (result < 0) {
        fail(request, -result);
    } else {
        finish(request, S_OK);
    }
    if (!locked) {
        machine_unlock(machine);
    }
}

/* Requests. */

/* In an I/O thread without the machine lock. */
static void submit_now(VirtioBlkRequest *request)
{
    VirtioBlk *blk = request->blk;
    VirtioElement *e = request->element;
    BlockFlags flags = request->flags;

    switch (request->type) {
    case T_IN:
        block_read(blk->disk.drive, request->offset, e->in, e->in_count, complete, request);
        break;
    case T_OUT:
        block_write(blk->disk.drive, request->offset, e->out, e->out_count, flags, complete,
                    request);
        break;
    case T_FLUSH:
        block_flush(blk->disk.drive, complete, request);
        break;
    case T_DISCARD:
        block_discard(blk->disk.drive, request->offset, request->bytes, complete, request);
        break;
    case T_WRITE_ZEROES:
        block_write_zeroes(blk->disk.drive, request->offset, request->bytes, flags, complete,
                           request);
        break;
    }
}

static void submit(VirtioBlkRequest *request)
{
    VirtioBlk *blk = request->blk;

    blk->in_flight++;
    if (blk->in_thread) {
        request->next = NULL;
        *blk->batch_tail = request;
        blk->batch_tail = &request->next;
    } else {
        submit_now(request);
    }
}

static bool range_is_valid(VirtioBlk *blk, uint64_t sector, uint64_t bytes)
{
    uint64_t size = align_down(block_size(blk->disk.drive), VIRTIO_BLK_SECTOR);
    uint64_t sectors = size / VIRTIO_BLK_SECTOR;

    return sector <= sectors && bytes <= size - sector * VIRTIO_BLK_SECTOR &&
           (sector * VIRTIO_BLK_SECTOR | bytes) % blk->disk.logical_block_size == 0;
}

static bool refuse_write(VirtioBlk *blk, VirtioBlkRequest *request)
{
    if (!block_read_only(blk->disk.drive)) {
        return false;
    }
    log_guest_error(virtio_name(&blk->virtio), "write to a read-only disk");
    finish(request, S_IOERR);
    return true;
}

static void start_transfer(VirtioBlk *blk, VirtioBlkRequest *request)
{
    VirtioElement *e = request->element;
    uint64_t sector = request->sector;

    request->bytes = request->type == T_IN ? e->in_bytes - 1 : e->out_bytes - HEADER_SIZE;
    if (!range_is_valid(blk, sector, request->bytes)) {
        log_guest_error(virtio_name(&blk->virtio), "%llu bytes at sector %llu: not on the disk",
                        (unsigned long long)request->bytes, (unsigned long long)sector);
        block_count_invalid(blk->disk.drive,
                            request->type == T_IN ? BLOCK_ACCOUNT_READ : BLOCK_ACCOUNT_WRITE);
        finish(request, S_IOERR);
    } else if (request->type != T_OUT || !refuse_write(blk, request)) {
        request->offset = sector * VIRTIO_BLK_SECTOR;
        submit(request);
    }
}

static void start_get_id(VirtioBlk *blk, VirtioBlkRequest *request)
{
    char id[ID_SIZE] = { 0 };

    strncpy(id, blk->disk.serial ? blk->disk.serial : "", sizeof id);
    iovec_from_buffer(request->element->in, request->element->in_count, 0, id, sizeof id);
    finish(request, S_OK);
}

/* Discard and write zeroes: one range (as max_…_seg says). */
static void start_range(VirtioBlk *blk, VirtioBlkRequest *request)
{
    VirtioElement *e = request->element;
    bool discard = request->type == T_DISCARD;
    uint32_t limit = discard ? blk->max_discard_sectors : blk->max_write_zeroes_sectors;
    uint8_t range[RANGE_SIZE];
    uint32_t flags, sectors;

    if (e->out_bytes - HEADER_SIZE != RANGE_SIZE) {
        finish(request, S_UNSUPP);
        return;
    }
    iovec_to_buffer(e->out, e->out_count, 0, range, sizeof range);
    sectors = load_le32(range + 8);
    flags = load_le32(range + 12);
    if (flags & ~(uint32_t)(discard ? 0 : RANGE_UNMAP)) {
        finish(request, S_UNSUPP);
        return;
    }
    request->offset = load_le64(range) * VIRTIO_BLK_SECTOR;
    request->bytes = (uint64_t)sectors * VIRTIO_BLK_SECTOR;
    request->flags = flags & RANGE_UNMAP ? BLOCK_MAY_UNMAP : 0;
    if (sectors > limit || !range_is_valid(blk, load_le64(range), request->bytes)) {
        log_guest_error(virtio_name(&blk->virtio), "discard or zeroing outside of the disk");
        block_count_invalid(blk->disk.drive, discard ? BLOCK_ACCOUNT_UNMAP : BLOCK_ACCOUNT_WRITE);
        finish(request, S_IOERR);
    } else if (!refuse_write(blk, request)) {
        submit(request);
    }
}

static void start(VirtioBlk *blk, VirtioBlkRequest *request)
{
    switch (request->type) {
    case T_IN:
    case T_OUT:
        start_transfer(blk, request);
        break;
    case T_FLUSH:
        submit(request);
        break;
    case T_GET_ID:
        start_get_id(blk, request);
        break;
    case T_DISCARD:
    case T_WRITE_ZEROES:
        if (request->type == T_DISCARD ? blk->discard : blk->write_zeroes) {
            start_range(blk, request);
            break;
        }
        /* fall through */
    default:
        finish(request, S_UNSUPP);
    }
}

/* NULL: it lacks its header, or a byte for its status. */
static VirtioBlkRequest *new_request(VirtioBlk *blk, VirtioElement *e)
{
    struct iovec *last = e->in_count ? &e->in[e->in_count - 1] : NULL;
    uint8_t header[HEADER_SIZE];
    VirtioBlkRequest *request;

    if (!last || iovec_to_buffer(e->out, e->out_count, 0, header, sizeof header) < sizeof header) {
        virtio_fail(&blk->virtio,
                    "request with %" PRIu64 " bytes of header and %u writable buffers",
                    e->out_bytes, e->in_count);
        virtqueue_free_element(e);
        return NULL;
    }
    request = g_new0(VirtioBlkRequest, 1);
    request->blk = blk;
    request->element = e;
    request->type = load_le32(header);
    request->sector = load_le64(header + 8);
    request->status = (uint8_t *)last->iov_base + last->iov_len - 1;
    iovec_truncate(e->in, &e->in_count, e->in_bytes - 1);
    e->out = iovec_skip(e->out, &e->out_count, HEADER_SIZE);
    return request;
}

static bool take(VirtQueue *queue, VirtioElement *e)
{
    VirtioBlk *blk = virtio_blk(queue->virtio);
    VirtioBlkRequest *request = new_request(blk, e);

    if (request) {
        start(blk, request);
    }
    return request != NULL;
}

void virtio_blk_retake(VirtQueue *queue, VirtioElement *e)
{
    VirtioBlk *blk = virtio_blk(queue->virtio);
    VirtioBlkRequest *request = new_request(blk, e);

    if (request) {
        request->next = blk->held;
        blk->held = request;
    }
}

static void kick_thread(VirtioBlk *blk, uint64_t queues)
{
    blk->kicked |= queues;
    if (blk->kicked) {
        iothread_event_set(blk->event);
    }
}

/* Takes what all kicked queues hold; the requests are a list then. */
static VirtioBlkRequest *take_kicked(VirtioBlk *blk)
{
    uint64_t kicked = blk->kicked;
    VirtioBlkRequest *batch;

    blk->kicked = 0;
    blk->batch_tail = &blk->batch;
    blk->in_thread = true;
    while (kicked) {
        unsigned index = (unsigned)__builtin_ctzll(kicked);

        kicked &= kicked - 1;
        virtio_kick(&blk->virtio, index);
    }
    blk->in_thread = false;
    batch = blk->batch;
    blk->batch = NULL;
    return batch;
}

/*
 * In the I/O thread. The hold lets a drain wait for requests that are taken and not yet submitted; it
 * ends before the lock is taken, because who drains may hold the lock.
 */
void virtio_blk_run_in_thread(IoThreadEvent *event, void *opaque)
{
    VirtioBlk *blk = opaque;
    BlockBackend *drive = blk->disk.drive;
    VirtioBlkRequest *batch;

    if (!machine_running(virtio_machine(&blk->virtio))) {
        return; /* virtio_blk_on_event kicks again */
    }
    batch = take_kicked(blk);
    if (!batch) {
        return;
    }
    block_hold(drive);
    iothread_event_unlock(event);
    block_plug(drive);
    while (batch) {
        VirtioBlkRequest *next = batch->next;

        submit_now(batch);
        batch = next;
    }
    block_unplug(drive);
    block_release(drive);
    if (iothread_event_lock(event) && blk->in_flight) {
        block_deliver(drive);
    }
}

void virtio_blk_kick(VirtQueue *queue)
{
    VirtioBlk *blk = virtio_blk(queue->virtio);

    if (blk->in_thread) {
        virtqueue_process(queue, take);
        return;
    }
    if (blk->event) {
        kick_thread(blk, BIT(queue->index));
        return;
    }
    /* One submission to the host for all that the driver has queued. */
    block_plug(blk->disk.drive);
    virtqueue_process(queue, take);
    block_unplug(blk->disk.drive);
    if (blk->in_flight) {
        block_deliver(blk->disk.drive);
    }
}

static void retry_held(VirtioBlk *blk)
{
    VirtioBlkRequest *request = blk->held;

    blk->held = NULL;
    while (request) {
        VirtioBlkRequest *next = request->next;

        start(blk, request);
        request = next;
    }
}

/*
 * The thread leaves kicks of a machine that stands to this, and where it goes on may be another process, or a saved state: the rings tell
 * what is to be done, not who was kicked.
 */
static uint64_t ready_queues(const VirtioBlk *blk)
{
    uint64_t ready = 0;

    for (unsigned i = 0; i < blk->virtio.queue_count; i++) {
        ready |= blk->virtio.queues[i].state->enabled ? BIT(i) : 0;
    }
    return ready;
}

void virtio_blk_on_event(void *opaque, const char *event, const char *json_data)
{
    VirtioBlk *blk = opaque;
    Machine *machine = virtio_machine(&blk->virtio);
    bool locked = machine_lock_held(machine);

    if (strcmp(event, "RESUME")) {
        return;
    }
    if (!locked) {
        machine_lock(machine);
    }
    retry_held(blk);
    if (blk->event) {
        kick_thread(blk, ready_queues(blk));
    }
    if (!locked) {
        machine_unlock(machine);
    }
}

void virtio_blk_forget_held(VirtioBlk *blk, const VirtQueue *queue)
{
    VirtioBlkRequest **link = &blk->held;

    while (*link) {
        VirtioBlkRequest *request = *link;

        if (queue && request->element->queue != queue) {
            link = &request->next;
            continue;
        }
        *link = request->next;
        virtqueue_free_element(request->element);
        g_free(request);
    }
}
