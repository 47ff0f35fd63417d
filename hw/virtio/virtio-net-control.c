/* SPDX-License-Identifier: MIT */
/* virtio-net's control queue (Virtio 1.2, 5.1.6.5), and the filter that it sets. */
#include "hw/virtio/virtio-net.h"

#include "machine/machine.h"

enum {
    ETHERTYPE_VLAN = 0x8100,

    CLASS_RX = 0,
    CLASS_MAC = 1,
    CLASS_VLAN = 2,
    CLASS_ANNOUNCE = 3,
    CLASS_MQ = 4,
    CLASS_GUEST_OFFLOADS = 5,
    MAC_TABLE_SET = 0,
    MAC_ADDR_SET = 1,
    VLAN_ADD = 0,
    VLAN_DEL = 1,
    ANNOUNCE_ACK = 0,
    MQ_PAIRS_SET = 0,
    GUEST_OFFLOADS_SET = 0,
    CONTROL_OK = 0,
    CONTROL_ERROR = 1,
};

/* The filter. */

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

bool virtio_net_wants(const VirtioNet *net, const uint8_t *frame, size_t size)
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

void virtio_net_reset_filter(VirtioNet *net)
{
    memset(net->modes, 0, sizeof net->modes);
    /* Until a driver sets receive modes it sees everything. */
    net->modes[RX_PROMISCUOUS] = true;
    memset(&net->unicast, 0, sizeof net->unicast);
    memset(&net->multicast, 0, sizeof net->multicast);
    memset(net->vlans, 0, sizeof net->vlans);
}

static NetFilterMode filter_mode(const VirtioNet *net, unsigned none, unsigned all)
{
    return net->modes[none]  ? NET_FILTER_NONE
           : net->modes[all] ? NET_FILTER_ALL
                             : NET_FILTER_NORMAL;
}

static NetFilterTable filter_table(const MacTable *table)
{
    return (NetFilterTable){ table->address, table->count, table->overflow };
}

void virtio_net_describe_filter(void *opaque, NetFilterInfo *info)
{
    VirtioNet *net = opaque;

    *info = (NetFilterInfo){
        .promiscuous = net->modes[RX_PROMISCUOUS],
        .broadcast = !net->modes[RX_NO_BROADCAST],
        .unicast = filter_mode(net, RX_NO_UNICAST, RX_ALL_UNICAST),
        .multicast = filter_mode(net, RX_NO_MULTICAST, RX_ALL_MULTICAST),
        .vlan = virtio_has_feature(&net->virtio, F_CTRL_VLAN) ? NET_FILTER_NORMAL : NET_FILTER_ALL,
        .main_mac = net->current_mac,
        .vlans = net->vlans,
        .unicast_table = filter_table(&net->unicast),
        .multicast_table = filter_table(&net->multicast),
    };
    net->filter_told = false;
}

/* A guest may change it a thousand times in a second: once until somebody has looked. */
static void tell_filter_changed(VirtioNet *net)
{
    const Device *device = &net->virtio.pci.device;
    g_autofree char *path = device_user_path(device);
    char *data;

    if (net->filter_told) {
        return;
    }
    net->filter_told = true;
    data = device->from_user && device->anonymous < 0
               ? g_strdup_printf("{\"name\": \"%s\", \"path\": \"%s/virtio-backend\"}", device->id,
                                 path)
               : g_strdup_printf("{\"path\": \"%s/virtio-backend\"}", path);
    machine_event_soon(device->machine, "NIC_RX_FILTER_CHANGED", data);
}

/* Commands. */

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

static uint8_t control_announce(VirtioNet *net, uint8_t command, const VirtioElement *e)
{
    if (command != ANNOUNCE_ACK) {
        return CONTROL_ERROR;
    }
    net->announcing = false;
    return CONTROL_OK;
}

static uint8_t control_mq(VirtioNet *net, uint8_t command, const VirtioElement *e)
{
    uint8_t bytes[2];
    unsigned pairs;

    if (command != MQ_PAIRS_SET || !virtio_has_feature(&net->virtio, F_MQ) ||
        out_read(e, 2, bytes, sizeof bytes) != sizeof bytes) {
        return CONTROL_ERROR;
    }
    pairs = load_le16(bytes);
    if (!pairs || pairs > net->pairs) {
        log_guest_error(virtio_name(&net->virtio), "%u pairs of queues chosen, of %u", pairs,
                        net->pairs);
        return CONTROL_ERROR;
    }
    virtio_net_set_pairs(net, pairs);
    return CONTROL_OK;
}

static uint8_t control_offloads(VirtioNet *net, uint8_t command, const VirtioElement *e)
{
    uint8_t bytes[8];
    uint64_t chosen;

    if (command != GUEST_OFFLOADS_SET || !virtio_has_feature(&net->virtio, F_CTRL_GUEST_OFFLOADS) ||
        out_read(e, 2, bytes, sizeof bytes) != sizeof bytes) {
        return CONTROL_ERROR;
    }
    chosen = load_le64(bytes);
    if (chosen & ~(net->virtio.accepted & virtio_net_guest_features())) {
        log_guest_error(virtio_name(&net->virtio), "offloads %#llx were not negotiated",
                        (unsigned long long)chosen);
        return CONTROL_ERROR;
    }
    net->guest_offloads = chosen;
    virtio_net_apply_offloads(net);
    return CONTROL_OK;
}

static uint8_t control(VirtioNet *net, const uint8_t command[2], const VirtioElement *e)
{
    static const struct {
        uint8_t feature; /* without it there is no such class */
        uint8_t (*run)(VirtioNet *net, uint8_t command, const VirtioElement *e);
        bool filters;
    } classes[] = {
        [CLASS_RX] = { F_CTRL_RX, control_rx, true },
        [CLASS_MAC] = { F_CTRL_VQ, control_mac, true },
        [CLASS_VLAN] = { F_CTRL_VLAN, control_vlan, true },
        [CLASS_ANNOUNCE] = { F_GUEST_ANNOUNCE, control_announce },
        [CLASS_MQ] = { F_MQ, control_mq },
        [CLASS_GUEST_OFFLOADS] = { F_CTRL_GUEST_OFFLOADS, control_offloads },
    };
    uint8_t result;

    if (command[0] >= G_N_ELEMENTS(classes) ||
        !virtio_net_offers(net, classes[command[0]].feature)) {
        return CONTROL_ERROR;
    }
    result = classes[command[0]].run(net, command[1], e);
    if (result == CONTROL_OK && classes[command[0]].filters) {
        tell_filter_changed(net);
    }
    return result;
}

static bool take_control(VirtQueue *queue, VirtioElement *e)
{
    uint8_t command[2], ack;

    if (!e->in_bytes || out_read(e, 0, command, sizeof command) != sizeof command) {
        virtio_fail(queue->virtio, "control command without header or room for its result");
        virtqueue_free_element(e);
        return false;
    }
    ack = control(virtio_net(queue->virtio), command, e);
    iovec_from_buffer(e->in, e->in_count, 0, &ack, 1);
    virtqueue_push(e, 1);
    return true;
}

void virtio_net_kick_control(VirtQueue *queue)
{
    virtqueue_process(queue, take_control);
}
