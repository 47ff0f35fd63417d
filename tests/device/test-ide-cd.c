/* SPDX-License-Identifier: MIT */
/* ATAPI discs as a driver sees them. */
#include "tests/device/ide-bench.h"

#include "base/bits.h"

enum { ERR = 1, DRQ = 8, READY = 0x50, REASON_CD = 1, REASON_IO = 2, BLOCKS = 1024 };

static IdeBench *one_disc(uint64_t bytes)
{
    IdeBench *b = ide_bench_new();

    b->channel = 1;
    ide_bench_add(b, "ide-cd", 1, 0, bytes, NULL);
    return b;
}

/* PACKET with a limit of bytes to a piece (0: by DMA) as far as its first interrupt. */
static uint8_t packet(IdeBench *b, const uint8_t *cdb, unsigned limit)
{
    ide_out(b, 1, limit == 0);
    ide_out(b, 4, limit);
    ide_out(b, 5, limit >> 8);
    ide_out(b, 7, 0xa0);
    g_assert_cmpuint(ide_alternate(b), ==, READY | DRQ);
    g_assert_cmpuint(ide_in(b, 2), ==, REASON_CD);
    g_assert_false(ide_interrupted(b));
    ide_write_words(b, cdb, 12);
    return ide_wait(b);
}

/* A packet whose answer is read whole; returns its bytes, or -1 when it failed. */
static int ask(IdeBench *b, const uint8_t *cdb, uint8_t *data, unsigned limit)
{
    uint8_t status = packet(b, cdb, limit);
    unsigned total = 0;

    while (status & DRQ) {
        unsigned bytes = ide_in(b, 4) | ide_in(b, 5) << 8;

        g_assert_true(ide_interrupted(b));
        g_assert_cmpuint(ide_in(b, 7), ==, READY | DRQ);
        g_assert_cmpuint(ide_in(b, 2), ==, REASON_IO);
        g_assert_cmpuint(bytes, <=, limit);
        ide_read_words(b, data + total, bytes);
        total += bytes;
        status = ide_wait(b);
    }
    g_assert_true(ide_interrupted(b));
    g_assert_cmpuint(ide_in(b, 2), ==, REASON_CD | REASON_IO);
    return ide_in(b, 7) & ERR ? -1 : (int)total;
}

/* Sense key and code of REQUEST SENSE. */
static unsigned sense(IdeBench *b)
{
    static const uint8_t cdb[12] = { 0x03, 0, 0, 0, 18 };
    uint8_t data[18];

    g_assert_cmpint(ask(b, cdb, data, 0xfffe), ==, 18);
    return data[2] << 16 | data[12] << 8 | data[13];
}

static const uint8_t test_unit_ready[12];

static void test_signature_and_identify(void)
{
    IdeBench *b = one_disc(BLOCKS * 2048);
    uint8_t data[512];

    g_assert_cmpuint(ide_in(b, 4), ==, 0x14);
    g_assert_cmpuint(ide_in(b, 5), ==, 0xeb);
    ide_out(b, 7, 0xec);
    g_assert_cmpuint(ide_in(b, 7) & ERR, ==, ERR);
    g_assert_cmpuint(ide_in(b, 4), ==, 0x14);
    ide_out(b, 7, 0xa1);
    g_assert_cmpuint(ide_in(b, 7), ==, READY | DRQ);
    ide_read_words(b, data, 512);
    g_assert_cmpuint(load_le16(data), ==, 0x85c0);
    g_assert_cmpmem(data + 54, 12, "EQUMD DVR-MO", 12);
    ide_out(b, 7, 0x08); /* DEVICE RESET */
    g_assert_cmpuint(ide_in(b, 5), ==, 0xeb);
    ide_bench_free(b);
}

static void test_answers(void)
{
    static const uint8_t inquiry[12] = { 0x12, 0, 0, 0, 36 }, capacity[12] = { 0x25 };
    static const uint8_t toc[12] = { 0x43, 0, 0, 0, 0, 0, 0, 4 },
                         full[12] = { 0x43, 0, 2, 0, 0, 0, 1, 0, 200 };
    static const uint8_t mode[12] = { 0x5a, 0, 0x2a, 0, 0, 0, 0, 1, 0 };
    static const uint8_t configuration[12] = { 0x46, 0, 0, 0, 0, 0, 0, 1, 0 };
    static const uint8_t unknown[12] = { 0xc7 };
    IdeBench *b = one_disc(BLOCKS * 2048);
    uint8_t data[0x1000];

    g_assert_cmpint(ask(b, inquiry, data, 0xfffe), ==, 36);
    g_assert_cmpmem(data, 5, "\x05\x80\x00\x21\x1f", 5);
    g_assert_cmpmem(data + 8, 24, "QEMU    QEMU DVD-ROM    ", 24);
    g_assert_cmpint(ask(b, test_unit_ready, data, 0xfffe), ==, -1); /* power on */
    g_assert_cmphex(sense(b), ==, 0x062900);
    g_assert_cmpint(ask(b, test_unit_ready, data, 0xfffe), ==, 0);
    g_assert_cmpint(ask(b, capacity, data, 0xfffe), ==, 8);
    g_assert_cmpuint(load_be32(data), ==, BLOCKS - 1);
    g_assert_cmpuint(load_be32(data + 4), ==, 2048);
    g_assert_cmpint(ask(b, toc, data, 0xfffe), ==, 20);
    g_assert_cmpuint(load_be16(data), ==, 18);
    g_assert_cmpint(ask(b, full, data, 0xfffe), ==, 48);
    g_assert_cmpint(ask(b, mode, data, 20), ==, 30); /* in two pieces */
    g_assert_cmphex(data[8], ==, 0x2a);
    g_assert_cmpint(ask(b, configuration, data, 0xfffe), >, 40);
    g_assert_cmphex(load_be16(data + 6), ==, 0x08);
    g_assert_cmpint(ask(b, unknown, data, 0xfffe), ==, -1);
    g_assert_cmphex(ide_in(b, 1), ==, 0x54);
    g_assert_cmphex(sense(b), ==, 0x052000);
    ide_bench_free(b);
}

static void test_reads(void)
{
    static const uint8_t read[12] = { 0x28, 0, 0, 0, 0, 10, 0, 0, 40 };
    static const uint8_t past[12] = { 0xa8, 0, 0, 0, 3, 0xff, 0, 0, 0, 2 };
    static const uint8_t raw[12] = { 0xbe, 0, 0, 0, 0, 20, 0, 0, 30, 0xf8 };
    static const uint32_t regions[][2] = { { IDE_TEST_DATA, 0 },
                                           { IDE_TEST_DATA + 0x10000, 0x4000 } };
    static uint8_t data[40 * 2352];
    IdeBench *b = one_disc(BLOCKS * 2048);

    ask(b, test_unit_ready, data, 0xfffe);
    g_assert_cmpint(ask(b, read, data, 0x3001), ==, 40 * 2048);
    for (unsigned i = 0; i < 160; i++) {
        g_assert_cmpuint(load_le32(data + i * 512), ==, 40 + i);
    }
    g_assert_cmpint(ask(b, past, data, 0xfffe), ==, -1);
    g_assert_cmphex(sense(b), ==, 0x052100);
    g_assert_cmpint(ask(b, raw, data, 2352), ==, 30 * 2352);
    for (unsigned i = 0; i < 30; i++) {
        const uint8_t *sector = data + i * 2352;

        g_assert_cmpuint(load_le32(sector + 16), ==, (20 + i) * 4);
        g_assert_cmphex(sector[13], ==, 2); /* seconds: 150 frames of lead-in */
        g_assert_cmphex(sector[14], ==, (20 + i) / 10 * 16 + (20 + i) % 10);
        g_assert_cmpuint(sector[0] | sector[11], ==, 0);
    }
    /* By DMA. */
    ide_set_table(b, regions, 2, false);
    ide_engine(b, 2, 6);
    packet(b, read, 0);
    ide_engine(b, 0, 9);
    g_assert_cmpuint(ide_wait(b), ==, READY);
    g_assert_true(ide_interrupted(b));
    g_assert_cmpuint(ide_engine_status(b) & 7, ==, 4);
    g_assert_cmpuint(load_le32(bench_ram(b->bench, IDE_TEST_DATA + 79 * 512)), ==, 40 + 79);
    ide_engine(b, 0, 0);
    packet(b, raw, 0);
    ide_engine(b, 0, 9);
    g_assert_cmpuint(ide_wait(b), ==, READY);
    g_assert_cmpuint(load_le32(bench_ram(b->bench, IDE_TEST_DATA + 29 * 2352 + 16)), ==, 49 * 4);
    ide_bench_free(b);
}

static void test_tray(void)
{
    static const uint8_t eject[12] = { 0x1b, 0, 0, 0, 2 }, load[12] = { 0x1b, 0, 0, 0, 3 };
    static const uint8_t lock[12] = { 0x1e, 0, 0, 0, 1 }, unlock[12] = { 0x1e };
    static const uint8_t event[12] = { 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8 };
    IdeBench *b = one_disc(BLOCKS * 2048);
    uint8_t data[64];

    ask(b, test_unit_ready, data, 0xfffe);
    g_assert_cmpint(ask(b, lock, data, 0xfffe), ==, 0);
    g_assert_cmpint(ask(b, eject, data, 0xfffe), ==, -1);
    g_assert_cmphex(sense(b), ==, 0x055302);
    g_assert_cmpint(ask(b, unlock, data, 0xfffe), ==, 0);
    g_assert_cmpint(ask(b, eject, data, 0xfffe), ==, 0);
    g_assert_cmpint(ask(b, test_unit_ready, data, 0xfffe), ==, -1);
    g_assert_cmphex(sense(b), ==, 0x023a02);
    g_assert_cmpint(ask(b, event, data, 0xfffe), ==, 8);
    g_assert_cmphex(data[4], ==, 3);
    g_assert_cmphex(data[5] & 1, ==, 1);
    g_assert_cmpint(ask(b, load, data, 0xfffe), ==, 0);
    g_assert_cmpint(ask(b, test_unit_ready, data, 0xfffe), ==, -1);
    g_assert_cmphex(sense(b), ==, 0x062800);
    g_assert_cmpint(ask(b, test_unit_ready, data, 0xfffe), ==, 0);
    ide_bench_free(b);
}

static void test_empty(void)
{
    static const uint8_t read[12] = { 0x28, 0, 0, 0, 0, 0, 0, 0, 1 };
    IdeBench *b = one_disc(0);
    uint8_t data[64];

    ask(b, test_unit_ready, data, 0xfffe);
    g_assert_cmpint(ask(b, test_unit_ready, data, 0xfffe), ==, -1);
    g_assert_cmphex(sense(b), ==, 0x023a01);
    g_assert_cmpint(ask(b, read, data, 0xfffe), ==, -1);
    ide_bench_free(b);
}

/* A limit of no bytes, or of less than a word for more than that, leaves the drive no way to send any. */
static void test_limits(void)
{
    static const uint8_t inquiry[12] = { 0x12, 0, 0, 0, 36 }, nothing[12] = { 0x1e };
    IdeBench *b = one_disc(BLOCKS * 2048);
    uint8_t data[64];

    g_assert_cmpint(ask(b, test_unit_ready, data, 0xfffe), ==, -1); /* power on */
    for (unsigned limit = 0; limit < 2; limit++) {
        ide_out(b, 1, 0);
        ide_out(b, 4, limit);
        ide_out(b, 5, 0);
        ide_out(b, 7, 0xa0);
        ide_write_words(b, inquiry, 12);
        g_assert_cmphex(ide_wait(b) & (ERR | DRQ), ==, ERR);
        g_assert_cmphex(ide_in(b, 1), ==, 0x04);
        ide_out(b, 4, limit);
        ide_out(b, 5, 0);
        ide_out(b, 7, 0xa0);
        ide_write_words(b, nothing, 12);
        g_assert_cmphex(ide_wait(b) & (ERR | DRQ), ==, 0);
    }
    g_assert_cmpint(ask(b, inquiry, data, 2), ==, 36);
    ide_bench_free(b);
}

/* SET FEATURES: modes and features that there are not are refused. */
static void test_features(void)
{
    static const struct {
        uint8_t feature, count, fails;
    } cases[] = {
        { 0x03, 0x45, 0 },   { 0x03, 0x22, 0 },   { 0x03, 0x0c, 0 },   { 0x03, 0x46, ERR },
        { 0x03, 0x4f, ERR }, { 0x03, 0x23, ERR }, { 0x03, 0x80, ERR }, { 0x5d, 0, ERR },
        { 0x95, 0, ERR },    { 0x02, 0, ERR },    { 0xcc, 0, 0 },
    };
    IdeBench *b = one_disc(BLOCKS * 2048);

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        ide_out(b, 1, cases[i].feature);
        ide_out(b, 2, cases[i].count);
        ide_out(b, 7, 0xef);
        g_assert_cmphex(ide_in(b, 7) & ERR, ==, cases[i].fails);
    }
    ide_bench_free(b);
}

/* The second drive stays the selected one whatever it says of itself. */
static void test_second_drive(void)
{
    IdeBench *b = ide_bench_new();

    b->channel = 1;
    ide_bench_add(b, "ide-cd", 1, 1, BLOCKS * 2048, NULL);
    ide_out(b, 6, 0xb0);
    ide_out(b, 7, 0xec);
    g_assert_cmphex(ide_in(b, 7) & ERR, ==, ERR);
    g_assert_cmphex(ide_in(b, 4), ==, 0x14);
    g_assert_cmphex(ide_in(b, 6), ==, 0xb0);
    ide_out(b, 7, 0x08);
    g_assert_cmphex(ide_in(b, 6), ==, 0xb0);
    ide_bench_free(b);
}

/* Every opcode with noise behind it, by PIO and DMA, whatever it answers. */
static void test_noise(void)
{
    IdeBench *b = one_disc(BLOCKS * 2048);
    static const uint32_t regions[][2] = { { IDE_TEST_DATA, 0 }, { IDE_TEST_DATA, 0 } };
    GRand *random = g_rand_new_with_seed(7);

    for (unsigned i = 0; i < 2048; i++) {
        uint8_t cdb[12] = { i };

        for (unsigned j = 1; j < 12; j++) {
            cdb[j] = g_rand_int_range(random, 0, 4) ? 0 : g_rand_int(random);
        }
        ide_set_table(b, regions, 2, false);
        ide_engine(b, 0, 0);
        ide_out(b, 1, i & 1);
        ide_out(b, 4, g_rand_int(random));
        ide_out(b, 5, g_rand_int(random) & 1);
        ide_out(b, 7, 0xa0);
        ide_write_words(b, cdb, 12);
        ide_engine(b, 0, 9);
        for (unsigned j = 0; j < 64 && ide_wait(b) & DRQ; j++) {
            ide_in_word(b);
            ide_out_word(b, 0x1234);
        }
        ide_out(b, 7, 0x08);
        ide_wait(b);
    }
    g_rand_free(random);
    ide_bench_free(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ide-cd/signature-and-identify", test_signature_and_identify);
    g_test_add_func("/ide-cd/answers", test_answers);
    g_test_add_func("/ide-cd/reads", test_reads);
    g_test_add_func("/ide-cd/tray", test_tray);
    g_test_add_func("/ide-cd/empty", test_empty);
    g_test_add_func("/ide-cd/limits", test_limits);
    g_test_add_func("/ide-cd/features", test_features);
    g_test_add_func("/ide-cd/second-drive", test_second_drive);
    g_test_add_func("/ide-cd/noise", test_noise);
    return g_test_run();
}
