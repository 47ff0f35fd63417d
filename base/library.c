/* SPDX-License-Identifier: MIT */
#include "base/library.h"

#include <dlfcn.h>

#include "base/error.h"

bool library_load(const char *file, const char *package, const char *const *names, void *functions,
                  GError **error)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    void **function = functions;

    if (!library) {
        return error_fail(error, KASO_ERROR_NOT_FOUND,
                          "%s cannot be loaded (%s): install Debian's %s", file, dlerror(),
                          package);
    }
    for (; *names; names++, function++) {
        *function = dlsym(library, *names);
        if (!*function) {
            return error_fail(error, KASO_ERROR_NOT_FOUND, "%s has no %s: it is too old", file,
                              *names);
        }
    }
    return true;
}
