/* SPDX-License-Identifier: MIT */
/* What the parts of virtio-net share (Virtio 1.2, 5.1). */
#ifndef HW_VIRTIO_VIRTIO_NET_H
#define HW_VIRTIO_VIRTIO_NET_H

#include "hw/virtio/virtio.h"
#include "machine/netdev.h"

enum {
    F_CSUM = 0,
    F_GUEST_CSUM = 1,
    F_CTRL_GUEST_OFFLOADS = 2,
    F_MTU = 3,
    F_MAC = 5,
    F_GSO = 6,
    F_GUEST_TSO4 = 7,
    F_GUEST_TSO6 = 8,
    F_GUEST_ECN = 9,
    F_GUEST_UFO = 10,
    F_HOST_TSO4 = 11,
    F_HOST_TSO6 = 12,
    F_HOST_ECN = 13,
    F_HOST_UFO = 14,
    F_MRG_RXBUF = 15,
    F_STATUS = 16,
    F_CTRL_VQ = 17,
    F_CTRL_RX = 18,
    F_CTRL_VLAN = 19,
    F_CTRL_RX_EXTRA = 20,
    F_GUEST_ANNOUNCE = 21,
    F_MQ = 22,
    F_CTRL_MAC_ADDR = 23,
    F_GUEST_USO4 = 54,
    F_GUEST_USO6 = 55,
    F_HOST_USO = 56,
    F_SPEED_DUPLEX = 63,

    HEADER_LEGACY = 10,
    HEADER_SIZE = 12, /* with num_buffers */
    HEADER_FLAGS = 0,
    HEADER_NUM_BUFFERS = 10,
    MAC_TABLE_SIZE = 64,
    MAC_SIZE = 6,
    VLAN_COUNT = 4096,

    CONTROL_RX = 0, /* receive modes (5.1.6.5.1) */
    RX_PROMISCUOUS = 0,
    RX_ALL_MULTICAST = 1,
    RX_ALL_UNICAST = 2,
    RX_NO_MULTICAST = 3,
    RX_NO_UNICAST = 4,
    RX_NO_BROADCAST = 5,
    RX_MODE_COUNT = 6,
};

typedef struct {
    uint8_t address[MAC_TABLE_SIZE][MAC_SIZE];
    uint32_t count;
    uint8_t overflow; /* the driver gave more than fit: let all through */
} MacTable;

typedef struct VirtioNetVhost VirtioNetVhost;

typedef struct {
    VirtioDevice virtio;
    uint8_t current_mac[MAC_SIZE];
    uint8_t modes[RX_MODE_COUNT];
    MacTable unicast, multicast;
    uint8_t vlans[VLAN_COUNT / 8];
    uint64_t guest_offloads; /* features of GUEST_* that the driver has on now */
    uint16_t pairs_used;
    uint8_t announcing; /* the driver is asked to tell its neighbours where it is */
    bool up; /* the driver has said that it is ready, and what it wants holds */
    bool link_up;
    unsigned pairs; /* of receive and transmit queues */
    VirtioNetVhost *vhost; /* the kernel carries frames, or could; NULL: it cannot */
    bool filter_told;      /* nobody has asked for the filter since its last change was told */
    bool loaded;           /* its state is another one, of which the neighbours do not know */
    /* Properties. */
    Netdev *netdev;
    uint8_t mac[MAC_SIZE];
    uint16_t rx_queue_size, tx_queue_size, host_mtu;
    int32_t bootindex, speed;
    char *duplex, *tx;
    uint32_t x_txtimer;
    int32_t x_txburst;
    bool wanted[64]; /* by feature */
    bool ignored;    /* what is never offered */
} VirtioNet;

static inline VirtioNet *virtio_net(VirtioDevice *virtio)
{
    return container_of(virtio, VirtioNet, virtio);
}

static inline bool virtio_net_offers(const VirtioNet *net, unsigned feature)
{
    return net->virtio.offered >> feature & 1;
}

/* Which queue is for control: it moves when the driver takes several pairs (5.1.2). */
static inline unsigned virtio_net_control_index(const VirtioNet *net)
{
    return virtio_has_feature(&net->virtio, F_MQ) ? 2 * net->pairs : 2;
}

/* The features of GUEST_* that mean offloads. */
uint64_t virtio_net_guest_features(void);
/* Tells the back end what the driver has chosen, when that has changed. */
void virtio_net_apply_offloads(VirtioNet *net);
void virtio_net_set_pairs(VirtioNet *net, unsigned pairs);

/* virtio-net-frames.c */
extern const NetClient virtio_net_client;
unsigned virtio_net_header_size(const VirtioNet *net);
void virtio_net_kick_rx(VirtQueue *queue);
void virtio_net_kick_tx(VirtQueue *queue);

/* virtio-net-vhost.c */
bool virtio_net_vhost_realize(VirtioNet *net, GError **error);
void virtio_net_vhost_unrealize(VirtioNet *net);
/* Something that decides on who carries the frames may have changed. */
void virtio_net_vhost_update(VirtioNet *net);
/* Brings the queues home. */
void virtio_net_vhost_reset(VirtioNet *net);
/* Whether the queue is the kernel's, which has then been told. */
bool virtio_net_vhost_kick(VirtioNet *net, unsigned queue);
/* For VirtioType. */
struct Vhost *virtio_net_vhost_of(VirtioDevice *virtio, unsigned queue);

/* virtio-net-control.c */
void virtio_net_kick_control(VirtQueue *queue);
void virtio_net_reset_filter(VirtioNet *net);
void virtio_net_describe_filter(void *opaque, NetFilterInfo *info);
bool virtio_net_wants(const VirtioNet *net, const uint8_t *frame, size_t size);

#endif
