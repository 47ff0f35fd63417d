/* SPDX-License-Identifier: MIT */
/* Commands about symbols: what is known, what a name or an address is, files to add. */
#include <inttypes.h>

#include "debug/symbols/symbols.h"
#include "monitor/command.h"

enum { FOUND_MAX = 1000, COMPLETIONS_MAX = 200 };

static json_t *symbols_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    json_t *list = json_array();
    GArray *files;

    symbols_refresh(machine);
    files = symbols_list(machine);
    for (guint i = 0; i < files->len; i++) {
        const SymbolFileInfo *info = &g_array_index(files, SymbolFileInfo, i);
        json_t *file = json_object();

        monitor_put(file, "number", json_integer(info->number));
        monitor_put(file, "name", monitor_string(info->name));
        monitor_put(file, "path", monitor_string(info->path));
        monitor_put(file, "kind", json_string(info->kind));
        monitor_put(file, "space", json_string(symbol_space_name(info->space)));
        monitor_put(file, "start", json_integer(info->start));
        monitor_put(file, "end", json_integer(info->end));
        monitor_put(file, "count", json_integer(info->count));
        monitor_put(file, "lines", json_boolean(info->lines));
        monitor_put(file, "by-user", json_boolean(info->by_user));
        monitor_put(file, "used", json_boolean(!info->waits));
        if (info->note) {
            monitor_put(file, "note", monitor_string(info->note));
        }
        if (info->missing_units) {
            monitor_put(file, "missing-units", json_integer(info->missing_units));
        }
        json_array_append_new(list, file);
    }
    g_array_unref(files);
    return list;
}

static void symbols_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *file;

    if (!json_array_size(result)) {
        g_string_append(out,
                        "No symbols: nothing was recognised in the guest's memory, and no file was "
                        "given (symbols add FILE).\n");
    }
    json_array_foreach(result, i, file)
    {
        g_string_append_printf(
            out, "%3d  %016" PRIx64 "-%016" PRIx64 "  %-8s  %6d symbols%s by %s  %s%s%s\n",
            (int)monitor_get_int(file, "number", 0), (uint64_t)monitor_get_int(file, "start", 0),
            (uint64_t)monitor_get_int(file, "end", 0), monitor_get_string(file, "space"),
            (int)monitor_get_int(file, "count", 0),
            monitor_get_bool(file, "lines") ? " and lines" : "", monitor_get_string(file, "kind"),
            monitor_get_string(file, "name"), *monitor_get_string(file, "path") ? ": " : "",
            monitor_get_string(file, "path"));
        if (monitor_has(file, "note")) {
            g_string_append_printf(out, "     %s\n", monitor_get_string(file, "note"));
        }
        if (monitor_has(file, "missing-units")) {
            g_string_append_printf(
                out,
                "     of %d units only lines are known: their .dwo files were not "
                "found\n",
                (int)monitor_get_int(file, "missing-units", 0));
        }
    }
}

static const MonitorCommand symbols_command = {
    .name = "x-query-symbols",
    .hmp = "info symbols|symbols list",
    .summary = "shows what symbols are from: files, and what was recognised in the guest's memory",
    .run = symbols_run,
    .print = symbols_print,
    .returns = "[SymbolFile]",
};
MONITOR_COMMAND(symbols_command);

static json_t *symbol_json(const Symbol *symbol)
{
    char type[2] = { symbol->type };
    json_t *object = json_object();

    monitor_put(object, "name", monitor_string(symbol->name));
    monitor_put(object, "address", json_integer(symbol->address));
    monitor_put(object, "size", json_integer(symbol->size));
    monitor_put(object, "type", json_string(type));
    monitor_put(object, "file",
                monitor_string(symbol->file ? symbol_file_name(symbol->file) : NULL));
    return object;
}

static bool collect(void *opaque, const Symbol *symbol)
{
    json_t *list = opaque;

    json_array_append_new(list, symbol_json(symbol));
    return json_array_size(list) < FOUND_MAX;
}

static json_t *find_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const char *what = monitor_get_string(arguments, "what");
    json_t *list = json_array();
    uint64_t address;
    Symbol symbol;
    char *end;

    address = g_ascii_strtoull(what, &end, 0);
    if (end != what && !*end) {
        if (symbols_at(machine, monitor_vcpu(monitor, NULL), address, &symbol)) {
            json_t *object = symbol_json(&symbol);

            monitor_put(object, "offset", json_integer(address - symbol.address));
            json_array_append_new(list, object);
        }
    } else {
        symbols_refresh(machine);
        symbols_match(machine, what, collect, list);
    }
    return list;
}

static void find_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *symbol;

    json_array_foreach(result, i, symbol)
    {
        int64_t offset = monitor_get_int(symbol, "offset", 0);

        g_string_append_printf(
            out, "%016" PRIx64 " %s %s", (uint64_t)monitor_get_int(symbol, "address", 0),
            monitor_get_string(symbol, "type"), monitor_get_string(symbol, "name"));
        if (offset) {
            g_string_append_printf(out, "+%#" PRIx64, (uint64_t)offset);
        }
        g_string_append_printf(out, " [%s]\n", monitor_get_string(symbol, "file"));
    }
    if (!i) {
        g_string_append(out, "No symbol.\n");
    } else if (i == FOUND_MAX) {
        g_string_append(out, "… there may be more\n");
    }
}

static void complete_symbols(Machine *machine, GPtrArray *candidates)
{
    symbols_complete(machine, "", COMPLETIONS_MAX, candidates);
}

static const MonitorArgument find_arguments[] = {
    { "what", ARGUMENT_STRING, .summary = "an address, or a name, perhaps with * and ?",
      .complete = complete_symbols },
    { NULL },
};

static const MonitorCommand find_command = {
    .name = "x-symbols-find",
    .hmp = "symbols find",
    .summary = "shows the symbols of a name, or the one at an address",
    .arguments = find_arguments,
    .run = find_run,
    .print = find_print,
    .returns = "[SymbolInfo]",
};
MONITOR_COMMAND(find_command);

static json_t *add_run(Monitor *monitor, json_t *arguments, GError **error)
{
    uint64_t base = monitor_get_int(arguments, "base", 0);
    g_autoptr(GArray) files = NULL;
    json_t *result;
    unsigned number;

    if (!symbols_add(monitor_machine(monitor), monitor_get_string(arguments, "filename"),
                     monitor_has(arguments, "base") ? &base : NULL, &number, error)) {
        return NULL;
    }
    result = json_object();
    monitor_put(result, "number", json_integer(number));
    files = symbols_list(monitor_machine(monitor));
    for (guint i = 0; i < files->len; i++) {
        const SymbolFileInfo *info = &g_array_index(files, SymbolFileInfo, i);

        if (info->number == number && info->note) {
            monitor_put(result, "note", monitor_string(info->note));
        }
    }
    return result;
}

static void add_print(Monitor *monitor, json_t *result, GString *out)
{
    if (monitor_has(result, "note")) {
        g_string_append_printf(out, "symbols %d: %s\n", (int)monitor_get_int(result, "number", 0),
                               monitor_get_string(result, "note"));
    }
}

static const MonitorArgument add_arguments[] = {
    { "filename", ARGUMENT_STRING, .summary = "ELF, PE or COFF file, or a System.map" },
    { "base", ARGUMENT_INT, true,
      "where its first loaded byte is; without: where it is found in memory, else where it was "
      "linked to be" },
    { NULL },
};

static const MonitorCommand add_command = {
    .name = "x-symbols-add",
    .hmp = "symbols add",
    .summary = "adds the symbols of a file",
    .arguments = add_arguments,
    .run = add_run,
    .print = add_print,
    .returns = "SymbolFileAdded",
};
MONITOR_COMMAND(add_command);

static json_t *folder_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const char *added = monitor_get_string(arguments, "folder");
    json_t *list;

    if (added && !symbols_add_folder(machine, added, error)) {
        return NULL;
    }
    list = json_array();
    for (const char *const *folder = symbols_folders(machine); *folder; folder++) {
        json_array_append_new(list, monitor_string(*folder));
    }
    return list;
}

static void folder_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *folder;

    json_array_foreach(result, i, folder)
    {
        g_string_append_printf(out, "%s\n", json_string_value(folder));
    }
}

static const MonitorArgument folder_arguments[] = {
    { "folder", ARGUMENT_STRING, true, "one more; without: shows them" },
    { NULL },
};

static const MonitorCommand folder_command = {
    .name = "x-symbols-folder",
    .hmp = "symbols folder",
    .summary = "adds a folder where the symbol files of firmware's images are looked for",
    .arguments = folder_arguments,
    .run = folder_run,
    .print = folder_print,
    .returns = "[str]",
};
MONITOR_COMMAND(folder_command);

static json_t *remove_run(Monitor *monitor, json_t *arguments, GError **error)
{
    symbols_remove(monitor_machine(monitor), monitor_get_string(arguments, "which"), error);
    return NULL;
}

static const MonitorArgument remove_arguments[] = {
    { "which", ARGUMENT_STRING, .summary = "its number or name in info symbols" },
    { NULL },
};

static const MonitorCommand remove_command = {
    .name = "x-symbols-remove",
    .hmp = "symbols remove",
    .summary = "forgets the symbols of a file",
    .arguments = remove_arguments,
    .run = remove_run,
};
MONITOR_COMMAND(remove_command);
