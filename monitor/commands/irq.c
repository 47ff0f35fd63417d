/* SPDX-License-Identifier: MIT */
/* info irq: the interrupt lines of devices; of one, why it is taken or not, from the device to the CPU. */
#include "base/error.h"
#include "machine/accelerator.h"
#include "machine/irq-chain.h"
#include "machine/irq-tap.h"
#include "monitor/command.h"

static void describe_irqs(Device *device, void *opaque)
{
    char *path = device_path(device);

    for (unsigned i = 0; i < device->irq_count; i++) {
        json_t *entry = json_object();

        monitor_put(entry, "device", monitor_string(path));
        monitor_put(entry, "output", json_integer(i));
        monitor_put(entry, "connected", json_boolean(device->irqs[i]->handler != NULL));
        monitor_put(entry, "input", json_integer(device->irqs[i]->number));
        monitor_put(entry, "level", json_integer(device->irqs[i]->level));
        json_array_append_new(opaque, entry);
    }
    g_free(path);
}

typedef struct {
    Machine *machine;
    Device *controller; /* that is asked now */
    unsigned number;
    IrqChain *chain;
} Question;

/* The devices whose outputs go to that input of the controller. */
static void name_source(Device *device, void *opaque)
{
    const Question *question = opaque;
    g_autofree char *path = device_path(device);

    for (unsigned i = 0; i < device->irq_count; i++) {
        const IrqLine *line = device->irqs[i];

        if (line->handler && line->opaque == question->controller &&
            line->handler == device_input && line->number == (int)question->number) {
            irq_chain_add(question->chain, path, !line->level, "its output %u is %s", i,
                          line->level ? "asserted" : "not asserted");
        }
    }
}

static void ask_controller(Device *device, void *opaque)
{
    Question *question = opaque;

    if (!device->realized || !device->type->explain_interrupt) {
        return;
    }
    question->controller = device;
    if (!question->chain->of_cpus) {
        device_foreach(question->machine->root, name_source, question);
    }
    device->type->explain_interrupt(device, question->number, question->chain);
}

static void ask_cpus(Machine *machine, IrqChain *chain)
{
    for (guint i = 0; i < chain->cpus->len; i++) {
        unsigned index = g_array_index(chain->cpus, unsigned, i);
        Vcpu *vcpu = index < machine->vcpus->len ? machine->vcpus->pdata[index] : NULL;

        if (vcpu && !atomic_load(&vcpu->powered)) {
            g_autofree char *name = g_strdup_printf("cpu%u", index);

            irq_chain_add(chain, name, true, "it is off: the guest has not started it");
        } else if (vcpu && vcpu->target->explain_interrupt) {
            vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
            vcpu->target->explain_interrupt(vcpu, chain);
        }
    }
}

static json_t *chain_json(const IrqChain *chain)
{
    json_t *list = json_array();

    for (guint i = 0; i < chain->links->len; i++) {
        const IrqChainLink *link = &g_array_index(chain->links, IrqChainLink, i);
        json_t *entry = json_object();

        monitor_put(entry, "where", monitor_string(link->where));
        monitor_put(entry, "text", monitor_string(link->text));
        monitor_put(entry, "stops", json_boolean(link->stops));
        json_array_append_new(list, entry);
    }
    return list;
}

static json_t *explain_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    int64_t number = monitor_get_int(arguments, "number", 0);
    Question question = { .machine = machine, .number = (unsigned)number };
    json_t *result = NULL;

    if (number < 0 || number > G_MAXINT) {
        error_fail(error, KASO_ERROR_INVALID, "%" G_GINT64_FORMAT " is no number of an interrupt",
                   number);
        return NULL;
    }
    question.chain = irq_chain_new();
    machine_exclusive_begin(machine);
    device_foreach(machine->root, ask_controller, &question);
    question.chain->of_cpus = true;
    if (question.chain->links->len) {
        device_foreach(machine->root, ask_controller, &question);
        ask_cpus(machine, question.chain);
        result = chain_json(question.chain);
    }
    machine_exclusive_end(machine);
    irq_chain_free(question.chain);
    if (!result) {
        error_fail(error, KASO_ERROR_NOT_FOUND,
                   "no interrupt controller of this machine has an input %d; 'info irq' shows the "
                   "lines",
                   (int)number);
    }
    return result;
}

static json_t *irq_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    json_t *list;

    if (monitor_has(arguments, "number")) {
        return explain_run(monitor, arguments, error);
    }
    list = json_array();
    /* CPUs set lines with their interrupt controller's lock alone. */
    machine_exclusive_begin(machine);
    device_foreach(machine->root, describe_irqs, list);
    machine_exclusive_end(machine);
    return list;
}

static void irq_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *entry;

    json_array_foreach(result, i, entry)
    {
        if (monitor_has(entry, "where")) {
            g_string_append_printf(out, "%c %s: %s\n", monitor_get_bool(entry, "stops") ? 'x' : ' ',
                                   monitor_get_string(entry, "where"),
                                   monitor_get_string(entry, "text"));
            continue;
        }
        g_string_append_printf(out, "%s output %d", monitor_get_string(entry, "device"),
                               (int)monitor_get_int(entry, "output", 0));
        if (monitor_get_bool(entry, "connected")) {
            g_string_append_printf(out, " -> input %d", (int)monitor_get_int(entry, "input", 0));
        }
        g_string_append_printf(out, ": level %d\n", (int)monitor_get_int(entry, "level", 0));
    }
}

static const MonitorArgument irq_arguments[] = {
    { "number", ARGUMENT_INT, true,
      "of an interrupt as its controller numbers it (a GIC's INTID, a PC's IRQ): why it is taken "
      "or not" },
    { NULL },
};

static const MonitorCommand irq_command = {
    .name = "x-query-irq",
    .hmp = "info irq",
    .summary = "shows the interrupt lines of all devices and their levels; of one, what stops it "
               "on its way to a CPU (lines with x)",
    .arguments = irq_arguments,
    .run = irq_run,
    .print = irq_print,
    .returns = "[InterruptInfo]",
};
MONITOR_COMMAND(irq_command);
