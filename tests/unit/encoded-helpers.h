/* SPDX-License-Identifier: MIT */
/* Helpers that name an instruction of the host: all forms, in legacy and VEX encodings. */
#ifndef TESTS_UNIT_ENCODED_HELPERS_H
#define TESTS_UNIT_ENCODED_HELPERS_H

#include <glib.h>

#include "accel/tcg/ir/ir.h"

/* Those whose C function this host can run. The caller frees. */
TcgHelper *encoded_helpers(unsigned *count);

#endif
