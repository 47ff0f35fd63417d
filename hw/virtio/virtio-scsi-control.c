/* SPDX-License-Identifier: MIT */
/* Virtio SCSI host: task management and events (Virtio 1.2, 5.6.6.2 and 5.6.6.3). */
#include <string.h>

#include "hw/virtio/virtio-scsi.h"
#include "machine/machine.h"

enum {
    S_FUNCTION_SUCCEEDED = 10,
    S_FUNCTION_REJECTED = 11,
    S_INCORRECT_LUN = 12,

    /* Task management. */
    T_TMF = 0,
    T_AN_QUERY = 1,
    T_AN_SUBSCRIBE = 2,
    TMF_KIND = 4,
    TMF_LUN = 8,
    TMF_ID = 16,
    TMF_SIZE = 24,
    AN_SIZE = 16,
    TMF_ABORT_TASK = 0,
    TMF_ABORT_TASK_SET = 1,
    TMF_CLEAR_TASK_SET = 3,
    TMF_I_T_NEXUS_RESET = 4,
    TMF_LOGICAL_UNIT_RESET = 5,
    TMF_QUERY_TASK = 6,
    TMF_QUERY_TASK_SET = 7,

    EVENT_TRANSPORT_RESET = 1,
    EVENT_PARAM_CHANGE = 3,
    EVENTS_MISSED = 1u << 31,
    REASON_RESCAN = 1,
    REASON_REMOVED = 2,
    /* Additional sense code, and its qualifier in the high byte. */
    MEDIUM_MAY_HAVE_CHANGED = 0x28,
    CAPACITY_DATA_HAS_CHANGED = 0x092a,
};

struct VirtioScsiFunction {
    VirtioElement *element;
    VirtioScsiFunction *next;
    uint8_t data[TMF_SIZE];
    uint8_t response;
};

/* Task management (5.6.6.2) */

/* The next unit that a function is about: one, or all of a target; NULL: no more. */
static ScsiDrive *next_unit(VirtioScsi *scsi, const uint8_t *data, unsigned *at)
{
    unsigned target, lun;
    bool all = load_le32(data + TMF_KIND) == TMF_I_T_NEXUS_RESET;
    const GPtrArray *devices = scsi->bus.bus.devices;

    virtio_scsi_get_unit(data + TMF_LUN, &target, &lun);
    while (*at < devices->len) {
        ScsiDrive *drive = container_of((Device *)devices->pdata[(*at)++], ScsiDrive, device);

        if (drive->device.realized && drive->target == target && (all || drive->lun == lun)) {
            return drive;
        }
    }
    return NULL;
}

static void run_on_unit(ScsiDrive *drive, uint32_t kind, const uint64_t *tag, uint8_t *response)
{
    switch (kind) {
    case TMF_ABORT_TASK:
        scsi_drive_abort(drive, tag, SCSI_ABORTED);
        break;
    case TMF_ABORT_TASK_SET:
    case TMF_CLEAR_TASK_SET:
        scsi_drive_abort(drive, NULL, SCSI_ABORTED);
        break;
    case TMF_I_T_NEXUS_RESET:
    case TMF_LOGICAL_UNIT_RESET:
        scsi_drive_reset(drive);
        break;
    case TMF_QUERY_TASK:
    case TMF_QUERY_TASK_SET:
        if (scsi_drive_has_request(drive, kind == TMF_QUERY_TASK ? tag : NULL)) {
            *response = S_FUNCTION_SUCCEEDED;
        }
        break;
    default: /* CLEAR ACA among them: no unit establishes that condition */
        *response = S_FUNCTION_REJECTED;
    }
}

static uint8_t run_function(VirtioScsi *scsi, const uint8_t *data)
{
    unsigned target, lun, at = 0;
    uint64_t tag = load_le64(data + TMF_ID);
    uint8_t response = VIRTIO_SCSI_S_OK;
    ScsiDrive *drive = NULL;

    if (!virtio_scsi_get_unit(data + TMF_LUN, &target, &lun) ||
        !scsi_bus_has_target(&scsi->bus, target)) {
        return VIRTIO_SCSI_S_BAD_TARGET;
    }
    drive = next_unit(scsi, data, &at);
    if (!drive) {
        return S_INCORRECT_LUN;
    }
    for (; drive; drive = next_unit(scsi, data, &at)) {
        run_on_unit(drive, load_le32(data + TMF_KIND), &tag, &response);
    }
    return response;
}

/* Whether a function has ended requests that still wait for an image. */
static bool is_waiting(VirtioScsi *scsi, const VirtioScsiFunction *function)
{
    const uint8_t *data = function->data;
    uint64_t tag = load_le64(data + TMF_ID);
    bool one = load_le32(data + TMF_KIND) == TMF_ABORT_TASK;
    unsigned at = 0;

    for (ScsiDrive *drive; (drive = next_unit(scsi, data, &at));) {
        if (scsi_drive_is_aborting(drive, one ? &tag : NULL)) {
            return true;
        }
    }
    return false;
}

void virtio_scsi_settle(VirtioScsi *scsi)
{
    VirtioScsiFunction **link = &scsi->functions;

    while (*link) {
        VirtioScsiFunction *function = *link;

        if (is_waiting(scsi, function)) {
            link = &function->next;
            continue;
        }
        *link = function->next;
        iovec_from_buffer(function->element->in, function->element->in_count, 0,
                          &function->response, 1);
        virtio_scsi_return(function->element, 1);
        g_free(function);
    }
}

void virtio_scsi_forget_functions(VirtioScsi *scsi)
{
    while (scsi->functions) {
        VirtioScsiFunction *function = scsi->functions;

        scsi->functions = function->next;
        virtqueue_free_element(function->element);
        g_free(function);
    }
}

/* The control queue */

static void start_function(VirtioScsi *scsi, VirtioElement *e, const uint8_t *data)
{
    VirtioScsiFunction *function = g_new0(VirtioScsiFunction, 1);

    function->element = e;
    memcpy(function->data, data, TMF_SIZE);
    function->response = run_function(scsi, data);
    function->next = scsi->functions;
    scsi->functions = function;
    virtio_scsi_settle(scsi);
}

bool virtio_scsi_take_control(VirtQueue *queue, VirtioElement *e)
{
    enum { EVENT_ACTUAL = 4, AN_RESPONSE = 5 };
    VirtioScsi *scsi = virtio_scsi(queue->virtio);
    uint8_t data[TMF_SIZE] = { 0 };
    size_t got = iovec_to_buffer(e->out, e->out_count, 0, data, sizeof data);
    uint32_t type = load_le32(data);

    if (type == T_TMF && got >= TMF_SIZE && e->in_bytes >= 1) {
        start_function(scsi, e, data);
        return true;
    }
    if ((type == T_AN_QUERY || type == T_AN_SUBSCRIBE) && got >= AN_SIZE &&
        e->in_bytes >= AN_RESPONSE) {
        uint8_t answer[AN_RESPONSE] = { [EVENT_ACTUAL] = VIRTIO_SCSI_S_OK }; /* of no event */

        iovec_from_buffer(e->in, e->in_count, 0, answer, sizeof answer);
        virtio_scsi_return(e, sizeof answer);
        return true;
    }
    virtio_fail(queue->virtio,
                "control request of type %u with %zu bytes and %" PRIu64 " to answer", type, got,
                e->in_bytes);
    virtqueue_free_element(e);
    return false;
}

void virtio_scsi_kick_control(VirtQueue *queue)
{
    virtqueue_process(queue, virtio_scsi_take_control);
}

static void put_unit(uint8_t *address, const ScsiDrive *drive)
{
    enum { FIRST = 1, FLAT = 0x4000 };

    memset(address, 0, 8);
    address[0] = FIRST;
    address[1] = drive->target;
    store_be16(address + 2, drive->lun | FLAT);
}

/* Events (5.6.6.3): the driver keeps buffers in the queue, which one takes when something happens. */

static void send_event(VirtioScsi *scsi, const ScsiDrive *drive, uint32_t event, uint32_t reason)
{
    VirtQueue *queue = virtio_queue(&scsi->virtio, VIRTIO_SCSI_EVENT_QUEUE);
    uint8_t data[VIRTIO_SCSI_EVENT_SIZE] = { 0 };
    VirtioElement *e;

    if (!virtio_running(&scsi->virtio) || !queue->state->enabled) {
        return;
    }
    e = virtqueue_pop(queue);
    if (!e) {
        scsi->events_missed = true;
        return;
    }
    store_le32(data, event | (scsi->events_missed ? EVENTS_MISSED : 0));
    scsi->events_missed = false;
    if (drive) {
        put_unit(data + 4, drive);
    }
    store_le32(data + 12, reason);
    virtqueue_push(e, iovec_from_buffer(e->in, e->in_count, 0, data, sizeof data));
    virtqueue_notify(queue);
}

void virtio_scsi_kick_event(VirtQueue *queue)
{
    VirtioScsi *scsi = virtio_scsi(queue->virtio);

    if (scsi->events_missed) {
        send_event(scsi, NULL, 0, 0);
    }
}

void virtio_scsi_unit_changed(ScsiBus *bus, ScsiDrive *drive, ScsiChange change)
{
    VirtioScsi *scsi = container_of(bus, VirtioScsi, bus);
    bool hotplug = virtio_has_feature(&scsi->virtio, VIRTIO_SCSI_F_HOTPLUG);
    bool parameters = virtio_has_feature(&scsi->virtio, VIRTIO_SCSI_F_CHANGE);

    if (change == SCSI_CHANGE_MEDIUM && parameters) {
        send_event(scsi, drive, EVENT_PARAM_CHANGE, MEDIUM_MAY_HAVE_CHANGED);
    } else if (change == SCSI_CHANGE_SIZE && parameters) {
        send_event(scsi, drive, EVENT_PARAM_CHANGE, CAPACITY_DATA_HAS_CHANGED);
    } else if (change == SCSI_CHANGE_ADDED && hotplug) {
        send_event(scsi, drive, EVENT_TRANSPORT_RESET, REASON_RESCAN);
    } else if (change == SCSI_CHANGE_REMOVED && hotplug) {
        send_event(scsi, drive, EVENT_TRANSPORT_RESET, REASON_REMOVED);
    }
}
