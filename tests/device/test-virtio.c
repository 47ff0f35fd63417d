/* SPDX-License-Identifier: MIT */
/* Virtio devices over each transport, and queues that break every rule. */
#include "tests/device/bench.h"

#include <glib/gstdio.h>
#include <unistd.h>

#include "base/bits.h"
#include "block/block.h"
#include "machine/saved-state.h"
#include "machine/virtio-info.h"
#include "tests/patience.h"

enum { DATA = DRIVER_DATA, NEEDS_RESET = 64, EVENT_IDX = 29, INDIRECT = 28, RING_RESET = 40 };

/* Entropy. */

static void test_rng(gconstpointer kind)
{
    Driver *driver = driver_new(NULL, *(const DriveKind *)kind, "virtio-rng", NULL);
    Buffer buffer = { DATA, 64, true };
    static const uint8_t zero[64];

    driver_start(driver, 0, 1);
    g_assert_cmpuint(driver_do(driver, 0, &buffer, 1), ==, 64);
    g_assert_true(memcmp(bench_ram(driver->bench, DATA), zero, 64));
    g_assert_true(driver_interrupted(driver));
    g_assert_false(driver_interrupted(driver));
    for (unsigned i = 0; i < 100; i++) { /* around the ring */
        g_assert_cmpuint(driver_do(driver, 0, &buffer, 1), ==, 64);
    }
    driver_free(driver);
}

static void test_rng_event_index(gconstpointer kind)
{
    Driver *driver = driver_new(NULL, *(const DriveKind *)kind, "virtio-rng", NULL);
    Buffer buffer = { DATA, 64, true };
    uint8_t *used_event;

    driver_start(driver, BIT(EVENT_IDX), 1);
    used_event = bench_ram(driver->bench, driver_available(driver, 0)) + 4 + 2 * DRIVER_QUEUE_SIZE;
    if (*(const DriveKind *)kind == DRIVE_PCI_LEGACY) {
        driver_free(driver);
        return;
    }
    store_le16(used_event, 2); /* tell me when the third is done */
    driver_do(driver, 0, &buffer, 1);
    driver_interrupted(driver);
    driver_do(driver, 0, &buffer, 1);
    g_assert_false(driver_interrupted(driver));
    driver_do(driver, 0, &buffer, 1);
    g_assert_true(driver_interrupted(driver));
    driver_do(driver, 0, &buffer, 1);
    g_assert_false(driver_interrupted(driver));
    driver_free(driver);
}

static void bells_changed(void *opaque)
{
}

/* A kick that reached the descriptor, and that the main loop has not heard, is in a machine that is saved then. */
static void test_kick_saved(void)
{
    Bench *bench = driver_bench_new(DRIVE_PCI);
    Machine *machine = bench->machine;
    Buffer buffer = { DATA, 64, true };
    g_autoptr(GByteArray) saved = NULL;
    g_autoptr(GError) error = NULL;
    const uint64_t once = 1;
    const MemoryDoorbell *bell;
    Driver *driver;

    memory_set_doorbell_hook(machine, bells_changed, NULL);
    machine_start(machine);
    driver = driver_new(bench, DRIVE_PCI, "virtio-rng", NULL);
    driver_start(driver, 0, 1);
    bell = memory_doorbells(machine)->pdata[0];
    driver_add(driver, 0, &buffer, 1);
    g_assert_cmpint(write(bell->fd, &once, sizeof once), ==, sizeof once);
    machine_stop(machine, STOP_PAUSED);
    saved = machine_save_state(machine);
    machine_reset(machine);
    g_assert_true(machine_load_state(machine, saved->data, saved->len, &error));
    machine_start(machine);
    driver_wait(driver, 0);
    driver_free(driver);
}

/* A request of `size` bytes: the status; the rest of the response is in RAM behind its head. */
static unsigned ask_rtc(Driver *driver, unsigned type, unsigned clock, unsigned counter,
                        unsigned size, unsigned room)
{
    uint8_t *request = bench_ram(driver->bench, DATA);
    const Buffer buffers[] = { { DATA, size, false }, { DATA + 64, room, true } };

    memset(request, 0, 128);
    store_le16(request, (uint16_t)type);
    store_le16(request + 8, (uint16_t)clock);
    request[10] = (uint8_t)counter;
    driver_do(driver, 0, buffers, 2);
    return request[64];
}

static uint64_t tenth(Machine *machine, int64_t virtual_ns)
{
    return (uint64_t)virtual_ns / 10;
}

static void test_rtc(gconstpointer kind)
{
    enum { READ = 1, READ_CROSS = 2, CFG = 0x1000, CLOCK_CAP, CROSS_CAP, SET_ALARM = 0x1004 };
    static const Target target = { .counter = COUNTER_ARM_VIRTUAL, .counter_at = tenth };
    Driver *driver = driver_new(NULL, *(const DriveKind *)kind, "virtio-rtc", NULL);
    Machine *machine = driver->bench->machine;
    const uint8_t *out = bench_ram(driver->bench, DATA + 64);
    int64_t before, after;

    machine->config.rtc_base_s = 1000000;
    driver_start(driver, 0, 1);
    g_assert_cmpuint(ask_rtc(driver, CFG, 0, 0, 8, 16), ==, 0);
    g_assert_cmpuint(load_le16(out + 8), ==, 2);
    g_assert_cmpuint(ask_rtc(driver, CLOCK_CAP, 0, 0, 16, 16), ==, 0);
    g_assert_cmpuint(out[8], ==, 0); /* UTC */
    g_assert_cmpuint(ask_rtc(driver, CLOCK_CAP, 1, 0, 16, 16), ==, 0);
    g_assert_cmpuint(out[8], ==, 2); /* monotonic */
    g_assert_cmpuint(ask_rtc(driver, CLOCK_CAP, 2, 0, 16, 16), ==, 3);
    before = clock_utc_ns(machine);
    g_assert_cmpuint(ask_rtc(driver, READ, 0, 0, 16, 16), ==, 0);
    after = clock_utc_ns(machine);
    g_assert_cmpint((int64_t)load_le64(out + 8), >=, before);
    g_assert_cmpint((int64_t)load_le64(out + 8), <=, after);
    g_assert_cmpint(before / 1000000000, >=, 1000000);
    /* Without a counter there is nothing to cross with. */
    g_assert_cmpuint(ask_rtc(driver, CROSS_CAP, 0, 0, 16, 16), ==, 0);
    g_assert_cmpuint(out[8], ==, 0);
    g_assert_cmpuint(ask_rtc(driver, READ_CROSS, 0, 0, 16, 24), ==, 2);
    machine->config.target = &target;
    g_assert_cmpuint(ask_rtc(driver, CROSS_CAP, 0, 0, 16, 16), ==, 0);
    g_assert_cmpuint(out[8], ==, 1);
    g_assert_cmpuint(ask_rtc(driver, CROSS_CAP, 0, 1, 16, 16), ==, 0); /* not an x86 */
    g_assert_cmpuint(out[8], ==, 0);
    before = clock_now_ns(machine);
    g_assert_cmpuint(ask_rtc(driver, READ_CROSS, 1, 0, 16, 24), ==, 0);
    after = clock_now_ns(machine);
    g_assert_cmpint((int64_t)load_le64(out + 16), >=, before / 10);
    g_assert_cmpint((int64_t)load_le64(out + 16), <=, after / 10);
    g_assert_cmpuint(ask_rtc(driver, READ_CROSS, 0, 255, 16, 24), ==, 2);
    /* What is too short, too small, unknown. */
    g_assert_cmpuint(ask_rtc(driver, READ, 0, 0, 4, 16), ==, 4);
    g_assert_cmpuint(ask_rtc(driver, READ, 0, 0, 12, 16), ==, 4);
    g_assert_cmpuint(ask_rtc(driver, READ, 0, 0, 16, 9), ==, 4);
    g_assert_cmpuint(ask_rtc(driver, SET_ALARM, 0, 0, 16, 16), ==, 2);
    g_assert_cmpuint(ask_rtc(driver, 0, 0, 0, 16, 16), ==, 2);
    machine->config.target = NULL;
    driver_free(driver);
}

static void test_rng_limit(void)
{
    Driver *driver =
        driver_new(NULL, DRIVE_MMIO, "virtio-rng", "max-bytes", "16", "period", "1000", NULL);
    Buffer buffer = { DATA, 12, true };

    driver_start(driver, 0, 1);
    g_assert_cmpuint(driver_do(driver, 0, &buffer, 1), ==, 12);
    g_assert_cmpuint(driver_do(driver, 0, &buffer, 1), ==, 4);
    driver_add(driver, 0, &buffer, 1);
    driver_kick(driver, 0);
    bench_run_main_loop(driver->bench);
    g_assert_false(driver_used_any(driver, 0));
    driver_free(driver);
}

/* Without bus mastering a device leaves memory alone; a kick is not forgotten. */
static void test_bus_master(void)
{
    Driver *driver = driver_new(NULL, DRIVE_PCI, "virtio-rng", NULL);
    Buffer buffer = { DATA, 16, true };

    driver_start(driver, 0, 1);
    bench_config_write(driver->bench, 1 << 3, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    driver_add(driver, 0, &buffer, 1);
    driver_kick(driver, 0);
    g_assert_false(driver_used_any(driver, 0));
    bench_config_write(driver->bench, 1 << 3, PCI_COMMAND,
                       PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER, 2);
    g_assert_cmpuint(driver_wait(driver, 0), ==, 16);
    driver_free(driver);
}

/* The window for drivers that cannot map BARs. */
static void test_configuration_access(void)
{
    enum { DEVFN = 1 << 3, BAR = 4, OFFSET = 8, LENGTH = 12, DATA_WINDOW = 16, TYPE = 3, PCI = 5 };
    Driver *driver = driver_new(NULL, DRIVE_PCI, "virtio-rng", NULL);
    Bench *bench = driver->bench;
    unsigned cap = bench_find_capability(bench, DEVFN, PCI_CAPABILITY_VENDOR, 0);

    while (cap && bench_config_read(bench, DEVFN, cap + TYPE, 1) != PCI) {
        cap = bench_find_capability(bench, DEVFN, PCI_CAPABILITY_VENDOR, cap);
    }
    g_assert_cmpuint(cap, !=, 0);
    bench_config_write(bench, DEVFN, cap + BAR, 4, 1);
    bench_config_write(bench, DEVFN, cap + OFFSET, 0x14, 4);
    bench_config_write(bench, DEVFN, cap + LENGTH, 1, 4);
    bench_config_write(bench, DEVFN, cap + DATA_WINDOW, 3, 4);
    g_assert_cmphex(driver_status(driver), ==, 3);
    g_assert_cmphex(bench_config_read(bench, DEVFN, cap + DATA_WINDOW, 1), ==, 3);
    bench_config_write(bench, DEVFN, cap + OFFSET, 0xfffffffc, 4);
    bench_config_write(bench, DEVFN, cap + LENGTH, 4, 4);
    bench_config_read(bench, DEVFN, cap + DATA_WINDOW, 4);
    driver_free(driver);
}

/* Queues that break the rules. */

typedef void Mischief(Driver *driver);

static uint8_t *descriptor(Driver *driver, unsigned index)
{
    return bench_ram(driver->bench, driver_descriptors(driver, 0) + 16 * index);
}

static void set_descriptor(Driver *driver, unsigned index, uint64_t address, uint32_t length,
                           uint16_t flags, uint16_t next)
{
    uint8_t *d = descriptor(driver, index);

    store_le64(d, address);
    store_le32(d + 8, length);
    store_le16(d + 12, flags);
    store_le16(d + 14, next);
}

static void make_available(Driver *driver, uint16_t head, uint16_t index)
{
    uint8_t *ring = bench_ram(driver->bench, driver_available(driver, 0));

    store_le16(ring + 4, head);
    store_le16(ring + 2, index);
}

static void looped(Driver *driver)
{
    set_descriptor(driver, 0, DATA, 1, 3, 1);
    set_descriptor(driver, 1, DATA, 1, 3, 0);
    make_available(driver, 0, 1);
}

static void empty_loop(Driver *driver)
{
    set_descriptor(driver, 0, DATA, 0, 3, 0);
    make_available(driver, 0, 1);
}

/* What the monitor shows of queues; it looks at whatever is there, and breaks nothing. */
static void test_inspection(gconstpointer kind)
{
    Driver *driver = driver_new(NULL, *(const DriveKind *)kind, "virtio-rng", NULL);
    const VirtioInspection *look = virtio_inspection_of(driver->device);
    g_autofree VirtioElementInfo *element = g_new0(VirtioElementInfo, 1);
    Buffer buffers[] = { { DATA, 16, false }, { DATA + 64, 48, true } };
    VirtioQueueInfo queue;
    VirtioInfo info;
    unsigned head;

    g_assert_false(look->element(driver->device, 0, -1, element, NULL));
    g_assert_false(look->queue(driver->device, 9, &queue, NULL));
    g_assert_false(look->vhost_queue(driver->device, 0, &(VirtioVhostQueueInfo){ 0 }, NULL));
    driver_start(driver, 0, 1);
    look->device(driver->device, &info);
    g_assert_cmpstr(info.name, ==, "virtio-rng");
    g_assert_true(info.started && !info.broken && !info.vhost && info.queues == 1);
    head = driver_add(driver, 0, buffers, 2);
    g_assert_true(look->queue(driver->device, 0, &queue, NULL));
    g_assert_cmpuint(queue.available_index, ==, 1);
    g_assert_cmpuint(queue.last_available, ==, 0);
    g_assert_true(look->element(driver->device, 0, -1, element, NULL));
    g_assert_cmpuint(element->head, ==, head);
    g_assert_cmpuint(element->count, ==, 2);
    g_assert_cmpuint(element->chain[0].address, ==, DATA);
    g_assert_cmpuint(element->chain[1].length, ==, 48);
    g_assert_cmpuint(element->chain[1].flags, ==, VIRTIO_DESCRIPTOR_WRITE);
    looped(driver);
    g_assert_true(look->element(driver->device, 0, 0, element, NULL));
    g_assert_cmpuint(element->count, ==, VIRTIO_INFO_DESCRIPTORS);
    make_available(driver, 0xffff, 1);
    g_assert_true(look->element(driver->device, 0, INT64_MAX, element, NULL));
    look->device(driver->device, &info);
    g_assert_false(info.broken);
    driver_free(driver);
}

static void head_out_of_range(Driver *driver)
{
    make_available(driver, 0xffff, 1);
}

static void next_out_of_range(Driver *driver)
{
    set_descriptor(driver, 0, DATA, 1, 3, DRIVER_QUEUE_SIZE);
    make_available(driver, 0, 1);
}

static void buffer_out_of_ram(Driver *driver)
{
    set_descriptor(driver, 0, BENCH_RAM + BENCH_RAM_SIZE - 8, 16, 2, 0);
    make_available(driver, 0, 1);
}

static void buffer_wraps(Driver *driver)
{
    set_descriptor(driver, 0, UINT64_MAX - 3, UINT32_MAX, 2, 0);
    make_available(driver, 0, 1);
}

static void buffer_huge(Driver *driver)
{
    set_descriptor(driver, 0, BENCH_RAM, UINT32_MAX, 2, 0);
    make_available(driver, 0, 1);
}

static void buffer_is_device(Driver *driver)
{
    set_descriptor(driver, 0, BENCH_SLOTS, 16, 2, 0);
    make_available(driver, 0, 1);
}

static void readable_after_writable(Driver *driver)
{
    set_descriptor(driver, 0, DATA, 8, 3, 1);
    set_descriptor(driver, 1, DATA, 8, 0, 0);
    make_available(driver, 0, 1);
}

static void index_jumps(Driver *driver)
{
    make_available(driver, 0, DRIVER_QUEUE_SIZE + 1);
}

static void indirect_nested(Driver *driver)
{
    uint8_t *table = bench_ram(driver->bench, DATA);

    store_le64(table, DATA);
    store_le32(table + 8, 16);
    store_le16(table + 12, 4);
    set_descriptor(driver, 0, DATA, 16, 4, 0);
    make_available(driver, 0, 1);
}

static void indirect_odd_length(Driver *driver)
{
    set_descriptor(driver, 0, DATA, 15, 4, 0);
    make_available(driver, 0, 1);
}

static void indirect_out_of_ram(Driver *driver)
{
    set_descriptor(driver, 0, BENCH_RAM - 16, 32, 4, 0);
    make_available(driver, 0, 1);
}

static void indirect_with_next(Driver *driver)
{
    set_descriptor(driver, 0, DATA, 16, 5, 1);
    make_available(driver, 0, 1);
}

static void indirect_too_long(Driver *driver)
{
    for (unsigned i = 0; i < 2048; i++) {
        uint8_t *entry = bench_ram(driver->bench, DATA + 16 * i);

        store_le64(entry, DATA);
        store_le32(entry + 8, 1);
        store_le16(entry + 12, 3);
        store_le16(entry + 14, i + 1);
    }
    set_descriptor(driver, 0, DATA, 16 * 2048, 4, 0);
    make_available(driver, 0, 1);
}

static const struct {
    const char *name;
    Mischief *mischief;
} mischiefs[] = {
    { "looped", looped },
    { "empty-loop", empty_loop },
    { "head-out-of-range", head_out_of_range },
    { "next-out-of-range", next_out_of_range },
    { "buffer-out-of-ram", buffer_out_of_ram },
    { "buffer-wraps", buffer_wraps },
    { "buffer-huge", buffer_huge },
    { "buffer-is-device", buffer_is_device },
    { "readable-after-writable", readable_after_writable },
    { "index-jumps", index_jumps },
    { "indirect-nested", indirect_nested },
    { "indirect-odd-length", indirect_odd_length },
    { "indirect-out-of-ram", indirect_out_of_ram },
    { "indirect-with-next", indirect_with_next },
    { "indirect-too-long", indirect_too_long },
};

static void test_mischief(void)
{
    Driver *driver = driver_new(NULL, DRIVE_MMIO, "virtio-rng", NULL);
    Buffer buffer = { DATA, 8, true };

    for (unsigned i = 0; i < ARRAY_SIZE(mischiefs); i++) {
        g_test_message("%s", mischiefs[i].name);
        driver_start(driver, BIT(INDIRECT), 1);
        mischiefs[i].mischief(driver);
        driver_kick(driver, 0);
        g_assert_cmphex(driver_status(driver) & NEEDS_RESET, ==, NEEDS_RESET);
        g_assert_false(driver_used_any(driver, 0));
        driver_start(driver, BIT(INDIRECT), 1); /* and it works again after a reset */
        g_assert_cmpuint(driver_do(driver, 0, &buffer, 1), ==, 8);
    }
    driver_free(driver);
}

static void test_misplaced_rings(void)
{
    Driver *driver = driver_new(NULL, DRIVE_MMIO, "virtio-rng", NULL);
    static const uint64_t addresses[] = { 0, BENCH_RAM + 2, BENCH_RAM + BENCH_RAM_SIZE - 64,
                                          UINT64_MAX - 15, BENCH_SLOTS };

    for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++) {
        driver_start(driver, 0, 0);
        bench_write(driver->bench, driver->base + 0x30, 0, 4);
        bench_write(driver->bench, driver->base + 0x80, (uint32_t)addresses[i], 4);
        bench_write(driver->bench, driver->base + 0x84, addresses[i] >> 32, 4);
        bench_write(driver->bench, driver->base + 0x44, 1, 4);
        driver_kick(driver, 0);
        g_assert_cmphex(driver_status(driver) & NEEDS_RESET, ==, NEEDS_RESET);
    }
    driver_free(driver);
}

/* Block. */

enum { DISK_SIZE = 1 << 20, SECTOR = 512, T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8 };
enum { T_DISCARD = 11, T_WRITE_ZEROES = 13, STATUS = DATA + 0x100000, HEADER = DATA + 0x101000 };

typedef struct {
    Driver *driver;
    BlockGraph *graph;
    BlockBackend *block;
    char *path;
} Disk;

static void add_option(GHashTable *options, const char *name, const char *value)
{
    g_hash_table_insert(options, g_strdup(name), g_strdup(value));
}

/* iops: requests in a second that the host lets through, NULL for no limit. */
static Disk *disk_new_limited(DriveKind kind, bool read_only, uint64_t features, const char *iops)
{
    Disk *disk = g_new0(Disk, 1);
    GHashTable *options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    Bench *bench = driver_bench_new(kind);
    GError *error = NULL;
    int fd = g_file_open_tmp("kaso-virtio-XXXXXX", &disk->path, NULL);

    g_assert_cmpint(ftruncate(fd, DISK_SIZE), ==, 0);
    close(fd);
    disk->graph = block_graph_new(NULL);
    add_option(options, "file", disk->path);
    add_option(options, "format", "raw");
    add_option(options, "id", "disk0");
    add_option(options, "readonly", read_only ? "on" : "off");
    if (iops) {
        add_option(options, "iops", iops);
    }
    disk->block = block_open(disk->graph, options, &error);
    g_assert_no_error(error);
    g_hash_table_unref(options);
    machine_add_drive(bench->machine, "disk0", disk->block);
    disk->driver = driver_new(bench, kind, "virtio-blk", "drive", "disk0", "serial", "S123",
                              "num-queues", "1", NULL);
    driver_start(disk->driver, features, 1);
    return disk;
}

static Disk *disk_new(DriveKind kind, bool read_only, uint64_t features)
{
    return disk_new_limited(kind, read_only, features, NULL);
}

static void disk_free(Disk *disk)
{
    driver_free(disk->driver);
    block_close(disk->block);
    block_graph_free(disk->graph);
    g_unlink(disk->path);
    g_free(disk->path);
    g_free(disk);
}

/* Queues a request without kicking. */
static void disk_add(Disk *disk, uint32_t type, uint64_t sector, uint64_t data, uint32_t size)
{
    uint8_t *header = bench_ram(disk->driver->bench, HEADER);
    Buffer buffers[3] = { { HEADER, 16, false } };
    unsigned count = 1;

    store_le32(header, type);
    store_le32(header + 4, 0);
    store_le64(header + 8, sector);
    if (size) {
        buffers[count++] = (Buffer){ data, size, type == T_IN || type == T_GET_ID };
    }
    buffers[count++] = (Buffer){ STATUS, 1, true };
    *bench_ram(disk->driver->bench, STATUS) = 0xff;
    driver_add(disk->driver, 0, buffers, count);
}

static uint8_t disk_do(Disk *disk, uint32_t type, uint64_t sector, uint64_t data, uint32_t size)
{
    disk_add(disk, type, sector, data, size);
    driver_kick(disk->driver, 0);
    driver_wait(disk->driver, 0);
    return *bench_ram(disk->driver->bench, STATUS);
}

static void test_block(gconstpointer kind)
{
    Disk *disk = disk_new(*(const DriveKind *)kind, false, 0);
    uint8_t *out = bench_ram(disk->driver->bench, DATA);
    uint8_t *in = bench_ram(disk->driver->bench, DATA + 0x10000);

    g_assert_cmpuint(driver_config(disk->driver, 0, 4), ==, DISK_SIZE / SECTOR);
    g_assert_cmpuint(driver_config(disk->driver, 20, 4), ==, SECTOR);
    for (unsigned i = 0; i < 4096; i++) {
        out[i] = (uint8_t)(i * 7 + i / 256);
    }
    g_assert_cmpuint(disk_do(disk, T_OUT, 100, DATA, 4096), ==, 0);
    g_assert_cmpuint(disk_do(disk, T_FLUSH, 0, 0, 0), ==, 0);
    g_assert_cmpuint(disk_do(disk, T_IN, 100, DATA + 0x10000, 4096), ==, 0);
    g_assert_true(!memcmp(in, out, 4096));
    g_assert_true(driver_interrupted(disk->driver));
    g_assert_cmpuint(disk_do(disk, T_GET_ID, 0, DATA, 20), ==, 0);
    g_assert_cmpstr((const char *)out, ==, "S123");
    disk_free(disk);
}

enum { F_FLUSH = 9, F_CONFIG_WCE = 11, CONFIG_WRITEBACK = 32 };

/* 5.2.6.2: who can neither flush nor switch the cache gets none; a reset restores the drive's mode. */
static void test_block_cache(void)
{
    Disk *disk = disk_new(DRIVE_MMIO, false, 0);

    g_assert_false(block_write_cache(disk->block));
    driver_start(disk->driver, BIT(F_FLUSH), 1);
    g_assert_true(block_write_cache(disk->block));
    driver_start(disk->driver, BIT(F_FLUSH) | BIT(F_CONFIG_WCE), 1);
    g_assert_true(block_write_cache(disk->block));
    g_assert_cmpuint(driver_config(disk->driver, CONFIG_WRITEBACK, 1), ==, 1);
    bench_write(disk->driver->bench, disk->driver->base + 0x100 + CONFIG_WRITEBACK, 0, 1);
    g_assert_false(block_write_cache(disk->block));
    g_assert_cmpuint(disk_do(disk, T_OUT, 0, DATA, 512), ==, 0);
    driver_start(disk->driver, BIT(F_FLUSH) | BIT(F_CONFIG_WCE), 1);
    g_assert_true(block_write_cache(disk->block));
    disk_free(disk);
}

static void test_block_refusals(void)
{
    Disk *disk = disk_new(DRIVE_MMIO, false, 0);
    uint64_t last = DISK_SIZE / SECTOR;

    g_assert_cmpuint(disk_do(disk, T_IN, last, DATA, 512), ==, 1);
    g_assert_cmpuint(disk_do(disk, T_IN, last - 1, DATA, 1024), ==, 1);
    g_assert_cmpuint(disk_do(disk, T_IN, UINT64_MAX, DATA, 512), ==, 1);
    g_assert_cmpuint(disk_do(disk, T_IN, UINT64_MAX / 512 + 1, DATA, 512), ==, 1);
    g_assert_cmpuint(disk_do(disk, T_OUT, 0, DATA, 100), ==, 1);
    g_assert_cmpuint(disk_do(disk, 77, 0, DATA, 512), ==, 2);
    g_assert_cmpuint(disk_do(disk, T_IN, 0, DATA, 512), ==, 0);
    disk_free(disk);
}

static void test_block_read_only(void)
{
    Disk *disk = disk_new(DRIVE_PCI, true, UINT64_MAX);

    g_assert_true(driver_offered(disk->driver) & BIT(5));
    g_assert_cmpuint(disk_do(disk, T_OUT, 0, DATA, 512), ==, 1);
    g_assert_cmpuint(disk_do(disk, T_IN, 0, DATA, 512), ==, 0);
    disk_free(disk);
}

static void test_block_ranges(void)
{
    Disk *disk = disk_new(DRIVE_MMIO, false, UINT64_MAX & ~BIT(33));
    uint8_t *data = bench_ram(disk->driver->bench, DATA);

    memset(data, 0x55, 4096);
    g_assert_cmpuint(disk_do(disk, T_OUT, 8, DATA, 4096), ==, 0);
    store_le64(data, 9);
    store_le32(data + 8, 2);
    store_le32(data + 12, 1);
    g_assert_cmpuint(disk_do(disk, T_WRITE_ZEROES, 0, DATA, 16), ==, 0);
    g_assert_cmpuint(disk_do(disk, T_IN, 8, DATA, 4096), ==, 0);
    g_assert_cmphex(data[511], ==, 0x55);
    g_assert_cmphex(data[512], ==, 0);
    g_assert_cmphex(data[1535], ==, 0);
    g_assert_cmphex(data[1536], ==, 0x55);
    store_le64(data, UINT64_MAX);
    g_assert_cmpuint(disk_do(disk, T_DISCARD, 0, DATA, 16), ==, 2); /* bad flags */
    store_le32(data + 12, 0);
    g_assert_cmpuint(disk_do(disk, T_DISCARD, 0, DATA, 16), ==, 1);
    disk_free(disk);
}

/* A driver that resets with requests in flight sees the reset complete only when they have ended. */
/* Reads until the limit holds one back. */
static void leave_in_flight(Disk *disk)
{
    for (unsigned i = 0; i < 100; i++) {
        disk_add(disk, T_IN, 0, DATA, 4096);
        driver_kick(disk->driver, 0);
        bench_run_main_loop(disk->driver->bench);
        if (!driver_used_any(disk->driver, 0)) {
            return;
        }
        driver_wait(disk->driver, 0);
    }
    g_assert_not_reached();
}

static void test_block_reset_in_flight(void)
{
    Disk *disk = disk_new_limited(DRIVE_MMIO, false, 0, "10");

    leave_in_flight(disk);
    driver_set_status(disk->driver, 0);
    g_assert_cmphex(driver_status(disk->driver), !=, 0);
    driver_start(disk->driver, 0, 1); /* waits for the end of the reset */
    g_assert_false(driver_used_any(disk->driver, 0));
    g_assert_cmpuint(disk_do(disk, T_IN, 0, DATA, 512), ==, 0);
    leave_in_flight(disk);
    device_reset_tree(disk->driver->device); /* the machine's reset waits */
    g_assert_cmphex(driver_status(disk->driver), ==, 0);
    disk_free(disk);
}

static const DriveKind modern_kinds[] = { DRIVE_PCI, DRIVE_MMIO };

/* One queue is reset: its requests in flight end without it, and their memory is the driver's only then. */
static void test_block_queue_reset(gconstpointer kind)
{
    Disk *disk = disk_new_limited(*(const DriveKind *)kind, false, BIT(RING_RESET), "10");
    int64_t deadline = patience_end(20);

    leave_in_flight(disk);
    driver_reset_queue(disk->driver, 0);
    g_assert_true(driver_queue_resetting(disk->driver, 0));
    driver_kick(disk->driver, 0); /* which nobody hears */
    while (driver_queue_resetting(disk->driver, 0)) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        bench_run_main_loop(disk->driver->bench);
    }
    g_assert_false(driver_used_any(disk->driver, 0));
    g_assert_cmphex(driver_status(disk->driver) & NEEDS_RESET, ==, 0);
    driver_set_queue(disk->driver, 0);
    g_assert_cmpuint(disk_do(disk, T_IN, 0, DATA, 512), ==, 0);
    disk_free(disk);
}

/* Who has not negotiated it cannot reset a queue, and who negotiated something else is not offered it. */
static void test_queue_reset_refused(gconstpointer kind)
{
    Driver *driver = driver_new(NULL, *(const DriveKind *)kind, "virtio-rng", NULL);
    Buffer buffer = { DATA, 8, true };

    g_assert_true(driver_offered(driver) & BIT(RING_RESET));
    driver_start(driver, 0, 1);
    driver_reset_queue(driver, 0);
    g_assert_cmpuint(driver_do(driver, 0, &buffer, 1), ==, 8);
    driver_free(driver);
    driver = driver_new(NULL, *(const DriveKind *)kind, "virtio-rng", "queue_reset", "off", NULL);
    g_assert_false(driver_offered(driver) & BIT(RING_RESET));
    driver_free(driver);
}

/* A machine that is saved between reset and new queue goes on there. */
static void test_queue_reset_saved(gconstpointer kind)
{
    Driver *driver = driver_new(NULL, *(const DriveKind *)kind, "virtio-rng", NULL);
    Machine *machine = driver->bench->machine;
    Buffer buffer = { DATA, 8, true };
    g_autoptr(GByteArray) saved = NULL;
    g_autoptr(GError) error = NULL;

    driver_start(driver, BIT(RING_RESET), 1);
    g_assert_cmpuint(driver_do(driver, 0, &buffer, 1), ==, 8);
    driver_reset_queue(driver, 0);
    saved = machine_save_state(machine);
    machine_reset(machine);
    g_assert_true(machine_load_state(machine, saved->data, saved->len, &error));
    g_assert_no_error(error);
    g_assert_false(driver_queue_resetting(driver, 0));
    driver_set_queue(driver, 0);
    g_assert_cmpuint(driver_do(driver, 0, &buffer, 1), ==, 8);
    driver_reset_queue(driver, 0);
    driver_set_queue(driver, 0);
    g_assert_cmpuint(driver_do(driver, 0, &buffer, 1), ==, 8);
    driver_free(driver);
}

static void add_queue_reset_tests(void)
{
    static const struct {
        const char *name;
        GTestDataFunc test;
    } tests[] = {
        { "block", test_block_queue_reset },
        { "refused", test_queue_reset_refused },
        { "saved", test_queue_reset_saved },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(modern_kinds); i++) {
        for (unsigned t = 0; t < ARRAY_SIZE(tests); t++) {
            g_autofree char *path = g_strdup_printf("/virtio/queue-reset/%s/%s", tests[t].name,
                                                    modern_kinds[i] == DRIVE_PCI ? "pci" : "mmio");

            g_test_add_data_func(path, &modern_kinds[i], tests[t].test);
        }
    }
}

/* Random rings, descriptors and register writes; whatever happens, we are still here. */
typedef struct {
    const char *stem; /* NULL: a disk */
    unsigned queues;
} RandomCase;

static void test_random(gconstpointer data)
{
    const RandomCase *tested = data;
    enum { ROUNDS = 4000, WRITES = 24 };
    GRand *rand = g_rand_new_with_seed(1);

    for (unsigned k = 0; k < DRIVE_COUNT; k++) {
        Disk *disk = tested->stem ? NULL : disk_new(drive_kinds[k], false, 0);
        Driver *driver = disk ? disk->driver : driver_new(NULL, drive_kinds[k], tested->stem, NULL);

        for (unsigned round = 0; round < ROUNDS; round++) {
            unsigned queue = g_rand_int_range(rand, 0, tested->queues);

            if (round % 8 == 0) {
                driver_start(driver, ((uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand)),
                             tested->queues);
            }
            for (unsigned i = 0; i < WRITES; i++) {
                uint64_t base = g_rand_boolean(rand) ? driver_descriptors(driver, queue)
                                                     : driver_available(driver, queue);
                uint64_t value = g_rand_boolean(rand)
                                     ? (uint64_t)g_rand_int_range(rand, 0, 10)
                                     : DATA + (uint64_t)g_rand_int_range(rand, 0, 4096);

                store_le32(bench_ram(driver->bench, base) + g_rand_int_range(rand, 0, 128),
                           (uint32_t)value);
            }
            if (disk && g_rand_boolean(rand)) {
                disk_add(disk, g_rand_int_range(rand, 0, 15), g_rand_int_range(rand, 0, 4096), DATA,
                         g_rand_int_range(rand, 0, 0x4000));
            }
            driver_kick(driver, queue);
            bench_write(driver->bench, driver->base + g_rand_int_range(rand, 0, 0x130),
                        g_rand_int_range(rand, 0, 20), 1 << g_rand_int_range(rand, 0, 3));
            if (round % 64 == 0) {
                bench_run_main_loop(driver->bench);
            }
        }
        if (disk) {
            disk_free(disk);
        } else {
            driver_free(driver);
        }
    }
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    static const RandomCase rng = { "virtio-rng", 1 }, net = { "virtio-net", 3 };
    static const RandomCase serial = { "virtio-serial", 6 }, disk = { NULL, 1 };

    g_test_init(&argc, &argv, NULL);
    test_each_transport("rng", test_rng);
    test_each_transport("rng-event-index", test_rng_event_index);
    for (unsigned i = 0; i < DRIVE_COUNT; i++) {
        if (drive_kinds[i] == DRIVE_PCI || drive_kinds[i] == DRIVE_MMIO) {
            g_test_add_data_func(drive_kinds[i] == DRIVE_PCI ? "/virtio/pci/inspection"
                                                             : "/virtio/mmio/inspection",
                                 &drive_kinds[i], test_inspection);
            g_test_add_data_func(drive_kinds[i] == DRIVE_PCI ? "/virtio/pci/rtc"
                                                             : "/virtio/mmio/rtc",
                                 &drive_kinds[i], test_rtc);
        }
    }
    g_test_add_func("/virtio/rng-limit", test_rng_limit);
    g_test_add_func("/virtio/kick-saved", test_kick_saved);
    g_test_add_func("/virtio/bus-master", test_bus_master);
    g_test_add_func("/virtio/configuration-access", test_configuration_access);
    g_test_add_func("/virtio/mischief", test_mischief);
    g_test_add_func("/virtio/misplaced-rings", test_misplaced_rings);
    g_test_add_data_func("/virtio/random/rng", &rng, test_random);
    g_test_add_data_func("/virtio/random/block", &disk, test_random);
    g_test_add_data_func("/virtio/random/net", &net, test_random);
    g_test_add_data_func("/virtio/random/serial", &serial, test_random);
    add_queue_reset_tests();
    test_each_transport("block", test_block);
    g_test_add_func("/virtio/block-cache", test_block_cache);
    g_test_add_func("/virtio/block-refusals", test_block_refusals);
    g_test_add_func("/virtio/block-read-only", test_block_read_only);
    g_test_add_func("/virtio/block-ranges", test_block_ranges);
    g_test_add_func("/virtio/block-reset-in-flight", test_block_reset_in_flight);
    return g_test_run();
}
