/* SPDX-License-Identifier: MIT */
/*
 * A thread for a library that blocks: it moves frames between a ring and the host's sound. A sound server that is lost is told in a
 * line, and tried again every few seconds; the guest plays on meanwhile.
 */
#ifndef BACKENDS_AUDIO_WORKER_H
#define BACKENDS_AUDIO_WORKER_H

#include "backends/audio/host-ring.h"
#include "machine/audio.h"

typedef struct AudioWorker AudioWorker;

/* All on the worker's thread, but open, which may be on any before the worker is there. */
typedef struct {
    /* A new connection, in these settings exactly. NULL with an error. */
    void *(*open)(Audiodev *audiodev, AudioDirection direction, const AudioSettings *settings,
                  GError **error);
    void (*close)(void *connection);
    /* Blocks until the host has taken (or given) all the frames. Fails when the connection is lost. */
    bool (*play)(void *connection, const void *data, size_t frames, GError **error);
    bool (*record)(void *connection, void *data, size_t frames, GError **error);
} AudioWorkerOps;

/*
 * For start of a back end: lets *worker move frames, made anew when the side's settings are others than its own (NULL: there is none
 * yet). Never waits but for one that is replaced.
 */
void audio_worker_follow(AudioWorker **worker, Audiodev *audiodev, AudioDirection direction,
                         const AudioWorkerOps *ops, uint32_t latency_us);
/* Whether it shall move frames. It plays what the ring still has, and closes the connection, when not. Never waits. */
void audio_worker_run(AudioWorker *worker, bool run);
/*
 * Ends the thread. One that hangs in the library (a server that does not answer) is left alone after half a second. NULL is
 * fine.
 */
void audio_worker_free(AudioWorker *worker);
HostRing *audio_worker_ring(AudioWorker *worker);

#endif
