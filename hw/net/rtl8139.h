/* SPDX-License-Identifier: MIT */
/*
 * Realtek RTL8139C+ (data sheet revision 1.6): registers and life (rtl8139.c), receiving and sending by either of its
 * interfaces (rtl8139-rx.c, rtl8139-tx.c). Under the machine lock.
 */
#ifndef HW_NET_RTL8139_H
#define HW_NET_RTL8139_H

#include "hw/pci/pci.h"
#include "machine/netdev.h"

enum {
    RTL_REGISTERS = 256,
    /* Offsets (section 6). */
    RTL_IDR = 0x00,
    RTL_MAR = 0x08,
    RTL_TSD = 0x10,    /* four; C+: DTCCR */
    RTL_TSAD = 0x20,   /* four; C+: TNPDS and THPDS */
    RTL_RBSTART = 0x30,
    RTL_CR = 0x37,
    RTL_CAPR = 0x38,
    RTL_CBR = 0x3a,
    RTL_IMR = 0x3c,
    RTL_ISR = 0x3e,
    RTL_TCR = 0x40,
    RTL_RCR = 0x44,
    RTL_MPC = 0x4c,
    RTL_CPCR = 0xe0,
    RTL_RDSAR = 0xe4,

    RTL_CR_RX = 1 << 3,
    RTL_CR_TX = 1 << 2,
    RTL_CPCR_RX = 1 << 1,
    RTL_CPCR_TX = 1 << 0,

    RTL_ISR_ROK = 1 << 0,
    RTL_ISR_TOK = 1 << 2,
    RTL_ISR_RXOVW = 1 << 4,
    RTL_ISR_LINK = 1 << 5,
    RTL_ISR_TDU = 1 << 7, /* no descriptor to send */

    RTL_DESCRIPTOR = 16,
    RTL_DESCRIPTORS = 64, /* most in a ring */
    RTL_EEPROM_WORDS = 64,
    RTL_MAC = 6,
    RTL_FCS = 4,
    RTL_TX_BUFFER = 68 << 10, /* a packet to be cut into segments, with its headers */
};
#define RTL_OWN  (UINT32_C(1) << 31) /* of descriptors */
#define RTL_EOR  (UINT32_C(1) << 30)
#define RTL_FS   (UINT32_C(1) << 29)
#define RTL_LS   (UINT32_C(1) << 28)

typedef struct {
    PciDevice pci; /* first */
    MemoryRegion ports, memory;
    bool attached;
    bool sending, receiving; /* DMA that reaches the registers starts nothing again */
    /* State. */
    uint8_t r[RTL_REGISTERS]; /* the registers as they read */
    uint16_t rx_offset;       /* in the ring buffer, of the next packet */
    uint8_t tx_index, high_index, rx_index; /* in the rings of descriptors */
    uint32_t tx_size;
    uint8_t tx_buffer[RTL_TX_BUFFER];
    uint16_t eeprom[RTL_EEPROM_WORDS];
    uint8_t eeprom_count;  /* bits of the command that have come */
    uint16_t eeprom_command, eeprom_out;
    /* Properties. */
    Netdev *netdev;
    uint8_t mac[RTL_MAC];
    int32_t bootindex;
} Rtl8139;

void rtl_raise(Rtl8139 *rtl, uint16_t causes);
/* Guest memory; false where it does not answer. */
bool rtl_read(const Rtl8139 *rtl, uint64_t address, void *data, unsigned size);
bool rtl_write(const Rtl8139 *rtl, uint64_t address, const void *data, unsigned size);
static inline bool rtl_is_cplus(const Rtl8139 *rtl)
{
    return rtl->r[RTL_CPCR] & (RTL_CPCR_RX | RTL_CPCR_TX);
}

/* rtl8139-rx.c */
bool rtl_can_receive(void *opaque);
void rtl_receive(void *opaque, const uint8_t *frame, size_t size);
/* Bytes of the ring buffer, and where the driver reads next. */
uint32_t rtl_ring_bytes(const Rtl8139 *rtl);
uint32_t rtl_read_offset(const Rtl8139 *rtl);

/* rtl8139-tx.c */
void rtl_send_descriptor(Rtl8139 *rtl, unsigned index);
void rtl_send_ring(Rtl8139 *rtl, bool high);

#endif
