/* SPDX-License-Identifier: MIT */
/*
 * USB attached SCSI: tasks, from a command to its status. Data go straight between the image and the controller's memory when the packet is
 * there before the command and has room for all; else a buffer stands in between.
 */
#include <string.h>

#include "base/bits.h"
#include "hw/usb/usb-uas.h"

enum {
    BUFFERS_MOST = 64 << 20, /* of all commands */
    STATUS_FULL = 0x28,      /* TASK SET FULL */
    SENSE_HEADER = 16,

    UNIT_SENSE = 3,
    UNIT_RESPONSE = 4,
    UNIT_READ_READY = 6,
    UNIT_WRITE_READY = 7,
};

/* Tasks. */

UasTask *uas_find_task(Uas *s, uint16_t tag)
{
    for (unsigned i = 0; i < UAS_TASKS; i++) {
        if (s->tasks[i].phase != UAS_FREE && s->tasks[i].tag == tag) {
            return &s->tasks[i];
        }
    }
    return NULL;
}

UasTask *uas_new_task(Uas *s, uint16_t tag)
{
    for (unsigned i = 0; i < UAS_TASKS; i++) {
        if (s->tasks[i].phase == UAS_FREE) {
            s->tasks[i] = (UasTask){ .phase = UAS_RESPONDS, .tag = tag, .order = s->order++ };
            return &s->tasks[i];
        }
    }
    return NULL;
}

void uas_drop_buffer(UasTask *task)
{
    g_clear_pointer(&task->buffer, g_free);
    task->buffer_size = task->at = 0;
}

void uas_let_go(UasTask *task)
{
    UasRequest *request = task->request;
    uint64_t tag;

    task->request = NULL;
    if (!request) {
        return;
    }
    tag = request->scsi.tag;
    request->task = UAS_NO_TASK;
    if (!task->direct) {
        request->buffer = g_steal_pointer(&task->buffer);
        task->buffer_size = 0;
    }
    task->direct = NULL;
    if (request->scsi.drive) {
        scsi_drive_abort(request->scsi.drive, &tag, SCSI_ABORTED);
    }
}

void uas_free_task(UasTask *task)
{
    uas_let_go(task);
    uas_drop_buffer(task);
    *task = (UasTask){ 0 };
}

void uas_respond(UasTask *task, uint8_t response)
{
    uas_let_go(task);
    uas_drop_buffer(task);
    task->phase = UAS_RESPONDS;
    task->response = response;
}

void uas_end_with_sense(UasTask *task, uint8_t key, uint8_t code)
{
    enum { CURRENT_FIXED = 0x70, ADDITIONAL = 10 };

    memset(task->sense, 0, sizeof task->sense);
    task->sense[0] = CURRENT_FIXED;
    task->sense[2] = key;
    task->sense[7] = ADDITIONAL;
    task->sense[12] = code;
    task->sense_size = sizeof task->sense;
    task->status = SCSI_CHECK_CONDITION;
    task->phase = UAS_ENDS;
}

/* Requests. */

static void unlink_request(UasRequest *request)
{
    UasRequest **at = &request->uas->requests;

    while (*at != request) {
        at = &(*at)->next;
    }
    *at = request->next;
}

bool uas_any_let_go(const Uas *s)
{
    for (const UasRequest *r = s->requests; r; r = r->next) {
        if (r->task == UAS_NO_TASK) {
            return true;
        }
    }
    return false;
}

/* Its packet goes back at once: what was read is in it, what was written has been taken from it. */
static void finish_direct(Uas *s, UasTask *task, uint32_t moved)
{
    UsbPacket *packet = task->direct;
    UasPipe pipe = task->direction == SCSI_TO_HOST ? UAS_PIPE_IN : UAS_PIPE_OUT;

    task->direct = NULL;
    if (pipe == UAS_PIPE_IN && task->status != SCSI_GOOD && !moved) {
        return; /* no data: the driver takes the packet back */
    }
    s->packets[pipe][packet->stream] = NULL;
    packet->moved = pipe == UAS_PIPE_IN ? moved : task->length;
    usb_packet_finish(packet, USB_DONE);
}

static void take_result(Uas *s, UasTask *task, const ScsiRequest *r)
{
    uint32_t moved = (uint32_t)MIN(r->moved, task->length);
    bool good = r->outcome == SCSI_ENDED && r->status == SCSI_GOOD;

    task->request = NULL;
    task->phase = UAS_ENDS;
    task->status = r->status;
    task->sense_size = r->sense_size;
    memcpy(task->sense, r->sense, sizeof task->sense);
    if (r->outcome == SCSI_OVERRUN) {
        uas_end_with_sense(task, SCSI_ILLEGAL_REQUEST, UAS_INVALID_FIELD);
    } else if (r->outcome != SCSI_ENDED) {
        uas_free_task(task); /* a reset of its unit: the driver that asked for it knows */
        return;
    }
    if (task->direct) {
        finish_direct(s, task, moved);
    } else if (task->direction == SCSI_TO_HOST && (good || moved)) {
        task->phase = UAS_DELIVERS;
        task->buffer_size = moved;
        task->at = 0;
    } else {
        uas_drop_buffer(task);
    }
}

static void request_done(ScsiRequest *r)
{
    UasRequest *request = container_of(r, UasRequest, scsi);
    Uas *s = request->uas;

    if (s) {
        unlink_request(request);
        if (request->task != UAS_NO_TASK) {
            take_result(s, &s->tasks[request->task], r);
        }
        uas_pump(s);
    }
    g_free(request->buffer);
    g_free(request->iov);
    g_free(request);
}

/* As much of the memory as the command moves. */
static unsigned copy_pieces(struct iovec *to, const struct iovec *from, unsigned count,
                            uint32_t length)
{
    unsigned used = 0;

    for (; used < count && length; used++) {
        to[used] = (struct iovec){ from[used].iov_base, MIN(from[used].iov_len, length) };
        length -= (uint32_t)to[used].iov_len;
    }
    return used;
}

static UasRequest *new_request(Uas *s, UasTask *task, const struct iovec *iov, unsigned count)
{
    UasRequest *request = g_new0(UasRequest, 1);
    ScsiRequest *r = &request->scsi;

    request->uas = s;
    request->task = (unsigned)(task - s->tasks);
    request->iov = g_new(struct iovec, count + 1);
    count = copy_pieces(request->iov, iov, count, task->length);
    memcpy(r->cdb, task->cdb, sizeof r->cdb);
    r->tag = s->next_tag++;
    r->done = request_done;
    if (task->direction == SCSI_TO_HOST) {
        r->in = request->iov;
        r->in_count = (uint16_t)count;
        r->in_bytes = task->length;
    } else if (task->direction == SCSI_FROM_HOST) {
        r->out = request->iov;
        r->out_count = (uint16_t)count;
        r->out_bytes = task->length;
    }
    request->next = s->requests;
    s->requests = request;
    task->request = request;
    task->phase = UAS_RUNS;
    return request;
}

static void run(Uas *s, UasTask *task, const struct iovec *iov, unsigned count)
{
    unsigned lun = task->lun;
    UasRequest *request = new_request(s, task, iov, count);

    scsi_request_start(&s->scsi, 0, lun, &request->scsi);
    scsi_bus_deliver(&s->scsi); /* what the host has in memory is here at once */
}

void uas_run_on_buffer(Uas *s, UasTask *task)
{
    struct iovec iov = { task->buffer, task->buffer_size };

    task->direct = NULL;
    run(s, task, &iov, task->buffer ? 1 : 0);
}

static void run_on_packet(Uas *s, UasTask *task, UsbPacket *packet)
{
    task->direct = packet;
    run(s, task, packet->iov, packet->iov_count);
}

void uas_run_later(Uas *s, UasTask *task)
{
    struct iovec iov = { task->buffer, task->buffer_size };
    UasRequest *request = new_request(s, task, &iov, task->buffer ? 1 : 0);

    scsi_request_start_later(&s->scsi, 0, task->lun, &request->scsi);
}

/* Data. */

static uint64_t buffered(const Uas *s)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < UAS_TASKS; i++) {
        bytes += s->tasks[i].buffer_size;
    }
    return bytes;
}

bool uas_make_buffer(Uas *s, UasTask *task)
{
    if (buffered(s) + task->length > BUFFERS_MOST) {
        task->status = STATUS_FULL;
        task->phase = UAS_ENDS;
        return false;
    }
    task->buffer = g_malloc0(task->length);
    task->buffer_size = task->length;
    task->at = 0;
    return true;
}

void uas_read_now(Uas *s, UasTask *task)
{
    UsbPacket *packet = uas_has_streams(s) ? s->packets[UAS_PIPE_IN][task->tag] : NULL;

    if (packet && packet->size >= task->length) {
        run_on_packet(s, task, packet);
    } else if (uas_make_buffer(s, task)) {
        uas_run_on_buffer(s, task);
    }
}

void uas_write_when_there(Uas *s, UasTask *task)
{
    UsbPacket *packet = uas_has_streams(s) ? s->packets[UAS_PIPE_OUT][task->tag] : NULL;

    if (packet && packet->size >= task->length) {
        run_on_packet(s, task, packet);
    } else if (uas_make_buffer(s, task)) {
        task->phase = UAS_COLLECTS;
    }
}

UasTask *uas_task_of_data(Uas *s, UasPipe pipe, unsigned stream)
{
    UasPhase phase = pipe == UAS_PIPE_IN ? UAS_DELIVERS : UAS_COLLECTS;

    for (unsigned i = 0; i < UAS_TASKS; i++) {
        UasTask *task = &s->tasks[i];

        if (task->phase == (uint8_t)phase &&
            (uas_has_streams(s) ? task->tag == stream : task->announced)) {
            return task;
        }
    }
    return NULL;
}

void uas_give_data(UasTask *task, UsbPacket *packet)
{
    uint32_t size = MIN(packet->size, task->buffer_size - task->at);

    usb_packet_put(packet, task->buffer + task->at, size);
    task->at += size;
    if (size < packet->size || task->at == task->buffer_size) {
        uas_drop_buffer(task);
        task->announced = 0;
        task->phase = UAS_ENDS;
    }
}

void uas_take_data(Uas *s, UasTask *task, UsbPacket *packet)
{
    task->at += usb_packet_take(packet, task->buffer + task->at, task->length - task->at);
    if (task->at == task->length) {
        task->announced = 0;
        uas_run_on_buffer(s, task);
    }
}

/* Information units for the host. */

/* Of the commands whose data go one way, one is announced at a time, so nobody mistakes whose they are. */
static bool may_announce(const Uas *s, const UasTask *task)
{
    if (uas_has_streams(s) || task->announced) {
        return false;
    }
    for (unsigned i = 0; i < UAS_TASKS; i++) {
        if (s->tasks[i].announced && s->tasks[i].phase == task->phase) {
            return false;
        }
    }
    return true;
}

static bool has_unit(const Uas *s, const UasTask *task)
{
    switch (task->phase) {
    case UAS_ENDS:
    case UAS_RESPONDS:
        return true;
    case UAS_COLLECTS:
    case UAS_DELIVERS:
        return may_announce(s, task);
    }
    return false;
}

UasTask *uas_task_of_status(Uas *s, unsigned stream)
{
    UasTask *found = NULL;

    for (unsigned i = 0; i < UAS_TASKS; i++) {
        UasTask *task = &s->tasks[i];

        if (has_unit(s, task) && uas_stream_of(s, task) == stream &&
            (!found || (int32_t)(task->order - found->order) < 0)) {
            found = task;
        }
    }
    return found;
}

void uas_give_unit(Uas *s, UasTask *task, UsbPacket *packet)
{
    uint8_t bytes[SENSE_HEADER + SCSI_SENSE_SIZE] = { 0 };
    uint32_t size = 4;

    store_be16(bytes + 2, task->tag);
    switch (task->phase) {
    case UAS_ENDS:
        bytes[0] = UNIT_SENSE;
        bytes[6] = task->status;
        store_be16(bytes + 14, task->sense_size);
        memcpy(bytes + SENSE_HEADER, task->sense, sizeof task->sense);
        size = SENSE_HEADER + task->sense_size;
        break;
    case UAS_RESPONDS:
        bytes[0] = UNIT_RESPONSE;
        bytes[7] = task->response;
        size = 8;
        break;
    default:
        bytes[0] = task->phase == UAS_DELIVERS ? UNIT_READ_READY : UNIT_WRITE_READY;
        task->announced = 1;
    }
    usb_packet_put(packet, bytes, size);
    if (task->phase == UAS_ENDS || task->phase == UAS_RESPONDS) {
        uas_free_task(task);
    }
}
