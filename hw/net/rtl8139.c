/* SPDX-License-Identifier: MIT */
/*
 * Realtek RTL8139C+ Fast Ethernet: registers, EEPROM, life. The registers are kept as the bytes that they read as; a
 * write changes what is writable of them, and then has its effects.
 *
 * Not modelled: the timer's interrupt, power management, early interrupts, statistics (a dump of them is all zeros).
 */
#include "hw/net/rtl8139.h"

#include <string.h>

#include "base/error.h"
#include "machine/clock.h"
#include "machine/machine.h"

enum {
    TCTR = 0x48,
    EECR = 0x50,
    CONFIG1 = 0x52,
    MSR = 0x58,
    TSAD_ALL = 0x60,
    BMCR = 0x62,
    BMSR = 0x64,
    ANAR = 0x66,
    ANLPAR = 0x68,
    TPPOLL = 0xd9,

    CR_EMPTY = 1 << 0,
    CR_RESET = 1 << 4,
    TPPOLL_NORMAL = 1 << 6,
    TPPOLL_HIGH = 1 << 7,
    TSD_OWN = 1 << 13,
    DTCCR_DUMP = 1 << 3,
    DTCCR_BYTES = 64,
    MSR_LINK_DOWN = 1 << 2,
    BMSR_UP = 0x782d, /* 10 and 100 Mbit/s, negotiated, link up */
    BMSR_DOWN = 0x7809,
    TCR_VERSION = 0x74800000, /* which of the family it is: C+ */
    TIMER_HZ = 33000000,

    EECR_CS = 1 << 3,
    EECR_SK = 1 << 2,
    EECR_DI = 1 << 1,
    EECR_DO = 1 << 0,
    EECR_PROGRAM = 2 << 6,
    EECR_MODE = 3 << 6,
    EEPROM_COMMAND_BITS = 9, /* of a 93C46: start, two of the operation, six of the address */
    EEPROM_READ = 2,

    REVISION_C_PLUS = 0x20,
};

/* What software can write, besides bits with effects of their own. */
static const struct {
    uint8_t offset, size;
    uint8_t mask;
} writable[] = {
    { RTL_IDR, 6, 0xff },     { RTL_MAR, 8, 0xff },     { RTL_TSD, 16, 0xff },
    { RTL_TSAD, 16, 0xff },   { RTL_RBSTART, 4, 0xff }, { RTL_CR, 1, RTL_CR_RX | RTL_CR_TX },
    { RTL_CAPR, 2, 0xff },    { RTL_IMR, 2, 0xff },     { RTL_TCR, 2, 0xff },
    { RTL_TCR + 2, 1, 0x07 }, { RTL_TCR + 3, 1, 0x03 }, { RTL_RCR, 4, 0xff },
    { EECR, 1, 0xce },        { CONFIG1, 1, 0xff },     { 0x54, 4, 0xff },
    { 0x59, 3, 0xff },        { BMCR, 2, 0x31 },        { ANAR, 2, 0xff },
    { 0x84, 0x54, 0xff },     { 0xd8, 1, 0xff },        { RTL_CPCR, 2, 0xff },
    { RTL_RDSAR, 8, 0xff },   { 0xec, 1, 0xff },
};

static Rtl8139 *rtl8139(Device *device)
{
    return container_of(pci_device(device), Rtl8139, pci);
}

static void update_irq(Rtl8139 *rtl)
{
    pci_set_irq(&rtl->pci, load_le16(rtl->r + RTL_ISR) & load_le16(rtl->r + RTL_IMR));
}

void rtl_raise(Rtl8139 *rtl, uint16_t causes)
{
    store_le16(rtl->r + RTL_ISR, load_le16(rtl->r + RTL_ISR) | causes);
    update_irq(rtl);
}

bool rtl_read(const Rtl8139 *rtl, uint64_t address, void *data, unsigned size)
{
    return pci_bus_master_enabled(&rtl->pci) &&
           address_space_read_bytes(&rtl->pci.device.machine->memory_space, address, data, size,
                                    pci_dma_attributes(&rtl->pci)) == MEMORY_OK;
}

bool rtl_write(const Rtl8139 *rtl, uint64_t address, const void *data, unsigned size)
{
    return pci_bus_master_enabled(&rtl->pci) &&
           address_space_write_bytes(&rtl->pci.device.machine->memory_space, address, data, size,
                                     pci_dma_attributes(&rtl->pci)) == MEMORY_OK;
}

/* The EEPROM (93C46): commands go in and words come out by the bit, at rising clocks. */

static void clock_eeprom(Rtl8139 *rtl, bool in)
{
    if (rtl->eeprom_count == EEPROM_COMMAND_BITS) {
        rtl->r[EECR] = (rtl->r[EECR] & ~EECR_DO) | (rtl->eeprom_out >> 15 ? EECR_DO : 0);
        rtl->eeprom_out = (uint16_t)(rtl->eeprom_out << 1);
        return;
    }
    if (rtl->eeprom_count == 0 && !in) {
        return; /* no start yet */
    }
    rtl->eeprom_command = rtl->eeprom_count ? (uint16_t)(rtl->eeprom_command << 1 | in) : 1;
    if (++rtl->eeprom_count == EEPROM_COMMAND_BITS) {
        bool read = (rtl->eeprom_command >> 6 & 3) == EEPROM_READ;

        rtl->eeprom_out = read ? rtl->eeprom[rtl->eeprom_command & (RTL_EEPROM_WORDS - 1)] : 0xffff;
        rtl->r[EECR] &= (uint8_t)~EECR_DO;
    }
}

static void write_eecr(Rtl8139 *rtl, uint8_t old)
{
    uint8_t now = rtl->r[EECR];

    if ((now & EECR_MODE) != EECR_PROGRAM || !(now & EECR_CS)) {
        rtl->eeprom_count = 0;
    } else if (now & ~old & EECR_SK) {
        clock_eeprom(rtl, now & EECR_DI);
    }
}

static void fill_eeprom(Rtl8139 *rtl)
{
    memset(rtl->eeprom, 0, sizeof rtl->eeprom);
    rtl->eeprom[0] = 0x8129; /* there is something in it */
    rtl->eeprom[1] = 0x10ec;
    rtl->eeprom[2] = 0x8139;
    for (unsigned i = 0; i < 3; i++) {
        rtl->eeprom[7 + i] = load_le16(rtl->mac + 2 * i);
    }
}

/* Registers */

static void show_link(Rtl8139 *rtl)
{
    bool up = !rtl->netdev || rtl->netdev->link_up;

    rtl->r[MSR] = up ? 0 : MSR_LINK_DOWN;
    store_le16(rtl->r + BMSR, up ? BMSR_UP : BMSR_DOWN);
    store_le16(rtl->r + ANLPAR, up ? 0x45e1 : 0);
}

/* By the command register: addresses and configuration stay. */
static void reset_engine(Rtl8139 *rtl)
{
    uint8_t *r = rtl->r;

    memset(r + RTL_TSD, 0, RTL_RCR + 4 - RTL_TSD);
    memset(r + RTL_MPC, 0, 4);
    memset(r + TPPOLL, 0, RTL_REGISTERS - TPPOLL);
    for (unsigned i = 0; i < 4; i++) {
        store_le32(r + RTL_TSD + 4 * i, TSD_OWN);
    }
    store_le32(r + RTL_TCR, TCR_VERSION);
    store_le16(r + RTL_CAPR, 0xfff0);
    rtl->rx_offset = 0;
    rtl->tx_index = rtl->high_index = rtl->rx_index = 0;
    rtl->tx_size = 0;
    update_irq(rtl);
}

/* Status of the four descriptors, a bit each: done with, and sent. */
static uint16_t descriptors_summary(const Rtl8139 *rtl)
{
    uint16_t value = 0;

    for (unsigned i = 0; i < 4; i++) {
        uint32_t tsd = load_le32(rtl->r + RTL_TSD + 4 * i);

        value |= (tsd & TSD_OWN ? 1 : 0) << i | (tsd >> 15 & 1) << (12 + i);
    }
    return value;
}

static void refresh(Rtl8139 *rtl)
{
    int64_t now = clock_now_ns(rtl->pci.device.machine);
    bool empty = rtl_read_offset(rtl) == rtl->rx_offset;

    rtl->r[RTL_CR] = (rtl->r[RTL_CR] & ~CR_EMPTY) | (empty ? CR_EMPTY : 0);
    store_le16(rtl->r + TSAD_ALL, descriptors_summary(rtl));
    store_le32(rtl->r + TCTR, (uint32_t)((__int128)now * TIMER_HZ / 1000000000));
}

static MemoryResult read_registers(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                   MemoryAttributes attributes)
{
    Rtl8139 *rtl = opaque;

    refresh(rtl);
    *value = 0;
    memcpy(value, rtl->r + offset, size);
    rtl->r[TPPOLL] = 0;
    return MEMORY_OK;
}

static uint8_t writable_bits(unsigned offset)
{
    for (unsigned i = 0; i < ARRAY_SIZE(writable); i++) {
        if (offset - writable[i].offset < writable[i].size) {
            return writable[i].mask;
        }
    }
    return 0;
}

static void dump_statistics(Rtl8139 *rtl)
{
    static const uint8_t zeros[DTCCR_BYTES];
    uint64_t command = load_le64(rtl->r + RTL_TSD);

    if (command & DTCCR_DUMP) {
        store_le64(rtl->r + RTL_TSD, command & ~(uint64_t)DTCCR_DUMP);
        rtl_write(rtl, command & ~UINT64_C(63), zeros, sizeof zeros);
    }
}

static void flush(Rtl8139 *rtl)
{
    if (rtl->netdev && !rtl->receiving) {
        netdev_flush(rtl->netdev);
    }
}

/* What a byte does that was written; the bytes of a register come in order, so that its last one acts. */
static void act(Rtl8139 *rtl, unsigned offset, uint8_t value, uint8_t old)
{
    switch (offset) {
    case RTL_TSD + 3:
        if (rtl_is_cplus(rtl)) {
            dump_statistics(rtl);
            break;
        }
        /* fall through */
    case RTL_TSD + 7:
    case RTL_TSD + 11:
    case RTL_TSD + 15:
        if (!rtl_is_cplus(rtl)) {
            rtl_send_descriptor(rtl, (offset - RTL_TSD) / 4);
        }
        break;
    case RTL_CR:
        if (value & CR_RESET) {
            reset_engine(rtl);
        }
        flush(rtl);
        break;
    case RTL_CAPR + 1:
        flush(rtl);
        break;
    case RTL_ISR:
    case RTL_ISR + 1:
        rtl->r[offset] &= (uint8_t)~value;
        update_irq(rtl);
        break;
    case RTL_IMR + 1:
        update_irq(rtl);
        break;
    case RTL_MPC:
        memset(rtl->r + RTL_MPC, 0, 4);
        break;
    case EECR:
        write_eecr(rtl, old);
        break;
    case TPPOLL:
        if (value & TPPOLL_HIGH) {
            rtl_send_ring(rtl, true);
        }
        if (value & TPPOLL_NORMAL) {
            rtl_send_ring(rtl, false);
        }
        break;
    case RTL_RDSAR + 7:
        rtl->rx_index = 0;
        break;
    case RTL_TSAD + 7:
        rtl->tx_index = 0;
        break;
    case RTL_TSAD + 15:
        rtl->high_index = 0;
        break;
    }
}

static MemoryResult write_registers(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                    MemoryAttributes attributes)
{
    Rtl8139 *rtl = opaque;
    uint8_t old[8];

    memcpy(old, rtl->r + offset, size);
    for (unsigned i = 0; i < size; i++) {
        uint8_t mask = writable_bits((unsigned)offset + i), byte = value >> 8 * i;

        rtl->r[offset + i] = (rtl->r[offset + i] & ~mask) | (byte & mask);
    }
    for (unsigned i = 0; i < size; i++) {
        act(rtl, (unsigned)offset + i, value >> 8 * i, old[i]);
    }
    return MEMORY_OK;
}

static const MemoryOps register_ops = { .read = read_registers,
                                        .write = write_registers,
                                        .size_max = 4 };

/* Life */

static void link_changed(void *opaque, bool up)
{
    show_link(opaque);
    rtl_raise(opaque, RTL_ISR_LINK);
}

static const NetClient client = { rtl_can_receive, rtl_receive, link_changed };

static bool rtl8139_realize(Device *device, GError **error)
{
    Rtl8139 *rtl = rtl8139(device);
    PciDevice *pci = &rtl->pci;

    if (rtl->mac[0] & 1) {
        return error_fail(error, KASO_ERROR_INVALID, "rtl8139: mac= is a multicast address");
    }
    netdev_choose_mac(device, rtl->mac);
    pci_set_identity(pci, 0x10ec, 0x8139, 0x020000, REVISION_C_PLUS);
    pci_set_interrupt_pin(pci, 1);
    if (!pci_add_rom(pci, "efi-rtl8139.rom", error) ||
        (rtl->netdev && !netdev_attach(rtl->netdev, &client, rtl, error))) {
        return false;
    }
    rtl->attached = rtl->netdev != NULL;
    memory_region_init_io(&rtl->ports, device->machine, "rtl8139-io", RTL_REGISTERS, &register_ops,
                          rtl);
    memory_region_init_io(&rtl->memory, device->machine, "rtl8139", RTL_REGISTERS, &register_ops,
                          rtl);
    pci_add_bar(pci, 0, PCI_BAR_IO, false, &rtl->ports);
    pci_add_bar(pci, 1, PCI_BAR_MEMORY32, false, &rtl->memory);
    return true;
}

static void rtl8139_unrealize(Device *device)
{
    Rtl8139 *rtl = rtl8139(device);

    if (rtl->attached) {
        netdev_detach(rtl->netdev);
        rtl->attached = false;
    }
}

static void rtl8139_reset(Device *device)
{
    Rtl8139 *rtl = rtl8139(device);

    memset(rtl->r, 0, sizeof rtl->r);
    memset(rtl->tx_buffer, 0, sizeof rtl->tx_buffer);
    memcpy(rtl->r + RTL_IDR, rtl->mac, RTL_MAC);
    store_le16(rtl->r + BMCR, 0x3100);
    store_le16(rtl->r + ANAR, 0x01e1);
    reset_engine(rtl);
    fill_eeprom(rtl);
    rtl->eeprom_count = 0;
    rtl->eeprom_command = rtl->eeprom_out = 0;
    show_link(rtl);
    pci_reset(&rtl->pci);
}

static void rtl8139_state_loaded(Device *device)
{
    pci_state_loaded(pci_device(device));
    update_irq(rtl8139(device));
}

static const Property rtl8139_properties[] = {
    { "mac", PROPERTY_MAC, offsetof(Rtl8139, mac), "its address; unset: 52:54:00:12:34:56 and up" },
    { "netdev", PROPERTY_NETDEV, offsetof(Rtl8139, netdev), "the back end" },
    { "bootindex", PROPERTY_I32, offsetof(Rtl8139, bootindex), "place in the firmware's boot order",
      "-1" },
    { 0 },
};
static const Property rtl8139_bus_properties[] = { PCI_PROPERTIES(Rtl8139, pci), { 0 } };

static const StateField rtl8139_state[] = {
    PCI_STATE(Rtl8139, pci),
    STATE(Rtl8139, r),
    STATE_MOST(Rtl8139, rx_offset, 65535),
    STATE_MOST(Rtl8139, tx_index, RTL_DESCRIPTORS - 1),
    STATE_MOST(Rtl8139, high_index, RTL_DESCRIPTORS - 1),
    STATE_MOST(Rtl8139, rx_index, RTL_DESCRIPTORS - 1),
    STATE_MOST(Rtl8139, tx_size, RTL_TX_BUFFER),
    STATE(Rtl8139, tx_buffer),
    STATE(Rtl8139, eeprom),
    STATE_MOST(Rtl8139, eeprom_count, EEPROM_COMMAND_BITS),
    STATE(Rtl8139, eeprom_command),
    STATE(Rtl8139, eeprom_out),
    STATE_DERIVED(Rtl8139, sending),
    STATE_DERIVED(Rtl8139, receiving),
    { 0 },
};

static const DeviceType rtl8139_type = {
    .name = "rtl8139",
    .summary = "Realtek RTL8139C+ Fast Ethernet",
    .bus = "pci",
    .category = "network",
    .instance_size = sizeof(Rtl8139),
    .properties = rtl8139_properties,
    .bus_properties = rtl8139_bus_properties,
    .state = rtl8139_state,
    .realize = rtl8139_realize,
    .unrealize = rtl8139_unrealize,
    .reset = rtl8139_reset,
    .state_loaded = rtl8139_state_loaded,
};
DEVICE_TYPE(rtl8139_type);
