/* SPDX-License-Identifier: MIT */
/* Sound by SDL 2, which plays on whatever the host has (SDL_AUDIODRIVER says on what; "disk" writes a file). */
#include <SDL.h>

#include "backends/audio/host-ring.h"
#include "backends/audio/library.h"
#include "base/bits.h"
#include "base/error.h"
#include "machine/audio.h"

enum { LATENCY_US = 60000, CALLBACK_FRAMES = 512 };

/* clang-format off */
#define FUNCTIONS(F) \
    F(SDL_CloseAudioDevice) \
    F(SDL_GetError) \
    F(SDL_InitSubSystem) \
    F(SDL_OpenAudioDevice) \
    F(SDL_PauseAudioDevice) \
    F(SDL_QuitSubSystem) \
    F(SDL_SetHint)
/* clang-format on */
typedef struct {
    FUNCTIONS(LIBRARY_MEMBER)
} SdlLibrary;
static const char *const function_names[] = { FUNCTIONS(LIBRARY_NAME) NULL };

typedef struct {
    HostRing *ring;
    SDL_AudioDeviceID device; /* 0: none */
    unsigned frame_bytes;
    char *name; /* property: the host's device */
} SdlSide;

typedef struct {
    Audiodev audiodev;
    SdlLibrary library;
    SdlSide sides[AUDIO_DIRECTIONS];
    uint32_t buffer_counts[AUDIO_DIRECTIONS]; /* properties */
} SdlAudio;

static SdlAudio *sdl_of(Audiodev *audiodev)
{
    return container_of(audiodev, SdlAudio, audiodev);
}

/* On SDL's thread. */
static void SDLCALL play_callback(void *opaque, uint8_t *data, int bytes)
{
    SdlSide *side = opaque;

    host_ring_play_out(side->ring, data, (size_t)bytes / side->frame_bytes);
}

static void SDLCALL record_callback(void *opaque, uint8_t *data, int bytes)
{
    SdlSide *side = opaque;

    host_ring_record_in(side->ring, data, (size_t)bytes / side->frame_bytes);
}

/* SDL has no unsigned formats of 32 bits. */
static bool sdl_format(AudioFormat format, SDL_AudioFormat *sdl)
{
    static const SDL_AudioFormat formats[] = {
        [AUDIO_FORMAT_S8] = AUDIO_S8,      [AUDIO_FORMAT_S16] = AUDIO_S16LSB,
        [AUDIO_FORMAT_S32] = AUDIO_S32LSB, [AUDIO_FORMAT_U8] = AUDIO_U8,
        [AUDIO_FORMAT_U16] = AUDIO_U16LSB, [AUDIO_FORMAT_U32] = 0,
        [AUDIO_FORMAT_F32] = AUDIO_F32LSB,
    };

    *sdl = formats[format];
    return *sdl != 0;
}

static void close_side(SdlAudio *sdl, AudioDirection direction)
{
    SdlSide *side = &sdl->sides[direction];

    if (side->device) {
        sdl->library.SDL_CloseAudioDevice(side->device); /* its callback has returned */
    }
    side->device = 0;
    g_clear_pointer(&side->ring, host_ring_free);
}

static bool open_side(SdlAudio *sdl, AudioDirection direction, GError **error)
{
    AudioSide *side = &sdl->audiodev.sides[direction];
    SdlSide *own = &sdl->sides[direction];
    SDL_AudioSpec spec = {
        .freq = (int)side->settings.rate,
        .channels = (uint8_t)side->settings.channels,
        .samples = CALLBACK_FRAMES,
        .callback = direction == AUDIO_PLAY ? play_callback : record_callback,
        .userdata = own,
    };

    if (!sdl_format(side->settings.format, &spec.format)) {
        return error_fail(error, KASO_ERROR_INVALID, "audiodev '%s': SDL has no format %s",
                          sdl->audiodev.id, audio_format_names[side->settings.format]);
    }
    own->frame_bytes = audio_frame_bytes(&side->settings);
    own->ring = host_ring_new(&side->settings,
                              side->buffer_length_us ? side->buffer_length_us : LATENCY_US);
    own->device =
        sdl->library.SDL_OpenAudioDevice(own->name, direction == AUDIO_RECORD, &spec, NULL, 0);
    if (!own->device) {
        close_side(sdl, direction);
        return error_fail(error, KASO_ERROR_IO,
                          "audiodev '%s': SDL opens no sound: %s; SDL_AUDIODRIVER chooses a driver",
                          sdl->audiodev.id, sdl->library.SDL_GetError());
    }
    return true;
}

static void sdl_stop(Audiodev *audiodev, AudioDirection direction)
{
    SdlAudio *sdl = sdl_of(audiodev);

    if (sdl->sides[direction].device) {
        sdl->library.SDL_PauseAudioDevice(sdl->sides[direction].device, 1);
    }
}

/* A side of a guest's settings is opened when they are known; a failure then is told, and there is no sound. */
static void sdl_start(Audiodev *audiodev, AudioDirection direction)
{
    SdlAudio *sdl = sdl_of(audiodev);
    SdlSide *side = &sdl->sides[direction];
    g_autoptr(GError) error = NULL;

    if (!audiodev->sides[direction].fixed_settings) {
        close_side(sdl, direction);
    }
    if (!side->device && !open_side(sdl, direction, &error)) {
        fprintf(stderr, "kaso: %s; the guest runs on without it\n", error->message);
        return;
    }
    sdl->library.SDL_PauseAudioDevice(side->device, 0);
}

static void sdl_play(Audiodev *audiodev, const void *data, size_t frames)
{
    HostRing *ring = sdl_of(audiodev)->sides[AUDIO_PLAY].ring;

    if (ring) {
        host_ring_play(ring, data, frames);
    }
}

static size_t sdl_record(Audiodev *audiodev, void *data, size_t frames)
{
    HostRing *ring = sdl_of(audiodev)->sides[AUDIO_RECORD].ring;

    return ring ? host_ring_record(ring, data, frames) : 0;
}

static void sdl_close(Audiodev *audiodev)
{
    SdlAudio *sdl = sdl_of(audiodev);

    close_side(sdl, AUDIO_PLAY);
    close_side(sdl, AUDIO_RECORD);
    sdl->library.SDL_QuitSubSystem(SDL_INIT_AUDIO);
}

static bool sdl_open(Audiodev *audiodev, GError **error)
{
    SdlAudio *sdl = sdl_of(audiodev);

    if (!library_load("libSDL2-2.0.so.0", "libsdl2-2.0-0", function_names, &sdl->library, error)) {
        return false;
    }
    sdl->library.SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
    if (sdl->library.SDL_InitSubSystem(SDL_INIT_AUDIO) != 0) {
        return error_fail(error, KASO_ERROR_IO,
                          "audiodev '%s': SDL finds no sound: %s; SDL_AUDIODRIVER chooses a driver",
                          audiodev->id, sdl->library.SDL_GetError());
    }
    /* The microphone is opened when the guest listens. */
    if (audiodev->sides[AUDIO_PLAY].fixed_settings && !open_side(sdl, AUDIO_PLAY, error)) {
        sdl->library.SDL_QuitSubSystem(SDL_INIT_AUDIO);
        return false;
    }
    return true;
}

static const AudiodevType sdl_type = {
    .name = "sdl",
    .summary = "Sound by SDL 2",
    .instance_size = sizeof(SdlAudio),
    .properties =
        (const Property[]){
            { "in.buffer-count", PROPERTY_U32, offsetof(SdlAudio, buffer_counts[AUDIO_RECORD]),
              "accepted; buffer-length decides" },
            { "out.buffer-count", PROPERTY_U32, offsetof(SdlAudio, buffer_counts[AUDIO_PLAY]),
              "accepted; buffer-length decides" },
            { "in.name", PROPERTY_STRING, offsetof(SdlAudio, sides[AUDIO_RECORD].name),
              "the host's device, as SDL names it" },
            { "out.name", PROPERTY_STRING, offsetof(SdlAudio, sides[AUDIO_PLAY].name),
              "the host's device, as SDL names it" },
            { 0 } },
    .open = sdl_open,
    .close = sdl_close,
    .start = sdl_start,
    .stop = sdl_stop,
    .play = sdl_play,
    .record = sdl_record,
};
AUDIODEV_TYPE(sdl_type);
