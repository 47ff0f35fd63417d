/* SPDX-License-Identifier: MIT */
/* The example of docs/howto/add-a-pci-device.md at work, on the bench's PCI host. */
#include "tests/device/bench.h"

#include "base/bits.h"

enum { DEVFN = 5 << 3, PIN = 5 % 4, BAR = BENCH_MEMORY_WINDOW };
enum { ADDRESS = BAR, LENGTH = BAR + 8, CONTROL = BAR + 12, SUM = BAR + 16, STATUS = BAR + 20 };

static Bench *open_summer(unsigned command)
{
    Bench *bench = bench_new(false);

    bench_device(bench, "byte-summer", NULL, "addr", "5", NULL);
    g_assert_cmphex(bench_config_read(bench, DEVFN, PCI_VENDOR_ID, 4), ==, 0x53551234);
    bench_config_write(bench, DEVFN, PCI_BASE_ADDRESS_0, UINT32_MAX, 4);
    g_assert_cmphex(bench_config_read(bench, DEVFN, PCI_BASE_ADDRESS_0, 4), ==, 0xfffff000);
    bench_config_write(bench, DEVFN, PCI_BASE_ADDRESS_0, BAR, 4);
    bench_config_write(bench, DEVFN, PCI_COMMAND, PCI_COMMAND_MEMORY | command, 2);
    return bench;
}

static void sum(Bench *bench, uint64_t address, uint32_t length)
{
    bench_write(bench, ADDRESS, address, 8);
    bench_write(bench, LENGTH, length, 4);
    bench_write(bench, CONTROL, 1, 4);
}

static void test_sum(void)
{
    Bench *bench = open_summer(PCI_COMMAND_BUS_MASTER);

    memset(bench_ram(bench, BENCH_RAM + 0x100), 3, 5000);
    sum(bench, BENCH_RAM + 0x100, 5000);
    g_assert_cmphex(bench_read(bench, STATUS, 4), ==, 1);
    g_assert_cmpuint(bench_read(bench, SUM, 4), ==, 15000);
    g_assert_cmpint(bench->intx[PIN], ==, 1);
    bench_write(bench, STATUS, 1, 4);
    g_assert_cmpint(bench->intx[PIN], ==, 0);
    bench_free(bench);
}

static void test_errors(void)
{
    Bench *bench = open_summer(PCI_COMMAND_BUS_MASTER);

    sum(bench, UINT64_C(0xfffffffffffff000), 8192); /* nothing is there, and it wraps */
    g_assert_cmphex(bench_read(bench, STATUS, 4), ==, 3);
    sum(bench, BENCH_RAM, UINT32_MAX);
    g_assert_cmphex(bench_read(bench, STATUS, 4), ==, 3);
    bench_free(bench);
    bench = open_summer(0);
    sum(bench, BENCH_RAM, 16);
    g_assert_cmphex(bench_read(bench, STATUS, 4), ==, 3);
    bench_free(bench);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/howto/add-a-pci-device", test_sum);
    g_test_add_func("/howto/add-a-pci-device/errors", test_errors);
    return g_test_run();
}
