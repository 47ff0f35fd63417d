/* SPDX-License-Identifier: MIT */
/* Images of known contents for tests of drives. */
#ifndef TESTS_DEVICE_IMAGE_H
#define TESTS_DEVICE_IMAGE_H

#include "block/block.h"
#include "machine/machine.h"

/*
 * A drive of the machine, which the caller closes when that is gone: a raw image in which each 512 bytes have their number in front. Its
 * file has no name any more. error: the kind of access that fails once, as blkdebug calls it; NULL: none.
 */
BlockBackend *image_open(Machine *machine, BlockGraph *graph, const char *id, uint64_t bytes,
                         bool read_only, const char *error);

#endif
