/* SPDX-License-Identifier: MIT */
/* What viewers pass on: pixels that the guest finds again, keys and buttons that do not stay down. */
#include "machine/machine.h"
#include "ui/seat.h"

typedef struct {
    int x, y, dx, dy;
    unsigned keys_down, buttons_down;
} Guest;

static void take(void *opaque, const InputEvent *event)
{
    Guest *guest = opaque;

    switch (event->kind) {
    case INPUT_ABSOLUTE:
        *(event->code == INPUT_X ? &guest->x : &guest->y) = event->value;
        break;
    case INPUT_RELATIVE:
        *(event->code == INPUT_X ? &guest->dx : &guest->dy) += event->value;
        break;
    case INPUT_KEY:
        guest->keys_down += event->value ? 1 : -1u;
        break;
    default:
        guest->buttons_down += event->value ? 1 : -1u;
    }
}

static const InputHandlerType tablet = { "tablet", INPUT_ABSOLUTE | INPUT_BUTTON, take, NULL,
                                         NULL };
static const InputHandlerType mouse = { "mouse", INPUT_RELATIVE | INPUT_BUTTON, take, NULL, NULL };
static const InputHandlerType keyboard = { "keyboard", INPUT_KEY, take, NULL, NULL };

static Machine *new_machine(void)
{
    MachineConfig config = { .start_paused = true };
    Machine *machine = machine_new(&config);

    g_assert_true(machine_build(machine, NULL));
    machine_lock(machine);
    return machine;
}

/* Whether it rounds down or to the nearest, by size or by size - 1: the guest is at most a pixel off, and right as libinput does it. */
static void test_pixels(void)
{
    static const int sizes[] = { 1, 2, 3, 640, 800, 1023, 1024, 1366, 1920, 3840, 7680 };
    Machine *machine = new_machine();
    Guest guest = { 0 };
    InputHandler handler = { 0 };
    Seat seat;

    input_add_handler(&handler, machine, &tablet, &guest);
    seat_init(&seat, machine);
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        int size = sizes[i];

        for (int x = 0; x < size; x++) {
            seat_move_to(&seat, x, size - 1 - x, size, size);
            g_assert_cmpint((int)((int64_t)guest.x * size / 32768), ==, x);
            g_assert_cmpint((int)((int64_t)guest.y * size / 32768), ==, size - 1 - x);
            g_assert_cmpint(ABS((int)((int64_t)guest.x * (size - 1) / 32767) - x), <=, 1);
        }
    }
    seat_move_to(&seat, -5, 5000, 100, 100);
    g_assert_cmpint(guest.x * 100 / 32768, ==, 0);
    g_assert_cmpint(guest.y * 100 / 32768, ==, 99);
    input_remove_handler(&handler);
    machine_unlock(machine);
    machine_free(machine);
}

static void test_release(void)
{
    Machine *machine = new_machine();
    Guest guest = { 0 };
    InputHandler handlers[2] = { { 0 } };
    Seat seat;

    input_add_handler(&handlers[0], machine, &mouse, &guest);
    input_add_handler(&handlers[1], machine, &keyboard, &guest);
    seat_init(&seat, machine);
    for (unsigned code = 1; code < 2000; code += 7) {
        seat_key(&seat, code, true);
    }
    seat_buttons(&seat, 5);
    g_assert_cmpuint(guest.keys_down, >, 100);
    g_assert_cmpuint(guest.buttons_down, ==, 2);
    seat_key(&seat, 2, false); /* was not down */
    seat_release(&seat);
    g_assert_cmpuint(guest.keys_down, ==, 0);
    g_assert_cmpuint(guest.buttons_down, ==, 0);
    /* A mouse's first place is where movements begin. */
    seat_move_to(&seat, 10, 10, 100, 100);
    g_assert_cmpint(guest.dx, ==, 0);
    seat_move_to(&seat, 13, 6, 100, 100);
    g_assert_cmpint(guest.dx, ==, 3);
    g_assert_cmpint(guest.dy, ==, -4);
    input_remove_handler(&handlers[0]);
    input_remove_handler(&handlers[1]);
    machine_unlock(machine);
    machine_free(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/seat/pixels", test_pixels);
    g_test_add_func("/seat/release", test_release);
    return g_test_run();
}
