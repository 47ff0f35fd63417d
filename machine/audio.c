/* SPDX-License-Identifier: MIT */
/* The generic half of sound: pace, conversion, mixing. */
#include "machine/audio.h"

#include <string.h>

#include "base/error.h"
#include "machine/private.h"

enum {
    CHUNK_FRAMES = 512,   /* moved at a time */
    BUFFER_MOST_MS = 250, /* of a guest's that is moved at once */
    TURN_MS = 10,         /* between moves of a stream that is late: the guest has its turns */
    GRACE_MS = 30,        /* how late a device's frames may come without being silence */
    LONGEST_LAG_MS = 500, /* what is later is forgotten: the process did not run */
    PATIENCE_MS = 1000,   /* with a guest that does not see an event: it does not listen */
    SILENCE_MS = 1000,    /* of silence for want of frames: the stream sleeps */
    EVENT_LEAST_MS = 1,
    MS_PER_S = 1000,
};
/*
 * How fast what is late is caught up with. Linux's HDA driver takes interrupts that come after less than 2/3 of a period for
 * mistakes.
 */
#define CATCH_UP(due) ((due)*5 / 4)
#define NS_PER_S      INT64_C(1000000000)
#define NS_PER_MS     INT64_C(1000000)

struct AudioStream {
    Audiodev *audiodev;
    AudioDirection direction;
    const char *name;
    const AudioClient *client;
    void *opaque;
    bool active, asleep;
    bool deaf; /* the guest lets events wait for ever */
    AudioSettings settings;
    int64_t start_ns;   /* `done` frames ago */
    int64_t moved_ns;   /* when frames were moved last, or the guest saw an event */
    int64_t unseen_ns;  /* since when there is an event that it has not seen, or 0 */
    uint64_t unseen_at; /* and at which frame that was */
    uint64_t done;
    uint64_t silent; /* frames of silence since the device had some */
    uint64_t total, total_silent;
    float gains[2];
    AudioResampler *resampler;
    float *ready; /* AUDIO_PLAY: at the back end's rate, not mixed yet */
    size_t ready_frames, ready_room;
};

static uint64_t frames_in(int64_t ns, uint32_t rate)
{
    return ns > 0 ? (uint64_t)((__int128)ns * rate / NS_PER_S) : 0;
}

/* The first moment by which so many frames are due. */
static int64_t ns_of(uint64_t frames, uint32_t rate)
{
    return (int64_t)(((__int128)frames * NS_PER_S + rate - 1) / rate);
}

/* What is due since start_ns, less what was done; what has been due for too long is forgotten. */
static uint64_t frames_due(int64_t *start_ns, uint64_t done, uint32_t rate, int64_t now_ns)
{
    uint64_t due = frames_in(now_ns - *start_ns, rate),
             most = (uint64_t)rate * LONGEST_LAG_MS / MS_PER_S;

    if (due > done + most) {
        *start_ns = now_ns - ns_of(done, rate);
        return 0;
    }
    return due > done ? due - done : 0;
}

static uint64_t frames_of_ms(const AudioStream *stream, unsigned ms)
{
    return MAX((uint64_t)stream->settings.rate * ms / MS_PER_S, 1);
}

static AudioSide *side_of(const AudioStream *stream)
{
    return &stream->audiodev->sides[stream->direction];
}

/* Playing: from the device to the frames that are ready to be mixed. */

static void apply_gains(const AudioStream *stream, float *samples, size_t frames)
{
    if (stream->gains[0] == 1 && stream->gains[1] == 1) {
        return;
    }
    for (size_t i = 0; i < frames * stream->settings.channels; i++) {
        samples[i] *= stream->gains[i % stream->settings.channels & 1];
    }
}

/* samples: in the stream's rate and channels. */
static void make_ready(AudioStream *stream, float *samples, size_t frames)
{
    unsigned channels = side_of(stream)->settings.channels;
    float mapped[CHUNK_FRAMES * AUDIO_CHANNELS_MOST];
    size_t most = audio_resampler_room(stream->resampler, frames) + stream->ready_frames;

    apply_gains(stream, samples, frames);
    audio_map_channels(samples, stream->settings.channels, mapped, channels, frames);
    if (most > stream->ready_room) {
        stream->ready_room = most * 2;
        stream->ready = g_renew(float, stream->ready, stream->ready_room *channels);
    }
    stream->ready_frames += audio_resampler_run(stream->resampler, mapped, frames,
                                                stream->ready + stream->ready_frames * channels);
}

/* Asks the device for frames; returns how many it had. */
static size_t take_frames(AudioStream *stream, size_t frames)
{
    uint8_t data[CHUNK_FRAMES * AUDIO_FRAME_BYTES_MOST];
    float samples[CHUNK_FRAMES * AUDIO_CHANNELS_MOST];
    size_t had;

    had = stream->client->play(stream->opaque, data, frames);
    had = MIN(had, frames);
    audio_decode(stream->settings.format, data, samples, had * stream->settings.channels);
    make_ready(stream, samples, had);
    stream->done += had;
    stream->total += had;
    return had;
}

static void add_silence(AudioStream *stream, uint64_t frames)
{
    float samples[CHUNK_FRAMES * AUDIO_CHANNELS_MOST] = { 0 };

    stream->done += frames;
    stream->silent += frames;
    stream->total_silent += frames;
    for (size_t n; frames; frames -= n) {
        n = MIN(frames, CHUNK_FRAMES);
        make_ready(stream, samples, n);
    }
    stream->asleep = stream->silent >= frames_of_ms(stream, SILENCE_MS);
}

/*
 * How many frames may be moved before the guest has seen the last event: its processors may not have run since, and going on would
 * take what it had no chance to fill. One that never looks is not waited for.
 */
static uint64_t room_ahead(AudioStream *stream, int64_t now_ns)
{
    size_t ahead = stream->client->unseen ? stream->client->unseen(stream->opaque) : AUDIO_ALL_SEEN;

    if (ahead == AUDIO_ALL_SEEN) {
        if (stream->unseen_ns) {
            stream->moved_ns = side_of(stream)->moved_ns = now_ns;
            stream->unseen_ns = 0;
            stream->deaf = false;
            if (stream->client->live) {
                stream->start_ns = now_ns - ns_of(stream->done, stream->settings.rate);
            }
        }
        return UINT64_MAX;
    }
    if (!stream->unseen_ns) {
        stream->unseen_ns = now_ns;
        stream->unseen_at = stream->total;
    }
    stream->deaf |= now_ns - stream->unseen_ns >= PATIENCE_MS * NS_PER_MS;
    if (stream->deaf) {
        return UINT64_MAX;
    }
    return ahead - MIN(ahead, stream->total - stream->unseen_at);
}

static size_t until_event(const AudioStream *stream)
{
    return stream->client->until_event ? stream->client->until_event(stream->opaque) : 0;
}

/* How much of what is wanted may be moved in one go: up to the next event, which the guest may have to see. */
static uint64_t one_go(AudioStream *stream, uint64_t wanted, int64_t now_ns)
{
    size_t event = stream->client->unseen ? until_event(stream) : 0;
    uint64_t room = room_ahead(stream, now_ns);

    return MIN(event ? MIN(wanted, event) : wanted, room);
}

/*
 * The most that is moved now: what has been due since the last time, and a little more. When we were late the guest has heard
 * nothing of it, and gets its turns.
 */
static uint64_t most_now(int64_t since_ns, uint32_t rate)
{
    return since_ns > 0 ? frames_in(CATCH_UP(since_ns), rate) + 1 : 0;
}

/*
 * The same for a stream that plays. Where nobody knows whether the guest keeps up, it has no more than two turns of ours; but what
 * it has begun, a buffer, may come to its end.
 */
static uint64_t most_to_play(const AudioStream *stream, int64_t now_ns)
{
    int64_t since_ns = now_ns - stream->moved_ns;
    uint64_t most;

    if (stream->client->unseen) {
        return most_now(since_ns, stream->settings.rate);
    }
    most = most_now(MIN(since_ns, 2 * TURN_MS * NS_PER_MS), stream->settings.rate);
    return MAX(most, MIN(until_event(stream), frames_of_ms(stream, BUFFER_MOST_MS)));
}

static void advance(AudioStream *stream, int64_t now_ns)
{
    uint64_t room = room_ahead(stream, now_ns);
    uint64_t due = frames_due(&stream->start_ns, stream->done, stream->settings.rate, now_ns);
    uint64_t left = room ? MIN(due, most_to_play(stream, now_ns)) : 0;
    uint64_t grace = frames_of_ms(stream, GRACE_MS);
    size_t wanted = 0, had = 0;

    while (left && had == wanted && (wanted = one_go(stream, MIN(left, CHUNK_FRAMES), now_ns))) {
        had = take_frames(stream, wanted);
        left -= had;
        due -= had;
        if (had) {
            stream->silent = 0;
            stream->moved_ns = now_ns;
        }
    }
    if (had < wanted && due > grace && room_ahead(stream, now_ns)) {
        add_silence(stream, due - grace);
    }
}

static bool is_playing(const AudioStream *stream)
{
    return stream->direction == AUDIO_PLAY && stream->active && !stream->asleep;
}

/* How many frames all streams that play have ready; what others have left does not wait for more. */
static size_t frames_to_mix(const Audiodev *audiodev)
{
    size_t least = SIZE_MAX, most = 0;

    for (unsigned i = 0; i < audiodev->streams->len; i++) {
        const AudioStream *stream = audiodev->streams->pdata[i];

        if (is_playing(stream)) {
            least = MIN(least, stream->ready_frames);
        }
        most = MAX(most, stream->ready_frames);
    }
    return MIN(least, most);
}

static void mix_chunk(Audiodev *audiodev, size_t frames)
{
    AudioSide *side = &audiodev->sides[AUDIO_PLAY];
    unsigned channels = side->settings.channels;
    uint8_t data[CHUNK_FRAMES * AUDIO_FRAME_BYTES_MOST];

    memset(audiodev->mixed, 0, frames * channels * sizeof *audiodev->mixed);
    for (unsigned i = 0; i < audiodev->streams->len; i++) {
        AudioStream *stream = audiodev->streams->pdata[i];
        size_t n = MIN(stream->ready_frames, frames);

        if (!n) {
            continue; /* it may have never had any */
        }
        for (size_t k = 0; k < n * channels; k++) {
            audiodev->mixed[k] += stream->ready[k];
        }
        stream->ready_frames -= n;
        memmove(stream->ready, stream->ready + n * channels,
                stream->ready_frames * channels * sizeof *stream->ready);
    }
    side->frames += frames;
    audio_captures_hear(audiodev, audiodev->mixed, frames);
    if (audiodev->type->play) {
        audio_encode(side->settings.format, audiodev->mixed, data, frames * channels);
        audiodev->type->play(audiodev, data, frames);
    }
}

static void play_due(Audiodev *audiodev, int64_t now_ns)
{
    size_t frames;

    for (unsigned i = 0; i < audiodev->streams->len; i++) {
        AudioStream *stream = audiodev->streams->pdata[i];

        if (is_playing(stream)) {
            advance(stream, now_ns);
        }
    }
    for (frames = frames_to_mix(audiodev); frames; frames -= MIN(frames, CHUNK_FRAMES)) {
        mix_chunk(audiodev, MIN(frames, CHUNK_FRAMES));
    }
}

/* Recording: what the back end has goes to all streams. */

static void give_frames(AudioStream *stream, const float *samples, size_t frames)
{
    unsigned from = side_of(stream)->settings.channels, to = stream->settings.channels;
    size_t most = audio_resampler_room(stream->resampler, frames), count;
    g_autofree float *resampled = g_new(float, most *from);
    g_autofree float *mapped = g_new(float, most *to);
    g_autofree uint8_t *data = g_malloc(most * audio_frame_bytes(&stream->settings));

    count = audio_resampler_run(stream->resampler, samples, frames, resampled);
    audio_map_channels(resampled, from, mapped, to, count);
    apply_gains(stream, mapped, count);
    audio_encode(stream->settings.format, mapped, data, count * to);
    stream->done += count;
    stream->total += count;
    stream->client->record(stream->opaque, data, count);
}

static void record_chunk(Audiodev *audiodev, size_t frames)
{
    AudioSide *side = &audiodev->sides[AUDIO_RECORD];
    uint8_t data[CHUNK_FRAMES * AUDIO_FRAME_BYTES_MOST];
    float samples[CHUNK_FRAMES * AUDIO_CHANNELS_MOST];
    unsigned bytes = audio_frame_bytes(&side->settings), channels = side->settings.channels;
    size_t had = audiodev->type->record ? audiodev->type->record(audiodev, data, frames) : 0;

    audio_fill_silence(side->settings.format, data + had * bytes, (frames - had) * channels);
    audio_decode(side->settings.format, data, samples, frames * channels);
    side->since_start += frames;
    side->frames += frames;
    for (unsigned i = 0; i < audiodev->streams->len; i++) {
        AudioStream *stream = audiodev->streams->pdata[i];

        if (stream->direction == AUDIO_RECORD && stream->active) {
            give_frames(stream, samples, frames);
        }
    }
}

/* Up to how many frames of the back end all that record can take in one go; 0: one waits for its guest. */
static uint64_t room_to_record(Audiodev *audiodev, int64_t now_ns)
{
    uint32_t rate = audiodev->sides[AUDIO_RECORD].settings.rate;
    uint64_t room = CHUNK_FRAMES, own;

    for (unsigned i = 0; i < audiodev->streams->len; i++) {
        AudioStream *stream = audiodev->streams->pdata[i];

        if (stream->direction == AUDIO_RECORD && stream->active) {
            own = one_go(stream, CHUNK_FRAMES, now_ns);
            room = own ? MIN(room, MAX(own * rate / stream->settings.rate, 1)) : 0;
        }
    }
    return room;
}

static bool all_recorders_tell(const Audiodev *audiodev)
{
    for (unsigned i = 0; i < audiodev->streams->len; i++) {
        const AudioStream *stream = audiodev->streams->pdata[i];

        if (stream->direction == AUDIO_RECORD && stream->active && !stream->client->unseen) {
            return false;
        }
    }
    return true;
}

static void record_due(Audiodev *audiodev, int64_t now_ns)
{
    AudioSide *side = &audiodev->sides[AUDIO_RECORD];
    int64_t since_ns = now_ns - side->moved_ns;
    uint64_t due, n;

    if (!side->active) {
        return;
    }
    due = frames_due(&side->start_ns, side->since_start, side->settings.rate, now_ns);
    if (!all_recorders_tell(audiodev)) {
        since_ns = MIN(since_ns, 2 * TURN_MS * NS_PER_MS);
    }
    due = MIN(due, most_now(since_ns, side->settings.rate));
    for (; due && (n = MIN(due, room_to_record(audiodev, now_ns))); due -= n) {
        record_chunk(audiodev, n);
        side->moved_ns = now_ns;
    }
}

/* The timer. */

/* When a stream wants to be looked at: its next event, or soon when it could not be brought up to now. */
static int64_t next_look_ns(const AudioStream *stream, int64_t now_ns)
{
    size_t frames = until_event(stream);
    int64_t at_ns = INT64_MAX;

    if (stream->direction == AUDIO_PLAY) {
        uint64_t due = frames_in(now_ns - stream->start_ns, stream->settings.rate);

        if (due > stream->done + frames_of_ms(stream, TURN_MS) / 2) {
            at_ns = frames && stream->client->unseen ? ns_of(frames, stream->settings.rate) * 4 / 5
                                                     : TURN_MS * NS_PER_MS;
            return now_ns + CLAMP(at_ns, EVENT_LEAST_MS * NS_PER_MS, TURN_MS * NS_PER_MS);
        }
        if (frames) {
            at_ns = stream->start_ns + ns_of(stream->done + frames, stream->settings.rate);
        }
    } else if (frames) {
        at_ns = now_ns + ns_of(frames, stream->settings.rate);
    }
    return MAX(at_ns, now_ns + EVENT_LEAST_MS * NS_PER_MS);
}

static void arm_timer(Audiodev *audiodev, int64_t now_ns)
{
    int64_t next_ns = INT64_MAX;

    for (unsigned i = 0; i < audiodev->streams->len; i++) {
        const AudioStream *stream = audiodev->streams->pdata[i];

        if (stream->active && !stream->asleep) {
            int64_t at_ns = next_look_ns(stream, now_ns);

            next_ns = MIN(next_ns, MIN(at_ns, now_ns + audiodev->timer_period_us * INT64_C(1000)));
        }
    }
    if (next_ns == INT64_MAX) {
        timer_cancel(&audiodev->timer);
    } else {
        timer_arm(&audiodev->timer, next_ns);
    }
}

/* Not from within itself: a guest may have a device's DMA reach the registers of a sound card. */
static void audiodev_tick(void *opaque)
{
    Audiodev *audiodev = opaque;
    int64_t now_ns = clock_now_ns(audiodev->machine);

    if (audiodev->ticking) {
        return;
    }
    audiodev->ticking = true;
    play_due(audiodev, now_ns);
    record_due(audiodev, now_ns);
    audiodev->ticking = false;
    arm_timer(audiodev, now_ns);
}

void audiodev_begin(Audiodev *audiodev)
{
    audiodev->streams = g_ptr_array_new();
    audiodev->captures = g_ptr_array_new();
    audiodev->mixed = g_new(float, CHUNK_FRAMES *AUDIO_CHANNELS_MOST);
    timer_init(&audiodev->timer, audiodev->machine, audiodev_tick, audiodev);
}

void audiodev_end(Audiodev *audiodev)
{
    timer_cancel(&audiodev->timer);
    while (audiodev->captures->len) {
        audio_capture_free(audiodev->captures->pdata[0]);
    }
    g_ptr_array_unref(audiodev->captures);
    g_ptr_array_unref(audiodev->streams);
    g_free(audiodev->mixed);
}

/* Streams. */

AudioStream *audio_stream_new(Audiodev *audiodev, AudioDirection direction, const char *name,
                              const AudioClient *client, void *opaque)
{
    AudioStream *stream = g_new0(AudioStream, 1);

    stream->audiodev = audiodev;
    stream->direction = direction;
    stream->name = name;
    stream->client = client;
    stream->opaque = opaque;
    stream->gains[0] = stream->gains[1] = 1;
    g_ptr_array_add(audiodev->streams, stream);
    return stream;
}

/* Without asking the device for more. */
static void stop(AudioStream *stream)
{
    Audiodev *audiodev = stream->audiodev;

    if (!stream->active) {
        return;
    }
    stream->active = stream->asleep = false;
    if (!audiodev->ticking) {
        play_due(audiodev, clock_now_ns(audiodev->machine)); /* what is left of it */
    }
    if (--side_of(stream)->active == 0 && audiodev->type->stop) {
        audiodev->type->stop(audiodev, stream->direction);
    }
    arm_timer(audiodev, clock_now_ns(audiodev->machine));
}

void audio_stream_free(AudioStream *stream)
{
    if (stream) {
        stop(stream);
        g_ptr_array_remove(stream->audiodev->streams, stream);
        audio_resampler_free(stream->resampler);
        g_free(stream->ready);
        g_free(stream);
    }
}

/* The first stream of a side decides how the side is, where the user has not. */
static void start_side(Audiodev *audiodev, AudioDirection direction, const AudioSettings *settings,
                       int64_t now_ns)
{
    AudioSide *side = &audiodev->sides[direction];

    if (side->active++) {
        return;
    }
    side->start_ns = side->moved_ns = now_ns;
    side->since_start = 0;
    if (!side->fixed_settings) {
        side->settings = *settings;
    }
    if (audiodev->type->start) {
        audiodev->type->start(audiodev, direction);
    }
}

static AudioSettings usable(const AudioSettings *settings)
{
    return (AudioSettings){ MIN(settings->format, AUDIO_FORMAT_COUNT - 1),
                            CLAMP(settings->rate, AUDIO_RATE_LEAST, AUDIO_RATE_MOST),
                            CLAMP(settings->channels, 1, AUDIO_CHANNELS_MOST) };
}

void audio_stream_start(AudioStream *stream, const AudioSettings *settings)
{
    Audiodev *audiodev = stream->audiodev;
    AudioSettings wanted = usable(settings);
    int64_t now_ns = clock_now_ns(audiodev->machine);
    bool same = memcmp(&wanted, &stream->settings, sizeof wanted) == 0;

    if (stream->active && same) {
        return;
    }
    audiodev_tick(audiodev); /* what plays already is as far as this one from here on */
    if (!stream->active) {
        start_side(audiodev, stream->direction, &wanted, now_ns);
    }
    stream->active = true;
    stream->asleep = false;
    stream->settings = wanted;
    stream->start_ns = stream->moved_ns = now_ns;
    stream->unseen_ns = 0;
    stream->done = stream->silent = 0;
    audio_resampler_free(stream->resampler);
    stream->resampler = stream->direction == AUDIO_PLAY
                            ? audio_resampler_new(side_of(stream)->settings.channels, wanted.rate,
                                                  side_of(stream)->settings.rate)
                            : audio_resampler_new(side_of(stream)->settings.channels,
                                                  side_of(stream)->settings.rate, wanted.rate);
    arm_timer(audiodev, now_ns);
}

void audio_stream_stop(AudioStream *stream)
{
    audio_stream_update(stream);
    stop(stream);
}

void audio_stream_finish(AudioStream *stream)
{
    audio_stream_update(stream);
    while (stream->active && !stream->audiodev->ticking && take_frames(stream, CHUNK_FRAMES)) {
    }
    stop(stream);
}

bool audio_stream_active(const AudioStream *stream)
{
    return stream->active;
}

void audio_stream_update(AudioStream *stream)
{
    if (stream->active) {
        audiodev_tick(stream->audiodev);
    }
}

void audio_stream_seen(AudioStream *stream)
{
    int64_t now_ns = clock_now_ns(stream->audiodev->machine);

    if (stream->active && stream->unseen_ns && !stream->audiodev->ticking) {
        room_ahead(stream, now_ns);
        arm_timer(stream->audiodev, now_ns);
    }
}

void audio_stream_wake(AudioStream *stream)
{
    if (!stream->active) {
        return;
    }
    if (stream->asleep) {
        stream->asleep = false;
        stream->start_ns = stream->moved_ns = clock_now_ns(stream->audiodev->machine);
        stream->done = stream->silent = 0;
    }
    audiodev_tick(stream->audiodev);
}

void audiodev_describe(const Audiodev *audiodev, GString *out)
{
    static const char *const names[] = { [AUDIO_PLAY] = "out", [AUDIO_RECORD] = "in" };

    g_string_append_printf(out, "%s: driver=%s", audiodev->id, audiodev->type->name);
    for (unsigned i = 0; i < AUDIO_DIRECTIONS; i++) {
        const AudioSide *side = &audiodev->sides[i];

        g_string_append_printf(out, ",%s=%s/%u/%u", names[i],
                               audio_format_names[side->settings.format], side->settings.rate,
                               side->settings.channels);
    }
    g_string_append_c(out, '\n');
    for (unsigned i = 0; i < audiodev->streams->len; i++) {
        const AudioStream *s = audiodev->streams->pdata[i];

        g_string_append_printf(out, " \\ %s: %s", s->name,
                               !s->active  ? "stopped"
                               : s->asleep ? "waiting"
                                           : "running");
        if (s->settings.rate) {
            g_string_append_printf(out, ",%s/%u/%u", audio_format_names[s->settings.format],
                                   s->settings.rate, s->settings.channels);
        }
        g_string_append_printf(out, ",frames=%" PRIu64 ",missed=%" PRIu64 "\n", s->total,
                               s->total_silent);
    }
}

void audio_stream_set_volume(AudioStream *stream, float left, float right)
{
    stream->gains[0] = left;
    stream->gains[1] = right;
}
