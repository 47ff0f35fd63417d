/* SPDX-License-Identifier: MIT */
/* What the back ends of sound have in common, whose libraries are loaded when one is wanted (base/library.h). */
#ifndef BACKENDS_AUDIO_LIBRARY_H
#define BACKENDS_AUDIO_LIBRARY_H

#include "base/library.h"

/* Whether somebody listens at a Unix socket: `name` in the folder that an environment variable names. */
bool library_server_listens(const char *variable, const char *name);

#endif
