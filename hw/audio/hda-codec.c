/* SPDX-License-Identifier: MIT */
/*
 * HDA codecs (Intel HDA specification 1.0a, 7): one function with a converter and a pin for playing, and another such pair for
 * recording. hda-output has the first only, hda-micro shows a speaker and a microphone in place of line jacks.
 */
#include "hw/audio/hda.h"

#include <math.h>

#include "base/error.h"
#include "machine/audio.h"

/* Nodes. */
enum { ROOT, FUNCTION, DAC, OUT_PIN, ADC, IN_PIN, NODES };

/* Parameters (7.3.4). */
enum {
    PARAMETER_VENDOR = 0x00,
    PARAMETER_REVISION = 0x02,
    PARAMETER_NODES = 0x04,
    PARAMETER_FUNCTION = 0x05,
    PARAMETER_FUNCTION_CAPABILITIES = 0x08,
    PARAMETER_WIDGET = 0x09,
    PARAMETER_PCM = 0x0a,
    PARAMETER_FORMATS = 0x0b,
    PARAMETER_PIN = 0x0c,
    PARAMETER_IN_AMPLIFIER = 0x0d,
    PARAMETER_CONNECTIONS = 0x0e,
    PARAMETER_OUT_AMPLIFIER = 0x12,

    WIDGET_STEREO = 1 << 0,
    WIDGET_IN_AMPLIFIER = 1 << 1,
    WIDGET_OUT_AMPLIFIER = 1 << 2,
    WIDGET_OWN_AMPLIFIER = 1 << 3,
    WIDGET_OWN_FORMAT = 1 << 4,
    WIDGET_CONNECTIONS = 1 << 8,
    WIDGET_OUTPUT = 0 << 20,
    WIDGET_INPUT = 1 << 20,
    WIDGET_PIN = 4 << 20,
    WIDGET_CONVERTER = WIDGET_STEREO | WIDGET_OWN_FORMAT,

    RATES = 0x7ff,                       /* 8 to 192 kHz */
    SIZES = 1 << 17 | 1 << 19 | 1 << 20, /* 16, 24 and 32 bits */
    PIN_INPUT = 1 << 5,
    PIN_OUTPUT = 1 << 4,

    GAIN_0_DB = 0x4a, /* the loudest of as many steps of 1 dB */
    GAIN_MUTE = 0x80,
    AMPLIFIER_STEPS = 3 << 16 | GAIN_0_DB << 8 | GAIN_0_DB,
};
#define AMPLIFIER (UINT32_C(1) << 31 | AMPLIFIER_STEPS) /* it can be muted */

/* Verbs (7.3.3): of 4 bits with 16 of payload, and of 12 with 8. */
enum {
    VERB_SET_FORMAT = 0x2,
    VERB_SET_AMPLIFIER = 0x3,
    VERB_GET_FORMAT = 0xa,
    VERB_GET_AMPLIFIER = 0xb,
    VERB_SELECT = 0x701,
    VERB_POWER = 0x705,
    VERB_STREAM = 0x706,
    VERB_PIN = 0x707,
    VERB_UNSOLICITED = 0x708,
    VERB_EAPD = 0x70c,
    VERB_CONFIGURATION = 0x71c, /* and the next three: a byte each */
    VERB_RESET = 0x7ff,
    VERB_PARAMETER = 0xf00,
    VERB_GET_CONNECTIONS = 0xf02,
    VERB_GET_SUBSYSTEM = 0xf20,
    VERB_GET = 0x800, /* added to a verb that sets: reads the same */
};

enum { FORMAT_RESET = 0x0011 }; /* 48 kHz, 16 bits, stereo */

typedef struct {
    uint16_t format;
    uint8_t stream;   /* bits 7:4 number, 3:0 first channel */
    uint8_t gains[2]; /* GAIN_MUTE and steps; left, right */
    uint8_t power, pin, unsolicited, eapd, select;
    uint32_t configuration;
} Node;

typedef struct {
    HdaCodec codec;
    Node nodes[NODES];
    AudioStream *out, *in; /* in: NULL for hda-output */
    /* Properties. */
    Audiodev *audiodev;
    uint32_t debug;
    bool mixer;
} Codec;

/* What the three kinds differ in. */
typedef struct {
    HdaCodecType codec; /* first */
    uint32_t model;
    unsigned nodes;
    uint32_t out_pin, in_pin; /* configuration defaults (7.3.3.31) */
} Kind;

static Codec *codec_of(Device *device)
{
    return container_of(device, Codec, codec.device);
}

static const Kind *kind_of(const Codec *c)
{
    return c->codec.device.type->class_data;
}

/* Streams. */

static AudioSettings settings_of(uint16_t format)
{
    static const uint8_t multiples[8] = { 1, 2, 3, 4, 1, 1, 1, 1 };
    uint32_t base = format & 1 << 14 ? 44100 : 48000;
    unsigned bits = format >> 4 & 7;

    return (AudioSettings){
        bits == 0   ? AUDIO_FORMAT_U8
        : bits == 1 ? AUDIO_FORMAT_S16
                    : AUDIO_FORMAT_S32,
        base * multiples[format >> 11 & 7] / ((format >> 8 & 7) + 1),
        MIN((format & 0xf) + 1u, AUDIO_CHANNELS_MOST),
    };
}

static float gain_of(const Codec *c, uint8_t gain)
{
    if (!c->mixer) {
        return 1;
    }
    return gain & GAIN_MUTE ? 0 : powf(10, ((float)(gain & 0x7f) - GAIN_0_DB) / 20);
}

static void follow(Codec *c, unsigned converter)
{
    bool output = converter == DAC;
    AudioStream *stream = output ? c->out : c->in;
    const Node *node = &c->nodes[converter];
    AudioSettings settings = settings_of(node->format);

    if (!stream) {
        return;
    }
    audio_stream_set_volume(stream, gain_of(c, node->gains[0]), gain_of(c, node->gains[1]));
    if (hda_stream_runs(&c->codec, node->stream >> 4, output)) {
        audio_stream_start(stream, &settings);
    } else {
        audio_stream_stop(stream);
    }
}

static void stream_changed(HdaCodec *codec, unsigned number, bool output)
{
    Codec *c = codec_of(&codec->device);
    unsigned converter = output ? DAC : ADC;

    if (c->nodes[converter].stream >> 4 == (int)number) {
        follow(c, converter);
    }
}

static void stream_sync(HdaCodec *codec, unsigned number, bool output)
{
    Codec *c = codec_of(&codec->device);
    AudioStream *stream = output ? c->out : c->in;

    if (stream && c->nodes[output ? DAC : ADC].stream >> 4 == (int)number) {
        audio_stream_update(stream);
    }
}

static void stream_seen(HdaCodec *codec, unsigned number, bool output)
{
    Codec *c = codec_of(&codec->device);
    AudioStream *stream = output ? c->out : c->in;

    if (stream && c->nodes[output ? DAC : ADC].stream >> 4 == (int)number) {
        audio_stream_seen(stream);
    }
}

static unsigned frame_bytes(const Node *node)
{
    AudioSettings settings = settings_of(node->format);

    return audio_frame_bytes(&settings);
}

static size_t play(void *opaque, void *data, size_t frames)
{
    Codec *c = opaque;
    const Node *node = &c->nodes[DAC];
    unsigned bytes = frame_bytes(node);

    return hda_stream_move(&c->codec, node->stream >> 4, true, data, frames * bytes) / bytes;
}

static void record(void *opaque, const void *data, size_t frames)
{
    Codec *c = opaque;
    const Node *node = &c->nodes[ADC];

    hda_stream_move(&c->codec, node->stream >> 4, false, (uint8_t *)data,
                    frames * frame_bytes(node));
}

static size_t until_event(Codec *c, unsigned converter)
{
    const Node *node = &c->nodes[converter];
    unsigned bytes = frame_bytes(node);

    return (hda_stream_until_event(&c->codec, node->stream >> 4, converter == DAC) + bytes - 1) /
           bytes;
}

static size_t play_until_event(void *opaque)
{
    return until_event(opaque, DAC);
}

static size_t record_until_event(void *opaque)
{
    return until_event(opaque, ADC);
}

static size_t unseen(Codec *c, unsigned converter)
{
    const Node *node = &c->nodes[converter];
    size_t ahead = hda_stream_unseen(&c->codec, node->stream >> 4, converter == DAC);

    return ahead == AUDIO_ALL_SEEN ? ahead : ahead / frame_bytes(node);
}

static size_t play_unseen(void *opaque)
{
    return unseen(opaque, DAC);
}

static size_t record_unseen(void *opaque)
{
    return unseen(opaque, ADC);
}

static const AudioClient play_client = {
    .play = play,
    .until_event = play_until_event,
    .unseen = play_unseen,
};
static const AudioClient record_client = {
    .record = record,
    .until_event = record_until_event,
    .unseen = record_unseen,
};

/* Commands. */

static uint32_t widget_capabilities(const Codec *c, unsigned node)
{
    switch (node) {
    case DAC:
        return WIDGET_OUTPUT | WIDGET_CONVERTER |
               (c->mixer ? WIDGET_OUT_AMPLIFIER | WIDGET_OWN_AMPLIFIER : 0);
    case ADC:
        return WIDGET_INPUT | WIDGET_CONVERTER | WIDGET_CONNECTIONS |
               (c->mixer ? WIDGET_IN_AMPLIFIER | WIDGET_OWN_AMPLIFIER : 0);
    case OUT_PIN:
        return WIDGET_PIN | WIDGET_STEREO | WIDGET_CONNECTIONS;
    default:
        return WIDGET_PIN | WIDGET_STEREO;
    }
}

static uint32_t root_parameter(const Codec *c, unsigned parameter)
{
    switch (parameter) {
    case PARAMETER_VENDOR:
        return 0x1af4u << 16 | kind_of(c)->model | (c->mixer ? 0 : 1);
    case PARAMETER_REVISION:
        return 0x00100101;
    case PARAMETER_NODES:
        return FUNCTION << 16 | 1;
    default:
        return 0;
    }
}

static uint32_t function_parameter(const Codec *c, unsigned parameter)
{
    switch (parameter) {
    case PARAMETER_NODES:
        return DAC << 16 | (kind_of(c)->nodes - DAC);
    case PARAMETER_FUNCTION:
        return 1; /* audio */
    case PARAMETER_FUNCTION_CAPABILITIES:
        return 0x0808; /* delays, in frames */
    case PARAMETER_PCM:
        return RATES | SIZES;
    case PARAMETER_FORMATS:
        return 1; /* PCM */
    default:
        return 0;
    }
}

static uint32_t widget_parameter(const Codec *c, unsigned node, unsigned parameter)
{
    bool converter = node == DAC || node == ADC;

    switch (parameter) {
    case PARAMETER_WIDGET:
        return widget_capabilities(c, node);
    case PARAMETER_PCM:
        return converter ? RATES | SIZES : 0;
    case PARAMETER_FORMATS:
        return converter;
    case PARAMETER_PIN:
        return node == OUT_PIN ? PIN_OUTPUT : node == IN_PIN ? PIN_INPUT : 0;
    case PARAMETER_IN_AMPLIFIER:
        return node == ADC && c->mixer ? AMPLIFIER : 0;
    case PARAMETER_OUT_AMPLIFIER:
        return node == DAC && c->mixer ? AMPLIFIER : 0;
    case PARAMETER_CONNECTIONS:
        return node == OUT_PIN || node == ADC;
    default:
        return 0;
    }
}

static uint32_t get_parameter(const Codec *c, unsigned node, unsigned parameter)
{
    return node == ROOT       ? root_parameter(c, parameter)
           : node == FUNCTION ? function_parameter(c, parameter)
                              : widget_parameter(c, node, parameter);
}

/* Bits 15:12 of the payload: the amplifier of the output or the input, left, right. */
static void set_amplifier(Codec *c, unsigned node, uint16_t payload)
{
    bool mine = payload & (node == DAC ? 1 << 15 : 1 << 14);

    if (node != DAC && node != ADC) {
        return;
    }
    for (unsigned side = 0; mine && side < 2; side++) {
        if (payload & 1 << (13 - side)) {
            c->nodes[node].gains[side] = payload & 0xff;
        }
    }
    follow(c, node);
}

static uint32_t get_amplifier(const Codec *c, unsigned node, uint16_t payload)
{
    bool output = payload & 1 << 15, left = payload & 1 << 13;

    return output == (node == DAC) && (node == DAC || node == ADC) ? c->nodes[node].gains[!left]
                                                                   : 0;
}

static void set_stream(Codec *c, unsigned node, uint8_t stream)
{
    if (node == DAC || node == ADC) {
        c->nodes[node].stream = stream;
        follow(c, node);
    }
}

static void set_format(Codec *c, unsigned node, uint16_t format)
{
    if (node == DAC || node == ADC) {
        c->nodes[node].format = format;
        follow(c, node);
    }
}

static void reset_nodes(Codec *c)
{
    for (unsigned i = 0; i < NODES; i++) {
        c->nodes[i] = (Node){ .format = FORMAT_RESET };
        c->nodes[i].gains[0] = c->nodes[i].gains[1] = GAIN_0_DB;
    }
    c->nodes[OUT_PIN].configuration = kind_of(c)->out_pin;
    c->nodes[OUT_PIN].pin = 1 << 6; /* drives */
    c->nodes[IN_PIN].configuration = kind_of(c)->in_pin;
    c->nodes[IN_PIN].pin = 1 << 5;
    follow(c, DAC);
    follow(c, ADC);
}

/* Verbs of 12 bits that are a byte of the node. */
static uint8_t *byte_of(Node *node, unsigned verb)
{
    switch (verb) {
    case VERB_SELECT:
        return &node->select;
    case VERB_POWER:
        return &node->power;
    case VERB_PIN:
        return &node->pin;
    case VERB_UNSOLICITED:
        return &node->unsolicited;
    case VERB_EAPD:
        return &node->eapd;
    default:
        return NULL;
    }
}

static uint32_t get_long(Codec *c, unsigned node, unsigned verb, uint8_t payload)
{
    const uint8_t *byte = byte_of(&c->nodes[node], verb - VERB_GET);

    switch (verb) {
    case VERB_PARAMETER:
        return get_parameter(c, node, payload);
    case VERB_GET_CONNECTIONS:
        return payload ? 0 : node == OUT_PIN ? DAC : node == ADC ? IN_PIN : 0;
    case VERB_GET_SUBSYSTEM:
        return root_parameter(c, PARAMETER_VENDOR);
    case VERB_GET + VERB_POWER:
        return *byte | (uint32_t)*byte << 4; /* as it was set, so it is */
    case VERB_GET + VERB_STREAM:
        return c->nodes[node].stream;
    case VERB_GET + VERB_CONFIGURATION:
        return c->nodes[node].configuration;
    default:
        return byte ? *byte : 0;
    }
}

static void set_long(Codec *c, unsigned node, unsigned verb, uint8_t payload)
{
    uint8_t *byte = byte_of(&c->nodes[node], verb);

    if (byte) {
        *byte = verb == VERB_POWER ? payload & 0xf : payload;
    } else if (verb == VERB_STREAM) {
        set_stream(c, node, payload);
    } else if (verb == VERB_RESET && node == FUNCTION) {
        reset_nodes(c);
    } else if (verb >= VERB_CONFIGURATION && verb < VERB_CONFIGURATION + 4) {
        c->nodes[node].configuration = (uint32_t)bits_deposit(
            c->nodes[node].configuration, (verb - VERB_CONFIGURATION) * 8, 8, payload);
    }
}

static uint32_t command(HdaCodec *codec, uint32_t text)
{
    Codec *c = codec_of(&codec->device);
    unsigned node = text >> 20 & 0xff, verb = text >> 16 & 0xf;

    trace("hda-codec", "node %u: %05x", node, text & 0xfffff);
    if (node >= kind_of(c)->nodes) {
        log_guest_error(codec->device.type->name, "there is no node %u (command %#x)", node, text);
        return 0;
    }
    switch (verb) {
    case 0x7:
        set_long(c, node, text >> 8 & 0xfff, (uint8_t)text);
        return 0;
    case 0xf:
        return get_long(c, node, text >> 8 & 0xfff, (uint8_t)text);
    case VERB_SET_FORMAT:
        set_format(c, node, (uint16_t)text);
        return 0;
    case VERB_GET_FORMAT:
        return node == DAC || node == ADC ? c->nodes[node].format : 0;
    case VERB_SET_AMPLIFIER:
        set_amplifier(c, node, (uint16_t)text);
        return 0;
    case VERB_GET_AMPLIFIER:
        return get_amplifier(c, node, (uint16_t)text);
    default:
        return 0;
    }
}

/* Life. */

static bool codec_realize(Device *device, GError **error)
{
    Codec *c = codec_of(device);
    Audiodev *audiodev = audiodev_choose(device->machine, c->audiodev, error);

    if (!audiodev) {
        return false;
    }
    c->out = audio_stream_new(audiodev, AUDIO_PLAY, "HDA out", &play_client, c);
    if (kind_of(c)->nodes > ADC) {
        c->in = audio_stream_new(audiodev, AUDIO_RECORD, "HDA in", &record_client, c);
    }
    return true;
}

static void codec_unrealize(Device *device)
{
    audio_stream_free(codec_of(device)->out);
    audio_stream_free(codec_of(device)->in);
}

static void codec_reset(Device *device)
{
    reset_nodes(codec_of(device));
}

static void codec_state_loaded(Device *device)
{
    follow(codec_of(device), DAC);
    follow(codec_of(device), ADC);
}

static const StateField node_state[] = {
    STATE(Node, format),        STATE(Node, stream),
    STATE(Node, gains),         STATE(Node, power),
    STATE(Node, pin),           STATE(Node, unsolicited),
    STATE(Node, eapd),          STATE(Node, select),
    STATE(Node, configuration), { 0 },
};

static const Property codec_properties[] = {
    { "audiodev", PROPERTY_AUDIODEV, offsetof(Codec, audiodev), "id of the back end of sound" },
    { "cad", PROPERTY_U32, offsetof(Codec, codec.address),
      "address on the link, 0 to 14; unset: the first that is free", "4294967295" },
    { "debug", PROPERTY_U32, offsetof(Codec, debug), "accepted; -trace hda-codec shows commands" },
    { "mixer", PROPERTY_BOOL, offsetof(Codec, mixer), "volumes and mutes that the guest sets",
      "on" },
    { 0 },
};

#define KIND(symbol, model_, nodes_, out_pin_, in_pin_)                                            \
    static const Kind symbol = {                                                                   \
        .codec = { command, stream_changed, stream_sync, stream_seen },                            \
        .model = model_,                                                                           \
        .nodes = nodes_,                                                                           \
        .out_pin = out_pin_,                                                                       \
        .in_pin = in_pin_,                                                                         \
    }
/* Jacks at the back, and what is built in. */
KIND(output_kind, 0x12, ADC, 0x01014010, 0);
KIND(duplex_kind, 0x22, NODES, 0x01014010, 0x01813020);
KIND(micro_kind, 0x32, NODES, 0x90170110, 0x90a70120);

#define CODEC_TYPE(symbol, name_, summary_, kind)                                                  \
    static const DeviceType symbol = {                                                             \
        .name = name_,                                                                             \
        .summary = summary_,                                                                       \
        .bus = "HDA",                                                                              \
        .category = "sound",                                                                       \
        .instance_size = sizeof(Codec),                                                            \
        .properties = codec_properties,                                                            \
        .state = (const StateField[]){ STATE_STRUCTS(Codec, nodes, node_state), { 0 } },           \
        .class_data = &(kind),                                                                     \
        .realize = codec_realize,                                                                  \
        .unrealize = codec_unrealize,                                                              \
        .reset = codec_reset,                                                                      \
        .state_loaded = codec_state_loaded,                                                        \
    };                                                                                             \
    DEVICE_TYPE(symbol)
CODEC_TYPE(hda_output_type, "hda-output", "HDA Audio Codec, output-only (line-out)", output_kind);
CODEC_TYPE(hda_duplex_type, "hda-duplex", "HDA Audio Codec, duplex (line-out, line-in)",
           duplex_kind);
CODEC_TYPE(hda_micro_type, "hda-micro", "HDA Audio Codec, duplex (speaker, microphone)",
           micro_kind);
