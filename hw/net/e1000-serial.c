/* SPDX-License-Identifier: MIT */
/* The 82540EM's EEPROM, by its Microwire pins (13.4.3, 5.3) and by EERD, and its PHY behind MDIC (13.4.7). */
#include <string.h>

#include "hw/net/e1000.h"

enum {
    EECD_SK = 1 << 0,
    EECD_CS = 1 << 1,
    EECD_DI = 1 << 2,
    EECD_DO = 1 << 3,
    EECD_WRITABLE = EECD_SK | EECD_CS | EECD_DI | 3 << 4 | 1 << 6,
    EECD_REQUEST = 1 << 6,
    EECD_GRANT = 1 << 7,
    EECD_PRESENT = 1 << 8,
    MICROWIRE_BITS = 9, /* start, two of opcode, six of address */
    MICROWIRE_READ = 6,

    EERD_START = 1 << 0,
    EERD_DONE = 1 << 4,

    EEPROM_SUM = 0xbaba,
    EEPROM_CHECKSUM = 0x3f,

    MDIC_WRITE = 1,
    MDIC_READ = 2,
    MDIC_READY = 1 << 28,
    MDIC_INTERRUPT = 1 << 29,
    MDIC_ERROR = 1 << 30,
    PHY_ADDRESS = 1,

    PHY_CONTROL = 0,
    PHY_STATUS = 1,
    PHY_ID_LOW = 3,
    PHY_PARTNER = 5,
    PHY_1000_STATUS = 10,
    PHY_SPECIFIC_STATUS = 17,
    CONTROL_RESET = 1 << 15,
    CONTROL_RESTART = 1 << 9,
    STATUS_LINK = 1 << 2,
    STATUS_NEGOTIATED = 1 << 5,
    SPECIFIC_LINK = 1 << 10,
};

/* EEPROM */

/* What the words say is in 5.6; those that are not here have no effect on what is modelled. */
void e1000_eeprom_fill(E1000 *e)
{
    const struct {
        uint8_t word;
        uint16_t value;
    } words[] = {
        { 0x08, 0x3000 }, { 0x09, 0x1000 }, { 0x0a, 0x6403 },
        { 0x0b, 0x1100 }, { 0x0c, 0x1af4 }, { 0x0d, e1000_model(e)->device_id },
        { 0x0e, 0x8086 }, { 0x0f, 0x3040 }, { 0x10, 0x0008 },
        { 0x11, 0x2000 }, { 0x12, 0x7e14 }, { 0x13, 0x0048 },
        { 0x14, 0x1000 }, { 0x15, 0x00d8 }, { 0x17, 0x2700 },
        { 0x18, 0x6cc9 }, { 0x19, 0x3150 }, { 0x1a, 0x0722 },
        { 0x1b, 0x040b }, { 0x1c, 0x0984 }, { 0x1e, 0xc000 },
        { 0x1f, 0x0706 }, { 0x21, 0x1008 }, { 0x23, 0x0f04 },
    };
    uint16_t sum = 0;

    memset(e->eeprom, 0, sizeof e->eeprom);
    for (unsigned i = 0; i < 3; i++) {
        e->eeprom[i] = load_le16(e->mac + i * 2);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        e->eeprom[words[i].word] = words[i].value;
    }
    for (unsigned i = 0; i < EEPROM_CHECKSUM; i++) {
        sum += e->eeprom[i];
    }
    e->eeprom[EEPROM_CHECKSUM] = EEPROM_SUM - sum;
}

static void clock_bit(E1000 *e, bool bit)
{
    if (e->serial_count < MICROWIRE_BITS) {
        if (e->serial_count || bit) { /* leading zeros are not the start */
            e->serial_in = e->serial_in << 1 | bit;
            e->serial_count++;
        }
        if (e->serial_count == MICROWIRE_BITS && e->serial_in >> 6 == MICROWIRE_READ) {
            /* A zero comes before the data. */
            e->serial_out = e->eeprom[e->serial_in % E1000_EEPROM_WORDS];
        }
        return;
    }
    e->serial_out = e->serial_out << 1;
}

uint64_t e1000_read_eecd(Device *device, unsigned index)
{
    const E1000 *e = e1000(device);
    uint32_t value = e->eecd | EECD_PRESENT;

    value |= e->eecd & EECD_REQUEST ? EECD_GRANT : 0;
    return value | (e->serial_count < MICROWIRE_BITS || e->serial_out >> 16 & 1 ? EECD_DO : 0);
}

void e1000_write_eecd(Device *device, unsigned index, uint64_t value)
{
    E1000 *e = e1000(device);
    uint32_t old = e->eecd;

    e->eecd = value & EECD_WRITABLE;
    if (!(e->eecd & EECD_CS) || !(old & EECD_CS)) {
        e->serial_in = e->serial_out = 0;
        e->serial_count = 0;
    }
    if (e->eecd & EECD_CS && e->eecd & EECD_SK && !(old & EECD_SK)) {
        clock_bit(e, e->eecd & EECD_DI);
    }
}

uint64_t e1000_read_eerd(Device *device, unsigned index)
{
    return e1000(device)->eerd;
}

void e1000_write_eerd(Device *device, unsigned index, uint64_t value)
{
    E1000 *e = e1000(device);
    unsigned word = value >> 8 & 0xff;

    e->eerd = value & 0xff00;
    if (value & EERD_START && word < E1000_EEPROM_WORDS) {
        e->eerd |= EERD_DONE | (uint32_t)e->eeprom[word] << 16;
    }
}

/* PHY: a Marvell 88E1011, or an older one of the family, whose negotiation is over at once */

static const uint16_t phy_defaults[E1000_PHY_REGISTERS] = {
    [0] = 0x1140,  [1] = 0x7949,  [2] = 0x0141,  [4] = 0x0de1,  [9] = 0x0e00,
    [15] = 0x3000, [16] = 0x0360, [17] = 0xa800, [20] = 0x0d60,
};
static const uint16_t phy_writable[E1000_PHY_REGISTERS] = {
    [0] = 0x7dc0,  [4] = 0xffff,  [7] = 0xffff,  [9] = 0xff00,  [16] = 0xffff,
    [18] = 0xffff, [20] = 0xffff, [24] = 0xffff, [29] = 0x001f, [30] = 0xffff,
};

void e1000_set_link(E1000 *e, bool up)
{
    bool was = e->status & E1000_STATUS_LU;

    if (up) {
        e->status |= E1000_STATUS_LU;
        e->phy[PHY_STATUS] |= STATUS_LINK | STATUS_NEGOTIATED;
        e->phy[PHY_SPECIFIC_STATUS] |= SPECIFIC_LINK;
        e->phy[PHY_PARTNER] = 0x45e1;
        e->phy[PHY_1000_STATUS] = 0x3c00;
    } else {
        e->status &= ~(uint32_t)E1000_STATUS_LU;
        e->phy[PHY_STATUS] &= ~(STATUS_LINK | STATUS_NEGOTIATED);
        e->phy[PHY_SPECIFIC_STATUS] &= ~SPECIFIC_LINK;
        e->phy[PHY_PARTNER] = e->phy[PHY_1000_STATUS] = 0;
    }
    if (was != up) {
        e1000_raise(e, E1000_LSC);
    }
}

static bool cable_up(const E1000 *e)
{
    return !e->netdev || e->netdev->link_up;
}

void e1000_phy_reset(E1000 *e)
{
    memcpy(e->phy, phy_defaults, sizeof e->phy);
    e->phy[PHY_ID_LOW] = e1000_model(e)->phy_id;
    e1000_set_link(e, cable_up(e));
}

static void write_phy(E1000 *e, unsigned at, uint16_t value)
{
    if (at == PHY_CONTROL && value & CONTROL_RESET) {
        e1000_phy_reset(e);
        return;
    }
    e->phy[at] = (e->phy[at] & ~phy_writable[at]) | (value & phy_writable[at]);
    if (at == PHY_CONTROL && value & CONTROL_RESTART) {
        e1000_set_link(e, cable_up(e));
        e1000_raise(e, E1000_LSC);
    }
}

void e1000_write_mdic(Device *device, unsigned index, uint64_t value)
{
    E1000 *e = e1000(device);
    unsigned at = value >> 16 & 31, phy = value >> 21 & 31, operation = value >> 26 & 3;

    e->mdic = (value & ~(uint64_t)MDIC_ERROR) | MDIC_READY;
    if (phy != PHY_ADDRESS || (operation != MDIC_READ && operation != MDIC_WRITE)) {
        e->mdic |= MDIC_ERROR;
    } else if (operation == MDIC_READ) {
        e->mdic = (e->mdic & ~0xffffu) | e->phy[at];
    } else {
        write_phy(e, at, value);
    }
    if (value & MDIC_INTERRUPT) {
        e1000_raise(e, E1000_MDAC);
    }
}
