/* SPDX-License-Identifier: MIT */
/* kaso-io: commands that look at the image, and the small ones. */
#include "block/tools/io.h"

#include "base/error.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static int flush_run(Session *session, int argc, char **argv)
{
    int result = node_flush(session->child->node);

    if (result < 0) {
        fprintf(session->out, "flush failed: %s\n", g_strerror(-result));
    }
    return result;
}

static int truncate_run(Session *session, int argc, char **argv)
{
    int mode = PREALLOC_OFF, c;
    GError *error = NULL;
    uint64_t size;

    optind = 0;
    while ((c = getopt(argc, argv, "m:")) != -1) {
        for (mode = 0; c == 'm' && prealloc_names[mode]; mode++) {
            if (!strcmp(prealloc_names[mode], optarg)) {
                break;
            }
        }
        if (c != 'm' || !prealloc_names[mode]) {
            return io_complain(session, "truncate takes -m off, metadata, falloc or full\n");
        }
    }
    if (optind != argc - 1) {
        return io_complain(session, "bad argument count %d to truncate, expected a size\n",
                           argc - optind);
    }
    if (!io_number(session, argv[optind], &size)) {
        return -EINVAL;
    }
    if (!node_truncate(session->child->node, size, (Prealloc)mode, &error)) {
        fprintf(session->out, "kaso-io: %s\n", error->message);
        g_error_free(error);
        return -EIO;
    }
    return 0;
}

static int length_run(Session *session, int argc, char **argv)
{
    g_autofree char *size = tool_human_size(node_size(session->child->node));

    fprintf(session->out, "%s\n", size);
    return 0;
}

static int info_run(Session *session, int argc, char **argv)
{
    BlockNode *node = session->child->node;
    BlockNodeInfo info = { 0 };
    g_autofree char *cluster = NULL, *vm_state = NULL;

    fprintf(session->out, "format name: %s\n", node->driver->name);
    if (node->driver->info) {
        node->driver->info(node, &info);
    }
    cluster = io_exact_size(info.cluster_size);
    vm_state = io_exact_size(info.vm_state_offset);
    fprintf(session->out, "cluster size: %s\nvm state offset: %s\n", cluster, vm_state);
    if (node->driver->specific_info) {
        json_t *specific = node->driver->specific_info(node);

        fprintf(session->out, "Format specific information:\n");
        tool_print_object_to(session->out, json_object_get(specific, "data"), 1);
        json_decref(specific);
    }
    return 0;
}

static int map_run(Session *session, int argc, char **argv)
{
    BlockNode *node = session->child->node;

    for (uint64_t offset = 0; offset < node_size(node);) {
        uint64_t count = 0, more = 0;
        int first =
            node_allocated_above(node, node_below(node), offset, node_size(node) - offset, &count);
        g_autofree char *size = NULL, *at = NULL;

        while (first >= 0 && offset + count < node_size(node) &&
               node_allocated_above(node, node_below(node), offset + count,
                                    node_size(node) - offset - count, &more) == first) {
            count += more;
        }
        if (first < 0) {
            fprintf(session->out, "map failed: %s\n", g_strerror(-first));
            return first;
        }
        size = io_exact_size(count);
        at = io_exact_size(offset);
        fprintf(session->out,
                "%s (0x%" G_GINT64_MODIFIER
                "x) bytes %sallocated at offset %s (0x%" G_GINT64_MODIFIER "x)\n",
                size, count, first ? "    " : "not ", at, offset);
        offset += count;
    }
    return 0;
}

static int alloc_run(Session *session, int argc, char **argv)
{
    BlockNode *node = session->child->node;
    uint64_t offset, bytes = 512, allocated = 0, done = 0, left;
    g_autofree char *at = NULL;

    if (argc < 2 || argc > 3) {
        return io_complain(
            session, "bad argument count %d to alloc, expected an offset and a length\n", argc - 1);
    }
    if (!io_number(session, argv[1], &offset) ||
        (argc > 2 && !io_number(session, argv[2], &bytes))) {
        return -EINVAL;
    }
    left = node_size(node) - MIN(offset, node_size(node));
    bytes = MIN(bytes, left);
    while (done < bytes) {
        uint64_t count;
        int result =
            node_allocated_above(node, node_below(node), offset + done, bytes - done, &count);

        if (result < 0) {
            fprintf(session->out, "is_allocated failed: %s\n", g_strerror(-result));
            return result;
        }
        allocated += result ? count : 0;
        done += count;
    }
    at = io_exact_size(offset);
    fprintf(session->out,
            "%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT " bytes allocated at offset %s\n", allocated,
            bytes, at);
    return 0;
}

static int sleep_run(Session *session, int argc, char **argv)
{
    uint64_t ms;

    if (argc != 2 || !io_number(session, argv[1], &ms)) {
        return io_complain(session, "expected milliseconds\n");
    }
    coroutine_sleep_ns(ms * 1000000);
    return 0;
}

static int sigraise_run(Session *session, int argc, char **argv)
{
    uint64_t signal_number;

    if (argc != 2 || !io_number(session, argv[1], &signal_number) || signal_number >= NSIG) {
        return io_complain(session, "expected the number of a signal\n");
    }
    fflush(session->out);
    raise((int)signal_number);
    return 0;
}

/* As after a crash: nothing is flushed or closed. */
static int abort_run(Session *session, int argc, char **argv)
{
    fflush(session->out);
    abort();
}

const IoCommand io_inspect_commands[] = {
    { "abort", NULL, "", "ends the program as a crash would", false, abort_run },
    { "alloc", NULL, "offset [count]", "checks if a range is allocated", true, alloc_run },
    { "flush", "f", "", "makes all writes durable", true, flush_run },
    { "info", "i", "", "prints information about the format", true, info_run },
    { "length", "l", "", "prints the size of the disk", true, length_run },
    { "map", NULL, "", "prints the allocated areas", true, map_run },
    { "sigraise", NULL, "signal", "raises a signal", false, sigraise_run },
    { "sleep", NULL, "ms", "waits", false, sleep_run },
    { "truncate", "t", "[-m preallocation] off", "changes the size of the disk", true, truncate_run,
      BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE },
    { 0 },
};
