/* SPDX-License-Identifier: MIT */
/* RTL8139C+: receiving, into the ring buffer of the RTL8139 or by descriptors. */
#include <string.h>

#include "hw/net/rtl8139.h"
#include "machine/machine.h"

enum {
    RCR_ALL = 1 << 0,
    RCR_MINE = 1 << 1,
    RCR_MULTICAST = 1 << 2,
    RCR_BROADCAST = 1 << 3,
    RCR_NO_WRAP = 1 << 7,
    RCR_LENGTH_SHIFT = 11,

    HEADER = 4, /* of a packet in the buffer: status, size */
    STATUS_OK = 1 << 0,
    STATUS_BROADCAST = 1 << 13,
    STATUS_MINE = 1 << 14,
    STATUS_MULTICAST = 1 << 15,
    DESCRIPTOR_STATUS_SHIFT = 11, /* the same bits in a descriptor */
    DESCRIPTOR_SIZE = 0x1fff,
    READ_AHEAD = 16, /* CAPR is as far behind what was read */

    MIN_FRAME = 60,
    MAX_FRAME = 4096,
};

uint32_t rtl_ring_bytes(const Rtl8139 *rtl)
{
    return 8192u << (load_le32(rtl->r + RTL_RCR) >> RCR_LENGTH_SHIFT & 3);
}

uint32_t rtl_read_offset(const Rtl8139 *rtl)
{
    return (load_le16(rtl->r + RTL_CAPR) + READ_AHEAD) % rtl_ring_bytes(rtl);
}

/* Room for a packet that leaves a gap before what was not read yet. */
static uint32_t room(const Rtl8139 *rtl)
{
    uint32_t bytes = rtl_ring_bytes(rtl);
    uint32_t used = (rtl->rx_offset + bytes - rtl_read_offset(rtl)) % bytes;

    return bytes - used - 1;
}

static bool receives(const Rtl8139 *rtl)
{
    return rtl->r[RTL_CR] & RTL_CR_RX && pci_bus_master_enabled(&rtl->pci);
}

bool rtl_can_receive(void *opaque)
{
    const Rtl8139 *rtl = opaque;

    return !receives(rtl) || rtl->r[RTL_CPCR] & RTL_CPCR_RX || room(rtl) > 2048;
}

/* The upper six bits of a CRC over the address (section 6.6). */
static unsigned multicast_hash(const uint8_t *address)
{
    uint32_t crc = UINT32_MAX;

    for (unsigned i = 0; i < RTL_MAC * 8; i++) {
        uint32_t carry = crc >> 31 ^ (address[i / 8] >> (i % 8) & 1);

        crc = crc << 1 ^ (carry ? 0x04c11db7 : 0);
    }
    return crc >> 26;
}

static bool accepts(const Rtl8139 *rtl, const uint8_t *frame, uint16_t *status)
{
    static const uint8_t broadcast[RTL_MAC] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    uint8_t rcr = rtl->r[RTL_RCR];
    unsigned hash;

    *status = STATUS_OK;
    if (memcmp(frame, broadcast, RTL_MAC) == 0) {
        *status |= STATUS_BROADCAST;
        return rcr & (RCR_BROADCAST | RCR_ALL);
    }
    if (frame[0] & 1) {
        *status |= STATUS_MULTICAST;
        hash = multicast_hash(frame);
        return rcr & RCR_ALL ||
               (rcr & RCR_MULTICAST && rtl->r[RTL_MAR + hash / 8] >> (hash % 8) & 1);
    }
    if (memcmp(frame, rtl->r + RTL_IDR, RTL_MAC) == 0) {
        *status |= STATUS_MINE;
        return rcr & (RCR_MINE | RCR_ALL);
    }
    return rcr & RCR_ALL;
}

static void missed(Rtl8139 *rtl)
{
    uint32_t count = load_le32(rtl->r + RTL_MPC);

    store_le32(rtl->r + RTL_MPC, (count + 1) & 0xffffff);
    rtl_raise(rtl, RTL_ISR_RXOVW);
}

/* `size` bytes at the write offset, which moves on; unless told otherwise, a packet goes round the end. */
static void put(Rtl8139 *rtl, const uint8_t *data, uint32_t size)
{
    uint64_t start = load_le32(rtl->r + RTL_RBSTART);
    uint32_t bytes = rtl_ring_bytes(rtl), part = size;

    if (!(rtl->r[RTL_RCR] & RCR_NO_WRAP)) {
        part = MIN(size, bytes - rtl->rx_offset % bytes);
    }
    rtl_write(rtl, start + rtl->rx_offset, data, part);
    rtl_write(rtl, start, data + part, size - part);
}

static void to_buffer(Rtl8139 *rtl, const uint8_t *frame, uint32_t size, uint16_t status)
{
    uint8_t packet[HEADER + MAX_FRAME + RTL_FCS] = { 0 };
    uint32_t total = align_up(HEADER + size + RTL_FCS, 4);

    if (total > room(rtl)) {
        missed(rtl);
        return;
    }
    store_le16(packet, status);
    store_le16(packet + 2, size + RTL_FCS);
    memcpy(packet + HEADER, frame, size);
    put(rtl, packet, HEADER + size + RTL_FCS);
    rtl->rx_offset = (rtl->rx_offset + total) % rtl_ring_bytes(rtl);
    store_le16(rtl->r + RTL_CBR, rtl->rx_offset);
    rtl_raise(rtl, RTL_ISR_ROK);
}

static void to_descriptor(Rtl8139 *rtl, const uint8_t *frame, uint32_t size, uint16_t status)
{
    uint64_t at = load_le64(rtl->r + RTL_RDSAR) + rtl->rx_index * RTL_DESCRIPTOR;
    uint8_t descriptor[RTL_DESCRIPTOR], packet[MAX_FRAME + RTL_FCS] = { 0 };
    uint32_t flags;

    if (!rtl_read(rtl, at, descriptor, sizeof descriptor)) {
        return;
    }
    flags = load_le32(descriptor);
    if (!(flags & RTL_OWN) || (flags & DESCRIPTOR_SIZE) < size + RTL_FCS) {
        missed(rtl);
        return;
    }
    memcpy(packet, frame, size);
    rtl_write(rtl, load_le64(descriptor + 8), packet, size + RTL_FCS);
    rtl->rx_index = flags & RTL_EOR ? 0 : (rtl->rx_index + 1) % RTL_DESCRIPTORS;
    store_le32(descriptor, (flags & RTL_EOR) | RTL_FS | RTL_LS | (size + RTL_FCS) |
                               (uint32_t)(status & ~STATUS_OK) << DESCRIPTOR_STATUS_SHIFT);
    store_le32(descriptor + 4, 0);
    rtl_write(rtl, at, descriptor, 8);
    rtl_raise(rtl, RTL_ISR_ROK);
}

void rtl_receive(void *opaque, const uint8_t *frame, size_t size)
{
    Rtl8139 *rtl = opaque;
    uint8_t padded[MIN_FRAME] = { 0 };
    uint16_t status;

    if (!receives(rtl) || rtl->receiving || size < 2 * RTL_MAC || size > MAX_FRAME ||
        !accepts(rtl, frame, &status)) {
        return;
    }
    if (size < MIN_FRAME) {
        memcpy(padded, frame, size);
        frame = padded;
        size = MIN_FRAME;
    }
    rtl->receiving = true;
    if (rtl->r[RTL_CPCR] & RTL_CPCR_RX) {
        to_descriptor(rtl, frame, (uint32_t)size, status);
    } else {
        to_buffer(rtl, frame, (uint32_t)size, status);
    }
    rtl->receiving = false;
}
