/* SPDX-License-Identifier: MIT */
#include "ui/sdl/api.h"

#include <dlfcn.h>

#include "base/error.h"

SdlApi sdl_api;

static const char library_name[] = "libSDL2-2.0.so.0";

void *sdl_api_find(const char *name)
{
    void *library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);

    /* It stays loaded. */
    return library ? dlsym(library, name) : NULL;
}

bool sdl_api_load(GError **error)
{
    if (!sdl_api_find("SDL_Init")) {
        return error_fail(error, KASO_ERROR_NOT_FOUND,
                          "%s cannot be loaded (%s): a window needs Debian's libsdl2-2.0-0",
                          library_name, dlerror());
    }
#define F(name) *(void **)&sdl_api.name = sdl_api_find("SDL_" #name);
    SDL_FUNCTIONS(F)
#undef F
#define F(name)                                                                                    \
    if (!sdl_api.name) {                                                                           \
        return error_fail(error, KASO_ERROR_NOT_FOUND, "%s has no SDL_" #name ": it is too old",   \
                          library_name);                                                           \
    }
    SDL_FUNCTIONS(F)
#undef F
    return true;
}
