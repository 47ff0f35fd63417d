/* SPDX-License-Identifier: MIT */
/*
 * Sound to and from WAVE files. What the guest plays, while it plays, is appended to path=; what it records is in.path=, again
 * and again.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "machine/audio.h"
#include "machine/wave-file.h"

enum { TAG_EXTENSIBLE = 0xfffe }; /* the real tag is further behind */

typedef struct {
    Audiodev audiodev;
    WaveFile *out;
    FILE *in;
    uint32_t in_start, in_size,
        in_at; /* bytes: of the samples in the file, and how many were read */
    AudioSettings in_settings;
    /* Properties. */
    char *path, *in_path;
} Wav;

static Wav *wav_of(Audiodev *audiodev)
{
    return container_of(audiodev, Wav, audiodev);
}

/* Playing. */

/* No more is written. */
static void give_up(Wav *wav, const GError *why)
{
    fprintf(stderr, "kaso: audiodev '%s': %s: %s; the guest runs on, and no more is written\n",
            wav->audiodev.id, wav->path, why->message);
    wave_file_close(wav->out, NULL);
    wav->out = NULL;
}

static void wav_start(Audiodev *audiodev, AudioDirection direction)
{
    Wav *wav = wav_of(audiodev);

    /* A file has one format: that of the first stream, when the user leaves it to the guest. */
    if (direction == AUDIO_PLAY && wav->out) {
        wave_file_set_settings(wav->out, &audiodev->sides[direction].settings);
        audiodev->sides[direction].settings = *wave_file_settings(wav->out);
    } else if (direction == AUDIO_RECORD && wav->in) {
        audiodev->sides[direction].settings = wav->in_settings;
    }
}

static void wav_play(Audiodev *audiodev, const void *data, size_t frames)
{
    Wav *wav = wav_of(audiodev);
    g_autoptr(GError) error = NULL;

    if (wav->out && !wave_file_write(wav->out, data, frames, &error)) {
        give_up(wav, error);
    }
}

/* Recording. */

static bool bad_file(const Wav *wav, const char *what, GError **error)
{
    return error_fail(error, KASO_ERROR_INVALID,
                      "audiodev '%s': %s: %s; give a WAVE file of 8, 16 or 32-bit samples",
                      wav->audiodev.id, wav->in_path, what);
}

static bool parse_format(Wav *wav, const uint8_t *chunk, uint32_t size, GError **error)
{
    unsigned tag = load_le16(chunk), bits = load_le16(chunk + 14);

    if (tag == TAG_EXTENSIBLE && size >= 26) {
        tag = load_le16(chunk + 24);
    }
    wav->in_settings = (AudioSettings){
        bits == 8            ? AUDIO_FORMAT_U8
        : bits == 16         ? AUDIO_FORMAT_S16
        : tag == WAVE_FLOATS ? AUDIO_FORMAT_F32
                             : AUDIO_FORMAT_S32,
        load_le32(chunk + 4),
        load_le16(chunk + 2),
    };
    if ((tag != WAVE_INTEGERS && (tag != WAVE_FLOATS || bits != 32)) ||
        (bits != 8 && bits != 16 && bits != 32)) {
        return bad_file(wav, "its samples are in another form", error);
    }
    return (wav->in_settings.channels >= 1 && wav->in_settings.channels <= AUDIO_CHANNELS_MOST &&
            wav->in_settings.rate >= AUDIO_RATE_LEAST &&
            wav->in_settings.rate <= AUDIO_RATE_MOST) ||
           bad_file(wav, "it has too many channels, or another rate than sound has", error);
}

/* Goes through the chunks of the file up to the samples. */
static bool find_samples(Wav *wav, GError **error)
{
    uint8_t head[12], format[40];
    bool have_format = false;

    if (fread(head, 12, 1, wav->in) != 1 || memcmp(head, "RIFF", 4) ||
        memcmp(head + 8, "WAVE", 4)) {
        return bad_file(wav, "it is no such file", error);
    }
    while (fread(head, 8, 1, wav->in) == 1) {
        uint32_t size = load_le32(head + 4), known = 0;

        if (memcmp(head, "data", 4) == 0 && have_format) {
            unsigned frame = audio_frame_bytes(&wav->in_settings);

            wav->in_start = (uint32_t)ftello(wav->in);
            wav->in_size = size / frame * frame;
            return wav->in_size || bad_file(wav, "it is empty", error);
        }
        if (memcmp(head, "fmt ", 4) == 0 && size >= 16) {
            known = MIN(size, sizeof format);
            if (fread(format, known, 1, wav->in) != 1) {
                break;
            }
            if (!parse_format(wav, format, known, error)) {
                return false;
            }
            have_format = true;
        }
        if (fseeko(wav->in, (off_t)size + (size & 1) - known, SEEK_CUR) != 0) {
            break;
        }
    }
    return bad_file(wav, "it ends before its samples", error);
}

static size_t wav_record(Audiodev *audiodev, void *data, size_t frames)
{
    Wav *wav = wav_of(audiodev);
    unsigned frame = audio_frame_bytes(&wav->in_settings);
    size_t had, bytes = frames * frame, done = 0;

    while (wav->in && done < bytes) {
        if (wav->in_at == wav->in_size) {
            wav->in_at = 0;
            fseeko(wav->in, wav->in_start, SEEK_SET);
        }
        had = fread((char *)data + done, 1, MIN(bytes - done, wav->in_size - wav->in_at), wav->in);
        if (had == 0) {
            break; /* shorter than it says */
        }
        wav->in_at += (uint32_t)had;
        done += had;
    }
    return done / frame;
}

/* Life. */

static bool open_in(Wav *wav, GError **error)
{
    if (!wav->in_path) {
        return true;
    }
    wav->in = fopen(wav->in_path, "rbe");
    return wav->in ? find_samples(wav, error)
                   : error_fail_errno(error, errno, "audiodev '%s': %s", wav->audiodev.id,
                                      wav->in_path);
}

static void wav_close(Audiodev *audiodev)
{
    Wav *wav = wav_of(audiodev);
    g_autoptr(GError) error = NULL;

    if (!wave_file_close(g_steal_pointer(&wav->out), &error)) {
        fprintf(stderr, "kaso: audiodev '%s': %s: %s\n", audiodev->id, wav->path, error->message);
    }
    g_clear_pointer(&wav->in, fclose);
}

static bool wav_open(Audiodev *audiodev, GError **error)
{
    Wav *wav = wav_of(audiodev);

    if (!wave_file_takes(audiodev->sides[AUDIO_PLAY].settings.format, error)) {
        g_prefix_error(error, "audiodev '%s': ", audiodev->id);
        return false;
    }
    if (open_in(wav, error)) {
        wav->out = wave_file_create(wav->path, &audiodev->sides[AUDIO_PLAY].settings, error);
        if (!wav->out) {
            g_prefix_error(error, "audiodev '%s': ", audiodev->id);
        }
    }
    if (!wav->out) {
        g_clear_pointer(&wav->in, fclose);
    }
    return wav->out;
}

static const AudiodevType wav_type = {
    .name = "wav",
    .summary = "Sound to and from WAVE files",
    .instance_size = sizeof(Wav),
    .properties =
        (const Property[]){ { "path", PROPERTY_STRING, offsetof(Wav, path),
                              "file for what the guest plays", "qemu.wav" },
                            { "in.path", PROPERTY_STRING, offsetof(Wav, in_path),
                              "file that the guest records, again and again; unset: silence" },
                            { 0 } },
    .open = wav_open,
    .close = wav_close,
    .start = wav_start,
    .play = wav_play,
    .record = wav_record,
};
AUDIODEV_TYPE(wav_type);
