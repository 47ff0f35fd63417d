/* SPDX-License-Identifier: MIT */
/* Kinds of events that somebody has to look out for: ranges of code, times, pictures, counts of instructions. */
#include <inttypes.h>

#include "base/error.h"
#include "monitor/debugger/location.h"
#include "monitor/debugger/private.h"

void event_fire(Breakpoint *breakpoint, Vcpu *vcpu, const DebugEvent *event)
{
    DebugEvent own = *event;

    own.kind = breakpoint->request.event;
    own.source = breakpoint;
    debug_report(breakpoint->debugger->machine, vcpu, &own);
}

/* Expressions. */

static bool compile_text(Breakpoint *breakpoint, Vcpu *vcpu, GError **error)
{
    const char *text = breakpoint->request.event_text;
    g_autoptr(GError) why = NULL;

    if (breakpoint->expression || !text) {
        return true;
    }
    breakpoint->expression = g_regex_new(text, G_REGEX_RAW, 0, &why);
    return breakpoint->expression ||
           error_fail(error, KASO_ERROR_INVALID, "'%s' is no regular expression: %s", text,
                      why->message);
}

/* Ranges. */

static bool set_range(Breakpoint *breakpoint, Vcpu *vcpu, GError **error)
{
    const BreakpointRequest *request = &breakpoint->request;

    breakpoint->first = 0;
    breakpoint->last = UINT64_MAX;
    return !request->event_range ||
           location_parse_range(request->event_range, request->size, vcpu, &breakpoint->first,
                                &breakpoint->last, error);
}

static bool set_execution(Breakpoint *breakpoint, Vcpu *vcpu, GError **error)
{
    BreakpointPlace *place;

    if (!set_range(breakpoint, vcpu, error)) {
        return false;
    }
    if (breakpoint->last - breakpoint->first == UINT64_MAX) {
        return error_fail(error, KASO_ERROR_INVALID, "a range may not be all there is");
    }
    place = g_new0(BreakpointPlace, 1);
    place->breakpoint = breakpoint;
    place->shown = breakpoint->first;
    place->point = (DebugPoint){ .client = &breakpoint->debugger->client,
                                 .address = breakpoint->first,
                                 .size = breakpoint->last - breakpoint->first + 1,
                                 .access = DEBUG_EXECUTE,
                                 .physical = breakpoint->request.physical };
    if (!debug_add_point(breakpoint->debugger->machine, &place->point, error)) {
        g_free(place);
        return false;
    }
    g_ptr_array_add(breakpoint->places, place);
    return true;
}

/* Times. */

static void time_is_there(void *opaque)
{
    Breakpoint *breakpoint = opaque;

    event_fire(breakpoint, NULL,
               &(DebugEvent){ .number = (uint64_t)clock_now_ns(breakpoint->debugger->machine) });
}

static bool set_time(Breakpoint *breakpoint, Vcpu *vcpu, GError **error)
{
    Machine *machine = breakpoint->debugger->machine;
    int64_t now = clock_now_ns(machine), ns = breakpoint->request.event_ns;

    if (breakpoint->request.event_relative && ns > INT64_MAX - now) {
        return error_fail(error, KASO_ERROR_INVALID, "no clock gets that far");
    }
    ns += breakpoint->request.event_relative ? now : 0;
    if (ns < now) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "this is past: the virtual clock is at %.9f s; +TIME is from now on",
                          (double)now / 1e9);
    }
    timer_init(&breakpoint->timer, machine, time_is_there, breakpoint);
    timer_arm(&breakpoint->timer, ns);
    return true;
}

static void clear_time(Breakpoint *breakpoint)
{
    if (breakpoint->timer.machine) {
        timer_cancel(&breakpoint->timer);
        breakpoint->timer.machine = NULL;
    }
}

/* Instructions. */

static Vcpu *counted_vcpu(const Breakpoint *breakpoint, Vcpu *vcpu)
{
    const GPtrArray *vcpus = breakpoint->debugger->machine->vcpus;
    int wanted = breakpoint->request.vcpu;

    return wanted >= 0 && (unsigned)wanted < vcpus->len ? vcpus->pdata[wanted] : vcpu;
}

static bool set_count(Breakpoint *breakpoint, Vcpu *vcpu, GError **error)
{
    Vcpu *of = counted_vcpu(breakpoint, vcpu);

    if (!debug_count(of, breakpoint->request.event_number, breakpoint)) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "the instructions of cpu%u are counted for another breakpoint already",
                          of->index);
    }
    breakpoint->of = of;
    return true;
}

static void clear_count(Breakpoint *breakpoint)
{
    if (breakpoint->of) {
        debug_count(breakpoint->of, 0, breakpoint);
        breakpoint->of = NULL;
    }
}

/* The table. */

static const struct {
    bool (*set)(Breakpoint *breakpoint, Vcpu *vcpu, GError **error);
    void (*clear)(Breakpoint *breakpoint);
} sources[DEBUG_EVENT_KINDS] = {
    [DEBUG_DMA] = { set_range, NULL },
    [DEBUG_CONSOLE] = { compile_text, NULL },
    [DEBUG_LOG] = { compile_text, NULL },
    [DEBUG_TIME] = { set_time, clear_time },
    [DEBUG_EXECUTION] = { set_execution, NULL },
    [DEBUG_INSTRUCTIONS] = { set_count, clear_count },
    [DEBUG_PICTURE] = { picture_set, picture_clear },
    [DEBUG_TRANSLATION] = { translation_set, translation_clear },
};

bool event_source_set(Breakpoint *breakpoint, Vcpu *vcpu, GError **error)
{
    DebugEventKind kind = breakpoint->request.event;

    return !sources[kind].set || sources[kind].set(breakpoint, vcpu, error);
}

void event_source_clear(Breakpoint *breakpoint)
{
    DebugEventKind kind = breakpoint->request.event;

    if (sources[kind].clear) {
        sources[kind].clear(breakpoint);
    }
}
