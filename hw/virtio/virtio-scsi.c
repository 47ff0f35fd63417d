/* SPDX-License-Identifier: MIT */
/*
 * Virtio SCSI host (Virtio 1.2, 5.6): queues for task management, for events, and for commands to the units of a
 * SCSI bus (hw/scsi).
 *
 * Not offered: commands with data in both directions, protection information, asynchronous notification.
 */
#include <string.h>

#include "base/error.h"
#include "hw/virtio/virtio-scsi.h"
#include "machine/machine.h"

enum {
    /* virtio_scsi_config */
    CONFIG_NUM_QUEUES = 0,
    CONFIG_SEG_MAX = 4,
    CONFIG_MAX_SECTORS = 8,
    CONFIG_CMD_PER_LUN = 12,
    CONFIG_EVENT_INFO_SIZE = 16,
    CONFIG_SENSE_SIZE = 20,
    CONFIG_CDB_SIZE = 24,
    CONFIG_MAX_CHANNEL = 28,
    CONFIG_MAX_TARGET = 30,
    CONFIG_MAX_LUN = 32,
    CONFIG_SIZE = 36,

    QUEUE_COUNT_AUTO = UINT32_MAX,

    SENSE_SIZE = 96, /* at reset */
    CDB_SIZE = 32,
    SENSE_SIZE_MAX = 256,
    CDB_SIZE_MAX = 256,
    MAX_TARGET = 255,
    MAX_LUN = 16383,

    /* A command: unit, id, three bytes that no unit looks at, and the packet. */
    REQUEST_LUN = 0,
    REQUEST_ID = 8,
    REQUEST_CDB = 19,
    /* Its answer. */
    RESPONSE_SENSE_LENGTH = 0,
    RESPONSE_RESIDUAL = 4,
    RESPONSE_STATUS = 10,
    RESPONSE_RESPONSE = 11,
    RESPONSE_SENSE = 12,

    S_OVERRUN = 1,
    S_ABORTED = 2,
    S_RESET = 4,
};

typedef struct {
    ScsiRequest scsi; /* first */
    VirtioScsi *host;
    VirtioElement *element;
    unsigned target, lun;
    struct iovec *response;
    uint16_t response_count;
    uint64_t response_bytes;
} Request;

bool virtio_scsi_get_unit(const uint8_t *address, unsigned *target, unsigned *lun)
{
    enum { FIRST = 1, NUMBER = 0x3fff };

    *target = address[1];
    *lun = load_be16(address + 2) & NUMBER;
    return address[0] == FIRST;
}

void virtio_scsi_return(VirtioElement *element, uint32_t written)
{
    VirtQueue *queue = element->queue;
    bool current = element->generation == queue->generation;

    virtqueue_push(element, written);
    if (current) {
        virtqueue_notify(queue);
    }
}

/* Commands */

static uint8_t response_of(const ScsiRequest *r)
{
    static const uint8_t responses[] = {
        [SCSI_ENDED] = VIRTIO_SCSI_S_OK,
        [SCSI_OVERRUN] = S_OVERRUN,
        [SCSI_ABORTED] = S_ABORTED,
        [SCSI_RESET] = S_RESET,
    };

    return responses[r->outcome];
}

static void respond(Request *request, uint8_t response)
{
    VirtioScsi *scsi = request->host;
    const ScsiRequest *r = &request->scsi;
    uint8_t data[RESPONSE_SENSE + SCSI_SENSE_SIZE] = { 0 };
    uint32_t sense = MIN(r->sense_size, scsi->sense_size);
    uint64_t expected = r->in_bytes + r->out_bytes;

    store_le32(data + RESPONSE_SENSE_LENGTH, sense);
    store_le32(data + RESPONSE_RESIDUAL,
               response == VIRTIO_SCSI_S_OK ? MIN(expected - r->moved, UINT32_MAX) : 0);
    data[RESPONSE_STATUS] = r->status;
    data[RESPONSE_RESPONSE] = response;
    memcpy(data + RESPONSE_SENSE, r->sense, sense);
    iovec_from_buffer(request->response, request->response_count, 0, data, RESPONSE_SENSE + sense);
    virtio_scsi_return(request->element,
                       request->response_bytes +
                           (response == VIRTIO_SCSI_S_OK ? MIN(r->moved, r->in_bytes) : 0));
    g_free(request->response);
    g_free(request);
}

static void request_done(ScsiRequest *r)
{
    Request *request = container_of(r, Request, scsi);
    VirtioScsi *scsi = request->host;
    bool early = r->outcome == SCSI_ABORTED || r->outcome == SCSI_RESET;

    if (request->element->generation == request->element->queue->generation) {
        respond(request, response_of(r));
    } else {
        virtqueue_free_element(request->element);
        g_free(request->response);
        g_free(request);
    }
    if (early) {
        virtio_scsi_settle(scsi);
    }
}

/* Splits a chain into command, data and answer. NULL: it has too little of one of them. */
static Request *new_request(VirtioScsi *scsi, VirtioElement *e)
{
    uint64_t header = REQUEST_CDB + scsi->cdb_size, answer = RESPONSE_SENSE + scsi->sense_size;
    uint8_t data[REQUEST_CDB + SCSI_CDB];
    Request *request;

    if (e->out_bytes < header || e->in_bytes < answer) {
        virtio_fail(&scsi->virtio,
                    "a command of %" PRIu64 " and an answer of %" PRIu64
                    " bytes; they have at least %" PRIu64 " and %" PRIu64,
                    e->out_bytes, e->in_bytes, header, answer);
        return NULL;
    }
    iovec_to_buffer(e->out, e->out_count, 0, data, REQUEST_CDB + MIN(scsi->cdb_size, SCSI_CDB));
    request = g_new0(Request, 1);
    request->host = scsi;
    request->element = e;
    request->response = g_memdup2(e->in, sizeof *e->in * e->in_count);
    request->response_count = e->in_count;
    request->response_bytes = answer;
    iovec_truncate(request->response, &request->response_count, answer);
    request->scsi.in = e->in = iovec_skip(e->in, &e->in_count, answer);
    request->scsi.in_count = e->in_count;
    request->scsi.in_bytes = e->in_bytes - answer;
    request->scsi.out = e->out = iovec_skip(e->out, &e->out_count, header);
    request->scsi.out_count = e->out_count;
    request->scsi.out_bytes = e->out_bytes - header;
    request->scsi.tag = load_le64(data + REQUEST_ID);
    request->scsi.done = request_done;
    memcpy(request->scsi.cdb, data + REQUEST_CDB, MIN(scsi->cdb_size, SCSI_CDB));
    if (!virtio_scsi_get_unit(data + REQUEST_LUN, &request->target, &request->lun)) {
        request->target = UINT_MAX;
    }
    return request;
}

static bool take_request(VirtQueue *queue, VirtioElement *e)
{
    VirtioScsi *scsi = virtio_scsi(queue->virtio);
    Request *request = new_request(scsi, e);

    if (!request) {
        virtqueue_free_element(e);
        return false;
    }
    trace("virtio-scsi", "target %u unit %u command %02x, %" PRIu64 " bytes out, %" PRIu64 " in",
          request->target, request->lun, request->scsi.cdb[0], request->scsi.out_bytes,
          request->scsi.in_bytes);
    if (!scsi_bus_has_target(&scsi->bus, request->target)) {
        respond(request, VIRTIO_SCSI_S_BAD_TARGET);
    } else {
        scsi_request_start(&scsi->bus, request->target, request->lun, &request->scsi);
    }
    return true;
}

static void kick_request(VirtQueue *queue)
{
    virtqueue_process(queue, take_request);
    scsi_bus_deliver(&virtio_scsi(queue->virtio)->bus);
}

/* Life */

static const ScsiHost host = { .max_target = MAX_TARGET,
                               .max_lun = MAX_LUN,
                               .changed = virtio_scsi_unit_changed };

static void virtio_scsi_config_read(VirtioDevice *virtio)
{
    const VirtioScsi *scsi = virtio_scsi(virtio);

    store_le32(virtio->config + CONFIG_SENSE_SIZE, scsi->sense_size);
    store_le32(virtio->config + CONFIG_CDB_SIZE, scsi->cdb_size);
}

static void virtio_scsi_config_written(VirtioDevice *virtio, unsigned offset, unsigned size)
{
    VirtioScsi *scsi = virtio_scsi(virtio);
    uint32_t sense = load_le32(virtio->config + CONFIG_SENSE_SIZE);
    uint32_t cdb = load_le32(virtio->config + CONFIG_CDB_SIZE);

    if (sense > SENSE_SIZE_MAX || cdb > CDB_SIZE_MAX) {
        log_guest_error(virtio_name(virtio), "sense_size %u, cdb_size %u: more than %u and %u",
                        sense, cdb, SENSE_SIZE_MAX, CDB_SIZE_MAX);
        return;
    }
    scsi->sense_size = sense;
    scsi->cdb_size = cdb;
}

static uint64_t virtio_scsi_features(VirtioDevice *virtio)
{
    const VirtioScsi *scsi = virtio_scsi(virtio);

    return (scsi->hotplug ? BIT(VIRTIO_SCSI_F_HOTPLUG) : 0) |
           (scsi->param_change ? BIT(VIRTIO_SCSI_F_CHANGE) : 0);
}

static void virtio_scsi_reset(VirtioDevice *virtio)
{
    VirtioScsi *scsi = virtio_scsi(virtio);

    virtio_scsi_forget_functions(scsi);
    scsi_bus_reset(&scsi->bus);
    scsi->sense_size = SENSE_SIZE;
    scsi->cdb_size = CDB_SIZE;
    scsi->events_missed = false;
}

static bool is_of_queue(const ScsiRequest *r, const void *queue)
{
    return container_of((ScsiRequest *)r, Request, scsi)->element->queue == queue;
}

static void virtio_scsi_queue_reset(VirtQueue *queue)
{
    VirtioScsi *scsi = virtio_scsi(queue->virtio);

    if (queue->index == VIRTIO_SCSI_CONTROL_QUEUE) {
        virtio_scsi_forget_functions(scsi);
    } else if (queue->index >= VIRTIO_SCSI_REQUEST_QUEUES) {
        scsi_bus_abort_if(&scsi->bus, is_of_queue, queue);
    }
}

static void virtio_scsi_state_loaded(VirtioDevice *virtio)
{
    VirtioScsi *scsi = virtio_scsi(virtio);

    virtio_scsi_forget_functions(scsi);
    scsi_bus_abort(&scsi->bus);
}

static void virtio_scsi_retake(VirtQueue *queue, VirtioElement *e)
{
    VirtioScsi *scsi = virtio_scsi(queue->virtio);
    Request *request;

    if (queue->index == VIRTIO_SCSI_CONTROL_QUEUE) {
        virtio_scsi_take_control(queue, e);
        return;
    }
    request = queue->index >= VIRTIO_SCSI_REQUEST_QUEUES ? new_request(scsi, e) : NULL;
    if (!request) {
        virtqueue_free_element(e);
    } else {
        scsi_request_start_later(&scsi->bus, request->target, request->lun, &request->scsi);
    }
}

static void virtio_scsi_drain(VirtioDevice *virtio)
{
    scsi_bus_drain(&virtio_scsi(virtio)->bus);
}

static bool check_properties(VirtioScsi *scsi, GError **error)
{
    if (!scsi->num_queues || scsi->num_queues > VIRTIO_MAX_QUEUES - VIRTIO_SCSI_REQUEST_QUEUES) {
        return error_fail(error, KASO_ERROR_INVALID, "num_queues=%u is not between 1 and %u",
                          scsi->num_queues, VIRTIO_MAX_QUEUES - VIRTIO_SCSI_REQUEST_QUEUES);
    }
    if (!is_power_of_two(scsi->queue_size) || scsi->queue_size < 4 ||
        scsi->queue_size > VIRTIO_MAX_QUEUE_SIZE) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "virtqueue_size=%u is not a power of two from 4 to %u", scsi->queue_size,
                          VIRTIO_MAX_QUEUE_SIZE);
    }
    return true;
}

static void fill_config(VirtioScsi *scsi)
{
    enum { SEG_MAX_FIXED = 128, FRAME = 2 /* descriptors of command and answer */ };
    uint8_t *config = scsi->virtio.config;

    store_le32(config + CONFIG_NUM_QUEUES, scsi->num_queues);
    store_le32(config + CONFIG_SEG_MAX,
               (scsi->seg_max_adjust ? scsi->queue_size : SEG_MAX_FIXED) - FRAME);
    store_le32(config + CONFIG_MAX_SECTORS, scsi->max_sectors);
    store_le32(config + CONFIG_CMD_PER_LUN, scsi->cmd_per_lun);
    store_le32(config + CONFIG_EVENT_INFO_SIZE, VIRTIO_SCSI_EVENT_SIZE);
    store_le16(config + CONFIG_MAX_TARGET, MAX_TARGET);
    store_le32(config + CONFIG_MAX_LUN, MAX_LUN);
}

static bool virtio_scsi_realize(VirtioDevice *virtio, GError **error)
{
    VirtioScsi *scsi = virtio_scsi(virtio);
    g_autofree char *name = g_strdup_printf("%s.0", virtio->pci.device.id);

    if (scsi->num_queues == QUEUE_COUNT_AUTO) {
        scsi->num_queues = virtio->mmio ? 1 : CLAMP(virtio_machine(virtio)->config.vcpus, 1, 16);
    }
    if (!check_properties(scsi, error)) {
        return false;
    }
    scsi_bus_init(&scsi->bus, &virtio->pci.device, name, &host);
    fill_config(scsi);
    virtio_add_queue(virtio, scsi->queue_size, virtio_scsi_kick_control);
    virtio_add_queue(virtio, scsi->queue_size, virtio_scsi_kick_event);
    for (unsigned i = 0; i < scsi->num_queues; i++) {
        virtio_add_queue(virtio, scsi->queue_size, kick_request);
    }
    return true;
}

static const VirtioBitName virtio_scsi_names[] = {
    { VIRTIO_SCSI_F_HOTPLUG, "VIRTIO_SCSI_F_HOTPLUG", "tells of units that come and go" },
    { VIRTIO_SCSI_F_CHANGE, "VIRTIO_SCSI_F_CHANGE", "tells of units that change" },
    { 0 },
};

static const VirtioType virtio_scsi_type = {
    .name = "virtio-scsi",
    .virtio_id = 8,
    .feature_names = virtio_scsi_names,
    .transitional_pci_id = 0x1004,
    .pci_class = 0x010000,
    .config_size = CONFIG_SIZE,
    .realize = virtio_scsi_realize,
    .features = virtio_scsi_features,
    .reset = virtio_scsi_reset,
    .queue_reset = virtio_scsi_queue_reset,
    .drain = virtio_scsi_drain,
    .config_read = virtio_scsi_config_read,
    .config_written = virtio_scsi_config_written,
    .state_loaded = virtio_scsi_state_loaded,
    .retake = virtio_scsi_retake,
};

#define FIELD(name) offsetof(VirtioScsi, name)

static const Property virtio_scsi_properties[] = {
    { "num_queues", PROPERTY_U32, FIELD(num_queues),
      "queues for commands; unset: one for each vCPU (PCI)", "4294967295" },
    { "virtqueue_size", PROPERTY_U32, FIELD(queue_size), "descriptors of a queue", "256" },
    { "max_sectors", PROPERTY_U32, FIELD(max_sectors), "largest transfer, sectors", "65535" },
    { "cmd_per_lun", PROPERTY_U32, FIELD(cmd_per_lun), "commands that a unit takes at a time",
      "128" },
    { "hotplug", PROPERTY_BOOL, FIELD(hotplug), "tell of units that come and go", "on" },
    { "param_change", PROPERTY_BOOL, FIELD(param_change), "tell of other media", "on" },
    { "seg_max_adjust", PROPERTY_BOOL, FIELD(seg_max_adjust),
      "buffers of a request: as many as a queue has room for; off: 126", "on" },
    { "iothread", PROPERTY_NOT_YET, 0, "I/O threads for SCSI (leave it off)" },
    { 0 },
};

static const StateField virtio_scsi_state[] = {
    VIRTIO_STATE,
    STATE_MOST(VirtioScsi, sense_size, SENSE_SIZE_MAX),
    STATE_MOST(VirtioScsi, cdb_size, CDB_SIZE_MAX),
    STATE(VirtioScsi, events_missed),
    STATE_DERIVED(VirtioScsi, functions),
    { 0 },
};

VIRTIO_DEVICE_TYPES(virtio_scsi, "virtio-scsi", VirtioScsi, "Virtio SCSI host", "storage");
