/* SPDX-License-Identifier: MIT */
#include "tests/device/image.h"

#include <glib/gstdio.h>
#include <unistd.h>

static char *make_file(uint64_t bytes)
{
    char *path;
    int fd = g_file_open_tmp("kaso-image-XXXXXX", &path, NULL);

    g_assert_cmpint(ftruncate(fd, (off_t)bytes), ==, 0);
    for (uint32_t i = 0; i < bytes / 512; i++) {
        g_assert_cmpint(pwrite(fd, &i, sizeof i, (off_t)i * 512), ==, sizeof i);
    }
    close(fd);
    return path;
}

BlockBackend *image_open(Machine *machine, BlockGraph *graph, const char *id, uint64_t bytes,
                         bool read_only, const char *error)
{
    g_autoptr(GHashTable) options = g_hash_table_new(g_str_hash, g_str_equal);
    g_autofree char *path = make_file(bytes);
    GError *failure = NULL;
    BlockBackend *block;

    g_hash_table_insert(options, (void *)"format", (void *)"raw");
    g_hash_table_insert(options, (void *)"id", (void *)id);
    g_hash_table_insert(options, (void *)"read-only", (void *)(read_only ? "on" : "off"));
    if (error) {
        g_hash_table_insert(options, (void *)"file.driver", (void *)"blkdebug");
        g_hash_table_insert(options, (void *)"file.image.driver", (void *)"file");
        g_hash_table_insert(options, (void *)"file.image.filename", path);
        g_hash_table_insert(options, (void *)"file.inject-error.0.event", (void *)"none");
        g_hash_table_insert(options, (void *)"file.inject-error.0.iotype", (void *)error);
        g_hash_table_insert(options, (void *)"file.inject-error.0.once", (void *)"on");
    } else {
        g_hash_table_insert(options, (void *)"file", path);
    }
    block = block_open(graph, options, &failure);
    g_assert_no_error(failure);
    g_unlink(path);
    machine_add_drive(machine, id, block);
    return block;
}
