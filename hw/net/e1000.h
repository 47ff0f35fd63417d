/* SPDX-License-Identifier: MIT */
/*
 * Intel 82540EM (PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual, 317453): state shared by its
 * registers (e1000.c), EEPROM and PHY (e1000-serial.c), transmitter (e1000-tx.c) and receiver (e1000-rx.c).
 */
#ifndef HW_NET_E1000_H
#define HW_NET_E1000_H

#include "hw/pci/pci.h"
#include "machine/clock.h"
#include "machine/netdev.h"

enum {
    E1000_MAC = 6,
    E1000_EEPROM_WORDS = 64,
    E1000_PHY_REGISTERS = 32,
    E1000_DESCRIPTOR = 16,
    E1000_ADDRESSES = 16,
    E1000_TABLE = 128,
    E1000_STATISTICS = 64,
    E1000_TX_BUFFER = 65536,
    E1000_TX_HEADER = 256,
    E1000_MAX_FRAME = 16384,

    /* Causes of interrupts (13.4.17). */
    E1000_TXDW = 1 << 0,
    E1000_TXQE = 1 << 1,
    E1000_LSC = 1 << 2,
    E1000_RXDMT0 = 1 << 4,
    E1000_RXO = 1 << 6,
    E1000_RXT0 = 1 << 7,
    E1000_MDAC = 1 << 9,
    E1000_TXD_LOW = 1 << 15,

    E1000_CTRL_VME = 1 << 30,
    E1000_STATUS_LU = 1 << 1,
    E1000_RCTL_EN = 1 << 1,
};

/* Indices of statistics: (offset - 0x4000) / 4. */
enum {
    E1000_MPC = 4,
    E1000_RLEC = 16,
    E1000_GPRC = 29,
    E1000_BPRC = 30,
    E1000_MPRC = 31,
    E1000_GPTC = 32,
    E1000_GORCL = 34,
    E1000_GOTCL = 36,
    E1000_RNBC = 40,
    E1000_TORL = 48,
    E1000_TOTL = 50,
    E1000_TPR = 52,
    E1000_TPT = 53,
    E1000_MPTC = 60,
    E1000_BPTC = 61,
    E1000_TSCTC = 62,
};

typedef struct {
    uint32_t base_low, base_high, length, head, tail;
} E1000Ring;

/* What a context descriptor says (3.3.6). */
typedef struct {
    uint8_t ip_start, ip_offset;
    uint16_t ip_end;
    uint8_t tcp_start, tcp_offset;
    uint16_t tcp_end;
    uint32_t payload;
    uint8_t header;
    uint16_t segment;
    bool is_ipv4, is_tcp;
} E1000Context;

/* What the members of the family tell apart. */
typedef struct {
    uint16_t device_id;
    uint16_t phy_id; /* the PHY's second identity register: which Marvell */
} E1000Model;

typedef struct {
    PciDevice pci; /* first */
    MemoryRegion registers, ports;
    Timer throttle;
    /* State. */
    uint32_t ctrl, status, eecd, eerd, ctrl_ext, mdic, vet, icr, itr, ims, rctl, tctl, tipg, pba;
    uint32_t flow[4], txcw, rxcw, ledctl, rdtr, radv, rsrpd, rxdctl, tidv, txdctl, tadv, tspmt;
    uint32_t ait, rxcsum, wuc, wufc, manc, semaphores[2], pba_fifo[5];
    E1000Ring rx, tx;
    uint32_t multicast[E1000_TABLE], vlans[E1000_TABLE];
    uint32_t addresses[E1000_ADDRESSES * 2];
    uint32_t statistics[E1000_STATISTICS];
    uint32_t io_address;
    uint16_t phy[E1000_PHY_REGISTERS];
    uint16_t eeprom[E1000_EEPROM_WORDS];
    /* Microwire: bits that came in since chip select, how many, and what goes out. */
    uint32_t serial_in, serial_out;
    uint8_t serial_count;
    int64_t quiet_until_ns; /* ITR: no interrupt before */
    bool asserted;
    /* The packet that descriptors are building. */
    E1000Context checksums, segmentation;
    E1000Context active; /* the packet's own, which a context descriptor in its midst does not change */
    bool in_packet, segmenting;
    uint8_t insert; /* checksums to put in: bit 0 IP, bit 1 TCP or UDP */
    bool tagged;
    uint16_t tag;
    uint32_t tx_size, tx_header_size, tx_segments, tx_left;
    uint8_t tx_header[E1000_TX_HEADER];
    uint8_t tx_buffer[E1000_TX_BUFFER];
    /* Properties. */
    Netdev *netdev;
    uint8_t mac[E1000_MAC];
    int32_t bootindex;
    bool attached;
    /* While descriptors are done: DMA that reaches the registers does not start again. */
    bool transmitting, receiving;
} E1000;

static inline E1000 *e1000(Device *device)
{
    return container_of(pci_device(device), E1000, pci);
}

void e1000_raise(E1000 *e, uint32_t causes);
void e1000_count(E1000 *e, unsigned statistic, uint64_t amount);
void e1000_count_frame(E1000 *e, bool received, const uint8_t *frame, size_t size);

/* Serial parts. */
const E1000Model *e1000_model(const E1000 *e);
void e1000_eeprom_fill(E1000 *e);
uint64_t e1000_read_eecd(Device *device, unsigned index);
void e1000_write_eecd(Device *device, unsigned index, uint64_t value);
uint64_t e1000_read_eerd(Device *device, unsigned index);
void e1000_write_eerd(Device *device, unsigned index, uint64_t value);
void e1000_write_mdic(Device *device, unsigned index, uint64_t value);
void e1000_phy_reset(E1000 *e);
void e1000_set_link(E1000 *e, bool up);

uint64_t e1000_ring_base(const E1000Ring *ring);
uint32_t e1000_ring_count(const E1000Ring *ring);
/* Whether it holds descriptors that the hardware may use. */
bool e1000_ring_ready(const E1000 *e, const E1000Ring *ring);
void e1000_transmit(E1000 *e);

bool e1000_can_receive(void *opaque);
void e1000_receive(void *opaque, const uint8_t *frame, size_t size);

/* One's complement sum, not inverted, of `size` bytes. */
uint32_t e1000_sum(const uint8_t *data, size_t size, uint32_t sum);
uint16_t e1000_fold(uint32_t sum);

#endif
