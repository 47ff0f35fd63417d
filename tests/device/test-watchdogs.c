/* SPDX-License-Identifier: MIT */
/* The watchdogs: fed, not fed, and by hands that do not know the key. */
#include <glib.h>
#include <string.h>

#include "base/bits.h"
#include "hw/isa/isa.h"
#include "hw/pci/pci.h"
#include "machine/watchdog.h"
#include "tests/device/pc-rig.h"

enum { START = 0x443, STOP = 0x441 };

static const int64_t second = 1000000000;

static void count_event(void *opaque, const char *event, const char *data)
{
    unsigned *count = opaque;

    *count += strcmp(event, "WATCHDOG") == 0 && strstr(data, "\"none\"");
}

/* Runs what was put off to the main loop. */
static void run_main_loop(Machine *machine)
{
    machine_unlock(machine);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    machine_lock(machine);
}

static void open_rig(PcRig *rig, unsigned *events)
{
    pc_rig_open(rig);
    rig->machine->config.watchdog_action = WATCHDOG_NONE;
    machine_add_event_listener(rig->machine, count_event, events);
}

static void wait(PcRig *rig, int64_t ns)
{
    pc_rig_advance(rig, ns);
    run_main_loop(rig->machine);
}

static Device *add(PcRig *rig, const char *type, Bus *bus)
{
    Device *device = device_create(rig->machine, NULL, type, bus, NULL, NULL);

    g_assert_true(device_realize(device, NULL));
    device_reset_tree(device);
    return device;
}

static void test_ib700(void)
{
    unsigned events = 0;
    IsaBus isa;
    PcRig rig;

    open_rig(&rig, &events);
    isa_bus_init(&isa, rig.machine->root, "isa.0", rig.machine->system_io,
                 rig.machine->system_memory);
    add(&rig, "ib700", &isa.bus);
    pc_rig_out(&rig, START, 0);
    wait(&rig, 29 * second);
    pc_rig_out(&rig, START, 13); /* fed: 4 s more */
    wait(&rig, 3 * second);
    g_assert_cmpuint(events, ==, 0);
    wait(&rig, 2 * second);
    g_assert_cmpuint(events, ==, 1);
    wait(&rig, 60 * second); /* once is enough */
    g_assert_cmpuint(events, ==, 1);
    pc_rig_out(&rig, START, 14);
    pc_rig_out(&rig, STOP, 0);
    wait(&rig, 60 * second);
    g_assert_cmpuint(events, ==, 1);
    pc_rig_close(&rig);
}

static void put(Device *device, unsigned offset, uint32_t value, unsigned size)
{
    MemoryRegion *region = device_mmio(device, 0);

    region->ops->write(region->opaque, offset, value, size, (MemoryAttributes){ 0 });
}

static uint32_t get(Device *device, unsigned offset, unsigned size)
{
    MemoryRegion *region = device_mmio(device, 0);
    uint64_t value = 0;

    region->ops->read(region->opaque, offset, &value, size, (MemoryAttributes){ 0 });
    return (uint32_t)value;
}

static void put_with_key(Device *device, unsigned offset, uint32_t value, unsigned size)
{
    put(device, 0xc, 0x80, 2);
    put(device, 0xc, 0x86, 2);
    put(device, offset, value, size);
}

static void put_config(Device *device, unsigned offset, uint32_t value, unsigned size)
{
    PciDevice *pci = pci_device(device);

    pci_config_write(pci, offset, value, size);
}

static void test_i6300esb(void)
{
    unsigned events = 0;
    PcRig rig;
    Device *device;

    open_rig(&rig, &events);
    pc_rig_add(&rig, "i440FX-pcihost", NULL);
    device = add(&rig, "i6300esb", bus_find_by_type(rig.machine, "pci"));
    put(device, 0, 100, 4); /* without the key */
    g_assert_cmphex(get(device, 0, 4), ==, 0xfffff);
    put_with_key(device, 0, 1000, 4); /* some 1 s */
    put_with_key(device, 4, 2000, 4);
    put(device, 4, 1, 4); /* the key opens once */
    g_assert_cmpuint(get(device, 4, 4), ==, 2000);
    put_config(device, 0x60, 3, 2); /* no interrupt; slow */
    put_config(device, 0x68, 2, 1);
    wait(&rig, 2 * second); /* the first stage has ended */
    g_assert_cmpuint(get(device, 8, 1), ==, 1);
    put_with_key(device, 0xc, 0x100, 2); /* fed */
    wait(&rig, 2 * second);
    g_assert_cmpuint(events, ==, 0);
    wait(&rig, 2 * second);
    g_assert_cmpuint(events, ==, 1);
    g_assert_cmphex(get(device, 0xc, 2), ==, 0x200);
    put_with_key(device, 0xc, 0x200, 2);
    g_assert_cmphex(get(device, 0xc, 2), ==, 0);

    /* Locked, it cannot be turned off. */
    put_config(device, 0x68, 3, 1);
    put_config(device, 0x68, 0, 1);
    wait(&rig, 4 * second);
    g_assert_cmpuint(events, ==, 2);
    pc_rig_close(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/watchdog/ib700", test_ib700);
    g_test_add_func("/watchdog/i6300esb", test_i6300esb);
    return g_test_run();
}
