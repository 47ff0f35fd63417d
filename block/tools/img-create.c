/* SPDX-License-Identifier: MIT */
/* kaso-img create, amend, resize, measure. */
#include "block/tools/options.h"

#include "base/bits.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

enum {
    OPTION_OBJECT = 256,
    OPTION_SIZE,
    OPTION_OUTPUT,
    OPTION_IMAGE_OPTS,
    OPTION_SHRINK,
    OPTION_PREALLOCATION
};

static int print_options(const char *format, bool amend)
{
    const BlockDriver *driver = block_driver_find(format);
    const BlockOption *options = !driver ? NULL
                                 : amend ? driver->amend_options
                                         : driver->create_options;

    if (!options) {
        fprintf(stderr, "kaso-img: Format driver '%s' does not support %s\n", format,
                amend ? "option amendment" : "image creation");
        return 1;
    }
    printf(amend ? "Amend options for '%s':\n" : "Supported %s options:\n", format);
    for (const BlockOption *o = options; o->name; o++) {
        printf("  %-22s - %s\n", o->name, o->summary);
    }
    return 0;
}

static bool is_help(const char *text)
{
    return !strcmp(text, "help") || !strcmp(text, "?");
}

/* In the order and with the defaults that scripts know. */
static void print_formatting(Tool *tool, const char *filename, const char *format,
                             GHashTable *options)
{
    static const struct {
        const char *name, *qcow2_default;
    } order[] = {
        { "cluster_size", "65536" },
        { "extended_l2", "off" },
        { "preallocation", NULL },
        { "compression_type", "zlib" },
        { "size", NULL },
        { "backing_file", NULL },
        { "backing_fmt", NULL },
        { "compat", NULL },
        { "data_file", NULL },
        { "data_file_raw", NULL },
        { "lazy_refcounts", "off" },
        { "refcount_bits", "16" },
        { "nocow", NULL },
        { "subformat", NULL },
    };

    if (tool->quiet) {
        return;
    }
    printf("Formatting '%s', fmt=%s", filename, format);
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
        const char *value = options_get(options, order[i].name);
        uint64_t size;

        if (!value && !strcmp(format, "qcow2")) {
            value = order[i].qcow2_default;
        }
        if (value && g_str_has_suffix(order[i].name, "size") && parse_size(value, &size, NULL)) {
            printf(" %s=%" G_GUINT64_FORMAT, order[i].name, size);
        } else if (value) {
            printf(" %s=%s", order[i].name, value);
        }
    }
    printf("\n");
}

/* The size of the backing file, which must exist, unless the user knows better. */
static bool find_backing_size(Tool *tool, const char *filename, const char *backing,
                              const char *format, bool unsafe, GHashTable *options, GError **error)
{
    g_autofree char *path = block_combine_path(filename, backing, error);
    ImageArguments arguments = { .format = format, .no_io = true };
    g_autofree char *text = NULL;
    GError *local = NULL;
    BlockChild *child;

    if (!path) {
        return false;
    }
    if (unsafe) {
        return true;
    }
    if (!format) {
        g_autofree char *hint = NULL;

        child = tool_open_error(tool, path, &arguments, NULL);
        hint = child ? g_strdup_printf(" (format %s was detected)", child->node->driver->name)
                     : g_strdup("");
        if (child) {
            child_detach(child);
        }
        return error_fail(error, KASO_ERROR_INVALID,
                          "backing_file specified without backing_fmt: say -F FORMAT%s", hint);
    }
    child = tool_open_error(tool, path, &arguments, &local);
    if (!child) {
        if (options_get(options, "size")) {
            tool_warn(tool,
                      "Could not verify backing image. This may become an error in future "
                      "versions.\n%s",
                      local->message);
            g_error_free(local);
            return true;
        }
        g_propagate_error(error, local);
        return false;
    }
    if (!options_get(options, "size")) {
        text = g_strdup_printf("%" G_GUINT64_FORMAT, node_size(child->node));
        options_set(options, "size", text);
    }
    child_detach(child);
    return true;
}

static int create_run(Tool *tool, int argc, char **argv)
{
    static const struct option longs[] = {
        { "object", required_argument, NULL, OPTION_OBJECT },
        { "format", required_argument, NULL, 'f' },
        { "options", required_argument, NULL, 'o' },
        { "backing", required_argument, NULL, 'b' },
        { "backing-format", required_argument, NULL, 'F' },
        { "backing-unsafe", no_argument, NULL, 'u' },
        { "quiet", no_argument, NULL, 'q' },
        { 0 },
    };
    const char *format = "raw", *filename;
    g_autoptr(GHashTable) options = options_new();
    bool unsafe = false;
    GError *error = NULL;
    uint64_t size;
    int c;

    while ((c = getopt_long(argc, argv, "f:o:b:F:uq", longs, NULL)) != -1) {
        switch (c) {
        case 'f':
            format = optarg;
            break;
        case 'o':
            if (is_help(optarg)) {
                return print_options(format, false);
            }
            if (!tool_parse_options(tool, optarg, options)) {
                return 1;
            }
            break;
        case 'b':
            options_set(options, "backing_file", optarg);
            break;
        case 'F':
            options_set(options, "backing_fmt", optarg);
            break;
        case 'u':
            unsafe = true;
            break;
        case 'q':
            tool->quiet = true;
            break;
        case OPTION_OBJECT:
            if (!tool_object(tool, optarg)) {
                return 1;
            }
            break;
        default:
            return tool_usage(tool, &img_create);
        }
    }
    if (optind >= argc) {
        return tool_fail(tool, "Expecting image file name");
    }
    filename = argv[optind++];
    if (optind < argc) {
        g_autofree char *text = NULL;

        if (!tool_size(tool, "image size", argv[optind], &size)) {
            return 1;
        }
        text = g_strdup_printf("%" G_GUINT64_FORMAT, size);
        options_set(options, "size", text);
        optind++;
    }
    if (optind < argc) {
        return tool_fail(tool, "Unexpected argument: %s", argv[optind]);
    }
    if (!block_driver_find(format)) {
        return tool_fail(tool, "%s: Unknown file format '%s'", filename, format);
    }
    if (options_get(options, "size")) {
        g_autofree char *given = g_strdup(options_get(options, "size")), *text = NULL;

        if (!tool_size(tool, "image size", given, &size)) {
            return 1;
        }
        text = g_strdup_printf("%" G_GUINT64_FORMAT, size);
        options_set(options, "size", text);
    }
    if (options_get(options, "backing_file") &&
        !find_backing_size(tool, filename, options_get(options, "backing_file"),
                           options_get(options, "backing_fmt"), unsafe, options, &error)) {
        g_prefix_error(&error, "%s: ", filename);
        return tool_error(tool, error);
    }
    if (!options_get(options, "size")) {
        return tool_fail(tool, "%s: Image creation needs a size parameter", filename);
    }
    print_formatting(tool, filename, format, options);
    if (!tool_create(tool, filename, format, options, &error)) {
        g_prefix_error(&error, "%s: ", filename);
        return tool_error(tool, error);
    }
    return 0;
}

const ToolCommand img_create = {
    .name = "create",
    .summary = "Create and format a new image file",
    .usage = "[-f FMT] [-o FMT_OPTS] [-b BACKING_FILE [-F BACKING_FMT]] [-u] [-q] "
             "[--object OBJDEF] FILE [SIZE[bkKMGTPE]]",
    .run = create_run,
};

static void show_progress(void *opaque, double fraction)
{
    tool_show_progress(opaque, fraction);
}

typedef struct {
    ImageArguments image;
    GHashTable *options;
    bool force, help;
} AmendCommand;

static bool amend_options(Tool *tool, void *arguments, const char *name, const char *value)
{
    AmendCommand *command = arguments;

    command->help |= is_help(value);
    return command->help || tool_parse_options(tool, value, command->options);
}

static const ToolOption amend_table[] = {
    TOOL_IMAGE_OPTIONS(AmendCommand, image),
    { "options", 'o', TOOL_CALL, 0, amend_options },
    { "cache", 't', TOOL_TEXT, offsetof(AmendCommand, image.cache) },
    { "force", 0, TOOL_FLAG, offsetof(AmendCommand, force) },
    { 0 },
};

static int amend_image(Tool *tool, const AmendCommand *command, const char *name)
{
    BlockChild *child = tool_open(tool, name, &command->image);
    GError *error = NULL;
    bool done;

    if (!child) {
        return 1;
    }
    done =
        child->node->driver->amend
            ? child->node->driver->amend(child->node, command->options, show_progress, tool, &error)
            : error_fail(&error, KASO_ERROR_UNSUPPORTED,
                         "Format driver '%s' does not support option amendment",
                         child->node->driver->name);
    child_detach(child);
    tool_end_progress(tool);
    return done ? 0 : tool_error(tool, error);
}

static int amend_run(Tool *tool, int argc, char **argv)
{
    g_autoptr(GHashTable) options = options_new();
    AmendCommand command = { .image = { .writable = true, .resizable = true }, .options = options };
    char **operands;
    unsigned count;
    int status;

    if (!tool_parse(tool, &img_amend, amend_table, &command, argc, argv, &operands, &count,
                    &status)) {
        return status;
    }
    if (command.help) {
        return print_options(command.image.format ? command.image.format : "qcow2", true);
    }
    if (!g_hash_table_size(options)) {
        return tool_fail(tool, "Must specify options (-o)");
    }
    if (count != 1) {
        return tool_fail(tool, "Expecting one image file name");
    }
    return amend_image(tool, &command, operands[0]);
}

const ToolCommand img_amend = {
    .name = "amend",
    .summary = "Update format-specific options of the image",
    .usage =
        "-o OPTS [-f FMT | --image-opts] [-t CACHE] [--force] [-p] [-q] [--object OBJDEF] FILE",
    .run = amend_run,
};

/* Resizing takes the new size from "+1G", "-1G" or "5G". */
static bool resize_target(Tool *tool, const char *text, uint64_t current, uint64_t *size)
{
    char sign = text[0];
    uint64_t amount;

    if (sign == '+' || sign == '-') {
        text++;
    }
    if (!tool_size(tool, "size", text, &amount)) {
        return false;
    }
    if (sign == '-' && amount > current) {
        tool_fail(tool, "New image size must be positive");
        return false;
    }
    *size = sign == '+' ? current + amount : sign == '-' ? current - amount : amount;
    *size = align_up(*size, 512);
    return true;
}

static int resize_image(Tool *tool, BlockChild *child, const char *text, bool shrink, int prealloc)
{
    GError *error = NULL;
    uint64_t current = node_size(child->node), size;

    if (!resize_target(tool, text, current, &size)) {
        return 1;
    }
    if (size < current && !shrink) {
        tool_fail(tool, "Use the --shrink option to perform a shrink operation.");
        tool_warn(
            tool,
            "Shrinking an image will delete all data beyond the shrunken image's end. "
            "Before performing such an operation, make sure there is no important data there.");
        return 1;
    }
    if (!node_truncate(child->node, size, prealloc, &error)) {
        return tool_error(tool, error);
    }
    if (!tool->quiet) {
        printf("Image resized.\n");
    }
    return 0;
}

static int resize_run(Tool *tool, int argc, char **argv)
{
    static const struct option longs[] = {
        { "object", required_argument, NULL, OPTION_OBJECT },
        { "image-opts", no_argument, NULL, OPTION_IMAGE_OPTS },
        { "preallocation", required_argument, NULL, OPTION_PREALLOCATION },
        { "shrink", no_argument, NULL, OPTION_SHRINK },
        { 0 },
    };
    ImageArguments arguments = { .writable = true, .resizable = true };
    const char *size, *prealloc_name = "off";
    bool shrink = false;
    BlockChild *child;
    int c, status, prealloc = -1;

    /* The size may begin with a minus sign: take it before the options are parsed. */
    if (argc < 3) {
        return tool_fail(tool, "Expecting image file name and size");
    }
    size = argv[--argc];
    while ((c = getopt_long(argc, argv, "f:q", longs, NULL)) != -1) {
        switch (c) {
        case 'f':
            arguments.format = optarg;
            break;
        case 'q':
            tool->quiet = true;
            break;
        case OPTION_OBJECT:
            if (!tool_object(tool, optarg)) {
                return 1;
            }
            break;
        case OPTION_IMAGE_OPTS:
            arguments.image_opts = true;
            break;
        case OPTION_PREALLOCATION:
            prealloc_name = optarg;
            break;
        case OPTION_SHRINK:
            shrink = true;
            break;
        default:
            return tool_usage(tool, &img_resize);
        }
    }
    for (int i = 0; prealloc_names[i]; i++) {
        prealloc = !strcmp(prealloc_names[i], prealloc_name) ? i : prealloc;
    }
    if (prealloc < 0) {
        return tool_fail(tool, "Invalid preallocation mode '%s'", prealloc_name);
    }
    if (optind != argc - 1) {
        return tool_fail(tool, "Expecting image file name and size");
    }
    child = tool_open(tool, argv[optind], &arguments);
    if (!child) {
        return 1;
    }
    status = resize_image(tool, child, size, shrink, prealloc);
    child_detach(child);
    return status;
}

const ToolCommand img_resize = {
    .name = "resize",
    .summary = "Resize the image",
    .usage = "[-f FMT | --image-opts] [--preallocation PREALLOC] [--shrink] [-q] "
             "[--object OBJDEF] FILE [+-]SIZE[bkKMGTPE]",
    .run = resize_run,
};

static int measure_print(bool json, uint64_t required, uint64_t fully, bool has_bitmaps,
                         uint64_t bitmaps)
{
    if (json) {
        json_t *object = json_object();

        if (has_bitmaps) {
            json_object_set_new(object, "bitmaps", json_integer((json_int_t)bitmaps));
        }
        json_object_set_new(object, "required", json_integer((json_int_t)required));
        json_object_set_new(object, "fully-allocated", json_integer((json_int_t)fully));
        tool_print_json(object);
    } else {
        printf("required size: %" G_GUINT64_FORMAT "\nfully allocated size: %" G_GUINT64_FORMAT
               "\n",
               required, fully);
        if (has_bitmaps && bitmaps) {
            printf("bitmaps size: %" G_GUINT64_FORMAT "\n", bitmaps);
        }
    }
    return 0;
}

static int measure_run(Tool *tool, int argc, char **argv)
{
    static const struct option longs[] = {
        { "object", required_argument, NULL, OPTION_OBJECT },
        { "image-opts", no_argument, NULL, OPTION_IMAGE_OPTS },
        { "size", required_argument, NULL, OPTION_SIZE },
        { "output", required_argument, NULL, OPTION_OUTPUT },
        { "force-share", no_argument, NULL, 'U' },
        { 0 },
    };
    ImageArguments arguments = { 0 };
    g_autoptr(GHashTable) options = options_new();
    const char *target = "raw", *snapshot = NULL;
    bool json = false, has_size = false, done, from_qcow2;
    uint64_t required = 0, fully = 0, bitmaps = 0, size;
    const BlockDriver *driver;
    BlockChild *child = NULL;
    GError *error = NULL;
    int c;

    while ((c = getopt_long(argc, argv, "f:l:o:O:U", longs, NULL)) != -1) {
        switch (c) {
        case 'f':
            arguments.format = optarg;
            break;
        case 'l':
            snapshot = optarg;
            break;
        case 'o':
            if (!tool_parse_options(tool, optarg, options)) {
                return 1;
            }
            break;
        case 'O':
            target = optarg;
            break;
        case 'U':
            arguments.force_share = true;
            break;
        case OPTION_OBJECT:
            if (!tool_object(tool, optarg)) {
                return 1;
            }
            break;
        case OPTION_IMAGE_OPTS:
            arguments.image_opts = true;
            break;
        case OPTION_OUTPUT:
            json = !strcmp(optarg, "json");
            break;
        case OPTION_SIZE:
            if (!tool_size(tool, "image size", optarg, &size)) {
                return 1;
            }
            options_set(options, "size", optarg);
            has_size = true;
            break;
        default:
            return tool_usage(tool, &img_measure);
        }
    }
    if (has_size == (optind < argc)) {
        return tool_fail(tool, has_size ? "--size N cannot be used together with a filename."
                                        : "Either --size N or one filename must be specified.");
    }
    driver = block_driver_find(target);
    if (!driver || !driver->measure) {
        return tool_fail(tool,
                         driver ? "Block driver '%s' does not support size measurement"
                                : "Unknown file format '%s'",
                         target);
    }
    if (!has_size) {
        child = tool_open(tool, argv[optind], &arguments);
        if (!child) {
            return 1;
        }
        if (snapshot && (!child->node->driver->snapshot_load ||
                         !child->node->driver->snapshot_load(child->node, snapshot, &error))) {
            child_detach(child);
            return tool_error(tool, error);
        }
    }
    done =
        driver->measure(options, child ? child->node : NULL, &required, &fully, &bitmaps, &error);
    from_qcow2 = child && !strcmp(child->node->driver->name, "qcow2");
    if (child) {
        child_detach(child);
    }
    return done ? measure_print(json, required, fully, from_qcow2 && !strcmp(target, "qcow2"),
                                bitmaps)
                : tool_error(tool, error);
}

const ToolCommand img_measure = {
    .name = "measure",
    .summary = "Calculate the file size required for a new image",
    .usage = "[-f FMT | --image-opts] [-o OPTS] [-O OUTPUT_FMT] [-l SNAPSHOT] [-U] "
             "[--output human|json] [--object OBJDEF] (--size SIZE | FILE)",
    .run = measure_run,
};
