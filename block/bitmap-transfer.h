/* SPDX-License-Identifier: MIT */
/*
 * Dirty bitmaps that go to another process with a machine: those of nodes that a user has named, or whose drive has an id. Those that
 * are kept in an image go as well, for a disk that was copied; where the image has brought one of that name, it stays.
 */
#ifndef BLOCK_BITMAP_TRANSFER_H
#define BLOCK_BITMAP_TRANSFER_H

#include "block/block.h"

/* Whether a text in JSON is a list for block-bitmap-mapping. */
bool block_bitmap_mapping_check(const char *mapping, GError **error);
/*
 * Appended to out; an error: one cannot go now. Nothing writes any more. mapping: a checked list (bitmap-mapping.h) as text, or
 * NULL: all go under their own names.
 */
bool block_bitmaps_save(BlockGraph *graph, const char *mapping, GByteArray *out, GError **error);
/* Into nodes of the same names and sizes, once the disks are active. After an error some are there. */
bool block_bitmaps_load(BlockGraph *graph, const char *mapping, const uint8_t *data, size_t size,
                        GError **error);

#endif
