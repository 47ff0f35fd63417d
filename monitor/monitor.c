/* SPDX-License-Identifier: MIT */
/* Monitor sessions: between a character device and a front end. */
#include "monitor/monitor.h"

#include <string.h>

#include "base/error.h"
#include "monitor/session.h"

void monitor_flush(Monitor *monitor)
{
    while (monitor->pending->len) {
        size_t n = chardev_write(monitor->chardev, monitor->pending->str, monitor->pending->len);

        if (!n) {
            return;
        }
        g_string_erase(monitor->pending, 0, n);
    }
}

void monitor_write(Monitor *monitor, const char *text, size_t size)
{
    /* A peer that never reads loses what is new, whole messages at a time. */
    if (monitor->pending->len > MONITOR_PENDING_MAX) {
        return;
    }
    g_string_append_len(monitor->pending, text, size);
    monitor_flush(monitor);
}

static size_t monitor_can_receive(void *opaque)
{
    return 4096;
}

static void monitor_receive(void *opaque, const uint8_t *data, size_t size)
{
    Monitor *monitor = opaque;

    if (monitor->control) {
        qmp_receive(monitor, data, size);
    } else {
        hmp_receive(monitor, data, size);
    }
}

static void monitor_event(void *opaque, ChardevEvent event)
{
    Monitor *monitor = opaque;

    if (event == CHARDEV_CLOSED) {
        g_string_truncate(monitor->pending, 0);
    }
    if (monitor->control) {
        qmp_event(monitor, event);
    } else {
        hmp_event(monitor, event);
    }
}

static void monitor_can_write(void *opaque)
{
    monitor_flush(opaque);
}

static const ChardevFrontend monitor_frontend = {
    .can_receive = monitor_can_receive,
    .receive = monitor_receive,
    .event = monitor_event,
    .can_write = monitor_can_write,
    .background = true,
};

static void monitor_machine_event(void *opaque, const char *event, const char *json_data)
{
    Monitor *monitor = opaque;
    bool taken = !machine_lock_held(monitor->machine);

    if (taken) {
        machine_lock(monitor->machine);
    }
    if (monitor->control) {
        qmp_machine_event(monitor, event, json_data);
    } else {
        hmp_machine_event(monitor, event, json_data);
    }
    if (taken) {
        machine_unlock(monitor->machine);
    }
}

static void monitor_free(void *opaque)
{
    Monitor *monitor = opaque;

    chardev_detach(monitor->chardev, monitor);
    if (monitor->control) {
        qmp_close(monitor);
    } else {
        hmp_close(monitor);
    }
    g_string_free(monitor->pending, TRUE);
    g_free(monitor);
}

bool monitor_create(Machine *machine, const char *mode, Chardev *chardev, bool pretty,
                    GError **error)
{
    Monitor *monitor;
    bool control = !strcmp(mode, "control");

    if (!control && strcmp(mode, "readline")) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "monitor mode '%s' is neither readline (for people) nor control (QMP)",
                          mode);
    }
    if (!chardev) {
        return error_fail(error, KASO_ERROR_INVALID, "a monitor needs a character device");
    }
    monitor = g_new0(Monitor, 1);
    monitor->machine = machine;
    monitor->chardev = chardev;
    monitor->control = control;
    monitor->pretty = pretty;
    monitor->pending = g_string_new(NULL);
    if (control) {
        qmp_open(monitor);
    } else {
        hmp_open(monitor);
    }
    if (!chardev_attach(chardev, &monitor_frontend, monitor, error)) {
        monitor_free(monitor);
        return false;
    }
    machine_add_event_listener(machine, monitor_machine_event, monitor);
    machine_on_free(machine, monitor_free, monitor);
    return true;
}

bool monitor_run_line_on(Machine *machine, unsigned vcpu, const char *line, char **output,
                         GError **error)
{
    Monitor monitor = { .machine = machine, .vcpu = vcpu, .pending = g_string_new(NULL) };
    GString *out = g_string_new(NULL);
    bool ok = monitor_run_hmp(&monitor, line, out, error);

    *output = g_string_free(out, FALSE);
    g_string_free(monitor.pending, TRUE);
    return ok;
}

bool monitor_run_line(Machine *machine, const char *line, char **output, GError **error)
{
    return monitor_run_line_on(machine, 0, line, output, error);
}

Machine *monitor_machine(Monitor *monitor)
{
    return monitor->machine;
}

Vcpu *monitor_vcpu(Monitor *monitor, GError **error)
{
    GPtrArray *vcpus = monitor->machine->vcpus;

    if (!vcpus || monitor->vcpu >= vcpus->len) {
        error_fail(error, KASO_ERROR_GENERIC, "the machine has no CPU");
        return NULL;
    }
    return vcpus->pdata[monitor->vcpu];
}

void monitor_set_vcpu(Monitor *monitor, unsigned index)
{
    monitor->vcpu = index;
}

unsigned monitor_vcpu_index(Monitor *monitor)
{
    return monitor->vcpu;
}

bool monitor_negotiated(Monitor *monitor)
{
    return monitor->negotiated;
}

void monitor_set_negotiated(Monitor *monitor)
{
    monitor->negotiated = true;
}
