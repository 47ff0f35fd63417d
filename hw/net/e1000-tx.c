/* SPDX-License-Identifier: MIT */
/* The transmitter of the e1000 family: legacy, context and data descriptors (3.3), checksum insertion, TCP segmentation (3.5). */
#include <string.h>

#include "hw/net/e1000-core.h"
#include "machine/machine.h"

enum {
    TCTL_EN = 1 << 1,
    RCTL_LOOPBACK = 3 << 6,
    PHY_LOOPBACK = 1 << 14,

    /* Of the second half of a descriptor: command bits 31:24, status 35:32, options 47:40. */
    COMMAND_EOP = 1 << 24,
    COMMAND_IC = 1 << 26,  /* legacy: insert a checksum */
    COMMAND_TSE = 1 << 26, /* data: segment */
    COMMAND_RS = 1 << 27,
    COMMAND_RPS = 1 << 28,
    COMMAND_DEXT = 1 << 29,
    COMMAND_VLE = 1 << 30,
    TYPE_DATA = 1 << 20,
    CONTEXT_TCP = 1 << 24,
    CONTEXT_IP = 1 << 25,
    CONTEXT_TSE = 1 << 26,
    STATUS_DD = 1,

    INSERT_IP = 1 << 0,
    INSERT_TCP = 1 << 1,
    ADDRESSES = 12,
    TCP_FLAGS = 13,
    TCP_FIN_PSH = 0x09,
};

/* Frames */

static void insert_sum(E1000Packet *p, uint32_t start, uint32_t offset, uint32_t end)
{
    uint32_t last = end && end < p->size ? end + 1 : p->size;

    if (start < last && offset + 2 <= p->size) {
        uint16_t sum = ~e1000_fold(e1000_sum(p->buffer + start, last - start, 0));

        store_be16(p->buffer + offset, sum);
    }
}

static void put_out(E1000Core *core, E1000Packet *p)
{
    uint8_t tag[E1000_TAG];
    uint8_t *frame = p->buffer;
    struct iovec iov[3] = { { frame, p->size } };
    unsigned count = 1;
    bool loopback = core->phy[0] & PHY_LOOPBACK || (core->rctl & RCTL_LOOPBACK) == RCTL_LOOPBACK;

    if (p->size < ADDRESSES + 2) {
        return;
    }
    if (p->tagged && !loopback) {
        store_be16(tag, core->vet);
        store_be16(tag + 2, p->tag);
        iov[0] = (struct iovec){ frame, ADDRESSES };
        iov[1] = (struct iovec){ tag, E1000_TAG };
        iov[2] = (struct iovec){ frame + ADDRESSES, p->size - ADDRESSES };
        count = 3;
    }
    e1000_count_frame(core, false, frame, p->size + (p->tagged ? E1000_TAG : 0));
    if (loopback) {
        e1000_model(core)->receive(core, frame, p->size);
    } else if (core->status & E1000_STATUS_LU) {
        netdev_transmit(core->netdev, iov, count);
    }
}

/* Lengths, identification and sequence of one of several segments. */
static void adjust_headers(E1000Packet *p, bool last)
{
    const E1000Context *c = &p->active;
    uint8_t *ip = p->buffer + c->ip_start, *tcp = p->buffer + c->tcp_start;
    uint32_t size = p->size;

    if (c->ip_start + 20u > size || c->tcp_start + 20u > size || c->tcp_offset + 2u > size) {
        return;
    }
    if (c->is_ipv4) {
        store_be16(ip + 2, size - c->ip_start);
        store_be16(ip + 4, load_be16(ip + 4) + p->segments);
    } else {
        store_be16(ip + 4, size - c->ip_start - 40);
    }
    if (c->is_tcp) {
        store_be32(tcp + 4, load_be32(tcp + 4) + p->segments * c->segment);
        if (!last) {
            tcp[TCP_FLAGS] &= (uint8_t)~TCP_FIN_PSH;
        }
    } else {
        store_be16(tcp + 4, size - c->tcp_start);
    }
    if (p->insert & INSERT_TCP) {
        /* The driver's sum of the pseudo header has no length. */
        uint32_t sum = load_be16(p->buffer + c->tcp_offset) + size - c->tcp_start;

        store_be16(p->buffer + c->tcp_offset, e1000_fold(sum));
    }
}

static void send_frame(E1000Core *core, E1000Packet *p, bool last)
{
    const E1000Context *c = &p->active;

    if (p->segmenting) {
        adjust_headers(p, last);
        e1000_count(core, E1000_TSCTC, last);
    }
    if (p->insert & INSERT_TCP) {
        insert_sum(p, c->tcp_start, c->tcp_offset, c->tcp_end);
    }
    if (p->insert & INSERT_IP) {
        insert_sum(p, c->ip_start, c->ip_offset, c->ip_end);
    }
    put_out(core, p);
}

void e1000_packet_end(E1000Packet *p)
{
    p->in_packet = p->segmenting = p->tagged = false;
    p->insert = 0;
    p->size = p->header_size = p->segments = p->left = 0;
}

void e1000_packet_reset(E1000Packet *p)
{
    e1000_packet_end(p);
    p->checksums = p->segmentation = p->active = (E1000Context){ 0 };
    p->tag = 0;
    memset(p->header, 0, sizeof p->header);
    memset(p->buffer, 0, sizeof p->buffer);
}

/* Data */

/* A segment is full, and more data follow: it goes out, and the next begins with the headers. */
static void cut_segment(E1000Core *core, E1000Packet *p)
{
    send_frame(core, p, false);
    p->segments++;
    memcpy(p->buffer, p->header, p->header_size);
    p->size = p->header_size;
}

static void add_segmented(E1000Core *core, E1000Packet *p, const uint8_t *data, uint32_t size)
{
    uint32_t header = p->active.header, full = header + p->active.segment;

    while (size) {
        uint32_t limit, part;

        if (p->header_size < header) {
            part = MIN(size, header - p->header_size);
            memcpy(p->header + p->header_size, data, part);
            memcpy(p->buffer + p->size, data, part);
            p->header_size += part;
        } else {
            if (p->size == full) {
                cut_segment(core, p);
            }
            limit = full - p->size;
            part = MIN(size, limit);
            memcpy(p->buffer + p->size, data, part);
        }
        p->size += part;
        data += part;
        size -= part;
    }
}

static void add_data(E1000Core *core, E1000Packet *p, uint64_t address, uint32_t size)
{
    static const uint32_t chunk = 4096;
    uint8_t piece[4096];

    while (size) {
        uint32_t part = MIN(size, chunk);

        if (address_space_read_bytes(&core->pci.device.machine->memory_space, address, piece, part,
                                     pci_dma_attributes(&core->pci)) != MEMORY_OK) {
            memset(piece, 0, part);
            log_guest_error(core->pci.device.type->name, "no memory to transmit from at %#llx",
                            (unsigned long long)address);
        }
        if (p->segmenting) {
            add_segmented(core, p, piece, part);
        } else if (p->size + part <= E1000_MAX_FRAME) {
            memcpy(p->buffer + p->size, piece, part);
            p->size += part;
        }
        address += part;
        size -= part;
    }
}

/* Descriptors */

static void take_context(E1000Packet *p, const uint8_t *d)
{
    uint32_t command = load_le32(d + 8);
    E1000Context *c = command & CONTEXT_TSE ? &p->segmentation : &p->checksums;

    *c = (E1000Context){
        .ip_start = d[0],
        .ip_offset = d[1],
        .ip_end = load_le16(d + 2),
        .tcp_start = d[4],
        .tcp_offset = d[5],
        .tcp_end = load_le16(d + 6),
        .payload = command & 0xfffff,
        .header = d[13],
        .segment = load_le16(d + 14),
        .is_ipv4 = command & CONTEXT_IP,
        .is_tcp = command & CONTEXT_TCP,
    };
}

/* The first descriptor of a packet says what is done with it. */
static void begin_packet(const E1000Core *core, E1000Packet *p, const uint8_t *d, bool data)
{
    uint32_t command = load_le32(d + 8);

    e1000_packet_end(p);
    p->in_packet = true;
    if (data) {
        const E1000Context *c = &p->segmentation;

        p->insert = d[13] & (INSERT_IP | INSERT_TCP);
        p->segmenting = command & COMMAND_TSE && c->segment && c->header &&
                        (uint32_t)c->header + c->segment <= E1000_MAX_FRAME;
        p->active = p->segmenting ? *c : p->checksums;
    }
    if (command & COMMAND_VLE && core->ctrl & E1000_CTRL_VME) {
        p->tagged = true;
        p->tag = load_le16(d + 14);
    }
}

static void take_data(E1000Core *core, E1000Packet *p, const uint8_t *d, bool data)
{
    uint32_t command = load_le32(d + 8);

    if (!p->in_packet) {
        begin_packet(core, p, d, data);
    }
    add_data(core, p, load_le64(d), command & (data ? 0xfffffu : 0xffffu));
    if (!(command & COMMAND_EOP)) {
        return;
    }
    if (!data && command & COMMAND_IC) {
        insert_sum(p, d[13], d[10], 0);
    }
    send_frame(core, p, true);
    e1000_packet_end(p);
}

static void take_descriptor(E1000Core *core, E1000Packet *p, const uint8_t *d)
{
    uint32_t command = load_le32(d + 8);

    if (!(command & COMMAND_DEXT)) {
        take_data(core, p, d, false);
    } else if (command & TYPE_DATA) {
        take_data(core, p, d, true);
    } else {
        take_context(p, d);
    }
}

uint32_t e1000_transmit(E1000Core *core, E1000Ring *ring, E1000Packet *p)
{
    AddressSpace *space = &core->pci.device.machine->memory_space;
    MemoryAttributes attributes = pci_dma_attributes(&core->pci);
    uint32_t causes = E1000_TXQE, count = e1000_ring_count(ring);

    if (!(core->tctl & TCTL_EN) || !e1000_ring_ready(core, ring) || core->transmitting) {
        return 0;
    }
    core->transmitting = true;
    /* Once around at most, whatever the registers become meanwhile. */
    for (uint32_t i = 0; i < count && ring->head != ring->tail; i++) {
        uint64_t at = e1000_ring_base(ring) + (uint64_t)ring->head * E1000_DESCRIPTOR;
        uint8_t descriptor[E1000_DESCRIPTOR];

        if (address_space_read_bytes(space, at, descriptor, sizeof descriptor, attributes) !=
            MEMORY_OK) {
            log_guest_error(core->pci.device.type->name,
                            "no memory for the transmit descriptor at %#llx",
                            (unsigned long long)at);
            break;
        }
        take_descriptor(core, p, descriptor);
        if (load_le32(descriptor + 8) & (COMMAND_RS | COMMAND_RPS)) {
            descriptor[12] |= STATUS_DD;
            address_space_write_bytes(space, at + 12, descriptor + 12, 1, attributes);
            causes |= E1000_TXDW;
        }
        ring->head = (ring->head + 1) % count;
    }
    core->transmitting = false;
    return causes;
}
