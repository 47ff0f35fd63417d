/* SPDX-License-Identifier: MIT */
/* CL-GD5446: transfers against a plain model, banks, write modes, what is on the screen, and the cursor. */
#include "base/bits.h"
#include "tests/device/display-bench.h"

enum {
    SEQUENCER = 0x3c4,
    GRAPHICS = 0x3ce,
    CRTC = 0x3d4,
    VRAM_SIZE = 4 << 20,
    VRAM_MASK = VRAM_SIZE - 1
};
enum { APERTURE = CARD_VRAM + (16 << 20), AREA = 64 << 10 /* that random transfers reach */ };
enum { BACKWARDS = 1, FROM_SYSTEM = 4, TRANSPARENT = 8, PATTERN = 0x40, EXPAND = 0x80 };
enum { DWORDS = 1, INVERT = 2, SOLID = 4 };

typedef struct {
    unsigned bytes, width, height, mode, extension, rop, skip, key;
    uint32_t from, to, from_pitch, to_pitch, fore, back;
    uint8_t data[64 << 10]; /* what the system gives */
} Transfer;

/* Operations by code, as truth tables: bit source * 2 + destination. */
static const struct {
    uint8_t code, truth;
} operations[] = { { 0x00, 0x0 }, { 0x05, 0x8 }, { 0x06, 0xa }, { 0x09, 0x4 },
                   { 0x0b, 0x5 }, { 0x0d, 0xc }, { 0x0e, 0xf }, { 0x50, 0x2 },
                   { 0x59, 0x6 }, { 0x6d, 0xe }, { 0x90, 0x1 }, { 0x95, 0x9 },
                   { 0xad, 0xd }, { 0xd0, 0x3 }, { 0xd6, 0xb }, { 0xda, 0x7 } };

static uint32_t combine(unsigned operation, uint32_t source, uint32_t destination)
{
    uint32_t result = 0;

    for (unsigned bit = 0; bit < 32; bit++) {
        unsigned index = (source >> bit & 1) * 2 + (destination >> bit & 1);

        result |= (uint32_t)(operations[operation].truth >> index & 1) << bit;
    }
    return result;
}

static uint32_t get_pixel(const uint8_t *memory, uint32_t at, unsigned bytes)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint32_t)memory[(at + i) & VRAM_MASK] << 8 * i;
    }
    return value;
}

static unsigned data_pitch(const Transfer *t)
{
    unsigned bits = (t->width + 7) / 8;

    if (!(t->mode & EXPAND)) {
        return (t->width * t->bytes + 3) / 4 * 4;
    }
    return t->extension & DWORDS ? (bits + 3) / 4 * 4 : bits;
}

/* The source of a pixel; false: none. */
static bool model_source(const Transfer *t, const uint8_t *memory, unsigned x, unsigned y,
                         uint32_t *pixel)
{
    bool system = t->mode & FROM_SYSTEM, bit;
    const uint8_t *from = system ? t->data : memory;
    uint32_t base = system ? 0 : t->from, row = (t->from + y) % 8;
    unsigned pitch = t->bytes == 3 ? 32 : 8 * t->bytes;

    if (t->mode & EXPAND) {
        if (t->mode & PATTERN) {
            bit = from[(base / 8 * 8 + row) & VRAM_MASK] & 0x80 >> x % 8;
        } else {
            base += y * (system ? data_pitch(t) : (t->width + 7) / 8);
            bit = from[(base + x / 8) & VRAM_MASK] & 0x80 >> x % 8;
        }
        bit ^= !!(t->extension & INVERT);
        *pixel = bit ? t->fore : t->back;
        if (t->extension & SOLID && t->mode & PATTERN && !(t->mode & TRANSPARENT)) {
            *pixel = t->fore;
        }
        if (t->mode & TRANSPARENT) {
            *pixel = t->extension & INVERT ? t->back : t->fore;
            return bit;
        }
        return true;
    }
    if (t->mode & PATTERN) {
        base = base / (8 * pitch) * (8 * pitch);
        *pixel = get_pixel(from, base + row * pitch + x % 8 * t->bytes, t->bytes);
    } else {
        base += y * (system ? data_pitch(t) : t->from_pitch);
        *pixel = get_pixel(from, base + x * t->bytes, t->bytes);
    }
    return true;
}

static void model(const Transfer *t, uint8_t *memory)
{
    uint32_t mask = (uint32_t)bits_mask(8 * t->bytes);

    for (unsigned y = 0; y < t->height; y++) {
        for (unsigned x = t->skip; x < t->width; x++) {
            uint32_t at = t->to + y * t->to_pitch + x * t->bytes, source, result;

            if (!model_source(t, memory, x, y, &source)) {
                continue;
            }
            result = combine(t->rop, source, get_pixel(memory, at, t->bytes)) & mask;
            if (t->mode & TRANSPARENT && !(t->mode & EXPAND) && t->bytes <= 2 &&
                result == (t->key & mask)) {
                continue;
            }
            for (unsigned i = 0; i < t->bytes; i++) {
                memory[(at + i) & VRAM_MASK] = (uint8_t)(result >> 8 * i);
            }
        }
    }
}

static void set_bytes(Card *card, unsigned index, uint32_t value, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        card_set(card, GRAPHICS, index + i, value >> 8 * i & 0xff);
    }
}

static void set_colour(Card *card, unsigned first, uint32_t value)
{
    card_set(card, GRAPHICS, first, value & 0xff);
    for (unsigned i = 1; i < 4; i++) {
        card_set(card, GRAPHICS, 0xe + first + 2 * i, value >> 8 * i & 0xff);
    }
}

static void start(Card *card, const Transfer *t)
{
    uint32_t from = t->from, to = t->to, last;

    if (t->mode & BACKWARDS) { /* from the last byte on */
        last = (t->height - 1);
        from += last * t->from_pitch + t->width * t->bytes - 1;
        to += last * t->to_pitch + t->width * t->bytes - 1;
    }
    set_colour(card, 0, t->back);
    set_colour(card, 1, t->fore);
    set_bytes(card, 0x20, t->width * t->bytes - 1, 2);
    set_bytes(card, 0x22, t->height - 1, 2);
    set_bytes(card, 0x24, t->to_pitch, 2);
    set_bytes(card, 0x26, t->from_pitch, 2);
    set_bytes(card, 0x28, to, 3);
    set_bytes(card, 0x2c, from, 3);
    card_set(card, GRAPHICS, 0x2f, t->bytes == 3 ? t->skip * 3 : t->skip);
    card_set(card, GRAPHICS, 0x30, t->mode | (t->bytes - 1) << 4);
    card_set(card, GRAPHICS, 0x32, operations[t->rop].code);
    card_set(card, GRAPHICS, 0x33, t->extension);
    set_bytes(card, 0x34, t->key, 2);
    card_set(card, GRAPHICS, 0x31, 2);
}

/* Any kind that the engine knows, by a random number generator. */
static void choose(Transfer *t, GRand *rand)
{
    static const unsigned modes[] = {
        0,
        BACKWARDS,
        TRANSPARENT,
        BACKWARDS | TRANSPARENT,
        PATTERN,
        PATTERN | EXPAND,
        EXPAND,
        PATTERN | TRANSPARENT,
        EXPAND | TRANSPARENT,
        PATTERN | EXPAND | TRANSPARENT,
        FROM_SYSTEM,
        FROM_SYSTEM | EXPAND,
        FROM_SYSTEM | PATTERN,
        FROM_SYSTEM | PATTERN | EXPAND,
        FROM_SYSTEM | TRANSPARENT,
        FROM_SYSTEM | EXPAND | TRANSPARENT,
    };
    bool skips;

    t->mode = modes[g_rand_int_range(rand, 0, G_N_ELEMENTS(modes))];
    t->bytes =
        (unsigned)g_rand_int_range(rand, 1, t->mode & BACKWARDS && t->mode & TRANSPARENT ? 3 : 5);
    t->width = (unsigned)g_rand_int_range(rand, 1, 70);
    t->height = (unsigned)g_rand_int_range(rand, 1, 12);
    t->rop = (unsigned)g_rand_int_range(rand, 0, G_N_ELEMENTS(operations));
    t->extension = t->mode & EXPAND ? (unsigned)g_rand_int_range(rand, 0, 8) : 0;
    skips = t->mode & (PATTERN | EXPAND) && g_rand_boolean(rand);
    t->skip = skips ? (unsigned)g_rand_int_range(rand, 0, 8) : 0;
    t->from = (uint32_t)g_rand_int_range(rand, 8 << 10, 24 << 10); /* so that nothing overlaps */
    /* Some destinations go over the end of memory. */
    t->to = g_rand_int_range(rand, 0, 4) ? (uint32_t)g_rand_int_range(rand, AREA / 2, AREA)
                                         : VRAM_SIZE - (uint32_t)g_rand_int_range(rand, 1, 300);
    t->from_pitch = (uint32_t)g_rand_int_range(rand, 280, 600);
    t->to_pitch = (uint32_t)g_rand_int_range(rand, 280, 600);
    t->fore = g_rand_int(rand);
    t->back = g_rand_int(rand);
    t->key = g_rand_int(rand) & 0xffff;
    for (unsigned i = 0; i < sizeof(t->data) / 16; i++) {
        t->data[i] = (uint8_t)g_rand_int(rand);
    }
}

static void give(Card *card, const Transfer *t, GRand *rand)
{
    unsigned pattern = t->mode & EXPAND ? 8 : t->bytes == 3 ? 256 : 64 * t->bytes, i = 0;
    unsigned count = t->mode & PATTERN ? pattern : data_pitch(t) * t->height;

    g_assert_cmphex(card_get(card, GRAPHICS, 0x31) & 1, ==, 1);
    while (i < count) {
        unsigned size = count - i >= 4 ? 4 : 1;

        bench_write(card->bench, g_rand_boolean(rand) ? APERTURE + i : CARD_VRAM + i,
                    get_pixel(t->data, i, size), size);
        i += size;
    }
}

static void test_transfers(void)
{
    Card *card = card_new("cirrus-vga", 1);
    GRand *rand = g_rand_new_with_seed(5446);
    uint8_t *expected = g_malloc0(VRAM_SIZE), *vram = card_vram(card);
    Transfer *t = g_new0(Transfer, 1);

    card_set(card, GRAPHICS, 0xb, 4); /* colours of eight bits */
    for (unsigned i = 0; i < AREA; i++) {
        expected[i] = vram[i] = (uint8_t)g_rand_int(rand);
    }
    for (unsigned i = 0; i < 4000; i++) {
        choose(t, rand);
        model(t, expected);
        start(card, t);
        if (t->mode & FROM_SYSTEM) {
            give(card, t, rand);
        }
        g_assert_cmphex(card_get(card, GRAPHICS, 0x31), ==, 0);
        if (memcmp(vram, expected, 2 * AREA) ||
            memcmp(vram + VRAM_SIZE - AREA, expected + VRAM_SIZE - AREA, AREA)) {
            g_error("transfer %u: mode %#x extension %#x rop %#x, %u bytes, %u x %u, skip %u", i,
                    t->mode, t->extension, operations[t->rop].code, t->bytes, t->width, t->height,
                    t->skip);
        }
    }
    g_free(t);
    g_free(expected);
    g_rand_free(rand);
    card_free(card);
}

/* A copy onto itself in the right direction; the whole width and height; unknown operations do nothing. */
static void test_extremes(void)
{
    Card *card = card_new("cirrus-vga", 1);
    uint8_t *vram = card_vram(card);
    Transfer t = {
        .bytes = 1, .width = 100, .height = 1, .mode = BACKWARDS, .rop = 5, .from = 0, .to = 10
    };

    for (unsigned i = 0; i < 100; i++) {
        vram[i] = (uint8_t)i;
    }
    start(card, &t);
    for (unsigned i = 0; i < 100; i++) {
        g_assert_cmpint(vram[i + 10], ==, i);
    }
    t = (Transfer){ .bytes = 1,
                    .width = 8192,
                    .height = 2048,
                    .mode = PATTERN | EXPAND,
                    .extension = SOLID,
                    .rop = 5,
                    .fore = 0x77,
                    .from = 0x3fffff,
                    .to = 0x3fffff,
                    .to_pitch = 0x1fff };
    card_set(card, GRAPHICS, 0xb, 4);
    start(card, &t);
    g_assert_cmphex(vram[0], ==, 0x77);
    g_assert_cmphex(vram[VRAM_SIZE - 1], ==, 0x77);
    card_set(card, GRAPHICS, 0x32, 0x42);
    card_set(card, GRAPHICS, 0x31, 0);
    card_set(card, GRAPHICS, 0x31, 2);
    g_assert_cmphex(card_get(card, GRAPHICS, 0x31), ==, 0);
    g_assert_cmphex(vram[0], ==, 0x77);
    /* A transfer that waits is given up by the reset bit. */
    t.mode = FROM_SYSTEM;
    start(card, &t);
    g_assert_cmphex(card_get(card, GRAPHICS, 0x31) & 1, ==, 1);
    card_set(card, GRAPHICS, 0x31, 4);
    card_set(card, GRAPHICS, 0x31, 0);
    g_assert_cmphex(card_get(card, GRAPHICS, 0x31), ==, 0);
    bench_write(card->bench, CARD_VRAM + 5, 0x12, 1);
    g_assert_cmphex(vram[5], ==, 0x12);
    card_free(card);
}

static void hidden_dac(Card *card, unsigned value)
{
    for (unsigned i = 0; i < 4; i++) {
        card_in(card, 0x3c6);
    }
    card_out(card, 0x3c6, value);
}

/* 640 x 480 in the depths that drivers set. */
static void test_modes(void)
{
    static const struct {
        unsigned depth, extended, dac, bytes;
        uint32_t pixel, shown;
    } modes[] = {
        { 8, 0x11, 0x00, 1, 7, 0xaaaaaa },           { 15, 0x17, 0xf0, 2, 0x7c1f, 0xff00ff },
        { 16, 0x17, 0xc1, 2, 0x07e0, 0x00ff00 },     { 24, 0x15, 0xc5, 3, 0x123456, 0x123456 },
        { 32, 0x19, 0xc5, 4, 0x00654321, 0x654321 },
    };
    Card *card = card_new("cirrus-vga", 1);

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_autofree char *name = g_strdup_printf("cirrus-%u", modes[i].depth);
        unsigned pitch = 640 * modes[i].bytes / 8;

        card_mode_12h(card);
        hidden_dac(card, modes[i].dac);
        card_set(card, SEQUENCER, 6, 0x12);
        g_assert_cmphex(card_get(card, SEQUENCER, 6), ==, 0x12);
        card_set(card, SEQUENCER, 7, modes[i].extended);
        card_set(card, SEQUENCER, 1, 0x21); /* as SeaBIOS leaves it */
        card_set(card, CRTC, 0x13, pitch & 0xff);
        card_set(card, CRTC, 0x1b, 0x22 | (pitch >> 8) << 4);
        for (unsigned x = 0; x < 50; x++) {
            bench_write(card->bench, CARD_VRAM + (640 * 3 + x) * modes[i].bytes, modes[i].pixel,
                        modes[i].bytes);
        }
        card_look(card, name);
        g_assert_cmpint(card_width(card), ==, 640);
        g_assert_cmpint(card_height(card), ==, 480);
        g_assert_cmphex(card_pixel(card, 0, 3), ==, modes[i].shown);
        g_assert_cmphex(card_pixel(card, 49, 3), ==, modes[i].shown);
        g_assert_cmphex(card_pixel(card, 50, 3), ==, 0);
        memset(card_vram(card), 0, VRAM_SIZE);
    }
    card_free(card);
}

static void test_cursor(void)
{
    Card *card = card_new("cirrus-vga", 1);
    uint8_t *pattern = card_vram(card) + VRAM_SIZE - (16 << 10);

    card_mode_12h(card);
    card_set(card, SEQUENCER, 7, 0x11);
    card_set(card, CRTC, 0x13, 80);
    card_set(card, SEQUENCER, 0x12, 2); /* the cursor's colours */
    card_out(card, 0x3c8, 0);
    card_out(card, 0x3c9, 63);
    card_out(card, 0x3c9, 0);
    card_out(card, 0x3c9, 0);
    card_out(card, 0x3c8, 15);
    card_out(card, 0x3c9, 0);
    card_out(card, 0x3c9, 63);
    card_out(card, 0x3c9, 0);
    card_set(card, SEQUENCER, 0x12, 5);
    card_set(card, SEQUENCER, 0x13, 0);
    card_set(card, SEQUENCER, 0x10 | 3 << 5, 12); /* x 99, y 40 */
    card_set(card, SEQUENCER, 0x11, 5);
    pattern[0] = 0xa0; /* first plane 1 0 1 0, second 0 1 1 0 */
    pattern[8] = 0x60;
    card_look(card, "cirrus-cursor");
    g_assert_cmphex(card_pixel(card, 99, 40), ==, 0xffffff); /* black, inverted */
    g_assert_cmphex(card_pixel(card, 100, 40), ==, 0xff0000);
    g_assert_cmphex(card_pixel(card, 101, 40), ==, 0x00ff00);
    g_assert_cmphex(card_pixel(card, 102, 40), ==, 0);
    g_assert_cmphex(card_pixel(card, 99, 41), ==, 0);
    card_free(card);
}

/* Banks, write modes 4 and 5, registers in BAR 1 and at 0xb8000, start by the address. */
static void test_access(void)
{
    Card *card = card_new("cirrus-vga", 1);
    uint8_t *vram = card_vram(card);

    card_mode_13h(card);
    card_set(card, SEQUENCER, 7, 0x11);
    card_set(card, GRAPHICS, 0xb, 0x21); /* two banks of 16 KiB units */
    card_set(card, GRAPHICS, 9, 3);
    card_set(card, GRAPHICS, 0xa, 17);
    card_poke(card, 0xa0005, 0x31);
    card_poke(card, 0xa8006, 0x32);
    g_assert_cmphex(vram[3 * 16384 + 5], ==, 0x31);
    g_assert_cmphex(vram[17 * 16384 + 6], ==, 0x32);
    g_assert_cmphex(card_peek(card, 0xa8006), ==, 0x32);
    card_set(card, GRAPHICS, 9, 0);
    card_set(card, GRAPHICS, 0xb, 6); /* by 8, extended write modes */
    card_set(card, GRAPHICS, 0, 0x21);
    card_set(card, GRAPHICS, 1, 0x43);
    card_set(card, GRAPHICS, 5, 0x45);
    card_poke(card, 0xa0002, 0x81);
    g_assert_cmphex(load_le64(vram + 16), ==, 0x4321212121212143);
    card_set(card, GRAPHICS, 5, 0x44);
    bench_write(card->bench, CARD_VRAM + 2, 0x42, 1);
    g_assert_cmphex(load_le64(vram + 16), ==, 0x4343212121214343);
    card_set(card, GRAPHICS, 0xb, 0);
    card_set(card, GRAPHICS, 5, 0x40);
    g_assert_cmphex(card_get(card, CRTC, 0x27), ==, 0xb8);
    /* A fill by memory-mapped registers, started by the destination's last byte. */
    card_set(card, SEQUENCER, 0x17, 4);
    card_poke(card, 0xb8040, 0x80);
    bench_write(card->bench, CARD_MMIO + 0x100, 0, 4);
    bench_write(card->bench, CARD_MMIO + 0x104, 0x5566, 4);
    bench_write(card->bench, CARD_MMIO + 0x108, 9 | 0 << 16, 4);
    bench_write(card->bench, CARD_MMIO + 0x118, 0xd0 | 0x0d << 16 | 4 << 24, 4);
    bench_write(card->bench, CARD_MMIO + 0x110, 0x30000, 4);
    g_assert_cmphex(load_le64(vram + 0x30002), ==, 0x5566556655665566);
    g_assert_cmphex(vram[0x3000a], ==, 0);
    g_assert_cmphex(card_peek(card, 0xb8018), ==, 0xd0);
    g_assert_cmphex(bench_read(card->bench, CARD_MMIO + 0x0c, 1), ==, 0x63); /* port 0x3cc */
    card_free(card);
}

static void test_hammer(void)
{
    Card *card = card_new("cirrus-vga", 1);

    card_hammer(card, 60000);
    card_free(card);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cirrus/transfers", test_transfers);
    g_test_add_func("/cirrus/extremes", test_extremes);
    g_test_add_func("/cirrus/modes", test_modes);
    g_test_add_func("/cirrus/cursor", test_cursor);
    g_test_add_func("/cirrus/access", test_access);
    g_test_add_func("/cirrus/hammer", test_hammer);
    return g_test_run();
}
