/* SPDX-License-Identifier: MIT */
/* info locals, info args, info type: what a program's debugging information says of variables and types. */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "debug/linux/linux.h"
#include "debug/symbols/symbols.h"
#include "debug/variables.h"
#include "machine/accelerator.h"
#include "monitor/command.h"
#include "monitor/typed.h"

enum { MEMBERS_MAX = 10000 };

/* --- info locals, info args -------------------------------------------------------------------- */

static json_t *variable_json(Vcpu *vcpu, const ProgramVariable *variable)
{
    TypedValue value = { .types = variable->types,
                         .type = variable->type,
                         .in_memory = variable->in_memory,
                         .address = variable->address,
                         .value = variable->value };
    g_autofree char *type = types_describe(variable->types, variable->type);
    json_t *object = json_object();

    monitor_put(object, "name", monitor_string(variable->name));
    monitor_put(object, "type", monitor_string(type));
    if (variable->known) {
        monitor_put(object, "value", typed_json(vcpu, &value, 0));
    }
    return object;
}

/* Frame `number` as bt counts, with those of inlined functions. */
static GArray *locals_of(Vcpu *vcpu, unsigned number, GError **error)
{
    g_autoptr(GArray) frames = backtrace_vcpu(vcpu->machine, vcpu, BACKTRACE_MAX);
    unsigned at = 0;

    for (guint i = 0; i < frames->len; i++) {
        const Frame *frame = &g_array_index(frames, Frame, i);
        SourceFunction functions[SOURCE_FUNCTIONS_MAX];
        unsigned count = symbols_functions(vcpu->machine, vcpu, frame_address(frame), functions);

        count = MAX(count, 1);
        if (number < at + count) {
            return program_locals(vcpu->machine, vcpu, frame, number - at);
        }
        at += count;
    }
    error_fail(error, KASO_ERROR_NOT_FOUND, "there is no frame %u; 'bt' shows them", number);
    return NULL;
}

static json_t *variables_run(Monitor *monitor, json_t *arguments, bool wanted, GError **error)
{
    Vcpu *vcpu = monitor_vcpu(monitor, error);
    int64_t frame = monitor_get_int(arguments, "frame", 0);
    g_autoptr(GArray) variables = NULL;
    json_t *list;

    if (!vcpu) {
        return NULL;
    }
    symbols_refresh(vcpu->machine);
    machine_exclusive_begin(vcpu->machine);
    vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    variables = locals_of(vcpu, (unsigned)CLAMP(frame, 0, INT32_MAX), error);
    list = variables ? json_array() : NULL;
    for (guint i = 0; list && i < variables->len; i++) {
        const ProgramVariable *variable = &g_array_index(variables, ProgramVariable, i);

        if (variable->argument == wanted) {
            json_array_append_new(list, variable_json(vcpu, variable));
        }
    }
    machine_exclusive_end(vcpu->machine);
    return list;
}

static json_t *locals_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return variables_run(monitor, arguments, false, error);
}

static json_t *args_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return variables_run(monitor, arguments, true, error);
}

static void variables_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *one;

    json_array_foreach(result, i, one)
    {
        g_string_append_printf(out, "%s = ", monitor_get_string(one, "name"));
        if (monitor_has(one, "value")) {
            typed_print(json_object_get(one, "value"), 0, out);
        } else {
            g_string_append(out, "<optimized out>\n");
        }
    }
    if (!i) {
        g_string_append(out, "None are known.\n");
    }
}

static const MonitorArgument frame_arguments[] = {
    { "frame", ARGUMENT_INT, true, "number of the frame in bt; 0 without" },
    { NULL },
};

static const MonitorCommand locals_command = {
    .name = "x-query-locals",
    .hmp = "info locals",
    .summary = "shows the variables of the function that the CPU is in, or of a frame",
    .arguments = frame_arguments,
    .run = locals_run,
    .print = variables_print,
    .returns = "[ProgramVariable]",
};
MONITOR_COMMAND(locals_command);

static const MonitorCommand args_command = {
    .name = "x-query-args",
    .hmp = "info args",
    .summary = "shows the arguments of the function that the CPU is in, or of a frame",
    .arguments = frame_arguments,
    .run = args_run,
    .print = variables_print,
    .returns = "[ProgramVariable]",
};
MONITOR_COMMAND(args_command);

/* --- info type --------------------------------------------------------------------------------- */

/* base: where the structure begins in the one that was asked for. Those without a name are shown with what is in them. */
static json_t *members_json(const Types *types, const Type *type, uint64_t base, unsigned depth)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < type->count; i++) {
        const TypeMember *member = &g_array_index(types->members, TypeMember, type->first + i);
        const Type *inner = types_get(types, member->type);
        uint64_t offset = base + member->bit_offset / 8;
        g_autofree char *text = types_describe(types, member->type);
        json_t *one = json_object();

        monitor_put(one, "name", monitor_string(types_name(types, member->name)));
        monitor_put(one, "type", monitor_string(text));
        monitor_put(one, "offset", json_integer((json_int_t)offset));
        monitor_put(one, "size", json_integer((json_int_t)types_size(types, member->type)));
        if (member->bit_size) {
            monitor_put(one, "bit-offset", json_integer(member->bit_offset % 8));
            monitor_put(one, "bits", json_integer(member->bit_size));
        }
        if (!*types_name(types, inner->name) && depth < TYPES_DEPTH_MAX &&
            (inner->kind == TYPE_STRUCT || inner->kind == TYPE_UNION) &&
            json_array_size(list) < MEMBERS_MAX) {
            monitor_put(one, "members", members_json(types, inner, offset, depth + 1));
        }
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *enumerators_json(const Types *types, const Type *type)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < type->count; i++) {
        const TypeEnumerator *e =
            &g_array_index(types->enumerators, TypeEnumerator, type->first + i);
        json_t *one = json_object();

        monitor_put(one, "name", monitor_string(types_name(types, e->name)));
        monitor_put(one, "value", json_integer(e->value));
        json_array_append_new(list, one);
    }
    return list;
}

/* In the user's files, else in the kernel's own. */
static bool find_type(Machine *machine, const char *name, Types **types, uint32_t *number,
                      GError **error)
{
    LinuxKernel *kernel;
    unsigned stars;

    if (program_type(machine, name, types, number, &stars) && !stars) {
        return true;
    }
    kernel = linux_kernel_known(machine);
    *types = kernel ? linux_types(kernel, NULL) : NULL;
    if (*types && types_find(*types, name, number, &stars) && !stars) {
        return true;
    }
    return error_fail(error, KASO_ERROR_NOT_FOUND,
                      "there is no type '%s'; write 'struct NAME' as C does", name);
}

/* Of an expression such as current->mm: what it is, or points to. vCPUs parked. */
static bool type_of_value(Vcpu *vcpu, const char *text, Types **types, uint32_t *number)
{
    TypedValue value = { 0 };
    const Type *type;

    if (!vcpu || !typed_is_typed(vcpu, text) || !typed_evaluate(vcpu, text, &value, NULL)) {
        return false;
    }
    *types = (Types *)value.types;
    *number = value.type;
    for (unsigned i = 0; i < TYPES_DEPTH_MAX; i++) {
        type = types_get(*types, types_resolve(*types, *number));
        if (type->kind != TYPE_POINTER && type->kind != TYPE_ARRAY) {
            break;
        }
        *number = type->target;
    }
    return true;
}

static json_t *type_json(const Types *types, uint32_t number)
{
    const Type *type = types_get(types, number);
    g_autofree char *text = types_describe(types, number), *target = NULL;
    json_t *result = json_object();

    monitor_put(result, "type", monitor_string(text));
    monitor_put(result, "size", json_integer((json_int_t)types_size(types, number)));
    if (type->kind == TYPE_TYPEDEF) {
        target = types_describe(types, type->target);
        monitor_put(result, "is", monitor_string(target));
        type = types_get(types, types_resolve(types, number));
    }
    if (type->kind == TYPE_STRUCT || type->kind == TYPE_UNION) {
        monitor_put(result, "members", members_json(types, type, 0, 0));
    } else if (type->kind == TYPE_ENUM) {
        monitor_put(result, "enumerators", enumerators_json(types, type));
    }
    return result;
}

static json_t *type_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *name = monitor_get_string(arguments, "name");
    Machine *machine = monitor_machine(monitor);
    Vcpu *vcpu = monitor_vcpu(monitor, NULL);
    json_t *result = NULL;
    Types *types;
    uint32_t number;

    symbols_refresh(machine);
    machine_exclusive_begin(machine);
    if (type_of_value(vcpu, name, &types, &number) ||
        find_type(machine, name, &types, &number, error)) {
        result = type_json(types, number);
    }
    machine_exclusive_end(machine);
    return result;
}

static void print_members(json_t *members, unsigned depth, GString *out);

static void print_member(json_t *member, unsigned depth, GString *out)
{
    const char *type = monitor_get_string(member, "type"), *array = strchr(type, '[');
    const char *name = monitor_get_string(member, "name");
    int length =
        array ? (int)(array - type) - (array > type && array[-1] == ' ') : (int)strlen(type);

    g_string_append_printf(out, "    /* %4" PRId64 " %4" PRId64 " */  %*s",
                           monitor_get_int(member, "offset", 0), monitor_get_int(member, "size", 0),
                           4 * (int)depth, "");
    if (monitor_has(member, "members")) {
        g_string_append_printf(out, "%s {\n", g_str_has_prefix(type, "union") ? "union" : "struct");
        print_members(json_object_get(member, "members"), depth + 1, out);
        g_string_append_printf(out, "%22s%*s}%s%s%s", "", 4 * (int)depth, "", *name ? " " : "",
                               name, array ? array : "");
    } else {
        g_string_append_printf(out, "%.*s%s%s%s", length, type,
                               (length && type[length - 1] == '*') || !*name ? "" : " ", name,
                               array ? array : "");
    }
    if (monitor_has(member, "bits")) {
        g_string_append_printf(out, " : %" PRId64, monitor_get_int(member, "bits", 0));
    }
    g_string_append(out, ";\n");
}

static void print_members(json_t *members, unsigned depth, GString *out)
{
    size_t i;
    json_t *one;

    json_array_foreach(members, i, one)
    {
        print_member(one, depth, out);
    }
}

static void type_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *one;

    g_string_append(out, monitor_get_string(result, "type"));
    if (monitor_has(result, "is")) {
        g_string_append_printf(out, " is %s", monitor_get_string(result, "is"));
    }
    g_string_append_printf(out, ", %" PRId64 " bytes\n", monitor_get_int(result, "size", 0));
    print_members(json_object_get(result, "members"), 0, out);
    json_array_foreach(json_object_get(result, "enumerators"), i, one)
    {
        g_string_append_printf(out, "    %s = %" PRId64 ",\n", monitor_get_string(one, "name"),
                               monitor_get_int(one, "value", 0));
    }
}

static const MonitorArgument type_arguments[] = {
    { "name", ARGUMENT_REST,
      .summary = "such as struct task_struct, enum zone_type, u32, current->mm" },
    { NULL },
};

static const MonitorCommand type_command = {
    .name = "x-query-type",
    .hmp = "info type|ptype",
    .summary = "shows a C type of the program's or the guest's kernel: members with their offsets "
               "and sizes",
    .arguments = type_arguments,
    .run = type_run,
    .print = type_print,
    .returns = "TypeInfo",
};
MONITOR_COMMAND(type_command);
