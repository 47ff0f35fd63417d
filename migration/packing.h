/* SPDX-License-Identifier: MIT */
/*
 * The capability compress: what a section of pages holds goes through zlib's format. A section STREAM_PACKED has how many bytes there
 * were (4 bytes) and the zlib stream.
 */
#ifndef MIGRATION_PACKING_H
#define MIGRATION_PACKING_H

#include "migration/stream.h"

enum { PACKING_LEVEL_MOST = 9 };

typedef struct Packer Packer;

/* Sections go to writer, which the packer does not own. level: 0 (copied) to PACKING_LEVEL_MOST. */
Packer *packer_new(StreamWriter *writer, int level);
void packer_free(Packer *packer); /* NULL: nothing */
/* The content of a section of pages. A StreamSink's write; not for two threads at once. */
bool packer_send(void *packer, const void *data, size_t size, GError **error);

/* The content of a STREAM_PACKED section into plain, which is emptied before. */
bool packing_undo(const GByteArray *content, GByteArray *plain, GError **error);

#endif
