/* SPDX-License-Identifier: MIT */
#include "backends/audio/library.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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
