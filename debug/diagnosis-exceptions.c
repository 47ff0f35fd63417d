/* SPDX-License-Identifier: MIT */
/* Exceptions while a guest is watched; see the header. */
#include "debug/diagnosis-exceptions.h"

#include <inttypes.h>
#include <string.h>

#include "debug/diagnosis-private.h"
#include "machine/arch/x86-processor.h"

/* So many are a storm, if nearly all are of one kind and place: a guest that works has other things to do. */
enum {
    STORM_COUNT = 100,
    STORM_SHARE_PERCENT = 80,
    X86_EXCEPTIONS = 32,
    ARM_SVC = 0x15,
    ARM_HVC = 0x16
};

/* System calls and breakpoints of a program's own making are none. */
static bool is_call(const Vcpu *vcpu, const DebugEvent *event)
{
    return vcpu->target->x86 ? event->number >= X86_EXCEPTIONS
                             : event->number == ARM_SVC || event->number == ARM_HVC;
}

static void count_exception(ExceptionWatch *watch, const Vcpu *vcpu, const DebugEvent *event)
{
    unsigned i = 0, count = watch->cpus[vcpu->index].count;
    ExceptionPlace *places = watch->cpus[vcpu->index].places;

    watch->cpus[vcpu->index].all++;
    while (i < count && (places[i].number != event->number || places[i].from != event->from ||
                         places[i].address != event->address)) {
        i++;
    }
    if (i == count) {
        if (i == EXCEPTION_PLACES_MAX) {
            return;
        }
        places[i] = (ExceptionPlace){ event->name, event->number,  event->value,
                                      event->from, event->address, 0 };
        watch->cpus[vcpu->index].count++;
    }
    places[i].count++;
}

static void note_triple_fault(ExceptionWatch *watch, Vcpu *vcpu, const DebugEvent *event)
{
    X86Hidden hidden;

    watch->triple_fault = true;
    watch->triple =
        (ExceptionPlace){ event->name, event->number, 0, event->from, event->address, 1 };
    vcpu->target->x86->get_hidden(vcpu, &hidden);
    watch->idt = hidden.idtr.base;
    watch->idt_limit = hidden.idtr.limit;
}

/* On the vCPU's thread. */
static bool happened(DebugClient *client, Vcpu *vcpu, const DebugEvent *event, void **opaque)
{
    ExceptionWatch *watch = container_of(client, ExceptionWatch, client);

    if (!vcpu || vcpu->index >= EXCEPTION_CPUS_MAX) {
        return false;
    }
    g_mutex_lock(&watch->lock);
    if (event->kind == DEBUG_TRIPLE_FAULT) {
        note_triple_fault(watch, vcpu, event);
    } else if (watch->watching && !is_call(vcpu, event)) {
        count_exception(watch, vcpu, event);
    }
    g_mutex_unlock(&watch->lock);
    return false;
}

void exception_watch_create(ExceptionWatch *watch, Machine *machine)
{
    watch->client = (DebugClient){ .name = "diagnosis", .happened = happened };
    g_mutex_init(&watch->lock);
    debug_add_client(machine, &watch->client);
    debug_want(&watch->client, 1u << DEBUG_TRIPLE_FAULT);
}

void exception_watch_destroy(ExceptionWatch *watch)
{
    debug_remove_client(&watch->client);
    g_mutex_clear(&watch->lock);
}

void exception_watch_begin(ExceptionWatch *watch)
{
    g_mutex_lock(&watch->lock);
    memset(watch->cpus, 0, sizeof watch->cpus);
    watch->watching = true;
    g_mutex_unlock(&watch->lock);
    debug_want(&watch->client, 1u << DEBUG_TRIPLE_FAULT | 1u << DEBUG_EXCEPTION);
}

void exception_watch_end(ExceptionWatch *watch)
{
    debug_want(&watch->client, 1u << DEBUG_TRIPLE_FAULT);
    g_mutex_lock(&watch->lock);
    watch->watching = false;
    g_mutex_unlock(&watch->lock);
}

bool exception_watch_storm(ExceptionWatch *watch, const Vcpu *vcpu, ExceptionPlace *place)
{
    unsigned all;

    *place = (ExceptionPlace){ 0 };
    if (vcpu->index >= EXCEPTION_CPUS_MAX) {
        return false;
    }
    g_mutex_lock(&watch->lock);
    all = watch->cpus[vcpu->index].all;
    for (unsigned i = 0; i < watch->cpus[vcpu->index].count; i++) {
        if (watch->cpus[vcpu->index].places[i].count > place->count) {
            *place = watch->cpus[vcpu->index].places[i];
        }
    }
    g_mutex_unlock(&watch->lock);
    return all >= STORM_COUNT && place->count >= all / 100 * STORM_SHARE_PERCENT;
}

char *exception_watch_triple_fault(ExceptionWatch *watch)
{
    GString *text;

    g_mutex_lock(&watch->lock);
    if (!watch->triple_fault) {
        g_mutex_unlock(&watch->lock);
        return NULL;
    }
    text = g_string_new(NULL);
    g_string_append_printf(
        text, "The triple fault began with exception %" PRIu64 " (%s) at %#" PRIx64,
        watch->triple.number, diagnosis_x86_exception((unsigned)watch->triple.number),
        watch->triple.from);
    if (watch->triple.number == 14) {
        g_string_append_printf(text, ", an access to %#" PRIx64, watch->triple.address);
    }
    g_string_append_printf(
        text, "; the handler was not entered: the IDT is at %#" PRIx64 " with limit %#x%s",
        watch->idt, watch->idt_limit,
        watch->idt_limit < watch->triple.number * 8 ? ", which has no entry for it" : "");
    g_mutex_unlock(&watch->lock);
    return g_string_free(text, FALSE);
}
