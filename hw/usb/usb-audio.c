/* SPDX-License-Identifier: MIT */
/*
 * A USB loudspeaker (Universal Serial Bus Device Class Definition for Audio Devices, 1.0): 48 kHz and 16 bits, stereo, with multi=on
 * also of 5.1 and 7.1 channels; mute, and a volume for each channel.
 *
 * A packet has the frames of a millisecond. They wait in a buffer for their time, since neither the controller nor the mixer is on
 * the millisecond. When it is empty the sound waits for the next packets, as long as the host is sending.
 */
#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "hw/usb/usb.h"
#include "machine/audio.h"
#include "machine/clock.h"
#include "machine/machine.h"

enum {
    RATE = 48000,
    SAMPLE_BYTES = 2,
    CHANNELS_MOST = 8,
    FRAMES_PER_PACKET = RATE / 1000,
    BUFFER_MS = 500,
    FILL_MS = 20, /* in the buffer before it is played */
    HOST_GONE_MS = 200,

    ENDPOINT_OUT = 0x01,
    INTERFACE_STREAM = 1,
    TERMINAL_IN = 1,
    UNIT_VOLUME = 2,
    TERMINAL_OUT = 3,

    /* Requests (5.2.1), with the type and the recipient. */
    SET_CUR = 0x2101,
    GET_CUR = 0xa181,
    GET_MIN = 0xa182,
    GET_MAX = 0xa183,
    GET_RES = 0xa184,
    CONTROL_MUTE = 1,
    CONTROL_VOLUME = 2,

    /* In 1/256 dB. */
    VOLUME_LEAST = -60 * 256,
    VOLUME_MOST = 0,
    VOLUME_STEP = 128,
};
#define NS_PER_MS INT64_C(1000000)

typedef struct {
    UsbDevice usb; /* first */
    uint8_t mute;
    int16_t volumes[CHANNELS_MOST];
    AudioStream *stream;
    unsigned channels; /* of the alternate setting; 0: it has no endpoint */
    uint8_t *ring;     /* of frames that wait */
    uint32_t ring_bytes, at, have;
    bool filling;
    int64_t packet_ns; /* when the last packet came */
    /* Properties. */
    Audiodev *audiodev;
    uint32_t debug, buffer;
    bool multi;
} UsbAudio;

static UsbAudio *usb_audio(UsbDevice *usb)
{
    return container_of(usb, UsbAudio, usb);
}

/* The stream. */

static size_t play(void *opaque, void *data, size_t frames)
{
    UsbAudio *s = opaque;
    uint32_t frame = s->channels * SAMPLE_BYTES, bytes, first;

    if (!frame) {
        return 0;
    }
    bytes = MIN((uint32_t)frames * frame, s->have / frame * frame);
    first = MIN(bytes, s->ring_bytes - s->at);
    memcpy(data, s->ring + s->at, first);
    memcpy((uint8_t *)data + first, s->ring, bytes - first);
    s->at = (s->at + bytes) % s->ring_bytes;
    s->have -= bytes;
    s->filling |= s->have < frame;
    return bytes / frame;
}

static size_t unseen(void *opaque)
{
    const UsbAudio *s = opaque;
    int64_t since_ns = clock_now_ns(s->usb.device.machine) - s->packet_ns;

    return s->filling && since_ns < HOST_GONE_MS * NS_PER_MS ? 0 : AUDIO_ALL_SEEN;
}

static const AudioClient client = { .play = play, .unseen = unseen, .live = true };

static void empty(UsbAudio *s)
{
    s->at = s->have = 0;
    s->filling = true;
}

/* The order of channels is front, centre, low, back, side. Streams have a gain for the left ones and one for the right ones. */
static void follow_volume(UsbAudio *s)
{
    float gains[2];

    for (unsigned i = 0; i < 2; i++) {
        gains[i] = s->mute ? 0 : powf(10, (float)s->volumes[i] / (256 * 20));
    }
    audio_stream_set_volume(s->stream, gains[0], gains[1]);
}

/* The stream follows the alternate setting that the host has chosen. */
static void follow(UsbAudio *s)
{
    static const uint8_t channels[] = { 0, 2, 6, 8 };
    unsigned alternate = s->usb.configuration ? s->usb.alternates[INTERFACE_STREAM] : 0;
    AudioSettings settings = { AUDIO_FORMAT_S16, RATE, 0 };

    if (alternate < ARRAY_SIZE(channels)) {
        settings.channels = channels[alternate];
    }
    if (settings.channels != s->channels) {
        audio_stream_finish(s->stream);
        empty(s);
        s->channels = settings.channels;
        s->packet_ns = clock_now_ns(s->usb.device.machine);
    }
    if (s->channels) {
        audio_stream_start(s->stream, &settings);
    }
}

/* Requests and packets. */

/* Puts what a control has, or takes what it is to have. channel: 0 is all. */
static UsbStatus volume_request(UsbAudio *s, unsigned request, unsigned channel, uint8_t *data,
                                uint32_t *length)
{
    unsigned channels = s->multi ? CHANNELS_MOST : 2;
    int16_t *volume;
    int value;

    if (channel == 0 || channel > channels || *length < 2) {
        return USB_STALL;
    }
    volume = &s->volumes[channel - 1];
    switch (request) {
    case SET_CUR:
        *volume = (int16_t)CLAMP((int16_t)load_le16(data), VOLUME_LEAST, VOLUME_MOST);
        follow_volume(s);
        return USB_DONE;
    case GET_CUR:
        value = *volume;
        break;
    case GET_MIN:
        value = VOLUME_LEAST;
        break;
    case GET_MAX:
        value = VOLUME_MOST;
        break;
    case GET_RES:
        value = VOLUME_STEP;
        break;
    default:
        return USB_STALL;
    }
    store_le16(data, (uint16_t)value);
    *length = 2;
    return USB_DONE;
}

static UsbStatus audio_control(UsbDevice *usb, const UsbSetup *setup, uint8_t *data,
                               uint32_t *length)
{
    UsbAudio *s = usb_audio(usb);
    unsigned request = (unsigned)setup->type << 8 | setup->request, channel = setup->value & 0xff;

    if (setup->index != UNIT_VOLUME << 8) {
        return USB_STALL;
    }
    if (setup->value >> 8 == CONTROL_VOLUME) {
        return volume_request(s, request, channel, data, length);
    }
    if (setup->value != CONTROL_MUTE << 8 || *length < 1 ||
        (request != SET_CUR && request != GET_CUR)) {
        return USB_STALL;
    }
    if (request == SET_CUR) {
        s->mute = data[0] & 1;
        follow_volume(s);
    } else {
        data[0] = s->mute;
        *length = 1;
    }
    return USB_DONE;
}

/* What finds no room is lost: the host sends faster than it should. */
static UsbStatus audio_transfer(UsbDevice *usb, UsbPacket *packet)
{
    UsbAudio *s = usb_audio(usb);
    uint32_t end, part;

    s->packet_ns = clock_now_ns(usb->device.machine);
    do {
        end = (s->at + s->have) % s->ring_bytes;
        part = usb_packet_take(packet, s->ring + end,
                               MIN(s->ring_bytes - s->have, s->ring_bytes - end));
        s->have += part;
    } while (part);
    packet->moved = packet->size;
    if (s->filling && s->have >= FILL_MS * FRAMES_PER_PACKET * s->channels * SAMPLE_BYTES) {
        s->filling = false;
    }
    audio_stream_wake(s->stream);
    return USB_DONE;
}

/* Descriptors. */

enum { CLASS_AUDIO = 1, SUBCLASS_CONTROL = 1, SUBCLASS_STREAMING = 2 };

#define LE16(value) (value) & 0xff, (value) >> 8
/* Header, input terminal, volume, output terminal (4.3.2), for 2 and for 8 channels. */
#define HEADER(size) 9, 0x24, 1, 0x00, 0x01, LE16(size), 1, INTERFACE_STREAM
#define IN(channels, places)                                                                       \
    12, 0x24, 2, TERMINAL_IN, 0x01, 0x01, 0, channels, LE16(places), 0, USB_STRING_OTHER
#define OUT 9, 0x24, 3, TERMINAL_OUT, 0x01, 0x03, 0, UNIT_VOLUME, USB_STRING_OTHER + 1
static const uint8_t control_stereo[] = {
    HEADER(40), IN(2, 0x0003), 10, 0x24, 6, UNIT_VOLUME, TERMINAL_IN, 1, 1, 2, 2, 0, OUT,
};
static const uint8_t control_multi[] = {
    HEADER(46), IN(8, 0x063f), 16, 0x24, 6, UNIT_VOLUME, TERMINAL_IN, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2,
    0,          OUT,
};

/* What the endpoint has: general, then the format: type I of 16-bit samples at one rate (4.5.2, 2.2.5). */
#define STREAM(channels)                                                                           \
    (const uint8_t[])                                                                              \
    {                                                                                              \
        7, 0x24, 1, TERMINAL_IN, 0, LE16(1), 11, 0x24, 2, 1, channels, SAMPLE_BYTES,               \
            SAMPLE_BYTES * 8, 1, RATE & 0xff, RATE >> 8 & 0xff, RATE >> 16                         \
    }
enum { STREAM_SIZE = 18 };
static const uint8_t endpoint_extra[] = { 7, 0x25, 1, 0, 0, 0, 0 };

#define PACKET(channels) ((channels)*SAMPLE_BYTES * FRAMES_PER_PACKET)
/* Isochronous, synchronous with the bus; every millisecond. */
#define ALTERNATE(number_, channels)                                                               \
    {                                                                                              \
        .number = INTERFACE_STREAM, .alternate = (number_), .class_code = CLASS_AUDIO,             \
        .subclass = SUBCLASS_STREAMING, .extra = STREAM(channels), .extra_size = STREAM_SIZE,      \
        .endpoint_count = 1, .endpoints = (const UsbEndpoint[])                                    \
        {                                                                                          \
            {                                                                                      \
                .address = ENDPOINT_OUT, .attributes = 0x0d,                                       \
                .packet = { [USB_FULL] = PACKET(channels), [USB_HIGH] = PACKET(channels) },        \
                .interval = { [USB_FULL] = 1, [USB_HIGH] = 4 }, .audio = true,                     \
                .extra = endpoint_extra, .extra_size = sizeof endpoint_extra                       \
            }                                                                                      \
        }                                                                                          \
    }
#define CONTROL(descriptors)                                                                       \
    {                                                                                              \
        .class_code = CLASS_AUDIO, .subclass = SUBCLASS_CONTROL, .extra = (descriptors),           \
        .extra_size = sizeof(descriptors)                                                          \
    }
#define SILENT                                                                                     \
    {                                                                                              \
        .number = INTERFACE_STREAM, .class_code = CLASS_AUDIO, .subclass = SUBCLASS_STREAMING      \
    }

static const UsbInterface stereo_interfaces[] = {
    CONTROL(control_stereo),
    SILENT,
    ALTERNATE(1, 2),
};
static const UsbInterface multi_interfaces[] = {
    CONTROL(control_multi), SILENT, ALTERNATE(1, 2), ALTERNATE(2, 6), ALTERNATE(3, 8),
};

/* Life. */

static void audio_reset(UsbDevice *usb)
{
    UsbAudio *s = usb_audio(usb);

    s->mute = 0;
    memset(s->volumes, 0, sizeof s->volumes);
    s->packet_ns = 0;
    follow(s);
    follow_volume(s);
}

static void audio_configured(UsbDevice *usb)
{
    follow(usb_audio(usb));
}

static const UsbDeviceType multi_type;

static bool audio_realize(UsbDevice *usb, GError **error)
{
    UsbAudio *s = usb_audio(usb);
    Audiodev *audiodev = audiodev_choose(usb->device.machine, s->audiodev, error);
    unsigned channels = s->multi ? CHANNELS_MOST : 2;

    if (!audiodev) {
        return false;
    }
    if (s->multi) {
        usb->type = &multi_type;
    }
    s->ring_bytes = BUFFER_MS * FRAMES_PER_PACKET * channels * SAMPLE_BYTES;
    s->ring = g_malloc0(s->ring_bytes);
    s->stream = audio_stream_new(audiodev, AUDIO_PLAY, "USB out", &client, s);
    empty(s);
    return true;
}

static void audio_unrealize(UsbDevice *usb)
{
    UsbAudio *s = usb_audio(usb);

    audio_stream_free(s->stream);
    g_free(s->ring);
}

/* What was in the buffer is lost, some milliseconds. */
static void audio_state_loaded(UsbDevice *usb)
{
    empty(usb_audio(usb));
    follow(usb_audio(usb));
    follow_volume(usb_audio(usb));
}

/* clang-format off */
#define AUDIO_TYPE(interfaces_) {                                                                  \
    .vendor = 0x46f4,                                                                              \
    .product = 0x0002,                                                                             \
    .speeds = 1 << USB_FULL | 1 << USB_HIGH,                                                       \
    .attributes = 0xc0,                                                                            \
    .power_2ma = 50,                                                                               \
    .strings = { [USB_STRING_VENDOR] = "QEMU", [USB_STRING_PRODUCT] = "QEMU USB Audio",            \
                 [USB_STRING_SERIAL] = "1", [USB_STRING_OTHER] = "Audio Output Pipe",              \
                 [USB_STRING_OTHER + 1] = "QEMU Audio Output" },                                   \
    .interfaces = interfaces_,                                                                     \
    .interface_count = ARRAY_SIZE(interfaces_),                                                    \
    .name = "QEMU USB Audio",                                                                      \
    .realize = audio_realize,                                                                      \
    .unrealize = audio_unrealize,                                                                  \
    .reset = audio_reset,                                                                          \
    .configured = audio_configured,                                                                \
    .control = audio_control,                                                                      \
    .transfer = audio_transfer,                                                                    \
    .state_loaded = audio_state_loaded,                                                            \
}
/* clang-format on */
static const UsbDeviceType stereo_type = AUDIO_TYPE(stereo_interfaces);
static const UsbDeviceType multi_type = AUDIO_TYPE(multi_interfaces);

static const DeviceType usb_audio_type = {
    .name = "usb-audio",
    .summary = "USB loudspeaker",
    .category = "sound",
    .instance_size = sizeof(UsbAudio),
    .properties = (const Property[]){ { "audiodev", PROPERTY_AUDIODEV, offsetof(UsbAudio, audiodev),
                                        "id of the back end of sound" },
                                      { "multi", PROPERTY_BOOL, offsetof(UsbAudio, multi),
                                        "offer 5.1 and 7.1 channels as well", "off" },
                                      { "buffer", PROPERTY_U32, offsetof(UsbAudio, buffer),
                                        "accepted: it is always half a second", "0" },
                                      { "debug", PROPERTY_U32, offsetof(UsbAudio, debug),
                                        "accepted; has no effect", "0" },
                                      USB_PROPERTIES(UsbAudio, usb),
                                      { 0 } },
    .state = (const StateField[]){ USB_STATE(UsbAudio, usb),
                                   STATE_MOST(UsbAudio, mute, 1),
                                   STATE_ARRAY(UsbAudio, volumes, int16_t),
                                   STATE_DERIVED(UsbAudio, stream),
                                   STATE_DERIVED(UsbAudio, channels),
                                   STATE_DERIVED(UsbAudio, ring),
                                   STATE_DERIVED(UsbAudio, ring_bytes),
                                   STATE_DERIVED(UsbAudio, at),
                                   STATE_DERIVED(UsbAudio, have),
                                   STATE_DERIVED(UsbAudio, filling),
                                   STATE_DERIVED(UsbAudio, packet_ns),
                                   { 0 } },
    USB_DEVICE_HOOKS(&stereo_type),
};
DEVICE_TYPE(usb_audio_type);
