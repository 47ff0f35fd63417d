/* SPDX-License-Identifier: MIT */
/* The example of docs/howto/add-an-input-device.md at work, on an ISA bus. */
#include "hw/isa/isa.h"
#include "machine/input.h"
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
    *(int *)opaque = level;
}

static void press(Rig *rig, unsigned code, bool down)
{
    input_send(rig->machine, &(InputEvent){ INPUT_KEY, (uint16_t)code, down, 0 });
    input_sync(rig->machine);
}

static void test_keypad(void)
{
    unsigned codes = 0, code;
    int level = 0, down = 0;
    Device *device, *keypad;
    Bridge *bridge;
    Rig rig;

    rig_open(&rig, NULL, NULL);
    device = device_create(rig.machine, NULL, "howto-isa-bridge", NULL, "bridge", NULL);
    bridge = container_of(device, Bridge, device);
    isa_bus_init(&bridge->bus, device, "isa.0", rig.machine->system_io, rig.machine->system_memory);
    g_assert_true(device_realize(device, NULL));
    irq_connect(&bridge->bus.lines[5], note_level, &level, 5);
    keypad = device_create(rig.machine, NULL, "isa-keypad", &bridge->bus.bus, "k", NULL);
    g_assert_true(device_realize(keypad, NULL));
    press(&rig, 30, true);
    g_assert_cmpint(level, ==, 0); /* it does not listen */
    rig_out(&rig, 0x231, 1, 1);
    press(&rig, 30, true);
    g_assert_cmpint(level, ==, 1);
    press(&rig, 30, true);
    press(&rig, 30, false);
    g_assert_cmpuint(rig_in(&rig, 0x230, 1), ==, 30);
    g_assert_cmpuint(rig_in(&rig, 0x230, 1), ==, 30 | 0x80);
    g_assert_cmpuint(rig_in(&rig, 0x230, 1), ==, 0);
    g_assert_cmpint(level, ==, 0);
    for (unsigned i = 0; i < 400; i++) {
        press(&rig, 1 + i % 100, i % 200 < 100);
    }
    while ((code = (unsigned)rig_in(&rig, 0x230, 1))) {
        down += code & 0x80 ? -1 : 1;
        codes++;
    }
    g_assert_cmpuint(codes, >, 20);
    g_assert_cmpint(down, ==, 0);
    rig_close(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/howto/input", test_keypad);
    return g_test_run();
}
