/* SPDX-License-Identifier: MIT */
/*
 * Intel 82574L (82574 GbE Controller Family datasheet; section numbers of e1000e's files are its): state shared by its registers
 * (e1000e.c), interrupts (e1000e-interrupts.c) and receiver (e1000e-rx.c).
 */
#ifndef HW_NET_E1000E_H
#define HW_NET_E1000E_H

#include "hw/net/e1000-core.h"
#include "machine/clock.h"

enum {
    E1000E_QUEUES = 2,
    E1000E_VECTORS = 5,
    E1000E_PHY_PAGES = 7, /* behind the first */
    E1000E_REDIRECTION = 32,
    E1000E_HASH_KEY = 10,
    E1000E_IAC = 0, /* statistics from 0x4100 on: interrupts */
    E1000E_RXOC = 9,
    E1000E_STATISTICS = 10,

    /* Causes that MSI-X tells apart (7.4.2). */
    E1000E_RXQ0 = 1 << 20,
    E1000E_TXQ0 = 1 << 22,
    E1000E_OTHER = 1 << 24,
};

typedef struct {
    E1000Core core; /* first */
    MemoryRegion flash, msix;
    Timer throttle;
    /* State. */
    uint32_t icr, ims, iam, eiac, ivar, itr, eitr[E1000E_VECTORS], ctrl_ext;
    uint32_t told; /* causes that a message was sent for, and that are there still */
    bool asserted; /* the pin */
    int64_t quiet_until_ns[E1000E_VECTORS + 1]; /* by vector; the last: of the pin, and of MSI */
    E1000Ring rx[E1000E_QUEUES], tx[E1000E_QUEUES];
    E1000Packet packets[E1000E_QUEUES];
    uint32_t rxdctl[E1000E_QUEUES], txdctl[E1000E_QUEUES], tarc[E1000E_QUEUES];
    uint32_t psrctl, rfctl, mrqc, redirection[E1000E_REDIRECTION], hash_key[E1000E_HASH_KEY];
    uint32_t more_statistics[E1000E_STATISTICS];
    uint32_t eecd, eewr, swsm, fwsm, timinca;
    uint64_t clock_base; /* SYSTIM at clock_base_ns */
    int64_t clock_base_ns;
    uint32_t clock_high; /* SYSTIMH as it was when SYSTIML was read */
    uint32_t plain[60];  /* registers that only keep what was written, see e1000e.c */
    uint32_t wakeup_filters[0x400];
    uint16_t phy_page, phy_pages[E1000E_PHY_PAGES][E1000_PHY_REGISTERS];
    /* Properties. */
    uint16_t subsystem_vendor, subsystem;
    bool init_vet;
    uint8_t disable_vnet_hdr;
    bool migrate_timadj;
    /* While messages are sent: those that reach the registers do not send more. */
    bool telling, tell_again;
} E1000E;

static inline E1000E *e1000e(Device *device)
{
    return container_of(e1000_core(device), E1000E, core);
}

/* --- e1000e-interrupts.c --- */
void e1000e_raise(E1000Core *core, uint32_t causes);
/* Masks, causes, moderation or the way of interrupts may be others now. */
void e1000e_update_interrupts(E1000E *e);
/* `cause`: of its first queue. */
uint32_t e1000e_queue_cause(const E1000E *e, uint32_t cause, unsigned queue);
uint64_t e1000e_read_icr(Device *device, unsigned index);
void e1000e_write_icr(Device *device, unsigned index, uint64_t value);

/* --- e1000e-rx.c --- */
bool e1000e_can_receive(void *opaque);
void e1000e_receive(void *opaque, const uint8_t *frame, size_t size);
/* Toeplitz hash (7.1.11.1) of `size` bytes of input, at most 36. */
uint32_t e1000e_hash(const uint32_t key[E1000E_HASH_KEY], const uint8_t *input, unsigned size);

#endif
