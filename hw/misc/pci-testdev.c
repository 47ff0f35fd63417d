/* SPDX-License-Identifier: MIT */
/*
 * "pci-testdev": counts writes, for tests of memory and port accesses (QEMU's description of the device). BAR 0 is
 * memory, BAR 1 is ports; with membar=, BAR 2 is RAM. Each of the first two begins with a header:
 *
 *   0   test    write: which test; then the rest of the header is that test's
 *   1   width   bytes of the writes that are counted
 *   4   offset  where these go
 *   8   data    what they write
 *   12  count   how many there were
 *   16  name    of the test, ASCII; empty when there is no such test
 *
 * The tests are named after ways to notify the host; here all of them are counted by the device.
 */
#include "base/error.h"
#include "hw/pci/pci.h"
#include "machine/machine.h"

enum {
    MEMORY_SIZE = 4096,
    PORTS_SIZE = 256,
    TESTS = 3,
    NO_TEST = 0xff,
    TEST_DATAMATCH = 2, /* writes of other data are not counted */
    DATA = 0xfa,
    HEADER_OFFSET = 4,
    HEADER_DATA = 8,
    HEADER_COUNT = 12,
    HEADER_NAME = 16,
    HEADER_SIZE = 64,
};

typedef struct {
    MemoryRegion region;
    const char *prefix; /* of the names */
    uint32_t target;    /* where the writes go */
    uint8_t test;       /* NO_TEST: none is chosen */
    uint32_t count;
} TestBar;

typedef struct {
    PciDevice pci;
    TestBar bars[2];
    MemoryRegion memory;
    uint64_t membar; /* properties */
    bool membar_backed;
} PciTestdev;

static PciTestdev *pci_testdev(Device *device)
{
    return container_of(pci_device(device), PciTestdev, pci);
}

static void make_header(const TestBar *bar, uint8_t header[HEADER_SIZE])
{
    static const char *const names[TESTS] = { "no-eventfd", "wildcard-eventfd",
                                              "datamatch-eventfd" };

    memset(header, 0, HEADER_SIZE);
    header[0] = bar->test;
    if (bar->test < TESTS) {
        header[1] = 1;
        store_le32(header + HEADER_OFFSET, bar->target + bar->test);
        header[HEADER_DATA] = DATA;
        store_le32(header + HEADER_COUNT, bar->count);
        g_snprintf((char *)header + HEADER_NAME, HEADER_SIZE - HEADER_NAME, "%s-%s", bar->prefix,
                   names[bar->test]);
    }
}

static MemoryResult test_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                              MemoryAttributes attributes)
{
    uint8_t header[HEADER_SIZE];

    *value = 0;
    if (offset + size <= HEADER_SIZE) {
        make_header(opaque, header);
        memcpy(value, header + offset, size);
    }
    return MEMORY_OK;
}

static MemoryResult test_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    TestBar *bar = opaque;

    if (offset == 0) {
        bar->test = value;
        bar->count = 0;
    } else if (bar->test < TESTS && offset == bar->target + bar->test && size == 1 &&
               (bar->test != TEST_DATAMATCH || (uint8_t)value == DATA)) {
        bar->count++;
    }
    return MEMORY_OK;
}

static const MemoryOps test_ops = { .read = test_read, .write = test_write, .size_max = 4 };

static bool add_memory(PciTestdev *t, GError **error)
{
    Machine *machine = t->pci.device.machine;

    if (!t->membar) {
        return true;
    }
    if (!is_power_of_two(t->membar) || t->membar < 4096) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "pci-testdev: membar=%" PRIu64 " is no power of two from 4096 on",
                          t->membar);
    }
    if (t->membar_backed) {
        if (!memory_region_init_ram(&t->memory, machine, "pci-testdev-membar", t->membar, error)) {
            return false;
        }
    } else {
        memory_region_init_container(&t->memory, machine, "pci-testdev-membar", t->membar);
    }
    pci_add_bar(&t->pci, 2, PCI_BAR_MEMORY64, true, &t->memory);
    return true;
}

static bool pci_testdev_realize(Device *device, GError **error)
{
    PciTestdev *t = pci_testdev(device);

    pci_set_identity(&t->pci, 0x1b36, 0x0005, 0x00ff00, 0);
    t->bars[0].prefix = "mmio";
    t->bars[0].target = MEMORY_SIZE / 2;
    t->bars[1].prefix = "portio";
    t->bars[1].target = PORTS_SIZE / 2;
    memory_region_init_io(&t->bars[0].region, device->machine, "pci-testdev-mmio", MEMORY_SIZE,
                          &test_ops, &t->bars[0]);
    memory_region_init_io(&t->bars[1].region, device->machine, "pci-testdev-portio", PORTS_SIZE,
                          &test_ops, &t->bars[1]);
    pci_add_bar(&t->pci, 0, PCI_BAR_MEMORY32, false, &t->bars[0].region);
    pci_add_bar(&t->pci, 1, PCI_BAR_IO, false, &t->bars[1].region);
    return add_memory(t, error);
}

static void pci_testdev_reset(Device *device)
{
    PciTestdev *t = pci_testdev(device);

    for (unsigned i = 0; i < ARRAY_SIZE(t->bars); i++) {
        t->bars[i].test = NO_TEST;
        t->bars[i].count = 0;
    }
    pci_reset(&t->pci);
}

static void pci_testdev_state_loaded(Device *device)
{
    pci_state_loaded(pci_device(device));
}

static const Property pci_testdev_properties[] = {
    { "membar", PROPERTY_SIZE, offsetof(PciTestdev, membar), "size of a third BAR, memory" },
    { "membar-backed", PROPERTY_BOOL, offsetof(PciTestdev, membar_backed), "RAM is behind it" },
    { 0 },
};
static const Property pci_testdev_bus_properties[] = { PCI_PROPERTIES(PciTestdev, pci), { 0 } };
static const StateField bar_fields[] = {
    STATE(TestBar, test), STATE(TestBar, count), STATE_DERIVED(TestBar, region), { 0 }
};
static const StateField pci_testdev_state[] = { PCI_STATE(PciTestdev, pci),
                                                STATE_STRUCTS(PciTestdev, bars, bar_fields),
                                                { 0 } };

static const DeviceType pci_testdev_type = {
    .name = "pci-testdev",
    .summary = "Counts writes to memory and ports, for tests",
    .bus = "pci",
    .category = "misc",
    .instance_size = sizeof(PciTestdev),
    .properties = pci_testdev_properties,
    .bus_properties = pci_testdev_bus_properties,
    .state = pci_testdev_state,
    .realize = pci_testdev_realize,
    .reset = pci_testdev_reset,
    .state_loaded = pci_testdev_state_loaded,
};
DEVICE_TYPE(pci_testdev_type);
