/* SPDX-License-Identifier: MIT */
/* ramfb: a screen where the guest says by fw_cfg's DMA, and places that are no screen. */
#include "base/bits.h"
#include "hw/display/ramfb.h"
#include "machine/display.h"
#include "tests/device/bench.h"

enum { FW_CFG = 0x09020000, DMA = FW_CFG + 16, DIRECTORY = 0x19, SELECT = 8, READ = 2, WRITE = 16 };
enum { BLOCK = DRIVER_DATA, DATA = DRIVER_DATA + 0x100, SCREEN = DRIVER_DATA + 0x10000 };

/* One transfer between the item and DATA; whether it went well. */
static bool transfer(Bench *bench, unsigned key, unsigned what, uint32_t size)
{
    uint8_t *block = bench_ram(bench, BLOCK), address[8];

    store_be32(block, key << 16 | SELECT | what);
    store_be32(block + 4, size);
    store_be64(block + 8, DATA);
    store_be64(address, BLOCK);
    bench_write(bench, DMA, load_le64(address), 8);
    return load_be32(block) == 0;
}

static unsigned find_file(Bench *bench, const char *name)
{
    const uint8_t *data = bench_ram(bench, DATA);

    g_assert_true(transfer(bench, DIRECTORY, READ, 4 + 64 * 16));
    for (unsigned i = 0; i < load_be32(data); i++) {
        if (strcmp((const char *)data + 4 + 64 * i + 8, name) == 0) {
            return load_be16(data + 4 + 64 * i + 4);
        }
    }
    g_assert_not_reached();
}

static void configure(Bench *bench, unsigned key, uint64_t address, const char *format,
                      uint32_t width, uint32_t height, uint32_t stride)
{
    uint8_t *data = bench_ram(bench, DATA);

    memset(data, 0, 28);
    store_be64(data, address);
    store_be32(data + 8, load_le32((const uint8_t *)format));
    store_be32(data + 16, width);
    store_be32(data + 20, height);
    store_be32(data + 24, stride);
    g_assert_true(transfer(bench, key, WRITE, 28));
}

typedef struct {
    DisplayListener listener;
    int top, bottom;
} Looker;

static void saw_damage(DisplayListener *listener, int x, int y, int width, int height)
{
    ((Looker *)listener)->top = y;
    ((Looker *)listener)->bottom = y + height;
}

static void test_screen(void)
{
    Bench *bench = bench_new(false);
    Device *fw_cfg = device_create(bench->machine, NULL, "fw_cfg_mem", NULL, "fw", NULL);
    Device *ramfb = device_create(bench->machine, NULL, "ramfb", NULL, "fb", NULL);
    Looker looker = { .listener = { .damaged = saw_damage } };
    Display *display;
    unsigned key;

    g_assert_true(device_realize(fw_cfg, NULL));
    device_map(fw_cfg, 0, FW_CFG);
    g_assert_true(device_realize(ramfb, NULL));
    g_assert_true(ramfb_offer(ramfb, fw_cfg, NULL));
    device_reset_tree(fw_cfg);
    display = display_find(bench->machine, "fb", 0, NULL);
    key = find_file(bench, "etc/ramfb");
    g_assert_false(display_is_on(display));
    configure(bench, key, SCREEN, "XR24", 64, 48, 0);
    g_assert_true(display_is_on(display));
    store_le32(bench_ram(bench, SCREEN + 4 * (64 * 47 + 63)), 0x123456);
    g_assert_cmphex(pixman_image_get_data(display_surface(display))[64 * 48 - 1], ==, 0x123456);
    display_add_listener(display, &looker.listener);
    display_refresh(display);
    g_assert_cmpint(looker.bottom, ==, 48);
    looker.top = looker.bottom = 0;
    bench_write(bench, SCREEN + 256 * 20, 1, 4);
    display_refresh(display);
    g_assert_cmpint(looker.top, <=, 20);
    g_assert_cmpint(looker.bottom, >, 20);
    display_remove_listener(display, &looker.listener);
    /* What is none: no memory, no format, lines that overlap, sizes without end. */
    configure(bench, key, 0x1000, "XR24", 64, 48, 0);
    g_assert_false(display_is_on(display));
    configure(bench, key, SCREEN, "XXXX", 64, 48, 0);
    g_assert_false(display_is_on(display));
    configure(bench, key, SCREEN, "XR24", 64, 48, 64);
    g_assert_false(display_is_on(display));
    configure(bench, key, SCREEN, "XR24", UINT32_MAX, UINT32_MAX, UINT32_MAX);
    g_assert_false(display_is_on(display));
    configure(bench, key, BENCH_RAM + BENCH_RAM_SIZE - 4096, "XR24", 64, 48, 0);
    g_assert_false(display_is_on(display));
    configure(bench, key, UINT64_MAX - 3, "RG16", 64, 48, 128);
    g_assert_false(display_is_on(display));
    configure(bench, key, SCREEN, "RG16", 64, 48, 128);
    g_assert_true(display_is_on(display));
    device_reset_tree(ramfb);
    g_assert_false(display_is_on(display));
    bench_free(bench);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ramfb/screen", test_screen);
    return g_test_run();
}
