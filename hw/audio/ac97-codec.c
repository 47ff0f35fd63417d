/* SPDX-License-Identifier: MIT */
/*
 * The codec behind AC97: registers of Audio Codec '97 2.3 with variable rates, as a SigmaTel STAC9700 has them. Analogue inputs are
 * mixed by nobody: only the master, PCM and record volumes and the rates have an effect.
 */
#include "hw/audio/ac97.h"

#include <math.h>
#include <string.h>

enum {
    MUTE = 0x8000,
    EXTENDED_VRA = 1 << 0,
    EXTENDED_VRM = 1 << 3,
    RATE = 48000,
    RATE_LEAST = 7000,
    POWER_READY = 0xf, /* ADC, DAC, mixer, references */
};
#define VENDOR_HIGH 0x8384 /* "SigmaTel STAC9700" */
#define VENDOR_LOW  0x7600

typedef struct {
    uint8_t offset;
    uint16_t reset, writable;
} CodecRegister;

static const CodecRegister table[] = {
    { CODEC_RESET, 0, 0 },
    { CODEC_MASTER, MUTE, 0xbf3f },
    { CODEC_HEADPHONE, MUTE, 0xbf3f },
    { CODEC_MONO, MUTE, 0x803f },
    { 0x0a /* PC beep */, 0, 0x801e },
    { 0x0c /* phone */, MUTE | 8, 0x801f },
    { 0x0e /* microphone */, MUTE | 8, 0x805f },
    { 0x10 /* line in */, MUTE | 0x808, 0x9f1f },
    { 0x12 /* CD */, MUTE | 0x808, 0x9f1f },
    { 0x14 /* video */, MUTE | 0x808, 0x9f1f },
    { 0x16 /* auxiliary */, MUTE | 0x808, 0x9f1f },
    { CODEC_PCM, MUTE | 0x808, 0x9f1f },
    { CODEC_RECORD_SELECT, 0, 0x0707 },
    { CODEC_RECORD_GAIN, MUTE, 0x8f0f },
    { 0x1e /* microphone's gain */, MUTE, 0x800f },
    { 0x20 /* general purpose */, 0, 0xa380 },
    { CODEC_POWER, POWER_READY, 0xff00 },
    { CODEC_EXTENDED_ID, EXTENDED_VRA | EXTENDED_VRM | 0x800, 0 },
    { CODEC_EXTENDED_CONTROL, EXTENDED_VRA, EXTENDED_VRA | EXTENDED_VRM },
    { CODEC_DAC_RATE, RATE, 0xffff },
    { CODEC_ADC_RATE, RATE, 0xffff },
    { CODEC_MICROPHONE_RATE, RATE, 0xffff },
    { CODEC_VENDOR, VENDOR_HIGH, 0 },
    { CODEC_VENDOR + 2, VENDOR_LOW, 0 },
};

void ac97_codec_reset(uint16_t *codec)
{
    memset(codec, 0, AC97_CODEC_REGISTERS * sizeof *codec);
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        codec[table[i].offset / 2] = table[i].reset;
    }
}

static bool is_rate(unsigned offset)
{
    return offset == CODEC_DAC_RATE || offset == CODEC_ADC_RATE || offset == CODEC_MICROPHONE_RATE;
}

/* Without variable rates all are 48 kHz. */
static void fix_rates(uint16_t *codec)
{
    uint16_t control = codec[CODEC_EXTENDED_CONTROL / 2];

    if (!(control & EXTENDED_VRA)) {
        codec[CODEC_DAC_RATE / 2] = codec[CODEC_ADC_RATE / 2] = RATE;
    }
    if (!(control & EXTENDED_VRM)) {
        codec[CODEC_MICROPHONE_RATE / 2] = RATE;
    }
}

bool ac97_codec_write(uint16_t *codec, unsigned offset, uint16_t value)
{
    if (offset == CODEC_RESET) {
        ac97_codec_reset(codec);
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        uint16_t *field = &codec[table[i].offset / 2];

        if (table[i].offset == offset) {
            *field = (*field & ~table[i].writable) | (value & table[i].writable);
            if (is_rate(offset)) {
                *field = CLAMP(*field, RATE_LEAST, RATE);
            }
            fix_rates(codec);
            return true;
        }
    }
    return false;
}

/* 1.5 dB for each step; `zero` is the step of 0 dB. */
static float gain_of(unsigned steps, int zero)
{
    return powf(10, ((float)zero - (float)steps) * 1.5f / 20);
}

void ac97_codec_play_gains(const uint16_t *codec, float *left, float *right)
{
    uint16_t master = codec[CODEC_MASTER / 2], pcm = codec[CODEC_PCM / 2];
    bool muted = (master | pcm) & MUTE;

    *left = muted ? 0 : gain_of(master >> 8 & 0x3f, 0) * gain_of(pcm >> 8 & 0x1f, 8);
    *right = muted ? 0 : gain_of(master & 0x3f, 0) * gain_of(pcm & 0x1f, 8);
}

void ac97_codec_record_gains(const uint16_t *codec, float *left, float *right)
{
    uint16_t gain = codec[CODEC_RECORD_GAIN / 2];
    bool muted = gain & MUTE;

    /* Here more steps are louder. */
    *left = muted ? 0 : 1 / gain_of(gain >> 8 & 0xf, 0);
    *right = muted ? 0 : 1 / gain_of(gain & 0xf, 0);
}
