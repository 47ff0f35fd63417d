/* SPDX-License-Identifier: MIT */
/* qcow2: new images, resizing, preallocation, measuring. */
#include "block/qcow2/qcow2.h"

#include "base/bits.h"
#include "base/error.h"
#include "block/graph/bitmap.h"
#include "block/qcow2/crypt.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { BITMAP_ENTRY_SIZE = 24 }; /* of the directory, without the name */

const BlockOption qcow2_create_options[] = {
    { "backing_file", "File name of a base image" },
    { "backing_fmt", "Image format of the base image" },
    { "cluster_size", "qcow2 cluster size" },
    { "compat", "Compatibility level (v2 [0.10] or v3 [1.1])" },
    { "compression_type", "Compression method used for image cluster compression" },
    { "data_file", "File name of an external data file" },
    { "data_file_raw", "The external data file must stay valid as a raw image" },
    { "encrypt.cipher-alg", "Name of encryption cipher algorithm" },
    { "encrypt.cipher-mode", "Name of encryption cipher mode" },
    { "encrypt.format", "Encrypt the image, format choices: 'aes', 'luks'" },
    { "encrypt.hash-alg", "Name of encryption hash algorithm" },
    { "encrypt.iter-time", "Time to spend in PBKDF in milliseconds" },
    { "encrypt.ivgen-alg", "Name of IV generator algorithm" },
    { "encrypt.ivgen-hash-alg", "Name of IV generator hash algorithm" },
    { "encrypt.key-secret", "ID of secret providing qcow AES key or LUKS passphrase" },
    { "encryption", "Encrypt the image with format 'aes'" },
    { "extended_l2", "Extended L2 tables" },
    { "extent_size_hint", "How much of the file the host should allocate at once; 0: as it does" },
    { "keep_data_file", "Assume the external data file already exists and do not overwrite it" },
    { "lazy_refcounts", "Postpone refcount updates" },
    { "nocow", "Turn off copy-on-write (valid only on btrfs)" },
    { "preallocation", "Preallocation mode (allowed values: off, metadata, falloc, full)" },
    { "refcount_bits", "Width of a reference count entry in bits" },
    { "size", "Virtual disk size" },
    { 0 },
};

typedef struct {
    uint64_t size, cluster_size, refcount_bits;
    unsigned version;
    char *backing_file, *backing_format, *data_file;
    char *extent_size_hint; /* NULL: as the host does */
    char *data_node;        /* an open node, which is kept as it is, instead of a file to be made */
    bool data_file_raw, keep_data_file, extended_l2, lazy_refcounts, nocow;
    int compression, prealloc;
    Qcow2CryptCreate crypt;
} CreateOptions;

static void create_options_clear(CreateOptions *o)
{
    g_free(o->backing_file);
    g_free(o->backing_format);
    g_free(o->data_file);
    g_free(o->data_node);
    g_free(o->extent_size_hint);
    g_free(o->crypt.secret);
    if (o->crypt.header) {
        g_byte_array_unref(o->crypt.header);
    }
}

static bool take_create_options(GHashTable *options, CreateOptions *o, GError **error)
{
    static const char *const compat_names[] = { "0.10", "v2", "1.1", "v3", NULL };
    static const char *const compression_names[] = { "zlib", "zstd", NULL };
    int compat = 2;

    *o = (CreateOptions){ .cluster_size = KIB(64), .refcount_bits = 16 };
    o->backing_file = options_take(options, "backing_file");
    o->backing_format = options_take(options, "backing_fmt");
    o->data_file = options_take(options, "data_file");
    o->data_node = options_take(options, "data_file_node");
    o->extent_size_hint = options_take(options, "extent_size_hint");
    if (o->data_file && g_str_has_prefix(o->data_file, "file:")) {
        memmove(o->data_file, o->data_file + strlen("file:"),
                strlen(o->data_file + strlen("file:")) + 1);
    }
    if (!options_take_size(options, "size", &o->size, error) ||
        !options_take_size(options, "cluster_size", &o->cluster_size, error) ||
        !options_take_number(options, "refcount_bits", &o->refcount_bits, error) ||
        !options_take_bool(options, "data_file_raw", &o->data_file_raw, error) ||
        !options_take_bool(options, "keep_data_file", &o->keep_data_file, error) ||
        !options_take_bool(options, "extended_l2", &o->extended_l2, error) ||
        !options_take_bool(options, "lazy_refcounts", &o->lazy_refcounts, error) ||
        !options_take_bool(options, "nocow", &o->nocow, error) ||
        !options_take_enum(options, "compat", compat_names, &compat, error) ||
        !options_take_enum(options, "compression_type", compression_names, &o->compression,
                           error) ||
        !options_take_enum(options, "preallocation", prealloc_names, &o->prealloc, error)) {
        return false;
    }
    o->version = compat < 2 ? 2 : 3;
    o->size = align_up(o->size, 512);
    if (o->data_file_raw && o->prealloc == PREALLOC_OFF) {
        o->prealloc = PREALLOC_METADATA; /* what the image shows is what the data file has */
    }
    return true;
}

static bool fail(GError **error, const char *message)
{
    return error_fail(error, KASO_ERROR_INVALID, "%s", message);
}

static bool check_data_file(const CreateOptions *o, GError **error)
{
    if (o->data_file_raw && !o->data_file) {
        return fail(error, "data-file-raw requires data-file");
    }
    if (o->data_file_raw && o->backing_file) {
        return fail(error, "Backing file and data-file-raw cannot be used at the same time");
    }
    if (o->keep_data_file && !o->data_file) {
        return fail(error, "keep_data_file=on needs data_file");
    }
    if (o->keep_data_file && o->prealloc == PREALLOC_OFF) {
        return fail(error, "keep_data_file=on needs data_file_raw=on or preallocation=metadata: "
                           "nothing of the data file would be seen otherwise");
    }
    if (o->keep_data_file && o->prealloc != PREALLOC_METADATA) {
        return fail(error, "keep_data_file=on allows preallocation=metadata only: other modes "
                           "overwrite the data file");
    }
    return true;
}

static bool check_create_options(const CreateOptions *o, GError **error)
{
    /* What an entry of the L1 table stands for. */
    uint64_t span = o->cluster_size * (o->cluster_size / (o->extended_l2 ? 16 : 8));

    if (!is_power_of_two(o->cluster_size) || o->cluster_size < 512 || o->cluster_size > MIB(2)) {
        return fail(error, "Cluster size must be a power of two between 512 and 2048k");
    }
    if (!is_power_of_two(o->refcount_bits) || o->refcount_bits > 64) {
        return fail(error, "Refcount width must be a power of two and may not exceed 64 bits");
    }
    if (o->version < 3 && o->refcount_bits != 16) {
        return fail(error, "Different refcount widths than 16 bits require compatibility level 1.1 "
                           "or above (use version=v3 or greater)");
    }
    if (o->version < 3 && o->lazy_refcounts) {
        return fail(error, "Lazy refcounts only supported with compatibility level 1.1 and above "
                           "(use version=v3 or greater)");
    }
    if (o->version < 3 && (o->data_file || o->extended_l2 || o->compression)) {
        return fail(error, "External data files, extended L2 entries and compression types other "
                           "than zlib are only supported with compatibility level 1.1 and above");
    }
    if (o->extended_l2 && o->cluster_size < KIB(16)) {
        return fail(error, "Extended L2 entries are only supported with cluster sizes of at least "
                           "16384 bytes");
    }
    if (o->backing_file && o->prealloc != PREALLOC_OFF && !o->extended_l2) {
        return fail(error, "Backing file and preallocation can only be used at the same time if "
                           "extended_l2 is enabled");
    }
    if (o->size / span + (o->size % span != 0) > QCOW2_MAX_L1_BYTES / sizeof(uint64_t)) {
        return fail(error, "The image size is too large for file format 'qcow2' with these "
                           "clusters: give a larger cluster_size");
    }
    if (o->backing_format && !o->backing_file) {
        return fail(error, "Backing format cannot be used without backing file");
    }
    return check_data_file(o, error);
}

/* Header, one cluster of refcount table, one refcount block; no L1 table yet. */
static int write_empty_image(BlockNode *file, const CreateOptions *o)
{
    Qcow2 q = { .version = o->version, .cluster_size = (uint32_t)o->cluster_size };
    BlockNode shell = { 0 };
    BlockChild child = { .node = file };
    g_autofree uint8_t *clusters = g_malloc0(3 * o->cluster_size);
    int result;

    shell.file = &child;
    q.node = &shell;
    q.cluster_bits = (unsigned)__builtin_ctzll(o->cluster_size);
    q.refcount_order = (unsigned)__builtin_ctzll(o->refcount_bits);
    q.reftable_offset = o->cluster_size;
    q.reftable_entries = (uint32_t)(o->cluster_size / 8);
    q.compression_type = (uint8_t)o->compression;
    /* LUKS has no header yet; its method is set together with it. */
    q.crypt_method = o->crypt.method == QCOW2_CRYPT_AES ? QCOW2_CRYPT_AES : QCOW2_CRYPT_NONE;
    q.incompatible = (o->data_file ? QCOW2_INCOMPAT_DATA_FILE : 0) |
                     (o->compression ? QCOW2_INCOMPAT_COMPRESSION : 0) |
                     (o->extended_l2 ? QCOW2_INCOMPAT_EXTL2 : 0);
    q.autoclear = o->data_file_raw ? QCOW2_AUTOCLEAR_DATA_FILE_RAW : 0;
    q.compatible = o->lazy_refcounts ? QCOW2_COMPAT_LAZY_REFCOUNTS : 0;
    q.data_file_name = o->data_file;
    q.header_length = o->version < 3 ? QCOW2_V2_HEADER_LENGTH : 112;
    store_be64(clusters + o->cluster_size, 2 * o->cluster_size);
    for (unsigned i = 0; i < 3; i++) {
        qcow2_refcount_store(&q, clusters + 2 * o->cluster_size, i, 1);
    }
    result = node_pwrite(file, 0, clusters, 3 * o->cluster_size, 0);
    return result < 0 ? result : qcow2_write_header(&q);
}

static BlockNode *open_new(BlockGraph *graph, const char *filename, const char *driver,
                           const char *data_node, GError **error)
{
    BlockOpenFlags flags = { .no_backing = true, .cache_no_flush = true, .check = true };
    GHashTable *options = options_new();

    options_set(options, "driver", driver);
    if (data_node) {
        options_set(options, "data-file", data_node);
    }
    return node_open(graph, filename, options, flags, error);
}

/* false with errno. It is neither made nor emptied. */
static bool may_create(const char *filename)
{
    g_autofree char *folder = g_path_get_dirname(filename);
    bool there = access(filename, F_OK) == 0;

    return access(there ? filename : folder, W_OK) == 0;
}

/* Nothing is made or emptied before this. */
static bool check_data_path(const char *filename, const CreateOptions *o, GError **error)
{
    if (block_is_same_file(o->data_file, filename)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "The data file '%s' is the image itself: give it another name",
                          o->data_file);
    }
    if (!o->keep_data_file && !may_create(o->data_file)) {
        return error_fail_errno(error, errno, "Could not create '%s'", o->data_file);
    }
    if (o->keep_data_file && !g_file_test(o->data_file, G_FILE_TEST_EXISTS)) {
        return error_fail(error, KASO_ERROR_NOT_FOUND,
                          "The data file '%s' does not exist: keep_data_file=on needs one",
                          o->data_file);
    }
    return true;
}

/* The header names a data file that is an open node by that node's file. */
static bool find_data_node(BlockGraph *graph, CreateOptions *o, GError **error)
{
    BlockNode *node = o->data_node ? block_find_node(graph, o->data_node, error) : NULL;

    if (node) {
        g_free(o->data_file);
        o->data_file = node_display_name(node);
    }
    return node || !o->data_node;
}

static bool create_files(BlockGraph *graph, const char *filename, const CreateOptions *o,
                         GError **error)
{
    const BlockDriver *protocol = block_protocol_for(filename, error);
    g_autoptr(GHashTable) options = options_new(), data_options = options_new();

    if (!protocol) {
        return false;
    }
    if (o->data_file && !o->data_node && !check_data_path(filename, o, error)) {
        return false;
    }
    if (o->nocow) {
        options_set(options, "nocow", "on");
    }
    if (o->extent_size_hint) {
        options_set(options, "extent_size_hint", o->extent_size_hint);
    }
    if (protocol->create && !protocol->create(graph, filename, options, error)) {
        return false;
    }
    /*
     * Last: the data file of an image that is in use is not touched. Its old content would show where
     * clusters are allocated ahead.
     */
    return !o->data_file || o->keep_data_file || o->data_node ||
           block_driver_find("file")->create(graph, o->data_file, data_options, error);
}

static bool fill_new_image(BlockNode *node, const CreateOptions *o, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    Prealloc prealloc = (Prealloc)o->prealloc;
    bool done;

    if (o->backing_file && !q->data_file_raw) {
        node->backing_filename = g_strdup(o->backing_file);
        node->backing_format = g_strdup(o->backing_format);
    }
    if (o->crypt.header) {
        int result = qcow2_crypt_store(q, o->crypt.header);

        if (result < 0) {
            return error_fail_errno(error, -result, "Could not write the LUKS header");
        }
    }
    if (o->keep_data_file || o->data_node) {
        q->data_file_raw = false; /* growing would clear it */
    }
    if (o->data_node && prealloc > PREALLOC_METADATA) { /* of what is added to it */
        if (node_length(q->data_file->node) < o->size &&
            !node_truncate(q->data_file->node, o->size, prealloc, error)) {
            return false;
        }
        prealloc = PREALLOC_METADATA;
    }
    done = node_truncate(node, o->size, prealloc, error);
    q->data_file_raw = o->data_file_raw;
    if (!done) {
        return false;
    }
    if (qcow2_has_data_file(q) && o->prealloc == PREALLOC_OFF &&
        node_length(q->data_file->node) < o->size) {
        return node_truncate(q->data_file->node, o->size, PREALLOC_OFF, error);
    }
    return true;
}

unsigned qcow2_lacks(GHashTable *create_options)
{
    const char *compat = options_get(create_options, "compat");
    bool old = compat && (!strcmp(compat, "0.10") || !strcmp(compat, "v2"));

    return (options_get(create_options, "data_file") ? BLOCK_FEATURE_COMPRESSION : 0) |
           (old ? BLOCK_FEATURE_BITMAPS : 0);
}

bool qcow2_create(BlockGraph *graph, const char *filename, GHashTable *options, GError **error)
{
    CreateOptions o;
    BlockNode *file = NULL, *node = NULL;
    bool done = false;
    int result;

    if (!take_create_options(options, &o, error) || !find_data_node(graph, &o, error) ||
        !check_create_options(&o, error) || !qcow2_crypt_prepare(graph, options, &o.crypt, error) ||
        !create_files(graph, filename, &o, error)) {
        goto out;
    }
    file = open_new(graph, filename, block_protocol_for(filename, NULL)->name, NULL, error);
    if (!file) {
        goto out;
    }
    result = write_empty_image(file, &o);
    node_unref(file);
    if (result < 0) {
        error_fail_errno(error, -result, "Could not write the qcow2 header of '%s'", filename);
        goto out;
    }
    node = open_new(graph, filename, "qcow2", o.data_node, error);
    if (node) {
        done = fill_new_image(node, &o, error);
        node_unref(node);
    }
out:
    create_options_clear(&o);
    return done;
}

/* Preallocation. */

/* Entries that refer to clusters which nobody has written: they read as zeroes, being fresh. */
static int link_preallocated(Qcow2 *q, uint64_t guest, uint64_t host, uint64_t clusters)
{
    int result = 0;

    for (uint64_t i = 0; i < clusters && result == 0; i++) {
        L2Entry entry = { (host + i * q->cluster_size) | QCOW2_COPIED, 0 };
        unsigned index;
        Table *table;

        result = qcow2_l2_get_writable(q, guest + i * q->cluster_size, &table, &index);
        if (result == 0) {
            qcow2_l2_store(q, table->data, index, entry);
            table_cache_dirty(q->l2_cache, table);
            table_cache_put(q->l2_cache, table);
        }
    }
    return result;
}

static bool preallocate(Qcow2 *q, uint64_t from, uint64_t to, Prealloc prealloc, GError **error)
{
    BlockNode *file = q->node->file->node;
    uint64_t guest = qcow2_cluster_start(q, align_up(from, q->cluster_size));
    Prealloc below = prealloc == PREALLOC_METADATA ? PREALLOC_OFF : prealloc;
    uint64_t span = UINT64_C(1) << (q->cluster_bits + q->l2_bits);
    int result = 0;

    q->free_hint =
        MAX(q->free_hint,
            align_up(MAX(node_length(file), q->file_end), q->cluster_size) >> q->cluster_bits);
    while (guest < to && result == 0) {
        uint64_t bytes = MIN(to - guest, span - (guest & (span - 1))), n = 0;
        uint64_t host = guest;

        if (qcow2_has_data_file(q)) {
            n = qcow2_clusters(q, bytes);
        } else {
            int64_t first = qcow2_alloc(q, q->cluster_size), more;

            result = first < 0 ? (int)first : 0;
            if (result == 0 && q->cluster_size < bytes) {
                more = qcow2_alloc_at(q, (uint64_t)first + q->cluster_size,
                                      qcow2_clusters(q, bytes) - 1);
                result = more < 0 ? (int)more : 0;
                n = (uint64_t)more;
            }
            n++;
            host = (uint64_t)first;
            if (result == 0 && q->file_end > node_length(file) &&
                !node_grow(file, q->file_end, below, error)) {
                return false;
            }
        }
        if (result == 0) {
            result = link_preallocated(q, guest, host, n);
        }
        guest += n * q->cluster_size;
    }
    if (result == 0 && qcow2_has_data_file(q) && node_length(q->data_file->node) < to &&
        !node_truncate(q->data_file->node, to, below, error)) {
        return false;
    }
    q->free_hint = 0;
    return result == 0 || error_fail_errno(error, -result, "Could not preallocate");
}

/* Resizing. */

/* Gives up the L2 tables of the L1 entries [from, to), which refer to nothing. */
static void drop_tables(Qcow2 *q, uint32_t from, uint32_t to)
{
    coroutine_mutex_lock(&q->lock);
    for (uint32_t i = from; i < to && i < q->l1_size; i++) {
        if (q->l1[i] & QCOW2_OFFSET_MASK) {
            qcow2_metadata_remove(q, q->l1[i] & QCOW2_OFFSET_MASK, q->cluster_size);
            table_cache_forget(q->l2_cache, q->l1[i] & QCOW2_OFFSET_MASK, q->cluster_size);
            qcow2_free_later(q, q->l1[i] & QCOW2_OFFSET_MASK, q->cluster_size);
            qcow2_l1_set(q, i, 0);
        }
    }
    coroutine_mutex_unlock(&q->lock);
}

int qcow2_vm_state_drop(BlockNode *node)
{
    Qcow2 *q = qcow2_of(node);
    uint64_t start = qcow2_vm_state_offset(q);
    uint64_t end = (uint64_t)q->l1_size << (q->cluster_bits + q->l2_bits);
    int result = end > start ? qcow2_discard_clusters(q, start, end - start, true) : 0;

    if (result == 0) {
        drop_tables(q, q->l1_vm_state_index, q->l1_size);
    }
    return result;
}

/*
 * A machine's state that a snapshot has left in the active tables when it was applied: it lies behind the
 * old end, where a larger disk must read as zeroes.
 */
static bool drop_vm_state(Qcow2 *q, GError **error)
{
    int result = qcow2_vm_state_drop(q->node);

    return result == 0 || error_fail_errno(error, -result,
                                           "Could not discard the machine's state behind the disk");
}

static bool shrink(Qcow2 *q, uint64_t size, GError **error)
{
    uint64_t start = align_up(size, q->cluster_size);
    uint64_t end = align_up(q->size, q->cluster_size);
    uint64_t span = UINT64_C(1) << (q->cluster_bits + q->l2_bits);
    uint32_t keep = (uint32_t)((size + span - 1) / span);
    int result = 0;

    if (end > start) {
        result = qcow2_discard_clusters(q, start, end - start, true);
    }
    if (result == 0) {
        drop_tables(q, keep, q->l1_vm_state_index);
    }
    return result == 0 || error_fail_errno(error, -result, "Failed to discard cropped clusters");
}

/* Cuts off what is free at the end of the file. */
static void trim_file(Qcow2 *q)
{
    BlockNode *file = q->node->file->node;
    uint64_t cluster = qcow2_clusters(q, node_length(file)), refcount;

    while (cluster > 1 && qcow2_get_refcount(q, cluster - 1, &refcount) == 0 && refcount == 0) {
        cluster--;
    }
    if (cluster << q->cluster_bits < node_length(file)) {
        q->file_end = cluster << q->cluster_bits;
        node_truncate(file, q->file_end, PREALLOC_OFF, NULL); /* only saves space */
    }
}

static bool check_resize(Qcow2 *q, uint64_t size, Prealloc prealloc, GError **error)
{
    if (size & 511) {
        return fail(error, "The new size must be a multiple of 512");
    }
    if (q->snapshot_count && q->version < 3) {
        return fail(error, "Can't resize a version 2 image which has snapshots");
    }
    if (size < q->size && prealloc != PREALLOC_OFF) {
        return fail(error, "Preallocation can't be used for shrinking an image");
    }
    for (GSList *link = q->node->dirty_bitmaps; link; link = link->next) {
        const DirtyBitmap *bitmap = link->data;

        if (bitmap->inconsistent) {
            return error_fail(error, KASO_ERROR_GENERIC,
                              "Bitmap '%s' is inconsistent and cannot be resized: remove it",
                              bitmap->name);
        }
    }
    return true;
}

static int commit_size(Qcow2 *q, uint64_t size)
{
    uint64_t old = q->size;
    int result = qcow2_sync(q);

    q->size = size;
    if (result == 0) {
        result = qcow2_commit_header(q);
    }
    if (result < 0) {
        q->size = old;
    }
    return result;
}

/* Zeroes as data where something else would be read: version 2 and parts of clusters. */
static int overwrite_with_zeroes(Qcow2 *q, uint64_t offset, uint64_t end)
{
    BlockNode *backing = q->node->backing ? q->node->backing->node : NULL;
    uint64_t chunk = MIB(1);
    g_autofree uint8_t *zeroes = g_try_malloc0(chunk);
    int result = zeroes ? 0 : -ENOMEM;

    while (offset < end && result == 0) {
        uint64_t count, host;
        Subcluster type;
        bool ours, shows;

        result = qcow2_map(q, offset, MIN(end - offset, chunk), &count, &host, &type, &ours);
        if (result < 0) {
            break;
        }
        shows = type == SUBCLUSTER_NORMAL || type == SUBCLUSTER_COMPRESSED;
        if (type == SUBCLUSTER_UNALLOCATED || type == SUBCLUSTER_UNALLOCATED_ALLOC) {
            shows = backing && node_size(backing) > offset;
        }
        if (shows) {
            struct iovec iov = { zeroes, count };

            result = qcow2_write(q->node, offset, count, io_vector_of(&iov), 0);
        }
        offset += count;
    }
    return result;
}

/*
 * What is behind the old end must read as zeroes: the rest of its cluster, which an earlier shrinking
 * has left, and what the backing file has there.
 */
static int clear_growth(Qcow2 *q, uint64_t old_size, uint64_t size)
{
    uint64_t tail = MIN(align_up(old_size, q->cluster_size), size);
    uint64_t end = q->node->backing ? MIN(node_size(q->node->backing->node), size) : 0;
    int result = 0;

    if (tail > old_size) {
        result = overwrite_with_zeroes(q, old_size, tail);
    }
    if (result < 0 || end <= tail) {
        return result;
    }
    return q->version < 3
               ? overwrite_with_zeroes(q, tail, end)
               : qcow2_write_zeroes(q->node, tail, align_up(end, q->cluster_size) - tail, 0);
}

/* A raw data file reads as zeroes behind the old end, too, and covers the new size. */
static bool resize_raw_data(Qcow2 *q, uint64_t old_size, uint64_t size, GError **error)
{
    BlockNode *data = q->data_file->node;

    return (node_length(data) <= old_size || node_truncate(data, old_size, PREALLOC_OFF, error)) &&
           (node_length(data) == size || node_truncate(data, size, PREALLOC_OFF, error));
}

bool qcow2_truncate(BlockNode *node, uint64_t size, Prealloc prealloc, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    uint64_t span = UINT64_C(1) << (q->cluster_bits + q->l2_bits), old_size = q->size;
    uint64_t l1_entries = size / span + (size % span != 0);
    int result = 0;

    if (!check_resize(q, size, prealloc, error) || (size != old_size && !drop_vm_state(q, error)) ||
        (size < old_size && !shrink(q, size, error)) ||
        (q->data_file_raw && !resize_raw_data(q, MIN(old_size, size), size, error))) {
        return false;
    }
    coroutine_mutex_lock(&q->lock);
    result = qcow2_know_metadata(q);
    if (result == 0 && q->bitmaps.count) {
        result = qcow2_mark_bitmaps_in_use(q); /* until they are stored in their new size */
        q->bitmaps_changed = true;
    }
    if (result == 0 && (l1_entries > q->l1_size || !q->l1_offset)) {
        result = qcow2_grow_l1(q, MAX(l1_entries, 1), true);
    }
    if (result == 0 && prealloc != PREALLOC_OFF &&
        !preallocate(q, old_size, size, prealloc, error)) {
        coroutine_mutex_unlock(&q->lock);
        return false;
    }
    coroutine_mutex_unlock(&q->lock);
    if (result == 0) {
        result = clear_growth(q, old_size, size);
    }
    coroutine_mutex_lock(&q->lock);
    if (result == 0) {
        if (size < old_size) {
            node_debug_event(q->node->file->node, EVENT_L1_SHRINK_WRITE_TABLE);
        }
        result = commit_size(q, size);
    }
    if (result == 0 && size < old_size) {
        node_debug_event(q->node->file->node, EVENT_L1_SHRINK_FREE_L2_CLUSTERS);
    }
    if (result == 0) {
        q->l1_vm_state_index = (uint32_t)l1_entries;
        qcow2_apply_ready(q);
        if (size < old_size) {
            trim_file(q);
        }
    }
    coroutine_mutex_unlock(&q->lock);
    return result == 0 || error_fail_errno(error, -result, "Could not resize '%s'", node->filename);
}

/* Measuring. */

static uint64_t refcount_metadata_bytes(uint64_t clusters, uint64_t cluster_size,
                                        uint64_t refcount_bits)
{
    uint64_t per_table = cluster_size / 8, per_block = cluster_size * 8 / refcount_bits;
    uint64_t table = 0, blocks = 0, last, n = 0;

    do {
        last = n;
        blocks = (clusters + table + blocks + per_block - 1) / per_block;
        table = (blocks + per_table - 1) / per_table;
        n = clusters + blocks + table;
    } while (n != last);
    return (blocks + table) * cluster_size;
}

static uint64_t full_size(const CreateOptions *o, uint64_t size)
{
    uint64_t entry = o->extended_l2 ? 16 : 8, l2_entries, l1_entries, meta = o->cluster_size;

    l2_entries = align_up(size / o->cluster_size, o->cluster_size / entry);
    meta += l2_entries * entry;
    l1_entries = align_up(l2_entries * entry / o->cluster_size, o->cluster_size / 8);
    meta += l1_entries * 8;
    meta +=
        refcount_metadata_bytes((meta + size) / o->cluster_size, o->cluster_size, o->refcount_bits);
    return meta + size;
}

/* Bytes of the clusters that hold data. */
static bool count_data(BlockNode *source, uint64_t cluster_size, uint64_t *bytes, GError **error)
{
    uint64_t size = node_size(source), counted = 0;

    *bytes = 0;
    for (uint64_t offset = 0; offset < size;) {
        uint64_t count, map, end;
        BlockNode *file;
        unsigned depth;
        int status =
            node_status_above(source, NULL, offset, size - offset, &count, &map, &file, &depth);

        if (status < 0) {
            return error_fail_errno(error, -status, "Unable to get block status");
        }
        end = align_up(offset + count, cluster_size);
        if ((status & BLOCK_STATUS_DATA) && !(status & BLOCK_STATUS_ZERO) && end > counted) {
            *bytes += end - MAX(counted, align_down(offset, cluster_size));
            counted = end;
        }
        offset += count;
    }
    return true;
}

/* What copies of the source's bitmaps take up at most: a full table and its pieces for each. */
static uint64_t bitmaps_size(BlockNode *source, uint64_t cluster_size)
{
    uint64_t bytes = 0, directory = 0;

    for (GSList *link = source->dirty_bitmaps; link; link = link->next) {
        const DirtyBitmap *bitmap = link->data;
        uint64_t data = align_up(dirty_bitmap_bytes(bitmap), cluster_size);

        if (bitmap->persistent && !bitmap->inconsistent) {
            bytes += data + align_up(data / cluster_size * 8, cluster_size);
            directory += align_up(BITMAP_ENTRY_SIZE + strlen(bitmap->name), 8);
        }
    }
    return bytes + align_up(directory, cluster_size);
}

bool qcow2_measure(BlockGraph *graph, GHashTable *options, BlockNode *source, uint64_t *required,
                   uint64_t *fully, uint64_t *bitmaps, GError **error)
{
    CreateOptions o;
    uint64_t size, data = 0, keys;
    bool done;

    done = take_create_options(options, &o, error) && check_create_options(&o, error) &&
           qcow2_crypt_measure(graph, options, &keys, error);
    if (done) {
        size = align_up(source ? node_size(source) : o.size, o.cluster_size);
        if (source) {
            done = o.backing_file || count_data(source, o.cluster_size, &data, error);
            *bitmaps = bitmaps_size(source, o.cluster_size);
        }
        if (o.prealloc == PREALLOC_FULL || o.prealloc == PREALLOC_FALLOC) {
            data = size;
        }
        *fully = full_size(&o, size) + align_up(keys, o.cluster_size);
        *required = *fully - size + data;
    }
    create_options_clear(&o);
    return done;
}
