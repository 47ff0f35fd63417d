/* SPDX-License-Identifier: MIT */
/* virtio-net over each transport, with a back end that keeps what it gets. */
#include "tests/device/bench.h"

#include "backends/netdev-open.h"
#include "base/bits.h"
#include "machine/netdev.h"

enum { DATA = DRIVER_DATA };

typedef struct {
    Netdev netdev;
    GByteArray *sent;
    unsigned frames;
} TestNetdev;

static void test_netdev_transmit(Netdev *netdev, const struct iovec *iov, unsigned count)
{
    TestNetdev *test = (TestNetdev *)netdev;

    g_byte_array_set_size(test->sent, 0);
    for (unsigned i = 0; i < count; i++) {
        g_byte_array_append(test->sent, iov[i].iov_base, iov[i].iov_len);
    }
    test->frames++;
}

static bool test_netdev_open(Netdev *netdev, GError **error)
{
    ((TestNetdev *)netdev)->sent = g_byte_array_new();
    return true;
}

static void test_netdev_close(Netdev *netdev)
{
    g_byte_array_unref(((TestNetdev *)netdev)->sent);
}

static const NetdevType test_netdev = {
    .name = "test",
    .summary = "Keeps the last frame",
    .instance_size = sizeof(TestNetdev),
    .open = test_netdev_open,
    .close = test_netdev_close,
    .transmit = test_netdev_transmit,
};
NETDEV_TYPE(test_netdev);

static Driver *net_new(DriveKind kind, TestNetdev **netdev)
{
    Bench *bench = driver_bench_new(kind);
    GError *error = NULL;

    *netdev = (TestNetdev *)netdev_open(bench->machine, "net0", "test", NULL, &error);
    g_assert_no_error(error);
    return driver_new(bench, kind, "virtio-net", "netdev", "net0", "mac", "52:54:00:00:00:01",
                      NULL);
}

static void test_net(gconstpointer kind)
{
    enum { MRG_RXBUF = 15, MAC = 5 };
    bool legacy = *(const DriveKind *)kind == DRIVE_MMIO_LEGACY ||
                  *(const DriveKind *)kind == DRIVE_PCI_LEGACY;
    unsigned header = legacy ? 10 : 12;
    TestNetdev *netdev;
    Driver *driver = net_new(*(const DriveKind *)kind, &netdev);
    Buffer tx[2] = { { DATA, header, false }, { DATA + 0x1000, 100, false } };
    Buffer rx = { DATA + 0x2000, 2048, true };
    uint8_t frame[60] = { 0x52, 0x54, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 8, 0, 'x' };

    driver_start(driver, BIT(MAC), 2);
    g_assert_cmphex(driver_config(driver, 0, 4), ==, 0x00005452);
    memset(bench_ram(driver->bench, DATA + 0x1000), 'a', 100);
    driver_do(driver, 1, tx, 2);
    g_assert_cmpuint(netdev->frames, ==, 1);
    g_assert_cmpuint(netdev->sent->len, ==, 100);
    g_assert_cmphex(netdev->sent->data[99], ==, 'a');

    netdev_receive(&netdev->netdev, frame, sizeof frame); /* waits for a buffer */
    driver_add(driver, 0, &rx, 1);
    driver_kick(driver, 0);
    g_assert_cmpuint(driver_wait(driver, 0), ==, header + sizeof frame);
    g_assert_true(!memcmp(bench_ram(driver->bench, DATA + 0x2000 + header), frame, sizeof frame));
    g_assert_true(driver_interrupted(driver));
    driver_free(driver);
}

static void test_net_mergeable(void)
{
    enum { MRG_RXBUF = 15, HEADER_SIZE = 12 };
    TestNetdev *netdev;
    Driver *driver = net_new(DRIVE_PCI, &netdev);
    uint8_t frame[200];

    for (unsigned i = 0; i < sizeof frame; i++) {
        frame[i] = i;
    }
    driver_start(driver, BIT(MRG_RXBUF), 2);
    for (unsigned i = 0; i < 4; i++) {
        Buffer rx = { DATA + 0x100 * i, 100, true };

        driver_add(driver, 0, &rx, 1);
    }
    driver_kick(driver, 0);
    netdev_receive(&netdev->netdev, frame, sizeof frame);
    g_assert_cmpuint(driver_wait(driver, 0), ==, 100);
    g_assert_cmpuint(driver_wait(driver, 0), ==, 100);
    g_assert_cmpuint(driver_wait(driver, 0), ==, 12);
    g_assert_cmpuint(load_le16(bench_ram(driver->bench, DATA + 10)), ==, 3); /* num_buffers */
    g_assert_true(!memcmp(bench_ram(driver->bench, DATA + 0x200), frame + 188, 12));
    driver_free(driver);
}

static uint32_t net_control(Driver *driver, const void *command, unsigned size)
{
    Buffer buffers[2] = { { DATA + 0x4000, size, false }, { DATA + 0x5000, 1, true } };

    memcpy(bench_ram(driver->bench, DATA + 0x4000), command, size);
    driver_do(driver, 2, buffers, 2);
    return *bench_ram(driver->bench, DATA + 0x5000);
}

static void test_net_filter(void)
{
    static const uint8_t promiscuous_off[] = { 0, 0, 0 };
    static const uint8_t table[] = { 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x33, 0x33, 0, 0, 0, 9 };
    static const uint8_t truncated[] = { 1, 0, 0xff, 0xff, 0xff, 0xff };
    TestNetdev *netdev;
    Driver *driver = net_new(DRIVE_MMIO, &netdev);
    uint8_t frame[60] = { 0x52, 0x54, 0, 0, 0, 2 };
    Buffer rx = { DATA, 2048, true };

    driver_start(driver, BIT(17) | BIT(18) | BIT(23), 3);
    for (unsigned i = 0; i < 4; i++) {
        driver_add(driver, 0, &rx, 1);
    }
    driver_kick(driver, 0);
    netdev_receive(&netdev->netdev, frame, sizeof frame); /* promiscuous until told otherwise */
    driver_wait(driver, 0);
    g_assert_cmpuint(net_control(driver, promiscuous_off, sizeof promiscuous_off), ==, 0);
    netdev_receive(&netdev->netdev, frame, sizeof frame);
    g_assert_false(driver_used_any(driver, 0));
    memcpy(frame, "\x33\x33\0\0\0\x09", 6);
    netdev_receive(&netdev->netdev, frame, sizeof frame);
    g_assert_false(driver_used_any(driver, 0));
    g_assert_cmpuint(net_control(driver, table, sizeof table), ==, 0);
    netdev_receive(&netdev->netdev, frame, sizeof frame);
    driver_wait(driver, 0);
    memset(frame, 0xff, 6);
    netdev_receive(&netdev->netdev, frame, sizeof frame);
    driver_wait(driver, 0);
    g_assert_cmpuint(net_control(driver, truncated, sizeof truncated), ==, 1);
    driver_free(driver);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_each_transport("net", test_net);
    g_test_add_func("/virtio/net-mergeable", test_net_mergeable);
    g_test_add_func("/virtio/net-filter", test_net_filter);
    return g_test_run();
}
