/* SPDX-License-Identifier: MIT */
/* The table of breakpoints: where they are, whether they hold, and what they stop. */
#include "monitor/debugger/breakpoint.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "debug/symbols/symbols.h"
#include "monitor/debugger/private.h"
#include "monitor/expression.h"

#define ATTACHED "monitor/debugger/breakpoint.h"
enum { PLACES_MAX = 64 };

/* --- what a stop is worth ---------------------------------------------------------------------- */

static void log_hit(const Breakpoint *breakpoint, const DebugStop *stop)
{
    if (stop->kind == DEBUG_STOP_EVENT) {
        g_autoptr(GString) text = g_string_new(NULL);

        event_describe(text, &stop->event);
        log_printf("breakpoint %u: cpu%u at %#" PRIx64 ": %s\n", breakpoint->number,
                   stop->vcpu->index, stop->pc, text->str);
        return;
    }
    if (stop->kind == DEBUG_STOP_WATCH && stop->values_known) {
        log_printf("breakpoint %u: cpu%u at %#" PRIx64 ": %s, %#" PRIx64 " -> %#" PRIx64 "\n",
                   breakpoint->number, stop->vcpu->index, stop->pc, breakpoint->request.location,
                   stop->old_value, stop->new_value);
    } else {
        log_printf("breakpoint %u: cpu%u at %#" PRIx64 ": %s\n", breakpoint->number,
                   stop->vcpu->index, stop->pc, breakpoint->request.location);
    }
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

bool breakpoint_holds(Breakpoint *breakpoint, const DebugStop *stop, const ConditionValues *values)
{
    if (breakpoint->request.vcpu >= 0 && stop->vcpu->index != (unsigned)breakpoint->request.vcpu) {
        return false;
    }
    if (breakpoint->condition && !condition_holds(breakpoint->condition, stop->vcpu, values)) {
        return false;
    }
    breakpoint->hits++;
    if (take_ignore(breakpoint)) {
        return false;
    }
    if (breakpoint->request.trace) {
        log_hit(breakpoint, stop);
        return false;
    }
    return true;
}

/* Whose a stop is; NULL: a move's. */
static Breakpoint *breakpoint_of(const DebugStop *stop)
{
    const GPtrArray *all = ((Debugger *)stop->client)->breakpoints;

    if (stop->kind == DEBUG_STOP_EVENT) {
        /* It may have been removed since. */
        return g_ptr_array_find((GPtrArray *)all, stop->opaque, NULL) ? stop->opaque : NULL;
    }
    return stop->point ? container_of(stop->point, BreakpointPlace, point)->breakpoint : NULL;
}

/* [vcpu] */
static bool reached(DebugClient *client, const DebugStop *stop)
{
    Breakpoint *breakpoint = breakpoint_of(stop);

    return breakpoint ? breakpoint_holds(
                            breakpoint, stop,
                            &(ConditionValues){ stop->new_value, stop->old_value, stop->address })
                      : move_reached((Debugger *)client, stop);
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

static bool add_place(Breakpoint *breakpoint, uint64_t address, bool physical, GError **error)
{
    const BreakpointRequest *request = &breakpoint->request;
    BreakpointPlace *place = g_new0(BreakpointPlace, 1);

    place->breakpoint = breakpoint;
    place->point = (DebugPoint){ .client = &breakpoint->debugger->client,
                                 .address = address,
                                 .size = request->access & DEBUG_EXECUTE ? 1 : request->size,
                                 .access = request->access,
                                 .physical = physical };
    if (!debug_add_point(breakpoint->debugger->machine, &place->point, error)) {
        g_free(place);
        return false;
    }
    g_ptr_array_add(breakpoint->places, place);
    return true;
}

static unsigned line_addresses(Machine *machine, const char *location, uint64_t *addresses)
{
    g_autofree char *source = NULL;
    const char *colon = strrchr(location, ':');
    unsigned line;

    source = g_strndup(location, (gsize)(colon - location));
    line = (unsigned)g_ascii_strtoull(colon + 1, NULL, 10);
    return symbols_line_addresses(machine, source, &line, addresses, PLACES_MAX);
}

static bool is_name(const char *location)
{
    const char *c = location;

    while (g_ascii_isalnum(*c) || (*c && strchr("_.@!", *c))) {
        c++;
    }
    return !*c && (g_ascii_isalpha(*location) || *location == '_');
}

static bool is_line(const char *location)
{
    const char *colon = strrchr(location, ':');

    return colon && colon != location && g_ascii_isdigit(colon[1]);
}

static bool evaluate(Vcpu *vcpu, const char *text, uint64_t *address, GError **error)
{
    const char *rest = text;

    if (!expression_evaluate(&rest, vcpu, (int64_t *)address, error)) {
        return false;
    }
    while (g_ascii_isspace(*rest)) {
        rest++;
    }
    return !*rest ||
           error_fail(error, KASO_ERROR_INVALID, "'%s': '%s' does not belong", text, rest);
}

/*
 * Where the location is now; *physical: that these are physical addresses. 0: nowhere yet, or never: then with an error. A kernel's code is
 * looked for where it is in RAM, which it keeps through the changes of its paging, KASLR's among them.
 */
static unsigned resolve(Vcpu *vcpu, const char *location, uint64_t *addresses, bool *physical,
                        GError **error)
{
    Symbol symbols[PLACES_MAX];
    unsigned count;

    if (is_line(location)) {
        return line_addresses(vcpu->machine, location, addresses);
    }
    if (!is_name(location)) {
        return evaluate(vcpu, location[0] == '*' ? location + 1 : location, addresses, error);
    }
    count = symbols_find(vcpu->machine, vcpu, location, symbols, PLACES_MAX);
    count = MIN(count, (unsigned)PLACES_MAX);
    *physical = count && symbols_physical(vcpu->machine, &symbols[0], &addresses[0]);
    for (unsigned i = 0; i < count; i++) {
        if (!*physical) {
            addresses[i] = symbols[i].address;
        } else if (!symbols_physical(vcpu->machine, &symbols[i], &addresses[i])) {
            return i;
        }
    }
    return count;
}

/* After changes of the table. */
static void count_pending(Debugger *debugger)
{
    unsigned count = 0;

    for (unsigned i = 0; i < debugger->breakpoints->len; i++) {
        const Breakpoint *breakpoint = g_ptr_array_index(debugger->breakpoints, i);

        count += breakpoint->enabled && breakpoint->pending;
    }
    if (!count != !debugger->pending) {
        debugger->pending = count;
        event_update(debugger);
    }
}

/* It stops nothing any more. */
static void displace(Breakpoint *breakpoint)
{
    if (breakpoint->request.access) {
        remove_places(breakpoint);
    } else {
        event_set(breakpoint, false);
    }
}

static bool place(Breakpoint *breakpoint, Vcpu *vcpu, GError **error)
{
    const char *location = breakpoint->request.location;
    uint64_t addresses[PLACES_MAX];
    bool physical = breakpoint->request.physical;
    GError *failure = NULL;
    unsigned count;

    if (!breakpoint->request.access) {
        event_set(breakpoint, true);
        return true;
    }
    count = resolve(vcpu, location, addresses, &physical, &failure);
    if (failure) {
        g_propagate_error(error, failure);
        return false;
    }
    breakpoint->pending = count == 0;
    for (unsigned i = 0; i < count; i++) {
        if (!add_place(breakpoint, addresses[i], physical, error)) {
            remove_places(breakpoint);
            return false;
        }
    }
    return true;
}

/* Names that are known by now. */
static void place_pending(Debugger *debugger)
{
    Vcpu *vcpu = debugger->machine->vcpus->pdata[0];

    for (unsigned i = 0; i < debugger->breakpoints->len; i++) {
        Breakpoint *breakpoint = g_ptr_array_index(debugger->breakpoints, i);

        if (breakpoint->enabled && breakpoint->pending) {
            place(breakpoint, vcpu, NULL);
        }
    }
    count_pending(debugger);
}

static void stopped(DebugClient *client, const DebugStop *stop)
{
    Debugger *debugger = (Debugger *)client;
    bool ours = stop->client == client;
    /* Unless somebody has paused it since. */
    bool may_go_on = ours && atomic_load(&debugger->machine->stop_reason) == STOP_DEBUG;
    Breakpoint *breakpoint = ours ? breakpoint_of(stop) : NULL;

    if (ours && stop->kind == DEBUG_STOP_EVENT && !breakpoint) {
        symbols_refresh(debugger->machine);
        place_pending(debugger);
        if (may_go_on) {
            machine_start(debugger->machine);
        }
        return;
    }
    if (may_go_on && !breakpoint && move_goes_on(debugger)) {
        return;
    }
    move_end(debugger);
    if (ours) {
        debugger_tell(debugger, stop, breakpoint);
    }
}

static void free_breakpoint(Breakpoint *breakpoint)
{
    g_ptr_array_unref(breakpoint->places);
    condition_free(breakpoint->condition);
    g_free((char *)breakpoint->request.location);
    g_free((char *)breakpoint->request.commands);
    g_free((char *)breakpoint->request.event_who);
    g_free((char *)breakpoint->request.event_name);
    g_free(breakpoint);
}

static void free_debugger(void *opaque)
{
    Debugger *debugger = opaque;

    for (unsigned i = 0; i < debugger->breakpoints->len; i++) {
        free_breakpoint(debugger->breakpoints->pdata[i]);
    }
    g_ptr_array_unref(debugger->breakpoints);
    g_ptr_array_unref(debugger->events);
    g_mutex_clear(&debugger->lock);
    g_free(debugger);
}

/* Names may mean other places now: a kernel was found, a module loaded; or none, after a reset: then they wait. */
static void symbols_changed(void *opaque)
{
    Debugger *debugger = opaque;

    for (unsigned i = 0; i < debugger->breakpoints->len; i++) {
        Breakpoint *breakpoint = g_ptr_array_index(debugger->breakpoints, i);
        const char *location = breakpoint->request.location;

        if (breakpoint->enabled && breakpoint->request.access &&
            (is_name(location) || is_line(location))) {
            remove_places(breakpoint);
            place(breakpoint, debugger->machine->vcpus->pdata[0], NULL);
        }
    }
    count_pending(debugger);
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
        g_mutex_init(&debugger->lock);
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
    breakpoint->request.condition = NULL;
    breakpoint->places = g_ptr_array_new_with_free_func(g_free);
    breakpoint->enabled = true;
    if ((request->condition &&
         !(breakpoint->condition = condition_compile(request->condition, vcpu, error))) ||
        !place(breakpoint, vcpu, error)) {
        free_breakpoint(breakpoint);
        return NULL;
    }
    breakpoint->number = debugger->next_number++;
    g_ptr_array_add(debugger->breakpoints, breakpoint);
    count_pending(debugger);
    return breakpoint;
}

void breakpoint_remove(Breakpoint *breakpoint)
{
    Debugger *debugger = breakpoint->debugger;

    displace(breakpoint);
    g_ptr_array_remove(debugger->breakpoints, breakpoint);
    free_breakpoint(breakpoint);
    count_pending(debugger);
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

bool breakpoint_set_condition(Breakpoint *breakpoint, Vcpu *vcpu, const char *text, GError **error)
{
    Condition *condition = text && *text ? condition_compile(text, vcpu, error) : NULL, *old;

    if (text && *text && !condition) {
        return false;
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
    if (!enabled) {
        displace(breakpoint);
    } else if (!place(breakpoint, breakpoint->debugger->machine->vcpus->pdata[0], error)) {
        breakpoint->enabled = false;
    }
    count_pending(breakpoint->debugger);
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

        g_array_append_val(addresses, at->point.address);
    }
    return addresses;
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
