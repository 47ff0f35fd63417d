/* SPDX-License-Identifier: MIT */
/* The example of docs/howto/add-a-device.md at work. */
#include <glib.h>

#include "base/bits.h"
#include "machine/machine.h"

static void note_level(void *opaque, int number, int level)
{
    *(int *)opaque = level;
}

static void write_register(Machine *machine, uint64_t address, uint64_t value)
{
    address_space_write(&machine->memory_space, address, value, 4, MEMORY_ATTRIBUTES_DMA);
}

static void test_countdown(void)
{
    MachineConfig config = { .ram_bytes = MIB(16), .rtc_base_s = INT64_MIN };
    Machine *machine = machine_new(&config);
    Device *device;
    int level = 0;
    uint64_t status;

    machine_lock(machine);
    device = device_create(machine, NULL, "countdown-timer", NULL, "timer0", NULL);
    g_assert_nonnull(device);
    g_assert_true(device_set(device, "fast", "on", NULL));
    g_assert_true(device_realize(device, NULL));
    device_map(device, 0, 0x1000);
    device_connect_irq(device, 0, note_level, &level, 0);
    machine_start(machine);
    machine_unlock(machine);
    write_register(machine, 0x1000, 1000);
    while (!level) {
        g_main_context_iteration(NULL, true);
    }
    address_space_read(&machine->memory_space, 0x1008, &status, 4, MEMORY_ATTRIBUTES_DMA);
    g_assert_cmphex(status, ==, 1);
    write_register(machine, 0x1008, 1);
    g_assert_cmpint(level, ==, 0);
    machine_free(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/howto/add-a-device", test_countdown);
    return g_test_run();
}
