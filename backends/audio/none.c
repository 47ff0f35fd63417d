/* SPDX-License-Identifier: MIT */
/* Sound that nobody hears, at the speed of one that somebody does. */
#include "machine/audio.h"

static const AudiodevType none_type = {
    .name = "none",
    .summary = "No sound: what is played is dropped, what is recorded is silence",
    .instance_size = sizeof(Audiodev),
};
AUDIODEV_TYPE(none_type);
