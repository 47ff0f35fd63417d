/* SPDX-License-Identifier: MIT */
/* VGA's window at 0xa0000: the graphics controller's way from the bus to the planes and back. */
#include "hw/display/vga.h"
#include "machine/machine.h"

enum {
    MISC_RAM_ENABLE = 1 << 1,
    MEMORY_MODE_NO_ODD_EVEN = 1 << 2,
    MEMORY_MODE_CHAIN_4 = 1 << 3,
    GRAPHICS_SET_RESET = 0,
    GRAPHICS_SET_RESET_ENABLE = 1,
    GRAPHICS_COMPARE = 2,
    GRAPHICS_ROTATE = 3,
    GRAPHICS_READ_MAP = 4,
    GRAPHICS_DONT_CARE = 7,
    GRAPHICS_BIT_MASK = 8,
    MODE_READ_COMPARE = 1 << 3,
    MODE_ODD_EVEN_READ = 1 << 4,
    GRAPHICS_MISC_CHAIN = 1 << 1, /* the lowest bit of an address is not the planes' */
};

/* Bit n to byte n: what all bits of plane n are. */
static uint32_t expand(unsigned planes)
{
    return (planes & 1) * 0xffu | (planes >> 1 & 1) * 0xff00u | (planes >> 2 & 1) * 0xff0000u |
           (planes >> 3 & 1) * 0xff000000u;
}

static uint32_t replicate(uint8_t byte)
{
    return byte * 0x01010101u;
}

void vga_vram_written(Vga *vga, uint32_t offset, uint32_t size)
{
    memory_ram_written(vga->device->machine, vga->vram.ram_offset + offset, size);
}

bool vga_memory_decode(const Vga *vga, uint32_t offset, uint32_t *address)
{
    static const struct {
        uint32_t base, size;
    } maps[] = { { 0, 0x20000 }, { 0, 0x10000 }, { 0x10000, 0x8000 }, { 0x18000, 0x8000 } };
    unsigned map = vga->graphics[VGA_GRAPHICS_MISC] >> 2 & 3;

    *address = offset - maps[map].base;
    return vga->misc & MISC_RAM_ENABLE && offset >= maps[map].base && *address < maps[map].size;
}

/* The unit of four bytes that an access reaches. */
static uint32_t unit_of(const Vga *vga, uint32_t address, unsigned shift)
{
    if (vga->graphics[VGA_GRAPHICS_MISC] & GRAPHICS_MISC_CHAIN) {
        address &= ~1u;
    }
    return ((address + vga_dispi_bank(vga)) >> shift) & (vga->vram_bytes / 4 - 1);
}

uint8_t vga_memory_read(Vga *vga, uint32_t offset)
{
    const uint8_t *graphics = vga->graphics;
    uint8_t mode = graphics[VGA_GRAPHICS_MODE], value;
    unsigned shift = 0, plane = graphics[GRAPHICS_READ_MAP] & 3;
    uint32_t address, differs;

    if (vga->ops && vga->ops->read_memory && vga->ops->read_memory(vga, offset, &value)) {
        return value;
    }
    if (!vga_memory_decode(vga, offset, &address)) {
        return 0xff;
    }
    if (vga->sequencer[VGA_SEQUENCER_MEMORY_MODE] & MEMORY_MODE_CHAIN_4) {
        shift = 2;
        plane = address & 3;
    } else if (mode & MODE_ODD_EVEN_READ) {
        shift = 1;
        plane = (plane & 2) | (address & 1);
    }
    vga->latch = load_le32(vga->vram.host + 4 * unit_of(vga, address, shift));
    if (!(mode & MODE_READ_COMPARE)) {
        return vga->latch >> 8 * plane;
    }
    differs =
        (vga->latch ^ expand(graphics[GRAPHICS_COMPARE])) & expand(graphics[GRAPHICS_DONT_CARE]);
    differs |= differs >> 16;
    return ~(differs | differs >> 8);
}

/* What the write mode makes of the byte for all four planes; *mask: bits that come from it, not from the latch. */
static uint32_t write_data(const Vga *vga, uint8_t value, uint32_t *mask)
{
    const uint8_t *graphics = vga->graphics;
    unsigned rotate = graphics[GRAPHICS_ROTATE] & 7, mode = graphics[VGA_GRAPHICS_MODE] & 3;
    uint8_t rotated = (uint8_t)(value >> rotate | value << (8 - rotate));
    uint32_t set_reset = expand(graphics[GRAPHICS_SET_RESET]), data, enabled;

    *mask = replicate(graphics[GRAPHICS_BIT_MASK]);
    switch (mode) {
    case 0:
        enabled = expand(graphics[GRAPHICS_SET_RESET_ENABLE]);
        data = (replicate(rotated) & ~enabled) | (set_reset & enabled);
        break;
    case 1:
        *mask = UINT32_MAX;
        return vga->latch;
    case 2:
        data = expand(value & 0xf);
        break;
    default:
        *mask &= replicate(rotated);
        data = set_reset;
    }
    switch (graphics[GRAPHICS_ROTATE] >> 3 & 3) {
    case 1:
        return data & vga->latch;
    case 2:
        return data | vga->latch;
    case 3:
        return data ^ vga->latch;
    default:
        return data;
    }
}

void vga_memory_write(Vga *vga, uint32_t offset, uint8_t value)
{
    unsigned memory_mode = vga->sequencer[VGA_SEQUENCER_MEMORY_MODE], shift = 0;
    unsigned planes = vga->sequencer[VGA_SEQUENCER_MAP_MASK];
    uint32_t address, unit, data, mask, enabled;

    if (vga->ops && vga->ops->write_memory && vga->ops->write_memory(vga, offset, value)) {
        return;
    }
    if (!vga_memory_decode(vga, offset, &address)) {
        return;
    }
    if (memory_mode & MEMORY_MODE_CHAIN_4) {
        shift = 2;
        planes &= 1u << (address & 3);
    } else if (!(memory_mode & MEMORY_MODE_NO_ODD_EVEN)) {
        shift = 1;
        planes &= address & 1 ? 0xa : 0x5;
    }
    if (!planes) {
        return;
    }
    unit = 4 * unit_of(vga, address, shift);
    data = write_data(vga, value, &mask);
    data = (data & mask) | (vga->latch & ~mask);
    enabled = expand(planes);
    store_le32(vga->vram.host + unit,
               (load_le32(vga->vram.host + unit) & ~enabled) | (data & enabled));
    vga_vram_written(vga, unit, 4);
}

static MemoryResult window_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                MemoryAttributes attributes)
{
    *value = vga_memory_read(opaque, (uint32_t)offset);
    return MEMORY_OK;
}

static MemoryResult window_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                 MemoryAttributes attributes)
{
    vga_memory_write(opaque, (uint32_t)offset, (uint8_t)value);
    return MEMORY_OK;
}

static const MemoryPlace pixels[] = { { 0, VGA_MEMORY_WINDOW_SIZE }, { 0 } };

const MemoryOps vga_memory_ops = {
    .read = window_read,
    .write = window_write,
    .size_min = 1,
    .size_max = 1,
    .late = pixels,
};
