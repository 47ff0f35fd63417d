/* SPDX-License-Identifier: MIT */
/*
 * Sound to and from WAVE files (Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0"). What the
 * guest plays, while it plays, is appended to path=; what it records is in.path=, again and again.
 *
 * The header of the file is right once a second and at the end, so that a file of a run that was killed can be read.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "machine/audio.h"

enum {
    HEADER_BYTES = 44,
    TAG_INTEGERS = 1,
    TAG_FLOATS = 3,
    TAG_EXTENSIBLE = 0xfffe, /* the real tag is further behind */
};
#define DATA_BYTES_MOST (UINT32_MAX - HEADER_BYTES)

typedef struct {
    Audiodev audiodev;
    FILE *out, *in;
    AudioSettings out_settings;
    uint64_t out_bytes; /* of samples */
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

static void make_header(const Wav *wav, uint8_t *header)
{
    const AudioSettings *s = &wav->out_settings;
    unsigned frame = audio_frame_bytes(s);

    memcpy(header, "RIFF....WAVEfmt ", 16);
    store_le32(header + 4, (uint32_t)(wav->out_bytes + HEADER_BYTES - 8));
    store_le32(header + 16, 16);
    store_le16(header + 20, s->format == AUDIO_FORMAT_F32 ? TAG_FLOATS : TAG_INTEGERS);
    store_le16(header + 22, (uint16_t)s->channels);
    store_le32(header + 24, s->rate);
    store_le32(header + 28, s->rate * frame);
    store_le16(header + 32, (uint16_t)frame);
    store_le16(header + 34, (uint16_t)(audio_sample_bytes(s->format) * 8));
    memcpy(header + 36, "data", 4);
    store_le32(header + 40, (uint32_t)wav->out_bytes);
}

/* No more is written. */
static void give_up(Wav *wav, const char *why)
{
    fprintf(stderr, "kaso: audiodev '%s': %s: %s; the guest runs on, and no more is written\n",
            wav->audiodev.id, wav->path, why);
    fclose(wav->out);
    wav->out = NULL;
}

static bool write_header(Wav *wav)
{
    uint8_t header[HEADER_BYTES];

    make_header(wav, header);
    return fseeko(wav->out, 0, SEEK_SET) == 0 && fwrite(header, sizeof header, 1, wav->out) == 1 &&
           fseeko(wav->out, 0, SEEK_END) == 0 && fflush(wav->out) == 0;
}

static void wav_start(Audiodev *audiodev, AudioDirection direction)
{
    Wav *wav = wav_of(audiodev);

    /* A file has one format: that of the first stream, when the user leaves it to the guest. */
    if (direction == AUDIO_PLAY && wav->out_bytes == 0) {
        wav->out_settings = audiodev->sides[direction].settings;
    }
    if (direction == AUDIO_PLAY) {
        audiodev->sides[direction].settings = wav->out_settings;
    } else if (wav->in) {
        audiodev->sides[direction].settings = wav->in_settings;
    }
}

static void wav_play(Audiodev *audiodev, const void *data, size_t frames)
{
    Wav *wav = wav_of(audiodev);
    size_t bytes = frames * audio_frame_bytes(&wav->out_settings);
    uint64_t second = (uint64_t)audio_frame_bytes(&wav->out_settings) * wav->out_settings.rate;
    uint64_t before = wav->out_bytes / second;

    if (!wav->out) {
        return;
    }
    if (wav->out_bytes + bytes > DATA_BYTES_MOST) {
        write_header(wav);
        give_up(wav, "a WAVE file holds no more than 4 GiB");
        return;
    }
    wav->out_bytes += bytes;
    errno = 0;
    if (fwrite(data, bytes, 1, wav->out) != 1 ||
        (wav->out_bytes / second != before && !write_header(wav))) {
        give_up(wav, g_strerror(errno));
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
        bits == 8           ? AUDIO_FORMAT_U8
        : bits == 16        ? AUDIO_FORMAT_S16
        : tag == TAG_FLOATS ? AUDIO_FORMAT_F32
                            : AUDIO_FORMAT_S32,
        load_le32(chunk + 4),
        load_le16(chunk + 2),
    };
    if ((tag != TAG_INTEGERS && (tag != TAG_FLOATS || bits != 32)) ||
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

    if (wav->out && !write_header(wav)) {
        give_up(wav, g_strerror(errno));
    }
    g_clear_pointer(&wav->out, fclose);
    g_clear_pointer(&wav->in, fclose);
}

static bool wav_open(Audiodev *audiodev, GError **error)
{
    Wav *wav = wav_of(audiodev);
    AudioFormat format = audiodev->sides[AUDIO_PLAY].settings.format;

    if (format == AUDIO_FORMAT_S8 || format == AUDIO_FORMAT_U16 || format == AUDIO_FORMAT_U32) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "audiodev '%s': a WAVE file has no %s; use u8, s16, s32 or f32",
                          audiodev->id, audio_format_names[format]);
    }
    if (!open_in(wav, error)) {
        g_clear_pointer(&wav->in, fclose);
        return false;
    }
    wav->out_settings = audiodev->sides[AUDIO_PLAY].settings;
    wav->out = fopen(wav->path, "wbe");
    if (!wav->out || !write_header(wav)) {
        error_fail_errno(error, errno, "audiodev '%s': %s", audiodev->id, wav->path);
        g_clear_pointer(&wav->out, fclose);
        g_clear_pointer(&wav->in, fclose);
        return false;
    }
    return true;
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
