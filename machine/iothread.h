/* SPDX-License-Identifier: MIT */
/*
 * I/O threads (-object iothread): a thread with a main loop of its own, in which devices take their
 * queues' work instead of on the vCPU that asked for it.
 */
#ifndef MACHINE_IOTHREAD_H
#define MACHINE_IOTHREAD_H

#include "machine/object.h"

typedef struct IoThread IoThread;

/* An event of a device: fn runs in the thread with the machine lock held. */
typedef struct IoThreadEvent IoThreadEvent;
typedef void IoThreadHandler(IoThreadEvent *event, void *opaque);

/* NULL with an error when there is no such thread. */
IoThread *iothread_find(Machine *machine, const char *id, GError **error);
GMainContext *iothread_context(IoThread *thread);
/* In order of creation; the caller unrefs the array. Elements: IoThread *. */
GPtrArray *iothread_list(Machine *machine);
const char *iothread_id(const IoThread *thread);
int iothread_tid(const IoThread *thread);
/* The properties that only monitors show: poll-max-ns, poll-grow, poll-shrink, aio-max-batch. */
int64_t iothread_parameter(const IoThread *thread, const char *name);

/* NULL with an error when the host has no descriptor. [machine lock, as free] */
IoThreadEvent *iothread_event_new(IoThread *thread, IoThreadHandler *fn, void *opaque,
                                  GError **error);
/* fn will not run again, nor go on after iothread_event_lock if it is in there now. */
void iothread_event_free(IoThreadEvent *event);
/* fn shall run soon. [any thread] */
void iothread_event_set(IoThreadEvent *event);
/* In fn: gives the machine lock up; takes it back, false: the event is gone, and what it is about. */
void iothread_event_unlock(IoThreadEvent *event);
bool iothread_event_lock(IoThreadEvent *event);

#endif
