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
    unsigned vcpu;      /* index chosen by `cpu N` */
    GQueue later;       /* MonitorAnswer: of commands that are under way */
    bool answers_later; /* the command that runs now */
    GString *pending;   /* output that the back end has not taken yet */

    /* HMP */
    LineEditor *editor;
    bool on_mux, has_input, greeted;
    GString *unread; /* what came while a command was under way */
    bool reading;    /* it is being read */

    /* QMP */
    JsonStream *stream;
    bool negotiated;
    json_t *id;   /* of the command that runs now */
    bool in_line; /* that is one line of HMP */
};

struct MonitorAnswer {
    Monitor *monitor;
    const MonitorCommand *command;
    json_t *id; /* QMP; NULL: none */
    void (*gone)(void *opaque);
    void *opaque;
};
/* Nobody waits for answers any more. */
void monitor_drop_answers(Monitor *monitor);

enum {
    MONITOR_PENDING_MAX =
        4 << 20, /* of output that nobody takes: then no more is read, and events are lost */
    MONITOR_UNREAD_MAX = 64 << 10,
};

void monitor_write(Monitor *monitor, const char *text, size_t size);
void monitor_flush(Monitor *monitor);

void hmp_open(Monitor *monitor);
void hmp_close(Monitor *monitor);
void hmp_event(Monitor *monitor, ChardevEvent event);
/* What a person at the prompt wants to know at once. */
void hmp_machine_event(Monitor *monitor, const char *event, const char *json_data);
void hmp_receive(Monitor *monitor, const uint8_t *data, size_t size);
/* A line about the command that is under way. */
void hmp_note(Monitor *monitor, const char *line);
/* The command that was under way has its answer: takes nothing. */
void hmp_answer(Monitor *monitor, const MonitorCommand *command, json_t *result,
                const GError *failure);

/* How far the command has come that is under way, on one line of the terminal; total 0: the line is clear again. */
void hmp_progress(Monitor *monitor, const char *what, uint64_t done, uint64_t total);

void qmp_open(Monitor *monitor);
void qmp_close(Monitor *monitor);
void qmp_event(Monitor *monitor, ChardevEvent event);
void qmp_receive(Monitor *monitor, const uint8_t *data, size_t size);
void qmp_answer(Monitor *monitor, json_t *result, const GError *failure, json_t *id);
void qmp_machine_event(Monitor *monitor, const char *event, const char *json_data);

#endif
