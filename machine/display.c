/* SPDX-License-Identifier: MIT */
#include "machine/display.h"

#include "base/error.h"
#include "machine/private.h"

struct Display {
    Device *device;
    unsigned head;
    const DisplayOps *ops;
    void *opaque;
    pixman_image_t *surface;
    GPtrArray *listeners; /* DisplayListener * */
    bool whole;           /* a listener has not seen the surface yet */
};

Display *display_new(Device *device, unsigned head, const DisplayOps *ops, void *opaque)
{
    Display *display = g_new0(Display, 1);

    *display = (Display){ .device = device, .head = head, .ops = ops, .opaque = opaque };
    display->listeners = g_ptr_array_new();
    display->surface = pixman_image_create_bits(PIXMAN_x8r8g8b8, 640, 480, NULL, 0);
    g_ptr_array_add(device->machine->private->displays, display);
    return display;
}

void display_free(Display *display)
{
    g_ptr_array_remove(display->device->machine->private->displays, display);
    g_ptr_array_unref(display->listeners);
    pixman_image_unref(display->surface);
    g_free(display);
}

void display_set_surface(Display *display, pixman_image_t *surface)
{
    pixman_image_unref(display->surface);
    display->surface = surface;
    for (guint i = 0; i < display->listeners->len; i++) {
        DisplayListener *listener = display->listeners->pdata[i];

        listener->surface_changed(listener, surface);
    }
}

void display_damage(Display *display, int x, int y, int width, int height)
{
    for (guint i = 0; i < display->listeners->len; i++) {
        DisplayListener *listener = display->listeners->pdata[i];

        listener->damaged(listener, x, y, width, height);
    }
}

pixman_image_t *display_surface(Display *display)
{
    return display->surface;
}

bool display_is_watched(const Display *display)
{
    return display->listeners->len > 0;
}

void display_add_listener(Display *display, DisplayListener *listener)
{
    g_ptr_array_add(display->listeners, listener);
    display->whole = true;
    if (display->listeners->len == 1 && display->ops->watched) {
        display->ops->watched(display->opaque, true);
    }
    listener->surface_changed(listener, display->surface);
}

void display_remove_listener(Display *display, DisplayListener *listener)
{
    if (g_ptr_array_remove(display->listeners, listener) && !display->listeners->len &&
        display->ops->watched) {
        display->ops->watched(display->opaque, false);
    }
}

void display_refresh(Display *display)
{
    bool whole = display->whole;

    display->whole = false;
    display->ops->update(display->opaque, whole);
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

const char *machine_vga_device(Machine *machine, bool isa)
{
    static const struct {
        const char *name, *pci, *isa;
    } cards[] = { { "std", "VGA", "isa-vga" }, { "cirrus", "cirrus-vga", "isa-cirrus-vga" } };
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

    if (device && !(wanted = device_find(machine, device))) {
        error_fail(error, KASO_ERROR_NO_DEVICE, "Device '%s' not found", device);
        return NULL;
    }
    for (guint i = 0; i < displays->len; i++) {
        Display *display = displays->pdata[i];

        if ((!wanted || display->device == wanted) && display->head == head) {
            return display;
        }
    }
    if (wanted) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "device '%s' has no display with head %u", device,
                   head);
    } else {
        error_fail(error, KASO_ERROR_NOT_FOUND,
                   displays->len ? "no display has head %u"
                                 : "there is no display: the machine has no graphics device",
                   head);
    }
    return NULL;
}
