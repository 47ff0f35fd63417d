/* SPDX-License-Identifier: MIT */
/*
 * Events on the translation of an address: the entries of the tables on its way are watched, and the registers that say where the tables
 * are. When one is written the machine stops for a moment, and the way is gone again. What the processor itself notes in entries (accessed,
 * dirty) is no change.
 */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "machine/page-walk.h"
#include "monitor/debugger/location.h"
#include "monitor/debugger/private.h"

typedef struct TranslationWatch {
    uint64_t address;
    PageWalk walk; /* as it was looked at last */
} TranslationWatch;

static void walk(const Breakpoint *breakpoint, PageWalk *now)
{
    Vcpu *vcpu = breakpoint->of;

    memset(now, 0, sizeof *now);
    now->address = breakpoint->translation->address;
    vcpu->target->walk_page(vcpu, now->address, now);
}

/* Whether they lead to the same place with the same rights. */
static bool is_same(const PageWalk *a, const PageWalk *b)
{
    return a->mapped == b->mapped &&
           (!a->mapped || (a->guest_phys == b->guest_phys &&
                           memcmp(a->allowed, b->allowed, sizeof a->allowed) == 0));
}

static bool is_same_way(const PageWalk *a, const PageWalk *b)
{
    bool same = a->count == b->count;

    for (unsigned i = 0; same && i < a->count; i++) {
        same = a->steps[i].at == b->steps[i].at;
    }
    return same;
}

bool translation_differs(const Breakpoint *breakpoint)
{
    g_autofree PageWalk *now = g_new(PageWalk, 1);

    walk(breakpoint, now);
    return !is_same(now, &breakpoint->translation->walk) ||
           !is_same_way(now, &breakpoint->translation->walk);
}

static void remove_points(Breakpoint *breakpoint)
{
    while (breakpoint->places->len) {
        unsigned last = breakpoint->places->len - 1;
        BreakpointPlace *place = g_ptr_array_index(breakpoint->places, last);

        debug_remove_point(breakpoint->debugger->machine, &place->point);
        g_ptr_array_set_size(breakpoint->places, (int)last);
    }
}

static bool add_points(Breakpoint *breakpoint, GError **error)
{
    const PageWalk *way = &breakpoint->translation->walk;

    for (unsigned i = 0; i < way->count; i++) {
        const PageWalkStep *step = &way->steps[i];
        BreakpointPlace *place = g_new0(BreakpointPlace, 1);

        place->breakpoint = breakpoint;
        place->shown = step->at;
        place->point = (DebugPoint){ .client = &breakpoint->debugger->client,
                                     .address = step->at,
                                     .size = step->bytes ? step->bytes : 8,
                                     .access = DEBUG_WRITE,
                                     .physical = true };
        if (!debug_add_point(breakpoint->debugger->machine, &place->point, error)) {
            g_free(place);
            return false;
        }
        g_ptr_array_add(breakpoint->places, place);
    }
    return true;
}

static bool is_nested(const PageWalk *way)
{
    bool nested = false;

    for (unsigned i = 0; i < way->count; i++) {
        nested |= way->steps[i].stage != 1;
    }
    return nested;
}

bool translation_set(Breakpoint *breakpoint, Vcpu *vcpu, GError **error)
{
    const GPtrArray *vcpus = breakpoint->debugger->machine->vcpus;
    int wanted = breakpoint->request.vcpu;
    TranslationWatch *watch;
    uint64_t last;

    if (!debug_can_tell(vcpu->machine, DEBUG_PAGING, error)) {
        return false;
    }
    if (!vcpu->target->walk_page) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "this target does not tell of its tables");
    }
    watch = g_new0(TranslationWatch, 1);
    if (!location_parse_range(breakpoint->request.event_range, 1, vcpu, &watch->address, &last,
                              error)) {
        g_free(watch);
        return false;
    }
    breakpoint->translation = watch;
    breakpoint->of = wanted >= 0 && (unsigned)wanted < vcpus->len ? vcpus->pdata[wanted] : vcpu;
    machine_exclusive_begin(vcpu->machine);
    walk(breakpoint, &watch->walk);
    machine_exclusive_end(vcpu->machine);
    if (is_nested(&watch->walk)) {
        translation_clear(breakpoint);
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "cpu%u runs a virtual machine, whose tables are not watched",
                          breakpoint->of ? breakpoint->of->index : 0);
    }
    if (!add_points(breakpoint, error)) {
        translation_clear(breakpoint);
        return false;
    }
    return true;
}

void translation_clear(Breakpoint *breakpoint)
{
    remove_points(breakpoint);
    g_clear_pointer(&breakpoint->translation, g_free);
    breakpoint->of = NULL;
}

bool translation_look(Breakpoint *breakpoint, DebugStop *stop)
{
    TranslationWatch *watch = breakpoint->translation;
    Vcpu *vcpu = stop->vcpu ? stop->vcpu : breakpoint->of;
    g_autofree PageWalk *before = g_memdup2(&watch->walk, sizeof watch->walk);
    ConditionValues values;

    walk(breakpoint, &watch->walk);
    if (!is_same_way(before, &watch->walk)) {
        remove_points(breakpoint);
        add_points(breakpoint, NULL);
    }
    if (is_same(before, &watch->walk)) {
        return false;
    }
    *stop = (DebugStop){ .kind = DEBUG_STOP_EVENT,
                         .client = stop->client,
                         .vcpu = vcpu,
                         .pc = vcpu->target->get_pc(vcpu),
                         .event = { .kind = DEBUG_TRANSLATION,
                                    .write = true,
                                    .number = watch->address,
                                    .value = watch->walk.mapped ? watch->walk.guest_phys
                                                                : UINT64_MAX } };
    values = (ConditionValues){ .value = stop->event.value, .address = stop->event.number };
    return breakpoint_holds(breakpoint, stop, &values);
}
