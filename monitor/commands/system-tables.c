/* SPDX-License-Identifier: MIT */
/* info gdt, ldt, idt, vectors: where segments and interrupts lead, with the names of the code there. */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "debug/symbols/symbols.h"
#include "machine/accelerator.h"
#include "machine/system-table.h"
#include "monitor/command.h"

static void take_row(void *opaque, const SystemTableRow *row)
{
    json_t *rows = opaque, *object = json_object(), *words = json_array();

    monitor_put(object, "number", json_integer(row->number));
    monitor_put(object, "at", json_integer(row->at));
    for (unsigned i = 0; i < 2 && (row->words[0] || row->words[1]); i++) {
        json_array_append_new(words, json_integer(row->words[i]));
    }
    monitor_put(object, "words", words);
    monitor_put(object, "text", json_string(row->text));
    if (row->leads) {
        monitor_put(object, "target", json_integer(row->target));
    }
    json_array_append_new(rows, object);
}

/* Beside the table's own reading: finding symbols may look into memory itself. */
static void add_symbols(Machine *machine, Vcpu *vcpu, json_t *rows)
{
    json_t *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        uint64_t address = monitor_get_int(row, "target", monitor_get_int(row, "at", 0));
        g_autofree char *symbol =
            monitor_has(row, "target") || !json_array_size(json_object_get(row, "words"))
                ? symbols_describe(machine, vcpu, address)
                : NULL;

        if (symbol) {
            monitor_put(row, "symbol", monitor_string(symbol));
        }
    }
}

static json_t *read_table(Monitor *monitor, const char *name, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    Vcpu *vcpu = monitor_vcpu(monitor, error);
    SystemTable table = { .row = take_row };
    json_t *result, *rows;

    if (!vcpu) {
        return NULL;
    }
    if (!vcpu->target->tables || !g_strv_contains(vcpu->target->tables, name)) {
        g_autofree char *names =
            vcpu->target->tables ? g_strjoinv(", info ", (char **)vcpu->target->tables) : NULL;

        error_fail(error, KASO_ERROR_UNSUPPORTED, "target %s has no table '%s'%s%s",
                   vcpu->target->name, name, names ? "; it has: info " : "", names ? names : "");
        return NULL;
    }
    rows = table.opaque = json_array();
    machine_exclusive_begin(machine);
    vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    vcpu->target->read_table(vcpu, name, &table);
    machine_exclusive_end(machine);
    add_symbols(machine, vcpu, rows);
    result = json_object();
    monitor_put(result, "base", json_integer(table.base));
    monitor_put(result, "limit", json_integer(table.limit));
    if (*table.note) {
        monitor_put(result, "note", json_string(table.note));
    }
    monitor_put(result, "rows", rows);
    return result;
}

static void table_print(Monitor *monitor, json_t *result, GString *out)
{
    json_t *row, *words;
    size_t i, j;

    g_string_append_printf(out, "at %#" PRIx64 ", limit %#" PRIx64 "\n",
                           (uint64_t)monitor_get_int(result, "base", 0),
                           (uint64_t)monitor_get_int(result, "limit", 0));
    json_array_foreach(json_object_get(result, "rows"), i, row)
    {
        g_string_append_printf(out, "%04x ", (unsigned)monitor_get_int(row, "number", 0));
        words = json_object_get(row, "words");
        for (j = 0; j < json_array_size(words) && !j; j++) {
            g_string_append_printf(out, " %016" PRIx64,
                                   (uint64_t)json_integer_value(json_array_get(words, j)));
        }
        g_string_append_printf(out, "  %s", monitor_get_string(row, "text"));
        if (monitor_has(row, "target")) {
            g_string_append_printf(out, " -> %#" PRIx64,
                                   (uint64_t)monitor_get_int(row, "target", 0));
        }
        if (monitor_has(row, "symbol")) {
            g_string_append_printf(out, " %s", monitor_get_string(row, "symbol"));
        }
        g_string_append_c(out, '\n');
    }
    if (monitor_has(result, "note")) {
        g_string_append_printf(out, "(%s)\n", monitor_get_string(result, "note"));
    }
}

#define TABLE_COMMAND(table, text)                                                                 \
    static json_t *table##_run(Monitor *monitor, json_t *arguments, GError **error)                \
    {                                                                                              \
        return read_table(monitor, #table, error);                                                 \
    }                                                                                              \
    static const MonitorCommand table##_command = {                                                \
        .name = "x-query-" #table,                                                                 \
        .hmp = "info " #table,                                                                     \
        .summary = text,                                                                           \
        .run = table##_run,                                                                        \
        .print = table_print,                                                                      \
        .returns = "SystemTable",                                                                  \
    };                                                                                             \
    MONITOR_COMMAND(table##_command)

TABLE_COMMAND(gdt, "shows the x86 CPU's global descriptor table, decoded");
TABLE_COMMAND(ldt, "shows the x86 CPU's local descriptor table, decoded");
TABLE_COMMAND(idt, "shows the x86 CPU's interrupt vectors, where they lead and the code there");
TABLE_COMMAND(vectors, "shows the Arm CPU's exception vectors (VBAR_EL1) and the code there");
