/* SPDX-License-Identifier: MIT */
/*
 * virtio-vga: a virtio GPU that is a VGA until its driver takes over, for firmware and boot loaders. BAR 0 is the VGA's memory, BAR 2
 * has the VGA's registers at 0 and virtio's at 0x4000, BAR 4 the table of MSI-X.
 */
#include "hw/display/vga.h"
#include "hw/display/virtio-gpu.h"
#include "machine/machine.h"

enum { BAR_VRAM = 0, BAR_REGISTERS = 2, BAR_MSIX = 4, BAR_SIZE = 0x8000, VIRTIO_OFFSET = 0x4000 };

typedef struct {
    VirtioGpu gpu; /* first */
    Vga vga;
    VgaMmio mmio;
    MemoryRegion bar;
    uint32_t vgamem_mb;
} VirtioVga;

static VirtioVga *virtio_vga(Device *device)
{
    return container_of(virtio_gpu(virtio_device(device)), VirtioVga, gpu);
}

static VirtioVga *of_vga(Vga *vga)
{
    return container_of(vga, VirtioVga, vga);
}

/* The driver's image, once it has shown one. */
static bool update(Vga *vga, bool whole)
{
    VirtioVga *card = of_vga(vga);

    if (!virtio_running(&card->gpu.virtio)) {
        return false;
    }
    virtio_gpu_update(&card->gpu.scanouts[0], whole);
    return true;
}

static void wish(Vga *vga, const DisplayInfo *info)
{
    virtio_gpu_wish(&of_vga(vga)->gpu.scanouts[0], info);
}

static const VgaOps vga_ops = { .update = update, .wish = wish };

static bool virtio_vga_realize(Device *device, GError **error)
{
    VirtioVga *card = virtio_vga(device);
    VirtioPci *proxy = &card->gpu.virtio.proxy;
    PciDevice *pci = &card->gpu.virtio.pci;

    card->vga.has_dispi = true;
    card->mmio.has_edid = card->gpu.edid;
    card->mmio.has_extended = true;
    card->mmio.xres = CLAMP(card->gpu.xres, 64, 4095);
    card->mmio.yres = CLAMP(card->gpu.yres, 64, 4095);
    if (!vga_mmio_check(&card->mmio, error) ||
        !vga_init(&card->vga, device, &vga_ops, card->vgamem_mb, error)) {
        return false;
    }
    vga_mmio_init(&card->mmio, &card->vga);
    memory_region_init_container(&card->bar, device->machine, "virtio-vga", BAR_SIZE);
    memory_region_add(&card->bar, 0, &card->mmio.region, 0);
    pci_add_bar(pci, BAR_VRAM, PCI_BAR_MEMORY32, true, &card->vga.vram);
    pci_add_bar(pci, BAR_REGISTERS, PCI_BAR_MEMORY64, true, &card->bar);
    proxy->container = &card->bar;
    proxy->container_offset = VIRTIO_OFFSET;
    proxy->modern_bar = BAR_REGISTERS;
    proxy->msix_bar = BAR_MSIX;
    card->gpu.primary = vga_screen_display(card->vga.screen);
    if (!virtio_pci_non_transitional_realize(device, error)) {
        vga_destroy(&card->vga);
        return false;
    }
    vga_map(&card->vga, pci->bus->memory, pci->bus->io);
    return true;
}

static void virtio_vga_unrealize(Device *device)
{
    VirtioVga *card = virtio_vga(device);

    vga_unmap(&card->vga);
    virtio_pci_unrealize(device);
    vga_destroy(&card->vga);
}

static void virtio_vga_reset(Device *device)
{
    virtio_pci_reset(device);
    vga_reset(&virtio_vga(device)->vga);
}

static void virtio_vga_state_loaded(Device *device)
{
    vga_state_loaded(&virtio_vga(device)->vga);
    virtio_pci_state_loaded(device);
}

static const VirtioType virtio_vga_virtio =
    VIRTIO_GPU_TYPE("virtio-vga", 0x030000, "vgabios-virtio.bin");

static const DeviceType virtio_vga_type = {
    .name = "virtio-vga",
    .summary = "Virtio graphics that begin as a VGA",
    .bus = "pci",
    .fixed = true,
    .category = "display",
    .instance_size = sizeof(VirtioVga),
    .properties = (const Property[]){ VIRTIO_GPU_PROPERTIES,
                                      { "vgamem_mb", PROPERTY_U32, offsetof(VirtioVga, vgamem_mb),
                                        "MiB of video memory of the VGA", "8" },
                                      { 0 } },
    .bus_properties = virtio_pci_properties,
    .state =
        (const StateField[]){
            VIRTIO_GPU_STATE,
            STATE_STRUCT(VirtioVga, vga, vga_state),
            { 0 },
        },
    .class_data = &virtio_vga_virtio,
    .realize = virtio_vga_realize,
    .unrealize = virtio_vga_unrealize,
    .reset = virtio_vga_reset,
    .state_saving = virtio_state_saving,
    .state_check = virtio_state_check,
    .state_loaded = virtio_vga_state_loaded,
};
DEVICE_TYPE(virtio_vga_type);
