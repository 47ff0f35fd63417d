/* SPDX-License-Identifier: MIT */
/* Sound by ALSA, straight to the host's card. */
#include <alsa/asoundlib.h>

#include "backends/audio/library.h"
#include "backends/audio/worker.h"
#include "base/bits.h"
#include "base/error.h"

enum { LATENCY_US = 60000 };

/* clang-format off */
#define FUNCTIONS(F) \
    F(snd_pcm_open) \
    F(snd_pcm_close) \
    F(snd_pcm_set_params) \
    F(snd_pcm_recover) \
    F(snd_pcm_writei) \
    F(snd_pcm_readi) \
    F(snd_strerror) \
    F(snd_lib_error_set_handler)
/* clang-format on */
typedef struct {
    FUNCTIONS(LIBRARY_MEMBER)
} AlsaLibrary;
static const char *const function_names[] = { FUNCTIONS(LIBRARY_NAME) NULL };

typedef struct {
    char *device;
    uint32_t period_length_us;
    bool try_poll;
} AlsaSide;

typedef struct {
    Audiodev audiodev;
    AlsaLibrary library;
    AudioWorker *workers[AUDIO_DIRECTIONS];
    AlsaSide sides[AUDIO_DIRECTIONS]; /* properties */
    uint32_t threshold_us;
} Alsa;

typedef struct {
    const AlsaLibrary *library;
    snd_pcm_t *pcm;
    unsigned frame_bytes;
} Connection;

static Alsa *alsa_of(Audiodev *audiodev)
{
    return container_of(audiodev, Alsa, audiodev);
}

static const snd_pcm_format_t formats[] = {
    [AUDIO_FORMAT_S8] = SND_PCM_FORMAT_S8,        [AUDIO_FORMAT_S16] = SND_PCM_FORMAT_S16_LE,
    [AUDIO_FORMAT_S32] = SND_PCM_FORMAT_S32_LE,   [AUDIO_FORMAT_U8] = SND_PCM_FORMAT_U8,
    [AUDIO_FORMAT_U16] = SND_PCM_FORMAT_U16_LE,   [AUDIO_FORMAT_U32] = SND_PCM_FORMAT_U32_LE,
    [AUDIO_FORMAT_F32] = SND_PCM_FORMAT_FLOAT_LE,
};

static uint32_t latency_us(const Audiodev *audiodev, AudioDirection direction)
{
    uint32_t given = audiodev->sides[direction].buffer_length_us;

    return given ? given : LATENCY_US;
}

static const char *device_of(const Alsa *alsa, AudioDirection direction)
{
    return alsa->sides[direction].device ? alsa->sides[direction].device : "default";
}

static void *connect_card(Audiodev *audiodev, AudioDirection direction,
                          const AudioSettings *settings, GError **error)
{
    const AlsaLibrary *library = &alsa_of(audiodev)->library;
    const char *device = device_of(alsa_of(audiodev), direction);
    Connection *connection;
    snd_pcm_t *pcm = NULL;
    int result = library->snd_pcm_open(
        &pcm, device, direction == AUDIO_PLAY ? SND_PCM_STREAM_PLAYBACK : SND_PCM_STREAM_CAPTURE,
        0);

    if (result == 0) {
        result = library->snd_pcm_set_params(pcm, formats[settings->format],
                                             SND_PCM_ACCESS_RW_INTERLEAVED, settings->channels,
                                             settings->rate, 1, latency_us(audiodev, direction));
    }
    if (result < 0) {
        error_fail(error, KASO_ERROR_IO, "ALSA opens no device '%s' (%s.dev=): %s", device,
                   direction == AUDIO_PLAY ? "out" : "in", library->snd_strerror(result));
        if (pcm) {
            library->snd_pcm_close(pcm);
        }
        return NULL;
    }
    connection = g_new(Connection, 1);
    *connection = (Connection){ library, pcm, audio_frame_bytes(settings) };
    return connection;
}

static void disconnect_card(void *opaque)
{
    Connection *connection = opaque;

    connection->library->snd_pcm_close(connection->pcm);
    g_free(connection);
}

/* What happened is mended when it can be: an underrun, or a host that slept. */
static bool mend(const Connection *connection, long result, GError **error)
{
    int mended =
        result < 0 ? connection->library->snd_pcm_recover(connection->pcm, (int)result, 1) : 0;

    return mended == 0 || error_fail(error, KASO_ERROR_IO, "ALSA's device is lost: %s",
                                     connection->library->snd_strerror(mended));
}

static bool play(void *opaque, const void *data, size_t frames, GError **error)
{
    const Connection *connection = opaque;

    while (frames) {
        snd_pcm_sframes_t n = connection->library->snd_pcm_writei(connection->pcm, data, frames);

        if (!mend(connection, n, error)) {
            return false;
        }
        data = (const char *)data + (size_t)MAX(n, 0) * connection->frame_bytes;
        frames -= (size_t)MAX(n, 0);
    }
    return true;
}

static bool record(void *opaque, void *data, size_t frames, GError **error)
{
    const Connection *connection = opaque;

    while (frames) {
        snd_pcm_sframes_t n = connection->library->snd_pcm_readi(connection->pcm, data, frames);

        if (!mend(connection, n, error)) {
            return false;
        }
        data = (char *)data + (size_t)MAX(n, 0) * connection->frame_bytes;
        frames -= (size_t)MAX(n, 0);
    }
    return true;
}

static const AudioWorkerOps ops = { connect_card, disconnect_card, play, record };

static void alsa_start(Audiodev *audiodev, AudioDirection direction)
{
    audio_worker_follow(&alsa_of(audiodev)->workers[direction], audiodev, direction, &ops,
                        latency_us(audiodev, direction));
}

static void alsa_stop(Audiodev *audiodev, AudioDirection direction)
{
    audio_worker_run(alsa_of(audiodev)->workers[direction], false);
}

static void alsa_play(Audiodev *audiodev, const void *data, size_t frames)
{
    host_ring_play(audio_worker_ring(alsa_of(audiodev)->workers[AUDIO_PLAY]), data, frames);
}

static size_t alsa_record(Audiodev *audiodev, void *data, size_t frames)
{
    return host_ring_record(audio_worker_ring(alsa_of(audiodev)->workers[AUDIO_RECORD]), data,
                            frames);
}

static void ignore_message(const char *file, int line, const char *function, int code,
                           const char *format, ...)
{
}

/* Whether there is such a device is said at once. */
static bool alsa_open(Audiodev *audiodev, GError **error)
{
    void *connection;

    if (!library_load("libasound.so.2", "libasound2", function_names, &alsa_of(audiodev)->library,
                      error)) {
        return false;
    }
    alsa_of(audiodev)->library.snd_lib_error_set_handler(ignore_message); /* we have our own */
    connection = connect_card(audiodev, AUDIO_PLAY, &audiodev->sides[AUDIO_PLAY].settings, error);
    if (!connection) {
        g_prefix_error(error, "audiodev '%s': ", audiodev->id);
        return false;
    }
    disconnect_card(connection);
    return true;
}

static void alsa_close(Audiodev *audiodev)
{
    audio_worker_free(alsa_of(audiodev)->workers[AUDIO_PLAY]);
    audio_worker_free(alsa_of(audiodev)->workers[AUDIO_RECORD]);
}

#define SIDE(index, prefix)                                                                        \
    { prefix "dev", PROPERTY_STRING, offsetof(Alsa, sides[index].device),                          \
      "the card, as ALSA names it; unset: default" },                                              \
        { prefix "period-length", PROPERTY_U32, offsetof(Alsa, sides[index].period_length_us),     \
          "accepted; buffer-length decides" },                                                     \
    {                                                                                              \
        prefix "try-poll", PROPERTY_BOOL, offsetof(Alsa, sides[index].try_poll),                   \
            "accepted; a thread waits for the card", "on"                                          \
    }

static const AudiodevType alsa_type = {
    .name = "alsa",
    .summary = "Sound by ALSA",
    .instance_size = sizeof(Alsa),
    .properties = (const Property[]){ SIDE(AUDIO_RECORD, "in."),
                                      SIDE(AUDIO_PLAY, "out."),
                                      { "threshold", PROPERTY_U32, offsetof(Alsa, threshold_us),
                                        "accepted; buffer-length decides" },
                                      { 0 } },
    .open = alsa_open,
    .close = alsa_close,
    .start = alsa_start,
    .stop = alsa_stop,
    .play = alsa_play,
    .record = alsa_record,
};
AUDIODEV_TYPE(alsa_type);
