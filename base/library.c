/* SPDX-License-Identifier: MIT */
#include "base/library.h"

#include <dlfcn.h>

#include "base/error.h"

static GMutex library_lock;

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

/* Functions are found in the order of their names, and all or it is not loaded. */
bool library_is_loaded(const LazyLibrary *library)
{
    void *const *functions = library->functions;

    return functions[g_strv_length((char **)library->names) - 1];
}

bool library_want(const LazyLibrary *library, GError **error)
{
    bool done;

    g_mutex_lock(&library_lock);
    done = library_is_loaded(library) || load_first(library, error);
    g_mutex_unlock(&library_lock);
    return done;
}

void library_want_all(void)
{
    const LazyLibrary *const *it;

    REGISTRY_FOREACH(libraries, it) {
        library_want(*it, NULL);
    }
}
