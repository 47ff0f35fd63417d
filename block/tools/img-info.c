/* SPDX-License-Identifier: MIT */
/* kaso-img info, map, check, snapshot. */
#include "block/tools/options.h"
#include "block/vm-snapshot.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { CHECK_CORRUPT = 2, CHECK_LEAKS = 3, CHECK_UNSUPPORTED = 63 };

/* info */

static bool node_has_dirty_flag(BlockNode *node, BlockNodeInfo *info)
{
    memset(info, 0, sizeof *info);
    return node->driver->info && node->driver->info(node, info) == 0;
}

static void print_snapshots(GPtrArray *list)
{
    g_autofree char *heading = vm_snapshot_row(NULL, NULL);

    if (list->len) {
        printf("Snapshot list:\n%s", heading);
    }
    for (unsigned i = 0; i < list->len; i++) {
        json_t *snapshot = block_snapshot_to_json(list->pdata[i]);
        g_autofree char *row = vm_snapshot_row(snapshot, NULL);

        printf("%s", row);
        json_decref(snapshot);
    }
}

/* "min-mem-alignment": 1 as "min mem alignment: 1". */
static void print_limits(BlockNode *node, int indent)
{
    json_t *limits = node_limits_to_json(node);

    printf("%*sBlock limits:\n", indent * 4, "");
    tool_print_object(limits, indent + 1);
    json_decref(limits);
}

static void print_child(BlockNode *node, const char *path, bool limits)
{
    for (GList *link = node->children.head; link; link = link->next) {
        BlockChild *child = link->data;
        g_autofree char *name = g_strdup_printf("%s/%s", path, child->name);
        g_autofree char *shown = node_display_name(child->node), *size = NULL, *disk = NULL;
        int64_t allocated = node_allocated_size(child->node);

        if (child->role & BLOCK_ROLE_COW) {
            continue;
        }
        size = tool_human_size(node_size(child->node));
        disk = allocated < 0 ? g_strdup("unavailable") : tool_human_size((uint64_t)allocated);
        printf("Child node '%s':\n    filename: %s\n    %s: %s\n    %s: %s (%" G_GUINT64_FORMAT
               " bytes)\n    disk size: %s\n",
               name, shown, child->node->driver->is_protocol ? "protocol type" : "file format",
               child->node->driver->name,
               child->node->driver->is_protocol ? "file length" : "virtual size", size,
               node_size(child->node), disk);
        if (limits) {
            print_limits(child->node, 1);
        }
        print_child(child->node, name, limits);
    }
}

static void print_info(BlockNode *node, bool limits)
{
    g_autofree char *name = node_display_name(node), *size = tool_human_size(node_size(node));
    g_autofree char *disk = NULL, *backing = node_backing_path(node, NULL);
    int64_t allocated = node_allocated_size(node);
    BlockNodeInfo info;

    node_has_dirty_flag(node, &info);
    disk = allocated < 0 ? g_strdup("unavailable") : tool_human_size((uint64_t)allocated);
    printf("image: %s\nfile format: %s\nvirtual size: %s (%" G_GUINT64_FORMAT
           " bytes)\ndisk size: %s\n",
           name, node->driver->name, size, node_size(node), disk);
    if (info.encrypted) {
        printf("encrypted: yes\n");
    }
    if (info.cluster_size) {
        printf("cluster_size: %" G_GUINT64_FORMAT "\n", info.cluster_size);
    }
    if (info.is_dirty) {
        printf("cleanly shut down: no\n");
    }
    if (node->backing_filename) {
        printf("backing file: %s", node->backing_filename);
        if (!backing) {
            printf(" (cannot determine actual path)");
        } else if (strcmp(backing, node->backing_filename)) {
            printf(" (actual path: %s)", backing);
        }
        printf("\n");
        if (node->backing_format) {
            printf("backing file format: %s\n", node->backing_format);
        }
    }
    if (node->driver->snapshot_list) {
        g_autoptr(GPtrArray) list = node->driver->snapshot_list(node);

        print_snapshots(list);
    }
    if (limits) {
        print_limits(node, 0);
    }
    if (node->driver->specific_info) {
        json_t *specific = node->driver->specific_info(node);

        printf("Format specific information:\n");
        tool_print_object(json_object_get(specific, "data"), 1);
        json_decref(specific);
    }
    print_child(node, "", limits);
}

typedef struct {
    ImageArguments image;
    bool json, chain, limits;
} InfoCommand;

static const ToolOption info_options[] = {
    TOOL_IMAGE_OPTIONS(InfoCommand, image),
    TOOL_SHARE_OPTION(InfoCommand, image),
    { "backing-chain", 0, TOOL_FLAG, offsetof(InfoCommand, chain) },
    { "cache", 't', TOOL_TEXT, offsetof(InfoCommand, image.cache) },
    { "limits", 0, TOOL_FLAG, offsetof(InfoCommand, limits) },
    { "output", 0, TOOL_OUTPUT, offsetof(InfoCommand, json) },
    { 0 },
};

/* To an image's object and to those of its children, in the order of node_info_to_json. */
static void add_limits(json_t *object, BlockNode *node)
{
    const json_t *children = json_object_get(object, "children");
    size_t at = 0;

    json_object_set_new(object, "limits", node_limits_to_json(node));
    for (GList *link = node->children.head; link; link = link->next) {
        BlockChild *child = link->data;

        if (!(child->role & BLOCK_ROLE_COW)) {
            add_limits(json_object_get(json_array_get(children, at++), "info"), child->node);
        }
    }
}

/*
 * One image after the other, down the chain; nothing is printed unless all can be opened. list: their
 * JSON. shown: the open images.
 */
static int info_images(Tool *tool, const InfoCommand *command, const char *first, json_t *list,
                       GPtrArray *shown)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *name = g_strdup(first), *format = NULL;
    ImageArguments image = command->image;

    while (name) {
        BlockChild *child;

        if (!g_hash_table_add(seen, g_strdup(name))) {
            return tool_fail(tool, "Backing file '%s' creates an infinite loop.", name);
        }
        child = tool_open(tool, name, &image);
        if (!child) {
            return 1;
        }
        if (command->json) {
            json_t *object = node_info_to_json(child->node, true);

            if (command->limits) {
                add_limits(object, child->node);
            }
            json_array_append_new(list, object);
        }
        g_ptr_array_add(shown, child);
        g_free(name);
        name = command->chain ? node_backing_path(child->node, NULL) : NULL;
        g_free(format);
        format = g_strdup(child->node->backing_format);
        image.format = format;
        image.image_opts = false;
    }
    return 0;
}

static int info_run(Tool *tool, int argc, char **argv)
{
    InfoCommand command = { .image = { .no_backing = true, .no_io = true } };
    g_autoptr(GPtrArray) shown = g_ptr_array_new_with_free_func((GDestroyNotify)child_detach);
    json_t *list;
    int status;
    const char *name = tool_parse_one(tool, &img_info, info_options, &command, argc, argv, &status);

    if (!name) {
        return status;
    }
    list = json_array();
    status = info_images(tool, &command, name, list, shown);
    for (guint i = 0; i < shown->len && status == 0 && !command.json; i++) {
        printf("%s", i ? "\n" : "");
        print_info(((BlockChild *)shown->pdata[i])->node, command.limits);
    }
    if (command.json && status == 0) {
        tool_print_json(command.chain ? json_incref(list) : json_incref(json_array_get(list, 0)));
    }
    json_decref(list);
    return status;
}

const ToolCommand img_info = {
    .name = "info",
    .summary = "Display information about the image",
    .usage = "[-f FMT | --image-opts] [-t CACHE] [-U] [--backing-chain] [--limits] "
             "[--output human|json] "
             "[--object OBJDEF] FILE",
    .run = info_run,
};

/* map */

typedef struct {
    uint64_t start, length, offset;
    unsigned depth;
    bool present, zero, data, compressed, has_offset;
    char *filename;
} MapEntry;

/* The human table has places in files only; false: these bytes have none that could be copied. */
static bool print_map_entry(const MapEntry *entry, bool json, bool *first)
{
    if (json) {
        printf("%s{ \"start\": %" G_GUINT64_FORMAT ", \"length\": %" G_GUINT64_FORMAT
               ", \"depth\": %u, \"present\": %s, \"zero\": %s, \"data\": %s, \"compressed\": %s",
               *first ? "[" : ",\n", entry->start, entry->length, entry->depth,
               entry->present ? "true" : "false", entry->zero ? "true" : "false",
               entry->data ? "true" : "false", entry->compressed ? "true" : "false");
        if (entry->has_offset) {
            printf(", \"offset\": %" G_GUINT64_FORMAT, entry->offset);
        }
        printf("}");
        *first = false;
        return true;
    }
    if (*first) {
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
        *first = false;
    }
    if (entry->data && !entry->has_offset) {
        return false;
    }
    if (entry->data && !entry->zero) {
        printf("%#-16" G_GINT64_MODIFIER "x%#-16" G_GINT64_MODIFIER "x%#-16" G_GINT64_MODIFIER
               "x%s\n",
               entry->start, entry->length, entry->offset, entry->filename);
    }
    return true;
}

static bool map_entries_join(const MapEntry *a, const MapEntry *b)
{
    return a->present == b->present && a->zero == b->zero && a->data == b->data &&
           a->compressed == b->compressed && a->depth == b->depth &&
           a->has_offset == b->has_offset && !g_strcmp0(a->filename, b->filename) &&
           (!a->has_offset || a->offset + a->length == b->offset);
}

static int map_get(BlockNode *node, uint64_t offset, uint64_t bytes, MapEntry *entry)
{
    BlockNode *file = NULL;
    uint64_t count = bytes, map = 0;
    unsigned depth = 0;
    int status = 0;

    for (node = node_skip_filters(node); node; node = node_skip_filters(node_below(node))) {
        status = node_status(node, offset, count, &count, &map, &file);
        if (status < 0) {
            return status;
        }
        if ((status & (BLOCK_STATUS_DATA | BLOCK_STATUS_ZERO)) || !node_below(node)) {
            break;
        }
        depth++;
    }
    *entry = (MapEntry){ .start = offset,
                         .length = count,
                         .offset = map,
                         .depth = depth,
                         .present = (status & BLOCK_STATUS_ALLOCATED) != 0,
                         .zero = (status & BLOCK_STATUS_ZERO) != 0,
                         .data = (status & BLOCK_STATUS_DATA) != 0,
                         .compressed = (status & BLOCK_STATUS_COMPRESSED) != 0,
                         .has_offset = (status & BLOCK_STATUS_OFFSET_VALID) != 0 };
    if (file && entry->has_offset) {
        entry->filename = node_display_name(file);
    }
    return 0;
}

static int map_image(Tool *tool, BlockNode *node, uint64_t start, uint64_t length, bool json)
{
    uint64_t size = node_size(node), end;
    MapEntry current = { 0 };
    bool first = true, has_current = false, good = true;

    end = length > size - MIN(start, size) ? size : start + length;
    for (uint64_t offset = start; offset < end;) {
        MapEntry next;
        int result = map_get(node, offset, end - offset, &next);

        if (result < 0) {
            return tool_fail(tool, "Failed to read image metadata: %s", g_strerror(-result));
        }
        offset += next.length;
        if (has_current && map_entries_join(&current, &next)) {
            current.length += next.length;
            g_free(next.filename);
            continue;
        }
        if (has_current) {
            good = good && print_map_entry(&current, json, &first);
            g_free(current.filename);
        }
        current = next;
        has_current = true;
    }
    if (has_current) {
        good = good && print_map_entry(&current, json, &first);
        g_free(current.filename);
    }
    if (!good) {
        return tool_fail(tool, "File contains external, encrypted or compressed clusters: "
                               "--output=json shows them");
    }
    if (json) {
        printf("%s]\n", first ? "[" : "");
    } else if (first) {
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    }
    return 0;
}

typedef struct {
    ImageArguments image;
    uint64_t start, length;
    bool json;
} MapCommand;

static bool map_size(Tool *tool, void *arguments, const char *name, const char *value)
{
    MapCommand *command = arguments;

    return name[0] == 's' ? tool_size(tool, "start offset", value, &command->start)
                          : tool_size(tool, "max length", value, &command->length);
}

static const ToolOption map_options[] = {
    TOOL_IMAGE_OPTIONS(MapCommand, image),
    TOOL_SHARE_OPTION(MapCommand, image),
    { "start-offset", 's', TOOL_CALL, 0, map_size },
    { "max-length", 'l', TOOL_CALL, 0, map_size },
    { "output", 0, TOOL_OUTPUT, offsetof(MapCommand, json) },
    { 0 },
};

static int map_run(Tool *tool, int argc, char **argv)
{
    MapCommand command = { .length = UINT64_MAX };
    BlockChild *child;
    int status;
    const char *name = tool_parse_one(tool, &img_map, map_options, &command, argc, argv, &status);

    child = name ? tool_open(tool, name, &command.image) : NULL;
    if (!child) {
        return status;
    }
    status = map_image(tool, child->node, command.start, command.length, command.json);
    child_detach(child);
    return status;
}

const ToolCommand img_map = {
    .name = "map",
    .summary = "Dump image metadata",
    .usage = "[-f FMT | --image-opts] [--start-offset OFFSET] [--max-length LENGTH] "
             "[--output human|json] [-U] [--object OBJDEF] FILE",
    .run = map_run,
};

/* check */

static void check_message(void *opaque, const char *text)
{
    Tool *tool = opaque;

    if (!tool->quiet) {
        fprintf(stderr, "%s\n", text);
    }
}

static void check_print_json(const BlockCheck *check, BlockNode *node, const char *name)
{
    json_t *object = json_object();
    const struct {
        const char *name;
        uint64_t value;
        bool always;
    } fields[] = {
        { "image-end-offset", check->image_end_offset, false },
        { "total-clusters", check->total_clusters, false },
        { "check-errors", check->check_errors, true },
        { "corruptions", check->corruptions, false },
        { "leaks", check->leaks, false },
        { "corruptions-fixed", check->corruptions_fixed, false },
        { "leaks-fixed", check->leaks_fixed, false },
        { "allocated-clusters", check->allocated_clusters, false },
        { "fragmented-clusters", check->fragmented_clusters, false },
        { "compressed-clusters", check->compressed_clusters, false },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
        if (fields[i].value || fields[i].always) {
            json_object_set_new(object, fields[i].name, json_integer((json_int_t)fields[i].value));
        }
    }
    json_object_set_new(object, "filename", json_string(name));
    json_object_set_new(object, "format", json_string(node->driver->name));
    tool_print_json(object);
}

static void check_print(const BlockCheck *check)
{
    if (!check->corruptions && !check->leaks && !check->check_errors) {
        printf("No errors were found on the image.\n");
    } else {
        if (check->corruptions) {
            printf("\n%" G_GUINT64_FORMAT " errors were found on the image.\n"
                   "Data may be corrupted, or further writes to the image may corrupt it.\n",
                   check->corruptions);
        }
        if (check->leaks) {
            printf("\n%" G_GUINT64_FORMAT " leaked clusters were found on the image.\n"
                   "This means waste of disk space, but no harm to data.\n",
                   check->leaks);
        }
        if (check->check_errors) {
            printf("\n%" G_GUINT64_FORMAT " internal errors have occurred during the check.\n",
                   check->check_errors);
        }
    }
    if (check->total_clusters && check->allocated_clusters) {
        double allocated = (double)check->allocated_clusters;

        printf("%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT " = %0.2f%% allocated, %0.2f%% "
               "fragmented, %0.2f%% compressed clusters\n",
               check->allocated_clusters, check->total_clusters,
               allocated * 100 / (double)check->total_clusters,
               (double)check->fragmented_clusters * 100 / allocated,
               (double)check->compressed_clusters * 100 / allocated);
    }
    if (check->image_end_offset) {
        printf("Image end offset: %" G_GUINT64_FORMAT "\n", check->image_end_offset);
    }
}

static int check_image(Tool *tool, BlockNode *node, const char *name, BlockCheck *wanted, bool json)
{
    BlockCheck check = *wanted;
    int result;

    if (!node->driver->check) {
        tool_fail(tool, "This image format does not support checks");
        return CHECK_UNSUPPORTED;
    }
    result = node->driver->check(node, &check);
    if (result >= 0 && (check.leaks_fixed || check.corruptions_fixed)) {
        BlockCheck again = { .message = check.message, .opaque = check.opaque };

        if (!json && !tool->quiet) {
            printf(
                "The following inconsistencies were found and repaired:\n\n    %" G_GUINT64_FORMAT
                " leaked clusters\n    %" G_GUINT64_FORMAT
                " corruptions\n\nDouble checking the fixed image now...\n",
                check.leaks_fixed, check.corruptions_fixed);
        }
        again.leaks_fixed = check.leaks_fixed;
        again.corruptions_fixed = check.corruptions_fixed;
        check = again;
        result = node->driver->check(node, &check);
    }
    if (result < 0) {
        check.check_errors = MAX(check.check_errors, 1);
        tool_fail(tool, "Check failed: %s", g_strerror(-result));
    }
    if (json) {
        check_print_json(&check, node, name);
    } else if (!tool->quiet) {
        check_print(&check);
    }
    return check.check_errors  ? 1
           : check.corruptions ? CHECK_CORRUPT
           : check.leaks       ? CHECK_LEAKS
                               : 0;
}

typedef struct {
    ImageArguments image;
    BlockCheck check;
    bool json;
} CheckCommand;

static bool check_repair(Tool *tool, void *arguments, const char *name, const char *value)
{
    CheckCommand *command = arguments;

    if (strcmp(value, "leaks") && strcmp(value, "all")) {
        tool_try(tool, &img_check, "--repair (-r) expects 'leaks' or 'all', not '%s'", value);
        return false;
    }
    command->check.fix_leaks = true;
    command->check.fix_errors = !strcmp(value, "all");
    command->image.writable = command->image.resizable = true;
    return true;
}

static const ToolOption check_options[] = {
    TOOL_IMAGE_OPTIONS(CheckCommand, image),
    TOOL_SHARE_OPTION(CheckCommand, image),
    { "cache", 'T', TOOL_TEXT, offsetof(CheckCommand, image.cache) },
    { "repair", 'r', TOOL_CALL, 0, check_repair },
    { "output", 0, TOOL_OUTPUT, offsetof(CheckCommand, json) },
    { 0 },
};

static int check_run(Tool *tool, int argc, char **argv)
{
    CheckCommand command = { .image = { .no_backing = true, .check = true },
                             .check = { .message = check_message, .opaque = tool } };
    BlockChild *child;
    int status;
    const char *name =
        tool_parse_one(tool, &img_check, check_options, &command, argc, argv, &status);

    child = name ? tool_open(tool, name, &command.image) : NULL;
    if (!child) {
        return status;
    }
    if (command.json) {
        command.check.message = NULL;
    }
    status = check_image(tool, child->node, name, &command.check, command.json);
    child_detach(child);
    return status;
}

const ToolCommand img_check = {
    .name = "check",
    .summary = "Check basic image integrity",
    .usage = "[-f FMT | --image-opts] [-T CACHE] [-r leaks|all] [-U] [--output human|json] [-q] "
             "[--object OBJDEF] FILE",
    .run = check_run,
};

/* snapshot */

typedef struct {
    ImageArguments image;
    const char *action, *name;
} SnapshotCommand;

static bool snapshot_choose(Tool *tool, void *arguments, const char *name, const char *value)
{
    SnapshotCommand *command = arguments;

    if (command->action) {
        tool_try(tool, &img_snapshot, "Cannot mix '-l', '-a', '-c', '-d'");
        return false;
    }
    command->action = name;
    command->name = value;
    return true;
}

static const ToolOption snapshot_options[] = {
    TOOL_IMAGE_OPTIONS(SnapshotCommand, image),
    TOOL_SHARE_OPTION(SnapshotCommand, image),
    { "list", 'l', TOOL_CALL_FLAG, 0, snapshot_choose },
    { "create", 'c', TOOL_CALL, 0, snapshot_choose },
    { "apply", 'a', TOOL_CALL, 0, snapshot_choose },
    { "delete", 'd', TOOL_CALL, 0, snapshot_choose },
    { 0 },
};

static void snapshot_list(BlockNode *node)
{
    if (node->driver->snapshot_list) {
        g_autoptr(GPtrArray) list = node->driver->snapshot_list(node);

        print_snapshots(list);
    }
}

static bool snapshot_make(BlockNode *node, const char *name, GError **error)
{
    BlockSnapshot snapshot = { .name = (char *)name, .icount = 0 };
    struct timespec now;

    if (!node->driver->snapshot_create) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "Operation not supported");
    }
    clock_gettime(CLOCK_REALTIME, &now);
    snapshot.date_s = now.tv_sec;
    snapshot.date_ns = (uint32_t)(now.tv_nsec / 1000 * 1000);
    return node->driver->snapshot_create(node, &snapshot, error);
}

/* Only what has that name is deleted, whatever ids there are; either is applied. */
static bool snapshot_act(BlockNode *node, const SnapshotCommand *command, GError **error)
{
    bool apply = !strcmp(command->action, "apply");
    g_autoptr(BlockSnapshot) found = NULL;

    if (!strcmp(command->action, "create")) {
        return snapshot_make(node, command->name, error);
    }
    found = apply ? node_find_snapshot_either(node, command->name, error)
                  : node_find_snapshot(node, NULL, command->name, error);
    return found && (apply ? node->driver->snapshot_apply
                           : node->driver->snapshot_delete)(node, found->id, error);
}

static int snapshot_run(Tool *tool, int argc, char **argv)
{
    SnapshotCommand command = { .image = { .no_backing = true } };
    GError *error = NULL;
    BlockChild *child;
    int status;
    const char *name =
        tool_parse_one(tool, &img_snapshot, snapshot_options, &command, argc, argv, &status);

    if (!name) {
        return status;
    }
    command.action = command.action ? command.action : "list";
    command.image.writable = command.image.resizable = strcmp(command.action, "list");
    child = tool_open(tool, name, &command.image);
    if (!child) {
        return 1;
    }
    status = 0;
    if (!command.image.writable) {
        snapshot_list(child->node);
    } else if (!snapshot_act(child->node, &command, &error)) {
        g_prefix_error(&error, "Could not %s snapshot '%s': ", command.action, command.name);
        status = tool_error(tool, error);
    }
    child_detach(child);
    return status;
}

const ToolCommand img_snapshot = {
    .name = "snapshot",
    .summary = "List or manipulate snapshots in the image",
    .usage = "[-f FMT | --image-opts] [-l | -a|-c|-d SNAPSHOT] [-U] [-q] [--object OBJDEF] FILE",
    .run = snapshot_run,
};
