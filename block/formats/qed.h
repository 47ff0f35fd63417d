/* SPDX-License-Identifier: MIT */
/*
 * QED. Clusters are only ever taken behind the end of the file. While tables change, a bit in the header
 * says that they may name clusters that a power cut has kept out of the file; whoever opens such an
 * image for writing drops those entries first. Nothing that was flushed is among them.
 */
#ifndef BLOCK_FORMATS_QED_H
#define BLOCK_FORMATS_QED_H

#include "block/formats/table-cache.h"
#include "block/formats/mapped.h"

enum {
    QED_HEADER_SIZE = 64,
    QED_FEATURE_BACKING = 1,
    QED_FEATURE_CHECK = 2,
    QED_FEATURE_RAW_BACKING = 4,
    QED_FEATURES = 7,
    QED_NAME_MAX = 1023,
    /* Entries of tables that are no offsets. */
    QED_UNALLOCATED = 0,
    QED_ZERO = 1,
};

typedef struct {
    uint64_t size, cluster_size, table_clusters, table_entries, header_bytes, l1_offset, features;
    uint64_t file_end; /* where the next cluster goes */
    bool in_use;       /* QED_FEATURE_CHECK is ours */
    uint8_t header[QED_HEADER_SIZE];
    TableCache *cache; /* never dirty: tables are written through */
    CoroutineMutex lock;
} Qed;

/* qed.c */
int qed_map(BlockNode *node, uint64_t offset, MappedPiece *piece);
int qed_entry(Qed *q, uint64_t table_offset, uint64_t index, uint64_t *entry);
/* The largest disk that these tables can describe. */
uint64_t qed_max_size(uint64_t cluster_size, uint64_t table_clusters);

/* qed-write.c */
int qed_write_header(BlockNode *node);
/* A node that becomes writable: drops entries if need be. */
bool qed_prepare_writing(BlockNode *node, GError **error);
/* The tables are as the disk shall have them. */
int qed_end_writing(BlockNode *node);
int qed_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector, unsigned flags);
int qed_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags);
bool qed_truncate(BlockNode *node, uint64_t size, Prealloc prealloc, GError **error);
bool qed_set_backing(BlockNode *node, const char *filename, const char *format, GError **error);
int qed_check(BlockNode *node, BlockCheck *check);

/* qed-create.c */
extern const BlockOption qed_create_options[];
bool qed_create(BlockGraph *graph, const char *filename, GHashTable *options, GError **error);

#endif
