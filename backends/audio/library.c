/* SPDX-License-Identifier: MIT */
#include "backends/audio/library.h"

#include <dlfcn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"

bool library_load(const char *file, const char *package, const char *const *names, void *functions,
                  GError **error)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    void **function = functions;

    if (!library) {
        return error_fail(error, KASO_ERROR_NOT_FOUND,
                          "%s cannot be loaded (%s): this sound needs Debian's %s", file, dlerror(),
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

bool library_server_listens(const char *variable, const char *name)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const char *folder = g_getenv(variable);
    bool listens;
    int fd;

    if (!folder || g_snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", folder, name) >=
                       (int)sizeof address.sun_path) {
        return false;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    listens = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return listens;
}
