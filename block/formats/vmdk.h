/* SPDX-License-Identifier: MIT */
/* What the files of the VMDK driver share. */
#ifndef BLOCK_FORMATS_VMDK_H
#define BLOCK_FORMATS_VMDK_H

#include "block/formats/mapped.h"

/* Flags of a sparse extent's header. */
enum {
    VMDK_NEWLINES = 1 << 0,
    VMDK_REDUNDANT = 1 << 1,
    VMDK_ZERO_GRAIN = 1 << 2,
    VMDK_COMPRESSED = 1 << 16,
    VMDK_MARKERS = 1 << 17,
};

extern const BlockOption vmdk_create_options[];
unsigned vmdk_lacks(GHashTable *create_options);
bool vmdk_create(BlockGraph *graph, const char *filename, GHashTable *options, GError **error);
/* The identity of an open image's content, which images above remember. */
uint32_t vmdk_cid(const BlockNode *node);
bool vmdk_is(const BlockNode *node);

#endif
