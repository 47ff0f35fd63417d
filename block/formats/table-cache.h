/* SPDX-License-Identifier: MIT */
/* A write-back cache of the tables that map an image: L2 tables, refcount blocks. */
#ifndef BLOCK_FORMATS_TABLE_CACHE_H
#define BLOCK_FORMATS_TABLE_CACHE_H

#include "block/graph/debug-event.h"
#include "block/graph/node.h"

/*
 * Cache of pieces ("slices") of L2 tables or refcount blocks, keyed by their offset in the file.
 * Tables hold big-endian data as on disk.
 */
typedef struct TableCache TableCache;
typedef struct Table {
    uint64_t offset;
    uint8_t *data;
    unsigned pins;
    bool dirty, loading, failed;
    uint64_t last_use;
    CoroutineQueue waiters;
} Table;

/* file: the edge to where the tables are, which outlives the cache. */
TableCache *table_cache_new(const BlockChild *file, size_t slice_size, uint64_t max_bytes);
/* What blkdebug is told when a table is loaded and when some are written (EVENT_NONE: nothing). */
void table_cache_set_events(TableCache *cache, DebugEvent load, DebugEvent update);
void table_cache_free(TableCache *cache);
/* The table when it is in memory, else NULL. Not pinned: valid until the next yield. */
Table *table_cache_peek(TableCache *cache, uint64_t offset);
/* Loads and pins. */
int table_cache_get(TableCache *cache, uint64_t offset, Table **table);
void table_cache_put(TableCache *cache, Table *table);
void table_cache_dirty(TableCache *cache, Table *table);
bool table_cache_has_dirty(TableCache *cache);
/* True when a dirty table would have to be evicted for the next one. */
bool table_cache_is_full_of_dirt(TableCache *cache);
/* Forgets the tables of a range, dirty or not: it has been freed or rewritten. */
void table_cache_forget(TableCache *cache, uint64_t offset, uint64_t bytes);
/* Forgets everything. No table may be pinned. */
void table_cache_forget_all(TableCache *cache);
/* What the cache holds, and how often a table was found there and not. */
typedef struct {
    uint64_t max_bytes, bytes, hits, misses;
} TableCacheUse;
TableCacheUse table_cache_use(const TableCache *cache);
/* Every interval_s drops what has not been used since the last time. [coroutine] */
typedef struct TableCleaner TableCleaner;
TableCleaner *table_cleaner_start(TableCache *l2, TableCache *refcounts, uint64_t interval_s);
void table_cleaner_stop(TableCleaner *cleaner); /* may be NULL; before the caches are freed */
/* Copies of all dirty tables, which are clean afterwards. Free with table_snapshot_free. */
typedef struct TableSnapshot TableSnapshot;
TableSnapshot *table_cache_snapshot(TableCache *cache);
unsigned table_snapshot_count(TableSnapshot *snapshot);
int table_snapshot_write(TableSnapshot *snapshot);
/* After a failure: the tables are dirty again. */
void table_snapshot_restore(TableSnapshot *snapshot);
void table_snapshot_free(TableSnapshot *snapshot);

#endif
