/* SPDX-License-Identifier: MIT */
/*
 * Real-time clock and battery-backed memory of a PC (Motorola MC146818A), with the century byte of the PC/AT.
 *
 * The time is the machine's plus an offset; nothing runs unless a guest has enabled an interrupt. Flags of register C
 * that nobody waits for are made when they are read. Not modelled: daylight saving, the square wave.
 */
#include "hw/rtc/mc146818rtc.h"

#include <string.h>
#include <time.h>

#include "machine/clock.h"
#include "machine/machine.h"
#include "machine/rtc.h"

#define NS_PER_S INT64_C(1000000000)
/* Before an update, "update in progress" is seen for this long. */
#define UPDATE_AHEAD_NS (8 * NS_PER_S / 32768)

enum {
    SECONDS,
    SECONDS_ALARM,
    MINUTES,
    MINUTES_ALARM,
    HOURS,
    HOURS_ALARM,
    WEEKDAY,
    DAY,
    MONTH,
    YEAR,
    REGISTER_A,
    REGISTER_B,
    REGISTER_C,
    REGISTER_D,
    CMOS_FIRST,
    CENTURY = MC146818RTC_CENTURY,
};
enum { A_UPDATING = 0x80, A_DIVIDER = 0x70, A_DIVIDER_32K = 0x20, A_RATE = 0x0f };
enum { B_SET = 0x80, B_SQUARE_WAVE = 0x08, B_BINARY = 0x04, B_24_HOURS = 0x02 };
/* Flags of C and their enables in B. */
enum { IRQ_ANY = 0x80, IRQ_PERIODIC = 0x40, IRQ_ALARM = 0x20, IRQ_UPDATE = 0x10, IRQ_ALL = 0x70 };
enum { D_VALID = 0x80, PM = 0x80, ALARM_ANY = 0xc0 };

/*
 * Dates repeat after 400 years. Times of the years 1855 to 2254 have room in 64 bits of nanoseconds; all others are kept as such a one.
 */
#define ERA_S       INT64_C(12622780800)
#define ERA_FIRST_S INT64_C(-3600000000)
#define ERA_LAST_S  (INT64_MAX / NS_PER_S - 1)

/* Slewing: how many interrupts in a row are made up for at once, and how many are remembered. */
enum { REINJECT_IN_A_ROW = 20, LOST_MAX = 1 << 20 };

typedef enum { LOST_DISCARD, LOST_DELAY, LOST_SLEW } LostTicks;
static const char *const lost_ticks_names[] = { "discard", "delay", "slew", NULL };

typedef struct {
    Device device;
    IrqLine irq;
    Timer timer, periodic;
    int lost_ticks;                       /* property: LostTicks */
    uint8_t cmos[MC146818RTC_CMOS_BYTES]; /* 0 to 9 are the time only while it does not run */
    uint8_t index;
    int64_t offset_ns; /* the guest's time less the machine's */
    int32_t era;       /* spans of 400 years that the guest's date is ahead of its time */
    int64_t seen_s;    /* the guest's second up to which flags have been made */
    int64_t seen_tick; /* the same in periods of the periodic interrupt */
    uint32_t lost, reinjected;
} Mc146818;

static Mc146818 *mc146818(Device *device)
{
    return container_of(device, Mc146818, device);
}

static bool divider_runs(const Mc146818 *rtc)
{
    return (rtc->cmos[REGISTER_A] & A_DIVIDER) <= A_DIVIDER_32K;
}

static bool runs(const Mc146818 *rtc)
{
    return divider_runs(rtc) && !(rtc->cmos[REGISTER_B] & B_SET);
}

static int64_t guest_ns(const Mc146818 *rtc)
{
    return clock_rtc_ns(rtc->device.machine) + rtc->offset_ns;
}

static int64_t floor_s(int64_t ns)
{
    return ns / NS_PER_S - (ns % NS_PER_S < 0);
}

static int64_t fraction_ns(int64_t ns)
{
    return ns - floor_s(ns) * NS_PER_S;
}

/* How far the guest's date is ahead of the machine's. */
static int64_t offset_s(const Mc146818 *rtc)
{
    return floor_s(rtc->offset_ns + NS_PER_S / 2) + rtc->era * ERA_S;
}

/* Numbers as register B says. */

static uint8_t encode(const Mc146818 *rtc, unsigned value)
{
    return (uint8_t)(rtc->cmos[REGISTER_B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

static unsigned decode(const Mc146818 *rtc, uint8_t value)
{
    return rtc->cmos[REGISTER_B] & B_BINARY ? value : (value >> 4) * 10u + (value & 0xf);
}

static uint8_t encode_hour(const Mc146818 *rtc, unsigned hour)
{
    if (rtc->cmos[REGISTER_B] & B_24_HOURS) {
        return encode(rtc, hour);
    }
    return encode(rtc, (hour + 11) % 12 + 1) | (hour >= 12 ? PM : 0);
}

static unsigned decode_hour(const Mc146818 *rtc, uint8_t value)
{
    if (rtc->cmos[REGISTER_B] & B_24_HOURS) {
        return decode(rtc, value);
    }
    return decode(rtc, value & ~PM) % 12 + (value & PM ? 12 : 0);
}

/* Writes the time into the registers, or takes it from them. */

static void store_time(Mc146818 *rtc, int64_t guest_s)
{
    time_t seconds = guest_s;
    struct tm tm;
    unsigned year;

    if (!gmtime_r(&seconds, &tm)) {
        return;
    }
    year = (unsigned)CLAMP((int64_t)tm.tm_year + 1900 + 400 * rtc->era, 0, 9999);
    rtc->cmos[SECONDS] = encode(rtc, tm.tm_sec);
    rtc->cmos[MINUTES] = encode(rtc, tm.tm_min);
    rtc->cmos[HOURS] = encode_hour(rtc, tm.tm_hour);
    rtc->cmos[WEEKDAY] = encode(rtc, tm.tm_wday + 1);
    rtc->cmos[DAY] = encode(rtc, tm.tm_mday);
    rtc->cmos[MONTH] = encode(rtc, tm.tm_mon + 1);
    rtc->cmos[YEAR] = encode(rtc, year % 100);
    rtc->cmos[CENTURY] = encode(rtc, year / 100);
}

static int64_t load_time(const Mc146818 *rtc)
{
    struct tm tm = {
        .tm_sec = decode(rtc, rtc->cmos[SECONDS]),
        .tm_min = decode(rtc, rtc->cmos[MINUTES]),
        .tm_hour = decode_hour(rtc, rtc->cmos[HOURS]),
        .tm_mday = decode(rtc, rtc->cmos[DAY]),
        .tm_mon = (int)decode(rtc, rtc->cmos[MONTH]) - 1,
        .tm_year =
            (int)(decode(rtc, rtc->cmos[CENTURY]) * 100 + decode(rtc, rtc->cmos[YEAR])) - 1900,
    };

    return timegm(&tm);
}

/* The time goes on from the registers, `fraction` into the second. */
static void start_time(Mc146818 *rtc, int64_t fraction)
{
    int64_t seconds = load_time(rtc), ahead = seconds - ERA_FIRST_S;
    int64_t apart_s = offset_s(rtc);

    rtc->era = (int32_t)(ahead / ERA_S - (ahead % ERA_S < 0));
    seconds -= rtc->era * ERA_S;
    rtc->offset_ns = seconds * NS_PER_S + fraction - clock_rtc_ns(rtc->device.machine);
    rtc->seen_s = seconds;
    if (offset_s(rtc) != apart_s) {
        rtc_changed(&rtc->device, offset_s(rtc));
    }
}

/* Alarms. */

static bool alarm_matches(const Mc146818 *rtc, unsigned alarm, unsigned value)
{
    uint8_t wanted = rtc->cmos[alarm];

    if ((wanted & ALARM_ANY) == ALARM_ANY) {
        return true;
    }
    return (alarm == HOURS_ALARM ? decode_hour(rtc, wanted) : decode(rtc, wanted)) == value;
}

/* The first second after `from` at which the alarm goes off, or -1: its registers hold no time. */
static int64_t next_alarm_s(const Mc146818 *rtc, int64_t from)
{
    enum { DAY_S = 24 * 60 * 60 };
    int64_t at = from + 1;

    while (at <= from + DAY_S) {
        unsigned second = (unsigned)(((at % DAY_S) + DAY_S) % DAY_S);

        if (!alarm_matches(rtc, HOURS_ALARM, second / 3600)) {
            at += 3600 - second % 3600;
        } else if (!alarm_matches(rtc, MINUTES_ALARM, second / 60 % 60)) {
            at += 60 - second % 60;
        } else if (!alarm_matches(rtc, SECONDS_ALARM, second % 60)) {
            at++;
        } else {
            return at;
        }
    }
    return -1;
}

/* The periodic interrupt. */

/* In ticks of 32,768 Hz; 0: off. */
static unsigned period(const Mc146818 *rtc)
{
    unsigned rate = rtc->cmos[REGISTER_A] & A_RATE;

    if (rate == 0 || !divider_runs(rtc)) {
        return 0;
    }
    return 1u << (rate <= 2 ? rate + 6 : rate - 1);
}

static int64_t periods_now(const Mc146818 *rtc)
{
    return (int64_t)((__int128)clock_now_ns(rtc->device.machine) * 32768 / NS_PER_S) / period(rtc);
}

/* Flags and interrupts. */

static void update_irq(Mc146818 *rtc)
{
    uint8_t *c = &rtc->cmos[REGISTER_C];

    *c = (*c & IRQ_ALL) | (*c & rtc->cmos[REGISTER_B] & IRQ_ALL ? IRQ_ANY : 0);
    irq_set(&rtc->irq, *c & IRQ_ANY ? 1 : 0);
}

/* Sets the flags of what has happened since the last time, and the line: no timer comes for a flag that is set. */
static void catch_up(Mc146818 *rtc)
{
    uint8_t *c = &rtc->cmos[REGISTER_C];
    int64_t now_s = floor_s(guest_ns(rtc)), alarm_s;

    if (runs(rtc) && now_s != rtc->seen_s) {
        alarm_s = next_alarm_s(rtc, rtc->seen_s);
        *c |= IRQ_UPDATE;
        if (alarm_s >= 0 && alarm_s <= now_s) {
            *c |= IRQ_ALARM;
            if (rtc->cmos[REGISTER_B] & IRQ_ALARM) {
                machine_request_wakeup(rtc->device.machine, WAKE_RTC);
            }
        }
        rtc->seen_s = now_s;
    }
    if (period(rtc) && !(rtc->cmos[REGISTER_B] & IRQ_PERIODIC) &&
        periods_now(rtc) > rtc->seen_tick) {
        *c |= IRQ_PERIODIC;
        rtc->seen_tick = periods_now(rtc);
    }
    update_irq(rtc);
}

/* When an enabled flag that is clear will be set next. */
static void arm(Mc146818 *rtc)
{
    uint8_t wanted = rtc->cmos[REGISTER_B] & ~rtc->cmos[REGISTER_C];
    int64_t now = guest_ns(rtc), at_s = -1;

    if (runs(rtc) && wanted & IRQ_UPDATE) {
        at_s = floor_s(now) + 1;
    } else if (runs(rtc) && wanted & IRQ_ALARM) {
        at_s = next_alarm_s(rtc, floor_s(now));
    }
    if (at_s < 0) {
        timer_cancel(&rtc->timer);
    } else {
        timer_arm(&rtc->timer, clock_now_ns(rtc->device.machine) + at_s * NS_PER_S - now);
    }
}

static void expire(void *opaque)
{
    Mc146818 *rtc = opaque;

    catch_up(rtc);
    arm(rtc);
}

static void arm_periodic(Mc146818 *rtc)
{
    __int128 ticks;

    if (!period(rtc) || !(rtc->cmos[REGISTER_B] & IRQ_PERIODIC)) {
        timer_cancel(&rtc->periodic);
        return;
    }
    ticks = ((__int128)rtc->seen_tick + 1) * period(rtc);
    timer_arm(&rtc->periodic, (int64_t)((ticks * NS_PER_S + 32767) / 32768));
}

static void start_periodic(Mc146818 *rtc)
{
    rtc->seen_tick = period(rtc) ? periods_now(rtc) : 0;
    rtc->lost = rtc->reinjected = 0;
    arm_periodic(rtc);
}

static void expire_periodic(void *opaque)
{
    Mc146818 *rtc = opaque;
    int64_t now = periods_now(rtc), passed = now - rtc->seen_tick;

    if (passed > 0) {
        bool unseen = rtc->cmos[REGISTER_C] & IRQ_PERIODIC;

        if (rtc->lost_ticks == LOST_SLEW || rtc->device.machine->config.rtc_driftfix) {
            rtc->lost = (uint32_t)MIN(rtc->lost + passed - !unseen, LOST_MAX);
        }
        rtc->reinjected = 0;
        rtc->seen_tick = now;
        rtc->cmos[REGISTER_C] |= IRQ_PERIODIC;
        update_irq(rtc);
    }
    arm_periodic(rtc);
}

static uint8_t read_c(Mc146818 *rtc)
{
    uint8_t value;

    catch_up(rtc);
    value = rtc->cmos[REGISTER_C];
    rtc->cmos[REGISTER_C] = 0;
    update_irq(rtc);
    arm(rtc);
    if (rtc->lost && rtc->cmos[REGISTER_B] & IRQ_PERIODIC && rtc->reinjected < REINJECT_IN_A_ROW) {
        rtc->lost--;
        rtc->reinjected++;
        rtc->cmos[REGISTER_C] = IRQ_PERIODIC;
        update_irq(rtc);
    }
    return value;
}

static void write_a(Mc146818 *rtc, uint8_t value)
{
    bool ran = runs(rtc);

    if (ran) {
        catch_up(rtc);
        store_time(rtc, floor_s(guest_ns(rtc)));
    }
    rtc->cmos[REGISTER_A] = value & ~A_UPDATING;
    if (runs(rtc) && !ran) {
        start_time(rtc, NS_PER_S /
                            2); /* the first update comes half a second after the divider starts */
    }
    start_periodic(rtc);
    arm(rtc);
    update_irq(rtc);
}

static void write_b(Mc146818 *rtc, uint8_t value)
{
    uint8_t old = rtc->cmos[REGISTER_B];
    bool ran = runs(rtc);

    if (ran) {
        catch_up(rtc);
        if (value & B_SET) {
            store_time(rtc, floor_s(guest_ns(rtc)));
        }
    }
    if (value & B_SET) {
        value &= ~IRQ_UPDATE;
    }
    rtc->cmos[REGISTER_B] = value;
    if (runs(rtc) && !ran) {
        start_time(rtc, fraction_ns(guest_ns(rtc)));
    }
    if ((old ^ value) & IRQ_PERIODIC) {
        start_periodic(rtc);
    }
    update_irq(rtc);
    arm(rtc);
}

static bool is_time(unsigned index)
{
    return index == SECONDS || index == MINUTES || index == HOURS ||
           (index >= WEEKDAY && index <= YEAR) || index == CENTURY;
}

static void write_time(Mc146818 *rtc, unsigned index, uint8_t value)
{
    int64_t now = guest_ns(rtc);

    if (runs(rtc)) {
        catch_up(rtc);
        store_time(rtc, floor_s(now));
    }
    rtc->cmos[index] = value;
    if (runs(rtc)) {
        start_time(rtc, fraction_ns(now));
        arm(rtc);
    }
}

/* The ports. */

static unsigned selected(const Mc146818 *rtc)
{
    return rtc->index == MC146818RTC_CENTURY_PS2 ? CENTURY : rtc->index;
}

static uint64_t data_read(Device *device, unsigned unused)
{
    Mc146818 *rtc = mc146818(device);
    unsigned index = selected(rtc);
    int64_t now = guest_ns(rtc);

    if (is_time(index) && runs(rtc)) {
        store_time(rtc, floor_s(now));
    }
    switch (index) {
    case REGISTER_A:
        return rtc->cmos[index] |
               (runs(rtc) && fraction_ns(now) >= NS_PER_S - UPDATE_AHEAD_NS ? A_UPDATING : 0);
    case REGISTER_C:
        return read_c(rtc);
    default:
        return rtc->cmos[index];
    }
}

static void data_write(Device *device, unsigned unused, uint64_t value)
{
    Mc146818 *rtc = mc146818(device);
    unsigned index = selected(rtc);

    switch (index) {
    case REGISTER_A:
        write_a(rtc, (uint8_t)value);
        break;
    case REGISTER_B:
        write_b(rtc, (uint8_t)value);
        break;
    case REGISTER_C:
    case REGISTER_D:
        break; /* read-only */
    case SECONDS_ALARM:
    case MINUTES_ALARM:
    case HOURS_ALARM:
        catch_up(rtc);
        rtc->cmos[index] = (uint8_t)value;
        arm(rtc);
        break;
    default:
        if (is_time(index)) {
            write_time(rtc, index, (uint8_t)value);
        } else {
            rtc->cmos[index] = (uint8_t)value;
        }
    }
}

static uint64_t index_read(Device *device, unsigned unused)
{
    return 0xff; /* write-only, without a complaint: software reads it back */
}

/* clang-format off */
static const Register rtc_registers[] = {
    { "INDEX", 0, 1, REGISTER_RW | REGISTER_LATE, .field = offsetof(Mc146818, index), .writable = 0x7f, .read = index_read },
    { "DATA", 1, 1, REGISTER_RW, .field = REGISTER_NO_FIELD, .read = data_read, .write = data_write },
    { 0 },
};
/* clang-format on */

void mc146818rtc_set_cmos(Device *device, unsigned index, uint8_t value)
{
    g_assert(index >= CMOS_FIRST && index < MC146818RTC_CMOS_BYTES);
    mc146818(device)->cmos[index] = value;
}

uint8_t mc146818rtc_get_cmos(Device *device, unsigned index)
{
    g_assert(index < MC146818RTC_CMOS_BYTES);
    return mc146818(device)->cmos[index];
}

static bool mc146818rtc_realize(Device *device, GError **error)
{
    Mc146818 *rtc = mc146818(device);

    rtc->cmos[REGISTER_A] = A_DIVIDER_32K | 6; /* 1024 Hz */
    rtc->cmos[REGISTER_B] = B_24_HOURS;
    rtc->cmos[REGISTER_D] = D_VALID;
    timer_init(&rtc->timer, device->machine, expire, rtc);
    timer_init(&rtc->periodic, device->machine, expire_periodic, rtc);
    device_add_irq(device, &rtc->irq);
    return true;
}

static void mc146818rtc_unrealize(Device *device)
{
    timer_cancel(&mc146818(device)->timer);
    timer_cancel(&mc146818(device)->periodic);
}

static void mc146818rtc_drop_ticks(Device *device)
{
    mc146818(device)->lost = 0;
}

/* The RESET pin leaves time and memory alone. */
static void mc146818rtc_reset(Device *device)
{
    Mc146818 *rtc = mc146818(device);

    rtc->cmos[REGISTER_B] &= ~(IRQ_ALL | B_SQUARE_WAVE);
    rtc->cmos[REGISTER_C] = 0;
    rtc->index = 0;
    rtc->seen_s = 0;
    if (runs(rtc)) {
        rtc->seen_s = floor_s(guest_ns(rtc));
    }
    start_periodic(rtc);
    arm(rtc);
    update_irq(rtc);
}

/* It may be centuries, of which saved times in general are not (machine/state.c): what was not saved by us is brought into the era. */
static uint64_t save_offset(const void *instance)
{
    return (uint64_t)((const Mc146818 *)instance)->offset_ns;
}

static void load_offset(void *instance, uint64_t value)
{
    Mc146818 *rtc = instance;
    int64_t now_ns = clock_rtc_ns(rtc->device.machine);
    __int128 guest = (__int128)now_ns + (int64_t)value;

    guest = CLAMP(guest, ERA_FIRST_S * NS_PER_S, ERA_LAST_S * NS_PER_S);
    rtc->offset_ns = (int64_t)(guest - now_ns);
}

static void mc146818rtc_state_loaded(Device *device)
{
    Mc146818 *rtc = mc146818(device);

    arm(rtc);
    update_irq(rtc);
}

static const DeviceType mc146818rtc_type = {
    .name = "mc146818rtc",
    .summary = "PC real-time clock and CMOS memory",
    .board_only = true,
    .instance_size = sizeof(Mc146818),
    .properties =
        (const Property[]){
            { "lost_tick_policy", PROPERTY_ENUM, offsetof(Mc146818, lost_ticks),
              "what becomes of periodic interrupts that are late: slew delivers all of them",
              "discard", lost_ticks_names },
            { 0 } },
    .banks =
        (const RegisterBank[]){
            { .name = "rtc", .size = 2, .registers = rtc_registers, .ports = true }, { 0 } },
    .state = (const StateField[]){ STATE_KEPT(Mc146818, cmos),
                                   STATE_VALUE_KEPT("offset_ns", save_offset, load_offset),
                                   STATE_KEPT(Mc146818, era),
                                   STATE_KEPT(Mc146818, seen_s),
                                   STATE_KEPT(Mc146818, seen_tick),
                                   STATE_MOST(Mc146818, index, MC146818RTC_CMOS_BYTES - 1),
                                   STATE(Mc146818, lost),
                                   STATE(Mc146818, reinjected),
                                   STATE_DERIVED(Mc146818, timer), /* in the host's time */
                                   STATE_TIMER(Mc146818, periodic),
                                   { 0 } },
    .realize = mc146818rtc_realize,
    .unrealize = mc146818rtc_unrealize,
    .reset = mc146818rtc_reset,
    .drop_ticks = mc146818rtc_drop_ticks,
    .state_loaded = mc146818rtc_state_loaded,
};
DEVICE_TYPE(mc146818rtc_type);
