/* SPDX-License-Identifier: MIT */
/* The 82574L's receiver: two queues by hash (7.1.11), extended and packet split descriptors (7.1.4, 7.1.5). */
#include <string.h>

#include "hw/net/e1000e.h"
#include "machine/machine.h"

enum {
    RCTL_TYPE_MASK = 3 << 10,
    RCTL_TYPE_SPLIT = 1 << 10,
    RCTL_FLEXIBLE_SHIFT = 27,
    RFCTL_EXTENDED = 1 << 15,
    RXCSUM_PCSD = 1 << 13,
    MRQC_ENABLE_MASK = 3,
    MRQC_RSS = 1,
    MRQC_TCP_IPV4 = 1 << 16,
    MRQC_IPV4 = 1 << 17,
    MRQC_TCP_IPV6 = 1 << 18,
    MRQC_IPV6_EX = 1 << 19,
    MRQC_IPV6 = 1 << 20,

    /* What a hash is of, as descriptors say it. */
    HASH_NONE = 0,
    HASH_TCP_IPV4 = 1,
    HASH_IPV4 = 2,
    HASH_TCP_IPV6 = 3,
    HASH_IPV6_EX = 4,
    HASH_IPV6 = 5,
    HASH_INPUT = 36,

    STATUS_IPIDV = 1 << 9,
    STATUS_UDPV = 1 << 10,
    ERRORS_SHIFT = 24,
    HEADER_SPLIT = 1 << 15,
    BUFFERS = 4,
    SPLIT_DESCRIPTOR = 32,
};

/* How a frame goes into descriptors that are not legacy. */
typedef struct {
    const E1000Incoming *in;
    unsigned queue, hash_type;
    uint32_t hash;
    bool split; /* descriptors have four buffers */
    uint32_t
        header; /* bytes that go to the first buffer alone; 0: the buffers are filled in a row */
    uint32_t sizes[BUFFERS];
} Delivery;

/* --- hash --- */

uint32_t e1000e_hash(const uint32_t key[E1000E_HASH_KEY], const uint8_t *input, unsigned size)
{
    uint8_t bytes[E1000E_HASH_KEY * 4];
    uint32_t hash = 0;
    uint64_t window;

    for (unsigned i = 0; i < E1000E_HASH_KEY; i++) {
        store_le32(bytes + i * 4, key[i]);
    }
    window = load_be64(bytes);
    for (unsigned i = 0; i < size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            if (input[i] << bit & 0x80) {
                hash ^= window << bit >> 32;
            }
        }
        window = window << 8 | (i + 8 < sizeof bytes ? bytes[i + 8] : 0);
    }
    return hash;
}

static unsigned hash_type(const E1000E *e, const E1000Layers *layers)
{
    bool tcp = layers->protocol == E1000_PROTOCOL_TCP;

    if (layers->is_ipv4) {
        return tcp && e->mrqc & MRQC_TCP_IPV4 ? HASH_TCP_IPV4
               : e->mrqc & MRQC_IPV4          ? HASH_IPV4
                                              : HASH_NONE;
    }
    if (!layers->is_ipv6) {
        return HASH_NONE;
    }
    return tcp && e->mrqc & MRQC_TCP_IPV6 ? HASH_TCP_IPV6
           : e->mrqc & MRQC_IPV6_EX       ? HASH_IPV6_EX
           : e->mrqc & MRQC_IPV6          ? HASH_IPV6
                                          : HASH_NONE;
}

static bool uses_hash(const E1000E *e)
{
    return (e->mrqc & MRQC_ENABLE_MASK) == MRQC_RSS && e->core.rxcsum & RXCSUM_PCSD &&
           e->rfctl & RFCTL_EXTENDED;
}

static void choose_queue(const E1000E *e, Delivery *d)
{
    const E1000Layers *layers = &d->in->layers;
    const uint8_t *frame = d->in->bytes;
    uint8_t input[HASH_INPUT];
    unsigned size;

    d->hash_type = uses_hash(e) ? hash_type(e, layers) : HASH_NONE;
    if (d->hash_type == HASH_NONE) {
        return;
    }
    size = layers->is_ipv4 ? 8 : 32;
    memcpy(input, frame + layers->ip + (layers->is_ipv4 ? 12 : 8), size);
    if (d->hash_type == HASH_TCP_IPV4 || d->hash_type == HASH_TCP_IPV6) {
        memcpy(input + size, frame + layers->transport, 4);
        size += 4;
    }
    d->hash = e1000e_hash(e->hash_key, input, size);
    d->queue = e->redirection[d->hash >> 2 & 31] >> (8 * (d->hash & 3)) >> 7 & 1;
}

/* --- descriptors --- */

static uint32_t extended_buffer_size(const E1000E *e)
{
    uint32_t flexible = e->core.rctl >> RCTL_FLEXIBLE_SHIFT & 15;

    return flexible ? flexible * 1024 : e1000_buffer_size(&e->core);
}

static void plan(const E1000E *e, Delivery *d)
{
    const E1000Layers *layers = &d->in->layers;

    d->split = (e->core.rctl & RCTL_TYPE_MASK) == RCTL_TYPE_SPLIT;
    if (!d->split) {
        d->sizes[0] = extended_buffer_size(e);
        return;
    }
    d->sizes[0] = (e->psrctl & 0x7f) * 128;
    for (unsigned i = 1; i < BUFFERS; i++) {
        d->sizes[i] = (e->psrctl >> (8 * i) & 0x3f) * 1024;
    }
    if (layers->payload && layers->payload <= d->sizes[0]) {
        d->header = layers->payload;
    }
}

/* Bytes that one descriptor takes. With headers apart, the first buffer of all but the first descriptor stays empty. */
static uint32_t room(const Delivery *d)
{
    return (d->header ? 0 : d->sizes[0]) + d->sizes[1] + d->sizes[2] + d->sizes[3];
}

static uint32_t descriptors_needed(const Delivery *d)
{
    uint32_t size = d->in->size - d->header, each = room(d);

    if (!each) {
        return size ? UINT32_MAX : 1;
    }
    return size ? (size + each - 1) / each : 1;
}

static uint32_t status_of(const E1000E *e, const E1000Incoming *in)
{
    uint32_t status = E1000_RX_EOP | in->status | (uint32_t)in->errors << ERRORS_SHIFT;

    if (in->layers.is_ipv4 && !(e->core.rxcsum & RXCSUM_PCSD)) {
        status |= STATUS_IPIDV;
    }
    return in->status & E1000_RX_UDPCS ? status | STATUS_UDPV : status;
}

/* Fills the buffers of a descriptor from `done` on; how much is in each. */
static uint32_t fill_buffers(E1000E *e, const Delivery *d, const uint8_t *descriptor, uint32_t done,
                             uint16_t lengths[BUFFERS])
{
    AddressSpace *space = &e->core.pci.device.machine->memory_space;
    uint32_t begun = done;

    for (unsigned i = 0; i < (d->split ? BUFFERS : 1u); i++) {
        uint64_t address = load_le64(descriptor + 8 * i);
        uint32_t limit = d->sizes[i], size;

        if (i == 0 && d->header) {
            limit = begun ? 0 : d->header;
        }
        size = MIN(limit, d->in->size - done);
        if (size && address) { /* a null buffer takes nothing */
            address_space_write_bytes(space, address, d->in->bytes + done, size,
                                      pci_dma_attributes(&e->core.pci));
        }
        lengths[i] = size;
        done += size;
    }
    return done - begun;
}

/* What the hardware writes back (7.1.4.2, 7.1.5.2). */
static void fill_descriptor(const E1000E *e, const Delivery *d, uint8_t *descriptor,
                            const uint16_t lengths[BUFFERS], bool first, bool last)
{
    const E1000Incoming *in = d->in;

    memset(descriptor, 0, SPLIT_DESCRIPTOR);
    store_le32(descriptor, d->hash_type | d->queue << 8);
    if (e->core.rxcsum & RXCSUM_PCSD) {
        store_le32(descriptor + 4, d->hash);
    } else {
        store_le16(descriptor + 4,
                   in->layers.is_ipv4 ? load_be16(in->bytes + in->layers.ip + 4) : 0);
        store_le16(descriptor + 6, in->checksum);
    }
    store_le32(descriptor + 8, E1000_RX_DD | (last ? status_of(e, in) : 0));
    store_le16(descriptor + 12, lengths[0]);
    store_le16(descriptor + 14, last ? in->tag : 0);
    if (d->split) {
        store_le16(descriptor + 16, first && d->header ? HEADER_SPLIT | d->header : 0);
        for (unsigned i = 1; i < BUFFERS; i++) {
            store_le16(descriptor + 16 + 2 * i, lengths[i]);
        }
    }
}

static bool write_descriptor(E1000E *e, const Delivery *d, uint32_t *done)
{
    AddressSpace *space = &e->core.pci.device.machine->memory_space;
    MemoryAttributes attributes = pci_dma_attributes(&e->core.pci);
    E1000Ring *ring = &e->rx[d->queue];
    uint64_t at = e1000_ring_base(ring) + (uint64_t)ring->head * E1000_DESCRIPTOR;
    uint32_t size = d->split ? SPLIT_DESCRIPTOR : E1000_DESCRIPTOR, taken;
    uint8_t descriptor[SPLIT_DESCRIPTOR];
    uint16_t lengths[BUFFERS] = { 0 };

    if (address_space_read_bytes(space, at, descriptor, size, attributes) != MEMORY_OK) {
        log_guest_error("e1000e", "no memory for the receive descriptor at %#llx",
                        (unsigned long long)at);
        return false;
    }
    taken = fill_buffers(e, d, descriptor, *done, lengths);
    fill_descriptor(e, d, descriptor, lengths, *done == 0, *done + taken == d->in->size);
    address_space_write_bytes(space, at, descriptor, size, attributes);
    e1000_ring_advance(ring, d->split ? 2 : 1);
    *done += taken;
    return true;
}

static uint32_t deliver(E1000E *e, Delivery *d)
{
    E1000Ring *ring = &e->rx[d->queue];
    uint32_t units, needed, done = 0;

    plan(e, d);
    units = d->split ? 2 : 1;
    needed = descriptors_needed(d);
    if (e1000_ring_free(&e->core, ring) / units < needed) {
        e1000_count(&e->core, E1000_MPC, 1);
        e1000_count(&e->core, E1000_RNBC, 1);
        return E1000_RXO;
    }
    for (uint32_t i = 0; i < needed; i++) {
        if (!write_descriptor(e, d, &done)) {
            return 0;
        }
    }
    if (e1000_ring_free(&e->core, ring) <= e1000_ring_count(ring) >>
        (1 + (e->core.rctl >> 8 & 3))) {
        return E1000_RXT0 | E1000_RXDMT0;
    }
    return E1000_RXT0;
}

/* --- frames --- */

static bool uses_queue_1(const E1000E *e)
{
    uint32_t all = 0;

    for (unsigned i = 0; i < E1000E_REDIRECTION; i++) {
        all |= e->redirection[i];
    }
    return uses_hash(e) && all & 0x80808080;
}

bool e1000e_can_receive(void *opaque)
{
    const E1000E *e = opaque;

    /* While the receiver is off frames are lost, not kept. */
    return !(e->core.rctl & E1000_RCTL_EN) ||
           (e1000_ring_ready(&e->core, &e->rx[0]) &&
            (!uses_queue_1(e) || e1000_ring_ready(&e->core, &e->rx[1])));
}

void e1000e_receive(void *opaque, const uint8_t *frame, size_t size)
{
    E1000E *e = opaque;
    E1000Incoming in;
    Delivery d = { .in = &in };
    uint32_t causes;

    if (!e1000_take_frame(&e->core, frame, size, &in)) {
        return;
    }
    e->core.receiving = true;
    if (e->rfctl & RFCTL_EXTENDED) {
        choose_queue(e, &d);
        causes = deliver(e, &d);
    } else {
        causes = e1000_deliver(&e->core, &e->rx[0], &in);
    }
    if (causes & E1000_RXT0) {
        causes |= e1000e_queue_cause(e, E1000E_RXQ0, d.queue);
    } else if (causes & E1000_RXO) {
        e->more_statistics[E1000E_RXOC] += e->more_statistics[E1000E_RXOC] != UINT32_MAX;
    }
    e1000e_raise(&e->core, causes);
    e->core.receiving = false;
}
