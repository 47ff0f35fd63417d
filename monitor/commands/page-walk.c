/* SPDX-License-Identifier: MIT */
/* info pagetable: how one address is translated, level by level, and what denies accesses. */
#include <inttypes.h>

#include "base/error.h"
#include "machine/accelerator.h"
#include "machine/page-walk.h"
#include "monitor/command.h"

static const char *const level_names[PAGE_LEVELS] = { "kernel", "user" };
static const char *const access_names[PAGE_ACCESSES] = { "read", "write", "execute" };

static json_t *step_json(const PageWalkStep *step)
{
    json_t *object = json_object();

    monitor_put(object, "stage", json_integer(step->stage));
    monitor_put(object, "table", json_string(step->table));
    monitor_put(object, "at", json_integer(step->at));
    monitor_put(object, "entry", json_integer(step->entry));
    monitor_put(object, "bytes", json_integer(step->bytes));
    monitor_put(object, "attributes", json_string(step->attributes));
    return object;
}

/* Of the kernel, or of the user. */
static json_t *rights_json(const PageWalk *walk, PageLevel level)
{
    json_t *object = json_object();

    for (unsigned i = 0; i < PAGE_ACCESSES; i++) {
        json_t *access = json_object();

        monitor_put(access, "allowed", json_boolean(walk->allowed[level][i]));
        if (!walk->allowed[level][i]) {
            monitor_put(access, "reason", json_string(walk->denied[level][i]));
        }
        monitor_put(object, access_names[i], access);
    }
    return object;
}

static json_t *walk_json(const PageWalk *walk)
{
    json_t *result = json_object(), *steps = json_array();

    for (unsigned i = 0; i < walk->count; i++) {
        json_array_append_new(steps, step_json(&walk->steps[i]));
    }
    monitor_put(result, "address", json_integer(walk->address));
    monitor_put(result, "translation", json_boolean(walk->on));
    monitor_put(result, "steps", steps);
    if (walk->mapped) {
        monitor_put(result, "physical", json_integer(walk->guest_phys));
        monitor_put(result, "page-size", json_integer(walk->size));
        monitor_put(result, "memory", json_string(walk->memory));
    } else {
        monitor_put(result, "fault", json_string(walk->fault));
    }
    for (unsigned i = 0; i < PAGE_LEVELS; i++) {
        monitor_put(result, level_names[i], rights_json(walk, i));
    }
    return result;
}

static json_t *pagetable_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Vcpu *vcpu = monitor_vcpu(monitor, error);
    Machine *machine = monitor_machine(monitor);
    g_autofree PageWalk *walk = g_new0(PageWalk, 1);

    if (!vcpu) {
        return NULL;
    }
    if (!vcpu->target->walk_page) {
        error_fail(error, KASO_ERROR_UNSUPPORTED, "the page tables of target %s are not explained",
                   vcpu->target->name);
        return NULL;
    }
    machine_exclusive_begin(machine);
    vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    vcpu->target->walk_page(vcpu, monitor_get_int(arguments, "address", 0), walk);
    machine_exclusive_end(machine);
    return walk_json(walk);
}

static void print_size(uint64_t bytes, GString *out)
{
    static const char units[] = "KMGT";
    unsigned unit = 0;

    for (bytes >>= 10; bytes >= 1024 && unit < 3; unit++) {
        bytes >>= 10;
    }
    g_string_append_printf(out, "%" PRIu64 " %ciB", bytes, units[unit]);
}

static void print_steps(json_t *steps, GString *out)
{
    json_t *step;
    size_t i;

    json_array_foreach(steps, i, step)
    {
        g_string_append_printf(
            out, "  %s%-8s at %#14" PRIx64 ": %0*" PRIx64 "  %s\n",
            monitor_get_int(step, "stage", 1) == 2 ? "nested " : "",
            monitor_get_string(step, "table"), (uint64_t)monitor_get_int(step, "at", 0),
            2 * (int)monitor_get_int(step, "bytes", 8), (uint64_t)monitor_get_int(step, "entry", 0),
            monitor_get_string(step, "attributes"));
    }
}

/* "kernel: read, execute; not write: RW is 0 …" */
static void print_rights(const char *who, json_t *rights, GString *out)
{
    GString *denied = g_string_new(NULL);
    const char *between = " ";

    g_string_append_printf(out, "  %s:", who);
    for (unsigned i = 0; i < PAGE_ACCESSES; i++) {
        json_t *access = json_object_get(rights, access_names[i]);

        if (monitor_get_bool(access, "allowed")) {
            g_string_append_printf(out, "%s%s", between, access_names[i]);
            between = ", ";
        } else {
            g_string_append_printf(denied, "    no %s: %s\n", access_names[i],
                                   monitor_get_string(access, "reason"));
        }
    }
    g_string_append_printf(out, "%s\n%s", *between == ' ' ? " nothing" : "", denied->str);
    g_string_free(denied, TRUE);
}

static void pagetable_print(Monitor *monitor, json_t *result, GString *out)
{
    uint64_t address = monitor_get_int(result, "address", 0);

    if (!monitor_get_bool(result, "translation")) {
        g_string_append(out, "Translation is switched off: addresses are physical.\n");
    }
    g_string_append_printf(out, "%#" PRIx64 "\n", address);
    print_steps(json_object_get(result, "steps"), out);
    if (!monitor_has(result, "physical")) {
        g_string_append_printf(out, "  not mapped: %s\n", monitor_get_string(result, "fault"));
        return;
    }
    g_string_append_printf(out, "  physical %#" PRIx64 ", in a page of ",
                           (uint64_t)monitor_get_int(result, "physical", 0));
    print_size(monitor_get_int(result, "page-size", 0), out);
    g_string_append_printf(out, "%s%s\n", *monitor_get_string(result, "memory") ? ", " : "",
                           monitor_get_string(result, "memory"));
    for (unsigned i = 0; i < PAGE_LEVELS; i++) {
        print_rights(level_names[i], json_object_get(result, level_names[i]), out);
    }
}

static const MonitorArgument pagetable_arguments[] = {
    { "address", ARGUMENT_INT, .summary = "virtual address of the guest" },
    { NULL },
};

static const MonitorCommand pagetable_command = {
    .name = "x-query-pagetable",
    .hmp = "info pagetable",
    .summary = "shows how the CPU's tables translate an address, level by level, and what denies "
               "the accesses that are not allowed",
    .arguments = pagetable_arguments,
    .run = pagetable_run,
    .print = pagetable_print,
    .returns = "PageWalk",
};
MONITOR_COMMAND(pagetable_command);
