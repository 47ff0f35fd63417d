/* SPDX-License-Identifier: MIT */
#include "machine/display.h"

#include "base/error.h"
#include "machine/private.h"

struct Display {
    Machine *machine;
    Device *device; /* NULL: a text console */
    char *label;    /* of a text console */
    unsigned head;
    const DisplayOps *ops;
    void *opaque;
    pixman_image_t *surface;
    bool on;
    DisplayCursor cursor;
    GPtrArray *listeners; /* DisplayListener * */
    bool whole;           /* a listener has not seen the surface yet */
    unsigned pace_ms;     /* that lookers want, 0: none does */
    unsigned wait_ms;     /* of the timer now: longer, the longer nothing has changed */
    bool changed;         /* since the last refresh by pace */
    GSource *timer;       /* NULL without a pace */
};

enum { QUIET_MS = 200 }; /* the longest wait for a first change, where nobody types either */

static pixman_image_t *black(int width, int height)
{
    return pixman_image_create_bits(PIXMAN_x8r8g8b8, width, height, NULL, 0);
}

static Display *create(Machine *machine, const DisplayOps *ops, void *opaque)
{
    Display *display = g_new0(Display, 1);

    display->machine = machine;
    display->ops = ops;
    display->opaque = opaque;
    display->listeners = g_ptr_array_new();
    display->surface = black(640, 480);
    display->on = true;
    return display;
}

Display *display_new(Device *device, unsigned head, const DisplayOps *ops, void *opaque)
{
    Display *display = create(device->machine, ops, opaque);
    GPtrArray *displays = device->machine->private->displays;
    guint at = 0;

    display->device = device;
    display->head = head;
    while (at < displays->len && ((Display *)displays->pdata[at])->device) {
        at++;
    }
    g_ptr_array_insert(displays, (gint)at, display);
    return display;
}

Display *display_new_text(Machine *machine, const char *label, const DisplayOps *ops, void *opaque)
{
    Display *display = create(machine, ops, opaque);

    display->label = g_strdup(label);
    g_ptr_array_add(machine->private->displays, display);
    return display;
}

void display_free(Display *display)
{
    g_ptr_array_remove(display->machine->private->displays, display);
    while (display->listeners->len) {
        DisplayListener *listener = display->listeners->pdata[0];

        display_remove_listener(display, listener);
        if (listener->gone) {
            listener->gone(listener);
        }
    }
    g_ptr_array_unref(display->listeners);
    pixman_image_unref(display->surface);
    if (display->cursor.image) {
        pixman_image_unref(display->cursor.image);
    }
    g_free(display->label);
    g_free(display);
}

void display_expect(Display *display)
{
    gint64 at_us = g_get_monotonic_time() + display->pace_ms * (gint64)1000;

    if (display->timer && display->wait_ms != display->pace_ms) {
        display->wait_ms = display->pace_ms;
        if (g_source_get_ready_time(display->timer) > at_us) {
            g_source_set_ready_time(display->timer, at_us);
        }
    }
}

/* The device has told of something, perhaps long before the timer would have asked. */
static void tell_change(Display *display)
{
    display->changed = true;
    display_expect(display);
}

void display_set_surface(Display *display, pixman_image_t *surface)
{
    pixman_image_t *old = display->surface;

    tell_change(display);
    display->on = surface != NULL;
    display->surface =
        surface ? surface : black(pixman_image_get_width(old), pixman_image_get_height(old));
    pixman_image_unref(old);
    for (guint i = 0; i < display->listeners->len; i++) {
        DisplayListener *listener = display->listeners->pdata[i];

        if (listener->surface_changed) {
            listener->surface_changed(listener, display->surface);
        }
    }
}

void display_damage(Display *display, int x, int y, int width, int height)
{
    tell_change(display);
    for (guint i = 0; i < display->listeners->len; i++) {
        DisplayListener *listener = display->listeners->pdata[i];

        if (listener->damaged) {
            listener->damaged(listener, x, y, width, height);
        }
    }
}

void display_damage_region(Display *display, const pixman_region32_t *region)
{
    int count;
    const pixman_box32_t *box =
        pixman_region32_rectangles((pixman_region32_t *)(uintptr_t)region, &count);

    for (; count--; box++) {
        display_damage(display, box->x1, box->y1, box->x2 - box->x1, box->y2 - box->y1);
    }
}

pixman_image_t *display_surface(Display *display)
{
    return display->surface;
}

bool display_is_on(const Display *display)
{
    return display->on;
}

bool display_is_watched(const Display *display)
{
    return display->listeners->len > 0;
}

static void tell_cursor(Display *display, bool image)
{
    tell_change(display);
    for (guint i = 0; i < display->listeners->len; i++) {
        DisplayListener *listener = display->listeners->pdata[i];

        if (listener->cursor_changed) {
            listener->cursor_changed(listener, image);
        }
    }
}

void display_set_cursor(Display *display, pixman_image_t *image, int hot_x, int hot_y)
{
    DisplayCursor *cursor = &display->cursor;

    if (cursor->image) {
        pixman_image_unref(cursor->image);
    }
    cursor->image = image;
    cursor->hot_x = hot_x;
    cursor->hot_y = hot_y;
    tell_cursor(display, true);
}

void display_move_cursor(Display *display, int x, int y, bool shown)
{
    DisplayCursor *cursor = &display->cursor;

    if (cursor->x != x || cursor->y != y || cursor->shown != shown) {
        cursor->x = x;
        cursor->y = y;
        cursor->shown = shown;
        tell_cursor(display, false);
    }
}

const DisplayCursor *display_cursor(const Display *display)
{
    return &display->cursor;
}

static void set_next_refresh(Display *display)
{
    unsigned longest_ms = MAX(display->pace_ms, QUIET_MS);

    display->wait_ms =
        display->changed ? display->pace_ms : MIN(display->wait_ms + display->pace_ms, longest_ms);
    display->changed = false;
    g_source_set_ready_time(display->timer,
                            g_get_monotonic_time() + display->wait_ms * (gint64)1000);
}

static gboolean refresh_by_pace(gpointer opaque)
{
    Display *display = opaque;
    Machine *machine = display->machine;
    bool gone;

    machine_lock(machine);
    /* It may have been freed while this waited for the lock. */
    gone = g_source_is_destroyed(g_main_current_source());
    if (!gone) {
        display_refresh(display);
        set_next_refresh(display);
        for (guint i = 0; i < display->listeners->len; i++) {
            DisplayListener *listener = display->listeners->pdata[i];

            if (listener->pace_ms && listener->refreshed) {
                listener->refreshed(listener);
            }
        }
    }
    machine_unlock(machine);
    return gone ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

static gboolean dispatch_timer(GSource *source, GSourceFunc callback, gpointer opaque)
{
    return callback(opaque);
}

static GSource *new_timer(Display *display)
{
    static GSourceFuncs functions = { .dispatch = dispatch_timer };
    GSource *timer = g_source_new(&functions, sizeof(GSource));

    g_source_set_callback(timer, refresh_by_pace, display, NULL);
    g_source_set_ready_time(timer, g_get_monotonic_time() + display->pace_ms * (gint64)1000);
    g_source_attach(timer, NULL);
    return timer;
}

/* The shortest pace that a listener wants. */
static void set_timer(Display *display)
{
    unsigned pace_ms = 0;

    for (guint i = 0; i < display->listeners->len; i++) {
        const DisplayListener *listener = display->listeners->pdata[i];

        if (listener->pace_ms && (!pace_ms || listener->pace_ms < pace_ms)) {
            pace_ms = listener->pace_ms;
        }
    }
    if (pace_ms != display->pace_ms) {
        display->pace_ms = pace_ms;
        if (display->timer) {
            g_source_destroy(display->timer);
            g_clear_pointer(&display->timer, g_source_unref);
        }
        if (pace_ms) {
            display->wait_ms = pace_ms;
            display->timer = new_timer(display);
        }
    }
}

void display_add_listener(Display *display, DisplayListener *listener)
{
    g_ptr_array_add(display->listeners, listener);
    display->whole = true;
    if (display->listeners->len == 1 && display->ops->watched) {
        display->ops->watched(display->opaque, true);
    }
    if (listener->surface_changed) {
        listener->surface_changed(listener, display->surface);
    }
    if (listener->cursor_changed) {
        listener->cursor_changed(listener, true);
    }
    set_timer(display);
}

void display_remove_listener(Display *display, DisplayListener *listener)
{
    if (g_ptr_array_remove(display->listeners, listener)) {
        set_timer(display);
        if (!display->listeners->len && display->ops->watched) {
            display->ops->watched(display->opaque, false);
        }
    }
}

void display_set_pace(Display *display, DisplayListener *listener, unsigned pace_ms)
{
    listener->pace_ms = pace_ms;
    set_timer(display);
}

void display_refresh(Display *display)
{
    bool whole = display->whole;

    display->whole = false;
    memory_flush_late(display->machine);
    display->ops->update(display->opaque, whole);
}

bool display_can_wish(const Display *display)
{
    return display->ops->wish != NULL;
}

bool display_wish(Display *display, const DisplayInfo *info)
{
    if (display->ops->wish) {
        display->ops->wish(display->opaque, info);
    }
    return display->ops->wish != NULL;
}

bool display_takes_text(const Display *display)
{
    return display->ops->type != NULL;
}

void display_type(Display *display, uint32_t key)
{
    if (display->ops->type) {
        display->ops->type(display->opaque, key);
    }
}

pixman_image_t *display_look(Display *display)
{
    /* Listeners keep what they have seen: their next refresh is no less than it was. */
    display->ops->update(display->opaque, !display_is_watched(display));
    return pixman_image_ref(display->surface);
}

bool display_read_text(Display *display, DisplayText *text)
{
    *text = (DisplayText){ 0 };
    return display->ops->text && display->ops->text(display->opaque, text);
}

char *display_text_row(const DisplayText *text, unsigned row)
{
    char *line = g_malloc(text->columns + 1);
    unsigned length = 0;

    for (unsigned i = 0; i < text->columns; i++) {
        uint8_t c = text->cells[row * text->columns + i].character;

        line[i] = (char)(c >= ' ' && c < 0x7f ? c : ' ');
        length = line[i] == ' ' ? length : i + 1;
    }
    line[length] = '\0';
    return line;
}

const char *machine_vga_device(Machine *machine, bool isa)
{
    static const struct {
        const char *name, *pci, *isa;
    } cards[] = { { "std", "VGA", "isa-vga" },
                  { "cirrus", "cirrus-vga", "isa-cirrus-vga" },
                  { "virtio", "virtio-vga", NULL } };
    const MachineConfig *config = &machine->config;
    const char *name = config->vga           ? config->vga
                       : config->no_defaults ? NULL
                                             : config->board->default_vga;

    for (size_t i = 0; name && i < ARRAY_SIZE(cards); i++) {
        if (strcmp(name, cards[i].name) == 0) {
            return isa ? cards[i].isa : cards[i].pci;
        }
    }
    return NULL;
}

Machine *display_machine(const Display *display)
{
    return display->machine;
}

char *display_label(const Display *display)
{
    if (!display->device) {
        return g_strdup(display->label);
    }
    return display->head ? g_strdup_printf("%s.%u", display->device->id, display->head)
                         : g_strdup(display->device->id);
}

Device *display_device(const Display *display)
{
    return display->device;
}

unsigned display_head(const Display *display)
{
    return display->head;
}

GPtrArray *machine_displays(Machine *machine)
{
    return machine->private->displays;
}

Display *display_find(Machine *machine, const char *device, unsigned head, GError **error)
{
    GPtrArray *displays = machine->private->displays;
    Device *wanted = NULL;
    bool graphics = false;

    if (device && !(wanted = device_find(machine, device))) {
        error_fail(error, KASO_ERROR_NO_DEVICE, "Device '%s' not found", device);
        return NULL;
    }
    for (guint i = 0; i < displays->len; i++) {
        Display *display = displays->pdata[i];

        graphics |= display->device != NULL;
        if (display->device && (!wanted || display->device == wanted) && display->head == head) {
            return display;
        }
    }
    if (wanted) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "device '%s' has no display with head %u", device,
                   head);
    } else {
        error_fail(error, KASO_ERROR_NOT_FOUND,
                   graphics ? "no display has head %u"
                            : "there is no display: the machine has no graphics device",
                   head);
    }
    return NULL;
}
