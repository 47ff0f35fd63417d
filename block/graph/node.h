/* SPDX-License-Identifier: MIT */
/*
 * The image graph: nodes, the drivers behind them, and the edges (children) with roles and
 * permissions. Everything here is called in coroutines of the graph's context.
 *
 * Results are 0 or a negative errno; lengths and offsets are bytes.
 */
#ifndef BLOCK_GRAPH_NODE_H
#define BLOCK_GRAPH_NODE_H

#include "base/registry.h"
#include "block/async/async.h"
#include "block/block.h"
#include "block/graph/options.h"

#include <jansson.h>

typedef struct BlockNode BlockNode;
typedef struct BlockChild BlockChild;
typedef struct BlockDriver BlockDriver;

/* The part of a scatter-gather list that begins `skip` bytes after iov[0].iov_base. */
typedef struct {
    const struct iovec *iov;
    unsigned count;
    uint64_t skip;
} IoVector;

/* What a user of a node does, and what it lets the other users do. Bit numbers are those of the
 * byte ranges in an image's locks. */
typedef enum {
    BLOCK_PERM_CONSISTENT_READ = 1 << 0,
    BLOCK_PERM_WRITE = 1 << 1,
    BLOCK_PERM_WRITE_UNCHANGED = 1 << 2, /* writes that do not change what is read */
    BLOCK_PERM_RESIZE = 1 << 3,
    BLOCK_PERM_ALL = (1 << 4) - 1,
} BlockPerm;

typedef enum {
    BLOCK_ROLE_DATA = 1 << 0,
    BLOCK_ROLE_METADATA = 1 << 1,
    BLOCK_ROLE_FILTERED = 1 << 2,
    BLOCK_ROLE_COW = 1 << 3,
    BLOCK_ROLE_PRIMARY = 1 << 4,
    BLOCK_ROLE_IMAGE = BLOCK_ROLE_DATA | BLOCK_ROLE_METADATA | BLOCK_ROLE_PRIMARY,
    BLOCK_ROLE_STORAGE = BLOCK_ROLE_DATA | BLOCK_ROLE_PRIMARY,
} BlockRole;

typedef enum { BLOCK_AIO_AUTO, BLOCK_AIO_THREADS, BLOCK_AIO_IO_URING, BLOCK_AIO_NATIVE } BlockAio;

typedef enum { DETECT_ZEROES_OFF, DETECT_ZEROES_ON, DETECT_ZEROES_UNMAP } DetectZeroes;

/* Inherited from node to child while opening. */
typedef struct {
    bool read_only;
    bool auto_read_only; /* fall back to read-only when writing is not allowed */
    bool cache_direct;
    bool cache_no_flush;
    bool unmap;       /* discard reaches this node's storage */
    bool force_share; /* tolerate writers in other processes; read-only */
    bool inactive;    /* becomes active later, read-only nodes aside (activate.c) */
    bool no_backing;
    bool no_io;    /* only look at metadata */
    bool check;    /* opened for check: repair nothing while opening */
    bool protocol; /* below a format: a filter's file is not probed */
    BlockAio aio;
    unsigned depth;           /* of backing files */
    const BlockNode *overlay; /* while opening: the image that names this one its backing file */
} BlockOpenFlags;

struct BlockChild {
    char *name;
    BlockRole role;
    BlockNode *parent; /* NULL: a backend or a job, see `owner` */
    char *owner;       /* for messages when there is no parent: "block device 'd0'" */
    BlockNode *node;
    unsigned perm, shared;
    GList in_parent, in_node; /* links; data points to this child */
};

/* Allocation of a range, as block status queries return it. */
typedef enum {
    BLOCK_STATUS_DATA = 1 << 0, /* reads come from this node or a child other than backing */
    BLOCK_STATUS_ZERO = 1 << 1, /* reads as zeroes */
    BLOCK_STATUS_OFFSET_VALID = 1 << 2, /* *map is the offset in *file */
    BLOCK_STATUS_ALLOCATED = 1 << 3,    /* contents are determined by this layer */
    BLOCK_STATUS_RECURSE = 1 << 4,      /* ask *file at *map for more */
    BLOCK_STATUS_COMPRESSED = 1 << 5,
    BLOCK_STATUS_EOF = 1 << 6,
} BlockStatus;

typedef enum { PREALLOC_OFF, PREALLOC_METADATA, PREALLOC_FALLOC, PREALLOC_FULL } Prealloc;
extern const char *const prealloc_names[]; /* ends with NULL */

/* Internal write flags beyond BlockFlags. */
enum {
    BLOCK_WRITE_UNCHANGED = 1 << 8, /* the content is what is read there already */
    BLOCK_WRITE_COMPRESSED = 1 << 9,
    BLOCK_NO_FALLBACK = 1 << 10, /* write_zeroes: fail rather than write zeroes */
    BLOCK_SERIALISE = 1 << 11,   /* no overlapping write may run meanwhile */
};

typedef struct {
    uint64_t cluster_size;
    uint64_t vm_state_offset;
    bool is_dirty, encrypted;
    bool needs_compressed_writes;
    bool unallocated_reads_zero;
} BlockNodeInfo;

typedef struct {
    char *id, *name;
    uint64_t vm_state_size, disk_size;
    int64_t date_s;
    uint32_t date_ns;
    uint64_t vm_clock_ns;
    uint64_t icount; /* UINT64_MAX: not recorded */
} BlockSnapshot;

/* What check found; fix_* of the request say what to repair. */
typedef struct {
    bool fix_leaks, fix_errors;
    uint64_t corruptions, leaks, check_errors;
    uint64_t corruptions_fixed, leaks_fixed;
    uint64_t image_end_offset;
    uint64_t total_clusters, allocated_clusters, fragmented_clusters, compressed_clusters;
    bool has_fragments;
    void (*message)(void *opaque, const char *text);
    void *opaque;
} BlockCheck;

/*
 * A driver. Callbacks run in a coroutine. `vector` always holds at least `bytes`; offsets and
 * lengths are aligned to the node's request_alignment.
 */
/* What images are asked for before they are made. */
enum { BLOCK_FEATURE_COMPRESSION = 1 << 0, BLOCK_FEATURE_BITMAPS = 1 << 1 };

struct BlockDriver {
    const char *name;
    const char *summary;
    const BlockOption *options;        /* of open; ends with a NULL name */
    const BlockOption *create_options; /* NULL: cannot create */
    const BlockOption *amend_options;
    size_t instance_size;
    bool is_protocol;  /* has no "file" child, is opened by filename */
    bool is_filter;    /* has a filtered child "file" and passes permissions through */
    bool opens_images; /* a filter whose file is an image even where the filter is below a format */
    const char *child_option; /* what users call that child, or NULL: "file" */
    bool has_backing;
    bool grows_with_zeroes;      /* what lies behind the end reads as zeroes once written past */
    bool no_file_child;          /* neither: the driver opens its children itself */
    bool is_internal;            /* lists for users leave it out */
    const char *const *prefixes; /* "nbd:" …: file names that belong to this protocol */

    /* 0 to 100: how sure it is that the image is of this format. */
    int (*probe)(const uint8_t *buffer, size_t size, const char *filename);
    /* Protocols: moves "filename" into the driver's own options. NULL keeps "filename". */
    bool (*parse_filename)(const char *filename, GHashTable *options, GError **error);
    /* A point of debug-event.h has been reached by whoever uses the node. Optional. */
    void (*debug_event)(BlockNode *node, unsigned event);
    /* What debug-event.h says of breakpoints: 0, 1 for yes, or -errno. Optional. */
    int (*debug_break)(BlockNode *node, unsigned action, const char *tag, unsigned event);
    bool (*open)(BlockNode *node, GHashTable *options, GError **error);
    void (*close)(BlockNode *node);
    /* After the node's read_only has changed to `read_only`. Optional. */
    bool (*reopen)(BlockNode *node, bool read_only, GError **error);
    /*
     * blockdev-reopen with other values of the options in reopen_names (those that end with '.' are prefixes): options
     * has what is given of them, the rest has its defaults again. What is unknown is left. On failure nothing has changed.
     */
    const char *const *reopen_names;
    bool (*reopen_options)(BlockNode *node, GHashTable *options, GError **error);
    /* Cumulative permissions of the node's users. Optional. */
    bool (*set_perm)(BlockNode *node, unsigned perm, unsigned shared, GError **error);
    void (*child_perm)(BlockNode *node, BlockChild *child, unsigned perm, unsigned shared,
                       unsigned *child_perm, unsigned *child_shared);

    int (*read)(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector);
    int (*write)(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector, unsigned flags);
    /* bytes 0 ends the stream of compressed clusters. */
    int (*write_compressed)(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector);
    int (*write_zeroes)(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags);
    int (*discard)(BlockNode *node, uint64_t offset, uint64_t bytes);
    int (*flush)(BlockNode *node);
    int64_t (*length)(BlockNode *node);
    int64_t (*allocated_size)(BlockNode *node);
    bool (*truncate)(BlockNode *node, uint64_t size, Prealloc prealloc, GError **error);
    /* Returns BlockStatus bits; *count is at most bytes and at least 1. */
    int (*status)(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map,
                  BlockNode **file);

    bool (*create)(BlockGraph *graph, const char *filename, GHashTable *options, GError **error);
    /* force: also what the driver refuses because it destroys data. */
    bool (*amend)(BlockNode *node, GHashTable *options, bool force,
                  void (*progress)(void *, double), void *opaque, GError **error);
    int (*info)(BlockNode *node, BlockNodeInfo *info);
    json_t *(*specific_info)(BlockNode *node);           /* {"type":…, "data":{…}} */
    void (*statistics)(BlockNode *node, json_t *object); /* driver-specific ones */
    int (*check)(BlockNode *node, BlockCheck *check);
    int (*make_empty)(BlockNode *node); /* drops all data of this layer */
    /* Requests have come into a hurry (coroutine_hurry): wakes those that wait. Must not wait itself. */
    void (*hurry)(BlockNode *node);
    /* Cuts the connection off for good: what waits for its other end fails. Must not wait. NULL: there is none. */
    void (*yank)(BlockNode *node);
    bool (*set_backing)(BlockNode *node, const char *filename, const char *format, GError **error);
    /* Features of those that there are operations for, but not in an image made with the options. NULL: all are. */
    unsigned (*lacks)(GHashTable *create_options);
    /* *required / *fully: bytes of host storage; source may be NULL. */
    bool (*measure)(BlockGraph *graph, GHashTable *options, BlockNode *source, uint64_t *required,
                    uint64_t *fully, uint64_t *bitmaps, GError **error);

    bool (*snapshot_create)(BlockNode *node, BlockSnapshot *snapshot, GError **error);
    bool (*snapshot_apply)(BlockNode *node, const char *id, GError **error);
    bool (*snapshot_delete)(BlockNode *node, const char *id, GError **error);
    /* Elements: BlockSnapshot *, freed with block_snapshot_free. */
    GPtrArray *(*snapshot_list)(BlockNode *node);
    /* Reads go to the snapshot from now on. */
    bool (*snapshot_load)(BlockNode *node, const char *id, GError **error);
    int (*vm_state_read)(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector);
    /* Of a snapshot that was not applied, with no requests in flight. */
    int (*vm_state_peek)(BlockNode *node, const char *id, uint64_t offset, uint64_t bytes,
                         IoVector vector);
    int (*vm_state_write)(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector);
    /* Gives up what vm_state_write has written, or an applied snapshot has left; snapshots keep theirs. */
    int (*vm_state_drop)(BlockNode *node);
    /* x-blockdev-change, in the quiesced graph. Optional. */
    bool (*add_child)(BlockNode *node, BlockNode *added, GError **error);
    bool (*remove_child)(BlockNode *node, BlockChild *child, GError **error);
    /* action: add remove clear enable disable merge. */
    bool (*bitmap_action)(BlockNode *node, const char *action, const char *name,
                          GHashTable *arguments, GError **error);
};
REGISTRY_DECLARE(block_drivers, BlockDriver);
#define BLOCK_DRIVER(driver) REGISTRY_ADD(block_drivers, driver)

const BlockDriver *block_driver_find(const char *name);
/* Options that amend has not taken: an error that says whether creation would know them. */
bool block_check_amend_leftover(const BlockDriver *driver, GHashTable *options, GError **error);

struct BlockNode {
    BlockGraph *graph;
    const BlockDriver *driver;
    char *node_name; /* generated ones begin with '#' */
    char *filename;  /* as the user or the image names it; "" when it has none */
    BlockOpenFlags flags;
    bool read_only;
    bool
        inactive; /* another process may have the image now: no locks, nothing is written (activate.c) */
    bool probed;        /* the format was guessed */
    bool cut_off;       /* its tables name data behind the end of its file (node_missing) */
    bool end_checked;   /* all of them have been looked at for that */
    bool monitor_owned; /* block_node_add holds a reference */
    unsigned references;
    GHashTable *explicit_options; /* what the user gave, for json: names */

    BlockChild *file, *backing;
    GQueue children; /* BlockChild, in_parent links */
    GQueue parents;  /* BlockChild, in_node links */
    unsigned perm, shared;

    uint32_t request_alignment; /* of offset and length; a power of two */
    uint64_t max_transfer;      /* 0: no limit */
    uint64_t size;              /* length() at open and after each resize: node_length */
    bool supports_fua;
    DetectZeroes detect_zeroes;

    /* As the image's header names it; NULL when there is none. */
    char *backing_filename, *backing_format;

    uint64_t write_generation, flushed_generation;
    uint64_t highest_write;   /* the end of the write that reached farthest */
    uint64_t write_threshold; /* a write that ends beyond it is told of, once; 0: none is */
    CoroutineMutex flush_lock;
    GQueue tracked; /* TrackedRequest in flight */
    unsigned serialising;
    GSList *write_notifiers; /* NodeWriteNotifier; NULL: one that was removed while some are told */
    unsigned notifying;
    GSList *dirty_bitmaps; /* DirtyBitmap */
    GSList *holds;         /* of blockers.c */

    void *state; /* driver->instance_size bytes */
};

/* Called before a write of any kind reaches the driver (dirty bitmaps, backup jobs). */
typedef struct {
    int (*before)(void *opaque, uint64_t offset, uint64_t bytes);
    void (*after)(void *opaque, uint64_t offset, uint64_t bytes);
    void *opaque;
} NodeWriteNotifier;

/* Graph. */
AsyncContext *block_graph_context(BlockGraph *graph);
/* Images that are opened become inactive nodes. */
bool block_graph_inactive(const BlockGraph *graph);
void block_graph_set_inactive(BlockGraph *graph, bool inactive);
/* Requests may block the calling thread: tools, where nobody else needs it. */
void block_graph_set_blocking(BlockGraph *graph, bool blocking);
bool block_graph_blocking(BlockGraph *graph);
GHashTable *block_graph_secrets(BlockGraph *graph); /* id -> GBytes, of objects.c */
GHashTable *block_graph_tls(BlockGraph *graph);
GHashTable *block_graph_authz(BlockGraph *graph); /* id -> Authz */
typedef struct BlockExports BlockExports;
BlockExports **block_graph_exports(BlockGraph *graph);      /* of export.c */
GHashTable *block_graph_throttle_groups(BlockGraph *graph); /* name -> ThrottleGroup */
/* Takes data, which has a zero behind its `size` bytes. */
void block_secret_set(BlockGraph *graph, const char *id, char *data, size_t size);
typedef struct BlockJob BlockJob;
GList *block_graph_jobs(BlockGraph *graph); /* oldest first; the graph's own list */
/* cancel: what ends a job when the graph is freed; the same for all. [lock held] */
void block_graph_add_job(BlockGraph *graph, BlockJob *job, void (*cancel)(BlockJob *job));
void block_graph_remove_job(BlockGraph *graph, BlockJob *job);
/* The root node of the drive with that id, or the node with that name; NULL with an error. */
/* A write of any kind has ended at an offset. */
void node_note_write_end(BlockNode *node, uint64_t end);
BlockNode *block_find_node(BlockGraph *graph, const char *name, GError **error);
/* No request of a backend is inside a node between these. [coroutine] */
void block_graph_quiesce(BlockGraph *graph);
/* Somebody waits for all requests in the graph: limits of nodes let pass. */
bool block_graph_wants_quiet(BlockGraph *graph);
/* How many requests wait for a server that is lost: change it while one does. [lock held] */
void block_graph_add_stalled(BlockGraph *graph, int change);
unsigned block_graph_stalled(BlockGraph *graph);
/* Some coroutines are in a hurry now: tells the drivers. [lock held] */
void block_graph_hurry(BlockGraph *graph);
void block_graph_resume(BlockGraph *graph);
/* Around what a backend does in nodes. */
void block_graph_enter(BlockGraph *graph);
void block_graph_leave(BlockGraph *graph);
/* data is consumed. */
void block_emit(BlockGraph *graph, const char *event, json_t *data);
BlockNode *node_find(BlockGraph *graph, const char *node_name);
GList *block_graph_nodes(BlockGraph *graph); /* BlockNode; the graph's own list */
void block_graph_add_backend(BlockGraph *graph, BlockBackend *block);
void block_graph_remove_backend(BlockGraph *graph, BlockBackend *block);
GList *block_graph_backends(BlockGraph *graph);

/*
 * Opens a tree of nodes; options are consumed. filename: may be NULL, may be json:{…} or name a
 * protocol. The result has one reference, which node_unref drops.
 */
BlockNode *node_open(BlockGraph *graph, const char *filename, GHashTable *options,
                     BlockOpenFlags flags, GError **error);
void node_ref(BlockNode *node);
void node_unref(BlockNode *node);
/* Opens "name" (a node's name), "name.*" or filename as a child of node. */
BlockChild *node_open_child(BlockNode *node, const char *name, BlockRole role, const char *filename,
                            GHashTable *options, BlockOpenFlags flags, GError **error);
/* The same of a child that is bytes, whatever they look like: by NAME.filename it is a protocol, and no format is looked for. */
BlockChild *node_open_bytes(BlockNode *node, const char *name, BlockRole role, const char *filename,
                            GHashTable *options, GError **error);
/* Adds an edge to an open node and takes over the caller's reference, also on failure. */
BlockChild *node_attach_child(BlockNode *parent, BlockNode *node, const char *name, BlockRole role,
                              GError **error);
/* An edge from a backend, job or tool; owner is for messages. [takes a reference of its own] */
BlockChild *node_attach_user(BlockNode *node, const char *owner, unsigned perm, unsigned shared,
                             GError **error);
bool child_set_perm(BlockChild *child, unsigned perm, unsigned shared, GError **error);
void child_detach(BlockChild *child);
/*
 * The parent uses `to` instead of the node that it has had there. Below a format it has the same content:
 * the driver does not look at it again (node_change_file does).
 */
bool child_replace(BlockChild *child, BlockNode *to, GError **error);
/* Whether `to` is `from` or below it. */
bool node_reaches(const BlockNode *from, const BlockNode *to);
bool node_refresh_perms(BlockNode *node, GError **error);
/* Replaces or removes (NULL) the backing node. Takes a reference of its own. */
bool node_set_backing(BlockNode *node, BlockNode *backing, GError **error);
/* Makes users of `from`, except `except`, use `to`. */
bool node_replace(BlockNode *from, BlockNode *to, BlockNode *except, GError **error);
bool node_set_read_only(BlockNode *node, bool read_only, GError **error);
/* The image of that node is about to have this file opened (BlockNamedFileHandler). */
void node_announce_file(BlockNode *node, const char *what, const char *path, const char *format);
/* The name a backing file has for opening: relative ones start at the image's folder. */
char *node_backing_path(BlockNode *node, GError **error);
char *block_combine_path(const char *base, const char *name, GError **error);
/* What the header of `image` must call node by, from whatever folder it is opened. The caller frees. */
char *node_name_for_header(const BlockNode *node, const char *image);
/* Whether both names lead to one file of the host. */
bool block_is_same_file(const char *a, const char *b);
/* True when the name begins with a protocol ("nbd:", "json:" …). */
bool block_path_has_protocol(const char *path);
/* The file name to show: "x.qcow2" or json:{…}. The caller frees. */
char *node_display_name(BlockNode *node);
const BlockDriver *block_probe(const uint8_t *buffer, size_t size, const char *filename);
/* The protocol that opens filename, by prefix or by what it is on the host. */
const BlockDriver *block_protocol_for(const char *filename, GError **error);
/* A new image, or one in the old one's place. Where it fails it leaves no file that was not there before. */
bool block_create_image(BlockGraph *graph, const BlockDriver *driver, const char *filename,
                        GHashTable *options, GError **error);
/* Opens what the header names, of a node that was opened without. */
bool node_open_backing(BlockNode *node, GError **error);
/* The first node below that is no filter (itself included). */
BlockNode *node_skip_filters(BlockNode *node);
/* The node that reads fall through to: backing, or the filtered child. NULL: none. */
BlockNode *node_below(BlockNode *node);
/* A layer that reads through this node, maybe by way of filters, or NULL. */
BlockNode *node_overlay(const BlockNode *node);
/* The format of the image, whatever filters are above it. */
const char *node_format(const BlockNode *node);

/* I/O with fix-up of alignment and serialisation. */
int node_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector);
int node_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector, unsigned flags);
int node_write_compressed(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector);
int node_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags);
int node_discard(BlockNode *node, uint64_t offset, uint64_t bytes);
int node_flush(BlockNode *node);
bool node_truncate(BlockNode *node, uint64_t size, Prealloc prealloc, GError **error);
/* At least that size, also when writes in flight make it longer meanwhile. */
bool node_grow(BlockNode *node, uint64_t size, Prealloc prealloc, GError **error);
/* The disk that users see: whole sectors of 512. What is behind node_length in the last one is zero. */
uint64_t node_size(BlockNode *node);
/* The bytes that are there: for those who keep tables in a file. */
uint64_t node_length(BlockNode *node);
/*
 * The tables of node say that what belongs at `offset` of it starts at `host` of `file`. When the file
 * ends before that, all of it is missing: returns true, and warns the first time.
 */
bool node_missing(BlockNode *node, uint64_t offset, BlockNode *file, uint64_t host);
/* As many of the bytes at host as the file has: the rest of them was cut off. */
uint64_t node_bytes_left(BlockNode *file, uint64_t host, uint64_t bytes);
/* As above where the driver knows where the file has ended; the warning alone. */
void node_cut_off(BlockNode *node, uint64_t offset, BlockNode *file, uint64_t host, uint64_t end);
/* Whether that has been noticed of any layer of a chain. */
bool node_chain_is_cut_off(BlockNode *node);
/* Looks again how long a file is that another process may write. */
void node_look_at_length(BlockNode *node);
int64_t node_allocated_size(BlockNode *node);
/*
 * One layer: what this node itself says, resolved through its storage. BLOCK_STATUS_ZERO without
 * BLOCK_STATUS_ALLOCATED: not in this layer, and nothing below gives it content.
 */
int node_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map,
                BlockNode **file);
/*
 * The whole chain down to, not including, base (NULL: all of it). *depth: the layer, 0 is node.
 * A range that no layer determines is BLOCK_STATUS_ZERO without BLOCK_STATUS_ALLOCATED.
 */
int node_status_above(BlockNode *node, BlockNode *base, uint64_t offset, uint64_t bytes,
                      uint64_t *count, uint64_t *map, BlockNode **file, unsigned *depth);
/* 1: allocated in a layer above base for *count bytes; 0: not. */
int node_allocated_above(BlockNode *node, BlockNode *base, uint64_t offset, uint64_t bytes,
                         uint64_t *count);
void node_add_write_notifier(BlockNode *node, NodeWriteNotifier *notifier);
void node_remove_write_notifier(BlockNode *node, NodeWriteNotifier *notifier);

/* A write in flight, or a request that must be alone on its range. */
typedef struct {
    GList link;
    uint64_t offset, bytes;
    bool serialising;
    CoroutineQueue waiters;
} TrackedRequest;
/*
 * Waits for the writes of the range that are in flight and keeps new requests out. The holder
 * works on nodes below; a request to the same node would wait for itself.
 */
void node_range_lock(BlockNode *node, TrackedRequest *request, uint64_t offset, uint64_t bytes);
void node_range_unlock(BlockNode *node, TrackedRequest *request);

/* Plain buffers. */
int node_pread(BlockNode *node, uint64_t offset, void *buffer, uint64_t bytes);
int node_pwrite(BlockNode *node, uint64_t offset, const void *buffer, uint64_t bytes,
                unsigned flags);

/* Vectors. */
static inline IoVector io_vector_of(const struct iovec *iov)
{
    return (IoVector){ iov, 1, 0 };
}
IoVector io_vector_skip(IoVector vector, uint64_t bytes);
void io_vector_to_buffer(IoVector vector, void *buffer, uint64_t bytes);
void io_vector_from_buffer(IoVector vector, const void *buffer, uint64_t bytes);
void io_vector_zero(IoVector vector, uint64_t bytes);
bool io_vector_is_zero(IoVector vector, uint64_t bytes);
/* Writes an iovec array of exactly `bytes` to out (room for max); returns its length, 0: too small. */
unsigned io_vector_trim(IoVector vector, uint64_t bytes, struct iovec *out, unsigned max);
bool buffer_is_zero(const void *buffer, size_t size);

void block_snapshot_free(gpointer snapshot);
/*
 * The node's first internal snapshot with the id and the name of those that are given (not NULL). A copy for
 * block_snapshot_free; NULL with an error: there is none.
 */
BlockSnapshot *node_find_snapshot(BlockNode *node, const char *id, const char *name,
                                  GError **error);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BlockSnapshot, block_snapshot_free)
/* The one whose id that is, or else whose name. */
BlockSnapshot *node_find_snapshot_either(BlockNode *node, const char *id_or_name, GError **error);
json_t *block_snapshot_to_json(const BlockSnapshot *snapshot);
/* BlockLimitsInfo of QMP. */
json_t *node_limits_to_json(BlockNode *node);
/* ImageInfo of QMP. [coroutine] */
json_t *node_info_to_json(BlockNode *node, bool with_children);

/* Backends, for tools and jobs that need the graph below. */
BlockNode *block_node(BlockBackend *block);
/* Whether that is the edge by which a device has its image. */
bool block_is_devices(const BlockBackend *block, const BlockChild *child);
/* The graph is active: what a device has let others do until then, it does no more. Where somebody still does it, it stays so. */
void block_claim_settle(BlockBackend *block);
BlockBackend *block_new(BlockNode *node, const char *id, unsigned perm, unsigned shared,
                        GError **error);

#endif
