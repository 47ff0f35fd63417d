/* SPDX-License-Identifier: MIT */
/* The keyboard controller with its keyboard and mouse, and who gets input. */
#include "machine/input.h"
#include "tests/device/pc-rig.h"

enum { DATA = 0x60, STATUS = 0x64, KEYBOARD, MOUSE };

static Device *open_keyboard(PcRig *rig)
{
    Device *kbc;

    pc_rig_open(rig);
    kbc = pc_rig_add(rig, "i8042", NULL);
    device_map_io(kbc, 0, DATA);
    device_map_io(kbc, 1, STATUS);
    pc_rig_watch(rig, kbc, I8042_IRQ_KEYBOARD, 1);
    pc_rig_watch(rig, kbc, I8042_IRQ_MOUSE, 12);
    return kbc;
}

static void set_mode(PcRig *rig, uint8_t mode)
{
    pc_rig_out(rig, STATUS, 0x60);
    pc_rig_out(rig, DATA, mode);
}

/* All that comes, in hex. */
static char *drain(PcRig *rig)
{
    GString *out = g_string_new(NULL);

    for (int i = 0; i < 1000; i++) {
        if (pc_rig_in(rig, STATUS) & 1) {
            g_string_append_printf(out, "%s%02x", out->len ? " " : "", pc_rig_in(rig, DATA));
        }
        pc_rig_advance(rig, 100000);
    }
    return g_string_free(out, FALSE);
}

static void expect(PcRig *rig, const char *bytes)
{
    g_autofree char *got = drain(rig);

    g_assert_cmpstr(got, ==, bytes);
}

static void key(PcRig *rig, const char *name, bool down)
{
    InputEvent event = { INPUT_KEY, input_key_by_name(name)->code, down };

    g_assert_true(input_send(rig->machine, &event));
    input_sync(rig->machine);
}

static void press(PcRig *rig, const char *name)
{
    key(rig, name, true);
    key(rig, name, false);
}

static void to_mouse(PcRig *rig, uint8_t value)
{
    pc_rig_out(rig, STATUS, 0xd4);
    pc_rig_out(rig, DATA, value);
}

static void send(PcRig *rig, InputKind kind, uint16_t code, int32_t value)
{
    InputEvent event = { kind, code, value };

    g_assert_true(input_send(rig->machine, &event));
}

static void test_controller(void)
{
    PcRig rig;
    uint32_t open = 2;

    open_keyboard(&rig);
    g_assert_cmphex(pc_rig_in(&rig, STATUS), ==, 0x18);
    pc_rig_out(&rig, STATUS, 0xaa);
    g_assert_cmphex(pc_rig_in(&rig, STATUS), ==, 0x1d);
    expect(&rig, "55");
    set_mode(&rig, 0x47);
    pc_rig_out(&rig, STATUS, 0x20);
    expect(&rig, "47");
    pc_rig_out(&rig, STATUS, 0xab);
    expect(&rig, "00");
    pc_rig_out(&rig, STATUS, 0xa9);
    expect(&rig, "00");
    pc_rig_out(&rig, STATUS, 0xd3);
    pc_rig_out(&rig, DATA, 0x5a);
    g_assert_cmphex(pc_rig_in(&rig, STATUS) & 0x21, ==, 0x21);
    g_assert_cmpint(rig.levels[12], ==, 1);
    expect(&rig, "5a");
    g_assert_cmpint(rig.levels[12], ==, 0);
    /* A20 by the output port, and by its own commands. */
    pc_rig_out(&rig, STATUS, 0xd0);
    expect(&rig, "cf");
    pc_rig_out(&rig, STATUS, 0xd1);
    pc_rig_out(&rig, DATA, 0xdd);
    g_assert_cmpint(pc_rig_event(&rig, 1, &open), ==, X86_EVENT_A20);
    g_assert_cmpint(open, ==, 0);
    pc_rig_out(&rig, STATUS, 0xdf);
    g_assert_cmpint(pc_rig_event(&rig, 1, &open), ==, X86_EVENT_A20);
    g_assert_cmpint(open, ==, 1);
    /* A reset that was asked for, and a machine that goes before it comes. */
    pc_rig_out(&rig, STATUS, 0xfe);
    pc_rig_close(&rig);
    g_assert_false(g_main_context_pending(NULL));
}

static void test_keyboard_sets(void)
{
    PcRig rig;

    open_keyboard(&rig);
    set_mode(&rig, 0x45); /* translated */
    press(&rig, "a");
    expect(&rig, "1e 9e");
    press(&rig, "right");
    expect(&rig, "e0 4d e0 cd");
    press(&rig, "f7");
    expect(&rig, "41 c1");
    press(&rig, "pause");
    expect(&rig, "e1 1d 45 e1 9d c5");
    press(&rig, "print");
    expect(&rig, "e0 2a e0 37 e0 b7 e0 aa");
    key(&rig, "alt", true);
    press(&rig, "print");
    key(&rig, "alt", false);
    expect(&rig, "38 54 d4 b8");
    set_mode(&rig, 0x05);
    press(&rig, "a");
    press(&rig, "delete");
    press(&rig, "f7");
    expect(&rig, "1c f0 1c e0 71 e0 f0 71 83 f0 83");
    pc_rig_out(&rig, DATA, 0xf0);
    pc_rig_out(&rig, DATA, 3);
    press(&rig, "delete");
    press(&rig, "ctrl_r");
    expect(&rig, "fa fa 64 f0 64 58 f0 58");
    pc_rig_out(&rig, DATA, 0xf9);
    press(&rig, "delete");
    expect(&rig, "fa 64");
    pc_rig_out(&rig, DATA, 0xf0);
    pc_rig_out(&rig, DATA, 0);
    expect(&rig, "fa fa 03");
    pc_rig_out(&rig, DATA, 0xf0);
    pc_rig_out(&rig, DATA, 1);
    press(&rig, "right");
    expect(&rig, "fa fa e0 4d e0 cd");
    pc_rig_close(&rig);
}

/* Every key that has a code of its own comes out of the translation as set 1 has it. */
static void test_keyboard_translation(void)
{
    PcRig rig;

    open_keyboard(&rig);
    set_mode(&rig, 0x45);
    for (const InputKey *k = input_keys; k->name; k++) {
        g_autofree char *wanted =
            k->set1 >> 8
                ? g_strdup_printf("e0 %02x e0 %02x", k->set1 & 0xff, (k->set1 & 0xff) | 0x80)
                : g_strdup_printf("%02x %02x", k->set1, k->set1 | 0x80);

        if (k->set1) {
            press(&rig, k->name);
            expect(&rig, wanted);
            g_assert_nonnull(input_key_by_number((k->set1 & 0x7f) | (k->set1 >> 8 ? 0x80 : 0)));
        }
    }
    pc_rig_close(&rig);
}

static void test_keyboard_commands(void)
{
    PcRig rig;

    open_keyboard(&rig);
    set_mode(&rig, 0x47);
    pc_rig_out(&rig, DATA, 0xff);
    g_assert_cmpint(rig.levels[1], ==, 1);
    expect(&rig, "fa aa");
    pc_rig_out(&rig, DATA, 0xf2);
    expect(&rig, "fa ab 41");
    pc_rig_out(&rig, DATA, 0xed);
    pc_rig_out(&rig, DATA, 7);
    expect(&rig, "fa fa");
    pc_rig_out(&rig, DATA, 0xf3);
    pc_rig_out(&rig, DATA, 0x20);
    expect(&rig, "fa fa");
    pc_rig_out(&rig, DATA, 0xee);
    expect(&rig, "ee");
    pc_rig_out(&rig, DATA, 0xef);
    expect(&rig, "fe");
    pc_rig_out(&rig, DATA, 0xf5);
    press(&rig, "a");
    expect(&rig, "fa");
    pc_rig_out(&rig, DATA, 0xf4);
    expect(&rig, "fa");
    /* Disabled at the controller, keys wait. */
    pc_rig_out(&rig, STATUS, 0xad);
    press(&rig, "a");
    expect(&rig, "");
    pc_rig_out(&rig, STATUS, 0xae);
    /* A byte can be read twice before the next comes. */
    g_assert_cmphex(pc_rig_in(&rig, DATA), ==, 0x1e);
    g_assert_cmphex(pc_rig_in(&rig, DATA), ==, 0x1e);
    expect(&rig, "9e");
    /* Nobody reads: what was pressed is let go, too. */
    for (int i = 0; i < 1000; i++) {
        key(&rig, i % 2 ? "b" : "a", i % 4 < 2);
    }
    key(&rig, "a", false);
    key(&rig, "b", false);
    g_free(drain(&rig));
    press(&rig, "c");
    expect(&rig, "2e ae");
    pc_rig_close(&rig);
}

static void set_rates(PcRig *rig, uint8_t a, uint8_t b, uint8_t c)
{
    const uint8_t rates[] = { a, b, c };

    for (unsigned i = 0; i < 3; i++) {
        to_mouse(rig, 0xf3);
        to_mouse(rig, rates[i]);
    }
    g_free(drain(rig));
    to_mouse(rig, 0xf2);
}

static void test_mouse(void)
{
    PcRig rig;

    open_keyboard(&rig);
    set_mode(&rig, 0x47);
    to_mouse(&rig, 0xff);
    g_assert_cmpint(rig.levels[12], ==, 1);
    expect(&rig, "fa aa 00");
    send(&rig, INPUT_RELATIVE, INPUT_X, 5);
    input_sync(rig.machine);
    expect(&rig, "");
    to_mouse(&rig, 0xf4);
    expect(&rig, "fa");
    send(&rig, INPUT_RELATIVE, INPUT_X, 0);
    send(&rig, INPUT_RELATIVE, INPUT_Y, 3);
    send(&rig, INPUT_BUTTON, INPUT_LEFT, 1);
    input_sync(rig.machine);
    expect(&rig, "29 05 fd");
    to_mouse(&rig, 0xe9);
    expect(&rig, "fa 24 02 64");
    send(&rig, INPUT_BUTTON, INPUT_LEFT, 0);
    send(&rig, INPUT_RELATIVE, INPUT_X, -300);
    input_sync(rig.machine);
    expect(&rig, "18 01 00 18 d3 00");
    set_rates(&rig, 200, 100, 80);
    expect(&rig, "fa 03");
    send(&rig, INPUT_BUTTON, INPUT_WHEEL_DOWN, 1);
    send(&rig, INPUT_BUTTON, INPUT_WHEEL_DOWN, 0);
    input_sync(rig.machine);
    expect(&rig, "08 00 00 01");
    set_rates(&rig, 200, 200, 80);
    expect(&rig, "fa 04");
    send(&rig, INPUT_BUTTON, INPUT_WHEEL_UP, 1);
    send(&rig, INPUT_BUTTON, INPUT_SIDE, 1);
    input_sync(rig.machine);
    expect(&rig, "08 00 00 1f");
    to_mouse(&rig, 0xf0); /* remote: on request */
    send(&rig, INPUT_RELATIVE, INPUT_X, 1);
    input_sync(rig.machine);
    expect(&rig, "fa");
    to_mouse(&rig, 0xeb);
    expect(&rig, "fa 08 01 00 10");
    to_mouse(&rig, 0xee);
    to_mouse(&rig, 0xf2);
    to_mouse(&rig, 0xec);
    expect(&rig, "fa f2 fa");
    pc_rig_close(&rig);
}

/* Typed keys come with pauses, one combination after another. */
static void test_typing(void)
{
    static const uint16_t combination[] = { 29, 46 }, one[] = { 2 };
    PcRig rig;

    open_keyboard(&rig);
    set_mode(&rig, 0x45);
    g_assert_true(input_type_keys(rig.machine, combination, 2, 100));
    g_assert_true(input_type_keys(rig.machine, one, 1, 100));
    expect(&rig, "1d"); /* 100 ms pass */
    expect(&rig, "2e");
    expect(&rig, "ae");
    expect(&rig, "9d");
    expect(&rig, "02");
    expect(&rig, "82");
    for (int i = 0; i < 2000; i++) {
        input_type_keys(rig.machine, one, 1, 1);
    }
    g_assert_false(input_type_keys(rig.machine, one, 1, 1));
    pc_rig_close(&rig);
}

typedef struct {
    unsigned events, syncs;
} Sink;

static void sink_event(void *opaque, const InputEvent *event)
{
    ((Sink *)opaque)->events++;
}

static void sink_sync(void *opaque)
{
    ((Sink *)opaque)->syncs++;
}

static const InputHandlerType tablet = { "tablet", INPUT_ABSOLUTE | INPUT_BUTTON, sink_event,
                                         sink_sync };
static const InputHandlerType mouse = { "mouse", INPUT_RELATIVE | INPUT_BUTTON, sink_event,
                                        sink_sync };

static void test_handlers(void)
{
    PcRig rig;
    Sink sinks[2] = { { 0 } };
    InputHandler handlers[2] = { { 0 } };
    InputEvent absolute = { INPUT_ABSOLUTE, INPUT_X, 5 };

    pc_rig_open(&rig);
    g_assert_false(input_send(rig.machine, &absolute));
    input_remove_handler(&handlers[0]);
    input_add_handler(&handlers[0], rig.machine, &mouse, &sinks[0]);
    input_add_handler(&handlers[1], rig.machine, &tablet, &sinks[1]);
    send(&rig, INPUT_BUTTON, INPUT_LEFT, 1);
    send(&rig, INPUT_RELATIVE, INPUT_X, 1);
    send(&rig, INPUT_ABSOLUTE, INPUT_X, 1);
    input_sync(rig.machine);
    g_assert_cmpint(sinks[0].events, ==, 1);
    g_assert_cmpint(sinks[1].events, ==, 2);
    g_assert_cmpint(sinks[1].syncs, ==, 1);
    input_activate_handler(&handlers[0]);
    send(&rig, INPUT_BUTTON, INPUT_LEFT, 0);
    input_sync(rig.machine);
    g_assert_cmpint(sinks[0].events, ==, 2);
    g_assert_cmpint(sinks[1].syncs, ==, 1);
    input_remove_handler(&handlers[0]);
    input_remove_handler(&handlers[1]);
    g_assert_false(input_send(rig.machine, &absolute));
    pc_rig_close(&rig);
}

void test_pc_input(void)
{
    g_test_add_func("/pc-input/controller", test_controller);
    g_test_add_func("/pc-input/keyboard-sets", test_keyboard_sets);
    g_test_add_func("/pc-input/keyboard-translation", test_keyboard_translation);
    g_test_add_func("/pc-input/keyboard-commands", test_keyboard_commands);
    g_test_add_func("/pc-input/mouse", test_mouse);
    g_test_add_func("/pc-input/typing", test_typing);
    g_test_add_func("/pc-input/handlers", test_handlers);
}
