/* SPDX-License-Identifier: MIT */
/* isa-cirrus-vga: a Cirrus Logic CL-GD5430 on ISA, without linear apertures: all goes through the window at 0xa0000. */
#include "base/error.h"
#include "hw/display/cirrus.h"
#include "hw/isa/isa.h"
#include "machine/machine.h"

enum { MEMORY_MIB = 2 };

static CirrusVga *isa_cirrus(Device *device)
{
    return container_of(device, CirrusVga, pci.device);
}

static bool isa_cirrus_realize(Device *device, GError **error)
{
    CirrusVga *cirrus = isa_cirrus(device);
    IsaBus *bus = container_of(device->bus, IsaBus, bus);

    if (cirrus->vgamem_mb != 4 && cirrus->vgamem_mb != 8 && cirrus->vgamem_mb != 16) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "vgamem_mb=%u: give 4, 8 or 16; the card has %u MiB with each",
                          cirrus->vgamem_mb, MEMORY_MIB);
    }
    cirrus->on_isa = true;
    if (!vga_init(&cirrus->vga, device, &cirrus_vga_ops, MEMORY_MIB, error)) {
        return false;
    }
    if (!isa_vga_add_bios(device, "vgabios-cirrus.bin", error)) {
        vga_destroy(&cirrus->vga);
        return false;
    }
    cirrus->vga.sequencer_last = VGA_SEQUENCER_COUNT - 1;
    cirrus->vga.graphics_last = 0x39;
    cirrus->vga.crtc_last = 0x1f;
    /* Never mapped: registers switch it all the same. */
    memory_region_init_alias(&cirrus->linear, device->machine, "cirrus-linear", &cirrus->vga.vram,
                             0, cirrus->vga.vram_bytes);
    vga_map(&cirrus->vga, bus->memory, bus->io);
    return true;
}

static void isa_cirrus_unrealize(Device *device)
{
    CirrusVga *cirrus = isa_cirrus(device);

    vga_unmap(&cirrus->vga);
    vga_destroy(&cirrus->vga);
}

static void isa_cirrus_reset(Device *device)
{
    CirrusVga *cirrus = isa_cirrus(device);

    vga_reset(&cirrus->vga);
    cirrus_registers_reset(cirrus);
}

static void isa_cirrus_state_loaded(Device *device)
{
    CirrusVga *cirrus = isa_cirrus(device);

    vga_state_loaded(&cirrus->vga);
    cirrus_linear_update(cirrus);
}

static const DeviceType isa_cirrus_type = {
    .name = "isa-cirrus-vga",
    .summary = "Cirrus Logic GD5430 graphics on ISA",
    .bus = "isa",
    .category = "display",
    .instance_size = sizeof(CirrusVga),
    .properties =
        (const Property[]){
            { "vgamem_mb", PROPERTY_U32, offsetof(CirrusVga, vgamem_mb),
              "4, 8 or 16, of which 2 MiB are there", "4" },
            { "blitter", PROPERTY_BOOL, offsetof(CirrusVga, has_blitter),
              "transfers are carried out", "on" },
            { 0 },
        },
    .state = (const StateField[]){ CIRRUS_STATE, { 0 } },
    .realize = isa_cirrus_realize,
    .unrealize = isa_cirrus_unrealize,
    .reset = isa_cirrus_reset,
    .state_loaded = isa_cirrus_state_loaded,
};
DEVICE_TYPE(isa_cirrus_type);
