/* SPDX-License-Identifier: MIT */
/*
 * cirrus-vga: a Cirrus Logic CL-GD5446 on PCI (Technical Reference Manual). BAR 0 has video memory and, 16 MiB
 * above it, the aperture that feeds the blitter; BAR 1 has VGA's and the blitter's registers.
 */
#include "base/error.h"
#include "hw/display/cirrus.h"
#include "machine/machine.h"

enum {
    VENDOR = 0x1013,
    DEVICE = 0x00b8,
    CLASS_VGA = 0x030000,

    BAR_SIZE = 32 << 20,
    BLIT_APERTURE = 16 << 20,
    MMIO_SIZE = 0x1000,
    MMIO_BLIT = 0x100, /* below: ports from 0x3c0 on */
    MMIO_BLIT_END = 0x200,
    PORTS_END = 0x20,
};

static CirrusVga *cirrus_vga(Device *device)
{
    return container_of(pci_device(device), CirrusVga, pci);
}

void cirrus_linear_update(CirrusVga *cirrus)
{
    bool direct = !cirrus_linear_is_indirect(cirrus);

    if (cirrus->linear.enabled != direct) {
        memory_region_set_enabled(&cirrus->linear, direct);
    }
}

static MemoryResult linear_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                MemoryAttributes attributes)
{
    *value = cirrus_linear_read(opaque, (uint32_t)offset);
    return MEMORY_OK;
}

static MemoryResult linear_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                 MemoryAttributes attributes)
{
    cirrus_linear_write(opaque, (uint32_t)offset, (uint8_t)value);
    return MEMORY_OK;
}

static const MemoryOps linear_ops = {
    .read = linear_read,
    .write = linear_write,
    .size_min = 1,
    .size_max = 1,
};

static MemoryResult aperture_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                  MemoryAttributes attributes)
{
    *value = 0xff;
    return MEMORY_OK;
}

static MemoryResult aperture_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                   MemoryAttributes attributes)
{
    CirrusVga *cirrus = opaque;

    if (cirrus->blit_waits) {
        cirrus_blit_feed(cirrus, (uint8_t)value);
    }
    return MEMORY_OK;
}

static const MemoryOps aperture_ops = {
    .read = aperture_read,
    .write = aperture_write,
    .size_min = 1,
    .size_max = 1,
};

static MemoryResult mmio_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                              MemoryAttributes attributes)
{
    CirrusVga *cirrus = opaque;

    *value = 0xff;
    if (offset < PORTS_END) {
        *value = vga_port_read(&cirrus->vga, 0x3c0 + (unsigned)offset);
    } else if (offset >= MMIO_BLIT && offset < MMIO_BLIT_END) {
        *value = cirrus_blit_register_read(cirrus, (unsigned)offset - MMIO_BLIT);
    }
    return MEMORY_OK;
}

static MemoryResult mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    CirrusVga *cirrus = opaque;

    if (offset < PORTS_END) {
        vga_port_write(&cirrus->vga, 0x3c0 + (unsigned)offset, (uint8_t)value);
    } else if (offset >= MMIO_BLIT && offset < MMIO_BLIT_END) {
        cirrus_blit_register_write(cirrus, (unsigned)offset - MMIO_BLIT, (uint8_t)value);
    }
    return MEMORY_OK;
}

static const MemoryOps mmio_ops = {
    .read = mmio_read,
    .write = mmio_write,
    .size_min = 1,
    .size_max = 1,
};

static void make_regions(CirrusVga *cirrus)
{
    Machine *machine = cirrus->pci.device.machine;

    memory_region_init_container(&cirrus->bar, machine, "cirrus-pci-bar0", BAR_SIZE);
    memory_region_init_alias(&cirrus->linear, machine, "cirrus-linear", &cirrus->vga.vram, 0,
                             cirrus->vga.vram_bytes);
    memory_region_init_io(&cirrus->linear_io, machine, "cirrus-linear-io", cirrus->vga.vram_bytes,
                          &linear_ops, cirrus);
    memory_region_init_io(&cirrus->blit_aperture, machine, "cirrus-bitblt-mmio",
                          cirrus->vga.vram_bytes, &aperture_ops, cirrus);
    memory_region_init_io(&cirrus->mmio, machine, "cirrus-mmio", MMIO_SIZE, &mmio_ops, cirrus);
    memory_region_add(&cirrus->bar, 0, &cirrus->linear, 1);
    memory_region_add(&cirrus->bar, 0, &cirrus->linear_io, 0);
    memory_region_add(&cirrus->bar, BLIT_APERTURE, &cirrus->blit_aperture, 0);
}

static bool cirrus_vga_realize(Device *device, GError **error)
{
    CirrusVga *cirrus = cirrus_vga(device);
    PciDevice *pci = &cirrus->pci;

    if (cirrus->vgamem_mb != 4 && cirrus->vgamem_mb != 8 && cirrus->vgamem_mb != 16) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "vgamem_mb=%u: a cirrus-vga can have 4, 8 or 16 MiB", cirrus->vgamem_mb);
    }
    pci_set_identity(pci, VENDOR, DEVICE, CLASS_VGA, 0);
    if (!pci_add_rom(pci, "vgabios-cirrus.bin", error) ||
        !vga_init(&cirrus->vga, device, &cirrus_vga_ops, cirrus->vgamem_mb, error)) {
        return false;
    }
    cirrus->vga.sequencer_last = VGA_SEQUENCER_COUNT - 1;
    cirrus->vga.graphics_last = 0x39;
    cirrus->vga.crtc_last = 0x1f;
    make_regions(cirrus);
    pci_add_bar(pci, 0, PCI_BAR_MEMORY32, true, &cirrus->bar);
    pci_add_bar(pci, 1, PCI_BAR_MEMORY32, false, &cirrus->mmio);
    vga_map(&cirrus->vga, pci->bus->memory, pci->bus->io);
    return true;
}

static void cirrus_vga_unrealize(Device *device)
{
    CirrusVga *cirrus = cirrus_vga(device);

    vga_unmap(&cirrus->vga);
    vga_destroy(&cirrus->vga);
}

static void cirrus_vga_reset(Device *device)
{
    CirrusVga *cirrus = cirrus_vga(device);

    pci_reset(&cirrus->pci);
    vga_reset(&cirrus->vga);
    cirrus_registers_reset(cirrus);
}

static void cirrus_vga_state_loaded(Device *device)
{
    CirrusVga *cirrus = cirrus_vga(device);

    pci_state_loaded(&cirrus->pci);
    vga_state_loaded(&cirrus->vga);
    cirrus_linear_update(cirrus);
}

static const DeviceType cirrus_vga_type = {
    .name = "cirrus-vga",
    .summary = "Cirrus Logic GD5446 graphics on PCI",
    .bus = "pci",
    .fixed = true,
    .category = "display",
    .instance_size = sizeof(CirrusVga),
    .properties =
        (const Property[]){
            { "vgamem_mb", PROPERTY_U32, offsetof(CirrusVga, vgamem_mb),
              "MiB of video memory: 4, 8 or 16", "4" },
            { "blitter", PROPERTY_BOOL, offsetof(CirrusVga, has_blitter),
              "transfers are carried out", "on" },
            { 0 },
        },
    .bus_properties = (const Property[]){ PCI_PROPERTIES(CirrusVga, pci), { 0 } },
    .state =
        (const StateField[]){
            PCI_STATE(CirrusVga, pci),
            CIRRUS_STATE,
            { 0 },
        },
    .realize = cirrus_vga_realize,
    .unrealize = cirrus_vga_unrealize,
    .reset = cirrus_vga_reset,
    .state_loaded = cirrus_vga_state_loaded,
};
DEVICE_TYPE(cirrus_vga_type);
