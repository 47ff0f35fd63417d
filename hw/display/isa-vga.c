/* SPDX-License-Identifier: MIT */
/* isa-vga: the standard VGA on ISA. Its linear modes are where a VESA local bus card would have them. */
#include "base/error.h"
#include "base/file.h"
#include "hw/display/vga.h"
#include "hw/isa/isa.h"
#include "machine/machine.h"

#define LINEAR_FRAMEBUFFER UINT64_C(0xe0000000)

typedef struct {
    Device device;
    Vga vga;
    uint32_t vgamem_mb; /* property */
} IsaVga;

static IsaVga *isa_vga(Device *device)
{
    return container_of(device, IsaVga, device);
}

bool isa_vga_add_bios(Device *device, const char *name, GError **error)
{
    enum { VGA_BIOS_MOST = 16 << 20 };
    Machine *machine = device->machine;
    g_autofree char *path = machine_find_firmware(machine, name, NULL), *bytes = NULL;
    g_autofree char *file = g_strconcat("vgaroms/", name, NULL);
    gsize length;

    if (!path) {
        g_printerr("kaso: warning: %s has no BIOS: '%s' is not installed\n", device->type->name,
                   name);
        return true;
    }
    if (!file_read(path, VGA_BIOS_MOST, &bytes, &length, error)) {
        return false;
    }
    machine_add_firmware_file(machine, file, g_bytes_new_take(g_steal_pointer(&bytes), length));
    return true;
}

static bool isa_vga_realize(Device *device, GError **error)
{
    IsaVga *card = isa_vga(device);
    IsaBus *bus = container_of(device->bus, IsaBus, bus);

    card->vga.has_dispi = true;
    if (!vga_init(&card->vga, device, NULL, card->vgamem_mb, error)) {
        return false;
    }
    if (!isa_vga_add_bios(device, "vgabios.bin", error)) {
        vga_destroy(&card->vga);
        return false;
    }
    vga_map(&card->vga, bus->memory, bus->io);
    memory_region_add(device->machine->system_memory, LINEAR_FRAMEBUFFER, &card->vga.vram, 1);
    return true;
}

static void isa_vga_unrealize(Device *device)
{
    IsaVga *card = isa_vga(device);

    memory_region_remove(&card->vga.vram);
    vga_unmap(&card->vga);
    vga_destroy(&card->vga);
}

static void isa_vga_reset(Device *device)
{
    vga_reset(&isa_vga(device)->vga);
}

static void isa_vga_state_loaded(Device *device)
{
    vga_state_loaded(&isa_vga(device)->vga);
}

static const DeviceType isa_vga_type = {
    .name = "isa-vga",
    .summary = "Standard VGA on ISA",
    .bus = "isa",
    .category = "display",
    .instance_size = sizeof(IsaVga),
    .properties =
        (const Property[]){
            { "vgamem_mb", PROPERTY_U32, offsetof(IsaVga, vgamem_mb), "MiB of video memory", "8" },
            { 0 },
        },
    .state = (const StateField[]){ STATE_STRUCT(IsaVga, vga, vga_state), { 0 } },
    .realize = isa_vga_realize,
    .unrealize = isa_vga_unrealize,
    .reset = isa_vga_reset,
    .state_loaded = isa_vga_state_loaded,
};
DEVICE_TYPE(isa_vga_type);
