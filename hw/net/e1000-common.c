/* SPDX-License-Identifier: MIT */
/* Of the e1000 family: registers behind ports, statistics that reading clears, life with a back end, tables of what is saved. */
#include "base/error.h"
#include "hw/net/e1000-core.h"
#include "machine/machine.h"

enum { IO_ADDRESS = 0, IO_DATA = 4 };

/* Registers behind two ports (13.3): an address, and what is there. */

static MemoryResult read_ports(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                               MemoryAttributes attributes)
{
    E1000Core *core = opaque;

    *value = 0;
    if (offset == IO_ADDRESS) {
        *value = core->io_address;
    } else if (offset == IO_DATA && core->io_address < core->registers.size) {
        return core->registers.ops->read(core->registers.opaque, core->io_address & ~3u, value, 4,
                                         attributes);
    }
    return MEMORY_OK;
}

static MemoryResult write_ports(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                MemoryAttributes attributes)
{
    E1000Core *core = opaque;

    if (offset == IO_ADDRESS) {
        core->io_address = value;
    } else if (offset == IO_DATA && core->io_address < core->registers.size) {
        return core->registers.ops->write(core->registers.opaque, core->io_address & ~3u, value, 4,
                                          attributes);
    }
    return MEMORY_OK;
}

const MemoryOps e1000_port_ops = {
    .read = read_ports, .write = write_ports, .size_min = 4, .size_max = 4
};

uint64_t e1000_read_statistic(Device *device, unsigned index)
{
    E1000Core *core = e1000_core(device);
    uint32_t value = core->statistics[index];

    core->statistics[index] = 0;
    return value;
}

bool e1000_attach(E1000Core *core, const NetClient *client, GError **error)
{
    Device *device = &core->pci.device;

    if (core->mac[0] & 1) {
        return error_fail(error, KASO_ERROR_INVALID, "%s: mac= is a multicast address",
                          device->type->name);
    }
    e1000_phy_init(core);
    netdev_choose_mac(device, core->mac);
    if (core->netdev && !netdev_attach(core->netdev, client, core, error)) {
        return false;
    }
    core->attached = core->netdev != NULL;
    return true;
}

void e1000_detach(E1000Core *core)
{
    e1000_phy_unrealize(core);
    if (core->attached) {
        netdev_detach(core->netdev);
        core->attached = false;
    }
}

void e1000_take_waiting(E1000Core *core)
{
    if (core->netdev && !core->receiving) {
        netdev_flush(core->netdev);
    }
}

void e1000_write_rctl(Device *device, unsigned index, uint64_t value)
{
    E1000Core *core = e1000_core(device);

    core->rctl = value;
    if (value & E1000_RCTL_EN) {
        e1000_take_waiting(core);
    }
}

bool e1000_packet_check(const E1000Packet *packet, GError **error)
{
    const E1000Context *c = &packet->active;
    uint32_t full = (uint32_t)c->header + c->segment;

    if (packet->size > E1000_MAX_FRAME || packet->header_size >= E1000_TX_HEADER ||
        (packet->segmenting && (!c->segment || full > E1000_MAX_FRAME || packet->size > full ||
                                packet->header_size > c->header))) {
        return error_fail(error, KASO_ERROR_INVALID, "a packet that cannot be under way");
    }
    return true;
}

const StateField e1000_ring_state[] = {
    STATE(E1000Ring, base_low), STATE(E1000Ring, base_high), STATE(E1000Ring, length),
    STATE(E1000Ring, head),     STATE(E1000Ring, tail),      { 0 },
};

const StateField e1000_context_state[] = {
    STATE(E1000Context, ip_start),  STATE(E1000Context, ip_offset),  STATE(E1000Context, ip_end),
    STATE(E1000Context, tcp_start), STATE(E1000Context, tcp_offset), STATE(E1000Context, tcp_end),
    STATE(E1000Context, payload),   STATE(E1000Context, header),     STATE(E1000Context, segment),
    STATE(E1000Context, is_ipv4),   STATE(E1000Context, is_tcp),     { 0 },
};
