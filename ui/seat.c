/* SPDX-License-Identifier: MIT */
#include "ui/seat.h"

#include <string.h>

/* Linux's codes. */
enum {
    KEY_LEFT_CONTROL = 29,
    KEY_LEFT_SHIFT = 42,
    KEY_RIGHT_SHIFT = 54,
    KEY_LEFT_ALT = 56,
    KEY_RIGHT_CONTROL = 97,
    KEY_RIGHT_ALT = 100,
};

void seat_init(Seat *seat, Machine *machine)
{
    *seat = (Seat){ .machine = machine, .x = -1, .y = -1 };
}

static void send(Seat *seat, InputKind kind, unsigned code, int value)
{
    InputEvent event = { kind, (uint16_t)code, value };

    input_send_from(seat->machine, seat->display, &event);
}

void seat_sync(Seat *seat)
{
    input_sync(seat->machine);
}

bool seat_takes_text(const Seat *seat)
{
    return seat->display && display_takes_text(seat->display);
}

void seat_release(Seat *seat)
{
    for (unsigned code = 0; code < SEAT_KEYS; code++) {
        if (seat_is_held(seat, code)) {
            seat_key(seat, code, false);
        }
    }
    seat_buttons(seat, 0);
    seat_sync(seat);
}

void seat_set_display(Seat *seat, Display *display)
{
    if (seat->display != display) {
        seat_release(seat);
        seat->display = display;
        seat->x = seat->y = -1;
    }
}

bool seat_is_held(const Seat *seat, unsigned code)
{
    return code < SEAT_KEYS && seat->held[code / 8] >> code % 8 & 1;
}

void seat_key(Seat *seat, unsigned code, bool down)
{
    if (code >= SEAT_KEYS || (!down && !seat_is_held(seat, code))) {
        return;
    }
    if (down) {
        seat->held[code / 8] |= (uint8_t)(1u << code % 8);
    } else {
        seat->held[code / 8] &= (uint8_t) ~(1u << code % 8);
    }
    if (!seat_takes_text(seat)) {
        send(seat, INPUT_KEY, code, down);
    }
}

bool seat_has_control(const Seat *seat)
{
    return seat_is_held(seat, KEY_LEFT_CONTROL) || seat_is_held(seat, KEY_RIGHT_CONTROL);
}

bool seat_has_alt(const Seat *seat)
{
    return seat_is_held(seat, KEY_LEFT_ALT);
}

bool seat_has_shift(const Seat *seat)
{
    return seat_is_held(seat, KEY_LEFT_SHIFT) || seat_is_held(seat, KEY_RIGHT_SHIFT);
}

void seat_type(Seat *seat, uint32_t key)
{
    if (!seat_takes_text(seat)) {
        return;
    }
    if (seat_has_control(seat) && key >= '@' && key < 0x7f) {
        key &= 0x1f;
    } else if (seat_has_shift(seat) && key == DISPLAY_KEY_PAGE_UP) {
        key = DISPLAY_KEY_SCROLL_UP;
    } else if (seat_has_shift(seat) && key == DISPLAY_KEY_PAGE_DOWN) {
        key = DISPLAY_KEY_SCROLL_DOWN;
    }
    display_type(seat->display, key);
}

void seat_buttons(Seat *seat, unsigned buttons)
{
    unsigned changed = (buttons ^ seat->buttons) & ((1u << INPUT_BUTTON_COUNT) - 1);

    seat->buttons = buttons;
    for (unsigned i = 0; changed; i++, changed >>= 1) {
        if (!(changed & 1)) {
            continue;
        }
        if (!seat_takes_text(seat)) {
            send(seat, INPUT_BUTTON, i, buttons >> i & 1);
        } else if (buttons >> i & 1 && (i == INPUT_WHEEL_UP || i == INPUT_WHEEL_DOWN)) {
            display_type(seat->display,
                         i == INPUT_WHEEL_UP ? DISPLAY_KEY_SCROLL_UP : DISPLAY_KEY_SCROLL_DOWN);
        }
    }
}

bool seat_is_absolute(const Seat *seat)
{
    return input_is_absolute(seat->machine, seat->display);
}

/* The middle of a pixel, so that the guest finds the same one whichever way it rounds. */
static int scale(int at, int size)
{
    int64_t value = (2 * (int64_t)at + 1) * (INPUT_ABSOLUTE_MAX + 1) / (2 * (int64_t)size);

    return (int)CLAMP(value, 0, INPUT_ABSOLUTE_MAX);
}

void seat_move_to(Seat *seat, int x, int y, int width, int height)
{
    if (width <= 0 || height <= 0) {
        return;
    }
    x = CLAMP(x, 0, width - 1);
    y = CLAMP(y, 0, height - 1);
    if (seat_is_absolute(seat)) {
        if (!seat_takes_text(seat)) {
            send(seat, INPUT_ABSOLUTE, INPUT_X, scale(x, width));
            send(seat, INPUT_ABSOLUTE, INPUT_Y, scale(y, height));
        }
    } else if (seat->x >= 0) {
        seat_move_by(seat, x - seat->x, y - seat->y);
    }
    seat->x = x;
    seat->y = y;
}

void seat_move_by(Seat *seat, int dx, int dy)
{
    if (seat_takes_text(seat)) {
        return;
    }
    if (dx) {
        send(seat, INPUT_RELATIVE, INPUT_X, dx);
    }
    if (dy) {
        send(seat, INPUT_RELATIVE, INPUT_Y, dy);
    }
}

Display *seat_console(Machine *machine, unsigned index)
{
    GPtrArray *displays = machine_displays(machine);

    return index < displays->len ? displays->pdata[index] : NULL;
}

char *seat_title(Machine *machine, const Display *display)
{
    const char *name = machine->config.name;
    GString *title = g_string_new("Kaso");

    if (name) {
        g_string_append_printf(title, " (%s)", name);
    }
    if (!display || !display_device(display) || display != seat_console(machine, 0)) {
        g_autofree char *label = display ? display_label(display) : g_strdup("no display");

        g_string_append_printf(title, ": %s", label);
    }
    return g_string_free(title, false);
}

unsigned seat_console_number(const Display *display)
{
    GPtrArray *displays = machine_displays(display_machine(display));
    guint index = 0;

    g_ptr_array_find(displays, display, &index);
    return index + 1;
}
