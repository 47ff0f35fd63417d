/* SPDX-License-Identifier: MIT */
/* WAVE files that are written (Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0"). */
#ifndef MACHINE_WAVE_FILE_H
#define MACHINE_WAVE_FILE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine/audio-samples.h"

enum { WAVE_HEADER_BYTES = 44, WAVE_INTEGERS = 1, WAVE_FLOATS = 3 };

typedef struct WaveFile WaveFile;

/* Whether such files have samples of this format; the error names those that are. */
bool wave_file_takes(AudioFormat format, GError **error);
/* The format must be one of these. */
WaveFile *wave_file_create(const char *path, const AudioSettings *settings, GError **error);
/* Before the first frame. */
void wave_file_set_settings(WaveFile *file, const AudioSettings *settings);
const AudioSettings *wave_file_settings(const WaveFile *file);
uint64_t wave_file_bytes(const WaveFile *file); /* of samples */
/*
 * Appends frames. false: the host has no more room for it, or the file is as large as one can be; nothing more can be written. The
 * header is right once a second and at the end, so that a file of a run that was killed can be read.
 */
bool wave_file_write(WaveFile *file, const void *data, size_t frames, GError **error);
/* Completes and frees; NULL is fine. */
bool wave_file_close(WaveFile *file, GError **error);

#endif
