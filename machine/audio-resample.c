/* SPDX-License-Identifier: MIT */
/*
 * Band-limited interpolation (J. O. Smith, "Digital Audio Resampling"): each output frame is a sum of the input frames
 * around it, weighted by a windowed sinc that is tabled at PHASES points between two inputs.
 */
#include "machine/audio-samples.h"

#include <glib.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { PHASES = 128, TAPS_LEAST = 32, TAPS_MOST = 512, MILLION = 1000000 };
#define PASS_BAND   0.94 /* of what the lower rate can carry */
#define KAISER_BETA 9.0

struct AudioResampler {
    unsigned channels;
    bool plain; /* the rates are equal, and nothing was ever bent: frames pass as they are */
    uint64_t in, out, in_now; /* rates; in_now is bent */
    uint64_t phase; /* between the frames in the middle of the history, in parts of `out` */
    unsigned taps;
    float *kernel;  /* (PHASES + 1) * taps */
    float *history; /* frames that are still needed, and room for new ones */
    size_t frames, room;
    size_t skip; /* frames that are not needed, and have not come yet */
};

/* The modified Bessel function I0, by its series. */
static double bessel_i0(double x)
{
    double sum = 1, term = 1;

    for (int k = 1; k < 40; k++) {
        term *= (x / 2 / k) * (x / 2 / k);
        sum += term;
    }
    return sum;
}

static void fill_kernel(AudioResampler *r, double cutoff)
{
    double half = r->taps / 2.0, i0 = bessel_i0(KAISER_BETA);

    for (unsigned phase = 0; phase <= PHASES; phase++) {
        float *row = r->kernel + (size_t)phase * r->taps;
        double sum = 0;

        for (unsigned tap = 0; tap < r->taps; tap++) {
            double x = tap - (half - 1) - (double)phase / PHASES, w = x / half;
            double sinc = x == 0 ? cutoff : sin(G_PI * cutoff * x) / (G_PI * x);

            row[tap] =
                (float)(fabs(w) < 1 ? sinc * bessel_i0(KAISER_BETA * sqrt(1 - w * w)) / i0 : 0);
            sum += row[tap];
        }
        for (unsigned tap = 0; tap < r->taps; tap++) {
            row[tap] = (float)(row[tap] / sum);
        }
    }
}

AudioResampler *audio_resampler_new(unsigned channels, uint32_t in, uint32_t out)
{
    AudioResampler *r = g_new0(AudioResampler, 1);
    double ratio = MIN(1.0, (double)out / in);

    r->channels = channels;
    r->plain = in == out;
    /* In millionths, so that they can be bent. */
    r->in = r->in_now = (uint64_t)in * MILLION;
    r->out = (uint64_t)out * MILLION;
    r->taps = MIN(2 * (unsigned)ceil(TAPS_LEAST / 2.0 / ratio), TAPS_MOST);
    r->kernel = g_new(float, (size_t)(PHASES + 1) * r->taps);
    fill_kernel(r, ratio * PASS_BAND);
    /* The first output is the first input: silence before it. */
    r->frames = r->taps / 2 - 1;
    r->room = r->taps + 1024;
    r->history = g_new0(float, r->room *channels);
    return r;
}

void audio_resampler_free(AudioResampler *r)
{
    if (r) {
        g_free(r->kernel);
        g_free(r->history);
        g_free(r);
    }
}

void audio_resampler_bend(AudioResampler *r, int32_t millionths)
{
    int32_t limited = CLAMP(millionths, -MILLION / 20, MILLION / 20);

    r->plain = r->plain && limited == 0;
    r->in_now = r->in - (int64_t)(r->in / MILLION) * limited;
}

size_t audio_resampler_room(const AudioResampler *r, size_t frames)
{
    return (size_t)((r->frames + frames + 1) * r->out / MIN(r->in_now, r->in)) + 2;
}

static void put_frame(const AudioResampler *r, const float *from, float *to)
{
    double at = (double)r->phase / (double)r->out * PHASES;
    unsigned row = (unsigned)at;
    float part = (float)(at - row), weight;
    const float *a = r->kernel + (size_t)row * r->taps, *b = a + r->taps;

    memset(to, 0, r->channels * sizeof *to);
    for (unsigned tap = 0; tap < r->taps; tap++, from += r->channels) {
        weight = a[tap] + (b[tap] - a[tap]) * part;
        for (unsigned c = 0; c < r->channels; c++) {
            to[c] += weight * from[c];
        }
    }
}

size_t audio_resampler_run(AudioResampler *r, const float *in, size_t frames, float *out)
{
    size_t at = 0, count = 0, skipped = MIN(r->skip, frames);

    if (r->plain) {
        memcpy(out, in, frames * r->channels * sizeof *out);
        return frames;
    }
    r->skip -= skipped;
    in += skipped * r->channels;
    frames -= skipped;
    if (r->frames + frames > r->room) {
        r->room = r->frames + frames;
        r->history = g_renew(float, r->history, r->room * r->channels);
    }
    memcpy(r->history + r->frames * r->channels, in, frames * r->channels * sizeof *in);
    r->frames += frames;
    while (at + r->taps <= r->frames) {
        put_frame(r, r->history + at * r->channels, out + count++ * r->channels);
        r->phase += r->in_now;
        at += r->phase / r->out;
        r->phase %= r->out;
    }
    /* A step may be longer than the history. */
    r->skip += at - MIN(at, r->frames);
    at = MIN(at, r->frames);
    r->frames -= at;
    memmove(r->history, r->history + at * r->channels, r->frames * r->channels * sizeof *in);
    return count;
}
