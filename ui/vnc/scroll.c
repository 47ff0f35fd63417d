/* SPDX-License-Identifier: MIT */
/*
 * Scrolling, seen from the pixels alone: no guest's driver tells of it any more. Rows are known by their hashes; those that are
 * unique say by how much they have moved, and the movement that most of them have is looked at for all. A hash that errs costs
 * nothing but bytes: what a copy makes wrong is found and sent like any other change.
 */
#include <string.h>

#include "ui/vnc/vnc.h"

enum { WIDTH_MIN = 48, ROWS_MIN = 32, VOTES_MIN = 8, EDGE_ROWS = 96, NOT_UNIQUE = -2, NONE = -1 };

typedef struct {
    uint32_t hash;
    int row; /* NONE, NOT_UNIQUE */
} Slot;

static const uint32_t *row_at(const VncRows *rows, int x, int y)
{
    return rows->pixels + (size_t)y * rows->stride + x;
}

static bool differ(const uint32_t *a, const uint32_t *b, int from, int to)
{
    return to > from && memcmp(a + from, b + from, (size_t)(to - from) * 4) != 0;
}

/*
 * The box to the pixel: what stands still beside all that differs has no part in it. Some rows say it: a pixel more or less costs bytes alone, and
 * each row that is looked at costs lines of the cache.
 */
static pixman_box32_t find_edges(const VncSums *sums, const VncRows *before, const VncRows *now,
                                 const pixman_box32_t *box)
{
    int left_end = MIN(box->x1 + VNC_SUM_PIXELS, box->x2);
    int right_start = MAX(box->x1, (box->x2 - 1) / VNC_SUM_PIXELS * VNC_SUM_PIXELS);
    int step = 1 + (box->y2 - box->y1) / EDGE_ROWS;
    pixman_box32_t found = { left_end, box->y1, right_start, box->y2 };

    for (int y = box->y1; y < box->y2; y += step) {
        const uint32_t *a = row_at(before, 0, y), *b = row_at(now, 0, y);

        if (differ(a, b, box->x1, found.x1)) {
            for (found.x1 = box->x1; found.x1 < left_end && a[found.x1] == b[found.x1];
                 found.x1++) {
            }
        }
        if (differ(a, b, found.x2, box->x2)) {
            for (found.x2 = box->x2; found.x2 > right_start && a[found.x2 - 1] == b[found.x2 - 1];
                 found.x2--) {
            }
        }
    }
    return found;
}

/* Of the pixels from x1 to x2 of a row: by the sums of whole blocks, and of the pixels beside those. */
static uint32_t hash_row(const uint64_t *sums, const uint32_t *row, int x1, int x2)
{
    int first = (x1 + VNC_SUM_PIXELS - 1) / VNC_SUM_PIXELS, end = x2 / VNC_SUM_PIXELS;
    uint64_t hash = 0, factor = 0x9e3779b97f4a7c15;

    if (first >= end) {
        hash = vnc_sum(row + x1, (unsigned)(x2 - x1));
        return (uint32_t)(hash ^ hash >> 32);
    }
    hash = vnc_sum(row + x1, (unsigned)(first * VNC_SUM_PIXELS - x1)) * factor;
    for (int block = first; block < end; block++) {
        hash = (hash ^ sums[block]) * factor;
        hash ^= hash >> 29;
    }
    hash ^= vnc_sum(row + end * VNC_SUM_PIXELS, (unsigned)(x2 - end * VNC_SUM_PIXELS));
    return (uint32_t)(hash ^ hash >> 32);
}

/* Of all blocks that the pixels from x1 to x2 are in: no pixel is read. */
static uint32_t hash_blocks(const uint64_t *sums, int x1, int x2)
{
    uint64_t hash = 0;

    for (int block = x1 / VNC_SUM_PIXELS; block <= (x2 - 1) / VNC_SUM_PIXELS; block++) {
        hash = (hash ^ sums[block]) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 29;
    }
    return (uint32_t)(hash ^ hash >> 32);
}

static void hash_rows(const VncSums *sums, const uint64_t *of, const VncRows *rows,
                      const pixman_box32_t *box, bool exact, uint32_t *hashes)
{
    for (int y = box->y1; y < box->y2; y++) {
        const uint64_t *row = of + (size_t)y * sums->blocks;

        hashes[y - box->y1] = exact ? hash_row(row, row_at(rows, 0, y), box->x1, box->x2)
                                    : hash_blocks(row, box->x1, box->x2);
    }
}

static Slot *find_slot(Slot *table, unsigned mask, uint32_t hash)
{
    unsigned at = hash & mask;

    while (table[at].row != NONE && table[at].hash != hash) {
        at = (at + 1) & mask;
    }
    return &table[at];
}

/* By how many rows most of the unique ones have moved; 0: too few of them, or not at all. */
static int find_movement(const uint32_t *before, const uint32_t *now, int rows)
{
    unsigned size = 2u << g_bit_storage((gulong)rows);
    g_autofree Slot *table = g_new(Slot, size);
    g_autofree uint16_t *votes = g_new0(uint16_t, (size_t)rows * 2);
    int best = rows;

    for (unsigned i = 0; i < size; i++) {
        table[i].row = NONE;
    }
    for (int y = 0; y < rows; y++) {
        Slot *slot = find_slot(table, size - 1, before[y]);

        *slot = (Slot){ before[y], slot->row == NONE ? y : NOT_UNIQUE };
    }
    for (int y = 0; y < rows; y++) {
        int row = find_slot(table, size - 1, now[y])->row;

        if (row >= 0) {
            votes[rows + y - row]++;
        }
    }
    votes[rows] = 0; /* what stands still */
    for (int i = 0; i < rows * 2; i++) {
        best = votes[i] > votes[best] ? i : best;
    }
    return votes[best] >= MAX(VOTES_MIN, rows / 16) ? best - rows : 0;
}

VncScroll vnc_scroll_find(const VncSums *sums, const VncRows *before, const VncRows *now,
                          const pixman_box32_t *box, VncCopy *copy)
{
    pixman_box32_t area = find_edges(sums, before, now, box);
    int rows = area.y2 - area.y1, dy = 0, score = 0, best = 0, start = 0;
    g_autofree uint32_t *old = NULL, *new = NULL;

    if (rows < ROWS_MIN || area.x2 - area.x1 < WIDTH_MIN) {
        return VNC_SCROLL_LITTLE;
    }
    old = g_new(uint32_t, rows);
    new = g_new(uint32_t, rows);
    /* What is beside the box is mostly the same in all rows; where it is not, it must not count. */
    for (int exact = 0; exact < 2 && !dy; exact++) {
        hash_rows(sums, sums->seen, before, &area, exact, old);
        hash_rows(sums, sums->now, now, &area, exact, new);
        dy = find_movement(old, new, rows);
    }
    if (!dy) {
        return VNC_SCROLL_OTHER;
    }
    /* The part where a copy gains most: a row that becomes right counts, one that becomes wrong counts against it. */
    for (int y = MAX(0, dy); y < MIN(rows, rows + dy); y++) {
        score += (new[y] == old[y - dy]) - (new[y] == old[y]);
        if (score <= 0) {
            score = 0;
            start = y + 1;
        } else if (score > best) {
            best = score;
            copy->to = (pixman_box32_t){ area.x1, area.y1 + MAX(start, MAX(0, dy)), area.x2,
                                         area.y1 + y + 1 };
        }
    }
    copy->dy = dy;
    return best >= rows / 4 ? VNC_SCROLL_FOUND : VNC_SCROLL_OTHER;
}
