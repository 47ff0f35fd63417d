/* SPDX-License-Identifier: MIT */
/*
 * What the gigabit controllers of Intel's e1000 family have in common: filters and sums of frames (e1000-frame.c), EEPROM words and PHY
 * (e1000-serial.c), transmit descriptors (e1000-tx.c), legacy receive descriptors (e1000-rx.c). Section numbers are those of the
 * PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual, 317453.
 */
#ifndef HW_NET_E1000_CORE_H
#define HW_NET_E1000_CORE_H

#include "hw/pci/pci.h"
#include "machine/netdev.h"

enum {
    E1000_MAC = 6,
    E1000_EEPROM_WORDS = 64,
    E1000_PHY_REGISTERS = 32,
    E1000_DESCRIPTOR = 16,
    E1000_ADDRESSES = 16,
    E1000_TABLE = 128,
    E1000_STATISTICS = 64,
    E1000_TX_BUFFER = 65536,
    E1000_TX_HEADER = 256,
    E1000_MAX_FRAME = 16384,
    E1000_RING_BYTES = 0xfff80,
    E1000_TAG = 4,
    E1000_FCS = 4,
    E1000_VERSION = 1, /* of what is saved: 1 has the PHY's negotiation */
    E1000_HEADER = 14, /* bytes of an Ethernet header */

    /* Causes of interrupts (13.4.17). */
    E1000_TXDW = 1 << 0,
    E1000_TXQE = 1 << 1,
    E1000_LSC = 1 << 2,
    E1000_RXDMT0 = 1 << 4,
    E1000_RXO = 1 << 6,
    E1000_RXT0 = 1 << 7,
    E1000_MDAC = 1 << 9,
    E1000_TXD_LOW = 1 << 15,

    E1000_CTRL_RST = 1 << 26,
    E1000_CTRL_VME = 1 << 30,
    E1000_STATUS_LU = 1 << 1,
    E1000_RCTL_EN = 1 << 1,
    E1000_MDIC_READY = 1 << 28,

    /* Status and errors of a received frame (3.2.3.1). */
    E1000_RX_DD = 1 << 0,
    E1000_RX_EOP = 1 << 1,
    E1000_RX_IXSM = 1 << 2,
    E1000_RX_VP = 1 << 3,
    E1000_RX_UDPCS = 1 << 4,
    E1000_RX_TCPCS = 1 << 5,
    E1000_RX_IPCS = 1 << 6,
    E1000_RX_PIF = 1 << 7, /* passed a filter that is not exact */
    E1000_RX_TCPE = 1 << 5,
    E1000_RX_IPE = 1 << 6,
};

/* Indices of statistics: (offset - 0x4000) / 4. */
enum {
    E1000_MPC = 4,
    E1000_RLEC = 16,
    E1000_PRC64 = 23,
    E1000_GPRC = 29,
    E1000_BPRC = 30,
    E1000_MPRC = 31,
    E1000_GPTC = 32,
    E1000_GORCL = 34,
    E1000_GOTCL = 36,
    E1000_RNBC = 40,
    E1000_TORL = 48,
    E1000_TOTL = 50,
    E1000_TPR = 52,
    E1000_TPT = 53,
    E1000_PTC64 = 54,
    E1000_MPTC = 60,
    E1000_BPTC = 61,
    E1000_TSCTC = 62,
};

/* Indices count descriptors of 16 bytes. */
typedef struct {
    uint32_t base_low, base_high, length, head, tail;
} E1000Ring;

/* What a context descriptor says (3.3.6). */
typedef struct {
    uint8_t ip_start, ip_offset;
    uint16_t ip_end;
    uint8_t tcp_start, tcp_offset;
    uint16_t tcp_end;
    uint32_t payload;
    uint8_t header;
    uint16_t segment;
    bool is_ipv4, is_tcp;
} E1000Context;

/* The packet that a queue's descriptors are building. */
typedef struct {
    E1000Context checksums, segmentation;
    E1000Context
        active; /* the packet's own, which a context descriptor in its midst does not change */
    bool in_packet, segmenting;
    uint8_t insert; /* checksums to put in: bit 0 IP, bit 1 TCP or UDP */
    bool tagged;
    uint16_t tag;
    uint32_t size, header_size, segments, left;
    uint8_t header[E1000_TX_HEADER];
    uint8_t buffer[E1000_TX_BUFFER];
} E1000Packet;

typedef struct E1000Core E1000Core;

/* class_data: what the members of the family tell apart. */
typedef struct {
    uint16_t device_id;
    uint16_t phy_id; /* the PHY's second identity register: which Marvell */
    bool
        modern; /* from 82571 on: EERD has one more bit of address, sums of UDP are told, and of IPv6 there are any */
    void (*raise)(E1000Core *core, uint32_t causes);
    void (*receive)(void *core, const uint8_t *frame, size_t size); /* for loopback */
} E1000Model;

struct E1000Core {
    PciDevice pci; /* first */
    MemoryRegion registers, ports;
    /* State. */
    uint32_t ctrl, status, eerd, mdic, vet, rctl, tctl, rxcsum;
    uint32_t multicast[E1000_TABLE], vlans[E1000_TABLE];
    uint32_t addresses[E1000_ADDRESSES * 2];
    uint32_t statistics[E1000_STATISTICS];
    uint32_t io_address;
    uint16_t phy[E1000_PHY_REGISTERS];
    uint16_t eeprom[E1000_EEPROM_WORDS];
    Timer negotiation; /* armed: the PHY negotiates, and there is no link */
    /* Properties. */
    Netdev *netdev;
    uint8_t mac[E1000_MAC];
    int32_t bootindex;
    bool attached;
    /* While descriptors are done: DMA that reaches the registers does not start again. */
    bool transmitting, receiving;
};

static inline E1000Core *e1000_core(Device *device)
{
    return container_of(pci_device(device), E1000Core, pci);
}

static inline const E1000Model *e1000_model(const E1000Core *core)
{
    return core->pci.device.type->class_data;
}

/* --- e1000-frame.c --- */

/* Where the parts of a frame are, as far as they are known and whole. */
typedef struct {
    bool is_ipv4, is_ipv6, is_fragment;
    uint8_t protocol;                     /* 0: neither TCP nor UDP, or not whole */
    uint32_t ip, transport, payload, end; /* offsets; end: of IP's packet */
} E1000Layers;
enum { E1000_PROTOCOL_TCP = 6, E1000_PROTOCOL_UDP = 17 };

/* One's complement sum, not inverted, of `size` bytes. */
uint32_t e1000_sum(const uint8_t *data, size_t size, uint32_t sum);
uint16_t e1000_fold(uint32_t sum);
void e1000_parse(const uint8_t *frame, uint32_t size, E1000Layers *layers);
void e1000_count(E1000Core *core, unsigned statistic, uint64_t amount);
void e1000_count_frame(E1000Core *core, bool received, const uint8_t *frame, size_t size);

/* A frame on its way into descriptors. */
typedef struct {
    uint8_t bytes[E1000_MAX_FRAME + E1000_TAG + E1000_FCS];
    uint32_t size;
    uint8_t status, errors; /* as of legacy descriptors */
    uint16_t tag, checksum;
    E1000Layers layers;
} E1000Incoming;

/* Whether the filters let it in; then it is counted, and is as descriptors get it. */
bool e1000_take_frame(E1000Core *core, const uint8_t *frame, size_t size, E1000Incoming *in);

/* --- rings: e1000-rx.c, e1000-tx.c --- */
uint64_t e1000_ring_base(const E1000Ring *ring);
uint32_t e1000_ring_count(const E1000Ring *ring);
/* Whether it holds descriptors that the hardware may use. */
bool e1000_ring_ready(const E1000Core *core, const E1000Ring *ring);
/* How many of those there are. */
uint32_t e1000_ring_free(const E1000Core *core, const E1000Ring *ring);
void e1000_ring_advance(E1000Ring *ring, uint32_t descriptors);
/* RCTL's size of a receive buffer. */
uint32_t e1000_buffer_size(const E1000Core *core);
/* Puts it into legacy descriptors; the causes of interrupts that come of it. */
uint32_t e1000_deliver(E1000Core *core, E1000Ring *ring, const E1000Incoming *in);
/* Does the ring's descriptors; the causes of interrupts that come of them, 0 when there were none. */
uint32_t e1000_transmit(E1000Core *core, E1000Ring *ring, E1000Packet *packet);
/* For reset: nothing is under way. */
void e1000_packet_end(E1000Packet *packet);
void e1000_packet_reset(E1000Packet *packet);
/* For state_check. */
bool e1000_packet_check(const E1000Packet *packet, GError **error);

/* --- e1000-serial.c --- */
typedef struct {
    uint8_t word;
    uint16_t value;
} E1000EepromWord;
/* The address, the words and the sum. */
void e1000_eeprom_fill(E1000Core *core, const E1000EepromWord *words, unsigned count);
/* The receiver's own address, which a reset reads from there. */
void e1000_load_address(E1000Core *core);
void e1000_write_eerd(Device *device, unsigned index, uint64_t value);
void e1000_write_mdic(Device *device, unsigned index, uint64_t value);
void e1000_phy_init(E1000Core *core);
void e1000_phy_unrealize(E1000Core *core);
/* At power-on there is a link at once. */
void e1000_phy_reset(E1000Core *core);
/* By the driver: a link is negotiated anew. */
void e1000_phy_restart(E1000Core *core);
/* For NetClient: whether the cable is in. */
void e1000_link_changed(void *core, bool up);

/* --- e1000-common.c: life, and registers behind ports --- */
extern const MemoryOps e1000_port_ops;
uint64_t e1000_read_statistic(Device *device, unsigned index);
/* Checks the address, chooses one, takes the back end, and makes the PHY. */
bool e1000_attach(E1000Core *core, const NetClient *client, GError **error);
void e1000_detach(E1000Core *core);
/* Frames that the back end has kept. */
void e1000_take_waiting(E1000Core *core);
void e1000_write_rctl(Device *device, unsigned index, uint64_t value);

#define E1000_PROPERTIES(Instance, core)                                                           \
    { "mac", PROPERTY_MAC, offsetof(Instance, core.mac),                                           \
      "its address; unset: 52:54:00:12:34:56 and up" },                                            \
        { "netdev", PROPERTY_NETDEV, offsetof(Instance, core.netdev), "the back end" },            \
    {                                                                                              \
        "bootindex", PROPERTY_I32, offsetof(Instance, core.bootindex),                             \
            "place in the firmware's boot order", "-1"                                             \
    }

#define E1000_CORE_STATE(Instance, core)                                                           \
    STATE_AS("pci.config", Instance, core.pci.config),                                             \
        STATE_AS("pci.msix.table", Instance, core.pci.msix.table),                                 \
        STATE_AS("pci.msix.pending", Instance, core.pci.msix.pending),                             \
        STATE_AS("ctrl", Instance, core.ctrl), STATE_AS("status", Instance, core.status),          \
        STATE_AS("eerd", Instance, core.eerd), STATE_AS("mdic", Instance, core.mdic),              \
        STATE_AS("vet", Instance, core.vet), STATE_AS("rctl", Instance, core.rctl),                \
        STATE_AS("tctl", Instance, core.tctl), STATE_AS("rxcsum", Instance, core.rxcsum),          \
        STATE_AS("multicast", Instance, core.multicast), STATE_AS("vlans", Instance, core.vlans),  \
        STATE_AS("addresses", Instance, core.addresses),                                           \
        STATE_AS("statistics", Instance, core.statistics),                                         \
        STATE_AS("io_address", Instance, core.io_address), STATE_AS("phy", Instance, core.phy),    \
        STATE_AS("eeprom", Instance, core.eeprom),                                                 \
        STATE_TIMER_AS_SINCE(E1000_VERSION, "negotiation", Instance, core.negotiation),            \
        STATE_DERIVED(Instance, core.transmitting),                                                \
        STATE_DERIVED(Instance, core.receiving)

extern const StateField e1000_ring_state[], e1000_context_state[];
/* `at`: the packet's member with its dot, or nothing in a table of its own. */
#define E1000_PACKET_STATE(Instance, at)                                                           \
    { .name = "checksums", E1000_CONTEXT_STATE(Instance, at checksums) },                          \
        { .name = "segmentation", E1000_CONTEXT_STATE(Instance, at segmentation) },                \
        { .name = "active", E1000_CONTEXT_STATE(Instance, at active) },                            \
        STATE_AS("in_packet", Instance, at in_packet),                                             \
        STATE_AS("segmenting", Instance, at segmenting), STATE_AS("insert", Instance, at insert),  \
        STATE_AS("tagged", Instance, at tagged), STATE_AS("tag", Instance, at tag),                \
        STATE_AS("tx_size", Instance, at size),                                                    \
        STATE_AS("tx_header_size", Instance, at header_size),                                      \
        STATE_AS("tx_segments", Instance, at segments), STATE_AS("tx_left", Instance, at left),    \
        STATE_AS("tx_header", Instance, at header), STATE_AS("tx_buffer", Instance, at buffer)
#define E1000_CONTEXT_STATE(Instance, member)                                                      \
    .offset = offsetof(Instance, member), .size = sizeof(E1000Context),                            \
    .element = sizeof(E1000Context), .kind = STATE_KIND_STRUCTS, .fields = e1000_context_state

#endif
