/* SPDX-License-Identifier: MIT */
/* What the monitor says about its version. */
#ifndef MONITOR_VERSION_H
#define MONITOR_VERSION_H

#include <jansson.h>

json_t *monitor_version(void);

#endif
