/* SPDX-License-Identifier: MIT */
/*
 * Hostile images: the input is an image that is opened, read, mapped, checked, listed (snapshots,
 * bitmaps, info), with the key of an encrypted one, and below itself when it says so; then, where
 * the format can be written, written, repaired, resized, and its snapshots applied and deleted.
 * Built by clang for libFuzzer, when the format is what follows "fuzz-block-" in the program's
 * name; or with FUZZ_REPLAY as a program that runs the files in folders named after formats.
 */
#include "base/bits.h"
#include "block/graph/node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILE_MAX = 8 * 1024 * 1024, /* how far a written image may grow */
    EXTENTS_MAX = 200,
    READ_SIZE = 64 * 1024,
    LUKS_ITERATIONS_MAX = 10000, /* of key derivation that a run has the time for */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char *format;

/* The image in memory, as a protocol. */
typedef struct {
    uint8_t *data;
    uint64_t size;
    bool owned;
} MemoryNode;

/* What the next memory node holds; the driver's options cannot carry a pointer. */
static const uint8_t *input_data;
static size_t input_size;

static bool memory_open(BlockNode *node, GHashTable *options, GError **error)
{
    MemoryNode *memory = node->state;

    memory->data = (uint8_t *)input_data;
    memory->size = input_size;
    memory->owned = !node->read_only;
    if (memory->owned) {
        memory->data = g_malloc(MAX(input_size, 1));
        memcpy(memory->data, input_data, input_size);
    }
    g_free(options_take(options, "filename"));
    return true;
}

static void memory_close(BlockNode *node)
{
    MemoryNode *memory = node->state;

    if (memory->owned) {
        g_free(memory->data);
    }
}

static int memory_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    MemoryNode *memory = node->state;
    uint64_t n = offset < memory->size ? MIN(bytes, memory->size - offset) : 0;

    io_vector_from_buffer(vector, memory->data + (n ? offset : 0), n);
    io_vector_zero(io_vector_skip(vector, n), bytes - n);
    return 0;
}

static bool memory_truncate(BlockNode *node, uint64_t size, Prealloc prealloc, GError **error)
{
    MemoryNode *memory = node->state;

    g_assert(memory->owned);
    if (size > FILE_MAX) {
        g_set_error(error, g_quark_from_static_string("fuzz"), 0, "full");
        return false;
    }
    memory->data = g_realloc(memory->data, MAX(size, 1));
    if (size > memory->size) {
        memset(memory->data + memory->size, 0, size - memory->size);
    }
    memory->size = size;
    return true;
}

static int memory_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                        unsigned flags)
{
    MemoryNode *memory = node->state;

    g_assert(memory->owned);
    if (offset > FILE_MAX || bytes > FILE_MAX - offset ||
        (offset + bytes > memory->size &&
         !memory_truncate(node, offset + bytes, PREALLOC_OFF, NULL))) {
        return -ENOSPC;
    }
    io_vector_to_buffer(vector, memory->data + offset, bytes);
    return 0;
}

static int memory_flush(BlockNode *node)
{
    return 0;
}

static int64_t memory_length(BlockNode *node)
{
    return (int64_t)((MemoryNode *)node->state)->size;
}

static const char *const memory_prefixes[] = { "fuzz:", NULL };

static const BlockDriver memory_driver = {
    .name = "fuzz",
    .summary = "The fuzzer's input",
    .prefixes = memory_prefixes,
    .instance_size = sizeof(MemoryNode),
    .is_protocol = true,
    .grows_with_zeroes = true,
    .open = memory_open,
    .close = memory_close,
    .read = memory_read,
    .write = memory_write,
    .flush = memory_flush,
    .length = memory_length,
    .truncate = memory_truncate,
};
BLOCK_DRIVER(memory_driver);

/* What is done with an image. */

static void walk_status(BlockNode *node)
{
    uint64_t offset = 0, size = node_size(node);

    for (unsigned i = 0; i < EXTENTS_MAX && offset < size; i++) {
        uint64_t count, map;
        BlockNode *file;

        if (node_status(node, offset, size - offset, &count, &map, &file) < 0 || !count) {
            break;
        }
        offset += count;
    }
}

static void read_some(BlockNode *node)
{
    uint64_t size = node_size(node);
    uint64_t places[] = { 0, size / 2 - size / 2 % 512, size > READ_SIZE ? size - READ_SIZE : 0,
                          777 };
    g_autofree uint8_t *buffer = g_malloc(READ_SIZE);

    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        if (places[i] < size) {
            node_pread(node, places[i], buffer, MIN(READ_SIZE, size - places[i]));
        }
    }
}

static void write_some(BlockNode *node)
{
    uint64_t size = node_size(node);
    static const uint8_t pattern[3000] = { 1, 2, 3 };

    node_pwrite(node, 0, pattern, MIN(sizeof pattern, size), 0);
    if (size > sizeof pattern) {
        node_pwrite(node, size / 2, pattern, MIN(sizeof pattern, size - size / 2), 0);
        node_write_zeroes(node, size / 4, MIN(size / 4, MIB(1)), BLOCK_MAY_UNMAP);
        node_discard(node, 0, MIN(size, MIB(1)));
    }
    node_flush(node);
}

/* The first snapshot: its VM state, its content, back to it, and away with it. */
static void use_snapshot(BlockNode *node)
{
    const BlockDriver *driver = node->driver;
    g_autoptr(GPtrArray) list = driver->snapshot_list ? driver->snapshot_list(node) : NULL;
    BlockSnapshot made = { .name = (char *)"fuzz" };
    uint8_t state[512];
    struct iovec iov = { state, sizeof state };

    if (!list) {
        return;
    }
    if (driver->vm_state_read) {
        driver->vm_state_read(node, 0, sizeof state, io_vector_of(&iov));
    }
    if (list->len) {
        const BlockSnapshot *first = list->pdata[0];

        if (driver->snapshot_apply(node, first->id, NULL)) {
            read_some(node);
        }
        driver->snapshot_delete(node, first->id, NULL);
    }
    driver->snapshot_create(node, &made, NULL);
}

static void use_bitmaps(BlockNode *node)
{
    GHashTable *arguments = options_new();

    if (node->driver->bitmap_action) {
        node->driver->bitmap_action(node, "add", "fuzz", arguments, NULL);
        node->driver->bitmap_action(node, "clear", "bitmap0", arguments, NULL);
        node->driver->bitmap_action(node, "disable", "bitmap1", arguments, NULL);
        node->driver->bitmap_action(node, "remove", "bitmap0", arguments, NULL);
    }
    g_hash_table_unref(arguments);
}

static void quiet(void *opaque, const char *text)
{
}

static void inspect(BlockNode *node)
{
    BlockNodeInfo info = { 0 };
    BlockCheck check = { .message = quiet };

    if (node->driver->info) {
        node->driver->info(node, &info);
    }
    if (node->driver->specific_info) {
        json_decref(node->driver->specific_info(node));
    }
    if (node->driver->snapshot_list) {
        GPtrArray *list = node->driver->snapshot_list(node);

        if (list) {
            g_ptr_array_unref(list);
        }
    }
    walk_status(node);
    read_some(node);
    if (node->driver->check) {
        node->driver->check(node, &check);
    }
}

/* Whether no LUKS header in the input wants more key derivation than a run has time for. */
static bool has_quick_key(void)
{
    static const uint8_t magic[] = { 'L', 'U', 'K', 'S', 0xba, 0xbe };
    enum { DIGEST_ITERATIONS = 164, SLOTS = 208, SLOT_SIZE = 48, HEADER_SIZE = 592 };
    const uint8_t *at = input_data, *end = input_data + input_size;

    while ((at = memmem(at, (size_t)(end - at), magic, sizeof magic)) && end - at >= HEADER_SIZE) {
        bool quick = load_be32(at + DIGEST_ITERATIONS) <= LUKS_ITERATIONS_MAX;

        for (unsigned i = 0; i < 8; i++) {
            quick &= load_be32(at + SLOTS + i * SLOT_SIZE + 4) <= LUKS_ITERATIONS_MAX;
        }
        if (!quick) {
            return false;
        }
        at += sizeof magic;
    }
    return true;
}

static void give_key(GHashTable *options)
{
    uint32_t method = input_size > 36 ? load_be32(input_data + 32) : 0;

    if (!strcmp(format, "luks") && has_quick_key()) {
        options_set(options, "key-secret", "key");
    } else if (!strcmp(format, "qcow2") && (method == 1 || method == 2) && has_quick_key()) {
        options_set(options, "encrypt.format", method == 1 ? "aes" : "luks");
        options_set(options, "encrypt.key-secret", "key");
    }
}

static BlockNode *open_input(BlockGraph *graph, bool read_only, bool check, bool backing)
{
    BlockOpenFlags flags = {
        .read_only = read_only, .no_backing = !backing, .unmap = true, .check = check
    };
    GHashTable *options = options_new();
    GError *error = NULL;
    BlockNode *node;

    options_set(options, "driver", format);
    options_set(options, "file.driver", "fuzz");
    options_set(options, "file.filename", "fuzz:");
    give_key(options);
    node = node_open(graph, NULL, options, flags, &error);
    if (!node) {
        g_assert(error && error->message[0]);
        if (getenv("FUZZ_VERBOSE")) {
            fprintf(stderr, "%s\n", error->message);
        }
        g_error_free(error);
    }
    return node;
}

static void repair(BlockGraph *graph)
{
    BlockNode *node = open_input(graph, false, true, false);
    BlockCheck fix = { .fix_errors = true, .fix_leaks = true, .message = quiet };
    BlockCheck again = { .message = quiet };

    if (!node) {
        return;
    }
    if (node->driver->check && node->driver->check(node, &fix) == 0) {
        node->driver->check(node, &again);
    }
    node_unref(node);
}

static void write_and_change(BlockGraph *graph)
{
    BlockNode *node = open_input(graph, false, false, false);
    BlockChild *user =
        node ? node_attach_user(node, "fuzz", BLOCK_PERM_ALL, BLOCK_PERM_ALL, NULL) : NULL;

    if (user) {
        write_some(node);
        use_snapshot(node);
        use_bitmaps(node);
        node_truncate(node, align_up(node_size(node) / 2, 512), PREALLOC_OFF, NULL);
        write_some(node);
        read_some(node);
        child_detach(user);
    }
    if (node) {
        node_unref(node);
    }
}

static void run_input(void *opaque)
{
    BlockGraph *graph = opaque;
    BlockNode *node = open_input(graph, true, false, false);
    bool backing;

    if (node) {
        backing = node->backing_filename && g_str_has_prefix(node->backing_filename, "fuzz:");
        inspect(node);
        node_unref(node);
        node = backing ? open_input(graph, true, false, true) : NULL;
        if (node) {
            read_some(node);
            node_unref(node);
        }
    }
    write_and_change(graph);
    repair(graph);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BlockGraph *graph = block_graph_new(NULL);

    block_graph_set_blocking(graph, true);
    block_secret_set(graph, "key", g_strdup("fuzz"), strlen("fuzz"));
    input_data = data;
    input_size = size;
    async_run_sync(block_graph_context(graph), run_input, graph);
    block_graph_free(graph);
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char prefix[] = "fuzz-block-";
    const char *name = strstr((*argv)[0], prefix);

    if (!name || !block_driver_find(name + strlen(prefix))) {
        fprintf(stderr, "%s: the name must be %sFORMAT\n", (*argv)[0], prefix);
        exit(1);
    }
    format = g_strdup(name + strlen(prefix));
    return 0;
}

#ifdef FUZZ_REPLAY
static void replay(const char *path, const char *parent)
{
    g_autofree char *data = NULL, *name = g_path_get_basename(path);
    gsize size;

    if (g_file_test(path, G_FILE_TEST_IS_DIR)) {
        GDir *dir = g_dir_open(path, 0, NULL);
        const char *entry;

        while (dir && (entry = g_dir_read_name(dir))) {
            g_autofree char *below = g_build_filename(path, entry, NULL);

            replay(below, name);
        }
        if (dir) {
            g_dir_close(dir);
        }
    } else if (block_driver_find(parent) && g_file_get_contents(path, &data, &size, NULL)) {
        g_free(format);
        format = g_strdup(parent);
        LLVMFuzzerTestOneInput((uint8_t *)data, size);
        printf("%s: ok\n", path);
    }
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        replay(argv[i], "");
    }
    g_free(format);
    return 0;
}
#endif
