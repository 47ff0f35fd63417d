/* SPDX-License-Identifier: MIT */
/*
 * USB attached SCSI (T10/2095-D, UAS): many commands at a time for the units of a SCSI bus, over four pipes. At super speed each command's
 * status and data have the stream that its tag names; at other speeds READ READY and WRITE READY say whose data are next.
 *
 * Not modelled: priorities, and attributes of the order in which commands are done.
 */
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "hw/usb/usb-uas.h"
#include "machine/machine.h"

enum {
    LUN_MAX = 255,
    COMMAND_BYTES = 32,
    MANAGEMENT_BYTES = 16,
    UNIT_COMMAND = 1,
    UNIT_MANAGEMENT = 5,

    RESPONSE_COMPLETE = 0,
    RESPONSE_INVALID = 2,
    RESPONSE_NOT_SUPPORTED = 4,
    RESPONSE_SUCCEEDED = 8,
    RESPONSE_NO_UNIT = 9,
    RESPONSE_OVERLAPPED = 10,

    ABORT_TASK = 0x01,
    ABORT_TASK_SET = 0x02,
    CLEAR_TASK_SET = 0x04,
    RESET_UNIT = 0x08,
    RESET_NEXUS = 0x10,
    QUERY_TASK = 0x80,
    QUERY_TASK_SET = 0x81,
    QUERY_EVENTS = 0x82,
};

static Uas *uas_of(UsbDevice *usb)
{
    return container_of(usb, Uas, usb);
}

/* Commands. */

static unsigned get_lun(const uint8_t *address)
{
    enum { FLAT = 0x4000, NUMBER = 0x3fff };
    unsigned first = load_be16(address);

    return first & FLAT ? first & NUMBER : first;
}

static void begin_command(Uas *s, UasTask *task, const uint8_t *bytes)
{
    uint64_t length;
    ScsiDrive *drive;

    task->lun = (uint16_t)get_lun(bytes + 8);
    memcpy(task->cdb, bytes + 16, SCSI_CDB);
    drive = scsi_bus_find(&s->scsi, 0, task->lun);
    task->direction = (uint8_t)scsi_data(drive ? &drive->unit : NULL, task->cdb, &length);
    if (length > UAS_COMMAND_MOST) {
        log_guest_error(s->usb.device.id, "a command of more than 16 MiB");
        uas_end_with_sense(task, SCSI_ILLEGAL_REQUEST, UAS_INVALID_FIELD);
        return;
    }
    task->length = (uint32_t)length;
    if (task->direction == SCSI_TO_HOST) {
        uas_read_now(s, task);
    } else if (task->direction == SCSI_FROM_HOST) {
        uas_write_when_there(s, task);
    } else {
        uas_run_on_buffer(s, task);
    }
}

/* Management: of one task, of all of a unit, or of all. */

static bool is_meant(const UasTask *task, const UasTask *by, unsigned function, uint16_t tag)
{
    if (task == by || task->phase == UAS_FREE || task->phase == UAS_MANAGES ||
        task->phase == UAS_RESPONDS) {
        return false;
    }
    switch (function) {
    case ABORT_TASK:
    case QUERY_TASK:
        return task->tag == tag && task->lun == by->lun;
    case RESET_NEXUS:
        return true;
    }
    return task->lun == by->lun;
}

static bool query(const Uas *s, const UasTask *by, unsigned function, uint16_t tag)
{
    for (unsigned i = 0; i < UAS_TASKS; i++) {
        if (is_meant(&s->tasks[i], by, function, tag)) {
            return true;
        }
    }
    return false;
}

static void abort_tasks(Uas *s, const UasTask *by, unsigned function, uint16_t tag)
{
    ScsiDrive *drive = scsi_bus_find(&s->scsi, 0, by->lun);

    for (unsigned i = 0; i < UAS_TASKS; i++) {
        if (is_meant(&s->tasks[i], by, function, tag)) {
            uas_free_task(&s->tasks[i]);
        }
    }
    if (function == RESET_UNIT && drive) {
        scsi_drive_reset(drive);
    } else if (function == RESET_NEXUS) {
        scsi_bus_reset(&s->scsi);
    }
}

static void manage(Uas *s, UasTask *task, const uint8_t *bytes)
{
    unsigned function = bytes[4];
    uint16_t tag = load_be16(bytes + 6);

    task->lun = (uint16_t)get_lun(bytes + 8);
    task->phase = UAS_RESPONDS;
    if (function != RESET_NEXUS && !scsi_bus_find(&s->scsi, 0, task->lun)) {
        task->response = RESPONSE_NO_UNIT;
        return;
    }
    switch (function) {
    case ABORT_TASK:
    case ABORT_TASK_SET:
    case CLEAR_TASK_SET:
    case RESET_UNIT:
    case RESET_NEXUS:
        task->response = RESPONSE_COMPLETE;
        task->phase = UAS_MANAGES; /* until the image has let go of the driver's memory */
        abort_tasks(s, task, function, tag);
        break;
    case QUERY_TASK:
    case QUERY_TASK_SET:
        task->response = query(s, task, function, tag) ? RESPONSE_SUCCEEDED : RESPONSE_COMPLETE;
        break;
    case QUERY_EVENTS:
        task->response = RESPONSE_COMPLETE;
        break;
    default:
        task->response = RESPONSE_NOT_SUPPORTED;
    }
}

static UsbStatus refuse(Uas *s, const char *why)
{
    log_guest_error(s->usb.device.id, "%s", why);
    return USB_STALL;
}

static UsbStatus take_unit(Uas *s, UsbPacket *packet)
{
    uint8_t bytes[COMMAND_BYTES];
    uint32_t size = usb_packet_take(packet, bytes, sizeof bytes);
    uint16_t tag = load_be16(bytes + 2);
    UasTask *task;

    if (size < 4 || (uas_has_streams(s) && (tag < 1 || tag > UAS_TASKS))) {
        return refuse(s, "an information unit without a tag that could be answered");
    }
    packet->moved = packet->size; /* the rest of the unit says nothing more */
    task = uas_find_task(s, tag);
    if (task) {
        uas_respond(task, RESPONSE_OVERLAPPED);
        return USB_DONE;
    }
    task = uas_new_task(s, tag);
    if (!task) {
        s->refused = 1;
        return USB_NAK;
    }
    if (bytes[0] == UNIT_COMMAND && size == COMMAND_BYTES) {
        begin_command(s, task, bytes);
    } else if (bytes[0] == UNIT_MANAGEMENT && size >= MANAGEMENT_BYTES) {
        manage(s, task, bytes);
    } else {
        uas_respond(task, RESPONSE_INVALID);
    }
    return USB_DONE;
}

/* Packets. */

/* Whether something was done with the packet, which is over then. */
static bool serve(Uas *s, UasPipe pipe, UsbPacket *packet)
{
    UasTask *task = pipe == UAS_PIPE_STATUS ? uas_task_of_status(s, packet->stream)
                                            : uas_task_of_data(s, pipe, packet->stream);

    if (!task) {
        return false;
    }
    if (pipe == UAS_PIPE_STATUS) {
        uas_give_unit(s, task, packet);
    } else if (pipe == UAS_PIPE_IN) {
        uas_give_data(task, packet);
    } else {
        uas_take_data(s, task, packet);
    }
    return true;
}

static bool serve_pipe(Uas *s, UasPipe pipe)
{
    bool any = false;

    for (unsigned stream = 0; stream <= UAS_TASKS; stream++) {
        UsbPacket *packet = s->packets[pipe][stream];

        if (packet && serve(s, pipe, packet)) {
            s->packets[pipe][stream] = NULL;
            usb_packet_finish(packet, USB_DONE);
            any = true;
        }
    }
    return any;
}

/* What was aborted has ended, so management may say so. */
static bool end_management(Uas *s)
{
    bool any = false;

    for (unsigned i = 0; i < UAS_TASKS && !uas_any_let_go(s); i++) {
        if (s->tasks[i].phase == UAS_MANAGES) {
            s->tasks[i].phase = UAS_RESPONDS;
            any = true;
        }
    }
    return any;
}

/* A command that found no room is taken when there is some. */
static void take_refused(Uas *s)
{
    for (unsigned i = 0; i < UAS_TASKS && s->refused; i++) {
        if (s->tasks[i].phase == UAS_FREE) {
            s->refused = 0;
            usb_ready(&s->usb, UAS_PIPE_COMMAND);
        }
    }
}

void uas_pump(Uas *s)
{
    bool any = !s->pumping;

    if (s->pumping) {
        return; /* a request that ended at once, in here: the loop below sees it */
    }
    s->pumping = true;
    while (any) {
        any = end_management(s);
        any |= serve_pipe(s, UAS_PIPE_OUT);
        any |= serve_pipe(s, UAS_PIPE_IN);
        any |= serve_pipe(s, UAS_PIPE_STATUS);
    }
    s->pumping = false;
    take_refused(s);
}

/* A read that waits for its memory begins: by way of a buffer, since the packet is not pending yet. */
static void read_wanted(Uas *s, unsigned stream)
{
    for (unsigned i = 0; i < UAS_TASKS; i++) {
        UasTask *task = &s->tasks[i];

        if (task->phase == UAS_WANTS && uas_stream_of(s, task) == stream &&
            uas_make_buffer(s, task)) {
            uas_run_on_buffer(s, task);
        }
    }
}

static UsbStatus keep(Uas *s, UasPipe pipe, UsbPacket *packet)
{
    UsbPacket **place;

    if (uas_has_streams(s) ? packet->stream < 1 || packet->stream > UAS_TASKS
                           : packet->stream != 0) {
        return refuse(s, "a packet of a stream that the device does not have");
    }
    place = &s->packets[pipe][packet->stream];
    if (*place) {
        return USB_NAK;
    }
    if (pipe == UAS_PIPE_IN) {
        read_wanted(s, packet->stream);
    }
    if (serve(s, pipe, packet)) {
        uas_pump(s);
        return USB_DONE;
    }
    *place = packet;
    return USB_PENDING;
}

static UsbStatus uas_transfer(UsbDevice *usb, UsbPacket *packet)
{
    Uas *s = uas_of(usb);
    UsbStatus status;

    if (packet->endpoint != UAS_PIPE_COMMAND) {
        return keep(s, (UasPipe)packet->endpoint, packet);
    }
    status = take_unit(s, packet);
    uas_pump(s);
    return status;
}

/* A read that worked on its memory begins anew when the packet comes again; a write takes the data anew. */
static void uas_cancel(UsbDevice *usb, UsbPacket *packet)
{
    Uas *s = uas_of(usb);

    if (s->packets[packet->endpoint][packet->stream] != packet) {
        return;
    }
    s->packets[packet->endpoint][packet->stream] = NULL;
    for (unsigned i = 0; i < UAS_TASKS; i++) {
        UasTask *task = &s->tasks[i];

        if (task->direct == packet) {
            uas_let_go(task);
            task->phase = UAS_WANTS;
            if (task->direction == SCSI_FROM_HOST) {
                uas_write_when_there(s, task);
            }
        }
    }
}

/* Life. */

static void forget_all(Uas *s)
{
    memset(s->packets, 0, sizeof s->packets);
    for (unsigned i = 0; i < UAS_TASKS; i++) {
        uas_let_go(&s->tasks[i]);
        uas_drop_buffer(&s->tasks[i]);
        s->tasks[i] = (UasTask){ 0 };
    }
    s->refused = 0;
    s->order = 0;
}

static void uas_reset(UsbDevice *usb)
{
    forget_all(uas_of(usb));
    uas_of(usb)->next_tag = 0;
}

static bool uas_realize(UsbDevice *usb, GError **error)
{
    static const ScsiHost host = { .max_lun = LUN_MAX };
    g_autofree char *name = g_strdup_printf("%s.0", usb->device.id);

    scsi_bus_init(&uas_of(usb)->scsi, &usb->device, name, &host);
    return true;
}

static void uas_unrealize(UsbDevice *usb)
{
    Uas *s = uas_of(usb);

    forget_all(s);
    for (UasRequest *r = s->requests; r; r = r->next) {
        r->uas = NULL;
    }
    s->requests = NULL;
}

/* Begins again what the image had not answered: when the machine goes on, or when the driver's packet comes again. */
static void run_again(Uas *s, UasTask *task)
{
    if (task->direction == SCSI_TO_HOST) {
        uas_drop_buffer(task);
        if (uas_has_streams(s)) {
            task->phase = UAS_WANTS;
            return;
        }
        if (!uas_make_buffer(s, task)) {
            return;
        }
    } else if (task->direction == SCSI_FROM_HOST && !task->buffer) {
        uas_write_when_there(s, task);
        return;
    }
    uas_run_later(s, task);
}

static void uas_state_loaded(UsbDevice *usb)
{
    Uas *s = uas_of(usb);

    memset(s->packets, 0, sizeof s->packets);
    for (UasRequest *r = s->requests; r; r = r->next) {
        r->task = UAS_NO_TASK;
    }
    for (unsigned i = 0; i < UAS_TASKS; i++) {
        s->tasks[i].request = NULL;
        s->tasks[i].direct = NULL;
        if (s->tasks[i].phase == UAS_RUNS) {
            run_again(s, &s->tasks[i]);
        }
    }
}

static bool task_fits(const Uas *s, const UasTask *task)
{
    bool whole = task->buffer_size == task->length;

    if (uas_has_streams(s) && task->phase != UAS_FREE && (task->tag < 1 || task->tag > UAS_TASKS)) {
        return false;
    }
    if (task->length > UAS_COMMAND_MOST || task->at > task->buffer_size) {
        return false;
    }
    switch (task->phase) {
    case UAS_COLLECTS:
        return whole && task->at < task->length;
    case UAS_RUNS:
        return whole || !task->buffer_size;
    case UAS_DELIVERS:
        return task->buffer_size <= task->length;
    }
    return true;
}

static bool uas_state_check(Device *device, GError **error)
{
    const Uas *s = uas_of(usb_device(device));

    for (unsigned i = 0; i < UAS_TASKS; i++) {
        if (!task_fits(s, &s->tasks[i])) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "the saved state of %s does not fit: task %u with tag %u, phase %u",
                              device->id, i, s->tasks[i].tag, s->tasks[i].phase);
        }
    }
    return true;
}

#define PIPE(address_, pipe, streams_)                                                             \
    {                                                                                              \
        .address = (address_), .attributes = 2,                                                    \
        .packet = { [USB_FULL] = 64, [USB_HIGH] = 512, [USB_SUPER] = 1024 }, .burst = 15,          \
        .streams = (streams_), .extra = (const uint8_t[]){ 4, 0x24, (pipe), 0 }, .extra_size = 4   \
    }

static const UsbDeviceType uas_type = {
    .vendor = 0x46f4,
    .product = 0x0003,
    .speeds = 1 << USB_FULL | 1 << USB_HIGH | 1 << USB_SUPER,
    .attributes = 0x80,
    .power_2ma = 50,
    .strings = { [USB_STRING_VENDOR] = "QEMU",
                 [USB_STRING_PRODUCT] = "USB Attached SCSI HBA",
                 [USB_STRING_SERIAL] = "27842" },
    .interfaces =
        (const UsbInterface[]){
            { .class_code = 8,
              .subclass = 6,
              .protocol = 0x62,
              .endpoints =
                  (const UsbEndpoint[]){
                      PIPE(UAS_PIPE_COMMAND, UAS_PIPE_COMMAND, 0),
                      PIPE(USB_DIRECTION_IN | UAS_PIPE_STATUS, UAS_PIPE_STATUS, UAS_STREAM_BITS),
                      PIPE(USB_DIRECTION_IN | UAS_PIPE_IN, UAS_PIPE_IN, UAS_STREAM_BITS),
                      PIPE(UAS_PIPE_OUT, UAS_PIPE_OUT, UAS_STREAM_BITS),
                  },
              .endpoint_count = 4 },
        },
    .interface_count = 1,
    .name = "USB Attached SCSI HBA",
    .realize = uas_realize,
    .unrealize = uas_unrealize,
    .reset = uas_reset,
    .transfer = uas_transfer,
    .cancel = uas_cancel,
    .state_loaded = uas_state_loaded,
};

static const StateField task_state[] = {
    STATE_MOST(UasTask, phase, UAS_PHASES - 1),
    STATE_MOST(UasTask, direction, SCSI_FROM_HOST),
    STATE_MOST(UasTask, announced, 1),
    STATE(UasTask, status),
    STATE_MOST(UasTask, sense_size, SCSI_SENSE_SIZE),
    STATE(UasTask, response),
    STATE(UasTask, tag),
    STATE(UasTask, lun),
    STATE(UasTask, cdb),
    STATE(UasTask, sense),
    STATE(UasTask, order),
    STATE(UasTask, length),
    STATE(UasTask, at),
    STATE_BUFFER(UasTask, buffer, buffer_size, UAS_COMMAND_MOST),
    STATE_DERIVED(UasTask, buffer_size),
    STATE_DERIVED(UasTask, request),
    STATE_DERIVED(UasTask, direct),
    { 0 },
};

static const StateField uas_state[] = {
    USB_STATE(Uas, usb),
    STATE_STRUCTS(Uas, tasks, task_state),
    STATE(Uas, order),
    STATE(Uas, next_tag),
    STATE_MOST(Uas, refused, 1),
    STATE_DERIVED(Uas, packets),
    STATE_DERIVED(Uas, requests),
    STATE_DERIVED(Uas, pumping),
    { 0 },
};

static const Property uas_properties[] = {
    { "log-scsi-req", PROPERTY_U32, offsetof(Uas, log_requests), "accepted; has no effect", "0" },
    USB_PROPERTIES(Uas, usb),
    { 0 },
};

static const DeviceType usb_uas_type = {
    .name = "usb-uas",
    .summary = "USB attached SCSI: units (scsi-hd, scsi-cd) on its bus ID.0, many commands at once",
    .category = "storage",
    .instance_size = sizeof(Uas),
    .properties = uas_properties,
    .state = uas_state,
    .state_check = uas_state_check,
    USB_DEVICE_HOOKS(&uas_type),
};
DEVICE_TYPE(usb_uas_type);
