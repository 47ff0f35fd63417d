/* SPDX-License-Identifier: MIT */
/* Frames as the e1000 family sees them: layers, checksums (3.2.9), statistics (13.7), address filters (3.2.1). */
#include <string.h>

#include "hw/net/e1000-core.h"

enum {
    RCTL_UPE = 1 << 3,
    RCTL_MPE = 1 << 4,
    RCTL_LPE = 1 << 5,
    RCTL_BAM = 1 << 15,
    RCTL_VFE = 1 << 18,
    RCTL_SECRC = 1 << 26,
    ADDRESS_VALID = 1u << 31,
    RXCSUM_IP = 1 << 8,
    RXCSUM_TCP = 1 << 9,

    MIN_FRAME = 60,
    NORMAL_FRAME = 1518,
    ADDRESSES = 12, /* bytes of the two in a frame */
    TYPE_IPV4 = 0x0800,
    TYPE_IPV6 = 0x86dd,
    IPV4_FRAGMENT = 0x3fff,
    IPV4_HEADER = 20,
    IPV6_HEADER = 40,
    TCP_HEADER = 20,
    UDP_HEADER = 8,
};

/* Sums */

uint32_t e1000_sum(const uint8_t *data, size_t size, uint32_t sum)
{
    uint64_t total = sum;

    for (size_t i = 0; i + 1 < size; i += 2) {
        total += load_be16(data + i);
    }
    if (size & 1) {
        total += (uint32_t)data[size - 1] << 8;
    }
    while (total >> 32) {
        total = (total & UINT32_MAX) + (total >> 32);
    }
    return total;
}

uint16_t e1000_fold(uint32_t sum)
{
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

/* Layers */

static void parse_transport(const uint8_t *frame, uint8_t protocol, E1000Layers *layers)
{
    const uint8_t *header = frame + layers->transport;
    uint32_t size = layers->end - layers->transport, length;

    if (layers->is_fragment) {
        return;
    }
    if (protocol == E1000_PROTOCOL_TCP && size >= TCP_HEADER) {
        length = (header[12] >> 4) * 4u;
        if (length < TCP_HEADER || length > size) {
            return;
        }
    } else if (protocol == E1000_PROTOCOL_UDP && size >= UDP_HEADER) {
        length = UDP_HEADER;
    } else {
        return;
    }
    layers->protocol = protocol;
    layers->payload = layers->transport + length;
}

static void parse_ipv4(const uint8_t *frame, uint32_t size, E1000Layers *layers)
{
    const uint8_t *ip = frame + E1000_HEADER;
    uint32_t header, total;

    if (size < E1000_HEADER + IPV4_HEADER || ip[0] >> 4 != 4) {
        return;
    }
    header = (ip[0] & 15) * 4u;
    total = load_be16(ip + 2);
    if (header < IPV4_HEADER || total < header || total > size - E1000_HEADER) {
        return;
    }
    layers->is_ipv4 = true;
    layers->is_fragment = load_be16(ip + 6) & IPV4_FRAGMENT;
    layers->transport = layers->payload = E1000_HEADER + header;
    layers->end = E1000_HEADER + total;
    parse_transport(frame, ip[9], layers);
}

/* Extension headers end what is known. */
static void parse_ipv6(const uint8_t *frame, uint32_t size, E1000Layers *layers)
{
    const uint8_t *ip = frame + E1000_HEADER;

    if (size < E1000_HEADER + IPV6_HEADER || ip[0] >> 4 != 6 ||
        load_be16(ip + 4) > size - E1000_HEADER - IPV6_HEADER) {
        return;
    }
    layers->is_ipv6 = true;
    layers->transport = layers->payload = E1000_HEADER + IPV6_HEADER;
    layers->end = layers->transport + load_be16(ip + 4);
    parse_transport(frame, ip[6], layers);
}

void e1000_parse(const uint8_t *frame, uint32_t size, E1000Layers *layers)
{
    uint16_t type = size >= E1000_HEADER ? load_be16(frame + ADDRESSES) : 0;

    *layers = (E1000Layers){ .ip = E1000_HEADER };
    if (type == TYPE_IPV4) {
        parse_ipv4(frame, size, layers);
    } else if (type == TYPE_IPV6) {
        parse_ipv6(frame, size, layers);
    }
}

/* Statistics: 32 bits that stay at their end, or 64 that do, too. */

void e1000_count(E1000Core *core, unsigned statistic, uint64_t amount)
{
    uint32_t *at = &core->statistics[statistic];

    *at = amount > UINT32_MAX - *at ? UINT32_MAX : *at + (uint32_t)amount;
}

static void count_long(E1000Core *core, unsigned statistic, uint64_t amount)
{
    uint64_t value = core->statistics[statistic] | (uint64_t)core->statistics[statistic + 1] << 32;

    value = amount > UINT64_MAX - value ? UINT64_MAX : value + amount;
    core->statistics[statistic] = value;
    core->statistics[statistic + 1] = value >> 32;
}

/* Which of the six counters of sizes, with the checksum: up to 64 bytes, 127, 255 … */
static unsigned size_class(size_t size)
{
    unsigned class = 0;

    while (class < 5 && size > (class ? (64u << class) - 1 : 64u)) {
        class ++;
    }
    return class;
}

void e1000_count_frame(E1000Core *core, bool received, const uint8_t *frame, size_t size)
{
    static const uint8_t broadcast[E1000_MAC] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    bool all = memcmp(frame, broadcast, E1000_MAC) == 0;
    bool has_sum = received && !(core->rctl & RCTL_SECRC);

    e1000_count(core, received ? E1000_GPRC : E1000_GPTC, 1);
    e1000_count(core, received ? E1000_TPR : E1000_TPT, 1);
    e1000_count(core,
                (received ? E1000_PRC64 : E1000_PTC64) +
                    size_class(MAX(size + (has_sum ? 0 : E1000_FCS), MIN_FRAME + E1000_FCS)),
                1);
    count_long(core, received ? E1000_GORCL : E1000_GOTCL, size);
    count_long(core, received ? E1000_TORL : E1000_TOTL, size);
    if (all) {
        e1000_count(core, received ? E1000_BPRC : E1000_BPTC, 1);
    } else if (frame[0] & 1) {
        e1000_count(core, received ? E1000_MPRC : E1000_MPTC, 1);
    }
}

/* Filters */

static bool matches_exactly(const E1000Core *core, const uint8_t *frame)
{
    for (unsigned i = 0; i < E1000_ADDRESSES; i++) {
        uint32_t low = core->addresses[i * 2], high = core->addresses[i * 2 + 1];

        if (high & ADDRESS_VALID && load_le32(frame) == low &&
            load_le16(frame + 4) == (uint16_t)high) {
            return true;
        }
    }
    return false;
}

static bool matches_hash(const E1000Core *core, const uint8_t *frame)
{
    static const uint8_t shifts[] = { 4, 3, 2, 0 };
    unsigned hash = load_le16(frame + 4) >> shifts[core->rctl >> 12 & 3] & 0xfff;

    return core->multicast[hash >> 5] >> (hash & 31) & 1;
}

static bool is_tagged(const E1000Core *core, const uint8_t *frame, size_t size)
{
    return size >= E1000_HEADER + E1000_TAG && load_be16(frame + ADDRESSES) == (uint16_t)core->vet;
}

static bool accepts(const E1000Core *core, const uint8_t *frame, size_t size, uint8_t *status)
{
    static const uint8_t broadcast[E1000_MAC] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    bool multicast = frame[0] & 1;

    if (core->rctl & RCTL_VFE && is_tagged(core, frame, size)) {
        unsigned vlan = load_be16(frame + E1000_HEADER) & 0xfff;

        if (!(core->vlans[vlan >> 5] >> (vlan & 31) & 1)) {
            return false;
        }
    }
    if (matches_exactly(core, frame)) {
        return true;
    }
    if (memcmp(frame, broadcast, E1000_MAC) == 0) {
        return core->rctl & (RCTL_BAM | RCTL_MPE);
    }
    if (core->rctl & (multicast ? RCTL_MPE : RCTL_UPE)) {
        return true;
    }
    *status |= E1000_RX_PIF;
    return multicast && matches_hash(core, frame);
}

/* Checksums of what came in */

static void check_transport(const E1000Core *core, E1000Incoming *in)
{
    const E1000Layers *layers = &in->layers;
    const uint8_t *transport = in->bytes + layers->transport;
    bool udp = layers->protocol == E1000_PROTOCOL_UDP;
    uint32_t size = layers->end - layers->transport, sum;

    if (!(core->rxcsum & RXCSUM_TCP) || !layers->protocol ||
        (udp && !load_be16(transport + 6))) { /* a sum that is 0 says nothing */
        return;
    }
    sum = layers->is_ipv4 ? e1000_sum(in->bytes + layers->ip + 12, 8, 0)
                          : e1000_sum(in->bytes + layers->ip + 8, 32, 0);
    in->status |= E1000_RX_TCPCS;
    if (udp && e1000_model(core)->modern) {
        in->status |= E1000_RX_UDPCS;
    }
    if (e1000_fold(e1000_sum(transport, size, sum + layers->protocol + size)) != 0xffff) {
        in->errors |= E1000_RX_TCPE;
    }
}

static void check_sums(const E1000Core *core, E1000Incoming *in, uint32_t size)
{
    const E1000Layers *layers = &in->layers;
    unsigned start = core->rxcsum & 0xff;

    in->checksum = e1000_fold(start < size ? e1000_sum(in->bytes + start, size - start, 0) : 0);
    e1000_parse(in->bytes, size, &in->layers);
    if (!(core->rxcsum & (RXCSUM_IP | RXCSUM_TCP)) ||
        !(layers->is_ipv4 || (layers->is_ipv6 && e1000_model(core)->modern))) {
        in->status |= E1000_RX_IXSM;
        return;
    }
    if (core->rxcsum & RXCSUM_IP && layers->is_ipv4) {
        uint32_t header = layers->transport - layers->ip;

        in->status |= E1000_RX_IPCS;
        in->errors |=
            e1000_fold(e1000_sum(in->bytes + layers->ip, header, 0)) == 0xffff ? 0 : E1000_RX_IPE;
    }
    check_transport(core, in);
}

/* As descriptors get it: without the tag, filled up, with an FCS that no back end has. */
static void prepare(const E1000Core *core, E1000Incoming *in, const uint8_t *frame, size_t size)
{
    memcpy(in->bytes, frame, size);
    if (core->ctrl & E1000_CTRL_VME && is_tagged(core, frame, size)) {
        in->status |= E1000_RX_VP;
        in->tag = load_be16(frame + E1000_HEADER);
        memmove(in->bytes + ADDRESSES, in->bytes + ADDRESSES + E1000_TAG,
                size - ADDRESSES - E1000_TAG);
        size -= E1000_TAG;
    }
    if (size < MIN_FRAME) {
        memset(in->bytes + size, 0, MIN_FRAME - size);
        size = MIN_FRAME;
    }
    check_sums(core, in, size);
    if (!(core->rctl & RCTL_SECRC)) {
        memset(in->bytes + size, 0, E1000_FCS);
        size += E1000_FCS;
    }
    in->size = size;
}

bool e1000_take_frame(E1000Core *core, const uint8_t *frame, size_t size, E1000Incoming *in)
{
    if (!(core->rctl & E1000_RCTL_EN) || !(core->status & E1000_STATUS_LU) || size < E1000_HEADER ||
        core->receiving || !pci_bus_master_enabled(&core->pci)) {
        return false;
    }
    in->status = in->errors = 0;
    in->tag = 0;
    if (size > E1000_MAX_FRAME || (size > NORMAL_FRAME && !(core->rctl & RCTL_LPE))) {
        e1000_count(core, E1000_RLEC, 1);
        return false;
    }
    if (!accepts(core, frame, size, &in->status)) {
        return false;
    }
    prepare(core, in, frame, size);
    e1000_count_frame(core, true, frame, in->size);
    return true;
}
