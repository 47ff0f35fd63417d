/* SPDX-License-Identifier: MIT */
/* symbols fetch: debugging information from a server. */
#include <inttypes.h>

#include "debug/debuginfod.h"
#include "debug/symbols/symbols.h"
#include "monitor/command.h"

enum { SECONDS_DEFAULT = 600, SECONDS_MAX = 24 * 3600, TELL_SECONDS = 2 };

/* Freed when it is done, or nobody wants it any more. */
typedef struct {
    Machine *machine;
    MonitorAnswer *answer;
    DebuginfodFetch *fetch;
    BuildId id;
    guint timer;
    uint64_t told;
} Fetching;

static const MonitorCommand fetch_command;

static void fetching_free(Fetching *fetching)
{
    if (fetching->timer) {
        g_source_remove(fetching->timer);
    }
    g_free(fetching->id.name);
    g_free(fetching->id.path);
    g_free(fetching);
}

static json_t *add(Fetching *fetching, const char *path, GError **error)
{
    const BuildId *id = &fetching->id;
    json_t *result;
    unsigned number;

    if (!symbols_add_separate(fetching->machine, path, id->name, id->path,
                              id->based ? &id->base : NULL, &number, error)) {
        return NULL;
    }
    result = json_object();
    monitor_put(result, "number", json_integer(number));
    monitor_put(result, "build-id", json_string(id->text));
    monitor_put(result, "name", monitor_string(id->name));
    monitor_put(result, "path", monitor_string(path));
    return result;
}

static void done(void *opaque, const char *path, const GError *failure)
{
    Fetching *fetching = opaque;
    GError *error = failure ? g_error_copy(failure) : NULL;
    json_t *result = path ? add(fetching, path, &error) : NULL;

    monitor_answer(fetching->answer, result, error);
    fetching_free(fetching);
}

static void gone(void *opaque)
{
    Fetching *fetching = opaque;

    debuginfod_cancel(fetching->fetch);
    fetching_free(fetching);
}

static gboolean tell(gpointer opaque)
{
    Fetching *fetching = opaque;
    g_autofree char *text = NULL;
    uint64_t got, all;

    debuginfod_progress(fetching->fetch, &got, &all);
    if (got > fetching->told) {
        g_autofree char *of = all ? g_strdup_printf(" of %.1f", (double)all / 1e6) : g_strdup("");

        text = g_strdup_printf("%s: %.1f%s MB\n", fetching->id.name, (double)got / 1e6, of);
        monitor_answer_note(fetching->answer, text);
        fetching->told = got;
    }
    return G_SOURCE_CONTINUE;
}

static json_t *fetch_run(Monitor *monitor, json_t *arguments, GError **error)
{
    int64_t seconds = monitor_get_int(arguments, "timeout", SECONDS_DEFAULT);
    Fetching *fetching;

    if (seconds < 1 || seconds > SECONDS_MAX) {
        error_fail(error, KASO_ERROR_INVALID, "a time is from 1 to %d seconds, not %" PRId64,
                   SECONDS_MAX, seconds);
        return NULL;
    }
    fetching = g_new0(Fetching, 1);
    fetching->machine = monitor_machine(monitor);
    if (!symbols_build_id(fetching->machine, monitor_get_string(arguments, "which"), &fetching->id,
                          error) ||
        !(fetching->fetch = debuginfod_fetch(fetching->machine, &fetching->id, (unsigned)seconds,
                                             done, fetching, error))) {
        fetching_free(fetching);
        return NULL;
    }
    fetching->answer = monitor_answer_later(monitor, &fetch_command, gone, fetching, error);
    if (!fetching->answer) {
        gone(fetching);
        return NULL;
    }
    fetching->timer = g_timeout_add_seconds(TELL_SECONDS, tell, fetching);
    return NULL;
}

static void fetch_print(Monitor *monitor, json_t *result, GString *out)
{
    g_string_append_printf(
        out, "symbols %d: %s, build ID %s, is in %s\n", (int)monitor_get_int(result, "number", 0),
        monitor_get_string(result, "name"), monitor_get_string(result, "build-id"),
        monitor_get_string(result, "path"));
}

static const MonitorArgument fetch_arguments[] = {
    { "timeout", ARGUMENT_INT, true, "seconds of the host's time; 600 without", 't' },
    { "which", ARGUMENT_STRING, true,
      "number or name in info symbols, a file, or a build ID; without: the kernel in memory, or "
      "the "
      "only file without lines" },
    { NULL },
};

static const MonitorCommand fetch_command = {
    .name = "x-symbols-fetch",
    .hmp = "symbols fetch",
    .summary = "fetches debugging information by its build ID from the servers of DEBUGINFOD_URLS",
    .arguments = fetch_arguments,
    .run = fetch_run,
    .print = fetch_print,
    .returns = "SymbolFileFetched",
};
MONITOR_COMMAND(fetch_command);
