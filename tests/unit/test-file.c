/* SPDX-License-Identifier: MIT */
/* Files as a whole (base/file.h): mapped ones give their memory back and are read again; other bytes stay. */
#include <fcntl.h>
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

/* Whether the page at an address is in this process' memory (Linux, Documentation/admin-guide/mm/pagemap.rst). */
static bool present(const void *address)
{
    int fd = open("/proc/self/pagemap", O_RDONLY);
    uint64_t entry = 0;

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(
        pread(fd, &entry, sizeof entry, (off_t)((uintptr_t)address / PAGE * sizeof entry)), ==,
        sizeof entry);
    close(fd);
    return entry >> 63;
}

static void test_rest(void)
{
    g_autofree char *path = write_file();
    GBytes *whole = file_map(path, PAGES * PAGE, NULL);
    GBytes *part = g_bytes_new_from_bytes(whole, PAGE + 100, 2 * PAGE);
    const volatile uint8_t *data = g_bytes_get_data(whole, NULL);

    for (unsigned i = 0; i < PAGES; i++) {
        g_assert_cmpint(data[i * PAGE], ==, 'a' + i);
        g_assert_true(present((const void *)(data + i * PAGE)));
    }
    file_map_rest(part);
    g_assert_true(present((const void *)data));
    g_assert_false(present((const void *)(data + PAGE)));
    g_assert_false(present((const void *)(data + 3 * PAGE)));
    g_assert_true(present((const void *)(data + 4 * PAGE)));
    file_map_rest(whole);
    g_assert_false(present((const void *)data));
    for (unsigned i = 0; i < PAGES; i++) {
        g_assert_cmpint(data[i * PAGE + PAGE - 1], ==, 'a' + i);
    }
    g_bytes_unref(part);
    g_bytes_unref(whole);
    g_unlink(path);
}

static void test_others(void)
{
    g_autofree uint8_t *heap = g_malloc(PAGES * PAGE);
    GBytes *bytes, *none = g_bytes_new_static(NULL, 0);

    memset(heap, 'x', PAGES * PAGE);
    bytes = g_bytes_new_static(heap, PAGES * PAGE);
    file_map_rest(bytes);
    file_map_rest(none);
    for (unsigned i = 0; i < PAGES * PAGE; i++) {
        g_assert_cmpint(heap[i], ==, 'x');
    }
    g_bytes_unref(bytes);
    g_bytes_unref(none);
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
    g_test_add_func("/file/rest", test_rest);
    g_test_add_func("/file/others", test_others);
    g_test_add_func("/file/limits", test_limits);
    return g_test_run();
}
