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

static bool load_first(const LazyLibrary *library, GError **error)
{
    g_auto(GStrv) files = g_strsplit(library->files, " ", -1);

    for (char **file = files; *file; file++) {
        if (library_load(*file, library->package, library->names, library->functions,
                         file[1] ? NULL : error)) {
            return true;
        }
    }
    return false;
}

bool library_want(const LazyLibrary *library, GError **error)
{
    static GMutex lock;
    bool done;

    g_mutex_lock(&lock);
    done = *library->loaded || load_first(library, error);
    *library->loaded = done;
    g_mutex_unlock(&lock);
    return done;
}

void library_want_all(void)
{
    const LazyLibrary *const *it;

    REGISTRY_FOREACH(libraries, it) {
        library_want(*it, NULL);
    }
}
