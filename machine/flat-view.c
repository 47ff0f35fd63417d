/* SPDX-License-Identifier: MIT */
/*
 * Flattening the region tree: regions are visited from the highest priority down, and each takes
 * what is still free of its window.
 */
#include <string.h>

#include "machine/private.h"

/* Places are 128 bits wide and signed, so that neither 2^64 nor an alias that starts below 0 wraps. */
typedef __int128 Place;

typedef struct {
    GArray *ranges; /* MemoryRange, sorted, not overlapping */
} Builder;

/* A region as it is seen on one way down the tree. */
typedef struct {
    MemoryRegion *region;
    Place base; /* where its offset 0 lies */
    bool readonly;
    MemoryRegion *written; /* NULL: writes go to it, too */
    Place written_base;
} Source;

static void insert_range(Builder *builder, unsigned at, Place start, Place end,
                         const Source *source)
{
    MemoryRange range = { .start = start,
                          .size = end - start,
                          .region = source->region,
                          .offset = start - source->base,
                          .readonly = source->readonly,
                          .written = source->written };

    if (source->written) {
        range.written_offset = start - source->written_base;
    }
    g_array_insert_val(builder->ranges, at, range);
}

/* Gives the region the parts of [start, end) that no other has. */
static void fill_gaps(Builder *builder, const Source *source, Place start, Place end)
{
    unsigned i = 0;

    while (start < end) {
        MemoryRange *next = NULL;

        for (; i < builder->ranges->len; i++) {
            next = &g_array_index(builder->ranges, MemoryRange, i);
            if ((Place)next->start + next->size > start) {
                break;
            }
        }
        if (i == builder->ranges->len) {
            insert_range(builder, i, start, end, source);
            return;
        }
        if ((Place)next->start > start) {
            Place next_end = (Place)next->start + next->size; /* inserting moves it */

            insert_range(builder, i, start, MIN((Place)next->start, end), source);
            start = next_end;
            i++;
        } else {
            start = (Place)next->start + next->size;
        }
    }
}

static void render(Builder *builder, Source source, Place start, Place end)
{
    MemoryRegion *region = source.region;

    start = MAX(start, source.base);
    end = MIN(end, source.base + region->size);
    source.readonly |= region->readonly;
    if (region->written) {
        source.written = region->written;
        source.written_base = source.base - region->written_offset;
    }
    if (!region->enabled || start >= end) {
        return;
    }
    switch (region->kind) {
    case MEMORY_CONTAINER:
        for (unsigned i = 0; region->children && i < region->children->len; i++) {
            Source below = source;

            below.region = region->children->pdata[i];
            below.base += below.region->address;
            render(builder, below, start, end);
        }
        break;
    case MEMORY_ALIAS:
        source.region = region->target;
        source.base -= region->target_offset;
        render(builder, source, start, end);
        break;
    default:
        fill_gaps(builder, &source, start, end);
    }
}

/* Whether writes go to the same place, `size` bytes on. */
static bool same_written(const MemoryRange *a, const MemoryRange *b, uint64_t size)
{
    return a->readonly == b->readonly && a->written == b->written &&
           (!a->written || a->written_offset + size == b->written_offset);
}

/* Joins neighbours that are one piece of a region. */
static void merge(GArray *ranges)
{
    unsigned out = 0;

    for (unsigned i = 1; i < ranges->len; i++) {
        MemoryRange *last = &g_array_index(ranges, MemoryRange, out);
        MemoryRange *range = &g_array_index(ranges, MemoryRange, i);

        if (range->region == last->region && range->start == last->start + last->size &&
            range->offset == last->offset + last->size && same_written(last, range, last->size)) {
            last->size += range->size;
        } else {
            g_array_index(ranges, MemoryRange, ++out) = *range;
        }
    }
    if (ranges->len) {
        g_array_set_size(ranges, out + 1);
    }
}

FlatView *flat_view_build(MemoryRegion *root)
{
    Builder builder = { g_array_new(false, false, sizeof(MemoryRange)) };
    FlatView *view;

    render(&builder, (Source){ .region = root }, 0, (Place)1 << 64);
    merge(builder.ranges);
    view = g_malloc0(sizeof(*view) + builder.ranges->len * sizeof(MemoryRange));
    view->count = builder.ranges->len;
    if (view->count) {
        memcpy(view->ranges, builder.ranges->data, view->count * sizeof(MemoryRange));
    }
    g_array_unref(builder.ranges);
    return view;
}

bool flat_view_equal(const FlatView *a, const FlatView *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        const MemoryRange *x = &a->ranges[i], *y = &b->ranges[i];

        if (x->start != y->start || x->size != y->size || x->region != y->region ||
            x->offset != y->offset || !same_written(x, y, 0)) {
            return false;
        }
    }
    return true;
}
