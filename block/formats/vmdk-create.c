/* SPDX-License-Identifier: MIT */
/*
 * New VMDK images: a descriptor, which is a text, and extents. monolithicSparse and streamOptimized are one
 * file with the descriptor inside of the only extent; of the others the descriptor is a file that names extents
 * beside itself, in pieces of 2 GiB for twoGbMax….
 */
#include "block/formats/vmdk.h"

#define VMDK_SPLIT GIB(2) /* twoGbMax…: the largest extent */

enum {
    HEADER_SIZE = 512,
    /* in sectors where it is a size */
    GRAIN = 128,
    TABLE_ENTRIES = 512,
    TABLE = 4,
    DESCRIPTOR_AT = 1,
    DESCRIPTOR_SIZE = 20,
    SECTORS_PER_TRACK = 63,
    TOOLS_VERSION_UNKNOWN = INT32_MAX,
};

typedef enum {
    MONOLITHIC_SPARSE,
    MONOLITHIC_FLAT,
    TWO_GB_SPARSE,
    TWO_GB_FLAT,
    STREAM_OPTIMIZED
} Subformat;

static const char *const subformat_names[] = { "monolithicSparse",     "monolithicFlat",
                                               "twoGbMaxExtentSparse", "twoGbMaxExtentFlat",
                                               "streamOptimized",      NULL };

typedef struct {
    uint64_t size;
    int subformat, prealloc;
    bool zeroed_grain, nocow;
    char *adapter, *hardware, *tools, *backing, *backing_format;
    uint32_t parent_cid;
    bool into_nodes;          /* blockdev-create: nothing but nodes that are open is written */
    GPtrArray *extent_places; /* their names, as files (format-target.c) */
} CreateOptions;

static void create_options_clear(CreateOptions *o)
{
    g_free(o->adapter);
    g_free(o->hardware);
    g_free(o->tools);
    g_free(o->backing);
    g_free(o->backing_format);
    g_ptr_array_unref(o->extent_places);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CreateOptions, create_options_clear)

static bool is_flat(const CreateOptions *o)
{
    return o->subformat == MONOLITHIC_FLAT || o->subformat == TWO_GB_FLAT;
}

static bool is_split(const CreateOptions *o)
{
    return o->subformat == TWO_GB_SPARSE || o->subformat == TWO_GB_FLAT;
}

static bool is_monolithic(const CreateOptions *o)
{
    return !is_flat(o) && !is_split(o);
}

static bool check_options(CreateOptions *o, bool compat6, GError **error)
{
    static const char *const adapters[] = { "ide", "buslogic", "lsilogic", "legacyESX", NULL };

    if (!o->adapter) {
        o->adapter = g_strdup("ide");
    }
    if (!g_strv_contains(adapters, o->adapter)) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "Unknown adapter type: '%s' (choose ide, buslogic, lsilogic or legacyESX)", o->adapter);
    }
    if (compat6 && o->hardware && strcmp(o->hardware, "undefined")) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "compat6 cannot be enabled with hwversion set");
    }
    if (!o->hardware || !strcmp(o->hardware, "undefined")) {
        g_free(o->hardware);
        o->hardware = g_strdup(compat6 ? "6" : "4");
    }
    if (!o->tools) {
        o->tools = g_strdup_printf("%d", TOOLS_VERSION_UNKNOWN);
    }
    if (strspn(o->hardware, "0123456789") != strlen(o->hardware) ||
        strspn(o->tools, "0123456789") != strlen(o->tools)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "hwversion '%s' and toolsversion '%s' must be numbers", o->hardware,
                          o->tools);
    }
    if (is_flat(o) && (o->backing || o->zeroed_grain)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          o->backing ? "Flat image can't have backing file"
                                     : "Flat image can't enable zeroed grain");
    }
    if (o->backing_format && strcmp(o->backing_format, "vmdk")) {
        return error_fail(error, KASO_ERROR_INVALID, "backing_file must be a vmdk image");
    }
    if (!is_flat(o) && o->prealloc != PREALLOC_OFF) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "Only flat subformats can be preallocated");
    }
    if (!is_flat(o) && !is_split(o) && o->size > UINT64_C(2) << 40) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "The size %" G_GUINT64_FORMAT " is more than a sparse VMDK can have (2 TiB)", o->size);
    }
    return true;
}

static void take_extent_nodes(GHashTable *options, CreateOptions *o)
{
    o->extent_places = g_ptr_array_new_with_free_func(g_free);
    for (;;) {
        g_autofree char *key = g_strdup_printf("extent_node.%u", o->extent_places->len);
        g_autofree char *node = options_take(options, key);

        if (!node) {
            return;
        }
        g_ptr_array_add(o->extent_places, g_strconcat("format-target:", node, NULL));
    }
}

static bool check_extent_nodes(const CreateOptions *o, GError **error)
{
    uint64_t piece = is_split(o) ? VMDK_SPLIT : MAX(o->size, 1);
    uint64_t wanted = is_monolithic(o) ? 0 : (o->size + piece - 1) / piece;

    if (o->into_nodes && o->extent_places->len < wanted) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "Extent [%u] not specified: a %s image of this size has %" G_GUINT64_FORMAT
            " of them, each a node",
            o->extent_places->len, subformat_names[o->subformat], wanted);
    }
    if (o->extent_places->len > wanted) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "List of extents contains unused extents: %" G_GUINT64_FORMAT
                          " are needed, %u are given",
                          wanted, o->extent_places->len);
    }
    return true;
}

static bool take_options(GHashTable *options, CreateOptions *o, GError **error)
{
    bool compat6 = false;
    uint64_t hint = 0;

    o->parent_cid = UINT32_MAX;
    take_extent_nodes(options, o);
    o->adapter = options_take(options, "adapter_type");
    o->hardware = options_take(options, "hwversion");
    o->tools = options_take(options, "toolsversion");
    o->backing = options_take(options, "backing_file");
    o->backing_format = options_take(options, "backing_fmt");
    if (!options_take_size(options, "size", &o->size, error) ||
        !options_take_size(options, "extent_size_hint", &hint, error) ||
        !options_take_enum(options, "subformat", subformat_names, &o->subformat, error) ||
        !options_take_enum(options, "preallocation", prealloc_names, &o->prealloc, error) ||
        !options_take_bool(options, "zeroed_grain", &o->zeroed_grain, error) ||
        !options_take_bool(options, "nocow", &o->nocow, error) ||
        !options_take_bool(options, "compat6", &compat6, error)) {
        return false;
    }
    o->size = align_up(o->size, 512);
    return check_options(o, compat6, error) && check_extent_nodes(o, error);
}

/* The image above remembers which content it is a change of. */
static bool look_at_parent(BlockGraph *graph, const char *filename, CreateOptions *o,
                           GError **error)
{
    g_autofree char *path = o->backing ? block_combine_path(filename, o->backing, error) : NULL;
    BlockOpenFlags flags = { .read_only = true, .no_backing = true, .force_share = true };
    BlockNode *node;
    bool right;

    if (!path) {
        return !o->backing;
    }
    node = node_open(graph, path, options_new(), flags, error);
    if (!node) {
        return false;
    }
    right = vmdk_is(node);
    o->parent_cid = right ? vmdk_cid(node) : 0;
    node_unref(node);
    return right || error_fail(error, KASO_ERROR_INVALID,
                               "backing_file must be a vmdk image, which '%s' is not", path);
}

/* Extents. */

/* A directory at *sector with its empty tables behind it. */
static void store_directory(uint8_t *image, uint64_t *sector, uint64_t entries)
{
    uint64_t directory_sectors = (entries * 4 + 511) / 512, table = *sector + directory_sectors;

    for (uint64_t i = 0; i < entries; i++) {
        store_le32(image + *sector * 512 + i * 4, (uint32_t)(table + i * TABLE));
    }
    *sector = table + entries * TABLE;
}

/* Header, descriptor (may be NULL) and empty tables of a sparse extent. */
static int write_sparse(BlockNode *file, const CreateOptions *o, uint64_t sectors,
                        const char *descriptor)
{
    uint64_t span = GRAIN * TABLE_ENTRIES, entries = (sectors + span - 1) / span;
    uint64_t directory_sectors = (entries * 4 + 511) / 512, at = DESCRIPTOR_AT + DESCRIPTOR_SIZE;
    uint64_t overhead = align_up(at + 2 * (directory_sectors + entries * TABLE), GRAIN);
    g_autofree uint8_t *h = g_try_malloc0(overhead * 512);
    bool stream = o->subformat == STREAM_OPTIMIZED;

    if (!h) {
        return -ENOMEM;
    }
    memcpy(h, "KDMV", 4);
    store_le32(h + 4, stream ? 3 : o->zeroed_grain ? 2 : 1);
    store_le32(h + 8, VMDK_NEWLINES | VMDK_REDUNDANT |
                          (stream ? VMDK_COMPRESSED | VMDK_MARKERS : 0) |
                          (o->zeroed_grain ? VMDK_ZERO_GRAIN : 0));
    store_le64(h + 12, sectors);
    store_le64(h + 20, GRAIN);
    store_le64(h + 28, DESCRIPTOR_AT);
    store_le64(h + 36, DESCRIPTOR_SIZE);
    store_le32(h + 44, TABLE_ENTRIES);
    store_le64(h + 48, at);
    store_directory(h, &at, entries);
    store_le64(h + 56, at);
    store_directory(h, &at, entries);
    store_le64(h + 64, overhead);
    memcpy(h + 73, "\n \r\n", 4);
    store_le16(h + 77, stream);
    if (descriptor) {
        memcpy(h + DESCRIPTOR_AT * 512, descriptor, strlen(descriptor));
    }
    return node_pwrite(file, 0, h, overhead * 512, 0);
}

static bool create_extent(BlockGraph *graph, const CreateOptions *o, const char *path,
                          uint64_t bytes, GError **error)
{
    g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
    g_autoptr(GHashTable) options = options_new();
    const BlockDriver *protocol =
        o->into_nodes ? block_protocol_for(path, error) : block_driver_find("file");
    BlockNode *file;
    int result;

    if (protocol && is_flat(o)) {
        options_set(options, "size", size);
        options_set(options, "preallocation", prealloc_names[o->prealloc]);
        options_set(options, "nocow", o->nocow ? "on" : "off");
        return protocol->create(graph, path, options, error);
    }
    file = protocol ? mapped_create_file(graph, path, NULL, error) : NULL;
    if (!file) {
        return false;
    }
    result = write_sparse(file, o, bytes / 512, NULL);
    node_unref(file);
    return result == 0 || error_fail_errno(error, -result, "Could not write '%s'", path);
}

/* "disk.vmdk" to "disk-s001.vmdk" and its like. */
static char *extent_name(const char *filename, const CreateOptions *o, unsigned number)
{
    const char *slash = strrchr(filename, '/'), *dot = strrchr(filename, '.');
    size_t stem = dot && (!slash || dot > slash + 1) ? (size_t)(dot - filename) : strlen(filename);

    return is_split(o) ? g_strdup_printf("%.*s-%c%03u%s", (int)stem, filename,
                                         is_flat(o) ? 'f' : 's', number, filename + stem)
                       : g_strdup_printf("%.*s-flat%s", (int)stem, filename, filename + stem);
}

/* What the descriptor calls a node: names begin at its folder. */
static char *node_extent_name(BlockGraph *graph, const char *descriptor, const char *place)
{
    const BlockNode *image = node_find(graph, strchr(descriptor, ':') + 1);
    const BlockNode *node = node_find(graph, strchr(place, ':') + 1);
    g_autofree char *folder = g_path_get_dirname(image->filename);
    g_autofree char *own = g_path_get_dirname(node->filename);

    return strcmp(folder, own) == 0 ? g_path_get_basename(node->filename)
                                    : node_name_for_header(node, image->filename);
}

/* Makes the extents' files and adds their lines. */
static bool create_extents(BlockGraph *graph, const char *filename, const CreateOptions *o,
                           GString *lines, GError **error)
{
    uint64_t limit = is_split(o) ? VMDK_SPLIT : UINT64_MAX, n;
    unsigned number = 1;

    for (uint64_t at = 0; at < o->size; at += n, number++) {
        g_autofree char *path = o->into_nodes ? g_strdup(o->extent_places->pdata[number - 1])
                                              : extent_name(filename, o, number);
        g_autofree char *name =
            o->into_nodes ? node_extent_name(graph, filename, path) : g_path_get_basename(path);

        n = MIN(o->size - at, limit);
        if (strpbrk(name, "\"\n\r")) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "The name '%s' cannot be written into a VMDK descriptor", name);
        }
        if (!create_extent(graph, o, path, n, error)) {
            return false;
        }
        g_string_append_printf(lines, "RW %" G_GUINT64_FORMAT " %s \"%s\"%s\n", n / 512,
                               is_flat(o) ? "FLAT" : "SPARSE", name, is_flat(o) ? " 0" : "");
    }
    return true;
}

static char *make_descriptor(const CreateOptions *o, const char *extents)
{
    unsigned heads = strcmp(o->adapter, "ide") ? 255 : 16;
    g_autofree char *parent =
        o->backing ? g_strdup_printf("parentFileNameHint=\"%s\"\n", o->backing) : g_strdup("");

    return g_strdup_printf(
        "# Disk DescriptorFile\nversion=1\nCID=%08x\nparentCID=%08x\ncreateType=\"%s\"\n%s\n"
        "# Extent description\n%s\n# The Disk Data Base\n#DDB\n\n"
        "ddb.virtualHWVersion = \"%s\"\nddb.geometry.cylinders = \"%" G_GUINT64_FORMAT "\"\n"
        "ddb.geometry.heads = \"%u\"\nddb.geometry.sectors = \"%d\"\nddb.adapterType = \"%s\"\n"
        "ddb.toolsVersion = \"%s\"\n",
        (unsigned)(g_random_int() & INT32_MAX), o->parent_cid, subformat_names[o->subformat],
        parent, extents, o->hardware, o->size / 512 / (SECTORS_PER_TRACK * heads), heads,
        SECTORS_PER_TRACK, o->adapter, o->tools);
}

static bool write_image(BlockNode *file, const char *filename, const CreateOptions *o,
                        const char *descriptor, GError **error)
{
    int result;

    if (is_monolithic(o) && strlen(descriptor) >= DESCRIPTOR_SIZE * 512) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "The descriptor with the name of the backing file is too long");
    }
    result = is_monolithic(o) ? write_sparse(file, o, o->size / 512, descriptor)
                              : node_pwrite(file, 0, descriptor, strlen(descriptor), 0);
    return result == 0 || error_fail_errno(error, -result, "Could not write '%s'", filename);
}

unsigned vmdk_lacks(GHashTable *create_options)
{
    const char *subformat = options_get(create_options, "subformat");

    return subformat && g_str_has_suffix(subformat, "Flat") ? BLOCK_FEATURE_COMPRESSION : 0;
}

bool vmdk_create(BlockGraph *graph, const char *filename, GHashTable *options, GError **error)
{
    g_auto(CreateOptions) o = { .into_nodes = g_str_has_prefix(filename, "format-target:") };
    g_autoptr(GString) lines = g_string_new(NULL);
    g_autofree char *descriptor = NULL;
    BlockNode *file;
    bool done;

    if (!take_options(options, &o, error) || !look_at_parent(graph, filename, &o, error)) {
        return false;
    }
    file = mapped_create_file(graph, filename, NULL,
                              error); /* first: an image in use is not touched */
    if (!file) {
        return false;
    }
    if (is_monolithic(&o)) {
        g_autofree char *name = g_path_get_basename(filename);

        g_string_append_printf(lines, "RW %" G_GUINT64_FORMAT " SPARSE \"%s\"\n", o.size / 512,
                               name);
    }
    done = is_monolithic(&o) || create_extents(graph, filename, &o, lines, error);
    descriptor = make_descriptor(&o, lines->str);
    done = done && write_image(file, filename, &o, descriptor, error);
    node_unref(file);
    return done;
}

const BlockOption vmdk_create_options[] = {
    { "adapter_type", "Virtual adapter type: ide (default), lsilogic, buslogic or legacyESX" },
    { "backing_file", "File name of a base image" },
    { "backing_fmt", "Must be 'vmdk' if present" },
    { "compat6", "VMDK version 6 image" },
    { "extent_size_hint", "Accepted, without effect" },
    { "hwversion", "VMDK hardware version" },
    { "nocow", "Turn off copy-on-write (valid only on btrfs)" },
    { "preallocation", "Preallocation mode of flat extents (allowed values: off, falloc, full)" },
    { "size", "Virtual disk size" },
    { "subformat", "monolithicSparse (default), monolithicFlat, twoGbMaxExtentSparse, "
                   "twoGbMaxExtentFlat or streamOptimized" },
    { "toolsversion", "VMware guest tools version" },
    { "zeroed_grain", "Grains of zeroes need no space in the file" },
    { 0 },
};
