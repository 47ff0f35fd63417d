/* SPDX-License-Identifier: MIT */
/* For tests of graphics cards: a card on the bench's PCI bus, its ports, memory, and what it shows. */
#ifndef TESTS_DEVICE_DISPLAY_BENCH_H
#define TESTS_DEVICE_DISPLAY_BENCH_H

#include "machine/display.h"
#include "tests/device/bench.h"

enum {
    CARD_VRAM = BENCH_MEMORY_WINDOW,             /* BAR 0 */
    CARD_MMIO = BENCH_MEMORY_WINDOW + 0x4000000, /* the other memory BAR */
    CARD_ROM = BENCH_MEMORY_WINDOW + 0x6000000,
    CARD_DEVFN = 1 << 3,
};

typedef struct {
    Bench *bench;
    Device *device;
    Display *display;
    MemoryRegion low; /* shows the bus's low memory at 0xa0000 of system memory */
    pixman_image_t *image;
} Card;

/* options as for bench_device, NULL-terminated. mmio_bar: which BAR has the registers. */
Card *card_new(const char *type, unsigned mmio_bar);
void card_free(Card *card);
uint8_t card_in(Card *card, unsigned port);
void card_out(Card *card, unsigned port, unsigned value);
/* index at `port`, data at the next. */
void card_set(Card *card, unsigned port, unsigned index, unsigned value);
uint8_t card_get(Card *card, unsigned port, unsigned index);
void card_dispi(Card *card, unsigned index, unsigned value);
/* The window at 0xa0000. */
void card_poke(Card *card, uint32_t address, uint8_t value);
uint8_t card_peek(Card *card, uint32_t address);
uint8_t *card_vram(Card *card);

/* Register sets as IBM's manual lists them for its modes. */
void card_mode_text(Card *card);  /* 3: 80 x 25, 9 x 16 */
void card_mode_12h(Card *card);   /* 640 x 480, 16 colours */
void card_mode_13h(Card *card);   /* 320 x 200, 256 colours */
void card_mode_cga(Card *card);   /* 4: 320 x 200, 4 colours */

/* Looks, and keeps a copy; also as PNG in $KASO_SHOW when that is set. */
void card_look(Card *card, const char *name);
uint32_t card_pixel(Card *card, int x, int y);
int card_width(Card *card);
int card_height(Card *card);

/* Random accesses to all that the card decodes, with looks in between; outlives them, that is all. */
void card_hammer(Card *card, unsigned accesses);

#endif
