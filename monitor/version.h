/* SPDX-License-Identifier: MIT */
/* What the monitor says about its version. */
#ifndef MONITOR_VERSION_H
#define MONITOR_VERSION_H

#include <jansson.h>

/* The version of QEMU whose protocol and options we follow: what programs compare with. */
enum { MONITOR_PROTOCOL_MAJOR = 8, MONITOR_PROTOCOL_MINOR = 2, MONITOR_PROTOCOL_MICRO = 0 };

json_t *monitor_version(void);

#endif
