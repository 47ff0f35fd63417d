/* SPDX-License-Identifier: MIT */
#include "tests/device/rig.h"

#include <string.h>

static void set_level(void *opaque, int number, int level)
{
    Rig *rig = opaque;

    rig->rises[number] += level && !rig->levels[number];
    rig->levels[number] = level;
}

void rig_open(Rig *rig, const char *type, const char *const *properties)
{
    MachineConfig config = { .ram_bytes = MIB(64), .rtc_base_s = 1000000 };
    g_autoptr(GError) error = NULL;

    *rig = (Rig){ .base = 0x10000000 };
    rig->machine = machine_new(&config);
    machine_lock(rig->machine);
    memory_region_init_ram(&rig->ram, rig->machine, "rig", RIG_RAM_BYTES, &error);
    g_assert_no_error(error);
    memory_region_add(rig->machine->system_memory, RIG_RAM, &rig->ram, 0);
    if (!type) {
        return;
    }
    rig->device = device_create(rig->machine, NULL, type, NULL, "dut", &error);
    g_assert_no_error(error);
    for (; properties && *properties; properties++) {
        g_auto(GStrv) pair = g_strsplit(*properties, "=", 2);

        device_set(rig->device, pair[0], pair[1], &error);
        g_assert_no_error(error);
    }
    device_realize(rig->device, &error);
    g_assert_no_error(error);
    for (unsigned i = 0; i < rig->device->mmio_count; i++) {
        device_map(rig->device, i, rig->base + i * UINT64_C(0x10000000));
    }
    for (unsigned i = 0; i < rig->device->io->len; i++) {
        device_map_io(rig->device, i, (uint16_t)(RIG_PORTS + i * 0x100));
    }
    for (unsigned i = 0; i < rig->device->irq_count; i++) {
        device_connect_irq(rig->device, i, set_level, rig, (int)i);
    }
    device_reset_tree(rig->device);
}

void rig_close(Rig *rig)
{
    machine_unlock(rig->machine);
    machine_free(rig->machine);
}

static MemoryAttributes attributes_of(int cpu)
{
    return (MemoryAttributes){ .vcpu = (int16_t)cpu };
}

uint64_t rig_read(Rig *rig, int cpu, unsigned index, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    address_space_read(&rig->machine->memory_space,
                       rig->base + index * UINT64_C(0x10000000) + offset, &value, size,
                       attributes_of(cpu));
    return value;
}

void rig_write(Rig *rig, int cpu, unsigned index, uint64_t offset, uint64_t value, unsigned size)
{
    address_space_write(&rig->machine->memory_space,
                        rig->base + index * UINT64_C(0x10000000) + offset, value, size,
                        attributes_of(cpu));
}

uint64_t rig_in(Rig *rig, uint16_t port, unsigned size)
{
    uint64_t value = 0;

    g_assert_cmpint(address_space_read(&rig->machine->io_space, port, &value, size,
                                       (MemoryAttributes){ .vcpu = 0 }),
                    ==, MEMORY_OK);
    return value;
}

void rig_out(Rig *rig, uint16_t port, uint64_t value, unsigned size)
{
    g_assert_cmpint(address_space_write(&rig->machine->io_space, port, value, size,
                                        (MemoryAttributes){ .vcpu = 0 }),
                    ==, MEMORY_OK);
}

void rig_input(Rig *rig, int number, int level)
{
    rig->device->type->input(rig->device, number, level);
}

void rig_hammer(Rig *rig, unsigned cpus, unsigned accesses)
{
    GRand *rand = g_rand_new_with_seed(1);

    for (unsigned i = 0; i < accesses; i++) {
        unsigned index = (unsigned)g_rand_int_range(rand, 0, (gint32)rig->device->mmio_count);
        uint64_t size = device_mmio(rig->device, index)->size;
        unsigned width = 1u << g_rand_int_range(rand, 0, 4);
        uint64_t offset = g_rand_int(rand) % size;
        int cpu = g_rand_int_range(rand, -1, (gint32)cpus);
        uint64_t value = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);

        if (g_rand_boolean(rand)) {
            offset &= ~UINT64_C(7); /* most registers are aligned */
        }
        if (offset + width > size) {
            continue;
        }
        if (g_rand_boolean(rand)) {
            rig_write(rig, cpu, index, offset, value, width);
        } else {
            rig_read(rig, cpu, index, offset, width);
        }
        if (rig->device->type->input && g_rand_int_range(rand, 0, 4) == 0) {
            rig_input(rig, g_rand_int_range(rand, 0, 300) | (cpu > 0 ? cpu : 0) << 16,
                      g_rand_boolean(rand));
        }
    }
    g_rand_free(rand);
    device_reset_tree(rig->device);
}
