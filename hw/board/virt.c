/* SPDX-License-Identifier: MIT */
/*
 * `virt`: a board that exists only as a machine model, with the memory map, interrupts and device
 * tree that Linux, EDK2 and U-Boot builds for QEMU's board of this name expect.
 *
 * Not modelled: secure world, EL2, SMMU, ACPI tables, GICv3 ITS.
 */
#include "hw/board/virt.h"

#include <errno.h>
#include <inttypes.h>
#include <libfdt.h>
#include <string.h>

#include "base/error.h"
#include "hw/acpi/smbios.h"
#include "hw/board/boot-order.h"
#include "hw/display/ramfb.h"
#include "hw/misc/guest-tables.h"
#include "hw/nvram/fw_cfg.h"
#include "machine/accelerator.h"
#include "machine/chardev.h"
#include "machine/device-tree.h"
#include "machine/irq-tap.h"

#define POWER_KEY_NS INT64_C(100000000)

/* --- small helpers --- */

static Device *create(Virt *virt, const char *type, const char *id, GError **error)
{
    return device_create(virt->machine, NULL, type, NULL, id, error);
}

static bool set_u32(Device *device, const char *property, uint32_t value, GError **error)
{
    g_autofree char *text = g_strdup_printf("%u", value);

    return device_set(device, property, text, error);
}

static void wire_spi(Virt *virt, Device *device, unsigned output, unsigned spi)
{
    device_connect_irq(device, output, device_input, virt->gic, arm_gic_input_spi(spi));
}

/* A realized device of one MMIO region and one interrupt. */
static Device *add_simple(Virt *virt, const char *type, const char *id, uint64_t address,
                          unsigned spi, GError **error)
{
    Device *device = create(virt, type, id, error);

    if (!device || !device_realize(device, error)) {
        return NULL;
    }
    device_map(device, 0, address);
    wire_spi(virt, device, 0, spi);
    return device;
}

/* --- options --- */

static bool check_options(Virt *virt, GError **error)
{
    const MachineConfig *config = &virt->machine->config;

    if (virt->iommu && strcmp(virt->iommu, "none") != 0) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "machine 'virt': iommu=%s is not there yet; only 'none' is", virt->iommu);
    }
    if (virt->gic_version == VIRT_GIC_HOST &&
        !machine_can(virt->machine, ACCELERATOR_HOST_PROCESSOR)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "machine 'virt': gic-version=host needs the accelerator kvm; "
                          "give 2, 3 or max");
    }
    if (virt->acpi == ON_OFF_AUTO_ON) {
        log_printf(
            "machine 'virt': acpi=on: ACPI tables are not built yet; the guest gets a device "
            "tree\n");
    }
    if (virt->its) {
        log_printf("machine 'virt': its=on: there is no ITS yet; message interrupts go through the "
                   "GICv2m frame\n");
    }
    if (!config->kernel && (config->initrd || (config->append && *config->append))) {
        return error_fail(error, KASO_ERROR_INVALID, "%s is of no use without -kernel",
                          config->initrd ? "-initrd" : "-append");
    }
    return true;
}

/* --- devices --- */

static void set_cpu_line(void *opaque, int number, int level)
{
    vcpu_set_interrupt(opaque, (unsigned)number, level);
}

static void wire_cpu(Virt *virt, Vcpu *vcpu)
{
    static const uint8_t intids[ARM_CPU_IRQ_COUNT] = {
        [ARM_CPU_IRQ_TIMER_PHYS] = ARM_INTID_TIMER_PHYS,
        [ARM_CPU_IRQ_TIMER_VIRT] = ARM_INTID_TIMER_VIRT,
        [ARM_CPU_IRQ_TIMER_HYP] = ARM_INTID_TIMER_HYP,
        [ARM_CPU_IRQ_TIMER_SECURE] = ARM_INTID_TIMER_SECURE,
        [ARM_CPU_IRQ_PMU] = ARM_INTID_PMU,
    };

    for (unsigned i = 0; i < vcpu->device.irq_count && i < ARM_CPU_IRQ_COUNT; i++) {
        device_connect_irq(&vcpu->device, i, device_input, virt->gic,
                           arm_gic_input_ppi(vcpu->index, intids[i]));
    }
    for (unsigned line = 0; line < ARM_LINE_COUNT; line++) {
        device_connect_irq(virt->gic, vcpu->index * ARM_LINE_COUNT + line, set_cpu_line, vcpu,
                           (int)line);
    }
}

static bool add_gic(Virt *virt, GError **error)
{
    Machine *machine = virt->machine;
    bool v3 = virt_has_gicv3(virt);

    virt->gic = create(virt, v3 ? "arm-gicv3" : "arm_gic", "gic", error);
    if (!virt->gic || !set_u32(virt->gic, "num-cpu", machine->config.vcpus, error) ||
        !set_u32(virt->gic, "num-irq", VIRT_IRQS, error) ||
        (v3 && !set_u32(virt->gic, "first-region-cpus", virt_first_redistributors(virt), error)) ||
        !device_realize(virt->gic, error)) {
        return false;
    }
    device_map(virt->gic, 0, VIRT_GIC_DIST);
    device_map(virt->gic, 1, v3 ? VIRT_GIC_REDIST : VIRT_GIC_CPU);
    if (virt->gic->mmio_count > 2) {
        device_map(virt->gic, 2, virt->high[VIRT_HIGH_REDIST]);
    }
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        wire_cpu(virt, machine->vcpus->pdata[i]);
    }
    virt->v2m = create(virt, "arm-gicv2m", "v2m", error);
    if (!virt->v2m || !set_u32(virt->v2m, "base-spi", VIRT_SPI_MSI, error) ||
        !set_u32(virt->v2m, "num-spi", VIRT_MSI_COUNT, error) ||
        !device_realize(virt->v2m, error)) {
        return false;
    }
    device_map(virt->v2m, 0, VIRT_GIC_V2M);
    wire_spi(virt, virt->v2m, 0, VIRT_SPI_MSI);
    return true;
}

static bool add_uart(Virt *virt, unsigned index, GError **error)
{
    Chardev *chardev = machine_serial(virt->machine, index);
    Device *uart = create(virt, "pl011", index ? "uart1" : "uart0", error);

    if (!uart || (chardev && !device_set(uart, "chardev", chardev->id, error)) ||
        !device_realize(uart, error)) {
        return false;
    }
    device_map(uart, 0, index ? VIRT_UART1 : VIRT_UART0);
    wire_spi(virt, uart, 0, index ? VIRT_SPI_UART1 : VIRT_SPI_UART0);
    virt->uart[index] = uart;
    return true;
}

static void release_power_key(void *opaque)
{
    Virt *virt = opaque;

    device_input(virt->gpio, VIRT_POWER_KEY_PIN, 0);
}

static bool add_gpio(Virt *virt, GError **error)
{
    virt->gpio = add_simple(virt, "pl061", "gpio", VIRT_GPIO, VIRT_SPI_GPIO, error);
    timer_init(&virt->power_key_release, virt->machine, release_power_key, virt);
    return virt->gpio != NULL;
}

static bool add_flash(Virt *virt, unsigned bank, GError **error)
{
    BlockBackend *drive = virt->pflash[bank] ? virt->pflash[bank]
                                             : machine_placed_drive(virt->machine, "pflash", bank);
    Device *flash = create(virt, "cfi.pflash01", bank ? "flash1" : "flash0", error);
    g_autofree char *name = machine_drive_name(virt->machine, drive);

    if (!flash || !device_set(flash, "name", bank ? "virt.flash1" : "virt.flash0", error) ||
        (drive && !device_set(flash, "drive", name, error)) || !device_realize(flash, error)) {
        return false;
    }
    /* The chip has its own. */
    machine_leave_drive(virt->machine, g_steal_pointer(&virt->pflash[bank]));
    device_map(flash, 0, VIRT_FLASH_BASE + bank * VIRT_FLASH_BYTES);
    virt->flash[bank] = flash;
    virt->has_firmware |= drive && bank == 0;
    return true;
}

static bool add_pcie(Virt *virt, GError **error)
{
    Machine *machine = virt->machine;
    MemoryRegion *system = machine->system_memory;
    uint64_t ecam = virt->high[VIRT_HIGH_ECAM], mmio_high = virt->high[VIRT_HIGH_MMIO];
    uint64_t ecam_bytes = ecam ? VIRT_PCIE_ECAM_HIGH_BYTES : VIRT_PCIE_ECAM_LOW_BYTES;
    g_autofree char *ecam_text = g_strdup_printf("%" PRIu64, ecam_bytes);
    Device *pcie = create(virt, "gpex-pcihost", "pcie", error);

    if (!pcie || !device_set(pcie, "ecam-size", ecam_text, error) ||
        !device_set(pcie, "msi", "on", error) || !device_realize(pcie, error)) {
        return false;
    }
    virt->pcie = pcie;
    memory_region_init_alias(&virt->ecam, machine, "pcie-ecam-window", device_mmio(pcie, 0), 0,
                             ecam_bytes);
    memory_region_add(system, ecam ? ecam : VIRT_PCIE_ECAM_LOW, &virt->ecam, 0);
    memory_region_init_alias(&virt->pcie_mmio, machine, "pcie-mmio-window", device_mmio(pcie, 1),
                             VIRT_PCIE_MMIO, VIRT_PCIE_MMIO_BYTES);
    memory_region_add(system, VIRT_PCIE_MMIO, &virt->pcie_mmio, 0);
    if (mmio_high) {
        memory_region_init_alias(&virt->pcie_mmio_high, machine, "pcie-mmio-high-window",
                                 device_mmio(pcie, 1), mmio_high, virt->high_mmio_bytes);
        memory_region_add(system, mmio_high, &virt->pcie_mmio_high, 0);
    }
    memory_region_init_alias(&virt->pcie_pio, machine, "pcie-pio-window", device_mmio(pcie, 2), 0,
                             VIRT_PCIE_PIO_BYTES);
    memory_region_add(system, VIRT_PCIE_PIO, &virt->pcie_pio, 0);
    for (unsigned pin = 0; pin < 4; pin++) {
        wire_spi(virt, pcie, pin, VIRT_SPI_PCIE + pin);
    }
    return true;
}

static bool add_usb(Virt *virt, GError **error)
{
    Device *usb;

    if (!virt->machine->config.usb) {
        return true;
    }
    usb = device_create(virt->machine, NULL, "qemu-xhci", virt->pcie->buses->pdata[0], NULL, error);
    return usb && device_realize(usb, error);
}

static bool add_virtio_slots(Virt *virt, GError **error)
{
    for (unsigned slot = 0; slot < virt->mmio_slots; slot++) {
        g_autofree char *id = g_strdup_printf("virtio-mmio.%u", slot);

        if (!add_simple(virt, "virtio-mmio", id, VIRT_MMIO + slot * VIRT_MMIO_STRIDE,
                        VIRT_SPI_MMIO + slot, error)) {
            return false;
        }
    }
    return true;
}

/* --- firmware --- */

static bool add_user_files(Virt *virt, GError **error)
{
    GPtrArray *files = virt->machine->config.fw_cfg_files;

    for (unsigned i = 0; files && i < files->len; i++) {
        const FwCfgFile *file = files->pdata[i];

        if (!fw_cfg_add_file(virt->fw_cfg, file->name, file->content, error)) {
            return false;
        }
    }
    return true;
}

static bool add_fw_cfg(Virt *virt, GError **error)
{
    const MachineConfig *config = &virt->machine->config;
    Device *fw_cfg = create(virt, "fw_cfg_mem", "fw_cfg", error);

    if (!fw_cfg || !device_realize(fw_cfg, error)) {
        return false;
    }
    device_map(fw_cfg, 0, VIRT_FW_CFG);
    virt->fw_cfg = fw_cfg;
    fw_cfg_add_u64(fw_cfg, FW_CFG_RAM_SIZE, config->ram_bytes);
    fw_cfg_add_u16(fw_cfg, FW_CFG_NOGRAPHIC, 1);
    fw_cfg_add_u16(fw_cfg, FW_CFG_NB_CPUS, (uint16_t)config->vcpus);
    fw_cfg_add_u16(fw_cfg, FW_CFG_MAX_CPUS, (uint16_t)config->vcpus);
    fw_cfg_add_u16(fw_cfg, FW_CFG_BOOT_MENU, 0);
    return add_user_files(virt, error);
}

/* What UEFI firmware hands on to the system. */
static bool add_smbios(Virt *virt, GError **error)
{
    const MachineConfig *config = &virt->machine->config;
    const SmbiosConfig smbios = {
        .manufacturer = "QEMU",
        .product = "QEMU Virtual Machine",
        .version = "virt-11.1",
        .uuid = config->uuid,
        .sockets = config->sockets,
        .cores = config->cores,
        .threads = config->threads,
        .ram_start = VIRT_RAM_BASE,
        .ram_below_4g = config->ram_bytes,
        .v3 = true,
        .machine = virt->machine,
        .options = config->smbios,
    };
    g_autoptr(GBytes) tables = NULL, anchor = NULL;

    return smbios_build(&smbios, &tables, &anchor, error) &&
           fw_cfg_add_file(virt->fw_cfg, SMBIOS_TABLES_FILE, tables, error) &&
           fw_cfg_add_file(virt->fw_cfg, SMBIOS_ANCHOR_FILE, anchor, error);
}

/* -bios: the file is the content of the first flash bank. */
static bool load_bios(Virt *virt, GError **error)
{
    Machine *machine = virt->machine;
    g_autofree char *path = NULL;
    g_autoptr(GBytes) content = NULL;
    gsize size;
    const void *data;

    if (virt->has_firmware) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "-bios '%s' and a pflash drive for the first bank exclude each other",
                          machine->config.bios);
    }
    path = machine_find_firmware(machine, machine->config.bios, error);
    content = path ? arm_boot_read_file("firmware", path, VIRT_FLASH_BYTES, error) : NULL;
    if (!content) {
        return false;
    }
    data = g_bytes_get_data(content, &size);
    memcpy(device_mmio(virt->flash[0], 0)->host, data, size);
    virt->has_firmware = true;
    return true;
}

/* Firmware takes kernel, initrd and command line from fw_cfg. */
static bool offer_kernel_to_firmware(Virt *virt, GError **error)
{
    const MachineConfig *config = &virt->machine->config;
    const char *append = config->append ? config->append : "";
    g_autoptr(GBytes) kernel = arm_boot_read_kernel(config->kernel, config->ram_bytes, error);
    g_autoptr(GBytes) initrd = NULL;
    g_autoptr(GBytes) command_line = g_bytes_new(append, strlen(append) + 1);

    if (!kernel) {
        g_prefix_error(error, "could not load kernel '%s': ", config->kernel);
        return false;
    }
    fw_cfg_add_u32(virt->fw_cfg, FW_CFG_KERNEL_SIZE, (uint32_t)g_bytes_get_size(kernel));
    fw_cfg_add(virt->fw_cfg, FW_CFG_KERNEL_DATA, kernel);
    if (config->initrd) {
        initrd = arm_boot_read_file("initrd", config->initrd, config->ram_bytes, error);
        if (!initrd) {
            return false;
        }
        fw_cfg_add_u32(virt->fw_cfg, FW_CFG_INITRD_SIZE, (uint32_t)g_bytes_get_size(initrd));
        fw_cfg_add(virt->fw_cfg, FW_CFG_INITRD_DATA, initrd);
    }
    if (*append) {
        fw_cfg_add_u32(virt->fw_cfg, FW_CFG_CMDLINE_SIZE, (uint32_t)strlen(append) + 1);
        fw_cfg_add(virt->fw_cfg, FW_CFG_CMDLINE_DATA, command_line);
    }
    return true;
}

/* --- images --- */

static bool make_fdt(Virt *virt, GError **error)
{
    const MachineConfig *config = &virt->machine->config;
    int spare = VIRT_FDT_SPARE + (int)(config->append ? strlen(config->append) : 0);

    virt->fdt =
        config->dtb ? arm_boot_read_dtb(config->dtb, spare, error) : virt_fdt_build(virt, error);
    return virt->fdt && guest_loaders_tell(virt->machine, &virt->fdt, error);
}

/* dumpdtb=FILE: writes the tree, and ends the run before it begins. */
static bool dump_fdt(Virt *virt, GError **error)
{
    g_autoptr(GError) problem = NULL;

    fdt_pack(virt->fdt);
    virt_fdt_randomize(virt->machine, virt->fdt);
    if (!g_file_set_contents(virt->dumpdtb, virt->fdt, fdt_totalsize(virt->fdt), &problem)) {
        return error_fail(error, KASO_ERROR_IO, "cannot write the device tree to '%s': %s",
                          virt->dumpdtb, problem->message);
    }
    machine_request_stop(virt->machine, STOP_USER_QUIT, "the device tree has been written");
    return true;
}

static bool virt_load(Machine *machine, void *board, GError **error)
{
    Virt *virt = board;
    const MachineConfig *config = &machine->config;

    Device *ramfb = device_find_by_type(machine, "ramfb");

    if (config->bios && !load_bios(virt, error)) {
        return false;
    }
    if (!add_smbios(virt, error)) {
        return false;
    }
    if (ramfb && !ramfb_offer(ramfb, virt->fw_cfg, error)) {
        return false;
    }
    if (!config->kernel && !virt->has_firmware && !config->start_paused && !virt->dumpdtb &&
        !device_find_by_type(machine, "loader") &&
        (!machine->accelerator || machine_can(machine, ACCELERATOR_RUNS_CODE))) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "machine 'virt' has nothing to run: give a kernel with -kernel, "
                          "firmware with -bios, a pflash drive, or a program with -device loader");
    }
    if (!make_fdt(virt, error)) {
        return false;
    }
    if (!config->kernel || virt->has_firmware) {
        arm_boot_place_dtb_for_firmware(&virt->boot);
        if (config->kernel && !offer_kernel_to_firmware(virt, error)) {
            return false;
        }
    } else if (!arm_boot_load(&virt->boot, fdt_totalsize(virt->fdt), error)) {
        return false;
    }
    if (!arm_boot_amend_dtb(&virt->boot, virt->fdt, error)) {
        return false;
    }
    machine_attach(machine, MACHINE_DEVICE_TREE, g_memdup2(virt->fdt, fdt_totalsize(virt->fdt)),
                   g_free);
    return !virt->dumpdtb || dump_fdt(virt, error);
}

/* --- the board --- */

static void virt_free(void *opaque)
{
    Virt *virt = opaque;

    arm_boot_free(&virt->boot);
    g_free(virt->fdt);
}

static bool virt_build(Machine *machine, void *board, GError **error)
{
    Virt *virt = board;

    virt->machine = machine;
    arm_boot_init(&virt->boot, machine, VIRT_RAM_BASE);
    machine_on_free(machine, virt_free, virt);
    return check_options(virt, error) && virt_place_high(virt, error) &&
           machine_map_ram(machine, VIRT_RAM_BASE, error) && machine_create_vcpus(machine, error) &&
           add_gic(virt, error) && add_flash(virt, 0, error) && add_flash(virt, 1, error) &&
           add_uart(virt, 0, error) && (!machine_serial(machine, 1) || add_uart(virt, 1, error)) &&
           add_simple(virt, "pl031", "rtc", VIRT_RTC, VIRT_SPI_RTC, error) &&
           add_gpio(virt, error) && add_fw_cfg(virt, error) && add_pcie(virt, error) &&
           add_usb(virt, error) && add_virtio_slots(virt, error);
}

/* Devices may have come or gone since the last time. */
static void set_boot_order(Virt *virt)
{
    g_autoptr(GBytes) order = boot_order_make(virt->machine);
    g_autoptr(GError) error = NULL;

    if (order && !fw_cfg_add_file(virt->fw_cfg, "bootorder", order, &error)) {
        log_printf("%s: no boot order: %s\n", virt->fw_cfg->id, error->message);
    }
}

static void virt_reset(Machine *machine, void *board)
{
    Virt *virt = board;

    timer_cancel(&virt->power_key_release);
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        Vcpu *vcpu = machine->vcpus->pdata[i];

        atomic_store(&vcpu->powered, i == 0);
        vcpu->target->set_pc(vcpu, VIRT_FLASH_BASE);
    }
    set_boot_order(virt);
    virt_fdt_randomize(machine, virt->fdt);
    arm_boot_reset(&virt->boot, virt->fdt);
}

static void virt_powerdown(Machine *machine, void *board)
{
    Virt *virt = board;

    device_input(virt->gpio, VIRT_POWER_KEY_PIN, 1);
    timer_arm(&virt->power_key_release, clock_now_ns(machine) + POWER_KEY_NS);
}

static const Property virt_properties[] = {
    { "gic-version", PROPERTY_ENUM, offsetof(Virt, gic_version), "interrupt controller", "2",
      (const char *const[]){ "2", "3", "max", "host", NULL } },
    { "highmem", PROPERTY_BOOL, offsetof(Virt, highmem),
      "PCIe windows above 4 GiB, and RAM above 3 GiB", "on" },
    { "highmem-redists", PROPERTY_BOOL, offsetof(Virt, high_wanted[VIRT_HIGH_REDIST]),
      "a second region of GICv3 redistributors above RAM, for more than 123 CPUs", "on" },
    { "highmem-ecam", PROPERTY_BOOL, offsetof(Virt, high_wanted[VIRT_HIGH_ECAM]),
      "PCIe configuration space of 256 buses above RAM", "on" },
    { "highmem-mmio", PROPERTY_BOOL, offsetof(Virt, high_wanted[VIRT_HIGH_MMIO]),
      "PCIe window above RAM", "on" },
    { "highmem-mmio-size", PROPERTY_SIZE, offsetof(Virt, high_mmio_bytes),
      "bytes of the PCIe window above RAM: a power of two, 512G or more", "512G" },
    { "compact-highmem", PROPERTY_BOOL, offsetof(Virt, high_compact),
      "high regions that are not there leave no gap", "on" },
    { "secure", PROPERTY_NOT_YET, 0, "EL3 and secure world" },
    { "virtualization", PROPERTY_NOT_YET, 0, "EL2" },
    { "mte", PROPERTY_NOT_YET, 0, "memory tagging" },
    { "ras", PROPERTY_NOT_YET, 0, "error injection" },
    { "its", PROPERTY_BOOL, offsetof(Virt, its),
      "interrupt translation service (not yet: the GICv2m frame takes message interrupts)" },
    { "msi", PROPERTY_ENUM, offsetof(Virt, msi), "what takes message interrupts", "auto",
      (const char *const[]){ "auto", "gicv2m", "its", "off", NULL } },
    { "virtio-mmio-transports", PROPERTY_U8, offsetof(Virt, mmio_slots),
      "slots of virtio devices on MMIO, up to 32", "32" },
    { "dt-compatible", PROPERTY_STRING, offsetof(Virt, compatible),
      "the device tree's name of the machine" },
    { "phandle-start", PROPERTY_NOT_YET, 0, "a choice of the device tree's handles" },
    { "x-oem-id", PROPERTY_NOT_YET, 0, "ACPI tables" },
    { "x-oem-table-id", PROPERTY_NOT_YET, 0, "ACPI tables" },
    { "acpi", PROPERTY_ON_OFF_AUTO, offsetof(Virt, acpi),
      "ACPI tables (not yet: the guest gets a device tree)", "auto" },
    { "iommu", PROPERTY_STRING, offsetof(Virt, iommu), "'none'" },
    { "dtb-randomness", PROPERTY_BOOL, offsetof(Virt, dtb_randomness),
      "random seeds in the device tree", "on" },
    { "dtb-kaslr-seed", PROPERTY_BOOL, offsetof(Virt, dtb_randomness),
      "older name of dtb-randomness", "on", NULL, true },
    { "dumpdtb", PROPERTY_STRING, offsetof(Virt, dumpdtb),
      "write the device tree to this file and end" },
    { "kernel-irqchip", PROPERTY_STRING, offsetof(Virt, kernel_irqchip), "accepted" },
    { "pflash0", PROPERTY_DRIVE, offsetof(Virt, pflash[0]), "drive of the first flash bank" },
    { "pflash1", PROPERTY_DRIVE, offsetof(Virt, pflash[1]), "drive of the second flash bank" },
    { 0 },
};

static const DriveInterface virt_drive_interfaces[] = {
    { "virtio", .device = "virtio-blk" },
    { "pflash", .most = 2 },
    { 0 },
};

static const Board virt_board = {
    .name = "virt",
    .summary = "ARM Virtual Machine with virtio and PCI Express devices",
    .targets = (const char *const[]){ "aarch64", NULL },
    .first_release = 206,
    .default_cpu = "cortex-a57",
    .default_nic = "virtio-net-pci",
    .serial_console = "ttyAMA0",
    .drive_interfaces = virt_drive_interfaces,
    .default_drive_interface = "virtio",
    .ram_name = "mach-virt.ram",
    .default_ram_bytes = MIB(128),
    .min_ram_bytes = MIB(16),
    .max_ram_bytes = GIB(4096),
    .max_vcpus = VIRT_MAX_VCPUS,
    .smp_clusters = true,
    .smbios = true,
    .numa = true,
    .instance_size = sizeof(Virt),
    .extras = (const char *const[]){ "ramfb", "guest-loader", NULL },
    .properties = virt_properties,
    .build = virt_build,
    .load = virt_load,
    .reset = virt_reset,
    .powerdown = virt_powerdown,
};
BOARD_TYPE(virt_board);
