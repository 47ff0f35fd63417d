/* SPDX-License-Identifier: MIT */
/*
 * From the display to the copy that clients see, and which parts of it are new. A guest's page that was written has
 * mostly not changed all over: tiles are compared, so that clients get what differs.
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

/* Another surface: a guest that draws in two of them by turns has mostly the same in both. */
static bool take_surface(VncServer *server, pixman_image_t *surface)
{
    int width = MIN(pixman_image_get_width(surface), SIDE_MAX);
    int height = MIN(pixman_image_get_height(surface), SIDE_MAX);
    pixman_image_t *screen, *strip;

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

/* Copies a tile if it differs. */
static bool take_tile(uint32_t *to, size_t to_stride, const uint32_t *from, size_t from_stride,
                      int width, int height)
{
    bool differs = false;

    for (int y = 0; y < height; y++) {
        if (differs || memcmp(to + (size_t)y * to_stride, from + (size_t)y * from_stride,
                              (size_t)width * 4) != 0) {
            differs = true;
            memcpy(to + (size_t)y * to_stride, from + (size_t)y * from_stride, (size_t)width * 4);
        }
    }
    return differs;
}

static bool is_same(const uint32_t *screen, size_t stride, const VncRows *rows,
                    const pixman_box32_t *band)
{
    for (size_t y = 0; y < (size_t)(band->y2 - band->y1); y++) {
        if (memcmp(screen + y * stride + band->x1, rows->pixels + y * rows->stride + band->x1,
                   (size_t)(band->x2 - band->x1) * 4) != 0) {
            return false;
        }
    }
    return true;
}

/* A band of a row of tiles; what differs goes to `found`, neighbours joined. */
static void take_band(VncServer *server, pixman_image_t *surface, const pixman_box32_t *band,
                      GArray *found)
{
    VncRows rows = surface_rows(server, surface, band);
    size_t stride = (size_t)pixman_image_get_stride(server->screen) / 4;
    uint32_t *screen = pixman_image_get_data(server->screen) + (size_t)band->y1 * stride;
    pixman_box32_t *open = NULL;

    if (is_same(screen, stride, &rows, band)) {
        return;
    }
    for (int x = band->x1; x < band->x2; x = (x / TILE + 1) * TILE) {
        int right = MIN((x / TILE + 1) * TILE, band->x2);

        if (!take_tile(screen + x, stride, rows.pixels + x, rows.stride, right - x,
                       band->y2 - band->y1)) {
            open = NULL;
        } else if (open) {
            open->x2 = right;
        } else {
            pixman_box32_t box = { x, band->y1, right, band->y2 };

            g_array_append_val(found, box);
            open = &g_array_index(found, pixman_box32_t, found->len - 1);
        }
    }
}

static void take_box(VncServer *server, pixman_image_t *surface, const pixman_box32_t *box,
                     GArray *found)
{
    for (int y = box->y1; y < box->y2; y = (y / TILE + 1) * TILE) {
        pixman_box32_t band = { box->x1, y, box->x2, MIN((y / TILE + 1) * TILE, box->y2) };

        take_band(server, surface, &band, found);
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

static void take_scrolling(VncServer *server, pixman_image_t *surface)
{
    pixman_box32_t box = *pixman_region32_extents(&server->changed);
    VncRows before = { pixman_image_get_data(server->screen),
                       (size_t)pixman_image_get_stride(server->screen) / 4 };
    VncRows now = { pixman_image_get_data(surface), (size_t)pixman_image_get_stride(surface) / 4 };
    VncCopy copy;
    VncScroll found;

    if (pixman_image_get_format(surface) != PIXMAN_x8r8g8b8 || !wants_copies(server) ||
        !is_time_to_look(server)) {
        return;
    }
    found = vnc_scroll_find(&before, &now, &box, &copy);
    pixman_region32_intersect_rect(&server->changed, &server->changed, box.x1, box.y1,
                                   (unsigned)(box.x2 - box.x1), (unsigned)(box.y2 - box.y1));
    if (found == VNC_SCROLL_OTHER) {
        server->scroll_misses = MIN(server->scroll_misses + 1, SCROLL_PAUSE_MAX);
        server->scroll_pause = server->scroll_misses / 4;
    }
    if (found != VNC_SCROLL_FOUND) {
        return;
    }
    server->scroll_misses = 0;
    move_rows(server->screen, &copy);
    /* What it made wrong is found below, also where nothing had changed. */
    pixman_region32_union_rect(&server->changed, &server->changed, copy.to.x1, copy.to.y1,
                               (unsigned)(copy.to.x2 - copy.to.x1),
                               (unsigned)(copy.to.y2 - copy.to.y1));
    for (guint i = 0; i < server->clients->len; i++) {
        vnc_client_copy(server->clients->pdata[i], &copy);
    }
}

static void tell_clients(VncServer *server, GArray *found)
{
    pixman_region32_t region;

    pixman_region32_init_rects(&region, (pixman_box32_t *)(void *)found->data, (int)found->len);
    for (guint i = 0; i < server->clients->len; i++) {
        VncClient *client = server->clients->pdata[i];

        if (client->ready) {
            pixman_region32_union(&client->damage, &client->damage, &region);
            vnc_client_kick(client);
        }
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

void vnc_screen_take(VncServer *server)
{
    pixman_image_t *surface = display_surface(server->display);
    pixman_region32_t *changed = &server->changed;
    g_autoptr(GArray) found = NULL;
    pixman_box32_t *boxes;
    int count;

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
    take_scrolling(server, surface);
    boxes = pixman_region32_rectangles(changed, &count);
    found = g_array_new(false, false, sizeof(pixman_box32_t));
    for (int i = 0; i < count; i++) {
        take_box(server, surface, &boxes[i], found);
    }
    pixman_region32_clear(changed);
    if (found->len) {
        tell_clients(server, found);
    }
}
