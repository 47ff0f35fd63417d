/* SPDX-License-Identifier: MIT */
/* Standard VGA: modes set by registers as a BIOS sets them, and what is on the screen then. */
#include "base/bits.h"
#include "machine/clock.h"
#include "tests/device/display-bench.h"

enum { SEQUENCER = 0x3c4, GRAPHICS = 0x3ce, CRTC = 0x3d4, CURSOR_OFF = 0x20 };
enum { LIGHT_GREY = 0xaaaaaa, BLUE = 0x0000aa, WHITE = 0xffffff };

/* A glyph for 'A' in plane 2, as a BIOS loads fonts: 16 lines with all dots but the last row's. */
static void load_font(Card *card)
{
    card_set(card, SEQUENCER, 2, 4);
    card_set(card, SEQUENCER, 4, 7);
    card_set(card, GRAPHICS, 5, 0);
    card_set(card, GRAPHICS, 6, 4);
    for (unsigned i = 0; i < 15; i++) {
        card_poke(card, 0xa0000 + 'A' * 32 + i, i ? 0x81 : 0xff);
        card_poke(card, 0xa0000 + 0xc4 * 32 + i, i == 7 ? 0xff : 0);
    }
    card_set(card, SEQUENCER, 2, 3);
    card_set(card, SEQUENCER, 4, 2);
    card_set(card, GRAPHICS, 5, 0x10);
    card_set(card, GRAPHICS, 6, 0x0e);
}

static void put_text(Card *card, unsigned at, const char *text, uint8_t attribute)
{
    for (; *text; text++, at++) {
        card_poke(card, 0xb8000 + 2 * at, (uint8_t)*text);
        card_poke(card, 0xb8000 + 2 * at + 1, attribute);
    }
}

static void test_text(void)
{
    Card *card = card_new("VGA", 2);
    DisplayText text;

    card_mode_text(card);
    load_font(card);
    put_text(card, 0, "A\xc4", 0x17);
    put_text(card, 81, "A", 0xf1);
    card_set(card, CRTC, 0x0f, 2); /* cursor at column 2 */
    card_look(card, "text");
    g_assert_cmpint(card_width(card), ==, 720);
    g_assert_cmpint(card_height(card), ==, 400);
    g_assert_cmphex(card_pixel(card, 0, 0), ==, LIGHT_GREY);
    g_assert_cmphex(card_pixel(card, 8, 0), ==, BLUE); /* the ninth dot is background */
    g_assert_cmphex(card_pixel(card, 1, 1), ==, BLUE);
    g_assert_cmphex(card_pixel(card, 17, 7), ==, LIGHT_GREY); /* but not of line graphics */
    g_assert_cmphex(card_pixel(card, 19, 13), ==, 0);         /* a cell of zeros: black on black */
    g_assert_cmphex(card_pixel(card, 9, 16), ==, BLUE); /* blink: the background has three bits */
    g_assert_cmphex(card_pixel(card, 10, 17), ==, LIGHT_GREY);
    g_assert_true(display_read_text(card->display, &text));
    g_assert_cmpuint(text.columns, ==, 80);
    g_assert_cmpuint(text.rows, ==, 25);
    g_assert_cmpint(text.cells[81].character, ==, 'A');
    g_assert_cmphex(text.cells[81].attribute, ==, 0xf1);
    g_assert_true(text.cursor_shown);
    g_assert_cmpuint(text.cursor_column, ==, 2);
    g_free(text.cells);
    card_poke(card, 0xb8000 + 5, 0x07); /* the cursor has its cell's foreground */
    card_look(card, "cursor");
    g_assert_cmphex(card_pixel(card, 19, 13), ==, LIGHT_GREY);
    g_assert_cmphex(card_pixel(card, 19, 12), ==, 0);
    card_set(card, CRTC, 0x0a, CURSOR_OFF);
    card_set(card, CRTC, 0x0d, 80); /* scrolled by a line */
    card_look(card, "scrolled");
    g_assert_cmphex(card_pixel(card, 9, 0), ==, BLUE);
    g_assert_cmphex(card_pixel(card, 19, 13), ==, 0);
    card_free(card);
}

/* Each write mode on latched data, and both read modes. */
static void test_planes(void)
{
    Card *card = card_new("VGA", 2);
    uint32_t at = 0xa0000;

    card_mode_12h(card);
    card_set(card, SEQUENCER, 2, 0x5);
    card_poke(card, at, 0xf0); /* planes 0 and 2 */
    card_set(card, SEQUENCER, 2, 0xf);
    card_set(card, GRAPHICS, 4, 2);
    g_assert_cmphex(card_peek(card, at), ==, 0xf0);
    card_set(card, GRAPHICS, 4, 1);
    g_assert_cmphex(card_peek(card, at), ==, 0);
    card_set(card, GRAPHICS, 5, 8); /* colour 5 compared on all planes */
    card_set(card, GRAPHICS, 2, 5);
    g_assert_cmphex(card_peek(card, at), ==, 0xf0);
    card_set(card, GRAPHICS, 7, 1);
    g_assert_cmphex(card_peek(card, at), ==, 0xf0);
    card_set(card, GRAPHICS, 5, 1); /* the latch as it is */
    card_poke(card, at + 1, 0);
    card_set(card, GRAPHICS, 5, 2); /* colour 9 where the mask says */
    card_set(card, GRAPHICS, 8, 0x18);
    card_peek(card, at);
    card_poke(card, at, 9);
    card_set(card, GRAPHICS, 5, 3); /* set/reset through rotated data */
    card_set(card, GRAPHICS, 8, 0xff);
    card_set(card, GRAPHICS, 0, 0xe);
    card_set(card, GRAPHICS, 3, 1);
    card_peek(card, at);
    card_poke(card, at, 2);
    card_set(card, GRAPHICS, 5, 0); /* xor, set/reset on plane 1 */
    card_set(card, GRAPHICS, 1, 2);
    card_set(card, GRAPHICS, 0, 2);
    card_set(card, GRAPHICS, 3, 0x18);
    card_peek(card, at + 1);
    card_poke(card, at + 1, 0x0f);
    card_look(card, "planes");
    g_assert_cmpint(card_width(card), ==, 640);
    g_assert_cmpint(card_height(card), ==, 480);
    g_assert_cmphex(card_pixel(card, 0, 0), ==, 0xaa00aa); /* 5 */
    g_assert_cmphex(card_pixel(card, 3, 0), ==, 0x5555ff); /* 9 */
    g_assert_cmphex(card_pixel(card, 7, 0), ==, 0xffff55); /* 14 */
    g_assert_cmphex(card_pixel(card, 6, 0), ==, 0);
    g_assert_cmphex(card_pixel(card, 8, 0), ==, LIGHT_GREY); /* 5 with plane 1 */
    g_assert_cmphex(card_pixel(card, 12, 0), ==, WHITE);     /* 0 ^ 13 with plane 1 */
    card_free(card);
}

/* With odd addresses chained to even ones the lowest bit reaches no plane, whatever else is odd and even. */
static void test_chained(void)
{
    Card *card = card_new("VGA", 2);
    uint32_t at = 0xa0000;

    card_mode_12h(card);
    card_set(card, SEQUENCER, 2, 0xf);
    card_set(card, GRAPHICS, 6, 7);
    card_poke(card, at, 0x12);
    card_poke(card, at + 1, 0x34);
    g_assert_cmphex(card_peek(card, at), ==, 0x34);
    card_set(card, GRAPHICS, 6, 5);
    g_assert_cmphex(card_peek(card, at), ==, 0x34);
    g_assert_cmphex(card_peek(card, at + 1), ==, 0);
    /* Indices have as many bits as there are registers. */
    card_set(card, GRAPHICS, 0x16, 7);
    card_poke(card, at + 3, 0x56);
    g_assert_cmphex(card_peek(card, at + 2), ==, 0x56);
    card_set(card, SEQUENCER, 0x0a, 0);
    card_poke(card, at + 2, 0x78);
    g_assert_cmphex(card_peek(card, at + 2), ==, 0x56);
    card_free(card);
}

static void test_256(void)
{
    Card *card = card_new("VGA", 2);

    card_mode_13h(card);
    for (unsigned i = 0; i < 64000; i++) {
        card_poke(card, 0xa0000 + i, (uint8_t)(i % 320));
    }
    card_look(card, "mode-13h");
    g_assert_cmpint(card_width(card), ==, 640);
    g_assert_cmpint(card_height(card), ==, 400);
    g_assert_cmphex(card_pixel(card, 2, 3), ==, BLUE);
    g_assert_cmphex(card_pixel(card, 15, 0), ==, LIGHT_GREY);
    g_assert_cmphex(card_pixel(card, 639, 399), ==, WHITE); /* 319 % 256 = 63 */
    /* Without chain 4 the same memory is four planes, and a screen below it. */
    card_set(card, SEQUENCER, 4, 6);
    card_set(card, SEQUENCER, 2, 2);
    card_poke(card, 0xa0000 + 80, 15);
    card_look(card, "unchained");
    g_assert_cmphex(card_pixel(card, 2, 2), ==, card_pixel(card, 30, 0));
    /* The lower half begins at address 0 again. */
    card_set(card, CRTC, 0x0d, 80);
    card_set(card, CRTC, 0x18, 199);
    card_set(card, CRTC, 7, 0x0f);
    card_set(card, CRTC, 9, 0x01);
    card_look(card, "split");
    g_assert_cmphex(card_pixel(card, 2, 0), ==, card_pixel(card, 30, 200));
    g_assert_cmphex(card_pixel(card, 2, 200), ==, BLUE);
    card_free(card);
}

static void test_cga(void)
{
    Card *card = card_new("VGA", 2);

    card_mode_cga(card);
    card_poke(card, 0xb8000, 0x1b); /* colours 0 1 2 3 */
    card_poke(card, 0xb8001, 0xe4); /* 3 2 1 0 */
    card_poke(card, 0xb8000 + 0x2000, 0xff);
    card_poke(card, 0xb8000 + 80, 0x55);
    card_look(card, "cga");
    g_assert_cmpint(card_width(card), ==, 640);
    g_assert_cmphex(card_pixel(card, 0, 0), ==, 0);
    g_assert_cmphex(card_pixel(card, 6, 0), ==, card_pixel(card, 8, 0));
    g_assert_cmphex(card_pixel(card, 6, 1), ==,
                    card_pixel(card, 0, 2)); /* odd lines lie 8 KiB on */
    g_assert_cmphex(card_pixel(card, 2, 0), ==, card_pixel(card, 0, 4));
    g_assert_cmphex(card_pixel(card, 8, 2), ==, 0);
    card_free(card);
}

static void test_vbe(void)
{
    static const struct {
        unsigned bpp;
        uint32_t pixel, shown;
    } depths[] = {
        { 8, 0x07, LIGHT_GREY },  { 15, 0x7c1f, 0xff00ff },   { 16, 0xf81f, 0xff00ff },
        { 16, 0x07e0, 0x00ff00 }, { 24, 0x123456, 0x123456 }, { 32, 0x654321, 0x654321 }
    };
    Card *card = card_new("VGA", 2);

    card_mode_13h(card);
    for (size_t i = 0; i < G_N_ELEMENTS(depths); i++) {
        unsigned bytes = (depths[i].bpp + 7) / 8;
        g_autofree char *name = g_strdup_printf("vbe-%u", depths[i].bpp);

        card_dispi(card, 4, 0);
        card_dispi(card, 1, 800);
        card_dispi(card, 2, 600);
        card_dispi(card, 3, depths[i].bpp);
        card_dispi(card, 4, 0x41);
        for (unsigned x = 0; x < 100; x++) {
            bench_write(card->bench, CARD_VRAM + (800 * 2 + x) * bytes, depths[i].pixel, bytes);
        }
        card_look(card, name);
        g_assert_cmpint(card_width(card), ==, 800);
        g_assert_cmpint(card_height(card), ==, 600);
        g_assert_cmphex(card_pixel(card, 0, 2), ==, depths[i].shown);
        g_assert_cmphex(card_pixel(card, 99, 2), ==, depths[i].shown);
        g_assert_cmphex(card_pixel(card, 100, 2), ==, 0);
        g_assert_cmphex(card_pixel(card, 0, 1), ==, 0);
        card_dispi(card, 9, 2); /* scrolled */
        card_look(card, name);
        g_assert_cmphex(card_pixel(card, 0, 0), ==, depths[i].shown);
        /* The window in banks. */
        card_dispi(card, 9, 0);
        card_dispi(card, 5, 1);
        card_poke(card, 0xa0000, 0x55);
        g_assert_cmphex(bench_read(card->bench, CARD_VRAM + 0x10000, 1), ==, 0x55);
    }
    card_free(card);
}

/* Absurd sizes are confined to the memory there is. */
static void test_vbe_limits(void)
{
    Card *card = card_new("VGA", 2);

    card_mode_13h(card);
    card_dispi(card, 1, 0xffff);
    card_dispi(card, 2, 0xffff);
    card_dispi(card, 3, 32);
    card_dispi(card, 4, 0x41);
    card_dispi(card, 6, 0xffff);
    card_dispi(card, 8, 0xffff);
    card_dispi(card, 9, 0xffff);
    card_dispi(card, 5, 0xffff);
    card_look(card, "limits");
    g_assert_cmpint(card_width(card), ==, 16000);
    g_assert_cmpint(card_height(card), ==, (16 << 20) / 64000);
    card_dispi(card, 3, 4);
    card_dispi(card, 6, 16000);
    card_look(card, "limits-planar");
    card_free(card);
}

/* Registers in BAR 2. */
static void test_mmio(void)
{
    Card *card = card_new("VGA", 2);
    Bench *bench = card->bench;
    uint8_t sum = 0;

    for (unsigned i = 0; i < 128; i++) {
        sum += bench_read(bench, CARD_MMIO + i, 1);
    }
    g_assert_cmpint(sum, ==, 0);
    g_assert_cmphex(bench_read(bench, CARD_MMIO, 8), ==, 0x00ffffffffffff00);
    g_assert_cmphex(bench_read(bench, CARD_MMIO + 0x500, 2), ==, 0xb0c5);
    g_assert_cmphex(bench_read(bench, CARD_MMIO + 0x514, 2), ==, 256);
    g_assert_cmphex(bench_read(bench, CARD_MMIO + 0x600, 4), ==, 8);
    g_assert_cmphex(bench_read(bench, CARD_MMIO + 0x604, 4), ==, 0x1e1e1e1e);
    bench_write(bench, CARD_MMIO + 0x502, 640, 2);
    bench_write(bench, CARD_MMIO + 0x504, 400, 2);
    bench_write(bench, CARD_MMIO + 0x506, 32, 2);
    bench_write(bench, CARD_MMIO + 0x508, 0x41, 2);
    bench_write(bench, CARD_MMIO + 0x400, 0x20, 1); /* the screen on, by port 0x3c0 */
    bench_write(bench, CARD_MMIO + 0x604, 0xbebebebe, 4);
    bench_write(bench, CARD_VRAM, 0x11223300, 4);
    card_look(card, "big-endian");
    g_assert_cmphex(card_pixel(card, 0, 0), ==, 0x332211);
    g_assert_cmphex(bench_config_read(bench, CARD_DEVFN, PCI_VENDOR_ID, 4), ==, 0x11111234);
    g_assert_cmphex(bench_config_read(bench, CARD_DEVFN, PCI_REVISION_ID, 4), ==, 0x03000002);
    card_free(card);
}

/* Damage. */

typedef struct {
    DisplayListener listener;
    unsigned surfaces, count;
    int x, y, width, height;
} Watcher;

static void surface_changed(DisplayListener *listener, pixman_image_t *surface)
{
    container_of(listener, Watcher, listener)->surfaces++;
}

static void damaged(DisplayListener *listener, int x, int y, int width, int height)
{
    Watcher *watcher = container_of(listener, Watcher, listener);

    watcher->count++;
    watcher->x = x;
    watcher->y = y;
    watcher->width = width;
    watcher->height = height;
}

static bool settled(void *opaque)
{
    return true;
}

static void refresh(Card *card, Watcher *watcher)
{
    watcher->count = watcher->surfaces = 0;
    display_refresh(card->display);
}

static void expect(const Watcher *watcher, int x, int y, int width, int height)
{
    g_assert_cmpuint(watcher->count, ==, 1);
    g_assert_cmpint(watcher->x, ==, x);
    g_assert_cmpint(watcher->y, ==, y);
    g_assert_cmpint(watcher->width, ==, width);
    g_assert_cmpint(watcher->height, ==, height);
}

static void test_damage(void)
{
    static const MemoryWatchHooks hooks = { .settled = settled };
    Card *card = card_new("VGA", 2);
    Watcher watcher = { .listener = { surface_changed, damaged } };

    clock_set_manual(card->bench->machine);
    memory_set_watch_hooks(card->bench->machine, &hooks, NULL);
    card_mode_text(card);
    load_font(card);
    display_add_listener(card->display, &watcher.listener);
    refresh(card, &watcher);
    g_assert_cmpuint(watcher.surfaces, ==, 1);
    expect(&watcher, 0, 0, 720, 400);
    refresh(card, &watcher);
    g_assert_cmpuint(watcher.count, ==, 0);
    put_text(card, 85, "A", 0x17);
    refresh(card, &watcher);
    g_assert_cmpuint(watcher.surfaces, ==, 0);
    expect(&watcher, 45, 16, 9, 16);
    /* A cursor that comes, moves and goes; the clock is the bench's. */
    put_text(card, 2, "  ", 0x07);
    refresh(card, &watcher);
    card_set(card, CRTC, 0xa, 14);
    card_set(card, CRTC, 0xb, 15);
    card_set(card, CRTC, 0xf, 2);
    refresh(card, &watcher);
    expect(&watcher, 18, 14, 9, 2);
    card_set(card, CRTC, 0xf, 3);
    refresh(card, &watcher);
    expect(&watcher, 18, 14, 18, 2);
    clock_advance(card->bench->machine, 266000000);
    refresh(card, &watcher);
    expect(&watcher, 27, 14, 9, 2);
    refresh(card, &watcher);
    g_assert_cmpuint(watcher.count, ==, 0);
    /* Another glyph for 'A', of which there is one. */
    card_set(card, SEQUENCER, 2, 4);
    card_set(card, SEQUENCER, 4, 7);
    card_set(card, GRAPHICS, 5, 0);
    card_set(card, GRAPHICS, 6, 4);
    card_poke(card, 0xa0000 + 'A' * 32 + 5, 0x7e);
    card_set(card, SEQUENCER, 2, 3);
    card_set(card, SEQUENCER, 4, 2);
    card_set(card, GRAPHICS, 5, 0x10);
    card_set(card, GRAPHICS, 6, 0x0e);
    refresh(card, &watcher);
    expect(&watcher, 45, 21, 8, 1);
    /* Cells that blink. */
    card_set(card, CRTC, 0xa, CURSOR_OFF);
    put_text(card, 85, "A", 0x97);
    refresh(card, &watcher);
    clock_advance(card->bench->machine, 2 * 266000000);
    refresh(card, &watcher);
    expect(&watcher, 45, 16, 8, 15);
    /* Linear: whole lines of the page. */
    card_dispi(card, 1, 1024);
    card_dispi(card, 2, 768);
    card_dispi(card, 3, 32);
    card_dispi(card, 4, 0x41);
    refresh(card, &watcher);
    g_assert_cmpuint(watcher.surfaces, ==, 1);
    refresh(card, &watcher);
    g_assert_cmpuint(watcher.count, ==, 0);
    bench_write(card->bench, CARD_VRAM + 4096 * 10 + 40, 1, 4);
    refresh(card, &watcher);
    expect(&watcher, 0, 10, 1024, 1);
    display_remove_listener(card->display, &watcher.listener);
    card_free(card);
}

static void test_rom(void)
{
    g_autofree char *path = NULL;
    const FwCfgFile *file;
    char bytes[3000];
    Bench *bench = bench_new(false);
    int fd = g_file_open_tmp("kaso-rom-XXXXXX", &path, NULL);

    memset(bytes, 0x5a, sizeof(bytes));
    g_assert_cmpint(write(fd, bytes, sizeof(bytes)), ==, sizeof(bytes));
    close(fd);
    bench_device(bench, "virtio-rng-pci", NULL, "addr", "1", "romfile", path, NULL);
    bench_device(bench, "virtio-rng-pci", NULL, "addr", "2", "romfile", path, "rombar", "0", NULL);
    bench_config_write(bench, CARD_DEVFN, PCI_ROM_ADDRESS, 0xfffffffe, 4);
    g_assert_cmphex(bench_config_read(bench, CARD_DEVFN, PCI_ROM_ADDRESS, 4), ==, 0xfffff000);
    bench_config_write(bench, CARD_DEVFN, PCI_ROM_ADDRESS, CARD_ROM, 4);
    bench_config_write(bench, CARD_DEVFN, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    g_assert_cmphex(bench_read(bench, CARD_ROM, 1), ==, 0xff); /* not enabled: nobody */
    bench_config_write(bench, CARD_DEVFN, PCI_ROM_ADDRESS, CARD_ROM | 1, 4);
    g_assert_cmphex(bench_read(bench, CARD_ROM + 2996, 8), ==, 0xffffffff5a5a5a5a);
    bench_write(bench, CARD_ROM, 0, 4);
    g_assert_cmphex(bench_read(bench, CARD_ROM, 4), ==, 0x5a5a5a5a);
    bench_config_write(bench, 2 << 3, PCI_ROM_ADDRESS, UINT32_MAX, 4);
    g_assert_cmphex(bench_config_read(bench, 2 << 3, PCI_ROM_ADDRESS, 4), ==, 0);
    file = g_ptr_array_index(bench->machine->config.fw_cfg_files, 0);
    g_assert_true(g_str_has_prefix(file->name, "genroms/kaso-rom-"));
    g_assert_cmpuint(g_bytes_get_size(file->content), ==, sizeof(bytes));
    bench_free(bench);
    unlink(path);
}

static void test_hammer(void)
{
    Card *card = card_new("VGA", 2);

    card_hammer(card, 60000);
    card_free(card);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vga/text", test_text);
    g_test_add_func("/vga/planes", test_planes);
    g_test_add_func("/vga/chained", test_chained);
    g_test_add_func("/vga/256", test_256);
    g_test_add_func("/vga/cga", test_cga);
    g_test_add_func("/vga/vbe", test_vbe);
    g_test_add_func("/vga/vbe-limits", test_vbe_limits);
    g_test_add_func("/vga/mmio", test_mmio);
    g_test_add_func("/vga/damage", test_damage);
    g_test_add_func("/pci/rom", test_rom);
    g_test_add_func("/vga/hammer", test_hammer);
    return g_test_run();
}
