/* SPDX-License-Identifier: MIT */
/* Commands that set, list and change breakpoints. */
#include <inttypes.h>

#include "debug/symbols/symbols.h"
#include "monitor/command.h"
#include "monitor/debugger/breakpoint.h"
#include "monitor/source.h"

static json_t *describe(Machine *machine, const Breakpoint *breakpoint)
{
    g_autofree char *what = breakpoint_describe(breakpoint);
    g_autoptr(GArray) addresses = breakpoint_addresses(breakpoint);
    const char *condition = breakpoint_condition(breakpoint);
    const char *commands = breakpoint_commands(breakpoint);
    json_t *object = json_object(), *list = json_array();
    uint64_t guest_phys;
    SourceLine line;

    for (unsigned i = 0; i < addresses->len; i++) {
        json_array_append_new(list,
                              json_integer((json_int_t)g_array_index(addresses, uint64_t, i)));
    }
    monitor_put(object, "number", json_integer(breakpoint_number(breakpoint)));
    monitor_put(object, "what", json_string(what));
    monitor_put(object, "location", monitor_string(breakpoint_location(breakpoint)));
    monitor_put(object, "addresses", list);
    if (breakpoint_in_ram(breakpoint, &guest_phys)) {
        monitor_put(object, "guest-physical", json_integer((json_int_t)guest_phys));
    }
    if (addresses->len &&
        symbols_line(machine, NULL, g_array_index(addresses, uint64_t, 0), &line)) {
        source_put(object, &line);
    }
    monitor_put(object, "enabled", json_boolean(breakpoint_enabled(breakpoint)));
    monitor_put(object, "temporary", json_boolean(breakpoint_temporary(breakpoint)));
    monitor_put(object, "trace", json_boolean(breakpoint_traces(breakpoint)));
    monitor_put(object, "wait", json_boolean(breakpoint_waits(breakpoint)));
    monitor_put(object, "hits", json_integer((json_int_t)breakpoint_hits(breakpoint)));
    monitor_put(object, "ignore", json_integer((json_int_t)breakpoint_ignores(breakpoint)));
    if (condition) {
        monitor_put(object, "condition", monitor_string(condition));
    }
    if (commands) {
        monitor_put(object, "commands", monitor_string(commands));
    }
    return object;
}

static json_t *add(Monitor *monitor, json_t *arguments, uint8_t access, bool temporary,
                   GError **error)
{
    Vcpu *vcpu = monitor_vcpu(monitor, error);
    BreakpointRequest request = { .access = access,
                                  .temporary = temporary,
                                  .physical = monitor_get_bool(arguments, "physical"),
                                  .trace = monitor_get_bool(arguments, "trace"),
                                  .size = access == DEBUG_EXECUTE ? 1 : 8 };
    g_autofree char *copy = NULL;
    Breakpoint *breakpoint;

    if (!vcpu ||
        !breakpoint_parse(monitor_get_string(arguments, "location"), &request, &copy, error)) {
        return NULL;
    }
    breakpoint = breakpoint_add(vcpu, &request, error);
    return breakpoint ? describe(vcpu->machine, breakpoint) : NULL;
}

/* A kernel that has not mapped itself yet is known by its place in RAM only. */
static void print_address(json_t *breakpoint, json_t *address, GString *out)
{
    uint64_t shown = (uint64_t)json_integer_value(address);
    uint64_t guest_phys = (uint64_t)monitor_get_int(breakpoint, "guest-physical", (int64_t)shown);

    g_string_append_printf(out, " at %#" PRIx64, shown);
    if (monitor_has(breakpoint, "guest-physical") && guest_phys == shown) {
        g_string_append(out, " in RAM, wherever that is mapped");
    }
    if (monitor_has(breakpoint, "source")) {
        g_string_append_printf(out, ": %s, line %d", monitor_get_string(breakpoint, "source"),
                               (int)monitor_get_int(breakpoint, "line", 0));
    }
}

static void add_print(Monitor *monitor, json_t *result, GString *out)
{
    json_t *addresses = json_object_get(result, "addresses");

    g_string_append_printf(out, "%s %" PRId64, monitor_get_string(result, "what"),
                           monitor_get_int(result, "number", 0));
    if (g_str_equal(monitor_get_string(result, "what"), "event")) {
        g_string_append_printf(out, " %s", monitor_get_string(result, "location"));
    } else if (json_array_size(addresses) == 0) {
        g_string_append(out, ": the name is not known yet; it is set when it is");
    } else {
        print_address(result, json_array_get(addresses, 0), out);
    }
    if (json_array_size(addresses) > 1) {
        g_string_append_printf(out, " and %zu more", json_array_size(addresses) - 1);
    }
    g_string_append_c(out, '\n');
}

static const MonitorArgument add_arguments[] = {
    { "physical", ARGUMENT_FLAG, true, "the address is guest physical", 'p' },
    { "trace", ARGUMENT_FLAG, true, "log it, and do not stop", 't' },
    { "location", ARGUMENT_REST, false,
      "NAME, FILE:LINE, an expression, or \"on EVENT\", then [size N] [cpu N] [if CONDITION] [do "
      "COMMAND; "
      "COMMAND]" },
    { NULL },
};

#define ADD(symbol, qmp, hmp_name, kinds, once, text)                                              \
    static json_t *symbol##_run(Monitor *monitor, json_t *arguments, GError **error)               \
    {                                                                                              \
        return add(monitor, arguments, kinds, once, error);                                        \
    }                                                                                              \
    static const MonitorCommand symbol##_command = {                                               \
        .name = qmp,                                                                               \
        .hmp = hmp_name,                                                                           \
        .summary = text,                                                                           \
        .arguments = add_arguments,                                                                \
        .run = symbol##_run,                                                                       \
        .print = add_print,                                                                        \
        .returns = "BreakpointInfo",                                                               \
    };                                                                                             \
    MONITOR_COMMAND(symbol##_command)

ADD(break, "x-break", "break|b", DEBUG_EXECUTE, false,
    "stops the machine before an instruction is executed");
ADD(hbreak, "x-hbreak", "hbreak", DEBUG_EXECUTE, false,
    "the same as break: no breakpoint ever writes into memory");
ADD(tbreak, "x-tbreak", "tbreak", DEBUG_EXECUTE, true, "as break, once");
ADD(watch, "x-watch", "watch", DEBUG_WRITE, false,
    "stops the machine when memory has been written");
ADD(rwatch, "x-rwatch", "rwatch", DEBUG_READ, false, "stops the machine when memory has been read");
ADD(awatch, "x-awatch", "awatch", DEBUG_READ | DEBUG_WRITE, false,
    "stops the machine when memory has been read or written");

static json_t *breakpoints_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const GPtrArray *all = breakpoint_all(machine);
    json_t *list = json_array();

    for (unsigned i = 0; i < all->len; i++) {
        json_array_append_new(list, describe(machine, g_ptr_array_index(all, i)));
    }
    return list;
}

static void print_one(json_t *one, GString *out)
{
    json_t *addresses = json_object_get(one, "addresses");
    int64_t ignore = monitor_get_int(one, "ignore", 0);

    g_string_append_printf(
        out, "%-4" PRId64 " %s%s%s%s%s at %s", monitor_get_int(one, "number", 0),
        monitor_get_string(one, "what"), monitor_get_bool(one, "temporary") ? ", once" : "",
        monitor_get_bool(one, "trace") ? ", traced" : "",
        monitor_get_bool(one, "wait") ? ", waited for" : "",
        monitor_get_bool(one, "enabled") ? "" : ", disabled", monitor_get_string(one, "location"));
    for (size_t i = 0; i < json_array_size(addresses); i++) {
        g_string_append_printf(out, "%s%#" PRIx64, i ? ", " : " = ",
                               (uint64_t)json_integer_value(json_array_get(addresses, i)));
    }
    if (json_array_size(addresses) == 0 && monitor_get_bool(one, "enabled") &&
        !g_str_equal(monitor_get_string(one, "what"), "event")) {
        g_string_append(out, " (not known yet)");
    }
    g_string_append_printf(out, ", hits %" PRId64, monitor_get_int(one, "hits", 0));
    if (ignore) {
        g_string_append_printf(out, ", ignores the next %" PRId64, ignore);
    }
    g_string_append_c(out, '\n');
    if (monitor_has(one, "condition")) {
        g_string_append_printf(out, "     if %s\n", monitor_get_string(one, "condition"));
    }
    if (monitor_has(one, "commands")) {
        g_string_append_printf(out, "     do %s\n", monitor_get_string(one, "commands"));
    }
}

static void breakpoints_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *one;

    json_array_foreach(result, i, one)
    {
        print_one(one, out);
    }
    if (json_array_size(result) == 0) {
        g_string_append(out, "There are no breakpoints.\n");
    }
}

static const MonitorCommand breakpoints_command = {
    .name = "x-query-breakpoints",
    .hmp = "info breakpoints",
    .summary = "lists breakpoints and watchpoints",
    .run = breakpoints_run,
    .print = breakpoints_print,
    .returns = "[BreakpointInfo]",
};
MONITOR_COMMAND(breakpoints_command);

static json_t *delete_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const GPtrArray *all = breakpoint_all(machine);
    Breakpoint *breakpoint;

    if (monitor_has(arguments, "number")) {
        breakpoint = breakpoint_find(machine, monitor_get_int(arguments, "number", 0), error);
        if (breakpoint) {
            breakpoint_remove(breakpoint);
        }
        return NULL;
    }
    while (all->len) {
        breakpoint_remove(g_ptr_array_index(all, all->len - 1));
    }
    return NULL;
}

static const MonitorArgument number_or_all[] = {
    { "number", ARGUMENT_INT, true, "of the breakpoint; all without one" },
    { NULL },
};

static const MonitorCommand delete_command = {
    .name = "x-delete-breakpoint",
    .hmp = "delete",
    .summary = "removes a breakpoint, or all",
    .arguments = number_or_all,
    .run = delete_run,
};
MONITOR_COMMAND(delete_command);

static json_t *set_enabled(Monitor *monitor, json_t *arguments, bool enabled, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const GPtrArray *all = breakpoint_all(machine);
    Breakpoint *breakpoint;

    if (monitor_has(arguments, "number")) {
        breakpoint = breakpoint_find(machine, monitor_get_int(arguments, "number", 0), error);
        if (breakpoint) {
            breakpoint_set_enabled(breakpoint, enabled, error);
        }
        return NULL;
    }
    for (unsigned i = 0; i < all->len; i++) {
        if (!breakpoint_set_enabled(g_ptr_array_index(all, i), enabled, error)) {
            return NULL;
        }
    }
    return NULL;
}

static json_t *enable_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return set_enabled(monitor, arguments, true, error);
}

static const MonitorCommand enable_command = {
    .name = "x-enable-breakpoint",
    .hmp = "enable",
    .summary = "has a disabled breakpoint (or all) stop again",
    .arguments = number_or_all,
    .run = enable_run,
};
MONITOR_COMMAND(enable_command);

static json_t *disable_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return set_enabled(monitor, arguments, false, error);
}

static const MonitorCommand disable_command = {
    .name = "x-disable-breakpoint",
    .hmp = "disable",
    .summary = "keeps a breakpoint (or all) without effect",
    .arguments = number_or_all,
    .run = disable_run,
};
MONITOR_COMMAND(disable_command);

static json_t *condition_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Vcpu *vcpu = monitor_vcpu(monitor, error);
    Breakpoint *breakpoint =
        vcpu ? breakpoint_find(vcpu->machine, monitor_get_int(arguments, "number", 0), error)
             : NULL;

    if (breakpoint) {
        breakpoint_set_condition(breakpoint, vcpu, monitor_get_string(arguments, "condition"),
                                 error);
    }
    return NULL;
}

static const MonitorArgument condition_arguments[] = {
    { "number", ARGUMENT_INT, false, "of the breakpoint" },
    { "condition", ARGUMENT_REST, true, "when it stops; none: always" },
    { NULL },
};

static const MonitorCommand condition_command = {
    .name = "x-breakpoint-condition",
    .hmp = "condition",
    .summary = "sets or removes a breakpoint's condition",
    .arguments = condition_arguments,
    .run = condition_run,
};
MONITOR_COMMAND(condition_command);

static json_t *ignore_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Breakpoint *breakpoint =
        breakpoint_find(monitor_machine(monitor), monitor_get_int(arguments, "number", 0), error);
    int64_t count = monitor_get_int(arguments, "count", 0);

    if (breakpoint) {
        breakpoint_set_ignores(breakpoint, count > 0 ? (uint64_t)count : 0);
    }
    return NULL;
}

static const MonitorArgument ignore_arguments[] = {
    { "number", ARGUMENT_INT, false, "of the breakpoint" },
    { "count", ARGUMENT_INT, false, "how many hits do not stop" },
    { NULL },
};

static const MonitorCommand ignore_command = {
    .name = "x-breakpoint-ignore",
    .hmp = "ignore",
    .summary = "lets a breakpoint's next hits pass",
    .arguments = ignore_arguments,
    .run = ignore_run,
};
MONITOR_COMMAND(ignore_command);

static json_t *commands_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Breakpoint *breakpoint =
        breakpoint_find(monitor_machine(monitor), monitor_get_int(arguments, "number", 0), error);

    if (breakpoint) {
        breakpoint_set_commands(breakpoint, monitor_get_string(arguments, "commands"));
    }
    return NULL;
}

static const MonitorArgument commands_arguments[] = {
    { "number", ARGUMENT_INT, false, "of the breakpoint" },
    { "commands", ARGUMENT_REST, true,
      "separated by ';'; \"silent\" first says nothing of the stop" },
    { NULL },
};

static const MonitorCommand commands_command = {
    .name = "x-breakpoint-commands",
    .hmp = "commands",
    .summary = "sets what the monitor does when a breakpoint stops",
    .arguments = commands_arguments,
    .run = commands_run,
};
MONITOR_COMMAND(commands_command);
