/* SPDX-License-Identifier: MIT */
/*
 * What can be traced, by the commands that other programs know: a device type is an event, and so is each of its registers
 * ("pl011", "pl011.UARTDR"), with a few names besides that no device type has.
 */
#include <string.h>

#include "base/log.h"
#include "machine/device.h"
#include "monitor/command.h"

/* Parts of devices and of the machine that trace under names of their own. */
static const char *const other_names[] = { "block-named-file", "hda-codec",     "ide-cd",
                                           "machine",          "sb16.dsp",      "virtio-9p",
                                           "virtio-balloon",   "virtio-blk",    "virtio-net",
                                           "virtio-scsi",      "virtio-serial", "virtio-sound" };

/* A device type may be in the list above, too. Takes the name. */
static void add_name(GPtrArray *names, GHashTable *seen, char *name)
{
    if (g_hash_table_contains(seen, name)) {
        g_free(name); /* and not that of the table, which the array has, too */
        return;
    }
    g_hash_table_add(seen, name);
    g_ptr_array_add(names, name);
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All events whose names match, sorted; caller unrefs. */
static GPtrArray *find_events(const char *pattern)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GPtrArray *all = g_ptr_array_new(), *found = g_ptr_array_new_with_free_func(g_free);
    const DeviceType *const *type;

    for (size_t i = 0; i < G_N_ELEMENTS(other_names); i++) {
        add_name(all, seen, g_strdup(other_names[i]));
    }
    REGISTRY_FOREACH(device_types, type) {
        add_name(all, seen, g_strdup((*type)->name));
        for (const RegisterBank *bank = (*type)->banks; bank && bank->name; bank++) {
            for (const Register *r = bank->registers; r->name; r++) {
                add_name(all, seen, g_strdup_printf("%s.%s", (*type)->name, r->name));
            }
        }
    }
    for (guint i = 0; i < all->len; i++) {
        if (g_pattern_match_simple(pattern, all->pdata[i])) {
            g_ptr_array_add(found, g_strdup(all->pdata[i]));
        }
    }
    g_ptr_array_unref(all);
    g_ptr_array_sort(found, compare_names);
    return found;
}

/* NULL with an error: a name that nothing has. A pattern may match nothing. */
static GPtrArray *find_known_events(const char *name, GError **error)
{
    GPtrArray *events = find_events(name);

    if (!events->len && !strpbrk(name, "*?")) {
        g_ptr_array_unref(events);
        error_fail(error, KASO_ERROR_NOT_FOUND, "unknown event \"%s\"", name);
        return NULL;
    }
    return events;
}

static bool is_on(const char *name)
{
    return log_enabled(LOG_TRACE) && log_trace_wanted(name);
}

static json_t *get_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *name = monitor_has(arguments, "name") ? monitor_get_string(arguments, "name") : "*";
    GPtrArray *events = find_known_events(name, error);
    json_t *list;

    if (!events) {
        return NULL;
    }
    list = json_array();
    for (guint i = 0; i < events->len; i++) {
        json_t *entry = json_object();

        monitor_put(entry, "name", monitor_string(events->pdata[i]));
        monitor_put(entry, "state", json_string(is_on(events->pdata[i]) ? "enabled" : "disabled"));
        json_array_append_new(list, entry);
    }
    g_ptr_array_unref(events);
    return list;
}

static const MonitorArgument get_arguments[] = {
    { "name", ARGUMENT_STRING, .summary = "event, with * and ? for several" },
    { NULL },
};

static const MonitorCommand get_command = {
    .name = "trace-event-get-state",
    .summary = "tells which events are traced",
    .arguments = get_arguments,
    .run = get_run,
    .returns = "[TraceEventInfo]",
};
MONITOR_COMMAND(get_command);

static void get_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *entry;

    json_array_foreach(result, i, entry)
    {
        g_string_append_printf(out, "%s : state %d\n", monitor_get_string(entry, "name"),
                               !strcmp(monitor_get_string(entry, "state"), "enabled"));
    }
}

static const MonitorArgument info_arguments[] = {
    { "name", ARGUMENT_STRING, true, "event, with * and ? for several; none: all" },
    { NULL },
};

static const MonitorCommand info_command = {
    .hmp = "info trace-events",
    .summary = "lists what can be traced, and whether it is",
    .arguments = info_arguments,
    .run = get_run,
    .print = get_print,
};
MONITOR_COMMAND(info_command);

static bool any_matches(GPtrArray *events, const char *pattern)
{
    for (guint i = 0; i < events->len; i++) {
        if (g_pattern_match_simple(pattern, events->pdata[i])) {
            return true;
        }
    }
    return false;
}

/* What is on by a pattern that matches others, too, stays on for those. */
static void turn_off(GPtrArray *events, const char *name)
{
    g_auto(GStrv) patterns = log_traces();
    g_autoptr(GPtrArray) kept = g_ptr_array_new_with_free_func(g_free);
    bool all = log_enabled(LOG_TRACE) && !patterns[0];

    for (char **pattern = patterns; all || *pattern; pattern++) {
        const char *text = all ? "*" : *pattern;

        if (any_matches(events, text)) {
            GPtrArray *matched = find_events(text);

            for (guint i = 0; i < matched->len; i++) {
                if (!g_pattern_match_simple(name, matched->pdata[i])) {
                    g_ptr_array_add(kept, g_strdup(matched->pdata[i]));
                }
            }
            g_ptr_array_unref(matched);
            log_switch_trace(text, false);
        }
        if (all) {
            break;
        }
    }
    for (guint i = 0; i < kept->len; i++) {
        log_switch_trace(kept->pdata[i], true);
    }
}

static json_t *set_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *name = monitor_get_string(arguments, "name");
    GPtrArray *events = find_known_events(name, error);

    if (!events) {
        return NULL;
    }
    if (!monitor_get_bool(arguments, "enable")) {
        turn_off(events, name);
    } else if (events->len) {
        log_switch_trace(name, true);
    }
    g_ptr_array_unref(events);
    return NULL;
}

static const MonitorArgument set_arguments[] = {
    { "name", ARGUMENT_STRING, .summary = "event, with * and ? for several" },
    { "enable", ARGUMENT_BOOL, .summary = "on or off" },
    { "ignore-unavailable", ARGUMENT_BOOL, true, "accepted; all events are available",
      .qmp = true },
    { NULL },
};

static const MonitorCommand set_command = {
    .name = "trace-event-set-state",
    .hmp = "trace-event",
    .summary = "starts or ends the tracing of events",
    .arguments = set_arguments,
    .run = set_run,
};
MONITOR_COMMAND(set_command);
