/* SPDX-License-Identifier: MIT */
/* Monitor sessions: between a character device and a front end. */
#include "monitor/monitor.h"

#include <string.h>

#include "base/error.h"
#include "monitor/block.h"
#include "monitor/session.h"

/* Its peer leaves more unread than is kept. */
static bool is_behind(const Monitor *monitor)
{
    return monitor->pending->len > MONITOR_PENDING_MAX;
}

void monitor_flush(Monitor *monitor)
{
    GString *pending = monitor->pending;
    bool was_behind = is_behind(monitor);
    size_t done = 0, n;

    while (done < pending->len &&
           (n = chardev_write(monitor->chardev, pending->str + done, pending->len - done))) {
        done += n;
    }
    g_string_erase(pending, 0, done);
    if (was_behind && !is_behind(monitor)) {
        chardev_accept_input(monitor->chardev);
    }
}

void monitor_write(Monitor *monitor, const char *text, size_t size)
{
    g_string_append_len(monitor->pending, text, size);
    monitor_flush(monitor);
}

static size_t monitor_can_receive(void *opaque)
{
    const Monitor *monitor = opaque;

    return is_behind(monitor) || (monitor->unread && monitor->unread->len > MONITOR_UNREAD_MAX)
               ? 0
               : 4096;
}

MonitorAnswer *monitor_answer_later(Monitor *monitor, const MonitorCommand *command,
                                    void (*gone)(void *opaque), void *opaque, GError **error)
{
    MonitorAnswer *answer;

    if (!monitor->chardev || monitor->in_line) {
        error_fail(error, KASO_ERROR_UNSUPPORTED,
                   "this has to be typed at a monitor, or sent to QMP: nobody can wait here");
        return NULL;
    }
    answer = g_new0(MonitorAnswer, 1);
    *answer = (MonitorAnswer){ .monitor = monitor,
                               .command = command,
                               .id = json_incref(monitor->id),
                               .gone = gone,
                               .opaque = opaque };
    g_queue_push_tail(&monitor->later, answer);
    monitor->answers_later = true;
    return answer;
}

static void free_answer(MonitorAnswer *answer)
{
    json_decref(answer->id);
    g_free(answer);
}

void monitor_answer(MonitorAnswer *answer, json_t *result, GError *failure)
{
    Monitor *monitor = answer->monitor;

    g_queue_remove(&monitor->later, answer);
    if (monitor->control) {
        qmp_answer(monitor, json_incref(result), failure, answer->id);
    } else {
        hmp_answer(monitor, answer->command, result, failure);
    }
    json_decref(result);
    g_clear_error(&failure);
    free_answer(answer);
}

void monitor_answer_note(MonitorAnswer *answer, const char *line)
{
    if (!answer->monitor->control) {
        hmp_note(answer->monitor, line);
    }
}

void monitor_drop_answers(Monitor *monitor)
{
    MonitorAnswer *answer;

    while ((answer = g_queue_pop_head(&monitor->later))) {
        answer->gone(answer->opaque);
        free_answer(answer);
    }
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
        monitor_drop_answers(monitor);
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
    /* Behind, commands are not read either, but events would come without end: whole ones are lost. */
    if (!is_behind(monitor)) {
        (monitor->control ? qmp_machine_event : hmp_machine_event)(monitor, event, json_data);
    }
    if (taken) {
        machine_unlock(monitor->machine);
    }
}

static void monitor_free(void *opaque)
{
    Monitor *monitor = opaque;

    chardev_detach(monitor->chardev, monitor);
    g_queue_clear_full(&monitor->later, (GDestroyNotify)free_answer);
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
    monitor_hear_blocks(machine);
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

int monitor_take_descriptor(Monitor *monitor, GError **error)
{
    int fd = monitor->chardev ? chardev_take_passed(monitor->chardev) : -1;

    if (fd < 0) {
        error_fail(error, KASO_ERROR_INVALID, "No file descriptor supplied via SCM_RIGHTS");
    }
    return fd;
}

void monitor_set_vcpu(Monitor *monitor, unsigned index)
{
    monitor->vcpu = index;
}

unsigned monitor_vcpu_index(Monitor *monitor)
{
    return monitor->vcpu;
}

void monitor_set_in_line(Monitor *monitor, bool in_line)
{
    monitor->in_line = in_line;
}

const GPtrArray *monitor_history(Monitor *monitor)
{
    return monitor->editor ? line_editor_history(monitor->editor) : NULL;
}

bool monitor_negotiated(Monitor *monitor)
{
    return monitor->negotiated;
}

void monitor_set_negotiated(Monitor *monitor)
{
    monitor->negotiated = true;
}
