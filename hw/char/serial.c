/* SPDX-License-Identifier: MIT */
/* 16550A: registers, FIFOs, interrupts, loopback. */
#include "hw/char/serial.h"

#include "machine/console.h"

enum { IER_RX = 1 << 0, IER_THR = 1 << 1, IER_LINE = 1 << 2, IER_MODEM = 1 << 3 };
enum {
    IIR_NONE = 0x01,
    IIR_MODEM = 0x00,
    IIR_THR = 0x02,
    IIR_RX = 0x04,
    IIR_LINE = 0x06,
    IIR_TIMEOUT = 0x0c,
    IIR_FIFOS = 0xc0,
};
enum { FCR_ENABLE = 1 << 0, FCR_CLEAR_RX = 1 << 1, FCR_CLEAR_TX = 1 << 2 };
enum {
    LCR_LENGTH = 3 << 0, /* bits above five */
    LCR_TWO_STOP = 1 << 2,
    LCR_PARITY = 1 << 3,
    LCR_BREAK = 1 << 6,
    LCR_DIVISOR = 1 << 7,
};
enum {
    MCR_DTR = 1 << 0,
    MCR_RTS = 1 << 1,
    MCR_OUT1 = 1 << 2,
    MCR_OUT2 = 1 << 3,
    MCR_LOOP = 1 << 4
};
enum {
    LSR_DATA = 1 << 0,
    LSR_OVERRUN = 1 << 1,
    LSR_BREAK = 1 << 4,
    LSR_THR_EMPTY = 1 << 5,
    LSR_IDLE = 1 << 6,
    LSR_FIFO_ERROR = 1 << 7,
    LSR_ERRORS = 0x1e,
};
/* MSR: levels in the high half, what changed in the low half. */
enum {
    MSR_CTS = 1 << 4,
    MSR_DSR = 1 << 5,
    MSR_RI = 1 << 6,
    MSR_DCD = 1 << 7,
    MSR_RI_FELL = 1 << 2
};
enum { NO_BREAK = 0xff, TIMEOUT_CHARACTERS = 4, CLOCKS_PER_BIT = 16, CLOCK_HZ = 1843200 };

static Serial *serial(Device *device)
{
    return container_of(device, Serial, device);
}

static unsigned fifo_depth(const Serial *s)
{
    return s->fcr & FCR_ENABLE ? SERIAL_FIFO_DEPTH : 1;
}

static unsigned trigger_level(const Serial *s)
{
    static const uint8_t levels[4] = { 1, 4, 8, 14 };

    return s->fcr & FCR_ENABLE ? levels[s->fcr >> 6] : 1;
}

/* The interrupt that IIR shows: the one of highest priority that is enabled. */
static unsigned interrupt_id(const Serial *s)
{
    if (s->ier & IER_LINE && s->lsr & LSR_ERRORS) {
        return IIR_LINE;
    }
    if (s->ier & IER_RX && s->rx_count >= trigger_level(s)) {
        return IIR_RX;
    }
    if (s->ier & IER_RX && s->timed_out) {
        return IIR_TIMEOUT;
    }
    if (s->ier & IER_THR && s->thr_interrupt) {
        return IIR_THR;
    }
    return s->ier & IER_MODEM && s->msr_delta ? IIR_MODEM : IIR_NONE;
}

static void update_irq(Serial *s)
{
    irq_set(&s->irq, interrupt_id(s) != IIR_NONE);
}

static int64_t character_ns(const Serial *s)
{
    unsigned stop = s->lcr & LCR_TWO_STOP ? 2 : 1;
    unsigned bits = 1 + 5 + (s->lcr & LCR_LENGTH) + (s->lcr & LCR_PARITY ? 1 : 0) + stop;

    return (int64_t)bits * MAX(s->divisor, 1) * CLOCKS_PER_BIT * 1000000000 / CLOCK_HZ;
}

/* The receiver's FIFO got or gave a character, or was emptied. */
static void restart_timeout(Serial *s)
{
    s->timed_out = false;
    if (s->rx_count && s->rx_count < trigger_level(s)) {
        timer_arm(&s->timeout,
                  clock_now_ns(s->device.machine) + TIMEOUT_CHARACTERS * character_ns(s));
    } else {
        timer_cancel(&s->timeout);
    }
}

static void time_out(void *opaque)
{
    Serial *s = opaque;

    s->timed_out = s->rx_count > 0;
    update_irq(s);
}

static unsigned modem_levels(const Serial *s)
{
    if (!(s->mcr & MCR_LOOP)) {
        return MSR_CTS | MSR_DSR | MSR_DCD;
    }
    return (s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
           (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

/* LSR's bits that follow the receiver: data there, and a break at the FIFO's head. */
static void update_rx_status(Serial *s)
{
    s->lsr &= (uint8_t) ~(LSR_DATA | LSR_FIFO_ERROR);
    s->lsr |= s->rx_count ? LSR_DATA : 0;
    if (s->break_at == 0) {
        s->lsr |= LSR_BREAK;
        s->break_at = NO_BREAK;
    } else if (s->break_at != NO_BREAK && s->fcr & FCR_ENABLE) {
        s->lsr |= LSR_FIFO_ERROR;
    }
}

static void rx_push(Serial *s, uint8_t value, bool is_break)
{
    if (s->rx_count >= fifo_depth(s)) {
        s->lsr |= LSR_OVERRUN;
        if (!(s->fcr & FCR_ENABLE)) { /* a FIFO keeps what it has, the one register does not */
            s->rx_fifo[s->rx_head % SERIAL_FIFO_DEPTH] = value;
        }
    } else {
        if (is_break) {
            s->break_at = s->rx_count;
        }
        s->rx_fifo[(s->rx_head + s->rx_count++) % SERIAL_FIFO_DEPTH] = value;
    }
    update_rx_status(s);
    restart_timeout(s);
    update_irq(s);
}

static uint64_t read_data(Device *device, unsigned index)
{
    Serial *s = serial(device);
    uint8_t value = 0;

    if (s->lcr & LCR_DIVISOR) {
        return s->divisor & 0xff;
    }
    if (s->rx_count) {
        value = s->rx_fifo[s->rx_head % SERIAL_FIFO_DEPTH];
        s->rx_head = (s->rx_head + 1) % SERIAL_FIFO_DEPTH;
        s->rx_count--;
        s->break_at -= s->break_at != NO_BREAK && s->break_at ? 1 : 0;
        update_rx_status(s);
        restart_timeout(s);
        update_irq(s);
        chardev_accept_input(s->chardev);
    }
    return value;
}

static void tx_flush(Serial *s)
{
    size_t taken = s->chardev ? console_write(s->chardev, s->tx_fifo, s->tx_count) : s->tx_count;

    s->tx_count -= (uint8_t)taken;
    memmove(s->tx_fifo, s->tx_fifo + taken, s->tx_count);
    if (s->tx_count == 0) {
        s->lsr |= LSR_THR_EMPTY | LSR_IDLE;
        s->thr_interrupt = true;
    }
    update_irq(s);
}

static void write_data(Device *device, unsigned index, uint64_t value)
{
    Serial *s = serial(device);

    if (s->lcr & LCR_DIVISOR) {
        s->divisor = (s->divisor & 0xff00) | (value & 0xff);
        return;
    }
    s->thr_interrupt = false;
    if (s->mcr & MCR_LOOP) {
        s->thr_interrupt = true;
        rx_push(s, (uint8_t)value, false);
        return;
    }
    if (s->tx_count >= fifo_depth(s)) {
        log_guest_error(device->id, "write of %#x to a full transmit FIFO", (unsigned)value);
        return;
    }
    s->tx_fifo[s->tx_count++] = (uint8_t)value;
    s->lsr &= (uint8_t) ~(LSR_THR_EMPTY | LSR_IDLE);
    tx_flush(s);
}

static uint64_t read_enable(Device *device, unsigned index)
{
    Serial *s = serial(device);

    return s->lcr & LCR_DIVISOR ? s->divisor >> 8 : s->ier;
}

static void write_enable(Device *device, unsigned index, uint64_t value)
{
    Serial *s = serial(device);
    uint8_t before = s->ier;

    if (s->lcr & LCR_DIVISOR) {
        s->divisor = (uint16_t)(value << 8 | (s->divisor & 0xff));
        return;
    }
    s->ier = value & 0xf;
    if (s->ier & ~before & IER_THR && s->lsr & LSR_THR_EMPTY) {
        s->thr_interrupt = true;
    }
    update_irq(s);
}

static uint64_t read_identification(Device *device, unsigned index)
{
    Serial *s = serial(device);
    unsigned id = interrupt_id(s);

    if (id == IIR_THR) {
        s->thr_interrupt = false;
        update_irq(s);
    }
    return id | (s->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

static void write_fifo_control(Device *device, unsigned index, uint64_t value)
{
    Serial *s = serial(device);
    bool switched = (s->fcr ^ value) & FCR_ENABLE;

    if (value & FCR_CLEAR_RX || switched) {
        s->rx_head = s->rx_count = 0;
        s->break_at = NO_BREAK;
    }
    if (value & FCR_CLEAR_TX || switched) {
        s->tx_count = 0;
        s->lsr |= LSR_THR_EMPTY | LSR_IDLE;
    }
    /* Without the enable bit the others are not programmed. */
    s->fcr = value & FCR_ENABLE ? value & 0xc9 : 0;
    update_rx_status(s);
    restart_timeout(s);
    update_irq(s);
    chardev_accept_input(s->chardev);
}

static void write_line_control(Device *device, unsigned index, uint64_t value)
{
    Serial *s = serial(device);
    uint8_t changed = s->lcr ^ (uint8_t)value;

    s->lcr = (uint8_t)value;
    if (changed & LCR_BREAK) {
        if (s->mcr & MCR_LOOP && value & LCR_BREAK) {
            rx_push(s, 0, true);
        } else if (s->chardev && s->chardev->type->set_break) {
            s->chardev->type->set_break(s->chardev, value & LCR_BREAK);
        }
    }
}

static void write_modem_control(Device *device, unsigned index, uint64_t value)
{
    Serial *s = serial(device);
    unsigned before = modem_levels(s), changed;

    s->mcr = value & 0x1f;
    changed = before ^ modem_levels(s);
    s->msr_delta |= (changed & (MSR_CTS | MSR_DSR | MSR_DCD)) >> 4;
    s->msr_delta |= before & changed & MSR_RI ? MSR_RI_FELL : 0;
    update_irq(s);
}

static uint64_t read_line_status(Device *device, unsigned index)
{
    Serial *s = serial(device);
    uint8_t value = s->lsr;

    s->lsr &= (uint8_t)~LSR_ERRORS;
    update_irq(s);
    return value;
}

static uint64_t read_modem_status(Device *device, unsigned index)
{
    Serial *s = serial(device);
    unsigned value = modem_levels(s) | s->msr_delta;

    s->msr_delta = 0;
    update_irq(s);
    return value;
}

/* clang-format off */
const Register serial_registers[] = {
    { "RBR", 0, 1, REGISTER_RW, .field = REGISTER_NO_FIELD, .read = read_data, .write = write_data,
      .summary = "receiver buffer, transmitter holding, divisor low" },
    { "IER", 1, 1, REGISTER_RW, .field = REGISTER_NO_FIELD, .read = read_enable, .write = write_enable,
      .summary = "interrupt enable, divisor high" },
    { "IIR", 2, 1, REGISTER_RW, .field = REGISTER_NO_FIELD, .read = read_identification,
      .write = write_fifo_control, .summary = "interrupt identification, FIFO control" },
    { "LCR", 3, 1, REGISTER_RW, .field = offsetof(Serial, lcr), .write = write_line_control },
    { "MCR", 4, 1, REGISTER_RW, .field = offsetof(Serial, mcr), .reset = MCR_OUT2,
      .write = write_modem_control },
    { "LSR", 5, 1, REGISTER_R | REGISTER_QUIET, .field = REGISTER_NO_FIELD, .read = read_line_status },
    { "MSR", 6, 1, REGISTER_R | REGISTER_QUIET, .field = REGISTER_NO_FIELD, .read = read_modem_status },
    { "SCR", 7, 1, REGISTER_RW, .field = offsetof(Serial, scr) },
    { 0 },
};
/* clang-format on */

static size_t can_receive(void *opaque)
{
    const Serial *s = opaque;

    return s->mcr & MCR_LOOP || s->rx_count >= fifo_depth(s) ? 0 : fifo_depth(s) - s->rx_count;
}

static void receive(void *opaque, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        rx_push(opaque, data[i], false);
    }
}

static void event(void *opaque, ChardevEvent event)
{
    Serial *s = opaque;

    if (event == CHARDEV_BREAK && !(s->mcr & MCR_LOOP)) {
        rx_push(s, 0, true);
    }
}

static void can_write(void *opaque)
{
    Serial *s = opaque;

    if (s->tx_count) {
        tx_flush(s);
    }
}

static void changed(void *opaque, Chardev *chardev)
{
    ((Serial *)opaque)->chardev = chardev;
}

static const ChardevFrontend frontend = {
    .can_receive = can_receive,
    .receive = receive,
    .event = event,
    .can_write = can_write,
    .changed = changed,
};

bool serial_realize(Serial *s, GError **error)
{
    device_add_irq(&s->device, &s->irq);
    timer_init(&s->timeout, s->device.machine, time_out, s);
    return !s->chardev || chardev_attach(s->chardev, &frontend, s, error);
}

void serial_unrealize(Serial *s)
{
    timer_cancel(&s->timeout);
    if (s->chardev) {
        chardev_detach(s->chardev, s);
    }
}

void serial_reset(Serial *s)
{
    memset(s->rx_fifo, 0, sizeof s->rx_fifo);
    memset(s->tx_fifo, 0, sizeof s->tx_fifo);
    s->rx_head = s->rx_count = s->tx_count = 0;
    s->ier = s->fcr = s->msr_delta = 0;
    s->lsr = LSR_THR_EMPTY | LSR_IDLE;
    s->break_at = NO_BREAK;
    s->thr_interrupt = s->timed_out = false;
    timer_cancel(&s->timeout);
    s->divisor = 12; /* 9600 baud, as a PC's firmware leaves it */
    update_irq(s);
}

void serial_state_loaded(Serial *s)
{
    s->rx_head %= SERIAL_FIFO_DEPTH;
    s->rx_count = MIN(s->rx_count, SERIAL_FIFO_DEPTH);
    s->tx_count = MIN(s->tx_count, SERIAL_FIFO_DEPTH);
    /* Who saved no timer told of any character at once. */
    s->timed_out |= s->rx_count && s->rx_count < trigger_level(s) && !timer_is_armed(&s->timeout);
    update_irq(s);
}
