/* SPDX-License-Identifier: MIT */
/*
 * Sums of pieces of rows, 64 bits each: whether a piece differs from what clients see is known without reading both
 * pictures, and what has moved is found by them as well. Two pieces with one sum are taken for the same, which chance
 * makes of one pair in 2^64.
 */
#include <string.h>

#include "ui/vnc/vnc.h"

enum { AHEAD = 1024 }; /* pixels: far enough for what another processor has written */

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t vnc_sum(const uint32_t *pixels, unsigned count)
{
    const uint64_t k0 = 0x9e3779b97f4a7c15, k1 = 0xbf58476d1ce4e5b9, k2 = 0x94d049bb133111eb;
    uint64_t a = count ^ (k0 - k1), b = k2, four[4];

    /* Pixels are never like a and b: a factor of 0 would forget what the other was. */
    for (; count >= 8; count -= 8, pixels += 8) {
        __builtin_prefetch(pixels + AHEAD);
        memcpy(four, pixels, sizeof(four));
        a = mix(four[0] ^ k0, four[1] ^ a);
        b = mix(four[2] ^ k1, four[3] ^ b);
    }
    if (count) {
        memset(four, 0, sizeof(four));
        memcpy(four, pixels, count * sizeof(*pixels));
        a = mix(four[0] ^ k0, four[1] ^ a);
        b = mix(four[2] ^ k1, four[3] ^ b);
    }
    return mix(a ^ k1, b ^ k0);
}

/* Pixels of a block: the last one of a row may have fewer. */
static unsigned block_width(const VncSums *sums, unsigned block)
{
    return (unsigned)MIN(VNC_SUM_PIXELS, sums->width - (int)block * VNC_SUM_PIXELS);
}

static void sum_box(const VncSums *sums, uint64_t *to, const VncRows *rows,
                    const pixman_box32_t *box)
{
    unsigned first = (unsigned)box->x1 / VNC_SUM_PIXELS;
    unsigned last = (unsigned)(box->x2 - 1) / VNC_SUM_PIXELS;

    for (int y = box->y1; y < box->y2; y++) {
        const uint32_t *row = rows->pixels + (size_t)(y - box->y1) * rows->stride;

        for (unsigned block = first; block <= last; block++) {
            to[(size_t)y * sums->blocks + block] =
                vnc_sum(row + (size_t)block * VNC_SUM_PIXELS, block_width(sums, block));
        }
    }
}

void vnc_sums_init(VncSums *sums, const VncRows *screen, int width, int height)
{
    pixman_box32_t all = { 0, 0, width, height };
    size_t count;

    vnc_sums_free(sums);
    sums->width = width;
    sums->blocks = (unsigned)(width + VNC_SUM_PIXELS - 1) / VNC_SUM_PIXELS;
    count = (size_t)sums->blocks * (size_t)height;
    sums->seen = g_new(uint64_t, count);
    sums->now = g_new(uint64_t, count);
    sum_box(sums, sums->seen, screen, &all);
}

void vnc_sums_free(VncSums *sums)
{
    g_clear_pointer(&sums->seen, g_free);
    g_clear_pointer(&sums->now, g_free);
}

void vnc_sums_begin(VncSums *sums, int y1, int y2)
{
    size_t at = (size_t)y1 * sums->blocks;

    memcpy(sums->now + at, sums->seen + at, (size_t)(y2 - y1) * sums->blocks * sizeof(*sums->now));
}

void vnc_sums_look(VncSums *sums, const VncRows *rows, const pixman_box32_t *box)
{
    sum_box(sums, sums->now, rows, box);
}

void vnc_sums_took(VncSums *sums, const VncRows *rows, const pixman_box32_t *box)
{
    sum_box(sums, sums->seen, rows, box);
}

bool vnc_sums_differ(const VncSums *sums, unsigned block, int y1, int y2)
{
    for (size_t y = (size_t)y1; y < (size_t)y2; y++) {
        if (sums->seen[y * sums->blocks + block] != sums->now[y * sums->blocks + block]) {
            return true;
        }
    }
    return false;
}

bool vnc_sums_find_differences(const VncSums *sums, int y1, int y2, pixman_box32_t *found)
{
    unsigned first = sums->blocks, last = 0;
    int top = y2, bottom = y1;

    for (int y = y1; y < y2; y++) {
        const uint64_t *seen = sums->seen + (size_t)y * sums->blocks;
        const uint64_t *now = sums->now + (size_t)y * sums->blocks;

        for (unsigned block = 0; block < sums->blocks; block++) {
            if (seen[block] != now[block]) {
                first = MIN(first, block);
                last = MAX(last, block);
                top = MIN(top, y);
                bottom = y + 1;
            }
        }
    }
    *found = (pixman_box32_t){ (int)first * VNC_SUM_PIXELS, top,
                               MIN((int)(last + 1) * VNC_SUM_PIXELS, sums->width), bottom };
    return bottom > top;
}

/* Blocks that a copy moves as a whole. */
static void move_whole(VncSums *sums, const VncCopy *copy)
{
    size_t first = (size_t)(copy->to.x1 + VNC_SUM_PIXELS - 1) / VNC_SUM_PIXELS;
    size_t end = copy->to.x2 == sums->width ? sums->blocks : (size_t)copy->to.x2 / VNC_SUM_PIXELS;
    int rows = copy->to.y2 - copy->to.y1;

    for (int i = 0; i < rows && first < end; i++) {
        int y = copy->dy < 0 ? copy->to.y1 + i : copy->to.y2 - 1 - i;

        memcpy(sums->seen + (size_t)y * sums->blocks + first,
               sums->seen + (size_t)(y - copy->dy) * sums->blocks + first,
               (end - first) * sizeof(*sums->seen));
    }
}

static void sum_column(VncSums *sums, const VncRows *screen, const VncCopy *copy, int x)
{
    pixman_box32_t box = { x, copy->to.y1, x + 1, copy->to.y2 };
    VncRows rows = { screen->pixels + (size_t)copy->to.y1 * screen->stride, screen->stride };

    sum_box(sums, sums->seen, &rows, &box);
}

void vnc_sums_move(VncSums *sums, const VncRows *screen, const VncCopy *copy)
{
    move_whole(sums, copy);
    if (copy->to.x1 % VNC_SUM_PIXELS) {
        sum_column(sums, screen, copy, copy->to.x1);
    }
    if (copy->to.x2 % VNC_SUM_PIXELS && copy->to.x2 < sums->width) {
        sum_column(sums, screen, copy, copy->to.x2 - 1);
    }
}
