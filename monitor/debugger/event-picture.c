/* SPDX-License-Identifier: MIT */
/*
 * Events on what a display shows: it is refreshed some times a second, and compared with a file when something has changed. A pixel differs when one of
 * its colours is off by more than a little; a picture fits when at most so many pixels differ.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "monitor/debugger/private.h"
#include "monitor/image-file.h"

enum { PACE_MS = 100, COLOUR_OFF = 16 };

typedef struct PictureWatch {
    DisplayListener listener;
    Breakpoint *breakpoint;
    Display *display;
    char *label;
    pixman_image_t *wanted; /* x8r8g8b8 */
    bool changed;           /* since it was compared */
    bool fits;              /* it did, and is not told of again until it has changed */
} PictureWatch;

static unsigned colour_off(uint32_t a, uint32_t b, unsigned shift)
{
    return (unsigned)abs((int)(a >> shift & 0xff) - (int)(b >> shift & 0xff));
}

static bool pixel_differs(uint32_t a, uint32_t b)
{
    return colour_off(a, b, 0) > COLOUR_OFF || colour_off(a, b, 8) > COLOUR_OFF ||
           colour_off(a, b, 16) > COLOUR_OFF;
}

/* Both x8r8g8b8 and of one size: how many pixels differ, or more than `most`. */
static uint64_t differing(pixman_image_t *a, pixman_image_t *b, uint64_t most)
{
    int width = pixman_image_get_width(a), height = pixman_image_get_height(a);
    uint64_t count = 0;

    for (int y = 0; y < height && count <= most; y++) {
        const uint32_t *one =
            pixman_image_get_data(a) + (size_t)y * (size_t)pixman_image_get_stride(a) / 4;
        const uint32_t *other =
            pixman_image_get_data(b) + (size_t)y * (size_t)pixman_image_get_stride(b) / 4;

        for (int x = 0; x < width; x++) {
            count += pixel_differs(one[x], other[x]);
        }
    }
    return count;
}

static bool fits(const PictureWatch *watch)
{
    pixman_image_t *shown = display_surface(watch->display), *copy;
    int width = pixman_image_get_width(watch->wanted);
    int height = pixman_image_get_height(watch->wanted);
    uint64_t most =
        (uint64_t)width * (uint64_t)height * watch->breakpoint->request.event_tolerance / 10000;
    bool same;

    if (!shown || pixman_image_get_width(shown) != width ||
        pixman_image_get_height(shown) != height) {
        return false;
    }
    copy = pixman_image_create_bits(PIXMAN_x8r8g8b8, width, height, NULL, 0);
    if (!copy) {
        return false;
    }
    pixman_image_composite32(PIXMAN_OP_SRC, shown, NULL, copy, 0, 0, 0, 0, 0, 0, width, height);
    same = differing(copy, watch->wanted, most) <= most;
    pixman_image_unref(copy);
    return same;
}

static PictureWatch *watch_of(DisplayListener *listener)
{
    return (PictureWatch *)listener;
}

static void surface_changed(DisplayListener *listener, pixman_image_t *surface)
{
    watch_of(listener)->changed = true;
}

static void damaged(DisplayListener *listener, int x, int y, int width, int height)
{
    watch_of(listener)->changed = true;
}

static void refreshed(DisplayListener *listener)
{
    PictureWatch *watch = watch_of(listener);
    bool before = watch->fits;

    if (!watch->changed) {
        return;
    }
    watch->changed = false;
    watch->fits = fits(watch);
    if (watch->fits && !before) {
        event_fire(watch->breakpoint, NULL, &(DebugEvent){ .who = watch->label });
    }
}

static void gone(DisplayListener *listener)
{
    watch_of(listener)->display = NULL;
}

/* "VGA" is its first head, "VGA.0". */
static bool is_called(const char *own, const char *label)
{
    size_t length = strlen(label);

    return g_ascii_strncasecmp(own, label, length) == 0 &&
           (!own[length] || strcmp(own + length, ".0") == 0);
}

static Display *find_display(Machine *machine, const char *label, GError **error)
{
    GPtrArray *displays = machine_displays(machine);
    g_autoptr(GString) known = g_string_new(NULL);

    for (unsigned i = 0; i < displays->len; i++) {
        g_autofree char *own = display_label(displays->pdata[i]);

        if (!label || is_called(own, label)) {
            return displays->pdata[i];
        }
        g_string_append_printf(known, " %s", own);
    }
    error_fail(error, KASO_ERROR_NOT_FOUND,
               label ? "there is no display '%s'; there are:%s" : "the machine has no display%s%s",
               label ? label : "", known->str);
    return NULL;
}

bool picture_set(Breakpoint *breakpoint, Vcpu *vcpu, GError **error)
{
    Display *display = find_display(vcpu->machine, breakpoint->request.event_who, error);
    pixman_image_t *wanted =
        display ? image_file_read(breakpoint->request.event_text, error) : NULL;
    PictureWatch *watch;
    g_autofree char *label = NULL;

    if (!wanted) {
        return false;
    }
    label = display_label(display);
    watch = g_new0(PictureWatch, 1);
    *watch = (PictureWatch){ .listener = { .surface_changed = surface_changed,
                                           .damaged = damaged,
                                           .refreshed = refreshed,
                                           .gone = gone,
                                           .pace_ms = PACE_MS },
                             .breakpoint = breakpoint,
                             .display = display,
                             .label = (char *)g_intern_string(label),
                             .wanted = wanted,
                             .changed = true };
    breakpoint->picture = watch;
    display_add_listener(display, &watch->listener);
    return true;
}

void picture_clear(Breakpoint *breakpoint)
{
    PictureWatch *watch = breakpoint->picture;

    breakpoint->picture = NULL;
    if (!watch) {
        return;
    }
    if (watch->display) {
        display_remove_listener(watch->display, &watch->listener);
    }
    pixman_image_unref(watch->wanted);
    g_free(watch);
}
