/* SPDX-License-Identifier: MIT */
/*
 * ARM PrimeCell UART PL011 (ARM DDI 0183G): FIFOs, interrupts, break, loopback.
 *
 * Characters take no time: the baud rate registers are kept but have no effect, and the receive
 * timeout has always passed. Not modelled: DMA, IrDA (SIR), parity and framing errors.
 */
#include "base/error.h"
#include "machine/console.h"
#include "machine/device.h"

enum { FIFO_DEPTH = 16 };

/* UARTDR read side and UARTRSR */
enum { DR_BREAK = 1 << 10, DR_OVERRUN = 1 << 11, DR_ERRORS = 0xf00 };
/* UARTFR */
enum {
    FR_CTS = 1 << 0,
    FR_DSR = 1 << 1,
    FR_DCD = 1 << 2,
    FR_BUSY = 1 << 3,
    FR_RXFE = 1 << 4,
    FR_TXFF = 1 << 5,
    FR_RXFF = 1 << 6,
    FR_TXFE = 1 << 7,
    FR_RI = 1 << 8,
};
/* UARTLCR_H */
enum { LCR_BRK = 1 << 0, LCR_FEN = 1 << 4 };
/* UARTCR */
enum {
    CR_UARTEN = 1 << 0,
    CR_LBE = 1 << 7,
    CR_TXE = 1 << 8,
    CR_RXE = 1 << 9,
    CR_DTR = 1 << 10,
    CR_RTS = 1 << 11,
    CR_OUT1 = 1 << 12,
    CR_OUT2 = 1 << 13,
};
/* UARTIMSC, UARTRIS, UARTMIS, UARTICR */
enum {
    INT_RI = 1 << 0,
    INT_CTS = 1 << 1,
    INT_DCD = 1 << 2,
    INT_DSR = 1 << 3,
    INT_RX = 1 << 4,
    INT_TX = 1 << 5,
    INT_RT = 1 << 6,
    INT_FE = 1 << 7,
    INT_PE = 1 << 8,
    INT_BE = 1 << 9,
    INT_OE = 1 << 10,
    INT_ALL = 0x7ff,
};

typedef struct {
    Device device;
    IrqLine irq;
    Chardev *chardev; /* property */
    uint16_t rx_fifo[FIFO_DEPTH];
    uint8_t tx_fifo[FIFO_DEPTH];
    uint32_t rx_head, rx_count, tx_count;
    uint32_t rsr, ilpr, ibrd, fbrd, lcr_h, cr, ifls, imsc, ris, dmacr;
} Pl011;

static Pl011 *pl011(Device *device)
{
    return container_of(device, Pl011, device);
}

static unsigned fifo_depth(const Pl011 *u)
{
    return u->lcr_h & LCR_FEN ? FIFO_DEPTH : 1;
}

/* The fill level that UARTIFLS selects: 1/8, 1/4, 1/2, 3/4, 7/8 of the FIFO. */
static unsigned trigger_level(const Pl011 *u, unsigned select)
{
    static const uint8_t levels[8] = { 2, 4, 8, 12, 14, 14, 14, 14 };

    return u->lcr_h & LCR_FEN ? levels[select & 7] : 1;
}

static void pl011_update_irq(Pl011 *u)
{
    irq_set(&u->irq, (u->ris & u->imsc) != 0);
}

static uint32_t modem_status(const Pl011 *u)
{
    if (!(u->cr & CR_LBE)) {
        return FR_CTS | FR_DSR | FR_DCD;
    }
    return (u->cr & CR_RTS ? FR_CTS : 0) | (u->cr & CR_DTR ? FR_DSR : 0) |
           (u->cr & CR_OUT1 ? FR_DCD : 0) | (u->cr & CR_OUT2 ? FR_RI : 0);
}

static void update_rx_interrupts(Pl011 *u)
{
    if (u->rx_count >= trigger_level(u, u->ifls >> 3)) {
        u->ris |= INT_RX;
    } else {
        u->ris &= ~(uint32_t)INT_RX;
    }
    if (u->rx_count == 0) {
        u->ris &= ~(uint32_t)INT_RT;
    }
}

/* value: a character with its error flags at their places in UARTDR. */
static void rx_push(Pl011 *u, uint16_t value)
{
    if (u->rx_count >= fifo_depth(u)) {
        u->ris |= INT_OE;
        u->rsr |= DR_OVERRUN >> 8;
    } else {
        u->rx_fifo[(u->rx_head + u->rx_count++) % FIFO_DEPTH] = value;
        u->ris |= INT_RT | (value & DR_BREAK ? INT_BE : 0);
    }
    update_rx_interrupts(u);
    pl011_update_irq(u);
}

static uint64_t dr_read(Device *device, unsigned index)
{
    Pl011 *u = pl011(device);
    uint16_t value;

    if (u->rx_count == 0) {
        return 0;
    }
    value = u->rx_fifo[u->rx_head];
    u->rx_head = (u->rx_head + 1) % FIFO_DEPTH;
    u->rx_count--;
    u->rsr = (value & DR_ERRORS) >> 8;
    update_rx_interrupts(u);
    pl011_update_irq(u);
    chardev_accept_input(u->chardev);
    return value;
}

/* Gives the back end what it takes; the transmit interrupt follows the FIFO through its trigger. */
static void tx_flush(Pl011 *u)
{
    size_t taken = u->chardev ? console_write(u->chardev, u->tx_fifo, u->tx_count) : u->tx_count;

    u->tx_count -= (uint32_t)taken;
    memmove(u->tx_fifo, u->tx_fifo + taken, u->tx_count);
    if (u->tx_count <= (u->lcr_h & LCR_FEN ? trigger_level(u, u->ifls) : 0)) {
        u->ris |= INT_TX;
    }
    pl011_update_irq(u);
}

static void dr_write(Device *device, unsigned index, uint64_t value)
{
    Pl011 *u = pl011(device);

    if ((u->cr & (CR_UARTEN | CR_TXE)) != (CR_UARTEN | CR_TXE)) {
        log_guest_error(device->id, "transmits while disabled (UARTCR %#x)", u->cr);
    }
    if (u->cr & CR_LBE) {
        u->ris |= INT_TX;
        rx_push(u, (uint8_t)value);
        return;
    }
    if (u->tx_count >= fifo_depth(u)) {
        log_guest_error(device->id, "write of %#x to a full transmit FIFO", (unsigned)value);
        return;
    }
    u->tx_fifo[u->tx_count++] = (uint8_t)value;
    u->ris &= ~(uint32_t)INT_TX;
    tx_flush(u);
}

static void ecr_write(Device *device, unsigned index, uint64_t value)
{
    pl011(device)->rsr = 0;
}

static uint64_t fr_read(Device *device, unsigned index)
{
    const Pl011 *u = pl011(device);

    return modem_status(u) | (u->rx_count == 0 ? FR_RXFE : 0) |
           (u->rx_count >= fifo_depth(u) ? FR_RXFF : 0) |
           (u->tx_count >= fifo_depth(u) ? FR_TXFF : 0) | (u->tx_count == 0 ? FR_TXFE : FR_BUSY);
}

static void lcr_h_write(Device *device, unsigned index, uint64_t value)
{
    Pl011 *u = pl011(device);
    uint32_t changed = u->lcr_h ^ (uint32_t)value;

    u->lcr_h = value & 0xff;
    if (changed & LCR_FEN) {
        u->rx_count = u->rx_head = 0; /* the FIFOs are flushed */
    }
    if (changed & LCR_BRK) {
        if ((u->cr & CR_LBE) && (value & LCR_BRK)) {
            rx_push(u, DR_BREAK);
        } else if (u->chardev && u->chardev->type->set_break) {
            u->chardev->type->set_break(u->chardev, value & LCR_BRK);
        }
    }
    update_rx_interrupts(u);
    pl011_update_irq(u);
    chardev_accept_input(u->chardev);
}

static void cr_write(Device *device, unsigned index, uint64_t value)
{
    Pl011 *u = pl011(device);
    uint32_t before = modem_status(u), changed;

    u->cr = value & 0xff87;
    changed = before ^ modem_status(u);
    u->ris |= (changed & FR_CTS ? INT_CTS : 0) | (changed & FR_DSR ? INT_DSR : 0) |
              (changed & FR_DCD ? INT_DCD : 0) | (changed & FR_RI ? INT_RI : 0);
    pl011_update_irq(u);
}

static void ifls_write(Device *device, unsigned index, uint64_t value)
{
    Pl011 *u = pl011(device);

    u->ifls = value & 0x3f;
    update_rx_interrupts(u);
    pl011_update_irq(u);
}

static void imsc_write(Device *device, unsigned index, uint64_t value)
{
    Pl011 *u = pl011(device);

    u->imsc = value & INT_ALL;
    pl011_update_irq(u);
}

static uint64_t mis_read(Device *device, unsigned index)
{
    return pl011(device)->ris & pl011(device)->imsc;
}

static void icr_write(Device *device, unsigned index, uint64_t value)
{
    Pl011 *u = pl011(device);

    u->ris &= ~(uint32_t)value;
    pl011_update_irq(u);
}

/* UARTPeriphID0..3, UARTPCellID0..3: r1p5. */
/* PeriphID0 to 3, PCellID0 to 3. */
static const uint8_t pl011_ids[8] = { 0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };

/* clang-format off */
#define BIT_AT(name, at) { name, at, at }

static const RegisterField fr_fields[] = {
    BIT_AT("CTS", 0), BIT_AT("DSR", 1), BIT_AT("DCD", 2), BIT_AT("BUSY", 3), BIT_AT("RXFE", 4), BIT_AT("TXFF", 5),
    BIT_AT("RXFF", 6), BIT_AT("TXFE", 7), BIT_AT("RI", 8), { NULL },
};

static const RegisterField lcr_fields[] = {
    BIT_AT("BRK", 0), BIT_AT("PEN", 1), BIT_AT("EPS", 2), BIT_AT("STP2", 3), BIT_AT("FEN", 4), { "WLEN", 5, 6 },
    BIT_AT("SPS", 7), { NULL },
};

static const RegisterField cr_fields[] = {
    BIT_AT("UARTEN", 0), BIT_AT("LBE", 7), BIT_AT("TXE", 8), BIT_AT("RXE", 9), BIT_AT("DTR", 10), BIT_AT("RTS", 11),
    BIT_AT("RTSEn", 14), BIT_AT("CTSEn", 15), { NULL },
};

static const RegisterField interrupt_fields[] = {
    BIT_AT("CTS", 1), BIT_AT("DCD", 2), BIT_AT("DSR", 3), BIT_AT("RX", 4), BIT_AT("TX", 5), BIT_AT("RT", 6),
    BIT_AT("FE", 7), BIT_AT("PE", 8), BIT_AT("BE", 9), BIT_AT("OE", 10), { NULL },
};
/* clang-format on */

static const Register pl011_registers[] = {
    { .name = "UARTDR",
      .offset = 0x00,
      .width = 4,
      .access = REGISTER_RW,
      .field = REGISTER_NO_FIELD,
      .read = dr_read,
      .write = dr_write },
    { .name = "UARTRSR",
      .offset = 0x04,
      .width = 4,
      .access = REGISTER_RW,
      .field = offsetof(Pl011, rsr),
      .write = ecr_write },
    { .name = "UARTFR",
      .offset = 0x18,
      .width = 4,
      .access = REGISTER_R | REGISTER_PEEK,
      .field = REGISTER_NO_FIELD,
      .read = fr_read,
      .fields = fr_fields },
    { .name = "UARTILPR",
      .offset = 0x20,
      .width = 4,
      .access = REGISTER_RW,
      .writable = 0xff,
      .field = offsetof(Pl011, ilpr) },
    { .name = "UARTIBRD",
      .offset = 0x24,
      .width = 4,
      .access = REGISTER_RW,
      .writable = 0xffff,
      .field = offsetof(Pl011, ibrd) },
    { .name = "UARTFBRD",
      .offset = 0x28,
      .width = 4,
      .access = REGISTER_RW,
      .writable = 0x3f,
      .field = offsetof(Pl011, fbrd) },
    { .name = "UARTLCR_H",
      .offset = 0x2c,
      .width = 4,
      .access = REGISTER_RW,
      .field = offsetof(Pl011, lcr_h),
      .write = lcr_h_write,
      .fields = lcr_fields },
    { .name = "UARTCR",
      .offset = 0x30,
      .width = 4,
      .access = REGISTER_RW,
      .reset = CR_TXE | CR_RXE,
      .field = offsetof(Pl011, cr),
      .write = cr_write,
      .fields = cr_fields },
    { .name = "UARTIFLS",
      .offset = 0x34,
      .width = 4,
      .access = REGISTER_RW,
      .reset = 0x12,
      .field = offsetof(Pl011, ifls),
      .write = ifls_write },
    { .name = "UARTIMSC",
      .offset = 0x38,
      .width = 4,
      .access = REGISTER_RW,
      .field = offsetof(Pl011, imsc),
      .write = imsc_write,
      .fields = interrupt_fields },
    { .name = "UARTRIS",
      .offset = 0x3c,
      .width = 4,
      .access = REGISTER_R,
      .field = offsetof(Pl011, ris),
      .fields = interrupt_fields },
    { .name = "UARTMIS",
      .offset = 0x40,
      .width = 4,
      .access = REGISTER_R | REGISTER_PEEK,
      .field = REGISTER_NO_FIELD,
      .read = mis_read,
      .fields = interrupt_fields },
    { .name = "UARTICR",
      .offset = 0x44,
      .width = 4,
      .access = REGISTER_W,
      .field = REGISTER_NO_FIELD,
      .write = icr_write },
    { .name = "UARTDMACR",
      .offset = 0x48,
      .width = 4,
      .access = REGISTER_RW,
      .writable = 0x7,
      .field = offsetof(Pl011, dmacr) },
    { .name = "UARTID",
      .offset = 0xfe0,
      .width = 4,
      .access = REGISTER_R,
      .count = 8,
      .field = REGISTER_NO_FIELD,
      .constants = pl011_ids },
    { 0 },
};

static size_t pl011_can_receive(void *opaque)
{
    const Pl011 *u = opaque;

    return u->cr & CR_LBE || u->rx_count >= fifo_depth(u) ? 0 : fifo_depth(u) - u->rx_count;
}

static void pl011_receive(void *opaque, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        rx_push(opaque, data[i]);
    }
}

static void pl011_event(void *opaque, ChardevEvent event)
{
    Pl011 *u = opaque;

    if (event == CHARDEV_BREAK && !(u->cr & CR_LBE)) {
        rx_push(u, DR_BREAK);
    }
}

static void pl011_can_write(void *opaque)
{
    Pl011 *u = opaque;

    if (u->tx_count) {
        tx_flush(u);
    }
}

static void pl011_changed(void *opaque, Chardev *chardev)
{
    ((Pl011 *)opaque)->chardev = chardev;
}

static const ChardevFrontend pl011_frontend = {
    .can_receive = pl011_can_receive,
    .receive = pl011_receive,
    .event = pl011_event,
    .can_write = pl011_can_write,
    .changed = pl011_changed,
};

static bool pl011_realize(Device *device, GError **error)
{
    Pl011 *u = pl011(device);

    device_add_irq(device, &u->irq);
    return !u->chardev || chardev_attach(u->chardev, &pl011_frontend, u, error);
}

static void pl011_unrealize(Device *device)
{
    Pl011 *u = pl011(device);

    if (u->chardev) {
        chardev_detach(u->chardev, u);
    }
}

static void pl011_reset(Device *device)
{
    Pl011 *u = pl011(device);

    memset(u->rx_fifo, 0, sizeof u->rx_fifo);
    memset(u->tx_fifo, 0, sizeof u->tx_fifo);
    u->rx_head = u->rx_count = u->tx_count = 0;
    pl011_update_irq(u);
}

static const DeviceType pl011_type = {
    .name = "pl011",
    .summary = "ARM PrimeCell UART",
    .board_only = true,
    .category = "input",
    .instance_size = sizeof(Pl011),
    .properties = (const Property[]){ { "chardev", PROPERTY_CHARDEV, offsetof(Pl011, chardev),
                                        "the serial line's other end" },
                                      { 0 } },
    .state = (const StateField[]){ STATE(Pl011, rx_fifo),
                                   STATE(Pl011, tx_fifo),
                                   STATE(Pl011, rx_head),
                                   STATE(Pl011, rx_count),
                                   STATE(Pl011, tx_count),
                                   STATE(Pl011, rsr),
                                   STATE(Pl011, ilpr),
                                   STATE(Pl011, ibrd),
                                   STATE(Pl011, fbrd),
                                   STATE(Pl011, lcr_h),
                                   STATE(Pl011, cr),
                                   STATE(Pl011, ifls),
                                   STATE(Pl011, imsc),
                                   STATE(Pl011, ris),
                                   STATE(Pl011, dmacr),
                                   { 0 } },
    .banks =
        (const RegisterBank[]){
            { .name = "pl011", .size = 0x1000, .registers = pl011_registers, .size_max = 4 },
            { 0 } },
    .realize = pl011_realize,
    .unrealize = pl011_unrealize,
    .reset = pl011_reset,
};
DEVICE_TYPE(pl011_type);
