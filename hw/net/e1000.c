/* SPDX-License-Identifier: MIT */
/*
 * Intel 82540EM gigabit Ethernet controller (317453, section numbers are its): registers, interrupts and the PCI function.
 *
 * Not modelled: flash, wake-up's effect, management, TBI, flow control frames, delays of single descriptors (what is done is told
 * at once, as far as ITR allows).
 */
#include "hw/net/e1000.h"

#include "machine/machine.h"

enum {
    REGISTERS_SIZE = 0x20000,
    PORTS_SIZE = 64,

    CTRL_PHY_RST = 1 << 31,
    CTRL_RESET = 0x00140240,   /* set link up, gigabit, software pins as inputs */
    STATUS_RESET = 0x80080781, /* full duplex at 1000 Mb/s, link down */
    ITR_UNIT_NS = 256,
    ALL_CAUSES = 0x1ffff,
};

/* Interrupts */

/* Asserts what is pending unless ITR says that it is too early. */
static void update_irq(E1000 *e)
{
    int64_t now = clock_now_ns(e->core.pci.device.machine);

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
    pci_set_irq(&e->core.pci, e->asserted);
}

static void throttle_over(void *opaque)
{
    update_irq(opaque);
}

static void raise_causes(E1000Core *core, uint32_t causes)
{
    E1000 *e = container_of(core, E1000, core);

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
    raise_causes(e1000_core(device), value);
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

static void write_rx_tail(Device *device, unsigned index, uint64_t value)
{
    E1000 *e = e1000(device);

    e->rx.tail = value & 0xffff;
    e1000_take_waiting(&e->core);
}

static void transmit(E1000 *e)
{
    uint32_t causes = e1000_transmit(&e->core, &e->tx, &e->packet);

    if (causes) {
        raise_causes(&e->core, causes);
    }
}

static void write_tx_tail(Device *device, unsigned index, uint64_t value)
{
    E1000 *e = e1000(device);

    e->tx.tail = value & 0xffff;
    transmit(e);
}

static void write_tctl(Device *device, unsigned index, uint64_t value)
{
    E1000 *e = e1000(device);

    e->core.tctl = value;
    transmit(e);
}

/* Resets */

static void reset_mac(E1000 *e);

static void write_ctrl(Device *device, unsigned index, uint64_t value)
{
    E1000 *e = e1000(device);

    if (value & E1000_CTRL_RST) {
        reset_mac(e);
        return;
    }
    e->core.ctrl = value & ~(uint64_t)(uint32_t)CTRL_PHY_RST;
    if (value & (uint32_t)CTRL_PHY_RST) {
        e1000_phy_restart(&e->core);
    }
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
        PLAIN(prefix "BAH", offset + 4, member.base_high),                                         \
        { prefix "LEN", offset + 8,           4,                                                   \
          REGISTER_RW,  FIELD(member.length), .writable = E1000_RING_BYTES },                      \
        { prefix "H", offset + 0x10, 4, REGISTER_RW, FIELD(member.head), .writable = 0xffff },     \
    {                                                                                              \
        prefix "T", offset + 0x18, 4, REGISTER_RW, FIELD(member.tail), .write = tail_hook          \
    }

/* clang-format off */
static const Register registers[] = {
    { "CTRL", 0x0, 4, REGISTER_RW, .reset = CTRL_RESET, FIELD(core.ctrl), .write = write_ctrl },
    { "CTRL_DUP", 0x4, 4, REGISTER_RW, .reset = CTRL_RESET, FIELD(core.ctrl), .write = write_ctrl },
    { "STATUS", 0x8, 4, REGISTER_R | REGISTER_QUIET, .reset = STATUS_RESET, FIELD(core.status) },
    { "EECD", 0x10, 4, REGISTER_RW, FIELD(eecd), .read = e1000_read_eecd, .write = e1000_write_eecd },
    { "EERD", 0x14, 4, REGISTER_RW, FIELD(core.eerd), .write = e1000_write_eerd },
    PLAIN("CTRL_EXT", 0x18, ctrl_ext),
    { "FLA", 0x1c, 4, REGISTER_RW | REGISTER_QUIET, .field = REGISTER_NO_FIELD },
    { "MDIC", 0x20, 4, REGISTER_RW, .reset = E1000_MDIC_READY, FIELD(core.mdic), .write = e1000_write_mdic },
    PLAIN("FCAL", 0x28, flow[0]),
    BITS("FCAH", 0x2c, flow[1], 0xffff),
    BITS("FCT", 0x30, flow[2], 0xffff),
    { "VET", 0x38, 4, REGISTER_RW, .reset = 0x8100, FIELD(core.vet), .writable = 0xffff },
    { "ICR", 0xc0, 4, REGISTER_RW, FIELD(icr), .read = read_icr, .write = write_icr,
      .summary = "causes; reading clears them" },
    BITS("ITR", 0xc4, itr, 0xffff),
    { "ICS", 0xc8, 4, REGISTER_RW, FIELD(icr), .write = write_ics },
    { "IMS", 0xd0, 4, REGISTER_RW, FIELD(ims), .write = write_ims },
    { "IMC", 0xd8, 4, REGISTER_W | REGISTER_QUIET, FIELD(ims), .write = write_imc },
    { "RCTL", 0x100, 4, REGISTER_RW, FIELD(core.rctl), .write = e1000_write_rctl },
    BITS("FCTTV", 0x170, flow[3], 0xffff),
    PLAIN("TXCW", 0x178, txcw),
    PLAIN("RXCW", 0x180, rxcw),
    { "TCTL", 0x400, 4, REGISTER_RW, FIELD(core.tctl), .write = write_tctl },
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
    { "STATISTIC", 0x4000, 4, REGISTER_R | REGISTER_QUIET, .count = E1000_STATISTICS, FIELD(core.statistics),
      .read = e1000_read_statistic },
    PLAIN("RXCSUM", 0x5000, core.rxcsum),
    { "MTA", 0x5200, 4, REGISTER_RW, .count = E1000_TABLE, FIELD(core.multicast) },
    { "RA", 0x5400, 4, REGISTER_RW, .count = E1000_ADDRESSES * 2, FIELD(core.addresses) },
    { "VFTA", 0x5600, 4, REGISTER_RW, .count = E1000_TABLE, FIELD(core.vlans) },
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

/* The address is read from the EEPROM again. */
static void reset_mac(E1000 *e)
{
    timer_cancel(&e->throttle);
    register_bank_reset(&e->core.pci.device, &bank);
    e1000_load_address(&e->core);
    e->serial_in = e->serial_out = 0;
    e->serial_count = 0;
    e->quiet_until_ns = 0;
    e->asserted = false;
    e1000_packet_end(&e->packet);
    e->core.status |= e->core.phy[1] & 4 ? E1000_STATUS_LU : 0;
    update_irq(e);
}

/* Frames */

static bool can_receive(void *opaque)
{
    const E1000 *e = opaque;

    /* While the receiver is off frames are lost, not kept. */
    return !(e->core.rctl & E1000_RCTL_EN) || e1000_ring_ready(&e->core, &e->rx);
}

static void receive(void *opaque, const uint8_t *frame, size_t size)
{
    E1000 *e = opaque;
    E1000Incoming in;

    if (e1000_take_frame(&e->core, frame, size, &in)) {
        e->core.receiving = true;
        raise_causes(&e->core, e1000_deliver(&e->core, &e->rx, &in));
        e->core.receiving = false;
    }
}

static const NetClient client = { can_receive, receive, e1000_link_changed };

/* Life */

static bool e1000_realize(Device *device, GError **error)
{
    E1000 *e = e1000(device);
    PciDevice *pci = &e->core.pci;

    pci_set_identity(pci, 0x8086, e1000_model(&e->core)->device_id, 0x020000, 3);
    if (!pci_add_rom(pci, "efi-e1000.rom", error) || !e1000_attach(&e->core, &client, error)) {
        return false;
    }
    pci_set_interrupt_pin(pci, 1);
    register_bank_init(device, &e->core.registers, &bank);
    memory_region_init_io(&e->core.ports, device->machine, "e1000-io", PORTS_SIZE, &e1000_port_ops,
                          &e->core);
    pci_add_bar(pci, 0, PCI_BAR_MEMORY32, false, &e->core.registers);
    pci_add_bar(pci, 1, PCI_BAR_IO, false, &e->core.ports);
    timer_init(&e->throttle, device->machine, throttle_over, e);
    return true;
}

static void e1000_unrealize(Device *device)
{
    E1000 *e = e1000(device);

    timer_cancel(&e->throttle);
    e1000_detach(&e->core);
}

/* What the words say is in 5.6; those that are not here have no effect on what is modelled. */
static void fill_eeprom(E1000 *e)
{
    const E1000EepromWord words[] = {
        { 0x08, 0x3000 }, { 0x09, 0x1000 }, { 0x0a, 0x6403 },
        { 0x0b, 0x1100 }, { 0x0c, 0x1af4 }, { 0x0d, e1000_model(&e->core)->device_id },
        { 0x0e, 0x8086 }, { 0x0f, 0x3040 }, { 0x10, 0x0008 },
        { 0x11, 0x2000 }, { 0x12, 0x7e14 }, { 0x13, 0x0048 },
        { 0x14, 0x1000 }, { 0x15, 0x00d8 }, { 0x17, 0x2700 },
        { 0x18, 0x6cc9 }, { 0x19, 0x3150 }, { 0x1a, 0x0722 },
        { 0x1b, 0x040b }, { 0x1c, 0x0984 }, { 0x1e, 0xc000 },
        { 0x1f, 0x0706 }, { 0x21, 0x1008 }, { 0x23, 0x0f04 },
    };

    e1000_eeprom_fill(&e->core, words, ARRAY_SIZE(words));
}

static void e1000_reset(Device *device)
{
    E1000 *e = e1000(device);

    fill_eeprom(e);
    e->icr = e->ims = 0;
    e->asserted = false;
    e1000_phy_reset(&e->core);
    reset_mac(e);
    e1000_packet_reset(&e->packet);
    e->core.io_address = 0;
    pci_reset(&e->core.pci);
}

static bool e1000_state_check(Device *device, GError **error)
{
    return e1000_packet_check(&e1000(device)->packet, error);
}

static void e1000_state_loaded(Device *device)
{
    E1000 *e = e1000(device);

    pci_state_loaded(&e->core.pci);
    pci_set_irq(&e->core.pci, e->asserted);
}

static const Property e1000_properties[] = { E1000_PROPERTIES(E1000, core), { 0 } };
static const Property e1000_bus_properties[] = { PCI_PROPERTIES(E1000, core.pci), { 0 } };

static const StateField e1000_state[] = {
    E1000_CORE_STATE(E1000, core),
    E1000_PACKET_STATE(E1000, packet.),
    STATE(E1000, eecd),
    STATE(E1000, ctrl_ext),
    STATE(E1000, icr),
    STATE(E1000, itr),
    STATE(E1000, ims),
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
    STATE(E1000, wuc),
    STATE(E1000, wufc),
    STATE(E1000, manc),
    STATE(E1000, semaphores),
    STATE(E1000, pba_fifo),
    STATE_STRUCT(E1000, rx, e1000_ring_state),
    STATE_STRUCT(E1000, tx, e1000_ring_state),
    STATE(E1000, serial_in),
    STATE(E1000, serial_out),
    STATE(E1000, serial_count),
    STATE(E1000, quiet_until_ns),
    STATE(E1000, asserted),
    STATE_TIMER(E1000, throttle),
    { 0 },
};

#define E1000_TYPE(object, type_name, type_alias, text, id, phy)                                   \
    static const E1000Model object##_model = { id, phy, false, raise_causes, receive };            \
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
        .state_version = E1000_VERSION,                                                            \
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
