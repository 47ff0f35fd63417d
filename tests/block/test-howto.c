/* SPDX-License-Identifier: MIT */
/* The driver of docs/howto/add-a-block-driver.md, linked in, inverts a disk. */
#include "block/block.h"

int main(int argc, char **argv)
{
    BlockGraph *graph = block_graph_new(NULL);
    g_autoptr(GHashTable) options = g_hash_table_new(g_str_hash, g_str_equal);
    GError *error = NULL;
    BlockBackend *drive;
    unsigned char byte = 0;

    g_hash_table_insert(options, (gpointer) "driver", (gpointer) "invert");
    g_hash_table_insert(options, (gpointer) "file.driver", (gpointer) "null-co");
    g_hash_table_insert(options, (gpointer) "file.read-zeroes", (gpointer) "on");
    drive = block_open(graph, options, &error);
    g_assert_no_error(error);
    g_assert_cmpint(block_pread(drive, 5, &byte, 1), ==, 0);
    g_assert_cmpint(byte, ==, 0xff);
    block_close(drive);
    block_graph_free(graph);
    return 0;
}
