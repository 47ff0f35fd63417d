/* SPDX-License-Identifier: MIT */
/* RTL8139C+: sending, by the four descriptors in registers or by rings, which can have sums and segments made. */
#include <string.h>

#include "hw/net/rtl8139.h"
#include "machine/machine.h"

enum {
    TSD_SIZE = 0x1fff,
    TSD_OWN = 1 << 13, /* done with */
    TSD_OK = 1 << 15,
    TCR_LOOPBACK = 3 << 17,

    TX_LARGE = 1 << 27,
    TX_MSS_SHIFT = 16,
    TX_MSS = 0x7ff,
    TX_IP_SUM = 1 << 18,
    TX_UDP_SUM = 1 << 17,
    TX_TCP_SUM = 1 << 16,
    TX_SIZE = 0xffff,
    TX_TAG = 1 << 17, /* in the second word */
    TNPDS = RTL_TSAD,
    THPDS = RTL_TSAD + 8,

    ETHERNET = 14,
    ETHERTYPE_IP = 0x0800,
    ETHERTYPE_VLAN = 0x8100,
    IP_HEADER = 20,
    IP_SUM = 10,
    TCP_HEADER = 20,
    TCP_SUM = 16,
    UDP_SUM = 6,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    TCP_FIN_PSH = 0x09,
    SEGMENT_MAX = 0x7ff + 256,
};

static void put_out(Rtl8139 *rtl, const uint8_t *frame, uint32_t size, const uint8_t *tag)
{
    struct iovec iov[3] = { { (void *)frame, 2 * RTL_MAC },
                            { (void *)tag, 4 },
                            { (void *)(frame + 2 * RTL_MAC), size - 2 * RTL_MAC } };
    struct iovec whole = { (void *)frame, size };

    if (size < ETHERNET) {
        return;
    }
    if (load_le32(rtl->r + RTL_TCR) & TCR_LOOPBACK) {
        rtl_receive(rtl, frame, size);
    } else if (tag) {
        netdev_transmit(rtl->netdev, iov, 3);
    } else {
        netdev_transmit(rtl->netdev, &whole, 1);
    }
}

void rtl_send_descriptor(Rtl8139 *rtl, unsigned index)
{
    uint8_t *tsd = rtl->r + RTL_TSD + 4 * index, frame[TSD_SIZE + 1];
    uint32_t size = load_le32(tsd) & TSD_SIZE;

    if (!(rtl->r[RTL_CR] & RTL_CR_TX) || load_le32(tsd) & TSD_OWN || rtl->sending ||
        !rtl_read(rtl, load_le32(rtl->r + RTL_TSAD + 4 * index), frame, size)) {
        return;
    }
    rtl->sending = true;
    put_out(rtl, frame, size, NULL);
    rtl->sending = false;
    store_le32(tsd, load_le32(tsd) | TSD_OWN | TSD_OK);
    rtl_raise(rtl, RTL_ISR_TOK);
}

/* Sums */

static uint32_t sum(const uint8_t *data, uint32_t size, uint32_t start)
{
    uint64_t total = start;

    for (uint32_t i = 0; i + 1 < size; i += 2) {
        total += load_be16(data + i);
    }
    if (size & 1) {
        total += (uint32_t)data[size - 1] << 8;
    }
    while (total >> 16) {
        total = (total & 0xffff) + (total >> 16);
    }
    return (uint32_t)total;
}

static void put_ip_sum(uint8_t *ip, uint32_t header)
{
    store_be16(ip + IP_SUM, 0);
    store_be16(ip + IP_SUM, ~sum(ip, header, 0));
}

/* Over the transport's header and data, and the pseudo header of addresses, protocol and size. */
static void put_transport_sum(const uint8_t *ip, uint8_t *transport, uint32_t size, unsigned place)
{
    uint32_t start = sum(ip + 12, 8, ip[9] + size), result;

    store_be16(transport + place, 0);
    result = ~sum(transport, size, start) & 0xffff;
    store_be16(transport + place, result || ip[9] == PROTOCOL_TCP ? result : 0xffff);
}

/* The bytes of an IPv4 packet's header and the packet's; false: it is none. */
static bool find_ip(const uint8_t *frame, uint32_t size, uint32_t *header, uint32_t *total)
{
    const uint8_t *ip = frame + ETHERNET;

    if (size < ETHERNET + IP_HEADER || load_be16(frame + 12) != ETHERTYPE_IP || ip[0] >> 4 != 4) {
        return false;
    }
    *header = (ip[0] & 15) * 4u;
    *total = MIN(load_be16(ip + 2), size - ETHERNET);
    return *header >= IP_HEADER && *header <= *total;
}

static void add_sums(Rtl8139 *rtl, uint32_t flags)
{
    uint8_t *ip = rtl->tx_buffer + ETHERNET;
    uint32_t header, total;

    if (!find_ip(rtl->tx_buffer, rtl->tx_size, &header, &total)) {
        return;
    }
    if (flags & TX_TCP_SUM && ip[9] == PROTOCOL_TCP && total >= header + TCP_HEADER) {
        put_transport_sum(ip, ip + header, total - header, TCP_SUM);
    } else if (flags & TX_UDP_SUM && ip[9] == PROTOCOL_UDP && total >= header + 8) {
        put_transport_sum(ip, ip + header, total - header, UDP_SUM);
    }
    if (flags & TX_IP_SUM) {
        put_ip_sum(ip, header);
    }
}

/* Segments */

static void send_segment(Rtl8139 *rtl, uint32_t headers, uint32_t ip_header, uint32_t done,
                         uint32_t part, unsigned number, bool last, const uint8_t *tag)
{
    uint8_t frame[SEGMENT_MAX], *ip = frame + ETHERNET, *tcp = ip + ip_header;
    uint32_t size = headers + part;

    memcpy(frame, rtl->tx_buffer, headers);
    memcpy(frame + headers, rtl->tx_buffer + headers + done, part);
    store_be16(ip + 2, size - ETHERNET);
    store_be16(ip + 4, load_be16(ip + 4) + number);
    store_be32(tcp + 4, load_be32(tcp + 4) + done);
    if (!last) {
        tcp[13] &= (uint8_t)~TCP_FIN_PSH;
    }
    put_ip_sum(ip, ip_header);
    put_transport_sum(ip, tcp, size - ETHERNET - ip_header, TCP_SUM);
    put_out(rtl, frame, size, tag);
}

static void send_large(Rtl8139 *rtl, uint32_t mss, const uint8_t *tag)
{
    const uint8_t *frame = rtl->tx_buffer;
    uint32_t ip_header, total, headers, left, done = 0, number = 0;

    if (!find_ip(frame, rtl->tx_size, &ip_header, &total) || frame[ETHERNET + 9] != PROTOCOL_TCP ||
        total < ip_header + TCP_HEADER || !mss) {
        log_guest_error("rtl8139",
                        "a large send that is not TCP over IPv4, or has no segment size");
        return;
    }
    headers = ETHERNET + ip_header + (frame[ETHERNET + ip_header + 12] >> 4) * 4u;
    if (headers < ETHERNET + ip_header + TCP_HEADER || headers > ETHERNET + total) {
        return;
    }
    left = rtl->tx_size - headers;
    do {
        uint32_t part = MIN(left, mss);

        left -= part;
        send_segment(rtl, headers, ip_header, done, part, number++, !left, tag);
        done += part;
    } while (left);
}

/* Rings */

static void end_packet(Rtl8139 *rtl, uint32_t flags, uint32_t vlan)
{
    uint8_t bytes[4], *tag = NULL;

    if (vlan & TX_TAG) {
        tag = bytes;
        store_be16(bytes, ETHERTYPE_VLAN);
        store_le16(bytes + 2, vlan);
    }
    if (flags & TX_LARGE) {
        send_large(rtl, flags >> TX_MSS_SHIFT & TX_MSS, tag);
    } else {
        add_sums(rtl, flags);
        put_out(rtl, rtl->tx_buffer, rtl->tx_size, tag);
    }
    rtl->tx_size = 0;
}

/* False: the descriptor is the driver's, or not in memory. */
static bool send_next(Rtl8139 *rtl, uint64_t ring, uint8_t *index)
{
    uint64_t at = ring + *index * RTL_DESCRIPTOR;
    uint8_t descriptor[RTL_DESCRIPTOR];
    uint32_t flags, size;

    if (!rtl_read(rtl, at, descriptor, sizeof descriptor)) {
        return false;
    }
    flags = load_le32(descriptor);
    if (!(flags & RTL_OWN)) {
        return false;
    }
    if (flags & RTL_FS) {
        rtl->tx_size = 0;
    }
    size = MIN(flags & TX_SIZE, RTL_TX_BUFFER - rtl->tx_size);
    if (rtl_read(rtl, load_le64(descriptor + 8), rtl->tx_buffer + rtl->tx_size, size)) {
        rtl->tx_size += size;
    }
    *index = flags & RTL_EOR ? 0 : (*index + 1) % RTL_DESCRIPTORS;
    if (flags & RTL_LS) {
        end_packet(rtl, flags, load_le32(descriptor + 4));
    }
    store_le32(descriptor, flags & ~RTL_OWN);
    rtl_write(rtl, at, descriptor, 4);
    return true;
}

void rtl_send_ring(Rtl8139 *rtl, bool high)
{
    unsigned budget = 2 * RTL_DESCRIPTORS; /* of rings that stay the card's whatever it writes */
    uint64_t ring = load_le64(rtl->r + (high ? THPDS : TNPDS));
    uint8_t *index = high ? &rtl->high_index : &rtl->tx_index;

    if (rtl->sending || !(rtl->r[RTL_CR] & RTL_CR_TX) || !(rtl->r[RTL_CPCR] & RTL_CPCR_TX) ||
        !pci_bus_master_enabled(&rtl->pci)) {
        return;
    }
    rtl->sending = true;
    while (budget && send_next(rtl, ring, index)) {
        budget--;
    }
    rtl->sending = false;
    rtl_raise(rtl, budget < 2 * RTL_DESCRIPTORS ? RTL_ISR_TOK : RTL_ISR_TDU);
}
