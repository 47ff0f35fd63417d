/* SPDX-License-Identifier: MIT */
/*
 * Virtio block device (Virtio 1.2, 5.2): multi-queue, discard, write zeroes, write-cache switch.
 *
 * Requests go to the block layer as they are taken from the ring, with the guest's own memory as
 * buffers; completions come back on the main loop. With iothread= a kick only wakes that thread: it
 * takes what is in the rings under the machine lock, submits it without, and completes in batches
 * under the lock. Secure erase, zoned devices and lifetime are not
 * modelled.
 */
#include <errno.h>

#include "base/error.h"
#include "block/block.h"
#include "hw/virtio/virtio.h"
#include "machine/iothread.h"
#include "machine/machine.h"

enum {
    F_SEG_MAX = 2,
    F_GEOMETRY = 4,
    F_RO = 5,
    F_BLK_SIZE = 6,
    F_FLUSH = 9,
    F_TOPOLOGY = 10,
    F_CONFIG_WCE = 11,
    F_MQ = 12,
    F_DISCARD = 13,
    F_WRITE_ZEROES = 14,

    /* virtio_blk_config */
    CONFIG_CAPACITY = 0,
    CONFIG_SEG_MAX = 12,
    CONFIG_CYLINDERS = 16,
    CONFIG_HEADS = 18,
    CONFIG_SECTORS = 19,
    CONFIG_BLK_SIZE = 20,
    CONFIG_PHYSICAL_EXPONENT = 24,
    CONFIG_MIN_IO = 26,
    CONFIG_OPT_IO = 28,
    CONFIG_WRITEBACK = 32,
    CONFIG_NUM_QUEUES = 34,
    CONFIG_MAX_DISCARD_SECTORS = 36,
    CONFIG_MAX_DISCARD_SEG = 40,
    CONFIG_DISCARD_ALIGNMENT = 44,
    CONFIG_MAX_ZEROES_SECTORS = 48,
    CONFIG_MAX_ZEROES_SEG = 52,
    CONFIG_ZEROES_MAY_UNMAP = 56,
    CONFIG_SIZE = 60,

    T_IN = 0,
    T_OUT = 1,
    T_FLUSH = 4,
    T_GET_ID = 8,
    T_DISCARD = 11,
    T_WRITE_ZEROES = 13,

    S_OK = 0,
    S_IOERR = 1,
    S_UNSUPP = 2,

    SECTOR = 512,
    HEADER_SIZE = 16,
    ID_SIZE = 20,
    RANGE_SIZE = 16,
    RANGE_UNMAP = 1,
    MAX_RANGE_SECTORS = 4 << 20, /* 2 GiB in one discard */
    QUEUE_COUNT_AUTO = UINT16_MAX,
    MAX_BLOCK_SIZE = 32768,
};

enum { POLICY_AUTO, POLICY_REPORT, POLICY_IGNORE, POLICY_STOP, POLICY_ENOSPC };
static const char *const policy_names[] = { "auto", "report", "ignore", "stop", "enospc", NULL };

typedef struct Request Request;

typedef struct {
    VirtioDevice virtio;
    Request *held; /* failed under werror=stop: tried again when the machine resumes */
    unsigned in_flight;
    IoThreadEvent *event; /* NULL: requests are taken where the kick is */
    uint64_t kicked;      /* bit n: the thread shall look at queue n */
    bool in_thread;       /* the thread is taking requests: they go to batch */
    Request *batch, **batch_tail;
    uint8_t writeback; /* set by the driver through CONFIG_WCE, or by what it negotiates */
    bool original_writeback;
    bool listening, claimed;
    /* Properties. */
    BlockBackend *drive;
    char *serial;
    char *iothread;
    uint32_t logical_block_size, physical_block_size, opt_io_size, discard_granularity;
    uint16_t min_io_size, num_queues, queue_size;
    uint32_t cyls, heads, secs, max_discard_sectors, max_write_zeroes_sectors;
    int32_t bootindex;
    int werror, rerror, write_cache;
    bool share_rw, scsi, config_wce, discard, write_zeroes, request_merging, seg_max_adjust;
    bool report_discard_granularity;
} VirtioBlk;

struct Request {
    VirtioBlk *blk;
    VirtioElement *element;
    Request *next;
    uint8_t *status; /* in guest memory */
    uint32_t type;
    uint64_t offset, bytes;
    uint32_t written; /* bytes of in-buffers when it succeeds, without the status */
    unsigned flags;
};

static VirtioBlk *virtio_blk(VirtioDevice *virtio)
{
    return container_of(virtio, VirtioBlk, virtio);
}

static void finish(Request *request, uint8_t status)
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

/* Errors. */

static int error_policy(VirtioBlk *blk, bool is_write, int error)
{
    int chosen = is_write ? blk->werror : blk->rerror;
    BlockErrorPolicy policy = chosen == POLICY_AUTO ? block_error_policy(blk->drive, is_write)
                                                    : (BlockErrorPolicy)(chosen - POLICY_REPORT);

    if (policy == BLOCK_ERROR_ENOSPC) {
        return error == ENOSPC ? BLOCK_ERROR_STOP : BLOCK_ERROR_REPORT;
    }
    return policy;
}

static const char *action_name(BlockErrorPolicy policy)
{
    return policy == BLOCK_ERROR_STOP ? "stop" : policy == BLOCK_ERROR_IGNORE ? "ignore" : "report";
}

static void report_error(VirtioBlk *blk, bool is_write, int error, BlockErrorPolicy policy)
{
    char *json = g_strdup_printf("{\"device\": \"%s\", \"operation\": \"%s\", \"action\": \"%s\", "
                                 "\"nospace\": %s, \"reason\": \"%s\"}",
                                 block_id(blk->drive) ? block_id(blk->drive) : "",
                                 is_write ? "write" : "read", action_name(policy),
                                 error == ENOSPC ? "true" : "false", g_strerror(error));

    machine_event(virtio_machine(&blk->virtio), "BLOCK_IO_ERROR", json);
    g_free(json);
}

static void fail(Request *request, int error)
{
    VirtioBlk *blk = request->blk;
    bool is_write = request->type != T_IN;
    BlockErrorPolicy policy = error_policy(blk, is_write, error);

    if (request->element->generation != request->element->queue->generation) {
        finish(request, S_IOERR);
        return;
    }
    report_error(blk, is_write, error, policy);
    if (policy == BLOCK_ERROR_IGNORE) {
        finish(request, S_OK);
    } else if (policy == BLOCK_ERROR_REPORT) {
        finish(request, S_IOERR);
    } else {
        char *detail = g_strdup_printf("%s: %s failed: %s", blk->virtio.pci.device.id,
                                       is_write ? "write" : "read", g_strerror(error));

        request->next = blk->held;
        blk->held = request;
        machine_request_stop(virtio_machine(&blk->virtio), STOP_IO_ERROR, detail);
        g_free(detail);
    }
}

static void complete(void *opaque, int result)
{
    Request *request = opaque;
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
static void submit_now(Request *request)
{
    VirtioBlk *blk = request->blk;
    VirtioElement *e = request->element;
    BlockFlags flags = request->flags;

    switch (request->type) {
    case T_IN:
        block_read(blk->drive, request->offset, e->in, e->in_count, complete, request);
        break;
    case T_OUT:
        block_write(blk->drive, request->offset, e->out, e->out_count, flags, complete, request);
        break;
    case T_FLUSH:
        block_flush(blk->drive, complete, request);
        break;
    case T_DISCARD:
        block_discard(blk->drive, request->offset, request->bytes, complete, request);
        break;
    case T_WRITE_ZEROES:
        block_write_zeroes(blk->drive, request->offset, request->bytes, flags, complete, request);
        break;
    }
}

static void submit(Request *request)
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
    uint64_t size = align_down(block_size(blk->drive), SECTOR);
    uint64_t sectors = size / SECTOR;

    return sector <= sectors && bytes <= size - sector * SECTOR &&
           (sector * SECTOR | bytes) % blk->logical_block_size == 0;
}

static bool refuse_write(VirtioBlk *blk, Request *request)
{
    if (!block_read_only(blk->drive)) {
        return false;
    }
    log_guest_error(virtio_name(&blk->virtio), "write to a read-only disk");
    finish(request, S_IOERR);
    return true;
}

static void start_transfer(VirtioBlk *blk, Request *request, uint64_t sector)
{
    VirtioElement *e = request->element;

    request->bytes = request->type == T_IN ? e->in_bytes - 1 : e->out_bytes - HEADER_SIZE;
    if (!range_is_valid(blk, sector, request->bytes)) {
        log_guest_error(virtio_name(&blk->virtio), "%llu bytes at sector %llu: not on the disk",
                        (unsigned long long)request->bytes, (unsigned long long)sector);
        block_count_invalid(blk->drive,
                            request->type == T_IN ? BLOCK_ACCOUNT_READ : BLOCK_ACCOUNT_WRITE);
        finish(request, S_IOERR);
    } else if (request->type != T_OUT || !refuse_write(blk, request)) {
        request->offset = sector * SECTOR;
        submit(request);
    }
}

static void start_get_id(VirtioBlk *blk, Request *request)
{
    char id[ID_SIZE] = { 0 };

    strncpy(id, blk->serial ? blk->serial : "", sizeof id);
    iovec_from_buffer(request->element->in, request->element->in_count, 0, id, sizeof id);
    finish(request, S_OK);
}

/* Discard and write zeroes: one range (as max_…_seg says). */
static void start_range(VirtioBlk *blk, Request *request)
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
    request->offset = load_le64(range) * SECTOR;
    request->bytes = (uint64_t)sectors * SECTOR;
    request->flags = flags & RANGE_UNMAP ? BLOCK_MAY_UNMAP : 0;
    if (sectors > limit || !range_is_valid(blk, load_le64(range), request->bytes)) {
        log_guest_error(virtio_name(&blk->virtio), "discard or zeroing outside of the disk");
        block_count_invalid(blk->drive, discard ? BLOCK_ACCOUNT_UNMAP : BLOCK_ACCOUNT_WRITE);
        finish(request, S_IOERR);
    } else if (!refuse_write(blk, request)) {
        submit(request);
    }
}

static void start(VirtioBlk *blk, Request *request, uint64_t sector)
{
    switch (request->type) {
    case T_IN:
    case T_OUT:
        start_transfer(blk, request, sector);
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

static bool take(VirtQueue *queue, VirtioElement *e)
{
    VirtioBlk *blk = virtio_blk(queue->virtio);
    struct iovec *last = e->in_count ? &e->in[e->in_count - 1] : NULL;
    uint8_t header[HEADER_SIZE];
    Request *request;

    if (!last || iovec_to_buffer(e->out, e->out_count, 0, header, sizeof header) < sizeof header) {
        virtio_fail(queue->virtio, "request with %llu bytes of header and %u writable buffers",
                    (unsigned long long)e->out_bytes, e->in_count);
        virtqueue_free_element(e);
        return false;
    }
    request = g_new0(Request, 1);
    request->blk = blk;
    request->element = e;
    request->type = load_le32(header);
    request->status = (uint8_t *)last->iov_base + last->iov_len - 1;
    iovec_truncate(e->in, &e->in_count, e->in_bytes - 1);
    e->out = iovec_skip(e->out, &e->out_count, HEADER_SIZE);
    start(blk, request, load_le64(header + 8));
    return true;
}

static void kick_thread(VirtioBlk *blk, uint64_t queues)
{
    blk->kicked |= queues;
    if (blk->kicked) {
        iothread_event_set(blk->event);
    }
}

/* Takes what all kicked queues hold; the requests are a list then. */
static Request *take_kicked(VirtioBlk *blk)
{
    uint64_t kicked = blk->kicked;
    Request *batch;

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
static void run_in_thread(IoThreadEvent *event, void *opaque)
{
    VirtioBlk *blk = opaque;
    BlockBackend *drive = blk->drive;
    Request *batch;

    if (!machine_running(virtio_machine(&blk->virtio))) {
        return; /* on_event kicks again */
    }
    batch = take_kicked(blk);
    if (!batch) {
        return;
    }
    block_hold(drive);
    iothread_event_unlock(event);
    block_plug(drive);
    while (batch) {
        Request *next = batch->next;

        submit_now(batch);
        batch = next;
    }
    block_unplug(drive);
    block_release(drive);
    if (iothread_event_lock(event) && blk->in_flight) {
        block_deliver(drive);
    }
}

static void virtio_blk_kick(VirtQueue *queue)
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
    block_plug(blk->drive);
    virtqueue_process(queue, take);
    block_unplug(blk->drive);
    if (blk->in_flight) {
        block_deliver(blk->drive);
    }
}

static void retry_held(VirtioBlk *blk)
{
    Request *request = blk->held;

    blk->held = NULL;
    while (request) {
        Request *next = request->next;

        submit(request);
        request = next;
    }
}

static void on_event(void *opaque, const char *event, const char *json_data)
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
        kick_thread(blk, 0);
    }
    if (!locked) {
        machine_unlock(machine);
    }
}

/* Without a cache the block layer makes each write durable before it completes. */
static void set_writeback(VirtioBlk *blk, bool writeback)
{
    blk->writeback = writeback;
    block_set_write_cache(blk->drive, writeback);
}

static void forget_held(VirtioBlk *blk)
{
    while (blk->held) {
        Request *request = blk->held;

        blk->held = request->next;
        virtqueue_free_element(request->element);
        g_free(request);
    }
}

static void virtio_blk_reset(VirtioDevice *virtio)
{
    VirtioBlk *blk = virtio_blk(virtio);

    forget_held(blk);
    set_writeback(blk, blk->original_writeback);
}

/* 5.2.6.2: a driver that cannot flush must not need to. */
static void virtio_blk_status_changed(VirtioDevice *virtio)
{
    if (virtio->status & VIRTIO_STATUS_DRIVER_OK && !virtio_has_feature(virtio, F_CONFIG_WCE)) {
        set_writeback(virtio_blk(virtio), virtio_has_feature(virtio, F_FLUSH));
    }
}

static void virtio_blk_state_loaded(VirtioDevice *virtio)
{
    forget_held(virtio_blk(virtio));
    set_writeback(virtio_blk(virtio), virtio_blk(virtio)->writeback);
}

static void virtio_blk_drain(VirtioDevice *virtio)
{
    VirtioBlk *blk = virtio_blk(virtio);

    if (blk->in_flight) {
        block_drain(blk->drive);
    }
}

/* Configuration space. */

static void virtio_blk_config_read(VirtioDevice *virtio)
{
    VirtioBlk *blk = virtio_blk(virtio);
    uint8_t *config = virtio->config;

    store_le64(config + CONFIG_CAPACITY, block_size(blk->drive) / SECTOR);
    config[CONFIG_WRITEBACK] = blk->writeback;
}

static void virtio_blk_config_written(VirtioDevice *virtio, unsigned offset, unsigned size)
{
    VirtioBlk *blk = virtio_blk(virtio);

    if (offset == CONFIG_WRITEBACK && size == 1 && virtio_has_feature(virtio, F_CONFIG_WCE)) {
        set_writeback(blk, virtio->config[CONFIG_WRITEBACK] & 1);
    }
}

/* The geometry that BIOS-era software assumes of a disk without one. */
static void choose_geometry(VirtioBlk *blk)
{
    uint64_t sectors = block_size(blk->drive) / SECTOR;

    blk->heads = blk->heads ? blk->heads : 16;
    blk->secs = blk->secs ? blk->secs : 63;
    if (!blk->cyls) {
        blk->cyls = MIN(MAX(sectors / (blk->heads * blk->secs), 2), 16383);
    }
}

static void fill_config(VirtioBlk *blk)
{
    uint8_t *config = blk->virtio.config;
    uint32_t granularity = blk->report_discard_granularity ? blk->discard_granularity : 0;

    choose_geometry(blk);
    store_le32(config + CONFIG_SEG_MAX, (blk->seg_max_adjust ? blk->queue_size : 128) - 2);
    store_le16(config + CONFIG_CYLINDERS, blk->cyls);
    config[CONFIG_HEADS] = blk->heads;
    config[CONFIG_SECTORS] = blk->secs;
    store_le32(config + CONFIG_BLK_SIZE, blk->logical_block_size);
    config[CONFIG_PHYSICAL_EXPONENT] =
        __builtin_ctz(blk->physical_block_size / blk->logical_block_size);
    store_le16(config + CONFIG_MIN_IO, blk->min_io_size / blk->logical_block_size);
    store_le32(config + CONFIG_OPT_IO, blk->opt_io_size / blk->logical_block_size);
    store_le16(config + CONFIG_NUM_QUEUES, blk->num_queues);
    store_le32(config + CONFIG_MAX_DISCARD_SECTORS, blk->max_discard_sectors);
    store_le32(config + CONFIG_MAX_DISCARD_SEG, 1);
    store_le32(config + CONFIG_DISCARD_ALIGNMENT,
               MAX(granularity, blk->logical_block_size) / SECTOR);
    store_le32(config + CONFIG_MAX_ZEROES_SECTORS, blk->max_write_zeroes_sectors);
    store_le32(config + CONFIG_MAX_ZEROES_SEG, 1);
    config[CONFIG_ZEROES_MAY_UNMAP] = 1;
}

static uint64_t virtio_blk_features(VirtioDevice *virtio)
{
    VirtioBlk *blk = virtio_blk(virtio);
    uint64_t features = BIT(F_SEG_MAX) | BIT(F_GEOMETRY) | BIT(F_BLK_SIZE) | BIT(F_TOPOLOGY);

    features |= blk->original_writeback || blk->config_wce ? BIT(F_FLUSH) : 0;
    if (block_read_only(blk->drive)) {
        return features | BIT(F_RO);
    }
    features |= blk->config_wce ? BIT(F_CONFIG_WCE) : 0;
    features |= blk->num_queues > 1 ? BIT(F_MQ) : 0;
    features |= blk->discard ? BIT(F_DISCARD) : 0;
    features |= blk->write_zeroes ? BIT(F_WRITE_ZEROES) : 0;
    return features;
}

static bool check_block_sizes(VirtioBlk *blk, GError **error)
{
    if (!blk->logical_block_size) {
        blk->logical_block_size = block_logical_sector(blk->drive);
    }
    if (!blk->physical_block_size) {
        blk->physical_block_size = blk->logical_block_size;
    }
    if (!is_power_of_two(blk->logical_block_size) || blk->logical_block_size < SECTOR ||
        blk->logical_block_size > MAX_BLOCK_SIZE || !is_power_of_two(blk->physical_block_size) ||
        blk->physical_block_size > MAX_BLOCK_SIZE * 64 ||
        blk->physical_block_size < blk->logical_block_size) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "logical_block_size=%u, physical_block_size=%u: both must be powers of two "
            "from 512 to 32768, the logical one not the larger",
            blk->logical_block_size, blk->physical_block_size);
    }
    return true;
}

static bool check_properties(VirtioBlk *blk, GError **error)
{
    if (!blk->drive) {
        return error_fail(error, KASO_ERROR_INVALID, "%s needs drive=ID",
                          virtio_name(&blk->virtio));
    }
    if (!check_block_sizes(blk, error)) {
        return false;
    }
    if (!is_power_of_two(blk->queue_size) || blk->queue_size < 4 ||
        blk->queue_size > VIRTIO_MAX_QUEUE_SIZE) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "queue-size=%u is not a power of two from 4 to %u", blk->queue_size,
                          VIRTIO_MAX_QUEUE_SIZE);
    }
    if (!blk->num_queues || blk->num_queues > VIRTIO_MAX_QUEUES) {
        return error_fail(error, KASO_ERROR_INVALID, "num-queues=%u is not between 1 and %u",
                          blk->num_queues, VIRTIO_MAX_QUEUES);
    }
    if (blk->scsi) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "scsi=on: virtio 1 has no SCSI commands for block devices; leave it off");
    }
    if (blk->secs > 255 || blk->heads > 255 || blk->cyls > 65535) {
        return error_fail(error, KASO_ERROR_INVALID, "geometry %u/%u/%u is out of range", blk->cyls,
                          blk->heads, blk->secs);
    }
    return true;
}

static void enter_machine(void *opaque)
{
    machine_lock(opaque);
}

static void leave_machine(void *opaque)
{
    machine_unlock(opaque);
}

static bool join_thread(VirtioBlk *blk, GError **error)
{
    Machine *machine = virtio_machine(&blk->virtio);
    IoThread *thread;

    if (!blk->iothread) {
        return true;
    }
    thread = iothread_find(machine, blk->iothread, error);
    if (thread) {
        block_set_context(blk->drive, iothread_context(thread), enter_machine, leave_machine,
                          machine);
        blk->event = iothread_event_new(thread, run_in_thread, blk);
    }
    return thread != NULL;
}

static bool claim_drive(VirtioBlk *blk, GError **error)
{
    g_autofree char *path = device_path(&blk->virtio.pci.device);

    blk->claimed = block_claim(blk->drive, path, blk->share_rw, error);
    blk->original_writeback = blk->write_cache == ON_OFF_AUTO_AUTO
                                  ? block_write_cache(blk->drive)
                                  : blk->write_cache == ON_OFF_AUTO_ON;
    return blk->claimed;
}

static bool virtio_blk_realize(VirtioDevice *virtio, GError **error)
{
    VirtioBlk *blk = virtio_blk(virtio);

    if (blk->num_queues == QUEUE_COUNT_AUTO) {
        blk->num_queues = virtio->mmio ? 1 : CLAMP(virtio_machine(virtio)->config.vcpus, 1, 16);
    }
    if (!check_properties(blk, error) || !claim_drive(blk, error) || !join_thread(blk, error)) {
        return false;
    }
    if (!blk->max_discard_sectors || blk->max_discard_sectors > MAX_RANGE_SECTORS) {
        blk->max_discard_sectors = MAX_RANGE_SECTORS;
    }
    if (!blk->max_write_zeroes_sectors || blk->max_write_zeroes_sectors > MAX_RANGE_SECTORS) {
        blk->max_write_zeroes_sectors = MAX_RANGE_SECTORS;
    }
    fill_config(blk);
    for (unsigned i = 0; i < blk->num_queues; i++) {
        virtio_add_queue(virtio, blk->queue_size, virtio_blk_kick);
    }
    blk->listening = true;
    machine_add_event_listener(virtio_machine(virtio), on_event, blk);
    return true;
}

static void virtio_blk_unrealize(VirtioDevice *virtio)
{
    VirtioBlk *blk = virtio_blk(virtio);

    if (blk->listening) {
        machine_remove_event_listener(virtio_machine(virtio), on_event, blk);
        blk->listening = false;
    }
    if (blk->event) {
        iothread_event_free(blk->event);
        blk->event = NULL;
        block_set_context(blk->drive, NULL, NULL, NULL, NULL);
    }
    if (blk->claimed) {
        block_disclaim(blk->drive);
        blk->claimed = false;
    }
}

static const VirtioType virtio_blk_type = {
    .name = "virtio-blk",
    .virtio_id = 2,
    .transitional_pci_id = 0x1001,
    .pci_class = 0x010000,
    .config_size = CONFIG_SIZE,
    .realize = virtio_blk_realize,
    .unrealize = virtio_blk_unrealize,
    .features = virtio_blk_features,
    .reset = virtio_blk_reset,
    .status_changed = virtio_blk_status_changed,
    .state_loaded = virtio_blk_state_loaded,
    .drain = virtio_blk_drain,
    .config_read = virtio_blk_config_read,
    .config_written = virtio_blk_config_written,
};

#define FIELD(name) offsetof(VirtioBlk, name)

static const Property virtio_blk_properties[] = {
    { "drive", PROPERTY_DRIVE, FIELD(drive),
      "the disk: id of a -drive or node name of a -blockdev" },
    { "serial", PROPERTY_STRING, FIELD(serial), "serial number, up to 20 characters" },
    { "logical_block_size", PROPERTY_U32, FIELD(logical_block_size), "0: as the image", "0" },
    { "physical_block_size", PROPERTY_U32, FIELD(physical_block_size), "0: as the logical one",
      "0" },
    { "min_io_size", PROPERTY_U16, FIELD(min_io_size), "preferred smallest transfer, bytes", "0" },
    { "opt_io_size", PROPERTY_U32, FIELD(opt_io_size), "preferred transfer, bytes", "0" },
    { "discard_granularity", PROPERTY_U32, FIELD(discard_granularity),
      "smallest discard, bytes; 0: a logical block", "0" },
    { "num-queues", PROPERTY_U16, FIELD(num_queues), "queues; unset: one for each vCPU (PCI)",
      "65535" },
    { "queue-size", PROPERTY_U16, FIELD(queue_size), "descriptors of a queue", "256" },
    { "werror", PROPERTY_ENUM, FIELD(werror), "what to do when a write fails", "auto",
      policy_names },
    { "rerror", PROPERTY_ENUM, FIELD(rerror), "what to do when a read fails", "auto",
      policy_names },
    { "write-cache", PROPERTY_ON_OFF_AUTO, FIELD(write_cache),
      "off: each write is durable; auto: as the drive's cache=", "auto" },
    { "config-wce", PROPERTY_BOOL, FIELD(config_wce), "the driver may switch the cache", "on" },
    { "discard", PROPERTY_BOOL, FIELD(discard), "offer discard", "on" },
    { "write-zeroes", PROPERTY_BOOL, FIELD(write_zeroes), "offer write zeroes", "on" },
    { "max-discard-sectors", PROPERTY_U32, FIELD(max_discard_sectors), "0: 4194304", "0" },
    { "max-write-zeroes-sectors", PROPERTY_U32, FIELD(max_write_zeroes_sectors), "0: 4194304",
      "0" },
    { "cyls", PROPERTY_U32, FIELD(cyls), "cylinders; 0: computed", "0" },
    { "heads", PROPERTY_U32, FIELD(heads), "heads; 0: 16", "0" },
    { "secs", PROPERTY_U32, FIELD(secs), "sectors of a track; 0: 63", "0" },
    { "bootindex", PROPERTY_I32, FIELD(bootindex), "place in the firmware's boot order", "-1" },
    { "share-rw", PROPERTY_BOOL, FIELD(share_rw), "others (devices, exports) may write to the disk",
      "off" },
    { "scsi", PROPERTY_BOOL, FIELD(scsi), "SCSI commands, which virtio 1 does not have: off",
      "off" },
    { "request-merging", PROPERTY_BOOL, FIELD(request_merging), "accepted; has no effect", "on" },
    { "seg-max-adjust", PROPERTY_BOOL, FIELD(seg_max_adjust),
      "buffers of a request: as many as a queue has room for; off: 126", "on" },
    { "report-discard-granularity", PROPERTY_BOOL, FIELD(report_discard_granularity),
      "off: discard_granularity= is not shown to the guest", "on" },
    { "iothread", PROPERTY_STRING, FIELD(iothread), "the -object iothread that takes its queues" },
    { 0 },
};

static const StateField virtio_blk_state[] = { VIRTIO_STATE, STATE(VirtioBlk, writeback), { 0 } };

VIRTIO_DEVICE_TYPES(virtio_blk, "virtio-blk", VirtioBlk, "Virtio block device", "storage");
