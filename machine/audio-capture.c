/* SPDX-License-Identifier: MIT */
/* What the guest plays, into files that the monitor names. */
#include <stdio.h>

#include "machine/audio.h"
#include "machine/private.h"
#include "machine/wave-file.h"

struct AudioCapture {
    Audiodev *audiodev;
    WaveFile *file; /* NULL: it was given up */
    char *path;
    AudioSettings settings;
    uint64_t bytes;
    AudioResampler *resampler;
    AudioSettings heard; /* what the resampler is for */
};

AudioCapture *audio_capture_new(Audiodev *audiodev, const char *path, const AudioSettings *settings,
                                GError **error)
{
    WaveFile *file = wave_file_create(path, settings, error);
    AudioCapture *capture;

    if (!file) {
        return NULL;
    }
    capture = g_new0(AudioCapture, 1);
    capture->audiodev = audiodev;
    capture->file = file;
    capture->path = g_strdup(path);
    capture->settings = *settings;
    g_ptr_array_add(audiodev->captures, capture);
    return capture;
}

static void give_up(AudioCapture *capture, const GError *why)
{
    fprintf(stderr, "kaso: wavcapture: %s: %s; no more is written\n", capture->path, why->message);
    wave_file_close(g_steal_pointer(&capture->file), NULL);
}

static void hear(AudioCapture *capture, const float *mixed, size_t frames)
{
    const AudioSettings *from = &capture->audiodev->sides[AUDIO_PLAY].settings;
    const AudioSettings *to = &capture->settings;
    g_autofree float *resampled = NULL, *mapped = NULL;
    g_autofree uint8_t *data = NULL;
    g_autoptr(GError) error = NULL;
    size_t most, count;

    if (!capture->resampler || capture->heard.rate != from->rate ||
        capture->heard.channels != from->channels) {
        audio_resampler_free(capture->resampler);
        capture->resampler = audio_resampler_new(from->channels, from->rate, to->rate);
        capture->heard = *from;
    }
    most = audio_resampler_room(capture->resampler, frames);
    resampled = g_new(float, most * from->channels);
    mapped = g_new(float, most * to->channels);
    data = g_malloc(most * audio_frame_bytes(to));
    count = audio_resampler_run(capture->resampler, mixed, frames, resampled);
    audio_map_channels(resampled, from->channels, mapped, to->channels, count);
    audio_encode(to->format, mapped, data, count * to->channels);
    if (count && !wave_file_write(capture->file, data, count, &error)) {
        give_up(capture, error);
    } else {
        capture->bytes = wave_file_bytes(capture->file);
    }
}

void audio_captures_hear(Audiodev *audiodev, const float *mixed, size_t frames)
{
    for (guint i = 0; i < audiodev->captures->len; i++) {
        AudioCapture *capture = audiodev->captures->pdata[i];

        if (capture->file) {
            hear(capture, mixed, frames);
        }
    }
}

void audio_capture_free(AudioCapture *capture)
{
    g_autoptr(GError) error = NULL;

    g_ptr_array_remove(capture->audiodev->captures, capture);
    if (!wave_file_close(g_steal_pointer(&capture->file), &error)) {
        fprintf(stderr, "kaso: wavcapture: %s: %s\n", capture->path, error->message);
    }
    audio_resampler_free(capture->resampler);
    g_free(capture->path);
    g_free(capture);
}

void audio_capture_describe(const AudioCapture *capture, GString *out)
{
    const AudioSettings *s = &capture->settings;

    g_string_append_printf(out, "Capturing audio(%u,%u,%u) to %s: %" G_GUINT64_FORMAT " bytes%s\n",
                           s->rate, audio_sample_bytes(s->format) * 8, s->channels, capture->path,
                           capture->bytes, capture->file ? "" : " (given up)");
}
