/* SPDX-License-Identifier: MIT */
/* PCnet-PCI II: descriptor rings in the styles of the LANCE (16 bits) and of the PCnet-PCI (32 bits), sending and receiving. */
#include <string.h>

#include "hw/net/pcnet.h"
#include "machine/machine.h"

/* Bits 31:16 of the second word; style 0 has the upper half of them in its second half word. */
enum {
    OWN = 1u << 15,
    ERR = 1u << 14,
    STP = 1u << 9,
    ENP = 1u << 8,
    TX_ADD_FCS = 1u << 13,
    TX_LTINT = 1u << 12,
    RX_OFLO = 1u << 12,
    RX_BUFF = 1u << 10,
    RX_PAM = 1u << 6, /* which address it was for; style 2 and 3 */
    RX_LAFM = 1u << 5,
    RX_BAM = 1u << 4,
};
/* Upper half of a transmit descriptor's third word; all of the fourth half word in style 0. */
enum { TX_BUFF = 1u << 15, TX_UFLO = 1u << 14, TX_LCAR = 1u << 11 };

enum {
    STYLE_BURST = 3, /* the buffer's address comes last */
    FCS = 4,
    MIN_FRAME = 60,
    ADDRESSES = 12,
    HEADER = 14,
    AT_ONCE = 1024, /* descriptors in one go */
};

static unsigned descriptor_bytes(const Pcnet *p)
{
    return pcnet_is_32(p) ? 16 : 8;
}

uint32_t pcnet_upper_address(const Pcnet *p)
{
    return pcnet_is_32(p) ? 0 : (uint32_t)(p->csr[2] & 0xff00) << 16;
}

uint64_t pcnet_descriptor_address(const Pcnet *p, unsigned base, unsigned index)
{
    uint32_t start = p->csr[base] | (uint32_t)p->csr[base + 1] << 16;

    return (uint32_t)(start + index * descriptor_bytes(p));
}

static bool read_descriptor(Pcnet *p, unsigned base, unsigned index, PcnetDescriptor *d)
{
    uint8_t raw[16];
    bool burst = (p->bcr[BCR_STYLE] & 0xff) == STYLE_BURST;
    uint32_t count;

    d->address = pcnet_descriptor_address(p, base, index);
    if (!pcnet_read(p, d->address, raw, descriptor_bytes(p))) {
        return false;
    }
    if (pcnet_is_32(p)) {
        d->buffer = load_le32(raw + (burst ? 8 : 0));
        d->flags = load_le16(raw + 6);
        count = load_le16(raw + 4);
    } else {
        d->buffer = load_le16(raw) | (uint32_t)raw[2] << 16 | pcnet_upper_address(p);
        d->flags = (uint32_t)raw[3] << 8;
        count = load_le16(raw + 4);
    }
    d->length = 0x1000 - (count & 0xfff);
    return true;
}

/* The status word first, then the word that gives the descriptor back. */
static bool write_back(Pcnet *p, const PcnetDescriptor *d, uint32_t status)
{
    bool burst = (p->bcr[BCR_STYLE] & 0xff) == STYLE_BURST;
    uint8_t word[4], flags[2];

    store_le32(word, status);
    store_le16(flags, (uint16_t)d->flags);
    if (pcnet_is_32(p)) {
        return pcnet_write(p, d->address + (burst ? 0 : 8), word, 4) &&
               pcnet_write(p, d->address + 6, flags, 2);
    }
    return pcnet_write(p, d->address + 6, word, 2) && pcnet_write(p, d->address + 3, flags + 1, 1);
}

static void advance(const Pcnet *p, unsigned length_csr, uint16_t *index)
{
    *index = (uint16_t)((*index + 1u) % pcnet_ring_length(p, length_csr));
}

static uint32_t frame_check(const uint8_t *data, size_t size)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
        }
    }
    return crc;
}

/* Sending. */

static void accept_frame(Pcnet *p, const uint8_t *frame, size_t size);

static bool may_send(const Pcnet *p)
{
    return p->csr[CSR0] & CSR0_TXON && !pcnet_is_suspended(p);
}

/* The frame is complete. Returns what its last descriptor says of it. */
static uint32_t send_frame(Pcnet *p, uint32_t flags)
{
    bool no_fcs = p->csr[CSR_MODE] & MODE_DXMTFCS && !(flags & TX_ADD_FCS);
    bool loop = p->csr[CSR_MODE] & MODE_LOOP;
    uint16_t size = p->tx_size;
    struct iovec iov;

    if (p->csr[CSR4] & CSR4_APAD_XMT && size < MIN_FRAME) {
        memset(p->tx_buffer + size, 0, (size_t)(MIN_FRAME - size));
        size = MIN_FRAME;
    } else if (no_fcs && size > FCS) {
        size = (uint16_t)(size - FCS); /* software has made it; nobody on this wire looks */
    }
    p->csr[CSR4] |= CSR4_TXSTRT;
    if (loop) {
        accept_frame(p, p->tx_buffer, size);
        return 0;
    }
    if (!p->netdev || !p->netdev->link_up) {
        return p->netdev ? TX_LCAR : 0;
    }
    iov = (struct iovec){ p->tx_buffer, size };
    netdev_transmit(p->netdev, &iov, 1);
    return 0;
}

static bool gather(Pcnet *p, const PcnetDescriptor *d)
{
    uint32_t room = PCNET_FRAME - p->tx_size, size = MIN(d->length, room);

    if (d->length > room) {
        pcnet_raise(p, CSR0_BABL);
    }
    if (!pcnet_read(p, d->buffer, p->tx_buffer + p->tx_size, size)) {
        return false;
    }
    p->tx_size = (uint16_t)(p->tx_size + size);
    return true;
}

static void tell_sent(Pcnet *p, const PcnetDescriptor *d, uint32_t status)
{
    bool wanted = p->csr[CSR5] & CSR5_LTINTEN && pcnet_is_32(p) ? d->flags & TX_LTINT : true;

    pcnet_raise(p, status || (wanted && !(p->csr[CSR5] & CSR5_TOKINTD)) ? CSR0_TINT : 0);
}

/* The chip needs the rest of a frame, and software has not given it. */
static void underflow(Pcnet *p, unsigned last)
{
    PcnetDescriptor d;

    p->tx_begun = 0;
    p->tx_size = 0;
    if (read_descriptor(p, CSR_BADX, last, &d)) {
        d.flags = (d.flags & ~OWN) | ERR;
        write_back(p, &d, (uint32_t)(TX_BUFF | TX_UFLO) << (pcnet_is_32(p) ? 16 : 0));
    }
    if (!(p->csr[CSR3] & CSR3_DXSUFLO)) {
        p->csr[CSR0] &= (uint16_t)~CSR0_TXON;
    }
    pcnet_raise(p, CSR0_TINT);
}

/* One descriptor; false: there is none, or it cannot be had. */
static bool send_next(Pcnet *p)
{
    unsigned length = pcnet_ring_length(p, CSR_XMTRL);
    uint32_t status = 0;
    PcnetDescriptor d;
    bool last;

    if (!read_descriptor(p, CSR_BADX, p->tx_index, &d)) {
        return false;
    }
    if (!(d.flags & OWN)) {
        if (p->tx_begun) {
            underflow(p, (p->tx_index + length - 1) % length);
        }
        return false;
    }
    if (d.flags & STP) {
        p->tx_begun = 1;
        p->tx_size = 0;
    }
    last = p->tx_begun && d.flags & ENP;
    if (p->tx_begun && !gather(p, &d)) {
        return false;
    }
    if (last) {
        status = send_frame(p, d.flags);
        p->tx_begun = 0;
        p->tx_size = 0;
    }
    d.flags = (d.flags & ~(OWN | ERR)) | (status ? ERR : 0);
    advance(p, CSR_XMTRL, &p->tx_index);
    if (!write_back(p, &d, status << (pcnet_is_32(p) ? 16 : 0))) {
        return false;
    }
    if (last) {
        tell_sent(p, &d, status);
    }
    return true;
}

void pcnet_send(Pcnet *p)
{
    if (p->sending) {
        return;
    }
    p->sending = 1;
    for (unsigned i = 0; i < AT_ONCE && may_send(p) && send_next(p); i++) {
    }
    p->sending = 0;
}

/* Receiving. */

static bool listens(const Pcnet *p)
{
    return p->csr[CSR0] & CSR0_RXON && !(p->csr[CSR_MODE] & MODE_LOOP);
}

bool pcnet_can_receive(void *opaque)
{
    Pcnet *p = opaque;
    PcnetDescriptor d;

    if (!listens(p)) {
        return true; /* and nobody hears it */
    }
    return !pcnet_is_suspended(p) && !p->receiving &&
           read_descriptor(p, CSR_BADR, p->rx_index, &d) && d.flags & OWN;
}

/* The bit that says whom it is for; 0: not for us, 1: for everybody who listens to all. */
static uint32_t address_match(const Pcnet *p, const uint8_t *frame)
{
    static const uint8_t broadcast[PCNET_MAC] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    uint16_t mode = p->csr[CSR_MODE];
    uint8_t own[PCNET_MAC];
    uint32_t hash;

    for (unsigned i = 0; i < PCNET_MAC / 2; i++) {
        store_le16(own + 2 * i, p->csr[CSR_PADR + i]);
    }
    if (!memcmp(frame, broadcast, PCNET_MAC)) {
        if (!(mode & MODE_DRCVBC)) {
            return RX_BAM;
        }
    } else if (frame[0] & 1) {
        hash = frame_check(frame, PCNET_MAC) >> 26;
        if (p->csr[CSR_LADRF + hash / 16] >> hash % 16 & 1) {
            return RX_LAFM;
        }
    } else if (!(mode & MODE_DRCVPA) && !memcmp(frame, own, PCNET_MAC)) {
        return RX_PAM;
    }
    return mode & MODE_PROM ? 1 : 0;
}

/* Without padding and check sum where the frame says its length (IEEE 802.3). */
static size_t stripped(const uint8_t *frame, size_t size)
{
    size_t length = HEADER + (size_t)(frame[ADDRESSES] << 8 | frame[ADDRESSES + 1]);

    return length < MIN_FRAME && length <= size ? length : 0;
}

static void miss(Pcnet *p)
{
    if (++p->csr[CSR_MISSED] == 0) {
        p->csr[CSR4] |= CSR4_MFCO;
    }
    pcnet_raise(p, CSR0_MISS);
}

/* data: with its check sum. False: there is no descriptor for it. */
static bool store_frame(Pcnet *p, const uint8_t *data, size_t size, uint32_t match)
{
    size_t done = 0;
    PcnetDescriptor d;
    bool first = true, more = true;

    if (!read_descriptor(p, CSR_BADR, p->rx_index, &d) || !(d.flags & OWN)) {
        return false;
    }
    while (more) {
        uint32_t part = (uint32_t)MIN(size - done, d.length), status = 0;
        PcnetDescriptor next = { 0 };

        if (!pcnet_write(p, d.buffer, data + done, part)) {
            return true;
        }
        done += part;
        more = done < size;
        advance(p, CSR_RCVRL, &p->rx_index);
        d.flags = (d.flags & 0xf) | (first ? STP : 0);
        first = false;
        if (!more) {
            d.flags |= ENP | (pcnet_is_32(p) ? match & ~1u : 0);
            status = (uint32_t)size;
        } else if (!read_descriptor(p, CSR_BADR, p->rx_index, &next) || !(next.flags & OWN)) {
            d.flags |= ERR | RX_BUFF | RX_OFLO;
            more = false;
        }
        if (!write_back(p, &d, status)) {
            return true;
        }
        d = next;
    }
    pcnet_raise(p, CSR0_RINT);
    return true;
}

/* From the wire, or from the transmitter in loopback mode. */
static void accept_frame(Pcnet *p, const uint8_t *frame, size_t size)
{
    uint8_t data[PCNET_FRAME + FCS] = { 0 };
    uint32_t match;
    size_t bytes = 0;

    if (size < HEADER || size > PCNET_FRAME || !(p->csr[CSR0] & CSR0_RXON) ||
        pcnet_is_suspended(p) || p->receiving) {
        return;
    }
    match = address_match(p, frame);
    if (!match) {
        return;
    }
    memcpy(data, frame, size);
    size = MAX(size, MIN_FRAME);
    if (p->csr[CSR4] & CSR4_ASTRP_RCV) {
        bytes = stripped(data, size);
    }
    if (!bytes) {
        store_le32(data + size, ~frame_check(data, size));
        bytes = size + FCS;
    }
    p->receiving = 1;
    if (!store_frame(p, data, bytes, match)) {
        miss(p);
    }
    p->receiving = 0;
}

void pcnet_receive(void *opaque, const uint8_t *frame, size_t size)
{
    if (listens(opaque)) {
        accept_frame(opaque, frame, size);
    }
}
