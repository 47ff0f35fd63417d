/* SPDX-License-Identifier: MIT */
/* Events that can never come are refused: an exception that the processor does not have, a register that no device has. */
#include <fnmatch.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/names.h"
#include "machine/chardev.h"
#include "machine/device.h"
#include "machine/display.h"
#include "machine/event-names.h"
#include "monitor/debugger/private.h"

/* More are not listed, the nearest one is. */
enum { LISTED_MAX = 40 };

static bool any_fits(const GPtrArray *names, const char *pattern)
{
    for (guint i = 0; i < names->len; i++) {
        if (fnmatch(pattern, names->pdata[i], FNM_CASEFOLD) == 0) {
            return true;
        }
    }
    return false;
}

/* "; there are a, b, c", or "; did you mean 'b'?" of many. Caller frees. */
static char *suggest(GPtrArray *names, const char *name)
{
    char *text, *list;

    g_ptr_array_add(names, NULL);
    if (names->len > LISTED_MAX) {
        text = names_suggest(name, (const char *const *)names->pdata);
    } else {
        list = g_strjoinv(", ", (char **)names->pdata);
        text = names->len > 1 ? g_strdup_printf("; there are %s", list) : g_strdup("");
        g_free(list);
    }
    g_ptr_array_set_size(names, (gint)names->len - 1);
    return text;
}

/* --- what processors tell ----------------------------------------------------------------------- */

static bool is_of(const EventNames *names, const Target *target)
{
    for (unsigned i = 0; i < EVENT_TARGETS_MAX && names->targets[i]; i++) {
        if (!strcmp(names->targets[i], target->name)) {
            return true;
        }
    }
    return false;
}

/* false: none of the target's events is of the kind. *numbers: how many, 0: any. */
static bool collect(Vcpu *vcpu, DebugEventKind kind, GPtrArray *names, uint64_t *numbers)
{
    const EventNames *const *it;
    bool found = false;
    const char *name;

    *numbers = UINT64_MAX;
    REGISTRY_FOREACH(event_names, it) {
        if ((*it)->kind != kind || !is_of(*it, vcpu->target)) {
            continue;
        }
        found = true;
        *numbers = (*it)->numbers ? MIN(*numbers, (*it)->numbers) : *numbers;
        for (unsigned i = 0; (*it)->name && (name = (*it)->name(i)); i++) {
            if (*name) {
                g_ptr_array_add(names, (char *)name);
            }
        }
    }
    for (unsigned i = 0;
         kind == DEBUG_REGISTER && (name = machine_external_register_name(vcpu->machine, i)); i++) {
        g_ptr_array_add(names, (char *)name);
    }
    return found;
}

static bool check_processor(const BreakpointRequest *request, Vcpu *vcpu, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const char *kind = event_kind_name(request->event), *name = request->event_name;
    g_autofree char *others = NULL;
    uint64_t numbers;

    if (!collect(vcpu, request->event, names, &numbers)) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "%s has no event '%s'", vcpu->target->name,
                          kind);
    }
    if (name && !any_fits(names, name)) {
        others = suggest(names, name);
        return error_fail(error, KASO_ERROR_NOT_FOUND, "'%s' is no %s of %s%s", name, kind,
                          vcpu->target->name, names->len ? others : "; give its number");
    }
    if (!request->event_any_number && numbers == 1) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%s %" PRIu64 ": it has no number; give its name", kind,
                          request->event_number);
    }
    if (!request->event_any_number && request->event_number >= numbers) {
        return error_fail(error, KASO_ERROR_NOT_FOUND,
                          "%" PRIu64 " is no %s of %s; the last number is %" PRIu64,
                          request->event_number, kind, vcpu->target->name, numbers - 1);
    }
    return true;
}

/* --- what devices tell --------------------------------------------------------------------------- */

static void add_registers(GPtrArray *names, const DeviceType *type)
{
    for (const RegisterBank *bank = type->banks; bank && bank->name; bank++) {
        for (const Register *reg = bank->registers; reg->name; reg++) {
            g_ptr_array_add(names, g_strdup_printf("%s.%s", type->name, reg->name));
        }
    }
}

/* Of all types: one that is not in the machine may be plugged in later. */
static bool check_device(const BreakpointRequest *request, Vcpu *vcpu, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *wanted = g_strdup_printf("%s.%s", request->event_who, request->event_name);
    g_autofree char *others = NULL;
    const DeviceType *const *type;

    REGISTRY_FOREACH(device_types, type) {
        add_registers(names, *type);
    }
    if (any_fits(names, wanted)) {
        return true;
    }
    others = suggest(names, wanted);
    return error_fail(error, KASO_ERROR_NOT_FOUND,
                      "no device has a register '%s', as TYPE.REGISTER%s", wanted, others);
}

static void add_id(Device *device, void *opaque)
{
    if (device->id) {
        g_ptr_array_add(opaque, (char *)device->id);
    }
}

static bool check_dma(const BreakpointRequest *request, Vcpu *vcpu, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *others = NULL;
    const DeviceType *const *type;

    if (!request->event_who) {
        return true;
    }
    device_foreach(vcpu->machine->root, add_id, names);
    REGISTRY_FOREACH(device_types, type) {
        g_ptr_array_add(names, (char *)(*type)->name);
    }
    if (any_fits(names, request->event_who)) {
        return true;
    }
    others = suggest(names, request->event_who);
    return error_fail(error, KASO_ERROR_NOT_FOUND, "no device has the type or the id '%s'%s",
                      request->event_who, others);
}

static bool check_console(const BreakpointRequest *request, Vcpu *vcpu, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const GPtrArray *chardevs = machine_chardevs(vcpu->machine);
    const GPtrArray *displays = machine_displays(vcpu->machine);
    g_autofree char *others = NULL;

    for (guint i = 0; i < chardevs->len; i++) {
        g_ptr_array_add(names, g_strdup(((const Chardev *)chardevs->pdata[i])->id));
    }
    for (guint i = 0; i < displays->len; i++) {
        g_ptr_array_add(names, display_label(displays->pdata[i]));
    }
    if (!request->event_who || any_fits(names, request->event_who)) {
        return true;
    }
    others = suggest(names, request->event_who);
    return error_fail(error, KASO_ERROR_NOT_FOUND, "there is no console '%s'%s", request->event_who,
                      others);
}

typedef bool Check(const BreakpointRequest *request, Vcpu *vcpu, GError **error);

bool event_may_come(const BreakpointRequest *request, Vcpu *vcpu, GError **error)
{
    static Check *const checks[DEBUG_EVENT_KINDS] = {
        [DEBUG_EXCEPTION] = check_processor,     [DEBUG_INTERRUPT] = check_processor,
        [DEBUG_MODE] = check_processor,          [DEBUG_REGISTER] = check_processor,
        [DEBUG_FIRMWARE_CALL] = check_processor, [DEBUG_PORT] = check_processor,
        [DEBUG_DEVICE] = check_device,           [DEBUG_DMA] = check_dma,
        [DEBUG_CONSOLE] = check_console,
    };

    return !checks[request->event] || checks[request->event](request, vcpu, error);
}
