/* SPDX-License-Identifier: MIT */
/* The example of docs/howto/add-a-device-on-ports.md at work, on an ISA bus. */
#include "hw/isa/isa.h"
#include "tests/device/rig.h"

typedef struct {
    Device device;
    IsaBus bus;
} Bridge;

static const DeviceType bridge_type = {
    .name = "howto-isa-bridge",
    .board_only = true,
    .instance_size = sizeof(Bridge),
};
DEVICE_TYPE(bridge_type);

static void note_level(void *opaque, int number, int level)
{
    ((int *)opaque)[number] = level;
}

static Bridge *open_bridge(Rig *rig, int *levels)
{
    GError *error = NULL;
    Device *device;
    Bridge *bridge;

    rig_open(rig, NULL, NULL);
    device = device_create(rig->machine, NULL, "howto-isa-bridge", NULL, "bridge", &error);
    g_assert_no_error(error);
    bridge = container_of(device, Bridge, device);
    isa_bus_init(&bridge->bus, device, "isa.0", rig->machine->system_io,
                 rig->machine->system_memory);
    g_assert_true(device_realize(device, &error));
    for (unsigned i = 0; i < ISA_IRQ_COUNT; i++) {
        irq_connect(&bridge->bus.lines[i], note_level, levels, (int)i);
    }
    return bridge;
}

static Device *add_multiplier(Rig *rig, Bridge *bridge, const char *iobase, const char *irq,
                              GError **error)
{
    Device *device =
        device_create(rig->machine, NULL, "isa-multiplier", &bridge->bus.bus, "m", error);

    g_assert_nonnull(device);
    g_assert_true(device_set(device, "iobase", iobase, NULL));
    g_assert_true(device_set(device, "irq", irq, NULL));
    return device_realize(device, error) ? device : NULL;
}

static void test_multiplier(void)
{
    int levels[ISA_IRQ_COUNT] = { 0 };
    Rig rig;
    Bridge *bridge = open_bridge(&rig, levels);
    Device *device = add_multiplier(&rig, bridge, "0x230", "7", NULL);

    g_assert_nonnull(device);
    device_reset_tree(device);
    rig_out(&rig, 0x234, 1, 1);
    rig_out(&rig, 0x230, 0xff07, 2); /* A = 7, B = 255 by one access */
    g_assert_cmpint(levels[7], ==, 1);
    g_assert_cmphex(rig_in(&rig, 0x232, 2), ==, 7 * 255);
    g_assert_cmphex(rig_in(&rig, 0x234, 1), ==, 1);
    g_assert_cmpint(levels[7], ==, 0);
    g_assert_cmphex(rig_in(&rig, 0x234, 1), ==, 0);
    g_assert_cmphex(rig_in(&rig, 0x235, 1), ==, 0xff);
    rig_close(&rig);
}

static void test_no_such_place(void)
{
    int levels[ISA_IRQ_COUNT] = { 0 };
    GError *error = NULL;
    Rig rig;
    Bridge *bridge = open_bridge(&rig, levels);

    g_assert_null(add_multiplier(&rig, bridge, "0xfffa", "7", &error));
    g_assert_nonnull(strstr(error->message, "0xfffa"));
    g_error_free(error);
    rig_close(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/howto/add-a-device-on-ports", test_multiplier);
    g_test_add_func("/howto/add-a-device-on-ports/place", test_no_such_place);
    return g_test_run();
}
