/* SPDX-License-Identifier: MIT */
/* Commands that take file descriptors over the monitor's socket: getfd, closefd; add-fd, remove-fd, query-fdsets. */
#include "base/descriptors.h"

#include <unistd.h>

#include "monitor/command.h"

static json_t *getfd_run(Monitor *monitor, json_t *arguments, GError **error)
{
    int fd = monitor_take_descriptor(monitor, error);

    if (fd >= 0) {
        descriptors_name(monitor_get_string(arguments, "fdname"), fd, error);
    }
    return NULL;
}

static const MonitorArgument name_arguments[] = {
    { "fdname", ARGUMENT_STRING, .summary = "name of the descriptor" },
    { NULL },
};

static const MonitorCommand getfd_command = {
    .name = "getfd",
    .hmp = "getfd",
    .summary = "names the descriptor that came with the command, for fd= of a later one",
    .arguments = name_arguments,
    .run = getfd_run,
};
MONITOR_COMMAND(getfd_command);

static json_t *closefd_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *name = monitor_get_string(arguments, "fdname");

    if (!descriptors_forget(name)) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "File descriptor named '%s' not found", name);
    }
    return NULL;
}

static const MonitorCommand closefd_command = {
    .name = "closefd",
    .hmp = "closefd",
    .summary = "closes a descriptor that getfd has named",
    .arguments = name_arguments,
    .run = closefd_run,
};
MONITOR_COMMAND(closefd_command);

static json_t *add_run(Monitor *monitor, json_t *arguments, GError **error)
{
    int64_t set = monitor_get_int(arguments, "fdset-id", 0);
    bool given = monitor_has(arguments, "fdset-id");
    int fd = monitor_take_descriptor(monitor, error);
    json_t *result;

    if (fd < 0) {
        return NULL;
    }
    if (set < 0) {
        close(fd);
        error_fail(error, KASO_ERROR_INVALID, "fdset-id must not be negative, as %d is", (int)set);
        return NULL;
    }
    result = json_object();
    set = descriptors_add(given ? (uint64_t)set : UINT64_MAX, fd,
                          monitor_get_string(arguments, "opaque"));
    monitor_put(result, "fdset-id", json_integer(set));
    monitor_put(result, "fd", json_integer(fd));
    return result;
}

static const MonitorArgument add_arguments[] = {
    { "fdset-id", ARGUMENT_INT, true, "set to add it to; absent: a new one" },
    { "opaque", ARGUMENT_STRING, true, "text that query-fdsets shows" },
    { NULL },
};

static const MonitorCommand add_command = {
    .name = "add-fd",
    .summary = "puts the descriptor that came with the command into a set, opened as /dev/fdset/N",
    .arguments = add_arguments,
    .run = add_run,
    .returns = "AddfdInfo",
};
MONITOR_COMMAND(add_command);

static json_t *remove_run(Monitor *monitor, json_t *arguments, GError **error)
{
    int64_t set = monitor_get_int(arguments, "fdset-id", 0);
    int64_t fd = monitor_get_int(arguments, "fd", -1);

    if (set < 0 || fd < -1 || fd > G_MAXINT || (fd == -1 && monitor_has(arguments, "fd"))) {
        error_fail(error, KASO_ERROR_INVALID, "fdset-id and fd are numbers of a set and in it");
    } else {
        descriptors_remove(set, (int)fd, error);
    }
    return NULL;
}

static const MonitorArgument remove_arguments[] = {
    { "fdset-id", ARGUMENT_INT, .summary = "the set" },
    { "fd", ARGUMENT_INT, true, "its member; absent: all" },
    { NULL },
};

static const MonitorCommand remove_command = {
    .name = "remove-fd",
    .summary = "closes members of a set of descriptors; what was opened by them stays",
    .arguments = remove_arguments,
    .run = remove_run,
};
MONITOR_COMMAND(remove_command);

static json_t *query_run(Monitor *monitor, json_t *arguments, GError **error)
{
    g_autoptr(GArray) members = descriptors_list();
    json_t *list = json_array(), *fds = NULL;

    for (unsigned i = 0; i < members->len; i++) {
        const PassedDescriptor *member = &g_array_index(members, PassedDescriptor, i);
        json_t *entry = json_object();

        if (i == 0 || member[-1].set != member->set) {
            json_t *set = json_object();

            fds = json_array();
            monitor_put(set, "fdset-id", json_integer(member->set));
            monitor_put(set, "fds", fds);
            json_array_append_new(list, set);
        }
        monitor_put(entry, "fd", json_integer(member->fd));
        if (member->opaque) {
            monitor_put(entry, "opaque", monitor_string(member->opaque));
        }
        json_array_append_new(fds, entry);
    }
    return list;
}

static const MonitorCommand query_command = {
    .name = "query-fdsets",
    .summary = "lists the sets of descriptors",
    .run = query_run,
    .returns = "[FdsetInfo]",
};
MONITOR_COMMAND(query_command);
