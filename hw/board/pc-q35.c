/* SPDX-License-Identifier: MIT */
/*
 * The PC of 2009: Intel Q35 and ICH9, PCI Express and AHCI, as SeaBIOS, OVMF and existing guests expect it from QEMU's boards of these
 * names.
 */
#include <inttypes.h>

#include "hw/acpi/acpi.h"
#include "hw/board/pc.h"
#include "hw/isa/ich9.h"
#include "hw/pci/pci.h"
#include "machine/arch/ich9.h"
#include "machine/arch/x86.h"

/* --- the chipset --- */

static bool add_host(Pc *pc, GError **error)
{
    g_autofree char *low = g_strdup_printf("%" PRIu64, pc->ram_low);
    Device *host = pc_create(pc, "q35-pcihost", NULL, "q35", error);

    pc->host = host;
    return host && device_set(host, "below-4g-mem-size", low, error) && device_realize(host, error);
}

static void set_wire(void *opaque, int number, int level)
{
    Pc *pc = opaque;

    device_input(pc->isa_bridge, number, level);
}

static void raise_smi(void *opaque, int all, int level)
{
    Pc *pc = opaque;
    unsigned count = all ? pc->machine->vcpus->len : 1;

    for (unsigned i = 0; level && i < count; i++) {
        vcpu_post_event(pc->machine->vcpus->pdata[i], X86_EVENT_SMI, 0);
    }
}

static bool add_isa_bridge(Pc *pc, GError **error)
{
    Device *lpc = pc_create(pc, "ICH9-LPC", pc_pci_bus(pc), NULL, error);

    pc->isa_bridge = lpc;
    if (!lpc || !device_set(lpc, "addr", "1f.0", error) ||
        !device_set(lpc, "smm-enabled", pc_has_smm(pc) ? "on" : "off", error) ||
        !device_realize(lpc, error)) {
        return false;
    }
    device_map_io(lpc, 1, PC_APM_PORT);
    for (int wire = 0; wire < ICH9_WIRES; wire++) {
        device_connect_irq(pc->host, (unsigned)wire, set_wire, pc, wire);
    }
    for (int gsi = ISA_IRQ_COUNT; gsi < ICH9_FIRST_GSI + ICH9_PIRQS; gsi++) {
        device_connect_irq(lpc, (unsigned)gsi, pc_set_gsi, pc, gsi);
    }
    device_connect_irq(lpc, ICH9_OUTPUT_SMI_FIRST, raise_smi, pc, false);
    device_connect_irq(lpc, ICH9_OUTPUT_SMI_ALL, raise_smi, pc, true);
    return true;
}

/* It is in the LPC bridge. */
static bool add_power_management(Pc *pc, GError **error)
{
    pc->pm = pc->isa_bridge;
    return true;
}

static bool add_function(Pc *pc, const char *type, const char *id, const char *address,
                         GError **error)
{
    Device *device = pc_create(pc, type, pc_pci_bus(pc), id, error);

    return device && device_set(device, "addr", address, error) &&
           device_set(device, "multifunction", "on", error) && device_realize(device, error);
}

static bool add_storage(Pc *pc, GError **error)
{
    return (!pc->sata || add_function(pc, "ich9-ahci", "ide", "1f.2", error)) &&
           (!pc->smbus || add_function(pc, "ICH9-SMB", NULL, "1f.3", error));
}

/* One EHCI with three companions for devices that are too slow for it. */
static bool add_usb(Pc *pc, GError **error)
{
    static const struct {
        const char *type, *address, *first_port;
    } companions[] = {
        { "ich9-usb-uhci1", "1d.0", "0" },
        { "ich9-usb-uhci2", "1d.1", "2" },
        { "ich9-usb-uhci3", "1d.2", "4" },
    };

    if (!add_function(pc, "ich9-usb-ehci1", NULL, "1d.7", error)) {
        return false;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(companions); i++) {
        Device *uhci = pc_create(pc, companions[i].type, pc_pci_bus(pc), NULL, error);

        if (!uhci || !device_set(uhci, "addr", companions[i].address, error) ||
            !device_set(uhci, "multifunction", "on", error) ||
            !device_set(uhci, "masterbus", "usb-bus.0", error) ||
            !device_set(uhci, "firstport", companions[i].first_port, error) ||
            !device_realize(uhci, error)) {
            return false;
        }
    }
    return true;
}

static bool offer(Pc *pc, GError **error)
{
    return ich9_lpc_offer(pc->isa_bridge, pc->fw_cfg, error);
}

/* Where firmware has placed configuration space in memory. */
static void describe_ecam(Pc *pc, AcpiPc *tables)
{
    enum { CONFIG_PCIEXBAR = 0x60, ENABLE = 1 };
    static const uint64_t bytes[] = { MIB(256), MIB(128), MIB(64), 0 };
    PciDevice *mch = container_of(pc_pci_bus(pc), PciBus, bus)->functions[0];
    uint32_t low = pci_config_read(mch, CONFIG_PCIEXBAR, 4);
    uint64_t high = pci_config_read(mch, CONFIG_PCIEXBAR + 4, 4);
    uint64_t size = bytes[low >> 1 & 3];

    if (low & ENABLE && size) {
        tables->ecam_base = (high << 32 | low) & ~(size - 1);
        tables->ecam_bytes = size;
    }
}

static void describe(Pc *pc, AcpiPc *tables)
{
    enum { GPE0_OFFSET = 0x20, GPE0_BYTES = 16, ACPI_ENABLE = 2, ACPI_DISABLE = 3 };

    tables->ich9 = true;
    tables->acpi_enable = ACPI_ENABLE;
    tables->acpi_disable = ACPI_DISABLE;
    tables->gpe0 = tables->pm_base + GPE0_OFFSET;
    tables->gpe0_bytes = GPE0_BYTES;
    describe_ecam(pc, tables);
}

static const PcChipset chipset = {
    .product = "Standard PC (Q35 + ICH9, 2009)",
    .root_bus = "pcie.0",
    .ram_low_most = 0xb0000000u,
    .ram_low_split = 0x80000000u,
    .ram_split_fixed = true,
    .hpet_pins = "0xff0104",
    .add_host = add_host,
    .add_isa_bridge = add_isa_bridge,
    .add_power_management = add_power_management,
    .add_storage = add_storage,
    .add_usb = add_usb,
    .offer = offer,
    .describe = describe,
};

static bool q35_build(Machine *machine, void *board, GError **error)
{
    return pc_build(machine, board, &chipset, error);
}

/* --- boards --- */

static const DriveInterface q35_drive_interfaces[] = {
    { "ide", .device = "ide-hd", .disc = "ide-cd", .bus = "ide.%u", .unit = "unit", .units = 1,
      .most = 6 },
    { "floppy", .device = "floppy", .bus = "floppy-bus.%u", .unit = "unit", .units = 2, .most = 2,
      .removable = true },
    { "virtio", .device = "virtio-blk" },
    { "pflash", .most = PC_FLASH_BANKS },
    { 0 },
};

static const DefaultDrive q35_default_drives[] = {
    { "ide", 2, .disc = true,
      (const char *const[]){ "ide-hd", "ide-cd", "scsi-hd", "scsi-cd", NULL } },
    { 0 },
};

#define Q35_BOARD(object, name, aliases, nic)                                                      \
    PC_BOARD(object, name, aliases, "Standard PC (Q35 + ICH9, 2009)", q35_build, pc_properties,    \
             q35_drive_interfaces, q35_default_drives, nic)
#define Q35_RELEASE(major, minor)                                                                  \
    Q35_BOARD(q35_##major##_##minor, "pc-q35-" #major "." #minor, NULL, "e1000e")
/* Before 2.12 the network card without model= was another. */
#define Q35_OLD_RELEASE(major, minor)                                                              \
    Q35_BOARD(q35_##major##_##minor, "pc-q35-" #major "." #minor, NULL, "e1000")

/* clang-format off */
Q35_OLD_RELEASE(2, 4); Q35_OLD_RELEASE(2, 5); Q35_OLD_RELEASE(2, 6); Q35_OLD_RELEASE(2, 7);
Q35_OLD_RELEASE(2, 8); Q35_OLD_RELEASE(2, 9); Q35_OLD_RELEASE(2, 10); Q35_OLD_RELEASE(2, 11);
Q35_RELEASE(2, 12); Q35_RELEASE(3, 0); Q35_RELEASE(3, 1); Q35_RELEASE(4, 0);
Q35_RELEASE(4, 1); Q35_RELEASE(4, 2); Q35_RELEASE(5, 0); Q35_RELEASE(5, 1); Q35_RELEASE(5, 2); Q35_RELEASE(6, 0);
Q35_RELEASE(6, 1); Q35_RELEASE(6, 2); Q35_RELEASE(7, 0); Q35_RELEASE(7, 1); Q35_RELEASE(7, 2); Q35_RELEASE(8, 0);
Q35_RELEASE(8, 1); Q35_RELEASE(8, 2); Q35_RELEASE(9, 0); Q35_RELEASE(9, 1); Q35_RELEASE(9, 2); Q35_RELEASE(10, 0);
Q35_RELEASE(10, 1); Q35_RELEASE(10, 2); Q35_RELEASE(11, 0);
/* clang-format on */
Q35_BOARD(q35_4_0_1, "pc-q35-4.0.1", NULL, "e1000e");

static const char *const q35_aliases[] = { "q35", "pc-q35", NULL };
Q35_BOARD(q35_11_1, "pc-q35-11.1", q35_aliases, "e1000e");
