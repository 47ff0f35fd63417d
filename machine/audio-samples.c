/* SPDX-License-Identifier: MIT */
/* Sample formats and channels. */
#include "machine/audio-samples.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

const char *const audio_format_names[] = {
    [AUDIO_FORMAT_S8] = "s8",   [AUDIO_FORMAT_S16] = "s16",  [AUDIO_FORMAT_S32] = "s32",
    [AUDIO_FORMAT_U8] = "u8",   [AUDIO_FORMAT_U16] = "u16",  [AUDIO_FORMAT_U32] = "u32",
    [AUDIO_FORMAT_F32] = "f32", [AUDIO_FORMAT_COUNT] = NULL,
};

unsigned audio_sample_bytes(AudioFormat format)
{
    switch (format) {
    case AUDIO_FORMAT_S8:
    case AUDIO_FORMAT_U8:
        return 1;
    case AUDIO_FORMAT_S16:
    case AUDIO_FORMAT_U16:
        return 2;
    default:
        return 4;
    }
}

/* One loop for each type: what an integer of it means is its value less `zero`, in parts of `scale`. */
#define DECODE(type, zero, scale)                                                                  \
    do {                                                                                           \
        for (size_t i = 0; i < count; i++) {                                                       \
            type value;                                                                            \
            memcpy(&value, (const char *)data + i * sizeof value, sizeof value);                   \
            samples[i] = (float)(((double)value - (zero)) / (scale));                              \
        }                                                                                          \
    } while (0)
#define ENCODE(type, zero, scale)                                                                  \
    do {                                                                                           \
        for (size_t i = 0; i < count; i++) {                                                       \
            double wide = rint((double)samples[i] * (scale));                                      \
            type value = (type)(fmin(fmax(wide, -(scale)), (scale)-1) + (zero));                   \
            memcpy((char *)data + i * sizeof value, &value, sizeof value);                         \
        }                                                                                          \
    } while (0)

#define SCALE_8  128.0
#define SCALE_16 32768.0
#define SCALE_32 2147483648.0

void audio_decode(AudioFormat format, const void *data, float *samples, size_t count)
{
    switch (format) {
    case AUDIO_FORMAT_S8:
        DECODE(int8_t, 0, SCALE_8);
        break;
    case AUDIO_FORMAT_S16:
        DECODE(int16_t, 0, SCALE_16);
        break;
    case AUDIO_FORMAT_S32:
        DECODE(int32_t, 0, SCALE_32);
        break;
    case AUDIO_FORMAT_U8:
        DECODE(uint8_t, SCALE_8, SCALE_8);
        break;
    case AUDIO_FORMAT_U16:
        DECODE(uint16_t, SCALE_16, SCALE_16);
        break;
    case AUDIO_FORMAT_U32:
        DECODE(uint32_t, SCALE_32, SCALE_32);
        break;
    default:
        memcpy(samples, data, count * sizeof *samples);
        for (size_t i = 0; i < count; i++) { /* a guest may say that a sample is no number */
            samples[i] = isfinite(samples[i]) ? fminf(fmaxf(samples[i], -1), 1) : 0;
        }
    }
}

void audio_encode(AudioFormat format, const float *samples, void *data, size_t count)
{
    switch (format) {
    case AUDIO_FORMAT_S8:
        ENCODE(int8_t, 0, SCALE_8);
        break;
    case AUDIO_FORMAT_S16:
        ENCODE(int16_t, 0, SCALE_16);
        break;
    case AUDIO_FORMAT_S32:
        ENCODE(int32_t, 0, SCALE_32);
        break;
    case AUDIO_FORMAT_U8:
        ENCODE(uint8_t, SCALE_8, SCALE_8);
        break;
    case AUDIO_FORMAT_U16:
        ENCODE(uint16_t, SCALE_16, SCALE_16);
        break;
    case AUDIO_FORMAT_U32:
        ENCODE(uint32_t, SCALE_32, SCALE_32);
        break;
    default:
        memcpy(data, samples, count * sizeof *samples);
    }
}

void audio_fill_silence(AudioFormat format, void *data, size_t count)
{
    unsigned bytes = audio_sample_bytes(format);
    bool is_unsigned =
        format == AUDIO_FORMAT_U8 || format == AUDIO_FORMAT_U16 || format == AUDIO_FORMAT_U32;

    memset(data, 0, count * bytes);
    for (size_t i = 0; is_unsigned && i < count; i++) {
        ((uint8_t *)data)[(i + 1) * bytes - 1] = 0x80;
    }
}

void audio_map_channels(const float *from, unsigned from_channels, float *to, unsigned to_channels,
                        size_t frames)
{
    if (from_channels == to_channels) {
        memcpy(to, from, frames * to_channels * sizeof *to);
        return;
    }
    for (size_t i = 0; i < frames; i++, from += from_channels, to += to_channels) {
        if (from_channels == 2 && to_channels == 1) {
            to[0] = (from[0] + from[1]) / 2;
            continue;
        }
        for (unsigned c = 0; c < to_channels; c++) {
            to[c] = from_channels == 1 ? from[0] : c < from_channels ? from[c] : 0;
        }
    }
}
