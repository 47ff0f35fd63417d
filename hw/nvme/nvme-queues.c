/* SPDX-License-Identifier: MIT */
/*
 * Queues (NVM Express 1.4, 4.1): commands are taken from submission queues as long as there is room for what is under way, and their
 * completions wait where the completion queue is full.
 */
#include <string.h>

#include "hw/nvme/nvme.h"
#include "machine/machine.h"

enum {
    ERROR_INVALID_DOORBELL = 0,
    ERROR_INVALID_VALUE = 1,
    ERROR_LOG = 1,
};

void nvme_fail(Nvme *n, const char *why)
{
    log_guest_error("nvme", "%s: the controller stops", why);
    n->csts |= NVME_CSTS_FATAL;
}

/* --- completions --- */

void nvme_update_irq(Nvme *n)
{
    bool level = false;

    for (unsigned i = 0; i < n->queue_count; i++) {
        const NvmeCq *cq = &n->cqs[i];

        level |= cq->size && cq->interrupts && cq->head != cq->tail && cq->vector < 32 &&
                 !(n->mask >> cq->vector & 1);
    }
    pci_set_irq(&n->pci, level && !pci_msix_enabled(&n->pci));
}

static bool cq_full(const NvmeCq *cq)
{
    return (cq->tail + 1) % cq->size == cq->head;
}

/* The phase bit tells the driver that the entry is there, so it comes last. */
static bool write_entry(Nvme *n, const NvmeCq *cq, const NvmeCommand *c)
{
    uint64_t at = cq->base + (uint64_t)cq->tail * NVME_CQ_ENTRY;
    uint8_t entry[NVME_CQ_ENTRY] = { 0 };
    bool good;

    store_le32(entry, c->result);
    store_le16(entry + 8, (uint16_t)n->sqs[c->sq].head);
    store_le16(entry + 10, c->sq);
    memcpy(entry + 12, c->entry + 2, 2);
    store_le16(entry + 14, (uint16_t)(c->status << 1 | cq->phase));
    good = nvme_write_memory(n, at, entry, 12);
    atomic_thread_fence(memory_order_release);
    return good && nvme_write_memory(n, at + 12, entry + 12, 4);
}

/* False: the queue is full, and the command keeps its answer. */
static bool post(Nvme *n, NvmeCommand *c)
{
    NvmeCq *cq = &n->cqs[n->sqs[c->sq].cq];

    if (!cq->size || cq_full(cq)) {
        return false;
    }
    if (!write_entry(n, cq, c)) {
        nvme_fail(n, "a completion queue is not in memory");
    }
    cq->tail = (cq->tail + 1) % cq->size;
    cq->phase ^= cq->tail == 0;
    c->state = NVME_FREE;
    memset(c->entry, 0, sizeof c->entry);
    if (cq->interrupts && pci_msix_enabled(&n->pci)) {
        pci_msix_notify(&n->pci, cq->vector);
    }
    return true;
}

bool nvme_delete_sq(Nvme *n, unsigned index)
{
    n->sqs[index].deleting = true;
    for (unsigned i = 0; i < NVME_COMMANDS; i++) {
        if (n->commands[i].state == NVME_STARTED && n->commands[i].sq == index) {
            return false;
        }
    }
    for (unsigned i = 0; i < NVME_COMMANDS; i++) {
        if (n->commands[i].sq == index) {
            n->commands[i].state = NVME_FREE;
        }
    }
    n->sqs[index] = (NvmeSq){ 0 };
    return true;
}

static void answer(Nvme *n, NvmeCommand *c, uint16_t status, uint32_t result)
{
    c->request = NULL;
    c->state = NVME_ENDED;
    c->status = status;
    c->result = result;
    trace("nvme", "queue %u command %u ends: status %#x", c->sq, load_le16(c->entry + 2), status);
    post(n, c);
}

/* --- submissions --- */

static NvmeCommand *free_command(Nvme *n, unsigned sq)
{
    unsigned first = sq ? NVME_ADMIN_COMMANDS : 0;

    for (unsigned i = first; i < NVME_COMMANDS; i++) {
        if (n->commands[i].state == NVME_FREE) {
            return &n->commands[i];
        }
    }
    return NULL;
}

static void start(Nvme *n, NvmeCommand *c)
{
    uint32_t result = 0;
    uint16_t status = c->sq ? nvme_io(n, c) : nvme_admin(n, c, &result);

    if (status != NVME_PENDING) {
        answer(n, c, status, result);
    }
}

/* False: there is none, or no room for it. */
static bool take(Nvme *n, unsigned index)
{
    NvmeSq *sq = &n->sqs[index];
    NvmeCommand *c;

    if (!sq->size || sq->head == sq->tail || sq->deleting || !nvme_is_ready(n)) {
        return false;
    }
    c = free_command(n, index);
    if (!c) {
        return false;
    }
    if (!nvme_read_memory(n, sq->base + (uint64_t)sq->head * NVME_SQ_ENTRY, c->entry,
                          sizeof c->entry)) {
        nvme_fail(n, "a submission queue is not in memory");
        return false;
    }
    sq->head = (sq->head + 1) % sq->size;
    c->state = NVME_STARTED;
    c->sq = (uint16_t)index;
    c->status = 0;
    c->result = 0;
    start(n, c);
    return true;
}

/* Whether something has happened. Commands that wait for others are looked at again: the deletion of a queue. */
static bool run_once(Nvme *n)
{
    bool any = false;

    for (unsigned i = 0; i < n->queue_count; i++) {
        while (take(n, i)) {
            any = true;
        }
    }
    for (unsigned i = 0; i < NVME_ADMIN_COMMANDS; i++) {
        NvmeCommand *c = &n->commands[i];

        if (c->state == NVME_STARTED && !c->sq && !nvme_opcode(c)) {
            start(n, c);
            any |= c->state != NVME_STARTED;
        }
    }
    return any;
}

static void each_drive(Nvme *n, void (*fn)(BlockBackend *drive))
{
    for (unsigned i = 0; i < n->namespace_end; i++) {
        if (n->namespaces[i]) {
            fn(n->namespaces[i]->disk.drive);
        }
    }
}

/* Nothing that it writes can make it do more: doorbells are not heard meanwhile. */
void nvme_run(Nvme *n)
{
    if (n->running) {
        return;
    }
    n->running = true;
    each_drive(n, block_plug);
    while (run_once(n) || nvme_tell_events(n)) {
    }
    each_drive(n, block_unplug);
    n->running = false;
    nvme_update_irq(n);
}

void nvme_end(Nvme *n, NvmeCommand *c, uint16_t status, uint32_t result)
{
    bool running = n->running;

    n->running = true;
    answer(n, c, status, result);
    n->running = running;
    nvme_run(n);
}

void nvme_resume(Nvme *n)
{
    bool running = n->running;

    n->running = true;
    for (unsigned i = 0; i < NVME_COMMANDS; i++) {
        NvmeCommand *c = &n->commands[i];

        if (c->state == NVME_STARTED && !c->request) {
            start(n, c);
        }
    }
    n->running = running;
    nvme_run(n);
}

void nvme_forget(Nvme *n)
{
    memset(n->sqs, 0, n->queue_count * sizeof *n->sqs);
    memset(n->cqs, 0, n->queue_count * sizeof *n->cqs);
    for (unsigned i = 0; i < NVME_COMMANDS; i++) {
        n->orphans += n->commands[i].request != NULL;
    }
    /* Requests find by this that theirs is another command now, or none. */
    memset(n->commands, 0, sizeof n->commands);
    n->event_count = n->events_masked = 0;
}

/* --- doorbells (3.1.24) --- */

static void sq_doorbell(Nvme *n, NvmeSq *sq, uint32_t value)
{
    sq->tail = value;
    nvme_run(n);
    if (n->in_flight) {
        each_drive(n, block_deliver);
    }
}

static void cq_doorbell(Nvme *n, unsigned index, uint32_t value)
{
    n->cqs[index].head = value;
    n->running = true;
    for (unsigned i = 0; i < NVME_COMMANDS; i++) {
        NvmeCommand *c = &n->commands[i];

        if (c->state == NVME_ENDED && n->sqs[c->sq].cq == index && !post(n, c)) {
            break;
        }
    }
    n->running = false;
    nvme_run(n);
}

void nvme_doorbell(Nvme *n, unsigned index, uint32_t value)
{
    unsigned queue = index / 2;
    bool completion = index & 1;
    uint32_t size = queue >= n->queue_count ? 0
                    : completion            ? n->cqs[queue].size
                                            : n->sqs[queue].size;

    if (n->running) {
        log_guest_error("nvme", "the controller's own memory accesses reach its doorbells");
        return;
    }
    if (!nvme_is_ready(n)) {
        log_guest_error("nvme", "a doorbell rings while the controller is not ready");
    } else if (value >= size) {
        log_guest_error("nvme", "%u at the doorbell of %s queue %u of %u entries", value,
                        completion ? "completion" : "submission", queue, size);
        nvme_event(n, NVME_EVENT_ERROR, size ? ERROR_INVALID_VALUE : ERROR_INVALID_DOORBELL,
                   ERROR_LOG);
        nvme_run(n);
    } else if (completion) {
        cq_doorbell(n, queue, value);
    } else {
        sq_doorbell(n, &n->sqs[queue], value);
    }
}
