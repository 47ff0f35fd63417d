/* SPDX-License-Identifier: MIT */
/* Sound by a PulseAudio server (PipeWire's included), through its simple interface. */
#include <pulse/def.h>
#include <pulse/simple.h>

#include "backends/audio/library.h"
#include "backends/audio/worker.h"
#include "base/bits.h"
#include "base/error.h"

enum { LATENCY_US = 46440 };

/* clang-format off */
#define FUNCTIONS(F) \
    F(pa_simple_new) \
    F(pa_simple_free) \
    F(pa_simple_write) \
    F(pa_simple_read)
/* clang-format on */
typedef struct {
    FUNCTIONS(LIBRARY_MEMBER)
} PaLibrary;
static const char *const function_names[] = { FUNCTIONS(LIBRARY_NAME) NULL };

typedef struct {
    char *device, *stream_name;
    uint32_t latency_us;
} PaSide;

typedef struct {
    Audiodev audiodev;
    PaLibrary library;
    AudioWorker *workers[AUDIO_DIRECTIONS];
    /* Properties. */
    char *server;
    PaSide sides[AUDIO_DIRECTIONS];
} Pa;

typedef struct {
    const PaLibrary *library;
    pa_simple *simple;
    unsigned frame_bytes;
} Connection;

static Pa *pa_of(Audiodev *audiodev)
{
    return container_of(audiodev, Pa, audiodev);
}

/* It has neither signed bytes nor unsigned words; those are refused by open. */
static const pa_sample_format_t formats[] = {
    [AUDIO_FORMAT_S8] = PA_SAMPLE_INVALID,    [AUDIO_FORMAT_S16] = PA_SAMPLE_S16LE,
    [AUDIO_FORMAT_S32] = PA_SAMPLE_S32LE,     [AUDIO_FORMAT_U8] = PA_SAMPLE_U8,
    [AUDIO_FORMAT_U16] = PA_SAMPLE_INVALID,   [AUDIO_FORMAT_U32] = PA_SAMPLE_INVALID,
    [AUDIO_FORMAT_F32] = PA_SAMPLE_FLOAT32LE,
};

static uint32_t latency_us(const Pa *pa, AudioDirection direction)
{
    uint32_t own = pa->sides[direction].latency_us;
    uint32_t common = pa->audiodev.sides[direction].buffer_length_us;

    return own ? own : common ? common : LATENCY_US;
}

static pa_simple *connect_to(Pa *pa, AudioDirection direction, const pa_sample_spec *spec,
                             uint32_t frame_bytes, int *why)
{
    const PaSide *side = &pa->sides[direction];
    uint32_t frames = (uint32_t)((uint64_t)spec->rate * latency_us(pa, direction) / 1000000);
    uint32_t bytes = frames * frame_bytes;
    pa_buffer_attr attributes = { .maxlength = UINT32_MAX,
                                  .tlength = bytes,
                                  .prebuf = UINT32_MAX,
                                  .minreq = UINT32_MAX,
                                  .fragsize = bytes / 2 };

    return pa->library.pa_simple_new(
        pa->server, "kaso", direction == AUDIO_PLAY ? PA_STREAM_PLAYBACK : PA_STREAM_RECORD,
        side->device, side->stream_name ? side->stream_name : pa->audiodev.id, spec, NULL,
        &attributes, why);
}

/* The library that has texts for all is another one. */
static const char *explain(int why)
{
    return why == PA_ERR_CONNECTIONREFUSED      ? "connection refused"
           : why == PA_ERR_CONNECTIONTERMINATED ? "connection terminated"
           : why == PA_ERR_ACCESS               ? "access denied"
           : why == PA_ERR_NOENTITY             ? "no such device"
           : why == PA_ERR_TIMEOUT              ? "timeout"
                                                : "failure";
}

static void *connect_server(Audiodev *audiodev, AudioDirection direction,
                            const AudioSettings *settings, GError **error)
{
    Pa *pa = pa_of(audiodev);
    pa_sample_spec spec = { formats[settings->format], settings->rate,
                            (uint8_t)settings->channels };
    Connection *connection;
    pa_simple *simple;
    int why = 0;

    if (spec.format == PA_SAMPLE_INVALID) {
        error_fail(error, KASO_ERROR_INVALID, "PulseAudio has no format %s",
                   audio_format_names[settings->format]);
        return NULL;
    }
    simple = connect_to(pa, direction, &spec, audio_frame_bytes(settings), &why);
    if (!simple) {
        error_fail(error, KASO_ERROR_IO, "no PulseAudio server answers (server=%s): %s",
                   pa->server ? pa->server : "", explain(why));
        return NULL;
    }
    connection = g_new0(Connection, 1);
    connection->library = &pa->library;
    connection->simple = simple;
    connection->frame_bytes = audio_frame_bytes(settings);
    return connection;
}

static void disconnect_server(void *opaque)
{
    Connection *connection = opaque;

    connection->library->pa_simple_free(connection->simple);
    g_free(connection);
}

static bool lost(int why, GError **error)
{
    return error_fail(error, KASO_ERROR_IO, "the PulseAudio server is lost: %s", explain(why));
}

static bool play(void *opaque, const void *data, size_t frames, GError **error)
{
    Connection *connection = opaque;
    int why = 0;

    return connection->library->pa_simple_write(connection->simple, data,
                                                frames * connection->frame_bytes, &why) >= 0 ||
           lost(why, error);
}

static bool record(void *opaque, void *data, size_t frames, GError **error)
{
    Connection *connection = opaque;
    int why = 0;

    return connection->library->pa_simple_read(connection->simple, data,
                                               frames * connection->frame_bytes, &why) >= 0 ||
           lost(why, error);
}

static const AudioWorkerOps ops = { connect_server, disconnect_server, play, record };

static void pa_start(Audiodev *audiodev, AudioDirection direction)
{
    Pa *pa = pa_of(audiodev);

    audio_worker_follow(&pa->workers[direction], audiodev, direction, &ops,
                        latency_us(pa, direction));
}

static void pa_stop(Audiodev *audiodev, AudioDirection direction)
{
    audio_worker_run(pa_of(audiodev)->workers[direction], false);
}

static void pa_play(Audiodev *audiodev, const void *data, size_t frames)
{
    host_ring_play(audio_worker_ring(pa_of(audiodev)->workers[AUDIO_PLAY]), data, frames);
}

static size_t pa_record(Audiodev *audiodev, void *data, size_t frames)
{
    return host_ring_record(audio_worker_ring(pa_of(audiodev)->workers[AUDIO_RECORD]), data,
                            frames);
}

/* Whether there is a server is said at once. */
static bool pa_open(Audiodev *audiodev, GError **error)
{
    void *connection;

    if (!library_load("libpulse-simple.so.0", "libpulse0", function_names,
                      &pa_of(audiodev)->library, error)) {
        return false;
    }
    connection = connect_server(audiodev, AUDIO_PLAY, &audiodev->sides[AUDIO_PLAY].settings, error);
    if (!connection) {
        g_prefix_error(error, "audiodev '%s': ", audiodev->id);
        return false;
    }
    disconnect_server(connection);
    return true;
}

static void pa_close(Audiodev *audiodev)
{
    audio_worker_free(pa_of(audiodev)->workers[AUDIO_PLAY]);
    audio_worker_free(pa_of(audiodev)->workers[AUDIO_RECORD]);
}

#define SIDE(index, prefix, what)                                                                  \
    { prefix "name", PROPERTY_STRING, offsetof(Pa, sides[index].device),                           \
      "the server's " what "; unset: its default" },                                               \
        { prefix "stream-name", PROPERTY_STRING, offsetof(Pa, sides[index].stream_name),           \
          "how the server shows the stream; unset: the id" },                                      \
    {                                                                                              \
        prefix "latency", PROPERTY_U32, offsetof(Pa, sides[index].latency_us),                     \
            "microseconds between the guest and the ear; 0: buffer-length, or 46440"               \
    }

static bool pa_available(void)
{
    return library_server_listens("XDG_RUNTIME_DIR", "pulse/native");
}

static const AudiodevType pa_type = {
    .name = "pa",
    .summary = "Sound by a PulseAudio server",
    .instance_size = sizeof(Pa),
    .properties = (const Property[]){ { "server", PROPERTY_STRING, offsetof(Pa, server),
                                        "the server, as PulseAudio names it; unset: the user's" },
                                      SIDE(AUDIO_RECORD, "in.", "source"),
                                      SIDE(AUDIO_PLAY, "out.", "sink"),
                                      { 0 } },
    .available = pa_available,
    .open = pa_open,
    .close = pa_close,
    .start = pa_start,
    .stop = pa_stop,
    .play = pa_play,
    .record = pa_record,
};
AUDIODEV_TYPE(pa_type);
