/* SPDX-License-Identifier: MIT */
/*
 * qcow2, versions 2 and 3. Names of fields are those of the format's specification. How writes are
 * ordered, and why a power cut leaves nothing worse than leaked clusters: docs/design/block.md.
 *
 * Everything runs in coroutines of one context. "[lock]" functions need Qcow2.lock.
 */
#ifndef BLOCK_QCOW2_QCOW2_H
#define BLOCK_QCOW2_QCOW2_H

#include "block/formats/cluster-compression.h"
#include "block/formats/table-cache.h"
#include "block/graph/debug-event.h"
#include "block/graph/node.h"

#define QCOW2_MAGIC            0x514649fbu /* "QFI\xfb" */
#define QCOW2_COPIED           (UINT64_C(1) << 63)
#define QCOW2_COMPRESSED       (UINT64_C(1) << 62)
#define QCOW2_ZERO             UINT64_C(1)
#define QCOW2_OFFSET_MASK      UINT64_C(0x00fffffffffffe00)
#define QCOW2_REFTABLE_MASK    UINT64_C(0xfffffffffffffe00)
#define QCOW2_BITMAP_ALL_ALLOC UINT64_C(0x00000000ffffffff)
#define QCOW2_BITMAP_ALL_ZERO  UINT64_C(0xffffffff00000000)

enum {
    QCOW2_INCOMPAT_DIRTY = 1 << 0,
    QCOW2_INCOMPAT_CORRUPT = 1 << 1,
    QCOW2_INCOMPAT_DATA_FILE = 1 << 2,
    QCOW2_INCOMPAT_COMPRESSION = 1 << 3,
    QCOW2_INCOMPAT_EXTL2 = 1 << 4,
    QCOW2_INCOMPAT_KNOWN = (1 << 5) - 1,
    QCOW2_COMPAT_LAZY_REFCOUNTS = 1 << 0,
    QCOW2_AUTOCLEAR_BITMAPS = 1 << 0,
    QCOW2_AUTOCLEAR_DATA_FILE_RAW = 1 << 1,
    QCOW2_AUTOCLEAR_KNOWN = (1 << 2) - 1,
};

enum {
    QCOW2_EXT_END = 0,
    QCOW2_EXT_BACKING_FORMAT = 0xe2792aca,
    QCOW2_EXT_FEATURE_TABLE = 0x6803f857,
    QCOW2_EXT_BITMAPS = 0x23852875,
    QCOW2_EXT_CRYPTO = 0x0537be77,
    QCOW2_EXT_DATA_FILE = 0x44415441,
};

enum {
    QCOW2_MIN_CLUSTER_BITS = 9,
    QCOW2_MAX_CLUSTER_BITS = CLUSTER_CODEC_MAX_BITS,
    QCOW2_V2_HEADER_LENGTH = 72,
    QCOW2_V3_HEADER_LENGTH = 104,
    QCOW2_MAX_L1_BYTES = 32 * 1024 * 1024,
    QCOW2_MAX_REFTABLE_BYTES = 8 * 1024 * 1024,
    QCOW2_MAX_SNAPSHOTS = 65536,
    QCOW2_MAX_SNAPSHOT_BYTES = 16 * 1024 * 1024,
    QCOW2_MAX_BITMAPS = 65535,
    QCOW2_SLICE_BYTES = 4096,
    QCOW2_COMPRESS_BYTES = 512 * 1024,
};

enum { QCOW2_CRYPT_NONE = 0, QCOW2_CRYPT_AES = 1, QCOW2_CRYPT_LUKS = 2 };

typedef struct Qcow2 Qcow2;
typedef struct Qcow2Crypt Qcow2Crypt;

typedef struct {
    uint64_t offset; /* of the cluster in the file, or the byte offset of compressed data */
    uint64_t bytes;
} PendingFree;

typedef struct {
    BlockSnapshot info;
    uint64_t l1_table_offset;
    uint32_t l1_size;
    uint8_t *unknown_extra;
    uint32_t unknown_extra_size;
} Qcow2Snapshot;

typedef struct {
    uint32_t type, length;
    uint8_t *data;
} Qcow2Extension;

typedef struct {
    uint64_t directory_offset, directory_size;
    uint32_t count;
} Qcow2BitmapHeader;

/* Guest clusters that are being given host clusters. */
typedef struct {
    GList link;
    uint64_t start, end; /* guest, cluster-aligned */
    CoroutineQueue waiters;
} Qcow2Allocation;

struct Qcow2 {
    BlockNode *node;
    unsigned version, cluster_bits, refcount_order, header_length;
    uint32_t cluster_size;
    unsigned l2_bits; /* log2 of entries per L2 table */
    unsigned l2_entry_size, subclusters, subcluster_bits;
    unsigned refblock_bits; /* log2 of refcounts per block */
    uint64_t incompatible, compatible, autoclear;
    uint32_t crypt_method;
    uint8_t compression_type;
    uint64_t size;

    uint64_t *l1; /* host byte order */
    uint32_t l1_size;
    uint32_t l1_vm_state_index;
    uint64_t l1_offset;
    uint8_t *l1_dirty; /* a byte per 512-byte sector of the table */
    bool l1_any_dirty;

    uint64_t *reftable;
    uint32_t reftable_entries; /* a whole number of clusters */
    uint64_t reftable_offset;

    TableCache *l2_cache, *refblock_cache;
    size_t l2_slice_bytes, refblock_slice_bytes;
    TableCleaner *cleaner;    /* NULL: tables stay in memory */
    uint64_t free_hint;       /* cluster index: nothing is free below */
    uint64_t compressed_next; /* where the next compressed cluster may begin, 0: anywhere */
    GArray *pending;          /* PendingFree: to be freed when the L2 tables are durable */
    uint64_t pending_clusters;
    GArray *ready;     /* PendingFree: durable; the next holder of `lock` frees them */
    uint64_t file_end; /* end of the highest cluster that was allocated */
    /*
     * Clusters from the end that the file had when it was opened up to the lowest one behind that has
     * been allocated since: what refers to them refers to data that is not there.
     */
    uint64_t lost_from, lost_to;
    GHashTable
        *metadata; /* cluster index: L2 tables, refcount blocks, fixed tables; NULL: unknown */
    GQueue allocations;
    CoroutineMutex lock, sync_lock;
    GQueue codecs; /* ClusterCodec, free ones */

    Qcow2Snapshot *snapshots;
    unsigned snapshot_count;
    uint64_t snapshots_offset, snapshots_bytes;

    Qcow2BitmapHeader bitmaps;
    bool bitmaps_in_use;  /* marked so on disk */
    bool bitmaps_changed; /* added, removed, enabled …: to be stored */
    GSList *extensions;   /* unknown Qcow2Extension, in file order */
    char *data_file_name;
    BlockChild *data_file; /* node->file unless external */
    bool data_file_raw;
    Qcow2Crypt *crypt;
    uint64_t crypt_header_offset, crypt_header_length;

    bool preallocation_known, preallocated;
    bool lazy_refcounts;
    bool in_use_dirty; /* the dirty bit is ours */
    bool broken;       /* corruption was found: no more writes */
    bool told_corrupt; /* BLOCK_IMAGE_CORRUPTED has been sent */
    /* A write of the header or the refcount table failed: which one the disk holds is not known. */
    bool unsettled;
    bool discard_passthrough[3]; /* request, snapshot, other */
    bool checks_inactive_l2;     /* tables that only snapshots have are metadata as well */
};

static inline Qcow2 *qcow2_of(BlockNode *node)
{
    return node->state;
}

static inline bool qcow2_has_data_file(const Qcow2 *q)
{
    return (q->incompatible & QCOW2_INCOMPAT_DATA_FILE) != 0;
}

static inline uint64_t qcow2_cluster_start(const Qcow2 *q, uint64_t offset)
{
    return offset & ~(uint64_t)(q->cluster_size - 1);
}

static inline uint64_t qcow2_clusters(const Qcow2 *q, uint64_t bytes)
{
    return (bytes + q->cluster_size - 1) >> q->cluster_bits;
}

/* qcow2.c */
/* The tables that the header and the snapshots name have clusters of their own. */
bool qcow2_check_overlaps(Qcow2 *q, GError **error);
int qcow2_write_header(Qcow2 *q);
/* Also makes it durable. Callers that go back to the old fields on failure may free what is new. */
int qcow2_commit_header(Qcow2 *q);
/*
 * 0, or why no metadata may change: the image is broken, or the disk holds an unknown header and
 * does not take ours. [lock]
 */
int qcow2_may_write(Qcow2 *q);
/* Marks the image corrupt (unless read-only) and logs. Returns -EIO. */
int qcow2_corrupt(Qcow2 *q, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool qcow2_set_backing(BlockNode *node, const char *filename, const char *format, GError **error);
int qcow2_set_dirty(Qcow2 *q, bool dirty);
/*
 * Makes all metadata durable, in order. With or without `lock`: whoever holds sync_lock never
 * waits for `lock`.
 */
int qcow2_sync(Qcow2 *q);
/* Nothing is left in the caches; the counts are right, and the image is not dirty. */
int qcow2_store_tables(Qcow2 *q);
/* What a user chooses (settings.c): when opening, and by blockdev-reopen. */
bool qcow2_take_options(Qcow2 *q, GHashTable *options, GError **error);
extern const char *const qcow2_reopen_names[];
bool qcow2_reopen_options(BlockNode *node, GHashTable *options, GError **error);
/* Collects metadata clusters if that has not been done. [lock] */
int qcow2_know_metadata(Qcow2 *q);
void qcow2_metadata_add(Qcow2 *q, uint64_t offset, uint64_t bytes);
void qcow2_metadata_remove(Qcow2 *q, uint64_t offset, uint64_t bytes);
bool qcow2_is_metadata(Qcow2 *q, uint64_t offset, uint64_t bytes);
int qcow2_read_table(Qcow2 *q, uint64_t offset, uint64_t *table, uint64_t entries);
int qcow2_write_table(Qcow2 *q, uint64_t offset, const uint64_t *table, uint64_t entries);
bool qcow2_check_table(Qcow2 *q, uint64_t offset, uint64_t entries, size_t entry_size,
                       uint64_t max_bytes, const char *name, GError **error);

/* cut-off.c */
/* The clusters of [offset, offset + bytes) of the file are in use from now on. */
void qcow2_taken(Qcow2 *q, uint64_t offset, uint64_t bytes);
/* Whether data at `host` that belongs at `guest` was cut off with the end of the file; warns. */
bool qcow2_is_lost(Qcow2 *q, uint64_t guest, uint64_t host, uint64_t bytes);
/* Whether the L1 table or one of the L2 tables lies there; warns. */
void qcow2_look_for_end(Qcow2 *q);
bool qcow2_check_refcount_blocks(Qcow2 *q, GError **error);

/* refcount.c */
int qcow2_get_refcount(Qcow2 *q, uint64_t cluster, uint64_t *refcount); /* [lock] */
/* Adds delta to the refcounts of the clusters of [offset, offset + bytes). [lock] */
int qcow2_update_refcount(Qcow2 *q, uint64_t offset, uint64_t bytes, int delta);
/* Repairs a count that is larger. [lock] */
int qcow2_lower_refcount(Qcow2 *q, uint64_t cluster, uint64_t value);
/* Contiguous clusters with refcount 1; returns the offset or a negative errno. [lock] */
int64_t qcow2_alloc(Qcow2 *q, uint64_t bytes);
/* As many clusters as are free from offset on; returns how many of max, or a negative errno. [lock] */
int64_t qcow2_alloc_at(Qcow2 *q, uint64_t offset, uint64_t max);
/* Space for compressed data; byte-granular. [lock] */
int64_t qcow2_alloc_bytes(Qcow2 *q, uint64_t bytes);
/* Frees what nothing on disk has referred to. [lock] */
void qcow2_free_now(Qcow2 *q, uint64_t offset, uint64_t bytes);
/* Frees when the metadata that referred to it has been replaced on disk. [lock] */
void qcow2_free_later(Qcow2 *q, uint64_t offset, uint64_t bytes);
/* Frees what is ready. [lock] */
int qcow2_apply_ready(Qcow2 *q);
uint64_t qcow2_refcount_load(const Qcow2 *q, const uint8_t *block, uint64_t index);
void qcow2_refcount_store(const Qcow2 *q, uint8_t *block, uint64_t index, uint64_t value);
uint64_t qcow2_refcount_max(const Qcow2 *q);
int qcow2_grow_reftable(Qcow2 *q, uint64_t cluster); /* [lock] */

/* l2.c */
typedef enum {
    SUBCLUSTER_UNALLOCATED,
    SUBCLUSTER_UNALLOCATED_ALLOC, /* the cluster has a host cluster, this part is not in it */
    SUBCLUSTER_ZERO,
    SUBCLUSTER_ZERO_ALLOC,
    SUBCLUSTER_NORMAL,
    SUBCLUSTER_COMPRESSED,
    SUBCLUSTER_INVALID,
} Subcluster;

typedef struct {
    uint64_t entry, bitmap;
} L2Entry;

L2Entry qcow2_l2_load(const Qcow2 *q, const uint8_t *slice, unsigned index);
void qcow2_l2_store(const Qcow2 *q, uint8_t *slice, unsigned index, L2Entry entry);
Subcluster qcow2_subcluster(const Qcow2 *q, L2Entry entry, unsigned index);
bool qcow2_entry_has_host(const Qcow2 *q, L2Entry entry);
static inline unsigned qcow2_l2_slice_entries(const Qcow2 *q)
{
    return (unsigned)(q->l2_slice_bytes / q->l2_entry_size);
}
/* Pins the slice for a guest offset; *table is NULL when there is no L2 table. */
int qcow2_l2_get(Qcow2 *q, uint64_t offset, Table **table, unsigned *index);
/* As above, making a table of our own if needed. [lock] */
int qcow2_l2_get_writable(Qcow2 *q, uint64_t offset, Table **table, unsigned *index);
/*
 * What is at offset, and for how long (up to bytes) it goes on, contiguous in the file. *host is
 * the L2 entry of a compressed cluster. *ours: may be written in place.
 */
int qcow2_map(Qcow2 *q, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *host,
              Subcluster *type, bool *ours);
int qcow2_grow_l1(Qcow2 *q, uint64_t min_size, bool exact); /* [lock] */
void qcow2_l1_set(Qcow2 *q, uint32_t index, uint64_t entry);
/* Where a compressed cluster's data lies. */
void qcow2_compressed_range(const Qcow2 *q, uint64_t entry, uint64_t *offset, uint64_t *bytes);
/* Gives up what an L2 entry refers to. [lock] */
void qcow2_free_entry(Qcow2 *q, uint64_t entry);

/* cluster.c */
int qcow2_write_alloc(Qcow2 *q, uint64_t offset, uint64_t bytes, IoVector vector, uint64_t *done);
int qcow2_zero_clusters(Qcow2 *q, uint64_t offset, uint64_t bytes, bool unmap);
int qcow2_discard_clusters(Qcow2 *q, uint64_t offset, uint64_t bytes, bool full);
/* Waits for allocations in the range. [lock] Returns true when it has waited. */
bool qcow2_wait_allocations(Qcow2 *q, uint64_t start, uint64_t end);

/* io.c */
/* Data to the data file, encrypted if need be. */
int qcow2_write_host(Qcow2 *q, uint64_t guest, uint64_t host, uint64_t bytes, IoVector vector,
                     unsigned flags);
int qcow2_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector);
int qcow2_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector, unsigned flags);
/* Before the first write of any kind: bits of the header that it must change, what it must not hit. */
int qcow2_prepare_writing(Qcow2 *q);
int qcow2_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags);
int qcow2_discard(BlockNode *node, uint64_t offset, uint64_t bytes);
int qcow2_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map,
                 BlockNode **file);
int qcow2_vm_state_peek(BlockNode *node, const char *id, uint64_t offset, uint64_t bytes,
                        IoVector vector);
int qcow2_vm_state_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector);
int qcow2_vm_state_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector);
int qcow2_vm_state_drop(BlockNode *node);
uint64_t qcow2_vm_state_offset(const Qcow2 *q);

/* codec.c */
/* How many clusters one call of a worker compresses. */
static inline unsigned qcow2_compressed_batch(const Qcow2 *q)
{
    return MAX(QCOW2_COMPRESS_BYTES >> q->cluster_bits, 1);
}
/* One that is free, or a new one. */
ClusterCodec *qcow2_codec_take(Qcow2 *q);
void qcow2_codec_put(Qcow2 *q, ClusterCodec *codec);

/* write-compressed.c; what vector points to must not change meanwhile */
int qcow2_write_compressed(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector);

/* snapshot.c */
bool qcow2_read_snapshots(Qcow2 *q, GError **error);
void qcow2_free_snapshots(Qcow2 *q);
bool qcow2_snapshot_create(BlockNode *node, BlockSnapshot *snapshot, GError **error);
bool qcow2_snapshot_apply(BlockNode *node, const char *id, GError **error);
bool qcow2_snapshot_delete(BlockNode *node, const char *id, GError **error);
bool qcow2_snapshot_load(BlockNode *node, const char *id, GError **error);
GPtrArray *qcow2_snapshot_list(BlockNode *node);
/*
 * Around what changes counts and COPIED flags all over the image: with the dirty bit set, and the
 * lock held in between, which end gives up. result: what happened meanwhile.
 */
bool qcow2_recount_begin(BlockNode *node, GError **error);
bool qcow2_recount_end(BlockNode *node, int result, const char *what, GError **error);
/* Adds delta to the refcounts of everything an L1 table refers to; 0 only repairs COPIED. [lock] */
int qcow2_update_l1_refcounts(Qcow2 *q, uint64_t l1_offset, uint32_t l1_size, int delta);

/* bitmap.c */
bool qcow2_load_bitmaps(Qcow2 *q, GError **error);
void qcow2_free_bitmaps(Qcow2 *q);
/* Before the first write. */
int qcow2_mark_bitmaps_in_use(Qcow2 *q);
int qcow2_store_bitmaps(Qcow2 *q);
bool qcow2_bitmap_action(BlockNode *node, const char *action, const char *name,
                         GHashTable *arguments, GError **error);
json_t *qcow2_bitmaps_info(Qcow2 *q);

/* check.c */
int qcow2_check(BlockNode *node, BlockCheck *check);

/* downgrade.c */
/* Whether version 2 could hold the image, as far as the header tells. */
bool qcow2_check_downgrade(Qcow2 *q, GError **error);
/* No table refers to clusters of zeroes any more. */
bool qcow2_prepare_downgrade(BlockNode *node, void (*progress)(void *, double), void *opaque,
                             GError **error);

/* create.c */
extern const BlockOption qcow2_create_options[], qcow2_amend_options[];
unsigned qcow2_lacks(GHashTable *create_options);
bool qcow2_create(BlockGraph *graph, const char *filename, GHashTable *options, GError **error);
bool qcow2_truncate(BlockNode *node, uint64_t size, Prealloc prealloc, GError **error);
bool qcow2_amend(BlockNode *node, GHashTable *options, bool force, void (*progress)(void *, double),
                 void *opaque, GError **error);
bool qcow2_measure(BlockGraph *graph, GHashTable *options, BlockNode *source, uint64_t *required,
                   uint64_t *fully, uint64_t *bitmaps, GError **error);

#endif
