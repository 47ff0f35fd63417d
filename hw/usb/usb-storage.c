/* SPDX-License-Identifier: MIT */
/*
 * USB mass storage, bulk-only transport (Mass Storage Class, Bulk-Only Transport 1.0), over the units of a SCSI bus: usb-storage
 * brings a disk of its own, usb-bot takes units from the user.
 *
 * Data go straight between the image and the controller's memory when one packet has room for all that a command moves;
 * else a buffer stands in between, of up to 16 MiB.
 */
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "hw/scsi/scsi-bus.h"
#include "hw/usb/usb.h"
#include "machine/machine.h"

enum {
    ENDPOINT_IN = 0x81,
    ENDPOINT_OUT = 0x02,
    MOST_BYTES = 16 << 20,
    LUN_MAX = 15,
    RESET_REQUEST = 0x21 << 8 | 0xff,
    GET_MAX_LUN = 0xa1 << 8 | 0xfe,

    COMMAND_BYTES = 31,
    STATUS_BYTES = 13,
    COMMAND_SIGNATURE = 0x43425355,
    STATUS_SIGNATURE = 0x53425355,
    STATUS_PASSED = 0,
    STATUS_FAILED = 1,
    STATUS_PHASE_ERROR = 2,
};

/* What the host does next. */
typedef enum { PHASE_COMMAND, PHASE_OUT, PHASE_IN, PHASE_STATUS, PHASE_COUNT } Phase;

typedef struct UsbStorage UsbStorage;

typedef struct {
    ScsiRequest scsi;    /* first */
    UsbStorage *storage; /* NULL: nobody waits for it any more */
    struct iovec *iov;
    uint8_t *buffer; /* of one whose device does not want it any more */
} Request;

struct UsbStorage {
    UsbDevice usb;
    ScsiBus scsi;
    Request *request;  /* that is under way */
    UsbPacket *packet; /* that waits for it */
    bool direct;       /* the request works on the packet's memory */
    uint8_t phase, running, status, broken;
    uint32_t tag, length, done, residue;
    uint8_t lun, cdb[SCSI_CDB];
    uint8_t *buffer; /* data that have come from the image, or go there */
    uint32_t buffer_size, buffer_at;
    uint64_t next_tag;
    /* Properties. */
    char *drive, *werror, *rerror, *share_rw, *write_cache, *removable, *bootindex;
    char *logical_block_size, *physical_block_size, *min_io_size, *opt_io_size,
        *discard_granularity;
    bool commandlog;
};

static UsbStorage *usb_storage(UsbDevice *usb)
{
    return container_of(usb, UsbStorage, usb);
}

static void drop_buffer(UsbStorage *s)
{
    g_clear_pointer(&s->buffer, g_free);
    s->buffer_size = s->buffer_at = 0;
}

/* Commands. */

static void finish_packet(UsbStorage *s, UsbStatus status)
{
    UsbPacket *packet = s->packet;

    s->packet = NULL;
    if (packet) {
        usb_packet_finish(packet, status);
    }
}

static UsbStatus give_status(UsbStorage *s, UsbPacket *packet)
{
    uint8_t bytes[STATUS_BYTES];

    if (packet->size < STATUS_BYTES) {
        return USB_STALL;
    }
    store_le32(bytes, STATUS_SIGNATURE);
    store_le32(bytes + 4, s->tag);
    store_le32(bytes + 8, s->residue);
    bytes[12] = s->status;
    usb_packet_put(packet, bytes, sizeof bytes);
    s->phase = PHASE_COMMAND;
    drop_buffer(s);
    return USB_DONE;
}

/* As many of the buffer's bytes as there are and fit; when they are at an end, or fewer than asked for, the status is next. */
static UsbStatus give_data(UsbStorage *s, UsbPacket *packet)
{
    uint32_t size = MIN(packet->size, s->buffer_size - s->buffer_at);

    usb_packet_put(packet, s->buffer + s->buffer_at, size);
    s->buffer_at += size;
    s->done += size;
    if (size < packet->size || s->done == s->length) {
        s->phase = PHASE_STATUS;
    }
    return USB_DONE;
}

static void take_result(UsbStorage *s, const ScsiRequest *r)
{
    s->running = 0;
    s->residue = s->length - (uint32_t)MIN(r->moved, s->length);
    s->status = r->outcome != SCSI_ENDED ? STATUS_PHASE_ERROR
                : r->status == SCSI_GOOD ? STATUS_PASSED
                                         : STATUS_FAILED;
}

/* Whoever waits goes on: for data in the buffer, for data that are in its own memory now, or for the status. */
static void continue_packet(UsbStorage *s, uint32_t moved)
{
    UsbPacket *packet = s->packet;

    if (!packet) {
        return;
    }
    if (s->direct) {
        packet->moved = packet->token == USB_TOKEN_IN ? moved : s->length;
        s->phase = PHASE_STATUS;
        finish_packet(s, USB_DONE);
    } else if (s->phase == PHASE_IN) {
        finish_packet(s, give_data(s, packet));
    } else {
        finish_packet(s, give_status(s, packet));
    }
}

static void request_done(ScsiRequest *r)
{
    Request *request = container_of(r, Request, scsi);
    UsbStorage *s = request->storage;

    if (s) {
        uint32_t moved = (uint32_t)MIN(r->moved, s->length);

        s->request = NULL;
        take_result(s, r);
        if (!s->direct && s->phase == PHASE_IN) {
            s->buffer_size = moved;
        }
        continue_packet(s, moved);
    }
    g_free(request->buffer);
    g_free(request->iov);
    g_free(request);
}

/* iov: where data are or go; NULL for a command without. */
static void start(UsbStorage *s, const struct iovec *iov, unsigned count, bool later)
{
    Request *request = g_new0(Request, 1);
    ScsiRequest *r = &request->scsi;
    uint32_t left = s->length;
    unsigned used = 0;

    request->storage = s;
    request->iov = g_new(struct iovec, count + 1);
    for (; used < count && left; used++) {
        request->iov[used] = (struct iovec){ iov[used].iov_base, MIN(iov[used].iov_len, left) };
        left -= (uint32_t)request->iov[used].iov_len;
    }
    memcpy(r->cdb, s->cdb, sizeof s->cdb);
    r->tag = s->next_tag++;
    r->done = request_done;
    if (s->phase == PHASE_IN) {
        r->in = request->iov;
        r->in_count = (uint16_t)used;
        r->in_bytes = s->length;
    } else if (used) {
        r->out = request->iov;
        r->out_count = (uint16_t)used;
        r->out_bytes = s->length;
    }
    s->request = request;
    s->running = 1;
    if (later) {
        scsi_request_start_later(&s->scsi, 0, s->lun, r);
    } else {
        scsi_request_start(&s->scsi, 0, s->lun, r);
        scsi_bus_deliver(&s->scsi); /* what the host has in memory is here at once */
    }
}

static void start_on_buffer(UsbStorage *s, bool later)
{
    struct iovec iov = { s->buffer, s->buffer_size };

    s->direct = false;
    start(s, &iov, s->buffer ? 1 : 0, later);
}

/* A command's end is not waited for: it goes on without its host. */
static void abandon(UsbStorage *s)
{
    Request *request = s->request;

    if (!request) {
        return;
    }
    request->storage = NULL;
    if (!s->direct) {
        request->buffer = g_steal_pointer(&s->buffer);
        s->buffer_size = s->buffer_at = 0;
    }
    s->request = NULL;
    s->running = 0;
    scsi_bus_abort(&s->scsi);
}

/* Phases. */

static UsbStatus refuse(UsbStorage *s, const char *why)
{
    log_guest_error(s->usb.device.id, "%s; it waits for a reset", why);
    s->broken = 1;
    return USB_STALL;
}

static UsbStatus take_command(UsbStorage *s, UsbPacket *packet)
{
    uint8_t bytes[COMMAND_BYTES];
    unsigned lun, size;

    if (packet->size != COMMAND_BYTES ||
        usb_packet_take(packet, bytes, sizeof bytes) != sizeof bytes ||
        load_le32(bytes) != COMMAND_SIGNATURE) {
        return refuse(s, "no command where one is due");
    }
    lun = bytes[13];
    size = bytes[14];
    if (lun > LUN_MAX || size < 1 || size > SCSI_CDB) {
        return refuse(s, "a command that makes no sense");
    }
    s->tag = load_le32(bytes + 4);
    s->length = load_le32(bytes + 8);
    s->lun = (uint8_t)lun;
    s->done = 0;
    s->residue = s->length;
    memset(s->cdb, 0, sizeof s->cdb);
    memcpy(s->cdb, bytes + 15, size);
    if (s->length > MOST_BYTES) {
        return refuse(s, "more than 16 MiB at once");
    }
    s->phase = !s->length ? PHASE_STATUS : bytes[12] & 0x80 ? PHASE_IN : PHASE_OUT;
    if (!s->length) {
        start_on_buffer(s, false);
    }
    return USB_DONE;
}

static UsbStatus wait_with(UsbStorage *s, UsbPacket *packet)
{
    if (s->packet) {
        return USB_NAK;
    }
    s->packet = packet;
    return USB_PENDING;
}

/* The request may be over when `start` returns: it is only then that a packet waits. */
static UsbStatus run_direct(UsbStorage *s, UsbPacket *packet)
{
    uint32_t before = s->residue;

    s->direct = true;
    start(s, packet->iov, packet->iov_count, false);
    if (s->request) {
        return wait_with(s, packet);
    }
    packet->moved = packet->token == USB_TOKEN_IN ? before - s->residue : s->length;
    s->phase = PHASE_STATUS;
    return USB_DONE;
}

static UsbStatus data_in(UsbStorage *s, UsbPacket *packet)
{
    if (s->running) {
        return wait_with(s, packet);
    }
    if (!s->buffer) {
        if (packet->size >= s->length) {
            return run_direct(s, packet);
        }
        s->buffer = g_malloc0(s->length);
        s->buffer_size = s->length;
        s->buffer_at = 0;
        start_on_buffer(s, false);
        if (s->request) {
            return wait_with(s, packet);
        }
    }
    return give_data(s, packet);
}

static UsbStatus data_out(UsbStorage *s, UsbPacket *packet)
{
    uint32_t room = s->length - s->done;

    if (!s->buffer && packet->size >= s->length) {
        return run_direct(s, packet);
    }
    if (!s->buffer) {
        s->buffer = g_malloc0(s->length);
        s->buffer_size = s->length;
    }
    s->done += usb_packet_take(packet, s->buffer + s->done, MIN(packet->size, room));
    if (s->done == s->length) {
        s->phase = PHASE_STATUS;
        start_on_buffer(s, false);
    }
    return USB_DONE;
}

static UsbStatus storage_transfer(UsbDevice *usb, UsbPacket *packet)
{
    UsbStorage *s = usb_storage(usb);
    bool in = packet->token == USB_TOKEN_IN;

    if (s->broken) {
        return USB_STALL;
    }
    switch (s->phase) {
    case PHASE_COMMAND:
        return in ? USB_NAK : take_command(s, packet);
    case PHASE_IN:
        return in ? data_in(s, packet) : refuse(s, "data to the device, where they come from it");
    case PHASE_OUT:
        return in ? refuse(s, "data from the device, where they go to it") : data_out(s, packet);
    default:
        if (!in) {
            return refuse(s, "data or a command, where the status is due");
        }
        return s->running ? wait_with(s, packet) : give_status(s, packet);
    }
}

static void storage_cancel(UsbDevice *usb, UsbPacket *packet)
{
    UsbStorage *s = usb_storage(usb);

    if (s->packet == packet) {
        s->packet = NULL;
        if (s->direct && s->running) {
            abandon(s); /* its memory is not ours any more; the packet comes again, or a reset */
        }
    }
}

static void begin_anew(UsbStorage *s)
{
    abandon(s);
    drop_buffer(s);
    s->packet = NULL;
    s->direct = false;
    s->phase = PHASE_COMMAND;
    s->running = s->status = s->broken = s->lun = 0;
    s->tag = s->length = s->done = s->residue = 0;
    memset(s->cdb, 0, sizeof s->cdb);
}

static UsbStatus storage_control(UsbDevice *usb, const UsbSetup *setup, uint8_t *data,
                                 uint32_t *length)
{
    UsbStorage *s = usb_storage(usb);

    switch (setup->type << 8 | setup->request) {
    case RESET_REQUEST:
        begin_anew(s);
        return USB_DONE;
    case GET_MAX_LUN:
        data[0] = 0;
        for (unsigned lun = 0; lun <= LUN_MAX; lun++) {
            data[0] = scsi_bus_find(&s->scsi, 0, lun) ? (uint8_t)lun : data[0];
        }
        *length = 1;
        return USB_DONE;
    }
    return USB_STALL;
}

/* Life. */

static void storage_reset(UsbDevice *usb)
{
    begin_anew(usb_storage(usb));
    usb_storage(usb)->next_tag = 0;
}

/* A device that is not told otherwise has the defaults of the unit. */
static bool set_unit(Device *unit, const char *property, const char *value, GError **error)
{
    return !value || device_set(unit, property, value, error);
}

static bool add_disk(UsbStorage *s, GError **error)
{
    Device *device = &s->usb.device, *unit;
    const struct {
        const char *name, *value;
    } properties[] = {
        { "drive", s->drive },
        { "serial", s->usb.serial },
        { "removable", s->removable },
        { "bootindex", s->bootindex },
        { "werror", s->werror },
        { "rerror", s->rerror },
        { "share-rw", s->share_rw },
        { "write-cache", s->write_cache },
        { "logical_block_size", s->logical_block_size },
        { "physical_block_size", s->physical_block_size },
        { "min_io_size", s->min_io_size },
        { "opt_io_size", s->opt_io_size },
        { "discard_granularity", s->discard_granularity },
    };

    if (!s->drive) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%s has no image: give drive=ID of a -drive if=none or -blockdev",
                          device->type->name);
    }
    unit = device_create(device->machine, NULL, "scsi-hd", &s->scsi.bus, NULL, error);
    for (size_t i = 0; unit && i < ARRAY_SIZE(properties); i++) {
        if (!set_unit(unit, properties[i].name, properties[i].value, error)) {
            device_destroy(unit);
            return false;
        }
    }
    if (unit && !device_realize(unit, error)) {
        device_destroy(unit);
        return false;
    }
    return unit;
}

static void make_bus(UsbStorage *s)
{
    static const ScsiHost host = { .max_lun = LUN_MAX };
    g_autofree char *name = g_strdup_printf("%s.0", s->usb.device.id);

    scsi_bus_init(&s->scsi, &s->usb.device, name, &host);
}

static bool storage_realize(UsbDevice *usb, GError **error)
{
    make_bus(usb_storage(usb));
    return add_disk(usb_storage(usb), error);
}

static bool bot_realize(UsbDevice *usb, GError **error)
{
    make_bus(usb_storage(usb));
    return true;
}

static void storage_unrealize(UsbDevice *usb)
{
    begin_anew(usb_storage(usb));
}

/* What the image had not answered is begun again: by the packet that comes again, or here where none has to. */
static void storage_state_loaded(UsbDevice *usb)
{
    UsbStorage *s = usb_storage(usb);
    Request *old = s->request;

    if (old) {
        old->storage = NULL;
        s->request = NULL;
    }
    s->packet = NULL;
    if (!s->running) {
        return;
    }
    s->running = 0;
    if (s->phase == PHASE_STATUS) {
        start_on_buffer(s, true);
    } else if (s->phase == PHASE_IN) {
        drop_buffer(s);
    }
}

static bool storage_state_check(Device *device, GError **error)
{
    const UsbStorage *s = usb_storage(usb_device(device));

    if (s->buffer_at > s->buffer_size || s->done > s->length || s->length > MOST_BYTES ||
        (s->buffer && s->phase == PHASE_OUT && s->buffer_size != s->length)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "the saved state of %s does not fit: %u of %u bytes, and a buffer of %u",
                          device->id, s->done, s->length, s->buffer_size);
    }
    return true;
}

static const UsbInterface storage_interfaces[] = {
    { .class_code = 8,
      .subclass = 6,
      .protocol = 0x50,
      .endpoints =
          (const UsbEndpoint[]){
              { .address = ENDPOINT_IN,
                .attributes = 2,
                .packet = { [USB_FULL] = 64, [USB_HIGH] = 512, [USB_SUPER] = 1024 },
                .burst = 15 },
              { .address = ENDPOINT_OUT,
                .attributes = 2,
                .packet = { [USB_FULL] = 64, [USB_HIGH] = 512, [USB_SUPER] = 1024 },
                .burst = 15 } },
      .endpoint_count = 2 },
};

#define STORAGE_TYPE                                                                               \
    .vendor = 0x46f4, .product = 0x0001, .speeds = 1 << USB_FULL | 1 << USB_HIGH | 1 << USB_SUPER, \
    .attributes = 0x80, .power_2ma = 50,                                                           \
    .strings = { [USB_STRING_VENDOR] = "QEMU",                                                     \
                 [USB_STRING_PRODUCT] = "QEMU USB HARDDRIVE",                                      \
                 [USB_STRING_SERIAL] = "000000000001" },                                           \
    .interfaces = storage_interfaces, .interface_count = 1, .unrealize = storage_unrealize,        \
    .reset = storage_reset, .control = storage_control, .transfer = storage_transfer,              \
    .cancel = storage_cancel, .state_loaded = storage_state_loaded

static const UsbDeviceType storage_type = {
    STORAGE_TYPE,
    .name = "QEMU USB MSD",
    .realize = storage_realize,
};

static const UsbDeviceType bot_type = {
    STORAGE_TYPE,
    .name = "QEMU USB MSD",
    .realize = bot_realize,
};

static const StateField storage_state[] = {
    USB_STATE(UsbStorage, usb),
    STATE_MOST(UsbStorage, phase, PHASE_COUNT - 1),
    STATE_MOST(UsbStorage, running, 1),
    STATE_MOST(UsbStorage, status, STATUS_PHASE_ERROR),
    STATE_MOST(UsbStorage, broken, 1),
    STATE(UsbStorage, tag),
    STATE(UsbStorage, length),
    STATE(UsbStorage, done),
    STATE(UsbStorage, residue),
    STATE_MOST(UsbStorage, lun, LUN_MAX),
    STATE(UsbStorage, cdb),
    STATE_BUFFER(UsbStorage, buffer, buffer_size, MOST_BYTES),
    STATE_DERIVED(UsbStorage, buffer_size),
    STATE(UsbStorage, buffer_at),
    STATE(UsbStorage, next_tag),
    STATE_DERIVED(UsbStorage, request),
    STATE_DERIVED(UsbStorage, packet),
    STATE_DERIVED(UsbStorage, direct),
    { 0 },
};

#define TEXT(property, field, summary)                                                             \
    {                                                                                              \
        property, PROPERTY_STRING, offsetof(UsbStorage, field), summary                            \
    }

/* clang-format off */
static const Property storage_properties[] = {
    TEXT("drive", drive, "the image: id of a -drive or node name of a -blockdev"),
    TEXT("removable", removable, "on: say that the medium is"),
    TEXT("bootindex", bootindex, "place in the firmware's boot order"),
    TEXT("werror", werror, "what to do when a write fails, as scsi-hd has it"),
    TEXT("rerror", rerror, "the same for a read"),
    TEXT("share-rw", share_rw, "on: others (devices, exports) may write to the image"),
    TEXT("write-cache", write_cache, "off: each write is durable"),
    TEXT("logical_block_size", logical_block_size, "bytes of a sector"),
    TEXT("physical_block_size", physical_block_size, "the same of the medium"),
    TEXT("min_io_size", min_io_size, "preferred smallest transfer, bytes"),
    TEXT("opt_io_size", opt_io_size, "preferred transfer, bytes"),
    TEXT("discard_granularity", discard_granularity, "smallest discard, bytes"),
    { "commandlog", PROPERTY_BOOL, offsetof(UsbStorage, commandlog), "accepted; has no effect", "off" },
    USB_PROPERTIES(UsbStorage, usb),
    { 0 },
};
/* clang-format on */

static const DeviceType usb_storage_type = {
    .name = "usb-storage",
    .summary = "USB stick or disk",
    .category = "storage",
    .instance_size = sizeof(UsbStorage),
    .properties = storage_properties,
    .state = storage_state,
    .state_check = storage_state_check,
    USB_DEVICE_HOOKS(&storage_type),
};
DEVICE_TYPE(usb_storage_type);

static const DeviceType usb_bot_type = {
    .name = "usb-bot",
    .summary = "USB mass storage for SCSI units (scsi-hd, scsi-cd) on its bus ID.0",
    .category = "storage",
    .instance_size = sizeof(UsbStorage),
    .properties = (const Property[]){ USB_PROPERTIES(UsbStorage, usb), { 0 } },
    .state = storage_state,
    .state_check = storage_state_check,
    USB_DEVICE_HOOKS(&bot_type),
};
DEVICE_TYPE(usb_bot_type);
