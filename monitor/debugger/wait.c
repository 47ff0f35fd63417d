/* SPDX-License-Identifier: MIT */
/*
 * Breakpoints that count once: those that somebody waits for, and those on events that come once (a time, the first execution in a range). They are
 * spent on the thread where that happens, and dealt with in the main loop.
 */
#include <string.h>

#include "base/error.h"
#include "monitor/debugger/private.h"

bool breakpoint_counts_once(const BreakpointRequest *request)
{
    return request->wait || (!request->access &&
                             (request->event == DEBUG_TIME || request->event == DEBUG_EXECUTION ||
                              request->event == DEBUG_INSTRUCTIONS));
}

static void settle(void *opaque)
{
    breakpoint_settle(opaque);
}

void breakpoint_spend(Breakpoint *breakpoint, const DebugStop *stop)
{
    breakpoint->waited = *stop;
    if (breakpoint->request.wait_stops) {
        return; /* its stop is told of first */
    }
    machine_defer(breakpoint->debugger->machine, settle, breakpoint->debugger);
}

/* What has to be told to whom; the breakpoint knows nothing of it any more. */
typedef struct {
    BreakpointDone *done;
    void *opaque;
} Waiter;

static Waiter take_waiter(Breakpoint *breakpoint)
{
    const Waiter waiter = { breakpoint->done, breakpoint->done_opaque };

    breakpoint->done = NULL;
    if (breakpoint->timeout) {
        g_source_remove(breakpoint->timeout);
        breakpoint->timeout = 0;
    }
    return waiter;
}

static void answer(Waiter waiter, json_t *data, bool timed_out)
{
    if (waiter.done) {
        waiter.done(waiter.opaque, data, timed_out);
    } else {
        json_decref(data);
    }
}

void breakpoint_unwait(Breakpoint *breakpoint)
{
    answer(take_waiter(breakpoint), NULL, false);
}

static void reached(Breakpoint *breakpoint)
{
    Debugger *debugger = breakpoint->debugger;
    const DebugStop stop = breakpoint->waited;
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *line = breakpoint_text(breakpoint);
    Waiter waiter = take_waiter(breakpoint);
    json_t *data;

    g_rec_mutex_lock(&debugger->lock);
    if (!breakpoint->request.access && breakpoint->request.event == DEBUG_CONSOLE) {
        event_text_pass(breakpoint);
    }
    g_rec_mutex_unlock(&debugger->lock);
    debugger_describe_place(text, debugger->machine, &stop, line);
    g_string_append_c(text, '\n');
    data = debugger_describe(debugger->machine, &stop, breakpoint, text->str);
    breakpoint_remove(breakpoint);
    answer(waiter, data, false);
}

void breakpoint_settle(Debugger *debugger)
{
    for (unsigned i = debugger->breakpoints->len; i-- > 0;) {
        Breakpoint *breakpoint;

        if (i >= debugger->breakpoints->len) {
            continue; /* an answer may remove others */
        }
        breakpoint = debugger->breakpoints->pdata[i];
        if (!atomic_load(&breakpoint->spent) || !breakpoint->enabled) {
            continue;
        }
        if (breakpoint->request.wait) {
            reached(breakpoint);
        } else {
            breakpoint_set_enabled(breakpoint, false, NULL);
        }
    }
}

static gboolean time_is_over(gpointer opaque)
{
    Breakpoint *breakpoint = opaque;
    Machine *machine = breakpoint->debugger->machine;
    bool taken = !machine_lock_held(machine);
    Waiter waiter;

    if (taken) {
        machine_lock(machine);
    }
    breakpoint->timeout = 0;
    waiter = take_waiter(breakpoint);
    breakpoint_remove(breakpoint);
    answer(waiter, NULL, true);
    if (taken) {
        machine_unlock(machine);
    }
    return G_SOURCE_REMOVE;
}

Breakpoint *breakpoint_wait(Vcpu *vcpu, const BreakpointRequest *request, double seconds,
                            BreakpointDone *done, void *opaque, GError **error)
{
    Debugger *debugger = debugger_of(vcpu->machine);
    BreakpointRequest own = *request;
    Breakpoint *breakpoint;
    bool there;

    if (!machine_running(vcpu->machine) && !debugger_may_start(vcpu->machine, error)) {
        return NULL;
    }
    own.wait = true;
    if (own.trace || own.temporary || own.commands) {
        error_fail(error, KASO_ERROR_INVALID, "what is waited for has no commands");
        return NULL;
    }
    if (!own.access && own.event == DEBUG_CONSOLE) {
        event_text_begin(debugger);
    }
    breakpoint = breakpoint_add(vcpu, &own, error);
    if (!breakpoint) {
        return NULL;
    }
    breakpoint->done = done;
    breakpoint->done_opaque = opaque;
    if (seconds > 0) {
        breakpoint->timeout =
            g_timeout_add((guint)MIN(seconds * 1000 + 1, 4e9), time_is_over, breakpoint);
    }
    g_rec_mutex_lock(&debugger->lock);
    /* What has happened already was seen in no state of the CPUs. */
    there = !own.access && own.event == DEBUG_CONSOLE && !own.condition && own.vcpu < 0 &&
            event_text_waited(breakpoint) && !atomic_exchange(&breakpoint->spent, true);
    if (there) {
        breakpoint->waited = (DebugStop){ .kind = DEBUG_STOP_EVENT,
                                          .event = { .kind = DEBUG_CONSOLE,
                                                     .write = true,
                                                     .who = breakpoint->seen_who,
                                                     .number = breakpoint->seen_number } };
        machine_defer(vcpu->machine, settle, debugger);
    }
    g_rec_mutex_unlock(&debugger->lock);
    if (there && own.wait_stops) {
        machine_request_stop(vcpu->machine, STOP_PAUSED, NULL);
    } else if (!machine_running(vcpu->machine)) {
        machine_start(vcpu->machine);
    }
    return breakpoint;
}
