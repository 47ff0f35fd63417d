/* SPDX-License-Identifier: MIT */
/* USB attached SCSI by hand: with streams (super speed) and without, commands that cross, management, and what a driver does wrong. */

#include "base/bits.h"
#include "block/block.h"
#include "hw/scsi/scsi-bus.h"
#include "machine/saved-state.h"
#include "tests/device/usb-bench.h"
#include "tests/device/image.h"

enum { COMMAND = 1, STATUS, IN, OUT };
enum { DISK_BYTES = 1 << 20, PACKETS = 48 };

/* A packet that may wait. */
typedef struct {
    UsbPacket packet;
    struct iovec iov;
    bool done;
} Waiting;

typedef struct {
    Bench *bench;
    UsbDevice *usb;
    BlockGraph *graph;
    BlockBackend *block;
    Waiting packets[PACKETS];
    unsigned count;
} Uas;

static void open_uas(Uas *s, bool streams)
{
    *s = (Uas){ 0 };
    s->bench = bench_new(false);
    s->graph = block_graph_new(NULL);
    s->block = image_open(s->bench->machine, s->graph, "disk", DISK_BYTES, false, NULL);
    usb_bench_add_host(s->bench);
    usb_bench_host->ports[0].speeds = streams ? USB_SPEEDS_3 : USB_SPEEDS_2;
    s->usb = usb_device(bench_device(s->bench, "usb-uas", "uas", NULL));
    bench_device(s->bench, "scsi-hd", "unit", "drive", "disk", "lun", "3", NULL);
    device_reset_tree(s->bench->machine->root);
    usb_bench_configure(s->usb);
    g_assert_cmpint(s->usb->speed, ==, streams ? USB_SUPER : USB_HIGH);
}

static void close_uas(Uas *s)
{
    bench_free(s->bench);
    block_close(s->block);
    block_graph_free(s->graph);
}

static void packet_done(UsbPacket *packet)
{
    ((Waiting *)packet)->done = true;
}

static Waiting *post(Uas *s, unsigned pipe, unsigned stream, void *data, uint32_t size)
{
    Waiting *w = &s->packets[s->count++ % PACKETS];

    *w = (Waiting){ .iov = { data, size } };
    w->packet = (UsbPacket){ .token = pipe == STATUS || pipe == IN ? USB_TOKEN_IN : USB_TOKEN_OUT,
                             .endpoint = (uint8_t)pipe,
                             .stream = (uint16_t)stream,
                             .iov = &w->iov,
                             .iov_count = 1,
                             .size = size,
                             .done = packet_done };
    w->done = usb_device_handle(s->usb, &w->packet) != USB_PENDING;
    return w;
}

static uint32_t wait_for(Uas *s, Waiting *w)
{
    for (unsigned i = 0; i < 1000 && !w->done; i++) {
        bench_run_main_loop(s->bench);
        g_usleep(w->done ? 0 : 1000);
    }
    g_assert_true(w->done);
    g_assert_cmpint(w->packet.status, ==, USB_DONE);
    return w->packet.moved;
}

static UsbStatus command(Uas *s, unsigned tag, unsigned lun, const uint8_t *cdb, unsigned size)
{
    uint8_t bytes[32] = { 1 };

    store_be16(bytes + 2, (uint16_t)tag);
    bytes[9] = (uint8_t)lun;
    memcpy(bytes + 16, cdb, size);
    return post(s, COMMAND, 0, bytes, sizeof bytes)->packet.status;
}

static void move(Uas *s, unsigned tag, bool in, unsigned first, unsigned count)
{
    uint8_t cdb[10] = { in ? 0x28 : 0x2a };

    store_be32(cdb + 2, first);
    store_be16(cdb + 7, (uint16_t)count);
    g_assert_cmpint(command(s, tag, 3, cdb, sizeof cdb), ==, USB_DONE);
}

static void manage(Uas *s, unsigned tag, unsigned function, unsigned lun, unsigned task)
{
    uint8_t bytes[16] = { 5 };

    store_be16(bytes + 2, (uint16_t)tag);
    bytes[4] = (uint8_t)function;
    store_be16(bytes + 6, (uint16_t)task);
    bytes[9] = (uint8_t)lun;
    g_assert_cmpint(post(s, COMMAND, 0, bytes, sizeof bytes)->packet.status, ==, USB_DONE);
}

/* What a status packet has got: the kind of its unit, its tag, and the status or response. */
static void expect_unit(Uas *s, Waiting *w, unsigned kind, unsigned tag, unsigned status)
{
    const uint8_t *bytes = w->iov.iov_base;

    wait_for(s, w);
    g_assert_cmpuint(bytes[0], ==, kind);
    g_assert_cmpuint(load_be16(bytes + 2), ==, tag);
    if (kind == 3 || kind == 4) {
        g_assert_cmpuint(bytes[kind == 3 ? 6 : 7], ==, status);
    }
}

static void expect_status(Uas *s, unsigned stream, unsigned kind, unsigned tag, unsigned status)
{
    uint8_t bytes[64] = { 0 };

    expect_unit(s, post(s, STATUS, stream, bytes, sizeof bytes), kind, tag, status);
}

/* The first command hears that the unit was reset. */
static void begin(Uas *s, bool streams)
{
    static const uint8_t ready[6] = { 0 }, statuses[] = { 2, 0 };

    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpint(command(s, 1, 3, ready, sizeof ready), ==, USB_DONE);
        expect_status(s, streams, 3, 1, statuses[i]);
    }
}

static void test_descriptors(void)
{
    uint8_t data[256], expected[] = { 7, 5, 0x82, 2, 0, 4, 0, 6, 48, 15, 5, 0, 0, 4, 0x24, 2, 0 };
    Uas uas, *s = &uas;

    open_uas(s, true);
    g_assert_cmpint(usb_bench_control(s->usb, 0x80, 6, 0x200, 0, data, sizeof data), ==,
                    9 + 9 + 4 * 17);
    g_assert_cmpmem(data + 9 + 9 + 17, 17, expected, 17);
    g_assert_cmpuint(data[9 + 7], ==, 0x62);
    close_uas(s);
}

/* Data packets that are there before the command and after it, as a whole and in parts; commands end by their streams. */
static void test_streams(void)
{
    g_autofree uint8_t *data = g_malloc0(64 * 512);
    uint8_t first[64], second[64];
    Waiting *in, *status[2];
    Uas uas, *s = &uas;

    open_uas(s, true);
    begin(s, true);
    status[0] = post(s, STATUS, 7, first, sizeof first);
    status[1] = post(s, STATUS, 9, second, sizeof second);
    in = post(s, IN, 9, data, 64 * 512);
    move(s, 9, true, 100, 64);
    g_assert_cmpuint(wait_for(s, in), ==, 64 * 512);
    g_assert_cmpuint(load_le32(data + 63 * 512), ==, 163);
    expect_unit(s, status[1], 3, 9, 0);
    g_assert_false(status[0]->done);
    move(s, 7, true, 200, 2);
    for (unsigned at = 0; at < 1024; at += 256) {
        g_assert_cmpuint(wait_for(s, post(s, IN, 7, data + at, 256)), ==, 256);
    }
    expect_unit(s, status[0], 3, 7, 0);
    g_assert_cmpuint(load_le32(data + 512), ==, 201);
    for (unsigned whole = 0; whole < 2; whole++) {
        unsigned part = whole ? 1024 : 256;
        Waiting *out;

        memset(data, 0xa5 + (int)whole, 1024);
        out = post(s, OUT, 2, data, part);
        g_assert_false(out->done);
        move(s, 2, false, 300, 2);
        wait_for(s, out);
        for (unsigned at = part; at < 1024; at += part) {
            wait_for(s, post(s, OUT, 2, data + at, part));
        }
        expect_status(s, 2, 3, 2, 0);
        in = post(s, IN, 3, data, 1024);
        move(s, 3, true, 300, 2);
        wait_for(s, in);
        expect_status(s, 3, 3, 3, 0);
        g_assert_cmpuint(data[1023], ==, 0xa5 + whole);
    }
    close_uas(s);
}

/* READ READY and WRITE READY, for one command after the other. */
static void test_no_streams(void)
{
    uint8_t data[1024];
    Uas uas, *s = &uas;
    Waiting *in;

    open_uas(s, false);
    begin(s, false);
    move(s, 500, true, 40, 1);
    move(s, 501, true, 50, 1);
    in = post(s, IN, 0, data, 512);
    g_assert_false(in->done); /* nobody was told whose data they are */
    expect_status(s, 0, 6, 500, 0);
    g_assert_cmpuint(wait_for(s, in), ==, 512);
    g_assert_cmpuint(load_le32(data), ==, 40);
    expect_status(s, 0, 3, 500, 0);
    expect_status(s, 0, 6, 501, 0);
    g_assert_cmpuint(wait_for(s, post(s, IN, 0, data, sizeof data)), ==, 512);
    expect_status(s, 0, 3, 501, 0);
    move(s, 1, false, 60, 1);
    expect_status(s, 0, 7, 1, 0);
    memset(data, 0x77, 512);
    wait_for(s, post(s, OUT, 0, data, 512));
    expect_status(s, 0, 3, 1, 0);
    move(s, 2, true, DISK_BYTES, 1); /* beyond the end: a status and no data */
    expect_status(s, 0, 3, 2, 2);
    close_uas(s);
}

static void test_management(void)
{
    enum {
        COMPLETE = 0,
        UNSUPPORTED = 4,
        SUCCEEDED = 8,
        NO_UNIT = 9,
        OVERLAPPED = 10,
        INVALID = 2
    };
    static const uint8_t inquiry[6] = { 0x12, 0, 0, 0, 36 };
    uint8_t data[512], bad[16] = { 99, 0, 0, 12 };
    Uas uas, *s = &uas;

    open_uas(s, true);
    begin(s, true);
    move(s, 4, false, 0, 1); /* waits for its data */
    manage(s, 5, 0x80, 3, 4);
    expect_status(s, 5, 4, 5, SUCCEEDED);
    manage(s, 5, 0x80, 3, 6);
    expect_status(s, 5, 4, 5, COMPLETE);
    manage(s, 5, 1, 3, 4);
    expect_status(s, 5, 4, 5, COMPLETE);
    manage(s, 5, 0x81, 3, 0);
    expect_status(s, 5, 4, 5, COMPLETE);
    manage(s, 5, 8, 0, 0);
    expect_status(s, 5, 4, 5, NO_UNIT);
    manage(s, 5, 0x40, 3, 0);
    expect_status(s, 5, 4, 5, UNSUPPORTED);
    manage(s, 5, 8, 3, 0);
    expect_status(s, 5, 4, 5, COMPLETE);
    begin(s, true); /* it was reset */
    move(s, 4, false, 0, 1);
    move(s, 4, false, 0, 1);
    expect_status(s, 4, 4, 4, OVERLAPPED);
    post(s, COMMAND, 0, bad, sizeof bad);
    expect_status(s, 12, 4, 12, INVALID);
    g_assert_cmpint(command(s, 6, 0, inquiry, sizeof inquiry), ==, USB_DONE); /* no such unit */
    g_assert_cmpuint(wait_for(s, post(s, IN, 6, data, 36)), ==, 36);
    g_assert_cmpuint(data[0], ==, 0x7f);
    expect_status(s, 6, 3, 6, 0);
    g_assert_cmpint(command(s, 33, 3, inquiry, sizeof inquiry), ==, USB_STALL); /* no such stream */
    close_uas(s);
}

/* More commands than there is room for wait in the pipe. */
static void test_full(void)
{
    static const uint8_t ready[6] = { 0 };
    unsigned before;
    Uas uas, *s = &uas;

    open_uas(s, false);
    begin(s, false);
    for (unsigned tag = 1; tag <= 32; tag++) {
        g_assert_cmpint(command(s, tag, 3, ready, sizeof ready), ==, USB_DONE);
    }
    g_assert_cmpint(command(s, 33, 3, ready, sizeof ready), ==, USB_NAK);
    before = usb_bench_host->ready;
    expect_status(s, 0, 3, 1, 0);
    g_assert_cmpuint(usb_bench_host->ready, ==, before + 1);
    g_assert_cmpint(command(s, 33, 3, ready, sizeof ready), ==, USB_DONE);
    for (unsigned tag = 2; tag <= 33; tag++) {
        expect_status(s, 0, 3, tag, 0); /* in their order */
    }
    close_uas(s);
}

/* A packet that is taken back comes again, and its command with it; so does one whose state was saved while it waited. */
static void test_packets_again(void)
{
    uint8_t data[1024] = { 0 };
    g_autoptr(GByteArray) state = g_byte_array_new();
    Waiting *out;
    Uas uas, *s = &uas;

    open_uas(s, true);
    begin(s, true);
    move(s, 8, false, 70, 2);
    memset(data, 0x3c, sizeof data);
    wait_for(s, post(s, OUT, 8, data, 512));
    device_save_state(&s->usb->device, state);
    manage(s, 5, 1, 3, 8);
    expect_status(s, 5, 4, 5, 0);
    g_assert_true(device_load_state(&s->usb->device, 0, state->data, state->len, NULL));
    wait_for(s, post(s, OUT, 8, data + 512, 512));
    expect_status(s, 8, 3, 8, 0);
    out = post(s, OUT, 8, data, 1024);
    move(s, 8, false, 80, 2);
    if (!out->done) {
        usb_packet_cancel(&out->packet);
        out = post(s, OUT, 8, data, 1024);
    }
    wait_for(s, out);
    expect_status(s, 8, 3, 8, 0);
    move(s, 9, true, 70, 2);
    g_assert_cmpuint(wait_for(s, post(s, IN, 9, data, 1024)), ==, 1024);
    g_assert_cmpuint(data[1023], ==, 0x3c);
    close_uas(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/usb-uas/descriptors", test_descriptors);
    g_test_add_func("/usb-uas/streams", test_streams);
    g_test_add_func("/usb-uas/no-streams", test_no_streams);
    g_test_add_func("/usb-uas/management", test_management);
    g_test_add_func("/usb-uas/full", test_full);
    g_test_add_func("/usb-uas/packets-again", test_packets_again);
    return g_test_run();
}
