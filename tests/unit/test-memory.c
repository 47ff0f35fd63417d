/* SPDX-License-Identifier: MIT */
/* The memory map: flattening, dispatch, RAM, dirty bits, and what the map prints. */
#include <glib.h>
#include <string.h>

#include "machine/private.h"

typedef struct {
    uint64_t registers[8];
    uint64_t last_offset, last_value;
    unsigned last_size, reads, writes;
} Probe;

static MemoryResult probe_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                               MemoryAttributes attributes)
{
    Probe *probe = opaque;

    probe->reads++;
    probe->last_offset = offset;
    probe->last_size = size;
    *value = 0;
    memcpy(value, (uint8_t *)probe->registers + offset, size);
    return offset == 0x38 ? MEMORY_DEVICE_ERROR : MEMORY_OK;
}

static MemoryResult probe_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                MemoryAttributes attributes)
{
    Probe *probe = opaque;

    probe->writes++;
    probe->last_offset = offset;
    probe->last_value = value;
    probe->last_size = size;
    memcpy((uint8_t *)probe->registers + offset, &value, size);
    return MEMORY_OK;
}

static Machine *new_machine(void)
{
    MachineConfig config = { .ram_bytes = MIB(16) };

    return machine_new(&config);
}

static uint64_t read_at(Machine *machine, uint64_t address, unsigned size)
{
    uint64_t value;

    g_assert_cmpint(
        address_space_read(&machine->memory_space, address, &value, size, MEMORY_ATTRIBUTES_DMA),
        ==, MEMORY_OK);
    return value;
}

static void write_at(Machine *machine, uint64_t address, uint64_t value, unsigned size)
{
    g_assert_cmpint(
        address_space_write(&machine->memory_space, address, value, size, MEMORY_ATTRIBUTES_DMA),
        ==, MEMORY_OK);
}

static void check_range(Machine *machine, unsigned index, uint64_t start, uint64_t size,
                        const char *name, uint64_t offset)
{
    const FlatView *view = atomic_load(&machine->memory_space.view);

    g_assert_cmpuint(index, <, view->count);
    g_assert_cmphex(view->ranges[index].start, ==, start);
    g_assert_cmphex(view->ranges[index].size, ==, size);
    g_assert_cmpstr(view->ranges[index].region->name, ==, name);
    g_assert_cmphex(view->ranges[index].offset, ==, offset);
}

static void test_flatten(void)
{
    static const MemoryOps ops = { probe_read, probe_write };
    Machine *machine = new_machine();
    MemoryRegion a, b, window, alias, low;
    Probe probe = { 0 };

    machine_lock(machine);
    memory_region_init_io(&a, machine, "a", 0x1000, &ops, &probe);
    memory_region_init_io(&b, machine, "b", 0x100, &ops, &probe);
    memory_region_add(machine->system_memory, 0x10000, &a, 0);
    memory_region_add(machine->system_memory, 0x10400, &b, 1);
    check_range(machine, 0, 0x10000, 0x400, "a", 0);
    check_range(machine, 1, 0x10400, 0x100, "b", 0);
    check_range(machine, 2, 0x10500, 0xb00, "a", 0x500);

    memory_region_set_enabled(&b, false);
    g_assert_cmpuint(atomic_load(&machine->memory_space.view)->count, ==, 1);
    memory_region_set_enabled(&b, true);
    memory_region_set_address(&b, 0x10f80);
    check_range(machine, 1, 0x10f80, 0x100, "b", 0);
    memory_region_remove(&b);

    /* A container clips its children, an alias shows a window of its target. */
    memory_region_init_container(&window, machine, "window", 0x80);
    memory_region_add(&window, 0x40, &b, 0);
    memory_region_add(machine->system_memory, 0x20000, &window, 0);
    check_range(machine, 1, 0x20040, 0x40, "b", 0);
    memory_region_init_alias(&alias, machine, "alias", &a, 0x800, 0x200);
    memory_region_add(machine->system_memory, 0x30000, &alias, 0);
    check_range(machine, 2, 0x30000, 0x200, "a", 0x800);

    /* The last page of the address space, and an alias whose target begins below address 0. */
    memory_region_init_alias(&low, machine, "low", &a, 0x100, 0x200);
    memory_region_add(machine->system_memory, 0, &low, 0);
    check_range(machine, 0, 0, 0x200, "a", 0x100);
    memory_region_set_address(&low, UINT64_MAX - 0xfff);
    check_range(machine, 3, UINT64_MAX - 0xfff, 0x200, "a", 0x100);
    machine_unlock(machine);
    machine_free(machine);
}

static void test_transaction(void)
{
    static const MemoryOps ops = { probe_read, probe_write };
    Machine *machine = new_machine();
    MemoryRegion a;
    uint64_t generation = atomic_load(&machine->memory_space.view)->generation;

    memory_region_init_io(&a, machine, "a", 0x1000, &ops, NULL);
    memory_transaction_begin(machine);
    memory_region_add(machine->system_memory, 0x1000, &a, 0);
    memory_region_set_address(&a, 0x2000);
    g_assert_cmpuint(atomic_load(&machine->memory_space.view)->generation, ==, generation);
    memory_transaction_end(machine);
    g_assert_cmpuint(atomic_load(&machine->memory_space.view)->generation, ==, generation + 1);
    memory_transaction_begin(machine);
    memory_region_set_address(&a, 0x3000);
    memory_region_set_address(&a, 0x2000);
    memory_transaction_end(machine);
    g_assert_cmpuint(atomic_load(&machine->memory_space.view)->generation, ==, generation + 1);
    machine_lock(machine);
    machine_unlock(machine);
    g_assert_null(machine->private->memory.retired);
    machine_free(machine);
}

static void test_dispatch(void)
{
    static const MemoryOps word = { probe_read, probe_write, .size_min = 4, .size_max = 4 };
    static const MemoryOps big = { probe_read, probe_write, .size_min = 1, .size_max = 4,
                                   .big_endian = true };
    static const MemoryOps strict = { probe_read, probe_write, .size_min = 4, .size_max = 4,
                                      .strict = true };
    static const MemoryOps loose = { probe_read, probe_write, .unaligned = true };
    Machine *machine = new_machine();
    MemoryRegion regions[4];
    Probe probe = { .registers = { 0x0807060504030201, 0x100f0e0d0c0b0a09 } };
    uint64_t value;

    memory_region_init_io(&regions[0], machine, "word", 0x40, &word, &probe);
    memory_region_init_io(&regions[1], machine, "big", 0x40, &big, &probe);
    memory_region_init_io(&regions[2], machine, "strict", 0x40, &strict, &probe);
    memory_region_init_io(&regions[3], machine, "loose", 0x40, &loose, &probe);
    for (int i = 0; i < 4; i++) {
        memory_region_add(machine->system_memory, 0x1000 * (i + 1), &regions[i], 0);
    }
    /* Widening, splitting, unaligned. */
    g_assert_cmphex(read_at(machine, 0x1001, 1), ==, 0x02);
    g_assert_cmpuint(probe.last_size, ==, 4);
    g_assert_cmphex(read_at(machine, 0x1002, 2), ==, 0x0403);
    g_assert_cmphex(read_at(machine, 0x1000, 8), ==, 0x0807060504030201);
    g_assert_cmphex(read_at(machine, 0x1003, 4), ==, 0x07060504);
    g_assert_cmphex(read_at(machine, 0x1001, 7), ==, 0x08070605040302);
    write_at(machine, 0x1011, 0xab, 1);
    g_assert_cmphex(probe.last_offset, ==, 0x10);
    g_assert_cmphex(probe.last_value, ==, 0xab00);
    /* Big-endian registers appear byte-swapped to a little-endian guest. */
    g_assert_cmphex(read_at(machine, 0x2000, 4), ==, 0x01020304);
    g_assert_cmphex(read_at(machine, 0x2000, 2), ==, 0x0102);
    g_assert_cmphex(read_at(machine, 0x2000, 8), ==, 0x0506070801020304);
    write_at(machine, 0x2020, 0x11223344, 4);
    g_assert_cmphex(probe.last_value, ==, 0x44332211);
    /* Strict devices refuse. */
    g_assert_cmpint(
        address_space_read(&machine->memory_space, 0x3000, &value, 2, MEMORY_ATTRIBUTES_DMA), ==,
        MEMORY_DEVICE_ERROR);
    g_assert_cmpint(
        address_space_write(&machine->memory_space, 0x3002, 0, 4, MEMORY_ATTRIBUTES_DMA), ==,
        MEMORY_DEVICE_ERROR);
    g_assert_cmphex(read_at(machine, 0x3004, 4), ==, 0x08070605);
    /* Unaligned in one piece. */
    probe.reads = 0;
    g_assert_cmphex(read_at(machine, 0x4003, 4), ==, 0x07060504);
    g_assert_cmpuint(probe.reads, ==, 1);
    /* The device's own error and nothing there. */
    g_assert_cmpint(
        address_space_read(&machine->memory_space, 0x1038, &value, 4, MEMORY_ATTRIBUTES_DMA), ==,
        MEMORY_DEVICE_ERROR);
    g_assert_cmpint(
        address_space_read(&machine->memory_space, 0x9000, &value, 4, MEMORY_ATTRIBUTES_DMA), ==,
        MEMORY_DECODE_ERROR);
    machine_free(machine);
}

static void watch(void *opaque, uint64_t ram_offset, uint64_t size)
{
    uint64_t *seen = opaque;

    seen[0] = ram_offset;
    seen[1] = size;
}

static void test_ram(void)
{
    static const MemoryOps ops = { probe_read, probe_write };
    static const MemoryWatchHooks hooks = { .code_written = watch };
    Machine *machine = new_machine();
    MemoryRegion ram, rom, flash, io;
    Probe probe = { 0 };
    uint64_t size = 100, watched[2] = { 0 };
    uint8_t buffer[64];

    g_assert_true(memory_region_init_ram(&ram, machine, "ram", MIB(4), NULL));
    g_assert_true(memory_region_init_rom(&rom, machine, "rom", 0x1000, NULL, NULL, NULL));
    g_assert_true(memory_region_init_rom(&flash, machine, "flash", 0x1000, &ops, &probe, NULL));
    memory_region_init_io(&io, machine, "io", 0x40, &ops, &probe);
    memory_region_add(machine->system_memory, 0x40000000, &ram, 0);
    memory_region_add(machine->system_memory, 0x40000000 + MIB(4), &io, 0);
    memory_region_add(machine->system_memory, 0, &rom, 0);
    memory_region_add(machine->system_memory, 0x1000, &flash, 0);
    memory_set_watch_hooks(machine, &hooks, watched);
    g_assert_false(memory_watch_code(machine, ram.ram_offset));

    for (unsigned i = 0; i < sizeof(buffer); i++) {
        buffer[i] = i;
    }
    g_assert_cmpint(address_space_write_bytes(&machine->memory_space, 0x40000001, buffer, 64,
                                              MEMORY_ATTRIBUTES_DMA),
                    ==, MEMORY_OK);
    g_assert_cmphex(watched[0], ==, ram.ram_offset + 1);
    g_assert_cmphex(watched[1], ==, 64);
    g_assert_cmphex(read_at(machine, 0x40000001, 8), ==, 0x0706050403020100);
    /* An access that crosses from RAM into a device. */
    write_at(machine, 0x40000000 + MIB(4) - 2, 0xddccbbaa, 4);
    g_assert_cmphex(probe.registers[0], ==, 0xddcc);
    g_assert_cmphex(read_at(machine, 0x40000000 + MIB(4) - 2, 4), ==, 0xddccbbaa);
    /* ROM ignores writes; flash passes them on and can read through its device. */
    write_at(machine, 0, 0xff, 1);
    g_assert_cmphex(read_at(machine, 0, 1), ==, 0);
    write_at(machine, 0x1010, 0x98, 1);
    g_assert_cmphex(probe.last_value, ==, 0x98);
    g_assert_cmphex(read_at(machine, 0x1010, 1), ==, 0);
    probe.registers[2] = 0x51;
    memory_region_set_rom_io(&flash, true);
    g_assert_cmphex(read_at(machine, 0x1010, 1), ==, 0x51);
    g_assert_null(address_space_map(&machine->memory_space, 0x1000, &size, false));
    g_assert_cmpuint(size, ==, 0);
    size = MIB(8);
    g_assert_true(address_space_map(&machine->memory_space, 0x40001000, &size, true) ==
                  ram.host + 0x1000);
    g_assert_cmphex(size, ==, MIB(4) - 0x1000);
    size = 16;
    g_assert_null(address_space_map(&machine->memory_space, 0, &size, true));
    g_assert_nonnull(address_space_map(&machine->memory_space, 0, (size = 16, &size), false));

    memory_dirty_start(machine, DIRTY_DISPLAY, ram.ram_offset, MIB(4));
    g_assert_false(memory_dirty_test_and_clear(machine, DIRTY_DISPLAY, ram.ram_offset, MIB(4)));
    write_at(machine, 0x40002ffe, 0, 4);
    g_assert_true(memory_dirty_test_and_clear(machine, DIRTY_DISPLAY, ram.ram_offset + 0x3000, 1));
    g_assert_true(memory_dirty_test_and_clear(machine, DIRTY_DISPLAY, ram.ram_offset + 0x2000, 1));
    g_assert_false(memory_dirty_test_and_clear(machine, DIRTY_DISPLAY, ram.ram_offset, MIB(4)));
    machine_free(machine);
}

/* ROM is read, and RAM below written: with ROM, with a device, and over the border to plain RAM. */
static void test_written(void)
{
    static const MemoryOps ops = { probe_read, probe_write };
    Machine *machine = new_machine();
    MemoryRegion ram, rom, io, bus, alias;
    Probe probe = { .registers = { 0x11223344 } };
    uint64_t size = 0x1000;

    g_assert_true(memory_region_init_ram(&ram, machine, "ram", MIB(1), NULL));
    g_assert_true(memory_region_init_rom(&rom, machine, "rom", 0x1000, NULL, NULL, NULL));
    memset(rom.host, 0x5a, 0x1000);
    memory_region_init_io(&io, machine, "io", 0x40, &ops, &probe);
    memory_region_init_container(&bus, machine, "bus", MIB(4));
    memory_region_add(&bus, 0x8000, &rom, 0);
    memory_region_add(&bus, 0x9000, &io, 0);
    memory_region_init_alias(&alias, machine, "split", &bus, 0x8000, 0x2000);
    memory_region_set_written(&alias, &ram, 0x4000);
    memory_region_add(machine->system_memory, 0, &ram, 0);
    memory_region_add(machine->system_memory, 0x4000, &alias, 1);

    g_assert_true(address_space_map(&machine->memory_space, 0x4000, &size, false) == rom.host);
    g_assert_cmphex(size, ==, 0x1000);
    g_assert_null(address_space_map(&machine->memory_space, 0x4000, &size, true));
    write_at(machine, 0x4010, 0x12345678, 4);
    g_assert_cmphex(read_at(machine, 0x4010, 4), ==, 0x5a5a5a5a);
    g_assert_cmphex(load_le32(ram.host + 0x4010), ==, 0x12345678);
    write_at(machine, 0x5000, 0xcafe, 2);
    g_assert_cmphex(read_at(machine, 0x5000, 4), ==, 0x11223344);
    g_assert_cmphex(load_le32(ram.host + 0x5000), ==, 0xcafe);
    write_at(machine, 0x3ffe, 0xddccbbaa, 4);
    g_assert_cmphex(load_le32(ram.host + 0x3ffe), ==, 0xddccbbaa);
    g_assert_cmphex(read_at(machine, 0x3ffe, 4), ==, 0x5a5abbaa);
    memory_region_set_enabled(&alias, false);
    g_assert_cmphex(read_at(machine, 0x4010, 4), ==, 0x12345678);
    machine_free(machine);
}

static void test_describe(void)
{
    static const MemoryOps ops = { probe_read, probe_write };
    Machine *machine = new_machine();
    MemoryRegion io, alias;
    char *text;

    memory_region_init_io(&io, machine, "uart", 0x1000, &ops, NULL);
    memory_region_init_alias(&alias, machine, "mirror", &io, 0x800, 0x100);
    memory_region_add(machine->system_memory, 0x9000000, &io, 0);
    memory_region_add(machine->system_memory, 0xa000000, &alias, 1);
    text = memory_describe(machine, false);
    g_assert_cmpstr(text, ==,
                    "address-space: memory\n"
                    "  0000000000000000-ffffffffffffffff (prio 0, i/o): system\n"
                    "    0000000009000000-0000000009000fff (prio 0, i/o): uart\n"
                    "    000000000a000000-000000000a0000ff (prio 1, i/o): alias mirror @uart "
                    "0000000000000800-00000000000008ff\n\n"
                    "address-space: I/O\n"
                    "  0000000000000000-000000000000ffff (prio 0, i/o): io\n\n");
    g_free(text);
    text = memory_describe(machine, true);
    g_assert_nonnull(strstr(text, "  000000000a000000-000000000a0000ff (prio 0, i/o): uart "
                                  "@0000000000000800\n"));
    g_free(text);
    machine_free(machine);
}

/* Random maps against the obvious way to find who answers at an address. */
static MemoryRegion *answerer(MemoryRegion *regions, unsigned count, uint64_t address)
{
    MemoryRegion *best = NULL;

    for (unsigned i = 0; i < count; i++) {
        MemoryRegion *r = &regions[i];

        if (r->enabled && address >= r->address && address - r->address < r->size &&
            (!best || r->priority >= best->priority)) {
            best = r;
        }
    }
    return best;
}

static void test_random(void)
{
    enum { COUNT = 24, SPACE = 0x4000 };
    static const MemoryOps ops = { probe_read, probe_write };

    for (int round = 0; round < 200; round++) {
        Machine *machine = new_machine();
        MemoryRegion regions[COUNT];

        for (int i = 0; i < COUNT; i++) {
            memory_region_init_io(&regions[i], machine, "r", g_test_rand_int_range(1, 0x800), &ops,
                                  NULL);
            memory_region_add(machine->system_memory, g_test_rand_int_range(0, SPACE), &regions[i],
                              g_test_rand_int_range(-2, 3));
            memory_region_set_enabled(&regions[i], g_test_rand_int_range(0, 8) != 0);
        }
        for (int i = 0; i < 1000; i++) {
            uint64_t address = g_test_rand_int_range(0, SPACE + 0x800);
            const MemoryRange *range = address_space_find(&machine->memory_space, address);
            MemoryRegion *expected = answerer(regions, COUNT, address);

            g_assert_true((range ? range->region : NULL) == expected);
            if (range) {
                g_assert_cmphex(range->offset + address - range->start, ==,
                                address - expected->address);
            }
        }
        machine_free(machine);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/memory/flatten", test_flatten);
    g_test_add_func("/memory/transaction", test_transaction);
    g_test_add_func("/memory/dispatch", test_dispatch);
    g_test_add_func("/memory/ram", test_ram);
    g_test_add_func("/memory/written", test_written);
    g_test_add_func("/memory/describe", test_describe);
    g_test_add_func("/memory/random", test_random);
    return g_test_run();
}
