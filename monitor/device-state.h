/* SPDX-License-Identifier: MIT */
/* What a device keeps, by the names of its state table (machine/state.h): looked at without asking the device. */
#ifndef MONITOR_DEVICE_STATE_H
#define MONITOR_DEVICE_STATE_H

#include <jansson.h>

#include "machine/state.h"

/* {name, width, value} of each number: "comparator[1].config". Of arrays the first few. */
json_t *device_state_json(const void *instance, const StateField *fields);

#endif
