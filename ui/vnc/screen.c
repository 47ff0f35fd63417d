/* SPDX-License-Identifier: MIT */
/*
 * From the display to the copy that clients see, and which parts of it are new. A guest's page that was written has
 * mostly not changed all over: sums tell which blocks differ (sums.c), and tiles of those are compared.
 */
#include <string.h>

#include "ui/vnc/vnc.h"

enum { TILE = 16, SIDE_MAX = 16384, SCROLL_PAUSE_MAX = 32 };

static VncServer *server_of(DisplayListener *listener)
{
    return (VncServer *)((char *)listener - offsetof(VncServer, listener));
}

static void tell_surface(DisplayListener *listener, pixman_image_t *surface)
{
    server_of(listener)->surface_changed = true;
}

static void tell_damage(DisplayListener *listener, int x, int y, int width, int height)
{
    VncServer *server = server_of(listener);

    if (width > 0 && height > 0) {
        pixman_region32_union_rect(&server->changed, &server->changed, x, y, (unsigned)width,
                                   (unsigned)height);
    }
}

static void tell_cursor(DisplayListener *listener, bool image)
{
    VncServer *server = server_of(listener);
    const DisplayCursor *cursor = display_cursor(server->display);

    server->cursor_changed |= image || cursor->shown != server->cursor_shown;
    server->cursor_shown = cursor->shown;
    server->cursor_known |= cursor->image != NULL;
}

static void tell_refreshed(DisplayListener *listener)
{
    vnc_screen_take(server_of(listener));
}

static void tell_gone(DisplayListener *listener)
{
    VncServer *server = server_of(listener);

    server->watching = server->fixed_display = server->cursor_known = false;
    seat_set_display(&server->seat, NULL);
    server->display = NULL;
    vnc_server_select(server, seat_console(server->machine, 0));
}

const DisplayListener vnc_display_listener = {
    .surface_changed = tell_surface,
    .damaged = tell_damage,
    .cursor_changed = tell_cursor,
    .refreshed = tell_refreshed,
    .gone = tell_gone,
    .pace_ms = VNC_PACE_MS,
};

static void replace(pixman_image_t **image, pixman_image_t *by)
{
    if (*image) {
        pixman_image_unref(*image);
    }
    *image = by;
}

static void damage_clients(VncServer *server)
{
    for (guint i = 0; i < server->clients->len; i++) {
        vnc_client_damage_all(server->clients->pdata[i]);
    }
}

static VncRows screen_rows(VncServer *server, int y)
{
    size_t stride = (size_t)pixman_image_get_stride(server->screen) / 4;

    return (VncRows){ pixman_image_get_data(server->screen) + (size_t)y * stride, stride };
}

/* Another surface: a guest that draws in two of them by turns has mostly the same in both. */
static bool take_surface(VncServer *server, pixman_image_t *surface)
{
    int width = MIN(pixman_image_get_width(surface), SIDE_MAX);
    int height = MIN(pixman_image_get_height(surface), SIDE_MAX);
    pixman_image_t *screen, *strip;
    VncRows rows;

    pixman_region32_fini(&server->changed);
    pixman_region32_init_rect(&server->changed, 0, 0, (unsigned)width, (unsigned)height);
    if (server->strip && width == pixman_image_get_width(server->screen) &&
        height == pixman_image_get_height(server->screen)) {
        server->surface_changed = false;
        return true;
    }
    screen = pixman_image_create_bits(PIXMAN_x8r8g8b8, width, height, NULL, 0);
    strip = pixman_image_create_bits(PIXMAN_x8r8g8b8, width, TILE, NULL, 0);

    if (!screen || !strip) {
        replace(&screen, NULL);
        replace(&strip, NULL);
        return false; /* no memory: clients go on with what they have */
    }
    replace(&server->screen, screen);
    replace(&server->strip, strip);
    rows = screen_rows(server, 0);
    vnc_sums_init(&server->sums, &rows, width, height);
    server->surface_changed = false;
    damage_clients(server);
    return true;
}

/* Rows y to y + height of the surface as our pixels: its own memory where that is the same, else converted. */
static VncRows surface_rows(VncServer *server, pixman_image_t *surface, const pixman_box32_t *box)
{
    if (pixman_image_get_format(surface) == PIXMAN_x8r8g8b8) {
        size_t stride = (size_t)pixman_image_get_stride(surface) / 4;

        return (VncRows){ pixman_image_get_data(surface) + (size_t)box->y1 * stride, stride };
    }
    pixman_image_composite32(PIXMAN_OP_SRC, surface, NULL, server->strip, box->x1, box->y1, 0, 0,
                             box->x1, 0, box->x2 - box->x1, box->y2 - box->y1);
    return (VncRows){ pixman_image_get_data(server->strip),
                      (size_t)pixman_image_get_stride(server->strip) / 4 };
}

/* What is between the first and the last that are not 0; false: all are. */
static bool find_ends(const uint32_t values[TILE], int *first, int *end)
{
    for (*first = 0; *first < TILE && !values[*first]; ++*first) {
    }
    for (*end = TILE; *end > *first && !values[*end - 1]; --*end) {
    }
    return *end > *first;
}

/* Nearly all tiles are whole: of a length that the compiler knows, no function is called for a row. */
static void copy_pixels(uint32_t *to, const uint32_t *from, int width)
{
    if (width == TILE) {
        memcpy(to, from, TILE * sizeof(*to));
    } else {
        memcpy(to, from, (size_t)width * sizeof(*to));
    }
}

/*
 * Copies a tile if it differs; part: the pixels of it that do and what is between them. The guest may draw meanwhile: its memory is read once.
 */
static bool take_tile(uint32_t *to, size_t to_stride, const uint32_t *from, size_t from_stride,
                      int width, int height, pixman_box32_t *part)
{
    uint32_t columns[TILE] = { 0 }, rows[TILE] = { 0 }, now[TILE], before[TILE];

    memset(now, 0, sizeof(now));
    memset(before, 0, sizeof(before));
    for (int y = 0; y < height; y++) {
        copy_pixels(now, from + (size_t)y * from_stride, width);
        copy_pixels(before, to + (size_t)y * to_stride, width);
        for (int x = 0; x < TILE; x++) {
            columns[x] |= now[x] ^ before[x];
            rows[y] |= now[x] ^ before[x];
        }
        if (rows[y]) {
            copy_pixels(to + (size_t)y * to_stride, now, width);
        }
    }
    return find_ends(rows, &part->y1, &part->y2) && find_ends(columns, &part->x1, &part->x2);
}

static int band_end(int y, int end)
{
    return MIN((y / TILE + 1) * TILE, end);
}

/* Sums of what the display shows in a box now. */
static void look(VncServer *server, pixman_image_t *surface, const pixman_box32_t *box)
{
    for (int y = box->y1; y < box->y2; y = band_end(y, box->y2)) {
        pixman_box32_t band = { box->x1 / VNC_SUM_PIXELS * VNC_SUM_PIXELS, y, box->x2,
                                band_end(y, box->y2) };
        VncRows rows;

        band.x2 = MIN((band.x2 + VNC_SUM_PIXELS - 1) / VNC_SUM_PIXELS * VNC_SUM_PIXELS,
                      server->sums.width);
        rows = surface_rows(server, surface, &band);
        vnc_sums_look(&server->sums, &rows, &band);
    }
}

/* A block of a row of tiles; the pixels that differ go to `found`, those of neighbours together. */
static void take_block(VncServer *server, const VncRows *rows, const pixman_box32_t *block,
                       GArray *found)
{
    size_t stride = (size_t)pixman_image_get_stride(server->screen) / 4;
    uint32_t *screen = pixman_image_get_data(server->screen) + (size_t)block->y1 * stride;

    for (int x = block->x1; x < block->x2; x += TILE) {
        pixman_box32_t part;
        pixman_box32_t *last =
            found->len ? &g_array_index(found, pixman_box32_t, found->len - 1) : NULL;

        if (!take_tile(screen + x, stride, rows->pixels + x, rows->stride, MIN(TILE, block->x2 - x),
                       block->y2 - block->y1, &part)) {
            continue;
        }
        part.x1 += x;
        part.x2 += x;
        part.y1 += block->y1;
        part.y2 += block->y1;
        if (last && last->y2 > block->y1 && last->x2 > x - TILE) {
            last->x2 = part.x2;
            last->y1 = MIN(last->y1, part.y1);
            last->y2 = MAX(last->y2, part.y2);
        } else {
            g_array_append_val(found, part);
        }
    }
}

/* All blocks of a row of tiles that differ. */
static void take_band(VncServer *server, pixman_image_t *surface, const pixman_box32_t *band,
                      GArray *found)
{
    VncRows from = { NULL, 0 }, screen = screen_rows(server, band->y1);

    for (int x = band->x1; x < band->x2; x += VNC_SUM_PIXELS) {
        pixman_box32_t block = { x, band->y1, MIN(x + VNC_SUM_PIXELS, band->x2), band->y2 };

        if (!vnc_sums_differ(&server->sums, (unsigned)x / VNC_SUM_PIXELS, band->y1, band->y2)) {
            continue;
        }
        if (!from.pixels) {
            from = surface_rows(server, surface, band);
        }
        take_block(server, &from, &block, found);
        /* Of what was copied: the guest may have drawn since it was looked at. */
        vnc_sums_took(&server->sums, &screen, &block);
    }
}

/* Scrolling. */

static bool wants_copies(const VncServer *server)
{
    for (guint i = 0; i < server->clients->len; i++) {
        const VncClient *client = server->clients->pdata[i];

        if (client->ready && client->features & VNC_CAN_COPY) {
            return true;
        }
    }
    return false;
}

/* Within the copy of the screen. */
static void move_rows(pixman_image_t *screen, const VncCopy *copy)
{
    ptrdiff_t stride = pixman_image_get_stride(screen) / 4;
    uint32_t *pixels = pixman_image_get_data(screen) + copy->to.x1;
    size_t bytes = (size_t)(copy->to.x2 - copy->to.x1) * 4;

    if (copy->dy < 0) {
        for (int y = copy->to.y1; y < copy->to.y2; y++) {
            memcpy(pixels + y * stride, pixels + (y - copy->dy) * stride, bytes);
        }
    } else {
        for (int y = copy->to.y2; y-- > copy->to.y1;) {
            memcpy(pixels + y * stride, pixels + (y - copy->dy) * stride, bytes);
        }
    }
}

/* A film does not scroll: after looks in vain some are left out. */
static bool is_time_to_look(VncServer *server)
{
    if (server->scroll_pause) {
        server->scroll_pause--;
        return false;
    }
    return true;
}

/* box: what is around all that differs. */
static void take_scrolling(VncServer *server, pixman_image_t *surface, const pixman_box32_t *box)
{
    VncRows before = screen_rows(server, 0);
    VncRows now = { pixman_image_get_data(surface), (size_t)pixman_image_get_stride(surface) / 4 };
    VncCopy copy;
    VncScroll found;

    if (pixman_image_get_format(surface) != PIXMAN_x8r8g8b8 || !wants_copies(server) ||
        !is_time_to_look(server)) {
        return;
    }
    found = vnc_scroll_find(&server->sums, &before, &now, box, &copy);
    if (found == VNC_SCROLL_OTHER) {
        server->scroll_misses = MIN(server->scroll_misses + 1, SCROLL_PAUSE_MAX);
        server->scroll_pause = server->scroll_misses / 4;
    }
    if (found != VNC_SCROLL_FOUND) {
        return;
    }
    server->scroll_misses = 0;
    move_rows(server->screen, &copy);
    /* What it made wrong is found below. */
    vnc_sums_move(&server->sums, &before, &copy);
    for (guint i = 0; i < server->clients->len; i++) {
        vnc_client_copy(server->clients->pdata[i], &copy);
    }
}

static void tell_clients(VncServer *server, GArray *found)
{
    pixman_region32_t region;

    pixman_region32_init_rects(&region, (pixman_box32_t *)(void *)found->data, (int)found->len);
    for (guint i = 0; i < server->clients->len; i++) {
        vnc_client_damage(server->clients->pdata[i], &region);
    }
    pixman_region32_fini(&region);
}

/* Lights and the way the pointer works are looked at as often as pixels. */
static void take_input_state(VncServer *server)
{
    unsigned leds = input_leds(server->machine, server->display);
    bool absolute = seat_is_absolute(&server->seat);

    for (guint i = 0; i < server->clients->len; i++) {
        VncClient *client = server->clients->pdata[i];

        client->send_leds |= leds != server->leds;
        client->send_motion |= client->absolute != absolute;
        client->send_cursor |= server->cursor_changed;
        if (client->send_leds || client->send_motion || client->send_cursor) {
            vnc_client_kick(client);
        }
    }
    server->leds = leds;
    server->absolute = absolute;
    server->cursor_changed = false;
}

/* What differs in the region, and the box around it. */
static bool find_differences(VncServer *server, pixman_image_t *surface, pixman_region32_t *region,
                             pixman_box32_t *found)
{
    const pixman_box32_t *around = pixman_region32_extents(region);
    int count;
    const pixman_box32_t *boxes = pixman_region32_rectangles(region, &count);

    vnc_sums_begin(&server->sums, around->y1, around->y2);
    for (int i = 0; i < count; i++) {
        look(server, surface, &boxes[i]);
    }
    return vnc_sums_find_differences(&server->sums, around->y1, around->y2, found);
}

void vnc_screen_take(VncServer *server)
{
    pixman_image_t *surface = display_surface(server->display);
    pixman_region32_t *changed = &server->changed;
    g_autoptr(GArray) found = NULL;
    pixman_box32_t box;

    take_input_state(server);
    if (server->surface_changed && !take_surface(server, surface)) {
        return;
    }
    pixman_region32_intersect_rect(changed, changed, 0, 0,
                                   (unsigned)pixman_image_get_width(server->screen),
                                   (unsigned)pixman_image_get_height(server->screen));
    if (!pixman_region32_not_empty(changed)) {
        return;
    }
    if (find_differences(server, surface, changed, &box)) {
        take_scrolling(server, surface, &box);
        found = g_array_new(false, false, sizeof(pixman_box32_t));
        for (int y = box.y1; y < box.y2; y = band_end(y, box.y2)) {
            pixman_box32_t band = { box.x1, y, box.x2, band_end(y, box.y2) };

            take_band(server, surface, &band, found);
        }
        tell_clients(server, found);
    }
    pixman_region32_clear(changed);
}
