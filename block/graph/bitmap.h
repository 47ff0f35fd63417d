/* SPDX-License-Identifier: MIT */
/* Dirty bitmaps of a node: which parts have been written since the bitmap was made or cleared. */
#ifndef BLOCK_GRAPH_BITMAP_H
#define BLOCK_GRAPH_BITMAP_H

#include "block/graph/node.h"

typedef struct {
    BlockNode *node;
    char *name;
    uint64_t granularity, size; /* bytes; size of the disk */
    uint8_t *bits;              /* bit n of byte m: piece 8 * m + n */
    bool enabled;               /* writes set bits */
    bool persistent;            /* kept in the image */
    unsigned busy;              /* jobs and exports that use it: nobody else may change it */
    bool inconsistent;          /* was in use when its writer died: only fit for removal */
    NodeWriteNotifier notifier;
} DirtyBitmap;

DirtyBitmap *dirty_bitmap_new(BlockNode *node, const char *name, uint64_t granularity,
                              GError **error);
void dirty_bitmap_free(DirtyBitmap *bitmap);
/* The disk has this size now: what is new is clean. */
void dirty_bitmap_resize(DirtyBitmap *bitmap, uint64_t size);
DirtyBitmap *dirty_bitmap_find(BlockNode *node, const char *name);
uint64_t dirty_bitmap_bytes(const DirtyBitmap *bitmap); /* length of bits */
void dirty_bitmap_set(DirtyBitmap *bitmap, uint64_t offset, uint64_t bytes);
void dirty_bitmap_reset(DirtyBitmap *bitmap, uint64_t offset, uint64_t bytes);
/* The start of the first dirty piece at or after offset; UINT64_MAX when there is none. */
uint64_t dirty_bitmap_next(const DirtyBitmap *bitmap, uint64_t offset);
/* How many bytes from offset on are dirty, up to max. */
uint64_t dirty_bitmap_run(const DirtyBitmap *bitmap, uint64_t offset, uint64_t max);
uint64_t dirty_bitmap_count(const DirtyBitmap *bitmap); /* dirty bytes */
/* `to` becomes dirty where `from` is. */
void dirty_bitmap_merge(DirtyBitmap *to, const DirtyBitmap *from);
/* add remove clear enable disable merge, as the tools and QMP name them. */
bool dirty_bitmap_action(BlockNode *node, const char *action, const char *name,
                         GHashTable *arguments, bool persistent, GError **error);

#endif
