/* SPDX-License-Identifier: MIT */
/*
 * The copying of block jobs.
 *
 * stream   what the layers between top and base hold goes into top, piece by piece, each with its
 *          range locked, so that no guest write falls between reading and writing
 * commit   the same downwards, for layers the guest does not write
 * mirror   a dirty bitmap says what differs; guest writes set it, copying clears it before reading
 *          (also commits the active layer)
 * backup   before a guest write reaches a piece that is not copied yet, the old content is copied
 */
#include "block/job.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>

enum { IDLE_NS = 50 * 1000 * 1000 };

static int write_piece(BlockNode *node, uint64_t offset, uint64_t bytes, uint8_t *buffer,
                       unsigned flags)
{
    if (buffer_is_zero(buffer, bytes)) {
        return node_write_zeroes(node, offset, bytes, flags | BLOCK_MAY_UNMAP);
    }
    return node_pwrite(node, offset, buffer, bytes, flags);
}

/* For commit: what the base holds is worth more than zeroes in place of what is lost above. */
static int read_what_is_there(BlockJob *job, uint64_t offset, uint64_t bytes)
{
    int result = node_pread(job->source, offset, job->buffer, bytes);

    if (result == 0 && job->base && !job->error && node_chain_is_cut_off(job->source)) {
        error_fail(&job->error, KASO_ERROR_IO,
                   "'%s' or an image below it is cut off: what is lost cannot be committed",
                   job->source->filename);
    }
    return result == 0 && job->error ? -EIO : result;
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

    node_range_lock(top, &request, offset, bytes);
    result = node_allocated_above(top, node_below(top), offset, bytes, &count);
    if (result == 0 && count >= bytes) {
        result = top->driver->read(top, offset, bytes, io_vector_of(&iov));
        if (result == 0) {
            result =
                top->driver->write(top, offset, bytes, io_vector_of(&iov), BLOCK_WRITE_UNCHANGED);
            top->write_generation++;
        }
    } else if (result >= 0) {
        result = -EAGAIN; /* the guest has written meanwhile: look again, smaller */
    }
    node_range_unlock(top, &request);
    return result;
}

int job_run_stream(BlockJob *job)
{
    BlockNode *top = job->source;
    int result = 0;

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
        job->offset += n;
    }
    return result;
}

int job_finish_stream(BlockJob *job)
{
    BlockNode *top = job->source, *base = job->base;
    g_autofree char *found = base ? node_name_for_header(base, top->filename) : NULL;
    int result = node_flush(top);

    if (result == 0 && top->driver->set_backing &&
        !top->driver->set_backing(top, job->backing_file ? job->backing_file : found,
                                  base ? base->driver->name : NULL, &job->error)) {
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
            result = read_what_is_there(job, job->offset, n);
            if (result == 0) {
                result = write_piece(job->base, job->offset, n, job->buffer, 0);
            }
        }
        job->offset += n;
    }
    return result == 0 ? node_flush(job->base) : result;
}

int job_finish_commit(BlockJob *job)
{
    BlockNode *overlay = job->overlay, *base = job->base;
    g_autofree char *found = node_name_for_header(base, overlay->filename);
    const char *name = job->backing_file ? job->backing_file : found;

    /* The overlay may be open read-only; its header is not the guest's business. */
    if (overlay->driver->set_backing && !overlay->read_only &&
        !overlay->driver->set_backing(overlay, name, base->driver->name, &job->error)) {
        return -EIO;
    }
    return node_set_backing(overlay, base, &job->error) ? 0 : -EIO;
}

/* mirror, and commit of the active layer */

static int mirror_piece(BlockJob *job, uint64_t offset)
{
    uint64_t n = MIN(job->chunk, job->length - offset);
    int result;

    dirty_bitmap_reset(job->dirty, offset, n);
    result = read_what_is_there(job, offset, n);
    if (result == 0) {
        result = write_piece(job->target, offset, n, job->buffer, 0);
    }
    if (result < 0) {
        dirty_bitmap_set(job->dirty, offset, n);
    }
    return result;
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

static int mirror_pass(BlockJob *job)
{
    uint64_t at;
    int result = 0;

    while (result == 0 && (at = dirty_bitmap_next(job->dirty, 0)) != UINT64_MAX) {
        at = align_down(at, job->chunk);
        if (!job_pause_point(job, job->chunk)) {
            return -ECANCELED;
        }
        result = mirror_piece(job, at);
        job->offset = job->length - dirty_bitmap_count(job->dirty);
    }
    return result;
}

int job_run_mirror(BlockJob *job)
{
    int result = mirror_mark(job);

    while (result == 0) {
        result = mirror_pass(job);
        if (result < 0 || job->complete) {
            break;
        }
        if (!job->ready) {
            result = node_flush(job->target);
            job_set_ready(job);
        }
        job_wait(job, IDLE_NS);
        if (job->cancelled) {
            /* A ready mirror that is cancelled without force ends as a copy of this moment. */
            return job->forced || !job->ready ? -ECANCELED : mirror_pass(job);
        }
    }
    return result;
}

int job_finish_mirror(BlockJob *job)
{
    uint64_t at;
    int result = 0;

    /* No guest request runs: what it dirtied last is copied, then both are equal. */
    while (result == 0 && (at = dirty_bitmap_next(job->dirty, 0)) != UINT64_MAX) {
        result = mirror_piece(job, align_down(at, job->chunk));
    }
    if (result == 0) {
        result = node_flush(job->target);
    }
    if (result == 0 && job->complete && !job->cancelled) {
        child_detach(job->target_user);
        job->target_user = NULL;
        child_detach(job->source_user);
        job->source_user = NULL;
        if (!node_replace(job->source, job->target, NULL, &job->error)) {
            result = -EIO;
        }
    }
    return result;
}

/* backup */

static bool chunk_to_do(BlockJob *job, uint64_t offset)
{
    return dirty_bitmap_next(job->dirty, offset) < offset + job->chunk;
}

/* Copies the pieces of a range that are still to be copied. The driver is asked directly: the
 * request that makes us copy may hold the range. */
static int backup_range(BlockJob *job, uint64_t offset, uint64_t bytes, uint8_t *buffer)
{
    BlockNode *source = job->source;
    uint64_t end = MIN(offset + bytes, job->length);
    int result = 0;

    for (uint64_t at = align_down(offset, job->chunk); at < end && result == 0; at += job->chunk) {
        uint64_t n = MIN(job->chunk, job->length - at);
        struct iovec iov = { buffer, n };

        coroutine_mutex_lock(&job->copy_lock);
        if (chunk_to_do(job, at)) {
            result = source->driver->read(source, at, n, io_vector_of(&iov));
            if (result == 0) {
                result = write_piece(job->target, at, n, buffer, 0);
            }
            if (result == 0) {
                dirty_bitmap_reset(job->dirty, at, n);
                job->offset += n;
            }
        }
        coroutine_mutex_unlock(&job->copy_lock);
    }
    return result;
}

/* A failed copy ends the backup; the guest's write goes on. */
static int backup_before_write(void *opaque, uint64_t offset, uint64_t bytes)
{
    BlockJob *job = opaque;
    g_autofree uint8_t *buffer = g_try_malloc(job->chunk);

    if (!job->cancelled && (!buffer || backup_range(job, offset, bytes, buffer) < 0)) {
        job->cancelled = job->forced = true;
        if (!job->error) {
            g_set_error(&job->error, g_quark_from_static_string("block-job"), 0,
                        "The backup target could not be written before a guest write");
        }
    }
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
        return job->error ? -EIO : 0;
    }
    while (result == 0) {
        uint64_t at = dirty_bitmap_next(job->dirty, 0);

        if (at == UINT64_MAX) {
            break;
        }
        at = align_down(at, job->chunk);
        if (!job_pause_point(job, job->chunk)) {
            return job->error ? -EIO : -ECANCELED;
        }
        result = backup_range(job, at, job->chunk, job->buffer);
    }
    return result == 0 ? node_flush(job->target) : result;
}
