/* SPDX-License-Identifier: MIT */
/* The parts of AC97: the codec's registers. */
#ifndef HW_AUDIO_AC97_H
#define HW_AUDIO_AC97_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bits.h"

enum {
    AC97_CODEC_REGISTERS = 64, /* of 16 bits */

    CODEC_RESET = 0x00,
    CODEC_MASTER = 0x02,
    CODEC_HEADPHONE = 0x04,
    CODEC_MONO = 0x06,
    CODEC_PCM = 0x18,
    CODEC_RECORD_SELECT = 0x1a,
    CODEC_RECORD_GAIN = 0x1c,
    CODEC_POWER = 0x26,
    CODEC_EXTENDED_ID = 0x28,
    CODEC_EXTENDED_CONTROL = 0x2a,
    CODEC_DAC_RATE = 0x2c,
    CODEC_ADC_RATE = 0x32,
    CODEC_MICROPHONE_RATE = 0x34,
    CODEC_VENDOR = 0x7c,
};

void ac97_codec_reset(uint16_t *codec);
/* Returns whether there is such a register. */
bool ac97_codec_write(uint16_t *codec, unsigned offset, uint16_t value);
void ac97_codec_play_gains(const uint16_t *codec, float *left, float *right);
void ac97_codec_record_gains(const uint16_t *codec, float *left, float *right);

#endif
