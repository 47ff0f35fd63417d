/* SPDX-License-Identifier: MIT */
/* The example of docs/howto/add-an-audio-back-end.md at work. */
#include <unistd.h>

#include "backends/audiodev-open.h"
#include "tests/device/bench.h"

static size_t play(void *opaque, void *data, size_t frames)
{
    memset(data, 0x22, frames * 4);
    return frames;
}

static void record(void *opaque, const void *data, size_t frames)
{
    for (size_t i = 0; i < frames * 4; i++) {
        g_assert_cmphex(((const uint8_t *)data)[i], ==, 0x11);
    }
    *(size_t *)opaque += frames;
}

static const AudioClient client = { .play = play, .record = record };

static void test_raw(void)
{
    g_autofree char *folder = g_dir_make_tmp("kaso-raw-XXXXXX", NULL), *contents = NULL;
    g_autofree char *path = g_build_filename(folder, "raw", NULL);
    g_autoptr(GHashTable) options = g_hash_table_new(g_str_hash, g_str_equal);
    static const AudioSettings settings = { AUDIO_FORMAT_S16, 44100, 2 };
    Bench *bench = bench_new(false);
    AudioStream *out, *in;
    GError *error = NULL;
    Audiodev *audiodev;
    size_t recorded = 0, size;

    clock_set_manual(bench->machine);
    g_assert_null(audiodev_open(bench->machine, "a", "raw", options, NULL));
    g_hash_table_insert(options, (void *)"path", path);
    audiodev = audiodev_open(bench->machine, "a", "raw", options, &error);
    g_assert_no_error(error);
    out = audio_stream_new(audiodev, AUDIO_PLAY, "out", &client, NULL);
    in = audio_stream_new(audiodev, AUDIO_RECORD, "in", &client, &recorded);
    audio_stream_start(out, &settings);
    audio_stream_start(in, &settings);
    clock_advance(bench->machine, clock_now_ns(bench->machine) + 1000000000);
    audio_stream_free(out);
    audio_stream_free(in);
    bench_free(bench);
    g_assert_cmpuint(recorded, ==, 44100);
    g_assert_true(g_file_get_contents(path, &contents, &size, NULL));
    g_assert_cmpuint(size, ==, 44100 * 4);
    g_assert_cmphex((uint8_t)contents[0], ==, 0x22);
    unlink(path);
    rmdir(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/howto-audio/raw", test_raw);
    return g_test_run();
}
