/* SPDX-License-Identifier: MIT */
/* The 82540EM's receiver: address filters (3.2.1), descriptors (3.2.3), checksums (3.2.9). */
#include <string.h>

#include "hw/net/e1000.h"
#include "machine/machine.h"

enum {
    RCTL_UPE = 1 << 3,
    RCTL_MPE = 1 << 4,
    RCTL_LPE = 1 << 5,
    RCTL_BAM = 1 << 15,
    RCTL_VFE = 1 << 18,
    RCTL_BSEX = 1 << 25,
    RCTL_SECRC = 1 << 26,
    ADDRESS_VALID = 1u << 31,

    STATUS_DD = 1 << 0,
    STATUS_EOP = 1 << 1,
    STATUS_IXSM = 1 << 2,
    STATUS_VP = 1 << 3,
    STATUS_TCPCS = 1 << 5,
    STATUS_IPCS = 1 << 6,
    STATUS_PIF = 1 << 7, /* passed a filter that is not exact */
    ERROR_TCPE = 1 << 5,
    ERROR_IPE = 1 << 6,

    RXCSUM_IP = 1 << 8,
    RXCSUM_TCP = 1 << 9,

    MIN_FRAME = 60,
    FCS = 4,
    NORMAL_FRAME = 1518,
    TAG = 4,
    ADDRESSES = 12, /* bytes of the two in a frame */
    HEADER = 14,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
};

/* A frame on its way into descriptors. */
typedef struct {
    uint8_t bytes[E1000_MAX_FRAME + TAG + FCS];
    uint32_t size;
    uint8_t status, errors;
    uint16_t tag, checksum;
} Incoming;

static uint32_t buffer_size(const E1000 *e)
{
    uint32_t size = 2048u >> (e->rctl >> 16 & 3);

    return e->rctl & RCTL_BSEX && size < 2048 ? size * 16 : size;
}

bool e1000_can_receive(void *opaque)
{
    const E1000 *e = opaque;

    /* While the receiver is off frames are lost, not kept. */
    return !(e->rctl & E1000_RCTL_EN) || e1000_ring_ready(e, &e->rx);
}

/* Filters */

static bool matches_exactly(const E1000 *e, const uint8_t *frame)
{
    for (unsigned i = 0; i < E1000_ADDRESSES; i++) {
        uint32_t low = e->addresses[i * 2], high = e->addresses[i * 2 + 1];

        if (high & ADDRESS_VALID && load_le32(frame) == low &&
            load_le16(frame + 4) == (uint16_t)high) {
            return true;
        }
    }
    return false;
}

static bool matches_hash(const E1000 *e, const uint8_t *frame)
{
    static const uint8_t shifts[] = { 4, 3, 2, 0 };
    unsigned hash = load_le16(frame + 4) >> shifts[e->rctl >> 12 & 3] & 0xfff;

    return e->multicast[hash >> 5] >> (hash & 31) & 1;
}

static bool is_tagged(const E1000 *e, const uint8_t *frame, size_t size)
{
    return size >= HEADER + TAG && load_be16(frame + ADDRESSES) == (uint16_t)e->vet;
}

static bool accepts(const E1000 *e, const uint8_t *frame, size_t size, uint8_t *status)
{
    static const uint8_t broadcast[E1000_MAC] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    bool multicast = frame[0] & 1;

    if (e->rctl & RCTL_VFE && is_tagged(e, frame, size)) {
        unsigned vlan = load_be16(frame + HEADER) & 0xfff;

        if (!(e->vlans[vlan >> 5] >> (vlan & 31) & 1)) {
            return false;
        }
    }
    if (matches_exactly(e, frame)) {
        return true;
    }
    if (memcmp(frame, broadcast, E1000_MAC) == 0) {
        return e->rctl & (RCTL_BAM | RCTL_MPE);
    }
    if (e->rctl & (multicast ? RCTL_MPE : RCTL_UPE)) {
        return true;
    }
    *status |= STATUS_PIF;
    return multicast && matches_hash(e, frame);
}

/* Checksums */

static void check_transport(E1000 *e, Incoming *in, const uint8_t *ip, unsigned header,
                            unsigned total)
{
    unsigned size = total - header;
    uint32_t sum;

    if (!(e->rxcsum & RXCSUM_TCP) || (ip[9] != PROTOCOL_TCP && ip[9] != PROTOCOL_UDP) ||
        load_be16(ip + 6) & 0x3fff ||
        (ip[9] == PROTOCOL_UDP && size >= 8 && !load_be16(ip + header + 6))) {
        return;
    }
    sum = e1000_sum(ip + 12, 8, ip[9] + size);
    in->status |= STATUS_TCPCS;
    if (e1000_fold(e1000_sum(ip + header, size, sum)) != 0xffff) {
        in->errors |= ERROR_TCPE;
    }
}

static void check_sums(E1000 *e, Incoming *in, uint32_t size)
{
    const uint8_t *ip = in->bytes + HEADER;
    unsigned start = e->rxcsum & 0xff, header, total;

    in->checksum = e1000_fold(start < size ? e1000_sum(in->bytes + start, size - start, 0) : 0);
    header = size >= HEADER + 20 ? (ip[0] & 15) * 4u : 0;
    total = size >= HEADER + 20 ? load_be16(ip + 2) : 0;
    if (!(e->rxcsum & (RXCSUM_IP | RXCSUM_TCP)) || size < HEADER + 20 ||
        load_be16(in->bytes + ADDRESSES) != 0x0800 || ip[0] >> 4 != 4 || header < 20 ||
        total < header || total > size - HEADER) {
        in->status |= STATUS_IXSM;
        return;
    }
    if (e->rxcsum & RXCSUM_IP) {
        in->status |= STATUS_IPCS;
        in->errors |= e1000_fold(e1000_sum(ip, header, 0)) == 0xffff ? 0 : ERROR_IPE;
    }
    check_transport(e, in, ip, header, total);
}

/* Descriptors */

static bool write_descriptor(E1000 *e, const uint8_t *data, uint32_t size, const Incoming *in,
                             bool last)
{
    AddressSpace *space = &e->pci.device.machine->memory_space;
    MemoryAttributes attributes = pci_dma_attributes(&e->pci);
    uint64_t at = e1000_ring_base(&e->rx) + (uint64_t)e->rx.head * E1000_DESCRIPTOR;
    uint8_t descriptor[E1000_DESCRIPTOR];
    uint32_t count;

    if (address_space_read_bytes(space, at, descriptor, sizeof descriptor, attributes) !=
        MEMORY_OK) {
        log_guest_error("e1000", "no memory for the receive descriptor at %#llx",
                        (unsigned long long)at);
        return false;
    }
    if (load_le64(descriptor)) { /* a null buffer takes nothing */
        address_space_write_bytes(space, load_le64(descriptor), data, size, attributes);
    }
    store_le16(descriptor + 8, size);
    store_le16(descriptor + 10, in->checksum);
    descriptor[12] = STATUS_DD | (last ? STATUS_EOP | in->status : 0);
    descriptor[13] = last ? in->errors : 0;
    store_le16(descriptor + 14, last ? in->tag : 0);
    address_space_write_bytes(space, at, descriptor, sizeof descriptor, attributes);
    count = e1000_ring_count(&e->rx); /* the write may have changed it */
    e->rx.head = count ? (e->rx.head + 1) % count : 0;
    return true;
}

/* Descriptors that are the hardware's. */
static uint32_t free_count(const E1000 *e)
{
    uint32_t count = e1000_ring_count(&e->rx);

    return e1000_ring_ready(e, &e->rx) ? (e->rx.tail + count - e->rx.head) % count : 0;
}

static void deliver(E1000 *e, const Incoming *in)
{
    uint32_t room = buffer_size(e), done = 0, causes = E1000_RXT0;

    if ((uint64_t)free_count(e) * room < in->size) {
        e1000_count(e, E1000_MPC, 1);
        e1000_count(e, E1000_RNBC, 1);
        e1000_raise(e, E1000_RXO);
        return;
    }
    while (done < in->size) {
        uint32_t size = MIN(room, in->size - done);

        if (!write_descriptor(e, in->bytes + done, size, in, done + size == in->size)) {
            return;
        }
        done += size;
    }
    if (free_count(e) <= e1000_ring_count(&e->rx) >> (1 + (e->rctl >> 8 & 3))) {
        causes |= E1000_RXDMT0;
    }
    e1000_raise(e, causes);
}

static void prepare(E1000 *e, Incoming *in, const uint8_t *frame, size_t size)
{
    memcpy(in->bytes, frame, size);
    if (e->ctrl & E1000_CTRL_VME && is_tagged(e, frame, size)) {
        in->status |= STATUS_VP;
        in->tag = load_be16(frame + HEADER);
        memmove(in->bytes + ADDRESSES, in->bytes + ADDRESSES + TAG, size - ADDRESSES - TAG);
        size -= TAG;
    }
    if (size < MIN_FRAME) {
        memset(in->bytes + size, 0, MIN_FRAME - size);
        size = MIN_FRAME;
    }
    check_sums(e, in, size);
    if (!(e->rctl & RCTL_SECRC)) {
        memset(in->bytes + size, 0, FCS); /* no back end has it */
        size += FCS;
    }
    in->size = size;
}

void e1000_receive(void *opaque, const uint8_t *frame, size_t size)
{
    E1000 *e = opaque;
    Incoming in;

    if (!(e->rctl & E1000_RCTL_EN) || !(e->status & E1000_STATUS_LU) || size < HEADER ||
        e->receiving || !pci_bus_master_enabled(&e->pci)) {
        return;
    }
    in.status = in.errors = 0;
    in.tag = 0;
    if (size > E1000_MAX_FRAME || (size > NORMAL_FRAME && !(e->rctl & RCTL_LPE))) {
        e1000_count(e, E1000_RLEC, 1);
        return;
    }
    if (accepts(e, frame, size, &in.status)) {
        prepare(e, &in, frame, size);
        e1000_count_frame(e, true, frame, in.size);
        e->receiving = true;
        deliver(e, &in);
        e->receiving = false;
    }
}
