/* SPDX-License-Identifier: MIT */
#include "machine/wave-file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"

#define DATA_BYTES_MOST (UINT32_MAX - WAVE_HEADER_BYTES)

struct WaveFile {
    FILE *file;
    AudioSettings settings;
    uint64_t bytes; /* of samples */
};

bool wave_file_takes(AudioFormat format, GError **error)
{
    return (format != AUDIO_FORMAT_S8 && format != AUDIO_FORMAT_U16 &&
            format != AUDIO_FORMAT_U32) ||
           error_fail(error, KASO_ERROR_INVALID, "a WAVE file has no %s; use u8, s16, s32 or f32",
                      audio_format_names[format]);
}

static void make_header(const WaveFile *file, uint8_t *header)
{
    const AudioSettings *s = &file->settings;
    unsigned frame = audio_frame_bytes(s);

    memcpy(header, "RIFF....WAVEfmt ", 16);
    store_le32(header + 4, (uint32_t)(file->bytes + WAVE_HEADER_BYTES - 8));
    store_le32(header + 16, 16);
    store_le16(header + 20, s->format == AUDIO_FORMAT_F32 ? WAVE_FLOATS : WAVE_INTEGERS);
    store_le16(header + 22, (uint16_t)s->channels);
    store_le32(header + 24, s->rate);
    store_le32(header + 28, s->rate * frame);
    store_le16(header + 32, (uint16_t)frame);
    store_le16(header + 34, (uint16_t)(audio_sample_bytes(s->format) * 8));
    memcpy(header + 36, "data", 4);
    store_le32(header + 40, (uint32_t)file->bytes);
}

static bool write_header(WaveFile *file)
{
    uint8_t header[WAVE_HEADER_BYTES];

    make_header(file, header);
    return fseeko(file->file, 0, SEEK_SET) == 0 &&
           fwrite(header, sizeof header, 1, file->file) == 1 &&
           fseeko(file->file, 0, SEEK_END) == 0 && fflush(file->file) == 0;
}

WaveFile *wave_file_create(const char *path, const AudioSettings *settings, GError **error)
{
    WaveFile *file = g_new0(WaveFile, 1);

    file->settings = *settings;
    file->file = fopen(path, "wbe");
    if (!file->file || !write_header(file)) {
        error_fail_errno(error, errno, "%s", path);
        g_clear_pointer(&file->file, fclose);
        g_free(file);
        return NULL;
    }
    return file;
}

void wave_file_set_settings(WaveFile *file, const AudioSettings *settings)
{
    if (file->bytes == 0) {
        file->settings = *settings;
    }
}

const AudioSettings *wave_file_settings(const WaveFile *file)
{
    return &file->settings;
}

uint64_t wave_file_bytes(const WaveFile *file)
{
    return file->bytes;
}

bool wave_file_write(WaveFile *file, const void *data, size_t frames, GError **error)
{
    size_t bytes = frames * audio_frame_bytes(&file->settings);
    uint64_t second = (uint64_t)audio_frame_bytes(&file->settings) * file->settings.rate;
    uint64_t before = file->bytes / second;

    if (file->bytes + bytes > DATA_BYTES_MOST) {
        return error_fail(error, KASO_ERROR_INVALID, "a WAVE file holds no more than 4 GiB");
    }
    file->bytes += bytes;
    return (fwrite(data, bytes, 1, file->file) == 1 &&
            (file->bytes / second == before || write_header(file))) ||
           error_fail_errno(error, errno, "it cannot be written");
}

bool wave_file_close(WaveFile *file, GError **error)
{
    bool ok = true;

    if (file) {
        ok = write_header(file) || error_fail_errno(error, errno, "it cannot be written");
        fclose(file->file);
        g_free(file);
    }
    return ok;
}
