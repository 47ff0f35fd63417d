/* SPDX-License-Identifier: MIT */
/* What lies below SDL's windows; apart, because X11 has names that we have, too. */
#include "ui/sdl/x11.h"

#include <dlfcn.h>
#include <glib.h>

#include <SDL_syswm.h>

#include "ui/sdl/api.h"

/* Xlib's handlers have no argument of ours. */
static struct {
    void (*gone)(void *opaque);
    void *opaque;
    bool refusal_told;
    int (*get_error_text)(Display *display, int code, char *text, int size);
} watch;

static int lose_connection(Display *display)
{
    watch.gone(watch.opaque);
    return 0;
}

static int ignore_error(Display *display, XErrorEvent *event)
{
    char text[80];

    if (!watch.refusal_told) {
        watch.refusal_told = true;
        watch.get_error_text(display, event->error_code, text, sizeof text);
        g_printerr("kaso: the display server refused request %u.%u for resource 0x%lx: %s. The "
                   "guest runs on; more refusals are not told\n",
                   event->request_code, event->minor_code, event->resourceid, text);
    }
    return 0;
}

void sdl_x11_ignore_errors(void)
{
    void *library = g_getenv("DISPLAY") ? dlopen("libX11.so.6", RTLD_NOW) : NULL;
    XErrorHandler (*set_handler)(XErrorHandler handler);

    if (library) {
        *(void **)&set_handler = dlsym(library, "XSetErrorHandler");
        *(void **)&watch.get_error_text = dlsym(library, "XGetErrorText");
        if (set_handler && watch.get_error_text) {
            set_handler(ignore_error);
        }
    }
}

static bool find_info(SDL_Window *window, SDL_SysWMinfo *info)
{
    __typeof__(SDL_GetWindowWMInfo) *get;

    *(void **)&get = sdl_api_find("SDL_GetWindowWMInfo");
    SDL_VERSION(&info->version);
    return get && get(window, info);
}

/* A function of the library that SDL has loaded; NULL: the window is not X11's. */
static void *find_function(SDL_Window *window, const char *name, SDL_SysWMinfo *info)
{
    void *library = NULL, *function;

    if (find_info(window, info) && info->subsystem == SDL_SYSWM_X11) {
        library = dlopen("libX11.so.6", RTLD_NOW | RTLD_NOLOAD);
    }
    if (!library) {
        return NULL;
    }
    function = dlsym(library, name);
    dlclose(library);
    return function;
}

bool sdl_x11_watch_server(SDL_Window *window, void (*gone)(void *opaque), void *opaque)
{
    XIOErrorHandler (*set_handler)(XIOErrorHandler handler);
    SDL_SysWMinfo info;

    *(void **)&set_handler = find_function(window, "XSetIOErrorHandler", &info);
    if (!set_handler) {
        return false;
    }
    watch.gone = gone;
    watch.opaque = opaque;
    set_handler(lose_connection);
    return true;
}

int sdl_x11_descriptor(SDL_Window *window)
{
    int (*connection_number)(Display * display);
    SDL_SysWMinfo info;

    *(void **)&connection_number = find_function(window, "XConnectionNumber", &info);
    return connection_number ? connection_number(info.info.x11.display) : -1;
}
