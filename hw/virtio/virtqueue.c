/* SPDX-License-Identifier: MIT */
/*
 * Split virtqueues (Virtio 1.2, 2.7) with event indices and indirect descriptors.
 *
 * Everything in a ring is the guest's and may change under our hands: each value is read once, into a
 * local copy, and checked there. Work per chain, chains per run and chains in flight are bounded.
 * Packed rings (2.8) are not offered.
 */
#include "hw/virtio/virtio.h"

#include <stdatomic.h>

#include "machine/debug.h"
#include "machine/machine.h"

enum {
    DESCRIPTOR_SIZE = 16,
    DESCRIPTOR_NEXT = 1,
    DESCRIPTOR_WRITE = 2,
    DESCRIPTOR_INDIRECT = 4,
    AVAILABLE_NO_INTERRUPT = 1,
    USED_NO_NOTIFY = 1,
    RING_FLAGS = 0,
    RING_INDEX = 2,
    RING_ENTRIES = 4,
    AVAILABLE_ENTRY_SIZE = 2,
    USED_ENTRY_SIZE = 8,
    /* How many chains one run of a handler takes before it lets others have the machine lock. */
    RUN_BUDGET = 1024,
};

typedef struct {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
} Descriptor;

/* A chain while it is being walked. */
typedef struct {
    struct iovec iov[VIRTIO_MAX_SEGMENTS];
    uint64_t address[VIRTIO_MAX_SEGMENTS];
    unsigned out_count, in_count;
    uint64_t out_bytes, in_bytes;
} Chain;

static uint16_t ring_load(const uint8_t *ring, unsigned offset)
{
    return atomic_load_explicit((const _Atomic uint16_t *)(ring + offset), memory_order_acquire);
}

static void ring_store(uint8_t *ring, unsigned offset, uint16_t value)
{
    atomic_store_explicit((_Atomic uint16_t *)(ring + offset), value, memory_order_release);
}

static AddressSpace *dma_space(VirtioDevice *virtio)
{
    return &virtio_machine(virtio)->memory_space;
}

static uint64_t map_generation(VirtioDevice *virtio)
{
    return atomic_load_explicit(&dma_space(virtio)->view, memory_order_acquire)->generation;
}

/* The host address of guest memory; *size is shrunk to what is contiguous. NULL: not RAM. */
static void *map(VirtioDevice *virtio, uint64_t address, uint64_t *size, bool write)
{
    uint64_t generation = map_generation(virtio);
    uint64_t extent = MIN(UINT64_MAX - address, (uint64_t)1 << 40);
    uint8_t *host;

    if (virtio->window_generation == generation && address >= virtio->window_start &&
        address - virtio->window_start < virtio->window_size) {
        *size = MIN(*size, virtio->window_size - (address - virtio->window_start));
        return virtio->window_host + (address - virtio->window_start);
    }
    host = address_space_map(dma_space(virtio), address, &extent, true);
    if (!host) {
        return write ? NULL : address_space_map(dma_space(virtio), address, size, false);
    }
    virtio->window_generation = generation;
    virtio->window_start = address;
    virtio->window_size = extent;
    virtio->window_host = host;
    *size = MIN(*size, extent);
    return host;
}

static void *map_all(VirtioDevice *virtio, uint64_t address, uint64_t size, bool write)
{
    uint64_t mapped = size;
    void *host = map(virtio, address, &mapped, write);

    return mapped == size ? host : NULL;
}

/* Ring addresses to host addresses; false (and a broken device) when they are unusable. */
static bool map_rings(VirtQueue *queue)
{
    VirtioDevice *virtio = queue->virtio;
    const VirtQueueState *s = queue->state;
    uint64_t generation = map_generation(virtio);

    if (queue->mapped && queue->map_generation == generation) {
        return true;
    }
    queue->mapped = false;
    if (s->descriptors % 16 || s->available % 2 || s->used % 4) {
        virtio_fail(virtio, "queue %u has misaligned rings", queue->index);
        return false;
    }
    queue->descriptors = map_all(virtio, s->descriptors, DESCRIPTOR_SIZE * s->size, false);
    /* Event indices follow the entries of both rings. */
    queue->available =
        map_all(virtio, s->available, RING_ENTRIES + AVAILABLE_ENTRY_SIZE * s->size + 2, false);
    queue->used = map_all(virtio, s->used, RING_ENTRIES + USED_ENTRY_SIZE * s->size + 2, true);
    if (!queue->descriptors || !queue->available || !queue->used) {
        virtio_fail(virtio, "queue %u has rings outside of RAM", queue->index);
        return false;
    }
    queue->mapped = true;
    queue->map_generation = generation;
    return true;
}

static bool queue_usable(VirtQueue *queue)
{
    const VirtioDevice *virtio = queue->virtio;

    return queue->state->enabled && queue->state->size && !virtio->broken && virtio->dma_allowed &&
           map_rings(queue);
}

static unsigned used_event_offset(const VirtQueue *queue)
{
    return RING_ENTRIES + AVAILABLE_ENTRY_SIZE * queue->state->size;
}

static unsigned available_event_offset(const VirtQueue *queue)
{
    return RING_ENTRIES + USED_ENTRY_SIZE * queue->state->size;
}

bool virtqueue_empty(VirtQueue *queue)
{
    return !queue_usable(queue) ||
           ring_load(queue->available, RING_INDEX) == queue->state->last_available;
}

static Descriptor load_descriptor(const uint8_t *table, unsigned index)
{
    uint64_t raw[2];

    memcpy(raw, table + (size_t)DESCRIPTOR_SIZE * index, sizeof raw);
    /* One read of each: the checks must see what is used. */
    __asm__ volatile("" : "+r"(raw[0]), "+r"(raw[1]));
    return (Descriptor){
        .address = raw[0],
        .length = (uint32_t)raw[1],
        .flags = (uint16_t)(raw[1] >> 32),
        .next = (uint16_t)(raw[1] >> 48),
    };
}

/* Adds one buffer to the chain, in as many pieces as its host memory has. */
static bool chain_add(VirtQueue *queue, Chain *chain, const Descriptor *descriptor)
{
    bool in = descriptor->flags & DESCRIPTOR_WRITE;
    uint64_t address = descriptor->address;
    uint64_t left = descriptor->length;

    if (!in && chain->in_count) {
        virtio_fail(queue->virtio, "queue %u: readable buffer after a writable one", queue->index);
        return false;
    }
    while (left) {
        unsigned index = chain->out_count + chain->in_count;
        uint64_t size = left;
        void *host = map(queue->virtio, address, &size, in);

        if (!host || !size || index == VIRTIO_MAX_SEGMENTS) {
            virtio_fail(queue->virtio, "queue %u: buffer at %#llx, %u bytes: %s", queue->index,
                        (unsigned long long)descriptor->address, descriptor->length,
                        host && size ? "too many buffers in a chain" : "not in RAM");
            return false;
        }
        chain->iov[index] = (struct iovec){ .iov_base = host, .iov_len = size };
        chain->address[index] = address;
        if (in) {
            chain->in_count++;
            chain->in_bytes += size;
        } else {
            chain->out_count++;
            chain->out_bytes += size;
            debug_dma(&queue->virtio->pci.device, address, size, false);
        }
        address += size;
        left -= size;
    }
    return true;
}

/* Checks an indirect descriptor and gives its table. */
static const uint8_t *indirect_table(VirtQueue *queue, const Descriptor *descriptor, unsigned *size)
{
    const uint8_t *table;

    if (!virtio_has_feature(queue->virtio, VIRTIO_F_INDIRECT_DESC) ||
        (descriptor->flags & DESCRIPTOR_NEXT) || !descriptor->length ||
        descriptor->length % DESCRIPTOR_SIZE) {
        virtio_fail(queue->virtio, "queue %u: bad indirect descriptor (flags %#x, length %u)",
                    queue->index, descriptor->flags, descriptor->length);
        return NULL;
    }
    table = map_all(queue->virtio, descriptor->address, descriptor->length, false);
    if (!table) {
        virtio_fail(queue->virtio, "queue %u: indirect table at %#llx is not in RAM", queue->index,
                    (unsigned long long)descriptor->address);
    }
    *size = descriptor->length / DESCRIPTOR_SIZE;
    return table;
}

static bool walk(VirtQueue *queue, unsigned head, Chain *chain)
{
    const uint8_t *table = queue->descriptors;
    unsigned table_size = queue->state->size;
    unsigned index = head;
    bool indirect = false;

    for (unsigned steps = 0; steps < VIRTIO_MAX_SEGMENTS; steps++) {
        Descriptor descriptor = load_descriptor(table, index);

        if (descriptor.flags & DESCRIPTOR_INDIRECT) {
            if (indirect) {
                virtio_fail(queue->virtio, "queue %u: nested indirect descriptors", queue->index);
                return false;
            }
            table = indirect_table(queue, &descriptor, &table_size);
            if (!table) {
                return false;
            }
            indirect = true;
            index = 0;
            continue;
        }
        if (!chain_add(queue, chain, &descriptor)) {
            return false;
        }
        if (!(descriptor.flags & DESCRIPTOR_NEXT)) {
            return true;
        }
        index = descriptor.next;
        if (index >= table_size) {
            virtio_fail(queue->virtio, "queue %u: descriptor %u of %u", queue->index, index,
                        table_size);
            return false;
        }
    }
    virtio_fail(queue->virtio, "queue %u: descriptor chain is looped or too long", queue->index);
    return false;
}

static VirtioElement *new_element(VirtQueue *queue, unsigned head, const Chain *chain)
{
    unsigned count = chain->out_count + chain->in_count;
    size_t iov_bytes = sizeof(struct iovec) * count;
    size_t address_bytes = sizeof(uint64_t) * chain->in_count;
    VirtioElement *e =
        g_malloc(sizeof *e + iov_bytes + address_bytes + sizeof(uint32_t) * chain->in_count);

    *e = (VirtioElement){
        .queue = queue,
        .generation = queue->generation,
        .head = head,
        .out_count = chain->out_count,
        .in_count = chain->in_count,
        .out_bytes = chain->out_bytes,
        .in_bytes = chain->in_bytes,
        .out = (struct iovec *)(e + 1),
    };
    e->in = e->out + e->out_count;
    e->in_address = (uint64_t *)(e->in + e->in_count);
    e->in_length = (uint32_t *)(e->in_address + e->in_count);
    memcpy(e->out, chain->iov, iov_bytes);
    memcpy(e->in_address, chain->address + chain->out_count, address_bytes);
    for (unsigned i = 0; i < chain->in_count; i++) {
        e->in_length[i] = (uint32_t)chain->iov[chain->out_count + i].iov_len;
    }
    return e;
}

VirtioElement *virtqueue_take(VirtQueue *queue, unsigned head)
{
    VirtioElement *element;
    Chain chain;

    if (!queue_usable(queue) || head >= queue->state->size ||
        queue->in_flight >= queue->state->size) {
        virtio_fail(queue->virtio, "queue %u: head %u of %u, %u in flight", queue->index, head,
                    queue->state->size, queue->in_flight);
        return NULL;
    }
    chain.out_count = chain.in_count = 0;
    chain.out_bytes = chain.in_bytes = 0;
    if (!walk(queue, head, &chain)) {
        return NULL;
    }
    queue->in_flight++;
    element = new_element(queue, head, &chain);
    virtqueue_track(element);
    return element;
}

VirtioElement *virtqueue_pop(VirtQueue *queue)
{
    VirtQueueState *s = queue->state;
    VirtioElement *element;
    uint16_t waiting;
    unsigned head;

    if (virtqueue_empty(queue)) {
        return NULL;
    }
    waiting = (uint16_t)(ring_load(queue->available, RING_INDEX) - s->last_available);
    if (waiting > s->size) {
        virtio_fail(queue->virtio, "queue %u: %u chains made available, size %u", queue->index,
                    waiting, s->size);
        return NULL;
    }
    head = ring_load(queue->available,
                     RING_ENTRIES + AVAILABLE_ENTRY_SIZE * (s->last_available % s->size));
    element = virtqueue_take(queue, head);
    s->last_available += element != NULL;
    return element;
}

void virtqueue_free_element(VirtioElement *element)
{
    VirtQueue *queue = element->queue;

    virtqueue_untrack(element);
    if (element->generation == queue->generation) {
        queue->in_flight--;
    } else {
        queue->orphans--;
    }
    g_free(element);
}

void virtqueue_unpop(VirtQueue *queue, VirtioElement *element)
{
    if (element->generation == queue->generation) {
        queue->state->last_available--;
    }
    virtqueue_free_element(element);
}

/* Tells the dirty bitmaps and the translator which bytes of the in-buffers have changed. */
static void mark_dirty(VirtioElement *element, uint64_t written)
{
    AddressSpace *space = dma_space(element->queue->virtio);

    for (unsigned i = 0; i < element->in_count && written; i++) {
        uint64_t size = MIN(written, element->in_length[i]);

        address_space_written(space, &element->queue->virtio->pci.device, element->in_address[i],
                              size);
        written -= size;
    }
}

void virtqueue_fill(VirtioElement *element, uint32_t written, unsigned ahead)
{
    VirtQueue *queue = element->queue;
    VirtQueueState *s = queue->state;

    if (element->generation == queue->generation && queue_usable(queue)) {
        unsigned slot = (uint16_t)(s->used_index + ahead) % s->size;
        uint8_t *entry = queue->used + RING_ENTRIES + USED_ENTRY_SIZE * slot;

        store_le32(entry, element->head);
        store_le32(entry + 4, written);
        mark_dirty(element, written);
    }
    virtqueue_free_element(element);
}

void virtqueue_publish(VirtQueue *queue, unsigned count)
{
    VirtQueueState *s = queue->state;

    if (!queue_usable(queue)) {
        return;
    }
    s->used_index += count;
    ring_store(queue->used, RING_INDEX, s->used_index);
    address_space_written(dma_space(queue->virtio), &queue->virtio->pci.device, s->used,
                          RING_ENTRIES + USED_ENTRY_SIZE * s->size + 2);
}

void virtqueue_push(VirtioElement *element, uint32_t written)
{
    VirtQueue *queue = element->queue;
    bool current = element->generation == queue->generation;

    virtqueue_fill(element, written, 0);
    if (current) {
        virtqueue_publish(queue, 1);
    }
}

static bool wants_interrupt(VirtQueue *queue)
{
    VirtQueueState *s = queue->state;
    uint16_t old = s->signalled_used, new = s->used_index;
    uint16_t event;
    bool valid = s->signalled_valid;

    /* The used index must be visible before the driver's wish is read (2.7.10). */
    atomic_thread_fence(memory_order_seq_cst);
    if (!virtio_has_feature(queue->virtio, VIRTIO_F_EVENT_IDX)) {
        return !(ring_load(queue->available, RING_FLAGS) & AVAILABLE_NO_INTERRUPT);
    }
    s->signalled_used = new;
    s->signalled_valid = true;
    event = ring_load(queue->available, used_event_offset(queue));
    return !valid || (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

void virtqueue_notify(VirtQueue *queue)
{
    if (queue_usable(queue) && wants_interrupt(queue)) {
        queue->virtio->transport->notify_queue(queue->virtio, queue);
    }
}

bool virtqueue_unseen(VirtQueue *queue)
{
    return queue_usable(queue) && virtio_has_feature(queue->virtio, VIRTIO_F_EVENT_IDX) &&
           ring_load(queue->available, used_event_offset(queue)) != queue->state->used_index;
}

void virtqueue_want_kicks(VirtQueue *queue, bool on)
{
    if (!queue_usable(queue)) {
        return;
    }
    if (virtio_has_feature(queue->virtio, VIRTIO_F_EVENT_IDX)) {
        if (on) {
            /* At the next chain beyond all that are there: the device may have left some of them. */
            ring_store(queue->used, available_event_offset(queue),
                       ring_load(queue->available, RING_INDEX));
        }
    } else {
        ring_store(queue->used, RING_FLAGS, on ? 0 : USED_NO_NOTIFY);
    }
    if (on) {
        /* The wish must be visible before the queue is looked at again. */
        atomic_thread_fence(memory_order_seq_cst);
    }
}

static void run_deferred(void *opaque)
{
    VirtQueue *queue = opaque;

    if (queue->kick_deferred) {
        queue->kick_deferred = false;
        virtio_kick(queue->virtio, queue->index);
    }
}

void virtqueue_defer(VirtQueue *queue)
{
    if (!queue->kick_deferred) {
        queue->kick_deferred = true;
        machine_defer(virtio_machine(queue->virtio), run_deferred, queue);
    }
}

void virtqueue_process(VirtQueue *queue, bool (*take)(VirtQueue *queue, VirtioElement *element))
{
    unsigned budget = RUN_BUDGET;
    bool more = true;

    do {
        VirtioElement *element;

        virtqueue_want_kicks(queue, false);
        while (more && budget && (element = virtqueue_pop(queue))) {
            more = take(queue, element);
            budget--;
        }
        virtqueue_want_kicks(queue, true);
    } while (more && budget && !virtqueue_empty(queue));
    virtqueue_notify(queue);
    if (!budget) {
        virtqueue_defer(queue);
    }
}

bool virtqueue_set_size(VirtQueue *queue, unsigned size)
{
    if (queue->state->enabled || !is_power_of_two(size) || size > queue->maximum_size) {
        log_guest_error(virtio_name(queue->virtio), "queue %u: size %u refused", queue->index,
                        size);
        return false;
    }
    queue->state->size = size;
    return true;
}

void virtqueue_enable(VirtQueue *queue)
{
    if (!queue->state->enabled) {
        queue->state->enabled = true;
        queue->mapped = false;
    }
}

void virtqueue_enable_legacy(VirtQueue *queue, uint64_t address, uint64_t alignment)
{
    VirtQueueState *s = queue->state;

    if (!address) {
        virtio_reset_queue(queue);
        return;
    }
    s->descriptors = address;
    s->available = address + (uint64_t)DESCRIPTOR_SIZE * s->size;
    s->used = align_up(s->available + RING_ENTRIES + AVAILABLE_ENTRY_SIZE * s->size + 2, alignment);
    s->enabled = true;
    queue->mapped = false;
}

void virtqueue_orphan(VirtQueue *queue)
{
    virtqueue_forget_taken(queue);
    queue->orphans += queue->in_flight;
    queue->in_flight = 0;
    queue->generation++;
}

void virtqueue_reset(VirtQueue *queue)
{
    virtqueue_orphan(queue);
    queue->mapped = false;
    queue->kick_deferred = false;
    *queue->state = (VirtQueueState){ .size = queue->maximum_size, .vector = VIRTIO_NO_VECTOR };
}

const StateField virtqueue_state_fields[] = {
    STATE(VirtQueueState, descriptors),
    STATE(VirtQueueState, available),
    STATE(VirtQueueState, used),
    STATE_MOST(VirtQueueState, size, VIRTIO_MAX_QUEUE_SIZE),
    STATE(VirtQueueState, last_available),
    STATE(VirtQueueState, used_index),
    STATE(VirtQueueState, signalled_used),
    STATE(VirtQueueState, vector),
    STATE_MOST(VirtQueueState, enabled, 1),
    STATE_MOST(VirtQueueState, signalled_valid, 1),
    { 0 },
};

/* A kick that waited for the main loop waits again after loading; what is in flight is the device's affair. */
const StateField virtqueue_fields[] = {
    STATE_MOST(VirtQueue, kick_deferred, 1),
    STATE_DERIVED(VirtQueue, in_flight),
    STATE_DERIVED(VirtQueue, taken),
    STATE_DERIVED(VirtQueue, generation),
    STATE_DERIVED(VirtQueue, descriptors),
    STATE_DERIVED(VirtQueue, available),
    STATE_DERIVED(VirtQueue, used),
    STATE_DERIVED(VirtQueue, map_generation),
    STATE_DERIVED(VirtQueue, mapped),
    STATE_DERIVED(VirtQueue, running),
    STATE_DERIVED(VirtQueue, signal),
    STATE_DERIVED(VirtQueue, orphans),
    { 0 },
};
