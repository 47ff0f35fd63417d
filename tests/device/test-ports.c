/* SPDX-License-Identifier: MIT */
/*
 * I/O ports: how accesses of any width are cut and joined by register tables, what nobody answers, devices that
 * decode whole accesses, views of memory that vCPUs have for themselves, and RAM in pieces.
 */
#include <string.h>

#include "machine/private.h"
#include "tests/device/rig.h"

/* A disk controller's way of laying out ports: a data port with byte registers over and behind it. */
typedef struct {
    Device device;
    uint16_t words[8];
    uint32_t next, timer, address;
    uint8_t error, feature, count, select;
} PortDevice;

static PortDevice *port_device(Device *device)
{
    return container_of(device, PortDevice, device);
}

static uint64_t read_data(Device *device, unsigned index)
{
    return port_device(device)->words[port_device(device)->next++ % 8];
}

static void write_data(Device *device, unsigned index, uint64_t value)
{
    port_device(device)->words[port_device(device)->next++ % 8] = value;
}

/* clang-format off */
static const Register task_registers[] = {
    { "DATA", 0, 2, REGISTER_RW | REGISTER_EXACT | REGISTER_REPEAT, .field = REGISTER_NO_FIELD,
      .read = read_data, .write = write_data },
    { "ERROR", 1, 1, REGISTER_R, .reset = 0x5a, .field = offsetof(PortDevice, error) },
    { "FEATURE", 1, 1, REGISTER_W, .field = offsetof(PortDevice, feature) },
    { "COUNT", 2, 1, REGISTER_RW, .field = offsetof(PortDevice, count) },
    { "SELECT", 3, 1, REGISTER_RW, .field = offsetof(PortDevice, select) },
    { 0 },
};
static const Register timer_registers[] = {
    { "TIMER", 0, 4, REGISTER_RW, .reset = 0x44332211, .field = offsetof(PortDevice, timer) },
    { 0 },
};
static const Register address_registers[] = {
    { "ADDRESS", 0, 4, REGISTER_RW | REGISTER_EXACT, .field = offsetof(PortDevice, address) },
    { 0 },
};
/* clang-format on */

static const DeviceType port_device_type = {
    .name = "port-device",
    .instance_size = sizeof(PortDevice),
    .banks =
        (const RegisterBank[]){
            { .name = "task", .size = 8, .registers = task_registers, .ports = true },
            { .name = "timer", .size = 4, .registers = timer_registers, .ports = true },
            { .name = "address",
              .size = 4,
              .registers = address_registers,
              .ports = true,
              .whole = true },
            { 0 } },
};
DEVICE_TYPE(port_device_type);

enum { TASK = RIG_PORTS, TIMER = RIG_PORTS + 0x100, ADDRESS = RIG_PORTS + 0x200 };

static void test_widths(void)
{
    PortDevice *p;
    Rig rig;

    rig_open(&rig, "port-device", NULL);
    p = port_device(rig.device);
    /* The byte over the data port is a register of its own; wide accesses repeat the data port. */
    g_assert_cmphex(rig_in(&rig, TASK + 1, 1), ==, 0x5a);
    rig_out(&rig, TASK + 1, 0x77, 1);
    g_assert_cmphex(p->feature, ==, 0x77);
    g_assert_cmphex(p->error, ==, 0x5a);
    rig_out(&rig, TASK, 0xbbbbaaaa, 4);
    rig_out(&rig, TASK, 0xcccc, 2);
    g_assert_cmphex(p->words[0], ==, 0xaaaa);
    g_assert_cmphex(p->words[1], ==, 0xbbbb);
    g_assert_cmphex(p->words[2], ==, 0xcccc);
    p->next = 1;
    g_assert_cmphex(rig_in(&rig, TASK, 4), ==, 0xccccbbbb);
    g_assert_cmpuint(p->next, ==, 3);
    /* No byte register is under the data port's first byte. */
    g_assert_cmphex(rig_in(&rig, TASK, 1), ==, 0xff);
    g_assert_cmpuint(p->next, ==, 3);
    /* Byte registers behind each other answer a word; what is not there floats. */
    rig_out(&rig, TASK + 2, 0x2211, 2);
    g_assert_cmphex(p->count, ==, 0x11);
    g_assert_cmphex(p->select, ==, 0x22);
    g_assert_cmphex(rig_in(&rig, TASK + 3, 2), ==, 0xff22);
    /* A wide register by its bytes, at any alignment. */
    g_assert_cmphex(rig_in(&rig, TIMER, 4), ==, 0x44332211);
    g_assert_cmphex(rig_in(&rig, TIMER + 1, 2), ==, 0x3322);
    rig_out(&rig, TIMER + 3, 0x99, 1);
    g_assert_cmphex(p->timer, ==, 0x99332211);
    rig_close(&rig);
}

static void test_nobody(void)
{
    Rig rig;

    rig_open(&rig, "port-device", NULL);
    g_assert_cmphex(rig_in(&rig, 0x80, 1), ==, 0xff);
    g_assert_cmphex(rig_in(&rig, 0xfffe, 4), ==, 0xffffffff);
    rig_out(&rig, 0xfffe, 1, 4);
    /* Ends beyond, and begins before, a device. */
    g_assert_cmphex(rig_in(&rig, TIMER + 2, 4), ==, 0xffff4433);
    g_assert_cmphex(rig_in(&rig, TIMER - 2, 4), ==, 0x2211ffff);
    rig_out(&rig, TIMER + 3, 0xaabbccdd, 4);
    g_assert_cmphex(port_device(rig.device)->timer, ==, 0xdd332211);
    rig_close(&rig);
}

static MemoryResult reset_control_read(void *opaque, uint64_t offset, uint64_t *value,
                                       unsigned size, MemoryAttributes attributes)
{
    *value = *(uint8_t *)opaque;
    return MEMORY_OK;
}

static MemoryResult reset_control_write(void *opaque, uint64_t offset, uint64_t value,
                                        unsigned size, MemoryAttributes attributes)
{
    *(uint8_t *)opaque = value;
    return MEMORY_OK;
}

/* As a PC's ports 0xcf8 and 0xcf9: a byte register in the midst of one that takes double words only. */
static void test_whole(void)
{
    static const MemoryOps ops = { .read = reset_control_read,
                                   .write = reset_control_write,
                                   .size_max = 1 };
    uint8_t control = 4;
    MemoryRegion region;
    Rig rig;

    rig_open(&rig, "port-device", NULL);
    memory_region_init_io(&region, rig.machine, "reset-control", 1, &ops, &control);
    memory_region_add(rig.machine->system_io, ADDRESS + 1, &region, 1);
    rig_out(&rig, ADDRESS, 0x80001234, 4);
    g_assert_cmphex(port_device(rig.device)->address, ==, 0x80001234);
    g_assert_cmphex(control, ==, 4);
    rig_out(&rig, ADDRESS + 1, 6, 1);
    g_assert_cmphex(control, ==, 6);
    g_assert_cmphex(rig_in(&rig, ADDRESS + 1, 1), ==, 6);
    g_assert_cmphex(rig_in(&rig, ADDRESS, 4), ==, 0x80001234);
    memory_region_remove(&region);
    rig_close(&rig);
}

static uint64_t read_through(AddressSpace *space, uint64_t address, MemoryResult expected)
{
    uint64_t value;

    g_assert_cmpint(address_space_read(space, address, &value, 4, MEMORY_ATTRIBUTES_DMA), ==,
                    expected);
    return value;
}

/* A page that one CPU sees otherwise, over all that the machine has; changes below reach both. */
static void test_views(void)
{
    MemoryRegion root, all, page;
    AddressSpace own = { 0 };
    Rig rig;

    rig_open(&rig, NULL, NULL);
    memory_region_init_container(&root, rig.machine, "cpu0", UINT64_MAX);
    memory_region_init_alias(&all, rig.machine, "all", rig.machine->system_memory, 0, UINT64_MAX);
    g_assert_true(memory_region_init_ram(&page, rig.machine, "page", 4096, NULL));
    memory_region_add(&root, 0, &all, 0);
    memory_region_add(&root, RIG_RAM + 0x1000, &page, 1);
    address_space_init(&own, rig.machine, &root, "cpu0");
    memset(rig.ram.host + 0x1000, 0x11, 8);
    memset(page.host, 0x22, 8);
    memset(rig.ram.host + 0x2000, 0x33, 8);
    g_assert_cmphex(read_through(&rig.machine->memory_space, RIG_RAM + 0x1000, MEMORY_OK), ==,
                    0x11111111);
    g_assert_cmphex(read_through(&own, RIG_RAM + 0x1000, MEMORY_OK), ==, 0x22222222);
    g_assert_cmphex(read_through(&own, RIG_RAM + 0x2000, MEMORY_OK), ==, 0x33333333);
    memory_region_set_enabled(&rig.ram, false);
    read_through(&own, RIG_RAM + 0x2000, MEMORY_DECODE_ERROR);
    own.open_bus = true;
    g_assert_cmphex(read_through(&own, RIG_RAM + 0x2000, MEMORY_OK), ==, 0xffffffff);
    address_space_destroy(&own);
    memory_region_remove(&page);
    memory_region_remove(&all);
    rig_close(&rig);
}

/* RAM with a hole, and shadowed ROM: a piece that can be read but not written, then written again. */
static void test_pieces(void)
{
    MachineConfig config = { .ram_bytes = MIB(16) };
    Machine *machine = machine_new(&config);
    AddressSpace *space = &machine->memory_space;
    uint64_t value, size = 16;
    MemoryRegion shadow;
    uint8_t *high;

    machine_lock(machine);
    g_assert_true(machine_allocate_ram(machine, NULL));
    g_assert_cmpuint(atomic_load(&space->view)->count, ==, 0);
    machine_map_ram_piece(machine, "ram-below-4g", 0, MIB(12), 0);
    machine_map_ram_piece(machine, "ram-above-4g", MIB(12), MIB(4), GIB(4));
    g_assert_cmpint(address_space_write(space, GIB(4) + 8, 0x1234, 2, MEMORY_ATTRIBUTES_DMA), ==,
                    MEMORY_OK);
    high = address_space_map(space, GIB(4), &size, true);
    g_assert_true(high == machine->ram.host + MIB(12));
    g_assert_cmphex(high[8], ==, 0x34);
    read_through(space, MIB(12), MEMORY_DECODE_ERROR);

    memory_region_init_alias(&shadow, machine, "shadow", &machine->ram, 0xf0000, 0x10000);
    memory_region_add(machine->system_memory, 0xf0000, &shadow, 1);
    machine->ram.host[0xf0000] = 7;
    memory_region_set_readonly(&shadow, true);
    g_assert_cmpint(address_space_write(space, 0xf0000, 9, 1, MEMORY_ATTRIBUTES_DMA), ==,
                    MEMORY_OK);
    address_space_read(space, 0xf0000, &value, 1, MEMORY_ATTRIBUTES_DMA);
    g_assert_cmphex(value, ==, 7);
    g_assert_null(address_space_map(space, 0xf0000, (size = 16, &size), true));
    g_assert_nonnull(address_space_map(space, 0xf0000, (size = 16, &size), false));
    memory_region_set_readonly(&shadow, false);
    address_space_write(space, 0xf0000, 9, 1, MEMORY_ATTRIBUTES_DMA);
    g_assert_cmphex(machine->ram.host[0xf0000], ==, 9);
    memory_region_remove(&shadow);
    machine_unlock(machine);
    machine_free(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ports/widths", test_widths);
    g_test_add_func("/ports/nobody", test_nobody);
    g_test_add_func("/ports/whole", test_whole);
    g_test_add_func("/ports/views", test_views);
    g_test_add_func("/ports/pieces", test_pieces);
    return g_test_run();
}
