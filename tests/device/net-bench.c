/* SPDX-License-Identifier: MIT */
#include "tests/device/net-bench.h"

#include "backends/netdev-open.h"

static KeepingNetdev *keeping(Netdev *netdev)
{
    return container_of(netdev, KeepingNetdev, netdev);
}

static void keep(Netdev *netdev, unsigned queue, const struct iovec *iov, unsigned count)
{
    GByteArray *frame = g_byte_array_new();

    for (unsigned i = 0; i < count; i++) {
        g_byte_array_append(frame, iov[i].iov_base, iov[i].iov_len);
    }
    g_ptr_array_add(keeping(netdev)->sent, frame);
}

static bool keeping_open(Netdev *netdev, GError **error)
{
    keeping(netdev)->sent = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    return true;
}

static void keeping_close(Netdev *netdev)
{
    g_ptr_array_unref(keeping(netdev)->sent);
}

static const NetdevType keeping_netdev = {
    .name = "keeping",
    .summary = "Keeps frames",
    .instance_size = sizeof(KeepingNetdev),
    .open = keeping_open,
    .close = keeping_close,
    .transmit = keep,
};
NETDEV_TYPE(keeping_netdev);

KeepingNetdev *net_bench_new(Bench *bench)
{
    GError *error = NULL;
    Netdev *netdev = netdev_open(bench->machine, "net0", "keeping", NULL, &error);

    g_assert_no_error(error);
    return keeping(netdev);
}
