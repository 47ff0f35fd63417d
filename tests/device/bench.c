/* SPDX-License-Identifier: MIT */
#include "tests/device/bench.h"

#include <stdarg.h>

#include "base/bits.h"
#include "tests/patience.h"

/* Machine and bench. */

static void set_level(void *opaque, int number, int level)
{
    ((int *)opaque)[number] = level;
}

static Device *make(Bench *bench, const char *type, Bus *bus, const char *id)
{
    GError *error = NULL;
    Device *device = device_create(bench->machine, NULL, type, bus, id, &error);

    g_assert_no_error(error);
    return device;
}

static void realize(Device *device)
{
    GError *error = NULL;

    device_realize(device, &error);
    g_assert_no_error(error);
}

static void set(Device *device, const char *property, const char *value)
{
    GError *error = NULL;

    device_set(device, property, value, &error);
    g_assert_no_error(error);
}

static void make_pci_host(Bench *bench)
{
    Device *host = make(bench, "gpex-pcihost", NULL, NULL);

    set(host, "ecam-size", "2M");
    set(host, "msi", "on");
    realize(host);
    device_map(host, 0, BENCH_ECAM);
    memory_region_init_alias(&bench->memory_alias, bench->machine, "pcie-window",
                             device_mmio(host, 1), BENCH_MEMORY_WINDOW, BENCH_MEMORY_WINDOW_SIZE);
    memory_region_add(bench->machine->system_memory, BENCH_MEMORY_WINDOW, &bench->memory_alias, 0);
    device_map(host, 2, BENCH_IO_WINDOW);
    for (unsigned i = 0; i < 4; i++) {
        device_connect_irq(host, i, set_level, bench->intx, i);
    }
    bench->pcie = container_of(bus_find(bench->machine, "pcie.0"), PciBus, bus);
}

static void make_slots(Bench *bench, bool force_legacy)
{
    for (unsigned i = 0; i < BENCH_SLOT_COUNT; i++) {
        Device *slot = make(bench, "virtio-mmio", NULL, NULL);

        set(slot, "force-legacy", force_legacy ? "on" : "off");
        realize(slot);
        device_map(slot, 0, BENCH_SLOTS + BENCH_SLOT_SIZE * i);
        device_connect_irq(slot, 0, set_level, bench->slot_irq, i);
    }
}

Bench *bench_new(bool force_legacy)
{
    Bench *bench = g_new0(Bench, 1);
    MachineConfig config = { .ram_bytes = BENCH_RAM_SIZE };
    GError *error = NULL;

    bench->machine = machine_new(&config);
    machine_lock(bench->machine);
    machine_map_ram(bench->machine, BENCH_RAM, &error);
    g_assert_no_error(error);
    make_pci_host(bench);
    make_slots(bench, force_legacy);
    return bench;
}

void bench_free(Bench *bench)
{
    machine_unlock(bench->machine);
    machine_free(bench->machine);
    g_free(bench);
}

static void set_options(Device *device, va_list options)
{
    const char *name;

    while ((name = va_arg(options, const char *))) {
        set(device, name, va_arg(options, const char *));
    }
}

Device *bench_device(Bench *bench, const char *type, const char *id, ...)
{
    const DeviceType *found = device_type_find(type);
    Device *device;
    va_list options;

    g_assert_nonnull(found);
    device =
        make(bench, type, found->bus ? bus_find_by_type(bench->machine, found->bus) : NULL, id);
    va_start(options, id);
    set_options(device, options);
    va_end(options);
    realize(device);
    return device;
}

void bench_run_main_loop(Bench *bench)
{
    machine_unlock(bench->machine);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    machine_lock(bench->machine);
}

uint64_t bench_read(Bench *bench, uint64_t address, unsigned size)
{
    uint64_t value = 0;

    address_space_read(&bench->machine->memory_space, address, &value, size,
                       (MemoryAttributes){ 0 });
    return value;
}

void bench_write(Bench *bench, uint64_t address, uint64_t value, unsigned size)
{
    address_space_write(&bench->machine->memory_space, address, value, size,
                        (MemoryAttributes){ 0 });
}

uint8_t *bench_ram(Bench *bench, uint64_t address)
{
    g_assert(address >= BENCH_RAM && address < BENCH_RAM + BENCH_RAM_SIZE);
    return bench->machine->ram.host + (address - BENCH_RAM);
}

uint32_t bench_config_read(Bench *bench, unsigned devfn, unsigned offset, unsigned size)
{
    return bench_read(bench, BENCH_ECAM + (devfn << 12) + offset, size);
}

void bench_config_write(Bench *bench, unsigned devfn, unsigned offset, uint32_t value,
                        unsigned size)
{
    bench_write(bench, BENCH_ECAM + (devfn << 12) + offset, value, size);
}

unsigned bench_find_capability(Bench *bench, unsigned devfn, uint8_t id, unsigned after)
{
    unsigned offset = bench_config_read(bench, devfn, after ? after + 1 : PCI_CAPABILITIES, 1);

    while (offset && bench_config_read(bench, devfn, offset, 1) != id) {
        offset = bench_config_read(bench, devfn, offset + 1, 1);
    }
    return offset;
}

/* Driver: registers of the four transports. */

enum { PCI_DEVFN = 1 << 3, LEGACY_PORT = 0x1000, MODERN_BAR = 0x10100000, PAGE = 4096 };

static bool is_pci(const Driver *driver)
{
    return driver->kind == DRIVE_PCI || driver->kind == DRIVE_PCI_LEGACY;
}

static bool is_legacy(const Driver *driver)
{
    return driver->kind == DRIVE_MMIO_LEGACY || driver->kind == DRIVE_PCI_LEGACY;
}

static uint64_t get(Driver *driver, unsigned offset, unsigned size)
{
    return bench_read(driver->bench, driver->base + offset, size);
}

static void put(Driver *driver, unsigned offset, uint64_t value, unsigned size)
{
    bench_write(driver->bench, driver->base + offset, value, size);
}

static void map_pci(Driver *driver)
{
    Bench *bench = driver->bench;

    bench_config_write(bench, PCI_DEVFN, PCI_BASE_ADDRESS_0, LEGACY_PORT, 4);
    bench_config_write(bench, PCI_DEVFN, PCI_BASE_ADDRESS_0 + 16, MODERN_BAR, 4);
    bench_config_write(bench, PCI_DEVFN, PCI_BASE_ADDRESS_0 + 20, 0, 4);
    bench_config_write(bench, PCI_DEVFN, PCI_COMMAND,
                       PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER, 2);
    driver->base = driver->kind == DRIVE_PCI ? MODERN_BAR : BENCH_IO_WINDOW + LEGACY_PORT;
}

Bench *driver_bench_new(DriveKind kind)
{
    return bench_new(kind == DRIVE_MMIO_LEGACY);
}

Driver *driver_new(Bench *bench, DriveKind kind, const char *stem, ...)
{
    static const char *const suffixes[] = { "device", "device", "pci", "pci-transitional" };
    Driver *driver = g_new0(Driver, 1);
    g_autofree char *type = g_strdup_printf("%s-%s", stem, suffixes[kind]);
    const DeviceType *found = device_type_find(type);
    va_list options;

    g_assert_nonnull(found);
    driver->kind = kind;
    driver->bench = bench ? bench : driver_bench_new(kind);
    driver->device =
        make(driver->bench, type, bus_find_by_type(driver->bench->machine, found->bus), "dev0");
    va_start(options, stem);
    set_options(driver->device, options);
    va_end(options);
    realize(driver->device);
    if (is_pci(driver)) {
        map_pci(driver);
    } else {
        driver->base = BENCH_SLOTS + BENCH_SLOT_SIZE * (BENCH_SLOT_COUNT - 1);
    }
    return driver;
}

void driver_free(Driver *driver)
{
    bench_free(driver->bench);
    g_free(driver);
}

uint64_t driver_offered(Driver *driver)
{
    uint64_t low, high = 0;

    switch (driver->kind) {
    case DRIVE_PCI_LEGACY:
        return get(driver, 0, 4);
    case DRIVE_PCI:
        put(driver, 0, 0, 4);
        low = get(driver, 4, 4);
        put(driver, 0, 1, 4);
        high = get(driver, 4, 4);
        break;
    default:
        put(driver, 0x14, 0, 4);
        low = get(driver, 0x10, 4);
        put(driver, 0x14, 1, 4);
        high = get(driver, 0x10, 4);
    }
    return low | high << 32;
}

static void accept_features(Driver *driver, uint64_t features)
{
    switch (driver->kind) {
    case DRIVE_PCI_LEGACY:
        put(driver, 4, features, 4);
        break;
    case DRIVE_PCI:
        put(driver, 8, 0, 4);
        put(driver, 0xc, (uint32_t)features, 4);
        put(driver, 8, 1, 4);
        put(driver, 0xc, features >> 32, 4);
        break;
    default:
        put(driver, 0x24, 0, 4);
        put(driver, 0x20, (uint32_t)features, 4);
        put(driver, 0x24, 1, 4);
        put(driver, 0x20, features >> 32, 4);
    }
}

static unsigned status_offset(const Driver *driver)
{
    return driver->kind == DRIVE_PCI ? 0x14 : driver->kind == DRIVE_PCI_LEGACY ? 18 : 0x70;
}

uint8_t driver_status(Driver *driver)
{
    return get(driver, status_offset(driver), is_pci(driver) ? 1 : 4);
}

void driver_set_status(Driver *driver, uint8_t status)
{
    put(driver, status_offset(driver), status, is_pci(driver) ? 1 : 4);
}

static unsigned queue_size(const Driver *driver, unsigned queue);

static uint64_t queue_base(unsigned queue)
{
    return BENCH_RAM + 0x10000 * (queue + 1);
}

uint64_t driver_descriptors(Driver *driver, unsigned queue)
{
    return queue_base(queue);
}

uint64_t driver_available(Driver *driver, unsigned queue)
{
    return queue_base(queue) + 16 * queue_size(driver, queue);
}

uint64_t driver_used(Driver *driver, unsigned queue)
{
    return align_up(driver_available(driver, queue) + 4 + 2 * queue_size(driver, queue) + 2, PAGE);
}

/* The legacy PCI interface leaves the size to the device. */
static unsigned queue_size(const Driver *driver, unsigned queue)
{
    Driver *d = (Driver *)driver;

    if (driver->kind != DRIVE_PCI_LEGACY) {
        return DRIVER_QUEUE_SIZE;
    }
    put(d, 14, queue, 2);
    return get(d, 12, 2);
}

static void set_queue_pci(Driver *driver, unsigned queue)
{
    put(driver, 0x16, queue, 2);
    g_assert_cmpuint(get(driver, 0x1e, 2), ==, queue);
    put(driver, 0x18, DRIVER_QUEUE_SIZE, 2);
    put(driver, 0x20, driver_descriptors(driver, queue), 8);
    put(driver, 0x28, driver_available(driver, queue), 8);
    put(driver, 0x30, driver_used(driver, queue), 8);
    put(driver, 0x1c, 1, 2);
}

static void set_queue_mmio(Driver *driver, unsigned queue)
{
    put(driver, 0x30, queue, 4);
    g_assert_cmpuint(get(driver, 0x34, 4), >=, DRIVER_QUEUE_SIZE);
    put(driver, 0x38, DRIVER_QUEUE_SIZE, 4);
    if (driver->kind == DRIVE_MMIO_LEGACY) {
        put(driver, 0x28, PAGE, 4);
        put(driver, 0x3c, PAGE, 4);
        put(driver, 0x40, queue_base(queue) / PAGE, 4);
        return;
    }
    put(driver, 0x80, driver_descriptors(driver, queue), 4);
    put(driver, 0x90, driver_available(driver, queue), 4);
    put(driver, 0xa0, driver_used(driver, queue), 4);
    put(driver, 0x44, 1, 4);
}

void driver_set_queue(Driver *driver, unsigned queue)
{
    memset(bench_ram(driver->bench, queue_base(queue)), 0, 0x10000);
    driver->available[queue] = driver->used[queue] = driver->next_descriptor[queue] = 0;
    if (driver->kind == DRIVE_PCI) {
        set_queue_pci(driver, queue);
    } else if (driver->kind == DRIVE_PCI_LEGACY) {
        put(driver, 14, queue, 2);
        put(driver, 8, queue_base(queue) / PAGE, 4);
    } else {
        set_queue_mmio(driver, queue);
    }
}

static void select_queue(Driver *driver, unsigned queue)
{
    put(driver, driver->kind == DRIVE_PCI ? 0x16 : 0x30, queue, driver->kind == DRIVE_PCI ? 2 : 4);
}

void driver_reset_queue(Driver *driver, unsigned queue)
{
    select_queue(driver, queue);
    put(driver, driver->kind == DRIVE_PCI ? 0x3a : 0xc0, 1, driver->kind == DRIVE_PCI ? 2 : 4);
}

bool driver_queue_resetting(Driver *driver, unsigned queue)
{
    bool pci = driver->kind == DRIVE_PCI;

    select_queue(driver, queue);
    g_assert_cmpuint(get(driver, pci ? 0x1c : 0x44, pci ? 2 : 4), ==, 0); /* not enabled */
    return get(driver, pci ? 0x3a : 0xc0, pci ? 2 : 4);
}

/* A reset may have to wait for requests in flight. */
static void reset(Driver *driver)
{
    int64_t deadline = patience_end(20);

    driver_set_status(driver, 0);
    while (driver_status(driver)) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        bench_run_main_loop(driver->bench);
    }
}

void driver_start(Driver *driver, uint64_t wanted, unsigned queues)
{
    enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };
    uint8_t status = ACKNOWLEDGE | DRIVER;

    reset(driver);
    driver_set_status(driver, status);
    accept_features(driver, driver_offered(driver) & (wanted | BIT(32)));
    if (!is_legacy(driver)) {
        status |= FEATURES_OK;
        driver_set_status(driver, status);
        g_assert_cmphex(driver_status(driver), ==, status);
    }
    for (unsigned i = 0; i < queues; i++) {
        driver_set_queue(driver, i);
    }
    driver_set_status(driver, status | DRIVER_OK);
}

static unsigned config_offset(const Driver *driver)
{
    return driver->kind == DRIVE_PCI ? 0x2000 : driver->kind == DRIVE_PCI_LEGACY ? 20 : 0x100;
}

uint64_t driver_config(Driver *driver, unsigned offset, unsigned size)
{
    return get(driver, config_offset(driver) + offset, size);
}

void driver_write_config(Driver *driver, unsigned offset, uint64_t value, unsigned size)
{
    put(driver, config_offset(driver) + offset, value, size);
}

void driver_kick(Driver *driver, unsigned queue)
{
    switch (driver->kind) {
    case DRIVE_PCI:
        put(driver, 0x3000 + 4 * queue, queue, 2);
        break;
    case DRIVE_PCI_LEGACY:
        put(driver, 16, queue, 2);
        break;
    default:
        put(driver, 0x50, queue, 4);
    }
}

unsigned driver_add(Driver *driver, unsigned queue, const Buffer *buffers, unsigned count)
{
    enum { NEXT = 1, WRITE = 2 };
    unsigned size = queue_size(driver, queue), head = driver->next_descriptor[queue] % size;
    uint8_t *available = bench_ram(driver->bench, driver_available(driver, queue));

    for (unsigned i = 0; i < count; i++) {
        unsigned index = driver->next_descriptor[queue]++ % size;
        uint8_t *d = bench_ram(driver->bench, driver_descriptors(driver, queue) + 16 * index);

        store_le64(d, buffers[i].address);
        store_le32(d + 8, buffers[i].length);
        store_le16(d + 12, (buffers[i].write ? WRITE : 0) | (i + 1 < count ? NEXT : 0));
        store_le16(d + 14, (index + 1) % size);
    }
    store_le16(available + 4 + 2 * (driver->available[queue] % size), head);
    store_le16(available + 2, ++driver->available[queue]);
    return head;
}

bool driver_used_any(Driver *driver, unsigned queue)
{
    return load_le16(bench_ram(driver->bench, driver_used(driver, queue)) + 2) !=
           driver->used[queue];
}

uint32_t driver_wait(Driver *driver, unsigned queue)
{
    int64_t deadline = patience_end(20);
    uint8_t *used = bench_ram(driver->bench, driver_used(driver, queue));

    while (!driver_used_any(driver, queue)) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        bench_run_main_loop(driver->bench);
        g_usleep(50);
    }
    return load_le32(used + 4 + 8 * (driver->used[queue]++ % queue_size(driver, queue)) + 4);
}

uint32_t driver_do(Driver *driver, unsigned queue, const Buffer *buffers, unsigned count)
{
    driver_add(driver, queue, buffers, count);
    driver_kick(driver, queue);
    return driver_wait(driver, queue);
}

bool driver_interrupted(Driver *driver)
{
    Bench *bench = driver->bench;

    if (is_pci(driver)) {
        bool level = bench->intx[(PCI_DEVFN >> 3) % 4];

        get(driver, driver->kind == DRIVE_PCI ? 0x1000 : 19, 1);
        return level;
    }
    if (!bench->slot_irq[BENCH_SLOT_COUNT - 1]) {
        return false;
    }
    put(driver, 0x64, get(driver, 0x60, 4), 4);
    return true;
}

const DriveKind drive_kinds[DRIVE_COUNT] = { DRIVE_MMIO, DRIVE_MMIO_LEGACY, DRIVE_PCI,
                                             DRIVE_PCI_LEGACY };

void test_each_transport(const char *name, GTestDataFunc function)
{
    static const char *const names[] = { "mmio", "mmio-legacy", "pci", "pci-legacy" };

    for (unsigned i = 0; i < DRIVE_COUNT; i++) {
        g_autofree char *path = g_strdup_printf("/virtio/%s/%s", name, names[i]);

        g_test_add_data_func(path, &drive_kinds[i], function);
    }
}
