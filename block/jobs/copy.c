/* SPDX-License-Identifier: MIT */
/*
 * The copying of block jobs.
 *
 * stream   what the layers between top and base hold goes into top, piece by piece, each with its
 *          range locked, so that no guest write falls between reading and writing
 * commit   the same downwards, for layers the guest does not write
 * mirror   a dirty bitmap says what differs; guest writes set it, copying clears it before reading
 *          (also commits the active layer); with copy-mode=write-blocking each guest write is copied
 *          before it ends, so that the difference never grows
 * backup   before a guest write reaches a piece that is not copied yet, the old content is copied
 */
#include "block/jobs/job.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>

enum { IDLE_NS = 50 * 1000 * 1000 };

/*
 * Reads the source. When it is committed: what the base holds is worth more than zeroes in place of
 * what is lost above.
 */
static int read_piece(BlockJob *job, uint64_t offset, uint64_t bytes, uint8_t *buffer)
{
    int result = node_pread(job->source, offset, buffer, bytes);

    job->target_failed = false;
    if (result == 0 && job->base && !job->error && node_chain_is_cut_off(job->source)) {
        error_fail(&job->error, KASO_ERROR_IO,
                   "'%s' or an image below it is cut off: what is lost cannot be committed",
                   job->source->filename);
    }
    return result == 0 && job->error ? -EIO : result;
}

static int write_piece(BlockJob *job, BlockNode *node, uint64_t offset, uint64_t bytes,
                       uint8_t *buffer)
{
    struct iovec iov = { buffer, bytes };
    int result;

    if (buffer_is_zero(buffer, bytes)) {
        result = node_write_zeroes(node, offset, bytes, job->unmap ? BLOCK_MAY_UNMAP : 0);
    } else if (job->compress) {
        result = node_write_compressed(node, offset, bytes, io_vector_of(&iov));
    } else {
        result = node_pwrite(node, offset, buffer, bytes, 0);
    }
    job->target_failed = result < 0;
    return result;
}

/* stream */

/* Requests to the node itself would wait for the lock that we hold: the driver is called. */
static int stream_piece(BlockJob *job, uint64_t offset, uint64_t bytes)
{
    BlockNode *top = job->source;
    struct iovec iov = { job->buffer, bytes };
    TrackedRequest request;
    uint64_t count;
    int result;

    job->target_failed = false;
    node_range_lock(top, &request, offset, bytes);
    result = node_allocated_above(top, node_below(top), offset, bytes, &count);
    if (result == 0 && count >= bytes) {
        result = top->driver->read(top, offset, bytes, io_vector_of(&iov));
        if (result == 0) {
            result =
                top->driver->write(top, offset, bytes, io_vector_of(&iov), BLOCK_WRITE_UNCHANGED);
            job->target_failed = result < 0;
            top->write_generation++;
        }
    } else if (result >= 0) {
        result = -EAGAIN; /* the guest has written meanwhile: look again, smaller */
    }
    node_range_unlock(top, &request);
    return result;
}

/* False when the same piece is to be tried again; *result is 0 unless the job ends. */
static bool may_advance(BlockJob *job, bool may_skip, int *result)
{
    bool failed = *result < 0;

    if (failed) {
        *result = job_after_failure(job, *result);
    }
    if (*result == JOB_SKIP) {
        *result = 0;
        if (!may_skip) {
            job_wait(job, IDLE_NS); /* a bad disk is not asked in a tight loop */
        }
        return may_skip;
    }
    return !failed;
}

int job_run_stream(BlockJob *job)
{
    BlockNode *top = job->source;
    int result = 0;

    if (!node_below(top)) {
        job->offset = job->length; /* it has all of its data already */
        return 0;
    }
    for (job->offset = 0; job->offset < job->length && result == 0;) {
        uint64_t count, below_count, n;
        int here, below = 0;

        here = node_allocated_above(top, node_below(top), job->offset, job->length - job->offset,
                                    &count);
        n = MIN(count, job->chunk - job->offset % job->chunk);
        if (here == 0) {
            below = node_allocated_above(node_below(top), job->base, job->offset, n, &below_count);
            n = MIN(n, below_count);
        }
        if (here < 0 || below < 0) {
            return here < 0 ? here : below;
        }
        if (!job_pause_point(job, below ? n : 0)) {
            return -ECANCELED;
        }
        if (below) {
            result = stream_piece(job, job->offset, n);
            if (result == -EAGAIN) {
                result = 0;
                continue;
            }
        }
        if (!may_advance(job, true, &result)) {
            continue;
        }
        job->offset += n;
    }
    return result < 0 ? result : job->ignored;
}

static const char *format_for_header(const BlockJob *job, const BlockNode *base)
{
    const char *format = node_format(base);

    return job->mask_protocol && block_driver_find(format)->is_protocol ? "raw" : format;
}

int job_finish_stream(BlockJob *job)
{
    BlockNode *top = job->source, *base = job->base;
    g_autofree char *found = base ? node_name_for_header(base, top->filename) : NULL;
    int result = node_flush(top);

    if (!node_below(top)) {
        return result;
    }
    if (result == 0 && top->driver->set_backing &&
        !top->driver->set_backing(top, job->backing_file ? job->backing_file : found,
                                  base ? format_for_header(job, base) : NULL, &job->error)) {
        return -EIO;
    }
    if (result == 0 && !node_set_backing(top, base, &job->error)) {
        result = -EIO;
    }
    return result;
}

/* commit of layers that nobody writes */

int job_run_commit(BlockJob *job)
{
    int result = 0;

    for (job->offset = 0; job->offset < job->length && result == 0;) {
        uint64_t count, n;
        int allocated = node_allocated_above(job->source, job->base, job->offset,
                                             job->length - job->offset, &count);

        n = MIN(count, job->chunk - job->offset % job->chunk);
        if (allocated < 0) {
            return allocated;
        }
        if (!job_pause_point(job, allocated ? n : 0)) {
            return -ECANCELED;
        }
        if (allocated) {
            result = read_piece(job, job->offset, n, job->buffer);
            if (result == 0) {
                result = write_piece(job, job->base, job->offset, n, job->buffer);
            }
        }
        /* Nothing is left out: the layer would be gone with what only it has. */
        if (may_advance(job, false, &result)) {
            job->offset += n;
        }
    }
    return result == 0 ? node_flush(job->base) : result;
}

/* The header of an overlay names the base, though the overlay may be open read-only. */
static bool name_base(BlockJob *job, BlockNode *overlay)
{
    g_autofree char *found = node_name_for_header(job->base, overlay->filename);
    const char *name = job->backing_file ? job->backing_file : found;
    bool was_read_only = overlay->read_only, done;

    if (!overlay->driver->set_backing) {
        return true;
    }
    done =
        node_set_read_only(overlay, false, &job->error) &&
        overlay->driver->set_backing(overlay, name, format_for_header(job, job->base), &job->error);
    if (was_read_only) {
        node_set_read_only(overlay, true, NULL);
    }
    return done;
}

/* All overlays that read through node, maybe by filters. */
static bool name_base_above(BlockJob *job, BlockNode *node)
{
    for (GList *link = node->parents.head; link; link = link->next) {
        BlockChild *child = link->data;

        if (!child->parent) {
            continue;
        }
        if (child->role & BLOCK_ROLE_COW
                ? !name_base(job, child->parent)
                : child->role & BLOCK_ROLE_FILTERED && !name_base_above(job, child->parent)) {
            return false;
        }
    }
    return true;
}

int job_finish_commit(BlockJob *job)
{
    if (!name_base_above(job, job->source)) {
        return -EIO;
    }
    child_detach(job->source_user);
    job->source_user = NULL;
    return node_replace(job->source, job->base, NULL, &job->error) ? 0 : -EIO;
}

/* mirror, and commit of the active layer */

/* Copies a range that is dirty; of what fails, all stays so. */
static int mirror_range(BlockJob *job, uint64_t offset, uint64_t bytes, uint8_t *buffer)
{
    int result;

    coroutine_mutex_lock(&job->copy_lock);
    dirty_bitmap_reset(job->dirty, offset, bytes);
    result = read_piece(job, offset, bytes, buffer);
    if (result == 0) {
        result = write_piece(job, job->target, offset, bytes, buffer);
    }
    if (result < 0) {
        dirty_bitmap_set(job->dirty, offset, bytes);
    } else {
        job->offset += bytes;
    }
    coroutine_mutex_unlock(&job->copy_lock);
    return result;
}

/* The next piece to be copied. False: source and target are equal. */
static bool mirror_next(BlockJob *job, uint64_t *offset, uint64_t *bytes)
{
    *offset = dirty_bitmap_next(job->dirty, 0);
    if (*offset == UINT64_MAX) {
        return false;
    }
    *bytes = dirty_bitmap_run(job->dirty, *offset, job->chunk - *offset % job->chunk);
    return true;
}

/*
 * The guest has written and waits. Whoever copies holds copy_lock from clearing the bits to the end of
 * the write, so older data never lands on newer. What fails stays dirty, for the job itself to find.
 */
static void mirror_after_write(void *opaque, uint64_t offset, uint64_t bytes)
{
    BlockJob *job = opaque;
    uint64_t granularity = job->dirty->granularity;
    uint64_t end = MIN(align_up(offset + bytes, granularity), job->length);
    g_autofree uint8_t *buffer =
        g_try_malloc(MIN(job->chunk, end - align_down(offset, granularity)));
    CoroutineHurry hurry;

    job->copying++;
    coroutine_hurry_begin(&hurry, &job->abandoned, HURRY_LEAVE);
    for (uint64_t at = align_down(offset, granularity); buffer && at < end && !job->cancelled;) {
        uint64_t n = MIN(job->chunk, end - at);

        if (mirror_range(job, at, n, buffer) < 0) {
            break;
        }
        at += n;
    }
    coroutine_hurry_end(&hurry);
    job->copying--;
    coroutine_queue_wake_all(&job->wake);
}

void job_arm_mirror(BlockJob *job)
{
    job->notifier = (NodeWriteNotifier){ .after = mirror_after_write, .opaque = job };
    node_add_write_notifier(job->source, &job->notifier);
}

int job_mark_top(BlockJob *job, BlockNode *base)
{
    for (uint64_t offset = 0; offset < job->length;) {
        uint64_t count;
        int allocated =
            node_allocated_above(job->source, base, offset, job->length - offset, &count);

        if (allocated < 0) {
            return allocated;
        }
        if (allocated) {
            dirty_bitmap_set(job->dirty, offset, count);
        }
        offset += count;
    }
    return 0;
}

/* Marks what is to be copied at the start. */
static int mirror_mark(BlockJob *job)
{
    if (job->sync == SYNC_TOP) {
        return job_mark_top(job, job->base ? job->base : node_below(job->source));
    }
    if (job->sync != SYNC_NONE) {
        dirty_bitmap_set(job->dirty, 0, job->length);
    }
    return 0;
}

/* One piece, with what its failure leads to. */
static int mirror_step(BlockJob *job, uint64_t at, uint64_t bytes)
{
    int result;

    if (!job_pause_point(job, bytes)) {
        return -ECANCELED;
    }
    result = mirror_range(job, at, bytes, job->buffer);
    if (result < 0) {
        result = job_after_failure(job, result);
    }
    if (result == JOB_SKIP) {
        job_wait(job, IDLE_NS); /* it stays dirty: a bad disk is not asked in a tight loop */
        result = 0;
    }
    return result;
}

/* Until both sides are equal for a moment, or the end is asked for. */
static int mirror_pass(BlockJob *job)
{
    uint64_t at, bytes;
    int result = 0;

    while (result == 0 && !(job->ready && job->complete) && mirror_next(job, &at, &bytes)) {
        result = mirror_step(job, at, bytes);
    }
    return result;
}

/*
 * A guest may write as fast as we copy. Rounds over what is dirty go on while each leaves less than
 * half of what it found; the rest is copied by job_finish_mirror, where no guest request runs.
 */
static int mirror_converge(BlockJob *job)
{
    uint64_t left = dirty_bitmap_count(job->dirty), before, at, bytes;
    int result = 0;

    do {
        before = left;
        for (uint64_t from = 0; result == 0; from = at + bytes) {
            at = dirty_bitmap_next(job->dirty, from);
            if (at == UINT64_MAX) {
                break;
            }
            bytes = dirty_bitmap_run(job->dirty, at, job->chunk - at % job->chunk);
            result = mirror_step(job, at, bytes);
        }
        left = dirty_bitmap_count(job->dirty);
    } while (result == 0 && left && left < before / 2);
    return result;
}

int job_run_mirror(BlockJob *job)
{
    int result = mirror_mark(job);

    job_count_mirror(job);
    while (result == 0) {
        result = mirror_pass(job);
        if (result < 0 || (job->ready && job->complete)) {
            break;
        }
        if (!job->ready) {
            result = node_flush(job->target);
            job_count_mirror(job);
            job_set_ready(job);
        }
        job_wait(job, IDLE_NS);
        if (job->cancelled) {
            return -ECANCELED;
        }
    }
    return result == 0 ? mirror_converge(job) : result;
}

/* What the header of the target names; the user may have opened it already. */
static bool open_backing(BlockJob *job)
{
    return !job->opens_backing || job->target->backing ||
           node_open_backing(job->target, &job->error);
}

/*
 * The target takes the place, and only then gets the node below it: that may be the source, which others write
 * until now.
 */
static bool take_place(BlockJob *job, BlockNode *place)
{
    if (!node_replace(place, job->target, NULL, &job->error)) {
        return false;
    }
    if (job->late_backing && !job->target->backing &&
        !node_set_backing(job->target, job->late_backing, &job->error)) {
        node_replace(job->target, place, NULL, NULL);
        return false;
    }
    return true;
}

int job_finish_mirror(BlockJob *job)
{
    BlockNode *place = job->replaces ? job->replaces : job->source;
    uint64_t at, bytes;
    int result = 0;

    /* Whatever has changed below (a file that another process cut): no disk loses its end. */
    if (node_size(job->target) < node_size(place)) {
        error_fail(&job->error, KASO_ERROR_GENERIC,
                   "'%s' (%" G_GUINT64_FORMAT " bytes) is smaller than '%s' (%" G_GUINT64_FORMAT
                   " bytes), whose place it should take",
                   job->target->node_name, node_size(job->target), place->node_name,
                   node_size(place));
        return -EIO;
    }

    /* No guest request runs: what it dirtied last is copied, then both are equal. */
    while (result == 0 && mirror_next(job, &at, &bytes)) {
        result = mirror_range(job, at, bytes, job->buffer);
    }
    if (result == 0) {
        result = node_flush(job->target);
    }
    if (result == 0 && !job->keep_source && !open_backing(job)) {
        result = -EIO;
    }
    if (result == 0 && !job->keep_source) {
        child_detach(job->target_user);
        job->target_user = NULL;
        child_detach(job->source_user);
        job->source_user = NULL;
        if (!take_place(job, place)) {
            result = -EIO;
        } else if (job->made_writable == job->target) {
            g_clear_pointer(&job->made_writable, node_unref); /* the guest writes to it now */
        }
    }
    return result;
}

/* backup */

/*
 * Copies what of a range is still to be copied, in whole pieces of the job's granularity. The driver
 * is asked directly: the request that makes us copy may hold the range.
 */
static int backup_range(BlockJob *job, uint64_t offset, uint64_t bytes, uint8_t *buffer)
{
    BlockNode *source = job->source;
    uint64_t end = align_up(offset + bytes, job->dirty->granularity), at = offset;
    int result = 0;

    while (result == 0) {
        uint64_t n;
        struct iovec iov;

        coroutine_mutex_lock(&job->copy_lock);
        at = dirty_bitmap_next(job->dirty, at);
        if (at < end) {
            n = dirty_bitmap_run(job->dirty, at, MIN(job->chunk, end - at));
            iov = (struct iovec){ buffer, n };
            job->target_failed = false;
            result = source->driver->read(source, at, n, io_vector_of(&iov));
            if (result == 0) {
                result = write_piece(job, job->target, at, n, buffer);
            }
            if (result == 0) {
                dirty_bitmap_reset(job->dirty, at, n);
                job->offset += n;
            }
        }
        coroutine_mutex_unlock(&job->copy_lock);
        if (at >= end) {
            break;
        }
    }
    return result;
}

/* A failed copy ends the backup; the guest's write goes on. */
static int backup_before_write(void *opaque, uint64_t offset, uint64_t bytes)
{
    BlockJob *job = opaque;
    g_autofree uint8_t *buffer = g_try_malloc(job->chunk);
    CoroutineHurry hurry;

    job->copying++;
    coroutine_hurry_begin(&hurry, &job->abandoned, HURRY_LEAVE);
    if (!job->cancelled && (!buffer || backup_range(job, offset, bytes, buffer) < 0)) {
        job->cancelled = true;
        if (!job->error) {
            g_set_error(&job->error, g_quark_from_static_string("block-job"), 0,
                        "The backup target could not be written before a guest write");
        }
    }
    coroutine_hurry_end(&hurry);
    job->copying--;
    coroutine_queue_wake_all(&job->wake);
    return 0;
}

void job_arm_backup(BlockJob *job)
{
    job->notifier = (NodeWriteNotifier){ .before = backup_before_write, .opaque = job };
    node_add_write_notifier(job->source, &job->notifier);
}

int job_run_backup(BlockJob *job)
{
    int result = 0;

    if (job->sync == SYNC_NONE) {
        while (!job->cancelled) {
            job_wait(job, IDLE_NS);
        }
    }
    while (result == 0 && !job->cancelled) {
        uint64_t at = dirty_bitmap_next(job->dirty, 0), n;

        if (at == UINT64_MAX) {
            break;
        }
        n = dirty_bitmap_run(job->dirty, at, job->chunk - at % job->chunk);
        if (!job_pause_point(job, n)) {
            break;
        }
        result = backup_range(job, at, n, job->buffer);
        if (result < 0) {
            result = job_after_failure(job, result);
        }
        if (result == JOB_SKIP) {
            job_wait(job, IDLE_NS); /* it is tried again: a backup with holes is none */
            result = 0;
        }
    }
    if (job->cancelled) {
        return job->error ? -EIO : -ECANCELED;
    }
    if (result == 0 && job->compress) {
        result = node_write_compressed(job->target, 0, 0, (IoVector){ 0 });
    }
    return result == 0 ? node_flush(job->target) : result;
}
