/* SPDX-License-Identifier: MIT */
/*
 * Watchdog of iBASE's IB700 boards (its manual's "watchdog timer"): a write to one port starts it with 30, 28 … 0 seconds by the
 * value, a write to another stops it.
 */
#include "hw/isa/isa.h"
#include "machine/clock.h"
#include "machine/watchdog.h"

enum { STOP_PORT = 0x441, START_PORT = 0x443, LONGEST_S = 30, STEP_S = 2 };

typedef struct {
    Device device;
    Timer timer;
} Ib700;

static void expired(void *opaque)
{
    Ib700 *w = opaque;

    watchdog_expired(w->device.machine, "ib700");
}

static void write_start(Device *device, unsigned index, uint64_t value)
{
    Ib700 *w = container_of(device, Ib700, device);

    timer_arm(&w->timer, clock_now_ns(device->machine) +
                             (int64_t)(LONGEST_S - STEP_S * (value & 15)) * 1000000000);
}

static void write_stop(Device *device, unsigned index, uint64_t value)
{
    timer_cancel(&container_of(device, Ib700, device)->timer);
}

static const Register stop_register[] = {
    { "STOP", 0, 1, REGISTER_W, .field = REGISTER_NO_FIELD, .write = write_stop },
    { 0 },
};

static const Register start_register[] = {
    { "START", 0, 1, REGISTER_W, .field = REGISTER_NO_FIELD, .write = write_start,
      .summary = "0: 30 s, 1: 28 s … 15: at once" },
    { 0 },
};

static bool realize(Device *device, GError **error)
{
    Ib700 *w = container_of(device, Ib700, device);

    timer_init(&w->timer, device->machine, expired, w);
    isa_map_io(device, 0, STOP_PORT);
    isa_map_io(device, 1, START_PORT);
    return true;
}

static void unrealize(Device *device)
{
    timer_cancel(&container_of(device, Ib700, device)->timer);
}

static void reset(Device *device)
{
    write_stop(device, 0, 0);
}

static const DeviceType ib700 = {
    .name = "ib700",
    .summary = "Watchdog of IB700 boards",
    .bus = "isa",
    .category = "misc",
    .instance_size = sizeof(Ib700),
    .state = (const StateField[]){ STATE_TIMER(Ib700, timer), { 0 } },
    .banks =
        (const RegisterBank[]){
            { .name = "ib700-stop", .size = 1, .registers = stop_register, .ports = true },
            { .name = "ib700-start", .size = 1, .registers = start_register, .ports = true },
            { 0 } },
    .realize = realize,
    .unrealize = unrealize,
    .reset = reset,
};
DEVICE_TYPE(ib700);
