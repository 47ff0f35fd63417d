/* SPDX-License-Identifier: MIT */
/* Back ends of sound: their properties, their life, which one is a device's. */
#include "machine/audio.h"

#include <string.h>

#include "base/error.h"
#include "machine/private.h"

enum {
    TIMER_PERIOD_LEAST_US = 1000,
    TIMER_PERIOD_MOST_US = 100000,
    RATE_LEAST = 1000,
    RATE_MOST = 384000,
    BUFFER_MOST_US = 2000000,
};

#define SIDE(index, prefix, what)                                                                  \
    { prefix "frequency", PROPERTY_U32, offsetof(Audiodev, sides[index].frequency),                \
      "frames per second that the host " what, "44100" },                                          \
        { prefix "channels", PROPERTY_U32, offsetof(Audiodev, sides[index].channels),              \
          "channels of these, 1 to 8", "2" },                                                      \
        { prefix "format",                                                                         \
          PROPERTY_ENUM,                                                                           \
          offsetof(Audiodev, sides[index].format),                                                 \
          "s8, s16, s32, u8, u16, u32 or f32",                                                     \
          "s16",                                                                                   \
          audio_format_names },                                                                    \
        { prefix "fixed-settings", PROPERTY_BOOL, offsetof(Audiodev, sides[index].fixed_settings), \
          "off: the three above are the guest's; as mixing-engine unless given", "on" },           \
        { prefix "mixing-engine", PROPERTY_BOOL, offsetof(Audiodev, sides[index].mixing_engine),   \
          "off: leaves conversions to the host", "on" },                                           \
        { prefix "voices", PROPERTY_U32, offsetof(Audiodev, sides[index].voices),                  \
          "accepted; the host always gets one stream", "1" },                                      \
    {                                                                                              \
        prefix "buffer-length", PROPERTY_U32, offsetof(Audiodev, sides[index].buffer_length_us),   \
            "microseconds of sound that the host is ahead or behind; 0: as the driver likes"       \
    }

const Property audiodev_properties[] = {
    { "timer-period", PROPERTY_U32, offsetof(Audiodev, timer_period_us),
      "microseconds between two looks at the guest's devices", "10000" },
    SIDE(AUDIO_RECORD, "in.", "records"),
    SIDE(AUDIO_PLAY, "out.", "plays"),
    { 0 },
};

Audiodev *audiodev_new(Machine *machine, const AudiodevType *type, const char *id)
{
    Audiodev *audiodev = g_malloc0(type->instance_size);

    audiodev->type = type;
    audiodev->machine = machine;
    audiodev->id = g_strdup(id);
    audiodev_begin(audiodev);
    properties_init(audiodev_properties, audiodev);
    properties_init(type->properties, audiodev);
    return audiodev;
}

static bool check_side(const Audiodev *audiodev, const AudioSide *side, const char *name,
                       GError **error)
{
    if (side->frequency < RATE_LEAST || side->frequency > RATE_MOST) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "audiodev '%s': %s.frequency=%u: give %d to %d frames per second",
                          audiodev->id, name, side->frequency, RATE_LEAST, RATE_MOST);
    }
    if (side->channels < 1 || side->channels > AUDIO_CHANNELS_MOST) {
        return error_fail(error, KASO_ERROR_INVALID, "audiodev '%s': %s.channels=%u: give 1 to %d",
                          audiodev->id, name, side->channels, AUDIO_CHANNELS_MOST);
    }
    if (!side->mixing_engine && side->fixed_settings) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "audiodev '%s': %s.mixing-engine=off goes with %s.fixed-settings=off only",
            audiodev->id, name, name);
    }
    return side->buffer_length_us <= BUFFER_MOST_US ||
           error_fail(error, KASO_ERROR_INVALID,
                      "audiodev '%s': %s.buffer-length=%u: give %d microseconds at most",
                      audiodev->id, name, side->buffer_length_us, BUFFER_MOST_US);
}

bool audiodev_realize(Audiodev *audiodev, GError **error)
{
    static const char *const names[] = { [AUDIO_RECORD] = "in", [AUDIO_PLAY] = "out" };

    if (audiodev->timer_period_us == 0) {
        audiodev->timer_period_us = TIMER_PERIOD_LEAST_US;
    }
    audiodev->timer_period_us =
        CLAMP(audiodev->timer_period_us, TIMER_PERIOD_LEAST_US, TIMER_PERIOD_MOST_US);
    for (unsigned i = 0; i < AUDIO_DIRECTIONS; i++) {
        AudioSide *side = &audiodev->sides[i];

        if (!check_side(audiodev, side, names[i], error)) {
            return false;
        }
        side->settings =
            (AudioSettings){ (AudioFormat)side->format, side->frequency, side->channels };
    }
    audiodev->open = !audiodev->type->open || audiodev->type->open(audiodev, error);
    return audiodev->open;
}

void audiodev_free(Audiodev *audiodev)
{
    if (audiodev->open && audiodev->type->close) {
        audiodev->type->close(audiodev);
    }
    properties_free(audiodev->type->properties, audiodev);
    audiodev_end(audiodev);
    g_free(audiodev->id);
    g_free(audiodev);
}

/* For machines without any: what is played is heard by nobody, at the right speed. */
static const AudiodevType nobody = { .name = "none", .instance_size = sizeof(Audiodev) };

Audiodev *audiodev_choose(Machine *machine, Audiodev *given, GError **error)
{
    MachinePrivate *private = machine->private;

    if (given) {
        return given;
    }
    if (!private->default_audiodev && private->audiodevs.things->len) {
        error_fail(error, KASO_ERROR_INVALID,
                   "which -audiodev is its sound for? add audiodev=%s, or use -audio in place of "
                   "-audiodev",
                   ((const Audiodev *)private->audiodevs.things->pdata[0])->id);
        return NULL;
    }
    if (!private->default_audiodev) {
        private->default_audiodev = private->silent_audiodev = audiodev_new(machine, &nobody, "");
        audiodev_realize(private->silent_audiodev, NULL);
    }
    return private->default_audiodev;
}
