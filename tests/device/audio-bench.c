/* SPDX-License-Identifier: MIT */
#include "tests/device/audio-bench.h"

#include <math.h>

#include "backends/audiodev-open.h"

#define NS_PER_S  1e9
#define NS_PER_MS 1000000

static bool capture_open(Audiodev *audiodev, GError **error)
{
    ((Capture *)audiodev)->played = g_array_new(false, false, sizeof(int16_t));
    return true;
}

static void capture_close(Audiodev *audiodev)
{
    g_array_unref(((Capture *)audiodev)->played);
}

static void capture_start(Audiodev *audiodev, AudioDirection direction)
{
    ((Capture *)audiodev)->starts++;
}

static void capture_stop(Audiodev *audiodev, AudioDirection direction)
{
    ((Capture *)audiodev)->stops++;
}

static void capture_play(Audiodev *audiodev, const void *data, size_t frames)
{
    g_array_append_vals(((Capture *)audiodev)->played, data, (guint)frames * 2);
}

static size_t capture_record(Audiodev *audiodev, void *data, size_t frames)
{
    Capture *c = (Capture *)audiodev;

    for (size_t i = 0; i < frames; i++) {
        int16_t *frame = (int16_t *)data + i * 2;

        frame[0] = frame[1] = audio_bench_sine(c->recorded++, AUDIO_BENCH_RATE);
    }
    return frames;
}

static const AudiodevType capture_type = {
    .name = "capture",
    .summary = "Keeps what is played",
    .instance_size = sizeof(Capture),
    .open = capture_open,
    .close = capture_close,
    .start = capture_start,
    .stop = capture_stop,
    .play = capture_play,
    .record = capture_record,
};
AUDIODEV_TYPE(capture_type);

Capture *audio_bench_open(Machine *machine)
{
    GError *error = NULL;
    Audiodev *audiodev;

    clock_set_manual(machine);
    audiodev = audiodev_open(machine, "a0", "capture", NULL, &error);
    g_assert_no_error(error);
    return (Capture *)audiodev;
}

void audio_bench_run(Machine *machine, double seconds, unsigned most_ms, void (*fn)(void *opaque),
                     void *opaque)
{
    int64_t end_ns = clock_now_ns(machine) + (int64_t)(seconds * NS_PER_S);

    while (clock_now_ns(machine) < end_ns) {
        int64_t step_ns = g_test_rand_int_range(NS_PER_MS / 2, (int)most_ms * NS_PER_MS);

        clock_advance(machine, MIN(clock_now_ns(machine) + step_ns, end_ns));
        if (fn) {
            fn(opaque);
        }
    }
}

int16_t audio_bench_sine(uint64_t n, uint32_t rate)
{
    return (int16_t)lrint(AUDIO_BENCH_AMPLITUDE *
                          sin(2 * G_PI * AUDIO_BENCH_HZ * (double)n / rate));
}

/* The sine that fits best within [at, at + n): *a sin + *b cos. */
static void fit(const int16_t *samples, uint64_t at, uint64_t n, unsigned stride, uint32_t rate,
                double *a, double *b)
{
    *a = *b = 0;
    for (uint64_t i = at; i < at + n; i++) {
        double x = 2 * G_PI * AUDIO_BENCH_HZ * (double)i / rate;

        *a += samples[i * stride] * sin(x) * 2 / (double)n;
        *b += samples[i * stride] * cos(x) * 2 / (double)n;
    }
}

uint64_t audio_bench_judge(const int16_t *samples, uint64_t frames, unsigned stride, uint32_t rate,
                           double *amplitude)
{
    uint64_t first = 0, end = frames, window = rate / 21; /* 21 periods */
    double a, b, size;

    while (first < end && ABS(samples[first * stride]) < 40) {
        first++;
    }
    while (end > first && ABS(samples[(end - 1) * stride]) < 40) {
        end--;
    }
    g_assert_cmpuint(end - first, >, 4 * window);
    fit(samples, first + window, window, stride, rate, &a, &b);
    size = sqrt(a * a + b * b);
    for (uint64_t i = first + 64; i + 64 < end; i++) { /* filters swing in */
        double x = 2 * G_PI * AUDIO_BENCH_HZ * (double)i / rate;
        double wanted = a * sin(x) + b * cos(x);

        if (fabs(samples[i * stride] - wanted) > size / 50 + 3) {
            g_error("frame %" PRIu64 " of %" PRIu64 ": %d, not %.0f", i - first, end - first,
                    samples[i * stride], wanted);
        }
    }
    if (amplitude) {
        *amplitude = size;
    }
    return end - first;
}

double audio_bench_check(const Capture *capture, double seconds)
{
    const int16_t *samples = (const int16_t *)capture->played->data;
    uint64_t frames = capture->played->len / 2, n;
    double left, right;

    n = audio_bench_judge(samples, frames, 2, AUDIO_BENCH_RATE, &left);
    audio_bench_judge(samples + 1, frames, 2, AUDIO_BENCH_RATE, &right);
    g_assert_cmpfloat_with_epsilon(left, right, 2);
    g_assert_cmpfloat_with_epsilon((double)n / AUDIO_BENCH_RATE, seconds, 0.02);
    return left;
}
