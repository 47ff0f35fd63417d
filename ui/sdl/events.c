/* SPDX-License-Identifier: MIT */
/* What people do with windows, keyboard and pointer. */
#include "ui/sdl/sdl.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "block/block.h"
#include "monitor/monitor.h"

static SdlWindow *find_window(Sdl *sdl, Uint32 id)
{
    for (guint i = 0; i < sdl->windows->len; i++) {
        SdlWindow *window = sdl->windows->pdata[i];

        if (SDL(GetWindowID)(window->window) == id) {
            return window;
        }
    }
    return NULL;
}

/* Keys that are for us. */

static bool has_grab_mod(const Sdl *sdl, Uint16 mod)
{
    switch (sdl->grab_mod) {
    case GRAB_SHIFT_CTRL_ALT:
        return mod & KMOD_SHIFT && mod & KMOD_CTRL && mod & KMOD_LALT;
    case GRAB_RIGHT_CTRL:
        return mod & KMOD_RCTRL;
    default:
        return mod & KMOD_CTRL && mod & KMOD_LALT;
    }
}

static void choose_console(SdlWindow *window, unsigned index)
{
    Display *display = seat_console(window->sdl->machine, index);

    if (display) {
        window->sized_by_user = false;
        sdl_window_show(window, display);
    }
}

static void change_zoom(SdlWindow *window, double by)
{
    SdlPlace place = sdl_window_place(window);

    window->sized_by_user = true;
    sdl_window_zoom(window, CLAMP(place.scale + by, 0.25, 8));
}

static void save_picture(SdlWindow *window)
{
    g_autofree char *path = NULL;
    g_autoptr(GError) error = NULL;

    if (!window->display) {
        return;
    }
    if (sdl_window_save(window, &path, &error)) {
        g_printerr("kaso: the screen is in %s\n", path);
    } else {
        g_printerr("kaso: %s\n", error->message);
    }
}

/* false: the key means nothing to us. */
static bool do_command(SdlWindow *window, SDL_Scancode key)
{
    switch (key) {
    case SDL_SCANCODE_F:
        sdl_window_set_full_screen(window, !window->full_screen);
        return true;
    case SDL_SCANCODE_G:
        sdl_window_grab(window, !window->grabbed);
        return true;
    case SDL_SCANCODE_U:
        window->sized_by_user = false;
        if (window->full_screen) {
            sdl_window_set_full_screen(window, false);
        }
        sdl_window_zoom(window, 1);
        return true;
    case SDL_SCANCODE_S:
        save_picture(window);
        return true;
    case SDL_SCANCODE_EQUALS:
    case SDL_SCANCODE_KP_PLUS:
        change_zoom(window, 0.25);
        return true;
    case SDL_SCANCODE_MINUS:
    case SDL_SCANCODE_KP_MINUS:
        change_zoom(window, -0.25);
        return true;
    case SDL_SCANCODE_1 ... SDL_SCANCODE_9:
        choose_console(window, key - SDL_SCANCODE_1);
        return true;
    default:
        return false;
    }
}

/* Plus and minus by what is on them, too: layouts have them in different places. */
static SDL_Scancode command_key(const SDL_Keysym *key)
{
    return key->sym == SDLK_PLUS    ? SDL_SCANCODE_EQUALS
           : key->sym == SDLK_MINUS ? SDL_SCANCODE_MINUS
                                    : key->scancode;
}

static void key_event(SdlWindow *window, const SDL_KeyboardEvent *key)
{
    Sdl *sdl = window->sdl;
    SDL_Scancode scancode = key->keysym.scancode;
    uint32_t *eaten = &sdl->eaten[scancode / 32 % 8], bit = 1u << scancode % 32;
    bool down = key->type == SDL_KEYDOWN;
    uint32_t text;

    if (!down && *eaten & bit) {
        *eaten &= ~bit;
        return;
    }
    if (down && has_grab_mod(sdl, key->keysym.mod) && scancode < 256) {
        if (*eaten & bit) {
            return; /* it repeats */
        }
        if (do_command(window, command_key(&key->keysym))) {
            *eaten |= bit;
            seat_release(&window->seat); /* the guest has seen the keys that made it a command */
            return;
        }
    }
    seat_key(&window->seat, sdl_key_code(scancode), down);
    text = down && seat_takes_text(&window->seat) ? sdl_key_text(key) : 0;
    if (text) {
        seat_type(&window->seat, text);
    }
    seat_sync(&window->seat);
}

static void text_event(SdlWindow *window, const char *text)
{
    if (!seat_takes_text(&window->seat) || seat_has_control(&window->seat)) {
        return;
    }
    for (; *text; text = g_utf8_next_char(text)) {
        seat_type(&window->seat, g_utf8_get_char(text));
    }
}

/* Pointers. */

static unsigned button_of(Uint8 button)
{
    switch (button) {
    case SDL_BUTTON_LEFT:
        return 1u << INPUT_LEFT;
    case SDL_BUTTON_MIDDLE:
        return 1u << INPUT_MIDDLE;
    case SDL_BUTTON_RIGHT:
        return 1u << INPUT_RIGHT;
    case SDL_BUTTON_X1:
        return 1u << INPUT_SIDE;
    case SDL_BUTTON_X2:
        return 1u << INPUT_EXTRA;
    default:
        return 0;
    }
}

/* From units of the window to the guest's pixel below. */
static void move_to(SdlWindow *window, int x, int y)
{
    SdlPlace place = sdl_window_place(window);
    int width, pixels;

    SDL(GetWindowSize)(window->window, &width, NULL);
    SDL(GetRendererOutputSize)(window->renderer, &pixels, NULL);
    if (width > 0 && place.scale > 0) {
        double dense = (double)pixels / width;

        seat_move_to(&window->seat, (int)floor(((x + 0.5) * dense - place.x) / place.scale),
                     (int)floor(((y + 0.5) * dense - place.y) / place.scale), window->width,
                     window->height);
    }
}

static void motion_event(SdlWindow *window, const SDL_MouseMotionEvent *motion)
{
    if (seat_is_absolute(&window->seat)) {
        move_to(window, motion->x, motion->y);
    } else if (window->grabbed) {
        seat_move_by(&window->seat, motion->xrel, motion->yrel);
    }
    seat_sync(&window->seat);
}

static void button_event(SdlWindow *window, const SDL_MouseButtonEvent *event)
{
    bool down = event->type == SDL_MOUSEBUTTONDOWN;
    unsigned button = button_of(event->button);

    if (down && !window->grabbed && !seat_is_absolute(&window->seat) &&
        !seat_takes_text(&window->seat)) {
        sdl_window_grab(window, true); /* the first click is for the window */
        return;
    }
    if (seat_is_absolute(&window->seat)) {
        move_to(window, event->x, event->y);
    }
    window->buttons = down ? window->buttons | button : window->buttons & ~button;
    seat_buttons(&window->seat, window->buttons);
    seat_sync(&window->seat);
}

static void wheel_event(SdlWindow *window, const SDL_MouseWheelEvent *wheel)
{
    int y = wheel->direction == SDL_MOUSEWHEEL_FLIPPED ? -wheel->y : wheel->y;
    const struct {
        int steps;
        InputButton button;
    } moves[] = { { y, INPUT_WHEEL_UP },
                  { -y, INPUT_WHEEL_DOWN },
                  { wheel->x, INPUT_WHEEL_RIGHT },
                  { -wheel->x, INPUT_WHEEL_LEFT } };

    for (size_t i = 0; i < SDL_arraysize(moves); i++) {
        for (int step = 0; step < MIN(moves[i].steps, 32); step++) {
            seat_buttons(&window->seat, window->buttons | 1u << moves[i].button);
            seat_buttons(&window->seat, window->buttons);
            seat_sync(&window->seat);
        }
    }
}

/* Windows. */

static void close_window(SdlWindow *window)
{
    if (window->sdl->close_ends) {
        machine_request_stop(window->sdl->machine, STOP_USER_QUIT, NULL);
    }
}

static void set_pace(SdlWindow *window, bool seen)
{
    if (window->display) {
        display_set_pace(window->display, &window->listener,
                         seen ? SDL_PACE_MS : SDL_PACE_HIDDEN_MS);
    }
}

static void window_event(SdlWindow *window, const SDL_WindowEvent *event)
{
    switch (event->event) {
    case SDL_WINDOWEVENT_CLOSE:
        close_window(window);
        break;
    case SDL_WINDOWEVENT_FOCUS_GAINED:
        /* Where the library does not watch the clipboard: what was copied elsewhere is there when its user comes here. */
        window->sdl->clipboard_asked = true;
        break;
    case SDL_WINDOWEVENT_FOCUS_LOST:
        seat_release(&window->seat);
        window->buttons = 0;
        memset(window->sdl->eaten, 0, sizeof(window->sdl->eaten));
        sdl_window_grab(window, false);
        break;
    case SDL_WINDOWEVENT_ENTER:
        sdl_window_update_cursor(window);
        break;
    case SDL_WINDOWEVENT_EXPOSED:
        window->dirty = true;
        break;
    case SDL_WINDOWEVENT_SIZE_CHANGED:
        sdl_window_resized(window, false);
        break;
    case SDL_WINDOWEVENT_RESIZED:
        sdl_window_resized(window, true);
        break;
    case SDL_WINDOWEVENT_MINIMIZED:
    case SDL_WINDOWEVENT_HIDDEN:
        set_pace(window, false);
        break;
    case SDL_WINDOWEVENT_RESTORED:
    case SDL_WINDOWEVENT_SHOWN:
        set_pace(window, true);
        window->dirty = true;
        break;
    default:
        break;
    }
}

/* A file that is dropped on a window: a disc for the first drive with a tray, and what is no disc becomes a stick where there is USB. */

typedef struct {
    const char *drive;
} TraySearch;

static void match_tray(Device *device, void *opaque)
{
    TraySearch *search = opaque;
    const Property *property = property_find(device->type->properties, "drive");
    BlockBackend *drive = property ? property_pointer(property, device) : NULL;
    MediumState state = { 0 };

    if (!search->drive && device->type->medium && drive && *block_id(drive)) {
        device->type->medium->query(device, &state);
        if (state.has_tray) {
            search->drive = block_id(drive);
        }
    }
}

/* Whether it begins with these bytes at that place. */
static bool file_has(const char *path, long offset, const char *bytes)
{
    char found[8] = "";
    FILE *file = fopen(path, "re");
    bool has = file && fseek(file, offset, SEEK_SET) == 0 &&
               fread(found, 1, strlen(bytes), file) == strlen(bytes) && strcmp(found, bytes) == 0;

    if (file) {
        fclose(file);
    }
    return has;
}

static bool is_disc(const char *path)
{
    return file_has(path, 0x8001, "CD001") /* ISO 9660 */ ||
           file_has(path, 0x8001, "BEA01") /* UDF */;
}

static bool insert_disc(Sdl *sdl, const char *drive, const char *file, GError **error)
{
    g_autofree char *escaped = g_strescape(file, NULL), *output = NULL;
    g_autofree char *line = g_strdup_printf("change %s \"%s\"", drive, escaped);

    return monitor_run_line(sdl->machine, line, &output, error);
}

static bool plug_stick(Sdl *sdl, const char *file, GError **error)
{
    g_autofree char *name = g_strdup_printf("stick%u", ++sdl->sticks), *output = NULL;
    g_autofree char *line =
        g_strdup_printf("device_add usb-storage,drive=%s,id=%s,removable=on", name, name);
    g_autoptr(GHashTable) options = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);

    g_hash_table_insert(options, (char *)"driver",
                        g_strdup(file_has(file, 0, "QFI\xfb") ? "qcow2" : "raw"));
    g_hash_table_insert(options, (char *)"node-name", g_strdup(name));
    g_hash_table_insert(options, (char *)"file.driver", g_strdup("file"));
    g_hash_table_insert(options, (char *)"file.filename", g_strdup(file));
    if (!block_node_add(sdl->machine->block_graph, options, error)) {
        return false;
    }
    if (!monitor_run_line(sdl->machine, line, &output, error)) {
        block_node_remove(sdl->machine->block_graph, name, NULL);
        return false;
    }
    return true;
}

static void drop_event(Sdl *sdl, const char *file)
{
    TraySearch search = { NULL };
    g_autoptr(GError) error = NULL;
    bool done;

    device_foreach(sdl->machine->root, match_tray, &search);
    done = search.drive && is_disc(file) ? insert_disc(sdl, search.drive, file, &error)
                                         : plug_stick(sdl, file, &error);
    if (!done) {
        g_printerr("kaso: %s: %s\n", file, error->message);
    }
}

void sdl_handle_event(Sdl *sdl, const SDL_Event *event)
{
    SdlWindow *window = find_window(sdl, event->window.windowID);

    switch (event->type) {
    case SDL_QUIT:
        if (sdl->close_ends) {
            machine_request_stop(sdl->machine, STOP_USER_QUIT, NULL);
        }
        return;
    case SDL_CLIPBOARDUPDATE:
        sdl->clipboard_asked = true;
        return;
    case SDL_DROPFILE:
        drop_event(sdl, event->drop.file);
        SDL(free)(event->drop.file);
        return;
    default:
        break;
    }
    if (!window) {
        return;
    }
    switch (event->type) {
    case SDL_KEYDOWN:
    case SDL_KEYUP:
        key_event(window, &event->key);
        break;
    case SDL_TEXTINPUT:
        text_event(window, event->text.text);
        break;
    case SDL_MOUSEMOTION:
        motion_event(window, &event->motion);
        break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
        button_event(window, &event->button);
        break;
    case SDL_MOUSEWHEEL:
        wheel_event(window, &event->wheel);
        break;
    case SDL_WINDOWEVENT:
        window_event(window, &event->window);
        break;
    default:
        break;
    }
}
