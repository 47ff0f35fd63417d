/* SPDX-License-Identifier: MIT */
/* What lies below SDL's windows; apart, because X11 has names that we have, too. */
#include "ui/sdl/x11.h"

#include <dlfcn.h>

#include <SDL_syswm.h>

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

bool sdl_x11_watch_server(SDL_Window *window, void (*gone)(void *opaque), void *opaque)
{
    XIOErrorHandler (*set_handler)(XIOErrorHandler handler);
    SDL_SysWMinfo info;
    void *library;

    SDL_VERSION(&info.version);
    if (!SDL_GetWindowWMInfo(window, &info) || info.subsystem != SDL_SYSWM_X11) {
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
