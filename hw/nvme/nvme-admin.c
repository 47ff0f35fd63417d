/* SPDX-License-Identifier: MIT */
/* Admin commands (NVM Express 1.4, 5): queues, aborts and events; what they tell and set is in nvme-identify.c and nvme-features.c. */
#include <string.h>

#include "hw/nvme/nvme.h"
#include "machine/machine.h"

enum {
    DELETE_SQ = 0x00,
    CREATE_SQ = 0x01,
    GET_LOG = 0x02,
    DELETE_CQ = 0x04,
    CREATE_CQ = 0x05,
    IDENTIFY = 0x06,
    ABORT = 0x08,
    SET_FEATURES = 0x09,
    GET_FEATURES = 0x0a,
    EVENT_REQUEST = 0x0c,
    SELF_TEST = 0x14,
    FORMAT = 0x80,

    QUEUE_CONTIGUOUS = 1 << 0, /* of double word 11 */
    QUEUE_INTERRUPTS = 1 << 1,
    CC_SQ_ENTRY_SHIFT = 16,
    CC_CQ_ENTRY_SHIFT = 20,
    NOT_ABORTED = 1,
    EFFECT_SUPPORTED = 1 << 0,
    EFFECT_CONTENT = 1 << 1,
    EFFECT_NAMESPACE = 1 << 2, /* what a namespace can do */
    EFFECT_ALONE = 1 << 16,    /* no other command to the namespace meanwhile */
};

/* --- queues (5.3 to 5.6) --- */

static uint16_t check_new_queue(const Nvme *n, const NvmeCommand *c, bool exists,
                                unsigned entry_shift, unsigned entry_bytes)
{
    uint32_t id = nvme_dw(c, 10) & 0xffff, size = (nvme_dw(c, 10) >> 16) + 1;
    uint64_t base = load_le64(c->entry + 24);

    if (!id || id >= n->queue_count || exists) {
        return NVME_INVALID_QUEUE_ID | NVME_DNR;
    }
    if (size < 2 || size > NVME_QUEUE_ENTRIES ||
        UINT32_C(1) << (n->cc >> entry_shift & 15) != entry_bytes) {
        return NVME_INVALID_QUEUE_SIZE | NVME_DNR;
    }
    if (base & ((UINT64_C(1) << n->page_bits) - 1)) {
        return NVME_INVALID_PRP_OFFSET | NVME_DNR;
    }
    return nvme_dw(c, 11) & QUEUE_CONTIGUOUS ? NVME_SUCCESS : NVME_INVALID_FIELD | NVME_DNR;
}

static uint16_t create_cq(Nvme *n, const NvmeCommand *c)
{
    uint32_t id = nvme_dw(c, 10) & 0xffff, vector = nvme_dw(c, 11) >> 16;
    bool exists = id < n->queue_count && n->cqs[id].size;
    uint16_t status = check_new_queue(n, c, exists, CC_CQ_ENTRY_SHIFT, NVME_CQ_ENTRY);

    if (status) {
        return status;
    }
    if (vector >= MAX(n->pci.msix.vectors, 1)) {
        return NVME_INVALID_VECTOR | NVME_DNR;
    }
    n->cqs[id] = (NvmeCq){ .base = load_le64(c->entry + 24),
                           .size = (nvme_dw(c, 10) >> 16) + 1,
                           .vector = (uint16_t)vector,
                           .interrupts = nvme_dw(c, 11) & QUEUE_INTERRUPTS,
                           .phase = 1 };
    return NVME_SUCCESS;
}

static uint16_t create_sq(Nvme *n, const NvmeCommand *c)
{
    uint32_t id = nvme_dw(c, 10) & 0xffff, cq = nvme_dw(c, 11) >> 16;
    bool exists = id < n->queue_count && n->sqs[id].size;
    uint16_t status = check_new_queue(n, c, exists, CC_SQ_ENTRY_SHIFT, NVME_SQ_ENTRY);

    if (status) {
        return status;
    }
    if (!cq || cq >= n->queue_count || !n->cqs[cq].size) {
        return NVME_INVALID_CQ | NVME_DNR;
    }
    n->sqs[id] = (NvmeSq){ .base = load_le64(c->entry + 24),
                           .size = (nvme_dw(c, 10) >> 16) + 1,
                           .cq = (uint16_t)cq };
    return NVME_SUCCESS;
}

/* Waits for what is in the block layer; nvme_run starts the command again until nothing is. */
static uint16_t delete_sq(Nvme *n, const NvmeCommand *c)
{
    uint32_t id = nvme_dw(c, 10) & 0xffff;

    if (!id || id >= n->queue_count || !n->sqs[id].size) {
        return NVME_INVALID_QUEUE_ID | NVME_DNR;
    }
    return nvme_delete_sq(n, id) ? NVME_SUCCESS : NVME_PENDING;
}

static uint16_t delete_cq(Nvme *n, const NvmeCommand *c)
{
    uint32_t id = nvme_dw(c, 10) & 0xffff;

    if (!id || id >= n->queue_count || !n->cqs[id].size) {
        return NVME_INVALID_QUEUE_ID | NVME_DNR;
    }
    for (unsigned i = 0; i < n->queue_count; i++) {
        if (n->sqs[i].size && n->sqs[i].cq == id) {
            return NVME_INVALID_DELETION | NVME_DNR;
        }
    }
    n->cqs[id] = (NvmeCq){ 0 };
    return NVME_SUCCESS;
}

/* --- asynchronous events (5.2) --- */

static NvmeCommand *event_request(Nvme *n, unsigned *count)
{
    NvmeCommand *found = NULL;

    *count = 0;
    for (unsigned i = 0; i < NVME_COMMANDS; i++) {
        NvmeCommand *c = &n->commands[i];

        if (c->state == NVME_STARTED && !c->sq && nvme_opcode(c) == EVENT_REQUEST) {
            found = c;
            ++*count;
        }
    }
    return found;
}

bool nvme_tell_events(Nvme *n)
{
    unsigned i = 0, count;
    NvmeCommand *c = event_request(n, &count);
    NvmeEvent event;

    while (i < n->event_count && n->events_masked >> n->events[i].type & 1) {
        i++;
    }
    if (!c || i == n->event_count) {
        return false;
    }
    event = n->events[i];
    n->events_masked |= (uint8_t)(1u << event.type);
    n->event_count--;
    memmove(&n->events[i], &n->events[i + 1], (n->event_count - i) * sizeof event);
    nvme_end(n, c, NVME_SUCCESS,
             event.type | (uint32_t)event.info << 8 | (uint32_t)event.page << 16);
    return true;
}

void nvme_event(Nvme *n, uint8_t type, uint8_t info, uint8_t page)
{
    for (unsigned i = 0; i < n->event_count; i++) {
        if (n->events[i].type == type && n->events[i].info == info) {
            return;
        }
    }
    if (n->event_count < NVME_EVENTS) {
        n->events[n->event_count++] = (NvmeEvent){ type, info, page };
    }
}

void nvme_unmask_event(Nvme *n, uint8_t type)
{
    n->events_masked &= (uint8_t) ~(1u << type);
}

/* nvme_run ends it, as soon as there is something to tell. */
static uint16_t request_event(Nvme *n, const NvmeCommand *c)
{
    unsigned count;

    event_request(n, &count);
    return count > n->aerl + 1u ? NVME_EVENT_LIMIT | NVME_DNR : NVME_PENDING;
}

/* --- */

/* An event request can be ended; what is in the block layer is too far (5.1: the host must not rely on it). */
static uint16_t abort_command(Nvme *n, const NvmeCommand *c, uint32_t *result)
{
    uint32_t sq = nvme_dw(c, 10) & 0xffff, id = nvme_dw(c, 10) >> 16;

    *result = NOT_ABORTED;
    for (unsigned i = 0; i < NVME_COMMANDS && !sq; i++) {
        NvmeCommand *other = &n->commands[i];

        if (other != c && other->state == NVME_STARTED && !other->sq &&
            nvme_opcode(other) == EVENT_REQUEST && load_le16(other->entry + 2) == id) {
            *result = 0;
            nvme_end(n, other, NVME_ABORT_REQUESTED, 0);
            break;
        }
    }
    return NVME_SUCCESS;
}

uint16_t nvme_admin(Nvme *n, NvmeCommand *c, uint32_t *result)
{
    switch (nvme_opcode(c)) {
    case DELETE_SQ:
        return delete_sq(n, c);
    case CREATE_SQ:
        return create_sq(n, c);
    case GET_LOG:
        return nvme_get_log(n, c);
    case DELETE_CQ:
        return delete_cq(n, c);
    case CREATE_CQ:
        return create_cq(n, c);
    case IDENTIFY:
        return nvme_identify(n, c);
    case ABORT:
        return abort_command(n, c, result);
    case SET_FEATURES:
        return nvme_set_feature(n, c, result);
    case GET_FEATURES:
        return nvme_get_feature(n, c, result);
    case EVENT_REQUEST:
        return request_event(n, c);
    case SELF_TEST:
        return nvme_self_test(n, c);
    case FORMAT:
        return nvme_format(n, c);
    default:
        return NVME_INVALID_OPCODE | NVME_DNR;
    }
}

void nvme_admin_effects(uint8_t *page)
{
    static const uint8_t opcodes[] = { DELETE_SQ,    CREATE_SQ,     GET_LOG,  DELETE_CQ,
                                       CREATE_CQ,    IDENTIFY,      ABORT,    SET_FEATURES,
                                       GET_FEATURES, EVENT_REQUEST, SELF_TEST };

    for (unsigned i = 0; i < ARRAY_SIZE(opcodes); i++) {
        store_le32(page + opcodes[i] * 4, EFFECT_SUPPORTED);
    }
    store_le32(page + FORMAT * 4,
               EFFECT_SUPPORTED | EFFECT_CONTENT | EFFECT_NAMESPACE | EFFECT_ALONE);
}
