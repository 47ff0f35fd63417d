/* SPDX-License-Identifier: MIT */
/* Opening trees of nodes: file names, protocols, format detection, backing files. */
#include "block/graph/open.h"

#include "block/graph/node.h"

#include "base/error.h"
#include "base/names.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROBE_SIZE = 2048, BACKING_DEPTH_MAX = 256 };

const char *const prealloc_names[] = { "off", "metadata", "falloc", "full", NULL };

/* File names. */

bool block_path_has_protocol(const char *path)
{
    size_t end = strcspn(path, ":/");

    return path[end] == ':' && end > 0;
}

char *block_combine_path(const char *base, const char *name, GError **error)
{
    const char *slash, *start = base;

    if (block_path_has_protocol(name) || name[0] == '/') {
        return g_strdup(name);
    }
    if (g_str_has_prefix(base, "json:")) {
        error_fail(
            error, KASO_ERROR_INVALID,
            "Cannot find the relative backing file '%s': the image has no file name of its own",
            name);
        return NULL;
    }
    slash = strrchr(start, '/');
    if (!slash) {
        if (block_path_has_protocol(base)) {
            slash = strchr(base, ':');
        } else {
            return g_strdup(name);
        }
    }
    return g_strdup_printf("%.*s%s", (int)(slash + 1 - base), base, name);
}

char *node_name_for_header(const BlockNode *node, const char *image)
{
    g_autofree char *found = NULL;

    if (!node->filename[0]) {
        return node_display_name((BlockNode *)node);
    }
    if (block_path_has_protocol(node->filename) || node->filename[0] == '/') {
        return g_strdup(node->filename);
    }
    found = block_combine_path(image, node->filename, NULL);
    return found && block_is_same_file(found, node->filename)
               ? g_strdup(node->filename)
               : g_canonicalize_filename(node->filename, NULL);
}

bool block_is_same_file(const char *a, const char *b)
{
    struct stat left, right;

    return !strcmp(a, b) || (stat(a, &left) == 0 && stat(b, &right) == 0 &&
                             left.st_dev == right.st_dev && left.st_ino == right.st_ino);
}

char *node_backing_path(BlockNode *node, GError **error)
{
    BlockNode *storage = node_skip_filters(node);

    if (!node->backing_filename) {
        return NULL;
    }
    return block_combine_path(
        storage->filename[0] ? storage->filename : "json:", node->backing_filename, error);
}

/* Options without which the file name alone does not give the same content. */
static bool is_strong_option(BlockNode *node, const char *key)
{
    bool is_raw = !strcmp(node->driver->name, "raw");

    return g_str_has_prefix(key, "encrypt.") || !strcmp(key, "key-secret") ||
           g_str_has_prefix(key, "header.") ||
           (is_raw && (!strcmp(key, "offset") || !strcmp(key, "size")));
}

/* json:{…} with the strong options and the file; NULL: there are none. */
static char *strong_display_name(BlockNode *node)
{
    g_autoptr(GHashTable) strong = options_new();
    g_autofree char *json = NULL;
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, node->explicit_options);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        if (is_strong_option(node, key)) {
            options_set(strong, key, value);
        }
    }
    if (!g_hash_table_size(strong)) {
        return NULL;
    }
    for (GList *link = node->children.head; link; link = link->next) {
        const BlockChild *child = link->data;

        if (!strcmp(child->name, "header") && options_get(strong, "header.filename")) {
            options_set(strong, "header.driver", child->node->driver->name);
        }
    }
    options_set(strong, "driver", node->driver->name);
    options_set(strong, "file.driver", node->file->node->driver->name);
    options_set(strong, "file.filename", node->filename);
    json = options_to_json(strong);
    return g_strconcat("json:", json, NULL);
}

char *node_display_name(BlockNode *node)
{
    g_autofree char *json = NULL;

    if (node->filename[0]) {
        char *strong = node->file && node->explicit_options ? strong_display_name(node) : NULL;

        return strong ? strong : g_strdup(node->filename);
    }
    if (!node->explicit_options) {
        return g_strdup("");
    }
    json = options_to_json(node->explicit_options);
    return g_strconcat("json:", json, NULL);
}

const BlockDriver *block_protocol_for(const char *filename, GError **error)
{
    const BlockDriver *const *it;
    struct stat st;

    REGISTRY_FOREACH(block_drivers, it) {
        const char *const *prefix = (*it)->prefixes;

        for (; prefix && *prefix; prefix++) {
            if (g_str_has_prefix(filename, *prefix)) {
                return *it;
            }
        }
    }
    if (block_path_has_protocol(filename) && stat(filename, &st) < 0) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "Unknown protocol '%.*s'",
                   (int)strcspn(filename, ":"), filename);
        return NULL;
    }
    if (stat(filename, &st) == 0 && (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode))) {
        return block_driver_find("host_device");
    }
    return block_driver_find("file");
}

bool block_create_image(BlockGraph *graph, const BlockDriver *driver, const char *filename,
                        GHashTable *options, GError **error)
{
    const char *backing = options_get(options, "backing_fmt");
    struct stat st;
    bool is_new = stat(filename, &st) < 0;

    if (!driver->create) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "Format '%s' cannot be created",
                          driver->name);
    }
    if (backing && !block_driver_find(backing)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Unknown format '%s' of the backing file: nothing would open the image",
                          backing);
    }
    if (driver->create(graph, filename, options, error)) {
        return true;
    }
    if (is_new) {
        unlink(filename); /* half an image would look like one */
    }
    return false;
}

const BlockDriver *block_probe(const uint8_t *buffer, size_t size, const char *filename)
{
    const BlockDriver *best = block_driver_find("raw");
    const BlockDriver *const *it;
    int best_score = 1;

    REGISTRY_FOREACH(block_drivers, it) {
        int score = (*it)->probe ? (*it)->probe(buffer, size, filename ? filename : "") : 0;

        if (score > best_score) {
            best_score = score;
            best = *it;
        }
    }
    return best;
}

/* Options that every node has. */

bool open_take_flags(GHashTable *options, BlockOpenFlags *flags, GError **error)
{
    bool read_only = flags->read_only, active = !flags->inactive;
    int unmap = flags->unmap;
    static const char *const discard_names[] = { "ignore", "unmap", "off", "on", NULL };

    if (!options_take_bool(options, "read-only", &read_only, error) ||
        !options_take_bool(options, "auto-read-only", &flags->auto_read_only, error) ||
        !options_take_bool(options, "cache.direct", &flags->cache_direct, error) ||
        !options_take_bool(options, "cache.no-flush", &flags->cache_no_flush, error) ||
        !options_take_bool(options, "force-share", &flags->force_share, error) ||
        !options_take_bool(options, "active", &active, error) ||
        !options_take_enum(options, "discard", discard_names, &unmap, error)) {
        return false;
    }
    flags->read_only = read_only;
    flags->inactive = !active;
    flags->unmap = unmap & 1;
    if (flags->force_share && !flags->read_only) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "force-share=on can only be used with read-only images");
    }
    return true;
}

bool open_take_detect_zeroes(BlockNode *node, bool unmap, GHashTable *options, GError **error)
{
    static const char *const names[] = { "off", "on", "unmap", NULL };
    int value = DETECT_ZEROES_OFF;

    if (!options_take_enum(options, "detect-zeroes", names, &value, error)) {
        return false;
    }
    if (value == DETECT_ZEROES_UNMAP && !unmap) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "setting detect-zeroes to unmap is not allowed without setting discard "
                          "operation to unmap");
    }
    node->detect_zeroes = value;
    return true;
}

static const NotYet drivers_not_yet[] = {
    { "blklogwrites blkreplay gluster host_cdrom io_uring iscsi iser nfs nvme "
      "nvme-io_uring rbd "
      "replication ssh virtio-blk-*" },
    { 0 },
};

static const BlockDriver *take_driver(GHashTable *options, bool *failed, GError **error)
{
    g_autofree char *name = options_take(options, "driver");
    const BlockDriver *driver = name ? block_driver_find(name) : NULL;

    *failed = name && !driver;
    if (*failed) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "Unknown driver '%s'%s", name,
                   not_yet_find(drivers_not_yet, name) ? ": not yet: it is not built" : "");
    }
    return driver;
}

/* Children. */

/* A node for "name" in options, or for filename. NULL without error: neither is given. */
static BlockNode *open_child_node(BlockGraph *graph, const char *name, const char *filename,
                                  GHashTable *options, BlockOpenFlags flags, GError **error)
{
    g_autofree char *reference = options_take(options, name);
    GHashTable *nested = options_take_nested(options, name);
    BlockNode *node;

    if (reference && reference[0]) {
        g_hash_table_unref(nested);
        node = node_find(graph, reference);
        if (!node) {
            error_fail(error, KASO_ERROR_NOT_FOUND, "Cannot find device='' nor node-name='%s'",
                       reference);
            return NULL;
        }
        node_ref(node);
        return node;
    }
    if (!filename && !g_hash_table_size(nested)) {
        g_hash_table_unref(nested);
        return NULL;
    }
    return node_open(graph, filename, nested, flags, error);
}

BlockChild *node_open_child(BlockNode *node, const char *name, BlockRole role, const char *filename,
                            GHashTable *options, BlockOpenFlags flags, GError **error)
{
    GError *local = NULL;
    BlockNode *child = open_child_node(node->graph, name, filename, options, flags, &local);

    if (!child) {
        if (local) {
            g_propagate_error(error, local);
        } else {
            error_fail(error, KASO_ERROR_INVALID, "A block device must be specified for \"%s\"",
                       name);
        }
        return NULL;
    }
    return node_attach_child(node, child, name, role, error);
}

BlockChild *node_open_bytes(BlockNode *node, const char *name, BlockRole role, const char *filename,
                            GHashTable *options, GError **error)
{
    g_autofree char *name_key = g_strconcat(name, ".filename", NULL);
    g_autofree char *driver_key = g_strconcat(name, ".driver", NULL);
    const char *path = filename ? filename : options_get(options, name_key);
    BlockOpenFlags flags = node->flags;

    if (path && !options_get(options, driver_key)) {
        const BlockDriver *protocol = block_protocol_for(path, error);

        if (!protocol) {
            return NULL;
        }
        options_set(options, driver_key, protocol->name);
    }
    flags.protocol = true;
    return node_open_child(node, name, role, filename, options, flags, error);
}

/* Whether this path is the node's own file, or one whose chain has led here: it bites its own tail. */
static bool is_in_chain(const BlockNode *node, const char *path)
{
    struct stat a, b;

    if (stat(path, &a) < 0) {
        return false;
    }
    for (; node; node = node->flags.overlay) {
        if (node->filename[0] && stat(node->filename, &b) == 0 && a.st_dev == b.st_dev &&
            a.st_ino == b.st_ino) {
            return true;
        }
    }
    return false;
}

static bool open_backing(BlockNode *node, GHashTable *options, GError **error)
{
    BlockOpenFlags flags = node->flags;
    const char *explicit_node = options_get(options, "backing");
    bool none = explicit_node && !explicit_node[0];
    g_autofree char *path = NULL;
    BlockNode *backing;
    GError *local = NULL;

    if (none || flags.no_backing) {
        g_free(options_take(options, "backing"));
        if (flags.no_backing) {
            g_hash_table_unref(options_take_nested(options, "backing"));
        }
        return true;
    }
    if (++flags.depth > BACKING_DEPTH_MAX) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "The backing chain is deeper than %d images, or has a cycle",
                          BACKING_DEPTH_MAX);
    }
    flags.read_only = true;
    flags.auto_read_only = false;
    flags.overlay = node;
    if (!explicit_node && !options_has_nested(options, "backing")) {
        if (!node->backing_filename) {
            return true;
        }
    }
    if (!explicit_node && node->backing_filename && !options_get(options, "backing.file") &&
        !options_has_nested(options, "backing.file") && !options_get(options, "backing.filename")) {
        path = node_backing_path(node, error);
        if (!path) {
            return false;
        }
        if (is_in_chain(node, path)) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "The backing file '%s' of '%s' is an image of the same chain: the "
                              "chain has a cycle",
                              path, node->filename);
        }
        if (node->backing_format && !options_get(options, "backing.driver")) {
            options_set(options, "backing.driver", node->backing_format);
        }
        node_announce_file(node, "backing file", path, options_get(options, "backing.driver"));
    }
    backing = open_child_node(node->graph, "backing", path, options, flags, &local);
    if (!backing) {
        if (!local) {
            return true;
        }
        g_propagate_prefixed_error(error, local, "Could not open backing file: ");
        return false;
    }
    return node_attach_child(node, backing, "backing", BLOCK_ROLE_COW, error) != NULL;
}

bool node_open_backing(BlockNode *node, GError **error)
{
    g_autoptr(GHashTable) options = options_new();

    node->flags.no_backing = false;
    return node->backing || open_backing(node, options, error);
}

/* Nodes. */

bool block_name_is_good(const char *name)
{
    return g_ascii_isalpha(name[0]) &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz"
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == strlen(name);
}

bool open_check_node_name(BlockGraph *graph, const char *name, GError **error)
{
    if (!name) {
        return true;
    }
    if (!block_name_is_good(name)) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "Invalid node-name: '%s' (letters, digits, '-', '.', '_'; a letter first)", name);
    }
    if (strlen(name) > 31) {
        return error_fail(error, KASO_ERROR_INVALID, "Node name '%s' is longer than 31 characters",
                          name);
    }
    for (GList *link = block_graph_backends(graph); link; link = link->next) {
        if (!strcmp(block_id(link->data), name)) { /* commands take either */
            return error_fail(error, KASO_ERROR_INVALID,
                              "node-name=%s is conflicting with a device id", name);
        }
    }
    if (node_find(graph, name)) {
        return error_fail(error, KASO_ERROR_INVALID, "Duplicate nodes with node-name='%s'", name);
    }
    return true;
}

/* The part of opening that needs the node: the driver's open, size, leftover options, backing. */
static bool node_open_instance(BlockNode *node, GHashTable *options, GError **error)
{
    const BlockDriver *driver = node->driver;
    g_autofree char *what = g_strdup_printf("Block format '%s'", driver->name);
    int64_t length;

    if (!open_take_detect_zeroes(node, node->flags.unmap, options, error)) {
        return false;
    }
    if (driver->is_filter && node->file) {
        node->request_alignment = node->file->node->request_alignment;
    }
    if (!activate_open_driver(node, options, error)) {
        return false;
    }
    length = driver->length ? driver->length(node)
                            : (node->file ? (int64_t)node_size(node->file->node) : 0);
    if (length < 0) {
        if (driver->close) {
            driver->close(node);
        }
        return error_fail_errno(error, -(int)length, "Could not find the size of '%s'",
                                node->filename);
    }
    node->size = length;
    if ((driver->has_backing && !open_backing(node, options, error)) ||
        !options_check_empty(options, what, driver->options, error)) {
        if (driver->close) {
            driver->close(node);
        }
        return false;
    }
    return true;
}

/* "file:NAME" is shown as NAME, where that is no other protocol's. */
static const char *shown_name(const char *filename)
{
    static const char prefix[] = "file:";
    const char *name = filename + strlen(prefix);

    return g_str_has_prefix(filename, prefix) && name[0] && name[strcspn(name, ":/")] != ':'
               ? name
               : filename;
}

static BlockNode *node_instantiate(BlockGraph *graph, const BlockDriver *driver,
                                   const char *node_name, const char *filename, BlockNode *file,
                                   GHashTable *options, BlockOpenFlags flags, GError **error)
{
    BlockNode *node = node_new(graph, driver, node_name);

    node->flags = flags;
    node->read_only = flags.read_only;
    if (filename) {
        g_free(node->filename);
        node->filename = g_strdup(shown_name(filename));
    }
    if (file) {
        BlockRole role = driver->is_filter             ? BLOCK_ROLE_FILTERED | BLOCK_ROLE_PRIMARY
                         : strcmp(driver->name, "raw") ? BLOCK_ROLE_IMAGE
                                                       : BLOCK_ROLE_STORAGE;

        if (file->read_only && (flags.auto_read_only || !file->driver->write)) {
            node->read_only = node->flags.read_only = true;
        }
        if (!node_attach_child(node, file, "file", role, error)) {
            node_free(node);
            return NULL;
        }
        if (!filename && file->filename[0]) {
            g_free(node->filename);
            node->filename = g_strdup(file->filename);
        }
    }
    if (!node_open_instance(node, options, error)) {
        node_free(node);
        return NULL;
    }
    node->flags.overlay = NULL;
    return node;
}

BlockNode *node_open_filter(const BlockDriver *driver, const char *node_name, BlockNode *file,
                            GError **error)
{
    g_autoptr(GHashTable) options = options_new();
    BlockOpenFlags flags = { .read_only = file->read_only, .unmap = file->flags.unmap };

    if (!open_check_node_name(file->graph, node_name, error)) {
        return NULL;
    }
    node_ref(file);
    return node_instantiate(file->graph, driver, node_name, NULL, file, options, flags, error);
}

/* The format of an open protocol node, from its first bytes. */
static const BlockDriver *probe_node(BlockNode *file, GError **error)
{
    g_autofree uint8_t *buffer = g_malloc0(PROBE_SIZE);
    uint64_t size = MIN(node_size(file), PROBE_SIZE);
    int result = size ? node_pread(file, 0, buffer, size) : 0;

    if (result < 0) {
        error_fail_errno(error, -result, "Could not read image for determining its format");
        return NULL;
    }
    return block_probe(buffer, size, file->filename);
}

/* Opens a protocol driver's node: filename becomes its options. */
static BlockNode *open_protocol(BlockGraph *graph, const BlockDriver *driver, const char *filename,
                                const char *node_name, GHashTable *options, BlockOpenFlags flags,
                                GError **error)
{
    g_autofree char *shown = NULL;

    if (filename && !options_get(options, "filename")) {
        if (driver->parse_filename) {
            if (!driver->parse_filename(filename, options, error)) {
                return NULL;
            }
        } else {
            options_set(options, "filename", filename);
        }
    }
    shown = g_strdup(filename ? filename : options_get(options, "filename"));
    return node_instantiate(graph, driver, node_name, shown, NULL, options, flags, error);
}

void open_rename_child_option(const char *name, GHashTable *options)
{
    g_autoptr(GHashTable) nested = options_take_nested(options, name);
    g_autofree char *node = options_take(options, name);
    GHashTableIter iter;
    gpointer key, value;

    if (node) {
        options_set(options, "file", node);
    }
    g_hash_table_iter_init(&iter, nested);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        g_autofree char *full = g_strconcat("file.", (char *)key, NULL);

        options_set(options, full, value);
    }
}

/* Opens a format or filter: first its file, then, with its content, the driver. */
static BlockNode *open_format(BlockGraph *graph, const BlockDriver *driver, const char *filename,
                              const char *node_name, GHashTable *options, BlockOpenFlags flags,
                              GError **error)
{
    BlockOpenFlags child_flags = flags;
    g_autofree char *name_taken = NULL;
    BlockNode *file, *node;
    GError *local = NULL;
    bool probed = false;

    if (driver && driver->child_option) {
        open_rename_child_option(driver->child_option, options);
    }
    child_flags.no_backing = false;
    child_flags.protocol =
        !driver || !driver->is_filter || (flags.protocol && !driver->opens_images);
    if (!child_flags.protocol && !options_get(options, "file") &&
        !options_get(options, "file.driver")) {
        name_taken = filename ? NULL : options_take(options, "file.filename");
        filename = name_taken ? name_taken : filename;
    }
    if (child_flags.protocol) {
        /* Below a format there is a protocol; it does not guess a format again. */
        if (!options_get(options, "file") && !options_get(options, "file.driver")) {
            const char *name = filename ? filename : options_get(options, "file.filename");
            const BlockDriver *protocol = name ? block_protocol_for(name, error) : NULL;

            if (name && !protocol) {
                return NULL;
            }
            if (protocol) {
                options_set(options, "file.driver", protocol->name);
            }
        }
    }
    file = open_child_node(graph, "file", filename, options, child_flags, &local);
    if (!file) {
        if (local) {
            g_propagate_error(error, local);
        } else {
            error_fail(error, KASO_ERROR_INVALID, "A block device must be specified for \"file\"");
        }
        return NULL;
    }
    if (!driver) {
        driver = probe_node(file, error);
        if (!driver) {
            node_unref(file);
            return NULL;
        }
        probed = true;
    }
    node = node_instantiate(graph, driver, node_name, NULL, file, options, flags, error);
    if (node) {
        node->probed = probed;
    }
    return node;
}

/* Merges a json:{…} file name into options; explicit options win. */
static bool merge_json_filename(const char *filename, GHashTable *options, GError **error)
{
    GHashTable *json = options_parse_json(filename + strlen("json:"), error);

    if (!json) {
        return false;
    }
    options_merge(options, json);
    g_hash_table_unref(json);
    return true;
}

static BlockNode *open_by_driver(BlockGraph *graph, const char *filename, const char *node_name,
                                 GHashTable *options, BlockOpenFlags flags, GError **error)
{
    g_autofree char *named = NULL;
    bool failed;
    const BlockDriver *driver = take_driver(options, &failed, error);

    if (failed) {
        return NULL;
    }
    if (!driver && !filename) {
        filename = named = options_take(options, "filename"); /* as the option of a child says it */
    }
    if (driver && driver->is_protocol) {
        return open_protocol(graph, driver, filename, node_name, options, flags, error);
    }
    if (driver && driver->parse_filename) {
        /* A filter that file names can ask for: blkdebug:RULES:IMAGE. */
        g_autofree char *name = options_take(options, "filename");

        if ((filename || name) &&
            !driver->parse_filename(filename ? filename : name, options, error)) {
            return NULL;
        }
        filename = NULL;
    }
    if (driver && driver->no_file_child) {
        return node_instantiate(graph, driver, node_name, filename, NULL, options, flags, error);
    }
    return open_format(graph, driver, filename, node_name, options, flags, error);
}

BlockNode *node_open(BlockGraph *graph, const char *filename, GHashTable *options,
                     BlockOpenFlags flags, GError **error)
{
    g_autofree char *node_name = NULL;
    GHashTable *explicit_options;
    BlockNode *node = NULL;

    if (filename && g_str_has_prefix(filename, "json:")) {
        if (!merge_json_filename(filename, options, error)) {
            g_hash_table_unref(options);
            return NULL;
        }
        filename = NULL;
    }
    explicit_options = options_copy(options);
    node_name = options_take(options, "node-name");
    if (open_check_node_name(graph, node_name, error) && open_take_flags(options, &flags, error)) {
        node = open_by_driver(graph, filename, node_name, options, flags, error);
    }
    g_hash_table_unref(options);
    if (!node) {
        g_hash_table_unref(explicit_options);
        return NULL;
    }
    node->explicit_options = explicit_options;
    if (node->driver && !options_get(explicit_options, "driver")) {
        options_set(explicit_options, "driver", node->driver->name);
    }
    return node;
}
