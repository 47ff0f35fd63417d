/* SPDX-License-Identifier: MIT */
/* virtio-net over each transport, with a back end that keeps what it gets. */
#include "tests/device/bench.h"

#include <glib/gstdio.h>

#include "backends/netdev-open.h"
#include "base/bits.h"
#include "machine/netdev.h"
#include "machine/object.h"

enum { DATA = DRIVER_DATA };

typedef struct {
    Netdev netdev;
    uint32_t queues, offloads; /* properties */
    GByteArray *sent;
    unsigned frames, queue, active, flushes;
} TestNetdev;

static void test_netdev_transmit(Netdev *netdev, unsigned queue, const struct iovec *iov,
                                 unsigned count)
{
    TestNetdev *test = (TestNetdev *)netdev;

    g_byte_array_set_size(test->sent, 0);
    for (unsigned i = 0; i < count; i++) {
        g_byte_array_append(test->sent, iov[i].iov_base, iov[i].iov_len);
    }
    test->frames++;
    test->queue = queue;
}

static bool test_netdev_open(Netdev *netdev, GError **error)
{
    TestNetdev *test = (TestNetdev *)netdev;

    test->sent = g_byte_array_new();
    netdev->queues = test->queues;
    netdev->offloads = test->offloads;
    return true;
}

static void test_netdev_close(Netdev *netdev)
{
    g_byte_array_unref(((TestNetdev *)netdev)->sent);
}

static void test_netdev_set_queues(Netdev *netdev, unsigned active)
{
    ((TestNetdev *)netdev)->active = active;
}

static void test_netdev_set_offloads(Netdev *netdev)
{
}

static void test_netdev_flush(Netdev *netdev)
{
    ((TestNetdev *)netdev)->flushes++;
}

static const NetdevType test_netdev = {
    .name = "test",
    .summary = "Keeps the last frame",
    .instance_size = sizeof(TestNetdev),
    .properties =
        (const Property[]){
            { "queues", PROPERTY_U32, offsetof(TestNetdev, queues), "pairs", "1" },
            { "offloads", PROPERTY_U32, offsetof(TestNetdev, offloads), "NET_*", "0" },
            { 0 } },
    .open = test_netdev_open,
    .close = test_netdev_close,
    .transmit = test_netdev_transmit,
    .flush = test_netdev_flush,
    .set_queues = test_netdev_set_queues,
    .set_offloads = test_netdev_set_offloads,
};
NETDEV_TYPE(test_netdev);

static Driver *net_new_with(DriveKind kind, TestNetdev **netdev, const char *options,
                            const char *mq)
{
    Bench *bench = driver_bench_new(kind);
    GError *error = NULL;

    *netdev = (TestNetdev *)netdev_open_text(bench->machine, options, "net0", NULL, &error);
    g_assert_no_error(error);
    return driver_new(bench, kind, "virtio-net", "netdev", "net0", "mac", "52:54:00:00:00:01", "mq",
                      mq, NULL);
}

static Driver *net_new(DriveKind kind, TestNetdev **netdev)
{
    return net_new_with(kind, netdev, "test", "off");
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

/* A legacy driver sets its address byte by byte, and reads nothing in between. */
static void test_net_address(gconstpointer kind)
{
    static const uint8_t address[] = { 0x02, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5 };
    TestNetdev *netdev;
    Driver *driver = net_new(*(const DriveKind *)kind, &netdev);

    driver_start(driver, BIT(5), 2);
    for (unsigned i = 0; i < sizeof address; i++) {
        driver_write_config(driver, i, address[i], 1);
    }
    g_assert_cmphex(driver_config(driver, 0, 4), ==, 0xa3a2a102);
    g_assert_cmphex(driver_config(driver, 4, 2), ==, 0xa5a4);
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

static uint32_t net_control_on(Driver *driver, unsigned queue, const void *command, unsigned size)
{
    Buffer buffers[2] = { { DATA + 0x4000, size, false }, { DATA + 0x5000, 1, true } };

    memcpy(bench_ram(driver->bench, DATA + 0x4000), command, size);
    driver_do(driver, queue, buffers, 2);
    return *bench_ram(driver->bench, DATA + 0x5000);
}

static uint32_t net_control(Driver *driver, const void *command, unsigned size)
{
    return net_control_on(driver, 2, command, size);
}

static void count_event(void *opaque, const char *event, const char *json_data)
{
    *(unsigned *)opaque += !strcmp(event, "NIC_RX_FILTER_CHANGED");
}

/* What the monitor is told of the filter, and how often it is told that it has changed. */
static void test_net_filter_told(void)
{
    static const uint8_t promiscuous_off[] = { 0, 0, 0 }, all_multicast[] = { 0, 1, 1 };
    static const uint8_t table[] = { 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x33, 0x33, 0, 0, 0, 9 };
    static const uint8_t unknown[] = { 0, 9, 1 };
    TestNetdev *netdev;
    Driver *driver = net_new(DRIVE_MMIO, &netdev);
    Machine *machine = driver->bench->machine;
    const NetClient *client = netdev->netdev.client;
    NetFilterInfo info;
    unsigned told = 0;

    machine_add_event_listener(machine, count_event, &told);
    driver_start(driver, BIT(17) | BIT(18) | BIT(23), 3);
    client->describe_filter(netdev->netdev.client_opaque, &info);
    g_assert_true(info.promiscuous && info.broadcast);
    g_assert_cmpint(info.vlan, ==, NET_FILTER_ALL);
    g_assert_cmpuint(net_control(driver, unknown, sizeof unknown), ==, 1);
    machine_tell_events(machine);
    g_assert_cmpuint(told, ==, 0);
    g_assert_cmpuint(net_control(driver, promiscuous_off, sizeof promiscuous_off), ==, 0);
    g_assert_cmpuint(net_control(driver, table, sizeof table), ==, 0);
    machine_tell_events(machine);
    g_assert_cmpuint(told, ==, 1);
    client->describe_filter(netdev->netdev.client_opaque, &info);
    g_assert_false(info.promiscuous);
    g_assert_cmpint(info.multicast, ==, NET_FILTER_NORMAL);
    g_assert_cmpuint(info.unicast_table.count, ==, 0);
    g_assert_cmpuint(info.multicast_table.count, ==, 1);
    g_assert_cmpmem(info.multicast_table.addresses[0], 6, table + 10, 6);
    g_assert_cmpuint(net_control(driver, all_multicast, sizeof all_multicast), ==, 0);
    machine_tell_events(machine);
    g_assert_cmpuint(told, ==, 2);
    client->describe_filter(netdev->netdev.client_opaque, &info);
    g_assert_cmpint(info.multicast, ==, NET_FILTER_ALL);
    machine_remove_event_listener(machine, count_event, &told);
    driver_free(driver);
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

enum { CONTROL_VQ = 17, MULTIQUEUE = 22 };

static void test_net_pairs(void)
{
    static const uint8_t two[] = { 4, 0, 2, 0 }, three[] = { 4, 0, 3, 0 }, none[] = { 4, 0, 0, 0 };
    TestNetdev *netdev;
    Driver *driver = net_new_with(DRIVE_PCI, &netdev, "test,queues=2", "on");
    Buffer rx = { DATA, 2048, true }, tx = { DATA + 0x1000, 112, false };
    uint8_t frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

    g_assert_true(driver_offered(driver) & BIT(MULTIQUEUE));
    g_assert_cmpuint(driver_config(driver, 8, 2), ==, 2);
    driver_start(driver, BIT(CONTROL_VQ) | BIT(MULTIQUEUE), 5);
    g_assert_cmpuint(netdev->active, ==, 1);
    driver_add(driver, 2, &rx, 1);
    g_assert_true(netdev_offer(&netdev->netdev, 1, frame, sizeof frame)); /* dropped: not in use */
    g_assert_false(driver_used_any(driver, 2));
    g_assert_cmpuint(net_control_on(driver, 4, three, sizeof three), ==, 1);
    g_assert_cmpuint(net_control_on(driver, 4, none, sizeof none), ==, 1);
    g_assert_cmpuint(net_control_on(driver, 4, two, sizeof two), ==, 0);
    g_assert_cmpuint(netdev->active, ==, 2);
    g_assert_true(netdev_offer(&netdev->netdev, 1, frame, sizeof frame));
    driver_wait(driver, 2);
    g_assert_false(netdev_offer(&netdev->netdev, 1, frame, sizeof frame)); /* no buffer left */
    driver_do(driver, 3, &tx, 1);
    g_assert_cmpuint(netdev->queue, ==, 1);
    driver_do(driver, 1, &tx, 1);
    g_assert_cmpuint(netdev->queue, ==, 0);
    driver_free(driver);
}

/* A driver that takes one pair has its control queue behind it. */
static void test_net_one_of_two(void)
{
    static const uint8_t two[] = { 4, 0, 2, 0 }, promiscuous[] = { 0, 0, 0 };
    TestNetdev *netdev;
    Driver *driver = net_new_with(DRIVE_MMIO, &netdev, "test,queues=2", "on");

    driver_start(driver, BIT(CONTROL_VQ) | BIT(18), 3);
    g_assert_cmpuint(net_control(driver, promiscuous, sizeof promiscuous), ==, 0);
    g_assert_cmpuint(net_control(driver, two, sizeof two), ==, 1);
    driver_free(driver);
    driver = net_new_with(DRIVE_MMIO, &netdev, "test,queues=2", "off");
    g_assert_false(driver_offered(driver) & BIT(MULTIQUEUE));
    driver_free(driver);
}

static void test_net_offloads(gconstpointer kind)
{
    enum { CSUM = 0, GUEST_CSUM = 1, CTRL_OFFLOADS = 2, GUEST_TSO4 = 7, HOST_TSO4 = 11, UFO = 14 };
    static const uint8_t off[] = { 5, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
    static const uint8_t unknown[] = { 5, 0, 0, 1, 0, 0, 0, 0, 0, 0 };
    bool legacy = *(const DriveKind *)kind == DRIVE_MMIO_LEGACY ||
                  *(const DriveKind *)kind == DRIVE_PCI_LEGACY;
    unsigned header = legacy ? 10 : 12;
    TestNetdev *netdev;
    Driver *driver = net_new_with(*(const DriveKind *)kind, &netdev, "test,offloads=3", "off");
    Buffer tx = { DATA + 0x1000, 112, false }, rx = { DATA, 2048, true };
    uint8_t frame[72] = { 1 /* needs a checksum */ };

    memset(frame + header, 0xff, 6);
    g_assert_true(driver_offered(driver) & BIT(HOST_TSO4));
    g_assert_false(driver_offered(driver) & BIT(UFO));
    driver_start(driver,
                 BIT(CSUM) | BIT(GUEST_CSUM) | BIT(GUEST_TSO4) | BIT(HOST_TSO4) | BIT(CONTROL_VQ) |
                     BIT(CTRL_OFFLOADS),
                 3);
    g_assert_cmpuint(netdev->netdev.header, ==, header);
    g_assert_cmphex(netdev->netdev.taken_offloads, ==, NET_OFFLOAD_CHECKSUM | NET_OFFLOAD_TSO4);
    *bench_ram(driver->bench, DATA + 0x1000) = 1;
    driver_do(driver, 1, &tx, 1);
    g_assert_cmpuint(netdev->sent->len, ==, 112); /* header and all */
    g_assert_cmpuint(netdev->sent->data[0], ==, 1);
    g_assert_false(netdev_offer(&netdev->netdev, 0, frame, header + 60));
    netdev->flushes = 0;
    driver_add(driver, 0, &rx, 1);
    driver_kick(driver, 0);
    g_assert_cmpuint(netdev->flushes, ==, 1);
    g_assert_true(netdev_offer(&netdev->netdev, 0, frame, header + 60));
    g_assert_cmpuint(driver_wait(driver, 0), ==, header + 60);
    g_assert_cmpuint(*bench_ram(driver->bench, DATA), ==, 1);
    g_assert_cmpuint(net_control(driver, unknown, sizeof unknown), ==, 1);
    g_assert_cmpuint(net_control(driver, off, sizeof off), ==, 0);
    g_assert_cmphex(netdev->netdev.taken_offloads, ==, 0);
    driver_set_status(driver, 0);
    g_assert_cmpuint(netdev->netdev.header, ==, 10);
    driver_free(driver);
}

/* A frame that needs more buffers than there are waits; one that no number of buffers holds does not. */
static void test_net_waits(void)
{
    enum { MRG_RXBUF = 15 };
    TestNetdev *netdev;
    Driver *driver = net_new(DRIVE_PCI, &netdev);
    uint8_t frame[300] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, large[4000];
    Buffer rx = { DATA, 200, true };

    memset(large, 0xff, sizeof large);
    driver_start(driver, BIT(MRG_RXBUF), 2);
    driver_add(driver, 0, &rx, 1);
    g_assert_false(netdev_offer(&netdev->netdev, 0, frame, sizeof frame));
    g_assert_false(driver_used_any(driver, 0));
    driver_add(driver, 0, &rx, 1);
    g_assert_true(netdev_offer(&netdev->netdev, 0, frame, sizeof frame));
    driver_wait(driver, 0);
    driver_wait(driver, 0);
    for (unsigned i = 0; i < DRIVER_QUEUE_SIZE; i++) {
        driver_add(driver, 0, &rx, 1);
    }
    g_assert_true(netdev_offer(&netdev->netdev, 0, large, sizeof large));
    g_assert_false(driver_used_any(driver, 0));
    driver_free(driver);
}

static bool dump_add(Machine *machine, const char *more, const char *path, GError **error)
{
    g_autofree char *text = g_strconcat("filter-dump,netdev=net0,", more, ",file=", path, NULL);
    g_autoptr(KeyValues) list = key_values_parse(text, "qom-type", error);

    return list && object_add(machine, list, error);
}

/* The frames of a file of libpcap's, each as "KEPT/SIZE:FIRST-BYTE"; removes it. */
static char *dumped(const char *path)
{
    enum { HEADER = 24, RECORD = 16, LONGEST_AT = 16, KEPT_AT = 8, SIZE_AT = 12 };
    GString *text = g_string_new(NULL);
    g_autofree char *data = NULL;
    gsize size;

    g_assert_true(g_file_get_contents(path, &data, &size, NULL));
    g_assert_cmphex(load_le32(data), ==, 0xa1b2c3d4);
    g_string_append_printf(text, "%u", load_le32(data + LONGEST_AT));
    for (gsize at = HEADER; at < size;) {
        uint32_t kept = load_le32(data + at + KEPT_AT);

        g_string_append_printf(text, " %u/%u:%02x", kept, load_le32(data + at + SIZE_AT),
                               (uint8_t)data[at + RECORD]);
        at += RECORD + kept;
    }
    g_unlink(path);
    return g_string_free(text, false);
}

/* filter-dump: both ways or one, without virtio's header, cut; it goes with its netdev. */
static void test_net_dump(void)
{
    enum { CSUM = 0, HEADER_SIZE = 12 };
    TestNetdev *netdev;
    Driver *driver = net_new_with(DRIVE_PCI, &netdev, "test,offloads=1", "off");
    Machine *machine = driver->bench->machine;
    g_autofree char *folder = g_dir_make_tmp("kaso-XXXXXX", NULL);
    char *paths[3], *got[3];
    Buffer tx[2] = { { DATA + 0x1000, HEADER_SIZE + 1, false }, { DATA + 0x1100, 99, false } };
    Buffer rx = { DATA, 2048, true };
    uint8_t frame[HEADER_SIZE + 60] = { 0 };
    GError *error = NULL;

    for (unsigned i = 0; i < 3; i++) {
        static const char *const options[] = { "id=a", "id=b,queue=rx,maxlen=10", "id=c,queue=tx" };

        paths[i] = g_strdup_printf("%s/%u", folder, i);
        g_assert_true(dump_add(machine, options[i], paths[i], &error));
        g_assert_no_error(error);
    }
    memset(frame + HEADER_SIZE, 0xff, 6);
    *bench_ram(driver->bench, DATA + 0x1000 + HEADER_SIZE) = 0xab;
    driver_start(driver, BIT(CSUM), 2);
    driver_do(driver, 1, tx, 2);
    g_assert_true(netdev_offer(&netdev->netdev, 0, frame, sizeof frame)); /* seen, and waits */
    driver_add(driver, 0, &rx, 1);
    driver_kick(driver, 0);
    driver_wait(driver, 0);
    g_assert_true(object_remove(machine, "c", &error));
    driver_do(driver, 1, tx, 2);
    g_assert_cmpuint(netdev->frames, ==, 2);
    driver_free(driver);
    for (unsigned i = 0; i < 3; i++) {
        got[i] = dumped(paths[i]);
        g_free(paths[i]);
    }
    g_assert_cmpstr(got[0], ==, "65536 100/100:ab 60/60:ff 100/100:ab");
    g_assert_cmpstr(got[1], ==, "10 10/100:ab 10/100:ab");
    g_assert_cmpstr(got[2], ==, "65536 60/60:ff");
    g_rmdir(folder);
    for (unsigned i = 0; i < 3; i++) {
        g_free(got[i]);
    }
}

int main(int argc, char **argv)
{
    static const DriveKind legacy_mmio = DRIVE_MMIO_LEGACY, legacy_pci = DRIVE_PCI_LEGACY;

    g_test_init(&argc, &argv, NULL);
    test_each_transport("net", test_net);
    g_test_add_data_func("/virtio/net-address/mmio", &legacy_mmio, test_net_address);
    g_test_add_data_func("/virtio/net-address/pci", &legacy_pci, test_net_address);
    g_test_add_func("/virtio/net-mergeable", test_net_mergeable);
    g_test_add_func("/virtio/net-filter", test_net_filter);
    g_test_add_func("/virtio/net-filter-told", test_net_filter_told);
    test_each_transport("net-offloads", test_net_offloads);
    g_test_add_func("/virtio/net-pairs", test_net_pairs);
    g_test_add_func("/virtio/net-one-of-two", test_net_one_of_two);
    g_test_add_func("/virtio/net-waits", test_net_waits);
    g_test_add_func("/virtio/net-dump", test_net_dump);
    return g_test_run();
}
