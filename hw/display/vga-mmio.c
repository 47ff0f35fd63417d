/* SPDX-License-Identifier: MIT */
/* The registers of Bochs' graphics card in memory, and what the monitor says of itself. */
#include "base/error.h"
#include "hw/display/vga.h"
#include "machine/machine.h"

enum {
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

static uint32_t read_byte(VgaMmio *mmio, unsigned offset)
{
    if (offset < MMIO_EDID_END) {
        return mmio->has_edid && offset < sizeof(mmio->edid) ? mmio->edid[offset] : 0;
    }
    if (!mmio->no_ports && offset >= MMIO_PORTS && offset < MMIO_PORTS_END) {
        return vga_port_read(mmio->vga, offset - MMIO_PORTS + 0x3c0);
    }
    return 0xff;
}

static MemoryResult mmio_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                              MemoryAttributes attributes)
{
    VgaMmio *mmio = opaque;
    unsigned at = (unsigned)offset;

    *value = 0;
    if (at >= MMIO_DISPI && at < MMIO_DISPI_END) {
        *value = vga_dispi_read(mmio->vga, (at - MMIO_DISPI) / 2) >> 8 * (at & 1);
    } else if (mmio->has_extended && at >= MMIO_EXTENDED && at < MMIO_EXTENDED_END) {
        uint32_t order = mmio->vga->big_endian ? ORDER_BIG : ORDER_LITTLE;
        uint32_t reg = at < MMIO_ORDER ? MMIO_EXTENDED_END - MMIO_EXTENDED : order;

        *value = reg >> 8 * (at & 3);
    } else {
        for (unsigned i = 0; i < size; i++) {
            *value |= (uint64_t)read_byte(mmio, at + i) << 8 * i;
        }
    }
    return MEMORY_OK;
}

static MemoryResult mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    VgaMmio *mmio = opaque;
    unsigned at = (unsigned)offset;

    if (at >= MMIO_DISPI && at < MMIO_DISPI_END) {
        vga_dispi_write(mmio->vga, (at - MMIO_DISPI) / 2, (uint16_t)value);
    } else if (mmio->has_extended && at == MMIO_ORDER) {
        if (value == ORDER_BIG || value == ORDER_LITTLE) {
            mmio->vga->big_endian = value == ORDER_BIG;
        }
    } else if (!mmio->no_ports && at >= MMIO_PORTS && at < MMIO_PORTS_END) {
        for (unsigned i = 0; i < size; i++) {
            vga_port_write(mmio->vga, at + i - MMIO_PORTS + 0x3c0, (uint8_t)(value >> 8 * i));
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

bool vga_mmio_check(VgaMmio *mmio, GError **error)
{
    mmio->xres = mmio->xres ? mmio->xres : 1280;
    mmio->yres = mmio->yres ? mmio->yres : 800;
    mmio->xmax = mmio->xmax ? mmio->xmax : MAX(mmio->xres, 1920);
    mmio->ymax = mmio->ymax ? mmio->ymax : MAX(mmio->yres, 1200);
    mmio->refresh_rate = mmio->refresh_rate ? mmio->refresh_rate : 60000;
    if (mmio->xres > 4095 || mmio->yres > 4095 || mmio->xres < 64 || mmio->yres < 64 ||
        mmio->refresh_rate < 10000 || mmio->refresh_rate > 250000) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "xres=%u, yres=%u, refresh_rate=%u: an EDID has 64 to 4095 pixels and "
                          "10000 to 250000 mHz",
                          mmio->xres, mmio->yres, mmio->refresh_rate);
    }
    return true;
}

void vga_mmio_init(VgaMmio *mmio, Vga *vga)
{
    mmio->vga = vga;
    edid_make(mmio->edid, mmio->xres, mmio->yres, mmio->xmax, mmio->ymax, mmio->refresh_rate);
    memory_region_init_io(&mmio->region, vga->device->machine, "vga.mmio", VGA_MMIO_SIZE, &mmio_ops,
                          mmio);
}
