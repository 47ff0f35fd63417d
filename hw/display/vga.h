/* SPDX-License-Identifier: MIT */
/*
 * The VGA that all PC graphics cards are (IBM PS/2 Hardware Interface Technical Reference, Video Subsystem): registers,
 * planes, text and graphics modes. Cards embed a Vga and add to it by VgaOps.
 *
 * Video memory holds the four planes interleaved: byte A of plane P is at 4 * A + P. Chained and odd/even addresses
 * go to the plane that their low bits say and to the byte that the rest of the address says, so that packed modes are
 * linear, and addresses of the CRT controller count in units of four bytes in every mode.
 */
#ifndef HW_DISPLAY_VGA_H
#define HW_DISPLAY_VGA_H

#include "machine/display.h"

enum {
    VGA_MEMORY_WINDOW = 0xa0000,
    VGA_MEMORY_WINDOW_SIZE = 0x20000,
    VGA_PORTS = 0x3b0,
    VGA_PORTS_SIZE = 0x30,
    VGA_PORT_WINDOWS = 5,
    VGA_PLANES_SIZE = 4 * 64 * 1024,

    VGA_SEQUENCER_COUNT = 32,
    VGA_GRAPHICS_COUNT = 64,
    VGA_CRTC_COUNT = 64,
    VGA_ATTRIBUTE_COUNT = 0x15,
    VGA_DISPI_COUNT = 11,
    VGA_OVERLAY_KEY = 8,

    VGA_CRTC_DISPLAY_END = 0x12, VGA_CRTC_OFFSET = 0x13,
    VGA_SEQUENCER_CLOCKING = 1, VGA_SEQUENCER_MAP_MASK = 2, VGA_SEQUENCER_MEMORY_MODE = 4,
    VGA_GRAPHICS_MODE = 5, VGA_GRAPHICS_MISC = 6,
};

typedef enum {
    VGA_BLANK,
    VGA_TEXT,
    VGA_PLANAR,      /* a bit of each plane makes a pixel */
    VGA_INTERLEAVED, /* CGA's four colours: two bits of a byte */
    VGA_PACKED,      /* a byte a pixel, two dots wide */
    VGA_LINEAR,      /* pixels of `bits` beside each other, one dot wide */
} VgaKind;

/* What the registers say is on the screen. Two that compare equal show the same memory in the same way. */
typedef struct {
    VgaKind kind;
    uint32_t width, height;      /* of the screen */
    uint32_t start, pitch, wrap; /* bytes of video memory; wrap is a mask */
    uint32_t bits;               /* VGA_LINEAR: 8, 15, 16, 24, 32 */
    bool big_endian;
    uint32_t scan_lines;         /* in a row of memory or text */
    uint32_t repeat;             /* 2: each scan line twice */
    uint32_t dots;               /* 2: each dot twice */
    uint32_t first_scan, line_compare, pan, pan_below;
    uint32_t address_bit;        /* CGA and Hercules: where scan line bits enter the address; 0: nowhere */
    uint32_t address_scans;      /* which of them: 1, 2, 3 */
    uint32_t plane_mask;
    uint32_t columns, cell_width;
    uint32_t font_a, font_b, underline;
    bool line_graphics, blink;
    bool cursor_shown, blink_phase;
    uint32_t cursor_at, cursor_start, cursor_end;
    uint32_t overlay[VGA_OVERLAY_KEY]; /* what the card draws over it depends on these; [0] 0: nothing */
    uint32_t palette[256];       /* x8r8g8b8; text and 16 colours: by attribute */
} VgaMode;

typedef struct Vga Vga;
typedef struct VgaScreen VgaScreen;

/* What cards add. Each may be NULL. Register hooks say whether they did all that there is to be done. */
typedef struct {
    bool (*write_sequencer)(Vga *vga, unsigned index, uint8_t value);
    bool (*write_graphics)(Vga *vga, unsigned index, uint8_t value);
    bool (*write_crtc)(Vga *vga, unsigned index, uint8_t value);
    bool (*read_sequencer)(Vga *vga, unsigned index, uint8_t *value);
    bool (*read_graphics)(Vga *vga, unsigned index, uint8_t *value);
    bool (*read_crtc)(Vga *vga, unsigned index, uint8_t *value);
    /* The DAC's four ports from 0x3c6 on. */
    bool (*write_dac)(Vga *vga, unsigned port, uint8_t value);
    bool (*read_dac)(Vga *vga, unsigned port, uint8_t *value);
    /* The window at 0xa0000. */
    bool (*write_memory)(Vga *vga, uint32_t offset, uint8_t value);
    bool (*read_memory)(Vga *vga, uint32_t offset, uint8_t *value);
    /* Changes what VGA's registers alone would show. */
    void (*refine_mode)(Vga *vga, VgaMode *mode);
    /* Draws over a line of the screen. */
    void (*draw_overlay)(Vga *vga, const VgaMode *mode, unsigned line, uint32_t *pixels);
    /* Whether the display shows something else than the VGA's memory now, which the card has brought up to date. */
    bool (*update)(Vga *vga, bool whole);
    /* As in DisplayOps. */
    void (*wish)(Vga *vga, const DisplayInfo *info);
} VgaOps;

struct Vga {
    Device *device;
    const VgaOps *ops;
    MemoryRegion vram, window, ports, port_windows[VGA_PORT_WINDOWS], dispi_ports;
    uint32_t vram_bytes;         /* a power of two */
    uint32_t sequencer_last;     /* highest index that decodes */
    uint32_t graphics_last, crtc_last;
    bool has_dispi;
    bool linear_only;            /* dispi alone decides what is shown, and whether anything is */
    VgaScreen *screen;

    uint8_t misc, feature_control;
    uint8_t sequencer_index, sequencer[VGA_SEQUENCER_COUNT];
    uint8_t graphics_index, graphics[VGA_GRAPHICS_COUNT];
    uint8_t crtc_index, crtc[VGA_CRTC_COUNT];
    uint8_t attribute_index, attribute[32];
    bool attribute_data;         /* the next write to 0x3c0 is data */
    uint8_t dac_mask, dac_state, dac_read_index, dac_write_index, dac_component;
    uint8_t dac_pending[3], palette[768];
    uint32_t latch;
    uint16_t dispi_index, dispi[VGA_DISPI_COUNT];
    bool big_endian;
};

extern const StateField vga_state[];

/* vga-core.c. vram_mb: MiB; rounded up to a power of two, 1 to 512. */
bool vga_init(Vga *vga, Device *device, const VgaOps *ops, uint32_t vram_mb, GError **error);
void vga_destroy(Vga *vga);
void vga_reset(Vga *vga);
/* After loading: nothing on the screen is what it was. */
void vga_state_loaded(Vga *vga);
/* Puts window and ports where every VGA has them. */
void vga_map(Vga *vga, MemoryRegion *memory, MemoryRegion *io);
void vga_unmap(Vga *vga);
uint8_t vga_port_read(Vga *vga, unsigned port);
void vga_port_write(Vga *vga, unsigned port, uint8_t value);

/* vga-memory.c: the window, by offset from 0xa0000. */
extern const MemoryOps vga_memory_ops;
uint8_t vga_memory_read(Vga *vga, uint32_t offset);
void vga_memory_write(Vga *vga, uint32_t offset, uint8_t value);
/* Whether the window's address is decoded; *address: within the memory it shows. */
bool vga_memory_decode(const Vga *vga, uint32_t offset, uint32_t *address);
void vga_vram_written(Vga *vga, uint32_t offset, uint32_t size);

/* vga-dispi.c: Bochs' VBE extensions. */
extern const MemoryOps vga_dispi_port_ops;
bool vga_dispi_enabled(const Vga *vga);
bool vga_dispi_dac_8bit(const Vga *vga);
uint32_t vga_dispi_bank(const Vga *vga);
uint16_t vga_dispi_read(const Vga *vga, unsigned index);
void vga_dispi_write(Vga *vga, unsigned index, uint16_t value);
/* Keeps what is shown within the memory, whatever the registers say. */
void vga_dispi_confine(Vga *vga);
void vga_dispi_mode(const Vga *vga, VgaMode *mode);

/* vga-mode.c */
void vga_mode(Vga *vga, VgaMode *mode);
/* Where the line's row begins, and which scan line of the row it is. */
uint32_t vga_mode_address(const VgaMode *mode, unsigned line, unsigned *scan, bool *below);

/* vga-screen.c */
VgaScreen *vga_screen_new(Vga *vga);
void vga_screen_free(VgaScreen *screen);
void vga_screen_forget(VgaScreen *screen);
Display *vga_screen_display(VgaScreen *screen);

/* vga-draw.c: a line of the screen. source holds four bytes for each unit from the row's start. */
void vga_draw_line(const VgaMode *mode, const uint8_t *source, uint32_t *out);
/* Bytes of video memory that make a line. */
uint32_t vga_line_bytes(const VgaMode *mode);
/* vga-text.c */
/* Its cells from `first` to before `end`; out is where the line begins. */
void vga_draw_text(const Vga *vga, const VgaMode *mode, unsigned line, unsigned first, unsigned end,
                   uint32_t *out);
/* Cells of a row: panning shows a part of one more than the mode's columns. */
unsigned vga_text_cells(const VgaMode *mode);
/* Of the cell of a row, by the row's address: another key where it looks otherwise, if mode and fonts are the same; never 0. */
uint32_t vga_text_cell_key(const Vga *vga, const VgaMode *mode, uint32_t row, unsigned column);
uint64_t vga_text_font_key(const Vga *vga, const VgaMode *mode);
bool vga_read_text(Vga *vga, DisplayText *text);

/*
 * vga-mmio.c: registers in memory, 4 KiB: the monitor's EDID from 0 on, ports from 0x3c0 on at 0x400, dispi registers at 0x500, and
 * at 0x600 the order of bytes in pixels.
 */
enum { VGA_MMIO_SIZE = 0x1000 };
typedef struct {
    Vga *vga;
    MemoryRegion region;
    uint8_t edid[128];
    bool no_ports, has_edid, has_extended;
    /* Properties. */
    uint32_t xres, yres, xmax, ymax, refresh_rate;
} VgaMmio;
/* Fills in what is 0 of the properties; fails for a monitor that an EDID cannot describe. */
bool vga_mmio_check(VgaMmio *mmio, GError **error);
void vga_mmio_init(VgaMmio *mmio, Vga *vga);
#define VGA_MMIO_PROPERTIES(Instance, mmio)                                                        \
    { "edid", PROPERTY_BOOL, offsetof(Instance, mmio.has_edid), "the monitor says what it can",    \
      "on" },                                                                                      \
    { "xres", PROPERTY_U32, offsetof(Instance, mmio.xres), "preferred width, 0: 1280", "0" },      \
    { "yres", PROPERTY_U32, offsetof(Instance, mmio.yres), "preferred height, 0: 800", "0" },      \
    { "xmax", PROPERTY_U32, offsetof(Instance, mmio.xmax), "greatest width of the listed modes",   \
      "0" },                                                                                       \
    { "ymax", PROPERTY_U32, offsetof(Instance, mmio.ymax), "greatest height of the listed modes",  \
      "0" },                                                                                       \
    { "refresh_rate", PROPERTY_U32, offsetof(Instance, mmio.refresh_rate),                         \
      "frames in 1000 seconds, 0: 60000", "0" }

/* edid.c: the 128 bytes by which a monitor says what it can (VESA E-EDID 1.4). */
void edid_make(uint8_t edid[128], uint32_t width, uint32_t height, uint32_t width_max,
               uint32_t height_max, uint32_t refresh_millihertz);

/* ISA has no ROM BARs: the firmware gets a card's BIOS as a file. */
bool isa_vga_add_bios(Device *device, const char *name, GError **error);

#endif
