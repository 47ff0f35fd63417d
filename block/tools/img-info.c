/* SPDX-License-Identifier: MIT */
/* kaso-img info, map, check, snapshot. */
#include "block/tools/tool.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum {
    OPTION_OBJECT = 256,
    OPTION_OUTPUT,
    OPTION_IMAGE_OPTS,
    OPTION_BACKING_CHAIN,
    OPTION_START,
    OPTION_MAX_LENGTH
};

enum { CHECK_CORRUPT = 2, CHECK_LEAKS = 3, CHECK_UNSUPPORTED = 63 };

/* Options that all of these commands take. */
static const struct option longs[] = {
    { "object", required_argument, NULL, OPTION_OBJECT },
    { "output", required_argument, NULL, OPTION_OUTPUT },
    { "image-opts", no_argument, NULL, OPTION_IMAGE_OPTS },
    { "backing-chain", no_argument, NULL, OPTION_BACKING_CHAIN },
    { "force-share", no_argument, NULL, 'U' },
    { "start-offset", required_argument, NULL, OPTION_START },
    { "max-length", required_argument, NULL, OPTION_MAX_LENGTH },
    { "repair", required_argument, NULL, 'r' },
    { "format", required_argument, NULL, 'f' },
    { "cache", required_argument, NULL, 't' },
    { "quiet", no_argument, NULL, 'q' },
    { "list", no_argument, NULL, 'l' },
    { "create", required_argument, NULL, 'c' },
    { "apply", required_argument, NULL, 'a' },
    { "delete", required_argument, NULL, 'd' },
    { 0 },
};

/* 0: taken, 1: not an option of all, -1: error. */
static int common_option(Tool *tool, int c, ImageArguments *arguments, bool *json)
{
    switch (c) {
    case 'f':
        arguments->format = optarg;
        return 0;
    case 'U':
        arguments->force_share = true;
        return 0;
    case 'q':
        tool->quiet = true;
        return 0;
    case OPTION_IMAGE_OPTS:
        arguments->image_opts = true;
        return 0;
    case OPTION_OBJECT:
        return tool_object(tool, optarg) ? 0 : -1;
    case OPTION_OUTPUT:
        *json = !strcmp(optarg, "json");
        if (!*json && strcmp(optarg, "human")) {
            tool_fail(tool, "--output expects 'human' or 'json', not '%s'", optarg);
            return -1;
        }
        return 0;
    default:
        return 1;
    }
}

/* info */

static bool node_has_dirty_flag(BlockNode *node, BlockNodeInfo *info)
{
    memset(info, 0, sizeof *info);
    return node->driver->info && node->driver->info(node, info) == 0;
}

/* Sizes are told in whole sectors. */
static uint64_t shown_size(BlockNode *node)
{
    return align_up(node_size(node), 512);
}

static void print_value(const char *name, const json_t *value, int indent);

static void print_object(const json_t *object, int indent)
{
    const char *key;
    const json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        g_autofree char *name = g_strdelimit(g_strdup(key), "-", ' ');

        print_value(name, value, indent);
    }
}

static void print_value(const char *name, const json_t *value, int indent)
{
    printf("%*s%s:", indent * 4, "", name);
    if (json_is_object(value)) {
        printf("\n");
        print_object(value, indent + 1);
    } else if (json_is_array(value)) {
        const json_t *item;
        size_t i;

        printf("\n");
        json_array_foreach((json_t *)value, i, item)
        {
            g_autofree char *index = g_strdup_printf("[%zu]", i);

            print_value(index, item, indent + 1);
        }
    } else if (json_is_string(value)) {
        printf(" %s\n", json_string_value(value));
    } else if (json_is_integer(value)) {
        printf(" %" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
    } else {
        printf(" %s\n", json_is_true(value) ? "true" : "false");
    }
}

static void print_snapshots(GPtrArray *list)
{
    if (list->len) {
        printf("Snapshot list:\n%-7s %-16s %8s %19s %15s %10s\n", "ID", "TAG", "VM_SIZE", "DATE",
               "VM_CLOCK", "ICOUNT");
    }
    for (unsigned i = 0; i < list->len; i++) {
        const BlockSnapshot *s = list->pdata[i];
        g_autofree char *size = tool_human_size(s->vm_state_size), *clock = NULL, *icount = NULL;
        uint64_t seconds = s->vm_clock_ns / 1000000000;
        time_t date = (time_t)s->date_s;
        char when[32] = "";
        struct tm tm;

        if (localtime_r(&date, &tm)) {
            strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
        }
        clock = g_strdup_printf("%04u:%02u:%02u.%03u", (unsigned)(seconds / 3600),
                                (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60),
                                (unsigned)(s->vm_clock_ns / 1000000 % 1000));
        icount = s->icount == UINT64_MAX ? g_strdup("--")
                                         : g_strdup_printf("%" G_GUINT64_FORMAT, s->icount);
        printf("%-7s %-16s %8s %19s %15s %10s\n", s->id, s->name, size, when, clock, icount);
    }
}

static void print_child(BlockNode *node, const char *path)
{
    for (GList *link = node->children.head; link; link = link->next) {
        BlockChild *child = link->data;
        g_autofree char *name = g_strdup_printf("%s/%s", path, child->name);
        g_autofree char *shown = node_display_name(child->node), *size = NULL, *disk = NULL;
        int64_t allocated = node_allocated_size(child->node);

        if (child->role & BLOCK_ROLE_COW) {
            continue;
        }
        size = tool_human_size(shown_size(child->node));
        disk = allocated < 0 ? g_strdup("unavailable") : tool_human_size((uint64_t)allocated);
        printf("Child node '%s':\n    filename: %s\n    %s: %s\n    %s: %s (%" G_GUINT64_FORMAT
               " bytes)\n    disk size: %s\n",
               name, shown, child->node->driver->is_protocol ? "protocol type" : "file format",
               child->node->driver->name,
               child->node->driver->is_protocol ? "file length" : "virtual size", size,
               shown_size(child->node), disk);
        print_child(child->node, name);
    }
}

static void print_info(BlockNode *node)
{
    g_autofree char *name = node_display_name(node), *size = tool_human_size(shown_size(node));
    g_autofree char *disk = NULL, *backing = node_backing_path(node, NULL);
    int64_t allocated = node_allocated_size(node);
    BlockNodeInfo info;

    node_has_dirty_flag(node, &info);
    disk = allocated < 0 ? g_strdup("unavailable") : tool_human_size((uint64_t)allocated);
    printf("image: %s\nfile format: %s\nvirtual size: %s (%" G_GUINT64_FORMAT
           " bytes)\ndisk size: %s\n",
           name, node->driver->name, size, shown_size(node), disk);
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
    if (node->driver->specific_info) {
        json_t *specific = node->driver->specific_info(node);

        printf("Format specific information:\n");
        print_object(json_object_get(specific, "data"), 1);
        json_decref(specific);
    }
    print_child(node, "");
}

static int info_run(Tool *tool, int argc, char **argv)
{
    ImageArguments arguments = { .no_backing = true, .no_io = true };
    bool json = false, chain = false;
    json_t *list = json_array();
    g_autofree char *name = NULL, *format = NULL;
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    int c, status = 0;

    while ((c = getopt_long(argc, argv, "f:Ut:", longs, NULL)) != -1) {
        int taken = common_option(tool, c, &arguments, &json);

        if (taken < 0) {
            return 1;
        }
        if (taken && c == OPTION_BACKING_CHAIN) {
            chain = true;
        } else if (taken && c == 't') {
            arguments.cache = optarg;
        } else if (taken) {
            return tool_usage(tool, &img_info);
        }
    }
    if (optind != argc - 1) {
        return tool_fail(tool, "Expecting one image file name");
    }
    name = g_strdup(argv[optind]);
    for (unsigned i = 0; name; i++) {
        BlockChild *child;

        if (!g_hash_table_add(seen, g_strdup(name))) {
            status = tool_fail(tool, "Backing file '%s' creates an infinite loop.", name);
            break;
        }
        child = tool_open(tool, name, &arguments);
        if (!child) {
            status = 1;
            break;
        }
        if (json) {
            json_array_append_new(list, node_info_to_json(child->node, true));
        } else {
            printf("%s", i ? "\n" : "");
            print_info(child->node);
        }
        g_free(name);
        name = chain ? node_backing_path(child->node, NULL) : NULL;
        g_free(format);
        format = g_strdup(child->node->backing_format);
        arguments.format = format;
        arguments.image_opts = false;
        child_detach(child);
    }
    if (json && status == 0) {
        tool_print_json(chain ? json_incref(list) : json_incref(json_array_get(list, 0)));
    }
    json_decref(list);
    return status;
}

const ToolCommand img_info = {
    .name = "info",
    .summary = "Display information about the image",
    .usage = "[-f FMT | --image-opts] [-t CACHE] [-U] [--backing-chain] [--output human|json] "
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

static void print_map_entry(const MapEntry *entry, bool json, bool *first)
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
        return;
    }
    if (*first) {
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
        *first = false;
    }
    if (entry->data && !entry->zero && entry->has_offset) {
        printf("%#-16" G_GINT64_MODIFIER "x%#-16" G_GINT64_MODIFIER "x%#-16" G_GINT64_MODIFIER
               "x%s\n",
               entry->start, entry->length, entry->offset, entry->filename);
    }
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
    bool first = true, has_current = false;

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
            print_map_entry(&current, json, &first);
            g_free(current.filename);
        }
        current = next;
        has_current = true;
    }
    if (has_current) {
        print_map_entry(&current, json, &first);
        g_free(current.filename);
    }
    if (json) {
        printf("%s]\n", first ? "[" : "");
    } else if (first) {
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    }
    return 0;
}

static int map_run(Tool *tool, int argc, char **argv)
{
    ImageArguments arguments = { 0 };
    uint64_t start = 0, length = UINT64_MAX;
    bool json = false;
    BlockChild *child;
    int c, status;

    while ((c = getopt_long(argc, argv, "f:Us:l:", longs, NULL)) != -1) {
        int taken = common_option(tool, c, &arguments, &json);

        if (taken == 0) {
            continue;
        }
        if (taken < 0) {
            return 1;
        }
        if (c == OPTION_START || c == 's') {
            if (!tool_size(tool, "start offset", optarg, &start)) {
                return 1;
            }
        } else if (c == OPTION_MAX_LENGTH || c == 'l') {
            if (!tool_size(tool, "max length", optarg, &length)) {
                return 1;
            }
        } else {
            return tool_usage(tool, &img_map);
        }
    }
    if (optind != argc - 1) {
        return tool_fail(tool, "Expecting one image file name");
    }
    child = tool_open(tool, argv[optind], &arguments);
    if (!child) {
        return 1;
    }
    status = map_image(tool, child->node, start, length, json);
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

static int check_run(Tool *tool, int argc, char **argv)
{
    ImageArguments arguments = { .no_backing = true, .check = true };
    BlockCheck check = { .message = check_message, .opaque = tool };
    bool json = false;
    BlockChild *child;
    int c, status;

    while ((c = getopt_long(argc, argv, "f:Uqr:T:", longs, NULL)) != -1) {
        int taken = common_option(tool, c, &arguments, &json);

        if (taken == 0) {
            continue;
        }
        if (taken < 0) {
            return 1;
        }
        if (c == 'r' && (!strcmp(optarg, "leaks") || !strcmp(optarg, "all"))) {
            check.fix_leaks = true;
            check.fix_errors = !strcmp(optarg, "all");
            arguments.writable = arguments.resizable = true;
        } else if (c == 'r') {
            return tool_fail(tool, "-r expects 'leaks' or 'all', not '%s'", optarg);
        } else if (c == 'T') {
            arguments.cache = optarg;
        } else {
            return tool_usage(tool, &img_check);
        }
    }
    if (optind != argc - 1) {
        return tool_fail(tool, "Expecting one image file name");
    }
    child = tool_open(tool, argv[optind], &arguments);
    if (!child) {
        return 1;
    }
    if (json) {
        check.message = NULL;
    }
    status = check_image(tool, child->node, argv[optind], &check, json);
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

static int snapshot_act(Tool *tool, BlockNode *node, int action, const char *name)
{
    const BlockDriver *driver = node->driver;
    BlockSnapshot snapshot = { .name = (char *)name, .icount = 0 };
    GError *error = NULL;
    struct timespec now;
    bool done = true;

    if (!driver->snapshot_list) {
        return tool_fail(tool, "Format driver '%s' does not support snapshots", driver->name);
    }
    switch (action) {
    case 'l': {
        g_autoptr(GPtrArray) list = driver->snapshot_list(node);

        print_snapshots(list);
        break;
    }
    case 'c':
        clock_gettime(CLOCK_REALTIME, &now);
        snapshot.date_s = now.tv_sec;
        snapshot.date_ns = (uint32_t)(now.tv_nsec / 1000 * 1000);
        done = driver->snapshot_create(node, &snapshot, &error);
        break;
    case 'a':
        done = driver->snapshot_apply(node, name, &error);
        break;
    default:
        done = driver->snapshot_delete(node, name, &error);
        break;
    }
    return done ? 0 : tool_error(tool, error);
}

static int snapshot_run(Tool *tool, int argc, char **argv)
{
    ImageArguments arguments = { .no_backing = true };
    const char *name = NULL;
    bool json = false;
    int c, action = 0, status;
    BlockChild *child;

    while ((c = getopt_long(argc, argv, "f:Uqla:c:d:", longs, NULL)) != -1) {
        int taken = common_option(tool, c, &arguments, &json);

        if (taken < 0) {
            return 1;
        }
        if (taken && strchr("lacd", c)) {
            if (action) {
                return tool_fail(tool, "Cannot mix '-l', '-a', '-c', '-d'");
            }
            action = c;
            name = optarg;
        } else if (taken) {
            return tool_usage(tool, &img_snapshot);
        }
    }
    if (optind != argc - 1) {
        return tool_fail(tool, "Expecting one image file name");
    }
    action = action ? action : 'l';
    arguments.writable = arguments.resizable = action != 'l';
    child = tool_open(tool, argv[optind], &arguments);
    if (!child) {
        return 1;
    }
    status = snapshot_act(tool, child->node, action, name);
    child_detach(child);
    return status;
}

const ToolCommand img_snapshot = {
    .name = "snapshot",
    .summary = "List or manipulate snapshots in the image",
    .usage = "[-f FMT | --image-opts] [-l | -a|-c|-d SNAPSHOT] [-U] [-q] [--object OBJDEF] FILE",
    .run = snapshot_run,
};
