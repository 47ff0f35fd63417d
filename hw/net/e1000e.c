/* SPDX-License-Identifier: MIT */
/*
 * Intel 82574L gigabit Ethernet controller on PCI Express: registers and the PCI function.
 *
 * Not modelled: flash, the pins of the NVM, wake-up's effect, management, flow control frames, time stamps of frames (its clock runs),
 * delays of single descriptors (what is done is told at once, as far as the interrupts' moderation allows).
 */
#include "hw/net/e1000e.h"

#include "base/error.h"
#include "machine/machine.h"

enum {
    REGISTERS_SIZE = 0x20000,
    FLASH_SIZE = 0x20000,
    PORTS_SIZE = 32,
    MSIX_SIZE = 0x4000,

    CTRL_MASTER_DISABLE = 1 << 2,
    CTRL_PHY_RST = 1 << 31,
    CTRL_RESET = 0x00140241,   /* full duplex, set link up, gigabit */
    STATUS_RESET = 0x00080281, /* full duplex at 1000 Mb/s, link down, masters requests */
    STATUS_MASTER = 1 << 19,
    EECD_REQUEST = 1 << 6,
    EECD_GRANT = 1 << 7,
    EECD_RESET = 0x300, /* NVM present, auto-read done */
    EERD_START = 1 << 0,
    EERD_DONE = 1 << 1,
    EEMNGCTL_DONE = 0x80040000,
    TARC_ENABLE = 1 << 10,
    SWSM_SMBI = 1 << 0,
    FWSM_RESET = 0,
    CLOCK_NS = 40,

    POWER_OFFSET = 0xc8,
    EXPRESS_OFFSET = 0xe0,
    EXPRESS_SIZE = 0x14,
    MSIX_OFFSET = 0xa0,

    PHY_PAGE_SELECT = 22,
};

static void transmit(E1000E *e, unsigned queue)
{
    uint32_t causes = 0;

    if (e->tarc[queue] & TARC_ENABLE) {
        causes = e1000_transmit(&e->core, &e->tx[queue], &e->packets[queue]);
    }
    if (causes) {
        e1000e_raise(&e->core, causes | e1000e_queue_cause(e, E1000E_TXQ0, queue));
    }
}

/* --- hooks of registers --- */

static void reset_mac(E1000E *e);

static void write_ctrl(Device *device, unsigned index, uint64_t value)
{
    E1000E *e = e1000e(device);

    if (value & E1000_CTRL_RST) {
        reset_mac(e);
        return;
    }
    e->core.ctrl = value & ~(uint64_t)(uint32_t)CTRL_PHY_RST;
    e->core.status &= ~(uint32_t)STATUS_MASTER;
    e->core.status |= value & CTRL_MASTER_DISABLE ? 0 : STATUS_MASTER;
    if (value & (uint32_t)CTRL_PHY_RST) {
        e1000_phy_restart(&e->core);
        e->phy_page = 0;
    }
}

static void write_ctrl_ext(Device *device, unsigned index, uint64_t value)
{
    E1000E *e = e1000e(device);

    e->ctrl_ext = value;
    e1000e_update_interrupts(e);
}

static uint64_t read_eecd(Device *device, unsigned index)
{
    const E1000E *e = e1000e(device);

    return e->eecd | (e->eecd & EECD_REQUEST ? EECD_GRANT : 0);
}

/* The same layout as EERD's. */
static void write_eewr(Device *device, unsigned index, uint64_t value)
{
    E1000E *e = e1000e(device);
    unsigned word = value >> 2 & 0x3fff;

    e->eewr = value & 0xfffffffc;
    if (value & EERD_START) {
        if (word < E1000_EEPROM_WORDS) {
            e->core.eeprom[word] = value >> 16;
        }
        e->eewr |= EERD_DONE;
    }
}

/* Registers of the PHY's further pages; the first has what is modelled. */
static void write_mdic(Device *device, unsigned index, uint64_t value)
{
    enum { OPERATION_WRITE = 1, OPERATION_READ = 2, PHY_ADDRESS = 1, INTERRUPT = 1 << 29 };
    E1000E *e = e1000e(device);
    unsigned at = value >> 16 & 31, phy = value >> 21 & 31, operation = value >> 26 & 3;
    uint16_t *cell = at == PHY_PAGE_SELECT ? &e->phy_page
                     : e->phy_page         ? &e->phy_pages[(e->phy_page - 1) % E1000E_PHY_PAGES][at]
                                           : NULL;

    if (!cell || phy != PHY_ADDRESS ||
        (operation != OPERATION_READ && operation != OPERATION_WRITE)) {
        e1000_write_mdic(device, index, value);
        return;
    }
    if (operation == OPERATION_WRITE) {
        *cell = at == PHY_PAGE_SELECT ? value & 0xff : value;
    }
    e->core.mdic = (value & 0x3fff0000) | *cell | E1000_MDIC_READY;
    if (value & INTERRUPT) {
        e1000e_raise(&e->core, E1000_MDAC);
    }
}

static void write_ics(Device *device, unsigned index, uint64_t value)
{
    e1000e_raise(e1000_core(device), value);
}

static void write_ims(Device *device, unsigned index, uint64_t value)
{
    E1000E *e = e1000e(device);

    e->ims |= value;
    e1000e_update_interrupts(e);
}

static void write_imc(Device *device, unsigned index, uint64_t value)
{
    E1000E *e = e1000e(device);

    e->ims &= ~(uint32_t)value;
    e1000e_update_interrupts(e);
}

static void write_ivar(Device *device, unsigned index, uint64_t value)
{
    E1000E *e = e1000e(device);

    e->ivar = value;
    e1000e_update_interrupts(e);
}

static void write_rx_tail(Device *device, unsigned queue, uint64_t value)
{
    E1000E *e = e1000e(device);

    e->rx[queue].tail = value & 0xffff;
    e1000_take_waiting(&e->core);
}

static void write_rx0_tail(Device *device, unsigned index, uint64_t value)
{
    write_rx_tail(device, 0, value);
}

static void write_rx1_tail(Device *device, unsigned index, uint64_t value)
{
    write_rx_tail(device, 1, value);
}

static void write_tx0_tail(Device *device, unsigned index, uint64_t value)
{
    E1000E *e = e1000e(device);

    e->tx[0].tail = value & 0xffff;
    transmit(e, 0);
}

static void write_tx1_tail(Device *device, unsigned index, uint64_t value)
{
    E1000E *e = e1000e(device);

    e->tx[1].tail = value & 0xffff;
    transmit(e, 1);
}

static void write_tctl(Device *device, unsigned index, uint64_t value)
{
    E1000E *e = e1000e(device);

    e->core.tctl = value;
    transmit(e, 0);
    transmit(e, 1);
}

static uint64_t read_more_statistics(Device *device, unsigned index)
{
    E1000E *e = e1000e(device);
    uint32_t value = e->more_statistics[index];

    e->more_statistics[index] = 0;
    return value;
}

/* Who reads it first has the semaphore. */
static uint64_t read_swsm(Device *device, unsigned index)
{
    E1000E *e = e1000e(device);
    uint32_t value = e->swsm;

    e->swsm |= SWSM_SMBI;
    return value;
}

/* The clock (7.9): as many units, each so many periods, as TIMINCA says. */

static uint64_t clock_value(const E1000E *e)
{
    uint64_t periods = e->timinca >> 24;
    int64_t passed = clock_now_ns(e->core.pci.device.machine) - e->clock_base_ns;

    if (!periods || passed < 0) {
        return e->clock_base;
    }
    return e->clock_base + (uint64_t)passed / (periods * CLOCK_NS) * (e->timinca & 0xffffff);
}

static void set_clock(E1000E *e, uint64_t value)
{
    e->clock_base = value;
    e->clock_base_ns = clock_now_ns(e->core.pci.device.machine);
}

static void write_timinca(Device *device, unsigned index, uint64_t value)
{
    E1000E *e = e1000e(device);

    set_clock(e, clock_value(e));
    e->timinca = value;
}

static uint64_t read_clock_low(Device *device, unsigned index)
{
    E1000E *e = e1000e(device);
    uint64_t value = clock_value(e);

    e->clock_high = value >> 32;
    return (uint32_t)value;
}

static void write_clock_low(Device *device, unsigned index, uint64_t value)
{
    E1000E *e = e1000e(device);

    set_clock(e, (clock_value(e) & ~(uint64_t)UINT32_MAX) | (uint32_t)value);
}

static void write_clock_high(Device *device, unsigned index, uint64_t value)
{
    E1000E *e = e1000e(device);

    e->clock_high = value;
    set_clock(e, value << 32 | (uint32_t)clock_value(e));
}

/* --- registers --- */

#define FIELD(name) .field = offsetof(E1000E, name)
#define PLAIN(name, offset, member)                                                                \
    {                                                                                              \
        name, offset, 4, REGISTER_RW, FIELD(member)                                                \
    }
/* One whose other bits are reserved, or do something at once and are read as zeros. */
#define BITS(name, offset, member, mask)                                                           \
    {                                                                                              \
        name, offset, 4, REGISTER_RW, FIELD(member), .writable = mask                              \
    }
#define KEPT(name, offset, index)            PLAIN(name, offset, plain[index])
#define KEPT_BITS(name, offset, index, mask) BITS(name, offset, plain[index], mask)
#define NOTHING(name, offset, number, step)                                                        \
    {                                                                                              \
        name, offset, 4, REGISTER_RW | REGISTER_QUIET, .field = REGISTER_NO_FIELD,                 \
                                                       .count = number, .stride = step             \
    }

/* clang-format off */
#define RING(prefix, number, offset, member, tail_hook)                                                            \
    BITS(prefix "BAL" number, offset, member.base_low, 0xfffffff0),                                                \
    PLAIN(prefix "BAH" number, offset + 4, member.base_high),                                                      \
    BITS(prefix "LEN" number, offset + 8, member.length, E1000_RING_BYTES),                                        \
    BITS(prefix "H" number, offset + 0x10, member.head, 0xffff),                                                   \
    { prefix "T" number, offset + 0x18, 4, REGISTER_RW, FIELD(member.tail), .write = tail_hook }

static const Register registers[] = {
    { "CTRL", 0x0, 4, REGISTER_RW, .reset = CTRL_RESET, FIELD(core.ctrl), .write = write_ctrl },
    { "CTRL_DUP", 0x4, 4, REGISTER_RW, .reset = CTRL_RESET, FIELD(core.ctrl), .write = write_ctrl },
    { "STATUS", 0x8, 4, REGISTER_R | REGISTER_QUIET, .reset = STATUS_RESET, FIELD(core.status) },
    { "EECD", 0x10, 4, REGISTER_RW, .reset = EECD_RESET, FIELD(eecd), .writable = 0x7f, .read = read_eecd },
    { "EERD", 0x14, 4, REGISTER_RW, FIELD(core.eerd), .write = e1000_write_eerd },
    { "CTRL_EXT", 0x18, 4, REGISTER_RW, FIELD(ctrl_ext), .write = write_ctrl_ext },
    NOTHING("FLA", 0x1c, 1, 4),
    { "MDIC", 0x20, 4, REGISTER_RW, .reset = E1000_MDIC_READY, FIELD(core.mdic), .write = write_mdic },
    KEPT("FCAL", 0x28, 0),
    KEPT_BITS("FCAH", 0x2c, 1, 0xffff),
    KEPT_BITS("FCT", 0x30, 2, 0xffff),
    { "VET", 0x38, 4, REGISTER_RW, .reset = 0x8100, FIELD(core.vet), .writable = 0xffff },
    { "ICR", 0xc0, 4, REGISTER_RW, FIELD(icr), .read = e1000e_read_icr, .write = e1000e_write_icr,
      .summary = "causes; reading clears them" },
    BITS("ITR", 0xc4, itr, 0xffff),
    { "ICS", 0xc8, 4, REGISTER_RW, FIELD(icr), .write = write_ics },
    { "IMS", 0xd0, 4, REGISTER_RW, FIELD(ims), .write = write_ims },
    { "IMC", 0xd8, 4, REGISTER_W | REGISTER_QUIET, FIELD(ims), .write = write_imc },
    BITS("EIAC", 0xdc, eiac, 0x01f00000),
    PLAIN("IAM", 0xe0, iam),
    { "IVAR", 0xe4, 4, REGISTER_RW, FIELD(ivar), .write = write_ivar },
    { "EITR", 0xe8, 4, REGISTER_RW, FIELD(eitr), .writable = 0xffff, .count = E1000E_VECTORS },
    { "RCTL", 0x100, 4, REGISTER_RW, FIELD(core.rctl), .write = e1000_write_rctl },
    KEPT_BITS("FCTTV", 0x170, 3, 0xffff),
    KEPT("TXCW", 0x178, 4),
    KEPT("RXCW", 0x180, 5),
    { "TCTL", 0x400, 4, REGISTER_RW, FIELD(core.tctl), .write = write_tctl },
    KEPT_BITS("TIPG", 0x410, 6, 0x3fffffff),
    KEPT("AIT", 0x458, 7),
    { "LEDCTL", 0xe00, 4, REGISTER_RW, .reset = 0x07061302, FIELD(plain[8]) },
    KEPT("EXTCNF_CTRL", 0xf00, 9),
    KEPT("EXTCNF_SIZE", 0xf08, 10),
    KEPT("PHY_CTRL", 0xf10, 11),
    { "PBA", 0x1000, 4, REGISTER_RW, .reset = 0x00140014, FIELD(plain[12]) },
    KEPT("PBS", 0x1008, 13),
    { "EEMNGCTL", 0x1010, 4, REGISTER_RW, .reset = EEMNGCTL_DONE, FIELD(plain[14]) },
    KEPT("EEARBC", 0x1024, 15),
    KEPT("FLASHT", 0x1028, 16),
    { "EEWR", 0x102c, 4, REGISTER_RW, .reset = EERD_DONE, FIELD(eewr), .write = write_eewr },
    KEPT("FLSWCTL", 0x1030, 17),
    KEPT("FLSWDATA", 0x1034, 18),
    KEPT("FLSWCNT", 0x1038, 19),
    KEPT("FLOP", 0x103c, 20),
    KEPT_BITS("FCRTL", 0x2160, 21, 0x8000fff8),
    KEPT_BITS("FCRTH", 0x2168, 22, 0xfff8),
    PLAIN("PSRCTL", 0x2170, psrctl),
    NOTHING("RDF", 0x2410, 5, 8),
    RING("RD", "0", 0x2800, rx[0], write_rx0_tail),
    KEPT_BITS("RDTR", 0x2820, 23, 0xffff),
    PLAIN("RXDCTL0", 0x2828, rxdctl[0]),
    KEPT_BITS("RADV", 0x282c, 24, 0xffff),
    RING("RD", "1", 0x2900, rx[1], write_rx1_tail),
    PLAIN("RXDCTL1", 0x2928, rxdctl[1]),
    KEPT("RSRPD", 0x2c00, 25),
    KEPT("RAID", 0x2c08, 26),
    KEPT("CPUVEC", 0x2c10, 27),
    NOTHING("TDF", 0x3410, 5, 8),
    RING("TD", "0", 0x3800, tx[0], write_tx0_tail),
    KEPT_BITS("TIDV", 0x3820, 28, 0xffff),
    PLAIN("TXDCTL0", 0x3828, txdctl[0]),
    KEPT_BITS("TADV", 0x382c, 29, 0xffff),
    { "TARC0", 0x3840, 4, REGISTER_RW, .reset = TARC_ENABLE | 3, FIELD(tarc[0]) },
    RING("TD", "1", 0x3900, tx[1], write_tx1_tail),
    PLAIN("TXDCTL1", 0x3928, txdctl[1]),
    { "TARC1", 0x3940, 4, REGISTER_RW, .reset = TARC_ENABLE | 3, FIELD(tarc[1]) },
    { "STATISTIC", 0x4000, 4, REGISTER_R | REGISTER_QUIET, .count = E1000_STATISTICS, FIELD(core.statistics),
      .read = e1000_read_statistic },
    { "STATISTIC64", 0x4100, 4, REGISTER_R | REGISTER_QUIET, .count = E1000E_STATISTICS, FIELD(more_statistics),
      .read = read_more_statistics },
    PLAIN("RXCSUM", 0x5000, core.rxcsum),
    PLAIN("RFCTL", 0x5008, rfctl),
    { "MTA", 0x5200, 4, REGISTER_RW, .count = E1000_TABLE, FIELD(core.multicast) },
    { "RA", 0x5400, 4, REGISTER_RW, .count = E1000_ADDRESSES * 2, FIELD(core.addresses) },
    { "VFTA", 0x5600, 4, REGISTER_RW, .count = E1000_TABLE, FIELD(core.vlans) },
    KEPT("WUC", 0x5800, 30),
    KEPT("WUFC", 0x5808, 31),
    NOTHING("WUS", 0x5810, 1, 4),
    PLAIN("MRQC", 0x5818, mrqc),
    KEPT("MANC", 0x5820, 32),
    KEPT("MFUTP01", 0x5828, 33),
    KEPT("MFUTP23", 0x5830, 34),
    KEPT("IPAV", 0x5838, 35),
    { "IP4AT", 0x5840, 4, REGISTER_RW, .count = 8, FIELD(plain[36]) },
    KEPT("MANC2H", 0x5860, 44),
    NOTHING("IP6AT", 0x5880, 4, 4),
    NOTHING("MDEF", 0x5890, 8, 4),
    NOTHING("WUPL", 0x5900, 1, 4),
    NOTHING("WUPM", 0x5a00, 32, 4),
    KEPT("GCR", 0x5b00, 45),
    KEPT("FUNCTAG", 0x5b08, 46),
    { "GSCL", 0x5b10, 4, REGISTER_RW, .count = 4, FIELD(plain[47]) },
    NOTHING("GSCN", 0x5b20, 4, 4),
    { "FACTPS", 0x5b30, 4, REGISTER_RW, .reset = 4, FIELD(plain[51]) },
    { "SWSM", 0x5b50, 4, REGISTER_RW, FIELD(swsm), .read = read_swsm },
    { "FWSM", 0x5b54, 4, REGISTER_RW | REGISTER_QUIET, .reset = FWSM_RESET, FIELD(fwsm) },
    KEPT("SWSM2", 0x5b58, 52),
    KEPT("SW_FW_SYNC", 0x5b5c, 53),
    KEPT("GCR2", 0x5b64, 54),
    NOTHING("PBACLR", 0x5b68, 1, 4),
    { "RETA", 0x5c00, 4, REGISTER_RW, .count = E1000E_REDIRECTION, FIELD(redirection) },
    { "RSSRK", 0x5c80, 4, REGISTER_RW, .count = E1000E_HASH_KEY, FIELD(hash_key) },
    NOTHING("FFLT", 0x5f00, 4, 8),
    KEPT("FCRTV", 0x5f40, 55),
    { "FILTERS", 0x9000, 4, REGISTER_RW, .count = 0x400, FIELD(wakeup_filters) },
    { "SYSTIML", 0xb600, 4, REGISTER_RW, .field = REGISTER_NO_FIELD, .read = read_clock_low, .write = write_clock_low },
    { "SYSTIMH", 0xb604, 4, REGISTER_RW, FIELD(clock_high), .write = write_clock_high },
    { "TIMINCA", 0xb608, 4, REGISTER_RW, FIELD(timinca), .write = write_timinca },
    NOTHING("TIMADJ", 0xb60c, 2, 4),
    KEPT_BITS("TSYNCTXCTL", 0xb614, 56, 0x10),
    NOTHING("TXSTMP", 0xb618, 2, 4),
    KEPT_BITS("TSYNCRXCTL", 0xb620, 57, 0x1e),
    NOTHING("RXSTMP", 0xb624, 4, 4),
    KEPT("RXMTRL", 0xb634, 58),
    KEPT("RXUDP", 0xb638, 59),
    NOTHING("PBM", 0x10000, 0x2800, 4),
    { 0 },
};
/* clang-format on */

static const RegisterBank bank = {
    .name = "e1000e", .size = REGISTERS_SIZE, .registers = registers, .size_min = 4, .size_max = 4
};

/* The address is read from the NVM again. */
static void reset_mac(E1000E *e)
{
    timer_cancel(&e->throttle);
    register_bank_reset(&e->core.pci.device, &bank);
    e1000_load_address(&e->core);
    e->core.vet = e->init_vet ? e->core.vet : 0;
    e->clock_base = 0;
    e->clock_base_ns = 0;
    memset(e->quiet_until_ns, 0, sizeof e->quiet_until_ns);
    for (unsigned i = 0; i < E1000E_QUEUES; i++) {
        e1000_packet_end(&e->packets[i]);
    }
    e->core.status |= e->core.phy[1] & 4 ? E1000_STATUS_LU : 0;
    e1000e_update_interrupts(e);
}

/* --- the PCI function --- */

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    e1000e_update_interrupts(e1000e(&pci->device));
}

static const PciDeviceOps pci_ops = { .config_written = config_written };

static void throttle_over(void *opaque)
{
    e1000e_update_interrupts(opaque);
}

static const NetClient client = { e1000e_can_receive, e1000e_receive, e1000_link_changed };

/* Power states D0 and D3hot, without effect on what works. */
static void add_power_management(PciDevice *pci)
{
    enum { CAPABILITIES = 2, CONTROL = 4, VERSION_2 = 2, INITIALIZE = 1 << 5 };
    unsigned at;

    pci->next_free = POWER_OFFSET;
    at = pci_add_capability(pci, PCI_CAPABILITY_POWER, 8);
    store_le16(pci->config + at + CAPABILITIES, VERSION_2 | INITIALIZE);
    store_le16(pci->writable + at + CONTROL, 0x0103);
}

/* Version 1, as the chip's (9.4): one lane of 2.5 GT/s. */
static void add_express(PciDevice *pci)
{
    enum {
        FLAGS = 2,
        DEVICE = 4,
        CONTROL = 8,
        LINK = 0xc,
        LINK_CONTROL = 0x10,
        LINK_STATUS = 0x12
    };
    enum {
        VERSION = 1,
        ROLE_BASED_ERRORS = 1 << 15,
        EXTENDED_TAG = 1 << 5,
        SPEED_WIDTH = 0x11,
        ASPM_L0S = 1 << 10
    };
    unsigned at;
    unsigned type =
        pci_bus_is_slot(pci->bus) ? PCIE_TYPE_ENDPOINT : PCIE_TYPE_ROOT_COMPLEX_ENDPOINT;

    pci->next_free = EXPRESS_OFFSET;
    at = pci_add_capability(pci, PCI_CAPABILITY_EXPRESS, EXPRESS_SIZE);
    store_le16(pci->config + at + FLAGS, VERSION | type << 4);
    store_le32(pci->config + at + DEVICE, ROLE_BASED_ERRORS | EXTENDED_TAG);
    store_le16(pci->writable + at + CONTROL, 0x79ff);
    store_le32(pci->config + at + LINK, SPEED_WIDTH | ASPM_L0S);
    store_le16(pci->writable + at + LINK_CONTROL, 0xc3);
    store_le16(pci->config + at + LINK_STATUS, SPEED_WIDTH);
}

/* The address with ff ff in its midst. */
static uint64_t serial_number(const uint8_t *mac)
{
    return (uint64_t)load_be16(mac) << 48 | (uint64_t)mac[2] << 40 | UINT64_C(0xffff) << 24 |
           (uint64_t)mac[3] << 16 | load_be16(mac + 4);
}

static bool add_capabilities(E1000E *e, GError **error)
{
    PciDevice *pci = &e->core.pci;

    add_power_management(pci);
    pci_add_msi(pci);
    add_express(pci);
    pci_add_serial_number(pci, serial_number(e->core.mac));
    pci->next_free = MSIX_OFFSET;
    return pci_add_msix_within(pci, 3, E1000E_VECTORS, &e->msix, 0, error);
}

static void add_bars(E1000E *e)
{
    PciDevice *pci = &e->core.pci;
    Machine *machine = pci->device.machine;

    register_bank_init(&pci->device, &e->core.registers, &bank);
    memory_region_init_io(&e->flash, machine, "e1000e-flash", FLASH_SIZE, &pci_abort_ops, e);
    memory_region_init_io(&e->core.ports, machine, "e1000e-io", PORTS_SIZE, &e1000_port_ops,
                          &e->core);
    memory_region_init_container(&e->msix, machine, "e1000e-msix", MSIX_SIZE);
    pci_add_bar(pci, 0, PCI_BAR_MEMORY32, false, &e->core.registers);
    pci_add_bar(pci, 1, PCI_BAR_MEMORY32, false, &e->flash);
    pci_add_bar(pci, 2, PCI_BAR_IO, false, &e->core.ports);
    pci_add_bar(pci, 3, PCI_BAR_MEMORY32, false, &e->msix);
}

static bool e1000e_realize(Device *device, GError **error)
{
    E1000E *e = e1000e(device);
    PciDevice *pci = &e->core.pci;

    pci->ops = &pci_ops;
    pci_set_identity(pci, 0x8086, e1000_model(&e->core)->device_id, 0x020000, 0);
    pci_set_subsystem(pci, e->subsystem_vendor, e->subsystem);
    pci->config[PCI_CACHE_LINE_SIZE] = 0x10;
    timer_init(&e->throttle, device->machine, throttle_over, e);
    if (!pci_add_rom(pci, "efi-e1000e.rom", error) || !e1000_attach(&e->core, &client, error)) {
        return false;
    }
    pci_set_interrupt_pin(pci, 1);
    add_bars(e);
    return add_capabilities(e, error);
}

static void e1000e_unrealize(Device *device)
{
    E1000E *e = e1000e(device);

    timer_cancel(&e->throttle);
    e1000_detach(&e->core);
}

/* What the words say is in 6.1; those that are not here have no effect on what is modelled. */
static void fill_nvm(E1000E *e)
{
    const E1000EepromWord words[] = {
        { 0x03, 0x0400 }, /* a LAN on the motherboard's or a card's */
        { 0x05, 0x0100 }, /* version of the image */
        { 0x0a, 0x4003 }, /* subsystem and vendor are here */
        { 0x0b, e->subsystem },
        { 0x0c, e->subsystem_vendor },
        { 0x0d, e1000_model(&e->core)->device_id },
        { 0x0e, 0x8086 },
        { 0x0f, 0x1000 }, /* no management */
        { 0x1b, 0x0001 }, /* five vectors */
        { 0x37, 0xffff }, /* no other address */
    };

    e1000_eeprom_fill(&e->core, words, ARRAY_SIZE(words));
}

static void e1000e_reset(Device *device)
{
    E1000E *e = e1000e(device);

    fill_nvm(e);
    e->icr = e->ims = e->told = 0;
    e->asserted = false;
    e1000_phy_reset(&e->core);
    e->phy_page = 0;
    memset(e->phy_pages, 0, sizeof e->phy_pages);
    for (unsigned i = 0; i < E1000E_QUEUES; i++) {
        e1000_packet_reset(&e->packets[i]);
    }
    reset_mac(e);
    e->core.io_address = 0;
    pci_reset(&e->core.pci);
}

static bool e1000e_state_check(Device *device, GError **error)
{
    const E1000E *e = e1000e(device);

    for (unsigned i = 0; i < E1000E_QUEUES; i++) {
        if (!e1000_packet_check(&e->packets[i], error)) {
            return false;
        }
    }
    return true;
}

static void e1000e_state_loaded(Device *device)
{
    E1000E *e = e1000e(device);

    pci_state_loaded(&e->core.pci);
    pci_set_irq(&e->core.pci, e->asserted);
}

static const Property e1000e_properties[] = {
    E1000_PROPERTIES(E1000E, core),
    { "subsys_ven", PROPERTY_U16, offsetof(E1000E, subsystem_vendor), "its subsystem's vendor",
      "32902" },
    { "subsys", PROPERTY_U16, offsetof(E1000E, subsystem), "its subsystem", "0" },
    { "init-vet", PROPERTY_BOOL, offsetof(E1000E, init_vet),
      "the type of VLAN tags is 0x8100 before the driver sets it", "on" },
    { "disable_vnet_hdr", PROPERTY_U8, offsetof(E1000E, disable_vnet_hdr),
      "accepted; has no effect", "0" },
    { "migrate-timadj", PROPERTY_BOOL, offsetof(E1000E, migrate_timadj), "accepted; has no effect",
      "on" },
    { 0 },
};
static const Property e1000e_bus_properties[] = { PCI_PROPERTIES(E1000E, core.pci), { 0 } };

static const StateField packet_state[] = { E1000_PACKET_STATE(E1000Packet, ), { 0 } };

static const StateField e1000e_state[] = {
    E1000_CORE_STATE(E1000E, core),
    STATE(E1000E, icr),
    STATE(E1000E, ims),
    STATE(E1000E, iam),
    STATE(E1000E, eiac),
    STATE(E1000E, ivar),
    STATE(E1000E, itr),
    STATE(E1000E, eitr),
    STATE(E1000E, ctrl_ext),
    STATE(E1000E, told),
    STATE(E1000E, asserted),
    STATE(E1000E, quiet_until_ns),
    STATE_STRUCTS(E1000E, rx, e1000_ring_state),
    STATE_STRUCTS(E1000E, tx, e1000_ring_state),
    STATE_STRUCTS(E1000E, packets, packet_state),
    STATE(E1000E, rxdctl),
    STATE(E1000E, txdctl),
    STATE(E1000E, tarc),
    STATE(E1000E, psrctl),
    STATE(E1000E, rfctl),
    STATE(E1000E, mrqc),
    STATE(E1000E, redirection),
    STATE(E1000E, hash_key),
    STATE(E1000E, more_statistics),
    STATE(E1000E, eecd),
    STATE(E1000E, eewr),
    STATE(E1000E, swsm),
    STATE(E1000E, fwsm),
    STATE(E1000E, timinca),
    STATE(E1000E, clock_base),
    STATE(E1000E, clock_base_ns),
    STATE(E1000E, clock_high),
    STATE(E1000E, plain),
    STATE(E1000E, wakeup_filters),
    STATE(E1000E, phy_page),
    STATE_ARRAY(E1000E, phy_pages, uint16_t),
    STATE_TIMER(E1000E, throttle),
    STATE_DERIVED(E1000E, telling),
    STATE_DERIVED(E1000E, tell_again),
    { 0 },
};

static const E1000Model e1000e_model = { 0x10d3, 0x0cb1, true, e1000e_raise, e1000e_receive };

static const DeviceType e1000e_type = {
    .name = "e1000e",
    .summary = "Intel 82574L gigabit Ethernet",
    .bus = "pci",
    .category = "network",
    .instance_size = sizeof(E1000E),
    .class_data = &e1000e_model,
    .properties = e1000e_properties,
    .bus_properties = e1000e_bus_properties,
    .state = e1000e_state,
    .state_version = E1000_VERSION,
    .realize = e1000e_realize,
    .unrealize = e1000e_unrealize,
    .reset = e1000e_reset,
    .state_check = e1000e_state_check,
    .state_loaded = e1000e_state_loaded,
};
DEVICE_TYPE(e1000e_type);
