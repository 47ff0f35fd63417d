/* SPDX-License-Identifier: MIT */
/* Files as a whole (base/file.h): mapped ones, limits. */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

enum { PAGES = 5, PAGE = 4096 };

static char *write_file(void)
{
    char *path = NULL;
    int fd = g_file_open_tmp("kaso-file-XXXXXX", &path, NULL);
    uint8_t page[PAGE];

    g_assert_cmpint(fd, >=, 0);
    for (unsigned i = 0; i < PAGES; i++) {
        memset(page, (int)('a' + i), sizeof page);
        g_assert_cmpint(write(fd, page, sizeof page), ==, sizeof page);
    }
    close(fd);
    return path;
}

/* A file that somebody cuts off while it is in use does not end the process: what is gone reads as zeros. */
static void test_cut_off(void)
{
    g_autofree char *path = write_file();
    g_autoptr(GBytes) bytes = file_map(path, PAGES * PAGE, NULL);
    const volatile uint8_t *data = g_bytes_get_data(bytes, NULL);

    g_assert_cmpint(data[4 * PAGE], ==, 'e');
    g_assert_cmpint(truncate(path, PAGE), ==, 0);
    g_assert_cmpint(data[0], ==, 'a');
    for (unsigned i = 1; i < PAGES; i++) {
        g_assert_cmpint(data[i * PAGE], ==, 0);
        g_assert_cmpint(data[i * PAGE + PAGE - 1], ==, 0);
    }
    g_unlink(path);
}

/* More of them than are watched are read instead. */
static void test_many(void)
{
    enum { MANY = 100 };
    g_autofree char *path = write_file();
    GBytes *bytes[MANY];

    for (unsigned i = 0; i < MANY; i++) {
        bytes[i] = file_map(path, PAGES * PAGE, NULL);
        g_assert_cmpint(g_bytes_get_size(bytes[i]), ==, PAGES * PAGE);
    }
    g_assert_cmpint(truncate(path, PAGE), ==, 0);
    for (unsigned i = 0; i < MANY; i++) {
        const uint8_t *data = g_bytes_get_data(bytes[i], NULL);

        g_assert_true(data[4 * PAGE] == 0 || data[4 * PAGE] == 'e');
        g_bytes_unref(bytes[i]);
    }
    g_unlink(path);
}

static void test_limits(void)
{
    g_autofree char *path = write_file();
    g_autoptr(GError) error = NULL;

    g_assert_null(file_map(path, PAGES * PAGE - 1, &error));
    g_assert_nonnull(error);
    g_assert_cmpint(truncate(path, 0), ==, 0);
    g_bytes_unref(file_map(path, PAGE, NULL));
    g_unlink(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/file/cut-off", test_cut_off);
    g_test_add_func("/file/many", test_many);
    g_test_add_func("/file/limits", test_limits);
    return g_test_run();
}
