/* SPDX-License-Identifier: MIT */
/*
 * fat:DIR: a folder of the host as a disk with a FAT file system. The tree is what it was when the disk was
 * opened; files are read when the guest reads them. Nothing is written to the host: rw is a read-only disk, too.
 */
#include "block/formats/vvfat.h"

#include "block/graph/node.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    VvfatTree tree;
    uint8_t boot[VVFAT_SECTOR], partitions[VVFAT_SECTOR], info[VVFAT_SECTOR];
    int fd; /* of the file that was read last, -1: none */
    const char *fd_path;
    CoroutineMutex lock;
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

/* FSINFO of FAT32. */
static void store_info(Vvfat *v)
{
    const VvfatTree *tree = &v->tree;

    store_le32(v->info, 0x41615252);
    store_le32(v->info + 484, 0x61417272);
    store_le32(v->info + 488, (uint32_t)(tree->layout.clusters + 2 - tree->next_cluster));
    store_le32(v->info + 492, tree->next_cluster);
    store_le32(v->info + 508, 0xaa550000);
}

static void vvfat_close(BlockNode *node)
{
    Vvfat *v = node->state;

    if (v->fd >= 0) {
        close(v->fd);
    }
    vvfat_tree_clear(&v->tree);
}

static bool vvfat_open(BlockNode *node, GHashTable *options, GError **error)
{
    Vvfat *v = node->state;
    g_autofree char *folder = options_take(options, "dir");
    bool rw = false;

    v->fd = -1;
    coroutine_mutex_init(&v->lock);
    if (!folder || !folder[0]) {
        return error_fail(error, KASO_ERROR_INVALID, "vvfat block driver requires a 'dir' option");
    }
    if (!take_layout(options, &v->tree.layout, &rw, error) ||
        !vvfat_tree_build(&v->tree, folder, error)) {
        vvfat_close(node);
        return false;
    }
    if (rw && !node->read_only) {
        g_printerr("kaso: fat:rw:%s: writing to a folder is not built yet: the disk is read-only\n",
                   folder);
    }
    node->read_only = true;
    node->request_alignment = VVFAT_SECTOR;
    vvfat_store_boot(&v->tree, v->boot);
    vvfat_store_partitions(&v->tree, v->partitions);
    store_info(v);
    return true;
}

static int64_t vvfat_length(BlockNode *node)
{
    const VvfatLayout *l = &((Vvfat *)node->state)->tree.layout;

    return (int64_t)((l->hidden + l->total) * VVFAT_SECTOR);
}

/* Reading. */

typedef struct {
    Vvfat *v;
    const VvfatExtent *extent;
    uint64_t offset, bytes;
    uint8_t *out;
} FileRead;

/* May block. What a file no longer has reads as zeroes. */
static int read_file(void *opaque)
{
    FileRead *r = opaque;

    if (r->v->fd_path != r->extent->path) {
        if (r->v->fd >= 0) {
            close(r->v->fd);
        }
        r->v->fd = open(r->extent->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        r->v->fd_path = r->v->fd < 0 ? NULL : r->extent->path;
    }
    if (r->v->fd < 0) {
        return -errno;
    }
    while (r->bytes) {
        ssize_t n = pread(r->v->fd, r->out, r->bytes, (off_t)r->offset);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : 0;
        }
        r->out += n;
        r->offset += (uint64_t)n;
        r->bytes -= (uint64_t)n;
    }
    return 0;
}

/* A part of what is in memory, zeroes behind it. */
static void copy_part(const uint8_t *data, uint64_t size, uint64_t at, uint8_t *out, uint64_t bytes)
{
    if (at < size) {
        memcpy(out, data + at, MIN(bytes, size - at));
    }
}

/* At most one cluster; at: of the data area, in bytes. */
static int read_cluster(BlockNode *node, uint64_t at, uint8_t *out, uint64_t bytes)
{
    Vvfat *v = node->state;
    uint64_t size = (uint64_t)v->tree.layout.cluster * VVFAT_SECTOR;
    uint32_t cluster = (uint32_t)(at / size) + 2;
    const VvfatExtent *extent = vvfat_find(&v->tree, cluster);
    FileRead r = { .v = v, .extent = extent, .out = out };

    if (!extent) {
        return 0;
    }
    r.offset = (cluster - extent->first) * size + at % size;
    if (extent->data) {
        copy_part(extent->data, extent->size, r.offset, out, bytes);
        return 0;
    }
    r.bytes = r.offset < extent->size ? MIN(bytes, extent->size - r.offset) : 0;
    return block_graph_blocking(node->graph) ? read_file(&r) : worker_call(read_file, &r);
}

static void read_reserved(const Vvfat *v, uint64_t at, uint8_t *out)
{
    bool wide = v->tree.layout.bits == 32;

    if (at == 0 || (wide && at == 6)) {
        memcpy(out, v->boot, VVFAT_SECTOR);
    } else if (wide && (at == 1 || at == 7)) {
        memcpy(out, v->info, VVFAT_SECTOR);
    }
}

/* One sector of the file system; out is zero. */
static int read_sector(BlockNode *node, uint64_t sector, uint8_t *out)
{
    Vvfat *v = node->state;
    const VvfatLayout *l = &v->tree.layout;
    uint64_t root = l->root_entries * VVFAT_ENTRY / VVFAT_SECTOR;

    if (sector < l->hidden) {
        copy_part(v->partitions, VVFAT_SECTOR, sector * VVFAT_SECTOR, out, VVFAT_SECTOR);
        return 0;
    }
    sector -= l->hidden;
    if (sector < l->reserved) {
        read_reserved(v, sector, out);
        return 0;
    }
    sector -= l->reserved;
    if (sector < 2 * l->fat) {
        memcpy(out, v->tree.fat + sector % l->fat * VVFAT_SECTOR, VVFAT_SECTOR);
        return 0;
    }
    sector -= 2 * l->fat;
    if (sector < root) {
        memcpy(out, v->tree.root + sector * VVFAT_SECTOR, VVFAT_SECTOR);
        return 0;
    }
    return read_cluster(node, (sector - root) * VVFAT_SECTOR, out, VVFAT_SECTOR);
}

static int vvfat_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    Vvfat *v = node->state;
    int result = 0;

    coroutine_mutex_lock(&v->lock); /* one file is open at a time */
    while (bytes && result == 0) {
        uint8_t sector[VVFAT_SECTOR] = { 0 };

        result = read_sector(node, offset / VVFAT_SECTOR, sector);
        io_vector_from_buffer(vector, sector, sizeof sector);
        vector = io_vector_skip(vector, sizeof sector);
        offset += sizeof sector;
        bytes -= sizeof sector;
    }
    coroutine_mutex_unlock(&v->lock);
    return result;
}

/* Behind the last cluster in use all is zero. */
static int vvfat_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                        uint64_t *map, BlockNode **file)
{
    const VvfatTree *tree = &((Vvfat *)node->state)->tree;
    const VvfatLayout *l = &tree->layout;
    uint64_t start =
        l->hidden + l->reserved + 2 * l->fat + l->root_entries * VVFAT_ENTRY / VVFAT_SECTOR;
    uint64_t end = (start + (uint64_t)(tree->next_cluster - 2) * l->cluster) * VVFAT_SECTOR;

    *count = offset < end ? MIN(bytes, end - offset) : bytes;
    return BLOCK_STATUS_ALLOCATED | (offset < end ? BLOCK_STATUS_DATA : BLOCK_STATUS_ZERO);
}

static const BlockOption vvfat_options[] = {
    { "dir", "the folder" },
    { "fat-type", "12, 16 or 32" },
    { "floppy", "a floppy disk of 2.88 MB without partitions" },
    { "label", "the volume's name" },
    { "rw", "accepted; the disk is read-only" },
    { 0 },
};

static const char *const vvfat_prefixes[] = { "fat:", NULL };

static const BlockDriver vvfat_driver = {
    .name = "vvfat",
    .summary = "Folder of the host as a FAT disk, read only",
    .prefixes = vvfat_prefixes,
    .options = vvfat_options,
    .instance_size = sizeof(Vvfat),
    .is_protocol = true,
    .parse_filename = vvfat_parse_filename,
    .open = vvfat_open,
    .close = vvfat_close,
    .read = vvfat_read,
    .length = vvfat_length,
    .status = vvfat_status,
};
BLOCK_DRIVER(vvfat_driver);
