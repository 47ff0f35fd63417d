/* SPDX-License-Identifier: MIT */
/* The EEPROM of the e1000 family, as EERD reads it (13.4.4), and the PHY behind MDIC (13.4.7). */
#include <string.h>

#include "hw/net/e1000-core.h"

enum {
    EERD_START = 1 << 0,
    EERD_DONE = 1 << 4,
    EERD_MODERN_DONE = 1 << 1,

    EEPROM_SUM = 0xbaba,
    EEPROM_CHECKSUM = 0x3f,

    MDIC_WRITE = 1,
    MDIC_READ = 2,
    MDIC_INTERRUPT = 1 << 29,
    MDIC_ERROR = 1 << 30,
    PHY_ADDRESS = 1,

    NEGOTIATION_NS = 500 * 1000 * 1000, /* gigabit, by two sides that are ready */

    PHY_CONTROL = 0,
    PHY_STATUS = 1,
    PHY_ID_LOW = 3,
    PHY_PARTNER = 5,
    PHY_1000_STATUS = 10,
    PHY_SPECIFIC_STATUS = 17,
    CONTROL_RESET = 1 << 15,
    CONTROL_RESTART = 1 << 9,
    CONTROL_NEGOTIATE = 1 << 12,
    STATUS_LINK = 1 << 2,
    STATUS_NEGOTIATED = 1 << 5,
    SPECIFIC_LINK = 1 << 10,
};

/* EEPROM */

void e1000_eeprom_fill(E1000Core *core, const E1000EepromWord *words, unsigned count)
{
    uint16_t sum = 0;

    memset(core->eeprom, 0, sizeof core->eeprom);
    for (unsigned i = 0; i < 3; i++) {
        core->eeprom[i] = load_le16(core->mac + i * 2);
    }
    for (unsigned i = 0; i < count; i++) {
        core->eeprom[words[i].word] = words[i].value;
    }
    for (unsigned i = 0; i < EEPROM_CHECKSUM; i++) {
        sum += core->eeprom[i];
    }
    core->eeprom[EEPROM_CHECKSUM] = EEPROM_SUM - sum;
}

void e1000_load_address(E1000Core *core)
{
    core->addresses[0] = core->eeprom[0] | (uint32_t)core->eeprom[1] << 16;
    core->addresses[1] = core->eeprom[2] | 1u << 31;
}

/* From the 82571 on, the address begins at bit 2, and bit 1 says that it is done. */
void e1000_write_eerd(Device *device, unsigned index, uint64_t value)
{
    E1000Core *core = e1000_core(device);
    bool modern = e1000_model(core)->modern;
    unsigned word = modern ? value >> 2 & 0x3fff : value >> 8 & 0xff;

    core->eerd = value & (modern ? 0xfffcu : 0xff00u);
    if (value & EERD_START) {
        if (word < E1000_EEPROM_WORDS) {
            core->eerd |= (uint32_t)core->eeprom[word] << 16;
        } else if (!modern) {
            return; /* the older ones never end */
        }
        core->eerd |= modern ? EERD_MODERN_DONE : EERD_DONE;
    }
}

/*
 * PHY: a Marvell 88E1011, or an older one of the family. Negotiation takes its time, as drivers expect that restart it and then
 * set the MAC up: one that sees a link before that takes it for running.
 */

static const uint16_t phy_defaults[E1000_PHY_REGISTERS] = {
    [0] = 0x1140,  [1] = 0x7949,  [2] = 0x0141,  [4] = 0x0de1,  [9] = 0x0e00,
    [15] = 0x3000, [16] = 0x0360, [17] = 0xa800, [20] = 0x0d60,
};
static const uint16_t phy_writable[E1000_PHY_REGISTERS] = {
    [0] = 0x7dc0,  [4] = 0xffff,  [7] = 0xffff,  [9] = 0xff00,  [16] = 0xffff,
    [18] = 0xffff, [20] = 0xffff, [24] = 0xffff, [29] = 0x001f, [30] = 0xffff,
};

static void set_link(E1000Core *core, bool up)
{
    bool was = core->status & E1000_STATUS_LU;

    if (up) {
        core->status |= E1000_STATUS_LU;
        core->phy[PHY_STATUS] |= STATUS_LINK | STATUS_NEGOTIATED;
        core->phy[PHY_SPECIFIC_STATUS] |= SPECIFIC_LINK;
        core->phy[PHY_PARTNER] = 0x45e1;
        core->phy[PHY_1000_STATUS] = 0x3c00;
    } else {
        core->status &= ~(uint32_t)E1000_STATUS_LU;
        core->phy[PHY_STATUS] &= ~(STATUS_LINK | STATUS_NEGOTIATED);
        core->phy[PHY_SPECIFIC_STATUS] &= ~SPECIFIC_LINK;
        core->phy[PHY_PARTNER] = core->phy[PHY_1000_STATUS] = 0;
    }
    if (was != up) {
        e1000_model(core)->raise(core, E1000_LSC);
    }
}

static bool cable_up(const E1000Core *core)
{
    return !core->netdev || core->netdev->link_up;
}

static void set_defaults(E1000Core *core)
{
    memcpy(core->phy, phy_defaults, sizeof core->phy);
    core->phy[PHY_ID_LOW] = e1000_model(core)->phy_id;
}

void e1000_phy_reset(E1000Core *core)
{
    set_defaults(core);
    timer_cancel(&core->negotiation);
    set_link(core, cable_up(core));
}

static void negotiation_over(void *opaque)
{
    set_link(opaque, true);
}

void e1000_phy_init(E1000Core *core)
{
    timer_init(&core->negotiation, core->pci.device.machine, negotiation_over, core);
}

void e1000_phy_unrealize(E1000Core *core)
{
    timer_cancel(&core->negotiation);
}

static void negotiate(E1000Core *core)
{
    set_link(core, false);
    if (cable_up(core)) {
        timer_arm(&core->negotiation, clock_now_ns(core->pci.device.machine) + NEGOTIATION_NS);
    }
}

void e1000_link_changed(void *opaque, bool up)
{
    E1000Core *core = opaque;

    if (up) {
        negotiate(core);
    } else {
        timer_cancel(&core->negotiation);
        set_link(core, false);
    }
}

void e1000_phy_restart(E1000Core *core)
{
    set_defaults(core);
    negotiate(core);
}

static void write_phy(E1000Core *core, unsigned at, uint16_t value)
{
    if (at == PHY_CONTROL && value & CONTROL_RESET) {
        e1000_phy_restart(core);
        return;
    }
    core->phy[at] = (core->phy[at] & ~phy_writable[at]) | (value & phy_writable[at]);
    if (at == PHY_CONTROL && value & CONTROL_RESTART && value & CONTROL_NEGOTIATE) {
        negotiate(core);
    }
}

void e1000_write_mdic(Device *device, unsigned index, uint64_t value)
{
    E1000Core *core = e1000_core(device);
    unsigned at = value >> 16 & 31, phy = value >> 21 & 31, operation = value >> 26 & 3;

    core->mdic = (value & ~(uint64_t)MDIC_ERROR) | E1000_MDIC_READY;
    if (phy != PHY_ADDRESS || (operation != MDIC_READ && operation != MDIC_WRITE)) {
        core->mdic |= MDIC_ERROR;
    } else if (operation == MDIC_READ) {
        core->mdic = (core->mdic & ~0xffffu) | core->phy[at];
    } else {
        write_phy(core, at, value);
    }
    if (value & MDIC_INTERRUPT) {
        e1000_model(core)->raise(core, E1000_MDAC);
    }
}
