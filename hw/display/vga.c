/* SPDX-License-Identifier: MIT */
/*
 * VGA: the standard graphics card on PCI, as Bochs has it: a VGA with Bochs' VBE extensions, its memory in BAR 0, its
 * registers, and what the monitor says of itself (EDID), in BAR 2. secondary-vga is one without the places that all VGAs share;
 * bochs-display has nothing of VGA beside the linear modes.
 */
#include "base/error.h"
#include "hw/display/vga.h"
#include "hw/pci/pci.h"
#include "machine/machine.h"

enum {
    VENDOR = 0x1234,
    DEVICE = 0x1111,
    CLASS_VGA = 0x030000,
    CLASS_OTHER = 0x038000,
    REVISION_EXTENDED = 2, /* says that the registers for the order of bytes are there */
};

/* What the models differ in. */
typedef struct {
    uint32_t class_code;
    const char *rom;
    bool legacy; /* its window and ports are where every VGA has them */
    bool ports;  /* VGA's registers are there at all */
} VgaModel;

typedef struct {
    PciDevice pci;
    Vga vga;
    VgaMmio mmio;
    /* Properties. */
    uint32_t vgamem_mb;
    uint64_t vgamem;
    bool has_mmio, big_endian_framebuffer;
} VgaPci;

static VgaPci *vga_pci(Device *device)
{
    return container_of(pci_device(device), VgaPci, pci);
}

static bool vga_pci_realize(Device *device, GError **error)
{
    const VgaModel *model = device->type->class_data;
    VgaPci *card = vga_pci(device);
    PciDevice *pci = &card->pci;

    card->vga.has_dispi = true;
    card->vga.linear_only = !model->ports;
    pci_set_identity(pci, VENDOR, DEVICE, model->class_code,
                     card->has_mmio && card->mmio.has_extended ? REVISION_EXTENDED : 0);
    if (!vga_mmio_check(&card->mmio, error) || !pci_add_rom(pci, model->rom, error) ||
        !vga_init(&card->vga, device, NULL, card->vgamem_mb, error)) {
        return false;
    }
    pci_add_bar(pci, 0, PCI_BAR_MEMORY32, true, &card->vga.vram);
    if (card->has_mmio) {
        card->mmio.no_ports = !model->ports;
        vga_mmio_init(&card->mmio, &card->vga);
        pci_add_bar(pci, 2, PCI_BAR_MEMORY32, false, &card->mmio.region);
    }
    if (model->legacy) {
        vga_map(&card->vga, pci->bus->memory, pci->bus->io);
    }
    return true;
}

/* Memory by size, and registers always. */
static bool bochs_display_realize(Device *device, GError **error)
{
    VgaPci *card = vga_pci(device);

    if (card->vgamem < MIB(4) || card->vgamem > MIB(256)) {
        return error_fail(error, KASO_ERROR_INVALID, "vgamem=%" PRIu64 ": 4M to 256M are possible",
                          card->vgamem);
    }
    card->vgamem_mb = (uint32_t)(card->vgamem / MIB(1));
    card->has_mmio = card->mmio.has_extended = true;
    return vga_pci_realize(device, error);
}

static void vga_pci_unrealize(Device *device)
{
    const VgaModel *model = device->type->class_data;

    if (model->legacy) {
        vga_unmap(&vga_pci(device)->vga);
    }
    vga_destroy(&vga_pci(device)->vga);
}

static void vga_pci_reset(Device *device)
{
    VgaPci *card = vga_pci(device);

    pci_reset(&card->pci);
    vga_reset(&card->vga);
    card->vga.big_endian = card->big_endian_framebuffer;
}

static void vga_pci_state_loaded(Device *device)
{
    pci_state_loaded(pci_device(device));
    vga_state_loaded(&vga_pci(device)->vga);
}

/* clang-format off */
static const Property vga_pci_properties[] = {
    { "vgamem_mb", PROPERTY_U32, offsetof(VgaPci, vgamem_mb), "MiB of video memory", "16" },
    { "mmio", PROPERTY_BOOL, offsetof(VgaPci, has_mmio), "registers in BAR 2", "on" },
    { "qemu-extended-regs", PROPERTY_BOOL, offsetof(VgaPci, mmio.has_extended),
      "a register for the order of bytes in pixels", "on" },
    VGA_MMIO_PROPERTIES(VgaPci, mmio),
    { "big-endian-framebuffer", PROPERTY_BOOL, offsetof(VgaPci, big_endian_framebuffer),
      "pixels are big-endian after a reset", "off" },
    { 0 },
};
/* clang-format on */

static const Property bochs_display_properties[] = {
    { "vgamem", PROPERTY_SIZE, offsetof(VgaPci, vgamem), "video memory, a power of two", "16M" },
    VGA_MMIO_PROPERTIES(VgaPci, mmio),
    { 0 },
};

#define VGA_PCI_HOOKS                                                                              \
    .bus = "pci", .fixed = true, .category = "display", .instance_size = sizeof(VgaPci),           \
    .bus_properties = (const Property[]){ PCI_PROPERTIES(VgaPci, pci), { 0 } },                    \
    .state = (const StateField[]){ PCI_STATE(VgaPci, pci),                                         \
                                   STATE_STRUCT(VgaPci, vga, vga_state),                           \
                                   { 0 } },                                                        \
    .unrealize = vga_pci_unrealize, .reset = vga_pci_reset, .state_loaded = vga_pci_state_loaded

static const DeviceType vga_type = {
    .name = "VGA",
    .summary = "Standard VGA on PCI with Bochs' VBE extensions",
    .properties = vga_pci_properties,
    .class_data = &(const VgaModel){ CLASS_VGA, "vgabios-stdvga.bin", true, true },
    .realize = vga_pci_realize,
    VGA_PCI_HOOKS,
};
DEVICE_TYPE(vga_type);

static const DeviceType secondary_vga_type = {
    .name = "secondary-vga",
    .summary = "Standard VGA without what only one card can have",
    .properties = vga_pci_properties,
    .class_data = &(const VgaModel){ CLASS_OTHER, NULL, false, true },
    .realize = vga_pci_realize,
    VGA_PCI_HOOKS,
};
DEVICE_TYPE(secondary_vga_type);

static const DeviceType bochs_display_type = {
    .name = "bochs-display",
    .summary = "Graphics by Bochs' VBE extensions alone",
    .properties = bochs_display_properties,
    .class_data = &(const VgaModel){ CLASS_OTHER, "vgabios-bochs-display.bin", false, false },
    .realize = bochs_display_realize,
    VGA_PCI_HOOKS,
};
DEVICE_TYPE(bochs_display_type);
