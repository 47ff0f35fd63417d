/* SPDX-License-Identifier: MIT */
/* USB devices without a controller: what they say of themselves, standard requests, input, hubs, and the bulk-only transport. */
#include <string.h>

#include "base/bits.h"
#include "block/block.h"
#include "machine/input.h"
#include "tests/device/audio-bench.h"
#include "tests/device/usb-bench.h"
#include "tests/device/image.h"

static void test_requests(void)
{
    Bench *bench;
    UsbDevice *usb =
        usb_bench_open(&bench, "usb-kbd", "serial", "K\xc3\xa4so"); /* with an umlaut */
    uint8_t data[256], byte = 0;

    g_assert_cmpuint(usb_bench_host->attached, ==, 1);
    g_assert_cmpint(usb->speed, ==, USB_HIGH);
    g_assert_cmpint(usb_bench_control(usb, 0x80, 6, 1 << 8, 0, data, 64), ==, 18);
    g_assert_cmpuint(load_le16(data + 8), ==, 0x0627);
    g_assert_cmpint(usb_bench_control(usb, 0x80, 6, 2 << 8, 0, data, 9), ==, 9);
    g_assert_cmpint(usb_bench_control(usb, 0x80, 6, 2 << 8, 0, data, 255), ==, load_le16(data + 2));
    g_assert_cmpuint(load_le16(data + 2), ==, 9 + 9 + 9 + 7);
    g_assert_cmpint(usb_bench_control(usb, 0x80, 6, 3 << 8 | 3, 0x409, data, 255), ==, 2 + 2 * 4);
    g_assert_cmpuint(load_le16(data + 4), ==, 0xe4);
    g_assert_cmpint(usb_bench_control(usb, 0x80, 6, 3 << 8 | 7, 0x409, data, 255), ==, -1);
    g_assert_cmpint(usb_bench_control(usb, 0x80, 6, 6 << 8, 0, data, 10), ==,
                    10); /* device qualifier */
    g_assert_cmpint(usb_bench_control(usb, 0x80, 6, 15 << 8, 0, data, 5), ==,
                    -1); /* none at high speed */
    g_assert_cmpint(usb_bench_control(usb, 0x81, 10, 0, 0, &byte, 1), ==, -1); /* not configured */
    usb_bench_configure(usb);
    g_assert_cmpint(usb_bench_control(usb, 0x81, 10, 0, 0, &byte, 1), ==, 1);
    g_assert_cmpint(usb_bench_control(usb, 0x80, 10, 0, 170, &byte, 1), ==,
                    -1); /* no such interface */
    g_assert_cmpint(usb_bench_control(usb, 0, 9, 2, 0, NULL, 0), ==, -1);
    g_assert_cmpint(usb_bench_control(usb, 0x01, 11, 1, 0, NULL, 0), ==, -1); /* no such setting */
    /* Halt and its end. */
    g_assert_cmpint(usb_bench_control(usb, 0x02, 3, 0, 0x81, NULL, 0), ==, 0);
    g_assert_cmpint(usb_bench_send(usb, USB_TOKEN_IN, 1, data, 8, NULL), ==, USB_STALL);
    g_assert_cmpint(usb_bench_control(usb, 0x82, 0, 0, 0x81, data, 2), ==, 2);
    g_assert_cmpuint(data[0], ==, 1);
    g_assert_cmpint(usb_bench_control(usb, 0x02, 1, 0, 0x81, NULL, 0), ==, 0);
    g_assert_cmpint(usb_bench_send(usb, USB_TOKEN_IN, 1, data, 8, NULL), ==, USB_NAK);
    /* Stages out of order. */
    g_assert_cmpint(usb_bench_send(usb, USB_TOKEN_OUT, 0, data, 8, NULL), ==, USB_STALL);
    g_assert_cmpint(usb_bench_send(usb, USB_TOKEN_SETUP, 0, data, 7, NULL), ==, USB_ERROR);
    g_assert_cmpint(usb_bench_control(usb, 0x40, 0x55, 0, 0, data, 4097), ==, -1);
    g_assert_cmpint(usb_bench_control(usb, 0x80, 6, 1 << 8, 0, data, 64), ==, 18);
    bench_free(bench);
}

static void press(Bench *bench, unsigned code, bool down)
{
    input_send(bench->machine, &(InputEvent){ INPUT_KEY, (uint16_t)code, down, 0 });
    input_sync(bench->machine);
}

static void test_keyboard(void)
{
    Bench *bench;
    UsbDevice *usb = usb_bench_open(&bench, "usb-kbd", "usb_version", "1");
    uint8_t report[8];
    unsigned reports = 0;

    g_assert_cmpint(usb->speed, ==, USB_FULL);
    press(bench, 30, true); /* nobody listens */
    usb_bench_configure(usb);
    press(bench, 42, true);
    press(bench, 30, true);
    press(bench, 30, false);
    g_assert_cmpuint(usb_bench_host->ready, ==, 3);
    g_assert_cmpint(usb_bench_send(usb, USB_TOKEN_IN, 1, report, 8, NULL), ==, USB_DONE);
    g_assert_cmpuint(report[0], ==, 2);
    g_assert_cmpint(usb_bench_send(usb, USB_TOKEN_IN, 1, report, 8, NULL), ==, USB_DONE);
    g_assert_cmpuint(report[2], ==, 4);
    g_assert_cmpint(usb_bench_send(usb, USB_TOKEN_IN, 1, report, 8, NULL), ==, USB_DONE);
    g_assert_cmpuint(report[2], ==, 0);
    g_assert_cmpint(usb_bench_send(usb, USB_TOKEN_IN, 1, report, 8, NULL), ==, USB_NAK);
    press(bench, 42, false);
    /* Seven keys are one too many for a report. */
    for (unsigned code = 2; code < 9; code++) {
        press(bench, code, true);
    }
    while (usb_bench_send(usb, USB_TOKEN_IN, 1, report, 8, NULL) == USB_DONE) {
        reports++;
    }
    g_assert_cmpuint(reports, ==, 8);
    g_assert_cmpuint(report[2], ==, 1);
    g_assert_cmpuint(report[7], ==, 1);
    /* A host that does not poll: no key stays down. */
    for (unsigned i = 0; i < 1000; i++) {
        press(bench, 2 + i % 50, i % 100 < 50);
    }
    for (unsigned code = 1; code < 60; code++) {
        press(bench, code, false);
    }
    while (usb_bench_send(usb, USB_TOKEN_IN, 1, report, 8, NULL) == USB_DONE) {
    }
    g_assert_cmpuint(report[2], ==, 0);
    report[0] = 2;
    g_assert_cmpint(usb_bench_control(usb, 0x21, 9, 2 << 8, 0, report, 1), ==, 1);
    g_assert_cmpuint(input_leds(bench->machine, NULL), ==, INPUT_LED_CAPS);
    g_assert_cmpint(usb_bench_control(usb, 0x81, 6, 0x22 << 8, 0, report, 8), ==, 8);
    g_assert_cmpuint(report[0], ==, 5);
    bench_free(bench);
}

static void test_mouse(void)
{
    Bench *bench;
    UsbDevice *usb = usb_bench_open(&bench, "usb-mouse", "serial", "1");
    Machine *machine = bench->machine;
    uint8_t report[8];

    usb_bench_configure(usb);
    input_send(machine, &(InputEvent){ INPUT_RELATIVE, INPUT_X, 200, 0 });
    input_send(machine, &(InputEvent){ INPUT_BUTTON, INPUT_LEFT, 1, 0 });
    input_send(machine, &(InputEvent){ INPUT_BUTTON, INPUT_LEFT, 0, 0 });
    input_send(machine, &(InputEvent){ INPUT_BUTTON, INPUT_WHEEL_DOWN, 1, 0 });
    input_sync(machine);
    static const uint8_t expected[][5] = { { 0, 127 }, { 0, 73 }, { 1 }, { 0, 0, 0, 255 } };
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_assert_cmpint(usb_bench_send(usb, USB_TOKEN_IN, 1, report, 5, NULL), ==, USB_DONE);
        g_assert_cmpmem(report, 5, expected[i], 5);
    }
    g_assert_cmpint(usb_bench_send(usb, USB_TOKEN_IN, 1, report, 5, NULL), ==, USB_NAK);
    bench_free(bench);
}

/* A loudspeaker whose host is late by up to 60 ms, as packets of a millisecond. */
typedef struct {
    UsbDevice *usb;
    uint64_t packets;
    unsigned channels;
    int64_t start_ns;
} Player;

static void send_due(void *opaque)
{
    Player *p = opaque;
    int64_t now_ns = clock_now_ns(p->usb->device.machine);

    for (; p->start_ns + (int64_t)p->packets * 1000000 < now_ns; p->packets++) {
        int16_t samples[48 * 8] = { 0 };
        uint32_t moved;

        for (unsigned i = 0; i < 48; i++) {
            int16_t sample = audio_bench_sine(p->packets * 48 + i, 48000);

            samples[i * p->channels] = samples[i * p->channels + 1] = sample;
        }
        g_assert_cmpint(usb_bench_send(p->usb, USB_TOKEN_OUT, 1, samples, 96 * p->channels, &moved),
                        ==, USB_DONE);
        g_assert_cmpuint(moved, ==, 96 * p->channels);
    }
}

static UsbDevice *open_speaker(Bench *bench, const char *multi, Capture **capture)
{
    *capture = audio_bench_open(bench->machine);
    usb_bench_add_host(bench);
    return usb_device(
        bench_device(bench, "usb-audio", "dut", "audiodev", "a0", "multi", multi, NULL));
}

static void test_speaker(gconstpointer multi)
{
    Bench *bench = bench_new(false);
    Capture *capture;
    UsbDevice *usb = open_speaker(bench, multi, &capture);
    Player p = { .usb = usb, .channels = strcmp(multi, "on") ? 2 : 6 };
    unsigned alternate = p.channels == 6 ? 2 : 1;

    usb_bench_configure(usb);
    g_assert_cmpint(usb_bench_send(usb, USB_TOKEN_OUT, 1, NULL, 0, NULL), ==, USB_STALL);
    g_assert_cmpint(usb_bench_control(usb, 1, 11, alternate, 1, NULL, 0), ==, 0);
    p.start_ns = clock_now_ns(bench->machine);
    audio_bench_run(bench->machine, 10, 60, send_due, &p);
    g_assert_cmpint(usb_bench_control(usb, 1, 11, 0, 1, NULL, 0), ==, 0);
    g_assert_cmpfloat_with_epsilon(audio_bench_check(capture, 10), AUDIO_BENCH_AMPLITUDE, 100);
    g_assert_cmpuint(capture->stops, ==, 1);
    bench_free(bench);
}

static void test_speaker_volume(void)
{
    Bench *bench = bench_new(false);
    Capture *capture;
    UsbDevice *usb = open_speaker(bench, "off", &capture);
    int16_t value = -10 * 256;
    uint8_t mute = 1;

    usb_bench_configure(usb);
    for (unsigned request = 0x82; request <= 0x84; request++) {
        static const int16_t expected[] = { -60 * 256, 0, 128 };

        g_assert_cmpint(usb_bench_control(usb, 0xa1, request, 0x201, 0x200, &value, 2), ==, 2);
        g_assert_cmpint(value, ==, expected[request - 0x82]);
    }
    value = INT16_MIN;
    g_assert_cmpint(usb_bench_control(usb, 0x21, 1, 0x202, 0x200, &value, 2), ==, 2);
    g_assert_cmpint(usb_bench_control(usb, 0xa1, 0x81, 0x202, 0x200, &value, 2), ==, 2);
    g_assert_cmpint(value, ==, -60 * 256);
    g_assert_cmpint(usb_bench_control(usb, 0x21, 1, 0x203, 0x200, &value, 2), ==, -1);
    g_assert_cmpint(usb_bench_control(usb, 0x21, 1, 0x200, 0x200, &value, 2), ==, -1);
    g_assert_cmpint(usb_bench_control(usb, 0x21, 1, 0x100, 0x200, &mute, 1), ==, 1);
    mute = 0;
    g_assert_cmpint(usb_bench_control(usb, 0xa1, 0x81, 0x100, 0x200, &mute, 1), ==, 1);
    g_assert_cmpuint(mute, ==, 1);
    g_assert_cmpint(usb_bench_control(usb, 0xa1, 0x81, 0x100, 0x300, &mute, 1), ==, -1);
    bench_free(bench);
}

static void test_hub(void)
{
    Bench *bench;
    UsbDevice *hub = usb_bench_open(&bench, "usb-hub", "port", "2"), *mouse;
    uint8_t data[16];
    Device *device;

    usb_bench_configure(hub);
    g_assert_cmpint(usb_bench_control(hub, 0xa0, 6, 0x29 << 8, 0, data, 16), ==, 11);
    g_assert_cmpuint(data[2], ==, 8);
    device = bench_device(bench, "usb-mouse", "mouse", "port", "2.3", NULL);
    mouse = usb_device(device);
    g_assert_cmpint(mouse->speed, ==, USB_FULL);
    g_assert_cmpint(usb_bench_send(hub, USB_TOKEN_IN, 1, data, 2, NULL), ==, USB_DONE);
    g_assert_cmpuint(data[0], ==, 1 << 3);
    g_assert_null(
        usb_port_find(&usb_bench_host->ports[1], 0)); /* the hub has address 9, its port is off */
    g_assert_true(usb_port_find(&usb_bench_host->ports[1], 9) == hub);
    g_assert_cmpint(usb_bench_control(hub, 0x23, 3, 4, 3, NULL, 0), ==, 0); /* reset the port */
    g_assert_cmpint(usb_bench_control(hub, 0xa3, 0, 0, 3, data, 4), ==, 4);
    g_assert_cmpuint(load_le16(data), ==, 0x103);
    g_assert_cmpuint(load_le16(data + 2), ==, 0x11);
    g_assert_true(usb_port_find(&usb_bench_host->ports[1], 0) == mouse);
    g_assert_true(usb_port_route(&usb_bench_host->ports[1], 3) == mouse);
    g_assert_true(usb_port_route(&usb_bench_host->ports[1], 0) == hub);
    g_assert_null(usb_port_route(&usb_bench_host->ports[1], 4));
    g_assert_null(usb_port_route(&usb_bench_host->ports[1], 0x113));
    g_assert_cmpint(usb_bench_control(hub, 0xa3, 0, 0, 9, data, 4), ==, -1);
    g_assert_cmpint(usb_bench_control(hub, 0x23, 1, 16, 3, NULL, 0), ==, 0);
    g_assert_cmpint(usb_bench_control(hub, 0x23, 1, 20, 3, NULL, 0), ==, 0);
    g_assert_cmpint(usb_bench_send(hub, USB_TOKEN_IN, 1, data, 2, NULL), ==, USB_NAK);
    device_destroy(device);
    g_assert_cmpint(usb_bench_send(hub, USB_TOKEN_IN, 1, data, 2, NULL), ==, USB_DONE);
    g_assert_null(usb_port_route(&usb_bench_host->ports[1], 3));
    bench_free(bench);
}

/* The last free port takes a hub, until there are five of them in a row. */
static void test_places(void)
{
    Bench *bench;
    UsbDevice *first = usb_bench_open(&bench, "usb-mouse", "serial", "1"), *second;
    g_autoptr(GError) error = NULL;
    Device *device;

    g_assert_cmpstr(first->port->path, ==, "1");
    second = usb_device(bench_device(bench, "usb-tablet", "b", NULL));
    g_assert_cmpstr(second->port->path, ==, "2.1");
    for (unsigned i = 0; i < 6; i++) {
        g_autofree char *id = g_strdup_printf("m%u", i);

        bench_device(bench, "usb-mouse", id, NULL);
    }
    second = usb_device(bench_device(bench, "usb-mouse", "last", NULL));
    g_assert_cmpstr(second->port->path, ==, "2.8.1");
    device = device_create(bench->machine, NULL, "usb-mouse", &usb_bench_host->bus.bus, "c", NULL);
    g_assert_true(device_set(device, "port", "1", NULL));
    g_assert_false(device_realize(device, &error));
    g_assert_nonnull(strstr(error->message, "taken by"));
    device_destroy(device);
    bench_free(bench);
}

/* Storage: a stick on which each 512 bytes have their number in front. */

enum { STICK_BYTES = 1 << 20, IN = 1, OUT = 2 };

typedef struct {
    Bench *bench;
    UsbDevice *usb;
    BlockGraph *graph;
    BlockBackend *block;
} Stick;

/* A packet that may wait for the image. */
typedef struct {
    UsbPacket packet;
    struct iovec iov;
    bool done;
} Waiting;

static void packet_done(UsbPacket *packet)
{
    ((Waiting *)packet)->done = true;
}

static void stick_open(Stick *s)
{
    s->bench = bench_new(false);
    s->graph = block_graph_new(NULL);
    s->block = image_open(s->bench->machine, s->graph, "stick", STICK_BYTES, false, NULL);
    usb_bench_add_host(s->bench);
    s->usb = usb_device(bench_device(s->bench, "usb-storage", "dut", "drive", "stick", NULL));
    usb_bench_configure(s->usb);
}

static void stick_close(Stick *s)
{
    bench_free(s->bench);
    block_close(s->block);
    block_graph_free(s->graph);
}

/* Sends a packet and waits until the image has answered; what was moved, or less than 0. */
static int bulk(Stick *s, UsbToken token, void *data, uint32_t size)
{
    Waiting w = { .iov = { data, size } };

    w.packet = (UsbPacket){ .token = token,
                            .endpoint = token == USB_TOKEN_IN ? IN : OUT,
                            .iov = &w.iov,
                            .iov_count = 1,
                            .size = size,
                            .done = packet_done };
    if (usb_device_handle(s->usb, &w.packet) == USB_PENDING) {
        for (unsigned i = 0; i < 1000 && !w.done; i++) {
            bench_run_main_loop(s->bench);
            g_usleep(w.done ? 0 : 1000);
        }
        g_assert_true(w.done);
    }
    return w.packet.status == USB_DONE ? (int)w.packet.moved : -(int)w.packet.status;
}

static int command(Stick *s, uint32_t length, bool in, const uint8_t *cdb, unsigned size)
{
    uint8_t bytes[31] = { 'U', 'S', 'B', 'C', 1, 2, 3, 4 };

    store_le32(bytes + 8, length);
    bytes[12] = in ? 0x80 : 0;
    bytes[14] = (uint8_t)size;
    memcpy(bytes + 15, cdb, size);
    return bulk(s, USB_TOKEN_OUT, bytes, sizeof bytes);
}

/* READ(10) or WRITE(10) of `count` sectors from `first` on. */
static int move(Stick *s, bool in, unsigned first, unsigned count, uint32_t length)
{
    uint8_t cdb[10] = { in ? 0x28 : 0x2a };

    store_be32(cdb + 2, first);
    store_be16(cdb + 7, (uint16_t)count);
    return command(s, length, in, cdb, sizeof cdb);
}

static void expect_status(Stick *s, unsigned status, uint32_t residue)
{
    uint8_t bytes[13];

    g_assert_cmpint(bulk(s, USB_TOKEN_IN, bytes, sizeof bytes), ==, 13);
    g_assert_cmpuint(load_le32(bytes), ==, 0x53425355);
    g_assert_cmpuint(load_le32(bytes + 4), ==, 0x04030201);
    g_assert_cmpuint(load_le32(bytes + 8), ==, residue);
    g_assert_cmpuint(bytes[12], ==, status);
}

static void begin(Stick *s)
{
    static const uint8_t ready_cdb[6] = { 0 };
    uint8_t lun;

    g_assert_cmpint(usb_bench_control(s->usb, 0xa1, 0xfe, 0, 0, &lun, 1), ==, 1);
    g_assert_cmpuint(lun, ==, 0);
    g_assert_cmpint(command(s, 0, false, ready_cdb, 6), ==, 31); /* unit attention */
    expect_status(s, 1, 0);
    g_assert_cmpint(command(s, 0, false, ready_cdb, 6), ==, 31);
    expect_status(s, 0, 0);
}

static void test_storage(void)
{
    static const uint8_t inquiry[6] = { 0x12, 0, 0, 0, 36, 0 };
    g_autofree uint8_t *data = g_malloc0(64 * 512);
    Stick stick, *s = &stick;

    stick_open(s);
    begin(s);
    g_assert_cmpint(command(s, 255, true, inquiry, 6), ==, 31);
    g_assert_cmpint(bulk(s, USB_TOKEN_IN, data, 255), ==, 36);
    expect_status(s, 0, 255 - 36);
    /* In one packet, and in many. */
    g_assert_cmpint(move(s, true, 100, 64, 64 * 512), ==, 31);
    g_assert_cmpint(bulk(s, USB_TOKEN_IN, data, 64 * 512), ==, 64 * 512);
    expect_status(s, 0, 0);
    g_assert_cmpuint(load_le32(data + 63 * 512), ==, 163);
    g_assert_cmpint(move(s, true, 200, 2, 1024), ==, 31);
    for (unsigned at = 0; at < 1024; at += 64) {
        g_assert_cmpint(bulk(s, USB_TOKEN_IN, data + at, 64), ==, 64);
    }
    expect_status(s, 0, 0);
    g_assert_cmpuint(load_le32(data + 512), ==, 201);
    for (unsigned whole = 0; whole < 2; whole++) {
        memset(data, 0xa5 + (int)whole, 1024);
        g_assert_cmpint(move(s, false, 300 + 10 * whole, 2, 1024), ==, 31);
        for (unsigned at = 0, part = whole ? 1024 : 64; at < 1024; at += part) {
            g_assert_cmpint(bulk(s, USB_TOKEN_OUT, data + at, part), ==, (int)part);
        }
        expect_status(s, 0, 0);
        memset(data, 0, 1024);
        g_assert_cmpint(move(s, true, 300 + 10 * whole, 2, 1024), ==, 31);
        g_assert_cmpint(bulk(s, USB_TOKEN_IN, data, 1024), ==, 1024);
        expect_status(s, 0, 0);
        g_assert_cmpuint(data[1023], ==, 0xa5 + whole);
    }
    stick_close(s);
}

/* A host that errs, and that recovers by the class's reset. */
static void test_storage_errors(void)
{
    g_autofree uint8_t *data = g_malloc0(64 * 512);
    Stick stick, *s = &stick;

    stick_open(s);
    begin(s);
    g_assert_cmpint(move(s, true, 1 << 20, 1, 512), ==, 31); /* beyond the end */
    g_assert_cmpint(bulk(s, USB_TOKEN_IN, data, 512), ==, 0);
    expect_status(s, 1, 512);
    g_assert_cmpint(move(s, true, 0, 4, 512), ==, 31); /* more than the host takes */
    g_assert_cmpint(bulk(s, USB_TOKEN_IN, data, 512), ==, 0);
    expect_status(s, 2, 512);
    g_assert_cmpint(move(s, true, 0, 1, 2048), ==, 31); /* less */
    g_assert_cmpint(bulk(s, USB_TOKEN_IN, data, 2048), ==, 512);
    expect_status(s, 0, 1536);
    g_assert_cmpint(bulk(s, USB_TOKEN_OUT, data, 30), ==, -USB_STALL);
    g_assert_cmpint(bulk(s, USB_TOKEN_IN, data, 13), ==, -USB_STALL);
    g_assert_cmpint(usb_bench_control(s->usb, 0x02, 1, 0, 0x81, NULL, 0), ==, 0);
    g_assert_cmpint(bulk(s, USB_TOKEN_IN, data, 13), ==, -USB_STALL); /* it takes more than that */
    g_assert_cmpint(usb_bench_control(s->usb, 0x21, 0xff, 0, 0, NULL, 0), ==, 0);
    g_assert_cmpint(usb_bench_control(s->usb, 0x02, 1, 0, 0x81, NULL, 0), ==, 0);
    g_assert_cmpint(usb_bench_control(s->usb, 0x02, 1, 0, 0x02, NULL, 0), ==, 0);
    g_assert_cmpint(move(s, false, 0, 2, 1024), ==, 31);
    g_assert_cmpint(bulk(s, USB_TOKEN_OUT, data, 512), ==, 512);
    g_assert_cmpint(usb_bench_control(s->usb, 0x21, 0xff, 0, 0, NULL, 0), ==,
                    0); /* in the midst of it */
    g_assert_cmpint(move(s, true, 7, 1, 512), ==, 31);
    g_assert_cmpint(bulk(s, USB_TOKEN_IN, data, 512), ==, 512);
    expect_status(s, 0, 0);
    g_assert_cmpuint(load_le32(data), ==, 7);
    g_assert_cmpint(move(s, true, 0, 1, UINT32_MAX), ==, -USB_STALL);
    stick_close(s);
}

/* Packets of any kind to a device that survives them. */
static void test_random(gconstpointer type)
{
    GRand *rand = g_rand_new_with_seed(7);
    uint8_t data[512], setup[8];
    Bench *bench;
    UsbDevice *usb = usb_bench_open(&bench, type, "serial", "1");

    for (unsigned i = 0; i < 20000; i++) {
        for (unsigned b = 0; b < 8; b++) {
            setup[b] = (uint8_t)(g_rand_int(rand) >> g_rand_int_range(rand, 0, 31));
        }
        setup[0] = g_rand_boolean(rand) ? setup[0] : (uint8_t[]){ 0x80, 0,    0x81, 0x21,
                                                                  0xa1, 0xa3, 0x23, 2 }[i % 8];
        switch (g_rand_int_range(rand, 0, 3)) {
        case 0:
            usb_bench_control(usb, setup[0], setup[1] & 15, load_le16(setup + 2),
                              load_le16(setup + 4), data, MIN(load_le16(setup + 6), 512));
            break;
        case 1:
            usb_bench_send(
                usb, (UsbToken[]){ USB_TOKEN_IN, USB_TOKEN_OUT, USB_TOKEN_SETUP }[setup[1] % 3],
                setup[2] % 4, setup[3] % 2 ? data : setup,
                MIN(setup[4] * 2, setup[3] % 2 ? 512 : 8), NULL);
            break;
        default:
            input_send(bench->machine,
                       &(InputEvent){ 1u << setup[0] % 4, setup[2], (int8_t)setup[3], 0 });
            input_sync(bench->machine);
        }
    }
    g_rand_free(rand);
    bench_free(bench);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/usb/requests", test_requests);
    g_test_add_func("/usb/keyboard", test_keyboard);
    g_test_add_func("/usb/mouse", test_mouse);
    g_test_add_data_func("/usb/speaker/stereo", "off", test_speaker);
    g_test_add_data_func("/usb/speaker/multi", "on", test_speaker);
    g_test_add_func("/usb/speaker/volume", test_speaker_volume);
    g_test_add_func("/usb/hub", test_hub);
    g_test_add_func("/usb/places", test_places);
    g_test_add_func("/usb/storage", test_storage);
    g_test_add_func("/usb/storage-errors", test_storage_errors);
    g_test_add_data_func("/usb/random/usb-kbd", "usb-kbd", test_random);
    g_test_add_data_func("/usb/random/usb-mouse", "usb-mouse", test_random);
    g_test_add_data_func("/usb/random/usb-tablet", "usb-tablet", test_random);
    g_test_add_data_func("/usb/random/usb-hub", "usb-hub", test_random);
    g_test_add_data_func("/usb/random/usb-audio", "usb-audio", test_random);
    return g_test_run();
}
