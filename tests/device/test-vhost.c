/* SPDX-License-Identifier: MIT */
/*
 * virtio-net's way through the kernel, against a kernel of the test's own: ioctl is wrapped, and descriptors that stand for /dev/vhost-net
 * are answered here. Chains are carried by the test, at the host addresses that it was told.
 */
#include "tests/device/bench.h"

#include <errno.h>
#include <linux/vhost.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backends/netdev-open.h"
#include "base/bits.h"
#include "machine/netdev.h"
#include "machine/private.h"

enum {
    DATA = DRIVER_DATA,
    QUEUES = 2,
    MOST_PAIRS = 2,
    CONTROL_VQ = 17,
    MULTIQUEUE = 22,
    RING_RESET = 40,
    HEADER = 12
};

typedef struct {
    unsigned size, taken;
    struct vhost_vring_addr address;
    int kick, call, trouble, backend;
} FakeQueue;

typedef struct {
    int fd;
    bool owned;
    uint64_t features;
    unsigned tables; /* how often it was told of memory */
    struct vhost_memory *memory;
    FakeQueue queue[QUEUES];
} FakeKernel;

static struct {
    FakeKernel kernel[MOST_PAIRS];
    unsigned count;
    uint64_t offered;
    unsigned calls, fail_at; /* that call fails; 0: none */
} fake;

/* The linker calls them so (--wrap). */
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

static FakeKernel *find_kernel(int fd)
{
    for (unsigned i = 0; i < fake.count; i++) {
        if (fake.kernel[i].fd == fd) {
            return &fake.kernel[i];
        }
    }
    return NULL;
}

static int answer_file(FakeQueue *q, unsigned long request, int fd)
{
    switch (request) {
    case VHOST_SET_VRING_KICK:
        q->kick = fd;
        return 0;
    case VHOST_SET_VRING_CALL:
        q->call = fd;
        return 0;
    case VHOST_SET_VRING_ERR:
        q->trouble = fd;
        return 0;
    default:
        q->backend = fd;
        return 0;
    }
}

/* As the kernel: what cannot be changed while frames are carried is refused. */
static int answer_state(FakeQueue *q, unsigned long request, struct vhost_vring_state *state)
{
    if (request == VHOST_GET_VRING_BASE) {
        state->num = q->taken;
        return 0;
    }
    if (q->backend >= 0) {
        errno = EBUSY;
        return -1;
    }
    *(request == VHOST_SET_VRING_NUM ? &q->size : &q->taken) = state->num;
    return 0;
}

static int answer(FakeKernel *k, unsigned long request, void *argument)
{
    const struct vhost_memory *memory = argument;
    size_t size;

    switch (request) {
    case VHOST_SET_OWNER:
        k->owned = true;
        return 0;
    case VHOST_RESET_OWNER:
        k->owned = false;
        for (unsigned i = 0; i < QUEUES; i++) {
            k->queue[i] = (FakeQueue){ .kick = -1, .call = -1, .trouble = -1, .backend = -1 };
        }
        return 0;
    case VHOST_GET_FEATURES:
        *(uint64_t *)argument = fake.offered;
        return 0;
    case VHOST_SET_FEATURES:
        g_assert_cmphex(*(uint64_t *)argument & ~fake.offered, ==, 0);
        k->features = *(uint64_t *)argument;
        return 0;
    case VHOST_SET_MEM_TABLE:
        size = sizeof *memory + memory->nregions * sizeof memory->regions[0];
        g_free(k->memory);
        k->memory = g_malloc(size);
        memcpy(k->memory, memory, size);
        k->tables++;
        return 0;
    case VHOST_SET_VRING_ADDR:
        k->queue[((struct vhost_vring_addr *)argument)->index].address =
            *(struct vhost_vring_addr *)argument;
        return 0;
    case VHOST_SET_VRING_NUM:
    case VHOST_SET_VRING_BASE:
    case VHOST_GET_VRING_BASE:
        return answer_state(&k->queue[((struct vhost_vring_state *)argument)->index], request,
                            argument);
    default:
        return answer_file(&k->queue[((struct vhost_vring_file *)argument)->index], request,
                           ((struct vhost_vring_file *)argument)->fd);
    }
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    FakeKernel *kernel = find_kernel(fd);
    va_list arguments;
    void *argument;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    if (!kernel) {
        return __real_ioctl(fd, request, argument);
    }
    if (++fake.calls == fake.fail_at) {
        errno = EIO;
        return -1;
    }
    return answer(kernel, request, argument);
}

/* --- a back end that has such descriptors --- */

typedef struct {
    Netdev netdev;
    uint32_t queues;
    bool held;
    unsigned sent;
} KernelNetdev;

static bool kernel_open(Netdev *netdev, GError **error)
{
    netdev->queues = ((KernelNetdev *)netdev)->queues;
    netdev->offloads = NET_OFFLOAD_CHECKSUM;
    return true;
}

static void kernel_transmit(Netdev *netdev, unsigned queue, const struct iovec *iov, unsigned count)
{
    ((KernelNetdev *)netdev)->sent++;
}

static void kernel_set_offloads(Netdev *netdev)
{
}

static bool kernel_path(Netdev *netdev, unsigned queue, NetdevKernelPath *path)
{
    *path = (NetdevKernelPath){ .vhost = fake.kernel[queue].fd, .tap = 1000 + (int)queue };
    return true;
}

static void kernel_set_held(Netdev *netdev, bool held)
{
    ((KernelNetdev *)netdev)->held = held;
}

static const NetdevType kernel_netdev = {
    .name = "kernel",
    .summary = "Has a kernel of its own",
    .instance_size = sizeof(KernelNetdev),
    .properties =
        (const Property[]){
            { "queues", PROPERTY_U32, offsetof(KernelNetdev, queues), "pairs", "1" }, { 0 } },
    .open = kernel_open,
    .transmit = kernel_transmit,
    .set_offloads = kernel_set_offloads,
    .kernel_path = kernel_path,
    .set_held = kernel_set_held,
};
NETDEV_TYPE(kernel_netdev);

static void fake_begin(unsigned count)
{
    fake.count = count;
    fake.calls = fake.fail_at = 0;
    fake.offered = BIT(15) | BIT(24) | BIT(26) | BIT(27) | BIT(28) | BIT(29) | BIT(32);
    for (unsigned i = 0; i < count; i++) {
        fake.kernel[i] = (FakeKernel){ .fd = eventfd(0, EFD_CLOEXEC) };
        for (unsigned j = 0; j < QUEUES; j++) {
            fake.kernel[i].queue[j] =
                (FakeQueue){ .kick = -1, .call = -1, .trouble = -1, .backend = -1 };
        }
    }
}

static void fake_end(void)
{
    for (unsigned i = 0; i < fake.count; i++) {
        close(fake.kernel[i].fd);
        g_free(fake.kernel[i].memory);
    }
    fake.count = 0;
}

static Driver *begin(DriveKind kind, unsigned pairs, KernelNetdev **netdev)
{
    Bench *bench = driver_bench_new(kind);
    g_autofree char *options = g_strdup_printf("kernel,queues=%u", pairs);
    GError *error = NULL;

    *netdev = (KernelNetdev *)netdev_open_text(bench->machine, options, "net0", NULL, &error);
    g_assert_no_error(error);
    machine_start(bench->machine);
    return driver_new(bench, kind, "virtio-net", "netdev", "net0", "mq", pairs > 1 ? "on" : "off",
                      NULL);
}

static bool signalled(int fd)
{
    uint64_t times;

    return fd >= 0 && read(fd, &times, sizeof times) == sizeof times;
}

/* Returns the next chain, with `written` bytes in it, and interrupts. Its first buffer, or NULL: there is none. */
static uint8_t *carry(FakeQueue *q, uint32_t written)
{
    const uint64_t once = 1;
    const uint8_t *descriptors = (const uint8_t *)(uintptr_t)q->address.desc_user_addr;
    const uint8_t *available = (const uint8_t *)(uintptr_t)q->address.avail_user_addr;
    uint8_t *used = (uint8_t *)(uintptr_t)q->address.used_user_addr, *entry;
    uint16_t index = load_le16(used + 2);
    unsigned head;

    if (load_le16(available + 2) == (uint16_t)q->taken) {
        return NULL;
    }
    head = load_le16(available + 4 + 2 * (q->taken % q->size));
    q->taken = (uint16_t)(q->taken + 1);
    entry = used + 4 + 8 * (index % q->size);
    store_le32(entry, head);
    store_le32(entry + 4, written);
    store_le16(used + 2, index + 1);
    g_assert_cmpint(write(q->call, &once, sizeof once), ==, sizeof once);
    for (unsigned i = 0; i < fake.kernel[0].memory->nregions; i++) {
        const struct vhost_memory_region *r = &fake.kernel[0].memory->regions[i];
        uint64_t address = load_le64(descriptors + 16 * head);

        if (address >= r->guest_phys_addr && address - r->guest_phys_addr < r->memory_size) {
            return (uint8_t *)(uintptr_t)(r->userspace_addr + (address - r->guest_phys_addr));
        }
    }
    g_assert_not_reached();
}

static void test_carries(gconstpointer kind)
{
    KernelNetdev *netdev;
    Buffer tx = { DATA + 0x1000, 112, false }, rx = { DATA, 2048, true };
    FakeQueue *in = &fake.kernel[0].queue[0], *out = &fake.kernel[0].queue[1];
    Driver *driver;

    fake_begin(1);
    driver = begin(*(const DriveKind *)kind, 1, &netdev);
    g_assert_true(fake.kernel[0].owned);
    g_assert_cmpint(in->backend, ==, -1);
    driver_start(driver, 0, 2);
    g_assert_cmpint(in->backend, ==, 1000);
    g_assert_true(netdev->held);
    g_assert_true(signalled(out->kick)); /* for what was there before */
    *bench_ram(driver->bench, DATA + 0x1000 + HEADER) = 'a';
    driver_add(driver, 1, &tx, 1);
    driver_kick(driver, 1);
    g_assert_true(signalled(out->kick));
    g_assert_cmpuint(carry(out, 0)[HEADER], ==, 'a');
    driver_wait(driver, 1);
    bench_run_main_loop(driver->bench);
    g_assert_true(driver_interrupted(driver));
    g_assert_cmpuint(netdev->sent, ==, 0);
    driver_add(driver, 0, &rx, 1);
    driver_kick(driver, 0);
    carry(in, 70)[HEADER] = 'b';
    g_assert_cmpuint(driver_wait(driver, 0), ==, 70);
    g_assert_cmpuint(*bench_ram(driver->bench, DATA + HEADER), ==, 'b');
    driver_free(driver);
    g_assert_cmpint(in->kick, ==, -1);
    g_assert_cmpint(in->backend, ==, -1);
    fake_end();
}

static void test_comes_back(void)
{
    KernelNetdev *netdev;
    Buffer tx = { DATA, 112, false };
    FakeQueue *out = &fake.kernel[0].queue[1];
    Driver *driver;

    fake_begin(1);
    driver = begin(DRIVE_PCI, 1, &netdev);
    driver_start(driver, 0, 2);
    for (unsigned i = 0; i < 3; i++) {
        driver_add(driver, 1, &tx, 1);
        g_assert_nonnull(carry(out, 0));
        driver_wait(driver, 1);
    }
    /* What the kernel has not taken is sent by this program once the link is gone: it is dropped there, but returned. */
    driver_add(driver, 1, &tx, 1);
    netdev_set_link(&netdev->netdev, false);
    g_assert_cmpint(out->backend, ==, -1);
    g_assert_false(netdev->held);
    driver_wait(driver, 1);
    netdev_set_link(&netdev->netdev, true);
    g_assert_cmpint(out->backend, ==, 1000);
    g_assert_cmpuint(out->taken, ==, 4);
    /* While the machine is stopped its memory stands still. */
    machine_stop(driver->bench->machine, STOP_PAUSED);
    g_assert_cmpint(out->backend, ==, -1);
    driver_add(driver, 1, &tx, 1);
    machine_start(driver->bench->machine);
    g_assert_cmpint(out->backend, ==, 1000);
    g_assert_nonnull(carry(out, 0));
    driver_wait(driver, 1);
    driver_set_status(driver, 0);
    g_assert_cmpint(out->backend, ==, -1);
    driver_free(driver);
    fake_end();
}

/* While one queue is being made anew, the kernel has none of its pair; then it has both. */
static void test_queue_reset(void)
{
    KernelNetdev *netdev;
    Buffer tx = { DATA, 112, false };
    FakeQueue *in = &fake.kernel[0].queue[0], *out = &fake.kernel[0].queue[1];
    Driver *driver;

    fake_begin(1);
    driver = begin(DRIVE_PCI, 1, &netdev);
    driver_start(driver, BIT(RING_RESET), 2);
    driver_add(driver, 1, &tx, 1);
    g_assert_nonnull(carry(out, 0));
    driver_wait(driver, 1);
    driver_reset_queue(driver, 1);
    g_assert_false(driver_queue_resetting(driver, 1));
    g_assert_cmpint(in->backend, ==, -1);
    g_assert_cmpint(out->backend, ==, -1);
    driver_set_queue(driver, 1);
    driver_add(driver, 1, &tx, 1);
    driver_kick(driver, 1);
    g_assert_cmpint(in->backend, ==, 1000);
    g_assert_cmpint(out->backend, ==, 1000);
    g_assert_cmpuint(out->taken, ==, 0); /* the new ring's */
    g_assert_nonnull(carry(out, 0));
    driver_wait(driver, 1);
    driver_free(driver);
    fake_end();
}

static void test_pairs(void)
{
    static const uint8_t two[] = { 4, 0, 2, 0 };
    KernelNetdev *netdev;
    Buffer control[2] = { { DATA, sizeof two, false }, { DATA + 0x100, 1, true } };
    Driver *driver;

    fake_begin(2);
    driver = begin(DRIVE_PCI, 2, &netdev);
    driver_start(driver, BIT(CONTROL_VQ) | BIT(MULTIQUEUE), 5);
    g_assert_cmpint(fake.kernel[0].queue[0].backend, ==, 1000);
    g_assert_cmpint(fake.kernel[1].queue[0].backend, ==, -1);
    memcpy(bench_ram(driver->bench, DATA), two, sizeof two);
    driver_do(driver, 4, control, 2);
    g_assert_cmpuint(*bench_ram(driver->bench, DATA + 0x100), ==, 0);
    g_assert_cmpint(fake.kernel[0].queue[1].backend, ==, 1000);
    g_assert_cmpint(fake.kernel[1].queue[1].backend, ==, 1001);
    driver_free(driver);
    fake_end();
}

static void test_memory(void)
{
    KernelNetdev *netdev;
    MemoryRegion more;
    Driver *driver;
    Machine *machine;
    const struct vhost_memory *memory;

    fake_begin(1);
    driver = begin(DRIVE_PCI, 1, &netdev);
    machine = driver->bench->machine;
    driver_start(driver, 0, 2);
    memory = fake.kernel[0].memory;
    g_assert_cmpuint(memory->nregions, ==, 1);
    g_assert_cmphex(memory->regions[0].guest_phys_addr, ==, BENCH_RAM);
    g_assert_cmphex(memory->regions[0].memory_size, ==, BENCH_RAM_SIZE);
    g_assert_true(memory_region_init_ram(&more, machine, "more", 1 << 20, NULL));
    memory_region_add(machine->memory_space.root, 0x80000000, &more, 0);
    g_assert_cmpuint(fake.kernel[0].memory->nregions, ==, 2);
    g_assert_cmpuint(fake.kernel[0].tables, ==, 2);
    memory_region_remove(&more);
    g_assert_cmpuint(fake.kernel[0].memory->nregions, ==, 1);
    driver_free(driver);
    g_assert_cmpuint(fake.kernel[0].tables, ==, 3);
    fake_end();
}

/* Bits of the kernel's own are not the driver's, and what it lacks is not to be used. */
static void test_features(void)
{
    KernelNetdev *netdev;
    Driver *driver;

    fake_begin(1);
    driver = begin(DRIVE_PCI_LEGACY, 1, &netdev);
    driver_start(driver, BIT(27), 2);
    g_assert_cmphex(fake.kernel[0].features, ==, 0);
    driver_free(driver);
    fake_end();

    fake_begin(1);
    fake.offered &= ~BIT(15);
    driver = begin(DRIVE_PCI, 1, &netdev);
    driver_start(driver, BIT(15), 2);
    g_assert_cmpint(fake.kernel[0].queue[0].backend, ==, -1);
    g_assert_false(netdev->held);
    driver_free(driver);
    fake_end();
}

static void test_trouble(void)
{
    const uint64_t once = 1;
    KernelNetdev *netdev;
    Driver *driver;

    fake_begin(1);
    driver = begin(DRIVE_PCI, 1, &netdev);
    driver_start(driver, 0, 2);
    g_assert_cmpint(write(fake.kernel[0].queue[1].trouble, &once, sizeof once), ==, sizeof once);
    bench_run_main_loop(driver->bench);
    g_assert_true(driver_status(driver) & 64);
    g_assert_cmpint(fake.kernel[0].queue[1].backend, ==, -1);
    driver_free(driver);
    fake_end();
}

/* Whichever call fails: the device is refused, or it works without the kernel, and all is given back. */
static void test_failures(void)
{
    Buffer tx = { DATA, 112, false };
    unsigned most = 0;

    for (unsigned at = 1; at == 1 || at <= most + 1; at++) {
        KernelNetdev *netdev;
        Driver *driver;
        Bench *bench;

        fake_begin(1);
        fake.fail_at = at > 2 ? at : 0; /* the first two are in realize, below */
        driver = begin(DRIVE_PCI, 1, &netdev);
        bench = driver->bench;
        driver_start(driver, 0, 2);
        driver_add(driver, 1, &tx, 1);
        driver_kick(driver, 1);
        if (fake.kernel[0].queue[1].backend >= 0) {
            g_assert_nonnull(carry(&fake.kernel[0].queue[1], 0));
        }
        driver_wait(driver, 1);
        g_assert_cmpint(netdev->held, ==, fake.kernel[0].queue[1].backend >= 0);
        machine_stop(bench->machine, STOP_PAUSED);
        machine_start(bench->machine);
        driver_add(driver, 1, &tx, 1);
        driver_kick(driver, 1);
        if (fake.kernel[0].queue[1].backend >= 0) {
            g_assert_nonnull(carry(&fake.kernel[0].queue[1], 0));
        }
        driver_wait(driver, 1);
        driver_free(driver);
        most = MAX(most, fake.calls);
        fake_end();
    }
    g_assert_cmpuint(most, >, 20);
}

static void test_refused(void)
{
    for (unsigned at = 1; at <= 2; at++) {
        Bench *bench = driver_bench_new(DRIVE_PCI);
        GError *error = NULL;
        Device *device;

        fake_begin(1);
        fake.fail_at = at;
        g_assert_nonnull(netdev_open_text(bench->machine, "kernel,queues=1", "net0", NULL, NULL));
        device = device_create(bench->machine, bench->machine->root, "virtio-net-pci",
                               bus_find_by_type(bench->machine, "pci"), "d", NULL);
        g_assert_true(device_set(device, "netdev", "net0", NULL));
        g_assert_false(device_realize(device, &error));
        g_assert_nonnull(
            strstr(error->message, at == 1 ? "VHOST_SET_OWNER" : "VHOST_GET_FEATURES"));
        g_clear_error(&error);
        device_destroy(device);
        bench_free(bench);
        fake_end();
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_each_transport("vhost", test_carries);
    g_test_add_func("/vhost/comes-back", test_comes_back);
    g_test_add_func("/vhost/pairs", test_pairs);
    g_test_add_func("/vhost/queue-reset", test_queue_reset);
    g_test_add_func("/vhost/memory", test_memory);
    g_test_add_func("/vhost/features", test_features);
    g_test_add_func("/vhost/trouble", test_trouble);
    g_test_add_func("/vhost/failures", test_failures);
    g_test_add_func("/vhost/refused", test_refused);
    return g_test_run();
}
