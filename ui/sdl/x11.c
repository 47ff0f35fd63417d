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

bool sdl_x11_watch_server(SDL_Window *window, void (*gone)(void *opaque), void *opaque)
{
    XIOErrorHandler (*set_handler)(XIOErrorHandler handler);
    SDL_SysWMinfo info;
    void *library;

    if (!find_info(window, &info) || info.subsystem != SDL_SYSWM_X11) {
        return false;
    }
    library = dlopen("libX11.so.6", RTLD_NOW | RTLD_NOLOAD); /* that SDL has loaded */
    if (!library) {
        return false;
    }
    *(void **)&set_handler = dlsym(library, "XSetIOErrorHandler");
    dlclose(library);
    if (!set_handler) {
        return false;
    }
    watch.gone = gone;
    watch.opaque = opaque;
    set_handler(lose_connection);
    return true;
}
