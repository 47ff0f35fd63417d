/* SPDX-License-Identifier: MIT */
/* What all PCs are, whatever their chipset (pc-i440fx.c, pc-q35.c): RAM, interrupt controllers, the devices of the PC/AT. */
#include "hw/board/pc.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "block/block.h"
#include "machine/accelerator.h"
#include "machine/audio.h"
#include "machine/arch/pc.h"
#include "machine/chardev.h"
#include "machine/display.h"
#include "machine/irq-tap.h"

#define FOUR_GIB     GIB(4)
#define LOW_RAM_MOST 0xe0000000u

/* --- small helpers --- */

Device *pc_create(Pc *pc, const char *type, Bus *bus, const char *id, GError **error)
{
    return device_create(pc->machine, NULL, type, bus, id, error);
}

Device *pc_add(Pc *pc, const char *type, const char *id, GError **error)
{
    Device *device = pc_create(pc, type, NULL, id, error);

    return device && device_realize(device, error) ? device : NULL;
}

Device *pc_add_on_bus(Pc *pc, const char *type, Bus *bus, const char *property, const char *value,
                      GError **error)
{
    Device *device = pc_create(pc, type, bus, NULL, error);

    return device && (!property || device_set(device, property, value, error)) &&
                   device_realize(device, error)
               ? device
               : NULL;
}

void pc_map_ports(Device *device, const uint16_t *ports, unsigned count)
{
    for (unsigned i = 0; i < count && i < device->io->len; i++) {
        device_map_io(device, i, ports[i]);
    }
}

void pc_wire_isa(Pc *pc, Device *device, unsigned output, unsigned irq)
{
    device_connect_irq_query(device, output, isa_bus_set_irq, isa_bus_query, pc->isa,
                             isa_bus_new_driver(pc->isa, irq));
}

Bus *pc_pci_bus(Pc *pc)
{
    return bus_find(pc->machine, pc->chipset->root_bus);
}

/* --- options --- */

static bool check_entry_point(const Pc *pc, GError **error)
{
    static const char *const names[] = { "32", "64", "auto", NULL };
    const char *name = pc->smbios_entry_point;

    return !name || g_strv_contains(names, name) ||
           error_fail(error, KASO_ERROR_INVALID,
                      "machine '%s': smbios-entry-point-type=%s: give 32, 64 or auto",
                      pc->machine->board->name, name);
}

static bool check_oem(const Pc *pc, GError **error)
{
    enum { ID_BYTES = 6, TABLE_ID_BYTES = 8 };

    if (pc->oem_id && strlen(pc->oem_id) > ID_BYTES) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "machine '%s': x-oem-id=%s: it has more than %u bytes",
                          pc->machine->board->name, pc->oem_id, ID_BYTES);
    }
    return !pc->oem_table_id || strlen(pc->oem_table_id) <= TABLE_ID_BYTES ||
           error_fail(error, KASO_ERROR_INVALID,
                      "machine '%s': x-oem-table-id=%s: it has more than %u bytes",
                      pc->machine->board->name, pc->oem_table_id, TABLE_ID_BYTES);
}

static bool check_options(Pc *pc, GError **error)
{
    const MachineConfig *config = &pc->machine->config;

    if (!config->kernel && (config->initrd || (config->append && *config->append))) {
        return error_fail(error, KASO_ERROR_INVALID, "%s is of no use without -kernel",
                          config->initrd ? "-initrd" : "-append");
    }
    if (!config->kernel && config->dtb) {
        log_printf("machine '%s': -dtb is of no use without -kernel\n", pc->machine->board->name);
    }
    if (pc->isa_only && config->vcpus > 1) {
        return error_fail(error, KASO_ERROR_INVALID, "machine 'isapc' has one CPU, not %u",
                          config->vcpus);
    }
    if (pc->vmport == ON_OFF_AUTO_ON && !pc->i8042) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "machine '%s': vmport=on needs i8042=on: its pointer shares the mouse's "
                          "interrupt",
                          pc->machine->board->name);
    }
    if (pc->smm == ON_OFF_AUTO_ON && !machine_can(pc->machine, ACCELERATOR_SMM)) {
        return error_fail(
            error, KASO_ERROR_UNSUPPORTED,
            "machine '%s': smm=on: this host's KVM has no system management mode; use "
            "smm=off or -accel tcg",
            pc->machine->board->name);
    }
    if (pc->pic_wanted == ON_OFF_AUTO_OFF || pc->pit == ON_OFF_AUTO_OFF) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "machine '%s': pic=off and pit=off: not yet", pc->machine->board->name);
    }
    return check_oem(pc, error) && check_entry_point(pc, error);
}

/* --- RAM --- */

/* Where RAM stops below 4 GiB: what is above is for PCI. */
static uint64_t low_ram_limit(const Pc *pc)
{
    const PcChipset *chipset = pc->chipset;
    uint64_t total = pc->machine->config.ram_bytes, most = pc->max_ram_below_4g;
    uint64_t limit = chipset->ram_low_most;

    if (pc->isa_only) {
        return total;
    }
    if (chipset->ram_split_fixed) {
        limit = total >= limit ? chipset->ram_low_split : limit;
        return most ? MIN(most, limit) : limit;
    }
    if (most) {
        return most;
    }
    return pc->version.align_gigabyte && total >= limit ? chipset->ram_low_split : limit;
}

static bool add_ram(Pc *pc, GError **error)
{
    Machine *machine = pc->machine;
    uint64_t total = machine->config.ram_bytes, limit = low_ram_limit(pc);

    if (limit > LOW_RAM_MOST || limit < MIB(1)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "machine '%s': RAM below 4 GiB of %" PRIu64
                          " MiB is not between 1 and 3584 MiB",
                          machine->board->name, limit >> 20);
    }
    pc->ram_low = MIN(total, limit);
    pc->ram_high = total - pc->ram_low;
    if (!machine_allocate_ram(machine, error)) {
        return false;
    }
    machine_map_ram_piece(machine, "ram-below-4g", 0, pc->ram_low, 0);
    if (pc->ram_high) {
        machine_map_ram_piece(machine, "ram-above-4g", pc->ram_low, pc->ram_high, FOUR_GIB);
    }
    machine->memory_space.open_bus = true;
    return true;
}

/* --- host bridge --- */

bool pc_has_smm(const Pc *pc)
{
    return pc->smm != ON_OFF_AUTO_OFF && machine_can(pc->machine, ACCELERATOR_SMM);
}

/* System management mode sees SMRAM where others see the VGA. */
static void add_smm_view(Pc *pc)
{
    Machine *machine = pc->machine;

    memory_region_init_container(&pc->smm_root, machine, "smm", UINT64_MAX);
    memory_region_init_alias(&pc->smm_system, machine, "smm-memory", machine->system_memory, 0,
                             UINT64_MAX);
    memory_region_add(&pc->smm_root, 0, &pc->smm_system, 0);
    memory_region_add(&pc->smm_root, 0, device_mmio(pc->host, 2), 1);
    address_space_init(&pc->smm_space, machine, &pc->smm_root, "smm");
    pc->smm_space.open_bus = true;
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        vcpu_set_memory(machine->vcpus->pdata[i], &machine->memory_space, &pc->smm_space);
    }
}

static bool add_host_bridge(Pc *pc, GError **error)
{
    static const uint16_t ports[] = { 0xcf8, 0xcfc };
    MemoryRegion *system = pc->machine->system_memory;

    if (!pc->chipset->add_host(pc, error)) {
        return false;
    }
    pc_map_ports(pc->host, ports, ARRAY_SIZE(ports));
    memory_region_add(system, 0, device_mmio(pc->host, 0), -1);
    memory_region_add(system, 0, device_mmio(pc->host, 1), 1);
    if (pc_has_smm(pc)) {
        add_smm_view(pc);
    }
    return true;
}

/* --- interrupts --- */

static bool has_apics(const Pc *pc)
{
    return !pc->isa_only;
}

void pc_set_gsi(void *opaque, int number, int level)
{
    Pc *pc = opaque;

    if (number < ISA_IRQ_COUNT) {
        device_input(pc->pic, number, level);
    }
    if (pc->ioapic) {
        device_input(pc->ioapic, number == ISA_IRQ_PIT ? 2 : number, level);
    }
}

IrqAnswer pc_query_gsi(void *opaque, int number, IrqWatch *watch)
{
    Pc *pc = opaque;
    IrqAnswer pic = IRQ_NOBODY, ioapic = IRQ_NOBODY;

    if (number < ISA_IRQ_COUNT) {
        pic = pc->pic->type->query(pc->pic, number, watch);
    }
    if (pc->ioapic) {
        ioapic = pc->ioapic->type->query(pc->ioapic, number == ISA_IRQ_PIT ? 2 : number, watch);
    }
    return irq_either(pic, ioapic);
}

/* The HPET is on the I/O APIC's pins; where one is an ISA line, it shares that. */
static void set_hpet_irq(void *opaque, int number, int level)
{
    Pc *pc = opaque;

    if (pc->ioapic) {
        device_input(pc->ioapic, number, level);
    }
}

static IrqAnswer query_hpet_irq(void *opaque, int number, IrqWatch *watch)
{
    Pc *pc = opaque;

    return pc->ioapic ? pc->ioapic->type->query(pc->ioapic, number, watch) : IRQ_NOBODY;
}

static void set_cpu_line(void *opaque, int number, int level)
{
    vcpu_set_interrupt(opaque, (unsigned)number, level);
}

/* The PIC's output is LINT0 of all CPUs. */
static void set_pic_output(void *opaque, int number, int level)
{
    Pc *pc = opaque;

    for (unsigned i = 0; i < pc->machine->vcpus->len; i++) {
        device_input(pc->apic[i], APIC_INPUT_LINT0, level);
    }
}

static bool add_apic(Pc *pc, unsigned index, GError **error)
{
    g_autofree char *id = g_strdup_printf("apic%u", index);
    g_autofree char *cpu = g_strdup_printf("%u", index);
    Vcpu *vcpu = pc->machine->vcpus->pdata[index];
    Device *apic = pc_create(pc, "apic", NULL, id, error);

    if (!apic || !device_set(apic, "cpu", cpu, error) || !device_realize(apic, error)) {
        return false;
    }
    pc->apic[index] = apic;
    device_connect_acknowledge(apic, 0, pc->pic);
    vcpu_connect_acknowledge(vcpu, apic);
    return true;
}

static bool add_interrupt_controllers(Pc *pc, GError **error)
{
    static const uint16_t pic_ports[] = { 0x20, 0xa0, 0x4d0 };
    Machine *machine = pc->machine;

    pc->pic = pc_add(pc, "isa-i8259", "pic", error);
    if (!pc->pic) {
        return false;
    }
    pc_map_ports(pc->pic, pic_ports, ARRAY_SIZE(pic_ports));
    if (!has_apics(pc)) {
        Vcpu *vcpu = machine->vcpus->pdata[0];

        device_connect_irq(pc->pic, 0, set_cpu_line, vcpu, X86_LINE_INTR);
        vcpu_connect_acknowledge(vcpu, pc->pic);
        return true;
    }
    pc->ioapic = pc_add(pc, "ioapic", "ioapic", error);
    if (!pc->ioapic) {
        return false;
    }
    device_map(pc->ioapic, 0, PC_IOAPIC_ADDRESS);
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        if (!add_apic(pc, i, error)) {
            return false;
        }
        device_connect_irq(pc->apic[i], 0, device_input, pc->ioapic, IOAPIC_INPUT_EOI);
    }
    memory_region_add(machine->system_memory, PC_APIC_ADDRESS, device_mmio(pc->apic[0], 0), 2);
    device_connect_irq(pc->pic, 0, set_pic_output, pc, 0);
    return true;
}

/* --- the south bridge --- */

static bool add_isa_bus(Pc *pc, GError **error)
{
    if (!pc->chipset->add_isa_bridge(pc, error)) {
        return false;
    }
    pc->isa = container_of(bus_find(pc->machine, "isa.0"), IsaBus, bus);
    for (unsigned irq = 0; irq < ISA_IRQ_COUNT; irq++) {
        device_connect_irq_query(pc->isa_bridge, irq, pc_set_gsi, pc_query_gsi, pc, (int)irq);
    }
    if (!pc->isa_only) {
        memory_region_add(pc->machine->system_io, 0xcf9, device_io(pc->isa_bridge, 0), 1);
    }
    return true;
}

static bool has_power_management(const Pc *pc)
{
    return !pc->isa_only && pc->acpi != ON_OFF_AUTO_OFF;
}

/* --- timers and the classic devices --- */

static bool add_hpet(Pc *pc, Device *pit, GError **error)
{
    Device *hpet = pc_create(pc, "hpet", NULL, "hpet", error);

    if (!hpet ||
        (pc->chipset->hpet_pins &&
         !device_set(hpet, "hpet-intcap", pc->chipset->hpet_pins, error)) ||
        !device_realize(hpet, error)) {
        return false;
    }
    device_map(hpet, 0, PC_HPET_ADDRESS);
    device_connect_irq_query(pit, 0, device_input, hpet->type->query, hpet, HPET_INPUT_PIT);
    device_connect_irq(pc->rtc, 0, device_input, hpet, HPET_INPUT_RTC);
    for (unsigned i = 0; i < hpet->irq_count; i++) {
        if (i < ISA_IRQ_COUNT && i != ISA_IRQ_CASCADE) {
            pc_wire_isa(pc, hpet, i, i);
        } else {
            device_connect_irq_query(hpet, i, set_hpet_irq, query_hpet_irq, pc, (int)i);
        }
    }
    return true;
}

static bool add_timers(Pc *pc, GError **error)
{
    static const uint16_t pit_ports[] = { 0x40, 0x61 };
    Device *pit = pc_create(pc, "isa-pit", NULL, "pit", error);
    bool ok =
        pit && (!pc->pcspk_audiodev || device_set(pit, "audiodev", pc->pcspk_audiodev->id, error));

    pc->rtc = ok && device_realize(pit, error) ? pc_add(pc, "mc146818rtc", "rtc", error) : NULL;
    if (!pc->rtc) {
        return false;
    }
    pc_map_ports(pit, pit_ports, ARRAY_SIZE(pit_ports));
    device_map_io(pc->rtc, 0, 0x70);
    if (pc->hpet && has_apics(pc)) {
        return add_hpet(pc, pit, error);
    }
    pc_wire_isa(pc, pit, 0, ISA_IRQ_PIT);
    pc_wire_isa(pc, pc->rtc, 0, ISA_IRQ_RTC);
    return true;
}

/* VMware's back door and its mouse, which is read when the PS/2 mouse's interrupt comes. */
static bool add_vmport(Pc *pc, Device *keyboard, GError **error)
{
    Device *port = pc_add_on_bus(pc, "vmport", &pc->isa->bus, NULL, NULL, error);
    Device *mouse =
        port ? pc_add_on_bus(pc, "vmmouse", port->buses->pdata[0], NULL, NULL, error) : NULL;

    if (!mouse) {
        return false;
    }
    device_connect_irq(mouse, 0, device_input, keyboard, I8042_INPUT_STIR_MOUSE);
    return true;
}

static bool add_dma_and_keyboard(Pc *pc, GError **error)
{
    static const uint16_t dma_ports[] = { 0x00, 0x81, 0x87, 0x89, 0x8f, 0xc0 };
    static const uint16_t keyboard_ports[] = { 0x60, 0x64 };
    Device *dma, *keyboard, *port92;

    dma = pc_add(pc, "i8257", "dma", error);
    if (!dma) {
        return false;
    }
    pc_map_ports(dma, dma_ports, ARRAY_SIZE(dma_ports));
    port92 = pc_add(pc, "port92", "port92", error);
    if (!port92) {
        return false;
    }
    device_map_io(port92, 0, 0x92);
    if (!pc->i8042) {
        return true;
    }
    keyboard = pc_add(pc, "i8042", "i8042", error);
    if (!keyboard) {
        return false;
    }
    pc_map_ports(keyboard, keyboard_ports, ARRAY_SIZE(keyboard_ports));
    pc_wire_isa(pc, keyboard, I8042_IRQ_KEYBOARD, ISA_IRQ_KEYBOARD);
    pc_wire_isa(pc, keyboard, I8042_IRQ_MOUSE, ISA_IRQ_MOUSE);
    return pc->vmport == ON_OFF_AUTO_OFF || add_vmport(pc, keyboard, error);
}

static bool add_serial_and_parallel(Pc *pc, GError **error)
{
    for (unsigned i = 0; i < PC_SERIAL_MAX; i++) {
        Chardev *chardev = machine_serial(pc->machine, i);
        g_autofree char *index = g_strdup_printf("%u", i);
        Device *serial;

        if (!chardev) {
            continue;
        }
        serial = pc_create(pc, "isa-serial", &pc->isa->bus, NULL, error);
        if (!serial || !device_set(serial, "index", index, error) ||
            !device_set(serial, "chardev", chardev->id, error) || !device_realize(serial, error)) {
            return false;
        }
    }
    return pc->machine->config.no_defaults ||
           pc_add_on_bus(pc, "isa-parallel", &pc->isa->bus, NULL, NULL, error);
}

static bool add_display(Pc *pc, GError **error)
{
    const char *type = machine_vga_device(pc->machine, pc->isa_only);

    return !type || pc_add_on_bus(pc, type, pc->isa_only ? &pc->isa->bus : pc_pci_bus(pc), NULL,
                                  NULL, error);
}

/* --- floating-point errors as the PC/AT has them: IRQ 13, and port 0xf0 clears it --- */

static MemoryResult ferr_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                              MemoryAttributes attributes)
{
    *value = bits_mask(size * 8);
    return MEMORY_OK;
}

static MemoryResult ferr_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    Pc *pc = opaque;

    isa_bus_set_irq(pc->isa, pc->ferr_driver, 0);
    return MEMORY_OK;
}

static const MemoryOps ferr_ops = { .read = ferr_read, .write = ferr_write };

static void ferr_raised(void *opaque, int number, int level)
{
    Pc *pc = opaque;
    bool held = machine_lock_held(pc->machine);

    if (!held) {
        machine_lock(pc->machine);
    }
    isa_bus_set_irq(pc->isa, pc->ferr_driver, level);
    if (!held) {
        machine_unlock(pc->machine);
    }
}

static void add_ferr(Pc *pc)
{
    Vcpu *first = pc->machine->vcpus->pdata[0];

    pc->ferr_driver = isa_bus_new_driver(pc->isa, ISA_IRQ_FPU);
    memory_region_init_io(&pc->ferr_port, pc->machine, "ioportF0", 1, &ferr_ops, pc);
    memory_region_add(pc->machine->system_io, 0xf0, &pc->ferr_port, 0);
    if (first->device.irq_count > X86_CPU_IRQ_FERR) {
        device_connect_irq(&first->device, X86_CPU_IRQ_FERR, ferr_raised, pc, 0);
    }
}

/* --- the board --- */

static void pc_free(void *opaque)
{
    Pc *pc = opaque;

    g_clear_pointer(&pc->rom_content, g_bytes_unref);
    if (pc->smm_space.root) {
        address_space_destroy(&pc->smm_space);
    }
}

bool pc_build(Machine *machine, Pc *pc, const PcChipset *chipset, GError **error)
{
    pc->machine = machine;
    pc->chipset = chipset;
    pc->version = pc_version(machine->board->name);
    machine_on_free(machine, pc_free, pc);
    if (!pc->version.virtio_modern) {
        machine_add_default(machine, "disable-modern", "on");
        machine_add_default(machine, "disable-legacy", "off");
    }
    if (!pc->version.queue_reset) {
        machine_add_default(machine, "queue_reset", "off");
    }
    if (!pc->version.scsi_fua) {
        machine_add_default(machine, "dpofua", "off");
    }
    if (pc->version.extended_tseg_mib) {
        machine_add_default(machine, "extended-tseg-mbytes", pc->version.extended_tseg_mib);
    }
    if (!pc->version.tcg_cpuid) {
        machine_add_default(machine, "tcg-cpuid", "off");
    }
    if (!check_options(pc, error) || !add_ram(pc, error) || !machine_create_vcpus(machine, error) ||
        (!pc->isa_only && !add_host_bridge(pc, error)) || !add_interrupt_controllers(pc, error) ||
        !add_isa_bus(pc, error)) {
        return false;
    }
    add_ferr(pc);
    return (!has_power_management(pc) || chipset->add_power_management(pc, error)) &&
           add_timers(pc, error) && add_dma_and_keyboard(pc, error) &&
           add_serial_and_parallel(pc, error) && chipset->add_storage(pc, error) &&
           (!machine->config.usb || !chipset->add_usb || chipset->add_usb(pc, error)) &&
           add_display(pc, error) && pc_add_firmware(pc, error) && pc_add_fw_cfg(pc, error);
}

bool pc_load(Machine *machine, void *board, GError **error)
{
    Pc *pc = board;

    return pc_fill_fw_cfg(pc, error) && pc_offer_extras(pc, error) && pc_add_tables(pc, error) &&
           (!machine->config.kernel || pc_add_kernel(pc, error));
}

void pc_reset(Machine *machine, void *board)
{
    pc_refresh_firmware(board);
}

void pc_powerdown(Machine *machine, void *board)
{
    Pc *pc = board;

    machine_request_wakeup(machine, WAKE_OTHER);
    if (pc->pm) {
        device_input(pc->pm, PC_PM_POWER_BUTTON, 1);
    }
}

/* clang-format off */
#define PC_PROPERTIES \
    { "acpi", PROPERTY_ON_OFF_AUTO, offsetof(Pc, acpi), "ACPI tables", "auto" }, \
    { "fd-bootchk", PROPERTY_BOOL, offsetof(Pc, fd_bootchk), "firmware checks boot signatures of floppy disks", "on" }, \
    { "hpet", PROPERTY_BOOL, offsetof(Pc, hpet), "high precision event timers", "on" }, \
    { "i8042", PROPERTY_BOOL, offsetof(Pc, i8042), "keyboard controller", "on" }, \
    { "max-fw-size", PROPERTY_SIZE, offsetof(Pc, max_fw_size), "most bytes of firmware", "8M" }, \
    { "max-ram-below-4g", PROPERTY_SIZE, offsetof(Pc, max_ram_below_4g), "most RAM below 4 GiB; 0: as the chipset has it" }, \
    { "pcspk-audiodev", PROPERTY_AUDIODEV, offsetof(Pc, pcspk_audiodev), "back end of sound for the speaker; unset: it is silent" }, \
    { "pic", PROPERTY_ON_OFF_AUTO, offsetof(Pc, pic_wanted), "interrupt controllers of the PC/AT", "auto" }, \
    { "pit", PROPERTY_ON_OFF_AUTO, offsetof(Pc, pit), "interval timer of the PC/AT", "auto" }, \
    { "sata", PROPERTY_BOOL, offsetof(Pc, sata), "SATA on the board, where its chipset has it", "on" }, \
    { "smbus", PROPERTY_BOOL, offsetof(Pc, smbus), "SMBus of a q35; an i440fx has one always", "on" }, \
    { "smm", PROPERTY_ON_OFF_AUTO, offsetof(Pc, smm), "system management mode", "auto" }, \
    { "smbios-entry-point-type", PROPERTY_STRING, offsetof(Pc, smbios_entry_point), "32, 64 or auto" }, \
    { "vmport", PROPERTY_ON_OFF_AUTO, offsetof(Pc, vmport), "VMware's back door and mouse", "auto" }, \
    { "bus-lock-ratelimit", PROPERTY_NOT_YET, 0, "brakes for locks that hold the whole bus" }, \
    { "dt-compatible", PROPERTY_NOT_YET, 0, "a device tree of this machine" }, \
    { "dumpdtb", PROPERTY_NOT_YET, 0, "a device tree of this machine" }, \
    { "phandle-start", PROPERTY_NOT_YET, 0, "a device tree of this machine" }, \
    { "wdat", PROPERTY_NOT_YET, 0, "ACPI's table of the watchdog" }, \
    { "x-oem-id", PROPERTY_STRING, offsetof(Pc, oem_id), "maker in the headers of ACPI tables" }, \
    { "x-oem-table-id", PROPERTY_STRING, offsetof(Pc, oem_table_id), "table name in the headers of ACPI tables" }, \
    { "pflash0", PROPERTY_DRIVE, offsetof(Pc, pflash[0]), "drive of the flash that ends at 4 GiB" }, \
    { "pflash1", PROPERTY_DRIVE, offsetof(Pc, pflash[1]), "drive of the flash below that" },

const Property pc_properties[] = {
    PC_PROPERTIES
    { 0 },
};

const Property i440fx_properties[] = {
    PC_PROPERTIES
    { "x-south-bridge", PROPERTY_ENUM, offsetof(Pc, south_bridge), "which south bridge it has", "PIIX3",
      (const char *const[]){ "PIIX3", NULL } },
    { 0 },
};
/* clang-format on */

const char *const pc_targets[] = { "x86_64", "i386", NULL };
