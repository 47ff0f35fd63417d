/* SPDX-License-Identifier: MIT */
/* set: changes a register, a variable, or memory by a C type. */
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "debug/symbols/symbols.h"
#include "machine/accelerator.h"
#include "machine/debug.h"
#include "monitor/command.h"
#include "monitor/expression.h"
#include "monitor/registers.h"
#include "monitor/typed.h"

/* The "=" between a place and its new value; NULL: there is none. */
static const char *find_assignment(const char *text)
{
    for (const char *c = strchr(text, '='); c; c = strchr(c + 1, '=')) {
        if (c > text && c[1] != '=' && !strchr("=!<>", c[-1])) {
            return c;
        }
    }
    return NULL;
}

/* vCPUs parked. */
static bool evaluate(Vcpu *vcpu, const char *text, uint64_t *number, GError **error)
{
    bool is_typed = typed_is_typed(vcpu, text);
    const char *rest = text;
    int64_t plain;

    if (is_typed ? !typed_evaluate_number(vcpu, &rest, number, error)
                 : !expression_evaluate(&rest, vcpu, &plain, error)) {
        return false;
    }
    *number = is_typed ? *number : (uint64_t)plain;
    rest += strspn(rest, " \t");
    return !*rest ||
           error_fail(error, KASO_ERROR_INVALID, "'%s' is too much behind the value", rest);
}

/* A scalar, a bit field too. vCPUs parked. */
static bool write_scalar(Vcpu *vcpu, const TypedValue *place, uint64_t number, GError **error)
{
    const Type *type = types_get(place->types, types_resolve(place->types, place->type));
    uint64_t size =
        place->stars ? place->types->pointer_bytes : types_size(place->types, place->type);
    uint8_t bytes[8] = { 0 };
    uint64_t mask = place->bit_size ? bits_mask(place->bit_size) << place->bit_offset : UINT64_MAX;

    if (!place->in_memory || place->repeat ||
        (!place->stars && type->kind != TYPE_INT && type->kind != TYPE_POINTER &&
         type->kind != TYPE_ENUM)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "only numbers and pointers in memory, and registers ($x0), can be set");
    }
    size = place->bit_size ? (place->bit_offset + place->bit_size + 7) / 8 : size;
    if (!size || size > 8 || debug_read(vcpu, false, place->address, bytes, size, true) < size) {
        return error_fail(error, KASO_ERROR_INVALID, "%#" PRIx64 " is no memory of the CPU's now",
                          place->address);
    }
    number = place->bit_size ? number << place->bit_offset : number;
    store_le64(bytes, (load_le64(bytes) & ~mask) | (number & mask));
    return debug_write(vcpu, false, place->address, bytes, size) == size ||
           error_fail(error, KASO_ERROR_INVALID, "%#" PRIx64 " cannot be written", place->address);
}

/* vCPUs parked. */
static json_t *set_place(Vcpu *vcpu, const char *text, uint64_t number, GError **error)
{
    TypedValue place = { 0 };
    g_autofree char *type = NULL;
    json_t *result;

    if (*text == '$') {
        uint64_t now;

        if (!registers_write_number(vcpu, text + 1, number, error) ||
            !registers_read_number(vcpu, text + 1, &now, error)) {
            return NULL;
        }
        result = json_object();
        monitor_put(result, "value", typed_number_json(vcpu, now, 0));
        return result;
    }
    if (!typed_evaluate(vcpu, text, &place, error) || !write_scalar(vcpu, &place, number, error)) {
        return NULL;
    }
    result = json_object();
    type = typed_describe(&place);
    monitor_put(result, "type", monitor_string(type));
    monitor_put(result, "value", typed_json(vcpu, &place, 0));
    return result;
}

static json_t *set_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *text = monitor_get_string(arguments, "assignment"), *assignment;
    Vcpu *vcpu = monitor_vcpu(monitor, error);
    g_autofree char *place = NULL;
    json_t *result = NULL;
    uint64_t number;

    if (!vcpu) {
        return NULL;
    }
    text += g_str_has_prefix(text, "var ") ? strlen("var ") : 0;
    assignment = find_assignment(text);
    if (!assignment) {
        error_fail(error, KASO_ERROR_INVALID, "'%s' has no '=': set $x0 = 5, set jiffies = 0",
                   text);
        return NULL;
    }
    place = g_strstrip(g_strndup(text, (gsize)(assignment - text)));
    symbols_refresh(vcpu->machine);
    machine_exclusive_begin(vcpu->machine);
    vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    if (evaluate(vcpu, assignment + 1, &number, error)) {
        result = set_place(vcpu, place, number, error);
    }
    machine_exclusive_end(vcpu->machine);
    if (result) {
        monitor_put(result, "format", json_string(""));
    }
    return result;
}

static void set_print(Monitor *monitor, json_t *result, GString *out)
{
    char format = 'x';

    if (monitor_has(result, "type")) {
        g_string_append_printf(out, "(%s) ", monitor_get_string(result, "type"));
        format = 0;
    }
    typed_print(json_object_get(result, "value"), format, out);
}

static const MonitorArgument set_arguments[] = {
    { "assignment", ARGUMENT_REST,
      .summary = "$REGISTER = VALUE, or a variable, or *(u32 *)ADDRESS = VALUE" },
    { NULL },
};

static const MonitorCommand set_command = {
    .name = "x-set",
    .hmp = "set",
    .summary = "changes a register of the CPU, a variable or memory, and shows what it is then",
    .arguments = set_arguments,
    .run = set_run,
    .print = set_print,
    .returns = "PrintedValue",
};
MONITOR_COMMAND(set_command);
