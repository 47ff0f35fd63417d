/* SPDX-License-Identifier: MIT */
/*
 * The DP8390D of an NE2000. Register names are the data sheet's; sections refer to it.
 *
 * Not modelled: loopback modes (what is sent in one vanishes), collisions, and the tally counters, which read as 0.
 */
#include "hw/net/ne2000.h"

#include <string.h>

#include "base/error.h"
#include "machine/machine.h"

enum {
    CR_STOP = 1 << 0,
    CR_TRANSMIT = 1 << 2,
    CR_REMOTE = 7 << 3,
    CR_REMOTE_ABORT = 4 << 3,
    CR_PAGE_SHIFT = 6,

    ISR_RECEIVED = 1 << 0,
    ISR_SENT = 1 << 1,
    ISR_OVERWRITE = 1 << 4,
    ISR_REMOTE_DONE = 1 << 6,
    ISR_RESET = 1 << 7,

    RCR_BROADCAST = 1 << 2,
    RCR_MULTICAST = 1 << 3,
    RCR_PROMISCUOUS = 1 << 4,
    RCR_MONITOR = 1 << 5,
    RSR_RECEIVED = 1 << 0,
    RSR_NOT_MINE = 1 << 5, /* by a group address */
    TCR_LOOPBACK = 3 << 1,
    TSR_SENT = 1 << 0,
    DCR_WORDS = 1 << 0,

    PORT_DATA = 0x10,
    PORT_RESET = 0x18,
    PROM_MARK = 0x57,
    ID_0 = 'P', /* of a Realtek clone, in page 0 */
    ID_1 = 'C',

    MAC = 6,
    MIN_FRAME = 60,
    MAX_FRAME = 1514,
    HEADER = 4, /* of a packet in the ring: status, next page, size */
    FCS = 4,    /* behind it, which takes room and is in no back end's frames */
    PAGE = 256,
};

static void update_irq(Ne2000 *n)
{
    n->set_irq(n->device, n->isr & n->imr & 0x7f);
}

static void note(Ne2000 *n, uint8_t causes)
{
    n->isr |= causes;
    update_irq(n);
}

/* The card's memory */

static uint8_t load_byte(const Ne2000 *n, uint16_t address)
{
    if (address < NE2000_PROM) {
        return n->prom[address];
    }
    return (uint16_t)(address - NE2000_RAM) < NE2000_RAM_BYTES ? n->ram[address - NE2000_RAM]
                                                               : 0xff;
}

static void store_byte(Ne2000 *n, uint16_t address, uint8_t value)
{
    if ((uint16_t)(address - NE2000_RAM) < NE2000_RAM_BYTES) {
        n->ram[address - NE2000_RAM] = value;
    }
}

static uint16_t next_in_ring(const Ne2000 *n, uint16_t address)
{
    address++;
    return address == n->pstop * PAGE ? n->pstart * PAGE : address;
}

/* Remote DMA (section 12): the data port's address goes on, and wraps at the ring's end. */

static void remote_next(Ne2000 *n)
{
    n->rsar = next_in_ring(n, n->rsar);
    if (n->rbcr && --n->rbcr == 0) {
        note(n, ISR_REMOTE_DONE);
    }
}

/* The port moves what the data configuration says, a byte or a word, however much of it an access takes. */
static unsigned remote_unit(const Ne2000 *n)
{
    return n->dcr & DCR_WORDS ? 2 : 1;
}

static uint64_t remote_read(Ne2000 *n, unsigned size)
{
    unsigned bytes = MAX(size, remote_unit(n));
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)load_byte(n, n->rsar) << 8 * i;
        remote_next(n);
    }
    return value & bits_mask(8 * size);
}

static void remote_write(Ne2000 *n, uint64_t value, unsigned size)
{
    unsigned bytes = MAX(size, remote_unit(n));

    for (unsigned i = 0; i < bytes && n->rbcr; i++, value >>= 8) {
        store_byte(n, n->rsar, value);
        remote_next(n);
    }
}

/* Receiving */

static unsigned room(const Ne2000 *n)
{
    unsigned start = n->pstart * PAGE, stop = n->pstop * PAGE;
    unsigned at = n->page1[NE2000_CURR] * PAGE, boundary = n->bnry * PAGE;

    if (stop <= start || at < start || at >= stop) {
        return 0;
    }
    return at < boundary ? boundary - at : stop - start - (at - boundary);
}

/*
 * A frame that finds no room waits, and the driver is told of an overflow: it may have left the ring with frames in it,
 * because it takes so many at a time, and would hear of nothing more.
 */
static bool can_receive(void *opaque)
{
    Ne2000 *n = opaque;
    bool can = n->cr & CR_STOP || room(n) >= MAX_FRAME + HEADER + FCS + PAGE;

    if (!can) {
        note(n, ISR_OVERWRITE);
    }
    return can;
}

/* The upper six bits of a CRC over the address (section 10.0, multicast address registers). */
static unsigned multicast_hash(const uint8_t *address)
{
    uint32_t crc = UINT32_MAX;

    for (unsigned i = 0; i < MAC * 8; i++) {
        uint32_t carry = crc >> 31 ^ (address[i / 8] >> (i % 8) & 1);

        crc = crc << 1 ^ (carry ? 0x04c11db7 : 0);
    }
    return crc >> 26;
}

static bool accepts(const Ne2000 *n, const uint8_t *frame, uint8_t *status)
{
    static const uint8_t broadcast[MAC] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    unsigned hash;

    *status = RSR_RECEIVED | (frame[0] & 1 ? RSR_NOT_MINE : 0);
    if (n->rcr & RCR_PROMISCUOUS) {
        return true;
    }
    if (memcmp(frame, broadcast, MAC) == 0) {
        return n->rcr & RCR_BROADCAST;
    }
    if (frame[0] & 1) {
        hash = multicast_hash(frame);
        return n->rcr & RCR_MULTICAST && n->page1[NE2000_MAR + hash / 8] >> (hash % 8) & 1;
    }
    return memcmp(frame, n->page1 + NE2000_PAR, MAC) == 0;
}

static void receive(void *opaque, const uint8_t *frame, size_t size)
{
    Ne2000 *n = opaque;
    uint8_t header[HEADER];
    unsigned total, start = n->page1[NE2000_CURR] * PAGE, next;
    uint16_t at = start;

    if (n->cr & CR_STOP || n->rcr & RCR_MONITOR || size < MAC || size > MAX_FRAME ||
        !accepts(n, frame, &n->rsr)) {
        return;
    }
    total = MAX(size, MIN_FRAME) + HEADER;
    if (room(n) < total + FCS + PAGE) {
        note(n, ISR_OVERWRITE);
        return;
    }
    next = start + align_up(total + FCS, PAGE);
    next = next >= n->pstop * PAGE ? next - (n->pstop - n->pstart) * PAGE : next;
    header[0] = n->rsr;
    header[1] = next / PAGE;
    store_le16(header + 2, total);
    for (unsigned i = 0; i < total; i++) {
        size_t from = i - HEADER;

        store_byte(n, at, i < HEADER ? header[i] : from < size ? frame[from] : 0);
        at = next_in_ring(n, at);
    }
    n->page1[NE2000_CURR] = next / PAGE;
    note(n, ISR_RECEIVED);
}

static const NetClient client = { can_receive, receive, NULL };

/* Sending */

static void transmit(Ne2000 *n)
{
    uint8_t frame[MAX_FRAME];
    uint16_t at = n->tpsr * PAGE, size = MIN(n->tbcr, MAX_FRAME);
    struct iovec iov = { frame, size };

    for (unsigned i = 0; i < size; i++) {
        frame[i] = load_byte(n, at + i);
    }
    if (!(n->tcr & TCR_LOOPBACK)) {
        netdev_transmit(n->netdev, &iov, 1);
    }
    n->tsr = TSR_SENT;
    note(n, ISR_SENT);
}

/* Registers (section 10.0) */

static void write_cr(Ne2000 *n, uint8_t value)
{
    n->cr = value & ~CR_TRANSMIT;
    if (value & CR_STOP) {
        n->isr |= ISR_RESET;
        return;
    }
    n->isr &= ~ISR_RESET;
    /* With no bytes to move, remote DMA is done at once. */
    if ((value & CR_REMOTE) && !(value & CR_REMOTE_ABORT) && n->rbcr == 0) {
        note(n, ISR_REMOTE_DONE);
    }
    if (value & CR_TRANSMIT) {
        transmit(n);
    }
    if (n->netdev) {
        netdev_flush(n->netdev);
    }
}

static void write_page0(Ne2000 *n, unsigned offset, uint8_t value)
{
    uint8_t *const bytes[16] = { [1] = &n->pstart, [2] = &n->pstop, [4] = &n->tpsr,
                                 [12] = &n->rcr,   [13] = &n->tcr,  [14] = &n->dcr };

    switch (offset) {
    case 3:
        n->bnry = value;
        if (n->netdev) {
            netdev_flush(n->netdev);
        }
        break;
    case 5:
    case 6:
        n->tbcr = bits_deposit(n->tbcr, (offset - 5) * 8, 8, value);
        break;
    case 7:
        n->isr &= ~(value & 0x7f);
        update_irq(n);
        break;
    case 8:
    case 9:
        n->rsar = bits_deposit(n->rsar, (offset - 8) * 8, 8, value);
        break;
    case 10:
    case 11:
        n->rbcr = bits_deposit(n->rbcr, (offset - 10) * 8, 8, value);
        break;
    case 15:
        n->imr = value;
        update_irq(n);
        break;
    default:
        *bytes[offset] = value;
    }
}

static void write_register(Ne2000 *n, unsigned offset, uint8_t value)
{
    unsigned page = n->cr >> CR_PAGE_SHIFT;

    if (offset == 0) {
        write_cr(n, value);
    } else if (page == 0) {
        write_page0(n, offset, value);
    } else if (page == 1) {
        n->page1[offset] = value;
    }
}

static uint8_t read_register(const Ne2000 *n, unsigned offset)
{
    const uint8_t page0[16] = {
        0, 0, 0, n->bnry, n->tsr, 0, 0, n->isr, n->rsar, n->rsar >> 8, ID_0, ID_1, n->rsr, 0, 0, 0
    };
    const uint8_t page2[16] = { 0, n->pstart, n->pstop, 0, n->tpsr, 0,      0,      0,
                                0, 0,         0,        0, n->rcr,  n->tcr, n->dcr, n->imr };

    if (offset == 0) {
        return n->cr;
    }
    switch (n->cr >> CR_PAGE_SHIFT) {
    case 0:
        return page0[offset];
    case 1:
        return n->page1[offset];
    case 2:
        return page2[offset];
    default:
        return 0;
    }
}

static MemoryResult read_ports(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                               MemoryAttributes attributes)
{
    Ne2000 *n = opaque;

    *value = 0;
    if (offset >= PORT_RESET) {
        ne2000_reset(n);
    } else if (offset >= PORT_DATA) {
        *value = remote_read(n, size);
    } else {
        for (unsigned i = 0; i < size; i++) {
            *value |= (uint64_t)read_register(n, ((unsigned)offset + i) & 15) << 8 * i;
        }
    }
    return MEMORY_OK;
}

static MemoryResult write_ports(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                MemoryAttributes attributes)
{
    Ne2000 *n = opaque;

    if (offset >= PORT_DATA && offset < PORT_RESET) {
        remote_write(n, value, size);
    }
    for (unsigned i = 0; i < size && offset < PORT_DATA; i++, value >>= 8) {
        write_register(n, ((unsigned)offset + i) & 15, value);
    }
    return MEMORY_OK;
}

static const MemoryOps port_ops = { .read = read_ports, .write = write_ports, .size_max = 4 };

/* Life */

bool ne2000_realize(Ne2000 *n, Device *device, void (*set_irq)(Device *device, bool level),
                    GError **error)
{
    if (n->mac[0] & 1) {
        return error_fail(error, KASO_ERROR_INVALID, "%s: mac= is a multicast address",
                          device->type->name);
    }
    n->device = device;
    n->set_irq = set_irq;
    netdev_choose_mac(device, n->mac);
    memory_region_init_io(&n->region, device->machine, "ne2000", NE2000_PORTS, &port_ops, n);
    if (n->netdev && !netdev_attach(n->netdev, &client, n, error)) {
        return false;
    }
    n->attached = n->netdev != NULL;
    return true;
}

void ne2000_unrealize(Ne2000 *n)
{
    if (n->attached) {
        netdev_detach(n->netdev);
        n->attached = false;
    }
}

/* What a reset leaves undefined is cleared. The address is in the PROM, each byte twice, with a mark of 16-bit cards. */
void ne2000_reset(Ne2000 *n)
{
    n->cr = CR_STOP | CR_REMOTE_ABORT;
    n->isr = ISR_RESET;
    n->imr = n->rcr = n->tcr = n->dcr = n->tsr = n->rsr = 0;
    n->bnry = n->tpsr = n->pstart = n->pstop = 0;
    n->tbcr = n->rbcr = n->rsar = 0;
    memset(n->page1, 0, sizeof n->page1);
    memset(n->ram, 0, sizeof n->ram);
    for (unsigned i = 0; i < NE2000_PROM; i++) {
        n->prom[i] = i / 2 < MAC ? n->mac[i / 2] : i / 2 >= 14 ? PROM_MARK : 0;
    }
    update_irq(n);
}

void ne2000_state_loaded(Ne2000 *n)
{
    update_irq(n);
}
