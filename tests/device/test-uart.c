/* SPDX-License-Identifier: MIT */
/* PL011, PL031 and PL061 by their registers. */
#include <string.h>

#include "base/registry.h"
#include "machine/chardev.h"
#include "tests/device/rig.h"

enum {
    DR = 0,
    RSR = 4,
    FR = 0x18,
    LCR_H = 0x2c,
    CR = 0x30,
    IFLS = 0x34,
    IMSC = 0x38,
    RIS = 0x3c,
    MIS = 0x40,
    ICR = 0x44
};
enum { FR_RXFE = 0x10, FR_TXFF = 0x20, FR_RXFF = 0x40, FR_TXFE = 0x80 };
enum { INT_RX = 0x10, INT_TX = 0x20, INT_RT = 0x40, INT_BE = 0x200, INT_OE = 0x400 };

/* A back end that keeps what it is given, up to `room` bytes. */
typedef struct {
    Chardev chardev;
    GString *text;
    size_t room;
} SinkChardev;

static size_t sink_write(Chardev *chardev, const uint8_t *data, size_t size)
{
    SinkChardev *sink = (SinkChardev *)chardev;
    size_t taken = MIN(size, sink->room);

    g_string_append_len(sink->text, (const char *)data, (gssize)taken);
    sink->room -= taken;
    return taken;
}

static const ChardevType sink_type = {
    .name = "test-sink",
    .summary = "kept by a test",
    .instance_size = sizeof(SinkChardev),
    .write = sink_write,
};

static SinkChardev *open_uart(Rig *rig)
{
    SinkChardev *sink = g_new0(SinkChardev, 1);
    g_autoptr(GError) error = NULL;

    sink->chardev = (Chardev){ .type = &sink_type, .id = g_strdup("sink"), .open = true };
    sink->text = g_string_new(NULL);
    sink->room = 1000;
    rig_open(rig, "pl011", NULL);
    /* Properties are set before realize: make a second one with the chardev. */
    sink->chardev.machine = rig->machine;
    machine_add_chardev(rig->machine, "sink", &sink->chardev);
    device_destroy(rig->device);
    rig->device = device_create(rig->machine, NULL, "pl011", NULL, "uart", &error);
    device_set(rig->device, "chardev", "sink", &error);
    g_assert_no_error(error);
    device_realize(rig->device, &error);
    g_assert_no_error(error);
    device_map(rig->device, 0, rig->base);
    return sink;
}

static void receive(SinkChardev *sink, const char *text)
{
    size_t size = strlen(text), room = chardev_can_receive(&sink->chardev);

    chardev_receive(&sink->chardev, (const uint8_t *)text, MIN(size, room));
}

static void transmit(void)
{
    Rig rig;
    SinkChardev *sink = open_uart(&rig);

    rig_write(&rig, 0, 0, CR, 0x301, 4);
    rig_write(&rig, 0, 0, DR, 'a', 4);
    rig_write(&rig, 0, 0, DR, 'b', 1);
    g_assert_cmpstr(sink->text->str, ==, "ab");
    g_assert_cmphex(rig_read(&rig, 0, 0, RIS, 4) & INT_TX, ==, INT_TX);
    /* A back end that is full: 16 characters wait in the FIFO. */
    sink->room = 0;
    rig_write(&rig, 0, 0, LCR_H, 0x10, 4);
    for (unsigned i = 0; i < 16; i++) {
        g_assert_cmphex(rig_read(&rig, 0, 0, FR, 4) & FR_TXFF, ==, 0);
        rig_write(&rig, 0, 0, DR, 'c' + i, 4);
    }
    g_assert_cmphex(rig_read(&rig, 0, 0, FR, 4) & FR_TXFF, ==, FR_TXFF);
    g_assert_cmphex(rig_read(&rig, 0, 0, RIS, 4) & INT_TX, ==, 0);
    sink->room = 1000;
    sink->chardev.frontend->can_write(sink->chardev.frontend_opaque);
    g_assert_cmpstr(sink->text->str, ==, "abcdefghijklmnopqr");
    g_assert_cmphex(rig_read(&rig, 0, 0, FR, 4) & FR_TXFE, ==, FR_TXFE);
    g_assert_cmphex(rig_read(&rig, 0, 0, RIS, 4) & INT_TX, ==, INT_TX);
    rig_close(&rig);
}

static void receive_fifo(void)
{
    Rig rig;
    SinkChardev *sink = open_uart(&rig);

    rig_write(&rig, 0, 0, CR, 0x301, 4);
    g_assert_cmphex(rig_read(&rig, 0, 0, FR, 4) & FR_RXFE, ==, FR_RXFE);
    receive(sink, "xyz"); /* without the FIFO there is room for one */
    g_assert_cmphex(rig_read(&rig, 0, 0, FR, 4) & FR_RXFF, ==, FR_RXFF);
    g_assert_cmphex(rig_read(&rig, 0, 0, DR, 4), ==, 'x');
    rig_write(&rig, 0, 0, LCR_H, 0x10, 4);
    rig_write(&rig, 0, 0, IMSC, INT_RX | INT_RT, 4);
    receive(sink, "1234567");
    g_assert_cmphex(rig_read(&rig, 0, 0, MIS, 4), ==, INT_RT); /* below the half */
    g_assert_true(rig.device->irqs[0]->level);
    receive(sink, "8");
    g_assert_cmphex(rig_read(&rig, 0, 0, MIS, 4), ==, INT_RX | INT_RT);
    for (unsigned i = 0; i < 8; i++) {
        g_assert_cmphex(rig_read(&rig, 0, 0, DR, 4), ==, '1' + i);
    }
    g_assert_cmphex(rig_read(&rig, 0, 0, MIS, 4), ==, 0);
    g_assert_false(rig.device->irqs[0]->level);
    chardev_event(&sink->chardev, CHARDEV_BREAK);
    g_assert_cmphex(rig_read(&rig, 0, 0, RIS, 4) & INT_BE, ==, INT_BE);
    g_assert_cmphex(rig_read(&rig, 0, 0, DR, 4), ==, 1 << 10);
    g_assert_cmphex(rig_read(&rig, 0, 0, RSR, 4), ==, 4);
    rig_write(&rig, 0, 0, RSR, 0, 4);
    g_assert_cmphex(rig_read(&rig, 0, 0, RSR, 4), ==, 0);
    rig_close(&rig);
}

static void loopback(void)
{
    Rig rig;
    SinkChardev *sink = open_uart(&rig);

    rig_write(&rig, 0, 0, LCR_H, 0x10, 4);
    rig_write(&rig, 0, 0, CR, 0x381, 4);
    for (unsigned i = 0; i < 17; i++) {
        rig_write(&rig, 0, 0, DR, i, 4);
    }
    g_assert_cmphex(rig_read(&rig, 0, 0, RIS, 4) & INT_OE, ==, INT_OE);
    for (unsigned i = 0; i < 16; i++) {
        g_assert_cmphex(rig_read(&rig, 0, 0, DR, 4), ==, i);
    }
    g_assert_cmphex(rig_read(&rig, 0, 0, FR, 4) & FR_RXFE, ==, FR_RXFE);
    g_assert_cmpuint(sink->text->len, ==, 0);
    rig_write(&rig, 0, 0, CR, 0x381 | 1 << 11, 4); /* RTS drives CTS */
    g_assert_cmphex(rig_read(&rig, 0, 0, FR, 4) & 0x107, ==, 1);
    g_assert_cmphex(rig_read(&rig, 0, 0, RIS, 4) & 2, ==, 2);
    rig_hammer(&rig, 1, 50000);
    rig_close(&rig);
}

static void real_time_clock(void)
{
    Rig rig;
    uint32_t now;

    rig_open(&rig, "pl031", NULL);
    now = (uint32_t)rig_read(&rig, 0, 0, 0, 4);
    g_assert_cmpuint(now, >=, 1000000);
    g_assert_cmpuint(now, <, 1000010);
    rig_write(&rig, 0, 0, 8, 5000, 4);
    g_assert_cmpuint(rig_read(&rig, 0, 0, 0, 4), ==, 5000);
    rig_write(&rig, 0, 0, 0x10, 1, 4);
    rig_write(&rig, 0, 0, 4, 5000, 4); /* a match that is now */
    g_assert_true(rig.levels[0]);
    rig_write(&rig, 0, 0, 0x1c, 1, 4);
    g_assert_false(rig.levels[0]);
    g_assert_cmphex(rig_read(&rig, 0, 0, 0xfe0, 4), ==, 0x31);
    rig_hammer(&rig, 1, 20000);
    rig_close(&rig);
}

static void gpio(void)
{
    Rig rig;

    rig_open(&rig, "pl061", NULL);
    rig_write(&rig, 0, 0, 0x400, 0x0f, 4);
    rig_write(&rig, 0, 0, 0x3fc, 0xff, 4);
    g_assert_cmphex(rig_read(&rig, 0, 0, 0x3fc, 4), ==, 0x0f); /* inputs are not written */
    rig_write(&rig, 0, 0, 0x01 << 2, 0, 4);                    /* only pin 0, by the address */
    g_assert_cmphex(rig_read(&rig, 0, 0, 0x3fc, 4), ==, 0x0e);
    g_assert_false(rig.levels[1]);
    g_assert_true(rig.levels[2]);
    /* Both edges of pin 5. */
    rig_write(&rig, 0, 0, 0x408, 1 << 5, 4);
    rig_write(&rig, 0, 0, 0x410, 1 << 5, 4);
    rig_input(&rig, 5, 1);
    g_assert_true(rig.levels[0]);
    rig_write(&rig, 0, 0, 0x41c, 1 << 5, 4);
    g_assert_false(rig.levels[0]);
    rig_input(&rig, 5, 0);
    g_assert_true(rig.levels[0]);
    rig_write(&rig, 0, 0, 0x41c, 1 << 5, 4);
    /* High level of pin 6 cannot be cleared while it lasts. */
    rig_write(&rig, 0, 0, 0x404, 1 << 6, 4);
    rig_write(&rig, 0, 0, 0x40c, 1 << 6, 4);
    rig_write(&rig, 0, 0, 0x410, 1 << 6, 4);
    rig_input(&rig, 6, 1);
    rig_write(&rig, 0, 0, 0x41c, 1 << 6, 4);
    g_assert_true(rig.levels[0]);
    g_assert_cmphex(rig_read(&rig, 0, 0, 0x418, 4), ==, 1 << 6);
    rig_input(&rig, 6, 0);
    g_assert_false(rig.levels[0]);
    rig_hammer(&rig, 1, 50000);
    rig_close(&rig);
}

void test_pl011(void)
{
    g_test_add_func("/pl011/transmit", transmit);
    g_test_add_func("/pl011/receive", receive_fifo);
    g_test_add_func("/pl011/loopback", loopback);
}

void test_small_devices(void)
{
    g_test_add_func("/pl031/clock", real_time_clock);
    g_test_add_func("/pl061/gpio", gpio);
}
