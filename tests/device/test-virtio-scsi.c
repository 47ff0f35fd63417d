/* SPDX-License-Identifier: MIT */
/* virtio-scsi over each transport, with a disk and a disc on its bus: commands, task management, errors, saved states. */

#include "base/bits.h"
#include "block/block.h"
#include "machine/saved-state.h"
#include "tests/device/bench.h"
#include "tests/device/image.h"

enum {
    CONTROL = 0,
    REQUESTS = 2,
    HEADER = DRIVER_DATA,
    ANSWER = DRIVER_DATA + 0x1000,
    DATA = DRIVER_DATA + 0x10000,
    HEADER_SIZE = 19 + 32,
    ANSWER_SIZE = 12 + 96,
    DISK_BYTES = 4 << 20,
    DISK_TARGET = 3,
    DISC_TARGET = 5,
    GOOD = 0,
    CHECK_CONDITION = 2,
    NEEDS_RESET = 64,
    RING_RESET = 40,
};

typedef struct {
    Driver *driver;
    BlockGraph *graph;
    BlockBackend *blocks[2];
} Scsi;

static Scsi *scsi_new(DriveKind kind, const char *error)
{
    Scsi *s = g_new0(Scsi, 1);
    Bench *bench = driver_bench_new(kind);

    s->graph = block_graph_new(NULL);
    s->blocks[0] = image_open(bench->machine, s->graph, "disk0", DISK_BYTES, false, error);
    s->blocks[1] = image_open(bench->machine, s->graph, "disc0", DISK_BYTES, false, NULL);
    s->driver = driver_new(bench, kind, "virtio-scsi", "num_queues", "1", NULL);
    bench_device(bench, "scsi-hd", "hd", "drive", "disk0", "scsi-id", "3", "lun", "0", "serial",
                 "S1", "werror", "stop", NULL);
    bench_device(bench, "scsi-cd", "cd", "drive", "disc0", "scsi-id", "5", NULL);
    driver_start(s->driver, 0, 3);
    return s;
}

static void scsi_free(Scsi *s)
{
    driver_free(s->driver);
    for (unsigned i = 0; i < 2; i++) {
        block_close(s->blocks[i]);
    }
    block_graph_free(s->graph);
    g_free(s);
}

static uint8_t *ram(Scsi *s, uint64_t address)
{
    return bench_ram(s->driver->bench, address);
}

static void put_unit(uint8_t *at, unsigned target, unsigned lun)
{
    memset(at, 0, 8);
    at[0] = 1;
    at[1] = target;
    store_be16(at + 2, 0x4000 | lun);
}

/* Queues a command with `out` or `in` bytes of data at DATA. */
static void add(Scsi *s, unsigned target, unsigned lun, const uint8_t *cdb, unsigned size,
                uint32_t out, uint32_t in)
{
    uint8_t *header = ram(s, HEADER);
    Buffer buffers[4] = { { HEADER, HEADER_SIZE, false } };
    unsigned count = 1;

    memset(header, 0, HEADER_SIZE);
    put_unit(header, target, lun);
    store_le64(header + 8, 0x1234);
    memcpy(header + 19, cdb, size);
    memset(ram(s, ANSWER), 0xee, ANSWER_SIZE);
    if (out) {
        buffers[count++] = (Buffer){ DATA, out, false };
    }
    buffers[count++] = (Buffer){ ANSWER, ANSWER_SIZE, true };
    if (in) {
        buffers[count++] = (Buffer){ DATA, in, true };
    }
    driver_add(s->driver, REQUESTS, buffers, count);
    driver_kick(s->driver, REQUESTS);
}

static uint8_t response(Scsi *s)
{
    return ram(s, ANSWER)[11];
}

static uint8_t status(Scsi *s)
{
    g_assert_cmpuint(response(s), ==, 0);
    return ram(s, ANSWER)[10];
}

static uint32_t residual(Scsi *s)
{
    return load_le32(ram(s, ANSWER) + 4);
}

static void assert_sense(Scsi *s, unsigned key, unsigned code)
{
    const uint8_t *sense = ram(s, ANSWER) + 12;

    g_assert_cmpuint(status(s), ==, CHECK_CONDITION);
    g_assert_cmpuint(load_le32(ram(s, ANSWER)), >=, 18);
    g_assert_cmphex(sense[2] & 15, ==, key);
    g_assert_cmphex(sense[12], ==, code);
}

#define COMMAND(s, target, lun, out, in, ...)                                                      \
    (add(s, target, lun, (const uint8_t[]){ __VA_ARGS__ },                                         \
         sizeof((const uint8_t[]){ __VA_ARGS__ }), out, in),                                       \
     driver_wait((s)->driver, REQUESTS), status(s))
#define DISK(s, out, in, ...) COMMAND(s, DISK_TARGET, 0, out, in, __VA_ARGS__)

/* Units tell of their reset before anything else. */
static void take_attention(Scsi *s)
{
    DISK(s, 0, 0, 0x00);
    assert_sense(s, 6, 0x29);
    g_assert_cmpuint(DISK(s, 0, 0, 0x00), ==, GOOD);
}

static void test_inquiry(gconstpointer kind)
{
    Scsi *s = scsi_new(*(const DriveKind *)kind, NULL);
    const uint8_t *data = ram(s, DATA);

    g_assert_cmpuint(DISK(s, 0, 96, 0x12, 0, 0, 0, 96), ==, GOOD);
    g_assert_cmphex(data[0], ==, 0);
    g_assert_cmpint(memcmp(data + 8, "QEMU    QEMU HARDDISK   2.5+", 28), ==, 0);
    g_assert_cmpuint(residual(s), ==, 96 - 36);
    g_assert_cmpuint(COMMAND(s, DISC_TARGET, 0, 0, 36, 0x12, 0, 0, 0, 36), ==, GOOD);
    g_assert_cmphex(data[0], ==, 5);
    g_assert_cmphex(data[1], ==, 0x80);
    g_assert_cmpuint(DISK(s, 0, 255, 0x12, 1, 0x00, 0, 255), ==, GOOD);
    g_assert_cmpint(memcmp(data + 4, "\x00\x80\x83\xb0\xb1\xb2", 6), ==, 0);
    g_assert_cmpuint(DISK(s, 0, 255, 0x12, 1, 0x80, 0, 255), ==, GOOD);
    g_assert_cmpint(memcmp(data + 3, "\x02S1", 3), ==, 0);
    g_assert_cmpuint(DISK(s, 0, 255, 0x12, 1, 0xb2, 0, 255), ==, GOOD);
    g_assert_cmphex(data[5], ==, 0xe0);
    /* Units that are not there, of a target that is and of one that is not. */
    g_assert_cmpuint(COMMAND(s, DISK_TARGET, 7, 0, 36, 0x12, 0, 0, 0, 36), ==, GOOD);
    g_assert_cmphex(data[0], ==, 0x7f);
    COMMAND(s, DISK_TARGET, 7, 0, 0, 0x00);
    assert_sense(s, 5, 0x25);
    add(s, 9, 0, (const uint8_t[]){ 0x00 }, 1, 0, 0);
    driver_wait(s->driver, REQUESTS);
    g_assert_cmpuint(response(s), ==, 3);
    g_assert_cmpuint(DISK(s, 0, 64, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64), ==, GOOD);
    g_assert_cmpuint(load_be32(data), ==, 8);
    g_assert_cmphex(load_be64(data + 8), ==, 0);
    scsi_free(s);
}

static void test_transfer(gconstpointer kind)
{
    Scsi *s = scsi_new(*(const DriveKind *)kind, NULL);
    uint8_t *data = ram(s, DATA);

    take_attention(s);
    g_assert_cmpuint(DISK(s, 0, 8, 0x25), ==, GOOD);
    g_assert_cmpuint(load_be32(data), ==, DISK_BYTES / 512 - 1);
    g_assert_cmpuint(DISK(s, 0, 32, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32), ==, GOOD);
    g_assert_cmpuint(load_be64(data), ==, DISK_BYTES / 512 - 1);
    g_assert_cmpuint(DISK(s, 0, 2048, 0x28, 0, 0, 0, 0, 7, 0, 0, 4), ==, GOOD);
    for (unsigned i = 0; i < 4; i++) {
        g_assert_cmpuint(load_le32(data + i * 512), ==, 7 + i);
    }
    g_assert_cmpuint(DISK(s, 0, 1024, 0x08, 0, 0, 9, 1), ==, GOOD);
    g_assert_cmpuint(load_le32(data), ==, 9);
    g_assert_cmpuint(residual(s), ==, 512);
    memset(data, 0x5a, 1024);
    g_assert_cmpuint(DISK(s, 1024, 0, 0x8a, 8, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 2), ==, GOOD);
    memset(data, 0, 1024);
    g_assert_cmpuint(DISK(s, 0, 1536, 0xa8, 0, 0, 0, 0, 20, 0, 0, 0, 3), ==, GOOD);
    g_assert_cmphex(data[1023], ==, 0x5a);
    g_assert_cmpuint(load_le32(data + 1024), ==, 22);
    DISK(s, 0, 512, 0x28, 0, 0, 1, 0, 0, 0, 0, 1);
    assert_sense(s, 5, 0x21);
    /* More than the driver has given room for. */
    add(s, DISK_TARGET, 0, (const uint8_t[]){ 0x28, 0, 0, 0, 0, 0, 0, 0, 4 }, 9, 0, 1024);
    driver_wait(s->driver, REQUESTS);
    g_assert_cmpuint(response(s), ==, 1);
    g_assert_cmpuint(DISK(s, 0, 0, 0x35), ==, GOOD);
    DISK(s, 0, 0, 0xff);
    assert_sense(s, 5, 0x20);
    scsi_free(s);
}

static void test_log(gconstpointer kind)
{
    Scsi *s = scsi_new(*(const DriveKind *)kind, NULL);
    const uint8_t *data = ram(s, DATA);

    take_attention(s);
    g_assert_cmpuint(DISK(s, 0, 64, 0x4d, 0, 0x40, 0, 0, 0, 0, 0, 64), ==, GOOD);
    g_assert_cmpint(memcmp(data, "\x00\x00\x00\x03\x00\x0d\x2f", 7), ==, 0);
    g_assert_cmpuint(residual(s), ==, 64 - 7);
    g_assert_cmpuint(DISK(s, 0, 64, 0x4d, 0, 0x40, 0xff, 0, 0, 0, 0, 64), ==, GOOD);
    g_assert_cmpint(memcmp(data, "\x40\xff\x00\x08", 4), ==, 0);
    /* Temperatures: now, and what it should not exceed. */
    g_assert_cmpuint(DISK(s, 0, 64, 0x4d, 0, 0x4d, 0, 0, 0, 0, 0, 64), ==, GOOD);
    g_assert_cmpint(memcmp(data, "\x0d\x00\x00\x0c\x00\x00\x03\x02", 8), ==, 0);
    g_assert_cmpuint(data[9], <, data[15]);
    g_assert_cmpuint(DISK(s, 0, 4, 0x4d, 0, 0x4d, 0, 0, 0, 0, 0, 4), ==, GOOD);
    /* Nothing is wrong. */
    g_assert_cmpuint(DISK(s, 0, 64, 0x4d, 0, 0x6f, 0, 0, 0, 0, 0, 64), ==, GOOD);
    g_assert_cmpint(memcmp(data, "\x2f\x00\x00\x08\x00\x00\x03\x04\x00\x00", 10), ==, 0);
    DISK(s, 0, 64, 0x4d, 0, 0x42, 0, 0, 0, 0, 0, 64);
    assert_sense(s, 5, 0x24);
    DISK(s, 0, 64, 0x4d, 1, 0x40, 0, 0, 0, 0, 0, 64);
    assert_sense(s, 5, 0x24);
    scsi_free(s);
}

static void test_ranges(gconstpointer kind)
{
    Scsi *s = scsi_new(*(const DriveKind *)kind, NULL);
    uint8_t *data = ram(s, DATA);

    take_attention(s);
    memset(data, 0, 512);
    g_assert_cmpuint(DISK(s, 512, 0, 0x93, 8, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 16), ==, GOOD);
    store_le32(data, 0xabcd);
    g_assert_cmpuint(DISK(s, 512, 0, 0x41, 0, 0, 0, 1, 0, 0, 1, 0), ==, GOOD);
    g_assert_cmpuint(DISK(s, 0, 1024, 0x28, 0, 0, 0, 0, 23, 0, 0, 2), ==, GOOD);
    g_assert_cmpuint(load_le32(data), ==, 0);
    g_assert_cmpuint(load_le32(data + 512), ==, 24);
    g_assert_cmpuint(DISK(s, 0, 1024, 0x28, 0, 0, 0, 1, 0xff, 0, 0, 2), ==, GOOD);
    g_assert_cmphex(load_le32(data), ==, 0xabcd);
    g_assert_cmpuint(load_le32(data + 512), ==, 0x200);
    memset(data, 0, 24);
    store_be16(data, 22);
    store_be16(data + 2, 16);
    store_be64(data + 8, 64);
    store_be32(data + 16, 8);
    g_assert_cmpuint(DISK(s, 24, 0, 0x42, 0, 0, 0, 0, 0, 0, 0, 24), ==, GOOD);
    store_be64(data + 8, DISK_BYTES / 512 - 1);
    DISK(s, 24, 0, 0x42, 0, 0, 0, 0, 0, 0, 0, 24);
    assert_sense(s, 5, 0x21);
    DISK(s, 512, 0, 0x41, 0, 0, 0, 0, 0, 0, 0, 0); /* to the end: not offered */
    assert_sense(s, 5, 0x24);
    scsi_free(s);
}

static void test_disc(gconstpointer kind)
{
    Scsi *s = scsi_new(*(const DriveKind *)kind, NULL);
    uint8_t *data = ram(s, DATA);

    COMMAND(s, DISC_TARGET, 0, 0, 0, 0x00);
    assert_sense(s, 6, 0x29);
    g_assert_cmpuint(COMMAND(s, DISC_TARGET, 0, 0, 4096, 0x28, 0, 0, 0, 0, 5, 0, 0, 2), ==, GOOD);
    g_assert_cmpuint(load_le32(data), ==, 20);
    g_assert_cmpuint(load_le32(data + 2048), ==, 24);
    /* A raw sector. */
    g_assert_cmpuint(COMMAND(s, DISC_TARGET, 0, 0, 2352, 0xbe, 0, 0, 0, 0, 5, 0, 0, 1, 0xf8), ==,
                     GOOD);
    g_assert_cmpint(memcmp(data, "\x00\xff\xff", 3), ==, 0);
    g_assert_cmpint(memcmp(data + 12, "\x00\x02\x05\x01", 4), ==, 0);
    g_assert_cmpuint(load_le32(data + 16), ==, 20);
    COMMAND(s, DISC_TARGET, 0, 2048, 0, 0x2a, 0, 0, 0, 0, 5, 0, 0, 1);
    assert_sense(s, 5, 0x20);
    scsi_free(s);
}

static uint8_t manage(Scsi *s, unsigned kind, unsigned target, unsigned lun)
{
    uint8_t *request = ram(s, HEADER + 0x800);
    Buffer buffers[2] = { { HEADER + 0x800, 24, false }, { ANSWER + 0x800, 1, true } };

    memset(request, 0, 24);
    store_le32(request + 4, kind);
    put_unit(request + 8, target, lun);
    store_le64(request + 16, 0x1234);
    driver_do(s->driver, CONTROL, buffers, 2);
    return *ram(s, ANSWER + 0x800);
}

static void resume(Scsi *s)
{
    machine_event(s->driver->bench->machine, "RESUME", NULL);
    bench_run_main_loop(s->driver->bench);
}

static const uint8_t write_one[] = { 0x2a, 0, 0, 0, 0, 30, 0, 0, 1 };

/* Has a write fail, so that it is held. */
static void hold_write(Scsi *s)
{
    take_attention(s);
    memset(ram(s, DATA), 0x77, 512);
    add(s, DISK_TARGET, 0, write_one, sizeof write_one, 512, 0);
    for (unsigned i = 0; i < 50; i++) {
        bench_run_main_loop(s->driver->bench);
        g_usleep(1000);
    }
    g_assert_false(driver_used_any(s->driver, REQUESTS));
}

static void check_written(Scsi *s)
{
    uint8_t *data = ram(s, DATA);

    memset(data, 0, 512);
    g_assert_cmpuint(DISK(s, 0, 512, 0x28, 0, 0, 0, 0, 30, 0, 0, 1), ==, GOOD);
    g_assert_cmphex(data[511], ==, 0x77);
}

static void test_management(gconstpointer kind)
{
    Scsi *s = scsi_new(*(const DriveKind *)kind, "write");

    g_assert_cmpuint(manage(s, 6, DISK_TARGET, 0), ==, 0);
    g_assert_cmpuint(manage(s, 5, DISK_TARGET, 9), ==, 12);
    g_assert_cmpuint(manage(s, 5, 77, 0), ==, 3);
    g_assert_cmpuint(manage(s, 2, DISK_TARGET, 0), ==, 11);
    hold_write(s);
    g_assert_cmpuint(manage(s, 6, DISK_TARGET, 0), ==, 10);
    g_assert_cmpuint(manage(s, 0, DISK_TARGET, 0), ==, 0);
    driver_wait(s->driver, REQUESTS);
    g_assert_cmpuint(response(s), ==, 2);
    g_assert_cmpuint(manage(s, 5, DISK_TARGET, 0), ==, 0);
    take_attention(s);
    g_assert_cmpuint(manage(s, 4, DISK_TARGET, 0), ==, 0);
    take_attention(s);
    scsi_free(s);
}

static void test_held(gconstpointer kind)
{
    Scsi *s = scsi_new(*(const DriveKind *)kind, "write");

    g_assert_cmpstr(block_io_status(s->blocks[0]), ==, "ok");
    hold_write(s);
    g_assert_cmpstr(block_io_status(s->blocks[0]), ==, "failed");
    g_assert_cmpstr(block_io_status(s->blocks[1]), ==, "ok");
    resume(s);
    driver_wait(s->driver, REQUESTS);
    g_assert_cmpuint(status(s), ==, GOOD);
    check_written(s);
    scsi_free(s);
}

/* A request that is held is in a saved state, and made when the machine that has loaded it goes on. */
static void test_saved(gconstpointer kind)
{
    Scsi *s = scsi_new(*(const DriveKind *)kind, "write");
    Device *device = s->driver->device;
    g_autoptr(GByteArray) saved = g_byte_array_new(), again = g_byte_array_new();
    GError *error = NULL;

    hold_write(s);
    device_save_state(device, saved);
    for (unsigned i = 0; i < 2; i++) {
        device_load_state(device, device->type->state_version, saved->data, saved->len, &error);
        g_assert_no_error(error);
    }
    device_save_state(device, again);
    g_assert_cmpmem(saved->data, saved->len, again->data, again->len);
    g_assert_false(driver_used_any(s->driver, REQUESTS));
    resume(s);
    driver_wait(s->driver, REQUESTS);
    g_assert_cmpuint(status(s), ==, GOOD);
    check_written(s);
    scsi_free(s);
}

/* A reset forgets what is held. */
static void test_reset(gconstpointer kind)
{
    Scsi *s = scsi_new(*(const DriveKind *)kind, "write");

    hold_write(s);
    driver_start(s->driver, 0, 3);
    resume(s);
    g_assert_false(driver_used_any(s->driver, REQUESTS));
    take_attention(s);
    scsi_free(s);
}

/* So does one of its queue; what is held and came by another one would stay. */
static void test_queue_reset(gconstpointer kind)
{
    Scsi *s = scsi_new(*(const DriveKind *)kind, "write");

    driver_start(s->driver, BIT(RING_RESET), 3);
    if (driver_offered(s->driver) & BIT(RING_RESET)) {
        hold_write(s);
        driver_reset_queue(s->driver, CONTROL);
        driver_set_queue(s->driver, CONTROL);
        g_assert_cmpuint(manage(s, 6, DISK_TARGET, 0), ==, 10); /* it is there yet */
        driver_reset_queue(s->driver, REQUESTS);
        g_assert_false(driver_queue_resetting(s->driver, REQUESTS));
        driver_set_queue(s->driver, REQUESTS);
        resume(s);
        g_assert_false(driver_used_any(s->driver, REQUESTS));
        g_assert_cmpuint(manage(s, 6, DISK_TARGET, 0), ==, 0);
        g_assert_cmpuint(DISK(s, 0, 0, 0x00, 0, 0, 0, 0, 0), ==, GOOD);
    }
    scsi_free(s);
}

/* Both forms, without persistent ones: those are invalid commands, as with QEMU's disks. */
static void test_reservations(gconstpointer kind)
{
    Scsi *s = scsi_new(*(const DriveKind *)kind, NULL);

    take_attention(s);
    for (unsigned release = 0; release < 2; release++) {
        g_assert_cmpuint(DISK(s, 0, 0, 0x16 + release, 0, 0, 0, 0, 0), ==, GOOD);
        g_assert_cmpuint(DISK(s, 0, 0, 0x56 + release, 0x10, 0, 0, 0, 0, 0, 0, 0, 0), ==, GOOD);
        DISK(s, 0, 0, 0x16 + release, 1, 0, 0, 0, 0);
        assert_sense(s, 5, 0x24);
        DISK(s, 0, 0, 0x56 + release, 2, 0, 0, 0, 0, 0, 0, 0, 0);
        assert_sense(s, 5, 0x24);
        DISK(s, 0, 0, 0x5e + release, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        assert_sense(s, 5, 0x20);
    }
    scsi_free(s);
}

static void test_bad(gconstpointer kind)
{
    Scsi *s = scsi_new(*(const DriveKind *)kind, NULL);
    Buffer buffers[2] = { { HEADER, 20, false }, { ANSWER, 4, true } };

    driver_add(s->driver, REQUESTS, buffers, 2);
    driver_kick(s->driver, REQUESTS);
    bench_run_main_loop(s->driver->bench);
    g_assert_false(driver_used_any(s->driver, REQUESTS));
    if (*(const DriveKind *)kind != DRIVE_PCI_LEGACY) { /* which does not show it */
        g_assert_cmphex(driver_status(s->driver) & NEEDS_RESET, ==, NEEDS_RESET);
    }
    driver_start(s->driver, 0, 3);
    take_attention(s);
    scsi_free(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_each_transport("scsi/inquiry", test_inquiry);
    test_each_transport("scsi/transfer", test_transfer);
    test_each_transport("scsi/log", test_log);
    test_each_transport("scsi/ranges", test_ranges);
    test_each_transport("scsi/disc", test_disc);
    test_each_transport("scsi/management", test_management);
    test_each_transport("scsi/held", test_held);
    test_each_transport("scsi/saved", test_saved);
    test_each_transport("scsi/reset", test_reset);
    test_each_transport("scsi/queue-reset", test_queue_reset);
    test_each_transport("scsi/reservations", test_reservations);
    test_each_transport("scsi/bad", test_bad);
    return g_test_run();
}
