/* SPDX-License-Identifier: MIT */
/* New files of the host, and their lengths. For any thread; may block. */
#ifndef BLOCK_PROTOCOLS_FILE_CREATE_H
#define BLOCK_PROTOCOLS_FILE_CREATE_H

#include "block/graph/node.h"

/*
 * Sets the length of fd, old_size bytes long now, to size bytes, and allocates what is new as prealloc says. path: for
 * messages. [coroutine]
 */
bool file_grow(int fd, uint64_t old_size, uint64_t size, Prealloc prealloc, const char *path,
               GError **error);

/* BlockDriver.create: takes file_create_options. A file that exists is emptied, unless someone uses it. */
bool file_create(BlockGraph *graph, const char *filename, GHashTable *options, GError **error);
extern const BlockOption file_create_options[];

#endif
