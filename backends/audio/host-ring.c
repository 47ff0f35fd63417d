/* SPDX-License-Identifier: MIT */
/* See the header. The ring holds floats; formats are those of the two sides, which are the same. */
#include "backends/audio/host-ring.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

enum {
    CHUNK = 512,          /* frames */
    ROOM = 4,             /* times the latency */
    BEND_MOST = 2000,     /* millionths */
    BEND_PER_FULL = 4000, /* when the ring is empty or twice as full as it shall be */
    SMOOTHING = 32,       /* looks at the level that a mean is taken of */
};

struct HostRing {
    GMutex lock;
    AudioSettings settings;
    float *frames;
    size_t room, first, level, target; /* frames */
    bool filling;                      /* nothing is taken before the target is reached */
    double mean;                       /* of the level */
    AudioResampler *resampler;         /* of the main loop's side */
};

HostRing *host_ring_new(const AudioSettings *settings, uint32_t latency_us)
{
    HostRing *ring = g_new0(HostRing, 1);

    g_mutex_init(&ring->lock);
    ring->settings = *settings;
    ring->target = MAX((uint64_t)settings->rate * latency_us / 1000000, 2 * CHUNK);
    ring->room = ring->target * ROOM;
    ring->frames = g_new0(float, ring->room * settings->channels);
    ring->filling = true;
    ring->mean = (double)ring->target;
    ring->resampler = audio_resampler_new(settings->channels, settings->rate, settings->rate);
    audio_resampler_bend(ring->resampler, 1); /* it never passes frames as they are */
    return ring;
}

void host_ring_free(HostRing *ring)
{
    if (ring) {
        g_mutex_clear(&ring->lock);
        audio_resampler_free(ring->resampler);
        g_free(ring->frames);
        g_free(ring);
    }
}

size_t host_ring_level(HostRing *ring)
{
    size_t level;

    g_mutex_lock(&ring->lock);
    level = ring->level;
    g_mutex_unlock(&ring->lock);
    return level;
}

/* The three below hold the lock. */

static void put(HostRing *ring, const float *from, size_t frames)
{
    unsigned channels = ring->settings.channels;
    size_t at = (ring->first + ring->level) % ring->room, n = MIN(frames, ring->room - at);

    memcpy(ring->frames + at * channels, from, n * channels * sizeof *from);
    memcpy(ring->frames, from + n * channels, (frames - n) * channels * sizeof *from);
    ring->level += frames;
}

static void drop(HostRing *ring, size_t frames)
{
    ring->first = (ring->first + frames) % ring->room;
    ring->level -= frames;
}

static void take(HostRing *ring, float *to, size_t frames)
{
    unsigned channels = ring->settings.channels;
    size_t n = MIN(frames, ring->room - ring->first);

    memcpy(to, ring->frames + ring->first * channels, n * channels * sizeof *to);
    memcpy(to + n * channels, ring->frames, (frames - n) * channels * sizeof *to);
    drop(ring, frames);
}

/* more: what makes the ring fuller when it is bent up. */
static void bend(HostRing *ring, int more)
{
    double off;

    ring->mean += ((double)ring->level - ring->mean) / SMOOTHING;
    off = (ring->mean - (double)ring->target) / (double)ring->target;
    audio_resampler_bend(ring->resampler,
                         CLAMP((int)(-off * BEND_PER_FULL), -BEND_MOST, BEND_MOST) * more);
}

/* Playing. */

static void play_chunk(HostRing *ring, const uint8_t *data, size_t frames)
{
    float samples[CHUNK * AUDIO_CHANNELS_MOST];
    g_autofree float *bent = NULL;
    size_t count;

    audio_decode(ring->settings.format, data, samples, frames * ring->settings.channels);
    bent = g_new(float, audio_resampler_room(ring->resampler, frames) * ring->settings.channels);
    count = audio_resampler_run(ring->resampler, samples, frames, bent);
    g_mutex_lock(&ring->lock);
    put(ring, bent, MIN(count, ring->room - ring->level));
    if (!ring->filling) {
        bend(ring, 1);
    }
    g_mutex_unlock(&ring->lock);
}

void host_ring_play(HostRing *ring, const void *data, size_t frames)
{
    unsigned bytes = audio_frame_bytes(&ring->settings);
    const uint8_t *from = data;

    for (size_t n; frames; frames -= n, from += n * bytes) {
        n = MIN(frames, CHUNK);
        play_chunk(ring, from, n);
    }
}

static void play_out_chunk(HostRing *ring, void *data, size_t frames)
{
    float samples[CHUNK * AUDIO_CHANNELS_MOST] = { 0 };
    size_t n = 0;

    g_mutex_lock(&ring->lock);
    ring->filling = ring->filling && ring->level < ring->target;
    if (!ring->filling) {
        n = MIN(frames, ring->level);
        take(ring, samples, n);
        ring->filling = n < frames;
        ring->mean = ring->filling ? (double)ring->target : ring->mean;
    }
    g_mutex_unlock(&ring->lock);
    audio_encode(ring->settings.format, samples, data, frames * ring->settings.channels);
}

void host_ring_play_out(HostRing *ring, void *data, size_t frames)
{
    unsigned bytes = audio_frame_bytes(&ring->settings);
    uint8_t *to = data;

    for (size_t n; frames; frames -= n, to += n * bytes) {
        n = MIN(frames, CHUNK);
        play_out_chunk(ring, to, n);
    }
}

/* Recording. */

static void record_in_chunk(HostRing *ring, const void *data, size_t frames)
{
    float samples[CHUNK * AUDIO_CHANNELS_MOST];

    audio_decode(ring->settings.format, data, samples, frames * ring->settings.channels);
    g_mutex_lock(&ring->lock);
    if (ring->level + frames > ring->room) {
        drop(ring, ring->level + frames - ring->room);
    }
    put(ring, samples, frames);
    g_mutex_unlock(&ring->lock);
}

void host_ring_record_in(HostRing *ring, const void *data, size_t frames)
{
    unsigned bytes = audio_frame_bytes(&ring->settings);
    const uint8_t *from = data;

    for (size_t n; frames; frames -= n, from += n * bytes) {
        n = MIN(frames, CHUNK);
        record_in_chunk(ring, from, n);
    }
}

/* A ring that is too full has to give more input for each frame that comes out. */
static size_t record_some(HostRing *ring, uint8_t *data, size_t frames)
{
    unsigned channels = ring->settings.channels;
    float samples[CHUNK / 4 * AUDIO_CHANNELS_MOST];
    g_autofree float *bent = NULL;
    size_t n, count;

    g_mutex_lock(&ring->lock);
    ring->filling = ring->filling && ring->level < ring->target;
    /* So few that what comes out cannot be more than what was asked for. */
    n = ring->filling ? 0 : MIN(MIN(frames * 63 / 64, ring->level), CHUNK / 4);
    take(ring, samples, n);
    ring->filling = ring->filling || (n == 0 && frames > 1);
    if (!ring->filling) {
        bend(ring, 1);
    }
    g_mutex_unlock(&ring->lock);
    bent = g_new(float, audio_resampler_room(ring->resampler, n) * channels);
    count = audio_resampler_run(ring->resampler, samples, n, bent);
    count = MIN(count, frames);
    audio_encode(ring->settings.format, bent, data, count * channels);
    return count;
}

size_t host_ring_record(HostRing *ring, void *data, size_t frames)
{
    unsigned bytes = audio_frame_bytes(&ring->settings);
    size_t done = 0, n;

    do {
        n = record_some(ring, (uint8_t *)data + done * bytes, frames - done);
        done += n;
    } while (n && done < frames);
    return done;
}
