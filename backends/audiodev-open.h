/* SPDX-License-Identifier: MIT */
/* Makes back ends of sound from -audiodev's options. */
#ifndef BACKENDS_AUDIODEV_OPEN_H
#define BACKENDS_AUDIODEV_OPEN_H

#include <glib.h>
#include <stdbool.h>

#include "machine/audio.h"

/* NULL with an error when there is none. */
const AudiodevType *audiodev_type_find(const char *name, GError **error);

/* The driver of a sound server that answers, or NULL. */
const AudiodevType *audiodev_type_available(void);

/*
 * Opens the back end `type` as `id` and adds it to the machine. options: char * -> char * as -audiodev spells them, or
 * NULL. NULL with an error.
 */
Audiodev *audiodev_open(Machine *machine, const char *id, const char *type, GHashTable *options,
                        GError **error);

#endif
