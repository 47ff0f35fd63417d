/* SPDX-License-Identifier: MIT */
/* The 82540EM's transmitter: legacy, context and data descriptors (3.3), checksum insertion, TCP segmentation (3.5). */
#include <string.h>

#include "hw/net/e1000.h"
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
    TAG = 4,
    TCP_FLAGS = 13,
    TCP_FIN_PSH = 0x09,
};

/* Frames */

static void insert_sum(E1000 *e, uint32_t start, uint32_t offset, uint32_t end)
{
    uint32_t last = end && end < e->tx_size ? end + 1 : e->tx_size;

    if (start < last && offset + 2 <= e->tx_size) {
        uint16_t sum = ~e1000_fold(e1000_sum(e->tx_buffer + start, last - start, 0));

        store_be16(e->tx_buffer + offset, sum);
    }
}

static void put_out(E1000 *e)
{
    uint8_t tag[TAG];
    uint8_t *frame = e->tx_buffer;
    struct iovec iov[3] = { { frame, e->tx_size } };
    unsigned count = 1;
    bool loopback = e->phy[0] & PHY_LOOPBACK || (e->rctl & RCTL_LOOPBACK) == RCTL_LOOPBACK;

    if (e->tx_size < ADDRESSES + 2) {
        return;
    }
    if (e->tagged && !loopback) {
        store_be16(tag, e->vet);
        store_be16(tag + 2, e->tag);
        iov[0] = (struct iovec){ frame, ADDRESSES };
        iov[1] = (struct iovec){ tag, TAG };
        iov[2] = (struct iovec){ frame + ADDRESSES, e->tx_size - ADDRESSES };
        count = 3;
    }
    e1000_count_frame(e, false, frame, e->tx_size + (e->tagged ? TAG : 0));
    if (loopback) {
        e1000_receive(e, frame, e->tx_size);
    } else if (e->status & E1000_STATUS_LU) {
        netdev_transmit(e->netdev, iov, count);
    }
}

/* Lengths, identification and sequence of one of several segments. */
static void adjust_headers(E1000 *e, bool last)
{
    const E1000Context *c = &e->active;
    uint8_t *ip = e->tx_buffer + c->ip_start, *tcp = e->tx_buffer + c->tcp_start;
    uint32_t size = e->tx_size;

    if (c->ip_start + 20u > size || c->tcp_start + 20u > size || c->tcp_offset + 2u > size) {
        return;
    }
    if (c->is_ipv4) {
        store_be16(ip + 2, size - c->ip_start);
        store_be16(ip + 4, load_be16(ip + 4) + e->tx_segments);
    } else {
        store_be16(ip + 4, size - c->ip_start - 40);
    }
    if (c->is_tcp) {
        store_be32(tcp + 4, load_be32(tcp + 4) + e->tx_segments * c->segment);
        if (!last) {
            tcp[TCP_FLAGS] &= (uint8_t)~TCP_FIN_PSH;
        }
    } else {
        store_be16(tcp + 4, size - c->tcp_start);
    }
    if (e->insert & INSERT_TCP) {
        /* The driver's sum of the pseudo header has no length. */
        uint32_t sum = load_be16(e->tx_buffer + c->tcp_offset) + size - c->tcp_start;

        store_be16(e->tx_buffer + c->tcp_offset, e1000_fold(sum));
    }
}

static void send_frame(E1000 *e, bool last)
{
    const E1000Context *c = &e->active;

    if (e->segmenting) {
        adjust_headers(e, last);
        e1000_count(e, E1000_TSCTC, last);
    }
    if (e->insert & INSERT_TCP) {
        insert_sum(e, c->tcp_start, c->tcp_offset, c->tcp_end);
    }
    if (e->insert & INSERT_IP) {
        insert_sum(e, c->ip_start, c->ip_offset, c->ip_end);
    }
    put_out(e);
}

static void end_packet(E1000 *e)
{
    e->in_packet = e->segmenting = e->tagged = false;
    e->insert = 0;
    e->tx_size = e->tx_header_size = e->tx_segments = e->tx_left = 0;
}

/* Data */

/* A segment is full, and more data follow: it goes out, and the next begins with the headers. */
static void cut_segment(E1000 *e)
{
    send_frame(e, false);
    e->tx_segments++;
    memcpy(e->tx_buffer, e->tx_header, e->tx_header_size);
    e->tx_size = e->tx_header_size;
}

static void add_segmented(E1000 *e, const uint8_t *data, uint32_t size)
{
    uint32_t header = e->active.header, full = header + e->active.segment;

    while (size) {
        uint32_t limit, part;

        if (e->tx_header_size < header) {
            part = MIN(size, header - e->tx_header_size);
            memcpy(e->tx_header + e->tx_header_size, data, part);
            memcpy(e->tx_buffer + e->tx_size, data, part);
            e->tx_header_size += part;
        } else {
            if (e->tx_size == full) {
                cut_segment(e);
            }
            limit = full - e->tx_size;
            part = MIN(size, limit);
            memcpy(e->tx_buffer + e->tx_size, data, part);
        }
        e->tx_size += part;
        data += part;
        size -= part;
    }
}

static void add_data(E1000 *e, uint64_t address, uint32_t size)
{
    static const uint32_t chunk = 4096;
    uint8_t piece[4096];

    while (size) {
        uint32_t part = MIN(size, chunk);

        if (address_space_read_bytes(&e->pci.device.machine->memory_space, address, piece, part,
                                     pci_dma_attributes(&e->pci)) != MEMORY_OK) {
            memset(piece, 0, part);
            log_guest_error("e1000", "no memory to transmit from at %#llx",
                            (unsigned long long)address);
        }
        if (e->segmenting) {
            add_segmented(e, piece, part);
        } else if (e->tx_size + part <= E1000_MAX_FRAME) {
            memcpy(e->tx_buffer + e->tx_size, piece, part);
            e->tx_size += part;
        }
        address += part;
        size -= part;
    }
}

/* Descriptors */

static void take_context(E1000 *e, const uint8_t *d)
{
    uint32_t command = load_le32(d + 8);
    E1000Context *c = command & CONTEXT_TSE ? &e->segmentation : &e->checksums;

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
static void begin_packet(E1000 *e, const uint8_t *d, bool data)
{
    uint32_t command = load_le32(d + 8);

    end_packet(e);
    e->in_packet = true;
    if (data) {
        const E1000Context *c = &e->segmentation;

        e->insert = d[13] & (INSERT_IP | INSERT_TCP);
        e->segmenting = command & COMMAND_TSE && c->segment && c->header &&
                        (uint32_t)c->header + c->segment <= E1000_MAX_FRAME;
        e->active = e->segmenting ? *c : e->checksums;
    }
    if (command & COMMAND_VLE && e->ctrl & E1000_CTRL_VME) {
        e->tagged = true;
        e->tag = load_le16(d + 14);
    }
}

static void take_data(E1000 *e, const uint8_t *d, bool data)
{
    uint32_t command = load_le32(d + 8);

    if (!e->in_packet) {
        begin_packet(e, d, data);
    }
    add_data(e, load_le64(d), command & (data ? 0xfffffu : 0xffffu));
    if (!(command & COMMAND_EOP)) {
        return;
    }
    if (!data && command & COMMAND_IC) {
        insert_sum(e, d[13], d[10], 0);
    }
    send_frame(e, true);
    end_packet(e);
}

static void take_descriptor(E1000 *e, const uint8_t *d)
{
    uint32_t command = load_le32(d + 8);

    if (!(command & COMMAND_DEXT)) {
        take_data(e, d, false);
    } else if (command & TYPE_DATA) {
        take_data(e, d, true);
    } else {
        take_context(e, d);
    }
}

void e1000_transmit(E1000 *e)
{
    AddressSpace *space = &e->pci.device.machine->memory_space;
    MemoryAttributes attributes = pci_dma_attributes(&e->pci);
    uint32_t causes = E1000_TXQE, count = e1000_ring_count(&e->tx);

    if (!(e->tctl & TCTL_EN) || !pci_bus_master_enabled(&e->pci) || !e1000_ring_ready(e, &e->tx) ||
        e->transmitting) {
        return;
    }
    e->transmitting = true;
    /* Once around at most, whatever the registers become meanwhile. */
    for (uint32_t i = 0; i < count && e->tx.head != e->tx.tail; i++) {
        uint64_t at = e1000_ring_base(&e->tx) + (uint64_t)e->tx.head * E1000_DESCRIPTOR;
        uint8_t descriptor[E1000_DESCRIPTOR];

        if (address_space_read_bytes(space, at, descriptor, sizeof descriptor, attributes) !=
            MEMORY_OK) {
            log_guest_error("e1000", "no memory for the transmit descriptor at %#llx",
                            (unsigned long long)at);
            break;
        }
        take_descriptor(e, descriptor);
        if (load_le32(descriptor + 8) & (COMMAND_RS | COMMAND_RPS)) {
            descriptor[12] |= STATUS_DD;
            address_space_write_bytes(space, at + 12, descriptor + 12, 1, attributes);
            causes |= E1000_TXDW;
        }
        e->tx.head = (e->tx.head + 1) % count;
    }
    e->transmitting = false;
    e1000_raise(e, causes);
}
