/* SPDX-License-Identifier: MIT */
/* Breakpoints on events, and breakpoints that wait for a name: which events are wanted, and which count. */
#include <fnmatch.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "monitor/debugger/private.h"

/* Names that are not known yet are looked for when the guest's paging changes, but not more often than this. */
enum { REFRESH_US = 2000 };

/* What of an event is told beside its name. */
enum { SHOW_NUMBER = 1, SHOW_VALUE = 2, SHOW_DIRECTION = 4, SHOW_NAME = 8, SHOW_WHO = 16 };

static const struct {
    const char *name;
    unsigned shows;
} kinds[DEBUG_EVENT_KINDS] = {
    [DEBUG_EXCEPTION] = { "exception", SHOW_NAME | SHOW_NUMBER | SHOW_VALUE },
    [DEBUG_INTERRUPT] = { "interrupt", SHOW_NAME | SHOW_NUMBER },
    [DEBUG_MODE] = { "mode", SHOW_NAME },
    [DEBUG_REGISTER] = { "register", SHOW_NAME | SHOW_DIRECTION | SHOW_VALUE },
    [DEBUG_PAGING] = { "paging", SHOW_VALUE },
    [DEBUG_DEVICE] = { "", SHOW_DIRECTION | SHOW_VALUE },
    [DEBUG_DMA] = { "dma", SHOW_WHO },
    [DEBUG_CONSOLE] = { "console", SHOW_WHO },
    [DEBUG_LOG] = { "log", 0 },
    [DEBUG_PORT] = { "port", SHOW_NUMBER | SHOW_DIRECTION | SHOW_VALUE },
    [DEBUG_FIRMWARE_CALL] = { "psci", SHOW_NAME | SHOW_NUMBER | SHOW_VALUE },
    [DEBUG_TRIPLE_FAULT] = { "triple-fault", 0 },
    [DEBUG_RESET] = { "reset", 0 },
    [DEBUG_TIME] = { "time", 0 },
    [DEBUG_INSTRUCTIONS] = { "instructions", 0 },
    [DEBUG_PICTURE] = { "picture", SHOW_WHO },
    [DEBUG_TRANSLATION] = { "translation", SHOW_NUMBER },
    [DEBUG_EXECUTION] = { "execution", SHOW_NUMBER },
};

const char *event_kind_name(DebugEventKind kind)
{
    return kinds[kind].name;
}

static void describe_dma(GString *text, const DebugEvent *event)
{
    g_string_append_printf(text, "%s%s%s %s %#" PRIx64 " size %#" PRIx64, event->name ? " (" : "",
                           event->name ? event->name : "", event->name ? ")" : "",
                           event->write ? "writes" : "reads", event->number, event->value);
}

void event_describe(GString *text, const DebugEvent *event, const char *line)
{
    unsigned shows = kinds[event->kind].shows;

    g_string_append(text, kinds[event->kind].name);
    if (event->kind == DEBUG_DEVICE) {
        g_string_append_printf(text, "%s.%s", event->who, event->name);
    }
    if (shows & SHOW_WHO && event->who) {
        g_string_append_printf(text, " %s", event->who);
    }
    if (shows & SHOW_NAME && event->name) {
        g_string_append_printf(text, " %s", event->name);
    }
    if (shows & SHOW_NUMBER) {
        g_string_append_printf(text, " %#" PRIx64, event->number);
    }
    if (shows & SHOW_DIRECTION) {
        g_string_append(text, event->write ? " <-" : " ->");
    }
    if (shows & SHOW_VALUE) {
        g_string_append_printf(text, " %#" PRIx64, event->value);
    }
    if (event->kind == DEBUG_DMA) {
        describe_dma(text, event);
    } else if (event->kind == DEBUG_TIME) {
        g_string_append_printf(text, " %.9f s", (double)event->number / 1e9);
    } else if (event->kind == DEBUG_INSTRUCTIONS) {
        g_string_append_printf(text, " %" PRIu64, event->number);
    } else if (event->kind == DEBUG_TRANSLATION && event->value == UINT64_MAX) {
        g_string_append(text, " is not mapped");
    } else if (event->kind == DEBUG_TRANSLATION) {
        g_string_append_printf(text, " is at %#" PRIx64, event->value);
    }
    if (line) {
        g_string_append_printf(text, " '%s'", line);
    }
}

static bool name_fits(const char *wanted, const char *name)
{
    return !wanted || (name && fnmatch(wanted, name, FNM_CASEFOLD) == 0);
}

static bool direction_fits(const BreakpointRequest *request, const DebugEvent *event)
{
    switch (event->kind) {
    case DEBUG_REGISTER:
    case DEBUG_DEVICE:
    case DEBUG_PORT:
    case DEBUG_DMA:
        return event->write ? request->event_writes : request->event_reads;
    default:
        return true;
    }
}

/* Whether any of the bytes of a DMA lie in the range. */
static bool range_fits(const Breakpoint *breakpoint, const DebugEvent *event)
{
    return event->kind != DEBUG_DMA || (event->number <= breakpoint->last &&
                                        event->number + (event->value - 1) >= breakpoint->first);
}

static bool names_fit(const BreakpointRequest *request, const DebugEvent *event)
{
    if (event->kind == DEBUG_DMA) {
        return name_fits(request->event_who, event->who) ||
               name_fits(request->event_who, event->name);
    }
    return name_fits(request->event_who, event->who) && name_fits(request->event_name, event->name);
}

static bool fits(Breakpoint *breakpoint, const DebugEvent *event)
{
    const BreakpointRequest *request = &breakpoint->request;

    if (request->event != event->kind) {
        return false;
    }
    if (event->source) {
        return event->source == breakpoint;
    }
    return names_fit(request, event) &&
           (request->event_any_number || request->event_number == event->number) &&
           direction_fits(request, event) && range_fits(breakpoint, event) &&
           event_text_fits(breakpoint, event);
}

static bool counts(Breakpoint *breakpoint, Vcpu *vcpu, const DebugEvent *event)
{
    Machine *machine = breakpoint->debugger->machine;
    DebugStop stop = { .kind = DEBUG_STOP_EVENT,
                       .vcpu = vcpu ? vcpu : machine->vcpus->pdata[0],
                       .pc = vcpu ? vcpu->target->get_pc(vcpu) : 0,
                       .event = *event };
    const ConditionValues values = { .value = event->value, .address = event->number };

    stop.event.text = NULL;
    return fits(breakpoint, event) && breakpoint_holds(breakpoint, &stop, &values);
}

/* Whether the machine stops so that a translation is looked at again. */
static bool looks(const Breakpoint *breakpoint, const Vcpu *vcpu, const DebugEvent *event)
{
    return event->kind == DEBUG_PAGING && breakpoint->translation && vcpu == breakpoint->of &&
           translation_differs(breakpoint);
}

bool event_happened(DebugClient *client, Vcpu *vcpu, const DebugEvent *event, void **opaque)
{
    Debugger *debugger = (Debugger *)client;
    int64_t now = event->kind == DEBUG_PAGING ? g_get_monotonic_time() : 0;
    bool stops = false;

    g_rec_mutex_lock(&debugger->lock);
    if (debugger->inside) {
        g_rec_mutex_unlock(&debugger->lock);
        return false;
    }
    debugger->inside = true;
    event_text_keep(debugger, event);
    for (unsigned i = 0; i < debugger->events->len; i++) {
        Breakpoint *breakpoint = g_ptr_array_index(debugger->events, i);

        if (!stops && (counts(breakpoint, vcpu, event) || looks(breakpoint, vcpu, event))) {
            stops = true;
            *opaque = breakpoint;
        } else if (stops) {
            counts(breakpoint, vcpu, event);
        }
    }
    if (!stops && event->kind == DEBUG_PAGING && debugger->pending &&
        now - debugger->refreshed_us > REFRESH_US) {
        debugger->refreshed_us = now;
        stops = true;
    }
    debugger->inside = false;
    g_rec_mutex_unlock(&debugger->lock);
    return stops;
}

static void log_observed(void *opaque, const char *line)
{
    Debugger *debugger = opaque;

    if (debug_wants(debugger->machine, DEBUG_LOG)) {
        debug_report(debugger->machine, vcpu_current(),
                     &(DebugEvent){ .kind = DEBUG_LOG, .write = true, .text = line });
    }
}

void event_update(Debugger *debugger)
{
    uint32_t kinds_wanted = debugger->pending ? UINT32_C(1) << DEBUG_PAGING : 0;
    bool observes;

    for (unsigned i = 0; i < debugger->events->len; i++) {
        const Breakpoint *breakpoint = g_ptr_array_index(debugger->events, i);

        kinds_wanted |= UINT32_C(1) << breakpoint->request.event;
    }
    /* Other tables' roots translate anew. */
    kinds_wanted |= kinds_wanted >> DEBUG_TRANSLATION & 1 ? UINT32_C(1) << DEBUG_PAGING : 0;
    kinds_wanted |= debugger->history ? UINT32_C(1) << DEBUG_CONSOLE : 0;
    event_screens_watch(debugger, kinds_wanted >> DEBUG_CONSOLE & 1);
    observes = kinds_wanted >> DEBUG_LOG & 1;
    if (observes != debugger->observes_log) {
        debugger->observes_log = observes;
        if (observes) {
            log_add_observer(log_observed, debugger);
        } else {
            log_remove_observer(log_observed, debugger);
        }
    }
    debug_want(&debugger->client, kinds_wanted);
}

bool event_set(Breakpoint *breakpoint, Vcpu *vcpu, bool on, GError **error)
{
    Debugger *debugger = breakpoint->debugger;

    if (on && (!debug_can_tell(debugger->machine, breakpoint->request.event, error) ||
               !event_may_come(&breakpoint->request, vcpu, error) ||
               !event_source_set(breakpoint, vcpu, error))) {
        return false;
    }
    g_rec_mutex_lock(&debugger->lock);
    g_ptr_array_remove(debugger->events, breakpoint);
    if (on) {
        g_ptr_array_add(debugger->events, breakpoint);
    }
    g_rec_mutex_unlock(&debugger->lock);
    if (!on) {
        event_source_clear(breakpoint);
        debug_forget_events(&debugger->client, breakpoint);
    }
    event_update(debugger);
    return true;
}
