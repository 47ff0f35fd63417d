/* SPDX-License-Identifier: MIT */
/*
 * A ring of frames between the main loop, which moves them at the pace of the virtual clock, and a thread of the host's, which
 * moves them at the pace of a sound card. The two clocks differ by some millionths: how full the ring is bends the rate in
 * the main loop's side, by two thousandths at most, so that it stays about as full as it shall be.
 *
 * Threads: the main loop's functions under the machine lock; the host's from one thread at a time. Neither waits for the other
 * for longer than a copy takes.
 */
#ifndef BACKENDS_AUDIO_HOST_RING_H
#define BACKENDS_AUDIO_HOST_RING_H

#include <stdint.h>

#include "machine/audio-samples.h"

typedef struct HostRing HostRing;

/* latency_us: of sound that the ring holds when all is well. */
HostRing *host_ring_new(const AudioSettings *settings, uint32_t latency_us);
void host_ring_free(HostRing *ring); /* NULL is fine */

/* Playing. The main loop puts frames; what there is no room for is dropped. */
void host_ring_play(HostRing *ring, const void *data, size_t frames);
/* The host takes as many as it wants: silence where there are none, and until the ring has filled again. */
void host_ring_play_out(HostRing *ring, void *data, size_t frames);

/* Recording. The host puts frames; the oldest make room. */
void host_ring_record_in(HostRing *ring, const void *data, size_t frames);
/* The main loop takes up to so many; returns how many there were. */
size_t host_ring_record(HostRing *ring, void *data, size_t frames);

/* Frames that are in the ring. [any] */
size_t host_ring_level(HostRing *ring);

#endif
