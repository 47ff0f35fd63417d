/* SPDX-License-Identifier: MIT */
/*
 * Virtio network device (Virtio 1.2, 5.1): one queue pair, mergeable receive buffers, control queue
 * with receive modes, MAC table and VLAN filter.
 *
 * Checksum and segmentation offloads are not offered: no back end takes them. Nor are several queue
 * pairs, guest announcements and RSS.
 */
#include "base/error.h"
#include "hw/virtio/virtio.h"
#include "machine/machine.h"
#include "machine/netdev.h"

enum {
    F_MTU = 3,
    F_MAC = 5,
    F_MRG_RXBUF = 15,
    F_STATUS = 16,
    F_CTRL_VQ = 17,
    F_CTRL_RX = 18,
    F_CTRL_VLAN = 19,
    F_CTRL_RX_EXTRA = 20,
    F_CTRL_MAC_ADDR = 23,
    F_SPEED_DUPLEX = 63,

    CONFIG_MAC = 0,
    CONFIG_STATUS = 6,
    CONFIG_MAX_PAIRS = 8,
    CONFIG_MTU = 10,
    CONFIG_SPEED = 12,
    CONFIG_DUPLEX = 16,
    CONFIG_SIZE = 20,
    STATUS_LINK_UP = 1,

    QUEUE_RX = 0,
    QUEUE_TX = 1,
    CONTROL_QUEUE_SIZE = 64,

    HEADER_LEGACY = 10,
    HEADER_SIZE = 12, /* with num_buffers */
    HEADER_NUM_BUFFERS = 10,
    MAX_FRAME = 65550,
    MAX_MERGED = 64, /* buffers for one frame */
    MAC_TABLE_SIZE = 64,
    MAC_SIZE = 6,
    VLAN_COUNT = 4096,
    ETHERTYPE_VLAN = 0x8100,
};

/* Control commands (5.1.6.5). */
enum {
    CLASS_RX = 0,
    CLASS_MAC = 1,
    CLASS_VLAN = 2,
    RX_PROMISCUOUS = 0,
    RX_ALL_MULTICAST = 1,
    RX_ALL_UNICAST = 2,
    RX_NO_MULTICAST = 3,
    RX_NO_UNICAST = 4,
    RX_NO_BROADCAST = 5,
    RX_MODE_COUNT = 6,
    MAC_TABLE_SET = 0,
    MAC_ADDR_SET = 1,
    VLAN_ADD = 0,
    VLAN_DEL = 1,
    CONTROL_OK = 0,
    CONTROL_ERROR = 1,
};

typedef struct {
    uint8_t address[MAC_TABLE_SIZE][MAC_SIZE];
    uint32_t count;
    uint8_t overflow; /* the driver gave more than fit: let all through */
} MacTable;

typedef struct {
    VirtioDevice virtio;
    uint8_t current_mac[MAC_SIZE];
    uint8_t modes[RX_MODE_COUNT];
    MacTable unicast, multicast;
    uint8_t vlans[VLAN_COUNT / 8];
    bool link_up;
    /* Properties. */
    Netdev *netdev;
    uint8_t mac[MAC_SIZE];
    uint16_t rx_queue_size, tx_queue_size, host_mtu;
    int32_t bootindex, speed;
    char *duplex, *tx;
    uint32_t x_txtimer;
    int32_t x_txburst;
    bool mrg_rxbuf, status, ctrl_vq, ctrl_rx, ctrl_vlan, ctrl_rx_extra, ctrl_mac_addr, mq, csum;
    bool ignored; /* offloads that are never offered */
} VirtioNet;

static VirtioNet *virtio_net(VirtioDevice *virtio)
{
    return container_of(virtio, VirtioNet, virtio);
}

static unsigned header_size(const VirtioNet *net)
{
    return virtio_has_feature(&net->virtio, F_MRG_RXBUF) ||
                   virtio_has_feature(&net->virtio, VIRTIO_F_VERSION_1)
               ? HEADER_SIZE
               : HEADER_LEGACY;
}

/* Receive filter. */

static bool table_has(const MacTable *table, const uint8_t *address)
{
    for (unsigned i = 0; i < table->count; i++) {
        if (!memcmp(table->address[i], address, MAC_SIZE)) {
            return true;
        }
    }
    return table->overflow;
}

static bool is_broadcast(const uint8_t *address)
{
    static const uint8_t broadcast[MAC_SIZE] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

    return !memcmp(address, broadcast, MAC_SIZE);
}

static bool wanted(const VirtioNet *net, const uint8_t *frame, size_t size)
{
    enum { TYPE_OFFSET = 12, TAG_OFFSET = 14, TAGGED_SIZE = 16 };

    if (net->modes[RX_PROMISCUOUS]) {
        return true;
    }
    if (size >= TAGGED_SIZE && load_be16(frame + TYPE_OFFSET) == ETHERTYPE_VLAN &&
        virtio_has_feature(&net->virtio, F_CTRL_VLAN)) {
        unsigned vlan = load_be16(frame + TAG_OFFSET) % VLAN_COUNT;

        if (!(net->vlans[vlan / 8] >> (vlan % 8) & 1)) {
            return false;
        }
    }
    if (is_broadcast(frame)) {
        return !net->modes[RX_NO_BROADCAST];
    }
    if (frame[0] & 1) {
        return !net->modes[RX_NO_MULTICAST] &&
               (net->modes[RX_ALL_MULTICAST] || table_has(&net->multicast, frame));
    }
    return !net->modes[RX_NO_UNICAST] &&
           (net->modes[RX_ALL_UNICAST] || !memcmp(frame, net->current_mac, MAC_SIZE) ||
            table_has(&net->unicast, frame));
}

/* Receive. */

static bool can_receive(void *opaque)
{
    VirtioNet *net = opaque;

    return virtio_running(&net->virtio) && !virtqueue_empty(&net->virtio.queues[QUEUE_RX]);
}

static void give_back(VirtQueue *queue, VirtioElement **elements, unsigned count)
{
    while (count) {
        virtqueue_unpop(queue, elements[--count]);
    }
}

/* Takes buffers for `size` bytes; returns how many, 0 when the guest has not given enough. */
static unsigned take_buffers(VirtioNet *net, VirtQueue *queue, VirtioElement **elements,
                             size_t size)
{
    unsigned limit = virtio_has_feature(&net->virtio, F_MRG_RXBUF) ? MAX_MERGED : 1;
    unsigned count = 0;
    size_t space = 0;

    while (space < size) {
        VirtioElement *e = count < limit ? virtqueue_pop(queue) : NULL;

        if (!e) {
            give_back(queue, elements, count);
            return 0;
        }
        elements[count++] = e;
        if (e->in_bytes < (count == 1 ? header_size(net) : 1)) {
            virtio_fail(&net->virtio, "receive buffer of %llu bytes",
                        (unsigned long long)e->in_bytes);
            give_back(queue, elements, count);
            return 0;
        }
        space += e->in_bytes;
    }
    return count;
}

static void deliver(VirtioNet *net, const uint8_t *frame, size_t size)
{
    VirtQueue *queue = &net->virtio.queues[QUEUE_RX];
    VirtioElement *elements[MAX_MERGED];
    uint8_t header[HEADER_SIZE] = { 0 };
    size_t header_bytes = header_size(net), done = 0;
    unsigned count = take_buffers(net, queue, elements, header_bytes + size);

    if (!count) {
        trace(virtio_name(&net->virtio), "no receive buffers for %zu bytes", size);
        virtqueue_want_kicks(queue, true);
        return;
    }
    store_le16(header + HEADER_NUM_BUFFERS, count);
    for (unsigned i = 0; i < count; i++) {
        VirtioElement *e = elements[i];
        size_t written = i ? 0 : iovec_from_buffer(e->in, e->in_count, 0, header, header_bytes);
        size_t part = iovec_from_buffer(e->in, e->in_count, written, frame + done, size - done);

        done += part;
        virtqueue_fill(e, written + part, i);
    }
    virtqueue_publish(queue, count);
    virtqueue_notify(queue);
}

static void receive(void *opaque, const uint8_t *frame, size_t size)
{
    VirtioNet *net = opaque;

    if (size < 2 * MAC_SIZE || size > MAX_FRAME || !can_receive(net) || !wanted(net, frame, size)) {
        return;
    }
    deliver(net, frame, size);
    if (virtqueue_empty(&net->virtio.queues[QUEUE_RX])) {
        virtqueue_want_kicks(&net->virtio.queues[QUEUE_RX], true);
    }
}

static void kick_rx(VirtQueue *queue)
{
    VirtioNet *net = virtio_net(queue->virtio);

    /* No more kicks until the buffers run out, which is when the back end waits for us. */
    virtqueue_want_kicks(queue, virtqueue_empty(queue));
    if (net->netdev) {
        netdev_flush(net->netdev);
    }
}

static void link_changed(void *opaque, bool up)
{
    VirtioNet *net = opaque;

    if (up != net->link_up) {
        net->link_up = up;
        virtio_config_changed(&net->virtio);
    }
}

static const NetClient net_client = {
    .can_receive = can_receive,
    .receive = receive,
    .link_changed = link_changed,
};

/* Transmit. */

static bool take_tx(VirtQueue *queue, VirtioElement *e)
{
    VirtioNet *net = virtio_net(queue->virtio);
    unsigned header_bytes = header_size(net);

    if (e->out_bytes < header_bytes) {
        virtio_fail(queue->virtio, "frame of %llu bytes has no header",
                    (unsigned long long)e->out_bytes);
        virtqueue_free_element(e);
        return false;
    }
    e->out = iovec_skip(e->out, &e->out_count, header_bytes);
    if (e->out_bytes - header_bytes > MAX_FRAME) {
        log_guest_error(virtio_name(queue->virtio), "frame of %llu bytes dropped",
                        (unsigned long long)e->out_bytes);
    } else if (e->out_count && net->netdev) {
        netdev_transmit(net->netdev, e->out, e->out_count);
    }
    virtqueue_push(e, 0);
    return true;
}

static void kick_tx(VirtQueue *queue)
{
    virtqueue_process(queue, take_tx);
}

/* Control queue. */

static size_t out_read(const VirtioElement *e, size_t offset, void *buffer, size_t size)
{
    return iovec_to_buffer(e->out, e->out_count, offset, buffer, size);
}

static uint8_t control_rx(VirtioNet *net, uint8_t command, const VirtioElement *e)
{
    uint8_t on;

    if (command >= RX_MODE_COUNT || out_read(e, 2, &on, 1) != 1) {
        return CONTROL_ERROR;
    }
    net->modes[command] = on != 0;
    return CONTROL_OK;
}

/* One of the two lists of MAC_TABLE_SET; moves *offset past it. */
static bool read_mac_table(const VirtioElement *e, size_t *offset, MacTable *table)
{
    uint8_t count_bytes[4];
    uint64_t count;

    if (out_read(e, *offset, count_bytes, sizeof count_bytes) != sizeof count_bytes) {
        return false;
    }
    count = load_le32(count_bytes);
    *offset += sizeof count_bytes;
    if (count * MAC_SIZE > e->out_bytes || *offset + count * MAC_SIZE > e->out_bytes) {
        return false;
    }
    table->overflow = count > MAC_TABLE_SIZE;
    table->count = table->overflow ? 0 : count;
    out_read(e, *offset, table->address, table->count * MAC_SIZE);
    *offset += count * MAC_SIZE;
    return true;
}

static uint8_t control_mac(VirtioNet *net, uint8_t command, const VirtioElement *e)
{
    size_t offset = 2;
    MacTable unicast = { 0 }, multicast = { 0 };

    if (command == MAC_ADDR_SET) {
        uint8_t mac[MAC_SIZE];

        if (e->out_bytes != 2 + MAC_SIZE || out_read(e, 2, mac, MAC_SIZE) != MAC_SIZE) {
            return CONTROL_ERROR;
        }
        memcpy(net->current_mac, mac, MAC_SIZE);
        return CONTROL_OK;
    }
    if (command != MAC_TABLE_SET || !read_mac_table(e, &offset, &unicast) ||
        !read_mac_table(e, &offset, &multicast)) {
        return CONTROL_ERROR;
    }
    net->unicast = unicast;
    net->multicast = multicast;
    return CONTROL_OK;
}

static uint8_t control_vlan(VirtioNet *net, uint8_t command, const VirtioElement *e)
{
    uint8_t bytes[2];
    unsigned vlan;

    if (command > VLAN_DEL || out_read(e, 2, bytes, sizeof bytes) != sizeof bytes) {
        return CONTROL_ERROR;
    }
    vlan = load_le16(bytes);
    if (vlan >= VLAN_COUNT) {
        return CONTROL_ERROR;
    }
    if (command == VLAN_ADD) {
        net->vlans[vlan / 8] |= 1u << (vlan % 8);
    } else {
        net->vlans[vlan / 8] &= ~(1u << (vlan % 8));
    }
    return CONTROL_OK;
}

static bool take_control(VirtQueue *queue, VirtioElement *e)
{
    VirtioNet *net = virtio_net(queue->virtio);
    uint8_t command[2], ack = CONTROL_ERROR;

    if (!e->in_bytes || out_read(e, 0, command, sizeof command) != sizeof command) {
        virtio_fail(queue->virtio, "control command without header or room for its result");
        virtqueue_free_element(e);
        return false;
    }
    switch (command[0]) {
    case CLASS_RX:
        ack = control_rx(net, command[1], e);
        break;
    case CLASS_MAC:
        ack = control_mac(net, command[1], e);
        break;
    case CLASS_VLAN:
        ack = control_vlan(net, command[1], e);
        break;
    }
    iovec_from_buffer(e->in, e->in_count, 0, &ack, 1);
    virtqueue_push(e, 1);
    return true;
}

static void kick_control(VirtQueue *queue)
{
    virtqueue_process(queue, take_control);
}

/* Device. */

static void virtio_net_reset(VirtioDevice *virtio)
{
    VirtioNet *net = virtio_net(virtio);

    memcpy(net->current_mac, net->mac, MAC_SIZE);
    memset(net->modes, 0, sizeof net->modes);
    /* Until a driver sets receive modes it sees everything. */
    net->modes[RX_PROMISCUOUS] = true;
    memset(&net->unicast, 0, sizeof net->unicast);
    memset(&net->multicast, 0, sizeof net->multicast);
    memset(net->vlans, 0, sizeof net->vlans);
}

static void virtio_net_config_read(VirtioDevice *virtio)
{
    VirtioNet *net = virtio_net(virtio);

    memcpy(virtio->config + CONFIG_MAC, net->current_mac, MAC_SIZE);
    store_le16(virtio->config + CONFIG_STATUS, net->link_up ? STATUS_LINK_UP : 0);
}

/* Legacy drivers set the address here, byte by byte. */
static void virtio_net_config_written(VirtioDevice *virtio, unsigned offset, unsigned size)
{
    if (!virtio_has_feature(virtio, VIRTIO_F_VERSION_1)) {
        memcpy(virtio_net(virtio)->current_mac, virtio->config + CONFIG_MAC, MAC_SIZE);
    }
}

static uint64_t virtio_net_features(VirtioDevice *virtio)
{
    VirtioNet *net = virtio_net(virtio);
    uint64_t features = BIT(F_MAC);

    features |= net->mrg_rxbuf ? BIT(F_MRG_RXBUF) : 0;
    features |= net->status ? BIT(F_STATUS) : 0;
    features |= net->host_mtu ? BIT(F_MTU) : 0;
    features |= net->speed >= 0 ? BIT(F_SPEED_DUPLEX) : 0;
    if (net->ctrl_vq) {
        features |= BIT(F_CTRL_VQ);
        features |= net->ctrl_rx ? BIT(F_CTRL_RX) : 0;
        features |= net->ctrl_vlan ? BIT(F_CTRL_VLAN) : 0;
        features |= net->ctrl_rx && net->ctrl_rx_extra ? BIT(F_CTRL_RX_EXTRA) : 0;
        features |= net->ctrl_mac_addr ? BIT(F_CTRL_MAC_ADDR) : 0;
    }
    return features;
}

static bool check_queue_size(const char *name, unsigned size, GError **error)
{
    if (!is_power_of_two(size) || size < 64 || size > VIRTIO_MAX_QUEUE_SIZE) {
        return error_fail(error, KASO_ERROR_INVALID, "%s=%u is not a power of two from 64 to %u",
                          name, size, VIRTIO_MAX_QUEUE_SIZE);
    }
    return true;
}

static bool virtio_net_realize(VirtioDevice *virtio, GError **error)
{
    enum { DUPLEX_HALF, DUPLEX_FULL, DUPLEX_UNKNOWN = 0xff };
    VirtioNet *net = virtio_net(virtio);

    if (!check_queue_size("rx_queue_size", net->rx_queue_size, error) ||
        !check_queue_size("tx_queue_size", net->tx_queue_size, error)) {
        return false;
    }
    if (net->mac[0] & 1) {
        return error_fail(error, KASO_ERROR_INVALID, "%s: mac= is a multicast address",
                          virtio_name(virtio));
    }
    netdev_choose_mac(&virtio->pci.device, net->mac);
    net->link_up = true;
    store_le16(virtio->config + CONFIG_MAX_PAIRS, 1);
    store_le16(virtio->config + CONFIG_MTU, net->host_mtu);
    store_le32(virtio->config + CONFIG_SPEED, net->speed);
    virtio->config[CONFIG_DUPLEX] = !net->duplex                      ? DUPLEX_UNKNOWN
                                    : !g_strcmp0(net->duplex, "half") ? DUPLEX_HALF
                                                                      : DUPLEX_FULL;
    virtio_add_queue(virtio, net->rx_queue_size, kick_rx);
    virtio_add_queue(virtio, net->tx_queue_size, kick_tx);
    if (net->ctrl_vq) {
        virtio_add_queue(virtio, CONTROL_QUEUE_SIZE, kick_control);
    }
    if (!net->netdev) {
        return true;
    }
    return netdev_attach(net->netdev, &net_client, net, error);
}

static void virtio_net_unrealize(VirtioDevice *virtio)
{
    VirtioNet *net = virtio_net(virtio);

    if (net->netdev && net->netdev->client_opaque == net) {
        netdev_detach(net->netdev);
    }
}

static const VirtioType virtio_net_type = {
    .name = "virtio-net",
    .virtio_id = 1,
    .transitional_pci_id = 0x1000,
    .pci_class = 0x020000,
    .rom = "efi-virtio.rom",
    .config_size = CONFIG_SIZE,
    .realize = virtio_net_realize,
    .unrealize = virtio_net_unrealize,
    .features = virtio_net_features,
    .reset = virtio_net_reset,
    .config_read = virtio_net_config_read,
    .config_written = virtio_net_config_written,
};

#define FIELD(name) offsetof(VirtioNet, name)
#define OFFLOAD(name)                                                                              \
    {                                                                                              \
        name, PROPERTY_BOOL, FIELD(ignored), "accepted; the offload is not offered", "off"         \
    }

static const Property virtio_net_properties[] = {
    { "netdev", PROPERTY_NETDEV, FIELD(netdev), "id of a -netdev" },
    { "mac", PROPERTY_MAC, FIELD(mac), "address; unset: 52:54:00:12:34:56 and up" },
    { "mrg_rxbuf", PROPERTY_BOOL, FIELD(mrg_rxbuf), "offer mergeable receive buffers", "on" },
    { "status", PROPERTY_BOOL, FIELD(status), "offer the link status", "on" },
    { "ctrl_vq", PROPERTY_BOOL, FIELD(ctrl_vq), "offer the control queue", "on" },
    { "ctrl_rx", PROPERTY_BOOL, FIELD(ctrl_rx), "offer receive modes", "on" },
    { "ctrl_vlan", PROPERTY_BOOL, FIELD(ctrl_vlan), "offer the VLAN filter", "on" },
    { "ctrl_rx_extra", PROPERTY_BOOL, FIELD(ctrl_rx_extra), "offer more receive modes", "on" },
    { "ctrl_mac_addr", PROPERTY_BOOL, FIELD(ctrl_mac_addr), "the driver may set the address",
      "on" },
    { "rx_queue_size", PROPERTY_U16, FIELD(rx_queue_size), "descriptors", "256" },
    { "tx_queue_size", PROPERTY_U16, FIELD(tx_queue_size), "descriptors", "256" },
    { "host_mtu", PROPERTY_U16, FIELD(host_mtu), "largest packet to tell the driver; 0: none",
      "0" },
    { "speed", PROPERTY_I32, FIELD(speed), "Mbit/s to tell the driver; -1: none", "-1" },
    { "duplex", PROPERTY_STRING, FIELD(duplex), "half or full" },
    { "bootindex", PROPERTY_I32, FIELD(bootindex), "place in the firmware's boot order", "-1" },
    { "mq", PROPERTY_BOOL, FIELD(mq), "accepted; has no effect", "off" },
    { "tx", PROPERTY_STRING, FIELD(tx), "accepted; has no effect" },
    { "x-txtimer", PROPERTY_U32, FIELD(x_txtimer), "accepted; has no effect", "150000" },
    { "x-txburst", PROPERTY_I32, FIELD(x_txburst), "accepted; has no effect", "256" },
    OFFLOAD("csum"),
    OFFLOAD("guest_csum"),
    OFFLOAD("gso"),
    OFFLOAD("guest_tso4"),
    OFFLOAD("guest_tso6"),
    OFFLOAD("guest_ecn"),
    OFFLOAD("guest_ufo"),
    OFFLOAD("host_tso4"),
    OFFLOAD("host_tso6"),
    OFFLOAD("host_ecn"),
    OFFLOAD("host_ufo"),
    OFFLOAD("guest_announce"),
    OFFLOAD("ctrl_guest_offloads"),
    OFFLOAD("rss"),
    OFFLOAD("hash"),
    OFFLOAD("failover"),
    { 0 },
};

static const StateField mac_table_fields[] = { STATE_ARRAY(MacTable, address, uint8_t),
                                               STATE_MOST(MacTable, count, MAC_TABLE_SIZE),
                                               STATE(MacTable, overflow),
                                               { 0 } };

static const StateField virtio_net_state[] = {
    VIRTIO_STATE,
    STATE(VirtioNet, current_mac),
    STATE(VirtioNet, modes),
    STATE_STRUCT(VirtioNet, unicast, mac_table_fields),
    STATE_STRUCT(VirtioNet, multicast, mac_table_fields),
    STATE(VirtioNet, vlans),
    { 0 },
};

VIRTIO_DEVICE_TYPES(virtio_net, "virtio-net", VirtioNet, "Virtio network device", "network");
