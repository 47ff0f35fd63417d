/* SPDX-License-Identifier: MIT */
/*
 * Programs of the registers of VGA, its VBE extension, and the cirrus: the first byte of the input says which card, and from which mode
 * it starts; then steps of five bytes, each an access or a look.
 */
#include "base/bits.h"
#include "tests/device/display-bench.h"
#include "tests/fuzz/fuzz.h"

enum { STEP = 5, STEPS = 600, LOOKS = 24, CARDS = 3 };
enum { OUT, SET, DISPI, LOW, MEMORY, APERTURE, MMIO, LOOK, ACCESSES };

static const struct {
    const char *type;
    unsigned mmio_bar;
} cards[CARDS] = { { "VGA", 2 }, { "cirrus-vga", 1 }, { "bochs-display", 2 } };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_enter_folder();
    return 0;
}

static void start_mode(Card *card, unsigned mode)
{
    static void (*const modes[])(Card * card) = { card_mode_text, card_mode_12h, card_mode_13h,
                                                  card_mode_cga };

    if (mode < G_N_ELEMENTS(modes)) {
        modes[mode](card);
    }
}

static void look(Card *card, unsigned *looks)
{
    if ((*looks)++ < LOOKS) {
        pixman_image_unref(display_look(card->display));
    }
}

static void run_step(Card *card, const uint8_t *step, unsigned *looks)
{
    static const uint16_t indexed[] = { 0x3c4, 0x3ce, 0x3d4, 0x3b4 };
    unsigned size = 1u << step[0] / ACCESSES % 3, value = load_le16(step + 3);
    unsigned at = load_le16(step + 1);

    switch (step[0] % ACCESSES) {
    case OUT:
        card_out(card, 0x3b0 + at % 0x30, value);
        card_in(card, 0x3b0 + (at >> 8) % 0x30);
        break;
    case SET:
        card_set(card, indexed[step[1] % G_N_ELEMENTS(indexed)], step[2], value & 0xff);
        break;
    case DISPI:
        card_dispi(card, step[1] % 12, value);
        break;
    case LOW:
        bench_write(card->bench, 0xa0000 + at, value * 0x10001, size);
        bench_read(card->bench, 0xa0000 + at, size);
        break;
    case MEMORY:
        bench_write(card->bench, CARD_VRAM + at * 64, value * 0x10001, size);
        break;
    case APERTURE: /* of the cirrus: what a transfer from the system takes */
        bench_write(card->bench, CARD_VRAM + (16 << 20) + at, value * 0x10001, size);
        break;
    case MMIO:
        bench_write(card->bench, CARD_MMIO + at % 0x1000, value, size);
        bench_read(card->bench, CARD_MMIO + at % 0x1000, size);
        break;
    default:
        look(card, looks);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned kind = size ? data[0] % CARDS : 0, looks = 0;
    Card *card;

    if (!size) {
        return 0;
    }
    card = card_new(cards[kind].type, cards[kind].mmio_bar);
    start_mode(card, data[0] / CARDS % 6);
    for (size_t at = 1; at + STEP <= size && at < STEP * STEPS; at += STEP) {
        run_step(card, data + at, &looks);
    }
    looks = 0;
    look(card, &looks);
    card_free(card);
    return 0;
}
