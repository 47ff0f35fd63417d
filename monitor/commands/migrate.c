/* SPDX-License-Identifier: MIT */
/* Sending a machine, waiting for one, and what has become of it. */
#include <stdlib.h>
#include <string.h>

#include "migration/migration.h"
#include "monitor/session.h"

enum { LOOK_MS = 20, SHOW_LOOKS = 25 };

/* An address of QMP's `channels` as a URI has it. NULL with an error. */
static char *address_text(json_t *address, GError **error)
{
    const char *transport = monitor_get_string(address, "transport");
    const char *type = monitor_get_string(address, "type");
    GString *command;
    json_t *word;
    size_t i;

    if (!g_strcmp0(transport, "socket") && !g_strcmp0(type, "unix")) {
        return g_strconcat("unix:", monitor_get_string(address, "path"), NULL);
    }
    if (!g_strcmp0(transport, "socket") && !g_strcmp0(type, "inet")) {
        const char *host = monitor_get_string(address, "host");

        return g_strdup_printf(strchr(host, ':') ? "tcp:[%s]:%s" : "tcp:%s:%s", host,
                               monitor_get_string(address, "port"));
    }
    if (!g_strcmp0(transport, "socket") && !g_strcmp0(type, "fd")) {
        return g_strconcat("fd:", monitor_get_string(address, "str"), NULL);
    }
    if (!g_strcmp0(transport, "file")) {
        return g_strdup_printf("file:%s,offset=%" G_GINT64_FORMAT,
                               monitor_get_string(address, "filename"),
                               monitor_get_int(address, "offset", 0));
    }
    if (!g_strcmp0(transport, "exec")) {
        command = g_string_new("exec:");
        json_array_foreach(json_object_get(address, "args"), i, word)
        {
            g_autofree char *quoted =
                g_shell_quote(json_is_string(word) ? json_string_value(word) : "");

            g_string_append_printf(command, "%s%s", i ? " " : "", quoted);
        }
        return g_string_free(command, FALSE);
    }
    error_fail(error, KASO_ERROR_UNSUPPORTED,
               "'channels' takes the transports socket (unix, inet, fd), file and exec");
    return NULL;
}

/* Of uri, or of channels with one element. The caller frees; NULL with an error. */
static char *take_address(json_t *arguments, GError **error)
{
    json_t *channels = json_object_get(arguments, "channels");
    json_t *address = json_object_get(json_array_get(channels, 0), "addr");

    if (monitor_has(arguments, "uri") == (channels != NULL)) {
        error_fail(error, KASO_ERROR_INVALID,
                   "exactly one of 'uri' and 'channels' says where the machine goes");
        return NULL;
    }
    if (!channels) {
        return g_strdup(monitor_get_string(arguments, "uri"));
    }
    if (json_array_size(channels) != 1 || !json_is_object(address)) {
        error_fail(error, KASO_ERROR_INVALID, "'channels' is a list of one main channel");
        return NULL;
    }
    return address_text(address, error);
}

/* A person waits for the end of it. */
typedef struct {
    Monitor *monitor;
    MonitorAnswer *answer;
    guint source;
    unsigned looks;
    bool shown;
} Waiting;

static const MonitorCommand migrate_command;

static void stop_waiting(void *opaque)
{
    Waiting *waiting = opaque;

    g_source_remove(waiting->source);
    g_free(waiting);
}

static gboolean look(gpointer opaque)
{
    Waiting *waiting = opaque;
    Machine *machine = monitor_machine(waiting->monitor);
    MigrationInfo info;
    GError *error = NULL;
    bool over;

    machine_lock(machine);
    migration_info(machine, &info);
    g_free(info.listening_at);
    over = info.status == MIGRATION_COMPLETED || info.status == MIGRATION_CANCELLED ||
           info.status == MIGRATION_FAILED;
    if (over) {
        if (info.status != MIGRATION_COMPLETED) {
            error_fail(&error, KASO_ERROR_GENERIC, "migration %s%s%s",
                       migration_status_name(info.status), info.error ? ": " : "",
                       info.error ? info.error : "");
        }
        if (waiting->shown) {
            hmp_progress(waiting->monitor, "", 0, 0);
        }
        monitor_answer(waiting->answer, NULL, error);
        g_free(waiting);
    } else if (++waiting->looks % SHOW_LOOKS == 0 && info.ram.total_bytes) {
        uint64_t left = info.ram.remaining_pages * RAM_PAGE_BYTES;

        hmp_progress(waiting->monitor, "sent", info.ram.total_bytes - left, info.ram.total_bytes);
        waiting->shown = true;
    }
    machine_unlock(machine);
    return over ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

static void wait_for_end(Monitor *monitor, GError **error)
{
    Waiting *waiting = g_new0(Waiting, 1);

    waiting->monitor = monitor;
    waiting->answer = monitor_answer_later(monitor, &migrate_command, stop_waiting, waiting, error);
    if (!waiting->answer) {
        g_free(waiting);
        return;
    }
    waiting->source = g_timeout_add(LOOK_MS, look, waiting);
}

static json_t *migrate_run(Monitor *monitor, json_t *arguments, GError **error)
{
    g_autofree char *address = take_address(arguments, error);

    if (address && monitor_get_bool(arguments, "resume")) {
        error_fail(error, KASO_ERROR_UNSUPPORTED, "not yet: postcopy, which 'resume' goes on with");
    } else if (address && migration_start(monitor_machine(monitor), address, error) &&
               !monitor->control && monitor->chardev && !monitor_get_bool(arguments, "detach")) {
        wait_for_end(monitor, error);
    }
    return NULL;
}

static const MonitorArgument migrate_arguments[] = {
    { "detach", ARGUMENT_FLAG, true, "do not wait for the end", 'd' },
    { "uri", ARGUMENT_STRING, true,
      "file:PATH[,offset=N], exec:COMMAND, fd:NAME, unix:PATH or tcp:HOST:PORT" },
    { "channels", ARGUMENT_ANY, true, "the address in parts, instead of uri", .qmp = true },
    { "resume", ARGUMENT_BOOL, true, "off: there is no postcopy that could be resumed",
      .qmp = true },
    { NULL },
};

static const MonitorCommand migrate_command = {
    .name = "migrate",
    .hmp = "migrate",
    .summary = "sends the machine to another process, while it runs",
    .arguments = migrate_arguments,
    .run = migrate_run,
};
MONITOR_COMMAND(migrate_command);

static json_t *cancel_run(Monitor *monitor, json_t *arguments, GError **error)
{
    migration_cancel(monitor_machine(monitor));
    return NULL;
}

static const MonitorCommand cancel_command = {
    .name = "migrate_cancel",
    .hmp = "migrate_cancel",
    .summary = "ends a migration; the machine goes on here",
    .run = cancel_run,
};
MONITOR_COMMAND(cancel_command);

static json_t *continue_run(Monitor *monitor, json_t *arguments, GError **error)
{
    if (strcmp(monitor_get_string(arguments, "state"), "pre-switchover") != 0) {
        error_fail(error, KASO_ERROR_INVALID, "migrate-continue goes on from 'pre-switchover'");
    } else {
        migration_continue(monitor_machine(monitor), error);
    }
    return NULL;
}

static const MonitorArgument continue_arguments[] = {
    { "state", ARGUMENT_STRING, .summary = "pre-switchover" },
    { NULL },
};

static const MonitorCommand continue_command = {
    .name = "migrate-continue",
    .hmp = "migrate_continue",
    .summary = "lets a migration go on that has stopped the machine (pause-before-switchover)",
    .arguments = continue_arguments,
    .run = continue_run,
};
MONITOR_COMMAND(continue_command);

static json_t *incoming_run(Monitor *monitor, json_t *arguments, GError **error)
{
    g_autofree char *address = take_address(arguments, error);
    bool exits =
        !monitor_has(arguments, "exit-on-error") || monitor_get_bool(arguments, "exit-on-error");

    if (address) {
        migration_receive(monitor_machine(monitor), address, exits, error);
    }
    return NULL;
}

static const MonitorArgument incoming_arguments[] = {
    { "uri", ARGUMENT_STRING, true, "as -incoming has it" },
    { "channels", ARGUMENT_ANY, true, "the address in parts, instead of uri", .qmp = true },
    { "exit-on-error", ARGUMENT_BOOL, true, "a failure ends the program (on)", .qmp = true },
    { NULL },
};

static const MonitorCommand incoming_command = {
    .name = "migrate-incoming",
    .hmp = "migrate_incoming",
    .summary = "waits for a machine there, after -incoming defer",
    .arguments = incoming_arguments,
    .run = incoming_run,
};
MONITOR_COMMAND(incoming_command);

/* Looking */

static json_int_t page_bytes(uint64_t pages)
{
    uint64_t bytes = pages * RAM_PAGE_BYTES;

    return (json_int_t)bytes;
}

static json_t *ram_json(const MigrationInfo *info)
{
    const RamCounts *ram = &info->ram;
    double seconds = (double)(info->total_ms - info->setup_ms) / 1000;
    uint64_t pages = ram->normal_pages + ram->zero_pages;

    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:I}", "transferred",
                     (json_int_t)info->transferred_bytes, "remaining",
                     page_bytes(ram->remaining_pages), "total", (json_int_t)ram->total_bytes,
                     "duplicate", (json_int_t)ram->zero_pages, "normal",
                     (json_int_t)ram->normal_pages, "normal-bytes", page_bytes(ram->normal_pages),
                     "dirty-pages-rate", (json_int_t)info->dirty_pages_rate, "mbps", info->mbps,
                     "dirty-sync-count", (json_int_t)ram->passes, "page-size",
                     (json_int_t)RAM_PAGE_BYTES, "precopy-bytes", (json_int_t)info->ram_bytes,
                     "pages-per-second", (json_int_t)(seconds > 0 ? (double)pages / seconds : 0));
}

static json_t *address_json(const char *text)
{
    g_autofree char *host = NULL;
    const char *colon = strrchr(text, ':');

    if (g_str_has_prefix(text, "unix:")) {
        return json_pack("{s:s, s:s}", "type", "unix", "path", text + strlen("unix:"));
    }
    text += strlen("tcp:");
    host = g_strndup(text, (gsize)(colon - text));
    return json_pack("{s:s, s:s, s:s}", "type", "inet", "host", host, "port", colon + 1);
}

static void put_outgoing(json_t *result, const MigrationInfo *info)
{
    bool stood = info->status == MIGRATION_COMPLETED;

    monitor_put(result, "total-time", json_integer(info->total_ms));
    monitor_put(result, "setup-time", json_integer(info->setup_ms));
    monitor_put(result, stood ? "downtime" : "expected-downtime",
                json_integer(stood ? info->downtime_ms : info->expected_downtime_ms));
    if (info->throttle_percent) {
        monitor_put(result, "cpu-throttle-percentage", json_integer(info->throttle_percent));
    }
    monitor_put(result, "ram", ram_json(info));
}

static json_t *info_run(Monitor *monitor, json_t *arguments, GError **error)
{
    json_t *result = json_object();
    MigrationInfo info;

    migration_info(monitor_machine(monitor), &info);
    if (info.status != MIGRATION_NONE) {
        monitor_put(result, "status", json_string(migration_status_name(info.status)));
        if (!info.incoming && info.status != MIGRATION_SETUP) {
            put_outgoing(result, &info);
        }
        if (info.error) {
            monitor_put(result, "error-desc", json_string(info.error));
        }
        if (info.listening_at) {
            monitor_put(result, "socket-address",
                        json_pack("[o]", address_json(info.listening_at)));
        }
    }
    g_free(info.listening_at);
    return result;
}

static void print_ram(json_t *ram, GString *out)
{
    static const struct {
        const char *label, *name;
    } sizes[] = { { "total", "total" },
                  { "transferred", "transferred" },
                  { "remaining", "remaining" } };

    g_string_append(out, "RAM info:\n");
    g_string_append_printf(out, "  Throughput (Mbps):    %.2f\n",
                           json_real_value(json_object_get(ram, "mbps")));
    g_string_append(out, "  Sizes:               ");
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *size = g_format_size_full((guint64)monitor_get_int(ram, sizes[i].name, 0),
                                                   G_FORMAT_SIZE_IEC_UNITS);

        g_string_append_printf(out, "%s %s=%s", i ? "," : "", sizes[i].label, size);
    }
    g_string_append_printf(
        out,
        "\n  Pages:                normal=%" G_GINT64_FORMAT ", zero=%" G_GINT64_FORMAT "\n"
        "  Others:               dirty_syncs=%" G_GINT64_FORMAT ", dirty=%" G_GINT64_FORMAT "/s\n",
        monitor_get_int(ram, "normal", 0), monitor_get_int(ram, "duplicate", 0),
        monitor_get_int(ram, "dirty-sync-count", 0), monitor_get_int(ram, "dirty-pages-rate", 0));
}

static void info_print(Monitor *monitor, json_t *result, GString *out)
{
    json_t *ram = json_object_get(result, "ram");
    const char *error = monitor_get_string(result, "error-desc");

    if (!monitor_has(result, "status")) {
        g_string_append(out, "No migration has taken place.\n");
        return;
    }
    g_string_append_printf(out, "Status:                 %s", monitor_get_string(result, "status"));
    if (monitor_has(result, "error-desc")) {
        g_string_append_printf(out, " (%s)", error);
    }
    g_string_append_c(out, '\n');
    if (ram) {
        g_string_append_printf(
            out,
            "Time (ms):              total=%" G_GINT64_FORMAT ", setup=%" G_GINT64_FORMAT
            ", %s=%" G_GINT64_FORMAT "\n",
            monitor_get_int(result, "total-time", 0), monitor_get_int(result, "setup-time", 0),
            monitor_has(result, "downtime") ? "down" : "exp_down",
            monitor_get_int(result, "downtime", monitor_get_int(result, "expected-downtime", 0)));
        print_ram(ram, out);
    }
    if (monitor_has(result, "cpu-throttle-percentage")) {
        g_string_append_printf(out, "CPU throttle (%%):       %" G_GINT64_FORMAT "\n",
                               monitor_get_int(result, "cpu-throttle-percentage", 0));
    }
}

static const MonitorCommand info_command = {
    .name = "query-migrate",
    .hmp = "info migrate",
    .summary = "shows the state of a migration",
    .run = info_run,
    .print = info_print,
    .returns = "MigrationInfo",
};
MONITOR_COMMAND(info_command);
