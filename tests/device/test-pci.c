/* SPDX-License-Identifier: MIT */
/* PCI: configuration space, BARs, INTx, MSI-X, addresses, bridges. */
#include "tests/device/bench.h"

#include "base/bits.h"
#include "machine/saved-state.h"

enum { RNG = 1 << 3, BAR_MSIX = PCI_BASE_ADDRESS_0 + 4, BAR_MODERN = PCI_BASE_ADDRESS_0 + 16 };
enum { COMMAND_ALL = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER };

static void test_identity(void)
{
    Bench *bench = bench_new(false);

    bench_device(bench, "virtio-rng-pci", NULL, NULL);
    g_assert_cmphex(bench_config_read(bench, 0, PCI_VENDOR_ID, 4), ==, 0x00081b36);
    g_assert_cmphex(bench_config_read(bench, RNG, PCI_VENDOR_ID, 4), ==, 0x10051af4);
    g_assert_cmphex(bench_config_read(bench, RNG, PCI_SUBSYSTEM_ID, 2), ==, 4);
    g_assert_cmphex(bench_config_read(bench, 2 << 3, PCI_VENDOR_ID, 4), ==, 0xffffffff);
    g_assert_cmphex(bench_config_read(bench, RNG, 0x100, 4), ==, 0);
    bench_config_write(bench, RNG, PCI_VENDOR_ID, 0, 4);
    g_assert_cmphex(bench_config_read(bench, RNG, PCI_VENDOR_ID, 2), ==, 0x1af4);
    bench_free(bench);
}

static void test_bars(void)
{
    Bench *bench = bench_new(false);
    uint64_t bar = BENCH_MEMORY_WINDOW + 0x8000;

    bench_device(bench, "virtio-rng-pci", NULL, NULL);
    bench_config_write(bench, RNG, BAR_MODERN, UINT32_MAX, 4);
    bench_config_write(bench, RNG, BAR_MODERN + 4, UINT32_MAX, 4);
    g_assert_cmphex(bench_config_read(bench, RNG, BAR_MODERN, 4), ==, 0xffffc00c);
    g_assert_cmphex(bench_config_read(bench, RNG, BAR_MODERN + 4, 4), ==, 0xffffffff);
    bench_config_write(bench, RNG, BAR_MODERN, bar, 4);
    bench_config_write(bench, RNG, BAR_MODERN + 4, 0, 4);
    g_assert_cmphex(bench_read(bench, bar + 0x12, 2), ==, 0xffff); /* nobody decodes it yet */
    bench_config_write(bench, RNG, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    g_assert_cmphex(bench_read(bench, bar + 0x12, 2), ==, 1); /* num_queues */
    bench_config_write(bench, RNG, BAR_MODERN, bar + 0x4000, 4);
    g_assert_cmphex(bench_read(bench, bar + 0x12, 2), ==, 0xffff);
    g_assert_cmphex(bench_read(bench, bar + 0x4012, 2), ==, 1);
    bench_config_write(bench, RNG, PCI_COMMAND, 0, 2);
    g_assert_cmphex(bench_read(bench, bar + 0x4012, 2), ==, 0xffff);
    bench_free(bench);
}

static void test_reset(void)
{
    Bench *bench = bench_new(false);
    Device *device = bench_device(bench, "virtio-rng-pci", NULL, NULL);

    bench_config_write(bench, RNG, BAR_MODERN, BENCH_MEMORY_WINDOW, 4);
    bench_config_write(bench, RNG, PCI_COMMAND, COMMAND_ALL, 2);
    device_reset_tree(device);
    g_assert_cmphex(bench_config_read(bench, RNG, PCI_COMMAND, 2), ==, 0);
    g_assert_cmphex(bench_config_read(bench, RNG, BAR_MODERN, 4), ==, 0xc);
    g_assert_cmphex(bench_config_read(bench, RNG, PCI_VENDOR_ID, 2), ==, 0x1af4);
    g_assert_cmphex(bench_read(bench, BENCH_MEMORY_WINDOW + 0x12, 2), ==, 0xffff);
    bench_free(bench);
}

static void test_intx(void)
{
    Bench *bench = bench_new(false);
    PciDevice *pci = pci_device(bench_device(bench, "virtio-rng-pci", NULL, "addr", "6", NULL));
    unsigned devfn = 6 << 3, pin = 6 % 4;

    pci_set_irq(pci, true);
    g_assert_cmpint(bench->intx[pin], ==, 1);
    g_assert_true(bench_config_read(bench, devfn, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
    bench_config_write(bench, devfn, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 2);
    g_assert_cmpint(bench->intx[pin], ==, 0);
    g_assert_true(bench_config_read(bench, devfn, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
    bench_config_write(bench, devfn, PCI_COMMAND, 0, 2);
    g_assert_cmpint(bench->intx[pin], ==, 1);
    pci_set_irq(pci, false);
    g_assert_cmpint(bench->intx[pin], ==, 0);
    bench_free(bench);
}

/* Two functions on one pin: it falls when the last lets go. */
static void test_intx_shared(void)
{
    Bench *bench = bench_new(false);
    PciDevice *one = pci_device(bench_device(bench, "virtio-rng-pci", "one", "addr", "1", NULL));
    PciDevice *two = pci_device(bench_device(bench, "virtio-rng-pci", "two", "addr", "5", NULL));

    pci_set_irq(one, true);
    pci_set_irq(two, true);
    pci_set_irq(one, false);
    g_assert_cmpint(bench->intx[1], ==, 1);
    pci_set_irq(two, false);
    g_assert_cmpint(bench->intx[1], ==, 0);
    bench_free(bench);
}

static void test_msix(void)
{
    Bench *bench = bench_new(false);
    PciDevice *pci = pci_device(bench_device(bench, "virtio-rng-pci", NULL, NULL));
    unsigned cap = bench_find_capability(bench, RNG, PCI_CAPABILITY_MSIX, 0);
    uint64_t table = BENCH_MEMORY_WINDOW, target = BENCH_RAM + 0x1000;

    g_assert_cmpuint(cap, !=, 0);
    g_assert_cmphex(bench_config_read(bench, RNG, cap + 2, 2), ==, 1); /* two vectors */
    bench_config_write(bench, RNG, BAR_MSIX, table, 4);
    bench_config_write(bench, RNG, PCI_COMMAND, COMMAND_ALL, 2);
    bench_write(bench, table + 16, target, 8);
    bench_write(bench, table + 24, 0x1234, 4);
    g_assert_cmphex(bench_read(bench, table + 28, 4), ==, 1);
    bench_config_write(bench, RNG, cap + 2, 0x8000, 2);

    pci_msix_notify(pci, 1); /* masked: stays pending */
    g_assert_cmphex(bench_read(bench, target, 4), ==, 0);
    g_assert_cmphex(bench_read(bench, table + 0x800, 4), ==, 2);
    bench_write(bench, table + 28, 0, 4); /* unmasked: sent now */
    g_assert_cmphex(bench_read(bench, target, 4), ==, 0x1234);
    g_assert_cmphex(bench_read(bench, table + 0x800, 4), ==, 0);

    bench_write(bench, target, 0, 4);
    bench_config_write(bench, RNG, cap + 2, 0xc000, 2); /* the whole function masked */
    pci_msix_notify(pci, 1);
    g_assert_cmphex(bench_read(bench, target, 4), ==, 0);
    bench_config_write(bench, RNG, cap + 2, 0x8000, 2);
    g_assert_cmphex(bench_read(bench, target, 4), ==, 0x1234);

    bench_write(bench, target, 0, 4);
    bench_config_write(bench, RNG, PCI_COMMAND, PCI_COMMAND_MEMORY, 2); /* no bus master */
    pci_msix_notify(pci, 1);
    g_assert_cmphex(bench_read(bench, target, 4), ==, 0);
    pci_msix_notify(pci, 1000);
    bench_free(bench);
}

/* --- vectors by descriptor --- */

typedef struct {
    int fd; /* whose signals the "kernel" makes interrupts of; -1: nobody's */
    IrqMessage message;
    unsigned calls;
    bool refuses;
} FakeKernel;

static bool fake_hook(void *opaque, int fd, const IrqMessage *message)
{
    FakeKernel *kernel = opaque;

    kernel->calls++;
    kernel->fd = message && !kernel->refuses ? fd : -1;
    if (message) {
        kernel->message = *message;
    }
    return !kernel->refuses;
}

typedef struct {
    PciDevice *pci;
    unsigned heard;
} Owner;

static void owner_heard(void *opaque)
{
    Owner *owner = opaque;

    owner->heard++;
    pci_msix_notify(owner->pci, 1);
}

static void signal_and_wait(IrqSignal *signal)
{
    const uint64_t one = 1;

    g_assert_cmpint(write(irq_signal_fd(signal), &one, sizeof one), ==, sizeof one);
    for (unsigned i = 0; i < 4; i++) {
        g_main_context_iteration(NULL, FALSE);
    }
}

/* A vector that is let through: RNG's second, to a word of RAM. */
static unsigned open_vector(Bench *bench, uint64_t target)
{
    unsigned cap = bench_find_capability(bench, RNG, PCI_CAPABILITY_MSIX, 0);
    uint64_t table = BENCH_MEMORY_WINDOW;

    bench_config_write(bench, RNG, BAR_MSIX, table, 4);
    bench_config_write(bench, RNG, PCI_COMMAND, COMMAND_ALL, 2);
    bench_write(bench, table + 16, target, 8);
    bench_write(bench, table + 24, 0x1234, 4);
    bench_write(bench, table + 28, 0, 4);
    bench_config_write(bench, RNG, cap + 2, 0x8000, 2);
    return cap;
}

/* The accelerator's kernel has the signals exactly while the guest lets the vector through. */
static void test_msix_signal(void)
{
    Bench *bench = bench_new(false);
    FakeKernel kernel = { .fd = -1 };
    Owner owner = { pci_device(bench_device(bench, "virtio-rng-pci", NULL, NULL)), 0 };
    uint64_t table = BENCH_MEMORY_WINDOW, target = BENCH_RAM + 0x1000;
    IrqSignal *signal;
    unsigned cap, calls;

    irq_signal_set_hook(bench->machine, fake_hook, &kernel);
    signal = irq_signal_new(bench->machine, owner_heard, &owner, NULL);
    pci_msix_bind(owner.pci, 1, signal);
    g_assert_cmpint(kernel.fd, ==, -1);
    cap = open_vector(bench, target);
    g_assert_cmpint(kernel.fd, ==, irq_signal_fd(signal));
    g_assert_cmphex(kernel.message.address, ==, target);
    g_assert_cmphex(kernel.message.data, ==, 0x1234);
    signal_and_wait(signal);
    g_assert_cmpuint(owner.heard, ==, 0); /* the kernel's, which did not read it here */

    calls = kernel.calls;
    bench_write(bench, table + 24, 0x1234, 4); /* the same message */
    g_assert_cmpuint(kernel.calls, ==, calls);
    bench_write(bench, table + 24, 0x4321, 4);
    g_assert_cmphex(kernel.message.data, ==, 0x4321);

    bench_write(bench, table + 28, 1, 4); /* masked: what was signalled is not lost, and waits */
    g_assert_cmpint(kernel.fd, ==, -1);
    signal_and_wait(signal);
    g_assert_cmpuint(owner.heard, ==, 1);
    g_assert_cmphex(bench_read(bench, table + 0x800, 4), ==, 2);
    bench_write(bench, table + 28, 0, 4);
    g_assert_cmphex(bench_read(bench, target, 4), ==, 0x4321);
    g_assert_cmpint(kernel.fd, ==, irq_signal_fd(signal));

    bench_config_write(bench, RNG, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    g_assert_cmpint(kernel.fd, ==, -1);
    bench_config_write(bench, RNG, PCI_COMMAND, COMMAND_ALL, 2);
    bench_config_write(bench, RNG, cap + 2, 0xc000, 2);
    g_assert_cmpint(kernel.fd, ==, -1);
    bench_config_write(bench, RNG, cap + 2, 0x8000, 2);
    pci_msix_bind(owner.pci, 1000, signal); /* a vector that is not there */
    g_assert_cmpint(kernel.fd, ==, -1);
    pci_msix_bind(owner.pci, 1, signal);
    g_assert_true(irq_signal_is_direct(signal));
    pci_msix_unbind(owner.pci, signal);
    g_assert_cmpint(kernel.fd, ==, -1);
    irq_signal_free(signal);
    bench_free(bench);
}

/* Without a kernel that makes interrupts, and with one that refuses, the owner hears of each. */
static void test_msix_signal_heard(void)
{
    Bench *bench = bench_new(false);
    FakeKernel kernel = { .fd = -1, .refuses = true };
    Owner owner = { pci_device(bench_device(bench, "virtio-rng-pci", NULL, NULL)), 0 };
    uint64_t target = BENCH_RAM + 0x1000;
    IrqSignal *signal = irq_signal_new(bench->machine, owner_heard, &owner, NULL);

    open_vector(bench, target);
    pci_msix_bind(owner.pci, 1, signal);
    signal_and_wait(signal);
    g_assert_cmpuint(owner.heard, ==, 1);
    g_assert_cmphex(bench_read(bench, target, 4), ==, 0x1234);
    irq_signal_set_hook(bench->machine, fake_hook, &kernel);
    pci_msix_bind(owner.pci, 1, signal);
    g_assert_cmpuint(kernel.calls, ==, 1);
    signal_and_wait(signal);
    g_assert_cmpuint(owner.heard, ==, 2);
    pci_msix_unbind(owner.pci, signal);
    irq_signal_free(signal);
    bench_free(bench);
}

static void expect_failure(Bench *bench, const char *address, const char *multifunction,
                           const char *text)
{
    GError *error = NULL;
    Device *device =
        device_create(bench->machine, NULL, "virtio-rng-pci", &bench->pcie->bus, NULL, NULL);

    device_set(device, "addr", address, &error);
    g_assert_no_error(error);
    device_set(device, "multifunction", multifunction, &error);
    g_assert_no_error(error);
    g_assert_false(device_realize(device, &error));
    g_assert_nonnull(strstr(error->message, text));
    g_clear_error(&error);
    device_destroy(device);
}

static void test_addresses(void)
{
    Bench *bench = bench_new(false);

    bench_device(bench, "virtio-rng-pci", "a", "addr", "3", NULL);
    expect_failure(bench, "3", "off", "is taken by 'a'");
    expect_failure(bench, "3.1", "off", "multifunction=on");
    bench_device(bench, "virtio-rng-pci", "b", "addr", "4", "multifunction", "on", NULL);
    bench_device(bench, "virtio-rng-pci", "c", "addr", "4.1", NULL);
    g_assert_cmphex(bench_config_read(bench, 4 << 3, PCI_HEADER_TYPE, 1), ==, 0x80);
    g_assert_cmphex(bench_config_read(bench, 4 << 3 | 1, PCI_VENDOR_ID, 2), ==, 0x1af4);
    bench_free(bench);
}

static void test_root_port(void)
{
    enum { PORT = 2 << 3, BUSES = 0x18, MEMORY_WINDOW = 0x20 };
    Bench *bench = bench_new(false);
    uint64_t config = BENCH_ECAM + (1 << 20), bar = BENCH_MEMORY_WINDOW + 0x100000;
    Device *device;
    GError *error = NULL;

    bench_device(bench, "pcie-root-port", "rp1", "addr", "2", NULL);
    g_assert_cmphex(bench_config_read(bench, PORT, PCI_HEADER_TYPE, 1), ==, 1);
    device = device_create(bench->machine, NULL, "virtio-rng-pci", bus_find(bench->machine, "rp1"),
                           NULL, &error);
    g_assert_no_error(error);
    g_assert_true(device_realize(device, &error));
    g_assert_cmphex(bench_read(bench, config, 4), ==, 0xffffffff);
    bench_config_write(bench, PORT, BUSES, 0x010100, 4);
    g_assert_cmphex(bench_read(bench, config, 4), ==, 0x10441af4); /* behind a port: modern only */

    bench_write(bench, config + BAR_MODERN, bar, 4);
    bench_write(bench, config + PCI_COMMAND, COMMAND_ALL, 2);
    bench_config_write(bench, PORT, MEMORY_WINDOW, bar >> 16 | (bar >> 16 << 16), 4);
    g_assert_cmphex(bench_read(bench, bar + 0x12, 2), ==, 0xffff);
    bench_config_write(bench, PORT, PCI_COMMAND, COMMAND_ALL, 2);
    g_assert_cmphex(bench_read(bench, bar + 0x12, 2), ==, 1);

    pci_set_irq(pci_device(device), true); /* INTA of slot 0 behind slot 2 */
    g_assert_cmpint(bench->intx[2], ==, 1);
    g_assert_cmphex(pci_dma_attributes(pci_device(device)).requester, ==, 0x100);
    bench_free(bench);
}

/* --- what a guest has let go, and the main loop has not removed when the machine is saved --- */

enum { HOLDER_SLOT = 2 << 3, EJECTED_SLOTS = 1 << 3, EJECT_AT = BENCH_SLOTS + 0x100000 };

typedef struct {
    const char *holder, *holder_id, *bus, *slot;
    void (*let_go)(Bench *bench, Device *holder);
} LetGo;

static void power_off(Bench *bench, Device *port)
{
    enum { SLOT_CONTROL = 0x18, OFF = 1 << 10 | 3 << 8 | 3 << 6 };
    unsigned express = bench_find_capability(bench, HOLDER_SLOT, PCI_CAPABILITY_EXPRESS, 0);

    bench_config_write(bench, HOLDER_SLOT, express + SLOT_CONTROL, OFF, 2);
}

static void eject(Bench *bench, Device *pm)
{
    enum { PCI_EJECT = 8, HOTPLUG_PORTS = 2 };

    memory_region_add(bench->machine->system_memory, EJECT_AT, device_io(pm, HOTPLUG_PORTS), 0);
    bench_write(bench, EJECT_AT + PCI_EJECT, EJECTED_SLOTS, 4);
}

static Bench *let_go_bench(const LetGo *way, Device **holder)
{
    Bench *bench = bench_new(false);
    Device *device;

    *holder = bench_device(bench, way->holder, way->holder_id, "addr", "2", NULL);
    device = device_create(bench->machine, NULL, "virtio-rng-pci",
                           bus_find(bench->machine, way->bus), "gone", NULL);
    g_assert_true(device_set(device, "addr", way->slot, NULL));
    g_assert_true(device_realize(device, NULL));
    return bench;
}

static void test_let_go_saved(gconstpointer data)
{
    const LetGo *way = data;
    Device *holder, *other;
    Bench *from = let_go_bench(way, &holder), *to = let_go_bench(way, &other);
    Device *gone = device_find(from->machine, "gone");
    g_autoptr(GByteArray) saved = g_byte_array_new();
    GError *error = NULL;

    g_assert_true(gone->bus->type->unplug(gone->bus, gone, &error));
    way->let_go(from, holder);
    g_assert_nonnull(device_find(from->machine, "gone"));
    device_save_state(holder, saved);
    bench_run_main_loop(from);
    g_assert_null(device_find(from->machine, "gone"));

    device_load_state(other, holder->type->state_version, saved->data, saved->len, &error);
    g_assert_no_error(error);
    bench_run_main_loop(to);
    g_assert_null(device_find(to->machine, "gone"));
    bench_free(from);
    bench_free(to);
}

static const LetGo port_let_go = { "pcie-root-port", "rp1", "rp1", "0", power_off };
static const LetGo piix4_let_go = { "PIIX4_PM", "pm", "pcie.0", "3", eject };

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pci/identity", test_identity);
    g_test_add_func("/pci/bars", test_bars);
    g_test_add_func("/pci/reset", test_reset);
    g_test_add_func("/pci/intx", test_intx);
    g_test_add_func("/pci/intx-shared", test_intx_shared);
    g_test_add_func("/pci/msix", test_msix);
    g_test_add_func("/pci/msix-signal", test_msix_signal);
    g_test_add_func("/pci/msix-signal-heard", test_msix_signal_heard);
    g_test_add_func("/pci/addresses", test_addresses);
    g_test_add_func("/pci/root-port", test_root_port);
    g_test_add_data_func("/pci/let-go-saved/port", &port_let_go, test_let_go_saved);
    g_test_add_data_func("/pci/let-go-saved/piix4", &piix4_let_go, test_let_go_saved);
    return g_test_run();
}
