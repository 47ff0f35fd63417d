/* SPDX-License-Identifier: MIT */
/* Sound by a PipeWire server. */
#include <pipewire/pipewire.h>
#include <spa/param/audio/format-utils.h>

#include "backends/audio/host-ring.h"
#include "backends/audio/library.h"
#include "base/bits.h"
#include "base/error.h"
#include "machine/audio.h"

enum { LATENCY_US = 46440, QUANTA = 3 /* in the ring, when the user does not say how much */ };

/* clang-format off */
#define FUNCTIONS(F) \
    F(pw_init) \
    F(pw_thread_loop_new) \
    F(pw_thread_loop_destroy) \
    F(pw_thread_loop_start) \
    F(pw_thread_loop_stop) \
    F(pw_thread_loop_lock) \
    F(pw_thread_loop_unlock) \
    F(pw_thread_loop_get_loop) \
    F(pw_context_new) \
    F(pw_context_destroy) \
    F(pw_context_connect) \
    F(pw_properties_new) \
    F(pw_properties_set) \
    F(pw_stream_new) \
    F(pw_stream_destroy) \
    F(pw_stream_add_listener) \
    F(pw_stream_connect) \
    F(pw_stream_set_active) \
    F(pw_stream_dequeue_buffer) \
    F(pw_stream_queue_buffer)
/* clang-format on */
typedef struct {
    FUNCTIONS(LIBRARY_MEMBER)
} PipewireLibrary;
static const char *const function_names[] = { FUNCTIONS(LIBRARY_NAME) NULL };

typedef struct Pipewire Pipewire;

typedef struct {
    Pipewire *pipewire;
    AudioDirection direction;
    struct pw_stream *stream; /* NULL: there is none */
    struct spa_hook hook;
    HostRing *ring;
    unsigned frame_bytes;
    /* Properties. */
    char *target, *stream_name;
    uint32_t latency_us;
} PipewireSide;

struct Pipewire {
    Audiodev audiodev;
    PipewireLibrary library;
    PipewireSide sides[AUDIO_DIRECTIONS];
    struct pw_thread_loop *loop;
    struct pw_context *context;
    struct pw_core *core;
    struct spa_hook core_hook;
    bool lost; /* of the loop's thread */
};

static Pipewire *pipewire_of(Audiodev *audiodev)
{
    return container_of(audiodev, Pipewire, audiodev);
}

static const enum spa_audio_format formats[] = {
    [AUDIO_FORMAT_S8] = SPA_AUDIO_FORMAT_S8,      [AUDIO_FORMAT_S16] = SPA_AUDIO_FORMAT_S16_LE,
    [AUDIO_FORMAT_S32] = SPA_AUDIO_FORMAT_S32_LE, [AUDIO_FORMAT_U8] = SPA_AUDIO_FORMAT_U8,
    [AUDIO_FORMAT_U16] = SPA_AUDIO_FORMAT_U16_LE, [AUDIO_FORMAT_U32] = SPA_AUDIO_FORMAT_U32_LE,
    [AUDIO_FORMAT_F32] = SPA_AUDIO_FORMAT_F32_LE,
};

/* On PipeWire's thread: a buffer to be filled, or to be emptied. */
static void process(void *opaque)
{
    PipewireSide *side = opaque;
    const PipewireLibrary *library = &side->pipewire->library;
    struct pw_buffer *buffer = library->pw_stream_dequeue_buffer(side->stream);
    struct spa_data *data = buffer ? &buffer->buffer->datas[0] : NULL;
    size_t frames;

    if (!buffer) {
        return;
    }
    if (data->data && side->direction == AUDIO_PLAY) {
        frames = data->maxsize / side->frame_bytes;
        frames = buffer->requested ? MIN(frames, buffer->requested) : frames;
        host_ring_play_out(side->ring, data->data, frames);
        data->chunk->offset = 0;
        data->chunk->stride = (int32_t)side->frame_bytes;
        data->chunk->size = (uint32_t)(frames * side->frame_bytes);
    } else if (data->data) {
        uint32_t offset = MIN(data->chunk->offset, data->maxsize);

        frames = MIN(data->chunk->size, data->maxsize - offset) / side->frame_bytes;
        host_ring_record_in(side->ring, (const char *)data->data + offset, frames);
    }
    library->pw_stream_queue_buffer(side->stream, buffer);
}

static const struct pw_stream_events stream_events = { PW_VERSION_STREAM_EVENTS,
                                                       .process = process };

static void core_error(void *opaque, uint32_t id, int sequence, int result, const char *message)
{
    Pipewire *pipewire = opaque;

    if (id == PW_ID_CORE && result == -EPIPE && !pipewire->lost) {
        pipewire->lost = true;
        fprintf(stderr,
                "kaso: audiodev '%s': the PipeWire server is lost; the guest runs on without this "
                "sound\n",
                pipewire->audiodev.id);
    }
}

static const struct pw_core_events core_events = { PW_VERSION_CORE_EVENTS, .error = core_error };

/* What follows holds the loop's lock, but open before it runs. */

static uint32_t latency_us(const Pipewire *pipewire, AudioDirection direction)
{
    uint32_t own = pipewire->sides[direction].latency_us;
    uint32_t common = pipewire->audiodev.sides[direction].buffer_length_us;

    return own ? own : common ? common : LATENCY_US;
}

static void close_side(Pipewire *pipewire, AudioDirection direction)
{
    PipewireSide *side = &pipewire->sides[direction];

    if (side->stream) {
        pipewire->library.pw_stream_destroy(side->stream);
    }
    side->stream = NULL;
    g_clear_pointer(&side->ring, host_ring_free);
}

static struct pw_properties *describe(const Pipewire *pipewire, AudioDirection direction)
{
    const PipewireSide *side = &pipewire->sides[direction];
    uint32_t rate = pipewire->audiodev.sides[direction].settings.rate;
    g_autofree char *latency = g_strdup_printf(
        "%u/%u", (uint32_t)((uint64_t)rate * latency_us(pipewire, direction) / QUANTA / 1000000),
        rate);
    struct pw_properties *properties = pipewire->library.pw_properties_new(
        PW_KEY_MEDIA_TYPE, "Audio", PW_KEY_MEDIA_CATEGORY,
        direction == AUDIO_PLAY ? "Playback" : "Capture", PW_KEY_APP_NAME, "kaso",
        PW_KEY_NODE_LATENCY, latency, NULL);

    if (side->target) {
        pipewire->library.pw_properties_set(properties, PW_KEY_TARGET_OBJECT, side->target);
    }
    return properties;
}

static bool connect_stream(Pipewire *pipewire, AudioDirection direction)
{
    const AudioSettings *settings = &pipewire->audiodev.sides[direction].settings;
    struct spa_audio_info_raw info = { .format = formats[settings->format],
                                       .rate = settings->rate,
                                       .channels = settings->channels };
    PipewireSide *side = &pipewire->sides[direction];
    const struct spa_pod *parameters[1];
    uint8_t room[1024];
    struct spa_pod_builder builder = SPA_POD_BUILDER_INIT(room, sizeof room);

    info.position[0] = settings->channels == 1 ? SPA_AUDIO_CHANNEL_MONO : SPA_AUDIO_CHANNEL_FL;
    info.position[1] = SPA_AUDIO_CHANNEL_FR;
    for (unsigned i = 2; i < settings->channels; i++) {
        info.position[i] = SPA_AUDIO_CHANNEL_AUX0 + i;
    }
    parameters[0] = spa_format_audio_raw_build(&builder, SPA_PARAM_EnumFormat, &info);
    return pipewire->library.pw_stream_connect(
               side->stream, direction == AUDIO_PLAY ? PW_DIRECTION_OUTPUT : PW_DIRECTION_INPUT,
               PW_ID_ANY, PW_STREAM_FLAG_AUTOCONNECT | PW_STREAM_FLAG_MAP_BUFFERS, parameters,
               1) >= 0;
}

static void open_side(Pipewire *pipewire, AudioDirection direction)
{
    const AudioSettings *settings = &pipewire->audiodev.sides[direction].settings;
    PipewireSide *side = &pipewire->sides[direction];

    side->pipewire = pipewire;
    side->direction = direction;
    side->frame_bytes = audio_frame_bytes(settings);
    side->ring = host_ring_new(settings, latency_us(pipewire, direction));
    side->stream = pipewire->library.pw_stream_new(
        pipewire->core, side->stream_name ? side->stream_name : pipewire->audiodev.id,
        describe(pipewire, direction));
    if (side->stream) {
        pipewire->library.pw_stream_add_listener(side->stream, &side->hook, &stream_events, side);
    }
    if (!side->stream || !connect_stream(pipewire, direction)) {
        fprintf(stderr,
                "kaso: audiodev '%s': PipeWire makes no stream; the guest runs on without it\n",
                pipewire->audiodev.id);
        close_side(pipewire, direction);
    }
}

static void pipewire_start(Audiodev *audiodev, AudioDirection direction)
{
    Pipewire *pipewire = pipewire_of(audiodev);
    PipewireSide *side = &pipewire->sides[direction];

    pipewire->library.pw_thread_loop_lock(pipewire->loop);
    if (!audiodev->sides[direction].fixed_settings) {
        close_side(pipewire, direction);
    }
    if (!side->stream) {
        open_side(pipewire, direction);
    }
    if (side->stream) {
        pipewire->library.pw_stream_set_active(side->stream, true);
    }
    pipewire->library.pw_thread_loop_unlock(pipewire->loop);
}

static void pipewire_stop(Audiodev *audiodev, AudioDirection direction)
{
    Pipewire *pipewire = pipewire_of(audiodev);

    pipewire->library.pw_thread_loop_lock(pipewire->loop);
    if (pipewire->sides[direction].stream) {
        pipewire->library.pw_stream_set_active(pipewire->sides[direction].stream, false);
    }
    pipewire->library.pw_thread_loop_unlock(pipewire->loop);
}

static void pipewire_play(Audiodev *audiodev, const void *data, size_t frames)
{
    HostRing *ring = pipewire_of(audiodev)->sides[AUDIO_PLAY].ring;

    if (ring) {
        host_ring_play(ring, data, frames);
    }
}

static size_t pipewire_record(Audiodev *audiodev, void *data, size_t frames)
{
    HostRing *ring = pipewire_of(audiodev)->sides[AUDIO_RECORD].ring;

    return ring ? host_ring_record(ring, data, frames) : 0;
}

static void pipewire_close(Audiodev *audiodev)
{
    Pipewire *pipewire = pipewire_of(audiodev);

    if (pipewire->loop) {
        pipewire->library.pw_thread_loop_stop(pipewire->loop);
    }
    close_side(pipewire, AUDIO_PLAY);
    close_side(pipewire, AUDIO_RECORD);
    if (pipewire->context) {
        pipewire->library.pw_context_destroy(pipewire->context); /* and the core with it */
    }
    if (pipewire->loop) {
        pipewire->library.pw_thread_loop_destroy(pipewire->loop);
    }
}

static bool pipewire_open(Audiodev *audiodev, GError **error)
{
    Pipewire *pipewire = pipewire_of(audiodev);
    const PipewireLibrary *library = &pipewire->library;

    if (!library_load("libpipewire-0.3.so.0", "libpipewire-0.3-0", function_names,
                      &pipewire->library, error)) {
        return false;
    }
    library->pw_init(NULL, NULL);
    pipewire->loop = library->pw_thread_loop_new("audio", NULL);
    pipewire->context =
        pipewire->loop
            ? library->pw_context_new(library->pw_thread_loop_get_loop(pipewire->loop), NULL, 0)
            : NULL;
    pipewire->core =
        pipewire->context ? library->pw_context_connect(pipewire->context, NULL, 0) : NULL;
    if (!pipewire->core) {
        int why = errno;

        pipewire_close(audiodev);
        return error_fail_errno(error, why,
                                "audiodev '%s': no PipeWire server answers (PIPEWIRE_REMOTE and "
                                "XDG_RUNTIME_DIR say where it is)",
                                audiodev->id);
    }
    pw_core_add_listener(pipewire->core, &pipewire->core_hook, &core_events, pipewire);
    if (library->pw_thread_loop_start(pipewire->loop) != 0) {
        pipewire_close(audiodev);
        return error_fail(error, KASO_ERROR_IO, "audiodev '%s': PipeWire's thread does not start",
                          audiodev->id);
    }
    return true;
}

#define SIDE(index, prefix)                                                                        \
    { prefix "name", PROPERTY_STRING, offsetof(Pipewire, sides[index].target),                     \
      "the server's node; unset: its default" },                                                   \
        { prefix "stream-name", PROPERTY_STRING, offsetof(Pipewire, sides[index].stream_name),     \
          "how the server shows the stream; unset: the id" },                                      \
    {                                                                                              \
        prefix "latency", PROPERTY_U32, offsetof(Pipewire, sides[index].latency_us),               \
            "microseconds between the guest and the ear; 0: buffer-length, or 46440"               \
    }

static bool pipewire_available(void)
{
    return library_server_listens("XDG_RUNTIME_DIR", "pipewire-0");
}

static const AudiodevType pipewire_type = {
    .name = "pipewire",
    .summary = "Sound by a PipeWire server",
    .instance_size = sizeof(Pipewire),
    .properties = (const Property[]){ SIDE(AUDIO_RECORD, "in."), SIDE(AUDIO_PLAY, "out."), { 0 } },
    .available = pipewire_available,
    .open = pipewire_open,
    .close = pipewire_close,
    .start = pipewire_start,
    .stop = pipewire_stop,
    .play = pipewire_play,
    .record = pipewire_record,
};
AUDIODEV_TYPE(pipewire_type);
