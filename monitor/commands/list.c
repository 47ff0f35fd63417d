/* SPDX-License-Identifier: MIT */
/* Commands about source code: its text, where its lines are, and where its files are. */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "debug/symbols/symbols.h"
#include "machine/accelerator.h"
#include "monitor/command.h"
#include "monitor/debugger/location.h"
#include "monitor/source.h"

#define ATTACHED "monitor/commands/list.c"
enum { LINES_DEFAULT = 10, LINES_MAX = 2000 };

/* What was listed last, to go on from; strings are its own. */
typedef struct {
    char *source, *folder;
    unsigned next;
    uint64_t pc; /* a list without a place goes on as long as the CPU is where it was */
} Listed;

static void free_listed(void *opaque)
{
    Listed *listed = opaque;

    g_free(listed->source);
    g_free(listed->folder);
    g_free(listed);
}

static Listed *listed_of(Machine *machine)
{
    Listed *listed = machine_attached(machine, ATTACHED);

    if (!listed) {
        listed = g_new0(Listed, 1);
        machine_attach(machine, ATTACHED, listed, free_listed);
    }
    return listed;
}

static uint64_t pc_of(Vcpu *vcpu)
{
    uint64_t pc;

    machine_exclusive_begin(vcpu->machine);
    vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    pc = vcpu->target->get_pc(vcpu);
    machine_exclusive_end(vcpu->machine);
    return pc;
}

/* The line of a place in text, and an address that belongs to it. */
static bool find_line(Vcpu *vcpu, const char *text, SourceLine *line, uint64_t *address,
                      GError **error)
{
    LocationPlace places[LOCATION_PLACES_MAX];
    GError *failure = NULL;

    /* Not behind a prologue: a function is shown from its first line on. */
    if (location_resolve(vcpu, text, false, places, &failure)) {
        *address = places[0].shown;
        return symbols_line(vcpu->machine, vcpu, *address, line) ||
               error_fail(error, KASO_ERROR_NOT_FOUND, "no source line is known for %#" PRIx64,
                          *address);
    }
    if (failure) {
        g_propagate_error(error, failure);
        return false;
    }
    return error_fail(error, KASO_ERROR_NOT_FOUND,
                      "'%s' is not known; 'symbols add FILE' adds what a file with debugging "
                      "information knows",
                      text);
}

/* --- list -------------------------------------------------------------------------------------- */

/* Where to begin; *line has the source. */
static bool list_from(Vcpu *vcpu, const char *location, unsigned count, SourceLine *line,
                      unsigned *first, GError **error)
{
    Listed *listed = listed_of(vcpu->machine);
    uint64_t pc = pc_of(vcpu), address;
    g_autofree char *file = NULL;

    if (!location && listed->source && listed->pc == pc) {
        *line = (SourceLine){ listed->source, listed->folder };
        *first = listed->next;
        return true;
    }
    if (!location) {
        if (!symbols_line(vcpu->machine, vcpu, pc, line)) {
            return error_fail(error, KASO_ERROR_NOT_FOUND,
                              "no source line is known for where the CPU is, %#" PRIx64, pc);
        }
    } else if (location_is_line(location, &file, &line->line)) {
        /* Also lines without code. */
        unsigned wanted = line->line;

        if (!symbols_source(vcpu->machine, file, line)) {
            return error_fail(error, KASO_ERROR_NOT_FOUND, "there is no source file '%s'", file);
        }
        line->line = wanted;
    } else if (!find_line(vcpu, location, line, &address, error)) {
        return false;
    }
    *first = line->line > count / 2 ? line->line - count / 2 : 1;
    listed->pc = pc;
    return true;
}

static json_t *list_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Vcpu *vcpu = monitor_vcpu(monitor, error);
    unsigned count = CLAMP(monitor_get_int(arguments, "count", LINES_DEFAULT), 1, LINES_MAX);
    unsigned first = 1;
    g_auto(GStrv) texts = NULL;
    g_autofree char *path = NULL;
    SourceLine line = { 0 }, here;
    Listed *listed;
    json_t *result, *list;

    if (!vcpu ||
        !list_from(vcpu, monitor_get_string(arguments, "location"), count, &line, &first, error) ||
        !(texts = source_read(vcpu->machine, &line, first, first + count - 1, error))) {
        return NULL;
    }
    if (!texts[0]) {
        error_fail(error, KASO_ERROR_INVALID, "%s has no line %u", line.source, first);
        return NULL;
    }
    listed = listed_of(vcpu->machine);
    path = source_path(vcpu->machine, &line);
    result = json_object();
    list = json_array();
    monitor_put(result, "source", monitor_string(line.source));
    monitor_put(result, "path", monitor_string(path));
    for (unsigned i = 0; texts[i]; i++) {
        json_t *one = json_object();

        monitor_put(one, "line", json_integer(first + i));
        monitor_put(one, "text", json_string(texts[i]));
        json_array_append_new(list, one);
        listed->next = first + i + 1;
    }
    monitor_put(result, "lines", list);
    if (listed->source != line.source) {
        g_free(listed->source);
        g_free(listed->folder);
        listed->source = g_strdup(line.source);
        listed->folder = g_strdup(line.folder);
    }
    if (symbols_line(vcpu->machine, vcpu, listed->pc, &here) &&
        !strcmp(here.source, listed->source)) {
        monitor_put(result, "current", json_integer(here.line));
    }
    return result;
}

static void list_print(Monitor *monitor, json_t *result, GString *out)
{
    int64_t current = monitor_get_int(result, "current", 0);
    size_t i;
    json_t *line;

    json_array_foreach(json_object_get(result, "lines"), i, line)
    {
        int64_t number = monitor_get_int(line, "line", 0);

        g_string_append_printf(out, "%s%" PRId64 "\t%s\n", number == current ? "=>" : "  ", number,
                               monitor_get_string(line, "text"));
    }
}

static void complete_names(Machine *machine, GPtrArray *candidates)
{
    enum { NAMES_MAX = 200 };

    symbols_complete(machine, "", NAMES_MAX, candidates);
}

static const MonitorArgument list_arguments[] = {
    { "location", ARGUMENT_STRING, true,
      "FILE:LINE, NAME or *ADDRESS; without: around the CPU's pc, and then on from there",
      .complete = complete_names },
    { "count", ARGUMENT_INT, true, "so many lines, 10 without" },
    { NULL },
};

static const MonitorCommand list_command = {
    .name = "x-list",
    .hmp = "list|l",
    .summary = "shows source code; => is where the CPU is",
    .arguments = list_arguments,
    .run = list_run,
    .print = list_print,
    .returns = "SourceText",
};
MONITOR_COMMAND(list_command);

/* --- info line --------------------------------------------------------------------------------- */

static json_t *line_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *location = monitor_get_string(arguments, "location");
    Vcpu *vcpu = monitor_vcpu(monitor, error);
    g_autofree char *symbol = NULL;
    uint64_t address;
    SourceLine line;
    json_t *result;
    bool ok;

    if (!vcpu) {
        return NULL;
    }
    if (location) {
        ok = find_line(vcpu, location, &line, &address, error);
    } else {
        address = pc_of(vcpu);
        ok = symbols_line(vcpu->machine, vcpu, address, &line) ||
             error_fail(error, KASO_ERROR_NOT_FOUND,
                        "no source line is known for where the CPU is, %#" PRIx64, address);
    }
    if (!ok) {
        return NULL;
    }
    result = json_object();
    source_put(result, &line);
    monitor_put(result, "start", json_integer((json_int_t)line.start));
    monitor_put(result, "end", json_integer((json_int_t)line.end));
    symbol = symbols_describe(vcpu->machine, vcpu, line.start);
    if (symbol) {
        monitor_put(result, "symbol", monitor_string(symbol));
    }
    return result;
}

static void line_print(Monitor *monitor, json_t *result, GString *out)
{
    g_string_append_printf(
        out, "%s, line %d: code from %#" PRIx64, monitor_get_string(result, "source"),
        (int)monitor_get_int(result, "line", 0), (uint64_t)monitor_get_int(result, "start", 0));
    if (monitor_has(result, "symbol")) {
        g_string_append_printf(out, " <%s>", monitor_get_string(result, "symbol"));
    }
    g_string_append_printf(out, " to %#" PRIx64 "\n", (uint64_t)monitor_get_int(result, "end", 0));
}

static const MonitorArgument line_arguments[] = {
    { "location", ARGUMENT_STRING, true, "FILE:LINE, NAME or *ADDRESS; without: where the CPU is",
      .complete = complete_names },
    { NULL },
};

static const MonitorCommand line_command = {
    .name = "x-query-line",
    .hmp = "info line",
    .summary = "shows which code a source line is, or which line a place in the code",
    .arguments = line_arguments,
    .run = line_run,
    .print = line_print,
    .returns = "SourceLineInfo",
};
MONITOR_COMMAND(line_command);

/* --- symbols source ---------------------------------------------------------------------------- */

static json_t *source_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);

    if (monitor_has(arguments, "from")) {
        source_substitute(machine, monitor_get_string(arguments, "from"),
                          monitor_has(arguments, "to") ? monitor_get_string(arguments, "to")
                                                       : NULL);
    }
    return source_substitutions(machine);
}

static void source_list_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *one;

    json_array_foreach(result, i, one)
    {
        g_string_append_printf(out, "%s is at %s\n", monitor_get_string(one, "from"),
                               monitor_get_string(one, "to"));
    }
    if (!i) {
        g_string_append(out, "Sources are looked for where they were compiled.\n");
    }
}

static const MonitorArgument source_arguments[] = {
    { "from", ARGUMENT_STRING, true, "how paths of sources begin, as the compiler saw them" },
    { "to", ARGUMENT_STRING, true, "where that is here; none: the rule goes" },
    { NULL },
};

static const MonitorCommand source_command = {
    .name = "x-symbols-source",
    .hmp = "symbols source",
    .summary = "says where source files are, when not where they were compiled; without arguments "
               "shows the rules",
    .arguments = source_arguments,
    .run = source_run,
    .print = source_list_print,
    .returns = "[SourceRule]",
};
MONITOR_COMMAND(source_command);
