/* SPDX-License-Identifier: MIT */
/*
 * fat:DIR: a folder of the host as a disk with a FAT file system. The tree is what it was when the disk was
 * opened; files are read when the guest reads them. With rw, what the guest writes goes into a temporary file, and from there
 * to the folder whenever it fits together: when the guest flushes, a second after it has written, and at the end.
 */
#include "block/formats/vvfat.h"

#include "block/graph/node.h"

#include <errno.h>

#define KEEPER_NS UINT64_C(1000000000)
enum { PIECE = 1 << 20 };

typedef struct {
    VvfatDisk disk;
    bool rw;
    struct VvfatKeeper *keeper; /* NULL: none is waiting */
    CoroutineMutex lock;        /* one request, or the keeper, has the disk */
} Vvfat;

static bool vvfat_parse_filename(const char *filename, GHashTable *options, GError **error)
{
    const char *name = filename + strlen("fat:"), *folder = strrchr(filename, ':') + 1;
    g_autofree char *words = g_strndup(name, (size_t)(folder - name));
    g_auto(GStrv) list = g_strsplit(words, ":", -1);

    for (int i = 0; list[i]; i++) {
        if (!strcmp(list[i], "rw") || !strcmp(list[i], "floppy")) {
            options_set(options, list[i], "on");
        } else if (!strcmp(list[i], "12") || !strcmp(list[i], "16") || !strcmp(list[i], "32")) {
            options_set(options, "fat-type", list[i]);
        } else if (list[i][0]) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "fat:%s: '%s' is none of rw, floppy, 12, 16 and 32", name, list[i]);
        }
    }
    options_set(options, "dir", folder);
    return true;
}

static bool take_layout(GHashTable *options, VvfatLayout *layout, bool *rw, GError **error)
{
    g_autofree char *label = options_take(options, "label");
    uint64_t bits = 0;
    bool floppy = false;

    if (!options_take_number(options, "fat-type", &bits, error) ||
        !options_take_bool(options, "floppy", &floppy, error) ||
        !options_take_bool(options, "rw", rw, error)) {
        return false;
    }
    if (label && strlen(label) > 11) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "vvfat label '%s' cannot be longer than 11 bytes", label);
    }
    bits = bits ? bits : floppy ? 12 : 16;
    if ((bits != 12 && bits != 16 && bits != 32) || (floppy && bits != 12)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "fat-type=%" G_GUINT64_FORMAT ": choose 12, 16 or 32, for a floppy 12",
                          bits);
    }
    vvfat_layout_init(layout, (unsigned)bits, floppy, label ? label : "QEMU VVFAT");
    return true;
}

/* Bringing the folder up to date. [all: coroutine] */

/* Runs after writes, when nobody has flushed. It outlives the node that it was for. */
struct VvfatKeeper {
    BlockNode *node;
    CoroutineAlarm alarm;
    bool stopped;
};

typedef struct {
    Vvfat *v;
    uint64_t offset, bytes;
    uint8_t *buffer;
    bool sync;
    GError *error;
} Call;

static int call(BlockNode *node, WorkerFunction *function, Call *c)
{
    return block_graph_blocking(node->graph) ? function(c) : worker_call(function, c);
}

static int call_commit(void *opaque)
{
    Call *c = opaque;

    return vvfat_commit(&c->v->disk, c->sync, &c->error) ? 0 : -EAGAIN;
}

/* The lock is held. False: the guest is in the middle of something; *why says of what. */
static bool commit(BlockNode *node, bool sync, GError **why)
{
    Call c = { .v = node->state, .sync = sync };
    bool done = call(node, call_commit, &c) == 0;

    if (!done) {
        g_propagate_error(why, c.error);
    }
    return done;
}

static void keeper_entry(void *opaque)
{
    struct VvfatKeeper *keeper = opaque;

    if (!keeper->stopped) {
        coroutine_alarm_sleep_ns(&keeper->alarm, KEEPER_NS);
    }
    if (!keeper->stopped) {
        Vvfat *v = keeper->node->state;

        coroutine_mutex_lock(&v->lock);
        if (!keeper->stopped) {
            v->keeper = NULL;
            commit(keeper->node, false, NULL);
        }
        coroutine_mutex_unlock(&v->lock);
    }
    g_free(keeper);
}

static void start_keeper(BlockNode *node)
{
    Vvfat *v = node->state;

    if (!v->keeper && !block_graph_blocking(node->graph)) {
        v->keeper = g_new0(struct VvfatKeeper, 1);
        v->keeper->node = node;
        async_start(coroutine_context(), keeper_entry, v->keeper);
    }
}

static int vvfat_flush(BlockNode *node)
{
    Vvfat *v = node->state;

    coroutine_mutex_lock(&v->lock);
    commit(node, !node->flags.cache_no_flush, NULL);
    coroutine_mutex_unlock(&v->lock);
    return 0;
}

/* What the guest has left half-way is lost with the disk. */
static void commit_last(BlockNode *node)
{
    Vvfat *v = node->state;
    g_autoptr(GError) why = NULL;

    if (v->keeper) {
        v->keeper->stopped = true;
        coroutine_alarm_ring(&v->keeper->alarm);
    }
    coroutine_mutex_lock(&v->lock);
    if (!commit(node, !node->flags.cache_no_flush, &why)) {
        vvfat_disk_complain(&v->disk,
                            "the last changes of the guest are lost, they do not fit together: %s",
                            why->message);
    }
    coroutine_mutex_unlock(&v->lock);
}

static void vvfat_close(BlockNode *node)
{
    Vvfat *v = node->state;

    if (v->rw) {
        commit_last(node);
    }
    vvfat_disk_close(&v->disk);
}

static bool vvfat_open(BlockNode *node, GHashTable *options, GError **error)
{
    Vvfat *v = node->state;
    g_autofree char *folder = options_take(options, "dir");
    bool rw = false;

    coroutine_mutex_init(&v->lock);
    if (!folder || !folder[0]) {
        return error_fail(error, KASO_ERROR_INVALID, "vvfat block driver requires a 'dir' option");
    }
    if (!take_layout(options, &v->disk.tree.layout, &rw, error)) {
        return false;
    }
    if (rw && node->read_only) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Unable to set VVFAT to 'rw' when drive is read-only: leave out one of "
                          "them");
    }
    v->rw = rw;
    if (!vvfat_disk_open(&v->disk, folder, v->rw, error)) {
        vvfat_disk_close(&v->disk);
        return false;
    }
    node->read_only = !v->rw;
    node->request_alignment = VVFAT_SECTOR;
    return true;
}

static bool vvfat_reopen(BlockNode *node, bool read_only, GError **error)
{
    const Vvfat *v = node->state;

    return read_only || v->rw ||
           error_fail(error, KASO_ERROR_INVALID,
                      "The folder of '%s' was opened without rw: it cannot be written",
                      node->filename);
}

static int64_t vvfat_length(BlockNode *node)
{
    const Vvfat *v = node->state;

    return (int64_t)(vvfat_disk_sectors(&v->disk) * VVFAT_SECTOR);
}

/* Requests: a piece at a time. */

static int call_read(void *opaque)
{
    Call *c = opaque;

    return vvfat_disk_read(&c->v->disk, c->offset, c->bytes, c->buffer);
}

static int call_write(void *opaque)
{
    Call *c = opaque;

    return vvfat_disk_write(&c->v->disk, c->offset, c->bytes, c->buffer);
}

static int vvfat_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    Vvfat *v = node->state;
    g_autofree uint8_t *buffer = g_try_malloc(MIN(bytes, PIECE));
    int result = buffer ? 0 : -ENOMEM;

    coroutine_mutex_lock(&v->lock);
    while (bytes && result == 0) {
        Call c = { .v = v, .offset = offset, .bytes = MIN(bytes, PIECE), .buffer = buffer };

        result = call(node, call_read, &c);
        io_vector_from_buffer(vector, buffer, c.bytes);
        vector = io_vector_skip(vector, c.bytes);
        offset += c.bytes;
        bytes -= c.bytes;
    }
    coroutine_mutex_unlock(&v->lock);
    return result;
}

static int vvfat_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                       unsigned flags)
{
    Vvfat *v = node->state;
    g_autofree uint8_t *buffer = g_try_malloc(MIN(bytes, PIECE));
    int result = buffer ? 0 : -ENOMEM;

    coroutine_mutex_lock(&v->lock);
    while (bytes && result == 0) {
        Call c = { .v = v, .offset = offset, .bytes = MIN(bytes, PIECE), .buffer = buffer };

        io_vector_to_buffer(vector, buffer, c.bytes);
        result = call(node, call_write, &c);
        vector = io_vector_skip(vector, c.bytes);
        offset += c.bytes;
        bytes -= c.bytes;
    }
    start_keeper(node);
    coroutine_mutex_unlock(&v->lock);
    return result;
}

/* Behind the last cluster that was taken all is zero, but for what has been written. */
static int vvfat_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                        uint64_t *map, BlockNode **file)
{
    const VvfatDisk *disk = &((Vvfat *)node->state)->disk;
    uint64_t end = vvfat_cluster_sector(&disk->tree.layout, disk->tree.next_cluster) * VVFAT_SECTOR;
    bool data = disk->written || offset < end;

    *count = !disk->written && offset < end ? MIN(bytes, end - offset) : bytes;
    return BLOCK_STATUS_ALLOCATED | (data ? BLOCK_STATUS_DATA : BLOCK_STATUS_ZERO);
}

static const BlockOption vvfat_options[] = {
    { "dir", "the folder" },
    { "fat-type", "12, 16 or 32" },
    { "floppy", "a floppy disk of 2.88 MB without partitions" },
    { "label", "the volume's name" },
    { "rw", "what is written goes to the folder" },
    { 0 },
};

static const char *const vvfat_prefixes[] = { "fat:", NULL };

static const BlockDriver vvfat_driver = {
    .name = "vvfat",
    .summary = "Folder of the host as a FAT disk",
    .prefixes = vvfat_prefixes,
    .options = vvfat_options,
    .instance_size = sizeof(Vvfat),
    .is_protocol = true,
    .parse_filename = vvfat_parse_filename,
    .open = vvfat_open,
    .close = vvfat_close,
    .reopen = vvfat_reopen,
    .read = vvfat_read,
    .write = vvfat_write,
    .flush = vvfat_flush,
    .length = vvfat_length,
    .status = vvfat_status,
};
BLOCK_DRIVER(vvfat_driver);
