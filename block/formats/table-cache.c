/* SPDX-License-Identifier: MIT */
/* qcow2: cache of L2 and refcount table slices. */
#include "block/formats/table-cache.h"

#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct TableCache {
    const BlockChild *file; /* the node that it leads to may change */
    DebugEvent load, update;
    size_t slice_size;
    unsigned max_tables;
    GHashTable *tables; /* &table->offset -> Table */
    unsigned dirty_tables;
    uint64_t clock, cleaned; /* `clock` when it was cleaned last */
    uint64_t hits, misses;
    /*
     * Room for max_tables, of which the host gives memory as it is used: with malloc, aligned pieces would
     * take twice their size. More tables than that (all of them in use) come from malloc.
     */
    uint8_t *arena;
    uint32_t *free_slots;
    unsigned free_count, used_slots; /* slots from used_slots on have never been used */
};

struct TableSnapshot {
    TableCache *cache;
    unsigned count;
    Table **tables; /* pinned, by offset */
    uint8_t *data;
};

/* There when AddressSanitizer is: tables then come from malloc, for what it has around them. */
extern void __asan_init(void) __attribute__((weak));

static size_t arena_bytes(const TableCache *cache)
{
    return align_up(cache->max_tables * cache->slice_size, 4096);
}

static uint8_t *slot_take(TableCache *cache)
{
    void *data;
    unsigned slot;

    if (cache->arena && (cache->free_count || cache->used_slots < cache->max_tables)) {
        slot = cache->free_count ? cache->free_slots[--cache->free_count] : cache->used_slots++;
        return cache->arena + slot * cache->slice_size;
    }
    return posix_memalign(&data, MIN(cache->slice_size, 4096), cache->slice_size) ? NULL : data;
}

static void slot_give(TableCache *cache, uint8_t *data)
{
    if (cache->arena && data >= cache->arena && data < cache->arena + arena_bytes(cache)) {
        cache->free_slots[cache->free_count++] =
            (uint32_t)((size_t)(data - cache->arena) / cache->slice_size);
    } else {
        free(data);
    }
}

static void table_free(TableCache *cache, Table *table)
{
    slot_give(cache, table->data);
    g_free(table);
}

TableCache *table_cache_new(const BlockChild *file, size_t slice_size, uint64_t max_bytes)
{
    TableCache *cache = g_new0(TableCache, 1);
    void *arena = MAP_FAILED;

    cache->file = file;
    cache->slice_size = slice_size;
    cache->max_tables = (unsigned)MAX(max_bytes / slice_size, 8);
    cache->tables = g_hash_table_new(g_int64_hash, g_int64_equal);
    if (!__asan_init) {
        arena = mmap(NULL, arena_bytes(cache), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    cache->arena = arena == MAP_FAILED ? NULL : arena;
    cache->free_slots = g_new(uint32_t, cache->max_tables);
    return cache;
}

void table_cache_free(TableCache *cache)
{
    if (!cache) {
        return;
    }
    table_cache_forget_all(cache);
    g_hash_table_unref(cache->tables);
    if (cache->arena) {
        munmap(cache->arena, arena_bytes(cache));
    }
    g_free(cache->free_slots);
    g_free(cache);
}

Table *table_cache_peek(TableCache *cache, uint64_t offset)
{
    Table *table = g_hash_table_lookup(cache->tables, &offset);

    if (!table || table->loading) {
        return NULL;
    }
    table->last_use = ++cache->clock;
    cache->hits++;
    return table;
}

TableCacheUse table_cache_use(const TableCache *cache)
{
    return (TableCacheUse){ .max_bytes = cache->max_tables * (uint64_t)cache->slice_size,
                            .bytes = g_hash_table_size(cache->tables) * (uint64_t)cache->slice_size,
                            .hits = cache->hits,
                            .misses = cache->misses };
}

/* Drops the least recently used tables that are clean, an eighth at a time. */
static void table_cache_shrink(TableCache *cache)
{
    uint64_t limit = cache->clock;
    unsigned wanted = MAX(cache->max_tables / 8, 1), dropped = 0;
    GHashTableIter iter;
    gpointer value;

    /* Not exact: everything older than 7/8 of the recent uses goes first, then anything clean. */
    limit -= MIN(limit, (uint64_t)cache->max_tables * 7 / 8);
    for (int pass = 0; pass < 2 && dropped < wanted; pass++) {
        g_hash_table_iter_init(&iter, cache->tables);
        while (dropped < wanted && g_hash_table_iter_next(&iter, NULL, &value)) {
            Table *table = value;

            if (!table->pins && !table->dirty && !table->loading &&
                (pass || table->last_use <= limit)) {
                g_hash_table_iter_remove(&iter);
                table_free(cache, table);
                dropped++;
            }
        }
    }
}

void table_cache_set_events(TableCache *cache, DebugEvent load, DebugEvent update)
{
    cache->load = load;
    cache->update = update;
}

static void tell(TableCache *cache, DebugEvent event)
{
    if (event != EVENT_NONE) {
        node_debug_event(cache->file->node, event);
    }
}

int table_cache_get(TableCache *cache, uint64_t offset, Table **result)
{
    Table *table = g_hash_table_lookup(cache->tables, &offset);
    int status;

    if (table) {
        table->pins++;
        while (table->loading) {
            coroutine_queue_wait(&table->waiters);
        }
        if (table->failed) {
            if (--table->pins == 0) {
                table_free(cache, table);
            }
            return -EIO;
        }
        table->last_use = ++cache->clock;
        cache->hits++;
        *result = table;
        return 0;
    }
    cache->misses++;
    if (g_hash_table_size(cache->tables) >= cache->max_tables) {
        table_cache_shrink(cache);
    }
    table = g_new0(Table, 1);
    table->data = slot_take(cache);
    if (!table->data) {
        g_free(table);
        return -ENOMEM;
    }
    table->offset = offset;
    table->pins = 1;
    table->loading = true;
    coroutine_queue_init(&table->waiters);
    g_hash_table_insert(cache->tables, &table->offset, table);
    tell(cache, cache->load);
    status = node_pread(cache->file->node, offset, table->data, cache->slice_size);
    table->loading = false;
    coroutine_queue_wake_all(&table->waiters);
    if (status < 0) {
        table->failed = true; /* those who waited see it; the last one frees */
        g_hash_table_steal(cache->tables, &table->offset);
        if (--table->pins == 0) {
            table_free(cache, table);
        }
        return status;
    }
    table->last_use = ++cache->clock;
    *result = table;
    return 0;
}

void table_cache_put(TableCache *cache, Table *table)
{
    if (table) {
        g_assert(table->pins);
        table->pins--;
        if (!table->pins && table->failed) {
            table_free(cache, table);
        }
    }
}

void table_cache_dirty(TableCache *cache, Table *table)
{
    if (!table->dirty) {
        table->dirty = true;
        cache->dirty_tables++;
    }
}

bool table_cache_has_dirty(TableCache *cache)
{
    return cache->dirty_tables != 0;
}

bool table_cache_is_full_of_dirt(TableCache *cache)
{
    return cache->dirty_tables >= cache->max_tables / 2;
}

void table_cache_forget(TableCache *cache, uint64_t offset, uint64_t bytes)
{
    for (uint64_t at = offset; at < offset + bytes; at += cache->slice_size) {
        Table *table = g_hash_table_lookup(cache->tables, &at);

        if (!table) {
            continue;
        }
        if (table->dirty) {
            table->dirty = false;
            cache->dirty_tables--;
        }
        g_hash_table_steal(cache->tables, &at);
        if (table->pins) {
            table->failed = true; /* freed with the last pin */
        } else {
            table_free(cache, table);
        }
    }
}

static int table_compare(const void *a, const void *b)
{
    const Table *x = *(Table *const *)a, *y = *(Table *const *)b;

    return (x->offset > y->offset) - (x->offset < y->offset);
}

TableSnapshot *table_cache_snapshot(TableCache *cache)
{
    TableSnapshot *snapshot = g_new0(TableSnapshot, 1);
    GHashTableIter iter;
    gpointer value;

    snapshot->cache = cache;
    if (!cache->dirty_tables) {
        return snapshot;
    }
    snapshot->tables = g_new(Table *, cache->dirty_tables);
    snapshot->data = g_malloc(cache->dirty_tables * cache->slice_size);
    g_hash_table_iter_init(&iter, cache->tables);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Table *table = value;

        if (table->dirty) {
            table->dirty = false;
            table->pins++;
            snapshot->tables[snapshot->count++] = table;
        }
    }
    g_assert(snapshot->count == cache->dirty_tables);
    cache->dirty_tables = 0;
    qsort(snapshot->tables, snapshot->count, sizeof(Table *), table_compare);
    for (unsigned i = 0; i < snapshot->count; i++) {
        memcpy(snapshot->data + i * cache->slice_size, snapshot->tables[i]->data,
               cache->slice_size);
    }
    return snapshot;
}

void table_cache_forget_all(TableCache *cache)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, cache->tables);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        g_hash_table_iter_remove(&iter);
        table_free(cache, value);
    }
    cache->dirty_tables = 0;
}

unsigned table_snapshot_count(TableSnapshot *snapshot)
{
    return snapshot->count;
}

int table_snapshot_write(TableSnapshot *snapshot)
{
    size_t slice = snapshot->cache->slice_size;
    int result = 0;

    for (unsigned i = 0, n; i < snapshot->count && result == 0; i += n) {
        n = 1;
        if (snapshot->tables[i]->failed) {
            continue; /* forgotten: no longer ours to write */
        }
        /* Neighbours go out in one request. */
        while (i + n < snapshot->count && n < 256 && !snapshot->tables[i + n]->failed &&
               snapshot->tables[i + n]->offset == snapshot->tables[i]->offset + n * slice) {
            n++;
        }
        tell(snapshot->cache, snapshot->cache->update);
        result = node_pwrite(snapshot->cache->file->node, snapshot->tables[i]->offset,
                             snapshot->data + i * slice, n * slice, 0);
    }
    return result;
}

void table_snapshot_restore(TableSnapshot *snapshot)
{
    for (unsigned i = 0; i < snapshot->count; i++) {
        if (!snapshot->tables[i]->failed) {
            table_cache_dirty(snapshot->cache, snapshot->tables[i]);
        }
    }
}

void table_snapshot_free(TableSnapshot *snapshot)
{
    for (unsigned i = 0; i < snapshot->count; i++) {
        table_cache_put(snapshot->cache, snapshot->tables[i]);
    }
    g_free(snapshot->tables);
    g_free(snapshot->data);
    g_free(snapshot);
}

/* Cleaning. */

struct TableCleaner {
    TableCache *caches[2];
    uint64_t interval_s;
    bool stopped;
    CoroutineAlarm alarm;
};

static void table_cache_clean(TableCache *cache)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, cache->tables);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Table *table = value;

        if (!table->pins && !table->dirty && !table->loading && table->last_use <= cache->cleaned) {
            g_hash_table_iter_remove(&iter);
            if (cache->slice_size >= 4096 && cache->arena) {
                madvise(table->data, cache->slice_size, MADV_DONTNEED);
            }
            table_free(cache, table);
        }
    }
    if (!g_hash_table_size(cache->tables) && cache->arena) {
        madvise(cache->arena, arena_bytes(cache), MADV_DONTNEED); /* slices smaller than pages */
    }
    cache->cleaned = cache->clock;
}

static void cleaner_entry(void *opaque)
{
    TableCleaner *cleaner = opaque;

    while (!cleaner->stopped) {
        coroutine_alarm_sleep_ns(&cleaner->alarm, cleaner->interval_s * UINT64_C(1000000000));
        for (unsigned i = 0; i < G_N_ELEMENTS(cleaner->caches) && !cleaner->stopped; i++) {
            table_cache_clean(cleaner->caches[i]);
        }
    }
    g_free(cleaner);
}

TableCleaner *table_cleaner_start(TableCache *l2, TableCache *refcounts, uint64_t interval_s)
{
    TableCleaner *cleaner = g_new0(TableCleaner, 1);

    cleaner->caches[0] = l2;
    cleaner->caches[1] = refcounts;
    cleaner->interval_s = MIN(interval_s, UINT32_MAX);
    async_start(coroutine_context(), cleaner_entry, cleaner);
    return cleaner;
}

void table_cleaner_stop(TableCleaner *cleaner)
{
    if (cleaner) {
        cleaner->stopped = true;
        coroutine_alarm_ring(&cleaner->alarm);
    }
}
