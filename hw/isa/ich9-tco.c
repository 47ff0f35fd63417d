/* SPDX-License-Identifier: MIT */
/*
 * The watchdog of ICH9's LPC bridge (TCO; data sheet 316972, 13.9): a timer of 0.6 s ticks. When it first runs out, it says so, with an SMI
 * if that is enabled, and starts again; the second time is the end, unless NO_REBOOT is set.
 */
#include "hw/isa/ich9.h"

#include "machine/watchdog.h"

enum {
    TCO_RLD = 0x00,
    TCO_DAT_IN = 0x02,
    TCO_DAT_OUT = 0x03,
    TCO1_STS = 0x04,
    TCO2_STS = 0x06,
    TCO1_CNT = 0x08,
    TCO2_CNT = 0x0a,
    TCO_MESSAGE = 0x0c,
    TCO_SW_IRQ = 0x10,
    TCO_TMR = 0x12,

    STS1_TIMEOUT = 1 << 3,
    STS2_SECOND_TIMEOUT = 1 << 1,
    STS2_BOOT = 1 << 2,
    CNT1_HALT = 1 << 11,
    CNT1_LOCK = 1 << 12,
    CNT1_WRITABLE = 0x1800,
    CNT2_DEFAULT = 0x0008,
    TICKS_MASK = 0x3ff,
    TICKS_DEFAULT = 4,
    SW_IRQ_DEFAULT = 0x03,
};
#define TICK_NS INT64_C(600000000)

static uint16_t ticks_left(const Ich9Tco *tco)
{
    int64_t ns = tco->deadline_ns - clock_now_ns(tco->device->machine);

    return tco->deadline_ns ? (uint16_t)(ns > 0 ? (ns + TICK_NS - 1) / TICK_NS : 0) : tco->left;
}

static void follow(Ich9Tco *tco)
{
    if (tco->deadline_ns) {
        timer_arm(&tco->timer, tco->deadline_ns);
    } else {
        timer_cancel(&tco->timer);
    }
}

/* Runs for so many ticks, or waits with them while it is halted. */
static void run(Ich9Tco *tco, uint16_t ticks)
{
    bool halted = tco->control1 & CNT1_HALT;

    tco->left = halted ? ticks : 0;
    tco->deadline_ns = halted ? 0 : clock_now_ns(tco->device->machine) + ticks * TICK_NS;
    follow(tco);
}

static void timed_out(void *opaque)
{
    Ich9Tco *tco = opaque;

    if (!tco->once) {
        tco->once = true;
        tco->status1 |= STS1_TIMEOUT;
        run(tco, tco->start);
        tco->first_timeout(tco->device);
        return;
    }
    tco->once = false;
    tco->status2 |= STS2_SECOND_TIMEOUT;
    run(tco, tco->start);
    if (!tco->no_reboot) {
        tco->status2 |= STS2_BOOT;
        watchdog_expired(tco->device->machine, "itco");
    }
}

static uint16_t read_word(const Ich9Tco *tco, unsigned offset)
{
    switch (offset) {
    case TCO_RLD:
        return ticks_left(tco);
    case TCO_DAT_IN:
        return (uint16_t)(tco->data_in | tco->data_out << 8);
    case TCO1_STS:
        return tco->status1;
    case TCO2_STS:
        return tco->status2;
    case TCO1_CNT:
        return tco->control1;
    case TCO2_CNT:
        return tco->control2;
    case TCO_MESSAGE:
        return (uint16_t)(tco->message[0] | tco->message[1] << 8);
    case TCO_SW_IRQ:
        return tco->software_irq;
    case TCO_TMR:
        return tco->start;
    default:
        return 0;
    }
}

static void write_control(Ich9Tco *tco, uint16_t value)
{
    uint16_t left = ticks_left(tco);

    /* A lock is for as long as the machine runs. */
    value = (uint16_t)((value & CNT1_WRITABLE) | (tco->control1 & CNT1_LOCK));
    if ((value ^ tco->control1) & CNT1_HALT) {
        tco->control1 = value;
        run(tco, left);
    }
    tco->control1 = value;
}

static void write_word(Ich9Tco *tco, unsigned offset, uint16_t value)
{
    switch (offset) {
    case TCO_RLD:
        tco->once = false;
        run(tco, tco->start);
        break;
    case TCO_DAT_IN:
        tco->data_in = (uint8_t)value;
        tco->data_out = (uint8_t)(value >> 8);
        break;
    case TCO1_STS:
        tco->status1 &= (uint16_t)~value;
        break;
    case TCO2_STS:
        tco->status2 &= (uint16_t)~value;
        break;
    case TCO1_CNT:
        write_control(tco, value);
        break;
    case TCO2_CNT:
        tco->control2 = value;
        break;
    case TCO_MESSAGE:
        tco->message[0] = (uint8_t)value;
        tco->message[1] = (uint8_t)(value >> 8);
        break;
    case TCO_SW_IRQ:
        tco->software_irq = (uint8_t)value;
        break;
    case TCO_TMR:
        /* Less than two ticks is nothing that the chip does. */
        tco->start = MAX(value & TICKS_MASK, 2);
        break;
    default:
        break;
    }
}

static MemoryResult tco_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                             MemoryAttributes attributes)
{
    *value = read_word(opaque, (unsigned)offset & ~1u) >> (offset & 1) * 8 & bits_mask(size * 8);
    return MEMORY_OK;
}

static MemoryResult tco_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                              MemoryAttributes attributes)
{
    unsigned word = (unsigned)offset & ~1u, shift = (unsigned)(offset & 1) * 8;
    uint16_t other;

    if (size == 2) {
        write_word(opaque, word, (uint16_t)value);
        return MEMORY_OK;
    }
    /* The other byte of what a written 1 clears stays. */
    other = word == TCO1_STS || word == TCO2_STS ? 0 : read_word(opaque, word);
    write_word(opaque, word, (uint16_t)((other & ~(0xffu << shift)) | (unsigned)value << shift));
    return MEMORY_OK;
}

static const MemoryOps tco_ops = { .read = tco_read, .write = tco_write, .size_max = 2 };

void ich9_tco_init(Ich9Tco *tco, Device *device, void (*first_timeout)(Device *device))
{
    tco->device = device;
    tco->first_timeout = first_timeout;
    memory_region_init_io(&tco->ports, device->machine, "sm-tco", ICH9_TCO_SIZE, &tco_ops, tco);
    timer_init(&tco->timer, device->machine, timed_out, tco);
}

void ich9_tco_remove(Ich9Tco *tco)
{
    timer_cancel(&tco->timer);
}

/* The timer stands until a driver starts it: firmware that knows nothing of it is not to be ended by it. */
void ich9_tco_reset(Ich9Tco *tco)
{
    tco->status1 = tco->status2 = 0;
    tco->control1 = CNT1_HALT;
    tco->control2 = CNT2_DEFAULT;
    tco->start = tco->left = TICKS_DEFAULT;
    tco->data_in = tco->data_out = tco->message[0] = tco->message[1] = 0;
    tco->software_irq = SW_IRQ_DEFAULT;
    tco->once = false;
    tco->deadline_ns = 0;
    follow(tco);
}

void ich9_tco_state_loaded(Ich9Tco *tco)
{
    follow(tco);
}
