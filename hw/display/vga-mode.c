/* SPDX-License-Identifier: MIT */
/* From VGA's registers to what is on the screen. */
#include "hw/display/vga.h"
#include "machine/clock.h"
#include "machine/machine.h"

enum {
    CLOCKING_8_DOTS = 1 << 0,
    CLOCKING_HALF = 1 << 3,
    CLOCKING_SCREEN_OFF = 1 << 5,
    RESET_RUNNING = 3,
    ATTRIBUTE_PALETTE_SHOWN = 1 << 5,
    ATTRIBUTE_MODE = 0x10,
    ATTRIBUTE_PLANES = 0x12,
    ATTRIBUTE_PAN = 0x13,
    ATTRIBUTE_SELECT = 0x14,
    MODE_LINE_GRAPHICS = 1 << 2,
    MODE_BLINK = 1 << 3,
    MODE_PAN_TOP = 1 << 5,
    MODE_PALETTE_45 = 1 << 7,
    MISC_GRAPHICS = 1 << 0,
    SHIFT_INTERLEAVED = 1 << 5,
    SHIFT_256 = 1 << 6,
    CRTC_OVERFLOW = 7,
    CRTC_PRESET_SCAN = 8,
    CRTC_MAX_SCAN = 9,
    CRTC_CURSOR_START = 0xa,
    CRTC_CURSOR_END = 0xb,
    CRTC_START = 0xc,
    CRTC_CURSOR = 0xe,
    CRTC_UNDERLINE = 0x14,
    CRTC_MODE = 0x17,
    CRTC_LINE_COMPARE = 0x18,
    MODE_BYTES = 1 << 6,
    MODE_DOUBLE_HEIGHT = 1 << 2,
    CURSOR_OFF = 1 << 5,
    CURSOR_BLINK_NS = 266000000, /* eight frames at VGA's 60 Hz, and a half */
};

static uint32_t dac_colour(const Vga *vga, unsigned index)
{
    bool wide = vga_dispi_dac_8bit(vga);
    const uint8_t *dac = vga->palette + 3 * (index & vga->dac_mask);
    uint32_t colour = 0;

    for (unsigned i = 0; i < 3; i++) {
        uint8_t six = dac[i] & 0x3f;

        colour = colour << 8 | (wide ? dac[i] : (uint8_t)(six << 2 | six >> 4));
    }
    return colour;
}

static void make_palette(const Vga *vga, VgaMode *mode)
{
    bool direct = mode->kind == VGA_PACKED || mode->kind == VGA_LINEAR;
    uint8_t select = vga->attribute[ATTRIBUTE_SELECT];

    if (mode->kind == VGA_LINEAR && mode->bits != 8) {
        return;
    }
    for (unsigned i = 0; i < (direct ? 256 : 16); i++) {
        unsigned index = i;

        if (!direct) {
            index = (vga->attribute[i] & 0x3f) | (select & 0xc) << 4;
            if (vga->attribute[ATTRIBUTE_MODE] & MODE_PALETTE_45) {
                index = (index & 0xcf) | (select & 3) << 4;
            }
        }
        mode->palette[i] = dac_colour(vga, index);
    }
}

static unsigned word(const uint8_t *registers, unsigned high)
{
    return registers[high] << 8 | registers[high + 1];
}

static void text_mode(const Vga *vga, VgaMode *mode)
{
    const uint8_t *crtc = vga->crtc;
    unsigned fonts = vga->sequencer[3];
    uint64_t blinks = (uint64_t)clock_now_ns(vga->device->machine) / CURSOR_BLINK_NS;

    mode->kind = VGA_TEXT;
    mode->font_b = ((fonts & 3) * 2 + (fonts >> 4 & 1)) * 0x2000;
    mode->font_a = ((fonts >> 2 & 3) * 2 + (fonts >> 5 & 1)) * 0x2000;
    mode->line_graphics = vga->attribute[ATTRIBUTE_MODE] & MODE_LINE_GRAPHICS;
    mode->blink = vga->attribute[ATTRIBUTE_MODE] & MODE_BLINK;
    mode->underline = crtc[CRTC_UNDERLINE] & 0x1f;
    mode->blink_phase = blinks / 2 % 2;
    mode->cursor_start = crtc[CRTC_CURSOR_START] & 0x1f;
    mode->cursor_end = crtc[CRTC_CURSOR_END] & 0x1f;
    mode->cursor_at = word(crtc, CRTC_CURSOR);
    mode->cursor_shown = !(crtc[CRTC_CURSOR_START] & CURSOR_OFF) && blinks % 2 == 0;
}

/* Panning, in dots of the surface. Text of nine dots counts from 8, which is none. */
static unsigned pan_dots(const Vga *vga, const VgaMode *mode)
{
    unsigned pan = vga->attribute[ATTRIBUTE_PAN] & 0xf;

    if (mode->kind == VGA_TEXT && mode->cell_width == 9) {
        pan = pan >= 8 ? 0 : pan + 1;
    } else {
        pan &= 7;
    }
    return pan * mode->dots;
}

static void crtc_mode(const Vga *vga, VgaMode *mode)
{
    const uint8_t *crtc = vga->crtc;
    unsigned overflow = crtc[CRTC_OVERFLOW], max_scan = crtc[CRTC_MAX_SCAN];
    unsigned clocking = vga->sequencer[VGA_SEQUENCER_CLOCKING];

    mode->columns = crtc[1] + 1u;
    mode->cell_width = mode->kind == VGA_TEXT && !(clocking & CLOCKING_8_DOTS) ? 9 : 8;
    mode->dots = clocking & CLOCKING_HALF ? 2 : 1;
    mode->width = mode->columns * mode->cell_width * mode->dots;
    mode->height = (crtc[VGA_CRTC_DISPLAY_END] | (overflow & 2) << 7 | (overflow & 0x40) << 3) + 1u;
    mode->height *= crtc[CRTC_MODE] & MODE_DOUBLE_HEIGHT ? 2 : 1;
    mode->start = word(crtc, CRTC_START) * 4 + (crtc[CRTC_PRESET_SCAN] >> 5 & 3) * 4;
    mode->pitch = crtc[VGA_CRTC_OFFSET] * 8;
    mode->wrap = VGA_PLANES_SIZE - 1;
    mode->scan_lines = (max_scan & 0x1f) + 1;
    mode->repeat = max_scan & 0x80 ? 2 : 1;
    mode->first_scan = crtc[CRTC_PRESET_SCAN] & 0x1f;
    mode->line_compare = crtc[CRTC_LINE_COMPARE] | (overflow & 0x10) << 4 | (max_scan & 0x40) << 3;
    mode->address_scans = ~crtc[CRTC_MODE] & 3;
    mode->address_bit = crtc[CRTC_MODE] & MODE_BYTES ? 15 : 14;
    mode->plane_mask = vga->attribute[ATTRIBUTE_PLANES] & 0xf;
    mode->pan = pan_dots(vga, mode);
    mode->pan_below = vga->attribute[ATTRIBUTE_MODE] & MODE_PAN_TOP ? 0 : mode->pan;
}

static VgaKind graphics_kind(const Vga *vga)
{
    uint8_t shift = vga->graphics[VGA_GRAPHICS_MODE];

    return shift & SHIFT_256           ? VGA_PACKED
           : shift & SHIFT_INTERLEAVED ? VGA_INTERLEAVED
                                       : VGA_PLANAR;
}

/* SeaBIOS's VGA BIOS leaves the clocking register's bit set in the linear modes of cirrus-vga: there it does not count. */
static bool screen_is_off(const Vga *vga, const VgaMode *mode)
{
    if (vga->linear_only) {
        return !vga_dispi_enabled(vga);
    }
    return !(vga->attribute_index & ATTRIBUTE_PALETTE_SHOWN) ||
           (mode->kind != VGA_LINEAR &&
            vga->sequencer[VGA_SEQUENCER_CLOCKING] & CLOCKING_SCREEN_OFF);
}

void vga_mode(Vga *vga, VgaMode *mode)
{
    memset(mode, 0, sizeof(*mode));
    if (vga_dispi_enabled(vga)) {
        vga_dispi_mode(vga, mode);
    } else {
        if (vga->graphics[VGA_GRAPHICS_MISC] & MISC_GRAPHICS) {
            mode->kind = graphics_kind(vga);
        } else {
            text_mode(vga, mode);
        }
        crtc_mode(vga, mode);
        if (vga->ops && vga->ops->refine_mode) {
            vga->ops->refine_mode(vga, mode);
        }
    }
    if (screen_is_off(vga, mode)) {
        /* The size stays, so that blanking does not change a window's; before the first mode there is none. */
        mode->kind = VGA_BLANK;
        mode->pan = mode->pan_below = 0;
        mode->width = vga->crtc[VGA_CRTC_DISPLAY_END] || vga_dispi_enabled(vga) ? mode->width : 640;
        mode->height =
            vga->crtc[VGA_CRTC_DISPLAY_END] || vga_dispi_enabled(vga) ? mode->height : 480;
        memset(mode->overlay, 0, sizeof(mode->overlay));
        mode->cursor_shown = mode->blink_phase = false;
    } else {
        make_palette(vga, mode);
    }
}

uint32_t vga_mode_address(const VgaMode *mode, unsigned line, unsigned *scan, bool *below)
{
    unsigned first = mode->first_scan;
    uint32_t address = mode->start;

    *below = line > mode->line_compare;
    if (*below) {
        line -= mode->line_compare + 1;
        address = first = 0;
    }
    line = line / mode->repeat + MIN(first, mode->scan_lines - 1);
    *scan = line % mode->scan_lines;
    address += line / mode->scan_lines * mode->pitch;
    for (unsigned i = 0; i < 2 && mode->address_bit && mode->kind != VGA_TEXT; i++) {
        if (mode->address_scans >> i & 1) {
            address &= ~(1u << (mode->address_bit + i));
            address |= (*scan >> i & 1) << (mode->address_bit + i);
        }
    }
    return address & mode->wrap;
}
