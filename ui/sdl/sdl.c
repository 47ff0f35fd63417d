/* SPDX-License-Identifier: MIT */
/* -display sdl: its options, its start and its end, and the pump of its events. */
#include "ui/sdl/sdl.h"

#include <string.h>

#include "base/error.h"
#include "base/names.h"
#include "base/watch.h"
#include "ui/sdl/x11.h"

static const char *const option_names[] = {
    "sdl", "gl", "grab-mod", "window-close", "show-cursor", "full-screen", NULL
};

enum { HEAD_WIDTH = 1280, HEAD_HEIGHT = 800, ROUNDS_MAX = 4 };

static void forget_windows(Sdl *sdl)
{
    g_ptr_array_set_size(sdl->windows, 0);
}

bool sdl_guard(Sdl *sdl, void (*fn)(void *opaque), void *opaque)
{
    jmp_buf here, *outer = sdl->escape;

    if (sdl->lost) {
        return false;
    }
    sdl->escape = &here;
    if (setjmp(here) == 0) {
        fn(opaque);
    }
    sdl->escape = outer;
    return !sdl->lost;
}

static void server_gone(void *opaque)
{
    Sdl *sdl = opaque;

    sdl->lost = true;
    if (sdl->escape) {
        longjmp(*sdl->escape, 1);
    }
}

typedef struct {
    Sdl *sdl;
    SDL_Event event;
    bool any;
} Polled;

static void poll_event(void *opaque)
{
    Polled *polled = opaque;

    polled->any = SDL(PollEvent)(&polled->event);
}

static void handle_event(void *opaque)
{
    Polled *polled = opaque;

    sdl_handle_event(polled->sdl, &polled->event);
}

/* The guest's text goes to the host from here: SDL is not to be called from other threads. */
static void tell_clipboard(ClipboardPeer *peer)
{
    ((Sdl *)((char *)peer - offsetof(Sdl, clipboard)))->clipboard_changed = true;
}

static void set_clipboard(void *opaque)
{
    Sdl *sdl = opaque;

    SDL(SetClipboardText)(clipboard_text(sdl->machine));
}

static void get_clipboard(void *opaque)
{
    char **copy = opaque, *text = SDL(GetClipboardText)();

    *copy = g_strdup(text);
    SDL(free)(text);
}

/* Another program is asked for its text, and may take its time: not under the lock. */
static void fetch_clipboard(Sdl *sdl)
{
    g_autofree char *text = NULL;

    if (!sdl->clipboard_asked) {
        return;
    }
    sdl->clipboard_asked = false;
    if (sdl_guard(sdl, get_clipboard, &text) && text && *text) {
        machine_lock(sdl->machine);
        clipboard_set_text(sdl->machine, &sdl->clipboard, text);
        machine_unlock(sdl->machine);
    }
}

static void pass_clipboard(Sdl *sdl)
{
    machine_lock(sdl->machine);
    if (sdl->clipboard_changed) {
        sdl->clipboard_changed = sdl->clipboard_asked = false;
        sdl_guard(sdl, set_clipboard, sdl);
    }
    machine_unlock(sdl->machine);
    fetch_clipboard(sdl);
}

static void lose_windows(Sdl *sdl)
{
    g_printerr("kaso: the display server has gone; the guest runs on without a window (-vnc and "
               "the monitor still "
               "reach it)\n");
    machine_lock(sdl->machine);
    forget_windows(sdl);
    machine_unlock(sdl->machine);
    g_clear_handle_id(&sdl->pump, g_source_remove);
    g_clear_handle_id(&sdl->soon, g_source_remove);
    g_clear_handle_id(&sdl->server, g_source_remove);
}

/* Whether anything happened. */
static bool pump_once(Sdl *sdl)
{
    Polled polled = { .sdl = sdl };
    bool busy = false;

    while (sdl_guard(sdl, poll_event, &polled) && polled.any) {
        machine_lock(sdl->machine);
        sdl_guard(sdl, handle_event, &polled);
        machine_unlock(sdl->machine);
        busy = true;
    }
    for (guint i = 0; !sdl->lost && i < sdl->windows->len; i++) {
        busy |= sdl_window_present(sdl->windows->pdata[i]);
    }
    pass_clipboard(sdl);
    return busy;
}

static gboolean pump(gpointer opaque);

static void set_pump(Sdl *sdl, unsigned ms)
{
    if (sdl->pump_ms != ms) {
        sdl->pump_ms = ms;
        g_clear_handle_id(&sdl->pump, g_source_remove);
        sdl->pump = g_timeout_add(ms, pump, sdl);
    }
}

/*
 * Until nothing happens any more: what is done reads events from the server, which its descriptor then does not tell of. The timer is
 * in no hurry then, where the server would wake us.
 */
static void pump_and_set(Sdl *sdl)
{
    bool busy = true;

    for (unsigned round = 0; busy && round < ROUNDS_MAX; round++) {
        busy = pump_once(sdl);
    }
    if (sdl->lost) {
        lose_windows(sdl);
    } else {
        set_pump(sdl, sdl->server && !busy ? SDL_PUMP_QUIET_MS : SDL_PUMP_MS);
    }
}

static gboolean pump(gpointer opaque)
{
    pump_and_set(opaque);
    return g_source_is_destroyed(g_main_current_source()) ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

static gboolean hear_server(int fd, GIOCondition condition, gpointer opaque)
{
    return pump(opaque);
}

static gboolean pump_soon(gpointer opaque)
{
    Sdl *sdl = opaque;

    sdl->soon = 0;
    pump_and_set(sdl);
    return G_SOURCE_REMOVE;
}

void sdl_hurry(Sdl *sdl)
{
    if (sdl->pump && !sdl->soon) {
        sdl->soon = g_idle_add_full(G_PRIORITY_DEFAULT, pump_soon, sdl, NULL);
    }
}

/* A head beside the first is connected when somebody looks at it; its window opens when the guest uses it. */
static void connect_head(Display *display, int index)
{
    DisplayInfo info = { .width = HEAD_WIDTH, .height = HEAD_HEIGHT, .x = index * HEAD_WIDTH };

    if (index > 0 && display_can_wish(display)) {
        display_wish(display, &info);
    }
}

static bool open_windows(Sdl *sdl, GError **error)
{
    GPtrArray *displays = machine_displays(sdl->machine);
    unsigned index = 0;

    for (guint i = 0; i < displays->len; i++) {
        Display *display = displays->pdata[i];
        SdlWindow *window;

        if (i && !display_device(display)) {
            break; /* text consoles are pages of the first window */
        }
        connect_head(display, (int)index);
        window = sdl_window_new(sdl, display, index++, error);
        if (!window) {
            return false;
        }
        g_ptr_array_add(sdl->windows, window);
        sdl_window_show(window, display);
    }
    return index ||
           error_fail(error, KASO_ERROR_INVALID,
                      "the machine has neither a graphics device nor a text console (-serial vc)");
}

static bool take_switch(const KeyValues *options, const char *name, bool *value, GError **error)
{
    const char *text = key_values_get(options, name);

    return !text || parse_switch(name, text, value, error);
}

static bool take_options(Sdl *sdl, const KeyValues *options, const ViewerChoices *choices,
                         bool *full_screen, GError **error)
{
    static const char *const mods[] = { "lctrl-lalt", "lshift-lctrl-lalt", "rctrl", NULL };
    static const NameKind kind = { "grab-mod" };
    const char *mod = key_values_get(options, "grab-mod");
    const char *gl = key_values_get(options, "gl");

    sdl->close_ends = !choices->no_quit;
    sdl->show_cursor = choices->show_cursor;
    *full_screen = choices->full_screen;
    mod = mod ? mod : choices->grab_mod;
    for (int i = 0; mod && mods[i]; i++) {
        if (strcmp(mods[i], mod) == 0) {
            sdl->grab_mod = (SdlGrabMod)i;
            mod = NULL;
        }
    }
    if (mod) {
        return names_fail(&kind, mod, mods, error);
    }
    if (gl && strcmp(gl, "off") != 0) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "gl=%s: not yet: guests draw without the host's GPU; use gl=off", gl);
    }
    return take_switch(options, "window-close", &sdl->close_ends, error) &&
           take_switch(options, "show-cursor", &sdl->show_cursor, error) &&
           take_switch(options, "full-screen", full_screen, error);
}

/* A driver whose windows nobody sees, which SDL takes where it finds no other. Who names it in SDL_VIDEODRIVER wants it. */
static bool shows_nothing(void)
{
    const char *driver = SDL(GetCurrentVideoDriver)();

    return !g_getenv("SDL_VIDEODRIVER") && driver &&
           (strcmp(driver, "offscreen") == 0 || strcmp(driver, "dummy") == 0);
}

static bool init_sdl(GError **error)
{
    if (!sdl_api_load(error)) {
        return false;
    }
    SDL(SetHint)(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
    SDL(SetHint)(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
    SDL(SetHint)(SDL_HINT_GRAB_KEYBOARD, "1");
    /* A picture that the processor has drawn goes to the screen as it is, not by way of OpenGL. */
    SDL(SetHint)(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
    SDL(SetHint)(SDL_HINT_APP_NAME, "Kaso");
    SDL(SetHint)("SDL_VIDEO_X11_WMCLASS", "kaso");
    SDL(SetHint)(SDL_HINT_QUIT_ON_LAST_WINDOW_CLOSE, "0");
    sdl_x11_ignore_errors();
    if (SDL(Init)(SDL_INIT_VIDEO) < 0) {
        return error_fail(error, KASO_ERROR_IO, "no window can be opened: %s", SDL(GetError)());
    }
    if (shows_nothing()) {
        SDL(Quit)();
        return error_fail(error, KASO_ERROR_IO,
                          "no window can be opened: there is no display server (DISPLAY and "
                          "WAYLAND_DISPLAY are not set); -vnc 127.0.0.1:0 shows the screen to a "
                          "VNC viewer");
    }
    return true;
}

static void free_sdl(void *opaque)
{
    Sdl *sdl = opaque;
    bool taken = !machine_lock_held(sdl->machine);

    g_clear_handle_id(&sdl->pump, g_source_remove);
    g_clear_handle_id(&sdl->soon, g_source_remove);
    g_clear_handle_id(&sdl->server, g_source_remove);
    if (taken) {
        machine_lock(sdl->machine);
    }
    forget_windows(sdl);
    clipboard_remove_peer(sdl->machine, &sdl->clipboard);
    if (taken) {
        machine_unlock(sdl->machine);
    }
    g_ptr_array_unref(sdl->windows);
    if (!sdl->lost) {
        SDL(Quit)();
    }
    g_free(sdl);
}

static void watch_server(Sdl *sdl)
{
    SDL_Window *window = ((SdlWindow *)sdl->windows->pdata[0])->window;
    int fd = sdl_x11_descriptor(window);

    sdl_x11_watch_server(window, server_gone, sdl);
    if (fd >= 0) {
        sdl->server = watch_descriptor(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, hear_server, sdl);
    }
}

static bool start(Machine *machine, const KeyValues *options, const ViewerChoices *choices,
                  char **line, GError **error)
{
    Sdl *sdl;
    bool full_screen = false;

    if (!init_sdl(error)) {
        return false;
    }
    sdl = g_new0(Sdl, 1);
    sdl->machine = machine;
    sdl->vsync = true;
    sdl->clipboard.changed = tell_clipboard;
    clipboard_add_peer(machine, &sdl->clipboard);
    sdl->windows = g_ptr_array_new_with_free_func((GDestroyNotify)sdl_window_free);
    if (!take_options(sdl, options, choices, &full_screen, error) || !open_windows(sdl, error)) {
        free_sdl(sdl);
        return false;
    }
    watch_server(sdl);
    if (full_screen) {
        sdl_window_set_full_screen(sdl->windows->pdata[0], true);
    }
    set_pump(sdl, SDL_PUMP_MS);
    machine_on_free(machine, free_sdl, sdl);
    *line = g_strdup("a window");
    return true;
}

/* SDL has drivers that show nothing; only those of a display server are windows. */
static bool available(void)
{
    return (g_getenv("DISPLAY") || g_getenv("WAYLAND_DISPLAY")) && init_sdl(NULL);
}

static const Viewer sdl_viewer = {
    .name = "sdl",
    .summary = "a window",
    .options = option_names,
    .start = start,
    .available = available,
};
VIEWER(sdl_viewer);
