/* SPDX-License-Identifier: MIT */
/*
 * The LPC bridge of ICH9 (data sheet 316972, chapter 13): routing of PCI's interrupts, ACPI, SMI and the watchdog at PMBASE, chipset
 * configuration at RCBA, APM and reset control. Its bus is "isa.0".
 *
 *   io 0      0xcf9, reset control            io 1  0xb2: APM control and status
 *   inputs    wires of machine/arch/ich9.h; PC_PM_POWER_BUTTON, PC_PM_GPE + n
 *   irq 0-23  global interrupts: the ISA lines, then PIRQA to PIRQH at the I/O APIC
 *   irq 24-25 SMI, a pulse: ICH9_OUTPUT_SMI_FIRST, ICH9_OUTPUT_SMI_ALL
 *
 * Not modelled: GPIO, serial interrupts, what switches decoding of ROM and of the ISA devices, traps, power states of C2 and below.
 */
#include "hw/isa/ich9.h"

#include <string.h>

#include "hw/nvram/fw_cfg.h"
#include "machine/machine.h"

enum {
    CONFIG_PMBASE = 0x40,
    CONFIG_ACPI_CNTL = 0x44,
    CONFIG_PIRQ_A = 0x60, /* to D; E to H are at 0x68 */
    CONFIG_PIRQ_E = 0x68,
    CONFIG_LPC_EN = 0x82,
    CONFIG_GEN_PMCON_1 = 0xa0,
    CONFIG_RCBA = 0xf0,

    PMBASE_MASK = 0xff80,
    ACPI_ENABLE = 1 << 7,
    SCI_SELECT = 7,
    SCI_SELECT_20 = 4, /* 20 to 23, below: 9 to 11 */
    PIRQ_OFF = 0x80,
    SMI_LOCK = 1 << 4,
    RCBA_ENABLE = 1 << 0,
    RCBA_MASK = 0xffffc000,
    BLOCK_SIZE = 128,
    GPE_OFFSET = 0x20,
    SMI_OFFSET = 0x30,
    TCO_OFFSET = 0x60,
};
/* SMI_EN and SMI_STS */
enum {
    SMI_GLOBAL = 1 << 0,
    SMI_APM = 1 << 5,
    SMI_TCO = 1 << 13,
    SMI_ENABLES = 0x0006687d, /* what may be written; EOS, bit 1, is no state */
};
enum { APM_ACPI_ENABLE = 2, APM_ACPI_DISABLE = 3 };
enum { RESET_HARD = 1 << 1, RESET_CPU = 1 << 2, RESET_FULL = 1 << 3 };

static Ich9Lpc *ich9_lpc(Device *device)
{
    return container_of(device, Ich9Lpc, pci.device);
}

/* --- interrupts --- */

static unsigned sci_gsi(const Ich9Lpc *lpc)
{
    unsigned select = lpc->pci.config[CONFIG_ACPI_CNTL] & SCI_SELECT;

    return select >= SCI_SELECT_20 ? 20 + (select - SCI_SELECT_20) : MIN(9 + select, 11);
}

static uint8_t pirqs(const Ich9Lpc *lpc)
{
    uint8_t high = 0;

    for (uint32_t left = lpc->wires; left; left &= left - 1) {
        high |= (uint8_t)(1u << ich9_pirq_of_wire(lpc, (unsigned)__builtin_ctz(left)));
    }
    return high;
}

/* PIRQs are low-active wires; their levels here are "asserted". */
void ich9_update_lines(Ich9Lpc *lpc)
{
    uint8_t asserted = pirqs(lpc);
    uint32_t high = lpc->pm.sci ? 1u << sci_gsi(lpc) : 0;

    for (unsigned i = 0; i < ICH9_PIRQS; i++) {
        uint8_t route = lpc->pci.config[i < 4 ? CONFIG_PIRQ_A + i : CONFIG_PIRQ_E + i - 4];

        if (asserted >> i & 1) {
            high |= 1u << (ICH9_FIRST_GSI + i);
            high |= route & PIRQ_OFF ? 0 : 1u << (route & 0xf);
        }
    }
    for (unsigned irq = 0; irq < ISA_IRQ_COUNT; irq++) {
        bool was = lpc->isa.drivers[irq] >> (lpc->driver[irq] >> 8) & 1;

        if (was != (high >> irq & 1)) {
            isa_bus_set_irq(&lpc->isa, lpc->driver[irq], high >> irq & 1);
        }
    }
    for (unsigned i = 0; i < ICH9_PIRQS; i++) {
        irq_set(&lpc->gsi[i], high >> (ICH9_FIRST_GSI + i) & 1);
    }
}

static void sci_changed(Device *device)
{
    ich9_update_lines(ich9_lpc(device));
}

static void ich9_lpc_input(void *opaque, int number, int level)
{
    Ich9Lpc *lpc = ich9_lpc(opaque);
    uint32_t bit;

    if (number < ICH9_WIRES) {
        bit = 1u << number;
        lpc->wires = level ? lpc->wires | bit : lpc->wires & ~bit;
        ich9_update_lines(lpc);
    } else if (level) {
        acpi_pm_input(&lpc->pm, number);
    }
}

/* --- SMI --- */

static void raise_smi(Ich9Lpc *lpc, uint32_t cause)
{
    lpc->smi_status |= cause;
    if (lpc->smm && lpc->smi_enable & SMI_GLOBAL && lpc->smi_enable & cause) {
        irq_pulse(lpc->smi_features & ICH9_SMI_BROADCAST ? &lpc->smi_all : &lpc->smi_first);
    }
}

static void tco_timeout(Device *device)
{
    raise_smi(ich9_lpc(device), SMI_TCO);
}

static void write_smi_enable(Device *device, unsigned index, uint64_t value)
{
    Ich9Lpc *lpc = ich9_lpc(device);
    uint32_t locked = lpc->pci.config[CONFIG_GEN_PMCON_1] & SMI_LOCK ? SMI_GLOBAL : 0;

    lpc->smi_enable = ((uint32_t)value & SMI_ENABLES & ~locked) | (lpc->smi_enable & locked);
}

static void write_apm_control(Device *device, unsigned index, uint64_t value)
{
    Ich9Lpc *lpc = ich9_lpc(device);

    lpc->apm_control = (uint8_t)value;
    if (value == APM_ACPI_ENABLE || value == APM_ACPI_DISABLE) {
        acpi_pm_hand_over(&lpc->pm, value == APM_ACPI_ENABLE);
    }
    if (lpc->smi_enable & SMI_APM) { /* else not even its status is set (13.8.3.13) */
        raise_smi(lpc, SMI_APM);
    }
}

/* --- SMI's features, by fw_cfg --- */

#define FEATURES_OK "etc/smi/features-ok"

/* When firmware looks whether it has got what it asked for; what it has got stays until a reset. */
static void agree(void *opaque)
{
    Ich9Lpc *lpc = opaque;
    uint64_t wanted = load_le64(lpc->smi_requested);
    g_autoptr(GBytes) answer = NULL;

    if (!lpc->smi_agreed && !(wanted & ~(uint64_t)ICH9_SMI_BROADCAST)) {
        lpc->smi_features = wanted;
        lpc->smi_agreed = true;
    }
    answer = g_bytes_new(lpc->smi_agreed ? "\1" : "\0", 1);
    fw_cfg_add_file(lpc->fw_cfg, FEATURES_OK, answer, NULL);
}

static void asked(void *opaque)
{
}

bool ich9_lpc_offer(Device *device, Device *fw_cfg, GError **error)
{
    Ich9Lpc *lpc = ich9_lpc(device);
    uint8_t supported[8], no = 0;
    g_autoptr(GBytes) features = NULL, answer = NULL;

    if (!lpc->smm || !fw_cfg_has_dma(fw_cfg)) {
        return true;
    }
    lpc->fw_cfg = fw_cfg;
    store_le64(supported, ICH9_SMI_BROADCAST);
    features = g_bytes_new(supported, sizeof supported);
    answer = g_bytes_new(&no, 1);
    if (!fw_cfg_add_file(fw_cfg, "etc/smi/supported-features", features, error) ||
        !fw_cfg_add_writable_file(fw_cfg, "etc/smi/requested-features", lpc->smi_requested,
                                  sizeof lpc->smi_requested, asked, lpc, error) ||
        !fw_cfg_add_file(fw_cfg, FEATURES_OK, answer, error)) {
        return false;
    }
    fw_cfg_watch_file(fw_cfg, FEATURES_OK, agree, lpc);
    return true;
}

/* --- registers --- */

static void write_gpe_status(Device *device, unsigned index, uint64_t value)
{
    acpi_pm_write_gpe_status(&ich9_lpc(device)->pm, (uint16_t)value);
}

static void write_gpe_enable(Device *device, unsigned index, uint64_t value)
{
    acpi_pm_write_gpe_enable(&ich9_lpc(device)->pm, (uint16_t)value);
}

static void write_reset_control(Device *device, unsigned index, uint64_t value)
{
    ich9_lpc(device)->reset_control = value & (RESET_HARD | RESET_FULL);
    if (value & RESET_CPU) {
        machine_request_reset(device->machine, "guest");
    }
}

/* clang-format off */
static const Register reset_registers[] = {
    { "RST_CNT", 0, 1, REGISTER_RW, .field = offsetof(Ich9Lpc, reset_control), .write = write_reset_control,
      .summary = "bit 2: reset" },
    { 0 },
};

static const Register apm_registers[] = {
    { "APM_CNT", 0, 1, REGISTER_RW, .field = offsetof(Ich9Lpc, apm_control), .write = write_apm_control },
    { "APM_STS", 1, 1, REGISTER_RW, .field = offsetof(Ich9Lpc, apm_status) },
    { 0 },
};

/* Of 64 events each, the first 16 are there. */
static const Register gpe_registers[] = {
    { "GPE0_STS", 0, 2, REGISTER_RW, .field = offsetof(Ich9Lpc, pm.gpe_status), .write = write_gpe_status },
    { "GPE0_STS_HIGH", 2, 2, REGISTER_RW | REGISTER_QUIET, .count = 3, .field = REGISTER_NO_FIELD },
    { "GPE0_EN", 8, 2, REGISTER_RW, .field = offsetof(Ich9Lpc, pm.gpe_enable), .write = write_gpe_enable },
    { "GPE0_EN_HIGH", 10, 2, REGISTER_RW | REGISTER_QUIET, .count = 3, .field = REGISTER_NO_FIELD },
    { 0 },
};

static const Register smi_registers[] = {
    { "SMI_EN", 0, 4, REGISTER_RW, .field = offsetof(Ich9Lpc, smi_enable), .write = write_smi_enable },
    { "SMI_STS", 4, 4, REGISTER_W1C, .field = offsetof(Ich9Lpc, smi_status) },
    { 0 },
};

/* Of configuration space, beyond the header. */
static const PciConfigByte config_defaults[] = {
    { 0x40, 0x01, 0x80 }, { 0x41, 0x00, 0xff },                      /* PMBASE; bit 0: I/O space */
    { 0x44, 0x00, 0x87 },                                            /* ACPI_CNTL */
    { 0x48, 0x01, 0xc0 }, { 0x49, 0x00, 0xff }, { 0x4c, 0x00, 0x11 }, /* GPIOBASE, GC */
    { 0x60, 0x80, 0x8f }, { 0x61, 0x80, 0x8f }, { 0x62, 0x80, 0x8f }, { 0x63, 0x80, 0x8f },
    { 0x64, 0x10, 0xff },                                            /* SIRQ_CNTL */
    { 0x68, 0x80, 0x8f }, { 0x69, 0x80, 0x8f }, { 0x6a, 0x80, 0x8f }, { 0x6b, 0x80, 0x8f },
    { 0x80, 0x00, 0x77 }, { 0x81, 0x00, 0x13 }, { 0x82, 0x00, 0xff }, { 0x83, 0x00, 0x3f }, /* LPC_I/O_DEC, LPC_EN */
    { 0x84, 0x00, 0xfd }, { 0x85, 0x00, 0xff }, { 0x86, 0x00, 0xfc },
    { 0x88, 0x00, 0xfd }, { 0x89, 0x00, 0xff }, { 0x8a, 0x00, 0xfc },
    { 0x8c, 0x00, 0xfd }, { 0x8d, 0x00, 0xff }, { 0x8e, 0x00, 0xfc },
    { 0x90, 0x00, 0xfd }, { 0x91, 0x00, 0xff }, { 0x92, 0x00, 0xfc },
    { 0xa0, 0x00, 0x7f }, { 0xa1, 0x00, 0x06 }, { 0xa4, 0x00, 0xff }, /* GEN_PMCON_1 and 3 */
    { 0xf0, 0x00, 0x01 }, { 0xf1, 0x00, 0xc0 }, { 0xf2, 0x00, 0xff }, { 0xf3, 0x00, 0xff }, /* RCBA */
};
/* clang-format on */

static const RegisterBank gpe_bank = {
    .name = "acpi-gpe0", .size = 16, .registers = gpe_registers, .ports = true
};
static const RegisterBank smi_bank = {
    .name = "acpi-smi", .size = 8, .registers = smi_registers, .ports = true
};

/* --- PCI --- */

static void update_places(Ich9Lpc *lpc)
{
    const uint8_t *config = lpc->pci.config;
    uint16_t pmbase = load_le16(config + CONFIG_PMBASE) & PMBASE_MASK;
    uint32_t rcba = load_le32(config + CONFIG_RCBA), rcba_base = rcba & RCBA_MASK;

    memory_region_place(lpc->pci.bus->io, pmbase, &lpc->block, 1,
                        pmbase && config[CONFIG_ACPI_CNTL] & ACPI_ENABLE);
    memory_region_place(lpc->pci.bus->memory, rcba_base, &lpc->rcba, 1,
                        rcba_base && rcba & RCBA_ENABLE);
}

/* A lock of SMI's enable holds until a reset. */
static void update_lock(Ich9Lpc *lpc)
{
    if (lpc->pci.config[CONFIG_GEN_PMCON_1] & SMI_LOCK) {
        lpc->pci.writable[CONFIG_GEN_PMCON_1] &= (uint8_t)~SMI_LOCK;
    } else {
        lpc->pci.writable[CONFIG_GEN_PMCON_1] |= SMI_LOCK;
    }
}

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    Ich9Lpc *lpc = container_of(pci, Ich9Lpc, pci);

    update_places(lpc);
    update_lock(lpc);
    ich9_update_lines(lpc);
}

static const PciDeviceOps ich9_lpc_ops = { .config_written = config_written };

static void init_block(Ich9Lpc *lpc)
{
    Device *device = &lpc->pci.device;

    memory_region_init_container(&lpc->block, device->machine, "ich9-pm", BLOCK_SIZE);
    acpi_pm_init(&lpc->pm, device, &lpc->block, sci_changed);
    register_bank_init(device, &lpc->gpe, &gpe_bank);
    register_bank_init(device, &lpc->smi, &smi_bank);
    ich9_tco_init(&lpc->tco, device, tco_timeout);
    memory_region_add(&lpc->block, GPE_OFFSET, &lpc->gpe, 1);
    memory_region_add(&lpc->block, SMI_OFFSET, &lpc->smi, 1);
    memory_region_add(&lpc->block, TCO_OFFSET, &lpc->tco.ports, 1);
}

static bool ich9_lpc_realize(Device *device, GError **error)
{
    Ich9Lpc *lpc = ich9_lpc(device);

    pci_set_identity(&lpc->pci, 0x8086, 0x2918, 0x060100, 2);
    lpc->pci.config[PCI_HEADER_TYPE] |= PCI_HEADER_MULTIFUNCTION;
    pci_set_config(&lpc->pci, config_defaults, ARRAY_SIZE(config_defaults));
    lpc->pci.ops = &ich9_lpc_ops;
    init_block(lpc);
    ich9_chipset_init(lpc);
    device_add_io(device, &lpc->block);
    device_add_mmio(device, &lpc->rcba);
    isa_bus_init(&lpc->isa, device, "isa.0", device->machine->system_io, lpc->pci.bus->memory);
    for (unsigned irq = 0; irq < ISA_IRQ_COUNT; irq++) {
        device_add_irq(device, &lpc->isa.lines[irq]);
        lpc->driver[irq] = isa_bus_new_driver(&lpc->isa, irq);
    }
    for (unsigned i = 0; i < ICH9_PIRQS; i++) {
        device_add_irq(device, &lpc->gsi[i]);
    }
    device_add_irq(device, &lpc->smi_first);
    device_add_irq(device, &lpc->smi_all);
    return true;
}

static void ich9_lpc_unrealize(Device *device)
{
    Ich9Lpc *lpc = ich9_lpc(device);

    ich9_tco_remove(&lpc->tco);
    acpi_pm_remove(&lpc->pm);
    memory_region_remove(&lpc->gpe);
    memory_region_remove(&lpc->smi);
    memory_region_remove(&lpc->tco.ports);
}

/* LPC_EN as firmware would have it: which of the classic ports are there. */
static void set_ports(Ich9Lpc *lpc)
{
    static const struct {
        uint16_t port;
        uint8_t enable;
    } ports[] = { { 0x3f8, 1 << 0 }, { 0x2f8, 1 << 1 }, { 0x378, 1 << 2 }, { 0x3f2, 1 << 3 } };
    AddressSpace *io = &lpc->pci.device.machine->io_space;

    for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
        lpc->pci.config[CONFIG_LPC_EN] |=
            address_space_find(io, ports[i].port) ? ports[i].enable : 0;
    }
}

/* Places and routes outlive a sleep, after which firmware does not set them again. */
static void reset_config(Ich9Lpc *lpc)
{
    uint8_t before[PCI_CONFIG_SIZE], *config = lpc->pci.config;

    memcpy(before, config, sizeof before);
    pci_reset(&lpc->pci);
    if (machine_wake_reason(lpc->pci.device.machine)) {
        memcpy(config + CONFIG_PMBASE, before + CONFIG_PMBASE, CONFIG_LPC_EN - CONFIG_PMBASE);
        memcpy(config + CONFIG_RCBA, before + CONFIG_RCBA, 4);
    }
}

static void ich9_lpc_reset(Device *device)
{
    Ich9Lpc *lpc = ich9_lpc(device);

    reset_config(lpc);
    update_lock(lpc);
    ich9_chipset_reset(lpc);
    register_bank_reset(device, &gpe_bank);
    register_bank_reset(device, &smi_bank);
    /* Without SMM it is as if firmware had set its handler up already: it does not wait for an SMI that never comes. */
    lpc->smi_enable = lpc->smm ? 0 : SMI_GLOBAL | SMI_APM;
    lpc->smi_status = 0;
    lpc->smi_agreed = false;
    lpc->smi_features = 0;
    memset(lpc->smi_requested, 0, sizeof lpc->smi_requested);
    lpc->wires = 0;
    ich9_tco_reset(&lpc->tco);
    acpi_pm_reset(&lpc->pm);
    set_ports(lpc);
    update_places(lpc);
    ich9_update_lines(lpc);
    isa_bus_reset(&lpc->isa);
}

static void ich9_lpc_state_loaded(Device *device)
{
    Ich9Lpc *lpc = ich9_lpc(device);

    pci_state_loaded(&lpc->pci);
    update_lock(lpc);
    update_places(lpc);
    ich9_tco_state_loaded(&lpc->tco);
    acpi_pm_update(&lpc->pm);
    ich9_update_lines(lpc);
}

/* clang-format off */
static const Property ich9_lpc_properties[] = {
    ACPI_PM_PROPERTIES(Ich9Lpc, pm),
    { "acpi-pci-hotplug-with-bridge-support", PROPERTY_NOT_YET, 0, "hot plug by ACPI: ports have their own" },
    { "noreboot", PROPERTY_BOOL, offsetof(Ich9Lpc, no_reboot_strap), "the watchdog never resets" },
    { "smm-enabled", PROPERTY_BOOL, offsetof(Ich9Lpc, smm), "writes to port 0xb2 may raise SMI", "on" },
    { 0 },
};

static const StateField ich9_lpc_state[] = {
    PCI_STATE(Ich9Lpc, pci),
    ACPI_PM_STATE(Ich9Lpc, pm),
    ICH9_TCO_STATE(Ich9Lpc, tco),
    STATE(Ich9Lpc, wires),
    STATE(Ich9Lpc, routes),
    STATE(Ich9Lpc, hpet_config),
    STATE(Ich9Lpc, io_apic_config),
    STATE(Ich9Lpc, smi_enable),
    STATE(Ich9Lpc, smi_status),
    STATE(Ich9Lpc, apm_control),
    STATE(Ich9Lpc, apm_status),
    STATE(Ich9Lpc, reset_control),
    STATE(Ich9Lpc, smi_requested),
    STATE(Ich9Lpc, smi_features),
    STATE(Ich9Lpc, smi_agreed),
    STATE_DERIVED(Ich9Lpc, block),
    STATE_DERIVED(Ich9Lpc, rcba),
    { 0 },
};
/* clang-format on */

static const DeviceType ich9_lpc_type = {
    .name = "ICH9-LPC",
    .summary = "Intel ICH9 LPC bridge",
    .bus = "pci",
    .category = "bridge",
    .instance_size = sizeof(Ich9Lpc),
    .properties = ich9_lpc_properties,
    .bus_properties = (const Property[]){ PCI_PROPERTIES(Ich9Lpc, pci), { 0 } },
    .state = ich9_lpc_state,
    .banks =
        (const RegisterBank[]){
            { .name = "lpc-reset-control", .size = 1, .registers = reset_registers, .ports = true },
            { .name = "apm-io", .size = 2, .registers = apm_registers, .ports = true },
            { 0 } },
    .board_only = true,
    .input = ich9_lpc_input,
    .realize = ich9_lpc_realize,
    .unrealize = ich9_lpc_unrealize,
    .reset = ich9_lpc_reset,
    .state_loaded = ich9_lpc_state_loaded,
};
DEVICE_TYPE(ich9_lpc_type);
