/* SPDX-License-Identifier: MIT */
/*
 * ENSONIQ AudioPCI ES1370 ("AudioPCI ES1370 Specification", Ensoniq 1997): two playback channels and one for recording, with
 * frames in memory that are gone through again and again, and an AK4531 codec.
 *
 * Not modelled: the UART, the joystick, SERR and the phantom frame; of the codec the volumes of master and of both DACs.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "hw/pci/pci.h"
#include "machine/audio.h"
#include "machine/machine.h"

enum {
    CHANNEL_DAC1,
    CHANNEL_DAC2,
    CHANNEL_ADC,
    CHANNELS,

    PORTS = 0x100,
    CLASS_AUDIO = 0x040100,
    CODEC_REGISTERS = 32,

    /* CONTROL */
    CONTROL_ADC = 1 << 4,
    CONTROL_DAC2 = 1 << 5,
    CONTROL_DAC1 = 1 << 6,
    CONTROL_DAC1_RATE_SHIFT = 12,
    CONTROL_DIVISOR_SHIFT = 16, /* 13 bits, of DAC2 and ADC */

    /* STATUS */
    STATUS_ADC = 1 << 0,
    STATUS_DAC2 = 1 << 1,
    STATUS_DAC1 = 1 << 2,

    /* SERIAL */
    SERIAL_WIDE = 2, /* of the two bits of each channel; the other is stereo */
    SERIAL_STEREO = 1,
    SERIAL_DAC1_INTERRUPT = 1 << 8,
    SERIAL_DAC2_INTERRUPT = 1 << 9,
    SERIAL_ADC_INTERRUPT = 1 << 10,
    SERIAL_DAC1_PAUSE = 1 << 11,
    SERIAL_DAC2_PAUSE = 1 << 12,
    SERIAL_DAC1_ONCE = 1 << 13,
    SERIAL_DAC2_ONCE = 1 << 14,
    SERIAL_ADC_ONCE = 1 << 15,

    /* The codec: volumes in steps of 2 dB, loudest at 0. */
    AK4531_MASTER_LEFT = 0,
    AK4531_DAC2_LEFT = 2, /* "voice": what the wave output plays */
    AK4531_DAC1_LEFT = 4, /* "FM" */
    AK4531_MUTE = 0x80,
    AK4531_RESET = 0x16,

    PAGE_DAC = 0xc,
    PAGE_ADC = 0xd,
    DIVISOR_CLOCK = 1411200,
};
#define STATUS_INTERRUPT (UINT32_C(1) << 31)

typedef struct {
    uint32_t address,
        size; /* of the frame: in 15:0 of size its 32-bit words less one, in 31:16 the current one */
    uint32_t count; /* 15:0 sample frames less one between interrupts, 31:16 those left */
    uint32_t held;  /* bytes of the current word that are done */
    uint8_t ended;  /* it does not loop, and the count has run out */
} Channel;

typedef struct {
    PciDevice pci;
    MemoryRegion region;
    uint32_t control, status, serial, page;
    uint8_t codec[CODEC_REGISTERS];
    Channel channels[CHANNELS];
    Audiodev *audiodev; /* property */
    AudioStream *streams[CHANNELS];
} Es1370;

static Es1370 *es1370(Device *device)
{
    return container_of(pci_device(device), Es1370, pci);
}

/* What the channels differ in. */
static const struct {
    const char *name;
    AudioDirection direction;
    uint32_t enable, status, interrupt, pause, once;
    uint8_t format_shift, volume;
} kinds[CHANNELS] = {
    [CHANNEL_DAC1] = { "ES1370 synthesizer", AUDIO_PLAY, CONTROL_DAC1, STATUS_DAC1,
                       SERIAL_DAC1_INTERRUPT, SERIAL_DAC1_PAUSE, SERIAL_DAC1_ONCE, 0,
                       AK4531_DAC1_LEFT },
    [CHANNEL_DAC2] = { "ES1370 out", AUDIO_PLAY, CONTROL_DAC2, STATUS_DAC2, SERIAL_DAC2_INTERRUPT,
                       SERIAL_DAC2_PAUSE, SERIAL_DAC2_ONCE, 2, AK4531_DAC2_LEFT },
    [CHANNEL_ADC] = { "ES1370 in", AUDIO_RECORD, CONTROL_ADC, STATUS_ADC, SERIAL_ADC_INTERRUPT, 0,
                      SERIAL_ADC_ONCE, 4, 0 },
};

static void update_irq(Es1370 *es)
{
    uint32_t pending = es->status & (STATUS_DAC1 | STATUS_DAC2 | STATUS_ADC);

    es->status = pending | (pending ? STATUS_INTERRUPT : 0);
    pci_set_irq(&es->pci, pending != 0);
}

static unsigned sample_frame_bytes(const Es1370 *es, unsigned i)
{
    unsigned format = es->serial >> kinds[i].format_shift & 3;

    return (format & SERIAL_WIDE ? 2 : 1) * (format & SERIAL_STEREO ? 2 : 1);
}

static AudioSettings settings_of(const Es1370 *es, unsigned i)
{
    static const uint32_t dac1_rates[] = { 5512, 11025, 22050, 44100 };
    unsigned format = es->serial >> kinds[i].format_shift & 3;
    uint32_t divisor = es->control >> CONTROL_DIVISOR_SHIFT & 0x1fff;

    return (AudioSettings){
        format & SERIAL_WIDE ? AUDIO_FORMAT_S16 : AUDIO_FORMAT_U8,
        i == CHANNEL_DAC1 ? dac1_rates[es->control >> CONTROL_DAC1_RATE_SHIFT & 3]
                          : DIVISOR_CLOCK / (divisor + 2),
        format & SERIAL_STEREO ? 2 : 1,
    };
}

/* The channels. */

/* Counts sample frames down to the interrupt; returns whether the channel goes on. */
static bool count_down(Es1370 *es, unsigned i, uint32_t frames)
{
    Channel *c = &es->channels[i];
    uint32_t start = c->count & 0xffff, left = c->count >> 16;

    if (frames <= left) {
        c->count = (left - frames) << 16 | start;
        return true;
    }
    c->count = start << 16 | start;
    if (es->serial & kinds[i].interrupt) {
        es->status |= kinds[i].status;
        update_irq(es);
    }
    c->ended = (es->serial & kinds[i].once) != 0;
    return !c->ended;
}

static void move(Es1370 *es, unsigned i, uint64_t address, uint8_t *data, size_t bytes)
{
    AddressSpace *space = &es->pci.device.machine->memory_space;
    MemoryAttributes attributes = pci_dma_attributes(&es->pci);

    if (kinds[i].direction == AUDIO_RECORD) {
        address_space_write_bytes(space, address, data, bytes, attributes);
    } else if (address_space_read_bytes(space, address, data, bytes, attributes) != MEMORY_OK) {
        memset(data, 0, bytes);
    }
}

/* Moves whole sample frames, at most to the next interrupt or the end of the frame in memory. */
static size_t move_piece(Es1370 *es, unsigned i, uint8_t *data, size_t frames)
{
    Channel *c = &es->channels[i];
    unsigned bytes = sample_frame_bytes(es, i);
    uint32_t words = (c->size & 0xffff) + 1, word = (c->size >> 16) % words;
    uint32_t at = word * 4 + c->held % 4, end = words * 4;

    frames = MIN(frames, (c->count >> 16) + 1u);
    frames = MIN(frames, (end - at) / bytes);
    if (frames == 0) { /* a format was changed in the middle of a word */
        frames = 1;
        at = 0;
    }
    move(es, i, (uint64_t)c->address + at, data, frames * bytes);
    at = (uint32_t)(at + frames * bytes) % end;
    c->size = at / 4 << 16 | (words - 1);
    c->held = at % 4;
    return frames;
}

static size_t move_frames(Es1370 *es, unsigned i, uint8_t *data, size_t frames)
{
    Channel *c = &es->channels[i];
    unsigned bytes = sample_frame_bytes(es, i);
    size_t done = 0;

    if (!pci_bus_master_enabled(&es->pci)) {
        return 0;
    }
    while (done < frames && !c->ended && es->control & kinds[i].enable) {
        size_t n = move_piece(es, i, data + done * bytes, frames - done);

        done += n;
        if (!count_down(es, i, (uint32_t)n)) {
            break;
        }
    }
    return done;
}

static size_t until_event(const Es1370 *es, unsigned i)
{
    return es->serial & kinds[i].interrupt ? (es->channels[i].count >> 16) + 1u : 0;
}

static size_t play_dac1(void *opaque, void *data, size_t frames)
{
    return move_frames(opaque, CHANNEL_DAC1, data, frames);
}

static size_t play_dac2(void *opaque, void *data, size_t frames)
{
    return move_frames(opaque, CHANNEL_DAC2, data, frames);
}

static void record_adc(void *opaque, const void *data, size_t frames)
{
    move_frames(opaque, CHANNEL_ADC, (uint8_t *)data, frames);
}

static size_t dac1_until_event(void *opaque)
{
    return until_event(opaque, CHANNEL_DAC1);
}

static size_t dac2_until_event(void *opaque)
{
    return until_event(opaque, CHANNEL_DAC2);
}

static size_t adc_until_event(void *opaque)
{
    return until_event(opaque, CHANNEL_ADC);
}

static size_t unseen(const Es1370 *es, unsigned i)
{
    const Channel *c = &es->channels[i];
    size_t ring = ((c->size & 0xffff) + 1) * 4 / sample_frame_bytes(es, i);

    return es->status & kinds[i].status ? audio_surely_filled(ring, (c->count & 0xffff) + 1)
                                        : AUDIO_ALL_SEEN;
}

static size_t dac1_unseen(void *opaque)
{
    return unseen(opaque, CHANNEL_DAC1);
}

static size_t dac2_unseen(void *opaque)
{
    return unseen(opaque, CHANNEL_DAC2);
}

static size_t adc_unseen(void *opaque)
{
    return unseen(opaque, CHANNEL_ADC);
}

static const AudioClient clients[CHANNELS] = {
    [CHANNEL_DAC1] = { .play = play_dac1, .until_event = dac1_until_event, .unseen = dac1_unseen },
    [CHANNEL_DAC2] = { .play = play_dac2, .until_event = dac2_until_event, .unseen = dac2_unseen },
    [CHANNEL_ADC] = { .record = record_adc, .until_event = adc_until_event, .unseen = adc_unseen },
};

static float volume_of(const Es1370 *es, unsigned i, unsigned side)
{
    uint8_t master = es->codec[AK4531_MASTER_LEFT + side], own = es->codec[kinds[i].volume + side];

    /* The master has steps of 2 dB from 0 on, the sources 2 dB from +12 dB on. */
    return (master | own) & AK4531_MUTE
               ? 0
               : powf(10, (12.0f - 2 * (float)(master & 0x1f) - 2 * (float)(own & 0x1f)) / 20);
}

static void sync_streams(Es1370 *es)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        audio_stream_update(es->streams[i]);
    }
}

/* Streams follow the registers. */
static void update_streams(Es1370 *es)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        AudioSettings settings = settings_of(es, i);

        if (kinds[i].direction == AUDIO_PLAY) {
            audio_stream_set_volume(es->streams[i], volume_of(es, i, 0), volume_of(es, i, 1));
        }
        if (es->control & kinds[i].enable && !(es->serial & kinds[i].pause) &&
            !es->channels[i].ended) {
            audio_stream_start(es->streams[i], &settings);
        } else {
            audio_stream_stop(es->streams[i]);
        }
    }
}

/* Registers. */

static void control_write(Device *device, unsigned index, uint64_t value)
{
    Es1370 *es = es1370(device);

    sync_streams(es);
    for (unsigned i = 0; i < CHANNELS; i++) {
        if (value & ~es->control & kinds[i].enable) {
            es->channels[i].ended = 0; /* from the frame's beginning */
            es->channels[i].count =
                bits_deposit(es->channels[i].count, 16, 16, es->channels[i].count & 0xffff);
        }
    }
    es->control = (uint32_t)value;
    update_streams(es);
}

static void serial_write(Device *device, unsigned index, uint64_t value)
{
    Es1370 *es = es1370(device);

    sync_streams(es);
    es->serial = (uint32_t)value;
    /* Who forbids an interrupt acknowledges it. */
    for (unsigned i = 0; i < CHANNELS; i++) {
        es->status &= value & kinds[i].interrupt ? ~0u : ~kinds[i].status;
    }
    update_irq(es);
    update_streams(es);
    for (unsigned i = 0; i < CHANNELS; i++) {
        audio_stream_seen(es->streams[i]);
    }
}

static void codec_write(Device *device, unsigned index, uint64_t value)
{
    Es1370 *es = es1370(device);
    unsigned number = value >> 8 & 0xff;

    sync_streams(es);
    if (number == AK4531_RESET && !(value & 2)) {
        memset(es->codec, 0, sizeof es->codec);
    }
    if (number < CODEC_REGISTERS) {
        es->codec[number] = (uint8_t)value;
    }
    update_streams(es);
}

static uint64_t count_read(Device *device, unsigned i)
{
    audio_stream_update(es1370(device)->streams[i]);
    return es1370(device)->channels[i].count;
}

static void count_write(Device *device, unsigned i, uint64_t value)
{
    uint32_t start = value & 0xffff;

    es1370(device)->channels[i].count = start << 16 | start;
}

/* The register of the page at 0x30 + 4 * index, or NULL: the address or the size of a channel. */
static uint32_t *paged(Es1370 *es, unsigned index)
{
    unsigned channel = es->page == PAGE_DAC ? index / 2 : CHANNEL_ADC;
    Channel *c = &es->channels[channel];

    if (es->page != PAGE_DAC && (es->page != PAGE_ADC || index >= 2)) {
        return NULL;
    }
    audio_stream_update(es->streams[channel]);
    return index & 1 ? &c->size : &c->address;
}

static uint64_t paged_read(Device *device, unsigned index)
{
    const uint32_t *field = paged(es1370(device), index);

    return field ? *field : 0;
}

static void paged_write(Device *device, unsigned index, uint64_t value)
{
    uint32_t *field = paged(es1370(device), index);

    if (field) {
        *field = (uint32_t)value;
    }
}

/* clang-format off */
static const Register registers[] = {
    { "CONTROL", 0x00, 4, REGISTER_RW, .field = offsetof(Es1370, control), .write = control_write, .reset = 1 },
    { "STATUS", 0x04, 4, REGISTER_R | REGISTER_QUIET, .field = offsetof(Es1370, status) },
    { "UART", 0x08, 2, REGISTER_RW | REGISTER_QUIET, .field = REGISTER_NO_FIELD },
    { "UART_TEST", 0x0a, 2, REGISTER_RW | REGISTER_QUIET, .field = REGISTER_NO_FIELD },
    { "PAGE", 0x0c, 4, REGISTER_RW, .field = offsetof(Es1370, page), .writable = 0xf, .summary = "what is at 0x30" },
    { "CODEC", 0x10, 2, REGISTER_RW | REGISTER_QUIET, .field = REGISTER_NO_FIELD, .write = codec_write, .summary = "15:8 register, 7:0 value" },
    { "CODEC_HIGH", 0x12, 2, REGISTER_RW | REGISTER_QUIET, .field = REGISTER_NO_FIELD },
    { "SERIAL", 0x20, 4, REGISTER_RW, .field = offsetof(Es1370, serial), .write = serial_write },
    { "COUNT", 0x24, 4, REGISTER_RW, .count = CHANNELS, .field = REGISTER_NO_FIELD, .read = count_read, .write = count_write, .summary = "sample frames to the interrupt" },
    { "PAGED", 0x30, 4, REGISTER_RW, .count = 4, .field = REGISTER_NO_FIELD, .read = paged_read, .write = paged_write, .summary = "addresses and sizes of frames" },
    { 0 },
};
/* clang-format on */

static const RegisterBank bank = {
    .name = "es1370", .size = PORTS, .registers = registers, .ports = true
};

static bool es1370_realize(Device *device, GError **error)
{
    Es1370 *es = es1370(device);
    Audiodev *audiodev = audiodev_choose(device->machine, es->audiodev, error);

    if (!audiodev) {
        return false;
    }
    pci_set_identity(&es->pci, 0x1274, 0x5000, CLASS_AUDIO, 0);
    pci_set_subsystem(&es->pci, 0x4942, 0x4c4c);
    pci_set_interrupt_pin(&es->pci, 1);
    register_bank_init(device, &es->region, &bank);
    pci_add_bar(&es->pci, 0, PCI_BAR_IO, false, &es->region);
    for (unsigned i = 0; i < CHANNELS; i++) {
        es->streams[i] =
            audio_stream_new(audiodev, kinds[i].direction, kinds[i].name, &clients[i], es);
    }
    return true;
}

static void es1370_unrealize(Device *device)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        audio_stream_free(es1370(device)->streams[i]);
    }
}

static void es1370_reset(Device *device)
{
    Es1370 *es = es1370(device);

    register_bank_reset(device, &bank);
    memset(es->channels, 0, sizeof es->channels);
    memset(es->codec, 0, sizeof es->codec);
    es->codec[AK4531_DAC1_LEFT] = es->codec[AK4531_DAC1_LEFT + 1] = 6; /* 0 dB */
    es->codec[AK4531_DAC2_LEFT] = es->codec[AK4531_DAC2_LEFT + 1] = 6;
    update_streams(es);
    update_irq(es);
    pci_reset(&es->pci);
}

static void es1370_state_loaded(Device *device)
{
    pci_state_loaded(pci_device(device));
    update_irq(es1370(device));
    update_streams(es1370(device));
}

static const StateField channel_state[] = {
    STATE(Channel, address), STATE(Channel, size),          STATE(Channel, count),
    STATE(Channel, held),    STATE_MOST(Channel, ended, 1), { 0 },
};

static const DeviceType es1370_type = {
    .name = "ES1370",
    .alias = "es1370",
    .summary = "ENSONIQ AudioPCI ES1370",
    .bus = "pci",
    .category = "sound",
    .instance_size = sizeof(Es1370),
    .properties = (const Property[]){ { "audiodev", PROPERTY_AUDIODEV, offsetof(Es1370, audiodev),
                                        "id of the back end of sound" },
                                      { 0 } },
    .bus_properties = (const Property[]){ PCI_PROPERTIES(Es1370, pci), { 0 } },
    .state = (const StateField[]){ PCI_STATE(Es1370, pci),
                                   STATE(Es1370, control),
                                   STATE(Es1370, status),
                                   STATE(Es1370, serial),
                                   STATE(Es1370, page),
                                   STATE(Es1370, codec),
                                   STATE_STRUCTS(Es1370, channels, channel_state),
                                   { 0 } },
    .realize = es1370_realize,
    .unrealize = es1370_unrealize,
    .reset = es1370_reset,
    .state_loaded = es1370_state_loaded,
};
DEVICE_TYPE(es1370_type);
