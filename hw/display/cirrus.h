/* SPDX-License-Identifier: MIT */
/* The parts of cirrus-vga: registers and blitter (cirrus-registers.c), apertures and the card (cirrus-vga.c); the card on ISA (isa-cirrus-vga.c). */
#ifndef HW_DISPLAY_CIRRUS_H
#define HW_DISPLAY_CIRRUS_H

#include "hw/display/cirrus-blit.h"
#include "hw/display/vga.h"
#include "hw/pci/pci.h"

enum {
    CIRRUS_SEQUENCER_EXTENDED = 7,
    CIRRUS_SEQUENCER_CURSOR = 0x12,
    CIRRUS_SEQUENCER_PATTERN = 0x13,
    CIRRUS_SEQUENCER_CONFIGURATION = 0x17,
    CIRRUS_GRAPHICS_BANK_0 = 9,
    CIRRUS_GRAPHICS_BANK_1 = 0xa,
    CIRRUS_GRAPHICS_EXTENSIONS = 0xb,

    CIRRUS_EXTENDED_ON = 1 << 0,
    CIRRUS_CURSOR_SHOWN = 1 << 0,
    CIRRUS_CURSOR_PALETTE = 1 << 1, /* the DAC's ports reach the cursor's colours */
    CIRRUS_CURSOR_64 = 1 << 2,
    CIRRUS_CONFIGURATION_MMIO = 1 << 2, /* blitter registers at 0xb8000 */
    CIRRUS_EXTENSION_TWO_BANKS = 1 << 0,
    CIRRUS_EXTENSION_BY_8 = 1 << 1,
    CIRRUS_EXTENSION_WRITE_MODES = 1 << 2,
    CIRRUS_EXTENSION_BY_16 = 0x14,
    CIRRUS_EXTENSION_16K = 1 << 5,

    CIRRUS_CURSOR_MEMORY = 16 << 10, /* at the end of video memory */
    CIRRUS_CURSOR_COLOURS = 16,
};

typedef struct {
    PciDevice pci; /* of isa-cirrus-vga its device alone */
    bool on_isa;   /* a CL-GD5430 with 2 MiB */
    Vga vga;
    MemoryRegion bar, linear, linear_io, blit_aperture, mmio;
    /* Properties. */
    uint32_t vgamem_mb;
    bool has_blitter;

    uint8_t hidden_dac, hidden_dac_reads;
    uint16_t cursor_x, cursor_y;
    uint8_t cursor_palette[CIRRUS_CURSOR_COLOURS * 3];
    /* A transfer that waits for data of the system. */
    bool blit_waits;
    uint32_t blit_line, blit_filled;
    uint8_t blit_data[CIRRUS_BLIT_WIDTH_MOST];
} CirrusVga;

/* What both cards save. */
#define CIRRUS_STATE                                                                               \
    STATE_STRUCT(CirrusVga, vga, vga_state), STATE(CirrusVga, hidden_dac),                         \
        STATE_MOST(CirrusVga, hidden_dac_reads, 4), STATE(CirrusVga, cursor_x),                    \
        STATE(CirrusVga, cursor_y), STATE(CirrusVga, cursor_palette),                              \
        STATE(CirrusVga, blit_waits), STATE_MOST(CirrusVga, blit_line, 2047),                      \
        STATE_MOST(CirrusVga, blit_filled, CIRRUS_BLIT_WIDTH_MOST - 1),                            \
        STATE(CirrusVga, blit_data)

static inline CirrusVga *cirrus_of(Vga *vga)
{
    return container_of(vga, CirrusVga, vga);
}

extern const VgaOps cirrus_vga_ops;
void cirrus_registers_reset(CirrusVga *cirrus);
/* The blitter's registers as memory: offset 0 to 0xff. */
uint8_t cirrus_blit_register_read(CirrusVga *cirrus, unsigned offset);
void cirrus_blit_register_write(CirrusVga *cirrus, unsigned offset, uint8_t value);
/* A byte that the system gives to the waiting transfer. */
void cirrus_blit_feed(CirrusVga *cirrus, uint8_t value);
/* Whether what the linear aperture shows is not video memory as it is. */
bool cirrus_linear_is_indirect(const CirrusVga *cirrus);
void cirrus_linear_update(CirrusVga *cirrus);
void cirrus_linear_write(CirrusVga *cirrus, uint32_t offset, uint8_t value);
uint8_t cirrus_linear_read(CirrusVga *cirrus, uint32_t offset);

#endif
