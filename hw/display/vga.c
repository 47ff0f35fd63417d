/* SPDX-License-Identifier: MIT */
/*
 * VGA: the standard graphics card on PCI, as Bochs has it: a VGA with Bochs' VBE extensions, its memory in BAR 0, its
 * registers, and what the monitor says of itself (EDID), in BAR 2.
 */
#include "base/error.h"
#include "hw/display/vga.h"
#include "hw/pci/pci.h"
#include "machine/machine.h"

enum {
    VENDOR = 0x1234,
    DEVICE = 0x1111,
    CLASS_VGA = 0x030000,
    SUBSYSTEM_VENDOR = 0x1af4,
    SUBSYSTEM = 0x1100,
    REVISION_EXTENDED = 2, /* says that the registers at MMIO_EXTENDED are there */

    MMIO_SIZE = 0x1000,
    MMIO_EDID_END = 0x180,
    MMIO_PORTS = 0x400, /* 0x3c0 to 0x3df */
    MMIO_PORTS_END = 0x420,
    MMIO_DISPI = 0x500,
    MMIO_DISPI_END = MMIO_DISPI + 2 * VGA_DISPI_COUNT,
    MMIO_EXTENDED =
        0x600, /* a double word with their size, one with the order of bytes in pixels */
    MMIO_EXTENDED_END = 0x608,
    MMIO_ORDER = 0x604,
};
#define ORDER_LITTLE 0x1e1e1e1eu
#define ORDER_BIG    0xbebebebeu

typedef struct {
    PciDevice pci;
    Vga vga;
    MemoryRegion mmio;
    uint8_t edid[128];
    /* Properties. */
    uint32_t vgamem_mb, xres, yres, xmax, ymax, refresh_rate;
    bool has_mmio, has_edid, has_extended, big_endian_framebuffer;
} VgaPci;

static VgaPci *vga_pci(Device *device)
{
    return container_of(pci_device(device), VgaPci, pci);
}

static uint32_t read_byte(VgaPci *card, unsigned offset)
{
    if (offset < MMIO_EDID_END) {
        return card->has_edid && offset < sizeof(card->edid) ? card->edid[offset] : 0;
    }
    if (offset >= MMIO_PORTS && offset < MMIO_PORTS_END) {
        return vga_port_read(&card->vga, offset - MMIO_PORTS + 0x3c0);
    }
    return 0xff;
}

static MemoryResult mmio_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                              MemoryAttributes attributes)
{
    VgaPci *card = opaque;
    unsigned at = (unsigned)offset;

    *value = 0;
    if (at >= MMIO_DISPI && at < MMIO_DISPI_END) {
        *value = vga_dispi_read(&card->vga, (at - MMIO_DISPI) / 2) >> 8 * (at & 1);
    } else if (card->has_extended && at >= MMIO_EXTENDED && at < MMIO_EXTENDED_END) {
        uint32_t order = card->vga.big_endian ? ORDER_BIG : ORDER_LITTLE;
        uint32_t reg = at < MMIO_ORDER ? MMIO_EXTENDED_END - MMIO_EXTENDED : order;

        *value = reg >> 8 * (at & 3);
    } else {
        for (unsigned i = 0; i < size; i++) {
            *value |= (uint64_t)read_byte(card, at + i) << 8 * i;
        }
    }
    return MEMORY_OK;
}

static MemoryResult mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    VgaPci *card = opaque;
    unsigned at = (unsigned)offset;

    if (at >= MMIO_DISPI && at < MMIO_DISPI_END) {
        vga_dispi_write(&card->vga, (at - MMIO_DISPI) / 2, (uint16_t)value);
    } else if (card->has_extended && at == MMIO_ORDER) {
        if (value == ORDER_BIG || value == ORDER_LITTLE) {
            card->vga.big_endian = value == ORDER_BIG;
        }
    } else if (at >= MMIO_PORTS && at < MMIO_PORTS_END) {
        for (unsigned i = 0; i < size; i++) {
            vga_port_write(&card->vga, at + i - MMIO_PORTS + 0x3c0, (uint8_t)(value >> 8 * i));
        }
    }
    return MEMORY_OK;
}

static const MemoryOps mmio_ops = {
    .read = mmio_read,
    .write = mmio_write,
    .size_min = 1,
    .size_max = 4,
};

static bool check_properties(VgaPci *card, GError **error)
{
    card->xres = card->xres ? card->xres : 1280;
    card->yres = card->yres ? card->yres : 800;
    card->xmax = card->xmax ? card->xmax : MAX(card->xres, 1920);
    card->ymax = card->ymax ? card->ymax : MAX(card->yres, 1200);
    card->refresh_rate = card->refresh_rate ? card->refresh_rate : 60000;
    if (card->xres > 4095 || card->yres > 4095 || card->xres < 64 || card->yres < 64 ||
        card->refresh_rate < 10000 || card->refresh_rate > 250000) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "xres=%u, yres=%u, refresh_rate=%u: an EDID has 64 to 4095 pixels and "
                          "10000 to 250000 mHz",
                          card->xres, card->yres, card->refresh_rate);
    }
    return true;
}

static bool vga_pci_realize(Device *device, GError **error)
{
    VgaPci *card = vga_pci(device);
    PciDevice *pci = &card->pci;

    card->vga.has_dispi = true;
    pci_set_identity(pci, VENDOR, DEVICE, CLASS_VGA,
                     card->has_mmio && card->has_extended ? REVISION_EXTENDED : 0);
    if (!check_properties(card, error) || !pci_add_rom(pci, "vgabios-stdvga.bin", error) ||
        !vga_init(&card->vga, device, NULL, card->vgamem_mb, error)) {
        return false;
    }
    edid_make(card->edid, card->xres, card->yres, card->xmax, card->ymax, card->refresh_rate);
    pci_set_subsystem(pci, SUBSYSTEM_VENDOR, SUBSYSTEM);
    pci_add_bar(pci, 0, PCI_BAR_MEMORY32, true, &card->vga.vram);
    if (card->has_mmio) {
        memory_region_init_io(&card->mmio, device->machine, "vga.mmio", MMIO_SIZE, &mmio_ops, card);
        pci_add_bar(pci, 2, PCI_BAR_MEMORY32, false, &card->mmio);
    }
    vga_map(&card->vga, pci->bus->memory, pci->bus->io);
    return true;
}

static void vga_pci_unrealize(Device *device)
{
    vga_unmap(&vga_pci(device)->vga);
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
    { "qemu-extended-regs", PROPERTY_BOOL, offsetof(VgaPci, has_extended),
      "a register for the order of bytes in pixels", "on" },
    { "edid", PROPERTY_BOOL, offsetof(VgaPci, has_edid), "the monitor says what it can", "on" },
    { "xres", PROPERTY_U32, offsetof(VgaPci, xres), "preferred width, 0: 1280", "0" },
    { "yres", PROPERTY_U32, offsetof(VgaPci, yres), "preferred height, 0: 800", "0" },
    { "xmax", PROPERTY_U32, offsetof(VgaPci, xmax), "greatest width of the listed modes", "0" },
    { "ymax", PROPERTY_U32, offsetof(VgaPci, ymax), "greatest height of the listed modes", "0" },
    { "refresh_rate", PROPERTY_U32, offsetof(VgaPci, refresh_rate),
      "frames in 1000 seconds, 0: 60000", "0" },
    { "big-endian-framebuffer", PROPERTY_BOOL, offsetof(VgaPci, big_endian_framebuffer),
      "pixels are big-endian after a reset", "off" },
    { 0 },
};
/* clang-format on */

static const DeviceType vga_type = {
    .name = "VGA",
    .summary = "Standard VGA on PCI with Bochs' VBE extensions",
    .bus = "pci",
    .fixed = true,
    .category = "display",
    .instance_size = sizeof(VgaPci),
    .properties = vga_pci_properties,
    .bus_properties = (const Property[]){ PCI_PROPERTIES(VgaPci, pci), { 0 } },
    .state =
        (const StateField[]){
            PCI_STATE(VgaPci, pci),
            STATE_STRUCT(VgaPci, vga, vga_state),
            { 0 },
        },
    .realize = vga_pci_realize,
    .unrealize = vga_pci_unrealize,
    .reset = vga_pci_reset,
    .state_loaded = vga_pci_state_loaded,
};
DEVICE_TYPE(vga_type);
