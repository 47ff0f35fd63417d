/* SPDX-License-Identifier: MIT */
/* virtio-balloon over each transport: pages that go back to the host, and the statistics buffer. */
#include "base/bits.h"
#include "tests/device/bench.h"

enum { DATA = DRIVER_DATA, INFLATE = 0, DEFLATE = 1, STATS = 2, REPORTING = 3, PAGE = 4096 };

static void test_pages(gconstpointer kind)
{
    Driver *driver = driver_new(NULL, *(const DriveKind *)kind, "virtio-balloon", NULL);
    Buffer numbers = { DATA, 12, false };
    uint8_t *page = bench_ram(driver->bench, DATA + PAGE), *list;

    driver_start(driver, 0, 3);
    memset(page, 0x5a, 3 * PAGE);
    list = bench_ram(driver->bench, DATA);
    store_le32(list, (DATA + PAGE) / PAGE);
    store_le32(list + 4, 0xfffffff0);         /* nothing there */
    store_le32(list + 8, BENCH_SLOTS / PAGE); /* a device */
    g_assert_cmpuint(driver_do(driver, INFLATE, &numbers, 1), ==, 0);
    g_assert_cmphex(page[0], ==, 0);
    g_assert_cmphex(page[PAGE - 1], ==, 0);
    g_assert_cmphex(page[PAGE], ==, 0x5a);
    driver_do(driver, DEFLATE, &numbers, 1);
    driver_write_config(driver, 4, 1, 4);
    g_assert_cmpuint(driver_config(driver, 4, 4), ==, 1);
    g_assert_cmpuint(driver_config(driver, 0, 4), ==, 0);
    driver_free(driver);
}

static void test_reporting(gconstpointer kind)
{
    Driver *driver = driver_new(NULL, *(const DriveKind *)kind, "virtio-balloon",
                                "free-page-reporting", "on", NULL);
    Buffer free_ranges[2] = { { DATA + PAGE, 2 * PAGE, true },
                              { DATA + 4 * PAGE + 8, PAGE, true } };
    uint8_t *page = bench_ram(driver->bench, DATA);

    driver_start(driver, BIT(5), 4);
    memset(page, 0x5a, 8 * PAGE);
    driver_do(driver, REPORTING, free_ranges, 2);
    g_assert_cmphex(page[PAGE - 1], ==, 0x5a);
    g_assert_cmphex(page[PAGE], ==, 0);
    g_assert_cmphex(page[3 * PAGE - 1], ==, 0);
    g_assert_cmphex(page[3 * PAGE], ==, 0x5a);
    g_assert_cmphex(page[4 * PAGE + 100], ==, 0x5a); /* no whole page */
    driver_free(driver);
}

static void test_statistics(gconstpointer kind)
{
    Driver *driver = driver_new(NULL, *(const DriveKind *)kind, "virtio-balloon", NULL);
    Buffer buffer = { DATA, 20, false };
    uint8_t *list = bench_ram(driver->bench, DATA);

    driver_start(driver, BIT(1), 3);
    store_le16(list, 4);
    store_le64(list + 2, 123456);
    store_le16(list + 10, 0xfff0);
    driver_add(driver, STATS, &buffer, 1);
    driver_kick(driver, STATS);
    driver_kick(driver, STATS);
    bench_run_main_loop(driver->bench);
    g_assert_false(driver_used_any(driver, STATS)); /* kept until it is asked for */
    driver_free(driver);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_each_transport("balloon-pages", test_pages);
    test_each_transport("balloon-reporting", test_reporting);
    test_each_transport("balloon-statistics", test_statistics);
    return g_test_run();
}
