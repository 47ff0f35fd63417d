/* SPDX-License-Identifier: MIT */
/* What implementers of accelerators include; the interface itself is the machine's. */
#ifndef ACCEL_ACCEL_H
#define ACCEL_ACCEL_H

#include "machine/accelerator.h"

#endif
