/* SPDX-License-Identifier: MIT */
/* Virtio consoles and serial ports. */
#include "tests/device/bench.h"

#include "backends/chardev-open.h"
#include "base/bits.h"
#include "machine/chardev.h"

enum { DATA = DRIVER_DATA, RING_RESET = 40 };

/* Console: a back end that keeps what it gets and takes only so much at once. */

typedef struct {
    Chardev chardev;
    GString *text;
    size_t room;
} TestChardev;

static bool test_chardev_open(Chardev *chardev, GError **error)
{
    ((TestChardev *)chardev)->text = g_string_new(NULL);
    ((TestChardev *)chardev)->room = SIZE_MAX;
    chardev_event(chardev, CHARDEV_OPENED);
    return true;
}

static void test_chardev_close(Chardev *chardev)
{
    g_string_free(((TestChardev *)chardev)->text, TRUE);
}

static size_t test_chardev_write(Chardev *chardev, const uint8_t *data, size_t size)
{
    TestChardev *test = (TestChardev *)chardev;

    size = MIN(size, test->room);
    test->room -= size;
    g_string_append_len(test->text, (const char *)data, size);
    return size;
}

static const ChardevType test_chardev = {
    .name = "test",
    .summary = "Keeps what is written",
    .instance_size = sizeof(TestChardev),
    .open = test_chardev_open,
    .close = test_chardev_close,
    .write = test_chardev_write,
};
CHARDEV_TYPE(test_chardev);

static void expect_control(Driver *driver, unsigned port, unsigned event)
{
    const uint8_t *message =
        bench_ram(driver->bench, DATA + 0x6000 + 0x100 * (driver->used[2] % 8));

    g_assert_cmpuint(driver_wait(driver, 2), >=, 8);
    g_assert_cmpuint(load_le32(message), ==, port);
    g_assert_cmpuint(load_le16(message + 4), ==, event);
}

static void console_control(Driver *driver, uint32_t port, uint16_t event, uint16_t value)
{
    Buffer buffer = { DATA + 0x5000, 8, false };
    uint8_t *message = bench_ram(driver->bench, DATA + 0x5000);

    store_le32(message, port);
    store_le16(message + 4, event);
    store_le16(message + 6, value);
    driver_do(driver, 3, &buffer, 1);
}

/* Virtio 1.2, 5.3.4 and 5.3.6.2 */
static void test_console_size(void)
{
    enum { READY = 0, ADD = 1, PORT_READY = 3, CONSOLE = 4, RESIZE = 5, OPEN = 6 };
    Driver *driver = driver_new(NULL, DRIVE_PCI, "virtio-serial", NULL);
    Chardev *chardev = chardev_open(driver->bench->machine, "ring0", "test", NULL, NULL);
    const uint8_t *message;

    chardev_resize(chardev, 80, 25);
    bench_device(driver->bench, "virtconsole", "con", "chardev", "ring0", NULL);
    g_assert_cmpuint(driver_config(driver, 0, 2), ==, 80);
    g_assert_cmpuint(driver_config(driver, 2, 2), ==, 25);
    driver_start(driver, BIT(0) | BIT(1), 4);
    for (unsigned i = 0; i < 8; i++) {
        Buffer rx = { DATA + 0x6000 + 0x100 * i, 0x100, true };

        driver_add(driver, 2, &rx, 1);
    }
    driver_kick(driver, 2);
    console_control(driver, 0, READY, 1);
    expect_control(driver, 0, ADD);
    console_control(driver, 0, PORT_READY, 1);
    expect_control(driver, 0, CONSOLE);
    message = bench_ram(driver->bench, DATA + 0x6000 + 0x100 * (driver->used[2] % 8));
    expect_control(driver, 0, RESIZE);
    g_assert_cmpuint(load_le16(message + 8), ==, 80);
    g_assert_cmpuint(load_le16(message + 10), ==, 25);
    expect_control(driver, 0, OPEN);

    message = bench_ram(driver->bench, DATA + 0x6000 + 0x100 * (driver->used[2] % 8));
    chardev_resize(chardev, 132, 43);
    expect_control(driver, 0, RESIZE);
    g_assert_cmpuint(load_le16(message + 8), ==, 132);
    g_assert_cmpuint(load_le16(message + 10), ==, 43);
    g_assert_cmpuint(driver_config(driver, 0, 2), ==, 132);
    g_assert_cmpuint(driver_config(driver, 2, 2), ==, 43);
    chardev_resize(chardev, 132, 43); /* nothing new */
    g_assert_false(driver_used_any(driver, 2));
    driver_free(driver);
}

static void test_console(void)
{
    enum { READY = 0, ADD = 1, REMOVE = 2, PORT_READY = 3, CONSOLE = 4, OPEN = 6, NAME = 7 };
    Driver *driver = driver_new(NULL, DRIVE_PCI, "virtio-serial", NULL);
    Device *late;
    Buffer out = { DATA, 5, false };
    GError *error = NULL;
    Chardev *chardev = chardev_open(driver->bench->machine, "ring0", "test", NULL, &error);
    TestChardev *test = (TestChardev *)chardev;
    Buffer in = { DATA + 0x1000, 64, true };

    g_assert_no_error(error);
    bench_device(driver->bench, "virtserialport", "p1", "name", "org.kaso.test", "chardev", "ring0",
                 NULL);
    bench_device(driver->bench, "virtconsole", "con", NULL);
    driver_start(driver, BIT(1) | BIT(RING_RESET), 6);
    for (unsigned i = 0; i < 8; i++) {
        Buffer rx = { DATA + 0x6000 + 0x100 * i, 0x100, true };

        driver_add(driver, 2, &rx, 1);
    }
    driver_kick(driver, 2);
    console_control(driver, 0, READY, 1);
    expect_control(driver, 0, ADD);
    expect_control(driver, 1, ADD);
    console_control(driver, 0, PORT_READY, 1);
    expect_control(driver, 0, CONSOLE);
    expect_control(driver, 0, OPEN);
    console_control(driver, 1, PORT_READY, 1);
    expect_control(driver, 1, NAME);
    expect_control(driver, 1, OPEN);
    console_control(driver, 1, OPEN, 1);
    console_control(driver, 30, OPEN, 1); /* no such port */
    memcpy(bench_ram(driver->bench, DATA), "hello", 5);
    driver_do(driver, 5, &out, 1);
    g_assert_cmpstr(test->text->str, ==, "hello");

    test->room = 2; /* the back end is slow: the chain stays until all is written */
    driver_add(driver, 5, &out, 1);
    driver_kick(driver, 5);
    g_assert_cmpstr(test->text->str, ==, "hellohe");
    g_assert_false(driver_used_any(driver, 5));
    test->room = SIZE_MAX;
    chardev->frontend->can_write(chardev->frontend_opaque);
    driver_wait(driver, 5);
    g_assert_cmpstr(test->text->str, ==, "hellohello");

    test->room = 2; /* the same, but the driver makes the queue anew before all is written */
    driver_add(driver, 5, &out, 1);
    driver_kick(driver, 5);
    driver_reset_queue(driver, 5);
    g_assert_false(driver_queue_resetting(driver, 5));
    driver_set_queue(driver, 5);
    test->room = SIZE_MAX;
    chardev->frontend->can_write(chardev->frontend_opaque);
    g_assert_cmpstr(test->text->str, ==, "hellohellohe");
    driver_do(driver, 5, &out, 1);
    g_assert_cmpstr(test->text->str, ==, "hellohellohehello");

    driver_write_config(driver, 8, 'E',
                        4); /* emergency write goes to port 0, which has no chardev */
    driver_write_config(driver, 4, 99, 4);
    g_assert_cmpuint(driver_config(driver, 4, 4), ==, 31);

    g_assert_cmpuint(chardev_can_receive(chardev), ==, 0);
    driver_add(driver, 4, &in, 1);
    driver_kick(driver, 4);
    g_assert_cmpuint(chardev_can_receive(chardev), >, 0);
    chardev_receive(chardev, (const uint8_t *)"abc", 3);
    g_assert_cmpuint(driver_wait(driver, 4), ==, 3);
    g_assert_true(!memcmp(bench_ram(driver->bench, DATA + 0x1000), "abc", 3));

    /* One that comes while the driver is there is told of, and when it goes, too. */
    late = bench_device(driver->bench, "virtserialport", "late", NULL);
    late->bus->type->plugged(late->bus, late);
    expect_control(driver, 2, ADD);
    g_assert_true(late->bus->type->unplug(late->bus, late, NULL));
    expect_control(driver, 2, REMOVE);
    driver_free(driver);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio/console", test_console);
    g_test_add_func("/virtio/console-size", test_console_size);
    return g_test_run();
}
