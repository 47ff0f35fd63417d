/* SPDX-License-Identifier: MIT */
/* Reading for formats that only say where each piece of the disk is. */
#ifndef BLOCK_FORMATS_MAPPED_H
#define BLOCK_FORMATS_MAPPED_H

#include "base/bits.h"
#include "base/error.h"
#include "block/graph/node.h"

#include <errno.h>
#include <string.h>

typedef enum { PIECE_BACKING, PIECE_ZERO, PIECE_DATA, PIECE_COMPRESSED } MappedKind;

typedef struct {
    MappedKind kind;
    uint64_t count;  /* how long it goes on; set to the wanted length before the call */
    uint64_t host;   /* PIECE_DATA: offset in `file`; else for the driver */
    BlockNode *file; /* set to the node's file before the call */
} MappedPiece;

typedef int MapFunction(BlockNode *node, uint64_t offset, MappedPiece *piece);
/* Reads what map calls compressed; NULL when there is no such thing. */
typedef int InflateFunction(BlockNode *node, uint64_t offset, const MappedPiece *piece,
                            IoVector vector);

int mapped_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector, MapFunction *map,
                InflateFunction *inflate);
int mapped_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map,
                  BlockNode **file, MapFunction *function);
/* Gives the block at offset a place in the file, where it reads as before. [lock held] */
typedef int AllocateFunction(BlockNode *node, uint64_t offset);
int mapped_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector, unsigned flags,
                 MapFunction *map, AllocateFunction *allocate, CoroutineMutex *lock);
/* Rows of create_options that say how the file of an image is made. */
#define MAPPED_FILE_OPTIONS                                                                        \
    { "preallocation", "Preallocation mode of the file (allowed values: off, falloc, full)" },     \
        { "extent_size_hint",                                                                      \
          "How much of the file the host should allocate at once; 0: as it does" },                \
    {                                                                                              \
        "nocow", "Turn off copy-on-write (valid only on btrfs)"                                    \
    }
/* An empty file for a new image, open for writing; takes MAPPED_FILE_OPTIONS. options may be NULL. */
BlockNode *mapped_create_file(BlockGraph *graph, const char *filename, GHashTable *options,
                              GError **error);
void mapped_random_uuid(uint8_t *uuid);
/* Whether any data lies behind the end of the file; looks once. */
bool mapped_is_cut_off(BlockNode *node, MapFunction *map);
/* Reads `entries` table entries of 4 or 8 bytes into a new array of host words; limit in bytes. */
void *mapped_load_table(BlockNode *file, uint64_t offset, uint64_t entries, unsigned entry_size,
                        bool big_endian, uint64_t max_bytes, const char *name, GError **error);
/* For drivers' check: no data behind the end of the file, none in two places, all that is compressed can be read. */
int mapped_check(BlockNode *node, BlockCheck *check, MapFunction *map, InflateFunction *inflate);
/* Fails when the node is to be written. */
bool mapped_read_only(BlockNode *node, GError **error);

#endif
