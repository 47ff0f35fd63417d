/* SPDX-License-Identifier: MIT */
/* Where a machine's gdb stub listens: -gdb, and the monitor's gdbserver. */
#include <string.h>

#include "backends/chardev-open.h"
#include "base/error.h"
#include "debug/gdb/gdb.h"
#include "monitor/monitor.h"

#define ATTACHED   "debug/gdb/gdb.h"
#define CHARDEV_ID "gdb"

typedef struct {
    GdbStub *stub; /* NULL: none */
} GdbServer;

static GdbServer *server_of(Machine *machine)
{
    GdbServer *server = machine_attached(machine, ATTACHED);

    if (!server) {
        server = g_new0(GdbServer, 1);
        machine_attach(machine, ATTACHED, server, g_free);
    }
    return server;
}

/* The chardev goes, too, unless it is the user's own. */
static void end(Machine *machine, GdbServer *server)
{
    Chardev *chardev;

    if (!server->stub) {
        return;
    }
    chardev = gdb_chardev(server->stub);
    gdb_stop(server->stub);
    server->stub = NULL;
    if (strcmp(chardev->id, CHARDEV_ID) == 0) {
        machine_remove_chardev(machine, chardev);
        chardev_free(chardev);
    }
}

bool monitor_gdb_server(Machine *machine, const char *device, GError **error)
{
    GdbServer *server = server_of(machine);
    /* A port is for gdb to come to, and nothing waits for it. */
    g_autofree char *form = g_str_has_prefix(device, "tcp:")
                                ? g_strconcat(device, ",wait=off,nodelay=on,server=on", NULL)
                                : g_strdup(device);
    bool with_monitor;
    Chardev *chardev;

    end(machine, server);
    if (g_str_has_prefix(device, "chardev:")) {
        const char *id = device + strlen("chardev:");

        chardev = machine_find_chardev(machine, id);
        if (!chardev) {
            return error_fail(error, KASO_ERROR_NOT_FOUND,
                              "there is no chardev '%s'; define it with -chardev …,id=%s", id, id);
        }
    } else if (!chardev_open_short(machine, CHARDEV_ID, form, &chardev, &with_monitor, error)) {
        return false;
    }
    if (!chardev) {
        return true; /* none */
    }
    server->stub = gdb_start(machine, chardev, monitor_run_line_on, error);
    if (!server->stub && strcmp(chardev->id, CHARDEV_ID) == 0) {
        machine_remove_chardev(machine, chardev);
        chardev_free(chardev);
    }
    return server->stub != NULL;
}
