/* SPDX-License-Identifier: MIT */
/*
 * Bochs' VBE extensions ("DISPI", interface 0xb0c5): linear and banked modes by index and data ports. While they are
 * on, the CRT controller has no say.
 */
#include "hw/display/vga.h"
#include "machine/machine.h"

enum {
    DISPI_ID,
    DISPI_XRES,
    DISPI_YRES,
    DISPI_BPP,
    DISPI_ENABLE,
    DISPI_BANK,
    DISPI_VIRTUAL_WIDTH,
    DISPI_VIRTUAL_HEIGHT,
    DISPI_X_OFFSET,
    DISPI_Y_OFFSET,
    DISPI_MEMORY_64K,

    ENABLE_ON = 1 << 0,
    ENABLE_GET_CAPABILITIES = 1 << 1,
    ENABLE_DAC_8BIT = 1 << 5,
    ENABLE_NO_CLEAR = 1 << 7,

    XRES_MOST = 16000,
    YRES_MOST = 12000,
    BPP_MOST = 32,
    ID_FIRST = 0xb0c0,
    ID_LAST = 0xb0c5,
};

bool vga_dispi_enabled(const Vga *vga)
{
    return vga->has_dispi && vga->dispi[DISPI_ENABLE] & ENABLE_ON;
}

bool vga_dispi_dac_8bit(const Vga *vga)
{
    return vga->has_dispi && vga->dispi[DISPI_ENABLE] & ENABLE_DAC_8BIT;
}

uint32_t vga_dispi_bank(const Vga *vga)
{
    return vga_dispi_enabled(vga) ? (uint32_t)vga->dispi[DISPI_BANK] << 16 : 0;
}

static bool bpp_is_known(unsigned bpp)
{
    return bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32;
}

/* Bytes of a line of so many pixels. Four bits: eight pixels take a byte of each plane. */
static uint32_t line_bytes(unsigned bpp, uint32_t pixels)
{
    return bpp == 4 ? pixels / 8 * 4 : pixels * ((bpp + 7) / 8);
}

void vga_dispi_confine(Vga *vga)
{
    uint16_t *dispi = vga->dispi;
    unsigned bpp = bpp_is_known(dispi[DISPI_BPP]) ? dispi[DISPI_BPP] : 8;
    uint32_t lines, pitch, left;

    dispi[DISPI_BPP] = (uint16_t)bpp;
    dispi[DISPI_XRES] = (uint16_t)CLAMP(dispi[DISPI_XRES] & ~7, 8, XRES_MOST);
    dispi[DISPI_VIRTUAL_WIDTH] =
        (uint16_t)CLAMP(dispi[DISPI_VIRTUAL_WIDTH] & ~7, dispi[DISPI_XRES], XRES_MOST);
    pitch = line_bytes(bpp, dispi[DISPI_VIRTUAL_WIDTH]);
    lines = MIN(vga->vram_bytes / pitch, UINT16_MAX);
    dispi[DISPI_YRES] = (uint16_t)CLAMP(dispi[DISPI_YRES], 1, MIN(lines, YRES_MOST));
    dispi[DISPI_VIRTUAL_HEIGHT] = (uint16_t)lines;
    dispi[DISPI_X_OFFSET] =
        MIN(dispi[DISPI_X_OFFSET], dispi[DISPI_VIRTUAL_WIDTH] - dispi[DISPI_XRES]);
    left = lines - dispi[DISPI_YRES];
    dispi[DISPI_Y_OFFSET] = (uint16_t)MIN(dispi[DISPI_Y_OFFSET], left);
}

static void write_enable(Vga *vga, uint16_t value)
{
    uint16_t *dispi = vga->dispi;
    bool was = vga_dispi_enabled(vga);

    dispi[DISPI_ENABLE] = value;
    if (value & ENABLE_ON && !was) {
        dispi[DISPI_BANK] = 0;
        dispi[DISPI_VIRTUAL_WIDTH] = dispi[DISPI_XRES];
        dispi[DISPI_X_OFFSET] = dispi[DISPI_Y_OFFSET] = 0;
        vga_dispi_confine(vga);
        if (!(value & ENABLE_NO_CLEAR)) {
            uint32_t bytes = line_bytes(dispi[DISPI_BPP], dispi[DISPI_XRES]) * dispi[DISPI_YRES];

            memset(vga->vram.host, 0, bytes);
            vga_vram_written(vga, 0, bytes);
        }
        /* The window shows the whole memory as the mode needs it: planes, or bytes in a row. */
        vga->graphics[VGA_GRAPHICS_MISC] = 0x05;
        vga->sequencer[VGA_SEQUENCER_MAP_MASK] = 0xf;
        vga->sequencer[VGA_SEQUENCER_MEMORY_MODE] = dispi[DISPI_BPP] == 4 ? 0x06 : 0x0e;
    } else if (!(value & ENABLE_ON)) {
        dispi[DISPI_BANK] = 0;
    }
}

uint16_t vga_dispi_read(const Vga *vga, unsigned index)
{
    bool capabilities = vga->dispi[DISPI_ENABLE] & ENABLE_GET_CAPABILITIES;

    if (index == DISPI_MEMORY_64K) {
        return (uint16_t)(vga->vram_bytes >> 16);
    }
    if (capabilities && index == DISPI_XRES) {
        return XRES_MOST;
    }
    if (capabilities && index == DISPI_YRES) {
        return YRES_MOST;
    }
    if (capabilities && index == DISPI_BPP) {
        return BPP_MOST;
    }
    return index < VGA_DISPI_COUNT ? vga->dispi[index] : 0;
}

void vga_dispi_write(Vga *vga, unsigned index, uint16_t value)
{
    trace(vga->device->type->name, "dispi %u <- %#x", index, value);
    switch (index) {
    case DISPI_ID:
        if (value >= ID_FIRST && value <= ID_LAST) {
            vga->dispi[DISPI_ID] = value;
        }
        break;
    case DISPI_ENABLE:
        write_enable(vga, value);
        break;
    case DISPI_BANK:
        vga->dispi[DISPI_BANK] = value & ((vga->vram_bytes >> 16) - 1);
        break;
    case DISPI_XRES:
    case DISPI_YRES:
    case DISPI_BPP:
    case DISPI_VIRTUAL_WIDTH:
    case DISPI_X_OFFSET:
    case DISPI_Y_OFFSET:
        vga->dispi[index] = value;
        if (vga_dispi_enabled(vga)) {
            vga_dispi_confine(vga);
        }
        break;
    default:
        log_guest_error(vga->device->type->name, "write to dispi register %u", index);
    }
}

void vga_dispi_mode(const Vga *vga, VgaMode *mode)
{
    const uint16_t *dispi = vga->dispi;
    unsigned bpp = dispi[DISPI_BPP];

    mode->kind = bpp == 4 ? VGA_PLANAR : VGA_LINEAR;
    mode->bits = bpp;
    mode->width = dispi[DISPI_XRES];
    mode->height = dispi[DISPI_YRES];
    mode->pitch = line_bytes(bpp, dispi[DISPI_VIRTUAL_WIDTH]);
    mode->start = dispi[DISPI_Y_OFFSET] * mode->pitch + line_bytes(bpp, dispi[DISPI_X_OFFSET]);
    mode->wrap = vga->vram_bytes - 1;
    mode->scan_lines = mode->repeat = mode->dots = 1;
    mode->line_compare = UINT32_MAX;
    mode->plane_mask = 0xf;
    mode->big_endian = vga->big_endian && bpp > 8;
}

static MemoryResult dispi_port_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                    MemoryAttributes attributes)
{
    Vga *vga = opaque;

    *value = offset ? vga_dispi_read(vga, vga->dispi_index) : vga->dispi_index;
    return MEMORY_OK;
}

static MemoryResult dispi_port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                     MemoryAttributes attributes)
{
    Vga *vga = opaque;

    if (offset) {
        vga_dispi_write(vga, vga->dispi_index, (uint16_t)value);
    } else {
        vga->dispi_index = (uint16_t)value;
    }
    return MEMORY_OK;
}

/* Index at 0x1ce, data at 0x1cf and, for those who want it aligned, at 0x1d0; all words. */
const MemoryOps vga_dispi_port_ops = {
    .read = dispi_port_read,
    .write = dispi_port_write,
    .size_min = 1,
    .size_max = 2,
    .unaligned = true,
    .whole = true,
};
