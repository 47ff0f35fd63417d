/* SPDX-License-Identifier: MIT */
/*
 * The PC of 1996: Intel 440FX, PIIX3 and PIIX4 power management, as SeaBIOS, OVMF and existing guests expect it
 * from QEMU's boards of these names; and `isapc`, the same without PCI.
 */
#include "hw/acpi/acpi.h"
#include "hw/board/pc.h"
#include "hw/pci/pci.h"
#include "machine/arch/pc.h"
#include "machine/arch/x86.h"

/* --- the chipset --- */

static bool add_host(Pc *pc, GError **error)
{
    pc->host = pc_add(pc, "i440FX-pcihost", "i440fx", error);
    return pc->host != NULL;
}

static void set_pirq(void *opaque, int number, int level)
{
    Pc *pc = opaque;

    device_input(pc->isa_bridge, number, level);
}

static bool add_isa_bridge(Pc *pc, GError **error)
{
    /* Slot 1's INTA is PIRQA (the bus counts from slot 0). */
    enum { PIRQ_SWIZZLE = 3, PIRQS = 4 };

    pc->isa_bridge = pc_add_on_bus(pc, "PIIX3", pc_pci_bus(pc), "addr", "1.0", error);
    if (!pc->isa_bridge) {
        return false;
    }
    for (unsigned pin = 0; pin < PIRQS; pin++) {
        device_connect_irq(pc->host, pin, set_pirq, pc, (int)((pin + PIRQ_SWIZZLE) % PIRQS));
    }
    return true;
}

static void raise_smi(void *opaque, int number, int level)
{
    Pc *pc = opaque;

    if (level) {
        vcpu_post_event(pc->machine->vcpus->pdata[0], X86_EVENT_SMI, 0);
    }
}

static bool add_power_management(Pc *pc, GError **error)
{
    static const uint16_t ports[] = { PC_APM_PORT, PC_GPE0_PORT, PC_PCI_HOTPLUG_PORT,
                                      PC_CPU_HOTPLUG_PORT };

    pc->pm = pc_create(pc, "PIIX4_PM", pc_pci_bus(pc), NULL, error);
    if (!pc->pm || !device_set(pc->pm, "addr", "1.3", error) ||
        !device_set(pc->pm, "smm-enabled", pc_has_smm(pc) ? "on" : "off", error) ||
        !device_realize(pc->pm, error)) {
        return false;
    }
    pc_map_ports(pc->pm, ports, ARRAY_SIZE(ports));
    pc_wire_isa(pc, pc->pm, 0, ISA_IRQ_ACPI);
    device_connect_irq(pc->pm, 1, raise_smi, pc, 0);
    return true;
}

/* The channels that a PC without PCI has. */
static bool add_isa_ide(Pc *pc, GError **error)
{
    static const char *const places[][3] = { { "0x1f0", "0x3f6", "14" },
                                             { "0x170", "0x376", "15" } };
    static const char *const names[] = { "iobase", "iobase2", "irq" };

    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        Device *ide = device_create(pc->machine, NULL, "isa-ide", &pc->isa->bus, NULL, error);

        for (unsigned j = 0; ide && j < ARRAY_SIZE(names); j++) {
            if (!device_set(ide, names[j], places[i][j], error)) {
                return false;
            }
        }
        if (!ide || !device_realize(ide, error)) {
            return false;
        }
    }
    return true;
}

static bool add_floppies(Pc *pc, GError **error)
{
    return pc_add_on_bus(pc, "isa-fdc", &pc->isa->bus, NULL, NULL, error) != NULL;
}

static bool add_storage(Pc *pc, GError **error)
{
    Device *ide = pc_add_on_bus(pc, "piix3-ide", pc_pci_bus(pc), "addr", "1.1", error);

    if (!ide) {
        return false;
    }
    pc_wire_isa(pc, ide, 0, ISA_IRQ_IDE_1);
    pc_wire_isa(pc, ide, 1, ISA_IRQ_IDE_2);
    return add_floppies(pc, error);
}

static bool add_usb(Pc *pc, GError **error)
{
    return pc_add_on_bus(pc, "piix3-usb-uhci", pc_pci_bus(pc), "addr", "1.2", error) != NULL;
}

/* Slots in which devices come and go: not those of functions that cannot go. */
static uint32_t fixed_slots(Pc *pc)
{
    enum { PIIX3_SLOT = 1 };
    const PciBus *bus = container_of(pc_pci_bus(pc), PciBus, bus);
    uint32_t slots = 1u | 1u << PIIX3_SLOT;

    for (unsigned devfn = 0; devfn < ARRAY_SIZE(bus->functions); devfn++) {
        const PciDevice *pci = bus->functions[devfn];

        if (pci && !pci_can_be_plugged(pci)) {
            slots |= 1u << devfn / 8;
        }
    }
    return slots;
}

static void describe(Pc *pc, AcpiPc *tables)
{
    g_autofree char *hotplug = device_get(pc->pm, "acpi-root-pci-hotplug", NULL);

    tables->acpi_enable = 0xf1;
    tables->acpi_disable = 0xf0;
    tables->gpe0 = PC_GPE0_PORT;
    tables->gpe0_bytes = 4;
    tables->pci_hotplug = g_strcmp0(hotplug, "on") == 0 ? PC_PCI_HOTPLUG_PORT : 0;
    tables->fixed_slots = fixed_slots(pc);
}

static const PcChipset chipset = {
    .product = "Standard PC (i440FX + PIIX, 1996)",
    .root_bus = "pci.0",
    .ram_low_most = 0xe0000000u,
    .ram_low_split = 0xc0000000u,
    .classic_ide = true,
    .add_host = add_host,
    .add_isa_bridge = add_isa_bridge,
    .add_power_management = add_power_management,
    .add_storage = add_storage,
    .add_usb = add_usb,
    .describe = describe,
};

static bool i440fx_build(Machine *machine, void *board, GError **error)
{
    return pc_build(machine, board, &chipset, error);
}

/* --- without PCI --- */

static bool add_isapc_bridge(Pc *pc, GError **error)
{
    pc->isa_bridge = pc_add(pc, "isabus-bridge", NULL, error);
    return pc->isa_bridge != NULL;
}

static bool add_isapc_storage(Pc *pc, GError **error)
{
    return add_isa_ide(pc, error) && add_floppies(pc, error);
}

static const PcChipset isapc_chipset = {
    .classic_ide = true,
    .add_isa_bridge = add_isapc_bridge,
    .add_storage = add_isapc_storage,
};

static bool isapc_build(Machine *machine, void *board, GError **error)
{
    Pc *pc = board;

    pc->isa_only = true;
    return pc_build(machine, board, &isapc_chipset, error);
}

/* --- boards --- */

static const DriveInterface pc_drive_interfaces[] = {
    { "ide", .device = "ide-hd", .disc = "ide-cd", .bus = "ide.%u", .unit = "unit", .units = 2,
      .most = 4 },
    { "floppy", .device = "floppy", .bus = "floppy-bus.%u", .unit = "unit", .units = 2, .most = 2,
      .removable = true },
    { "virtio", .device = "virtio-blk" },
    { "pflash", .most = PC_FLASH_BANKS },
    { 0 },
};

static const DefaultDrive pc_default_drives[] = {
    { "ide", 2, .disc = true,
      (const char *const[]){ "ide-hd", "ide-cd", "scsi-hd", "scsi-cd", NULL } },
    { "floppy", 0, .unless = (const char *const[]){ "isa-fdc", "floppy", NULL } },
    { 0 },
};

#define I440FX_BOARD(object, name, aliases)                                                        \
    PC_BOARD(object, name, aliases, "Standard PC (i440FX + PIIX, 1996)", i440fx_build,             \
             i440fx_properties, pc_drive_interfaces, pc_default_drives, "e1000")
#define PC_RELEASE(major, minor)                                                                   \
    I440FX_BOARD(pc_##major##_##minor, "pc-i440fx-" #major "." #minor, NULL)

/* clang-format off */
PC_RELEASE(1, 4); PC_RELEASE(1, 5); PC_RELEASE(1, 6); PC_RELEASE(1, 7);
PC_RELEASE(2, 0); PC_RELEASE(2, 1); PC_RELEASE(2, 2); PC_RELEASE(2, 3); PC_RELEASE(2, 4); PC_RELEASE(2, 5);
PC_RELEASE(2, 6); PC_RELEASE(2, 7); PC_RELEASE(2, 8); PC_RELEASE(2, 9); PC_RELEASE(2, 10); PC_RELEASE(2, 11);
PC_RELEASE(2, 12); PC_RELEASE(3, 0); PC_RELEASE(3, 1); PC_RELEASE(4, 0); PC_RELEASE(4, 1); PC_RELEASE(4, 2);
PC_RELEASE(5, 0); PC_RELEASE(5, 1); PC_RELEASE(5, 2); PC_RELEASE(6, 0); PC_RELEASE(6, 1); PC_RELEASE(6, 2);
PC_RELEASE(7, 0); PC_RELEASE(7, 1); PC_RELEASE(7, 2); PC_RELEASE(8, 0); PC_RELEASE(8, 1); PC_RELEASE(8, 2);
PC_RELEASE(9, 0); PC_RELEASE(9, 1); PC_RELEASE(9, 2); PC_RELEASE(10, 0); PC_RELEASE(10, 1); PC_RELEASE(10, 2);
PC_RELEASE(11, 0);
/* clang-format on */

static const char *const pc_aliases[] = { "pc", "pc-i440fx", NULL };
I440FX_BOARD(pc_11_1, "pc-i440fx-11.1", pc_aliases);

static const Board isapc_board = {
    .name = "isapc",
    .summary = "ISA-only PC",
    .targets = pc_targets,
    .serial_console = "ttyS0",
    .default_vga = "std",
    .drive_interfaces = pc_drive_interfaces,
    .default_drive_interface = "ide",
    .default_drives = pc_default_drives,
    .default_cpu = "486",
    .default_nic = "ne2k_isa",
    .ram_name = "pc.ram",
    .default_ram_bytes = MIB(128),
    .min_ram_bytes = MIB(1),
    .max_ram_bytes = 0xe0000000u,
    .max_vcpus = 1,
    .smp_dies = true,
    .smp_modules = true,
    .instance_size = sizeof(Pc),
    .properties = pc_properties,
    .build = isapc_build,
    .load = pc_load,
    .reset = pc_reset,
    .powerdown = pc_powerdown,
    .set_boot_order = pc_change_boot_order,
};
BOARD_TYPE(isapc_board);
