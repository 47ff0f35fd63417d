/* SPDX-License-Identifier: MIT */
/*
 * Sound as numbers: sample formats, channels, and rates. Mixing and what lies between a guest's settings and the host's is
 * done in floats from -1 to 1, frame by frame (a frame: one sample for each channel). All formats are little-endian.
 */
#ifndef MACHINE_AUDIO_SAMPLES_H
#define MACHINE_AUDIO_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    AUDIO_FORMAT_S8,
    AUDIO_FORMAT_S16,
    AUDIO_FORMAT_S32,
    AUDIO_FORMAT_U8,
    AUDIO_FORMAT_U16,
    AUDIO_FORMAT_U32,
    AUDIO_FORMAT_F32,
    AUDIO_FORMAT_COUNT,
} AudioFormat;

/* Names as -audiodev spells them, NULL-terminated. */
extern const char *const audio_format_names[];

typedef struct {
    AudioFormat format;
    uint32_t rate; /* frames per second */
    uint32_t channels;
} AudioSettings;

enum {
    AUDIO_CHANNELS_MOST = 8,
    AUDIO_RATE_LEAST = 100,
    AUDIO_RATE_MOST = 768000,
    AUDIO_FRAME_BYTES_MOST = AUDIO_CHANNELS_MOST * 4,
};

unsigned audio_sample_bytes(AudioFormat format);
static inline unsigned audio_frame_bytes(const AudioSettings *settings)
{
    return audio_sample_bytes(settings->format) * settings->channels;
}

/* count: samples. To and from the same format is exact up to 24 bits; what is louder than full scale is clipped. */
void audio_decode(AudioFormat format, const void *data, float *samples, size_t count);
void audio_encode(AudioFormat format, const float *samples, void *data, size_t count);
/* Bytes of silence. */
void audio_fill_silence(AudioFormat format, void *data, size_t count);

/* One channel goes to all; two become one by their mean; else what the other side lacks is dropped or silent. */
void audio_map_channels(const float *from, unsigned from_channels, float *to, unsigned to_channels,
                        size_t frames);

/*
 * From one rate to another by band-limited interpolation. The position is an exact fraction: after any time, `out` frames have
 * come for `in` frames that went in, but for the few that it looks ahead.
 */
typedef struct AudioResampler AudioResampler;

/* Rates in frames per second, above 0. */
AudioResampler *audio_resampler_new(unsigned channels, uint32_t in, uint32_t out);
void audio_resampler_free(AudioResampler *resampler);
/* From here on so many millionths more frames come out (or fewer), within a twentieth. */
void audio_resampler_bend(AudioResampler *resampler, int32_t millionths);
/* The most frames that come out when `frames` go in. */
size_t audio_resampler_room(const AudioResampler *resampler, size_t frames);
/* Takes all of `in`; out has room for audio_resampler_room. Returns how many came out. */
size_t audio_resampler_run(AudioResampler *resampler, const float *in, size_t frames, float *out);

#endif
