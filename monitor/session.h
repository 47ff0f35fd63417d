/* SPDX-License-Identifier: MIT */
/* A monitor's state, for the files of monitor/ other than commands. */
#ifndef MONITOR_SESSION_H
#define MONITOR_SESSION_H

#include "monitor/command.h"
#include "monitor/json-stream.h"
#include "monitor/line-editor.h"
#include "machine/chardev.h"

struct Monitor {
    Machine *machine;
    Chardev *chardev; /* NULL: a transient session of human-monitor-command */
    bool control;     /* QMP */
    bool pretty;
    unsigned vcpu;    /* index chosen by `cpu N` */
    GString *pending; /* output that the back end has not taken yet */

    /* HMP */
    LineEditor *editor;
    bool on_mux, has_input, greeted;

    /* QMP */
    JsonStream *stream;
    bool negotiated;
};

enum { MONITOR_PENDING_MAX = 32 << 20 };

void monitor_write(Monitor *monitor, const char *text, size_t size);
void monitor_flush(Monitor *monitor);

void hmp_open(Monitor *monitor);
void hmp_close(Monitor *monitor);
void hmp_event(Monitor *monitor, ChardevEvent event);
/* What a person at the prompt wants to know at once. */
void hmp_machine_event(Monitor *monitor, const char *event, const char *json_data);
void hmp_receive(Monitor *monitor, const uint8_t *data, size_t size);

void qmp_open(Monitor *monitor);
void qmp_close(Monitor *monitor);
void qmp_event(Monitor *monitor, ChardevEvent event);
void qmp_receive(Monitor *monitor, const uint8_t *data, size_t size);
void qmp_machine_event(Monitor *monitor, const char *event, const char *json_data);

#endif
