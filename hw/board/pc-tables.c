/* SPDX-License-Identifier: MIT */
/* The ACPI and SMBIOS tables that a PC hands to its firmware. */
#include <string.h>

#include "base/error.h"
#include "hw/acpi/acpi.h"
#include "hw/acpi/smbios.h"
#include "hw/board/pc.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/pci/pci.h"
#include "machine/arch/pc.h"

enum { HOLE_LAST = 0xfebfffff };

/* --- what there is --- */

/* A number that a device on the ISA bus has as its property; 0 for another type of device. */
static uint32_t isa_number(Device *device, const char *type, const char *property)
{
    g_autofree char *text =
        strcmp(device->type->name, type) == 0 ? device_get(device, property, NULL) : NULL;

    return text ? (uint32_t)g_ascii_strtoull(text, NULL, 0) : 0;
}

static void find_isa_devices(Pc *pc, AcpiPc *tables)
{
    static const uint16_t serial_ports[] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
    GPtrArray *devices = pc->isa->bus.devices;

    for (unsigned i = 0; i < devices->len; i++) {
        Device *device = devices->pdata[i];
        uint32_t serial = isa_number(device, "isa-serial", "iobase");
        uint32_t parallel = isa_number(device, "isa-parallel", "iobase");
        uint32_t pvpanic = isa_number(device, "pvpanic", "ioport");

        for (unsigned n = 0; n < ARRAY_SIZE(serial_ports); n++) {
            if (serial == serial_ports[n]) {
                tables->serial[n] = serial_ports[n];
            }
        }
        tables->parallel = parallel ? (uint16_t)parallel : tables->parallel;
        tables->pvpanic = pvpanic ? (uint16_t)pvpanic : tables->pvpanic;
        if (strcmp(device->type->name, "isa-fdc") == 0) {
            Bus *drives = device->buses->pdata[0];

            tables->floppy = true;
            tables->floppies = drives->devices->len;
        }
    }
}

typedef struct {
    uint64_t first, last;
} Window;

static void widen_window(Device *device, void *opaque)
{
    Window *window = opaque;
    const PciDevice *pci;

    if (!device->bus || device->bus->type != &pci_bus_type) {
        return;
    }
    pci = pci_device(device);
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        const PciBar *bar = &pci->bars[i];

        if (bar->kind == PCI_BAR_MEMORY64 && bar->mapped && bar->address >= GIB(4)) {
            window->first = MIN(window->first, bar->address);
            window->last = MAX(window->last, bar->address + bar->region->size - 1);
        }
    }
}

/* Where firmware has placed BARs above 4 GiB, else behind RAM; and room for what is plugged later. */
static Window high_window(Pc *pc)
{
    Window window = { UINT64_MAX, 0 };
    g_autofree char *size_text = device_get(pc->host, "pci-hole64-size", NULL);
    uint64_t size = g_ascii_strtoull(size_text ? size_text : "0", NULL, 10);

    device_foreach(pc->machine->root, widen_window, &window);
    if (window.first == UINT64_MAX) {
        if (!pc->version.pci_hole64 || !size) {
            return (Window){ 0, 0 };
        }
        window.first = (GIB(4) + pc->ram_high + GIB(1) - 1) & ~(GIB(1) - 1);
    }
    if (pc->version.pci_hole64 && size) {
        window.last = MAX(window.last, ((window.first + size + GIB(1) - 1) & ~(GIB(1) - 1)) - 1);
    }
    return window;
}

/* --- ACPI --- */

/* Where firmware has placed the power management registers: SeaBIOS and OVMF choose differently. */
static uint16_t pm_base(const Pc *pc)
{
    enum { CONFIG_PM_BASE = 0x40 }; /* of PIIX4_PM and of ICH9-LPC */
    uint16_t base = pci_config_read(pci_device(pc->pm), CONFIG_PM_BASE, 2) & 0xffc0;

    return base ? base : PC_PM_BASE;
}

static AcpiPc describe(Pc *pc)
{
    const MachineConfig *config = &pc->machine->config;
    g_autofree char *s3 = device_get(pc->pm, "disable_s3", NULL);
    g_autofree char *s4 = device_get(pc->pm, "disable_s4", NULL);
    Window high = high_window(pc);
    AcpiPc tables = {
        .oem_id = pc->oem_id,
        .oem_table_id = pc->oem_table_id,
        .given = machine_get_data(pc->machine, ACPI_GIVEN_TABLES),
        .cpus = config->vcpus,
        .layout = x86_layout(config),
        .io_apic = true,
        .hpet = pc->hpet,
        .keyboard = pc->i8042,
        .fw_cfg_dma = pc->version.fw_cfg_dma,
        .vmgenid = device_find_by_type(pc->machine, "vmgenid") != NULL,
        .pm_suspend = g_strcmp0(s3, "on") != 0,
        .pm_hibernate = g_strcmp0(s4, "on") != 0,
        .smi_port = pc_has_smm(pc) ? PC_APM_PORT : 0,
        .pm_base = pm_base(pc),
        .fw_cfg = PC_FW_CFG_PORT,
        .hole_first = (uint32_t)pc->ram_low,
        .hole_last = HOLE_LAST,
        .hole64_first = high.first,
        .hole64_last = high.last,
        .numa = pc->machine->numa,
        .ram_low = pc->ram_low,
        .ram_high = pc->ram_high,
    };

    find_isa_devices(pc, &tables);
    pc->chipset->describe(pc, &tables);
    return tables;
}

static bool add_acpi_files(Pc *pc, GError **error)
{
    AcpiPc description = describe(pc);
    AcpiFiles files;
    bool ok = true;

    acpi_build_pc(&files, &description);
    for (unsigned i = 0; i < 3 && ok; i++) {
        static const char *const names[] = { ACPI_TABLES_FILE, ACPI_RSDP_FILE, ACPI_LOADER_FILE };
        const GByteArray *const contents[] = { files.tables, files.rsdp, files.loader };
        g_autoptr(GBytes) content = g_bytes_new(contents[i]->data, contents[i]->len);

        ok = fw_cfg_add_file(pc->fw_cfg, names[i], content, error);
    }
    acpi_free(&files);
    return ok;
}

/* Firmware reads the commands first, when it has placed the BARs and the power management registers. */
static void refresh_acpi(void *opaque)
{
    Pc *pc = opaque;
    g_autoptr(GError) error = NULL;

    if (!add_acpi_files(pc, &error)) {
        log_printf("%s: ACPI tables: %s\n", pc->fw_cfg->id, error->message);
    }
}

static bool add_acpi(Pc *pc, GError **error)
{
    if (!add_acpi_files(pc, error)) {
        return false;
    }
    fw_cfg_watch_file(pc->fw_cfg, ACPI_LOADER_FILE, refresh_acpi, pc);
    return true;
}

/* --- SMBIOS --- */

static bool build_smbios(Pc *pc, bool v3, GBytes **tables, GBytes **anchor, GError **error)
{
    const MachineConfig *config = &pc->machine->config;
    SmbiosConfig smbios = {
        .manufacturer = "QEMU",
        .product = pc->chipset->product,
        .version = pc->machine->board->name,
        .uuid = config->uuid,
        .uuid_in_order = pc->version.uuid_in_order,
        .sockets = config->sockets,
        .cores = config->cores,
        .threads = config->threads,
        .ram_below_4g = pc->ram_low,
        .ram_above_4g = pc->ram_high,
        .v3 = v3,
        .dimm_most = pc->version.dimm_most,
        .machine = pc->machine,
        .options = config->smbios,
    };

    config->target->processor_id(pc->machine->vcpus->pdata[0], smbios.cpu_id);
    return smbios_build(&smbios, tables, anchor, error);
}

/* The older entry point, unless it is too small for the tables or the user says otherwise. */
static bool add_smbios(Pc *pc, GError **error)
{
    g_autoptr(GBytes) tables = NULL, anchor = NULL;
    bool choose = !pc->smbios_entry_point || strcmp(pc->smbios_entry_point, "auto") == 0;
    bool v3 = !choose && strcmp(pc->smbios_entry_point, "64") == 0;

    if (!build_smbios(pc, v3, &tables, &anchor, choose ? NULL : error) &&
        (!choose || !build_smbios(pc, true, &tables, &anchor, error))) {
        return false;
    }
    return fw_cfg_add_file(pc->fw_cfg, SMBIOS_TABLES_FILE, tables, error) &&
           fw_cfg_add_file(pc->fw_cfg, SMBIOS_ANCHOR_FILE, anchor, error);
}

bool pc_add_tables(Pc *pc, GError **error)
{
    if (machine_get_data(pc->machine, ACPI_GIVEN_TABLES) && !pc->pm) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "-acpitable: with acpi=off the guest gets no ACPI tables");
    }
    return pc->isa_only || (add_smbios(pc, error) && (!pc->pm || add_acpi(pc, error)));
}
