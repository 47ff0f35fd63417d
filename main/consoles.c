/* SPDX-License-Identifier: MIT */
/* Char devices: -chardev, -serial, -monitor, -qmp, -mon, and what there is without them. */
#include <string.h>

#include "accel/qtest/qtest.h"
#include "backends/chardev-open.h"
#include "base/error.h"
#include "machine/device-open.h"
#include "main/handlers.h"
#include "monitor/monitor.h"

bool option_chardev(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = key_values_parse(argument, "backend", error);
    g_autoptr(GHashTable) options = NULL;
    g_autofree char *type = NULL, *id = NULL;

    if (!list) {
        return false;
    }
    type = key_values_take(list, "backend");
    id = key_values_take(list, "id");
    if (type && is_help(type)) {
        help_chardevs();
        help_done();
    }
    if (!type || !id) {
        return error_fail(error, KASO_ERROR_INVALID, "it needs a type and id=NAME");
    }
    setup->stdio_mux |=
        strcmp(type, "stdio") == 0 && g_strcmp0(key_values_get(list, "mux"), "on") == 0;
    options = key_values_table(list);
    return chardev_open(setup->machine, id, type, options, error) != NULL;
}

static void add_monitor(Setup *setup, const char *mode, Chardev *chardev, bool pretty)
{
    MonitorChoice choice = { mode, chardev, pretty };

    g_array_append_val(setup->monitors, choice);
}

/* Opens a short form; "mon:" puts a monitor beside whatever the caller attaches. */
static bool open_short(Setup *setup, const char *id, const char *form, Chardev **chardev,
                       GError **error)
{
    bool monitor;

    if (!chardev_open_short(setup->machine, id, form, chardev, &monitor, error)) {
        return false;
    }
    if (monitor && *chardev) {
        add_monitor(setup, "readline", *chardev, false);
        setup->stdio_mux |= strcmp(form, "mon:stdio") == 0;
    }
    return true;
}

bool option_serial(Setup *setup, const char *argument, GError **error)
{
    unsigned index = setup->given_serials++;
    g_autofree char *id = g_strdup_printf("serial%u", index);
    Chardev *chardev;

    if (!open_short(setup, id, argument, &chardev, error)) {
        return false;
    }
    machine_set_serial(setup->machine, index, chardev);
    return true;
}

bool option_debugcon(Setup *setup, const char *argument, GError **error)
{
    static const char id[] = "debugcon";
    g_autoptr(KeyValues) list = key_values_new();
    Chardev *chardev;

    if (!open_short(setup, id, argument, &chardev, error)) {
        return false;
    }
    if (!chardev) {
        return true; /* none */
    }
    key_values_add(list, "driver", "isa-debugcon");
    key_values_add(list, "chardev", chardev->id);
    return device_open(setup->machine, list, error) != NULL;
}

bool option_qtest(Setup *setup, const char *argument, GError **error)
{
    if (setup->qtest) {
        return error_fail(error, KASO_ERROR_INVALID, "one test drives the machine, not two");
    }
    return open_short(setup, "qtest", argument, &setup->qtest, error);
}

bool option_qtest_log(Setup *setup, const char *argument, GError **error)
{
    g_free(setup->qtest_log);
    setup->qtest_log = g_strdup(argument);
    return true;
}

bool option_parallel(Setup *setup, const char *argument, GError **error)
{
    g_autofree char *id = g_strdup_printf("parallel%u", setup->given_parallels++);
    g_autoptr(KeyValues) list = key_values_new();
    g_autoptr(GError) why = NULL;
    Chardev *chardev;

    if (!open_short(setup, id, argument, &chardev, error)) {
        return false;
    }
    if (!chardev) {
        return true; /* none */
    }
    key_values_add(list, "driver", "isa-parallel");
    key_values_add(list, "chardev", chardev->id);
    /* A machine without such ports does what null does with its bytes. */
    if (!device_open(setup->machine, list, &why) && strcmp(argument, "null") != 0) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    return true;
}

static bool add_monitor_on(Setup *setup, const char *form, const char *mode, bool pretty,
                           GError **error)
{
    g_autofree char *id = g_strdup_printf("compat_monitor%u", setup->given_monitors++);
    Chardev *chardev;

    if (!open_short(setup, id, form, &chardev, error)) {
        return false;
    }
    if (chardev) {
        add_monitor(setup, mode, chardev, pretty);
    }
    return true;
}

bool option_monitor(Setup *setup, const char *argument, GError **error)
{
    return add_monitor_on(setup, argument, "readline", false, error);
}

bool option_qmp(Setup *setup, const char *argument, GError **error)
{
    return add_monitor_on(setup, argument, "control", false, error);
}

bool option_qmp_pretty(Setup *setup, const char *argument, GError **error)
{
    return add_monitor_on(setup, argument, "control", true, error);
}

bool option_mon(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "chardev", "mode", "pretty", "id", NULL };
    g_autoptr(KeyValues) list = key_values_parse(argument, "chardev", error);
    const char *id, *mode, *pretty;
    bool is_pretty = false;
    Chardev *chardev;

    if (!list || !key_values_check(list, names, "-mon", error)) {
        return false;
    }
    id = key_values_get(list, "chardev");
    mode = key_values_get(list, "mode");
    pretty = key_values_get(list, "pretty");
    if (mode && strcmp(mode, "readline") != 0 && strcmp(mode, "control") != 0) {
        return error_fail(error, KASO_ERROR_INVALID, "mode=%s: give readline or control", mode);
    }
    if (pretty && !parse_switch("pretty", pretty, &is_pretty, error)) {
        return false;
    }
    chardev = id ? machine_find_chardev(setup->machine, id) : NULL;
    if (!chardev) {
        return error_fail(error, KASO_ERROR_NOT_FOUND,
                          "there is no chardev '%s'; define it with -chardev …,id=%s", id ? id : "",
                          id ? id : "NAME");
    }
    setup->given_monitors++;
    add_monitor(setup, mode && strcmp(mode, "control") == 0 ? "control" : "readline", chardev,
                is_pretty);
    return true;
}

/* Whether an option given by the user takes the terminal for itself. */
static bool stdio_is_taken(Setup *setup)
{
    for (unsigned i = 0; i < setup->given->len; i++) {
        const GivenOption *given = &g_array_index(setup->given, GivenOption, i);
        const char *device = given->argument ? given->argument : "";
        bool console =
            given->option->stage == STAGE_CHARDEV || given->option->stage == STAGE_CONSOLE ||
            strcmp(given->option->name, "debugcon") == 0 || strcmp(given->option->name, "gdb") == 0;

        if (console && (strcmp(device, "stdio") == 0 || strcmp(device, "mon:stdio") == 0 ||
                        g_str_has_prefix(device, "stdio,"))) {
            return true;
        }
    }
    return false;
}

/*
 * Without a display, the first serial port and the monitor share the terminal, as with -nographic, unless the user placed
 * them or asked for no display by name. With one they are text consoles beside the guest's screen.
 */
bool consoles_add_defaults(Setup *setup, GError **error)
{
    bool shown = !setup->nographic && viewers_wanted(setup);
    bool terminal = setup->nographic || (!setup->no_display && !shown && !setup->daemonize);
    bool serial = setup->given_serials == 0, monitor = setup->given_monitors == 0;

    if (setup->config.no_defaults) {
        return true;
    }
    if (shown) {
        return (!monitor || option_monitor(setup, "vc", error)) &&
               (!serial || option_serial(setup, "vc", error));
    }
    if (!terminal || stdio_is_taken(setup)) {
        return true;
    }
    if (serial) {
        return option_serial(setup, monitor ? "mon:stdio" : "stdio", error);
    }
    return !monitor || !setup->nographic || option_monitor(setup, "stdio", error);
}

static bool start_qtest(Setup *setup, GError **error)
{
    bool ok;

    machine_lock(setup->machine);
    ok = qtest_start(setup->machine, setup->qtest, setup->qtest_log, error);
    machine_unlock(setup->machine);
    return ok;
}

bool option_gdb(Setup *setup, const char *argument, GError **error)
{
    bool ok;

    machine_lock(setup->machine);
    ok = monitor_gdb_server(setup->machine, argument ? argument : "tcp::1234", error);
    machine_unlock(setup->machine);
    return ok;
}

bool monitors_create(Setup *setup, GError **error)
{
    if (setup->qtest && !start_qtest(setup, error)) {
        return false;
    }
    for (unsigned i = 0; i < setup->monitors->len; i++) {
        const MonitorChoice *choice = &g_array_index(setup->monitors, MonitorChoice, i);

        if (!monitor_create(setup->machine, choice->mode, choice->chardev, choice->pretty, error)) {
            return false;
        }
    }
    return setup_run_stage(setup, STAGE_MONITOR, error);
}
