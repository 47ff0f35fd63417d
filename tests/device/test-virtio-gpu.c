/* SPDX-License-Identifier: MIT */
/* The virtio GPU by its queues: images, heads, the pointer, sizes that viewers wish for, saved states, and commands of a driver that errs. */
#include <string.h>

#include "base/bits.h"
#include "machine/display.h"
#include "machine/saved-state.h"
#include "tests/device/bench.h"

enum {
    COMMAND = DRIVER_DATA,
    ANSWER = DRIVER_DATA + 0x1000,
    PIXELS = DRIVER_DATA + 0x10000,
    CONTROL = 0,
    CURSOR = 1,
    HEADER = 24,
    EDID = 1,
    OK_NODATA = 0x1100,
    OK_DISPLAY_INFO = 0x1101,
    OK_EDID = 0x1104,
    ERROR_UNSPEC = 0x1200,
    ERROR_OUT_OF_MEMORY,
    ERROR_SCANOUT,
    ERROR_RESOURCE,
    ERROR_PARAMETER = 0x1205,
};

/* A command of 32-bit words; what came back. */
static unsigned send_words(Driver *driver, unsigned queue, unsigned type, const uint32_t *words,
                           unsigned count)
{
    uint8_t *out = bench_ram(driver->bench, COMMAND);
    const Buffer buffers[] = { { COMMAND, HEADER + 4 * count, false }, { ANSWER, 2048, true } };

    memset(out, 0, 128);
    memset(bench_ram(driver->bench, ANSWER), 0, 2048);
    store_le32(out, type);
    for (unsigned i = 0; i < count; i++) {
        store_le32(out + HEADER + 4 * i, words[i]);
    }
    driver_do(driver, queue, buffers, 2);
    return load_le32(bench_ram(driver->bench, ANSWER));
}
#define SEND(driver, queue, type, ...)                                                             \
    send_words(driver, queue, type, (const uint32_t[]){ __VA_ARGS__ },                             \
               sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4)

static Driver *start(gconstpointer kind, const char *outputs)
{
    Driver *driver = driver_new(NULL, *(const DriveKind *)kind, "virtio-gpu", "max_outputs",
                                outputs, "xres", "640", "yres", "480", NULL);

    driver_start(driver, BIT(EDID), 2);
    return driver;
}

/* A resource of 64 by 32 pixels, whose backing is in two pieces; each pixel's value is its number. */
static void make_image(Driver *driver, unsigned id)
{
    for (uint32_t i = 0; i < 64 * 32; i++) {
        store_le32(bench_ram(driver->bench, PIXELS + 4 * i), i);
    }
    g_assert_cmpuint(SEND(driver, CONTROL, 0x101, id, 2, 64, 32), ==, OK_NODATA);
    g_assert_cmpuint(
        SEND(driver, CONTROL, 0x106, id, 2, PIXELS, 0, 4096, 0, PIXELS + 4096, 0, 4096, 0), ==,
        OK_NODATA);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x105, 0, 0, 64, 32, 0, 0, id, 0), ==, OK_NODATA);
}

static uint32_t pixel(Display *display, unsigned x, unsigned y)
{
    pixman_image_t *image = display_surface(display);

    return pixman_image_get_data(image)[y * (unsigned)pixman_image_get_stride(image) / 4 + x];
}

typedef struct {
    DisplayListener listener;
    int x, y, width, height;
    unsigned surfaces, cursors;
} Looker;

static void saw_surface(DisplayListener *listener, pixman_image_t *surface)
{
    ((Looker *)listener)->surfaces++;
}

static void saw_damage(DisplayListener *listener, int x, int y, int width, int height)
{
    Looker *looker = (Looker *)listener;

    looker->x = x;
    looker->y = y;
    looker->width = width;
    looker->height = height;
}

static void saw_cursor(DisplayListener *listener, bool image)
{
    ((Looker *)listener)->cursors++;
}

static void test_image(gconstpointer kind)
{
    Driver *driver = start(kind, "1");
    Display *display = display_find(driver->bench->machine, "dev0", 0, NULL);
    Looker looker = { .listener = { .surface_changed = saw_surface,
                                    .damaged = saw_damage,
                                    .cursor_changed = saw_cursor } };

    display_add_listener(display, &looker.listener);
    make_image(driver, 7);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x103, 8, 4, 48, 28, 0, 7), ==, OK_NODATA);
    g_assert_cmpuint(looker.surfaces, ==, 2);
    g_assert_cmpint(pixman_image_get_width(display_surface(display)), ==, 48);
    g_assert_cmpuint(pixel(display, 0, 0), ==, 4 * 64 + 8);
    g_assert_cmpuint(pixel(display, 47, 27), ==, 31 * 64 + 55);
    /* A part of the backing has changed, which is seen after a transfer, and told by a flush. */
    store_le32(bench_ram(driver->bench, PIXELS + 4 * (10 * 64 + 20)), 0xabcdef);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x105, 20, 10, 2, 2, 4 * (10 * 64 + 20), 0, 7, 0), ==,
                     OK_NODATA);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x104, 0, 8, 22, 4, 7, 0), ==, OK_NODATA);
    g_assert_cmpuint(pixel(display, 12, 6), ==, 0xabcdef);
    g_assert_cmpint(looker.x, ==, 0);
    g_assert_cmpint(looker.y, ==, 4);
    g_assert_cmpint(looker.width, ==, 14);
    g_assert_cmpint(looker.height, ==, 4);
    /* The pointer. */
    g_assert_cmpuint(SEND(driver, CURSOR, 0x300, 0, 5, 6, 0, 7, 2, 3, 0), ==, OK_NODATA);
    g_assert_true(display_cursor(display)->shown);
    g_assert_cmpint(display_cursor(display)->x, ==, 7);
    g_assert_cmpint(display_cursor(display)->hot_y, ==, 3);
    g_assert_cmpuint(SEND(driver, CURSOR, 0x301, 0, 50, 60, 0, 0, 0, 0, 0), ==, OK_NODATA);
    g_assert_cmpint(display_cursor(display)->y, ==, 63);
    g_assert_cmpuint(SEND(driver, CURSOR, 0x300, 0, 50, 60, 0, 0, 0, 0, 0), ==, OK_NODATA);
    g_assert_false(display_cursor(display)->shown);
    g_assert_cmpuint(looker.cursors, >, 0);
    /* An image that goes takes its head with it. */
    g_assert_cmpuint(SEND(driver, CONTROL, 0x102, 7, 0), ==, OK_NODATA);
    g_assert_false(display_is_on(display));
    display_remove_listener(display, &looker.listener);
    driver_free(driver);
}

static void test_sizes(gconstpointer kind)
{
    Driver *driver = start(kind, "3");
    Display *second = display_find(driver->bench->machine, "dev0", 1, NULL);
    const uint8_t *answer = bench_ram(driver->bench, ANSWER);
    DisplayInfo info = { .width = 1920, .height = 1080, .x = 640 };
    uint8_t sum = 0;

    g_assert_cmpuint(driver_config(driver, 8, 4), ==, 3);
    g_assert_cmpuint(send_words(driver, CONTROL, 0x100, NULL, 0), ==, OK_DISPLAY_INFO);
    g_assert_cmpuint(load_le32(answer + HEADER + 8), ==, 640);
    g_assert_cmpuint(load_le32(answer + HEADER + 16), ==, 1);
    g_assert_cmpuint(load_le32(answer + HEADER + 24 + 16), ==, 0);
    driver_interrupted(driver);
    g_assert_true(display_wish(second, &info));
    g_assert_true(driver_interrupted(driver));
    g_assert_cmpuint(driver_config(driver, 0, 4), ==, 1);
    driver_write_config(driver, 4, 1, 4);
    g_assert_cmpuint(driver_config(driver, 0, 4), ==, 0);
    g_assert_cmpuint(send_words(driver, CONTROL, 0x100, NULL, 0), ==, OK_DISPLAY_INFO);
    g_assert_cmpuint(load_le32(answer + HEADER + 24), ==, 640);
    g_assert_cmpuint(load_le32(answer + HEADER + 24 + 8), ==, 1920);
    g_assert_cmpuint(load_le32(answer + HEADER + 24 + 16), ==, 1);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x10a, 1, 0), ==, OK_EDID);
    g_assert_cmpuint(load_le32(answer + HEADER), ==, 128);
    for (unsigned i = 0; i < 128; i++) {
        sum += answer[HEADER + 8 + i];
    }
    g_assert_cmpuint(sum, ==, 0);
    g_assert_cmpuint(answer[HEADER + 8 + 54 + 2] | (answer[HEADER + 8 + 54 + 4] & 0xf0) << 4, ==,
                     1920);
    display_wish(second, &(DisplayInfo){ 0 });
    g_assert_cmpuint(send_words(driver, CONTROL, 0x100, NULL, 0), ==, OK_DISPLAY_INFO);
    g_assert_cmpuint(load_le32(answer + HEADER + 24 + 16), ==, 0);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x10a, 3, 0), ==, ERROR_PARAMETER);
    driver_free(driver);
}

static void test_refusals(gconstpointer kind)
{
    Driver *driver = start(kind, "1");

    make_image(driver, 1);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x101, 1, 2, 8, 8), ==,
                     ERROR_RESOURCE); /* there is one */
    g_assert_cmpuint(SEND(driver, CONTROL, 0x101, 0, 2, 8, 8), ==, ERROR_RESOURCE);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x101, 2, 99, 8, 8), ==, ERROR_PARAMETER);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x101, 2, 2, 0, 8), ==, ERROR_PARAMETER);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x101, 2, 2, UINT32_MAX, UINT32_MAX), ==,
                     ERROR_PARAMETER);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x101, 2, 2, 16384, 16384), ==, ERROR_OUT_OF_MEMORY);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x103, 0, 0, 65, 32, 0, 1), ==, ERROR_PARAMETER);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x103, 1, 0, UINT32_MAX, 32, 0, 1), ==, ERROR_PARAMETER);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x103, 0, 0, 64, 32, 1, 1), ==, ERROR_SCANOUT);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x103, 0, 0, 64, 32, 0, 9), ==, ERROR_RESOURCE);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x105, 0, 0, 64, 32, 4, 0, 1, 0), ==,
                     ERROR_PARAMETER); /* too short */
    g_assert_cmpuint(SEND(driver, CONTROL, 0x105, 0, 0, 64, 32, 0, UINT32_MAX, 1, 0), ==,
                     ERROR_PARAMETER);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x106, 1, 1, PIXELS, 0, 64, 0), ==,
                     ERROR_UNSPEC); /* it has one */
    g_assert_cmpuint(SEND(driver, CONTROL, 0x107, 1, 0), ==, OK_NODATA);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x107, 1, 0), ==, ERROR_RESOURCE);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x106, 1, 1, 0, 0x7fffffff, 64, 0), ==,
                     ERROR_UNSPEC); /* no RAM */
    g_assert_cmpuint(SEND(driver, CONTROL, 0x106, 1, 1 << 20, PIXELS, 0, 64, 0), ==, ERROR_UNSPEC);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x105, 0, 0, 64, 32, 0, 0, 1, 0), ==, ERROR_RESOURCE);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x104, 60, 0, 5, 1, 1, 0), ==, ERROR_PARAMETER);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x104, 0, 0, 5), ==, ERROR_PARAMETER); /* cut off */
    g_assert_cmpuint(SEND(driver, CONTROL, 0x300, 0, 5, 6, 0, 1, 2, 3, 0), ==,
                     ERROR_UNSPEC); /* wrong queue */
    g_assert_cmpuint(SEND(driver, CURSOR, 0x300, 0, 5, 6, 0, 9, 2, 3, 0), ==, ERROR_RESOURCE);
    g_assert_cmpuint(SEND(driver, CURSOR, 0x300, 4, 5, 6, 0, 1, 2, 3, 0), ==, ERROR_SCANOUT);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x108, 0, 0), ==, ERROR_UNSPEC);
    g_assert_cmpuint(driver_status(driver) & 64, ==, 0);
    driver_free(driver);
}

static void test_saved(gconstpointer kind)
{
    Driver *driver = start(kind, "1");
    Display *display = display_find(driver->bench->machine, "dev0", 0, NULL);
    GByteArray *state = g_byte_array_new();
    GError *error = NULL;

    make_image(driver, 3);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x103, 0, 0, 64, 32, 0, 3), ==, OK_NODATA);
    device_save_state(driver->device, state);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x102, 3, 0), ==, OK_NODATA);
    g_assert_cmpuint(SEND(driver, CONTROL, 0x101, 4, 2, 8, 8), ==, OK_NODATA);
    g_assert_true(device_load_state(driver->device, driver->device->type->state_version,
                                    state->data, state->len, &error));
    g_assert_no_error(error);
    g_assert_true(display_is_on(display));
    g_assert_cmpuint(pixel(display, 63, 31), ==, 32 * 64 - 1);
    g_byte_array_unref(state);
    driver_free(driver);
}

/* Commands of any kind; outlives them, that is all. */
static void test_random(gconstpointer kind)
{
    static const uint16_t types[] = { 0x100, 0x101, 0x102, 0x103, 0x104, 0x105,
                                      0x106, 0x107, 0x10a, 0x300, 0x301 };
    Driver *driver = start(kind, "2");
    GRand *rand = g_rand_new_with_seed(5);

    for (unsigned i = 0; i < 20000; i++) {
        uint32_t words[14];

        for (unsigned w = 0; w < G_N_ELEMENTS(words); w++) {
            words[w] = g_rand_int_range(rand, 0, 8)
                           ? (uint32_t)g_rand_int_range(rand, 0, 5)
                           : g_rand_int(rand) >> g_rand_int_range(rand, 0, 32);
            words[w] = g_rand_int_range(rand, 0, 12) ? words[w] : PIXELS;
        }
        send_words(driver, (unsigned)g_rand_int_range(rand, 0, 4) == 0,
                   types[g_rand_int_range(rand, 0, 11)], words,
                   (unsigned)g_rand_int_range(rand, 0, 15));
        if (i % 64 == 0) {
            pixman_image_unref(
                display_look(display_find(driver->bench->machine, "dev0", i / 64 % 2, NULL)));
        }
    }
    g_assert_cmpuint(driver_status(driver) & 64, ==, 0);
    g_rand_free(rand);
    driver_free(driver);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        GTestDataFunc run;
    } tests[] = { { "image", test_image },
                  { "sizes", test_sizes },
                  { "refusals", test_refusals },
                  { "saved", test_saved },
                  { "random", test_random } };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        for (unsigned k = 0; k < DRIVE_COUNT; k++) {
            if (drive_kinds[k] == DRIVE_MMIO || drive_kinds[k] == DRIVE_PCI) {
                g_autofree char *path =
                    g_strdup_printf("/virtio-gpu/%s/%s", tests[i].name,
                                    drive_kinds[k] == DRIVE_PCI ? "pci" : "mmio");

                g_test_add_data_func(path, &drive_kinds[k], tests[i].run);
            }
        }
    }
    return g_test_run();
}
