/* SPDX-License-Identifier: MIT */
#include "tests/device/display-bench.h"

#include "base/bits.h"
#include "monitor/image-file.h"

enum { SEQUENCER = 0x3c4, GRAPHICS = 0x3ce, CRTC = 0x3d4 };

Card *card_new(const char *type, unsigned mmio_bar)
{
    Card *card = g_new0(Card, 1);
    Bench *bench = card->bench = bench_new(false);

    card->device = bench_device(bench, type, "card", "addr", "1", "romfile", "", NULL);
    card->display = display_find(bench->machine, "card", 0, NULL);
    g_assert_nonnull(card->display);
    bench_config_write(bench, CARD_DEVFN, PCI_BASE_ADDRESS_0, CARD_VRAM, 4);
    bench_config_write(bench, CARD_DEVFN, PCI_BASE_ADDRESS_0 + 4 * mmio_bar, CARD_MMIO, 4);
    bench_config_write(bench, CARD_DEVFN, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 2);
    memory_region_init_alias(&card->low, bench->machine, "low", bench->pcie->memory, 0xa0000,
                             0x20000);
    memory_region_add(bench->machine->system_memory, 0xa0000, &card->low, 0);
    return card;
}

void card_free(Card *card)
{
    if (card->image) {
        pixman_image_unref(card->image);
    }
    bench_free(card->bench);
    g_free(card);
}

uint8_t card_in(Card *card, unsigned port)
{
    return (uint8_t)bench_read(card->bench, BENCH_IO_WINDOW + port, 1);
}

void card_out(Card *card, unsigned port, unsigned value)
{
    bench_write(card->bench, BENCH_IO_WINDOW + port, value, 1);
}

void card_set(Card *card, unsigned port, unsigned index, unsigned value)
{
    bench_write(card->bench, BENCH_IO_WINDOW + port, index | value << 8, 2);
}

uint8_t card_get(Card *card, unsigned port, unsigned index)
{
    card_out(card, port, index);
    return card_in(card, port + 1);
}

void card_dispi(Card *card, unsigned index, unsigned value)
{
    bench_write(card->bench, BENCH_IO_WINDOW + 0x1ce, index, 2);
    bench_write(card->bench, BENCH_IO_WINDOW + 0x1d0, value, 2);
}

void card_poke(Card *card, uint32_t address, uint8_t value)
{
    bench_write(card->bench, address, value, 1);
}

uint8_t card_peek(Card *card, uint32_t address)
{
    return (uint8_t)bench_read(card->bench, address, 1);
}

uint8_t *card_vram(Card *card)
{
    uint64_t size = 4096;
    uint8_t *bytes = address_space_map(&card->bench->machine->memory_space, CARD_VRAM, &size, true);

    g_assert_nonnull(bytes);
    return bytes;
}

typedef struct {
    uint8_t misc, sequencer[5], graphics[9], crtc[25], attribute[21];
} Registers;

static void load(Card *card, const Registers *registers)
{
    card_out(card, 0x3c2, registers->misc);
    for (unsigned i = 0; i < 5; i++) {
        card_set(card, SEQUENCER, i, registers->sequencer[i]);
    }
    card_set(card, CRTC, 0x11, 0);
    for (unsigned i = 0; i < 25; i++) {
        card_set(card, CRTC, i, registers->crtc[i]);
    }
    for (unsigned i = 0; i < 9; i++) {
        card_set(card, GRAPHICS, i, registers->graphics[i]);
    }
    card_in(card, 0x3da);
    for (unsigned i = 0; i < 21; i++) {
        card_out(card, 0x3c0, i);
        card_out(card, 0x3c0, registers->attribute[i]);
    }
    card_out(card, 0x3c0, 0x20);
    /* EGA's 64 colours in the first part of the palette; a ramp behind. */
    card_out(card, 0x3c6, 0xff);
    card_out(card, 0x3c8, 0);
    for (unsigned i = 0; i < 256; i++) {
        for (unsigned c = 0; c < 3; c++) {
            unsigned bit = 2 - c, high = i >> bit & 1, low = i >> (bit + 3) & 1;

            card_out(card, 0x3c9, i < 64 ? high * 42 + low * 21 : (i * (c + 1)) & 0x3f);
        }
    }
}

void card_mode_text(Card *card)
{
    static const Registers text = {
        0x67,
        { 3, 0, 3, 0, 2 },
        { 0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff },
        { 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0,
          0,    0,    0,    0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff },
        { 0,    1,    2,    3,    4,    5,    0x14, 7,    0x38, 0x39, 0x3a,
          0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0,    0x0f, 8,    0 },
    };

    load(card, &text);
}

void card_mode_12h(Card *card)
{
    static const Registers
        mode = {
            0xe3,
            { 3, 1, 0xf, 0, 6 },
            { 0, 0, 0, 0, 0, 0, 5, 0xf, 0xff },
            { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0,    0x40, 0,    0,   0,
              0,    0,    0,    0xea, 0x8c, 0xdf, 0x28, 0,    0xe7, 0x04, 0xe3, 0xff },
            { 0,    1,    2,    3,    4,    5, 0x14, 7,   0x38, 0x39, 0x3a,
              0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 1, 0,    0xf, 0,    0 },
        };

    load(card, &mode);
}

void card_mode_13h(Card *card)
{
    static const Registers mode = {
        0x63,
        { 3, 1, 0xf, 0, 0xe },
        { 0, 0, 0, 0, 0, 0x40, 5, 0xf, 0xff },
        { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0,    0x41, 0,    0,   0,
          0,    0,    0,    0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff },
        { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0, 0xf, 0, 0 },
    };

    load(card, &mode);
}

void card_mode_cga(Card *card)
{
    static const Registers mode = {
        0x63,
        { 3, 9, 3, 0, 2 },
        { 0, 0, 0, 0, 0, 0x30, 0x0f, 0, 0xff },
        { 0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0,    0xc1, 0,    0,   0,
          0,    0,    0,    0x9c, 0x8e, 0x8f, 0x14, 0,    0x96, 0xb9, 0xa2, 0xff },
        { 0,    0x13, 0x15, 0x17, 2,    4, 6, 7, 0x10, 0x11, 0x12,
          0x13, 0x14, 0x15, 0x16, 0x17, 1, 0, 3, 0,    0 },
    };

    load(card, &mode);
}

void card_look(Card *card, const char *name)
{
    pixman_image_t *now = display_look(card->display);
    int width = pixman_image_get_width(now), height = pixman_image_get_height(now);
    const char *folder = g_getenv("KASO_SHOW");

    if (card->image) {
        pixman_image_unref(card->image);
    }
    card->image = pixman_image_create_bits(PIXMAN_x8r8g8b8, width, height, NULL, 0);
    pixman_image_composite32(PIXMAN_OP_SRC, now, NULL, card->image, 0, 0, 0, 0, 0, 0, width,
                             height);
    pixman_image_unref(now);
    if (folder) {
        g_autofree char *path = g_strdup_printf("%s/%s.png", folder, name);
        g_autoptr(GError) error = NULL;

        image_file_write(card->image, IMAGE_FILE_PNG, path, &error);
        g_assert_no_error(error);
    }
}

uint32_t card_pixel(Card *card, int x, int y)
{
    g_assert_cmpint(x, <, card_width(card));
    g_assert_cmpint(y, <, card_height(card));
    return pixman_image_get_data(card->image)[y * pixman_image_get_stride(card->image) / 4 + x] &
           0xffffff;
}

int card_width(Card *card)
{
    return pixman_image_get_width(card->image);
}

int card_height(Card *card)
{
    return pixman_image_get_height(card->image);
}

/* Screens of more than this are set to a smaller size before they are looked at: it is about time. */
enum { HAMMER_PIXELS = 1 << 20 };

static void hammer_look(Card *card, GRand *rand)
{
    DisplayText text;

    if (g_rand_boolean(rand)) {
        card_dispi(card, 4, 0);
    }
    pixman_image_unref(display_look(card->display));
    if (pixman_image_get_width(display_surface(card->display)) *
            pixman_image_get_height(display_surface(card->display)) >
        HAMMER_PIXELS) {
        card_dispi(card, 1, 64);
        card_dispi(card, 2, 64);
    }
    if (display_read_text(card->display, &text)) {
        g_free(text.cells);
    }
}

void card_hammer(Card *card, unsigned accesses)
{
    static const unsigned indices[] = { 0x3c4, 0x3ce, 0x3d4 };
    static const uint64_t places[] = { 0xa0000, CARD_VRAM, CARD_VRAM + (16 << 20), CARD_MMIO,
                                       CARD_MMIO };
    static const uint32_t sizes[] = { 0x20000, 4 << 20, 4 << 20, 0x200, 0x620 };
    GRand *rand = g_rand_new_with_seed(3);

    for (unsigned i = 0; i < accesses; i++) {
        uint32_t value = g_rand_int(rand) >> g_rand_int_range(rand, 0, 32);
        unsigned which = (unsigned)g_rand_int_range(rand, 0, 5);
        unsigned size = 1u << g_rand_int_range(rand, 0, 3);

        switch (g_rand_int_range(rand, 0, 6)) {
        case 0:
        case 1:
            card_set(card, indices[value % 3], (unsigned)g_rand_int_range(rand, 0, 64),
                     value >> 8 & 0xff);
            break;
        case 2:
            card_out(card, 0x3b0 + (unsigned)g_rand_int_range(rand, 0, 0x30), value & 0xff);
            break;
        case 3:
            card_dispi(card, (unsigned)g_rand_int_range(rand, 0, 12), value & 0xffff);
            break;
        case 4:
            bench_write(card->bench, places[which] + g_rand_int(rand) % sizes[which], value, size);
            break;
        default:
            bench_read(card->bench, places[which] + g_rand_int(rand) % sizes[which], size);
            card_in(card, 0x3b0 + (unsigned)g_rand_int_range(rand, 0, 0x30));
        }
        if (i % 256 == 0) {
            hammer_look(card, rand);
        }
    }
    g_rand_free(rand);
    device_reset_tree(card->device);
}
