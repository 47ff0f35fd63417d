/* SPDX-License-Identifier: MIT */
/* The table of breakpoints: where they are, whether they hold, and what they stop. */
#include "monitor/debugger/breakpoint.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "debug/symbols/symbols.h"
#include "monitor/debugger/location.h"
#include "monitor/debugger/private.h"

#define ATTACHED "monitor/debugger/breakpoint.h"

/* --- what a stop is worth ---------------------------------------------------------------------- */

/* Not by log_printf, whose lines are events. */
static void log_hit(const Breakpoint *breakpoint, const DebugStop *stop)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (stop->kind == DEBUG_STOP_EVENT) {
        event_describe(text, &stop->event, breakpoint->text);
    } else {
        g_string_append(text, breakpoint->request.location);
    }
    if (stop->kind == DEBUG_STOP_WATCH && stop->values_known) {
        g_string_append_printf(text, ", %#" PRIx64 " -> %#" PRIx64, stop->old_value,
                               stop->new_value);
    }
    if (log_trace_to_file(breakpoint->request.location, text->str)) {
        return;
    }
    fprintf(log_begin(), "breakpoint %u: cpu%u at %#" PRIx64 ": %s\n", breakpoint->number,
            stop->vcpu->index, stop->pc, text->str);
    log_end();
}

/* [vcpu] Takes one of the ignores; false: there is none. */
static bool take_ignore(Breakpoint *breakpoint)
{
    uint64_t left = atomic_load(&breakpoint->ignores);

    while (left) {
        if (atomic_compare_exchange_weak(&breakpoint->ignores, &left, left - 1)) {
            return true;
        }
    }
    return false;
}

/*
 * Memory is read with the machine lock, which threads that have neither a CPU nor that lock (I/O threads) may not wait for here. What
 * cannot be judged holds.
 */
static bool can_judge(const Breakpoint *breakpoint)
{
    return vcpu_current() || machine_lock_held(breakpoint->debugger->machine);
}

/* Whether it counts on that CPU at all. */
static bool is_for(const Breakpoint *breakpoint, const Vcpu *vcpu)
{
    return !atomic_load(&breakpoint->spent) &&
           (breakpoint->request.vcpu < 0 || vcpu->index == (unsigned)breakpoint->request.vcpu);
}

bool breakpoint_holds(Breakpoint *breakpoint, const DebugStop *stop, const ConditionValues *values)
{
    bool once;

    if (!is_for(breakpoint, stop->vcpu)) {
        return false;
    }
    if (breakpoint->condition && can_judge(breakpoint) &&
        !condition_holds(breakpoint->condition, stop->vcpu, values)) {
        return false;
    }
    breakpoint->hits++;
    if (take_ignore(breakpoint)) {
        return false;
    }
    once = breakpoint_counts_once(&breakpoint->request);
    if (once && atomic_exchange(&breakpoint->spent, true)) {
        return false;
    }
    if (breakpoint->request.trace) {
        log_hit(breakpoint, stop);
    }
    if (breakpoint->request.trace || breakpoint->request.wait) {
        if (once) {
            breakpoint_spend(breakpoint, stop);
        }
        return breakpoint->request.wait_stops;
    }
    return true;
}

/* The machine has stopped so that symbols are looked for. */
static bool is_watch(const DebugStop *stop)
{
    return pending_is_watch(stop) || moving_is_watch(stop);
}

/* Whose a stop is; NULL: a move's. */
static Breakpoint *breakpoint_of(const DebugStop *stop)
{
    const GPtrArray *all = ((Debugger *)stop->client)->breakpoints;

    if (stop->kind == DEBUG_STOP_EVENT) {
        /* It may have been removed since. */
        return g_ptr_array_find((GPtrArray *)all, stop->opaque, NULL) ? stop->opaque : NULL;
    }
    return stop->point && !is_watch(stop)
               ? container_of(stop->point, BreakpointPlace, point)->breakpoint
               : NULL;
}

static bool holds(Breakpoint *breakpoint, const DebugStop *stop)
{
    const ConditionValues values = { stop->new_value, stop->old_value, stop->address };

    return breakpoint_holds(breakpoint, stop, &values);
}

/* [vcpu] */
static bool reached(DebugClient *client, const DebugStop *stop)
{
    Breakpoint *breakpoint = breakpoint_of(stop);

    if (is_watch(stop) || (breakpoint && breakpoint->translation)) {
        return true; /* to look at it */
    }
    if (breakpoint && condition_is_typed(breakpoint->condition)) {
        return is_for(breakpoint, stop->vcpu); /* judged when the machine has stopped */
    }
    return breakpoint ? holds(breakpoint, stop) : move_reached((Debugger *)client, stop);
}

/* --- the table --------------------------------------------------------------------------------- */

static void remove_places(Breakpoint *breakpoint)
{
    while (breakpoint->places->len) {
        unsigned last = breakpoint->places->len - 1;
        BreakpointPlace *place = g_ptr_array_index(breakpoint->places, last);

        debug_remove_point(breakpoint->debugger->machine, &place->point);
        g_ptr_array_set_size(breakpoint->places, (int)last);
    }
}

static bool add_place(Breakpoint *breakpoint, const LocationPlace *at, GError **error)
{
    const BreakpointRequest *request = &breakpoint->request;
    BreakpointPlace *place = g_new0(BreakpointPlace, 1);

    place->breakpoint = breakpoint;
    place->shown = at->shown;
    place->point = (DebugPoint){ .client = &breakpoint->debugger->client,
                                 .address = at->address,
                                 .size = request->access & DEBUG_EXECUTE ? 1 : request->size,
                                 .access = request->access,
                                 .physical = at->physical || request->physical };
    if (!debug_add_point(breakpoint->debugger->machine, &place->point, error)) {
        g_free(place);
        return false;
    }
    g_ptr_array_add(breakpoint->places, place);
    return true;
}

/* It stops nothing any more. */
static void displace(Breakpoint *breakpoint)
{
    if (!breakpoint->request.access) {
        event_set(breakpoint, NULL, false, NULL);
    }
    remove_places(breakpoint);
}

bool breakpoint_place(Breakpoint *breakpoint, Vcpu *vcpu, GError **error)
{
    const char *location = breakpoint->request.location;
    bool code = breakpoint->request.access & DEBUG_EXECUTE;
    LocationPlace places[LOCATION_PLACES_MAX];
    GError *failure = NULL;
    unsigned count;

    if (!breakpoint->request.access) {
        return event_set(breakpoint, vcpu, true, error);
    }
    count = location_resolve(vcpu, location, code, places, &failure);
    if (failure) {
        g_propagate_error(error, failure);
        return false;
    }
    breakpoint->pending = count == 0;
    for (unsigned i = 0; i < count; i++) {
        if (!add_place(breakpoint, &places[i], error)) {
            remove_places(breakpoint);
            return false;
        }
    }
    return true;
}

/* true: firmware has moved itself to where the CPU is. */
static bool look_for_symbols(Debugger *debugger, const DebugStop *stop)
{
    bool moving = moving_is_watch(stop);
    unsigned generation = symbols_generation(debugger->machine);

    symbols_refresh(debugger->machine);
    pending_place(debugger);
    if (moving && symbols_generation(debugger->machine) == generation) {
        moving_leave_page(debugger, stop->pc);
        return false;
    }
    return moving;
}

/* A breakpoint that has got its place just where the CPU has stopped to look for it, and counts; *own: the stop that it makes. */
static Breakpoint *placed_at(Debugger *debugger, const DebugStop *stop, DebugStop *own)
{
    for (unsigned i = 0; i < debugger->breakpoints->len; i++) {
        Breakpoint *breakpoint = g_ptr_array_index(debugger->breakpoints, i);

        for (unsigned k = 0; k < breakpoint->places->len; k++) {
            const BreakpointPlace *place = g_ptr_array_index(breakpoint->places, k);

            if (place->point.access & DEBUG_EXECUTE && place->shown == stop->pc) {
                own->point = &place->point;
                if (condition_is_typed(breakpoint->condition) || holds(breakpoint, own)) {
                    return breakpoint;
                }
            }
        }
    }
    return NULL;
}

static void stopped(DebugClient *client, const DebugStop *stop)
{
    Debugger *debugger = (Debugger *)client;
    DebugStop own = *stop;
    bool ours = stop->client == client;
    /* Unless somebody has paused it since. */
    bool may_go_on = ours && atomic_load(&debugger->machine->stop_reason) == STOP_DEBUG;
    Breakpoint *breakpoint = ours ? breakpoint_of(stop) : NULL;

    if (ours && !breakpoint && (stop->kind == DEBUG_STOP_EVENT || is_watch(stop))) {
        breakpoint = look_for_symbols(debugger, stop) ? placed_at(debugger, stop, &own) : NULL;
        if (!breakpoint) {
            if (may_go_on) {
                machine_start(debugger->machine);
            }
            return;
        }
        stop = &own;
    }
    if (breakpoint && breakpoint->translation) {
        if (!translation_look(breakpoint, &own)) {
            if (may_go_on) {
                machine_start(debugger->machine);
            }
            return;
        }
        stop = &own;
    }
    if (breakpoint && breakpoint->request.access && condition_is_typed(breakpoint->condition) &&
        !holds(breakpoint, stop)) {
        if (may_go_on) {
            machine_start(debugger->machine);
        }
        return;
    }
    if (may_go_on && !breakpoint && move_goes_on(debugger)) {
        return;
    }
    move_end(debugger);
    if (breakpoint && atomic_load(&breakpoint->spent) && !breakpoint->request.wait) {
        breakpoint_set_enabled(breakpoint, false, NULL);
    }
    if (ours) {
        debugger_tell(debugger, stop, breakpoint);
        breakpoint_settle(debugger);
    }
}

static void free_breakpoint(Breakpoint *breakpoint)
{
    if (breakpoint->timeout) {
        g_source_remove(breakpoint->timeout);
    }
    g_ptr_array_unref(breakpoint->places);
    g_clear_pointer(&breakpoint->expression, g_regex_unref);
    g_free(breakpoint->text);
    condition_free(breakpoint->condition);
    g_free((char *)breakpoint->request.location);
    g_free((char *)breakpoint->request.commands);
    g_free((char *)breakpoint->request.event_who);
    g_free((char *)breakpoint->request.event_name);
    g_free((char *)breakpoint->request.event_range);
    g_free((char *)breakpoint->request.event_text);
    g_free(breakpoint);
}

static void free_debugger(void *opaque)
{
    Debugger *debugger = opaque;

    g_ptr_array_set_size(debugger->events, 0);
    debug_remove_client(&debugger->client);
    event_screens_watch(debugger, false);
    pending_free(debugger);
    moving_free(debugger);
    for (unsigned i = 0; i < debugger->breakpoints->len; i++) {
        event_source_clear(debugger->breakpoints->pdata[i]);
        free_breakpoint(debugger->breakpoints->pdata[i]);
    }
    g_ptr_array_unref(debugger->breakpoints);
    g_ptr_array_unref(debugger->events);
    event_text_free(debugger);
    g_rec_mutex_clear(&debugger->lock);
    g_free(debugger);
}

/* Names may mean other places now: a kernel was found, a module loaded; or none, after a reset: then they wait. */
static void symbols_changed(void *opaque)
{
    Debugger *debugger = opaque;

    for (unsigned i = 0; i < debugger->breakpoints->len; i++) {
        Breakpoint *breakpoint = g_ptr_array_index(debugger->breakpoints, i);
        const char *location = breakpoint->request.location;

        condition_symbols_changed(breakpoint->condition, debugger->machine);
        if (breakpoint->enabled && breakpoint->request.access &&
            location_depends_on_symbols(location)) {
            remove_places(breakpoint);
            breakpoint_place(breakpoint, debugger->machine->vcpus->pdata[0], NULL);
        }
    }
    pending_count(debugger);
}

Debugger *debugger_of(Machine *machine)
{
    Debugger *debugger = machine_attached(machine, ATTACHED);

    if (!debugger) {
        debugger = g_new0(Debugger, 1);
        debugger->client = (DebugClient){
            .name = "monitor", .reached = reached, .happened = event_happened, .stopped = stopped
        };
        debugger->machine = machine;
        debugger->next_number = 1;
        debugger->breakpoints = g_ptr_array_new();
        debugger->events = g_ptr_array_new();
        g_rec_mutex_init(&debugger->lock);
        machine_attach(machine, ATTACHED, debugger, free_debugger);
        debug_add_client(machine, &debugger->client);
        symbols_on_change(machine, symbols_changed, debugger);
    }
    return debugger;
}

Breakpoint *breakpoint_add(Vcpu *vcpu, const BreakpointRequest *request, GError **error)
{
    Debugger *debugger = debugger_of(vcpu->machine);
    Breakpoint *breakpoint;

    if (debugger->breakpoints->len >= BREAKPOINTS_MAX) {
        error_fail(error, KASO_ERROR_GENERIC, "there are %d breakpoints already; delete some",
                   BREAKPOINTS_MAX);
        return NULL;
    }
    breakpoint = g_new0(Breakpoint, 1);
    breakpoint->debugger = debugger;
    breakpoint->request = *request;
    breakpoint->request.location = g_strdup(request->location);
    breakpoint->request.commands = g_strdup(request->commands);
    breakpoint->request.event_who = g_strdup(request->event_who);
    breakpoint->request.event_name = g_strdup(request->event_name);
    breakpoint->request.event_range = g_strdup(request->event_range);
    breakpoint->request.event_text = g_strdup(request->event_text);
    breakpoint->request.condition = NULL;
    breakpoint->places = g_ptr_array_new_with_free_func(g_free);
    breakpoint->enabled = true;
    if ((request->condition &&
         !breakpoint_set_condition(breakpoint, vcpu, request->condition, error)) ||
        !breakpoint_place(breakpoint, vcpu, error)) {
        displace(breakpoint);
        free_breakpoint(breakpoint);
        return NULL;
    }
    breakpoint->number = debugger->next_number++;
    g_ptr_array_add(debugger->breakpoints, breakpoint);
    pending_count(debugger);
    return breakpoint;
}

void breakpoint_remove(Breakpoint *breakpoint)
{
    Debugger *debugger = breakpoint->debugger;

    displace(breakpoint);
    g_ptr_array_remove(debugger->breakpoints, breakpoint);
    breakpoint_unwait(breakpoint);
    free_breakpoint(breakpoint);
    pending_count(debugger);
}

const GPtrArray *breakpoint_all(Machine *machine)
{
    return debugger_of(machine)->breakpoints;
}

Breakpoint *breakpoint_find(Machine *machine, int64_t number, GError **error)
{
    const GPtrArray *all = breakpoint_all(machine);

    for (unsigned i = 0; i < all->len; i++) {
        Breakpoint *breakpoint = g_ptr_array_index(all, i);

        if (breakpoint->number == number) {
            return breakpoint;
        }
    }
    error_fail(error, KASO_ERROR_NOT_FOUND,
               "there is no breakpoint %" PRId64 "; 'info breakpoints' lists them", number);
    return NULL;
}

static bool refuse_typed(GError **error)
{
    return error_fail(
        error, KASO_ERROR_UNSUPPORTED,
        "variables and members are for conditions of locations: an event is judged at once, "
        "without them");
}

bool breakpoint_set_condition(Breakpoint *breakpoint, Vcpu *vcpu, const char *text, GError **error)
{
    Condition *condition = text && *text ? condition_compile(text, vcpu, error) : NULL, *old;

    if (text && *text && !condition) {
        return false;
    }
    if (!breakpoint->request.access && condition_is_typed(condition)) {
        condition_free(condition);
        return refuse_typed(error);
    }
    machine_exclusive_begin(vcpu->machine);
    old = breakpoint->condition;
    breakpoint->condition = condition;
    machine_exclusive_end(vcpu->machine);
    condition_free(old);
    return true;
}

void breakpoint_set_ignores(Breakpoint *breakpoint, uint64_t count)
{
    atomic_store(&breakpoint->ignores, count);
}

void breakpoint_set_commands(Breakpoint *breakpoint, const char *commands)
{
    g_free((char *)breakpoint->request.commands);
    breakpoint->request.commands = commands && *commands ? g_strdup(commands) : NULL;
}

bool breakpoint_set_enabled(Breakpoint *breakpoint, bool enabled, GError **error)
{
    if (enabled == breakpoint->enabled) {
        return true;
    }
    breakpoint->enabled = enabled;
    atomic_store(&breakpoint->spent, false);
    if (!enabled) {
        displace(breakpoint);
    } else if (!breakpoint_place(breakpoint, breakpoint->debugger->machine->vcpus->pdata[0],
                                 error)) {
        breakpoint->enabled = false;
    }
    pending_count(breakpoint->debugger);
    return breakpoint->enabled == enabled;
}

/* --- what it is -------------------------------------------------------------------------------- */

unsigned breakpoint_number(const Breakpoint *breakpoint)
{
    return breakpoint->number;
}

const char *breakpoint_location(const Breakpoint *breakpoint)
{
    return breakpoint->request.location;
}

uint64_t breakpoint_hits(const Breakpoint *breakpoint)
{
    return atomic_load(&breakpoint->hits);
}

uint64_t breakpoint_ignores(const Breakpoint *breakpoint)
{
    return atomic_load(&breakpoint->ignores);
}

bool breakpoint_enabled(const Breakpoint *breakpoint)
{
    return breakpoint->enabled;
}

bool breakpoint_temporary(const Breakpoint *breakpoint)
{
    return breakpoint->request.temporary;
}

bool breakpoint_traces(const Breakpoint *breakpoint)
{
    return breakpoint->request.trace;
}

bool breakpoint_waits(const Breakpoint *breakpoint)
{
    return breakpoint->request.wait;
}

const char *breakpoint_condition(const Breakpoint *breakpoint)
{
    return breakpoint->condition ? condition_text(breakpoint->condition) : NULL;
}

const char *breakpoint_commands(const Breakpoint *breakpoint)
{
    return breakpoint->request.commands;
}

GArray *breakpoint_addresses(const Breakpoint *breakpoint)
{
    GArray *addresses = g_array_new(false, false, sizeof(uint64_t));

    for (unsigned i = 0; i < breakpoint->places->len; i++) {
        const BreakpointPlace *at = g_ptr_array_index(breakpoint->places, i);

        g_array_append_val(addresses, at->shown);
    }
    return addresses;
}

bool breakpoint_in_ram(const Breakpoint *breakpoint, uint64_t *guest_phys)
{
    const BreakpointPlace *at = breakpoint->places->len ? breakpoint->places->pdata[0] : NULL;

    *guest_phys = at ? at->point.address : 0;
    return at && at->point.physical && !breakpoint->request.physical;
}

char *breakpoint_describe(const Breakpoint *breakpoint)
{
    static const char *const kinds[] = { [0] = "event",
                                         [DEBUG_EXECUTE] = "breakpoint",
                                         [DEBUG_READ] = "read watchpoint",
                                         [DEBUG_WRITE] = "write watchpoint",
                                         [DEBUG_READ | DEBUG_WRITE] = "access watchpoint" };
    const BreakpointRequest *request = &breakpoint->request;

    return g_strdup_printf("%s%s", request->physical ? "physical " : "", kinds[request->access]);
}
