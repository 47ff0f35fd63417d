/* SPDX-License-Identifier: MIT */
/*
 * Registers that the CL-GD5446 adds to VGA's (Technical Reference Manual, chapters 5 to 9): extended sequencer, graphics
 * and CRT controller registers, the hidden DAC register, banks, extended write modes, and the blitter's control.
 *
 * Not modelled: locking by SR6 (it reads as it should), clocks, DDC and the serial EEPROM, the video window, colour
 * keys, transfers to the system.
 */
#include "hw/display/cirrus.h"
#include "machine/machine.h"

enum {
    SEQUENCER_LOCK = 6,
    LOCK_KEY = 0x12,
    LOCKED = 0x0f,
    SEQUENCER_CURSOR_X = 0x10, /* with the low bits of the position in bits 7 to 5 of the index */
    SEQUENCER_CURSOR_Y = 0x11,
    CRTC_ATTRIBUTE_STATE = 0x24,
    CRTC_ATTRIBUTE_INDEX = 0x26,
    CRTC_ID = 0x27,
    ID_GD5446 = 0xb8,
    ID_GD5430 = 0xa0,

    BLIT_WIDTH = 0x20,
    BLIT_HEIGHT = 0x22,
    BLIT_DESTINATION_PITCH = 0x24,
    BLIT_SOURCE_PITCH = 0x26,
    BLIT_DESTINATION = 0x28,
    BLIT_SOURCE = 0x2c,
    BLIT_SKIP = 0x2f,
    BLIT_MODE = 0x30,
    BLIT_STATUS = 0x31,
    BLIT_ROP = 0x32,
    BLIT_EXTENSION = 0x33,
    BLIT_KEY = 0x34,
    STATUS_BUSY = 1 << 0,
    STATUS_START = 1 << 1,
    STATUS_RESET = 1 << 2,
    STATUS_BUFFERED = 1 << 3,
    STATUS_AUTOSTART = 1 << 7,

    PORT_DAC_MASK = 0x3c6,
    PORT_DAC_READ = 0x3c7,
    PORT_DAC_DATA = 0x3c9,
    HIDDEN_DAC_READS = 4, /* of 0x3c6, then it is the hidden register */
};

/* The blitter. */

static uint32_t three_bytes(const uint8_t *bytes)
{
    return load_le16(bytes) | (uint32_t)(bytes[2] & 0x3f) << 16;
}

static void make_blit(CirrusVga *cirrus, CirrusBlit *blit)
{
    const uint8_t *g = cirrus->vga.graphics;
    unsigned bytes = (g[BLIT_MODE] >> 4 & 3) + 1u;

    *blit = (CirrusBlit){
        .vram = cirrus->vga.vram.host,
        .mask = cirrus->vga.vram_bytes - 1,
        .width = (load_le16(g + BLIT_WIDTH) & 0x1fff) + 1u,
        .height = (load_le16(g + BLIT_HEIGHT) & 0x7ff) + 1u,
        .destination = three_bytes(g + BLIT_DESTINATION),
        .destination_pitch = load_le16(g + BLIT_DESTINATION_PITCH) & 0x1fff,
        .source = three_bytes(g + BLIT_SOURCE),
        .source_pitch = load_le16(g + BLIT_SOURCE_PITCH) & 0x1fff,
        .foreground = g[1] | g[0x11] << 8 | g[0x13] << 16 | (uint32_t)g[0x15] << 24,
        .background = g[0] | g[0x10] << 8 | g[0x12] << 16 | (uint32_t)g[0x14] << 24,
        .bytes = bytes,
        .mode = g[BLIT_MODE],
        .extension = g[BLIT_EXTENSION],
        .rop = g[BLIT_ROP],
        .key = { g[BLIT_KEY], g[BLIT_KEY + 1] },
    };
    if (blit->mode & (CIRRUS_BLIT_PATTERN | CIRRUS_BLIT_EXPAND)) {
        /* Pixels, or bytes when a pixel has three. */
        blit->skip = bytes == 3 ? g[BLIT_SKIP] & 0x1f : (g[BLIT_SKIP] & 7) * bytes;
    }
}

static void mark_line(CirrusVga *cirrus, const CirrusBlit *blit, unsigned line)
{
    bool backwards = blit->mode & CIRRUS_BLIT_BACKWARDS;
    uint32_t offset = line * blit->destination_pitch;
    uint32_t first =
        backwards ? blit->destination - offset - (blit->width - 1) : blit->destination + offset;

    first &= blit->mask;
    if (first + blit->width - 1 <= blit->mask) {
        vga_vram_written(&cirrus->vga, first, blit->width);
    } else {
        vga_vram_written(&cirrus->vga, first, blit->mask + 1 - first);
        vga_vram_written(&cirrus->vga, 0, blit->width - (blit->mask + 1 - first));
    }
}

static void draw_line(CirrusVga *cirrus, const CirrusBlit *blit, unsigned line, const uint8_t *data)
{
    cirrus_blit_line(blit, line, data);
    mark_line(cirrus, blit, line);
}

static void end_blit(CirrusVga *cirrus)
{
    cirrus->vga.graphics[BLIT_STATUS] &= ~(STATUS_BUSY | STATUS_START | STATUS_BUFFERED);
    cirrus->blit_waits = false;
    cirrus->blit_line = cirrus->blit_filled = 0;
    cirrus_linear_update(cirrus);
}

static void start_blit(CirrusVga *cirrus)
{
    CirrusBlit blit;

    make_blit(cirrus, &blit);
    trace("cirrus-vga", "blit mode %#x/%#x rop %#x, %u x %u from %#x to %#x", blit.mode,
          blit.extension, blit.rop, blit.width, blit.height, blit.source, blit.destination);
    if (!cirrus->has_blitter || !cirrus_blit_rop_is_known(blit.rop)) {
        log_guest_error("cirrus-vga", "blit with raster operation %#x", blit.rop);
        end_blit(cirrus);
    } else if (blit.mode & CIRRUS_BLIT_TO_SYSTEM) {
        log_unimplemented("cirrus-vga", "blit to system memory");
        end_blit(cirrus);
    } else if (blit.mode & CIRRUS_BLIT_FROM_SYSTEM) {
        cirrus->vga.graphics[BLIT_STATUS] |= STATUS_BUSY | STATUS_BUFFERED;
        cirrus->blit_waits = true;
        cirrus->blit_line = cirrus->blit_filled = 0;
        cirrus_linear_update(cirrus);
    } else {
        for (unsigned line = 0; line < blit.height; line++) {
            draw_line(cirrus, &blit, line, NULL);
        }
        end_blit(cirrus);
    }
}

void cirrus_blit_feed(CirrusVga *cirrus, uint8_t value)
{
    CirrusBlit blit;

    make_blit(cirrus, &blit);
    blit.mode &= ~CIRRUS_BLIT_BACKWARDS;
    cirrus->blit_data[cirrus->blit_filled++ % CIRRUS_BLIT_WIDTH_MOST] = value;
    if (cirrus->blit_filled < cirrus_blit_system_bytes(&blit)) {
        return;
    }
    cirrus->blit_filled = 0;
    if (blit.mode & CIRRUS_BLIT_PATTERN) {
        for (unsigned line = 0; line < blit.height; line++) {
            draw_line(cirrus, &blit, line, cirrus->blit_data);
        }
        end_blit(cirrus);
        return;
    }
    draw_line(cirrus, &blit, cirrus->blit_line, cirrus->blit_data);
    if (++cirrus->blit_line >= blit.height) {
        end_blit(cirrus);
    }
}

static void write_status(CirrusVga *cirrus, uint8_t value)
{
    uint8_t *status = &cirrus->vga.graphics[BLIT_STATUS], before = *status;

    *status =
        (value & ~(STATUS_BUSY | STATUS_BUFFERED)) | (before & (STATUS_BUSY | STATUS_BUFFERED));
    if (before & STATUS_RESET && !(value & STATUS_RESET)) {
        end_blit(cirrus);
    } else if (value & STATUS_START && !(before & STATUS_START)) {
        start_blit(cirrus);
    }
}

/* Graphics registers. */

static bool write_graphics(Vga *vga, unsigned index, uint8_t value)
{
    CirrusVga *cirrus = cirrus_of(vga);

    switch (index) {
    case 0x00:
    case 0x01:
    case 0x09 ... 0x20:
    case 0x22:
    case 0x24:
    case 0x26:
    case 0x28 ... 0x29:
    case 0x2b ... 0x2d:
    case 0x2f ... 0x30:
    case 0x32 ... 0x3f:
        vga->graphics[index] = value;
        break;
    case VGA_GRAPHICS_MODE:
        vga->graphics[index] = value & 0x7f;
        break;
    case 0x21:
    case 0x25:
    case 0x27:
        vga->graphics[index] = value & 0x1f;
        break;
    case 0x23:
        vga->graphics[index] = value & 0x07;
        break;
    case 0x2a:
        vga->graphics[index] = value & 0x3f;
        if (vga->graphics[BLIT_STATUS] & STATUS_AUTOSTART) {
            start_blit(cirrus);
        }
        break;
    case 0x2e:
        vga->graphics[index] = value & 0x3f;
        break;
    case BLIT_STATUS:
        write_status(cirrus, value);
        break;
    default:
        return false;
    }
    cirrus_linear_update(cirrus);
    return true;
}

static bool read_graphics(Vga *vga, unsigned index, uint8_t *value)
{
    if (index > 1 || vga->graphics[CIRRUS_GRAPHICS_EXTENSIONS] & CIRRUS_EXTENSION_WRITE_MODES) {
        return false;
    }
    *value = vga->graphics[index] & 0xf;
    return true;
}

/* Which graphics register is where in the blitter's memory-mapped registers; 0xff: nothing. */
static const uint8_t blit_registers[] = {
    0x00, 0x10, 0x12, 0x14, 0x01, 0x11, 0x13, 0x15, 0x20, 0x21, 0x22, 0x23,
    0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0xff, 0x2c, 0x2d, 0x2e, 0x2f,
    0x30, 0xff, 0x32, 0x33, 0x34, 0x35, 0xff, 0xff, 0x38, 0x39,
};
enum { BLIT_STATUS_OFFSET = 0x40 };

static unsigned blit_register(unsigned offset)
{
    return offset == BLIT_STATUS_OFFSET          ? BLIT_STATUS
           : offset < ARRAY_SIZE(blit_registers) ? blit_registers[offset]
                                                 : 0xff;
}

uint8_t cirrus_blit_register_read(CirrusVga *cirrus, unsigned offset)
{
    unsigned index = blit_register(offset);

    return index == 0xff ? 0xff : cirrus->vga.graphics[index];
}

void cirrus_blit_register_write(CirrusVga *cirrus, unsigned offset, uint8_t value)
{
    unsigned index = blit_register(offset);

    if (index != 0xff) {
        write_graphics(&cirrus->vga, index, value);
    }
}

/* Sequencer. */

static bool write_sequencer(Vga *vga, unsigned index, uint8_t value)
{
    CirrusVga *cirrus = cirrus_of(vga);

    switch (index & 0x1f) {
    case SEQUENCER_LOCK:
        vga->sequencer[SEQUENCER_LOCK] = (value & 0x17) == LOCK_KEY ? LOCK_KEY : LOCKED;
        return true;
    case SEQUENCER_CURSOR_X:
        vga->sequencer[SEQUENCER_CURSOR_X] = value;
        cirrus->cursor_x = (uint16_t)(value << 3 | index >> 5);
        return true;
    case SEQUENCER_CURSOR_Y:
        vga->sequencer[SEQUENCER_CURSOR_Y] = value;
        cirrus->cursor_y = (uint16_t)(value << 3 | index >> 5);
        return true;
    case CIRRUS_SEQUENCER_CONFIGURATION: /* the bus type is wired */
        vga->sequencer[CIRRUS_SEQUENCER_CONFIGURATION] =
            (vga->sequencer[CIRRUS_SEQUENCER_CONFIGURATION] & 0x38) | (value & 0xc7);
        return true;
    case 0x07 ... 0x0f:
    case 0x12 ... 0x16:
    case 0x18 ... 0x1f:
        vga->sequencer[index & 0x1f] = value;
        cirrus_linear_update(cirrus);
        return true;
    default:
        return index > 4;
    }
}

static bool read_sequencer(Vga *vga, unsigned index, uint8_t *value)
{
    *value = vga->sequencer[index & 0x1f];
    return true;
}

/* CRT controller. */

static bool write_crtc(Vga *vga, unsigned index, uint8_t value)
{
    if (index < 0x19 || index > 0x1f) {
        return index > 0x18;
    }
    vga->crtc[index] = value;
    return true;
}

static bool read_crtc(Vga *vga, unsigned index, uint8_t *value)
{
    switch (index) {
    case CRTC_ATTRIBUTE_STATE:
        *value = vga->attribute_data ? 0x80 : 0;
        return true;
    case CRTC_ATTRIBUTE_INDEX:
        *value = vga->attribute_index & 0x3f;
        return true;
    case CRTC_ID:
        *value = cirrus_of(vga)->on_isa ? ID_GD5430 : ID_GD5446;
        return true;
    default:
        return false;
    }
}

/* DAC. */

static uint8_t *cursor_colour(CirrusVga *cirrus, unsigned index)
{
    return cirrus->cursor_palette + 3 * (index % CIRRUS_CURSOR_COLOURS) + cirrus->vga.dac_component;
}

static void step_colour(Vga *vga, uint8_t *index)
{
    if (++vga->dac_component == 3) {
        vga->dac_component = 0;
        ++*index;
    }
}

static bool write_dac(Vga *vga, unsigned port, uint8_t value)
{
    CirrusVga *cirrus = cirrus_of(vga);
    bool hidden = port == PORT_DAC_MASK && cirrus->hidden_dac_reads == HIDDEN_DAC_READS;

    cirrus->hidden_dac_reads = 0;
    if (hidden) {
        cirrus->hidden_dac = value;
        return true;
    }
    if (port == PORT_DAC_DATA && vga->sequencer[CIRRUS_SEQUENCER_CURSOR] & CIRRUS_CURSOR_PALETTE) {
        *cursor_colour(cirrus, vga->dac_write_index) = value & 0x3f;
        step_colour(vga, &vga->dac_write_index);
        return true;
    }
    return false;
}

static bool read_dac(Vga *vga, unsigned port, uint8_t *value)
{
    CirrusVga *cirrus = cirrus_of(vga);

    if (port == PORT_DAC_MASK && cirrus->hidden_dac_reads == HIDDEN_DAC_READS) {
        *value = cirrus->hidden_dac;
        cirrus->hidden_dac_reads = 0;
        return true;
    }
    cirrus->hidden_dac_reads = port == PORT_DAC_MASK ? cirrus->hidden_dac_reads + 1 : 0;
    if (port == PORT_DAC_DATA && vga->sequencer[CIRRUS_SEQUENCER_CURSOR] & CIRRUS_CURSOR_PALETTE) {
        *value = *cursor_colour(cirrus, vga->dac_read_index);
        step_colour(vga, &vga->dac_read_index);
        return true;
    }
    return false;
}

/* The window and the linear aperture in extended modes. */

static bool extended(const CirrusVga *cirrus)
{
    return cirrus->vga.sequencer[CIRRUS_SEQUENCER_EXTENDED] & CIRRUS_EXTENDED_ON;
}

static bool write_mode_is_extended(const CirrusVga *cirrus)
{
    const uint8_t *graphics = cirrus->vga.graphics;
    unsigned mode = graphics[VGA_GRAPHICS_MODE] & 7;

    return graphics[CIRRUS_GRAPHICS_EXTENSIONS] & CIRRUS_EXTENSION_WRITE_MODES &&
           (mode == 4 || mode == 5);
}

static bool by_16(const CirrusVga *cirrus)
{
    return (cirrus->vga.graphics[CIRRUS_GRAPHICS_EXTENSIONS] & CIRRUS_EXTENSION_BY_16) ==
           CIRRUS_EXTENSION_BY_16;
}

/* Each bus byte stands for 8 pixels of one byte, or of two. */
static uint32_t scale(const CirrusVga *cirrus, uint32_t offset)
{
    if (by_16(cirrus)) {
        offset <<= 4;
    } else if (cirrus->vga.graphics[CIRRUS_GRAPHICS_EXTENSIONS] & CIRRUS_EXTENSION_BY_8) {
        offset <<= 3;
    }
    return offset & (cirrus->vga.vram_bytes - 1);
}

bool cirrus_linear_is_indirect(const CirrusVga *cirrus)
{
    return cirrus->blit_waits || write_mode_is_extended(cirrus) || by_16(cirrus) ||
           cirrus->vga.graphics[CIRRUS_GRAPHICS_EXTENSIONS] & CIRRUS_EXTENSION_BY_8;
}

/* Write modes 4 and 5: a bit a pixel, of the foreground, and in mode 5 of the background. */
static void write_expanded(CirrusVga *cirrus, uint32_t offset, uint8_t value)
{
    Vga *vga = &cirrus->vga;
    const uint8_t *g = vga->graphics;
    unsigned bytes = by_16(cirrus) ? 2 : 1;
    uint8_t colours[2][2] = { { g[0], g[0x10] }, { g[1], g[0x11] } };

    offset &= ~(8 * bytes - 1);
    for (unsigned i = 0; i < 8; i++) {
        bool bit = value >> (7 - i) & 1;

        if (bit || (g[VGA_GRAPHICS_MODE] & 7) == 5) {
            memcpy(vga->vram.host + offset + i * bytes, colours[bit], bytes);
        }
    }
    vga_vram_written(vga, offset, 8 * bytes);
}

void cirrus_linear_write(CirrusVga *cirrus, uint32_t offset, uint8_t value)
{
    if (cirrus->blit_waits) {
        cirrus_blit_feed(cirrus, value);
        return;
    }
    offset = scale(cirrus, offset);
    if (write_mode_is_extended(cirrus)) {
        write_expanded(cirrus, offset, value);
    } else {
        cirrus->vga.vram.host[offset] = value;
        vga_vram_written(&cirrus->vga, offset, 1);
    }
}

uint8_t cirrus_linear_read(CirrusVga *cirrus, uint32_t offset)
{
    return cirrus->vga.vram.host[scale(cirrus, offset)];
}

/* Where an address of the window is in video memory, before scaling. */
static uint32_t banked(const CirrusVga *cirrus, uint32_t address)
{
    const uint8_t *graphics = cirrus->vga.graphics;
    uint8_t extensions = graphics[CIRRUS_GRAPHICS_EXTENSIONS];
    unsigned shift = extensions & CIRRUS_EXTENSION_16K ? 14 : 12;

    if (extensions & CIRRUS_EXTENSION_TWO_BANKS && address & 0x8000) {
        return ((uint32_t)graphics[CIRRUS_GRAPHICS_BANK_1] << shift) + (address & 0x7fff);
    }
    return ((uint32_t)graphics[CIRRUS_GRAPHICS_BANK_0] << shift) + (address & 0xffff);
}

/* The blitter's registers cover 256 bytes at 0xb8000 when SR17 says so. */
static bool is_mmio(const CirrusVga *cirrus, uint32_t offset)
{
    return offset >= 0x18000 && offset < 0x18100 &&
           cirrus->vga.sequencer[CIRRUS_SEQUENCER_CONFIGURATION] & CIRRUS_CONFIGURATION_MMIO;
}

static bool write_memory(Vga *vga, uint32_t offset, uint8_t value)
{
    CirrusVga *cirrus = cirrus_of(vga);
    uint32_t address;

    if (is_mmio(cirrus, offset)) {
        cirrus_blit_register_write(cirrus, offset & 0xff, value);
        return true;
    }
    if (cirrus->blit_waits && offset < 0x10000) {
        cirrus_blit_feed(cirrus, value);
        return true;
    }
    if (!extended(cirrus)) {
        return false;
    }
    if (vga_memory_decode(vga, offset, &address)) {
        cirrus_linear_write(cirrus, banked(cirrus, address), value);
    }
    return true;
}

static bool read_memory(Vga *vga, uint32_t offset, uint8_t *value)
{
    CirrusVga *cirrus = cirrus_of(vga);
    uint32_t address;

    if (is_mmio(cirrus, offset)) {
        *value = cirrus_blit_register_read(cirrus, offset & 0xff);
        return true;
    }
    if (!extended(cirrus)) {
        return false;
    }
    *value = vga_memory_decode(vga, offset, &address)
                 ? cirrus_linear_read(cirrus, banked(cirrus, address))
                 : 0xff;
    return true;
}

/* What is on the screen. */

static unsigned pixel_bits(const CirrusVga *cirrus)
{
    enum { MIXED = 0xf, HIDDEN_565 = 1 };

    switch (cirrus->vga.sequencer[CIRRUS_SEQUENCER_EXTENDED] & 0xe) {
    case 0x2:
    case 0x6:
        return (cirrus->hidden_dac & MIXED) == HIDDEN_565 ? 16 : 15;
    case 0x4:
        return 24;
    case 0x8:
        return 32;
    default:
        return 8;
    }
}

static uint32_t cursor_rgb(const CirrusVga *cirrus, unsigned index)
{
    const uint8_t *colour = cirrus->cursor_palette + 3 * index;
    uint32_t rgb = 0;

    for (unsigned i = 0; i < 3; i++) {
        rgb = rgb << 8 | (uint8_t)(colour[i] << 2 | colour[i] >> 4);
    }
    return rgb;
}

static unsigned cursor_size(const CirrusVga *cirrus)
{
    return cirrus->vga.sequencer[CIRRUS_SEQUENCER_CURSOR] & CIRRUS_CURSOR_64 ? 64 : 32;
}

static const uint8_t *cursor_pattern(const CirrusVga *cirrus)
{
    unsigned number =
        cirrus->vga.sequencer[CIRRUS_SEQUENCER_PATTERN] & (cursor_size(cirrus) == 64 ? 0x3c : 0x3f);

    return cirrus->vga.vram.host + cirrus->vga.vram_bytes - CIRRUS_CURSOR_MEMORY + 256 * number;
}

/* The pattern is part of what the overlay depends on: a sum of it stands for it. */
static void put_overlay(const CirrusVga *cirrus, VgaMode *mode)
{
    const uint8_t *pattern = cursor_pattern(cirrus);
    unsigned bytes = cursor_size(cirrus) == 64 ? 1024 : 256;
    uint64_t sum = UINT64_C(0xcbf29ce484222325);

    for (unsigned i = 0; i < bytes; i++) {
        sum = (sum ^ pattern[i]) * UINT64_C(0x100000001b3);
    }
    mode->overlay[0] = cursor_size(cirrus);
    mode->overlay[1] = cirrus->cursor_x;
    mode->overlay[2] = cirrus->cursor_y;
    mode->overlay[3] = cursor_rgb(cirrus, 0);
    mode->overlay[4] = cursor_rgb(cirrus, CIRRUS_CURSOR_COLOURS - 1);
    mode->overlay[5] = (uint32_t)sum;
    mode->overlay[6] = (uint32_t)(sum >> 32);
}

static void refine_mode(Vga *vga, VgaMode *mode)
{
    const CirrusVga *cirrus = cirrus_of(vga);
    const uint8_t *crtc = vga->crtc;

    if (mode->kind == VGA_TEXT || !extended(cirrus)) {
        return;
    }
    mode->kind = VGA_LINEAR;
    mode->bits = pixel_bits(cirrus);
    mode->dots = 1;
    mode->cell_width = 8;
    mode->width = mode->columns * 8;
    mode->height *= crtc[0x1a] & 1 ? 2 : 1; /* interlaced */
    mode->start +=
        ((crtc[0x1b] & 1u) << 16 | (crtc[0x1b] & 0xcu) << 15 | (crtc[0x1d] & 0x80u) << 12) * 4;
    mode->pitch = (crtc[VGA_CRTC_OFFSET] | (crtc[0x1b] & 0x10u) << 4) * 8;
    mode->wrap = vga->vram_bytes - 1;
    mode->start &= mode->wrap;
    mode->pan = mode->pan_below = mode->first_scan = 0;
    mode->address_bit = mode->address_scans = 0;
    if (vga->sequencer[CIRRUS_SEQUENCER_CURSOR] & CIRRUS_CURSOR_SHOWN) {
        put_overlay(cirrus, mode);
    }
}

/*
 * Two bits a pixel: transparent, inverted, and two colours. A row of 32 has its planes 128 bytes apart, one of 64 side by
 * side.
 */
static void draw_overlay(Vga *vga, const VgaMode *mode, unsigned line, uint32_t *pixels)
{
    const CirrusVga *cirrus = cirrus_of(vga);
    unsigned size = mode->overlay[0], row = line - mode->overlay[2];
    const uint8_t *first = cursor_pattern(cirrus) + row * (size == 64 ? 16 : 4);
    const uint8_t *second = first + (size == 64 ? 8 : 128);

    if (line < mode->overlay[2] || row >= size) {
        return;
    }
    for (unsigned x = 0; x < size && mode->overlay[1] + x < mode->width; x++) {
        bool low = first[x / 8] >> (7 - x % 8) & 1, high = second[x / 8] >> (7 - x % 8) & 1;
        uint32_t *pixel = pixels + mode->overlay[1] + x;

        if (high) {
            *pixel = mode->overlay[low ? 4 : 3];
        } else if (low) {
            *pixel ^= 0xffffff;
        }
    }
}

const VgaOps cirrus_vga_ops = {
    .write_sequencer = write_sequencer,
    .write_graphics = write_graphics,
    .write_crtc = write_crtc,
    .read_sequencer = read_sequencer,
    .read_graphics = read_graphics,
    .read_crtc = read_crtc,
    .write_dac = write_dac,
    .read_dac = read_dac,
    .write_memory = write_memory,
    .read_memory = read_memory,
    .refine_mode = refine_mode,
    .draw_overlay = draw_overlay,
};

void cirrus_registers_reset(CirrusVga *cirrus)
{
    uint8_t *sequencer = cirrus->vga.sequencer;

    sequencer[SEQUENCER_LOCK] = LOCKED;
    sequencer[0x0f] = cirrus->vga.vram_bytes >= MIB(4) ? 0x98 : 0x18; /* DRAM: 4 MiB, or 2 */
    sequencer[0x15] = cirrus->on_isa ? 3 : 4;
    sequencer[CIRRUS_SEQUENCER_CONFIGURATION] = cirrus->on_isa ? 0x38 : 0x20; /* the bus */
    sequencer[0x1f] = cirrus->on_isa ? 0x22 : 0x2d;         /* memory clock, 60 or 80 MHz */
    cirrus->vga.graphics[0x18] = cirrus->on_isa ? 0 : 0x0f; /* fastest memory */
    cirrus->hidden_dac = cirrus->hidden_dac_reads = 0;
    cirrus->cursor_x = cirrus->cursor_y = 0;
    memset(cirrus->cursor_palette, 0, sizeof(cirrus->cursor_palette));
    memset(cirrus->blit_data, 0, sizeof(cirrus->blit_data));
    end_blit(cirrus);
}
