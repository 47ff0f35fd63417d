/* SPDX-License-Identifier: MIT */
/*
 * What devices and the monitor see of the block layer: a BlockBackend is a device's handle on the
 * root node of an image graph. Requests are asynchronous; completions run in the main loop (or in
 * the iothread that the backend was given) without the machine lock held by the block layer.
 *
 * Offsets and sizes are bytes. Results are 0 or a negative errno.
 */
#ifndef BLOCK_BLOCK_H
#define BLOCK_BLOCK_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct BlockBackend BlockBackend;
/* All named nodes and backends of one machine or tool, and the workers that serve them. */
typedef struct BlockGraph BlockGraph;

typedef void BlockCompletion(void *opaque, int result);

typedef enum {
    BLOCK_FUA = 1 << 0,       /* write: durable when complete */
    BLOCK_MAY_UNMAP = 1 << 1, /* write_zeroes: may deallocate */
} BlockFlags;

/* What to do on an error: `werror=` and `rerror=`. */
typedef enum {
    BLOCK_ERROR_REPORT,
    BLOCK_ERROR_IGNORE,
    BLOCK_ERROR_STOP,
    BLOCK_ERROR_ENOSPC
} BlockErrorPolicy;

/* context: where completions run; NULL is the default main context. */
BlockGraph *block_graph_new(GMainContext *context);
/* All backends must be closed; named nodes are closed here. */
void block_graph_free(BlockGraph *graph);
/*
 * The process ends: nothing waits any more for limits, for servers that are lost or do not answer; what is
 * written is written without delay. Takes no lock, and may be called again. [any thread]
 */
void block_graph_hasten(BlockGraph *graph);
/* Cancels all jobs, waits for their end, and delivers their events. Main loop's thread. */
void block_jobs_end(BlockGraph *graph);

/*
 * Images of a machine that comes from, or goes to, another process, which has them now: they are neither locked nor written. begin: for
 * those that are opened from now on. Activating reads anew what is known of them; on failure they stay as they were, and the error says
 * which one somebody else has. No request is in flight. Main loop's thread.
 */
void block_begin_inactive(BlockGraph *graph);
bool block_is_active(BlockGraph *graph);
bool block_activate(BlockGraph *graph, GError **error);
bool block_inactivate(BlockGraph *graph, GError **error);
/*
 * One node: active together with what is below it. Inactive: only when what is above is so, or is a device of a machine that stands (stopped).
 */
bool block_set_active(BlockGraph *graph, const char *node_name, bool active, bool stopped,
                      GError **error);
bool block_flush_all(BlockGraph *graph, GError **error);

/*
 * Opens an image as -drive/-blockdev options name it: keys are QEMU's (file, driver, format, cache,
 * aio, readonly/read-only, snapshot, discard, detect-zeroes, werror, rerror, id, node-name, …).
 * options: char * -> char *, nested ones flattened with dots ("file.filename"). Unknown keys fail. file= is
 * a file name (or the name of a node added by block_node_add). The table is not changed.
 */
BlockBackend *block_open(BlockGraph *graph, GHashTable *options, GError **error);
void block_close(BlockBackend *block);
/* A backend without an image, for a drive whose medium comes later; the caller closes it. id may be NULL. */
BlockBackend *block_open_empty(BlockGraph *graph, const char *id);
bool block_has_image(const BlockBackend *block);
/* Takes the image and the name: a device that has the backend goes on with failing requests. false: a job needs it. */
bool block_forget(BlockBackend *block, GError **error);
/*
 * Takes the image out, or puts the node of that name in, whether or not a device has claimed the backend. read_only:
 * the drive never writes. Main loop's thread.
 */
void block_take_out(BlockBackend *block);
bool block_put_in(BlockBackend *block, const char *node_name, bool read_only, GError **error);
/* The same with the image of another backend, which keeps it, too. */
bool block_put_in_of(BlockBackend *block, BlockBackend *source, bool read_only, GError **error);

/*
 * -object tls-creds-x509|tls-creds-psk,id=…,dir=…, -object secret,id=…,data=…|file=…[,format=raw|base64] and
 * -object authz-simple|authz-list|authz-list-file|authz-pam,id=…; the type is under "qom-type".
 */
bool block_secret_add(BlockGraph *graph, GHashTable *options, GError **error);
/* The passphrase with that id, or NULL. */
const char *block_secret(BlockGraph *graph, const char *id, GError **error);
/* Whether the authz-* object of that id lets somebody of a proved name in; the error says why not. */
bool block_authz_allows(BlockGraph *graph, const char *id, const char *identity, GError **error);
bool block_authz_exists(BlockGraph *graph, const char *id, GError **error);
/* Forgets a secret or credentials; images that have read them keep what they have. */
bool block_object_remove(BlockGraph *graph, const char *id, GError **error);
/*
 * The limits of a throttle group that is there, as JSON of QMP's ThrottleLimits, which the caller frees; json: after they
 * have been changed to these. NULL with an error.
 */
char *block_throttle_group_limits(BlockGraph *graph, const char *id, const char *json,
                                  GError **error);

/* -blockdev and blockdev-add: a node without a backend; "file" and other children may name nodes. */
bool block_node_add(BlockGraph *graph, GHashTable *options, GError **error);
bool block_node_exists(BlockGraph *graph, const char *node_name);
bool block_node_remove(BlockGraph *graph, const char *node_name, GError **error);
/*
 * For a device's drive= property: the backend with that id, or a new one on the node with that
 * name (the caller closes it either way). On a read-only node it is read-only, too: block_read_only tells.
 */
BlockBackend *block_attach(BlockGraph *graph, const char *id_or_node_name, bool read_only,
                           GError **error);
/*
 * A device begins to use the backend, which nobody is kept from before: from now on others must not write,
 * unless share_rw. user: the device's path, for messages. Fails where others write already.
 */
bool block_claim(BlockBackend *block, const char *user, bool share_rw, GError **error);
void block_disclaim(BlockBackend *block);
/* Off: each write is durable when it is complete. What the drive's cache= says unless a device sets it. */
bool block_write_cache(const BlockBackend *block);
void block_set_write_cache(BlockBackend *block, bool write_cache);
/* Whether its statistics count requests that cannot be, and the time of those that fail. */
void block_set_account_invalid(BlockBackend *block, bool account);
void block_set_account_failed(BlockBackend *block, bool account);
/* The next backend after `previous` (NULL: the first), or NULL. */
BlockBackend *block_next(BlockGraph *graph, BlockBackend *previous);

const char *block_id(const BlockBackend *block);
uint64_t block_size(BlockBackend *block);
/* Somebody hears, in the main loop, that a command has given the image another size. NULL ends it. */
void block_on_resize(BlockBackend *block, void (*resized)(void *opaque), void *opaque);
bool block_read_only(const BlockBackend *block);
/*
 * A command of kaso-io on the drive, or (NULL) the drive or node of that name. Returns what it prints, also when
 * it fails; the caller frees. NULL with an error: there is no such image.
 */
char *block_io_command(BlockGraph *graph, BlockBackend *drive, const char *name, const char *line,
                       GError **error);
/*
 * x-blockdev-set-iothread: whether a node may be used from another thread. Requests run where the device has
 * its thread, or in the main loop, whatever node they reach. force: also with a device.
 */
bool block_node_may_move(BlockGraph *graph, const char *node_name, bool force, GError **error);
/* Whether nobody said that the image is raw: some writes to its first sector are refused. */
bool block_guessed_raw(const BlockBackend *block);
BlockErrorPolicy block_error_policy(const BlockBackend *block, bool is_write);
/* Why a device has stopped the machine, for query-block: an errno; 0: it has not. */
void block_set_io_status(BlockBackend *block, int error);
const char *block_io_status(const BlockBackend *block); /* ok, failed or nospace */
/* "" without an image. */
const char *block_node_name(const BlockBackend *block);
uint32_t block_logical_sector(const BlockBackend *block); /* 512 or 4096 */

/* iov and its buffers must stay valid until completion. [any thread; completion in the main context] */
void block_read(BlockBackend *block, uint64_t offset, const struct iovec *iov, unsigned count,
                BlockCompletion *done, void *opaque);
void block_write(BlockBackend *block, uint64_t offset, const struct iovec *iov, unsigned count,
                 BlockFlags flags, BlockCompletion *done, void *opaque);
void block_flush(BlockBackend *block, BlockCompletion *done, void *opaque);
void block_write_zeroes(BlockBackend *block, uint64_t offset, uint64_t size, BlockFlags flags,
                        BlockCompletion *done, void *opaque);
void block_discard(BlockBackend *block, uint64_t offset, uint64_t size, BlockCompletion *done,
                   void *opaque);
/* Requests between plug and unplug may reach the host together. Nests; unplug soon. */
void block_plug(BlockBackend *block);
void block_unplug(BlockBackend *block);
/*
 * Completes, on the calling thread, requests of this backend that have already ended (a read that the
 * host's page cache answered, say), instead of leaving them to the main context.
 */
void block_deliver(BlockBackend *block);
/*
 * Completions run in context's thread from now on, many at a time between enter and leave, which take
 * and give up the lock that the receivers need; NULL: in the main context. No request is in flight.
 * Fails, and nothing has changed, when the host has no descriptor; never with NULL.
 */
bool block_set_context(BlockBackend *block, GMainContext *context, void (*enter)(void *opaque),
                       void (*leave)(void *opaque), void *opaque, GError **error);
/* Between these a drain waits: requests that the caller has taken are about to be submitted. */
void block_hold(BlockBackend *block);
void block_release(BlockBackend *block);
/*
 * Waits until all requests are complete, running completions. Limits let them pass; those that wait for a server
 * which is lost fail. Main loop's thread.
 */
void block_drain(BlockBackend *block);
/* The same for a machine that will go on: requests that wait for a lost server are left waiting. */
void block_settle(BlockBackend *block);

/* Letters, digits, '-', '.', '_', a letter first: names of drives, nodes and jobs. */
bool block_name_is_good(const char *name);

/*
 * Jobs, by the names and arguments of QMP: block-stream, block-commit, drive-mirror,
 * blockdev-mirror, drive-backup, blockdev-backup. arguments: char * -> char *, nested ones dotted.
 */
bool block_job_start(BlockGraph *graph, const char *command, GHashTable *arguments, GError **error);
/* blockdev-create: job-id, options.driver, options.file (a node) or options.filename, options.size … */
bool block_job_create(BlockGraph *graph, GHashTable *arguments, GError **error);
/* x-blockdev-amend: job-id, node-name, options.driver, options of its keys, force. */
bool block_job_amend(BlockGraph *graph, GHashTable *arguments, GError **error);
/* blockdev-reopen: a JSON list of objects with the options of nodes, which change together. */
bool block_reopen(BlockGraph *graph, const char *list, GError **error);
/* action: cancel, force-cancel, pause, resume, complete, finalize, dismiss, set-speed (value). */
bool block_job_control(BlockGraph *graph, const char *id, const char *action, uint64_t value,
                       GError **error);
/* Is there a job of this name, one on a disk (a block job) unless any_kind? */
bool block_has_job(BlockGraph *graph, const char *id, bool any_kind);
/* The jobs of a named drive that goes with its device are cancelled; they end by themselves. */
void block_jobs_leave(BlockBackend *block);
/* The answer of query-block-jobs, or of query-jobs (any_kind), as JSON; the caller frees. */
char *block_query_jobs(BlockGraph *graph, bool any_kind);
/* Called in the main context with the event's name and its data as a JSON object. */
typedef void BlockEventHandler(void *opaque, const char *event, const char *data);
void block_set_event_handler(BlockGraph *graph, BlockEventHandler *handler, void *opaque);
/* Calls it at once for what has happened so far. Main loop's thread. */
void block_tell_events(BlockGraph *graph);

/*
 * Called before a file is opened because an image names it, not the user: the backing file of a chain,
 * an external data file, an extent. format: NULL when it will be guessed.
 */
typedef void BlockNamedFileHandler(void *opaque, const char *image, const char *what,
                                   const char *path, const char *format);
void block_set_named_file_handler(BlockGraph *graph, BlockNamedFileHandler *handler, void *opaque);
/* A handler that tells the person at standard error, if it is a terminal; opaque: who speaks. */
void block_show_named_file(void *opaque, const char *image, const char *what, const char *path,
                           const char *format);

/* A JSON object as arguments or options: nested names dotted, on and off for booleans. */
GHashTable *block_options_from_json(const char *json, GError **error);

/* blockdev-snapshot-sync: device or node-name, snapshot-file, format, snapshot-node-name, mode. */
/* The event BLOCK_WRITE_THRESHOLD when a write to a node ends beyond an offset, once; 0: no more. */
bool block_set_write_threshold(BlockGraph *graph, const char *name, uint64_t threshold,
                               GError **error);
bool block_snapshot_external(BlockGraph *graph, GHashTable *arguments, GError **error);
/* blockdev-snapshot: node, overlay. */
bool block_snapshot_node(BlockGraph *graph, GHashTable *arguments, GError **error);
/* transaction: a JSON list of objects with type and data, all of which are done, or none. grouped: jobs end together. */
bool block_transaction(BlockGraph *graph, const char *actions, bool grouped, uint64_t vm_clock_ns,
                       GError **error);
/* change-backing-file: image-node-name, backing-file: what the header says, not what is open. */
bool block_change_backing_file(BlockGraph *graph, GHashTable *arguments, GError **error);
/* x-blockdev-change: parent, and child (which goes) or node (which comes). */
bool block_change_child(BlockGraph *graph, GHashTable *arguments, GError **error);
/* block_resize of a drive's id or a node's name. */
bool block_resize(BlockGraph *graph, const char *name, uint64_t size, GError **error);
/* Internal snapshots, without the machine's state. device: a drive's id or a node's name. */
bool block_snapshot_create(BlockGraph *graph, const char *device, const char *name,
                           uint64_t vm_clock_ns, GError **error);
bool block_snapshot_apply(BlockGraph *graph, const char *device, const char *id_or_name,
                          GError **error);
/* id or name may be NULL. What it was, as QMP's SnapshotInfo; the caller frees. NULL: failed. */
char *block_snapshot_delete(BlockGraph *graph, const char *device, const char *id, const char *name,
                            GError **error);
/* All of a drive's image goes into its backing file. device NULL: all drives that have one. */
bool block_commit_drive(BlockGraph *graph, const char *device, GError **error);
/* action: add remove clear enable disable merge; arguments: granularity, source, persistent. */
bool block_bitmap(BlockGraph *graph, const char *name, const char *action, const char *bitmap,
                  GHashTable *arguments, GError **error);

/*
 * NBD exports. nbd-server-start: addr.type (inet or unix), addr.data.host, .port or .path, tls-creds,
 * max-connections. block-export-add: type (nbd), id, node-name, name, description, writable, bitmaps.N,
 * allocation-depth. nbd-server-add: device, name, description, writable, bitmap.
 */
bool block_nbd_start(BlockGraph *graph, GHashTable *arguments, GError **error);
bool block_nbd_stop(BlockGraph *graph, GError **error);
bool block_export_add(BlockGraph *graph, GHashTable *arguments, GError **error);
bool block_nbd_add(BlockGraph *graph, GHashTable *arguments, GError **error);
/* hard: also when clients are connected. */
bool block_export_remove(BlockGraph *graph, const char *id, bool hard, GError **error);
char *block_query_exports(BlockGraph *graph); /* JSON; the caller frees */

/* Synchronous forms for flash, loaders and tools. */
int block_pread(BlockBackend *block, uint64_t offset, void *buffer, uint64_t size);
int block_pwrite(BlockBackend *block, uint64_t offset, const void *buffer, uint64_t size);
int block_flush_sync(BlockBackend *block);

/* Cumulative counters for `info blockstats`. */
typedef struct {
    uint64_t read_bytes, write_bytes, read_operations, write_operations, flush_operations;
    uint64_t failed_reads, failed_writes;
} BlockStatistics;
void block_statistics(BlockBackend *block, BlockStatistics *statistics);
typedef enum {
    BLOCK_ACCOUNT_READ,
    BLOCK_ACCOUNT_WRITE,
    BLOCK_ACCOUNT_FLUSH,
    BLOCK_ACCOUNT_UNMAP,
    BLOCK_ACCOUNT_ZONE_APPEND,
    BLOCK_ACCOUNT_KINDS
} BlockAccountKind;
/* For devices: the guest asked for what cannot be done (outside of the disk, say). */
void block_count_invalid(BlockBackend *block, BlockAccountKind kind);

/* Answers of QMP as JSON text; the caller frees. */
char *block_query(BlockBackend *block);            /* "inserted" of query-block; NULL: no medium */
char *block_query_statistics(BlockBackend *block); /* an element of query-blockstats */
char *block_query_node_statistics(BlockGraph *graph); /* query-blockstats with query-nodes */
char *block_query_named_nodes(BlockGraph *graph);     /* query-named-block-nodes */
/* The names of nodes that live by a connection to a server (char *); the caller unrefs. */
GPtrArray *block_yank_names(BlockGraph *graph);
/* Cuts the connection of such a node off for good; false: there is no such node. */
bool block_yank(BlockGraph *graph, const char *node_name);
char *block_query_graph(BlockGraph *graph);           /* x-debug-query-block-graph */
/* block-latency-histogram-set: arguments is its JSON object; name is for messages. */
bool block_set_histograms(BlockBackend *block, const char *name, const char *arguments,
                          GError **error);
/* block_set_io_throttle: bps, iops_rd_max, …, group; others are not looked at. */
bool block_set_throttle(BlockBackend *block, GHashTable *arguments, GError **error);
/* The names of formats and protocols, sorted, each with a space before it; the caller frees. */
char *block_format_names(void);
/* Calls fn with each option that a driver takes beside those that all take, one driver after another. */
void block_each_option(void (*fn)(void *opaque, const char *driver, const char *option),
                       void *opaque);
/* "file (driver raw, read-only)" lines for `info block`; caller frees. */
char *block_describe(BlockBackend *block);
const char *block_filename(BlockBackend *block);
const char *block_driver_name(BlockBackend *block);

#endif
