/* SPDX-License-Identifier: MIT */
/*
 * NE2000: a DP8390D network interface controller (National Semiconductor, 1995) with 32 KiB of packet memory, behind 32
 * ports. Cards (ne2k_isa, ne2k_pci) embed it. Under the machine lock.
 */
#ifndef HW_NET_NE2000_H
#define HW_NET_NE2000_H

#include "machine/device.h"
#include "machine/netdev.h"

enum {
    NE2000_PORTS = 32,
    NE2000_PAR = 1, /* registers of page 1: address, current page, multicast hash */
    NE2000_CURR = 7,
    NE2000_MAR = 8,
    NE2000_PROM = 32,
    NE2000_RAM = 0x4000, /* where the packet memory begins in the card's 16-bit space */
    NE2000_RAM_BYTES = 0x8000,
};

typedef struct {
    Device *device;
    void (*set_irq)(Device *device, bool level);
    MemoryRegion region;
    bool attached;
    /* State. */
    uint8_t cr, isr, imr, rcr, tcr, dcr, tsr, rsr, bnry, tpsr, pstart, pstop;
    uint16_t tbcr, rbcr, rsar;
    uint8_t page1[16];
    uint8_t prom[NE2000_PROM];
    uint8_t ram[NE2000_RAM_BYTES];
    /* Properties. */
    Netdev *netdev;
    uint8_t mac[6];
    int32_t bootindex;
} Ne2000;

#define NE2000_PROPERTIES(Instance, member)                                                        \
    { "mac", PROPERTY_MAC, offsetof(Instance, member.mac),                                         \
      "its address; unset: 52:54:00:12:34:56 and up" },                                            \
    { "netdev", PROPERTY_NETDEV, offsetof(Instance, member.netdev), "the back end" },              \
    { "bootindex", PROPERTY_I32, offsetof(Instance, member.bootindex),                             \
      "place in the firmware's boot order", "-1" }

#define NE2000_STATE(Instance, member)                                                             \
    STATE(Instance, member.cr), STATE(Instance, member.isr), STATE(Instance, member.imr),          \
        STATE(Instance, member.rcr), STATE(Instance, member.tcr), STATE(Instance, member.dcr),     \
        STATE(Instance, member.tsr), STATE(Instance, member.rsr), STATE(Instance, member.bnry),    \
        STATE(Instance, member.tpsr), STATE(Instance, member.pstart),                              \
        STATE(Instance, member.pstop), STATE(Instance, member.tbcr), STATE(Instance, member.rbcr), \
        STATE(Instance, member.rsar), STATE(Instance, member.page1), STATE(Instance, member.prom), \
        STATE(Instance, member.ram)

/* For realize, unrealize, reset and state_loaded of a card. set_irq tells it the level of the interrupt. */
bool ne2000_realize(Ne2000 *n, Device *device, void (*set_irq)(Device *device, bool level),
                    GError **error);
void ne2000_unrealize(Ne2000 *n);
void ne2000_reset(Ne2000 *n);
void ne2000_state_loaded(Ne2000 *n);

#endif
