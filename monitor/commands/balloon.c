/* SPDX-License-Identifier: MIT */
/* Commands of the memory balloon. */
#include "machine/balloon.h"

#include <inttypes.h>
#include <string.h>

#include "monitor/command.h"

static const BalloonOps *find_balloon(Monitor *monitor, void **opaque, GError **error)
{
    const BalloonOps *ops = machine_balloon(monitor_machine(monitor), opaque);

    if (!ops) {
        error_fail(error, KASO_ERROR_NOT_ACTIVE, "No balloon device has been activated");
    }
    return ops;
}

static void set_size(Monitor *monitor, uint64_t bytes, GError **error)
{
    uint64_t ram = monitor_machine(monitor)->config.ram_bytes;
    void *opaque;
    const BalloonOps *ops = find_balloon(monitor, &opaque, error);

    if (ops && !bytes) {
        error_fail(error, KASO_ERROR_INVALID, "Parameter 'value' expects a size");
    } else if (ops) {
        ops->set_pages(opaque, (uint32_t)((ram - MIN(bytes, ram)) / BALLOON_PAGE_BYTES));
    }
}

/* HMP counts in MiB. */
static json_t *balloon_hmp_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *text = monitor_get_string(arguments, "value");
    uint64_t bytes = 0;

    if (!property_parse_size(text, &bytes)) {
        error_fail(error, KASO_ERROR_INVALID, "'%s' is no size", text);
        return NULL;
    }
    set_size(monitor, g_ascii_isdigit(text[strlen(text) - 1]) ? bytes << 20 : bytes, error);
    return NULL;
}

static const MonitorArgument balloon_hmp_arguments[] = {
    { "value", ARGUMENT_STRING, .summary = "RAM that the guest shall have: MiB, or with a suffix" },
    { NULL },
};

static const MonitorCommand balloon_hmp_command = {
    .hmp = "balloon",
    .summary = "asks the guest to give memory away, or to take it back",
    .arguments = balloon_hmp_arguments,
    .run = balloon_hmp_run,
};
MONITOR_COMMAND(balloon_hmp_command);

static json_t *balloon_run(Monitor *monitor, json_t *arguments, GError **error)
{
    set_size(monitor, (uint64_t)monitor_get_int(arguments, "value", 0), error);
    return NULL;
}

static const MonitorArgument balloon_arguments[] = {
    { "value", ARGUMENT_SIZE, .summary = "bytes of RAM that the guest shall have" },
    { NULL },
};

static const MonitorCommand balloon_command = {
    .name = "balloon",
    .summary = "asks the guest to give memory away, or to take it back",
    .arguments = balloon_arguments,
    .run = balloon_run,
};
MONITOR_COMMAND(balloon_command);

static json_t *query_run(Monitor *monitor, json_t *arguments, GError **error)
{
    uint64_t ram = monitor_machine(monitor)->config.ram_bytes;
    void *opaque;
    const BalloonOps *ops = find_balloon(monitor, &opaque, error);
    json_t *result;

    if (!ops) {
        return NULL;
    }
    result = json_object();
    monitor_put(result, "actual",
                json_integer((json_int_t)(ram - MIN(ram, (uint64_t)ops->pages(opaque) *
                                                             BALLOON_PAGE_BYTES))));
    return result;
}

static void query_print(Monitor *monitor, json_t *result, GString *out)
{
    g_string_append_printf(out, "balloon: actual=%" PRId64 "\n",
                           monitor_get_int(result, "actual", 0) >> 20);
}

static const MonitorCommand query_command = {
    .name = "query-balloon",
    .hmp = "info balloon",
    .summary = "shows how much memory the guest has",
    .run = query_run,
    .print = query_print,
    .returns = "BalloonInfo",
};
MONITOR_COMMAND(query_command);
