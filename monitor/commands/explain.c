/* SPDX-License-Identifier: MIT */
/* explain: what the guest does, and why nothing may happen. */
#include "debug/diagnosis.h"
#include "monitor/command.h"

static void put_text(json_t *object, const char *name, const char *text)
{
    if (text) {
        monitor_put(object, name, monitor_string(text));
    }
}

static json_t *cpu_json(const CpuDiagnosis *cpu)
{
    json_t *object = json_object();

    monitor_put(object, "cpu-index", json_integer(cpu->index));
    monitor_put(object, "activity", json_string(cpu_activity_name(cpu->activity)));
    monitor_put(object, "pc", json_integer(cpu->pc));
    put_text(object, "where", cpu->where);
    put_text(object, "mode", cpu->mode);
    put_text(object, "task", cpu->task);
    put_text(object, "detail", cpu->detail);
    return object;
}

static json_t *places_json(const GPtrArray *places)
{
    json_t *list = json_array();

    for (guint i = 0; i < places->len; i++) {
        const TouchedPlace *place = places->pdata[i];
        json_t *object = json_object();

        monitor_put(object, "name", monitor_string(place->name));
        monitor_put(object, "address", json_integer(place->address));
        monitor_put(object, "count", json_integer(place->count));
        monitor_put(object, "write", json_boolean(place->write));
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *explain_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Diagnosis *diagnosis = diagnosis_make(monitor_machine(monitor));
    g_autofree char *text = diagnosis_text(diagnosis);
    json_t *result = json_object(), *cpus = json_array(), *hints = json_array();

    for (guint i = 0; i < diagnosis->cpus->len; i++) {
        json_array_append_new(cpus, cpu_json(diagnosis->cpus->pdata[i]));
    }
    for (guint i = 0; i < diagnosis->hints->len; i++) {
        json_array_append_new(hints, monitor_string(diagnosis->hints->pdata[i]));
    }
    monitor_put(result, "text", monitor_string(text));
    monitor_put(result, "cpus", cpus);
    monitor_put(result, "hints", hints);
    monitor_put(result, "polled", places_json(diagnosis->polled));
    monitor_put(result, "missing", places_json(diagnosis->missing));
    put_text(result, "last-output", diagnosis->last_output);
    put_text(result, "kernel", diagnosis->kernel);
    put_text(result, "kernel-log", diagnosis->kernel_log);
    monitor_put(result, "resets", json_integer(diagnosis->resets));
    put_text(result, "reset-reason", diagnosis->reset_reason);
    put_text(result, "triple-fault", diagnosis->triple_fault);
    diagnosis_free(diagnosis);
    return result;
}

static void explain_print(Monitor *monitor, json_t *result, GString *out)
{
    g_string_append_printf(out, "%s\n", monitor_get_string(result, "text"));
}

static const MonitorCommand explain_command = {
    .name = "x-explain",
    .hmp = "explain",
    .summary =
        "says what the guest does: where its CPUs are, what they wait for, what is probably wrong",
    .run = explain_run,
    .print = explain_print,
    .returns = "Explanation",
};
MONITOR_COMMAND(explain_command);
