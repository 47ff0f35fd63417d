/* SPDX-License-Identifier: MIT */
/* kaso-img create, amend, resize, measure. */
#include "block/tools/options.h"

#include "base/bits.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

/* What kind of value an option takes that is no text; it is the same in all formats. */
static const char *option_type(const char *name)
{
    static const struct {
        const char *name, *type;
    } types[] = {
        { "block_size", "size" },
        { "block_state_zero", "bool (on/off)" },
        { "cluster_size", "size" },
        { "compat6", "bool (on/off)" },
        { "data_file_raw", "bool (on/off)" },
        { "detached-header", "bool (on/off)" },
        { "encrypt.iter-time", "num" },
        { "encrypt.keyslot", "num" },
        { "encryption", "bool (on/off)" },
        { "extended_l2", "bool (on/off)" },
        { "extent_size_hint", "size" },
        { "force_size", "bool (on/off)" },
        { "iter-time", "num" },
        { "keep_data_file", "bool (on/off)" },
        { "keyslot", "num" },
        { "lazy_refcounts", "bool (on/off)" },
        { "log_size", "size" },
        { "nocow", "bool (on/off)" },
        { "refcount_bits", "num" },
        { "size", "size" },
        { "static", "bool (on/off)" },
        { "table_size", "size" },
        { "zeroed_grain", "bool (on/off)" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (!strcmp(types[i].name, name)) {
            return types[i].type;
        }
    }
    return "str";
}

int tool_print_options(const char *format, bool amend)
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
        g_autofree char *name = g_strdup_printf("%s=<%s>", o->name, option_type(o->name));

        printf("  %-22s - %s\n", name, o->summary);
    }
    return 0;
}

typedef struct {
    const char *name, *fallback;
} ShownOption;

/* In the order and with the defaults that scripts know. */
static const ShownOption shown_of_qcow2[] = {
    { "encryption", NULL },
    { "encrypt.format", NULL },
    { "encrypt.key-secret", NULL },
    { "encrypt.cipher-alg", NULL },
    { "encrypt.cipher-mode", NULL },
    { "encrypt.ivgen-alg", NULL },
    { "encrypt.ivgen-hash-alg", NULL },
    { "encrypt.hash-alg", NULL },
    { "encrypt.iter-time", NULL },
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
    { "keep_data_file", NULL },
    { "lazy_refcounts", "off" },
    { "refcount_bits", "16" },
    { "nocow", NULL },
    { 0 },
};

static const ShownOption shown_of_vmdk[] = {
    { "size", NULL },         { "backing_file", NULL },
    { "backing_fmt", NULL },  { "compat6", "off" },
    { "subformat", NULL },    { "hwversion", "undefined" },
    { "adapter_type", NULL }, { 0 },
};

static const ShownOption shown_of_vdi[] = { { "size", NULL }, { "static", "off" }, { 0 } };

static const ShownOption shown_of_parallels[] = { { "size", NULL },
                                                  { "cluster_size", "1048576" },
                                                  { 0 } };

static const ShownOption shown_of_qed[] = {
    { "size", NULL },        { "backing_file", NULL },
    { "backing_fmt", NULL }, { "cluster_size", "65536" },
    { "table_size", NULL },  { 0 },
};

static const ShownOption shown_of_vhdx[] = {
    { "size", NULL },      { "log_size", "1048576" },    { "block_size", "0" },
    { "subformat", NULL }, { "block_state_zero", NULL }, { 0 },
};

static const ShownOption shown_of_luks[] = {
    { "size", "-1" },
    { "key-secret", NULL },
    { "cipher-alg", NULL },
    { "cipher-mode", NULL },
    { "ivgen-alg", NULL },
    { "ivgen-hash-alg", NULL },
    { "hash-alg", NULL },
    { "iter-time", NULL },
    { "detached-header", NULL },
    { "preallocation", NULL },
    { 0 },
};

static const ShownOption shown_of_others[] = {
    { "size", NULL },         { "preallocation", NULL }, { "nocow", NULL },
    { "subformat", NULL },    { "force_size", NULL },    { "cluster_size", NULL },
    { "backing_file", NULL }, { "backing_fmt", NULL },   { 0 },
};

static const ShownOption *shown_options(const char *format)
{
    return !strcmp(format, "qcow2")       ? shown_of_qcow2
           : !strcmp(format, "vmdk")      ? shown_of_vmdk
           : !strcmp(format, "vdi")       ? shown_of_vdi
           : !strcmp(format, "parallels") ? shown_of_parallels
           : !strcmp(format, "qed")       ? shown_of_qed
           : !strcmp(format, "vhdx")      ? shown_of_vhdx
           : !strcmp(format, "luks")      ? shown_of_luks
                                          : shown_of_others;
}

static void print_formatting(Tool *tool, const char *filename, const char *format,
                             GHashTable *options)
{
    if (tool->quiet) {
        return;
    }
    printf("Formatting '%s', fmt=%s", filename, format);
    for (const ShownOption *shown = shown_options(format); shown->name; shown++) {
        const char *value = options_get(options, shown->name);
        uint64_t size;

        value = value ? value : shown->fallback;
        if (value && g_str_has_suffix(shown->name, "size") && parse_size(value, &size, NULL)) {
            printf(" %s=%" G_GUINT64_FORMAT, shown->name, size);
        } else if (value) {
            printf(" %s=%s", shown->name, value);
        }
    }
    printf("\n");
    fflush(stdout); /* before what may go wrong */
}

typedef struct {
    const char *format, *backing, *backing_format;
    GHashTable *options;
    bool unsafe, help;
} CreateCommand;

static bool create_option(Tool *tool, void *arguments, const char *name, const char *value)
{
    CreateCommand *command = arguments;

    command->help |= tool_wants_help(value);
    return command->help || tool_parse_options(tool, value, command->options);
}

/* The size that stands behind the file's name. */
static bool create_size(Tool *tool, const char *filename, const char *text, GHashTable *options)
{
    g_autofree char *bytes = NULL;
    uint64_t size;

    if (!tool_size(tool, "image size", text, &size)) {
        return false;
    }
    if (size > INT64_MAX || options_get(options, "size")) {
        tool_fail(tool,
                  size > INT64_MAX
                      ? "Invalid image size specified. Must be between 0 and 9223372036854775807."
                      : "%s: The image size must be specified only once",
                  filename);
        return false;
    }
    bytes = g_strdup_printf("%" G_GUINT64_FORMAT, size);
    options_set(options, "size", bytes);
    return true;
}

static const ToolOption create_table[] = {
    { "format", 'f', TOOL_TEXT, offsetof(CreateCommand, format) },
    { "options", 'o', TOOL_CALL, 0, create_option },
    { "backing", 'b', TOOL_TEXT, offsetof(CreateCommand, backing) },
    { "backing-format", 'B', TOOL_TEXT, offsetof(CreateCommand, backing_format) },
    { NULL, 'F', TOOL_TEXT, offsetof(CreateCommand, backing_format) },
    { "backing-unsafe", 'u', TOOL_FLAG, offsetof(CreateCommand, unsafe) },
    { 0 },
};

/* A detached header goes with a disk of any size. */
static bool is_header_alone(GHashTable *options)
{
    g_autoptr(GHashTable) copy = options_copy(options);
    bool detached = false;

    return options_take_bool(copy, "detached-header", &detached, NULL) && detached;
}

static int create_image(Tool *tool, const CreateCommand *command, const char *filename)
{
    GHashTable *options = command->options;
    const char *format = command->format;
    const BlockDriver *driver = block_driver_find(format);
    GError *error = NULL;

    if (!driver) {
        return tool_fail(tool, "%s: Unknown file format '%s': --help lists them", filename, format);
    }
    if (!block_protocol_for(filename, &error) || !tool_check_options(driver, options, &error) ||
        (options_get(options, "backing_file") &&
         !tool_check_backing(tool, filename, options, command->unsafe, &error))) {
        g_prefix_error(&error, "%s: ", filename);
        return tool_error(tool, error);
    }
    if (!options_get(options, "size") && !is_header_alone(options)) {
        return tool_fail(tool, "%s: Image creation needs a size parameter", filename);
    }
    print_formatting(tool, filename, format, options);
    if (!tool_create(tool, filename, format, options, &error)) {
        g_prefix_error(&error, "%s: ", filename);
        return tool_error(tool, error);
    }
    return 0;
}

static int create_run(Tool *tool, int argc, char **argv)
{
    g_autoptr(GHashTable) options = options_new();
    CreateCommand command = { .format = "raw", .options = options };
    char **operands;
    unsigned count;
    int status;

    if (!tool_parse(tool, &img_create, create_table, &command, argc, argv, &operands, &count,
                    &status)) {
        return status;
    }
    if (command.help) {
        return tool_print_options(command.format, false);
    }
    if (!count || count > 2) {
        return count ? tool_try(tool, &img_create, "Unexpected argument: %s", operands[2])
                     : tool_try(tool, &img_create, "Expecting image file name");
    }
    if (command.backing) {
        options_set(options, "backing_file", command.backing);
    }
    if (command.backing_format) {
        options_set(options, "backing_fmt", command.backing_format);
    }
    if (count > 1 && !create_size(tool, operands[0], operands[1], options)) {
        return 1;
    }
    return create_image(tool, &command, operands[0]);
}

const ToolCommand img_create = {
    .name = "create",
    .summary = "Create and format a new image file",
    .usage = "[-f FMT] [-o FMT_OPTS] [-b BACKING_FILE [-B BACKING_FMT]] [-u] [-q] "
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

    command->help |= tool_wants_help(value);
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
    done = child->node->driver->amend
               ? child->node->driver->amend(child->node, command->options, command->force,
                                            show_progress, tool, &error)
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
        return tool_print_options(command.image.format ? command.image.format : "qcow2", true);
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
    if (sign == '-' && amount >= current) {
        tool_fail(tool, "New image size must be positive");
        return false;
    }
    *size = sign == '+' ? current + amount : sign == '-' ? current - amount : amount;
    *size = align_up(*size, 512);
    if (!*size) {
        tool_fail(tool, "New image size must be positive");
    }
    return *size > 0;
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
    if (size < current && prealloc != PREALLOC_OFF) {
        return tool_fail(tool, "Preallocation can only be used for growing images");
    }
    if (!node_truncate(child->node, size, prealloc, &error)) {
        return tool_error(tool, error);
    }
    if (!tool->quiet) {
        printf("Image resized.\n");
    }
    return 0;
}

typedef struct {
    ImageArguments image;
    const char *prealloc;
    bool shrink;
} ResizeCommand;

static const ToolOption resize_table[] = {
    TOOL_IMAGE_OPTIONS(ResizeCommand, image),
    { "preallocation", 0, TOOL_TEXT, offsetof(ResizeCommand, prealloc) },
    { "shrink", 0, TOOL_FLAG, offsetof(ResizeCommand, shrink) },
    { 0 },
};

static int resize_run(Tool *tool, int argc, char **argv)
{
    ResizeCommand command = { .image = { .writable = true, .resizable = true }, .prealloc = "off" };
    const char *size = NULL;
    BlockChild *child;
    char **operands;
    unsigned count;
    int status, prealloc = -1;

    /* The size may begin with a minus sign: take it before the options are parsed. */
    if (argc >= 3) {
        size = argv[--argc];
        argv[argc] = NULL;
    }
    if (!tool_parse(tool, &img_resize, resize_table, &command, argc, argv, &operands, &count,
                    &status)) {
        return status;
    }
    if (!size || count != 1) {
        return tool_try(tool, &img_resize, "Expecting image file name and size");
    }
    for (int i = 0; prealloc_names[i]; i++) {
        prealloc = !strcmp(prealloc_names[i], command.prealloc) ? i : prealloc;
    }
    if (prealloc < 0) {
        return tool_fail(tool, "Invalid preallocation mode '%s'", command.prealloc);
    }
    child = tool_open(tool, operands[0], &command.image);
    if (!child) {
        return 1;
    }
    status = resize_image(tool, child, size, command.shrink, prealloc);
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
        if (has_bitmaps) {
            printf("bitmaps size: %" G_GUINT64_FORMAT "\n", bitmaps);
        }
    }
    return 0;
}

typedef struct {
    ImageArguments image;
    GHashTable *options;
    const char *target, *snapshot;
    bool json, has_size, help;
} MeasureCommand;

static bool measure_option(Tool *tool, void *arguments, const char *name, const char *value)
{
    MeasureCommand *command = arguments;

    command->help |= tool_wants_help(value);
    return command->help || tool_parse_options(tool, value, command->options);
}

static bool measure_size(Tool *tool, void *arguments, const char *name, const char *value)
{
    MeasureCommand *command = arguments;
    uint64_t size;

    options_set(command->options, "size", value);
    command->has_size = true;
    return tool_size(tool, "image size", value, &size);
}

static const ToolOption measure_table[] = {
    TOOL_IMAGE_OPTIONS(MeasureCommand, image),
    TOOL_SHARE_OPTION(MeasureCommand, image),
    { "snapshot", 'l', TOOL_TEXT, offsetof(MeasureCommand, snapshot) },
    { "target-format", 'O', TOOL_TEXT, offsetof(MeasureCommand, target) },
    { NULL, 'o', TOOL_CALL, 0, measure_option },
    { "size", 's', TOOL_CALL, 0, measure_size },
    { "output", 0, TOOL_OUTPUT, offsetof(MeasureCommand, json) },
    { 0 },
};

static int measure_image(Tool *tool, const MeasureCommand *command, BlockNode *node)
{
    const BlockDriver *driver = block_driver_find(command->target);
    uint64_t required = 0, fully = 0, bitmaps = 0;
    GError *error = NULL;
    bool from_qcow2 = node && !strcmp(node->driver->name, "qcow2");

    if (node && command->snapshot && !tool_load_snapshot(node, command->snapshot, &error)) {
        return tool_error(tool, error);
    }
    if (!tool_check_options(driver, command->options, &error) ||
        !driver->measure(tool->graph, command->options, node, &required, &fully, &bitmaps,
                         &error)) {
        return tool_error(tool, error);
    }
    return measure_print(command->json, required, fully,
                         from_qcow2 && !strcmp(command->target, "qcow2"), bitmaps);
}

static bool measure_check(Tool *tool, const MeasureCommand *command, unsigned count)
{
    const BlockDriver *driver = block_driver_find(command->target);
    GError *error = NULL;

    if (!count && (command->image.format || command->image.image_opts || command->snapshot)) {
        tool_fail(tool, "--image-opts, -f, and -l require a filename argument.");
    } else if (count > 1 || command->has_size == (count == 1)) {
        tool_fail(tool, command->has_size ? "--size N cannot be used together with a filename."
                                          : "Either --size N or one filename must be specified.");
    } else if (!driver || !driver->measure) {
        tool_fail(tool,
                  driver ? "Block driver '%s' does not support size measurement"
                         : "Unknown file format '%s': --help lists them",
                  command->target);
    } else if (!tool_check_options(driver, command->options, &error)) {
        tool_error(tool, error);
    } else {
        return true;
    }
    return false;
}

static int measure_run(Tool *tool, int argc, char **argv)
{
    g_autoptr(GHashTable) options = options_new();
    MeasureCommand command = { .options = options, .target = "raw" };
    BlockChild *child = NULL;
    char **operands;
    unsigned count;
    int status;

    if (!tool_parse(tool, &img_measure, measure_table, &command, argc, argv, &operands, &count,
                    &status)) {
        return status;
    }
    if (command.help) {
        return tool_print_options(command.target, false);
    }
    if (!measure_check(tool, &command, count)) {
        return 1;
    }
    if (count) {
        child = tool_open(tool, operands[0], &command.image);
        if (!child) {
            return 1;
        }
    }
    status = measure_image(tool, &command, child ? child->node : NULL);
    if (child) {
        child_detach(child);
    }
    return status;
}

const ToolCommand img_measure = {
    .name = "measure",
    .summary = "Calculate the file size required for a new image",
    .usage = "[-f FMT | --image-opts] [-o OPTS] [-O OUTPUT_FMT] [-l SNAPSHOT] [-U] "
             "[--output human|json] [--object OBJDEF] (--size SIZE | FILE)",
    .run = measure_run,
};
