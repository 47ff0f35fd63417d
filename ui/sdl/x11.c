/* SPDX-License-Identifier: MIT */
/* What lies below SDL's windows; apart, because X11 has names that we have, too. */
#include "ui/sdl/x11.h"

#include <dlfcn.h>

#include <SDL_syswm.h>

#include "ui/sdl/api.h"

/* Xlib's handler has no argument of ours. */
static struct {
    void (*gone)(void *opaque);
    void *opaque;
} watch;

static int lose_connection(Display *display)
{
    watch.gone(watch.opaque);
    return 0;
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
