/* SPDX-License-Identifier: MIT */
/*
 * Intel 82540EM (PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual, 317453): state shared by its
 * registers (e1000.c) and the pins of its EEPROM (e1000-microwire.c).
 */
#ifndef HW_NET_E1000_H
#define HW_NET_E1000_H

#include "hw/net/e1000-core.h"
#include "machine/clock.h"

typedef struct {
    E1000Core core; /* first */
    Timer throttle;
    /* State. */
    uint32_t eecd, ctrl_ext, icr, itr, ims, tipg, pba;
    uint32_t flow[4], txcw, rxcw, ledctl, rdtr, radv, rsrpd, rxdctl, tidv, txdctl, tadv, tspmt;
    uint32_t ait, wuc, wufc, manc, semaphores[2], pba_fifo[5];
    E1000Ring rx, tx;
    E1000Packet packet;
    /* Microwire: bits that came in since chip select, how many, and what goes out. */
    uint32_t serial_in, serial_out;
    uint8_t serial_count;
    int64_t quiet_until_ns; /* ITR: no interrupt before */
    bool asserted;
} E1000;

static inline E1000 *e1000(Device *device)
{
    return container_of(e1000_core(device), E1000, core);
}

uint64_t e1000_read_eecd(Device *device, unsigned index);
void e1000_write_eecd(Device *device, unsigned index, uint64_t value);

#endif
