/* SPDX-License-Identifier: MIT */
/* Between the files of the AMD Am79C970A PCnet-PCI II. Registers and bits have the data sheet's (19436) names. */
#ifndef HW_NET_PCNET_H
#define HW_NET_PCNET_H

#include "base/bits.h"
#include "hw/pci/pci.h"
#include "machine/clock.h"
#include "machine/netdev.h"

enum {
    PCNET_CSRS = 128,
    PCNET_BCRS = 32,
    PCNET_MAC = 6,
    PCNET_FRAME = 4096, /* what the transmitter takes of one frame; the rest is babble */

    CSR0 = 0,
    CSR0_INIT = 1 << 0,
    CSR0_STRT = 1 << 1,
    CSR0_STOP = 1 << 2,
    CSR0_TDMD = 1 << 3,
    CSR0_TXON = 1 << 4,
    CSR0_RXON = 1 << 5,
    CSR0_IENA = 1 << 6,
    CSR0_INTR = 1 << 7,
    CSR0_IDON = 1 << 8,
    CSR0_TINT = 1 << 9,
    CSR0_RINT = 1 << 10,
    CSR0_MERR = 1 << 11,
    CSR0_MISS = 1 << 12,
    CSR0_CERR = 1 << 13,
    CSR0_BABL = 1 << 14,
    CSR0_ERR = 1 << 15,

    CSR3 = 3,
    CSR3_DXSUFLO = 1 << 6,

    CSR4 = 4,
    CSR4_JAB = 1 << 1,
    CSR4_TXSTRT = 1 << 3,
    CSR4_RCVCCO = 1 << 5,
    CSR4_UINT = 1 << 6,
    CSR4_UINTCMD = 1 << 7,
    CSR4_MFCO = 1 << 9,
    CSR4_ASTRP_RCV = 1 << 10,
    CSR4_APAD_XMT = 1 << 11,
    CSR4_TXDPOLL = 1 << 12,

    CSR5 = 5,
    CSR5_SPND = 1 << 0,
    CSR5_LTINTEN = 1 << 14,
    CSR5_TOKINTD = 1 << 15,

    CSR_LADRF = 8,
    CSR_PADR = 12,
    CSR_MODE = 15,
    MODE_DRX = 1 << 0,
    MODE_DTX = 1 << 1,
    MODE_LOOP = 1 << 2,
    MODE_DXMTFCS = 1 << 3,
    MODE_DRCVPA = 1 << 13,
    MODE_DRCVBC = 1 << 14,
    MODE_PROM = 1 << 15,

    CSR_BADR = 24, /* of the receive ring, two words */
    CSR_BADX = 30,
    CSR_POLLINT = 47,
    CSR_RCVRL = 76, /* lengths of the rings, as their two's complements */
    CSR_XMTRL = 78,
    CSR_MISSED = 112,

    BCR_LED0 = 4,
    BCR_BUS = 18,
    BCR18_DWIO = 1 << 7,
    BCR_STYLE = 20,
    BCR20_SSIZE32 = 1 << 8,
};

typedef struct {
    PciDevice pci;
    MemoryRegion ports, memory;
    Netdev *netdev;
    Timer poll;
    uint8_t mac[PCNET_MAC]; /* property */
    int32_t bootindex;      /* property */
    bool attached;
    uint8_t aprom[16];
    uint16_t csr[PCNET_CSRS], bcr[PCNET_BCRS];
    uint16_t rap;
    uint16_t rx_index, tx_index; /* of the descriptors that are next */
    uint16_t tx_size;            /* of the frame that is being gathered */
    uint8_t tx_begun;            /* its first descriptor has been seen */
    uint8_t tx_buffer[PCNET_FRAME];
    uint8_t sending, receiving; /* inside of it: a frame that comes back does not send more */
} Pcnet;

/* A descriptor in any of the styles. flags: bits 31:16 of the second word as in style 2, length: BCNT as bytes. */
typedef struct {
    uint64_t address; /* of the descriptor */
    uint32_t buffer, length;
    uint32_t flags;
} PcnetDescriptor;

static inline bool pcnet_is_32(const Pcnet *p)
{
    return p->bcr[BCR_STYLE] & BCR20_SSIZE32;
}

static inline bool pcnet_is_suspended(const Pcnet *p)
{
    return p->csr[CSR5] & CSR5_SPND;
}

static inline unsigned pcnet_ring_length(const Pcnet *p, unsigned csr)
{
    return 0x10000u - p->csr[csr];
}

uint64_t pcnet_descriptor_address(const Pcnet *p, unsigned base, unsigned index);
/* The bits 31:24 that 24-bit addresses get. */
uint32_t pcnet_upper_address(const Pcnet *p);
/* DMA; a failure sets MERR. */
bool pcnet_read(Pcnet *p, uint64_t address, void *data, unsigned size);
bool pcnet_write(Pcnet *p, uint64_t address, const void *data, unsigned size);
/* Sets bits of CSR0 and the interrupt by them. */
void pcnet_raise(Pcnet *p, uint16_t bits);
void pcnet_update_irq(Pcnet *p);
/* Sends what the transmit ring has. */
void pcnet_send(Pcnet *p);
bool pcnet_can_receive(void *opaque);
void pcnet_receive(void *opaque, const uint8_t *frame, size_t size);

#endif
