/* SPDX-License-Identifier: MIT */
/*
 * Virtio network device (Virtio 1.2, 5.1): up to 31 pairs of queues, mergeable receive buffers, control queue with receive modes, MAC
 * table and VLAN filter, checksum and segmentation offloads where the back end knows them (tap), announcements.
 *
 * RSS and hash reports are not offered.
 */
#include "hw/virtio/virtio-net.h"

#include "base/error.h"
#include "machine/machine.h"

enum {
    CONFIG_MAC = 0,
    CONFIG_STATUS = 6,
    CONFIG_MAX_PAIRS = 8,
    CONFIG_MTU = 10,
    CONFIG_SPEED = 12,
    CONFIG_DUPLEX = 16,
    CONFIG_SIZE = 20,
    STATUS_LINK_UP = 1,
    STATUS_ANNOUNCE = 2,

    CONTROL_QUEUE_SIZE = 64,
    SMALLEST_MTU = 68,
};

/* Offloads: what the back end must know, and the feature without which they mean nothing (5.1.3.1). */
static const struct {
    uint8_t feature, needs;
    uint8_t offload;
} offloads[] = {
    { F_CSUM, F_CSUM, NET_OFFLOAD_CHECKSUM },
    { F_GSO, F_CSUM, NET_OFFLOAD_TSO4 },
    { F_HOST_TSO4, F_CSUM, NET_OFFLOAD_TSO4 },
    { F_HOST_TSO6, F_CSUM, NET_OFFLOAD_TSO6 },
    { F_HOST_ECN, F_CSUM, NET_OFFLOAD_ECN },
    { F_HOST_UFO, F_CSUM, NET_OFFLOAD_UFO },
    { F_HOST_USO, F_CSUM, NET_OFFLOAD_USO },
    { F_GUEST_CSUM, F_GUEST_CSUM, NET_OFFLOAD_CHECKSUM },
    { F_GUEST_TSO4, F_GUEST_CSUM, NET_OFFLOAD_TSO4 },
    { F_GUEST_TSO6, F_GUEST_CSUM, NET_OFFLOAD_TSO6 },
    { F_GUEST_ECN, F_GUEST_CSUM, NET_OFFLOAD_ECN },
    { F_GUEST_UFO, F_GUEST_CSUM, NET_OFFLOAD_UFO },
    { F_GUEST_USO4, F_GUEST_CSUM, NET_OFFLOAD_USO },
    { F_GUEST_USO6, F_GUEST_CSUM, NET_OFFLOAD_USO },
};

/* Features that need another one, which the user may have turned off. */
static const struct {
    uint8_t feature, needs;
} dependencies[] = {
    { F_CTRL_RX, F_CTRL_VQ },
    { F_CTRL_VLAN, F_CTRL_VQ },
    { F_CTRL_RX_EXTRA, F_CTRL_RX },
    { F_CTRL_MAC_ADDR, F_CTRL_VQ },
    { F_GUEST_ANNOUNCE, F_CTRL_VQ },
    { F_MQ, F_CTRL_VQ },
    { F_CTRL_GUEST_OFFLOADS, F_CTRL_VQ },
};

uint64_t virtio_net_guest_features(void)
{
    return BIT(F_GUEST_CSUM) | BIT(F_GUEST_TSO4) | BIT(F_GUEST_TSO6) | BIT(F_GUEST_ECN) |
           BIT(F_GUEST_UFO) | BIT(F_GUEST_USO4) | BIT(F_GUEST_USO6);
}

static bool is_guest_feature(unsigned feature)
{
    return virtio_net_guest_features() >> feature & 1;
}

void virtio_net_apply_offloads(VirtioNet *net)
{
    unsigned taken = 0;

    if (!net->netdev || !net->netdev->offloads) {
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(offloads); i++) {
        if (is_guest_feature(offloads[i].feature) &&
            (net->guest_offloads >> offloads[i].feature & 1)) {
            taken |= offloads[i].offload;
        }
    }
    netdev_set_offloads(net->netdev, virtio_net_header_size(net), taken);
}

void virtio_net_set_pairs(VirtioNet *net, unsigned pairs)
{
    net->pairs_used = pairs;
    if (net->netdev) {
        netdev_set_queues(net->netdev, pairs);
    }
    virtio_net_vhost_update(net);
}

/* Queues beyond the second are for frames or for control, as the driver has negotiated. */
static void kick(VirtQueue *queue)
{
    VirtioNet *net = virtio_net(queue->virtio);

    virtio_net_vhost_update(net);
    if (virtio_net_vhost_kick(net, queue->index)) {
        return;
    }
    if (queue->index == virtio_net_control_index(net)) {
        virtio_net_kick_control(queue);
    } else if (queue->index < 2 * net->pairs) {
        (queue->index % 2 ? virtio_net_kick_tx : virtio_net_kick_rx)(queue);
    }
}

/* The driver has the offloads that it negotiated, until it says otherwise. */
static void status_changed(VirtioDevice *virtio)
{
    VirtioNet *net = virtio_net(virtio);

    if (!net->up) {
        net->guest_offloads = virtio->accepted & virtio_net_guest_features();
        net->up = virtio->status & VIRTIO_STATUS_DRIVER_OK;
    }
    virtio_net_apply_offloads(net);
    virtio_net_vhost_update(net);
}

/* The neighbours of a machine that came from elsewhere look for it in its old place. */
static void announce(VirtioNet *net)
{
    if (net->loaded && net->up && virtio_has_feature(&net->virtio, F_GUEST_ANNOUNCE)) {
        net->announcing = true;
        virtio_config_changed(&net->virtio);
    }
    net->loaded = false;
}

static void run_state_changed(void *opaque, bool running)
{
    VirtioNet *net = opaque;

    virtio_net_vhost_update(net);
    if (running) {
        announce(net);
    }
}

static void virtio_net_reset(VirtioDevice *virtio)
{
    VirtioNet *net = virtio_net(virtio);

    virtio_net_vhost_reset(net);
    memcpy(net->current_mac, net->mac, MAC_SIZE);
    net->guest_offloads = 0;
    net->announcing = net->up = false;
    virtio_net_reset_filter(net);
    virtio_net_set_pairs(net, 1);
    virtio_net_apply_offloads(net);
}

/* The kernel has no queue that is not there; the next kick of the new one brings it back. */
static void virtio_net_queue_reset(VirtQueue *queue)
{
    virtio_net_vhost_update(virtio_net(queue->virtio));
}

static void virtio_net_config_read(VirtioDevice *virtio)
{
    VirtioNet *net = virtio_net(virtio);

    memcpy(virtio->config + CONFIG_MAC, net->current_mac, MAC_SIZE);
    store_le16(virtio->config + CONFIG_STATUS,
               (net->link_up ? STATUS_LINK_UP : 0) | (net->announcing ? STATUS_ANNOUNCE : 0));
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
    unsigned known = net->netdev ? net->netdev->offloads : 0;
    uint64_t features = BIT(F_MAC);

    for (unsigned i = 0; i < G_N_ELEMENTS(net->wanted); i++) {
        features |= net->wanted[i] ? BIT(i) : 0;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(offloads); i++) {
        if (!(known & offloads[i].offload) || !net->wanted[offloads[i].needs]) {
            features &= ~BIT(offloads[i].feature);
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(dependencies); i++) {
        if (!(features & BIT(dependencies[i].needs))) {
            features &= ~BIT(dependencies[i].feature);
        }
    }
    features &= known ? UINT64_MAX : ~BIT(F_CTRL_GUEST_OFFLOADS);
    features |= net->host_mtu ? BIT(F_MTU) : 0;
    features |= net->speed >= 0 ? BIT(F_SPEED_DUPLEX) : 0;
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

static bool check_properties(VirtioNet *net, GError **error)
{
    if (!check_queue_size("rx_queue_size", net->rx_queue_size, error) ||
        !check_queue_size("tx_queue_size", net->tx_queue_size, error)) {
        return false;
    }
    if (net->mac[0] & 1) {
        return error_fail(error, KASO_ERROR_INVALID, "%s: mac= is a multicast address",
                          virtio_name(&net->virtio));
    }
    if (net->host_mtu && net->host_mtu < SMALLEST_MTU) {
        return error_fail(error, KASO_ERROR_INVALID, "%s: host_mtu=%u: at least %d, or 0 for none",
                          virtio_name(&net->virtio), net->host_mtu, SMALLEST_MTU);
    }
    return true;
}

static void fill_config(VirtioNet *net)
{
    enum { DUPLEX_HALF, DUPLEX_FULL, DUPLEX_UNKNOWN = 0xff };
    uint8_t *config = net->virtio.config;

    store_le16(config + CONFIG_MAX_PAIRS, net->pairs);
    store_le16(config + CONFIG_MTU, net->host_mtu);
    store_le32(config + CONFIG_SPEED, net->speed);
    config[CONFIG_DUPLEX] = !net->duplex                      ? DUPLEX_UNKNOWN
                            : !g_strcmp0(net->duplex, "half") ? DUPLEX_HALF
                                                              : DUPLEX_FULL;
}

static void virtio_net_unrealize(VirtioDevice *virtio)
{
    VirtioNet *net = virtio_net(virtio);

    machine_forget_run_state(virtio_machine(virtio), net);
    virtio_net_vhost_unrealize(net);
    if (net->netdev && net->netdev->client_opaque == net) {
        netdev_detach(net->netdev);
    }
}

static bool virtio_net_realize(VirtioDevice *virtio, GError **error)
{
    VirtioNet *net = virtio_net(virtio);

    if (!check_properties(net, error)) {
        return false;
    }
    netdev_choose_mac(&virtio->pci.device, net->mac);
    net->link_up = !net->netdev || net->netdev->link_up;
    net->pairs = net->wanted[F_MQ] && net->netdev ? netdev_queues(net->netdev) : 1;
    net->pairs_used = 1;
    fill_config(net);
    for (unsigned i = 0; i < net->pairs; i++) {
        virtio_add_queue(virtio, net->rx_queue_size, kick);
        virtio_add_queue(virtio, net->tx_queue_size, kick);
    }
    if (net->wanted[F_CTRL_VQ]) {
        virtio_add_queue(virtio, CONTROL_QUEUE_SIZE, kick);
    }
    if (net->netdev && (!netdev_attach(net->netdev, &virtio_net_client, net, error) ||
                        !virtio_net_vhost_realize(net, error))) {
        virtio_net_unrealize(virtio);
        return false;
    }
    machine_on_run_state(virtio_machine(virtio), run_state_changed, net);
    return true;
}

static bool virtio_net_state_check(VirtioDevice *virtio, GError **error)
{
    const VirtioNet *net = virtio_net(virtio);

    return (net->pairs_used && net->pairs_used <= net->pairs &&
            !(net->guest_offloads & ~(virtio->accepted & virtio_net_guest_features()))) ||
           error_fail(error, KASO_ERROR_INVALID,
                      "the saved state of %s does not fit: %u pairs of queues, offloads %#" PRIx64,
                      virtio_name(virtio), net->pairs_used, net->guest_offloads);
}

static void virtio_net_state_loaded(VirtioDevice *virtio)
{
    VirtioNet *net = virtio_net(virtio);

    net->up = virtio->status & VIRTIO_STATUS_DRIVER_OK;
    net->loaded = true;
    virtio_net_set_pairs(net, net->pairs_used);
    virtio_net_apply_offloads(net);
}

static const VirtioBitName virtio_net_names[] = {
    { F_CSUM, "VIRTIO_NET_F_CSUM", "completes checksums of frames sent" },
    { F_GUEST_CSUM, "VIRTIO_NET_F_GUEST_CSUM",
      "the driver takes frames with incomplete checksums" },
    { F_CTRL_GUEST_OFFLOADS, "VIRTIO_NET_F_CTRL_GUEST_OFFLOADS",
      "what the driver takes can change while it runs" },
    { F_MTU, "VIRTIO_NET_F_MTU", "tells the largest packet" },
    { F_MAC, "VIRTIO_NET_F_MAC", "tells its address" },
    { F_GSO, "VIRTIO_NET_F_GSO", "segments what is sent, the older way" },
    { F_GUEST_TSO4, "VIRTIO_NET_F_GUEST_TSO4", "the driver takes unsegmented TCP over IPv4" },
    { F_GUEST_TSO6, "VIRTIO_NET_F_GUEST_TSO6", "the driver takes unsegmented TCP over IPv6" },
    { F_GUEST_ECN, "VIRTIO_NET_F_GUEST_ECN", "the driver takes unsegmented TCP with ECN" },
    { F_GUEST_UFO, "VIRTIO_NET_F_GUEST_UFO", "the driver takes unfragmented UDP" },
    { F_HOST_TSO4, "VIRTIO_NET_F_HOST_TSO4", "segments TCP over IPv4" },
    { F_HOST_TSO6, "VIRTIO_NET_F_HOST_TSO6", "segments TCP over IPv6" },
    { F_HOST_ECN, "VIRTIO_NET_F_HOST_ECN", "segments TCP with ECN" },
    { F_HOST_UFO, "VIRTIO_NET_F_HOST_UFO", "fragments UDP" },
    { F_MRG_RXBUF, "VIRTIO_NET_F_MRG_RXBUF", "a frame may fill several buffers" },
    { F_STATUS, "VIRTIO_NET_F_STATUS", "tells whether its link is up" },
    { F_CTRL_VQ, "VIRTIO_NET_F_CTRL_VQ", "a queue for control" },
    { F_CTRL_RX, "VIRTIO_NET_F_CTRL_RX", "receive modes" },
    { F_CTRL_VLAN, "VIRTIO_NET_F_CTRL_VLAN", "filters VLANs" },
    { F_CTRL_RX_EXTRA, "VIRTIO_NET_F_CTRL_RX_EXTRA", "more receive modes" },
    { F_GUEST_ANNOUNCE, "VIRTIO_NET_F_GUEST_ANNOUNCE", "asks the driver to announce itself" },
    { F_MQ, "VIRTIO_NET_F_MQ", "several pairs of queues" },
    { F_CTRL_MAC_ADDR, "VIRTIO_NET_F_CTRL_MAC_ADDR", "its address can be set" },
    { F_GUEST_USO4, "VIRTIO_NET_F_GUEST_USO4", "the driver takes unsegmented UDP over IPv4" },
    { F_GUEST_USO6, "VIRTIO_NET_F_GUEST_USO6", "the driver takes unsegmented UDP over IPv6" },
    { F_HOST_USO, "VIRTIO_NET_F_HOST_USO", "segments UDP" },
    { F_SPEED_DUPLEX, "VIRTIO_NET_F_SPEED_DUPLEX", "tells its speed" },
    { 0 },
};

static const VirtioType virtio_net_type = {
    .name = "virtio-net",
    .virtio_id = 1,
    .feature_names = virtio_net_names,
    .transitional_pci_id = 0x1000,
    .pci_class = 0x020000,
    .rom = "efi-virtio.rom",
    .config_size = CONFIG_SIZE,
    .realize = virtio_net_realize,
    .unrealize = virtio_net_unrealize,
    .features = virtio_net_features,
    .reset = virtio_net_reset,
    .queue_reset = virtio_net_queue_reset,
    .status_changed = status_changed,
    .config_read = virtio_net_config_read,
    .config_written = virtio_net_config_written,
    .state_check = virtio_net_state_check,
    .state_loaded = virtio_net_state_loaded,
    .vhost = virtio_net_vhost_of,
};

#define FIELD(name) offsetof(VirtioNet, name)
#define FEATURE(name, feature, summary, fallback)                                                  \
    {                                                                                              \
        name, PROPERTY_BOOL, FIELD(wanted[feature]), summary, fallback                             \
    }
#define IGNORED(name)                                                                              \
    {                                                                                              \
        name, PROPERTY_BOOL, FIELD(ignored), "accepted; never offered", "off"                      \
    }

/* clang-format off */
static const Property virtio_net_properties[] = {
    { "netdev", PROPERTY_NETDEV, FIELD(netdev), "id of a -netdev" },
    { "mac", PROPERTY_MAC, FIELD(mac), "address; unset: 52:54:00:12:34:56 and up" },
    FEATURE("mrg_rxbuf", F_MRG_RXBUF, "offer mergeable receive buffers", "on"),
    FEATURE("status", F_STATUS, "offer the link status", "on"),
    FEATURE("ctrl_vq", F_CTRL_VQ, "offer the control queue", "on"),
    FEATURE("ctrl_rx", F_CTRL_RX, "offer receive modes", "on"),
    FEATURE("ctrl_vlan", F_CTRL_VLAN, "offer the VLAN filter", "on"),
    FEATURE("ctrl_rx_extra", F_CTRL_RX_EXTRA, "offer more receive modes", "on"),
    FEATURE("ctrl_mac_addr", F_CTRL_MAC_ADDR, "the driver may set the address", "on"),
    FEATURE("ctrl_guest_offloads", F_CTRL_GUEST_OFFLOADS, "the driver may turn offloads off and on", "on"),
    FEATURE("guest_announce", F_GUEST_ANNOUNCE, "the driver tells its neighbours where it is after a move", "on"),
    FEATURE("mq", F_MQ, "offer as many pairs of queues as the back end has", "off"),
    FEATURE("csum", F_CSUM, "leave checksums of sent packets to the back end", "on"),
    FEATURE("gso", F_GSO, "leave segmentation to the back end, in the old way", "on"),
    FEATURE("host_tso4", F_HOST_TSO4, "leave segmentation of sent TCP over IPv4 to the back end", "on"),
    FEATURE("host_tso6", F_HOST_TSO6, "the same over IPv6", "on"),
    FEATURE("host_ecn", F_HOST_ECN, "the same with ECN", "on"),
    FEATURE("host_ufo", F_HOST_UFO, "leave fragmentation of sent UDP to the back end", "on"),
    FEATURE("host_uso", F_HOST_USO, "leave segmentation of sent UDP to the back end", "on"),
    FEATURE("guest_csum", F_GUEST_CSUM, "received packets may lack checksums", "on"),
    FEATURE("guest_tso4", F_GUEST_TSO4, "received TCP over IPv4 may be unsegmented", "on"),
    FEATURE("guest_tso6", F_GUEST_TSO6, "the same over IPv6", "on"),
    FEATURE("guest_ecn", F_GUEST_ECN, "the same with ECN", "on"),
    FEATURE("guest_ufo", F_GUEST_UFO, "received UDP may be unfragmented", "on"),
    FEATURE("guest_uso4", F_GUEST_USO4, "received UDP over IPv4 may be unsegmented", "on"),
    FEATURE("guest_uso6", F_GUEST_USO6, "the same over IPv6", "on"),
    { "rx_queue_size", PROPERTY_U16, FIELD(rx_queue_size), "descriptors", "256" },
    { "tx_queue_size", PROPERTY_U16, FIELD(tx_queue_size), "descriptors", "256" },
    { "host_mtu", PROPERTY_U16, FIELD(host_mtu), "largest packet to tell the driver; 0: none", "0" },
    { "speed", PROPERTY_I32, FIELD(speed), "Mbit/s to tell the driver; -1: none", "-1" },
    { "duplex", PROPERTY_STRING, FIELD(duplex), "half or full" },
    { "bootindex", PROPERTY_I32, FIELD(bootindex), "place in the firmware's boot order", "-1" },
    { "tx", PROPERTY_STRING, FIELD(tx), "accepted; has no effect" },
    { "x-txtimer", PROPERTY_U32, FIELD(x_txtimer), "accepted; has no effect", "150000" },
    { "x-txburst", PROPERTY_I32, FIELD(x_txburst), "accepted; has no effect", "256" },
    IGNORED("rss"),
    IGNORED("hash"),
    IGNORED("failover"),
    IGNORED("guest_rsc_ext"),
    IGNORED("guest_tunnel"),
    IGNORED("guest_tunnel_csum"),
    IGNORED("host_tunnel"),
    IGNORED("host_tunnel_csum"),
    { 0 },
};
/* clang-format on */

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
    STATE(VirtioNet, guest_offloads),
    STATE(VirtioNet, pairs_used),
    STATE_MOST(VirtioNet, announcing, 1),
    STATE_DERIVED(VirtioNet, up),
    STATE_DERIVED(VirtioNet, loaded),
    STATE_DERIVED(VirtioNet, filter_told),
    { 0 },
};

VIRTIO_DEVICE_TYPES(virtio_net, "virtio-net", VirtioNet, "Virtio network device", "network");
