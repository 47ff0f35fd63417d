/* SPDX-License-Identifier: MIT */
/*
 * Sound: streams of devices, and the back ends of -audiodev that they are mixed into.
 *
 * The virtual clock is the pace. A stream that plays asks its device for the frames that are due, whatever the back end does;
 * a back end whose clock is another one (a sound card) evens that out itself (backends/audio/host-ring.h). What a device
 * does not have when it is due may come a little later without a gap; only then it is silence.
 *
 * Everything here runs under the machine lock, and calls devices and back ends with it held.
 */
#ifndef MACHINE_AUDIO_H
#define MACHINE_AUDIO_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/registry.h"
#include "machine/audio-samples.h"
#include "machine/clock.h"
#include "machine/property.h"

typedef struct Machine Machine;
typedef struct Audiodev Audiodev;
typedef struct AudioStream AudioStream;
typedef struct AudioCapture AudioCapture;

typedef enum { AUDIO_PLAY, AUDIO_RECORD, AUDIO_DIRECTIONS } AudioDirection;

#define AUDIO_ALL_SEEN SIZE_MAX

/*
 * For AudioClient.unseen: of a ring of so many frames, with an event after each period. The guest fills it up after an event, and
 * had the chance to for the one before.
 */
static inline size_t audio_surely_filled(size_t ring, size_t period)
{
    return ring > 3 * period ? ring - 3 * period : 0;
}

/* The device's side of a stream. */
typedef struct {
    /*
     * AUDIO_PLAY: fills in up to `frames` frames, and returns how many there were. Less: it has no more now; audio_stream_wake
     * says that it has.
     */
    size_t (*play)(void *opaque, void *data, size_t frames);
    /* AUDIO_RECORD: takes frames; what it has no room for is lost. */
    void (*record)(void *opaque, const void *data, size_t frames);
    /* After how many frames the guest expects to hear of them, so that it does at that time; 0 or NULL: any time. */
    size_t (*until_event)(void *opaque);
    /*
     * AUDIO_ALL_SEEN, or the guest has still to see an event, since its interrupt is pending: then how many frames beyond that it has
     * surely dealt with. Further the stream does not go, as long as the guest answers at all. NULL: nobody knows.
     */
    size_t (*unseen)(void *opaque);
    /* What was waited for is not late: the guest sends in its own time. Else it is caught up with. */
    bool live;
} AudioClient;

/* For realize. name: for people, a literal ("AC97 out"). */
AudioStream *audio_stream_new(Audiodev *audiodev, AudioDirection direction, const char *name,
                              const AudioClient *client, void *opaque);
void audio_stream_free(AudioStream *stream); /* NULL is fine */
/*
 * From now on frames are due, in these settings (rate and channels are brought within AUDIO_…_MOST). Again with the same settings:
 * nothing happens; with others the stream goes on in these.
 */
void audio_stream_start(AudioStream *stream, const AudioSettings *settings);
void audio_stream_stop(AudioStream *stream);
/* The same, but first takes all that the device has left, before its time, so that the end of the sound is not cut off. */
void audio_stream_finish(AudioStream *stream);
bool audio_stream_active(const AudioStream *stream);
/* Moves the frames that are due by now: before the guest reads how far the device is, or changes what it plays. */
void audio_stream_update(AudioStream *stream);
/* The guest has seen the last event, if there was one. */
void audio_stream_seen(AudioStream *stream);
/* There are frames again, after play had too few. */
void audio_stream_wake(AudioStream *stream);
/* Linear gains of the left and the right channels, 1.0: unchanged. */
void audio_stream_set_volume(AudioStream *stream, float left, float right);

/* The back end's side. */
typedef struct {
    const char *name; /* as -audiodev spells it */
    const char *summary;
    size_t instance_size;       /* first member an Audiodev */
    const Property *properties; /* beside those of all, or NULL */
    /* Whether a server of that kind answers, without a message when not. NULL: it takes the user to know. */
    bool (*available)(void);
    /* All hooks may be NULL. open fails when the host has no such sound, and says what to do. */
    bool (*open)(Audiodev *audiodev, GError **error);
    void (*close)(Audiodev *audiodev);
    /* The first stream of a direction starts, the last one has stopped; settings as in audiodev->sides. */
    void (*start)(Audiodev *audiodev, AudioDirection direction);
    void (*stop)(Audiodev *audiodev, AudioDirection direction);
    /* Mixed frames, in the settings of the side. Neither blocks. */
    void (*play)(Audiodev *audiodev, const void *data, size_t frames);
    /* Fills in up to `frames`; returns how many there were: the rest is silence. NULL: all is silence. */
    size_t (*record)(Audiodev *audiodev, void *data, size_t frames);
} AudiodevType;
#define AUDIODEV_TYPE(object) REGISTRY_ADD(audiodev_types, object)
REGISTRY_DECLARE(audiodev_types, AudiodevType);

/* One direction of a back end: what in.… and out.… say, and what it is at. */
typedef struct {
    AudioSettings settings; /* of the mixed frames, while a stream is active */
    unsigned active;        /* streams */
    uint64_t frames;        /* that have passed */
    int64_t start_ns;       /* AUDIO_RECORD: `since_start` frames ago */
    int64_t moved_ns;       /* when the last of them passed, or the guest saw an event */
    uint64_t since_start;
    /* Properties. */
    uint32_t frequency, channels, voices, buffer_length_us;
    int format;
    bool mixing_engine, fixed_settings;
} AudioSide;

struct Audiodev {
    const AudiodevType *type;
    Machine *machine;
    char *id;
    AudioSide sides[AUDIO_DIRECTIONS];
    uint32_t timer_period_us; /* property */
    bool open;
    GPtrArray *streams; /* AudioStream * */
    GPtrArray *captures; /* AudioCapture *, freed with it */
    Timer timer;
    bool ticking; /* streams are being moved */
    float *mixed; /* room for one chunk */
};

/* The properties that all types have. */
extern const Property audiodev_properties[];

/*
 * Makes a back end of the type with the properties of both tables at their defaults; audiodev_realize opens it. It is closed by
 * audiodev_free if it was opened. Devices must have given up their streams before it is freed.
 */
Audiodev *audiodev_new(Machine *machine, const AudiodevType *type, const char *id);
bool audiodev_realize(Audiodev *audiodev, GError **error);
void audiodev_free(Audiodev *audiodev);

/*
 * For realize of a device: the one its audiodev= names, else the machine's default. Without any the device plays to
 * nobody; where there are some the user has to say which.
 */
Audiodev *audiodev_choose(Machine *machine, Audiodev *given, GError **error);

/* `info audiodev`: appends a line for the back end and one for each stream. */
void audiodev_describe(const Audiodev *audiodev, GString *out);

/*
 * What a back end plays, while it plays, goes into a WAVE file as well, until audio_capture_free or the end of the back end. A file
 * that cannot be written any more is given up with a message.
 */
AudioCapture *audio_capture_new(Audiodev *audiodev, const char *path,
                                const AudioSettings *settings, GError **error);
void audio_capture_free(AudioCapture *capture);
/* `info capture`: appends its settings, its file and how many bytes went there. */
void audio_capture_describe(const AudioCapture *capture, GString *out);

#endif
