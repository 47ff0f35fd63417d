/* SPDX-License-Identifier: MIT */
/*
 * Interval timer 8254 (Intel 231164) and the port 0x61 of a PC/AT that gates its third channel and the speaker.
 *
 * Nothing counts: a channel's count and output follow from the time since it was started. Only channel 0, whose
 * output is an interrupt, has a timer.
 */
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "machine/arch/x86-chips.h"
#include "machine/audio.h"
#include "machine/clock.h"
#include "machine/device.h"
#include "machine/irq-ticks.h"
#include "machine/machine.h"

enum { CHANNELS = X86_PIT_CHANNELS, SPEAKER = 2, PIT_HZ = 1193182 };
#define NS_PER_S INT64_C(1000000000)
/* The shortest time between two interrupts, whatever the guest programs. */
#define SHORTEST_PERIOD_NS INT64_C(20000)
enum {
    SPEAKER_GATE = 1 << 0,
    SPEAKER_DATA = 1 << 1,
    SPEAKER_RATE = 48000,
    SPEAKER_IDLE = SPEAKER_RATE / 10
};
#define SPEAKER_LEVEL 0.25f /* of full scale */
/* Port 0x61, bit 4 changes with each refresh of the memory: 15.085 us. */
#define REFRESH_NS INT64_C(15085)

enum { READ_BACK_NO_COUNT = 1 << 5, READ_BACK_NO_STATUS = 1 << 4 };

typedef X86PitChannel Channel;

typedef struct {
    Device device;
    IrqLine irq;
    Timer timer;
    IrqTicks ticks;
    int lost_ticks; /* property: LostTicks */
    bool in_kernel; /* the host's kernel has it: the fields below are as it was at the last stop */
    Channel channel[CHANNELS];
    int64_t edges;      /* of channel 0's output, that were delivered since it was started */
    uint8_t level;      /* of the interrupt */
    uint8_t speaker;    /* port 0x61, bits 3:0 */
    Audiodev *audiodev; /* property; NULL: the speaker is silent */
    AudioStream *sound;
    int64_t sound_ns; /* when the next frame of the speaker is */
    uint32_t
        sound_idle; /* frames since it moved; SPEAKER_IDLE: it is left alone until it is used again */
} IsaPit;

typedef enum { LOST_TICKS_DELAY, LOST_TICKS_DISCARD } LostTicks;
static const char *const lost_ticks_names[] = { "delay", "discard", NULL };

static IsaPit *isa_pit(Device *device)
{
    return container_of(device, IsaPit, device);
}

static int64_t to_ticks(int64_t ns)
{
    return (int64_t)((__int128)ns * PIT_HZ / NS_PER_S);
}

static int64_t ns_of_frames(size_t frames)
{
    return (int64_t)frames * NS_PER_S / SPEAKER_RATE;
}

/* The first moment at which as many ticks have passed. */
static int64_t to_ns(int64_t ticks)
{
    return (int64_t)(((__int128)ticks * NS_PER_S + PIT_HZ - 1) / PIT_HZ);
}

static bool is_periodic(const Channel *c)
{
    return c->mode == 2 || c->mode == 3;
}

static bool runs(const Channel *c)
{
    return c->loaded && (c->triggered || (c->mode != 1 && c->mode != 5));
}

/* A new count is taken one tick after it was written; it is where one starts from. */
static int64_t ticks_passed(const Channel *c, int64_t now_ns)
{
    if (c->stopped_ticks >= 0) {
        return c->stopped_ticks;
    }
    return MAX(to_ticks(now_ns - c->start_ns) - 1, 0);
}

static uint16_t to_bcd(uint32_t value)
{
    return (uint16_t)(value % 10 | value / 10 % 10 << 4 | value / 100 % 10 << 8 |
                      value / 1000 % 10 << 12);
}

static uint32_t from_bcd(uint16_t value)
{
    return (value & 0xf) + (value >> 4 & 0xf) * 10u + (value >> 8 & 0xf) * 100u +
           (value >> 12) * 1000u;
}

static uint16_t count_now(const Channel *c, int64_t now_ns)
{
    int64_t wrap = c->bcd ? 10000 : 0x10000, passed = ticks_passed(c, now_ns), left;

    if (!runs(c)) {
        left = c->count % wrap;
    } else if (c->mode == 2) {
        left = c->count - passed % c->count;
    } else if (c->mode == 3) {
        /* Counts by twos, twice in a period. */
        int64_t half = (c->count + 1) / 2, into = passed % c->count;

        left = (c->count & ~1u) - 2 * (into < half ? into : into - half);
    } else {
        left = ((c->count - passed) % wrap + wrap) % wrap;
    }
    return c->bcd ? to_bcd((uint32_t)(left % wrap)) : (uint16_t)left;
}

static bool output_now(const Channel *c, int64_t now_ns)
{
    int64_t passed = ticks_passed(c, now_ns);

    if (!runs(c)) {
        return c->mode != 0;
    }
    switch (c->mode) {
    case 0:
    case 1:
        return passed >= c->count;
    case 2:
        return !c->gate || passed % c->count != c->count - 1;
    case 3:
        return !c->gate || passed % c->count < (c->count + 1) / 2;
    default:
        return passed != c->count;
    }
}

/* Channel 0's interrupt. */

/* When the output rises for the nth time, from 0; only periodic modes have a second. */
static int64_t edge_ns(const Channel *c, int64_t n)
{
    int64_t first = c->mode == 4 || c->mode == 5 ? (int64_t)c->count + 1 : c->count;

    return c->start_ns + to_ns(1 + first + n * c->count);
}

static void set_irq(IsaPit *pit, int level)
{
    pit->level = level;
    irq_set(&pit->irq, level);
}

/* Channel 0 was programmed or gated: its output is what it is now, and its next edge is ahead. */
static void restart_interrupt(IsaPit *pit, int64_t now_ns)
{
    const Channel *c = &pit->channel[0];

    set_irq(pit, output_now(c, now_ns));
    pit->edges = 0;
    irq_ticks_clear(&pit->ticks);
    if (runs(c) && c->stopped_ticks < 0) {
        timer_arm(&pit->timer, edge_ns(c, 0));
    } else {
        timer_cancel(&pit->timer);
    }
}

static void raise_tick(void *opaque)
{
    set_irq(opaque, 0);
    set_irq(opaque, 1);
}

/* Of a periodic mode: how many edges have come since the last time, or one for all of them. */
static int64_t take_edges(IsaPit *pit, int64_t now_ns)
{
    const Channel *c = &pit->channel[0];
    int64_t edges = MAX(to_ticks(now_ns - c->start_ns) - 1, 0) / c->count - pit->edges;
    bool merge = pit->lost_ticks == LOST_TICKS_DISCARD || to_ns(c->count) < SHORTEST_PERIOD_NS;

    pit->edges += edges;
    return merge ? MIN(edges, 1) : edges;
}

static void expire(void *opaque)
{
    IsaPit *pit = opaque;
    const Channel *c = &pit->channel[0];
    int64_t now_ns = clock_now_ns(pit->device.machine), period_ns = to_ns(c->count), next_ns;
    int64_t count = is_periodic(c) ? take_edges(pit, now_ns) : 1;
    bool again = false;

    if (!is_periodic(c) || pit->lost_ticks == LOST_TICKS_DISCARD) {
        if (count) {
            raise_tick(pit);
        }
    } else {
        again = irq_ticks_add(&pit->ticks, &pit->irq, (uint64_t)count, period_ns);
    }
    if (is_periodic(c)) {
        next_ns = edge_ns(c, pit->edges);
        next_ns = again ? MIN(next_ns, now_ns + period_ns / 2) : next_ns;
        timer_arm(&pit->timer, period_ns < SHORTEST_PERIOD_NS
                                   ? MAX(next_ns, now_ns + SHORTEST_PERIOD_NS)
                                   : next_ns);
    }
}

/* The speaker. */

/* What part of [at_ns, at_ns + a frame) channel 2's output is high. */
static float output_share(const Channel *c, int64_t at_ns)
{
    /* In parts of a tick, NS_PER_S of them. */
    __int128 passed = (__int128)(at_ns - c->start_ns) * PIT_HZ - NS_PER_S;
    int64_t period = c->count * NS_PER_S, high = (c->count + 1) / 2 * NS_PER_S;
    int64_t frame = PIT_HZ * NS_PER_S / SPEAKER_RATE, from, to, sum;

    if (c->mode != 3 || !runs(c) || !c->gate || passed < 0) {
        return output_now(c, at_ns);
    }
    if (period < 2 * frame) {
        return 0.5f; /* nobody hears that */
    }
    from = (int64_t)(passed % period);
    to = from + frame;
    sum = MAX(MIN(to, high) - MIN(from, high), 0);
    sum += to > period ? MIN(to - period, high) : 0;
    return (float)sum / (float)frame;
}

static size_t speaker_play(void *opaque, void *data, size_t frames)
{
    IsaPit *pit = opaque;
    bool on = pit->speaker & SPEAKER_DATA;
    float *samples = data;
    size_t n;

    for (n = 0; n < frames && pit->sound_idle < SPEAKER_IDLE; n++) {
        float share =
            on ? output_share(&pit->channel[SPEAKER], pit->sound_ns + ns_of_frames(n)) : 0;

        pit->sound_idle = on ? 0 : pit->sound_idle + 1;
        samples[n] = share * SPEAKER_LEVEL;
    }
    pit->sound_ns += ns_of_frames(n);
    return n;
}

static const AudioClient speaker_client = { .play = speaker_play };

/* Before the speaker is used: it has sounded as it was until now. */
static void speaker_update(IsaPit *pit)
{
    static const AudioSettings settings = { AUDIO_FORMAT_F32, SPEAKER_RATE, 1 };

    if (!pit->sound) {
        return;
    }
    audio_stream_update(pit->sound);
    if (pit->sound_idle >= SPEAKER_IDLE) {
        pit->sound_ns = clock_now_ns(pit->device.machine);
        pit->sound_idle = 0;
        audio_stream_start(pit->sound, &settings);
        audio_stream_wake(pit->sound);
    }
}

/* Registers. */

static void set_gate(Channel *c, bool level, int64_t now_ns)
{
    bool suspends = c->mode == 0 || c->mode == 4;

    if (level == c->gate) {
        return;
    }
    if (!level) {
        c->stopped_ticks = c->mode == 1 || c->mode == 5 ? -1 : ticks_passed(c, now_ns);
    } else if (suspends) {
        c->start_ns = now_ns - to_ns(MAX(c->stopped_ticks, 0) + 1);
        c->stopped_ticks = -1;
    } else {
        c->start_ns = now_ns;
        c->stopped_ticks = -1;
        c->triggered = 1;
    }
    c->gate = level;
}

static void load(IsaPit *pit, unsigned n, uint16_t value)
{
    Channel *c = &pit->channel[n];
    int64_t now_ns = clock_now_ns(pit->device.machine);

    if (n == SPEAKER && pit->speaker & SPEAKER_DATA) {
        speaker_update(pit);
    }
    c->count = c->bcd ? from_bcd(value) : value;
    if (c->count == 0) {
        c->count = c->bcd ? 10000 : 0x10000;
    }
    c->loaded = 1;
    if (!c->triggered || (c->mode != 1 && c->mode != 5)) {
        c->start_ns = now_ns;
        c->stopped_ticks = c->gate || c->mode == 1 || c->mode == 5 ? -1 : 0;
    }
    if (n == 0) {
        restart_interrupt(pit, now_ns);
    }
}

static void latch_count(Channel *c, int64_t now_ns)
{
    if (!c->latched_bytes) {
        c->latched = count_now(c, now_ns);
        c->latched_bytes = c->access == PIT_ACCESS_PAIR ? 2 : 1;
    }
}

static void latch_status(Channel *c, int64_t now_ns)
{
    if (!c->status_latched) {
        c->status =
            output_now(c, now_ns) << 7 | !c->loaded << 6 | c->access << 4 | c->mode << 1 | c->bcd;
        c->status_latched = 1;
    }
}

static void read_back(IsaPit *pit, uint8_t value)
{
    int64_t now_ns = clock_now_ns(pit->device.machine);

    for (unsigned n = 0; n < CHANNELS; n++) {
        if (!(value >> (n + 1) & 1)) {
            continue;
        }
        if (!(value & READ_BACK_NO_COUNT)) {
            latch_count(&pit->channel[n], now_ns);
        }
        if (!(value & READ_BACK_NO_STATUS)) {
            latch_status(&pit->channel[n], now_ns);
        }
    }
}

static void control_write(Device *device, unsigned index, uint64_t value)
{
    IsaPit *pit = isa_pit(device);
    int64_t now_ns = clock_now_ns(device->machine);
    unsigned n = value >> 6, access = value >> 4 & 3;
    Channel *c;

    if (n == CHANNELS) {
        read_back(pit, (uint8_t)value);
        return;
    }
    c = &pit->channel[n];
    if (access == PIT_ACCESS_LATCH) {
        latch_count(c, now_ns);
        return;
    }
    if (n == SPEAKER && pit->speaker & SPEAKER_DATA) {
        speaker_update(pit);
    }
    c->access = access;
    c->mode = value >> 1 & 7;
    c->mode = c->mode > 5 ? c->mode - 4 : c->mode;
    c->bcd = value & 1;
    c->loaded = c->triggered = c->read_high = c->write_high = 0;
    c->latched_bytes = c->status_latched = 0;
    c->stopped_ticks = -1;
    if (n == 0) {
        restart_interrupt(pit, now_ns);
    }
}

static uint64_t control_read(Device *device, unsigned index)
{
    return 0xff; /* the chip does not drive the bus */
}

static void count_write(Device *device, unsigned n, uint64_t value)
{
    IsaPit *pit = isa_pit(device);
    Channel *c = &pit->channel[n];

    switch (c->access) {
    case PIT_ACCESS_LOW:
        load(pit, n, value & 0xff);
        break;
    case PIT_ACCESS_HIGH:
        load(pit, n, (uint16_t)(value << 8));
        break;
    default:
        if (!c->write_high) {
            c->write_low = (uint8_t)value;
        } else {
            load(pit, n, (uint16_t)(value << 8 | c->write_low));
        }
        c->write_high ^= 1;
    }
}

static uint64_t count_read(Device *device, unsigned n)
{
    Channel *c = &isa_pit(device)->channel[n];
    uint16_t count;
    bool high = c->access == PIT_ACCESS_HIGH;

    if (c->status_latched) {
        c->status_latched = 0;
        return c->status;
    }
    if (c->access == PIT_ACCESS_PAIR) {
        high = c->latched_bytes ? c->latched_bytes == 1 : c->read_high;
    }
    if (c->latched_bytes) {
        count = c->latched;
        c->latched_bytes--;
    } else {
        count = count_now(c, clock_now_ns(device->machine));
        c->read_high ^= 1;
    }
    return high ? count >> 8 : count & 0xff;
}

static uint64_t speaker_read(Device *device, unsigned index)
{
    IsaPit *pit = isa_pit(device);
    int64_t now_ns = clock_now_ns(device->machine);

    return pit->speaker | (now_ns / REFRESH_NS & 1) << 4 |
           (uint64_t)output_now(&pit->channel[SPEAKER], now_ns) << 5;
}

static void speaker_write(Device *device, unsigned index, uint64_t value)
{
    IsaPit *pit = isa_pit(device);

    if ((value ^ pit->speaker) & (SPEAKER_GATE | SPEAKER_DATA)) {
        speaker_update(pit);
    }
    pit->speaker = value & 0xf;
    set_gate(&pit->channel[SPEAKER], value & 1, clock_now_ns(device->machine));
}

/* The host's kernel as the timer. */

static void from_kernel(IsaPit *pit)
{
    X86PitState state;

    if (pit->in_kernel) {
        pit->device.machine->kernel_chips->get_pit(pit->device.machine, &state);
        memcpy(pit->channel, state.channel, sizeof pit->channel);
        pit->speaker = (uint8_t)((pit->channel[SPEAKER].gate ? SPEAKER_GATE : 0) |
                                 (state.speaker ? SPEAKER_DATA : 0));
    }
}

static void to_kernel(const IsaPit *pit)
{
    X86PitState state = { .speaker = pit->speaker & SPEAKER_DATA };

    if (pit->in_kernel) {
        memcpy(state.channel, pit->channel, sizeof state.channel);
        pit->device.machine->kernel_chips->set_pit(pit->device.machine, &state);
    }
}

/* It goes on by the host's time while the machine is stopped; the fields have what it was, for snapshots and to go on with. */
static void run_state_changed(void *opaque, bool running)
{
    if (running) {
        to_kernel(opaque);
    } else {
        from_kernel(opaque);
    }
}

/* Without a sound of its own the kernel does. */
static bool give_to_kernel(IsaPit *pit)
{
    Machine *machine = pit->device.machine;
    const X86KernelChips *chips = machine->kernel_chips;

    return !pit->audiodev && chips && chips->take_pit &&
           chips->take_pit(machine, pit->lost_ticks == LOST_TICKS_DELAY);
}

/* clang-format off */
static const Register pit_registers[] = {
    { "COUNT", 0, 1, REGISTER_RW, .count = CHANNELS, .field = REGISTER_NO_FIELD, .read = count_read, .write = count_write },
    { "CONTROL", 3, 1, REGISTER_RW, .field = REGISTER_NO_FIELD, .read = control_read, .write = control_write },
    { 0 },
};
static const Register speaker_registers[] = {
    { "PORT61", 0, 1, REGISTER_RW, .field = REGISTER_NO_FIELD, .read = speaker_read, .write = speaker_write },
    { 0 },
};
/* clang-format on */

static bool isa_pit_realize(Device *device, GError **error)
{
    IsaPit *pit = isa_pit(device);

    timer_init(&pit->timer, device->machine, expire, pit);
    irq_ticks_init(&pit->ticks, raise_tick, pit);
    device_add_irq(device, &pit->irq);
    if (pit->audiodev) {
        pit->sound = audio_stream_new(pit->audiodev, AUDIO_PLAY, "speaker", &speaker_client, pit);
    }
    pit->in_kernel = give_to_kernel(pit);
    if (pit->in_kernel) {
        machine_on_run_state(device->machine, run_state_changed, pit);
    }
    return true;
}

static void isa_pit_drop_ticks(Device *device)
{
    irq_ticks_clear(&isa_pit(device)->ticks);
}

static void isa_pit_unrealize(Device *device)
{
    machine_forget_run_state(device->machine, isa_pit(device));
    timer_cancel(&isa_pit(device)->timer);
    isa_pit_drop_ticks(device);
    audio_stream_free(isa_pit(device)->sound);
}

/* The 8254 leaves open what it does until it is programmed. It counts as a PC's firmware would have it: 18.2 times a second. */
static void isa_pit_reset(Device *device)
{
    IsaPit *pit = isa_pit(device);
    int64_t now_ns = clock_now_ns(device->machine);

    memset(pit->channel, 0, sizeof pit->channel);
    for (unsigned n = 0; n < CHANNELS; n++) {
        pit->channel[n].count = 0x10000;
        pit->channel[n].loaded = 1;
        pit->channel[n].start_ns = now_ns;
        pit->channel[n].stopped_ticks = n == SPEAKER ? 0 : -1;
        pit->channel[n].mode = 3;
        pit->channel[n].access = PIT_ACCESS_PAIR;
        pit->channel[n].gate = n != SPEAKER;
    }
    pit->speaker = 0;
    pit->edges = 0;
    irq_ticks_clear(&pit->ticks);
    pit->sound_idle = SPEAKER_IDLE;
    if (pit->sound) {
        audio_stream_stop(pit->sound);
    }
    timer_cancel(&pit->timer);
    if (pit->in_kernel) {
        to_kernel(pit);
    } else {
        /* An output that is high from the start is no edge. */
        set_irq(pit, 0);
        timer_arm(&pit->timer, edge_ns(&pit->channel[0], 0));
    }
}

static void isa_pit_state_loaded(Device *device)
{
    IsaPit *pit = isa_pit(device);

    if (pit->in_kernel) {
        timer_cancel(&pit->timer);
        to_kernel(pit);
        return;
    }
    irq_set(&pit->irq, pit->level);
    pit->sound_idle = SPEAKER_IDLE;
    if (pit->speaker & SPEAKER_DATA) {
        speaker_update(pit);
    }
}

static bool isa_pit_state_check(Device *device, GError **error)
{
    for (unsigned n = 0; n < CHANNELS; n++) {
        const Channel *c = &isa_pit(device)->channel[n];

        if (c->count == 0) {
            return error_fail(error, KASO_ERROR_INVALID, "channel %u counts from 0", n);
        }
    }
    return true;
}

static const StateField channel_state[] = {
    STATE(Channel, start_ns),
    STATE(Channel, stopped_ticks),
    STATE_MOST(Channel, count, 0x10000),
    STATE(Channel, latched),
    STATE_MOST(Channel, latched_bytes, 2),
    STATE(Channel, status),
    STATE(Channel, status_latched),
    STATE_MOST(Channel, mode, 5),
    STATE_MOST(Channel, access, PIT_ACCESS_PAIR),
    STATE_MOST(Channel, bcd, 1),
    STATE(Channel, gate),
    STATE(Channel, loaded),
    STATE(Channel, triggered),
    STATE(Channel, read_high),
    STATE_MOST(Channel, write_high, 1),
    STATE(Channel, write_low),
    { 0 },
};

static const DeviceType isa_pit_type = {
    .name = "isa-pit",
    .alias = "kvm-pit",
    .summary = "PC interval timer 8254, with speaker gate",
    .board_only = true,
    .instance_size = sizeof(IsaPit),
    .properties =
        (const Property[]){
            { "lost_tick_policy", PROPERTY_ENUM, offsetof(IsaPit, lost_ticks),
              "what becomes of interrupts that are late: delay delivers them, discard does not",
              "delay", lost_ticks_names },
            { "audiodev", PROPERTY_AUDIODEV, offsetof(IsaPit, audiodev),
              "back end of sound for the speaker; unset: it is silent" },
            { 0 } },
    .banks =
        (const RegisterBank[]){
            { .name = "pit", .size = 4, .registers = pit_registers, .ports = true },
            { .name = "pcspk", .size = 1, .registers = speaker_registers, .ports = true },
            { 0 } },
    .state = (const StateField[]){ STATE_STRUCTS(IsaPit, channel, channel_state),
                                   STATE(IsaPit, edges),
                                   STATE(IsaPit, ticks.owed),
                                   STATE(IsaPit, ticks.in_a_row),
                                   STATE(IsaPit, speaker),
                                   STATE(IsaPit, level),
                                   STATE_TIMER(IsaPit, timer),
                                   STATE_DERIVED(IsaPit, sound_ns),
                                   STATE_DERIVED(IsaPit, sound_idle),
                                   { 0 } },
    .realize = isa_pit_realize,
    .unrealize = isa_pit_unrealize,
    .reset = isa_pit_reset,
    .drop_ticks = isa_pit_drop_ticks,
    .state_check = isa_pit_state_check,
    .state_loaded = isa_pit_state_loaded,
};
DEVICE_TYPE(isa_pit_type);
