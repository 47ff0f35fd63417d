/* SPDX-License-Identifier: MIT */
/* print: the value of an expression, or what has a C type. */
#include <string.h>

#include "base/error.h"
#include "debug/symbols/symbols.h"
#include "machine/accelerator.h"
#include "monitor/command.h"
#include "monitor/dump-format.h"
#include "monitor/expression.h"
#include "monitor/typed.h"

static bool print_typed(Monitor *monitor, const char *text, char format, json_t *result,
                        GError **error)
{
    Vcpu *vcpu = monitor_vcpu(monitor, error);
    TypedValue value = { 0 };
    g_autofree char *type = NULL;
    bool ok;

    if (!vcpu) {
        return false;
    }
    symbols_refresh(vcpu->machine);
    machine_exclusive_begin(vcpu->machine);
    vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    ok = typed_evaluate(vcpu, text, &value, error);
    if (ok) {
        type = typed_describe(&value);
        monitor_put(result, "value", typed_json(vcpu, &value, format));
        monitor_put(result, "type", monitor_string(type));
    }
    machine_exclusive_end(vcpu->machine);
    return ok;
}

static bool print_number(Monitor *monitor, const char *text, char format, json_t *result,
                         GError **error)
{
    Vcpu *vcpu = monitor_vcpu(monitor, NULL);
    const char *rest = text;
    int64_t value;

    if (!expression_evaluate(&rest, vcpu, &value, error)) {
        return false;
    }
    rest += strspn(rest, " \t");
    if (*rest) {
        return error_fail(error, KASO_ERROR_INVALID, "'%s' is too much for this command: print",
                          rest);
    }
    machine_exclusive_begin(monitor_machine(monitor));
    monitor_put(result, "value", typed_number_json(vcpu, (uint64_t)value, format));
    machine_exclusive_end(monitor_machine(monitor));
    return true;
}

static json_t *print_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *text = monitor_get_string(arguments, "expression");
    Vcpu *vcpu = monitor_vcpu(monitor, NULL);
    bool typed;
    json_t *result;
    DumpFormat format;
    char letter[2] = "";

    if (!dump_format_parse(monitor_get_string(arguments, "format"), &format, error)) {
        return NULL;
    }
    letter[0] = format.letter;
    result = json_object();
    monitor_put(result, "format", json_string(letter));
    machine_exclusive_begin(monitor_machine(monitor));
    typed = typed_is_typed(vcpu, text);
    machine_exclusive_end(monitor_machine(monitor));
    if (!(typed ? print_typed : print_number)(monitor, text, format.letter, result, error)) {
        json_decref(result);
        return NULL;
    }
    return result;
}

static void print_print(Monitor *monitor, json_t *result, GString *out)
{
    char format = *monitor_get_string(result, "format");

    if (monitor_has(result, "type")) {
        g_string_append_printf(out, "(%s) ", monitor_get_string(result, "type"));
    } else if (!format) {
        format = 'x';
    }
    typed_print(json_object_get(result, "value"), format, out);
}

static const MonitorArgument print_arguments[] = {
    { "format", ARGUMENT_FORMAT, true,
      "x, d, u, o, t (binary), c, a (the symbol at it) or s (the text at it)" },
    { "expression", ARGUMENT_REST,
      .summary =
          "such as $pc+4*2, &init_task, *(struct list_head *)ADDR, current->comm, *array@4" },
    { NULL },
};

static const MonitorCommand print_command = {
    .name = "x-print",
    .hmp = "print|p",
    .summary = "shows the value of an expression, a variable, or memory as a C type",
    .arguments = print_arguments,
    .run = print_run,
    .print = print_print,
    .returns = "PrintedValue",
};
MONITOR_COMMAND(print_command);
