/* SPDX-License-Identifier: MIT */
/* Virtio input devices: what the driver reads of them, and events from people, in time and late. */
#include "base/bits.h"
#include "machine/input.h"
#include "tests/device/bench.h"

enum { DATA = DRIVER_DATA, EVENTS = 0, STATUS = 1, EVENT_BYTES = 8 };
enum {
    SELECT_NAME = 1,
    SELECT_SERIAL = 2,
    SELECT_IDS = 3,
    SELECT_EVENTS = 0x11,
    SELECT_AXIS = 0x12
};

static Driver *start(gconstpointer kind, const char *stem)
{
    Driver *driver = driver_new(NULL, *(const DriveKind *)kind, stem, "serial", "S1", NULL);

    driver_start(driver, 0, 2);
    return driver;
}

static void give_buffers(Driver *driver, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        driver_add(driver, EVENTS, &(Buffer){ DATA, EVENT_BYTES, true }, 1);
    }
}

static void send(Driver *driver, InputKind kind, unsigned code, int32_t value)
{
    input_send(driver->bench->machine, &(InputEvent){ kind, (uint16_t)code, value, 0 });
}

/* All buffers are at one place: one buffer at a time shows what came. */
static void expect_event(Driver *driver, unsigned type, unsigned code, int32_t value)
{
    const uint8_t *event = bench_ram(driver->bench, DATA);

    give_buffers(driver, 1);
    driver_kick(driver, EVENTS);
    g_assert_cmpuint(driver_wait(driver, EVENTS), ==, EVENT_BYTES);
    g_assert_cmpuint(load_le16(event), ==, type);
    g_assert_cmpuint(load_le16(event + 2), ==, code);
    g_assert_cmpint((int32_t)load_le32(event + 4), ==, value);
}

static void expect_nothing(Driver *driver)
{
    give_buffers(driver, 1);
    driver_kick(driver, EVENTS);
    g_assert_false(driver_used_any(driver, EVENTS));
}

/* The size of an answer, whose bytes are in `data`. */
static unsigned query(Driver *driver, unsigned select, unsigned subselect, uint8_t data[128])
{
    driver_write_config(driver, 0, select, 1);
    driver_write_config(driver, 1, subselect, 1);
    for (unsigned i = 0; i < 128; i++) {
        data[i] = (uint8_t)driver_config(driver, 8 + i, 1);
    }
    return (unsigned)driver_config(driver, 2, 1);
}

static void test_description(gconstpointer kind)
{
    Driver *driver = start(kind, "virtio-tablet");
    uint8_t data[128];

    g_assert_cmpuint(query(driver, SELECT_NAME, 0, data), ==, 18);
    g_assert_cmpmem(data, 18, "QEMU Virtio Tablet", 18);
    g_assert_cmpuint(query(driver, SELECT_SERIAL, 0, data), ==, 2);
    g_assert_cmpmem(data, 2, "S1", 2);
    g_assert_cmpuint(query(driver, SELECT_IDS, 0, data), ==, 8);
    g_assert_cmpuint(load_le16(data + 2), ==, 0x0627);
    g_assert_cmpuint(query(driver, SELECT_EVENTS, 1, data), ==, 0x14a / 8 + 1);
    g_assert_cmpuint(data[0x110 / 8], ==, 0x1f);
    g_assert_cmpuint(query(driver, SELECT_AXIS, 1, data), ==, 20);
    g_assert_cmpuint(load_le32(data + 4), ==, 0x7fff);
    g_assert_cmpuint(query(driver, SELECT_AXIS, 2, data), ==, 0);
    g_assert_cmpuint(query(driver, 0x77, 0x55, data), ==, 0);
    driver_free(driver);
}

static void test_keyboard(gconstpointer kind)
{
    Driver *driver = driver_new(NULL, *(const DriveKind *)kind, "virtio-keyboard", NULL);
    Machine *machine = driver->bench->machine;
    uint8_t *data = bench_ram(driver->bench, DATA);

    send(driver, INPUT_KEY, 30, 1); /* nobody listens yet */
    input_sync(machine);
    driver_start(driver, 0, 2);
    send(driver, INPUT_KEY, 30, 1);
    send(driver, INPUT_KEY, 30, 1); /* a host's repetition is none of the guest's */
    input_sync(machine);
    expect_event(driver, 1, 30, 1);
    expect_event(driver, 0, 0, 0);
    send(driver, INPUT_KEY, 30, 0);
    expect_nothing(driver); /* until the report is finished */
    input_sync(machine);
    g_assert_cmpuint(driver_wait(driver, EVENTS), ==, EVENT_BYTES);
    expect_event(driver, 0, 0, 0);
    g_assert_cmpuint(input_leds(machine, NULL), ==, 0);
    memset(data, 0, 16);
    store_le16(data, 17);
    store_le16(data + 2, 1); /* caps lock */
    data[4] = 1;
    driver_do(driver, STATUS, &(Buffer){ DATA, EVENT_BYTES, false }, 1);
    g_assert_cmpuint(input_leds(machine, NULL), ==, INPUT_LED_CAPS);
    driver_do(driver, STATUS, &(Buffer){ DATA, 3, false }, 1); /* cut off */
    driver_set_status(driver, 0);
    g_assert_cmpuint(input_leds(machine, NULL), ==, 0);
    driver_free(driver);
}

/* A guest that does not read: what is pressed last may be lost, but no key stays down. */
static void test_late_guest(gconstpointer kind)
{
    Driver *driver = start(kind, "virtio-keyboard");
    const uint8_t *event = bench_ram(driver->bench, DATA);
    unsigned down = 0, events = 0;

    for (unsigned i = 0; i < 2000; i++) {
        send(driver, INPUT_KEY, 1 + i % 200, i % 400 < 200);
        input_sync(driver->bench->machine);
    }
    for (;;) {
        give_buffers(driver, 1);
        driver_kick(driver, EVENTS);
        if (!driver_used_any(driver, EVENTS)) {
            break;
        }
        driver_wait(driver, EVENTS);
        events++;
        if (load_le16(event) == 1) {
            down += load_le32(event + 4) ? 1u : -1u;
        }
    }
    g_assert_cmpuint(events, >, 200);
    g_assert_cmpuint(down, ==, 0);
    driver_free(driver);
}

static void test_pointers(gconstpointer kind)
{
    Driver *driver = start(kind, "virtio-mouse");
    Machine *machine = driver->bench->machine;

    send(driver, INPUT_RELATIVE, INPUT_X, -7);
    send(driver, INPUT_RELATIVE, INPUT_Y, 0);
    send(driver, INPUT_BUTTON, INPUT_WHEEL_DOWN, 1);
    send(driver, INPUT_BUTTON, INPUT_WHEEL_DOWN, 0);
    send(driver, INPUT_BUTTON, INPUT_RIGHT, 1);
    input_sync(machine);
    expect_event(driver, 2, 0, -7);
    expect_event(driver, 2, 8, -1);
    expect_event(driver, 1, 0x111, 1);
    expect_event(driver, 0, 0, 0);
    driver_free(driver);
    driver = start(kind, "virtio-tablet");
    send(driver, INPUT_ABSOLUTE, INPUT_Y, 1 << 20);
    input_sync(driver->bench->machine);
    expect_event(driver, 3, 1, INPUT_ABSOLUTE_MAX);
    expect_event(driver, 0, 0, 0);
    driver_free(driver);
}

static void touch(Driver *driver, unsigned slot, InputTouch what, int32_t value)
{
    input_send(driver->bench->machine,
               &(InputEvent){ INPUT_TOUCHES, (uint16_t)what, value, (uint8_t)slot });
}

static void test_fingers(gconstpointer kind)
{
    Driver *driver = start(kind, "virtio-multitouch");

    touch(driver, 0, INPUT_TOUCH_END, 0); /* no finger is there */
    touch(driver, 0, INPUT_TOUCH_BEGIN, 11);
    touch(driver, 0, INPUT_TOUCH_UPDATE, 11);
    touch(driver, 1, INPUT_TOUCH_BEGIN, 12);
    touch(driver, 1, INPUT_TOUCH_X, 40);
    touch(driver, 0, INPUT_TOUCH_CANCEL, 0);
    touch(driver, INPUT_TOUCH_SLOTS, INPUT_TOUCH_BEGIN, 1);
    touch(driver, 1, INPUT_TOUCH_END, 0);
    input_sync(driver->bench->machine);
    expect_event(driver, 3, 0x2f, 0);
    expect_event(driver, 3, 0x39, 11);
    expect_event(driver, 1, 0x14a, 1);
    expect_event(driver, 3, 0x2f, 1);
    expect_event(driver, 3, 0x39, 12);
    expect_event(driver, 3, 0x35, 40);
    expect_event(driver, 3, 0x2f, 0);
    expect_event(driver, 3, 0x39, -1);
    expect_event(driver, 3, 0x2f, 1);
    expect_event(driver, 3, 0x39, -1);
    expect_event(driver, 1, 0x14a, 0);
    expect_event(driver, 0, 0, 0);
    driver_free(driver);
}

/* Events go to the device whose driver came last; to another one while it has none. */
static void test_who_listens(gconstpointer kind)
{
    Driver *driver = start(kind, "virtio-keyboard");
    Machine *machine = driver->bench->machine;
    InputHandler *virtio = input_find_handler(machine, INPUT_KEY), other = { 0 };

    static const InputHandlerType type = { .name = "other", .kinds = INPUT_KEY };

    input_add_handler(&other, machine, &type, NULL);
    g_assert_true(input_find_handler(machine, INPUT_KEY) == &other);
    driver_start(driver, 0, 2);
    g_assert_true(input_find_handler(machine, INPUT_KEY) == virtio);
    driver_set_status(driver, 0);
    g_assert_true(input_find_handler(machine, INPUT_KEY) == &other);
    input_remove_handler(&other);
    driver_free(driver);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        GTestDataFunc run;
    } tests[] = { { "description", test_description }, { "keyboard", test_keyboard },
                  { "late-guest", test_late_guest },   { "pointers", test_pointers },
                  { "fingers", test_fingers },         { "who-listens", test_who_listens } };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        for (unsigned k = 0; k < DRIVE_COUNT; k++) {
            if (drive_kinds[k] == DRIVE_MMIO || drive_kinds[k] == DRIVE_PCI) {
                g_autofree char *path =
                    g_strdup_printf("/virtio-input/%s/%s", tests[i].name,
                                    drive_kinds[k] == DRIVE_PCI ? "pci" : "mmio");

                g_test_add_data_func(path, &drive_kinds[k], tests[i].run);
            }
        }
    }
    return g_test_run();
}
