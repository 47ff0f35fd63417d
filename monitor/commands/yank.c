/* SPDX-License-Identifier: MIT */
/* yank: ends connections whose other side does not answer, so that what waits for it fails and goes on. */
#include <string.h>

#include "base/error.h"
#include "block/block.h"
#include "machine/chardev.h"
#include "migration/migration.h"
#include "monitor/command.h"

static void add_instance(json_t *list, const char *type, const char *member, const char *name)
{
    json_t *instance = json_pack("{s:s}", "type", type);

    if (member) {
        monitor_put(instance, member, monitor_string(name));
    }
    json_array_append_new(list, instance);
}

static json_t *query_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    GPtrArray *chardevs = machine_chardevs(machine);
    json_t *list = json_array();

    for (guint i = 0; i < chardevs->len; i++) {
        const Chardev *chardev = chardevs->pdata[i];

        if (chardev->type->yank) {
            add_instance(list, "chardev", "id", chardev->id);
        }
    }
    if (machine->block_graph) {
        g_autoptr(GPtrArray) names = block_yank_names(machine->block_graph);

        for (guint i = 0; i < names->len; i++) {
            add_instance(list, "block-node", "node-name", names->pdata[i]);
        }
    }
    if (migration_may_yank(machine)) {
        add_instance(list, "migration", NULL, NULL);
    }
    return list;
}

static const MonitorCommand query_command = {
    .name = "query-yank",
    .summary = "lists the connections that yank can end",
    .run = query_run,
    .returns = "[YankInstance]",
};
MONITOR_COMMAND(query_command);

static void yank_one(Machine *machine, json_t *instance)
{
    const char *type = monitor_get_string(instance, "type");

    if (strcmp(type, "chardev") == 0) {
        Chardev *chardev = machine_find_chardev(machine, monitor_get_string(instance, "id"));

        chardev->type->yank(chardev);
    } else if (strcmp(type, "block-node") == 0) {
        block_yank(machine->block_graph, monitor_get_string(instance, "node-name"));
    } else {
        migration_yank(machine);
    }
}

static bool is_known(json_t *known, json_t *instance)
{
    size_t i;
    json_t *one;

    json_array_foreach(known, i, one)
    {
        if (json_equal(one, instance)) {
            return true;
        }
    }
    return false;
}

/* All or none. */
static bool check_instances(Monitor *monitor, json_t *instances, GError **error)
{
    json_t *known = query_run(monitor, NULL, NULL), *instance;
    bool all = true;
    size_t i;

    json_array_foreach(instances, i, instance)
    {
        all = all && is_known(known, instance);
    }
    json_decref(known);
    if (!json_is_array(instances)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Parameter 'instances' must be a list of objects as query-yank has them");
    }
    return all || error_fail(error, KASO_ERROR_NO_DEVICE,
                             "Instance not found: query-yank lists those that there are");
}

static json_t *yank_run(Monitor *monitor, json_t *arguments, GError **error)
{
    json_t *instances = json_object_get(arguments, "instances"), *instance;
    size_t i;

    if (check_instances(monitor, instances, error)) {
        json_array_foreach(instances, i, instance)
        {
            yank_one(monitor_machine(monitor), instance);
        }
    }
    return NULL;
}

static const MonitorArgument yank_arguments[] = {
    { "instances", ARGUMENT_ANY, false, "list of objects as query-yank has them",
      .type = "[YankInstance]" },
    { NULL },
};

static const MonitorCommand yank_command = {
    .name = "yank",
    .summary = "ends connections whose other side does not answer",
    .arguments = yank_arguments,
    .run = yank_run,
};
MONITOR_COMMAND(yank_command);
