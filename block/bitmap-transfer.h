/* SPDX-License-Identifier: MIT */
/*
 * Dirty bitmaps that go to another process with a machine: those of nodes that a user has named, or whose drive has an id. Those that
 * are kept in an image go as well, for a disk that was copied; where the image has brought one of that name, it stays.
 */
#ifndef BLOCK_BITMAP_TRANSFER_H
#define BLOCK_BITMAP_TRANSFER_H

#include "block/block.h"

/* Appended to out; an error: one cannot go now. Nothing writes any more. */
bool block_bitmaps_save(BlockGraph *graph, GByteArray *out, GError **error);
/* Into nodes of the same names and sizes, once the disks are active. After an error some are there. */
bool block_bitmaps_load(BlockGraph *graph, const uint8_t *data, size_t size, GError **error);

#endif
