/* SPDX-License-Identifier: MIT */
/*
 * VGA registers (IBM PS/2 Hardware Interface Technical Reference, Video Subsystem). Retrace is where the CRT
 * controller's counters would be by the virtual clock.
 *
 * Not modelled: light pen, the vertical interrupt, the sense comparators of analog monitors.
 */
#include "hw/display/vga.h"

#include "base/error.h"
#include "machine/clock.h"
#include "machine/machine.h"

enum {
    MISC_COLOUR = 1 << 0, /* the CRT controller is at 0x3d4, not 0x3b4 */
    CRTC_PROTECT = 1 << 7,
    CRTC_OVERFLOW = 7,
    CRTC_OVERFLOW_UNPROTECTED = 1 << 4,
    CRTC_RETRACE_END = 0x11,
    STATUS0_SENSE = 1 << 4,
    STATUS1_NO_DISPLAY = 1 << 0,
    STATUS1_RETRACE = 1 << 3,
    DAC_READING = 3,
};

/* Ports by their address. */
enum {
    PORT_ATTRIBUTE = 0x3c0,
    PORT_ATTRIBUTE_READ = 0x3c1,
    PORT_MISC_WRITE = 0x3c2, /* reads: input status 0 */
    PORT_ENABLE = 0x3c3,
    PORT_SEQUENCER_INDEX = 0x3c4,
    PORT_SEQUENCER = 0x3c5,
    PORT_DAC_MASK = 0x3c6,
    PORT_DAC_READ = 0x3c7, /* reads: state */
    PORT_DAC_WRITE = 0x3c8,
    PORT_DAC_DATA = 0x3c9,
    PORT_FEATURE_READ = 0x3ca,
    PORT_MISC_READ = 0x3cc,
    PORT_GRAPHICS_INDEX = 0x3ce,
    PORT_GRAPHICS = 0x3cf,
    PORT_CRTC_INDEX = 0x3d4,
    PORT_CRTC = 0x3d5,
    PORT_STATUS1 = 0x3da, /* writes: feature control */
    MONO_PORTS_END = 0x3c0,
    MONO_TO_COLOUR = 0x20,
};

static unsigned vertical(const Vga *vga, unsigned low, unsigned bit8, unsigned bit9)
{
    unsigned overflow = vga->crtc[CRTC_OVERFLOW];

    return vga->crtc[low] | (overflow >> bit8 & 1) << 8 | (overflow >> bit9 & 1) << 9;
}

/* Input status 1: where the beam is. */
static uint8_t read_status1(Vga *vga)
{
    static const uint32_t clocks_khz[] = { 25175, 28322, 36000, 40000 };
    unsigned dots = vga->sequencer[VGA_SEQUENCER_CLOCKING] & 1 ? 8 : 9;
    unsigned columns = vga->crtc[0] + 5u, lines = vertical(vga, 6, 0, 5) + 2;
    unsigned shown = vertical(vga, VGA_CRTC_DISPLAY_END, 1, 6) + 1;
    unsigned retrace = vertical(vga, 0x10, 2, 7), retrace_lines;
    uint64_t khz = clocks_khz[vga->misc >> 2 & 3], column, line;
    uint8_t status = 0;

    if (vga->sequencer[VGA_SEQUENCER_CLOCKING] & 8) {
        dots *= 2;
    }
    column = (uint64_t)clock_now_ns(vga->device->machine) / 1000 * khz / 1000 / dots;
    line = column / columns % lines;
    retrace_lines = (vga->crtc[CRTC_RETRACE_END] - retrace) & 0xf;
    if (line >= retrace && line < retrace + MAX(retrace_lines, 1)) {
        status |= STATUS1_RETRACE | STATUS1_NO_DISPLAY;
    }
    if (line >= shown || column % columns > vga->crtc[1]) {
        status |= STATUS1_NO_DISPLAY;
    }
    return status;
}

/* Attribute controller. */

static void write_attribute(Vga *vga, uint8_t value)
{
    static const uint8_t masks[VGA_ATTRIBUTE_COUNT] = {
        0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
        0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f,
    };
    unsigned index = vga->attribute_index & 0x1f;

    if (!vga->attribute_data) {
        vga->attribute_index = value & 0x3f;
    } else if (index < VGA_ATTRIBUTE_COUNT) {
        vga->attribute[index] = value & masks[index];
    }
    vga->attribute_data = !vga->attribute_data;
}

/* DAC. */

static uint8_t read_dac(Vga *vga, unsigned port)
{
    uint8_t value;

    if (vga->ops && vga->ops->read_dac && vga->ops->read_dac(vga, port, &value)) {
        return value;
    }
    switch (port) {
    case PORT_DAC_MASK:
        return vga->dac_mask;
    case PORT_DAC_READ:
        return vga->dac_state;
    case PORT_DAC_WRITE:
        return vga->dac_write_index;
    default:
        value = vga->palette[vga->dac_read_index * 3 + vga->dac_component];
        if (++vga->dac_component == 3) {
            vga->dac_component = 0;
            vga->dac_read_index++;
        }
        return value;
    }
}

static void write_dac(Vga *vga, unsigned port, uint8_t value)
{
    if (vga->ops && vga->ops->write_dac && vga->ops->write_dac(vga, port, value)) {
        return;
    }
    switch (port) {
    case PORT_DAC_MASK:
        vga->dac_mask = value;
        break;
    case PORT_DAC_READ:
        vga->dac_read_index = value;
        vga->dac_component = 0;
        vga->dac_state = DAC_READING;
        break;
    case PORT_DAC_WRITE:
        vga->dac_write_index = value;
        vga->dac_component = 0;
        vga->dac_state = 0;
        break;
    default:
        vga->dac_pending[vga->dac_component] = vga_dispi_dac_8bit(vga) ? value : value & 0x3f;
        if (++vga->dac_component == 3) {
            memcpy(vga->palette + vga->dac_write_index * 3, vga->dac_pending, 3);
            vga->dac_component = 0;
            vga->dac_write_index++;
        }
    }
}

/* Indexed registers. */

static void write_sequencer(Vga *vga, uint8_t value)
{
    static const uint8_t masks[] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0, 0, 0xff };
    unsigned index = vga->sequencer_index;

    if (vga->ops && vga->ops->write_sequencer && vga->ops->write_sequencer(vga, index, value)) {
        return;
    }
    if (index < ARRAY_SIZE(masks)) {
        vga->sequencer[index] = value & masks[index];
    }
}

static void write_graphics(Vga *vga, uint8_t value)
{
    static const uint8_t masks[] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };
    unsigned index = vga->graphics_index;

    if (vga->ops && vga->ops->write_graphics && vga->ops->write_graphics(vga, index, value)) {
        return;
    }
    if (index < ARRAY_SIZE(masks)) {
        vga->graphics[index] = value & masks[index];
    }
}

static void write_crtc(Vga *vga, uint8_t value)
{
    unsigned index = vga->crtc_index;

    if (index <= CRTC_OVERFLOW && vga->crtc[CRTC_RETRACE_END] & CRTC_PROTECT) {
        if (index == CRTC_OVERFLOW) {
            vga->crtc[index] = (vga->crtc[index] & ~CRTC_OVERFLOW_UNPROTECTED) |
                               (value & CRTC_OVERFLOW_UNPROTECTED);
        }
        return;
    }
    if (vga->ops && vga->ops->write_crtc && vga->ops->write_crtc(vga, index, value)) {
        return;
    }
    if (index <= 0x18) {
        vga->crtc[index] = value;
    }
}

static uint8_t read_indexed(Vga *vga, bool (*hook)(Vga *, unsigned, uint8_t *), unsigned index,
                            const uint8_t *registers, unsigned last)
{
    uint8_t value;

    if (hook && hook(vga, index, &value)) {
        return value;
    }
    return index <= last ? registers[index] : 0;
}

/* 0x3b0 to 0x3bf are the same registers for monochrome monitors; only one of the two sets answers. */
static bool decode_port(const Vga *vga, unsigned *port)
{
    bool mono = *port < MONO_PORTS_END, shared = *port >= MONO_PORTS_END && *port < 0x3d0;

    if (shared) {
        return true;
    }
    if (mono == !!(vga->misc & MISC_COLOUR)) {
        return false;
    }
    *port += mono ? MONO_TO_COLOUR : 0;
    return true;
}

uint8_t vga_port_read(Vga *vga, unsigned port)
{
    const VgaOps *ops = vga->ops;

    if (!decode_port(vga, &port)) {
        return 0xff;
    }
    switch (port) {
    case PORT_ATTRIBUTE:
        return vga->attribute_data ? 0 : vga->attribute_index;
    case PORT_ATTRIBUTE_READ:
        return vga->attribute[vga->attribute_index & 0x1f];
    case PORT_MISC_WRITE:
        return STATUS0_SENSE;
    case PORT_ENABLE:
        return 1;
    case PORT_SEQUENCER_INDEX:
        return vga->sequencer_index;
    case PORT_SEQUENCER:
        return read_indexed(vga, ops ? ops->read_sequencer : NULL, vga->sequencer_index,
                            vga->sequencer, vga->sequencer_last);
    case PORT_DAC_MASK ... PORT_DAC_DATA:
        return read_dac(vga, port);
    case PORT_FEATURE_READ:
        return vga->feature_control;
    case PORT_MISC_READ:
        return vga->misc;
    case PORT_GRAPHICS_INDEX:
        return vga->graphics_index;
    case PORT_GRAPHICS:
        return read_indexed(vga, ops ? ops->read_graphics : NULL, vga->graphics_index,
                            vga->graphics, vga->graphics_last);
    case PORT_CRTC_INDEX:
        return vga->crtc_index;
    case PORT_CRTC:
        return read_indexed(vga, ops ? ops->read_crtc : NULL, vga->crtc_index, vga->crtc,
                            vga->crtc_last);
    case PORT_STATUS1:
        vga->attribute_data = false;
        return read_status1(vga);
    default:
        return 0;
    }
}

void vga_port_write(Vga *vga, unsigned port, uint8_t value)
{
    if (!decode_port(vga, &port)) {
        return;
    }
    switch (port) {
    case PORT_ATTRIBUTE:
    case PORT_ATTRIBUTE_READ:
        write_attribute(vga, value);
        break;
    case PORT_MISC_WRITE:
        vga->misc = value & ~0x10;
        break;
    case PORT_SEQUENCER_INDEX:
        vga->sequencer_index = vga->ops && vga->ops->read_sequencer ? value : value & 7;
        break;
    case PORT_SEQUENCER:
        write_sequencer(vga, value);
        break;
    case PORT_DAC_MASK ... PORT_DAC_DATA:
        write_dac(vga, port, value);
        break;
    case PORT_GRAPHICS_INDEX:
        vga->graphics_index = value & (vga->ops && vga->ops->read_graphics ? 0x3f : 0xf);
        break;
    case PORT_GRAPHICS:
        write_graphics(vga, value);
        break;
    case PORT_CRTC_INDEX:
        vga->crtc_index = value & 0x3f;
        break;
    case PORT_CRTC:
        write_crtc(vga, value);
        break;
    case PORT_STATUS1:
        vga->feature_control = value & 0x10;
        break;
    default:
        break;
    }
}

static MemoryResult ports_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                               MemoryAttributes attributes)
{
    Vga *vga = opaque;

    *value = vga_port_read(vga, VGA_PORTS + (unsigned)offset);
    trace(vga->device->type->name, "port %#x -> %#x", VGA_PORTS + (unsigned)offset,
          (unsigned)*value);
    return MEMORY_OK;
}

static MemoryResult ports_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                MemoryAttributes attributes)
{
    Vga *vga = opaque;

    trace(vga->device->type->name, "port %#x <- %#x", VGA_PORTS + (unsigned)offset,
          (unsigned)value);
    vga_port_write(vga, VGA_PORTS + (unsigned)offset, (uint8_t)value);
    return MEMORY_OK;
}

/* Indices, and the palette. */
static const MemoryPlace late_ports[] = {
    { PORT_CRTC_INDEX - MONO_TO_COLOUR - VGA_PORTS, 1 },
    { PORT_SEQUENCER_INDEX - VGA_PORTS, 1 },
    { PORT_DAC_WRITE - VGA_PORTS, 2 },
    { PORT_GRAPHICS_INDEX - VGA_PORTS, 1 },
    { PORT_CRTC_INDEX - VGA_PORTS, 1 },
    { 0 },
};

static const MemoryOps port_ops = {
    .read = ports_read,
    .write = ports_write,
    .size_min = 1,
    .size_max = 1,
    .late = late_ports,
};

/* What of 0x3b0 to 0x3df a VGA decodes; a parallel port may be in between. */
static const struct {
    uint16_t port, count;
} port_windows[VGA_PORT_WINDOWS] = {
    { 0x3b4, 2 }, { 0x3ba, 1 }, { 0x3c0, 16 }, { 0x3d4, 2 }, { 0x3da, 1 },
};

void vga_map(Vga *vga, MemoryRegion *memory, MemoryRegion *io)
{
    memory_transaction_begin(vga->device->machine);
    memory_region_add(memory, VGA_MEMORY_WINDOW, &vga->window, 1);
    for (unsigned i = 0; i < VGA_PORT_WINDOWS; i++) {
        memory_region_add(io, port_windows[i].port, &vga->port_windows[i], 0);
    }
    if (vga->has_dispi) {
        memory_region_add(io, 0x1ce, &vga->dispi_ports, 0);
    }
    memory_transaction_end(vga->device->machine);
}

void vga_unmap(Vga *vga)
{
    memory_transaction_begin(vga->device->machine);
    memory_region_remove(&vga->window);
    for (unsigned i = 0; i < VGA_PORT_WINDOWS; i++) {
        memory_region_remove(&vga->port_windows[i]);
    }
    if (vga->has_dispi) {
        memory_region_remove(&vga->dispi_ports);
    }
    memory_transaction_end(vga->device->machine);
}

bool vga_init(Vga *vga, Device *device, const VgaOps *ops, uint32_t vram_mb, GError **error)
{
    Machine *machine = device->machine;

    if (vram_mb < 1 || vram_mb > 512) {
        return error_fail(error, KASO_ERROR_INVALID, "vgamem_mb=%u: 1 to 512 MiB are possible",
                          vram_mb);
    }
    vga->device = device;
    vga->ops = ops;
    vga->vram_bytes = (uint32_t)MIB(1);
    while (vga->vram_bytes < MIB(vram_mb)) {
        vga->vram_bytes *= 2;
    }
    vga->sequencer_last = 7;
    vga->graphics_last = 8;
    vga->crtc_last = 0x18;
    if (!memory_region_init_ram(&vga->vram, machine, "vga.vram", vga->vram_bytes, error)) {
        return false;
    }
    memory_region_init_io(&vga->window, machine, "vga-lowmem", VGA_MEMORY_WINDOW_SIZE,
                          &vga_memory_ops, vga);
    memory_region_init_io(&vga->ports, machine, "vga", VGA_PORTS_SIZE, &port_ops, vga);
    for (unsigned i = 0; i < VGA_PORT_WINDOWS; i++) {
        memory_region_init_alias(&vga->port_windows[i], machine, "vga", &vga->ports,
                                 port_windows[i].port - VGA_PORTS, port_windows[i].count);
    }
    memory_region_init_io(&vga->dispi_ports, machine, "vbe", 4, &vga_dispi_port_ops, vga);
    vga->screen = vga_screen_new(vga);
    return true;
}

void vga_destroy(Vga *vga)
{
    g_clear_pointer(&vga->screen, vga_screen_free);
}

void vga_reset(Vga *vga)
{
    vga->misc = vga->feature_control = 0;
    vga->sequencer_index = vga->graphics_index = vga->crtc_index = vga->attribute_index = 0;
    memset(vga->sequencer, 0, sizeof(vga->sequencer));
    memset(vga->graphics, 0, sizeof(vga->graphics));
    memset(vga->crtc, 0, sizeof(vga->crtc));
    memset(vga->attribute, 0, sizeof(vga->attribute));
    vga->attribute_data = false;
    vga->dac_mask = 0xff;
    vga->dac_state = vga->dac_read_index = vga->dac_write_index = vga->dac_component = 0;
    memset(vga->dac_pending, 0, sizeof(vga->dac_pending));
    memset(vga->palette, 0, sizeof(vga->palette));
    vga->latch = 0;
    vga->dispi_index = 0;
    memset(vga->dispi, 0, sizeof(vga->dispi));
    vga->dispi[0] = 0xb0c5;
    vga->big_endian = false;
    vga_state_loaded(vga);
}

void vga_state_loaded(Vga *vga)
{
    if (vga_dispi_enabled(vga)) {
        vga_dispi_confine(vga);
    }
    vga_screen_forget(vga->screen);
}

/* clang-format off */
const StateField vga_state[] = {
    STATE(Vga, misc), STATE(Vga, feature_control),
    STATE(Vga, sequencer_index), STATE(Vga, sequencer),
    STATE_MOST(Vga, graphics_index, VGA_GRAPHICS_COUNT - 1), STATE(Vga, graphics),
    STATE_MOST(Vga, crtc_index, VGA_CRTC_COUNT - 1), STATE(Vga, crtc),
    STATE(Vga, attribute_index), STATE(Vga, attribute), STATE(Vga, attribute_data),
    STATE(Vga, dac_mask), STATE(Vga, dac_state), STATE(Vga, dac_read_index),
    STATE(Vga, dac_write_index), STATE_MOST(Vga, dac_component, 2), STATE(Vga, dac_pending),
    STATE(Vga, palette), STATE(Vga, latch), STATE(Vga, dispi_index), STATE(Vga, dispi),
    STATE(Vga, big_endian), { 0 },
};
/* clang-format on */
