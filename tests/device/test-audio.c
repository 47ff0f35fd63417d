/* SPDX-License-Identifier: MIT */
/* The core of sound: formats, rates, pace, mixing, and the wav back end. */
#include <math.h>
#include <unistd.h>

#include "backends/audio/host-ring.h"
#include "backends/audiodev-open.h"
#include "base/bits.h"
#include "tests/device/audio-bench.h"
#include "tests/device/bench.h"

static void test_formats(void)
{
    float samples[256], back[256];
    int16_t data[256], again[256];
    float strange[3] = { NAN, INFINITY, -3 };

    for (int i = 0; i < 256; i++) {
        data[i] = (int16_t)(i * 257 - 32768);
    }
    audio_decode(AUDIO_FORMAT_S16, data, samples, 256);
    g_assert_cmpfloat(samples[0], ==, -1);
    for (AudioFormat f = 0; f < AUDIO_FORMAT_COUNT; f++) {
        uint8_t raw[256 * 4];
        float step = audio_sample_bytes(f) == 1 ? 1.0f / 128 : 1.0f / 32768;

        audio_encode(f, samples, raw, 256);
        audio_decode(f, raw, back, 256);
        for (int i = 0; i < 256; i++) {
            g_assert_cmpfloat_with_epsilon(samples[i], back[i], step);
        }
        audio_fill_silence(f, raw, 4);
        audio_decode(f, raw, back, 4);
        g_assert_cmpfloat(back[0], ==, 0);
        g_assert_cmpfloat(back[3], ==, 0);
    }
    audio_encode(AUDIO_FORMAT_S16, samples, again, 256);
    g_assert_cmpmem(data, sizeof data, again, sizeof again);
    audio_decode(AUDIO_FORMAT_F32, strange, back, 3);
    g_assert_cmpfloat(back[0], ==, 0);
    g_assert_cmpfloat(back[1], ==, 0);
    g_assert_cmpfloat(back[2], ==, -1);
    samples[0] = 2;
    samples[1] = -2;
    audio_encode(AUDIO_FORMAT_S16, samples, again, 2);
    g_assert_cmpint(again[0], ==, 32767);
    g_assert_cmpint(again[1], ==, -32768);
}

/* Amplitude and number of frames of a sine of hz after it went from one rate to another. */
static double resampled_amplitude(uint32_t in, uint32_t out, double hz, size_t *frames)
{
    AudioResampler *r = audio_resampler_new(1, in, out);
    double peak = 0;
    uint64_t n = 0;

    *frames = 0;
    while (n < in) {
        float from[441], *to;
        size_t count = MIN(441, in - n), got;

        for (size_t i = 0; i < count; i++) {
            from[i] = (float)sin(2 * G_PI * hz * (double)(n + i) / in);
        }
        n += count;
        to = g_new(float, audio_resampler_room(r, count));
        got = audio_resampler_run(r, from, count, to);
        for (size_t i = 0; i < got; i++) {
            if (*frames + i > out / 2 && fabs(to[i]) > peak) {
                peak = fabs(to[i]);
            }
        }
        *frames += got;
        g_free(to);
    }
    audio_resampler_free(r);
    return peak;
}

static void test_rates(void)
{
    static const uint32_t rates[] = { 4000, 8000, 11025, 44100, 48000, 96000, 192000 };

    for (size_t i = 0; i < G_N_ELEMENTS(rates); i++) {
        for (size_t k = 0; k < G_N_ELEMENTS(rates); k++) {
            uint32_t in = rates[i], out = rates[k];
            size_t frames;

            g_assert_cmpfloat_with_epsilon(resampled_amplitude(in, out, 997, &frames), 1, 0.01);
            g_assert_cmpfloat_with_epsilon((double)frames / out, 1, 0.01);
        }
    }
    /* What the lower rate cannot carry is gone, not something else. */
    for (unsigned hz = 5000; hz < 20000; hz += 2500) {
        size_t frames;

        g_assert_cmpfloat(resampled_amplitude(44100, 8000, hz, &frames), <, 0.01);
    }
    /* A step that is longer than the filter. */
    for (size_t frames, i = 0; i < 1; i++) {
        resampled_amplitude(768000, 1000, 100, &frames);
        g_assert_cmpuint(frames, >=, 998);
        g_assert_cmpuint(frames, <=, 1000);
    }
}

/* A device that plays a sine of its own, and one that records. */
typedef struct {
    AudioStream *stream;
    Machine *machine;
    int64_t start_ns;
    uint32_t rate;
    uint64_t played, have; /* frames; have: how many there are */
    uint64_t most_at_once;
    GArray *recorded; /* int16_t, mono */
} Client;

static size_t client_play(void *opaque, void *data, size_t frames)
{
    Client *c = opaque;
    size_t n = MIN(frames, c->have - c->played);

    for (size_t i = 0; i < n; i++) {
        ((int16_t *)data)[i] = audio_bench_sine(c->played++, c->rate);
    }
    return n;
}

static void client_record(void *opaque, const void *data, size_t frames)
{
    g_array_append_vals(((Client *)opaque)->recorded, data, (guint)frames);
}

static const AudioClient client_ops = { .play = client_play, .record = client_record };

static void start(Client *c, Capture *capture, AudioDirection direction, uint32_t rate)
{
    AudioSettings settings = { AUDIO_FORMAT_S16, rate, 1 };

    *c = (Client){ .machine = capture->audiodev.machine, .rate = rate, .have = UINT64_MAX };
    c->start_ns = clock_now_ns(c->machine);
    c->recorded = g_array_new(false, false, sizeof(int16_t));
    c->stream = audio_stream_new(&capture->audiodev, direction, "test", &client_ops, c);
    audio_stream_start(c->stream, &settings);
}

static void end(Client *c)
{
    audio_stream_free(c->stream);
    g_array_unref(c->recorded);
}

static void test_pace(void)
{
    static const uint32_t rates[] = { 8000, 44100, 48000, 96000 };

    for (size_t i = 0; i < G_N_ELEMENTS(rates); i++) {
        Bench *bench = bench_new(false);
        Capture *capture = audio_bench_open(bench->machine);
        Client c;

        start(&c, capture, AUDIO_PLAY, rates[i]);
        audio_bench_run(bench->machine, 30, 40, NULL, NULL);
        audio_stream_update(c.stream);
        g_assert_cmpfloat_with_epsilon((double)c.played / rates[i], 30, 50e-6 * 30);
        audio_bench_check(capture, 30);
        g_assert_cmpuint(capture->starts, ==, 1);
        audio_stream_stop(c.stream);
        g_assert_cmpuint(capture->stops, ==, 1);
        g_assert_cmpint(clock_next_deadline_ns(bench->machine), ==, -1); /* nothing ticks */
        end(&c);
        bench_free(bench);
    }
}

static void add_frames(void *opaque)
{
    Client *c = opaque;

    c->have = (uint64_t)(clock_now_ns(c->machine) - c->start_ns) * c->rate / 1000000000;
    audio_stream_wake(c->stream);
}

/* Frames that come up to 20 ms late leave no gap; a second without any lets the stream sleep. */
static void test_late(void)
{
    Bench *bench = bench_new(false);
    Capture *capture = audio_bench_open(bench->machine);
    Client c;

    start(&c, capture, AUDIO_PLAY, 48000);
    c.have = 0;
    audio_bench_run(bench->machine, 10, 20, add_frames, &c);
    audio_bench_check(capture, 10);
    c.have = c.played;
    audio_bench_run(bench->machine, 3, 10, NULL, NULL);
    g_assert_cmpint(clock_next_deadline_ns(bench->machine), ==, -1);
    g_assert_true(audio_stream_active(c.stream));
    g_array_set_size(capture->played, 0);
    c.have = UINT64_MAX;
    c.played = 0;
    audio_stream_wake(c.stream);
    audio_bench_run(bench->machine, 1, 10, NULL, NULL);
    audio_bench_check(capture, 1);
    end(&c);
    bench_free(bench);
}

/* Two in phase are twice as loud, whatever their rates; one that is muted is not heard. */
static void test_mixing(void)
{
    Bench *bench = bench_new(false);
    Capture *capture = audio_bench_open(bench->machine);
    double one, two;
    Client a, b;

    start(&a, capture, AUDIO_PLAY, 44100);
    start(&b, capture, AUDIO_PLAY, 44100);
    audio_stream_set_volume(a.stream, 0.5f, 0.5f);
    audio_stream_set_volume(b.stream, 0.5f, 0.5f);
    audio_bench_run(bench->machine, 2, 20, NULL, NULL);
    two = audio_bench_check(capture, 2);
    g_assert_cmpfloat_with_epsilon(two, AUDIO_BENCH_AMPLITUDE, 20);
    end(&a);
    end(&b);
    g_array_set_size(capture->played, 0);
    start(&a, capture, AUDIO_PLAY, 22050);
    start(&b, capture, AUDIO_PLAY, 32000);
    audio_stream_set_volume(a.stream, 0, 0);
    audio_bench_run(bench->machine, 2, 20, NULL, NULL);
    one = audio_bench_check(capture, 2);
    g_assert_cmpfloat_with_epsilon(one, AUDIO_BENCH_AMPLITUDE, 20);
    end(&a);
    end(&b);
    bench_free(bench);
}

static void test_recording(void)
{
    static const uint32_t rates[] = { 8000, 44100, 96000 };

    for (size_t i = 0; i < G_N_ELEMENTS(rates); i++) {
        Bench *bench = bench_new(false);
        Capture *capture = audio_bench_open(bench->machine);
        uint64_t frames;
        Client c;

        start(&c, capture, AUDIO_RECORD, rates[i]);
        audio_bench_run(bench->machine, 10, 40, NULL, NULL);
        frames = audio_bench_judge((const int16_t *)c.recorded->data, c.recorded->len, 1, rates[i],
                                   NULL);
        g_assert_cmpfloat_with_epsilon((double)frames / rates[i], 10, 0.02);
        end(&c);
        bench_free(bench);
    }
}

/* The wav back end, there and back. */

static char *temporary(const char *name)
{
    g_autofree char *folder = g_dir_make_tmp("kaso-audio-XXXXXX", NULL);

    return g_build_filename(folder, name, NULL);
}

static Audiodev *open_wav(Bench *bench, const char *id, const char *key, const char *path,
                          GError **error)
{
    g_autoptr(GHashTable) options = g_hash_table_new(g_str_hash, g_str_equal);

    g_hash_table_insert(options, (void *)key, (void *)path);
    if (strcmp(key, "in.path") == 0) {
        g_hash_table_insert(options, (void *)"path", (void *)"/dev/null");
    }
    return audiodev_open(bench->machine, id, "wav", options, error);
}

static void test_wav(void)
{
    g_autofree char *path = temporary("out.wav"), *folder = g_path_get_dirname(path);
    Bench *bench = bench_new(false);
    g_autoptr(GError) error = NULL;
    uint64_t frames;
    Client c;

    clock_set_manual(bench->machine);
    start(&c, (Capture *)open_wav(bench, "w", "path", path, &error), AUDIO_PLAY, 44100);
    g_assert_no_error(error);
    audio_bench_run(bench->machine, 5, 20, NULL, NULL);
    end(&c);
    bench_free(bench);

    bench = bench_new(false);
    clock_set_manual(bench->machine);
    start(&c, (Capture *)open_wav(bench, "r", "in.path", path, &error), AUDIO_RECORD, 44100);
    g_assert_no_error(error);
    audio_bench_run(bench->machine, 4, 20, NULL, NULL);
    frames = audio_bench_judge((const int16_t *)c.recorded->data, c.recorded->len, 1, 44100, NULL);
    g_assert_cmpuint(frames, >, 44100 * 39 / 10);
    end(&c);
    bench_free(bench);
    unlink(path);
    rmdir(folder);
}

static void test_bad_wav(void)
{
    static const char *const texts[] = { "", "RIFF....WAVE", "RIFF....WAVEfmt \x10\0\0\0" };
    g_autofree char *path = temporary("bad.wav"), *folder = g_path_get_dirname(path);
    static const size_t sizes[] = { 0, 12, 20 };
    Bench *bench = bench_new(false);

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_true(g_file_set_contents(path, texts[i], (gssize)sizes[i], NULL));
        g_assert_null(open_wav(bench, "r", "in.path", path, &error));
        g_assert_nonnull(strstr(error->message, path));
    }
    bench_free(bench);
    unlink(path);
    rmdir(folder);
}

/*
 * A sound card whose clock is off by some millionths, for a minute: no frame is missing after the ring has filled once. Play: the
 * host takes; else it gives.
 */
static void run_ring(bool play, int millionths)
{
    enum { STEP = 441, STEPS = 6000 };
    static const AudioSettings settings = { AUDIO_FORMAT_S16, 44100, 1 };
    HostRing *ring = host_ring_new(&settings, 50000);
    int16_t ones[STEP * 2], taken[STEP * 2];
    double host = 0;
    bool filled = false;

    for (size_t i = 0; i < G_N_ELEMENTS(ones); i++) {
        ones[i] = 8000;
    }
    for (unsigned n = 0; n < STEPS; n++) {
        size_t count = STEP, got;

        host += STEP * (1 + millionths * 1e-6);
        count = (size_t)host;
        host -= (double)count;
        memset(taken, 0, sizeof taken);
        if (play) {
            host_ring_play(ring, ones, STEP);
            host_ring_play_out(ring, taken, count);
        } else {
            host_ring_record_in(ring, ones, count);
            got = host_ring_record(ring, taken, STEP);
            g_assert_true(!filled || got >= STEP - 1);
            count = got;
        }
        for (size_t i = 0; filled && i < count; i++) {
            g_assert_cmpint(abs(taken[i] - 8000), <, 80);
        }
        filled = filled || (count && taken[0] && taken[count - 1] > 7900 && n > 50);
    }
    g_assert_true(filled);
    g_assert_cmpuint(host_ring_level(ring), <, 44100 / 5);
    host_ring_free(ring);
}

static void test_host_clock(void)
{
    static const int off[] = { -1500, 0, 1500 };

    for (size_t i = 0; i < G_N_ELEMENTS(off); i++) {
        run_ring(true, off[i]);
        run_ring(false, off[i]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/audio/formats", test_formats);
    g_test_add_func("/audio/rates", test_rates);
    g_test_add_func("/audio/pace", test_pace);
    g_test_add_func("/audio/late", test_late);
    g_test_add_func("/audio/mixing", test_mixing);
    g_test_add_func("/audio/recording", test_recording);
    g_test_add_func("/audio/host-clock", test_host_clock);
    g_test_add_func("/audio/wav", test_wav);
    g_test_add_func("/audio/bad-wav", test_bad_wav);
    return g_test_run();
}
