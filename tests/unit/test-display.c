/* SPDX-License-Identifier: MIT */
/* The display core: who is told what, pace, cursors, wishes, text consoles; input of several seats. */
#include <string.h>

#include "machine/display.h"
#include "machine/input.h"
#include "machine/machine.h"

typedef struct {
    Display *display;
    unsigned updates, whole, watched, unwatched;
    DisplayInfo wish;
    uint32_t key;
} Card;

static void update(void *opaque, bool whole)
{
    Card *card = opaque;

    card->updates++;
    card->whole += whole;
    display_damage(card->display, 1, 2, 3, 4);
}

static void watched(void *opaque, bool begins)
{
    Card *card = opaque;

    card->watched += begins;
    card->unwatched += !begins;
}

static void wish(void *opaque, const DisplayInfo *info)
{
    ((Card *)opaque)->wish = *info;
}

static void type(void *opaque, uint32_t key)
{
    ((Card *)opaque)->key = key;
}

static const DisplayOps card_ops = { .update = update, .watched = watched, .wish = wish };
static const DisplayOps text_ops = { .update = update, .type = type };

typedef struct {
    DisplayListener listener;
    GString *log;
} Looker;

static void look_surface(DisplayListener *listener, pixman_image_t *surface)
{
    g_string_append_printf(((Looker *)listener)->log, "surface %dx%d;",
                           pixman_image_get_width(surface), pixman_image_get_height(surface));
}

static void look_damage(DisplayListener *listener, int x, int y, int width, int height)
{
    g_string_append_printf(((Looker *)listener)->log, "damage %d,%d %dx%d;", x, y, width, height);
}

static void look_cursor(DisplayListener *listener, bool image)
{
    g_string_append(((Looker *)listener)->log, image ? "cursor;" : "moved;");
}

static void look_refreshed(DisplayListener *listener)
{
    g_string_append(((Looker *)listener)->log, "refreshed;");
}

static void look_gone(DisplayListener *listener)
{
    g_string_append(((Looker *)listener)->log, "gone;");
}

static Looker looker_new(void)
{
    return (Looker){ { look_surface, look_damage, look_cursor, look_refreshed, look_gone, 0 },
                     g_string_new(NULL) };
}

static void assert_log(Looker *looker, const char *wanted)
{
    g_assert_cmpstr(looker->log->str, ==, wanted);
    g_string_truncate(looker->log, 0);
}

static Machine *new_machine(void)
{
    MachineConfig config = { .start_paused = true };
    Machine *machine = machine_new(&config);

    g_assert_true(machine_build(machine, NULL));
    machine_lock(machine);
    return machine;
}

static void free_machine(Machine *machine)
{
    machine_unlock(machine);
    machine_free(machine);
}

static void test_listeners(void)
{
    Machine *machine = new_machine();
    Card card = { 0 };
    Looker one = looker_new(), two = looker_new();
    pixman_region32_t region;

    card.display = display_new(machine->root, 0, &card_ops, &card);
    display_add_listener(card.display, &one.listener);
    display_add_listener(card.display, &two.listener);
    g_assert_cmpuint(card.watched, ==, 1);
    assert_log(&one, "surface 640x480;cursor;");
    display_refresh(card.display);
    display_refresh(card.display);
    g_assert_cmpuint(card.whole, ==, 1);
    assert_log(&one, "damage 1,2 3x4;damage 1,2 3x4;");
    display_set_surface(card.display, pixman_image_create_bits(PIXMAN_x8r8g8b8, 32, 16, NULL, 0));
    display_set_surface(card.display, NULL);
    g_assert_false(display_is_on(card.display));
    assert_log(&one, "surface 32x16;surface 32x16;");
    pixman_region32_init_rect(&region, 0, 0, 8, 8);
    pixman_region32_union_rect(&region, &region, 8, 8, 8, 8);
    display_damage_region(card.display, &region);
    pixman_region32_fini(&region);
    assert_log(&one, "damage 0,0 8x8;damage 8,8 8x8;");
    display_remove_listener(card.display, &one.listener);
    g_assert_cmpuint(card.unwatched, ==, 0);
    g_string_truncate(two.log, 0);
    display_free(card.display);
    assert_log(&two, "gone;");
    assert_log(&one, "");
    g_assert_cmpuint(card.unwatched, ==, 1);
    g_string_free(one.log, TRUE);
    g_string_free(two.log, TRUE);
    free_machine(machine);
}

static void test_cursor(void)
{
    Machine *machine = new_machine();
    Card card = { 0 };
    Looker looker = looker_new();
    const DisplayCursor *cursor;

    card.display = display_new(machine->root, 0, &card_ops, &card);
    display_add_listener(card.display, &looker.listener);
    g_string_truncate(looker.log, 0);
    display_set_cursor(card.display, pixman_image_create_bits(PIXMAN_a8r8g8b8, 8, 8, NULL, 0), 3,
                       4);
    display_move_cursor(card.display, 10, 20, true);
    display_move_cursor(card.display, 10, 20, true);
    assert_log(&looker, "cursor;moved;");
    cursor = display_cursor(card.display);
    g_assert_cmpint(cursor->hot_x, ==, 3);
    g_assert_cmpint(cursor->y, ==, 20);
    display_set_cursor(card.display, NULL, 0, 0);
    g_assert_null(cursor->image);
    display_free(card.display);
    g_string_free(looker.log, TRUE);
    free_machine(machine);
}

/* Runs the main loop for a while. */
static void run_ms(Machine *machine, unsigned ms)
{
    gint64 end = g_get_monotonic_time() + ms * 1000;

    machine_unlock(machine);
    while (g_get_monotonic_time() < end) {
        g_main_context_iteration(NULL, FALSE);
        g_usleep(1000);
    }
    machine_lock(machine);
}

/* Runs the main loop until the card has been asked `count` times more; returns the shortest time between two, in us. */
static gint64 run_updates(Machine *machine, const Card *card, unsigned count)
{
    gint64 shortest = G_MAXINT64, last = 0;

    while (count--) {
        unsigned before = card->updates;

        while (card->updates == before) {
            run_ms(machine, 1);
        }
        shortest = last ? MIN(shortest, g_get_monotonic_time() - last) : shortest;
        last = g_get_monotonic_time();
    }
    return shortest;
}

/* Nobody looks: nothing is rendered. Two paces: the shorter. A busy host may make waits longer, never shorter. */
static void test_pace(void)
{
    Machine *machine = new_machine();
    Card card = { 0 };
    Looker one = looker_new(), two = looker_new();
    unsigned slow;

    card.display = display_new(machine->root, 0, &card_ops, &card);
    run_ms(machine, 50);
    g_assert_cmpuint(card.updates, ==, 0);
    one.listener.pace_ms = 40;
    display_add_listener(card.display, &one.listener);
    slow = (unsigned)g_get_monotonic_time();
    run_updates(machine, &card, 5);
    g_assert_cmpuint((unsigned)g_get_monotonic_time() - slow, >=, 4 * 30000);
    g_assert_nonnull(strstr(one.log->str, "damage 1,2 3x4;refreshed;"));
    two.listener.pace_ms = 5;
    display_add_listener(card.display, &two.listener);
    for (unsigned tries = 0; run_updates(machine, &card, 20) >= 30000; tries++) {
        g_assert_cmpuint(tries, <, 100);
    }
    display_set_pace(card.display, &one.listener, 0);
    display_remove_listener(card.display, &two.listener);
    slow = card.updates;
    run_ms(machine, 50);
    g_assert_cmpuint(card.updates, ==, slow);
    display_free(card.display);
    g_string_free(one.log, TRUE);
    g_string_free(two.log, TRUE);
    free_machine(machine);
}

static void test_text_and_wishes(void)
{
    Machine *machine = new_machine();
    Card text = { 0 }, card = { 0 };
    GPtrArray *displays = machine_displays(machine);
    DisplayInfo info = { .width = 800, .height = 600, .width_mm = 200 };
    g_autofree char *label = NULL;
    g_autoptr(GError) error = NULL;

    text.display = display_new_text(machine, "serial0", &text_ops, &text);
    g_assert_null(display_find(machine, NULL, 0, &error));
    g_assert_cmpstr(error->message, ==, "there is no display: the machine has no graphics device");
    card.display = display_new(machine->root, 1, &card_ops, &card);
    g_assert_true(displays->pdata[0] == card.display && displays->pdata[1] == text.display);
    g_assert_true(display_find(machine, NULL, 1, NULL) == card.display);
    g_assert_false(display_wish(text.display, &info));
    g_assert_true(display_wish(card.display, &info));
    g_assert_cmpint(card.wish.width_mm, ==, 200);
    g_assert_true(display_takes_text(text.display) && !display_takes_text(card.display));
    display_type(text.display, DISPLAY_KEY_F12);
    g_assert_cmpuint(text.key, ==, DISPLAY_KEY_F12);
    label = display_label(text.display);
    g_assert_cmpstr(label, ==, "serial0");
    display_free(text.display);
    display_free(card.display);
    free_machine(machine);
}

static void count_event(void *opaque, const InputEvent *event)
{
    ++*(unsigned *)opaque;
}

static unsigned lit(void *opaque)
{
    return INPUT_LED_CAPS;
}

static const InputHandlerType tablet_type = { "tablet", INPUT_ABSOLUTE, count_event, NULL, NULL };
static const InputHandlerType mouse_type = { "mouse", INPUT_RELATIVE, count_event, NULL, NULL };
static const InputHandlerType keyboard_type = { "keys", INPUT_KEY, count_event, NULL, lit };

static void test_seats(void)
{
    Machine *machine = new_machine();
    Card card = { 0 };
    InputHandler mouse = { 0 }, tablet = { 0 }, here = { 0 }, keyboard = { 0 };
    unsigned counts[4] = { 0 };
    InputEvent event = { INPUT_ABSOLUTE, INPUT_X, 5 };

    card.display = display_new(machine->root, 0, &card_ops, &card);
    g_assert_false(input_is_absolute(machine, NULL));
    g_assert_cmpuint(input_leds(machine, NULL), ==, 0);
    input_add_handler(&tablet, machine, &tablet_type, &counts[0]);
    input_add_handler(&mouse, machine, &mouse_type, &counts[1]);
    input_add_handler(&here, machine, &tablet_type, &counts[2]);
    input_add_handler(&keyboard, machine, &keyboard_type, &counts[3]);
    here.display = card.display;
    g_assert_false(input_is_absolute(machine, NULL));
    g_assert_true(input_is_absolute(machine, card.display));
    g_assert_cmpuint(input_leds(machine, card.display), ==, INPUT_LED_CAPS);
    g_assert_true(input_send_from(machine, card.display, &event));
    g_assert_true(input_send(machine, &event));
    g_assert_cmpuint(counts[0], ==, 1);
    g_assert_cmpuint(counts[2], ==, 1);
    event.kind = INPUT_TOUCHES;
    g_assert_false(input_send(machine, &event));
    input_remove_handler(&mouse);
    input_remove_handler(&tablet);
    input_remove_handler(&here);
    input_remove_handler(&keyboard);
    display_free(card.display);
    free_machine(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/display/listeners", test_listeners);
    g_test_add_func("/display/cursor", test_cursor);
    g_test_add_func("/display/pace", test_pace);
    g_test_add_func("/display/text-and-wishes", test_text_and_wishes);
    g_test_add_func("/display/seats", test_seats);
    return g_test_run();
}
