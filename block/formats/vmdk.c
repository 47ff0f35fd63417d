/* SPDX-License-Identifier: MIT */
/*
 * VMware VMDK: descriptor files with FLAT, SPARSE and ZERO extents, hosted sparse extents with
 * embedded descriptor, stream-optimised (compressed) extents, parents. All of them can be written, but
 * each grain of a compressed extent only once. ESX sparse formats (COWD, SESPARSE) are refused.
 */
#include "block/formats/vmdk.h"

#include "block/formats/table-cache.h"

#include <stdlib.h>
#include <zlib.h>

enum {
    HEADER_SIZE = 512,
    MARKER_SIZE = 12, /* before a compressed grain: its sector of the disk, and how long it is */
    DESCRIPTOR_MAX = 1024 * 1024,
    EXTENTS_MAX = 1024,
    DIRECTORY_MAX = 512 * 1024 * 1024,
    SLICE = 512,
    ENTRY_SIZE = 4, /* of a grain table */
};
typedef enum { EXTENT_FLAT, EXTENT_SPARSE, EXTENT_ZERO } ExtentKind;

typedef struct {
    ExtentKind kind;
    uint64_t start, end; /* bytes of the disk */
    BlockChild *file;
    uint64_t flat_offset;
    /* sparse */
    uint64_t grain, table_entries, directory_entries;
    uint32_t *directory;
    uint32_t *redundant; /* a second directory with tables of its own, or NULL */
    bool zero_grain, compressed, writable;
    bool closed; /* a stream with its tables at the end, behind which nothing can come */
    TableCache *tables;
} Extent;

typedef struct {
    GArray *extents; /* Extent */
    char *create_type;
    uint32_t cid, parent_cid;
    uint64_t cid_at;     /* where the descriptor's CID is in the file; 0: not known */
    bool parent_checked; /* the parent has the content that the image is a change of */
    CoroutineMutex lock;
} Vmdk;

static int vmdk_probe(const uint8_t *buffer, size_t size, const char *filename)
{
    const char *text = (const char *)buffer;

    if (size >= 4 && (!memcmp(buffer, "KDMV", 4) || !memcmp(buffer, "COWD", 4))) {
        return 100;
    }
    return size >= 21 && !g_ascii_strncasecmp(text, "# Disk DescriptorFile", 21) ? 100 : 0;
}

/* The value of "key=value" or key="value" at the start of a line. The caller frees. */
static char *descriptor_value(const char *text, const char *key)
{
    size_t length = strlen(key);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!strncmp(line, key, length)) {
            const char *value = line + length + strspn(line + length, " \t");

            if (*value == '=') {
                value += 1 + strspn(value + 1, " \t\"");
                return g_strndup(value, strcspn(value, "\"\r\n"));
            }
        }
    }
    return NULL;
}

/* Sparse extents. */

static bool sparse_load(Vmdk *vmdk, Extent *extent, const uint8_t *h, GError **error)
{
    uint64_t capacity = load_le64(h + 12), span;
    uint64_t directory = load_le64(h + 56);

    extent->kind = EXTENT_SPARSE;
    extent->grain = load_le64(h + 20) * 512;
    extent->table_entries = load_le32(h + 44);
    extent->zero_grain = (load_le32(h + 8) & VMDK_ZERO_GRAIN) != 0;
    extent->compressed = (load_le32(h + 8) & VMDK_COMPRESSED) != 0;
    if (load_le32(h + 4) > 3 || !is_power_of_two(extent->grain) || extent->grain > MIB(64) ||
        !extent->table_entries || extent->table_entries > 512 * 1024 ||
        extent->table_entries % (SLICE / 4) || capacity > INT64_MAX / 512 ||
        directory > INT64_MAX / 512) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "VMDK version %u, grain size, table size or capacity is out of range",
                          load_le32(h + 4));
    }
    if (extent->compressed && load_le16(h + 77) != 1) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "Unknown VMDK compression %u",
                          load_le16(h + 77));
    }
    extent->end = extent->start + capacity * 512;
    span = extent->grain * extent->table_entries;
    extent->directory_entries = (capacity * 512 + span - 1) / span;
    extent->directory =
        mapped_load_table(extent->file->node, directory * 512, extent->directory_entries, 4, false,
                          DIRECTORY_MAX, "the grain directory", error);
    if (!extent->directory) {
        return false;
    }
    extent->tables = table_cache_new(extent->file, SLICE, MIB(4));
    extent->writable = !extent->closed && (load_le32(h + 4) < 3 || extent->compressed);
    if (extent->writable && (load_le32(h + 8) & VMDK_REDUNDANT)) {
        extent->redundant = mapped_load_table(extent->file->node, load_le64(h + 48) * 512,
                                              extent->directory_entries, 4, false, DIRECTORY_MAX,
                                              "the redundant grain directory", NULL);
        extent->writable = extent->redundant != NULL;
    }
    return true;
}

static bool sparse_open(Vmdk *vmdk, Extent *extent, GError **error)
{
    uint8_t h[HEADER_SIZE];
    uint64_t size = node_length(extent->file->node);
    int result = node_pread(extent->file->node, 0, h, sizeof h);

    if (result == 0 && load_le64(h + 56) == UINT64_MAX && size > 1536) {
        /* A stream: the header that counts is in the last but one sector. */
        result = node_pread(extent->file->node, align_down(size, 512) - 1024, h, sizeof h);
        extent->closed = true;
    }
    if (result < 0) {
        return error_fail_errno(error, -result, "Could not read the VMDK header");
    }
    if (memcmp(h, "KDMV", 4)) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "Unsupported kind of VMDK extent in '%s'",
                          extent->file->node->filename);
    }
    return sparse_load(vmdk, extent, h, error);
}

/* Descriptors. */

static bool parse_extent(BlockNode *node, Vmdk *vmdk, const char *line, uint64_t *start,
                         GError **error)
{
    char access[16], kind[16], name[512] = "";
    unsigned long long sectors, offset = 0;
    Extent extent = { .start = *start };
    int fields =
        sscanf(line, "%15s %llu %15s \"%511[^\"]\" %llu", access, &sectors, kind, name, &offset);

    if (fields < 3 || sectors > INT64_MAX / 1024 || offset > INT64_MAX / 1024 ||
        vmdk->extents->len >= EXTENTS_MAX) {
        return error_fail(error, KASO_ERROR_INVALID, "Invalid extent line: %.60s", line);
    }
    if (sectors * 512 > INT64_MAX - *start) {
        return error_fail(error, KASO_ERROR_INVALID, "The extents are too large together: %.60s",
                          line);
    }
    extent.end = *start + sectors * 512;
    if (!strcmp(kind, "ZERO")) {
        extent.kind = EXTENT_ZERO;
    } else {
        g_autofree char *path = block_combine_path(node->filename, name, error);
        g_autofree char *child_name = g_strdup_printf("extents.%u", vmdk->extents->len);
        g_autoptr(GHashTable) options = options_new();
        g_autofree char *key = g_strconcat(child_name, ".driver", NULL);
        BlockChild *child;

        if (!path) {
            return false;
        }
        options_set(options, key, "file");
        node_announce_file(node, "extent", path, "raw");
        child =
            node_open_child(node, child_name, BLOCK_ROLE_DATA, path, options, node->flags, error);
        if (!child) {
            return false;
        }
        extent.file = child;
        if (!strcmp(kind, "FLAT") || !strcmp(kind, "VMFS")) {
            extent.kind = EXTENT_FLAT;
            extent.flat_offset = offset * 512;
        } else if (strcmp(kind, "SPARSE")) {
            return error_fail(error, KASO_ERROR_UNSUPPORTED, "Unsupported VMDK extent type '%s'",
                              kind);
        } else if (!sparse_open(vmdk, &extent, error)) {
            return false;
        }
        extent.end = *start + sectors * 512;
    }
    *start = extent.end;
    g_array_append_val(vmdk->extents, extent);
    return true;
}

static bool is_extent_line(const char *line)
{
    return g_str_has_prefix(line, "RW ") || g_str_has_prefix(line, "RDONLY ") ||
           g_str_has_prefix(line, "NOACCESS ");
}

static bool open_descriptor(BlockNode *node, const char *text, bool with_extents, GError **error)
{
    Vmdk *vmdk = node->state;
    g_autofree char *cid = descriptor_value(text, "CID");
    g_autofree char *parent = descriptor_value(text, "parentCID");
    uint64_t start = 0;

    vmdk->create_type = descriptor_value(text, "createType");
    vmdk->cid = cid ? (uint32_t)strtoul(cid, NULL, 16) : UINT32_MAX;
    vmdk->parent_cid = parent ? (uint32_t)strtoul(parent, NULL, 16) : UINT32_MAX;
    if (vmdk->parent_cid != UINT32_MAX) {
        node->backing_filename = descriptor_value(text, "parentFileNameHint");
        node->backing_format = node->backing_filename ? g_strdup("vmdk") : NULL;
    }
    if (with_extents) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (int i = 0; lines[i]; i++) {
            if (is_extent_line(lines[i]) && !parse_extent(node, vmdk, lines[i], &start, error)) {
                return false;
            }
        }
        return vmdk->extents->len ||
               error_fail(error, KASO_ERROR_INVALID, "The VMDK descriptor names no extents");
    }
    return true;
}

static char *read_text(BlockNode *file, uint64_t offset, uint64_t size, GError **error)
{
    char *text = g_malloc0(MIN(size, DESCRIPTOR_MAX) + 1);
    int result = node_pread(file, offset, text, MIN(size, DESCRIPTOR_MAX));

    if (result < 0) {
        g_free(text);
        error_fail_errno(error, -result, "Could not read the VMDK descriptor");
        return NULL;
    }
    return text;
}

static void find_cid(Vmdk *vmdk, const char *text, uint64_t offset)
{
    const char *cid = strstr(text, "\nCID=");

    if (cid && strspn(cid + 5, "0123456789abcdefABCDEF") == 8) {
        vmdk->cid_at = offset + (uint64_t)(cid + 5 - text);
    }
}

static bool vmdk_open_image(BlockNode *node, GError **error)
{
    Vmdk *vmdk = node->state;
    BlockNode *file = node->file->node;
    uint8_t h[HEADER_SIZE];
    g_autofree char *text = NULL;
    int result = node_pread(file, 0, h, sizeof h);

    if (result < 0) {
        return error_fail_errno(error, -result, "Could not read the VMDK header");
    }
    if (!memcmp(h, "KDMV", 4)) {
        Extent extent = { .file = node->file };
        uint64_t offset = load_le64(h + 28), size = load_le64(h + 36);

        if (offset && size && offset < INT64_MAX / 512 && size < DESCRIPTOR_MAX / 512) {
            text = read_text(file, offset * 512, size * 512, error);
            if (!text || !open_descriptor(node, text, false, error)) {
                return false;
            }
            find_cid(vmdk, text, offset * 512);
        }
        if (!sparse_open(vmdk, &extent, error)) {
            return false;
        }
        g_array_append_val(vmdk->extents, extent);
        return true;
    }
    if (!memcmp(h, "COWD", 4)) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "ESX sparse VMDK images are not supported");
    }
    text = read_text(file, 0, node_length(file), error);
    if (!text || !open_descriptor(node, text, true, error)) {
        return false;
    }
    find_cid(vmdk, text, 0);
    return true;
}

static void vmdk_close(BlockNode *node)
{
    Vmdk *vmdk = node->state;

    for (unsigned i = 0; i < vmdk->extents->len; i++) {
        Extent *extent = &g_array_index(vmdk->extents, Extent, i);

        table_cache_free(extent->tables);
        g_free(extent->directory);
        g_free(extent->redundant);
    }
    g_array_unref(vmdk->extents);
    g_free(vmdk->create_type);
}

static bool can_write(const Vmdk *vmdk)
{
    for (unsigned i = 0; i < vmdk->extents->len; i++) {
        const Extent *extent = &g_array_index(vmdk->extents, Extent, i);

        if (extent->kind == EXTENT_ZERO || (extent->kind == EXTENT_SPARSE && !extent->writable)) {
            return false;
        }
    }
    return true;
}

static bool vmdk_open(BlockNode *node, GHashTable *options, GError **error)
{
    Vmdk *vmdk = node->state;

    vmdk->extents = g_array_new(FALSE, TRUE, sizeof(Extent));
    vmdk->cid = vmdk->parent_cid = UINT32_MAX;
    coroutine_mutex_init(&vmdk->lock);
    if (!vmdk_open_image(node, error) || (!can_write(vmdk) && !mapped_read_only(node, error))) {
        vmdk_close(node);
        return false;
    }
    return true;
}

/* Reading. */

static Extent *find_extent(Vmdk *vmdk, uint64_t offset)
{
    for (unsigned i = 0; i < vmdk->extents->len; i++) {
        Extent *extent = &g_array_index(vmdk->extents, Extent, i);

        if (offset < extent->end) {
            return extent;
        }
    }
    return NULL;
}

/* How many entries from `first` on, of those in the slice, are 0. */
static uint64_t empty_run(const Table *table, uint64_t first, uint64_t max)
{
    uint64_t n = 1;

    while (n < max && first + n < SLICE / ENTRY_SIZE &&
           !load_le32(table->data + (first + n) * ENTRY_SIZE)) {
        n++;
    }
    return n;
}

static int sparse_map(BlockNode *node, Extent *extent, uint64_t at, MappedPiece *piece)
{
    uint64_t grain = at / extent->grain, index = grain / extent->table_entries;
    uint64_t in_grain = at % extent->grain, in_table = grain % extent->table_entries;
    uint64_t grains = extent->table_entries - in_table, max = piece->count, entry_at, entry;
    Table *table;
    int result;

    piece->count = MIN(max, extent->grain - in_grain);
    piece->kind = PIECE_BACKING;
    entry_at = index < extent->directory_entries && extent->directory[index]
                   ? extent->directory[index] * 512ull + in_table * 4
                   : 0;
    if (!entry_at ||
        node_missing(node, extent->start + at, extent->file->node, entry_at + ENTRY_SIZE - 1)) {
        piece->count = MIN(max, grains * extent->grain - in_grain); /* there is no table */
        return 0;
    }
    result = table_cache_get(extent->tables, align_down(entry_at, SLICE), &table);
    if (result < 0) {
        return result;
    }
    entry = load_le32(table->data + entry_at % SLICE);
    if (!entry) {
        grains = node_bytes_left(extent->file->node, entry_at, grains * ENTRY_SIZE) / ENTRY_SIZE;
        grains = empty_run(table, entry_at % SLICE / ENTRY_SIZE, grains);
        piece->count = MIN(max, grains * extent->grain - in_grain);
    }
    table_cache_put(extent->tables, table);
    if (entry == 1 && extent->zero_grain) {
        piece->kind = PIECE_ZERO;
    } else if (entry && extent->compressed) {
        piece->kind = PIECE_COMPRESSED;
        piece->host = entry * 512;
    } else if (entry) {
        piece->kind = PIECE_DATA;
        piece->host = entry * 512 + in_grain;
    }
    return 0;
}

static int vmdk_map(BlockNode *node, uint64_t offset, MappedPiece *piece)
{
    Extent *extent = find_extent(node->state, offset);

    if (!extent) {
        return -EIO;
    }
    piece->count = MIN(piece->count, extent->end - offset);
    piece->file = extent->file->node;
    switch (extent->kind) {
    case EXTENT_ZERO:
        piece->kind = PIECE_ZERO;
        return 0;
    case EXTENT_FLAT:
        piece->kind = PIECE_DATA;
        piece->host = extent->flat_offset + offset - extent->start;
        return 0;
    default:
        return sparse_map(node, extent, offset - extent->start, piece);
    }
}

typedef struct {
    uint8_t *in, *out;
    uint64_t packed, size, least; /* of in, of out, and what must come out */
} Inflate;

static int inflate_worker(void *opaque)
{
    Inflate *call = opaque;
    uLongf size = call->size;

    return uncompress(call->out, &size, call->in, call->packed) == Z_OK && size >= call->least
               ? 0
               : -EIO;
}

/* How long the data behind a marker is, or a negative error. */
static int64_t packed_size(BlockNode *node, const Extent *extent, uint64_t offset, uint64_t host)
{
    BlockNode *file = extent->file->node;
    uint8_t marker[MARKER_SIZE];
    uint32_t size;
    int result;

    if (node_missing(node, offset, file, host + MARKER_SIZE - 1)) {
        return -EIO;
    }
    result = node_pread(file, host, marker, sizeof marker);
    size = load_le32(marker + 8);
    if (result < 0) {
        return result;
    }
    if (!size || size > extent->grain * 2 + 4096 ||
        node_missing(node, offset, file, host + MARKER_SIZE + size - 1)) {
        return -EIO;
    }
    return size;
}

static int vmdk_inflate(BlockNode *node, uint64_t offset, const MappedPiece *piece, IoVector vector)
{
    Extent *extent = find_extent(node->state, offset);
    uint64_t in_grain = (offset - extent->start) % extent->grain, grain_at = offset - in_grain;
    int64_t packed = packed_size(node, extent, offset, piece->host);
    g_autofree uint8_t *in = NULL, *out = NULL;
    Inflate call;
    int result;

    if (packed < 0) {
        return (int)packed;
    }
    in = g_try_malloc((size_t)packed);
    out = g_try_malloc0(extent->grain);
    if (!in || !out) {
        return -ENOMEM;
    }
    result = node_pread(extent->file->node, piece->host + MARKER_SIZE, in, (uint64_t)packed);
    if (result == 0) {
        /* The last grain of a disk may be packed without what is behind its end. */
        call = (Inflate){ in, out, (uint64_t)packed, extent->grain,
                          MIN(extent->grain, extent->end - grain_at) };
        result = worker_compute(inflate_worker, &call);
    }
    if (result == 0) {
        io_vector_from_buffer(vector, out + in_grain, piece->count);
    }
    return result;
}

static int vmdk_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return mapped_read(node, offset, bytes, vector, vmdk_map, vmdk_inflate);
}

/* Writing. */

/* An entry of a grain table in the file, and in the cache, through which the tables are read. */
static int store_entry(Extent *extent, uint32_t table_sector, uint64_t index, uint32_t entry)
{
    uint64_t at = table_sector * 512ull + index * 4;
    Table *table;
    uint8_t data[4];
    int result;

    if (!table_sector) {
        return -ENOTSUP; /* a directory without that table: no program we know leaves one */
    }
    /* Pinned: nobody can be loading the old content meanwhile. */
    result = table_cache_get(extent->tables, align_down(at, SLICE), &table);
    if (result < 0) {
        return result;
    }
    store_le32(data, entry);
    result = node_pwrite(extent->file->node, at, data, sizeof data, 0);
    if (result == 0) {
        memcpy(table->data + at % SLICE, data, sizeof data);
    }
    table_cache_put(extent->tables, table);
    return result;
}

/* The grain is at host from now on. */
static int store_grain(Extent *extent, uint64_t grain, uint64_t host)
{
    uint64_t table = grain / extent->table_entries, index = grain % extent->table_entries;
    int result = 0;

    if (table >= extent->directory_entries || host / 512 > UINT32_MAX) {
        return -EFBIG;
    }
    if (extent->redundant) {
        result = store_entry(extent, extent->redundant[table], index, (uint32_t)(host / 512));
    }
    return result < 0
               ? result
               : store_entry(extent, extent->directory[table], index, (uint32_t)(host / 512));
}

/* What is read at `at` of the extent goes to host: zeroes, or what the parent has. */
static int fill_grain(BlockNode *node, Extent *extent, uint64_t at, uint64_t host)
{
    MappedPiece piece = { .count = 1 };
    g_autofree void *buffer = NULL;
    int result = sparse_map(node, extent, at, &piece);

    if (result < 0) {
        return result;
    }
    if (piece.kind == PIECE_ZERO || !node->backing) {
        return node_write_zeroes(extent->file->node, host, extent->grain, 0);
    }
    buffer = g_try_malloc(extent->grain);
    result = buffer ? node_pread(node->backing->node, extent->start + at, buffer, extent->grain)
                    : -ENOMEM;
    return result < 0 ? result : node_pwrite(extent->file->node, host, buffer, extent->grain, 0);
}

static int vmdk_allocate(BlockNode *node, uint64_t offset)
{
    Vmdk *vmdk = node->state;
    Extent *extent = find_extent(vmdk, offset);
    uint64_t grain, host;
    int result;

    if (!extent || extent->kind != EXTENT_SPARSE) {
        return -EIO;
    }
    grain = (offset - extent->start) / extent->grain;
    host = align_up(node_length(extent->file->node), extent->grain);
    result = fill_grain(node, extent, grain * extent->grain, host);
    return result < 0 ? result : store_grain(extent, grain, host);
}

/* A changed content has another identity, by which images above notice. */
static int change_cid(BlockNode *node)
{
    Vmdk *vmdk = node->state;
    uint64_t at = vmdk->cid_at;
    char text[9];

    vmdk->cid_at = 0;
    if (!at) {
        return 0;
    }
    vmdk->cid = g_random_int() & INT32_MAX;
    g_snprintf(text, sizeof text, "%08x", vmdk->cid);
    return node_pwrite(node->file->node, at, text, 8, 0);
}

/*
 * A parent whose content is another one by now would show through wrongly. Asked once: a commit to it changes
 * nothing that is seen here.
 */
static bool parent_has_changed(const BlockNode *node)
{
    Vmdk *vmdk = node->state;
    const BlockNode *parent = node->backing ? node_skip_filters(node->backing->node) : NULL;

    if (!vmdk->parent_checked && parent && vmdk_is(parent) &&
        vmdk_cid(parent) != vmdk->parent_cid) {
        return true;
    }
    vmdk->parent_checked = true;
    return false;
}

/* Compressed grains. */

/* Marker and packed data of a grain in *packed, which is freed. Returns the size. */
static int64_t pack_grain(uint64_t sector, const void *plain, size_t size, uint8_t **packed)
{
    uLongf length = compressBound(size);
    bool released;
    int result;

    *packed = g_try_malloc0(MARKER_SIZE + length + 512);
    if (!*packed) {
        return -ENOMEM;
    }
    released = coroutine_release();
    result = compress(*packed + MARKER_SIZE, &length, plain, size);
    if (released) {
        coroutine_reacquire();
    }
    if (result != Z_OK) {
        return -EIO;
    }
    store_le64(*packed, sector);
    store_le32(*packed + 8, (uint32_t)length);
    return (int64_t)align_up(MARKER_SIZE + length, 512);
}

/* One grain, or a part of it that has no other yet. */
static int write_packed(BlockNode *node, Extent *extent, uint64_t offset, uint64_t bytes,
                        IoVector vector)
{
    Vmdk *vmdk = node->state;
    uint64_t at = align_down(offset - extent->start, extent->grain), host;
    g_autofree uint8_t *plain = g_try_malloc(extent->grain), *packed = NULL;
    MappedPiece piece = { .count = 1 };
    int64_t size;
    int result = 0;

    if (!plain) {
        return -ENOMEM;
    }
    memset(plain, 0, extent->grain);
    if (bytes < extent->grain && node->backing) {
        result = node_pread(node->backing->node, extent->start + at, plain, extent->grain);
    }
    if (result < 0) {
        return result;
    }
    io_vector_to_buffer(vector, plain + (offset - extent->start - at), bytes);
    size = pack_grain(at / 512, plain, extent->grain, &packed);
    if (size < 0) {
        return (int)size;
    }
    coroutine_mutex_lock(&vmdk->lock);
    result = sparse_map(node, extent, at, &piece);
    if (result == 0 && piece.kind == PIECE_COMPRESSED) {
        result = -EIO; /* what is there cannot be changed */
    }
    if (result == 0) {
        host = align_up(node_length(extent->file->node), 512);
        result = node_pwrite(extent->file->node, host, packed, (uint64_t)size, 0);
        result = result < 0 ? result : store_grain(extent, at / extent->grain, host);
    }
    coroutine_mutex_unlock(&vmdk->lock);
    return result;
}

static int begin_write(BlockNode *node)
{
    return parent_has_changed(node) ? -EINVAL : change_cid(node);
}

/* As many bytes as are in the extent, or in the grain of a compressed one. */
static uint64_t writable_run(const Extent *extent, uint64_t offset, uint64_t bytes)
{
    uint64_t n = MIN(bytes, extent->end - offset);

    return extent->compressed ? MIN(n, extent->grain - (offset - extent->start) % extent->grain)
                              : n;
}

static int vmdk_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                      unsigned flags)
{
    Vmdk *vmdk = node->state;
    int result = begin_write(node);

    while (bytes && result == 0) {
        Extent *extent = find_extent(vmdk, offset);
        uint64_t n = extent ? writable_run(extent, offset, bytes) : 0;

        if (!extent) {
            return -EIO;
        }
        result = extent->compressed ? write_packed(node, extent, offset, n, vector)
                                    : mapped_write(node, offset, n, vector, flags, vmdk_map,
                                                   vmdk_allocate, &vmdk->lock);
        offset += n;
        bytes -= n;
        vector = io_vector_skip(vector, n);
    }
    return result;
}

/* Sparse extents take grains as they are where theirs are not compressed. */
static int vmdk_write_compressed(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    const Vmdk *vmdk = node->state;

    if (g_array_index(vmdk->extents, Extent, 0).kind == EXTENT_FLAT) {
        return -ENOTSUP;
    }
    return bytes ? vmdk_write(node, offset, bytes, vector, 0) : 0;
}

uint32_t vmdk_cid(const BlockNode *node)
{
    return ((const Vmdk *)node->state)->cid;
}

static int vmdk_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                       uint64_t *map, BlockNode **file)
{
    return mapped_status(node, offset, bytes, count, map, file, vmdk_map);
}

static int64_t vmdk_length(BlockNode *node)
{
    Vmdk *vmdk = node->state;

    return (int64_t)g_array_index(vmdk->extents, Extent, vmdk->extents->len - 1).end;
}

static int vmdk_info(BlockNode *node, BlockNodeInfo *info)
{
    Vmdk *vmdk = node->state;

    info->cluster_size = g_array_index(vmdk->extents, Extent, 0).grain;
    info->unallocated_reads_zero = vmdk->parent_cid == UINT32_MAX;
    info->needs_compressed_writes = g_array_index(vmdk->extents, Extent, 0).compressed;
    return 0;
}

/* ImageInfoSpecificVmdk of QMP. */
static json_t *vmdk_specific_info(BlockNode *node)
{
    Vmdk *vmdk = node->state;
    g_autofree char *type = g_utf8_make_valid(vmdk->create_type ? vmdk->create_type : "", -1);
    json_t *extents = json_array();

    for (unsigned i = 0; i < vmdk->extents->len; i++) {
        const Extent *extent = &g_array_index(vmdk->extents, Extent, i);
        g_autofree char *name = extent->file ? node_display_name(extent->file->node) : g_strdup("");
        g_autofree char *valid = g_utf8_make_valid(name, -1);
        json_t *object = json_object();

        if (extent->compressed) {
            json_object_set_new(object, "compressed", json_true());
        }
        json_object_set_new(object, "virtual-size",
                            json_integer((json_int_t)(extent->end - extent->start)));
        json_object_set_new(object, "filename", json_string(valid));
        if (extent->kind == EXTENT_SPARSE) {
            json_object_set_new(object, "cluster-size", json_integer((json_int_t)extent->grain));
        }
        json_object_set_new(object, "format",
                            json_string(extent->kind == EXTENT_FLAT                ? "FLAT"
                                        : extent->kind == EXTENT_ZERO              ? "ZERO"
                                        : node->file && extent->file == node->file ? ""
                                                                                   : "SPARSE"));
        json_array_append_new(extents, object);
    }
    return json_pack("{s:s, s:{s:I, s:I, s:s, s:o}}", "type", "vmdk", "data", "cid",
                     (json_int_t)vmdk->cid, "parent-cid", (json_int_t)vmdk->parent_cid,
                     "create-type", type, "extents", extents);
}

static int vmdk_check(BlockNode *node, BlockCheck *check)
{
    return mapped_check(node, check, vmdk_map, vmdk_inflate);
}

static const BlockDriver vmdk_driver = {
    .name = "vmdk",
    .summary = "VMware virtual disk",
    .instance_size = sizeof(Vmdk),
    .has_backing = true,
    .probe = vmdk_probe,
    .open = vmdk_open,
    .close = vmdk_close,
    .create_options = vmdk_create_options,
    .create = vmdk_create,
    .read = vmdk_read,
    .write = vmdk_write,
    .write_compressed = vmdk_write_compressed,
    .lacks = vmdk_lacks,
    .status = vmdk_status,
    .length = vmdk_length,
    .info = vmdk_info,
    .specific_info = vmdk_specific_info,
    .check = vmdk_check,
};
BLOCK_DRIVER(vmdk_driver);

bool vmdk_is(const BlockNode *node)
{
    return node->driver == &vmdk_driver;
}
