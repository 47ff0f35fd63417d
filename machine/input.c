/* SPDX-License-Identifier: MIT */
/* Who gets input events, and keys that are typed with pauses. */
#include "machine/input.h"

#include "machine/display.h"
#include "machine/private.h"

#define NS_PER_MS INT64_C(1000000)
enum { TYPED_MAX = 1024 };

/* An event to come, or a pause. */
typedef struct {
    InputEvent event;
    unsigned pause_ms; /* not 0: this is one */
} Typed;

struct InputState {
    GPtrArray *handlers; /* InputHandler *, the next to get events first */
    unsigned next_number;
    GArray *typed; /* Typed, the oldest first */
    Timer timer;   /* the pause that runs */
};

const char *const input_button_names[INPUT_BUTTON_COUNT + 1] = {
    [INPUT_LEFT] = "left",
    [INPUT_MIDDLE] = "middle",
    [INPUT_RIGHT] = "right",
    [INPUT_WHEEL_UP] = "wheel-up",
    [INPUT_WHEEL_DOWN] = "wheel-down",
    [INPUT_SIDE] = "side",
    [INPUT_EXTRA] = "extra",
    [INPUT_WHEEL_LEFT] = "wheel-left",
    [INPUT_WHEEL_RIGHT] = "wheel-right",
    [INPUT_TOUCH] = "touch",
};

static void free_state(void *opaque)
{
    InputState *state = opaque;

    timer_cancel(&state->timer);
    for (guint i = 0; i < state->handlers->len; i++) {
        ((InputHandler *)state->handlers->pdata[i])->machine = NULL; /* its owner ends later */
    }
    g_ptr_array_unref(state->handlers);
    g_array_unref(state->typed);
    g_free(state);
}

/* Sends what was typed up to the next pause. */
static void send_typed(void *opaque)
{
    Machine *machine = opaque;
    InputState *state = machine->private->input;

    while (state->typed->len) {
        Typed typed = g_array_index(state->typed, Typed, 0);

        g_array_remove_index(state->typed, 0);
        if (typed.pause_ms) {
            timer_arm(&state->timer, clock_now_ns(machine) + typed.pause_ms * NS_PER_MS);
            return;
        }
        input_send(machine, &typed.event);
        input_sync(machine);
    }
}

static InputState *state_of(Machine *machine)
{
    InputState *state = machine->private->input;

    if (!state) {
        state = machine->private->input = g_new0(InputState, 1);
        state->handlers = g_ptr_array_new();
        state->typed = g_array_new(FALSE, FALSE, sizeof(Typed));
        timer_init(&state->timer, machine, send_typed, machine);
        machine_on_free(machine, free_state, state);
    }
    return state;
}

void input_add_handler(InputHandler *handler, Machine *machine, const InputHandlerType *type,
                       void *opaque)
{
    InputState *state = state_of(machine);

    *handler = (InputHandler){
        .type = type, .opaque = opaque, .machine = machine, .number = state->next_number++
    };
    g_ptr_array_insert(state->handlers, 0, handler);
}

void input_remove_handler(InputHandler *handler)
{
    if (handler->machine) {
        g_ptr_array_remove(state_of(handler->machine)->handlers, handler);
        handler->machine = NULL;
    }
}

void input_activate_handler(InputHandler *handler)
{
    GPtrArray *handlers = state_of(handler->machine)->handlers;

    g_ptr_array_remove(handlers, handler);
    g_ptr_array_insert(handlers, 0, handler);
}

void input_deactivate_handler(InputHandler *handler)
{
    GPtrArray *handlers = state_of(handler->machine)->handlers;

    g_ptr_array_remove(handlers, handler);
    g_ptr_array_add(handlers, handler);
}

bool input_set_display(InputHandler *handler, const char *device, unsigned head, GError **error)
{
    handler->display = device ? display_find(handler->machine, device, head, error) : NULL;
    return !device || handler->display;
}

InputHandler *input_find_handler_of(Machine *machine, const Display *from, unsigned kinds)
{
    GPtrArray *handlers = state_of(machine)->handlers;
    InputHandler *any = NULL;

    for (unsigned i = 0; i < handlers->len; i++) {
        InputHandler *handler = handlers->pdata[i];

        if (handler->type->kinds & kinds) {
            if (from && handler->display == from) {
                return handler;
            }
            any = any || handler->display ? any : handler;
        }
    }
    return any;
}

InputHandler *input_find_handler(Machine *machine, InputKind kind)
{
    return input_find_handler_of(machine, NULL, kind);
}

bool input_is_absolute(Machine *machine, const Display *from)
{
    const InputHandler *handler =
        input_find_handler_of(machine, from, INPUT_ABSOLUTE | INPUT_RELATIVE);

    return handler && handler->type->kinds & INPUT_ABSOLUTE;
}

unsigned input_leds(Machine *machine, const Display *from)
{
    const InputHandler *handler = input_find_handler_of(machine, from, INPUT_KEY);

    return handler && handler->type->leds ? handler->type->leds(handler->opaque) : 0;
}

void input_foreach_handler(Machine *machine, void (*fn)(InputHandler *handler, void *opaque),
                           void *opaque)
{
    g_ptr_array_foreach(state_of(machine)->handlers, (GFunc)(void (*)(void))fn, opaque);
}

bool input_send_from(Machine *machine, const Display *from, const InputEvent *event)
{
    InputHandler *handler = input_find_handler_of(machine, from, event->kind);

    if (event->kind & (INPUT_KEY | INPUT_BUTTON) && event->value) {
        machine_request_wakeup(machine, WAKE_OTHER);
    }
    if (!handler) {
        return false;
    }
    handler->type->event(handler->opaque, event);
    handler->pending = true;
    return true;
}

bool input_send(Machine *machine, const InputEvent *event)
{
    return input_send_from(machine, NULL, event);
}

void input_sync(Machine *machine)
{
    GPtrArray *handlers = state_of(machine)->handlers, *displays = machine_displays(machine);

    for (guint i = 0; i < displays->len; i++) {
        display_expect(displays->pdata[i]);
    }

    for (unsigned i = 0; i < handlers->len; i++) {
        InputHandler *handler = handlers->pdata[i];

        if (handler->pending) {
            handler->pending = false;
            if (handler->type->sync) {
                handler->type->sync(handler->opaque);
            }
        }
    }
}

static void type_key(InputState *state, uint16_t code, bool down, unsigned hold_ms)
{
    Typed key = { { INPUT_KEY, code, down }, 0 }, pause = { .pause_ms = hold_ms };

    g_array_append_val(state->typed, key);
    if (hold_ms) {
        g_array_append_val(state->typed, pause);
    }
}

bool input_type_keys(Machine *machine, const uint16_t *codes, unsigned count, unsigned hold_ms)
{
    InputState *state = state_of(machine);

    if (state->typed->len + 4 * (uint64_t)count > TYPED_MAX) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        type_key(state, codes[i], true, hold_ms);
    }
    for (unsigned i = count; i-- > 0;) {
        type_key(state, codes[i], false, hold_ms);
    }
    if (!timer_is_armed(&state->timer)) {
        send_typed(machine);
    }
    return true;
}
