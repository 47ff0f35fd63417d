/* SPDX-License-Identifier: MIT */
/* A back end of sound that keeps what is played and records a sine, and judges of sines. Times are virtual: tests move the clock. */
#ifndef TESTS_DEVICE_AUDIO_BENCH_H
#define TESTS_DEVICE_AUDIO_BENCH_H

#include "machine/audio.h"
#include "machine/machine.h"

enum { AUDIO_BENCH_RATE = 44100, AUDIO_BENCH_HZ = 441, AUDIO_BENCH_AMPLITUDE = 16000 };

/* The back end, "capture", of stereo 16-bit frames. */
typedef struct {
    Audiodev audiodev;
    GArray *played;    /* int16_t */
    uint64_t recorded; /* frames */
    unsigned starts, stops;
} Capture;

/* Adds the back end "a0" to the machine, whose clock is the test's from here on. */
Capture *audio_bench_open(Machine *machine);
/* Moves the clock by random steps of up to `most_ms`, and calls fn after each, until `seconds` have passed. */
void audio_bench_run(Machine *machine, double seconds, unsigned most_ms, void (*fn)(void *opaque),
                     void *opaque);

/* Sample n of the sine at a rate. */
int16_t audio_bench_sine(uint64_t n, uint32_t rate);
/*
 * Fails unless samples (every `stride`th) from the first that is not silent to the last are one sine of AUDIO_BENCH_HZ at `rate`:
 * no gap, no jump, no drift. Returns its frames; *amplitude may be NULL.
 */
uint64_t audio_bench_judge(const int16_t *samples, uint64_t frames, unsigned stride, uint32_t rate,
                           double *amplitude);
/* What was played is such a sine in both channels, of `seconds` less or more two hundredths. Returns the amplitude. */
double audio_bench_check(const Capture *capture, double seconds);

#endif
