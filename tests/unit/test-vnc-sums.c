/* SPDX-License-Identifier: MIT */
/* What differs between two pictures, by sums; and what has only moved. */
#include <string.h>

#include "ui/vnc/vnc.h"

enum { WIDTH = 333, HEIGHT = 120 };

typedef struct {
    uint32_t screen[HEIGHT][WIDTH], display[HEIGHT][WIDTH];
    VncSums sums;
} Picture;

static VncRows rows_of(uint32_t pixels[HEIGHT][WIDTH], int y)
{
    return (VncRows){ pixels[y], WIDTH };
}

static void begin(Picture *picture)
{
    VncRows rows = rows_of(picture->screen, 0);

    for (unsigned i = 0; i < WIDTH * HEIGHT; i++) {
        picture->screen[i / WIDTH][i % WIDTH] = g_test_rand_int() & 0xffffff;
    }
    memcpy(picture->display, picture->screen, sizeof(picture->screen));
    vnc_sums_init(&picture->sums, &rows, WIDTH, HEIGHT);
}

static bool look(Picture *picture, const pixman_box32_t *box, pixman_box32_t *found)
{
    VncRows rows = rows_of(picture->display, box->y1);

    vnc_sums_begin(&picture->sums, box->y1, box->y2);
    vnc_sums_look(&picture->sums, &rows, box);
    return vnc_sums_find_differences(&picture->sums, box->y1, box->y2, found);
}

static void test_sum(void)
{
    uint32_t pixels[VNC_SUM_PIXELS] = { 0 };
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);

    /* Of each length, and with each bit of each pixel: none is like another. */
    for (unsigned count = 0; count <= VNC_SUM_PIXELS; count++) {
        uint64_t sum = vnc_sum(pixels, count);

        g_assert_true(g_hash_table_add(seen, g_memdup2(&sum, sizeof(sum))));
    }
    for (unsigned bit = 0; bit < 32 * VNC_SUM_PIXELS; bit++) {
        uint64_t sum;

        pixels[bit / 32] ^= 1u << bit % 32;
        sum = vnc_sum(pixels, VNC_SUM_PIXELS);
        g_assert_true(g_hash_table_add(seen, g_memdup2(&sum, sizeof(sum))));
        pixels[bit / 32] ^= 1u << bit % 32;
    }
}

static void test_differences(void)
{
    Picture *picture = g_new0(Picture, 1);
    pixman_box32_t all = { 0, 0, WIDTH, HEIGHT }, found;

    begin(picture);
    g_assert_false(look(picture, &all, &found));
    for (int i = 0; i < 200; i++) {
        int x = g_test_rand_int_range(0, WIDTH), y = g_test_rand_int_range(0, HEIGHT);
        pixman_box32_t one = { x, y, x + 1, y + 1 };
        VncRows rows = rows_of(picture->screen, y);

        picture->display[y][x] ^= 1u << g_test_rand_int_range(0, 32);
        g_assert_true(look(picture, i % 2 ? &one : &all, &found));
        g_assert_cmpint(found.y1, ==, y);
        g_assert_cmpint(found.y2, ==, y + 1);
        g_assert_cmpint(found.x1, ==, x / VNC_SUM_PIXELS * VNC_SUM_PIXELS);
        g_assert_cmpint(found.x2, ==, MIN(found.x1 + VNC_SUM_PIXELS, WIDTH));
        g_assert_true(vnc_sums_differ(&picture->sums, (unsigned)x / VNC_SUM_PIXELS, y, y + 1));
        picture->screen[y][x] = picture->display[y][x];
        vnc_sums_took(&picture->sums, &rows, &one);
        g_assert_false(look(picture, &all, &found));
    }
    vnc_sums_free(&picture->sums);
    g_free(picture);
}

/* The display: a part has moved by dy rows; beside it, all stands still. */
static void move(Picture *picture, const pixman_box32_t *part, int dy)
{
    for (int y = part->y1; y < part->y2; y++) {
        bool inside = y - dy >= part->y1 && y - dy < part->y2;

        for (int x = part->x1; x < part->x2; x++) {
            picture->display[y][x] =
                inside ? picture->screen[y - dy][x] : g_test_rand_int() & 0xffffff;
        }
    }
}

/* As the screen does it: the copy, and its sums. */
static void follow(Picture *picture, const VncCopy *copy)
{
    VncRows screen = rows_of(picture->screen, 0);
    uint32_t(*before)[WIDTH] = g_memdup2(picture->screen, sizeof(picture->screen));

    for (int y = copy->to.y1; y < copy->to.y2; y++) {
        memcpy(&picture->screen[y][copy->to.x1], &before[y - copy->dy][copy->to.x1],
               (size_t)(copy->to.x2 - copy->to.x1) * 4);
    }
    vnc_sums_move(&picture->sums, &screen, copy);
    g_free(before);
}

static void test_scroll(void)
{
    static const pixman_box32_t parts[] = {
        { 0, 0, WIDTH, HEIGHT }, { 64, 10, 256, 110 }, { 63, 10, 257, 110 }, { 70, 0, 120, 90 },
        { 1, 20, 65, 120 },      { 200, 0, 333, 60 },  { 100, 5, 320, 119 },
    };
    Picture *picture = g_new0(Picture, 1);
    pixman_box32_t all = { 0, 0, WIDTH, HEIGHT }, found;
    VncRows before = rows_of(picture->screen, 0), now = rows_of(picture->display, 0);

    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(parts); i++) {
        const pixman_box32_t *part = &parts[i / 2];
        int dy = i % 2 ? 7 : -16, height = part->y2 - part->y1;
        VncCopy copy;
        VncSums fresh = { 0 };

        begin(picture);
        move(picture, part, dy);
        g_assert_true(look(picture, &all, &found));
        g_assert_cmpint(vnc_scroll_find(&picture->sums, &before, &now, &found, &copy), ==,
                        VNC_SCROLL_FOUND);
        g_assert_cmpint(copy.dy, ==, dy);
        g_assert_cmpint(copy.to.x1, ==, part->x1);
        g_assert_cmpint(copy.to.x2, ==, part->x2);
        g_assert_cmpint(copy.to.y2 - copy.to.y1, ==, height - ABS(dy));
        follow(picture, &copy);
        vnc_sums_init(&fresh, &before, WIDTH, HEIGHT);
        g_assert_cmpmem(fresh.seen, fresh.blocks * HEIGHT * 8, picture->sums.seen,
                        fresh.blocks * HEIGHT * 8);
        vnc_sums_free(&fresh);
        /* Noise is no scrolling. */
        begin(picture);
        move(picture, part, 1000);
        g_assert_true(look(picture, &all, &found));
        g_assert_cmpint(vnc_scroll_find(&picture->sums, &before, &now, &found, &copy), !=,
                        VNC_SCROLL_FOUND);
    }
    vnc_sums_free(&picture->sums);
    g_free(picture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vnc/sums/sum", test_sum);
    g_test_add_func("/vnc/sums/differences", test_differences);
    g_test_add_func("/vnc/sums/scroll", test_scroll);
    return g_test_run();
}
