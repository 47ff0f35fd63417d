/* SPDX-License-Identifier: MIT */
/* ATA disks behind piix3-ide as a driver sees them, and DMA tables that break every rule. */
#include "tests/device/ide-bench.h"

#include "base/bits.h"
#include "hw/board/boot-order.h"

enum { ERR = 1, DRQ = 8, READY = 0x50, BSY = 0x80, IDNF = 0x10, ABRT = 4 };
enum { START_READ = 9, START_WRITE = 1, ACTIVE = 1, FAULT = 2, INTERRUPT = 4 };

static IdeBench *one_disk(void)
{
    IdeBench *b = ide_bench_new();

    ide_bench_add(b, "ide-hd", 0, 0, IDE_TEST_SECTORS * 512, NULL);
    return b;
}

static void test_signature_and_identify(void)
{
    IdeBench *b = one_disk();
    uint8_t data[512], sum = 0;

    g_assert_cmpuint(ide_alternate(b), ==, READY);
    g_assert_cmpuint(ide_in(b, 1), ==, 1);
    g_assert_cmpuint(ide_in(b, 2), ==, 1);
    g_assert_cmpuint(ide_in(b, 3), ==, 1);
    g_assert_cmpuint(ide_in(b, 4) | ide_in(b, 5), ==, 0);
    ide_out(b, 7, 0xec);
    g_assert_true(ide_interrupted(b));
    g_assert_cmpuint(ide_in(b, 7), ==, READY | DRQ);
    g_assert_false(ide_interrupted(b));
    ide_read_words(b, data, sizeof data);
    g_assert_cmpuint(ide_in(b, 7), ==, READY);
    g_assert_cmpuint(load_le16(data), ==, 0x40);
    g_assert_cmpmem(data + 20, 8, "MQ0000 1", 8);
    g_assert_cmpmem(data + 54, 14, "EQUMH RADDSI K", 14);
    g_assert_cmpuint(load_le32(data + 120), ==, IDE_TEST_SECTORS);
    g_assert_cmpuint(load_le64(data + 200), ==, IDE_TEST_SECTORS);
    for (unsigned i = 0; i < sizeof data; i++) {
        sum += data[i];
    }
    g_assert_cmpuint(sum, ==, 0);
    ide_bench_free(b);
}

/* The number that the image has in front of each sector. */
static void check_sectors(const uint8_t *data, uint32_t first, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        g_assert_cmpuint(load_le32(data + i * 512), ==, first + i);
    }
}

static void test_pio(void)
{
    IdeBench *b = one_disk();
    uint8_t data[16 * 512], again[16 * 512];

    ide_command28(b, 0x20, 100, 3);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpuint(ide_wait(b), ==, READY | DRQ);
        g_assert_true(ide_interrupted(b));
        ide_in(b, 7);
        ide_read_words(b, data, 512);
        check_sectors(data, 100 + i, 1);
    }
    g_assert_cmpuint(ide_in(b, 7), ==, READY);
    g_assert_false(ide_interrupted(b));
    /* The registers name the last sector. */
    g_assert_cmpuint(ide_in(b, 3), ==, 102);
    for (unsigned i = 0; i < sizeof data; i++) {
        data[i] = i * 7 + i / 512;
    }
    ide_command48(b, 0x34, 200, 2);
    g_assert_cmpuint(ide_alternate(b), ==, READY | DRQ);
    g_assert_false(ide_interrupted(b));
    ide_write_words(b, data, 512);
    g_assert_cmpuint(ide_wait(b), ==, READY | DRQ);
    g_assert_true(ide_interrupted(b));
    ide_in(b, 7);
    ide_write_words(b, data + 512, 512);
    g_assert_cmpuint(ide_wait(b), ==, READY);
    g_assert_true(ide_interrupted(b));
    ide_command28(b, 0xc6, 0, 8);
    g_assert_cmpuint(ide_in(b, 7), ==, READY);
    ide_command48(b, 0x29, 200, 12);
    g_assert_cmpuint(ide_wait(b), ==, READY | DRQ);
    ide_read_words(b, again, 8 * 512);
    g_assert_cmpuint(ide_wait(b), ==, READY | DRQ);
    ide_read_words(b, again + 8 * 512, 4 * 512);
    g_assert_cmpuint(ide_wait(b), ==, READY);
    g_assert_cmpmem(again, 1024, data, 1024);
    check_sectors(again + 1024, 202, 10);
    ide_bench_free(b);
}

static void test_chs(void)
{
    IdeBench *b = one_disk();
    uint8_t data[512];

    /* INITIALIZE DEVICE PARAMETERS: 4 heads, 17 sectors. */
    ide_out(b, 6, 0xa3);
    ide_out(b, 2, 17);
    ide_out(b, 7, 0x91);
    g_assert_cmpuint(ide_in(b, 7), ==, READY);
    ide_out(b, 2, 1);
    ide_out(b, 3, 5);
    ide_out(b, 4, 10);
    ide_out(b, 5, 0);
    ide_out(b, 6, 0xa2);
    ide_out(b, 7, 0x20);
    ide_wait(b);
    ide_read_words(b, data, 512);
    check_sectors(data, (10 * 4 + 2) * 17 + 4, 1);
    ide_out(b, 3, 18); /* no such sector on a track */
    ide_out(b, 2, 1);
    ide_out(b, 7, 0x20);
    g_assert_cmpuint(ide_wait(b), ==, READY | ERR);
    g_assert_cmpuint(ide_in(b, 1), ==, IDNF);
    ide_bench_free(b);
}

static void test_errors(void)
{
    IdeBench *b = one_disk();

    ide_command28(b, 0x20, IDE_TEST_SECTORS - 1, 2);
    g_assert_cmpuint(ide_in(b, 7), ==, READY | ERR);
    g_assert_cmpuint(ide_in(b, 1), ==, IDNF);
    ide_command48(b, 0x25, UINT64_C(0xffffffffffff), 0);
    g_assert_cmpuint(ide_in(b, 7), ==, READY | ERR);
    ide_command28(b, 0xa1, 0, 1);
    g_assert_cmpuint(ide_in(b, 7), ==, READY | ERR);
    g_assert_cmpuint(ide_in(b, 1), ==, ABRT);
    ide_command28(b, 0xc6, 0, 3); /* no power of two */
    g_assert_cmpuint(ide_in(b, 1), ==, ABRT);
    ide_out(b, 6, 0xb0); /* nobody there */
    g_assert_cmpuint(ide_in(b, 7), ==, 0);
    b->channel = 1;
    g_assert_cmpuint(ide_in(b, 7), ==, 0);
    ide_bench_free(b);
}

static void test_resets(void)
{
    IdeBench *b = one_disk();

    ide_command28(b, 0x20, 0, 2);
    ide_out_control(b, 4);
    g_assert_cmpuint(ide_alternate(b), ==, BSY);
    ide_out_control(b, 2); /* and no interrupts */
    g_assert_cmpuint(ide_wait(b), ==, READY);
    g_assert_cmpuint(ide_in(b, 3), ==, 1);
    ide_out(b, 7, 0xec);
    g_assert_false(ide_interrupted(b));
    ide_out_control(b, 0);
    g_assert_true(ide_interrupted(b));
    device_reset_tree(b->bench->machine->root);
    g_assert_false(ide_interrupted(b));
    ide_out(b, 7, 0x90); /* EXECUTE DEVICE DIAGNOSTIC */
    g_assert_cmpuint(ide_wait(b), ==, READY);
    g_assert_cmpuint(ide_in(b, 1), ==, 1);
    g_assert_true(ide_interrupted(b));
    ide_bench_free(b);
}

static void test_features(void)
{
    IdeBench *b = one_disk();
    uint8_t data[512];

    ide_out(b, 1, 3); /* UDMA mode 2 */
    ide_command28(b, 0xef, 0, 0x42);
    ide_out(b, 7, 0xec);
    ide_read_words(b, data, 512);
    g_assert_cmpuint(load_le16(data + 176) >> 8, ==, 4);
    g_assert_cmpuint(load_le16(data + 170) & 0x20, ==, 0x20);
    ide_out(b, 1, 0x82);
    ide_command28(b, 0xef, 0, 0);
    g_assert_cmpuint(ide_wait(b), ==, READY);
    ide_out(b, 7, 0xec);
    ide_read_words(b, data, 512);
    g_assert_cmpuint(load_le16(data + 170) & 0x20, ==, 0);
    ide_out(b, 1, 0x77);
    ide_command28(b, 0xef, 0, 0);
    g_assert_cmpuint(ide_in(b, 7), ==, READY | ERR);
    ide_command28(b, 0xe0, 0, 0);
    ide_command28(b, 0xe5, 0, 0);
    g_assert_cmpuint(ide_in(b, 2), ==, 0);
    ide_out(b, 7, 0xec);
    ide_read_words(b, data, 512);
    ide_command28(b, 0xe5, 0, 0);
    g_assert_cmpuint(ide_in(b, 2), ==, 0xff);
    ide_out(b, 1, 0xda); /* SMART RETURN STATUS */
    ide_command28(b, 0xb0, 0xc24f00, 0);
    g_assert_cmpuint(ide_in(b, 7), ==, READY);
    g_assert_cmpuint(ide_in(b, 4), ==, 0x4f);
    ide_command28(b, 0xe7, 0, 0);
    g_assert_cmpuint(ide_wait(b), ==, READY);
    g_assert_true(ide_interrupted(b));
    ide_command48(b, 0x27, 0, 0);
    g_assert_cmpuint(ide_in(b, 3) | ide_in(b, 4) << 8, ==, IDE_TEST_SECTORS - 1);
    ide_bench_free(b);
}

/* DMA */

static void start(IdeBench *b, uint8_t command, uint32_t lba, unsigned count, uint8_t engine)
{
    ide_engine(b, 0, 0);
    ide_engine(b, 2, FAULT | INTERRUPT);
    ide_command48(b, command, lba, count);
    ide_engine(b, 0, engine);
    ide_wait(b);
}

static void test_dma(void)
{
    static const uint32_t regions[][2] = { { IDE_TEST_DATA, 0 }, /* 64 KiB */
                                           { IDE_TEST_DATA + 0x20000,
                                             2 }, /* sectors across regions */
                                           { IDE_TEST_DATA + 0x10000, 0x1fe },
                                           { IDE_TEST_DATA + 0x10200, 0x400 } };
    IdeBench *b = one_disk();
    uint8_t *data = bench_ram(b->bench, IDE_TEST_DATA);

    ide_set_table(b, regions, 4, false);
    start(b, 0x25, 1000, 131, START_READ);
    g_assert_cmpuint(ide_engine_status(b) & 7, ==, INTERRUPT);
    g_assert_true(ide_interrupted(b));
    g_assert_cmpuint(ide_in(b, 7), ==, READY);
    check_sectors(data, 1000, 128);
    g_assert_cmpuint(load_le16(data + 0x20000), ==, 1128);
    check_sectors(data + 0x10200, 1129, 2);
    memset(data, 0x5a, 512);
    start(b, 0x35, 2000, 131, START_WRITE);
    g_assert_cmpuint(ide_engine_status(b) & 7, ==, INTERRUPT);
    memset(data, 0, 512);
    start(b, 0xc8, 2000, 131, START_READ);
    g_assert_cmpuint(data[0], ==, 0x5a);
    g_assert_cmpuint(data[511], ==, 0x5a);
    check_sectors(data + 512, 1001, 127);
    /* The engine before the command. */
    ide_engine(b, 0, 0);
    ide_engine(b, 0, START_READ);
    ide_command48(b, 0x25, 1, 131);
    ide_wait(b);
    check_sectors(data, 1, 128);
    ide_bench_free(b);
}

static void test_dma_ends(void)
{
    static const uint32_t room[][2] = { { IDE_TEST_DATA, 0x1000 } };
    IdeBench *b = one_disk();

    /* More room than data: still active (table of states). */
    ide_set_table(b, room, 1, false);
    start(b, 0x25, 0, 2, START_READ);
    g_assert_cmpuint(ide_engine_status(b) & 7, ==, INTERRUPT | ACTIVE);
    ide_in(b, 7);
    /* Less: neither active nor an interrupt. */
    start(b, 0x25, 0, 9, START_READ);
    g_assert_cmpuint(ide_engine_status(b) & 7, ==, 0);
    g_assert_false(ide_interrupted(b));
    start(b, 0x35, 0, 9, START_WRITE);
    g_assert_cmpuint(ide_engine_status(b) & 7, ==, 0);
    /* It goes on afterwards. */
    start(b, 0x25, 7, 8, START_READ);
    g_assert_cmpuint(ide_engine_status(b) & 7, ==, INTERRUPT);
    check_sectors(bench_ram(b->bench, IDE_TEST_DATA), 7, 8);
    ide_bench_free(b);
}

static void test_hostile_dma(void)
{
    static const uint32_t nowhere[][2] = { { 0x100, 0x1000 } };
    static const uint32_t device[][2] = { { BENCH_SLOTS, 0x200 }, { IDE_TEST_DATA, 0x200 } };
    static const uint32_t engine[][2] = { { IDE_TEST_PORTS + IDE_TEST_ENGINE, 0x10 },
                                          { IDE_TEST_PORTS + 0x1f0, 8 },
                                          { IDE_TEST_DATA, 0 } };
    IdeBench *b = one_disk();

    ide_set_table(b, nowhere, 1, false);
    start(b, 0x25, 0, 8, START_READ);
    g_assert_cmpuint(ide_engine_status(b) & 7, ==, FAULT);
    ide_set_table(b, device, 2, false);
    start(b, 0x25, 0, 2, START_READ);
    ide_set_table(b, engine, 3, false);
    start(b, 0x25, 0, 2, START_READ);
    start(b, 0x35, 0, 2, START_WRITE);
    /* A table without an end, of the smallest regions, and one in the void. */
    for (unsigned i = 0; i < 0x2000; i++) {
        store_le32(bench_ram(b->bench, IDE_TEST_TABLE + i * 8), IDE_TEST_DATA);
        store_le32(bench_ram(b->bench, IDE_TEST_TABLE + i * 8 + 4), 2);
    }
    start(b, 0x25, 0, 0x1000, START_READ);
    g_assert_cmpuint(ide_engine_status(b) & ACTIVE, ==, 0);
    bench_write(b->bench, IDE_TEST_PORTS + IDE_TEST_ENGINE + 4, 0xfffffff8, 4);
    start(b, 0x25, 0, 8, START_READ);
    g_assert_cmpuint(ide_engine_status(b) & 7, ==, FAULT);
    ide_bench_free(b);
}

static void test_trim(void)
{
    static const uint32_t regions[][2] = { { IDE_TEST_DATA, 512 } };
    static const uint32_t two_sectors[][2] = { { IDE_TEST_DATA, 1024 } };
    IdeBench *b = one_disk();
    uint8_t *data = bench_ram(b->bench, IDE_TEST_DATA), sector[512];

    memset(data, 0, 512);
    store_le64(data, 64 | UINT64_C(64) << 48);
    store_le64(data + 8, 1024 | UINT64_C(8) << 48);
    ide_set_table(b, regions, 1, false);
    ide_out(b, 1, 1);
    start(b, 0x06, 0, 1, START_WRITE);
    g_assert_cmpuint(ide_in(b, 7), ==, READY);
    ide_command28(b, 0x20, 128, 1);
    ide_wait(b);
    ide_read_words(b, sector, 512);
    check_sectors(sector, 128, 1);
    store_le64(data, IDE_TEST_SECTORS | UINT64_C(1) << 48);
    ide_out(b, 1, 1);
    start(b, 0x06, 0, 1, START_WRITE);
    g_assert_cmpuint(ide_in(b, 7), ==, READY | ERR);
    g_assert_cmpuint(ide_engine_status(b) & ACTIVE, ==, 0);
    /* More sectors of ranges than IDENTIFY tells: as many as there is memory for. */
    memset(data, 0, 1024);
    store_le64(data + 512, 64 | UINT64_C(64) << 48);
    ide_set_table(b, two_sectors, 1, false);
    ide_out(b, 1, 1);
    start(b, 0x06, 0, 0x100, START_WRITE);
    g_assert_cmpuint(ide_in(b, 7), ==, READY);
    g_assert_cmpuint(ide_engine_status(b) & ACTIVE, ==, 0);
    ide_set_table(b, regions, 1, false);
    /* A range that can be discarded before one that cannot. */
    store_le64(data, 64 | UINT64_C(64) << 48);
    store_le64(data + 8, (IDE_TEST_SECTORS - 1) | UINT64_C(2) << 48);
    ide_out(b, 1, 1);
    start(b, 0x06, 0, 1, START_WRITE);
    g_assert_cmpuint(ide_in(b, 7), ==, READY | ERR);
    g_assert_cmpuint(ide_engine_status(b) & ACTIVE, ==, 0);
    ide_bench_free(b);
}

static void test_two_drives(void)
{
    IdeBench *b = one_disk();
    uint8_t data[512];

    ide_bench_add(b, "ide-hd", 0, 1, 1 << 20, (const char *const[]){ "serial", "second", NULL });
    ide_out(b, 6, 0xb0);
    g_assert_cmpuint(ide_alternate(b), ==, READY);
    ide_out(b, 7, 0xec);
    g_assert_true(ide_interrupted(b));
    ide_out(b, 6, 0xa0); /* DRQ: not taken */
    ide_read_words(b, data, 512);
    g_assert_cmpmem(data + 20, 6, "esocdn", 6);
    g_assert_cmpuint(load_le32(data + 120), ==, 2048);
    ide_bench_free(b);
}

static void test_boot_path(void)
{
    IdeBench *b = ide_bench_new();
    g_autoptr(GBytes) order = NULL;

    ide_bench_add(b, "ide-hd", 0, 1, 1 << 20, (const char *const[]){ "bootindex", "2", NULL });
    ide_bench_add(b, "ide-cd", 1, 0, 1 << 20, (const char *const[]){ "bootindex", "1", NULL });
    order = boot_order_make(b->bench->machine);
    g_assert_cmpstr(g_bytes_get_data(order, NULL), ==,
                    "/pci@ffffffffffffffff/ide@1/drive@1/disk@0\n"
                    "/pci@ffffffffffffffff/ide@1/drive@0/disk@1");
    ide_bench_free(b);
}

/* A disk of which a sector cannot be read once, under each policy. */
static IdeBench *broken_disk(const char *policy)
{
    IdeBench *b = ide_bench_new();
    g_autoptr(GHashTable) options = g_hash_table_new(g_str_hash, g_str_equal);
    static const char *const pairs[][2] = {
        { "driver", "blkdebug" },           { "id", "broken" },
        { "image.driver", "null-co" },      { "image.size", "1048576" },
        { "inject-error.0.event", "none" }, { "inject-error.0.sector", "9" },
        { "inject-error.0.once", "on" },
    };
    GError *error = NULL;
    BlockBackend *block;

    for (unsigned i = 0; i < ARRAY_SIZE(pairs); i++) {
        g_hash_table_insert(options, (void *)pairs[i][0], (void *)pairs[i][1]);
    }
    block = block_open(b->graph, options, &error);
    g_assert_no_error(error);
    machine_add_drive(b->bench->machine, "broken", block);
    g_ptr_array_add(b->blocks, block);
    ide_bench_add(b, "ide-hd", 0, 0, 0,
                  (const char *const[]){ "drive", "broken", "rerror", policy, NULL });
    return b;
}

static void test_error_policies(void)
{
    IdeBench *b = broken_disk("report");

    ide_command28(b, 0x20, 9, 4);
    g_assert_cmpuint(ide_wait(b), ==, READY | ERR);
    g_assert_cmpuint(ide_in(b, 1), ==, 0x40);
    g_assert_cmpuint(ide_in(b, 3), ==, 9);
    ide_bench_free(b);
    b = broken_disk("ignore");
    ide_command28(b, 0x20, 9, 1);
    g_assert_cmpuint(ide_wait(b), ==, READY | DRQ);
    ide_bench_free(b);
    b = broken_disk("stop");
    ide_command28(b, 0x20, 9, 1);
    for (unsigned i = 0; i < 100; i++) {
        bench_run_main_loop(b->bench);
        g_usleep(1000);
    }
    g_assert_cmpuint(ide_alternate(b) & BSY, ==, BSY);
    machine_event(b->bench->machine, "RESUME", NULL); /* what a continued machine says */
    g_assert_cmpuint(ide_wait(b), ==, READY | DRQ);
    ide_bench_free(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ide/signature-and-identify", test_signature_and_identify);
    g_test_add_func("/ide/pio", test_pio);
    g_test_add_func("/ide/chs", test_chs);
    g_test_add_func("/ide/errors", test_errors);
    g_test_add_func("/ide/resets", test_resets);
    g_test_add_func("/ide/features", test_features);
    g_test_add_func("/ide/dma", test_dma);
    g_test_add_func("/ide/dma-ends", test_dma_ends);
    g_test_add_func("/ide/hostile-dma", test_hostile_dma);
    g_test_add_func("/ide/trim", test_trim);
    g_test_add_func("/ide/two-drives", test_two_drives);
    g_test_add_func("/ide/boot-path", test_boot_path);
    g_test_add_func("/ide/error-policies", test_error_policies);
    return g_test_run();
}
