/* SPDX-License-Identifier: MIT */
/*
 * ARM PrimeCell real-time clock PL031 (ARM DDI 0224C): seconds since 1970 and one alarm.
 * The clock cannot be stopped, as RTCCR of the data sheet says.
 */
#include "machine/clock.h"
#include "machine/device.h"
#include "machine/rtc.h"

#define NS_PER_S INT64_C(1000000000)

typedef struct {
    Device device;
    IrqLine irq;
    Timer alarm;
    uint32_t mr, lr, imsc, ris;
    uint32_t offset_s; /* what a write of RTCLR has set the clock apart from the machine's */
} Pl031;

static Pl031 *pl031(Device *device)
{
    return container_of(device, Pl031, device);
}

static uint32_t pl031_now_s(const Pl031 *rtc)
{
    return (uint32_t)(clock_rtc_ns(rtc->device.machine) / NS_PER_S) + rtc->offset_s;
}

static void pl031_update_irq(Pl031 *rtc)
{
    irq_set(&rtc->irq, (rtc->ris & rtc->imsc) != 0);
}

static void pl031_expire(void *opaque)
{
    Pl031 *rtc = opaque;

    rtc->ris = 1;
    pl031_update_irq(rtc);
}

/* The alarm is at the start of second `mr`; in the past means after the counter wraps. */
static void pl031_arm(Pl031 *rtc)
{
    Machine *machine = rtc->device.machine;
    int64_t into_second = clock_rtc_ns(machine) % NS_PER_S;
    uint32_t ahead_s = rtc->mr - pl031_now_s(rtc);

    if (ahead_s == 0) {
        timer_cancel(&rtc->alarm);
        pl031_expire(rtc);
    } else {
        timer_arm(&rtc->alarm, clock_now_ns(machine) + ahead_s * NS_PER_S - into_second);
    }
}

static uint64_t dr_read(Device *device, unsigned index)
{
    return pl031_now_s(pl031(device));
}

static void mr_write(Device *device, unsigned index, uint64_t value)
{
    pl031(device)->mr = (uint32_t)value;
    pl031_arm(pl031(device));
}

static void lr_write(Device *device, unsigned index, uint64_t value)
{
    Pl031 *rtc = pl031(device);

    rtc->lr = (uint32_t)value;
    rtc->offset_s += rtc->lr - pl031_now_s(rtc);
    pl031_arm(rtc);
    rtc_changed(device, (int32_t)rtc->offset_s);
}

static uint64_t cr_read(Device *device, unsigned index)
{
    return 1;
}

static void cr_write(Device *device, unsigned index, uint64_t value)
{
}

static void imsc_write(Device *device, unsigned index, uint64_t value)
{
    pl031(device)->imsc = value & 1;
    pl031_update_irq(pl031(device));
}

static uint64_t mis_read(Device *device, unsigned index)
{
    return pl031(device)->ris & pl031(device)->imsc;
}

static void icr_write(Device *device, unsigned index, uint64_t value)
{
    pl031(device)->ris &= ~(uint32_t)value;
    pl031_update_irq(pl031(device));
}

/* PeriphID0 to 3, PCellID0 to 3. */
static const uint8_t pl031_ids[8] = { 0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };

static const Register pl031_registers[] = {
    { .name = "RTCDR",
      .offset = 0x00,
      .width = 4,
      .access = REGISTER_R,
      .field = REGISTER_NO_FIELD,
      .read = dr_read },
    { .name = "RTCMR",
      .offset = 0x04,
      .width = 4,
      .access = REGISTER_RW,
      .field = offsetof(Pl031, mr),
      .write = mr_write },
    { .name = "RTCLR",
      .offset = 0x08,
      .width = 4,
      .access = REGISTER_RW,
      .field = offsetof(Pl031, lr),
      .write = lr_write },
    { .name = "RTCCR",
      .offset = 0x0c,
      .width = 4,
      .access = REGISTER_RW,
      .field = REGISTER_NO_FIELD,
      .read = cr_read,
      .write = cr_write },
    { .name = "RTCIMSC",
      .offset = 0x10,
      .width = 4,
      .access = REGISTER_RW,
      .field = offsetof(Pl031, imsc),
      .write = imsc_write },
    { .name = "RTCRIS",
      .offset = 0x14,
      .width = 4,
      .access = REGISTER_R,
      .field = offsetof(Pl031, ris) },
    { .name = "RTCMIS",
      .offset = 0x18,
      .width = 4,
      .access = REGISTER_R,
      .field = REGISTER_NO_FIELD,
      .read = mis_read },
    { .name = "RTCICR",
      .offset = 0x1c,
      .width = 4,
      .access = REGISTER_W,
      .field = REGISTER_NO_FIELD,
      .write = icr_write },
    { .name = "RTCID",
      .offset = 0xfe0,
      .width = 4,
      .access = REGISTER_R,
      .count = 8,
      .field = REGISTER_NO_FIELD,
      .constants = pl031_ids },
    { 0 },
};

static bool pl031_realize(Device *device, GError **error)
{
    Pl031 *rtc = pl031(device);

    timer_init(&rtc->alarm, device->machine, pl031_expire, rtc);
    device_add_irq(device, &rtc->irq);
    return true;
}

static void pl031_unrealize(Device *device)
{
    timer_cancel(&pl031(device)->alarm);
}

static void pl031_reset(Device *device)
{
    Pl031 *rtc = pl031(device);

    timer_cancel(&rtc->alarm);
    rtc->offset_s = 0;
    pl031_update_irq(rtc);
}

static void pl031_state_loaded(Device *device)
{
    Pl031 *rtc = pl031(device);

    timer_cancel(&rtc->alarm);
    if (rtc->mr) {
        pl031_arm(rtc);
    }
}

static const DeviceType pl031_type = {
    .name = "pl031",
    .summary = "ARM PrimeCell real-time clock",
    .board_only = true,
    .instance_size = sizeof(Pl031),
    .state = (const StateField[]){ STATE(Pl031, mr),
                                   STATE(Pl031, lr),
                                   STATE(Pl031, imsc),
                                   STATE(Pl031, ris),
                                   STATE(Pl031, offset_s),
                                   STATE_DERIVED(Pl031, alarm), /* in the host's time */
                                   { 0 } },
    .banks =
        (const RegisterBank[]){
            { .name = "pl031", .size = 0x1000, .registers = pl031_registers, .size_max = 4 },
            { 0 } },
    .realize = pl031_realize,
    .unrealize = pl031_unrealize,
    .reset = pl031_reset,
    .state_loaded = pl031_state_loaded,
};
DEVICE_TYPE(pl031_type);
