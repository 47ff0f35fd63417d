/* SPDX-License-Identifier: MIT */
/* Block jobs: starting them by QMP's names and arguments. */
#include "block/graph/open.h"
#include "block/jobs/job.h"

#include "base/bits.h"
#include "base/error.h"
#include "block/backend.h"
#include "block/jobs/filter.h"
#include "block/jobs/operations.h"

#include <string.h>

enum { CHUNK = 1024 * 1024, CHUNK_MIN = 65536, GRANULARITY_MAX = 64 * 1024 * 1024 };

/* What is said of a copy, before its target is there. */
typedef struct {
    uint64_t granularity, buffer; /* of a mirror */
    uint64_t max_chunk;           /* of a backup; 0: as is best */
    DirtyBitmap *bitmap;
} CopyOptions;

static bool take_sync(GHashTable *arguments, JobSync fallback, JobSync *sync, GError **error)
{
    static const char *const names[] = { "full", "top", "none", "incremental", "bitmap", NULL };
    int value = fallback;

    if (!options_take_enum(arguments, "sync", names, &value, error)) {
        return false;
    }
    *sync = value;
    return true;
}

/* Whether a user means `node`, seen from `above`: by its names, or as a header calls a file from there. */
static bool is_meant(const BlockNode *node, const BlockNode *above, const char *name)
{
    g_autofree char *path = NULL;

    if (!strcmp(node->node_name, name) || !strcmp(node->filename, name)) {
        return true;
    }
    path = node->filename[0] && above->filename[0] ? block_combine_path(above->filename, name, NULL)
                                                   : NULL;
    return path && block_is_same_file(path, node->filename);
}

static BlockNode *find_in_chain(BlockNode *top, const char *name, GError **error)
{
    const BlockNode *above = top;

    for (BlockNode *node = node_below(top); node; node = node_below(node)) {
        if (is_meant(node, above, name)) {
            return node;
        }
        above = node->filename[0] ? node : above;
    }
    error_fail(error, KASO_ERROR_NOT_FOUND, "'%s' is not in the backing chain of '%s'", name,
               top->node_name);
    return NULL;
}

/* "base" or "base-node"; NULL without error: none was named. */
static bool take_base(BlockJob *job, GHashTable *arguments, BlockNode **base, GError **error)
{
    g_autofree char *file = options_take(arguments, "base");
    g_autofree char *node = options_take(arguments, "base-node");
    const char *name = node ? node : file;

    *base = name ? find_in_chain(job->source, name, error) : NULL;
    return !name || *base;
}

static bool attach(BlockJob *job, BlockNode *node, unsigned perm, unsigned shared,
                   BlockChild **user, GError **error)
{
    g_autofree char *owner = g_strdup_printf("%s job '%s'", job->type, job->id);

    *user = node_attach_user(node, owner, perm, shared, error);
    return *user != NULL;
}

/* Takes hold of the layers from top down to, not including, base; NULL: all. */
static bool hold_chain(BlockJob *job, NodeOperation operation, NodeHold hold, BlockNode *top,
                       const BlockNode *base, GError **error)
{
    for (BlockNode *node = top; node && node != base; node = node_below(node)) {
        if (!node_alone_may(node, operation, error)) {
            return false;
        }
    }
    for (BlockNode *node = top; node && node != base; node = node_below(node)) {
        node_hold(node, hold, job, job->type);
    }
    return true;
}

/* The same for a node alone; what it filters is held with it. */
static bool hold_node(BlockJob *job, NodeOperation operation, NodeHold hold, BlockNode *node,
                      GError **error)
{
    if (!node_may(node, operation, error)) {
        return false;
    }
    node_hold(node, hold, job, job->type);
    for (; node->driver->is_filter && node->file; node = node->file->node) {
        node_hold(node->file->node, hold, job, job->type);
    }
    return true;
}

static bool make_writable(BlockJob *job, BlockNode *node, GError **error)
{
    if (!node->read_only) {
        return true;
    }
    job->made_writable = node;
    node_ref(node);
    return node_set_read_only(node, false, error);
}

static bool make_bitmap(BlockJob *job, uint64_t granularity, GError **error)
{
    g_autofree char *name = g_strdup_printf("#job-%s", job->id);

    job->dirty = dirty_bitmap_new(job->source, name, granularity, error);
    return job->dirty != NULL;
}

/* Both sides' policies by the names of the two arguments, which may be one. */
static bool take_policies(BlockJob *job, GHashTable *arguments, const char *source,
                          const char *target, GError **error)
{
    static const char *const names[] = { "report", "ignore", "enospc", "stop", "auto", NULL };
    int on_source = ON_ERROR_REPORT, on_target;

    if (!options_take_enum(arguments, source, names, &on_source, error)) {
        return false;
    }
    on_target = source == target ? on_source : ON_ERROR_REPORT;
    if (source != target && !options_take_enum(arguments, target, names, &on_target, error)) {
        return false;
    }
    job->on_source_error = (JobOnError)on_source;
    job->on_target_error = (JobOnError)on_target;
    return true;
}

static bool take_policy(BlockJob *job, GHashTable *arguments, GError **error)
{
    static const char name[] = "on-error";

    return take_policies(job, arguments, name, name, error);
}

/* "bottom": the last layer that is copied from. */
static bool take_bottom(BlockJob *job, GHashTable *arguments, BlockNode **base, GError **error)
{
    g_autofree char *name = options_take(arguments, "bottom");
    BlockNode *bottom = name ? find_in_chain(job->source, name, error) : NULL;

    *base = bottom ? node_below(bottom) : *base;
    return !name || bottom;
}

/* What is copied out of the layers below must stay as it is, whoever has opened them for writing. */
static bool attach_layers(BlockJob *job, const BlockNode *base, GError **error)
{
    for (BlockNode *node = node_below(job->source); node && node != base; node = node_below(node)) {
        BlockChild *user;

        if (!attach(job, node, BLOCK_PERM_CONSISTENT_READ,
                    BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE_UNCHANGED, &user, error)) {
            return false;
        }
        job_add_user(job, user);
    }
    return true;
}

static bool start_stream(BlockJob *job, GHashTable *arguments, GError **error)
{
    BlockNode *base;

    if (!take_base(job, arguments, &base, error) || !take_bottom(job, arguments, &base, error) ||
        !take_policy(job, arguments, error)) {
        return false;
    }
    if (job->backing_file && !base) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "'backing-file' names a backing image, but all layers are streamed: "
                          "none is left (leave it out, or give 'base')");
    }
    job->type = "stream";
    job->run = job_run_stream;
    job->finish = job_finish_stream;
    job->base = base;
    if (base) {
        node_ref(base);
    }
    return hold_chain(job, OPERATION_STREAM, HOLD_STREAM, job->source, base, error) &&
           make_writable(job, job->source, error) &&
           attach(job, job->source, BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE_UNCHANGED,
                  BLOCK_PERM_ALL & ~BLOCK_PERM_RESIZE, &job->source_user, error) &&
           attach_layers(job, base, error);
}

/* The image below all others, for a commit without base. */
static BlockNode *deepest_below(BlockNode *top)
{
    BlockNode *node = node_skip_filters(top), *below;

    while ((below = node_below(node))) {
        node = node_skip_filters(below);
    }
    return node;
}

/* An inner layer: its overlays get the base below them. */
static bool start_inner_commit(BlockJob *job, BlockNode *top, BlockNode *overlay, GError **error)
{
    job->run = job_run_commit;
    job->finish = job_finish_commit;
    job->overlay = overlay;
    node_ref(overlay);
    node_ref(top);
    node_unref(job->source);
    job->source = top;
    job->length = job->total = node_size(top);
    if (!node_alone_may(overlay, OPERATION_CHANGE_CHILD, error)) {
        return false;
    }
    node_hold(overlay, HOLD_COMMIT_OVERLAY, job, job->type);
    return true;
}

/* What the top layer has, the guest goes on to write: a mirror to the base. */
static void start_active_commit(BlockJob *job, BlockNode *base)
{
    job->run = job_run_mirror;
    job->finish = job_finish_mirror;
    job->sync = SYNC_TOP;
    job->target = base;
    node_ref(base);
}

static bool attach_commit(BlockJob *job, BlockNode *top, BlockNode *base, GError **error)
{
    unsigned shared = BLOCK_PERM_ALL & ~BLOCK_PERM_RESIZE;

    return hold_chain(job, OPERATION_COMMIT, HOLD_COMMIT, top, base, error) &&
           hold_node(job, OPERATION_COMMIT, HOLD_COMMIT, base, error) &&
           make_writable(job, base, error) &&
           (node_size(base) >= node_size(top) ||
            node_truncate(base, node_size(top), PREALLOC_OFF, error)) &&
           attach(job, base, BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE_UNCHANGED, shared,
                  &job->target_user, error) &&
           attach(job, job->source, BLOCK_PERM_CONSISTENT_READ, shared, &job->source_user, error);
}

static bool start_commit(BlockJob *job, GHashTable *arguments, GError **error)
{
    g_autofree char *top_file = options_take(arguments, "top");
    g_autofree char *top_node = options_take(arguments, "top-node");
    const char *top_name = top_node ? top_node : top_file;
    BlockNode *active = job->source, *top = active, *base, *overlay;

    if (top_name && !is_meant(active, active, top_name)) {
        top = find_in_chain(active, top_name, error);
    }
    if (!top || !take_base(job, arguments, &base, error) || !take_policy(job, arguments, error)) {
        return false;
    }
    if (!node_alone_may(top, OPERATION_COMMIT, error)) {
        return false;
    }
    base = base ? base : deepest_below(top);
    for (BlockNode *node = base; node; node = node_below(node)) {
        if (node == node_skip_filters(top)) {
            return error_fail(error, KASO_ERROR_GENERIC, "cannot commit an image into itself");
        }
    }
    overlay = node_overlay(top);
    if (job->backing_file && !overlay) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "'backing-file' is for the image above 'top', but '%s' is the active layer",
            top->node_name);
    }
    job->type = "commit";
    job->base = base;
    node_ref(base);
    if (!overlay) {
        start_active_commit(job, base);
    } else if (!start_inner_commit(job, top, overlay, error)) {
        return false;
    }
    return attach_commit(job, top, base, error) && (overlay || make_bitmap(job, CHUNK_MIN, error));
}

static bool check_compression(const BlockJob *job, const BlockDriver *driver, GError **error)
{
    return !job->compress || driver->write_compressed ||
           error_fail(error, KASO_ERROR_UNSUPPORTED,
                      "Compression is not supported for this drive: format '%s' has none",
                      driver->name);
}

/* A file of the target's format, over what the source has below where only its top is copied. */
static bool create_target(BlockJob *job, const BlockDriver *driver, const char *target,
                          const BlockNode *backing, GError **error)
{
    g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, job->length);
    g_autoptr(GHashTable) options = options_new();

    options_set(options, "size", size);
    if (backing) {
        g_autofree char *name = node_name_for_header(backing, target);

        options_set(options, "backing_file", name);
        options_set(options, "backing_fmt", node_format(backing));
    }
    return block_create_image(job->graph, driver, target, options, error);
}

/* All that can be wrong is found before a file is made, in the place of what it may have held. */
static bool check_new_target(const BlockJob *job, const BlockDriver *driver, GHashTable *arguments,
                             const char *node_name, GError **error)
{
    return open_check_node_name(job->graph, node_name, error) &&
           check_compression(job, driver, error) &&
           options_check_empty(arguments, job->type, NULL, error);
}

/* The target of drive-mirror and drive-backup: a file that is made unless mode=existing. */
static BlockNode *open_target_file(BlockJob *job, GHashTable *arguments, const char *target,
                                   GError **error)
{
    g_autofree char *format = options_take(arguments, "format");
    g_autofree char *mode = options_take(arguments, "mode");
    g_autofree char *node_name = options_take(arguments, "node-name");
    bool is_new = !mode || strcmp(mode, "existing"), mirror = job->run == job_run_mirror;
    const BlockDriver *driver =
        format || is_new ? block_driver_find(format ? format : job->source->driver->name) : NULL;
    BlockNode *node, *backing = NULL;
    GHashTable *options;

    if (!driver && format) {
        error_fail(error, KASO_ERROR_INVALID, "Unknown driver '%s'", format);
        return NULL;
    }
    if (is_new && !check_new_target(job, driver, arguments, node_name, error)) {
        return NULL;
    }
    if (is_new && driver->has_backing && job->sync != SYNC_FULL) {
        backing = job->sync == SYNC_NONE ? job->source : node_below(job->source);
    }
    if (is_new && !create_target(job, driver, target, backing, error)) {
        return NULL;
    }
    /* What is below an existing one may still be on its way there. */
    job->opens_backing = mirror && !is_new;
    options = options_new();
    if (driver) {
        options_set(options, "driver", driver->name);
    }
    if (node_name) {
        options_set(options, "node-name", node_name);
    }
    node = node_open(job->graph, target, options,
                     (BlockOpenFlags){ .unmap = true, .no_backing = backing || job->opens_backing },
                     error);
    if (backing && mirror) {
        node_ref(job->late_backing = backing);
    } else if (node && backing && !node_set_backing(node, backing, error)) {
        node_unref(node);
        return NULL;
    }
    return node;
}

static BlockNode *open_target(BlockJob *job, GHashTable *arguments, bool is_file, GError **error)
{
    g_autofree char *target = options_take(arguments, "target");
    BlockNode *node;

    if (!target) {
        error_fail(error, KASO_ERROR_INVALID, "Parameter 'target' is missing");
        return NULL;
    }
    if (is_file) {
        return open_target_file(job, arguments, target, error);
    }
    node = block_find_node(job->graph, target, error);
    if (node == job->source) {
        error_fail(error, KASO_ERROR_INVALID, "Can't %s node '%s' into itself", job->type, target);
        return NULL;
    }
    if (node) {
        node_ref(node);
    }
    return node;
}

/* The bitmap that a backup goes by, named by its arguments. */
static bool take_bitmap(BlockJob *job, GHashTable *arguments, CopyOptions *o, GError **error)
{
    static const char *const modes[] = { "on-success", "never", "always", NULL };
    g_autofree char *name = options_take(arguments, "bitmap");
    bool has_mode = options_get(arguments, "bitmap-mode") != NULL;
    DirtyBitmap *bitmap;
    int mode = BITMAP_ON_SUCCESS;

    if (!options_take_enum(arguments, "bitmap-mode", modes, &mode, error)) {
        return false;
    }
    if ((job->sync == SYNC_INCREMENTAL || job->sync == SYNC_BITMAP) != (name != NULL) ||
        (job->sync == SYNC_BITMAP && !has_mode) ||
        (job->sync == SYNC_INCREMENTAL && mode != BITMAP_ON_SUCCESS)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "sync=incremental goes with 'bitmap', sync=bitmap with 'bitmap' and "
                          "'bitmap-mode', other ways with neither");
    }
    job->bitmap_mode = (JobBitmapMode)mode;
    bitmap = name ? dirty_bitmap_find(job->source, name) : NULL;
    if (name && (!bitmap || bitmap->inconsistent || bitmap->busy)) {
        return error_fail(
            error, KASO_ERROR_NOT_FOUND,
            !bitmap ? "Dirty bitmap '%s' not found"
            : bitmap->busy
                ? "Bitmap '%s' is currently in use by another operation and cannot be used"
                : "Bitmap '%s' is inconsistent and cannot be used",
            name);
    }
    o->bitmap = bitmap;
    return true;
}

/*
 * The user's bitmap starts anew, so that it knows what the guest writes from now on; what it held is
 * frozen until the job ends.
 */
static bool freeze_bitmap(BlockJob *job, DirtyBitmap *bitmap, GError **error)
{
    g_autofree char *frozen = g_strdup_printf("#frozen-%s", job->id);
    g_autoptr(GHashTable) none = options_new();
    bool persistent;

    if (!bitmap) {
        return true;
    }
    persistent = bitmap->persistent;
    job->frozen = dirty_bitmap_new(job->source, frozen, bitmap->granularity, error);
    if (!job->frozen) {
        return false;
    }
    job->bitmap = bitmap;
    job->frozen->enabled = false;
    dirty_bitmap_merge(job->frozen, bitmap);
    if (persistent && job->source->driver->bitmap_action) {
        job->source->driver->bitmap_action(job->source, "clear", bitmap->name, none, NULL);
    } else {
        dirty_bitmap_reset(bitmap, 0, bitmap->size);
    }
    bitmap->busy++;
    return true;
}

/* x-perf of backups: how much is copied at once. One piece is under way at a time, however many workers are allowed. */
static bool take_performance(GHashTable *arguments, CopyOptions *o, GError **error)
{
    uint64_t workers = 1;
    bool copy_range = false;

    if (!options_take_bool(arguments, "x-perf.use-copy-range", &copy_range, error) ||
        !options_take_size(arguments, "x-perf.max-workers", &workers, error) ||
        !options_take_size(arguments, "x-perf.max-chunk", &o->max_chunk, error)) {
        return false;
    }
    return (workers >= 1 && workers <= INT32_MAX) ||
           error_fail(error, KASO_ERROR_INVALID, "max-workers must be between 1 and %d", INT32_MAX);
}

static bool take_backup(BlockJob *job, GHashTable *arguments, CopyOptions *o, GError **error)
{
    return options_take_bool(arguments, "compress", &job->compress, error) &&
           take_performance(arguments, o, error) && take_bitmap(job, arguments, o, error);
}

static bool mark_backup(BlockJob *job, GError **error)
{
    int result;

    job->dirty->enabled = false; /* counts what is still to be copied, not what is written */
    if (job->sync == SYNC_TOP) {
        result = job_mark_top(job, node_below(job->source));
        if (result < 0) {
            return error_fail_errno(error, -result, "Could not find what '%s' holds", job->id);
        }
    } else if (job->bitmap) {
        dirty_bitmap_merge(job->dirty, job->frozen);
    } else {
        dirty_bitmap_set(job->dirty, 0, job->length);
    }
    job->total = dirty_bitmap_count(job->dirty);
    return true;
}

/* The clusters of a target, 0: it has none. */
static uint64_t target_cluster(const BlockJob *job)
{
    const BlockDriver *driver = job->target->driver;
    BlockNodeInfo info = { 0 };
    bool has = driver->info && driver->info(job->target, &info) == 0;

    return has && is_power_of_two(info.cluster_size) ? info.cluster_size : 0;
}

static bool take_mirror(BlockJob *job, GHashTable *arguments, CopyOptions *o, GError **error)
{
    static const char *const modes[] = { "background", "write-blocking", NULL };
    g_autofree char *replaces = options_take(arguments, "replaces");
    int mode = 0;

    if (job->sync == SYNC_INCREMENTAL || job->sync == SYNC_BITMAP) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "A mirror copies what 'sync' full, top or none says: it goes by no bitmap");
    }
    if (!options_take_size(arguments, "granularity", &o->granularity, error) ||
        !options_take_size(arguments, "buf-size", &o->buffer, error) ||
        !options_take_bool(arguments, "unmap", &job->unmap, error) ||
        !options_take_enum(arguments, "copy-mode", modes, &mode, error)) {
        return false;
    }
    o->granularity = o->granularity ? o->granularity : CHUNK_MIN;
    if (o->granularity < 512 || o->granularity > GRANULARITY_MAX ||
        !is_power_of_two(o->granularity)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "granularity (%" G_GUINT64_FORMAT
                          ") must be a power of two between 512 and %d",
                          o->granularity, GRANULARITY_MAX);
    }
    job->write_blocking = mode == 1;
    if (!replaces) {
        return true;
    }
    job->replaces = block_find_node(job->graph, replaces, error);
    if (!job->replaces) {
        return false;
    }
    node_ref(job->replaces);
    return job->replaces == job->source ||
           hold_node(job, OPERATION_REPLACE, HOLD_REPLACED, job->replaces, error);
}

static bool size_mirror(BlockJob *job, const CopyOptions *o, GError **error)
{
    uint64_t granularity = o->granularity;

    /*
     * A target that is above an image later must be written in whole clusters now: to the rest of one it would give
     * zeroes, not what that image has.
     */
    if (job->target->backing_filename && !node_below(job->target)) {
        granularity = MAX(granularity, target_cluster(job));
    }
    job->chunk = MAX(granularity,
                     o->buffer && o->buffer < CHUNK ? align_down(o->buffer, granularity) : CHUNK);
    return make_bitmap(job, granularity, error);
}

/* Clusters of the target are written whole: compressed ones must be, others need not be read first. */
static bool size_backup(BlockJob *job, const CopyOptions *o, GError **error)
{
    uint64_t granularity = MAX(CHUNK_MIN, target_cluster(job));

    if (o->max_chunk && o->max_chunk < granularity) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "max-chunk (%" G_GUINT64_FORMAT
                          ") is less than the target's clusters (%" G_GUINT64_FORMAT ")",
                          o->max_chunk, granularity);
    }
    job->chunk = MAX(job->chunk, granularity);
    job->chunk = o->max_chunk ? MIN(job->chunk, align_down(o->max_chunk, granularity)) : job->chunk;
    return check_compression(job, job->target->driver, error) &&
           make_bitmap(job, granularity, error);
}

/*
 * What is being mirrored is nobody's before it is complete; what a backup has copied may be read, and be
 * written over by who asks for it, at once.
 */
static bool attach_copy(BlockJob *job, bool mirror, GError **error)
{
    unsigned target_shared =
        mirror ? BLOCK_PERM_WRITE_UNCHANGED : BLOCK_PERM_ALL & ~BLOCK_PERM_RESIZE;

    if (mirror && node_overlay(job->target)) {
        target_shared |=
            BLOCK_PERM_CONSISTENT_READ; /* who reads through it has read it all along */
    }
    return hold_node(job, mirror ? OPERATION_MIRROR_TO : OPERATION_BACKUP_TO,
                     mirror ? HOLD_MIRROR_TO : HOLD_BACKUP_TO, job->target, error) &&
           attach(job, job->target, BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE, target_shared,
                  &job->target_user, error) &&
           attach(job, job->source, BLOCK_PERM_CONSISTENT_READ, BLOCK_PERM_ALL & ~BLOCK_PERM_RESIZE,
                  &job->source_user, error);
}

/* A mirror's target may be a partition with room to spare; a larger backup is no copy of the disk. */
static bool check_target_size(const BlockJob *job, bool mirror, GError **error)
{
    uint64_t size = node_size(job->target);

    if (size == job->length || (mirror && size > job->length)) {
        return true;
    }
    return error_fail(error, KASO_ERROR_INVALID,
                      "Source and target image have different sizes: %" G_GUINT64_FORMAT
                      " and %" G_GUINT64_FORMAT " bytes; the target must have the source's",
                      job->length, size);
}

static bool start_copy(BlockJob *job, GHashTable *arguments, bool mirror, bool is_file,
                       GError **error)
{
    CopyOptions o = { .granularity = CHUNK_MIN, .buffer = CHUNK };

    job->type = mirror ? "mirror" : "backup";
    job->run = mirror ? job_run_mirror : job_run_backup;
    job->finish = mirror ? job_finish_mirror : NULL;
    if (!take_sync(arguments, SYNC_FULL, &job->sync, error) ||
        !take_policies(job, arguments, "on-source-error", "on-target-error", error)) {
        return false;
    }
    /* First: a target that is made over the source makes an overlayed image of it. */
    if (!hold_node(job, mirror ? OPERATION_MIRROR_FROM : OPERATION_BACKUP_FROM,
                   mirror ? HOLD_MIRROR_FROM : HOLD_BACKUP_FROM, job->source, error)) {
        return false;
    }
    if (!(mirror ? take_mirror : take_backup)(job, arguments, &o, error)) {
        return false;
    }
    job->target = open_target(job, arguments, is_file, error);
    if (!job->target) {
        return false;
    }
    if (!check_target_size(job, mirror, error) || !attach_copy(job, mirror, error)) {
        return false;
    }
    if (mirror) {
        return size_mirror(job, &o, error);
    }
    /* The user's bitmap last: nothing must fail once it has been cleared. */
    return size_backup(job, &o, error) && freeze_bitmap(job, o.bitmap, error) &&
           mark_backup(job, error);
}

static bool start_by_command(BlockJob *job, const char *command, GHashTable *arguments,
                             GError **error)
{
    if (!strcmp(command, "block-stream")) {
        return start_stream(job, arguments, error);
    }
    if (!strcmp(command, "block-commit")) {
        return start_commit(job, arguments, error);
    }
    if (!strcmp(command, "drive-mirror") || !strcmp(command, "blockdev-mirror")) {
        return start_copy(job, arguments, true, command[0] == 'd', error);
    }
    if (!strcmp(command, "drive-backup") || !strcmp(command, "blockdev-backup")) {
        return start_copy(job, arguments, false, command[0] == 'd', error);
    }
    return error_fail(error, KASO_ERROR_NOT_FOUND, "Unknown block job '%s'", command);
}

/* Arguments that say the same in two ways. */
static bool check_exclusive(GHashTable *arguments, GError **error)
{
    static const char *const pairs[][2] = { { "base", "base-node" },
                                            { "top", "top-node" },
                                            { "base", "bottom" },
                                            { "base-node", "bottom" } };

    for (unsigned i = 0; i < G_N_ELEMENTS(pairs); i++) {
        if (options_get(arguments, pairs[i][0]) && options_get(arguments, pairs[i][1])) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "'%s' and '%s' cannot be specified at the same time", pairs[i][0],
                              pairs[i][1]);
        }
    }
    return true;
}

static bool take_common(BlockJob *job, GHashTable *arguments, GError **error)
{
    job->auto_dismiss = job->auto_finalize = job->unmap = true;
    job->backing_file = options_take(arguments, "backing-file");
    job->filter_name = options_take(arguments, "filter-node-name");
    return check_exclusive(arguments, error) &&
           options_take_size(arguments, "speed", &job->speed, error) &&
           options_take_bool(arguments, "backing-mask-protocol", &job->mask_protocol, error) &&
           options_take_bool(arguments, "auto-finalize", &job->auto_finalize, error) &&
           options_take_bool(arguments, "auto-dismiss", &job->auto_dismiss, error);
}

/* Last, when the size of pieces is known. */
static bool make_buffer(BlockJob *job, GError **error)
{
    job->buffer = g_try_malloc(job->chunk);
    return job->buffer ||
           error_fail(error, KASO_ERROR_GENERIC,
                      "Not enough memory for a buffer of %" G_GUINT64_FORMAT " bytes", job->chunk);
}

typedef struct {
    BlockGraph *graph;
    const char *command;
    GHashTable *arguments;
    JobGroup *group; /* NULL: none */
    bool held, done;
    GError **error;
} StartCall;

/* What a job is called that was not named: as the drive, not as a node. */
static const char *default_id(BlockGraph *graph, const char *device, const BlockNode *source)
{
    if (backend_find(graph, device)) {
        return device;
    }
    for (GList *link = block_graph_backends(graph); link; link = link->next) {
        const BlockBackend *drive = link->data;

        if (drive->root && drive->root->node == source) {
            return drive->id;
        }
    }
    return "";
}

static void start_entry(void *opaque)
{
    StartCall *call = opaque;
    g_autoptr(GHashTable) arguments = options_copy(call->arguments);
    g_autofree char *id = options_take(arguments, "job-id");
    char *device = options_take(arguments, "device");
    BlockNode *source = device ? block_find_node(call->graph, device, call->error) : NULL;
    BlockJob *job;

    if (!source) {
        if (!device) {
            error_fail(call->error, KASO_ERROR_INVALID, "Parameter 'device' is missing");
        } else if (!strcmp(call->command, "block-commit") && call->error && *call->error) {
            (*call->error)->code =
                KASO_ERROR_NO_DEVICE; /* clients tell by it that they can commit */
        }
        g_free(device);
        return;
    }
    if (!id) {
        id = g_strdup(default_id(call->graph, device, source));
    }
    if (!job_id_is_free(call->graph, id, call->error)) {
        g_free(device);
        return;
    }
    job = job_new(call->graph, id, device, node_skip_filters(source));
    job->chunk = CHUNK;
    /* The graph must not change, nor a write slip by, while the job takes hold of it. */
    block_graph_quiesce(call->graph);
    call->done = take_common(job, arguments, call->error) &&
                 start_by_command(job, call->command, arguments, call->error) &&
                 options_check_empty(arguments, call->command, NULL, call->error) &&
                 make_buffer(job, call->error) &&
                 job_add_filter(job, job->overlay ? job->source : source, call->error);
    if (call->done && job->run == job_run_backup) {
        job_arm_backup(job);
    }
    if (call->done && job->write_blocking) {
        job_arm_mirror(job);
    }
    block_graph_resume(call->graph);
    if (!call->done) {
        job_settle_bitmap(job, false);
        job_release(job);
        job_free(job);
        return;
    }
    job->held = call->held;
    if (call->group) {
        job_group_join(call->group, job);
    }
    job_begin(job);
}

bool operation_job(BlockGraph *graph, const char *command, GHashTable *arguments, JobGroup *group,
                   GError **error)
{
    StartCall call = { .graph = graph,
                       .command = command,
                       .arguments = arguments,
                       .group = group,
                       .held = true,
                       .error = error };

    start_entry(&call);
    return call.done;
}

bool block_job_start(BlockGraph *graph, const char *command, GHashTable *arguments, GError **error)
{
    StartCall call = { .graph = graph, .command = command, .arguments = arguments, .error = error };

    async_run_sync(block_graph_context(graph), start_entry, &call);
    return call.done;
}
