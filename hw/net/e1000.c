/* SPDX-License-Identifier: MIT */
/*
 * Intel 82540EM gigabit Ethernet controller (317453, section numbers are its): registers, interrupts and the PCI function.
 *
 * Not modelled: flash, wake-up's effect, management, TBI, flow control frames, delays of single descriptors (what is done is told
 * at once, as far as ITR allows).
 */
#include "hw/net/e1000.h"

#include <string.h>

#include "base/error.h"
#include "machine/machine.h"

enum {
    REGISTERS_SIZE = 0x20000,
    PORTS_SIZE = 64,
    IO_ADDRESS = 0,
    IO_DATA = 4,

    CTRL_RST = 1 << 26,
    CTRL_PHY_RST = 1 << 31,
    CTRL_RESET = 0x00140240,   /* set link up, gigabit, software pins as inputs */
    STATUS_RESET = 0x80080781, /* full duplex at 1000 Mb/s, link down */
    ITR_UNIT_NS = 256,
    RING_BYTES = 0xfff80,
    ALL_CAUSES = 0x1ffff,
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

/* Statistics (13.7): 32 bits that stay at their end, or 64 that do, too. */

void e1000_count(E1000 *e, unsigned statistic, uint64_t amount)
{
    uint32_t *at = &e->statistics[statistic];

    *at = amount > UINT32_MAX - *at ? UINT32_MAX : *at + (uint32_t)amount;
}

static void count_long(E1000 *e, unsigned statistic, uint64_t amount)
{
    uint64_t value = e->statistics[statistic] | (uint64_t)e->statistics[statistic + 1] << 32;

    value = amount > UINT64_MAX - value ? UINT64_MAX : value + amount;
    e->statistics[statistic] = value;
    e->statistics[statistic + 1] = value >> 32;
}

void e1000_count_frame(E1000 *e, bool received, const uint8_t *frame, size_t size)
{
    static const uint8_t broadcast[E1000_MAC] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    bool all = memcmp(frame, broadcast, E1000_MAC) == 0;

    e1000_count(e, received ? E1000_GPRC : E1000_GPTC, 1);
    e1000_count(e, received ? E1000_TPR : E1000_TPT, 1);
    count_long(e, received ? E1000_GORCL : E1000_GOTCL, size);
    count_long(e, received ? E1000_TORL : E1000_TOTL, size);
    if (all) {
        e1000_count(e, received ? E1000_BPRC : E1000_BPTC, 1);
    } else if (frame[0] & 1) {
        e1000_count(e, received ? E1000_MPRC : E1000_MPTC, 1);
    }
}

/* Interrupts */

/* Asserts what is pending unless ITR says that it is too early. */
static void update_irq(E1000 *e)
{
    int64_t now = clock_now_ns(e->pci.device.machine);

    if (!(e->icr & e->ims)) {
        e->asserted = false;
        timer_cancel(&e->throttle);
    } else if (!e->asserted) {
        if (now < e->quiet_until_ns) {
            timer_arm(&e->throttle, e->quiet_until_ns);
        } else {
            e->asserted = true;
            e->quiet_until_ns = now + (int64_t)(e->itr & 0xffff) * ITR_UNIT_NS;
        }
    }
    pci_set_irq(&e->pci, e->asserted);
}

static void throttle_over(void *opaque)
{
    update_irq(opaque);
}

void e1000_raise(E1000 *e, uint32_t causes)
{
    e->icr |= causes & ALL_CAUSES;
    update_irq(e);
}

static uint64_t read_icr(Device *device, unsigned index)
{
    E1000 *e = e1000(device);
    uint32_t value = e->icr;

    e->icr = 0;
    update_irq(e);
    return value;
}

static void write_icr(Device *device, unsigned index, uint64_t value)
{
    E1000 *e = e1000(device);

    e->icr &= ~(uint32_t)value;
    update_irq(e);
}

static void write_ics(Device *device, unsigned index, uint64_t value)
{
    e1000_raise(e1000(device), value);
}

static void write_ims(Device *device, unsigned index, uint64_t value)
{
    E1000 *e = e1000(device);

    e->ims |= value & ALL_CAUSES;
    update_irq(e);
}

static void write_imc(Device *device, unsigned index, uint64_t value)
{
    E1000 *e = e1000(device);

    e->ims &= ~(uint32_t)value;
    update_irq(e);
}

/* Rings */

uint64_t e1000_ring_base(const E1000Ring *ring)
{
    return (uint64_t)ring->base_high << 32 | (ring->base_low & ~15u);
}

uint32_t e1000_ring_count(const E1000Ring *ring)
{
    return (ring->length & RING_BYTES) / E1000_DESCRIPTOR;
}

bool e1000_ring_ready(const E1000 *e, const E1000Ring *ring)
{
    uint32_t count = e1000_ring_count(ring);

    return pci_bus_master_enabled(&e->pci) && ring->head != ring->tail && ring->head < count &&
           ring->tail < count;
}

/* Frames that the back end has kept. */
static void take_waiting(E1000 *e)
{
    if (e->netdev && !e->receiving) {
        netdev_flush(e->netdev);
    }
}

static void write_rx_tail(Device *device, unsigned index, uint64_t value)
{
    E1000 *e = e1000(device);

    e->rx.tail = value & 0xffff;
    take_waiting(e);
}

static void write_rctl(Device *device, unsigned index, uint64_t value)
{
    E1000 *e = e1000(device);

    e->rctl = value;
    if (value & E1000_RCTL_EN) {
        take_waiting(e);
    }
}

static void write_tx_tail(Device *device, unsigned index, uint64_t value)
{
    E1000 *e = e1000(device);

    e->tx.tail = value & 0xffff;
    e1000_transmit(e);
}

static void write_tctl(Device *device, unsigned index, uint64_t value)
{
    E1000 *e = e1000(device);

    e->tctl = value;
    e1000_transmit(e);
}

/* Resets */

static void reset_mac(E1000 *e);

static void write_ctrl(Device *device, unsigned index, uint64_t value)
{
    E1000 *e = e1000(device);

    if (value & CTRL_RST) {
        reset_mac(e);
        return;
    }
    e->ctrl = value & ~(uint64_t)(uint32_t)CTRL_PHY_RST;
    if (value & (uint32_t)CTRL_PHY_RST) {
        e1000_phy_reset(e);
    }
}

static uint64_t read_statistic(Device *device, unsigned index)
{
    E1000 *e = e1000(device);
    uint32_t value = e->statistics[index];

    e->statistics[index] = 0;
    return value;
}

#define FIELD(name) .field = offsetof(E1000, name)
#define PLAIN(name, offset, member)                                                                \
    {                                                                                              \
        name, offset, 4, REGISTER_RW, FIELD(member)                                                \
    }
/* One whose other bits are reserved, or do something at once and are read as zeros. */
#define BITS(name, offset, member, mask)                                                           \
    {                                                                                              \
        name, offset, 4, REGISTER_RW, FIELD(member), .writable = mask                              \
    }
#define RING(prefix, offset, member, tail_hook)                                                    \
    BITS(prefix "BAL", offset, member.base_low, 0xfffffff0),                                       \
        PLAIN(prefix "BAH", offset + 4, member.base_high), { prefix "LEN",                         \
                                                             offset + 8,                           \
                                                             4,                                    \
                                                             REGISTER_RW,                          \
                                                             FIELD(member.length),                 \
                                                             .writable = RING_BYTES },             \
        { prefix "H", offset + 0x10, 4, REGISTER_RW, FIELD(member.head), .writable = 0xffff },     \
    {                                                                                              \
        prefix "T", offset + 0x18, 4, REGISTER_RW, FIELD(member.tail), .write = tail_hook          \
    }

/* clang-format off */
static const Register registers[] = {
    { "CTRL", 0x0, 4, REGISTER_RW, .reset = CTRL_RESET, FIELD(ctrl), .write = write_ctrl },
    { "CTRL_DUP", 0x4, 4, REGISTER_RW, .reset = CTRL_RESET, FIELD(ctrl), .write = write_ctrl },
    { "STATUS", 0x8, 4, REGISTER_R | REGISTER_QUIET, .reset = STATUS_RESET, FIELD(status) },
    { "EECD", 0x10, 4, REGISTER_RW, FIELD(eecd), .read = e1000_read_eecd, .write = e1000_write_eecd },
    { "EERD", 0x14, 4, REGISTER_RW, FIELD(eerd), .read = e1000_read_eerd, .write = e1000_write_eerd },
    PLAIN("CTRL_EXT", 0x18, ctrl_ext),
    { "FLA", 0x1c, 4, REGISTER_RW | REGISTER_QUIET, .field = REGISTER_NO_FIELD },
    { "MDIC", 0x20, 4, REGISTER_RW, .reset = 1 << 28, FIELD(mdic), .write = e1000_write_mdic },
    PLAIN("FCAL", 0x28, flow[0]),
    BITS("FCAH", 0x2c, flow[1], 0xffff),
    BITS("FCT", 0x30, flow[2], 0xffff),
    { "VET", 0x38, 4, REGISTER_RW, .reset = 0x8100, FIELD(vet), .writable = 0xffff },
    { "ICR", 0xc0, 4, REGISTER_RW, FIELD(icr), .read = read_icr, .write = write_icr,
      .summary = "causes; reading clears them" },
    BITS("ITR", 0xc4, itr, 0xffff),
    { "ICS", 0xc8, 4, REGISTER_RW, FIELD(icr), .write = write_ics },
    { "IMS", 0xd0, 4, REGISTER_RW, FIELD(ims), .write = write_ims },
    { "IMC", 0xd8, 4, REGISTER_W | REGISTER_QUIET, FIELD(ims), .write = write_imc },
    { "RCTL", 0x100, 4, REGISTER_RW, FIELD(rctl), .write = write_rctl },
    BITS("FCTTV", 0x170, flow[3], 0xffff),
    PLAIN("TXCW", 0x178, txcw),
    PLAIN("RXCW", 0x180, rxcw),
    { "TCTL", 0x400, 4, REGISTER_RW, FIELD(tctl), .write = write_tctl },
    BITS("TIPG", 0x410, tipg, 0x3fffffff),
    PLAIN("AIT", 0x458, ait),
    { "LEDCTL", 0xe00, 4, REGISTER_RW, .reset = 0x07061302, FIELD(ledctl) },
    { "PBA", 0x1000, 4, REGISTER_RW, .reset = 0x00100030, FIELD(pba) },
    BITS("FCRTL", 0x2160, pba_fifo[0], 0x8000fff8),
    BITS("FCRTH", 0x2168, pba_fifo[1], 0xfff8),
    RING("RD", 0x2800, rx, write_rx_tail),
    BITS("RDTR", 0x2820, rdtr, 0xffff),
    PLAIN("RXDCTL", 0x2828, rxdctl),
    BITS("RADV", 0x282c, radv, 0xffff),
    PLAIN("RSRPD", 0x2c00, rsrpd),
    PLAIN("TXDMAC", 0x3000, pba_fifo[2]),
    { "TDF", 0x3410, 4, REGISTER_RW | REGISTER_QUIET, .field = REGISTER_NO_FIELD, .count = 5, .stride = 8 },
    RING("TD", 0x3800, tx, write_tx_tail),
    BITS("TIDV", 0x3820, tidv, 0xffff),
    PLAIN("TXDCTL", 0x3828, txdctl),
    BITS("TADV", 0x382c, tadv, 0xffff),
    PLAIN("TSPMT", 0x3830, tspmt),
    { "STATISTIC", 0x4000, 4, REGISTER_R | REGISTER_QUIET, .count = E1000_STATISTICS, FIELD(statistics),
      .read = read_statistic },
    PLAIN("RXCSUM", 0x5000, rxcsum),
    { "MTA", 0x5200, 4, REGISTER_RW, .count = E1000_TABLE, FIELD(multicast) },
    { "RA", 0x5400, 4, REGISTER_RW, .count = E1000_ADDRESSES * 2, FIELD(addresses) },
    { "VFTA", 0x5600, 4, REGISTER_RW, .count = E1000_TABLE, FIELD(vlans) },
    PLAIN("WUC", 0x5800, wuc),
    PLAIN("WUFC", 0x5808, wufc),
    { "WUS", 0x5810, 4, REGISTER_RW | REGISTER_QUIET, .field = REGISTER_NO_FIELD },
    PLAIN("MANC", 0x5820, manc),
    /* Between drivers and firmware, of the family's later chips: drivers take them without asking which one this is. */
    PLAIN("SWSM", 0x5b50, semaphores[0]),
    PLAIN("SW_FW_SYNC", 0x5b5c, semaphores[1]),
    PLAIN("FFLT", 0x5f00, pba_fifo[3]),
    PLAIN("RDFH", 0x2410, pba_fifo[4]),
    { 0 },
};
/* clang-format on */

static const RegisterBank bank = {
    .name = "e1000", .size = REGISTERS_SIZE, .registers = registers, .size_min = 4, .size_max = 4
};

const E1000Model *e1000_model(const E1000 *e)
{
    return e->pci.device.type->class_data;
}

/* The address is read from the EEPROM again. */
static void reset_mac(E1000 *e)
{
    timer_cancel(&e->throttle);
    register_bank_reset(&e->pci.device, &bank);
    e->addresses[0] = e->eeprom[0] | (uint32_t)e->eeprom[1] << 16;
    e->addresses[1] = e->eeprom[2] | 1u << 31;
    e->serial_in = e->serial_out = 0;
    e->serial_count = 0;
    e->quiet_until_ns = 0;
    e->asserted = false;
    e->in_packet = e->segmenting = e->tagged = false;
    e->insert = 0;
    e->tx_size = e->tx_header_size = e->tx_segments = e->tx_left = 0;
    e->status |= e->phy[1] & 4 ? E1000_STATUS_LU : 0;
    update_irq(e);
}

/* Registers behind two ports (13.3): an address, and what is there. */

static MemoryResult read_ports(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                               MemoryAttributes attributes)
{
    E1000 *e = opaque;

    *value = 0;
    if (offset == IO_ADDRESS) {
        *value = e->io_address;
    } else if (offset == IO_DATA && e->io_address < REGISTERS_SIZE) {
        return e->registers.ops->read(e->registers.opaque, e->io_address & ~3u, value, 4,
                                      attributes);
    }
    return MEMORY_OK;
}

static MemoryResult write_ports(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                MemoryAttributes attributes)
{
    E1000 *e = opaque;

    if (offset == IO_ADDRESS) {
        e->io_address = value;
    } else if (offset == IO_DATA && e->io_address < REGISTERS_SIZE) {
        return e->registers.ops->write(e->registers.opaque, e->io_address & ~3u, value, 4,
                                       attributes);
    }
    return MEMORY_OK;
}

static const MemoryOps port_ops = {
    .read = read_ports, .write = write_ports, .size_min = 4, .size_max = 4
};

/* Life */

static void link_changed(void *opaque, bool up)
{
    e1000_set_link(opaque, up);
}

static const NetClient client = { e1000_can_receive, e1000_receive, link_changed };

static bool e1000_realize(Device *device, GError **error)
{
    E1000 *e = e1000(device);

    if (e->mac[0] & 1) {
        return error_fail(error, KASO_ERROR_INVALID, "e1000: mac= is a multicast address");
    }
    netdev_choose_mac(device, e->mac);
    pci_set_identity(&e->pci, 0x8086, e1000_model(e)->device_id, 0x020000, 3);
    if (!pci_add_rom(&e->pci, "efi-e1000.rom", error)) {
        return false;
    }
    if (e->netdev && !netdev_attach(e->netdev, &client, e, error)) {
        return false;
    }
    e->attached = e->netdev != NULL;
    pci_set_interrupt_pin(&e->pci, 1);
    register_bank_init(device, &e->registers, &bank);
    memory_region_init_io(&e->ports, device->machine, "e1000-io", PORTS_SIZE, &port_ops, e);
    pci_add_bar(&e->pci, 0, PCI_BAR_MEMORY32, false, &e->registers);
    pci_add_bar(&e->pci, 1, PCI_BAR_IO, false, &e->ports);
    timer_init(&e->throttle, device->machine, throttle_over, e);
    return true;
}

static void e1000_unrealize(Device *device)
{
    E1000 *e = e1000(device);

    timer_cancel(&e->throttle);
    if (e->attached) {
        netdev_detach(e->netdev);
        e->attached = false;
    }
}

static void e1000_reset(Device *device)
{
    E1000 *e = e1000(device);

    e1000_eeprom_fill(e);
    e->icr = e->ims = 0;
    e->asserted = false;
    e1000_phy_reset(e);
    reset_mac(e);
    e->checksums = e->segmentation = e->active = (E1000Context){ 0 };
    e->io_address = 0;
    e->tag = 0;
    memset(e->tx_header, 0, sizeof e->tx_header);
    memset(e->tx_buffer, 0, sizeof e->tx_buffer);
    pci_reset(&e->pci);
}

static bool e1000_state_check(Device *device, GError **error)
{
    const E1000 *e = e1000(device);
    const E1000Context *c = &e->active;

    if (e->segmenting &&
        (!c->segment || (uint32_t)c->header + c->segment > E1000_MAX_FRAME ||
         e->tx_size > (uint32_t)c->header + c->segment || e->tx_header_size > c->header)) {
        return error_fail(error, KASO_ERROR_INVALID, "a packet that cannot be under way");
    }
    return true;
}

static void e1000_state_loaded(Device *device)
{
    E1000 *e = e1000(device);

    pci_state_loaded(&e->pci);
    pci_set_irq(&e->pci, e->asserted);
}

static const Property e1000_properties[] = {
    { "mac", PROPERTY_MAC, offsetof(E1000, mac), "its address; unset: 52:54:00:12:34:56 and up" },
    { "netdev", PROPERTY_NETDEV, offsetof(E1000, netdev), "the back end" },
    { "bootindex", PROPERTY_I32, offsetof(E1000, bootindex), "place in the firmware's boot order",
      "-1" },
    { 0 },
};
static const Property e1000_bus_properties[] = { PCI_PROPERTIES(E1000, pci), { 0 } };

static const StateField ring_state[] = {
    STATE(E1000Ring, base_low), STATE(E1000Ring, base_high), STATE(E1000Ring, length),
    STATE(E1000Ring, head),     STATE(E1000Ring, tail),      { 0 },
};

static const StateField context_state[] = {
    STATE(E1000Context, ip_start),  STATE(E1000Context, ip_offset),  STATE(E1000Context, ip_end),
    STATE(E1000Context, tcp_start), STATE(E1000Context, tcp_offset), STATE(E1000Context, tcp_end),
    STATE(E1000Context, payload),   STATE(E1000Context, header),     STATE(E1000Context, segment),
    STATE(E1000Context, is_ipv4),   STATE(E1000Context, is_tcp),     { 0 },
};

static const StateField e1000_state[] = {
    PCI_STATE(E1000, pci),
    STATE(E1000, ctrl),
    STATE(E1000, status),
    STATE(E1000, eecd),
    STATE(E1000, eerd),
    STATE(E1000, ctrl_ext),
    STATE(E1000, mdic),
    STATE(E1000, vet),
    STATE(E1000, icr),
    STATE(E1000, itr),
    STATE(E1000, ims),
    STATE(E1000, rctl),
    STATE(E1000, tctl),
    STATE(E1000, tipg),
    STATE(E1000, pba),
    STATE(E1000, flow),
    STATE(E1000, txcw),
    STATE(E1000, rxcw),
    STATE(E1000, ledctl),
    STATE(E1000, rdtr),
    STATE(E1000, radv),
    STATE(E1000, rsrpd),
    STATE(E1000, rxdctl),
    STATE(E1000, tidv),
    STATE(E1000, txdctl),
    STATE(E1000, tadv),
    STATE(E1000, tspmt),
    STATE(E1000, ait),
    STATE(E1000, rxcsum),
    STATE(E1000, wuc),
    STATE(E1000, wufc),
    STATE(E1000, manc),
    STATE(E1000, semaphores),
    STATE(E1000, pba_fifo),
    STATE_STRUCT(E1000, rx, ring_state),
    STATE_STRUCT(E1000, tx, ring_state),
    STATE(E1000, multicast),
    STATE(E1000, vlans),
    STATE(E1000, addresses),
    STATE(E1000, statistics),
    STATE(E1000, io_address),
    STATE(E1000, phy),
    STATE(E1000, eeprom),
    STATE(E1000, serial_in),
    STATE(E1000, serial_out),
    STATE(E1000, serial_count),
    STATE(E1000, quiet_until_ns),
    STATE(E1000, asserted),
    STATE_STRUCT(E1000, checksums, context_state),
    STATE_STRUCT(E1000, segmentation, context_state),
    STATE_STRUCT(E1000, active, context_state),
    STATE(E1000, in_packet),
    STATE(E1000, segmenting),
    STATE(E1000, insert),
    STATE(E1000, tagged),
    STATE(E1000, tag),
    STATE_MOST(E1000, tx_size, E1000_MAX_FRAME),
    STATE_MOST(E1000, tx_header_size, E1000_TX_HEADER - 1),
    STATE(E1000, tx_segments),
    STATE(E1000, tx_left),
    STATE(E1000, tx_header),
    STATE(E1000, tx_buffer),
    STATE_TIMER(E1000, throttle),
    STATE_DERIVED(E1000, transmitting),
    STATE_DERIVED(E1000, receiving),
    { 0 },
};

#define E1000_TYPE(object, type_name, type_alias, text, id, phy)                                   \
    static const E1000Model object##_model = { id, phy };                                          \
    static const DeviceType object = {                                                             \
        .name = type_name,                                                                         \
        .alias = type_alias,                                                                       \
        .summary = text,                                                                           \
        .bus = "pci",                                                                              \
        .category = "network",                                                                     \
        .instance_size = sizeof(E1000),                                                            \
        .class_data = &object##_model,                                                             \
        .properties = e1000_properties,                                                            \
        .bus_properties = e1000_bus_properties,                                                    \
        .state = e1000_state,                                                                      \
        .realize = e1000_realize,                                                                  \
        .unrealize = e1000_unrealize,                                                              \
        .reset = e1000_reset,                                                                      \
        .state_check = e1000_state_check,                                                          \
        .state_loaded = e1000_state_loaded,                                                        \
    };                                                                                             \
    DEVICE_TYPE(object)

E1000_TYPE(e1000_type, "e1000", "e1000-82540em", "Intel 82540EM gigabit Ethernet", 0x100e, 0x0c20);
E1000_TYPE(e1000_82544gc_type, "e1000-82544gc", NULL, "Intel 82544GC gigabit Ethernet", 0x100c,
           0x0c30);
E1000_TYPE(e1000_82545em_type, "e1000-82545em", NULL, "Intel 82545EM gigabit Ethernet", 0x100f,
           0x0c20);
