/* SPDX-License-Identifier: MIT */
#include "backends/audio/worker.h"

#include <stdio.h>
#include <string.h>

enum {
    PIECE_MS = 10, /* moved at a time */
    RETRY_MS = 3000,
    AHEAD_MOST_MS = 2500, /* more than any buffer of the host's */
    PATIENCE_MS = 500,    /* with a library, at the end */
};

struct AudioWorker {
    Audiodev *audiodev; /* not after `ended` */
    AudioDirection direction;
    AudioSettings settings;
    const AudioWorkerOps *ops;
    HostRing *ring;
    GThread *thread;
    gint64 since_us; /* the connection is there */
    uint64_t moved;  /* frames since then */
    bool told;       /* that the connection is lost */
    GMutex lock;     /* of what follows */
    GCond changed;
    bool run, ended, done;
};

static void tell(AudioWorker *w, const GError *error)
{
    if (!w->told) {
        fprintf(stderr,
                "kaso: audiodev '%s': %s; the guest runs on without this sound until it is back\n",
                w->audiodev->id, error->message);
    }
    w->told = true;
}

/* Waits for the next try, or for the end. */
static void wait_to_retry(AudioWorker *w)
{
    gint64 until = g_get_monotonic_time() + RETRY_MS * G_TIME_SPAN_MILLISECOND;

    g_mutex_lock(&w->lock);
    while (!w->ended && g_cond_wait_until(&w->changed, &w->lock, until)) {
    }
    g_mutex_unlock(&w->lock);
}

static void disconnect(AudioWorker *w, void **connection)
{
    if (*connection) {
        w->ops->close(*connection);
        *connection = NULL;
    }
}

/* Without anything to do there is no connection. Returns whether there is something. */
static bool wait_for_work(AudioWorker *w, void **connection)
{
    bool go_on;

    g_mutex_lock(&w->lock);
    while (!w->ended && !w->run && (w->direction == AUDIO_RECORD || !host_ring_level(w->ring))) {
        g_mutex_unlock(&w->lock);
        disconnect(w, connection);
        g_mutex_lock(&w->lock);
        if (!w->ended && !w->run) {
            g_cond_wait(&w->changed, &w->lock);
        }
    }
    go_on = !w->ended;
    g_mutex_unlock(&w->lock);
    return go_on;
}

/* A device that takes all at once (ALSA's "null") must not have the thread run for nothing. */
static void keep_pace(AudioWorker *w, size_t frames)
{
    gint64 now_us = g_get_monotonic_time();

    w->since_us = w->moved ? w->since_us : now_us;
    w->moved += frames;
    if ((gint64)(w->moved * G_TIME_SPAN_SECOND / w->settings.rate) >
        now_us - w->since_us + AHEAD_MOST_MS * G_TIME_SPAN_MILLISECOND) {
        g_usleep(PIECE_MS * 1000);
    }
}

static bool move_piece(AudioWorker *w, void *connection, uint8_t *data, size_t frames,
                       GError **error)
{
    if (w->direction == AUDIO_PLAY) {
        host_ring_play_out(w->ring, data, frames);
        return w->ops->play(connection, data, frames, error);
    }
    if (!w->ops->record(connection, data, frames, error)) {
        return false;
    }
    host_ring_record_in(w->ring, data, frames);
    return true;
}

static void *work(void *opaque)
{
    AudioWorker *w = opaque;
    size_t frames = MAX(w->settings.rate * PIECE_MS / 1000, 1u);
    g_autofree uint8_t *data = g_malloc(frames * audio_frame_bytes(&w->settings));
    void *connection = NULL;

    while (wait_for_work(w, &connection)) {
        g_autoptr(GError) error = NULL;

        keep_pace(w, frames);
        if (!connection) {
            w->moved = 0;
            connection = w->ops->open(w->audiodev, w->direction, &w->settings, &error);
        }
        if (!connection || !move_piece(w, connection, data, frames, &error)) {
            disconnect(w, &connection);
            tell(w, error);
            wait_to_retry(w);
        } else if (w->told) {
            fprintf(stderr, "kaso: audiodev '%s': sound is back\n", w->audiodev->id);
            w->told = false;
        }
    }
    disconnect(w, &connection);
    g_mutex_lock(&w->lock);
    w->done = true;
    g_cond_broadcast(&w->changed);
    g_mutex_unlock(&w->lock);
    return NULL;
}

static AudioWorker *worker_new(Audiodev *audiodev, AudioDirection direction,
                               const AudioWorkerOps *ops, uint32_t latency_us)
{
    AudioWorker *w = g_new0(AudioWorker, 1);
    g_autoptr(GError) error = NULL;

    w->audiodev = audiodev;
    w->direction = direction;
    w->settings = audiodev->sides[direction].settings;
    w->ops = ops;
    w->ring = host_ring_new(&w->settings, latency_us);
    g_mutex_init(&w->lock);
    g_cond_init(&w->changed);
    w->thread = g_thread_try_new("audio", work, w, &error);
    if (!w->thread) {
        w->done = true;
        tell(w, error);
    }
    return w;
}

void audio_worker_run(AudioWorker *w, bool run)
{
    g_mutex_lock(&w->lock);
    w->run = run;
    g_cond_broadcast(&w->changed);
    g_mutex_unlock(&w->lock);
}

void audio_worker_free(AudioWorker *w)
{
    gint64 until = g_get_monotonic_time() + PATIENCE_MS * G_TIME_SPAN_MILLISECOND;
    bool done;

    if (!w) {
        return;
    }
    g_mutex_lock(&w->lock);
    w->ended = true;
    g_cond_broadcast(&w->changed);
    while (!w->done && g_cond_wait_until(&w->changed, &w->lock, until)) {
    }
    done = w->done;
    g_mutex_unlock(&w->lock);
    if (!done) {
        g_thread_unref(w->thread); /* it keeps what it uses */
        return;
    }
    if (w->thread) {
        g_thread_join(w->thread);
    }
    host_ring_free(w->ring);
    g_mutex_clear(&w->lock);
    g_cond_clear(&w->changed);
    g_free(w);
}

void audio_worker_follow(AudioWorker **worker, Audiodev *audiodev, AudioDirection direction,
                         const AudioWorkerOps *ops, uint32_t latency_us)
{
    const AudioSettings *settings = &audiodev->sides[direction].settings;

    if (*worker &&
        (!(*worker)->thread || memcmp(&(*worker)->settings, settings, sizeof *settings) != 0)) {
        audio_worker_free(*worker);
        *worker = NULL;
    }
    if (!*worker) {
        *worker = worker_new(audiodev, direction, ops, latency_us);
    }
    audio_worker_run(*worker, true);
}

HostRing *audio_worker_ring(AudioWorker *w)
{
    return w->ring;
}
